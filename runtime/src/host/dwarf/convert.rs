//! From entries of debug information to the compiler's types.
//!
//! In: an entry. Out: [`Type`], [`Field`]s, the text of a C type, how a value is passed. Typedefs and qualifiers are looked
//! through; structs are named, not entered, so pointers may go in circles. What makes no sense becomes [`Type::Void`].

use super::info::Die;
use crumbs_compiler::ctype::{EnumType, Field, StructId, StructType};
use crumbs_compiler::signature::{Class, Passing};
use crumbs_compiler::types::{IntType, Space, Type};
use gimli::{AttributeValue, DwTag, Operation, constants};
use std::sync::Arc;

/// So many references are followed from one type: more than programs nest, and an end to circles.
const DEPTH: u32 = 64;

/// The most members, parameters or constants that are read of one entry.
const MAX_CHILDREN: usize = 1 << 16;

/// The most dimensions of an array.
const MAX_DIMENSIONS: usize = 16;

/// The most members that are looked at to see how a value is passed: at most 32 bytes have few, but unions nest.
const MAX_MEMBERS: u32 = 256;

/// Members of members of so many levels are asked how they are copied.
const CLASS_DEPTH: u32 = 3;

/// Values larger than this are never passed in registers of any kind.
const MAX_WORDS: u32 = 4;

impl Die<'_, '_> {
    /// The type that this entry is.
    pub(super) fn as_type(&self) -> Type {
        convert(self, DEPTH)
    }

    /// The type of what this entry describes; [`Type::Void`] where it has none.
    pub(super) fn type_of(&self) -> Type {
        self.ty().map_or(Type::Void, |ty| ty.as_type())
    }

    /// Bytes of a type; 0 where it does not say.
    fn size(&self) -> u32 {
        let size = self.number(constants::DW_AT_byte_size).unwrap_or_default();
        u32::try_from(size).unwrap_or_default()
    }

    /// The type behind typedefs and qualifiers; `None` for `void` and for circles.
    pub(super) fn stripped(self) -> Option<Self> {
        let mut die = self;
        for _ in 0..DEPTH {
            if !is_alias(die.tag()) {
                return Some(die);
            }
            die = die.ty()?;
        }
        None
    }

    /// Its keyword and name, as a script names it: `struct stat`; the keyword where it has no name.
    fn tagged(&self) -> String {
        let keyword = keyword(self.tag());
        match self.name() {
            Some(name) => format!("{keyword} {name}"),
            None => keyword.to_owned(),
        }
    }

    /// A struct or union.
    fn structure(&self) -> StructType {
        StructType {
            id: StructId::Binary {
                binary: self.info.number,
                id: self.place(),
            },
            name: self.tagged().into(),
            size: if self.is_declaration() { 0 } else { self.size() },
        }
    }

    fn enumeration(&self) -> Type {
        let size = self.size();
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Type::Bytes(size);
        }
        let constants = self.children(MAX_CHILDREN, |tag| tag == constants::DW_TAG_enumerator);
        let value = |die: &Die<'_, '_>| {
            let value = die.signed_number(constants::DW_AT_const_value)?;
            Some((die.name()?, value))
        };
        let variants: Vec<(String, i64)> = constants.iter().filter_map(value).collect();
        let int = IntType {
            bits: (size * 8) as u8,
            signed: variants.iter().any(|(_, value)| *value < 0),
        };
        Type::Enum(Arc::new(EnumType {
            name: self.tagged(),
            int,
            variants,
        }))
    }

    /// The number of elements of each dimension of an array; 0 where that is not known.
    fn dimensions(&self) -> Vec<u32> {
        let ranges = self.children(MAX_DIMENSIONS, |tag| tag == constants::DW_TAG_subrange_type);
        let count = |die: &Die<'_, '_>| {
            let upper = || die.signed_number(constants::DW_AT_upper_bound)?.checked_add(1);
            let count = die.signed_number(constants::DW_AT_count).or_else(upper)?;
            u32::try_from(count).ok()
        };
        ranges.iter().map(|die| count(die).unwrap_or_default()).collect()
    }

    /// The members of a struct or union, base classes as members without a name.
    pub(super) fn fields(&self) -> Vec<Field> {
        let is_member = |tag| matches!(tag, constants::DW_TAG_member | constants::DW_TAG_inheritance);
        let members = self.children(MAX_CHILDREN, is_member);
        let size = self.size();
        // Static members are declarations.
        let members = members.iter().filter(|member| !member.is_declaration());
        members.filter_map(|member| member.field(size)).collect()
    }

    /// This member of a struct of `size` bytes.
    fn field(&self, size: u32) -> Option<Field> {
        let name = match self.tag() {
            constants::DW_TAG_inheritance => String::new(),
            _ => self.name().unwrap_or_default(),
        };
        let ty = self.type_of();
        let offset = self.member_offset()?;
        let Some(width) = self.number(constants::DW_AT_bit_size) else {
            return Some(Field {
                name,
                ty,
                offset,
                bits: None,
            });
        };
        let width = u32::try_from(width).ok()?;
        let first = match self.number(constants::DW_AT_data_bit_offset) {
            Some(bit) => u32::try_from(bit).ok()?,
            // Before DWARF 4: counted from the most significant bit of its storage.
            None => {
                let storage = match self.size() {
                    0 => ty.size(),
                    size => size,
                };
                let before = u32::try_from(self.number(constants::DW_AT_bit_offset)?).ok()?;
                let unused = storage.checked_mul(8)?.checked_sub(before.checked_add(width)?)?;
                offset.checked_mul(8)?.checked_add(unused)?
            }
        };
        Some(Field::bitfield(name, ty, first, width, size))
    }

    fn member_offset(&self) -> Option<u32> {
        let offset = match self.value(constants::DW_AT_data_member_location) {
            None => 0,
            Some(AttributeValue::Exprloc(expression)) => {
                let mut operations = expression.operations(self.unit.encoding());
                match operations.next().ok()?? {
                    Operation::PlusConstant { value } => value,
                    // Virtual base classes have no fixed place.
                    _ => return None,
                }
            }
            Some(value) => value.udata_value()?,
        };
        u32::try_from(offset).ok()
    }

    /// The type as C writes it: `struct Foo*`, `const char*`, `int[4]`.
    pub(super) fn c_text(&self) -> String {
        text(self, DEPTH)
    }

    /// How a value of this type is passed.
    pub(super) fn passing(self) -> Passing {
        let Some(die) = self.stripped() else {
            return Passing::Words(vec![Class::Integer]);
        };
        if is_structure(die.tag()) && die.is_copied_by_code(CLASS_DEPTH) {
            return Passing::Reference;
        }
        let size = die.as_type().size();
        let words = size.div_ceil(8).max(1);
        if words > MAX_WORDS {
            return Passing::Memory {
                align: die.align(DEPTH),
            };
        }
        let mut classes = Classes {
            words: vec![None; words as usize],
            in_memory: false,
            members: 0,
        };
        classes.add(&die, 0, DEPTH);
        if classes.in_memory {
            return Passing::Memory {
                align: die.align(DEPTH),
            };
        }
        let words: Vec<Class> = classes
            .words
            .into_iter()
            .map(|class| class.unwrap_or(Class::Integer))
            .collect();
        if words.len() > 2 && words.contains(&Class::Integer) {
            return Passing::Memory {
                align: die.align(DEPTH),
            };
        }
        Passing::Words(words)
    }

    /// Whether it is a C++ class that is not copied as bytes. Not all compilers say so; what makes a class one (C++ ABI,
    /// 1.1): virtual functions, or a copy constructor or destructor of its own, or of a base class or member.
    fn is_copied_by_code(&self, depth: u32) -> bool {
        match self.value(constants::DW_AT_calling_convention) {
            Some(AttributeValue::CallingConvention(constants::DW_CC_pass_by_reference)) => return true,
            Some(AttributeValue::CallingConvention(constants::DW_CC_pass_by_value)) => return false,
            _ => {}
        }
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        if self.entry.has_attr(constants::DW_AT_containing_type) {
            return true;
        }
        let parts = self.children(MAX_MEMBERS as usize, |tag| {
            matches!(
                tag,
                constants::DW_TAG_member | constants::DW_TAG_inheritance | constants::DW_TAG_subprogram
            )
        });
        parts.iter().any(|part| match part.tag() {
            constants::DW_TAG_subprogram => self.is_own_copy_code(part),
            _ if part.is_declaration() => false,
            _ => part
                .ty()
                .and_then(Die::stripped)
                .is_some_and(|ty| is_structure(ty.tag()) && ty.is_copied_by_code(depth)),
        })
    }

    /// Whether a member function is a destructor or copy constructor that the class has written itself.
    fn is_own_copy_code(&self, function: &Die<'_, '_>) -> bool {
        let is_generated = function.flag(constants::DW_AT_artificial)
            || matches!(
                function.value(constants::DW_AT_defaulted),
                Some(AttributeValue::Udata(1) | AttributeValue::Data1(1))
            );
        let Some(name) = function.name().filter(|_| !is_generated) else {
            return false;
        };
        if name.starts_with('~') {
            return true;
        }
        // `Name(const Name &)`, behind the hidden first parameter.
        let params = function.children(3, |tag| tag == constants::DW_TAG_formal_parameter);
        let [_, from] = params.as_slice() else {
            return false;
        };
        let class = self.name().unwrap_or_default();
        let reference = from
            .ty()
            .filter(|ty| ty.tag() == constants::DW_TAG_reference_type);
        let of = reference.and_then(|ty| ty.ty()).and_then(Die::stripped);
        class.split('<').next() == Some(name.as_str()) && of.is_some_and(|of| of.place() == self.place())
    }

    /// The alignment of a type, as far as it decides where an argument lies.
    fn align(&self, depth: u32) -> u32 {
        let stated = self.number(constants::DW_AT_alignment);
        let is_wide = self.tag() == constants::DW_TAG_base_type && self.size() >= 16;
        let members = || {
            let depth = depth.checked_sub(1)?;
            let members = self.children(MAX_MEMBERS as usize, |tag| tag == constants::DW_TAG_member);
            let member = |member: Die<'_, '_>| Some(member.ty()?.stripped()?.align(depth));
            members.into_iter().filter_map(member).max()
        };
        match stated.and_then(|align| u32::try_from(align).ok()) {
            Some(align) => align,
            None if is_wide => 16,
            // Structs of structs of structs: one look is enough for all that is aligned to 16.
            None if depth > DEPTH - 4 && is_structure(self.tag()) => members().unwrap_or(8),
            None => 8,
        }
    }
}

/// What the words of a value are.
struct Classes {
    words: Vec<Option<Class>>,
    in_memory: bool,
    members: u32,
}

impl Classes {
    /// Adds a part of type `die` at `offset`.
    fn add(&mut self, die: &Die<'_, '_>, offset: u32, depth: u32) {
        self.members += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| self.members < MAX_MEMBERS) else {
            self.in_memory = true;
            return;
        };
        if is_structure(die.tag()) {
            let is_member = |tag| matches!(tag, constants::DW_TAG_member | constants::DW_TAG_inheritance);
            for member in die.children(MAX_MEMBERS as usize, is_member) {
                let at = member.member_offset().and_then(|at| at.checked_add(offset));
                let ty = member.ty().and_then(Die::stripped);
                match (at, ty) {
                    _ if member.is_declaration() => {}
                    (Some(at), Some(ty)) => self.add(&ty, at, depth),
                    _ => self.in_memory = true,
                }
            }
            return;
        }
        let size = die.as_type().size();
        if die.tag() == constants::DW_TAG_array_type {
            let Some(element) = die.ty().and_then(Die::stripped) else {
                return;
            };
            let step = element.as_type().size().max(1);
            for at in (0..size).step_by(step as usize) {
                if self.in_memory {
                    return;
                }
                self.add(&element, offset.saturating_add(at), depth);
            }
            return;
        }
        let class = match float_size(die) {
            // A `long double` is 16 bytes.
            Some(16..) => {
                self.in_memory = true;
                return;
            }
            Some(_) => Class::Float,
            None => Class::Integer,
        };
        let last = offset.saturating_add(size.max(1) - 1);
        // Parts across words are those of packed structs.
        if !offset.is_multiple_of(size.clamp(1, 8)) {
            self.in_memory = true;
        }
        for word in offset / 8..=last / 8 {
            if let Some(known) = self.words.get_mut(word as usize) {
                let is_integer = class == Class::Integer || *known == Some(Class::Integer);
                *known = Some(if is_integer { Class::Integer } else { Class::Float });
            }
        }
    }
}

fn convert(die: &Die<'_, '_>, depth: u32) -> Type {
    let Some(depth) = depth.checked_sub(1) else {
        return Type::Void;
    };
    let target = || die.ty().map_or(Type::Void, |ty| convert(&ty, depth));
    match die.tag() {
        tag if is_alias(tag) => target(),
        constants::DW_TAG_base_type => base(die),
        constants::DW_TAG_pointer_type
        | constants::DW_TAG_reference_type
        | constants::DW_TAG_rvalue_reference_type => Type::Ptr(Box::new(target()), Space::User),
        tag if is_structure(tag) => Type::Struct(die.structure()),
        constants::DW_TAG_enumeration_type => die.enumeration(),
        constants::DW_TAG_array_type => array(die, target()),
        // Pointers to members of classes.
        constants::DW_TAG_ptr_to_member_type => match die.size() {
            16 => Type::Bytes(16),
            _ => Type::U64,
        },
        _ => Type::Void,
    }
}

fn base(die: &Die<'_, '_>) -> Type {
    let size = die.size();
    let encoding = match die.value(constants::DW_AT_encoding) {
        Some(AttributeValue::Encoding(encoding)) => encoding,
        _ => constants::DW_ATE_unsigned,
    };
    let signed = matches!(encoding, constants::DW_ATE_signed | constants::DW_ATE_signed_char);
    match (encoding, size) {
        (constants::DW_ATE_boolean, 1) => Type::Bool,
        (constants::DW_ATE_float | constants::DW_ATE_complex_float, _) => Type::Bytes(size),
        // Scripts expect text of `char`, which is unsigned on some machines.
        (constants::DW_ATE_unsigned_char, 1) if die.is_called("char") => char_type(),
        (_, 1 | 2 | 4 | 8) => Type::Int(IntType {
            bits: (size * 8) as u8,
            signed,
        }),
        _ => Type::Bytes(size),
    }
}

fn char_type() -> Type {
    Type::Int(IntType {
        bits: 8,
        signed: true,
    })
}

fn array(die: &Die<'_, '_>, element: Type) -> Type {
    let mut dimensions = die.dimensions();
    let is_text = element == char_type()
        && die
            .ty()
            .and_then(Die::stripped)
            .is_some_and(|e| e.is_called("char"));
    let mut ty = match dimensions.pop() {
        Some(count @ 1..) if is_text => Type::Str(count),
        Some(count) => Type::Array(Box::new(element), count),
        None => Type::Array(Box::new(element), 0),
    };
    while let Some(count) = dimensions.pop() {
        ty = Type::Array(Box::new(ty), count);
    }
    ty
}

/// Bytes of a floating-point type; `None` for others.
fn float_size(die: &Die<'_, '_>) -> Option<u32> {
    let is_float = match die.value(constants::DW_AT_encoding)? {
        AttributeValue::Encoding(encoding) => {
            encoding == constants::DW_ATE_float || encoding == constants::DW_ATE_complex_float
        }
        _ => false,
    };
    (is_float && die.tag() == constants::DW_TAG_base_type).then(|| die.size())
}

fn text(die: &Die<'_, '_>, depth: u32) -> String {
    let Some(depth) = depth.checked_sub(1) else {
        return "void".to_owned();
    };
    let target = || die.ty().map_or("void".to_owned(), |ty| text(&ty, depth));
    let qualified = |word: &str| match target() {
        // What is qualified is the pointer itself.
        pointer if pointer.ends_with('*') => format!("{pointer} {word}"),
        other => format!("{word} {other}"),
    };
    match die.tag() {
        constants::DW_TAG_const_type => qualified("const"),
        constants::DW_TAG_volatile_type => qualified("volatile"),
        constants::DW_TAG_restrict_type | constants::DW_TAG_atomic_type => target(),
        constants::DW_TAG_pointer_type => match die.ty().and_then(Die::stripped) {
            Some(function) if function.tag() == constants::DW_TAG_subroutine_type => {
                let result = function.ty().map_or("void".to_owned(), |ty| text(&ty, depth));
                let of = |tag| tag == constants::DW_TAG_formal_parameter;
                let params = function.children(16, of).into_iter();
                let params: Vec<_> = params
                    .map(|param| param.ty().map_or("void".to_owned(), |ty| text(&ty, depth / 4)))
                    .collect();
                format!("{result} (*)({})", params.join(", "))
            }
            _ => format!("{}*", target()),
        },
        constants::DW_TAG_reference_type => format!("{}&", target()),
        constants::DW_TAG_rvalue_reference_type => format!("{}&&", target()),
        constants::DW_TAG_array_type => {
            let bounds: String = die.dimensions().iter().map(|n| format!("[{n}]")).collect();
            format!("{}{bounds}", target())
        }
        tag if is_structure(tag) || tag == constants::DW_TAG_enumeration_type => die.tagged(),
        constants::DW_TAG_subroutine_type => format!("{} ()", target()),
        _ => die.name().unwrap_or_else(|| "void".to_owned()),
    }
}

pub(super) fn is_structure(tag: DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_structure_type | constants::DW_TAG_class_type | constants::DW_TAG_union_type
    )
}

fn is_alias(tag: DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_typedef
            | constants::DW_TAG_const_type
            | constants::DW_TAG_volatile_type
            | constants::DW_TAG_restrict_type
            | constants::DW_TAG_atomic_type
    )
}

/// What stands before its name in a script.
fn keyword(tag: DwTag) -> &'static str {
    match tag {
        constants::DW_TAG_union_type => "union",
        constants::DW_TAG_enumeration_type => "enum",
        _ => "struct",
    }
}
