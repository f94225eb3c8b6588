//! Runs compiled scripts: loads, attaches, reads maps and events, prints.

pub mod backend;
