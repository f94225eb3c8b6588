//! `len`: how many elements a map has, or frames a stack.

use super::{Call, Function, whole_map};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind, Intrinsic};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "len",
    doc: "how many elements a map has, or frames a stack",
    syntax: "len(@map) or len(stack)",
    example: "uprobe:libc:write { @calls[tid]++; } interval:s:1 { printf(\"%d threads\\n\", len(@calls)); }",
    arity: (1, 1),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    if !matches!(call.args[0].kind, ast::ExprKind::Map { key: None, .. }) {
        let value = cx.value(call.args[0])?;
        if let Type::Stack(_) = value.ty {
            return Some(call.intrinsic(Intrinsic::Frames, vec![value], Type::I64));
        }
    }
    let map = whole_map(cx, call, call.args[0])?;
    if cx.has_no_key(map) {
        return cx.report(
            Diagnostic::error(
                &codes::KEY_IN_CALL,
                call.args[0].span,
                format!(
                    "`@{}` has no keys, and `len` counts those that a map has",
                    cx.map_name(map)
                ),
            )
            .help("it is always one value"),
        );
    }
    if cx.evicts(cx.map_name(map)) {
        // Nobody is told of what the kernel drops.
        return cx.counted_elements(call.args[0], call.span);
    }
    cx.mark_measured(map);
    Some(Expr {
        kind: ExprKind::MapLen(map),
        ty: Type::I64,
        span: call.span,
    })
}
