//! The IR's own checker.
