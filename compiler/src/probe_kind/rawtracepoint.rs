//! `rawtracepoint`: tracepoints by the arguments that the kernel calls them with, before any record is made of them.
//!
//! A tracepoint that the script names is not looked for here, unless its arguments are wanted or it is said to be a
//! module's: the kernel says so itself when there is none.

use super::record::Record;
use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, did_you_mean, is_literal};
use crate::codes;
use crate::ctype::KernelFunction;
use crate::plan::{Attach, ProgramKind};
use crate::target::{Feature, Target, TargetError};
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;

/// `rawtracepoint`.
pub(super) struct RawTracepoint;

/// Categories of tracefs whose events are not tracepoints of their own: made from `sys_enter` and `sys_exit`, or by
/// users.
const WITHOUT: [&str; 4] = ["syscalls", "kprobes", "uprobes", "synthetic"];

/// What the kernel proper is called where a module can stand.
const KERNEL: &str = "vmlinux";

/// What the name of a tracepoint's function of the kernel begins with (`DEFINE_TRACE_FN`, include/linux/tracepoint.h):
/// it calls all who are attached, so its parameters are theirs; the first is the caller's own.
pub const CALLER: &str = "__traceiter_";

/// The most arguments of a tracepoint (`BPF_TRACE_DEFN_x`, include/trace/bpf_probe.h).
pub(crate) const MAX_ARGS: usize = 12;

impl ProbeKind for RawTracepoint {
    fn words(&self) -> &Words {
        &Words {
            name: "rawtracepoint",
            aliases: &["rt"],
            doc: "runs at a static place of the kernel, with the arguments as the kernel passes them",
            syntax: "rawtracepoint[:MODULE]:EVENT",
            example: "rawtracepoint:sys_enter { @[args.id] = count(); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::RawTracepoint
    }

    fn class(&self) -> Class {
        Class::Kernel
    }

    fn cookies(&self) -> Feature {
        Feature::RawTracepointCookies
    }

    fn offers(&self) -> Offers {
        Offers {
            arguments: true,
            record: true,
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let (module, event) = match point.parts {
            [event] => (None, event),
            [module, event] => (Some(module), event),
            _ => return Err(Failure::malformed(self, point)),
        };
        if event.text.is_empty() {
            return Err(Failure::malformed(self, point));
        }
        if !is_literal(event) || module.is_some_and(|module| !is_literal(module)) {
            return matching(self, point, module, event, target);
        }
        let module = module.map(|module| module.text.as_str());
        let named = Some(module.unwrap_or(KERNEL));
        let is_modules = named != Some(KERNEL);
        if !is_modules && !point.reads_record {
            return Ok(vec![place(self, KERNEL, &event.text, None, true)]);
        }
        let function = described(target, module, &event.text);
        let function = function.map_err(|error| match error {
            TargetError::NotFound { similar, .. } => {
                let name = named
                    .filter(|_| is_modules)
                    .map_or_else(String::new, |m| format!("{m}:"));
                let message = format!("the kernel has no tracepoint `{name}{}`", event.text);
                let diagnostic = Diagnostic::error(&codes::NO_TRACEPOINT, point.span, message);
                let similar: Vec<String> = (similar.iter())
                    .filter_map(|name| name.strip_prefix(CALLER).map(str::to_owned))
                    .collect();
                Failure::missing(did_you_mean(diagnostic, &similar))
            }
            error => Failure::target(error, &codes::NO_TRACEPOINT, point.span, String::new()),
        })?;
        let module = if function.module.is_empty() {
            KERNEL
        } else {
            &function.module
        };
        Ok(vec![place(self, module, &event.text, Some(&function), true)])
    }
}

/// A tracepoint of `module`; `function` describes its arguments.
fn place(
    kind: &dyn ProbeKind,
    module: &str,
    event: &str,
    function: Option<&KernelFunction>,
    literal: bool,
) -> Place {
    let attach = Attach::RawTracepoint {
        event: event.to_owned(),
        cookie: 0,
    };
    Place {
        record: function.map(|function| Record::of_function(function, 1, false)),
        literal,
        ..Place::named(format!("{}:{module}:{event}", kind.name()), attach)
    }
}

/// The function that has a tracepoint's parameters.
fn described(target: &dyn Target, module: Option<&str>, event: &str) -> Result<KernelFunction, TargetError> {
    let mut found = target.kernel_functions(module, &format!("{CALLER}{event}"))?;
    Ok(found.swap_remove(0))
}

/// The tracepoints that match: those that the kernel's types tell of, else those of tracefs, which lacks some.
fn matching(
    kind: &dyn ProbeKind,
    point: &Point<'_>,
    module: Option<&AttachPart>,
    event: &AttachPart,
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let modules = module.map_or("*", |module| module.text.as_str());
    let known = target.described_functions(modules, &format!("{CALLER}{}", event.text));
    let mut found: Vec<(String, String)> = match known {
        Ok(found) => (found.into_iter())
            .filter_map(|(module, name)| Some((module, name.strip_prefix(CALLER)?.to_owned())))
            .collect(),
        Err(_) => (target
            .tracepoints("*", &event.text)
            .unwrap_or_default()
            .into_iter())
        .filter(|(category, _)| !WITHOUT.contains(&category.as_str()))
        .map(|(_, event)| (KERNEL.to_owned(), event))
        .collect(),
    };
    found.sort_unstable_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    found.dedup_by(|a, b| a.1 == b.1);
    let place = |(module, event): (String, String)| {
        let function = point
            .reads_record
            .then(|| described(target, Some(&module), &event).ok());
        place(kind, &module, &event, function.flatten().as_ref(), false)
    };
    let places: Vec<Place> = found.into_iter().map(place).collect();
    if places.is_empty() {
        let message = format!("no tracepoint matches `{}`", event.text);
        let diagnostic = Diagnostic::error(&codes::NO_MATCH, event.span, message);
        return Err(Failure::missing(diagnostic));
    }
    Ok(places)
}
