//! From verified IR to BPF instructions.
//!
//! In: a [`Verified`] function. Out: a [`Program`] of the same meaning, whose frame and jumps are within what the
//! kernel takes. In between:
//!
//! | stage | module | from → to |
//! |---|---|---|
//! | select | [`select`] | an IR operation → machine operations with the sources of their operands |
//! | lower | [`lower`] | the function → machine blocks over virtual registers, critical edges split |
//! | allocate | `regalloc2` | virtual registers → registers and spill slots (checked by its checker in debug builds) |
//! | emit | [`emit`] | machine operations → instructions, pseudo-instructions expanded |
//! | lay out | [`layout`] | blocks → one sequence, what seldom runs ([`cold`]) behind the rest, jumps resolved |
//!
//! What is then left to decide is where the kernel keeps the frame ([`task_stack`]).
//!
//! What costs no more than a move (constants, addresses of slots, maps and program memory) is never kept for later: it
//! is made again where it is needed, so it is neither moved nor spilled. Only within a stretch without calls is a
//! constant in a register used twice.

use crate::bpf::{Program, Reg, RelocTarget};
use crate::ir::verify::FRAME;
use crate::ir::{Function, Role, Verified};
use crate::plan::BpfMapId;
use std::collections::BTreeSet;
use std::fmt;

mod cold;
mod emit;
mod layout;
mod lower;
mod machine;
mod select;
pub mod task_stack;

#[cfg(test)]
mod tests;

/// Why a function cannot become a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodegenError {
    /// Slots and spilled values need more than [`crate::ir::verify::FRAME`] bytes of stack. The caller can place slots
    /// elsewhere and try again.
    FrameTooLarge {
        /// Bytes needed.
        bytes: u32,
        /// Those of them that hold spilled values.
        spilled: u32,
    },
    /// A jump is longer than its 16 bits can say.
    JumpTooFar {
        /// Instructions of the program.
        instructions: usize,
    },
    /// The kernel verifier remembers every conditional jump on its way, and there are too many.
    TooManyBranches {
        /// How many.
        branches: usize,
    },
    /// The program refers to more kernel maps than one program may.
    TooManyMaps {
        /// How many.
        maps: usize,
    },
    /// The register allocator gave up or gave a wrong answer: a bug.
    Allocation(String),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLarge { bytes, .. } => {
                write!(f, "the program needs {bytes} bytes of stack and BPF has 512")
            }
            Self::JumpTooFar { instructions } => write!(
                f,
                "the program is too large: a jump among its {instructions} instructions is too long for BPF"
            ),
            Self::TooManyBranches { branches } => write!(
                f,
                "the program is too large: it takes {branches} decisions in a row, and kernels follow {MAX_BRANCHES}"
            ),
            Self::TooManyMaps { maps } => {
                write!(
                    f,
                    "the program uses {maps} kernel maps, and {MAX_MAPS} is the most for one program"
                )
            }
            Self::Allocation(reason) => write!(f, "register allocation failed: {reason}"),
        }
    }
}

impl std::error::Error for CodegenError {}

/// `BPF_COMPLEXITY_LIMIT_JMP_SEQ` of kernel/bpf/verifier.c: how many jumps the verifier remembers that it has not followed.
const MAX_BRANCHES: usize = 8192;

/// `MAX_USED_MAPS` of include/linux/bpf_verifier.h.
const MAX_MAPS: usize = 64;

/// Compiles a function.
///
/// # Errors
/// When it needs more stack, longer jumps or more maps than BPF has, or is longer than the kernel verifies.
pub fn compile(func: &Verified<Function>) -> Result<Program, CodegenError> {
    let (mut program, mut branches) = compile_one(func)?;
    for callback in &func.callbacks {
        let (callback, more) = compile_one(callback)?;
        program.callbacks.push(callback);
        branches += more;
    }
    check_chains(func, &program)?;
    if branches > MAX_BRANCHES {
        return Err(CodegenError::TooManyBranches { branches });
    }
    match used_maps(&program) {
        maps if maps > MAX_MAPS => Err(CodegenError::TooManyMaps { maps }),
        _ => Ok(program),
    }
}

/// How many kernel maps a program refers to; the program memory is one.
fn used_maps(program: &Program) -> usize {
    let all = [program].into_iter().chain(&program.callbacks);
    let maps: BTreeSet<Option<BpfMapId>> = all
        .flat_map(|program| &program.relocs)
        .filter_map(|reloc| match reloc.target {
            RelocTarget::Map(map) => Some(Some(map)),
            RelocTarget::Memory(_) => Some(None),
            RelocTarget::Callback(_) | RelocTarget::Subprogram(_) => None,
        })
        .collect();
    maps.len()
}

/// Checks what the kernel does of the stack (`check_max_stack_depth()`): the frames of a callback and of all that are
/// under way when it is called, each rounded up to 32, share the bytes of one.
fn check_chains(func: &Function, program: &Program) -> Result<(), CodegenError> {
    let rounded = |frame: u32| crate::types::align_to(frame.max(1), 32);
    // Callers come before their callbacks.
    let mut chains: Vec<u32> = Vec::new();
    let mut subprogram = 0;
    for (callback, code) in func.callbacks.iter().zip(&program.callbacks) {
        let above = match callback.role {
            Role::Subprogram { .. } => {
                // Whatever may call it.
                subprogram = subprogram.max(rounded(code.frame));
                0
            }
            Role::Callback { caller: Some(id), .. } => chains.get(id.0 as usize).copied().unwrap_or(0),
            _ => rounded(program.frame),
        };
        chains.push(above + rounded(code.frame));
    }
    if subprogram > 0 {
        let deepest = chains.iter().copied().fold(rounded(program.frame), u32::max);
        chains.push(deepest + subprogram);
    }
    match chains.into_iter().max() {
        Some(bytes) if bytes > FRAME => Err(CodegenError::FrameTooLarge { bytes, spilled: 0 }),
        _ => Ok(()),
    }
}

/// The program of a function, and how many conditional jumps are on its longest straight way.
fn compile_one(func: &Function) -> Result<(Program, usize), CodegenError> {
    let machine = lower::lower(func);
    let allocation = machine.allocate()?;
    let frame = emit::Frame::of(func, &allocation)?;
    let blocks = emit::emit(&machine, &allocation, &frame);
    let code = layout::lay_out(blocks)?;
    let program = Program {
        symbol: func.name.clone(),
        insns: code.insns,
        spans: code.spans,
        relocs: code.relocs,
        frame: frame.bytes,
        callbacks: Vec::new(),
        arguments: match func.role {
            Role::Subprogram { arguments } => Some(arguments),
            Role::Main | Role::Callback { .. } => None,
        },
    };
    Ok((program, code.branches))
}

/// The register of a helper's argument, from 0.
fn argument(index: usize) -> Reg {
    Reg(index as u8 + 1)
}

/// Where results of helpers and of programs are.
const RESULT: Reg = Reg(0);
