//! Declarations: recursive descent over the tokens that the preprocessor leaves.
//!
//! In: tokens. Out: [`Tables`]. A mistake is told and reading goes on behind the declaration it stands in. Initialisers,
//! bodies and parameters of functions are skipped. Nesting is limited to [`NESTING`].

use super::ctype::{Body, CHAR, CType, DEPTH, Function, Size, Tables, Tag, depth};
use super::layout::{self, Declared, Rules};
use super::lexer::{Kind, Place, Token};
use super::{Mistake, Outside};
use crate::ctype::EnumType;
use crate::target::Arch;
use crate::types::{IntType, Space};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// How deep structs, declarators and expressions may nest.
const NESTING: u32 = 64;

pub(super) type Outcome<T> = Result<T, Mistake>;

/// Reads declarations and expressions.
pub(super) struct Parser<'a> {
    pub(super) tokens: &'a [Token],
    packs: &'a [(usize, Option<u32>)],
    pub(super) at: usize,
    pub(super) tables: &'a mut Tables,
    pub(super) outside: &'a Outside<'a>,
    /// What is blamed where the text ends too early.
    end: Place,
    nesting: u32,
    /// Whether this is an `#if`: names are 0 there, and all numbers have 64 bits.
    pub(super) in_condition: bool,
}

/// What stands before a declarator.
#[derive(Clone, Debug)]
struct Specifiers {
    ty: CType,
    is_typedef: bool,
    /// `__user` of the type itself: for a pointer that follows.
    user: bool,
    attributes: Attributes,
    /// A struct, union or enum without a tag that was declared here.
    unnamed: Option<usize>,
    place: Place,
}

/// `packed` and `aligned(n)`.
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    packed: bool,
    aligned: u32,
}

impl Attributes {
    fn and(self, other: Self) -> Self {
        Self {
            packed: self.packed || other.packed,
            aligned: self.aligned.max(other.aligned),
        }
    }
}

/// What a declarator makes of the type before it, from there outwards.
#[derive(Clone, Debug)]
enum Derive {
    Pointer {
        user: bool,
    },
    Array(Option<u32>),
    /// The tokens of its parameters.
    Function(Range<usize>),
}

/// A declarator: its name and what it derives.
struct Declarator {
    name: Option<(Rc<str>, Place)>,
    derive: Vec<Derive>,
    attributes: Attributes,
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
        if matches!(
            self.word(),
            Some("_Static_assert" | "static_assert" | "asm" | "__asm__")
        ) {
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
        let behind_body = self.at > 0 && self.tokens[self.at - 1].is("}")
            || specifiers.attributes.packed
            || specifiers.attributes.aligned > 0;
        let starts = |word: &str| {
            matches!(
                word,
                "struct" | "union" | "enum" | "typedef" | "static" | "extern"
            )
        };
        !specifiers.is_typedef
            && behind_body
            && self.word().is_none_or(starts)
            && !self.is("*")
            && !self.is("(")
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
    fn skip_balanced(&mut self, open: &'static str) -> Outcome<()> {
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

    /// Notes a function's signature.
    fn keep_function(&mut self, name: &str, parameters: Range<usize>, result: CType) -> Outcome<()> {
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
    fn named_type(&self, word: &str) -> Option<CType> {
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

    fn specifiers(&mut self) -> Outcome<Specifiers> {
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
            if matches!(word, "__attribute__" | "__attribute") {
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
    fn attributes(&mut self) -> Outcome<Attributes> {
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

    /// Behind `struct`, `union` or `enum`: the tag, the body, or both.
    fn tagged(&mut self, keyword: &'static str, place: Place) -> Outcome<(usize, Attributes)> {
        let before = self.attributes()?;
        let name = self.peek().and_then(Token::ident).cloned();
        self.at += usize::from(name.is_some());
        let before = before.and(self.attributes()?);
        let has_body = self.is("{") || keyword == "enum" && self.is(":");
        if name.is_none() && !has_body {
            return Err(self.unexpected(&format!("a name or `{{` behind `{keyword}`")));
        }
        let tag = self.tag(keyword, name.as_ref(), place)?;
        if !has_body {
            return Ok((tag, before));
        }
        if !matches!(self.tables.tags[tag].body, Body::Declared) {
            let name = self.tables.tags[tag].full_name();
            return Err(Mistake::new(place, format!("`{name}` is defined twice")));
        }
        self.enter()?;
        let attributes = if keyword == "enum" {
            self.enumeration(tag, before)?
        } else {
            self.members(tag, keyword == "union", before, place)?
        };
        self.leave();
        // They belong to the type, not to what is declared with it.
        let _ = attributes;
        Ok((tag, Attributes::default()))
    }

    /// The number of a tag, which is declared where it is new.
    fn tag(&mut self, keyword: &'static str, name: Option<&Rc<str>>, place: Place) -> Outcome<usize> {
        let new = self.tables.tags.len();
        if let Some(name) = name {
            let key = format!("{keyword} {name}");
            if let Some(&known) = self.tables.by_name.get(&key) {
                return Ok(known);
            }
            let kinds = ["struct", "union", "enum"]
                .iter()
                .filter(|kind| **kind != keyword);
            let mut others = kinds.map(|kind| format!("{kind} {name}"));
            if let Some(other) = others.find(|other| self.tables.by_name.contains_key(other)) {
                return Err(Mistake::new(place, format!("`{name}` is declared as `{other}`")));
            }
            self.tables.by_name.insert(key, new);
        }
        self.tables.tags.push(Tag {
            keyword,
            name: name.cloned(),
            body: Body::Declared,
        });
        Ok(new)
    }

    fn enumeration(&mut self, tag: usize, before: Attributes) -> Outcome<Attributes> {
        let mut fixed = None;
        if self.eat(":") {
            let ty = self.specifiers()?.ty;
            fixed = match ty {
                CType::Int(int) => Some(int),
                CType::Char => Some(CHAR),
                _ => return Err(self.unexpected("an integer type")),
            };
        }
        self.expect("{", "behind the enum's name")?;
        let mut variants = Vec::new();
        let mut next = 0i64;
        while !self.is("}") {
            let Some(name) = self.peek().and_then(Token::ident).cloned() else {
                return Err(self.unexpected("a name or `}`"));
            };
            self.at += 1;
            self.attributes()?;
            if self.eat("=") {
                next = self.constant()?;
            }
            self.tables.constants.insert(Rc::clone(&name), (tag, next));
            variants.push((name.to_string(), next));
            next = next.wrapping_add(1);
            if !self.eat(",") {
                break;
            }
        }
        self.expect("}", "behind the enum's constants")?;
        let attributes = before.and(self.attributes()?);
        let (min, max) = variants.iter().fold((0, 0), |(min, max), (_, value)| {
            (*value.min(&min), *value.max(&max))
        });
        let signed = min < 0;
        let fits = |bits: u8| {
            let int = IntType { bits, signed };
            int.wrap(min) == min && int.wrap(max) == max
        };
        let sizes: &[u8] = if attributes.packed { &[8, 16, 32] } else { &[32] };
        let bits = sizes.iter().copied().find(|&bits| fits(bits)).unwrap_or(64);
        self.tables.tags[tag].body = Body::Enum(Arc::new(EnumType {
            name: self.tables.tags[tag].full_name(),
            int: fixed.unwrap_or(IntType { bits, signed }),
            variants,
        }));
        Ok(attributes)
    }

    fn members(
        &mut self,
        tag: usize,
        is_union: bool,
        before: Attributes,
        place: Place,
    ) -> Outcome<Attributes> {
        self.expect("{", "behind the struct's name")?;
        let mut members = Vec::new();
        while !self.is("}") {
            if self.peek().is_none() {
                return Err(self.unexpected("a member or `}`"));
            }
            if !self.eat(";") {
                self.member(&mut members)?;
            }
        }
        self.at += 1;
        let pack = self
            .packs
            .iter()
            .rev()
            .find(|(at, _)| *at < self.at)
            .and_then(|(_, pack)| *pack);
        let attributes = before.and(self.attributes()?);
        for member in &mut members {
            member.packed |= attributes.packed;
        }
        let rules = Rules {
            is_union,
            aligned: attributes.aligned,
            pack,
            unnamed_align: self.outside.arch == Arch::Aarch64,
        };
        let layout = layout::place(members, rules).ok_or_else(|| Mistake::new(place, "this is too large"))?;
        self.tables.tags[tag].body = Body::Struct(layout);
        Ok(attributes)
    }

    /// A line of a struct: members of one type.
    fn member(&mut self, members: &mut Vec<Declared>) -> Outcome<()> {
        let specifiers = self.specifiers()?;
        if self.eat(";") {
            // A struct without a name has its members in this one; one with a tag is only declared.
            if specifiers.unnamed.is_some() {
                let member = self.declared(
                    String::new(),
                    specifiers.ty,
                    None,
                    specifiers.attributes,
                    specifiers.place,
                )?;
                members.push(member);
            }
            return Ok(());
        }
        loop {
            let declarator = if self.is(":") {
                Declarator {
                    name: None,
                    derive: Vec::new(),
                    attributes: Attributes::default(),
                }
            } else {
                self.declarator(specifiers.user)?
            };
            let place = declarator.name.as_ref().map_or(self.place(), |(_, place)| *place);
            let ty = self.derived(&specifiers.ty, &declarator.derive, place)?;
            let width = if self.eat(":") {
                Some(self.width(&ty)?)
            } else {
                None
            };
            let attributes = specifiers
                .attributes
                .and(declarator.attributes)
                .and(self.attributes()?);
            let name = match declarator.name {
                Some((name, _)) => name.to_string(),
                None if width.is_some() => String::new(),
                None => return Err(self.unexpected("the member's name")),
            };
            members.push(self.declared(name, ty, width, attributes, place)?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(";", "behind the member")
    }

    /// The width of a bitfield of type `ty`.
    fn width(&mut self, ty: &CType) -> Outcome<u32> {
        let place = self.place();
        let width = self.constant()?;
        let size = self.size_of(ty).map_or(0, |size| size.bytes.min(8));
        let most = if matches!(ty, CType::Bool) {
            1
        } else {
            size as u32 * 8
        };
        match u32::try_from(width) {
            Ok(width) if width <= most => Ok(width),
            _ => Err(Mistake::new(
                place,
                format!("a bitfield of this type has 0 to {most} bits, not {width}"),
            )),
        }
    }

    fn declared(
        &mut self,
        name: String,
        ty: CType,
        width: Option<u32>,
        attributes: Attributes,
        place: Place,
    ) -> Outcome<Declared> {
        let Some(size) = self.size_of(&ty) else {
            return Err(self.incomplete(&ty, place));
        };
        Ok(Declared {
            name,
            ty,
            size,
            width,
            aligned: attributes.aligned,
            packed: attributes.packed,
        })
    }

    /// The size of a type, for which a tag that the script only declares is looked for outside.
    pub(super) fn size_of(&mut self, ty: &CType) -> Option<Size> {
        let mut of = ty;
        while let CType::Array(inner, _) | CType::Aligned(inner, _) = of {
            of = inner;
        }
        if let CType::Tag(index) = of {
            let tag = &mut self.tables.tags[*index];
            if let (Body::Declared, Some(name)) = (&tag.body, &tag.name)
                && let Some((ty, align)) = self.outside.known(tag.keyword, name)
            {
                tag.body = Body::Known(ty, align);
            }
        }
        self.tables.size_of(ty, self.outside)
    }

    /// What is said of a type that has no size.
    pub(super) fn incomplete(&self, ty: &CType, place: Place) -> Mistake {
        match ty {
            CType::Tag(tag) => {
                let name = self.tables.tags[*tag].full_name();
                Mistake::new(
                    place,
                    format!("`{name}` is declared but its members are not known"),
                )
                .help(self.outside.where_types_come_from())
            }
            _ => Mistake::new(place, "this has no size").help("a pointer to it has"),
        }
    }

    /// Pointers, a name or a declarator in parentheses, array bounds and parameters.
    fn declarator(&mut self, mut user: bool) -> Outcome<Declarator> {
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
    fn is_nested_declarator(&self) -> bool {
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
    fn bound(&mut self) -> Outcome<Option<u32>> {
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
    fn derived(&mut self, ty: &CType, derive: &[Derive], place: Place) -> Outcome<CType> {
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

fn tag_keyword(word: &str) -> Option<&'static str> {
    ["struct", "union", "enum"]
        .into_iter()
        .find(|keyword| *keyword == word)
}

/// Words before a type that do not change its values.
fn is_qualifier(word: &str) -> bool {
    matches!(
        word,
        "const"
            | "volatile"
            | "restrict"
            | "__const"
            | "__const__"
            | "__volatile"
            | "__volatile__"
            | "__restrict"
            | "__restrict__"
            | "inline"
            | "__inline"
            | "__inline__"
            | "__always_inline"
            | "static"
            | "extern"
            | "register"
            | "auto"
            | "typedef"
            | "_Noreturn"
            | "__noreturn"
            | "__extension__"
            | "_Atomic"
            | "_Thread_local"
            | "__thread"
            | "__user"
            | "__kernel"
            | "__rcu"
            | "__percpu"
            | "__iomem"
            | "__force"
    )
}

/// Words that C's own types are made of.
fn is_basic(word: &str) -> bool {
    matches!(
        word,
        "void"
            | "char"
            | "short"
            | "int"
            | "long"
            | "float"
            | "double"
            | "signed"
            | "__signed"
            | "__signed__"
            | "unsigned"
            | "_Bool"
            | "bool"
            | "__int128"
            | "__int128_t"
            | "__uint128_t"
            | "_Complex"
    )
}

/// The words of a basic type, in whichever order.
#[derive(Clone, Copy, Debug, Default)]
struct Basic {
    any: bool,
    word: Option<&'static str>,
    signed: Option<bool>,
    longs: u32,
    short: bool,
}

impl Basic {
    fn add(&mut self, word: &str) {
        self.any = true;
        match word {
            "signed" | "__signed" | "__signed__" => self.signed = Some(true),
            "unsigned" => self.signed = Some(false),
            "long" => self.longs += 1,
            "short" => self.short = true,
            "void" => self.word = Some("void"),
            "char" => self.word = Some("char"),
            "float" => self.word = Some("float"),
            "double" => self.word = Some("double"),
            "_Bool" | "bool" => self.word = Some("bool"),
            "__int128" | "__int128_t" | "__uint128_t" => self.word = Some("int128"),
            _ => {}
        }
    }

    fn ty(self) -> CType {
        let signed = self.signed.unwrap_or(true);
        let int = |bits| CType::Int(IntType { bits, signed });
        match self.word {
            Some("void") => CType::Void,
            Some("bool") => CType::Bool,
            Some("char") if self.signed.is_none() => CType::Char,
            Some("char") => int(8),
            Some("float") => CType::Opaque(4),
            Some("double") if self.longs == 0 => CType::Opaque(8),
            Some(_) => CType::Opaque(16),
            None if self.short => int(16),
            None if self.longs > 0 => int(64),
            None => int(32),
        }
    }
}

/// Integer types that C text may name without declaring them: those of `<stdint.h>`, `<stddef.h>` and the kernel. A
/// `typedef` of the script wins.
static INTEGERS: &[(&str, u8, bool)] = &[
    ("int8_t", 8, true),
    ("int16_t", 16, true),
    ("int32_t", 32, true),
    ("int64_t", 64, true),
    ("uint8_t", 8, false),
    ("uint16_t", 16, false),
    ("uint32_t", 32, false),
    ("uint64_t", 64, false),
    ("__s8", 8, true),
    ("__s16", 16, true),
    ("__s32", 32, true),
    ("__s64", 64, true),
    ("__u8", 8, false),
    ("__u16", 16, false),
    ("__u32", 32, false),
    ("__u64", 64, false),
    ("s8", 8, true),
    ("s16", 16, true),
    ("s32", 32, true),
    ("s64", 64, true),
    ("u8", 8, false),
    ("u16", 16, false),
    ("u32", 32, false),
    ("u64", 64, false),
    ("__le16", 16, false),
    ("__le32", 32, false),
    ("__le64", 64, false),
    ("__be16", 16, false),
    ("__be32", 32, false),
    ("__be64", 64, false),
    ("u_char", 8, false),
    ("u_short", 16, false),
    ("u_int", 32, false),
    ("u_long", 64, false),
    ("ushort", 16, false),
    ("uint", 32, false),
    ("ulong", 64, false),
    ("size_t", 64, false),
    ("ssize_t", 64, true),
    ("ptrdiff_t", 64, true),
    ("intptr_t", 64, true),
    ("uintptr_t", 64, false),
    ("intmax_t", 64, true),
    ("uintmax_t", 64, false),
];

/// Types of POSIX that the kernel may define otherwise: its own definition wins.
static POSIX: &[(&str, u8, bool)] = &[
    ("off_t", 64, true),
    ("loff_t", 64, true),
    ("time_t", 64, true),
    ("clock_t", 64, true),
    ("pid_t", 32, true),
    ("uid_t", 32, false),
    ("gid_t", 32, false),
    ("mode_t", 32, false),
    ("dev_t", 64, false),
    ("ino_t", 64, false),
    ("socklen_t", 32, false),
    ("sa_family_t", 16, false),
    ("in_addr_t", 32, false),
    ("in_port_t", 16, false),
    ("pthread_t", 64, false),
];
