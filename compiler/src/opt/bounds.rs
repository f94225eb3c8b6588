//! Values that bound something for the kernel verifier.
//!
//! A size handed to a helper, and an integer added to an address, must be seen by the verifier to be in range, and on
//! 5.10 and 6.1 what it saw is forgotten when the value is spilled. So the masks behind such a value stay where the
//! lowering put them: they are neither dropped as redundant nor merged with earlier ones.

use super::edit::{Def, definitions};
use crate::helper::Arg;
use crate::ir::{Function, Op, Value};

/// Which values are part of a bound, by value.
#[derive(Debug)]
pub(crate) struct Bounds(Vec<bool>);

impl Bounds {
    /// Finds the values that sizes and addresses are computed from.
    pub fn new(func: &Function) -> Self {
        let defs = definitions(func);
        let mut bounds = Self(vec![false; func.values as usize]);
        let mut work = Vec::new();
        for block in &func.blocks {
            for &inst in &block.insts {
                roots(&func.insts[inst.0 as usize].op, &mut work);
            }
        }
        while let Some(value) = work.pop() {
            let Def::Inst(_, inst) = defs[value.0 as usize] else {
                continue;
            };
            match &func.insts[inst.0 as usize].op {
                op @ (Op::Bin(..) | Op::Extend { .. })
                    if !std::mem::replace(&mut bounds.0[value.0 as usize], true) =>
                {
                    work.extend(op.operands());
                }
                _ => {}
            }
        }
        bounds
    }

    /// Whether `value` is part of a bound. Values made since are not.
    pub fn contains(&self, value: Value) -> bool {
        self.0.get(value.0 as usize).copied().unwrap_or(false)
    }
}

/// Adds the sizes and addresses that `op` uses.
fn roots(op: &Op, work: &mut Vec<Value>) {
    match op {
        Op::Load { addr, .. }
        | Op::Store { addr, .. }
        | Op::Atomic { addr, .. }
        | Op::CompareExchange { addr, .. } => work.push(*addr),
        Op::Call(helper, args) | Op::CallBounded { helper, args, .. } => {
            let kinds = helper.row().args;
            // What is clamped in the call itself needs no bound before.
            let clamped = match op {
                Op::CallBounded { bounded, .. } => Some(usize::from(*bounded)),
                _ => None,
            };
            for (i, (arg, kind)) in args.iter().zip(kinds).enumerate() {
                let is_size = i > 0 && matches!(kinds[i - 1], Arg::Mem | Arg::MemOut) && clamped != Some(i);
                let is_address = matches!(kind, Arg::Key | Arg::MapValue | Arg::Mem | Arg::MemOut);
                if is_size || is_address {
                    work.push(*arg);
                }
            }
        }
        _ => {}
    }
}
