//! What is reported to a user about a script: one [`Diagnostic`] per mistake.
//!
//! Every stage of the compiler reports through this type; the command line renders it. A code is declared once, as
//! a [`Code`] row of a static slice next to the stage that reports it.

use crate::span::Span;

/// A kind of mistake, declared once. `crumbs doc E0123` prints a row.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `E` and four digits (`W` for warnings); unique over all crates.
    pub id: &'static str,
    /// The mistake in a few words.
    pub title: &'static str,
    /// What it means and what to do about it, in full sentences.
    pub explanation: &'static str,
    /// A script that triggers it; a test runs each.
    pub example: &'static str,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The script cannot be run.
    Error,
    /// The script runs; the user probably wants to know.
    Warning,
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What stands there, or what was expected there; may be empty.
    pub message: String,
}

/// One mistake: what, where, why, and the way out.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The kind of mistake.
    pub code: &'static Code,
    /// Error or warning.
    pub severity: Severity,
    /// The mistake in the user's terms, lower case, no full stop.
    pub message: String,
    /// The place of the mistake.
    pub primary: Label,
    /// Further places that explain it.
    pub secondary: Vec<Label>,
    /// The way out: what to type instead. Rendered as `help: …` lines.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error of kind `code` at `span`.
    pub fn error(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: Label {
                span,
                message: String::new(),
            },
            secondary: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning of kind `code` at `span`.
    pub fn warning(code: &'static Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Says what stands at the primary place.
    #[must_use]
    pub fn label(mut self, message: impl Into<String>) -> Self {
        self.primary.message = message.into();
        self
    }

    /// Adds a further place.
    #[must_use]
    pub fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            message: message.into(),
        });
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// Puts diagnostics in the order of the text, and leaves those of one place in theirs.
pub fn sort_by_place(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|diagnostic| diagnostic.primary.span.start);
}
