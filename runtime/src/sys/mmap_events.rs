//! What the kernel reports of processes through `perf_event_open(2)`: executable mappings, forks and execs, from every
//! CPU. They tell which files the addresses of a stack belong to once its process has ended.

use super::mmap::{Mapping, page_size};
use super::perf;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Pages of data for each CPU; a power of two. A mapping takes about 100 bytes.
const DATA_PAGES: usize = 32;
/// Offsets of `data_head` and `data_tail` in `struct perf_event_mmap_page` (include/uapi/linux/perf_event.h).
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// `PERF_RECORD_LOST`, `_COMM`, `_FORK`, `_MMAP2`.
const LOST: u32 = 2;
const COMM: u32 = 3;
const FORK: u32 = 7;
const MMAP2: u32 = 10;
/// `PERF_RECORD_MISC_COMM_EXEC`: the name was changed by exec.
const MISC_COMM_EXEC: u16 = 1 << 13;

/// Something that happened to a process. Processes are numbered as in the pid namespace of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It mapped a file executable.
    Map {
        /// The process.
        pid: u32,
        /// First address.
        start: u64,
        /// Bytes.
        len: u64,
        /// Offset in the file.
        offset: u64,
        /// The file.
        path: PathBuf,
    },
    /// It was made by another (or has a new thread: then both are one process).
    Fork {
        /// The other.
        parent: u32,
        /// It.
        child: u32,
    },
    /// It executes another program.
    Exec {
        /// The process.
        pid: u32,
    },
    /// So many events were dropped for want of room.
    Lost(u64),
}

/// The buffers that the kernel reports to.
#[derive(Debug)]
pub struct MmapEvents {
    cpus: Vec<Cpu>,
}

#[derive(Debug)]
struct Cpu {
    /// The event, open for as long as its buffer is mapped.
    event: OwnedFd,
    buffer: Mapping,
}

impl MmapEvents {
    /// Begins to listen on CPUs `0..cpus`; those that are offline have no events.
    ///
    /// # Errors
    /// The kernel's: `EACCES` without `CAP_PERFMON`.
    pub fn listen(cpus: u32) -> io::Result<Self> {
        Self::open(cpus, false)
    }

    /// As [`Self::listen`]; after each event one of [`Self::descriptors`] is readable.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn await_each(cpus: u32) -> io::Result<Self> {
        Self::open(cpus, true)
    }

    /// What becomes readable.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.cpus.iter().map(|cpu| cpu.event.as_fd())
    }

    fn open(cpus: u32, wakes: bool) -> io::Result<Self> {
        let mut opened = Vec::new();
        for cpu in 0..cpus {
            let event = match perf::open_process_events(cpu, wakes) {
                Ok(event) => event,
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
                Err(error) => return Err(error),
            };
            let buffer = Mapping::new(event.as_fd(), 0, (1 + DATA_PAGES) * page_size(), true)?;
            perf::enable(event.as_fd())?;
            opened.push(Cpu { event, buffer });
        }
        Ok(Self { cpus: opened })
    }

    /// What has happened since the last call. In order for each CPU; a process that moved between CPUs meanwhile may have
    /// its events in the order of CPUs.
    pub fn take(&mut self) -> Vec<ProcessEvent> {
        let mut timed = Vec::new();
        for cpu in &self.cpus {
            cpu.take(&mut timed);
        }
        timed.sort_by_key(|(time, _)| *time);
        timed.into_iter().map(|(_, event)| event).collect()
    }
}

impl Cpu {
    /// Appends what is in the buffer, with its time.
    fn take(&self, out: &mut Vec<(u64, ProcessEvent)>) {
        let (Some(head), Some(tail)) = (self.buffer.load_acquire(HEAD), self.buffer.word(TAIL)) else {
            return;
        };
        let mut at = tail.load(Ordering::Relaxed);
        while head.wrapping_sub(at) >= 8 {
            let header = self.bytes(at, 8);
            let size = u64::from(u16_at(&header, 6));
            if size < 8 || size > head.wrapping_sub(at) {
                break;
            }
            let record = self.bytes(at, size as usize);
            out.extend(parse(&record));
            at = at.wrapping_add(size);
        }
        // What is left could not be understood, and is skipped.
        tail.store(head, Ordering::Release);
    }

    /// Bytes of the ring that follows the first page.
    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let size = DATA_PAGES * page_size();
        let start = (at % size as u64) as usize;
        let first = len.min(size - start);
        let piece = |offset, len| self.buffer.copy(page_size() + offset, len).unwrap_or_default();
        let mut bytes = piece(start, first);
        bytes.extend(piece(0, len - first));
        bytes
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let word = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
    u16::from_ne_bytes(word.unwrap_or_default())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    u32::from_ne_bytes(word.unwrap_or_default())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
    u64::from_ne_bytes(word.unwrap_or_default())
}

/// A record (layouts: `enum perf_event_type` in include/uapi/linux/perf_event.h) whose trailer is its time, the last 8
/// bytes (`sample_id_all` with `PERF_SAMPLE_TIME` alone).
fn parse(record: &[u8]) -> Option<(u64, ProcessEvent)> {
    let (kind, misc) = (u32_at(record, 0), u16_at(record, 4));
    let time = u64_at(record, record.len().checked_sub(8)?);
    let event = match kind {
        LOST => ProcessEvent::Lost(u64_at(record, 16)),
        COMM if misc & MISC_COMM_EXEC != 0 => ProcessEvent::Exec {
            pid: u32_at(record, 8),
        },
        FORK => ProcessEvent::Fork {
            child: u32_at(record, 8),
            parent: u32_at(record, 12),
        },
        MMAP2 => {
            let name = record.get(72..record.len() - 8)?;
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            if !name.starts_with(b"/") || name.starts_with(b"//anon") {
                return None;
            }
            ProcessEvent::Map {
                pid: u32_at(record, 8),
                start: u64_at(record, 16),
                len: u64_at(record, 24),
                offset: u64_at(record, 32),
                path: PathBuf::from(OsStr::from_bytes(name)),
            }
        }
        _ => return None,
    };
    Some((time, event))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::print_stdout, reason = "a skipped test must be seen")]

    use super::*;

    #[test]
    fn short_records_are_nothing() {
        for len in 0..100 {
            let mut record = vec![0; len];
            for kind in [LOST, COMM, FORK, MMAP2] {
                if len >= 4 {
                    record[..4].copy_from_slice(&kind.to_ne_bytes());
                }
                parse(&record);
            }
        }
    }

    #[test]
    fn a_process_is_seen_from_exec_to_its_mappings() {
        let mut events = match MmapEvents::listen(crate::kernel::probe::possible_cpus()) {
            Ok(events) => events,
            Err(error) => {
                println!("skipped: process events need CAP_PERFMON ({error})");
                return;
            }
        };
        let mut child = std::process::Command::new("/bin/true")
            .spawn()
            .expect("true runs");
        let pid = child.id();
        child.wait().expect("true ends");
        let seen = events.take();
        let of_child = |event: &&ProcessEvent| match event {
            ProcessEvent::Map { pid: of, .. } | ProcessEvent::Exec { pid: of } => *of == pid,
            _ => false,
        };
        let seen: Vec<&ProcessEvent> = seen.iter().filter(of_child).collect();
        let exec = seen
            .iter()
            .position(|event| matches!(event, ProcessEvent::Exec { .. }));
        let map = seen.iter().position(
            |event| matches!(event, ProcessEvent::Map { path, .. } if path.to_string_lossy().contains("libc")),
        );
        assert!(exec.is_some() && exec < map, "{seen:?}");
    }
}
