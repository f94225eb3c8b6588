//! What small programs become, instruction by instruction.

use super::{builder, compile, text};
use crate::helper::Helper;
use crate::ir::{AtomicOp, BinOp, Builder, Cond, Op, Value, Width};
use crate::plan::BpfMapId;

#[track_caller]
fn becomes(build: impl FnOnce(&mut Builder), expected: &[&str]) {
    let mut b = builder();
    build(&mut b);
    if !b.is_terminated() {
        let zero = b.iconst(0);
        b.ret(zero);
    }
    assert_eq!(text(&compile(b.finish())), expected);
}

fn argument(b: &mut Builder, offset: i16) -> Value {
    b.emit(Op::CtxLoad {
        offset,
        width: Width::B8,
        signed: false,
    })
}

#[test]
fn the_least_program() {
    becomes(|_| {}, &["r0 = 0", "exit"]);
}

#[test]
fn constants() {
    for (value, expected) in [
        (-1, "r0 = -1"),
        (0x7fff_ffff, "r0 = 2147483647"),
        (0xffff_ffff, "w0 = -1"),
        (1 << 32, "r0 = 0x100000000"),
        (i64::MIN, "r0 = 0x8000000000000000"),
    ] {
        becomes(
            |b| {
                let value = b.iconst(value);
                b.ret(value);
            },
            &[expected, "exit"],
        );
    }
}

#[test]
fn arithmetic_with_constants() {
    for (op, c, expected) in [
        (BinOp::Add, 5, "r0 += 5"),
        (BinOp::Sub, 5, "r0 -= 5"),
        (BinOp::Mul, 8, "r0 <<= 3"),
        (BinOp::UDiv, 1 << 40, "r0 >>= 40"),
        (BinOp::URem, 16, "r0 &= 15"),
        (BinOp::And, 0xffff_0000, "w0 &= -65536"),
        (BinOp::AShr, 65, "r0 s>>= 1"),
    ] {
        becomes(
            |b| {
                let a = argument(b, 0);
                let r = b.bin_imm(op, a, c);
                b.ret(r);
            },
            &["r0 = *(u64 *)(r1 + 0)", expected, "exit"],
        );
    }
    becomes(
        |b| {
            let a = argument(b, 0);
            let r = b.bin_imm(BinOp::UDiv, a, 0);
            b.ret(r);
        },
        &["r0 = 0", "exit"],
    );
}

#[test]
fn stores_of_constants_and_narrowed_values() {
    becomes(
        |b| {
            let slot = b.slot(16);
            let addr = b.slot_addr(slot, 8);
            let minus = b.iconst(-1);
            b.store(addr, 0, Width::B8, minus);
            let wide = b.iconst(0x1_0000_0002);
            b.store(addr, -4, Width::B4, wide);
            let a = argument(b, 0);
            let low = b.emit(Op::Extend {
                bits: 32,
                signed: true,
                value: a,
            });
            b.store(addr, -8, Width::B4, low);
        },
        &[
            "*(u64 *)(r10 - 8) = -1",
            "*(u32 *)(r10 - 12) = 2",
            "r4 = *(u64 *)(r1 + 0)",
            "*(u32 *)(r10 - 16) = r4",
            "r0 = 0",
            "exit",
        ],
    );
}

#[test]
fn comparisons_fold_into_branches() {
    becomes(
        |b| {
            let [then, otherwise] = std::array::from_fn(|_| b.block());
            let (x, y) = (argument(b, 0), argument(b, 8));
            let less = b.cmp(Cond::SLt, x, y);
            let zero = b.iconst(0);
            b.branch(Cond::Ne, less, zero, then, otherwise);
            b.switch_to(then);
            let one = b.iconst(1);
            b.ret(one);
            b.switch_to(otherwise);
            b.ret(zero);
        },
        &[
            "r2 = *(u64 *)(r1 + 0)",
            "r4 = *(u64 *)(r1 + 8)",
            "if r2 s>= r4 goto +2",
            "r0 = 1",
            "exit",
            "r0 = 0",
            "exit",
        ],
    );
}

#[test]
fn comparison_as_a_value() {
    becomes(
        |b| {
            let x = argument(b, 0);
            let three = b.iconst(3);
            let less = b.cmp(Cond::ULt, three, x);
            b.ret(less);
        },
        &[
            "r2 = *(u64 *)(r1 + 0)",
            "r0 = 1",
            "if r2 > 3 goto +1",
            "r0 = 0",
            "exit",
        ],
    );
}

#[test]
fn map_errors_compare_32_bits() {
    becomes(
        |b| {
            let [then, out] = std::array::from_fn(|_| b.block());
            let slot = b.slot(8);
            let key = b.slot_addr(slot, 0);
            let zero = b.iconst(0);
            b.store(key, 0, Width::B8, zero);
            let map = b.emit(Op::MapPtr(BpfMapId(1)));
            let flags = b.iconst(1);
            let error = b.call(Helper::MapUpdateElem, &[map, key, key, flags]);
            let error = b.emit(Op::Extend {
                bits: 32,
                signed: true,
                value: error,
            });
            let exists = b.iconst(-17);
            b.branch(Cond::Eq, error, exists, then, out);
            b.switch_to(then);
            let memory = b.emit(Op::Memory(24));
            let one = b.iconst(1);
            b.atomic(AtomicOp::Add, memory, 8, one);
            b.jump(out, &[]);
            b.switch_to(out);
        },
        &[
            "*(u64 *)(r10 - 8) = 0",
            "r1 = map[second]",
            "r2 = r10",
            "r2 += -8",
            "r3 = r10",
            "r3 += -8",
            "r4 = 1",
            "call map_update_elem#2",
            "if w0 != -17 goto +4",
            "r5 = memory[32]",
            "r0 = 1",
            "lock *(u64 *)(r5 + 0) += r0",
            "r0 = 0",
            "exit",
        ],
    );
}

/// The shape of `uprobe:… < @ = hist(arg2) >`: nothing but the work.
#[test]
fn histogram_program_has_no_moves() {
    becomes(
        |b| {
            let value = argument(b, 96);
            let mut shifted = value;
            let mut log = None;
            for shift in [32, 16] {
                let limit = b.iconst(1i64 << shift);
                let big = b.cmp(Cond::UGe, shifted, limit);
                let amount = b.bin_imm(BinOp::Shl, big, i64::from(shift as u32).trailing_zeros().into());
                shifted = b.bin(BinOp::LShr, shifted, amount);
                log = Some(match log {
                    Some(log) => b.bin(BinOp::Or, log, amount),
                    None => amount,
                });
            }
            let index = log.unwrap();
            let cpu = b.call(Helper::GetSmpProcessorId, &[]);
            let base = b.emit(Op::Memory(64));
            let stripe = b.emit(Op::ElementAddr {
                base,
                index: cpu,
                count: 128,
                stride: 1024,
            });
            let bucket = b.emit(Op::ElementAddr {
                base: stripe,
                index,
                count: 64,
                stride: 8,
            });
            let one = b.iconst(1);
            b.atomic(AtomicOp::Add, bucket, 16, one);
        },
        &[
            "r1 = *(u64 *)(r1 + 96)",
            "r5 = 0x100000000",
            "r6 = 1",
            "if r1 >= r5 goto +1",
            "r6 = 0",
            "r6 <<= 5",
            "r1 >>= r6",
            "r0 = 1",
            "if r1 >= 65536 goto +1",
            "r0 = 0",
            "r0 <<= 4",
            "r6 |= r0",
            "call get_smp_processor_id#8",
            "r1 = memory[64]",
            "r0 &= 127",
            "r0 <<= 10",
            "r0 += r1",
            "r6 &= 63",
            "r6 <<= 3",
            "r6 += r0",
            "r0 = 1",
            "lock *(u64 *)(r6 + 16) += r0",
            "r0 = 0",
            "exit",
        ],
    );
}

#[test]
fn pseudo_instructions() {
    becomes(
        |b| {
            let (x, y) = (argument(b, 0), argument(b, 8));
            let base = b.emit(Op::Memory(64));
            let element = b.emit(Op::ElementAddr {
                base,
                index: x,
                count: 16,
                stride: 24,
            });
            let old = b.emit(Op::CompareExchange {
                addr: element,
                offset: 8,
                expected: x,
                new: y,
            });
            b.ret(old);
        },
        &[
            "r0 = *(u64 *)(r1 + 0)",
            "r4 = *(u64 *)(r1 + 8)",
            "r1 = memory[64]",
            "r2 = r0",
            "r2 &= 15",
            "r2 *= 24",
            "r2 += r1",
            "r0 = cmpxchg(*(u64 *)(r2 + 8), r0, r4)",
            "exit",
        ],
    );
    becomes(
        |b| {
            let slot = b.slot(8);
            let key = b.slot_addr(slot, 0);
            let selector = b.emit(Op::Memory(24));
            let selector = b.load(selector, 0, Width::B8);
            b.store(key, 0, Width::B8, selector);
            let map = b.emit(Op::MapSelect {
                selector,
                maps: [BpfMapId(0), BpfMapId(1)],
            });
            b.call_effect(Helper::MapDeleteElem, &[map, key]);
        },
        &[
            "r1 = memory[24]",
            "r2 = *(u64 *)(r1 + 0)",
            "*(u64 *)(r10 - 8) = r2",
            "r1 = map[second]",
            "if r2 != 0 goto +2",
            "r1 = map[first]",
            "r2 = r10",
            "r2 += -8",
            "call map_delete_elem#3",
            "r0 = 0",
            "exit",
        ],
    );
    becomes(
        |b| {
            let slot = b.slot(64);
            let to = b.slot_addr(slot, 0);
            let (size, from) = (argument(b, 0), argument(b, 8));
            b.effect(Op::CallBounded {
                helper: Helper::ProbeReadUser,
                args: [to, size, from].into(),
                bounded: 1,
                max: 64,
            });
            b.ret(size);
        },
        &[
            "r6 = *(u64 *)(r1 + 0)",
            "r3 = *(u64 *)(r1 + 8)",
            "r2 = r6",
            "r1 = r10",
            "r1 += -64",
            "if r2 <= 64 goto +1",
            "r2 = 64",
            "call probe_read_user#112",
            "r0 = r6",
            "exit",
        ],
    );
}

/// The context survives a call in a register that calls leave alone, and is read at constant offsets from there.
#[test]
fn context_after_a_call() {
    becomes(
        |b| {
            b.call_effect(Helper::KtimeGetNs, &[]);
            let x = argument(b, 96);
            let ctx = b.emit(Op::Ctx);
            let cookie = b.call(Helper::GetAttachCookie, &[ctx]);
            let sum = b.bin(BinOp::Add, cookie, x);
            b.ret(sum);
        },
        &[
            "r6 = r1",
            "call ktime_get_ns#5",
            "r1 = r6",
            "r6 = *(u64 *)(r1 + 96)",
            "call get_attach_cookie#174",
            "r0 += r6",
            "exit",
        ],
    );
}

#[test]
fn unused_values_cost_nothing() {
    becomes(
        |b| {
            let x = argument(b, 0);
            let memory = b.emit(Op::Memory(0));
            let loaded = b.load(memory, 0, Width::B8);
            let sum = b.bin(BinOp::Add, x, loaded);
            b.cmp(Cond::Eq, sum, x);
        },
        &["r0 = 0", "exit"],
    );
}

#[test]
fn accesses_share_a_base() {
    becomes(
        |b| {
            let one = b.iconst(1);
            for at in [128, 64, 3000] {
                let addr = b.emit(Op::Memory(at));
                b.atomic(AtomicOp::Add, addr, 0, one);
            }
            let x = argument(b, 0);
            let p = b.bin_imm(BinOp::Add, x, 16);
            let q = b.bin_imm(BinOp::Sub, p, 8);
            let r = b.load(q, 4, Width::B4);
            b.ret(r);
        },
        &[
            "r2 = memory[128]",
            "r4 = 1",
            "lock *(u64 *)(r2 + 0) += r4",
            "lock *(u64 *)(r2 - 64) += r4",
            "lock *(u64 *)(r2 + 2872) += r4",
            "r0 = *(u64 *)(r1 + 0)",
            "r0 = *(u32 *)(r0 + 12)",
            "exit",
        ],
    );
}
