//! Functions that expansions replace or use: `entered`, and those that only crumbs' own text can call, whose names cannot be
//! written in a script.

use super::{Call, Function, literal_text};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, Intrinsic};
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;

/// Counts calls of traced functions that were not measured.
pub(super) const LOST_CALLS: Function = Function {
    name: LOST_CALLS_NAME,
    doc: "counts calls that were not measured",
    syntax: "lost'(number)",
    example: "",
    arity: (1, 1),
    check: lost_calls,
};

/// Whether the thread is within a call. Expansion replaces every use that is right.
pub(super) const ENTERED: Function = Function {
    name: ENTERED_NAME,
    doc: "whether the current thread is within a call of a function of a program or library, or of any that a wildcard \
          matches: which layer an event belongs to",
    syntax: "entered(\"BINARY:FUNCTION\")",
    example: "uprobe:libc:write { @bytes[entered(\"libhdf5:H5Dwrite\")] = sum(arg2); }",
    arity: (1, 1),
    check: entered,
};

/// See [`ENTERED`].
pub(crate) const ENTERED_NAME: &str = "entered";

fn entered(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    literal_text(cx, call.args[0], "the function that a call is of")?;
    let message = "this names no function";
    cx.report(
        Diagnostic::error(&codes::MALFORMED_ATTACH_POINT, call.args[0].span, message)
            .help(format!("its form: {}", ENTERED.syntax))
            .help("for example `entered(\"libhdf5:H5Dwrite\")` or `entered(\"libmpi:MPI_File_*\")`"),
    )
}

/// What expansions call it.
pub(crate) const LOST_CALLS_NAME: &str = "lost'";

fn lost_calls(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let number = cx.value(call.args[0])?;
    let number = cx.converted(number, &Type::U64);
    Some(call.intrinsic(Intrinsic::CountLostCalls, vec![number], Type::Void))
}
