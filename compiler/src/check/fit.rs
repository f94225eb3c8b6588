//! Whether a value fits a place of declared type.
//!
//! A constant that does not fit is a mistake. Any other number is cut to the type, as in bpftrace, and that is warned about
//! where it may lose something.

use super::convert::const_value;
use crate::hir::{ArithOp, Expr, ExprKind};
use crate::types::{IntType, Type};

/// Whether a value keeps its worth in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// It does.
    Whole,
    /// It may be cut.
    Perhaps,
    /// It does not.
    Never,
}

/// Whether `value`, which converts to `to`, keeps its worth as a `to`.
pub(super) fn fit(value: &Expr, to: &Type) -> Fit {
    match (&value.ty, to) {
        (from, to) if from == to => Fit::Whole,
        (Type::Enum(from), to) => {
            let ty = Type::Int(from.int);
            let number = Expr { ty, ..value.clone() };
            fit(&number, to)
        }
        (Type::Int(from), Type::Int(int)) => match const_value(value) {
            // A constant of unsigned type above the range of int64 reads as negative.
            Some(n) if from.signed || n >= 0 => whole_or_never(int.wrap(n) == n && (int.signed || n >= 0)),
            Some(_) => whole_or_never(!int.signed && int.bits == 64),
            None if natural(value).is_some_and(|natural| natural.fits(*int)) => Fit::Whole,
            // No bit is lost: addresses and sizes are arguments of type int64 and variables of type uint64.
            None if from.bits == int.bits => Fit::Whole,
            None => Fit::Perhaps,
        },
        (Type::Str(_), Type::Str(n)) => match &value.kind {
            ExprKind::Str(text) => whole_or_never(text.len() < *n as usize),
            _ => Fit::Whole,
        },
        (Type::Tuple(_) | Type::Record(_), Type::Tuple(_) | Type::Record(_)) => {
            let ExprKind::Tuple(members) = &value.kind else {
                return Fit::Whole;
            };
            let fits = members.iter().enumerate().filter_map(|(at, member)| {
                let to = match (&value.ty, to) {
                    (Type::Record(from), Type::Record(to)) => {
                        let (name, _) = from.get(at)?;
                        &to.iter().find(|(other, _)| other == name)?.1
                    }
                    (_, to) => to.members().nth(at)?,
                };
                Some(fit(member, to))
            });
            fits.max().unwrap_or(Fit::Whole)
        }
        _ => Fit::Whole,
    }
}

fn whole_or_never(fits: bool) -> Fit {
    if fits { Fit::Whole } else { Fit::Never }
}

/// How many bits a number takes, and its sign where it has one, if literals are taken to be as narrow as their values:
/// otherwise `$x + 1` would never fit the type of `$x`.
#[derive(Clone, Copy)]
struct Natural {
    bits: u8,
    signed: Option<bool>,
}

impl Natural {
    fn fits(self, to: IntType) -> bool {
        match self.signed {
            Some(false) if to.signed => self.bits < to.bits,
            Some(true) if !to.signed => false,
            _ => self.bits <= to.bits,
        }
    }

    fn join(self, other: Self) -> Self {
        let bits = self.bits.max(other.bits);
        match (self.signed, other.signed) {
            (Some(a), Some(b)) if a != b => Self {
                bits: bits.saturating_mul(2).min(64),
                signed: Some(true),
            },
            (a, b) => Self {
                bits,
                signed: a.or(b),
            },
        }
    }
}

fn natural(expr: &Expr) -> Option<Natural> {
    let Type::Int(int) = expr.ty else {
        return (expr.ty == Type::Bool).then_some(Natural {
            bits: 8,
            signed: None,
        });
    };
    let own = Natural {
        bits: int.bits,
        signed: Some(int.signed),
    };
    Some(match &expr.kind {
        ExprKind::Const(n) if int.signed || *n >= 0 => {
            let fits = |bits: &u8| {
                IntType {
                    bits: *bits,
                    signed: true,
                }
                .wrap(*n)
                    == *n
            };
            Natural {
                bits: [8, 16, 32].into_iter().find(fits).unwrap_or(64),
                signed: (*n < 0).then_some(true),
            }
        }
        ExprKind::Convert(of) => match natural(of) {
            // What was widened for an operation is as narrow as it was.
            Some(inner) if inner.bits <= int.bits => inner,
            _ => own,
        },
        ExprKind::Arith(ArithOp::Shl | ArithOp::Shr, a, _) => natural(a)?,
        ExprKind::Arith(_, a, b) => natural(a)?.join(natural(b)?),
        ExprKind::Ternary(_, a, b) => natural(a)?.join(natural(b)?),
        ExprKind::Block { value, .. } => natural(value)?,
        _ => own,
    })
}
