//! Opcodes of IR operations.

use crate::bpf::op;
use crate::ir::{BinOp, Cond, Width};

pub(super) fn is_commutative(operation: BinOp) -> bool {
    matches!(
        operation,
        BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor
    )
}

pub(super) fn alu_code(operation: BinOp) -> u8 {
    match operation {
        BinOp::Add => op::ADD,
        BinOp::Sub => op::SUB,
        BinOp::Mul => op::MUL,
        BinOp::UDiv => op::DIV,
        BinOp::URem => op::MOD,
        BinOp::And => op::AND,
        BinOp::Or => op::OR,
        BinOp::Xor => op::XOR,
        BinOp::Shl => op::LSH,
        BinOp::LShr => op::RSH,
        BinOp::AShr => op::ARSH,
    }
}

pub(super) fn jump_code(cond: Cond) -> u8 {
    match cond {
        Cond::Eq => op::JEQ,
        Cond::Ne => op::JNE,
        Cond::ULt => op::JLT,
        Cond::ULe => op::JLE,
        Cond::UGt => op::JGT,
        Cond::UGe => op::JGE,
        Cond::SLt => op::JSLT,
        Cond::SLe => op::JSLE,
        Cond::SGt => op::JSGT,
        Cond::SGe => op::JSGE,
    }
}

/// The condition that holds of `b, a` when `cond` holds of `a, b`.
pub(super) fn swapped(cond: Cond) -> Cond {
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

pub(super) fn size(width: Width) -> u8 {
    match width {
        Width::B1 => op::B,
        Width::B2 => op::H,
        Width::B4 => op::W,
        Width::B8 => op::DW,
    }
}

/// The immediate by which the low half of a register is compared like its extension to 64 bits with `c`.
pub(super) fn half_imm(cond: Cond, signed: bool, c: i64) -> Option<i32> {
    use Cond::*;
    match (cond, signed) {
        // Sign extension keeps the order of unsigned numbers too.
        (_, true) => i32::try_from(c).ok(),
        (Eq | Ne | ULt | ULe | UGt | UGe, false) => u32::try_from(c).ok().map(|c| c as i32),
        _ => None,
    }
}
