//! Addresses by the names of symbols, and what the kernel has: `kaddr`, `uaddr`, `kfunc_exist`, `kfunc_allowed`.

use super::{Call, Function};
use crate::check::{Cx, UserPlace};
use crate::codes;
use crate::hir::{ArithOp, Expr, ExprKind, Intrinsic};
use crate::probe_kind::did_you_mean;
use crate::target::TargetError;
use crate::types::{IntType, Space, Type};
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const KADDR: Function = Function {
    name: "kaddr",
    doc: "address of a symbol of the kernel, by its name in /proc/kallsyms",
    syntax: "kaddr(\"symbol\")",
    example: "interval:s:1 { print(*kaddr(\"avenrun\")); }",
    arity: (1, 1),
    check: kaddr,
};

pub(super) const UADDR: Function = Function {
    name: "uaddr",
    doc: "address of a symbol of the traced binary in the current process, a pointer to an unsigned integer of the symbol's \
          size, or of 64 bits",
    syntax: "uaddr(\"symbol\")",
    example: "uprobe:libc:malloc { print(*uaddr(\"environ\")); }",
    arity: (1, 1),
    check: uaddr,
};

pub(super) const KFUNC_EXIST: Function = Function {
    name: "kfunc_exist",
    doc: "whether the kernel describes a function of this name in BTF, as it does those that programs may call",
    syntax: "kfunc_exist(\"function\")",
    example: "begin { print(kfunc_exist(\"vfs_read\")); }",
    arity: (1, 1),
    check: |cx, call| {
        let name = name(cx, call)?;
        let exists = cx.target().kernel_functions(None, &name).is_ok();
        Some(call.constant(i64::from(exists), Type::Bool))
    },
};

pub(super) const KFUNC_ALLOWED: Function = Function {
    name: "kfunc_allowed",
    doc: "whether the kernel lets programs of this probe's kind call a function of this name",
    syntax: "kfunc_allowed(\"function\")",
    example: "begin { print(kfunc_allowed(\"bpf_rcu_read_lock\")); }",
    arity: (1, 1),
    check: |cx, call| {
        let name = name(cx, call)?;
        let kind = cx.program_kind()?;
        let functions = cx.target().kernel_functions(None, &name).unwrap_or_default();
        let allowed = functions
            .iter()
            .any(|function| cx.target().may_call(kind, function));
        Some(call.constant(i64::from(allowed), Type::Bool))
    },
};

/// The argument, which must be known.
fn name(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<String> {
    let value = cx.value(call.args[0])?;
    match cx.constant_text(&value) {
        Some(text) => Some(String::from_utf8_lossy(text).into_owned()),
        None => cx.report(
            Diagnostic::error(
                &codes::NOT_LITERAL,
                value.span,
                "the name of a symbol must be a literal string",
            )
            .help("write it out between double quotes"),
        ),
    }
}

/// Reports that there is no such symbol.
fn unknown(cx: &mut Cx<'_>, call: &Call<'_>, name: &str, place: &str, error: TargetError) -> Option<Expr> {
    let span = call.args[0].span;
    cx.report(match error {
        TargetError::NotFound { similar, .. } => did_you_mean(
            Diagnostic::error(
                &codes::UNKNOWN_SYMBOL,
                span,
                format!("{place} has no symbol `{name}`"),
            ),
            &similar,
        ),
        TargetError::Unreadable { what, reason, help } => Diagnostic::error(
            &codes::UNKNOWN_SYMBOL,
            span,
            format!("cannot read {what}: {reason}"),
        )
        .help(help),
    })
}

fn kaddr(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let name = name(cx, call)?;
    match cx.target().kernel_address(&name) {
        Ok(address) => {
            let address = call.constant(address as i64, Type::U64);
            Some(cx.converted(address, &Type::Ptr(Box::new(Type::U64), Space::Kernel)))
        }
        // Which symbols there are is this machine's business, not the script's.
        Err(TargetError::NotFound { .. }) if cx.is_dry_run() => {
            let message = format!("the kernel has no symbol `{name}`");
            cx.report::<()>(
                Diagnostic::warning(&codes::UNKNOWN_SYMBOL, call.args[0].span, message)
                    .help("the script cannot run on this machine"),
            );
            let address = call.constant(0, Type::U64);
            Some(cx.converted(address, &Type::Ptr(Box::new(Type::U64), Space::Kernel)))
        }
        Err(error) => unknown(cx, call, &name, "the kernel", error),
    }
}

fn uaddr(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let name = name(cx, call)?;
    let Some(UserPlace { binary, offset }) = cx.user_place().cloned() else {
        let message =
            "`uaddr` is about the binary that a user probe is placed in, and there is none or several";
        return cx.report(Diagnostic::error(&codes::NOT_OFFERED, call.span, message));
    };
    let symbol = match cx.target().binary_symbol(&binary, &name) {
        Ok(symbol) => symbol,
        Err(error) => return unknown(cx, call, &name, &binary.path, error),
    };
    let bits = match symbol.size {
        1 | 2 | 4 | 8 => symbol.size as u8 * 8,
        _ => 64,
    };
    let of = Type::Int(IntType { bits, signed: false });
    let address = if symbol.moves {
        // Where the file was loaded follows from where the probe is met.
        let Some(offset) = offset else {
            let message =
                "where the library is loaded follows from where the probe is met, and that is not known here";
            return cx.report(
                Diagnostic::error(&codes::NOT_OFFERED, call.span, message)
                    .help("use a probe of one function, at its entry, and keep the address in a map: `@address[pid] = uaddr(…)`"),
            );
        };
        let place = cx.target().virtual_address(&binary, offset);
        let place = match place {
            Ok(place) => place,
            Err(error) => return unknown(cx, call, &name, &binary.path, error),
        };
        let register = Intrinsic::Register(cx.arch().convention().ip);
        let here = Box::new(call.intrinsic(register, Vec::new(), Type::U64));
        let distance = Box::new(call.constant(symbol.address.wrapping_sub(place) as i64, Type::U64));
        Expr {
            kind: ExprKind::Arith(ArithOp::Add, here, distance),
            ty: Type::U64,
            span: call.span,
        }
    } else {
        call.constant(symbol.address as i64, Type::U64)
    };
    Some(cx.converted(address, &Type::Ptr(Box::new(of), Space::User)))
}
