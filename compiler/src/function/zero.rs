//! `zero`: sets all values of a map to 0 and keeps its keys.

use super::{Call, Function, whole_map};
use crate::check::Cx;
use crate::hir::Expr;
use crate::plan::EventKind;

pub(super) const FUNCTION: Function = Function {
    name: "zero",
    doc: "sets all values of a map to 0 and keeps its keys",
    syntax: "zero(@map)",
    example: "uprobe:libc:write { @calls[comm] = count(); } interval:s:1 { print(@calls); zero(@calls); }",
    arity: (1, 1),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let map = whole_map(cx, call, call.args[0])?;
    cx.mark_cleared(map);
    cx.emit(EventKind::Zero(map), Vec::new(), call.span)
}
