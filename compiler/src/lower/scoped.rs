//! Which variables are given a value before anything else is done with them.
//!
//! In: a program. Out: those of its large variables whose first mention gives them a value, in a list of statements that has all
//! other mentions behind it. Nobody sees what such a variable held before or holds afterwards: it needs no zeros.

use crate::hir::{Expr, ExprKind, Place, Probe, Stmt, StmtKind, VarId};
use crate::visit::children;
use std::collections::{HashMap, HashSet};

/// The variables of `probe` of which that is certain.
pub(super) fn assigned_first(probe: &Probe) -> HashSet<VarId> {
    let mut walk = Walk {
        probe,
        at: 0,
        mentions: HashMap::new(),
        ends: HashMap::new(),
    };
    if let Some(predicate) = &probe.predicate {
        walk.expr(predicate);
    }
    walk.list(&probe.body, None);
    let is_within = |var: &VarId, end: u32| walk.mentions.get(var).is_some_and(|(_, last)| *last < end);
    walk.ends
        .iter()
        .filter(|(var, end)| is_within(var, **end))
        .map(|(var, _)| *var)
        .collect()
}

/// A walk in the order in which statements run. Mentions are numbered.
struct Walk<'a> {
    probe: &'a Probe,
    at: u32,
    /// The first and the last mention of each large variable.
    mentions: HashMap<VarId, (u32, u32)>,
    /// Of variables that are first given a value: the number behind the statements among which that is.
    ends: HashMap<VarId, u32>,
}

impl Walk<'_> {
    /// Notes a mention; whether it is the first.
    fn mention(&mut self, var: VarId) -> bool {
        if self.probe.vars[var.0 as usize].ty.is_scalar() {
            return false;
        }
        let at = self.at;
        self.at += 1;
        let (first, last) = self.mentions.entry(var).or_insert((at, at));
        *last = at;
        *first == at
    }

    /// Statements that run one after the other, and a value behind them that is not evaluated without them.
    fn list(&mut self, stmts: &[Stmt], value: Option<&Expr>) {
        let mut given = Vec::new();
        for stmt in stmts {
            let StmtKind::SetVar(var, value) = &stmt.kind else {
                self.stmt(stmt);
                continue;
            };
            let is_first = self.mention(*var);
            let before = self.mentions.get(var).copied();
            self.expr(value);
            // Its value does not depend on it.
            if is_first && self.mentions.get(var).copied() == before {
                given.push(*var);
            }
        }
        value.into_iter().for_each(|value| self.expr(value));
        let end = self.at;
        self.ends.extend(given.into_iter().map(|var| (var, end)));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Eval(e) | StmtKind::SetVar(_, e) => self.expr(e),
            StmtKind::SetMap { key, value, .. } | StmtKind::UpdateMap { key, value, .. } => {
                key.iter().for_each(|e| self.expr(e));
                self.expr(value);
            }
            StmtKind::Aggregate {
                key, value, weight, ..
            } => key.iter().chain(value).chain(weight).for_each(|e| self.expr(e)),
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.list(then, None);
                self.list(otherwise, None);
            }
            StmtKind::ForRange { from, to, body, .. } => {
                self.expr(from);
                self.expr(to);
                self.list(body, None);
            }
            StmtKind::While { cond, body, .. } => {
                self.expr(cond);
                self.list(body, None);
            }
            StmtKind::ForMap { body, .. } | StmtKind::Unroll { body, .. } => self.list(body, None),
            StmtKind::Break | StmtKind::Continue | StmtKind::Return | StmtKind::Leave => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Var(var)
            | ExprKind::AddressOf(var)
            | ExprKind::Increment {
                place: Place::Var(var),
                ..
            } => {
                self.mention(*var);
            }
            ExprKind::Block { body, value } => return self.list(body, Some(value)),
            // A `return` goes to the value from anywhere.
            ExprKind::Inlined { body, .. } => self.list(body, None),
            _ => {}
        }
        children(expr).into_iter().for_each(|child| self.expr(child));
    }
}
