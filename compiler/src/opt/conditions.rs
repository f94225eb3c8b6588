//! Conditions that an earlier branch has decided.
//!
//! In: any function. Out: the same, where a comparison of two values that were compared by a dominating branch is a
//! constant and a branch on it a jump. So the null check of a map pointer that is used again goes.

use super::bounds::Bounds;
use crate::ir::cfg::Cfg;
use crate::ir::{Block, Cond, Function, Op, Terminator, Value};
use rustc_hash::FxHashMap;

/// How two values can compare: a set of the five outcomes below.
type Outcomes = u8;

/// Two values, and how they can compare.
type Known = ((Value, Value), Outcomes);

const EQUAL: Outcomes = 1;
/// Less both as unsigned and as signed numbers.
const LESS: Outcomes = 2;
/// Less unsigned, greater signed.
const LESS_GREATER: Outcomes = 4;
/// Greater unsigned, less signed.
const GREATER_LESS: Outcomes = 8;
/// Greater both as unsigned and as signed numbers.
const GREATER: Outcomes = 16;
const ANY: Outcomes = 31;

/// The outcomes under which a comparison holds.
fn outcomes(cond: Cond) -> Outcomes {
    match cond {
        Cond::Eq => EQUAL,
        Cond::Ne => ANY & !EQUAL,
        Cond::ULt => LESS | LESS_GREATER,
        Cond::ULe => LESS | LESS_GREATER | EQUAL,
        Cond::UGt => GREATER | GREATER_LESS,
        Cond::UGe => GREATER | GREATER_LESS | EQUAL,
        Cond::SLt => LESS | GREATER_LESS,
        Cond::SLe => LESS | GREATER_LESS | EQUAL,
        Cond::SGt => GREATER | LESS_GREATER,
        Cond::SGe => GREATER | LESS_GREATER | EQUAL,
    }
}

/// The pair in order, and the comparison for that order.
fn ordered(cond: Cond, a: Value, b: Value) -> (Cond, (Value, Value)) {
    if b < a {
        (super::bits::swap(cond), (b, a))
    } else {
        (cond, (a, b))
    }
}

/// Folds comparisons and branches that are decided. Says whether there were any.
pub(crate) fn run(func: &mut Function, cfg: &Cfg) -> bool {
    let bounds = Bounds::new(func);
    let mut known: FxHashMap<(Value, Value), Outcomes> = FxHashMap::default();
    // Blocks of the dominator tree that are being visited, with what their entering changed in `known`.
    let mut path: Vec<(Block, Option<Known>)> = Vec::new();
    let mut changed = false;
    for &block in &cfg.preorder {
        while let Some(&(above, undo)) = path.last() {
            if cfg.dominates(above, block) {
                break;
            }
            if let Some((pair, before)) = undo {
                known.insert(pair, before);
            }
            path.pop();
        }
        let undo = learned(func, cfg, block).map(|(pair, outcomes)| {
            let before = known.get(&pair).copied().unwrap_or(ANY);
            known.insert(pair, before & outcomes);
            (pair, before)
        });
        path.push((block, undo));
        let decide = |cond, a, b| {
            // A check that a bound rests on is left to the kernel verifier to see again.
            if bounds.contains(a) || bounds.contains(b) {
                return None;
            }
            let (cond, pair) = ordered(cond, a, b);
            let can_be = known.get(&pair).copied()?;
            match outcomes(cond) {
                holds if can_be & holds == 0 => Some(false),
                holds if can_be & !holds == 0 => Some(true),
                _ => None,
            }
        };
        changed |= fold(func, block, decide);
    }
    changed
}

/// What entering `block` tells of a pair of values: its only way in is one side of a branch.
fn learned(func: &Function, cfg: &Cfg, block: Block) -> Option<Known> {
    let &[pred] = cfg.predecessors(block) else {
        return None;
    };
    match func.blocks[pred.0 as usize].terminator {
        Some(Terminator::Branch {
            cond, a, b, ref then, ..
        }) => {
            let (cond, pair) = ordered(cond, a, b);
            let holds = outcomes(cond);
            Some((pair, if then.block == block { holds } else { ANY & !holds }))
        }
        _ => None,
    }
}

fn fold(func: &mut Function, block: Block, decide: impl Fn(Cond, Value, Value) -> Option<bool>) -> bool {
    let mut changed = false;
    let data = &mut func.blocks[block.0 as usize];
    for inst in &data.insts {
        let op = &mut func.insts[inst.0 as usize].op;
        if let Op::Cmp(cond, a, b) = *op
            && let Some(truth) = decide(cond, a, b)
        {
            *op = Op::Const(i64::from(truth));
            changed = true;
        }
    }
    if let Some(Terminator::Branch {
        cond,
        a,
        b,
        then,
        otherwise,
    }) = &data.terminator
        && let Some(truth) = decide(*cond, *a, *b)
    {
        let target = if truth { then } else { otherwise };
        data.terminator = Some(Terminator::Jump(target.clone()));
        changed = true;
    }
    changed
}
