//! The kernel's types as C text: what `-lv` shows.
//!
//! In: an object and a type id. Out: declarations and definitions as the kernel's headers could have them, the names of
//! typedefs kept. Nothing is laid out: padding and attributes are not written. Bounded in depth, members and length, so
//! that hostile bytes end.

use super::convert::Source;
use super::object::{Entry, Kind};
use std::fmt::Write as _;

/// So deep types are written; deeper ones are `...`.
const DEPTH: u32 = 32;

/// A text is ended when it is longer than this: the greatest of the kernel's structs has about 50 KB.
const MAX_TEXT: usize = 1 << 20;

impl Source<'_> {
    /// A declaration of `name` with this type: `char *name`, `int (*name)(void)`.
    pub(super) fn declaration(self, id: u32, name: &str) -> String {
        let mut text = Text {
            source: self,
            written: 0,
        };
        text.declare(id, name.to_owned(), 0, DEPTH)
    }

    /// A parameter as `-lv` shows it: the type, then the name.
    pub(super) fn parameter(self, id: u32, name: &str) -> String {
        format!("{} {name}", self.declaration(id, "").trim_end())
    }

    /// The definition of a struct, union or enum, without a semicolon.
    pub(super) fn definition(self, id: u32) -> Option<String> {
        let entry = self.object.entry(id)?;
        let mut text = Text {
            source: self,
            written: 0,
        };
        Some(match entry.kind {
            Kind::Struct | Kind::Union => text.composite(id, entry, 0, DEPTH),
            Kind::Enum | Kind::Enum64 => text.enumeration(id, entry, 0),
            Kind::Forward => self.declaration(id, ""),
            _ => return None,
        })
    }
}

/// A text being written.
struct Text<'a> {
    source: Source<'a>,
    written: usize,
}

impl Text<'_> {
    /// `inner`, a name or a declarator around one, with the type `id`.
    fn declare(&mut self, id: u32, inner: String, indent: usize, depth: u32) -> String {
        self.written += inner.len() + 8;
        let Some(depth) = depth.checked_sub(1).filter(|_| self.written < MAX_TEXT) else {
            return format!("... {inner}");
        };
        let object = self.source.object;
        let Some(entry) = object.entry(id) else {
            return with_name("void", &inner);
        };
        let base = match entry.kind {
            Kind::Ptr => {
                let pointee = object.entry(entry.word).map(|entry| entry.kind);
                let inner = match pointee {
                    Some(Kind::Array | Kind::FuncProto) => format!("(*{inner})"),
                    _ => format!("*{inner}"),
                };
                return self.declare(entry.word, inner, indent, depth);
            }
            Kind::Array => {
                let element = object.word(id, 0).unwrap_or_default();
                let count = object.word(id, 2).unwrap_or_default();
                return self.declare(element, format!("{inner}[{count}]"), indent, depth);
            }
            Kind::FuncProto => {
                let params = self.parameters(id, entry, indent, depth);
                return self.declare(entry.word, format!("{inner}({params})"), indent, depth);
            }
            Kind::Const | Kind::Volatile | Kind::Restrict => {
                let word = match entry.kind {
                    Kind::Const => "const",
                    Kind::Volatile => "volatile",
                    _ => "restrict",
                };
                // What is qualified is the pointer itself.
                if object
                    .entry(entry.word)
                    .is_some_and(|entry| entry.kind == Kind::Ptr)
                {
                    let inner = with_name(&format!(" {word}"), &inner);
                    return self.declare(entry.word, inner, indent, depth);
                }
                return format!("{word} {}", self.declare(entry.word, inner, indent, depth));
            }
            Kind::TypeTag => return self.declare(entry.word, inner, indent, depth),
            Kind::Struct | Kind::Union if object.text(entry.name).is_empty() => {
                self.composite(id, entry, indent, depth)
            }
            Kind::Enum | Kind::Enum64 if object.text(entry.name).is_empty() => {
                self.enumeration(id, entry, indent)
            }
            _ => match keyword(entry) {
                "" => object.text(entry.name),
                keyword => format!("{keyword} {}", object.text(entry.name)),
            },
        };
        with_name(&base, &inner)
    }

    fn parameters(&mut self, id: u32, entry: Entry, indent: usize, depth: u32) -> String {
        let object = self.source.object;
        let param = |i: usize| Some((object.word(id, i * 2)?, object.word(id, i * 2 + 1)?));
        let params: Vec<_> = (0..entry.count).map_while(param).collect();
        let texts: Vec<String> = params
            .into_iter()
            .map(|(name, ty)| match (name, ty) {
                (0, 0) => "...".to_owned(),
                (name, ty) => self.declare(ty, object.text(name), indent, depth),
            })
            .collect();
        match texts.is_empty() {
            true => "void".to_owned(),
            false => texts.join(", "),
        }
    }

    fn composite(&mut self, id: u32, entry: Entry, indent: usize, depth: u32) -> String {
        let object = self.source.object;
        let tabs = "\t".repeat(indent);
        let mut text = head(keyword(entry), &object.text(entry.name));
        text.push_str(" {\n");
        for i in 0..entry.count {
            let word = |index| object.word(id, i * 3 + index);
            let (Some(name), Some(ty), Some(offset)) = (word(0), word(1), word(2)) else {
                break;
            };
            let member = self.declare(ty, object.text(name), indent + 1, depth);
            let bits = if entry.flag { offset >> 24 } else { 0 };
            // Writing to a string cannot fail.
            let _ = match bits {
                0 => writeln!(text, "{tabs}\t{member};"),
                bits => writeln!(text, "{tabs}\t{member}: {bits};"),
            };
            if self.written >= MAX_TEXT {
                break;
            }
        }
        text.push_str(&tabs);
        text.push('}');
        text
    }

    fn enumeration(&mut self, id: u32, entry: Entry, indent: usize) -> String {
        let object = self.source.object;
        let tabs = "\t".repeat(indent);
        let mut text = head("enum", &object.text(entry.name));
        text.push_str(" {\n");
        if matches!(entry.word, 1 | 2 | 4 | 8) {
            for (name, value) in self.source.enumeration(id, entry).variants {
                self.written += name.len() + 8;
                let _ = writeln!(text, "{tabs}\t{name} = {value},");
                if self.written >= MAX_TEXT {
                    break;
                }
            }
        }
        text.push_str(&tabs);
        text.push('}');
        text
    }
}

fn head(keyword: &str, name: &str) -> String {
    match name {
        "" => keyword.to_owned(),
        name => format!("{keyword} {name}"),
    }
}

fn with_name(base: &str, inner: &str) -> String {
    match inner {
        "" => base.to_owned(),
        inner => format!("{base} {inner}"),
    }
}

/// The word before its name.
fn keyword(entry: Entry) -> &'static str {
    match entry.kind {
        Kind::Struct => "struct",
        Kind::Union => "union",
        Kind::Forward if entry.flag => "union",
        Kind::Forward => "struct",
        Kind::Enum | Kind::Enum64 => "enum",
        _ => "",
    }
}
