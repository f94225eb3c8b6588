//! `crumbs doc NAME` and `crumbs explain CODE`: what a word of the language or a code means.

use crate::cli::{Args, Stop};
use crate::{output, report};
use crumbs_compiler::reference::{self, Chapter, Entry};
use crumbs_runtime::backend::Error;
use std::io::{self, Write};

/// Writes what is known of the words, or which words there are.
///
/// # Errors
/// When one is not known or it cannot be written, which has been reported.
pub(crate) fn write(words: &[String], args: &Args) -> Result<u8, Stop> {
    let mut found = Vec::new();
    for word in words {
        let entries = reference::find(word);
        if entries.is_empty() {
            return Err(unknown(word));
        }
        found.extend(entries);
    }
    output::write(args, |out| match words.is_empty() {
        true => contents(out),
        false => found.iter().try_for_each(|entry| show(out, entry)),
    })
}

/// The names of each chapter.
fn contents(out: &mut dyn Write) -> io::Result<()> {
    let all = reference::entries();
    for chapter in Chapter::ALL {
        let names = all.iter().filter(|entry| entry.chapter == chapter);
        let names: Vec<&str> = names.map(|entry| entry.name).collect();
        writeln!(out, "{}: {}\n", chapter.page(), names.join(" "))?;
    }
    writeln!(out, "`crumbs doc NAME` says what one of them means.")
}

fn show(out: &mut dyn Write, entry: &Entry) -> io::Result<()> {
    let kind = entry.chapter.singular();
    let also = match entry.aliases {
        [] => String::new(),
        aliases => format!(" (also {})", aliases.join(", ")),
    };
    match entry.chapter {
        Chapter::Errors => writeln!(out, "{}: {}\n\n{}", entry.name, entry.form, entry.doc)?,
        Chapter::Config => {
            let default = if entry.form.is_empty() {
                "nothing"
            } else {
                &entry.form
            };
            writeln!(
                out,
                "{}: {kind}, {default} unless set\n\n{}",
                entry.name, entry.doc
            )?;
        }
        _ => writeln!(
            out,
            "{}: {kind}{also}\n\n    {}\n\n{}",
            entry.name, entry.form, entry.doc
        )?,
    }
    if !entry.example.is_empty() {
        writeln!(out, "\nExample:")?;
        for line in entry.example.trim_end().lines() {
            writeln!(out, "    {line}")?;
        }
    }
    writeln!(out)
}

fn unknown(word: &str) -> Stop {
    let all = "`crumbs doc` lists what there is; `crumbs list` lists what can be traced";
    report::failed(
        Error::new(format!("explain `{word}`"), "the language has no such word")
            .help(report::there_is(&reference::near(word), all)),
    )
}
