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
//! | lay out | [`layout`] | blocks → one sequence, jumps resolved |
//!
//! What is then left to decide is where the kernel keeps the frame ([`task_stack`]).
//!
//! What costs no more than a move (constants, addresses of slots, maps and program memory) is never kept for later: it
//! is made again where it is needed, so it is neither moved nor spilled. Only within a stretch without calls is a
//! constant in a register used twice.

use crate::bpf::{Program, Reg};
use crate::ir::verify::FRAME;
use crate::ir::{Function, Role, Verified};
use std::fmt;

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
            Self::Allocation(reason) => write!(f, "register allocation failed: {reason}"),
        }
    }
}

impl std::error::Error for CodegenError {}

/// Compiles a function.
///
/// # Errors
/// When it needs more stack or longer jumps than BPF has.
pub fn compile(func: &Verified<Function>) -> Result<Program, CodegenError> {
    let mut program = compile_one(func)?;
    program.callbacks = func.callbacks.iter().map(compile_one).collect::<Result<_, _>>()?;
    check_chains(func, &program)?;
    Ok(program)
}

/// Checks what the kernel does of the stack (`check_max_stack_depth()`): the frames of a callback and of all that are
/// under way when it is called, each rounded up to 32, share the bytes of one.
fn check_chains(func: &Function, program: &Program) -> Result<(), CodegenError> {
    let rounded = |frame: u32| crate::types::align_to(frame.max(1), 32);
    // Callers come before their callbacks.
    let mut chains: Vec<u32> = Vec::new();
    for (callback, code) in func.callbacks.iter().zip(&program.callbacks) {
        let above = match callback.role {
            Role::Callback { caller: Some(id), .. } => chains.get(id.0 as usize).copied().unwrap_or(0),
            _ => rounded(program.frame),
        };
        chains.push(above + rounded(code.frame));
    }
    match chains.into_iter().max() {
        Some(bytes) if bytes > FRAME => Err(CodegenError::FrameTooLarge { bytes, spilled: 0 }),
        _ => Ok(()),
    }
}

fn compile_one(func: &Function) -> Result<Program, CodegenError> {
    let machine = lower::lower(func);
    let allocation = machine.allocate()?;
    let frame = emit::Frame::of(func, &allocation)?;
    let blocks = emit::emit(&machine, &allocation, &frame);
    let code = layout::lay_out(blocks)?;
    Ok(Program {
        symbol: func.name.clone(),
        insns: code.insns,
        spans: code.spans,
        relocs: code.relocs,
        frame: frame.bytes,
        callbacks: Vec::new(),
    })
}

/// The register of a helper's argument, from 0.
fn argument(index: usize) -> Reg {
    Reg(index as u8 + 1)
}

/// Where results of helpers and of programs are.
const RESULT: Reg = Reg(0);
