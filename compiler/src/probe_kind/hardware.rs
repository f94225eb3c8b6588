//! `hardware`: runs after every so many events that the processor counts, such as cache misses.

use super::counter::{self, Row};
use super::{Class, Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{CounterSource, ProgramKind};
use crate::target::Target;

/// `hardware`.
pub(super) struct Hardware;

/// The events of `enum perf_hw_id` (include/uapi/linux/perf_event.h), by name, with bpftrace's default counts.
static EVENTS: &[Row] = &[
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

const fn row(name: &'static str, alias: &'static str, number: u64, period: u64) -> Row {
    Row {
        name,
        alias,
        number,
        period,
    }
}

impl ProbeKind for Hardware {
    fn name(&self) -> &'static str {
        "hardware"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["h"]
    }

    fn doc(&self) -> &'static str {
        "runs after every so many events that the processor counts, such as cache misses"
    }

    fn syntax(&self) -> &'static str {
        "hardware:EVENT[:COUNT]"
    }

    fn example(&self) -> &'static str {
        "hardware:cache-misses:1000000 { @misses[comm] = count(); }"
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

    fn expand(&self, point: &Point<'_>, _target: &dyn Target) -> Result<Vec<Place>, Failure> {
        counter::expand(self, CounterSource::Hardware, EVENTS, point)
    }
}
