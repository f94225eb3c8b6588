//! What `crumbs -f json` prints, read.

use std::collections::BTreeMap;
use std::str::Chars;

/// A JSON value; numbers are whole ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`, `true` and `false` are nothing that the tests look at.
    Word,
    Number(i64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value.
    pub fn parse(text: &str) -> Self {
        let mut rest = text.chars();
        let value = value(&mut rest);
        assert_eq!(rest.as_str().trim(), "", "{text}");
        value
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    pub fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            other => panic!("{other:?} is no list"),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }
}

fn next(rest: &mut Chars<'_>) -> char {
    rest.next().unwrap()
}

fn peek(rest: &Chars<'_>) -> char {
    rest.clone().next().unwrap()
}

fn skip_space(rest: &mut Chars<'_>) {
    *rest = rest.as_str().trim_start().chars();
}

fn value(rest: &mut Chars<'_>) -> Json {
    skip_space(rest);
    match peek(rest) {
        '{' => Json::Object(
            items(rest, '}', |rest| {
                skip_space(rest);
                let name = text(rest);
                skip_space(rest);
                assert_eq!(next(rest), ':');
                (name, value(rest))
            })
            .into_iter()
            .collect(),
        ),
        '[' => Json::List(items(rest, ']', value)),
        '"' => Json::Text(text(rest)),
        _ => {
            let end = rest.as_str().find([',', '}', ']']).unwrap_or(rest.as_str().len());
            let (word, behind) = rest.as_str().split_at(end);
            *rest = behind.chars();
            word.trim().parse().map_or(Json::Word, Json::Number)
        }
    }
}

fn items<T>(rest: &mut Chars<'_>, end: char, mut item: impl FnMut(&mut Chars<'_>) -> T) -> Vec<T> {
    next(rest);
    let mut out = Vec::new();
    loop {
        skip_space(rest);
        match peek(rest) {
            c if c == end => break,
            ',' => {
                next(rest);
            }
            _ => out.push(item(rest)),
        }
    }
    next(rest);
    out
}

fn text(rest: &mut Chars<'_>) -> String {
    assert_eq!(next(rest), '"');
    let mut out = String::new();
    loop {
        match next(rest) {
            '"' => return out,
            '\\' => match next(rest) {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let digits: String = (0..4).map(|_| next(rest)).collect();
                    out.extend(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()));
                }
                c => out.push(c),
            },
            c => out.push(c),
        }
    }
}
