//! What a probe's text mentions, found without knowing any types.

use crate::builtin::plain_name;
use crate::function;
use crate::probe_value::{self, Role};
use crate::types::NameTable;
use crumbs_grammar::ast::{Arg, Block, Expr, ExprKind, ForOver, IfExpr, Item, Probe, Script, Stmt, StmtKind};
use std::collections::BTreeSet;

/// What decides whether places can share a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// The fields of the record that are read.
    pub fields: BTreeSet<String>,
    /// Whether the record is as a whole.
    pub record: bool,
    /// Whether fields of what a function returns are.
    pub result: bool,
    /// The numbers N of the `argN` that are.
    pub arguments: BTreeSet<u32>,
    /// Whether what it returns is, in any way.
    pub returned: bool,
    /// Whether `func` is.
    pub func: bool,
    /// Whether `probe` is.
    pub probe: bool,
    /// Whether a function looks into the text of either.
    pub name_text: bool,
}

impl Uses {
    /// What `probe` uses, or may use in the functions of its script.
    pub(super) fn of(probe: &Probe, script: &Script) -> Self {
        let mut uses = Self::default();
        for item in &script.items {
            if let Item::Function(function) = item {
                uses.block(&function.body);
            }
        }
        probe.predicate.iter().for_each(|predicate| uses.expr(predicate));
        uses.block(&probe.body);
        uses
    }

    fn block(&mut self, block: &Block) {
        block.stmts.iter().for_each(|stmt| self.stmt(stmt));
        block.value.iter().for_each(|value| self.expr(value));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(e) | StmtKind::Discard(e) => self.expr(e),
            StmtKind::Assign { target, value, .. } => {
                self.expr(target);
                self.expr(value);
            }
            StmtKind::Let { value, .. } | StmtKind::Return(value) => value.iter().for_each(|e| self.expr(e)),
            StmtKind::If(branch) => self.branch(branch),
            StmtKind::For { over, body, .. } => {
                match over {
                    ForOver::Range(from, to) => {
                        self.expr(from);
                        self.expr(to);
                    }
                    ForOver::Expr(e) => self.expr(e),
                }
                self.block(body);
            }
            StmtKind::While { cond: e, body } | StmtKind::Unroll { count: e, body } => {
                self.expr(e);
                self.block(body);
            }
            StmtKind::Block(block) => self.block(block),
            StmtKind::Break | StmtKind::Continue | StmtKind::Import(_) | StmtKind::Error => {}
        }
    }

    fn branch(&mut self, branch: &IfExpr) {
        self.expr(&branch.cond);
        self.block(&branch.then);
        branch.otherwise.iter().for_each(|block| self.block(block));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Ident(name) => self.name(name),
            ExprKind::Call { name, args } => {
                self.name(&name.node);
                let reads_text = function::reads_text(&name.node);
                for arg in args {
                    if let Arg::Expr(e) = arg {
                        self.name_text |= reads_text && is_name(e);
                        self.expr(e);
                    }
                }
            }
            ExprKind::Field(of, field) | ExprKind::Arrow(of, field) => {
                self.result |= has_role(of, Role::ReturnValue);
                if is_record(of) {
                    self.fields.insert(field.node.clone());
                } else {
                    self.expr(of);
                }
            }
            ExprKind::Map { key: Some(list), .. } | ExprKind::Tuple(list) => {
                list.iter().for_each(|e| self.expr(e))
            }
            ExprKind::Unary(_, e)
            | ExprKind::IncDec { target: e, .. }
            | ExprKind::TupleIndex(e, _)
            | ExprKind::Cast(_, e)
            | ExprKind::Comptime(e) => self.expr(e),
            ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Ternary(c, a, b) => {
                self.expr(c);
                a.iter().for_each(|e| self.expr(e));
                self.expr(b);
            }
            ExprKind::Record(fields) => fields.iter().for_each(|(_, e)| self.expr(e)),
            ExprKind::If(branch) => self.branch(branch),
            ExprKind::Block(block) => self.block(block),
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Str(_)
            | ExprKind::Bool(_)
            | ExprKind::Var(_)
            | ExprKind::Positional(_)
            | ExprKind::PositionalCount
            | ExprKind::Map { key: None, .. }
            | ExprKind::TypeCall { .. }
            | ExprKind::Error => {}
        }
    }

    fn name(&mut self, name: &str) {
        let Some((row, number)) = probe_value::by_name(plain_name(name)) else {
            return;
        };
        match row.role {
            Role::Argument => {
                self.arguments.insert(number);
            }
            Role::Name(NameTable::Func) => self.func = true,
            Role::Name(NameTable::Probe) => self.probe = true,
            Role::Record => self.record = true,
            Role::ReturnValue => self.returned = true,
            _ => {}
        }
    }
}

/// Whether an expression is the name of a place.
fn is_name(expr: &Expr) -> bool {
    let ExprKind::Ident(name) = &expr.kind else {
        return false;
    };
    probe_value::by_name(name).is_some_and(|(row, _)| matches!(row.role, Role::Name(_)))
}

/// Whether an expression is the record of the probe's arguments.
pub(super) fn is_record(expr: &Expr) -> bool {
    has_role(expr, Role::Record)
}

/// Whether an expression is the name of a value that depends on the probe.
pub(super) fn has_role(expr: &Expr, role: Role) -> bool {
    let ExprKind::Ident(name) = &expr.kind else {
        return false;
    };
    probe_value::by_name(name).is_some_and(|(row, _)| row.role == role)
}

/// Whether two expressions are written alike and evaluating them has no effect: then evaluating one is as good as
/// both. Kinds that seldom stand in keys count as different.
pub(super) fn alike(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Int(a), ExprKind::Int(b)) => a == b,
        (ExprKind::Str(a), ExprKind::Str(b)) => a == b,
        (ExprKind::Bool(a), ExprKind::Bool(b)) => a == b,
        (ExprKind::Var(a), ExprKind::Var(b)) | (ExprKind::Ident(a), ExprKind::Ident(b)) => a == b,
        (ExprKind::Positional(a), ExprKind::Positional(b)) => a == b,
        (ExprKind::Map { name: a, key: key_a }, ExprKind::Map { name: b, key: key_b }) => {
            a == b && alike_keys(key_a.as_deref(), key_b.as_deref())
        }
        (ExprKind::Unary(op_a, a), ExprKind::Unary(op_b, b)) => op_a == op_b && alike(a, b),
        (ExprKind::Binary(op_a, a1, a2), ExprKind::Binary(op_b, b1, b2)) => {
            op_a == op_b && alike(a1, b1) && alike(a2, b2)
        }
        (
            ExprKind::Field(a, field_a) | ExprKind::Arrow(a, field_a),
            ExprKind::Field(b, field_b) | ExprKind::Arrow(b, field_b),
        ) => field_a.node == field_b.node && alike(a, b),
        (ExprKind::Tuple(a), ExprKind::Tuple(b)) => alike_keys(Some(a), Some(b)),
        _ => false,
    }
}

/// [`alike`] for the keys of a map.
pub(super) fn alike_keys(a: Option<&[Expr]>, b: Option<&[Expr]>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        _ => false,
    }
}
