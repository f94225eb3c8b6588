//! The preprocessor: directives and macros.
//!
//! In: the tokens of the script's C text, headers by name. Out: the tokens that remain, macros expanded, and the macros that
//! are defined at the end. Bounded: headers nest [`DEPTH`] deep and have [`MAX_HEADERS`] bytes together, macros expand to
//! [`BUDGET`] tokens, so no text takes more than time linear in those.
//!
//! Headers in angle brackets that lie in a directory which the user named are read as the script's own. Others are only
//! noted: their types come from the kernel's BTF, and [`super::with_system_headers`] reads them when a name is found nowhere
//! else.

use super::ctype::Tables;
use super::lexer::{Kind, Origin, Place, Token, tokens};
use super::parse::Parser;
use super::{Mistake, Outside};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// How deep headers, and macros in one another, may nest.
pub(super) const DEPTH: usize = 64;
/// How many bytes of headers are read.
const MAX_HEADERS: usize = 1 << 24;
/// How many tokens macros may expand to.
pub(super) const BUDGET: usize = 1 << 20;

/// The parameter that stands for all arguments that are left.
const REST: &str = "__VA_ARGS__";

/// What `#if` can ask with parentheses. But for headers the answer is no: these are about C compilers.
const QUESTIONS: &[&str] = &[
    "__has_include",
    "__has_include_next",
    "__has_attribute",
    "__has_builtin",
    "__has_feature",
    "__has_extension",
    "__has_c_attribute",
    "__has_cpp_attribute",
    "__has_warning",
];

/// A header as `#include` names it.
enum Named {
    /// `"file.h"`
    Quoted(String),
    /// `<linux/file.h>`
    Angled(String),
}

/// The header that these tokens name.
fn header_name(tokens: &[Token]) -> Option<Named> {
    match &tokens.first()?.kind {
        Kind::Str(name) => Some(Named::Quoted(name.to_string())),
        Kind::Punct("<") => {
            let end = tokens.iter().position(|token| token.is(">"))?;
            let name = tokens[1..end].iter().map(|token| token.kind.spelling());
            Some(Named::Angled(name.collect()))
        }
        _ => None,
    }
}

/// A macro.
#[derive(Clone, Debug)]
pub(super) struct Macro {
    /// Its parameters; `None` where it is used without parentheses.
    pub params: Option<Vec<Rc<str>>>,
    /// Whether the last parameter takes all arguments that are left.
    pub variadic: bool,
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
    pub(super) budget: usize,
    /// Whether the machine's own headers are read, too.
    pub reads_system: bool,
    /// The headers in angle brackets that were asked for and not read.
    pub system_headers: Vec<String>,
}

pub(super) type Outcome<T> = Result<T, Mistake>;

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
            reads_system: false,
            system_headers: Vec::new(),
        };
        for (name, params, body) in outside.predefined() {
            let body = tokens(&body, Origin::Script(0));
            let params = (!params.is_empty()).then(|| params.iter().map(|&name| name.into()).collect());
            preprocessor.define(name.into(), params, false, body, Place::default());
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
            "elif" | "elifdef" | "elifndef" | "else" | "endif" => return self.next_branch(word, rest, place),
            _ if !self.is_active() => return Ok(()),
            "define" => self.definition(rest, place)?,
            "undef" => {
                if let Some(name) = rest.first().and_then(Token::ident) {
                    self.macros.remove(name);
                }
            }
            "include" | "include_next" => self.include(rest, place)?,
            "pragma" => self.pragma(rest, place)?,
            "error" => {
                return Err(Mistake::new(place, "the C text stops here by an `#error`"));
            }
            "warning" | "line" | "ident" => {}
            _ => {
                let message = format!("`#{word}` is no directive of C");
                return Err(Mistake::new(place, message)
                    .help("a comment begins with `//`; known are #include, #define, #undef, #if, #ifdef, #ifndef, #elif, #else, #endif, #pragma"));
            }
        }
        Ok(())
    }

    fn holds(&mut self, word: &str, rest: &[Token], place: Place) -> Outcome<bool> {
        if word != "if" {
            let name = rest.first().and_then(Token::ident);
            let name = name.ok_or_else(|| Mistake::new(place, format!("`#{word}` wants a name")))?;
            return Ok(self.is_defined(name) == (word == "ifdef"));
        }
        let mut replaced = Vec::new();
        let mut rest = rest;
        while let Some((token, behind)) = rest.split_first() {
            rest = behind;
            let number = |value: bool| Token {
                kind: Kind::Int {
                    value: value.into(),
                    unsigned: false,
                    long: true,
                    decimal: true,
                },
                ..token.clone()
            };
            match token.ident().map(|name| name.as_ref()) {
                Some("defined") => {
                    let (name, taken) = match rest {
                        [open, name, close, ..] if open.is("(") && close.is(")") => (name.ident(), 3),
                        [name, ..] => (name.ident(), 1),
                        [] => (None, 0),
                    };
                    let name = name.ok_or_else(|| Mistake::new(token.place, "`defined` wants a name"))?;
                    rest = &rest[taken..];
                    replaced.push(number(self.is_defined(name)));
                }
                Some(question) if QUESTIONS.contains(&question) => {
                    let wants = || Mistake::new(token.place, format!("`{question}` wants parentheses"));
                    let open = rest.first().is_some_and(|open| open.is("("));
                    let close = rest.iter().position(|close| close.is(")"));
                    let close = close.filter(|_| open).ok_or_else(wants)?;
                    let what = &rest[1..close];
                    rest = &rest[close + 1..];
                    let is_header = question.starts_with("__has_include");
                    replaced.push(number(is_header && self.has_header(what, place)));
                }
                _ => replaced.push(token.clone()),
            }
        }
        let mut expanded = Vec::new();
        self.expand(&replaced, &mut Vec::new(), &mut expanded)?;
        let mut tables = Tables::default();
        let mut parser = Parser::new(&expanded, &[], &mut tables, self.outside, place);
        Ok(parser.condition()? != 0)
    }

    fn is_defined(&self, name: &str) -> bool {
        self.macros.contains_key(name) || QUESTIONS.contains(&name)
    }

    /// Whether `#include` would find a header.
    fn has_header(&self, name: &[Token], place: Place) -> bool {
        match header_name(name) {
            Some(Named::Quoted(name)) => self.outside.header(&name, None, place).is_ok(),
            Some(Named::Angled(name)) => {
                self.outside.included_header(&name).is_some() || self.outside.system_header(&name).is_some()
            }
            None => false,
        }
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
            _ if wanted => self.holds(word.trim_start_matches("el"), rest, place),
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
        let (mut params, mut variadic) = (None, false);
        if body.first().is_some_and(|open| open.is("(") && !open.spaced) {
            let close = body.iter().position(|token| token.is(")"));
            let close = close.ok_or_else(|| Mistake::new(place, "the macro's parameters have no `)`"))?;
            let mut names: Vec<Rc<str>> = Vec::new();
            let mut after_name = false;
            for token in &body[1..close] {
                match &token.kind {
                    // GNU: `args...` names what is left.
                    Kind::Punct("...") if after_name => variadic = true,
                    Kind::Punct("...") => {
                        variadic = true;
                        names.push(REST.into());
                    }
                    Kind::Ident(name) => names.push(Rc::clone(name)),
                    _ => {}
                }
                after_name = token.ident().is_some();
            }
            params = Some(names);
            body = &body[close + 1..];
        }
        self.define(name, params, variadic, body.to_vec(), place);
        Ok(())
    }

    fn define(
        &mut self,
        name: Rc<str>,
        params: Option<Vec<Rc<str>>>,
        variadic: bool,
        body: Vec<Token>,
        place: Place,
    ) {
        let order = self.macros.len();
        self.macros.insert(
            name,
            Macro {
                params,
                variadic,
                body,
                place,
                order,
            },
        );
    }

    fn include(&mut self, rest: &[Token], place: Place) -> Outcome<()> {
        let mut expanded = Vec::new();
        let mut name = header_name(rest);
        if name.is_none() {
            // The name may be a macro's.
            self.expand(rest, &mut Vec::new(), &mut expanded)?;
            name = header_name(&expanded);
        }
        let (name, (path, text)) = match name {
            Some(Named::Quoted(name)) => {
                let from = place
                    .header
                    .and_then(|(number, _)| self.headers.get(number as usize));
                let found = self.outside.header(&name, from.map(String::as_str), place)?;
                (name, found)
            }
            Some(Named::Angled(name)) => {
                let found = self.outside.included_header(&name);
                let found = found.or_else(|| self.outside.system_header(&name).filter(|_| self.reads_system));
                match found {
                    Some(found) => (name, found),
                    None => {
                        self.outside.check_system_header(&name, place)?;
                        self.system_headers.push(name);
                        return Ok(());
                    }
                }
            }
            None => {
                return Err(Mistake::new(place, "`#include` wants a file")
                    .help("write `#include \"file.h\"` or `#include <linux/file.h>`"));
            }
        };
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
}
