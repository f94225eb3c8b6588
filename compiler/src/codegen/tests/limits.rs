//! Functions that BPF has no room for, and large ones that it has room for.

use super::{builder, place, sizes};
use crate::bpf::{Insn, Reg, op};
use crate::codegen::{CodegenError, compile};
use crate::helper::Helper;
use crate::ir::verify::Limits;
use crate::ir::{BinOp, Builder, Cond, Op, Value, Width, verify};
use crate::plan::BpfMapId;

fn compiled(b: Builder) -> Result<crate::bpf::Program, CodegenError> {
    let mut func = b.finish();
    place(&mut func);
    compile(&verify(func, sizes()).unwrap())
}

fn argument(b: &mut Builder) -> Value {
    b.emit(Op::CtxLoad {
        offset: 0,
        width: Width::B8,
        signed: false,
    })
}

/// 40 values that are all in use at once.
fn under_pressure(b: &mut Builder) {
    let values: Vec<_> = (0..40).map(|_| argument(b)).collect();
    let mut sum = values[0];
    for &value in values[1..].iter().rev() {
        sum = b.bin(BinOp::Xor, sum, value);
    }
    b.ret(sum);
}

#[test]
fn frame() {
    let mut b = builder();
    let slot = b.slot(400);
    let at = b.slot_addr(slot, 0);
    let zero = b.iconst(0);
    b.store(at, 0, Width::B8, zero);
    under_pressure(&mut b);
    let Err(CodegenError::FrameTooLarge { bytes, spilled }) = compiled(b) else {
        panic!("fits");
    };
    assert_eq!(bytes, 400 + spilled);
    assert!((30 * 8..=40 * 8).contains(&spilled), "{spilled}");

    let mut b = builder();
    under_pressure(&mut b);
    assert_eq!(compiled(b).unwrap().frame, spilled, "without the slot it fits");
}

/// A branch over `n` stores of one instruction each.
fn long_jump(n: usize) -> Result<crate::bpf::Program, CodegenError> {
    let mut b = builder();
    let slot = b.slot(8);
    let [far, near] = std::array::from_fn(|_| b.block());
    let zero = b.iconst(0);
    let x = argument(&mut b);
    b.branch(Cond::Eq, x, zero, near, far);
    b.switch_to(near);
    let at = b.slot_addr(slot, 0);
    for _ in 0..n {
        b.store(at, 0, Width::B8, zero);
    }
    b.jump(far, &[]);
    b.switch_to(far);
    b.ret(zero);
    compiled(b)
}

#[test]
fn jumps() {
    let longest = i16::MAX as usize;
    assert_eq!(long_jump(longest).unwrap().insns[1].off, i16::MAX);
    // There is no place for an island within a block.
    assert!(matches!(
        long_jump(longest + 1),
        Err(CodegenError::JumpTooFar { .. })
    ));
}

/// Where a jump at `at` leads, by way of jumps that only lead on.
fn destination(insns: &[Insn], at: usize) -> usize {
    let target = (at as i64 + 1 + i64::from(insns[at].off)) as usize;
    match insns[target] {
        Insn { off, .. } if insns[target] == Insn::goto(off) => destination(insns, target),
        _ => target,
    }
}

#[test]
fn islands() {
    const BLOCKS: usize = 1000;
    const STORES: usize = 120;
    let mut b = builder();
    let slot = b.slot(8);
    let out = b.block();
    let (zero, at) = (b.iconst(0), b.slot_addr(slot, 0));
    let x = argument(&mut b);
    for i in 0..BLOCKS {
        let next = b.block();
        let i = b.iconst(i as i64 + 1);
        b.branch(Cond::Eq, x, i, out, next);
        b.switch_to(next);
        for _ in 0..STORES {
            b.store(at, 0, Width::B8, zero);
        }
    }
    b.ret(zero);
    b.switch_to(out);
    let seven = b.iconst(7);
    b.ret(seven);
    let insns = compiled(b).unwrap().insns;
    assert!(insns.len() > 3 * i16::MAX as usize);
    let is_compare = |insn: &Insn| insn.code == op::JMP | op::JEQ;
    let jumps: Vec<usize> = (0..insns.len()).filter(|&at| is_compare(&insns[at])).collect();
    // The last one is turned round, because what it jumps to comes next.
    assert_eq!(jumps.len(), BLOCKS - 1);
    let found = destination(&insns, jumps[0]);
    assert_eq!(insns[found], Insn::mov_imm(Reg(0), 7));
    assert!(jumps.iter().all(|&at| destination(&insns, at) == found));
    // Few of them, since jumps to one block share an island.
    let gotos = insns.iter().filter(|insn| **insn == Insn::goto(insn.off)).count();
    assert!(gotos < 20, "{gotos}");
}

#[test]
fn maps() {
    let using = |count: u32| {
        let mut b = builder();
        let slot = b.slot(8);
        let key = b.slot_addr(slot, 0);
        for map in 0..count {
            let map = b.emit(Op::MapPtr(BpfMapId(map)));
            b.emit(Op::Call(Helper::MapDeleteElem, [map, key].into()));
        }
        let zero = b.iconst(0);
        b.ret(zero);
        let limits = Limits {
            bpf_maps: count as usize,
            memory: 0,
        };
        let mut func = b.finish();
        place(&mut func);
        compile(&verify(func, limits).unwrap())
    };
    assert!(using(64).is_ok());
    assert_eq!(using(65), Err(CodegenError::TooManyMaps { maps: 65 }));
}

#[test]
fn decisions() {
    let deciding = |count: i64| {
        let mut b = builder();
        let zero = b.iconst(0);
        let x = argument(&mut b);
        let out = b.block();
        for i in 0..count {
            let next = b.block();
            let i = b.iconst(i + 1);
            b.branch(Cond::Eq, x, i, out, next);
            b.switch_to(next);
        }
        b.ret(x);
        b.switch_to(out);
        b.ret(zero);
        compiled(b).map(drop)
    };
    assert_eq!(deciding(8192), Ok(()));
    assert_eq!(
        deciding(8193),
        Err(CodegenError::TooManyBranches { branches: 8193 })
    );
}

/// Deep nesting and long chains take neither the machine's stack nor quadratic time.
#[test]
fn large_functions() {
    const DEPTH: usize = 8_000;
    let mut b = builder();
    let mut x = argument(&mut b);
    let zero = b.iconst(0);
    let out = b.block();
    for _ in 0..DEPTH {
        let next = b.block();
        let param = b.param(next);
        let sum = b.bin_imm(BinOp::Add, x, 1);
        b.branch_with(Cond::Ne, sum, zero, (next, &[sum]), (out, &[]));
        b.switch_to(next);
        x = param;
    }
    b.ret(x);
    b.switch_to(out);
    b.ret(zero);
    let program = compiled(b).unwrap();
    // An addition and a jump each, and little else.
    assert!(program.insns.len() < 2 * DEPTH + 100, "{}", program.insns.len());
}

/// Lookups, each with a decision of its own where nothing is found. Only what is on the straight way counts.
#[test]
fn failures_are_not_on_the_way() {
    const LOOKUPS: usize = 5000;
    let mut b = builder();
    let slot = b.slot(8);
    let (zero, key) = (b.iconst(0), b.slot_addr(slot, 0));
    b.store(key, 0, Width::B8, zero);
    let x = argument(&mut b);
    for _ in 0..LOOKUPS {
        let [found, absent, other] = std::array::from_fn(|_| b.block());
        let map = b.emit(Op::MapPtr(BpfMapId(1)));
        let element = b.call(Helper::MapLookupElem, &[map, key]);
        b.branch(Cond::Ne, element, zero, found, absent);
        b.switch_to(absent);
        b.branch(Cond::Eq, x, zero, found, other);
        b.switch_to(other);
        b.store(key, 0, Width::B8, x);
        b.jump(found, &[]);
        b.switch_to(found);
    }
    b.ret(zero);
    let insns = compiled(b).unwrap().insns;
    let first = insns.iter().position(|insn| *insn == Insn::call(1)).unwrap();
    assert_eq!(
        insns[first + 1].code & 0xf0,
        op::JEQ,
        "goes on where something is found"
    );
    assert!(
        insns
            .iter()
            .any(|insn| insn.off < 0 && *insn == Insn::goto(insn.off)),
        "and comes back"
    );
}
