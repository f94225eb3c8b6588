//! Statements.

use super::convert::{as_type, converts};
use super::cx::Cx;
use super::facts::Fact;
use super::fit::{Fit, fit};
use super::uses::{alike, alike_keys};
use crate::codes;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind, VarId};
use crate::plan::{AfterPrint, EventId, EventKind, MapId};
use crate::shown::Shown;
use crate::types::Type;
use crate::visit::has_effects;
use crumbs_grammar::ast::{self, BinaryOp};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;
use std::collections::HashMap;

/// A `print(@m)` that a following `clear(@m)` or `zero(@m)` can be joined to.
struct PendingPrint {
    event: EventId,
    /// [`super::facts::MapFact::accesses`] and [`Cx::ends`] after it.
    accesses: u64,
    ends: u64,
}

/// Statements of one block being collected.
#[derive(Default)]
struct Statements {
    list: Vec<Stmt>,
    prints: HashMap<MapId, PendingPrint>,
}

impl Cx<'_> {
    /// The statements of a block, its variables in a scope of their own.
    pub(super) fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        let mut out = Statements::default();
        self.statements(block, &mut out);
        out.list
    }

    /// The statements of a block but for its value, their variables in the scope that is open.
    pub(super) fn statements_of(&mut self, block: &ast::Block) -> Vec<Stmt> {
        let mut out = Statements::default();
        for stmt in &block.stmts {
            self.statement(stmt, &mut out);
        }
        out.list
    }

    fn statements(&mut self, block: &ast::Block, out: &mut Statements) {
        self.program.open_scope();
        for stmt in &block.stmts {
            self.statement(stmt, out);
        }
        if let Some(value) = &block.value {
            self.expression_statement(value, value.span, out);
        }
        self.program.close_scope();
    }

    fn statement(&mut self, stmt: &ast::Stmt, out: &mut Statements) {
        let span = stmt.span;
        let kind = match &stmt.kind {
            ast::StmtKind::Expr(e) => return self.expression_statement(e, span, out),
            ast::StmtKind::Discard(e) => self.expr(e).map(StmtKind::Eval),
            ast::StmtKind::Assign { target, op, value } => {
                self.assignment(target, op.as_ref().map(|op| op.node), value, span)
            }
            ast::StmtKind::Let { name, ty, value } => self.declaration(name, ty.as_ref(), value.as_ref()),
            ast::StmtKind::If(branch) => self.branch(branch),
            ast::StmtKind::Block(block) => return self.statements(block, out),
            ast::StmtKind::Return(value) => self.return_statement(value.as_ref(), span, &mut out.list),
            ast::StmtKind::For { var, over, body } => self.for_loop(var, over, body, span),
            ast::StmtKind::While { cond, body } => self.while_loop(cond, body, span),
            ast::StmtKind::Unroll { count, body } => self.unroll(count, body, span),
            ast::StmtKind::Break => self.loop_exit(StmtKind::Break, span),
            ast::StmtKind::Continue => self.loop_exit(StmtKind::Continue, span),
            ast::StmtKind::Import(_) => self.later(span, "`import`"),
            ast::StmtKind::Error => None,
        };
        if let Some(kind) = kind {
            out.push(kind, span);
        }
    }

    fn branch(&mut self, branch: &ast::IfExpr) -> Option<StmtKind> {
        if let Some(taken) = self.deciding(&branch.cond) {
            let taken = if taken? {
                Some(&branch.then)
            } else {
                branch.otherwise.as_ref()
            };
            let then = taken.map_or(Vec::new(), |block| self.block(block));
            return Some(StmtKind::If {
                cond: truth(branch.cond.span),
                then,
                otherwise: Vec::new(),
            });
        }
        let cond = self.condition(&branch.cond);
        let then = self.branch_block(cond.as_ref(), true, &branch.then);
        let otherwise = branch
            .otherwise
            .as_ref()
            .map_or(Vec::new(), |block| self.branch_block(cond.as_ref(), false, block));
        Some(StmtKind::If {
            cond: cond?,
            then,
            otherwise,
        })
    }

    fn expression_statement(&mut self, expr: &ast::Expr, span: Span, out: &mut Statements) {
        if let ast::ExprKind::Binary(BinaryOp::Eq, map, value) = &expr.kind
            && matches!(map.kind, ast::ExprKind::Map { .. })
            && self.as_aggregation(value).is_some()
        {
            let message = "an aggregation is assigned, not compared";
            let diagnostic = Diagnostic::error(&codes::MISPLACED_AGGREGATION, expr.span, message);
            self.report::<()>(diagnostic.help("write `=`"));
            return;
        }
        let Some(value) = self.expr(expr) else {
            return;
        };
        if value.ty != Type::Void && !has_effects(&value) {
            self.report::<()>(
                Diagnostic::warning(&codes::DISCARDED, expr.span, "this value is not used")
                    .help("write `_ = …;` if that is meant"),
            );
        }
        if self.is_inferring() {
            return;
        }
        if let ExprKind::Emit { event, .. } = value.kind
            && self.join_with_print(event, out)
        {
            return;
        }
        if let Some(kind) = self.reported_deletion(value) {
            out.push(kind, span);
        }
    }

    /// Remembers a print of a map, and joins a `clear` or `zero` to the print before it; gives whether it did, so that
    /// the statement is not needed. Nothing between the two touches the map or ends the program.
    fn join_with_print(&mut self, event: EventId, out: &mut Statements) -> bool {
        let Some(last) = self
            .events
            .last()
            .filter(|_| event.0 as usize + 1 == self.events.len())
        else {
            return false;
        };
        let (map, after) = match last.kind {
            EventKind::PrintMap { map, .. } => {
                let accesses = self.facts.maps[map.0 as usize].accesses;
                let ends = self.ends;
                out.prints.insert(
                    map,
                    PendingPrint {
                        event,
                        accesses,
                        ends,
                    },
                );
                return false;
            }
            EventKind::Clear(map) => (map, AfterPrint::Clear),
            EventKind::Zero(map) => (map, AfterPrint::Zero),
            _ => return false,
        };
        let accesses = self.facts.maps[map.0 as usize].accesses;
        let joinable = |print: &PendingPrint| print.accesses + 1 == accesses && print.ends == self.ends;
        let Some(print) = out.prints.remove(&map).filter(joinable) else {
            return false;
        };
        if let EventKind::PrintMap { then, .. } = &mut self.events[print.event.0 as usize].kind {
            *then = after;
        }
        self.events.pop();
        true
    }

    fn declaration(
        &mut self,
        name: &ast::Name,
        ty: Option<&ast::TypeExpr>,
        value: Option<&ast::Expr>,
    ) -> Option<StmtKind> {
        let open = ty.and_then(open_type);
        let declared = ty.filter(|_| open.is_none()).map(|ty| self.resolve_type(ty));
        let value_expr = value.and_then(|value| self.value(value));
        if let (Some(open), Some(value)) = (open, &value_expr)
            && value.ty.to_string() != open
        {
            let message = format!(
                "`${}` is declared {open}, and this is {}",
                name.node,
                described(&value.ty)
            );
            return self.report(Diagnostic::error(&codes::DOES_NOT_FIT, value.span, message));
        }
        let var = match self.program.lookup(&name.node) {
            Some(var) => {
                let first = self.program.vars[var.0 as usize].span;
                self.report::<()>(
                    Diagnostic::error(
                        &codes::SHADOWED,
                        name.span,
                        format!("`${}` exists already", name.node),
                    )
                    .also(first, "declared here")
                    .help(format!("assign it without `let`: `${} = …;`", name.node)),
                );
                var
            }
            None => {
                self.note_declared(&name.node, false);
                self.declare(&name.node, name.span)
            }
        };
        if let Some(declared) = declared {
            self.declare_type(var, declared, name.span);
        }
        if let Some(value) = value {
            self.var_fact(var).assigned = true;
            // A type that is declared holds for `sizeof` as well.
            self.note_natural(var, ty.is_none().then_some(value));
        }
        self.set_var(var, value_expr?)
    }

    /// Gives a variable the type that the script declares; `None` where that is in error or not known yet.
    pub(super) fn declare_type(&mut self, var: VarId, declared: Option<Type>, span: Span) {
        let fact = self.var_fact(var);
        // The type of another place, `typeof($y)`, is known later, and may grow.
        if !fact.value.fixed || declared.is_some() && fact.value.ty != declared {
            fact.value = Fact {
                ty: declared.clone(),
                span,
                fixed: true,
                ..Fact::default()
            };
            self.facts.grew = true;
        }
        if let Some(declared) = declared {
            self.program.vars[var.0 as usize].ty = declared;
        }
    }

    fn assignment(
        &mut self,
        target: &ast::Expr,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        match &target.kind {
            ast::ExprKind::Var(name) => self.assign_var(name, target, op, value),
            ast::ExprKind::Map { name, key } => {
                let key = key.as_deref();
                if let Some(op) = op {
                    return self.update_map(name, target.span, key, op, value, span);
                }
                if let Some(call) = self.as_aggregation(value) {
                    return self.aggregate(name, target.span, key, &call);
                }
                if let ast::ExprKind::Block(block) = &value.kind
                    && let Some(last) = &block.value
                    && let Some(call) = self.as_aggregation(last)
                {
                    return self.aggregate_behind(name, target.span, key, block, &call);
                }
                if let Some((op, operand)) = self_update(target, value) {
                    return self.update_map(name, target.span, key, op, operand, span);
                }
                self.set_map(name, target.span, key, value)
            }
            ast::ExprKind::Error => None,
            _ => self.not_assignable(target),
        }
    }

    /// Reports that something cannot be changed.
    pub(super) fn not_assignable<T>(&mut self, target: &ast::Expr) -> Option<T> {
        let span = target.span;
        if let ast::ExprKind::Ident(name) = &target.kind
            && !Self::is_named_value(name)
        {
            if self.is_silent() || !self.told.insert((codes::UNKNOWN_NAME.id, name.clone())) {
                return None;
            }
            let diagnostic = Diagnostic::error(
                &crumbs_grammar::codes::MISSING_SIGIL,
                span,
                "variables begin with `$`",
            );
            return self.report(diagnostic.help(format!(
                "write `${name}`, or `@{name}` to keep it for other probes"
            )));
        }
        if let ast::ExprKind::Binary(_, left, right) = &target.kind
            && let (ast::ExprKind::Ident(ty), ast::ExprKind::Ident(name)) = (&left.kind, &right.kind)
        {
            // Its other uses are part of the same mistake.
            self.told.insert((codes::UNKNOWN_NAME.id, name.clone()));
            let message = "variables are not declared as in C";
            let diagnostic = Diagnostic::error(&crumbs_grammar::codes::C_DECLARATION, span, message);
            return self.report(diagnostic.help(format!(
                "write `${name} = …;`, or with its type `let ${name}: {ty}* = …;`"
            )));
        }
        self.report(
            Diagnostic::error(&codes::NOT_ASSIGNABLE, span, "this cannot be assigned to")
                .help("assign to a variable (`$x`) or a map (`@x`, `@x[key]`)"),
        )
    }

    fn assign_var(
        &mut self,
        name: &str,
        target: &ast::Expr,
        op: Option<BinaryOp>,
        written: &ast::Expr,
    ) -> Option<StmtKind> {
        let value = match op {
            Some(op) => {
                let left = self.var(name, target.span);
                let right = self.value(written);
                let value = self.binary_values(op, left, right, target.span.to(written.span));
                let var = self.program.lookup(name)?;
                self.var_fact(var).assigned = true;
                self.note_natural(var, None);
                return self.set_var(var, value?);
            }
            None => self.value(written),
        };
        let var = match self.program.lookup(name) {
            Some(var) => var,
            None => {
                self.note_declared(name, true);
                self.declare(name, target.span)
            }
        };
        self.var_fact(var).assigned = true;
        self.note_natural(var, Some(written));
        self.set_var(var, value?)
    }

    /// `$v = value`, which teaches the variable's type.
    pub(super) fn set_var(&mut self, var: VarId, value: Expr) -> Option<StmtKind> {
        self.learn_var(var, &value);
        if self.is_inferring() {
            return None;
        }
        let fact = self.facts.vars[self.program.index][var.0 as usize].value.clone();
        let name = format!("${}", self.program.vars[var.0 as usize].name);
        let value = self.stored(value, &fact, &name)?;
        Some(StmtKind::SetVar(var, value))
    }

    /// `value` in the type of the place `name` that it is stored in.
    pub(super) fn stored(&mut self, value: Expr, fact: &Fact, name: &str) -> Option<Expr> {
        let to = fact.ty.as_ref()?;
        if !converts(&value.ty, to) {
            let aggregations = matches!(to, Type::Agg(_)) || matches!(value.ty, Type::Agg(_));
            let code = if aggregations {
                &codes::MIXED_AGGREGATION
            } else {
                &codes::MISMATCHED_VALUE
            };
            let message = format!(
                "`{name}` holds {}, but this is {}",
                described(to),
                described(&value.ty)
            );
            return self.report(
                Diagnostic::error(code, value.span, message)
                    .also(fact.span, format!("`{name}` holds {} since here", described(to)))
                    .help(format!(
                        "`{name}` has one type throughout the script: use another name for this"
                    )),
            );
        }
        if fact.fixed {
            let help = format!(
                "declare a greater type, or cut the value: `({to}){}`",
                self.source_text(value.span)
            );
            match fit(&value, to) {
                Fit::Whole => {}
                Fit::Perhaps => {
                    let message = format!(
                        "`{name}` is declared {to}, and this {} may be cut",
                        described(&value.ty)
                    );
                    self.report::<()>(
                        Diagnostic::warning(&codes::MAY_BE_CUT, value.span, message)
                            .also(fact.span, "declared here")
                            .help(help),
                    );
                }
                Fit::Never => {
                    let message = format!(
                        "`{name}` is declared {to}, and this {} does not fit",
                        described(&value.ty)
                    );
                    return self.report(
                        Diagnostic::error(&codes::DOES_NOT_FIT, value.span, message)
                            .also(fact.span, "declared here")
                            .help(help),
                    );
                }
            }
        }
        Some(as_type(value, to))
    }
}

impl Statements {
    fn push(&mut self, kind: StmtKind, span: Span) {
        self.list.push(Stmt { kind, span });
    }
}

pub(super) fn truth(span: Span) -> Expr {
    Expr {
        kind: ExprKind::Const(1),
        ty: Type::Bool,
        span,
    }
}

/// A type in a message.
pub(super) fn described(ty: &Type) -> String {
    match ty {
        Type::Void => "nothing".to_owned(),
        Type::Str(_) => "string".to_owned(),
        Type::Shown(Shown::Process | Shown::Error | Shown::Signal | Shown::Syscall) => {
            "text that is only found when it is shown".to_owned()
        }
        Type::Tuple(members) => {
            let members: Vec<_> = members.iter().map(described).collect();
            format!("({})", members.join(", "))
        }
        Type::Agg(agg) => format!("{}()", agg.aggregation().name()),
        other => other.to_string(),
    }
}

/// The name of a type that says less than its values do: what exactly a variable of it holds is learnt from them.
fn open_type(ty: &ast::TypeExpr) -> Option<&'static str> {
    /// [`Shown::Time`] has a format and [`Shown::Cgroup`] a pattern.
    const OPEN: [&str; 2] = ["timestamp", "cgroup_path_t"];
    let ast::TypeExprKind::Name(name) = &ty.kind else {
        return None;
    };
    OPEN.into_iter().find(|open| open == name)
}

/// The operation and operand of `@x = @x op e` and, where the operation commutes, `@x = e op @x`.
fn self_update<'e>(target: &ast::Expr, value: &'e ast::Expr) -> Option<(BinaryOp, &'e ast::Expr)> {
    let ast::ExprKind::Binary(op, left, right) = &value.kind else {
        return None;
    };
    let commutes = match op {
        BinaryOp::Add | BinaryOp::Mul | BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor => true,
        BinaryOp::Sub | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Shl | BinaryOp::Shr => false,
        _ => return None,
    };
    if same_element(target, left) {
        Some((*op, right))
    } else if commutes && same_element(target, right) {
        Some((*op, left))
    } else {
        None
    }
}

/// Whether two expressions are the same element of a map, so that one evaluation of its key will do.
fn same_element(a: &ast::Expr, b: &ast::Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ast::ExprKind::Map { name: a, key: key_a }, ast::ExprKind::Map { name: b, key: key_b }) => {
            a == b && alike_keys(key_a.as_deref(), key_b.as_deref())
        }
        _ => alike(a, b),
    }
}
