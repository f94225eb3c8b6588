//! `tests/coverage.md` names a test for everything that the language has, and every test that it names is there.
#![expect(clippy::unwrap_used, reason = "tests")]

use crumbs_compiler::reference::{Chapter, Entry, entries};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A row of the list.
struct Row {
    construct: String,
    kind: String,
    shown_by: Vec<String>,
}

fn path(parts: &[&str]) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR")].iter().chain(parts).collect()
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(path(&["tests", "coverage.md"])).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && *line != "| construct | kind | shown by |");
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [construct, kind, shown_by] = cells[..] else {
            panic!("not three cells: {line}");
        };
        Row {
            construct: construct.to_owned(),
            kind: kind.to_owned(),
            shown_by: shown_by.split("; ").map(str::to_owned).collect(),
        }
    };
    rows.map(row).collect()
}

/// The text of the test that a row names: all sections of a golden case, or the function. `None` where there is no such test.
fn text_of(test: &str) -> Option<String> {
    let function = |path: PathBuf, name: &str| {
        let text = fs::read_to_string(path).ok()?;
        let rest = text.split(&format!("#[test]\nfn {name}() {{")).nth(1)?;
        Some(rest.split("\n}\n").next()?.to_owned())
    };
    if let Some(test) = test.strip_prefix("live ") {
        let (file, name) = test.split_once("::")?;
        return function(path(&["tests", "live", &format!("{file}.rs")]), name);
    }
    let (file, name) = test.strip_prefix("unit ").unwrap_or(test).split_once(": ")?;
    if test.starts_with("unit ") {
        return function(path(&[file]), name);
    }
    let text = fs::read_to_string(path(&["tests", "golden", &format!("{file}.golden")])).ok()?;
    let cases = text.split("=== script ").skip(1);
    cases
        .filter_map(|case| case.split_once('\n'))
        .find(|(title, _)| *title == name)
        .map(|(_, case)| case.to_owned())
}

/// Whether a text has a name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (front, behind) = (&text[..at], &text[at + name.len()..]);
        !front.ends_with(is_part) && !behind.starts_with(is_part)
    })
}

/// The names under which an entry may stand in a test.
fn names(entry: &Entry) -> Vec<&'static str> {
    match entry.name {
        "argN" => vec!["arg0"],
        name => entry.aliases.iter().copied().chain([name]).collect(),
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let rows = rows();
    assert!(rows.len() > 300, "{} rows", rows.len());
    for row in rows {
        for test in &row.shown_by {
            // `through NAME` stands in front of a test that uses NAME, which uses what the row is about.
            let (through, test) = match test
                .strip_prefix("through `")
                .map(|rest| rest.split_once("` ").unwrap())
            {
                Some((name, test)) => (Some(name), test),
                None => (None, test.as_str()),
            };
            let text = text_of(test).unwrap_or_else(|| panic!("{}: there is no test {test}", row.construct));
            assert!(
                through.is_none_or(|name| mentions(&text, name)),
                "{}: {test}",
                row.construct
            );
        }
    }
}

#[test]
fn every_entry_of_the_tables_has_a_row_and_its_test_mentions_it() {
    let rows = rows();
    let mut wanted = BTreeSet::new();
    for entry in entries() {
        let kind = match entry.chapter {
            Chapter::Errors => "diagnostic",
            chapter => chapter.singular(),
        };
        let construct = format!("`{}`", entry.name);
        let row = rows
            .iter()
            .find(|row| row.construct == construct && row.kind == kind);
        let row = row.unwrap_or_else(|| panic!("no row says which test shows the {kind} {construct}"));
        let is_mentioned = row.shown_by.iter().any(|test| {
            let by_table = test.starts_with("unit ") || test.starts_with("through ");
            by_table
                || names(&entry)
                    .iter()
                    .any(|name| mentions(&text_of(test).unwrap_or_default(), name))
        });
        assert!(is_mentioned, "no test of the {kind} {construct} mentions it");
        wanted.insert((construct, kind.to_owned()));
    }
    for row in rows
        .into_iter()
        .filter(|row| !matches!(row.kind.as_str(), "syntax" | "behaviour"))
    {
        assert!(
            wanted.contains(&(row.construct.clone(), row.kind.clone())),
            "there is no {} {}",
            row.kind,
            row.construct
        );
    }
}
