//! The record of a tracepoint: its fields by their C types, and all of it as one struct (`args`).
//!
//! The format file of a tracepoint gives types as C text; the target's types say what they are.

use super::cx::Cx;
use super::memory::record_part;
use crate::ctype::Field;
use crate::hir::{Expr, ExprKind};
use crate::probe_kind::tracepoint::{FieldValue, Record};
use crate::target::TracepointField;
use crate::types::{IntType, Space, Type};
use crumbs_grammar::span::Span;

/// Words of C that say nothing about a value.
const QUALIFIERS: &[&str] = &["const", "volatile", "restrict", "__user", "__rcu"];

impl Cx<'_> {
    /// `args`: the record as a struct of its fields.
    pub(super) fn whole_record(&mut self, span: Span) -> Option<Expr> {
        let (record, _) = self.program.record.clone()?;
        let fields: Vec<Field> = (record.fields())
            .map(|(field, value)| Field {
                name: field.name.clone(),
                ty: self.declared_field(field, &value),
                offset: field.offset,
                bits: None,
            })
            .collect();
        let end = fields.iter().map(|field| field.offset + field.ty.size()).max();
        let of = self
            .types
            .args_struct(end.unwrap_or(0).next_multiple_of(8), fields.into());
        Some(Expr {
            kind: ExprKind::RecordBytes { offset: 0 },
            ty: Type::Struct(of),
            span,
        })
    }

    /// What a field is within the struct.
    fn declared_field(&self, field: &TracepointField, value: &FieldValue) -> Type {
        match value {
            FieldValue::Scalar { ty, .. } => ty.clone(),
            FieldValue::Text(size) => Type::Str(*size),
            FieldValue::Typed { space, .. } => self.field_type(field, *space),
            // The locator itself.
            FieldValue::DynamicText { .. } | FieldValue::Later(_) => Type::U32,
        }
    }

    /// The value of a field that its C type decides.
    pub(super) fn typed_field(&self, field: &TracepointField, space: Space, span: Span) -> Expr {
        record_part(field.offset, &self.field_type(field, space), span)
    }

    fn field_type(&self, field: &TracepointField, space: Space) -> Type {
        let count = field.array.unwrap_or(1).max(1);
        let element = field.size / count;
        let stated = || match element {
            1 | 2 | 4 | 8 => Type::Int(IntType {
                bits: (element * 8) as u8,
                signed: field.signed,
            }),
            _ => Type::Bytes(element),
        };
        let known = self.type_of_text(&field.c_type, space);
        let ty = known.filter(|ty| ty.size() == element).unwrap_or_else(stated);
        match field.array {
            Some(_) => Type::Array(Box::new(ty), count),
            None => ty,
        }
    }

    /// The type that C text of the form `const struct x *` means, where it is known.
    fn type_of_text(&self, text: &str, space: Space) -> Option<Type> {
        let base = text.trim_end_matches(|c: char| c == '*' || c.is_whitespace());
        let stars = text.matches('*').count();
        let base = base.replace('*', " ");
        let words: Vec<&str> = base
            .split_whitespace()
            .filter(|word| !QUALIFIERS.contains(word))
            .collect();
        let base = match words.as_slice() {
            [keyword @ ("struct" | "union" | "enum"), name] => self.types.lookup_type(keyword, name).ok(),
            ["void"] => Some(Type::Void),
            words => self.type_by_name(&words.join(" ")),
        };
        // An address of something unknown is still an address.
        let base = if stars > 0 {
            base.unwrap_or(Type::Void)
        } else {
            base?
        };
        Some((0..stars).fold(base, |to, _| Type::Ptr(Box::new(to), space)))
    }
}

impl Record {
    /// Its fields, and what each is to a script.
    fn fields(&self) -> impl Iterator<Item = (&TracepointField, FieldValue)> {
        self.field_names().filter_map(|name| self.field(name))
    }
}
