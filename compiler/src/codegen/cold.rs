//! Which blocks seldom run: what is done where a helper found nothing, had no room or was refused.
//!
//! In: a function and its control flow. Out: for every block the first block of the cold stretch that it is in, if it is in
//! one. Only code that cannot be reached otherwise is cold.
//!
//! Such code stands behind the rest ([`super::layout`]). That saves a jump where things go well, and the kernel verifier,
//! which goes straight on first, meets one decision of an update instead of all of those behind it: it remembers what it
//! has not followed, and how much it can remember is limited.

use crate::helper::Helper;
use crate::ir::cfg::Cfg;
use crate::ir::{Block, Cond, Function, Op, Terminator, Value};

/// The cold blocks of a function.
pub(super) struct Cold {
    outcomes: Vec<Outcome>,
    /// By block, where its stretch begins.
    roots: Vec<Option<Block>>,
}

/// What a value tells of how a helper fared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nothing.
    Unknown,
    /// It is the number 0.
    Zero,
    /// 0 is a failure.
    Pointer,
    /// All but 0 is a failure.
    Error,
}

impl Cold {
    pub(super) fn of(func: &Function, cfg: &Cfg) -> Self {
        let mut cold = Self {
            outcomes: outcomes(func, cfg),
            roots: vec![None; func.blocks.len()],
        };
        // Dominators come before what they dominate.
        for &block in &cfg.preorder {
            let above = cfg.immediate_dominator(block);
            let root = above.and_then(|above| cold.root(above)).or_else(|| {
                let &[pred] = cfg.predecessors(block) else {
                    return None;
                };
                let terminator = func.blocks[pred.0 as usize].terminator.as_ref()?;
                let side = terminator.targets().position(|target| target.block == block)?;
                (cold.side(terminator) == Some(side)).then_some(block)
            });
            cold.roots[block.0 as usize] = root;
        }
        cold
    }

    /// Where the cold stretch begins that a block is in.
    pub(super) fn root(&self, block: Block) -> Option<Block> {
        self.roots[block.0 as usize]
    }

    /// Which of its targets a branch seldom goes on at.
    pub(super) fn side(&self, terminator: &Terminator) -> Option<usize> {
        let Terminator::Branch { cond, a, b, .. } = terminator else {
            return None;
        };
        let of = |value: &Value| self.outcomes[value.0 as usize];
        match (of(a), cond, of(b)) {
            (Outcome::Pointer, Cond::Ne, Outcome::Zero) | (Outcome::Error, Cond::Eq, Outcome::Zero) => {
                Some(1)
            }
            (Outcome::Pointer, Cond::Eq, Outcome::Zero) | (Outcome::Error, Cond::Ne, Outcome::Zero) => {
                Some(0)
            }
            _ => None,
        }
    }
}

/// What each value tells.
fn outcomes(func: &Function, cfg: &Cfg) -> Vec<Outcome> {
    let mut outcomes = vec![Outcome::Unknown; func.values as usize];
    // Definitions come before uses in this order.
    for inst in cfg
        .order
        .iter()
        .flat_map(|block| &func.blocks[block.0 as usize].insts)
    {
        let data = &func.insts[inst.0 as usize];
        let outcome = match &data.op {
            Op::Const(0) => Outcome::Zero,
            Op::Call(Helper::MapLookupElem | Helper::RingbufReserve, _) => Outcome::Pointer,
            Op::Call(Helper::MapUpdateElem | Helper::RingbufOutput, _) => Outcome::Error,
            // Errors are compared as 32 bits.
            Op::Extend { value, .. } if outcomes[value.0 as usize] == Outcome::Error => Outcome::Error,
            _ => continue,
        };
        if let Some(result) = data.result {
            outcomes[result.0 as usize] = outcome;
        }
    }
    outcomes
}
