//! C text at the top level: where a preprocessor line or a definition ends. What it says is the compiler's business.

use super::trivia;

/// What [`end`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CText {
    /// Offset behind it.
    pub(super) end: usize,
    /// Offset of a brace without its partner.
    pub(super) unclosed: Option<usize>,
}

/// If C text begins at `at`, where it ends.
pub(super) fn end(text: &str, at: usize) -> Option<CText> {
    let rest = &text[at..];
    if rest.starts_with('#') {
        return Some(CText {
            end: at + directive_len(rest),
            unclosed: None,
        });
    }
    let word = word(rest);
    match word {
        "struct" | "union" | "enum" => {}
        "typedef" if rest[word.len()..].starts_with(char::is_whitespace) => {}
        _ => return None,
    }
    // `struct:x` and `struct, …` are attach points, if strange ones.
    let next = text[trivia::skip_quietly(text, at + word.len())..].chars().next();
    if !next.is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '{') {
        return None;
    }
    Some(definition(text, at + word.len(), word == "typedef"))
}

fn word(text: &str) -> &str {
    &text[..text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())]
}

/// The length of a preprocessor line, continued lines included, without its line break.
fn directive_len(rest: &str) -> usize {
    let mut from = 0;
    loop {
        let Some(len) = rest[from..].find('\n') else {
            return rest.trim_end().len();
        };
        let line = rest[..from + len].trim_end_matches('\r');
        if !line.ends_with('\\') {
            return line.trim_end().len();
        }
        from += len + 1;
    }
}

/// The end of a definition: behind its braces, the attributes that follow, and a semicolon. A `typedef` and a declaration
/// without braces go to the semicolon.
fn definition(text: &str, mut at: usize, to_semicolon: bool) -> CText {
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    while at < bytes.len() {
        at = trivia::skip_quietly(text, at);
        match bytes.get(at) {
            None => break,
            Some(b'{') => open.push(at),
            Some(b'}') => {
                open.pop();
                if open.is_empty() && !to_semicolon {
                    return CText {
                        end: suffix_end(text, at + 1),
                        unclosed: None,
                    };
                }
            }
            Some(b';') if open.is_empty() => {
                return CText {
                    end: at + 1,
                    unclosed: None,
                };
            }
            _ => {}
        }
        at += 1;
    }
    CText {
        end: text.trim_end().len(),
        unclosed: open.last().copied(),
    }
}

/// Behind the closing brace: `__attribute__((…))` any number of times, then `;`, all optional.
fn suffix_end(text: &str, mut end: usize) -> usize {
    loop {
        let at = trivia::skip_quietly(text, end);
        let rest = &text[at..];
        if rest.starts_with(';') {
            return at + 1;
        }
        if word(rest) != "__attribute__" {
            return end;
        }
        let mut depth = 0usize;
        let close = rest.char_indices().find_map(|(offset, c)| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            (c == ')' && depth == 0).then_some(at + offset + 1)
        });
        match close {
            Some(close) => end = close,
            None => return end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents() {
        for (text, length) in [
            ("#include <linux/fs.h>\nbegin {}", Some(21)),
            ("#define A 1 \\\n  + 2  \nbegin {}", Some(19)),
            ("struct a { int x; };begin {}", Some(20)),
            ("struct a { struct { int y; } x; } begin {}", Some(33)),
            (
                "struct a { int x; } __attribute__((packed, aligned(8))) ; x",
                Some(57),
            ),
            ("struct a { /* } */ int x; // }\n}\nbegin", Some(32)),
            ("enum { A, B }\n", Some(13)),
            ("struct a;\nbegin", Some(9)),
            ("typedef struct { int x; } t;\nbegin", Some(28)),
            ("struct:x {", None),
            ("structure {", None),
            ("begin {}", None),
        ] {
            let expected = length.map(|end| CText { end, unclosed: None });
            assert_eq!(end(text, 0), expected, "{text}");
        }
        assert_eq!(
            end("struct a { int x;\n", 0),
            Some(CText {
                end: 17,
                unclosed: Some(9)
            })
        );
    }
}
