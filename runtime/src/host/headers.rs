//! C headers that scripts include.
//!
//! In: a name as `#include` has it. Out: the path and the text. `"name"` is looked for beside what asks for it, in the
//! working directory and in the directories that the user named (`-I`), `<name>` in the latter or among the headers that this
//! machine has for its C compiler and its kernel.

use super::refusal::{io_error, unreadable};
use crumbs_compiler::similar::similar;
use crumbs_compiler::target::{Arch, TargetError};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest header that is read. That of all of a kernel's types has about 4 MB.
const MAX_HEADER: u64 = 1 << 24;

/// How many names a "did you mean" lists.
const SIMILAR: usize = 3;

/// Where headers are looked for.
pub(super) struct Headers {
    /// The directories that the user named.
    pub(super) directories: Vec<PathBuf>,
    /// The script's directory.
    pub(super) home: Option<PathBuf>,
}

impl Headers {
    /// `#include "name"` in the header `from`, or in the script.
    pub(super) fn quoted(&self, name: &str, from: Option<&str>) -> Result<(String, String), TargetError> {
        let beside = match from {
            Some(from) => Path::new(from).parent(),
            None => self.home.as_deref(),
        };
        let beside = beside.filter(|beside| !beside.as_os_str().is_empty());
        let directories: Vec<&Path> = beside
            .into_iter()
            .chain([Path::new("")])
            .chain(self.directories.iter().map(PathBuf::as_path))
            .collect();
        for directory in &directories {
            let path = directory.join(name);
            match read(&path) {
                Ok(found) => return Ok(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(refused(&path, &error)),
            }
        }
        let shown = |directory: &&Path| match directory.as_os_str().is_empty() {
            true => "the working directory".to_owned(),
            false => directory.display().to_string(),
        };
        let names: Vec<String> = directories
            .iter()
            .flat_map(|directory| headers_in(directory))
            .collect();
        Err(TargetError::NotFound {
            similar: similar(name, names.iter().map(String::as_str), SIMILAR),
            searched: directories.iter().map(shown).collect(),
        })
    }

    /// `#include <name>` in the directories that the user named.
    pub(super) fn included(&self, name: &str) -> Option<(String, String)> {
        let mut directories = self.directories.iter();
        directories.find_map(|directory| read(&directory.join(name)).ok())
    }
}

/// `#include <name>` among the headers of this machine.
pub(super) fn of_machine(name: &str, arch: Arch) -> Option<(String, String)> {
    let (triple, kernel_arch) = match arch {
        Arch::X86_64 => ("x86_64-linux-gnu", "x86"),
        Arch::Aarch64 => ("aarch64-linux-gnu", "arm64"),
    };
    let user = ["/usr/include".to_owned(), format!("/usr/include/{triple}")];
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let build = format!("/lib/modules/{}/build", release.trim());
    let kernel = [
        format!("{build}/include"),
        format!("{build}/arch/{kernel_arch}/include"),
        format!("{build}/include/uapi"),
        format!("{build}/arch/{kernel_arch}/include/uapi"),
    ];
    let is_safe = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    let mut directories = user.iter().chain(&kernel).filter(|_| is_safe);
    directories.find_map(|directory| read(&Path::new(directory).join(name)).ok())
}

fn read(path: &Path) -> io::Result<(String, String)> {
    let metadata = fs::metadata(path)?;
    // Reading a directory, or waiting for what never ends, would not help.
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_HEADER + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_HEADER {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // Comments can be in any encoding.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok((path.to_string_lossy().into_owned(), text))
}

fn refused(path: &Path, error: &io::Error) -> TargetError {
    let path = path.to_string_lossy();
    if error.kind() == io::ErrorKind::FileTooLarge {
        return unreadable(&path, "it is too long for a header", String::new());
    }
    io_error(&path, error)
}

fn headers_in(directory: &Path) -> Vec<String> {
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".h")).take(1000).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::host::scratch::Scratch;

    #[test]
    fn headers_are_found_where_c_finds_them() {
        let scratch = Scratch::new();
        scratch.write("home/own.h", "own");
        scratch.write("home/deep/beside.h", "beside");
        scratch.write("named/linux/there.h", "named");
        let headers = Headers {
            directories: vec![scratch.path("named")],
            home: Some(scratch.path("home")),
        };
        let text = |name: &str, from: Option<&Path>| {
            let found = headers.quoted(name, from.and_then(Path::to_str));
            found.map(|(_, text)| text)
        };
        assert_eq!(text("own.h", None).unwrap(), "own");
        let from = scratch.path("home/deep/x.h");
        assert_eq!(text("beside.h", Some(&from)).unwrap(), "beside");
        assert_eq!(text("linux/there.h", Some(&from)).unwrap(), "named");
        assert_eq!(headers.included("linux/there.h").unwrap().1, "named");
        assert!(headers.included("own.h").is_none());
        let Err(TargetError::NotFound { similar, searched }) = text("owm.h", None) else {
            panic!("there is no owm.h");
        };
        assert_eq!((similar, searched.len()), (vec!["own.h".to_owned()], 3));
        assert!(of_machine("../../etc/passwd", Arch::X86_64).is_none());
    }
}
