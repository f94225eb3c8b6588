//! Where code comes from: lines of source, and the functions whose code was put into others.
//!
//! In: addresses as the program's file has them. Out: [`Origin`]s. What is damaged is left out.

use super::info::{Die, Info, Reader};
use super::lines::MAX_ROWS;
use gimli::{LineProgramHeader, Unit, constants};

/// The most functions that are put into each other, and the most that are put into one.
const MAX_DEPTH: usize = 64;
const MAX_CHILDREN: usize = 1 << 16;

/// A line of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as the compiler called it, with its directory.
    pub path: String,
    /// From 1.
    pub line: u64,
}

/// Where an instruction comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The functions whose code was put there, the innermost first, and the line that it is at in each.
    pub inlined: Vec<(String, Option<SourceLine>)>,
    /// The line of the function that the symbol table knows.
    pub line: Option<SourceLine>,
}

impl<'a> Info<'a> {
    /// Where the instruction at `address` of a unit comes from.
    pub(super) fn origin(&self, unit: usize, address: u64) -> Option<Origin> {
        let unit = self.unit(unit)?;
        let mut line = self.row(&unit, address);
        let mut inlined = Vec::new();
        for (name, call) in self.inlined_at(&unit, address).into_iter().rev() {
            inlined.push((name, std::mem::replace(&mut line, call)));
        }
        Some(Origin { inlined, line })
    }

    /// The line of an instruction by the unit's line program.
    fn row(&self, unit: &Unit<Reader<'a>>, address: u64) -> Option<SourceLine> {
        let mut rows = unit.line_program.clone()?.rows();
        let mut before: Option<(u64, u64, u64)> = None;
        let mut budget = MAX_ROWS;
        loop {
            let (_, row) = rows.next_row().ok()??;
            budget = budget.checked_sub(1)?;
            if budget.is_multiple_of(1 << 16) && !self.has_time() {
                return None;
            }
            let behind = row.address();
            let next = (
                behind,
                row.file_index(),
                row.line().map_or(0, std::num::NonZero::get),
            );
            let ends = row.end_sequence();
            if let Some((at, file, line)) = before
                && (at..behind).contains(&address)
            {
                let path = self.file_path(unit, rows.header(), file)?;
                return (line > 0).then_some(SourceLine { path, line });
            }
            before = (!ends).then_some(next);
        }
    }

    /// The functions whose code was put where `address` is, the outermost first, and from which line each was called.
    fn inlined_at(
        &self,
        unit: &std::rc::Rc<Unit<Reader<'a>>>,
        address: u64,
    ) -> Vec<(String, Option<SourceLine>)> {
        let covers = |die: &Die<'_, 'a>| {
            let within = |begin, length| (address.wrapping_sub(begin) < length).then_some(());
            die.find_range(within).is_some()
        };
        let is_function = |tag| tag == constants::DW_TAG_subprogram;
        let mut next = self.find(unit, is_function, |die| covers(&die).then_some(die));
        let mut found = Vec::new();
        for _ in 0..MAX_DEPTH {
            let Some(die) = next else { break };
            if die.tag() == constants::DW_TAG_inlined_subroutine {
                let name = die
                    .with_origins(|die| die.name())
                    .unwrap_or_else(|| "?".to_owned());
                found.push((name, self.called_from(unit, &die)));
            }
            let nests = |tag| {
                matches!(
                    tag,
                    constants::DW_TAG_inlined_subroutine | constants::DW_TAG_lexical_block
                )
            };
            next = die.children(MAX_CHILDREN, nests).into_iter().find(covers);
        }
        found
    }

    fn called_from(&self, unit: &Unit<Reader<'a>>, die: &Die<'_, 'a>) -> Option<SourceLine> {
        let program = unit.line_program.as_ref()?;
        let file = match die.value(constants::DW_AT_call_file)? {
            gimli::AttributeValue::FileIndex(file) => file,
            value => value.udata_value()?,
        };
        Some(SourceLine {
            path: self.file_path(unit, program.header(), file)?,
            line: die.number(constants::DW_AT_call_line)?,
        })
    }

    /// A file of a line program, with its directory.
    fn file_path(
        &self,
        unit: &Unit<Reader<'a>>,
        header: &LineProgramHeader<Reader<'a>>,
        number: u64,
    ) -> Option<String> {
        let text = |value| {
            let text = self.dwarf.attr_string(unit, value).ok()?.slice();
            (text.len() <= super::lines::MAX_PATH).then(|| String::from_utf8_lossy(text).into_owned())
        };
        let file = header.file(number)?;
        let mut path = text(file.path_name())?;
        if !path.starts_with('/')
            && let Some(directory) = file.directory(header).and_then(text)
        {
            path = format!("{directory}/{path}");
        }
        if !path.starts_with('/')
            && let Some(directory) = unit.comp_dir
        {
            path = format!("{}/{path}", String::from_utf8_lossy(directory.slice()));
        }
        Some(path)
    }
}
