//! Types while they are being declared: tags may still be without a body, and alignment matters.

use super::Outside;
use crate::ctype::{EnumType, Field, StructId, StructType};
use crate::types::{IntType, Space, Type};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// How deep types may be built from others: pointers to arrays of pointers …
pub(super) const DEPTH: u32 = 48;

/// A type.
#[derive(Clone, Debug)]
pub(super) enum CType {
    Void,
    Bool,
    /// Plain `char`: arrays of it are text.
    Char,
    Int(IntType),
    /// What the language has no values of: floating point, 128-bit integers. Size and alignment.
    Opaque(u32),
    Pointer(Rc<CType>, Space),
    /// `None` where it has no stated length.
    Array(Rc<CType>, Option<u32>),
    /// Index into [`Tables::tags`].
    Tag(usize),
    /// A type that is not declared here, and its alignment.
    Known(Type, u32),
    Function,
    /// The same with a greater alignment.
    Aligned(Rc<CType>, u32),
}

/// What is declared under a keyword and a tag, or without a tag.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub keyword: &'static str,
    /// Its tag; for one without, the first `typedef` that names it.
    pub name: Option<Rc<str>>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// None yet.
    Declared,
    Struct(Layout),
    Enum(Arc<EnumType>),
    /// It is declared elsewhere.
    Known(Type, u32),
}

/// A struct or union that is laid out.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub size: u32,
    pub align: u32,
    pub members: Vec<Member>,
}

/// A member in its place.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub name: String,
    pub ty: CType,
    /// Bits from the start of the struct.
    pub offset: u64,
    /// How many bits, for a bitfield.
    pub width: Option<u32>,
}

/// A function that is declared: for the kernel functions of recorded targets.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub name: String,
    pub params: Vec<(String, CType)>,
    pub result: CType,
}

/// Everything declared so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub tags: Vec<Tag>,
    /// By keyword and tag.
    pub by_name: HashMap<String, usize>,
    pub typedefs: HashMap<Rc<str>, CType>,
    /// Constants of enums: the enum's tag, and the value.
    pub constants: HashMap<Rc<str>, (usize, i64)>,
    pub functions: Vec<Function>,
}

/// Size and alignment in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub bytes: u64,
    pub align: u32,
}

impl Tables {
    /// The size of a type; `None` where it has none: `void`, functions, what is only declared.
    pub(super) fn size_of(&self, ty: &CType, outside: &Outside<'_>) -> Option<Size> {
        let both = |bytes: u32| Size {
            bytes: bytes.into(),
            align: bytes.max(1),
        };
        Some(match ty {
            CType::Void | CType::Function => return None,
            CType::Bool | CType::Char => both(1),
            CType::Int(int) => both(int.bytes()),
            CType::Opaque(size) => both(*size),
            CType::Pointer(..) => both(8),
            CType::Array(element, count) => {
                let of = self.size_of(element, outside)?;
                Size {
                    bytes: of.bytes.checked_mul(count.unwrap_or(0).into())?,
                    align: of.align,
                }
            }
            CType::Known(ty, align) => match ty {
                Type::Void => return None,
                Type::Struct(of) if of.size == 0 && is_only_declared(of, outside) => return None,
                ty => Size {
                    bytes: ty.size().into(),
                    align: *align,
                },
            },
            CType::Aligned(of, align) => {
                let of = self.size_of(of, outside)?;
                Size {
                    bytes: of.bytes,
                    align: of.align.max(*align),
                }
            }
            CType::Tag(tag) => match &self.tags.get(*tag)?.body {
                Body::Declared => return None,
                Body::Struct(layout) => Size {
                    bytes: layout.size.into(),
                    align: layout.align,
                },
                Body::Enum(of) => both(of.int.bytes()),
                Body::Known(ty, align) => return self.size_of(&CType::Known(ty.clone(), *align), outside),
            },
        })
    }

    /// The compiler's type. Structs keep their number in the table of tags.
    pub(super) fn to_type(&self, ty: &CType, outside: &Outside<'_>) -> Type {
        match ty {
            CType::Void | CType::Function => Type::Void,
            CType::Bool => Type::Bool,
            CType::Char => Type::Int(CHAR),
            CType::Int(int) => Type::Int(*int),
            CType::Opaque(size) => Type::Bytes(*size),
            CType::Pointer(to, space) => Type::Ptr(Box::new(self.to_type(to, outside)), *space),
            CType::Array(element, count) => match (self.is_char(element), count) {
                (true, Some(count @ 1..)) => Type::Str(*count),
                _ => Type::Array(Box::new(self.to_type(element, outside)), count.unwrap_or(0)),
            },
            CType::Known(ty, _) => ty.clone(),
            CType::Aligned(of, _) => self.to_type(of, outside),
            CType::Tag(index) => {
                let Some(tag) = self.tags.get(*index) else {
                    return Type::Void;
                };
                match &tag.body {
                    Body::Known(ty, _) => ty.clone(),
                    Body::Enum(of) => Type::Enum(Arc::clone(of)),
                    Body::Struct(layout) => Type::Struct(tag.structure(*index, layout.size, outside)),
                    Body::Declared if tag.keyword == "enum" => Type::Int(IntType::U32),
                    Body::Declared => Type::Struct(tag.structure(*index, 0, outside)),
                }
            }
        }
    }

    fn is_char(&self, ty: &CType) -> bool {
        match ty {
            CType::Char => true,
            CType::Aligned(of, _) => self.is_char(of),
            _ => false,
        }
    }

    /// The members of a tag's struct, as the rest of the compiler sees them.
    pub(super) fn fields(&self, layout: &Layout, outside: &Outside<'_>) -> Vec<Field> {
        let field = |member: &Member| {
            let start = u32::try_from(member.offset).unwrap_or(u32::MAX);
            let (name, ty) = (member.name.clone(), self.to_type(&member.ty, outside));
            match member.width {
                Some(width) => Field::bitfield(name, ty, start, width, layout.size),
                None => Field {
                    name,
                    ty,
                    offset: start / 8,
                    bits: None,
                },
            }
        };
        // An unnamed bitfield is padding.
        let shown = |member: &&Member| member.width.is_none() || !member.name.is_empty();
        layout.members.iter().filter(shown).map(field).collect()
    }
}

impl Tag {
    fn structure(&self, index: usize, size: u32, outside: &Outside<'_>) -> StructType {
        StructType {
            id: (outside.id)(index as u32),
            name: self.full_name().into(),
            size,
        }
    }

    /// Its keyword and name.
    pub(super) fn full_name(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {name}", self.keyword),
            None => self.keyword.to_owned(),
        }
    }
}

/// `char`.
pub(super) const CHAR: IntType = IntType {
    bits: 8,
    signed: true,
};

/// Whether nothing tells the members of a struct of no bytes.
fn is_only_declared(of: &StructType, outside: &Outside<'_>) -> bool {
    let known = |id: StructId| outside.target.and_then(|target| target.struct_fields(id).ok());
    known(of.id).is_none_or(|fields| fields.iter().any(|field| field.ty.size() > 0))
}

/// How many types a type is built from, one in another.
pub(super) fn depth(ty: &CType) -> u32 {
    let mut ty = ty;
    let mut depth = 0;
    while let CType::Pointer(of, _) | CType::Array(of, _) | CType::Aligned(of, _) = ty {
        ty = of;
        depth += 1;
    }
    depth
}
