//! Arithmetic of the BPF instruction set on constants, and which bits of a value can be set at all.

use crate::helper::Helper;
use crate::ir::{BinOp, Cond, Op, Value};

/// The result of an operation on constants.
pub(crate) fn eval_bin(op: BinOp, a: i64, b: i64) -> i64 {
    let (ua, ub) = (a as u64, b as u64);
    let shift = (b & 63) as u32;
    match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::UDiv => ua.checked_div(ub).unwrap_or(0) as i64,
        BinOp::URem => ua.checked_rem(ub).unwrap_or(ua) as i64,
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => a << shift,
        BinOp::LShr => (ua >> shift) as i64,
        BinOp::AShr => a >> shift,
    }
}

/// Signed division of constants, as [`crate::ir::Op::SignedDiv`]; by 0 as [`eval_bin`] divides by it.
pub(crate) fn eval_signed_div(value: i64, by: i32, remainder: bool) -> i64 {
    match (by, remainder) {
        (0, false) => 0,
        (0, true) => value,
        (_, false) => value.wrapping_div(i64::from(by)),
        (_, true) => value.wrapping_rem(i64::from(by)),
    }
}

/// The low `bits` of a constant, extended.
pub(crate) fn eval_extend(bits: u8, signed: bool, value: i64) -> i64 {
    crate::types::IntType { bits, signed }.wrap(value)
}

/// Whether a comparison of constants holds.
pub(crate) fn eval_cmp(cond: Cond, a: i64, b: i64) -> bool {
    let (ua, ub) = (a as u64, b as u64);
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::ULt => ua < ub,
        Cond::ULe => ua <= ub,
        Cond::UGt => ua > ub,
        Cond::UGe => ua >= ub,
        Cond::SLt => a < b,
        Cond::SLe => a <= b,
        Cond::SGt => a > b,
        Cond::SGe => a >= b,
    }
}

/// The comparison that holds exactly where `cond` does not.
pub(crate) fn negate(cond: Cond) -> Cond {
    match cond {
        Cond::Eq => Cond::Ne,
        Cond::Ne => Cond::Eq,
        Cond::ULt => Cond::UGe,
        Cond::ULe => Cond::UGt,
        Cond::UGt => Cond::ULe,
        Cond::UGe => Cond::ULt,
        Cond::SLt => Cond::SGe,
        Cond::SLe => Cond::SGt,
        Cond::SGt => Cond::SLe,
        Cond::SGe => Cond::SLt,
    }
}

/// The comparison of `b` with `a` that is `cond` of `a` with `b`.
pub(crate) fn swap(cond: Cond) -> Cond {
    match cond {
        Cond::Eq | Cond::Ne => cond,
        Cond::ULt => Cond::UGt,
        Cond::ULe => Cond::UGe,
        Cond::UGt => Cond::ULt,
        Cond::UGe => Cond::ULe,
        Cond::SLt => Cond::SGt,
        Cond::SLe => Cond::SGe,
        Cond::SGt => Cond::SLt,
        Cond::SGe => Cond::SLe,
    }
}

/// Ones from bit 0 up to the highest one of `mask`: the greatest value that has no bit above those of `mask`.
pub(crate) fn fill(mask: u64) -> u64 {
    u64::MAX.checked_shr(mask.leading_zeros()).unwrap_or(0)
}

/// The lowest `bits` bits.
pub(crate) fn low(bits: u32) -> u64 {
    u64::MAX.checked_shr(64 - bits.min(64)).unwrap_or(0)
}

/// The bits that can be set in an operation's result, given those of its operands (`of`) and the constants among them.
pub(crate) fn possible(op: &Op, of: impl Fn(Value) -> u64, constant: impl Fn(Value) -> Option<i64>) -> u64 {
    match op {
        Op::Const(c) => *c as u64,
        Op::Cmp(..) => 1,
        Op::Load {
            width, signed: false, ..
        }
        | Op::CtxLoad {
            width, signed: false, ..
        } => low(width.bytes() * 8),
        Op::Extend {
            bits,
            signed: false,
            value,
        } => of(*value) & low(u32::from(*bits)),
        Op::Bin(op, a, b) => possible_bin(*op, of(*a), of(*b), constant(*b)),
        Op::Call(Helper::GetPrandomU32 | Helper::GetSmpProcessorId, _) => low(32),
        _ => u64::MAX,
    }
}

fn possible_bin(op: BinOp, a: u64, b: u64, constant: Option<i64>) -> u64 {
    let top = |mask: u64| 64 - mask.leading_zeros();
    match (op, constant) {
        (BinOp::And, _) => a & b,
        (BinOp::Or | BinOp::Xor, _) => a | b,
        (BinOp::Add, _) => low(top(a).max(top(b)) + 1),
        (BinOp::Mul, _) => low(top(a) + top(b)),
        (BinOp::Shl, Some(c)) => a << (c & 63),
        (BinOp::LShr, Some(c)) => a >> (c & 63),
        (BinOp::LShr | BinOp::UDiv, _) => fill(a),
        (BinOp::URem, Some(c)) if c != 0 => fill(a) & fill((c as u64) - 1),
        (BinOp::URem, _) => fill(a),
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_zero_is_as_the_isa_says() {
        assert_eq!(eval_bin(BinOp::UDiv, 7, 0), 0);
        assert_eq!(eval_bin(BinOp::URem, 7, 0), 7);
        assert_eq!(eval_bin(BinOp::Shl, 1, 65), 2);
        assert_eq!(eval_bin(BinOp::AShr, -8, 1), -4);
        assert_eq!(eval_bin(BinOp::LShr, -1, 63), 1);
    }

    #[test]
    fn masks() {
        assert_eq!(fill(0), 0);
        assert_eq!(fill(0b100), 0b111);
        assert_eq!(fill(u64::MAX), u64::MAX);
        assert_eq!(low(0), 0);
        assert_eq!(low(64), u64::MAX);
        assert_eq!(low(65), u64::MAX);
    }

    #[test]
    fn possible_bits_cover_every_result() {
        let samples = [
            0,
            1,
            2,
            3,
            7,
            8,
            63,
            64,
            255,
            256,
            1 << 31,
            1 << 62,
            i64::MAX,
            i64::MIN,
            -1,
            -8,
        ];
        let ops = [
            BinOp::Add,
            BinOp::Sub,
            BinOp::Mul,
            BinOp::UDiv,
            BinOp::URem,
            BinOp::And,
            BinOp::Or,
            BinOp::Xor,
            BinOp::Shl,
            BinOp::LShr,
            BinOp::AShr,
        ];
        for op in ops {
            for a in samples {
                for b in samples {
                    let result = eval_bin(op, a, b) as u64;
                    for constant in [None, Some(b)] {
                        let mask = possible_bin(op, a as u64, b as u64, constant);
                        assert_eq!(result & !mask, 0, "{op:?} {a} {b}");
                    }
                }
            }
        }
    }
}
