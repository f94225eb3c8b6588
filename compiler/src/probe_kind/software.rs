//! `software`: runs after every so many events that the kernel counts, such as page faults.

use super::counter::{self, Row};
use super::{Class, Failure, Offers, Place, Point, ProbeKind};
use crate::plan::{CounterSource, ProgramKind};
use crate::target::Target;

/// `software`.
pub(super) struct Software;

/// The events of `enum perf_sw_ids` (include/uapi/linux/perf_event.h), by name, with bpftrace's default counts.
static EVENTS: &[Row] = &[
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

const fn row(name: &'static str, alias: &'static str, number: u64, period: u64) -> Row {
    Row {
        name,
        alias,
        number,
        period,
    }
}

impl ProbeKind for Software {
    fn name(&self) -> &'static str {
        "software"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["s"]
    }

    fn doc(&self) -> &'static str {
        "runs after every so many events that the kernel counts, such as page faults"
    }

    fn syntax(&self) -> &'static str {
        "software:EVENT[:COUNT]"
    }

    fn example(&self) -> &'static str {
        "software:page-faults:100 { @faults[comm] = count(); }"
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
        counter::expand(self, CounterSource::Software, EVENTS, point)
    }
}
