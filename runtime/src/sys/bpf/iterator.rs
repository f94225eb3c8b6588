//! Iterators: links to lists of the kernel, and the files that go through them.

#![expect(unsafe_code, reason = "system calls; a path is the only pointer")]

use super::{ATTACH_ITER, Command, bpf, bpf_fd, raw};
use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// `BPF_LINK_CREATE` of a program for iterators ([`ATTACH_ITER`]) to its list.
///
/// # Errors
/// The kernel's: `EINVAL` for lists that want to be told of which object.
pub fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attr = Attr {
        prog_fd: raw(program),
        target_fd: 0,
        attach_type: ATTACH_ITER,
        flags: 0,
    };
    // SAFETY: the first fields of BPF_LINK_CREATE; no pointers.
    unsafe { bpf_fd(Command::LinkCreate, &mut attr) }
}

/// `BPF_ITER_CREATE`: a file whose reading runs the program of an iterator's link for element after element.
///
/// # Errors
/// The kernel's.
pub fn iterator_create(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        link_fd: u32,
        flags: u32,
    }
    let mut attr = Attr {
        link_fd: raw(link),
        flags: 0,
    };
    // SAFETY: the fields of BPF_ITER_CREATE; no pointers.
    unsafe { bpf_fd(Command::IterCreate, &mut attr) }
}

/// `BPF_OBJ_PIN` of a link: a file at `path`, in a BPF file system, that keeps the link. Of an iterator's link it is a file whose
/// reading runs the program.
///
/// # Errors
/// The kernel's: `EPERM` where `path` is in no BPF file system, `EEXIST`, `ENOENT` without its directory.
pub fn pin(link: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    #[repr(C)]
    struct Attr {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
    }
    let mut attr = Attr {
        pathname: path.as_ptr() as u64,
        bpf_fd: raw(link),
        file_flags: 0,
    };
    // SAFETY: the first fields of BPF_OBJ_PIN; the path ends in NUL and lives through the call.
    unsafe { bpf(Command::ObjPin, &mut attr) }.map(drop)
}
