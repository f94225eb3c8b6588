//! Reading values of any type from the memory of the kernel or the traced process, and taking values apart.
//!
//! Memory is read by helper everywhere: that works on every kernel and in every kind of program. The helpers zero what
//! they cannot read, so all that is left to do is to count it.

use super::memory::Prepared;
use super::{BodyCx, VarHome};
use crate::ctype::Bits;
use crate::helper::Helper;
use crate::hir::{Expr, VarId};
use crate::ir::{BinOp, Cond, Op, Value, Width};
use crate::plan::LossKind;
use crate::types::{Space, Type};

/// The helper that reads bytes.
fn helper(space: Space) -> Helper {
    match space {
        Space::User => Helper::ProbeReadUser,
        Space::Kernel => Helper::ProbeReadKernel,
    }
}

impl BodyCx<'_> {
    /// A scalar `offset` bytes behind an address.
    pub(super) fn read_scalar(
        &mut self,
        address: &Expr,
        offset: u32,
        bits: Option<Bits>,
        ty: &Type,
    ) -> Value {
        let space = space_of(address);
        let address = self.value(address);
        let from = self.address_at(address, offset);
        let size = bits.map_or(ty.size(), |bits| u32::from(bits.storage));
        let slot = self.ir.slot(8);
        let to = self.ir.slot_addr(slot, 0);
        self.read_bytes(to, size, from, space);
        self.scalar_at(to, 0, bits, ty)
    }

    /// Anything else behind an address.
    pub(super) fn prepare_memory(&mut self, address: &Expr, offset: u32, ty: &Type) -> Prepared {
        let space = space_of(address);
        let address = self.value(address);
        let prepared = match ty {
            Type::Str(_) => Prepared::ReadText {
                address: self.member_address(address, offset),
                length: None,
                space,
            },
            _ => Prepared::ReadBytes {
                address: self.address_at(address, offset),
                space,
            },
        };
        // A program that may sleep must do so before it reserves a record, and reads into memory of its own.
        if self.sleepable {
            self.in_temporary(&prepared, ty)
        } else {
            prepared
        }
    }

    /// `address + offset`, but 0 where the address is: text at the null pointer is empty.
    fn member_address(&mut self, address: Value, offset: u32) -> Value {
        if offset == 0 {
            return address;
        }
        let (somewhere, done) = (self.ir.block(), self.ir.block());
        let result = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir
            .branch_with(Cond::Ne, address, zero, (somewhere, &[]), (done, &[zero]));
        self.ir.switch_to(somewhere);
        let sum = self.address_at(address, offset);
        self.ir.jump(done, &[sum]);
        self.ir.switch_to(done);
        result
    }

    /// Reads `size` bytes to `to`; zeros, counted, where they cannot be read.
    pub(super) fn read_bytes(&mut self, to: Value, size: u32, from: Value, space: Space) {
        let zero = self.ir.iconst(0);
        let length = self.ir.iconst(i64::from(size));
        let first = self.ir.call(helper(space), &[to, length, from]);
        let (failed, done) = (self.ir.block(), self.ir.block());
        if self.sleepable && space == Space::User {
            let retry = self.ir.block();
            self.ir.branch(Cond::Eq, first, zero, done, retry);
            self.ir.switch_to(retry);
            self.fault_in(from);
            let second = self.ir.call(helper(space), &[to, length, from]);
            self.ir.branch(Cond::Eq, second, zero, done, failed);
        } else {
            self.ir.branch(Cond::Eq, first, zero, done, failed);
        }
        self.ir.switch_to(failed);
        self.count_loss(LossKind::Read);
        if let Some(&event) = self.script.read_failures.get(&self.ir.span()) {
            self.emit_event(event, &[]);
        }
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
    }

    /// A scalar in the program's own memory, `addr` a multiple of 8.
    fn scalar_at(&mut self, addr: Value, offset: u32, bits: Option<Bits>, ty: &Type) -> Value {
        let Some(bits) = bits else {
            return self.load_scalar(addr, offset, ty);
        };
        let Some(width) = Width::from_bytes(u32::from(bits.storage)) else {
            return self.ir.iconst(0);
        };
        let storage = self.load_unaligned(addr, offset, width);
        let width = i64::from(bits.width.clamp(1, 64));
        let above = (64 - i64::from(bits.low) - width).max(0);
        let left = self.ir.bin_imm(BinOp::Shl, storage, above);
        let shift = if bits.is_signed(ty) {
            BinOp::AShr
        } else {
            BinOp::LShr
        };
        let value = self.ir.bin_imm(shift, left, 64 - width);
        match ty {
            Type::Bool => {
                let zero = self.ir.iconst(0);
                self.ir.cmp(Cond::Ne, value, zero)
            }
            _ => value,
        }
    }

    /// A load at any offset: the kernel demands that accesses to the stack are aligned.
    fn load_unaligned(&mut self, addr: Value, offset: u32, width: Width) -> Value {
        if offset.is_multiple_of(width.bytes()) {
            return self.load_at(addr, offset, width);
        }
        let mut value = self.ir.iconst(0);
        for i in 0..width.bytes() {
            let byte = self.load_at(addr, offset + i, Width::B1);
            let byte = self.ir.bin_imm(BinOp::Shl, byte, i64::from(8 * i));
            value = self.ir.bin(BinOp::Or, value, byte);
        }
        value
    }

    /// A scalar part of a value.
    pub(super) fn part_scalar(&mut self, of: &Expr, offset: u32, bits: Option<Bits>, ty: &Type) -> Value {
        let prepared = self.prepare(of);
        let (addr, base, _) = self.placed(&prepared, &of.ty);
        let at = base + offset;
        let aligned = Width::from_bytes(ty.size()).is_none_or(|width| at.is_multiple_of(width.bytes()));
        if bits.is_some() || aligned {
            return self.scalar_at(addr, at, bits, ty);
        }
        // A member of a packed struct.
        let Some(width) = Width::from_bytes(ty.size()) else {
            return self.ir.iconst(0);
        };
        let value = self.load_unaligned(addr, at, width);
        self.wrap(value, ty)
    }

    /// Any other part of a value.
    pub(super) fn prepare_part(&mut self, of: &Expr, offset: u32, ty: &Type) -> Prepared {
        let prepared = self.prepare(of);
        let (addr, base, _) = self.placed(&prepared, &of.ty);
        let offset = base + offset;
        match ty {
            Type::Str(n) => Prepared::NativeText {
                address: self.address_at(addr, offset),
                size: n.saturating_sub(1),
            },
            _ => Prepared::Memory {
                addr,
                offset,
                size: ty.size(),
            },
        }
    }

    /// The address of an element of an array that is a value, or 0 where the index is out of range.
    fn element_address(&mut self, of: &Expr, index: &Expr, ty: &Type) -> Value {
        let (stride, count) = element_layout(&of.ty, ty);
        let prepared = self.prepare(of);
        let (addr, base, _) = self.placed(&prepared, &of.ty);
        let array = self.address_at(addr, base);
        let index = self.value(index);
        // A masked index must stay within the memory, so what is behind the last element is there too.
        let slots = count.next_power_of_two();
        let padded = self.ir.slot((slots * stride).next_multiple_of(8).max(8));
        let to = self.ir.slot_addr(padded, 0);
        self.copy(array, 0, to, 0, count * stride);
        self.zero(to, count * stride, (slots - count) * stride);
        let (inside, done) = (self.ir.block(), self.ir.block());
        let result = self.ir.param(done);
        let (nowhere, limit) = (self.ir.iconst(0), self.ir.iconst(i64::from(count)));
        self.ir
            .branch_with(Cond::ULt, index, limit, (inside, &[]), (done, &[nowhere]));
        self.ir.switch_to(inside);
        let element = self.ir.emit(Op::ElementAddr {
            base: to,
            index,
            count: slots,
            stride,
        });
        self.ir.jump(done, &[element]);
        self.ir.switch_to(done);
        result
    }

    /// A scalar element. The bytes are copied by helper: the kernel verifier would not let a program read through an
    /// address that may be 0, and the helper gives zeros there.
    pub(super) fn element_scalar(&mut self, of: &Expr, index: &Expr, ty: &Type) -> Value {
        let from = self.element_address(of, index, ty);
        let slot = self.ir.slot(8);
        let to = self.ir.slot_addr(slot, 0);
        let size = self.ir.iconst(i64::from(ty.size()));
        self.ir.call_effect(Helper::ProbeReadKernel, &[to, size, from]);
        self.load_scalar(to, 0, ty)
    }

    /// Any other element.
    pub(super) fn prepare_element(&mut self, of: &Expr, index: &Expr, ty: &Type) -> Prepared {
        let address = self.element_address(of, index, ty);
        match ty {
            Type::Str(n) => Prepared::NativeText {
                address,
                size: n.saturating_sub(1),
            },
            _ => Prepared::NativeBytes { address },
        }
    }

    /// Writes the text of a character array of `length` bytes in the program's own memory, which may lack its NUL.
    pub(super) fn fill_native_text(
        &mut self,
        from: Value,
        length: u32,
        size: u32,
        addr: Value,
        offset: u32,
        canonical: bool,
    ) {
        let length = length.min(size - 1);
        let nul = self.ir.iconst(0);
        if !canonical {
            self.copy_by_helper(from, 0, addr, offset, length);
            self.store_at(addr, offset + length, Width::B1, nul);
            return;
        }
        let slot = self.ir.slot(length + 1);
        let whole = self.ir.slot_addr(slot, 0);
        self.copy_by_helper(from, 0, whole, 0, length);
        self.store_at(whole, length, Width::B1, nul);
        self.read_record_text(whole, length + 1, size, addr, offset, true);
    }

    /// `&$v`, a variable that has memory from the start.
    pub(super) fn address_of(&mut self, var: VarId) -> Value {
        match self.var_value(var) {
            VarHome::Slot(slot) => self.ir.slot_addr(slot, 0),
            VarHome::Shared => {
                let slot = self.shared_var(var);
                self.ir.slot_addr(slot, 0)
            }
            VarHome::Value(_) | VarHome::Zeros => self.no_scalar(),
        }
    }

    /// The bytes of an array as an integer, or of an integer, text or array as an array.
    pub(super) fn reinterpreted(&mut self, prepared: &Prepared, from: &Type, to: &Type) -> Prepared {
        if to.is_scalar() {
            let (addr, offset, _) = self.placed(prepared, from);
            return Prepared::Scalar(self.load_scalar(addr, offset, to));
        }
        let slot = self.ir.slot(to.size().max(from.size()));
        let addr = self.ir.slot_addr(slot, 0);
        self.fill(prepared, from, addr, 0, true);
        let (have, want) = (from.size(), to.size());
        self.zero(addr, have, want.saturating_sub(have));
        Prepared::Memory {
            addr,
            offset: 0,
            size: want,
        }
    }
}

/// Bytes from one element to the next, and how many there are.
fn element_layout(of: &Type, element: &Type) -> (u32, u32) {
    match of {
        Type::Array(inner, n) => (inner.size(), *n),
        other => (element.size(), other.size() / element.size().max(1)),
    }
}

fn space_of(address: &Expr) -> Space {
    match &address.ty {
        Type::Ptr(_, space) => *space,
        _ => Space::Kernel,
    }
}
