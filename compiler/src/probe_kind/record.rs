//! What a program finds in its context: the record of a tracepoint, or the arguments of a function of the kernel.
//!
//! In: a tracepoint's format, or a function's parameters as the target describes them. Out: named fields, where they are
//! in the context, and what they are to a script.

use super::tracepoint::field_value;
use crate::ctype::KernelFunction;
use crate::target::TracepointFormat;
use crate::types::{Space, Type};
use std::sync::Arc;

/// Bytes of the words that the kernel passes arguments in.
const WORD: u32 = 8;

/// What a program finds in its context.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    fields: Arc<[RecordField]>,
    result: Option<Arc<RecordField>>,
}

/// A field of a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordField {
    /// Its name.
    pub name: String,
    /// Where it is in the context, bytes.
    pub offset: u32,
    /// What it is to a script.
    pub value: FieldValue,
}

/// What a field of a record is to a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FieldValue {
    /// A scalar: its type, bytes and signedness.
    Scalar { ty: Type, width: u8, signed: bool },
    /// Text of a fixed number of bytes in the record.
    Text(u32),
    /// Text elsewhere in the record; whether its locator counts from behind itself.
    DynamicText { relative: bool },
    /// What its C type says: an array of `count` elements, a struct, an address. Addresses are of this memory.
    Typed {
        space: Space,
        c_type: String,
        size: u32,
        count: Option<u32>,
        signed: bool,
    },
    /// A value of this type, in its layout.
    Known(Type),
    /// Something that cannot be read yet; what it is.
    Later(&'static str),
}

impl Record {
    /// The record of a tracepoint of `category`.
    pub(super) fn of_event(category: &str, format: &TracepointFormat) -> Self {
        let fields = format.fields.iter().map(|field| RecordField {
            name: field.name.clone(),
            offset: field.offset,
            value: field_value(category, field),
        });
        Self {
            fields: fields.collect(),
            result: None,
        }
    }

    /// The arguments of a function without its first `hidden` ones: words one behind the other, several for a struct
    /// that is passed by value; then the result, where `with_result` and there is one.
    pub(super) fn of_function(function: &KernelFunction, hidden: usize, with_result: bool) -> Self {
        let mut end = 0_u32;
        let mut word = |name: &str, ty: &Type| {
            let offset = end;
            end = end.saturating_add(ty.size().max(1).next_multiple_of(WORD));
            RecordField {
                name: name.to_owned(),
                offset,
                value: FieldValue::Known(ty.clone()),
            }
        };
        let params = function.params.iter().skip(hidden);
        let fields: Vec<RecordField> = params.map(|(name, ty)| word(name, ty)).collect();
        let has_result = with_result && function.result != Type::Void;
        let result = has_result.then(|| Arc::new(word("", &function.result)));
        // What has no type cannot be read; it has its word all the same.
        let known = |field: &RecordField| field.value != FieldValue::Known(Type::Void);
        Self {
            fields: fields.into_iter().filter(known).collect(),
            result,
        }
    }

    /// The field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&RecordField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// All fields, in order.
    pub(crate) fn fields(&self) -> &[RecordField] {
        &self.fields
    }

    /// What the function returned.
    pub(crate) fn result(&self) -> Option<&RecordField> {
        self.result.as_deref()
    }

    /// The names of its fields.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }
}
