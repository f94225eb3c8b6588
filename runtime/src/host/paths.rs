//! Files by pattern and search path.

use super::reach;
use crumbs_compiler::glob::Glob;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// The most files that a pattern means: beyond, it is not meant.
const MAX_MATCHES: usize = 10_000;

/// The directories of a search path; an empty one is the current directory.
pub(crate) fn split(path: &OsStr) -> Vec<PathBuf> {
    let directory = |part: &[u8]| {
        PathBuf::from(if part.is_empty() {
            OsStr::new(".")
        } else {
            OsStr::from_bytes(part)
        })
    };
    path.as_bytes()
        .split(|byte| *byte == b':')
        .map(directory)
        .collect()
}

/// The path without links. One that leads into another process's root stays as it is: its links mean something else
/// from here.
pub(crate) fn resolve(path: PathBuf) -> io::Result<PathBuf> {
    if reach::is_foreign(&path) {
        reach::metadata(&path).map(|_| path)
    } else {
        fs::canonicalize(path)
    }
}

/// Whether it is a file that may be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    reach::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The paths in a directory, sorted; empty where it cannot be read.
pub(crate) fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut paths = reach::paths_in(directory);
    paths.sort_unstable();
    paths
}

/// The regular files that a path with `*` means, sorted, each once: of several paths to one file the one that is no link,
/// else the first. `*` stays within one name, and does not stand for the dot that hides a file.
pub(crate) fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut reached = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = match component {
            Component::Normal(name) => name.to_string_lossy(),
            other => {
                reached.iter_mut().for_each(|path| path.push(other));
                continue;
            }
        };
        let glob = Glob::new(&name);
        if glob.is_literal() {
            reached.iter_mut().for_each(|path| path.push(&*name));
            continue;
        }
        let hidden = name.starts_with('.');
        let wanted = |file: &OsString| {
            let file = file.to_string_lossy();
            (hidden || !file.starts_with('.')) && glob.matches(&file)
        };
        reached = reached
            .iter()
            .flat_map(|path| {
                files_in(if path.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    path
                })
            })
            .filter(|path| path.file_name().is_some_and(|name| wanted(&name.to_owned())))
            .take(MAX_MATCHES)
            .collect();
    }
    let mut found: Vec<(PathBuf, bool, PathBuf)> = reached
        .into_iter()
        .filter(|path| reach::is_file(path))
        .filter_map(|path| Some((resolve(path.clone()).ok()?, path.is_symlink(), path)))
        .collect();
    found.sort_unstable();
    found.dedup_by(|next, known| next.0 == known.0);
    let mut found: Vec<PathBuf> = found.into_iter().map(|(_, _, path)| path).collect();
    found.sort_unstable();
    found
}
