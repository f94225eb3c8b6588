//! `delete`: removes an element of a map.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "delete",
    doc: "removes an element of a map; gives whether it was there",
    syntax: "delete(@map, key)",
    example: "uprobe:libc:write { @start[tid] = nsecs; } uretprobe:libc:write { delete(@start, tid); }",
    arity: (1, 2),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let map = call.args[0];
    let key = call.args.get(1).copied();
    let element = match (&map.kind, key) {
        (ast::ExprKind::Map { name, key: None }, Some(key)) => {
            cx.deleted(name, map.span, Some(std::slice::from_ref(key)))
        }
        // The older form, `delete(@map[key])`, and a map without key.
        (ast::ExprKind::Map { name, key }, None) => cx.deleted(name, map.span, key.as_deref()),
        (ast::ExprKind::Map { key: Some(_), .. }, Some(second)) => {
            let diagnostic =
                Diagnostic::error(&codes::ARGUMENT_TYPE, second.span, "`delete` removes one element");
            cx.report(diagnostic.help("write `delete(@map, key);` once for each"))
        }
        (ast::ExprKind::Error, _) => None,
        _ => cx.report(
            Diagnostic::error(&codes::NOT_A_MAP, map.span, "`delete` needs a map here")
                .help("write `delete(@map, key)`"),
        ),
    };
    let (map, key) = element?;
    Some(Expr {
        kind: ExprKind::Delete {
            map,
            key: key.map(Box::new),
        },
        ty: Type::Bool,
        span: call.span,
    })
}
