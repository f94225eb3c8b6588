//! `tracepoint`: static places in the kernel, each with a record of typed fields.

use super::record::{FieldValue, Record};
use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, is_literal};
use crate::codes;
use crate::plan::{Attach, ProgramKind, Site};
use crate::target::{FieldLocation, Target, TracepointField};
use crate::types::{IntType, Space, Type};

/// `tracepoint`.
pub(super) struct Tracepoint;

impl ProbeKind for Tracepoint {
    fn words(&self) -> &Words {
        &Words {
            name: "tracepoint",
            aliases: &["t"],
            doc: "runs at a static place of the kernel, such as the entry or exit of a system call",
            syntax: "tracepoint:CATEGORY:EVENT",
            example: "tracepoint:syscalls:sys_enter_write { @bytes = hist(args.count); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Tracepoint
    }

    fn class(&self) -> Class {
        Class::Kernel
    }

    fn offers(&self) -> Offers {
        Offers {
            record: true,
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let [category, event] = point.parts else {
            return Err(Failure::malformed(self, point));
        };
        let span = category.span.to(event.span);
        let name = format!("{}:{}", category.text, event.text);
        let literal = is_literal(category) && is_literal(event);
        let found = if literal {
            vec![(category.text.clone(), event.text.clone())]
        } else {
            target.tracepoints(&category.text, &event.text).map_err(|error| {
                Failure::target(
                    error,
                    &codes::NO_MATCH,
                    span,
                    format!("no tracepoint matches `{name}`"),
                )
            })?
        };
        let mut places = Vec::with_capacity(found.len());
        for (category, event) in found {
            let record = target.tracepoint(&category, &event).map_err(|error| {
                let message = format!("there is no tracepoint `{category}:{event}`");
                Failure::target(error, &codes::NO_TRACEPOINT, span, message)
            })?;
            places.push(Place {
                site: Site::new(format!("{}:{category}:{event}", self.name()), String::new()),
                record: Some(Record::of_event(&category, &record)),
                attach: Attach::Tracepoint {
                    category,
                    event,
                    id: record.id,
                    cookie: 0,
                },
                arguments: None,
                literal,
            });
        }
        Ok(places)
    }
}

/// The category whose pointers are the traced process's.
const SYSCALLS: &str = "syscalls";

/// What `field` of a tracepoint of `category` is to a script.
pub(super) fn field_value(category: &str, field: &TracepointField) -> FieldValue {
    let c_type = field.c_type.trim_start_matches("const ").trim();
    let is_text = c_type == "char";
    match field.location {
        FieldLocation::Inline => {}
        location if is_text => {
            return FieldValue::DynamicText {
                relative: location == FieldLocation::RelLoc,
            };
        }
        _ => return FieldValue::Later("arrays of variable length"),
    }
    let space = if category == SYSCALLS {
        Space::User
    } else {
        Space::Kernel
    };
    let typed = || FieldValue::Typed {
        space,
        c_type: field.c_type.clone(),
        size: field.size,
        count: field.array,
        signed: field.signed,
    };
    if field.array.is_some() {
        return if is_text {
            FieldValue::Text(field.size)
        } else {
            typed()
        };
    }
    if let Some(pointee) = c_type.strip_suffix('*') {
        let pointee = match pointee.trim().trim_end_matches("const").trim() {
            "char" => Type::Int(IntType {
                bits: 8,
                signed: true,
            }),
            _ => return typed(),
        };
        return FieldValue::Scalar {
            ty: Type::Ptr(Box::new(pointee), space),
            width: 8,
            signed: false,
        };
    }
    let is_tagged = ["struct ", "union ", "enum "]
        .iter()
        .any(|tag| c_type.starts_with(tag));
    if !matches!(field.size, 1 | 2 | 4 | 8) || is_tagged {
        return typed();
    }
    if c_type == "bool" && field.size == 1 {
        return FieldValue::Scalar {
            ty: Type::Bool,
            width: 1,
            signed: false,
        };
    }
    let int = narrowed(c_type, field);
    FieldValue::Scalar {
        ty: Type::Int(int),
        width: int.bits / 8,
        signed: int.signed,
    }
}

/// System call records hold every argument in 8 bytes and call all of them unsigned, so that `int fd` of -1 would be
/// shown as 4294967295. Where the C type is known to be narrower than the field, its low bytes are the value (both
/// architectures are little endian).
fn narrowed(c_type: &str, field: &TracepointField) -> IntType {
    let stated = IntType {
        bits: (field.size * 8) as u8,
        signed: field.signed,
    };
    let int = |bits, signed| IntType { bits, signed };
    let by_type = match c_type {
        "int" | "s32" | "__s32" | "pid_t" | "key_t" | "mqd_t" | "clockid_t" | "timer_t" | "key_serial_t"
        | "rwf_t" => int(32, true),
        "unsigned int" | "unsigned" | "u32" | "__u32" | "uid_t" | "gid_t" | "qid_t" => int(32, false),
        "short" | "s16" | "__s16" => int(16, true),
        "unsigned short" | "u16" | "__u16" | "umode_t" => int(16, false),
        "long" | "long long" | "s64" | "__s64" | "loff_t" | "off_t" | "ssize_t" => int(64, true),
        "char" | "s8" | "__s8" => int(8, true),
        "unsigned char" | "u8" | "__u8" => int(8, false),
        _ => stated,
    };
    if field.size == 8 && by_type.bits <= stated.bits {
        by_type
    } else {
        stated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(
        c_type: &str,
        size: u32,
        signed: bool,
        array: Option<u32>,
        location: FieldLocation,
    ) -> TracepointField {
        TracepointField {
            name: "f".into(),
            c_type: c_type.into(),
            offset: 16,
            size,
            signed,
            array,
            location,
        }
    }

    fn inline(c_type: &str, size: u32, signed: bool) -> FieldValue {
        field_value(
            "syscalls",
            &field(c_type, size, signed, None, FieldLocation::Inline),
        )
    }

    #[test]
    fn narrow_arguments_of_system_calls_keep_their_sign() {
        let scalar = |bits: u8, signed| FieldValue::Scalar {
            ty: Type::Int(IntType { bits, signed }),
            width: bits / 8,
            signed,
        };
        assert_eq!(inline("int", 8, false), scalar(32, true));
        assert_eq!(inline("unsigned int", 8, false), scalar(32, false));
        assert_eq!(inline("size_t", 8, false), scalar(64, false));
        assert_eq!(inline("long", 8, true), scalar(64, true));
        assert_eq!(inline("pid_t", 4, true), scalar(32, true));
        assert_eq!(inline("u32", 4, false), scalar(32, false));
    }

    #[test]
    fn pointers_text_and_the_rest() {
        let pointer = |pointee: Type, space| FieldValue::Scalar {
            ty: Type::Ptr(Box::new(pointee), space),
            width: 8,
            signed: false,
        };
        let char_type = Type::Int(IntType {
            bits: 8,
            signed: true,
        });
        assert_eq!(
            inline("const char *", 8, false),
            pointer(char_type.clone(), Space::User)
        );
        let kernel = field("char *", 8, false, None, FieldLocation::Inline);
        assert_eq!(field_value("sched", &kernel), pointer(char_type, Space::Kernel));
        assert!(matches!(
            inline("struct stat *", 8, false),
            FieldValue::Typed {
                space: Space::User,
                ..
            }
        ));
        let text = field("char", 16, false, Some(16), FieldLocation::Inline);
        assert_eq!(field_value("sched", &text), FieldValue::Text(16));
        let dynamic = field("char", 4, false, None, FieldLocation::DataLoc);
        assert_eq!(
            field_value("sched", &dynamic),
            FieldValue::DynamicText { relative: false }
        );
        let array = field("unsigned long", 48, false, Some(6), FieldLocation::Inline);
        assert!(matches!(
            field_value("raw_syscalls", &array),
            FieldValue::Typed {
                space: Space::Kernel,
                ..
            }
        ));
    }
}
