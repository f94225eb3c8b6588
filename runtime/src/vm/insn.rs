//! Instructions: from the 8-byte encoding (RFC 9669) to a form that the interpreter matches on.
//!
//! In comes relocatable code, out goes one [`Insn`] per 8-byte unit, so that instruction numbers in faults are the
//! encoding's. After decoding every opcode is known, every register exists, r10 is never written, every jump lands on
//! the start of an instruction, and the last instruction cannot fall off the end.

use super::fault::{Fault, FaultKind};
use super::pointer::Pointer;
use crumbs_compiler::bpf::{self, Insn as Unit, RelocTarget, op};
use crumbs_compiler::helper::Helper;
use crumbs_compiler::plan::Plan;

/// Bits of an opcode: instruction class, size of an access, its mode, arithmetic operation or condition.
const CLASS: u8 = 0x07;
const SIZE: u8 = 0x18;
const MODE: u8 = 0xe0;
const OPERATION: u8 = 0xf0;
/// Byte order conversion, an arithmetic operation.
const END: u8 = 0xd0;

/// A register number, 0 to 10.
pub type Reg = u8;

/// The second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Src {
    /// A register.
    Reg(Reg),
    /// A constant, sign-extended.
    Imm(i64),
}

/// Binary arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 9669, section 4.1, has them by these names")]
pub enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    SDiv,
    Or,
    And,
    Lsh,
    Rsh,
    Mod,
    SMod,
    Xor,
    Mov,
    Arsh,
}

/// Byte order conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To little endian (nothing but truncation, as BPF is little-endian here).
    Little,
    /// To big endian.
    Big,
    /// Unconditional swap.
    Swap,
}

/// Conditions of jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 9669, section 4.3, has them by these names")]
pub enum Cond {
    Eq,
    Gt,
    Ge,
    Set,
    Ne,
    SGt,
    SGe,
    Lt,
    Le,
    SLt,
    SLe,
}

/// Atomic operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 9669, section 5.3, has them by these names")]
pub enum Atomic {
    Add,
    Or,
    And,
    Xor,
    Exchange,
    CompareExchange,
}

/// A decoded instruction. `wide` tells 64-bit operations from 32-bit ones, `size` is in bytes, jump targets are
/// instruction numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of RFC 9669")]
pub enum Insn {
    Alu {
        op: Alu,
        wide: bool,
        dst: Reg,
        src: Src,
    },
    MovSx {
        bits: u8,
        wide: bool,
        dst: Reg,
        src: Reg,
    },
    Neg {
        wide: bool,
        dst: Reg,
    },
    Swap {
        order: Order,
        bits: u8,
        dst: Reg,
    },
    LoadImm {
        dst: Reg,
        value: u64,
    },
    /// The second half of a `LoadImm`; never executed.
    SecondHalf,
    Load {
        dst: Reg,
        base: Reg,
        off: i16,
        size: u8,
        signed: bool,
    },
    Store {
        base: Reg,
        off: i16,
        size: u8,
        src: Src,
    },
    Atomic {
        op: Atomic,
        fetch: bool,
        base: Reg,
        off: i16,
        size: u8,
        src: Reg,
    },
    Jump {
        target: u32,
    },
    Branch {
        cond: Cond,
        wide: bool,
        dst: Reg,
        src: Src,
        target: u32,
    },
    Call {
        helper: Helper,
    },
    /// Calls a function of the program.
    CallFunction {
        target: u32,
    },
    Exit,
}

/// The second operand of arithmetic and jumps: bit 3 of the opcode tells which.
fn operand(unit: Unit) -> Src {
    if unit.code & op::X != 0 {
        Src::Reg(unit.src)
    } else {
        Src::Imm(i64::from(unit.imm))
    }
}

/// Bytes that a load or store accesses.
fn size(unit: Unit) -> u8 {
    match unit.code & SIZE {
        op::W => 4,
        op::H => 2,
        op::B => 1,
        _ => 8,
    }
}

/// Decodes and links a program: its callbacks follow it.
///
/// # Errors
/// The first instruction that breaks what the module promises.
pub fn decode(program: &bpf::Program, plan: &Plan) -> Result<Box<[Insn]>, Fault> {
    let mut starts = Vec::with_capacity(program.callbacks.len());
    let mut end = program.insns.len();
    for callback in &program.callbacks {
        starts.push(end);
        end += callback.insns.len();
    }
    let mut out = Vec::with_capacity(end);
    for function in [program].into_iter().chain(&program.callbacks) {
        let start = out.len();
        let insns = decode_function(function, plan, &starts).map_err(|fault| Fault {
            insn: start + fault.insn,
            ..fault
        })?;
        out.extend(insns.into_iter().map(|insn| insn.moved(start as u32)));
    }
    Ok(out.into())
}

impl Insn {
    /// The instruction in a function that starts later.
    fn moved(mut self, by: u32) -> Self {
        if let Self::Jump { target } | Self::Branch { target, .. } = &mut self {
            *target += by;
        }
        self
    }
}

fn decode_function(program: &bpf::Program, plan: &Plan, callbacks: &[usize]) -> Result<Vec<Insn>, Fault> {
    let fault = |insn, kind| Fault { insn, kind };
    let mut out = Vec::with_capacity(program.insns.len());
    let mut at = 0;
    while at < program.insns.len() {
        let unit = program.insns[at];
        if unit.dst > 10 || unit.src > 10 {
            return Err(fault(at, FaultKind::Encoding("register above r10")));
        }
        if unit.is_wide() {
            let high = program
                .insns
                .get(at + 1)
                .copied()
                .filter(|high| (high.code, high.dst, high.src, high.off) == (0, 0, 0, 0))
                .ok_or_else(|| fault(at, FaultKind::Encoding("LD_IMM64 without second half")))?;
            let value =
                load_imm(program, plan, callbacks, at, (unit, high)).map_err(|kind| fault(at, kind))?;
            out.push(Insn::LoadImm { dst: unit.dst, value });
            out.push(Insn::SecondHalf);
            at += 2;
        } else if unit.code == op::JMP | op::CALL && unit.src == op::PSEUDO_CALL {
            let start = match program.reloc(at) {
                Some(RelocTarget::Subprogram(id)) => callbacks.get(id as usize),
                _ => None,
            };
            let &start = start.ok_or_else(|| fault(at, FaultKind::Relocation))?;
            out.push(Insn::CallFunction { target: start as u32 });
            at += 1;
        } else {
            out.push(decode_one(unit, at, program.insns.len()).map_err(|kind| fault(at, kind))?);
            at += 1;
        }
    }
    check(&out)?;
    if let Some(stray) = program.relocs.iter().find(|reloc| {
        !matches!(
            out.get(reloc.insn),
            Some(Insn::LoadImm { .. } | Insn::CallFunction { .. })
        )
    }) {
        return Err(fault(stray.insn, FaultKind::Relocation));
    }
    Ok(out)
}

/// The value of an `LD_IMM64`: an address where there is a relocation.
fn load_imm(
    program: &bpf::Program,
    plan: &Plan,
    callbacks: &[usize],
    at: usize,
    (low, high): (Unit, Unit),
) -> Result<u64, FaultKind> {
    match program.reloc(at) {
        Some(RelocTarget::Map(id)) if (id.0 as usize) < plan.bpf_maps.len() => {
            Ok(Pointer::map(id.0 as usize))
        }
        Some(RelocTarget::Memory(offset)) if offset <= plan.memory.size => Ok(Pointer::memory(offset)),
        Some(RelocTarget::Callback(id)) => callbacks
            .get(id as usize)
            .map(|&start| Pointer::function(start))
            .ok_or(FaultKind::Relocation),
        Some(_) => Err(FaultKind::Relocation),
        None if low.src != 0 => Err(FaultKind::Encoding("LD_IMM64 of an address without relocation")),
        None => Ok(u64::from(low.imm as u32) | u64::from(high.imm as u32) << 32),
    }
}

/// Checks what needs the neighbours: jump targets, the end, writes to r10.
fn check(insns: &[Insn]) -> Result<(), Fault> {
    for (at, insn) in insns.iter().enumerate() {
        let fault = |kind| Err(Fault { insn: at, kind });
        match *insn {
            Insn::Jump { target } | Insn::Branch { target, .. }
                if matches!(insns.get(target as usize), None | Some(Insn::SecondHalf)) =>
            {
                return fault(FaultKind::JumpOutside);
            }
            Insn::Alu { dst, .. }
            | Insn::MovSx { dst, .. }
            | Insn::Neg { dst, .. }
            | Insn::Swap { dst, .. }
            | Insn::LoadImm { dst, .. }
            | Insn::Load { dst, .. }
            | Insn::Atomic {
                src: dst,
                fetch: true,
                ..
            } if dst == 10 => {
                return fault(FaultKind::Encoding("r10 is written"));
            }
            _ => {}
        }
    }
    match insns.last() {
        Some(Insn::Exit | Insn::Jump { .. }) => Ok(()),
        _ => Err(Fault {
            insn: insns.len().saturating_sub(1),
            kind: FaultKind::JumpOutside,
        }),
    }
}

/// Decodes a one-unit instruction at number `at` of `len`.
fn decode_one(unit: Unit, at: usize, len: usize) -> Result<Insn, FaultKind> {
    match unit.code & CLASS {
        op::LDX => match unit.code & MODE {
            op::MEM => Ok(load(unit, false)),
            op::MEMSX if size(unit) < 8 => Ok(load(unit, true)),
            _ => Err(FaultKind::Encoding("unknown load")),
        },
        op::ST if unit.code & MODE == op::MEM => Ok(store(unit, Src::Imm(i64::from(unit.imm)))),
        op::STX => match unit.code & MODE {
            op::MEM => Ok(store(unit, Src::Reg(unit.src))),
            op::ATOMIC if size(unit) >= 4 => decode_atomic(unit),
            _ => Err(FaultKind::Encoding("unknown store")),
        },
        op::ALU => decode_alu(unit, false),
        op::ALU64 => decode_alu(unit, true),
        op::JMP => decode_jump(unit, at, len, true),
        op::JMP32 => decode_jump(unit, at, len, false),
        _ => Err(FaultKind::Encoding("unknown opcode")),
    }
}

fn load(unit: Unit, signed: bool) -> Insn {
    Insn::Load {
        dst: unit.dst,
        base: unit.src,
        off: unit.off,
        size: size(unit),
        signed,
    }
}

fn store(unit: Unit, src: Src) -> Insn {
    Insn::Store {
        base: unit.dst,
        off: unit.off,
        size: size(unit),
        src,
    }
}

fn decode_atomic(unit: Unit) -> Result<Insn, FaultKind> {
    let fetch = unit.imm & op::FETCH != 0;
    let (op, fetch) = match unit.imm {
        op::XCHG => (Atomic::Exchange, true),
        // Its result goes to r0, not to the source register.
        op::CMPXCHG => (Atomic::CompareExchange, false),
        imm => match u8::try_from(imm & !op::FETCH) {
            Ok(op::ADD) => (Atomic::Add, fetch),
            Ok(op::OR) => (Atomic::Or, fetch),
            Ok(op::AND) => (Atomic::And, fetch),
            Ok(op::XOR) => (Atomic::Xor, fetch),
            _ => return Err(FaultKind::Encoding("unknown atomic operation")),
        },
    };
    Ok(Insn::Atomic {
        op,
        fetch,
        base: unit.dst,
        off: unit.off,
        size: size(unit),
        src: unit.src,
    })
}

fn decode_alu(unit: Unit, wide: bool) -> Result<Insn, FaultKind> {
    let dst = unit.dst;
    let binary = |op| {
        Ok(Insn::Alu {
            op,
            wide,
            dst,
            src: operand(unit),
        })
    };
    let is_reg = unit.code & op::X != 0;
    match (unit.code & OPERATION, unit.off) {
        (op::ADD, 0) => binary(Alu::Add),
        (op::SUB, 0) => binary(Alu::Sub),
        (op::MUL, 0) => binary(Alu::Mul),
        (op::DIV, 0) => binary(Alu::Div),
        (op::DIV, 1) => binary(Alu::SDiv),
        (op::OR, 0) => binary(Alu::Or),
        (op::AND, 0) => binary(Alu::And),
        (op::LSH, 0) => binary(Alu::Lsh),
        (op::RSH, 0) => binary(Alu::Rsh),
        (op::NEG, 0) if !is_reg => Ok(Insn::Neg { wide, dst }),
        (op::MOD, 0) => binary(Alu::Mod),
        (op::MOD, 1) => binary(Alu::SMod),
        (op::XOR, 0) => binary(Alu::Xor),
        (op::MOV, 0) => binary(Alu::Mov),
        (op::MOV, 8 | 16 | 32) if is_reg && (wide || unit.off < 32) => Ok(Insn::MovSx {
            bits: unit.off as u8,
            wide,
            dst,
            src: unit.src,
        }),
        (op::ARSH, 0) => binary(Alu::Arsh),
        (END, 0) if matches!(unit.imm, 16 | 32 | 64) && !(wide && is_reg) => {
            let order = match (wide, is_reg) {
                (false, false) => Order::Little,
                (false, true) => Order::Big,
                (true, _) => Order::Swap,
            };
            Ok(Insn::Swap {
                order,
                bits: unit.imm as u8,
                dst,
            })
        }
        _ => Err(FaultKind::Encoding("unknown arithmetic operation")),
    }
}

fn decode_jump(unit: Unit, at: usize, len: usize, wide: bool) -> Result<Insn, FaultKind> {
    let to = |distance: i64| {
        u32::try_from(at as i64 + 1 + distance)
            .ok()
            .filter(|&target| (target as usize) < len)
            .ok_or(FaultKind::JumpOutside)
    };
    let branch = |cond| {
        Ok(Insn::Branch {
            cond,
            wide,
            dst: unit.dst,
            src: operand(unit),
            target: to(i64::from(unit.off))?,
        })
    };
    let is_reg = unit.code & op::X != 0;
    match (unit.code & OPERATION, wide) {
        (op::JA, true) if !is_reg => Ok(Insn::Jump {
            target: to(i64::from(unit.off))?,
        }),
        (op::JA, false) if !is_reg => Ok(Insn::Jump {
            target: to(i64::from(unit.imm))?,
        }),
        (op::JEQ, _) => branch(Cond::Eq),
        (op::JGT, _) => branch(Cond::Gt),
        (op::JGE, _) => branch(Cond::Ge),
        (op::JSET, _) => branch(Cond::Set),
        (op::JNE, _) => branch(Cond::Ne),
        (op::JSGT, _) => branch(Cond::SGt),
        (op::JSGE, _) => branch(Cond::SGe),
        (op::CALL, true) if !is_reg && unit.src == 0 => u32::try_from(unit.imm)
            .ok()
            .and_then(Helper::by_number)
            .map(|helper| Insn::Call { helper })
            .ok_or(FaultKind::UnknownHelper(unit.imm)),
        (op::EXIT, true) if !is_reg => Ok(Insn::Exit),
        (op::JLT, _) => branch(Cond::Lt),
        (op::JLE, _) => branch(Cond::Le),
        (op::JSLT, _) => branch(Cond::SLt),
        (op::JSLE, _) => branch(Cond::SLe),
        _ => Err(FaultKind::Encoding("unknown jump")),
    }
}
