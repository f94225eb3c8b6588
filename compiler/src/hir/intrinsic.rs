//! What programs compute beyond operators: one row of [`Intrinsic`] for each thing that no other expression can say.
//!
//! An intrinsic has a list of arguments, whose types the row states, and the type of its [`super::Expr`].

/// Which, for [`super::ExprKind::Intrinsic`]. In brackets: its arguments, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intrinsic {
    /// `[] → uint32`: the process id in the initial pid namespace.
    InitialPid,
    /// `[] → uint32`: the thread id in the initial pid namespace.
    InitialTid,
    /// `[] → uint64`: a clock, in nanoseconds.
    Clock(Clock),
    /// `[] → uint8`: 1 where the processor was interrupted in user mode, else 0 (x86-64 only).
    UserMode,
    /// `[number] → the same type`: its bytes in reverse order.
    ByteSwap,
    /// `[int64] → int64`: without its sign.
    Magnitude,
    /// `[address, length: uint64] → buffer[n]`: the `min(length, n)` bytes at an address; the pointer's space says which
    /// memory. Where they cannot be read they are zeros, and that is counted.
    ReadBuffer,
    /// `[value, length: uint64] → buffer[n]`: the first `min(length, n)` bytes of a value's memory, in which text is
    /// followed by NULs up to its capacity; `n` is at most its size.
    BufferOf,
    /// `[family: uint64, address: integer, array or bytes] → inet`: an address of this family (`AF_INET`, `AF_INET6`).
    /// Of a number the low 4 bytes in memory order, of anything else its bytes, 16 at most.
    InternetAddress,
    /// `[] → kstack_t or ustack_t`: the calls that led here, at most as many as the type says; none where they cannot be
    /// had.
    Stack,
    /// `[kstack_t or ustack_t] → int64`: how many frames there are.
    Frames,
    /// `[address: uint64] → usym_t`: the address, and the process that runs.
    UserAddress,
    /// `[] → uint64`: the 8 bytes at an offset of the context, a register.
    Register(i16),
    /// `[] → pointer to kernel memory`: the address of the context.
    Context,
    /// `[pointer, array or bytes] → macaddr_t`: six bytes at an address or of a value.
    MacAddress,
    /// `[address] → (uint64, string[n][m])`: the strings at the addresses of an array, up to an address of 0 and at most
    /// `m`, and how many they are. What is behind the last may be anything. The pointer's space says which memory.
    ReadStrings,
    /// `[text] → uint64`: how many bytes text has.
    TextLength,
    /// `[text, text] → int64`: where the first text contains the second one first, from 0; -1 where it does not. Empty text
    /// is in every text at 0.
    FindText,
    /// `[text, text] → text`: one behind the other, cut to the type's capacity.
    ConcatText,
    /// `[value, value, literal n] → int64`: the first byte of the first value that differs from that of the second, less
    /// the second's, as unsigned numbers; 0 where the first `n` bytes are equal. Both have `n` bytes; the bytes of a
    /// buffer are those that were read.
    CompareBytes,
    /// `[uint32] → nothing`: sends a signal to the current process.
    SendSignal,
    /// `[uint32] → nothing`: sends a signal to the current thread.
    SendSignalThread,
    /// `[uint64] → nothing`: the traced kernel function returns this and does not run.
    OverrideReturn,
    /// `[address, buffer[n]] → nothing`: writes the buffer's `n` bytes to the process's memory.
    WriteUser,
    /// `[uint64] → nothing`: counts so many calls of traced functions that were not measured
    /// ([`crate::plan::LossKind::Calls`]).
    CountLostCalls,
    /// `[format, up to 3 scalars or texts] → nothing`: writes formatted text to the kernel's trace.
    TracePrintk,
}

/// A clock of the kernel other than the boot clock, which is the builtin `nsecs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`.
    Monotonic,
    /// `CLOCK_TAI`.
    Tai,
}

impl Intrinsic {
    /// What listings call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InitialPid => "initial pid",
            Self::InitialTid => "initial tid",
            Self::Clock(Clock::Monotonic) => "monotonic clock",
            Self::Clock(Clock::Tai) => "TAI clock",
            Self::UserMode => "user mode",
            Self::ByteSwap => "byte swap",
            Self::Magnitude => "magnitude",
            Self::ReadBuffer => "read buffer",
            Self::BufferOf => "buffer of",
            Self::InternetAddress => "internet address",
            Self::Stack => "stack",
            Self::Frames => "frames",
            Self::UserAddress => "user address",
            Self::Register(_) => "register",
            Self::Context => "context",
            Self::MacAddress => "MAC address",
            Self::ReadStrings => "read strings",
            Self::TextLength => "text length",
            Self::FindText => "find text",
            Self::ConcatText => "concat text",
            Self::CompareBytes => "compare bytes",
            Self::SendSignal => "send signal",
            Self::SendSignalThread => "send signal to thread",
            Self::OverrideReturn => "override return",
            Self::WriteUser => "write user",
            Self::CountLostCalls => "count lost calls",
            Self::TracePrintk => "trace printk",
        }
    }

    /// Whether evaluating it changes something.
    pub fn has_effects(self) -> bool {
        matches!(
            self,
            Self::SendSignal
                | Self::SendSignalThread
                | Self::OverrideReturn
                | Self::WriteUser
                | Self::CountLostCalls
                | Self::TracePrintk
        )
    }
}
