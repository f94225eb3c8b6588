//! `percentiles`: the numbers that so many per cent of all do not exceed.

use super::hist::Hist;
use super::{AggType, Aggregation, Bucket, Shown, Signature, UpdateCx};
use crate::ir::Value;

/// `percentiles(n)`: quantiles from a histogram with 32 buckets for each power of two. What is shown is the greatest number
/// of the bucket that a quantile falls into: never below the true quantile, and at most 1/32 above it. Negative numbers
/// are one bucket, shown as -1.
///
/// State: that of `hist(n, 5)`.
#[derive(Debug)]
pub(super) struct Percentiles;

/// Which, in hundredths of a per cent, and what they are called.
const SHOWN: [(u64, &str); 5] = [
    (5_000, "p50"),
    (9_000, "p90"),
    (9_500, "p95"),
    (9_900, "p99"),
    (9_990, "p99.9"),
];

/// What the number of numbers is called. It has no unit.
pub const COUNT: &str = "count";

fn histogram(ty: &AggType) -> AggType {
    AggType {
        params: vec![5],
        ..ty.clone()
    }
}

/// The greatest number of the bucket that the number of this rank, counted from 1, is in.
fn at_rank(buckets: &[Bucket], rank: u64) -> i128 {
    let mut seen = 0;
    let holds = |bucket: &&Bucket| {
        seen += bucket.count;
        seen >= rank
    };
    let bucket = buckets.iter().find(holds).or(buckets.last());
    bucket.and_then(|bucket| bucket.max.or(bucket.min)).unwrap_or(0)
}

/// The greatest number of the bucket that the number which a share of all do not exceed is in; the share in hundredths of a
/// per cent. Of a bucket without end its least number. 0 where there are no numbers.
pub fn at_share(buckets: &[Bucket], share: u64) -> i128 {
    let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let rank = (u128::from(count) * u128::from(share)).div_ceil(10_000) as u64;
    at_rank(buckets, rank.max(1))
}

/// What is shown of a histogram: how many numbers, the quantiles, and the greatest.
pub fn quantiles(buckets: &[Bucket]) -> Vec<(String, i128)> {
    let count: u64 = buckets.iter().map(|bucket| bucket.count).sum();
    let mut fields = vec![(COUNT.to_owned(), i128::from(count))];
    fields.extend(SHOWN.map(|(share, name)| (name.to_owned(), at_share(buckets, share))));
    fields.push(("max".to_owned(), at_rank(buckets, count.max(1))));
    fields
}

impl Aggregation for Percentiles {
    fn name(&self) -> &'static str {
        "percentiles"
    }
    fn doc(&self) -> &'static str {
        "the numbers that 50, 90, 95, 99 and 99.9 per cent of all do not exceed, at most 1/32 too great"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @ = percentiles(rand); }"
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            ..Signature::default()
        }
    }
    fn words(&self, ty: &AggType) -> u32 {
        Hist.words(&histogram(ty))
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        Hist.lower(&histogram(ty), cx, value);
    }
    fn bounds(&self, ty: &AggType, word: usize) -> (Option<i128>, Option<i128>) {
        Hist.bounds(&histogram(ty), word)
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        match Hist.show(&histogram(ty), state) {
            Shown::Hist { buckets, .. } => Shown::Fields(quantiles(&buckets)),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_from_the_least() {
        let bucket = |min: i128, max: i128, count| Bucket {
            min: Some(min),
            max: Some(max),
            count,
        };
        let fields = quantiles(&[bucket(1, 1, 90), bucket(2, 3, 9), bucket(100, 103, 1)]);
        assert_eq!(
            fields,
            [
                ("count", 100),
                ("p50", 1),
                ("p90", 1),
                ("p95", 3),
                ("p99", 3),
                ("p99.9", 103),
                ("max", 103)
            ]
            .map(|(name, number)| (name.to_owned(), number))
        );
        assert_eq!(quantiles(&[])[1].1, 0);
    }
}
