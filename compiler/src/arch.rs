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

impl Arch {
    /// Its calling convention.
    pub fn convention(self) -> &'static Convention {
        match self {
            Self::X86_64 => &X86_64,
            Self::Aarch64 => &AARCH64,
        }
    }
}
