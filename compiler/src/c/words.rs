//! The words that C's types are made of.

use super::ctype::CType;
use crate::types::IntType;

/// Words that begin a declaration and nothing else.
pub(super) fn starts_declaration(word: &str) -> bool {
    tag_keyword(word).is_some() || matches!(word, "typedef" | "static" | "extern")
}

pub(super) fn tag_keyword(word: &str) -> Option<&'static str> {
    ["struct", "union", "enum"]
        .into_iter()
        .find(|keyword| *keyword == word)
}

/// Words before a type that do not change its values.
pub(super) fn is_qualifier(word: &str) -> bool {
    matches!(
        word,
        "const"
            | "volatile"
            | "restrict"
            | "__const"
            | "__const__"
            | "__volatile"
            | "__volatile__"
            | "__restrict"
            | "__restrict__"
            | "inline"
            | "__inline"
            | "__inline__"
            | "__always_inline"
            | "static"
            | "extern"
            | "register"
            | "auto"
            | "typedef"
            | "_Noreturn"
            | "__noreturn"
            | "__extension__"
            | "_Atomic"
            | "_Thread_local"
            | "__thread"
            | "__user"
            | "__kernel"
            | "__rcu"
            | "__percpu"
            | "__iomem"
            | "__force"
    )
}

/// Words that C's own types are made of.
pub(super) fn is_basic(word: &str) -> bool {
    matches!(
        word,
        "void"
            | "char"
            | "short"
            | "int"
            | "long"
            | "float"
            | "double"
            | "signed"
            | "__signed"
            | "__signed__"
            | "unsigned"
            | "_Bool"
            | "bool"
            | "__int128"
            | "__int128_t"
            | "__uint128_t"
            | "_Complex"
    )
}

/// The words of a basic type, in whichever order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Basic {
    pub(super) any: bool,
    pub(super) word: Option<&'static str>,
    pub(super) signed: Option<bool>,
    pub(super) longs: u32,
    pub(super) short: bool,
}

impl Basic {
    pub(super) fn add(&mut self, word: &str) {
        self.any = true;
        match word {
            "signed" | "__signed" | "__signed__" => self.signed = Some(true),
            "unsigned" => self.signed = Some(false),
            "long" => self.longs += 1,
            "short" => self.short = true,
            "void" => self.word = Some("void"),
            "char" => self.word = Some("char"),
            "float" => self.word = Some("float"),
            "double" => self.word = Some("double"),
            "_Bool" | "bool" => self.word = Some("bool"),
            "__int128" | "__int128_t" | "__uint128_t" => self.word = Some("int128"),
            _ => {}
        }
    }

    pub(super) fn ty(self) -> CType {
        let signed = self.signed.unwrap_or(true);
        let int = |bits| CType::Int(IntType { bits, signed });
        match self.word {
            Some("void") => CType::Void,
            Some("bool") => CType::Bool,
            Some("char") if self.signed.is_none() => CType::Char,
            Some("char") => int(8),
            Some("float") => CType::Opaque(4),
            Some("double") if self.longs == 0 => CType::Opaque(8),
            Some(_) => CType::Opaque(16),
            None if self.short => int(16),
            None if self.longs > 0 => int(64),
            None => int(32),
        }
    }
}

/// Integer types that C text may name without declaring them: those of `<stdint.h>`, `<stddef.h>` and the kernel. A
/// `typedef` of the script wins.
pub(super) static INTEGERS: &[(&str, u8, bool)] = &[
    ("int8_t", 8, true),
    ("int16_t", 16, true),
    ("int32_t", 32, true),
    ("int64_t", 64, true),
    ("uint8_t", 8, false),
    ("uint16_t", 16, false),
    ("uint32_t", 32, false),
    ("uint64_t", 64, false),
    ("__s8", 8, true),
    ("__s16", 16, true),
    ("__s32", 32, true),
    ("__s64", 64, true),
    ("__u8", 8, false),
    ("__u16", 16, false),
    ("__u32", 32, false),
    ("__u64", 64, false),
    ("s8", 8, true),
    ("s16", 16, true),
    ("s32", 32, true),
    ("s64", 64, true),
    ("u8", 8, false),
    ("u16", 16, false),
    ("u32", 32, false),
    ("u64", 64, false),
    ("__le16", 16, false),
    ("__le32", 32, false),
    ("__le64", 64, false),
    ("__be16", 16, false),
    ("__be32", 32, false),
    ("__be64", 64, false),
    ("u_char", 8, false),
    ("u_short", 16, false),
    ("u_int", 32, false),
    ("u_long", 64, false),
    ("ushort", 16, false),
    ("uint", 32, false),
    ("ulong", 64, false),
    ("size_t", 64, false),
    ("ssize_t", 64, true),
    ("ptrdiff_t", 64, true),
    ("intptr_t", 64, true),
    ("uintptr_t", 64, false),
    ("intmax_t", 64, true),
    ("uintmax_t", 64, false),
];

/// Types of POSIX that the kernel may define otherwise: its own definition wins.
pub(super) static POSIX: &[(&str, u8, bool)] = &[
    ("off_t", 64, true),
    ("loff_t", 64, true),
    ("time_t", 64, true),
    ("clock_t", 64, true),
    ("pid_t", 32, true),
    ("uid_t", 32, false),
    ("gid_t", 32, false),
    ("mode_t", 32, false),
    ("dev_t", 64, false),
    ("ino_t", 64, false),
    ("socklen_t", 32, false),
    ("sa_family_t", 16, false),
    ("in_addr_t", 32, false),
    ("in_port_t", 16, false),
    ("pthread_t", 64, false),
];
