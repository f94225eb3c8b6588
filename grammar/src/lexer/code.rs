//! Code: predicates, bodies and declarations. Follows the brackets, so that it knows where each ends, also when one is
//! missing.

use logos::Logos;

use super::{Declaration, Lexer, MAX_NESTING, header, trivia};
use crate::ast::BodyForm;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::literal::{self, NumberError};
use crate::span::Span;
use crate::token::{LexError, Token};

/// How many tokens in front of a `>` are looked at.
const NEARBY: usize = 64;

impl<'s> Lexer<'s> {
    /// From the opening delimiter of a probe's body to behind the closing one.
    pub(super) fn body(&mut self, form: BodyForm) {
        let opening = Span::new(self.at, self.at + 1);
        self.take(Token::BodyOpen(form), 1);
        while let Some((token, span)) = self.code_token() {
            if self.begins_probe(token, span) {
                self.at = span.start as usize;
                return self.complete(opening, form, Some(span));
            }
            match token {
                Token::RBrace if self.too_deep == 0 && !self.has_open_brace() => {
                    if form == BodyForm::Angles {
                        self.report(
                            Diagnostic::error(
                                &codes::UNMATCHED,
                                span,
                                "a body opened by `<` is closed by `>`",
                            )
                            .also(opening, "opened here")
                            .help("write `>` instead of `}`"),
                        );
                    }
                    self.tokens.push((Token::BodyClose, span));
                    return;
                }
                Token::Gt if form == BodyForm::Angles && self.open.is_empty() => {
                    if self.closes_angle_body(span) {
                        self.tokens.push((Token::BodyClose, span));
                        self.angle = Some(span);
                        return;
                    }
                    self.comparison(span, "this `>` would close the body");
                    self.tokens.push((token, span));
                }
                Token::Ge | Token::Shr | Token::ShrAssign
                    if form == BodyForm::Angles && self.open.is_empty() =>
                {
                    let text = &self.text[span.range()];
                    self.comparison(
                        span,
                        &format!("in a `< … >` body, `{text}` needs parentheses around it"),
                    );
                    self.tokens.push((token, span));
                }
                _ => self.code(token, span),
            }
        }
        self.complete(opening, form, None);
    }

    /// From the opening slash of a predicate to behind the closing one. Returns whether a body may follow.
    pub(super) fn predicate(&mut self) -> bool {
        let opening = Span::new(self.at, self.at + 1);
        let comments = self.out.comments.len();
        self.take(Token::PredicateOpen, 1);
        let mut after_if = false;
        while let Some((token, span)) = self.code_token() {
            match token {
                Token::Slash => {
                    let next = trivia::skip_quietly(self.text, self.at);
                    if self.text[next..].starts_with(['{', '<']) {
                        self.tokens.push((Token::PredicateClose, span));
                        self.open.clear();
                        return true;
                    }
                    self.code(token, span);
                }
                Token::LBrace if self.open.is_empty() && !after_if && self.ends_operand() => {
                    self.report(
                        Diagnostic::error(&codes::UNCLOSED_PREDICATE, span, "the predicate is not closed")
                            .label("the body begins here")
                            .also(opening, "the predicate begins here")
                            .help("add `/` in front of the body"),
                    );
                    self.at = span.start as usize;
                    self.push(Token::PredicateClose, self.at, self.at);
                    return true;
                }
                Token::Semi | Token::RBrace if !self.has_open_brace() => break,
                _ => {
                    after_if |= matches!(token, Token::If | Token::Else);
                    self.code(token, span);
                }
            }
        }
        // `probe /condition/` and nothing more: what is missing is the body.
        if self.at >= self.text.len()
            && self.tokens.len() > 2
            && let Some((last @ Token::Slash, _)) = self.tokens.last_mut()
        {
            *last = Token::PredicateClose;
            return true;
        }
        let hidden = self.out.comments[comments..]
            .iter()
            .find(|comment| comment.node.starts_with("//") && comment.node.contains(['{', '<']));
        let diagnostic = match hidden {
            Some(comment) => Diagnostic::error(
                &codes::COMMENT_IN_PREDICATE,
                comment.span,
                "this comment hides the end of the predicate",
            )
            .also(opening, "the predicate begins here")
            .help("end the predicate with one slash: `probe /condition/ { … }`"),
            None => Diagnostic::error(
                &codes::UNCLOSED_PREDICATE,
                opening,
                "this predicate is not closed",
            )
            .label("begins here")
            .help("end it with `/` in front of the body: `probe /condition/ { … }`"),
        };
        self.report(diagnostic);
        self.skipped = true;
        self.skip_body();
        false
    }

    /// From the first word of a declaration to behind its end.
    pub(super) fn declaration(&mut self, declaration: Declaration) {
        let (word, block) = match declaration {
            Declaration::Config => (Token::Config, true),
            Declaration::Macro => (Token::Macro, true),
            Declaration::Fn => (Token::Fn, true),
            Declaration::Let => (Token::Let, false),
            Declaration::Import => (Token::Import, false),
        };
        self.take(word, word.fixed_text().map_or(0, str::len));
        while let Some((token, span)) = self.code_token() {
            let first_on_line = self.begins_line(span.start as usize) && self.open.is_empty();
            if self.begins_probe(token, span) || first_on_line && !block && token != Token::Semi {
                self.at = span.start as usize;
                return self.complete_declaration(block, Some(span));
            }
            self.code(token, span);
            let ends = match token {
                _ if !self.open.is_empty() => false,
                Token::RBrace => block,
                Token::Semi => !block,
                // bpftrace takes a map declaration without its semicolon.
                Token::RParen if declaration == Declaration::Let => self.lacks_semicolon(),
                Token::Str(_) if declaration == Declaration::Import && self.lacks_semicolon() => {
                    let place = self.last_char(span.end as usize);
                    self.report(
                        Diagnostic::error(&codes::UNCLOSED_DECLARATION, place, "`;` is missing behind this")
                            .help("add `;`"),
                    );
                    true
                }
                _ => false,
            };
            if ends {
                // bpftrace takes a semicolon behind `config = { … }`.
                let next = trivia::skip_quietly(self.text, self.at);
                if declaration == Declaration::Config && self.text[next..].starts_with(';') {
                    self.trivia();
                    self.take(Token::Semi, 1);
                }
                return;
            }
        }
        self.complete_declaration(block, None);
    }

    /// Adds a token, following the brackets.
    fn code(&mut self, token: Token<'s>, span: Span) {
        match token {
            Token::LBrace | Token::LParen | Token::LBracket => {
                if self.open.len() < MAX_NESTING {
                    self.open.push((token, span));
                } else {
                    if !self.skipped {
                        self.report(
                            Diagnostic::error(&codes::TOO_DEEP, span, "brackets are nested too deeply")
                                .label(format!("more than {MAX_NESTING} levels"))
                                .help("give the inner parts names with `$x = …;`"),
                        );
                    }
                    self.skipped = true;
                    self.swallowed = true;
                    self.too_deep += 1;
                }
            }
            Token::RBrace | Token::RParen | Token::RBracket if self.too_deep > 0 => self.too_deep -= 1,
            Token::RBrace | Token::RParen | Token::RBracket => {
                let opening = match token {
                    Token::RBrace => Token::LBrace,
                    Token::RParen => Token::LParen,
                    _ => Token::LBracket,
                };
                let partner = self.open.iter().rposition(|(open, _)| *open == opening);
                let brace = self.open.iter().rposition(|(open, _)| *open == Token::LBrace);
                // A parenthesis does not reach out of the braces that it stands in.
                match partner {
                    Some(partner) if Some(partner) >= brace => self.open.truncate(partner),
                    _ => {}
                }
            }
            _ => {}
        }
        self.tokens.push((token, span));
    }

    fn has_open_brace(&self) -> bool {
        self.open.iter().any(|(open, _)| *open == Token::LBrace)
    }

    fn ends_operand(&self) -> bool {
        self.tokens.last().is_some_and(|(token, _)| token.ends_operand())
    }

    /// The next token of code; `None` at the end of the text. What is no token is reported and skipped or replaced.
    fn code_token(&mut self) -> Option<(Token<'s>, Span)> {
        loop {
            self.trivia();
            let start = self.at;
            let rest = &self.text[start..];
            let behind_dot = matches!(self.tokens.last(), Some((Token::Dot | Token::Arrow, _)));
            if behind_dot {
                // `$x.0.1` has no fraction in it, and `args.if` no keyword.
                let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                if len > 0 {
                    self.at += len;
                    let span = Span::new(start, self.at);
                    let value = literal::integer(&rest[..len]);
                    if let Err(error) = &value {
                        self.number_error(error, span);
                    }
                    return Some((Token::Int(value.unwrap_or(0)), span));
                }
            }
            let mut lexer = Token::lexer(rest);
            let token = lexer.next()?;
            let slice = lexer.slice();
            let span = Span::new(start, start + slice.len());
            let token = match token {
                Ok(_) if behind_dot && slice.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                    Some(Token::Ident(slice))
                }
                Ok(token) => {
                    if let Token::Str(inner) = token {
                        self.check_escapes(inner, start + 1);
                    }
                    Some(token)
                }
                Err(LexError::Unexpected) => {
                    self.unexpected();
                    continue;
                }
                Err(error) => self.replacement(error, slice, span),
            };
            self.at = span.end as usize;
            if let Some(token) = token {
                return Some((token, span));
            }
        }
    }

    /// Reports `error` and returns what to go on with.
    fn replacement(&mut self, error: LexError, slice: &'s str, span: Span) -> Option<Token<'s>> {
        match error {
            LexError::Unexpected => None,
            LexError::Number(error) => {
                self.number_error(&error, span);
                Some(if slice.starts_with('$') {
                    Token::Positional(1)
                } else {
                    Token::Int(0)
                })
            }
            LexError::UnterminatedString => {
                self.swallowed = true;
                self.report(
                    Diagnostic::error(&codes::UNTERMINATED_STRING, span, "this string is not closed")
                        .help("add the closing `\"` on the same line; a line break in a string is `\\n`"),
                );
                Some(Token::Str(""))
            }
            LexError::SingleQuotes => {
                let inner = &slice[1..slice.len() - 1];
                self.report(
                    Diagnostic::error(&codes::SINGLE_QUOTES, span, "strings stand between double quotes")
                        .help(format!("write `\"{inner}\"`")),
                );
                Some(Token::Str(inner))
            }
            LexError::BareDollar => {
                self.report(
                    Diagnostic::error(&codes::UNEXPECTED_CHARACTERS, span, "`$` without a name").help(
                        "variables are `$name`, positional parameters `$1`, their number `$#`; \
                         in a shell, put the script between single quotes",
                    ),
                );
                Some(Token::Var(""))
            }
        }
    }

    fn number_error(&mut self, error: &NumberError, span: Span) {
        let text = &self.text[span.range()];
        let diagnostic = match error {
            NumberError::TooLarge if text.starts_with('$') => {
                Diagnostic::error(&codes::BAD_NUMBER, span, "there are not that many positional parameters")
            }
            NumberError::TooLarge => {
                Diagnostic::error(&codes::NUMBER_TOO_LARGE, span, "this number does not fit 64 bits")
                    .help(format!("the largest is {}", u64::MAX))
            }
            NumberError::Suffix(suffix) => {
                Diagnostic::error(&codes::BAD_NUMBER, span, format!("`{suffix}` is no suffix of a number")).help(
                    "durations end in `ns`, `us`, `ms`, `s`, `m`, `h` or `d`; `u`, `l`, `ul`, `ll` and `ull` change nothing",
                )
            }
            NumberError::Digit if text.starts_with('$') => {
                Diagnostic::error(&codes::BAD_NUMBER, span, "positional parameters are counted from `$1`")
            }
            NumberError::Digit if text.starts_with('0') && text.len() > 1 && !text.starts_with("0x") => {
                Diagnostic::error(&codes::BAD_NUMBER, span, "a number that begins with `0` is octal")
                    .help(format!("for a decimal number, write `{}`", text.trim_start_matches('0')))
            }
            NumberError::Digit => Diagnostic::error(&codes::BAD_NUMBER, span, "digits are missing in this number"),
            NumberError::Underscore => {
                Diagnostic::error(&codes::BAD_NUMBER, span, "a number does not end in `_`")
            }
        };
        self.report(diagnostic);
    }

    fn check_escapes(&mut self, inner: &str, start: usize) {
        if !inner.contains('\\') {
            return;
        }
        for error in literal::unescape(inner).1 {
            let span = Span::new(start + error.range.start, start + error.range.end);
            let text = &inner[error.range];
            self.report(
                Diagnostic::error(
                    &codes::BAD_ESCAPE,
                    span,
                    format!("the escape `{text}` {}", error.message),
                )
                .help(r#"known are `\n`, `\t`, `\r`, `\"`, `\\`, octal `\033` and hexadecimal `\x1b`"#),
            );
        }
    }

    /// Whether `token` begins the next probe, because a delimiter is missing: a name at the beginning of a line that is
    /// followed by what code cannot have there.
    fn begins_probe(&self, token: Token<'s>, span: Span) -> bool {
        let Token::Ident(_) = token else { return false };
        let (start, end) = (span.start as usize, span.end as usize);
        let rest = &self.text[end..];
        let tight_colon = rest.starts_with(':') && rest[1..].starts_with(|c: char| c.is_ascii_graphic());
        let column_0 = start == 0 || self.text[..start].ends_with('\n');
        let previous = self.tokens.last().map(|(token, _)| *token);
        let begins_statement = matches!(
            previous,
            Some(Token::Semi | Token::RBrace | Token::LBrace | Token::BodyOpen(_))
        );
        if tight_colon && previous != Some(Token::Question) {
            return column_0 || begins_statement && self.begins_line(start);
        }
        column_0 && begins_statement && self.text[trivia::skip_quietly(self.text, end)..].starts_with('{')
    }

    /// Whether the `>` at `span`, outside all brackets of a `< … >` body, closes it. It does not where a condition is not
    /// over, and where what follows can only be the right side of a comparison.
    fn closes_angle_body(&self, span: Span) -> bool {
        let statement = self
            .tokens
            .iter()
            .rev()
            .take(NEARBY)
            .map_while(|(token, _)| {
                let boundary = matches!(
                    token,
                    Token::Semi | Token::LBrace | Token::RBrace | Token::BodyOpen(_)
                );
                (!boundary).then_some(token)
            })
            .last();
        let in_condition = matches!(
            statement,
            Some(Token::If | Token::While | Token::For | Token::Unroll)
        );
        let next = trivia::skip_quietly(self.text, span.end as usize);
        !in_condition && (self.text[next..].starts_with('>') || header::item_may_follow(self.text, next))
    }

    /// Reports an operator that would close a `< … >` body, with the parentheses that it needs.
    fn comparison(&mut self, operator: Span, message: &str) {
        let mut left = operator.start as usize;
        let mut depth = 0usize;
        for (token, span) in self.tokens.iter().rev().take(NEARBY) {
            match token {
                Token::RParen | Token::RBracket => depth += 1,
                Token::LParen | Token::LBracket | Token::CastOpen if depth > 0 => depth -= 1,
                Token::Semi | Token::BodyOpen(_) | Token::RBrace | Token::LBrace => break,
                Token::Assign
                | Token::AndAnd
                | Token::OrOr
                | Token::Question
                | Token::Colon
                | Token::If
                | Token::While
                | Token::Return
                | Token::Comma
                | Token::PlusAssign
                    if depth == 0 =>
                {
                    break;
                }
                _ => {}
            }
            left = span.start as usize;
        }
        let rest = &self.text[operator.end as usize..];
        let end = rest
            .find([';', '>', '{', '}', '\n', '?', '&', '|'])
            .unwrap_or(rest.len());
        let left = self.text[left..operator.start as usize].trim();
        let right = rest[..end].trim();
        let text = &self.text[operator.range()];
        let fix = if left.is_empty() || right.is_empty() || left.len() + right.len() > 60 {
            format!("(a {text} b)")
        } else {
            format!("({left} {text} {right})")
        };
        self.report(
            Diagnostic::error(&codes::ANGLE_CLOSES, operator, message)
                .help(format!("put the comparison in parentheses: `{fix}`")),
        );
    }

    /// Closes what a probe's body has open where the next probe (`next`) or the end of the text came too early.
    fn complete(&mut self, opening: Span, form: BodyForm, next: Option<Span>) {
        if form == BodyForm::Braces
            && next.is_none()
            && self.open.is_empty()
            && let Some((last @ Token::Gt, span)) = self.tokens.last_mut()
        {
            *last = Token::BodyClose;
            let diagnostic =
                Diagnostic::error(&codes::UNMATCHED, *span, "a body opened by `{` is closed by `}`")
                    .also(opening, "opened here")
                    .help("write `}` instead of `>`");
            return self.report(diagnostic);
        }
        let (closing, opened) = match form {
            BodyForm::Braces => ("}", "{"),
            BodyForm::Angles => (">", "<"),
        };
        let braces = self
            .open
            .iter()
            .rev()
            .find(|(open, _)| *open == Token::LBrace)
            .map(|(_, span)| *span);
        let (closing, opened, opening) = match braces {
            Some(inner) => ("}", "{", inner),
            None => (closing, opened, opening),
        };
        let at = self.tokens.last().map_or(self.at, |(_, span)| span.end as usize);
        let diagnostic = match next {
            Some(next) => Diagnostic::error(
                &codes::UNCLOSED_BODY,
                next,
                format!("`{closing}` is missing in front of this probe"),
            ),
            None => Diagnostic::error(
                &codes::UNCLOSED_BODY,
                self.last_char(at),
                format!("the script ends where `{closing}` is missing"),
            ),
        };
        if !self.swallowed {
            self.report(
                diagnostic
                    .also(opening, format!("this `{opened}` is not closed"))
                    .help(format!("add `{closing}` here, or where the body should end")),
            );
        }
        self.close_all(at);
        self.push(Token::BodyClose, at, at);
    }

    /// Closes a declaration where the next item (`next`) or the end of the text came too early.
    fn complete_declaration(&mut self, block: bool, next: Option<Span>) {
        let at = self.tokens.last().map_or(self.at, |(_, span)| span.end as usize);
        // Without its block a declaration is wrong in a way that the parser describes better.
        let brace = self
            .open
            .iter()
            .find(|(open, _)| *open == Token::LBrace)
            .map(|(_, span)| *span);
        if let Some(brace) = brace
            && !self.swallowed
        {
            let place = self.last_char(at);
            let mut diagnostic =
                Diagnostic::error(&codes::UNCLOSED_DECLARATION, place, "`}` is missing behind this")
                    .also(brace, "this `{` is not closed");
            if let Some(next) = next {
                diagnostic = diagnostic.also(next, "the next probe begins here");
            }
            self.report(diagnostic);
        }
        self.close_all(at);
        if !block {
            self.push(Token::Semi, at, at);
        }
    }

    /// Whether no `;` follows; one is added then.
    fn lacks_semicolon(&mut self) -> bool {
        let next = trivia::skip_quietly(self.text, self.at);
        let lacks = !self.text[next..].starts_with(';');
        if lacks {
            self.push(Token::Semi, self.at, self.at);
        }
        lacks
    }

    /// The character in front of `at`.
    fn last_char(&self, at: usize) -> Span {
        let len = self.text[..at].chars().next_back().map_or(0, char::len_utf8);
        Span::new(at - len, at)
    }

    fn close_all(&mut self, at: usize) {
        while let Some((open, _)) = self.open.pop() {
            let closing = match open {
                Token::LBrace => Token::RBrace,
                Token::LParen => Token::RParen,
                _ => Token::RBracket,
            };
            self.push(closing, at, at);
        }
    }

    /// Goes behind the body of a probe whose predicate made no sense.
    fn skip_body(&mut self) {
        let mut depth = 0usize;
        while let Some((token, span)) = self.code_token() {
            match token {
                Token::LBrace => depth += 1,
                Token::RBrace if depth <= 1 => return,
                Token::RBrace => depth -= 1,
                Token::Gt if depth == 0 && header::item_may_follow(self.text, span.end as usize) => return,
                Token::Ident(_) if self.begins_probe(token, span) => {
                    self.at = span.start as usize;
                    return;
                }
                _ => {}
            }
        }
    }
}
