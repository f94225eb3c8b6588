//! Types as written.

use super::cx::Cx;
use crate::codes;
use crate::later;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::{IntType, Type};
use crumbs_grammar::ast::{TypeExpr, TypeExprKind};
use crumbs_grammar::diagnostic::Diagnostic;

/// The names of integer types: those of the language, then those of C on the architectures that there are.
static INTEGERS: &[(&str, u8, bool)] = &[
    ("int8", 8, true),
    ("int16", 16, true),
    ("int32", 32, true),
    ("int64", 64, true),
    ("uint8", 8, false),
    ("uint16", 16, false),
    ("uint32", 32, false),
    ("uint64", 64, false),
    ("char", 8, true),
    ("signed char", 8, true),
    ("unsigned char", 8, false),
    ("short", 16, true),
    ("unsigned short", 16, false),
    ("int", 32, true),
    ("unsigned", 32, false),
    ("unsigned int", 32, false),
    ("long", 64, true),
    ("unsigned long", 64, false),
    ("long long", 64, true),
    ("unsigned long long", 64, false),
    ("int8_t", 8, true),
    ("int16_t", 16, true),
    ("int32_t", 32, true),
    ("int64_t", 64, true),
    ("uint8_t", 8, false),
    ("uint16_t", 16, false),
    ("uint32_t", 32, false),
    ("uint64_t", 64, false),
    ("size_t", 64, false),
    ("ssize_t", 64, true),
    ("off_t", 64, true),
    ("pid_t", 32, true),
    ("uid_t", 32, false),
    ("gid_t", 32, false),
];

/// The name of the type of booleans.
const BOOL: &str = "bool";

/// The name of the type of text.
const STRING: &str = "string";

impl Cx<'_> {
    /// The type that is written.
    pub(super) fn resolve_type(&mut self, ty: &TypeExpr) -> Option<Type> {
        match &ty.kind {
            TypeExprKind::Name(name) => self.named_type(name, ty),
            TypeExprKind::Array(of, Some(len)) if matches!(&of.kind, TypeExprKind::Name(name) if name == STRING) =>
            {
                let n = self.literal_number(len, "the size of a string")?;
                let max = i64::from(self.configured.config.max_strlen) + 1;
                match u32::try_from(n) {
                    Ok(size) if size > 0 && n <= max => Some(Type::Str(size)),
                    _ => self.report(Diagnostic::error(
                        &codes::DOES_NOT_FIT,
                        len.span,
                        format!("a string has 1 to {max} bytes with its NUL, not {n}"),
                    )),
                }
            }
            TypeExprKind::Tuple(members) if !members.is_empty() => {
                let members: Vec<_> = members.iter().map(|member| self.resolve_type(member)).collect();
                Some(Type::Tuple(members.into_iter().collect::<Option<_>>()?))
            }
            TypeExprKind::Array(..) => self.later(ty.span, "arrays"),
            TypeExprKind::Tagged(..) => self.later(ty.span, "structures, unions and enums"),
            TypeExprKind::Pointer(_) => self.later(ty.span, "addresses of declared type"),
            TypeExprKind::Tuple(_) => self.later(ty.span, "tuples without members"),
            TypeExprKind::TypeOf(_) | TypeExprKind::TypeOfType(_) => self.later(ty.span, "`typeof`"),
        }
    }

    fn named_type(&mut self, name: &str, ty: &TypeExpr) -> Option<Type> {
        if let Some(&(_, bits, signed)) = INTEGERS.iter().find(|(known, ..)| *known == name) {
            return Some(Type::Int(IntType { bits, signed }));
        }
        if name == BOOL {
            return Some(Type::Bool);
        }
        if name == STRING {
            return Some(self.text_type());
        }
        if later::TYPES.contains(&name) {
            return self.later(ty.span, &format!("the type `{name}`"));
        }
        let names = INTEGERS.iter().map(|(name, ..)| *name).chain([BOOL, STRING]);
        let names = similar(name, names, 3);
        let diagnostic = Diagnostic::error(
            &codes::UNKNOWN_TYPE,
            ty.span,
            format!("there is no type `{name}`"),
        );
        self.report(did_you_mean(diagnostic, &names))
    }
}
