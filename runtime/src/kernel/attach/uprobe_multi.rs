//! User probes by one uprobe_multi link (6.6): many places of one binary at the price of one. It is used for single
//! places too, as it attaches in less time than a perf event, detaches in much less, and needs no CAP_SYS_ADMIN.

use super::{Link, ended, error};
use crate::backend::Error;
use crate::kernel::{help, probe};
use crate::sys::bpf::{self, UprobeMulti};
use crumbs_compiler::plan::UprobePlace;
use crumbs_compiler::target::Feature;
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    path: &str,
    on_return: bool,
    places: &[UprobePlace],
    pid: Option<u32>,
) -> Result<Vec<Link>, Error> {
    let c_path = CString::new(path).map_err(|_| error(probe_name, "its path has a NUL byte", None))?;
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let cookies: Vec<u64> = places.iter().map(|place| u64::from(place.cookie)).collect();
    let has_counters = places.iter().any(|place| place.counter != 0);
    let counters: Vec<u64> = places
        .iter()
        .filter(|_| has_counters)
        .map(|place| place.counter)
        .collect();
    let filter = pid.filter(|_| probe::has(Feature::UprobeMultiPid)).unwrap_or(0);
    let target = UprobeMulti {
        path: &c_path,
        offsets: &offsets,
        cookies: &cookies,
        counters: &counters,
        on_return,
        pid: filter,
    };
    match bpf::link_uprobe_multi(program, &target) {
        Ok(link) => Ok(vec![Link {
            link: Some(link),
            event: None,
        }]),
        Err(failure) => Err(explain(probe_name, path, pid, &target, program, &failure)),
    }
}

/// The kernel's errno is for the whole list: ask place by place which one it is about.
fn explain(
    probe_name: &str,
    path: &str,
    pid: Option<u32>,
    target: &UprobeMulti<'_>,
    program: BorrowedFd<'_>,
    failure: &io::Error,
) -> Error {
    match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::bpf_privilege()),
        ),
        Some(libc::ESRCH) => ended(probe_name, pid),
        Some(libc::ENOENT) => error(probe_name, format!("there is no file {path}"), None),
        Some(libc::EBADF) => error(probe_name, format!("{path} is not a regular file"), None),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOEXEC | libc::EIO) => {
            let is_refused = |&at: &usize| {
                let one = UprobeMulti {
                    offsets: &target.offsets[at..=at],
                    cookies: &target.cookies[at..=at],
                    counters: target.counters.get(at..=at).unwrap_or(&[]),
                    ..*target
                };
                bpf::link_uprobe_multi(program, &one).is_err()
            };
            let refused = (0..target.offsets.len())
                .find(is_refused)
                .map(|at| format!(" at offset {:#x}", target.offsets[at]))
                .unwrap_or_default();
            error(
                probe_name,
                format!("the kernel cannot place a probe{refused} of {path} ({failure})"),
                Some("it must be the first byte of an instruction that the kernel can step over, inside the file".into()),
            )
        }
        _ => error(probe_name, failure.to_string(), None),
    }
}
