//! `errorf` and `warnf`: formatted text to standard error, behind the place of the call.

use super::{Call, Function, printf};
use crate::check::Cx;
use crate::hir::Expr;
use crate::plan::{EventKind, MessageLevel};

pub(super) const ERRORF: Function = Function {
    name: "errorf",
    doc: "prints formatted text to standard error as an error, with the place of the call; a `test:` probe fails by it",
    syntax: "errorf(format[, value, …])",
    example: "uretprobe:libc:open { if ((int32)retval < 0) { errorf(\"open failed in %s\", comm); } }",
    arity: (1, usize::MAX),
    check: |cx, call| message(cx, call, MessageLevel::Error),
};

pub(super) const WARNF: Function = Function {
    name: "warnf",
    doc: "prints formatted text to standard error as a warning, with the place of the call, unless --no-warnings is given",
    syntax: "warnf(format[, value, …])",
    example: "uprobe:libc:write { if (arg2 > 1048576) { warnf(\"%s writes %d bytes at once\", comm, arg2); } }",
    arity: (1, usize::MAX),
    check: |cx, call| message(cx, call, MessageLevel::Warning),
};

fn message(cx: &mut Cx<'_>, call: &Call<'_>, level: MessageLevel) -> Option<Expr> {
    let (format, values) = printf::formatted(cx, call)?;
    let place = cx.place(call.span);
    cx.emit(EventKind::Message { level, place, format }, values, call.span)
}
