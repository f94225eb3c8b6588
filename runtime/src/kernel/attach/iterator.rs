//! Lists of the kernel, gone through by reading a file: each read runs the program for a portion of the elements.

use super::{Link, error};
use crate::backend::Error;
use crate::kernel::help;
use crate::sys::bpf;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// More than the kernel keeps of what programs write (`PAGE_SIZE << 3`, kernel/bpf/bpf_iter.c), so that a read takes it
/// all.
const BUFFER: usize = 64 << 10;

/// A list under way.
#[derive(Debug)]
pub struct Iteration {
    file: File,
}

impl Iteration {
    /// Runs the program for the next portion. Gives whether there may be more.
    ///
    /// # Errors
    /// When the kernel gives up.
    pub fn step(&mut self) -> std::io::Result<bool> {
        let mut text = vec![0; BUFFER];
        match self.file.read(&mut text) {
            Ok(length) => Ok(length > 0),
            // So many elements were passed over that the kernel wants to be asked again.
            Err(failure) if matches!(failure.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                Ok(true)
            }
            Err(failure) => Err(failure),
        }
    }
}

pub(super) fn attach(
    program: BorrowedFd<'_>,
    probe_name: &str,
    list: &str,
) -> Result<(Link, Iteration), Error> {
    let refused = |failure: std::io::Error| match failure.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => error(
            probe_name,
            "the kernel does not permit it",
            Some(help::bpf_privilege()),
        ),
        Some(libc::EINVAL | libc::EBADF) => error(
            probe_name,
            format!("the kernel goes through `{list}` for one object only, which a script cannot name"),
            None,
        ),
        _ => error(probe_name, failure.to_string(), None),
    };
    let link = bpf::link_iterator(program).map_err(refused)?;
    let file = bpf::iterator_create(link.as_fd()).map_err(refused)?;
    let link = Link {
        link: Some(link),
        event: None,
        watches: None,
    };
    Ok((link, Iteration { file: file.into() }))
}
