//! Functions that are macros: every script has them without an import.
//!
//! A macro of the script that takes the same arguments comes before one of these.

use crumbs_grammar::ast::{Item, Macro};

/// What messages call the text of these macros.
pub const FILE: &str = "<prelude>";

/// A macro that every script has.
#[derive(Debug)]
pub struct Prelude {
    /// What a script writes.
    pub name: &'static str,
    /// One sentence of documentation.
    pub doc: &'static str,
    /// How it is used.
    pub syntax: &'static str,
    /// A script that uses it; a test compiles it.
    pub example: &'static str,
    /// Its definition.
    pub text: &'static str,
}

/// Every macro of this kind, declared once.
pub static ALL: &[Prelude] = &[
    Prelude {
        name: "assert",
        doc: "ends the run with exit status 1 and a message unless a condition holds",
        syntax: "assert(condition, message)",
        example: "begin { @x = 1; assert(@x == 1, \"a map keeps what it is given\"); }",
        text: "macro assert(cond, msg) { if (!(cond)) { errorf(\"%s\", msg); exit(1); } }",
    },
    Prelude {
        name: "find",
        doc: "whether a map has an element of this key; if so, `$value` is set to it",
        syntax: "find(@map, key, $value)",
        example: "uprobe:libc:write { @size[tid] = arg2; } \
                  uretprobe:libc:write { let $size; if (find(@size, tid, $size)) { print($size); } }",
        text: "macro find(@map, key, $value) { \
               let $key = key; if (has_key(@map, $key)) { $value = @map[$key]; true } else { false } }",
    },
];

/// Finds a macro by name.
pub fn by_name(name: &str) -> Option<&'static Prelude> {
    ALL.iter().find(|row| row.name == name)
}

/// Its definition, with places counted from the start of its text.
pub(super) fn definition(row: &Prelude) -> Option<Macro> {
    crumbs_grammar::parse(row.text)
        .script
        .items
        .into_iter()
        .find_map(|item| match item {
            Item::Macro(decl) => Some(decl),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_parse_and_are_called_what_they_say() {
        for row in ALL {
            let parsed = crumbs_grammar::parse(row.text);
            assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
            assert_eq!(
                definition(row).map(|decl| decl.name.node).as_deref(),
                Some(row.name)
            );
        }
    }
}
