//! What a script looks at and this machine lacks, told once for the whole script.
//!
//! In: the attach points of probes of which none is there. Out: one warning, where the script wants a summary
//! ([`crate::plan::MissingProbes::Summary`]). A probe names alternatives, such as the libraries of several MPIs: it is not
//! told while one of them is there.

use crate::codes;
use crate::probe_kind::{Failure, Point, ProbeKind};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;
use std::collections::{BTreeMap, BTreeSet};

/// So many functions of a library are named.
const NAMED: usize = 6;

/// An attach point that is not there.
pub(super) enum Missing {
    /// A function of a library that is not there either.
    Library {
        /// The library.
        library: String,
        /// The function.
        function: String,
    },
    /// A function that a library lacks.
    Function {
        /// The library.
        library: String,
        /// The function.
        function: String,
    },
    /// Anything else, as the script writes it.
    Other(String),
}

impl Missing {
    /// What is lacking, by how an attach point of this kind failed.
    pub(super) fn of(kind: &dyn ProbeKind, point: &Point<'_>, failure: &Failure) -> Self {
        let code = failure.diagnostic.code;
        let of_library = [&codes::NO_FUNCTION, &codes::NO_BINARY].contains(&code);
        match point.parts {
            [library, .., function] if of_library => {
                let (library, function) = (library.text.clone(), function.text.clone());
                match code == &codes::NO_BINARY {
                    true => Self::Library { library, function },
                    false => Self::Function { library, function },
                }
            }
            parts => {
                let parts = parts.iter().map(|part| part.text.as_str());
                let words: Vec<&str> = std::iter::once(kind.name()).chain(parts).collect();
                Self::Other(words.join(":"))
            }
        }
    }
}

/// All that is not there.
#[derive(Default)]
pub(super) struct Absent {
    /// Libraries that stand for each other, and the functions that are asked of them.
    libraries: BTreeMap<BTreeSet<String>, BTreeSet<String>>,
    /// Libraries that are there, and what they lack.
    functions: BTreeMap<String, BTreeSet<String>>,
    others: BTreeSet<String>,
    /// The first such probe.
    first: Option<Span>,
}

impl Absent {
    /// Adds the attach points of a probe of which none is there.
    pub(super) fn add(&mut self, points: Vec<Missing>, span: Span) {
        self.first.get_or_insert(span);
        // One that is there, and lacks the function, says more than those that are not.
        let has_library = points
            .iter()
            .any(|point| !matches!(point, Missing::Library { .. }));
        let mut libraries = BTreeSet::new();
        let mut asked = BTreeSet::new();
        for point in points {
            match point {
                Missing::Library { .. } if has_library => {}
                Missing::Library { library, function } => {
                    libraries.insert(library);
                    asked.insert(function);
                }
                Missing::Function { library, function } => {
                    self.functions.entry(library).or_default().insert(function);
                }
                Missing::Other(point) => {
                    self.others.insert(point);
                }
            }
        }
        if !libraries.is_empty() {
            self.libraries.entry(libraries).or_default().extend(asked);
        }
    }

    /// What to say of it; nothing of nothing.
    pub(super) fn diagnostic(&self) -> Option<Diagnostic> {
        let libraries = self.libraries.iter().map(|(names, functions)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{} ({})", names.join(" or "), listed(functions))
        });
        let functions = self
            .functions
            .iter()
            .map(|(library, functions)| format!("{} of {library}", listed(functions)));
        let others = self.others.iter().cloned();
        let all: Vec<String> = libraries.chain(functions).chain(others).collect();
        if all.is_empty() {
            return None;
        }
        let message = format!("not on this machine, so not looked at: {}", all.join("; "));
        let mut diagnostic = Diagnostic::warning(&codes::ABSENT, self.first.unwrap_or_default(), message);
        if !self.libraries.is_empty() {
            diagnostic =
                diagnostic.help("with -c or -p, also libraries are found that only the traced process knows");
        }
        if !self.functions.is_empty() {
            diagnostic = diagnostic.help("what only other versions of a library have, nobody can call here");
        }
        Some(diagnostic)
    }
}

/// Some names, and how many more there are.
fn listed(names: &BTreeSet<String>) -> String {
    let mut shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    let more = format!("{} more", names.len().saturating_sub(NAMED));
    if names.len() > NAMED {
        shown.push(&more);
    }
    shown.join(", ")
}
