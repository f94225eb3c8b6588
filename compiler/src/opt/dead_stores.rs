//! Writes to slots that nothing reads.
//!
//! In: any function. Out: the same without stores whose bytes are overwritten in the same block before any read of
//! the slot, or whose slot no later instruction reads; and without calls that only fill such a slot and whose result
//! is not used.

use super::edit::as_call;
use super::slots::{Kind, Slots};
use crate::helper::{Arg, Helper};
use crate::ir::cfg::{Cfg, successors};
use crate::ir::{Block, Function, Op};
use std::collections::HashMap;

/// Removes dead writes. Says whether there were any.
pub(crate) fn run(func: &mut Function, cfg: &Cfg) -> bool {
    if func.slots.is_empty() {
        return false;
    }
    let slots = Slots::new(func, &cfg.order);
    let live = Live::new(func, cfg, &slots);
    let mut changed = false;
    for &block in &cfg.order {
        changed |= remove(func, &slots, &live, block);
    }
    changed
}

/// Which slots may be read from a block's start on: a bit a slot, a row a block.
struct Live {
    words: usize,
    rows: Vec<u64>,
}

impl Live {
    fn new(func: &Function, cfg: &Cfg, slots: &Slots) -> Self {
        let words = func.slots.len().div_ceil(64);
        let mut live = Self {
            words,
            rows: vec![0; words * func.blocks.len()],
        };
        for &block in &cfg.order {
            for inst in &func.blocks[block.0 as usize].insts {
                for access in slots.accesses(&func.insts[inst.0 as usize].op) {
                    if matches!(access.kind, Kind::Read | Kind::Both) {
                        let slot = access.slot.0 as usize;
                        live.rows[block.0 as usize * words + slot / 64] |= 1 << (slot % 64);
                    }
                }
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &block in cfg.order.iter().rev() {
                for next in successors(func, block) {
                    for word in 0..words {
                        let bits = live.rows[next.0 as usize * words + word];
                        let own = &mut live.rows[block.0 as usize * words + word];
                        changed |= bits & !*own != 0;
                        *own |= bits;
                    }
                }
            }
        }
        live
    }

    fn contains(&self, block: Block, slot: crate::ir::Slot) -> bool {
        let slot = slot.0 as usize;
        self.rows[block.0 as usize * self.words + slot / 64] >> (slot % 64) & 1 == 1
    }
}

/// What may still happen to a slot behind a place in a block.
struct Future {
    /// Whether it is read.
    is_read: bool,
    /// Ranges that are overwritten before any read.
    overwritten: Vec<(u32, u32)>,
}

fn remove(func: &mut Function, slots: &Slots, live: &Live, block: Block) -> bool {
    let mut insts = std::mem::take(&mut func.blocks[block.0 as usize].insts);
    let before = insts.len();
    let mut futures = HashMap::new();
    let mut keep = vec![true; insts.len()];
    for (i, inst) in insts.iter().enumerate().rev() {
        let data = &func.insts[inst.0 as usize];
        let only_fills = data.result.is_none() && only_fills(&data.op);
        for access in slots.accesses(&data.op) {
            if slots.is_escaped(access.slot) {
                continue;
            }
            let future = futures.entry(access.slot).or_insert_with(|| Future {
                is_read: successors(func, block).any(|next| live.contains(next, access.slot)),
                overwritten: Vec::new(),
            });
            match access.kind {
                Kind::Read | Kind::Both => {
                    future.is_read = true;
                    future.overwritten.clear();
                }
                Kind::Store => {
                    let covered = |&(start, end): &(u32, u32)| start <= access.start && access.end <= end;
                    if !future.is_read || future.overwritten.iter().any(covered) {
                        keep[i] = false;
                    } else {
                        cover(&mut future.overwritten, access.start, access.end);
                    }
                }
                Kind::Fill => keep[i] &= future.is_read || !only_fills,
            }
        }
    }
    let mut keep = keep.into_iter();
    insts.retain(|_| keep.next().unwrap_or(true));
    let changed = insts.len() != before;
    func.blocks[block.0 as usize].insts = insts;
    changed
}

/// Adds `start..end` to disjoint ranges, joining it with those that it touches.
fn cover(ranges: &mut Vec<(u32, u32)>, mut start: u32, mut end: u32) {
    ranges.retain(|&(s, e)| {
        let touches = s <= end && start <= e;
        if touches {
            start = start.min(s);
            end = end.max(e);
        }
        !touches
    });
    ranges.push((start, end));
}

/// Whether an operation does nothing but write to slots.
fn only_fills(op: &Op) -> bool {
    // A helper that sleeps also brings a page into memory, which may be all that it is called for.
    let fills = |helper: Helper| helper.row().args.contains(&Arg::MemOut) && !helper.row().sleepable_only;
    matches!(op, Op::Store { .. }) || as_call(op).is_some_and(|(helper, _)| fills(helper))
}
