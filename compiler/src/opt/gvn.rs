//! Global value numbering.
//!
//! In: any function. Out: the same with one computation of each pure operation where an earlier one dominates a later
//! one, and all rootless operations (constants, addresses of slots and memory, the context) once, at the top of the
//! entry block. Nothing else moves, so nothing is computed on a path that did not compute it before.
//!
//! Pure includes calls of helpers whose result is stable over one run ([`crate::helper::Effect::Stable`]): `pid`
//! twice is one call. It excludes loads: map memory changes under a running program.

use super::bounds::Bounds;
use super::edit::{Substitution, is_pure, is_rootless};
use crate::ir::cfg::Cfg;
use crate::ir::{BinOp, Block, Function, Inst, Op, Value};
use rustc_hash::FxHashMap;

/// Merges equal computations. Says whether there were any.
pub(crate) fn run(func: &mut Function, cfg: &Cfg) -> bool {
    let bounds = Bounds::new(func);
    let mut replaced = Substitution::new(func);
    // In preorder of the dominator tree a leader that does not dominate the present block dominates no later one
    // either, so one leader an operation is enough.
    let mut leaders: FxHashMap<Op, (Block, Value)> = FxHashMap::default();
    let mut top: Vec<Inst> = Vec::new();
    let mut changed = false;
    for &block in &cfg.preorder {
        let mut insts = std::mem::take(&mut func.blocks[block.0 as usize].insts);
        insts.retain(|&inst| {
            let data = &mut func.insts[inst.0 as usize];
            data.op.map_operands(|v| replaced.get(v));
            let Some(result) = data.result.filter(|_| is_pure(&data.op)) else {
                return true;
            };
            let rootless = is_rootless(&data.op);
            let home = if rootless { func.entry } else { block };
            let key = normal(&data.op);
            match leaders.get(&key) {
                Some(&(at, leader)) if cfg.dominates(at, block) && !bounds.contains(result) => {
                    replaced.set(result, leader);
                    changed = true;
                    return false;
                }
                _ => leaders.insert(key, (home, result)),
            };
            if rootless {
                changed |= block != func.entry;
                top.push(inst);
            }
            !rootless
        });
        func.blocks[block.0 as usize].insts = insts;
    }
    func.blocks[func.entry.0 as usize].insts.splice(0..0, top);
    replaced.apply(func);
    changed
}

/// The same operation with the operands of commutative ones in order.
fn normal(op: &Op) -> Op {
    match *op {
        Op::Bin(op @ (BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor), a, b) if b < a => {
            Op::Bin(op, b, a)
        }
        Op::Cmp(cond, a, b) if b < a => Op::Cmp(super::bits::swap(cond), b, a),
        op => op,
    }
}
