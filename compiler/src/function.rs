//! Functions of the language. A function is one file below this module and one row of [`ALL`].
//!
//! In: a call whose number of arguments is right. Out: the HIR that it means.

use crate::check::Cx;
use crate::codes;
use crate::hir::{self, Intrinsic};
use crate::plan::MapId;
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

mod action;
mod clear;
mod clock;
mod compile_time;
mod decimals;
mod delete;
mod exit;
pub mod getopt;
mod has_key;
pub(crate) mod internal;
mod len;
mod memory;
mod message;
mod network;
mod numbers;
mod print;
mod printf;
mod process;
mod stacks;
mod str;
mod symbol;
mod table;
mod text;
mod time;
mod words;
mod zero;

/// Every function, declared once. The order is the documentation's. Aggregations are in [`crate::aggregation::ALL`].
pub static ALL: &[Function] = &[
    printf::FUNCTION,
    print::FUNCTION,
    print::RATE,
    table::FUNCTION,
    message::ERRORF,
    message::WARNF,
    message::DEBUGF,
    time::FUNCTION,
    exit::FUNCTION,
    clear::FUNCTION,
    zero::FUNCTION,
    delete::FUNCTION,
    has_key::FUNCTION,
    has_key::BY_ADDRESS,
    len::FUNCTION,
    internal::ENTERED,
    str::FUNCTION,
    getopt::FUNCTION,
    compile_time::STATIC_ASSERT,
    compile_time::FAIL,
    compile_time::IS_SCALAR,
    action::CAT,
    action::SYSTEM,
    action::JOIN,
    action::SIGNAL,
    action::SIGNAL_THREAD,
    action::OVERRIDE,
    action::WRITE_USER,
    action::UNWATCH,
    text::STRLEN,
    text::STRCAP,
    text::STRSTR,
    text::STRCONTAINS,
    text::STRNCMP,
    text::STR_CONCAT,
    text::MEMCMP,
    clock::NSECS,
    clock::PID,
    clock::TID,
    process::COMM,
    process::CPID,
    process::HAS_CPID,
    process::USERMODE,
    words::STRERROR,
    words::SIGNAL_NAME,
    words::SYSCALL_NAME,
    words::STRFTIME,
    words::CGROUP_PATH,
    words::CGROUPID,
    words::MACADDR,
    memory::BUF,
    memory::KPTR,
    memory::UPTR,
    symbol::KADDR,
    symbol::UADDR,
    symbol::KFUNC_EXIST,
    symbol::KFUNC_ALLOWED,
    numbers::BSWAP,
    numbers::IS_ERR,
    network::NTOP,
    network::PTON,
    stacks::KSTACK,
    stacks::USTACK,
    stacks::KSYM,
    stacks::USYM,
    stacks::REG,
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

impl Call<'_> {
    /// The call as an intrinsic.
    fn intrinsic(&self, which: Intrinsic, args: Vec<hir::Expr>, ty: Type) -> hir::Expr {
        hir::Expr {
            kind: hir::ExprKind::Intrinsic(which, args),
            ty,
            span: self.span,
        }
    }

    /// The call as a constant.
    fn constant(&self, value: i64, ty: Type) -> hir::Expr {
        hir::Expr {
            kind: hir::ExprKind::Const(value),
            ty,
            span: self.span,
        }
    }
}

/// Those that no script can call.
static INTERNAL: &[Function] = &[internal::LOST_CALLS];

/// Finds a function by name.
pub fn by_name(name: &str) -> Option<&'static Function> {
    ALL.iter().chain(INTERNAL).find(|function| function.name == name)
}

/// Whether a function looks into the text of its arguments, so that a name must be known when it is compiled.
pub fn reads_text(name: &str) -> bool {
    text::READERS.contains(&name)
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

/// An argument that is a number; `what` says what it stands for.
fn number(cx: &mut Cx<'_>, arg: &ast::Expr, what: &str) -> Option<hir::Expr> {
    let value = cx.value(arg)?;
    as_number(cx, value, what)
}

/// A value that is a number; `what` says what it stands for.
fn as_number(cx: &mut Cx<'_>, value: hir::Expr, what: &str) -> Option<hir::Expr> {
    match &value.ty {
        Type::Int(_) => Some(value),
        Type::Bool => Some(cx.converted(value, &Type::I64)),
        ty => {
            let message = format!("{what} is a number, and this is {}", cx.describe(ty));
            cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, value.span, message))
        }
    }
}

/// An argument that is one of some words.
fn choice<'w>(cx: &mut Cx<'_>, call: &Call<'_>, arg: &ast::Expr, words: &[&'w str]) -> Option<&'w str> {
    if let ast::ExprKind::Ident(name) = &arg.kind
        && let Some(word) = words.iter().find(|word| *word == name)
    {
        return Some(word);
    }
    let message = format!("`{}` is asked for one of: {}", call.name.node, words.join(", "));
    cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, arg.span, message))
}
