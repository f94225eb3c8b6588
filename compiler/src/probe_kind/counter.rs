//! `software` and `hardware`: events that are counted, and fire each time the count is full.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, did_you_mean, number};
use crate::codes;
use crate::plan::{Attach, CounterEvent, CounterSource, ProgramKind};
use crate::similar::similar;
use crate::target::Target;
use crumbs_grammar::diagnostic::Diagnostic;

/// `software` or `hardware`.
pub(super) struct Counter {
    words: Words,
    source: CounterSource,
    events: &'static [Row],
}

/// `software`.
pub(super) static SOFTWARE: Counter = Counter {
    words: Words {
        name: "software",
        aliases: &["s"],
        doc: "runs after every so many events that the kernel counts, such as page faults",
        syntax: "software:EVENT[:COUNT]",
        example: "software:page-faults:100 { @faults[comm] = count(); }",
    },
    source: CounterSource::Software,
    events: SOFTWARE_EVENTS,
};

/// `hardware`.
pub(super) static HARDWARE: Counter = Counter {
    words: Words {
        name: "hardware",
        aliases: &["h"],
        doc: "runs after every so many events that the processor counts, such as cache misses",
        syntax: "hardware:EVENT[:COUNT]",
        example: "hardware:cache-misses:1000000 { @misses[comm] = count(); }",
    },
    source: CounterSource::Hardware,
    events: HARDWARE_EVENTS,
};

/// An event that can be counted.
struct Row {
    /// What a script writes.
    name: &'static str,
    /// A shorter name for the same; may be empty.
    alias: &'static str,
    /// Its number in the kernel's enumeration.
    number: u64,
    /// Fires after so many where the script does not say.
    period: u64,
}

const fn row(name: &'static str, alias: &'static str, number: u64, period: u64) -> Row {
    Row {
        name,
        alias,
        number,
        period,
    }
}

/// The events of `enum perf_sw_ids` (include/uapi/linux/perf_event.h), by name, with bpftrace's default counts.
static SOFTWARE_EVENTS: &[Row] = &[
    row("alignment-faults", "", 7, 1),
    row("bpf-output", "", 10, 1),
    row("context-switches", "cs", 3, 1_000),
    row("cpu-clock", "cpu", 0, 1_000_000),
    row("cpu-migrations", "", 4, 1),
    row("dummy", "", 9, 1),
    row("emulation-faults", "", 8, 1),
    row("major-faults", "", 6, 1),
    row("minor-faults", "", 5, 100),
    row("page-faults", "faults", 2, 100),
    row("task-clock", "", 1, 1),
];

/// The events of `enum perf_hw_id` (include/uapi/linux/perf_event.h), by name, with bpftrace's default counts.
static HARDWARE_EVENTS: &[Row] = &[
    row("backend-stalls", "", 8, 1_000_000),
    row("branch-instructions", "branches", 4, 100_000),
    row("branch-misses", "", 5, 100_000),
    row("bus-cycles", "", 6, 100_000),
    row("cache-misses", "", 3, 1_000_000),
    row("cache-references", "", 2, 1_000_000),
    row("cpu-cycles", "cycles", 0, 1_000_000),
    row("frontend-stalls", "", 7, 1_000_000),
    row("instructions", "", 1, 1_000_000),
    row("ref-cycles", "", 9, 1_000_000),
];

impl ProbeKind for Counter {
    fn words(&self) -> &Words {
        &self.words
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::PerfEvent
    }

    fn class(&self) -> Class {
        Class::Kernel
    }

    fn offers(&self) -> Offers {
        Offers {
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn fixed_names(&self) -> Vec<&'static str> {
        let names = self.events.iter().flat_map(|row| [row.name, row.alias]);
        names.filter(|name| !name.is_empty()).collect()
    }

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        expand(self, self.source, self.events, point)
    }
}

/// The place of `kind:EVENT[:COUNT]`.
fn expand(
    kind: &dyn ProbeKind,
    source: CounterSource,
    rows: &[Row],
    point: &Point<'_>,
) -> Result<Vec<Place>, Failure> {
    let (event, count) = match point.parts {
        [event] => (event, None),
        [event, count] => (event, Some(count).filter(|count| !count.text.is_empty())),
        _ => return Err(Failure::malformed(kind, point)),
    };
    let glob = crate::glob::Glob::new(&event.text);
    let named = |row: &&Row| glob.matches(row.name) || (!row.alias.is_empty() && glob.matches(row.alias));
    let found: Vec<&Row> = rows.iter().filter(named).collect();
    if found.is_empty() {
        let message = format!("there is no {} event `{}`", kind.name(), event.text);
        let names = rows
            .iter()
            .flat_map(|row| [row.name, row.alias])
            .filter(|name| !name.is_empty());
        let near = similar(&event.text, names.clone(), 3);
        let diagnostic = Diagnostic::error(&codes::BAD_EVENT, event.span, message);
        return Err(Failure::wrong(if near.is_empty() {
            let all: Vec<_> = names.collect();
            diagnostic.help(format!("there are {}", all.join(", ")))
        } else {
            did_you_mean(diagnostic, &near)
        }));
    }
    let period = match count {
        None => None,
        Some(part) => {
            let count = number(&part.text).filter(|&count| count > 0);
            Some(count.ok_or_else(|| {
                let message = format!("`{}` is no number of events above 0", part.text);
                Failure::wrong(Diagnostic::error(&codes::BAD_EVENT, part.span, message))
            })?)
        }
    };
    let literal = glob.is_literal();
    let place = |row: &Row| {
        let attach = Attach::Counter {
            event: CounterEvent {
                source,
                number: row.number,
            },
            period: period.unwrap_or(row.period),
            cookie: 0,
        };
        let name = if literal { event.text.as_str() } else { row.name };
        let count = count.map_or(String::new(), |count| count.text.clone());
        Place {
            literal,
            ..Place::named(format!("{}:{name}:{count}", kind.name()), attach)
        }
    };
    Ok(found.into_iter().map(place).collect())
}
