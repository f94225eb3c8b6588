//! Raw memory and what address it is at: `buf`, `kptr`, `uptr`.

use super::{Call, Function, number};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind, Intrinsic};
use crate::types::{IntType, Space, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

const BYTE: Type = Type::Int(IntType {
    bits: 8,
    signed: false,
});

pub(super) const BUF: Function = Function {
    name: "buf",
    doc: "bytes of memory, at most `max_strlen`: `length` of them at an address, or those of an array or string",
    syntax: "buf(address, length), buf(text, length) or buf(array[, length])",
    example: "uprobe:libc:write { printf(\"%r\\n\", buf(arg1, arg2)); }",
    arity: (1, 2),
    check: buf,
};

pub(super) const KPTR: Function = Function {
    name: "kptr",
    doc: "the same address, taken to be in kernel memory",
    syntax: "kptr(address)",
    example: "uprobe:libc:write { print(str(kptr(arg0))); }",
    arity: (1, 1),
    check: |cx, call| in_space(cx, call, Space::Kernel),
};

pub(super) const UPTR: Function = Function {
    name: "uptr",
    doc: "the same address, taken to be in the traced process's memory",
    syntax: "uptr(address)",
    example: "tracepoint:syscalls:sys_enter_openat { print(str(uptr(args.filename))); }",
    arity: (1, 1),
    check: |cx, call| in_space(cx, call, Space::User),
};

fn buf(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let max = cx.max_strlen();
    let mut source = cx.value(call.args[0])?;
    let length = match call.args.get(1) {
        Some(length) => Some(number(cx, length, "a length")?),
        None => None,
    };
    let constant = length.as_ref().and_then(|length| cx.constant(length));
    if let (ast::ExprKind::Str(text), Some(n)) = (&call.args[0].kind, constant)
        && let Ok(n) = u32::try_from(n)
        && n <= max
    {
        // All its bytes, also those behind a NUL, and NULs behind them.
        let mut bytes = text.clone();
        bytes.resize(n as usize, 0);
        source.ty = Type::Array(Box::new(BYTE), n);
        source.kind = ExprKind::Bytes(bytes);
    }
    if constant.is_some_and(|n| n < 0) || constant == Some(0) {
        let span = length.map_or(call.span, |length| length.span);
        let message = "a buffer has at least 1 byte";
        return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, span, message));
    }
    let wanted = constant.map_or(max, |n| u32::try_from(n).unwrap_or(u32::MAX).min(max));
    let (source, which, limit, size) = match &source.ty {
        Type::Ptr(..) => (source, Intrinsic::ReadBuffer, u32::MAX, None),
        Type::Int(_) => (cx.as_address(source), Intrinsic::ReadBuffer, u32::MAX, None),
        Type::Str(_) | Type::Array(..) | Type::Bytes(_) => {
            let size = cx.declared_size(&source);
            // How much of text is meant is not for its capacity to say.
            let is_array = size < source.ty.size() || !matches!(source.ty, Type::Str(_));
            (source, Intrinsic::BufferOf, size, is_array.then_some(size))
        }
        ty => {
            let message = format!(
                "`buf` takes an address, an array or a string, and this is {}",
                cx.describe(ty)
            );
            return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, source.span, message));
        }
    };
    let length = match (length, size) {
        (Some(length), _) => cx.converted(length, &Type::U64),
        (None, Some(size)) => call.constant(i64::from(size), Type::U64),
        (None, None) => {
            let diagnostic = Diagnostic::error(
                &codes::ARGUMENT_COUNT,
                call.span,
                "how many bytes are meant is not known",
            );
            return cx.report(diagnostic.help("write `buf(address, length)`"));
        }
    };
    let capacity = wanted.min(limit);
    Some(call.intrinsic(which, vec![source, length], Type::Buffer(capacity)))
}

fn in_space(cx: &mut Cx<'_>, call: &Call<'_>, space: Space) -> Option<Expr> {
    let address = cx.value(call.args[0])?;
    match &address.ty {
        Type::Ptr(to, _) => {
            let ty = Type::Ptr(to.clone(), space);
            Some(Expr {
                kind: ExprKind::Convert(Box::new(address)),
                ty,
                span: call.span,
            })
        }
        Type::Int(_) => {
            let address = cx.converted(address, &Type::U64);
            Some(cx.converted(address, &Type::Ptr(Box::new(Type::Void), space)))
        }
        ty => {
            let message = format!("this is no address but {}", cx.describe(ty));
            cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, address.span, message))
        }
    }
}
