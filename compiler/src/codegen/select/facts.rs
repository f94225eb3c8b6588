//! What selection knows of a function: definitions, aliases, and how values are used.

use super::Selector;
use crate::ir::cfg::Cfg;
use crate::ir::{Cond, Function, Inst, Op, Terminator, Value};

/// How often a value is used, and how often in ways that fold its definition away.
#[derive(Clone, Copy, Default)]
pub(super) struct Uses {
    pub(super) all: u32,
    /// As the address of an access.
    pub(super) address: u32,
    /// Compared with 0 for equality by a branch.
    pub(super) tested: u32,
    /// Compared with a constant by a branch or comparison.
    pub(super) compared: u32,
}

impl<'a> Selector<'a> {
    pub(in crate::codegen) fn of(func: &'a Function, cfg: &Cfg) -> Self {
        let mut selector = Self {
            func,
            definitions: vec![None; func.values as usize],
            aliases: vec![None; func.values as usize],
            uses: vec![Uses::default(); func.values as usize],
        };
        for &block in &cfg.order {
            for &inst in &func.blocks[block.0 as usize].insts {
                if let Some(result) = func.insts[inst.0 as usize].result {
                    selector.definitions[result.0 as usize] = Some(inst);
                }
            }
        }
        selector.find_aliases(cfg);
        for &block in &cfg.order {
            let data = &func.blocks[block.0 as usize];
            for &inst in &data.insts {
                selector.count_uses(&func.insts[inst.0 as usize].op);
            }
            if let Some(terminator) = &data.terminator {
                selector.count_terminator(terminator);
            }
        }
        selector
    }

    /// A parameter of a block that one edge enters equals the argument; an element of a single-element array is its
    /// base.
    fn find_aliases(&mut self, cfg: &Cfg) {
        let func = self.func;
        // Definitions come before uses in this order, so aliases of aliases are resolved at once.
        for &block in &cfg.order {
            let data = &func.blocks[block.0 as usize];
            for &inst in &data.insts {
                let data = &func.insts[inst.0 as usize];
                if let (Op::ElementAddr { base, count: 1, .. }, Some(result)) = (&data.op, data.result) {
                    self.aliases[result.0 as usize] = Some(self.root(*base));
                }
            }
            for target in data.terminator.iter().flat_map(Terminator::targets) {
                if cfg.predecessors(target.block).len() == 1 {
                    let params = &func.blocks[target.block.0 as usize].params;
                    for (param, arg) in params.iter().zip(&target.args) {
                        self.aliases[param.0 as usize] = Some(self.root(*arg));
                    }
                }
            }
        }
    }

    /// The value that `value` stands for.
    pub(in crate::codegen) fn root(&self, value: Value) -> Value {
        self.aliases[value.0 as usize].unwrap_or(value)
    }

    pub(in crate::codegen) fn is_alias(&self, value: Value) -> bool {
        self.aliases[value.0 as usize].is_some()
    }

    /// The instruction that defines a value; `None` for parameters.
    pub(in crate::codegen) fn definition(&self, value: Value) -> Option<Inst> {
        self.definitions[value.0 as usize]
    }

    pub(super) fn op(&self, value: Value) -> Option<&'a Op> {
        let inst = self.definition(self.root(value))?;
        Some(&self.func.insts[inst.0 as usize].op)
    }

    pub(super) fn constant(&self, value: Value) -> Option<i64> {
        match self.op(value)? {
            Op::Const(c) => Some(*c),
            _ => None,
        }
    }

    fn uses_mut(&mut self, value: Value) -> &mut Uses {
        let root = self.root(value);
        &mut self.uses[root.0 as usize]
    }

    fn count_uses(&mut self, op: &Op) {
        for value in op.operands() {
            self.uses_mut(value).all += 1;
        }
        match op {
            Op::Load { addr, .. }
            | Op::Store { addr, .. }
            | Op::Atomic { addr, .. }
            | Op::CompareExchange { addr, .. } => self.uses_mut(*addr).address += 1,
            Op::Cmp(_, a, b) if self.constant(*b).is_some() => self.uses_mut(*a).compared += 1,
            _ => {}
        }
    }

    fn count_terminator(&mut self, terminator: &Terminator) {
        for target in terminator.targets() {
            for &arg in &target.args {
                self.uses_mut(arg).all += 1;
            }
        }
        match terminator {
            Terminator::Jump(_) => {}
            Terminator::Return(value) => self.uses_mut(*value).all += 1,
            Terminator::Branch { cond, a, b, .. } => {
                let b_is = self.constant(*b);
                self.uses_mut(*b).all += 1;
                let a = self.uses_mut(*a);
                a.all += 1;
                a.compared += u32::from(b_is.is_some());
                a.tested += u32::from(b_is == Some(0) && matches!(cond, Cond::Eq | Cond::Ne));
            }
        }
    }
}
