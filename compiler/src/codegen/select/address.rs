//! Addresses: what is folded into the offset of an access, and what is made on the spot.

use super::{Selector, Source, Use};
use crate::codegen::machine::Access;
use crate::ir::{BinOp, Home, Op, Slot, Value};

/// How many additions of constants to an address are folded.
const MAX_CHAIN: u32 = 8;

/// What an address is based on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The frame pointer.
    Frame,
    /// The start of the program memory.
    Memory,
    /// A value.
    At(Value),
}

impl Selector<'_> {
    /// How an operand gets its value.
    pub(in crate::codegen) fn source(&self, value: Value) -> Source {
        let value = self.root(value);
        match self.op(value) {
            Some(Op::Const(c)) => Source::Const(*c),
            Some(Op::Ctx) => Source::Ctx,
            Some(Op::Argument(n)) => Source::Argument(*n),
            Some(Op::Callback(id)) => Source::Callback(*id),
            Some(Op::MapPtr(map)) => Source::Map(*map),
            Some(_) => match self.place(value) {
                (Place::Frame, offset) => i16::try_from(offset).map_or(Source::Value(value), Source::Frame),
                (Place::Memory, offset) => u32::try_from(offset).map_or(Source::Value(value), Source::Memory),
                (Place::At(_), _) => Source::Value(value),
            },
            None => Source::Value(value),
        }
    }

    /// An address as a base and a constant, looking through additions of constants.
    fn place(&self, value: Value) -> (Place, i64) {
        let mut value = self.root(value);
        let mut offset = 0i64;
        // Longer chains are left to the optimiser; following them for every link would take quadratic time.
        for _ in 0..MAX_CHAIN {
            match self.op(value) {
                Some(Op::SlotAddr(slot, at)) => {
                    let at = i64::from(self.home(*slot)) + i64::from(*at);
                    return (Place::Frame, offset.saturating_add(at));
                }
                Some(Op::Memory(at)) => return (Place::Memory, offset.saturating_add(i64::from(*at))),
                op => {
                    let Some((base, by)) = op.and_then(|op| self.displaced(op)) else {
                        break;
                    };
                    let Some(sum) = offset.checked_add(by) else {
                        break;
                    };
                    offset = sum;
                    value = self.root(base);
                }
            }
        }
        (Place::At(value), offset)
    }

    /// What `op` adds a constant to, and the constant.
    pub(super) fn displaced(&self, op: &Op) -> Option<(Value, i64)> {
        match *op {
            Op::Bin(BinOp::Add, a, b) => match self.constant(b) {
                Some(c) => Some((a, c)),
                None => Some((b, self.constant(a)?)),
            },
            Op::Bin(BinOp::Sub, a, b) => Some((a, self.constant(b)?.checked_neg()?)),
            Op::ElementAddr {
                base,
                index,
                count,
                stride,
            } => {
                let index = self.constant(index)? & (i64::from(count) - 1);
                Some((base, index * i64::from(stride)))
            }
            _ => None,
        }
    }

    /// Where a slot is on the frame.
    fn home(&self, slot: Slot) -> i16 {
        match self.func.slots[slot.0 as usize].home {
            Home::Frame(at) => at,
            Home::Unplaced | Home::Scratch(_) => {
                unreachable!("verified functions have their slots on the frame")
            }
        }
    }

    /// The base operand, if any, and the rest of an access to `addr + offset`.
    pub(super) fn access(&self, addr: Value, offset: i16) -> (Option<(Source, Use)>, Access) {
        let frame = |offset| (None, Access { frame: true, offset });
        let based = |source, offset| (Some((source, Use::Reg)), Access { frame: false, offset });
        let (place, at) = self.place(addr);
        let total = at.saturating_add(i64::from(offset));
        match (place, i16::try_from(total)) {
            (Place::Frame, Ok(total)) => frame(total),
            // A base that is the same for neighbouring accesses can be used for all of them.
            (Place::Memory, _) => match u32::try_from(total) {
                Ok(total) => based(Source::Memory(total), 0),
                Err(_) => based(self.source(addr), offset),
            },
            (Place::At(base), Ok(total)) if self.only_addresses(addr, base) => {
                based(self.source(base), total)
            }
            _ => based(self.source(addr), offset),
        }
    }

    /// Whether nothing but accesses uses any of the sums on the way from `addr` down to `base`: else they are in
    /// registers anyway.
    fn only_addresses(&self, addr: Value, base: Value) -> bool {
        let mut value = self.root(addr);
        let mut inner = false;
        while value != base {
            let uses = self.uses[value.0 as usize];
            // The inner sums of a chain are used by the outer ones.
            if uses.all != uses.address + u32::from(inner) {
                return false;
            }
            inner = true;
            match self.op(value).and_then(|op| self.displaced(op)) {
                Some((next, _)) => value = self.root(next),
                None => return false,
            }
        }
        true
    }
}
