//! `nsecs(…)`, `pid(…)`, `tid(…)`: builtin values with a choice of what they are counted by.

use super::{Call, Function, choice};
use crate::builtin;
use crate::check::Cx;
use crate::hir::{Clock, Expr, ExprKind, Intrinsic};
use crate::types::Type;

pub(super) const NSECS: Function = Function {
    name: builtin::NSECS,
    doc: "nanoseconds of a clock: since boot (`boot`, also where none is given), the same without suspended time \
          (`monotonic`), since 1970 in atomic time (`tai`, `sw_tai`)",
    syntax: "nsecs([boot|monotonic|tai|sw_tai])",
    example: "begin { printf(\"%s\\n\", strftime(\"%Y\", nsecs(tai))); }",
    arity: (0, 1),
    check: nsecs,
};

pub(super) const PID: Function = Function {
    name: builtin::PID,
    doc: "process id in crumbs' own pid namespace (`curr_ns`, also where none is given) or the initial one (`init`)",
    syntax: "pid([curr_ns|init])",
    example: "interval:s:1 { print(pid(init)); }",
    arity: (0, 1),
    check: |cx, call| in_namespace(cx, call, Intrinsic::InitialPid),
};

pub(super) const TID: Function = Function {
    name: builtin::TID,
    doc: "thread id in crumbs' own pid namespace (`curr_ns`, also where none is given) or the initial one (`init`)",
    syntax: "tid([curr_ns|init])",
    example: "interval:s:1 { print(tid(init)); }",
    arity: (0, 1),
    check: |cx, call| in_namespace(cx, call, Intrinsic::InitialTid),
};

/// The builtin value that has the function's name.
fn builtin_value(call: &Call<'_>) -> Option<Expr> {
    let id = builtin::by_name(&call.name.node)?;
    Some(Expr {
        kind: ExprKind::Builtin(id),
        ty: id.row().ty.clone(),
        span: call.span,
    })
}

fn nsecs(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let Some(clock) = call.args.first() else {
        return builtin_value(call);
    };
    let clock = match choice(cx, call, clock, &["boot", "monotonic", "tai", "sw_tai"])? {
        "boot" => return builtin_value(call),
        "monotonic" => Clock::Monotonic,
        _ => Clock::Tai,
    };
    Some(call.intrinsic(Intrinsic::Clock(clock), Vec::new(), Type::U64))
}

fn in_namespace(cx: &mut Cx<'_>, call: &Call<'_>, initial: Intrinsic) -> Option<Expr> {
    let Some(namespace) = call.args.first() else {
        return builtin_value(call);
    };
    match choice(cx, call, namespace, &["curr_ns", "init"])? {
        "init" => Some(call.intrinsic(initial, Vec::new(), Type::U32)),
        _ => builtin_value(call),
    }
}
