//! Where probes on functions cost least.
//!
//! A user probe costs several times less on an instruction that the kernel emulates than on one that it must step over,
//! and often one of the former is near the entry of a function whose first is one of the latter. In: typed programs, each
//! on the entries of its functions. Out: the same, those that see the same there moved to such instructions
//! ([`Target::cheapest_places`]).
//!
//! Invariants: a program is moved only if all it reads of the traced thread's registers are arguments that are passed in
//! registers. A function is moved for all programs of the script or for none, so that they run in the order of the script;
//! and not past a place that any other program is on, so that an entry still comes before what lies behind it.

use crate::hir::{Expr, ExprKind, Intrinsic, Probe};
use crate::plan::{Attach, UprobePlace};
use crate::probe_kind;
use crate::target::{Arch, Binary, Entry, Target};
use crate::types::Type;
use crate::visit;
use std::collections::{BTreeMap, BTreeSet};

/// What a script wants in one binary, by offset in the file.
#[derive(Default)]
struct Wanted {
    /// The functions that may be moved, with the arguments that programs read there, a bit each.
    entries: BTreeMap<u64, u32>,
    /// Places that stay.
    fixed: BTreeSet<u64>,
}

/// Moves what may be moved.
pub(super) fn choose(probes: &mut [Probe], target: &dyn Target) {
    let mut binaries: BTreeMap<String, Wanted> = BTreeMap::new();
    for probe in probes.iter() {
        let reads = arguments(probe, target.arch());
        for attach in &probe.attach {
            let Attach::Uprobe { path, places, .. } = attach else {
                continue;
            };
            let wanted = binaries.entry(path.clone()).or_default();
            for place in places {
                match (place.entry, reads) {
                    (Some(entry), Some(reads)) => *wanted.entries.entry(entry).or_default() |= reads,
                    _ => {
                        wanted.fixed.insert(place.offset);
                    }
                }
            }
        }
    }
    let moved: BTreeMap<String, BTreeMap<u64, u64>> = binaries
        .into_iter()
        .filter(|(_, wanted)| !wanted.entries.is_empty())
        .map(|(path, wanted)| {
            let binary = Binary { path };
            let moved = moves(&binary, &wanted, target);
            (binary.path, moved)
        })
        .collect();
    for attach in probes.iter_mut().flat_map(|probe| &mut probe.attach) {
        if let Attach::Uprobe { path, places, .. } = attach
            && let Some(moved) = moved.get(path)
        {
            for place in places {
                apply(place, moved);
            }
        }
    }
}

fn apply(place: &mut UprobePlace, moved: &BTreeMap<u64, u64>) {
    if let Some(to) = place.entry.and_then(|entry| moved.get(&entry)) {
        place.offset = *to;
    }
}

/// From the entries of functions that are moved to where they are moved.
fn moves(binary: &Binary, wanted: &Wanted, target: &dyn Target) -> BTreeMap<u64, u64> {
    let entries = free(wanted);
    let cheapest = target.cheapest_places(binary, &entries);
    allowed(&entries, &cheapest, wanted)
}

/// The functions that are on no place that stays.
fn free(wanted: &Wanted) -> Vec<Entry> {
    let free = wanted
        .entries
        .iter()
        .filter(|(entry, _)| !wanted.fixed.contains(entry));
    free.map(|(&offset, &arguments)| Entry { offset, arguments })
        .collect()
}

/// Those of the moves of `entries` to the places of `cheapest` that no other place keeps from happening.
fn allowed(entries: &[Entry], cheapest: &[u64], wanted: &Wanted) -> BTreeMap<u64, u64> {
    let pairs = entries
        .iter()
        .map(|entry| entry.offset)
        .zip(cheapest.iter().copied());
    let is_free = |from: u64, to: u64| {
        let between = || from + 1..=to;
        wanted.fixed.range(between()).next().is_none() && wanted.entries.range(between()).next().is_none()
    };
    pairs
        .filter(|&(from, to)| from < to && is_free(from, to))
        .collect()
}

/// The arguments that a program reads, a bit each; `None` where it needs to be at the entry itself.
fn arguments(probe: &Probe, arch: Arch) -> Option<u32> {
    if !probe_kind::by_name(probe.kind_name)?.may_be_moved() {
        return None;
    }
    let in_registers = arch.convention().args.len();
    let mut read = 0;
    let needs_entry = visit::any_expr(probe, &mut |expr| match &expr.kind {
        ExprKind::Arg(n) if usize::from(*n) < in_registers => {
            read |= 1 << n;
            false
        }
        ExprKind::Arg(_)
        | ExprKind::Context(_)
        | ExprKind::ReturnValue
        | ExprKind::RecordField { .. }
        | ExprKind::RecordText { .. }
        | ExprKind::RecordDynamicText { .. }
        | ExprKind::RecordBytes { .. } => true,
        ExprKind::Intrinsic(which, _) => sees_place(*which, expr),
        _ => false,
    });
    (!needs_entry).then_some(read)
}

/// Whether an intrinsic tells a function's entry from an instruction behind it, or acts on the thread there.
fn sees_place(which: Intrinsic, expr: &Expr) -> bool {
    match which {
        Intrinsic::Stack => matches!(&expr.ty, Type::Stack(stack) if stack.user),
        Intrinsic::Register(_) | Intrinsic::Context => true,
        which => which.has_effects(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of functions at `entries` that all could be moved by as much.
    fn moved(by: u64, entries: &[u64], fixed: &[u64]) -> Vec<(u64, u64)> {
        let wanted = Wanted {
            entries: entries.iter().map(|&entry| (entry, 1)).collect(),
            fixed: fixed.iter().copied().collect(),
        };
        let asked = free(&wanted);
        let to: Vec<u64> = asked.iter().map(|entry| entry.offset + by).collect();
        allowed(&asked, &to, &wanted).into_iter().collect()
    }

    #[test]
    fn what_lies_in_between_keeps_a_function_at_its_entry() {
        assert_eq!(moved(9, &[100, 200], &[]), [(100, 109), (200, 209)]);
        // A return probe, or a program that needs the entry.
        assert_eq!(moved(9, &[100, 200], &[100]), [(200, 209)]);
        // An instruction that a program is on, up to the one moved to.
        assert_eq!(moved(9, &[100, 200], &[109, 210]), [(200, 209)]);
        assert_eq!(moved(9, &[100, 104], &[]), [(104, 113)]);
        assert_eq!(moved(0, &[100], &[]), []);
    }
}
