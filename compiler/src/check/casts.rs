//! Casts: `(type)e`, with C's results.

use super::convert::{as_type, const_text, const_value, converts};
use super::cx::Cx;
use super::memory::declared_type;
use super::statements::described;
use crate::codes;
use crate::hir::{CompareOp, Expr, ExprKind};
use crate::types::{IntType, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    pub(super) fn cast(&mut self, ty: &ast::TypeExpr, of: &ast::Expr, span: Span) -> Option<Expr> {
        let to = self.resolve_type(ty);
        let value = self.value(of);
        let (to, value) = (to?, value?);
        let from = value.ty.clone();
        if let (Type::Enum(of), Some(n)) = (&to, const_value(&value))
            && of.name_of(n).is_none()
        {
            let message = format!("{of} has no constant of the value {n}");
            return self.report(Diagnostic::error(&codes::BAD_CAST, span, message));
        }
        let Some(mut value) = self.cast_value(value, &to) else {
            let message = format!("{} cannot be cast to {}", described(&from), described(&to));
            let diagnostic = Diagnostic::error(&codes::BAD_CAST, span, message);
            return self.report(match (&from, &to) {
                (Type::Int(_), Type::Array(..))
                | (Type::Array(..), Type::Int(_))
                | (Type::Str(_), Type::Str(_) | Type::Array(..)) => {
                    let (a, b) = (from.size(), to.size());
                    diagnostic.help(format!("one has {a} bytes, the other {b}"))
                }
                _ => diagnostic,
            });
        };
        value.span = span;
        Some(value)
    }

    /// `None` where there is no such cast.
    fn cast_value(&self, value: Expr, to: &Type) -> Option<Expr> {
        let is_number = |ty: &Type| matches!(ty, Type::Int(_) | Type::Bool | Type::Enum(_));
        let from = value.ty.clone();
        match (to, &from) {
            (to, from) if to == from => Some(value),
            (to, from) if is_number(to) && is_number(from) => Some(as_type(value, to)),
            // A literal is not cut.
            (Type::Str(n), Type::Str(_)) => match const_text(&value) {
                Some(text) if text.len() >= *n as usize => None,
                _ => Some(as_type(value, to)),
            },
            (Type::Bool, Type::Str(_)) => Some(is_not_empty(value)),
            // The address first, so that its low bits are what is kept.
            (Type::Int(int), Type::Ptr(..)) if int.bits == 64 => Some(as_type(value, to)),
            (to, Type::Ptr(..)) if is_number(to) => Some(as_type(as_type(value, &Type::U64), to)),
            // What it points into stays.
            (Type::Ptr(to, _), Type::Ptr(_, space)) => Some(as_type(value, &Type::Ptr(to.clone(), *space))),
            (Type::Ptr(..), from) if is_number(from) => Some(as_type(as_type(value, &Type::U64), to)),
            (Type::Str(_), Type::Ptr(..)) => Some(Expr {
                kind: ExprKind::ReadText {
                    address: Box::new(value),
                    length: None,
                },
                ty: to.clone(),
                span: Span::default(),
            }),
            (Type::Bytes(_), Type::Ptr(..)) => Some(self.read_at(value, 0, to, None, Span::default())),
            (Type::Array(..), from) if is_number(from) => as_array(value, to),
            (to @ (Type::Int(_) | Type::Enum(_)), Type::Array(..)) if to.size() == from.size() => {
                Some(as_type(as_number(value)?, to))
            }
            (Type::Array(element, n), Type::Array(..)) => {
                let to = sized(element, *n, from.size())?;
                (to.size() == from.size()).then(|| as_type(value, &to))
            }
            (Type::Array(element, n), Type::Str(_)) if element.size() == 1 => {
                let to = sized(element, *n, declared_type(&value).size())?;
                match const_text(&value) {
                    Some(text) if text.len() > to.size() as usize => None,
                    _ => Some(as_type(value, &to)),
                }
            }
            (Type::Tuple(_) | Type::Record(_), _) if converts(&from, to) => Some(as_type(value, to)),
            _ => None,
        }
    }
}

/// Text as a condition: whether there is any.
pub(super) fn is_not_empty(text: Expr) -> Expr {
    let span = text.span;
    let kind = match const_text(&text) {
        Some(text) => ExprKind::Const(i64::from(!text.is_empty())),
        None => {
            let empty = Expr {
                kind: ExprKind::Str(Vec::new()),
                ty: Type::Str(1),
                span,
            };
            ExprKind::Compare(CompareOp::Ne, Box::new(text), Box::new(empty))
        }
    };
    Expr {
        kind,
        ty: Type::Bool,
        span,
    }
}

/// The array type with as many elements as `bytes` hold, where it has no size of its own.
fn sized(element: &Type, n: u32, bytes: u32) -> Option<Type> {
    let n = match n {
        0 if bytes.is_multiple_of(element.size().max(1)) => bytes / element.size().max(1),
        0 => return None,
        n => n,
    };
    Some(Type::Array(Box::new(element.clone()), n))
}

fn unsigned(bytes: u32) -> Option<Type> {
    let signed = false;
    matches!(bytes, 1 | 2 | 4 | 8).then(|| {
        Type::Int(IntType {
            bits: (bytes * 8) as u8,
            signed,
        })
    })
}

/// A number as an array of its bytes. A literal takes the size of the array.
fn as_array(value: Expr, to: &Type) -> Option<Expr> {
    let Type::Array(element, n) = to else { return None };
    if !matches!(**element, Type::Int(_) | Type::Bool) {
        return None;
    }
    let to = sized(element, *n, value.ty.size())?;
    let int = unsigned(to.size())?;
    let is_literal = const_value(&value).is_some() && value.ty == Type::I64;
    if value.ty.size() != to.size() && !is_literal {
        return None;
    }
    Some(as_type(as_type(value, &int), &to))
}

/// The bytes of an array as a number.
fn as_number(value: Expr) -> Option<Expr> {
    let int = unsigned(value.ty.size())?;
    Some(as_type(value, &int))
}
