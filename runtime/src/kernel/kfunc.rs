//! Which functions of the kernel (kfuncs) programs may call.
//!
//! The kernel keeps lists of them by kind of program and shows them nowhere, so it is asked: the verifier gets a program that calls
//! the function without arguments, and what it says of that tells whether the call or only its arguments were wrong.

use super::load::program_type;
use crate::sys::bpf::{self, AttachFunction, ProgramSpec};
use crumbs_compiler::bpf::{Insn, Reg};
use crumbs_compiler::ctype::KernelFunction;
use crumbs_compiler::plan::ProgramKind;

/// What the verifier says of a call that no argument would make right.
const REFUSED: &str = "is not allowed";

/// Room for the log: all that matters is in its first lines.
const LOG: usize = 1 << 14;

/// Whether programs of `kind` may call `function`. `list` is a function of the kernel that programs of the kind
/// [`ProgramKind::Tracing`] can be loaded for. What modules define is not asked for: no.
pub fn is_allowed(function: &KernelFunction, kind: ProgramKind, list: Option<u32>) -> bool {
    if function.object != 0 {
        return false;
    }
    let is_tracing = kind == ProgramKind::Tracing;
    let list = list.map(|id| AttachFunction { id, module: None });
    let code = calls(function.id);
    let spec = ProgramSpec {
        kind: program_type(kind),
        attach_type: if is_tracing { bpf::ATTACH_ITER } else { 0 },
        flags: 0,
        name: "crumbs_probe",
        code: &code,
        btf: None,
        function: list.filter(|_| is_tracing),
    };
    let mut log = vec![0; LOG];
    match bpf::prog_load(&spec, Some((&mut log, 1))) {
        Ok(_) => true,
        // A kernel that says nothing does not know such calls, or does not let us ask.
        Err(_) => {
            let said = String::from_utf8_lossy(&log);
            let said = said.trim_end_matches('\0').trim();
            !said.is_empty() && !said.contains(REFUSED)
        }
    }
}

/// `call kfunc; r0 = 0; exit`.
fn calls(id: u32) -> Vec<u8> {
    /// `BPF_PSEUDO_KFUNC_CALL` (include/uapi/linux/bpf.h).
    const PSEUDO_KFUNC_CALL: u8 = 2;
    let call = Insn {
        src: PSEUDO_KFUNC_CALL,
        ..Insn::call(id)
    };
    let code = [call, Insn::mov_imm(Reg(0), 0), Insn::exit()];
    code.into_iter().flat_map(Insn::to_bytes).collect()
}
