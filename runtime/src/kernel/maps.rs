//! The elements of hash maps: read in batches, removed, zeroed, inserted.
//!
//! In: a map that this process made. Out: [`RawEntry`]s. A batch read takes a bucket at a time under its lock, so an
//! element that is there from start to end is given exactly once however others come and go.

use crate::backend::RawEntry;
use crate::kernel::probe;
use crate::sys::bpf::{self, MapRef};
use crumbs_compiler::plan::{BpfMap, BpfMapKind};
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Elements asked for at first; doubled while a bucket does not fit.
const FIRST_BATCH: usize = 512;
/// How long to wait for the kernel's allocator of elements, and how often.
const REFILL: Duration = Duration::from_millis(1);
const REFILLS: u32 = 500;
/// A batch's buffers stay below this many bytes unless a single bucket needs more.
const BATCH_BYTES: usize = 4 << 20;

/// A map that the script's programs use.
#[derive(Debug)]
pub struct KernelMap {
    /// The map.
    pub fd: OwnedFd,
    /// What it was made as.
    pub spec: BpfMap,
}

impl KernelMap {
    /// Bytes from one CPU's value to the next; the kernel rounds up to 8.
    fn value_stride(&self) -> usize {
        match self.spec.kind {
            BpfMapKind::PerCpuHash | BpfMapKind::LruPerCpuHash => {
                (self.spec.value_size as usize).next_multiple_of(8)
            }
            BpfMapKind::Hash | BpfMapKind::LruHash | BpfMapKind::RingBuf => self.spec.value_size as usize,
        }
    }

    fn as_ref(&self) -> MapRef<'_> {
        let cpus = match self.spec.kind {
            BpfMapKind::PerCpuHash | BpfMapKind::LruPerCpuHash => probe::possible_cpus() as usize,
            BpfMapKind::Hash | BpfMapKind::LruHash | BpfMapKind::RingBuf => 1,
        };
        MapRef {
            fd: self.fd.as_fd(),
            key_size: self.spec.key_size as usize,
            value_size: self.value_stride() * cpus,
        }
    }

    fn entry(&self, key: &[u8], values: &[u8]) -> RawEntry {
        let size = self.spec.value_size as usize;
        RawEntry {
            key: key.to_vec(),
            values: values
                .chunks_exact(self.value_stride().max(1))
                .filter_map(|value| Some(value.get(..size)?.to_vec()))
                .collect(),
        }
    }

    /// Every element.
    ///
    /// # Errors
    /// The kernel's.
    pub fn entries(&self) -> io::Result<Vec<RawEntry>> {
        let mut entries = Vec::new();
        let batched = self.batches(false, |key, values| entries.push(self.entry(key, values)));
        match batched {
            Err(error) if lacks_batches(&error) && entries.is_empty() => self.entries_one_by_one(),
            Err(error) => Err(error),
            Ok(()) => Ok(entries),
        }
    }

    /// The element with this key, if there is one.
    ///
    /// # Errors
    /// The kernel's; `EINVAL` for a key of the wrong size.
    pub fn element(&self, key: &[u8]) -> io::Result<Option<RawEntry>> {
        let map = self.as_ref();
        let mut values = vec![0; map.value_size];
        let is_there = map.lookup(key, &mut values)?;
        Ok(is_there.then(|| self.entry(key, &values)))
    }

    /// Removes every element.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_all(&self) -> io::Result<()> {
        self.batches(true, |_, _| ())
    }

    /// Overwrites every value with zeros.
    ///
    /// # Errors
    /// The kernel's.
    pub fn zero_all(&self) -> io::Result<()> {
        let map = self.as_ref();
        let mut keys = Vec::new();
        self.batches(false, |key, _| keys.push(key.to_vec()))?;
        let zeros = vec![0; map.value_size];
        for key in keys {
            match map.update(&key, &zeros, bpf::EXIST) {
                // Removed meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Inserts zeros under `key` unless it is there. Gives whether it was not. Waits where the kernel's allocator for
    /// elements is empty for the moment: it is refilled in the background (kernel/bpf/memalloc.c).
    ///
    /// # Errors
    /// The kernel's; `E2BIG` when the map is full, `EINVAL` for a key of the wrong size.
    pub fn insert_zero(&self, key: &[u8]) -> io::Result<bool> {
        let map = self.as_ref();
        let zeros = vec![0; map.value_size];
        let mut waits = 0;
        loop {
            match map.update(key, &zeros, bpf::NOEXIST) {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => return Ok(false),
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && waits < REFILLS => waits += 1,
                done => return done.map(|()| true),
            }
            std::thread::sleep(REFILL);
        }
    }

    /// Hands every element to `take`, removing it where `delete`.
    fn batches(&self, delete: bool, mut take: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
        let map = self.as_ref();
        let element = map.key_size + map.value_size;
        let mut room = FIRST_BATCH.min(BATCH_BYTES / element.max(1)).max(16);
        let (mut keys, mut values) = (vec![0; room * map.key_size], vec![0; room * map.value_size]);
        let mut position = None;
        loop {
            match map.lookup_batch(&mut position, &mut keys, &mut values, delete) {
                Ok(batch) => {
                    let keys = keys.chunks_exact(map.key_size).take(batch.elements);
                    for (key, values) in keys.zip(values.chunks_exact(map.value_size)) {
                        take(key, values);
                    }
                    if batch.last {
                        return Ok(());
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 30 => {
                    room *= 2;
                    keys.resize(room * map.key_size, 0);
                    values.resize(room * map.value_size, 0);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Self::entries`], for what cannot be read in batches. The walk starts again at the first key when the one
    /// it stands on is removed, so keys are remembered; and it ends after as many steps as could ever be needed.
    fn entries_one_by_one(&self) -> io::Result<Vec<RawEntry>> {
        let map = self.as_ref();
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        let mut key = map.next_key(None)?;
        let mut steps = u64::from(self.spec.max_entries).saturating_mul(4);
        while let Some(current) = key {
            let mut values = vec![0; map.value_size];
            if !seen.contains(&current) && map.lookup(&current, &mut values)? {
                entries.push(self.entry(&current, &values));
                seen.insert(current.clone());
            }
            steps = steps.saturating_sub(1);
            if steps == 0 {
                break;
            }
            key = map.next_key(Some(&current))?;
        }
        Ok(entries)
    }
}

/// Errors of kernels or map kinds without batch commands (`ENOTSUPP`, 524, is internal to the kernel but leaks out).
fn lacks_batches(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | 524))
}
