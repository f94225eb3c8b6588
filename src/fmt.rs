//! `crumbs --fmt`: a script in its standard form.

use crate::cli::{Args, Stop};
use crate::{compile, output, report};
use crumbs_grammar::format::format;
use crumbs_grammar::source::Sources;
use std::io::{self, Write};
use std::path::Path;

/// Writes the script to standard output, or to the file of `-o`, which may be the script itself: it is replaced at once.
///
/// # Errors
/// When the script has mistakes or something cannot be read or written, which has been reported.
pub(crate) fn write(args: &Args) -> Result<u8, Stop> {
    let source = compile::source(args)?;
    let text = format(&source.text).map_err(|mistakes| {
        report::diagnostics(&Sources::new(&source.name, &source.text), &mistakes);
        Stop::Failed
    })?;
    let written = match args.output() {
        Some(path) => replace(path, &text),
        None => io::stdout().write_all(text.as_bytes()),
    };
    output::all(written)
}

/// Writes a file that is either as it was or complete, also where writing fails half way.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    // A new file: nobody can have put a link in its place.
    let draft = std::fs::File::create_new(&name)?;
    let written = (&draft).write_all(text.as_bytes()).and_then(|()| {
        // What may be run stays so.
        if let Ok(known) = std::fs::metadata(path) {
            std::fs::set_permissions(&name, known.permissions())?;
        }
        std::fs::rename(&name, path)
    });
    if written.is_err() {
        // Of two failures the first is told.
        let _ = std::fs::remove_file(&name);
    }
    written
}
