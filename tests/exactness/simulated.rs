//! On the user-space VM: what is rare on a kernel, and what must come in one order.

use crate::faults::Fault;
use crate::observe::{Report, Seen, compile};
use crumbs_compiler::plan::{BpfMapId, MemoryPlan, Plan};
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{KernelVersion, Target};
use crumbs_runtime::backend::{Backend, Error};
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::vm::{VmBackend, event};

/// The recorded machine that scripts are compiled for.
pub fn fixture() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../golden/target.txt")).unwrap()
}

struct Simulation;

impl Host<VmBackend> for Simulation {
    fn attach(&mut self, _backend: &mut VmBackend) -> Result<(), Error> {
        Ok(())
    }

    fn ready(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Runs a script on events as goldens write them.
fn simulate(script: &str, events: &str, target: &dyn Target, fault: Option<Fault>) -> (Report, Plan) {
    let compiled = compile(script, target);
    let plan = match fault {
        Some(fault) => fault.mislead(&compiled.plan),
        None => compiled.plan.clone(),
    };
    let events = event::parse(events).unwrap();
    let mut backend = VmBackend::new(&compiled.plan, &compiled.programs, &events, target).unwrap();
    let mut report = Report::default();
    let start = backend.now();
    report.code = session::run(&plan, &mut backend, &mut Simulation, &mut report, start).unwrap();
    assert!(backend.failure().is_none(), "{:?}", backend.failure());
    assert!(backend.load(MemoryPlan::CONTROL_SEQ) <= u64::from(u32::MAX));
    (report, plan)
}

/// The texts that a run showed.
fn texts(report: &Report) -> Vec<&str> {
    let text = |seen| match seen {
        &Seen::Text(ref text) => text.trim_end(),
        other => panic!("{other:?}"),
    };
    report.seen.iter().map(text).collect()
}

/// Control events of three kinds, told apart by their text, until nothing can take any.
const CALLS: &str = "config = { perf_rb_pages = 1 }
    interval:ms:1 { time(\"a\\n\"); time(\"b\\n\"); time(\"c\\n\"); }
    end { printf(\"end\\n\"); }";

/// What both rings hold of them (none is ever filled to its last byte), and the slots.
fn room(plan: &Plan) -> usize {
    let rings = plan.rings.unwrap();
    let ring = |ring: BpfMapId| (plan.bpf_maps[ring.0 as usize].max_entries as usize - 1) / 16;
    ring(rings.main) + ring(rings.control) + plan.memory.refused.slots as usize
}

#[test]
fn refused_control_events_are_done_in_order() {
    let room = room(&compile(CALLS, &fixture()).plan);
    for burst in [10, room / 3 - 400, room / 3, room / 3 + 30_000] {
        let (report, plan) = simulate(CALLS, &format!("interval:ms:1 burst={burst}"), &fixture(), None);
        assert!(plan.memory.refused.slots > 0);
        report.assert_no_loss();
        let mut shown = texts(&report);
        assert_eq!(shown.pop(), Some("end"));
        let truth = ["a", "b", "c"].repeat(burst);
        // Not assert_eq: it would print all of them.
        let in_order = truth.len().min(room);
        assert!(shown[..in_order] == truth[..in_order], "{burst} runs");
        assert_eq!(shown.len(), truth.len());
        for text in ["a", "b", "c"] {
            assert_eq!(shown.iter().filter(|shown| **shown == text).count(), burst);
        }
    }
}

#[test]
fn forgotten_control_events_are_noticed() {
    let fault = Some(Fault::OnlyRings);
    let (report, _) = simulate(CALLS, "interval:ms:1 burst=40000", &fixture(), fault);
    assert!(texts(&report).len() < 120_000);
}

/// Programs for kernels before 5.12 cannot number events: they are done as often as asked.
#[test]
fn refused_control_events_without_numbers_are_done() {
    let old = fixture().with_kernel(KernelVersion { major: 5, minor: 10 });
    let (report, plan) = simulate(CALLS, "interval:ms:1 burst=20000", &old, None);
    assert_eq!(plan.memory.refused.slots, 0);
    let mut texts = texts(&report);
    assert_eq!(texts.pop(), Some("end"));
    texts.sort_unstable();
    assert!(texts.chunk_by(|a, b| a == b).map(<[&str]>::len).eq([20_000; 3]));
}

/// `exit` ends the run with its code, and all that came before is done.
#[test]
fn exit_behind_refused_control_events() {
    let script = "config = { perf_rb_pages = 1 }
        interval:ms:1 { @n++; time(\"a\\n\"); if (@n == 30000) { exit(7); } }";
    let (report, _) = simulate(script, "interval:ms:1 burst=30000", &fixture(), None);
    assert_eq!(report.code, 7);
    assert_eq!(texts(&report).len(), 30_000);
}
