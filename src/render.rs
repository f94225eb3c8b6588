//! Shows mistakes at their place in the script.
//!
//! In: diagnostics and the texts that they are about. Out: for each the message, the lines with its labels, and the help.

use codespan_reporting::diagnostic as shown;
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::termcolor::{NoColor, WriteColor};
use codespan_reporting::term::{self, Config};
use crumbs_compiler::codes;
use crumbs_grammar::diagnostic::{Diagnostic, Label, Severity};
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::Span;
use crumbs_runtime::show::screen::guarded_text;
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of a line, and of a message, that are shown at least; a line is shown further where a label is.
const SHOWN: usize = 1000;
/// What stands for the rest of a line.
const MARK: &str = "…";
/// How much of a label that is cut off is shown.
const LABELLED: usize = 100;

/// Writes diagnostics in their order; their places are in files ([`Sources::settle`]).
pub fn diagnostics(out: &mut dyn WriteColor, sources: &Sources, diagnostics: &[Diagnostic]) {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|d| d.primary.span.start);
    for diagnostic in sorted {
        one(out, sources, diagnostic);
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
pub fn plain(sources: &Sources, mistakes: &[Diagnostic]) -> String {
    let mut out = NoColor::new(Vec::new());
    diagnostics(&mut out, sources, mistakes);
    String::from_utf8_lossy(&out.into_inner()).into_owned()
}

/// The labels of one file.
struct FileLabels<'a> {
    name: &'a str,
    whole: Span,
    labels: Vec<(shown::LabelStyle, &'a Label)>,
}

fn one(out: &mut dyn WriteColor, sources: &Sources, diagnostic: &Diagnostic) {
    let mut files: Vec<FileLabels<'_>> = Vec::new();
    let labels = std::iter::once((shown::LabelStyle::Primary, &diagnostic.primary)).chain(
        diagnostic
            .secondary
            .iter()
            .map(|label| (shown::LabelStyle::Secondary, label)),
    );
    for label in labels {
        let (name, whole) = sources.file(label.1.span);
        match files.iter_mut().find(|file| file.whole == whole) {
            Some(file) => file.labels.push(label),
            None => files.push(FileLabels {
                name,
                whole,
                labels: vec![label],
            }),
        }
    }
    let mut texts = SimpleFiles::new();
    let mut labels = Vec::new();
    for file in files {
        let text = visible(sources.text().get(file.whole.range()).unwrap_or_default());
        let local = |label: &Label| {
            let start = file.whole.range().start;
            let range = label.span.range();
            within(
                &text,
                range.start.saturating_sub(start)..range.end.saturating_sub(start),
            )
        };
        let starts: Vec<usize> = file.labels.iter().map(|(_, label)| local(label).start).collect();
        let excerpt = Excerpt::new(&text, &starts);
        let id = texts.add(file.name, excerpt.text.clone().into_owned());
        for (style, label) in &file.labels {
            let range = excerpt.range(local(label));
            labels.push(shown::Label::new(*style, id, range).with_message(clipped(&label.message)));
        }
    }
    let severity = match diagnostic.severity {
        Severity::Error => shown::Severity::Error,
        Severity::Warning => shown::Severity::Warning,
    };
    let diagnostic = shown::Diagnostic::new(severity)
        .with_code(diagnostic.code.id)
        .with_message(clipped(&diagnostic.message))
        .with_labels(labels)
        .with_notes(ways_out(diagnostic));
    // Nobody is left to tell when the output cannot be written.
    let _ = term::emit_to_write_style(out, &Config::default(), &texts, &diagnostic);
}

/// What to do: what the diagnostic says, else where its kind is explained. What a script says itself (`fail`,
/// `static_assert`) needs no explanation.
fn ways_out(diagnostic: &Diagnostic) -> Vec<String> {
    let code = diagnostic.code;
    if diagnostic.help.is_empty() && ![codes::FAILS.id, codes::STATIC_ASSERT.id].contains(&code.id) {
        return vec![format!("help: `crumbs explain {}` shows what is meant", code.id)];
    }
    let helps = diagnostic.help.iter();
    helps.map(|help| format!("help: {}", clipped(help))).collect()
}

/// A range that lies within the text, at character boundaries.
fn within(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
    start..end
}

/// A message without the middle of a name that is longer than anyone reads, and without what a terminal would obey: names come
/// from files of others.
fn clipped(message: &str) -> String {
    let message = &*guarded_text(message);
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
