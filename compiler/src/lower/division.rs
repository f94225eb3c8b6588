//! Division, as [`crate::hir`] defines it: toward zero, 1 and counted where it is by zero.

use super::BodyCx;
use super::value::is_signed;
use crate::hir::{ArithOp, Expr, ExprKind};
use crate::ir::{BinOp, Builder, Cond, Value};
use crate::plan::LossKind;
use crate::target::Feature;

impl BodyCx<'_> {
    /// The quotient or remainder; where the divisor may be 0, BPF's own answer (0, or the dividend) is not ours.
    pub(super) fn division(&mut self, op: ArithOp, a: Value, (b, by): (Value, &Expr), signed: bool) -> Value {
        if !op.may_divide_by_zero(by) {
            return self.quotient(op, a, b, signed);
        }
        let (by_zero, divide, done) = (self.ir.block(), self.ir.block(), self.ir.block());
        let result = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir.branch(Cond::Eq, b, zero, by_zero, divide);
        self.ir.switch_to(by_zero);
        self.count_loss(LossKind::ZeroDivision);
        let one = self.ir.iconst(1);
        self.ir.jump(done, &[one]);
        self.ir.switch_to(divide);
        let quotient = self.quotient(op, a, b, signed);
        self.ir.jump(done, &[quotient]);
        self.ir.switch_to(done);
        result
    }

    fn quotient(&mut self, op: ArithOp, a: Value, b: Value, signed: bool) -> Value {
        match op {
            _ if signed => self.signed_division(op, a, b),
            ArithOp::Div => self.ir.bin(BinOp::UDiv, a, b),
            _ => self.ir.bin(BinOp::URem, a, b),
        }
    }

    /// The constant that a signed division is by, where the target can do it in one instruction. By -1 it is not left to
    /// the kernel: before 6.12 the least number divided by it could stop the machine.
    pub(super) fn signed_divisor(&self, op: ArithOp, by: &Expr) -> Option<i32> {
        let ExprKind::Const(by_value) = by.kind else {
            return None;
        };
        let is_division = matches!(op, ArithOp::Div | ArithOp::Mod) && is_signed(&by.ty);
        let by = i32::try_from(by_value).ok().filter(|by| !matches!(by, -1 | 0))?;
        (is_division && self.target.has(Feature::SignedDivision)).then_some(by)
    }

    /// Division of magnitudes, with the sign put back: BPF has had signed division only since 6.6. The quotient's sign
    /// is that of both operands together, the remainder's that of the dividend.
    fn signed_division(&mut self, op: ArithOp, a: Value, b: Value) -> Value {
        if op == ArithOp::Div {
            return signed_quotient(&mut self.ir, a, b);
        }
        let ir = &mut self.ir;
        let (sign_a, magnitude_a) = magnitude(ir, a);
        let (_, magnitude_b) = magnitude(ir, b);
        let remainder = ir.bin(BinOp::URem, magnitude_a, magnitude_b);
        negate_if(ir, remainder, sign_a)
    }
}

/// The quotient of signed numbers, toward zero.
pub(super) fn signed_quotient(ir: &mut Builder, a: Value, b: Value) -> Value {
    let (sign_a, magnitude_a) = magnitude(ir, a);
    let (sign_b, magnitude_b) = magnitude(ir, b);
    let quotient = ir.bin(BinOp::UDiv, magnitude_a, magnitude_b);
    let sign = ir.bin(BinOp::Xor, sign_a, sign_b);
    negate_if(ir, quotient, sign)
}

/// The sign of a number, 0 or -1, and its magnitude.
pub(super) fn magnitude(ir: &mut Builder, value: Value) -> (Value, Value) {
    let sign = ir.bin_imm(BinOp::AShr, value, 63);
    (sign, negate_if(ir, value, sign))
}

/// `-value` where `sign` is -1, `value` where it is 0.
fn negate_if(ir: &mut Builder, value: Value, sign: Value) -> Value {
    let flipped = ir.bin(BinOp::Xor, value, sign);
    ir.bin(BinOp::Sub, flipped, sign)
}
