//! Text of histograms: one line a bucket, `[label)`, count, bar.

use super::measure;
use crumbs_compiler::aggregation::{Bucket, Suffix};
use crumbs_compiler::view::{Measure, Unit};

/// Columns of the label.
const LABEL: usize = 16;
/// Columns of the count.
const COUNT: usize = 8;
/// Columns of the bar.
const BAR: usize = 52;

/// Appends the lines of a histogram, nothing after the last. `suffix`: how bounds are scaled, if they are; a unit scales
/// them in its own way.
pub fn write(buckets: &[Bucket], suffix: Option<Suffix>, measure: &Measure, out: &mut Vec<u8>) {
    let greatest = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let labels: Vec<String> = buckets
        .iter()
        .map(|bucket| match (&measure.unit, suffix) {
            (unit, Some(Suffix::Greatest)) => label_to(bucket, unit.as_ref()),
            (Some(unit), _) => label_in(bucket, unit),
            (None, _) => label(bucket, suffix),
        })
        .collect();
    // bpftrace's columns give way to a long label; with units, which it has not, all lines are as wide as the widest.
    let widest = labels.iter().map(|label| label.len() + 1).max().unwrap_or(0);
    let columns = if measure.unit.is_some() {
        widest.max(LABEL)
    } else {
        LABEL
    };
    for (bucket, label) in buckets.iter().zip(labels) {
        let bar = "@".repeat(bar_length(bucket.count, greatest));
        let line = format!(
            "{label:<columns$}{count:>COUNT$} |{bar:<BAR$}|\n",
            count = bucket.count
        );
        out.extend_from_slice(line.as_bytes());
    }
}

/// The length of a bar, computed in single precision as bpftrace does, so that rounding is the same.
fn bar_length(count: u64, greatest: u64) -> usize {
    if greatest == 0 {
        return 0;
    }
    ((count as f32 / greatest as f32 * BAR as f32) as usize).min(BAR)
}

/// The range of a bucket in a unit.
fn label_in(bucket: &Bucket, unit: &Unit) -> String {
    let bound = |number| bound_in(number, unit);
    match (bucket.min, bucket.max) {
        (None, None) => "(..., ...)".to_owned(),
        (None, Some(max)) => format!("(..., {})", bound(max.saturating_add(1))),
        (Some(min), None) => format!("[{}, ...)", bound(min)),
        (Some(min), Some(max)) if min == max => format!("[{}]", bound(min)),
        (Some(min), Some(max)) => format!("[{}, {})", bound(min), bound(max.saturating_add(1))),
    }
}

/// The range of a bucket whose greatest number is a round one: open below, closed above.
fn label_to(bucket: &Bucket, unit: Option<&Unit>) -> String {
    let bound = |number: i128| match unit {
        Some(unit) => bound_in(number, unit),
        None => ["G", "M", "K"]
            .into_iter()
            .zip([30, 20, 10])
            .find(|(_, shift)| number != 0 && number % (1 << shift) == 0)
            .map_or_else(
                || number.to_string(),
                |(letter, shift)| format!("{}{letter}", number >> shift),
            ),
    };
    match (bucket.min, bucket.max) {
        (None, None) => "(..., ...)".to_owned(),
        (None, Some(max)) => format!("(..., {})", bound(max.saturating_add(1))),
        (Some(min), None) => format!("({}, ...)", bound(min.saturating_sub(1))),
        (Some(0), Some(max)) => format!("[{}, {}]", bound(0), bound(max)),
        (Some(min), Some(max)) => format!("({}, {}]", bound(min.saturating_sub(1)), bound(max)),
    }
}

/// A bound in a unit; of names, which stand behind counts, nothing is said.
fn bound_in(number: i128, unit: &Unit) -> String {
    let measure = Measure {
        unit: (!matches!(unit, Unit::Name(_))).then(|| unit.clone()),
        per_second: false,
    };
    measure::whole(number, &measure).replace(' ', "")
}

/// The range of a bucket: closed where it is one number, else half-open.
fn label(bucket: &Bucket, suffix: Option<Suffix>) -> String {
    match (bucket.min, bucket.max) {
        (None, None) => "(..., ...)".to_owned(),
        (None, Some(max)) => format!("(..., {})", bound(max.saturating_add(1), 1, suffix)),
        (Some(min), None) => format!("[{}, ...)", bound(min, 1, suffix)),
        (Some(min), Some(max)) if min == max => format!("[{min}]"),
        (Some(min), Some(max)) => {
            let end = max.saturating_add(1);
            let width = end.saturating_sub(min).max(1).unsigned_abs();
            // The upper bound begins the next bucket, which is twice as wide where a power of two is crossed.
            let next = if end > 0 && end.unsigned_abs().is_power_of_two() {
                width.saturating_mul(2)
            } else {
                width
            };
            format!("[{}, {})", bound(min, width, suffix), bound(end, next, suffix))
        }
    }
}

/// A bound that begins a bucket `width` wide.
fn bound(value: i128, width: u128, suffix: Option<Suffix>) -> String {
    const K: i128 = 1 << 10;
    const M: i128 = 1 << 20;
    match suffix {
        Some(Suffix::BucketWidth) => {
            let thousands = (width.max(1).ilog2() / 10).min(6);
            let letter = ["", "K", "M", "G", "T", "P", "E"][thousands as usize];
            format!("{}{letter}", value >> (10 * thousands))
        }
        Some(Suffix::PowerOfTen) if value >= 10_000 => format!("1e{}", value.ilog10()),
        Some(Suffix::Divisor) if value != 0 && value % M == 0 => format!("{}M", value / M),
        Some(Suffix::Divisor) if value != 0 && value % K == 0 => format!("{}K", value / K),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(min: impl Into<Option<i128>>, max: impl Into<Option<i128>>, count: u64) -> Bucket {
        Bucket {
            min: min.into(),
            max: max.into(),
            count,
        }
    }

    fn lines(buckets: &[Bucket], suffix: Option<Suffix>) -> Vec<String> {
        let mut out = Vec::new();
        write(buckets, suffix, &Measure::default(), &mut out);
        String::from_utf8(out)
            .expect("labels and bars are ASCII")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn labels(buckets: &[(i128, i128)], suffix: Suffix) -> Vec<String> {
        buckets
            .iter()
            .map(|&(min, max)| label(&bucket(min, max, 1), Some(suffix)))
            .collect()
    }

    #[test]
    fn line_layout() {
        let full = "@".repeat(52);
        let half = format!("{}{}", "@".repeat(26), " ".repeat(26));
        let none = " ".repeat(52);
        assert_eq!(
            lines(
                &[
                    bucket(None, -1, 1),
                    bucket(0, 0, 2),
                    bucket(1, 1, 0),
                    bucket(1024, 2047, 2)
                ],
                Some(Suffix::BucketWidth)
            ),
            [
                format!("(..., 0)               1 |{half}|"),
                format!("[0]                    2 |{full}|"),
                format!("[1]                    0 |{none}|"),
                format!("[1K, 2K)               2 |{full}|"),
            ]
        );
        assert_eq!(
            lines(&[bucket(100, None, 123_456_789_012)], None),
            [format!("[100, ...)      123456789012 |{full}|")]
        );
        assert!(lines(&[], None).is_empty());
        assert_eq!(
            lines(&[bucket(4, 7, 0)], None),
            [format!("[4, 8)                 0 |{none}|")]
        );
    }

    #[test]
    fn suffixes_of_powers_of_two() {
        let at = |power: u32| (1i128 << power, (1i128 << (power + 1)) - 1);
        assert_eq!(
            labels(
                &[at(9), at(10), at(19), at(20), at(30), at(40), at(50), at(62)],
                Suffix::BucketWidth
            ),
            [
                "[512, 1K)",
                "[1K, 2K)",
                "[512K, 1M)",
                "[1M, 2M)",
                "[1G, 2G)",
                "[1T, 2T)",
                "[1P, 2P)",
                "[4E, 8E)"
            ]
        );
    }

    #[test]
    fn suffixes_of_finer_buckets_follow_their_width() {
        assert_eq!(
            labels(
                &[(7, 7), (8, 9), (14, 15), (1024, 1279), (3584, 4095), (4096, 5119)],
                Suffix::BucketWidth
            ),
            [
                "[7]",
                "[8, 10)",
                "[14, 16)",
                "[1024, 1280)",
                "[3584, 4K)",
                "[4K, 5K)"
            ]
        );
    }

    #[test]
    fn suffixes_of_linear_buckets() {
        assert_eq!(
            labels(
                &[(0, 1023), (3072, 4095), (1_047_552, 1_048_575), (100, 1123)],
                Suffix::Divisor
            ),
            ["[0, 1K)", "[3K, 4K)", "[1023K, 1M)", "[100, 1124)"]
        );
    }

    #[test]
    fn ranges_up_to_round_numbers() {
        let ranges = [
            bucket(None, -1, 1),
            bucket(0, 100, 1),
            bucket(101, 1 << 10, 1),
            bucket((10 << 20) + 1, 100 << 20, 1),
            bucket((1 << 30) + 1, None, 1),
        ];
        let shown = |unit: Option<&Unit>| ranges.each_ref().map(|bucket| label_to(bucket, unit));
        assert_eq!(
            shown(None),
            ["(..., 0)", "[0, 100]", "(100, 1K]", "(10M, 100M]", "(1G, ...)"]
        );
        assert_eq!(
            shown(Some(&Unit::Bytes))[1..4],
            ["[0B, 100B]", "(100B, 1.00KiB]", "(10.0MiB, 100MiB]"]
        );
    }

    #[test]
    fn extremes_do_not_overflow() {
        let widest = [
            bucket(i128::MIN, i128::MAX, u64::MAX),
            bucket(None, i128::MAX, 1),
            bucket(None, None, 1),
        ];
        assert_eq!(lines(&widest, Some(Suffix::BucketWidth)).len(), 3);
        let range = bucket(i128::from(i64::MIN), i128::from(i64::MAX), 3);
        assert_eq!(label(&range, None), "[-9223372036854775808, 9223372036854775808)");
    }
}
