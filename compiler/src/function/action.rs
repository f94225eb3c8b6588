//! Functions that do something outside of the script: print files and commands, signal processes, change what functions
//! return.

use super::{Call, Function, as_number, literal_text, number, printf};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind, Intrinsic};
use crate::plan::EventKind;
use crate::shown::signal_number;
use crate::types::{Space, Type};
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const CAT: Function = Function {
    name: "cat",
    doc: "prints a file, at most `max_cat_bytes` of it; its path is a format with values",
    syntax: "cat(format[, value, …])",
    example: "uprobe:libc:fork { cat(\"/proc/%d/limits\", pid); }",
    arity: (1, usize::MAX),
    check: |cx, call| {
        let (format, values) = printf::formatted(cx, call)?;
        cx.emit(EventKind::Cat(format), values, call.span)
    },
};

pub(super) const SYSTEM: Function = Function {
    name: "system",
    doc: "runs a shell command, which is a format with values, and prints what it prints; nothing else is printed \
          meanwhile. Needs --unsafe",
    syntax: "system(format[, value, …])",
    example: "interval:s:10 { system(\"uptime\"); }",
    arity: (1, usize::MAX),
    check: |cx, call| {
        allowed(cx, call)?;
        let (format, values) = printf::formatted(cx, call)?;
        cx.emit(EventKind::System(format), values, call.span)
    },
};

pub(super) const JOIN: Function = Function {
    name: "join",
    doc: "prints the strings of an array of addresses that ends in 0, at most 16, with a separator between them",
    syntax: "join(addresses[, separator])",
    example: "uprobe:libc:execve { join(arg1); }",
    arity: (1, 2),
    check: join,
};

pub(super) const SIGNAL: Function = Function {
    name: "signal",
    doc: "sends a signal, by name or number, to the process that the probe runs in. Needs --unsafe",
    syntax: "signal(signal)",
    example: "uprobe:libc:fork { signal(\"SIGSTOP\"); }",
    arity: (1, 1),
    check: |cx, call| signal(cx, call, Intrinsic::SendSignal),
};

pub(super) const SIGNAL_THREAD: Function = Function {
    name: "signal_thread",
    doc: "sends a signal, by name or number, to the thread that the probe runs in. Needs --unsafe",
    syntax: "signal_thread(signal)",
    example: "uprobe:libc:fork { signal_thread(10); }",
    arity: (1, 1),
    check: |cx, call| signal(cx, call, Intrinsic::SendSignalThread),
};

pub(super) const OVERRIDE: Function = Function {
    name: "override",
    doc: "makes the traced function return a value without running; the kernel must allow that for the function. Needs \
          --unsafe",
    syntax: "override(value)",
    example: "kprobe:vfs_read /comm == \"test\"/ { override(-5); }",
    arity: (1, 1),
    check: override_return,
};

pub(super) const WRITE_USER: Function = Function {
    name: "write_user",
    doc: "writes a value over the traced process's memory. Needs --unsafe",
    syntax: "write_user(address, value, length)",
    example: "uprobe:libc:write { write_user(arg1, \"hi\", 2); }",
    arity: (3, 3),
    check: write_user,
};

pub(super) const UNWATCH: Function = Function {
    name: "unwatch",
    doc: "takes the watchpoints of an address away",
    syntax: "unwatch(address)",
    example: "watchpoint:0x10000000:8:w { print(probe); unwatch(0x10000000); }",
    arity: (1, 1),
    check: |cx, call| {
        let address = cx.value(call.args[0])?;
        let address = match address.ty {
            Type::Ptr(..) => address,
            _ => number(cx, call.args[0], "an address")?,
        };
        let address = cx.converted(address, &Type::U64);
        cx.emit(EventKind::Unwatch, vec![address], call.span)
    },
};

/// Whether the user allows what the call does; reports where not.
fn allowed(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<()> {
    if cx.allows_unsafe() {
        return Some(());
    }
    let message = format!("`{}` can change the traced system", call.name.node);
    cx.report(
        Diagnostic::error(&codes::NEEDS_UNSAFE, call.span, message)
            .help("if that is meant, run crumbs with --unsafe"),
    )
}

/// Reports that a function is not for this kind of probe.
fn not_here(cx: &mut Cx<'_>, call: &Call<'_>, help: &str) -> Option<Expr> {
    let message = format!("`{}` does nothing in probes of this kind", call.name.node);
    cx.report(Diagnostic::error(&codes::NOT_OFFERED, call.span, message).help(help.to_owned()))
}

fn join(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    /// As bpftrace: so many strings.
    const STRINGS: u32 = 16;
    /// As bpftrace: so many bytes of each.
    const MOST: u32 = 1024;
    let separator = match call.args.get(1) {
        Some(separator) => literal_text(cx, separator, "the separator")?,
        None => b" ".to_vec(),
    };
    let array = cx.value(call.args[0])?;
    let array = match &array.ty {
        Type::Ptr(..) => array,
        Type::Int(_) => cx.as_address(array),
        ty => {
            let message = format!(
                "`join` takes an array of addresses, and this is {}",
                cx.describe(ty)
            );
            return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, array.span, message));
        }
    };
    let text = Type::Str(cx.max_strlen().min(MOST) + 1);
    let strings = Type::Tuple(vec![Type::U64, Type::Array(Box::new(text), STRINGS)]);
    let read = call.intrinsic(Intrinsic::ReadStrings, vec![array], strings);
    let separator = String::from_utf8_lossy(&separator).into_owned();
    cx.emit(EventKind::Join(separator), vec![read], call.span)
}

fn signal(cx: &mut Cx<'_>, call: &Call<'_>, which: Intrinsic) -> Option<Expr> {
    allowed(cx, call)?;
    if !cx.interrupts()? {
        return not_here(cx, call, "use it where a probe runs in the traced process");
    }
    let arg = call.args[0];
    let value = cx.value(arg)?;
    let number = if let Some(name) = cx.constant_text(&value) {
        let name = String::from_utf8_lossy(name);
        match signal_number(&name) {
            Some(number) => call.constant(number, Type::U32),
            None => {
                let message = format!("`{name}` is no signal");
                return cx.report(
                    Diagnostic::error(&codes::ARGUMENT_TYPE, arg.span, message)
                        .help("write its name (`SIGTERM`) or its number"),
                );
            }
        }
    } else {
        as_number(cx, value, "a signal")?
    };
    if cx
        .constant(&number)
        .is_some_and(|number| !(1..=64).contains(&number))
    {
        let diagnostic = Diagnostic::error(
            &codes::ARGUMENT_TYPE,
            arg.span,
            "signals have numbers from 1 to 64",
        );
        return cx.report(diagnostic);
    }
    let number = cx.converted(number, &Type::U32);
    Some(call.intrinsic(which, vec![number], Type::Void))
}

fn override_return(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    allowed(cx, call)?;
    if !cx.is_at_kernel_entry()? {
        return not_here(
            cx,
            call,
            "only probes at the entry of kernel functions can override them",
        );
    }
    let value = number(cx, call.args[0], "what a function returns")?;
    let value = cx.converted(value, &Type::U64);
    Some(call.intrinsic(Intrinsic::OverrideReturn, vec![value], Type::Void))
}

fn write_user(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    allowed(cx, call)?;
    let address = cx.value(call.args[0])?;
    let value = cx.value(call.args[1])?;
    let length = cx.literal_number(call.args[2], "how much is written")?;
    if !matches!(address.ty, Type::Ptr(..) | Type::Int(_)) {
        let diagnostic = Diagnostic::error(&codes::ARGUMENT_TYPE, address.span, "this is no address");
        return cx.report(diagnostic);
    }
    let size = match (&value.ty, u32::try_from(length)) {
        (Type::Ptr(..), Ok(length)) => length.min(cx.max_strlen()),
        (ty, Ok(length)) => length.min(ty.size()),
        (_, Err(_)) => 0,
    };
    if size == 0 {
        let message = "at least 1 byte is written";
        return cx.report(Diagnostic::error(
            &codes::ARGUMENT_TYPE,
            call.args[2].span,
            message,
        ));
    }
    let address = cx.converted(address, &Type::U64);
    let address = cx.converted(address, &Type::Ptr(Box::new(Type::Void), Space::User));
    // What stands behind an address is copied first: the helper writes a program's own memory only.
    let length = call.constant(i64::from(size), Type::U64);
    let which = match value.ty {
        Type::Ptr(..) => Intrinsic::ReadBuffer,
        _ => Intrinsic::BufferOf,
    };
    let bytes = Expr {
        kind: ExprKind::Intrinsic(which, vec![value, length]),
        ty: Type::Buffer(size),
        span: call.span,
    };
    Some(call.intrinsic(Intrinsic::WriteUser, vec![address, bytes], Type::Void))
}
