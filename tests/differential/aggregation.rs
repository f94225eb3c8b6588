//! What aggregations show, from their mathematical definitions.
//!
//! In: the numbers that were aggregated, in order, and the aggregation with its parameters. Out: what a print shows.
//! Nothing here knows of states, CPUs or merging; the state that a program keeps must come to the same.

use crumbs_compiler::aggregation::{AggType, Bucket, Suffix};
use crumbs_runtime::show::Content;

/// What `numbers`, which have weights, show. No number at all is what `zero` leaves.
pub fn content(ty: &AggType, weighed: &[(i64, u64)]) -> Content {
    let numbers: Vec<i64> = weighed.iter().map(|(number, _)| *number).collect();
    let numbers = numbers.as_slice();
    let count = numbers.len() as u64;
    let all = || numbers.iter().map(|&n| number(ty, n));
    match ty.aggregation().name() {
        "count" => Content::Number(i128::from(count)),
        "sum" => Content::Number(total(ty, numbers)),
        "min" => Content::Number(all().min().unwrap_or(0)),
        "max" => Content::Number(all().max().unwrap_or(0)),
        "avg" => Content::Average(average(ty, numbers)),
        "stats" => Content::Stats {
            count,
            average: average(ty, numbers),
            total: total(ty, numbers),
        },
        "hist" => {
            let bits = ty.params.first().copied().unwrap_or(0) as u32;
            Content::Histogram {
                buckets: histogram(weighed, |n| power_bucket(n, bits)),
                suffix: Some(Suffix::BucketWidth),
            }
        }
        "lhist" => {
            let [min, max, step] = ty.params[..] else {
                panic!("lhist has three parameters, not {:?}", ty.params);
            };
            let (min, max, step) = (i128::from(min), i128::from(max), i128::from(step));
            Content::Histogram {
                buckets: histogram(weighed, |n| linear_bucket(n, min, max, step)),
                suffix: (step % 1024 == 0).then_some(Suffix::Divisor),
            }
        }
        "hist10" => Content::Histogram {
            buckets: histogram(weighed, decimal_bucket),
            suffix: Some(Suffix::PowerOfTen),
        },
        "hist_darshan" => Content::Histogram {
            buckets: histogram(weighed, darshan_bin),
            suffix: Some(Suffix::Greatest),
        },
        "percentiles" => {
            let buckets = histogram(weighed, |n| power_bucket(n, 5));
            Content::Fields(crumbs_compiler::aggregation::quantiles(&buckets))
        }
        "stddev" => {
            let count = numbers.len().max(1) as f64;
            let mean = all().map(|n| n as f64).sum::<f64>() / count;
            let squares: f64 = all().map(|n| (n as f64 - mean).powi(2)).sum();
            Content::Number((squares / count).sqrt() as i128)
        }
        other => panic!("no definition of {other}: add it here"),
    }
}

/// The number that 64 bits stand for.
fn number(ty: &AggType, bits: i64) -> i128 {
    if ty.signed {
        i128::from(bits)
    } else {
        i128::from(bits as u64)
    }
}

/// The sum modulo 2^64.
fn total(ty: &AggType, numbers: &[i64]) -> i128 {
    number(ty, numbers.iter().fold(0, |sum: i64, &n| sum.wrapping_add(n)))
}

/// The average, rounded toward zero.
fn average(ty: &AggType, numbers: &[i64]) -> i128 {
    match numbers.len() as i128 {
        0 => 0,
        count => total(ty, numbers) / count,
    }
}

/// A range of numbers, both ends in it; `None` for "and everything beyond".
type Range = (Option<i128>, Option<i128>);

/// The bucket of `hist(n, bits)` that `n` is in: negative numbers share one; from 2^e to 2^(e+1) there are 2^bits
/// equal ones, or one for each number where there are fewer numbers.
fn power_bucket(n: i128, bits: u32) -> Range {
    if n < 0 {
        return (None, Some(-1));
    }
    let mut exponent = 0;
    while n >> (exponent + 1) > 0 {
        exponent += 1;
    }
    let width = if exponent > bits {
        1 << (exponent - bits)
    } else {
        1
    };
    let min = n / width * width;
    (Some(min), Some(min + width - 1))
}

/// The bucket of `hist10(n)`: all numbers with as many digits.
fn decimal_bucket(n: i128) -> Range {
    match n {
        ..0 => (None, Some(-1)),
        0 => (Some(0), Some(0)),
        _ => {
            let mut power = 1;
            while power * 10 <= n {
                power *= 10;
            }
            (Some(power), Some(power * 10 - 1))
        }
    }
}

/// The bin of Darshan that `n` is in: those that end with 100, 1K, 10K, 100K, 1M, 4M, 10M, 100M and 1G, and the rest.
fn darshan_bin(n: i128) -> Range {
    const K: i128 = 1024;
    let ends = [
        -1,
        100,
        K,
        10 * K,
        100 * K,
        K * K,
        4 * K * K,
        10 * K * K,
        100 * K * K,
        K * K * K,
    ];
    let below = ends.iter().rev().find(|&&end| end < n).map(|end| end + 1);
    (below, ends.into_iter().find(|&end| n <= end))
}

/// The bucket of `lhist(n, min, max, step)` that `n` is in: as many whole steps as fit, one below and one above.
fn linear_bucket(n: i128, min: i128, max: i128, step: i128) -> Range {
    let end = min + (max - min) / step * step;
    if n < min {
        return (None, Some(min - 1));
    }
    if n >= end {
        return (Some(end), None);
    }
    let low = min + (n - min) / step * step;
    (Some(low), Some(low + step - 1))
}

/// The buckets from the one with the least number to the one with the greatest. Numbers are taken as signed.
fn histogram(weighed: &[(i64, u64)], bucket: impl Fn(i128) -> Range) -> Vec<Bucket> {
    let of = |n: i64| bucket(i128::from(n));
    // What weighs nothing leaves no trace.
    let heavy = || weighed.iter().filter(|(_, weight)| *weight != 0).map(|(n, _)| *n);
    let (Some(least), Some(greatest)) = (heavy().min(), heavy().max()) else {
        return Vec::new();
    };
    let last = of(greatest);
    let mut range = of(least);
    let mut buckets = Vec::new();
    loop {
        let (min, max) = range;
        let inside = weighed.iter().filter(|(n, _)| of(*n) == range);
        let count = inside.fold(0u64, |sum, (_, weight)| sum.wrapping_add(*weight));
        buckets.push(Bucket { min, max, count });
        match max {
            Some(max) if range != last => range = bucket(max + 1),
            _ => return buckets,
        }
    }
}

#[test]
fn buckets_by_hand() {
    assert_eq!(power_bucket(5, 0), (Some(4), Some(7)));
    assert_eq!(power_bucket(5, 1), (Some(4), Some(5)));
    assert_eq!(power_bucket(0, 3), (Some(0), Some(0)));
    assert_eq!(power_bucket(1024, 2), (Some(1024), Some(1279)));
    assert_eq!(linear_bucket(25, 0, 100, 10), (Some(20), Some(29)));
    assert_eq!(linear_bucket(95, 0, 99, 10), (Some(90), None));
    assert_eq!(darshan_bin(100), (Some(0), Some(100)));
    assert_eq!(darshan_bin(101), (Some(101), Some(1024)));
    assert_eq!(darshan_bin(-7), (None, Some(-1)));
    assert_eq!(darshan_bin(1 << 40), (Some((1 << 30) + 1), None));
    let shown = histogram(&[(-3, 1), (2, 1)], |n| power_bucket(n, 0));
    let counts: Vec<_> = shown.iter().map(|b| (b.min, b.count)).collect();
    assert_eq!(counts, [(None, 1), (Some(0), 0), (Some(1), 0), (Some(2), 1)]);
}
