//! What is known of memory at a place in a program: the contents of slots, and which map elements have been looked up.
//!
//! A [`State`] holds facts that are true whenever execution gets there. Every value that a state mentions is the same
//! on all paths to the place, so it is defined on all of them and may be used there.

use super::slots::{Access, Kind, Slots};
use crate::ir::{Inst, Slot, Value};
use crate::plan::BpfMapId;
use std::rc::Rc;

/// How many slots a state knows of at the start of a block, and how many lookups: states are copied at every branch, so
/// what they can hold is bounded.
const MAX_SLOTS: usize = 64;
const MAX_LOOKUPS: usize = 32;

/// What some bytes of a slot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The low bytes of a value.
    Value(Value),
    /// The name of the current task, which does not change while a program runs.
    Comm,
    /// What this call left there when it last ran.
    Fill(Inst),
}

/// Bytes `start..end` of a slot and what they hold. A [`Content::Comm`] starts at the name's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The first byte.
    pub start: u32,
    /// Behind the last.
    pub end: u32,
    /// What is there.
    pub content: Content,
}

/// A lookup that has been made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The map.
    pub map: BpfMapId,
    /// The key's bytes, from 0 and without gaps.
    pub key: Rc<[Piece]>,
    /// The element's address, or 0.
    pub result: Value,
    /// Whether it is known not to be 0.
    pub is_found: bool,
}

/// Facts at a place. Copies share what neither has changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Known contents by ascending slot; the pieces of each are in order and disjoint.
    slots: Vec<(Slot, Rc<Vec<Piece>>)>,
    /// Lookups whose result still stands.
    lookups: Rc<Vec<Lookup>>,
}

impl State {
    fn place(&self, slot: Slot) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&slot, |(slot, _)| *slot)
    }

    fn pieces(&self, slot: Slot) -> &[Piece] {
        self.place(slot).map_or(&[], |i| &self.slots[i].1)
    }

    /// What the bytes of a slot hold, if that is one known piece.
    pub fn piece(&self, slot: Slot, start: u32, end: u32) -> Option<Content> {
        let pieces = self.pieces(slot);
        let i = pieces.binary_search_by_key(&start, |p| p.start).ok()?;
        (pieces[i].end == end).then_some(pieces[i].content)
    }

    /// How many facts a copy consists of.
    pub fn len(&self) -> usize {
        self.slots.len() + self.lookups.len()
    }

    /// The contents of a range, its start as 0, if all of it is known and no piece reaches over its ends.
    pub fn range(&self, slot: Slot, start: u32, end: u32) -> Option<Vec<Piece>> {
        let mut at = start;
        let mut out = Vec::new();
        for piece in self.pieces(slot) {
            if at < end && piece.start == at && piece.end <= end {
                out.push(Piece {
                    start: piece.start - start,
                    end: piece.end - start,
                    content: piece.content,
                });
                at = piece.end;
            }
        }
        (at == end).then_some(out)
    }

    /// Forgets what was known of bytes that `access` may write.
    pub fn forget(&mut self, access: &Access) {
        let is_left = |p: &Piece| p.end <= access.start || access.end <= p.start;
        if let Ok(i) = self.place(access.slot)
            && !self.slots[i].1.iter().all(is_left)
        {
            Rc::make_mut(&mut self.slots[i].1).retain(is_left);
        }
    }

    /// Bytes of a slot now hold this. What they held is forgotten.
    pub fn set(&mut self, slot: Slot, start: u32, end: u32, content: Content) {
        self.forget(&Access {
            slot,
            kind: Kind::Store,
            start,
            end,
        });
        let i = self.place(slot).unwrap_or_else(|i| {
            self.slots.insert(i, (slot, Rc::default()));
            i
        });
        let pieces = Rc::make_mut(&mut self.slots[i].1);
        let at = pieces.partition_point(|p| p.start < start);
        pieces.insert(at, Piece { start, end, content });
    }

    /// The result of an earlier lookup of this key.
    pub fn lookup(&self, map: BpfMapId, key: &[Piece]) -> Option<Value> {
        let mut all = self.lookups.iter();
        all.find(|l| l.map == map && *l.key == *key).map(|l| l.result)
    }

    /// The map may have new elements, but those that it has stay where they are.
    pub fn inserted(&mut self, map: BpfMapId) {
        self.retain_lookups(|l| l.map != map || l.is_found);
    }

    /// Elements of the map may be gone or replaced.
    pub fn recycled(&mut self, map: BpfMapId) {
        self.retain_lookups(|l| l.map != map);
    }

    fn retain_lookups(&mut self, stands: impl Fn(&Lookup) -> bool) {
        if !self.lookups.iter().all(&stands) {
            Rc::make_mut(&mut self.lookups).retain(stands);
        }
    }

    /// A value is known not to be 0.
    pub fn learn_nonzero(&mut self, value: Value) {
        let is_news = |l: &Lookup| l.result == value && !l.is_found;
        if self.lookups.iter().any(is_news) {
            let lookups = Rc::make_mut(&mut self.lookups);
            lookups
                .iter_mut()
                .filter(|l| is_news(l))
                .for_each(|l| l.is_found = true);
        }
    }

    /// Nothing is known of any byte of a range.
    pub fn is_unknown(&self, slot: Slot, start: u32, end: u32) -> bool {
        let pieces = self.pieces(slot);
        pieces.iter().all(|p| p.end <= start || end <= p.start)
    }

    /// Remembers a lookup.
    pub fn found(&mut self, lookup: Lookup) {
        let lookups = Rc::make_mut(&mut self.lookups);
        lookups.push(lookup);
        if lookups.len() > MAX_LOOKUPS {
            lookups.remove(0);
        }
    }

    /// Nothing is known of any map.
    pub fn forget_lookups(&mut self) {
        self.lookups = Rc::default();
    }

    /// Forgets slots for which `is_needed` does not hold, and such that are too many.
    pub fn retain_slots(&mut self, is_needed: impl Fn(Slot) -> bool) {
        self.slots
            .retain(|(slot, pieces)| !pieces.is_empty() && is_needed(*slot));
        let excess = self.slots.len().saturating_sub(MAX_SLOTS);
        self.slots.drain(..excess);
    }

    /// What is true of both places. `merged` says which value stands for two that differ.
    pub fn meet(&mut self, other: &Self, merged: impl Fn(Value, Value) -> Option<Value>) {
        let mut others = other.slots.iter().peekable();
        self.slots.retain_mut(|(slot, pieces)| {
            while others.next_if(|(other, _)| other < slot).is_some() {}
            let Some((_, others)) = others.next_if(|(other, _)| other == slot) else {
                return false;
            };
            if Rc::ptr_eq(pieces, others) {
                return !pieces.is_empty();
            }
            let is_same = |p: &Piece| {
                let same_start = others.binary_search_by_key(&p.start, |o| o.start);
                same_start.is_ok_and(|i| others[i] == *p)
            };
            if !pieces.iter().all(is_same) {
                Rc::make_mut(pieces).retain(is_same);
            }
            !pieces.is_empty()
        });
        if Rc::ptr_eq(&self.lookups, &other.lookups) {
            return;
        }
        Rc::make_mut(&mut self.lookups).retain_mut(|lookup| {
            let same = |o: &&Lookup| o.map == lookup.map && o.key == lookup.key;
            let Some(o) = other.lookups.iter().find(same) else {
                return false;
            };
            lookup.is_found &= o.is_found;
            match merged(lookup.result, o.result) {
                Some(result) => lookup.result = result,
                None => return false,
            }
            true
        });
    }
}

/// The last place (position in an order of blocks) that accesses each slot, by slot.
pub(crate) fn last_accesses(
    func: &crate::ir::Function,
    slots: &Slots,
    order: &[crate::ir::Block],
) -> Vec<u32> {
    let mut last = vec![0; func.slots.len()];
    for (i, block) in order.iter().enumerate() {
        for inst in &func.blocks[block.0 as usize].insts {
            for access in slots.accesses(&func.insts[inst.0 as usize].op) {
                last[access.slot.0 as usize] = i as u32;
            }
        }
    }
    last
}
