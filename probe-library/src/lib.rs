//! The shipped probe scripts, embedded.
