//! Arithmetic and comparisons of RFC 9669, as pure functions on register values.

use super::insn::{Alu, Atomic, Cond, Order};

/// `a op b` on one width.
macro_rules! binary {
    ($op:expr, $a:expr, $b:expr, $unsigned:ty, $signed:ty) => {{
        let (a, b): ($unsigned, $unsigned) = ($a, $b);
        let (signed_a, signed_b) = (a as $signed, b as $signed);
        let shift = (b & (<$unsigned>::BITS - 1) as $unsigned) as u32;
        match $op {
            Alu::Add => a.wrapping_add(b),
            Alu::Sub => a.wrapping_sub(b),
            Alu::Mul => a.wrapping_mul(b),
            Alu::Div => a.checked_div(b).unwrap_or(0),
            Alu::SDiv if b == 0 => 0,
            Alu::SDiv => signed_a.wrapping_div(signed_b) as $unsigned,
            Alu::Or => a | b,
            Alu::And => a & b,
            Alu::Lsh => a << shift,
            Alu::Rsh => a >> shift,
            Alu::Mod => a.checked_rem(b).unwrap_or(a),
            Alu::SMod if b == 0 => a,
            Alu::SMod => signed_a.wrapping_rem(signed_b) as $unsigned,
            Alu::Xor => a ^ b,
            Alu::Mov => b,
            Alu::Arsh => (signed_a >> shift) as $unsigned,
        }
    }};
}

/// `a op b` on 64 bits.
pub fn binary64(op: Alu, a: u64, b: u64) -> u64 {
    binary!(op, a, b, u64, i64)
}

/// `a op b` on the low 32 bits; the result is zero-extended.
pub fn binary32(op: Alu, a: u64, b: u64) -> u64 {
    u64::from(binary!(op, a as u32, b as u32, u32, i32))
}

/// The low `bits` of a value, sign-extended to 64.
pub fn sign_extend(value: u64, bits: u32) -> u64 {
    let shift = 64 - bits;
    (((value << shift) as i64) >> shift) as u64
}

/// Converts the byte order of the low `bits`; the result is zero-extended.
pub fn swap(order: Order, bits: u8, value: u64) -> u64 {
    let is_swapped = match order {
        Order::Little => false,
        Order::Big | Order::Swap => true,
    };
    match (bits, is_swapped) {
        (16, true) => u64::from((value as u16).swap_bytes()),
        (16, false) => u64::from(value as u16),
        (32, true) => u64::from((value as u32).swap_bytes()),
        (32, false) => u64::from(value as u32),
        (_, true) => value.swap_bytes(),
        (_, false) => value,
    }
}

/// Whether `a cond b` holds on 64 or the low 32 bits.
pub fn compare(cond: Cond, wide: bool, a: u64, b: u64) -> bool {
    let (a, b, sa, sb) = if wide {
        (a, b, a as i64, b as i64)
    } else {
        (
            u64::from(a as u32),
            u64::from(b as u32),
            i64::from(a as i32),
            i64::from(b as i32),
        )
    };
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Set => a & b != 0,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::SGt => sa > sb,
        Cond::SGe => sa >= sb,
        Cond::SLt => sa < sb,
        Cond::SLe => sa <= sb,
    }
}

/// What an atomic operation leaves in memory; `expected` matters to compare-and-exchange only. For 4-byte operations
/// all three are zero-extended, and the low 4 bytes of the result count.
pub fn atomic(op: Atomic, old: u64, operand: u64, expected: u64) -> u64 {
    match op {
        Atomic::Add => old.wrapping_add(operand),
        Atomic::Or => old | operand,
        Atomic::And => old & operand,
        Atomic::Xor => old ^ operand,
        Atomic::Exchange => operand,
        Atomic::CompareExchange if old == expected => operand,
        Atomic::CompareExchange => old,
    }
}
