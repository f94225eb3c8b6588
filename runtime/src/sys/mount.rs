//! Mounting a file system without putting it anywhere: fsopen(2), fsconfig(2), fsmount(2), Linux 5.2 and newer.
#![expect(unsafe_code, reason = "system calls")]

use super::check;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// `FSOPEN_CLOEXEC` and `FSMOUNT_CLOEXEC` (include/uapi/linux/mount.h).
const CLOEXEC: libc::c_uint = 1;
/// `FSCONFIG_CMD_CREATE`.
const CMD_CREATE: libc::c_uint = 6;

/// A mount of `kind` that only the descriptor leads to; it goes with the descriptor. Paths below it are
/// `/proc/self/fd/N/…`.
///
/// # Errors
/// What the kernel says: EPERM without CAP_SYS_ADMIN, ENOSYS before 5.2.
pub fn detached(kind: &CStr) -> io::Result<OwnedFd> {
    let owned = |fd: libc::c_long| {
        // SAFETY: a descriptor that the kernel has just made for us.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    };
    // SAFETY: the name is a C string that lives across the call.
    let context = check(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC) }).map(owned)?;
    let (key, value) = (ptr::null::<u8>(), ptr::null::<u8>());
    // SAFETY: the command takes no key, value or number.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CMD_CREATE, key, value, 0) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0) }).map(owned)
}
