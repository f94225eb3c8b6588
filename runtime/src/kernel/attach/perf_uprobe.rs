//! User probes by a perf event each: kernels before 6.6. No tracefs event is created, so nothing can be left behind.
//! Of several places, those that the kernel refuses are left out.

use super::uprobe_multi::{CANNOT_STEP, is_about_a_place};
use super::{Attached, ended, error, onto_event};
use crate::backend::{Error, Skipped};
use crate::host::reach;
use crate::kernel::help;
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use crumbs_compiler::plan::UprobePlace;
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Where the kernel describes its dynamic event type `uprobe`.
pub(in crate::kernel) const PMU: &str = "/sys/bus/event_source/devices/uprobe";

pub(in crate::kernel) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    path: &str,
    on_return: bool,
    places: &[UprobePlace],
    pid: Option<u32>,
) -> Result<Attached, Error> {
    let (reached, _open) =
        reach::for_kernel(Path::new(path)).map_err(|failure| explain(probe_name, path, 0, pid, &failure))?;
    let c_path = CString::new(reached.into_os_string().into_vec())
        .map_err(|_| error(probe_name, "its path has a NUL byte", None))?;
    let (kind, return_bit) = pmu(PMU).ok_or_else(|| {
        error(
            probe_name,
            format!("the kernel has no perf event type for user probes ({PMU}/type)"),
            Some("it was built without CONFIG_UPROBE_EVENTS, or /sys is not mounted".into()),
        )
    })?;
    let filter = pid.and_then(|pid| i32::try_from(pid).ok());
    let mut attached = Attached::default();
    let mut refusal = None;
    for place in places {
        let spec = EventSpec {
            kind,
            config: if on_return { 1 << return_bit } else { 0 },
            sample: Sample::Period(1),
            detail: match u32::try_from(place.counter) {
                Ok(counter) if counter > 0 => Detail::Counted(&c_path, place.offset, counter),
                _ => Detail::Probe(&c_path, place.offset),
            },
            pid: filter,
            // The program runs on every CPU whichever the event belongs to.
            cpu: if filter.is_some() { None } else { Some(first_cpu()) },
        };
        match perf::open(&spec).and_then(|event| onto_event(program, event, place.cookie)) {
            Ok(link) => attached.links.push(link),
            Err(failure) if is_about_a_place(&failure) && places.len() > 1 => {
                refusal.get_or_insert(explain(probe_name, path, place.offset, pid, &failure));
                attached.skipped.push(Skipped::Refused {
                    cookie: place.cookie,
                    reason: CANNOT_STEP.into(),
                });
            }
            Err(failure) => return Err(explain(probe_name, path, place.offset, pid, &failure)),
        }
    }
    match refusal {
        Some(refusal) if attached.links.is_empty() => Err(refusal),
        _ => Ok(attached),
    }
}

pub(super) fn first_cpu() -> u32 {
    crate::kernel::probe::online_cpus().first().copied().unwrap_or(0)
}

/// The number of the dynamic event type described in `directory`, and which bit of `config` asks for the return.
pub(in crate::kernel) fn pmu(directory: &str) -> Option<(u32, u32)> {
    let kind = std::fs::read_to_string(format!("{directory}/type"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let bit = std::fs::read_to_string(format!("{directory}/format/retprobe"))
        .ok()
        .and_then(|text| text.trim().strip_prefix("config:")?.parse().ok())
        .filter(|bit| *bit < 64)
        .unwrap_or(0);
    Some((kind, bit))
}

fn explain(probe_name: &str, path: &str, offset: u64, pid: Option<u32>, failure: &io::Error) -> Error {
    match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::perf_privilege(
                "CAP_SYS_ADMIN (perf events on user probes want it before uprobe_multi, kernel 6.6)",
            )),
        ),
        Some(libc::ESRCH) => ended(probe_name, pid),
        Some(libc::ENOENT) => error(probe_name, format!("there is no file {path}"), None),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOEXEC | libc::EIO) => error(
            probe_name,
            format!("the kernel cannot place a probe at offset {offset:#x} of {path} ({failure})"),
            Some(
                "it must be the first byte of an instruction that the kernel can step over, inside the file"
                    .into(),
            ),
        ),
        Some(libc::EMFILE | libc::ENFILE) => error(
            probe_name,
            "too many open files: before kernel 6.6 each probed function takes one or two",
            Some("raise the limit with `ulimit -n`, or name fewer functions".into()),
        ),
        _ => error(probe_name, failure.to_string(), None),
    }
}
