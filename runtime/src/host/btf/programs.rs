//! Loaded BPF programs as what a function of `fentry:bpf` is looked for in: each is a module named `bpf:ID`, with types of its own.

use super::object::Object;
use crate::sys::bpf::{self, ProgramTypes};
use crate::sys::mmap::FileBytes;
use std::os::fd::AsFd;
use std::rc::Rc;

/// What the modules that are programs are called before their number.
pub(super) const PREFIX: &str = "bpf:";

/// A loaded program that has types.
#[derive(Debug)]
pub(super) struct Program {
    /// `bpf:ID`.
    pub name: String,
    types: ProgramTypes,
}

impl Program {
    /// Those that are loaded now, by their number; none where this user may not know.
    pub(super) fn all() -> Vec<Self> {
        let programs = bpf::programs().unwrap_or_default().into_iter();
        // One that was unloaded meanwhile is not missed.
        let types = |id| bpf::program_types(bpf::program_by_id(id).ok()?.as_fd()).ok()?;
        let described = |id| {
            let name = format!("{PREFIX}{id}");
            types(id).map(|types| Self { name, types })
        };
        programs.filter_map(described).collect()
    }

    /// Its types.
    pub(super) fn object(&self) -> Option<Rc<Object>> {
        let bytes = bpf::btf_bytes(self.types.btf).ok()?;
        Object::new(FileBytes::of(bytes), None).map(Rc::new)
    }

    /// Whether the function of this number in its types is its own: types can be those of a whole object file.
    pub(super) fn has(&self, function: u32) -> bool {
        self.types.functions.contains(&function)
    }

    /// The numbers of its functions.
    pub(super) fn functions(&self) -> &[u32] {
        &self.types.functions
    }
}
