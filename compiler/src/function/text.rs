//! Functions of text: lengths, searches, comparisons, joining.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::{CompareOp, Expr, ExprKind, Intrinsic};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const STRLEN: Function = Function {
    name: "strlen",
    doc: "how many bytes a string has",
    syntax: "strlen(string)",
    example: "uprobe:libc:puts { @bytes = hist(strlen(str(arg0))); }",
    arity: (1, 1),
    check: strlen,
};

pub(super) const STRCAP: Function = Function {
    name: "strcap",
    doc: "how many bytes a string has room for, its final NUL included; the length of one at an address",
    syntax: "strcap(string)",
    example: "begin { print(strcap(comm)); }",
    arity: (1, 1),
    check: strcap,
};

pub(super) const STRSTR: Function = Function {
    name: "strstr",
    doc: "where a string first contains another, from 0; -1 where it does not",
    syntax: "strstr(string, part)",
    example: "uprobe:libc:open { @[strstr(str(arg0), \"/lib/\")] = count(); }",
    arity: (2, 2),
    check: strstr,
};

pub(super) const STRCONTAINS: Function = Function {
    name: "strcontains",
    doc: "whether a string contains another",
    syntax: "strcontains(string, part)",
    example: "uprobe:libc:open /strcontains(str(arg0), \"/lib/\")/ { @libraries = count(); }",
    arity: (2, 2),
    check: strcontains,
};

pub(super) const STRNCMP: Function = Function {
    name: "strncmp",
    doc: "0 where the first `n` bytes of two strings are equal, else 1",
    syntax: "strncmp(string, string, n)",
    example: "uprobe:libc:open /strncmp(str(arg0), \"/etc/\", 5) == 0/ { @ = count(); }",
    arity: (3, 3),
    check: strncmp,
};

pub(super) const STR_CONCAT: Function = Function {
    name: "str_concat",
    doc: "two strings in one",
    syntax: "str_concat(string, string)",
    example: "begin { print(str_concat(comm, \"!\")); }",
    arity: (2, 2),
    check: str_concat,
};

pub(super) const MEMCMP: Function = Function {
    name: "memcmp",
    doc: "the difference of the first bytes that differ among `n`; 0 where all are equal",
    syntax: "memcmp(value, value, n)",
    example: "uprobe:libc:write /memcmp(buf(arg1, 4), \"GET \", 4) == 0/ { @ = count(); }",
    arity: (3, 3),
    check: memcmp,
};

/// The functions that look into text.
pub(super) static READERS: [&str; 7] = [
    STRLEN.name,
    STRCAP.name,
    STRSTR.name,
    STRCONTAINS.name,
    STRNCMP.name,
    STR_CONCAT.name,
    MEMCMP.name,
];

/// An argument that is text, or an address of text.
fn text(cx: &mut Cx<'_>, arg: &ast::Expr) -> Option<Expr> {
    let value = match cx.value(arg).map(|value| cx.spelled(value))? {
        Ok(words) => words?,
        Err(value) => value,
    };
    match &value.ty {
        Type::Str(_) => Some(value),
        Type::Ptr(..) => Some(Expr {
            span: value.span,
            ty: cx.text_type(),
            kind: ExprKind::ReadText {
                address: Box::new(value),
                length: None,
            },
        }),
        Type::Name(_) => match cx.known_name(&value) {
            Some(name) => cx.text(name.as_bytes(), value.span),
            None => cx.later(
                value.span,
                "searching a name that several places of one probe differ in",
            ),
        },
        Type::Array(of, n) if matches!(&**of, Type::Int(int) if int.bits == 8) => Some(Expr {
            span: value.span,
            ty: Type::Str(n + 1),
            kind: ExprKind::Part {
                of: Box::new(value),
                offset: 0,
                bits: None,
            },
        }),
        ty => {
            let message = format!("this is no string but {}", cx.describe(ty));
            cx.report(
                Diagnostic::error(&codes::ARGUMENT_TYPE, value.span, message)
                    .help("text at an address is read with `str(address)`"),
            )
        }
    }
}

/// The text of a literal.
fn literal(expr: &Expr) -> Option<&[u8]> {
    match &expr.kind {
        ExprKind::Str(text) => Some(text),
        _ => None,
    }
}

fn strlen(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let text = text(cx, call.args[0])?;
    if let Some(known) = literal(&text) {
        return Some(call.constant(known.len() as i64, Type::U64));
    }
    Some(call.intrinsic(Intrinsic::TextLength, vec![text], Type::U64))
}

fn strcap(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = cx.value(call.args[0])?;
    if matches!(value.ty, Type::Ptr(..)) {
        let length = strlen(cx, call)?;
        return Some(cx.converted(length, &Type::I64));
    }
    if let Type::Array(_, n) = value.ty {
        return Some(call.constant(i64::from(n), Type::I64));
    }
    let text = text(cx, call.args[0])?;
    Some(call.constant(i64::from(text.ty.size()), Type::I64))
}

fn strstr(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (text, part) = (text(cx, call.args[0]), text(cx, call.args[1]));
    let (text, part) = (text?, part?);
    match (literal(&text), literal(&part)) {
        (_, Some([])) => Some(call.constant(0, Type::I64)),
        (Some(text), Some(part)) => {
            let at = text.windows(part.len()).position(|window| window == part);
            Some(call.constant(at.map_or(-1, |at| at as i64), Type::I64))
        }
        // A part that is longer than any text is never found.
        (_, Some(known)) if known.len() >= text.ty.size() as usize => Some(call.constant(-1, Type::I64)),
        _ => Some(call.intrinsic(Intrinsic::FindText, vec![text, part], Type::I64)),
    }
}

fn strcontains(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let at = strstr(cx, call)?;
    let zero = call.constant(0, Type::I64);
    Some(Expr {
        kind: ExprKind::Compare(CompareOp::Ge, Box::new(at), Box::new(zero)),
        ty: Type::Bool,
        span: call.span,
    })
}

/// How many bytes are compared: a literal number that is not negative.
fn count(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<u32> {
    let n = cx.literal_number(call.args[2], "how many bytes are compared")?;
    match u32::try_from(n) {
        Ok(n) => Some(n),
        Err(_) => {
            let span = call.args[2].span;
            let message = format!("{n} is no number of bytes");
            cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, span, message))
        }
    }
}

fn strncmp(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (a, b, n) = (text(cx, call.args[0]), text(cx, call.args[1]), count(cx, call));
    let (a, b, n) = (a?, b?, n?);
    if let (Some(a), Some(b)) = (literal(&a), literal(&b)) {
        let first = |text: &[u8]| text[..text.len().min(n as usize)].to_vec();
        return Some(call.constant(i64::from(first(a) != first(b)), Type::I64));
    }
    // The NUL of the shorter one is compared too; behind it nothing is.
    let n = n.min(a.ty.size()).min(b.ty.size());
    let n = call.constant(i64::from(n), Type::U64);
    let difference = call.intrinsic(Intrinsic::CompareBytes, vec![a, b, n], Type::I64);
    let zero = call.constant(0, Type::I64);
    let differs = Expr {
        kind: ExprKind::Compare(CompareOp::Ne, Box::new(difference), Box::new(zero)),
        ty: Type::Bool,
        span: call.span,
    };
    Some(cx.converted(differs, &Type::I64))
}

fn memcmp(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (a, b, n) = (cx.value(call.args[0]), cx.value(call.args[1]), count(cx, call));
    let (a, b, n) = (a?, b?, n?);
    let (a, b) = (bytes(cx, call, a, n)?, bytes(cx, call, b, n)?);
    let n = call.constant(i64::from(n), Type::U64);
    Some(call.intrinsic(Intrinsic::CompareBytes, vec![a, b, n], Type::I64))
}

/// A value with at least `n` bytes that can be compared; what an address points at is read.
fn bytes(cx: &mut Cx<'_>, call: &Call<'_>, value: Expr, n: u32) -> Option<Expr> {
    let size = match &value.ty {
        Type::Ptr(..) => {
            let length = call.constant(i64::from(n), Type::U64);
            return Some(call.intrinsic(
                Intrinsic::ReadBuffer,
                vec![value, length],
                Type::Buffer(n.min(cx.max_strlen())),
            ));
        }
        Type::Buffer(n) => *n,
        Type::Void => 0,
        ty => ty.size(),
    };
    if n <= size {
        return Some(value);
    }
    let message = format!("this has {size} bytes, and {n} are compared");
    cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, value.span, message))
}

fn str_concat(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let (a, b) = (text(cx, call.args[0]), text(cx, call.args[1]));
    let (a, b) = (a?, b?);
    if let (Some(a), Some(b)) = (literal(&a), literal(&b)) {
        return cx.text(&[a, b].concat(), call.span);
    }
    // Rounded, so that a variable which grows by what is joined to it soon has its final size.
    let most = cx.max_strlen() + 1;
    let size = (a.ty.size() + b.ty.size() - 1).next_power_of_two().min(most);
    let ty = Type::Str(size.max(a.ty.size()));
    Some(call.intrinsic(Intrinsic::ConcatText, vec![a, b], ty))
}
