//! Expressions.

use super::casts::is_not_empty;
use super::convert::const_value;
use super::cx::Cx;
use super::statements::described;
use crate::codes;
use crate::hir::{Expr, ExprKind, VarId};
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::{IntType, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// An expression that gives a value.
    pub fn value(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let value = self.expr(expr)?;
        if value.ty == Type::Void {
            return self.report(Diagnostic::error(
                &codes::NO_VALUE,
                expr.span,
                "this gives no value",
            ));
        }
        Some(value)
    }

    /// An expression that is tested for not being 0.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let value = self.value(expr)?;
        if value.ty.is_scalar() && !matches!(value.ty, Type::Name(_) | Type::Shown(_)) {
            return Some(value);
        }
        if let ExprKind::Str(_) = value.kind {
            return Some(is_not_empty(value));
        }
        let message = format!(
            "a condition is a number or boolean, and this is {}",
            described(&value.ty)
        );
        let diagnostic = Diagnostic::error(&codes::NOT_CONDITION, expr.span, message);
        self.report(match value.ty {
            Type::Str(_) => diagnostic.help("compare it: `… != \"\"`"),
            _ => diagnostic,
        })
    }

    /// Any expression, also one that gives nothing.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let span = expr.span;
        let constant = |value, ty| {
            Some(Expr {
                kind: ExprKind::Const(value),
                ty,
                span,
            })
        };
        match &expr.kind {
            ast::ExprKind::Int(n) => constant(
                *n as i64,
                if *n <= i64::MAX as u64 {
                    Type::I64
                } else {
                    Type::U64
                },
            ),
            ast::ExprKind::Bool(b) => constant(i64::from(*b), Type::Bool),
            ast::ExprKind::Str(text) => self.text(text, span),
            ast::ExprKind::Var(name) => self.var(name, span),
            ast::ExprKind::Positional(n) => {
                let Some((value, ty)) = self.numeric_param(*n) else {
                    let text = self.param_text(*n).as_bytes().to_vec();
                    return self.text(&text, span);
                };
                constant(value, ty)
            }
            ast::ExprKind::PositionalCount => constant(self.options.params.len() as i64, Type::I64),
            ast::ExprKind::Map { name, key } => self.map_value(name, span, key.as_deref()),
            ast::ExprKind::Ident(name) => self.ident(name, span),
            ast::ExprKind::Call { name, args } => self.call(name, args, span),
            ast::ExprKind::Unary(op, of) => self.unary(*op, of, span),
            ast::ExprKind::IncDec {
                increment,
                prefix,
                target,
            } => self.increment(target, *increment, *prefix, span),
            ast::ExprKind::Binary(op, a, b) => self.binary(*op, a, b, span),
            ast::ExprKind::Ternary(c, a, b) => self.ternary(c, a.as_deref(), b, span),
            ast::ExprKind::Field(of, name) | ast::ExprKind::Arrow(of, name) => self.field(of, name, span),
            ast::ExprKind::TupleIndex(of, index) => self.member(of, index.node, index.span, span),
            ast::ExprKind::Index(of, index) => self.index(of, index, span),
            ast::ExprKind::Cast(ty, of) => self.cast(ty, of, span),
            ast::ExprKind::Tuple(members) => self.tuple(members, span),
            ast::ExprKind::Float(_) => self.report(
                Diagnostic::error(&codes::FRACTION, span, "numbers with a fraction exist only where they are shown")
                    .help("as an argument: `printf(\"%.2f\", n / 1.0e9)`; elsewhere count in smaller units: `n / 1000`"),
            ),
            ast::ExprKind::Record(fields) => self.record(fields, span),
            ast::ExprKind::TypeCall { name, ty, path } => self.type_call(name, ty, path, span),
            ast::ExprKind::Comptime(of) => self.comptime(of, span),
            ast::ExprKind::If(branch) => self.if_value(branch, span),
            ast::ExprKind::Block(block) => self.block_value(block, span),
            ast::ExprKind::Error => None,
        }
    }

    /// A literal string.
    pub fn text(&mut self, text: &[u8], span: Span) -> Option<Expr> {
        let max = self.configured.config.max_strlen;
        if text.len() > max as usize {
            let message = format!("this string has {} bytes, and `max_strlen` is {max}", text.len());
            return self.report(Diagnostic::error(&codes::DOES_NOT_FIT, span, message));
        }
        // Text ends at its first NUL, as it does in memory.
        let len = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        Some(Expr {
            kind: ExprKind::Str(text[..len].to_vec()),
            ty: Type::Str(len as u32 + 1),
            span,
        })
    }

    /// A positional parameter as a number, unless it is text; 0 for one that is not given, as in bpftrace.
    fn numeric_param(&mut self, n: u32) -> Option<(i64, Type)> {
        let Some(text) = self.param(n) else {
            return Some((0, Type::I64));
        };
        let (value, is_large) = crate::options::number(text)?;
        Some((value, if is_large { Type::U64 } else { Type::I64 }))
    }

    /// `$name`.
    pub(super) fn var(&mut self, name: &str, span: Span) -> Option<Expr> {
        let var = self.defined_var(name, span)?;
        let optimistic = self.is_optimistic();
        let fact = self.var_fact(var);
        if fact.value.ty.is_none() && !fact.assigned && optimistic {
            let grew = fact.value.absorb(&Type::I64, true, span);
            self.facts.grew |= grew;
        }
        let ty = self.var_fact(var).value.ty.clone()?;
        Some(Expr {
            kind: ExprKind::Var(var),
            ty,
            span,
        })
    }

    /// The variable that `name` means here.
    pub(super) fn defined_var(&mut self, name: &str, span: Span) -> Option<VarId> {
        if let Some(var) = self.program.lookup(name) {
            return Some(var);
        }
        if self.hoist(name, span) {
            return None;
        }
        if self.is_silent() || !self.program.undefined.insert(name.to_owned()) {
            return None;
        }
        let mut diagnostic = Diagnostic::error(
            &codes::UNDEFINED_VARIABLE,
            span,
            format!("`${name}` is not defined here"),
        );
        match self.program.vars.iter().find(|var| var.name == name) {
            Some(other) => {
                diagnostic = diagnostic
                    .also(other.span, "this one ends with its block")
                    .help(format!("declare it before the block: `let ${name};`"));
            }
            None => {
                let names = similar(name, self.program.visible(), 3);
                let mut names: Vec<_> = names.iter().map(|name| format!("${name}")).collect();
                if self.facts.maps.iter().any(|map| map.name == name && map.assigned) {
                    names.insert(0, format!("@{name}"));
                }
                if Self::is_named_value(name) {
                    names.insert(0, name.to_owned());
                }
                diagnostic = match names.is_empty() {
                    true => diagnostic.help(format!(
                        "assign it first, `${name} = …;`; what one probe keeps for another is a map"
                    )),
                    false => did_you_mean(diagnostic, &names),
                };
            }
        }
        self.report(diagnostic)
    }

    fn tuple(&mut self, members: &[ast::Expr], span: Span) -> Option<Expr> {
        let members: Vec<_> = members.iter().map(|member| self.value(member)).collect();
        let members = members.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Expr {
            ty: Type::Tuple(members.iter().map(|member| member.ty.clone()).collect()),
            kind: ExprKind::Tuple(members),
            span,
        })
    }

    /// `(name=a, other=b)`.
    fn record(&mut self, fields: &[(ast::Name, ast::Expr)], span: Span) -> Option<Expr> {
        for (i, (name, _)) in fields.iter().enumerate() {
            if let Some((first, _)) = fields[..i].iter().find(|(other, _)| other.node == name.node) {
                let message = format!("the record has two fields `{}`", name.node);
                return self.report(
                    Diagnostic::error(&codes::SHADOWED, name.span, message).also(first.span, "the first"),
                );
            }
        }
        let values: Vec<_> = fields.iter().map(|(_, value)| self.value(value)).collect();
        let values = values.into_iter().collect::<Option<Vec<_>>>()?;
        let names = fields.iter().map(|(name, _)| name.node.clone());
        Some(Expr {
            ty: Type::Record(names.zip(values.iter().map(|value| value.ty.clone())).collect()),
            kind: ExprKind::Tuple(values),
            span,
        })
    }

    fn member(&mut self, of: &ast::Expr, index: u64, at: Span, span: Span) -> Option<Expr> {
        let tuple = self.value(of)?;
        self.member_of_tuple(tuple, index, at, span)
    }

    /// `tuple.index`.
    pub(super) fn member_of_tuple(&mut self, tuple: Expr, index: u64, at: Span, span: Span) -> Option<Expr> {
        let (Type::Tuple(_) | Type::Record(_)) = &tuple.ty else {
            let message = format!("{} has no members", described(&tuple.ty));
            return self.report(Diagnostic::error(&codes::NO_MEMBER, at, message));
        };
        let Some(ty) = usize::try_from(index)
            .ok()
            .and_then(|i| tuple.ty.members().nth(i))
        else {
            let message = format!("the tuple has no member {index}");
            let last = tuple.ty.members().count().saturating_sub(1);
            return self.report(
                Diagnostic::error(&codes::NO_MEMBER, at, message)
                    .also(tuple.span, format!("its members are numbered 0 to {last}")),
            );
        };
        Some(Expr {
            ty: ty.clone(),
            kind: ExprKind::Member(Box::new(tuple), index as u32),
            span,
        })
    }

    /// The number that an argument is, which must be written out.
    pub fn literal_number(&mut self, expr: &ast::Expr, what: &str) -> Option<i64> {
        let value = self.value(expr)?;
        match (const_value(&value), &value.ty) {
            (Some(n), Type::Int(IntType { .. })) => Some(n),
            _ => self.report(
                Diagnostic::error(
                    &codes::NOT_LITERAL,
                    expr.span,
                    format!("{what} must be a literal number"),
                )
                .label("this is known only when the probe runs"),
            ),
        }
    }
}
