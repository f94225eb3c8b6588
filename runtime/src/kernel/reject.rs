//! A program that the verifier refused: which line of the script it came from, and why.
//!
//! In: the verifier's log and the line info of the program. Out: a [`Rejection`]. The log is text without a promised
//! form; what is relied on is only that a line of a checked instruction starts with its number and `: (` and that the
//! last line that is neither an instruction, a state nor a statistic says what was wrong, as it has been from 4.x on.

use crate::backend::Error;
use aya_obj::Function;
use std::io;

/// A program that the verifier refused. Any script that compiles should load, so this is a fault of crumbs.
#[derive(Debug)]
pub struct Rejection {
    /// The probe, as the script names it.
    pub probe: String,
    /// Index into [`crumbs_compiler::plan::Plan::programs`], where the probe block's span is.
    pub program: usize,
    /// Line and column in the script, counted from 1, that the refused instruction came from.
    pub position: Option<(u32, u32)>,
    /// The refused instruction's number in the program.
    pub instruction: Option<u32>,
    /// What the verifier found wrong.
    pub reason: String,
    /// Everything it said.
    pub log: String,
}

impl Rejection {
    /// The error without the log.
    pub fn into_error(self) -> Error {
        let place = self
            .position
            .map(|(line, _)| format!(" (line {line} of the script)"))
            .unwrap_or_default();
        Error::new(
            format!("load {}{place}", self.probe),
            format!("the kernel's verifier refused it: {}", self.reason),
        )
        .help(self.help("the output of -v"))
    }

    /// What to do about it; `output` is what a report should come with.
    pub fn help(&self, output: &str) -> String {
        match self.missing_helper() {
            Some(helper) => format!(
                "this kernel was built or locked down without {helper} for such programs, so the script cannot run here"
            ),
            None => format!("this is a fault of crumbs: please report it with the script and {output}"),
        }
    }

    /// The helper that the kernel does not have for programs of this type, which its release does not tell:
    /// `program of this type cannot use helper bpf_override_return#58`, before 6.9 `unknown func bpf_override_return#58`.
    fn missing_helper(&self) -> Option<&str> {
        let phrases = ["cannot use helper ", "unknown func "];
        let name = phrases
            .iter()
            .find_map(|phrase| Some(self.reason.split_once(phrase)?.1))?;
        name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next()
    }
}

/// Reads the verifier's log.
pub(super) fn explain(
    program: usize,
    probe: String,
    function: &Function,
    error: &io::Error,
    log: String,
) -> Rejection {
    let instruction = last_instruction(&log);
    let position = instruction.and_then(|at| {
        let lines = &function.line_info.line_info;
        let info = lines
            .iter()
            .filter(|info| info.insn_off <= at)
            .max_by_key(|info| info.insn_off)?;
        // `BPF_LINE_INFO_LINE_NUM` and `_COL`: the column in the low 10 bits.
        Some((info.line_col >> 10, info.line_col & 0x3ff))
    });
    let reason = complaint(&log).map_or_else(|| error.to_string(), str::to_owned);
    Rejection {
        probe,
        program,
        position,
        instruction,
        reason,
        log,
    }
}

/// The number of an instruction's line: `12: (85) call bpf_map_lookup_elem#1`.
fn instruction_number(line: &str) -> Option<u32> {
    let (number, rest) = line.split_once(": ")?;
    if rest.starts_with('(') {
        number.parse().ok()
    } else {
        None
    }
}

/// The last instruction that was looked at. At log level 1 that is the refused one.
fn last_instruction(log: &str) -> Option<u32> {
    log.lines().rev().find_map(instruction_number)
}

/// The sentence that says what was wrong.
fn complaint(log: &str) -> Option<&str> {
    let noise = |line: &str| {
        line.is_empty()
            || line.starts_with(';')
            || line.starts_with("processed ")
            || line.starts_with("verification time ")
            || line.starts_with("stack depth ")
            || line.starts_with("from ")
            || line.starts_with("mark_precise")
            // `12: R0=...` states and `12: (85) ...` instructions.
            || line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    log.lines().rev().map(str::trim).find(|line| !noise(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "0: R1=ctx() R10=fp0\n; @x = *(arg0) @ script:1\n0: (79) r1 = *(u64 *)(r1 +112)\n\
                       1: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\n\
                       processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0\n";

    #[test]
    fn finds_the_instruction_and_the_sentence() {
        assert_eq!(last_instruction(LOG), Some(1));
        assert_eq!(complaint(LOG), Some("R1 invalid mem access 'scalar'"));
        assert_eq!(last_instruction("unreachable insn 3\n"), None);
        assert_eq!(
            complaint("unreachable insn 3\nprocessed 0 insns (limit 1)"),
            Some("unreachable insn 3")
        );
        assert_eq!(complaint(""), None);
    }

    #[test]
    fn a_helper_that_the_kernel_lacks_is_no_fault_of_crumbs() {
        let rejection = |reason: &str| Rejection {
            probe: "kprobe:vfs_read".into(),
            program: 0,
            position: None,
            instruction: None,
            reason: reason.into(),
            log: String::new(),
        };
        for reason in [
            "program of this type cannot use helper bpf_override_return#58",
            "unknown func bpf_override_return#58",
        ] {
            let help = rejection(reason).help("-v");
            assert!(help.contains("without bpf_override_return "), "{help}");
        }
        let help = rejection("R1 invalid mem access 'scalar'").help("-v");
        assert!(help.contains("fault of crumbs"), "{help}");
    }
}
