//! Tokens of C.
//!
//! In: text and where it stands. Out: tokens, comments and continued lines taken out. Nothing is an error here: what is no
//! token of C (an apostrophe in the text of an `#error`) is [`Kind::Other`], and whoever needs a token there complains.

use crumbs_grammar::span::Span;
use std::rc::Rc;

/// Where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// In the script; the `#include` that asked for it, for a token of a header.
    pub span: Span,
    /// The number of its header, and its line there.
    pub header: Option<(u32, u32)>,
}

/// A token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    pub place: Place,
    /// Whether it is the first of its line: a `#` there begins a directive.
    pub first: bool,
    /// Whether white space stands before it: `#define f(x)` and `#define f (x)` differ.
    pub spaced: bool,
}

/// The kinds of token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Ident(Rc<str>),
    /// A number, with the suffix's `u` and `l`.
    Int {
        value: u64,
        unsigned: bool,
        long: bool,
        decimal: bool,
    },
    /// A character constant.
    Char(i64),
    Str(Rc<str>),
    Punct(&'static str),
    /// What is no token.
    Other(char),
}

impl Token {
    /// Whether it is this punctuator.
    pub(super) fn is(&self, punct: &str) -> bool {
        matches!(self.kind, Kind::Punct(found) if found == punct)
    }

    /// Its text, if it is a word.
    pub(super) fn ident(&self) -> Option<&Rc<str>> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }
}

impl Kind {
    /// As it can be written. Numbers are decimal, whatever they were.
    pub(super) fn spelling(&self) -> String {
        match self {
            Self::Ident(name) => name.to_string(),
            Self::Int {
                value,
                unsigned,
                long,
                ..
            } => {
                let suffix = match (unsigned, long) {
                    (true, true) => "UL",
                    (true, false) => "U",
                    (false, true) => "L",
                    (false, false) => "",
                };
                format!("{value}{suffix}")
            }
            Self::Char(value) => value.to_string(),
            Self::Str(text) => format!("\"{text}\""),
            Self::Punct(punct) => (*punct).to_owned(),
            Self::Other(c) => c.to_string(),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ident(name) => write!(f, "`{name}`"),
            Self::Int { value, .. } => write!(f, "`{value}`"),
            Self::Char(_) => f.write_str("a character"),
            Self::Str(text) => write!(f, "\"{text}\""),
            Self::Punct(punct) => write!(f, "`{punct}`"),
            Self::Other(c) => write!(f, "`{c}`"),
        }
    }
}

/// Longest first, as they are tried in order.
static PUNCTUATORS: &[&str] = &[
    "...", "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "##", "+=", "-=",
    "*=", "/=", "%=", "&=", "^=", "|=", "{", "}", "(", ")", "[", "]", ";", ":", ",", "=", "*", "/", "%", "+",
    "-", "<", ">", "!", "~", "&", "|", "^", "?", ".", "#",
];

/// What a text is, for the places of its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// It stands at this offset of the script.
    Script(usize),
    /// It is the header of this number, asked for at this place.
    Header(u32, Span),
}

/// The tokens of `text`.
pub(super) fn tokens(text: &str, origin: Origin) -> Vec<Token> {
    let mut lexer = Lexer {
        text,
        at: 0,
        line: 1,
        first: true,
        spaced: true,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let (start, line) = (lexer.at, lexer.line);
        let Some(kind) = lexer.token() else {
            return tokens;
        };
        let place = match origin {
            Origin::Script(base) => Place {
                span: Span::new(base + start, base + lexer.at),
                header: None,
            },
            Origin::Header(number, span) => Place {
                span,
                header: Some((number, line)),
            },
        };
        tokens.push(Token {
            kind,
            place,
            first: std::mem::replace(&mut lexer.first, false),
            spaced: std::mem::replace(&mut lexer.spaced, false),
        });
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    first: bool,
    spaced: bool,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// White space, comments, and ends of line behind a backslash.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").map_or(rest.len(), |end| end + 4)
            } else if rest.starts_with("\\\n") {
                2
            } else if rest.starts_with("\\\r\n") {
                3
            } else {
                match rest.chars().next() {
                    Some('\n') => {
                        self.first = true;
                        1
                    }
                    Some(c) if c.is_whitespace() => c.len_utf8(),
                    _ => return,
                }
            };
            self.line += self.text[self.at..self.at + skipped].matches('\n').count() as u32;
            self.at += skipped;
            self.spaced = true;
        }
    }

    fn token(&mut self) -> Option<Kind> {
        let rest = self.rest();
        let c = rest.chars().next()?;
        if c.is_ascii_alphabetic() || c == '_' || c == '$' {
            let word = self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'));
            return Some(Kind::Ident(word.into()));
        }
        if c.is_ascii_digit() {
            return Some(number(self.take(|c| c.is_ascii_alphanumeric() || c == '.')));
        }
        if matches!(c, '"' | '\'')
            && let Some(quoted) = self.quoted(c)
        {
            return Some(quoted);
        }
        let rest = self.rest();
        let punct = PUNCTUATORS.iter().find(|punct| rest.starts_with(**punct));
        self.at += punct.map_or(c.len_utf8(), |punct| punct.len());
        Some(punct.map_or(Kind::Other(c), |punct| Kind::Punct(punct)))
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    /// Text or a character up to its closing quote on the same line; `None`, where there is none.
    fn quoted(&mut self, quote: char) -> Option<Kind> {
        let mut text = Vec::new();
        let mut rest = self.rest()[1..].chars();
        loop {
            match rest.next()? {
                '\n' => return None,
                c if c == quote => break,
                '\\' => match escape(&mut rest)? {
                    code @ ..=255 => text.push(code as u8),
                    _ => return None,
                },
                c => text.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        self.at = self.text.len() - rest.as_str().len();
        if quote == '"' {
            return Some(Kind::Str(String::from_utf8_lossy(&text).into()));
        }
        // Several characters are a number by their bytes, as gcc has it; one is a signed char.
        match text.as_slice() {
            [] => None,
            [byte] => Some(Kind::Char(i64::from(*byte as i8))),
            bytes => {
                let value = bytes.iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte));
                Some(Kind::Char(i64::from(value as i32)))
            }
        }
    }
}

/// The value of an escape sequence behind its backslash.
fn escape(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    Some(match rest.next()? {
        'n' => 10,
        't' => 9,
        'r' => 13,
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'v' => 11,
        'e' => 27,
        'x' => {
            let digits = rest.as_str();
            let len = digits
                .find(|c: char| !c.is_ascii_hexdigit())
                .unwrap_or(digits.len());
            let value = u32::from_str_radix(&digits[..len], 16).ok()?;
            *rest = digits[len..].chars();
            value
        }
        first @ '0'..='7' => {
            let mut value = first.to_digit(8)?;
            for _ in 0..2 {
                let Some(digit) = rest.as_str().chars().next().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                rest.next();
                value = value * 8 + digit;
            }
            value
        }
        c if c.is_ascii_punctuation() => c as u32,
        _ => return None,
    })
}

/// A number as written; floating point and what fits no 64 bits is none.
fn number(text: &str) -> Kind {
    let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
    let suffix = text[digits.len()..].to_ascii_lowercase();
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    match u64::from_str_radix(body, radix) {
        Ok(value)
            if matches!(
                suffix.as_str(),
                "" | "u" | "l" | "ul" | "lu" | "ll" | "ull" | "llu"
            ) =>
        {
            Kind::Int {
                value,
                unsigned: suffix.contains('u'),
                long: suffix.contains('l'),
                decimal: radix == 10,
            }
        }
        _ => Kind::Other(text.chars().next().unwrap_or('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let tokens = tokens(text, Origin::Script(0));
        let words: Vec<String> = tokens.iter().map(|token| token.kind.to_string()).collect();
        words.join(" ")
    }

    #[test]
    fn tokens_of_c() {
        for (text, expected) in [
            ("a->b ... <<= x_1", "`a` `->` `b` `...` `<<=` `x_1`"),
            ("0x1F 017 0b11 10ULL 1.5", "`31` `15` `3` `10` `1`"),
            ("a /* b\n */ c // d\ne", "`a` `c` `e`"),
            ("\"a\\n\\x41\\101\\\"\"", "\"a\nAA\"\""),
            ("don't", "`don` `'` `t`"),
            ("0x 09 99999999999999999999", "`0` `0` `9`"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_and_places() {
        let tokens = tokens("#define A \\\n 1\nB", Origin::Header(3, Span::new(5, 9)));
        let firsts: Vec<bool> = tokens.iter().map(|token| token.first).collect();
        assert_eq!(firsts, [true, false, false, false, true]);
        assert_eq!(tokens[4].place.header, Some((3, 3)));
        assert_eq!(tokens[4].place.span, Span::new(5, 9));
    }

    #[test]
    fn characters_are_signed() {
        let char_of = |text: &str| tokens(text, Origin::Script(0))[0].kind.clone();
        assert_eq!(char_of("'a'"), Kind::Char(97));
        assert_eq!(char_of("'\\xff'"), Kind::Char(-1));
        assert_eq!(char_of("'ab'"), Kind::Char(0x6162));
    }
}
