//! Compiler of the crumbs language.
