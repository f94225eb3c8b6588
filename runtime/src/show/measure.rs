//! Numbers with their units.

use crumbs_compiler::view::{Measure, Unit};

/// Parts of one that numbers are kept in where they need not be whole.
pub const PARTS: i128 = 1_000;

/// A whole number in its measure: `1.50 KiB`, `12.3 ms`, `5 requests`.
pub fn whole(number: i128, measure: &Measure) -> String {
    match measure.unit {
        None if !measure.per_second => number.to_string(),
        _ => parts(number.saturating_mul(PARTS), measure),
    }
}

/// The same for a number of [`PARTS`] of one.
pub fn parts(number: i128, measure: &Measure) -> String {
    let text = match &measure.unit {
        None => plain(number),
        Some(Unit::Bytes) => scaled(number, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
        Some(Unit::Time { nanoseconds }) => scaled(
            number.saturating_mul(i128::from(*nanoseconds)),
            1000,
            &["ns", "us", "ms", "s"],
        ),
        Some(Unit::Name(name)) => format!("{} {name}", plain(number)),
    };
    format!("{text}{}", if measure.per_second { "/s" } else { "" })
}

/// A number of [`PARTS`] of one with as many decimals as it has.
pub fn decimal(number: i128) -> String {
    let text = decimals(number, PARTS, 3);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// With one decimal, unless it is whole.
fn plain(number: i128) -> String {
    if number % PARTS == 0 {
        (number / PARTS).to_string()
    } else {
        decimals(number, PARTS, 1)
    }
}

/// In the greatest unit that it has one of, with three digits.
fn scaled(number: i128, step: i128, units: &[&str]) -> String {
    let mut one = PARTS;
    let mut units = units.iter().peekable();
    while let Some(unit) = units.next() {
        // What rounds up to the next unit is shown in that.
        let is_less = number.saturating_abs().saturating_mul(2) < (2 * step - 1) * one;
        if units.peek().is_some() && !is_less {
            one *= step;
            continue;
        }
        let whole = number.saturating_abs() / one;
        let places = match whole {
            _ if number % one == 0 && one == PARTS => 0,
            0..10 => 2,
            10..100 => 1,
            _ => 0,
        };
        return format!("{} {unit}", decimals(number, one, places));
    }
    plain(number)
}

/// `number / one` with so many decimals, rounded to the nearest.
fn decimals(number: i128, one: i128, places: u32) -> String {
    let shift = 10i128.pow(places);
    let rounded = (number.saturating_abs().saturating_mul(shift).saturating_mul(2) + one) / (2 * one);
    let sign = if number < 0 && rounded != 0 { "-" } else { "" };
    let (whole, rest) = (rounded / shift, rounded % shift);
    match places {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0places$}", places = places as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: i128, unit: &str) -> String {
        let measure = Measure {
            unit: Some(Unit::of(unit)),
            per_second: false,
        };
        whole(number, &measure)
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(shown(0, "bytes"), "0 B");
        assert_eq!(shown(1023, "bytes"), "1023 B");
        assert_eq!(shown(1024, "bytes"), "1.00 KiB");
        assert_eq!(shown(-1536, "bytes"), "-1.50 KiB");
        assert_eq!(shown(12_595, "bytes"), "12.3 KiB");
        assert_eq!(shown(1_048_575, "bytes"), "1.00 MiB");
        assert_eq!(shown(i128::from(u64::MAX), "bytes"), "16.0 EiB");
        assert_eq!(shown(999, "ns"), "999 ns");
        assert_eq!(shown(1_500, "us"), "1.50 ms");
        assert_eq!(shown(86_400, "s"), "86400 s");
        assert_eq!(shown(7, "requests"), "7 requests");
        assert_eq!(whole(-7, &Measure::default()), "-7");
    }

    #[test]
    fn rates_have_decimals_where_they_are_small() {
        let rate = |number, unit: Option<&str>| {
            let measure = Measure {
                unit: unit.map(Unit::of),
                per_second: true,
            };
            parts(number, &measure)
        };
        assert_eq!(rate(1_500, None), "1.5/s");
        assert_eq!(rate(2_000, None), "2/s");
        assert_eq!(rate(-20, None), "0.0/s");
        assert_eq!(rate(1_536_000, Some("bytes")), "1.50 KiB/s");
        assert_eq!(rate(500, Some("bytes")), "0.50 B/s");
        assert_eq!([1_500, 2_000, -20, 0].map(decimal), ["1.5", "2", "-0.02", "0"]);
    }
}
