//! Who touches which slot.
//!
//! In: any function. Out: for every value whether it is an address in a slot, for every instruction how it accesses
//! slots, and which slots are beyond analysis because their address goes where it cannot be followed. Helpers do not
//! keep addresses past their return, so a call accesses a slot only where it is handed its address.

use super::edit::{constants, for_each_operand};
use crate::helper::{Arg, Helper};
use crate::ir::{BinOp, Function, Op, Slot, Terminator, Value};

/// How a slot is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes are read.
    Read,
    /// All bytes are overwritten, with a value of the program.
    Store,
    /// Some of the bytes may be overwritten by a helper; none is read.
    Fill,
    /// Anything.
    Both,
}

/// An access to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Which.
    pub slot: Slot,
    /// How.
    pub kind: Kind,
    /// The bytes `start..end` that it can concern; never empty.
    pub start: u32,
    /// Behind the last of them.
    pub end: u32,
}

/// An address in a slot: at a known offset or anywhere.
type Root = (Slot, Option<u32>);

/// Which values are addresses in slots.
#[derive(Debug)]
pub(crate) struct Slots {
    roots: Vec<Option<Root>>,
    escaped: Vec<bool>,
    sizes: Vec<u32>,
    constants: Vec<Option<i64>>,
}

impl Slots {
    /// Follows the addresses of slots through `func`, whose blocks are given in an order that has definitions before
    /// uses.
    pub fn new(func: &Function, order: &[crate::ir::Block]) -> Self {
        let mut slots = Self {
            roots: vec![None; func.values as usize],
            // Other functions access these too.
            escaped: func.slots.iter().map(|s| s.shared.is_some()).collect(),
            sizes: func.slots.iter().map(|s| s.size).collect(),
            constants: constants(func),
        };
        for &block in order {
            let data = &func.blocks[block.0 as usize];
            for inst in &data.insts {
                let data = &func.insts[inst.0 as usize];
                let root = slots.follow(&data.op);
                if let (Some(result), Some(root)) = (data.result, root) {
                    slots.roots[result.0 as usize] = Some(root);
                }
            }
            if let Some(terminator) = &data.terminator {
                slots.terminator(terminator);
            }
        }
        slots
    }

    /// The slot that `value` is an address in.
    pub fn slot_of(&self, value: Value) -> Option<Slot> {
        self.roots[value.0 as usize].map(|(slot, _)| slot)
    }

    /// The slot and offset that `value` is the address of, where known.
    pub fn place_of(&self, value: Value) -> Option<(Slot, u32)> {
        self.roots[value.0 as usize].and_then(|(slot, offset)| Some((slot, offset?)))
    }

    /// Whether the slot's address goes where accesses through it cannot be seen.
    pub fn is_escaped(&self, slot: Slot) -> bool {
        self.escaped[slot.0 as usize]
    }

    /// Every access that `op` makes.
    pub fn accesses(&self, op: &Op) -> impl Iterator<Item = Access> + use<'_> {
        let own = match *op {
            Op::Load {
                addr, offset, width, ..
            } => self.access(addr, offset, Some(width.bytes()), Kind::Read),
            Op::Store {
                addr, offset, width, ..
            } => self.access(addr, offset, Some(width.bytes()), Kind::Store),
            Op::Atomic { addr, offset, .. } | Op::CompareExchange { addr, offset, .. } => {
                self.access(addr, offset, Some(8), Kind::Both)
            }
            _ => None,
        };
        let call = match *op {
            Op::Call(helper, args) => Some((helper, args, true)),
            Op::CallBounded { helper, args, .. } => Some((helper, args, false)),
            _ => None,
        };
        let through = call.into_iter().flat_map(move |(helper, args, is_exact)| {
            (0..args.len()).filter_map(move |i| self.access_by_call(helper, &args, i, is_exact))
        });
        own.into_iter().chain(through)
    }

    /// The access that a helper makes through its argument `i`; `is_exact`: it is given the size that its arguments say.
    fn access_by_call(&self, helper: Helper, args: &[Value], i: usize, is_exact: bool) -> Option<Access> {
        let arg = *helper.row().args.get(i)?;
        let kind = match arg {
            Arg::Key | Arg::MapValue | Arg::Mem => Kind::Read,
            Arg::MemOut => Kind::Fill,
            Arg::Shared => Kind::Both,
            _ => return None,
        };
        let is_sized = matches!(arg, Arg::Mem | Arg::MemOut);
        let bytes = args.get(i + 1).filter(|_| is_sized && is_exact);
        let bytes = bytes.and_then(|v| u32::try_from(self.constants[v.0 as usize]?).ok());
        self.access(args[i], 0, bytes, kind)
    }

    /// An access of `bytes` (to the slot's end, if `None`) at an address plus an offset.
    fn access(&self, addr: Value, offset: i16, bytes: Option<u32>, kind: Kind) -> Option<Access> {
        let (slot, base) = self.roots[addr.0 as usize]?;
        let size = self.sizes[slot.0 as usize];
        let start = base.and_then(|b| u32::try_from(i64::from(b) + i64::from(offset)).ok());
        let range = start.and_then(|start| {
            let end = bytes.map_or(Some(size), |n| start.checked_add(n))?;
            (start < end && end <= size).then_some((start, end))
        });
        // Where the place is not known, a store may leave bytes alone.
        let (kind, (start, end)) = match (range, kind) {
            (Some(range), kind) => (kind, range),
            (None, Kind::Store) => (Kind::Fill, (0, size)),
            (None, kind) => (kind, (0, size)),
        };
        Some(Access {
            slot,
            kind,
            start,
            end,
        })
    }

    fn escape(&mut self, value: Value) {
        if let Some((slot, _)) = self.roots[value.0 as usize] {
            self.escaped[slot.0 as usize] = true;
        }
    }

    /// The address that `op` computes; operands that go astray escape.
    fn follow(&mut self, op: &Op) -> Option<Root> {
        match op {
            Op::SlotAddr(slot, offset) => return Some((*slot, Some(*offset))),
            Op::Bin(BinOp::Add | BinOp::Sub, base, index) if self.slot_of(*index).is_none() => {
                return self.slot_of(*base).map(|slot| (slot, None));
            }
            Op::Bin(BinOp::Add, index, base) if self.slot_of(*index).is_none() => {
                return self.slot_of(*base).map(|slot| (slot, None));
            }
            Op::ElementAddr { base, index, .. } => {
                self.escape(*index);
                return self.slot_of(*base).map(|slot| (slot, None));
            }
            Op::Load { .. } => {}
            Op::Store { value, .. } | Op::Atomic { value, .. } => self.escape(*value),
            Op::CompareExchange { expected, new, .. } => {
                self.escape(*expected);
                self.escape(*new);
            }
            Op::Call(helper, args) | Op::CallBounded { helper, args, .. } => self.call(*helper, args),
            op => op.operands().for_each(|v| self.escape(v)),
        }
        None
    }

    fn call(&mut self, helper: Helper, args: &[Value]) {
        let kinds = helper.row().args;
        for (i, arg) in args.iter().enumerate() {
            match kinds.get(i) {
                Some(Arg::Key | Arg::MapValue | Arg::Mem | Arg::MemOut | Arg::Shared) => {}
                _ => self.escape(*arg),
            }
        }
    }

    fn terminator(&mut self, terminator: &Terminator) {
        for_each_operand(terminator, |v| self.escape(v));
    }
}
