//! The preprocessor: directives and macros.
//!
//! In: the tokens of the script's C text, headers by name. Out: the tokens that remain, macros expanded, and the macros that
//! are defined at the end. Bounded: headers nest [`DEPTH`] deep and have [`MAX_HEADERS`] bytes together, macros expand to
//! [`BUDGET`] tokens, so no text takes more than time linear in those.
//!
//! `#` and `##` in macros are not taken: a macro with them is an error where it is used. Headers in angle brackets are not
//! read (their types come from the kernel's BTF).

use super::ctype::Tables;
use super::lexer::{Kind, Origin, Place, Token, tokens};
use super::parse::Parser;
use super::{Mistake, Outside};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// How deep headers, and macros in one another, may nest.
const DEPTH: usize = 64;
/// How many bytes of headers are read.
const MAX_HEADERS: usize = 1 << 24;
/// How many tokens macros may expand to.
const BUDGET: usize = 1 << 20;

/// A macro.
#[derive(Clone, Debug)]
pub(super) struct Macro {
    /// Its parameters; `None` where it is used without parentheses.
    pub params: Option<Vec<Rc<str>>>,
    pub body: Vec<Token>,
    pub place: Place,
    /// In which order they were defined.
    pub order: usize,
}

/// What stands between `#if` and `#endif`.
struct Condition {
    /// Whether what stands here is read.
    active: bool,
    /// Whether a branch has been taken, so that no other is.
    taken: bool,
    place: Place,
}

/// Reads C text, item by item.
pub(super) struct Preprocessor<'a> {
    pub outside: &'a Outside<'a>,
    pub macros: HashMap<Rc<str>, Macro>,
    conditions: Vec<Condition>,
    /// What remains.
    pub out: Vec<Token>,
    /// `#pragma pack`: the greatest alignment of members from that token on.
    pub packs: Vec<(usize, Option<u32>)>,
    pack_stack: Vec<Option<u32>>,
    pub mistakes: Vec<Mistake>,
    /// The names of the headers that have been read, by number.
    pub headers: Vec<String>,
    once: HashSet<String>,
    header_bytes: usize,
    /// How many headers are open.
    nesting: usize,
    budget: usize,
    /// Whether a header in angle brackets was asked for.
    pub has_system_headers: bool,
}

type Outcome<T> = Result<T, Mistake>;

impl<'a> Preprocessor<'a> {
    /// With the macros that are always there.
    pub(super) fn new(outside: &'a Outside<'a>) -> Self {
        let mut preprocessor = Self {
            outside,
            macros: HashMap::new(),
            conditions: Vec::new(),
            out: Vec::new(),
            packs: Vec::new(),
            pack_stack: Vec::new(),
            mistakes: Vec::new(),
            headers: Vec::new(),
            once: HashSet::new(),
            header_bytes: 0,
            nesting: 0,
            budget: BUDGET,
            has_system_headers: false,
        };
        for (name, params, body) in outside.predefined() {
            let body = tokens(&body, Origin::Script(0));
            let params = (!params.is_empty()).then(|| params.iter().map(|&name| name.into()).collect());
            preprocessor.define(name.into(), params, body, Place::default());
        }
        preprocessor
    }

    /// Reads one text.
    pub(super) fn text(&mut self, text: &str, origin: Origin) {
        let tokens = tokens(text, origin);
        let mut rest = tokens.as_slice();
        while let Some(first) = rest.first() {
            let is_directive = |token: &Token| token.first && token.is("#");
            if is_directive(first) {
                let end = rest[1..].iter().position(|token| token.first);
                let (line, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                rest = behind;
                if let Err(mistake) = self.directive(&line[1..]) {
                    self.mistakes.push(mistake);
                }
            } else {
                let end = rest.iter().position(is_directive).unwrap_or(rest.len());
                let (run, behind) = rest.split_at(end);
                rest = behind;
                if self.is_active() {
                    let mut out = std::mem::take(&mut self.out);
                    if let Err(mistake) = self.expand(run, &mut Vec::new(), &mut out) {
                        self.mistakes.push(mistake);
                    }
                    self.out = out;
                }
            }
        }
    }

    /// Tells of conditions that are still open.
    pub(super) fn finish(&mut self) {
        if let Some(open) = self.conditions.pop() {
            let mistake = Mistake::new(open.place, "this `#if` has no `#endif`");
            self.mistakes.push(mistake);
        }
    }

    fn is_active(&self) -> bool {
        self.conditions.iter().all(|condition| condition.active)
    }

    fn directive(&mut self, line: &[Token]) -> Outcome<()> {
        let Some((name, rest)) = line.split_first() else {
            return Ok(());
        };
        let word = name.ident().map_or("", |name| name.as_ref());
        let place = name.place;
        match word {
            "if" | "ifdef" | "ifndef" => {
                let holds = if self.is_active() {
                    self.holds(word, rest, place)
                } else {
                    Ok(false)
                };
                let active = *holds.as_ref().unwrap_or(&false);
                self.conditions.push(Condition {
                    active,
                    taken: active,
                    place,
                });
                return holds.map(|_| ());
            }
            "elif" | "else" | "endif" => return self.next_branch(word, rest, place),
            _ if !self.is_active() => return Ok(()),
            "define" => self.definition(rest, place)?,
            "undef" => {
                if let Some(name) = rest.first().and_then(Token::ident) {
                    self.macros.remove(name);
                }
            }
            "include" => self.include(rest, place)?,
            "pragma" => self.pragma(rest, place)?,
            "error" => {
                return Err(Mistake::new(place, "the C text stops here by an `#error`"));
            }
            "warning" | "line" | "ident" => {}
            _ => {
                let message = format!("`#{word}` is no directive of C");
                return Err(Mistake::new(place, message)
                    .help("known are #include, #define, #undef, #if, #ifdef, #ifndef, #elif, #else, #endif, #pragma"));
            }
        }
        Ok(())
    }

    fn holds(&mut self, word: &str, rest: &[Token], place: Place) -> Outcome<bool> {
        if word != "if" {
            let name = rest.first().and_then(Token::ident);
            let name = name.ok_or_else(|| Mistake::new(place, format!("`#{word}` wants a name")))?;
            return Ok(self.macros.contains_key(name) == (word == "ifdef"));
        }
        let mut replaced = Vec::new();
        let mut rest = rest;
        while let Some((token, behind)) = rest.split_first() {
            rest = behind;
            if token.ident().is_none_or(|name| name.as_ref() != "defined") {
                replaced.push(token.clone());
                continue;
            }
            let (name, taken) = match rest {
                [open, name, close, ..] if open.is("(") && close.is(")") => (name.ident(), 3),
                [name, ..] => (name.ident(), 1),
                [] => (None, 0),
            };
            let name = name.ok_or_else(|| Mistake::new(token.place, "`defined` wants a name"))?;
            rest = &rest[taken..];
            replaced.push(Token {
                kind: Kind::Int {
                    value: self.macros.contains_key(name).into(),
                    unsigned: false,
                    long: true,
                    decimal: true,
                },
                ..token.clone()
            });
        }
        let mut expanded = Vec::new();
        self.expand(&replaced, &mut Vec::new(), &mut expanded)?;
        let mut tables = Tables::default();
        let mut parser = Parser::new(&expanded, &[], &mut tables, self.outside, place);
        Ok(parser.condition()? != 0)
    }

    fn next_branch(&mut self, word: &str, rest: &[Token], place: Place) -> Outcome<()> {
        let no_if = || Mistake::new(place, format!("this `#{word}` has no `#if`"));
        let mut condition = self.conditions.pop().ok_or_else(no_if)?;
        if word == "endif" {
            return Ok(());
        }
        let wanted = !condition.taken && self.is_active();
        let holds = match word {
            "else" => Ok(wanted),
            _ if wanted => self.holds("if", rest, place),
            _ => Ok(false),
        };
        condition.active = *holds.as_ref().unwrap_or(&false);
        condition.taken |= condition.active;
        self.conditions.push(condition);
        holds.map(|_| ())
    }

    fn definition(&mut self, rest: &[Token], place: Place) -> Outcome<()> {
        let name = rest.first().and_then(Token::ident);
        let name = Rc::clone(name.ok_or_else(|| Mistake::new(place, "`#define` wants a name"))?);
        let mut body = &rest[1..];
        let mut params = None;
        if body.first().is_some_and(|open| open.is("(") && !open.spaced) {
            let close = body.iter().position(|token| token.is(")"));
            let close = close.ok_or_else(|| Mistake::new(place, "the macro's parameters have no `)`"))?;
            let names = body[1..close].iter().filter(|token| !token.is(","));
            params = Some(
                names
                    .map(|token| match &token.kind {
                        Kind::Ident(name) => Rc::clone(name),
                        _ => "...".into(),
                    })
                    .collect(),
            );
            body = &body[close + 1..];
        }
        self.define(name, params, body.to_vec(), place);
        Ok(())
    }

    fn define(&mut self, name: Rc<str>, params: Option<Vec<Rc<str>>>, body: Vec<Token>, place: Place) {
        let order = self.macros.len();
        self.macros.insert(
            name,
            Macro {
                params,
                body,
                place,
                order,
            },
        );
    }

    fn include(&mut self, rest: &[Token], place: Place) -> Outcome<()> {
        let name = match rest.first().map(|token| &token.kind) {
            Some(Kind::Str(name)) => name.to_string(),
            Some(Kind::Punct("<")) => {
                self.has_system_headers = true;
                return Ok(());
            }
            _ => {
                return Err(Mistake::new(place, "`#include` wants a file")
                    .help("write `#include \"file.h\"` or `#include <linux/file.h>`"));
            }
        };
        let from = place
            .header
            .and_then(|(number, _)| self.headers.get(number as usize));
        let (path, text) = self.outside.header(&name, from.map(String::as_str), place)?;
        if self.once.contains(&path) {
            return Ok(());
        }
        self.header_bytes = self.header_bytes.saturating_add(text.len());
        if self.nesting >= DEPTH || self.header_bytes > MAX_HEADERS {
            let message = format!("`{name}` includes too much, or itself without end");
            return Err(Mistake::new(place, message).help("begin the header with `#pragma once`"));
        }
        let number = self.headers.len() as u32;
        self.headers.push(path);
        let conditions = std::mem::take(&mut self.conditions);
        self.nesting += 1;
        self.text(&text, Origin::Header(number, place.span));
        self.nesting -= 1;
        self.finish();
        self.conditions = conditions;
        Ok(())
    }

    /// `#pragma once` and `#pragma pack`; others mean nothing here.
    fn pragma(&mut self, rest: &[Token], place: Place) -> Outcome<()> {
        let words: Vec<String> = rest.iter().map(|token| token.kind.to_string()).collect();
        let number = |token: &Token| match token.kind {
            Kind::Int {
                value: value @ (1 | 2 | 4 | 8 | 16),
                ..
            } => Some(value as u32),
            _ => None,
        };
        match words.first().map(String::as_str) {
            Some("`once`") => {
                let path = place
                    .header
                    .and_then(|(number, _)| self.headers.get(number as usize));
                self.once.extend(path.cloned());
            }
            Some("`pack`") => {
                let mut pack = self.packs.last().and_then(|(_, pack)| *pack);
                let parts: Vec<&Token> = rest[1..]
                    .iter()
                    .filter(|t| t.ident().is_some() || number(t).is_some())
                    .collect();
                match parts.as_slice() {
                    [] => pack = None,
                    [n] if n.ident().is_none() => pack = number(n),
                    [word, rest @ ..] if word.ident().is_some_and(|w| w.as_ref() == "push") => {
                        self.pack_stack.push(pack);
                        pack = rest.iter().find_map(|token| number(token)).or(pack);
                    }
                    [word, ..] if word.ident().is_some_and(|w| w.as_ref() == "pop") => {
                        pack = self.pack_stack.pop().flatten();
                    }
                    _ => {
                        let help = "its forms: pack(1), pack(push, 1), pack(pop), pack()";
                        return Err(Mistake::new(place, "this `#pragma pack` is not understood").help(help));
                    }
                }
                self.packs.push((self.out.len(), pack));
            }
            _ => {}
        }
        Ok(())
    }

    /// Expands the macros in `tokens`, but for the `active` ones, which are being expanded.
    pub(super) fn expand(
        &mut self,
        tokens: &[Token],
        active: &mut Vec<Rc<str>>,
        out: &mut Vec<Token>,
    ) -> Outcome<()> {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            let too_much = || Mistake::new(token.place, "macros expand to too much");
            self.budget = self.budget.checked_sub(1).ok_or_else(too_much)?;
            let known = token.ident().filter(|name| !active.contains(name));
            let Some((name, used)) = known.and_then(|name| Some((name, self.macros.get(name)?))) else {
                out.push(token.clone());
                continue;
            };
            if active.len() >= DEPTH {
                return Err(Mistake::new(
                    token.place,
                    "macros expand to too many others in one another",
                ));
            }
            let mut body = used.body.clone();
            if let Some(params) = used.params.clone() {
                if !tokens.get(at).is_some_and(|open| open.is("(")) {
                    out.push(token.clone());
                    continue;
                }
                let (args, behind) = arguments(tokens, at, token)?;
                at = behind;
                body = self.substituted(token, &params, &body, args, active)?;
            }
            // A mistake in what a macro becomes is shown where it is used.
            for part in &mut body {
                part.place = token.place;
            }
            active.push(Rc::clone(name));
            let done = self.expand(&body, active, out);
            active.pop();
            done?;
        }
        Ok(())
    }

    /// A macro's body with its arguments put in, which are expanded first.
    fn substituted(
        &mut self,
        name: &Token,
        params: &[Rc<str>],
        body: &[Token],
        args: Vec<Vec<Token>>,
        active: &mut Vec<Rc<str>>,
    ) -> Outcome<Vec<Token>> {
        let none = params.is_empty() && args.iter().all(Vec::is_empty);
        if args.len() != params.len() && !none {
            let message = format!("the macro {} takes {} arguments", name.kind, params.len());
            return Err(Mistake::new(name.place, message).label(format!("{} are given", args.len())));
        }
        if body
            .iter()
            .any(|token| token.is("#") || token.is("##") || params.iter().any(|p| p.as_ref() == "..."))
        {
            let message = format!("the macro {} cannot be used here", name.kind);
            return Err(Mistake::new(name.place, message)
                .label("it has `#`, `##` or `...`, which are not supported")
                .help("write out what it stands for"));
        }
        // An argument's own depth counts too, else calls in calls in calls would overflow the stack.
        let mut expanded = Vec::with_capacity(args.len());
        active.push("".into());
        for arg in &args {
            let mut to = Vec::new();
            if let Err(mistake) = self.expand(arg, active, &mut to) {
                active.pop();
                return Err(mistake);
            }
            expanded.push(to);
        }
        active.pop();
        let mut out = Vec::new();
        for token in body {
            let param = token
                .ident()
                .and_then(|name| params.iter().position(|param| param == name));
            match param.and_then(|param| expanded.get(param)) {
                Some(arg) => out.extend(arg.iter().cloned()),
                None => out.push(token.clone()),
            }
            if out.len() > BUDGET {
                return Err(Mistake::new(name.place, "macros expand to too much"));
            }
        }
        Ok(out)
    }
}

/// The arguments of a macro's use whose `(` is at `open`, and where they end.
fn arguments(tokens: &[Token], open: usize, name: &Token) -> Outcome<(Vec<Vec<Token>>, usize)> {
    let mut args = vec![Vec::new()];
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match &token.kind {
            Kind::Punct("(") => depth += 1,
            Kind::Punct(")") if depth == 1 => return Ok((args, at + 1)),
            Kind::Punct(")") => depth -= 1,
            Kind::Punct(",") if depth == 1 => {
                args.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if depth > 1 || !token.is("(") {
            args.last_mut()
                .into_iter()
                .for_each(|arg| arg.push(token.clone()));
        }
    }
    Err(Mistake::new(
        name.place,
        format!("the arguments of {} have no `)`", name.kind),
    ))
}
