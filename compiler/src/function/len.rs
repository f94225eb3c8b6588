//! `len`: how many elements a map has.

use super::{Call, Function, whole_map};
use crate::check::Cx;
use crate::hir::{Expr, ExprKind};
use crate::types::Type;

pub(super) const FUNCTION: Function = Function {
    name: "len",
    doc: "how many elements a map has",
    syntax: "len(@map)",
    example: "uprobe:libc:write { @calls[tid]++; } interval:s:1 { printf(\"%d threads\\n\", len(@calls)); }",
    arity: (1, 1),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let map = whole_map(cx, call, call.args[0])?;
    cx.mark_measured(map);
    Some(Expr {
        kind: ExprKind::MapLen(map),
        ty: Type::I64,
        span: call.span,
    })
}
