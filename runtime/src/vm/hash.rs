//! Hash maps: plain, per-CPU and least-recently-used.
//!
//! An element keeps its number for as long as a run that may have looked it up is under way, even when it has been
//! removed meanwhile: as in the kernel, an update through an old pointer is lost but harms nothing. (Preallocated maps
//! of the kernel recycle elements at once; programs must not rely on either.)

use crumbs_compiler::plan::BpfMap;
use std::collections::HashMap;

/// Whether an update may create, or must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateFlag {
    /// `BPF_ANY`.
    Any,
    /// `BPF_NOEXIST`.
    NoExist,
    /// `BPF_EXIST`.
    Exist,
}

/// A hash map of any kind.
#[derive(Debug)]
pub struct HashStore {
    /// Bytes in a key.
    pub key_size: usize,
    /// Bytes in one value.
    pub value_size: usize,
    max_entries: usize,
    /// Whether the kernel has no memory for a new element (`ENOMEM`).
    pub starves: bool,
    /// Values an element has: one a CPU, or 1.
    copies: usize,
    is_per_cpu: bool,
    is_lru: bool,
    index: HashMap<Box<[u8]>, u32>,
    elements: Vec<Element>,
    free: Vec<u32>,
    retired: Vec<u32>,
    clock: u64,
}

#[derive(Debug)]
struct Element {
    key: Box<[u8]>,
    values: Vec<u8>,
    used: u64,
    is_live: bool,
}

impl HashStore {
    /// An empty map.
    pub fn new(map: &BpfMap, cpus: u32) -> Self {
        let is_per_cpu = map.kind.is_per_cpu();
        Self {
            key_size: map.key_size as usize,
            value_size: map.value_size as usize,
            max_entries: map.max_entries as usize,
            starves: false,
            copies: if is_per_cpu { cpus as usize } else { 1 },
            is_per_cpu,
            is_lru: map.kind.evicts(),
            index: HashMap::new(),
            elements: Vec::new(),
            free: Vec::new(),
            retired: Vec::new(),
            clock: 0,
        }
    }

    /// How many values an element has: one a CPU, or 1.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// Whether there is a value for each CPU.
    pub fn is_per_cpu(&self) -> bool {
        self.is_per_cpu
    }

    /// Whether a key is there; does not count as a use.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.index.contains_key(key)
    }

    /// The element of a key.
    pub fn lookup(&mut self, key: &[u8]) -> Option<u32> {
        let number = *self.index.get(key)?;
        self.touch(number);
        Some(number)
    }

    fn touch(&mut self, number: u32) {
        self.clock += 1;
        self.elements[number as usize].used = self.clock;
    }

    /// `len` bytes of an element's value at `offset`, the copy of `cpu` where there is one a CPU. `None` outside.
    pub fn value(&mut self, number: u32, cpu: u32, offset: usize, len: usize) -> Option<&mut [u8]> {
        if offset.checked_add(len)? > self.value_size {
            return None;
        }
        let start = self.copy_start(cpu) + offset;
        self.elements
            .get_mut(number as usize)?
            .values
            .get_mut(start..start + len)
    }

    fn copy_start(&self, cpu: u32) -> usize {
        if self.is_per_cpu {
            cpu as usize * self.value_size
        } else {
            0
        }
    }

    /// Stores the value of `cpu`, or the only one; the other CPUs' values of a new element are zeros.
    ///
    /// # Errors
    /// A negative error number, as `bpf_map_update_elem` returns it.
    pub fn update(&mut self, key: &[u8], value: &[u8], flag: UpdateFlag, cpu: u32) -> Result<(), i32> {
        let number = match (self.index.get(key).copied(), flag) {
            (Some(_), UpdateFlag::NoExist) => return Err(-libc::EEXIST),
            (None, UpdateFlag::Exist) => return Err(-libc::ENOENT),
            (Some(number), _) => number,
            (None, _) => self.create(key)?,
        };
        self.touch(number);
        let start = self.copy_start(cpu);
        let values = &mut self.elements[number as usize].values;
        let place = values.get_mut(start..start + self.value_size);
        // A value of another size or a CPU that there is not; callers check both.
        let place = place
            .filter(|place| place.len() == value.len())
            .ok_or(-libc::EINVAL)?;
        place.copy_from_slice(value);
        Ok(())
    }

    /// Inserts an element of zeros unless the key is there.
    ///
    /// # Errors
    /// A negative error number.
    pub fn insert_zero(&mut self, key: &[u8]) -> Result<bool, i32> {
        if self.contains(key) {
            Ok(false)
        } else {
            self.create(key).map(|_| true)
        }
    }

    /// A new element of zeros.
    fn create(&mut self, key: &[u8]) -> Result<u32, i32> {
        if self.index.len() >= self.max_entries {
            if !self.is_lru {
                return Err(-libc::E2BIG);
            }
            let oldest = self
                .index
                .iter()
                .min_by_key(|&(_, &number)| self.elements[number as usize].used);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.remove(&key);
            }
        }
        if self.starves {
            return Err(-libc::ENOMEM);
        }
        let number = self.free.pop().unwrap_or(self.elements.len() as u32);
        if number >= 1 << super::pointer::Pointer::OBJECT_BITS {
            return Err(-libc::ENOMEM);
        }
        let element = Element {
            key: key.into(),
            values: vec![0; self.copies * self.value_size],
            used: 0,
            is_live: true,
        };
        match self.elements.get_mut(number as usize) {
            Some(place) => *place = element,
            None => self.elements.push(element),
        }
        self.index.insert(key.into(), number);
        Ok(number)
    }

    /// Removes a key; whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(number) = self.index.remove(key) else {
            return false;
        };
        self.elements[number as usize].is_live = false;
        self.retired.push(number);
        true
    }

    /// Removes every key.
    pub fn clear(&mut self) {
        self.index.clear();
        for (number, element) in self.elements.iter_mut().enumerate() {
            if std::mem::take(&mut element.is_live) {
                self.retired.push(number as u32);
            }
        }
    }

    /// Sets every value of every element to zeros.
    pub fn zero(&mut self) {
        for element in &mut self.elements {
            element.values.fill(0);
        }
    }

    /// The elements' keys and values, one value a CPU or just one.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &[u8]>)> {
        let live = self.elements.iter().filter(|element| element.is_live);
        live.map(|element| (&*element.key, element.values.chunks(self.value_size.max(1))))
    }

    /// No run holds a pointer any more: removed elements may be used again.
    pub fn reclaim(&mut self) {
        self.free.append(&mut self.retired);
    }
}
