//! `crumbs lib`: the probe library; its names for `crumbs run` and for shells.

use crate::cli::{Args, Stop};
use crate::{output, report};
use clap_complete::Shell;
use crumbs_compiler::similar::similar;
use crumbs_probe_library::{FAMILIES, SCRIPTS, Script, find, search};
use crumbs_runtime::backend::Error;
use std::io::{self, Write};
use std::path::Path;

/// The script that `crumbs run` is to run: one of the library, or none where the word names a file.
///
/// # Errors
/// When it names neither, which has been reported.
pub(crate) fn script(word: &str) -> Result<Option<&'static Script>, Stop> {
    match find(word) {
        Some(script) => Ok(Some(script)),
        None if word == "-" || Path::new(word).exists() => Ok(None),
        None => Err(unknown(word)),
    }
}

/// Answers `crumbs lib WORDS`.
///
/// # Errors
/// When the words make no sense, or something cannot be written.
pub(crate) fn write(words: &[String], args: &Args) -> Result<u8, Stop> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["list"] => output::write(args, list),
        ["search", word] => {
            let found = search(word);
            if found.is_empty() {
                report::message(&format!("no script of the library is about `{word}`"));
                return Err(Stop::Failed);
            }
            output::write(args, |out| found.iter().try_for_each(|script| row(out, script)))
        }
        ["show", name] => {
            let script = find(name).ok_or_else(|| unknown(name))?;
            output::write(args, |out| writeln!(out, "{}: {}", script.name, script.header().markdown()))
        }
        ["export", name] => {
            let script = find(name).ok_or_else(|| unknown(name))?;
            output::write(args, |out| out.write_all(script.text.as_bytes()))
        }
        _ => Err(Stop::Usage(
            "its forms: crumbs lib, crumbs lib search WORD, crumbs lib show NAME, crumbs lib export NAME [-o FILE]".into(),
        )),
    }
}

/// All scripts by family.
fn list(out: &mut dyn Write) -> io::Result<()> {
    for (family, about) in FAMILIES {
        let mut scripts = SCRIPTS
            .iter()
            .filter(|script| script.family() == *family)
            .peekable();
        if scripts.peek().is_none() {
            continue;
        }
        writeln!(out, "{family}: {about}")?;
        scripts.try_for_each(|script| row(out, script))?;
        writeln!(out)?;
    }
    writeln!(
        out,
        "`crumbs lib show NAME` says more of one; `crumbs run NAME -c 'COMMAND'` runs it."
    )
}

fn row(out: &mut dyn Write, script: &Script) -> io::Result<()> {
    let width = SCRIPTS.iter().map(|script| script.name.len()).max().unwrap_or(0);
    writeln!(out, "  {:width$}  {}", script.name, script.header().question())
}

fn unknown(name: &str) -> Stop {
    // What follows the family is what people remember.
    let same = SCRIPTS
        .iter()
        .filter(|script| script.name.ends_with(&format!("/{name}")));
    let mut near: Vec<String> = same.map(|script| script.name.to_owned()).collect();
    if near.is_empty() {
        near = similar(name, SCRIPTS.iter().map(|script| script.name), 3);
    }
    report::failed(
        Error::new(format!("find `{name}`"), "the library has no such script")
            .help(report::there_is(&near, "`crumbs lib` lists what there is")),
    )
}

/// What completes the names of scripts behind `run`, `lib show` and `lib export`; nothing for shells that are told no more than
/// options.
pub(crate) fn completions(shell: Shell) -> String {
    let names: Vec<&str> = SCRIPTS.iter().map(|script| script.name).collect();
    let names = names.join(" ");
    match shell {
        Shell::Bash => format!(
            r#"
_crumbs_library() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} words=
    case "${{COMP_WORDS[1]}} $COMP_CWORD ${{COMP_WORDS[2]}}" in
        run\ *) [[ $cur == -* || ${{COMP_WORDS[COMP_CWORD-1]}} == -? ]] || words="{names}" ;;
        lib\ 2\ *) words="list search show export" ;;
        lib\ 3\ show | lib\ 3\ export) words="{names}" ;;
    esac
    if [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$cur")); else _crumbs "$@"; fi
}}
complete -F _crumbs_library -o bashdefault -o default crumbs
"#
        ),
        Shell::Fish => format!(
            "\ncomplete -c crumbs -n '__fish_seen_subcommand_from run' -f -a '{names}'\n\
             complete -c crumbs -n '__fish_seen_subcommand_from show export' -f -a '{names}'\n\
             complete -c crumbs -n '__fish_seen_subcommand_from lib' -f -a 'list search show export'\n"
        ),
        Shell::Zsh => format!(
            r#"
_crumbs_library() {{
    case "$words[2] $CURRENT $words[3]" in
        run\ 3\ *) compadd {names} ;;
        lib\ 3\ *) compadd list search show export ;;
        lib\ 4\ show | lib\ 4\ export) compadd {names} ;;
        *) _crumbs "$@" ;;
    esac
}}
compdef _crumbs_library crumbs
"#
        ),
        _ => String::new(),
    }
}
