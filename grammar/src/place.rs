//! Where in an item a token stands: in which statement, in which bracket. For recovery and for wording errors.

use std::ops::Range;

use crate::span::Span;
use crate::token::Token;

/// The surroundings of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the first token of its statement; its own if it begins one.
    pub(crate) start: usize,
    /// The innermost `(` or `[` of that statement that it stands in.
    pub(crate) bracket: Option<usize>,
    /// The delimiter of the block that it stands in.
    pub(crate) block: Option<usize>,
}

/// A delimiter that is open.
struct Frame {
    opening: usize,
    is_block: bool,
    /// The first token of the current statement; `None` between statements.
    start: Option<usize>,
}

/// The surroundings of token `at`.
pub(crate) fn of(tokens: &[(Token<'_>, Span)], at: usize) -> Place {
    let mut frames: Vec<Frame> = Vec::new();
    for (number, (token, _)) in tokens.iter().enumerate().take(at) {
        if let Some(frame) = frames.last_mut() {
            if frame.start.is_none() && !closes(token) {
                frame.start = Some(number);
            }
            if matches!(token, Token::Semi | Token::ErrorStmt) && frame.is_block {
                frame.start = None;
            }
        }
        if opens(token) {
            frames.push(Frame {
                opening: number,
                is_block: is_block(token),
                start: None,
            });
        } else if closes(token) {
            // A brace closes the parentheses that were left open in it.
            let partner = frames
                .iter()
                .rposition(|frame| frame.is_block == closes_block(token));
            frames.truncate(partner.unwrap_or(frames.len()));
            let ends = *token == Token::RBrace
                && tokens.get(number + 1).is_some_and(|(next, _)| {
                    next.starts_statement() || matches!(next, Token::LBrace | Token::ErrorStmt)
                });
            if let Some(frame) = frames.last_mut()
                && frame.is_block
                && ends
            {
                frame.start = None;
            }
        }
    }
    let block = frames.iter().rposition(|frame| frame.is_block);
    let start = match block {
        Some(block) => frames[block].start.unwrap_or(at),
        None => 0,
    };
    let bracket = frames
        .last()
        .filter(|frame| !frame.is_block)
        .map(|frame| frame.opening);
    Place {
        start,
        bracket,
        block: block.map(|block| frames[block].opening),
    }
}

/// The statement that begins at `start` and has an error at `at`: its tokens without its `;`.
pub(crate) fn statement(tokens: &[(Token<'_>, Span)], start: usize, at: usize) -> Range<usize> {
    let governs = governs(tokens, start);
    let in_for = tokens.get(start).is_some_and(|(token, _)| *token == Token::For);
    let (mut braces, mut parentheses) = (0usize, 0usize);
    for (number, (token, _)) in tokens.iter().enumerate().skip(start) {
        let next = tokens.get(number + 1).map(|(next, _)| next);
        // What an `if` without braces governs may have an `else` behind it.
        let goes_on = governs && next == Some(&Token::Else);
        if is_block(token) {
            braces += 1;
        } else if opens(token) {
            parentheses += 1;
        } else if closes_block(token) {
            if braces == 0 {
                return start..number;
            }
            braces -= 1;
            let ends = governs || next.is_some_and(|next| next.starts_statement() || closes_block(next));
            if ends && number >= at && braces == 0 && !goes_on {
                return start..number + 1;
            }
        } else if closes(token) {
            parentheses = parentheses.saturating_sub(1);
        } else if *token == Token::Semi
            && number >= at
            && braces == 0
            && !goes_on
            && !(in_for && parentheses > 0)
        {
            return start..number;
        }
    }
    start..tokens.len()
}

/// The tokens between the word that begins the statement at `start` and its block, if it has one.
pub(crate) fn condition(tokens: &[(Token<'_>, Span)], start: usize) -> Option<Range<usize>> {
    if !governs(tokens, start) {
        return None;
    }
    let in_for = tokens.get(start).is_some_and(|(token, _)| *token == Token::For);
    let mut depth = 0usize;
    for (number, (token, _)) in tokens.iter().enumerate().skip(start + 1) {
        match token {
            Token::LParen | Token::LBracket | Token::CastOpen => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::LBrace => return Some(start + 1..number),
            Token::Semi if in_for && depth > 0 => {}
            Token::Semi | Token::RBrace | Token::BodyClose => return None,
            _ => {}
        }
    }
    None
}

/// Whether the statement at `start` is one that has a block.
pub(crate) fn governs(tokens: &[(Token<'_>, Span)], start: usize) -> bool {
    matches!(
        tokens.get(start),
        Some((Token::If | Token::For | Token::While | Token::Unroll, _))
    )
}

fn opens(token: &Token<'_>) -> bool {
    is_block(token) || matches!(token, Token::LParen | Token::CastOpen | Token::LBracket)
}

fn is_block(token: &Token<'_>) -> bool {
    matches!(token, Token::LBrace | Token::ValueOpen | Token::BodyOpen(_))
}

fn closes(token: &Token<'_>) -> bool {
    closes_block(token) || matches!(token, Token::RParen | Token::RBracket)
}

fn closes_block(token: &Token<'_>) -> bool {
    matches!(token, Token::RBrace | Token::BodyClose)
}
