//! What maps gain in a second: what they held when their rate was last shown, and when that was.

use crate::show::measure::PARTS;
use crate::show::{Content, Entry};
use crumbs_compiler::plan::MapId;
use std::collections::HashMap;

/// The state of every map that a rate is shown of.
#[derive(Debug)]
pub(super) struct Rates {
    /// When probes began to count, nanoseconds.
    start: u64,
    last: HashMap<MapId, Last>,
}

#[derive(Debug, Default)]
struct Last {
    at: u64,
    /// By the text of the key.
    numbers: HashMap<Vec<u8>, i128>,
}

impl Rates {
    pub(super) fn new(start: u64) -> Self {
        Self {
            start,
            last: HashMap::new(),
        }
    }

    /// The map is empty now, or holds zeros.
    pub(super) fn restart(&mut self, map: MapId) {
        if let Some(last) = self.last.get_mut(&map) {
            last.numbers.clear();
        }
    }

    /// Replaces the numbers of a map, read at `now`, by what they gained in a second since the last time. What is less than
    /// it was has been deleted in between, and begun at 0 again.
    pub(super) fn replace(&mut self, map: MapId, entries: &mut [Entry], now: u64) {
        let start = self.start;
        let last = self.last.entry(map).or_insert_with(|| Last {
            at: start,
            numbers: HashMap::new(),
        });
        let elapsed = i128::from(now.saturating_sub(last.at).max(1));
        let before = std::mem::take(&mut last.numbers);
        last.at = now;
        for entry in entries {
            let number = match &entry.value {
                Content::Number(number) => *number,
                Content::Value(value) => match value.number() {
                    Some(number) => number,
                    None => continue,
                },
                _ => continue,
            };
            let mut key = Vec::new();
            if let Some(value) = &entry.key {
                value.write_key(&mut key);
            }
            let had = before.get(&key).copied().filter(|had| (0..=number).contains(had));
            let gained = number - had.unwrap_or(0);
            entry.value = Content::Parts(gained.saturating_mul(1_000_000_000 * PARTS) / elapsed);
            last.numbers.insert(key, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn gains_are_of_a_second() {
        let mut rates = Rates::new(1_000_000_000);
        let mut shown = |numbers: &[i128], now: u64| {
            let mut entries: Vec<Entry> = numbers
                .iter()
                .enumerate()
                .map(|(key, &number)| Entry {
                    key: Some(Value::Int(key as i64)),
                    value: Content::Number(number),
                })
                .collect();
            rates.replace(MapId(0), &mut entries, now);
            let parts = entries.iter().map(|entry| match entry.value {
                Content::Parts(parts) => parts,
                _ => panic!("no rate"),
            });
            parts.collect::<Vec<_>>()
        };
        assert_eq!(shown(&[10], 3_000_000_000), [5_000]);
        assert_eq!(shown(&[13, 4], 5_000_000_000), [1_500, 2_000]);
        // The first was deleted.
        assert_eq!(shown(&[2, 4], 5_500_000_000), [4_000, 0]);
        rates.restart(MapId(0));
        let mut entries = [Entry {
            key: Some(Value::Int(0)),
            value: Content::Number(9),
        }];
        rates.replace(MapId(0), &mut entries, 6_500_000_000);
        assert_eq!(entries[0].value, Content::Parts(9_000));
    }
}
