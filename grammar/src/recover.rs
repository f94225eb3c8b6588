//! Parses one item, going on after errors.
//!
//! In: an item's tokens. Out: its tree, in which what could not be parsed is an error node, and one diagnostic for each
//! mistake.
//!
//! The parser stops at the first error. What is wrong there is explained, repaired in the tokens (a missing token is inserted,
//! a broken statement or condition replaced by an error token), and the item is parsed again. So an error never shifts how
//! the rest of the item is read, since brackets have been matched before.

use std::ops::Range;

use lalrpop_util::ParseError;

use crate::ast;
use crate::build::Cx;
use crate::codes;
use crate::context;
use crate::diagnostic::Diagnostic;
use crate::explain::{self, Failure};
use crate::lexer::Item;
use crate::parser::ItemParser;
use crate::place;
use crate::span::Span;
use crate::token::Token;

/// How often an item is parsed before it is given up.
const MAX_ATTEMPTS: usize = 24;

/// What makes the tokens go on after an error.
#[derive(Debug)]
pub(crate) enum Repair {
    /// A token is missing in front of the one with this number.
    Insert(usize, Token<'static>),
    /// Another token was meant.
    Change(usize, Token<'static>),
    /// What follows makes no sense up to the end of the statement, condition or item.
    Skip,
}

/// Parses `item` of the script `text`.
pub(crate) fn item<'s>(
    parser: &ItemParser,
    text: &'s str,
    item: &Item<'s>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ast::Item> {
    let mut cx = Cx {
        tokens: context::mark(&item.tokens),
    };
    if let Some(span) = context::too_deep(&cx.tokens) {
        diagnostics.push(
            Diagnostic::error(&codes::TOO_DEEP, span, "this is nested too deeply")
                .label(format!(
                    "more than {} operators or branches in one another",
                    context::MAX_DEPTH
                ))
                .help("split it into several statements"),
        );
        return None;
    }
    if let [(Token::AttachPoint("config"), span), (Token::BodyOpen(_), _), ..] = cx.tokens[..] {
        diagnostics.push(explain::config_without_assignment(span));
        return None;
    }
    conditions_that_assign(&mut cx.tokens, diagnostics);
    loops_of_c(&mut cx.tokens, diagnostics);
    let mut first = true;
    for _ in 0..MAX_ATTEMPTS {
        let tokens = cx
            .tokens
            .iter()
            .enumerate()
            .map(|(number, (token, _))| (number, *token, number + 1));
        let (at, expected) = match parser.parse(&cx, tokens) {
            Ok(item) => return Some(item),
            Err(ParseError::UnrecognizedToken { token, expected }) => (token.0, expected),
            Err(ParseError::UnrecognizedEof { expected, .. }) => (cx.tokens.len(), expected),
            Err(ParseError::ExtraToken { token }) => (token.0, Vec::new()),
            Err(ParseError::InvalidToken { location }) => (location, Vec::new()),
            Err(ParseError::User { error: () }) => return None,
        };
        let failure = Failure {
            text,
            tokens: &cx.tokens,
            at,
            expected: &expected,
            place: place::of(&cx.tokens, at),
            behind_angle: item.behind_angle.filter(|_| first),
        };
        let (diagnostic, repair) = explain::explain(&failure);
        let start = failure.place.start;
        // Characters that mean nothing have been reported; what is missing around them is not another mistake.
        let from = at.checked_sub(1).map_or(0, |before| cx.tokens[before].1.end);
        let to = cx.tokens.get(at).map_or(u32::MAX, |(_, span)| span.start);
        if !item
            .garbage
            .iter()
            .any(|garbage| garbage.start >= from && garbage.end <= to)
        {
            diagnostics.push(diagnostic);
        }
        first = false;
        match repair {
            Repair::Insert(number, token) => {
                let place = number.checked_sub(1).map_or(0, |before| cx.tokens[before].1.end);
                cx.tokens.insert(
                    number,
                    (
                        token,
                        Span {
                            start: place,
                            end: place,
                        },
                    ),
                );
            }
            Repair::Change(number, token) => cx.tokens[number].0 = token,
            Repair::Skip => {
                let (range, token) = skipped(&cx.tokens, start, at)?;
                // Without progress there is nothing to go on with.
                if range.len() == 1 && cx.tokens[range.start].0 == token || range.is_empty() {
                    return None;
                }
                let span = cx.tokens[range.start].1.to(cx.tokens[range.end - 1].1);
                cx.tokens.splice(range, [(token, span)]);
            }
        }
    }
    None
}

/// `if (a = 1)` would be a record; it is always a mistake.
fn conditions_that_assign(tokens: &mut [(Token<'_>, Span)], diagnostics: &mut Vec<Diagnostic>) {
    for at in 3..tokens.len() {
        let governs = matches!(
            tokens[at - 3].0,
            Token::If | Token::ValueIf | Token::While | Token::Unroll | Token::PredicateOpen
        );
        let assigns = matches!(
            (tokens[at - 2].0, tokens[at - 1].0, tokens[at].0),
            (Token::LParen, Token::Ident(_), Token::Assign)
        );
        if governs && assigns {
            diagnostics.push(explain::assignment_in_condition(tokens[at].1));
            tokens[at].0 = Token::EqEq;
        }
    }
}

/// `do { … } while (…);` is one mistake, and no statement of its own behind `while` is missing.
fn loops_of_c(tokens: &mut Vec<(Token<'_>, Span)>, diagnostics: &mut Vec<Diagnostic>) {
    let mut at = 0;
    while let Some(begins) = tokens[at..]
        .windows(2)
        .position(|pair| matches!(pair, [(Token::Ident("do"), _), (Token::LBrace, _)]))
    {
        let start = at + begins;
        at = start + 1;
        let Some(body) = bracketed(tokens, start + 1, Token::LBrace, Token::RBrace) else {
            continue;
        };
        if !matches!(tokens.get(body), Some((Token::While, _))) {
            continue;
        }
        let Some(end) = bracketed(tokens, body + 1, Token::LParen, Token::RParen) else {
            continue;
        };
        diagnostics.push(explain::loop_of_c(tokens[start].1));
        let span = tokens[start].1.to(tokens[end - 1].1);
        tokens.splice(start..end, [(Token::ErrorStmt, span)]);
    }
}

/// Behind which token the bracket at `start` is closed.
fn bracketed(tokens: &[(Token<'_>, Span)], start: usize, open: Token<'_>, close: Token<'_>) -> Option<usize> {
    let mut depth = 0_usize;
    for (number, (token, _)) in tokens.iter().enumerate().skip(start) {
        if *token == open {
            depth += 1;
        } else if *token == close {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return (number > start).then_some(number + 1);
        }
    }
    None
}

/// What to replace after an error at token `at`, and by what. `None` where the item cannot be saved.
fn skipped(tokens: &[(Token<'_>, Span)], start: usize, at: usize) -> Option<(Range<usize>, Token<'static>)> {
    let predicate = tokens
        .iter()
        .position(|(token, _)| *token == Token::PredicateOpen);
    let end = tokens
        .iter()
        .position(|(token, _)| *token == Token::PredicateClose);
    if let (Some(open), Some(close)) = (predicate, end)
        && open < at
        && at <= close
    {
        // An empty predicate has nothing to replace; the slash itself stays.
        return (open + 1 < close).then_some((open + 1..close, Token::ErrorExpr));
    }
    let in_block = tokens[..at.min(tokens.len())]
        .iter()
        .any(|(token, _)| matches!(token, Token::BodyOpen(_) | Token::LBrace));
    if !in_block {
        return None;
    }
    if let Some(condition) = place::condition(tokens, start)
        && (condition.contains(&at) || at == condition.end)
        && !condition.is_empty()
        && tokens[condition.start].0 != Token::ErrorExpr
    {
        return Some((condition, Token::ErrorExpr));
    }
    let range = place::statement(tokens, start, at);
    Some((range, Token::ErrorStmt))
}
