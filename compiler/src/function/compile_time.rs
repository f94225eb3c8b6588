//! `static_assert` and `fail`: mistakes that a script finds in itself when it is compiled.

use super::{Call, Function, literal_text, printf, whole_map};
use crate::check::Cx;
use crate::codes;
use crate::format::Piece;
use crate::hir::Expr;
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const STATIC_ASSERT: Function = Function {
    name: "static_assert",
    doc: "refuses the script unless a condition holds that is known when it is compiled",
    syntax: "static_assert(condition, message)",
    example: "begin { static_assert($# == 0, \"this script takes no parameters\"); }",
    arity: (2, 2),
    check: static_assert,
};

pub(super) const FAIL: Function = Function {
    name: "fail",
    doc: "refuses the script where this call can be reached, as far as is known when it is compiled",
    syntax: "fail(format[, value, …])",
    example: "begin { if comptime ($# > 3) { fail(\"%d parameters are too many\", $#); } }",
    arity: (1, usize::MAX),
    check: fail,
};

pub(super) const IS_SCALAR: Function = Function {
    name: "is_scalar",
    doc: "whether a map has no keys",
    syntax: "is_scalar(@map)",
    example: "begin { @x = 1; print(is_scalar(@x)); }",
    arity: (1, 1),
    check: |cx, call| {
        let map = whole_map(cx, call, call.args[0])?;
        Some(call.constant(i64::from(cx.has_no_key(map)), Type::Bool))
    },
};

fn static_assert(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let [condition, message] = call.args else {
        return None;
    };
    let message = literal_text(cx, message, "the message")?;
    if !cx.known_condition(condition)? {
        let message = String::from_utf8_lossy(&message).into_owned();
        return cx.report(
            Diagnostic::error(&codes::STATIC_ASSERT, call.span, message)
                .also(condition.span, "this does not hold"),
        );
    }
    Some(Cx::nothing(call.span))
}

fn fail(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (format, values) = printf::formatted(cx, call)?;
    let mut text = String::new();
    let mut values = values.iter();
    for piece in &format.pieces {
        match piece {
            Piece::Text(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
            Piece::Conversion(conversion) if conversion.computed.is_some() => {
                let known: Vec<_> = values
                    .by_ref()
                    .take(conversion.arguments())
                    .map(|value| cx.constant(value))
                    .collect();
                let number = |place: usize| known[place].unwrap_or(0) as f64;
                match &conversion.computed {
                    Some(computed) if known.iter().all(Option::is_some) => {
                        text.push_str(&computed.value(&number).to_string());
                    }
                    _ => text.push('…'),
                }
            }
            Piece::Conversion(_) => {
                let value = values.next()?;
                match (cx.constant(value), cx.constant_text(value)) {
                    (Some(n), _) => text.push_str(&n.to_string()),
                    (None, Some(bytes)) => text.push_str(&String::from_utf8_lossy(bytes)),
                    // What is not known yet.
                    (None, None) => text.push('…'),
                }
            }
        }
    }
    if cx.is_reachable() {
        return cx.report(
            Diagnostic::error(&codes::FAILS, call.span, text.trim_end().to_owned())
                .label("this can be reached"),
        );
    }
    Some(Cx::nothing(call.span))
}
