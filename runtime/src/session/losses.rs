//! What was lost, in the user's terms, with what to do about it.

use crate::backend::{Backend, Skipped};
use crate::snapshot::stripe_offsets;
use crumbs_compiler::plan::{LossKind, MapPlan, MissingProbes, Plan, Storage, UNREADABLE};
use crumbs_compiler::types::Type;
use std::collections::{BTreeMap, BTreeSet};

/// Size of a page that ring buffer sizes are given in, bytes.
const PAGE: u32 = 4096;

/// The total of each loss of the plan, over all stripes.
pub(super) fn totals(plan: &Plan, backend: &dyn Backend) -> Vec<(LossKind, u64)> {
    plan.losses
        .iter()
        .map(|loss| {
            let total = stripe_offsets(plan.memory.stripes)
                .map(|stripe| backend.load(stripe + loss.offset))
                .fold(0, u64::wrapping_add);
            (loss.kind, total)
        })
        .collect()
}

/// How many events were lost so far.
pub(super) fn events(totals: &[(LossKind, u64)]) -> u64 {
    totals
        .iter()
        .filter(|(kind, _)| *kind == LossKind::Event)
        .map(|(_, total)| total)
        .sum()
}

/// What to say of a total; nothing of none.
pub(crate) fn describe(plan: &Plan, kind: LossKind, total: u64) -> Option<String> {
    if total == 0 {
        return None;
    }
    let s = if total == 1 { "" } else { "s" };
    let were = if total == 1 { "was" } else { "were" };
    let map = |id: crumbs_compiler::plan::MapId| plan.maps.get(id.0 as usize);
    let name = |id| map(id).map_or_else(|| "a map".to_owned(), MapPlan::display_name);
    Some(match kind {
        LossKind::MapFull(id) => {
            let room = map(id).and_then(|map| capacity(plan, map));
            let (full, keys) = room.map_or_else(
                || ("is full".to_owned(), "…".to_owned()),
                |keys| {
                    (
                        format!("is full at {keys} keys, and lacks those that came later"),
                        (u64::from(keys) * 4).to_string(),
                    )
                },
            );
            let more = match map(id) {
                Some(map) if map.declared => {
                    let kind = if matches!(map.value, Type::Agg(_)) {
                        "percpuhash"
                    } else {
                        "hash"
                    };
                    format!("let {} = {kind}({keys})", name(id))
                }
                _ => format!(
                    "config = {{ max_map_keys = {keys} }}, or CRUMBS_MAX_MAP_KEYS={keys} in the environment"
                ),
            };
            format!(
                "{total} update{s} of {} {were} lost: the map {full}. Give it more room: {more}",
                name(id)
            )
        }
        LossKind::Contended(id) => format!(
            "{total} update{s} of {} {were} lost: other programs were changing the same value, or the map, at that \
             moment. Spread it, for example with cpu or tid as a key",
            name(id)
        ),
        LossKind::Length(id) => format!(
            "len({}) may be too great by {total}: keys were inserted twice at the same time while the kernel was short \
             of memory",
            name(id)
        ),
        LossKind::Event => {
            let pages = ring_pages(plan);
            format!(
                "Total lost event count: {total}. The ring buffer ({pages} pages) was full; give it more room: config \
                 = {{ perf_rb_pages = {} }}, or print less often",
                u64::from(pages.max(1)) * 4
            )
        }
        LossKind::Scratch => format!(
            "{total} run{s} of a probe {were} skipped: too many interrupted each other while they worked on long \
             values. Shorten strings: config = {{ max_strlen = {} }}",
            (plan.settings.max_strlen / 4).max(16)
        ),
        LossKind::Loop => {
            format!("{total} loop{s} {were} ended early: the kernel runs a loop at most 8388608 times")
        }
        LossKind::ZeroDivision => format!(
            "{total} division{s} by 0; 1 was used as the result. Divide only where the divisor is not 0"
        ),
        LossKind::Calls => format!(
            "{total} call{s} {were} not measured: they did not return to where they were called (longjmp, exit, the end \
             of their thread), or more of them were in one another than the kernel follows (64 in user code)"
        ),
        LossKind::Read => format!(
            "{total} string{s} or value{s} could not be read (not in memory, or a bad address); shown as {UNREADABLE} \
             or 0"
        ),
    })
}

/// What to say of the places that wildcards mean and the kernel refuses; nothing of none.
pub(super) fn refused(skipped: &[Skipped]) -> Option<String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for skipped in skipped {
        if let Skipped::Refused { reason, .. } = skipped {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    let total: usize = reasons.values().sum();
    let (s, are) = if total == 1 { ("", "is") } else { ("s", "are") };
    let reasons = match reasons.len() {
        0 => return None,
        1 => reasons.into_keys().collect(),
        _ => {
            let each = reasons
                .iter()
                .map(|(reason, count)| format!("{reason} ({count})"));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    Some(format!(
        "{total} function{s} that a wildcard matches {are} not traced: {reasons}. `-v` names them"
    ))
}

/// What to say of all that is not attached, where the script wants no more than a summary or nothing.
pub(super) fn summary(plan: &Plan, skipped: &[Skipped]) -> Option<Option<String>> {
    match plan.settings.missing_probes {
        MissingProbes::Ignore => Some(None),
        MissingProbes::Summary => Some(not_loaded(skipped)),
        MissingProbes::Error | MissingProbes::Warn => None,
    }
}

/// What to say, in one, of libraries that no traced process has loaded and that no other stood for; nothing of none.
fn not_loaded(skipped: &[Skipped]) -> Option<String> {
    let libraries = skipped.iter().filter_map(|skipped| match skipped {
        Skipped::NotLoaded {
            library,
            replaced: false,
            ..
        } => Some(library.as_str()),
        _ => None,
    });
    let libraries: BTreeSet<&str> = libraries.collect();
    if libraries.is_empty() {
        return None;
    }
    let names = libraries.into_iter().collect::<Vec<_>>().join(", ");
    Some(format!(
        "not installed, and not loaded by any traced process: {names}. What a program calls of a library that is linked \
         into it statically is not seen"
    ))
}

/// What to say of commands that `system` did not run any more.
pub(super) fn not_run(count: u64) -> String {
    let (s, were) = if count == 1 { ("", "was") } else { ("s", "were") };
    format!("{count} command{s} of system() {were} not run: the run was interrupted")
}

/// How many keys a map has room for, where the plan says.
fn capacity(plan: &Plan, map: &MapPlan) -> Option<u32> {
    let generations = match map.storage {
        Storage::Hash(generations) => generations,
        Storage::PerCpu { maps, chunked, .. } if !chunked => maps,
        _ => return None,
    };
    let id = generations.ids().first()?;
    plan.bpf_maps.get(id.0 as usize).map(|map| map.max_entries)
}

fn ring_pages(plan: &Plan) -> u32 {
    plan.rings
        .and_then(|rings| plan.bpf_maps.get(rings.main.0 as usize))
        .map_or(0, |map| map.max_entries / PAGE)
}
