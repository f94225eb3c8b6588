//! From the parser's "this token is not one of those" to a diagnostic in the user's terms, and a way to go on.
//!
//! In: a [`Failure`]. Out: one diagnostic, and the [`Repair`] that the reading of it suggests. The common mistakes are
//! recognised first, each by a function of its own in [`rules`]; what remains is told as "expected …, found …".

mod habits;
mod rules;

pub(crate) use rules::assignment_in_condition;

pub(crate) use habits::{config_without_assignment, loop_of_c};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::place::Place;
use crate::recover::Repair;
use crate::span::Span;
use crate::token::Token;

/// Where and how the parser stopped.
pub(crate) struct Failure<'a, 's> {
    pub(crate) text: &'s str,
    /// The tokens of the item.
    pub(crate) tokens: &'a [(Token<'s>, Span)],
    /// Number of the token that fits nowhere; the number of tokens at the end.
    pub(crate) at: usize,
    /// The terminals that would have fitted, in the grammar's spelling with its quotes.
    pub(crate) expected: &'a [String],
    pub(crate) place: Place,
    /// The `>` that closed the body in front of this item.
    pub(crate) behind_angle: Option<Span>,
}

/// The diagnostic for a failure, and how to go on.
pub(crate) fn explain(failure: &Failure<'_, '_>) -> (Diagnostic, Repair) {
    let (diagnostic, repair) = rules::RULES
        .iter()
        .find_map(|rule| rule(failure))
        .unwrap_or_else(|| (failure.unexpected(), Repair::Skip));
    let angle = failure.behind_angle.or_else(|| failure.angle_that_ends_here());
    match angle {
        Some(angle) => (
            diagnostic
                .also(angle, "this `>` closed the body")
                .help("if it was meant to compare, put the comparison in parentheses: `(a > b)`"),
            repair,
        ),
        None => (diagnostic, repair),
    }
}

impl<'s> Failure<'_, 's> {
    fn token(&self, number: usize) -> Option<Token<'s>> {
        self.tokens.get(number).map(|(token, _)| *token)
    }

    fn found(&self) -> Option<Token<'s>> {
        self.token(self.at)
    }

    fn previous(&self) -> Option<Token<'s>> {
        self.token(self.at.checked_sub(1)?)
    }

    fn span(&self, number: usize) -> Span {
        match self.tokens.get(number) {
            Some((_, span)) => *span,
            None => {
                let end = self.tokens.last().map_or(0, |(_, span)| span.end);
                Span { start: end, end }
            }
        }
    }

    /// The place of the failure: the token, or what stands in front of it where the token has no text.
    fn here(&self) -> Span {
        let span = self.span(self.at);
        if span.start < span.end {
            span
        } else {
            self.behind()
        }
    }

    /// The last character of the token in front.
    fn behind(&self) -> Span {
        let end = self
            .at
            .checked_sub(1)
            .map_or(self.span(0).start, |before| self.span(before).end);
        let mut start = end.saturating_sub(1);
        while start > 0 && !self.text.is_char_boundary(start as usize) {
            start -= 1;
        }
        Span { start, end }
    }

    fn source(&self, span: Span) -> &'s str {
        self.text.get(span.range()).unwrap_or_default()
    }

    fn expects(&self, terminal: &str) -> bool {
        self.expected
            .iter()
            .any(|expected| expected.trim_matches('"') == terminal)
    }

    /// Whether the token stands on a later line than the one in front of it.
    fn on_new_line(&self) -> bool {
        let from = self.at.checked_sub(1).map_or(0, |before| self.span(before).end);
        let to = self.span(self.at).start;
        self.text
            .get(from as usize..to as usize)
            .is_some_and(|between| between.contains('\n'))
    }

    /// Whether the failure stands in front of the body, in the predicate or among the attach points.
    fn in_header(&self) -> bool {
        matches!(
            self.token(0),
            Some(Token::AttachPoint(_) | Token::Comma | Token::PredicateOpen)
        ) && !self.tokens[..self.at.min(self.tokens.len())]
            .iter()
            .any(|(token, _)| matches!(token, Token::BodyOpen(_)))
    }

    fn predicate_open(&self) -> Option<usize> {
        let open = self
            .tokens
            .iter()
            .position(|(token, _)| *token == Token::PredicateOpen)?;
        (self.in_header() && open < self.at).then_some(open)
    }

    /// The `>` that ends the body and is the token that does not fit.
    fn angle_that_ends_here(&self) -> Option<Span> {
        let span = self.span(self.at);
        (self.found() == Some(Token::BodyClose) && self.source(span) == ">").then_some(span)
    }

    /// "expected …, found …".
    fn unexpected(&self) -> Diagnostic {
        let expected = self.expectation();
        let found = self.described();
        let message = if expected.is_empty() {
            format!("{found} does not fit here")
        } else {
            format!("expected {expected}, found {found}")
        };
        Diagnostic::error(&codes::SYNTAX, self.here(), message)
    }

    /// The token as a user knows it.
    fn described(&self) -> String {
        let span = self.span(self.at);
        let source = self.source(span);
        match self.found() {
            None => "the end of the script".to_string(),
            Some(Token::BodyClose) => "the end of the body".to_string(),
            Some(Token::PredicateClose) => "the end of the predicate".to_string(),
            Some(Token::Semi) if span.start == span.end => "the end of the declaration".to_string(),
            Some(Token::Str(_)) => "a string".to_string(),
            Some(Token::TypeMark) => "a type".to_string(),
            Some(Token::AttachPoint(text)) => format!("`{text}`"),
            Some(_) if source.is_empty() || source.len() > 40 => "this".to_string(),
            Some(_) => format!("`{source}`"),
        }
    }

    /// What would have fitted, as a user knows it.
    fn expectation(&self) -> String {
        if self.expects("fraction") {
            return match self.expects("let") {
                true => "a statement".to_string(),
                false if self.expects("type") && self.expects(")") => "an argument or `)`".to_string(),
                false if self.expects(")") => "an expression or `)`".to_string(),
                false => "an expression".to_string(),
            };
        }
        // Where an expression may go on, its operators are not worth a mention.
        let after_operand = self.expects("%");
        let mut names: Vec<&str> = Vec::new();
        for expected in self.expected {
            let name = match expected.trim_matches('"') {
                "name" => "a name",
                "variable" => "a variable `$name`",
                "map" => "a map `@name`",
                "number" => "a number",
                "string" => "a string",
                "attach point" => "an attach point",
                "predicate /" => "a predicate",
                "end of predicate /" => "`/` and the body",
                "body" => "a body `{ … }`",
                "}" | "end of body" if self.expects(";") => continue,
                "end of body" => "the end of the body",
                ")" | "]" | "{" | ";" | "," | ":" | "=" | ".." | "}" => expected,
                _ if after_operand => continue,
                "struct" => "a type",
                "union" | "enum" | "typeof" | "(" if self.expects("struct") => continue,
                "error statement" | "error expression" | "type" => continue,
                "true" | "false" => continue,
                _ => expected,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() && after_operand {
            return "an operator".to_string();
        }
        let names: Vec<String> = names
            .iter()
            .map(
                |name| match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
                    Some(text) => format!("`{text}`"),
                    None => (*name).to_string(),
                },
            )
            .collect();
        match names.split_last() {
            None => String::new(),
            Some((last, [])) => last.clone(),
            Some((last, rest)) if rest.len() <= 4 => format!("{} or {last}", rest.join(", ")),
            Some(_) => "something else".to_string(),
        }
    }
}
