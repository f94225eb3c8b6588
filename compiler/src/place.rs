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
mod relieve;
mod scratch;

#[cfg(test)]
mod tests;

use crate::ir::verify::FRAME;
use crate::ir::{Function, Home, Op, Role, SlotData, Terminator, Value, shared_frame};
use crate::plan::{Scratch, Stripes};
use crate::work;
use crumbs_grammar::span::Span;
use live::Ranges;
use std::collections::BTreeMap;

pub use relieve::relieve;

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

/// Bytes of a scratch slot, claim word included, that the program of `func` needs when the frame of each of its
/// functions takes `frame_budget` bytes of slots; 0 where all fit the frames.
pub fn scratch_demand(func: &Function, frame_budget: u32) -> u32 {
    ProgramLayout::new(func, frame_budget).scratch
}

/// Gives every slot of `func` and its callbacks a home.
///
/// # Errors
/// If slots exceed the frame and there is no scratch memory for them.
pub fn place(mut func: Function, options: &Options) -> Result<Placed, PlaceError> {
    let program = ProgramLayout::new(&func, options.frame_budget);
    let layouts = [&program.main].into_iter().chain(&program.callbacks);
    let all = std::iter::once(&mut func.slots).chain(func.callbacks.iter_mut().map(|f| &mut f.slots));
    for (slots, layout) in all.zip(layouts) {
        for (slot, &home) in slots.iter_mut().zip(&layout.homes) {
            slot.home = home;
        }
    }
    if program.scratch > 0 {
        if !options.full_atomics {
            return Err(PlaceError::NeedsFullAtomics(oversized(&func)));
        }
        if options.scratch.slots == 0 || options.scratch.slot_size < program.scratch {
            return Err(PlaceError::ScratchTooSmall {
                needed: program.scratch,
            });
        }
        let handed_on = program.callbacks.iter().any(Layout::uses_scratch);
        scratch::rewrite(&mut func, options, handed_on);
        for (callback, layout) in func.callbacks.iter_mut().zip(&program.callbacks) {
            if layout.uses_scratch() {
                scratch::rewrite_callback(callback);
            }
        }
    }
    Ok(Placed {
        func,
        frame: program.main.frame,
        scratch: program.scratch,
    })
}

/// The slots in scratch memory, largest first.
fn oversized(func: &Function) -> Vec<Oversized> {
    let mut found = Vec::new();
    for func in [func].into_iter().chain(&func.callbacks) {
        let mut of_function: Vec<Option<Oversized>> = vec![None; func.slots.len()];
        for inst in func.blocks.iter().flat_map(|b| &b.insts) {
            let data = &func.insts[inst.0 as usize];
            if let Op::SlotAddr(slot, _) = data.op {
                let SlotData { size, home, .. } = func.slots[slot.0 as usize];
                if matches!(home, Home::Scratch(_)) {
                    let span = data.span;
                    of_function[slot.0 as usize].get_or_insert(Oversized { size, span });
                }
            }
        }
        found.extend(of_function.into_iter().flatten());
    }
    found.sort_by_key(|o| std::cmp::Reverse(o.size));
    found
}

/// The homes of all slots of a program.
///
/// Of a scratch slot, the claim word comes first, then what functions share, then what each has of its own: behind that
/// of its caller, because both are in use at once.
struct ProgramLayout {
    main: Layout,
    callbacks: Vec<Layout>,
    /// Bytes of a scratch slot, 0 if none is used.
    scratch: u32,
}

impl ProgramLayout {
    fn new(func: &Function, frame_budget: u32) -> Self {
        let (shared, end) = shared_places(func);
        let main = Layout::new(func, frame_budget, &shared, end);
        let mut callbacks: Vec<Layout> = Vec::new();
        for callback in &func.callbacks {
            if matches!(callback.role, Role::Subprogram { .. }) {
                // It has no scratch memory. What its frame takes, its callers' frames give up.
                callbacks.push(Layout::new(callback, FRAME, &shared, main.scratch_end));
                continue;
            }
            let start = match callback.role {
                Role::Callback { caller: Some(id), .. } => {
                    callbacks.get(id.0 as usize).map(|l| l.scratch_end)
                }
                _ => None,
            };
            let start = start.unwrap_or(main.scratch_end);
            callbacks.push(Layout::new(callback, frame_budget, &shared, start));
        }
        let layouts = [&main].into_iter().chain(&callbacks);
        let ends = layouts.filter(|l| l.uses_scratch()).map(|l| l.scratch_end);
        Self {
            scratch: ends.max().unwrap_or(0),
            main,
            callbacks,
        }
    }
}

/// Where in a scratch slot the shared slots are, by number, and where they end.
fn shared_places(func: &Function) -> (Vec<u32>, u32) {
    let mut sizes: Vec<u32> = Vec::new();
    for slot in [func].into_iter().chain(&func.callbacks).flat_map(|f| &f.slots) {
        if let Some(number) = slot.shared {
            let number = number as usize;
            sizes.resize(sizes.len().max(number + 1), 0);
            sizes[number] = sizes[number].max(slot.size);
        }
    }
    let mut end = CLAIM_BYTES;
    let places = sizes.iter().map(|size| {
        end += size;
        end - size
    });
    (places.collect(), end)
}

/// The home of every slot of a function.
struct Layout {
    homes: Vec<Home>,
    frame: u32,
    /// Behind the last byte of the scratch slot that is the function's own.
    scratch_end: u32,
}

impl Layout {
    /// `shared` has the places of shared slots; the function's own scratch memory starts at `start`.
    fn new(func: &Function, frame_budget: u32, shared: &[u32], start: u32) -> Self {
        let ranges = Ranges::new(func);
        let mut layout = Self {
            homes: vec![Home::Unplaced; func.slots.len()],
            frame: 0,
            scratch_end: start,
        };
        let mut order: Vec<usize> = (0..func.slots.len()).filter(|&i| ranges.is_used(i)).collect();
        // The shared frame comes first, and stays as long as the program runs.
        let is_shared_frame = |i: usize| func.shared_frame.is_some_and(|slot| slot.0 as usize == i);
        order.sort_by_key(|&i| (!is_shared_frame(i), func.slots[i].size));
        let mut frame = Area::new(frame_budget.clamp(shared_frame::SIZE, 512) & !7);
        let mut scratch = Area::new(u32::MAX);
        let computed = computed_slots(func);
        for i in order {
            let SlotData {
                size, shared: number, ..
            } = func.slots[i];
            if let Some(number) = number {
                layout.homes[i] = Home::Scratch(shared.get(number as usize).copied().unwrap_or(start));
                continue;
            }
            let live = if is_shared_frame(i) {
                (0, u32::MAX)
            } else {
                ranges.of(i)
            };
            let may_be_on_frame = size <= frame_budget && !computed[i];
            let on_frame = (may_be_on_frame || is_shared_frame(i)).then(|| frame.take(size, live));
            layout.homes[i] = match on_frame.flatten() {
                Some(at) => {
                    layout.frame = layout.frame.max(at + size);
                    // The frame grows downwards; its budget keeps the offset within 16 bits.
                    Home::Frame(-((at + size) as i16))
                }
                None => {
                    let at = start + scratch.take(size, live).unwrap_or(0);
                    layout.scratch_end = layout.scratch_end.max(at + size);
                    Home::Scratch(at)
                }
            };
        }
        layout
    }

    fn uses_scratch(&self) -> bool {
        self.homes.iter().any(|home| matches!(home, Home::Scratch(_)))
    }
}

/// The slots of a callback that are accessed at computed addresses. These are not on its frame: where such an address is
/// made by adding the slot's to a number, kernel verifiers take it for one on the main function's frame
/// (`adjust_ptr_min_max_vals()` of kernel/bpf/verifier.c does not copy the frame's number).
fn computed_slots(func: &Function) -> Vec<bool> {
    let mut computed = vec![false; func.slots.len()];
    if !matches!(func.role, Role::Callback { .. }) {
        return computed;
    }
    let mut slots = vec![None; func.values as usize];
    for data in &func.insts {
        if let (Op::SlotAddr(slot, _), Some(result)) = (&data.op, data.result) {
            slots[result.0 as usize] = Some(slot.0 as usize);
        }
    }
    let mut mark = |value: Value| {
        if let Some(slot) = slots[value.0 as usize] {
            computed[slot] = true;
        }
    };
    for data in &func.blocks {
        for inst in &data.insts {
            match &func.insts[inst.0 as usize].op {
                Op::Bin(_, a, b) => [*a, *b].into_iter().for_each(&mut mark),
                Op::ElementAddr { base, .. } => mark(*base),
                _ => {}
            }
        }
        for target in data.terminator.iter().flat_map(Terminator::targets) {
            target.args.iter().copied().for_each(&mut mark);
        }
    }
    computed
}

/// Bytes that are given to slots.
struct Area {
    budget: u32,
    /// What is taken, by offset and size: when, as the first place of each live range and its last one. Ranges of one column
    /// are apart, since they share their bytes. There are about as many columns as slots that live at once.
    taken: BTreeMap<(u32, u32), BTreeMap<u32, u32>>,
}

impl Area {
    fn new(budget: u32) -> Self {
        Self {
            budget,
            taken: BTreeMap::new(),
        }
    }

    /// The lowest `size` bytes that are free for all of `live`.
    fn take(&mut self, size: u32, live: (u32, u32)) -> Option<u32> {
        let mut at = 0;
        for (&(start, size_there), ranges) in &self.taken {
            if start >= at + size {
                break;
            }
            work::count(1);
            let last_before = ranges.range(..=live.1).next_back();
            if last_before.is_some_and(|(_, &end)| live.0 <= end) {
                at = at.max(start + size_there);
            }
        }
        if at.checked_add(size)? > self.budget {
            return None;
        }
        self.taken.entry((at, size)).or_default().insert(live.0, live.1);
        Some(at)
    }
}
