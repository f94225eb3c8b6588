//! Tracepoints, by a perf event on one CPU: the program runs wherever the tracepoint fires.

use super::perf_uprobe::first_cpu;
use super::{Link, error, onto_event};
use crate::backend::Error;
use crate::kernel::help;
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use std::os::fd::BorrowedFd;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    id: u64,
    cookie: u32,
) -> Result<Vec<Link>, Error> {
    let spec = EventSpec {
        kind: perf::TYPE_TRACEPOINT,
        config: id,
        sample: Sample::Period(1),
        detail: Detail::None,
        pid: None,
        cpu: Some(first_cpu()),
    };
    let link = perf::open(&spec)
        .and_then(|event| onto_event(program, event, cookie))
        .map_err(|failure| {
            match failure.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => error(
                    probe_name,
                    "the kernel does not permit it",
                    Some(help::perf_privilege(
                        "CAP_PERFMON and, to read tracefs, CAP_DAC_READ_SEARCH",
                    )),
                ),
                Some(libc::ENOENT | libc::EINVAL) => error(
                    probe_name,
                    "the kernel has no such tracepoint any more",
                    Some("was its module unloaded?".into()),
                ),
                // BPF_TRACE_MAX_PROGS of kernel/trace/bpf_trace.c.
                Some(libc::E2BIG) => error(
                    probe_name,
                    "64 programs are attached to this tracepoint, which is as many as can be",
                    Some("end other tracers".into()),
                ),
                _ => error(probe_name, failure.to_string(), None),
            }
        })?;
    Ok(vec![link])
}
