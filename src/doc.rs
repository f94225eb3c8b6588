//! `crumbs doc NAME` and `crumbs explain CODE`: what a word of the language or a code means.

use crate::cli::{Args, Stop};
use crate::{compile, report};
use crumbs_compiler::reference::{self, Chapter, Entry};
use std::io::{self, ErrorKind, Write};

/// Writes what is known of the words, or which words there are.
///
/// # Errors
/// When one is not known or it cannot be written, which has been reported.
pub(crate) fn write(words: &[String], args: &Args) -> Result<u8, Stop> {
    let mut out = compile::output(args)?;
    let written = if words.is_empty() {
        contents(&mut out)
    } else {
        let mut shown = Ok(());
        for word in words {
            let found = reference::find(word);
            if found.is_empty() {
                return Err(unknown(word));
            }
            shown = shown.and_then(|()| found.iter().try_for_each(|entry| show(&mut out, entry)));
        }
        shown
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            report::message(&format!("error: cannot write the output: {error}"));
            Err(Stop::Failed)
        }
        _ => Ok(0),
    }
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
    report::message(&format!("error: the language has no `{word}`"));
    let near = reference::near(word);
    report::message(&match near.is_empty() {
        true => {
            "  = help: `crumbs doc` lists what there is; `crumbs list` lists what can be traced".to_owned()
        }
        false => format!("  = help: there is {}", near.join(", ")),
    });
    Stop::Failed
}
