//! What the optimiser may assume of the kernel maps, read from typed HIR.

use crate::hir::{Expr, ExprKind, Place, Script, StmtKind};
use crate::opt::{Facts, MapFacts};
use crate::plan::{BpfMapId, MapId, Plan, Storage};
use crate::types::Type;
use crate::visit::{self, Node};

/// The facts of every kernel map.
pub(super) fn facts(script: &Script, plan: &Plan) -> Facts {
    let mut facts = Facts {
        maps: vec![MapFacts::default(); plan.bpf_maps.len()],
    };
    for (row, map) in facts.maps.iter_mut().zip(&plan.bpf_maps) {
        row.key_size = map.key_size;
    }
    let uses = Uses::of(script);
    for (index, map) in plan.maps.iter().enumerate() {
        let stays = !script.maps[index].deleted_from && !script.maps[index].cleared && !uses.replaced[index];
        let of_one_thread = !script.maps[index].cleared && uses.keyed_by_thread[index];
        for BpfMapId(id) in bpf_maps(&map.storage) {
            let kind = plan.bpf_maps[id as usize].kind;
            facts.maps[id as usize].lookup_reusable = !kind.evicts() && (stays || of_one_thread);
        }
    }
    facts
}

fn bpf_maps(storage: &Storage) -> Vec<BpfMapId> {
    match storage {
        Storage::Words { .. } | Storage::Striped { .. } => Vec::new(),
        Storage::Hash(maps) => maps.ids().to_vec(),
        Storage::PerCpu { maps, overflow, .. } => [maps.ids(), overflow.ids()].concat(),
    }
}

/// How the script uses its maps, by [`MapId`].
struct Uses {
    /// Whether an assignment replaces elements.
    replaced: Vec<bool>,
    /// Whether every key contains the id of the thread, so that only the thread itself touches an element.
    keyed_by_thread: Vec<bool>,
}

impl Uses {
    fn of(script: &Script) -> Self {
        let count = script.maps.len();
        let mut uses = Self {
            replaced: vec![false; count],
            keyed_by_thread: vec![true; count],
        };
        for probe in &script.probes {
            visit::any_node_of(probe, &mut |node| {
                let expr = match node {
                    Node::Expr(expr) => expr,
                    Node::Stmt(stmt) => {
                        uses.statement(&stmt.kind);
                        return false;
                    }
                };
                match &expr.kind {
                    ExprKind::MapValue { map, key }
                    | ExprKind::HasKey { map, key }
                    | ExprKind::Delete { map, key }
                    | ExprKind::Increment {
                        place: Place::Map { map, key },
                        ..
                    } => uses.key(*map, key.as_deref()),
                    _ => {}
                }
                false
            });
        }
        uses
    }

    fn statement(&mut self, stmt: &StmtKind) {
        match stmt {
            StmtKind::SetMap { map, key, .. } => {
                self.replaced[map.0 as usize] = true;
                self.key(*map, key.as_ref());
            }
            StmtKind::UpdateMap { map, key, .. } | StmtKind::Aggregate { map, key, .. } => {
                self.key(*map, key.as_ref());
            }
            _ => {}
        }
    }

    fn key(&mut self, map: MapId, key: Option<&Expr>) {
        self.keyed_by_thread[map.0 as usize] &= key.is_some_and(names_thread);
    }
}

/// Whether equal values imply the same thread.
fn names_thread(key: &Expr) -> bool {
    match &key.kind {
        ExprKind::Builtin(id) => id.row().identifies_thread,
        ExprKind::Tuple(members) => members.iter().any(names_thread),
        // A narrower type could make two threads' ids equal.
        ExprKind::Convert(inner) => {
            inner.ty.size() <= key.ty.size() && key.ty != Type::Bool && names_thread(inner)
        }
        _ => false,
    }
}
