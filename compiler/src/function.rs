//! Functions of the language. A function is one file below this module and one row of [`ALL`].
//!
//! In: a call whose number of arguments is right. Out: the HIR that it means.

use crate::check::Cx;
use crate::codes;
use crate::hir;
use crate::plan::MapId;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

mod clear;
mod compile_time;
mod delete;
mod exit;
mod has_key;
mod len;
mod message;
mod print;
mod printf;
mod str;
mod time;
mod zero;

/// Every function, declared once. The order is the documentation's. Aggregations are in [`crate::aggregation::ALL`].
pub static ALL: &[Function] = &[
    printf::FUNCTION,
    print::FUNCTION,
    message::ERRORF,
    message::WARNF,
    time::FUNCTION,
    exit::FUNCTION,
    clear::FUNCTION,
    zero::FUNCTION,
    delete::FUNCTION,
    has_key::FUNCTION,
    len::FUNCTION,
    str::FUNCTION,
    compile_time::STATIC_ASSERT,
    compile_time::FAIL,
];

/// A function.
pub struct Function {
    /// What a script writes.
    pub name: &'static str,
    /// One sentence of documentation.
    pub doc: &'static str,
    /// How it is called: `str(address[, length])`.
    pub syntax: &'static str,
    /// A script that uses it; a test compiles it.
    pub example: &'static str,
    /// How many arguments it takes, at least and at most.
    pub arity: (usize, usize),
    /// Checks the arguments and gives the call's meaning; `None` where something is in error and reported, or not yet
    /// known.
    pub check: fn(&mut Cx<'_>, &Call<'_>) -> Option<hir::Expr>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A call being checked.
pub struct Call<'a> {
    /// The function's name, as written.
    pub name: &'a ast::Name,
    /// The arguments; as many as [`Function::arity`] allows.
    pub args: &'a [&'a ast::Expr],
    /// All of it.
    pub span: Span,
}

/// Finds a function by name.
pub fn by_name(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

/// The map that an argument names as a whole.
fn whole_map(cx: &mut Cx<'_>, call: &Call<'_>, arg: &ast::Expr) -> Option<MapId> {
    let function = &call.name.node;
    match &arg.kind {
        ast::ExprKind::Map { name, key: None } => cx.whole_map(name, arg.span),
        ast::ExprKind::Map { name, key: Some(_) } => cx.report(
            Diagnostic::error(
                &codes::KEY_IN_CALL,
                arg.span,
                format!("`{function}` works on a whole map"),
            )
            .help(format!("write `{function}(@{name})`")),
        ),
        ast::ExprKind::Error => None,
        _ => cx.report(
            Diagnostic::error(
                &codes::NOT_A_MAP,
                arg.span,
                format!("`{function}` needs a map here"),
            )
            .help(format!("write `{function}(@name)`")),
        ),
    }
}

/// The text that an argument is, which must be written out.
fn literal_text(cx: &mut Cx<'_>, arg: &ast::Expr, what: &str) -> Option<Vec<u8>> {
    match &arg.kind {
        ast::ExprKind::Str(text) => Some(text.clone()),
        ast::ExprKind::Error => None,
        _ => cx.report(
            Diagnostic::error(
                &codes::NOT_LITERAL,
                arg.span,
                format!("{what} must be a literal string"),
            )
            .help("write it out between double quotes"),
        ),
    }
}
