//! Compiler of the crumbs language: from a script's syntax tree to eBPF and the plan to run it by.
//!
//! A pure function of source, options and [`target::Target`]: no file, clock, process or network is touched here.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests use files, clocks and processes")
)]

pub mod aggregation;
pub mod arch;
pub mod bpf;
pub mod builtin;
pub mod c;
pub mod check;
pub mod codegen;
pub mod codes;
pub mod config;
pub mod ctype;
pub mod decimal;
pub mod driver;
pub mod expand;
pub mod format;
pub mod function;
pub mod glob;
pub mod helper;
pub mod hir;
pub mod ir;
pub mod layout;
pub mod lower;
pub mod merging;
pub mod not_taken;
pub mod object;
pub mod opt;
pub mod options;
pub mod place;
pub mod plan;
pub mod probe_kind;
pub mod probe_value;
pub mod reference;
pub mod shown;
pub mod signature;
pub mod similar;
pub mod target;
pub mod types;
pub mod usdt;
pub mod view;
pub mod visit;
pub mod work;
pub mod workers;
