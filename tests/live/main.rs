//! What a user sees on a real kernel: every test runs the built `crumbs` against a program of known behaviour and compares
//! the exact text, numbers and exit status. Where that is impossible (no root, no BPF, no compiler) a test prints
//! `skipped: REASON` and passes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod aggregations;
mod bad_input;
mod builtins;
mod calls;
mod cheapest;
mod described;
mod environment;
mod examples;
mod files;
mod functions;
mod hostile;
mod json;
mod kernel_types;
mod kinds;
mod loops;
mod losses;
mod operators;
mod options;
mod privileges;
mod probes;
mod process;
mod series;
mod shapes;
mod signals;
mod stacks;
mod support;
mod symbols;
mod told;
mod user_code;
mod versions;
mod waiting;
mod words;
