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
use crate::ir::cfg::Cfg;
use crate::plan::BpfMapId;
use crate::work;

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

/// A pass: changes a function, whose control flow is given, and says whether it did.
struct Pass {
    run: fn(&mut Function, &Cfg, &Facts) -> bool,
    /// Whether it changes where blocks go on; otherwise what is known of the control flow still holds.
    redirects: bool,
}

/// The passes, in their order.
static PASSES: &[Pass] = &[
    Pass {
        run: |func, cfg, _| gvn::run(func, cfg),
        redirects: false,
    },
    Pass {
        run: |func, cfg, _| simplify::run(func, cfg),
        redirects: true,
    },
    Pass {
        run: |func, cfg, _| conditions::run(func, cfg),
        redirects: true,
    },
    Pass {
        run: reuse::run,
        redirects: false,
    },
    Pass {
        run: |func, cfg, _| same_slots::run(func, cfg),
        redirects: false,
    },
    Pass {
        run: |func, cfg, _| dead_stores::run(func, cfg),
        redirects: false,
    },
    Pass {
        run: |func, cfg, _| dce::run(func, cfg),
        redirects: false,
    },
    Pass {
        run: |func, cfg, _| blocks::params(func, cfg),
        redirects: false,
    },
    Pass {
        run: |func, cfg, _| blocks::thread(func, cfg),
        redirects: true,
    },
    Pass {
        run: |func, cfg, _| blocks::merge(func, cfg),
        redirects: true,
    },
];

/// How often the passes are repeated at most. Each is linear or nearly so; ordinary scripts need two to four rounds.
const MAX_ROUNDS: usize = 10;

/// How large a function is, in instructions and blocks, of which a round that makes it hardly smaller is the last: what is
/// left to find is not worth going over all of it again.
const LARGE: usize = 1 << 12;

/// Makes `func` smaller and faster.
pub fn optimise(mut func: Function, facts: &Facts) -> Function {
    let callbacks = std::mem::take(&mut func.callbacks);
    let (cfg, _) = run_passes(&mut func, facts);
    let mut func = compact::run(func, &cfg);
    func.callbacks = callbacks.into_iter().map(|f| optimise(f, facts)).collect();
    func
}

/// Runs the passes in turn until each has found nothing to do since the last change. Gives the control flow then, and
/// how many passes have run.
fn run_passes(func: &mut Function, facts: &Facts) -> (Cfg, usize) {
    let mut cfg = Cfg::of(func);
    let mut ran = 0;
    let mut idle = 0;
    let mut last_size = usize::MAX;
    for pass in PASSES.iter().cycle().take(MAX_ROUNDS * PASSES.len()) {
        let size: usize = func.blocks.iter().map(|block| 1 + block.insts.len()).sum();
        if ran % PASSES.len() == 0 {
            if size > LARGE && size >= last_size - last_size / 64 {
                break;
            }
            last_size = size;
        }
        ran += 1;
        work::count(size);
        if (pass.run)(func, &cfg, facts) {
            idle = 0;
            if pass.redirects {
                cfg = Cfg::of(func);
            }
        } else {
            idle += 1;
            if idle == PASSES.len() {
                break;
            }
        }
    }
    (cfg, ran)
}
