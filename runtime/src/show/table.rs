//! Maps side by side.
//!
//! In: the elements of each map, as read. Out: a [`Table`] whose rows are in the order to show them, and its text: numbers
//! in columns as wide as they need, the keys, which may be long, behind them.

use super::{Content, Entry, measure};
use crate::value::Value;
use crumbs_compiler::view::Measure;
use std::collections::BTreeMap;

/// Maps side by side.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What keys are called; empty where the script does not say.
    pub keys: String,
    /// The maps.
    pub columns: Vec<Column>,
    /// A row for each key.
    pub rows: Vec<Row>,
}

/// A map of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name with its sigil.
    pub name: String,
    /// What its numbers are in.
    pub measure: Measure,
    /// Whether a key that it does not have stands for 0: it counts or adds up.
    pub absent_is_zero: bool,
}

/// What the maps hold under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Value,
    /// A number for each column; `None` where the map has no such key, which does not stand for 0.
    pub numbers: Vec<Option<i128>>,
}

impl Table {
    /// Puts the elements of the columns, in their order, together by what their keys look like; sorts and cuts.
    pub fn new(keys: String, columns: Vec<(Column, Vec<Entry>)>, top: u32) -> Self {
        let absent: Vec<Option<i128>> = columns
            .iter()
            .map(|(column, _)| column.absent_is_zero.then_some(0))
            .collect();
        let mut rows: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
        let mut kept = Vec::new();
        for (at, (column, entries)) in columns.into_iter().enumerate() {
            kept.push(column);
            for entry in entries {
                let Some(key) = entry.key else { continue };
                let mut text = Vec::new();
                key.write_key(&mut text);
                let row = rows.entry(text).or_insert_with(|| Row {
                    key,
                    numbers: absent.clone(),
                });
                row.numbers[at] = number(&entry.value);
            }
        }
        let mut rows: Vec<Row> = rows.into_values().collect();
        rows.sort_by(|a, b| {
            let first = |row: &Row| row.numbers.first().copied().flatten();
            first(b).cmp(&first(a)).then_with(|| a.key.key_order(&b.key))
        });
        if top != 0 {
            rows.truncate(top as usize);
        }
        Self {
            keys,
            columns: kept,
            rows,
        }
    }

    /// Its lines: a heading, then the rows; nothing where there are none.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.rows.is_empty() {
            return out;
        }
        let cells: Vec<Vec<String>> = self.rows.iter().map(|row| self.cells(row)).collect();
        let widths = self.columns.iter().enumerate().map(|(at, column)| {
            let widest = cells.iter().map(|row| row[at].chars().count()).max();
            column.name.chars().count().max(widest.unwrap_or(0))
        });
        let widths: Vec<usize> = widths.collect();
        let line = |cells: &mut dyn Iterator<Item = &str>, key: &[u8], out: &mut Vec<u8>| {
            for (cell, width) in cells.zip(&widths) {
                out.extend_from_slice(format!("{cell:>width$}  ").as_bytes());
            }
            out.extend_from_slice(key);
            while out.last() == Some(&b' ') {
                out.pop();
            }
            out.push(b'\n');
        };
        let names = &mut self.columns.iter().map(|column| column.name.as_str());
        line(names, self.keys.as_bytes(), &mut out);
        for (row, cells) in self.rows.iter().zip(&cells) {
            let mut key = Vec::new();
            row.key.write_key(&mut key);
            line(&mut cells.iter().map(String::as_str), &key, &mut out);
        }
        out
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let shown = |(number, column): (&Option<i128>, &Column)| match number {
            Some(number) => measure::whole(*number, &column.measure),
            None => "-".to_owned(),
        };
        row.numbers.iter().zip(&self.columns).map(shown).collect()
    }
}

/// The number that an element holds.
fn number(content: &Content) -> Option<i128> {
    match content {
        Content::Value(value) => value.number(),
        Content::Number(number) | Content::Average(number) => Some(*number),
        Content::Stats { average, .. } => Some(*average),
        Content::Parts(_) | Content::Fields(_) | Content::Series(_) | Content::Histogram { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::{Column, Table};
    use crate::show::{Content, Entry};
    use crate::value::Value;
    use crumbs_compiler::view::{Measure, Unit};

    fn column(name: &str, unit: Option<Unit>, elements: &[(&str, i128)]) -> (Column, Vec<Entry>) {
        let measure = Measure {
            unit,
            per_second: false,
        };
        let entries = elements.iter().map(|(key, number)| Entry {
            key: Some(Value::Str(key.as_bytes().to_vec())),
            value: Content::Number(*number),
        });
        let column = Column {
            name: name.to_owned(),
            measure,
            absent_is_zero: name != "@least",
        };
        (column, entries.collect())
    }

    #[test]
    fn rows_are_of_every_key_and_sorted_by_the_first_column() {
        let columns = || {
            vec![
                column("@bytes", Some(Unit::Bytes), &[("a", 2048), ("b", 5_000_000)]),
                column("@calls", None, &[("c", 7), ("b", 1_000_000)]),
                column("@least", None, &[("b", 3)]),
            ]
        };
        let text = |top| String::from_utf8(Table::new("file".into(), columns(), top).text()).unwrap();
        assert_eq!(
            text(0),
            "  @bytes   @calls  @least  file\n\
             4.77 MiB  1000000       3  b\n\
             2.00 KiB        0       -  a\n     \
                  0 B        7       -  c\n"
        );
        assert_eq!(text(1).lines().count(), 2);
        assert!(Table::new(String::new(), Vec::new(), 0).text().is_empty());
    }
}
