//! What a probe can ask of the process that it runs in and of the traced command.

use super::{Call, Function, number};
use crate::builtin;
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind, Intrinsic};
use crate::plan::ProgramKind;
use crate::shown::Shown;
use crate::target::Arch;
use crate::types::{IntType, Space, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const CPID: Function = Function {
    name: "cpid",
    doc: "process id of the command that `-c` runs; 0 without one",
    syntax: "cpid",
    example: "uprobe:libc:write /pid == cpid/ { @bytes = sum(arg2); }",
    arity: (0, 0),
    check: |cx, call| {
        let pid = cx.command_pid().unwrap_or(0);
        Some(call.constant(i64::from(pid), Type::U32))
    },
};

pub(super) const HAS_CPID: Function = Function {
    name: "has_cpid",
    doc: "whether `-c` runs a command",
    syntax: "has_cpid",
    example: "begin { if (has_cpid) { print(cpid); } }",
    arity: (0, 0),
    check: |cx, call| Some(call.constant(i64::from(cx.command_pid().is_some()), Type::Bool)),
};

pub(super) const USERMODE: Function = Function {
    name: "usermode",
    doc: "1 where the probe interrupted a program in user mode, or crumbs runs it itself, else 0",
    syntax: "usermode",
    example: "profile:hz:99 { @[usermode] = count(); }",
    arity: (0, 0),
    check: usermode,
};

/// bpftrace calls a process's name by the same word as the current thread's.
pub(super) const COMM: Function = Function {
    name: builtin::COMM,
    doc: "name of the current thread; with a process id, the name of that process, which is looked up when it is shown",
    syntax: "comm([pid])",
    example: "begin { print(comm(1)); }",
    arity: (0, 1),
    check: comm,
};

fn usermode(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    if cx.arch() != Arch::X86_64 {
        let diagnostic =
            Diagnostic::error(&codes::NOT_OFFERED, call.span, "`usermode` exists on x86-64 only");
        return cx.report(diagnostic);
    }
    // As bpftrace has it: what crumbs runs itself counts as user mode, as do user probes; all that the kernel's code
    // comes past does not.
    let known = match cx.program_kind()? {
        ProgramKind::PerfEvent => None,
        ProgramKind::Kprobe => Some(i64::from(cx.memory() == Space::User)),
        _ => Some(i64::from(cx.is_run_by_crumbs())),
    };
    let byte = Type::Int(IntType {
        bits: 8,
        signed: false,
    });
    Some(match known {
        Some(known) => call.constant(known, byte),
        None => call.intrinsic(Intrinsic::UserMode, Vec::new(), byte),
    })
}

/// The name of the current process or thread, where `of` asks for that: it can be told at once.
fn own_name(cx: &mut Cx<'_>, call: &Call<'_>, of: &ast::Expr) -> Option<Expr> {
    let named = match &of.kind {
        ast::ExprKind::Ident(name) => name,
        ast::ExprKind::Call { name, args } if args.is_empty() => &name.node,
        _ => return None,
    };
    let span = call.span;
    let expr = |kind| ast::Expr { kind, span };
    let field = |of, name: &str| {
        expr(ast::ExprKind::Field(
            Box::new(of),
            ast::Name::new(name.to_owned(), span),
        ))
    };
    match named.as_str() {
        builtin::TID => cx.value(&expr(ast::ExprKind::Ident(builtin::COMM.to_owned()))),
        builtin::PID if cx.target().kernel_type("struct", "task_struct").is_ok() => {
            let task = expr(ast::ExprKind::Ident("curtask".to_owned()));
            cx.value(&field(field(task, "group_leader"), builtin::COMM))
        }
        _ => None,
    }
}

fn comm(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let Some(pid) = call.args.first() else {
        let id = builtin::by_name(&call.name.node)?;
        return Some(Expr {
            kind: ExprKind::Builtin(id),
            ty: id.row().ty.clone(),
            span: call.span,
        });
    };
    if let Some(known) = own_name(cx, call, pid) {
        return Some(known);
    }
    let pid = number(cx, pid, "a process id")?;
    let pid = cx.converted(pid, &Type::U32);
    Some(cx.converted(pid, &Type::Shown(Shown::Process)))
}
