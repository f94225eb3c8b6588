//! Tests that cannot fail show nothing: with a fault planted, the same scripts must give wrong numbers.

use crate::faults::Fault;
use crate::observe::{Totals, can_run, run};
use crate::truth::Scale;
use crate::within;

fn number(totals: &Totals) -> u64 {
    totals.values().sum()
}

/// Updates of one word from two CPUs, and from an interrupt within an update of the same CPU.
#[test]
fn live_plain_updates_are_noticed() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(8);
    let report = run(within::NESTED, scale, Some(Fault::PlainUpdates { pause: 2000 }));
    let total = scale.total() + report.number("@ticks");
    for name in ["@inc", "@x", "@count", "@keyed"] {
        let counted = number(&report.totals(name));
        assert!(counted < total, "{name}: {counted} of {total}");
    }
}

#[test]
fn live_shared_scratch_is_noticed() {
    if !can_run() {
        return;
    }
    let scale = Scale::of_this_machine().divided(8);
    let report = run(within::SCRATCH, scale, Some(Fault::SharedScratch { pause: 2000 }));
    let truth = vec![i128::from(scale.calls); scale.threads as usize];
    assert_ne!(within::texts(&report), truth);
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
    let report = run(&script, scale, Some(Fault::OneGeneration { pause: 500 }));
    let keyed = ["@bythread", "@counts", "@incs", "@hists", "@wide"];
    let wrong: Vec<&str> = within::taken(&report, scale)
        .into_iter()
        .filter(|(_, shown, truth)| shown != truth)
        .map(|(name, ..)| name)
        .collect();
    assert!(!wrong.is_empty(), "every print was right");
    assert!(wrong.iter().all(|name| keyed.contains(name)), "{wrong:?}");
}
