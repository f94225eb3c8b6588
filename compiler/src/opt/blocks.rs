//! Control flow: fewer blocks, fewer jumps, fewer parameters.
//!
//! In: any function without rootless operations below the entry's top ([`super::gvn`] sees to that, so a block that
//! computes nothing is empty). Out: the same, where
//! * a parameter for which all predecessors hand over one value is that value,
//! * an edge into an empty block goes where that block would go: always, if it only jumps; for the predecessors that
//!   hand over constants which decide its branch, if it branches,
//! * a block with one predecessor that only jumps to it is part of that predecessor.

use super::bits::eval_cmp;
use super::edit::{Substitution, constants, for_each_operand, targets_mut};
use crate::ir::cfg::Cfg;
use crate::ir::{Block, Function, Target, Terminator, Value};

/// Removes parameters that always are one value. Says whether there were any.
pub(crate) fn params(func: &mut Function, cfg: &Cfg) -> bool {
    // What each parameter is handed, by value.
    let mut only: Vec<Handed> = vec![Handed::Nothing; func.values as usize];
    let mut replaced = Substitution::new(func);
    for &block in &cfg.order {
        let Some(terminator) = &func.blocks[block.0 as usize].terminator else {
            continue;
        };
        for target in terminator.targets() {
            let params = &func.blocks[target.block.0 as usize].params;
            for (&param, &arg) in params.iter().zip(&target.args) {
                only[param.0 as usize].add(param, arg);
            }
        }
    }
    let mut keep: Vec<Vec<bool>> = vec![Vec::new(); func.blocks.len()];
    for &block in &cfg.order {
        for &param in &func.blocks[block.0 as usize].params {
            // Two parameters may each be handed only the other (around a loop that is never entered from outside):
            // such are left alone.
            let same = match only[param.0 as usize] {
                Handed::One(value) if replaced.get(value) != param => Some(value),
                _ => None,
            };
            keep[block.0 as usize].push(same.is_none());
            if let Some(value) = same {
                replaced.set(param, value);
            }
        }
    }
    for &block in &cfg.order {
        let data = &mut func.blocks[block.0 as usize];
        retain_by(&mut data.params, &keep[block.0 as usize]);
        if let Some(terminator) = &mut data.terminator {
            for target in targets_mut(terminator) {
                retain_by(&mut target.args, &keep[target.block.0 as usize]);
            }
        }
    }
    replaced.apply(func)
}

/// The values that edges hand to a parameter.
#[derive(Clone, Copy)]
enum Handed {
    /// None so far, or the parameter itself.
    Nothing,
    /// One.
    One(Value),
    /// Several.
    Several,
}

impl Handed {
    fn add(&mut self, param: Value, arg: Value) {
        *self = match *self {
            _ if arg == param => return,
            Self::Nothing => Self::One(arg),
            Self::One(value) if value == arg => return,
            _ => Self::Several,
        }
    }
}

fn retain_by(values: &mut Vec<Value>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| keep.next().copied().unwrap_or(true));
}

/// Sends edges past empty blocks. Says whether there were any.
pub(crate) fn thread(func: &mut Function, cfg: &Cfg) -> bool {
    let constants = constants(func);
    let uses = ParamUses::new(func, cfg);
    let mut changed = false;
    // Against the flow, so that a chain of empty blocks is passed in one go.
    for &block in cfg.order.iter().rev() {
        let is_loop = |&p: &Block| cfg.is_reachable(p) && cfg.dominates(block, p);
        if block == func.entry
            || !func.blocks[block.0 as usize].insts.is_empty()
            || cfg.predecessors(block).iter().any(is_loop)
        {
            continue;
        }
        let Some(terminator) = func.blocks[block.0 as usize].terminator.clone() else {
            continue;
        };
        let params = func.blocks[block.0 as usize].params.clone();
        for &pred in cfg.predecessors(block) {
            let Some(mut edges) = func.blocks[pred.0 as usize].terminator.take() else {
                continue;
            };
            for edge in targets_mut(&mut edges).filter(|t| t.block == block) {
                if let Some(target) = goes_on(&terminator, &params, &edge.args, &constants)
                    && uses.allow(func, cfg, block, target.block)
                {
                    *edge = target;
                    changed = true;
                }
            }
            func.blocks[pred.0 as usize].terminator = Some(edges);
        }
    }
    changed
}

/// Where an empty block that ends in `terminator` goes when handed `args`, if that is certain.
fn goes_on(
    terminator: &Terminator,
    params: &[Value],
    args: &[Value],
    constants: &[Option<i64>],
) -> Option<Target> {
    let handed = |v: Value| match params.iter().position(|&p| p == v) {
        Some(i) => args[i],
        None => v,
    };
    let mut target = match terminator {
        Terminator::Jump(target) => target.clone(),
        Terminator::Branch {
            cond,
            a,
            b,
            then,
            otherwise,
        } => {
            let constant = |v: &Value| constants[handed(*v).0 as usize];
            let holds = eval_cmp(*cond, constant(a)?, constant(b)?);
            (if holds { then } else { otherwise }).clone()
        }
        Terminator::Return(_) => return None,
    };
    target.args.iter_mut().for_each(|a| *a = handed(*a));
    Some(target)
}

/// Where the parameters of blocks are used, apart from their own block's terminator.
struct ParamUses(Vec<Vec<Block>>);

impl ParamUses {
    /// Lists the uses, by the block that defines the parameter.
    fn new(func: &Function, cfg: &Cfg) -> Self {
        let mut owner = vec![None; func.values as usize];
        for &block in &cfg.order {
            for param in &func.blocks[block.0 as usize].params {
                owner[param.0 as usize] = Some(block);
            }
        }
        let mut uses: Vec<Vec<Block>> = vec![Vec::new(); func.blocks.len()];
        for &block in &cfg.order {
            let mut add = |v: Value| match owner[v.0 as usize] {
                Some(home) if home != block && uses[home.0 as usize].last() != Some(&block) => {
                    uses[home.0 as usize].push(block);
                }
                _ => {}
            };
            let data = &func.blocks[block.0 as usize];
            for inst in &data.insts {
                func.insts[inst.0 as usize].op.operands().for_each(&mut add);
            }
            if let Some(terminator) = &data.terminator {
                for_each_operand(terminator, &mut add);
            }
        }
        Self(uses)
    }

    /// Whether an edge past `block` to `target` leaves every use of a parameter of `block` dominated by it: the uses
    /// are behind the other side of its branch, which can be reached through `block` only.
    fn allow(&self, func: &Function, cfg: &Cfg, block: Block, target: Block) -> bool {
        let uses = &self.0[block.0 as usize];
        if uses.is_empty() {
            return true;
        }
        let Some(Terminator::Branch { then, otherwise, .. }) = &func.blocks[block.0 as usize].terminator
        else {
            return false;
        };
        let other = if then.block == target { otherwise } else { then }.block;
        // Other edges may have been sent here meanwhile, but never past a block with such uses, so what the analysis
        // says of this region still holds.
        other != target
            && cfg.is_reachable(other)
            && cfg.predecessors(other) == [block]
            && uses.iter().all(|&u| cfg.dominates(other, u))
    }
}

/// Joins blocks with their only predecessor where that only jumps to them. Says whether there were any.
pub(crate) fn merge(func: &mut Function, cfg: &Cfg) -> bool {
    let mut replaced = Substitution::new(func);
    let mut gone = vec![false; func.blocks.len()];
    let mut changed = false;
    for &block in &cfg.order {
        if gone[block.0 as usize] {
            continue;
        }
        while let Some(Terminator::Jump(target)) = &func.blocks[block.0 as usize].terminator {
            let next = target.block;
            if next == block || cfg.predecessors(next).len() != 1 {
                break;
            }
            let args = target.args.clone();
            gone[next.0 as usize] = true;
            let next = &mut func.blocks[next.0 as usize];
            for (&param, arg) in next.params.iter().zip(args) {
                replaced.set(param, arg);
            }
            next.params.clear();
            let insts = std::mem::take(&mut next.insts);
            let (terminator, span) = (next.terminator.take(), next.terminator_span);
            let data = &mut func.blocks[block.0 as usize];
            data.insts.extend(insts);
            data.terminator = terminator;
            data.terminator_span = span;
            changed = true;
        }
    }
    replaced.apply(func);
    changed
}
