//! `fentry` and `fexit`: functions of the kernel through a trampoline, with arguments by name and type.
//!
//! The kernel's types must describe the function: its number there is what a program is loaded for, so each function
//! takes a program of its own.

use super::record::Record;
use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, is_literal};
use crate::codes;
use crate::ctype::KernelFunction;
use crate::plan::{Attach, ProgramKind, Site};
use crate::target::{Target, TargetError};
use crumbs_grammar::ast::AttachPart;
use crumbs_grammar::diagnostic::Diagnostic;
use std::collections::HashSet;

/// What the kernel proper is called where a module can stand.
const KERNEL: &str = "vmlinux";

/// What stands in the place of a module for functions of loaded BPF programs. Each of these is a module `bpf:ID` to the target.
const BPF: &str = "bpf";

/// The most words of arguments that a trampoline passes on (`MAX_BPF_FUNC_ARGS`, include/linux/bpf.h).
const MAX_WORDS: usize = 12;

/// `fentry` or `fexit`.
pub(super) struct Function {
    words: Words,
    on_return: bool,
}

/// `fentry`.
pub(super) static FENTRY: Function = Function {
    words: Words {
        name: "fentry",
        aliases: &["f", "kfunc"],
        doc: "runs when a function of the kernel is called, with its arguments by name",
        syntax: "fentry[:MODULE]:FUNCTION, fentry:bpf[:ID]:FUNCTION of a loaded BPF program",
        example: "fentry:vfs_read { @bytes = hist(args.count); }",
    },
    on_return: false,
};

/// `fexit`.
pub(super) static FEXIT: Function = Function {
    words: Words {
        name: "fexit",
        aliases: &["fr", "kretfunc"],
        doc: "runs when a function of the kernel returns, with its arguments and its result",
        syntax: "fexit[:MODULE]:FUNCTION, fexit:bpf[:ID]:FUNCTION of a loaded BPF program",
        example: "fexit:vfs_read { @[args.count == (uint64)retval] = count(); }",
    },
    on_return: true,
};

impl ProbeKind for Function {
    fn words(&self) -> &Words {
        &self.words
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Tracing
    }

    fn class(&self) -> Class {
        Class::Kernel
    }

    fn shares_programs(&self) -> bool {
        false
    }

    fn offers(&self) -> Offers {
        Offers {
            record: true,
            return_value: self.on_return,
            function: true,
            filtered_by_pid: true,
            ..Offers::NONE
        }
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        expand(self, self.on_return, point, target)
    }
}

/// The places of `kind[:MODULE]:FUNCTION`, at the return of functions where `on_return`.
fn expand(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let (module, name) = match point.parts {
        [bpf, name] if bpf.text == BPF && !name.text.is_empty() => {
            return of_programs(kind, on_return, point, ("*", name), target);
        }
        [bpf, id, name] if bpf.text == BPF && !id.text.is_empty() && !name.text.is_empty() => {
            return of_programs(kind, on_return, point, (&id.text, name), target);
        }
        [name] => (None, name),
        [module, name] if !module.text.is_empty() => (Some(module), name),
        _ => return Err(Failure::malformed(kind, point)),
    };
    if name.text.is_empty() {
        return Err(Failure::malformed(kind, point));
    }
    if !is_literal(name) || module.is_some_and(|module| !is_literal(module)) {
        return matching(kind, on_return, point, (module, name), target);
    }
    let wanted = module.map(|module| module.text.as_str());
    let function = described(target, wanted, &name.text);
    let function = function.map_err(|error| {
        let shown = wanted.map_or_else(String::new, |module| format!("{module}:"));
        let message = format!("the kernel has no function `{shown}{}`", name.text);
        match error {
            TargetError::NotFound { .. } => {
                let failure = Failure::target(error, &codes::NO_KERNEL_FUNCTION, point.span, message);
                Failure {
                    diagnostic: Box::new(failure.diagnostic.help(
                        "it may be inlined, or of a module that is not loaded; `crumbs -l 'fentry:*NAME*'` searches",
                    )),
                    ..failure
                }
            }
            error => Failure::target(error, &codes::NO_KERNEL_FUNCTION, point.span, message),
        }
    })?;
    Ok(vec![place(kind, on_return, point, &function, true)])
}

fn described(target: &dyn Target, module: Option<&str>, name: &str) -> Result<KernelFunction, TargetError> {
    let mut found = target.kernel_functions(module, name)?;
    // Never empty; of several of one name, which only a module can have, the first.
    Ok(found.swap_remove(0))
}

fn place(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    function: &KernelFunction,
    literal: bool,
) -> Place {
    let module = if function.module.is_empty() {
        KERNEL
    } else {
        &function.module
    };
    Place {
        site: Site::new(
            format!("{}:{module}:{}", kind.name(), function.name),
            function.name.clone(),
        ),
        attach: Attach::Function {
            on_return,
            module: function.module.clone(),
            function: function.name.clone(),
            id: function.id,
            cookie: 0,
        },
        arguments: None,
        record: point
            .reads_record
            .then(|| Record::of_function(function, 0, on_return)),
        literal,
    }
}

/// The functions that match: those that are both described and traceable.
fn matching(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    (module, name): (Option<&AttachPart>, &AttachPart),
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let modules = module.map_or("*", |module| module.text.as_str());
    let none = |error| {
        let message = format!("no function of the kernel matches `{}`", name.text);
        Failure::target(error, &codes::NO_MATCH, name.span, message)
    };
    let known = target.described_functions(modules, &name.text).map_err(none)?;
    let traceable = target.traceable_functions(modules, &name.text).map_err(none)?;
    let traceable: HashSet<(String, String)> = traceable.into_iter().collect();
    let places: Vec<Place> = known
        .iter()
        .filter(|found| traceable.contains(found))
        .filter_map(|(module, name)| described(target, Some(module), name).ok())
        .filter(|function| function.params.len() <= MAX_WORDS)
        .map(|function| place(kind, on_return, point, &function, false))
        .collect();
    if places.is_empty() {
        let message = format!("no function of the kernel matches `{}`", name.text);
        let diagnostic = Diagnostic::error(&codes::NO_MATCH, name.span, message);
        return Err(Failure::missing(diagnostic));
    }
    Ok(places)
}

/// The functions of loaded BPF programs that match; several programs can have one of the same name.
fn of_programs(
    kind: &dyn ProbeKind,
    on_return: bool,
    point: &Point<'_>,
    (id, name): (&str, &AttachPart),
    target: &dyn Target,
) -> Result<Vec<Place>, Failure> {
    let known = target.described_functions(&format!("{BPF}:{id}"), &name.text);
    let none = || {
        let message = format!("no loaded BPF program has a function `{}`", name.text);
        let diagnostic = Diagnostic::error(&codes::NO_KERNEL_FUNCTION, name.span, message);
        Failure::missing(diagnostic.help(format!(
            "`crumbs -l '{}:{BPF}:*'` lists those of programs that were loaded with types (BTF); root alone sees them",
            kind.name()
        )))
    };
    let known = known.map_err(|error| match error {
        TargetError::NotFound { .. } => none(),
        error => Failure::target(error, &codes::NO_KERNEL_FUNCTION, point.span, String::new()),
    })?;
    let places: Vec<Place> = known
        .iter()
        .filter_map(|(module, name)| described(target, Some(module), name).ok())
        .filter(|function| function.params.len() <= MAX_WORDS)
        .map(|function| place(kind, on_return, point, &function, is_literal(name)))
        .collect();
    if places.is_empty() {
        return Err(none());
    }
    Ok(places)
}
