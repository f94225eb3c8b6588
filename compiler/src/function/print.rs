//! `print`: a value, or a map.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::Expr;
use crate::plan::{AfterPrint, EventKind};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "print",
    doc: "prints a value, or a map: all of it, or its `top` greatest values, divided by `div`",
    syntax: "print(value) or print(@map[, top[, div]])",
    example: "uprobe:libc:write { @bytes[comm] = sum(arg2); } interval:s:1 { print(@bytes, 5, 1024); }",
    arity: (1, 3),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let what = call.args[0];
    if let ast::ExprKind::Map { name, key: None } = &what.kind {
        let map = cx.whole_map(name, what.span);
        let mut numbers = [0; 2];
        for (i, (to, name)) in numbers
            .iter_mut()
            .zip(["how many to print", "the divisor"])
            .enumerate()
        {
            if let Some(arg) = call.args.get(i + 1) {
                *to = number(cx, arg, name)?;
            }
        }
        let kind = EventKind::PrintMap {
            map: map?,
            top: numbers[0],
            div: numbers[1],
            then: AfterPrint::Keep,
        };
        return cx.emit(kind, Vec::new(), call.span);
    }
    if let Some(second) = call.args.get(1) {
        let message = "only a whole map is printed in part or divided";
        return cx.report(
            Diagnostic::error(&codes::ARGUMENT_TYPE, second.span, message)
                .help(format!("its form: {}", FUNCTION.syntax)),
        );
    }
    let value = cx.value(what)?;
    cx.emit(EventKind::Print, vec![value], call.span)
}

fn number(cx: &mut Cx<'_>, arg: &ast::Expr, what: &str) -> Option<u32> {
    let n = cx.literal_number(arg, what)?;
    match u32::try_from(n) {
        Ok(n) => Some(n),
        Err(_) => {
            let message = format!("{what} is a number from 0 to {}", u32::MAX);
            cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, arg.span, message))
        }
    }
}
