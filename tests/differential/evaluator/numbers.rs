//! Numbers and values, apart from what they stand in.

use super::*;

pub(super) fn number(datum: &Datum) -> i64 {
    match datum {
        Datum::Number(n) => *n,
        other => panic!("{other:?} as a number"),
    }
}

/// What a place holds before anything is stored.
pub(super) fn zeros(ty: &Type) -> Datum {
    match ty {
        Type::Str(_) => Datum::Text(Vec::new()),
        Type::Bytes(_) | Type::Struct(_) | Type::Array(..) => bytes::decode(&[], ty),
        Type::Tuple(_) | Type::Record(_) => Datum::Tuple(ty.members().map(zeros).collect()),
        _ => Datum::Number(0),
    }
}

/// Most bytes of text that a type holds.
pub(super) fn capacity(ty: &Type) -> usize {
    match ty {
        Type::Str(n) => *n as usize - 1,
        other => panic!("the length of a {other}"),
    }
}

/// Text up to its NUL, and at most `most` bytes of it.
pub(super) fn cut(text: &[u8], most: usize) -> Vec<u8> {
    text.iter()
        .copied()
        .take(most)
        .take_while(|&byte| byte != 0)
        .collect()
}

/// A part of a value, whose bytes begin here.
pub(super) fn member_at(bytes: &[u8], bits: Option<Bits>, ty: &Type) -> Datum {
    match (bits, ty) {
        (Some(bits), _) => bytes::decode_bits(bytes, bits, ty),
        // The type has room for a NUL that the array need not have.
        (None, Type::Str(n)) => bytes::decode(bytes, &Type::Str(n - 1)),
        (None, ty) => bytes::decode(bytes, ty),
    }
}

pub(super) fn is_signed(ty: &Type) -> bool {
    match ty {
        Type::Int(int) => int.signed,
        Type::Enum(of) => of.int.signed,
        _ => false,
    }
}

/// The low `bits`, extended again.
pub(super) fn wrap(value: i64, bits: u32, signed: bool) -> i64 {
    match (bits, signed) {
        (8, true) => i64::from(value as i8),
        (8, false) => i64::from(value as u8),
        (16, true) => i64::from(value as i16),
        (16, false) => i64::from(value as u16),
        (32, true) => i64::from(value as i32),
        (32, false) => i64::from(value as u32),
        _ => value,
    }
}

pub(super) fn wrap_to(value: i64, ty: &Type) -> i64 {
    match ty {
        Type::Int(int) => wrap(value, u32::from(int.bits), int.signed),
        Type::Enum(of) => wrap(value, u32::from(of.int.bits), of.int.signed),
        _ => value,
    }
}

pub(super) fn arith(op: ArithOp, a: i64, b: i64, signed: bool) -> i64 {
    let (ua, ub) = (a as u64, b as u64);
    match op {
        ArithOp::Add => a.wrapping_add(b),
        ArithOp::Sub => a.wrapping_sub(b),
        ArithOp::Mul => a.wrapping_mul(b),
        ArithOp::Div | ArithOp::Mod if b == 0 => 1,
        ArithOp::Div if signed => a.wrapping_div(b),
        ArithOp::Div => (ua / ub) as i64,
        ArithOp::Mod if signed => a.wrapping_rem(b),
        ArithOp::Mod => (ua % ub) as i64,
        ArithOp::Shl => a << (b & 63),
        ArithOp::Shr if signed => a >> (b & 63),
        ArithOp::Shr => (ua >> (b & 63)) as i64,
        ArithOp::And => a & b,
        ArithOp::Or => a | b,
        ArithOp::Xor => a ^ b,
    }
}

pub(super) fn compare(op: CompareOp, a: &Datum, b: &Datum, signed: bool) -> bool {
    let order = match (a, b) {
        (Datum::Number(a), Datum::Number(b)) if !signed => (*a as u64).cmp(&(*b as u64)),
        (a, b) => a.cmp(b),
    };
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

pub(super) fn convert(datum: Datum, from: &Type, to: &Type) -> Datum {
    match (datum, from, to) {
        (Datum::Number(n), _, Type::Bool) => Datum::Number(i64::from(n != 0)),
        (datum @ Datum::Number(_), from, to @ Type::Array(..))
        | (datum, from @ Type::Array(..), to @ Type::Int(_)) => {
            bytes::decode(&bytes::encode(&datum, from), to)
        }
        (datum, from @ (Type::Array(..) | Type::Str(_)), to @ Type::Array(..)) => {
            bytes::decode(&bytes::encode(&datum, from), to)
        }
        (Datum::Number(n), _, to) => Datum::Number(wrap_to(n, to)),
        (Datum::Text(text), _, Type::Str(n)) => Datum::Text(cut(&text, *n as usize - 1)),
        (Datum::Tuple(members), Type::Tuple(from), Type::Tuple(to)) => Datum::Tuple(
            members
                .into_iter()
                .zip(from.iter().zip(to))
                .map(|(member, (from, to))| convert(member, from, to))
                .collect(),
        ),
        (Datum::Tuple(members), Type::Record(from), Type::Record(to)) => Datum::Tuple(
            to.iter()
                .map(|(name, to)| {
                    let at = from.iter().position(|(other, _)| other == name);
                    let at = at.unwrap_or_else(|| panic!("no field {name}"));
                    convert(members[at].clone(), &from[at].1, to)
                })
                .collect(),
        ),
        (datum, from, to) => panic!("{datum:?} from {from} to {to}"),
    }
}
