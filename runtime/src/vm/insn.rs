//! Instructions: from the 8-byte encoding (RFC 9669) to a form that the interpreter matches on.
//!
//! In comes relocatable code, out goes one [`Insn`] per 8-byte unit, so that instruction numbers in faults are the
//! encoding's. After decoding every opcode is known, every register exists, r10 is never written, every jump lands on
//! the start of an instruction, and the last instruction cannot fall off the end.

use super::fault::{Fault, FaultKind};
use super::pointer::Pointer;
use crumbs_compiler::helper::Helper;
use crumbs_compiler::plan::{BpfMapId, Plan};

/// A program as it comes from the compiler.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// 8-byte units; bits 0–7 are the opcode, 8–11 destination, 12–15 source, 16–31 offset, 32–63 immediate.
    pub insns: Vec<u64>,
    /// `LD_IMM64` instructions whose value is an address.
    pub relocs: Vec<Reloc>,
}

/// An address to be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// The `LD_IMM64`, as an index into [`Code::insns`].
    pub insn: usize,
    /// What it points to.
    pub target: RelocTarget,
}

/// What a [`Reloc`] points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocTarget {
    /// A kernel map.
    Map(BpfMapId),
    /// A byte of the program memory.
    Memory(u32),
}

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
    Exit,
}

/// One 8-byte unit, taken apart.
#[derive(Clone, Copy)]
struct Unit {
    opcode: u8,
    dst: Reg,
    src: Reg,
    off: i16,
    imm: i32,
}

impl Unit {
    fn new(raw: u64) -> Self {
        Self {
            opcode: raw as u8,
            dst: (raw >> 8) as u8 & 0xf,
            src: (raw >> 12) as u8 & 0xf,
            off: (raw >> 16) as i16,
            imm: (raw >> 32) as i32,
        }
    }

    /// The second operand of arithmetic and jumps: bit 3 of the opcode tells which.
    fn operand(self) -> Src {
        if self.opcode & 0x08 != 0 {
            Src::Reg(self.src)
        } else {
            Src::Imm(i64::from(self.imm))
        }
    }

    /// Bytes that a load or store accesses.
    fn size(self) -> u8 {
        match self.opcode & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 8,
        }
    }
}

/// Decodes and links a program.
///
/// # Errors
/// The first instruction that breaks what the module promises.
pub fn decode(code: &Code, plan: &Plan) -> Result<Box<[Insn]>, Fault> {
    let fault = |insn, kind| Fault { insn, kind };
    let mut out = Vec::with_capacity(code.insns.len());
    let mut at = 0;
    while at < code.insns.len() {
        let unit = Unit::new(code.insns[at]);
        if unit.dst > 10 || unit.src > 10 {
            return Err(fault(at, FaultKind::Encoding("register above r10")));
        }
        if unit.opcode == 0x18 {
            let high = code
                .insns
                .get(at + 1)
                .map(|&raw| Unit::new(raw))
                .filter(|high| (high.opcode, high.dst, high.src, high.off) == (0, 0, 0, 0))
                .ok_or_else(|| fault(at, FaultKind::Encoding("LD_IMM64 without second half")))?;
            let value = load_imm(code, plan, at, unit, high).map_err(|kind| fault(at, kind))?;
            out.push(Insn::LoadImm { dst: unit.dst, value });
            out.push(Insn::SecondHalf);
            at += 2;
        } else {
            out.push(decode_one(unit, at, code.insns.len()).map_err(|kind| fault(at, kind))?);
            at += 1;
        }
    }
    check(&out)?;
    if let Some(stray) = code
        .relocs
        .iter()
        .find(|reloc| !matches!(out.get(reloc.insn), Some(Insn::LoadImm { .. })))
    {
        return Err(fault(stray.insn, FaultKind::Relocation));
    }
    Ok(out.into())
}

/// The value of an `LD_IMM64`: an address where there is a relocation.
fn load_imm(code: &Code, plan: &Plan, at: usize, low: Unit, high: Unit) -> Result<u64, FaultKind> {
    match code
        .relocs
        .iter()
        .find(|reloc| reloc.insn == at)
        .map(|reloc| reloc.target)
    {
        Some(RelocTarget::Map(id)) if (id.0 as usize) < plan.bpf_maps.len() => {
            Ok(Pointer::map(id.0 as usize))
        }
        Some(RelocTarget::Memory(offset)) if offset <= plan.memory.size => Ok(Pointer::memory(offset)),
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
    match unit.opcode & 0x07 {
        0x01 => match unit.opcode & 0xe0 {
            0x60 => Ok(load(unit, false)),
            0x80 if unit.size() < 8 => Ok(load(unit, true)),
            _ => Err(FaultKind::Encoding("unknown load")),
        },
        0x02 if unit.opcode & 0xe0 == 0x60 => Ok(store(unit, Src::Imm(i64::from(unit.imm)))),
        0x03 => match unit.opcode & 0xe0 {
            0x60 => Ok(store(unit, Src::Reg(unit.src))),
            0xc0 if unit.size() >= 4 => decode_atomic(unit),
            _ => Err(FaultKind::Encoding("unknown store")),
        },
        0x04 => decode_alu(unit, false),
        0x07 => decode_alu(unit, true),
        0x05 => decode_jump(unit, at, len, true),
        0x06 => decode_jump(unit, at, len, false),
        _ => Err(FaultKind::Encoding("unknown opcode")),
    }
}

fn load(unit: Unit, signed: bool) -> Insn {
    Insn::Load {
        dst: unit.dst,
        base: unit.src,
        off: unit.off,
        size: unit.size(),
        signed,
    }
}

fn store(unit: Unit, src: Src) -> Insn {
    Insn::Store {
        base: unit.dst,
        off: unit.off,
        size: unit.size(),
        src,
    }
}

fn decode_atomic(unit: Unit) -> Result<Insn, FaultKind> {
    let (op, fetch) = match unit.imm {
        0x00 => (Atomic::Add, false),
        0x01 => (Atomic::Add, true),
        0x40 => (Atomic::Or, false),
        0x41 => (Atomic::Or, true),
        0x50 => (Atomic::And, false),
        0x51 => (Atomic::And, true),
        0xa0 => (Atomic::Xor, false),
        0xa1 => (Atomic::Xor, true),
        0xe1 => (Atomic::Exchange, true),
        // Its result goes to r0, not to the source register.
        0xf1 => (Atomic::CompareExchange, false),
        _ => return Err(FaultKind::Encoding("unknown atomic operation")),
    };
    Ok(Insn::Atomic {
        op,
        fetch,
        base: unit.dst,
        off: unit.off,
        size: unit.size(),
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
            src: unit.operand(),
        })
    };
    let is_reg = unit.opcode & 0x08 != 0;
    match (unit.opcode >> 4, unit.off) {
        (0x0, 0) => binary(Alu::Add),
        (0x1, 0) => binary(Alu::Sub),
        (0x2, 0) => binary(Alu::Mul),
        (0x3, 0) => binary(Alu::Div),
        (0x3, 1) => binary(Alu::SDiv),
        (0x4, 0) => binary(Alu::Or),
        (0x5, 0) => binary(Alu::And),
        (0x6, 0) => binary(Alu::Lsh),
        (0x7, 0) => binary(Alu::Rsh),
        (0x8, 0) if !is_reg => Ok(Insn::Neg { wide, dst }),
        (0x9, 0) => binary(Alu::Mod),
        (0x9, 1) => binary(Alu::SMod),
        (0xa, 0) => binary(Alu::Xor),
        (0xb, 0) => binary(Alu::Mov),
        (0xb, 8 | 16 | 32) if is_reg && (wide || unit.off < 32) => Ok(Insn::MovSx {
            bits: unit.off as u8,
            wide,
            dst,
            src: unit.src,
        }),
        (0xc, 0) => binary(Alu::Arsh),
        (0xd, 0) if matches!(unit.imm, 16 | 32 | 64) && !(wide && is_reg) => {
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
            src: unit.operand(),
            target: to(i64::from(unit.off))?,
        })
    };
    match (unit.opcode >> 4, wide) {
        (0x0, true) if unit.opcode == 0x05 => Ok(Insn::Jump {
            target: to(i64::from(unit.off))?,
        }),
        (0x0, false) if unit.opcode == 0x06 => Ok(Insn::Jump {
            target: to(i64::from(unit.imm))?,
        }),
        (0x1, _) => branch(Cond::Eq),
        (0x2, _) => branch(Cond::Gt),
        (0x3, _) => branch(Cond::Ge),
        (0x4, _) => branch(Cond::Set),
        (0x5, _) => branch(Cond::Ne),
        (0x6, _) => branch(Cond::SGt),
        (0x7, _) => branch(Cond::SGe),
        (0x8, true) if unit.opcode == 0x85 && unit.src == 0 => u32::try_from(unit.imm)
            .ok()
            .and_then(Helper::by_number)
            .map(|helper| Insn::Call { helper })
            .ok_or(FaultKind::UnknownHelper(unit.imm)),
        (0x9, true) if unit.opcode == 0x95 => Ok(Insn::Exit),
        (0xa, _) => branch(Cond::Lt),
        (0xb, _) => branch(Cond::Le),
        (0xc, _) => branch(Cond::SLt),
        (0xd, _) => branch(Cond::SLe),
        _ => Err(FaultKind::Encoding("unknown jump")),
    }
}
