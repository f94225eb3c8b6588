//! `str`: text from memory, or a positional parameter as text.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind};
use crate::types::{IntType, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "str",
    doc: "text at an address, up to its NUL, `length - 1` bytes or `max_strlen` bytes; `str($1)` is a parameter's text",
    syntax: "str(address[, length])",
    example: "uprobe:libc:open { printf(\"%s\\n\", str(arg0)); }",
    arity: (1, 2),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let length = match call.args.get(1) {
        Some(length) => Some(checked_length(cx, length)?),
        None => None,
    };
    if let Some((n, skip)) = positional(cx, call.args[0]) {
        let text = cx.param_text(n);
        // What lies behind its end is empty, not what happens to follow in memory.
        let text = text.as_bytes().get(skip..).unwrap_or_default().to_vec();
        let max = length.as_ref().and_then(|length| cx.constant(length));
        let keep = max.map_or(text.len(), |max| text.len().min((max.max(1) - 1) as usize));
        return cx.text(&text[..keep], call.span);
    }
    let address = cx.value(call.args[0])?;
    let address = match address.ty {
        Type::Str(_) if length.is_none() => return Some(address),
        Type::Str(_) | Type::Array(..) => return of_characters(cx, call, address, length),
        Type::Ptr(..) => address,
        Type::Int(_) => {
            let pointee = Box::new(Type::Int(IntType {
                bits: 8,
                signed: true,
            }));
            let address = cx.converted(address, &Type::U64);
            let space = cx.memory();
            cx.converted(address, &Type::Ptr(pointee, space))
        }
        _ => {
            let diagnostic = Diagnostic::error(
                &codes::ARGUMENT_TYPE,
                address.span,
                "`str` reads text at an address",
            );
            return cx
                .report(diagnostic.help("pass an argument (`str(arg0)`) or a field that points to text"));
        }
    };
    let capacity = cx.max_strlen() + 1;
    Some(read(cx, call, address, length, capacity))
}

/// Text at an address, in `capacity` bytes at most.
fn read(cx: &Cx<'_>, call: &Call<'_>, address: Expr, length: Option<Expr>, capacity: u32) -> Expr {
    // A length that is written out makes keys and records as small as they can be.
    let stated = length.as_ref().and_then(|length| cx.constant(length));
    let stated = stated.and_then(|n| u32::try_from(n.max(1)).ok());
    Expr {
        kind: ExprKind::ReadText {
            address: Box::new(address),
            length: length.map(Box::new),
        },
        ty: Type::Str(stated.map_or(capacity, |n| n.min(capacity))),
        span: call.span,
    }
}

/// The text of an array of characters, or the beginning of a text.
fn of_characters(cx: &mut Cx<'_>, call: &Call<'_>, value: Expr, length: Option<Expr>) -> Option<Expr> {
    let characters = match &value.ty {
        Type::Str(n) => Some(*n - 1),
        Type::Array(element, n) if matches!(**element, Type::Int(_)) && element.size() == 1 => Some(*n),
        _ => None,
    };
    let Some(characters) = characters else {
        let message = format!("the elements of {} are no characters", cx.describe(&value.ty));
        return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, value.span, message));
    };
    let value = match cx.address_of_part(value) {
        Ok(address) => {
            // A flexible array ends where its text does.
            let most = cx.max_strlen();
            let characters = if characters == 0 {
                most
            } else {
                characters.min(most)
            };
            return Some(read(cx, call, address, length, characters + 1));
        }
        Err(value) => value,
    };
    let capacity = match length.as_ref().map(|length| cx.constant(length)) {
        None => characters + 1,
        Some(Some(n)) => u32::try_from(n.max(1)).unwrap_or(u32::MAX).min(characters + 1),
        Some(None) => {
            let message = "how much of a text that is at hand is taken must be written out";
            return cx.report(Diagnostic::error(&codes::NOT_LITERAL, call.span, message));
        }
    };
    let ty = Type::Str(capacity);
    Some(match value.ty {
        Type::Str(_) => cx.converted(value, &ty),
        _ => Expr {
            kind: ExprKind::Part {
                of: Box::new(value),
                offset: 0,
                bits: None,
            },
            ty,
            span: call.span,
        },
    })
}

/// The positional parameter that `$1`, or `$1 + 5` and `5 + $1`, names as text, and how many of its bytes are skipped.
fn positional(cx: &mut Cx<'_>, address: &ast::Expr) -> Option<(u32, usize)> {
    match &address.kind {
        ast::ExprKind::Positional(n) => Some((*n, 0)),
        ast::ExprKind::Binary(ast::BinaryOp::Add, a, b) => {
            let (n, offset) = match (&a.kind, &b.kind) {
                (ast::ExprKind::Positional(n), _) => (*n, b),
                (_, ast::ExprKind::Positional(n)) => (*n, a),
                _ => return None,
            };
            let offset = cx.literal_number(offset, "how much of a parameter is skipped")?;
            Some((n, usize::try_from(offset).unwrap_or(0)))
        }
        _ => None,
    }
}

fn checked_length(cx: &mut Cx<'_>, length: &ast::Expr) -> Option<Expr> {
    let length = cx.value(length)?;
    if !matches!(length.ty, Type::Int(_)) {
        return cx.report(Diagnostic::error(
            &codes::ARGUMENT_TYPE,
            length.span,
            "a length is a number",
        ));
    }
    if cx
        .constant(&length)
        .is_some_and(|n| n < 0 && matches!(length.ty, Type::Int(int) if int.signed))
    {
        return cx.report(Diagnostic::error(
            &codes::ARGUMENT_TYPE,
            length.span,
            "a length is not negative",
        ));
    }
    Some(cx.converted(length, &Type::U64))
}
