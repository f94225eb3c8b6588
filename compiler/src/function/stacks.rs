//! `kstack`, `ustack`, `ksym`, `usym`, `reg`: where a program was called from, and names of addresses.

use super::{Call, Function, literal_text, number};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, Intrinsic};
use crate::plan::ProgramKind;
use crate::probe_kind::did_you_mean;
use crate::shown::Shown;
use crate::similar::similar;
use crate::types::{StackMode, StackType, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const KSTACK: Function = Function {
    name: "kstack",
    doc: "the kernel's stack of calls, the innermost first; `mode` is bpftrace, perf or raw, `limit` the most frames",
    syntax: "kstack([mode][, limit])",
    example: "profile:hz:99 { @[kstack(3)] = count(); }",
    arity: (0, 2),
    check: |cx, call| stack(cx, call, false),
};

pub(super) const USTACK: Function = Function {
    name: "ustack",
    doc: "the traced process's stack of calls, the innermost first; `mode` is bpftrace, perf or raw, `limit` the most frames",
    syntax: "ustack([mode][, limit])",
    example: "uprobe:libc:write { @[ustack(perf, 3)] = count(); }",
    arity: (0, 2),
    check: |cx, call| stack(cx, call, true),
};

pub(super) const KSYM: Function = Function {
    name: "ksym",
    doc: "the kernel function at an address, looked up when it is shown",
    syntax: "ksym(address)",
    example: "profile:hz:99 { @[ksym(reg(\"ip\"))] = count(); }",
    arity: (1, 1),
    check: |cx, call| {
        let address = address(cx, call)?;
        Some(cx.converted(address, &Type::Shown(Shown::KernelAddress)))
    },
};

pub(super) const USYM: Function = Function {
    name: "usym",
    doc: "the traced process's function at an address, looked up when it is shown",
    syntax: "usym(address)",
    example: "uprobe:libc:write { @[usym(reg(\"ip\"))] = count(); }",
    arity: (1, 1),
    check: |cx, call| {
        let address = address(cx, call)?;
        Some(call.intrinsic(Intrinsic::UserAddress, vec![address], Type::UserAddress))
    },
};

pub(super) const REG: Function = Function {
    name: "reg",
    doc: "a register of the processor, by the name that the kernel gives it in `struct pt_regs`",
    syntax: "reg(\"name\")",
    example: "uprobe:libc:write { printf(\"%p\\n\", reg(\"sp\")); }",
    arity: (1, 1),
    check: register,
};

/// The most frames that the kernel gives (`PERF_MAX_STACK_DEPTH`, include/uapi/linux/perf_event.h).
const MAX_FRAMES: u32 = 127;

fn stack(cx: &mut Cx<'_>, call: &Call<'_>, user: bool) -> Option<Expr> {
    let mut args = call.args;
    let mut mode = cx.stack_mode();
    if let [
        ast::Expr {
            kind: ast::ExprKind::Ident(word),
            span,
        },
        rest @ ..,
    ] = args
    {
        mode = match word.as_str() {
            "bpftrace" => StackMode::Bpftrace,
            "perf" => StackMode::Perf,
            "raw" => StackMode::Raw,
            "build_id" => StackMode::BuildId,
            _ => {
                let message = format!("`{word}` is no way to show a stack");
                let diagnostic = Diagnostic::error(&codes::ARGUMENT_TYPE, *span, message);
                return cx.report(diagnostic.help("there are `bpftrace`, `perf`, `raw` and `build_id`"));
            }
        };
        args = rest;
    }
    let depth = match args {
        [] => MAX_FRAMES,
        [limit] => depth(cx, limit)?,
        [_, more, ..] => {
            let diagnostic = Diagnostic::error(
                &codes::ARGUMENT_TYPE,
                more.span,
                "the mode of a stack comes first",
            );
            return cx.report(diagnostic.help(format!("for example `{}(perf, 3)`", call.name.node)));
        }
    };
    let ty = StackType { user, depth, mode };
    Some(call.intrinsic(Intrinsic::Stack, Vec::new(), Type::Stack(ty)))
}

fn depth(cx: &mut Cx<'_>, limit: &ast::Expr) -> Option<u32> {
    let n = cx.literal_number(limit, "the limit of a stack")?;
    match u32::try_from(n) {
        Ok(n @ 1..=MAX_FRAMES) => Some(n),
        _ => {
            let message = format!("a stack has from 1 to {MAX_FRAMES} frames, not {n}");
            cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, limit.span, message))
        }
    }
}

fn address(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let value = cx.value(call.args[0])?;
    let value = match value.ty {
        Type::Ptr(..) => value,
        _ => number(cx, call.args[0], "an address")?,
    };
    Some(cx.converted(value, &Type::U64))
}

fn register(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let name = literal_text(cx, call.args[0], "the name of a register")?;
    let name = String::from_utf8_lossy(&name).into_owned();
    let span = call.args[0].span;
    if !matches!(cx.program_kind()?, ProgramKind::Kprobe | ProgramKind::PerfEvent) {
        let diagnostic = Diagnostic::error(
            &codes::NOT_OFFERED,
            call.span,
            "probes of this kind have no registers",
        );
        return cx.report(diagnostic.help("user and kernel probes and timers have"));
    }
    let registers = cx.arch().registers();
    let Some((_, offset)) = registers.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = registers.iter().map(|(name, _)| *name).collect();
        let diagnostic = Diagnostic::error(
            &codes::ARGUMENT_TYPE,
            span,
            format!("there is no register `{name}`"),
        );
        let similar = similar(&name, names.iter().copied(), 3);
        return cx.report(match similar.is_empty() {
            true => diagnostic.help(format!("there are {}", names.join(", "))),
            false => did_you_mean(diagnostic, &similar),
        });
    };
    Some(call.intrinsic(Intrinsic::Register(*offset), Vec::new(), Type::U64))
}
