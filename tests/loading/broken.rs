//! Broken text: whatever is read as a script, no stage panics.

use crate::{config, here, make};
use crumbs::stages;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::fs;

/// Pieces that begin, end or confuse something.
const PIECES: [&str; 42] = [
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
];

/// A change of a text.
#[derive(Clone, Debug)]
enum Change {
    Cut(u16, u16),
    Repeat(u16, u16, u8),
    Move(u16, u16, u16),
    Insert(u16, usize),
    Replace(u16, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u16>(), 0..40u16).prop_map(|(at, len)| Change::Cut(at, len)),
        (any::<u16>(), 0..20u16, any::<u8>()).prop_map(|(at, len, times)| Change::Repeat(at, len, times)),
        (any::<u16>(), 0..40u16, any::<u16>()).prop_map(|(at, len, to)| Change::Move(at, len, to)),
        (any::<u16>(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
    ]
}

impl Change {
    fn apply(&self, text: &mut Vec<u8>) {
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

/// The scripts of the goldens.
fn goldens() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut scripts = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "golden"))
    {
        let text = fs::read_to_string(file).unwrap();
        for part in text.split("=== script ").skip(1) {
            let script = part.split_once('\n').map_or("", |(_, rest)| rest);
            scripts.push(script.split("\n===").next().unwrap_or("").to_owned());
        }
    }
    scripts
}

#[test]
fn broken_text() {
    let run = || {
        let target = here();
        let scripts = goldens();
        assert!(scripts.len() > 100, "{} golden scripts", scripts.len());
        let changed = (0..scripts.len(), 0..scripts.len(), vec(change(), 0..6));
        let texts = prop_oneof![
            8 => changed.prop_map(move |(one, other, changes)| {
                let mut text = scripts[one].clone().into_bytes();
                if changes.len() > 4 {
                    text.extend_from_slice(scripts[other].as_bytes());
                }
                changes.iter().for_each(|change| change.apply(&mut text));
                text
            }),
            1 => vec(any::<u8>(), 0..400),
            1 => vec(0..PIECES.len(), 0..60)
                .prop_map(|pieces| pieces.iter().flat_map(|&piece| PIECES[piece].bytes()).collect()),
        ];
        TestRunner::new(config(400)).run(&texts, |text| {
            // A file that is no text is refused before it is read as a script.
            let text = String::from_utf8_lossy(&text);
            match make(&text, &target) {
                // A fault of the compiler.
                Ok(Err(reason)) if reason.contains("E0299") => {
                    Err(TestCaseError::fail(format!("{reason}\n{text}")))
                }
                _ => Ok(()),
            }
        })
    };
    if let Err(error) = stages::on_large_stack(run).unwrap() {
        panic!("{error}");
    }
}
