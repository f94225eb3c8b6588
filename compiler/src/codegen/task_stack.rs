//! Keeps a program's frame on the stack of the task that runs it.
//!
//! Since Linux 6.13 ("bpf: Find eligible subprogs for private stack support") the frame of a program
//! of type kprobe that has 64 bytes or more, rounded up to 16, is a piece of per-CPU memory, one for all runs on that
//! CPU (`bpf_enable_priv_stack()` in kernel/bpf/verifier.c). It relies on the checks that keep a program from running
//! within itself on one CPU. Programs on user probes have that type but no such check, and may be preempted and, if they
//! are sleepable, sleep: runs of one program by two tasks then overwrite each other's keys and spilled values.
//!
//! A program that can make a tail call is left on the task's stack (`check_max_stack_depth()`). So a call is put in
//! front that is never reached. What is asked is whether the instruction is there, before the verifier removes it as
//! dead.

use crate::bpf::{Insn, Program, Reg, op};
use crate::helper::Helper;
use crate::plan::{Attach, ProgramPlan};
use crate::target::KernelVersion;

/// The first kernel with frames in per-CPU memory.
const SINCE: KernelVersion = KernelVersion { major: 6, minor: 13 };
/// Greatest frame that stays on the task's stack: `BPF_PRIV_STACK_MIN_SIZE` (include/linux/filter.h) less 16, to which
/// frames are rounded up.
const SMALL_FRAME: u32 = 48;

/// Changes a program if the kernel would keep its frame elsewhere and that would be wrong.
pub fn keep_on_task_stack(program: &mut Program, plan: &ProgramPlan, kernel: KernelVersion) {
    let is_user_probe = plan.attach.iter().any(Attach::is_on_user_code);
    let frames = program.callbacks.iter().map(|function| function.frame);
    let largest = frames.fold(program.frame, u32::max);
    if !is_user_probe || largest <= SMALL_FRAME || kernel < SINCE {
        return;
    }
    let result = Reg(0);
    let guard = [
        Insn::mov_imm(result, 0),
        Insn::jump_imm(op::JMP | op::JEQ, result, 0, 1),
        Insn::call(Helper::TailCall.row().number),
    ];
    let span = program.spans.first().copied().unwrap_or_default();
    program.insns.splice(0..0, guard);
    program.spans.splice(0..0, guard.map(|_| span));
    for reloc in &mut program.relocs {
        reloc.insn += guard.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Reloc, RelocTarget};
    use crate::plan::{Period, ProgramKind};
    use crumbs_grammar::span::Span;

    fn guarded(attach: Attach, frame: u32, kernel: (u16, u16)) -> Program {
        let plan = ProgramPlan {
            symbol: "p".into(),
            section: String::new(),
            kind: ProgramKind::Kprobe,
            sleepable: false,
            attach: vec![attach],
            span: Span::default(),
        };
        let [first, second] = Insn::wide(Reg(1), 0, 0);
        let mut program = Program {
            symbol: "p".into(),
            insns: vec![first, second, Insn::exit()],
            spans: vec![Span::new(1, 2); 3],
            relocs: vec![Reloc {
                insn: 0,
                target: RelocTarget::Memory(0),
            }],
            frame,
            callbacks: Vec::new(),
            arguments: None,
        };
        let (major, minor) = kernel;
        keep_on_task_stack(&mut program, &plan, KernelVersion { major, minor });
        program
    }

    fn uprobe() -> Attach {
        Attach::Uprobe {
            path: "/bin/true".into(),
            on_return: false,
            places: Vec::new(),
        }
    }

    #[test]
    fn large_frames_of_user_probes_are_kept() {
        let program = guarded(uprobe(), 56, (6, 13));
        assert_eq!(program.insns.len(), 6);
        assert_eq!(program.spans, vec![Span::new(1, 2); 6]);
        assert_eq!(program.insns[2], Insn::call(12));
        // Which is jumped over.
        assert_eq!(program.insns[1].off, 1);
        assert_eq!(program.reloc(3), Some(RelocTarget::Memory(0)));
    }

    #[test]
    fn other_programs_stay_as_they_are() {
        let timer = Attach::Interval {
            every: Period::Hertz(1),
            cookie: 0,
        };
        for program in [
            guarded(uprobe(), 48, (6, 13)),
            guarded(uprobe(), 512, (6, 12)),
            guarded(timer, 512, (7, 2)),
        ] {
            assert_eq!(program.insns.len(), 3);
        }
    }
}
