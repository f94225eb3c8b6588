//! `exit`: ends the run.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::Expr;
use crate::plan::EventKind;
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "exit",
    doc: "ends the run, and this probe at once; the run's exit status is `code`",
    syntax: "exit([code])",
    example: "interval:s:10 { exit(); }",
    arity: (0, 1),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    cx.ends_program();
    let mut args = Vec::new();
    if let Some(code) = call.args.first() {
        let code = cx.value(code)?;
        if !matches!(code.ty, Type::Int(_) | Type::Bool) {
            let diagnostic = Diagnostic::error(&codes::ARGUMENT_TYPE, code.span, "an exit code is a number");
            return cx.report(diagnostic);
        }
        args.push(cx.converted(code, &Type::I64));
    }
    cx.emit(EventKind::Exit, args, call.span)
}
