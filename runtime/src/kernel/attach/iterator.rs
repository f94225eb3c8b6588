//! Lists of the kernel, gone through by reading a file: each read runs the program for a portion of the elements.

use super::{Link, error};
use crate::backend::Error;
use crate::kernel::help;
use crate::sys::bpf;
use std::ffi::CString;
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

/// A file that stays: reading it runs the program. Until [`Pin::keep`] it goes away with this, so that a run that fails leaves
/// nothing behind.
#[derive(Debug)]
pub struct Pin {
    path: String,
    kept: bool,
}

impl Pin {
    /// The file stays; gives where it is.
    pub fn keep(mut self) -> String {
        self.kept = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing more can be done about a file that does not go away.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Pins a list and its program. Nobody goes through the list here.
pub(super) fn pin(program: BorrowedFd<'_>, probe_name: &str, list: &str, path: &str) -> Result<Pin, Error> {
    // A descriptor that is for reading this list fails for the reasons that reading the file would.
    let (link, _) = attach(program, probe_name, list)?;
    let refused = |failure: std::io::Error| {
        let (reason, help) = match failure.raw_os_error() {
            Some(libc::EEXIST) => (
                format!("{path} is there already"),
                Some(format!("remove it (rm {path}), or take another name")),
            ),
            Some(libc::ENOENT | libc::ENOTDIR) => (
                format!("the directory of {path} is not there"),
                Some("a name alone is put into /sys/fs/bpf".to_owned()),
            ),
            Some(libc::EPERM) => (
                format!("{path} is in no BPF file system"),
                Some("pins are files there: /sys/fs/bpf (`mount -t bpf bpf /sys/fs/bpf`)".to_owned()),
            ),
            Some(libc::EACCES) => (
                format!("{path} may not be made"),
                Some("run as root (sudo), or pin in a directory that is yours".to_owned()),
            ),
            _ => (format!("cannot pin to {path}: {failure}"), None),
        };
        error(probe_name, reason, help)
    };
    let name = CString::new(path).map_err(|failure| refused(failure.into()))?;
    let Some(descriptor) = &link.link else {
        return Err(error(probe_name, "there is no link to pin", None));
    };
    bpf::pin(descriptor.as_fd(), &name).map_err(refused)?;
    Ok(Pin {
        path: path.to_owned(),
        kept: false,
    })
}
