//! `has_key`: whether a map has an element.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "has_key",
    doc: "whether a map has an element of this key",
    syntax: "has_key(@map, key)",
    example: "uprobe:libc:write { @start[tid] = nsecs; } \
              uretprobe:libc:write { if (has_key(@start, tid)) { @ns = hist(nsecs - @start[tid]); } }",
    arity: (2, 2),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let [map, key] = call.args else {
        return None;
    };
    let (map, key) = match &map.kind {
        ast::ExprKind::Map { name, key: None } => cx.looked_up(name, map.span, std::slice::from_ref(*key))?,
        ast::ExprKind::Error => return None,
        _ => {
            return cx.report(
                Diagnostic::error(
                    &codes::NOT_A_MAP,
                    map.span,
                    "`has_key` needs a map here, by its bare name",
                )
                .help("write `has_key(@map, key)`"),
            );
        }
    };
    Some(Expr {
        kind: ExprKind::HasKey {
            map,
            key: key.map(Box::new),
        },
        ty: Type::Bool,
        span: call.span,
    })
}
