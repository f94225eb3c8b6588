//! The words of numbers that are shown in words, as text: for what looks into text.
//!
//! In: a value of a type such as that of `strerror`. Out: text that the program itself finds, by a search over the numbers that
//! have words. Numbers stay numbers wherever nothing looks into their words, since that is cheaper.

use super::convert::{as_type, const_value};
use super::cx::Cx;
use crate::hir::{CompareOp, Expr, ExprKind, Stmt, VarId};
use crate::shown::Shown;
use crate::types::Type;
use crumbs_grammar::span::Span;

/// The number that is looked for; no script can name it.
const NUMBER: &str = "number in words";

/// What the numbers of a kind are called.
struct Words {
    /// By number, from 0.
    of: Vec<String>,
    /// All others.
    others: String,
}

impl Words {
    fn capacity(&self) -> u32 {
        let longest = self.of.iter().chain([&self.others]).map(String::len).max();
        longest.unwrap_or(0) as u32 + 1
    }
}

impl Cx<'_> {
    /// The words of a number as text; gives back what has none, or none that a program can know.
    ///
    /// # Errors
    /// The value as it is.
    pub fn spelled(&mut self, value: Expr) -> Result<Option<Expr>, Expr> {
        let Type::Shown(shown) = &value.ty else {
            return Err(value);
        };
        let Some(words) = self.words(&shown.clone()) else {
            return Err(value);
        };
        let span = value.span;
        let ty = Type::Str(words.capacity());
        if let Some(number) = const_value(&value) {
            let known = usize::try_from(number).ok().and_then(|n| words.of.get(n));
            return Ok(Some(as_type(text(known.unwrap_or(&words.others), span), &ty)));
        }
        // Declared also while types are learnt, so that variables keep their numbers.
        self.program.open_scope();
        let var = self.declare(NUMBER, span);
        self.program.close_scope();
        self.var_fact(var).assigned = true;
        let number = as_type(value, &Type::U64);
        let Some(kind) = self.set_var(var, number) else {
            let unknown = self.is_inferring().then(|| as_type(text("", span), &ty));
            return Ok(unknown);
        };
        let found = Search {
            var,
            words: &words,
            ty: &ty,
            span,
        };
        Ok(Some(Expr {
            kind: ExprKind::Block {
                body: vec![Stmt { kind, span }],
                value: Box::new(found.all()),
            },
            ty,
            span,
        }))
    }

    /// Two values that are to have one type: text, where one is and the other is a number shown in words, or where both are
    /// such numbers of different kinds.
    pub(super) fn as_alike_text(&mut self, a: Expr, b: Expr) -> Option<(Expr, Expr)> {
        let is_text = |ty: &Type| match ty {
            Type::Str(_) => true,
            Type::Shown(shown) => shown.numbers_with_words().is_some(),
            _ => false,
        };
        if a.ty == b.ty || !is_text(&a.ty) || !is_text(&b.ty) {
            return Some((a, b));
        }
        let [a, b] = [a, b].map(|value| match self.spelled(value) {
            Ok(words) => words,
            Err(text) => Some(text),
        });
        Some((a?, b?))
    }

    fn words(&self, shown: &Shown) -> Option<Words> {
        let arch = self.target.arch();
        let numbers = shown.numbers_with_words()?;
        let of: Option<Vec<String>> = numbers.map(|number| shown.words(number, arch)).collect();
        Some(Words {
            of: of?,
            others: shown.words(u64::MAX, arch)?,
        })
    }
}

/// A search for the words of a number, as an expression.
struct Search<'a> {
    var: VarId,
    words: &'a Words,
    ty: &'a Type,
    span: Span,
}

impl Search<'_> {
    fn all(&self) -> Expr {
        let known = self.among(0, self.words.of.len());
        self.choice(self.words.of.len(), known, text(&self.words.others, self.span))
    }

    /// Among the numbers from the first to below the second.
    fn among(&self, first: usize, end: usize) -> Expr {
        let words = &self.words.of[first..end];
        if words.iter().all(|other| *other == words[0]) {
            return as_type(text(&words[0], self.span), self.ty);
        }
        let middle = first.midpoint(end);
        self.choice(middle, self.among(first, middle), self.among(middle, end))
    }

    /// One where the number is below `end`, the other where it is not.
    fn choice(&self, end: usize, below: Expr, others: Expr) -> Expr {
        let span = self.span;
        let expr = |kind, ty| Expr { kind, ty, span };
        let number = expr(ExprKind::Var(self.var), Type::U64);
        let end = expr(ExprKind::Const(end as i64), Type::U64);
        let is_below = expr(
            ExprKind::Compare(CompareOp::Lt, Box::new(number), Box::new(end)),
            Type::Bool,
        );
        let others = as_type(others, self.ty);
        let kind = ExprKind::Ternary(Box::new(is_below), Box::new(below), Box::new(others));
        expr(kind, self.ty.clone())
    }
}

fn text(words: &str, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Str(words.as_bytes().to_vec()),
        ty: Type::Str(words.len() as u32 + 1),
        span,
    }
}
