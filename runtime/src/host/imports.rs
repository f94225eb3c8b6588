//! Files that scripts import.
//!
//! In: the name of the importing script and a path as written. Out: the texts, each with its canonical path, by which it is
//! known however it is named. A directory stands for the scripts in it, not for those of directories below.

use super::refusal::{io_error, unreadable};
use crumbs_compiler::similar::similar;
use crumbs_compiler::target::{SourceFile, TargetError};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What the names of scripts end in.
const EXTENSION: &str = "bt";

/// The longest script that is read; devices have no end.
pub const MOST_BYTES: u64 = 1 << 26;

/// The files that `import "path"` in `importer` means.
pub(super) fn files(importer: &str, path: &str) -> Result<Vec<SourceFile>, TargetError> {
    // What comes from a pipe or the command line is at home in the working directory.
    let beside = Path::new(importer)
        .parent()
        .filter(|_| Path::new(importer).is_file())
        .unwrap_or(Path::new(""));
    let wanted = beside.join(path);
    let metadata = match fs::metadata(&wanted) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(missing(&wanted)),
        Err(error) => return Err(io_error(&wanted.to_string_lossy(), &error)),
    };
    if !metadata.is_dir() {
        return Ok(vec![file(&wanted)?]);
    }
    let entries = fs::read_dir(&wanted).map_err(|error| io_error(&wanted.to_string_lossy(), &error))?;
    let mut scripts: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == EXTENSION) && path.is_file())
        .collect();
    scripts.sort_unstable();
    if scripts.is_empty() {
        let help = format!("name a script, or a directory of scripts (`*.{EXTENSION}`)");
        return Err(unreadable(
            &wanted.to_string_lossy(),
            "there is no script in it",
            help,
        ));
    }
    scripts.iter().map(|script| file(script)).collect()
}

fn file(path: &Path) -> Result<SourceFile, TargetError> {
    let name = path.to_string_lossy().into_owned();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| io_error(&name, &error))?;
    if bytes.len() as u64 > MOST_BYTES {
        let help = "name a script, or split it".to_owned();
        let reason = format!("it has more than {} MiB", MOST_BYTES >> 20);
        return Err(unreadable(&name, &reason, help));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        let help = "name a script: its text is UTF-8".to_owned();
        unreadable(&name, "it is no text", help)
    })?;
    let id = fs::canonicalize(path).map_or_else(|_| name.clone(), |path| path.to_string_lossy().into_owned());
    Ok(SourceFile { id, name, text })
}

fn missing(wanted: &Path) -> TargetError {
    let name = wanted.file_name().unwrap_or_default().to_string_lossy();
    let directory = match wanted.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let beside: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    TargetError::NotFound {
        similar: similar(&name, beside.iter().map(String::as_str), 3),
        searched: vec![wanted.to_string_lossy().into_owned()],
    }
}
