//! The files of golden tests.
//!
//! A file holds cases. A line `=== script NAME` begins one; further lines `=== …` begin its other sections; lines in front of
//! the first case are comments.
//!
//! | section | what it holds |
//! |---|---|
//! | `script NAME` | the script |
//! | `params` | its positional parameters, one a line |
//! | `config` | `name=value` lines, as the environment would set them |
//! | `file NAME` | a file beside the script, for imports |
//! | `arch` | the architecture instead of the recorded one: `aarch64` |
//! | `kernel` | the kernel version instead of the recorded one: `5.10` |
//! | `events` | what happens on the simulated machine, as `crumbs_runtime::vm::event` describes it |
//! | `asm` | what is to come out: the instructions under the script's lines |
//! | `output` | what is to come out on standard output when the script runs in the VM |
//! | `stderr` | the same for standard error; left out where nothing comes |
//! | `exit` | the exit code; left out where it is 0 |
//! | `diagnostics` | what is to come out when the script is compiled: mistakes, warnings |
//!
//! `output (bpftrace)` is text that came from bpftrace: it is compared but for line breaks at its end, and
//! such a case is never rewritten. A section whose text does not end
//! in a line break ends with a line `\ no line break at the end`.

use std::fmt::Write;

/// Stands for the line break that is not there.
const NO_BREAK: &str = "\\ no line break at the end\n";

/// A section of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The header without `=== `.
    pub header: String,
    /// The lines below it.
    pub text: String,
}

/// A case: sections, of which the first is its script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// In the order of the file.
    pub sections: Vec<Section>,
}

/// A file of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The comment at its top.
    pub comment: String,
    /// The cases.
    pub cases: Vec<Case>,
}

impl Case {
    /// What the case is called.
    pub fn name(&self) -> &str {
        self.sections[0].header.trim_start_matches("script").trim()
    }

    /// The script, without the blank lines that set it off from what follows.
    pub fn script(&self) -> &str {
        &self.sections[0].text
    }

    /// The text of a section, by the first word of its header.
    pub fn section(&self, kind: &str) -> Option<&str> {
        let section = self.sections.iter().find(|s| s.kind() == kind)?;
        match section.text.strip_suffix(NO_BREAK) {
            Some(text) => text.strip_suffix('\n'),
            None => Some(&section.text),
        }
    }

    /// The files beside it: name and text.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sections
            .iter()
            .filter_map(|s| Some((s.header.strip_prefix("file ")?, s.text.as_str())))
    }

    /// Whether its output came from bpftrace.
    pub fn is_bpftrace(&self) -> bool {
        self.sections.iter().any(|s| s.header == "output (bpftrace)")
    }

    /// Replaces a section, adds it, or takes it away where `text` is empty and `keep` is not set.
    pub fn set(&mut self, kind: &str, text: &str, keep: bool) {
        let text = match text {
            "" => String::new(),
            _ if text.ends_with('\n') => text.to_owned(),
            _ => format!("{text}\n{NO_BREAK}"),
        };
        let at = self.sections.iter().position(|s| s.kind() == kind);
        match at {
            Some(at) if text.is_empty() && !keep => _ = self.sections.remove(at),
            Some(at) => self.sections[at].text = text,
            None if text.is_empty() && !keep => {}
            None => self.sections.push(Section {
                header: kind.to_owned(),
                text,
            }),
        }
    }
}

impl Section {
    fn kind(&self) -> &str {
        self.header.split(' ').next().unwrap_or_default()
    }
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it does not follow the format.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut file = Self {
            comment: String::new(),
            cases: Vec::new(),
        };
        for line in text.split_inclusive('\n') {
            if let Some(header) = line.strip_prefix("=== ") {
                let section = Section {
                    header: header.trim_end().to_owned(),
                    text: String::new(),
                };
                match (section.kind(), file.cases.last_mut()) {
                    ("script", _) => file.cases.push(Case {
                        sections: vec![section],
                    }),
                    (
                        "arch" | "params" | "config" | "file" | "kernel" | "events" | "asm" | "output"
                        | "stderr" | "exit" | "diagnostics",
                        Some(case),
                    ) => case.sections.push(section),
                    _ => return Err(format!("there is no section `{}` here", section.header)),
                }
            } else if let Some(case) = file.cases.last_mut() {
                if let Some(section) = case.sections.last_mut() {
                    section.text.push_str(line);
                }
            } else {
                file.comment.push_str(line);
            }
        }
        if file.cases.is_empty() {
            return Err("there is no case in it".to_owned());
        }
        Ok(file)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = self.comment.clone();
        for section in self.cases.iter().flat_map(|case| &case.sections) {
            let _ = writeln!(text, "=== {}", section.header);
            text.push_str(&section.text);
        }
        text
    }
}
