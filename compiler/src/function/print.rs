//! `print`: a value, or a map; `rate`: what a map gains in a second.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::Expr;
use crate::plan::{AfterPrint, EventKind, MapId};
use crate::types::Type;
use crate::view::{MapView, Measure, Quantile, Unit};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "print",
    doc: "prints a value, or a map: all of it, or its `top` greatest values, divided by `div`; its numbers in a unit \
          (`bytes`, `ns`, `us`, `ms`, `s`, or any name), its histograms as quantiles (`p50`, `p99.9`)",
    syntax: "print(value) or print(@map[, top[, div]][, \"unit\"][, \"p50\", …])",
    example: "uprobe:libc:write { @bytes[comm] = sum(arg2); } interval:s:1 { print(@bytes, 5, 0, \"bytes\"); }",
    arity: (1, 16),
    check,
};

pub(super) const RATE: Function = Function {
    name: "rate",
    doc: "prints what each number of a map has gained in a second, since its last `rate` or the start of the run",
    syntax: "rate(@map[, \"unit\"])",
    example: "uprobe:libc:write { @bytes[comm] = sum(arg2); } interval:s:1 { rate(@bytes, \"bytes\"); }",
    arity: (1, 2),
    check: check_rate,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let what = call.args[0];
    if let ast::ExprKind::Map { name, key: None } = &what.kind {
        let map = cx.whole_map(name, what.span);
        let view = view(cx, call);
        let (map, view) = (map?, view?);
        fits(cx, map, &view, what, &call.args[1..])?;
        return emit(cx, call, map, view);
    }
    if let Some(second) = call.args.get(1) {
        let message = "only a whole map is printed in part, divided or in a unit";
        return cx.report(
            Diagnostic::error(&codes::ARGUMENT_TYPE, second.span, message)
                .help(format!("its form: {}", FUNCTION.syntax)),
        );
    }
    let value = cx.value(what)?;
    cx.emit(EventKind::Print, vec![value], call.span)
}

fn emit(cx: &mut Cx<'_>, call: &Call<'_>, map: MapId, view: MapView) -> Option<Expr> {
    let kind = EventKind::PrintMap {
        map,
        view,
        then: AfterPrint::Keep,
    };
    cx.emit(kind, Vec::new(), call.span)
}

/// What the arguments behind the map say.
fn view(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<MapView> {
    let mut view = MapView::default();
    let (mut numbers, mut is_named) = (0, false);
    for arg in &call.args[1..] {
        match &arg.kind {
            ast::ExprKind::Str(name) => {
                is_named = true;
                let name = String::from_utf8_lossy(name);
                match Quantile::of(&name) {
                    Some(quantile) => view.quantiles.push(quantile),
                    None if view.measure.unit.is_none() => view.measure.unit = Some(Unit::of(&name)),
                    None => return misplaced(cx, arg, "the numbers of a map have one unit"),
                }
            }
            _ if is_named || numbers == 2 => {
                return misplaced(cx, arg, "what is printed of a map has too many numbers here");
            }
            _ => {
                let (to, what) = match numbers {
                    0 => (&mut view.top, "how many to print"),
                    _ => (&mut view.div, "the divisor"),
                };
                *to = number(cx, arg, what)?;
                numbers += 1;
            }
        }
    }
    Some(view)
}

fn misplaced<T>(cx: &mut Cx<'_>, arg: &ast::Expr, message: &str) -> Option<T> {
    cx.report(
        Diagnostic::error(&codes::ARGUMENT_TYPE, arg.span, message)
            .help(format!("its form: {}", FUNCTION.syntax)),
    )
}

/// Whether what the map holds can be shown so. `args` are those behind the map.
fn fits(cx: &mut Cx<'_>, map: MapId, view: &MapView, what: &ast::Expr, args: &[&ast::Expr]) -> Option<()> {
    let Some(holds) = cx.map_value_type(map) else {
        return cx.is_inferring().then_some(());
    };
    let span = args.last().map_or(what.span, |arg| arg.span);
    if !view.quantiles.is_empty() && !matches!(&holds, Type::Agg(agg) if agg.aggregation().is_histogram()) {
        let message = format!("quantiles are of histograms, and `@{}` is none", cx.map_name(map));
        return cx.report(
            Diagnostic::error(&codes::ARGUMENT_TYPE, span, message)
                .help("fill it by `hist`, `lhist`, `hist10` or `percentiles`"),
        );
    }
    if view.measure.unit.is_some() && !matches!(holds, Type::Agg(_) | Type::Int(_)) {
        let message = format!("units are of numbers, and `@{}` holds none", cx.map_name(map));
        return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, span, message).help("leave the unit out"));
    }
    Some(())
}

fn check_rate(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let what = call.args[0];
    let ast::ExprKind::Map { name, key: None } = &what.kind else {
        return cx.report(
            Diagnostic::error(&codes::ARGUMENT_TYPE, what.span, "`rate` is of a whole map")
                .help(format!("its form: {}", RATE.syntax)),
        );
    };
    let map = cx.whole_map(name, what.span)?;
    let unit = match call.args.get(1) {
        None => None,
        Some(arg) => match &arg.kind {
            ast::ExprKind::Str(name) => Some(Unit::of(&String::from_utf8_lossy(name))),
            _ => {
                return cx.report(
                    Diagnostic::error(&codes::ARGUMENT_TYPE, arg.span, "a unit is a literal string")
                        .help(format!("its form: {}", RATE.syntax)),
                );
            }
        },
    };
    match cx.map_value_type(map) {
        None if cx.is_inferring() => return None,
        Some(Type::Int(_)) => {}
        Some(Type::Agg(agg)) if agg.aggregation().adds_up() => {}
        _ => {
            let message = format!(
                "`@{}` has no rate: it holds nothing that adds up",
                cx.map_name(map)
            );
            return cx.report(
                Diagnostic::error(&codes::ARGUMENT_TYPE, what.span, message)
                    .help("numbers, `count` and `sum` have one"),
            );
        }
    }
    let view = MapView {
        measure: Measure {
            unit,
            per_second: true,
        },
        ..MapView::default()
    };
    emit(cx, call, map, view)
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
