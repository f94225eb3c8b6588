//! Nothing is lost without being counted and shown.
//!
//! | module | what it shows |
//! |---|---|
//! | `within` | within the capacity of maps, what scripts show is what the target did |
//! | `beyond` | beyond it, what they show and what they say was lost add up to it |
//! | `planted` | the same tests fail where updates are not atomic, scratch slots are shared, maps are read and then emptied, or refused control events are forgotten |
//! | `interleaved` | on the user-space VM: in every order in which runs that preempt each other can go on, the numbers are right |
//! | `simulated` | on the user-space VM: what is rare on a kernel, and what must come in one order |
//!
//! The first three run on a kernel, as root, and their names start with `live_`. On a machine that emulates another,
//! `CRUMBS_EXACTNESS_CALLS` sets how many calls each of the target's threads makes, and `CRUMBS_EXACTNESS_TARGET`
//! names the target where there is no compiler.
#![expect(clippy::unwrap_used, reason = "tests")]

mod beyond;
#[path = "../differential/bytecode_rmw.rs"]
mod bytecode_rmw;
mod faults;
mod interleaved;
mod observe;
mod planted;
mod simulated;
mod truth;
mod within;
