//! Functions whose results are numbers that are shown in words ([`crate::shown`]).

use super::{Call, Function, literal_text, number};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, Intrinsic};
use crate::shown::Shown;
use crate::types::{IntType, Type};
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const STRERROR: Function = Function {
    name: "strerror",
    doc: "what an error number means; negative ones, as the kernel returns them, too",
    syntax: "strerror(number)",
    example: "tracepoint:syscalls:sys_exit_write /args.ret < 0/ { @[strerror(args.ret)] = count(); }",
    arity: (1, 1),
    check: |cx, call| {
        let error = int32(cx, call)?;
        let magnitude = call.intrinsic(Intrinsic::Magnitude, vec![error], Type::I64);
        Some(cx.converted(magnitude, &Type::Shown(Shown::Error)))
    },
};

pub(super) const SIGNAL_NAME: Function = Function {
    name: "signal_name",
    doc: "what a signal means, by its number",
    syntax: "signal_name(number)",
    example: "begin { print(signal_name(9)); }",
    arity: (1, 1),
    check: |cx, call| {
        let signal = int32(cx, call)?;
        Some(cx.converted(signal, &Type::Shown(Shown::Signal)))
    },
};

pub(super) const SYSCALL_NAME: Function = Function {
    name: "syscall_name",
    doc: "name of a system call, by its number",
    syntax: "syscall_name(number)",
    example: "begin { print(syscall_name(1)); }",
    arity: (1, 1),
    check: |cx, call| {
        let syscall = int32(cx, call)?;
        Some(cx.converted(syscall, &Type::Shown(Shown::Syscall)))
    },
};

pub(super) const STRFTIME: Function = Function {
    name: "strftime",
    doc: "a time as text in a strftime format, where `%f` is the microseconds; the time is nanoseconds since boot \
          (`nsecs`) or since 1970 (`nsecs(tai)`)",
    syntax: "strftime(format, nanoseconds)",
    example: "uprobe:libc:write { printf(\"%s %s\\n\", strftime(\"%H:%M:%S.%f\", nsecs), comm); }",
    arity: (2, 2),
    check: strftime,
};

pub(super) const CGROUP_PATH: Function = Function {
    name: "cgroup_path",
    doc: "path of a cgroup by its id, looked up when it is shown; only in hierarchies whose name matches the pattern",
    syntax: "cgroup_path(id[, pattern])",
    example: "interval:s:1 { print(cgroup_path(cgroup, \"unified\")); }",
    arity: (1, 2),
    check: cgroup_path,
};

pub(super) const MACADDR: Function = Function {
    name: "macaddr",
    doc: "a MAC address from six bytes of memory",
    syntax: "macaddr(address or array)",
    example: "uprobe:libc:write { print(macaddr(arg1)); }",
    arity: (1, 1),
    check: macaddr,
};

pub(super) const CGROUPID: Function = Function {
    name: "cgroupid",
    doc: "id of the cgroup at a path of the version 2 hierarchy, as of when the script is compiled",
    syntax: "cgroupid(\"path\")",
    example: "interval:s:1 /cgroup == cgroupid(\"/sys/fs/cgroup\")/ { @ = count(); }",
    arity: (1, 1),
    check: cgroupid,
};

fn int32(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = number(cx, call.args[0], "what this is asked for")?;
    let int32 = Type::Int(IntType {
        bits: 32,
        signed: true,
    });
    let narrow = cx.converted(value, &int32);
    Some(cx.converted(narrow, &Type::I64))
}

fn strftime(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let format = literal_text(cx, call.args[0], "a format")?;
    let time = number(cx, call.args[1], "a time")?;
    let format = String::from_utf8_lossy(&format).into();
    let time = cx.converted(time, &Type::U64);
    Some(cx.converted(time, &Type::Shown(Shown::Time(format))))
}

fn cgroup_path(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let pattern = match call.args.get(1) {
        Some(pattern) => {
            let text = literal_text(cx, pattern, "a pattern")?;
            Some(String::from_utf8_lossy(&text).into())
        }
        None => None,
    };
    let id = number(cx, call.args[0], "the id of a cgroup")?;
    let id = cx.converted(id, &Type::U64);
    Some(cx.converted(id, &Type::Shown(Shown::Cgroup(pattern))))
}

fn macaddr(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    /// Bytes of a MAC address.
    const SIZE: u32 = 6;
    let of = cx.value(call.args[0])?;
    let of = match &of.ty {
        Type::Ptr(..) => of,
        Type::Int(_) => cx.as_address(of),
        Type::Array(..) | Type::Bytes(_) | Type::Str(_) if of.ty.size() >= SIZE => of,
        _ => {
            let message = format!(
                "a MAC address is six bytes in memory, and this is {}",
                cx.describe(&of.ty)
            );
            return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, of.span, message));
        }
    };
    Some(call.intrinsic(Intrinsic::MacAddress, vec![of], Type::Shown(Shown::Mac)))
}

fn cgroupid(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let path = literal_text(cx, call.args[0], "the path of a cgroup")?;
    let path = String::from_utf8_lossy(&path).into_owned();
    match cx.cgroup_id(&path) {
        Some(id) => Some(call.constant(id as i64, Type::U64)),
        None => cx.report(
            Diagnostic::error(
                &codes::ARGUMENT_TYPE,
                call.args[0].span,
                format!("there is no cgroup `{path}`"),
            )
            .help("write its path in the file system: /sys/fs/cgroup/…"),
        ),
    }
}
