//! The texts. A test compares these lists with the directories.

use crate::Script;

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        &[$(Script { name: $name, text: include_str!(concat!("../", $name, ".crumbs")) }),*]
    };
}

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../shared/", $name, ".crumbs")))),*]
    };
}

/// Every shipped script, by family and name.
pub static SCRIPTS: &[Script] = scripts![
    "posix/alignment",
    "posix/files",
    "posix/latency",
    "posix/metadata",
    "posix/mmap",
    "posix/seeks",
    "posix/sizes",
    "posix/small",
    "posix/switches",
    "posix/sync",
];

/// What scripts import by name (`import "posix"`): name and text of each.
pub static MODULES: &[(&str, &str)] = modules!["posix", "posix-data", "posix-opens",];
