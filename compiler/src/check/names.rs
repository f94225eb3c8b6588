//! Bare words, calls and fields.

use super::config_record::is_config;
use super::cx::Cx;
use super::queries;
use crate::aggregation;
use crate::builtin;
use crate::codes;
use crate::config::RECORD;
use crate::expand::prelude;
use crate::function::{self, Call};
use crate::hir::{Expr, ExprKind};
use crate::not_taken::{self, NotTaken};
use crate::plan::ProgramKind;
use crate::probe_kind::{did_you_mean, rawtracepoint};
use crate::probe_value::{self, ProbeValue, Role};
use crate::similar::similar;
use crate::types::{Space, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::{Span, Spanned};

impl Cx<'_> {
    /// A bare word.
    pub(super) fn ident(&mut self, name: &str, span: Span) -> Option<Expr> {
        let name = builtin::plain_name(name);
        if name == RECORD {
            return self.config_record(span);
        }
        if let Some(value) = self.named_value(name, span) {
            return value;
        }
        if let Some(function) = function::by_name(name) {
            // Functions that can do without arguments can do without parentheses.
            let name = Spanned::new(name.to_owned(), span);
            return self.call_function(function, &name, &[], span);
        }
        if aggregation::by_name(name).is_some() {
            return self.misplaced_aggregation(name, span);
        }
        if let Some(constant) = self.c_constant(name, span) {
            return Some(constant);
        }
        if let Some(row) = not_taken::by_name(not_taken::NAMES, name) {
            return self.left_out(row, span);
        }
        if self.is_silent() || !self.told.insert((codes::UNKNOWN_NAME.id, name.to_owned())) {
            return None;
        }
        let mut meant: Vec<String> = foreign_word(name).map(str::to_owned).into_iter().collect();
        if self.facts.maps.iter().any(|map| map.name == name && map.assigned) {
            meant.push(format!("@{name}"));
        }
        if self.program.lookup(name).is_some() {
            meant.push(format!("${name}"));
        }
        if meant.is_empty() {
            let values = builtin::ALL.iter().map(|row| row.name);
            let values = values.chain(probe_value::ALL.iter().map(|row| row.name));
            let values = values.chain(prelude::ALL.iter().map(|row| row.name));
            meant = similar(name, values, 3);
        }
        let diagnostic = Diagnostic::error(&codes::UNKNOWN_NAME, span, format!("`{name}` is not known"));
        self.report(if meant.is_empty() {
            diagnostic.help(format!(
                "text stands in quotes (`\"{name}\"`), variables begin with `$`, maps with `@`"
            ))
        } else {
            did_you_mean(diagnostic, &meant)
        })
    }

    /// Whether a word is a name of the language that has a value.
    pub(super) fn is_named_value(name: &str) -> bool {
        builtin::by_name(name).is_some()
            || probe_value::by_name(name).is_some()
            || function::by_name(name).is_some()
    }

    /// A builtin value or one that depends on the probe; the outer `None` where `name` is neither.
    fn named_value(&mut self, name: &str, span: Span) -> Option<Option<Expr>> {
        if let Some(id) = builtin::by_name(name) {
            return Some(Some(Expr {
                kind: ExprKind::Builtin(id),
                ty: self.builtin_type(id),
                span,
            }));
        }
        let (row, n) = probe_value::by_name(name)?;
        Some(self.probe_value(row, name, n, span))
    }

    fn builtin_type(&self, id: builtin::BuiltinId) -> Type {
        let pointee = builtin::POINTEES.iter().find(|(name, _)| *name == id.row().name);
        match pointee.and_then(|(_, tag)| self.types.lookup_kernel_type("struct", tag).ok()) {
            Some(of) => Type::Ptr(Box::new(of), Space::Kernel),
            None => id.row().ty.clone(),
        }
    }

    fn probe_value(&mut self, row: &'static ProbeValue, name: &str, n: u32, span: Span) -> Option<Expr> {
        let offers = self.program.offers()?;
        if !row.role.is_offered(&offers) {
            return self.not_offered(row, name, span);
        }
        let expr = |kind, ty| Some(Expr { kind, ty, span });
        match row.role {
            Role::Argument if self.program.arguments.is_some() => self.static_argument(name, n, span),
            Role::Argument => {
                let is_raw = self
                    .program
                    .kind
                    .is_some_and(|kind| kind.program() == ProgramKind::RawTracepoint);
                let registers = match is_raw {
                    true => rawtracepoint::MAX_ARGS,
                    false => self.target.arch().convention().args.len(),
                };
                if n as usize >= registers {
                    let message = format!("not supported yet: `{name}`, which is passed in memory");
                    let last = registers - 1;
                    return self.report(
                        Diagnostic::error(&codes::LATER, span, message)
                            .label(format!("arguments in registers are arg0 to arg{last}")),
                    );
                }
                expr(ExprKind::Arg(n as u8), Type::I64)
            }
            Role::ReturnValue if self.program_kind() == Some(ProgramKind::Tracing) => self.typed_result(span),
            Role::ReturnValue => expr(ExprKind::ReturnValue, Type::U64),
            // Expansion puts what was noted of the call in its place, wherever it is offered.
            Role::Duration => self.not_offered(row, name, span),
            Role::Context => self.context(span),
            Role::Record if self.is_described() => self.whole_arguments(span),
            Role::Record => self.whole_record(span),
            Role::Name(table) => self.site_name(table, span),
            Role::KindName => {
                let text = self.program.kind?.type_name().as_bytes().to_vec();
                let ty = Type::Str(text.len() as u32 + 1);
                expr(ExprKind::Str(text), ty)
            }
        }
    }

    fn not_offered(&mut self, row: &'static ProbeValue, name: &str, span: Span) -> Option<Expr> {
        let kind = self.program.kind?;
        let having: Vec<_> = crate::probe_kind::ALL
            .iter()
            .filter(|kind| row.role.is_offered(&kind.offers()))
            .map(|kind| kind.name())
            .collect();
        let message = format!("`{name}` does not exist in {} probes", kind.name());
        let diagnostic = Diagnostic::error(&codes::NOT_OFFERED, span, message)
            .label(row.doc.to_owned())
            .help(format!("it exists in {} probes", having.join(", ")));
        let offers = kind.offers();
        let argument = probe_value::name_of(Role::Argument).trim_end_matches('N');
        let record = probe_value::name_of(Role::Record);
        self.report(match row.role {
            Role::Record if offers.arguments => {
                diagnostic.help(format!("here the arguments are `{argument}0`, `{argument}1`, …"))
            }
            Role::Argument if offers.record => {
                let fields: Vec<_> = self
                    .program
                    .record
                    .iter()
                    .flat_map(|(record, _)| record.field_names())
                    .collect();
                diagnostic.help(format!(
                    "here the fields of the record are `{record}.NAME`: {}",
                    fields.join(", ")
                ))
            }
            Role::Argument if offers.return_value => {
                diagnostic.help("keep it in a map at the function's entry: `@x[tid] = …`")
            }
            _ => diagnostic,
        })
    }

    /// `name(arg, …)`.
    pub(super) fn call(&mut self, name: &ast::Name, args: &[ast::Arg], span: Span) -> Option<Expr> {
        if let Some(function) = self.functions.get(name.node.as_str()).copied() {
            return self.call_own(function, args, span);
        }
        if let Some(function) = function::by_name(&name.node) {
            return self.call_function(function, name, args, span);
        }
        if aggregation::by_name(&name.node).is_some() {
            return self.misplaced_aggregation(&name.node, span);
        }
        if let Some(query) = queries::by_name(&name.node) {
            return self.query(query, args, span);
        }
        let is_value = builtin::by_name(&name.node).is_some() || probe_value::by_name(&name.node).is_some();
        if (is_value || name.node == RECORD) && args.is_empty() {
            return self.ident(&name.node, span);
        }
        let text = &name.node;
        if let Some(row) = not_taken::by_name(not_taken::NAMES, text) {
            return self.left_out(row, span);
        }
        if is_value {
            let message = format!("`{text}` is a value and takes no arguments");
            return self.report(Diagnostic::error(&codes::ARGUMENT_COUNT, span, message));
        }
        for arg in args {
            if let ast::Arg::Expr(arg) = arg {
                self.expr(arg);
            }
        }
        if self.is_silent() {
            return None;
        }
        let functions = function::ALL.iter().map(|row| row.name);
        let functions = functions.chain(prelude::ALL.iter().map(|row| row.name));
        let functions = functions.chain(aggregation::ALL.iter().map(|row| row.name()));
        let names = similar(text, functions, 3);
        let diagnostic = Diagnostic::error(
            &codes::UNKNOWN_FUNCTION,
            name.span,
            format!("there is no function `{text}`"),
        );
        self.report(did_you_mean(diagnostic, &names))
    }

    fn call_function(
        &mut self,
        function: &'static function::Function,
        name: &ast::Name,
        args: &[ast::Arg],
        span: Span,
    ) -> Option<Expr> {
        let mut exprs = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                ast::Arg::Expr(expr) => exprs.push(expr),
                ast::Arg::Type(ty) => {
                    let message = format!("`{}` takes values, and this is a type", function.name);
                    return self.report(Diagnostic::error(&codes::ARGUMENT_TYPE, ty.span, message));
                }
            }
        }
        let (min, max) = function.arity;
        if !(min..=max).contains(&exprs.len()) {
            return self.argument_count(function.name, function.syntax, min, max, exprs.len(), span);
        }
        let call = Call {
            name,
            args: &exprs,
            span,
        };
        (function.check)(self, &call)
    }

    /// Reports a name of bpftrace that crumbs leaves out.
    fn left_out<T>(&mut self, row: &NotTaken, span: Span) -> Option<T> {
        let message = format!("there is no `{}` here", row.name);
        self.report(Diagnostic::error(&codes::NOT_TAKEN, span, message).help(row.instead))
    }

    /// Reports a wrong number of arguments.
    pub(super) fn argument_count<T>(
        &mut self,
        name: &str,
        syntax: &str,
        min: usize,
        max: usize,
        found: usize,
        span: Span,
    ) -> Option<T> {
        let expected = match (min, max) {
            (0, 0) => "no arguments".to_owned(),
            (1, 1) => "1 argument".to_owned(),
            (min, max) if min == max => format!("{min} arguments"),
            (min, usize::MAX) => format!("at least {min} argument{}", if min == 1 { "" } else { "s" }),
            (min, max) => format!("{min} to {max} arguments"),
        };
        let given = if found == 1 {
            "1 is given".to_owned()
        } else {
            format!("{found} are given")
        };
        let message = format!("`{name}` takes {expected}, and {given}");
        self.report(
            Diagnostic::error(&codes::ARGUMENT_COUNT, span, message).help(format!("its form: {syntax}")),
        )
    }

    fn misplaced_aggregation(&mut self, name: &str, span: Span) -> Option<Expr> {
        let message = format!("`{name}` must be assigned to a map");
        self.report(
            Diagnostic::error(&codes::MISPLACED_AGGREGATION, span, message).help(format!(
                "write `@name = {name}(…);` or `@name[key] = {name}(…);` as a statement of its own"
            )),
        )
    }

    /// `of.name`, `of->name`.
    pub(super) fn field(&mut self, of: &ast::Expr, name: &ast::Name, span: Span) -> Option<Expr> {
        if is_config(of) {
            return self.config_variable(name, span);
        }
        if super::uses::has_role(of, Role::ReturnValue) && self.is_described() {
            let value = self.described_result(of.span)?;
            return self.member_named(value, name, span);
        }
        if !super::uses::is_record(of) {
            let value = self.value(of)?;
            return self.member_named(value, name, span);
        }
        let offers = self.program.offers()?;
        if !offers.record {
            return self.ident_of_record(of);
        }
        if self.is_described() {
            return self.named_argument(name, of.span, span);
        }
        let (record, place) = self.program.record.clone()?;
        let Some(field) = record.field(&name.node) else {
            if self.is_silent() {
                return None;
            }
            let message = format!("{place} has no field `{}`", name.node);
            let names = similar(&name.node, record.field_names(), 3);
            let diagnostic = Diagnostic::error(&codes::UNKNOWN_FIELD, name.span, message);
            return self.report(if names.is_empty() {
                let all: Vec<_> = record.field_names().collect();
                diagnostic.help(format!("its fields are {}", all.join(", ")))
            } else {
                did_you_mean(diagnostic, &names)
            });
        };
        let field = field.clone();
        self.field_of_record(&field, span)
    }

    /// Reports that there is no record here.
    fn ident_of_record(&mut self, of: &ast::Expr) -> Option<Expr> {
        match &of.kind {
            ast::ExprKind::Ident(name) => self.ident(name, of.span),
            _ => None,
        }
    }
}

/// What a word of other languages is here.
fn foreign_word(name: &str) -> Option<&'static str> {
    Some(match name {
        "True" | "TRUE" => "true",
        "False" | "FALSE" => "false",
        "NULL" | "null" | "None" | "nil" | "nullptr" => "0",
        _ => return None,
    })
}
