//! How a printed map is shown: which of it, divided, in which unit, as which quantiles, or by what it gains in a second.

use std::fmt;

/// How a printed map is shown. By default: all of it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapView {
    /// Only the greatest so many; 0 for all.
    pub top: u32,
    /// What shown values are divided by; 0 and 1 for not.
    pub div: u32,
    /// What the numbers are in, and per second if so.
    pub measure: Measure,
    /// Of a histogram, these in place of its buckets.
    pub quantiles: Vec<Quantile>,
}

/// What numbers are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// The unit, if the script names one.
    pub unit: Option<Unit>,
    /// Whether a number is what its element has gained in a second since it was last looked at.
    pub per_second: bool,
}

/// A unit of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes: shown in KiB, MiB and so on (powers of 1,024) where they are many.
    Bytes,
    /// A time: shown in ns, us, ms or s.
    Time {
        /// Nanoseconds of one.
        nanoseconds: u64,
    },
    /// Anything else: its name stands behind the number.
    Name(String),
}

impl Unit {
    /// The unit of a name: `bytes`; `ns`, `us`, `ms`, `s`; any other stands for itself.
    pub fn of(name: &str) -> Self {
        let time = |nanoseconds| Self::Time { nanoseconds };
        match name {
            "bytes" => Self::Bytes,
            "ns" => time(1),
            "us" => time(1_000),
            "ms" => time(1_000_000),
            "s" => time(1_000_000_000),
            name => Self::Name(name.to_owned()),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Time { nanoseconds: 1 } => "ns",
            Self::Time { nanoseconds: 1_000 } => "us",
            Self::Time {
                nanoseconds: 1_000_000,
            } => "ms",
            Self::Time { .. } => "s",
            Self::Name(name) => name,
        })
    }
}

/// A number that a share of all numbers do not exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// The share, in hundredths of a per cent: 1 to 10,000.
    pub share: u64,
    /// What it is called: `p99.9`.
    pub name: String,
}

impl Quantile {
    /// The quantile of a name: `p` and a percentage above 0 with at most two decimals.
    pub fn of(name: &str) -> Option<Self> {
        let percentage = name.strip_prefix('p')?;
        let (whole, decimals) = percentage.split_once('.').unwrap_or((percentage, "0"));
        let digits = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
            return None;
        }
        let hundredths: u64 = format!("{decimals:0<2}").parse().ok()?;
        let share = whole.parse::<u64>().ok()? * 100 + hundredths;
        (1..=10_000).contains(&share).then(|| Self {
            share,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for MapView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.top, self.div) != (0, 0) {
            write!(f, " top {} div {}", self.top, self.div)?;
        }
        for quantile in &self.quantiles {
            write!(f, " {}", quantile.name)?;
        }
        if let Some(unit) = &self.measure.unit {
            write!(f, " in {unit}")?;
        }
        f.write_str(if self.measure.per_second {
            " per second"
        } else {
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_names() {
        let share = |name| Quantile::of(name).map(|quantile| quantile.share);
        assert_eq!(share("p50"), Some(5_000));
        assert_eq!(share("p99.9"), Some(9_990));
        assert_eq!(share("p0.01"), Some(1));
        assert_eq!(share("p100"), Some(10_000));
        for name in ["p0", "p101", "p", "p1.", "p1.234", "pages", "50", "p+1", "p99.x"] {
            assert_eq!(share(name), None, "{name}");
        }
    }

    #[test]
    fn units_have_names() {
        for name in ["bytes", "ns", "us", "ms", "s", "requests"] {
            assert_eq!(Unit::of(name).to_string(), name);
        }
    }
}
