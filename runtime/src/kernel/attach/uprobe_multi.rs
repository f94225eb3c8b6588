//! User probes by one uprobe_multi link (6.6): many places of one binary at the price of one. It is used for single
//! places too, as it attaches in less time than a perf event, detaches in much less, and needs no CAP_SYS_ADMIN.

use super::{Attached, Link, ended, error};
use crate::backend::{Error, Skipped};
use crate::host::reach;
use crate::kernel::{help, probe};
use crate::sys::bpf::{self, UprobeMulti};
use crumbs_compiler::plan::UprobePlace;
use crumbs_compiler::target::Feature;
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Why a place is refused, of those that a wildcard means.
pub(super) const CANNOT_STEP: &str = "the kernel cannot step over the instruction there";

/// `ENOTSUPP` (include/linux/errno.h): an instruction that the kernel can neither emulate nor step over elsewhere.
const ENOTSUPP: i32 = 524;

/// Attaches to all places by one link. Where the kernel refuses some of several, there are more links, and those are
/// left out: it does not say which they are, so first those are set apart that it refuses by their first byte, and then
/// halves are tried until they are found. Each try costs as much as an attachment: much, where many processes run the file.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    path: &str,
    on_return: bool,
    places: &[UprobePlace],
    pid: Option<u32>,
) -> Result<Attached, Error> {
    let (reached, _open) = reach::for_kernel(Path::new(path))
        .map_err(|failure| explain(probe_name, path, pid, None, &failure))?;
    let c_path = CString::new(reached.into_os_string().into_vec())
        .map_err(|_| error(probe_name, "its path has a NUL byte", None))?;
    let mut lists = Lists::of(places);
    let filter = pid.filter(|_| probe::has(Feature::UprobeMultiPid)).unwrap_or(0);
    let mut attached = Attached::default();
    let mut refusal = None;
    // What is still to be attached, the next at the end.
    let whole = 0..places.len();
    let mut parts = vec![whole];
    while let Some(part) = parts.pop() {
        let target = UprobeMulti {
            path: &c_path,
            offsets: &lists.offsets[part.clone()],
            cookies: &lists.cookies[part.clone()],
            counters: lists.counters.get(part.clone()).unwrap_or_default(),
            on_return,
            pid: filter,
        };
        match bpf::link_uprobe_multi(program, &target) {
            Ok(link) => attached.links.push(Link {
                link: Some(link),
                event: None,
                watches: None,
            }),
            Err(failure) if !is_about_a_place(&failure) => {
                return Err(explain(probe_name, path, pid, None, &failure));
            }
            Err(failure) if part.len() == 1 => {
                refusal.get_or_insert((lists.offsets[part.start], failure));
                attached.skipped.push(Skipped::Refused {
                    cookie: lists.cookies[part.start] as u32,
                    reason: CANNOT_STEP.into(),
                });
            }
            Err(_) if part.len() == places.len() => {
                let (others, refused) = sorted_out(path, places);
                let middle = match (others.len(), refused.len()) {
                    (0, _) | (_, 0) => places.len() / 2,
                    (others, _) => others,
                };
                lists = Lists::of(others.iter().chain(&refused));
                parts.extend([middle..places.len(), 0..middle]);
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

/// Places as the kernel takes them.
struct Lists {
    offsets: Vec<u64>,
    cookies: Vec<u64>,
    /// Empty where there is none.
    counters: Vec<u64>,
}

impl Lists {
    fn of<'a>(places: impl IntoIterator<Item = &'a UprobePlace, IntoIter: Clone>) -> Self {
        let places = places.into_iter();
        let has_counters = places.clone().any(|place| place.counter != 0);
        Self {
            offsets: places.clone().map(|place| place.offset).collect(),
            cookies: places.clone().map(|place| u64::from(place.cookie)).collect(),
            counters: places
                .filter(|_| has_counters)
                .map(|place| place.counter)
                .collect(),
        }
    }
}

/// Places, and those at instructions that no kernel places a probe on: with a `lock` prefix or one of the segments of old
/// (`is_prefix_bad` of arch/x86/kernel/uprobes.c). They are few and simple functions, such as `pthread_spin_lock`.
fn sorted_out(path: &str, places: &[UprobePlace]) -> (Vec<UprobePlace>, Vec<UprobePlace>) {
    let file = reach::open(Path::new(path)).ok();
    let is_refused = |place: &&UprobePlace| {
        let mut first = [0];
        let read = file
            .as_ref()
            .map(|file| file.read_exact_at(&mut first, place.offset));
        cfg!(target_arch = "x86_64")
            && matches!(read, Some(Ok(())))
            && matches!(first, [0xf0 | 0x26 | 0x2e | 0x36 | 0x3e])
    };
    let (refused, others) = places.iter().partition(is_refused);
    (others, refused)
}

pub(super) fn is_about_a_place(failure: &io::Error) -> bool {
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
