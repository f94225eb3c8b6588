//! Sending events to user space.
//!
//! A record is reserved only when all its arguments are evaluated, and is submitted at once: while one is open, the
//! consumer waits, for all CPUs. Records with long text are built in memory of the program's own and sent at their true
//! length, so that short text does not fill the ring with NULs.
//!
//! Control events carry a sequence number. The main ring is tried first, so that they keep their place among the other
//! events; what finds no room there goes to a ring of its own; and what that refuses too is noted in the program memory
//! ([`crate::plan::Refused`]): `exit` as a flag, what carries no arguments by its number.

use super::BodyCx;
use super::memory::Prepared;
use crate::helper::Helper;
use crate::hir::Expr;
use crate::ir::{AtomicOp, BinOp, Block, Cond, Op, Value, Width};
use crate::plan::{BpfMapId, Event, EventId, EventKind, LossKind, MemoryPlan};
use crate::target::Feature;

/// Records longer than this are sent at their true length. Longer than any stack frame has room for, so such a record is
/// always built in scratch memory, all of which counts as initialised.
const LONG_RECORD: u32 = 448;

impl BodyCx<'_> {
    pub(super) fn emit_event(&mut self, id: EventId, args: &[Expr]) {
        let event = &self.script.events[id.0 as usize];
        if self.is_pinned() {
            return self.show_to_reader(event, args);
        }
        let Some(rings) = self.layout.plan.rings else {
            debug_assert!(false, "an event without rings");
            return;
        };
        let args: Vec<Prepared> = args.iter().map(|arg| self.prepare(arg)).collect();
        if event.kind == EventKind::Exit {
            let flag = self.ir.emit(Op::Memory(MemoryPlan::EXIT));
            let exited = self.ir.iconst(MemoryPlan::EXITED as i64);
            self.ir.store(flag, 0, Width::B8, exited);
        }
        let header = self.header(event, id);
        let done = self.ir.block();
        if event.is_control() {
            let second = self.ir.block();
            self.send(rings.main, event, &args, header, done, second);
            self.ir.switch_to(second);
            let refused = self.ir.block();
            self.send(rings.control, event, &args, header, done, refused);
            self.ir.switch_to(refused);
            if event.kind == EventKind::Exit {
                self.raise_exit_flag(&args);
            } else if event.is_noted() {
                self.note_refusal(id, header);
            } else {
                self.count_loss(LossKind::Event);
            }
            self.ir.jump(done, &[]);
        } else {
            let refused = self.ir.block();
            if event.size > LONG_RECORD && self.target.has(Feature::FullAtomics) {
                self.send_long(rings.main, event, &args, header, done, refused);
            } else {
                self.send(rings.main, event, &args, header, done, refused);
            }
            self.ir.switch_to(refused);
            self.count_loss(LossKind::Event);
            self.ir.jump(done, &[]);
        }
        self.ir.switch_to(done);
        if event.kind == EventKind::Exit {
            self.end_program();
        }
    }

    /// The first 8 bytes of a record.
    fn header(&mut self, event: &Event, id: EventId) -> Value {
        let number = i64::from(id.0);
        // Without fetching atomics (before 5.12) there are no sequence numbers: such events keep the order of the ring.
        if !event.is_control() || !self.target.has(Feature::FullAtomics) {
            return self.ir.iconst(number);
        }
        let counter = self.ir.emit(Op::Memory(MemoryPlan::CONTROL_SEQ));
        let one = self.ir.iconst(1);
        let sequence = self.ir.atomic_fetch(AtomicOp::Add, counter, 0, one);
        let high = self.ir.bin_imm(BinOp::Shl, sequence, 32);
        self.ir.bin_imm(BinOp::Or, high, number)
    }

    /// Reserves, fills and submits a record; goes on at `done`, or at `refused` where the ring has no room.
    fn send(
        &mut self,
        ring: BpfMapId,
        event: &Event,
        args: &[Prepared],
        header: Value,
        done: Block,
        refused: Block,
    ) {
        let map = self.ir.emit(Op::MapPtr(ring));
        let size = self.ir.iconst(i64::from(event.size));
        let zero = self.ir.iconst(0);
        let record = self.ir.call(Helper::RingbufReserve, &[map, size, zero]);
        let there = self.ir.block();
        self.ir.branch(Cond::Ne, record, zero, there, refused);
        self.ir.switch_to(there);
        self.fill_record(record, event, args, header);
        self.ir.call_effect(Helper::RingbufSubmit, &[record, zero]);
        self.ir.jump(done, &[]);
    }

    /// Fills a record; gives the length of its last argument where that is text whose length is known now.
    fn fill_record(
        &mut self,
        record: Value,
        event: &Event,
        args: &[Prepared],
        header: Value,
    ) -> Option<Value> {
        self.ir.store(record, 0, Width::B8, header);
        let mut length = None;
        for (prepared, arg) in args.iter().zip(&event.args) {
            length = self.fill_slot(prepared, &arg.ty, record, arg.offset, false);
        }
        length
    }

    /// Builds a record in the program's own memory and sends as much of it as is used.
    fn send_long(
        &mut self,
        ring: BpfMapId,
        event: &Event,
        args: &[Prepared],
        header: Value,
        done: Block,
        refused: Block,
    ) {
        let slot = self.ir.slot(event.size);
        let record = self.ir.slot_addr(slot, 0);
        let length = self.fill_record(record, event, args, header);
        let map = self.ir.emit(Op::MapPtr(ring));
        let zero = self.ir.iconst(0);
        let result = match (length, event.args.last()) {
            (Some(length), Some(last)) => {
                let size = self.ir.bin_imm(BinOp::Add, length, i64::from(last.offset));
                self.ir.emit(Op::CallBounded {
                    helper: Helper::RingbufOutput,
                    args: [map, record, size, zero].into(),
                    bounded: 2,
                    max: event.size,
                })
            }
            _ => {
                let size = self.ir.iconst(i64::from(event.size));
                self.ir.call(Helper::RingbufOutput, &[map, record, size, zero])
            }
        };
        let error = self.error_of(result);
        self.ir.branch(Cond::Eq, error, zero, done, refused);
    }

    /// Notes an event that no ring took: in the slot of its number, so that its place among the others is known, or where
    /// user space has not freed that slot yet, as one more of its kind.
    fn note_refusal(&mut self, id: EventId, header: Value) {
        let refused = self.layout.plan.memory.refused;
        let one = self.ir.iconst(1);
        let noted = self.ir.block();
        if refused.slots != 0 {
            let base = self.ir.emit(Op::Memory(refused.first_slot()));
            let index = self.ir.bin_imm(BinOp::LShr, header, 32);
            let addr = self.ir.emit(Op::ElementAddr {
                base,
                index,
                count: refused.slots,
                stride: 8,
            });
            let expected = self.ir.iconst(0);
            let new = self.ir.bin_imm(BinOp::Add, header, 1);
            let seen = self.ir.emit(Op::CompareExchange {
                addr,
                offset: 0,
                expected,
                new,
            });
            let taken = self.ir.block();
            self.ir.branch(Cond::Eq, seen, expected, noted, taken);
            self.ir.switch_to(taken);
        }
        let counter = self.ir.emit(Op::Memory(refused.counter(id.0)));
        self.ir.atomic(AtomicOp::Add, counter, 0, one);
        self.ir.jump(noted, &[]);
        self.ir.switch_to(noted);
        let notes = self.ir.emit(Op::Memory(refused.offset));
        self.ir.atomic(AtomicOp::Add, notes, 0, one);
    }

    /// 1 + the exit code.
    fn raise_exit_flag(&mut self, args: &[Prepared]) {
        let code = match args.first() {
            Some(Prepared::Scalar(code)) => self.ir.emit(Op::Extend {
                bits: 32,
                signed: false,
                value: *code,
            }),
            _ => self.ir.iconst(0),
        };
        let flag = self.ir.bin_imm(BinOp::Add, code, 1);
        let addr = self.ir.emit(Op::Memory(MemoryPlan::EXIT));
        self.ir.store(addr, 0, Width::B8, flag);
    }
}
