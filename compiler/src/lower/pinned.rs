//! What programs of pinned iterators print: text for whoever reads the file, written by the kernel.
//!
//! Where the reader's buffer is full the kernel takes back what the element has written and hands the element out again at the
//! next read (`bpf_seq_read`, kernel/bpf/bpf_iter.c), so that refusals need no handling here.

use super::BodyCx;
use super::memory::Prepared;
use crate::format::kernel::{Word, for_kernel};
use crate::helper::Helper;
use crate::hir::Expr;
use crate::ir::{BinOp, Op, Value, Width};
use crate::plan::{Attach, Event, EventKind};

impl BodyCx<'_> {
    /// Whether the program stays when crumbs ends.
    pub(super) fn is_pinned(&self) -> bool {
        self.probe.attach.iter().any(Attach::is_pinned)
    }

    /// Fills the event's format in the kernel; what is no `printf` has nobody who would be told.
    pub(super) fn show_to_reader(&mut self, event: &Event, args: &[Expr]) {
        let prepared: Vec<Prepared> = args.iter().map(|arg| self.prepare(arg)).collect();
        let EventKind::Printf(format) = &event.kind else {
            return;
        };
        let types: Vec<_> = args.iter().map(|arg| &arg.ty).collect();
        let Ok(format) = for_kernel(format, &types) else {
            debug_assert!(false, "the checker lets only such formats pass");
            return;
        };
        let words: Vec<Value> = (format.words.iter().zip(args).zip(&prepared))
            .map(|((word, arg), prepared)| self.word_for_reader(*word, arg, prepared))
            .collect();
        let data = self.ir.slot(8 * words.len().max(1) as u32);
        let data = self.ir.slot_addr(data, 0);
        for (at, word) in words.iter().enumerate() {
            self.ir.store(data, 8 * at as i16, Width::B8, *word);
        }
        let length = format.text.len() as u32;
        let text = self.ir.slot(length.next_multiple_of(8));
        let text = self.ir.slot_addr(text, 0);
        self.store_bytes(&format.text, text, 0);
        // `struct bpf_iter_meta` begins with the address of the `struct seq_file`, as the helper wants it.
        let meta = self.context_word(0);
        let file = self.ir.load(meta, 0, Width::B8);
        let (length, size) = (
            self.ir.iconst(i64::from(length)),
            self.ir.iconst(8 * words.len() as i64),
        );
        self.ir
            .call_effect(Helper::SeqPrintf, &[file, text, length, data, size]);
    }

    fn word_for_reader(&mut self, word: Word, arg: &Expr, prepared: &Prepared) -> Value {
        match (word, prepared) {
            (Word::Number { bits, signed }, Prepared::Scalar(value)) if bits < 64 => {
                self.ir.emit(Op::Extend {
                    bits,
                    signed,
                    value: *value,
                })
            }
            (Word::Number { .. }, Prepared::Scalar(value)) => *value,
            (Word::Byte, Prepared::Scalar(value)) => {
                let text = self.ir.slot(8);
                let text = self.ir.slot_addr(text, 0);
                let byte = self.ir.bin_imm(BinOp::And, *value, 0xff);
                self.ir.store(text, 0, Width::B8, byte);
                text
            }
            (Word::Text, prepared) => {
                let (addr, offset, _) = self.placed(prepared, &arg.ty);
                self.ir.bin_imm(BinOp::Add, addr, i64::from(offset))
            }
            _ => self.ir.iconst(0),
        }
    }
}
