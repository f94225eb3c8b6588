//! `config`: the config variables as a record of constants, `config.max_strlen`.

use super::cx::Cx;
use crate::codes;
use crate::config::{self, RECORD};
use crate::hir::Expr;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::{Span, Spanned};

impl Cx<'_> {
    /// `config.name`.
    pub(super) fn config_variable(&mut self, name: &ast::Name, span: Span) -> Option<Expr> {
        if config::by_name(&name.node).is_some() {
            let value = self.config_literal(&name.node, span);
            return self.expr(&value);
        }
        let message = format!("there is no config variable `{}`", name.node);
        let meant = similar(&name.node, config::ALL.iter().map(|v| v.name), 3);
        let diagnostic = Diagnostic::error(&codes::UNKNOWN_CONFIG, name.span, message);
        self.report(did_you_mean(diagnostic, &meant))
    }

    /// `config`: all of it.
    pub(super) fn config_record(&mut self, span: Span) -> Option<Expr> {
        let fields = config::ALL
            .iter()
            .map(|variable| {
                let name = Spanned::new(variable.name.to_owned(), span);
                (name, self.config_literal(variable.name, span))
            })
            .collect();
        self.expr(&ast::Expr {
            kind: ast::ExprKind::Record(fields),
            span,
        })
    }

    /// The value of a config variable, as a script would write it.
    fn config_literal(&self, name: &str, span: Span) -> ast::Expr {
        let text = self.configured.value(name);
        let kind = match (text, text.parse()) {
            ("true" | "false", _) => ast::ExprKind::Bool(text == "true"),
            (_, Ok(number)) => ast::ExprKind::Int(number),
            (_, Err(_)) => ast::ExprKind::Str(text.as_bytes().to_vec()),
        };
        ast::Expr { kind, span }
    }
}

/// Whether an expression is the record of config variables.
pub(super) fn is_config(expr: &ast::Expr) -> bool {
    match &expr.kind {
        ast::ExprKind::Ident(name) => name == RECORD,
        ast::ExprKind::Call { name, args } => name.node == RECORD && args.is_empty(),
        _ => false,
    }
}
