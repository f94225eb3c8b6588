//! How the maps of several runs of one script become one.
//!
//! In: typed HIR. Out: a [`Merging`] for each map whose contents matter once a run is over: those that are printed then, and
//! those that `end` blocks use.

use crate::hir::{ArithOp, Expr, ExprKind, Place, Probe, Script, Stmt, StmtKind};
use crate::plan::{EventKind, MapId, Occasion};
use crate::types::Type;
use crate::visit::{self, Node};
use crumbs_grammar::source::HYGIENE_MARK;

/// How an element that several runs have becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// As the states of several CPUs do.
    Aggregate,
    /// By adding: the script changes the map by `++`, `--`, `+=` and `-=` alone, and sets it to nothing but 0.
    Add,
    /// It must be the same in all.
    Same,
}

/// What `end` blocks of a script are compiled with when its other blocks have run already, elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMap {
    /// Its name without `@`.
    pub name: String,
    /// The type of its key.
    pub key: Option<Type>,
    /// The type of its value.
    pub value: Type,
}

/// How each map of a script merges; `None` for those that are not needed once the run is over.
pub(crate) fn rules(script: &Script) -> Vec<Option<Merging>> {
    let (end, others): (Vec<&Probe>, Vec<&Probe>) = script.probes.iter().partition(|probe| is_end(probe));
    let maps = (0..).map(MapId).zip(&script.maps);
    maps.map(|(id, map)| {
        if map.name.contains(HYGIENE_MARK) {
            return None;
        }
        let is_needed = script.settings.print_maps_on_exit || end.iter().any(|probe| uses(script, probe, id));
        is_needed.then(|| match map.value {
            Type::Agg(_) => Merging::Aggregate,
            Type::Int(_) if others.iter().all(|probe| only_adds(probe, id)) => Merging::Add,
            _ => Merging::Same,
        })
    })
    .collect()
}

fn is_end(probe: &Probe) -> bool {
    probe
        .attach
        .iter()
        .any(|attach| attach.occasion() == Occasion::End)
}

/// Whether a program has to do with a map.
fn uses(script: &Script, probe: &Probe, wanted: MapId) -> bool {
    visit::any_node_of(probe, &mut |node| match node {
        Node::Stmt(Stmt { kind, .. }) => match kind {
            StmtKind::SetMap { map, .. }
            | StmtKind::UpdateMap { map, .. }
            | StmtKind::Aggregate { map, .. }
            | StmtKind::ForMap { map, .. } => *map == wanted,
            _ => false,
        },
        Node::Expr(Expr { kind, .. }) => match kind {
            ExprKind::MapValue { map, .. }
            | ExprKind::Reduced { map, .. }
            | ExprKind::HasKey { map, .. }
            | ExprKind::Delete { map, .. }
            | ExprKind::MapLen(map)
            | ExprKind::Increment {
                place: Place::Map { map, .. },
                ..
            } => *map == wanted,
            ExprKind::Emit { event, .. } => match script.events[event.0 as usize].kind {
                EventKind::Table(ref table) => table.columns.iter().any(|(map, _)| *map == wanted),
                EventKind::PrintMap { map, .. } | EventKind::Clear(map) | EventKind::Zero(map) => {
                    map == wanted
                }
                _ => false,
            },
            _ => false,
        },
    })
}

/// Whether all that a program does to the numbers of a map adds up.
fn only_adds(probe: &Probe, wanted: MapId) -> bool {
    !visit::any_node_of(probe, &mut |node| match node {
        Node::Stmt(Stmt { kind, .. }) => match kind {
            StmtKind::SetMap { map, value, .. } => *map == wanted && !is_zero(value),
            StmtKind::UpdateMap { map, op, .. } => {
                *map == wanted && !matches!(op, ArithOp::Add | ArithOp::Sub)
            }
            _ => false,
        },
        Node::Expr(_) => false,
    })
}

fn is_zero(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Const(number) => *number == 0,
        ExprKind::Convert(of) => is_zero(of),
        _ => false,
    }
}
