//! `perf_event_open(2)` for events that BPF programs are attached to. None of them samples into a buffer.
#![expect(unsafe_code, reason = "system calls")]

use super::{check, retry};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `PERF_TYPE_SOFTWARE`.
pub const TYPE_SOFTWARE: u32 = 1;
/// `PERF_TYPE_TRACEPOINT`; `config` is the tracepoint's id.
pub const TYPE_TRACEPOINT: u32 = 2;
/// `PERF_TYPE_HARDWARE`; `config` is of `enum perf_hw_id`.
pub const TYPE_HARDWARE: u32 = 0;
/// `PERF_TYPE_BREAKPOINT`.
pub const TYPE_BREAKPOINT: u32 = 5;
/// `PERF_COUNT_SW_CPU_CLOCK`, a `config` of [`TYPE_SOFTWARE`].
pub const CPU_CLOCK: u64 = 0;

/// `PERF_COUNT_SW_DUMMY`, a `config` of [`TYPE_SOFTWARE`]: never happens by itself.
const DUMMY: u64 = 9;
/// `PERF_SAMPLE_TIME`.
const SAMPLE_TIME: u64 = 1 << 2;
/// The bits `disabled`, `mmap`, `comm`, `task`, `sample_id_all`, `mmap2` and `comm_exec` of the flags.
const ATTR_PROCESS_EVENTS: u64 = 1 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 23 | 1 << 24;

/// `PERF_FLAG_FD_CLOEXEC`.
const FD_CLOEXEC: libc::c_ulong = 8;
/// `_IO('$', 0)`, `PERF_EVENT_IOC_ENABLE`; the same on x86-64 and aarch64.
const IOC_ENABLE: libc::c_ulong = 0x2400;
/// `_IOW('$', 8, __u32)`, `PERF_EVENT_IOC_SET_BPF`; the same on x86-64 and aarch64.
const IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
/// The bit `inherit` of the flags: threads and processes that a task starts are counted with it.
const ATTR_INHERIT: u64 = 1 << 1;
/// The bit `watermark` of the flags: `wakeup_events` counts bytes.
const ATTR_WATERMARK: u64 = 1 << 14;
/// The bit `freq` of the flags: `sample` is a frequency.
const ATTR_FREQ: u64 = 1 << 10;

/// How often an event fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// After so many of it (for [`CPU_CLOCK`]: nanoseconds).
    Period(u64),
    /// So often a second.
    Frequency(u64),
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct EventSpec<'a> {
    /// `attr.type`: one of the constants or a dynamic type from sysfs.
    pub kind: u32,
    /// `attr.config`.
    pub config: u64,
    /// How often.
    pub sample: Sample,
    /// What some types want to know beside `config`.
    pub detail: Detail<'a>,
    /// Only this thread (for uprobes: process); `None` for all. Exactly one of `pid` and `cpu` must be given.
    pub pid: Option<i32>,
    /// Only this CPU; `None` for all that the process runs on.
    pub cpu: Option<u32>,
}

/// What some types of event want to know.
#[derive(Clone, Copy, Debug)]
pub enum Detail<'a> {
    /// Nothing.
    None,
    /// Count what the thread starts as well.
    Inherit,
    /// User and kernel probes: the binary or function, and the offset in it.
    Probe(&'a CStr, u64),
    /// User probes with a counter: the binary, the offset, and the counter's offset (USDT semaphores), which goes into the upper half of `config`.
    Counted(&'a CStr, u64, u32),
    /// Kernel probes: an address.
    Address(u64),
    /// Breakpoints: address, bytes and `HW_BREAKPOINT_*`; counts what the thread starts as well where it is for one.
    Breakpoint {
        /// Virtual address.
        address: u64,
        /// Bytes.
        length: u64,
        /// `HW_BREAKPOINT_R` (1), `W` (2), `X` (4).
        access: u32,
    },
}

/// `struct perf_event_attr` up to `PERF_ATTR_SIZE_VER1` (include/uapi/linux/perf_event.h).
#[repr(C)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
}

/// `perf_event_open(2)`: an event that counts at once.
///
/// # Errors
/// The kernel's: `EACCES` and `EPERM` without privilege (see `perf_event_paranoid`), `ENOENT` and `EOPNOTSUPP` for an
/// event that the machine lacks, `ENODEV` for a CPU that is offline, `EINVAL` for an address that cannot be probed.
pub fn open(spec: &EventSpec<'_>) -> io::Result<OwnedFd> {
    let (sample, flags) = match spec.sample {
        Sample::Period(period) => (period, 0),
        Sample::Frequency(hertz) => (hertz, ATTR_FREQ),
    };
    let inherits = spec.pid.is_some() && matches!(spec.detail, Detail::Inherit | Detail::Breakpoint { .. });
    let flags = flags | if inherits { ATTR_INHERIT } else { 0 };
    let (config, bp_type, config1, config2) = match spec.detail {
        Detail::None | Detail::Inherit => (0, 0, 0, 0),
        Detail::Probe(name, offset) => (0, 0, name.as_ptr().addr() as u64, offset),
        // `PERF_UPROBE_REF_CTR_OFFSET_SHIFT` of kernel/events/core.c.
        Detail::Counted(name, offset, counter) => {
            (u64::from(counter) << 32, 0, name.as_ptr().addr() as u64, offset)
        }
        Detail::Address(address) => (0, 0, 0, address),
        Detail::Breakpoint {
            address,
            length,
            access,
        } => (0, access, address, length),
    };
    let attr = Attr {
        kind: spec.kind,
        size: size_of::<Attr>() as u32,
        config: spec.config | config,
        sample,
        sample_type: 0,
        read_format: 0,
        flags,
        wakeup_events: 1,
        bp_type,
        config1,
        config2,
    };
    let pid = spec.pid.unwrap_or(-1);
    let cpu = spec.cpu.map_or(-1, |cpu| i32::try_from(cpu).unwrap_or(i32::MAX));
    open_attr(&attr, pid, cpu)
}

/// An event, not enabled yet, that reports executable mappings, forks and execs of all processes on a CPU into the
/// buffer that is mapped from it (see [`super::mmap_events`]). Where it `wakes`, its descriptor is readable after each report.
///
/// # Errors
/// As [`open`].
pub fn open_process_events(cpu: u32, wakes: bool) -> io::Result<OwnedFd> {
    let attr = Attr {
        kind: TYPE_SOFTWARE,
        size: size_of::<Attr>() as u32,
        config: DUMMY,
        sample: 0,
        sample_type: SAMPLE_TIME,
        read_format: 0,
        flags: ATTR_PROCESS_EVENTS | if wakes { ATTR_WATERMARK } else { 0 },
        // With a watermark: how many bytes.
        wakeup_events: u32::from(wakes),
        bp_type: 0,
        config1: 0,
        config2: 0,
    };
    open_attr(&attr, -1, i32::try_from(cpu).unwrap_or(i32::MAX))
}

fn open_attr(attr: &Attr, pid: i32, cpu: i32) -> io::Result<OwnedFd> {
    let fd = retry(|| {
        // SAFETY: `attr` is of the size it says; the path it may point to ends in NUL and outlives the call.
        check(unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                std::ptr::from_ref(attr),
                pid,
                cpu,
                -1,
                FD_CLOEXEC,
            )
        })
    })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `PERF_EVENT_IOC_SET_BPF` and `PERF_EVENT_IOC_ENABLE`: attaches until the event is closed. For kernels without
/// perf event links.
///
/// # Errors
/// The kernel's.
pub fn set_bpf(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the argument is a descriptor, no pointer.
    check(libc::c_long::from(unsafe {
        libc::ioctl(event.as_raw_fd(), IOC_SET_BPF as _, program.as_raw_fd())
    }))?;
    enable(event)
}

/// `PERF_EVENT_IOC_ENABLE`.
///
/// # Errors
/// The kernel's.
pub fn enable(event: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointer.
    check(libc::c_long::from(unsafe {
        libc::ioctl(event.as_raw_fd(), IOC_ENABLE as _, 0)
    }))
    .map(drop)
}
