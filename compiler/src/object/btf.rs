//! A writer of BTF, the kernel's type format (`Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`).
//!
//! In: types, each built of those before it. Out: the bytes of a `.BTF` section. Ids count from 1; 0 is `void`.

use std::collections::HashMap;

/// The id of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypeId(pub(super) u32);

impl TypeId {
    pub(super) const VOID: Self = Self(0);
}

/// An offset into the string section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StringId(pub(super) u32);

/// A part of a structure or section.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) ty: TypeId,
    /// Bytes from the start.
    pub(super) offset: u32,
}

/// A variable in a section.
pub(super) struct Variable {
    pub(super) ty: TypeId,
    /// Bytes from the section's start.
    pub(super) offset: u32,
    /// Bytes.
    pub(super) size: u32,
}

/// `BTF_KIND_*`.
#[derive(Clone, Copy)]
enum Kind {
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    DataSec = 15,
}

/// `BTF_INT_SIGNED`.
pub(super) const SIGNED: u32 = 1;
/// `BTF_FUNC_STATIC`: all that the kernel takes as a callback.
pub(super) const FUNC_STATIC: u32 = 0;
/// `BTF_FUNC_GLOBAL`.
pub(super) const FUNC_GLOBAL: u32 = 1;
/// `BTF_VAR_GLOBAL_ALLOCATED`.
const VAR_GLOBAL: u32 = 1;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// Bytes of `struct btf_header`.
const HEADER: u32 = 24;

/// A `.BTF` section under construction.
pub(super) struct Btf {
    types: Vec<u8>,
    count: u32,
    strings: Vec<u8>,
    known: HashMap<String, StringId>,
}

impl Btf {
    pub(super) fn new() -> Self {
        Self {
            types: Vec::new(),
            count: 0,
            // Offset 0 is the empty string.
            strings: vec![0],
            known: HashMap::from([(String::new(), StringId(0))]),
        }
    }

    /// The bytes of the section.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = header(HEADER);
        let types = self.types.len() as u32;
        for word in [0, types, types, self.strings.len() as u32] {
            out.extend(word.to_le_bytes());
        }
        out.extend(self.types);
        out.extend(self.strings);
        out
    }

    /// A string, cut at its first NUL.
    pub(super) fn string(&mut self, text: &str) -> StringId {
        let text = text.split('\0').next().unwrap_or("");
        if let Some(&id) = self.known.get(text) {
            return id;
        }
        let id = StringId(self.strings.len() as u32);
        self.strings.extend(text.bytes());
        self.strings.push(0);
        self.known.insert(text.into(), id);
        id
    }

    fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }

    /// `struct btf_type`: `size_or_type` is what the kind makes of it.
    fn add(&mut self, kind: Kind, name: &str, vlen: u32, size_or_type: u32) -> TypeId {
        let name = self.string(name);
        self.words(&[name.0, (kind as u32) << 24 | vlen, size_or_type]);
        self.count += 1;
        TypeId(self.count)
    }

    pub(super) fn int(&mut self, name: &str, bytes: u32, encoding: u32) -> TypeId {
        let id = self.add(Kind::Int, name, 0, bytes);
        self.words(&[(encoding << 24) | (bytes * 8)]);
        id
    }

    pub(super) fn ptr(&mut self, to: TypeId) -> TypeId {
        self.add(Kind::Ptr, "", 0, to.0)
    }

    pub(super) fn array(&mut self, of: TypeId, index: TypeId, length: u32) -> TypeId {
        let id = self.add(Kind::Array, "", 0, 0);
        self.words(&[of.0, index.0, length]);
        id
    }

    /// A structure without name.
    pub(super) fn structure(&mut self, bytes: u32, members: &[Member<'_>]) -> TypeId {
        let names: Vec<StringId> = members.iter().map(|m| self.string(m.name)).collect();
        let id = self.add(Kind::Struct, "", members.len() as u32, bytes);
        for (member, name) in members.iter().zip(names) {
            self.words(&[name.0, member.ty.0, member.offset * 8]);
        }
        id
    }

    /// A global variable.
    pub(super) fn var(&mut self, name: &str, ty: TypeId) -> TypeId {
        let id = self.add(Kind::Var, name, 0, ty.0);
        self.words(&[VAR_GLOBAL]);
        id
    }

    pub(super) fn datasec(&mut self, name: &str, bytes: u32, variables: &[Variable]) -> TypeId {
        let id = self.add(Kind::DataSec, name, variables.len() as u32, bytes);
        for variable in variables {
            self.words(&[variable.ty.0, variable.offset, variable.size]);
        }
        id
    }

    pub(super) fn func_proto(&mut self, returns: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let names: Vec<StringId> = params.iter().map(|(name, _)| self.string(name)).collect();
        let id = self.add(Kind::FuncProto, "", params.len() as u32, returns.0);
        for ((_, ty), name) in params.iter().zip(names) {
            self.words(&[name.0, ty.0]);
        }
        id
    }

    /// A function.
    pub(super) fn func(&mut self, name: &str, proto: TypeId, linkage: u32) -> TypeId {
        self.add(Kind::Func, name, linkage, proto.0)
    }
}

/// What `.BTF` and `.BTF.ext` begin with.
pub(super) fn header(bytes: u32) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(MAGIC.to_le_bytes());
    out.extend([VERSION, 0]);
    out.extend(bytes.to_le_bytes());
    out
}
