//! `clear`: removes all elements of a map.

use super::{Call, Function, whole_map};
use crate::check::Cx;
use crate::hir::Expr;
use crate::plan::EventKind;

pub(super) const FUNCTION: Function = Function {
    name: "clear",
    doc: "removes all elements of a map",
    syntax: "clear(@map)",
    example: "uprobe:libc:write { @calls[comm] = count(); } interval:s:1 { print(@calls); clear(@calls); }",
    arity: (1, 1),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let map = whole_map(cx, call, call.args[0])?;
    cx.mark_cleared(map);
    cx.emit(EventKind::Clear(map), Vec::new(), call.span)
}
