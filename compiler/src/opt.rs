//! The optimiser: IR to IR.
//!
//! In: a function as lowered. Out: one that does the same with less: the same effects in the same order on the same
//! map elements, the same events, the same result. It knows what LLVM cannot: what a helper means
//! ([`crate::helper::Effect`]), when a map's elements stay where they are ([`MapFacts`]), and which values the kernel
//! verifier must see bounded (the `bounds` module). Each pass is one file and stands alone; [`optimise`] runs them in
//! turn until nothing changes.

pub(crate) mod bits;
mod blocks;
mod bounds;
mod compact;
mod compare;
mod conditions;
mod contents;
mod dce;
mod dead_stores;
pub(crate) mod edit;
mod gvn;
mod reuse;
mod same_slots;
mod simplify;
pub(crate) mod slots;

#[cfg(test)]
mod tests;

use crate::ir::Function;
use crate::plan::BpfMapId;

/// What the optimiser is told of the kernel maps.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// By [`BpfMapId`]; of maps behind the end nothing is known.
    pub maps: Vec<MapFacts>,
}

/// What the optimiser is told of one kernel map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapFacts {
    /// Bytes of a key.
    pub key_size: u32,
    /// Whether an element that was found stays the element of its key until the program ends, as far as *other* runs
    /// of programs and user space go: the map is not LRU, and nothing deletes from it, clears it, or updates it
    /// without `BPF_NOEXIST` (which replaces elements) – or its key contains `tid`, so that nobody else does this to
    /// this element. What the program itself does between two lookups the optimiser sees.
    pub lookup_reusable: bool,
}

impl Facts {
    /// What is known of a map.
    pub fn map(&self, map: BpfMapId) -> Option<&MapFacts> {
        self.maps.get(map.0 as usize)
    }

    /// Whether the result of a lookup in this map may stand for that of a later one.
    pub fn lookup_reusable(&self, map: BpfMapId) -> bool {
        self.map(map).is_some_and(|m| m.lookup_reusable)
    }
}

/// How often the passes are repeated at most. Each round is linear or nearly so; ordinary scripts need two to four.
const MAX_ROUNDS: usize = 10;

/// Makes `func` smaller and faster.
pub fn optimise(mut func: Function, facts: &Facts) -> Function {
    let callbacks = std::mem::take(&mut func.callbacks);
    for _ in 0..MAX_ROUNDS {
        if !round(&mut func, facts) {
            break;
        }
    }
    let mut func = compact::run(func);
    func.callbacks = callbacks.into_iter().map(|f| optimise(f, facts)).collect();
    func
}

/// Runs every pass once. Says whether any changed anything.
fn round(func: &mut Function, facts: &Facts) -> bool {
    // `|`, not `||`: all passes run in every round.
    gvn::run(func)
        | simplify::run(func)
        | conditions::run(func)
        | reuse::run(func, facts)
        | same_slots::run(func)
        | dead_stores::run(func)
        | dce::run(func)
        | blocks::run(func)
}
