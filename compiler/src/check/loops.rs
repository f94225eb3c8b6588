//! Loops, and what leaves them.

use super::cx::Cx;
use super::statements::described;
use crate::codes;
use crate::hir::{Locals, Stmt, StmtKind, VarId};
use crate::lower::MAX_FRAMES;
use crate::types::Type;
use crumbs_grammar::ast::{self, ForOver};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// The most repetitions of one `unroll`.
const MAX_UNROLL: i64 = 100;
/// The most repetitions of a body in `unroll`s within each other.
const MAX_UNROLLED: u64 = 10_000;

/// The loops that a statement is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nesting {
    /// All of them, of the function of the script that the statement is in.
    loops: u32,
    /// Those that run as functions of their own.
    callbacks: u32,
    /// How often `unroll`s repeat the statement.
    unrolled: u64,
}

impl Default for Nesting {
    fn default() -> Self {
        Self {
            loops: 0,
            callbacks: 0,
            unrolled: 1,
        }
    }
}

impl Nesting {
    /// In the body of a function of the script that is called here.
    pub(super) fn called(self) -> Self {
        Self { loops: 0, ..self }
    }
}

impl Cx<'_> {
    /// `for $var : over { … }`.
    pub(super) fn for_loop(
        &mut self,
        var: &ast::Name,
        over: &ForOver,
        body: &ast::Block,
        span: Span,
    ) -> Option<StmtKind> {
        match over {
            ForOver::Range(from, to) => {
                let (from, to) = (self.bound(from), self.bound(to));
                let (var, locals, body) = self.repeated(Some((var, Some(Type::I64))), body, span);
                Some(StmtKind::ForRange {
                    var: var?,
                    from: from?,
                    to: to?,
                    locals,
                    body,
                })
            }
            ForOver::Expr(over) => self.for_map(var, over, body, span),
        }
    }

    /// A bound of a range.
    fn bound(&mut self, bound: &ast::Expr) -> Option<crate::hir::Expr> {
        let value = self.value(bound)?;
        match value.ty {
            Type::Int(_) => Some(super::convert::as_type(value, &Type::I64)),
            _ => {
                let message = format!(
                    "the bounds of a range are numbers, and this is {}",
                    described(&value.ty)
                );
                self.report(Diagnostic::error(&codes::BAD_LOOP, bound.span, message))
            }
        }
    }

    fn for_map(
        &mut self,
        var: &ast::Name,
        over: &ast::Expr,
        body: &ast::Block,
        span: Span,
    ) -> Option<StmtKind> {
        let ast::ExprKind::Map { name, key: None } = &over.kind else {
            let ty = self.expr(over).map(|value| described(&value.ty));
            self.repeated(Some((var, None)), body, span);
            let message = "a loop goes over a map or a range of numbers";
            let diagnostic = Diagnostic::error(&codes::BAD_LOOP, over.span, message);
            return self.report(match ty {
                Some(ty) => diagnostic.label(format!("this is {ty}")),
                None => diagnostic,
            });
        };
        let map = self.whole_map(name, over.span);
        let element = map.and_then(|map| self.element_type(map, over.span));
        let (var, locals, body) = self.repeated(Some((var, element)), body, span);
        Some(StmtKind::ForMap {
            var: var?,
            map: map?,
            locals,
            body,
        })
    }

    /// The type of a map's elements: key and value.
    fn element_type(&mut self, map: crate::plan::MapId, span: Span) -> Option<Type> {
        let fact = &self.facts.maps[map.0 as usize];
        let name = fact.name.clone();
        let key = match &fact.key {
            super::facts::KeyFact::Keyed(key) => key.ty.clone()?,
            super::facts::KeyFact::Unknown => return None,
            super::facts::KeyFact::None(first) => {
                let first = *first;
                let message = format!("`@{name}` has no keys, so there is nothing to go over");
                return self.report(
                    Diagnostic::error(&codes::BAD_LOOP, span, message).also(first, "used without a key here"),
                );
            }
        };
        let value = match fact.value.ty.clone()? {
            Type::Agg(agg) if agg.aggregation().reduction().is_some() => super::maps::reduced_type(&agg),
            Type::Agg(agg) => {
                let what = agg.aggregation().name();
                let message = format!("`@{name}` is a {what}(), whose values are not one number each");
                return self.report(Diagnostic::error(&codes::BAD_LOOP, span, message));
            }
            value => value,
        };
        Some(Type::Tuple(vec![key, value]))
    }

    /// `while (cond) { … }`.
    pub(super) fn while_loop(&mut self, cond: &ast::Expr, body: &ast::Block, span: Span) -> Option<StmtKind> {
        let outer = self.enter(span);
        let first = self.program.vars.len() as u32;
        self.program.open_scope();
        let cond = self.condition(cond);
        let body = self.block(body);
        self.program.close_scope();
        self.program.nesting = outer;
        let locals = self.locals(first);
        Some(StmtKind::While {
            cond: cond?,
            locals,
            body,
        })
    }

    /// `unroll(n) { … }`.
    pub(super) fn unroll(&mut self, count: &ast::Expr, body: &ast::Block, span: Span) -> Option<StmtKind> {
        let n = self.literal_number(count, "how often a block is repeated");
        let outer = self.program.nesting;
        self.program.nesting.loops += 1;
        let product = outer.unrolled.saturating_mul(n.unwrap_or(1).unsigned_abs());
        self.program.nesting.unrolled = product;
        let first = self.program.vars.len() as u32;
        let body = self.block(body);
        let locals = self.locals(first);
        self.program.nesting = outer;
        let n = n?;
        if !(1..=MAX_UNROLL).contains(&n) {
            let message = format!("a block is repeated 1 to {MAX_UNROLL} times, not {n}");
            return self.report(
                Diagnostic::error(&codes::BAD_LOOP, count.span, message)
                    .help("`for $i : 0..n { … }` repeats as often as is wanted"),
            );
        }
        if product > MAX_UNROLLED {
            let message =
                format!("this writes the block out {product} times, and {MAX_UNROLLED} is the most");
            return self.report(
                Diagnostic::error(&codes::BAD_LOOP, span, message).help("use `for $i : 0..n { … }`"),
            );
        }
        Some(StmtKind::Unroll {
            count: n as u32,
            locals,
            body,
        })
    }

    /// `break` and `continue`.
    pub(super) fn loop_exit(&mut self, kind: StmtKind, span: Span) -> Option<StmtKind> {
        // What stands between a print and a clear behind it may not be done.
        self.ends += 1;
        if self.program.nesting.loops == 0 {
            let word = if matches!(kind, StmtKind::Break) {
                "break"
            } else {
                "continue"
            };
            let message = format!("`{word}` stands outside of any loop");
            return self.report(Diagnostic::error(&codes::NOT_IN_LOOP, span, message));
        }
        Some(kind)
    }

    /// The body of a loop, and its own variable with its type.
    fn repeated(
        &mut self,
        var: Option<(&ast::Name, Option<Type>)>,
        body: &ast::Block,
        span: Span,
    ) -> (Option<VarId>, Locals, Vec<Stmt>) {
        let outer = self.enter(span);
        let first = self.program.vars.len() as u32;
        self.program.open_scope();
        let var = var.map(|(name, ty)| self.loop_variable(name, ty));
        let body = self.block(body);
        self.program.close_scope();
        self.program.nesting = outer;
        (var, self.locals(first), body)
    }

    fn loop_variable(&mut self, name: &ast::Name, ty: Option<Type>) -> VarId {
        if let Some(var) = self.program.lookup(&name.node) {
            let first = self.program.vars[var.0 as usize].span;
            self.report::<()>(
                Diagnostic::error(
                    &codes::SHADOWED,
                    name.span,
                    format!("`${}` exists already", name.node),
                )
                .also(first, "declared here")
                .help("give the loop's variable another name"),
            );
        }
        self.note_declared(&name.node, false);
        let var = self.declare(&name.node, name.span);
        self.var_fact(var).assigned = true;
        if let Some(ty) = ty
            && self.is_inferring()
        {
            let grew = self.var_fact(var).value.absorb(&ty, false, name.span);
            self.facts.grew |= grew;
        }
        var
    }

    /// Goes into a loop that becomes a function of its own; gives where that is.
    fn enter(&mut self, span: Span) -> Nesting {
        let outer = self.program.nesting;
        let nesting = &mut self.program.nesting;
        nesting.loops += 1;
        nesting.callbacks += 1;
        // The program itself is a function too.
        if nesting.callbacks == MAX_FRAMES {
            let message = format!("loops can stand in each other {} deep", MAX_FRAMES - 1);
            self.report::<()>(Diagnostic::error(&codes::BAD_LOOP, span, message).label("this is one more"));
        }
        outer
    }

    /// The variables that were declared since there were `first`.
    pub(super) fn locals(&self, first: u32) -> Locals {
        Locals {
            first,
            end: self.program.vars.len() as u32,
        }
    }
}
