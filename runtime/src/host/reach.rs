//! Ways to files that other users choose.
//!
//! In: a path. Out: what it leads to, opened or described. A path such as `/proc/PID/root/lib/x.so` means what that process
//! calls `/lib/x.so`: its links are followed below that process's root, never to a file of this machine that the process cannot
//! name. Opening never waits: what is no regular file is refused by the callers.

use crate::sys::in_root;
use std::ffi::{CString, OsStr};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// The root of a process and what is below it, where a path goes through one: `/proc/PID/root`, and the rest.
pub(crate) fn split(path: &Path) -> Option<(PathBuf, &Path)> {
    let mut parts = path.components();
    (parts.next()? == Component::RootDir).then_some(())?;
    (parts.next()?.as_os_str() == OsStr::new("proc")).then_some(())?;
    let process = parts.next()?;
    (parts.next()?.as_os_str() == OsStr::new("root")).then_some(())?;
    let root = Path::new("/proc").join(process).join("root");
    Some((root, parts.as_path()))
}

/// Whether a path goes through the root of a process.
pub(crate) fn is_foreign(path: &Path) -> bool {
    split(path).is_some()
}

fn open_with(path: &Path, flags: i32) -> io::Result<File> {
    let Some((root, inside)) = split(path) else {
        return OpenOptions::new().read(true).custom_flags(flags).open(path);
    };
    let root = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(root)?;
    let inside = match inside.as_os_str().as_bytes() {
        b"" => b".",
        inside => inside,
    };
    let inside = CString::new(inside).map_err(|_| io::ErrorKind::InvalidInput)?;
    in_root::open(root.as_fd(), &inside, flags)
}

/// Opens a file for reading. Of a named pipe without writers nothing is waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(path, libc::O_RDONLY | libc::O_NONBLOCK)
}

/// What there is to know of what a path leads to.
pub(crate) fn metadata(path: &Path) -> io::Result<Metadata> {
    match is_foreign(path) {
        true => open_with(path, libc::O_PATH)?.metadata(),
        false => fs::metadata(path),
    }
}

/// Whether a path leads to a regular file.
pub(crate) fn is_file(path: &Path) -> bool {
    metadata(path).is_ok_and(|data| data.is_file())
}

/// The names in a directory, each with its path, as far as they can be read.
pub(crate) fn paths_in(directory: &Path) -> Vec<PathBuf> {
    let listed = |readable: &Path| {
        let entries = fs::read_dir(readable).into_iter().flatten().flatten();
        entries.map(|entry| directory.join(entry.file_name())).collect()
    };
    if !is_foreign(directory) {
        return listed(directory);
    }
    // Open until it has been read.
    match open_with(directory, libc::O_PATH | libc::O_DIRECTORY) {
        Ok(open) => listed(&link_to(&open)),
        Err(_) => Vec::new(),
    }
}

/// A path for the kernel, which follows links from our root, and what keeps it valid: the path itself where it goes through no
/// other root.
pub(crate) fn for_kernel(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if !is_foreign(path) {
        return Ok((path.to_owned(), None));
    }
    let open = open_with(path, libc::O_PATH)?;
    Ok((link_to(&open), Some(open)))
}

fn link_to(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::io::Read;

    #[test]
    fn roots_of_processes() {
        let of = |path: &str| {
            split(Path::new(path))
                .map(|(root, inside)| (root.display().to_string(), inside.display().to_string()))
        };
        let there = |root: &str, inside: &str| Some((root.to_owned(), inside.to_owned()));
        assert_eq!(of("/proc/12/root/lib/x.so"), there("/proc/12/root", "lib/x.so"));
        assert_eq!(of("/proc/12/root"), there("/proc/12/root", ""));
        assert_eq!(of("//proc/./self/root/a"), there("/proc/self/root", "a"));
        for none in [
            "/proc/12/rootx",
            "/proc/12/maps",
            "proc/12/root/a",
            "/a/proc/12/root",
            "/",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_below_the_own_root() {
        let mut text = String::new();
        let mut file = open(Path::new("/proc/self/root/proc/version")).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("Linux"), "{text}");
        assert!(metadata(Path::new("/proc/self/root")).unwrap().is_dir());
        assert!(paths_in(Path::new("/proc/self/root")).contains(&PathBuf::from("/proc/self/root/proc")));
        assert!(open(Path::new("/proc/self/root/no/such/file")).is_err());
    }
}
