//! The logos lexer for headers: attach points and what stands between them.
//!
//! # Which `/` begins a predicate
//! A `/` that begins a word (that follows whitespace, a comma or a comment) begins the predicate, because no attach point
//! begins with a slash. A `/` inside a word belongs to the attach point, because paths and Go names contain slashes,
//! unless the attach point cannot mean it:
//!
//! 1. no `:` stands before it (`begin/pid == 1/ {`): paths stand behind a colon only;
//! 2. the text behind the last `:` has a slash behind at least one other character, the word ends in another slash, and the
//!    body follows (`uprobe:/lib/libc.so.6:write/pid==1/{`): no function's name ends in a slash;
//! 3. the text behind the last `:` has a slash behind at least one other character, and something follows that cannot follow
//!    an attach point (`kprobe:f/pid == 1/ {`).

use logos::Logos;

use super::trivia;

/// A piece of a header.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderToken {
    /// `,`.
    #[token(",")]
    Comma,
    /// `{`.
    #[token("{")]
    Brace,
    /// `<`.
    #[token("<")]
    Angle,
    /// `/` that begins a word.
    #[token("/")]
    Slash,
    /// What belongs to code or to nothing: `;`, `}`, `>`, `#`.
    #[regex(r"[;}>#]")]
    Stray,
    /// Text without whitespace, commas and delimiters, except in quotes.
    #[regex(r#"([^\x00-\x20,{}<>;#/"\x7f\u{80}-\u{9f}\u{fffd}]|"([^"\\\n]|\\[^\n])*")([^\x00-\x20,{}<;"\x7f\u{80}-\u{9f}\u{fffd}]|"([^"\\\n]|\\[^\n])*")*"#)]
    Word,
    /// A word whose last quote is not closed.
    #[regex(r#"([^\x00-\x20,{}<>;#/"\x7f\u{80}-\u{9f}\u{fffd}]([^\x00-\x20,{}<;"\x7f\u{80}-\u{9f}\u{fffd}]|"([^"\\\n]|\\[^\n])*")*)?"([^"\\\n]|\\[^\n])*"#)]
    OpenWord,
}

/// The length of the attach point at the beginning of `word`, which is all of it unless a slash in it begins the
/// predicate by the rules above. `text` is the script and `at` the offset of the word in it.
pub(super) fn attach_point_len(text: &str, at: usize, word: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    let mut seen_colon = false;
    // The first slash behind the last colon, and that colon.
    let mut part_start = 0;
    let mut slash = None;
    for (offset, c) in word.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ':' if !quoted => {
                seen_colon = true;
                part_start = offset + 1;
                slash = None;
            }
            '/' if !quoted && !seen_colon => return offset,
            '/' if !quoted && slash.is_none() && offset > part_start => slash = Some(offset),
            _ => {}
        }
    }
    let Some(slash) = slash else { return word.len() };
    let next = text[trivia::skip_quietly(text, at + word.len())..].chars().next();
    let body_follows = matches!(next, Some('{' | '<'));
    let ends_in_another = word.ends_with('/') && slash + 1 < word.len();
    if body_follows && ends_in_another {
        return slash;
    }
    let may_follow = match next {
        None | Some('{' | '<' | ',' | '/' | ';' | '}' | '#' | '"' | '_' | '$') => true,
        Some(c) => c.is_alphanumeric(),
    };
    if may_follow { word.len() } else { slash }
}

/// Whether what stands at `at` can follow a finished item: the end, C text, a declaration, or an attach point with what
/// comes behind one. Used to tell a `>` that closes a body from one that compares.
pub(super) fn item_may_follow(text: &str, at: usize) -> bool {
    let at = trivia::skip_quietly(text, at);
    let rest = &text[at..];
    if rest.is_empty() || rest.starts_with('#') || super::declaration_at(text, at).is_some() {
        return true;
    }
    let mut lexer = HeaderToken::lexer(rest);
    if lexer.next() != Some(Ok(HeaderToken::Word)) || rest.starts_with(['@', '(', '!', '-', '~']) {
        return false;
    }
    let word = lexer.slice();
    if word.starts_with('$') && !word[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let end = trivia::skip_quietly(text, at + word.len());
    let named = word.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '"' | '*' | '$' | '_'));
    let structured = word
        .find(':')
        .is_some_and(|colon| colon > 0 && colon + 1 < word.len());
    named && (structured || text[end..].starts_with(['{', '<', ',', '/'])) && !word.contains('(')
}
