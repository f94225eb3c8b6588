//! What there is in the language, read from the slices that declare it: for `crumbs doc`, completions and the pages under
//! `docs/reference`.
//!
//! In: the slices. Out: entries, and the pages that are made of them. Nothing is said of a feature here that its row does not
//! say itself.

use crate::aggregation::{self, Aggregation};
use crate::similar::similar;
use crate::{builtin, codes, config, function, probe_kind, probe_value};
use crumbs_grammar::diagnostic::Code;
use std::fmt::Write;

/// A part of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    /// Kinds of probe.
    Probes,
    /// Builtin values.
    Values,
    /// Functions and shipped macros.
    Functions,
    /// Aggregations.
    Aggregations,
    /// Config variables.
    Config,
    /// Mistakes and warnings.
    Errors,
}

impl Chapter {
    /// Every chapter, in order.
    pub const ALL: [Self; 6] = [
        Self::Probes,
        Self::Values,
        Self::Functions,
        Self::Aggregations,
        Self::Config,
        Self::Errors,
    ];

    /// The name of its page, without an ending.
    pub fn page(self) -> &'static str {
        match self {
            Self::Probes => "probes",
            Self::Values => "values",
            Self::Functions => "functions",
            Self::Aggregations => "aggregations",
            Self::Config => "config",
            Self::Errors => "errors",
        }
    }

    /// What an entry of it is.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Probes => "kind of probe",
            Self::Values => "value",
            Self::Functions => "function",
            Self::Aggregations => "aggregation",
            Self::Config => "config variable",
            Self::Errors => "mistake",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Probes => "Kinds of probe",
            Self::Values => "Values",
            Self::Functions => "Functions",
            Self::Aggregations => "Aggregations",
            Self::Config => "Config variables",
            Self::Errors => "Mistakes and warnings",
        }
    }

    fn introduction(self) -> &'static str {
        match self {
            Self::Probes => {
                "An attach point says where a script runs. `crumbs list 'KIND:*'` lists what there is on a machine."
            }
            Self::Values => {
                "Words that have a value wherever a program runs, or in the kinds of probe that have it."
            }
            Self::Functions => {
                "What can be called. Those without parameters can be written without parentheses."
            }
            Self::Aggregations => {
                "`@name = count()` or `@name[key] = hist(value)`: a map that holds what many events give together, exact on any \
                 number of CPUs."
            }
            Self::Config => {
                "Set in a script, `config = { name = value; … }`, or in the environment, as `CRUMBS_NAME` or `BPFTRACE_NAME`, \
                 which wins."
            }
            Self::Errors => "Every mistake has a code. `crumbs explain CODE` shows what stands here.",
        }
    }

    fn columns(self) -> [&'static str; 3] {
        match self {
            Self::Probes | Self::Functions | Self::Aggregations => ["name", "form", "meaning"],
            Self::Values => ["name", "type", "meaning"],
            Self::Config => ["name", "unless set", "meaning"],
            Self::Errors => ["code", "mistake", "meaning"],
        }
    }
}

/// A word of the language, or a code.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it belongs.
    pub chapter: Chapter,
    /// What it is called.
    pub name: &'static str,
    /// Shorter names for the same.
    pub aliases: &'static [&'static str],
    /// How it is written, its type, its default, or the mistake in a few words, as the chapter has it.
    pub form: String,
    /// What it means.
    pub doc: &'static str,
    /// A script that uses it, or has the mistake; may be empty.
    pub example: &'static str,
}

/// Every entry, chapter by chapter, in the order of the slices.
pub fn entries() -> Vec<Entry> {
    let entry = |chapter, name, form: String, doc, example| Entry {
        chapter,
        name,
        aliases: &[],
        form,
        doc,
        example,
    };
    let kinds = probe_kind::ALL.iter().map(|kind| Entry {
        chapter: Chapter::Probes,
        name: kind.name(),
        aliases: kind.words().aliases,
        form: kind.words().syntax.to_owned(),
        doc: kind.words().doc,
        example: kind.words().example,
    });
    let builtins = builtin::ALL.iter().map(|row| {
        entry(
            Chapter::Values,
            row.name,
            row.ty.to_string(),
            row.doc,
            row.example,
        )
    });
    let values = probe_value::ALL.iter().map(|row| {
        entry(
            Chapter::Values,
            row.name,
            "by the probe".to_owned(),
            row.doc,
            row.example,
        )
    });
    let functions = function::ALL.iter().map(|row| {
        entry(
            Chapter::Functions,
            row.name,
            row.syntax.to_owned(),
            row.doc,
            row.example,
        )
    });
    let macros = crate::expand::prelude::ALL.iter().map(|row| {
        entry(
            Chapter::Functions,
            row.name,
            row.syntax.to_owned(),
            row.doc,
            row.example,
        )
    });
    let aggregations = aggregation::ALL.iter().map(|row| {
        entry(
            Chapter::Aggregations,
            row.name(),
            call(*row),
            row.doc(),
            row.example(),
        )
    });
    let variables = config::ALL
        .iter()
        .map(|row| entry(Chapter::Config, row.name, row.default.to_owned(), row.doc, ""));
    kinds
        .chain(builtins)
        .chain(values)
        .chain(functions)
        .chain(macros)
        .chain(aggregations)
        .chain(variables)
        .chain(mistakes())
        .collect()
}

/// Every code, in order.
fn mistakes() -> Vec<Entry> {
    let mut mistakes: Vec<&Code> = crumbs_grammar::codes::ALL
        .iter()
        .chain(codes::ALL)
        .copied()
        .collect();
    mistakes.sort_unstable_by_key(|code| code.id);
    let entry = |code: &Code| Entry {
        chapter: Chapter::Errors,
        name: code.id,
        aliases: &[],
        form: code.title.to_owned(),
        doc: code.explanation,
        example: code.example,
    };
    mistakes.into_iter().map(entry).collect()
}

/// How an aggregation is called: `lhist(value, min, max, step)`.
fn call(aggregation: &dyn Aggregation) -> String {
    let signature = aggregation.signature();
    let mut arguments: Vec<String> = Vec::new();
    let mut left_out = 0;
    let mut argument = |name: &str, may_be_left_out: bool| {
        let comma = if arguments.is_empty() { "" } else { ", " };
        left_out += usize::from(may_be_left_out);
        let open = if may_be_left_out { "[" } else { "" };
        arguments.push(format!("{open}{comma}{name}"));
    };
    if signature.takes_value {
        argument("value", false);
    }
    for (name, default) in signature.params {
        argument(name, default.is_some());
    }
    if let Some((name, _)) = signature.choice {
        argument(name, true);
    }
    if signature.takes_weight {
        argument("weight", true);
    }
    format!(
        "{}({}{})",
        aggregation.name(),
        arguments.concat(),
        "]".repeat(left_out)
    )
}

/// The entries that a word means: those of this name, in any case and also by an alias.
pub fn find(word: &str) -> Vec<Entry> {
    let is_meant = |name: &str| name.eq_ignore_ascii_case(word);
    let exact = |entry: &Entry| entry.name == word || entry.aliases.contains(&word);
    let all = entries();
    let found: Vec<Entry> = all.iter().filter(|entry| exact(entry)).cloned().collect();
    if !found.is_empty() {
        return found;
    }
    all.into_iter().filter(|entry| is_meant(entry.name)).collect()
}

/// Names that a word may have been meant for, best first.
pub fn near(word: &str) -> Vec<String> {
    similar(word, entries().iter().map(|entry| entry.name), 5)
}

/// The page of a chapter, as Markdown.
pub fn page(chapter: Chapter) -> String {
    let mut out = format!("# {}\n\n{}\n\n", chapter.title(), chapter.introduction());
    // Writing to a string does not fail.
    let _ = writeln!(out, "| {} |\n|---|---|---|", chapter.columns().join(" | "));
    let all = entries();
    let rows = || all.iter().filter(|entry| entry.chapter == chapter);
    for row in rows() {
        let names = [row.name].into_iter().chain(row.aliases.iter().copied());
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let form = match chapter {
            Chapter::Errors => row.form.clone(),
            _ if row.form.is_empty() => String::new(),
            _ => format!("`{}`", row.form),
        };
        let cells = [names.join(" "), form, row.doc.to_owned()].map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    let examples: Vec<String> = rows()
        .filter(|row| !row.example.is_empty())
        .map(|row| match chapter {
            Chapter::Errors => format!("// {}\n{}", row.name, row.example.trim_end()),
            _ => row.example.to_owned(),
        })
        .collect();
    if !examples.is_empty() {
        let _ = write!(out, "\n## Examples\n\n```\n{}\n```\n", examples.join("\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Chapter, entries, find, page};

    #[test]
    fn every_entry_says_what_it_is() {
        for entry in entries() {
            // A variable may be empty unless it is set.
            let has_form = !entry.form.is_empty() || entry.chapter == Chapter::Config;
            assert!(
                !entry.name.is_empty() && has_form && !entry.doc.is_empty(),
                "{entry:?}"
            );
        }
        for chapter in Chapter::ALL {
            assert!(
                entries().iter().any(|entry| entry.chapter == chapter),
                "{chapter:?}"
            );
        }
    }

    #[test]
    fn words_are_found_by_name_alias_and_in_any_case() {
        let names = |word: &str| -> Vec<&str> { find(word).iter().map(|entry| entry.name).collect() };
        assert_eq!(names("u"), ["uprobe"]);
        assert_eq!(names("e0111"), ["E0111"]);
        assert_eq!(names("BEGIN"), ["begin"]);
        assert!(names("no_such_word").is_empty());
        // A value with a choice is a function as well.
        assert_eq!(find("pid").len(), 2);
    }

    #[test]
    fn calls_of_aggregations_are_written_from_their_signatures() {
        let form = |name: &str| find(name)[0].form.clone();
        assert_eq!(form("count"), "count()");
        assert_eq!(form("sum"), "sum(value)");
        assert!(
            form("lhist").starts_with("lhist(value, min, max, step"),
            "{}",
            form("lhist")
        );
    }

    #[test]
    fn a_table_has_its_columns_in_every_row() {
        for chapter in Chapter::ALL {
            let page = page(chapter);
            let rows = page.lines().filter(|line| line.starts_with('|'));
            for row in rows {
                assert_eq!(row.replace("\\|", "").matches('|').count(), 4, "{row}");
            }
        }
    }
}
