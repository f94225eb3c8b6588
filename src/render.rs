//! Shows mistakes at their place in the script.
//!
//! In: diagnostics and the text that they are about. Out: for each the message, the lines with its labels, and the help.

use codespan_reporting::diagnostic as shown;
use codespan_reporting::files::SimpleFile;
use codespan_reporting::term::termcolor::{NoColor, WriteColor};
use codespan_reporting::term::{self, Config};
use crumbs_grammar::diagnostic::{Diagnostic, Label, Severity};

/// Writes diagnostics in the order of the script; `name` is what the script is called.
pub fn diagnostics(out: &mut dyn WriteColor, name: &str, text: &str, diagnostics: &[Diagnostic]) {
    let text = &visible(text);
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| d.primary.span.start);
    for diagnostic in sorted {
        one(out, name, text, diagnostic);
    }
}

/// The text with a `.` in place of each byte of a control character: a file that was not meant to be a script must not
/// write to the terminal. Positions stay what they are.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\r' | '\t') {
            visible.extend(std::iter::repeat_n('.', c.len_utf8()));
        } else {
            visible.push(c);
        }
    }
    visible
}

/// The same as text without colours.
pub fn plain(name: &str, text: &str, mistakes: &[Diagnostic]) -> String {
    let mut out = NoColor::new(Vec::new());
    diagnostics(&mut out, name, text, mistakes);
    String::from_utf8_lossy(&out.into_inner()).into_owned()
}

fn one(out: &mut dyn WriteColor, name: &str, text: &str, diagnostic: &Diagnostic) {
    let file = SimpleFile::new(name, text);
    let severity = match diagnostic.severity {
        Severity::Error => shown::Severity::Error,
        Severity::Warning => shown::Severity::Warning,
    };
    let label = |style, label: &Label| {
        shown::Label::new(style, (), within(text, label.span.range())).with_message(&label.message)
    };
    let mut labels = vec![label(shown::LabelStyle::Primary, &diagnostic.primary)];
    labels.extend(
        diagnostic
            .secondary
            .iter()
            .map(|l| label(shown::LabelStyle::Secondary, l)),
    );
    let diagnostic = shown::Diagnostic::new(severity)
        .with_code(diagnostic.code.id)
        .with_message(&diagnostic.message)
        .with_labels(labels)
        .with_notes(
            diagnostic
                .help
                .iter()
                .map(|help| format!("help: {help}"))
                .collect(),
        );
    // Nobody is left to tell when the output cannot be written.
    let _ = term::emit_to_write_style(out, &Config::default(), &file, &diagnostic);
}

/// A range that lies within the text, at character boundaries.
fn within(text: &str, range: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
    start..end
}
