//! What each pass does, as text before and after.

use super::super::*;
use crate::helper::Helper;
use crate::ir::{AtomicOp, BinOp, Builder, Cond, Op, Value, Width};
use crate::plan::{BpfMapId, ProgramKind};

/// Optimises what `build` builds with map 0 of 8-byte keys; the blocks as text.
fn optimised(build: impl FnOnce(&mut Builder)) -> String {
    optimised_with(true, build)
}

fn optimised_with(lookup_reusable: bool, build: impl FnOnce(&mut Builder)) -> String {
    let mut b = Builder::new("f".into(), ProgramKind::Kprobe);
    build(&mut b);
    let facts = Facts {
        maps: vec![MapFacts {
            key_size: 8,
            lookup_reusable,
        }],
    };
    let text = optimise(b.finish(), &facts).to_string();
    // The name's line says nothing here.
    text.split_once('\n')
        .map_or(String::new(), |(_, rest)| rest.to_string())
}

#[track_caller]
fn assert_text(actual: &str, expected: &str) {
    let lines = |text: &str| {
        text.lines()
            .map(|l| l.trim().to_string())
            .filter(|l| !l.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(actual), lines(expected), "\n{actual}");
}

/// A value that nothing is known of.
fn unknown(b: &mut Builder) -> Value {
    b.emit(Op::CtxLoad {
        offset: 0,
        width: Width::B8,
        signed: false,
    })
}

/// One operation with a constant on what nothing is known of.
fn with_const(op: BinOp, c: i64) -> String {
    optimised(|b| {
        let x = unknown(b);
        let r = b.bin_imm(op, x, c);
        b.ret(r);
    })
}

#[test]
fn powers_of_two() {
    let shifted =
        |op: &str, c: u8| format!("b0:\nv0 = const {c}\nv1 = ctx.u64[0]\nv2 = v1 {op} v0\nreturn v2");
    assert_text(&with_const(BinOp::Mul, 8), &shifted("<<", 3));
    assert_text(&with_const(BinOp::UDiv, 8), &shifted(">>", 3));
    assert_text(&with_const(BinOp::URem, 8), &shifted("&", 7));
    assert_text(&with_const(BinOp::UDiv, 1), "b0:\nv0 = ctx.u64[0]\nreturn v0");
    assert_text(&with_const(BinOp::UDiv, 0), "b0:\nv0 = const 0\nreturn v0");
    assert_text(&with_const(BinOp::URem, 0), "b0:\nv0 = ctx.u64[0]\nreturn v0");
}

#[test]
fn sums_of_constants_join_and_fold_into_offsets() {
    let text = optimised(|b| {
        let x = unknown(b);
        let y = b.bin_imm(BinOp::Add, x, 10);
        let z = b.bin_imm(BinOp::Sub, y, 2);
        let r = b.load(z, 4, Width::B4);
        let same = b.emit(Op::Extend {
            bits: 32,
            signed: false,
            value: r,
        });
        b.ret(same);
    });
    assert_text(&text, "b0:\nv0 = ctx.u64[0]\nv1 = load.u32 [v0+12]\nreturn v1");
}

#[test]
fn branches_look_at_comparisons_themselves() {
    let text = optimised(|b| {
        let x = unknown(b);
        let five = b.iconst(5);
        let c = b.cmp(Cond::SLt, x, five);
        let zero = b.iconst(0);
        let not = b.cmp(Cond::Eq, c, zero);
        let (yes, no) = (b.block(), b.block());
        b.branch(Cond::Ne, not, zero, yes, no);
        b.switch_to(yes);
        b.ret(five);
        b.switch_to(no);
        b.ret(zero);
    });
    assert_text(
        &text,
        "b0:
           v0 = const 5
           v1 = const 0
           v2 = ctx.u64[0]
           if v2 s>= v0 goto b1 else b2
         b1:
           return v0
         b2:
           return v1",
    );
}

#[test]
fn a_stable_helper_is_called_once_and_a_clock_twice() {
    let text = optimised(|b| {
        let first = b.call(Helper::GetCurrentPidTgid, &[]);
        let second = b.call(Helper::GetCurrentPidTgid, &[]);
        let pid = b.bin_imm(BinOp::LShr, first, 32);
        let tid = b.bin_imm(BinOp::And, second, 0xffff_ffff);
        let (start, end) = (b.call(Helper::KtimeGetNs, &[]), b.call(Helper::KtimeGetNs, &[]));
        let sum = b.bin(BinOp::Sub, end, start);
        let sum = b.bin(BinOp::Mul, sum, pid);
        let sum = b.bin(BinOp::Mul, sum, tid);
        b.ret(sum);
    });
    assert_eq!(text.matches("get_current_pid_tgid").count(), 1, "{text}");
    assert_eq!(text.matches("ktime_get_ns").count(), 2, "{text}");
}

#[test]
fn nothing_is_computed_earlier_than_it_was() {
    let text = optimised(|b| {
        let x = unknown(b);
        let zero = b.iconst(0);
        let (left, right) = (b.block(), b.block());
        b.branch(Cond::Eq, x, zero, left, right);
        for side in [left, right] {
            b.switch_to(side);
            let id = b.call(Helper::GetCurrentPidTgid, &[]);
            b.ret(id);
        }
    });
    assert_eq!(text.matches("get_current_pid_tgid").count(), 2, "{text}");
}

/// `if (@[tid]) { @[tid] }`: looks up, branches on the element's value, looks up again with a key slot of its own, and
/// in between does what `between` adds.
fn predicate_and_body(b: &mut Builder, between: impl FnOnce(&mut Builder, Value, Value)) {
    let lookup = |b: &mut Builder| {
        let slot = b.slot(8);
        let id = b.call(Helper::GetCurrentPidTgid, &[]);
        let tid = b.emit(Op::Extend {
            bits: 32,
            signed: false,
            value: id,
        });
        let key = b.slot_addr(slot, 0);
        b.store(key, 0, Width::B8, tid);
        let map = b.emit(Op::MapPtr(BpfMapId(0)));
        let element = b.call(Helper::MapLookupElem, &[map, key]);
        let zero = b.iconst(0);
        let (found, done) = (b.block(), b.block());
        let merged = b.param(done);
        b.branch_with(Cond::Ne, element, zero, (found, &[]), (done, &[zero]));
        b.switch_to(found);
        let value = b.load(element, 0, Width::B8);
        b.jump(done, &[value]);
        b.switch_to(done);
        (merged, map, key)
    };
    let (value, map, key) = lookup(b);
    let zero = b.iconst(0);
    let (body, out) = (b.block(), b.block());
    b.branch(Cond::Ne, value, zero, body, out);
    b.switch_to(out);
    b.ret(zero);
    b.switch_to(body);
    between(b, map, key);
    let (value, ..) = lookup(b);
    b.ret(value);
}

#[test]
fn a_lookup_in_predicate_and_body_is_one() {
    let text = optimised(|b| predicate_and_body(b, |_, _, _| {}));
    // One key slot, one lookup, one null check; the element is read twice, as others may write it in between.
    assert_text(
        &text,
        "s0: 8 bytes
         b0:
           v0 = s0[0]
           v1 = map 0
           v2 = const 0
           v3 = get_current_pid_tgid()
           v4 = u32 v3
           store.u64 [v0+0], v4
           v5 = map_lookup_elem(v1, v0)
           if v5 != v2 goto b1 else b3
         b1:
           v6 = load.u64 [v5+0]
           if v6 != v2 goto b2 else b3
         b2:
           v7 = load.u64 [v5+0]
           return v7
         b3:
           return v2",
    );
}

#[test]
fn lookups_stay_where_elements_can_be_recycled() {
    let count = |text: String| text.matches("map_lookup_elem").count();
    assert_eq!(
        count(optimised_with(false, |b| predicate_and_body(b, |_, _, _| {}))),
        2
    );
    let delete = |b: &mut Builder, map, key| b.call_effect(Helper::MapDeleteElem, &[map, key]);
    assert_eq!(count(optimised(|b| predicate_and_body(b, delete))), 2);
    let update = |flags| {
        move |b: &mut Builder, map, key| {
            let flags = b.iconst(flags);
            b.call_effect(Helper::MapUpdateElem, &[map, key, key, flags]);
        }
    };
    assert_eq!(
        count(optimised(|b| predicate_and_body(b, update(0)))),
        2,
        "replaces the element"
    );
    assert_eq!(
        count(optimised(|b| predicate_and_body(b, update(1)))),
        1,
        "only inserts"
    );
}

/// Looks up key 1 twice, with an insertion in between; the sum of both addresses, which nothing has checked.
#[test]
fn null_is_not_used_again_after_an_insertion() {
    let build = |inserts: bool| {
        optimised(|b| {
            let slot = b.slot(8);
            let (key, one) = (b.slot_addr(slot, 0), b.iconst(1));
            b.store(key, 0, Width::B8, one);
            let map = b.emit(Op::MapPtr(BpfMapId(0)));
            let first = b.call(Helper::MapLookupElem, &[map, key]);
            if inserts {
                b.call_effect(Helper::MapUpdateElem, &[map, key, key, one]);
            }
            let second = b.call(Helper::MapLookupElem, &[map, key]);
            let zero = b.iconst(0);
            let (first, second) = (b.cmp(Cond::Eq, first, zero), b.cmp(Cond::Eq, second, zero));
            let sum = b.bin(BinOp::Add, first, second);
            b.ret(sum);
        })
    };
    assert_eq!(build(true).matches("map_lookup_elem").count(), 2);
    assert_eq!(build(false).matches("map_lookup_elem").count(), 1);
}

#[test]
fn lookups_by_the_name_of_the_task_are_one_and_so_are_the_names() {
    let text = optimised(|b| {
        let mut sum = b.iconst(0);
        for _ in 0..2 {
            let slot = b.slot(8);
            let (key, len) = (b.slot_addr(slot, 0), b.iconst(8));
            b.call_effect(Helper::GetCurrentComm, &[key, len]);
            let map = b.emit(Op::MapPtr(BpfMapId(0)));
            let element = b.call(Helper::MapLookupElem, &[map, key]);
            sum = b.bin(BinOp::Add, sum, element);
        }
        b.ret(sum);
    });
    assert_text(
        &text,
        "s0: 8 bytes
         b0:
           v0 = s0[0]
           v1 = const 8
           v2 = map 0
           get_current_comm(v0, v1)
           v3 = map_lookup_elem(v2, v0)
           v4 = v3 + v3
           return v4",
    );
}

#[test]
fn stores_are_forwarded_and_die() {
    let text = optimised(|b| {
        let slot = b.slot(16);
        let (x, addr) = (unknown(b), b.slot_addr(slot, 0));
        b.store(addr, 0, Width::B8, x);
        b.store(addr, 8, Width::B4, x);
        let whole = b.load(addr, 0, Width::B8);
        let part = b.emit(Op::Load {
            addr,
            offset: 8,
            width: Width::B4,
            signed: true,
        });
        let sum = b.bin(BinOp::Xor, whole, part);
        b.ret(sum);
    });
    assert_text(
        &text,
        "b0:\nv0 = ctx.u64[0]\nv1 = s32 v0\nv2 = v0 ^ v1\nreturn v2",
    );
}

#[test]
fn only_the_last_of_two_initialisations_stays() {
    let text = optimised(|b| {
        let slot = b.slot(8);
        let (x, zero, addr) = (unknown(b), b.iconst(0), b.slot_addr(slot, 0));
        b.store(addr, 0, Width::B8, zero);
        b.store(addr, 0, Width::B8, x);
        let map = b.emit(Op::MapPtr(BpfMapId(0)));
        b.call_effect(Helper::MapDeleteElem, &[map, addr]);
        b.ret(zero);
    });
    assert_eq!(text.matches("store").count(), 1, "{text}");
}

#[test]
fn map_memory_is_read_each_time_and_atomics_without_readers_lose_their_result() {
    let text = optimised(|b| {
        let (addr, one) = (b.emit(Op::Memory(24)), b.iconst(1));
        let first = b.load(addr, 0, Width::B8);
        b.atomic_fetch(AtomicOp::Add, addr, 0, one);
        let second = b.load(addr, 0, Width::B8);
        let sum = b.bin(BinOp::Sub, second, first);
        b.ret(sum);
    });
    assert_eq!(text.matches("load.u64").count(), 2, "{text}");
    assert!(
        text.lines().any(|l| l.trim_start().starts_with("atomic")),
        "{text}"
    );
}

#[test]
fn a_branch_that_a_dominating_one_decides_goes() {
    let text = optimised(|b| {
        let (x, y) = (unknown(b), b.call(Helper::KtimeGetNs, &[]));
        let (less, other, never) = (b.block(), b.block(), b.block());
        b.branch(Cond::ULt, x, y, less, other);
        b.switch_to(less);
        b.branch(Cond::Eq, y, x, never, other);
        b.switch_to(never);
        b.ret(x);
        b.switch_to(other);
        b.ret(y);
    });
    assert!(!text.contains("=="), "{text}");
}

#[test]
fn masks_that_bound_a_size_stay() {
    let text = optimised(|b| {
        let slot = b.slot(256);
        let (x, addr, zero) = (unknown(b), b.slot_addr(slot, 0), b.iconst(0));
        let mask = |b: &mut Builder| b.bin_imm(BinOp::And, x, 0x7f);
        let first = mask(b);
        b.call_effect(Helper::ProbeReadUser, &[addr, first, zero]);
        let second = mask(b);
        let map = b.emit(Op::MapPtr(BpfMapId(0)));
        b.call_effect(Helper::RingbufOutput, &[map, addr, second, zero]);
        b.ret(zero);
    });
    assert_eq!(text.matches(" & ").count(), 2, "{text}");
}
