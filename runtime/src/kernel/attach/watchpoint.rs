//! Watchpoints, by the debug registers of the processor: on each CPU, or for a process.

use super::{Link, ended, error, everywhere};
use crate::backend::Error;
use crate::kernel::help;
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use crumbs_compiler::plan::Access;
use std::os::fd::BorrowedFd;

/// `HW_BREAKPOINT_R`, `W`, `X` (include/uapi/linux/hw_breakpoint.h).
const READ: u32 = 1;
const WRITE: u32 = 2;
const EXECUTE: u32 = 4;

/// What the kernel wants as the length of a watched instruction: `sizeof(long)`.
const INSTRUCTION: u64 = 8;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    (address, length, access): (u64, u8, Access),
    cookie: u32,
    pid: Option<u32>,
) -> Result<Vec<Link>, Error> {
    let bits = [
        (access.read, READ),
        (access.write, WRITE),
        (access.execute, EXECUTE),
    ];
    let spec = EventSpec {
        kind: perf::TYPE_BREAKPOINT,
        config: 0,
        sample: Sample::Period(1),
        detail: Detail::Breakpoint {
            address,
            length: if access.execute {
                INSTRUCTION
            } else {
                u64::from(length)
            },
            access: bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum(),
        },
        pid: None,
        cpu: None,
    };
    everywhere(program, cookie, pid, &spec).map_err(|failure| match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::perf_privilege("CAP_PERFMON")),
        ),
        Some(libc::ENOSPC) => error(
            probe_name,
            "all debug registers are in use",
            Some("a processor has four; use fewer watchpoints, or end debuggers and other tracers".into()),
        ),
        Some(libc::ESRCH) => ended(probe_name, pid),
        Some(libc::EINVAL | libc::EOPNOTSUPP) => error(
            probe_name,
            "the processor cannot watch this",
            Some("x86-64 watches writes (w), writes and reads (rw) and execution (x) at addresses aligned to the length".into()),
        ),
        _ => error(probe_name, failure.to_string(), None),
    })
}
