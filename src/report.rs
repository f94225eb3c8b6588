//! What goes to standard error: diagnostics with the script's text, and errors of the machine.

use crate::cli::Stop;
use codespan_reporting::term::termcolor::{ColorChoice, StandardStream};
use crumbs::render;
use crumbs_compiler::codes;
use crumbs_compiler::plan::{Attach, Plan, UprobePlace};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::Span;
use crumbs_runtime::backend::Error;
use crumbs_runtime::kernel::reject::Rejection;
use crumbs_runtime::show::screen::guarded_text;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Colour only on a terminal, and never against the user's `NO_COLOR` (no-color.org), unless `CRUMBS_COLOR` or
/// `BPFTRACE_COLOR` say `always` or `never`.
fn standard_error() -> StandardStream {
    let asked = ["CRUMBS_COLOR", "BPFTRACE_COLOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let wanted = match asked.as_deref() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) => {
            ColorChoice::Auto
        }
        _ => ColorChoice::Never,
    };
    StandardStream::stderr(wanted)
}

/// Prints a line.
pub(crate) fn message(text: &str) {
    let text = match std::io::stderr().is_terminal() {
        true => guarded_text(text),
        false => text.into(),
    };
    // Nobody is left to tell when standard error cannot be written.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The way out of what the machine refuses for a reason that nothing is known about.
const UNKNOWN_WAY: &str = "`crumbs doctor` says what this machine and this user can do";

/// Prints an error of the machine: what failed, why, and the way out.
pub(crate) fn error(error: &Error) {
    message(&format!("error: {error}"));
    let help = error.help.as_deref();
    message(&format!("  = help: {}", help.unwrap_or(UNKNOWN_WAY)));
}

/// Prints an error of the machine, as [`error`] does, and is why the command ends.
pub(crate) fn failed(failure: Error) -> Stop {
    error(&failure);
    Stop::Failed
}

/// The way out of naming what there is not: names that are alike, or `otherwise` where there are none.
pub(crate) fn there_is(alike: &[String], otherwise: &str) -> String {
    match alike {
        [] => otherwise.to_owned(),
        names => format!("there is {}", names.join(", ")),
    }
}

/// Prints an error of the machine at the attach point that it is about, if it is about one.
pub(crate) fn error_in(sources: &Sources, plan: &Plan, failure: &Error) {
    let site = failure.site.and_then(|site| plan.sites.get(site as usize));
    match site.map(|site| site.span) {
        Some(span) if span != Span::default() => {
            let diagnostic = Diagnostic::error(&codes::REFUSED, span, failure.to_string());
            at_its_place(
                sources,
                failure.help.iter().cloned().fold(diagnostic, Diagnostic::help),
            );
        }
        _ => error(failure),
    }
}

fn at_its_place(sources: &Sources, diagnostic: Diagnostic) {
    diagnostics(sources, &sources.settle(vec![diagnostic]));
}

/// Prints diagnostics in the order of the script.
pub(crate) fn diagnostics(sources: &Sources, diagnostics: &[Diagnostic]) {
    render::diagnostics(&mut standard_error().lock(), sources, diagnostics);
}

/// So many functions are named that are not probed at their first instruction.
const MOVED: usize = 20;
/// So many functions are named that are not traced.
const REFUSED: usize = 100;

/// Prints how long something took.
pub(crate) fn took(what: &str, time: Duration) {
    message(&format!("{what} in {:.1} ms", time.as_secs_f64() * 1e3));
}

/// Prints how long attaching took, and what the kernel refused of what wildcards mean.
pub(crate) fn attached<'a>(time: Duration, refused: impl Iterator<Item = (&'a str, &'a str)>) {
    took("attached", time);
    let mut refused = refused;
    for (probe, reason) in refused.by_ref().take(REFUSED) {
        message(&format!("left out {probe}: {reason}"));
    }
    match refused.count() {
        0 => {}
        more => message(&format!("left out {more} more")),
    }
}

/// Prints which functions are not probed at their first instruction but behind it, where that costs less.
pub(crate) fn moved(plan: &Plan) {
    let attached = plan.programs.iter().flat_map(|program| &program.attach);
    let places = attached.flat_map(|attach| match attach {
        Attach::Uprobe { places, .. } => places.as_slice(),
        _ => &[],
    });
    let moved: Vec<&UprobePlace> = places.filter(|place| place.behind_entry() > 0).collect();
    for place in moved.iter().take(MOVED) {
        let name = plan.sites.get(place.cookie as usize);
        let name = name.map_or("a function", |site| site.probe.as_str());
        message(&format!(
            "{name}: probed {} bytes behind its entry, where that costs less",
            place.behind_entry()
        ));
    }
    if moved.len() > MOVED {
        message(&format!("… and {} more", moved.len() - MOVED));
    }
}

/// Prints what the kernel's verifier refused, at its place in the script.
pub(crate) fn rejection(sources: &Sources, plan: &Plan, rejection: &Rejection, verbose: bool) {
    if verbose {
        message(&rejection.log);
    }
    let output = if verbose {
        "this output"
    } else {
        "the output of -v"
    };
    let probe = plan.programs.get(rejection.program).map(|program| program.span);
    let diagnostic = rejected(sources.text(), probe.unwrap_or_default(), rejection, output);
    at_its_place(sources, diagnostic);
}

/// A program that was refused, at the statement that is to blame, or else at its probe.
fn rejected(text: &str, probe: Span, rejection: &Rejection, output: &str) -> Diagnostic {
    let statement = rejection
        .position
        .and_then(|(line, column)| rest_of_line(text, line, column));
    let what = format!(
        "cannot load {}: the kernel's verifier refused it: {}",
        rejection.probe, rejection.reason
    );
    Diagnostic::error(&codes::REJECTED, statement.unwrap_or(probe), what).help(rejection.help(output))
}

/// What is behind a line and column of the text, both counted from 1, to the end of the line.
fn rest_of_line(text: &str, line: u32, column: u32) -> Option<Span> {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)? as usize)
        .map(str::len)
        .sum();
    let rest = text.get(before..)?.lines().next()?.trim_end();
    let column = column.checked_sub(1)? as usize;
    (column < rest.len()).then(|| Span::new(before + column, before + rest.len()))
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
