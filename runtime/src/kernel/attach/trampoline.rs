//! Functions of the kernel through a trampoline: the program knows its function since it was loaded.

use super::{Link, error};
use crate::backend::Error;
use crate::kernel::help;
use crate::sys::bpf;
use std::os::fd::BorrowedFd;

/// The kernel's own number for what an architecture cannot do (include/linux/errno.h); libc has none for it.
const ENOTSUPP: i32 = 524;

pub(super) fn attach(program: BorrowedFd<'_>, probe_name: &str) -> Result<Vec<Link>, Error> {
    let link =
        bpf::raw_tracepoint_open(program, None, 0).map_err(|failure| match failure.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => error(
                probe_name,
                "the kernel does not permit it",
                Some(help::bpf_privilege()),
            ),
            Some(libc::E2BIG) => error(
                probe_name,
                "the function has as many such programs as the kernel allows",
                Some("a kprobe on the same function has no such limit".into()),
            ),
            Some(libc::EBUSY) => error(
                probe_name,
                "something else has changed the function's entry (a live patch, a kprobe at its start)",
                None,
            ),
            Some(ENOTSUPP) => error(
                probe_name,
                "this kernel has no trampolines on its functions (AArch64 has them from 6.4 on)",
                Some("use a kprobe, or a kretprobe for the return: `kprobe:FUNCTION`".into()),
            ),
            _ => error(probe_name, failure.to_string(), None),
        })?;
    Ok(vec![Link {
        link: Some(link),
        event: None,
        watches: None,
    }])
}
