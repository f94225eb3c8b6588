//! Shows mistakes at their place in the script.
//!
//! In: diagnostics and the text that they are about. Out: for each the message, the lines with its labels, and the help.

use codespan_reporting::diagnostic as shown;
use codespan_reporting::files::SimpleFile;
use codespan_reporting::term::termcolor::{NoColor, WriteColor};
use codespan_reporting::term::{self, Config};
use crumbs_grammar::diagnostic::{Diagnostic, Label, Severity};
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of a line, and of a message, that are shown at least; a line is shown further where a label is.
const SHOWN: usize = 1000;
/// What stands for the rest of a line.
const MARK: &str = "…";
/// How much of a label that is cut off is shown.
const LABELLED: usize = 100;

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
    let labels = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
    let starts: Vec<usize> = labels.map(|label| label.span.range().start).collect();
    let excerpt = Excerpt::new(text, &starts);
    let file = SimpleFile::new(name, &*excerpt.text);
    let severity = match diagnostic.severity {
        Severity::Error => shown::Severity::Error,
        Severity::Warning => shown::Severity::Warning,
    };
    let label = |style, label: &Label| {
        let range = excerpt.range(within(text, label.span.range()));
        shown::Label::new(style, (), range).with_message(clipped(&label.message))
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
        .with_message(clipped(&diagnostic.message))
        .with_labels(labels)
        .with_notes(
            diagnostic
                .help
                .iter()
                .map(|help| format!("help: {}", clipped(help)))
                .collect(),
        );
    // Nobody is left to tell when the output cannot be written.
    let _ = term::emit_to_write_style(out, &Config::default(), &file, &diagnostic);
}

/// A range that lies within the text, at character boundaries.
fn within(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
    start..end
}

/// A message without the middle of a name that is longer than anyone reads.
fn clipped(message: &str) -> String {
    if message.len() <= SHOWN {
        return message.to_owned();
    }
    let (head, tail) = (
        message.floor_char_boundary(SHOWN / 2),
        message.ceil_char_boundary(message.len() - SHOWN / 2),
    );
    format!("{}{MARK}{}", &message[..head], &message[tail..])
}

/// A text without the ends of its very long lines: positions in front of them, so also columns, stay what they are.
struct Excerpt<'a> {
    text: Cow<'a, str>,
    /// Parts in whose place is a [`MARK`], in order.
    gaps: Vec<Range<usize>>,
}

impl<'a> Excerpt<'a> {
    /// Keeps of every line at least what is in front of `starts`.
    fn new(text: &'a str, starts: &[usize]) -> Self {
        let mut gaps = Vec::new();
        let mut line = 0;
        for part in text.split_inclusive('\n') {
            let end = line + part.trim_end_matches(['\n', '\r']).len();
            if end - line > SHOWN {
                let on_line = starts.iter().filter(|start| (line..=end).contains(*start));
                let kept = on_line
                    .map(|start| start + LABELLED)
                    .fold(line + SHOWN, usize::max);
                let from = text.ceil_char_boundary(kept.min(end));
                gaps.extend((end - from > MARK.len()).then_some(from..end));
            }
            line += part.len();
        }
        let mut excerpt = Cow::Borrowed(text);
        for gap in gaps.iter().rev() {
            excerpt.to_mut().replace_range(gap.clone(), MARK);
        }
        Self { text: excerpt, gaps }
    }

    /// Where a range of the whole text is.
    fn range(&self, range: Range<usize>) -> Range<usize> {
        self.position(range.start)..self.position(range.end)
    }

    fn position(&self, at: usize) -> usize {
        let mut left_out = 0;
        for gap in &self.gaps {
            if at <= gap.start {
                break;
            }
            if at < gap.end {
                return gap.start - left_out;
            }
            left_out += gap.len() - MARK.len();
        }
        at - left_out
    }
}

#[cfg(test)]
mod tests {
    use super::{Excerpt, MARK, SHOWN, clipped};

    #[test]
    fn long_lines_are_cut_behind_what_is_shown() {
        let text = format!("short\n{}end\nlast", "x".repeat(5000));
        let excerpt = Excerpt::new(&text, &[3, 2006]);
        assert_eq!(excerpt.text, format!("short\n{}{MARK}\nlast", "x".repeat(2100)));
        assert_eq!(excerpt.range(2006..2010), 2006..2010);
        assert_eq!(excerpt.range(2006..5009), 2006..2106 + MARK.len());
        let last = text.find("last").unwrap_or(0);
        assert_eq!(&excerpt.text[excerpt.range(last..last + 4)], "last");
    }

    #[test]
    fn short_lines_stay() {
        let text = "begin { }\r\n".repeat(500);
        assert_eq!(Excerpt::new(&text, &[0]).text, text);
        assert_eq!(clipped("message"), "message");
        assert!(clipped(&"ä".repeat(SHOWN)).len() <= SHOWN + MARK.len());
    }
}
