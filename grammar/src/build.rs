//! What the grammar's actions do: from matched pieces to nodes of the syntax tree.
//!
//! Nothing here reports: everything that can be wrong with a token has been reported when it was read.

use crate::ast::*;
use crate::attach;
use crate::literal;
use crate::span::{Span, Spanned};
use crate::token::Token;

/// The tokens of one item, by number.
pub(crate) struct Cx<'s> {
    pub(crate) tokens: Vec<(Token<'s>, Span)>,
}

impl Cx<'_> {
    /// The span of the tokens `from..to`. An empty range has the place behind the token in front of it.
    pub(crate) fn span(&self, from: usize, to: usize) -> Span {
        match (
            self.tokens.get(from),
            to.checked_sub(1).and_then(|last| self.tokens.get(last)),
        ) {
            (Some((_, first)), Some((_, last))) if from < to => first.to(*last),
            (_, Some((_, last))) => Span {
                start: last.end,
                end: last.end,
            },
            (first, None) => first.map_or(Span::default(), |(_, span)| Span {
                start: span.start,
                end: span.start,
            }),
        }
    }

    pub(crate) fn name(&self, name: &str, from: usize, to: usize) -> Name {
        Spanned::new(name.to_string(), self.span(from, to))
    }

    pub(crate) fn expr(&self, kind: ExprKind, from: usize, to: usize) -> Expr {
        Expr {
            kind,
            span: self.span(from, to),
        }
    }

    /// Whether the token in front of number `at` is a comma.
    pub(crate) fn is_comma(&self, at: usize) -> bool {
        at.checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .is_some_and(|(token, _)| *token == Token::Comma)
    }
}

/// What stands between a block's delimiters.
pub(crate) struct Content {
    stmts: Vec<Stmt>,
    value: Option<Box<Expr>>,
}

impl Content {
    /// `last` is the statement without `;`, and `span` its place: an expression is the block's value, anything else an
    /// ordinary statement.
    pub(crate) fn new(mut stmts: Vec<Stmt>, last: Option<StmtKind>, span: Span) -> Self {
        let value = match last {
            None => None,
            Some(StmtKind::Expr(value)) => Some(Box::new(value)),
            Some(kind) => {
                stmts.push(Stmt { kind, span });
                None
            }
        };
        Self { stmts, value }
    }

    pub(crate) fn block(self, span: Span) -> Block {
        Block {
            stmts: self.stmts,
            value: self.value,
            span,
        }
    }
}

/// A block that is used for its value: an `if` with both branches, or a block, that ends it is the value.
pub(crate) fn valued(mut block: Block) -> Block {
    if block.value.is_some() {
        return block;
    }
    match block.stmts.pop() {
        Some(Stmt {
            kind: StmtKind::If(inner),
            span,
        }) if inner.otherwise.is_some() => {
            block.value = Some(Box::new(Expr {
                kind: value_if(inner),
                span,
            }));
        }
        Some(Stmt {
            kind: StmtKind::Block(inner),
            span,
        }) => {
            block.value = Some(Box::new(Expr {
                kind: ExprKind::Block(valued(inner)),
                span,
            }));
        }
        Some(other) => block.stmts.push(other),
        None => {}
    }
    block
}

/// An `if` that is used for its value. `else if` chains may be long, so they are walked rather than recursed into.
pub(crate) fn value_if(mut chain: IfExpr) -> ExprKind {
    let mut link = &mut chain;
    loop {
        link.then = valued(std::mem::take(&mut link.then));
        let Some(otherwise) = &mut link.otherwise else {
            break;
        };
        match otherwise.stmts.pop() {
            // Braces of its own would make the block longer than the `if`.
            Some(Stmt {
                kind: StmtKind::If(next),
                span,
            }) if otherwise.span == span => {
                let value = Expr {
                    kind: ExprKind::If(next),
                    span,
                };
                match otherwise.value.insert(Box::new(value)).kind {
                    ExprKind::If(ref mut next) => link = next,
                    _ => break,
                }
            }
            last => {
                otherwise.stmts.extend(last);
                *otherwise = valued(std::mem::take(otherwise));
                break;
            }
        }
    }
    ExprKind::If(chain)
}

/// `else if …` as a block with that `if`.
pub(crate) fn else_if(chain: IfExpr, span: Span) -> Block {
    Block {
        stmts: vec![Stmt {
            kind: StmtKind::If(chain),
            span,
        }],
        value: None,
        span,
    }
}

pub(crate) fn assign(target: Expr, op: Option<Spanned<BinaryOp>>, value: Expr) -> StmtKind {
    match target.kind {
        ExprKind::Ident(ref name) if name == "_" && op.is_none() => StmtKind::Discard(value),
        _ => StmtKind::Assign { target, op, value },
    }
}

pub(crate) fn binary(left: Expr, op: BinaryOp, right: Expr) -> Expr {
    let span = left.span.to(right.span);
    Expr {
        kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
        span,
    }
}

/// `of[index]`: a map's key where `of` is a map by name, else an index. `brackets` is the place of `[…]`.
pub(crate) fn index(of: Expr, mut index: Vec<Expr>, brackets: Span) -> ExprKind {
    match of.kind {
        // A map in parentheses has a wider span than its name.
        ExprKind::Map { name, key: None } if of.span.range().len() == name.len() + 1 => ExprKind::Map {
            name,
            key: Some(index),
        },
        kind => {
            let of = Box::new(Expr { kind, span: of.span });
            let index = match index.pop() {
                Some(only) if index.is_empty() => only,
                last => {
                    index.extend(last);
                    Expr {
                        kind: ExprKind::Tuple(index),
                        span: brackets,
                    }
                }
            };
            ExprKind::Index(of, Box::new(index))
        }
    }
}

/// `(e)` is `e`; with a comma, or without anything, it is a tuple.
pub(crate) fn parenthesised(mut items: Vec<Expr>, ends_with_comma: bool) -> ExprKind {
    match items.pop() {
        Some(only) if items.is_empty() && !ends_with_comma => only.kind,
        last => {
            items.extend(last);
            ExprKind::Tuple(items)
        }
    }
}

/// The bytes of a string.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    literal::unescape(text).0
}

/// A string where text is wanted: a path, a config value.
pub(crate) fn text(text: &str) -> String {
    String::from_utf8_lossy(&bytes(text)).into_owned()
}

pub(crate) fn attach_point(text: &str, span: Span) -> AttachPoint {
    attach::split(text, span)
}
