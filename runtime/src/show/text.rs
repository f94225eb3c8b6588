//! Text as bpftrace lays it out, so that eyes and pipelines keep working.
//!
//! Results go to one writer (standard output or a file), everything about the run to another (standard error).

use super::screen::{guarded, guarded_text};
use super::table::Table;
use super::{Content, Entry, Output, histogram, measure, series, write_message};
use crate::value::Value;
use crumbs_compiler::aggregation::COUNT;
use crumbs_compiler::plan::{HelperFailure, MessageLevel};
use crumbs_compiler::view::Measure;
use std::borrow::Cow;
use std::io::{self, Write};

/// The text form of [`Output`].
#[derive(Debug)]
pub struct TextOutput<W, D> {
    results: W,
    diagnostics: D,
    quiet: bool,
    /// Whether a terminal shows the results, and whether one shows the diagnostics.
    on_screen: (bool, bool),
}

impl<W: Write, D: Write> TextOutput<W, D> {
    /// Writes results and diagnostics to where they belong; `quiet` leaves out how many probes are attached.
    pub fn new(results: W, diagnostics: D, quiet: bool) -> Self {
        Self {
            results,
            diagnostics,
            quiet,
            on_screen: (false, false),
        }
    }

    /// Says whether a terminal shows the results, and whether one shows the diagnostics.
    #[must_use]
    pub fn on_screen(mut self, results: bool, diagnostics: bool) -> Self {
        self.on_screen = (results, diagnostics);
        self
    }

    /// Writes what others may have chosen.
    fn write_text(&mut self, text: &[u8]) -> io::Result<()> {
        match self.on_screen.0 {
            true => self.results.write_all(&guarded(text)),
            false => self.results.write_all(text),
        }
    }

    fn diagnostic<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.on_screen.1 {
            true => guarded_text(text),
            false => Cow::Borrowed(text),
        }
    }
}

impl<W: Write, D: Write> Output for TextOutput<W, D> {
    fn attached(&mut self, probes: usize) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let plural = if probes == 1 { "" } else { "s" };
        writeln!(self.diagnostics, "Attached {probes} probe{plural}")
    }

    fn value(&mut self, value: &Value) -> io::Result<()> {
        let mut text = value.text();
        text.push(b'\n');
        self.write_text(&text)
    }

    fn is_on_screen(&self) -> bool {
        self.on_screen.0
    }

    fn map(&mut self, name: &str, entries: &[Entry], measure: &Measure) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            write_entry(name, entry, measure, &mut text);
        }
        self.write_text(&text)
    }

    fn table(&mut self, table: &Table) -> io::Result<()> {
        self.write_text(&table.text())
    }

    fn printf(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn message(&mut self, level: MessageLevel, place: &str, text: &[u8]) -> io::Result<()> {
        write_message(&mut self.diagnostics, level, place, text)
    }

    fn helper_failed(&mut self, failure: &HelperFailure) -> io::Result<()> {
        let HelperFailure {
            place,
            message,
            helper,
            result,
            source,
            ..
        } = failure;
        writeln!(
            self.diagnostics,
            "{place}: WARNING: {message}\nAdditional Info - helper: {helper}, retcode: {result}\n{source}"
        )
    }

    fn time(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn cat(&mut self, text: &[u8]) -> io::Result<()> {
        self.write_text(text)
    }

    fn command(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn join(&mut self, text: &[u8]) -> io::Result<()> {
        self.write_text(text)?;
        self.results.write_all(b"\n")
    }

    fn lost_events(&mut self, count: u64) -> io::Result<()> {
        writeln!(self.diagnostics, "Lost {count} events")
    }

    fn warning(&mut self, text: &str) -> io::Result<()> {
        let text = self.diagnostic(text);
        writeln!(self.diagnostics, "WARNING: {text}")
    }

    fn error(&mut self, text: &str) -> io::Result<()> {
        let text = self.diagnostic(text);
        writeln!(self.diagnostics, "ERROR: {text}")
    }

    fn end(&mut self) -> io::Result<()> {
        self.results.write_all(b"\n\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.results.flush()?;
        self.diagnostics.flush()
    }
}

/// Appends the line of an element, or for a histogram its lines and an empty one.
fn write_entry(name: &str, entry: &Entry, measure: &Measure, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if let Some(key) = &entry.key {
        out.push(b'[');
        key.write_key(out);
        out.push(b']');
    }
    match &entry.value {
        Content::Histogram { buckets, suffix } => {
            out.extend_from_slice(b":\n");
            histogram::write(buckets, *suffix, measure, out);
        }
        Content::Series(series) => {
            out.extend_from_slice(b":\n");
            series::write(series, measure, out);
        }
        Content::Value(value) => {
            out.extend_from_slice(b": ");
            match value.number().filter(|_| measure.unit.is_some()) {
                Some(number) => out.extend_from_slice(measure::whole(number, measure).as_bytes()),
                None => value.write(out),
            }
        }
        Content::Parts(number) => {
            out.extend_from_slice(format!(": {}", measure::parts(*number, measure)).as_bytes());
        }
        Content::Number(number) | Content::Average(number) => {
            out.extend_from_slice(format!(": {}", measure::whole(*number, measure)).as_bytes());
        }
        Content::Fields(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, number)| format!(".{name} = {}", field(name, *number, measure)))
                .collect();
            out.extend_from_slice(format!(": {{ {} }}", fields.join(", ")).as_bytes());
        }
        Content::Stats {
            count,
            average,
            total,
        } => {
            let [average, total] = [average, total].map(|number| measure::whole(*number, measure));
            let text = format!(": {{ .count = {count}, .average = {average}, .total = {total} }}");
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(b'\n');
}

/// A number with a name: how many there are has no unit.
fn field(name: &str, number: i128, measure: &Measure) -> String {
    match name {
        COUNT => number.to_string(),
        _ => measure::whole(number, measure),
    }
}

#[cfg(test)]
mod tests;
