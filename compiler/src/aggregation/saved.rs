//! Merged states in terms that outlive the run: numbers with names, buckets with bounds, intervals of a series.
//!
//! In: the words of a state. Out: [`Saved`], and the words again. What a state of a later version means by a word may
//! change; what these say does not. Nothing is lost on the way there and back but that a state which no event touched is
//! all zeros.

use super::{AggType, Bucket};

/// All that is needed of a merged state to merge it with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Numbers with names; none of a state that shows a number and has seen none.
    Fields(Vec<(&'static str, i128)>),
    /// The buckets that are not empty, ascending.
    Buckets(Vec<Bucket>),
    /// The intervals of a series that have a number, ascending.
    Intervals(Vec<Interval>),
}

/// An interval of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Its number, counted from the beginning of the TAI clock.
    pub number: u64,
    /// The last number, the sum, the least or the greatest; of an average the sum.
    pub value: i128,
    /// Of the last number its time, in nanoseconds of the TAI clock; of an average how many numbers; else 0.
    pub more: u64,
}

impl Saved {
    /// These fields where the state has seen a number.
    pub(super) fn fields_if(touched: bool, fields: Vec<(&'static str, i128)>) -> Self {
        Self::Fields(if touched { fields } else { Vec::new() })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Fields(fields) => fields.is_empty(),
            Self::Buckets(buckets) => buckets.is_empty(),
            Self::Intervals(intervals) => intervals.is_empty(),
        }
    }

    /// The fields of these names; `None` where one is missing.
    pub(super) fn numbers<const N: usize>(&self, names: [&str; N]) -> Option<[i128; N]> {
        let Self::Fields(fields) = self else {
            return None;
        };
        let mut numbers = [0; N];
        for (number, wanted) in numbers.iter_mut().zip(names) {
            *number = fields.iter().find(|(name, _)| *name == wanted)?.1;
        }
        Some(numbers)
    }
}

/// The 64 bits of a number of the aggregation's signedness; `None` where it does not fit.
pub(super) fn word_of(ty: &AggType, number: i128) -> Option<u64> {
    match ty.signed {
        true => i64::try_from(number).ok().map(i64::cast_unsigned),
        false => u64::try_from(number).ok(),
    }
}

/// The words of a state as buckets.
pub(super) fn buckets(state: &[u64], bounds: impl Fn(usize) -> (Option<i128>, Option<i128>)) -> Saved {
    let words = state.iter().enumerate().filter(|(_, count)| **count != 0);
    let buckets = words.map(|(word, &count)| {
        let (min, max) = bounds(word);
        Bucket { min, max, count }
    });
    Saved::Buckets(buckets.collect())
}

/// The words of a state that has these buckets. Words are in the order of their bounds.
pub(super) fn from_buckets(
    saved: &Saved,
    words: u32,
    bounds: impl Fn(usize) -> (Option<i128>, Option<i128>),
) -> Option<Vec<u64>> {
    let Saved::Buckets(buckets) = saved else {
        return None;
    };
    let mut state = vec![0; words as usize];
    for bucket in buckets {
        let (mut from, mut to) = (0, state.len());
        while from < to {
            let middle = from.midpoint(to);
            // Below everything is what has no least number.
            if bounds(middle).0 < bucket.min {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        if from == state.len() || bounds(from) != (bucket.min, bucket.max) || state[from] != 0 {
            return None;
        }
        state[from] = bucket.count;
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::super::{ALL, AggId, AggType, by_name};
    use super::*;

    fn types() -> Vec<AggType> {
        let named = |name: &str, params: &[i64]| {
            [true, false].map(|signed| AggType {
                id: by_name(name).unwrap(),
                signed,
                params: params.to_vec(),
            })
        };
        let mut all: Vec<AggType> = [
            "count",
            "sum",
            "min",
            "max",
            "avg",
            "stats",
            "stddev",
            "hist10",
            "hist_darshan",
            "percentiles",
        ]
        .iter()
        .flat_map(|name| named(name, &[]))
        .collect();
        all.extend((0..=5).flat_map(|k| named("hist", &[k])));
        all.extend(named("lhist", &[-10, 1000, 7]));
        all.extend((0..5).flat_map(|by| named("tseries", &[1000, 3, by])));
        all
    }

    #[test]
    fn every_aggregation_is_tried() {
        let tried = types();
        for id in 0..ALL.len() as u16 {
            assert!(
                tried.iter().any(|ty| ty.id == AggId(id)),
                "{}",
                ALL[usize::from(id)].name()
            );
        }
    }

    #[test]
    fn states_come_back() {
        for ty in types() {
            let aggregation = ty.aggregation();
            let words = aggregation.words(&ty) as usize;
            let mut seed = 12345u64;
            let mut next = || {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                seed >> 16
            };
            for round in 0..200 {
                let mut state: Vec<u64> = (0..words)
                    .map(|_| if next() % 3 == 0 { next() } else { 0 })
                    .collect();
                match aggregation.name() {
                    "sum" => state[1] = 1,
                    "min" | "max" => state[1] = u64::from(state[0] == 0),
                    "tseries" => {
                        for (slot, words) in state.chunks_exact_mut(4).enumerate() {
                            words[0] = 2 * (slot as u64 + 3 * (round + 1)) + 2;
                            words[3] = 0;
                        }
                    }
                    _ => {}
                }
                let saved = aggregation.save(&ty, &state);
                assert_eq!(
                    aggregation.restore(&ty, &saved).as_ref(),
                    Some(&state),
                    "{} {saved:?}",
                    ty
                );
            }
            let zeros = vec![0; words];
            let saved = aggregation.save(&ty, &zeros);
            assert_eq!(
                aggregation.restore(&ty, &saved),
                Some(zeros),
                "{}",
                aggregation.name()
            );
        }
    }

    #[test]
    fn what_no_state_is_saved_as_is_refused() {
        let bucket = |min, max| Saved::Buckets(vec![Bucket { min, max, count: 1 }]);
        for ty in types() {
            let aggregation = ty.aggregation();
            for wrong in [
                bucket(Some(-5), Some(-4)),
                bucket(Some(1), Some(1 << 100)),
                bucket(None, None),
                Saved::Fields(vec![("count", -1), ("sum", 1 << 70)]),
                Saved::Fields(vec![("sum", 1 << 70), ("min", 1 << 70), ("max", -(1 << 70))]),
                Saved::Intervals(vec![Interval {
                    number: u64::MAX,
                    value: 0,
                    more: 0,
                }]),
            ] {
                assert_eq!(
                    aggregation.restore(&ty, &wrong),
                    None,
                    "{} {wrong:?}",
                    aggregation.name()
                );
            }
        }
        let twice = Bucket {
            min: Some(4),
            max: Some(7),
            count: 1,
        };
        let ty = AggType {
            id: by_name("hist").unwrap(),
            signed: true,
            params: vec![0],
        };
        assert_eq!(
            ty.aggregation().restore(&ty, &Saved::Buckets(vec![twice, twice])),
            None
        );
    }
}
