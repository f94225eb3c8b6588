//! Small tools that passes rewrite functions with.

use crate::helper::{Effect, Helper};
use crate::ir::{Block, Function, Inst, InstData, Op, Target, Terminator, Value};
use crumbs_grammar::span::Span;

/// Where a value is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Def {
    /// Nowhere that can be reached.
    None,
    /// By an instruction in a block.
    Inst(Block, Inst),
    /// As a parameter of a block.
    Param(Block, usize),
}

/// Where each value is defined, by value; blocks that cannot be reached count too.
pub(crate) fn definitions(func: &Function) -> Vec<Def> {
    let mut defs = vec![Def::None; func.values as usize];
    for (i, data) in func.blocks.iter().enumerate() {
        let block = Block(i as u32);
        for (k, param) in data.params.iter().enumerate() {
            defs[param.0 as usize] = Def::Param(block, k);
        }
        for &inst in &data.insts {
            if let Some(result) = func.insts[inst.0 as usize].result {
                defs[result.0 as usize] = Def::Inst(block, inst);
            }
        }
    }
    defs
}

/// The constant that each value is, by value.
pub(crate) fn constants(func: &Function) -> Vec<Option<i64>> {
    let mut constants = vec![None; func.values as usize];
    for data in &func.insts {
        if let (Op::Const(c), Some(result)) = (&data.op, data.result) {
            constants[result.0 as usize] = Some(*c);
        }
    }
    constants
}

/// Values to be used in place of others.
#[derive(Debug)]
pub(crate) struct Substitution {
    to: Vec<Value>,
    is_empty: bool,
}

impl Substitution {
    /// One that replaces nothing.
    pub fn new(func: &Function) -> Self {
        Self {
            to: (0..func.values).map(Value).collect(),
            is_empty: true,
        }
    }

    /// From now on `to` (or what replaces it) stands for `from`.
    pub fn set(&mut self, from: Value, to: Value) {
        let to = self.get(to);
        if from != to {
            self.to[from.0 as usize] = to;
            self.is_empty = false;
        }
    }

    /// What stands for `value`; values made after the substitution stand for themselves.
    pub fn get(&self, mut value: Value) -> Value {
        while let Some(&to) = self.to.get(value.0 as usize) {
            if to == value {
                break;
            }
            value = to;
        }
        value
    }

    /// Rewrites every use in every block. Says whether there was anything to replace.
    pub fn apply(&self, func: &mut Function) -> bool {
        if self.is_empty {
            return false;
        }
        for i in 0..func.blocks.len() {
            for k in 0..func.blocks[i].insts.len() {
                let inst = func.blocks[i].insts[k];
                func.insts[inst.0 as usize].op.map_operands(|v| self.get(v));
            }
            if let Some(terminator) = &mut func.blocks[i].terminator {
                terminator.map_operands(|v| self.get(v));
            }
        }
        true
    }
}

/// The helper that an operation calls, and what with.
pub(crate) fn as_call(op: &Op) -> Option<(Helper, &[Value])> {
    match op {
        Op::Call(helper, args) | Op::CallBounded { helper, args, .. } => Some((*helper, args)),
        _ => None,
    }
}

/// A new value.
pub(crate) fn new_value(func: &mut Function) -> Value {
    func.values += 1;
    Value(func.values - 1)
}

/// A new instruction, in no block yet.
pub(crate) fn new_inst(func: &mut Function, op: Op, result: Option<Value>, span: Span) -> Inst {
    func.insts.push(InstData { op, result, span });
    Inst(func.insts.len() as u32 - 1)
}

/// Whether two instructions with this operation and the same operands have the same result anywhere in one run.
/// The context counts: a program's context does not change while it runs.
pub(crate) fn is_pure(op: &Op) -> bool {
    match op {
        Op::Const(_)
        | Op::Bin(..)
        | Op::Extend { .. }
        | Op::SignedDiv { .. }
        | Op::Cmp(..)
        | Op::Ctx
        | Op::Argument(_)
        | Op::Callback(_)
        | Op::CtxLoad { .. }
        | Op::Memory(_)
        | Op::MapPtr(_)
        | Op::MapSelect { .. }
        | Op::SlotAddr(..)
        | Op::ElementAddr { .. } => true,
        Op::Call(helper, _) => helper.row().effect == Effect::Stable,
        Op::Load { .. }
        | Op::Store { .. }
        | Op::Atomic { .. }
        | Op::CompareExchange { .. }
        | Op::CallBounded { .. }
        | Op::CallSubprogram(..) => false,
    }
}

/// Whether an instruction may go if its result is not used.
pub(crate) fn is_removable(op: &Op) -> bool {
    match op {
        Op::Call(helper, _) | Op::CallBounded { helper, .. } => helper.row().effect != Effect::Writes,
        Op::Store { .. } | Op::Atomic { .. } | Op::CompareExchange { .. } | Op::CallSubprogram(..) => false,
        _ => true,
    }
}

/// Whether an operation needs nothing but itself. Code generation makes these where they are used, so their place does
/// not matter; the passes keep one of each, at the top of the entry block.
pub(crate) fn is_rootless(op: &Op) -> bool {
    matches!(
        op,
        Op::Const(_)
            | Op::Ctx
            | Op::Argument(_)
            | Op::Callback(_)
            | Op::Memory(_)
            | Op::MapPtr(_)
            | Op::SlotAddr(..)
    )
}

/// The targets of a terminator, `then` first.
pub(crate) fn targets_mut(terminator: &mut Terminator) -> impl Iterator<Item = &mut Target> {
    let (first, second) = match terminator {
        Terminator::Jump(target) => (Some(target), None),
        Terminator::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
        Terminator::Return(_) => (None, None),
    };
    first.into_iter().chain(second)
}

/// Applies `f` to every value that a terminator uses, arguments included.
pub(crate) fn for_each_operand(terminator: &Terminator, mut f: impl FnMut(Value)) {
    match terminator {
        Terminator::Jump(target) => target.args.iter().copied().for_each(f),
        Terminator::Branch {
            a,
            b,
            then,
            otherwise,
            ..
        } => {
            f(*a);
            f(*b);
            then.args.iter().chain(&otherwise.args).copied().for_each(f);
        }
        Terminator::Return(value) => f(*value),
    }
}
