//! `profile`: the kernel's software event cpu-clock, on each CPU.

use super::{Link, error, onto_event};
use crate::backend::Error;
use crate::kernel::{help, probe};
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use crumbs_compiler::plan::Period;
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn profile(
    program: BorrowedFd<'_>,
    probe_name: &str,
    every: Period,
    cookie: u32,
) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    for cpu in probe::online_cpus() {
        match on_cpu(program, every, cookie, cpu) {
            Ok(link) => links.push(link),
            // Gone offline since the list was read.
            Err(failure) if failure.raw_os_error() == Some(libc::ENODEV) => {}
            Err(failure) => return Err(explain(probe_name, &failure)),
        }
    }
    Ok(links)
}

fn on_cpu(program: BorrowedFd<'_>, every: Period, cookie: u32, cpu: u32) -> io::Result<Link> {
    let sample = match every {
        Period::Nanos(nanos) => Sample::Period(nanos),
        // A clock needs no search for the right period, which is what the kernel's frequency mode does at the cost
        // of irregular first firings and of `kernel.perf_event_max_sample_rate`.
        Period::Hertz(hertz) => Sample::Period(1_000_000_000 / hertz.max(1)),
    };
    let spec = EventSpec {
        kind: perf::TYPE_SOFTWARE,
        config: perf::CPU_CLOCK,
        sample,
        detail: Detail::None,
        pid: None,
        cpu: Some(cpu),
    };
    onto_event(program, perf::open(&spec)?, cookie)
}

fn explain(probe_name: &str, failure: &io::Error) -> Error {
    match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::perf_privilege("CAP_PERFMON")),
        ),
        Some(libc::EINVAL) => error(probe_name, "the kernel does not take this period", None),
        _ => error(probe_name, failure.to_string(), None),
    }
}
