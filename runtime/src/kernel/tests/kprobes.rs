//! Probes on functions of the kernel: which must be there, and in which order they run.

use super::super::load::attaches_by_multi_link;
use super::*;
use crate::backend::Skipped;
use std::path::Path;

/// A system call that hardly anything else makes.
const CALLED: &str = if cfg!(target_arch = "x86_64") {
    "__x64_sys_getpriority"
} else {
    "__arm64_sys_getpriority"
};

fn no_kprobes() -> Option<String> {
    let lacks = !Path::new("/sys/bus/event_source/devices/kprobe").exists();
    let reason = can_run().err();
    reason.or_else(|| lacks.then(|| "the kernel has no kernel probes".to_owned()))
}

fn place(function: &str, is_named: bool) -> KprobePlace {
    KprobePlace {
        at: KernelPlace::Symbol {
            module: String::new(),
            function: function.to_owned(),
            offset: 0,
        },
        cookie: 9,
        is_named,
    }
}

fn on(places: Vec<KprobePlace>, on_return: bool) -> Attach {
    Attach::Kprobe { on_return, places }
}

fn loaded(plan: &Plan, index: usize, code: &[u8]) -> OwnedFd {
    let multi = match attaches_by_multi_link(&plan.programs[index]) {
        true => bpf::ATTACH_KPROBE_MULTI,
        false => 0,
    };
    load(prog_type::KPROBE, multi, 0, code)
}

#[test]
fn functions_that_a_script_names_must_be_there() {
    if let Some(reason) = no_kprobes() {
        return skip(&reason);
    }
    let (fd, _mapping) = memory(64);
    for (is_named, missing_probes, works) in [
        (true, MissingProbes::Error, false),
        (true, MissingProbes::Warn, true),
        (false, MissingProbes::Error, true),
    ] {
        let places = vec![
            place(CALLED, is_named),
            place("crumbs_has_no_such_function", is_named),
        ];
        let mut plan = plan_of(vec![on(places, false)], ProgramKind::Kprobe, false);
        plan.settings.missing_probes = missing_probes;
        let program = loaded(&plan, 0, &counter(&fd, false));
        match attach_all(&plan, &[program], None) {
            Ok(attached) => {
                let reasons = attached
                    .skipped
                    .iter()
                    .filter(|skipped| matches!(skipped, Skipped::Missing { .. }));
                assert_eq!(
                    (attached.skipped.len(), reasons.count()),
                    (1, usize::from(is_named))
                );
                close_all(attached.links);
                assert!(works, "{is_named} {missing_probes:?}");
            }
            Err(error) => {
                assert!(!works, "{error}");
                assert!(
                    error.to_string().contains("crumbs_has_no_such_function"),
                    "{error}"
                );
            }
        }
    }
}

/// As a script does that is for several kernels.
#[test]
fn what_is_missing_may_be_all_that_would_be_attached() {
    if let Some(reason) = no_kprobes() {
        return skip(&reason);
    }
    let (fd, _mapping) = memory(64);
    for (begins, works) in [(false, false), (true, true)] {
        let places = vec![place("crumbs_has_no_such_function", true)];
        let mut plan = plan_of(vec![on(places, false)], ProgramKind::Kprobe, false);
        plan.settings.missing_probes = MissingProbes::Ignore;
        let program = loaded(&plan, 0, &counter(&fd, false));
        if begins {
            plan.programs[0].attach.push(Attach::Begin { cookie: 0 });
        }
        let attached = attach_all(&plan, &[program], None);
        assert_eq!(attached.is_ok(), works, "{:?}", attached.err());
    }
}

/// Each program notes how many ran before it for this process.
fn notes_its_turn(memory: &OwnedFd, at: i16) -> Vec<u8> {
    let pid = i32::try_from(std::process::id()).unwrap();
    let mut code = load_map(6, 2, memory.as_raw_fd());
    code.extend(
        [
            call(14), // bpf_get_current_pid_tgid
            insn(0x77, 0, 0, 0, 32),
            insn(0x55, 0, 0, 4, pid), // another process's: to the end
            insn(0x79, 1, 6, 0, 0),   // r1 = *(u64 *)r6
            insn(0x7b, 6, 1, at, 0),  // *(u64 *)(r6 + at) = r1
            mov(1, 1),
            atomic_add(6, 1, 0),
            mov(0, 0),
            EXIT,
        ]
        .concat(),
    );
    code
}

#[test]
fn probes_on_one_function_run_in_the_order_of_the_script() {
    if let Some(reason) = no_kprobes() {
        return skip(&reason);
    }
    for on_return in [false, true] {
        // Lists are attached by multi links where there are such.
        for places in [vec![CALLED], vec![CALLED, "vfs_fsync"]] {
            let (fd, mapping) = memory(64);
            let attach = || on(places.iter().map(|name| place(name, true)).collect(), on_return);
            let mut plan = plan_of(vec![attach()], ProgramKind::Kprobe, false);
            plan.programs.push(plan.programs[0].clone());
            let programs = [8, 16].map(|at| notes_its_turn(&fd, at));
            let programs: Vec<OwnedFd> = programs
                .iter()
                .enumerate()
                .map(|(i, code)| loaded(&plan, i, code))
                .collect();
            let attached = attach_all(&plan, &programs, None).unwrap();
            // SAFETY: reads a number.
            unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            close_all(attached.links);
            let turns = [8, 16].map(|at| word(&mapping, at));
            assert_eq!((word(&mapping, 0), turns), (2, [0, 1]), "{on_return} {places:?}");
        }
    }
}
