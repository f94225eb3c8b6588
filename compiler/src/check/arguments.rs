//! Parameters of traced functions by their names (`args.count`), as the program's debug information describes them.
//!
//! A parameter is where the calling convention puts it when the function begins: probes that use this are on the function's
//! first instruction, because only there debug information has a function that begins.

use super::convert::as_type;
use super::ctypes::as_value;
use super::cx::Cx;
use crate::codes;
use crate::ctype::Field;
use crate::hir::{ArithOp, Expr, ExprKind};
use crate::probe_kind::did_you_mean;
use crate::probe_value::{self, Role};
use crate::signature::{Location, Param, Signature};
use crate::similar::similar;
use crate::target::TargetError;
use crate::types::{IntType, Space, Type, align_to};
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;
use std::sync::Arc;

impl Cx<'_> {
    /// Whether debug information describes the functions of the program that is being read.
    pub(super) fn is_described(&self) -> bool {
        self.program.kind.is_some_and(|kind| kind.is_described())
    }

    /// What the functions of the program take and give; `what` is the value that needs it.
    fn signature(&mut self, what: Role, span: Span) -> Option<Arc<Signature>> {
        let error = match self.program.signature.clone()? {
            Ok(signature) => return Some(signature),
            Err(error) => error,
        };
        let name = probe_value::name_of(what);
        let message = format!("nothing says what `{name}` consists of here");
        let diagnostic = Diagnostic::error(&codes::NOT_OFFERED, span, message);
        let diagnostic = match error {
            TargetError::NotFound { .. } => {
                diagnostic.label("the debug information tells of no function that begins at this place")
            }
            TargetError::Unreadable { what, reason, help } => diagnostic
                .label(format!("cannot read {what}: {reason}"))
                .help(help),
        };
        let argument = probe_value::name_of(Role::Argument).trim_end_matches('N');
        self.report(match what {
            Role::Record => {
                diagnostic.help(format!("here the arguments are `{argument}0`, `{argument}1`, …"))
            }
            _ => diagnostic.help(format!("say what it points to: `((struct NAME *){name})->FIELD`")),
        })
    }

    /// `args.name`.
    pub(super) fn named_argument(&mut self, name: &ast::Name, args: Span, span: Span) -> Option<Expr> {
        let signature = self.signature(Role::Record, args)?;
        let Some(at) = signature.position(&name.node) else {
            if self.is_silent() {
                return None;
            }
            let message = format!("the function has no parameter `{}`", name.node);
            let names = || signature.params.iter().map(|param| param.name.as_str());
            let diagnostic = Diagnostic::error(&codes::UNKNOWN_FIELD, name.span, message);
            let meant = similar(&name.node, names(), 3);
            return self.report(if meant.is_empty() {
                let all: Vec<_> = names().filter(|name| !name.is_empty()).collect();
                match all.len() {
                    0 => diagnostic.label("it has none with a name"),
                    _ => diagnostic.help(format!("its parameters are {}", all.join(", "))),
                }
            } else {
                did_you_mean(diagnostic, &meant)
            });
        };
        let location = &signature.locations(self.arch())[at];
        match self.argument_at(location, &signature.params[at], span) {
            Some(value) => Some(value),
            None => {
                let message = format!("`{}` cannot be read", name.node);
                self.report(
                    Diagnostic::error(&codes::NOT_OFFERED, name.span, message)
                        .label("it is passed in a floating-point register, which probes do not see"),
                )
            }
        }
    }

    /// `args`: all parameters that probes can read, as a struct.
    pub(super) fn whole_arguments(&mut self, span: Span) -> Option<Expr> {
        let signature = self.signature(Role::Record, span)?;
        let locations = signature.locations(self.arch());
        let (mut parts, mut fields, mut end) = (Vec::new(), Vec::new(), 0);
        for (param, location) in signature.params.iter().zip(&locations) {
            let Some(value) = self.argument_at(location, param, span) else {
                continue;
            };
            let offset = align_to(end, value.ty.align());
            end = offset + value.ty.size();
            fields.push(Field {
                name: param.name.clone(),
                ty: value.ty.clone(),
                offset,
                bits: None,
            });
            parts.push((offset, value));
        }
        let of = self.types.args_struct(align_to(end, 8), fields.into());
        Some(Expr {
            kind: ExprKind::Assembled(parts),
            ty: Type::Struct(of),
            span,
        })
    }

    /// `retval` as what it is, for its fields.
    pub(super) fn described_result(&mut self, span: Span) -> Option<Expr> {
        let value = Expr {
            kind: ExprKind::ReturnValue,
            ty: Type::U64,
            span,
        };
        // Where nothing is known of it, what is wrong with a number's field is said.
        let known = match &self.program.signature {
            Some(Ok(signature)) => Some(signature.result.clone()),
            _ => None,
        };
        match known.filter(|ty| matches!(ty, Type::Ptr(..))) {
            Some(ty) => Some(as_type(value, &ty)),
            None => Some(value),
        }
    }

    /// The value of a parameter; `None` where probes cannot read it.
    fn argument_at(&self, location: &Location, param: &Param, span: Span) -> Option<Expr> {
        let ty = match &param.ty {
            Type::Void => Type::U64,
            ty => ty.clone(),
        };
        let expr = |kind, ty| Expr { kind, ty, span };
        let pointer = Type::Ptr(Box::new(ty.clone()), Space::User);
        let argument = |n: u8| as_type(expr(ExprKind::Arg(n), Type::I64), &Type::U64);
        let stack = |at: u32| {
            let sp = self.arch().convention().sp;
            let sp = expr(ExprKind::Context(sp.unsigned_abs().into()), Type::U64);
            let at = expr(ExprKind::Const(i64::from(at)), Type::U64);
            expr(
                ExprKind::Arith(ArithOp::Add, Box::new(sp), Box::new(at)),
                Type::U64,
            )
        };
        let read = |address: Expr| self.read_at(as_type(address, &pointer), 0, &ty, None, span);
        Some(match location {
            Location::Registers(numbers) => {
                let words = numbers.iter().map(|n| argument(*n)).collect();
                of_words(words, &ty, span)
            }
            Location::Stack(at) => read(stack(*at)),
            Location::Reference(n) => read(argument(*n)),
            Location::StackReference(at) => {
                let to = Type::Ptr(Box::new(Type::U64), Space::User);
                read(self.read_at(as_type(stack(*at), &to), 0, &Type::U64, None, span))
            }
            Location::Float => return None,
        })
    }
}

/// A value whose 8-byte words these are.
fn of_words(words: Vec<Expr>, ty: &Type, span: Span) -> Expr {
    if ty.is_scalar() {
        let word = words.into_iter().next();
        let word = word.unwrap_or(Expr {
            kind: ExprKind::Const(0),
            ty: Type::U64,
            span,
        });
        // Callers leave what they like in the upper bits.
        let low = Type::Int(IntType {
            bits: (ty.size() * 8) as u8,
            signed: false,
        });
        return as_type(as_type(word, &low), ty);
    }
    let mut parts = Vec::new();
    for (at, word) in (0..ty.size()).step_by(8).zip(words) {
        let mut done = 0;
        for bytes in [8, 4, 2, 1] {
            if ty.size() - at - done < bytes || done == 8 {
                continue;
            }
            let mut part = word.clone();
            if done > 0 {
                let by = Expr {
                    kind: ExprKind::Const(i64::from(done) * 8),
                    ty: Type::U64,
                    span,
                };
                part = Expr {
                    kind: ExprKind::Arith(ArithOp::Shr, Box::new(part), Box::new(by)),
                    ty: Type::U64,
                    span,
                };
            }
            let bits = Type::Int(IntType {
                bits: (bytes * 8) as u8,
                signed: false,
            });
            parts.push((at + done, as_type(part, &bits)));
            done += bytes;
        }
    }
    Expr {
        kind: ExprKind::Assembled(parts),
        ty: as_value(ty.clone()),
        span,
    }
}
