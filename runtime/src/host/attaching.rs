//! What attaching asks of the machine while a script is loaded and runs.

use super::elf::Image;
use super::{file_name, kernel_symbols, libraries, library_name};
use crumbs_compiler::glob::Glob;
use crumbs_compiler::target::{Arch, Function};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The functions of the file at `path` that are called `name`, or match it where it is a pattern, one for each place; if the short
/// name or pattern `library` can mean that file. Empty where it is no library of this machine.
pub(crate) fn functions_of_library(path: &Path, library: &str, name: &str) -> Vec<Function> {
    let pattern = Glob::new(library);
    let is_meant = match pattern.is_literal() {
        true => library_name::closeness(library, file_name(path)).is_some(),
        false => pattern.matches(file_name(path)),
    };
    let image = path
        .to_str()
        .filter(|_| is_meant)
        .map(|path| Image::open(path, own_arch()));
    let Some(Ok(image)) = image else {
        return Vec::new();
    };
    let names = Glob::new(name);
    let mut found = match names.is_literal() {
        true => image.functions_named(name).unwrap_or_default(),
        false => image.functions().unwrap_or_default(),
    };
    found.retain(|function| names.is_literal() || names.matches(&function.name) && !function.indirect);
    found.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
    found.dedup_by_key(|function| function.offset);
    found
}

/// Whether a file is a program that is linked statically, so that it loads no library.
pub fn is_static(program: &Path) -> bool {
    let image = program.to_str().map(|path| Image::open(path, own_arch()));
    matches!(image, Some(Ok(image)) if !image.has_interpreter())
}

fn own_arch() -> Arch {
    if cfg!(target_arch = "aarch64") {
        Arch::Aarch64
    } else {
        Arch::X86_64
    }
}

/// The addresses of functions of kernel modules, for those of `wanted` (module and name) that are there and not hidden.
pub(crate) fn module_functions(wanted: &HashSet<(&str, &str)>) -> HashMap<(String, String), u64> {
    kernel_symbols::module_functions(wanted)
}

/// What the compiler of the kernel made of a function of this name; see [`kernel_symbols`].
pub(crate) fn clones(name: &str) -> Vec<String> {
    kernel_symbols::clones(name)
}

/// The files that a process has mapped executable, as paths of this process's file system; empty where it does not show them.
pub(crate) fn mapped_by(pid: u32) -> Vec<PathBuf> {
    libraries::mapped_by(pid).unwrap_or_default()
}

/// A file as a process names it, as a path of this process's file system.
pub(crate) fn seen_from_here(pid: u32, path: &Path) -> PathBuf {
    libraries::foreign_root(pid).map_or(path.to_owned(), |root| libraries::beneath(&root, path))
}
