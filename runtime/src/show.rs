//! What a run shows, as meanings: a map, a value, formatted text, a loss. How each looks is the [`Output`]'s.
//!
//! The session hands over contents in the order to show them, already merged, sorted, cut to the top and divided, so
//! that formats differ in nothing but form.

mod decimal;
pub mod gfp_flags;
mod histogram;
pub mod json;
pub mod measure;
pub mod printf;
pub mod screen;
pub mod series;
pub mod table;
pub mod text;
pub mod trace;

use crate::value::Value;
use crumbs_compiler::aggregation::{Bucket, COUNT, Presentation, Shown, Suffix, at_share};
use crumbs_compiler::plan::{HelperFailure, MacroUse, MessageLevel};
use crumbs_compiler::view::{MapView, Measure, Quantile};
use std::cmp::Ordering;
use std::io;
use table::Table;

/// Receives what a run shows. Standard output and standard error are one receiver because formats differ in what
/// goes where: JSON has lost events among its records.
pub trait Output {
    /// That many probes are attached.
    ///
    /// # Errors
    /// When it cannot be written; so for every method.
    fn attached(&mut self, probes: usize) -> io::Result<()>;
    /// Whether a terminal shows the results, which obeys control characters: texts of others are to be [`screen::guarded`].
    fn is_on_screen(&self) -> bool {
        false
    }
    /// `print(value)`.
    fn value(&mut self, value: &Value) -> io::Result<()>;
    /// A map with its sigil, in the order to show it, and what its numbers are in.
    fn map(&mut self, name: &str, entries: &[Entry], measure: &Measure) -> io::Result<()>;
    /// Maps side by side, in the order to show them.
    fn table(&mut self, table: &Table) -> io::Result<()>;
    /// `printf`: its filled format.
    fn printf(&mut self, text: &[u8]) -> io::Result<()>;
    /// `errorf`, `warnf`: the place of the call and the filled format.
    fn message(&mut self, level: MessageLevel, place: &str, text: &[u8]) -> io::Result<()>;
    /// A helper of the kernel failed.
    fn helper_failed(&mut self, failure: &HelperFailure) -> io::Result<()>;
    /// `time`: the formatted time.
    fn time(&mut self, text: &[u8]) -> io::Result<()>;
    /// `cat`: the contents of a file.
    fn cat(&mut self, text: &[u8]) -> io::Result<()>;
    /// `system`: what a command printed.
    fn command(&mut self, text: &[u8]) -> io::Result<()>;
    /// `join`: the strings with what is between them.
    fn join(&mut self, text: &[u8]) -> io::Result<()>;
    /// That many events were lost since this was last said.
    fn lost_events(&mut self, count: u64) -> io::Result<()>;
    /// Something the user should know of, one sentence or two, without a final newline.
    fn warning(&mut self, text: &str) -> io::Result<()>;
    /// Something that the script asked for and that could not be done, as [`Output::warning`].
    fn error(&mut self, text: &str) -> io::Result<()>;
    /// The probes are gone; the maps follow.
    fn end(&mut self) -> io::Result<()>;
    /// Everything so far must be visible now: the run is about to wait.
    fn flush(&mut self) -> io::Result<()>;
}

/// Writes a script's message as bpftrace does, text and JSON alike: `stdin:1:9-20: ERROR: text`.
fn write_message(out: &mut dyn io::Write, level: MessageLevel, place: &str, text: &[u8]) -> io::Result<()> {
    let level = match level {
        MessageLevel::Error => "ERROR",
        MessageLevel::Warning => "WARNING",
    };
    let mut line = format!("{place}: {level}: ").into_bytes();
    line.extend_from_slice(text);
    line.push(b'\n');
    out.write_all(&line)
}

/// Writes a script's message, which is its place and its text, and the uses of macros that it was expanded from.
///
/// # Errors
/// Those of the output.
pub fn write_expanded(
    output: &mut dyn Output,
    level: MessageLevel,
    (place, text): (&str, &[u8]),
    uses: &[MacroUse],
) -> io::Result<()> {
    output.message(level, place, text)?;
    uses.iter().try_for_each(|used| {
        let text = format!("expanded from\n{}", used.source);
        output.message(level, &used.place, text.as_bytes())
    })
}

/// An element of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key; `None` in a map without keys.
    pub key: Option<Value>,
    /// What it holds.
    pub value: Content,
}

/// What an element of a map holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value of the script.
    Value(Value),
    /// An aggregated number.
    Number(i128),
    /// A number in [`measure::PARTS`] of one.
    Parts(i128),
    /// An average without what it is made of.
    Average(i128),
    /// A count, average and total.
    Stats {
        /// How many numbers.
        count: u64,
        /// Their average.
        average: i128,
        /// Their sum.
        total: i128,
    },
    /// Several numbers with names.
    Fields(Vec<(String, i128)>),
    /// What a number did over time.
    Series(series::Series),
    /// A histogram.
    Histogram {
        /// Its buckets, ascending.
        buckets: Vec<Bucket>,
        /// How bounds are scaled, if they are.
        suffix: Option<Suffix>,
    },
}

impl Content {
    /// The content that a merged aggregation shows.
    pub fn of(shown: Shown, presentation: Presentation) -> Self {
        match shown {
            Shown::Int(number) => Self::Number(number),
            Shown::Stats { average, .. } if presentation.average_only => Self::Average(average),
            Shown::Stats {
                count,
                average,
                total,
            } => Self::Stats {
                count,
                average,
                total,
            },
            Shown::Fields(fields) => Self::Fields(fields),
            Shown::Series {
                interval,
                reach,
                signed,
                points,
            } => Self::Series(series::Series {
                interval,
                reach,
                signed,
                points,
            }),
            Shown::Hist { buckets, scaled } => Self::Histogram {
                buckets,
                suffix: scaled.then_some(presentation.suffix),
            },
        }
    }

    /// What elements are sorted by before their keys: the number, the average, or how many a histogram counts. `None`
    /// for what is sorted by key alone.
    fn weight(&self) -> Option<i128> {
        match self {
            Self::Value(value) => value.number(),
            Self::Number(number) | Self::Parts(number) => Some(*number),
            Self::Average(average) | Self::Stats { average, .. } => Some(*average),
            Self::Fields(fields) => fields.first().map(|(_, first)| *first),
            Self::Series(_) => None,
            Self::Histogram { buckets, .. } => Some(buckets.iter().map(|b| i128::from(b.count)).sum()),
        }
    }

    /// Of a histogram, how many numbers it counts and the quantiles.
    fn replace_by_quantiles(&mut self, quantiles: &[Quantile]) {
        let Self::Histogram { buckets, .. } = self else {
            return;
        };
        let count = buckets.iter().map(|bucket| i128::from(bucket.count)).sum();
        let mut fields = vec![(COUNT.to_owned(), count)];
        fields.extend(
            quantiles
                .iter()
                .map(|quantile| (quantile.name.clone(), at_share(buckets, quantile.share))),
        );
        *self = Self::Fields(fields);
    }

    /// Divides what is shown, rounding toward zero. Of `stats` that is the average, as in bpftrace.
    fn divide(&mut self, by: u32) {
        match self {
            Self::Value(Value::Int(number)) => *number = number.wrapping_div(i64::from(by)),
            Self::Value(Value::UInt(number)) => *number /= u64::from(by),
            Self::Value(_) => {}
            Self::Number(number)
            | Self::Parts(number)
            | Self::Average(number)
            | Self::Stats { average: number, .. } => {
                *number /= i128::from(by);
            }
            // How many there were stays.
            Self::Fields(fields) => {
                for (_, number) in fields.iter_mut().skip(1) {
                    *number /= i128::from(by);
                }
            }
            Self::Series(series) => {
                for (_, number) in &mut series.points {
                    *number = number.map(|number| number / i128::from(by));
                }
            }
            Self::Histogram { buckets, .. } => {
                for bucket in buckets {
                    bucket.count /= u64::from(by);
                }
            }
        }
    }
}

/// Puts entries in the order to show them, ascending by value where values are numbers, then by key; cuts, divides and
/// replaces histograms as the view says.
pub fn arrange(entries: &mut Vec<Entry>, view: &MapView) {
    let (top, div) = (view.top, view.div);
    series::share_window(entries);
    entries.sort_by(|a, b| {
        a.value
            .weight()
            .cmp(&b.value.weight())
            .then_with(|| match (&a.key, &b.key) {
                (Some(a), Some(b)) => a.key_order(b),
                _ => Ordering::Equal,
            })
    });
    if top != 0 {
        entries.drain(..entries.len().saturating_sub(top as usize));
    }
    if div > 1 {
        entries.iter_mut().for_each(|entry| entry.value.divide(div));
    }
    if !view.quantiles.is_empty() {
        for entry in entries {
            entry.value.replace_by_quantiles(&view.quantiles);
        }
    }
}
