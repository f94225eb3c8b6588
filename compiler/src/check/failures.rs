//! `-k`: what the kernel refuses a script is told as it happens, with its place.
//!
//! In: expressions that look up, delete or read. Out: the same, with an event where the kernel's helper fails. Looking up an
//! element that is not there gives 0 and deleting one does nothing, so both are told only where the script asks for that.

use super::cx::Cx;
use crate::expand::prelude;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind, UnaryOp};
use crate::plan::{Event, EventId, EventKind, HelperFailure, MacroUse, RECORD_HEADER};
use crate::types::Type;
use crate::visit;
use crumbs_grammar::source::COMMAND_LINE;
use crumbs_grammar::span::Span;
use std::collections::{HashMap, HashSet};

/// The key that is looked up; no script can name it.
const KEY: &str = "key that is looked up";

/// `ENOENT`, `EFAULT` (include/uapi/asm-generic/errno-base.h).
const NO_ENTRY: i64 = -2;
const FAULT: i64 = -14;

impl Cx<'_> {
    /// The event that tells of a failure at a place.
    fn failure(&self, helper: &'static str, message: &str, result: i64, span: Span) -> EventKind {
        let (whole, _) = self.sources.origin(span);
        let position = self.sources.position(whole);
        EventKind::HelperFailed(HelperFailure {
            helper,
            result,
            message: message.to_owned(),
            place: self.place(span),
            file: match position.file {
                COMMAND_LINE => "stdin".to_owned(),
                file => file.to_owned(),
            },
            line: position.line,
            column: position.column,
            source: self.marked(whole),
        })
    }

    /// The line that a place of a file is in, and a line that marks the place in it.
    fn marked(&self, whole: Span) -> String {
        let text = self.sources.text();
        let start = text[..whole.start as usize].rfind('\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let marked = (whole.end - whole.start).max(1) as usize;
        let blanks = whole.start as usize - start;
        let marked = marked.min(line.len().saturating_sub(blanks).max(1));
        format!("{line}\n{}{}", " ".repeat(blanks), "~".repeat(marked))
    }

    /// The uses of macros that `span` was expanded from, innermost first. Of what the compiler brings along the user knows
    /// the last use only, and [`Cx::place`] is that.
    pub fn macro_uses(&self, span: Span) -> Vec<MacroUse> {
        let (whole, uses) = self.sources.origin(span);
        if self.sources.file(whole).0 == prelude::FILE {
            return Vec::new();
        }
        uses.iter()
            .map(|(_, used)| MacroUse {
                place: self.place_in_file(*used),
                source: self.marked(*used),
            })
            .collect()
    }

    /// An element of a map as a value, told where it is not there.
    pub(super) fn reported_lookup(&mut self, read: Option<Expr>, is_keyed: bool, span: Span) -> Option<Expr> {
        if !self.options.report_failures || !is_keyed {
            return read;
        }
        // Declared also while types are learnt, so that variables keep their numbers.
        self.program.open_scope();
        let var = self.declare(KEY, span);
        self.program.close_scope();
        self.var_fact(var).assigned = true;
        let read = read?;
        let ExprKind::MapValue { map, key: Some(key) } = read.kind else {
            return Some(read);
        };
        let Some(kind) = self.set_var(var, (*key).clone()) else {
            let kind = ExprKind::MapValue { map, key: Some(key) };
            return self.is_inferring().then_some(Expr { kind, ..read });
        };
        let expr = |kind, ty: &Type| Expr {
            kind,
            ty: ty.clone(),
            span,
        };
        let key_ty = self.program.vars[var.0 as usize].ty.clone();
        let key = || Some(Box::new(expr(ExprKind::Var(var), &key_ty)));
        let value = || Box::new(expr(ExprKind::MapValue { map, key: key() }, &read.ty));
        let message = "Can't lookup map element because it does not exist.";
        let failure = self.failure("map_lookup_elem", message, 0, span);
        let told = self.emit(failure, Vec::new(), span)?;
        let absent = ExprKind::Block {
            body: vec![Stmt {
                kind: StmtKind::Eval(told),
                span,
            }],
            value: value(),
        };
        let there = Box::new(expr(ExprKind::HasKey { map, key: key() }, &Type::Bool));
        let choice = ExprKind::Ternary(there, value(), Box::new(expr(absent, &read.ty)));
        let block = ExprKind::Block {
            body: vec![Stmt { kind, span }],
            value: Box::new(expr(choice, &read.ty)),
        };
        Some(expr(block, &read.ty))
    }

    /// A deletion whose result nobody looks at, told where there was nothing to delete.
    pub(super) fn reported_deletion(&mut self, deletion: Expr) -> Option<StmtKind> {
        let span = deletion.span;
        if !self.options.report_failures || !matches!(deletion.kind, ExprKind::Delete { .. }) {
            return Some(StmtKind::Eval(deletion));
        }
        let message = "Can't delete map element because it does not exist.";
        let failure = self.failure("map_delete_elem", message, NO_ENTRY, span);
        let told = self.emit(failure, Vec::new(), span)?;
        Some(StmtKind::If {
            cond: Expr {
                kind: ExprKind::Unary(UnaryOp::Not, Box::new(deletion)),
                ty: Type::Bool,
                span,
            },
            then: vec![Stmt {
                kind: StmtKind::Eval(told),
                span,
            }],
            otherwise: Vec::new(),
        })
    }

    /// An event for each place of some programs that reads memory.
    pub(super) fn read_failures(&mut self, probes: &[crate::hir::Probe]) -> HashMap<Span, EventId> {
        let (mut places, mut known) = (Vec::new(), HashSet::new());
        if self.options.report_failures {
            for probe in probes {
                visit::any_expr(probe, &mut |expr| {
                    if matches!(expr.kind, ExprKind::Read { .. }) && known.insert(expr.span) {
                        places.push(expr.span);
                    }
                    false
                });
            }
        }
        let told = places.into_iter().map(|span| {
            let id = EventId(self.events.len() as u32);
            let kind = self.failure("probe_read", "Bad address", FAULT, span);
            self.events.push(Event {
                kind,
                args: Vec::new(),
                size: RECORD_HEADER,
                span,
            });
            (span, id)
        });
        told.collect()
    }
}
