//! What bpftrace scripts import of bpftrace's standard library.
//!
//! In: the path of an import. Out: the files that it stands for. What is called `stdlib/NAME` there is part of every script
//! here, so almost all of them are nothing; what is written in C is refused as other C is.

use crate::target::SourceFile;

/// The modules, without the directory, and what of them a script has only when it asks for them.
const MODULES: [(&str, &str); 12] = [
    ("arch", ""),
    ("base", ""),
    ("cgroups", ""),
    ("kfunc", ""),
    ("meta", ""),
    ("network", ""),
    ("path", ""),
    ("process", ""),
    ("socket", ""),
    ("strings", ""),
    ("system", ""),
    ("test", "macro __always_true() { (uint8)1 }"),
];

/// The directory, which alone means all that is in it.
const DIRECTORY: &str = "stdlib";

/// The files that `path` means; `None` where it is not of that library.
pub(super) fn files(path: &str) -> Option<Vec<SourceFile>> {
    if path.trim_end_matches('/') == DIRECTORY {
        return Some(Vec::new());
    }
    let module = path.strip_prefix(DIRECTORY)?.strip_prefix('/')?;
    let module = module.strip_suffix(".bt").unwrap_or(module);
    let (_, text) = MODULES.iter().find(|(name, _)| *name == module)?;
    if text.is_empty() {
        return Some(Vec::new());
    }
    let name = format!("{DIRECTORY}/{module}");
    Some(vec![SourceFile {
        id: name.clone(),
        name,
        text: (*text).to_owned(),
    }])
}
