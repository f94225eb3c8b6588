//! What is known when a script is compiled: `comptime`, conditions that decide which code there is, and code that is
//! never reached.
//!
//! A value is known when it consists of literals, parameters, config variables and the compiler's own answers (sizes, kinds
//! of types). Of `if comptime c` and `comptime c ? a : b` only the branch that is taken is read at all, so that the other may be
//! wrong for this script's types. An ordinary condition that is known only says what is reached.

use super::convert::{const_text, const_value};
use super::cx::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind, Stmt};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// `comptime e`.
    pub(super) fn comptime(&mut self, expr: &ast::Expr, span: Span) -> Option<Expr> {
        let value = self.known_value(expr)?;
        Some(Expr { span, ..value })
    }

    /// The constant that an expression is, which must be known now. `None` where it is in error or not yet known.
    pub fn known_value(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let mut value = self.expr(expr)?;
        if !settle(&mut value) {
            return self.report(
                Diagnostic::error(
                    &codes::NOT_LITERAL,
                    expr.span,
                    "this is known only when the probe runs",
                )
                .label("what is wanted here is a value of literals and parameters"),
            );
        }
        Some(value)
    }

    /// Whether a condition holds that must be known now. `None` where it is in error or not yet known.
    pub fn known_condition(&mut self, cond: &ast::Expr) -> Option<bool> {
        let value = self.condition(cond)?;
        match const_value(&value) {
            Some(n) => Some(n != 0),
            None => self.report(
                Diagnostic::error(
                    &codes::NOT_LITERAL,
                    cond.span,
                    "this condition must be known when the script is compiled",
                )
                .label("this is known only when the probe runs"),
            ),
        }
    }

    /// Whether a condition decides which code there is, and then which way; the inner `None` where that is in error or
    /// not yet known.
    pub(super) fn deciding(&mut self, cond: &ast::Expr) -> Option<Option<bool>> {
        begins_with_comptime(cond).then(|| self.known_condition(cond))
    }

    /// The statements of a branch that is taken only if `cond` is `when`.
    pub(super) fn branch_block(&mut self, cond: Option<&Expr>, when: bool, block: &ast::Block) -> Vec<Stmt> {
        let never = cond.and_then(const_value).is_some_and(|n| (n != 0) != when);
        self.unreachable += u32::from(never);
        let body = self.block(block);
        self.unreachable -= u32::from(never);
        body
    }

    /// Whether what is being read can run, as far as is known.
    pub fn is_reachable(&self) -> bool {
        self.unreachable == 0
    }

    /// The text that an expression is, where that is known now.
    pub fn constant_text<'e>(&self, expr: &'e Expr) -> Option<&'e [u8]> {
        const_text(expr)
    }

    /// The value of what does nothing and has none.
    pub fn nothing(span: Span) -> Expr {
        Expr {
            kind: ExprKind::Const(0),
            ty: Type::Void,
            span,
        }
    }
}

/// `comptime c`, `comptime a == b`: the word binds to the first operand, and is meant for all of the condition.
fn begins_with_comptime(cond: &ast::Expr) -> bool {
    match &cond.kind {
        ast::ExprKind::Comptime(_) => true,
        ast::ExprKind::Binary(_, first, _) => begins_with_comptime(first),
        _ => false,
    }
}

/// Makes a known value a constant; gives whether it is known.
fn settle(value: &mut Expr) -> bool {
    if let ExprKind::Tuple(members) = &mut value.kind {
        return members.iter_mut().all(settle);
    }
    if let Some(n) = const_value(value) {
        value.kind = ExprKind::Const(n);
        return true;
    }
    let text = const_text(value).map(<[u8]>::to_vec);
    text.map(|text| value.kind = ExprKind::Str(text)).is_some()
}
