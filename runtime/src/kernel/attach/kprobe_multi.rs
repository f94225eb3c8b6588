//! Kernel probes by kprobe_multi links: many functions at the price of one.
//!
//! The kernel refuses a list as a whole if it cannot trace one function of it. The list is then halved until what is
//! refused stands alone and can be left out, unless the script names it: few links, and few tries where few functions are
//! refused.

use super::perf_kprobe::explain;
use super::{Attached, Link, error};
use crate::backend::{Error, Skipped};
use crate::kernel::help;
use crate::sys::bpf;
use crumbs_compiler::plan::{KernelPlace, KprobePlace};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    on_return: bool,
    places: &[KprobePlace],
) -> Result<Attached, Error> {
    let names: Vec<CString> = places
        .iter()
        .map(|place| match &place.at {
            // The kernel looks in modules itself.
            KernelPlace::Symbol { function, .. } => CString::new(function.as_str()),
            KernelPlace::Address(_) => CString::new(""),
        })
        .collect::<Result<_, _>>()
        .map_err(|_| error(probe_name, "its name has a NUL byte", None))?;
    let all: Vec<(&CStr, &KprobePlace)> = names.iter().map(CString::as_c_str).zip(places).collect();
    let mut attached = Attached::default();
    let mut first_failure = None;
    // What is still to be attached, the next at the end.
    let mut parts = vec![&all[..]];
    while let Some(part) = parts.pop() {
        let (names, cookies): (Vec<&CStr>, Vec<u64>) = part
            .iter()
            .map(|&(name, place)| (name, u64::from(place.cookie)))
            .unzip();
        match bpf::link_kprobe_multi(program, &names, &cookies, on_return) {
            Ok(link) => attached.links.push(Link {
                link: Some(link),
                event: None,
                watches: None,
            }),
            Err(failure) if !is_about_a_function(&failure) => {
                return Err(refused(probe_name, &failure));
            }
            Err(failure) => match part {
                [(_, place)] => {
                    attached.skipped.push(Skipped {
                        places: 1,
                        reason: place.is_named.then(|| explain(probe_name, &place.at, &failure)),
                    });
                    first_failure.get_or_insert(failure);
                }
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            },
        }
    }
    match first_failure {
        Some(failure) if attached.links.is_empty() => Err(explain(probe_name, &places[0].at, &failure)),
        _ => Ok(attached),
    }
}

fn is_about_a_function(failure: &io::Error) -> bool {
    matches!(
        failure.raw_os_error(),
        Some(libc::ESRCH | libc::ENOENT | libc::EINVAL | libc::EADDRNOTAVAIL | libc::EBUSY)
    )
}

fn refused(probe_name: &str, failure: &io::Error) -> Error {
    match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::bpf_privilege()),
        ),
        _ => error(probe_name, failure.to_string(), None),
    }
}
