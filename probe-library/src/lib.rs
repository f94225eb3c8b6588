//! The shipped probe scripts, embedded.

/// The modules that scripts import by name (`import "posix"`): the name and the text of each.
pub static MODULES: &[(&str, &str)] = &[];
