//! What an LR(1) parser cannot see: marks tokens by what stands around them.
//!
//! In: the tokens of one item. Out: the same tokens, where
//!
//! - `(` of a cast is [`Token::CastOpen`],
//! - an argument that can only be a type has [`Token::TypeMark`] in front of it,
//! - `{` and `if` where an operand stands are [`Token::ValueOpen`] and [`Token::ValueIf`].
//!
//! # What is a cast
//! `(` where an operand begins, a type, `)`, and then the beginning of an operand. Two kinds of type are told apart:
//!
//! - a *certain* type can be nothing else: `struct x`, `typeof(…)`, anything with `*` behind it, two words in a row
//!   (`unsigned long`), and the words of [`is_type_word`]. Whatever begins an operand may follow it: `(int32)-1`.
//! - any other word, with or without `[n]`, may be a value. Only what cannot continue an expression may follow it:
//!   `(foo)$x` and `(foo)(x)` are casts, `(foo) - 1` and `(foo) * 2` are not.
//!
//! Behind `if`, `while` and `unroll` only a certain type makes a cast, since `if (pid) print(1)` is a missing brace.

use crate::span::Span;
use crate::token::Token;

/// How deep a tree may get by operators, postfixes and `else if`, which need no brackets to nest.
pub(crate) const MAX_DEPTH: usize = 2000;

type Tokens<'s> = [(Token<'s>, Span)];

/// Which parenthesis is open.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    /// Of a call's or a type function's arguments.
    Arguments,
    /// Of a cast; the number is that of its `)`.
    Cast(usize),
    /// Any other bracket.
    Other,
}

/// Marks the tokens of an item.
pub(crate) fn mark<'s>(tokens: &Tokens<'s>) -> Vec<(Token<'s>, Span)> {
    let mut out: Vec<(Token<'s>, Span)> = Vec::with_capacity(tokens.len() + tokens.len() / 16);
    let mut open = Vec::new();
    // The `)` of a cast is followed by an operand, any other `)` by an operator.
    let mut behind_cast = false;
    for (at, &(token, span)) in tokens.iter().enumerate() {
        let previous = at
            .checked_sub(1)
            .and_then(|at| tokens.get(at))
            .map(|(token, _)| *token);
        let operand_begins = behind_cast || previous.is_some_and(|token| !token.ends_operand());
        behind_cast = false;
        let token = match token {
            Token::LParen => {
                let kind = paren_kind(tokens, at, operand_begins);
                open.push(kind);
                if matches!(kind, Open::Cast(_)) {
                    Token::CastOpen
                } else {
                    token
                }
            }
            Token::LBracket | Token::LBrace => {
                open.push(Open::Other);
                let value = token == Token::LBrace && operand_begins && !begins_block(tokens, at);
                if value { Token::ValueOpen } else { token }
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                behind_cast = open.pop() == Some(Open::Cast(at));
                token
            }
            Token::If if operand_begins && !begins_block(tokens, at) => Token::ValueIf,
            _ => token,
        };
        out.push((token, span));
        let argument_begins = matches!(token, Token::LParen | Token::Comma);
        if argument_begins && open.last() == Some(&Open::Arguments) && is_type_argument(tokens, at + 1) {
            out.push((
                Token::TypeMark,
                Span {
                    start: span.end,
                    end: span.end,
                },
            ));
        }
    }
    out
}

/// Whether a statement or the block of a statement begins at token `at`, rather than an operand.
fn begins_block(tokens: &Tokens<'_>, at: usize) -> bool {
    let previous = |back: usize| {
        at.checked_sub(back)
            .and_then(|at| tokens.get(at))
            .map(|(token, _)| *token)
    };
    match previous(1) {
        Some(Token::Semi | Token::LBrace | Token::RBrace | Token::BodyOpen(_) | Token::Else) | None => true,
        Some(Token::ErrorStmt) => true,
        Some(Token::Assign) => previous(2) == Some(Token::Config),
        _ => false,
    }
}

fn paren_kind(tokens: &Tokens<'_>, at: usize, operand_begins: bool) -> Open {
    let previous = at
        .checked_sub(1)
        .and_then(|at| tokens.get(at))
        .map(|(token, _)| *token);
    match previous {
        Some(Token::Ident(_) | Token::Sizeof | Token::Offsetof | Token::Typeof | Token::Typeinfo) => {
            return Open::Arguments;
        }
        // A statement may begin with a cast.
        Some(Token::RBrace) => {}
        _ if !operand_begins => return Open::Other,
        _ => {}
    }
    let Some(ty) = scan_type(tokens, at + 1) else {
        return Open::Other;
    };
    if !matches!(tokens.get(ty.end), Some((Token::RParen, _))) {
        return Open::Other;
    }
    let Some((next, _)) = tokens.get(ty.end + 1) else {
        return Open::Other;
    };
    let governed = matches!(previous, Some(Token::If | Token::While | Token::Unroll));
    let cast = match next {
        Token::Ident(word) => (ty.certain || !governed) && !matches!(*word, "and" | "or" | "not"),
        Token::Minus | Token::Star | Token::Amp | Token::PlusPlus | Token::MinusMinus => ty.certain,
        Token::Var(_)
        | Token::Map(_)
        | Token::Int(_)
        | Token::Float(_)
        | Token::Str(_)
        | Token::Positional(_)
        | Token::PositionalCount
        | Token::True
        | Token::False
        | Token::Sizeof
        | Token::Offsetof
        | Token::Typeof
        | Token::Typeinfo
        | Token::Comptime
        | Token::Bang
        | Token::Tilde
        | Token::LParen => ty.certain || !governed,
        _ => false,
    };
    if cast { Open::Cast(ty.end) } else { Open::Other }
}

/// Whether the argument that begins at token `at` is a type, and certainly so.
fn is_type_argument(tokens: &Tokens<'_>, at: usize) -> bool {
    scan_type(tokens, at)
        .is_some_and(|ty| ty.certain && matches!(tokens.get(ty.end), Some((Token::RParen | Token::Comma, _))))
        && !matches!(tokens.get(at), Some((Token::Typeof, _)))
}

/// A type as far as it can be told without its meaning.
struct ScannedType {
    /// Number of the token behind it.
    end: usize,
    /// Whether it can be nothing else.
    certain: bool,
}

fn scan_type(tokens: &Tokens<'_>, at: usize) -> Option<ScannedType> {
    let token = |at: usize| tokens.get(at).map(|(token, _)| *token);
    let (mut end, mut certain) = match token(at)? {
        Token::Struct | Token::Union | Token::Enum => match token(at + 1)? {
            Token::Ident(_) => (at + 2, true),
            _ => return None,
        },
        Token::Typeof if token(at + 1)? == Token::LParen => (closing(tokens, at + 1)? + 1, true),
        Token::Ident(word) => {
            let words = tokens[at..]
                .iter()
                .take_while(|(token, _)| matches!(token, Token::Ident(_)))
                .count();
            (at + words, words > 1 || is_type_word(word))
        }
        _ => return None,
    };
    loop {
        match token(end) {
            Some(Token::Star) => {
                certain |= !matches!(token(end + 1), Some(Token::LBracket));
                end += 1;
            }
            Some(Token::LBracket) => match token(end + 1)? {
                Token::RBracket => end += 2,
                Token::Int(_) if token(end + 2)? == Token::RBracket => end += 3,
                _ => return None,
            },
            _ => return Some(ScannedType { end, certain }),
        }
    }
}

/// The number of the parenthesis that closes the one at `at`.
fn closing(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    let mut depth = 0usize;
    // Types are short: an operand of `typeof` that is longer than this is not looked through.
    for (offset, (token, _)) in tokens[at..].iter().take(256).enumerate() {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            Token::Semi => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(at + offset);
        }
    }
    None
}

/// The words that are read as types where a value could stand, by their spelling alone: the sized integers, those of the
/// kernel too, C's words, and names that end in `_t`. What they mean is the compiler's business.
pub(crate) fn is_type_word(word: &str) -> bool {
    let sized = |word: &str| matches!(word, "8" | "16" | "32" | "64");
    word.ends_with("_t")
        || word
            .strip_prefix("uint")
            .or_else(|| word.strip_prefix("int"))
            .is_some_and(sized)
        || word
            .trim_start_matches("__")
            .strip_prefix(['u', 's'])
            .is_some_and(sized)
        || matches!(
            word,
            "bool" | "void" | "string" | "buffer" | "char" | "short" | "int" | "long" | "signed" | "unsigned"
        )
}

/// What is known of an open bracket's content when its depth is estimated.
#[derive(Default)]
struct Group {
    /// Tokens of the current segment (argument, statement) that may add a level each.
    links: usize,
    /// The deepest bracket in the current segment.
    inner: usize,
    /// The deepest finished segment.
    deepest: usize,
}

impl Group {
    fn segment(&mut self) {
        self.deepest = self.deepest.max(self.links + self.inner);
        self.links = 0;
        self.inner = 0;
    }
}

/// The token at which an item gets deeper than [`MAX_DEPTH`], if one does.
///
/// A path from the root of the tree passes, in every segment that it enters, at most each link once and one bracket. The
/// sum of that is an upper bound of the depth; the tree is flatter where operators differ in precedence.
pub(crate) fn too_deep(tokens: &Tokens<'_>) -> Option<Span> {
    let mut groups = vec![Group::default()];
    for (at, (token, span)) in tokens.iter().enumerate() {
        match token {
            Token::LParen
            | Token::CastOpen
            | Token::LBracket
            | Token::LBrace
            | Token::ValueOpen
            | Token::BodyOpen(_) => groups.push(Group::default()),
            Token::RParen | Token::RBracket | Token::RBrace | Token::BodyClose => {
                if groups.len() > 1
                    && let Some(mut closed) = groups.pop()
                    && let Some(group) = groups.last_mut()
                {
                    closed.segment();
                    group.inner = group.inner.max(closed.deepest + 1);
                    // It may be a postfix or a cast.
                    group.links += usize::from(*token != Token::RBrace);
                    let next = tokens.get(at + 1).map(|(next, _)| next);
                    let ends = *token == Token::RBrace
                        && next.is_some_and(|next| next.starts_statement() || *next == Token::LBrace);
                    if ends {
                        group.segment();
                    }
                }
            }
            Token::Comma | Token::Semi => {
                if let Some(group) = groups.last_mut() {
                    group.segment();
                }
            }
            Token::TypeMark
            | Token::Int(_)
            | Token::Float(_)
            | Token::Str(_)
            | Token::Ident(_)
            | Token::Var(_)
            | Token::Map(_)
            | Token::Positional(_)
            | Token::PositionalCount
            | Token::AttachPoint(_) => {}
            _ => {
                if let Some(group) = groups.last_mut() {
                    group.links += 1;
                }
            }
        }
        if groups
            .last()
            .is_some_and(|group| group.links + group.inner > MAX_DEPTH)
        {
            return Some(*span);
        }
    }
    None
}
