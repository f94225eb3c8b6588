//! `table`: maps with the same keys side by side.

use super::{Call, Function};
use crate::check::Cx;
use crate::codes;
use crate::hir::Expr;
use crate::plan::{EventKind, MapId, Table};
use crate::types::Type;
use crate::view::{Measure, Unit};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;

pub(super) const FUNCTION: Function = Function {
    name: "table",
    doc: "prints maps of numbers side by side: a row for each key that any of them has, in descending order of the first \
          map, all or the `top` first rows; numbers of each map in a unit as `print` has them; the keys' column is called \
          `keys`",
    syntax: "table([\"keys\", ]@map[, \"unit\"], … [, top])",
    example: "uprobe:libc:write { @calls[comm] = count(); @bytes[comm] = sum(arg2); } \
              end { table(\"program\", @bytes, \"bytes\", @calls, 10); clear(@bytes); clear(@calls); }",
    arity: (1, 64),
    check,
};

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let mut table = Table {
        keys: String::new(),
        columns: Vec::new(),
        top: 0,
    };
    let last = call.args.len() - 1;
    let mut key: Option<Type> = None;
    let mut is_known = true;
    for (at, arg) in call.args.iter().enumerate() {
        match &arg.kind {
            ast::ExprKind::Map { name, key: None } => {
                let map = cx.whole_map(name, arg.span)?;
                is_known &= column(cx, map, arg, &mut key)?;
                table.columns.push((map, Measure::default()));
            }
            ast::ExprKind::Str(text) => {
                let text = String::from_utf8_lossy(text);
                match table.columns.last_mut() {
                    None if at == 0 => table.keys = text.into_owned(),
                    Some((_, measure)) if measure.unit.is_none() => measure.unit = Some(Unit::of(&text)),
                    _ => return misplaced(cx, arg, "the numbers of a map have one unit"),
                }
            }
            _ if at == last && !table.columns.is_empty() => table.top = top(cx, arg)?,
            _ => return misplaced(cx, arg, "a table is of whole maps"),
        }
    }
    if table.columns.is_empty() {
        return misplaced(cx, call.args[0], "a table is of whole maps");
    }
    if !is_known {
        return None;
    }
    cx.emit(EventKind::Table(table), Vec::new(), call.span)
}

/// Whether enough is known of a map to say that it can be a column, whose keys are of one kind with those before.
fn column(cx: &mut Cx<'_>, map: MapId, arg: &ast::Expr, key: &mut Option<Type>) -> Option<bool> {
    let name = cx.map_name(map).to_owned();
    if cx.is_keyless(map) {
        return misplaced(
            cx,
            arg,
            &format!("`@{name}` has no keys, which the rows of a table are of"),
        );
    }
    let (Some(keys), Some(holds)) = (cx.map_key_type(map), cx.map_value_type(map)) else {
        return cx.is_inferring().then_some(false);
    };
    let is_number = match &holds {
        Type::Int(_) => true,
        Type::Agg(agg) => agg.aggregation().reduction().is_some(),
        _ => false,
    };
    if !is_number {
        return misplaced(
            cx,
            arg,
            &format!("`@{name}` does not hold one number for each key"),
        );
    }
    let first = key.get_or_insert_with(|| keys.clone());
    if std::mem::discriminant(first) != std::mem::discriminant(&keys) {
        let message = format!("the keys of `@{name}` are {keys}, those of the maps before it {first}");
        return misplaced(cx, arg, &message);
    }
    Some(true)
}

fn top(cx: &mut Cx<'_>, arg: &ast::Expr) -> Option<u32> {
    let n = cx.literal_number(arg, "how many rows to print")?;
    match u32::try_from(n) {
        Ok(n) => Some(n),
        Err(_) => misplaced(
            cx,
            arg,
            &format!("how many rows to print is a number from 0 to {}", u32::MAX),
        ),
    }
}

fn misplaced<T>(cx: &mut Cx<'_>, arg: &ast::Expr, message: &str) -> Option<T> {
    cx.report(
        Diagnostic::error(&codes::ARGUMENT_TYPE, arg.span, message)
            .help(format!("its form: {}", FUNCTION.syntax)),
    )
}
