//! Walks over typed HIR.

use crate::hir::{Expr, ExprKind, Place, Probe, Stmt, StmtKind};

/// Whether `test` holds for any expression of a program.
pub fn any_expr(probe: &Probe, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    probe.predicate.as_ref().is_some_and(|e| any_in_expr(e, test)) || any_in_stmts(&probe.body, test)
}

/// Whether `test` holds for any expression of some statements.
pub fn any_in_stmts(stmts: &[Stmt], test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Eval(e) | StmtKind::SetVar(_, e) => any_in_expr(e, test),
        StmtKind::SetMap { key, value, .. } | StmtKind::UpdateMap { key, value, .. } => {
            key.as_ref().is_some_and(|e| any_in_expr(e, test)) || any_in_expr(value, test)
        }
        StmtKind::Aggregate { key, value, .. } => key.iter().chain(value).any(|e| any_in_expr(e, test)),
        StmtKind::If {
            cond,
            then,
            otherwise,
        } => any_in_expr(cond, test) || any_in_stmts(then, test) || any_in_stmts(otherwise, test),
        StmtKind::Return => false,
    })
}

/// Whether `test` holds for an expression or one within it.
pub fn any_in_expr(expr: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    test(expr) || children(expr).into_iter().any(|child| any_in_expr(child, test))
}

/// Whether evaluating an expression can change a variable, a map or what user space sees.
pub fn has_effects(expr: &Expr) -> bool {
    any_in_expr(expr, &mut |e| {
        matches!(
            e.kind,
            ExprKind::Increment { .. } | ExprKind::Delete { .. } | ExprKind::Emit { .. }
        )
    })
}

/// The expressions directly within an expression.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Const(_)
        | ExprKind::Str(_)
        | ExprKind::Var(_)
        | ExprKind::Builtin(_)
        | ExprKind::Arg(_)
        | ExprKind::ReturnValue
        | ExprKind::RecordField { .. }
        | ExprKind::RecordText { .. }
        | ExprKind::RecordDynamicText { .. }
        | ExprKind::SiteName
        | ExprKind::MapLen(_)
        | ExprKind::Increment {
            place: Place::Var(_), ..
        } => Vec::new(),
        ExprKind::MapValue { key, .. }
        | ExprKind::HasKey { key, .. }
        | ExprKind::Delete { key, .. }
        | ExprKind::Increment {
            place: Place::Map { key, .. },
            ..
        } => key.iter().map(|e| &**e).collect(),
        ExprKind::Unary(_, a) | ExprKind::Convert(a) | ExprKind::Member(a, _) => vec![a],
        ExprKind::Arith(_, a, b) | ExprKind::Compare(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) => {
            vec![a, b]
        }
        ExprKind::Ternary(a, b, c) => vec![a, b, c],
        ExprKind::Tuple(all) | ExprKind::Emit { args: all, .. } => all.iter().collect(),
        ExprKind::ReadText { address, length } => std::iter::once(&**address)
            .chain(length.iter().map(|e| &**e))
            .collect(),
    }
}
