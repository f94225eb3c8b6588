//! Lines of source: which instructions they became.
//!
//! In: the end of a path, a line, perhaps a column. Out: addresses where statements of that line begin.

use super::info::{Info, Reader};
use gimli::{ColumnType, IncompleteLineProgram, Unit};

/// The most rows of line programs that are looked at: those of the largest programs have some ten million. (A hostile
/// program's rows are many, because one byte makes one.)
pub(super) const MAX_ROWS: u64 = 1 << 28;

/// What is looked for.
pub(super) struct Wanted<'w> {
    /// The path's end, of whole components.
    pub file: &'w str,
    pub line: u64,
    pub column: Option<u64>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Addresses, ascending.
    pub addresses: Vec<u64>,
    /// Whether there is a file of that name.
    pub has_file: bool,
    /// The next line of it that has code.
    pub next: Option<u64>,
}

impl<'a> Info<'a> {
    /// Where statements of a line begin, each time that the code comes to it from another line.
    pub(super) fn line(&self, wanted: &Wanted<'_>) -> Found {
        let mut found = Found::default();
        let mut budget = MAX_ROWS;
        for index in 0..self.unit_count() {
            let Some(unit) = self.unit(index) else { continue };
            if let Some(program) = unit.line_program.clone() {
                self.line_of_unit(&unit, program, wanted, &mut found, &mut budget);
            }
        }
        found.addresses.sort_unstable();
        found.addresses.dedup();
        found
    }

    fn line_of_unit(
        &self,
        unit: &Unit<Reader<'a>>,
        program: IncompleteLineProgram<Reader<'a>>,
        wanted: &Wanted<'_>,
        found: &mut Found,
        budget: &mut u64,
    ) {
        let files = self.files_called(unit, &program, wanted.file);
        if files.is_empty() {
            return;
        }
        found.has_file = true;
        let mut rows = program.rows();
        let mut was_wanted = false;
        while let Ok(Some((_, row))) = rows.next_row() {
            let Some(left) = budget.checked_sub(1) else {
                return;
            };
            *budget = left;
            if left.is_multiple_of(1 << 16) && !self.has_time() {
                return;
            }
            let line = row.line().map_or(0, std::num::NonZero::get);
            let is_code = files.contains(&row.file_index()) && !row.end_sequence();
            let column = match row.column() {
                ColumnType::LeftEdge => 0,
                ColumnType::Column(column) => column.get(),
            };
            let is_column = wanted.column.is_none_or(|wanted| wanted == column);
            let is_wanted = is_code && line == wanted.line && is_column;
            // Linkers leave the lines of removed functions at address 0.
            if is_wanted && !was_wanted && row.is_stmt() && row.address() != 0 {
                found.addresses.push(row.address());
            }
            was_wanted = is_wanted && (was_wanted || row.is_stmt());
            if is_code && line > wanted.line {
                found.next = Some(found.next.map_or(line, |next| next.min(line)));
            }
        }
    }

    /// The numbers of the files of a line program whose path ends so.
    fn files_called(
        &self,
        unit: &Unit<Reader<'a>>,
        program: &IncompleteLineProgram<Reader<'a>>,
        wanted: &str,
    ) -> Vec<u64> {
        let header = program.header();
        let count = header.file_names().len() as u64;
        let text = |value| {
            let text = self.dwarf.attr_string(unit, value).ok()?.slice();
            (text.len() <= MAX_PATH).then(|| String::from_utf8_lossy(text).into_owned())
        };
        let path = |number: u64| {
            let file = header.file(number)?;
            let name = text(file.path_name())?;
            if name.starts_with('/') {
                return Some(name);
            }
            match file.directory(header).and_then(text) {
                Some(directory) => Some(format!("{directory}/{name}")),
                None => Some(name),
            }
        };
        // Version 5 counts from 0, those before from 1.
        let called = |number: &u64| path(*number).is_some_and(|path| ends_with(&path, wanted));
        (0..=count).filter(called).collect()
    }
}

/// Paths longer than the kernel's are not looked at.
pub(super) const MAX_PATH: usize = 4096;

/// Whether the last components of a path are those of `wanted`.
fn ends_with(path: &str, wanted: &str) -> bool {
    let components = |text: &'_ str| -> Vec<String> {
        let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect()
    };
    let (path, wanted) = (components(path), components(wanted));
    !wanted.is_empty() && path.ends_with(&wanted)
}

#[cfg(test)]
mod tests {
    use super::ends_with;

    #[test]
    fn paths_are_compared_by_components() {
        assert!(ends_with("/src/lib/a.c", "a.c"));
        assert!(ends_with("/src/./lib/a.c", "lib/a.c"));
        assert!(ends_with("/src/lib/a.c", "/src/lib/a.c"));
        assert!(!ends_with("/src/lib/aa.c", "a.c"));
        assert!(!ends_with("/src/lib/a.c", "src/a.c"));
        assert!(!ends_with("/src/lib/a.c", ""));
    }
}
