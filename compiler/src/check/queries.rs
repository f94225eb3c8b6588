//! Questions about types, answered while the script is checked: `sizeof`, `offsetof`, `is_ptr` and its like; and
//! `container_of`. What they ask about is never evaluated.

use super::convert::as_type;
use super::cx::Cx;
use super::statements::described;
use crate::builtin;
use crate::c::Constant;
use crate::codes;
use crate::config;
use crate::hir::{ArithOp, Expr, ExprKind};
use crate::probe_value;
use crate::types::Type;
use crumbs_grammar::ast::{self, Arg};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// A question about a type.
pub(crate) struct Query {
    /// What a script writes.
    pub name: &'static str,
    /// How it is asked.
    pub syntax: &'static str,
    /// How many arguments it takes.
    arity: usize,
    answer: Answer,
}

/// How a question is answered.
enum Answer {
    /// Yes or no, by the type of the argument.
    Test(fn(&Type) -> bool),
    /// In another way.
    Other(fn(&mut Cx<'_>, &[Arg], Span) -> Option<Expr>),
}

/// Every question, declared once.
pub(crate) static ALL: &[Query] = &[
    Query {
        name: "sizeof",
        syntax: "sizeof(type) or sizeof(expression)",
        arity: 1,
        answer: Answer::Other(size_of),
    },
    Query {
        name: "offsetof",
        syntax: "offsetof(struct NAME, field.field)",
        arity: 2,
        answer: Answer::Other(offset_of),
    },
    Query {
        name: "container_of",
        syntax: "container_of(pointer, struct NAME, field)",
        arity: 3,
        answer: Answer::Other(container_of),
    },
    Query {
        name: "is_str",
        syntax: "is_str(expression)",
        arity: 1,
        answer: Answer::Test(|ty| matches!(ty, Type::Str(_))),
    },
    Query {
        name: "is_ptr",
        syntax: "is_ptr(expression)",
        arity: 1,
        answer: Answer::Test(|ty| matches!(ty, Type::Ptr(..))),
    },
    Query {
        name: "is_array",
        syntax: "is_array(expression)",
        arity: 1,
        answer: Answer::Test(|ty| matches!(ty, Type::Array(..))),
    },
    Query {
        name: "is_integer",
        syntax: "is_integer(expression)",
        arity: 1,
        answer: Answer::Test(|ty| matches!(ty, Type::Int(_) | Type::Enum(_))),
    },
    Query {
        name: "is_unsigned_integer",
        syntax: "is_unsigned_integer(expression)",
        arity: 1,
        answer: Answer::Test(|ty| match ty {
            Type::Int(int) => !int.signed,
            Type::Enum(of) => !of.int.signed,
            _ => false,
        }),
    },
    Query {
        name: "typeinfo",
        syntax: "typeinfo(type) or typeinfo(expression)",
        arity: 1,
        answer: Answer::Other(type_info),
    },
    Query {
        name: "is_literal",
        syntax: "is_literal(expression)",
        arity: 1,
        answer: Answer::Other(is_literal),
    },
];

/// Finds a question by name.
pub(super) fn by_name(name: &str) -> Option<&'static Query> {
    ALL.iter().find(|query| query.name == name)
}

fn constant(value: i64, ty: Type, span: Span) -> Option<Expr> {
    let kind = ExprKind::Const(value);
    Some(Expr { kind, ty, span })
}

fn size_of(cx: &mut Cx<'_>, args: &[Arg], span: Span) -> Option<Expr> {
    let mut ty = cx.asked_type(&args[0])?;
    if let Arg::Expr(e) = &args[0]
        && let Some(natural) = cx.natural(e)
    {
        ty = natural;
    }
    // As in bpftrace, a constant of an enum that stands alone is a number of 64 bits, however fields of it are stored.
    let is_constant = |name: &str| matches!(cx.types.constant(name), Some(Constant::Enum(..)));
    let size = match (&args[0], &ty) {
        (Arg::Expr(e), Type::Enum(_)) if matches!(&e.kind, ast::ExprKind::Ident(name) if is_constant(name)) => {
            8
        }
        _ => ty.size(),
    };
    constant(i64::from(size), Type::U64, span)
}

/// A record of a number, 0 as in bpftrace as long as that is undefined there, the class of the type, and the type.
fn type_info(cx: &mut Cx<'_>, args: &[Arg], span: Span) -> Option<Expr> {
    cx.pass_gate(config::UNSTABLE_TYPEINFO, "typeinfo", span)?;
    let ty = cx.asked_type(&args[0])?;
    let text = |text: &str| Expr {
        kind: ExprKind::Str(text.as_bytes().to_vec()),
        ty: Type::Str(text.len() as u32 + 1),
        span,
    };
    let members = [
        ("btf_id", constant(0, Type::I64, span)?),
        ("base_type", text(&class(&ty))),
        ("full_type", text(&ty.to_string())),
    ];
    let types = members
        .iter()
        .map(|(name, member)| ((*name).to_owned(), member.ty.clone()));
    Some(Expr {
        ty: Type::Record(types.collect()),
        kind: ExprKind::Tuple(members.map(|(_, member)| member).into()),
        span,
    })
}

/// The class of a type by its bpftrace name.
fn class(ty: &Type) -> String {
    let class = match ty {
        Type::Void => "void",
        Type::Bool => "bool",
        Type::Int(_) | Type::Enum(_) => "int",
        Type::Ptr(..) => "pointer",
        Type::Str(_) | Type::Name(_) => "string",
        Type::Shown(shown) if shown.is_text() => "string",
        Type::Bytes(_) | Type::Buffer(_) => "buffer",
        Type::Tuple(_) | Type::Record(_) => "tuple",
        Type::Array(..) => "array",
        Type::Struct(_) => "record",
        Type::Inet | Type::Stack(_) | Type::UserAddress | Type::Shown(_) | Type::Agg(_) => {
            return ty.to_string().trim_end_matches("_t").to_owned();
        }
    };
    class.to_owned()
}

fn offset_of(cx: &mut Cx<'_>, args: &[Arg], span: Span) -> Option<Expr> {
    let ty = cx.asked_type(&args[0])?;
    let path = cx.field_path(&args[1])?;
    let (offset, _) = cx.offset_of_path(&ty, &path, span)?;
    constant(i64::from(offset), Type::U64, span)
}

fn is_literal(_: &mut Cx<'_>, args: &[Arg], span: Span) -> Option<Expr> {
    let is_literal = match &args[0] {
        Arg::Expr(e) => matches!(
            e.kind,
            ast::ExprKind::Int(_)
                | ast::ExprKind::Float(_)
                | ast::ExprKind::Str(_)
                | ast::ExprKind::Bool(_)
                | ast::ExprKind::Positional(_)
                | ast::ExprKind::PositionalCount
        ),
        Arg::Type(_) => false,
    };
    constant(i64::from(is_literal), Type::Bool, span)
}

/// The struct that has the pointed-to thing as its field.
fn container_of(cx: &mut Cx<'_>, args: &[Arg], span: Span) -> Option<Expr> {
    let (pointer, ty) = (cx.asked_value(&args[0]), cx.asked_type(&args[1]));
    let path = cx.field_path(&args[2]);
    let (pointer, ty, path) = (pointer?, ty?, path?);
    let space = match pointer.ty {
        Type::Ptr(_, space) => space,
        Type::Int(_) => cx.memory(),
        _ => {
            let message = format!(
                "`container_of` needs a pointer, and this is {}",
                described(&pointer.ty)
            );
            return cx.report(Diagnostic::error(&codes::ARGUMENT_TYPE, pointer.span, message));
        }
    };
    let (offset, _) = cx.offset_of_path(&ty, &path, span)?;
    let address = Box::new(as_type(pointer, &Type::U64));
    let offset = Box::new(constant(i64::from(offset), Type::U64, span)?);
    let start = Expr {
        kind: ExprKind::Arith(ArithOp::Sub, address, offset),
        ty: Type::U64,
        span,
    };
    Some(as_type(start, &Type::Ptr(Box::new(ty), space)))
}

impl Cx<'_> {
    /// A call of one of the questions.
    pub(super) fn query(&mut self, query: &'static Query, args: &[Arg], span: Span) -> Option<Expr> {
        if args.len() != query.arity {
            return self.argument_count(
                query.name,
                query.syntax,
                query.arity,
                query.arity,
                args.len(),
                span,
            );
        }
        match query.answer {
            Answer::Test(test) => {
                let ty = self.asked_type(&args[0])?;
                constant(i64::from(test(&ty)), Type::Bool, span)
            }
            Answer::Other(answer) => answer(self, args, span),
        }
    }

    /// `sizeof(type)`, `offsetof(type, a.b)`.
    pub(super) fn type_call(
        &mut self,
        name: &ast::Name,
        ty: &ast::TypeExpr,
        path: &[ast::Name],
        span: Span,
    ) -> Option<Expr> {
        let Some(query) = by_name(&name.node) else {
            let message = format!(
                "`{}` is a type, and a value is wanted here",
                self.source_text(span)
            );
            return self.report(Diagnostic::error(&codes::NO_VALUE, span, message));
        };
        if !path.is_empty() {
            let ty = self.resolve_type(ty)?;
            let (offset, _) = self.offset_of_path(&ty, path, span)?;
            return constant(i64::from(offset), Type::U64, span);
        }
        self.query(query, &[Arg::Type(ty.clone())], span)
    }

    /// The type that an argument is or has.
    fn asked_type(&mut self, arg: &Arg) -> Option<Type> {
        match arg {
            Arg::Type(ty) => self.resolve_type(ty),
            Arg::Expr(e) => match &e.kind {
                // A word can be the name of a type as well as of a value.
                ast::ExprKind::Ident(name) => match self.type_by_name(name).filter(|_| !is_value(name)) {
                    Some(ty) => Some(ty),
                    None => self.type_of(e),
                },
                ast::ExprKind::TypeCall { name, ty, path } if name.node == "typeof" && path.is_empty() => {
                    self.resolve_type(ty)
                }
                ast::ExprKind::Call { name, args } if name.node == "typeof" && args.len() == 1 => {
                    self.asked_type(&args[0])
                }
                _ => self.type_of(e),
            },
        }
    }

    fn asked_value(&mut self, arg: &Arg) -> Option<Expr> {
        match arg {
            Arg::Expr(e) => self.value(e),
            Arg::Type(ty) => self.report(Diagnostic::error(
                &codes::ARGUMENT_TYPE,
                ty.span,
                "this is a type, and a value is wanted here",
            )),
        }
    }

    /// The names of `a.b.c`.
    fn field_path(&mut self, arg: &Arg) -> Option<Vec<ast::Name>> {
        let span = match arg {
            Arg::Expr(e) => e.span,
            Arg::Type(ty) => ty.span,
        };
        if let Arg::Expr(e) = arg
            && let Some(path) = names_of(e)
        {
            return Some(path);
        }
        if let Arg::Type(ty) = arg
            && let ast::TypeExprKind::Name(name) = &ty.kind
        {
            // A field can be called as a type is.
            return Some(vec![ast::Name::new(name.clone(), span)]);
        }
        self.report(
            Diagnostic::error(&codes::ARGUMENT_TYPE, span, "this is no name of a field")
                .help("write `field` or `field.inner`"),
        )
    }

    /// Where the field at the end of a path is within `ty`, and its type.
    fn offset_of_path(&mut self, ty: &Type, path: &[ast::Name], span: Span) -> Option<(u32, Type)> {
        let (mut offset, mut ty) = (0, ty.clone());
        if let Type::Ptr(to, _) = ty {
            ty = *to;
        }
        for name in path {
            let Type::Struct(of) = &ty else {
                let message = format!("{} has no fields", described(&ty));
                return self.report(Diagnostic::error(&codes::UNKNOWN_FIELD, name.span, message));
            };
            let member = self.struct_member(of, name)?;
            if member.bits.is_some() {
                let message = format!("`{}` is a bitfield, which has no offset in bytes", name.node);
                return self.report(Diagnostic::error(&codes::ARGUMENT_TYPE, span, message));
            }
            offset += member.offset;
            ty = member.ty;
        }
        Some((offset, ty))
    }
}

fn is_value(name: &str) -> bool {
    builtin::by_name(name).is_some() || probe_value::by_name(name).is_some()
}

fn names_of(e: &ast::Expr) -> Option<Vec<ast::Name>> {
    match &e.kind {
        ast::ExprKind::Ident(name) => Some(vec![ast::Name::new(name.clone(), e.span)]),
        ast::ExprKind::Field(of, name) => {
            let mut path = names_of(of)?;
            path.push(name.clone());
            Some(path)
        }
        _ => None,
    }
}
