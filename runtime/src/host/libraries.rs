//! Which files a program loads, and which a short name means.
//!
//! In: the traced process or program, what the dynamic loader is told, and a name. Out: paths, as ld.so(8) would find
//! them. The bounds hold for programs of any make: at most [`MAX_LOADED`] files are opened.

use super::elf::{Dynamic, Image};
use super::ld_cache;
use super::library_name::{Closeness, closeness};
use super::paths::resolve;
use super::reach;
use super::refusal::interpreter;
use crumbs_compiler::target::Arch;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The most files one program is followed through.
const MAX_LOADED: usize = 2_000;

/// The directories the loader knows without a cache, and that of Debian for the architecture.
pub(crate) fn default_directories(arch: Arch) -> [&'static str; 6] {
    match arch {
        Arch::X86_64 => [
            "/lib64",
            "/usr/lib64",
            "/lib/x86_64-linux-gnu",
            "/usr/lib/x86_64-linux-gnu",
            "/lib",
            "/usr/lib",
        ],
        Arch::Aarch64 => [
            "/lib64",
            "/usr/lib64",
            "/lib/aarch64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/lib",
            "/usr/lib",
        ],
    }
}

/// Where libraries are looked for.
pub(crate) struct SearchPath<'a> {
    pub(crate) arch: Arch,
    /// `LD_LIBRARY_PATH` of the traced program.
    pub(crate) library_path: Vec<PathBuf>,
    pub(crate) cache: Vec<ld_cache::Entry<'a>>,
}

impl SearchPath<'_> {
    /// The files that loading `program` loads, itself first, without what it opens later by dlopen(3). A script's
    /// are those of its interpreter.
    pub(crate) fn loaded_by(&self, program: &Path) -> Vec<PathBuf> {
        let program = match script_interpreter(program) {
            Some(interpreter) => PathBuf::from(interpreter),
            None => program.to_owned(),
        };
        let mut found = vec![program.clone()];
        let mut seen: BTreeSet<PathBuf> = found.iter().cloned().collect();
        // With each file the RPATHs that it inherits from those that asked for it.
        let mut open = VecDeque::from([(program, Vec::new())]);
        while let Some((path, inherited)) = open.pop_front() {
            let Some(dynamic) = path.to_str().and_then(|path| self.dynamic_of(path)) else {
                continue;
            };
            let origin = path.parent().unwrap_or(Path::new("/"));
            let (rpath, runpath) = self.own_paths(&dynamic, origin, inherited);
            for name in &dynamic.needed {
                let Some(library) = self.find(name, origin, &rpath, &runpath) else {
                    continue;
                };
                if found.len() < MAX_LOADED && seen.insert(library.clone()) {
                    found.push(library.clone());
                    open.push_back((library, rpath.clone()));
                }
            }
        }
        found
    }

    fn dynamic_of(&self, path: &str) -> Option<Dynamic> {
        Image::open(path, self.arch).ok()?.dynamic().ok()
    }

    /// The RPATHs that count for what a file needs, and its RUNPATH, which counts instead of its RPATH.
    fn own_paths(
        &self,
        dynamic: &Dynamic,
        origin: &Path,
        inherited: Vec<PathBuf>,
    ) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let expand = |paths: &[String]| {
            paths
                .iter()
                .flat_map(|path| self.expanded(path, origin))
                .collect()
        };
        if !dynamic.runpath.is_empty() {
            return (Vec::new(), expand(&dynamic.runpath));
        }
        let mut rpath: Vec<PathBuf> = expand(&dynamic.rpath);
        rpath.extend(inherited.into_iter().take(MAX_LOADED));
        (rpath, Vec::new())
    }

    fn find(&self, name: &str, origin: &Path, rpath: &[PathBuf], runpath: &[PathBuf]) -> Option<PathBuf> {
        let loadable = |path: &PathBuf| {
            path.to_str()
                .is_some_and(|path| Image::open(path, self.arch).is_ok())
        };
        if name.contains('/') {
            return self.expanded(name, origin).into_iter().find(loadable);
        }
        let told = rpath
            .iter()
            .chain(&self.library_path)
            .chain(runpath)
            .map(|directory| directory.join(name));
        let cached = self
            .cache
            .iter()
            .filter(|entry| entry.name_starts_with(name) && entry.name() == Some(name))
            .filter_map(|entry| entry.path().map(PathBuf::from));
        let default = default_directories(self.arch)
            .into_iter()
            .map(|directory| Path::new(directory).join(name));
        told.chain(cached).chain(default).find(loadable)
    }

    /// Replaces `$ORIGIN` and `$LIB`; the latter is one directory or another, as the loader was built.
    fn expanded(&self, path: &str, origin: &Path) -> Vec<PathBuf> {
        let origin = origin.to_string_lossy();
        let path = path
            .replace("${ORIGIN}", &origin)
            .replace("$ORIGIN", &origin)
            .replace("${LIB}", "$LIB");
        if !path.contains("$LIB") {
            return vec![PathBuf::from(path)];
        }
        let debian = match self.arch {
            Arch::X86_64 => "lib/x86_64-linux-gnu",
            Arch::Aarch64 => "lib/aarch64-linux-gnu",
        };
        ["lib64", debian, "lib"]
            .into_iter()
            .map(|lib| PathBuf::from(path.replace("$LIB", lib)))
            .collect()
    }
}

/// Those of `files` that `spec` means most closely, each file once, by the first of the paths that lead to it.
pub(crate) fn closest(spec: &str, files: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<(Closeness, PathBuf)> = files
        .filter_map(|path| {
            let close = closeness(spec, path.file_name()?.to_str()?)?;
            Some((close, path))
        })
        .collect();
    found.sort_unstable();
    let Some(best) = found.first().map(|(close, _)| *close) else {
        return Vec::new();
    };
    let mut known = BTreeSet::new();
    let alike = found.into_iter().take_while(|(close, _)| *close == best);
    let files = alike.filter_map(|(_, path)| {
        let file = resolve(path.clone()).ok()?;
        let goes_up = path.components().any(|part| part == Component::ParentDir);
        known
            .insert(file.clone())
            .then_some(if goes_up { file } else { path })
    });
    files.collect()
}

/// The executable files mapped into a process, in the order of their addresses, as paths of this process's file
/// system: a process in another mount namespace is seen through `/proc/PID/root`.
///
/// # Errors
/// When its maps cannot be read.
pub(crate) fn mapped_by(pid: u32) -> std::io::Result<Vec<PathBuf>> {
    let maps = fs::read(format!("/proc/{pid}/maps"))?;
    let mut paths = parse_maps(&maps);
    if let Some(root) = foreign_root(pid) {
        paths = paths.iter().map(|path| shown_beneath(&root, path)).collect();
    }
    Ok(paths)
}

/// What the kernel adds to the paths of files that are no longer there.
pub(crate) const DELETED: &str = " (deleted)";

/// The file that a process runs and that was at `path`, where it has been deleted or replaced since: by a path that still
/// leads to it.
pub(crate) fn deleted(pid: u32, path: &Path) -> Option<PathBuf> {
    let directory = fs::canonicalize(std::path::absolute(path).ok()?.parent()?).ok()?;
    let mut shown = directory.join(path.file_name()?).into_os_string();
    shown.push(DELETED);
    let maps = fs::read(format!("/proc/{pid}/maps")).ok()?;
    let mut lines = maps.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.ends_with(shown.as_bytes()))?;
    let range = line.split(|byte| *byte == b' ').next()?;
    let range = std::str::from_utf8(range).ok()?;
    Some(PathBuf::from(format!("/proc/{pid}/map_files/{range}")))
}

/// The executable files that any process has mapped, as paths of this process's file system, sorted. Processes whose maps
/// cannot be read are left out; each file is there once, in however many mount namespaces it is seen.
pub(crate) fn mapped_by_any() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let mut seen = BTreeSet::new();
    let mut known = BTreeSet::new();
    let mut files = Vec::new();
    for path in pids
        .into_iter()
        .flat_map(|pid| mapped_by(pid).unwrap_or_default())
    {
        if !seen.insert(path.clone()) {
            continue;
        }
        let Ok(data) = reach::metadata(&path) else {
            continue;
        };
        if known.insert((data.dev(), data.ino())) {
            files.push(path);
        }
    }
    files.sort_unstable();
    files
}

/// The root of a process's file system, where it is not in this process's mount namespace.
pub(crate) fn foreign_root(pid: u32) -> Option<PathBuf> {
    let namespace = |who: &str| fs::read_link(format!("/proc/{who}/ns/mnt")).ok();
    let (own, other) = (namespace("self")?, namespace(&pid.to_string())?);
    (own != other).then(|| PathBuf::from(format!("/proc/{pid}/root")))
}

/// An absolute path of the other root, as a path from here.
pub(crate) fn beneath(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A path that `/proc` shows of a process with that root, as a path from here: where the root is a directory of the process's mount
/// namespace (chroot), what is shown goes through it.
pub(crate) fn shown_beneath(root: &Path, path: &Path) -> PathBuf {
    let directory = fs::read_link(root).unwrap_or_else(|_| PathBuf::from("/"));
    beneath(root, path.strip_prefix(directory).unwrap_or(path))
}

/// The files of `address perms offset dev inode path` lines that may be executed.
pub(super) fn parse_maps(maps: &[u8]) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut paths = Vec::new();
    for line in maps.split(|byte| *byte == b'\n') {
        // Five columns and then the name, of which blanks are a part; only those of files begin with a slash.
        let mut columns = line.splitn(6, |byte| *byte == b' ');
        let (Some(permissions), Some(name)) = (columns.nth(1), columns.nth(3)) else {
            continue;
        };
        let executable = permissions.contains(&b'x');
        let path = name.trim_ascii_start();
        if executable && path.starts_with(b"/") && !path.ends_with(DELETED.as_bytes()) && seen.insert(path) {
            paths.push(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    paths
}

fn script_interpreter(program: &Path) -> Option<String> {
    let mut start = Vec::new();
    let file = reach::open(program)
        .ok()
        .filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
    file.take(256).read_to_end(&mut start).ok()?;
    interpreter(&start)
}

#[cfg(test)]
#[path = "libraries_tests.rs"]
mod tests;
