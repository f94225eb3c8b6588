//! Ring buffers: bounded, consumed in the order of reservation.
//!
//! Room is accounted as the kernel does (kernel/bpf/ringbuf.c): 8 bytes of header a record, sizes rounded up to 8, and
//! never quite full. An open reservation holds back everything behind it.

use super::pointer::Pointer;
use std::collections::VecDeque;

/// Fills reserved memory, so that a program that forgets to write some of a record shows.
const POISON: u8 = 0xa5;
const HEADER: usize = 8;

/// A ring buffer.
#[derive(Debug)]
pub struct Ring {
    capacity: usize,
    used: usize,
    /// Serial number of the oldest record.
    first: u32,
    records: VecDeque<Record>,
}

#[derive(Debug)]
struct Record {
    data: Vec<u8>,
    is_open: bool,
}

impl Ring {
    /// An empty ring of `capacity` bytes.
    pub fn new(capacity: u32) -> Self {
        Self {
            capacity: capacity as usize,
            used: 0,
            first: 0,
            records: VecDeque::new(),
        }
    }

    fn footprint(size: usize) -> usize {
        (size + HEADER).next_multiple_of(8)
    }

    /// Reserves a record and gives its serial number; `None` when there is no room.
    pub fn reserve(&mut self, size: usize) -> Option<u32> {
        let footprint = Self::footprint(size);
        if self.used + footprint >= self.capacity || self.records.len() >= 1 << Pointer::OBJECT_BITS {
            return None;
        }
        self.used += footprint;
        let serial = self.first.wrapping_add(self.records.len() as u32);
        self.records.push_back(Record {
            data: vec![POISON; size],
            is_open: true,
        });
        Some(serial & ((1 << Pointer::OBJECT_BITS) - 1))
    }

    /// The data of a record that is still open.
    pub fn open_record(&mut self, serial: u32) -> Option<&mut Vec<u8>> {
        let at = serial.wrapping_sub(self.first) & ((1 << Pointer::OBJECT_BITS) - 1);
        let record = self.records.get_mut(at as usize)?;
        record.is_open.then_some(&mut record.data)
    }

    /// Hands an open record to the consumer.
    pub fn submit(&mut self, serial: u32) {
        let at = serial.wrapping_sub(self.first) & ((1 << Pointer::OBJECT_BITS) - 1);
        if let Some(record) = self.records.get_mut(at as usize) {
            record.is_open = false;
        }
    }

    /// Takes the oldest record, unless it is still open.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let record = self.records.pop_front_if(|record| !record.is_open)?;
        self.used -= Self::footprint(record.data.len());
        self.first = self.first.wrapping_add(1);
        Some(record.data)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn holds_one_header_less_than_its_size() {
        let mut ring = Ring::new(64);
        // 3 × (8 + 8) fit; the fourth would make the ring quite full.
        let serials: Vec<_> = (0..3).map(|_| ring.reserve(8).unwrap()).collect();
        assert_eq!(ring.reserve(8), None);
        assert_eq!(ring.reserve(1), None, "sizes are rounded up");
        ring.submit(serials[0]);
        assert_eq!(ring.pop(), Some(vec![POISON; 8]));
        assert!(ring.reserve(1).is_some());
    }

    #[test]
    fn open_record_holds_back_later_ones() {
        let mut ring = Ring::new(4096);
        let (a, b) = (ring.reserve(1).unwrap(), ring.reserve(2).unwrap());
        ring.submit(b);
        assert_eq!(ring.pop(), None);
        ring.submit(a);
        assert_eq!(ring.pop().map(|data| data.len()), Some(1));
        assert_eq!(ring.pop().map(|data| data.len()), Some(2));
        assert_eq!(ring.pop(), None);
    }
}
