//! Programs of fentry, fexit and iter probes: each is loaded for one function of the kernel, by the number that the
//! kernel's types give it.

use super::help;
use crate::backend::Error;
use crate::sys::bpf::{self, AttachFunction};
use crumbs_compiler::plan::{Attach, ProgramPlan};
use std::os::fd::{AsFd, OwnedFd};

/// The function that a program is for.
pub(super) struct Function {
    id: u32,
    module: Option<OwnedFd>,
}

impl Function {
    /// As the system call wants it: where the function is a loaded program's, that program is in the place of a module.
    pub(super) fn as_spec(&self) -> AttachFunction<'_> {
        AttachFunction {
            id: self.id,
            module: self.module.as_ref().map(OwnedFd::as_fd),
        }
    }
}

/// The function that `program` is for; `None` where it is for none.
///
/// # Errors
/// When its module is not loaded, or its types are out of reach.
pub(super) fn function(program: &ProgramPlan, probe: String) -> Result<Option<Function>, Error> {
    let (id, module) = match program.attach.first() {
        Some(Attach::Function { id, module, .. }) => (*id, module.as_str()),
        Some(Attach::Iterator { id, .. }) => (*id, ""),
        _ => return Ok(None),
    };
    let refused =
        |reason: String, help: Option<String>| Error::new(format!("load {probe}"), reason).help(help);
    let module = match module {
        "" => None,
        name if let Some(id) = name.strip_prefix("bpf:") => {
            let missing = |error: std::io::Error| {
                let reason = format!("BPF program {id} is out of reach: {error}");
                refused(
                    reason,
                    Some("`crumbs -l 'fentry:bpf:*'` lists those that are loaded".to_owned()),
                )
            };
            let id = id
                .parse()
                .map_err(|_| missing(std::io::ErrorKind::NotFound.into()))?;
            Some(bpf::program_by_id(id).map_err(missing)?)
        }
        name => {
            let types = bpf::module_btf(name).map_err(|error| {
                let help = "the types of modules want CAP_SYS_ADMIN".to_owned();
                refused(
                    format!("cannot read the types of module {name}: {error}"),
                    Some(help),
                )
            })?;
            let missing = || refused(format!("module {name} is not loaded"), None);
            Some(types.ok_or_else(missing)?)
        }
    };
    Ok(Some(Function { id, module }))
}

/// Why such a program may not be loaded.
pub(super) fn not_permitted(probe: String) -> Error {
    Error::new(format!("load {probe}"), "the kernel does not permit it").help(format!(
            "{}; some machines forbid trampolines on functions of the kernel to everyone: use a kprobe or a tracepoint",
            help::bpf_privilege()
        ))
}
