//! Dead code.
//!
//! In: any function. Out: the same without instructions whose result nothing needs, without block parameters that
//! nothing needs, without the contents of blocks that cannot be reached; and atomics and calls whose result is not
//! needed no longer define one, which lets the back end choose cheaper forms.

use super::edit::{Def, definitions, is_removable, targets_mut};
use crate::ir::cfg::Cfg;
use crate::ir::{Function, Op, Terminator, Value};

/// Removes what is dead. Says whether anything was.
pub(crate) fn run(func: &mut Function, cfg: &Cfg) -> bool {
    let live = live_values(func, cfg);
    let mut changed = clear_unreachable(func, cfg);
    for &block in &cfg.order {
        let mut insts = std::mem::take(&mut func.blocks[block.0 as usize].insts);
        insts.retain(|inst| {
            let data = &mut func.insts[inst.0 as usize];
            let is_live = data.result.is_some_and(|r| live[r.0 as usize]);
            if !is_live && is_removable(&data.op) {
                changed = true;
                return false;
            }
            let optional = matches!(
                data.op,
                Op::Atomic { .. } | Op::Call(..) | Op::CallBounded { .. } | Op::CallSubprogram(..)
            );
            if !is_live && optional && data.result.take().is_some() {
                changed = true;
            }
            true
        });
        func.blocks[block.0 as usize].insts = insts;
    }
    changed | remove_params(func, cfg, &live)
}

/// The values that effects and control flow depend on.
fn live_values(func: &Function, cfg: &Cfg) -> Vec<bool> {
    let defs = definitions(func);
    let mut live = vec![false; func.values as usize];
    let mut work = Vec::new();
    for &block in &cfg.order {
        let data = &func.blocks[block.0 as usize];
        for inst in &data.insts {
            let op = &func.insts[inst.0 as usize].op;
            if !is_removable(op) {
                work.extend(op.operands());
            }
        }
        match &data.terminator {
            Some(Terminator::Branch { a, b, .. }) => work.extend([*a, *b]),
            Some(Terminator::Return(value)) => work.push(*value),
            Some(Terminator::Jump(_)) | None => {}
        }
    }
    while let Some(value) = work.pop() {
        if std::mem::replace(&mut live[value.0 as usize], true) {
            continue;
        }
        match defs[value.0 as usize] {
            Def::Inst(_, inst) => work.extend(func.insts[inst.0 as usize].op.operands()),
            Def::Param(block, index) => {
                for &pred in cfg.predecessors(block) {
                    args_to(func, pred, block, index, &mut work);
                }
            }
            Def::None => {}
        }
    }
    live
}

fn args_to(
    func: &Function,
    pred: crate::ir::Block,
    to: crate::ir::Block,
    index: usize,
    out: &mut Vec<Value>,
) {
    if let Some(terminator) = &func.blocks[pred.0 as usize].terminator {
        let targets = terminator.targets().filter(|t| t.block == to);
        out.extend(targets.filter_map(|t| t.args.get(index)));
    }
}

fn clear_unreachable(func: &mut Function, cfg: &Cfg) -> bool {
    let mut changed = false;
    for i in 0..func.blocks.len() {
        let data = &mut func.blocks[i];
        if !cfg.is_reachable(crate::ir::Block(i as u32)) && data.terminator.is_some() {
            data.params.clear();
            data.insts.clear();
            data.terminator = None;
            changed = true;
        }
    }
    changed
}

fn remove_params(func: &mut Function, cfg: &Cfg, live: &[bool]) -> bool {
    let keep: Vec<Vec<bool>> = func
        .blocks
        .iter()
        .map(|b| b.params.iter().map(|p| live[p.0 as usize]).collect())
        .collect();
    let mut changed = false;
    for &block in &cfg.order {
        let data = &mut func.blocks[block.0 as usize];
        changed |= retain_by(&mut data.params, &keep[block.0 as usize]);
        if let Some(terminator) = &mut data.terminator {
            for target in targets_mut(terminator) {
                retain_by(&mut target.args, &keep[target.block.0 as usize]);
            }
        }
    }
    changed
}

/// Keeps the elements for which `keep` holds. Says whether any went.
fn retain_by(values: &mut Vec<Value>, keep: &[bool]) -> bool {
    let before = values.len();
    let mut keep = keep.iter();
    values.retain(|_| keep.next().copied().unwrap_or(true));
    values.len() != before
}
