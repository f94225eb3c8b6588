//! Reads Rust source as far as the rules of this repository need it: tokens, what is test code, how long functions are.
//!
//! In: the text of a file. Out: [`Token`]s with their lines. Not a parser: it assumes that the file compiles.

/// A token that is no comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An identifier, keyword or lifetime name.
    Ident(String),
    /// The content of a string literal, escapes as written.
    Str(String),
    /// A character or number literal.
    Literal,
    /// One character of punctuation.
    Punct(char),
}

/// A token and the line it begins in, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where.
    pub line: usize,
}

impl Token {
    /// Whether it is this identifier.
    pub fn is_ident(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Ident(text) if text == name)
    }

    /// Whether it is this punctuation.
    pub fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }
}

struct Cursor<'a> {
    text: &'a str,
    line: usize,
}

impl Cursor<'_> {
    fn peek(&self, skip: usize) -> Option<char> {
        self.text.chars().nth(skip)
    }

    /// Takes `len` bytes.
    fn take(&mut self, len: usize) -> String {
        let (taken, rest) = self.text.split_at(len);
        self.line += taken.matches('\n').count();
        self.text = rest;
        taken.to_owned()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let len = self.text.find(|c| !accept(c)).unwrap_or(self.text.len());
        self.take(len)
    }

    /// Takes up to and including `end`, or everything.
    fn take_to(&mut self, end: &str) -> String {
        let len = self.text.find(end).map_or(self.text.len(), |at| at + end.len());
        self.take(len)
    }

    /// Takes a quoted literal whose opening quote is next.
    fn quoted(&mut self, quote: char) -> String {
        let mut escaped = false;
        let end = self.text[1..]
            .char_indices()
            .find(|&(_, c)| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })
            .map_or(self.text.len(), |(at, _)| at + 2);
        let all = self.take(end);
        all[1..].trim_end_matches(quote).to_owned()
    }

    /// Takes a block comment, which nests.
    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.text.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.text.starts_with("*/") {
                depth -= 1;
                self.take(2);
                if depth == 0 {
                    return;
                }
            } else {
                let Some(next) = self.peek(0) else { return };
                self.take(next.len_utf8());
            }
        }
    }

    /// The number of `#` of a raw string that begins behind `prefix` characters.
    fn raw_string(&self, prefix: usize) -> Option<usize> {
        let rest = self.text.get(prefix..)?;
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        rest[hashes..].starts_with('"').then_some(hashes)
    }

    fn token(&mut self) -> Option<Kind> {
        let c = self.peek(0)?;
        let prefix = ["br", "cr", "r"].iter().find(|p| self.text.starts_with(**p));
        if let Some((len, hashes)) = prefix.and_then(|p| Some((p.len(), self.raw_string(p.len())?))) {
            self.take(len + hashes + 1);
            let end = format!("\"{}", "#".repeat(hashes));
            let all = self.take_to(&end);
            return Some(Kind::Str(all.trim_end_matches(end.as_str()).to_owned()));
        }
        if matches!(c, 'b' | 'c') && self.peek(1) == Some('"') {
            self.take(1);
            return Some(Kind::Str(self.quoted('"')));
        }
        match c {
            '"' => Some(Kind::Str(self.quoted('"'))),
            // A lifetime has no closing quote behind its first character.
            '\'' if self.peek(1) == Some('\\') || self.peek(2) == Some('\'') => {
                self.quoted('\'');
                Some(Kind::Literal)
            }
            _ if c.is_ascii_digit() => {
                self.take_while(|c| c.is_alphanumeric() || c == '_');
                Some(Kind::Literal)
            }
            _ if c.is_alphabetic() || c == '_' => {
                Some(Kind::Ident(self.take_while(|c| c.is_alphanumeric() || c == '_')))
            }
            _ => {
                self.take(c.len_utf8());
                Some(Kind::Punct(c))
            }
        }
    }
}

/// The tokens of a file, comments left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut cursor = Cursor { text, line: 1 };
    let mut tokens = Vec::new();
    while let Some(next) = cursor.peek(0) {
        if next.is_whitespace() {
            cursor.take(next.len_utf8());
        } else if cursor.text.starts_with("//") {
            cursor.take_while(|c| c != '\n');
        } else if cursor.text.starts_with("/*") {
            cursor.block_comment();
        } else {
            let line = cursor.line;
            if let Some(kind) = cursor.token() {
                tokens.push(Token { kind, line });
            }
        }
    }
    tokens
}

/// The index behind the delimiter that closes the one at `open`.
pub fn behind_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Punct('(' | '[' | '{') => depth += 1,
            Kind::Punct(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// A file without its test code, and the modules in files of their own that are test code.
pub struct Production {
    /// The tokens outside of `#[cfg(test)]` items.
    pub tokens: Vec<Token>,
    /// What `#[cfg(test)] mod …;` items name: a module, or with `.rs` the file of their `#[path]`, which is relative to the
    /// file's directory.
    pub test_modules: Vec<String>,
}

/// Takes the items under `#[cfg(test)]` out.
pub fn production(tokens: &[Token]) -> Production {
    let mut result = Production {
        tokens: Vec::new(),
        test_modules: Vec::new(),
    };
    let mut at = 0;
    while at < tokens.len() {
        let is_attribute = tokens[at].is('#') && tokens.get(at + 1).is_some_and(|t| t.is('['));
        if !is_attribute {
            result.tokens.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = behind_group(tokens, at + 1);
        let attribute = &tokens[at..end];
        let is_test = attribute.get(2).is_some_and(|t| t.is_ident("cfg"))
            && attribute.iter().any(|t| t.is_ident("test"))
            && !attribute.iter().any(|t| t.is_ident("not"));
        if !is_test {
            result.tokens.extend_from_slice(attribute);
            at = end;
            continue;
        }
        at = behind_item(tokens, end);
        let item = &tokens[end..at];
        if let Some(index) = item.iter().position(|t| t.is_ident("mod"))
            && let Some(Kind::Ident(name)) = item.get(index + 1).map(|t| &t.kind)
            && item.get(index + 2).is_some_and(|t| t.is(';'))
        {
            let path = item[..index].iter().find_map(|t| match &t.kind {
                Kind::Str(path) if path.ends_with(".rs") => Some(path.clone()),
                _ => None,
            });
            result.test_modules.push(path.unwrap_or_else(|| name.clone()));
        }
    }
    result
}

/// The index behind the item (with its further attributes) that begins at `at`.
fn behind_item(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].kind {
            Kind::Punct(';' | ',') => return at + 1,
            Kind::Punct('{') => return behind_group(tokens, at),
            Kind::Punct('(' | '[') => at = behind_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// A function: name, the line of `fn`, and how many lines of it have code (no blank lines, no comments).
pub fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let Some(Kind::Ident(name)) = tokens.get(index + 1).map(|t| &t.kind) else {
            continue;
        };
        if !token.is_ident("fn") {
            continue;
        }
        let mut open = index + 2;
        while open < tokens.len() && !tokens[open].is('{') && !tokens[open].is(';') {
            open = match tokens[open].kind {
                Kind::Punct('(' | '[') => behind_group(tokens, open),
                _ => open + 1,
            };
        }
        if tokens.get(open).is_some_and(|t| t.is('{')) {
            let body = &tokens[index..behind_group(tokens, open)];
            found.push((name.clone(), token.line, lines_of_code(body)));
        }
    }
    found
}

/// How many lines have a token that begins in them.
pub fn lines_of_code(tokens: &[Token]) -> usize {
    let mut lines: Vec<usize> = tokens.iter().map(|t| t.line).collect();
    lines.dedup();
    lines.len()
}
