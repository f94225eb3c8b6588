//! One slot for several that hold the same.
//!
//! In: any function. Out: the same, where a slot that is filled with the values that another one already holds is that
//! other one: `@s[tid]` and `delete(@s, tid)` then share a key.
//!
//! A slot qualifies if it is written by stores only, all of one block and no byte twice: it then holds the same from the
//! last of them on. Functions with loops are left alone, since there a store comes again with other values.

use super::slots::{Kind, Slots};
use crate::ir::cfg::Cfg;
use crate::ir::{Block, Function, Inst, Op, Slot, Value, Width};
use rustc_hash::FxHashMap;

/// A store: offset in the slot, width, value.
type Write = (u32, Width, Value);

/// How a slot is filled.
struct Filled {
    writes: Vec<Write>,
    stores: Vec<Inst>,
    block: Block,
    /// Positions in the block of the first and last store.
    first: usize,
    last: usize,
}

/// Merges slots. Says whether there were any to merge.
pub(crate) fn run(func: &mut Function, cfg: &Cfg) -> bool {
    if func.slots.len() < 2 {
        return false;
    }
    if !cfg.loops(func).is_empty() {
        return false;
    }
    let mut filled = fillings(func, cfg);
    let mut holders: FxHashMap<(u32, Vec<Write>), Vec<Slot>> = FxHashMap::default();
    let mut merged = FxHashMap::default();
    let mut gone = Vec::new();
    // In the order of their stores, so that the earlier ones come first.
    let mut slots: Vec<Slot> = (0..func.slots.len() as u32)
        .map(Slot)
        .filter(|s| filled.contains_key(s))
        .collect();
    slots.sort_by_key(|slot| (cfg.place(filled[slot].block), filled[slot].first));
    for slot in slots {
        let this = &filled[&slot];
        let key = (func.slots[slot.0 as usize].size, this.writes.clone());
        let holders = holders.entry(key).or_default();
        let earlier = holders
            .iter()
            .copied()
            .find(|holder| is_before(&filled[holder], this, cfg));
        match earlier {
            Some(earlier) => {
                merged.insert(slot, earlier);
                gone.extend(filled.remove(&slot).map(|f| (f.block, f.stores)));
            }
            None => holders.push(slot),
        }
    }
    for (block, stores) in gone {
        func.blocks[block.0 as usize]
            .insts
            .retain(|inst| !stores.contains(inst));
    }
    for data in &mut func.insts {
        if let Op::SlotAddr(slot, _) = &mut data.op
            && let Some(holder) = merged.get(slot)
        {
            *slot = *holder;
        }
    }
    !merged.is_empty()
}

/// Whether all of `a` is stored before any of `b`, on every way there.
fn is_before(a: &Filled, b: &Filled, cfg: &Cfg) -> bool {
    if a.block == b.block {
        a.last < b.first
    } else {
        cfg.dominates(a.block, b.block)
    }
}

/// Every slot that qualifies.
fn fillings(func: &Function, cfg: &Cfg) -> FxHashMap<Slot, Filled> {
    let slots = Slots::new(func, &cfg.order);
    let mut filled: FxHashMap<Slot, Option<Filled>> = FxHashMap::default();
    for &block in &cfg.order {
        for (position, &inst) in func.blocks[block.0 as usize].insts.iter().enumerate() {
            let op = &func.insts[inst.0 as usize].op;
            for access in slots.accesses(op) {
                if access.kind == Kind::Read {
                    continue;
                }
                let write = write_of(op, &slots, access.slot);
                let entry = filled.entry(access.slot).or_insert_with(|| {
                    Some(Filled {
                        writes: Vec::new(),
                        stores: Vec::new(),
                        block,
                        first: position,
                        last: position,
                    })
                });
                let fits = match (&write, &*entry) {
                    (Some(write), Some(so_far)) => {
                        so_far.block == block && so_far.writes.iter().all(|other| are_apart(write, other))
                    }
                    _ => false,
                };
                match (entry.as_mut(), write) {
                    (Some(so_far), Some(write)) if fits => {
                        so_far.writes.push(write);
                        so_far.stores.push(inst);
                        so_far.last = position;
                    }
                    _ => *entry = None,
                }
            }
        }
    }
    let mut fit: FxHashMap<Slot, Filled> = filled
        .into_iter()
        .filter(|(slot, _)| !slots.is_escaped(*slot))
        .filter_map(|(slot, filled)| Some((slot, filled?)))
        .collect();
    for filled in fit.values_mut() {
        filled.writes.sort_unstable_by_key(|(offset, ..)| *offset);
    }
    fit
}

fn write_of(op: &Op, slots: &Slots, slot: Slot) -> Option<Write> {
    let Op::Store {
        addr,
        offset,
        width,
        value,
    } = op
    else {
        return None;
    };
    let (at, base) = slots.place_of(*addr)?;
    // Bytes 0 to the slot's end; an access elsewhere is the verifier's to refuse.
    let offset = base.checked_add_signed(i32::from(*offset))?;
    (at == slot && slots.slot_of(*value).is_none()).then_some((offset, *width, *value))
}

fn are_apart(a: &Write, b: &Write) -> bool {
    a.0 + a.1.bytes() <= b.0 || b.0 + b.1.bytes() <= a.0
}
