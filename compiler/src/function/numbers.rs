//! Functions of numbers: `bswap`, `is_err`.

use super::{Call, Function, number};
use crate::check::Cx;
use crate::codes;
use crate::hir::{CompareOp, Expr, ExprKind, Intrinsic};
use crate::types::{IntType, Type};
use crumbs_grammar::diagnostic::Diagnostic;

/// Addresses from here on are error numbers (`IS_ERR_VALUE` and `MAX_ERRNO`, include/linux/err.h).
const FIRST_ERROR: i64 = -4095;

pub(super) const BSWAP: Function = Function {
    name: "bswap",
    doc: "the bytes of a number in reverse order, as an unsigned number of the same width",
    syntax: "bswap(number)",
    example: "begin { printf(\"%x\\n\", bswap((uint16)0x1234)); }",
    arity: (1, 1),
    check: bswap,
};

pub(super) const IS_ERR: Function = Function {
    name: "is_err",
    doc: "whether an address that a kernel function returned is an error number",
    syntax: "is_err(address)",
    example: "uretprobe:libc:malloc { if (is_err(retval)) { @ = count(); } }",
    arity: (1, 1),
    check: is_err,
};

fn bswap(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = number(cx, call.args[0], "what `bswap` takes")?;
    let Type::Int(int) = value.ty else {
        return None;
    };
    let ty = Type::Int(IntType { signed: false, ..int });
    if let Some(known) = cx.constant(&value) {
        let swapped = (known as u64).swap_bytes() >> (64 - u32::from(int.bits));
        return Some(call.constant(swapped as i64, ty));
    }
    let value = cx.converted(value, &ty);
    Some(match int.bits {
        8 => value,
        _ => call.intrinsic(Intrinsic::ByteSwap, vec![value], ty),
    })
}

fn is_err(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = cx.value(call.args[0])?;
    if !matches!(value.ty, Type::Ptr(..) | Type::Int(_)) {
        let message = format!(
            "`is_err` takes an address, and this is {}",
            cx.describe(&value.ty)
        );
        return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, value.span, message));
    }
    let value = cx.converted(value, &Type::U64);
    let first = call.constant(FIRST_ERROR, Type::U64);
    Some(Expr {
        kind: ExprKind::Compare(CompareOp::Ge, Box::new(value), Box::new(first)),
        ty: Type::Bool,
        span: call.span,
    })
}
