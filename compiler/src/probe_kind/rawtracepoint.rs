//! `rawtracepoint`: tracepoints by the arguments that the kernel calls them with, before any record is made of them.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, is_literal};
use crate::codes;
use crate::plan::{Attach, ProgramKind, Site};
use crate::target::{Feature, Target};
use crumbs_grammar::diagnostic::Diagnostic;

/// `rawtracepoint`.
pub(super) struct RawTracepoint;

/// Categories of tracefs whose events are not tracepoints of their own: made from `sys_enter` and `sys_exit`, or by
/// users.
const WITHOUT: [&str; 4] = ["syscalls", "kprobes", "uprobes", "synthetic"];

/// What the kernel proper is called where a module can stand.
const KERNEL: &str = "vmlinux";

/// The most arguments of a tracepoint (`BPF_TRACE_DEFN_x`, include/trace/bpf_probe.h).
pub(crate) const MAX_ARGS: usize = 12;

impl ProbeKind for RawTracepoint {
    fn name(&self) -> &'static str {
        "rawtracepoint"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["rt"]
    }

    fn doc(&self) -> &'static str {
        "runs at a static place of the kernel, with the arguments as the kernel passes them"
    }

    fn syntax(&self) -> &'static str {
        "rawtracepoint[:MODULE]:EVENT"
    }

    fn example(&self) -> &'static str {
        "rawtracepoint:sys_enter { @[arg1] = count(); }"
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
        let literal = is_literal(event);
        let events = if literal {
            vec![event.text.clone()]
        } else {
            // The kernel registers one for each event of tracefs, but has no list of its own of them.
            let found = target.tracepoints("*", &event.text).map_err(|error| {
                let message = format!("no tracepoint matches `{}`", event.text);
                Failure::target(error, &codes::NO_MATCH, event.span, message)
            })?;
            let mut names: Vec<String> = found
                .into_iter()
                .filter(|(category, _)| !WITHOUT.contains(&category.as_str()))
                .map(|(_, event)| event)
                .collect();
            names.sort_unstable();
            names.dedup();
            if names.is_empty() {
                let message = format!("no tracepoint matches `{}`", event.text);
                let diagnostic = Diagnostic::error(&codes::NO_MATCH, event.span, message);
                return Err(Failure::missing(diagnostic));
            }
            names
        };
        let module = module.filter(|module| is_literal(module));
        let module = module.map_or(KERNEL, |module| module.text.as_str());
        let place = |event: String| Place {
            site: Site {
                probe: format!("{}:{module}:{event}", self.name()),
                func: String::new(),
            },
            attach: Attach::RawTracepoint { event, cookie: 0 },
            record: None,
            arguments: None,
            literal,
        };
        Ok(events.into_iter().map(place).collect())
    }
}
