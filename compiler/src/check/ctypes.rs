//! C types by name: structs, unions, enums, typedefs and constants of the target, and the fields of structs.

use super::cx::Cx;
use crate::c::Constant;
use crate::codes;
use crate::ctype::{Bits, Field, StructId, StructType};
use crate::hir::{Expr, ExprKind};
use crate::plan::Event;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::{Space, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;
use std::collections::HashMap;
use std::sync::Arc;

/// Where a member of a struct is.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Bytes from the start of the struct that was asked.
    pub offset: u32,
    pub ty: Type,
    pub bits: Option<Bits>,
}

impl Cx<'_> {
    /// The struct, union or enum with this tag (`keyword` says which), or the typedef where that is empty.
    pub(super) fn c_type(&mut self, keyword: &'static str, name: &str, span: Span) -> Option<Type> {
        let error = match self.types.lookup_type(keyword, name) {
            Ok(ty) => return Some(ty),
            Err(error) => error,
        };
        if self.is_silent() {
            return None;
        }
        let diagnostic = self.types.unknown_type(keyword, name, error, span);
        self.report(diagnostic)
    }

    /// The fields of a struct.
    pub(super) fn fields_of(&mut self, of: &StructType, span: Span) -> Option<Arc<[Field]>> {
        match self.known_fields(of.id) {
            Some(fields) => Some(fields),
            None => {
                let message = format!("the fields of `{of}` are not known");
                self.report(Diagnostic::error(&codes::UNKNOWN_FIELD, span, message))
            }
        }
    }

    fn known_fields(&self, id: StructId) -> Option<Arc<[Field]>> {
        self.types.fields(id).ok()
    }

    /// The constant of an enum or macro that a bare word is.
    pub(super) fn c_constant(&mut self, name: &str, span: Span) -> Option<Expr> {
        let (kind, ty) = match self.types.constant(name)? {
            Constant::Enum(of, value) => (ExprKind::Const(value), Type::Enum(of)),
            // As a literal would be.
            Constant::Int(value, Type::Int(int)) if int.signed || value >= 0 => {
                (ExprKind::Const(value), Type::I64)
            }
            Constant::Int(value, ty) => (ExprKind::Const(value), ty),
            Constant::Str(text) => return self.text(text.as_bytes(), span),
        };
        Some(Expr { kind, ty, span })
    }

    /// The member `name` of a struct, also where an anonymous member has it.
    pub(super) fn struct_member(&mut self, of: &StructType, name: &ast::Name) -> Option<Member> {
        let fields = self.fields_of(of, name.span)?;
        if let Some(member) = self.find_member(&fields, &name.node, 0) {
            return Some(member);
        }
        if self.is_silent() {
            return None;
        }
        let is_broken = self
            .diagnostics
            .iter()
            .any(|other| other.code.id == codes::BAD_C.id);
        if of.size == 0 && fields.is_empty() && is_broken {
            // Its definition was not understood, and that has been told.
            return None;
        }
        let message = if of.size == 0 && fields.is_empty() {
            format!("`{of}` is only declared: its fields are not known")
        } else {
            format!("`{of}` has no field `{}`", name.node)
        };
        let diagnostic = Diagnostic::error(&codes::UNKNOWN_FIELD, name.span, message);
        let mut names = Vec::new();
        self.member_names(&fields, &mut names);
        self.report(did_you_mean(
            diagnostic,
            &similar(&name.node, names.iter().map(String::as_str), 3),
        ))
    }

    fn find_member(&self, fields: &[Field], name: &str, base: u32) -> Option<Member> {
        for field in fields {
            let offset = base + field.offset;
            if field.name == name {
                return Some(Member {
                    offset,
                    ty: field.ty.clone(),
                    bits: field.bits,
                });
            }
            if let Some(inner) = self.anonymous(field)
                && let Some(found) = self.find_member(&inner, name, offset)
            {
                return Some(found);
            }
        }
        None
    }

    fn member_names(&self, fields: &[Field], out: &mut Vec<String>) {
        for field in fields {
            match self.anonymous(field) {
                Some(inner) => self.member_names(&inner, out),
                None => out.push(field.name.clone()),
            }
        }
    }

    /// The fields of an anonymous struct or union.
    fn anonymous(&self, field: &Field) -> Option<Arc<[Field]>> {
        match &field.ty {
            Type::Struct(of) if field.name.is_empty() => self.known_fields(of.id),
            _ => None,
        }
    }

    /// The fields of every struct of which the script shows values.
    pub(super) fn shown_structs<'t>(
        &self,
        events: &'t [Event],
        maps: impl Iterator<Item = &'t Type>,
    ) -> HashMap<StructId, Arc<[Field]>> {
        let mut found = HashMap::new();
        let sent = events.iter().flat_map(|event| &event.args).map(|arg| &arg.ty);
        for ty in maps.chain(sent) {
            self.add_structs(ty, &mut found);
        }
        found
    }

    fn add_structs(&self, ty: &Type, found: &mut HashMap<StructId, Arc<[Field]>>) {
        match ty {
            Type::Struct(of) if !found.contains_key(&of.id) => {
                let Some(fields) = self.known_fields(of.id) else {
                    return;
                };
                found.insert(of.id, Arc::clone(&fields));
                fields.iter().for_each(|field| self.add_structs(&field.ty, found));
            }
            Type::Array(element, _) => self.add_structs(element, found),
            ty => ty.members().for_each(|member| self.add_structs(member, found)),
        }
    }
}

/// The type of a field as it is read from `space`: pointers within user memory point there.
pub(super) fn in_space(ty: &Type, space: Space) -> Type {
    match (ty, space) {
        (Type::Ptr(to, _), Space::User) => Type::Ptr(to.clone(), Space::User),
        (Type::Array(element, n), Space::User) => Type::Array(Box::new(in_space(element, space)), *n),
        _ => ty.clone(),
    }
}

/// The type of the value of a field: a character array is text, which needs room for a NUL.
pub(super) fn as_value(ty: Type) -> Type {
    match ty {
        Type::Str(n) => Type::Str(n + 1),
        ty => ty,
    }
}
