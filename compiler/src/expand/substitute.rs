//! One use of a macro: its body with the arguments in the place of its parameters.
//!
//! In: a copy of the body. Out: the same with every parameter replaced, every place moved to where this use's copy of the
//! text is, and every other variable renamed, so that it meets none of the caller's. Arguments keep their places.

use super::macros::Bound;
use crate::codes;
use crumbs_grammar::ast::{Arg, Block, Expr, ExprKind, Stmt, TypeExpr, TypeExprKind};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::HYGIENE_MARK;
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_block, walk_expr, walk_stmt, walk_type};
use std::collections::HashMap;

/// What a use of a macro puts in the place of what.
pub(super) struct Substitution<'a> {
    /// What each parameter stands for, by its name with sigil.
    pub bound: &'a HashMap<String, Bound>,
    /// Added to places of the body.
    pub shift: i64,
    /// The use's number: no two uses have the same.
    pub number: u32,
    /// How many nodes were made.
    pub nodes: u64,
    pub diagnostics: Vec<Diagnostic>,
}

impl Substitution<'_> {
    /// Makes `body` the body of this use.
    pub(super) fn apply(&mut self, body: &mut Block) {
        walk_block(self, body);
    }

    fn argument(&self, name: &str) -> Option<&Arg> {
        match self.bound.get(name) {
            Some(Bound::Arg(arg)) => Some(arg),
            _ => None,
        }
    }
}

impl VisitMut for Substitution<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        self.nodes += 1;
        let parameter = match &expr.kind {
            ExprKind::Ident(name) => self.argument(name),
            ExprKind::Var(name) => self.argument(&format!("${name}")),
            _ => None,
        };
        if let Some(arg) = parameter {
            *expr = match arg {
                Arg::Expr(arg) => arg.clone(),
                Arg::Type(ty) => type_value(ty),
            };
            self.nodes += size(expr);
            return;
        }
        if let ExprKind::Call { name, args } = &mut expr.kind
            && let Some(Arg::Expr(first)) = args.first()
            && let ExprKind::Ident(param) = &first.kind
            && let Some(ty) = self.argument(param).and_then(as_type)
        {
            // `sizeof(T)`: what a type function is given is a type if the argument is one.
            args[0] = Arg::Type(ty);
            let rest = args.split_off(1);
            for arg in rest {
                args.push(match arg {
                    Arg::Expr(mut arg) => {
                        self.expr(&mut arg);
                        Arg::Expr(arg)
                    }
                    arg => arg,
                });
            }
            self.span(&mut name.span);
            expr.kind = crumbs_grammar::ast::type_call(name.clone(), std::mem::take(args));
            self.span(&mut expr.span);
            return;
        }
        walk_expr(self, expr);
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        self.nodes += 1;
        walk_stmt(self, stmt);
    }

    fn ty(&mut self, ty: &mut TypeExpr) {
        if let TypeExprKind::Name(name) = &ty.kind
            && let Some(arg) = self.argument(name)
        {
            let kind = match (as_type(arg), arg) {
                (Some(ty), _) => ty.kind,
                (
                    None,
                    Arg::Expr(Expr {
                        kind: ExprKind::Ident(name),
                        ..
                    }),
                ) => TypeExprKind::Name(name.clone()),
                (None, Arg::Expr(e)) => TypeExprKind::TypeOf(Box::new(e.clone())),
                (None, Arg::Type(ty)) => ty.kind.clone(),
            };
            ty.kind = kind;
            self.span(&mut ty.span);
            return;
        }
        walk_type(self, ty);
    }

    fn var(&mut self, name: &mut String) {
        match self.bound.get(&format!("${name}")) {
            Some(Bound::Name(given)) => name.clone_from(given),
            _ => {
                // What an outer use renamed is a parameter's value, or has been replaced before it got here.
                *name = format!("{name}{HYGIENE_MARK}{}", self.number);
            }
        }
    }

    fn map(&mut self, name: &mut String, span: Span) {
        match self.bound.get(&format!("@{name}")) {
            Some(Bound::Name(given)) => name.clone_from(given),
            // A map that a macro of the prelude keeps.
            _ if name.ends_with(HYGIENE_MARK) => {}
            _ => {
                let mut at = span;
                self.span(&mut at);
                self.diagnostics.push(
                    Diagnostic::error(
                        &codes::UNHYGIENIC_MAP,
                        at,
                        format!("the macro uses `@{name}`, which is no parameter of it"),
                    )
                    .help(format!(
                        "add `@{name}` to its parameters, and pass the map where the macro is used"
                    )),
                );
            }
        }
    }

    fn span(&mut self, span: &mut Span) {
        let moved = |at: u32| u32::try_from(i64::from(at) + self.shift).unwrap_or(at);
        *span = Span {
            start: moved(span.start),
            end: moved(span.end),
        };
    }
}

/// The type that an argument is, where it is written as one: `struct s`, `typeof(…)`.
fn as_type(arg: &Arg) -> Option<TypeExpr> {
    match arg {
        Arg::Type(ty) => Some(ty.clone()),
        Arg::Expr(Expr {
            kind: ExprKind::TypeCall { name, ty, .. },
            span,
        }) if name.node == "typeof" => Some(TypeExpr {
            kind: TypeExprKind::TypeOfType(Box::new(ty.clone())),
            span: *span,
        }),
        Arg::Expr(Expr {
            kind: ExprKind::Call { name, args },
            span,
        }) if name.node == "typeof" => match args.as_slice() {
            [Arg::Expr(of)] => Some(TypeExpr {
                kind: TypeExprKind::TypeOf(Box::new(of.clone())),
                span: *span,
            }),
            _ => None,
        },
        Arg::Expr(_) => None,
    }
}

/// A type in a place of a value: `typeof(type)`.
fn type_value(ty: &TypeExpr) -> Expr {
    Expr {
        kind: ExprKind::TypeCall {
            name: crumbs_grammar::span::Spanned::new("typeof".to_owned(), ty.span),
            ty: ty.clone(),
            path: Vec::new(),
        },
        span: ty.span,
    }
}

/// How many expressions an expression consists of.
fn size(expr: &Expr) -> u64 {
    let mut counter = Counter(0);
    // The walk only counts; a copy costs no more than the one that is being made.
    counter.expr(&mut expr.clone());
    counter.0
}

struct Counter(u64);

impl VisitMut for Counter {
    fn expr(&mut self, expr: &mut Expr) {
        self.0 += 1;
        walk_expr(self, expr);
    }
}
