//! What is behind addresses and within values: `*p`, `p->f`, `s.f`, `a[i]`, `&v`.
//!
//! A chain of members that lie in one object (`p->a.b[2].c`) becomes one [`ExprKind::Read`] at the sum of their offsets;
//! only going through a pointer makes another.

use super::convert::{as_type, const_value};
use super::ctypes::{as_value, in_space};
use super::cx::Cx;
use super::statements::described;
use crate::codes;
use crate::ctype::Bits;
use crate::hir::{ArithOp, Expr, ExprKind};
use crate::types::{IntType, Space, Type};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// The type of a character of text.
const CHAR: Type = Type::Int(IntType {
    bits: 8,
    signed: true,
});

/// The type of a byte of a buffer.
const BYTE: Type = Type::Int(IntType {
    bits: 8,
    signed: false,
});

fn expr(kind: ExprKind, ty: Type, span: Span) -> Expr {
    Expr { kind, ty, span }
}

impl Cx<'_> {
    /// The field type `ty` at `offset` behind an address.
    pub(super) fn read_at(
        &self,
        address: Expr,
        offset: u32,
        ty: &Type,
        bits: Option<Bits>,
        span: Span,
    ) -> Expr {
        let space = match address.ty {
            Type::Ptr(_, space) => space,
            _ => Space::Kernel,
        };
        let ty = as_value(in_space(ty, space));
        let address = Box::new(address);
        expr(
            ExprKind::Read {
                address,
                offset,
                bits,
            },
            ty,
            span,
        )
    }

    /// The field type `ty` at `offset` within a value.
    fn part_of(&self, value: Expr, offset: u32, ty: &Type, bits: Option<Bits>, span: Span) -> Expr {
        match value.kind {
            ExprKind::Read {
                address,
                offset: base,
                bits: None,
            } => self.read_at(*address, base + offset, ty, bits, span),
            ExprKind::RecordBytes { offset: base } if bits.is_none() => record_part(base + offset, ty, span),
            ExprKind::Part {
                of,
                offset: base,
                bits: None,
            } => {
                let (offset, ty) = (base + offset, as_value(in_space(ty, self.memory())));
                expr(ExprKind::Part { of, offset, bits }, ty, span)
            }
            _ => {
                // Where the value came from is not known any more: pointers in it are the probe's usual ones.
                let ty = as_value(in_space(ty, self.memory()));
                let of = Box::new(value);
                expr(ExprKind::Part { of, offset, bits }, ty, span)
            }
        }
    }

    /// `of.name`, `of->name` on anything but the probe's arguments.
    pub(super) fn member_named(&mut self, of: Expr, name: &ast::Name, span: Span) -> Option<Expr> {
        match of.ty.clone() {
            Type::Ptr(to, _) => match &*to {
                Type::Struct(of_type) => {
                    let member = self.struct_member(of_type, name)?;
                    Some(self.read_at(of, member.offset, &member.ty, member.bits, span))
                }
                to => self.no_fields(&format!("what {} points to", described(&of.ty)), to, name),
            },
            Type::Struct(of_type) => {
                let member = self.struct_member(&of_type, name)?;
                Some(self.part_of(of, member.offset, &member.ty, member.bits, span))
            }
            Type::Record(members) => {
                let Some(at) = members.iter().position(|(other, _)| *other == name.node) else {
                    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
                    let message = format!("the record has no field `{}`", name.node);
                    return self.report(
                        Diagnostic::error(&codes::UNKNOWN_FIELD, name.span, message)
                            .help(format!("its fields are {}", names.join(", "))),
                    );
                };
                let ty = members[at].1.clone();
                Some(expr(ExprKind::Member(Box::new(of), at as u32), ty, span))
            }
            ty => self.no_fields(&described(&ty), &ty, name),
        }
    }

    fn no_fields(&mut self, what: &str, ty: &Type, name: &ast::Name) -> Option<Expr> {
        let message = format!("{what} has no fields");
        let diagnostic = Diagnostic::error(&codes::UNKNOWN_FIELD, name.span, message);
        self.report(match ty {
            Type::Int(_) | Type::Void => diagnostic.help(format!(
                "say what it points to: `((struct NAME *)…)->{}`",
                name.node
            )),
            _ => diagnostic,
        })
    }

    /// `*e`.
    pub(super) fn deref(&mut self, of: &ast::Expr, span: Span) -> Option<Expr> {
        if let ast::ExprKind::Cast(ty, text) = &of.kind
            && let ast::ExprKind::Str(_) = text.kind
        {
            return self.bytes_of_text(ty, text, span);
        }
        let pointer = self.value(of)?;
        match &pointer.ty {
            Type::Ptr(to, _) if to.size() > 0 => {
                let to = to.clone();
                Some(self.read_at(pointer, 0, &to, None, span))
            }
            // As in bpftrace, a number is the address of a number.
            Type::Int(_) => {
                let to = Type::Ptr(Box::new(Type::U64), self.memory());
                let pointer = as_type(as_type(pointer, &Type::U64), &to);
                Some(self.read_at(pointer, 0, &Type::U64, None, span))
            }
            ty => {
                let message = format!("`*` cannot take {}", described(ty));
                self.report(
                    Diagnostic::error(&codes::BAD_OPERANDS, span, message)
                        .help("say what it points to: `*(uint32 *)…`"),
                )
            }
        }
    }

    /// `*(type *)"text"`: the first bytes of the text and its NUL.
    fn bytes_of_text(&mut self, ty: &ast::TypeExpr, text: &ast::Expr, span: Span) -> Option<Expr> {
        let (ty, text) = (self.resolve_type(ty), self.value(text));
        let (ty, text) = (ty?, text?);
        match ty {
            Type::Ptr(to, _) if (1..=text.ty.size()).contains(&to.size()) => {
                Some(self.part_of(text, 0, &to, None, span))
            }
            ty => {
                let message = format!("{} cannot be cast to {}", described(&text.ty), described(&ty));
                self.report(Diagnostic::error(&codes::BAD_CAST, span, message))
            }
        }
    }

    /// `&e`.
    pub(super) fn address_of(&mut self, of: &ast::Expr, span: Span) -> Option<Expr> {
        if let ast::ExprKind::Var(name) = &of.kind {
            let var = self.defined_var(name, of.span)?;
            let inferring = self.is_inferring();
            let fact = self.var_fact(var);
            if !fact.assigned && !fact.value.fixed && !inferring {
                // That it is never assigned need not be told as well.
                fact.assigned = true;
                let message = format!("nothing says which type `${name}` has");
                return self.report(
                    Diagnostic::error(&codes::UNKNOWN_TYPE_OF_PLACE, of.span, message)
                        .help(format!("declare it: `let ${name}: int64;`")),
                );
            }
            let ty = self.var(name, of.span)?.ty;
            let ty = Type::Ptr(Box::new(ty), Space::Kernel);
            return Some(expr(ExprKind::AddressOf(var), ty, span));
        }
        let value = self.value(of)?;
        let declared = declared_type(&value);
        match value.kind {
            ExprKind::Read {
                address,
                offset,
                bits: None,
            } => {
                let Type::Ptr(_, space) = address.ty else {
                    return None;
                };
                Some(self.moved(*address, offset, Type::Ptr(Box::new(declared), space), span))
            }
            ExprKind::MapValue { .. } | ExprKind::Reduced { .. } => self.report(
                Diagnostic::error(
                    &codes::NOT_TAKEN,
                    span,
                    "maps and their elements have no address here",
                )
                .help("functions take a map by its name: `has_key(@map, key)`"),
            ),
            _ => self.report(
                Diagnostic::error(&codes::BAD_OPERANDS, span, "this has no address")
                    .help("variables (`&$x`) and fields behind a pointer (`&p->f`) have one"),
            ),
        }
    }

    /// The address of something that is read from memory, as of bytes; other values as they are.
    ///
    /// # Errors
    /// Gives back what is not read from memory.
    pub fn address_of_part(&self, value: Expr) -> Result<Expr, Expr> {
        match (value.kind, value.ty) {
            (
                ExprKind::Read {
                    address,
                    offset,
                    bits: None,
                },
                _,
            ) => {
                let space = match address.ty {
                    Type::Ptr(_, space) => space,
                    _ => Space::Kernel,
                };
                let to = Type::Ptr(Box::new(CHAR), space);
                Ok(self.moved(*address, offset, to, value.span))
            }
            (kind, ty) => Err(Expr {
                kind,
                ty,
                span: value.span,
            }),
        }
    }

    /// A pointer `offset` bytes on, to something else.
    pub(super) fn moved(&self, address: Expr, offset: u32, to: Type, span: Span) -> Expr {
        if offset == 0 {
            return Expr {
                span,
                ..as_type(address, &to)
            };
        }
        let offset = Box::new(expr(ExprKind::Const(i64::from(offset)), Type::U64, span));
        let address = Box::new(as_type(address, &Type::U64));
        let sum = expr(ExprKind::Arith(ArithOp::Add, address, offset), Type::U64, span);
        as_type(sum, &to)
    }

    /// `e[i]` on something that is not a map by name.
    pub(super) fn index(&mut self, of: &ast::Expr, index: &ast::Expr, span: Span) -> Option<Expr> {
        let (value, at) = (self.value(of), self.value(index));
        let (value, at) = (value?, at?);
        if let (Type::Tuple(_), Some(n)) = (&value.ty, const_value(&at)) {
            return self.member_of_tuple(value, n as u64, index.span, span);
        }
        if !matches!(at.ty, Type::Int(_) | Type::Enum(_) | Type::Bool) {
            let message = format!("an index is a number, and this is {}", described(&at.ty));
            return self.report(Diagnostic::error(&codes::BAD_OPERANDS, index.span, message));
        }
        let is_field = matches!(value.kind, ExprKind::Read { .. } | ExprKind::Part { .. });
        let (element, count) = match &value.ty {
            Type::Ptr(to, _) if to.size() > 0 => {
                let to = (**to).clone();
                return self.pointer_index(value, &to, at, span);
            }
            Type::Array(element, count) => ((**element).clone(), Some(*count).filter(|&n| n > 0)),
            Type::Str(n) => (CHAR, Some(if is_field { n - 1 } else { *n })),
            Type::Bytes(n) => (BYTE, Some(*n)),
            ty => {
                let message = format!("{} has no elements", described(ty));
                return self.report(Diagnostic::error(&codes::BAD_OPERANDS, of.span, message));
            }
        };
        match const_value(&at) {
            Some(n) if n < 0 || count.is_some_and(|count| n >= i64::from(count)) => {
                let message = format!("{n} is not the index of an element of {}", described(&value.ty));
                let last = count.map_or(0, |count| count.saturating_sub(1));
                self.report(
                    Diagnostic::error(&codes::NO_MEMBER, at.span, message)
                        .also(of.span, format!("its elements are numbered 0 to {last}")),
                )
            }
            Some(n) => match u32::try_from(n).ok().and_then(|n| n.checked_mul(element.size())) {
                Some(offset) => Some(self.part_of(value, offset, &element, None, span)),
                None => self.report(Diagnostic::error(
                    &codes::NO_MEMBER,
                    at.span,
                    "this index is too large",
                )),
            },
            None => Some(self.computed_index(value, &element, at, span)),
        }
    }

    /// `p[i]`.
    fn pointer_index(&mut self, pointer: Expr, to: &Type, at: Expr, span: Span) -> Option<Expr> {
        let constant = const_value(&at).and_then(|n| u32::try_from(n).ok());
        if let Some(offset) = constant.and_then(|n| n.checked_mul(to.size())) {
            return Some(self.read_at(pointer, offset, to, None, span));
        }
        let element = self.pointer_step(ArithOp::Add, pointer, at, span);
        Some(self.read_at(element, 0, to, None, span))
    }

    /// `a[i]` with an index that is known only at run time.
    fn computed_index(&mut self, array: Expr, element: &Type, at: Expr, span: Span) -> Expr {
        let ExprKind::Read {
            address,
            offset,
            bits: None,
        } = array.kind
        else {
            let ty = as_value(element.clone());
            let at = Box::new(as_type(at, &Type::U64));
            return expr(ExprKind::Element(Box::new(array), at), ty, span);
        };
        let space = match address.ty {
            Type::Ptr(_, space) => space,
            _ => Space::Kernel,
        };
        let first = self.moved(
            *address,
            offset,
            Type::Ptr(Box::new(element.clone()), space),
            span,
        );
        let place = self.pointer_step(ArithOp::Add, first, at, span);
        self.read_at(place, 0, element, None, span)
    }

    /// `p + n`, `p - n`: counted in elements.
    pub(super) fn pointer_step(&self, op: ArithOp, pointer: Expr, distance: Expr, span: Span) -> Expr {
        let ty = pointer.ty.clone();
        let distance = scaled(distance, step_of(&ty), span);
        let pointer = Box::new(as_type(pointer, &Type::U64));
        let sum = expr(ExprKind::Arith(op, pointer, Box::new(distance)), Type::U64, span);
        as_type(sum, &ty)
    }
}

/// Bytes that a pointer moves by when 1 is added.
pub(super) fn step_of(pointer: &Type) -> i64 {
    match pointer {
        Type::Ptr(to, _) => i64::from(to.size().max(1)),
        _ => 1,
    }
}

/// `distance * step` as a uint64.
pub(super) fn scaled(distance: Expr, step: i64, span: Span) -> Expr {
    let distance = as_type(distance, &Type::U64);
    match const_value(&distance) {
        _ if step == 1 => distance,
        Some(n) => expr(ExprKind::Const(n.wrapping_mul(step)), Type::U64, span),
        None => {
            let step = Box::new(expr(ExprKind::Const(step), Type::U64, span));
            expr(
                ExprKind::Arith(ArithOp::Mul, Box::new(distance), step),
                Type::U64,
                span,
            )
        }
    }
}

/// The type that the source of a value declares: that of a character array has no room for another NUL.
pub(super) fn declared_type(value: &Expr) -> Type {
    match (&value.kind, &value.ty) {
        (
            ExprKind::Read { .. }
            | ExprKind::Part { .. }
            | ExprKind::RecordText { .. }
            | ExprKind::Element(..),
            Type::Str(n),
        ) => Type::Str(n - 1),
        (_, ty) => ty.clone(),
    }
}

/// The field type `ty` at `offset` of the tracepoint's record.
pub(super) fn record_part(offset: u32, ty: &Type, span: Span) -> Expr {
    match ty {
        Type::Str(size) => expr(
            ExprKind::RecordText { offset, size: *size },
            Type::Str(size + 1),
            span,
        ),
        ty if ty.is_scalar() => {
            let signed = match ty {
                Type::Int(int) => int.signed,
                Type::Enum(of) => of.int.signed,
                _ => false,
            };
            let kind = ExprKind::RecordField {
                offset,
                width: ty.size() as u8,
                signed,
            };
            expr(kind, ty.clone(), span)
        }
        ty => expr(ExprKind::RecordBytes { offset }, ty.clone(), span),
    }
}
