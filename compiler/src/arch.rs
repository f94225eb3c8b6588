//! Calling conventions: where a probe's context holds arguments and results.

use crate::target::Arch;

/// Where `struct pt_regs` (x86-64: arch/x86/include/asm/ptrace.h) or `struct user_pt_regs` (AArch64:
/// arch/arm64/include/uapi/asm/ptrace.h) holds what a probe may ask for. Offsets in bytes; every register is 8 bytes.
#[derive(Debug)]
pub struct Convention {
    /// The registers that carry integer arguments, in order.
    pub args: &'static [i16],
    /// The register that carries the result.
    pub result: i16,
    /// The instruction pointer.
    pub ip: i16,
    /// The stack pointer.
    pub sp: i16,
    /// Size of the structure.
    pub size: u32,
}

/// System V AMD64 psABI, 3.2.3: rdi, rsi, rdx, rcx, r8, r9; result in rax.
static X86_64: Convention = Convention {
    args: &[112, 104, 96, 88, 72, 64],
    result: 80,
    ip: 128,
    sp: 152,
    size: 168,
};

/// AAPCS64, 6.4: x0 to x7; result in x0.
static AARCH64: Convention = Convention {
    args: &[0, 8, 16, 24, 32, 40, 48, 56],
    result: 0,
    ip: 256,
    sp: 248,
    size: 272,
};

/// Registers by the names that scripts use, and where the context holds them.
type Registers = &'static [(&'static str, i16)];

static X86_64_REGISTERS: Registers = &[
    ("r15", 0),
    ("r14", 8),
    ("r13", 16),
    ("r12", 24),
    ("bp", 32),
    ("bx", 40),
    ("r11", 48),
    ("r10", 56),
    ("r9", 64),
    ("r8", 72),
    ("ax", 80),
    ("cx", 88),
    ("dx", 96),
    ("si", 104),
    ("di", 112),
    ("orig_rax", 120),
    ("ip", 128),
    ("pc", 128),
    ("cs", 136),
    ("flags", 144),
    ("sp", 152),
    ("ss", 160),
];

static AARCH64_REGISTERS: Registers = &[
    ("r0", 0),
    ("r1", 8),
    ("r2", 16),
    ("r3", 24),
    ("r4", 32),
    ("r5", 40),
    ("r6", 48),
    ("r7", 56),
    ("r8", 64),
    ("r9", 72),
    ("r10", 80),
    ("r11", 88),
    ("r12", 96),
    ("r13", 104),
    ("r14", 112),
    ("r15", 120),
    ("r16", 128),
    ("r17", 136),
    ("r18", 144),
    ("r19", 152),
    ("r20", 160),
    ("r21", 168),
    ("r22", 176),
    ("r23", 184),
    ("r24", 192),
    ("r25", 200),
    ("r26", 208),
    ("r27", 216),
    ("r28", 224),
    ("r29", 232),
    ("r30", 240),
    ("sp", 248),
    ("pc", 256),
    ("ip", 256),
    ("pstate", 264),
];

impl Arch {
    /// Its registers and their offsets in a probe's context.
    pub fn registers(self) -> Registers {
        match self {
            Self::X86_64 => X86_64_REGISTERS,
            Self::Aarch64 => AARCH64_REGISTERS,
        }
    }

    /// Its calling convention.
    pub fn convention(self) -> &'static Convention {
        match self {
            Self::X86_64 => &X86_64,
            Self::Aarch64 => &AARCH64,
        }
    }
}
