//! On the user-space VM: what is rare on a kernel, and what must come in one order.

use crate::faults::Fault;
use crate::observe::{Report, Seen, Totals, compile};
use crumbs_compiler::plan::{BpfMapId, Generations, MemoryPlan, Plan, Storage};
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{KernelVersion, Target};
use crumbs_runtime::backend::Backend;
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::vm::{VmBackend, event};

/// The recorded machine that scripts are compiled for.
pub fn fixture() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../golden/target.txt")).unwrap()
}

/// Attaches everything at once.
pub struct Simulation;

impl Host<VmBackend> for Simulation {}

/// Runs a script on events as goldens write them.
fn simulate(script: &str, events: &str, target: &dyn Target, fault: Option<Fault>) -> (Report, Plan) {
    simulate_in(script, events, target, fault, |_, _| ())
}

/// As [`simulate`], with something done to the machine before it runs.
fn simulate_in(
    script: &str,
    events: &str,
    target: &dyn Target,
    fault: Option<Fault>,
    prepare: impl FnOnce(&mut VmBackend, &Plan),
) -> (Report, Plan) {
    let compiled = compile(script, target);
    let plan = match fault {
        Some(fault) => fault.mislead(&compiled.plan),
        None => compiled.plan.clone(),
    };
    let events = event::parse(events).unwrap();
    let mut backend = VmBackend::new(&compiled.plan, &compiled.programs, &events, target).unwrap();
    prepare(&mut backend, &plan);
    let mut report = Report::default();
    let start = backend.now();
    report.code = session::run(&plan, &mut backend, &mut Simulation, &mut report, start).unwrap();
    assert!(backend.failure().is_none(), "{:?}", backend.failure());
    assert!(backend.load(MemoryPlan::CONTROL_SEQ) <= u64::from(u32::MAX));
    (report, plan)
}

/// The texts that a run showed.
fn texts(report: &Report) -> Vec<&str> {
    fn text(seen: &Seen) -> &str {
        match seen {
            Seen::Text(text) => text.trim_end(),
            other => panic!("{other:?}"),
        }
    }
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

/// The kernel maps of which a keyed aggregation has one a CPU.
pub fn per_cpu_maps(plan: &Plan) -> Vec<BpfMapId> {
    let maps = plan.maps.iter().filter_map(|map| match map.storage {
        Storage::PerCpu { maps, .. } => Some(maps),
        _ => None,
    });
    maps.flat_map(|maps| match maps {
        Generations::One(map) => vec![map],
        Generations::Two { maps, .. } => maps.to_vec(),
    })
    .collect()
}

const SPILLED: &str = "uprobe:libc:write {
        @n[arg2] = count(); @s[arg2] = stats(arg2); @h[arg2] = hist(arg2);
        if (arg2 == 7) { delete(@n, 3); delete(@h, 3); }
    }
    end { @ns = len(@n); @ss = len(@s); @hs = len(@h); @has = has_key(@n, 3) + 2 * has_key(@n, 5); }";

/// Keys that the kernel has no memory for go to another map, are counted once, and can be deleted there.
#[test]
fn keys_without_memory_are_kept_elsewhere() {
    let events: String = [3, 5, 3, 5, 900, 7]
        .map(|key| format!("uprobe:libc:write arg2={key}\n"))
        .concat();
    for starves in [false, true] {
        let (report, _) = simulate_in(SPILLED, &events, &fixture(), None, |backend, plan| {
            for map in per_cpu_maps(plan) {
                backend.starve(map, starves).unwrap();
            }
        });
        report.assert_no_loss();
        let by_key = |pairs: &[(u64, u64)]| pairs.iter().map(|&(key, n)| (Some(key), n)).collect::<Totals>();
        assert_eq!(report.totals("@n"), by_key(&[(5, 2), (7, 1), (900, 1)]));
        assert_eq!(report.totals("@h"), by_key(&[(5, 2), (7, 1), (900, 1)]));
        assert_eq!(report.counts("@s"), by_key(&[(3, 2), (5, 2), (7, 1), (900, 1)]));
        for (length, truth) in [("@ns", 3), ("@ss", 4), ("@hs", 3), ("@has", 2)] {
            assert_eq!(report.number(length), truth, "{length}");
        }
    }
}

/// `max_map_keys` bounds keyed aggregations as it bounds everything else.
#[test]
fn full_aggregations_take_no_more_keys() {
    let script = "config = { max_map_keys = 2 } uprobe:libc:write {
            @n[arg2] = count(); @h[arg2] = hist(arg2); @plain[arg2]++;
        }
        end { @ns = len(@n); @hs = len(@h); }";
    let events: String = [1, 2, 3, 2]
        .map(|key| format!("uprobe:libc:write arg2={key}\n"))
        .concat();
    let (report, _) = simulate(script, &events, &fixture(), None);
    for name in ["@n", "@h", "@plain"] {
        assert_eq!(
            report.totals(name),
            Totals::from([(Some(1), 1), (Some(2), 2)]),
            "{name}"
        );
        assert_eq!(report.lost(&format!(" of {name} was lost")), 1);
    }
    assert_eq!((report.number("@ns"), report.number("@hs")), (2, 2));
}
