//! Tests that cannot fail show nothing: with a fault planted, the same scripts must give wrong numbers.

use crate::beyond;
use crate::faults::Fault;
use crate::observe::{Totals, can_run, run, run_stalled, skip};
use crate::truth::Scale;
use crate::within;
use crumbs_compiler::target::{KernelVersion, Target};
use crumbs_runtime::host::{HostOptions, HostTarget};

fn number(totals: &Totals) -> u64 {
    totals.values().sum()
}

/// A fault shows when programs meet, which a run cannot be made to let happen: as many runs as it takes, and at most these.
const RUNS: usize = 20;

/// Runs until the fault shows; whether it did.
fn shows(run: impl FnMut() -> bool) -> bool {
    std::iter::repeat_with(run).take(RUNS).any(|wrong| wrong)
}

/// Updates of one word from two CPUs, and from an interrupt within an update of the same CPU.
#[test]
fn live_plain_updates_are_noticed() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(8);
    let mut right = vec!["@inc", "@x", "@count", "@keyed"];
    let loses = || {
        let report = run(within::NESTED, scale, Some(Fault::PlainUpdates { pause: 2000 }));
        let total = scale.total() + report.number("@ticks");
        right.retain(|name| number(&report.totals(name)) >= total);
        right.is_empty()
    };
    assert!(shows(loses), "{right:?} {RUNS} times");
}

#[test]
fn live_shared_scratch_is_noticed() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(8);
    let truth = vec![i128::from(scale.calls); scale.threads as usize];
    let fault = Fault::SharedScratch { pause: 2000 };
    assert!(shows(
        || within::texts(&run(within::SCRATCH, scale, Some(fault))) != truth
    ));
}

#[test]
fn live_one_generation_is_noticed() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(4);
    let scale = Scale {
        keys: 1 << 6,
        ..scale
    };
    let script = within::taking(scale, "clear");
    let keyed = ["@bythread", "@counts", "@incs", "@hists", "@wide"];
    let loses = || {
        let report = run(&script, scale, Some(Fault::OneGeneration { pause: 500 }));
        let wrong: Vec<&str> = within::taken(&report, scale)
            .into_iter()
            .filter(|(_, shown, truth)| shown != truth)
            .map(|(name, ..)| name)
            .collect();
        assert!(wrong.iter().all(|name| keyed.contains(name)), "{wrong:?}");
        !wrong.is_empty()
    };
    assert!(shows(loses), "every print was right");
}

#[test]
fn live_control_events_left_out_are_noticed() {
    if !can_run() {
        return;
    }
    // More than both rings and the slots have room for, and nothing that takes user space long.
    let scale = Scale::of_this_machine().divided(8).at_least(30_000);
    let script = "config = { perf_rb_pages = 1 } HIT { @asked = count(); print(@asked); }";
    assert!(shows(|| {
        let report = run_stalled(script, scale, Some(Fault::OnlyRings));
        beyond::shown(&report) < report.number("@asked")
    }));
}

/// Kernels from 6.13 on that preempt programs: without a guard, one overwrites the frame of another.
#[test]
fn live_per_cpu_frames_are_noticed() {
    if !can_run() {
        return;
    }
    if !preempts_programs() {
        return skip("this kernel does not preempt programs");
    }
    if HostTarget::new(HostOptions::from_environment()).kernel() < (KernelVersion { major: 6, minor: 13 }) {
        return skip("this kernel keeps frames on the stack of the task");
    }
    let scale = Scale::of_this_machine().divided(2);
    let truth = Totals::from_iter((0..scale.threads).map(|thread| (Some(thread), scale.calls)));
    let script = "HIT { @thread[arg0] = count(); @pair[arg0, arg1 & 7, arg2 & 7]++; }";
    assert_eq!(run(script, scale, None).totals("@thread"), truth);
    let fault = Fault::PerCpuFrames { pause: 2000 };
    assert!(shows(
        || run(script, scale, Some(fault)).totals("@thread") != truth
    ));
}

/// Whether the kernel interrupts itself for another task, as far as it says.
fn preempts_programs() -> bool {
    let dynamic = std::fs::read_to_string("/sys/kernel/debug/sched/preempt").unwrap_or_default();
    dynamic.contains("(full)")
        || std::fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("preempt=full"))
}
