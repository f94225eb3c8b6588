//! How much memory one question about debug information may take.
//!
//! In: a unit's header, not trusted. Out: what the unit takes, or that nobody reads it. A few bytes of a hostile file
//! can stand for much: an abbreviation with a million attributes, of which each entry of one byte has them all; a line program
//! that lists as many files as it has bytes; a table that thousands of units share, each of which would keep a copy.

use super::info::Reader;
use gimli::{Dwarf, Reader as _, Section, Unit, UnitHeader, constants};
use std::cell::Cell;

/// The most units of a file. Web browsers have 100,000.
pub(super) const UNITS: usize = 1 << 20;

/// The most attributes of an entry; compilers write 20.
const ATTRIBUTES: usize = 64;

/// The longest table of abbreviations; link-time optimisation makes some of 100 KB.
const ABBREVIATIONS: usize = 1 << 20;

/// The longest header of a line program, which lists directories and files.
const LINE_HEADER: u64 = 1 << 22;

/// Bytes of memory that a byte of a table of abbreviations can become, and a file in a line program's header.
const GROWTH: usize = 160;

/// The most that is kept of units at a time, bytes in memory; without those that are in use.
const KEPT: usize = 1 << 30;

/// The most that one question makes of names and entries, bytes.
const MADE: usize = 1 << 28;

/// What may still be read.
pub(super) struct Budget {
    kept: Cell<usize>,
    made: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            kept: Cell::new(KEPT),
            made: Cell::new(MADE),
        }
    }
}

impl Budget {
    /// Takes memory for a unit; says no, and begins anew, where what is kept must go first.
    pub(super) fn keeps(&self, bytes: usize) -> bool {
        let left = self.kept.get().checked_sub(bytes);
        self.kept.set(left.unwrap_or_else(|| KEPT.saturating_sub(bytes)));
        left.is_some()
    }

    /// Takes memory for a name or an entry; says no where there is none left.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        let left = self.made.get().checked_sub(bytes);
        self.made.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// The length of the table of abbreviations of a unit that is about to be read; `None` where no compiler writes such a unit.
pub(super) fn check<'a>(dwarf: &Dwarf<Reader<'a>>, header: &UnitHeader<Reader<'a>>) -> Option<usize> {
    let mut table = *dwarf.debug_abbrev.reader();
    table.skip(header.debug_abbrev_offset().0).ok()?;
    let abbreviations = table_length(table)?;
    // Most programs' are shorter all together.
    let is_long = dwarf.debug_line.reader().len() as u64 > LINE_HEADER;
    if is_long && line_header(dwarf, header).unwrap_or(0) > LINE_HEADER {
        return None;
    }
    Some(abbreviations)
}

/// The bytes of memory that a unit takes.
pub(super) fn weight(unit: &Unit<Reader<'_>>, abbreviations: usize) -> usize {
    let files = unit.line_program.as_ref().map_or(0, |program| {
        let header = program.header();
        header.file_names().len() + header.include_directories().len()
    });
    (abbreviations + files).saturating_mul(GROWTH)
}

/// The length of a table of abbreviations; `None` where it is too long, or an abbreviation in it is.
fn table_length(table: Reader<'_>) -> Option<usize> {
    let mut rest = table;
    loop {
        let read = table.len() - rest.len();
        if read > ABBREVIATIONS {
            return None;
        }
        // Behind what cannot be read, gimli reads nothing either.
        let Ok(1..) = rest.read_uleb128() else {
            return Some(read);
        };
        if rest.read_uleb128().and_then(|_| rest.read_u8()).is_err() {
            return Some(read);
        }
        for count in 0.. {
            let (Ok(name), Ok(form)) = (rest.read_uleb128(), rest.read_uleb128()) else {
                return Some(read);
            };
            if (name, form) == (0, 0) {
                break;
            }
            if count == ATTRIBUTES {
                return None;
            }
            if form == u64::from(constants::DW_FORM_implicit_const.0) && rest.read_sleb128().is_err() {
                return Some(read);
            }
        }
    }
}

/// The length that the header of a unit's line program claims.
fn line_header<'a>(dwarf: &Dwarf<Reader<'a>>, header: &UnitHeader<Reader<'a>>) -> Option<u64> {
    let abbreviations = dwarf.abbreviations(header).ok()?;
    let mut entries = header.entries_raw(&abbreviations, None).ok()?;
    let root = entries.read_abbreviation().ok()??;
    let mut attributes = Vec::new();
    entries.read_attributes(root.attributes(), &mut attributes).ok()?;
    let lines = attributes
        .iter()
        .find(|attribute| attribute.name() == constants::DW_AT_stmt_list)?;
    let at = match lines.value() {
        gimli::AttributeValue::DebugLineRef(at) => at.0,
        gimli::AttributeValue::SecOffset(at) => at,
        value => usize::try_from(value.udata_value()?).ok()?,
    };
    let mut program = *dwarf.debug_line.reader();
    program.skip(at).ok()?;
    let (length, format) = program.read_initial_length().ok()?;
    let version = program.read_u16().ok()?;
    if version >= 5 {
        // The sizes of an address and of a segment selector.
        program.skip(2).ok()?;
    }
    let claimed = program.read_length(format).ok()?;
    Some((claimed as u64).min(length as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::LittleEndian;

    fn length(table: &[u8]) -> Option<usize> {
        table_length(Reader::new(table, LittleEndian))
    }

    #[test]
    fn abbreviations() {
        // One with two attributes, one with none, the end, and what follows.
        let table = [1, 0x11, 1, 3, 8, 0x13, 5, 0, 0, 2, 0x24, 0, 0, 0, 0, 9, 9];
        assert_eq!(length(&table), Some(14));
        assert_eq!(length(&table[..6]), Some(0));
        assert_eq!(length(&[]), Some(0));
        // Constants in the table itself.
        assert_eq!(length(&[1, 0x24, 0, 0x0b, 0x21, 0x7f, 0, 0, 0]), Some(8));
        let many = |count: usize| {
            let mut table = vec![1, 0x24, 0];
            table.extend([3, 0x19].repeat(count));
            table.extend([0, 0, 0]);
            table
        };
        assert_eq!(length(&many(ATTRIBUTES)), Some(5 + 2 * ATTRIBUTES));
        assert_eq!(length(&many(ATTRIBUTES + 1)), None);
        let long = [1, 0x24, 0, 0, 0].repeat(ABBREVIATIONS);
        assert_eq!(length(&long), None);
    }

    #[test]
    fn budgets_end() {
        let budget = Budget::default();
        assert!(budget.keeps(KEPT) && !budget.keeps(1) && budget.keeps(KEPT - 1) && !budget.keeps(1));
        assert!(budget.takes(MADE) && budget.takes(0) && !budget.takes(1));
    }
}
