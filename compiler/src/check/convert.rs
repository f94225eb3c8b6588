//! Conversions of typed expressions.

use super::facts::are_distinct;
use crate::hir::{ArithOp, CompareOp, Expr, ExprKind, UnaryOp};
use crate::types::{IntType, Type};

/// Whether the language converts `from` to `to` by itself: between numbers and booleans, between capacities of text,
/// between addresses, but for those of different structs, member by member.
pub(super) fn converts(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Int(_) | Type::Bool | Type::Enum(_), Type::Int(_) | Type::Bool)
        | (Type::Str(_), Type::Str(_)) => true,
        (Type::Ptr(a, _), Type::Ptr(b, _)) => !are_distinct(a, b),
        (Type::Buffer(a), Type::Buffer(b)) => a <= b,
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| converts(a, b))
        }
        (Type::Record(a), Type::Record(b)) => {
            let converts = |(name, from): &(String, Type)| {
                let same = b.iter().find(|(other, _)| other == name);
                same.is_some_and(|(_, to)| converts(from, to))
            };
            a.len() == b.len() && a.iter().all(converts)
        }
        _ => from == to,
    }
}

/// `expr` as a `to`, which it converts to, or which a cast asks for. What is constant stays so.
pub(super) fn as_type(mut expr: Expr, to: &Type) -> Expr {
    if expr.ty == *to {
        return expr;
    }
    expr.kind = match (expr.kind, to) {
        (ExprKind::Const(value), to) if to.is_scalar() => ExprKind::Const(wrapped(value, to)),
        // A literal that fits is stored in the greater capacity as it is.
        (ExprKind::Str(text), Type::Str(n)) if text.len() < *n as usize => ExprKind::Str(text),
        (ExprKind::Tuple(members), Type::Tuple(types)) => {
            let members = members
                .into_iter()
                .zip(types)
                .map(|(member, ty)| as_type(member, ty));
            ExprKind::Tuple(members.collect())
        }
        (ExprKind::Tuple(members), Type::Record(types)) if has_names(&expr.ty, types) => {
            let members = members.into_iter().zip(types);
            ExprKind::Tuple(members.map(|(member, (_, ty))| as_type(member, ty)).collect())
        }
        (kind, _) => ExprKind::Convert(Box::new(Expr { kind, ..expr })),
    };
    expr.ty = to.clone();
    expr
}

/// Whether a record type has these fields in this order.
fn has_names(ty: &Type, fields: &[(String, Type)]) -> bool {
    let Type::Record(own) = ty else { return false };
    own.iter()
        .map(|(name, _)| name)
        .eq(fields.iter().map(|(name, _)| name))
}

fn wrapped(value: i64, to: &Type) -> i64 {
    match to {
        Type::Int(int) => int.wrap(value),
        Type::Enum(of) => of.int.wrap(value),
        Type::Bool => i64::from(value != 0),
        _ => value,
    }
}

/// The value of an expression of literals, where it is one.
pub(super) fn const_value(expr: &Expr) -> Option<i64> {
    let value = match &expr.kind {
        ExprKind::Const(value) => *value,
        ExprKind::Convert(of) if of.ty.is_scalar() => wrapped(const_value(of)?, &expr.ty),
        ExprKind::Unary(UnaryOp::Neg, of) => const_value(of)?.wrapping_neg(),
        ExprKind::Unary(UnaryOp::BitNot, of) => !const_value(of)?,
        ExprKind::Unary(UnaryOp::Not, of) => i64::from(const_value(of)? == 0),
        ExprKind::Compare(op, a, b) => i64::from(compared(*op, a, b)?),
        ExprKind::And(a, b) => match (const_value(a), const_value(b)) {
            (Some(0), _) => 0,
            (Some(_), Some(b)) => i64::from(b != 0),
            _ => return None,
        },
        ExprKind::Or(a, b) => match (const_value(a)?, const_value(b)) {
            (0, b) => i64::from(b? != 0),
            _ => 1,
        },
        ExprKind::Ternary(c, a, b) => const_value(if const_value(c)? != 0 { a } else { b })?,
        ExprKind::Member(of, index) => const_value(written_member(of, *index)?)?,
        ExprKind::Arith(op, a, b) => {
            let Type::Int(int) = a.ty else {
                return None;
            };
            arithmetic(*op, const_value(a)?, const_value(b)?, int)?
        }
        _ => return None,
    };
    Some(wrapped(value, &expr.ty))
}

/// The text of an expression of literals, where it is one.
pub(super) fn const_text(expr: &Expr) -> Option<&[u8]> {
    match (&expr.kind, &expr.ty) {
        (ExprKind::Str(text), _) => Some(text),
        (ExprKind::Convert(of), Type::Str(capacity)) => {
            const_text(of).filter(|text| text.len() < *capacity as usize)
        }
        (ExprKind::Ternary(c, a, b), _) => const_text(if const_value(c)? != 0 { a } else { b }),
        (ExprKind::Member(of, index), _) => const_text(written_member(of, *index)?),
        _ => None,
    }
}

/// A member of a tuple that is written out.
fn written_member(tuple: &Expr, index: u32) -> Option<&Expr> {
    match &tuple.kind {
        ExprKind::Tuple(members) => members.get(index as usize),
        _ => None,
    }
}

/// The result of a comparison of literals.
fn compared(op: CompareOp, a: &Expr, b: &Expr) -> Option<bool> {
    let order = match (&a.kind, &b.kind) {
        (ExprKind::Tuple(a), ExprKind::Tuple(b)) if a.len() == b.len() => {
            let members = a.iter().zip(b).map(|(a, b)| compared(CompareOp::Eq, a, b));
            let equal = members
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .all(|equal| equal);
            return match op {
                CompareOp::Eq => Some(equal),
                CompareOp::Ne => Some(!equal),
                _ => None,
            };
        }
        _ => match (const_text(a), const_text(b)) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => {
                let (x, y) = (const_value(a)?, const_value(b)?);
                match a.ty {
                    Type::Int(int) if !int.signed => (x as u64).cmp(&(y as u64)),
                    _ => x.cmp(&y),
                }
            }
        },
    };
    Some(match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    })
}

/// `None` for what is better left to run time: a division by zero.
fn arithmetic(op: ArithOp, a: i64, b: i64, int: IntType) -> Option<i64> {
    Some(match op {
        ArithOp::Add => a.wrapping_add(b),
        ArithOp::Sub => a.wrapping_sub(b),
        ArithOp::Mul => a.wrapping_mul(b),
        ArithOp::Div | ArithOp::Mod if b == 0 => return None,
        ArithOp::Div if int.signed => a.wrapping_div(b),
        ArithOp::Div => (a as u64 / b as u64) as i64,
        ArithOp::Mod if int.signed => a.wrapping_rem(b),
        ArithOp::Mod => (a as u64 % b as u64) as i64,
        ArithOp::Shl => a.wrapping_shl(b as u32),
        ArithOp::Shr if int.signed => a.wrapping_shr(b as u32),
        ArithOp::Shr => (a as u64).wrapping_shr(b as u32) as i64,
        ArithOp::And => a & b,
        ArithOp::Or => a | b,
        ArithOp::Xor => a ^ b,
    })
}
