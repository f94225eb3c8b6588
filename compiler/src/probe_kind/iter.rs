//! `iter`: lists of the kernel, once for each element.

use super::{Class, Failure, Offers, Place, Point, ProbeKind, Words, did_you_mean};
use crate::codes;
use crate::ctype::KernelFunction;
use crate::plan::{Attach, ProgramKind};
use crate::similar::similar;
use crate::target::{Target, TargetError};
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;

/// `iter`.
pub(super) struct Iter;

/// What the names of the functions that programs are loaded for begin with (`DEFINE_BPF_ITER_FUNC`,
/// include/linux/bpf.h).
pub const FUNCTION: &str = "bpf_iter_";

/// Where pins are whose place is not said.
const PINS: &str = "/sys/fs/bpf";

/// What the first parameter of these functions points to.
const STATE: &str = "struct bpf_iter_meta";

/// What the tags of the structs that are their programs' contexts begin with.
pub(crate) const CONTEXT: &str = "bpf_iter__";

impl ProbeKind for Iter {
    fn words(&self) -> &Words {
        &Words {
            name: "iter",
            aliases: &["it"],
            doc: "runs once for each element of a list of the kernel, such as its tasks; then it is over",
            syntax: "iter:LIST[:PIN]",
            example: "iter:task { printf(\"%d %s\\n\", ctx.task.pid, ctx.task.comm); }",
        }
    }

    fn program(&self) -> ProgramKind {
        ProgramKind::Tracing
    }

    fn class(&self) -> Class {
        Class::Other
    }

    fn shares_programs(&self) -> bool {
        false
    }

    fn offers(&self) -> Offers {
        Offers::NONE
    }

    fn expand(&self, point: &Point<'_>, target: &dyn Target) -> Result<Vec<Place>, Failure> {
        let (list, pin) = match point.parts {
            [list] => (list, None),
            [list, pin] if !pin.text.is_empty() => (list, Some(pinned_at(&pin.text))),
            _ => return Err(Failure::malformed(self, point)),
        };
        let name = list.text.as_str();
        let function = described(target, name).map_err(|error| match error {
            TargetError::NotFound { .. } => {
                let message = format!("the kernel has no iterator `{name}`");
                let diagnostic = Diagnostic::error(&codes::NO_ITERATOR, list.span, message);
                let lists = lists(target);
                let names = similar(name, lists.iter().map(String::as_str), 3);
                Failure::missing(if names.is_empty() {
                    diagnostic.help(format!("it has {}", lists.join(", ")))
                } else {
                    did_you_mean(diagnostic, &names)
                })
            }
            error => Failure::target(error, &codes::NO_ITERATOR, list.span, String::new()),
        })?;
        let attach = Attach::Iterator {
            list: name.to_owned(),
            id: function.id,
            pin,
            cookie: 0,
        };
        Ok(vec![Place::written(self, point, attach)])
    }
}

/// The file that a pin means: a name alone is one of the kernel's own file system for such files.
fn pinned_at(pin: &str) -> String {
    match pin.starts_with('/') {
        true => pin.to_owned(),
        false => format!("{PINS}/{pin}"),
    }
}

/// The function that programs for a list are loaded for. Others have names like it, but its first parameter is the state
/// that all iterators have.
fn described(target: &dyn Target, list: &str) -> Result<KernelFunction, TargetError> {
    let found = target.kernel_functions(Some("vmlinux"), &format!("{FUNCTION}{list}"))?;
    let is_state =
        |ty: &Type| matches!(ty, Type::Ptr(to, _) if matches!(&**to, Type::Struct(of) if &*of.name == STATE));
    let is_one = |function: &KernelFunction| function.params.first().is_some_and(|(_, ty)| is_state(ty));
    found.into_iter().find(is_one).ok_or(TargetError::NotFound {
        similar: Vec::new(),
        searched: Vec::new(),
    })
}

/// The lists of this kernel, sorted.
pub fn lists(target: &dyn Target) -> Vec<String> {
    let functions = target.described_functions("vmlinux", &format!("{FUNCTION}*"));
    let names = functions.unwrap_or_default().into_iter();
    names
        .filter_map(|(_, name)| name.strip_prefix(FUNCTION).map(str::to_owned))
        .filter(|name| described(target, name).is_ok())
        .collect()
}
