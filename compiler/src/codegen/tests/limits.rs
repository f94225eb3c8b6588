//! Functions that BPF has no room for, and large ones that it has room for.

use super::{builder, place, sizes};
use crate::codegen::{CodegenError, compile};
use crate::ir::{BinOp, Builder, Cond, Op, Value, Width, verify};

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
    assert_eq!(
        long_jump(longest + 1),
        Err(CodegenError::JumpTooFar {
            instructions: longest + 1 + 4
        })
    );
}

/// Deep nesting and long chains take neither the machine's stack nor quadratic time.
#[test]
fn large_functions() {
    const DEPTH: usize = 10_000;
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
