//! Gives every slot a home: on the program's frame, or in the scratch memory.
//!
//! In: a function whose slots are [`Home::Unplaced`]. Out: the same with every slot that is used on the frame, within
//! the budget, or gone into address arithmetic on a claimed scratch slot. Slots that are never live at the same time
//! share bytes.
//!
//! Two steps, because the size of a scratch slot depends on all programs: [`scratch_demand`] of every program comes
//! first; with the greatest demand the driver lays out the program memory; then [`place`] rewrites each program.
//!
//! Small slots go to the frame first, so what goes to scratch is the largest ones. A program with slots there claims
//! one of [`Scratch::slots`] places before anything else and gives it back on every way out; where all it tries are
//! taken, it counts a loss and does nothing (the `scratch` module).

mod live;
mod scratch;

#[cfg(test)]
mod tests;

use crate::ir::{Function, Home, Op, SlotData};
use crate::plan::{Scratch, Stripes};
use crumbs_grammar::span::Span;
use live::Ranges;

/// Bytes of the 512 of a frame that slots may take by default; the rest is for spilled registers.
pub const DEFAULT_FRAME_BUDGET: u32 = 384;

/// Bytes of a scratch slot before the first slot: the claim word.
const CLAIM_BYTES: u32 = 8;

/// Where slots may go.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of the frame for slots, at most 512.
    pub frame_budget: u32,
    /// The scratch slots; may be empty if [`scratch_demand`] is 0.
    pub scratch: Scratch,
    /// The per-CPU part of the program memory.
    pub stripes: Stripes,
    /// Offset within a stripe of the counter of [`crate::plan::LossKind::Scratch`]; not read if the demand is 0.
    pub loss: u32,
    /// Whether the target can exchange atomically ([`crate::target::Feature::FullAtomics`]): without, nothing can be
    /// claimed.
    pub full_atomics: bool,
}

/// A function whose slots have homes.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The function.
    pub func: Function,
    /// Bytes of the frame that slots take.
    pub frame: u32,
    /// Bytes of a scratch slot that it uses, claim word included; 0 if it claims none.
    pub scratch: u32,
}

/// A slot that the frame has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversized {
    /// Its size in bytes.
    pub size: u32,
    /// What it was made for.
    pub span: Span,
}

/// Why slots cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceError {
    /// These slots, largest first, exceed the frame, and scratch memory needs atomics that the target lacks.
    NeedsFullAtomics(Vec<Oversized>),
    /// The scratch slots are fewer or smaller than was asked for: the memory was laid out without this program's
    /// demand.
    ScratchTooSmall {
        /// Bytes of a scratch slot that are needed.
        needed: u32,
    },
}

impl std::fmt::Display for PlaceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NeedsFullAtomics(slots) => {
                let bytes: u32 = slots.iter().map(|s| s.size).sum();
                write!(f, "{bytes} bytes do not fit the stack frame of 512 bytes")
            }
            Self::ScratchTooSmall { needed } => write!(f, "a scratch slot of {needed} bytes is needed"),
        }
    }
}

impl std::error::Error for PlaceError {}

/// Bytes of a scratch slot, claim word included, that `func` needs when its frame takes `frame_budget` bytes of slots;
/// 0 where all fit the frame.
pub fn scratch_demand(func: &Function, frame_budget: u32) -> u32 {
    Layout::new(func, frame_budget).scratch
}

/// Gives every slot of `func` a home.
///
/// # Errors
/// If slots exceed the frame and there is no scratch memory for them.
pub fn place(mut func: Function, options: &Options) -> Result<Placed, PlaceError> {
    let layout = Layout::new(&func, options.frame_budget);
    for (slot, &home) in func.slots.iter_mut().zip(&layout.homes) {
        slot.home = home;
    }
    if layout.scratch > 0 {
        if !options.full_atomics {
            return Err(PlaceError::NeedsFullAtomics(oversized(&func)));
        }
        if options.scratch.slots == 0 || options.scratch.slot_size < layout.scratch {
            return Err(PlaceError::ScratchTooSmall {
                needed: layout.scratch,
            });
        }
        scratch::rewrite(&mut func, options);
    }
    Ok(Placed {
        func,
        frame: layout.frame,
        scratch: layout.scratch,
    })
}

/// The slots in scratch memory, largest first.
fn oversized(func: &Function) -> Vec<Oversized> {
    let mut found: Vec<Option<Oversized>> = vec![None; func.slots.len()];
    for inst in func.blocks.iter().flat_map(|b| &b.insts) {
        let data = &func.insts[inst.0 as usize];
        if let Op::SlotAddr(slot, _) = data.op {
            let SlotData { size, home } = func.slots[slot.0 as usize];
            if matches!(home, Home::Scratch(_)) {
                let span = data.span;
                found[slot.0 as usize].get_or_insert(Oversized { size, span });
            }
        }
    }
    let mut found: Vec<Oversized> = found.into_iter().flatten().collect();
    found.sort_by_key(|o| std::cmp::Reverse(o.size));
    found
}

/// The home of every slot.
struct Layout {
    homes: Vec<Home>,
    frame: u32,
    scratch: u32,
}

impl Layout {
    fn new(func: &Function, frame_budget: u32) -> Self {
        let ranges = Ranges::new(func);
        let mut layout = Self {
            homes: vec![Home::Unplaced; func.slots.len()],
            frame: 0,
            scratch: 0,
        };
        let mut order: Vec<usize> = (0..func.slots.len()).filter(|&i| ranges.is_used(i)).collect();
        order.sort_by_key(|&i| func.slots[i].size);
        let mut frame = Area::new(frame_budget.min(512) & !7);
        let mut scratch = Area::new(u32::MAX);
        for i in order {
            let size = func.slots[i].size;
            let live = ranges.of(i);
            layout.homes[i] = match frame.take(size, live) {
                Some(at) => {
                    layout.frame = layout.frame.max(at + size);
                    // The frame grows downwards; its budget keeps the offset within 16 bits.
                    Home::Frame(-((at + size) as i16))
                }
                None => {
                    let at = CLAIM_BYTES + scratch.take(size, live).unwrap_or(0);
                    layout.scratch = layout.scratch.max(at + size);
                    Home::Scratch(at)
                }
            };
        }
        layout
    }
}

/// Bytes that are given to slots.
struct Area {
    budget: u32,
    /// What is taken, by ascending offset: offset, size, and the live range for which.
    taken: Vec<(u32, u32, (u32, u32))>,
}

impl Area {
    fn new(budget: u32) -> Self {
        Self {
            budget,
            taken: Vec::new(),
        }
    }

    /// The lowest `size` bytes that are free for all of `live`.
    fn take(&mut self, size: u32, live: (u32, u32)) -> Option<u32> {
        let mut at = 0;
        for &(start, size_there, other) in &self.taken {
            if start >= at + size {
                break;
            }
            if other.0 <= live.1 && live.0 <= other.1 {
                at = at.max(start + size_there);
            }
        }
        if at.checked_add(size)? > self.budget {
            return None;
        }
        let place = self.taken.partition_point(|&(start, ..)| start < at);
        self.taken.insert(place, (at, size, live));
        Some(at)
    }
}
