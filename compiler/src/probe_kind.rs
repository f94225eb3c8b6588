//! Kinds of probe: what the first word of an attach point may be, and what it means. A kind is a file below this
//! module, or part of one, and one row of [`ALL`].
//!
//! In: an attach point as written, and a [`Target`]. Out: the [`Place`]s that it stands for, or why there are none.

use crate::codes;
use crate::glob::Glob;
use crate::plan::{Attach, ProgramKind, Site};
use crate::target::{Feature, Target, TargetError};
use crate::types::Space;
use crate::usdt::Argument;
use crumbs_grammar::ast::{AttachPart, AttachPoint};
use crumbs_grammar::diagnostic::{Code, Diagnostic};
use crumbs_grammar::span::Span;
use std::cell::RefCell;
use std::sync::Arc;

pub(crate) mod call;
mod counter;
mod function;
mod interval;
pub mod iter;
mod kernel;
mod kprobe;
mod kretprobe;
pub mod language;
mod once;
mod own_signal;
mod period;
mod profile;
pub mod rawtracepoint;
pub(crate) mod record;
mod request;
mod tracepoint;
mod uprobe;
mod uretprobe;
mod usdt;
mod user;
mod watchpoint;

/// Every kind, declared once. The order is the documentation's.
pub static ALL: &[&dyn ProbeKind] = &[
    &once::BEGIN,
    &once::END,
    &own_signal::OwnSignal,
    &uprobe::Uprobe,
    &uretprobe::Uretprobe,
    &call::UCALL,
    &usdt::Usdt,
    &kprobe::Kprobe,
    &kretprobe::Kretprobe,
    &call::KCALL,
    &function::FENTRY,
    &function::FEXIT,
    &tracepoint::Tracepoint,
    &rawtracepoint::RawTracepoint,
    &interval::Interval,
    &profile::Profile,
    &counter::SOFTWARE,
    &counter::HARDWARE,
    &watchpoint::Watchpoint,
    &iter::Iter,
    &request::TEST,
    &request::BENCH,
];

/// Finds a kind by its name or one of its aliases.
pub fn by_name(name: &str) -> Option<&'static dyn ProbeKind> {
    let found = ALL.iter().copied().find(|kind| {
        if kind.ignores_case() {
            kind.name().eq_ignore_ascii_case(name)
        } else {
            kind.name() == name || kind.words().aliases.contains(&name)
        }
    });
    found.or_else(|| call::part_by_name(name))
}

/// Whether an attach point is `end`.
pub(crate) fn is_end(point: &AttachPoint) -> bool {
    let kind = point.parts.first().and_then(|part| by_name(&part.text));
    kind.is_some_and(|kind| kind.name() == once::END.name())
}

/// Whether a script may have probes on user code, as far as its text tells at a glance: it has a word of a kind of
/// such probes before a colon. A comment or string can have that too, and an imported file may have the probes.
pub fn mentions_user_code(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '$');
    let names = text
        .match_indices(':')
        .filter_map(|(at, _)| text[..at].rsplit(|c| !is_word(c)).next());
    names
        .filter_map(by_name)
        .any(|kind| kind.offers().memory == Space::User && kind.offers().function)
}

/// The kinds that a wildcard in place of the kind can mean: of the kernel, or of user code where the next part is a path
/// or the script is for one process.
pub(crate) fn matching(kind: &AttachPart, point: &Point<'_>) -> Vec<&'static dyn ProbeKind> {
    let glob = Glob::new(&kind.text);
    if kind.quoted || glob.is_literal() {
        return Vec::new();
    }
    let of_program = point.parts.first().is_some_and(|part| part.text.contains('/')) || point.pid.is_some();
    let wanted = if of_program { Class::Program } else { Class::Kernel };
    ALL.iter()
        .copied()
        .filter(|kind| kind.class() == wanted && glob.matches(kind.name()))
        .collect()
}

/// What a wildcard in place of the kind takes a kind for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Places of the kernel.
    Kernel,
    /// Places of programs and libraries.
    Program,
    /// No wildcard means it.
    Other,
}

/// What a kind of probe is called, and what its documentation says.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What a script writes: `uprobe`.
    pub name: &'static str,
    /// Shorter names for the same.
    pub aliases: &'static [&'static str],
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// The form of its attach points: `uprobe:BINARY:FUNCTION[+OFFSET]`.
    pub syntax: &'static str,
    /// A script that uses it; a test compiles it.
    pub example: &'static str,
}

/// A kind of probe.
pub trait ProbeKind: Sync {
    /// What it is called, and what is said of it.
    fn words(&self) -> &Words;
    /// What a script writes: `uprobe`.
    fn name(&self) -> &'static str {
        self.words().name
    }
    /// Whether it may be written in any case.
    fn ignores_case(&self) -> bool {
        false
    }
    /// What the kernel sees its programs as.
    fn program(&self) -> ProgramKind;
    /// Whether a wildcard in place of the kind can mean it.
    fn class(&self) -> Class {
        Class::Other
    }
    /// What `probetype` is in its programs.
    fn type_name(&self) -> &'static str {
        self.name()
    }
    /// Whether the debug information of programs says what its functions take and give.
    fn is_described(&self) -> bool {
        false
    }
    /// What its programs need to learn at run time which of several places they run at.
    fn cookies(&self) -> Feature {
        Feature::Cookies
    }
    /// Whether its programs may run some instructions behind the place that they are for, where they see the same there.
    fn may_be_moved(&self) -> bool {
        false
    }
    /// Whether one program can run at several of its places.
    fn shares_programs(&self) -> bool {
        true
    }
    /// What its programs can ask for.
    fn offers(&self) -> Offers;
    /// What its attach points begin with, behind the kind, where that does not depend on the machine: `hz`, `page-faults`.
    fn fixed_names(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// The places that an attach point stands for; at least one.
    ///
    /// # Errors
    /// When there is none.
    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure>;
}

/// What the programs of a kind can ask for.
#[derive(Clone, Copy, Debug)]
pub struct Offers {
    /// `argN`.
    pub arguments: bool,
    /// `retval`.
    pub return_value: bool,
    /// `duration`.
    pub duration: bool,
    /// `args`.
    pub record: bool,
    /// `func`.
    pub function: bool,
    /// What a number that is used as an address points into.
    pub memory: Space,
    /// Whether `-p` restricts it to that process.
    pub filtered_by_pid: bool,
}

impl Offers {
    /// Nothing: timers, `begin`, `end`.
    pub const NONE: Self = Self {
        arguments: false,
        return_value: false,
        duration: false,
        record: false,
        function: false,
        memory: Space::Kernel,
        filtered_by_pid: false,
    };
}

/// An attach point as written, positional parameters filled in.
#[derive(Debug)]
pub struct Point<'a> {
    /// The parts behind the kind.
    pub parts: &'a [AttachPart],
    /// All of it.
    pub span: Span,
    /// Whether the user allows what can change or crash the traced system.
    pub unsafe_allowed: bool,
    /// The process that is traced, where it is one.
    pub pid: Option<u32>,
    /// Whether a process or command is traced.
    pub traced: bool,
    /// What its author should know although it stands for places.
    pub warnings: RefCell<Vec<Diagnostic>>,
    /// Whether the program reads what is in its context by name: `args`, typed results.
    pub reads_record: bool,
}

/// One place that an attach point stands for.
#[derive(Clone, Debug)]
pub struct Place {
    /// What it is called.
    pub site: Site,
    /// How it is attached. Cookies are still to be filled in; an [`Attach::Uprobe`] has one place.
    pub attach: Attach,
    /// The record that a program finds there.
    pub(crate) record: Option<record::Record>,
    /// Where its arguments are, where that is not the calling convention's business.
    pub arguments: Option<Arc<[Argument]>>,
    /// Whether the script names it, rather than matching it by a wildcard.
    pub literal: bool,
}

impl Place {
    /// A place of the kind that is called `kind`, as it is written.
    fn written(kind: &dyn ProbeKind, point: &Point<'_>, attach: Attach) -> Self {
        let mut probe = kind.name().to_owned();
        for part in point.parts {
            probe.push(':');
            probe.push_str(&part.text);
        }
        Self::named(probe, attach)
    }

    /// A place that the script names.
    fn named(probe: String, attach: Attach) -> Self {
        Self {
            site: Site::new(probe, ""),
            attach,
            record: None,
            arguments: None,
            literal: true,
        }
    }
}

/// Whether a part of an attach point is a name rather than a wildcard.
fn is_literal(part: &AttachPart) -> bool {
    part.quoted || Glob::new(&part.text).is_literal()
}

/// The number that `text` is: hexadecimal, or decimal, then also with an exponent (`1e6`) and `_` between its digits.
fn number(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let text = text.replace('_', "");
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let is_hex = hex.starts_with(|c: char| c.is_ascii_hexdigit());
        return u64::from_str_radix(hex, 16).ok().filter(|_| is_hex);
    }
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let power = 10u64.checked_pow(exponent.parse().ok()?)?;
    let value = digits.parse::<u64>().ok()?.checked_mul(power)?;
    (all_digits(digits) && all_digits(exponent)).then_some(value)
}

/// Why an attach point stands for no place.
#[derive(Debug)]
pub struct Failure {
    /// What to tell.
    pub diagnostic: Box<Diagnostic>,
    /// Whether there is no such thing on this machine, as opposed to a mistake in the script: `missing_probes` decides
    /// what becomes of it.
    pub missing: bool,
}

impl Failure {
    /// There is no such thing on this machine.
    pub fn missing(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostic: Box::new(diagnostic),
            missing: true,
        }
    }

    /// The script is mistaken.
    pub fn wrong(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostic: Box::new(diagnostic),
            missing: false,
        }
    }

    /// Adds a way out where there is none yet.
    pub fn or_help(mut self, help: &str) -> Self {
        if self.diagnostic.help.is_empty() {
            self.diagnostic.help.push(help.to_owned());
        }
        self
    }

    /// The attach point has not the form of its kind.
    pub fn malformed(kind: &dyn ProbeKind, point: &Point<'_>) -> Self {
        let article = if kind.name().starts_with('i') { "an" } else { "a" };
        Self::wrong(
            Diagnostic::error(
                &codes::MALFORMED_ATTACH_POINT,
                point.span,
                format!("this is not the form of {article} {} probe", kind.name()),
            )
            .help(format!("its form: {}", kind.words().syntax))
            .help(format!("for example `{}`", first_point(kind.words().example))),
        )
    }

    /// The target knows no such thing, or cannot tell. `code` and `message` are for the first case.
    pub fn target(error: TargetError, code: &'static Code, span: Span, message: String) -> Self {
        match error {
            TargetError::NotFound { similar, searched } => {
                let mut diagnostic = Diagnostic::error(code, span, message);
                if !searched.is_empty() {
                    diagnostic = diagnostic.label(format!("looked in {}", searched.join(", ")));
                }
                Self::missing(did_you_mean(diagnostic, &similar))
            }
            TargetError::Unreadable { what, reason, help } => {
                let diagnostic =
                    Diagnostic::error(&codes::UNREADABLE, span, format!("cannot read {what}: {reason}"));
                Self::wrong(if help.is_empty() {
                    diagnostic
                } else {
                    diagnostic.help(help)
                })
            }
        }
    }
}

/// Adds the names that may have been meant, if any.
pub(crate) fn did_you_mean(diagnostic: Diagnostic, names: &[String]) -> Diagnostic {
    match names {
        [] => diagnostic,
        names => {
            let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            diagnostic.help(format!("did you mean {}?", quoted.join(", ")))
        }
    }
}

/// The attach point that an example begins with.
fn first_point(example: &str) -> &str {
    example.split([' ', ',']).next().unwrap_or(example)
}
