//! From allocated machine code to instructions, block by block.
//!
//! In: a [`MachFunction`] and the allocator's answer. Out: a [`Chunk`] a block, its last jump still symbolic.
//! Pseudo-instructions become what they stand for here, behind the allocator's back, so that nothing gets between a
//! bound and what relies on it.

use super::CodegenError;
use super::layout::{Chunk, End};
use super::machine::{Access, Callee, Clamp, Compare, MachFunction, MachInst, MachOp, preg};
use crate::bpf::{Insn, Reg, Reloc, RelocTarget, op};
use crate::ir::verify::FRAME;
use crate::ir::{Function, Home};
use crate::plan::BpfMapId;
use crumbs_grammar::span::Span;
use regalloc2::{Allocation, Edit, InstOrEdit, OperandKind, Output};

/// The stack frame.
pub(super) struct Frame {
    /// All of it.
    pub(super) bytes: u32,
    /// Without spilled values.
    slots: u32,
}

impl Frame {
    /// Spilled values go below the slots.
    pub(super) fn of(func: &Function, allocation: &Output) -> Result<Self, CodegenError> {
        let slots = func
            .slots
            .iter()
            .filter_map(|slot| match slot.home {
                Home::Frame(at) => Some(u32::from(at.unsigned_abs())),
                Home::Unplaced | Home::Scratch(_) => None,
            })
            .max()
            .map_or(0, |bytes| crate::types::align_to(bytes, 8));
        let spilled = allocation.num_spillslots as u32 * 8;
        let bytes = slots + spilled;
        if bytes > FRAME {
            return Err(CodegenError::FrameTooLarge { bytes, spilled });
        }
        Ok(Self { bytes, slots })
    }

    fn spill(&self, index: usize) -> i16 {
        -((self.slots as usize + 8 * (index + 1)) as i16)
    }
}

pub(super) fn emit(function: &MachFunction, allocation: &Output, frame: &Frame) -> Vec<Chunk> {
    let saves_unset = saves_unset_victim(function, allocation);
    (0..function.blocks.len())
        .map(|block| {
            let mut emitter = Emitter {
                frame,
                given: &function.given,
                chunk: Chunk {
                    cold: function.blocks[block].cold.map(regalloc2::Block::index),
                    ..Chunk::default()
                },
                span: Span::default(),
            };
            if block == 0 && saves_unset {
                emitter.span = function.insts[function.blocks[0].first].span;
                emitter.load_imm(VICTIM, 0);
            }
            emitter.block(function, allocation, block);
            emitter.chunk
        })
        .collect()
}

/// Which register the allocator frees for a moment, by keeping its content on the stack, where it needs one for a move and
/// there is none: the last of those that it likes least.
const VICTIM: Reg = Reg(9);

/// Whether [`VICTIM`] is kept somewhere before anything has been put into it: the kernel verifier refuses to read what
/// nothing has written.
fn saves_unset_victim(function: &MachFunction, allocation: &Output) -> bool {
    let victim = Allocation::reg(preg(VICTIM));
    let is_saved = |(_, Edit::Move { from, to }): &(_, Edit)| *from == victim && to.is_stack();
    if !allocation.edits.iter().any(is_saved) {
        return false;
    }
    // Whether it is set at the end of each block, where it is set at the start; and whether it is saved while it may not be.
    let pass = |block: usize, mut is_set: bool, saved_unset: &mut bool| {
        for item in allocation.block_insts_and_edits(function, regalloc2::Block::new(block)) {
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => {
                    *saved_unset |= !is_set && *from == victim;
                    is_set |= *to == victim;
                }
                InstOrEdit::Inst(inst) => {
                    let operands = regalloc2::Function::inst_operands(function, inst);
                    let mut results = operands.iter().zip(allocation.inst_allocs(inst));
                    is_set |= results.any(|(o, a)| o.kind() == OperandKind::Def && *a == victim);
                }
            }
        }
        is_set
    };
    let mut ends = vec![true; function.blocks.len()];
    loop {
        let (mut changed, mut saved_unset) = (false, false);
        for (index, block) in function.blocks.iter().enumerate() {
            let at_start = index > 0 && block.preds.iter().all(|pred| ends[pred.index()]);
            let at_end = pass(index, at_start, &mut saved_unset);
            changed |= at_end != ends[index];
            ends[index] = at_end;
        }
        if !changed {
            return saved_unset;
        }
    }
}

struct Emitter<'a> {
    frame: &'a Frame,
    /// What calls are given besides their operands.
    given: &'a [(Reg, MachOp)],
    chunk: Chunk,
    span: Span,
}

impl Emitter<'_> {
    fn block(&mut self, function: &MachFunction, allocation: &Output, index: usize) {
        let block = &function.blocks[index];
        let succs: Vec<usize> = block.succs.iter().map(|b| b.index()).collect();
        // Moves belong to what they are made for: the instruction behind them.
        let mut next = block.first;
        for item in allocation.block_insts_and_edits(function, regalloc2::Block::new(index)) {
            self.span = function.insts[next.min(block.end - 1)].span;
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => self.shift(*from, *to),
                InstOrEdit::Inst(inst) => {
                    next = inst.index() + 1;
                    let regs: Vec<Reg> = allocation
                        .inst_allocs(inst)
                        .iter()
                        .map(|a| register(*a))
                        .collect();
                    self.inst(&function.insts[inst.index()], &regs, &succs);
                }
            }
        }
    }

    fn push(&mut self, insn: Insn) {
        self.chunk.insns.push(insn);
        self.chunk.spans.push(self.span);
    }

    fn wide(&mut self, dst: Reg, value: u64, target: Option<RelocTarget>) {
        if let Some(target) = target {
            let insn = self.chunk.insns.len();
            self.chunk.relocs.push(Reloc { insn, target });
        }
        let [low, high] = Insn::wide(dst, 0, value);
        self.push(low);
        self.push(high);
    }

    fn map(&mut self, dst: Reg, map: BpfMapId) {
        self.wide(dst, 0, Some(RelocTarget::Map(map)));
    }

    /// A move that the allocator wants.
    fn shift(&mut self, from: Allocation, to: Allocation) {
        if from == to {
            return;
        }
        let insn = match (from.as_reg(), to.as_reg()) {
            (Some(_), Some(_)) => Insn::mov(register(to), register(from)),
            (Some(_), None) => Insn::store(op::DW, Reg::FP, self.spill(to), register(from)),
            (None, Some(_)) => Insn::load(op::DW, register(to), Reg::FP, self.spill(from)),
            (None, None) => unreachable!("the allocator never moves from stack to stack"),
        };
        self.push(insn);
    }

    fn spill(&self, allocation: Allocation) -> i16 {
        let slot = allocation
            .as_stack()
            .expect("what is in no register is on the stack");
        self.frame.spill(slot.index())
    }

    /// What is made on the spot.
    fn make(&mut self, op: MachOp, dst: Reg) {
        match op {
            MachOp::LoadImm(value) => self.load_imm(dst, value),
            MachOp::FrameAddr(offset) => {
                self.push(Insn::mov(dst, Reg::FP));
                self.push(Insn::alu_imm(op::ALU64 | op::ADD, dst, i32::from(offset)));
            }
            MachOp::MemoryAddr(offset) => {
                self.wide(dst, u64::from(offset), Some(RelocTarget::Memory(offset)));
            }
            MachOp::MapAddr(map) => self.map(dst, map),
            MachOp::CallbackAddr(id) => self.wide(dst, 0, Some(RelocTarget::Callback(id.0))),
            _ => unreachable!("nothing else is made on the spot"),
        }
    }

    fn inst(&mut self, inst: &MachInst, regs: &[Reg], succs: &[usize]) {
        match inst.op {
            MachOp::Start => {}
            MachOp::LoadImm(_)
            | MachOp::FrameAddr(_)
            | MachOp::MemoryAddr(_)
            | MachOp::MapAddr(_)
            | MachOp::CallbackAddr(_) => self.make(inst.op, regs[0]),
            MachOp::Move if regs[0] == regs[1] => {}
            MachOp::Move => self.push(Insn::mov(regs[1], regs[0])),
            MachOp::Move32 => self.push(Insn::alu_reg(op::ALU | op::MOV, regs[1], regs[0])),
            MachOp::AluImm { code, imm } => self.push(Insn::alu_imm(code, regs[0], imm)),
            MachOp::SignedDivImm { imm, remainder } => {
                let code = op::ALU64 | if remainder { op::MOD } else { op::DIV };
                // The offset 1 marks a signed division (version 4 of the instruction set).
                self.push(Insn {
                    off: 1,
                    ..Insn::alu_imm(code, regs[0], imm)
                });
            }
            MachOp::AluReg { code } => self.push(Insn::alu_reg(code, regs[0], regs[1])),
            MachOp::Load { size, at } => {
                let (base, regs) = split(at, regs);
                self.push(Insn::load(size, regs[0], base, at.offset));
            }
            MachOp::Store { size, at } => {
                let (base, regs) = split(at, regs);
                self.push(Insn::store(size, base, at.offset, regs[0]));
            }
            MachOp::StoreImm { size, at, imm } => {
                let (base, _) = split(at, regs);
                self.push(Insn::store_imm(size, base, at.offset, imm));
            }
            MachOp::Atomic { operation, at } | MachOp::AtomicFetch { operation, at } => {
                let (base, regs) = split(at, regs);
                self.push(Insn::atomic(operation, base, at.offset, regs[0]));
            }
            MachOp::CompareExchange { at } => {
                let (base, regs) = split(at, regs);
                self.push(Insn::atomic(op::CMPXCHG, base, at.offset, regs[1]));
            }
            MachOp::SetIf(compare) => self.set_if(compare, regs),
            MachOp::MapSelect(maps) => {
                self.map(regs[1], maps[1]);
                self.push(Insn::jump_imm(op::JMP | op::JNE, regs[0], 0, 2));
                self.map(regs[1], maps[0]);
            }
            MachOp::Element { mask, stride } => self.element(mask, stride, regs[0], regs[2]),
            MachOp::Call { callee, clamp, given } => {
                let given = &self.given[given.first as usize..][..given.count as usize];
                for &(reg, op) in given {
                    self.make(op, reg);
                }
                self.call(callee, clamp);
            }
            MachOp::Jump => self.end(End::Jump(succs[0])),
            MachOp::Branch(compare) => self.end(End::Branch {
                jump: jump(compare, regs, 0),
                then: succs[0],
                otherwise: succs[1],
            }),
            MachOp::Return => {
                self.push(Insn::exit());
                self.end(End::Exit);
            }
        }
    }

    fn end(&mut self, end: End) {
        self.chunk.end = end;
        self.chunk.end_span = self.span;
    }

    fn load_imm(&mut self, dst: Reg, value: i64) {
        if let Ok(imm) = i32::try_from(value) {
            self.push(Insn::mov_imm(dst, imm));
        } else if let Ok(imm) = u32::try_from(value) {
            // A move to the low half clears the upper.
            self.push(Insn::alu_imm(op::ALU | op::MOV, dst, imm as i32));
        } else {
            self.wide(dst, value as u64, None);
        }
    }

    fn set_if(&mut self, compare: Compare, regs: &[Reg]) {
        let dst = regs[regs.len() - 1];
        self.push(Insn::mov_imm(dst, 1));
        self.push(jump(compare, regs, 1));
        self.push(Insn::mov_imm(dst, 0));
    }

    /// `dst`, which holds the index, becomes the element's address.
    fn element(&mut self, mask: i32, stride: u32, base: Reg, dst: Reg) {
        self.push(Insn::alu_imm(op::ALU64 | op::AND, dst, mask));
        if stride.is_power_of_two() {
            if stride > 1 {
                let shift = stride.trailing_zeros() as i32;
                self.push(Insn::alu_imm(op::ALU64 | op::LSH, dst, shift));
            }
        } else {
            self.push(Insn::alu_imm(op::ALU64 | op::MUL, dst, stride as i32));
        }
        self.push(Insn::alu_reg(op::ALU64 | op::ADD, dst, base));
    }

    fn call(&mut self, callee: Callee, clamp: Option<Clamp>) {
        if let Some(Clamp { reg, max }) = clamp {
            self.push(Insn::jump_imm(op::JMP | op::JLE, reg, max, 1));
            self.push(Insn::mov_imm(reg, max));
        }
        match callee {
            Callee::Helper(number) => self.push(Insn::call(number)),
            Callee::Subprogram(id) => {
                let insn = self.chunk.insns.len();
                let target = RelocTarget::Subprogram(id.0);
                self.chunk.relocs.push(Reloc { insn, target });
                self.push(Insn::call_function());
            }
        }
    }
}

/// The base of an access and the operands behind it.
fn split(at: Access, regs: &[Reg]) -> (Reg, &[Reg]) {
    if at.frame {
        (Reg::FP, regs)
    } else {
        (regs[0], &regs[1..])
    }
}

fn jump(compare: Compare, regs: &[Reg], off: i16) -> Insn {
    match compare.imm {
        Some(imm) => Insn::jump_imm(compare.code, regs[0], imm, off),
        None => Insn::jump_reg(compare.code, regs[0], regs[1], off),
    }
}

fn register(allocation: Allocation) -> Reg {
    let preg = allocation.as_reg().expect("every operand asks for a register");
    Reg(preg.hw_enc() as u8)
}
