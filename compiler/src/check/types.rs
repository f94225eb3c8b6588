//! Types as written.

use super::cx::Cx;
use super::maps::reduced_type;
use super::memory::declared_type;
use crate::aggregation;
use crate::codes;
use crate::probe_kind::did_you_mean;
use crate::shown::Shown;
use crate::similar::similar;
use crate::types::{IntType, Type};
use crumbs_grammar::ast::{Expr, ExprKind, TagKeyword, TypeExpr, TypeExprKind};
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

/// No array has more elements: as many bytes are more than any value has.
const MAX_ARRAY: u32 = 1 << 20;

/// What a type that the script names by its tag alone can be.
const TAGS: [&str; 3] = ["struct", "union", "enum"];

/// The name of the type of booleans.
const BOOL: &str = "bool";

/// The name of the type of text.
const STRING: &str = "string";

/// The name of the type of raw bytes.
const BUFFER: &str = "buffer";

/// The name of the type of internet addresses.
const INET: &str = "inet";

/// Numbers shown in words whose type a script can write.
static SHOWN: [Shown; 2] = [Shown::User, Shown::Mac];

/// The name of what an address of anything points to.
const VOID: &str = "void";

impl Cx<'_> {
    /// The type that is written, which values can have.
    pub(super) fn resolve_type(&mut self, ty: &TypeExpr) -> Option<Type> {
        match self.written_type(ty)? {
            Type::Void => {
                let message = "nothing has the type `void`";
                self.report(
                    Diagnostic::error(&codes::UNKNOWN_TYPE, ty.span, message)
                        .help("`void *` is an address of anything"),
                )
            }
            resolved => Some(resolved),
        }
    }

    /// The type that is written; an array without a size has 0 elements.
    fn written_type(&mut self, ty: &TypeExpr) -> Option<Type> {
        match &ty.kind {
            TypeExprKind::Name(name) => self.named_type(name, ty),
            TypeExprKind::Array(of, len) => self.array_type(of, len.as_deref(), ty),
            TypeExprKind::Tuple(members) => {
                let members: Vec<_> = members.iter().map(|member| self.resolve_type(member)).collect();
                Some(Type::Tuple(members.into_iter().collect::<Option<_>>()?))
            }
            TypeExprKind::Tagged(keyword, name) => {
                let keyword = match keyword {
                    TagKeyword::Struct => "struct",
                    TagKeyword::Union => "union",
                    TagKeyword::Enum => "enum",
                };
                self.c_type(keyword, name, ty.span)
            }
            TypeExprKind::Pointer(to) => {
                let to = Box::new(self.written_type(to)?);
                Some(Type::Ptr(to, self.memory()))
            }
            TypeExprKind::TypeOf(of) => self.type_of(of),
            TypeExprKind::TypeOfType(of) => self.written_type(of),
        }
    }

    /// The type of an expression that is not evaluated.
    pub(super) fn type_of(&mut self, of: &Expr) -> Option<Type> {
        if let ExprKind::Map { name, key: None } = &of.kind {
            return self.type_of_map(name, of.span);
        }
        self.program.asked += 1;
        let value = self.value(of);
        self.program.asked -= 1;
        Some(declared_type(&value?))
    }

    fn array_type(&mut self, of: &TypeExpr, len: Option<&Expr>, ty: &TypeExpr) -> Option<Type> {
        let base = match &of.kind {
            TypeExprKind::Name(name) => name.as_str(),
            _ => "",
        };
        let n = match len {
            Some(len) => self.literal_number(len, "the size of an array")?,
            None if matches!(base, STRING | BUFFER) => return self.named_type(base, ty),
            None => 0,
        };
        let span = len.map_or(ty.span, |len| len.span);
        let (most, unit) = match base {
            STRING => (
                i64::from(self.configured.config.max_strlen) + 1,
                "bytes with its NUL",
            ),
            BUFFER => (i64::from(MAX_ARRAY), "bytes"),
            _ => (i64::from(MAX_ARRAY), "elements"),
        };
        let least = i64::from(len.is_some());
        let Some(n) = u32::try_from(n).ok().filter(|_| (least..=most).contains(&n)) else {
            let message = format!("`{base}` has {least} to {most} {unit} here, not {n}");
            return self.report(Diagnostic::error(&codes::DOES_NOT_FIT, span, message));
        };
        match base {
            STRING => Some(Type::Str(n)),
            BUFFER => Some(Type::Bytes(n)),
            _ => {
                let element = self.resolve_type(of)?;
                Some(Type::Array(Box::new(element), n))
            }
        }
    }

    /// The type that a word means, if it means one that values can have.
    pub(super) fn type_by_name(&self, name: &str) -> Option<Type> {
        let known = self.own_type(name).filter(|ty| *ty != Type::Void);
        known.or_else(|| self.types.lookup_type("", name).ok())
    }

    /// A type of the language itself.
    fn own_type(&self, name: &str) -> Option<Type> {
        if let Some(&(_, bits, signed)) = INTEGERS.iter().find(|(known, ..)| *known == name) {
            return Some(Type::Int(IntType { bits, signed }));
        }
        match name {
            BOOL => Some(Type::Bool),
            VOID => Some(Type::Void),
            STRING => Some(self.text_type()),
            BUFFER => Some(Type::Bytes(self.configured.config.max_strlen)),
            INET => Some(Type::Inet),
            _ => SHOWN
                .iter()
                .find(|shown| shown.to_string() == name)
                .map(|shown| Type::Shown(shown.clone())),
        }
    }

    fn named_type(&mut self, name: &str, ty: &TypeExpr) -> Option<Type> {
        if let Some(known) = self.own_type(name) {
            return Some(known);
        }
        if let Some(aggregation) = aggregation::by_type_name(name) {
            // What leaves the map is the number that it shows.
            if aggregation.aggregation().reduction().is_some() {
                return Some(reduced_type(&aggregation));
            }
            let message = format!("only maps hold a `{name}`, which is not one number");
            return self.report(Diagnostic::error(&codes::UNKNOWN_TYPE, ty.span, message));
        }
        let error = match self.types.lookup_type("", name) {
            Ok(ty) => return Some(ty),
            Err(error) => error,
        };
        // Scripts of old leave the keyword out.
        let tagged = TAGS.iter().find_map(|tag| self.types.lookup_type(tag, name).ok());
        if tagged.is_some() {
            return tagged;
        }
        if self.is_silent() {
            return None;
        }
        let names = INTEGERS
            .iter()
            .map(|(name, ..)| *name)
            .chain([BOOL, STRING, BUFFER]);
        let names = similar(name, names, 3);
        if names.is_empty() {
            let diagnostic = self.types.unknown_type("", name, error, ty.span);
            return self.report(diagnostic);
        }
        let diagnostic = Diagnostic::error(
            &codes::UNKNOWN_TYPE,
            ty.span,
            format!("there is no type `{name}`"),
        );
        self.report(did_you_mean(diagnostic, &names))
    }
}
