//! `crumbs -l`: what can be traced, and what a script traces.

use crate::cli::{Args, Stop};
use crate::compile;
use crate::output;
use crate::report;
use crumbs_compiler::probe_kind::iter;
use crumbs_compiler::target::TargetError;
use crumbs_runtime::backend::Error;
use crumbs_runtime::host::{HostOptions, HostTarget};
use std::path::Path;

/// Indentation of what stands below a name.
const INDENT: &str = "    ";
/// The words that name a type.
const TYPES: [&str; 3] = ["struct", "union", "enum"];

/// Lists attach points: those that match a pattern, those of a script, or all.
///
/// # Errors
/// When nothing matches or something cannot be read, which has been reported.
pub(crate) fn list(args: &Args) -> Result<u8, Stop> {
    let target = HostTarget::new(HostOptions {
        pid: args.pid,
        debug_directories: args.bpftrace.debug_directories(),
        ..HostOptions::from_environment()
    });
    let pattern = match args.words.as_slice() {
        [] => "*",
        [pattern] => pattern.as_str(),
        [_, second, ..] => {
            return Err(Stop::Usage(format!(
                "-l takes one pattern or script; separate patterns by commas (what is `{second}`?)"
            )));
        }
    };
    if args.program.is_some() || is_script(pattern) {
        let names = compile::places(&compile::source(args)?, args, &target)?;
        return show(args, &target, &names);
    }
    if let Some((keyword, name)) = type_name(pattern) {
        let found = target.list_types(keyword, name, args.verbose);
        let found = found.map_err(|error| failed(pattern, error))?;
        return output::write(args, |out| {
            found.iter().try_for_each(|text| writeln!(out, "{text}"))
        });
    }
    if pattern.contains('.') && !pattern.contains([':', '*']) {
        report::message(&format!(
            "warning: there is no file `{pattern}`, so it is taken for a pattern"
        ));
    }
    let found = target.list(pattern).map_err(|error| failed(pattern, error))?;
    show(args, &target, &found)
}

/// Whether a word names a script rather than a pattern.
fn is_script(word: &str) -> bool {
    word == "-" || Path::new(word).is_file()
}

/// The keyword and the name of `struct NAME`.
fn type_name(pattern: &str) -> Option<(&str, &str)> {
    let (keyword, name) = pattern.split_once(' ')?;
    TYPES.contains(&keyword).then_some((keyword, name.trim()))
}

fn show(args: &Args, target: &HostTarget, names: &[String]) -> Result<u8, Stop> {
    output::write(args, |out| {
        for name in names {
            writeln!(out, "{name}")?;
            for line in arguments(target, name, args.verbose) {
                writeln!(out, "{INDENT}{line}")?;
            }
        }
        Ok(())
    })
}

/// What programs find at a place, a line each.
fn arguments(target: &HostTarget, name: &str, wanted: bool) -> Vec<String> {
    let found = match name.split(':').collect::<Vec<_>>()[..] {
        _ if !wanted => return Vec::new(),
        ["tracepoint", category, event] => target.list_fields(category, event),
        [kind @ ("fentry" | "fexit"), module, function] => {
            target.list_parameters(module, function, kind == "fexit")
        }
        ["uprobe", binary, function] => return of_function(target, binary, function),
        ["rawtracepoint", module, event] => target.list_raw_arguments(module, event),
        ["iter", list] => target.list_parameters("vmlinux", &format!("{}{list}", iter::FUNCTION), false),
        ["kprobe", function] => target.list_parameters("vmlinux", function, false),
        _ => return Vec::new(),
    };
    found.unwrap_or_default()
}

/// The parameters of a function, and where it is probed, if not always at its first instruction.
fn of_function(target: &HostTarget, binary: &str, function: &str) -> Vec<String> {
    let mut lines = target.list_described(binary, function).unwrap_or_default();
    if let Some(bytes) = target.list_cheapest(binary, function) {
        lines.push(format!("(at +{bytes} where only register arguments are read)"));
    }
    lines
}

fn failed(pattern: &str, error: TargetError) -> Stop {
    report::failed(match error {
        TargetError::NotFound { similar, .. } => {
            let all = "`crumbs list` lists what there is, `crumbs list 'KIND:*'` what there is of a kind";
            Error::new(
                format!("list `{pattern}`"),
                "nothing that can be traced matches it",
            )
            .help(report::there_is(&similar, all))
        }
        TargetError::Unreadable { what, reason, help } => {
            Error::new(format!("read {what}"), reason).help(help)
        }
    })
}
