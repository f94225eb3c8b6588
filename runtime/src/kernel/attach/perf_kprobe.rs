//! Kernel probes by a perf event each: single functions, offsets, addresses, and kernels without kprobe_multi.

use super::perf_uprobe::{first_cpu, pmu};
use super::{Attached, error, onto_event};
use crate::backend::{Error, Skipped};
use crate::host;
use crate::kernel::help;
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use crumbs_compiler::plan::{KernelPlace, KprobePlace};
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;

/// Where the kernel describes its dynamic event type `kprobe`.
const PMU: &str = "/sys/bus/event_source/devices/kprobe";

/// Of several functions, those that the kernel cannot trace are left out; with a reason where the script names them.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    on_return: bool,
    places: &[KprobePlace],
) -> Result<Attached, Error> {
    let (kind, return_bit) = pmu(PMU).ok_or_else(|| {
        error(
            probe_name,
            format!("this kernel has no kernel probes ({PMU} is not there)"),
            Some(
                "it was built without CONFIG_KPROBE_EVENTS; tracepoints may tell the same: crumbs -l 'tracepoint:*'"
                    .into(),
            ),
        )
    })?;
    let mut attached = Attached::default();
    let mut first_failure = None;
    for place in places {
        let name = match &place.at {
            KernelPlace::Symbol { module, function, .. } if module.is_empty() => function.clone(),
            KernelPlace::Symbol { module, function, .. } => format!("{module}:{function}"),
            KernelPlace::Address(_) => String::new(),
        };
        let name = CString::new(name).map_err(|_| error(probe_name, "its name has a NUL byte", None))?;
        let spec = EventSpec {
            kind,
            config: if on_return { 1 << return_bit } else { 0 },
            sample: Sample::Period(1),
            detail: match place.at {
                KernelPlace::Symbol { offset, .. } => Detail::Probe(&name, offset),
                KernelPlace::Address(address) => Detail::Address(address),
            },
            pid: None,
            cpu: Some(first_cpu()),
        };
        match perf::open(&spec).and_then(|event| onto_event(program, event, place.cookie)) {
            Ok(link) => attached.links.push(link),
            Err(failure) if is_untraceable(&failure) && places.len() > 1 => {
                attached.skipped.push(left_out(probe_name, place, &failure));
                first_failure.get_or_insert(explain(probe_name, &place.at, &failure));
            }
            Err(failure) => return Err(explain(probe_name, &place.at, &failure)),
        }
    }
    match first_failure {
        Some(failure) if attached.links.is_empty() => Err(failure),
        _ => Ok(attached),
    }
}

/// One of several places that the kernel refuses.
pub(super) fn left_out(probe_name: &str, place: &KprobePlace, failure: &io::Error) -> Skipped {
    if place.is_named {
        return Skipped::Missing {
            places: 1,
            reason: explain(probe_name, &place.at, failure),
        };
    }
    let reason = match failure.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL) => {
            "the kernel has no place for a probe there".into()
        }
        Some(libc::EINVAL | libc::EOPNOTSUPP) => "the kernel does not let them be traced".into(),
        _ => failure.to_string(),
    };
    Skipped::Refused {
        cookie: place.cookie,
        reason,
    }
}

/// Whether the kernel refuses this function rather than all.
fn is_untraceable(failure: &io::Error) -> bool {
    matches!(
        failure.raw_os_error(),
        Some(libc::EINVAL | libc::ENOENT | libc::EADDRNOTAVAIL | libc::EOPNOTSUPP | libc::EILSEQ)
    )
}

pub(super) fn explain(probe_name: &str, place: &KernelPlace, failure: &io::Error) -> Error {
    match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::perf_privilege(
                "CAP_SYS_ADMIN (perf events on kernel functions want it)",
            )),
        ),
        Some(libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL) => error(
            probe_name,
            format!("the kernel has no function `{place}`"),
            Some(where_it_went(place)),
        ),
        Some(libc::EILSEQ) => error(
            probe_name,
            format!("`{place}` is not the first byte of an instruction"),
            None,
        ),
        Some(libc::EINVAL | libc::EOPNOTSUPP) => error(
            probe_name,
            format!("the kernel does not let `{place}` be traced ({failure})"),
            Some(
                "functions that tracing itself needs are excluded (/sys/kernel/debug/kprobes/blacklist)"
                    .into(),
            ),
        ),
        Some(libc::EMFILE | libc::ENFILE) => error(
            probe_name,
            "too many open files: without kprobe_multi each probed function takes one or two",
            Some("raise the limit with `ulimit -n`, or name fewer functions".into()),
        ),
        _ => error(probe_name, failure.to_string(), None),
    }
}

/// What to do when the kernel has no function of that name.
fn where_it_went(place: &KernelPlace) -> String {
    let clones = match place {
        KernelPlace::Symbol { function, .. } => host::clones(function),
        KernelPlace::Address(_) => Vec::new(),
    };
    match clones.as_slice() {
        [] => "it may be inlined, or of a module that is not loaded; `crumbs -l 'kprobe:*NAME*'` searches"
            .into(),
        [first, ..] => format!(
            "the compiler made {} of it, which may take other arguments: kprobe:{first}",
            clones.join(", ")
        ),
    }
}
