//! Event traces: printed records as events of a Chrome trace, one JSON object a line behind a line `[`, compressed by gzip where
//! that is asked for. Perfetto, DFAnalyzer and Dask read such files (`.pfw`, `.pfw.gz`).
//!
//! In: what a run shows. Out: `print` of a record that has `name`, `ts` and `dur` is an event of the trace; everything else goes
//! to another [`Output`]. Of the record, `cat` (text), `pid` and `tid` are the event's own too; all other fields are its `args`.
//! `ts` is when it began, in nanoseconds of the boot clock (`nsecs`), and `dur` how long it took, in nanoseconds. Traces have
//! microseconds, with a fraction, of the wall clock: so those of several nodes fit together as well as their clocks do.
//!
//! Events are written as they come, through a buffer of fixed size. What the ring had no room for is told in an event of the
//! trace that is named `lost events` as well.

use super::json::{integer, json, quoted};
use super::{Entry, Output};
use crate::show::table::Table;
use crate::value::Value;
use crumbs_compiler::plan::{HelperFailure, MessageLevel};
use crumbs_compiler::view::Measure;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// The trace form of [`Output`].
#[derive(Debug)]
pub struct TraceOutput<'a, W: Write, O> {
    trace: &'a mut Trace<W>,
    /// Nanoseconds from the zero of the boot clock to that of the wall clock.
    booted: u64,
    others: O,
}

impl<'a, W: Write, O: Output> TraceOutput<'a, W, O> {
    /// Writes events to `trace` and hands everything else to `others`. The boot clock was 0 at `booted`, in nanoseconds since
    /// 1970.
    pub fn new(trace: &'a mut Trace<W>, booted: u64, others: O) -> Self {
        Self {
            trace,
            booted,
            others,
        }
    }
}

/// How hard to look for repetitions, from 0 to 9: what keeps up with events.
const LEVEL: Compression = Compression::new(3);

/// A trace in the making.
#[derive(Debug)]
pub struct Trace<W: Write> {
    to: Lines<W>,
    events: u64,
}

#[derive(Debug)]
enum Lines<W: Write> {
    Plain(W),
    Compressed(GzEncoder<W>),
}

impl<W: Write> Trace<W> {
    /// Begins a trace.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(to: W, compressed: bool) -> io::Result<Self> {
        let to = match compressed {
            true => Lines::Compressed(GzEncoder::new(to, LEVEL)),
            false => Lines::Plain(to),
        };
        let mut trace = Self { to, events: 0 };
        trace.line("[")?;
        Ok(trace)
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        match &mut self.to {
            Lines::Plain(to) => to.write_all(line.as_bytes()),
            Lines::Compressed(to) => to.write_all(line.as_bytes()),
        }
    }

    /// Ends it; gives what it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        match self.to {
            Lines::Plain(to) => Ok(to),
            Lines::Compressed(to) => to.finish(),
        }
    }

    /// Writes an event; gives whether the record is one.
    fn event(&mut self, record: &[(String, Value)], booted: u64) -> io::Result<bool> {
        let field = |wanted: &str| {
            record
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let number = |wanted: &str| field(wanted).and_then(Value::number);
        let (Some(name), Some(begun), Some(took)) = (field("name"), number("ts"), number("dur")) else {
            return Ok(false);
        };
        let category = field("cat").map(Value::text).unwrap_or_default();
        let process = number("pid").unwrap_or(0);
        let thread = number("tid").unwrap_or(process);
        let own = ["name", "cat", "pid", "tid", "ts", "dur"];
        let args = record.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        let args: Vec<String> = args
            .map(|(name, value)| format!("{}:{}", quoted(name.as_bytes()), json(value)))
            .collect();
        let line = format!(
            "{{\"id\":{},\"name\":{},\"cat\":{},\"pid\":{},\"tid\":{},\"ts\":{},\"dur\":{},\"ph\":\"X\",\"args\":{{{}}}}}",
            self.events,
            quoted(&name.text()),
            quoted(&category),
            integer(process),
            integer(thread),
            micros(begun + i128::from(booted)),
            micros(took),
            args.join(",")
        );
        self.events += 1;
        self.line(&line)?;
        Ok(true)
    }
}

/// Nanoseconds as microseconds with a fraction.
fn micros(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    format!("{sign}{}.{:03}", nanos / 1000, nanos % 1000)
}

impl<W: Write, O: Output> Output for TraceOutput<'_, W, O> {
    fn attached(&mut self, probes: usize) -> io::Result<()> {
        self.others.attached(probes)
    }

    fn is_on_screen(&self) -> bool {
        self.others.is_on_screen()
    }

    fn value(&mut self, value: &Value) -> io::Result<()> {
        if let Value::Record(members) = value
            && self.trace.event(members, self.booted)?
        {
            return Ok(());
        }
        self.others.value(value)
    }

    fn map(&mut self, name: &str, entries: &[Entry], measure: &Measure) -> io::Result<()> {
        self.others.map(name, entries, measure)
    }

    fn table(&mut self, table: &Table) -> io::Result<()> {
        self.others.table(table)
    }

    fn printf(&mut self, text: &[u8]) -> io::Result<()> {
        self.others.printf(text)
    }

    fn message(&mut self, level: MessageLevel, place: &str, text: &[u8]) -> io::Result<()> {
        self.others.message(level, place, text)
    }

    fn helper_failed(&mut self, failure: &HelperFailure) -> io::Result<()> {
        self.others.helper_failed(failure)
    }

    fn time(&mut self, text: &[u8]) -> io::Result<()> {
        self.others.time(text)
    }

    fn cat(&mut self, text: &[u8]) -> io::Result<()> {
        self.others.cat(text)
    }

    fn command(&mut self, text: &[u8]) -> io::Result<()> {
        self.others.command(text)
    }

    fn join(&mut self, text: &[u8]) -> io::Result<()> {
        self.others.join(text)
    }

    fn lost_events(&mut self, count: u64) -> io::Result<()> {
        self.trace.line(&format!(
            "{{\"name\":\"lost events\",\"cat\":\"crumbs\",\"pid\":0,\"tid\":0,\"ph\":\"M\",\"args\":{{\"count\":{count}}}}}"
        ))?;
        self.others.lost_events(count)
    }

    fn warning(&mut self, text: &str) -> io::Result<()> {
        self.others.warning(text)
    }

    fn error(&mut self, text: &str) -> io::Result<()> {
        self.others.error(text)
    }

    fn end(&mut self) -> io::Result<()> {
        self.others.end()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.others.flush()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::show::text::TextOutput;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn record(number: i64) -> Value {
        Value::Record(vec![
            ("name".into(), Value::Str(b"wri\"te".to_vec())),
            ("cat".into(), Value::Str(b"POSIX".to_vec())),
            ("pid".into(), Value::UInt(7)),
            ("ts".into(), Value::UInt(2_000 + number as u64)),
            ("dur".into(), Value::Int(1_500)),
            ("bytes".into(), Value::Int(number)),
        ])
    }

    /// The trace of so many records, and what else was shown.
    fn traced(compressed: bool, records: i64) -> (Vec<u8>, String) {
        let mut trace = Trace::begin(Vec::new(), compressed).unwrap();
        let (mut text, mut diagnostics) = (Vec::new(), Vec::new());
        let others = TextOutput::new(&mut text, &mut diagnostics, true);
        let mut output = TraceOutput::new(&mut trace, 1_000_000, others);
        for number in 0..records {
            output.value(&record(number)).unwrap();
        }
        output
            .value(&Value::Record(vec![("name".into(), Value::Int(1))]))
            .unwrap();
        output.value(&Value::Int(5)).unwrap();
        output.printf(b"text\n").unwrap();
        (trace.finish().unwrap(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn records_with_a_time_are_events_and_all_else_is_shown() {
        let (trace, shown) = traced(false, 1);
        assert_eq!(
            String::from_utf8(trace).unwrap(),
            "[\n{\"id\":0,\"name\":\"wri\\\"te\",\"cat\":\"POSIX\",\"pid\":7,\"tid\":7,\"ts\":1002.000,\"dur\":1.500,\"ph\":\"X\",\
             \"args\":{\"bytes\":0}}\n"
        );
        assert_eq!(shown, "{ .name = 1 }\n5\ntext\n");
    }

    #[test]
    fn compressed_traces_are_gzip() {
        let (plain, _) = traced(false, 20_000);
        let (gzip, _) = traced(true, 20_000);
        assert!(gzip.len() < plain.len() / 5);
        let mut unpacked = Vec::new();
        GzDecoder::new(&gzip[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        for line in std::str::from_utf8(&plain).unwrap().lines().skip(1) {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["id"], event["args"]["bytes"]);
        }
    }
}
