//! BPF machine code: instructions, what they refer to, and where they come from.
//!
//! Encoding after `Documentation/bpf/standardization/instruction-set.rst` of the Linux kernel. Every [`Insn`] is 8
//! bytes; a load of a 64-bit immediate takes two, the second of which has opcode 0.

use crate::plan::BpfMapId;
use crumbs_grammar::span::Span;

pub mod disasm;

/// A register: `r0` (results) to `r9`, and the frame pointer `r10`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u8);

impl Reg {
    /// The frame pointer; cannot be written.
    pub const FP: Self = Self(10);
}

impl std::fmt::Debug for Reg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// Opcode fields, named as in `include/uapi/linux/bpf.h`.
#[expect(missing_docs, reason = "the kernel header documents each by its name")]
pub mod op {
    // Instruction classes: the low three bits.
    pub const LD: u8 = 0x00;
    pub const LDX: u8 = 0x01;
    pub const ST: u8 = 0x02;
    pub const STX: u8 = 0x03;
    pub const ALU: u8 = 0x04;
    pub const JMP: u8 = 0x05;
    pub const JMP32: u8 = 0x06;
    pub const ALU64: u8 = 0x07;
    // Operand of ALU and JMP: immediate or register.
    pub const K: u8 = 0x00;
    pub const X: u8 = 0x08;
    // Access sizes.
    pub const W: u8 = 0x00;
    pub const H: u8 = 0x08;
    pub const B: u8 = 0x10;
    pub const DW: u8 = 0x18;
    // Access modes.
    pub const IMM: u8 = 0x00;
    pub const MEM: u8 = 0x60;
    pub const MEMSX: u8 = 0x80;
    pub const ATOMIC: u8 = 0xc0;
    // Arithmetic.
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    // Jumps.
    pub const JA: u8 = 0x00;
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const CALL: u8 = 0x80;
    pub const EXIT: u8 = 0x90;
    /// `BPF_PSEUDO_CALL`: the source register of a call of a function of the program.
    pub const PSEUDO_CALL: u8 = 1;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
    // Atomic operations: the immediate.
    pub const FETCH: i32 = 0x01;
    pub const XCHG: i32 = 0xe0 | FETCH;
    pub const CMPXCHG: i32 = 0xf0 | FETCH;
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Insn {
    /// Class, operation and mode.
    pub code: u8,
    /// Destination register.
    pub dst: u8,
    /// Source register.
    pub src: u8,
    /// Offset of an access, bytes; distance of a jump, instructions behind the next one.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl Insn {
    /// Its 8 bytes in little-endian order: registers share a byte, the destination in the low half.
    pub fn to_bytes(self) -> [u8; 8] {
        let [o0, o1] = self.off.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [self.code, self.dst & 15 | self.src << 4, o0, o1, i0, i1, i2, i3]
    }

    /// The instruction of 8 bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        Self {
            code,
            dst: regs & 15,
            src: regs >> 4,
            off: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// Its class.
    pub fn class(self) -> u8 {
        self.code & 7
    }

    /// Whether it is the first half of a load of a 64-bit immediate.
    pub fn is_wide(self) -> bool {
        self.code == op::LD | op::IMM | op::DW
    }

    /// `dst = dst OP imm`; `code` is class and operation.
    pub fn alu_imm(code: u8, dst: Reg, imm: i32) -> Self {
        Self {
            code: code | op::K,
            dst: dst.0,
            imm,
            ..Self::default()
        }
    }

    /// `dst = dst OP src`; `code` is class and operation.
    pub fn alu_reg(code: u8, dst: Reg, src: Reg) -> Self {
        Self {
            code: code | op::X,
            dst: dst.0,
            src: src.0,
            ..Self::default()
        }
    }

    /// `dst = src`.
    pub fn mov(dst: Reg, src: Reg) -> Self {
        Self::alu_reg(op::ALU64 | op::MOV, dst, src)
    }

    /// `dst = imm`, sign-extended.
    pub fn mov_imm(dst: Reg, imm: i32) -> Self {
        Self::alu_imm(op::ALU64 | op::MOV, dst, imm)
    }

    /// `dst = value` in two instructions; `src` is 0 or one of the kernel's `BPF_PSEUDO_*`.
    pub fn wide(dst: Reg, src: u8, value: u64) -> [Self; 2] {
        [
            Self {
                code: op::LD | op::IMM | op::DW,
                dst: dst.0,
                src,
                imm: value as i32,
                ..Self::default()
            },
            Self {
                imm: (value >> 32) as i32,
                ..Self::default()
            },
        ]
    }

    /// `dst = *(size *)(src + off)`.
    pub fn load(size: u8, dst: Reg, src: Reg, off: i16) -> Self {
        Self {
            code: op::LDX | op::MEM | size,
            dst: dst.0,
            src: src.0,
            off,
            imm: 0,
        }
    }

    /// `*(size *)(dst + off) = src`.
    pub fn store(size: u8, dst: Reg, off: i16, src: Reg) -> Self {
        Self {
            code: op::STX | op::MEM | size,
            dst: dst.0,
            src: src.0,
            off,
            imm: 0,
        }
    }

    /// `*(size *)(dst + off) = imm`, sign-extended to 64 bits and cut to size.
    pub fn store_imm(size: u8, dst: Reg, off: i16, imm: i32) -> Self {
        Self {
            code: op::ST | op::MEM | size,
            dst: dst.0,
            src: 0,
            off,
            imm,
        }
    }

    /// An atomic operation on `*(u64 *)(dst + off)` with `src`.
    pub fn atomic(operation: i32, dst: Reg, off: i16, src: Reg) -> Self {
        Self {
            code: op::STX | op::ATOMIC | op::DW,
            dst: dst.0,
            src: src.0,
            off,
            imm: operation,
        }
    }

    /// `if dst COND src goto +off`; `code` is class and condition.
    pub fn jump_reg(code: u8, dst: Reg, src: Reg, off: i16) -> Self {
        Self {
            off,
            ..Self::alu_reg(code, dst, src)
        }
    }

    /// `if dst COND imm goto +off`; `code` is class and condition.
    pub fn jump_imm(code: u8, dst: Reg, imm: i32, off: i16) -> Self {
        Self {
            off,
            ..Self::alu_imm(code, dst, imm)
        }
    }

    /// `goto +off`.
    pub fn goto(off: i16) -> Self {
        Self {
            code: op::JMP | op::JA,
            off,
            ..Self::default()
        }
    }

    /// Calls helper `number`.
    pub fn call(number: u32) -> Self {
        Self {
            code: op::JMP | op::CALL,
            imm: number as i32,
            ..Self::default()
        }
    }

    /// Calls a function of the program, which is still to be filled in: counted from the next instruction, as a linker wants
    /// it.
    pub fn call_function() -> Self {
        Self {
            code: op::JMP | op::CALL,
            src: op::PSEUDO_CALL,
            imm: -1,
            ..Self::default()
        }
    }

    /// Ends the program.
    pub fn exit() -> Self {
        Self {
            code: op::JMP | op::EXIT,
            ..Self::default()
        }
    }
}

/// What a load of a 64-bit immediate will hold once the program is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocTarget {
    /// A kernel map.
    Map(BpfMapId),
    /// The address of this byte of the program memory. The immediate holds the same offset.
    Memory(u32),
    /// The function of this index in [`Program::callbacks`] of the program.
    Callback(u32),
    /// The same function, in an instruction that calls it.
    Subprogram(u32),
}

/// A place that loaders fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Index of the call, or of the first half of the load.
    pub insn: usize,
    /// With what.
    pub target: RelocTarget,
}

/// A program ready to be written to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its ELF symbol.
    pub symbol: String,
    /// Its code.
    pub insns: Vec<Insn>,
    /// Where each instruction comes from; as long as `insns`.
    pub spans: Vec<Span>,
    /// Places to fill in, by ascending instruction.
    pub relocs: Vec<Reloc>,
    /// Bytes of stack frame that it uses.
    pub frame: u32,
    /// Functions that helpers call for it, and those that it calls itself. They have none of their own: they refer to these
    /// too.
    pub callbacks: Vec<Program>,
    /// Of a function that is called with numbers ([`crate::ir::Role::Subprogram`]), how many; `None` of all others.
    pub arguments: Option<u8>,
}

impl Program {
    /// What the load at index `insn` will hold, if it is a place to fill in.
    pub fn reloc(&self, insn: usize) -> Option<RelocTarget> {
        let i = self.relocs.binary_search_by_key(&insn, |r| r.insn).ok()?;
        Some(self.relocs[i].target)
    }
}
