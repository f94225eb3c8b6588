//! What a program finds in its context: its fields by their types, and all of it as one struct (`args`).
//!
//! The format file of a tracepoint gives types as C text; the target's types say what they are.

use super::cx::Cx;
use super::memory::record_part;
use crate::codes;
use crate::ctype::Field;
use crate::hir::{Expr, ExprKind, Intrinsic};
use crate::plan::ProgramKind;
use crate::probe_kind::iter;
use crate::probe_kind::record::{FieldValue, RecordField};
use crate::types::{IntType, Space, Type};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// Words of C that say nothing about a value.
const QUALIFIERS: &[&str] = &["const", "volatile", "restrict", "__user", "__rcu"];

impl Cx<'_> {
    /// `args`: the record as a struct of its fields.
    pub(super) fn whole_record(&mut self, span: Span) -> Option<Expr> {
        let (record, _) = self.program.record.clone()?;
        let fields: Vec<Field> = (record.fields().iter())
            .map(|field| Field {
                name: field.name.clone(),
                ty: self.declared_field(&field.value),
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

    /// `retval` where its type is known.
    pub(super) fn typed_result(&mut self, span: Span) -> Option<Expr> {
        let (record, place) = self.program.record.clone()?;
        match record.result() {
            Some(result) => self.field_of_record(result, span),
            None => {
                let message = format!("{place} returns nothing");
                self.report(Diagnostic::error(&codes::NOT_OFFERED, span, message))
            }
        }
    }

    /// `ctx`: the address of the program's context, with the type that the kernel gives it.
    pub(super) fn context(&mut self, span: Span) -> Option<Expr> {
        let tag = match (self.program_kind()?, &self.program.list) {
            (_, Some(list)) => format!("{}{list}", iter::CONTEXT),
            (ProgramKind::Kprobe, _) => "pt_regs".to_owned(),
            (ProgramKind::PerfEvent, _) => "bpf_perf_event_data".to_owned(),
            (ProgramKind::RawTracepoint, _) => "bpf_raw_tracepoint_args".to_owned(),
            // A record of no common type.
            (ProgramKind::Tracepoint | ProgramKind::Tracing, None) => String::new(),
        };
        let to = self
            .types
            .lookup_kernel_type("struct", &tag)
            .unwrap_or(Type::Void);
        Some(Expr {
            kind: ExprKind::Intrinsic(Intrinsic::Context, Vec::new()),
            ty: Type::Ptr(Box::new(to), Space::Kernel),
            span,
        })
    }

    /// What a field is within the struct.
    fn declared_field(&self, value: &FieldValue) -> Type {
        match value {
            FieldValue::Scalar { ty, .. } | FieldValue::Known(ty) => ty.clone(),
            FieldValue::Text(size) => Type::Str(*size),
            FieldValue::Typed { .. } => self.typed(value),
            // The locator itself.
            FieldValue::DynamicText { .. } | FieldValue::Later(_) => Type::U32,
        }
    }

    /// The value of a field.
    pub(super) fn field_of_record(&mut self, field: &RecordField, span: Span) -> Option<Expr> {
        let offset = field.offset;
        let (kind, ty) = match &field.value {
            FieldValue::Scalar { ty, width, signed } => (
                ExprKind::RecordField {
                    offset,
                    width: *width,
                    signed: *signed,
                },
                ty.clone(),
            ),
            FieldValue::Text(size) => (ExprKind::RecordText { offset, size: *size }, Type::Str(size + 1)),
            FieldValue::DynamicText { relative } => {
                let relative = *relative;
                (ExprKind::RecordDynamicText { offset, relative }, self.text_type())
            }
            FieldValue::Known(_) | FieldValue::Typed { .. } => {
                return Some(record_part(offset, &self.declared_field(&field.value), span));
            }
            FieldValue::Later(what) => {
                return self.later(span, &format!("{what}, which `{}` is one of", field.name));
            }
        };
        Some(Expr { kind, ty, span })
    }

    /// The type of a field whose C type is known as text.
    fn typed(&self, value: &FieldValue) -> Type {
        let FieldValue::Typed {
            space,
            c_type,
            size,
            count,
            signed,
        } = value
        else {
            return Type::Void;
        };
        let element = size / count.unwrap_or(1).max(1);
        let stated = || match element {
            1 | 2 | 4 | 8 => Type::Int(IntType {
                bits: (element * 8) as u8,
                signed: *signed,
            }),
            _ => Type::Bytes(element),
        };
        let known = self.type_of_text(c_type, *space);
        let ty = known.filter(|ty| ty.size() == element).unwrap_or_else(stated);
        match count {
            Some(count) => Type::Array(Box::new(ty), (*count).max(1)),
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
