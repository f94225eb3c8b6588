//! Functions that only crumbs' own text can call: their names cannot be written in a script.

use super::{Call, Function};
use crate::check::Cx;
use crate::hir::{Expr, Intrinsic};
use crate::types::Type;

/// Counts calls of traced functions that were not measured.
pub(super) const LOST_CALLS: Function = Function {
    name: LOST_CALLS_NAME,
    doc: "counts calls that were not measured",
    syntax: "lost'(number)",
    example: "",
    arity: (1, 1),
    check: lost_calls,
};

/// What expansions call it.
pub(crate) const LOST_CALLS_NAME: &str = "lost'";

fn lost_calls(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let number = cx.value(call.args[0])?;
    let number = cx.converted(number, &Type::U64);
    Some(call.intrinsic(Intrinsic::CountLostCalls, vec![number], Type::Void))
}
