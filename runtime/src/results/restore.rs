//! From results to maps of the user-space VM, which `end` blocks then run on.
//!
//! In: results, and the plan of the script's `end` blocks, compiled with the maps that [`known`] tells. Out: the VM's maps hold
//! what the results do. A value that the runs disagree on is left out and counted.

use super::{Datum, Held, Results, SavedMap, ValueType};
use crate::backend::{Backend, Error};
use crate::vm::VmBackend;
use crumbs_compiler::aggregation::{AggType, CHUNK_WORDS};
use crumbs_compiler::bpf;
use crumbs_compiler::merging::KnownMap;
use crumbs_compiler::plan::{BpfMapId, EventKind, LossKind, MapId, MapPlan, Plan, Storage};
use crumbs_compiler::target::Target;
use crumbs_compiler::types::Type;

/// The maps as the compiler has to know them.
pub fn known(results: &Results) -> Vec<KnownMap> {
    let maps = results.maps.iter().map(|(name, map)| KnownMap {
        name: name.clone(),
        key: map
            .key
            .as_ref()
            .map(|ty| ty.live(&mut map.entries.keys().filter_map(Option::as_ref))),
        value: match &map.value {
            ValueType::Aggregation(ty) => Type::Agg(ty.clone()),
            ValueType::Plain(ty) => ty.live(&mut map.entries.values().filter_map(|held| match held {
                Held::Value(datum) => Some(datum),
                _ => None,
            })),
        },
    });
    maps.collect()
}

/// What [`restore`] gives.
#[derive(Debug)]
pub struct Restored {
    /// The VM. Its clock shows how long the longest run took, and `elapsed` counts from 0.
    pub backend: VmBackend,
    /// Maps of which an element was left as `zero` leaves it.
    pub zeroed: Vec<MapId>,
    /// What was lost.
    pub losses: Vec<(LossKind, u64)>,
    /// The maps that the runs disagree on, and on how many of their elements; those left out that the script clears.
    pub conflicts: Vec<(String, usize)>,
}

/// Makes a VM that has the maps of `results`. `code` are the programs of `plan`.
///
/// # Errors
/// When the plan is not that of the results' script.
pub fn restore(
    results: &Results,
    plan: &Plan,
    code: &[bpf::Program],
    target: &dyn Target,
) -> Result<Restored, Error> {
    let mut roomy = plan.clone();
    for map in &plan.maps {
        let needed = results.maps.get(&map.name).map_or(0, |saved| saved.elements());
        if let Some(id) = first_maps(map) {
            let room = &mut roomy.bpf_maps[id.0 as usize].max_entries;
            // `end` blocks may insert some more.
            *room = (*room).max(needed.saturating_add(1 << 16));
        }
    }
    let mut restored = Restored {
        backend: VmBackend::new(&roomy, code, &[], target)?,
        zeroed: Vec::new(),
        losses: Vec::new(),
        conflicts: Vec::new(),
    };
    for (id, map) in (0..).map(MapId).zip(&plan.maps) {
        let Some(saved) = results.maps.get(&map.name) else {
            continue;
        };
        let conflicts = saved
            .entries
            .values()
            .filter(|held| **held == Held::Conflict)
            .count();
        let clears = |kind: &EventKind| matches!(kind, EventKind::Clear(map) if *map == id);
        if conflicts > 0 && !plan.events.iter().any(|event| clears(&event.kind)) {
            restored.conflicts.push((map.display_name(), conflicts));
        }
        restored.fill(id, map, saved).ok_or_else(|| {
            Error::new(
                format!("restore {}", map.display_name()),
                "the script's `end` blocks have it in another form",
            )
        })?;
    }
    let longest = results
        .runs
        .iter()
        .map(|run| run.end.saturating_sub(run.start))
        .max();
    restored.backend.set_clock(longest.unwrap_or(0));
    let losses = results.losses.iter();
    restored.losses = losses
        .filter_map(|(lost, total)| Some((lost.kind(plan)?, *total)))
        .collect();
    Ok(restored)
}

/// The kernel maps that elements are put into.
fn first_maps(map: &MapPlan) -> Option<BpfMapId> {
    match map.storage {
        Storage::Hash(generations)
        | Storage::PerCpu {
            maps: generations, ..
        } => generations.ids().first().copied(),
        Storage::Words { .. } | Storage::Striped { .. } => None,
    }
}

impl SavedMap {
    /// How many elements kernel maps need for it at most.
    fn elements(&self) -> u32 {
        let chunks = match &self.value {
            ValueType::Aggregation(ty) => ty.words().div_ceil(CHUNK_WORDS),
            ValueType::Plain(_) => 1,
        };
        u32::try_from(self.entries.len())
            .unwrap_or(u32::MAX)
            .saturating_mul(chunks)
    }
}

impl Restored {
    /// Puts all elements of a map into the VM; `None` where one does not fit.
    fn fill(&mut self, id: MapId, map: &MapPlan, saved: &SavedMap) -> Option<()> {
        let mut count = 0;
        for (key, held) in &saved.entries {
            let key = match (key, &map.key) {
                (Some(key), Some(ty)) => key.encode(ty)?,
                (None, None) => vec![0; 4],
                _ => return None,
            };
            match (held, &saved.value) {
                (Held::Conflict, _) => continue,
                (Held::Value(value), ValueType::Plain(_)) => self.put_value(map, &key, value)?,
                (Held::State(state), ValueType::Aggregation(ty)) => {
                    if map.aggregation() != Some(ty) {
                        return None;
                    }
                    let words = ty.aggregation().restore(ty, state)?;
                    if !ty.aggregation().is_touched(ty, &words) {
                        self.zeroed.push(id);
                    }
                    self.put_words(map, &key, &words, ty)?;
                }
                _ => return None,
            }
            count += 1;
        }
        if let Some(length) = map.length {
            self.backend.store(length, count);
        }
        Some(())
    }

    fn put_value(&mut self, map: &MapPlan, key: &[u8], value: &Datum) -> Option<()> {
        let bytes = value.encode(&map.value)?;
        match map.storage {
            Storage::Words { offset } => {
                let word = u64::from_ne_bytes(bytes.first_chunk().copied()?);
                self.backend.store(offset, word);
                self.backend.store(offset + 8, 1);
                Some(())
            }
            Storage::Hash(_) => self.backend.put(first_maps(map)?, key, &bytes).ok(),
            Storage::Striped { .. } | Storage::PerCpu { .. } => None,
        }
    }

    fn put_words(&mut self, map: &MapPlan, key: &[u8], words: &[u64], ty: &AggType) -> Option<()> {
        let bytes = |words: &[u64]| {
            words
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect::<Vec<u8>>()
        };
        match map.storage {
            Storage::Striped { offset, .. } => {
                let base = self.backend.stripes().offset + offset;
                for (at, word) in (0..).zip(words) {
                    self.backend.store(base + 8 * at, *word);
                }
            }
            Storage::PerCpu { chunked: false, .. } => {
                self.backend.put(first_maps(map)?, key, &bytes(words)).ok()?;
            }
            Storage::PerCpu { chunked: true, .. } => {
                let mut padded = words.to_vec();
                padded.resize(ty.words().next_multiple_of(CHUNK_WORDS) as usize, 0);
                for (chunk, words) in (0u64..).zip(padded.chunks(CHUNK_WORDS as usize)) {
                    // The first chunk stands for the element.
                    if chunk > 0 && words.iter().all(|word| *word == 0) {
                        continue;
                    }
                    let key = [key, &chunk.to_ne_bytes()].concat();
                    self.backend.put(first_maps(map)?, &key, &bytes(words)).ok()?;
                }
            }
            Storage::Words { .. } | Storage::Hash(_) => return None,
        }
        Some(())
    }
}
