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

pub(super) const BY_ADDRESS: Function = Function {
    name: "__has_key",
    doc: "what scripts of bpftrace call beside `has_key`: the map and the key by their addresses",
    syntax: "__has_key(&@map, &$key)",
    example: "begin { @m[1] = 1; $key = 1; print(__has_key(&@m, &$key)); }",
    arity: (2, 2),
    check: |cx, call| {
        let [map, key] = call.args else {
            return None;
        };
        match (addressed(map), addressed(key)) {
            (Some(map), Some(key)) => has_key(cx, call, map, key),
            _ => cx.report(
                Diagnostic::error(
                    &codes::ARGUMENT_TYPE,
                    call.span,
                    "a map and a variable are wanted by their addresses",
                )
                .help("write `has_key(@map, key)`"),
            ),
        }
    },
};

/// What `&e` is the address of, casts in front of it or not.
fn addressed(expr: &ast::Expr) -> Option<&ast::Expr> {
    match &expr.kind {
        ast::ExprKind::Cast(_, of) => addressed(of),
        ast::ExprKind::Unary(ast::UnaryOp::AddressOf, of) => Some(of),
        _ => None,
    }
}

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let [map, key] = call.args else {
        return None;
    };
    has_key(cx, call, map, key)
}

fn has_key(cx: &mut Cx<'_>, call: &Call<'_>, map: &ast::Expr, key: &ast::Expr) -> Option<Expr> {
    let (map, key) = match &map.kind {
        ast::ExprKind::Map { name, key: None } => cx.looked_up(name, map.span, std::slice::from_ref(key))?,
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
