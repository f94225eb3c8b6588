//! How programs of iterators begin.
//!
//! The kernel calls one for each element of the list, and once more behind the last, with an address of 0 in its place.
//! Elements are handed out in portions, or else a long list would fill the ring before anyone reads it: a portion ends
//! when the program has no room left in the kernel's buffer for the text that a reader of the iterator gets
//! (`bpf_seq_read`, kernel/bpf/bpf_iter.c); the element is then met again. So each element writes some text first that
//! nobody looks at, and where that fails the program does nothing.

use super::BodyCx;
use crate::helper::Helper;
use crate::ir::{Block, Cond, Width};

/// Where the element's address is in every iterator's context (`struct bpf_iter__task`), behind that of its state.
const ELEMENT: u32 = 8;

/// Text of an eighth of the kernel's buffer (`PAGE_SIZE << 3`): seven elements fit, the eighth fills it.
const PORTION: &[u8; 8] = b"%4096d\0\0";

impl BodyCx<'_> {
    /// Goes on only for an element that is there.
    pub(super) fn begin_pinned(&mut self, out: Block) {
        let zero = self.ir.iconst(0);
        let element = self.context_word(ELEMENT);
        let there = self.ir.block();
        self.ir.branch(Cond::Ne, element, zero, there, out);
        self.ir.switch_to(there);
    }

    /// Goes on only for an element that is there and that has room; else to `out`.
    pub(super) fn begin_element(&mut self, out: Block) {
        self.begin_pinned(out);
        let zero = self.ir.iconst(0);
        let fits = self.ir.block();
        // `struct bpf_iter_meta` begins with the address of the `struct seq_file`, as the helper wants it.
        let meta = self.context_word(0);
        let file = self.ir.load(meta, 0, Width::B8);
        let slot = self.ir.slot(16);
        let format = self.ir.slot_addr(slot, 0);
        let word = self.ir.iconst(i64::from_le_bytes(*PORTION));
        self.ir.store(format, 0, Width::B8, word);
        self.ir.store(format, 8, Width::B8, zero);
        let data = self.ir.slot_addr(slot, 8);
        let (length, size) = (self.ir.iconst(7), self.ir.iconst(8));
        let refused = self
            .ir
            .call(Helper::SeqPrintf, &[file, format, length, data, size]);
        self.ir.branch(Cond::Eq, refused, zero, fits, out);
        self.ir.switch_to(fits);
    }
}
