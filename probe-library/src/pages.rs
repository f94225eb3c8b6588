//! The documentation of the library as Markdown pages: an index, and a page for each family.

use crate::{FAMILIES, SCRIPTS, Script};
use std::fmt::Write;

/// The scripts of a family.
fn scripts(family: &str) -> impl Iterator<Item = &'static Script> {
    SCRIPTS.iter().filter(move |script| script.family() == family)
}

/// The page that lists all scripts.
pub fn index() -> String {
    let mut out = "# The probe library\n\n\
        Scripts that come with crumbs. `crumbs run NAME -c 'COMMAND'` runs one around a command and all that it starts, \
        `crumbs run NAME -p PID` on a process, `crumbs run NAME` on the whole machine until Ctrl-C. Parameters follow `--`: \
        `crumbs run posix/small -c ./app -- --below=65536`. `crumbs lib` lists them, `crumbs lib search WORD` finds, \
        `crumbs lib show NAME` explains, `crumbs lib export NAME` writes one out for changing.\n"
        .to_owned();
    for (family, about) in FAMILIES {
        let mut rows = scripts(family).peekable();
        if rows.peek().is_none() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\n## [{family}]({family}.md): {about}\n\n| script | answers |\n|---|---|\n"
        );
        for script in rows {
            let anchor: String = script.name.chars().filter(|c| *c != '/').collect();
            let name = script.name;
            let _ = writeln!(
                out,
                "| [`{name}`]({family}.md#{anchor}) | {} |",
                script.header().question()
            );
        }
    }
    out
}

/// The page of a family; nothing where it has no scripts.
pub fn page(family: &str) -> Option<String> {
    let about = FAMILIES.iter().find(|(name, _)| *name == family)?.1;
    let mut rows = scripts(family).peekable();
    rows.peek()?;
    let mut out = format!("# {family}\n\n{about}\n");
    for script in rows {
        let text = script.header().markdown();
        // Titles of a script's sections are one level below that of the script.
        let text = text.replace("\n## ", "\n### ");
        let (question, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let _ = write!(out, "\n## {}\n\n**{question}**\n{rest}\n", script.name);
    }
    Some(out)
}
