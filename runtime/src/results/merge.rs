//! Joining the results of several runs.
//!
//! Aggregations are joined as the states of several CPUs are; numbers that the script only adds to are added; all else must be
//! the same in every run that has it, and is a [`Held::Conflict`] where it is not, whatever else is joined with it. Each of
//! these is associative and commutative.

use super::datum::Datum;
use super::saved_type::SavedType;
use super::{Held, Results, Run, SavedMap, ValueType};
use crumbs_compiler::merging::Merging;
use std::collections::btree_map::Entry;

/// Why two results cannot be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What they differ in.
    pub reason: String,
    /// The way out.
    pub help: &'static str,
}

impl Refusal {
    fn new(reason: impl Into<String>, help: &'static str) -> Self {
        Self {
            reason: reason.into(),
            help,
        }
    }
}

const SAME_SCRIPT: &str =
    "join results of one script, run with the same parameters by the same crumbs on every node";

impl Results {
    /// Adds the results of other runs.
    ///
    /// # Errors
    /// When they are of another script, or of runs that are in these results already. Then nothing is changed.
    pub fn merge(&mut self, other: Self) -> Result<(), Refusal> {
        self.must_fit(&other)?;
        if other.script.name < self.script.name {
            self.script.name = other.script.name;
        }
        self.runs.extend(other.runs);
        self.runs.sort();
        for (lost, total) in other.losses {
            let sum = self.losses.entry(lost).or_default();
            *sum = sum.saturating_add(total);
        }
        for (name, map) in other.maps {
            match self.maps.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(map);
                }
                Entry::Occupied(place) => {
                    let into = place.into_mut();
                    map.entries
                        .into_iter()
                        .for_each(|(key, held)| into.add(key, held));
                }
            }
        }
        Ok(())
    }

    fn must_fit(&self, other: &Self) -> Result<(), Refusal> {
        let (ours, theirs) = (&self.script, &other.script);
        if self.crumbs != other.crumbs {
            let reason = format!(
                "they are of different versions of crumbs, {} and {}",
                self.crumbs, other.crumbs
            );
            return Err(Refusal::new(reason, SAME_SCRIPT));
        }
        if ours.text != theirs.text || ours.imports != theirs.imports {
            let reason = format!(
                "they are of different scripts ({}, {:016x}, and {}, {:016x})",
                ours.name,
                ours.hash(),
                theirs.name,
                theirs.hash()
            );
            return Err(Refusal::new(reason, SAME_SCRIPT));
        }
        if ours.params != theirs.params || ours.named != theirs.named {
            return Err(Refusal::new("the script had different parameters", SAME_SCRIPT));
        }
        if ours.config != theirs.config {
            let reason = "config variables of the environment or the command line differ";
            return Err(Refusal::new(reason, SAME_SCRIPT));
        }
        let identity = |run: &Run| (run.host.clone(), run.pid, run.start);
        let mut runs = self.runs.iter().map(identity);
        if let Some((host, pid, _)) = runs.find(|run| other.runs.iter().any(|other| identity(other) == *run))
        {
            let reason = format!("both hold the run of process {pid} on {host}");
            return Err(Refusal::new(reason, "give each run once"));
        }
        for (name, map) in &self.maps {
            if let Some(other) = other.maps.get(name) {
                map.must_fit(other)
                    .map_err(|what| Refusal::new(format!("@{name} has different {what}"), SAME_SCRIPT))?;
            }
        }
        Ok(())
    }
}

impl SavedMap {
    fn must_fit(&self, other: &Self) -> Result<(), &'static str> {
        if self.key != other.key {
            return Err("keys");
        }
        if self.value != other.value || self.merging != other.merging {
            return Err(match (&self.value, &other.value) {
                (ValueType::Aggregation(a), ValueType::Aggregation(b)) if a.id == b.id => {
                    "parameters of its aggregation"
                }
                _ => "values",
            });
        }
        if self.unit != other.unit {
            return Err("units");
        }
        Ok(())
    }
}

/// What two elements of one key are together.
pub(super) fn joined(ty: &ValueType, merging: Merging, a: &Held, b: &Held) -> Held {
    match (ty, a, b) {
        (ValueType::Aggregation(ty), Held::State(a), Held::State(b)) => {
            let aggregation = ty.aggregation();
            let mut into = vec![0; aggregation.words(ty) as usize];
            // What is held has been checked when it was read.
            for saved in [a, b] {
                if let Some(words) = aggregation.restore(ty, saved) {
                    aggregation.merge(ty, &mut into, &words);
                }
            }
            Held::State(aggregation.save(ty, &into))
        }
        (ValueType::Plain(SavedType::Int(int)), Held::Value(Datum::Int(a)), Held::Value(Datum::Int(b)))
            if merging == Merging::Add =>
        {
            let sum = int.wrap((*a as i64).wrapping_add(*b as i64));
            Held::Value(Datum::Int(match int.signed {
                true => i128::from(sum),
                false => i128::from(sum.cast_unsigned()),
            }))
        }
        (_, Held::Value(a), Held::Value(b)) if a == b => Held::Value(a.clone()),
        _ => Held::Conflict,
    }
}
