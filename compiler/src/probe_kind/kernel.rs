//! What `kprobe` and `kretprobe` share: functions of the kernel.
//!
//! A function that the script names is not looked for here: reading the kernel's symbols takes longer than all the rest,
//! and the kernel says so itself when there is none.

use super::{Failure, Place, Point, ProbeKind, is_literal, number};
use crate::codes;
use crate::plan::{Attach, KernelPlace, KprobePlace, Site};
use crate::target::Target;
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;

/// Names of the kernel proper where a module can stand.
const KERNEL: [&str; 2] = ["vmlinux", "kernel"];

/// What wildcards leave out although the kernel would trace it: where a probe can stop the machine, as the kernel's own tests
/// of many probes at once found (tools/testing/selftests/bpf/trace_helpers.c, `skip_entry`). Names, and beginnings of names.
const LEFT_OUT: [&str; 3] = ["arch_cpu_idle", "default_idle", "bpf_dispatcher_xdp_func"];
const LEFT_OUT_BEGINNINGS: [&str; 2] = ["__ftrace_invalid_address__", "rcu_"];

/// Functions at whose return nothing may run: they hold or hand over the lock that return probes take.
const NO_RETURN_PROBE: [&str; 4] = [
    "_raw_spin_lock",
    "_raw_spin_lock_irqsave",
    "_raw_spin_unlock_irqrestore",
    "queued_spin_lock_slowpath",
];

/// The places of `kind[:MODULE]:FUNCTION`, at the return of functions where `on_return`.
pub(super) fn expand(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let (module, what) = match point.parts {
        [what] => (None, what),
        [module, what] if !module.text.is_empty() => (Some(module), what),
        _ => return Err(Failure::malformed(kind, point)),
    };
    if what.text.is_empty() {
        return Err(Failure::malformed(kind, point));
    }
    if !is_literal(what) || module.is_some_and(|module| !is_literal(module)) {
        return matching(kind, on_return, point, (module, what), target);
    }
    let module = module.map_or("", |module| module.text.as_str());
    let (at, function) = literal(point, module, what)?;
    if on_return && NO_RETURN_PROBE.contains(&function.as_str()) && !point.unsafe_allowed {
        let message = format!("a {} probe on `{function}` can lock up the machine", kind.name());
        return Err(Failure::wrong(
            Diagnostic::error(&codes::NEEDS_UNSAFE, what.span, message)
                .help("trace where it is called, or run crumbs with --unsafe"),
        ));
    }
    let is_whole = matches!(at, KernelPlace::Symbol { offset: 0, .. });
    if on_return && !is_whole {
        return Err(Failure::wrong(
            Diagnostic::error(
                &codes::BAD_OFFSET,
                what.span,
                format!("a {} probe is placed on a whole function", kind.name()),
            )
            .help("name a function, without offset"),
        ));
    }
    let attach = Attach::Kprobe {
        on_return,
        places: vec![KprobePlace {
            at,
            cookie: 0,
            is_named: true,
        }],
    };
    let mut place = Place::written(kind, point, attach);
    place.site.func = function;
    Ok(vec![place])
}

/// The place that the script names, and its function.
fn literal(point: &Point<'_>, module: &str, what: &AttachPart) -> Result<(KernelPlace, String), Failure> {
    let text = what.text.as_str();
    let no_number = |text: &str| {
        Failure::wrong(
            Diagnostic::error(&codes::BAD_OFFSET, what.span, format!("`{text}` is no number"))
                .help("offsets and addresses are decimal (`16`) or hexadecimal (`0x10`)"),
        )
    };
    if !what.quoted && text.starts_with(|c: char| c.is_ascii_digit()) {
        let address = number(text).ok_or_else(|| no_number(text))?;
        if !point.unsafe_allowed {
            let message = "a probe at an address of the kernel can crash it";
            return Err(Failure::wrong(
                Diagnostic::error(&codes::NEEDS_UNSAFE, what.span, message)
                    .label("the address must be that of an instruction")
                    .help("name the function, or run crumbs with --unsafe"),
            ));
        }
        return Ok((KernelPlace::Address(address), String::new()));
    }
    let (function, offset) = match text.split_once('+') {
        Some((function, offset)) if !what.quoted => {
            (function, number(offset).ok_or_else(|| no_number(offset))?)
        }
        _ => (text, 0),
    };
    let module = if KERNEL.contains(&module) { "" } else { module };
    let at = KernelPlace::Symbol {
        module: module.to_owned(),
        function: function.to_owned(),
        offset,
    };
    Ok((at, function.to_owned()))
}

/// The functions that match.
fn matching(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    (module, what): (Option<&AttachPart>, &AttachPart),
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let named = module.map_or("*", |module| module.text.as_str());
    let nothing = || format!("no function of the kernel matches `{}`", what.text);
    let mut found = target
        .traceable_functions(named, &what.text)
        .map_err(|error| Failure::target(error, &codes::NO_MATCH, what.span, nothing()))?;
    let all = found.len();
    found.retain(|(_, function)| {
        let begins = |with: &&str| function.starts_with(with);
        !(LEFT_OUT.contains(&function.as_str())
            || LEFT_OUT_BEGINNINGS.iter().any(begins)
            || on_return && NO_RETURN_PROBE.contains(&function.as_str()))
    });
    if found.is_empty() {
        let help = "those that do are left out: a probe on them can stop the machine";
        return Err(Failure::missing(
            Diagnostic::error(&codes::NO_MATCH, what.span, nothing()).help(help),
        ));
    }
    if found.len() < all {
        let (left, s) = match all - found.len() {
            1 => (1, ""),
            left => (left, "s"),
        };
        let message = format!(
            "{left} function{s} of the kernel left out of {all} that match `{}`",
            what.text
        );
        let warning = Diagnostic::warning(&codes::LEFT_OUT, what.span, message)
            .label("a probe on them can stop the machine")
            .help(format!(
                "`crumbs -l '{}:{}'` lists those that are traced",
                kind.name(),
                what.text
            ));
        point.warnings.borrow_mut().push(warning);
    }
    let place = |(module_name, function): (String, String)| {
        let shown = match module {
            Some(_) => format!("{module_name}:"),
            None => String::new(),
        };
        let is_kernel = KERNEL.contains(&module_name.as_str());
        Place {
            site: Site::new(format!("{}:{shown}{function}", kind.name()), function.clone()),
            attach: Attach::Kprobe {
                on_return,
                places: vec![KprobePlace {
                    at: KernelPlace::Symbol {
                        module: if is_kernel { String::new() } else { module_name },
                        function,
                        offset: 0,
                    },
                    cookie: 0,
                    is_named: false,
                }],
            },
            record: None,
            arguments: None,
            literal: false,
        }
    };
    Ok(found.into_iter().map(place).collect())
}
