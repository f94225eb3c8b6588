//! What the VM refuses to do, and where.

use crumbs_compiler::helper::Helper;
use std::fmt;

/// A program did something that no correct program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The instruction at fault, counted in 8-byte units from the program's start.
    pub insn: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// How memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read; stack bytes must have been written before.
    Read,
    /// Written.
    Write,
    /// Read and written at once.
    Atomic,
}

/// The kinds of [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The bytes are no instruction, or one that the VM does not know.
    Encoding(&'static str),
    /// A jump leaves the program or goes into the middle of an instruction.
    JumpOutside,
    /// A program memory reference or map number that the plan does not have.
    Relocation,
    /// An access that is not within one object the program may touch.
    OutOfBounds {
        /// The address.
        address: u64,
        /// Bytes accessed.
        size: usize,
        /// How.
        access: Access,
    },
    /// A write to the context.
    ReadOnly,
    /// A context access through a pointer that was computed, which kernels before 7.2 reject.
    ModifiedContextPointer,
    /// An access to stack or context, or an atomic one, not aligned to its size.
    Misaligned {
        /// The address.
        address: u64,
        /// Bytes accessed.
        size: usize,
    },
    /// A read of a register that nothing was written to, or that a call has clobbered.
    UninitializedRegister(u8),
    /// A read of a stack byte that nothing was written to.
    UninitializedStack {
        /// Offset from the frame pointer, negative.
        offset: i64,
    },
    /// A call of a helper number that is not in [`crumbs_compiler::helper::HELPERS`].
    UnknownHelper(i32),
    /// An argument that does not fit the helper's prototype.
    Argument {
        /// The helper.
        helper: Helper,
        /// The argument, counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A helper that only sleepable programs may call, in one that is not.
    NotSleepable(Helper),
    /// The program ended with a ring buffer record neither submitted nor discarded.
    RecordHeld,
    /// A callback gave neither 0 nor 1.
    CallbackResult,
    /// More functions are under way at once than the kernel allows.
    TooDeep,
    /// More instructions of one call were executed than [`super::Machine::BUDGET`].
    Budget,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}: {}", self.insn, self.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding(what) => f.write_str(what),
            Self::JumpOutside => f.write_str("jump out of the program or into an instruction's middle"),
            Self::Relocation => f.write_str("relocation against something that the plan does not have"),
            Self::OutOfBounds {
                address,
                size,
                access,
            } => {
                let access = match access {
                    Access::Read => "read",
                    Access::Write => "write",
                    Access::Atomic => "atomic access",
                };
                write!(f, "{size}-byte {access} out of bounds at {address:#x}")
            }
            Self::ReadOnly => f.write_str("write to the context"),
            Self::ModifiedContextPointer => f.write_str("context access through a computed pointer"),
            Self::Misaligned { address, size } => {
                write!(f, "{size}-byte access misaligned at {address:#x}")
            }
            Self::UninitializedRegister(number) => write!(f, "r{number} is read but was never written"),
            Self::UninitializedStack { offset } => {
                write!(f, "stack byte r10{offset} is read but was never written")
            }
            Self::UnknownHelper(number) => write!(f, "helper {number} is not known"),
            Self::Argument {
                helper,
                number,
                reason,
            } => {
                write!(f, "{}: argument {number} {reason}", helper.row().name)
            }
            Self::NotSleepable(helper) => {
                write!(f, "{} in a program that may not sleep", helper.row().name)
            }
            Self::RecordHeld => f.write_str("a ring buffer record is still reserved at exit"),
            Self::CallbackResult => f.write_str("a callback gave neither 0 nor 1"),
            Self::TooDeep => f.write_str("too many functions are under way at once"),
            Self::Budget => f.write_str("the program does not end"),
        }
    }
}

impl std::error::Error for Fault {}
