//! Intrinsics ([`crate::hir::intrinsic`]).

use super::BodyCx;
use super::memory::Prepared;
use crate::helper::Helper;
use crate::hir::{Clock, Expr, ExprKind, Intrinsic};
use crate::ir::{BinOp, Cond, Op, Value, Width};
use crate::plan::{LossKind, ProgramKind};
use crate::target::Feature;
use crate::types::{Space, StackType, Type};

/// Offset of `cs` in x86-64's `struct pt_regs` (arch/x86/include/asm/ptrace.h).
const X86_64_CS: i16 = 136;
/// The bits of `cs` that hold the privilege level: 3 in user mode (SDM volume 3, 3.4.2).
const PRIVILEGE: i64 = 3;
/// `BPF_F_USER_STACK` (include/uapi/linux/bpf.h).
const USER_STACK: i64 = 1 << 8;
/// Bytes of a MAC address.
const MAC_BYTES: u32 = 6;
/// Bytes of an address.
const POINTER: u32 = 8;
/// Offset of the bytes in [`Type::Buffer`] and [`Type::Inet`], behind a 32-bit number.
pub(super) const BYTES_AT: u32 = 4;
/// Most bytes of an address in [`Type::Inet`].
const INET_BYTES: u32 = 16;

impl BodyCx<'_> {
    /// An intrinsic that gives a scalar, or is evaluated for its effect.
    pub(super) fn intrinsic_value(&mut self, which: Intrinsic, args: &[Expr], ty: &Type) -> Value {
        match (which, args) {
            (Intrinsic::InitialPid, _) => {
                let ids = self.ir.call(Helper::GetCurrentPidTgid, &[]);
                self.ir.bin_imm(BinOp::LShr, ids, 32)
            }
            (Intrinsic::InitialTid, _) => {
                let ids = self.ir.call(Helper::GetCurrentPidTgid, &[]);
                self.wrap(ids, ty)
            }
            (Intrinsic::Clock(Clock::Monotonic), _) => self.ir.call(Helper::KtimeGetNs, &[]),
            (Intrinsic::Clock(Clock::Tai), _) => {
                self.require(Feature::TaiClock);
                self.ir.call(Helper::KtimeGetTaiNs, &[])
            }
            (Intrinsic::UserMode, _) => self.user_mode(),
            (Intrinsic::ByteSwap, [number]) => {
                let value = self.value(number);
                self.byte_swap(value, ty)
            }
            (Intrinsic::Magnitude, [number]) => {
                let value = self.value(number);
                super::division::magnitude(&mut self.ir, value).1
            }
            (Intrinsic::MacAddress, [of]) => self.mac_address(of),
            (Intrinsic::SendSignal | Intrinsic::SendSignalThread, [signal]) => {
                let helper = if which == Intrinsic::SendSignal {
                    Helper::SendSignal
                } else {
                    Helper::SendSignalThread
                };
                let signal = self.value(signal);
                self.ir.call(helper, &[signal])
            }
            (Intrinsic::OverrideReturn, [result]) => {
                let result = self.value(result);
                let ctx = self.ir.emit(Op::Ctx);
                self.ir.call(Helper::OverrideReturn, &[ctx, result])
            }
            (Intrinsic::TextLength, [text]) => self.text_length(text),
            (Intrinsic::FindText, [text, part]) => self.find_text(text, part),
            (Intrinsic::CompareBytes, [a, b, n]) => self.compare_bytes(a, b, n),
            (Intrinsic::WriteUser, [address, bytes]) => self.write_user(address, bytes),
            (Intrinsic::TracePrintk, [format, values @ ..]) => self.trace_printk(format, values),
            (Intrinsic::CountLostCalls, [number]) => {
                let number = self.value(number);
                self.count_losses(LossKind::Calls, number);
                self.ir.iconst(0)
            }
            (Intrinsic::Context, _) => self.context(),
            (Intrinsic::Register(offset), _) => self.ir.emit(Op::CtxLoad {
                offset,
                width: Width::B8,
                signed: false,
            }),
            (Intrinsic::Frames, [stack]) => {
                let prepared = self.prepare(stack);
                let (addr, offset, _) = self.placed(&prepared, &stack.ty);
                let addr = self.address_at(addr, offset);
                self.ir.load(addr, 0, Width::B4)
            }
            _ => {
                debug_assert!(false, "{which:?} gives no scalar");
                self.ir.iconst(0)
            }
        }
    }

    /// An intrinsic that gives what does not fit a register.
    pub(super) fn intrinsic_memory(&mut self, which: Intrinsic, args: &[Expr], ty: &Type) -> Prepared {
        match (which, args, ty) {
            (Intrinsic::ReadBuffer, [address, length], Type::Buffer(n)) => {
                self.read_buffer(address, length, *n)
            }
            (Intrinsic::BufferOf, [value, length], Type::Buffer(n)) => self.buffer_of(value, length, *n),
            (Intrinsic::ConcatText, [a, b], _) => self.concat_text(a, b, ty),
            (Intrinsic::ReadStrings, [array], _) => self.read_strings(array, ty),
            (Intrinsic::Stack, _, Type::Stack(stack)) => self.stack(*stack),
            (Intrinsic::UserAddress, [address], _) => self.user_address(address),
            (Intrinsic::InternetAddress, [family, address], _) => self.internet_address(family, address),
            _ => {
                debug_assert!(false, "{which:?} gives a scalar");
                Prepared::Zeros
            }
        }
    }

    fn stack(&mut self, stack: StackType) -> Prepared {
        let pid = if stack.user { self.pid() } else { self.ir.iconst(0) };
        let slot = self.ir.slot(stack.size());
        self.zero_slot(slot, stack.size());
        let ctx = self.ir.emit(Op::Ctx);
        let frames = self.ir.slot_addr(slot, StackType::FRAMES_AT);
        let size = self.ir.iconst(i64::from(8 * stack.depth));
        let flags = self.ir.iconst(if stack.user { USER_STACK } else { 0 });
        let result = self.ir.call(Helper::GetStack, &[ctx, frames, size, flags]);
        // Where there is no stack the helper gives an error and zeros.
        let (some, done) = (self.ir.block(), self.ir.block());
        let bytes = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir
            .branch_with(Cond::SGt, result, zero, (some, &[]), (done, &[zero]));
        self.ir.switch_to(some);
        self.ir.jump(done, &[result]);
        self.ir.switch_to(done);
        let frames = self.ir.bin_imm(BinOp::LShr, bytes, 3);
        let high = self.ir.bin_imm(BinOp::Shl, pid, 32);
        let head = self.ir.bin(BinOp::Or, frames, high);
        let addr = self.ir.slot_addr(slot, 0);
        self.store_at(addr, 0, Width::B8, head);
        Prepared::Memory {
            addr,
            offset: 0,
            size: stack.size(),
        }
    }

    fn user_address(&mut self, address: &Expr) -> Prepared {
        let address = self.value(address);
        let pid = self.pid();
        let size = Type::UserAddress.size();
        let slot = self.ir.slot(size);
        let addr = self.ir.slot_addr(slot, 0);
        self.store_at(addr, 0, Width::B8, address);
        self.store_at(addr, 8, Width::B8, pid);
        Prepared::Memory {
            addr,
            offset: 0,
            size,
        }
    }

    fn trace_printk(&mut self, format: &Expr, values: &[Expr]) -> Value {
        let address = |cx: &mut Self, text: &Expr| {
            let prepared = cx.prepare(text);
            let (addr, offset, _) = cx.placed(&prepared, &text.ty);
            cx.address_at(addr, offset)
        };
        let text = address(self, format);
        let size = self.ir.iconst(i64::from(format.ty.size()));
        let mut args = vec![text, size];
        for value in values {
            args.push(match value.ty {
                Type::Str(_) => address(self, value),
                _ => self.value(value),
            });
        }
        let zero = self.ir.iconst(0);
        args.resize(5, zero);
        self.ir.call(Helper::TracePrintk, &args)
    }

    fn user_mode(&mut self) -> Value {
        if !matches!(self.probe.kind, ProgramKind::Kprobe | ProgramKind::PerfEvent) {
            return self.ir.iconst(0);
        }
        let cs = self.ir.emit(Op::CtxLoad {
            offset: X86_64_CS,
            width: Width::B8,
            signed: false,
        });
        let level = self.ir.bin_imm(BinOp::And, cs, PRIVILEGE);
        let user = self.ir.iconst(PRIVILEGE);
        self.ir.cmp(Cond::Eq, level, user)
    }

    /// Reverses the bytes of a number by exchanging ever larger halves.
    fn byte_swap(&mut self, value: Value, ty: &Type) -> Value {
        let bits = i64::from(ty.size()) * 8;
        let masks = [0x00ff_00ff_00ff_00ff, 0x0000_ffff_0000_ffff, 0xffff_ffff];
        let mut swapped = value;
        for (half, mask) in [8, 16, 32]
            .into_iter()
            .zip(masks)
            .filter(|(half, _)| *half < bits)
        {
            let mask = self.ir.iconst(mask);
            let low = self.ir.bin(BinOp::And, swapped, mask);
            let up = self.ir.bin_imm(BinOp::Shl, low, half);
            let high = self.ir.bin_imm(BinOp::LShr, swapped, half);
            let down = self.ir.bin(BinOp::And, high, mask);
            swapped = self.ir.bin(BinOp::Or, up, down);
        }
        self.wrap(swapped, ty)
    }

    fn mac_address(&mut self, of: &Expr) -> Value {
        let slot = self.ir.slot(8);
        self.zero_slot(slot, 8);
        let to = self.ir.slot_addr(slot, 0);
        if let Type::Ptr(_, space) = &of.ty {
            let address = self.value(of);
            let size = self.ir.iconst(i64::from(MAC_BYTES));
            self.read_up_to(to, size, MAC_BYTES, address, *space);
        } else {
            let prepared = self.prepare(of);
            let (from, offset, size) = self.placed(&prepared, &of.ty);
            self.copy(from, offset, to, 0, size.min(MAC_BYTES));
        }
        let to = self.ir.slot_addr(slot, 0);
        self.ir.load(to, 0, Width::B8)
    }

    /// A slot for a buffer of `n` bytes, all zeros but for its length; gives the address of the slot and the length.
    fn new_buffer(&mut self, length: &Expr, n: u32) -> (Value, Value) {
        let length = match length.kind {
            ExprKind::Const(length) => self.ir.iconst((length as u64).min(u64::from(n)) as i64),
            _ => {
                let length = self.value(length);
                self.at_most(length, n)
            }
        };
        let size = Type::Buffer(n).size();
        let slot = self.ir.slot(size);
        self.zero_slot(slot, size);
        let addr = self.ir.slot_addr(slot, 0);
        self.store_at(addr, 0, Width::B4, length);
        (addr, length)
    }

    /// The lesser of an unsigned number and a constant.
    fn at_most(&mut self, value: Value, most: u32) -> Value {
        let done = self.ir.block();
        let result = self.ir.param(done);
        let most = self.ir.iconst(i64::from(most));
        self.ir
            .branch_with(Cond::ULt, value, most, (done, &[value]), (done, &[most]));
        self.ir.switch_to(done);
        result
    }

    fn read_buffer(&mut self, address: &Expr, length: &Expr, n: u32) -> Prepared {
        let space = match &address.ty {
            Type::Ptr(_, space) => *space,
            _ => Space::Kernel,
        };
        let address = self.value(address);
        let (addr, length) = self.new_buffer(length, n);
        let bytes = self.address_at(addr, BYTES_AT);
        self.read_up_to(bytes, length, n, address, space);
        Prepared::Memory {
            addr,
            offset: 0,
            size: Type::Buffer(n).size(),
        }
    }

    fn buffer_of(&mut self, value: &Expr, length: &Expr, n: u32) -> Prepared {
        let prepared = self.prepare(value);
        let (from, offset, size) = self.placed(&prepared, &value.ty);
        let (addr, dynamic) = self.new_buffer(length, n);
        if let ExprKind::Const(length) = length.kind {
            let length = (length as u64).min(u64::from(n.min(size))) as u32;
            self.copy(from, offset, addr, BYTES_AT, length);
        } else {
            let from = self.address_at(from, offset);
            let bytes = self.address_at(addr, BYTES_AT);
            self.ir.emit(Op::CallBounded {
                helper: Helper::ProbeReadKernel,
                args: [bytes, dynamic, from].into(),
                bounded: 1,
                max: n.min(size),
            });
        }
        Prepared::Memory {
            addr,
            offset: 0,
            size: Type::Buffer(n).size(),
        }
    }

    fn internet_address(&mut self, family: &Expr, address: &Expr) -> Prepared {
        let family = self.value(family);
        let size = Type::Inet.size();
        let slot = self.ir.slot(size);
        self.zero_slot(slot, size);
        let addr = self.ir.slot_addr(slot, 0);
        self.store_at(addr, 0, Width::B4, family);
        if address.ty.is_scalar() {
            let number = self.value(address);
            self.store_at(addr, BYTES_AT, Width::B4, number);
        } else {
            let prepared = self.prepare(address);
            let (from, offset, available) = self.placed(&prepared, &address.ty);
            self.copy(from, offset, addr, BYTES_AT, available.min(INET_BYTES));
        }
        Prepared::Memory {
            addr,
            offset: 0,
            size,
        }
    }

    fn write_user(&mut self, address: &Expr, bytes: &Expr) -> Value {
        let to = self.value(address);
        let prepared = self.prepare(bytes);
        let (from, offset, _) = self.placed(&prepared, &bytes.ty);
        let from = self.address_at(from, offset + BYTES_AT);
        let size = match &bytes.ty {
            Type::Buffer(n) => *n,
            _ => 0,
        };
        let size = self.ir.iconst(i64::from(size));
        self.ir.call(Helper::ProbeWriteUser, &[to, from, size])
    }

    fn read_strings(&mut self, array: &Expr, ty: &Type) -> Prepared {
        let space = match &array.ty {
            Type::Ptr(_, space) => *space,
            _ => Space::Kernel,
        };
        let (Some(Type::Array(text, most)), Some(&at)) = (ty.members().nth(1), ty.member_offsets().get(1))
        else {
            debug_assert!(false, "strings are a count and an array");
            return Prepared::Zeros;
        };
        let array = self.value(array);
        let (strings, pointer) = (self.ir.slot(ty.size()), self.ir.slot(POINTER));
        let addr = self.ir.slot_addr(strings, 0);
        let zero = self.ir.iconst(0);
        self.store_at(addr, 0, Width::B8, zero);
        let done = self.ir.block();
        for i in 0..*most {
            let to = self.ir.slot_addr(pointer, 0);
            let from = self.address_at(array, i * POINTER);
            let size = self.ir.iconst(i64::from(POINTER));
            self.store_at(to, 0, Width::B8, zero);
            self.read_up_to(to, size, POINTER, from, space);
            let address = self.ir.load(to, 0, Width::B8);
            let there = self.ir.block();
            self.ir.branch(Cond::Ne, address, zero, there, done);
            self.ir.switch_to(there);
            let read = Prepared::ReadText {
                address,
                length: None,
                space,
            };
            self.fill(&read, text, addr, at + i * text.size(), false);
            let count = self.ir.iconst(i64::from(i + 1));
            self.store_at(addr, 0, Width::B8, count);
        }
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
        Prepared::Memory {
            addr,
            offset: 0,
            size: ty.size(),
        }
    }

    /// Reads `length` bytes, at most `most`, at an address of the traced process or the kernel; zeros where that fails,
    /// which is counted.
    fn read_up_to(&mut self, to: Value, length: Value, most: u32, address: Value, space: Space) {
        let helper = match space {
            Space::User => Helper::ProbeReadUser,
            Space::Kernel => Helper::ProbeReadKernel,
        };
        let read = |cx: &mut Self| {
            let result = cx.ir.emit(Op::CallBounded {
                helper,
                args: [to, length, address].into(),
                bounded: 1,
                max: most,
            });
            cx.error_of(result)
        };
        let (failed, done) = (self.ir.block(), self.ir.block());
        let zero = self.ir.iconst(0);
        let error = read(self);
        if self.sleepable && space == Space::User {
            let retry = self.ir.block();
            self.ir.branch(Cond::Eq, error, zero, done, retry);
            self.ir.switch_to(retry);
            self.fault_in(address);
            let error = read(self);
            self.ir.branch(Cond::Eq, error, zero, done, failed);
        } else {
            self.ir.branch(Cond::Eq, error, zero, done, failed);
        }
        self.ir.switch_to(failed);
        self.count_loss(LossKind::Read);
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
    }
}
