//! Newline-delimited JSON: one object a line, `{"type": …, "data": …}`, in the shape of bpftrace's `-f json`.
//!
//! | type | data |
//! |---|---|
//! | `attached_probes` | `{"probes": N}` (and `"count": N` beside it) |
//! | `value`, `printf`, `time` | the value; the text |
//! | `map`, `stats`, `hist` | `{"@name": contents}`, contents by key where there are keys, in the order of text |
//! | `table` | `{"keys": "what keys are", "columns": [{"name": "@name", "unit": "bytes"}, …], "rows": [[key, number, …], …]}` |
//! | `lost_events` | `{"events": N}` |
//!
//! Integers that a double cannot hold exactly (many beyond 2^53) are strings, since most readers parse numbers as doubles.
//! Enums and pointers are numbers as values and text as keys; buffers are arrays of signed bytes as values. Text that is no UTF-8 has replacement characters.

use super::table::Table;
use super::{Content, Entry, Output, measure, write_message};
use crate::value::Value;
use crumbs_compiler::aggregation::Bucket;
use crumbs_compiler::plan::{HelperFailure, MessageLevel};
use crumbs_compiler::view::Measure;
use std::io::{self, Write};

/// The JSON form of [`Output`].
#[derive(Debug)]
pub struct JsonOutput<W, D> {
    results: W,
    diagnostics: D,
    quiet: bool,
}

impl<W: Write, D: Write> JsonOutput<W, D> {
    /// Writes records to `results` and warnings, as text, to `diagnostics`; `quiet` leaves out how many probes are
    /// attached.
    pub fn new(results: W, diagnostics: D, quiet: bool) -> Self {
        Self {
            results,
            diagnostics,
            quiet,
        }
    }

    fn record(&mut self, kind: &str, data: &str) -> io::Result<()> {
        writeln!(self.results, "{{\"type\": \"{kind}\", \"data\": {data}}}")
    }
}

impl<W: Write, D: Write> Output for JsonOutput<W, D> {
    fn attached(&mut self, probes: usize) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(
            self.results,
            "{{\"type\": \"attached_probes\", \"count\": {probes}, \"data\": {{\"probes\": {probes}}}}}"
        )
    }

    fn value(&mut self, value: &Value) -> io::Result<()> {
        self.record("value", &json(value))
    }

    fn map(&mut self, name: &str, entries: &[Entry], measure: &Measure) -> io::Result<()> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let kind = match first.value {
            Content::Value(_) | Content::Number(_) | Content::Parts(_) => "map",
            Content::Average(_) | Content::Stats { .. } | Content::Fields(_) => "stats",
            Content::Histogram { .. } => "hist",
            Content::Series(_) => "tseries",
        };
        let contents = match &first.key {
            None => content(&first.value),
            Some(_) => {
                let element = |entry: &Entry| {
                    let key = entry.key.as_ref().map(key_text).unwrap_or_default();
                    format!("{}: {}", quoted(&key), content(&entry.value))
                };
                let elements: Vec<String> = entries.iter().map(element).collect();
                format!("{{{}}}", elements.join(", "))
            }
        };
        let data = format!("{{{}: {contents}}}", quoted(name.as_bytes()));
        let unit = match (&measure.unit, measure.per_second) {
            (None, false) => return self.record(kind, &data),
            (Some(unit), false) => unit.to_string(),
            (None, true) => "/s".to_owned(),
            (Some(unit), true) => format!("{unit}/s"),
        };
        let unit = quoted(unit.as_bytes());
        writeln!(
            self.results,
            "{{\"type\": \"{kind}\", \"data\": {data}, \"unit\": {unit}}}"
        )
    }

    fn table(&mut self, table: &Table) -> io::Result<()> {
        let columns = table.columns.iter().map(|column| {
            let unit = match &column.measure.unit {
                Some(unit) => format!(", \"unit\": {}", quoted(unit.to_string().as_bytes())),
                None => String::new(),
            };
            format!("{{\"name\": {}{unit}}}", quoted(column.name.as_bytes()))
        });
        let rows = table.rows.iter().map(|row| {
            let numbers = row
                .numbers
                .iter()
                .map(|number| number.map_or_else(|| "null".to_owned(), integer));
            let numbers: Vec<String> = numbers.collect();
            format!("[{}, {}]", quoted(&key_text(&row.key)), numbers.join(", "))
        });
        let (columns, rows): (Vec<String>, Vec<String>) = (columns.collect(), rows.collect());
        let data = format!(
            "{{\"keys\": {}, \"columns\": [{}], \"rows\": [{}]}}",
            quoted(table.keys.as_bytes()),
            columns.join(", "),
            rows.join(", ")
        );
        self.record("table", &data)
    }

    fn printf(&mut self, text: &[u8]) -> io::Result<()> {
        self.record("printf", &quoted(text))
    }

    fn message(&mut self, level: MessageLevel, place: &str, text: &[u8]) -> io::Result<()> {
        write_message(&mut self.diagnostics, level, place, text)
    }

    fn helper_failed(&mut self, failure: &HelperFailure) -> io::Result<()> {
        writeln!(
            self.results,
            "{{\"type\": \"helper_error\", \"msg\": {}, \"helper\": \"{}\", \"retcode\": {}, \"filename\": {}, \"line\": {}, \"col\": {}}}",
            quoted(failure.message.as_bytes()),
            failure.helper,
            failure.result,
            quoted(failure.file.as_bytes()),
            failure.line,
            failure.column,
        )
    }

    fn time(&mut self, text: &[u8]) -> io::Result<()> {
        self.record("time", &quoted(text))
    }

    fn cat(&mut self, text: &[u8]) -> io::Result<()> {
        self.record("cat", &quoted(text))
    }

    fn command(&mut self, text: &[u8]) -> io::Result<()> {
        self.record("syscall", &quoted(text))
    }

    fn join(&mut self, text: &[u8]) -> io::Result<()> {
        self.record("join", &quoted(text))
    }

    fn lost_events(&mut self, count: u64) -> io::Result<()> {
        self.record("lost_events", &format!("{{\"events\": {count}}}"))
    }

    fn warning(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.diagnostics, "WARNING: {text}")
    }

    fn error(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.diagnostics, "ERROR: {text}")
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.results.flush()?;
        self.diagnostics.flush()
    }
}

fn content(content: &Content) -> String {
    match content {
        Content::Value(value) => json(value),
        Content::Number(number) | Content::Average(number) => integer(*number),
        Content::Parts(number) => measure::decimal(*number),
        Content::Stats {
            count,
            average,
            total,
        } => {
            let [count, average, total] = [i128::from(*count), *average, *total].map(integer);
            format!("{{\"count\": {count}, \"average\": {average}, \"total\": {total}}}")
        }
        Content::Fields(fields) => {
            let field = |(name, n): &(String, i128)| format!("\"{name}\": {}", integer(*n));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Content::Series(series) => {
            let point = |&(interval, number): &(u64, Option<i128>)| {
                let begin = series.begin(interval, "%Y-%m-%dT%H:%M:%S", 9);
                let number = number.map_or_else(|| "null".to_owned(), integer);
                format!("{{\"interval_start\":\"{begin}\",\"value\":{number}}}")
            };
            let points: Vec<String> = series.points.iter().map(point).collect();
            format!("[{}]", points.join(","))
        }
        Content::Histogram { buckets, .. } => {
            let buckets: Vec<String> = buckets.iter().map(bucket).collect();
            format!("[{}]", buckets.join(","))
        }
    }
}

/// A bucket: its least and greatest number, where it has them, and how many fell into it.
fn bucket(bucket: &Bucket) -> String {
    let bound = |name, bound: Option<i128>| match bound {
        Some(bound) => format!("\"{name}\": {}, ", integer(bound)),
        None => String::new(),
    };
    let (min, max) = (bound("min", bucket.min), bound("max", bucket.max));
    format!("{{{min}{max}\"count\": {}}}", integer(i128::from(bucket.count)))
}

/// An integer: a number where a double holds it exactly, else its decimal text.
pub(crate) fn integer(number: i128) -> String {
    let is_exact = number as f64 as i128 == number;
    if is_exact {
        number.to_string()
    } else {
        format!("\"{number}\"")
    }
}

/// A value as JSON.
pub(crate) fn json(value: &Value) -> String {
    match value {
        Value::Void | Value::Opaque(_) => "null".into(),
        Value::Int(number) | Value::Enum(number, _) => integer(i128::from(*number)),
        Value::UInt(number) | Value::Pointer(number) => integer(i128::from(*number)),
        Value::Bool(value) => value.to_string(),
        Value::Lines(lines) => quoted(lines.json_text().as_bytes()),
        Value::Bytes(bytes) => {
            let bytes: Vec<String> = bytes.iter().map(|byte| byte.cast_signed().to_string()).collect();
            format!("[{}]", bytes.join(","))
        }
        Value::Str(_)
        | Value::Name(_)
        | Value::Stack(_)
        | Value::KernelAddress(_)
        | Value::UserAddress { .. } => quoted(&value.text()),
        Value::Tuple(members) | Value::Array(members) => {
            let members: Vec<String> = members.iter().map(json).collect();
            format!("[{}]", members.join(","))
        }
        Value::Record(members) => {
            let member =
                |(name, value): &(String, Value)| format!("{}: {}", quoted(name.as_bytes()), json(value));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// The text of a key: several keys are joined by commas.
fn key_text(key: &Value) -> Vec<u8> {
    let list = |members: &[Value]| members.iter().map(nested_key).collect::<Vec<_>>().join(&b',');
    match key {
        Value::Tuple(members) => list(members),
        _ => nested_key(key),
    }
}

fn nested_key(key: &Value) -> Vec<u8> {
    match key {
        Value::Tuple(members) => {
            let mut text = b"(".to_vec();
            text.extend(members.iter().map(nested_key).collect::<Vec<_>>().join(&b','));
            text.push(b')');
            text
        }
        Value::Lines(lines) => lines.json_text().into_bytes(),
        _ => key.text(),
    }
}

/// A JSON string (RFC 8259, section 7).
pub(crate) fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ..' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::arrange;
    use crumbs_compiler::view::MapView;

    fn shown(show: impl Fn(&mut JsonOutput<&mut Vec<u8>, &mut Vec<u8>>) -> io::Result<()>) -> String {
        let (mut results, mut diagnostics) = (Vec::new(), Vec::new());
        show(&mut JsonOutput::new(&mut results, &mut diagnostics, false)).expect("a vector takes everything");
        String::from_utf8(results).expect("JSON is UTF-8")
    }

    fn map(name: &str, entries: Vec<(Option<Value>, Content)>) -> String {
        let mut entries: Vec<Entry> = entries
            .into_iter()
            .map(|(key, value)| Entry { key, value })
            .collect();
        arrange(&mut entries, &MapView::default());
        shown(|output| output.map(name, &entries, &Measure::default()))
    }

    fn text(text: &str) -> Value {
        Value::Str(text.into())
    }

    #[test]
    fn maps_by_key() {
        let tuple = |members: &[Value]| Value::Tuple(members.to_vec());
        let int = Value::Int;
        assert_eq!(
            map("@a", vec![(None, Content::Value(int(5)))]),
            "{\"type\": \"map\", \"data\": {\"@a\": 5}}\n"
        );
        let two = vec![
            (Some(int(1)), Content::Value(int(10))),
            (Some(int(3)), Content::Value(int(7))),
        ];
        assert_eq!(
            map("@b", two),
            "{\"type\": \"map\", \"data\": {\"@b\": {\"3\": 7, \"1\": 10}}}\n"
        );
        let key = tuple(&[tuple(&[int(1), int(2)]), text("k")]);
        let value = Content::Value(tuple(&[int(1), text("v")]));
        assert_eq!(
            map("@e", vec![(Some(key), value)]),
            "{\"type\": \"map\", \"data\": {\"@e\": {\"(1,2),k\": [1,\"v\"]}}}\n"
        );
    }

    #[test]
    fn aggregations() {
        let stats = Content::Stats {
            count: 1,
            average: -1,
            total: -1,
        };
        assert_eq!(
            map("@k", vec![(Some(text("a")), stats)]),
            "{\"type\": \"stats\", \"data\": {\"@k\": {\"a\": {\"count\": 1, \"average\": -1, \"total\": -1}}}}\n"
        );
        let bucket = |min, max, count| Bucket { min, max, count };
        let hist = Content::Histogram {
            buckets: vec![
                bucket(None, Some(-1), 1),
                bucket(Some(0), Some(0), 2),
                bucket(Some(100), None, 1),
            ],
            suffix: None,
        };
        assert_eq!(
            map("@h", vec![(None, hist)]),
            "{\"type\": \"hist\", \"data\": {\"@h\": [{\"max\": -1, \"count\": 1},{\"min\": 0, \"max\": 0, \"count\": 2},{\"min\": 100, \"count\": 1}]}}\n"
        );
    }

    #[test]
    fn values() {
        assert_eq!(json(&Value::Int(-1)), "-1");
        assert_eq!(json(&Value::Int(1 << 53)), "9007199254740992");
        assert_eq!(json(&Value::Int((1 << 53) + 1)), "\"9007199254740993\"");
        assert_eq!(json(&Value::UInt(u64::MAX)), "\"18446744073709551615\"");
        assert_eq!(json(&Value::UInt((1 << 53) - 1)), "9007199254740991");
        assert_eq!(json(&Value::Enum(2, Some("TWO".into()))), "2");
        assert_eq!(json(&Value::Pointer(16)), "16");
        assert_eq!(json(&Value::Bytes(vec![97, 0, 255])), "[97,0,-1]");
        assert_eq!(json(&Value::Opaque(vec![0, 0, 128, 63])), "null");
        assert_eq!(json(&text("a\"\n\\\u{1}é")), "\"a\\\"\\n\\\\\\u0001é\"");
        let record = Value::Record(vec![("a".into(), Value::Int(1)), ("b".into(), text("x"))]);
        assert_eq!(json(&record), "{\"a\": 1, \"b\": \"x\"}");
    }

    #[test]
    fn records_of_a_run() {
        assert_eq!(
            shown(|output| output.attached(2)),
            "{\"type\": \"attached_probes\", \"count\": 2, \"data\": {\"probes\": 2}}\n"
        );
        assert_eq!(
            shown(|output| output.printf(b"a\n")),
            "{\"type\": \"printf\", \"data\": \"a\\n\"}\n"
        );
        assert_eq!(
            shown(|output| output.lost_events(3)),
            "{\"type\": \"lost_events\", \"data\": {\"events\": 3}}\n"
        );
        assert_eq!(shown(|output| output.end()), "");
    }
}
