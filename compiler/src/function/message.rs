//! `errorf`, `warnf`: formatted text to standard error, behind the place of the call; and `debugf`.

use super::{Call, Function, printf};
use crate::check::Cx;
use crate::codes;
use crate::format::Specifier;
use crate::hir::{Expr, Intrinsic};
use crate::plan::{EventKind, MessageLevel};
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;

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

pub(super) const DEBUGF: Function = Function {
    name: "debugf",
    doc: "writes formatted text to the kernel's own trace (`trace_pipe`), at once and with at most 3 values: to debug a script",
    syntax: "debugf(format[, value, …])",
    example: "uprobe:libc:write { debugf(\"%s writes %d bytes\", comm, arg2); }",
    arity: (1, 4),
    check: debugf,
};

fn debugf(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (format, values) = printf::formatted(cx, call)?;
    if format
        .conversions()
        .any(|conversion| conversion.computed.is_some())
    {
        let message = "the kernel's trace shows whole numbers only";
        return cx.report(Diagnostic::error(&codes::FORMAT_TYPE, call.span, message));
    }
    for (conversion, value) in format.conversions().zip(&values) {
        let fits = match conversion.specifier {
            Specifier::Text => matches!(value.ty, Type::Str(_)),
            Specifier::Signed(_) | Specifier::Unsigned(_) | Specifier::HexLower(_) | Specifier::Pointer => {
                true
            }
            _ => false,
        };
        if !fits {
            let message = "the kernel's trace shows numbers in `%d`, `%u`, `%x` and `%p`, and text in `%s`";
            return cx.report(Diagnostic::error(&codes::FORMAT_TYPE, value.span, message));
        }
    }
    let format = cx.value(call.args[0])?;
    let args = [format].into_iter().chain(values).collect();
    Some(call.intrinsic(Intrinsic::TracePrintk, args, Type::Void))
}

fn message(cx: &mut Cx<'_>, call: &Call<'_>, level: MessageLevel) -> Option<Expr> {
    let (format, values) = printf::formatted(cx, call)?;
    let message = EventKind::Message {
        level,
        place: cx.place(call.span),
        format,
        uses: cx.macro_uses(call.span),
    };
    cx.emit(message, values, call.span)
}
