//! BPF programs that are loaded, whoever loaded them, and how their types describe their functions.

#![expect(unsafe_code, reason = "system calls; every buffer's size is checked here")]

use super::module::btf_by_id;
use super::{Command, address, bpf, bpf_fd, raw};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// More functions than a program has (`BPF_MAX_SUBPROGS`, include/linux/bpf_verifier.h).
const MAX_FUNCTIONS: u32 = 1024;

/// What the types of a loaded program are.
#[derive(Clone, Debug)]
pub struct ProgramTypes {
    /// The number of its BTF object.
    pub btf: u32,
    /// The numbers of its functions there.
    pub functions: Vec<u32>,
}

/// `struct bpf_func_info` (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FunctionInfo {
    offset: u32,
    type_id: u32,
}

/// `struct bpf_prog_info` (include/uapi/linux/bpf.h) up to `nr_func_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    created_by: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; 16],
    ifindex: u32,
    flags: u32,
    netns: [u64; 2],
    symbols: [u32; 2],
    symbol_addresses: [u64; 2],
    btf_id: u32,
    func_info_rec_size: u32,
    func_info: u64,
    nr_func_info: u32,
    nr_line_info: u32,
}

/// `struct bpf_btf_info` (include/uapi/linux/bpf.h) up to `id`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct BtfInfo {
    btf: u64,
    btf_size: u32,
    id: u32,
}

/// `BPF_PROG_GET_NEXT_ID`: the numbers of all programs.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_ADMIN.
pub fn programs() -> io::Result<Vec<u32>> {
    #[repr(C)]
    struct Attr {
        start_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut all = Vec::new();
    let mut attr = Attr {
        start_id: 0,
        next_id: 0,
        open_flags: 0,
    };
    loop {
        // SAFETY: the first fields of BPF_PROG_GET_NEXT_ID; no pointers.
        match unsafe { bpf(Command::ProgGetNextId, &mut attr) } {
            Ok(_) => all.push(attr.next_id),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(all),
            Err(error) => return Err(error),
        }
        attr.start_id = attr.next_id;
    }
}

/// `BPF_PROG_GET_FD_BY_ID`.
///
/// # Errors
/// The kernel's: `ENOENT` where it is not loaded any more.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        prog_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut attr = Attr {
        prog_id: id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the first fields of BPF_PROG_GET_FD_BY_ID; no pointers.
    unsafe { bpf_fd(Command::ProgGetFdById, &mut attr) }
}

/// The types of a program; `None` where it was loaded without.
///
/// # Errors
/// The kernel's.
pub fn program_types(program: BorrowedFd<'_>) -> io::Result<Option<ProgramTypes>> {
    let mut info = ProgramInfo::default();
    information(program, &mut info)?;
    let (btf, count) = (info.btf_id, info.nr_func_info.min(MAX_FUNCTIONS));
    if btf == 0 {
        return Ok(None);
    }
    let mut functions = vec![FunctionInfo::default(); count as usize];
    let mut info = ProgramInfo {
        func_info_rec_size: size_of::<FunctionInfo>() as u32,
        func_info: address(functions.as_mut_ptr()),
        nr_func_info: count,
        ..ProgramInfo::default()
    };
    information(program, &mut info)?;
    functions.truncate(info.nr_func_info as usize);
    let functions = functions.iter().map(|function| function.type_id).collect();
    Ok(Some(ProgramTypes { btf, functions }))
}

/// The bytes of a BTF object.
///
/// # Errors
/// The kernel's.
pub fn btf_bytes(id: u32) -> io::Result<Vec<u8>> {
    let btf = btf_by_id(id)?;
    let mut info = BtfInfo::default();
    information(btf.as_fd(), &mut info)?;
    let mut bytes = vec![0_u8; info.btf_size as usize];
    let mut info = BtfInfo {
        btf: address(bytes.as_mut_ptr()),
        btf_size: bytes.len() as u32,
        id: 0,
    };
    information(btf.as_fd(), &mut info)?;
    Ok(bytes)
}

/// What [`information`] fills: plain numbers, and addresses of buffers whose sizes it says.
trait Information {}
impl Information for ProgramInfo {}
impl Information for BtfInfo {}

/// `BPF_OBJ_GET_INFO_BY_FD`.
fn information<T: Information>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    #[repr(C)]
    struct Attr {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut attr = Attr {
        bpf_fd: raw(object),
        info_len: size_of::<T>() as u32,
        info: address(std::ptr::from_mut(info)),
    };
    // SAFETY: the fields of BPF_OBJ_GET_INFO_BY_FD. The kernel writes `info_len` bytes of `info`, and through the addresses in it
    // as much as it says, which is what their buffers have room for.
    unsafe { bpf(Command::ObjGetInfoByFd, &mut attr) }.map(drop)
}
