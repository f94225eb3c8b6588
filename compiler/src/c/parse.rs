//! Declarations: recursive descent over the tokens that the preprocessor leaves.
//!
//! In: tokens. Out: [`Tables`]. A mistake is told and reading goes on behind the declaration it stands in. Initialisers,
//! bodies and parameters of functions are skipped. Nesting is limited to [`NESTING`].

use super::ctype::{CType, Tables};
use super::declarator::Derive;
use super::lexer::{Kind, Place, Token};
use super::words::{Basic, INTEGERS, POSIX, is_basic, is_qualifier, starts_declaration, tag_keyword};
use super::{Mistake, Outside};
use crate::types::IntType;
use std::rc::Rc;

/// How deep structs, declarators and expressions may nest.
const NESTING: u32 = 64;

pub(super) type Outcome<T> = Result<T, Mistake>;

/// Reads declarations and expressions.
pub(super) struct Parser<'a> {
    pub(super) tokens: &'a [Token],
    pub(super) packs: &'a [(usize, Option<u32>)],
    pub(super) at: usize,
    pub(super) tables: &'a mut Tables,
    pub(super) outside: &'a Outside<'a>,
    /// What is blamed where the text ends too early.
    end: Place,
    nesting: u32,
    /// Behind the body of the last struct, union or enum and its attributes.
    pub(super) behind_body: Option<usize>,
    /// Whether this is an `#if`: names are 0 there, and all numbers have 64 bits.
    pub(super) in_condition: bool,
}

/// What stands before a declarator.
#[derive(Clone, Debug)]
pub(super) struct Specifiers {
    pub ty: CType,
    pub is_typedef: bool,
    /// `__user` of the type itself: for a pointer that follows.
    pub user: bool,
    pub attributes: Attributes,
    /// A struct, union or enum without a tag that was declared here.
    pub unnamed: Option<usize>,
    pub place: Place,
}

/// `packed` and `aligned(n)`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes {
    pub packed: bool,
    pub aligned: u32,
}

impl Attributes {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            packed: self.packed || other.packed,
            aligned: self.aligned.max(other.aligned),
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        tokens: &'a [Token],
        packs: &'a [(usize, Option<u32>)],
        tables: &'a mut Tables,
        outside: &'a Outside<'a>,
        end: Place,
    ) -> Self {
        Self {
            tokens,
            packs,
            at: 0,
            tables,
            outside,
            end,
            nesting: 0,
            behind_body: None,
            in_condition: false,
        }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn place(&self) -> Place {
        self.peek().map_or(self.end, |token| token.place)
    }

    pub(super) fn is(&self, punct: &str) -> bool {
        self.peek().is_some_and(|token| token.is(punct))
    }

    pub(super) fn eat(&mut self, punct: &str) -> bool {
        let is = self.is(punct);
        self.at += usize::from(is);
        is
    }

    pub(super) fn expect(&mut self, punct: &str, what: &str) -> Outcome<()> {
        if self.eat(punct) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{punct}` {what}")))
        }
    }

    pub(super) fn word(&self) -> Option<&'a str> {
        self.peek().and_then(Token::ident).map(AsRef::as_ref)
    }

    pub(super) fn unexpected(&self, expected: &str) -> Mistake {
        let found = self.peek().map_or("the text ends here".to_owned(), |token| {
            format!("{} stands here", token.kind)
        });
        Mistake::new(self.place(), format!("expected {expected}")).label(found)
    }

    /// Enters one more level; the caller leaves it by [`Parser::leave`].
    pub(super) fn enter(&mut self) -> Outcome<()> {
        self.nesting += 1;
        if self.nesting > NESTING {
            return Err(Mistake::new(self.place(), "this is nested too deeply"));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// Reads all declarations.
    pub(super) fn declarations(&mut self, mistakes: &mut Vec<Mistake>) {
        while self.at < self.tokens.len() {
            let start = self.at;
            self.nesting = 0;
            if let Err(mistake) = self.declaration() {
                mistakes.push(mistake);
                self.skip_declaration(start);
            }
        }
    }

    /// Goes behind the declaration that begins at `start`: its `;`, or the `}` of a body.
    fn skip_declaration(&mut self, start: usize) {
        let mut depth = 0usize;
        for at in start..self.tokens.len() {
            match self.tokens[at].kind {
                Kind::Punct("{" | "(" | "[") => depth += 1,
                Kind::Punct("}" | ")" | "]") => depth = depth.saturating_sub(1),
                Kind::Punct(";") if depth == 0 => {
                    self.at = at + 1;
                    return;
                }
                _ => {}
            }
        }
        self.at = self.tokens.len();
    }

    fn declaration(&mut self) -> Outcome<()> {
        if self.eat(";") {
            return Ok(());
        }
        if matches!(self.word(), Some("_Static_assert" | "asm" | "__asm__")) {
            self.at += 1;
            self.skip_balanced("(")?;
            self.eat(";");
            return Ok(());
        }
        let specifiers = self.specifiers()?;
        if self.eat(";") || self.ends_unpunctuated(&specifiers) {
            return Ok(());
        }
        loop {
            let declarator = self.declarator(specifiers.user)?;
            let attributes = specifiers.attributes.and(declarator.attributes);
            let parameters = match declarator.derive.last() {
                Some(Derive::Function(range)) => Some(range.clone()),
                _ => None,
            };
            let Some((name, place)) = declarator.name else {
                return Err(self.unexpected("a name"));
            };
            let result = &declarator.derive[..declarator.derive.len().saturating_sub(1)];
            if specifiers.is_typedef {
                let mut ty = self.derived(&specifiers.ty, &declarator.derive, place)?;
                if attributes.aligned > 0 {
                    ty = CType::Aligned(Rc::new(ty), attributes.aligned);
                }
                if let (Some(tag), CType::Tag(_)) = (specifiers.unnamed, &ty) {
                    self.tables.tags[tag].name.get_or_insert(Rc::clone(&name));
                }
                self.tables.typedefs.insert(name, ty);
            } else if let Some(parameters) = parameters {
                let result = self.derived(&specifiers.ty, result, place)?;
                if self.outside.keeps_functions {
                    self.keep_function(&name, parameters, result)?;
                }
                if self.is("{") {
                    return self.skip_balanced("{");
                }
            }
            if self.eat("=") {
                self.skip_initializer();
            }
            if !self.eat(",") {
                break;
            }
        }
        self.expect(";", "behind the declaration")
    }

    /// Whether a definition ends without its semicolon, which bpftrace's scripts may leave out at the end of a struct.
    fn ends_unpunctuated(&self, specifiers: &Specifiers) -> bool {
        !specifiers.is_typedef
            && self.is_behind_body()
            && self.word().is_none_or(starts_declaration)
            && !self.is("*")
            && !self.is("(")
    }

    /// Whether what was just read is the body of a struct, union or enum with its attributes.
    fn is_behind_body(&self) -> bool {
        self.behind_body == Some(self.at)
    }

    fn skip_initializer(&mut self) {
        let mut depth = 0usize;
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Punct("{" | "(" | "[") => depth += 1,
                Kind::Punct("}" | ")" | "]") => depth = depth.saturating_sub(1),
                Kind::Punct("," | ";") if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Goes behind the partner of `open`, which stands here.
    pub(super) fn skip_balanced(&mut self, open: &'static str) -> Outcome<()> {
        let start = self.place();
        self.expect(open, "here")?;
        let mut depth = 1usize;
        while let Some(token) = self.peek() {
            self.at += 1;
            match token.kind {
                Kind::Punct("{" | "(" | "[") => depth += 1,
                Kind::Punct("}" | ")" | "]") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(Mistake::new(start, format!("this `{open}` is never closed")))
    }

    /// Whether a type's name begins here.
    pub(super) fn at_type(&self) -> bool {
        let Some(word) = self.word() else {
            return false;
        };
        is_qualifier(word)
            || is_basic(word)
            || matches!(
                word,
                "struct" | "union" | "enum" | "typedef" | "__attribute__" | "typeof" | "__typeof__"
            )
            || self.named_type(word).is_some()
    }

    /// The type that a plain word means.
    pub(super) fn named_type(&self, word: &str) -> Option<CType> {
        if let Some(ty) = self.tables.typedefs.get(word) {
            return Some(ty.clone());
        }
        let among = |table: &[(&str, u8, bool)]| {
            let &(_, bits, signed) = table.iter().find(|(name, ..)| *name == word)?;
            Some(CType::Int(IntType { bits, signed }))
        };
        let known = || {
            self.outside
                .known("", word)
                .map(|(ty, align)| CType::Known(ty, align))
        };
        among(INTEGERS).or_else(known).or_else(|| among(POSIX))
    }

    pub(super) fn specifiers(&mut self) -> Outcome<Specifiers> {
        let place = self.place();
        let mut found: Option<CType> = None;
        let mut basic = Basic::default();
        let mut specifiers = Specifiers {
            ty: CType::Void,
            is_typedef: false,
            user: false,
            attributes: Attributes::default(),
            unnamed: None,
            place,
        };
        while let Some(word) = self.word() {
            let word_place = self.place();
            let has_body = matches!(found, Some(CType::Tag(_))) && self.is_behind_body();
            if has_body && starts_declaration(word) {
                break;
            } else if matches!(word, "__attribute__" | "__attribute") {
                specifiers.attributes = specifiers.attributes.and(self.attributes()?);
            } else if is_qualifier(word) {
                specifiers.is_typedef |= word == "typedef";
                specifiers.user |= word == "__user";
                self.at += 1;
            } else if let Some(keyword) = tag_keyword(word) {
                if found.is_some() || basic.any {
                    return Err(self.unexpected("a name"));
                }
                self.at += 1;
                let (tag, attributes) = self.tagged(keyword, word_place)?;
                specifiers.attributes = specifiers.attributes.and(attributes);
                let is_unnamed = self.tables.tags[tag].name.is_none();
                specifiers.unnamed = is_unnamed.then_some(tag);
                found = Some(CType::Tag(tag));
            } else if is_basic(word) && found.is_none() {
                basic.add(word);
                self.at += 1;
            } else if found.is_none() && !basic.any {
                let Some(ty) = self.named_type(word) else {
                    return Err(self.outside.unknown_type(word, word_place));
                };
                found = Some(ty);
                self.at += 1;
            } else {
                break;
            }
        }
        let basic = basic.any.then(|| basic.ty());
        match found.or(basic) {
            Some(ty) => Ok(Specifiers { ty, ..specifiers }),
            None => Err(self.unexpected("a type")),
        }
    }

    /// `__attribute__((…))`, any number of them.
    pub(super) fn attributes(&mut self) -> Outcome<Attributes> {
        let mut all = Attributes::default();
        while matches!(self.word(), Some("__attribute__" | "__attribute")) {
            self.at += 1;
            let start = self.at;
            self.skip_balanced("(")?;
            let behind = std::mem::replace(&mut self.at, start + 2);
            while self.at < behind {
                match self.word() {
                    Some("packed" | "__packed__") => all.packed = true,
                    Some("aligned" | "__aligned__") => {
                        self.at += 1;
                        if !self.eat("(") {
                            // The greatest alignment that the machine has use for.
                            all.aligned = all.aligned.max(16);
                            continue;
                        }
                        let place = self.place();
                        let value = self.constant()?;
                        match u32::try_from(value) {
                            Ok(align) if align.is_power_of_two() && align <= 1 << 16 => {
                                all.aligned = all.aligned.max(align);
                            }
                            _ => {
                                let message = format!("{value} is no alignment");
                                return Err(Mistake::new(place, message).help("it is a power of two"));
                            }
                        }
                    }
                    Some(_) if self.tokens.get(self.at + 1).is_some_and(|next| next.is("(")) => {
                        self.at += 1;
                        self.skip_balanced("(")?;
                        continue;
                    }
                    _ => {}
                }
                self.at += 1;
            }
            self.at = behind;
        }
        Ok(all)
    }
}
