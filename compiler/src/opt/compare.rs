//! Simplification of comparisons, for [`super::simplify`].

use super::bits::{eval_cmp, fill, negate, swap};
use super::simplify::Cx;
use crate::ir::{BinOp, Cond, Op, Value};

/// What a comparison turned out to be.
pub(crate) enum Comparison {
    /// In its simplest form.
    Same,
    /// True or false.
    Known(bool),
    /// The same as this simpler one.
    Of(Cond, Value, Value),
}

/// One step of simplification of `a cond b`.
pub(crate) fn simplify(cx: &mut Cx<'_>, cond: Cond, a: Value, b: Value) -> Comparison {
    if a == b {
        return Comparison::Known(eval_cmp(cond, 0, 0));
    }
    match (cx.constant(a), cx.constant(b)) {
        (Some(ca), Some(cb)) => Comparison::Known(eval_cmp(cond, ca, cb)),
        (Some(_), None) => Comparison::Of(swap(cond), b, a),
        (None, Some(c)) => with_constant(cx, cond, a, b, c),
        (None, None) => Comparison::Same,
    }
}

fn with_constant(cx: &mut Cx<'_>, cond: Cond, a: Value, b: Value, c: i64) -> Comparison {
    if let Some(truth) = known(cond, cx.possible(a), c) {
        return Comparison::Known(truth);
    }
    if let Some(cond) = unsigned(cond, cx.possible(a), c) {
        return Comparison::Of(cond, a, b);
    }
    // Around zero, orderings are equalities, which take part in more rules.
    match (cond, c) {
        (Cond::ULe, 0) => return Comparison::Of(Cond::Eq, a, b),
        (Cond::UGt, 0) => return Comparison::Of(Cond::Ne, a, b),
        (Cond::ULt, 1) => return Comparison::Of(Cond::Eq, a, cx.make_const(0)),
        (Cond::UGe, 1) => return Comparison::Of(Cond::Ne, a, cx.make_const(0)),
        _ => {}
    }
    let is_equality = matches!(cond, Cond::Eq | Cond::Ne);
    let is_truth = cx.possible(a) & !1 == 0;
    match cx.def(a) {
        Some(Op::SlotAddr(..) | Op::Memory(_) | Op::ElementAddr { .. }) if is_equality && c == 0 => {
            Comparison::Known(cond == Cond::Ne)
        }
        Some(&Op::Cmp(inner, x, y)) if is_equality && (c == 0 || c == 1) => {
            let wants = (cond == Cond::Ne) == (c == 0);
            Comparison::Of(if wants { inner } else { negate(inner) }, x, y)
        }
        Some(&Op::Bin(op @ (BinOp::Add | BinOp::Xor), x, y)) if is_equality => match cx.constant(y) {
            Some(y) => {
                let c = match op {
                    BinOp::Add => c.wrapping_sub(y),
                    _ => c ^ y,
                };
                Comparison::Of(cond, x, cx.make_const(c))
            }
            None => Comparison::Same,
        },
        _ if is_equality && is_truth && c == 1 => {
            let cond = if cond == Cond::Eq { Cond::Ne } else { Cond::Eq };
            Comparison::Of(cond, a, cx.make_const(0))
        }
        _ => Comparison::Same,
    }
}

/// Whether a value with no bits but those of `mask` compares with `c` in one way only.
fn known(cond: Cond, mask: u64, c: i64) -> Option<bool> {
    let (max, uc) = (fill(mask), c as u64);
    match cond {
        Cond::Eq if uc & !mask != 0 => Some(false),
        Cond::Ne if uc & !mask != 0 => Some(true),
        Cond::ULt if max < uc => Some(true),
        Cond::ULe if max <= uc => Some(true),
        Cond::UGt if max <= uc => Some(false),
        Cond::UGe if max < uc => Some(false),
        Cond::ULt if uc == 0 => Some(false),
        Cond::UGe if uc == 0 => Some(true),
        // The value is not negative, the constant is.
        Cond::SLt | Cond::SLe if mask >> 63 == 0 && c < 0 => Some(false),
        Cond::SGt | Cond::SGe if mask >> 63 == 0 && c < 0 => Some(true),
        _ => None,
    }
}

/// The unsigned comparison that a signed one amounts to where neither side is negative.
fn unsigned(cond: Cond, mask: u64, c: i64) -> Option<Cond> {
    if mask >> 63 != 0 || c < 0 {
        return None;
    }
    match cond {
        Cond::SLt => Some(Cond::ULt),
        Cond::SLe => Some(Cond::ULe),
        Cond::SGt => Some(Cond::UGt),
        Cond::SGe => Some(Cond::UGe),
        _ => None,
    }
}
