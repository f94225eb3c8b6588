//! The kernel's types, of its modules too, as objects that programs are loaded against.

#![expect(unsafe_code, reason = "system calls; every buffer's size is checked here")]

use super::{Command, address, bpf, bpf_fd, raw};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The types of a module of the kernel, by its name; `None` where none has them.
///
/// # Errors
/// The kernel's: `EPERM` without CAP_SYS_ADMIN.
pub fn module_btf(name: &str) -> io::Result<Option<OwnedFd>> {
    let mut id = 0;
    while let Some(next) = next_btf(id)? {
        id = next;
        // One that was unloaded meanwhile is not it.
        let Ok(fd) = btf_by_id(id) else { continue };
        if is_kernel_btf(fd.as_fd(), name)? {
            return Ok(Some(fd));
        }
    }
    Ok(None)
}

/// `BPF_BTF_GET_NEXT_ID`.
fn next_btf(after: u32) -> io::Result<Option<u32>> {
    #[repr(C)]
    struct Attr {
        start_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut attr = Attr {
        start_id: after,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the first fields of BPF_BTF_GET_NEXT_ID; no pointers.
    match unsafe { bpf(Command::BtfGetNextId, &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `BPF_BTF_GET_FD_BY_ID`.
pub(super) fn btf_by_id(id: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attr {
        btf_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let mut attr = Attr {
        btf_id: id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the first fields of BPF_BTF_GET_FD_BY_ID; no pointers.
    unsafe { bpf_fd(Command::BtfGetFdById, &mut attr) }
}

/// Whether types are the kernel's own of this name (`struct bpf_btf_info`, include/uapi/linux/bpf.h).
fn is_kernel_btf(btf: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    #[repr(C)]
    struct Info {
        btf: u64,
        btf_size: u32,
        id: u32,
        name: u64,
        name_len: u32,
        kernel_btf: u32,
    }
    #[repr(C)]
    struct Attr {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    // `MODULE_NAME_LEN` is less than 64.
    let mut text = [0_u8; 64];
    let mut info = Info {
        btf: 0,
        btf_size: 0,
        id: 0,
        name: address(text.as_mut_ptr()),
        name_len: text.len() as u32,
        kernel_btf: 0,
    };
    let mut attr = Attr {
        bpf_fd: raw(btf),
        info_len: size_of::<Info>() as u32,
        info: address(std::ptr::from_mut(&mut info)),
    };
    // SAFETY: the fields of BPF_OBJ_GET_INFO_BY_FD; the kernel writes `info_len` bytes of `info` and `name_len` of `text`.
    unsafe { bpf(Command::ObjGetInfoByFd, &mut attr) }?;
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    Ok(info.kernel_btf != 0 && &text[..end] == name.as_bytes())
}
