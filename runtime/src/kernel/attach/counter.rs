//! `software` and `hardware`: events that the kernel or the processor counts, on each CPU or for a process.

use super::{Link, ended, error, everywhere};
use crate::backend::Error;
use crate::kernel::help;
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use crumbs_compiler::plan::{CounterEvent, CounterSource};
use std::os::fd::BorrowedFd;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    event: CounterEvent,
    period: u64,
    cookie: u32,
    pid: Option<u32>,
) -> Result<Vec<Link>, Error> {
    let spec = EventSpec {
        kind: match event.source {
            CounterSource::Hardware => perf::TYPE_HARDWARE,
            CounterSource::Software => perf::TYPE_SOFTWARE,
        },
        config: event.number,
        sample: Sample::Period(period),
        detail: Detail::Inherit,
        pid: None,
        cpu: None,
    };
    everywhere(program, cookie, pid, &spec).map_err(|failure| match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::perf_privilege("CAP_PERFMON")),
        ),
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => error(
            probe_name,
            match event.source {
                CounterSource::Hardware => "this machine has no such counter",
                CounterSource::Software => "this kernel does not count it",
            },
            match event.source {
                CounterSource::Hardware => {
                    Some("virtual machines often hide the processor's counters; `software:cpu-clock` works anywhere".into())
                }
                CounterSource::Software => None,
            },
        ),
        Some(libc::ESRCH) => ended(probe_name, pid),
        Some(libc::EINVAL) => error(probe_name, "the kernel does not take this count", None),
        _ => error(probe_name, failure.to_string(), None),
    })
}
