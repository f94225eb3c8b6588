//! C headers that scripts include by `#include "name"`.
//!
//! In: the name, and the path of the header that asks for it. Out: path and text of the first file of that name: beside that
//! header, in the working directory for the script itself, then in the directories that the user names.

use super::refusal::{io_error, unreadable};
use crumbs_compiler::target::TargetError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(super) fn read(
    name: &str,
    from: Option<&str>,
    directories: &[PathBuf],
) -> Result<(String, String), TargetError> {
    let beside = from.and_then(|from| Path::new(from).parent());
    let beside = beside.unwrap_or(Path::new(""));
    let mut searched = Vec::new();
    for directory in std::iter::once(beside).chain(directories.iter().map(PathBuf::as_path)) {
        let file = directory.join(name);
        let path = file.to_string_lossy().into_owned();
        match fs::read(&file) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| unreadable(&path, "it is no text", "name a C header".to_owned()))?;
                return Ok((path, text));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => searched.push(path),
            Err(error) => return Err(io_error(&path, &error)),
        }
    }
    Err(TargetError::NotFound {
        similar: Vec::new(),
        searched,
    })
}
