//! Where the code of programs comes from, for those who show it: lines of source and inlined functions.
//!
//! In: a file and an offset in it. Out: its [`Origin`], where debug information tells. Nothing is read before the first
//! question, and answers are kept.

use super::dwarf::DebugFiles;
pub use super::dwarf::{Origin, SourceLine};
use super::elf::Image;
use crumbs_compiler::target::Arch;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is known of the origin of code.
pub struct Origins {
    arch: Arch,
    debug: DebugFiles,
    images: HashMap<PathBuf, Option<Image>>,
    known: HashMap<(PathBuf, u64), Origin>,
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origins").finish_non_exhaustive()
    }
}

impl Origins {
    /// Reads nothing yet; `directories` are where separate debug files are looked for.
    #[must_use]
    pub fn new(arch: Arch, directories: Vec<PathBuf>) -> Self {
        Self {
            arch,
            debug: DebugFiles::new(directories),
            images: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Where the instruction at an offset of a file comes from; empty where that is not known.
    pub fn of(&mut self, path: &Path, offset: u64) -> Origin {
        let key = (path.to_owned(), offset);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let arch = self.arch;
        let open = |path: &PathBuf| Image::open(path.to_str()?, arch).ok();
        let image = self.images.entry(path.to_owned()).or_insert_with_key(open);
        let found = image
            .as_ref()
            .and_then(|image| self.debug.origin(image, image.address(offset)?))
            .unwrap_or_default();
        self.known.insert(key, found.clone());
        found
    }
}
