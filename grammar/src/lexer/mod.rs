//! The lexer: two logos lexers behind one driver that knows which of them applies.
//!
//! In: the text of a script. Out: [`Lexed`]: tokens grouped by top-level item, comments, and what was wrong.
//!
//! Three places have rules of their own (see [`header`] for the first):
//!
//! - **header**: attach points, each one token;
//! - **predicate**: code in which a `/` whose next significant character is `{` or `<` is the end;
//! - **body**: code. In a `< … >` body a `>` outside all brackets is the end.
//!
//! Declarations (`config`, `macro`, `fn`, `let`, `import`) are code from their first word.
//!
//! Invariants: tokens are in the order of the text and do not overlap; every item that is not `skipped` has balanced
//! delimiters for its predicate and body, which the driver completes (zero-width tokens) where the script does not; brackets
//! are never nested deeper than [`MAX_NESTING`] in an item that is not `skipped`.

mod c_text;
mod code;
mod header;
mod trivia;

use logos::Logos;

use crate::ast::BodyForm;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::{Span, Spanned};
use crate::token::Token;

use header::HeaderToken;

/// How deep brackets may nest. Everything that walks the tree recursively relies on a bound.
pub const MAX_NESTING: usize = 256;

/// The tokens of one top-level item.
#[derive(Debug)]
pub(crate) struct Item<'s> {
    /// At least one.
    pub(crate) tokens: Vec<(Token<'s>, Span)>,
    /// What is wrong with it has been reported and makes parsing it pointless.
    pub(crate) skipped: bool,
    /// Runs of characters in it that mean nothing, which have been reported.
    pub(crate) garbage: Vec<Span>,
    /// The `>` that closed the body in front of this item, when that is where an error in it may come from.
    pub(crate) behind_angle: Option<Span>,
}

/// What the lexer made of a script.
#[derive(Debug, Default)]
pub(crate) struct Lexed<'s> {
    pub(crate) shebang: Option<Spanned<String>>,
    pub(crate) items: Vec<Item<'s>>,
    pub(crate) comments: Vec<Spanned<String>>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The tokens of a script in order, for `-d tokens`. What is wrong with the script is left out; [`crate::parse`] reports it.
pub fn tokens(text: &str) -> impl Iterator<Item = (Token<'_>, Span)> {
    lex(text).items.into_iter().flat_map(|item| item.tokens)
}

/// Reads a whole script, which must not be longer than [`crate::MAX_SIZE`].
pub(crate) fn lex(text: &str) -> Lexed<'_> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        open: Vec::new(),
        too_deep: 0,
        skipped: false,
        garbage: Vec::new(),
        swallowed: false,
        angle: None,
        out: Lexed::default(),
    };
    lexer.script();
    lexer.out
}

/// A declaration that begins with a word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declaration {
    Config,
    Import,
    Let,
    Macro,
    Fn,
}

/// The declaration that begins at `at`, if one does. The words are names of probes otherwise (`config:x`).
fn declaration_at(text: &str, at: usize) -> Option<Declaration> {
    let rest = &text[at..];
    let len = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let next_at = trivia::skip_quietly(text, at + len);
    let next = text[next_at..].chars().next()?;
    let named = next_at > at + len && (next.is_ascii_alphabetic() || next == '_');
    match &rest[..len] {
        "config" if next == '=' && text[trivia::skip_quietly(text, next_at + 1)..].starts_with('{') => {
            Some(Declaration::Config)
        }
        "import" if next == '"' || named => Some(Declaration::Import),
        "let" if matches!(next, '@' | '$') || named => Some(Declaration::Let),
        "macro" if named => Some(Declaration::Macro),
        "fn" if named => Some(Declaration::Fn),
        _ => None,
    }
}

/// The driver: where it is and what it has made so far.
struct Lexer<'s> {
    text: &'s str,
    at: usize,
    /// The tokens of the item that is being read.
    tokens: Vec<(Token<'s>, Span)>,
    /// The brackets that are open in the current predicate, body or declaration; at most [`MAX_NESTING`].
    open: Vec<(Token<'s>, Span)>,
    /// How many brackets are open beyond that.
    too_deep: usize,
    skipped: bool,
    /// As in [`Item`].
    garbage: Vec<Span>,
    /// Whether closing delimiters may have been lost: in a string without an end, or by nesting too deeply.
    swallowed: bool,
    /// The `>` that closed the latest body.
    angle: Option<Span>,
    out: Lexed<'s>,
}

impl<'s> Lexer<'s> {
    fn script(&mut self) {
        if self.text.starts_with("#!") {
            let end = self.text.find('\n').unwrap_or(self.text.len());
            let line = self.text[..end].trim_end();
            self.out.shebang = Some(Spanned::new(line.to_string(), Span::new(0, line.len())));
            self.at = end;
        }
        loop {
            self.trivia();
            if self.at >= self.text.len() {
                break;
            }
            let behind_angle = self.angle.take();
            self.item();
            if !self.tokens.is_empty() {
                let tokens = std::mem::take(&mut self.tokens);
                self.out.items.push(Item {
                    tokens,
                    skipped: self.skipped,
                    garbage: std::mem::take(&mut self.garbage),
                    behind_angle,
                });
            }
            self.garbage.clear();
            self.skipped = false;
            self.swallowed = false;
            self.open.clear();
            self.too_deep = 0;
        }
    }

    fn item(&mut self) {
        if let Some(c_text) = c_text::end(self.text, self.at) {
            if let Some(open) = c_text.unclosed {
                let label = "opened here";
                self.report(
                    Diagnostic::error(
                        &codes::UNCLOSED_C,
                        Span::new(open, open + 1),
                        "this C definition does not end",
                    )
                    .label(label)
                    .help("add the missing `}`"),
                );
                self.skipped = true;
            }
            self.push(Token::CText(&self.text[self.at..c_text.end]), self.at, c_text.end);
            self.at = c_text.end;
        } else if let Some(declaration) = declaration_at(self.text, self.at) {
            self.declaration(declaration);
        } else {
            self.probe();
        }
    }

    fn probe(&mut self) {
        loop {
            self.trivia();
            let at = self.at;
            if self.ends_header() {
                return;
            }
            let mut lexer = HeaderToken::lexer(&self.text[at..]);
            let Some(token) = lexer.next() else { return };
            let word = lexer.slice();
            match token {
                Ok(HeaderToken::Comma) => self.take(Token::Comma, 1),
                Ok(HeaderToken::Brace) => return self.body(BodyForm::Braces),
                Ok(HeaderToken::Angle) => {
                    if !self.template_arguments() {
                        return self.body(BodyForm::Angles);
                    }
                }
                Ok(HeaderToken::Slash) => {
                    if !self.predicate() {
                        return;
                    }
                }
                Ok(HeaderToken::Word) => {
                    let len = header::attach_point_len(self.text, at, word);
                    self.take(Token::AttachPoint(&word[..len]), len);
                }
                Ok(HeaderToken::OpenWord) => {
                    let quote = at + word.rfind('"').unwrap_or(0);
                    self.report(
                        Diagnostic::error(
                            &codes::UNTERMINATED_STRING,
                            Span::new(quote, at + word.len()),
                            "this quote is not closed",
                        )
                        .help("add the closing `\"` on the same line"),
                    );
                    self.skipped = true;
                    self.take(Token::AttachPoint(word), word.len());
                }
                Ok(HeaderToken::Stray) if word == "#" => self.unexpected(),
                Ok(HeaderToken::Stray) => {
                    self.at += 1;
                    // Behind an attach point the missing body is the mistake to report.
                    if self.tokens.is_empty() {
                        self.stray(Span::new(at, at + 1));
                    }
                    return;
                }
                Err(()) => self.unexpected(),
            }
        }
    }

    /// Whether the header is over without a body: the text is, or another item begins on a new line.
    fn ends_header(&self) -> bool {
        if self.at >= self.text.len() {
            return true;
        }
        let expects_more = matches!(self.tokens.last(), None | Some((Token::Comma, _)));
        !expects_more
            && self.begins_line(self.at)
            && (declaration_at(self.text, self.at).is_some() || c_text::end(self.text, self.at).is_some())
    }

    /// Reads on in `uprobe:bin:std::vector<int>::f`, whose `<` is not meant to begin a body. Returns whether that is so.
    fn template_arguments(&mut self) -> bool {
        let at = self.at;
        let Some((Token::AttachPoint(name), span)) = self.tokens.last_mut() else {
            return false;
        };
        if span.end as usize != at || !name.contains("::") {
            return false;
        }
        let rest = &self.text[at..];
        let end = at
            + rest
                .find(|c: char| c.is_whitespace() || c == '{')
                .unwrap_or(rest.len());
        let start = span.start as usize;
        *name = &self.text[start..end];
        *span = Span::new(start, end);
        let (span, scope) = (*span, name.find("::").unwrap_or(0));
        let from = name[..scope].rfind(':').map_or(0, |colon| colon + 1);
        let help = format!("write `{}\"{}\"`", &name[..from], &name[from..]);
        self.at = end;
        self.report(Diagnostic::error(&codes::SYNTAX, span, "a C++ name stands in quotes").help(help));
        true
    }

    /// A character at the top level that begins nothing.
    fn stray(&mut self, span: Span) {
        let c = &self.text[span.range()];
        let diagnostic = match c {
            ";" => Diagnostic::error(&codes::UNMATCHED, span, "`;` between probes").help("remove it"),

            _ => Diagnostic::error(&codes::UNMATCHED, span, format!("`{c}` closes nothing")).help(format!(
                "remove it, or add the `{}` that it should close",
                if c == "}" { "{" } else { "<" }
            )),
        };
        self.report(diagnostic);
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        // More are never shown, and garbage has one per token.
        if self.out.diagnostics.len() <= crate::MAX_DIAGNOSTICS {
            self.out.diagnostics.push(diagnostic);
        }
    }

    /// Adds the token that spans the next `len` bytes and goes behind it.
    fn take(&mut self, token: Token<'s>, len: usize) {
        self.push(token, self.at, self.at + len);
        self.at += len;
    }

    fn push(&mut self, token: Token<'s>, start: usize, end: usize) {
        self.tokens.push((token, Span::new(start, end)));
    }

    /// Goes to the next significant character, keeping comments.
    fn trivia(&mut self) {
        let (text, comments) = (self.text, &mut self.out.comments);
        let mut unterminated = None;
        self.at = trivia::skip(text, self.at, |comment| {
            let line = text[comment.start..comment.end].trim_end();
            comments.push(Spanned::new(
                line.to_string(),
                Span::new(comment.start, comment.start + line.len()),
            ));
            if !comment.terminated {
                unterminated = Some(Span::new(comment.start, comment.start + 2));
            }
        });
        if let Some(span) = unterminated {
            self.report(
                Diagnostic::error(&codes::UNTERMINATED_COMMENT, span, "this comment is not closed")
                    .help("add `*/` where it ends"),
            );
        }
    }

    /// Reports the run of characters at `at` that begin no token, and goes behind it.
    fn unexpected(&mut self) {
        let start = self.at;
        let rest = &self.text[start..];
        let mut end = 0;
        for (offset, c) in rest.char_indices() {
            let known =
                c.is_ascii_graphic() && !matches!(c, '\\' | '`' | '\'' | '#') || c.is_ascii_whitespace();
            if known && offset > 0 {
                break;
            }
            end = offset + c.len_utf8();
        }
        if rest.starts_with('#') {
            // Neither a comment as in a shell nor a preprocessor line is worth reading on.
            end = rest.find('\n').unwrap_or(rest.len());
        }
        self.at = start + end;
        let run = &rest[..end];
        let shown: String = run.chars().take(8).flat_map(char::escape_debug).collect();
        let message = if run.starts_with('#') {
            "`#` begins a line of its own, outside of probes".to_string()
        } else if run.chars().nth(1).is_none() {
            format!("`{shown}` means nothing here")
        } else if run.chars().nth(8).is_none() {
            format!("`{shown}` mean nothing here")
        } else {
            format!(
                "{} characters that mean nothing, from `{shown}` on",
                run.chars().count()
            )
        };
        let span = Span::new(start, self.at);
        self.garbage.push(span);
        let mut diagnostic = Diagnostic::error(&codes::UNEXPECTED_CHARACTERS, span, message);
        if run.starts_with('#') {
            diagnostic = diagnostic
                .help("comments begin with `//`; `#define` and `#include` stand at the top of the script");
        } else if run.chars().any(|c| matches!(c, '“' | '”' | '„' | '‘' | '’')) {
            diagnostic = diagnostic.help("strings stand between plain double quotes: `\"text\"`");
        }
        self.report(diagnostic);
    }

    /// Whether only blanks stand between the beginning of the line and `at`.
    fn begins_line(&self, at: usize) -> bool {
        let before = self.text[..at].trim_end_matches([' ', '\t', '\r']);
        before.is_empty() || before.ends_with('\n')
    }
}
