//! Walks over typed HIR.

use crate::hir::{Expr, ExprKind, Place, Probe, Stmt, StmtKind};

/// A part of a program.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// A statement.
    Stmt(&'a Stmt),
    /// An expression.
    Expr(&'a Expr),
}

/// Whether `test` holds for any expression of a program.
pub fn any_expr(probe: &Probe, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    probe.predicate.as_ref().is_some_and(|e| any_in_expr(e, test)) || any_in_stmts(&probe.body, test)
}

/// Whether `test` holds for any expression of some statements.
pub fn any_in_stmts(stmts: &[Stmt], test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    any_node(stmts, &mut expressions(test))
}

/// Whether `test` holds for an expression or one within it.
pub fn any_in_expr(expr: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    any_node_in_expr(expr, &mut expressions(test))
}

fn expressions<'t>(test: &'t mut dyn FnMut(&Expr) -> bool) -> impl FnMut(Node<'_>) -> bool + 't {
    move |node: Node<'_>| match node {
        Node::Expr(expr) => test(expr),
        Node::Stmt(_) => false,
    }
}

/// Whether `test` holds for any statement or expression of a program.
pub fn any_node_of(probe: &Probe, test: &mut dyn FnMut(Node<'_>) -> bool) -> bool {
    probe
        .predicate
        .as_ref()
        .is_some_and(|e| any_node_in_expr(e, test))
        || any_node(&probe.body, test)
}

/// Whether `test` holds for any statement or expression of some statements.
pub fn any_node(stmts: &[Stmt], test: &mut dyn FnMut(Node<'_>) -> bool) -> bool {
    stmts.iter().any(|stmt| {
        test(Node::Stmt(stmt))
            || match &stmt.kind {
                StmtKind::Eval(e) | StmtKind::SetVar(_, e) => any_node_in_expr(e, test),
                StmtKind::SetMap { key, value, .. } | StmtKind::UpdateMap { key, value, .. } => {
                    key.as_ref().is_some_and(|e| any_node_in_expr(e, test)) || any_node_in_expr(value, test)
                }
                StmtKind::Aggregate {
                    key, value, weight, ..
                } => key
                    .iter()
                    .chain(value)
                    .chain(weight)
                    .any(|e| any_node_in_expr(e, test)),
                StmtKind::If {
                    cond,
                    then,
                    otherwise,
                } => any_node_in_expr(cond, test) || any_node(then, test) || any_node(otherwise, test),
                StmtKind::ForRange { from, to, body, .. } => {
                    any_node_in_expr(from, test) || any_node_in_expr(to, test) || any_node(body, test)
                }
                StmtKind::While { cond, body, .. } => any_node_in_expr(cond, test) || any_node(body, test),
                StmtKind::ForMap { body, .. } | StmtKind::Unroll { body, .. } => any_node(body, test),
                StmtKind::Break | StmtKind::Continue | StmtKind::Return | StmtKind::Leave => false,
            }
    })
}

/// Whether `test` holds for an expression, or a statement or expression within it.
pub fn any_node_in_expr(expr: &Expr, test: &mut dyn FnMut(Node<'_>) -> bool) -> bool {
    if test(Node::Expr(expr)) {
        return true;
    }
    if let ExprKind::Block { body, .. } | ExprKind::Inlined { body, .. } = &expr.kind
        && any_node(body, test)
    {
        return true;
    }
    children(expr)
        .into_iter()
        .any(|child| any_node_in_expr(child, test))
}

/// Whether evaluating an expression can change a variable, a map or what user space sees, or end the program.
pub fn has_effects(expr: &Expr) -> bool {
    any_node_in_expr(expr, &mut |node| match node {
        Node::Stmt(stmt) => !matches!(stmt.kind, StmtKind::Eval(_) | StmtKind::If { .. }),
        Node::Expr(e) => match &e.kind {
            ExprKind::Increment { .. } | ExprKind::Delete { .. } | ExprKind::Emit { .. } => true,
            ExprKind::Intrinsic(which, _) => which.has_effects(),
            _ => false,
        },
    })
}

/// Whether evaluating an expression can change a variable.
pub fn assigns_variable(expr: &Expr) -> bool {
    any_node_in_expr(expr, &mut |node| match node {
        Node::Stmt(stmt) => matches!(
            stmt.kind,
            StmtKind::SetVar(..) | StmtKind::ForRange { .. } | StmtKind::ForMap { .. }
        ),
        Node::Expr(e) => matches!(
            e.kind,
            ExprKind::Increment {
                place: Place::Var(_),
                ..
            }
        ),
    })
}

/// The expressions directly within an expression, but for those in the statements of a block.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Const(_)
        | ExprKind::Str(_)
        | ExprKind::Bytes(_)
        | ExprKind::Var(_)
        | ExprKind::Builtin(_)
        | ExprKind::Arg(_)
        | ExprKind::Context(_)
        | ExprKind::ReturnValue
        | ExprKind::RecordField { .. }
        | ExprKind::RecordText { .. }
        | ExprKind::RecordDynamicText { .. }
        | ExprKind::RecordBytes { .. }
        | ExprKind::AddressOf(_)
        | ExprKind::SiteName
        | ExprKind::MapLen(_)
        | ExprKind::Increment {
            place: Place::Var(_), ..
        } => Vec::new(),
        ExprKind::MapValue { key, .. }
        | ExprKind::Reduced { key, .. }
        | ExprKind::HasKey { key, .. }
        | ExprKind::Delete { key, .. }
        | ExprKind::Increment {
            place: Place::Map { key, .. },
            ..
        } => key.iter().map(|e| &**e).collect(),
        ExprKind::Unary(_, a)
        | ExprKind::Convert(a)
        | ExprKind::Member(a, _)
        | ExprKind::Read { address: a, .. }
        | ExprKind::Part { of: a, .. } => vec![a],
        ExprKind::Block { value, .. } | ExprKind::Inlined { value, .. } => vec![value],
        ExprKind::Arith(_, a, b)
        | ExprKind::Compare(_, a, b)
        | ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::Element(a, b) => {
            vec![a, b]
        }
        ExprKind::Ternary(a, b, c) => vec![a, b, c],
        ExprKind::Assembled(parts) => parts.iter().map(|(_, part)| part).collect(),
        ExprKind::Tuple(all) | ExprKind::Intrinsic(_, all) | ExprKind::Emit { args: all, .. } => {
            all.iter().collect()
        }
        ExprKind::ReadText { address, length } => std::iter::once(&**address)
            .chain(length.iter().map(|e| &**e))
            .collect(),
    }
}
