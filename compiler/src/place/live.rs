//! Where slots are live.
//!
//! In: any function. Out: for every slot one stretch of the instructions in reverse postorder outside of which its
//! contents do not matter: from the first access to the last, and where that touches a loop, all of the loop. Any path
//! between two accesses stays inside: forward edges go onwards in the order, and each back edge is inside its loop's
//! stretch. A slot whose address goes where it cannot be followed is live everywhere.

use crate::ir::cfg::{Cfg, Stretches};
use crate::ir::{Function, Op};
use crate::opt::slots::Slots;

/// The live range of each slot.
pub(super) struct Ranges {
    /// First and last position; `None` for a slot without accesses.
    ranges: Vec<Option<(u32, u32)>>,
    /// Whether the slot's address is taken at all.
    used: Vec<bool>,
}

impl Ranges {
    pub(super) fn new(func: &Function) -> Self {
        let cfg = Cfg::of(func);
        let slots = Slots::new(func, &cfg.order);
        let mut ranges: Vec<Option<(u32, u32)>> = vec![None; func.slots.len()];
        let mut used = vec![false; func.slots.len()];
        // First and last position by block; the terminator has one of its own.
        let mut spans = vec![(0, 0); func.blocks.len()];
        let mut at = 0;
        for &block in &cfg.order {
            let start = at;
            for inst in &func.blocks[block.0 as usize].insts {
                let op = &func.insts[inst.0 as usize].op;
                if let Op::SlotAddr(slot, _) = op {
                    used[slot.0 as usize] = true;
                }
                for access in slots.accesses(op) {
                    let range = ranges[access.slot.0 as usize].get_or_insert((at, at));
                    range.1 = at;
                }
                at += 1;
            }
            spans[block.0 as usize] = (start, at);
            at += 1;
        }
        let start = |place: u32| spans[cfg.order[place as usize].0 as usize].0;
        let end = |place: u32| spans[cfg.order[place as usize].0 as usize].1;
        let loops = cfg.loops(func).into_iter();
        let loops = Stretches::join(loops.map(|(to, from)| (start(to), end(from))).collect());
        for (i, range) in ranges.iter_mut().enumerate() {
            if slots.is_escaped(crate::ir::Slot(i as u32)) {
                *range = Some((0, at));
            } else if let Some(range) = range {
                *range = loops.around(*range);
            }
        }
        Self { ranges, used }
    }

    /// Whether the slot needs a home.
    pub(super) fn is_used(&self, slot: usize) -> bool {
        self.used[slot]
    }

    /// The slot's range; one that is never accessed may be anywhere.
    pub(super) fn of(&self, slot: usize) -> (u32, u32) {
        self.ranges[slot].unwrap_or((0, 0))
    }
}
