//! Reading a BPF ring buffer (`BPF_MAP_TYPE_RINGBUF`).
//!
//! In: the map. Out: records in the order in which programs reserved them, whole. The layout is that of
//! kernel/bpf/ringbuf.c: a page with the consumer's position, which we write; a page with the producers' position; the
//! data, mapped twice in a row so that no record is split. A record is a header of 8 bytes (length, of which the two
//! top bits are flags; page offset, unused here), then its bytes, padded to 8.

use crate::sys::mmap::{Mapping, page_size};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{Ordering, fence};

/// `BPF_RINGBUF_BUSY_BIT`: reserved, not yet submitted.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: given up; to be passed over.
const DISCARD: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`.
const HEADER: u64 = 8;

/// The consuming end of a ring buffer; there must be only one.
#[derive(Debug)]
pub struct RingReader {
    /// The consumer's page: its first word is how many bytes have been consumed since the start.
    consumer: Mapping,
    /// The producers' page (its first word likewise), then the data twice.
    producer: Mapping,
    /// Bytes of data, a power of two.
    size: u64,
}

impl RingReader {
    /// Maps a ring buffer of `size` bytes (its `max_entries`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(map: BorrowedFd<'_>, size: u32) -> io::Result<Self> {
        let page = page_size();
        Ok(Self {
            consumer: Mapping::new(map, 0, page, true)?,
            producer: Mapping::new(map, page, page + 2 * size as usize, false)?,
            size: u64::from(size),
        })
    }

    /// The next record, or `None` when there is none or the next is still being written.
    pub fn next_record(&mut self) -> Option<Vec<u8>> {
        let consumed = self.consumer.word(0)?;
        let mut position = consumed.load(Ordering::Relaxed);
        loop {
            if position >= self.producer.load_acquire(0)? {
                return None;
            }
            let start = page_size() + usize::try_from(position & (self.size - 1)).ok()?;
            let header = self.producer.load_u32_acquire(start)?;
            if header & BUSY != 0 {
                return None;
            }
            let len = header & !DISCARD;
            let record =
                (header & DISCARD == 0).then(|| self.producer.copy(start + HEADER as usize, len as usize));
            position += (u64::from(len) + HEADER).next_multiple_of(8);
            consumed.store(position, Ordering::Release);
            // A producer that submits now either sees the new position, and wakes us, or is seen by our next look.
            fence(Ordering::SeqCst);
            if let Some(record) = record {
                return record;
            }
        }
    }
}
