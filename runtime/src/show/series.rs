//! Series of numbers over time: the window that all series of a map share, and their chart.

use super::{Content, Entry, measure};
use crate::sys_time;
use crumbs_compiler::view::Measure;
use std::fmt::Write;

/// What a number did in the last intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Nanoseconds of an interval.
    pub interval: u64,
    /// How many intervals there are at most.
    pub reach: u64,
    /// Whether the numbers are signed.
    pub signed: bool,
    /// Number of the interval, counted from the beginning of the TAI clock, and what the number was in it, if there was
    /// one; ascending, and once in the shared window without gaps.
    pub points: Vec<(u64, Option<i128>)>,
}

/// Brings every series to the window that ends with the last interval of any of them: what is older falls out, and
/// intervals without a number are filled in from a series' first number on.
pub(super) fn share_window(entries: &mut [Entry]) {
    let all = entries.iter().filter_map(|entry| match &entry.value {
        Content::Series(series) => series.points.last(),
        _ => None,
    });
    let Some(last) = all.map(|(interval, _)| *interval).max() else {
        return;
    };
    for entry in entries {
        if let Content::Series(series) = &mut entry.value {
            series.fill_up_to(last);
        }
    }
}

impl Series {
    fn fill_up_to(&mut self, last: u64) {
        let first = last.saturating_sub(self.reach - 1);
        self.points.retain(|(interval, _)| *interval >= first);
        let Some((first, _)) = self.points.first() else {
            return;
        };
        let mut known = self.points.iter().copied().peekable();
        let filled = (*first..=last).map(|interval| {
            let here = known.next_if(|(at, _)| *at == interval);
            (interval, here.and_then(|(_, number)| number))
        });
        self.points = filled.collect();
    }

    /// When an interval began, in local time by a strftime format, with so many digits of the second's fraction.
    pub fn begin(&self, interval: u64, format: &str, digits: usize) -> String {
        let (mut text, nanos) = sys_time::tai_at(format, interval.saturating_mul(self.interval));
        if digits > 0 {
            text.push('.');
            text.push_str(&format!("{nanos:09}")[..digits.min(9)]);
        }
        text
    }
}

/// Columns of the chart, its borders included.
const WIDTH: usize = 53;
/// Columns of the least number above and below the chart.
const LEAST_WIDTH: usize = 21;

/// Appends the chart of a series: a line for each interval with a mark where its number is between the least and the
/// greatest, a dotted line at zero where that is between them, and the number.
pub fn write(series: &Series, measure: &Measure, out: &mut Vec<u8>) {
    let Some((least, greatest)) = bounds(series) else {
        out.extend_from_slice(b"<no data>");
        return;
    };
    // One point alone has nothing to tell its resolution by.
    let resolution = if series.points.len() > 1 {
        series.interval
    } else {
        1
    };
    let (unit, digits) = match resolution {
        ns if ns % 1_000_000_000 == 0 => ("", 0),
        ns if ns % 1_000_000 == 0 => (".ms", 3),
        ns if ns % 1_000 == 0 => (".us", 6),
        _ => (".ns", 9),
    };
    let clock = "hh:mm:ss".len() + if digits == 0 { 0 } else { 1 + digits };
    let [left, right] = [least, greatest].map(|number| measure::whole(number, measure));
    let scale = format!(
        "{:clock$} {left:<LEAST_WIDTH$}{right:>greatest_width$}",
        "",
        greatest_width = WIDTH - LEAST_WIDTH
    );
    let edge = "_".repeat(WIDTH - 2);
    let zero = (least < 0 && greatest > 0).then(|| column(WIDTH, least, greatest, 0));
    let mut text = format!("{scale}\n{:clock$} |{edge}|\n", format!("hh:mm:ss{unit}"));
    for &(interval, number) in &series.points {
        let mut line = [b' '; WIDTH];
        (line[0], line[WIDTH - 1]) = (b'|', b'|');
        if let Some(zero) = zero {
            line[zero] = b'.';
        }
        if let Some(number) = number {
            line[column(WIDTH - 1, least, greatest, number)] = b'*';
        }
        let time = series.begin(interval, "%H:%M:%S", digits);
        let line = String::from_utf8_lossy(&line);
        let number = number.map_or_else(|| "-".to_owned(), |number| measure::whole(number, measure));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{time} {line} {number}");
    }
    let _ = writeln!(text, "{:clock$} v{edge}v\n{scale}", "");
    out.extend_from_slice(text.as_bytes());
}

/// What the left and the right border stand for. A constant is put between the two numbers next to it, as far as there are
/// such numbers.
fn bounds(series: &Series) -> Option<(i128, i128)> {
    let numbers = || series.points.iter().filter_map(|(_, number)| *number);
    let (least, greatest) = (numbers().min()?, numbers().max()?);
    if least < greatest {
        return Some((least, greatest));
    }
    let (lowest, highest) = if series.signed {
        (i128::from(i64::MIN), i128::from(i64::MAX))
    } else {
        (0, i128::from(u64::MAX))
    };
    Some(((least - 1).max(lowest), (greatest + 1).min(highest)))
}

/// The column of a number where `width` columns are from the least to the greatest, in single precision as bpftrace
/// computes it, so that rounding is the same.
fn column(width: usize, least: i128, greatest: i128, number: i128) -> usize {
    let column = width as f32 * (number - least) as f32 / (greatest - least) as f32;
    (column as usize).min(WIDTH - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(u64, Option<i128>)]) -> Series {
        Series {
            interval: 100_000_000,
            reach: 4,
            signed: true,
            points: points.to_vec(),
        }
    }

    #[test]
    fn window_is_shared() {
        let entry = |points: &[(u64, Option<i128>)]| Entry {
            key: None,
            value: Content::Series(series(points)),
        };
        let mut entries = [
            entry(&[(10, Some(1)), (12, Some(2)), (13, Some(3))]),
            entry(&[(14, Some(4)), (16, Some(5))]),
            entry(&[(11, Some(6))]),
        ];
        share_window(&mut entries);
        let points = entries.map(|entry| match entry.value {
            Content::Series(series) => series.points,
            other => panic!("{other:?}"),
        });
        assert_eq!(points[0], [(13, Some(3)), (14, None), (15, None), (16, None)]);
        assert_eq!(points[1], [(14, Some(4)), (15, None), (16, Some(5))]);
        assert_eq!(points[2], []);
    }

    fn chart(series: &Series) -> Vec<String> {
        let mut out = Vec::new();
        write(series, &Measure::default(), &mut out);
        let text = String::from_utf8(out).expect("it is ASCII");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn charts() {
        let lines = chart(&series(&[
            (10, Some(-5)),
            (11, Some(0)),
            (12, None),
            (13, Some(5)),
        ]));
        assert_eq!(lines[0], format!("{:13}-5{}5", "", " ".repeat(50)));
        assert_eq!(lines[1], format!("hh:mm:ss.ms  |{}|", "_".repeat(51)));
        // No zone's offset has a fraction of a second.
        assert_eq!(lines[2][8..], format!(".000 *{:25}.{:25}| -5", "", ""));
        assert_eq!(lines[3][8..], format!(".100 |{:25}*{:25}| 0", "", ""));
        assert_eq!(lines[4][8..], format!(".200 |{:25}.{:25}| -", "", ""));
        assert_eq!(lines[5][8..], format!(".300 |{:25}.{:25}* 5", "", ""));
        assert_eq!(lines[6], format!("{:13}v{}v", "", "_".repeat(51)));
        assert_eq!(lines[7], lines[0]);
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn one_point_is_in_the_middle() {
        let lines = chart(&series(&[(10, Some(7))]));
        assert_eq!(lines[0], format!("{:19}6{:51}8", "", ""));
        assert!(lines[1].starts_with("hh:mm:ss.ns        |"));
        assert_eq!(lines[2][8..], format!(".000000000 |{:25}*{:25}| 7", "", ""));
        assert_eq!(chart(&series(&[])), ["<no data>"]);
    }
}
