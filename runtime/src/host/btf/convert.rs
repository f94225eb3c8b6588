//! From BTF's types to the compiler's.
//!
//! In: an object and a type id. Out: [`Type`], [`Field`], [`EnumType`]. Typedefs, qualifiers and tags are looked through;
//! structs are named, not entered, so pointers may go in circles. What makes no sense in hostile bytes becomes
//! [`Type::Void`].

use super::object::{Entry, Kind, Object};
use crumbs_compiler::ctype::{EnumType, Field, StructId, StructType};
use crumbs_compiler::types::{IntType, Space, Type};
use std::sync::Arc;

/// So many references are followed from one type: more than C programs nest, and an end to circles.
const DEPTH: u32 = 64;

/// The type tag of pointers into a process's memory (`__user`).
const USER: &[u8] = b"user";

/// One object, and its number within the kernel's.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub object: &'a Object,
    pub number: u16,
}

impl Source<'_> {
    /// The type of that id.
    pub(super) fn ty(self, id: u32) -> Type {
        self.at_depth(id, DEPTH)
    }

    fn at_depth(self, id: u32, depth: u32) -> Type {
        let Some((id, entry)) = self.stripped(id) else {
            return Type::Void;
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Type::Void;
        };
        match entry.kind {
            Kind::Int => self.int(id, entry),
            Kind::Float => Type::Bytes(entry.word),
            Kind::Ptr => {
                let space = if self.is_user(entry.word) {
                    Space::User
                } else {
                    Space::Kernel
                };
                Type::Ptr(Box::new(self.at_depth(entry.word, depth)), space)
            }
            Kind::Array => {
                let (Some(element), Some(count)) = (self.object.word(id, 0), self.object.word(id, 2)) else {
                    return Type::Void;
                };
                match (self.is_char(element), count) {
                    (true, 1..) => Type::Str(count),
                    _ => Type::Array(Box::new(self.at_depth(element, depth)), count),
                }
            }
            Kind::Struct | Kind::Union | Kind::Forward => Type::Struct(self.structure(id, entry)),
            Kind::Enum | Kind::Enum64 => match entry.word {
                1 | 2 | 4 | 8 => Type::Enum(Arc::new(self.enumeration(id, entry))),
                size => Type::Bytes(size),
            },
            _ => Type::Void,
        }
    }

    /// The type behind typedefs, qualifiers and tags, with its id; `None` for `void`, and for ids that do not exist.
    pub(super) fn stripped(self, mut id: u32) -> Option<(u32, Entry)> {
        for _ in 0..DEPTH {
            let entry = self.object.entry(id)?;
            match entry.kind {
                Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag | Kind::Var => {
                    id = entry.word;
                }
                _ => return Some((id, entry)),
            }
        }
        None
    }

    /// Whether a pointer to `id` is marked as one into a process's memory.
    fn is_user(self, mut id: u32) -> bool {
        for _ in 0..DEPTH {
            match self.object.entry(id) {
                Some(tag) if tag.kind == Kind::TypeTag => {
                    if self.object.string(tag.name) == USER {
                        return true;
                    }
                    id = tag.word;
                }
                Some(entry) if matches!(entry.kind, Kind::Const | Kind::Volatile | Kind::Restrict) => {
                    id = entry.word;
                }
                _ => return false,
            }
        }
        false
    }

    fn is_char(self, id: u32) -> bool {
        self.stripped(id).is_some_and(|(_, entry)| {
            entry.kind == Kind::Int && entry.word == 1 && self.object.string(entry.name) == b"char"
        })
    }

    fn int(self, id: u32, entry: Entry) -> Type {
        /// `BTF_INT_SIGNED`, `BTF_INT_BOOL`.
        const SIGNED: u32 = 1;
        const BOOL: u32 = 4;
        let encoding = self.object.word(id, 0).unwrap_or_default() >> 24 & 0xf;
        match entry.word {
            1 if encoding & BOOL != 0 => Type::Bool,
            bytes @ (1 | 2 | 4 | 8) => Type::Int(IntType {
                bits: bytes as u8 * 8,
                // The kernel is built with unsigned `char`, which scripts do not expect of text.
                signed: encoding & SIGNED != 0 || bytes == 1 && self.is_char(id),
            }),
            bytes => Type::Bytes(bytes),
        }
    }

    /// A struct or union.
    fn structure(self, id: u32, entry: Entry) -> StructType {
        let (keyword, size) = match (entry.kind, entry.flag) {
            (Kind::Forward, false) => ("struct", 0),
            (Kind::Forward, true) => ("union", 0),
            (Kind::Union, _) => ("union", entry.word),
            _ => ("struct", entry.word),
        };
        let number = if self.object.is_inherited(id) {
            0
        } else {
            self.number
        };
        StructType {
            id: StructId::Kernel { object: number, id },
            name: self.tagged(keyword, entry).into(),
            size,
        }
    }

    /// A keyword, and the name where there is one.
    fn tagged(self, keyword: &str, entry: Entry) -> String {
        match self.object.text(entry.name).as_str() {
            "" => keyword.to_owned(),
            name => format!("{keyword} {name}"),
        }
    }

    /// An enum. `entry` has 1, 2, 4 or 8 bytes.
    pub(super) fn enumeration(self, id: u32, entry: Entry) -> EnumType {
        let int = IntType {
            bits: (entry.word * 8) as u8,
            signed: entry.flag,
        };
        let words = if entry.kind == Kind::Enum64 { 3 } else { 2 };
        let constant = |i: usize| {
            let name = self.object.word(id, i * words)?;
            let low = self.object.word(id, i * words + 1)?;
            let value = match (words, entry.flag) {
                (3, _) => (u64::from(self.object.word(id, i * words + 2)?) << 32 | u64::from(low)) as i64,
                (_, true) => i64::from(low as i32),
                (_, false) => i64::from(low),
            };
            Some((self.object.text(name), value))
        };
        EnumType {
            name: self.tagged("enum", entry),
            int,
            variants: (0..entry.count).map_while(constant).collect(),
        }
    }

    /// The members of a struct or union; `None` where `id` is none.
    pub(super) fn fields(self, id: u32) -> Option<Vec<Field>> {
        let (id, entry) = self.stripped(id)?;
        if !matches!(entry.kind, Kind::Struct | Kind::Union) {
            return None;
        }
        let member = |i: usize| {
            let word = |index| self.object.word(id, i * 3 + index);
            Some(self.field(entry, word(0)?, word(1)?, word(2)?))
        };
        (0..entry.count).map_while(member).map(Some).collect()
    }

    /// A member of `of`, from the three words of `struct btf_member`.
    fn field(self, of: Entry, name: u32, ty: u32, offset: u32) -> Field {
        let (bit_offset, bits) = if of.flag {
            (offset & 0xff_ffff, Some(offset >> 24).filter(|&width| width > 0))
        } else {
            self.old_bitfield(ty, offset)
        };
        let (name, ty) = (self.object.text(name), self.ty(ty));
        match bits {
            Some(width) => Field::bitfield(name, ty, bit_offset, width, of.word),
            None => Field {
                name,
                ty,
                offset: bit_offset / 8,
                bits: None,
            },
        }
    }

    /// Without `kind_flag`, an integer type of fewer bits than its bytes makes a bitfield; it may begin inside of them.
    fn old_bitfield(self, ty: u32, offset: u32) -> (u32, Option<u32>) {
        let int = self.stripped(ty).filter(|(_, entry)| entry.kind == Kind::Int);
        let Some((word, entry)) = int.and_then(|(id, entry)| Some((self.object.word(id, 0)?, entry))) else {
            return (offset, None);
        };
        let (begin, width) = (word >> 16 & 0xff, word & 0xff);
        let is_whole = begin == 0 && width == entry.word.saturating_mul(8) && offset.is_multiple_of(8);
        if is_whole || width == 0 || width > 64 {
            (offset, None)
        } else {
            (offset.saturating_add(begin), Some(width))
        }
    }

    /// Parameters and result of a function.
    pub(super) fn signature(self, function: u32) -> Option<(Vec<(String, Type)>, Type)> {
        let function = self.object.entry(function)?;
        let proto = self.object.entry(function.word)?;
        if function.kind != Kind::Func || proto.kind != Kind::FuncProto {
            return None;
        }
        let param = |i: usize| {
            let word = |index| self.object.word(function.word, i * 2 + index);
            match (word(0)?, word(1)?) {
                // The `...` of a variadic function.
                (0, 0) => None,
                (name, ty) => Some((self.object.text(name), self.ty(ty))),
            }
        };
        let params = (0..proto.count).map_while(param).collect();
        Some((params, self.ty(proto.word)))
    }
}
