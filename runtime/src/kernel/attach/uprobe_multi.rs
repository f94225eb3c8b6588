//! User probes by one uprobe_multi link (6.6): many places of one binary at the price of one. It is used for single
//! places too, as it attaches in less time than a perf event, detaches in much less, and needs no CAP_SYS_ADMIN.

use super::{Attached, Link, ended, error};
use crate::backend::{Error, Skipped};
use crate::kernel::{help, probe};
use crate::sys::bpf::{self, UprobeMulti};
use crumbs_compiler::plan::UprobePlace;
use crumbs_compiler::target::Feature;
use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

/// `ENOTSUPP` (include/linux/errno.h): an instruction that the kernel can neither emulate nor step over elsewhere.
const ENOTSUPP: i32 = 524;

/// Attaches to all places by one link. Where the kernel refuses some of several, there are more links, and those are
/// left out: it does not say which they are, so halves are tried until they are found.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    path: &str,
    on_return: bool,
    places: &[UprobePlace],
    pid: Option<u32>,
) -> Result<Attached, Error> {
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
    let target = |part: Range<usize>| UprobeMulti {
        path: &c_path,
        offsets: &offsets[part.clone()],
        cookies: &cookies[part.clone()],
        counters: if has_counters { &counters[part] } else { &[] },
        on_return,
        pid: filter,
    };
    let mut attached = Attached::default();
    let mut refusal = None;
    // What is still to be attached, the next at the end.
    let whole = 0..places.len();
    let mut parts = vec![whole];
    while let Some(part) = parts.pop() {
        match bpf::link_uprobe_multi(program, &target(part.clone())) {
            Ok(link) => attached.links.push(Link {
                link: Some(link),
                event: None,
                watches: None,
            }),
            Err(failure) if !is_about_a_place(&failure) => {
                return Err(explain(probe_name, path, pid, None, &failure));
            }
            Err(failure) if part.len() == 1 => {
                refusal.get_or_insert((offsets[part.start], failure));
                attached.skipped.push(Skipped {
                    places: 1,
                    reason: None,
                });
            }
            Err(_) => {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
            }
        }
    }
    match refusal {
        Some((offset, failure)) if attached.links.is_empty() => {
            Err(explain(probe_name, path, pid, Some(offset), &failure))
        }
        _ => Ok(attached),
    }
}

fn is_about_a_place(failure: &io::Error) -> bool {
    matches!(
        failure.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP | libc::ENOEXEC | libc::EIO)
    )
}

/// Why the kernel refuses, where it is about one place at which offset.
fn explain(
    probe_name: &str,
    path: &str,
    pid: Option<u32>,
    offset: Option<u64>,
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
        _ if is_about_a_place(failure) => {
            let at = offset.map_or_else(String::new, |offset| format!(" at offset {offset:#x}"));
            error(
                probe_name,
                format!("the kernel cannot place a probe{at} of {path} ({failure})"),
                Some("it must be the first byte of an instruction that the kernel can step over, inside the file".into()),
            )
        }
        _ => error(probe_name, failure.to_string(), None),
    }
}
