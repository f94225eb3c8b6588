//! `bpf(2)`, the commands that crumbs uses.
//!
//! The argument structs are the leading parts of `union bpf_attr` (include/uapi/linux/bpf.h): the kernel takes any
//! size, reads what it does not get as zero, and refuses non-zero bytes that it does not know, so a field that is
//! newer than 5.10 is left 0 unless its feature is there.
#![expect(unsafe_code, reason = "system calls; every buffer's size is checked here")]

mod iterator;
mod module;
mod program;

use super::{check, retry};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use iterator::{iterator_create, link_iterator, pin};
pub use module::module_btf;
pub use program::{ProgramTypes, btf_bytes, program_by_id, program_types, programs};

/// `BPF_F_NO_PREALLOC`.
pub const NO_PREALLOC: u32 = 1;
/// `BPF_F_MMAPABLE`.
pub const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_SLEEPABLE`, a flag of a program.
pub const SLEEPABLE: u32 = 1 << 4;
/// `BPF_ANY`: insert or overwrite.
pub const ANY: u64 = 0;
/// `BPF_NOEXIST`: insert only.
pub const NOEXIST: u64 = 1;
/// `BPF_EXIST`: overwrite only.
pub const EXIST: u64 = 2;
/// `BPF_PERF_EVENT` of `enum bpf_attach_type`.
pub const ATTACH_PERF_EVENT: u32 = 41;
/// `BPF_TRACE_FENTRY` of `enum bpf_attach_type`.
pub const ATTACH_FENTRY: u32 = 24;
/// `BPF_TRACE_FEXIT` of `enum bpf_attach_type`.
pub const ATTACH_FEXIT: u32 = 25;
/// `BPF_TRACE_ITER` of `enum bpf_attach_type`.
pub const ATTACH_ITER: u32 = 28;
/// `BPF_TRACE_UPROBE_MULTI` of `enum bpf_attach_type`.
pub const ATTACH_UPROBE_MULTI: u32 = 48;
/// `BPF_TRACE_KPROBE_MULTI` of `enum bpf_attach_type`.
pub const ATTACH_KPROBE_MULTI: u32 = 42;
/// `BPF_F_KPROBE_MULTI_RETURN`.
const KPROBE_MULTI_RETURN: u32 = 1;
/// `BPF_STATS_RUN_TIME` of `enum bpf_stats_type`.
const STATS_RUN_TIME: u32 = 0;
/// `BPF_F_UPROBE_MULTI_RETURN`.
const UPROBE_MULTI_RETURN: u32 = 1;
/// `BPF_OBJ_NAME_LEN`, with its NUL.
const NAME_LEN: usize = 16;

/// Numbers of `enum bpf_map_type` that no plan names.
pub mod map_type {
    /// `BPF_MAP_TYPE_ARRAY`.
    pub const ARRAY: u32 = 2;
    /// `BPF_MAP_TYPE_ARRAY_OF_MAPS`.
    pub const ARRAY_OF_MAPS: u32 = 12;
}

/// Numbers of `enum bpf_prog_type`.
pub mod prog_type {
    /// `BPF_PROG_TYPE_KPROBE`: user probes too.
    pub const KPROBE: u32 = 2;
    /// `BPF_PROG_TYPE_TRACEPOINT`.
    pub const TRACEPOINT: u32 = 5;
    /// `BPF_PROG_TYPE_PERF_EVENT`.
    pub const PERF_EVENT: u32 = 7;
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`.
    pub const RAW_TRACEPOINT: u32 = 17;
    /// `BPF_PROG_TYPE_TRACING`.
    pub const TRACING: u32 = 26;
}

/// Numbers of `enum bpf_cmd`.
#[derive(Clone, Copy)]
#[repr(i32)]
enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapGetNextKey = 4,
    ProgLoad = 5,
    ObjPin = 6,
    ProgTestRun = 10,
    ProgGetNextId = 11,
    ProgGetFdById = 13,
    RawTracepointOpen = 17,
    BtfLoad = 18,
    MapLookupBatch = 24,
    MapLookupAndDeleteBatch = 25,
    BtfGetFdById = 19,
    BtfGetNextId = 23,
    ObjGetInfoByFd = 15,
    LinkCreate = 28,
    EnableStats = 32,
    IterCreate = 33,
}

/// # Safety
/// `attr` must be the argument of `command` in the kernel's layout, without padding, and its pointers must be valid
/// for what the command reads and writes through them.
unsafe fn bpf<T>(command: Command, attr: &mut T) -> io::Result<i32> {
    retry(|| {
        // SAFETY: the caller vouches for `attr`; its size is its own.
        let returned = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                command as i32,
                std::ptr::from_mut(attr),
                size_of::<T>(),
            )
        };
        check(returned).map(|value| i32::try_from(value).unwrap_or(i32::MAX))
    })
}

/// As [`bpf`], for commands that return a descriptor.
///
/// # Safety
/// As for [`bpf`], and `command` must return a new descriptor.
unsafe fn bpf_fd<T>(command: Command, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for `attr`.
    let fd = unsafe { bpf(command, attr)? };
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

fn address<T: ?Sized>(data: *const T) -> u64 {
    data.cast::<u8>().addr() as u64
}

fn count(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))
}

/// A name as the kernel takes it: at most 15 characters of `[A-Za-z0-9_.]`; others become `_`.
fn object_name(name: &str) -> [u8; NAME_LEN] {
    let mut out = [0; NAME_LEN];
    for (to, from) in out.iter_mut().take(NAME_LEN - 1).zip(name.bytes()) {
        *to = match from {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => from,
            _ => b'_',
        };
    }
    out
}

/// What a map is made of.
#[derive(Clone, Copy, Debug)]
pub struct MapSpec<'a> {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Elements.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// The name that tools show.
    pub name: &'a str,
    /// For maps of maps: a map like those it will hold.
    pub inner: Option<BorrowedFd<'a>>,
}

/// `BPF_MAP_CREATE`.
///
/// # Errors
/// The kernel's: `EPERM` without privilege (or, before 5.11, memory above `RLIMIT_MEMLOCK`), `EINVAL` for a map that
/// this kernel cannot make, `E2BIG` and `ENOMEM` for one too large.
pub fn map_create(spec: &MapSpec<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        flags: u32,
        inner_map_fd: u32,
        numa_node: u32,
        name: [u8; NAME_LEN],
    }
    let mut attr = Attr {
        kind: spec.kind,
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        flags: spec.flags,
        inner_map_fd: spec.inner.map_or(0, raw),
        numa_node: 0,
        name: object_name(spec.name),
    };
    // SAFETY: the first fields of the anonymous struct of BPF_MAP_CREATE; no pointers.
    unsafe { bpf_fd(Command::MapCreate, &mut attr) }
}

#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A map as the element commands see it: the sizes that buffers are checked against.
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'a> {
    /// The map.
    pub fd: BorrowedFd<'a>,
    /// Bytes of a key.
    pub key_size: usize,
    /// Bytes that user space reads and writes for one value: for per-CPU kinds those of all possible CPUs.
    pub value_size: usize,
}

fn expect_len(got: usize, wanted: usize) -> io::Result<()> {
    if got == wanted {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

impl MapRef<'_> {
    fn element(&self, key: u64, value: u64, flags: u64) -> ElementAttr {
        ElementAttr {
            map_fd: raw(self.fd),
            _pad: 0,
            key,
            value,
            flags,
        }
    }

    /// `BPF_MAP_LOOKUP_ELEM`: whether `key` is there; if so, its value is in `value`.
    ///
    /// # Errors
    /// The kernel's, and `EINVAL` for a buffer of the wrong size.
    pub fn lookup(&self, key: &[u8], value: &mut [u8]) -> io::Result<bool> {
        expect_len(key.len(), self.key_size)?;
        expect_len(value.len(), self.value_size)?;
        let mut attr = self.element(address(key.as_ptr()), address(value.as_mut_ptr()), 0);
        // SAFETY: both buffers are as large as the kernel reads and writes for this map.
        match unsafe { bpf(Command::MapLookup, &mut attr) } {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `BPF_MAP_UPDATE_ELEM`, with [`ANY`], [`NOEXIST`] or [`EXIST`].
    ///
    /// # Errors
    /// The kernel's (`EEXIST`, `ENOENT`, `E2BIG` when the map is full), and `EINVAL` for a buffer of the wrong size.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        expect_len(key.len(), self.key_size)?;
        expect_len(value.len(), self.value_size)?;
        let mut attr = self.element(address(key.as_ptr()), address(value.as_ptr()), flags);
        // SAFETY: both buffers are as large as the kernel reads for this map.
        unsafe { bpf(Command::MapUpdate, &mut attr) }.map(drop)
    }

    /// `BPF_MAP_GET_NEXT_KEY`: the key after `key` (`None`: the first), or `None` at the end.
    ///
    /// # Errors
    /// The kernel's, and `EINVAL` for a buffer of the wrong size.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        expect_len(key.map_or(self.key_size, <[u8]>::len), self.key_size)?;
        let mut next = vec![0; self.key_size];
        let mut attr = self.element(
            key.map_or(0, |key| address(key.as_ptr())),
            address(next.as_mut_ptr()),
            0,
        );
        // SAFETY: both buffers hold a key of this map.
        match unsafe { bpf(Command::MapGetNextKey, &mut attr) } {
            Ok(_) => Ok(Some(next)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `BPF_MAP_LOOKUP_BATCH`, or `BPF_MAP_LOOKUP_AND_DELETE_BATCH` where `delete`: fills `keys` and `values` from
    /// where `position` stands (`None`: the start) and moves it on.
    ///
    /// Hash maps give whole buckets, so `ENOSPC` means that the next bucket has more elements than fit: nothing was
    /// read, call again with larger buffers.
    ///
    /// # Errors
    /// The kernel's, and `EINVAL` for buffers of a wrong size.
    pub fn lookup_batch(
        &self,
        position: &mut Option<BatchPosition>,
        keys: &mut [u8],
        values: &mut [u8],
        delete: bool,
    ) -> io::Result<Batch> {
        #[repr(C)]
        struct Attr {
            in_batch: u64,
            out_batch: u64,
            keys: u64,
            values: u64,
            count: u32,
            map_fd: u32,
            elem_flags: u64,
            flags: u64,
        }
        let elements = keys.len().checked_div(self.key_size).unwrap_or(0);
        expect_len(keys.len(), elements * self.key_size)?;
        expect_len(values.len(), elements * self.value_size)?;
        // The token is 4 bytes for hash maps; other kinds may store a key.
        let mut next = vec![0u8; self.key_size.max(8)];
        let mut attr = Attr {
            in_batch: position.as_ref().map_or(0, |token| address(token.0.as_ptr())),
            out_batch: address(next.as_mut_ptr()),
            keys: address(keys.as_mut_ptr()),
            values: address(values.as_mut_ptr()),
            count: count(elements)?,
            map_fd: raw(self.fd),
            elem_flags: 0,
            flags: 0,
        };
        let command = if delete {
            Command::MapLookupAndDeleteBatch
        } else {
            Command::MapLookupBatch
        };
        // SAFETY: `keys` and `values` hold `count` elements of this map, the tokens any position.
        let last = match unsafe { bpf(command, &mut attr) } {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        *position = Some(BatchPosition(next));
        Ok(Batch {
            elements: (attr.count as usize).min(elements),
            last,
        })
    }
}

/// Where a batch read goes on.
#[derive(Clone, Debug)]
pub struct BatchPosition(Vec<u8>);

/// What a batch read gave.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// How many elements are in the buffers.
    pub elements: usize,
    /// Whether they were the last.
    pub last: bool,
}

/// Types and lines of a program, for the verifier and for tools.
#[derive(Clone, Copy, Debug)]
pub struct ProgramBtf<'a> {
    /// What `BPF_BTF_LOAD` gave.
    pub btf: BorrowedFd<'a>,
    /// Records of `struct bpf_func_info`, [`FUNC_INFO_SIZE`] bytes each.
    pub func_info: &'a [u8],
    /// Records of `struct bpf_line_info`, [`LINE_INFO_SIZE`] bytes each.
    pub line_info: &'a [u8],
}

/// Size of `struct bpf_func_info`.
pub const FUNC_INFO_SIZE: usize = 8;
/// Size of `struct bpf_line_info`.
pub const LINE_INFO_SIZE: usize = 16;

/// A program to load. Its license is GPL: most tracing helpers want that.
#[derive(Clone, Copy, Debug)]
pub struct ProgramSpec<'a> {
    /// `enum bpf_prog_type`.
    pub kind: u32,
    /// `enum bpf_attach_type`, 0 where the kind has none.
    pub attach_type: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// The name that tools show.
    pub name: &'a str,
    /// Instructions, 8 bytes each, relocated.
    pub code: &'a [u8],
    /// Its types.
    pub btf: Option<ProgramBtf<'a>>,
    /// The function that a program of [`prog_type::TRACING`] is for.
    pub function: Option<AttachFunction<'a>>,
}

/// A function by its number in the types of the kernel or of a module.
#[derive(Clone, Copy, Debug)]
pub struct AttachFunction<'a> {
    /// Its number.
    pub id: u32,
    /// The module's types; `None` for the kernel proper.
    pub module: Option<BorrowedFd<'a>>,
}

/// `BPF_PROG_LOAD`. With a `log` of some bytes the verifier writes into it at `level` (1: the path taken, 2: every
/// path, 4: statistics), NUL-terminated.
///
/// # Errors
/// The kernel's: `EPERM` without privilege, `EACCES` or `EINVAL` when the verifier refuses, `ENOSPC` when the log did
/// not fit.
pub fn prog_load(spec: &ProgramSpec<'_>, log: Option<(&mut [u8], u32)>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        kind: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        name: [u8; NAME_LEN],
        ifindex: u32,
        attach_type: u32,
        btf_fd: u32,
        func_info_rec_size: u32,
        func_info: u64,
        func_info_cnt: u32,
        line_info_rec_size: u32,
        line_info: u64,
        line_info_cnt: u32,
        attach_btf_id: u32,
        attach_btf_obj_fd: u32,
        /// `core_relo_cnt`: without it the struct would end in padding, whose bytes may be anything.
        core_relo_cnt: u32,
    }
    const LICENSE: &CStr = c"GPL";
    let info = spec.btf.as_ref();
    let (log_level, log_size, log_buf) = match log {
        Some((buffer, level)) => (level, count(buffer.len())?, address(buffer.as_mut_ptr())),
        None => (0, 0, 0),
    };
    let mut attr = Attr {
        kind: spec.kind,
        insn_cnt: count(spec.code.len() / 8)?,
        insns: address(spec.code.as_ptr()),
        license: address(LICENSE.as_ptr()),
        log_level,
        log_size,
        log_buf,
        kern_version: 0,
        prog_flags: spec.flags,
        name: object_name(spec.name),
        ifindex: 0,
        attach_type: spec.attach_type,
        btf_fd: info.map_or(0, |info| raw(info.btf)),
        func_info_rec_size: if info.is_some() { FUNC_INFO_SIZE as u32 } else { 0 },
        func_info: info.map_or(0, |info| address(info.func_info.as_ptr())),
        func_info_cnt: count(info.map_or(0, |info| info.func_info.len() / FUNC_INFO_SIZE))?,
        line_info_rec_size: if info.is_some() { LINE_INFO_SIZE as u32 } else { 0 },
        line_info: info.map_or(0, |info| address(info.line_info.as_ptr())),
        line_info_cnt: count(info.map_or(0, |info| info.line_info.len() / LINE_INFO_SIZE))?,
        attach_btf_id: spec.function.map_or(0, |function| function.id),
        attach_btf_obj_fd: spec.function.and_then(|f| f.module).map_or(0, raw),
        core_relo_cnt: 0,
    };
    // The verifier gives up with EAGAIN when a signal is pending; libbpf tries five times too.
    let mut tries = 5;
    loop {
        // SAFETY: the first fields of BPF_PROG_LOAD; counts and sizes are those of the buffers, which outlive the call.
        match unsafe { bpf_fd(Command::ProgLoad, &mut attr) } {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && tries > 0 => tries -= 1,
            done => return done,
        }
    }
}

/// `BPF_BTF_LOAD`.
///
/// # Errors
/// The kernel's.
pub fn btf_load(btf: &[u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        btf: u64,
        log_buf: u64,
        btf_size: u32,
        log_size: u32,
        log_level: u32,
        _pad: u32,
    }
    let mut attr = Attr {
        btf: address(btf.as_ptr()),
        log_buf: 0,
        btf_size: count(btf.len())?,
        log_size: 0,
        log_level: 0,
        _pad: 0,
    };
    // SAFETY: the first fields of BPF_BTF_LOAD (then a field that is 0); the size is the buffer's.
    unsafe { bpf_fd(Command::BtfLoad, &mut attr) }
}

/// `BPF_PROG_TEST_RUN` of a raw tracepoint program whose arguments are `first` and zeros: runs it once, on this CPU, and
/// returns once it has ended. Gives what it returned.
///
/// # Errors
/// The kernel's.
pub fn prog_run(program: BorrowedFd<'_>, first: u64) -> io::Result<u32> {
    #[repr(C)]
    struct Attr {
        prog_fd: u32,
        retval: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        ctx_size_in: u32,
        ctx_size_out: u32,
        ctx_in: u64,
        ctx_out: u64,
        flags: u32,
        cpu: u32,
    }
    let mut arguments = [0u64; 12];
    arguments[0] = first;
    let mut attr = Attr {
        prog_fd: raw(program),
        retval: 0,
        data_size_in: 0,
        data_size_out: 0,
        data_in: 0,
        data_out: 0,
        repeat: 0,
        duration: 0,
        ctx_size_in: size_of_val(&arguments) as u32,
        ctx_size_out: 0,
        ctx_in: address(arguments.as_ptr()),
        ctx_out: 0,
        flags: 0,
        cpu: 0,
    };
    // SAFETY: the first fields of BPF_PROG_TEST_RUN; the kernel reads `ctx_size_in` bytes of `arguments`.
    unsafe { bpf(Command::ProgTestRun, &mut attr) }?;
    Ok(attr.retval)
}

/// `BPF_ENABLE_STATS`: programs are timed (`run_time_ns`, `run_cnt`) until the descriptor is closed. Since 5.8.
///
/// # Errors
/// The kernel's.
pub fn enable_stats() -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        kind: u32,
    }
    let mut attr = Attr { kind: STATS_RUN_TIME };
    // SAFETY: the only field of BPF_ENABLE_STATS; no pointers.
    unsafe { bpf_fd(Command::EnableStats, &mut attr) }
}

/// `BPF_RAW_TRACEPOINT_OPEN`: attaches to the tracepoint called `name`, or without a name to the function that the program
/// was loaded for, until the descriptor is closed. A `cookie` other than 0 wants Linux 6.10.
///
/// # Errors
/// The kernel's: `ENOENT` where there is no such tracepoint, `EINVAL` where it has fewer arguments than are read.
pub fn raw_tracepoint_open(program: BorrowedFd<'_>, name: Option<&CStr>, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        name: u64,
        prog_fd: u32,
        _pad: u32,
        cookie: u64,
    }
    let mut attr = Attr {
        name: name.map_or(0, |name| address(name.as_ptr())),
        prog_fd: raw(program),
        _pad: 0,
        cookie,
    };
    // SAFETY: the fields of BPF_RAW_TRACEPOINT_OPEN; the name ends in NUL or is null.
    unsafe { bpf_fd(Command::RawTracepointOpen, &mut attr) }
}

/// Functions of the kernel, as a kprobe_multi link takes them.
#[derive(Clone, Copy, Debug)]
pub enum KernelFunctions<'a> {
    /// By name: of several of one name the kernel takes the first, and its own before those of modules.
    Names(&'a [&'a CStr]),
    /// By the addresses of their first instructions.
    Addresses(&'a [u64]),
}

/// `BPF_LINK_CREATE` of [`ATTACH_KPROBE_MULTI`]. `cookies` has as many elements as `functions`.
///
/// # Errors
/// The kernel's: `ESRCH` where it cannot trace one of them, `EOPNOTSUPP` where it was built without this.
pub fn link_kprobe_multi(
    program: BorrowedFd<'_>,
    functions: KernelFunctions<'_>,
    cookies: &[u64],
    on_return: bool,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        multi_flags: u32,
        cnt: u32,
        syms: u64,
        addrs: u64,
        cookies: u64,
    }
    let (names, addresses) = match functions {
        KernelFunctions::Names(names) => (names, &[][..]),
        KernelFunctions::Addresses(addresses) => (&[][..], addresses),
    };
    expect_len(cookies.len(), names.len() + addresses.len())?;
    let pointers: Vec<u64> = names.iter().map(|name| address(name.as_ptr())).collect();
    let list = |list: &[u64]| match list {
        [] => 0,
        list => address(list.as_ptr()),
    };
    let mut attr = Attr {
        prog_fd: raw(program),
        target_fd: 0,
        attach_type: ATTACH_KPROBE_MULTI,
        flags: 0,
        multi_flags: if on_return { KPROBE_MULTI_RETURN } else { 0 },
        cnt: count(cookies.len())?,
        syms: list(&pointers),
        addrs: list(addresses),
        cookies: address(cookies.as_ptr()),
    };
    // SAFETY: the first fields of BPF_LINK_CREATE; the lists have `cnt` elements and the names end in NUL.
    unsafe { bpf_fd(Command::LinkCreate, &mut attr) }
}

/// Where a uprobe_multi link attaches. The lists are of one length.
#[derive(Clone, Copy, Debug)]
pub struct UprobeMulti<'a> {
    /// The binary.
    pub path: &'a CStr,
    /// Offsets in the file.
    pub offsets: &'a [u64],
    /// Attach cookies; empty for none.
    pub cookies: &'a [u64],
    /// Offsets of counters, 0 where a place has none; empty for none at all.
    pub counters: &'a [u64],
    /// At returns rather than entries.
    pub on_return: bool,
    /// Only this process; 0 for all. Passed on as it is: before 6.10 kernels took a thread.
    pub pid: u32,
}

/// `BPF_LINK_CREATE` of [`ATTACH_UPROBE_MULTI`].
///
/// # Errors
/// The kernel's: `EBADF` when the path is no regular file, `ENOENT` when there is none, `EINVAL` for an offset that
/// no probe can be placed at, `ESRCH` when the process has ended, `EOPNOTSUPP` or `EINVAL` before 6.6.
pub fn link_uprobe_multi(program: BorrowedFd<'_>, target: &UprobeMulti<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        path: u64,
        offsets: u64,
        ref_ctr_offsets: u64,
        cookies: u64,
        cnt: u32,
        multi_flags: u32,
        pid: u32,
        _pad: u32,
    }
    if !target.cookies.is_empty() {
        expect_len(target.cookies.len(), target.offsets.len())?;
    }
    if !target.counters.is_empty() {
        expect_len(target.counters.len(), target.offsets.len())?;
    }
    let mut attr = Attr {
        prog_fd: raw(program),
        target_fd: 0,
        attach_type: ATTACH_UPROBE_MULTI,
        flags: 0,
        path: address(target.path.as_ptr()),
        offsets: address(target.offsets.as_ptr()),
        ref_ctr_offsets: if target.counters.is_empty() {
            0
        } else {
            address(target.counters.as_ptr())
        },
        cookies: if target.cookies.is_empty() {
            0
        } else {
            address(target.cookies.as_ptr())
        },
        cnt: count(target.offsets.len())?,
        multi_flags: if target.on_return { UPROBE_MULTI_RETURN } else { 0 },
        pid: target.pid,
        _pad: 0,
    };
    // SAFETY: the first fields of BPF_LINK_CREATE; the lists have `cnt` elements and the path ends in NUL.
    unsafe { bpf_fd(Command::LinkCreate, &mut attr) }
}

/// `BPF_LINK_CREATE` of a program to a perf event; detached when the link is closed. Since 5.15.
///
/// # Errors
/// The kernel's.
pub fn link_perf_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>, cookie: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        cookie: u64,
    }
    let mut attr = Attr {
        prog_fd: raw(program),
        target_fd: raw(event),
        attach_type: ATTACH_PERF_EVENT,
        flags: 0,
        cookie,
    };
    // SAFETY: the first fields of BPF_LINK_CREATE; no pointers.
    unsafe { bpf_fd(Command::LinkCreate, &mut attr) }
}
