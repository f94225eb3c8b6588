//! Arguments of formats that are numbers with a fraction.
//!
//! In: an argument as written. Out: how it is computed when it is printed, and the whole numbers that are sent for that. What has
//! no literal with a fraction in it is computed by the program, in whole numbers, as everywhere.

use super::number;
use crate::check::Cx;
use crate::codes;
use crate::decimal::{Decimal, DecimalOp};
use crate::hir::Expr;
use crumbs_grammar::ast::{self, BinaryOp, ExprKind, UnaryOp};
use crumbs_grammar::diagnostic::Diagnostic;

/// Whether a literal with a fraction makes an expression one.
pub(super) fn has_fraction(expr: &ast::Expr) -> bool {
    match &expr.kind {
        ExprKind::Float(_) => true,
        ExprKind::Unary(UnaryOp::Neg, of) => has_fraction(of),
        ExprKind::Binary(op, a, b) => operation(*op).is_some() && (has_fraction(a) || has_fraction(b)),
        // What a use of a macro becomes.
        ExprKind::Block(block) if block.stmts.is_empty() => block.value.as_deref().is_some_and(has_fraction),
        _ => false,
    }
}

/// How an expression that has a fraction is computed. The whole numbers go behind those that are in `values` already.
pub(super) fn computed(cx: &mut Cx<'_>, expr: &ast::Expr, values: &mut Vec<Expr>) -> Option<Decimal> {
    if !has_fraction(expr) {
        let value = number(cx, expr, "what is computed with")?;
        values.push(value);
        return Some(Decimal::Argument(values.len() - 1));
    }
    match &expr.kind {
        ExprKind::Float(literal) => Some(Decimal::Literal(literal.to_bits())),
        ExprKind::Unary(_, of) => Some(Decimal::Negative(Box::new(computed(cx, of, values)?))),
        ExprKind::Block(block) => computed(cx, block.value.as_deref()?, values),
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (computed(cx, a, values), computed(cx, b, values));
            Some(Decimal::Binary(operation(*op)?, Box::new(a?), Box::new(b?)))
        }
        _ => None,
    }
}

fn operation(op: BinaryOp) -> Option<DecimalOp> {
    Some(match op {
        BinaryOp::Add => DecimalOp::Add,
        BinaryOp::Sub => DecimalOp::Sub,
        BinaryOp::Mul => DecimalOp::Mul,
        BinaryOp::Div => DecimalOp::Div,
        _ => return None,
    })
}

/// Reports an argument with a fraction where a conversion shows something else.
pub(super) fn misplaced(cx: &mut Cx<'_>, expr: &ast::Expr) {
    let message = "this is a number with a fraction, which this conversion does not show";
    cx.report::<()>(
        Diagnostic::error(&codes::FORMAT_TYPE, expr.span, message)
            .help("`%f`, `%e` and `%g` show such numbers: `%.2f` with two digits behind the point"),
    );
}
