//! Lines of source as places: `uprobe:BINARY@FILE:LINE[:COLUMN]`.

use super::{Expansion, Failure, Wanted};
use crate::codes;
use crate::probe_kind::Point;
use crate::target::Binary;
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;

/// A line of source.
pub(super) struct SourceLine {
    /// The end of the file's path.
    file: String,
    line: u64,
    column: Option<u64>,
}

/// The line that an attach point names, with the parts of the binary and of the line; `None` where it names none.
pub(super) fn of<'p>(point: &Point<'p>) -> Option<(AttachPart, &'p AttachPart, Wanted<'p>)> {
    let (place, line, column) = match point.parts {
        [place, line] => (place, line, None),
        [place, line, column] => (place, line, Some(column)),
        _ => return None,
    };
    let number = |part: &AttachPart| {
        let is_number = !part.quoted && part.text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.text.parse().ok())?
    };
    let (binary, file) = place.text.rsplit_once('@').filter(|_| !place.quoted)?;
    let column = match column {
        Some(column) => Some(number(column)?),
        None => None,
    };
    let wanted = SourceLine {
        file: file.to_owned(),
        line: number(line)?,
        column,
    };
    let binary = AttachPart {
        text: binary.to_owned(),
        ..place.clone()
    };
    Some((binary, line, Wanted::Line(wanted)))
}

impl Expansion<'_> {
    /// Places a line: in each function that has code of it, at the first.
    pub(super) fn line(&mut self, binary: &Binary, wanted: &SourceLine) -> Result<(), Failure> {
        let SourceLine { file, line, column } = wanted;
        let found = self.target.source_line(binary, file, *line, *column);
        let offsets = found.map_err(|error| {
            let column = column.map_or(String::new(), |column| format!(":{column}"));
            let message = format!(
                "no instruction of {} comes from {file}:{line}{column}",
                binary.path
            );
            Failure::target(error, &codes::NO_FUNCTION, self.what.span, message)
        })?;
        let functions = self.target.functions(binary).ok();
        let mut known: Vec<Option<u64>> = Vec::new();
        for offset in offsets {
            let within = functions.iter().flat_map(|all| all.iter());
            let function = within
                .filter(|f| f.offset <= offset && offset - f.offset < f.size.max(1))
                .min_by_key(super::rank);
            let begin = function.map(|function| function.offset);
            if begin.is_some() && known.contains(&begin) {
                continue;
            }
            known.push(begin);
            let name = function.map_or("", |function| function.name.as_str());
            let (name, literal) = (name.to_owned(), self.literal_binary);
            self.place(binary, &self.what.text, &name, offset, literal);
            if let Some(place) = self.places.last_mut() {
                place.site.probe = format!("{}:{}@{file}:{line}", self.kind.name(), binary.path);
            }
        }
        Ok(())
    }

    /// Adds to a message about a function that is not there that it is part of others.
    pub(super) fn note_inlined(&self, diagnostic: Diagnostic, binary: &Binary, name: &str) -> Diagnostic {
        if !self.target.is_inlined(binary, name) {
            return diagnostic;
        }
        diagnostic
            .label("the compiler has put its code where it is called (inlined it)")
            .help(format!(
                "a probe on a line of its source may do: `{}:{}@FILE:LINE`; or build it with -fno-inline",
                self.kind.name(),
                binary.path
            ))
    }
}
