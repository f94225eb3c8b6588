//! Values as bytes, laid out as `crumbs_compiler::types` says: what reads from memory and parts of values are made of.

use crate::evaluator::Datum;
use crumbs_compiler::ctype::Bits;
use crumbs_compiler::types::{Type, align_to};

/// The datum that the front of `bytes` holds; what is missing is zeros. `Str(n)` is a character array of `n` bytes.
pub fn decode(bytes: &[u8], ty: &Type) -> Datum {
    match ty {
        Type::Str(n) => {
            let text = bytes.iter().copied().take(*n as usize);
            Datum::Text(text.take_while(|&byte| byte != 0).collect())
        }
        Type::Bytes(_) | Type::Struct(_) => {
            let mut taken = bytes.to_vec();
            taken.resize(ty.size() as usize, 0);
            Datum::Bytes(taken)
        }
        Type::Array(element, n) => {
            let at = |i| bytes.get((i * element.size()) as usize..).unwrap_or(&[]);
            Datum::Tuple((0..*n).map(|i| decode(at(i), element)).collect())
        }
        Type::Tuple(_) | Type::Record(_) => {
            let members = ty.members().zip(ty.member_offsets());
            Datum::Tuple(
                members
                    .map(|(member, at)| decode(bytes.get(at as usize..).unwrap_or(&[]), member))
                    .collect(),
            )
        }
        scalar => Datum::Number(extended(word(bytes, scalar.size()), 0, scalar.size() * 8, scalar)),
    }
}

/// Some bits of the integer at the front of `bytes`.
pub fn decode_bits(bytes: &[u8], bits: Bits, ty: &Type) -> Datum {
    let storage = word(bytes, u32::from(bits.storage));
    let unsigned = Type::U64;
    let ty = if *ty == Type::Bool || bits.is_signed(ty) {
        ty
    } else {
        &unsigned
    };
    Datum::Number(extended(storage, u32::from(bits.low), u32::from(bits.width), ty))
}

/// The bytes of a datum, as many as its type has.
pub fn encode(datum: &Datum, ty: &Type) -> Vec<u8> {
    let mut bytes = match (datum, ty) {
        (Datum::Number(n), _) => n.to_le_bytes().to_vec(),
        (Datum::Text(bytes) | Datum::Bytes(bytes), _) => bytes.clone(),
        (Datum::Tuple(elements), Type::Array(element, _)) => {
            elements.iter().flat_map(|e| encode(e, element)).collect()
        }
        (Datum::Tuple(members), ty) => {
            let mut bytes = Vec::new();
            for ((datum, member), at) in members.iter().zip(ty.members()).zip(ty.member_offsets()) {
                bytes.resize(at as usize, 0);
                bytes.extend(encode(datum, member));
            }
            bytes
        }
        (Datum::Nothing, ty) => panic!("the bytes of nothing, a {ty}"),
    };
    bytes.resize(align_to(ty.size(), 1) as usize, 0);
    bytes
}

fn word(bytes: &[u8], size: u32) -> u64 {
    let mut low = [0; 8];
    for (to, from) in low.iter_mut().zip(bytes.iter().take(size as usize)) {
        *to = *from;
    }
    u64::from_le_bytes(low)
}

/// `width` bits from bit `low` on, extended as the type says.
fn extended(word: u64, low: u32, width: u32, ty: &Type) -> i64 {
    let signed = match ty {
        Type::Int(int) => int.signed,
        Type::Enum(of) => of.int.signed,
        _ => false,
    };
    let up = 64 - low - width;
    let raised = word << up;
    let value = if signed {
        (raised as i64) >> (64 - width)
    } else {
        (raised >> (64 - width)) as i64
    };
    if *ty == Type::Bool {
        i64::from(value != 0)
    } else {
        value
    }
}
