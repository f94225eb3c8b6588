//! `time`: prints the time of day.

use super::{Call, Function, literal_text};
use crate::check::Cx;
use crate::hir::Expr;
use crate::plan::EventKind;

/// bpftrace's format where none is given.
const DEFAULT: &[u8] = b"%H:%M:%S\n";

pub(super) const FUNCTION: Function = Function {
    name: "time",
    doc: "prints the current local time in a strftime format, `%H:%M:%S` and a newline unless given",
    syntax: "time([format])",
    example: "interval:s:1 { time(\"%H:%M \"); print(@calls); } uprobe:libc:write { @calls++; }",
    arity: (0, 1),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let format = match call.args.first() {
        Some(format) => literal_text(cx, format, "a format")?,
        None => DEFAULT.to_vec(),
    };
    let format = String::from_utf8_lossy(&format).into_owned();
    cx.emit(EventKind::Time(format), Vec::new(), call.span)
}
