//! Writes to slots that nothing reads.
//!
//! In: any function. Out: the same without stores whose bytes are overwritten in the same block before any read of
//! the slot, or whose slot no later instruction reads; and without calls that only fill such a slot and whose result
//! is not used.

use super::edit::as_call;
use super::slots::{Kind, Slots};
use crate::helper::{Arg, Helper};
use crate::ir::cfg::{Cfg, Stretches, successors};
use crate::ir::{Block, Function, Inst, Op};
use crate::work;
use rustc_hash::FxHashMap;

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

/// Which slots may be read from a block's start on.
///
/// Slots are taken 64 at a time, a bit each, those together that are accessed in about the same stretch of blocks: a group
/// has a word for every block of its stretch, so that short-lived slots cost no more in a large function.
struct Live<'f> {
    cfg: &'f Cfg,
    /// The group and bit of each slot that is read.
    homes: Vec<Option<(u32, u32)>>,
    groups: Vec<Group>,
}

/// Up to 64 slots: from the block at place `start` on, the slots that may be read.
struct Group {
    start: u32,
    words: Vec<u64>,
}

impl<'f> Live<'f> {
    fn new(func: &Function, cfg: &'f Cfg, slots: &Slots) -> Self {
        let mut live = Self {
            cfg,
            homes: vec![None; func.slots.len()],
            groups: Vec::new(),
        };
        // Per slot, where it is accessed first, and where it is read last.
        let mut stretches: Vec<Option<(u32, u32)>> = vec![None; func.slots.len()];
        let mut reads = Vec::new();
        for (at, &block) in (0..).zip(&cfg.order) {
            for inst in &func.blocks[block.0 as usize].insts {
                for access in slots.accesses(&func.insts[inst.0 as usize].op) {
                    let slot = access.slot.0 as usize;
                    let stretch = stretches[slot].get_or_insert((at, 0));
                    if matches!(access.kind, Kind::Read | Kind::Both) {
                        stretch.1 = at;
                        reads.push((slot, at));
                        live.homes[slot] = Some((0, 0));
                    }
                }
            }
        }
        let loops = cfg.loops(func);
        let has_loop = !loops.is_empty();
        let loops = Stretches::join(loops);
        let mut read: Vec<(u32, u32, usize)> = (0..func.slots.len())
            .filter(|&slot| live.homes[slot].is_some())
            .filter_map(|slot| {
                let (first, last) = loops.around(stretches[slot]?);
                Some((first, last, slot))
            })
            .collect();
        read.sort_unstable_by_key(|&(first, last, slot)| ((last - first + 1).ilog2(), first, slot));
        for slots in read.chunks(64) {
            for (bit, &(.., slot)) in (0..).zip(slots) {
                live.homes[slot] = Some((live.groups.len() as u32, bit));
            }
            let start = slots.iter().map(|&(first, ..)| first).min().unwrap_or(0);
            let end = slots.iter().map(|&(_, last, _)| last).max().unwrap_or(0);
            live.groups.push(Group {
                start,
                words: vec![0; (end - start) as usize + 1],
            });
        }
        for (slot, at) in reads {
            if let Some((group, bit)) = live.homes[slot] {
                let group = &mut live.groups[group as usize];
                group.words[(at - group.start) as usize] |= 1 << bit;
            }
        }
        for group in &mut live.groups {
            // Without loops, once against the flow is enough.
            while group.spread(func, cfg) && has_loop {}
        }
        live
    }

    fn contains(&self, block: Block, slot: crate::ir::Slot) -> bool {
        let (Some((group, bit)), Some(at)) = (self.homes[slot.0 as usize], self.cfg.place(block)) else {
            return false;
        };
        self.groups[group as usize].word(at) >> bit & 1 == 1
    }
}

impl Group {
    fn word(&self, at: u32) -> u64 {
        let word = at
            .checked_sub(self.start)
            .and_then(|i| self.words.get(i as usize));
        word.copied().unwrap_or(0)
    }

    /// What may be read from a block's successors on may be read from it on. Says whether that was news.
    fn spread(&mut self, func: &Function, cfg: &Cfg) -> bool {
        let mut changed = false;
        work::count(self.words.len());
        for i in (0..self.words.len()).rev() {
            let block = cfg.order[self.start as usize + i];
            let mut word = self.words[i];
            for next in successors(func, block).filter_map(|next| cfg.place(next)) {
                word |= self.word(next);
            }
            changed |= word != self.words[i];
            self.words[i] = word;
        }
        changed
    }
}

/// What may still happen to a slot behind a place in a block.
struct Future {
    /// Whether it is read.
    is_read: bool,
    /// Ranges that are overwritten before any read.
    overwritten: Vec<(u32, u32)>,
}

fn remove(func: &mut Function, slots: &Slots, live: &Live<'_>, block: Block) -> bool {
    let writes = |inst: &Inst| {
        let mut accesses = slots.accesses(&func.insts[inst.0 as usize].op);
        accesses.any(|access| access.kind != Kind::Read)
    };
    if !func.blocks[block.0 as usize].insts.iter().any(writes) {
        return false;
    }
    let mut insts = std::mem::take(&mut func.blocks[block.0 as usize].insts);
    let before = insts.len();
    let mut futures = FxHashMap::default();
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
