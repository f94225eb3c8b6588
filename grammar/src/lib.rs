//! Tokens, grammar and syntax tree of the crumbs language.
//!
//! In: the text of a script. Out: an [`ast::Script`] and the [`diagnostic::Diagnostic`]s met on the way.
//! This crate knows syntax only: no builtin, probe kind or type is known here by name.

pub mod ast;
pub mod diagnostic;
pub mod span;
