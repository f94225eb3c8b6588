//! Raw tracepoints, by a descriptor of their own.

use super::{Link, error};
use crate::backend::Error;
use crate::kernel::{help, probe};
use crate::sys::bpf;
use crumbs_compiler::target::Feature;
use std::ffi::CString;
use std::os::fd::BorrowedFd;

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    event: &str,
    cookie: u32,
) -> Result<Vec<Link>, Error> {
    let name = CString::new(event).map_err(|_| error(probe_name, "its name has a NUL byte", None))?;
    // Programs that run where there are no cookies do not read theirs.
    let cookie = if probe::has(Feature::RawTracepointCookies) {
        cookie
    } else {
        0
    };
    let link =
        bpf::raw_tracepoint_open(program, Some(&name), u64::from(cookie)).map_err(|failure| match failure
            .raw_os_error()
        {
            Some(libc::EPERM | libc::EACCES) => error(
                probe_name,
                "the kernel does not permit it",
                Some(help::bpf_privilege()),
            ),
            Some(libc::ENOENT) => error(
                probe_name,
                format!("the kernel has no tracepoint `{event}`"),
                Some("`crumbs -l 'rawtracepoint:*'` lists them".into()),
            ),
            Some(libc::EINVAL) => error(
                probe_name,
                "the tracepoint has fewer arguments than the script reads",
                None,
            ),
            _ => error(probe_name, failure.to_string(), None),
        })?;
    Ok(vec![Link {
        link: Some(link),
        event: None,
        watches: None,
    }])
}
