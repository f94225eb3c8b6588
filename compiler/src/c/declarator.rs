//! Declarators: what stands around a declared name and makes pointers, arrays and functions of the type before it.

use super::Mistake;
use super::ctype::{CType, DEPTH, Function, depth};
use super::lexer::{Place, Token};
use super::parse::{Attributes, Outcome, Parser};
use super::words::{is_basic, is_qualifier, tag_keyword};
use crate::types::Space;
use std::ops::Range;
use std::rc::Rc;

/// What a declarator makes of the type before it, from there outwards.
#[derive(Clone, Debug)]
pub(super) enum Derive {
    Pointer {
        user: bool,
    },
    Array(Option<u32>),
    /// The tokens of its parameters.
    Function(Range<usize>),
}

/// A declarator: its name and what it derives.
pub(super) struct Declarator {
    pub name: Option<(Rc<str>, Place)>,
    pub derive: Vec<Derive>,
    pub attributes: Attributes,
}

impl Parser<'_> {
    /// A type's name, as in a cast: specifiers and a declarator without a name.
    pub(super) fn type_name(&mut self) -> Outcome<CType> {
        let specifiers = self.specifiers()?;
        let declarator = self.declarator(specifiers.user)?;
        if let Some((name, place)) = declarator.name {
            return Err(Mistake::new(
                place,
                format!("expected a type, not the name `{name}`"),
            ));
        }
        self.derived(&specifiers.ty, &declarator.derive, specifiers.place)
    }

    /// Notes a function's signature.
    pub(super) fn keep_function(
        &mut self,
        name: &str,
        parameters: Range<usize>,
        result: CType,
    ) -> Outcome<()> {
        let behind = std::mem::replace(&mut self.at, parameters.start);
        let mut params = Vec::new();
        while self.at < parameters.end {
            if self.eat("...") {
                break;
            }
            let specifiers = self.specifiers()?;
            let declarator = self.declarator(specifiers.user)?;
            let mut ty = self.derived(&specifiers.ty, &declarator.derive, specifiers.place)?;
            if let CType::Array(element, _) = ty {
                ty = CType::Pointer(element, Space::Kernel);
            }
            if !matches!(ty, CType::Void) {
                params.push((
                    declarator
                        .name
                        .map_or_else(String::new, |(name, _)| name.to_string()),
                    ty,
                ));
            }
            if !self.eat(",") {
                break;
            }
        }
        self.at = behind;
        self.tables.functions.push(Function {
            name: name.to_owned(),
            params,
            result,
        });
        Ok(())
    }

    /// Pointers, a name or a declarator in parentheses, array bounds and parameters.
    pub(super) fn declarator(&mut self, mut user: bool) -> Outcome<Declarator> {
        self.enter()?;
        let mut declarator = Declarator {
            name: None,
            derive: Vec::new(),
            attributes: self.attributes()?,
        };
        while self.eat("*") {
            declarator.derive.push(Derive::Pointer { user });
            user = false;
            while let Some(word) = self.word() {
                if matches!(word, "__attribute__" | "__attribute") {
                    declarator.attributes = declarator.attributes.and(self.attributes()?);
                } else if is_qualifier(word) {
                    user |= word == "__user";
                    self.at += 1;
                } else {
                    break;
                }
            }
        }
        let mut inner = None;
        if self.is("(") && self.is_nested_declarator() {
            self.at += 1;
            inner = Some(self.declarator(user)?);
            self.expect(")", "behind the declarator")?;
        } else if let Some(name) = self.peek().and_then(Token::ident) {
            declarator.name = Some((Rc::clone(name), self.place()));
            self.at += 1;
        }
        let mut suffixes = Vec::new();
        loop {
            if self.eat("[") {
                suffixes.push(Derive::Array(self.bound()?));
            } else if self.is("(") {
                let start = self.at + 1;
                self.skip_balanced("(")?;
                suffixes.push(Derive::Function(start..self.at - 1));
            } else {
                break;
            }
        }
        declarator.derive.extend(suffixes.into_iter().rev());
        if matches!(self.word(), Some("asm" | "__asm__" | "__asm")) {
            self.at += 1;
            self.skip_balanced("(")?;
        }
        declarator.attributes = declarator.attributes.and(self.attributes()?);
        if let Some(inner) = inner {
            declarator.name = inner.name;
            declarator.derive.extend(inner.derive);
            declarator.attributes = declarator.attributes.and(inner.attributes);
        }
        self.leave();
        Ok(declarator)
    }

    /// Whether the `(` here opens a declarator and not parameters.
    pub(super) fn is_nested_declarator(&self) -> bool {
        match self.tokens.get(self.at + 1) {
            Some(token) if token.is("*") || token.is("(") => true,
            Some(token) => token.ident().is_some_and(|word| {
                word.as_ref() == "__attribute__"
                    || !is_qualifier(word)
                        && !is_basic(word)
                        && tag_keyword(word).is_none()
                        && self.named_type(word).is_none()
            }),
            None => false,
        }
    }

    /// An array's length and its `]`.
    pub(super) fn bound(&mut self) -> Outcome<Option<u32>> {
        while self.word().is_some_and(is_qualifier) {
            self.at += 1;
        }
        if self.eat("]") {
            return Ok(None);
        }
        let place = self.place();
        let length = self.constant()?;
        self.expect("]", "behind the array's length")?;
        match u32::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(Mistake::new(
                place,
                format!("an array cannot have {length} elements"),
            )),
        }
    }

    /// The type that a declarator makes of `ty`.
    pub(super) fn derived(&mut self, ty: &CType, derive: &[Derive], place: Place) -> Outcome<CType> {
        let mut ty = ty.clone();
        if depth(&ty) as usize + derive.len() > DEPTH as usize {
            return Err(Mistake::new(place, "this type is built from too many others"));
        }
        for step in derive {
            ty = match step {
                Derive::Pointer { user } => {
                    let space = if *user { Space::User } else { Space::Kernel };
                    CType::Pointer(Rc::new(ty), space)
                }
                Derive::Array(length) => {
                    if self.size_of(&ty).is_none() {
                        return Err(self.incomplete(&ty, place));
                    }
                    CType::Array(Rc::new(ty), *length)
                }
                Derive::Function(_) => CType::Function,
            };
        }
        Ok(ty)
    }
}
