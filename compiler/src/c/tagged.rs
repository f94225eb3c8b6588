//! Structs, unions and enums: their tags and their bodies.

use super::Mistake;
use super::ctype::{Body, CHAR, CType, Size, Tag};
use super::declarator::Declarator;
use super::layout::{self, Declared, Rules};
use super::lexer::{Place, Token};
use super::parse::{Attributes, Outcome, Parser};
use crate::ctype::EnumType;
use crate::target::Arch;
use crate::types::IntType;
use std::rc::Rc;
use std::sync::Arc;

impl Parser<'_> {
    /// Behind `struct`, `union` or `enum`: the tag, the body, or both.
    pub(super) fn tagged(&mut self, keyword: &'static str, place: Place) -> Outcome<(usize, Attributes)> {
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
        self.behind_body = Some(self.at);
        Ok((tag, Attributes::default()))
    }

    /// The number of a tag, which is declared where it is new.
    pub(super) fn tag(
        &mut self,
        keyword: &'static str,
        name: Option<&Rc<str>>,
        place: Place,
    ) -> Outcome<usize> {
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

    pub(super) fn enumeration(&mut self, tag: usize, before: Attributes) -> Outcome<Attributes> {
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

    pub(super) fn members(
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
    pub(super) fn member(&mut self, members: &mut Vec<Declared>) -> Outcome<()> {
        let specifiers = self.specifiers()?;
        if self.eat(";") || self.is("}") {
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
        // Compilers forgive a missing semicolon behind the last member, and scripts make use of that.
        if self.is("}") {
            return Ok(());
        }
        self.expect(";", "behind the member")
    }

    /// The width of a bitfield of type `ty`.
    pub(super) fn width(&mut self, ty: &CType) -> Outcome<u32> {
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

    pub(super) fn declared(
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
}
