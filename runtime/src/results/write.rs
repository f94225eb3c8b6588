//! Results as JSON: `docs/results.md` says what is where. An element is a line, so that tools for text serve too.

use super::{FORMAT, Held, Results, Run, SavedMap, Script, VERSION, ValueType};
use crate::show::json::{integer, quoted};
use crumbs_compiler::aggregation::{Bucket, Interval, Saved};
use crumbs_compiler::merging::Merging;
use std::io::{self, Write};

impl Results {
    /// Writes a file of these results.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{{\n\"format\": \"{FORMAT}\",\n\"version\": {VERSION},")?;
        writeln!(out, "\"crumbs\": {},", text(&self.crumbs))?;
        writeln!(out, "\"script\": {},", script(&self.script))?;
        writeln!(out, "\"runs\": [{}],", lines(self.runs.iter().map(run)))?;
        let losses = self.losses.iter().map(|(lost, total)| {
            let map = optional(lost.map.as_deref());
            format!(
                "{{\"kind\": \"{}\", \"map\": {map}, \"count\": {}}}",
                lost.kind,
                integer(i128::from(*total))
            )
        });
        writeln!(out, "\"losses\": [{}],\n\"maps\": [", lines(losses))?;
        let mut comma = "";
        for (name, map) in &self.maps {
            writeln!(out, "{comma}{{\"name\": {},", text(name))?;
            map.write(out)?;
            write!(out, "}}")?;
            comma = ",\n";
        }
        writeln!(out, "\n]\n}}")
    }
}

impl SavedMap {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let key = self
            .key
            .as_ref()
            .map_or_else(|| "null".to_owned(), |key| key.json());
        writeln!(out, "\"key\": {key},")?;
        match &self.value {
            ValueType::Aggregation(ty) => {
                let params: Vec<String> = ty
                    .params
                    .iter()
                    .map(|param| integer(i128::from(*param)))
                    .collect();
                writeln!(
                    out,
                    "\"aggregation\": \"{}\", \"signed\": {}, \"params\": [{}],",
                    ty.aggregation().name(),
                    ty.signed,
                    params.join(", ")
                )?;
            }
            ValueType::Plain(ty) => writeln!(out, "\"value\": {},", ty.json())?,
        }
        writeln!(out, "\"merging\": \"{}\",", merging_name(self.merging))?;
        writeln!(
            out,
            "\"unit\": {},\n\"entries\": [",
            optional(self.unit.as_deref())
        )?;
        let mut comma = "";
        for (key, held) in &self.entries {
            write!(out, "{comma}{{")?;
            if let (Some(key), Some(ty)) = (key, &self.key) {
                write!(out, "\"key\": {}, ", ty.json_of(key))?;
            }
            write!(out, "{}}}", self.held(held))?;
            comma = ",\n";
        }
        write!(out, "\n]")
    }

    fn held(&self, held: &Held) -> String {
        match (held, &self.value) {
            (Held::State(saved), _) => state(saved),
            (Held::Value(datum), ValueType::Plain(ty)) => format!("\"value\": {}", ty.json_of(datum)),
            _ => "\"conflict\": true".to_owned(),
        }
    }
}

pub(super) fn merging_name(merging: Merging) -> &'static str {
    match merging {
        Merging::Aggregate => "aggregate",
        Merging::Add => "add",
        Merging::Same => "same",
    }
}

fn state(saved: &Saved) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    match saved {
        Saved::Fields(fields) if fields.is_empty() => "\"empty\": true".to_owned(),
        Saved::Fields(fields) => {
            let fields = fields
                .iter()
                .map(|(name, number)| format!("\"{name}\": {}", integer(*number)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Saved::Buckets(buckets) => {
            let bound = |bound: Option<i128>| bound.map_or_else(|| "null".to_owned(), integer);
            let bucket = |Bucket { min, max, count }: &Bucket| {
                format!(
                    "[{}, {}, {}]",
                    bound(*min),
                    bound(*max),
                    integer(i128::from(*count))
                )
            };
            format!("\"bins\": {}", list(buckets.iter().map(bucket).collect()))
        }
        Saved::Intervals(intervals) => {
            let interval = |Interval { number, value, more }: &Interval| {
                let [number, more] = [number, more].map(|n| integer(i128::from(*n)));
                format!("[{number}, {}, {more}]", integer(*value))
            };
            format!(
                "\"intervals\": {}",
                list(intervals.iter().map(interval).collect())
            )
        }
    }
}

fn script(script: &Script) -> String {
    let texts = |texts: &[String]| texts.iter().map(|each| text(each)).collect::<Vec<_>>().join(", ");
    let named = script
        .named
        .iter()
        .map(|(name, value)| format!("[{}, {}]", text(name), optional(value.as_deref())));
    let config = script
        .config
        .iter()
        .map(|(name, value)| format!("[{}, {}]", text(name), text(value)));
    format!(
        "{{\n\"name\": {},\n\"hash\": \"{:016x}\",\n\"params\": [{}],\n\"named\": [{}],\n\"config\": [{}],\n\"text\": {},\n\
         \"imports\": [{}]\n}}",
        text(&script.name),
        script.hash(),
        texts(&script.params),
        named.collect::<Vec<_>>().join(", "),
        config.collect::<Vec<_>>().join(", "),
        text(&script.text),
        texts(&script.imports),
    )
}

fn run(run: &Run) -> String {
    format!(
        "{{\"host\": {}, \"pid\": {}, \"rank\": {}, \"job\": {}, \"launch\": {}, \"start\": \"{}\", \"end\": \"{}\"}}",
        text(&run.host),
        run.pid,
        optional(run.rank.as_deref()),
        optional(run.job.as_deref()),
        optional(run.launch.as_deref()),
        run.start,
        run.end
    )
}

fn text(text: &str) -> String {
    quoted(text.as_bytes())
}

fn optional(value: Option<&str>) -> String {
    value.map_or_else(|| "null".to_owned(), text)
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",\n")
}
