//! Runs compiled scripts: loads, attaches, reads maps and events, prints.

pub mod backend;
pub mod child;
#[cfg(test)]
mod fake;
pub mod host;
pub mod kernel;
pub mod results;
pub mod session;
pub mod show;
pub mod snapshot;
pub mod symbols;
pub mod sys;
pub mod sys_time;
pub mod value;
pub mod vm;
mod words;
