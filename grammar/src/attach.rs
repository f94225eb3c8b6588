//! Attach points: from the text of one to its parts.
//!
//! In: the text as the header lexer delimited it (no whitespace or comma outside quotes). Out: the label and the parts
//! between the colons outside quotes. What the parts mean is the compiler's business.

use crate::ast::{AttachPart, AttachPoint, Name};
use crate::span::Span;

/// Splits `text`, which stands at `span`.
pub(crate) fn split(text: &str, span: Span) -> AttachPoint {
    let base = span.start as usize;
    let (label, from) = match label_len(text) {
        Some(len) => (
            Some(Name::new(text[..len].to_string(), Span::new(base, base + len))),
            len + 1,
        ),
        None => (None, 0),
    };
    let mut parts = Vec::new();
    let mut start = from;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < from) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ':' if !quoted => {
                parts.push(part(&text[start..at], base + start));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(part(&text[start..], base + start));
    AttachPoint { label, parts, span }
}

/// The length of the name in `name=…`, if that is how the text begins.
fn label_len(text: &str) -> Option<usize> {
    let len = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    (len > 0 && text[len..].starts_with('=')).then_some(len)
}

/// One part without its quotes. A backslash within quotes stands for the character behind it.
fn part(text: &str, start: usize) -> AttachPart {
    let mut plain = String::with_capacity(text.len());
    let mut quoted = false;
    let mut any_quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                any_quoted = true;
            }
            '\\' if quoted => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    AttachPart {
        text: plain,
        quoted: any_quoted,
        span: Span::new(start, start + text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Spanned;

    fn parts(text: &str) -> Vec<String> {
        let point = split(text, Span::new(0, text.len()));
        let label = point.label.iter().map(|label| format!("{}=", label.node));
        label
            .chain(
                point
                    .parts
                    .iter()
                    .map(|part| format!("{}{}", part.text, if part.quoted { "!" } else { "" })),
            )
            .collect()
    }

    #[test]
    fn parts_are_split_at_colons_outside_quotes() {
        for (text, expected) in [
            ("begin", &["begin"] as &[_]),
            ("kprobe:vfs_*", &["kprobe", "vfs_*"]),
            ("mine=kprobe:f", &["mine=", "kprobe", "f"]),
            ("uprobe:/bin/bash:f+0x10", &["uprobe", "/bin/bash", "f+0x10"]),
            (
                r#"uprobe:"/a:b":cpp:"A::b(int, char)""#,
                &["uprobe", "/a:b!", "cpp", "A::b(int, char)!"],
            ),
            (r#"uprobe:"a\"b\\":f"#, &["uprobe", "a\"b\\!", "f"]),
            ("uprobe:bin@file.c:12", &["uprobe", "bin@file.c", "12"]),
            ("watchpoint:0x10:8:w", &["watchpoint", "0x10", "8", "w"]),
            ("kprobe:$1", &["kprobe", "$1"]),
            ("software:faults:", &["software", "faults", ""]),
            ("usdt:*:name", &["usdt", "*", "name"]),
            ("kprobe:a=b", &["kprobe", "a=b"]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn spans_include_quotes() {
        let point = split(r#"l=u:"x":f"#, Span::new(10, 19));
        let spans: Vec<_> = point
            .parts
            .iter()
            .map(|part| (part.span.start, part.span.end))
            .collect();
        assert_eq!(spans, [(12, 13), (14, 17), (18, 19)]);
        assert_eq!(
            point.label,
            Some(Spanned::new("l".to_string(), Span::new(10, 11)))
        );
    }
}
