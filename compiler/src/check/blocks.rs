//! Blocks and `if` where a value is wanted.

use super::cx::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// `{ statements; e }`: the statements and `e` share a scope. Gives nothing where there is no `e`.
    pub(super) fn block_value(&mut self, block: &ast::Block, span: Span) -> Option<Expr> {
        self.program.open_scope();
        let body = self.statements_of(block);
        let value = match &block.value {
            Some(value) => self.expr(value),
            None => Some(Self::nothing(span)),
        };
        self.program.close_scope();
        let value = value?;
        if body.is_empty() {
            return Some(value);
        }
        Some(Expr {
            ty: value.ty.clone(),
            kind: ExprKind::Block {
                body,
                value: Box::new(value),
            },
            span,
        })
    }

    /// `if c { a } else { b }`.
    pub(super) fn if_value(&mut self, branch: &ast::IfExpr, span: Span) -> Option<Expr> {
        if let Some(taken) = self.deciding(&branch.cond) {
            return match (taken?, &branch.otherwise) {
                (true, _) => self.block_value(&branch.then, span),
                (false, Some(otherwise)) => self.block_value(otherwise, span),
                (false, None) => Some(Self::nothing(span)),
            };
        }
        let cond = self.condition(&branch.cond);
        let then = self.block_value(&branch.then, branch.then.span);
        let otherwise = match &branch.otherwise {
            Some(block) => self.block_value(block, block.span),
            None if then.as_ref().is_none_or(|then| then.ty == Type::Void) => Some(Self::nothing(span)),
            None => {
                let message = "this `if` has no `else`, so it has no value where the condition is false";
                return self.report(
                    Diagnostic::error(&codes::NO_VALUE, span, message)
                        .help("add `else { … }` with a value of the same type"),
                );
            }
        };
        self.choice(cond, then, otherwise, span)
    }
}
