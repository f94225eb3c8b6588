//! Text of others on a terminal.
//!
//! In: bytes that traced programs chose, such as arguments, paths and names of functions. Out: the same without what a
//! terminal obeys: control characters but for line breaks and tabs, and what is no UTF-8, as `\xNN`. A program that is watched must
//! not write to the watcher's terminal, which could set its title, hide lines, or answer as if the user typed. What a script's own
//! formats say is obeyed (colours, clearing the screen), and into pipes and files the bytes go as they are.

use crate::value::Value;
use crumbs_compiler::plan::EventKind;
use std::borrow::Cow;
use std::fmt::Write;

fn is_harmless(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\t')
}

/// A text that a terminal shows and does not obey.
pub fn guarded(text: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(text).is_ok_and(|text| text.chars().all(is_harmless)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        let hex = |bytes: &[u8], shown: &mut String| {
            for byte in bytes {
                // A string takes everything.
                let _ = write!(shown, "\\x{byte:02x}");
            }
        };
        for c in chunk.valid().chars() {
            match is_harmless(c) {
                true => shown.push(c),
                false => hex(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut shown),
            }
        }
        hex(chunk.invalid(), &mut shown);
    }
    Cow::Owned(shown.into_bytes())
}

/// The same of a message.
pub fn guarded_text(text: &str) -> Cow<'_, str> {
    match guarded(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(shown) => Cow::Owned(String::from_utf8_lossy(&shown).into_owned()),
    }
}

/// Makes such ones of what an event fills into a format. What is run or opened stays what it is.
pub(crate) fn guard_shown(kind: &EventKind, args: &mut [Value]) {
    if matches!(kind, EventKind::Printf(_) | EventKind::Message { .. }) {
        args.iter_mut().for_each(guard);
    }
}

/// Makes all texts in a value such ones.
fn guard(value: &mut Value) {
    let replace = |text: &mut Vec<u8>| {
        if let Cow::Owned(shown) = guarded(text) {
            *text = shown;
        }
    };
    match value {
        Value::Str(text) => replace(text),
        Value::Tuple(values) | Value::Array(values) => values.iter_mut().for_each(guard),
        Value::Record(members) => members.iter_mut().for_each(|(_, member)| guard(member)),
        Value::Lines(lines) => {
            for (_, line) in &mut lines.lines {
                if let Cow::Owned(shown) = guarded_text(line) {
                    *line = shown;
                }
            }
        }
        Value::Name(name) => {
            if let Cow::Owned(shown) = guarded_text(name) {
                *name = shown;
            }
        }
        Value::Void
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Bool(_)
        | Value::Pointer(_)
        // These are shown as numbers.
        | Value::Bytes(_)
        | Value::Opaque(_)
        | Value::Stack(_)
        | Value::KernelAddress(_)
        | Value::UserAddress { .. }
        | Value::Enum(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey() {
        let shown = |text: &[u8]| String::from_utf8_lossy(&guarded(text)).into_owned();
        for harmless in ["", "plain\ttext\n", "größe ✓"] {
            assert!(matches!(guarded(harmless.as_bytes()), Cow::Borrowed(_)));
        }
        // A title, what goes back to the line's start, C1 as UTF-8 and as it is, and no UTF-8.
        assert_eq!(shown(b"\x1b]0;title\x07"), "\\x1b]0;title\\x07");
        assert_eq!(shown(b"safe\rbad\x08\x7f"), "safe\\x0dbad\\x08\\x7f");
        assert_eq!(shown("\u{9b}31m".as_bytes()), "\\xc2\\x9b31m");
        assert_eq!(shown(b"\x9b31m\xff\xc3"), "\\x9b31m\\xff\\xc3");
    }

    #[test]
    fn texts_in_values() {
        let text = || Value::Str(b"a\x1b[1m".to_vec());
        let mut value = Value::Tuple(vec![
            Value::Int(27),
            text(),
            Value::Record(vec![("x".into(), text())]),
        ]);
        guard(&mut value);
        let shown = Value::Str(b"a\\x1b[1m".to_vec());
        let wanted = vec![
            Value::Int(27),
            shown.clone(),
            Value::Record(vec![("x".into(), shown)]),
        ];
        assert_eq!(value, Value::Tuple(wanted));
    }
}
