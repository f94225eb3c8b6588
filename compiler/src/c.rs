//! C declarations of a script and of its own headers: where the types come from that neither the kernel nor a traced
//! program describes.
//!
//! In: the C text that stands at the top of a script, a [`Target`](crate::target::Target) for headers and for the
//! kernel's types. Out: [`Declarations`], the types with the layout that a C compiler gives them (LP64, little endian:
//! the System V ABI of x86-64 and AAPCS64 agree on all that is accepted here).

use crate::ctype::{EnumType, Field, StructId, StructType};
use crate::types::Type;
use std::collections::HashMap;
use std::sync::Arc;

/// What a C text declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declarations {
    /// Structs and unions, those without a name as well; [`StructId::Declared`] is an index.
    pub structs: Vec<(StructType, Arc<[Field]>)>,
    /// Types by tag, with the keyword: `struct point`, `enum color`.
    pub tags: HashMap<String, Type>,
    /// What `typedef` names.
    pub typedefs: HashMap<String, Type>,
    /// Constants of enums and macros.
    pub constants: HashMap<String, Constant>,
    /// Whether a header of the system or the kernel (`#include <…>`) was asked for: its names come from the kernel's own
    /// description of its types, so one that is missing there may be a macro.
    pub has_system_headers: bool,
}

impl Declarations {
    /// The type of this tag, or of this typedef where `keyword` is empty.
    pub fn lookup(&self, keyword: &str, name: &str) -> Option<&Type> {
        if keyword.is_empty() {
            return self.typedefs.get(name);
        }
        self.tags.get(&format!("{keyword} {name}"))
    }

    /// The members of a declared struct.
    pub fn fields(&self, id: StructId) -> Option<&Arc<[Field]>> {
        match id {
            StructId::Declared(index) => self.structs.get(index as usize).map(|(_, fields)| fields),
            _ => None,
        }
    }
}

/// What the name of a constant stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A constant of an enum.
    Enum(Arc<EnumType>, i64),
    /// A macro that is an integer; [`Type::Int`] with its C type.
    Int(i64, Type),
    /// A macro that is text, without the quotes.
    Str(String),
}
