//! Whitespace and comments, which may stand between any two tokens of any mode.

/// A comment: its range, delimiters included.
pub(super) struct Comment {
    pub(super) start: usize,
    pub(super) end: usize,
    /// False for `/*` without `*/`.
    pub(super) terminated: bool,
}

/// The offset of the next significant character at or behind `at`; comments on the way go to `seen`.
pub(super) fn skip(text: &str, mut at: usize, mut seen: impl FnMut(Comment)) -> usize {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c) => at += 1,
            Some(b'/') => match bytes.get(at + 1) {
                Some(b'/') => {
                    let end = text[at..].find('\n').map_or(text.len(), |len| at + len);
                    seen(Comment {
                        start: at,
                        end,
                        terminated: true,
                    });
                    at = end;
                }
                Some(b'*') => {
                    let close = text[at + 2..].find("*/");
                    let end = close.map_or(text.len(), |len| at + 2 + len + 2);
                    seen(Comment {
                        start: at,
                        end,
                        terminated: close.is_some(),
                    });
                    at = end;
                }
                _ => return at,
            },
            _ => return at,
        }
    }
}

/// [`skip`] without interest in the comments.
pub(super) fn skip_quietly(text: &str, at: usize) -> usize {
    skip(text, at, |_| {})
}
