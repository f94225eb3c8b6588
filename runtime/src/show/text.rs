//! Text as bpftrace lays it out, so that eyes and pipelines keep working.
//!
//! Results go to one writer (standard output or a file), everything about the run to another (standard error).

use super::{Content, Entry, Output, histogram, series, write_message};
use crate::value::Value;
use crumbs_compiler::plan::MessageLevel;
use std::io::{self, Write};

/// The text form of [`Output`].
#[derive(Debug)]
pub struct TextOutput<W, D> {
    results: W,
    diagnostics: D,
    quiet: bool,
}

impl<W: Write, D: Write> TextOutput<W, D> {
    /// Writes results and diagnostics to where they belong; `quiet` leaves out how many probes are attached.
    pub fn new(results: W, diagnostics: D, quiet: bool) -> Self {
        Self {
            results,
            diagnostics,
            quiet,
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
        self.results.write_all(&text)
    }

    fn map(&mut self, name: &str, entries: &[Entry]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            write_entry(name, entry, &mut text);
        }
        self.results.write_all(&text)
    }

    fn printf(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn message(&mut self, level: MessageLevel, place: &str, text: &[u8]) -> io::Result<()> {
        write_message(&mut self.diagnostics, level, place, text)
    }

    fn time(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn cat(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn command(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)
    }

    fn join(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)?;
        self.results.write_all(b"\n")
    }

    fn lost_events(&mut self, count: u64) -> io::Result<()> {
        writeln!(self.diagnostics, "Lost {count} events")
    }

    fn warning(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.diagnostics, "WARNING: {text}")
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
fn write_entry(name: &str, entry: &Entry, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if let Some(key) = &entry.key {
        out.push(b'[');
        key.write_key(out);
        out.push(b']');
    }
    match &entry.value {
        Content::Histogram { buckets, suffix } => {
            out.extend_from_slice(b":\n");
            histogram::write(buckets, *suffix, out);
        }
        Content::Series(series) => {
            out.extend_from_slice(b":\n");
            series::write(series, out);
        }
        Content::Value(value) => {
            out.extend_from_slice(b": ");
            value.write(out);
        }
        Content::Number(number) | Content::Average(number) => {
            out.extend_from_slice(format!(": {number}").as_bytes());
        }
        Content::Fields(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, n)| format!(".{name} = {n}")).collect();
            out.extend_from_slice(format!(": {{ {} }}", fields.join(", ")).as_bytes());
        }
        Content::Stats {
            count,
            average,
            total,
        } => {
            let text = format!(": {{ .count = {count}, .average = {average}, .total = {total} }}");
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
