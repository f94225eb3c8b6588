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
    "io/report",
    "io/trace",
    "hdf5/attributes",
    "hdf5/chunks",
    "hdf5/collective",
    "hdf5/datasets",
    "hdf5/files",
    "hdf5/layers",
    "hdf5/metadata",
    "hdf5/sizes",
    "netcdf/files",
    "netcdf/sizes",
    "mpiio/aggregators",
    "mpiio/balance",
    "mpiio/collective",
    "mpiio/sizes",
    "mpiio/stragglers",
    "mpiio/views",
    "stdio/buffering",
    "stdio/sizes",
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
pub static MODULES: &[(&str, &str)] = modules![
    "hdf5",
    "hdf5-data",
    "hdf5-datasets",
    "mpi",
    "mpi-files",
    "mpi-io",
    "netcdf-data",
    "posix",
    "posix-data",
    "posix-metadata",
    "posix-opens",
    "posix-path-numbers",
    "posix-paths",
    "stdio",
    "stdio-data",
    "unused",
];
