//! Damage to inputs.

use proptest::prelude::*;

/// Pieces that begin, end or confuse something.
pub const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\"",
    "/*",
    "*/",
    "//",
    "/",
    "<",
    ">",
    "->",
    "..",
    ".",
    ",",
    ";",
    ":",
    "?",
    "@",
    "$",
    "#",
    "#if 1\n",
    "#define X X\n",
    "\\",
    "\n",
    "\0",
    "é",
    "\u{202e}",
    "struct",
    "let",
    "for",
    "if",
    "fn",
    "macro",
    "config = {",
    "0x",
    "1e999",
    "99999999999999999999",
    "$99999999999",
    "%s",
    "\n#endif\n",
    "\n#else\n",
    "\n#define A A B\n",
    "\n#define B A A\n",
    " A ",
    "union u ",
    "enum ",
    "typedef ",
    "sizeof",
    "<<",
    "/0",
    "'",
    "__attribute__((",
    "aligned(",
    "...",
    "BIT(",
    "defined ",
    "field:",
    "offset:",
    "__data_loc ",
    "-1",
    "begin",
    "uprobe:libc:write",
    "interval:s:1",
    "args.prev_comm",
    "18446744073709551615",
    "count()",
    "hist(",
    "printf(\"%d %s\"",
    "print(",
    "has_key(",
    "str(",
    "nosuch",
    "@x",
    "@y",
    "$a",
    "(uint8)",
];

/// A change of an input.
#[derive(Clone, Debug)]
pub enum Damage {
    Cut(u16, u16),
    Repeat(u16, u16, u8),
    Move(u16, u16, u16),
    Insert(u16, usize),
    Replace(u16, u8),
}

/// Any change.
pub fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<u16>(), 0..40u16).prop_map(|(at, len)| Damage::Cut(at, len)),
        (any::<u16>(), 0..20u16, any::<u8>()).prop_map(|(at, len, times)| Damage::Repeat(at, len, times)),
        (any::<u16>(), 0..40u16, any::<u16>()).prop_map(|(at, len, to)| Damage::Move(at, len, to)),
        (any::<u16>(), 0..PIECES.len()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
    ]
}

impl Damage {
    /// Damages `text`.
    pub fn apply(&self, text: &mut Vec<u8>) {
        let place = |at: u16| (usize::from(at) * text.len()) >> 16;
        let range = |at: u16, len: u16| place(at)..(place(at) + usize::from(len)).min(text.len());
        match *self {
            Self::Cut(at, len) => drop(text.drain(range(at, len))),
            Self::Repeat(at, len, times) => {
                let piece = text[range(at, len)].repeat(usize::from(times));
                let at = place(at);
                text.splice(at..at, piece);
            }
            Self::Move(at, len, to) => {
                let piece: Vec<u8> = text.drain(range(at, len)).collect();
                let to = (usize::from(to) * text.len()) >> 16;
                text.splice(to..to, piece);
            }
            Self::Insert(at, piece) => {
                let at = place(at);
                text.splice(at..at, PIECES[piece].bytes());
            }
            Self::Replace(at, byte) => {
                let at = place(at);
                if let Some(old) = text.get_mut(at) {
                    *old = byte;
                }
            }
        }
    }
}
