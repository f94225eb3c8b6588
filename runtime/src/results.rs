//! Results that outlive their run: what a script's maps hold when it ends, in a file that `crumbs merge` joins with those of
//! other nodes. The format is described in `docs/results.md`.
//!
//! In: what a session has measured ([`Results::of`]), or the text of a file ([`Results::read`]). Out: a file
//! ([`Results::write`]), the joined results of several ([`Results::merge`]), and maps that `end` blocks run on
//! ([`restore`](mod@restore)).
//!
//! Invariants: merging is associative and commutative, and gives what one run would have measured that saw the events of all;
//! a map's entries are sorted by key, no key is there twice; a file is checked as a whole before anything of it counts.

mod datum;
pub mod file;
mod losses;
mod merge;
pub mod name;
mod read;
mod restore;
mod saved_type;
mod write;

#[cfg(test)]
mod tests;

use crate::session::Measured;
use crate::snapshot::State;
use crate::sys_time;
use crumbs_compiler::aggregation::{AggType, Saved};
use crumbs_compiler::merging::Merging;
use crumbs_compiler::plan::{EventKind, MapId, Plan};
use crumbs_compiler::types::Type;
pub use datum::Datum;
pub use losses::Lost;
pub use merge::Refusal;
pub use restore::{Restored, known, restore};
pub use saved_type::SavedType;
use std::collections::BTreeMap;
use std::collections::btree_map;

/// What a file says that it is.
pub const FORMAT: &str = "crumbs-results";
/// The version of the format that is written and read.
pub const VERSION: u64 = 1;
/// Larger files are not read, in bytes.
pub const MOST_BYTES: u64 = 256 << 20;

/// What one run, or several, have measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// The version of crumbs.
    pub crumbs: String,
    /// The script.
    pub script: Script,
    /// The runs, in the order of their hosts, process ids and times.
    pub runs: Vec<Run>,
    /// How much of what was lost.
    pub losses: BTreeMap<Lost, u64>,
    /// The maps by name.
    pub maps: BTreeMap<String, SavedMap>,
}

/// The script that ran, and what decides what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What messages call it. The same script may have several names.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The texts of what it imports.
    pub imports: Vec<String>,
    /// Its positional parameters.
    pub params: Vec<String>,
    /// Its named parameters.
    pub named: Vec<(String, Option<String>)>,
    /// Config variables that were set from outside.
    pub config: Vec<(String, String)>,
}

impl Script {
    /// A number that tells most scripts apart: FNV-1a, 64 bits, of all that decides what the script means.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |text: &str| {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        add(&self.text);
        self.imports.iter().for_each(|text| add(text));
        self.params.iter().for_each(|text| add(text));
        for (name, value) in &self.named {
            add(name);
            add(value.as_deref().unwrap_or("\u{1}"));
        }
        for (name, value) in &self.config {
            add(name);
            add(value);
        }
        hash
    }
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The name of the machine.
    pub host: String,
    /// The process id of crumbs there.
    pub pid: u32,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended, likewise.
    pub end: u64,
    /// Its rank in a parallel job.
    pub rank: Option<String>,
    /// The batch job.
    pub job: Option<String>,
    /// What started the processes of a parallel job: equal for all of them, and for no others.
    pub launch: Option<String>,
}

/// Where a process finds what started it together with the others of its job: Open MPI's and PMIx's, Slurm's, Flux's.
const LAUNCHES: [&[&str]; 3] = [
    &["PMIX_NAMESPACE"],
    &["SLURM_JOB_ID", "SLURM_STEP_ID"],
    &["FLUX_JOB_ID"],
];

impl Run {
    /// The run of this process, which begins now.
    pub fn here() -> Self {
        let launch = LAUNCHES.iter().find_map(|names| {
            let parts = names.iter().map(|part| name::variable(&[part]));
            Some(parts.collect::<Option<Vec<_>>>()?.join("."))
        });
        let now = sys_time::wall_clock_ns();
        Self {
            host: name::host(),
            pid: std::process::id(),
            start: now,
            end: now,
            rank: name::variable(name::RANKS),
            job: name::variable(name::JOBS),
            launch,
        }
    }

    /// Whether the other is another process of the same parallel job.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.launch.is_some()
            && self.launch == other.launch
            && (&self.host, self.pid) != (&other.host, other.pid)
    }
}

/// What a map holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMap {
    /// The type of its keys; `None` for a map without.
    pub key: Option<SavedType>,
    /// The type of its values.
    pub value: ValueType,
    /// How elements of several runs become one.
    pub merging: Merging,
    /// The unit that the script prints it in.
    pub unit: Option<String>,
    /// Its elements; a map without keys has at most one, under `None`.
    pub entries: BTreeMap<Option<Datum>, Held>,
}

/// The type of a map's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// An aggregation.
    Aggregation(AggType),
    /// Something else.
    Plain(SavedType),
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The state of an aggregation.
    State(Saved),
    /// A value.
    Value(Datum),
    /// Values that runs disagree on.
    Conflict,
}

impl Results {
    /// What a run has measured.
    pub fn of(plan: &Plan, measured: Measured, script: Script, run: Run) -> Self {
        let mut maps = BTreeMap::new();
        for (id, contents) in measured.maps {
            let map = &plan.maps[id.0 as usize];
            let Some(merging) = map.merging else { continue };
            let mut saved = SavedMap {
                key: map.key.as_ref().map(SavedType::of),
                value: match &map.value {
                    Type::Agg(ty) => ValueType::Aggregation(ty.clone()),
                    ty => ValueType::Plain(SavedType::of(ty)),
                },
                merging,
                unit: unit(plan, id),
                entries: BTreeMap::new(),
            };
            for (key, state) in contents {
                let key = key.zip(saved.key.as_ref()).map(|(key, ty)| Datum::of(&key, ty));
                let held = match (&saved.value, state) {
                    (ValueType::Aggregation(ty), State::Words(words)) => {
                        Held::State(ty.aggregation().save(ty, &words))
                    }
                    (ValueType::Plain(ty), State::Value(value)) => Held::Value(Datum::of(&value, ty)),
                    _ => continue,
                };
                saved.add(key, held);
            }
            maps.insert(map.name.clone(), saved);
        }
        let mut losses = BTreeMap::new();
        for (kind, total) in measured.losses.into_iter().filter(|(_, total)| *total != 0) {
            if let Some(lost) = Lost::of(kind, plan) {
                *losses.entry(lost).or_default() += total;
            }
        }
        Self {
            crumbs: env!("CARGO_PKG_VERSION").to_owned(),
            script,
            runs: vec![run],
            losses,
            maps,
        }
    }
}

impl SavedMap {
    /// Adds an element, to the one of the same key where there is one.
    fn add(&mut self, key: Option<Datum>, held: Held) {
        match self.entries.entry(key) {
            btree_map::Entry::Vacant(place) => {
                place.insert(held);
            }
            btree_map::Entry::Occupied(mut place) => {
                let merged = merge::joined(&self.value, self.merging, place.get(), &held);
                place.insert(merged);
            }
        }
    }
}

/// The unit that a script prints a map in, where it is always the same.
fn unit(plan: &Plan, wanted: MapId) -> Option<String> {
    let units = plan.events.iter().filter_map(|event| match &event.kind {
        EventKind::PrintMap { map, view, .. } if *map == wanted => view.measure.unit.as_ref(),
        _ => None,
    });
    let mut units: Vec<String> = units.map(ToString::to_string).collect();
    units.dedup();
    <[String; 1]>::try_from(units).ok().map(|[unit]| unit)
}
