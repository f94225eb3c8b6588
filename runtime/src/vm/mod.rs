//! The user-space VM: runs compiled scripts on synthetic events, with no kernel and no privilege.
//!
//! In come a plan, the bytecode of its programs and a text of events; out go maps, memory and rings through
//! [`crate::backend::Backend`], so that the session and all printing work as they do over the kernel. Everything is
//! deterministic: clock, random numbers, and, for tests of races, the order in which preempted programs go on.
//!
//! | module | what it is |
//! |---|---|
//! | [`insn`], [`alu`] | instruction decoding and arithmetic (RFC 9669) |
//! | [`mod@pointer`] | what addresses look like |
//! | [`machine`], `helpers` | the interpreter |
//! | [`hash`], [`ring`] | maps |
//! | [`event`], [`context`] | what happens, and what programs see of it |
//! | [`backend`] | the back end |
//! | [`schedule`] | interleavings |
//!
//! Not modelled: kfuncs, locks that make the kernel refuse nested map updates (`-EBUSY`),
//! and the kernel's recycling of removed elements that are still pointed to.

pub mod alu;
pub mod backend;
mod calls;
pub mod context;
pub mod event;
pub mod fault;
pub mod hash;
mod helpers;
pub mod insn;
pub mod machine;
pub mod pointer;
pub mod ring;
pub mod schedule;

pub use backend::VmBackend;
pub use event::Event;
pub use fault::{Fault, FaultKind};
pub use machine::{Machine, Program, Run, Start, Step};

#[cfg(test)]
mod tests;
