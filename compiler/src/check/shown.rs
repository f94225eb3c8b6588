//! Comparing numbers that are shown in words with those words.

use super::cx::Cx;
use crate::hir::{CompareOp, Expr, ExprKind, UnaryOp};
use crate::types::Type;
use crumbs_grammar::ast::BinaryOp;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// `strerror($e) == "No such file or directory"`: the number is compared with those that the words stand for.
    pub(super) fn shown_comparison(
        &mut self,
        op: CompareOp,
        written: BinaryOp,
        number: Expr,
        text: Expr,
        span: Span,
    ) -> Option<Expr> {
        let Type::Shown(shown) = &number.ty else {
            return None;
        };
        let numbers = match &text.kind {
            ExprKind::Str(text) => shown.numbers(text, self.target.arch()),
            _ => None,
        };
        let boolean = |kind| Expr {
            kind,
            ty: Type::Bool,
            span,
        };
        let Some(numbers) = numbers else {
            return match self.spelled(number) {
                Ok(words) => Some(boolean(ExprKind::Compare(op, Box::new(words?), Box::new(text)))),
                Err(number) => self.bad_operands(written, &number, &text, span),
            };
        };
        let equal = |wanted| {
            let wanted = Expr {
                kind: ExprKind::Const(wanted),
                ty: number.ty.clone(),
                span: text.span,
            };
            boolean(ExprKind::Compare(
                CompareOp::Eq,
                Box::new(number.clone()),
                Box::new(wanted),
            ))
        };
        let any = numbers.into_iter().map(equal).reduce(|a, b| {
            let (a, b) = (Box::new(a), Box::new(b));
            boolean(ExprKind::Or(a, b))
        });
        let any = any.unwrap_or_else(|| boolean(ExprKind::Const(0)));
        Some(match op {
            CompareOp::Ne => boolean(ExprKind::Unary(UnaryOp::Not, Box::new(any))),
            _ => any,
        })
    }
}
