//! System calls: `bpf(2)`, `perf_event_open(2)`, memory mappings, polling.
//!
//! In: plain values and borrowed descriptors. Out: [`std::os::fd::OwnedFd`]s (all close-on-exec), bytes and
//! [`std::io::Error`]s that carry the kernel's `errno` unchanged; putting them into the user's terms is the callers'
//! work. Nothing here keeps state, retries for a reason other than `EINTR` and the verifier's `EAGAIN`, or panics.

pub mod bpf;
pub mod fork;
pub mod in_root;
pub mod mmap;
pub mod mmap_events;
pub mod mount;
pub mod perf;
pub mod poll;
pub mod process;
pub(crate) mod user;

use std::io;

/// Repeats a system call while it is interrupted by a signal.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The result of a system call that returns -1 and sets `errno` on failure.
pub(crate) fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}
