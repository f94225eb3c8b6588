//! Readers of what other users write, each as a function of bytes: what the fuzz targets (`fuzz/`) cannot reach through
//! [`HostTarget`](super::HostTarget) without a process or the machine's own files.
//!
//! In: any bytes. Out: what makes sense in them. No panic, and nothing is opened.

use super::{ld_cache, libraries};
use crumbs_compiler::target::Arch;
use std::path::PathBuf;

/// The executable files that a text such as `/proc/PID/maps` names, as it names them.
pub fn mapped_files(maps: &[u8]) -> Vec<PathBuf> {
    libraries::parse_maps(maps)
}

/// Names and paths of the libraries that a file such as `/etc/ld.so.cache` lists for a processor.
pub fn cached_libraries(cache: &[u8], arch: Arch) -> Vec<(String, String)> {
    let entries = ld_cache::parse(cache, arch).into_iter();
    let texts = entries.filter_map(|entry| Some((entry.name()?.to_owned(), entry.path()?.to_owned())));
    texts.collect()
}
