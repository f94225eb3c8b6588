//! Machine code over virtual registers, as the register allocator sees it.
//!
//! Blocks are numbered in the order in which they are laid out; the entry is block 0. No edge is critical, so moves
//! always find a block of their own. A branch's targets take no parameters: only jumps hand over values.

use super::CodegenError;
use crate::bpf::Reg;
use crate::ir::CallbackId;
use crate::plan::BpfMapId;
use crumbs_grammar::span::Span;
use regalloc2::{
    Block, Inst, InstRange, MachineEnv, Operand, Output, PReg, PRegSet, RegClass, RegallocOptions, VReg,
};

/// An operation; its registers are the operands of its [`MachInst`], in the order given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MachOp {
    /// Where arguments come in: `→ r1…`, those that are used.
    Start,
    /// `→ dst`: a constant.
    LoadImm(i64),
    /// `→ dst`: frame pointer plus offset.
    FrameAddr(i16),
    /// `→ dst`: an address in the program memory.
    MemoryAddr(u32),
    /// `→ dst`: a kernel map.
    MapAddr(BpfMapId),
    /// `→ dst`: a callback.
    CallbackAddr(CallbackId),
    /// `src → dst`.
    Move,
    /// `src → dst`: the low half, zero-extended.
    Move32,
    /// `a → dst = a`: arithmetic with an immediate; `code` is class and operation.
    AluImm { code: u8, imm: i32 },
    /// `a → dst = a`: signed division by an immediate, or its remainder.
    SignedDivImm { imm: i32, remainder: bool },
    /// `a, b → dst = a`: arithmetic; `code` is class and operation.
    AluReg { code: u8 },
    /// `[base] → dst`.
    Load { size: u8, at: Access },
    /// `[base], value →`.
    Store { size: u8, at: Access },
    /// `[base] →`: stores an immediate.
    StoreImm { size: u8, at: Access, imm: i32 },
    /// `[base], value →`: atomic without result.
    Atomic { operation: i32, at: Access },
    /// `[base], value → dst = value`: atomic with the value before.
    AtomicFetch { operation: i32, at: Access },
    /// `[base], expected in r0, new → r0`.
    CompareExchange { at: Access },
    /// `a, [b] → dst`: 1 if the comparison holds, else 0. Operands are read after `dst` is written.
    SetIf(Compare),
    /// `selector → dst`: the first map if the selector is 0, else the second. As [`MachOp::SetIf`].
    MapSelect([BpfMapId; 2]),
    /// `base, index → dst = index`: `base + (index & mask) * stride`.
    Element { mask: i32, stride: u32 },
    /// `arguments in r1… → [r0]`: one argument is clamped before. Those arguments that are made on the spot
    /// are no operands: nothing else can be in their registers, which the call destroys.
    Call {
        callee: Callee,
        clamp: Option<Clamp>,
        given: Given,
    },
    /// Goes on at the only successor.
    Jump,
    /// `a, [b] →`: goes on at the first successor if the comparison holds, else at the second.
    Branch(Compare),
    /// `value in r0 →`.
    Return,
}

/// An access to memory. The base is an operand, except for the frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// Whether the base is the frame pointer.
    pub(super) frame: bool,
    /// Added to the base.
    pub(super) offset: i16,
}

/// A comparison of a register with another or with an immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compare {
    /// Class (`JMP` or `JMP32`) and condition.
    pub(super) code: u8,
    /// The right side, if it is no register.
    pub(super) imm: Option<i32>,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    /// A helper by number.
    Helper(u32),
    /// A subprogram.
    Subprogram(CallbackId),
}

/// An argument register and the greatest value that it may have (unsigned).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clamp {
    pub(super) reg: Reg,
    pub(super) max: i32,
}

/// The arguments of a call that are made on the spot, in [`MachFunction::given`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) first: u32,
    pub(super) count: u32,
}

impl MachOp {
    /// The memory it accesses, to be changed.
    pub(super) fn access_mut(&mut self) -> Option<&mut Access> {
        match self {
            Self::Load { at, .. }
            | Self::Store { at, .. }
            | Self::StoreImm { at, .. }
            | Self::Atomic { at, .. }
            | Self::AtomicFetch { at, .. }
            | Self::CompareExchange { at } => Some(at),
            _ => None,
        }
    }
}

/// An operation with its operands.
#[derive(Clone, Copy, Debug)]
pub(super) struct MachInst {
    pub(super) op: MachOp,
    /// Where in [`MachFunction::operands`] its own end; they begin behind those of the instruction before.
    pub(super) operands_end: u32,
    pub(super) span: Span,
}

/// A block.
#[derive(Clone, Debug)]
pub(super) struct MachBlock {
    pub(super) first: usize,
    /// Behind the last instruction.
    pub(super) end: usize,
    pub(super) params: Vec<VReg>,
    pub(super) succs: Vec<Block>,
    pub(super) preds: Vec<Block>,
    /// What the jump at its end hands over.
    pub(super) args: Vec<VReg>,
    /// The first block of the cold stretch ([`super::cold`]) that it is in.
    pub(super) cold: Option<Block>,
}

/// A function.
#[derive(Clone, Debug, Default)]
pub(super) struct MachFunction {
    pub(super) insts: Vec<MachInst>,
    /// Of all instructions, in their order.
    pub(super) operands: Vec<Operand>,
    pub(super) blocks: Vec<MachBlock>,
    pub(super) vregs: usize,
    /// What calls are given besides their operands: the argument's register and what makes it.
    pub(super) given: Vec<(Reg, MachOp)>,
}

pub(super) fn preg(reg: Reg) -> PReg {
    PReg::new(usize::from(reg.0), RegClass::Int)
}

/// r0 to r9. Those that calls destroy come first, since a program that leaves r6 to r9 alone has them neither saved nor
/// restored around it. There is no scratch register: the allocator finds one where it needs one.
fn environment() -> MachineEnv {
    let set = |regs: std::ops::RangeInclusive<u8>| regs.map(|r| preg(Reg(r))).collect::<PRegSet>();
    let none = PRegSet::empty();
    MachineEnv {
        preferred_regs_by_class: [set(0..=5), none, none],
        non_preferred_regs_by_class: [set(6..=9), none, none],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

impl MachFunction {
    /// Assigns registers and spill slots.
    pub(super) fn allocate(&self) -> Result<Output, CodegenError> {
        let options = RegallocOptions {
            validate_ssa: cfg!(debug_assertions),
            ..RegallocOptions::default()
        };
        let env = environment();
        let output =
            regalloc2::run(self, &env, &options).map_err(|e| CodegenError::Allocation(e.to_string()))?;
        if cfg!(debug_assertions) {
            let mut checker = regalloc2::checker::Checker::new(self, &env);
            checker.prepare(&output);
            checker
                .run()
                .map_err(|e| CodegenError::Allocation(format!("{e:?}")))?;
        }
        Ok(output)
    }
}

impl regalloc2::Function for MachFunction {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let block = &self.blocks[block.index()];
        InstRange::new(Inst::new(block.first), Inst::new(block.end))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].succs
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        &self.blocks[block.index()].preds
    }

    fn block_params(&self, block: Block) -> &[VReg] {
        &self.blocks[block.index()].params
    }

    fn is_ret(&self, insn: Inst) -> bool {
        self.insts[insn.index()].op == MachOp::Return
    }

    fn is_branch(&self, insn: Inst) -> bool {
        matches!(self.insts[insn.index()].op, MachOp::Jump | MachOp::Branch(_))
    }

    fn branch_blockparams(&self, block: Block, _insn: Inst, _succ: usize) -> &[VReg] {
        &self.blocks[block.index()].args
    }

    fn inst_operands(&self, insn: Inst) -> &[Operand] {
        let before = insn.index().checked_sub(1);
        let start = before.map_or(0, |before| self.insts[before].operands_end);
        &self.operands[start as usize..self.insts[insn.index()].operands_end as usize]
    }

    fn inst_clobbers(&self, insn: Inst) -> PRegSet {
        if !matches!(self.insts[insn.index()].op, MachOp::Call { .. }) {
            return PRegSet::empty();
        }
        // A register is either clobbered or defined.
        let has_result = self
            .inst_operands(insn)
            .iter()
            .any(|o| o.kind() == regalloc2::OperandKind::Def);
        (u8::from(has_result)..=5).map(|r| preg(Reg(r))).collect()
    }

    fn num_vregs(&self) -> usize {
        self.vregs
    }

    fn spillslot_size(&self, _class: RegClass) -> usize {
        1
    }
}
