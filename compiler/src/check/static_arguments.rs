//! Arguments of static user probes: each where the note of the probe says.

use super::convert::as_type;
use super::cx::Cx;
use crate::codes;
use crate::hir::{ArithOp, Expr, ExprKind};
use crate::types::{IntType, Space, Type};
use crate::usdt::{Argument, Source};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// `argN`: an integer of 64 bits with the sign that the note states.
    pub(super) fn static_argument(&mut self, name: &str, n: u32, span: Span) -> Option<Expr> {
        let arguments = self.program.arguments.clone()?;
        let Some(argument) = arguments.get(n as usize) else {
            let message = match arguments.len() {
                0 => format!("there is no `{name}`: this probe has no arguments"),
                1 => format!("there is no `{name}`: this probe has 1 argument, arg0"),
                n => format!(
                    "there is no `{name}`: this probe has {n} arguments, arg0 to arg{}",
                    n - 1
                ),
            };
            return self.report(Diagnostic::error(&codes::NOT_OFFERED, span, message));
        };
        let int = Type::Int(IntType {
            bits: argument.bytes.saturating_mul(8),
            signed: argument.signed,
        });
        let value = match &argument.source {
            Source::Constant(number) => {
                let number = expr(ExprKind::Const(*number), Type::I64, span);
                as_type(number, &int)
            }
            Source::Register { offset, shift } => {
                let mut value = register(*offset, span);
                if *shift > 0 {
                    let by = expr(ExprKind::Const(i64::from(*shift)), Type::U64, span);
                    value = arith(ArithOp::Shr, value, by);
                }
                as_type(value, &int)
            }
            Source::Memory { .. } => {
                let address = address(argument, span);
                let pointer = Type::Ptr(Box::new(int.clone()), Space::User);
                self.read_at(as_type(address, &pointer), 0, &int, None, span)
            }
            Source::Unknown(operand) => {
                return self.later(span, &format!("arguments of the form `{operand}`"));
            }
        };
        let wide = IntType {
            bits: 64,
            signed: argument.signed,
        };
        Some(as_type(value, &Type::Int(wide)))
    }
}

fn expr(kind: ExprKind, ty: Type, span: Span) -> Expr {
    Expr { kind, ty, span }
}

fn register(offset: u16, span: Span) -> Expr {
    expr(ExprKind::Context(u32::from(offset)), Type::U64, span)
}

fn arith(op: ArithOp, a: Expr, b: Expr) -> Expr {
    let span = a.span;
    expr(ExprKind::Arith(op, Box::new(a), Box::new(b)), Type::U64, span)
}

/// Where in memory an argument is.
fn address(argument: &Argument, span: Span) -> Expr {
    let number = |n: i64| expr(ExprKind::Const(n), Type::U64, span);
    let Source::Memory {
        base,
        index,
        displacement,
    } = &argument.source
    else {
        return number(0);
    };
    let index = index.map(|(offset, scale)| match scale {
        1 => register(offset, span),
        scale => arith(ArithOp::Mul, register(offset, span), number(i64::from(scale))),
    });
    let displacement = (*displacement != 0).then(|| number(*displacement));
    let parts = base
        .map(|offset| register(offset, span))
        .into_iter()
        .chain(index)
        .chain(displacement);
    parts
        .reduce(|a, b| arith(ArithOp::Add, a, b))
        .unwrap_or_else(|| number(0))
}
