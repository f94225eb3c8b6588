//! The formatter: a script in its standard form.
//!
//! In: the text of a script without mistakes of syntax. Out: the same tokens and comments in the same order, with other
//! white space. Nothing is wrapped: a line break inside of an expression stays where its author put it.
//!
//! - Four spaces for each block, a line for each statement. Blocks that are used for their value, and `< … >` bodies, stay on
//!   one line where they were.
//! - At most one blank line in a row, and one around everything at the top level that has a body.
//! - A comment behind code stays behind it, any other has a line of its own. C text is left as it is.
//!
//! Invariants, which [`format()`] itself sees to: the result lexes to the same tokens and comments; formatting it again changes
//! nothing (a test tries).

mod spacing;

use crate::ast::BodyForm;
use crate::codes;
use crate::context;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lexer;
use crate::span::{Span, Spanned};
use crate::token::Token;
use spacing::{Gap, Spacing};

/// Spaces for each block.
const INDENT: usize = 4;

/// Formats a script.
///
/// # Errors
/// The mistakes of its syntax.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let mistakes = crate::parse(text).diagnostics;
    if mistakes.iter().any(|d| d.severity == Severity::Error) {
        return Err(mistakes);
    }
    let lexed = lexer::lex(text);
    let mut printer = Printer::new(text, &lexed.comments);
    if let Some(shebang) = &lexed.shebang {
        printer.out.push_str(&shebang.node);
        printer.end = shebang.span.end as usize;
        printer.pending = Break::Line;
    }
    for item in &lexed.items {
        printer.item(&context::mark(&item.tokens));
    }
    let formatted = printer.finish();
    match is_same(text, &formatted) {
        true => Ok(formatted),
        false => {
            let message = "the formatter would change what this script means";
            let diagnostic = Diagnostic::error(&codes::SYNTAX, Span::default(), message);
            Err(vec![
                diagnostic.help("this is a fault of crumbs: please report the script"),
            ])
        }
    }
}

/// Whether two texts have the same tokens and comments.
fn is_same(a: &str, b: &str) -> bool {
    let tokens = |text: &str| -> Vec<String> {
        let lexed = lexer::lex(text);
        let marked = lexed.items.iter().flat_map(|item| context::mark(&item.tokens));
        let tokens = marked.map(|(token, span)| format!("{token:?} {}", &text[span.range()]));
        // Comments have no place among the tokens here: what keeps both in order keeps each where it was.
        let comments = lexed.comments.iter().map(|comment| comment.node.clone());
        let shebang = lexed.shebang.iter().map(|line| line.node.clone());
        shebang
            .chain(tokens.map(|text| unindented(&text)))
            .chain(comments.map(|text| unindented(&text)))
            .collect()
    };
    tokens(a) == tokens(b)
}

/// Text whose lines begin without blanks: those of a comment move with it.
fn unindented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("\n")
}

/// What has to stand before whatever comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Break {
    /// What the two tokens ask for.
    None,
    /// A space.
    Space,
    /// A new line.
    Line,
    /// An empty line.
    Blank,
}

/// A bracket that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// A block over several lines.
    Block,
    /// A block on one line.
    Inline,
    /// `(` or `[`.
    Bracket,
}

struct Printer<'a> {
    text: &'a str,
    out: String,
    comments: std::iter::Peekable<std::slice::Iter<'a, Spanned<String>>>,
    /// Where the last token or comment ended in the text.
    end: usize,
    pending: Break,
    open: Vec<Open>,
    /// Whether the statement goes on from a line above.
    continues: bool,
    /// Whether the last item has a body.
    had_body: bool,
}

impl<'a> Printer<'a> {
    fn new(text: &'a str, comments: &'a [Spanned<String>]) -> Self {
        Self {
            text,
            out: String::new(),
            comments: comments.iter().peekable(),
            end: 0,
            pending: Break::None,
            open: Vec::new(),
            continues: false,
            had_body: false,
        }
    }

    fn item(&mut self, tokens: &[(Token<'_>, Span)]) {
        let has_body = tokens
            .iter()
            .any(|(token, _)| matches!(token, Token::BodyOpen(_) | Token::LBrace));
        if (has_body || self.had_body) && !self.out.is_empty() {
            self.pending = Break::Blank;
        }
        self.had_body = has_body;
        self.continues = false;
        let mut spacing = Spacing::default();
        for (at, &(token, span)) in tokens.iter().enumerate() {
            if token == Token::TypeMark {
                continue;
            }
            self.comments_before(span.start as usize);
            let next = tokens.get(at + 1..).unwrap_or_default();
            self.token(token, span, next, &mut spacing);
        }
        self.pending = self.pending.max(Break::Line);
    }

    fn token(&mut self, token: Token<'_>, span: Span, next: &[(Token<'_>, Span)], spacing: &mut Spacing) {
        let start = span.start as usize;
        let closes = self.closes(token);
        if closes {
            // What stood before a closing brace is in the block; the brace is not.
            if self.open.last() == Some(&Open::Block) {
                self.pending = Break::Line;
                self.continues = false;
            }
            self.open.pop();
        }
        let gap = spacing.before(token);
        let breaks = self.pending == Break::None && gap.may_break() && self.has_line_break(start);
        if breaks {
            self.continues = true;
            self.new_line(closes);
        } else {
            self.gap(gap, start, closes);
        }
        self.out.push_str(&self.text[span.range()]);
        self.end = span.end as usize;
        self.behind(token, span, next, spacing);
    }

    /// Notes what a token does to what follows.
    fn behind(&mut self, token: Token<'_>, span: Span, next: &[(Token<'_>, Span)], spacing: &mut Spacing) {
        match token {
            Token::BodyOpen(_) | Token::LBrace | Token::ValueOpen => {
                let is_value = spacing.opens_value(token);
                let is_angle = token == Token::BodyOpen(BodyForm::Angles);
                let inline = (is_value || is_angle) && self.is_on_one_line(span, next);
                let is_empty = next.first().is_some_and(|(next, _)| ends_block(*next));
                if inline || is_empty && !self.has_comment_before(next) {
                    self.open.push(Open::Inline);
                    self.pending = Break::Space;
                } else {
                    self.open.push(Open::Block);
                    self.pending = Break::Line;
                }
                self.continues = false;
            }
            Token::LParen | Token::CastOpen | Token::LBracket => self.open.push(Open::Bracket),
            Token::BodyClose | Token::RBrace => {
                let ends = spacing.closed_statement();
                if self.is_inline() || !ends {
                    return;
                }
                self.continues = false;
                match next.first() {
                    Some((Token::Else, _)) => self.pending = Break::Space,
                    Some((Token::Semi, _)) => {}
                    _ => self.pending = Break::Line,
                }
            }
            Token::Semi => {
                self.continues = false;
                if next.first().is_some_and(|(next, _)| *next == Token::Semi) {
                    return;
                }
                self.pending = if self.is_inline() {
                    Break::Space
                } else {
                    Break::Line
                };
            }
            _ => {}
        }
    }

    fn closes(&self, token: Token<'_>) -> bool {
        matches!(
            token,
            Token::BodyClose | Token::RBrace | Token::RParen | Token::RBracket
        )
    }

    /// Whether the innermost block is on one line.
    fn is_inline(&self) -> bool {
        let blocks = self.open.iter().rev().find(|open| **open != Open::Bracket);
        blocks == Some(&Open::Inline)
    }

    /// Whether what an opening brace begins is on its line altogether, and has neither comments nor statements that need lines
    /// of their own.
    fn is_on_one_line(&self, open: Span, next: &[(Token<'_>, Span)]) -> bool {
        let mut depth = 0_usize;
        let mut begins_statement = true;
        for (token, span) in next {
            match token {
                Token::If | Token::For | Token::While | Token::Unroll => return false,
                Token::LBrace if begins_statement => return false,
                Token::LBrace | Token::ValueOpen => depth += 1,
                Token::RBrace | Token::BodyClose if depth > 0 => depth -= 1,
                Token::RBrace | Token::BodyClose => {
                    let inside = &self.text[open.end as usize..span.start as usize];
                    return !inside.contains('\n') && !self.comment_starts_before(span.start as usize);
                }
                _ => {}
            }
            begins_statement = matches!(token, Token::Semi | Token::LBrace | Token::ValueOpen);
        }
        false
    }

    fn has_comment_before(&mut self, next: &[(Token<'_>, Span)]) -> bool {
        next.first()
            .is_some_and(|(_, span)| self.comment_starts_before(span.start as usize))
    }

    fn comment_starts_before(&self, at: usize) -> bool {
        let mut left = self.comments.clone();
        left.next()
            .is_some_and(|comment| (comment.span.start as usize) < at)
    }

    fn has_line_break(&self, start: usize) -> bool {
        self.text[self.end..start].contains('\n')
    }

    fn has_blank_line(&self, start: usize) -> bool {
        self.text[self.end..start].matches('\n').count() > 1
    }

    /// Writes the white space before a token.
    fn gap(&mut self, gap: Gap, start: usize, closes: bool) {
        match std::mem::replace(&mut self.pending, Break::None) {
            Break::None if gap.is_space() && !self.out.is_empty() => self.out.push(' '),
            Break::None => {}
            Break::Space => self.out.push(' '),
            Break::Line | Break::Blank if self.out.is_empty() => {}
            Break::Line if self.wants_blank(start) => {
                self.out.push('\n');
                self.new_line(closes);
            }
            Break::Line => self.new_line(closes),
            Break::Blank => {
                self.out.push('\n');
                self.new_line(closes);
            }
        }
    }

    /// Whether an empty line of the author stays: not behind an opening and not before a closing brace.
    fn wants_blank(&self, start: usize) -> bool {
        let closes = self.text[start..].starts_with(['}', '>']);
        self.has_blank_line(start) && !self.out.ends_with(['{', '<']) && !closes
    }

    fn new_line(&mut self, closes: bool) {
        self.out.push('\n');
        let blocks = self.open.iter().filter(|open| **open == Open::Block).count();
        let brackets = self
            .open
            .iter()
            .rev()
            .take_while(|open| **open == Open::Bracket)
            .count();
        let deeper = match self.continues {
            true if closes => brackets,
            true => brackets.max(1),
            false => 0,
        };
        let width = INDENT * (blocks + deeper);
        self.out.extend(std::iter::repeat_n(' ', width));
    }

    /// Writes the comments that begin before `at`.
    fn comments_before(&mut self, at: usize) {
        while let Some(comment) = self
            .comments
            .next_if(|comment| (comment.span.start as usize) < at)
        {
            let start = comment.span.start as usize;
            let is_behind_code = self.end > 0 && !self.has_line_break(start);
            let is_in_statement = self.end > 0 && self.pending == Break::None;
            if is_behind_code {
                self.out.push(' ');
            } else {
                self.pending = self.pending.max(match self.out.is_empty() {
                    true => Break::None,
                    false => Break::Line,
                });
                self.gap(Gap::NONE, start, false);
            }
            self.lines_of(&comment.node, start);
            self.end = comment.span.end as usize;
            let is_line = comment.node.starts_with("//");
            let breaks = self.text[self.end..at].contains('\n');
            if is_line || breaks || !is_behind_code {
                self.continues |= is_in_statement;
                let follows_inline = !is_line && !breaks;
                self.pending = match follows_inline {
                    true => Break::Space,
                    false => Break::Line,
                };
            } else if self.pending == Break::None {
                self.pending = Break::Space;
            }
        }
    }

    /// Writes a comment; the lines of a long one move as its first does.
    fn lines_of(&mut self, comment: &str, start: usize) {
        let before = &self.text[..start];
        let column = start - before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.out.rfind('\n').map_or(0, |at| at + 1);
        let indent = self.out.len() - line;
        for (at, line) in comment.lines().enumerate() {
            if at == 0 {
                self.out.push_str(line.trim_end());
                continue;
            }
            let blanks = line.len() - line.trim_start().len();
            let width = (indent + blanks).saturating_sub(column);
            self.out.push('\n');
            if !line.trim().is_empty() {
                self.out.extend(std::iter::repeat_n(' ', width));
            }
            self.out.push_str(line.trim());
        }
    }

    fn finish(mut self) -> String {
        self.continues = false;
        self.comments_before(self.text.len());
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out
    }
}

/// Whether a token ends a block.
fn ends_block(token: Token<'_>) -> bool {
    matches!(token, Token::RBrace | Token::BodyClose)
}
