//! Opening files as a process with another root directory would: openat2(2), Linux 5.6 and newer.
#![expect(unsafe_code, reason = "system calls")]

use super::{check, retry};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};

/// Opens `path` with `root` for the root directory: links in it, absolute ones and such that go up too, stay below that.
/// `flags` are those of open(2).
///
/// # Errors
/// What the kernel says: ENOSYS before 5.6.
pub fn open(root: BorrowedFd<'_>, path: &CStr, flags: i32) -> io::Result<File> {
    // SAFETY: an all-zero open_how is a valid one.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    how.resolve = libc::RESOLVE_IN_ROOT;
    let opened = retry(|| {
        // SAFETY: the path and the structure, whose size is given, live across the call.
        check(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        })
    })?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { File::from_raw_fd(opened as i32) })
}
