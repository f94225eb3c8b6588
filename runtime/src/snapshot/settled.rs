//! Reads states whose words only mean something together, while programs change them.
//!
//! In: the place of a state of a watched map ([`crumbs_compiler::plan::MapPlan::watched`]). Out: its words as they were
//! together at some moment, without the marks of updates.
//!
//! Why that is so: an update adds [`UNDER_WAY`] to word 0 before it changes another word, and its last access makes that into 1,
//! the event counted. So word 0 is different after each beginning and each end, and does not come back to what it was before.
//! Where it is the same at two times and tells of no update under way, no update was under way at any time between; what was
//! read of the other words between is the whole state.
//!
//! An update takes some nanoseconds, so hardly any state is read more than once or twice. One that was preempted in the middle
//! lasts until its program goes on, which waiting for a grace period waits for.

use crate::backend::{Backend, Error, RawEntry};
use crumbs_compiler::aggregation::UNDER_WAY;
use crumbs_compiler::plan::BpfMapId;
use std::collections::HashMap;

/// Readings in a row, before programs under way are waited for.
const READINGS: u32 = 64;
/// How often they are waited for. That so many readings all meet with updates is not to be expected of any machine; the last
/// one then stands, with the events in it that are half done.
const WAITS: u32 = 64;

/// Reads the state at `offset` of the program memory.
pub(super) fn words(backend: &mut dyn Backend, offset: u32, state: &mut [u64]) {
    for reading in 1..=READINGS * WAITS {
        super::load(backend, offset, state);
        let Some(count) = state.first().copied() else {
            return;
        };
        if is_quiet(count) && backend.load(offset) == count {
            return;
        }
        if reading % READINGS == 0 {
            backend.quiesce();
        }
    }
    unmark(state);
}

/// Reads every element of a map of the kernel. What of an element is copied first is not said, so that word 0 is taken from
/// one reading before and one behind.
///
/// # Errors
/// When the map cannot be read.
pub(super) fn elements(backend: &mut dyn Backend, map: BpfMapId) -> Result<Vec<RawEntry>, Error> {
    let before = counts(backend.entries(map)?);
    let mut entries = backend.entries(map)?;
    let after = counts(backend.entries(map)?);
    // An element that was removed meanwhile may be missing.
    let mut removed = Vec::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        let is_whole = |cpu: usize, value: &[u8]| {
            let of = |counts: &HashMap<Vec<u8>, Vec<u64>>| counts.get(&entry.key)?.get(cpu).copied();
            is_between(of(&before), count(value), of(&after))
        };
        let torn: Vec<usize> = entry
            .values
            .iter()
            .enumerate()
            .filter(|(cpu, value)| !is_whole(*cpu, value))
            .map(|(cpu, _)| cpu)
            .collect();
        if !torn.is_empty() && !read_again(backend, map, entry, torn)? {
            removed.push(at);
        }
    }
    for at in removed.into_iter().rev() {
        entries.remove(at);
    }
    Ok(entries)
}

/// Reads an element until the states of these CPUs are whole, and puts them into `entry`. Gives whether it is still there.
fn read_again(
    backend: &mut dyn Backend,
    map: BpfMapId,
    entry: &mut RawEntry,
    mut torn: Vec<usize>,
) -> Result<bool, Error> {
    let mut before = None;
    let mut now: Option<RawEntry> = None;
    for reading in 1..=READINGS * WAITS {
        let Some(after) = backend.element(map, &entry.key)? else {
            return Ok(false);
        };
        if let Some(now) = &now {
            torn.retain(|&cpu| {
                let of = |entry: &Option<RawEntry>| {
                    entry
                        .as_ref()
                        .and_then(|entry| entry.values.get(cpu).map(|value| count(value)))
                };
                let value = now.values.get(cpu).map_or(&[][..], Vec::as_slice);
                let is_whole = is_between(
                    of(&before),
                    count(value),
                    after.values.get(cpu).map(|value| count(value)),
                );
                if is_whole {
                    entry.values[cpu].copy_from_slice(value);
                }
                !is_whole
            });
            if torn.is_empty() {
                return Ok(true);
            }
        }
        before = now.replace(after);
        if reading % READINGS == 0 {
            backend.quiesce();
        }
    }
    for cpu in torn {
        if let Some(word) = entry.values[cpu].first_chunk_mut::<8>() {
            *word = (u64::from_ne_bytes(*word) % UNDER_WAY).to_ne_bytes();
        }
    }
    Ok(true)
}

/// Word 0 of each CPU's state, by key.
fn counts(entries: Vec<RawEntry>) -> HashMap<Vec<u8>, Vec<u64>> {
    let of_entry = |entry: RawEntry| {
        let counts = entry.values.iter().map(|value| count(value)).collect();
        (entry.key, counts)
    };
    entries.into_iter().map(of_entry).collect()
}

fn count(value: &[u8]) -> u64 {
    super::read_word(value)
}

/// Whether no update was under way from a reading before to one behind.
fn is_between(before: Option<u64>, now: u64, after: Option<u64>) -> bool {
    before == Some(now) && after == Some(now) && is_quiet(now)
}

fn is_quiet(count: u64) -> bool {
    count < UNDER_WAY
}

fn unmark(state: &mut [u64]) {
    if let Some(count) = state.first_mut() {
        *count %= UNDER_WAY;
    }
}

#[cfg(test)]
#[path = "settled_tests.rs"]
mod tests;
