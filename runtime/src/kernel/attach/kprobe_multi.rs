//! Kernel probes by kprobe_multi links: many functions at the price of one.
//!
//! The kernel refuses a list as a whole if it cannot trace one function of it. The list is then halved until what is
//! refused stands alone and can be left out, unless the script names it: few links, and few tries where few functions are
//! refused.
//!
//! By its name the kernel finds the first function that has it, its own before those of modules. One that is meant in a
//! module is given by its address.

use super::perf_kprobe::{explain, left_out};
use super::{Attached, Link, error};
use crate::backend::Error;
use crate::host;
use crate::kernel::help;
use crate::sys::bpf::{self, KernelFunctions};
use crumbs_compiler::plan::{KernelPlace, KprobePlace};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    on_return: bool,
    places: &[KprobePlace],
) -> Result<Attached, Error> {
    let (in_modules, others): (Vec<Known<'_>>, Vec<Known<'_>>) = known(places)
        .ok_or_else(|| error(probe_name, "its name has a NUL byte", None))?
        .into_iter()
        .partition(|function| function.address.is_some());
    let mut attached = Attached::default();
    let mut first_failure = None;
    // What is still to be attached, the next at the end; either all by address or all by name.
    let mut parts: Vec<&[Known<'_>]> = vec![&in_modules, &others];
    parts.retain(|part| !part.is_empty());
    while let Some(part) = parts.pop() {
        let cookies: Vec<u64> = part.iter().map(|one| u64::from(one.place.cookie)).collect();
        let addresses: Vec<u64> = part.iter().filter_map(|one| one.address).collect();
        let names: Vec<&CStr> = part.iter().map(|one| one.name.as_c_str()).collect();
        let functions = if addresses.is_empty() {
            KernelFunctions::Names(&names)
        } else {
            KernelFunctions::Addresses(&addresses)
        };
        match bpf::link_kprobe_multi(program, functions, &cookies, on_return) {
            Ok(link) => attached.links.push(Link {
                link: Some(link),
                event: None,
                watches: None,
            }),
            Err(failure) if !is_about_a_function(&failure) => {
                return Err(refused(probe_name, &failure));
            }
            Err(failure) => match part {
                [Known { place, .. }] => {
                    attached.skipped.push(left_out(probe_name, place, &failure));
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

/// A function, as the kernel can find it.
struct Known<'a> {
    name: CString,
    /// Its address, where it is of a module.
    address: Option<u64>,
    place: &'a KprobePlace,
}

/// `None` where a name has a NUL byte.
fn known(places: &[KprobePlace]) -> Option<Vec<Known<'_>>> {
    let symbol = |place| match place {
        &KprobePlace {
            at:
                KernelPlace::Symbol {
                    ref module,
                    ref function,
                    ..
                },
            ..
        } => (module.as_str(), function.as_str()),
        _ => ("", ""),
    };
    let in_modules: HashSet<(&str, &str)> = places
        .iter()
        .map(symbol)
        .filter(|(module, _)| !module.is_empty())
        .collect();
    // Reading the kernel's symbols takes long.
    let addresses = match in_modules.is_empty() {
        true => Default::default(),
        false => host::module_functions(&in_modules),
    };
    let known = |place| {
        let (module, function) = symbol(place);
        Some(Known {
            name: CString::new(function).ok()?,
            address: addresses.get(&(module.to_owned(), function.to_owned())).copied(),
            place,
        })
    };
    places.iter().map(known).collect()
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
