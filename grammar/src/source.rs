//! Where the text of a script comes from: its own file, files that it imports, and macros that it uses.
//!
//! All of it is one text, piece behind piece, so that a [`Span`] says everything about a place: which file, and for code that
//! a macro gave, which use of the macro. A use of a macro is a piece of its own, a copy of the macro's text.
//!
//! In: pieces, as they are met. Out: places for messages ([`Sources::settle`]) and positions in files
//! ([`Sources::position`]). Invariants: the script itself is the first piece; a macro's text is in a file, and its use in an
//! earlier piece.

use crate::diagnostic::{self, Diagnostic, Severity};
use crate::span::Span;
use std::collections::HashSet;

/// More text than this is not kept, in bytes: macros that use macros can give any amount.
const MAX_TEXT: usize = 64 << 20;

/// What messages call a script that was given on the command line.
pub const COMMAND_LINE: &str = "-e";

/// What stands between the name of a macro's own variable and the number of the macro's use. No name of a script has it.
pub const HYGIENE_MARK: char = '\'';

/// The text of a script and of everything that it uses.
#[derive(Clone, Debug)]
pub struct Sources {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    /// Where it begins in the whole text.
    start: usize,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    File {
        name: String,
    },
    Macro {
        name: String,
        /// Where the text that this is a copy of begins.
        original: usize,
        /// The use.
        used: Span,
    },
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The file.
    pub file: &'a str,
    /// Line, from 1.
    pub line: usize,
    /// Byte of the line, from 1.
    pub column: usize,
}

impl Sources {
    /// A script; `name` is what messages call it.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pieces: vec![Piece {
                start: 0,
                from: From::File {
                    name: name.to_owned(),
                },
            }],
        }
    }

    /// All of it, as spans count it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a file; gives where it begins, or `None` where there is too much text.
    pub fn add_file(&mut self, name: &str, text: &str) -> Option<usize> {
        self.add(
            text,
            From::File {
                name: name.to_owned(),
            },
        )
    }

    /// The files that the script imports, crumbs' own texts left out: their names and texts, in the order in which they were
    /// added.
    pub fn imported(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.pieces.iter().enumerate().skip(1);
        files.filter_map(|(at, piece)| match &piece.from {
            From::File { name } if !name.starts_with('<') => {
                Some((name.as_str(), self.text.get(piece.start..self.end(at))?))
            }
            _ => None,
        })
    }

    /// Adds a use of a macro whose body is at `body`; gives where the copy of the body begins.
    pub fn add_use(&mut self, name: &str, body: Span, used: Span) -> Option<usize> {
        let copy = self.text.get(body.range())?.to_owned();
        self.add(
            &copy,
            From::Macro {
                name: name.to_owned(),
                original: body.range().start,
                used,
            },
        )
    }

    fn add(&mut self, text: &str, from: From) -> Option<usize> {
        // A piece ends its last line, so that no line is in two pieces.
        let start = self.text.len() + 1;
        if start + text.len() > MAX_TEXT {
            return None;
        }
        self.text.push('\n');
        self.text.push_str(text);
        self.pieces.push(Piece { start, from });
        Some(start)
    }

    /// The piece that holds a byte.
    fn piece(&self, at: usize) -> usize {
        self.pieces
            .partition_point(|piece| piece.start <= at)
            .saturating_sub(1)
    }

    fn end(&self, piece: usize) -> usize {
        self.pieces
            .get(piece + 1)
            .map_or(self.text.len(), |next| next.start - 1)
    }

    /// Where `span` stands in a file, and the uses of macros that brought it to where it is, innermost first.
    pub fn origin(&self, span: Span) -> (Span, Vec<(&str, Span)>) {
        let mut uses = Vec::new();
        let (place, mut used) = self.original(span);
        while let Some((name, at)) = used {
            let (place, outer) = self.original(at);
            uses.push((name, place));
            used = outer;
        }
        (place, uses)
    }

    /// Where `span` stands in a file, and the use of the macro that brought it to where it is.
    fn original(&self, span: Span) -> (Span, Option<(&str, Span)>) {
        let range = span.range();
        // An operation on a macro's argument begins in the one text and ends in the other: where it ends tells more.
        let piece = self.piece(range.end.saturating_sub(1).max(range.start));
        let start = self.pieces[piece].start;
        let end = self.end(piece).max(start);
        let (from, to) = (range.start.max(start), range.end.clamp(start, end));
        match &self.pieces[piece].from {
            From::File { .. } => (Span::new(from.min(to), to), None),
            From::Macro { name, original, used } => (
                Span::new(from.min(to) - start + original, to - start + original),
                Some((name, *used)),
            ),
        }
    }

    fn file_span(&self, span: Span) -> Span {
        self.origin(span).0
    }

    /// The name of the file that a place of a file is in, and where that file begins and ends.
    pub fn file(&self, span: Span) -> (&str, Span) {
        let piece = self.piece(self.file_span(span).range().start);
        let name = match &self.pieces[piece].from {
            From::File { name } | From::Macro { name, .. } => name,
        };
        (name, Span::new(self.pieces[piece].start, self.end(piece)))
    }

    /// Whether a place is in text of crumbs itself, which no user has before them: its name stands in angle brackets.
    fn is_own(&self, span: Span) -> bool {
        self.file(span).0.starts_with('<')
    }

    /// Where `span` begins, as an editor counts.
    pub fn position(&self, span: Span) -> Position<'_> {
        let at = self.file_span(span).range().start;
        let (file, whole) = self.file(span);
        let before = self.text.get(whole.range().start..at).unwrap_or_default();
        Position {
            file,
            line: before.matches('\n').count() + 1,
            column: before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1,
        }
    }

    /// What is to be said, at places in files: what a macro gave is said of the macro's text, with the uses that it was
    /// expanded from. What several uses have in common is said once. In the order of the text, errors and warnings mixed.
    pub fn settle(&self, diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut known = HashSet::new();
        let mut settled: Vec<Diagnostic> = diagnostics
            .into_iter()
            .map(|diagnostic| self.settled(diagnostic))
            .filter(|d| {
                let no_place = d.primary.span == Span::default();
                no_place || known.insert((d.code.id, d.primary.span, d.severity == Severity::Error))
            })
            .collect();
        diagnostic::sort_by_place(&mut settled);
        settled
    }

    fn settled(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let (mut place, mut uses) = self.origin(diagnostic.primary.span);
        // What crumbs' own macros gave is said of what the user wrote.
        if self.is_own(place)
            && let Some(outside) = uses.iter().position(|(_, used)| !self.is_own(*used))
        {
            place = uses[outside].1;
            uses.drain(..=outside);
            diagnostic.secondary.retain(|label| !self.is_own(label.span));
        }
        diagnostic.primary.span = place;
        for label in &mut diagnostic.secondary {
            label.span = self.file_span(label.span);
        }
        for (name, used) in uses {
            diagnostic = diagnostic.also(used, format!("expanded from this use of `{name}`"));
        }
        let texts = std::iter::once(&mut diagnostic.message)
            .chain(std::iter::once(&mut diagnostic.primary.message))
            .chain(diagnostic.secondary.iter_mut().map(|label| &mut label.message))
            .chain(&mut diagnostic.help);
        texts.for_each(|text| *text = unmarked(text));
        diagnostic
    }
}

/// A message without the numbers of macros' own variables.
fn unmarked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split(HYGIENE_MARK);
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let word = out.trim_end_matches(is_word);
        if rest.len() < piece.len() && word.len() < out.len() && word.ends_with('$') {
            out.push_str(rest);
        } else {
            out.push(HYGIENE_MARK);
            out.push_str(piece);
        }
    }
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn what_is_wrong_in_own_macros_is_said_of_their_use() {
        let mut sources = Sources::new("main", "begin { m() }");
        let own = sources
            .add_file("<own>", "macro m() { n() } macro n() { x }")
            .unwrap();
        let used = Span::new(8, 11);
        let outer = sources.add_use("m", Span::new(own + 10, own + 17), used).unwrap();
        let inner = Span::new(outer + 2, outer + 5);
        let copy = sources
            .add_use("n", Span::new(own + 28, own + 33), inner)
            .unwrap();
        let mistake = Diagnostic::error(&codes::SYNTAX, Span::new(copy + 2, copy + 3), "wrong")
            .also(Span::new(own + 6, own + 7), "defined here");
        let settled = sources.settle(vec![mistake]);
        assert_eq!(settled[0].primary.span, used);
        assert!(settled[0].secondary.is_empty(), "{settled:?}");
    }

    #[test]
    fn places_lead_back_to_files() {
        let mut sources = Sources::new("main", "macro m() { x }\nbegin { m() }");
        let library = sources.add_file("lib", "first\nsecond").unwrap();
        assert_eq!(&sources.text()[library..], "first\nsecond");
        let used = Span::new(24, 27);
        let copy = sources.add_use("m", Span::new(10, 15), used).unwrap();
        let inner = Span::new(copy + 2, copy + 3);
        assert_eq!(sources.origin(inner), (Span::new(12, 13), vec![("m", used)]));
        let position = sources.position(Span::new(library + 6, library + 8));
        assert_eq!((position.file, position.line, position.column), ("lib", 2, 1));
        assert_eq!(sources.position(inner).column, 13);
        // From the script into the copy: what is in the copy.
        assert_eq!(sources.origin(Span::new(24, copy + 3)).0, Span::new(10, 13));
        let again = sources.add_use("m", Span::new(10, 15), inner).unwrap();
        let (place, uses) = sources.origin(Span::new(again + 2, again + 3));
        assert_eq!((place, uses.len()), (Span::new(12, 13), 2));
    }

    #[test]
    fn uses_are_told_and_mistakes_told_once() {
        let mut sources = Sources::new("main", "macro m() { x }\nbegin { m(); m() }");
        let mut mistakes = Vec::new();
        for used in [Span::new(24, 27), Span::new(29, 32)] {
            let copy = sources.add_use("m", Span::new(10, 15), used).unwrap();
            let at = Span::new(copy + 2, copy + 3);
            mistakes.push(Diagnostic::error(&codes::SYNTAX, at, "no `$v'12`, it's 'x'"));
        }
        let settled = sources.settle(mistakes);
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].primary.span, Span::new(12, 13));
        assert_eq!(settled[0].secondary[0].span, Span::new(24, 27));
        assert_eq!(settled[0].message, "no `$v`, it's 'x'");
    }
}
