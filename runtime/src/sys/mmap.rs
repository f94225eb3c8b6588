//! Memory of maps, mapped into this process.
//!
//! BPF programs write it at any time, on any CPU: it is read and written only as atomics, or (what a ring buffer has
//! handed over) copied out as bytes.
#![expect(
    unsafe_code,
    reason = "mapped memory is reached through pointers; every access is bounds-checked"
)]

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// A mapping, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    writable: bool,
}

// SAFETY: the memory is shared with the kernel anyway and reached through atomics and bounded copies only.
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

/// The size of a page of memory.
pub fn page_size() -> usize {
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    match SIZE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: takes no pointer.
            let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
            SIZE.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}

impl Mapping {
    /// Maps `len` bytes of a map from `offset`, a multiple of the page size.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` for no bytes.
    pub fn new(fd: BorrowedFd<'_>, offset: usize, len: usize, writable: bool) -> io::Result<Self> {
        Self::with(fd, offset, len, writable, libc::MAP_SHARED)
    }

    fn with(
        fd: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        writable: bool,
        flags: libc::c_int,
    ) -> io::Result<Self> {
        let offset = i64::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: asks for fresh address space.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                flags,
                fd.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start, len, writable })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes (never, in fact).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The aligned 64-bit word at `offset` bytes, if it lies inside and can be written.
    pub fn word(&self, offset: usize) -> Option<&AtomicU64> {
        if !self.writable || !self.holds::<AtomicU64>(offset) {
            return None;
        }
        // SAFETY: inside the mapping, which lives as long as `self`, aligned and writable.
        Some(unsafe { self.start.add(offset).cast().as_ref() })
    }

    /// Reads the aligned 64-bit word at `offset` bytes, after which whatever its writer wrote before it is seen.
    pub fn load_acquire(&self, offset: usize) -> Option<u64> {
        if !self.holds::<AtomicU64>(offset) {
            return None;
        }
        // SAFETY: inside the mapping and aligned; a load needs no right to write (64-bit loads are plain loads here).
        let word: &AtomicU64 = unsafe { self.start.add(offset).cast().as_ref() };
        Some(word.load(Ordering::Acquire))
    }

    /// As [`Mapping::load_acquire`], 32 bits.
    pub fn load_u32_acquire(&self, offset: usize) -> Option<u32> {
        if !self.holds::<AtomicU32>(offset) {
            return None;
        }
        // SAFETY: inside the mapping and aligned; a load needs no right to write.
        let word: &AtomicU32 = unsafe { self.start.add(offset).cast().as_ref() };
        Some(word.load(Ordering::Acquire))
    }

    /// Copies bytes that the kernel no longer writes.
    pub fn copy(&self, offset: usize, len: usize) -> Option<Vec<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        let mut out = Vec::with_capacity(len);
        // SAFETY: source inside the mapping, target of `len` bytes capacity; they are apart; every byte is written
        // before the length is set.
        unsafe {
            std::ptr::copy_nonoverlapping(self.start.add(offset).as_ptr(), out.as_mut_ptr(), len);
            out.set_len(len);
        }
        Some(out)
    }

    fn holds<T>(&self, offset: usize) -> bool {
        offset.is_multiple_of(align_of::<T>())
            && offset
                .checked_add(size_of::<T>())
                .is_some_and(|end| end <= self.len)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping is ours and nothing borrows from it any more. A failure leaves it mapped: harmless.
        let _ = check(libc::c_long::from(unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.len)
        }));
    }
}

/// The contents of a file that never change: the kernel's own description of its types.
pub struct FileBytes(Contents);

enum Contents {
    Mapped(Mapping),
    Read(Vec<u8>),
}

impl FileBytes {
    /// What is in memory already.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self(Contents::Read(bytes))
    }

    /// The contents of `file`. Where it is one of sysfs, whose BTF files never change, and the kernel can map it (vmlinux's
    /// BTF, from 6.16 on) it is mapped, else read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(mut file: std::fs::File) -> io::Result<Self> {
        use std::io::Read;
        use std::os::fd::AsFd;
        /// `SYSFS_MAGIC` of the kernel's `magic.h`.
        const SYSFS: libc::c_long = 0x6265_6572;
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        // SAFETY: an all-zero statfs is a valid one.
        let mut of: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: writes one statfs.
        let told = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut of) };
        let private = (told == 0 && of.f_type == SYSFS && len > 0)
            .then(|| Mapping::with(file.as_fd(), 0, len, false, libc::MAP_PRIVATE));
        if let Some(Ok(mapping)) = private {
            return Ok(Self(Contents::Mapped(mapping)));
        }
        let mut bytes = Vec::with_capacity(len);
        file.read_to_end(&mut bytes)?;
        Ok(Self(Contents::Read(bytes)))
    }
}

impl From<Vec<u8>> for FileBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Contents::Read(bytes))
    }
}

impl std::ops::Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Contents::Read(bytes) => bytes,
            // SAFETY: mapped as long as `self` lives, read-only, and `new` maps only what nobody writes or cuts short.
            Contents::Mapped(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.start.as_ptr(), mapping.len)
            },
        }
    }
}
