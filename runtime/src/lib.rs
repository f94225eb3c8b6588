//! Runs compiled scripts: loads, attaches, reads maps and events, prints.

pub mod backend;
#[cfg(test)]
mod fake;
pub mod session;
pub mod show;
pub mod snapshot;
pub mod sys_time;
pub mod value;
