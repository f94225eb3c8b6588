//! The intermediate representation: one function per program and its callbacks, in SSA form with block parameters.
//!
//! Everything is 64 bits wide: a [`Value`] is what one BPF register holds. Pointers are values; what they may point to
//! is the kernel verifier's business and is kept right by construction (see [`mod@verify`]). Aggregates (strings, tuples)
//! live in [`Slot`]s of memory and are handled by address.
//!
//! Invariants, checked by [`mod@verify`]: every value is defined once and dominates its uses; every block ends in one
//! terminator whose arguments match the target's parameters; operand counts match helpers; the entry block has no
//! parameters and is no jump's target.

use crate::helper::Helper;
use crate::plan::{BpfMapId, ProgramKind};
use crumbs_grammar::span::Span;

mod args;
mod builder;
pub mod cfg;
mod display;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;

pub use args::Args;
pub use builder::Builder;
pub use verify::{Verified, verify};

/// A 64-bit value, defined once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub u32);

/// A basic block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(pub u32);

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inst(pub u32);

/// A piece of memory that lives as long as the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// Index into [`Function::callbacks`] of the program's main function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallbackId(pub u32);

/// What a program's main function and its callbacks share, besides the program memory.
///
/// A callback gets the address of the *shared frame*, [`Function::shared_frame`] of the main function: the first word is
/// the address of the claimed scratch slot, the second the context. Everything else that two functions of a program use
/// is in slots with a [`SlotData::shared`] number, which are in that scratch slot: memory of which the kernel verifier
/// knows nothing, so that it need not follow a loop from one iteration to the next.
pub mod shared_frame {
    /// Bytes of it.
    pub const SIZE: u32 = 16;
    /// Where the address of the scratch slot is.
    pub const SCRATCH: i16 = 0;
    /// Where the context is.
    pub const CTX: i16 = 8;
}

/// What a function is in its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Where the program starts; its argument is the context.
    Main,
    /// Called by a helper for each iteration of a loop; gives 0 to go on and 1 to stop.
    Callback {
        /// Which argument, from 0, is the address of the shared frame.
        frame: u8,
        /// The function whose loop it is; `None` for the main function.
        caller: Option<CallbackId>,
    },
    /// Called by the program's other functions with numbers, and gives a number: what the kernel calls a global function,
    /// which it verifies once, whatever calls it. It knows neither the context nor slots of its callers, and calls none
    /// like it.
    Subprogram {
        /// How many arguments it has, at most 5.
        arguments: u8,
    },
}

/// A program in SSA form, or one of its callbacks.
#[derive(Clone, Debug)]
pub struct Function {
    /// The ELF symbol it will have.
    pub name: String,
    /// Decides what the context is.
    pub kind: ProgramKind,
    /// Where execution starts.
    pub entry: Block,
    /// All blocks; one that no other reaches is dead and ignored.
    pub blocks: Vec<BlockData>,
    /// All instructions.
    pub insts: Vec<InstData>,
    /// All slots.
    pub slots: Vec<SlotData>,
    /// How many values there are: every `Value(i)` has `i` below this.
    pub values: u32,
    /// What it is in its program.
    pub role: Role,
    /// Of a main function with callbacks: the slot of [`shared_frame`], which is always on the frame.
    pub shared_frame: Option<Slot>,
    /// Of a main function: all callbacks and subprograms of the program, by [`CallbackId`].
    pub callbacks: Vec<Function>,
}

/// What a block consists of.
#[derive(Clone, Debug)]
pub struct BlockData {
    /// Values that jumps hand over.
    pub params: Vec<Value>,
    /// Instructions in order.
    pub insts: Vec<Inst>,
    /// How it ends. `None` only while the block is under construction.
    pub terminator: Option<Terminator>,
    /// Where the terminator comes from.
    pub terminator_span: Span,
}

/// An instruction, its result and its place in the script.
#[derive(Clone, Copy, Debug)]
pub struct InstData {
    /// What it does.
    pub op: Op,
    /// What it defines. `None` for stores, atomics without result and helper calls whose result is not used.
    pub result: Option<Value>,
    /// The script text that it was made for.
    pub span: Span,
}

/// What a slot is.
#[derive(Clone, Copy, Debug)]
pub struct SlotData {
    /// Bytes; a multiple of 8. Slots are aligned to 8.
    pub size: u32,
    /// Where it lives.
    pub home: Home,
    /// Slots of the same number are the same memory in all functions of a program: numbered from 0.
    pub shared: Option<u32>,
}

/// Where a slot lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Not decided yet; the `place` pass does.
    Unplaced,
    /// On the program's stack frame of 512 bytes, at this offset from the frame pointer (negative).
    Frame(i16),
    /// At this offset of the scratch slot that the program has claimed. `place` rewrites [`Op::SlotAddr`] of these to
    /// arithmetic on the scratch base, so later stages do not meet them.
    Scratch(u32),
}

/// Width of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 1 byte.
    B1,
    /// 2 bytes.
    B2,
    /// 4 bytes.
    B4,
    /// 8 bytes.
    B8,
}

impl Width {
    /// In bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Self::B1 => 1,
            Self::B2 => 2,
            Self::B4 => 4,
            Self::B8 => 8,
        }
    }

    /// The width of `bytes` bytes, if that is a width.
    pub fn from_bytes(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::B1),
            2 => Some(Self::B2),
            4 => Some(Self::B4),
            8 => Some(Self::B8),
            _ => None,
        }
    }
}

/// Arithmetic on 64 bits, wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinOp {
    /// Addition; of a pointer and an integer too.
    Add,
    /// Subtraction.
    Sub,
    /// Multiplication.
    Mul,
    /// Unsigned division; by zero gives 0 (BPF ISA).
    UDiv,
    /// Unsigned remainder; by zero gives the dividend (BPF ISA).
    URem,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Shift left, by the low 6 bits.
    Shl,
    /// Logical shift right, by the low 6 bits.
    LShr,
    /// Arithmetic shift right, by the low 6 bits.
    AShr,
}

/// Comparison of 64-bit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cond {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned less.
    ULt,
    /// Unsigned less or equal.
    ULe,
    /// Unsigned greater.
    UGt,
    /// Unsigned greater or equal.
    UGe,
    /// Signed less.
    SLt,
    /// Signed less or equal.
    SLe,
    /// Signed greater.
    SGt,
    /// Signed greater or equal.
    SGe,
}

/// Atomic read-modify-write operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicOp {
    /// Add.
    Add,
    /// And.
    And,
    /// Or.
    Or,
    /// Exclusive or.
    Xor,
    /// Exchange; always fetches.
    Exchange,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A constant.
    Const(i64),
    /// Arithmetic.
    Bin(BinOp, Value, Value),
    /// Signed division by a constant other than 0 and -1, toward zero, or its remainder. Only for targets with
    /// [`crate::target::Feature::SignedDivision`].
    SignedDiv {
        /// The dividend.
        value: Value,
        /// The divisor.
        by: i32,
        /// The remainder rather than the quotient.
        remainder: bool,
    },
    /// The low `bits` (8, 16, 32) of a value, extended to 64.
    Extend {
        /// How many bits count.
        bits: u8,
        /// Sign- rather than zero-extended.
        signed: bool,
        /// The value.
        value: Value,
    },
    /// A comparison: 1 or 0.
    Cmp(Cond, Value, Value),
    /// Reads memory.
    Load {
        /// Where.
        addr: Value,
        /// Added to the address.
        offset: i16,
        /// How much.
        width: Width,
        /// Sign- rather than zero-extended.
        signed: bool,
    },
    /// Writes memory.
    Store {
        /// Where.
        addr: Value,
        /// Added to the address.
        offset: i16,
        /// How much.
        width: Width,
        /// What.
        value: Value,
    },
    /// Atomic read-modify-write of 8 bytes. Its result, if any, is the value before.
    Atomic {
        /// Which.
        op: AtomicOp,
        /// Where.
        addr: Value,
        /// Added to the address.
        offset: i16,
        /// The operand.
        value: Value,
    },
    /// Atomic compare-and-exchange of 8 bytes; its result is the value before.
    CompareExchange {
        /// Where.
        addr: Value,
        /// Added to the address.
        offset: i16,
        /// Stored only over this value.
        expected: Value,
        /// What is stored.
        new: Value,
    },
    /// The program's context pointer.
    Ctx,
    /// An argument of a callback or subprogram, from 0.
    Argument(u8),
    /// A callback, for a helper's argument.
    Callback(CallbackId),
    /// Reads the context. Kept apart from [`Op::Load`] because kernels before 7.2 accept context accesses only at
    /// constant offsets from the unmodified pointer.
    CtxLoad {
        /// Offset in the context.
        offset: i16,
        /// How much.
        width: Width,
        /// Sign- rather than zero-extended.
        signed: bool,
    },
    /// The address of byte `0` of the program memory plus a constant (see [`crate::plan::MemoryPlan`]).
    Memory(u32),
    /// A kernel map, for a helper's first argument.
    MapPtr(BpfMapId),
    /// The first or second map, by whether the selector is 0. One pseudo-instruction, so that no pass splits it.
    MapSelect {
        /// Which.
        selector: Value,
        /// The maps.
        maps: [BpfMapId; 2],
    },
    /// The address of a slot plus a constant.
    SlotAddr(Slot, u32),
    /// `base + (index & (count - 1)) * stride`, where the masked index is what the kernel verifier sees: one
    /// pseudo-instruction expanded after register allocation, because on 5.10 and 6.1 a bound does not survive a spill.
    ElementAddr {
        /// Address of element 0.
        base: Value,
        /// The index; never reaches `count` in a correct program.
        index: Value,
        /// A power of two.
        count: u32,
        /// Bytes an element.
        stride: u32,
    },
    /// Calls a helper; its result is `r0`.
    Call(Helper, Args),
    /// Calls a helper with one argument clamped to `max` (unsigned) in its argument register, immediately before the
    /// call: one pseudo-instruction, because the kernel verifier must see the bound of a size and on 5.10 and 6.1 a
    /// bound does not survive a spill.
    CallBounded {
        /// The helper.
        helper: Helper,
        /// Its arguments.
        args: Args,
        /// Which argument is clamped, from 0.
        bounded: u8,
        /// Its greatest value; fits a positive 32-bit immediate.
        max: u32,
    },
    /// Calls a subprogram with numbers; its result is a number.
    CallSubprogram(CallbackId, Args),
}

impl Op {
    /// The values it uses, in order.
    pub fn operands(&self) -> impl Iterator<Item = Value> + '_ {
        let (few, args) = match self {
            Self::Const(_)
            | Self::Ctx
            | Self::Argument(_)
            | Self::Callback(_)
            | Self::CtxLoad { .. }
            | Self::Memory(_)
            | Self::MapPtr(_)
            | Self::SlotAddr(..) => ([None; 3], &[][..]),
            Self::Bin(_, a, b) | Self::Cmp(_, a, b) => ([Some(*a), Some(*b), None], &[][..]),
            Self::Extend { value, .. } | Self::SignedDiv { value, .. } => {
                ([Some(*value), None, None], &[][..])
            }
            Self::Load { addr, .. } => ([Some(*addr), None, None], &[][..]),
            Self::Store { addr, value, .. } | Self::Atomic { addr, value, .. } => {
                ([Some(*addr), Some(*value), None], &[][..])
            }
            Self::CompareExchange {
                addr, expected, new, ..
            } => ([Some(*addr), Some(*expected), Some(*new)], &[][..]),
            Self::MapSelect { selector, .. } => ([Some(*selector), None, None], &[][..]),
            Self::ElementAddr { base, index, .. } => ([Some(*base), Some(*index), None], &[][..]),
            Self::Call(_, args) | Self::CallBounded { args, .. } | Self::CallSubprogram(_, args) => {
                ([None; 3], &args[..])
            }
        };
        few.into_iter().flatten().chain(args.iter().copied())
    }

    /// Applies `f` to every value it uses.
    pub fn map_operands(&mut self, mut f: impl FnMut(Value) -> Value) {
        match self {
            Self::Const(_)
            | Self::Ctx
            | Self::Argument(_)
            | Self::Callback(_)
            | Self::CtxLoad { .. }
            | Self::Memory(_)
            | Self::MapPtr(_)
            | Self::SlotAddr(..) => {}
            Self::Bin(_, a, b) | Self::Cmp(_, a, b) => {
                *a = f(*a);
                *b = f(*b);
            }
            Self::Extend { value, .. } | Self::SignedDiv { value, .. } => *value = f(*value),
            Self::Load { addr, .. } => *addr = f(*addr),
            Self::Store { addr, value, .. } | Self::Atomic { addr, value, .. } => {
                *addr = f(*addr);
                *value = f(*value);
            }
            Self::CompareExchange {
                addr, expected, new, ..
            } => {
                *addr = f(*addr);
                *expected = f(*expected);
                *new = f(*new);
            }
            Self::MapSelect { selector, .. } => *selector = f(*selector),
            Self::ElementAddr { base, index, .. } => {
                *base = f(*base);
                *index = f(*index);
            }
            Self::Call(_, args) | Self::CallBounded { args, .. } | Self::CallSubprogram(_, args) => {
                args.iter_mut().for_each(|a| *a = f(*a));
            }
        }
    }
}

/// A jump's target and what it hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The block.
    pub block: Block,
    /// Values for its parameters.
    pub args: Vec<Value>,
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// Goes on elsewhere.
    Jump(Target),
    /// Goes on at `then` if the comparison holds, else at `otherwise`.
    Branch {
        /// The comparison.
        cond: Cond,
        /// Its left side.
        a: Value,
        /// Its right side.
        b: Value,
        /// Where if it holds.
        then: Target,
        /// Where if not.
        otherwise: Target,
    },
    /// Ends the program with this value in `r0`.
    Return(Value),
}

impl Terminator {
    /// The targets, `then` first.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let (first, second) = match self {
            Self::Jump(target) => (Some(target), None),
            Self::Branch { then, otherwise, .. } => (Some(then), Some(otherwise)),
            Self::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Applies `f` to every value it uses, arguments included.
    pub fn map_operands(&mut self, mut f: impl FnMut(Value) -> Value) {
        match self {
            Self::Jump(target) => target.args.iter_mut().for_each(|a| *a = f(*a)),
            Self::Branch {
                a,
                b,
                then,
                otherwise,
                ..
            } => {
                *a = f(*a);
                *b = f(*b);
                then.args
                    .iter_mut()
                    .chain(&mut otherwise.args)
                    .for_each(|a| *a = f(*a));
            }
            Self::Return(value) => *value = f(*value),
        }
    }
}
