//! What the command line tells at a glance.
//!
//! In: the words of the command line. Out: whether it certainly runs a script given with -e that has probes on user code.
//! The first of them waits for a grace period of the kernel ([`crumbs_runtime::kernel::attach::warm_up`]), which is most of
//! the time until a short script is attached; it can begin before clap has read the command line.

use crumbs_compiler::probe_kind;
use std::ffi::OsString;

/// Options that a script can be run with and that take no value.
const PLAIN: &[&str] = &["-q", "--quiet", "-v", "--verbose", "--unsafe", "--no-warnings"];

/// The same, for options whose value is the next word or stands behind `=`.
const WITH_VALUE: &[&str] = &[
    "-c",
    "--cmd",
    "-p",
    "--pid",
    "-o",
    "--output",
    "-f",
    "--format",
    "-B",
    "--follow",
    "--ready-fd",
];

/// Whether the command line, whose first word is the program, runs a script that is given with -e and has such probes. Where
/// anything is not plain it is `false`: then whoever reads the command line decides.
pub(crate) fn traces_user_code(words: impl Iterator<Item = OsString>) -> bool {
    let mut words = words.skip(1);
    let mut has_such_probes = false;
    while let Some(word) = words.next() {
        let Some(word) = word.to_str() else { return false };
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        if word == "--" {
            break;
        } else if word == "-e" {
            let script = words.next();
            let text = script.as_ref().and_then(|script| script.to_str());
            has_such_probes |= text.is_some_and(probe_kind::mentions_user_code);
        } else if WITH_VALUE.contains(&word) {
            words.next();
        } else if word.starts_with('-')
            && !PLAIN.contains(&word)
            && !(name.starts_with("--") && WITH_VALUE.contains(&name))
        {
            return false;
        }
    }
    has_such_probes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "uprobe:libc:write { @ = count(); }";

    fn tells(words: &[&str]) -> bool {
        let words = std::iter::once("crumbs").chain(words.iter().copied());
        traces_user_code(words.map(OsString::from))
    }

    #[test]
    fn runs_of_scripts_with_probes_on_user_code() {
        assert!(tells(&["-e", SCRIPT]));
        assert!(tells(&[
            "-q",
            "--ready-fd",
            "1",
            "-e",
            SCRIPT,
            "-c",
            "ls -l",
            "parameter"
        ]));
        assert!(tells(&["--format=json", "-e", SCRIPT, "--", "-d", "asm"]));
    }

    #[test]
    fn all_else_is_left_to_whoever_reads_the_command_line() {
        assert!(!tells(&[]));
        assert!(!tells(&["script.bt"]));
        assert!(!tells(&["-e"]));
        assert!(!tells(&["-e", "begin { exit() }"]));
        assert!(!tells(&["-c", SCRIPT, "-e", "begin { exit() }"]));
        assert!(!tells(&["--", "-e", SCRIPT]));
        for option in [
            "-d",
            "--dry-run",
            "-l",
            "-qd",
            "--mode=codegen",
            "--no-feature",
            "-h",
            "--test",
        ] {
            assert!(!tells(&["-e", SCRIPT, option]), "{option}");
        }
    }

    #[test]
    fn every_option_is_one() {
        use clap::CommandFactory;
        let command = crate::cli::Args::command();
        let takes_value = |word: &str| {
            let is_it = |argument: &&clap::Arg| {
                let long = argument.get_long().map(|long| format!("--{long}"));
                let short = argument.get_short().map(|short| format!("-{short}"));
                long.as_deref() == Some(word) || short.as_deref() == Some(word)
            };
            let found = command.get_arguments().find(is_it)?;
            Some(found.get_action().takes_values())
        };
        for word in PLAIN {
            assert_eq!(takes_value(word), Some(false), "{word}");
        }
        for word in WITH_VALUE {
            assert_eq!(takes_value(word), Some(true), "{word}");
        }
    }
}
