//! One BTF object: its header, types and strings, as the kernel's `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`
//! lay them out.
//!
//! In: bytes, and the object that it continues where it is a module's ("split BTF": its type ids and string offsets go on
//! where the base's end). Out: types by id and by name. The bytes are not trusted: whatever they are, nothing panics,
//! and no walk is longer than they are.
//!
//! Opening an object reads each type's first 12 bytes, to know where the types begin; names are compared only when one is
//! asked for.

use crate::sys::mmap::FileBytes;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

/// `BTF_MAGIC`, little endian.
const MAGIC: u16 = 0xeb9f;
/// `struct btf_header` up to `str_len`.
const HEADER: usize = 24;
/// `struct btf_type`.
const TYPE: usize = 12;
/// So many names are looked up by walking all types; then an index is made.
const WALKS: u32 = 6;

/// `BTF_KIND_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Forward,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Func,
    FuncProto,
    Var,
    DataSec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

impl Kind {
    fn new(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Int,
            2 => Self::Ptr,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Forward,
            8 => Self::Typedef,
            9 => Self::Volatile,
            10 => Self::Const,
            11 => Self::Restrict,
            12 => Self::Func,
            13 => Self::FuncProto,
            14 => Self::Var,
            15 => Self::DataSec,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            _ => return None,
        })
    }

    /// Bytes behind `struct btf_type`: some for itself, some for each of `vlen`.
    fn extra(self, vlen: usize) -> usize {
        match self {
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::Enum64 | Self::DataSec => 12 * vlen,
            Self::Enum | Self::FuncProto => 8 * vlen,
            _ => 0,
        }
    }
}

/// `struct btf_type`, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    /// Where its name begins, counted from the base's strings.
    pub name: u32,
    /// `vlen`: members, constants, parameters.
    pub count: usize,
    /// `kind_flag`: bitfield sizes in members, signed constants, a union that is only declared.
    pub flag: bool,
    /// Size in bytes, or the id of the type that it refers to.
    pub word: u32,
    /// Where its further data begins in the type section.
    data: usize,
}

/// Names are looked for among either of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Structs, unions, enums, typedefs, integers, and those of them that are only declared.
    Type = 0,
    /// Functions.
    Function = 1,
}

impl Class {
    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Func => self == Self::Function,
            Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Enum64
            | Kind::Typedef
            | Kind::Int
            | Kind::Float
            | Kind::Forward => self == Self::Type,
            _ => false,
        }
    }
}

/// Ids by the hash of their names.
#[derive(Default)]
struct Index {
    by_hash: OnceCell<HashMap<u64, Vec<u32>>>,
    walks: Cell<u32>,
}

/// One BTF object.
pub(super) struct Object {
    bytes: FileBytes,
    types: usize,
    strings: std::ops::Range<usize>,
    base: Option<Rc<Object>>,
    /// Id of its first own type, and offset of its first own string.
    first_id: u32,
    first_string: u32,
    /// Where each own type begins, from the start of the type section.
    offsets: Vec<u32>,
    hasher: RandomState,
    indexes: [Index; 2],
}

impl Object {
    /// Reads the header and finds the types. `None` where the bytes are no BTF of this byte order. A type section that ends
    /// in the middle, or holds a kind of type that is not known, counts up to there.
    pub(super) fn new(bytes: FileBytes, base: Option<Rc<Self>>) -> Option<Self> {
        let word = |at: usize| u32_at(&bytes, at).map(|word| word as usize);
        if u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]) != MAGIC {
            return None;
        }
        let header = word(4)?.max(HEADER);
        let types = header.checked_add(word(8)?)?;
        let types_end = types.checked_add(word(12)?)?;
        let strings = header.checked_add(word(16)?)?;
        let strings_end = strings.checked_add(word(20)?)?;
        if types_end > bytes.len() || strings_end > bytes.len() || u32::try_from(bytes.len()).is_err() {
            return None;
        }
        let (first_id, first_string) = match &base {
            Some(base) => (base.end_id(), base.end_string()),
            None => (1, 0),
        };
        let mut offsets = Vec::new();
        let section = &bytes[types..types_end];
        let mut at = 0;
        while let Some(entry) = entry_at(section, at) {
            let end = entry.data + entry.kind.extra(entry.count);
            if end > section.len() {
                break;
            }
            offsets.push(at as u32);
            at = end;
        }
        Some(Self {
            types,
            strings: strings..strings_end,
            base,
            first_id,
            first_string,
            offsets,
            hasher: RandomState::new(),
            indexes: [Index::default(), Index::default()],
            bytes,
        })
    }

    /// The id behind its last type.
    pub(super) fn end_id(&self) -> u32 {
        self.first_id.saturating_add(self.offsets.len() as u32)
    }

    fn end_string(&self) -> u32 {
        self.first_string.saturating_add(self.strings.len() as u32)
    }

    /// Whether `id` is of the base and not its own.
    pub(super) fn is_inherited(&self, id: u32) -> bool {
        id < self.first_id
    }

    /// The type of that id, its own or the base's.
    pub(super) fn entry(&self, id: u32) -> Option<Entry> {
        if id < self.first_id {
            return self.base.as_ref()?.entry(id);
        }
        let at = *self.offsets.get((id - self.first_id) as usize)?;
        entry_at(self.section(), at as usize)
    }

    /// Its own types, with their ids.
    pub(super) fn own(&self) -> impl Iterator<Item = (u32, Entry)> {
        let section = self.section();
        let entries = self.offsets.iter().enumerate();
        entries.filter_map(move |(i, &at)| Some((self.first_id + i as u32, entry_at(section, at as usize)?)))
    }

    fn section(&self) -> &[u8] {
        &self.bytes[self.types..]
    }

    /// The 32-bit word at `index` behind the `struct btf_type` of `id`.
    pub(super) fn word(&self, id: u32, index: usize) -> Option<u32> {
        if id < self.first_id {
            return self.base.as_ref()?.word(id, index);
        }
        let at = *self.offsets.get((id - self.first_id) as usize)? as usize;
        u32_at(self.section(), at + TYPE + 4 * index)
    }

    /// The bytes of a string, without its NUL; empty where there is none.
    pub(super) fn string(&self, offset: u32) -> &[u8] {
        if offset < self.first_string {
            return self.base.as_ref().map_or(&[], |base| base.string(offset));
        }
        let strings = &self.bytes[self.strings.clone()];
        let rest = strings
            .get((offset - self.first_string) as usize..)
            .unwrap_or_default();
        let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
        &rest[..end]
    }

    /// A string as text.
    pub(super) fn text(&self, offset: u32) -> String {
        String::from_utf8_lossy(self.string(offset)).into_owned()
    }

    /// Whether the string at `offset` is `name`; reads no more of it than that.
    fn is_named(&self, offset: u32, name: &[u8]) -> bool {
        if offset < self.first_string {
            return self.base.as_ref().is_some_and(|base| base.is_named(offset, name));
        }
        let at = self.strings.start + (offset - self.first_string) as usize;
        let end = at + name.len();
        end < self.strings.end && self.bytes[end] == 0 && &self.bytes[at..end] == name
    }

    /// The ids of its own types of that name, ascending.
    pub(super) fn named(&self, class: Class, name: &str) -> Vec<u32> {
        let name = name.as_bytes();
        if name.is_empty() {
            return Vec::new();
        }
        let index = &self.indexes[class as usize];
        let walks = index.walks.get();
        if walks < WALKS {
            index.walks.set(walks + 1);
            let fits = |(_, entry): &(u32, Entry)| class.has(entry.kind) && self.is_named(entry.name, name);
            return self.own().filter(fits).map(|(id, _)| id).collect();
        }
        let by_hash = index.by_hash.get_or_init(|| {
            let mut by_hash: HashMap<u64, Vec<u32>> = HashMap::new();
            for (id, entry) in self.own().filter(|(_, entry)| class.has(entry.kind)) {
                let hash = self.hasher.hash_one(self.string(entry.name));
                by_hash.entry(hash).or_default().push(id);
            }
            by_hash
        });
        let found = by_hash.get(&self.hasher.hash_one(name)).into_iter().flatten();
        let same = |id: &&u32| {
            self.entry(**id)
                .is_some_and(|entry| self.is_named(entry.name, name))
        };
        found.filter(same).copied().collect()
    }

    /// The first of its own enums that has a constant of that name.
    pub(super) fn enum_with(&self, name: &str) -> Option<u32> {
        let name = name.as_bytes();
        let has = |(id, entry): &(u32, Entry)| {
            let words = match entry.kind {
                Kind::Enum => 2,
                Kind::Enum64 => 3,
                _ => return false,
            };
            let mut names = (0..entry.count).map_while(|i| self.word(*id, i * words));
            names.any(|offset| self.is_named(offset, name))
        };
        self.own().find(has).map(|(id, _)| id)
    }

    /// The names of its own types of a class.
    pub(super) fn names(&self, class: Class) -> impl Iterator<Item = &str> {
        let of_class = self.own().filter(move |(_, entry)| class.has(entry.kind));
        of_class.filter_map(|(_, entry)| std::str::from_utf8(self.string(entry.name)).ok())
    }
}

fn entry_at(section: &[u8], at: usize) -> Option<Entry> {
    let bytes: &[u8; TYPE] = section.get(at..)?.first_chunk()?;
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let info = word(4);
    Some(Entry {
        kind: Kind::new(info >> 24 & 0x1f)?,
        name: word(0),
        count: (info & 0xffff) as usize,
        flag: info >> 31 == 1,
        word: word(8),
        data: at + TYPE,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
