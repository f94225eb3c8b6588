//! Facts and limits of processes: `pidfd_open(2)`, `setrlimit(2)`, `uname(2)`.
#![expect(unsafe_code, reason = "system calls")]

use super::check;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `pidfd_open(2)`: a descriptor that is readable once the process has ended.
///
/// # Errors
/// The kernel's: `ESRCH` when there is no such process, `EINVAL` for a thread that does not lead its process.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Whether a process (also one that has ended and was not waited for) of this id exists.
pub fn exists(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: signal 0 only checks.
    unsafe { libc::kill(pid, 0) == 0 || *libc::__errno_location() == libc::EPERM }
}

/// Whether a descriptor is readable within `timeout_ms`.
///
/// # Errors
/// The kernel's.
pub fn readable(fd: BorrowedFd<'_>, timeout_ms: i32) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd that lives through the call.
    super::retry(|| {
        check(libc::c_long::from(unsafe {
            libc::poll(&raw mut poll, 1, timeout_ms)
        }))
    })
    .map(|ready| ready > 0)
}

/// The CPU that the calling thread is on now; it may be on another as soon as this returns.
pub fn current_cpu() -> Option<usize> {
    // SAFETY: takes nothing.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Keeps the calling thread on a CPU from now on.
///
/// # Errors
/// The kernel's: `EINVAL` where the thread may not run there; also for CPUs behind those that a `cpu_set_t` holds.
pub fn stay_on(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all-zero is a valid set, and the number is one of its bits.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: a set of the size given, that lives through the call.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    check(libc::c_long::from(done)).map(drop)
}

/// `uname -r`.
pub fn kernel_release() -> String {
    // SAFETY: all-zero is a valid utsname.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the struct with NUL-terminated strings; left zero on failure.
    unsafe {
        libc::uname(&raw mut names);
        CStr::from_ptr(names.release.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}

/// Raises `RLIMIT_MEMLOCK` to no limit.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_RESOURCE.
pub fn unlimit_locked_memory() -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the struct lives through the call.
    check(libc::c_long::from(unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit)
    }))
    .map(drop)
}

/// Makes all threads allocate from one heap, which grows in large steps. For a short process of few threads: glibc's
/// further heaps cost address space and time, since they grow a page and a system call at a time.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; settings that are refused stay as they are.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
        // Memory that is given back comes again as pages that are zeroed again.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
    }
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::geteuid() }
}

/// `memfd_create(2)`: a file of `len` zeros that has no name anywhere.
///
/// # Errors
/// The kernel's.
pub fn memory_file(name: &CStr, len: u64) -> io::Result<std::fs::File> {
    // SAFETY: the name ends in NUL and outlives the call.
    let fd = check(libc::c_long::from(unsafe {
        libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC)
    }))?;
    // SAFETY: the kernel has just made this descriptor for us.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) });
    file.set_len(len)?;
    Ok(file)
}
