//! How large `sizeof` takes values to be.
//!
//! In: an expression as it is written. Out: its type, if literals are as narrow as their values, which is how bpftrace types
//! them: `sizeof($x)` is 1 where the script assigns `1` to `$x` and nothing else. Everything but the answers of `sizeof` takes
//! literals for int64, so this is no type that a value is ever held in.

use super::cx::Cx;
use super::facts::join;
use crate::hir::VarId;
use crate::types::{IntType, Type};
use crumbs_grammar::ast::{Expr, ExprKind, UnaryOp};

/// What a variable would be if literals were as narrow as their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Natural {
    /// Nothing is assigned to it so far.
    #[default]
    Unknown,
    /// This.
    Known(Type),
    /// What it is otherwise: it is assigned other things than literals.
    AsHeld,
}

impl Natural {
    fn join(&mut self, ty: Option<Type>) {
        *self = match (std::mem::take(self), ty) {
            (Self::Unknown, Some(ty)) => Self::Known(ty),
            (Self::Known(known), Some(ty)) => match join(&known, false, &ty, false) {
                Some((joined, _)) => Self::Known(joined),
                None => Self::AsHeld,
            },
            _ => Self::AsHeld,
        };
    }
}

impl Cx<'_> {
    /// Notes that a variable is assigned `value`; `None` stands for what is no expression of the script.
    pub(super) fn note_natural(&mut self, var: VarId, value: Option<&Expr>) {
        let ty = value.and_then(|value| self.natural(value));
        self.var_fact(var).natural.join(ty);
    }

    /// The type of an expression that literals make up; `None` for all others, which are what they are held as.
    pub(super) fn natural(&mut self, of: &Expr) -> Option<Type> {
        match &of.kind {
            ExprKind::Int(n) => i64::try_from(*n).ok().map(narrowest),
            ExprKind::Unary(UnaryOp::Neg, operand) => match &operand.kind {
                // The most negative number is written as the negative of one that is none.
                ExprKind::Int(n) => Some(narrowest((*n as i64).wrapping_neg())),
                _ => None,
            },
            ExprKind::Var(name) => {
                let var = self.program.lookup(name)?;
                let fact = self.var_fact(var);
                match &fact.natural {
                    Natural::Known(ty) if !fact.value.fixed => Some(ty.clone()),
                    _ => None,
                }
            }
            ExprKind::Tuple(members) => {
                let types = members.iter().map(|member| self.natural_or_held(member));
                Some(Type::Tuple(types.collect::<Option<_>>()?))
            }
            ExprKind::Record(members) => {
                let types = members
                    .iter()
                    .map(|(name, member)| Some((name.node.clone(), self.natural_or_held(member)?)));
                Some(Type::Record(types.collect::<Option<_>>()?))
            }
            _ => None,
        }
    }

    fn natural_or_held(&mut self, of: &Expr) -> Option<Type> {
        match self.natural(of) {
            Some(ty) => Some(ty),
            // What is looked at once more must not do anything.
            None if only_gives_a_value(of) => self.type_of(of),
            None => None,
        }
    }
}

/// Whether an expression, as far as it is written here, is made of what assigns nothing.
fn only_gives_a_value(of: &Expr) -> bool {
    match &of.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Bool(_) => true,
        ExprKind::Var(_) | ExprKind::Ident(_) | ExprKind::Positional(_) | ExprKind::PositionalCount => true,
        ExprKind::Unary(_, of) | ExprKind::Cast(_, of) => only_gives_a_value(of),
        ExprKind::Field(of, _) | ExprKind::Arrow(of, _) | ExprKind::TupleIndex(of, _) => {
            only_gives_a_value(of)
        }
        ExprKind::Index(of, by) => only_gives_a_value(of) && only_gives_a_value(by),
        ExprKind::Tuple(members) => members.iter().all(only_gives_a_value),
        ExprKind::Record(members) => members.iter().all(|(_, member)| only_gives_a_value(member)),
        _ => false,
    }
}

/// The narrowest signed type that holds a number.
fn narrowest(n: i64) -> Type {
    let int = [8, 16, 32, 64].map(|bits| IntType { bits, signed: true });
    let holds = |int: &IntType| int.wrap(n) == n;
    int.into_iter().find(holds).map_or(Type::I64, Type::Int)
}
