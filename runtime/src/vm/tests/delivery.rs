//! The back end: events find their programs and contexts.

use super::*;
use crate::backend::{Backend, Ring, Wake};
use crate::vm::VmBackend;
use crate::vm::schedule::Fixed;
use crumbs_compiler::plan::{Period, Site, UprobePlace};
use crumbs_compiler::target::fixture::FixtureTarget;

fn target() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../../../../tests/golden/target.txt")).unwrap()
}

/// Program 0 adds arg0 to word 0, on two functions of libc; program 1 counts write in word 8, and a timer's ticks in
/// word 16 is program 2's; program 3 is `begin` and stores the clock in word 24; program 4 adds `dfd` of openat to
/// word 32.
fn script() -> (Plan, Vec<bpf::Program>) {
    let mut plan = plan();
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let uprobe = |cookies: &[u32]| Attach::Uprobe {
        path: libc.into(),
        on_return: false,
        places: cookies
            .iter()
            .map(|&cookie| UprobePlace {
                entry: None,
                offset: 16 * u64::from(cookie),
                counter: 0,
                cookie,
            })
            .collect(),
    };
    plan.sites = ["write", "read"]
        .map(|func| Site::new(format!("uprobe:{libc}:{func}"), func))
        .into();
    for probe in ["interval:s:1", "begin", "tracepoint:syscalls:sys_enter_openat"] {
        plan.sites.push(Site::new(probe, ""));
    }
    let openat = Attach::Tracepoint {
        category: "syscalls".into(),
        event: "sys_enter_openat".into(),
        id: 1,
        cookie: 4,
    };
    let every = Period::Nanos(1_000_000_000);
    plan.programs = vec![
        program_plan(ProgramKind::Kprobe, vec![uprobe(&[0, 1])]),
        program_plan(ProgramKind::Kprobe, vec![uprobe(&[0])]),
        program_plan(
            ProgramKind::PerfEvent,
            vec![Attach::Interval { every, cookie: 2 }],
        ),
        program_plan(ProgramKind::RawTracepoint, vec![Attach::Begin { cookie: 3 }]),
        program_plan(ProgramKind::Tracepoint, vec![openat]),
    ];
    let count = |offset| {
        Asm::new()
            .memory(R6, offset)
            .add(Insn::mov_imm(R0, 1))
            .add(Insn::atomic(0, R6, 0, R0))
            .exit()
    };
    let add = |from, offset| {
        Asm::new()
            .add(Insn::load(op::DW, R0, R1, from))
            .memory(R6, offset)
            .add(Insn::atomic(0, R6, 0, R0))
            .exit()
    };
    let begin = Asm::new()
        .call(Helper::KtimeGetBootNs)
        .memory(R6, 24)
        .add(Insn::store(op::DW, R6, 0, R0))
        .exit();
    // rdi is at 112, and dfd of sys_enter_openat at 16.
    (plan, vec![add(112, 0), count(8), count(16), begin, add(16, 32)])
}

fn vm(events: &str) -> Result<VmBackend, crate::backend::Error> {
    let (plan, code) = script();
    VmBackend::new(&plan, &code, &parse(events).unwrap(), &target())
}

#[test]
fn events_fire_what_is_attached() {
    let mut vm = vm("uprobe:libc:write arg0=5\n\
         uprobe:/usr/lib/x86_64-linux-gnu/libc.so.6:read arg0=7 repeat=2\n\
         interval:s:1 burst=3\n\
         tracepoint:syscalls:sys_enter_openat dfd=9 t=77")
    .unwrap();
    let state = |vm: &VmBackend| [0, 8, 16, 32].map(|offset| vm.load(offset));
    let mut states = Vec::new();
    while vm.wait(None) == Wake::Poll {
        states.push(state(&vm));
    }
    assert!(vm.failure().is_none());
    assert_eq!(
        states,
        [
            [5, 1, 0, 0],
            [12, 1, 0, 0],
            [19, 1, 0, 0],
            [19, 1, 3, 0],
            [19, 1, 3, 9]
        ]
    );
    assert_eq!(vm.wait(None), Wake::Drained);
    assert_eq!(vm.now(), 77);
    vm.run_once(3).unwrap();
    assert_eq!(vm.load(24), 77);
    assert!(vm.run_once(9).is_err());
}

#[test]
fn nothing_fires_once_detached() {
    let mut vm = vm("interval:s:1").unwrap();
    vm.detach();
    assert_eq!((vm.wait(None), vm.load(16)), (Wake::Drained, 0));
}

#[test]
fn events_that_fit_nothing_are_refused() {
    for (events, message) in [
        (
            "\nuprobe:libc:open",
            "cannot deliver `uprobe:libc:open` (line 2 of the events): no program is attached there",
        ),
        (
            "uretprobe:libc:write",
            "cannot deliver `uretprobe:libc:write` (line 1 of the events): no program is attached there",
        ),
        (
            "uprobe:lib:write",
            "cannot deliver `uprobe:lib:write` (line 1 of the events): no program is attached there",
        ),
        (
            "begin",
            "cannot deliver `begin` (line 1 of the events): no program is attached there",
        ),
        (
            "interval:s:1 cpu=4",
            "cannot deliver `interval:s:1` (line 1 of the events): there is no CPU 4",
        ),
        (
            "uprobe:libc:write dfd=1",
            "cannot deliver `uprobe:libc:write` (line 1 of the events): `dfd` is not known; there are `arg0` to `arg5`, `retval`, `ip`, `sp`",
        ),
    ] {
        assert_eq!(vm(events).unwrap_err().to_string(), message);
    }
}

#[test]
fn short_names_must_not_be_ambiguous() {
    let (mut plan, code) = script();
    plan.sites[1].probe = "uprobe:/opt/libc-2.so:write".into();
    let deliver = |event: &str| VmBackend::new(&plan, &code, &parse(event).unwrap(), &target()).map(drop);
    let error = deliver("uprobe:libc:write").unwrap_err();
    assert!(error.reason.contains("/opt/libc-2.so"), "{error}");
    assert!(deliver("uprobe:libc-2:write").is_ok());
    assert!(deliver("uprobe:libc.so.6:write").is_ok());
}

#[test]
fn a_fault_ends_the_simulation() {
    let (plan, mut code) = script();
    code[2] = Asm::new()
        .add(Insn::mov_imm(R0, 0))
        .add(Insn::load(op::DW, R0, R0, 0))
        .exit();
    let events = parse("interval:s:1\nuprobe:libc:write").unwrap();
    let mut vm = VmBackend::new(&plan, &code, &events, &target()).unwrap();
    assert_eq!((vm.wait(None), vm.wait(None)), (Wake::Drained, Wake::Drained));
    assert_eq!(vm.load(8), 0);
    let failure = vm.failure().unwrap().to_string();
    assert_eq!(
        failure,
        "cannot run program p: instruction 1: 8-byte read out of bounds at 0x0"
    );
}

#[test]
fn interleaved_events_run_once_each() {
    let mut vm = vm("").unwrap();
    let events = parse("uprobe:libc:write arg0=5 repeat=9\nuprobe:libc:read arg0=7 cpu=1").unwrap();
    vm.run_interleaved(&events, &mut Fixed::new([(0, 1), (1, 2), (0, 1)]))
        .unwrap();
    assert_eq!([vm.load(0), vm.load(8)], [12, 1]);
    let nowhere = parse("uprobe:libc:open").unwrap();
    assert!(vm.run_interleaved(&nowhere, &mut Fixed::new([])).is_err());
}

#[test]
fn maps_and_memory_for_user_space() {
    let mut vm = vm("").unwrap();
    vm.store(8, 5);
    assert_eq!((vm.swap(8, 6), vm.load(8)), (5, 6));
    let (hash, per_cpu) = (BpfMapId(HASH), BpfMapId(PER_CPU));
    let (one, two) = (1u64.to_le_bytes(), 2u64.to_le_bytes());
    vm.insert_zero(hash, &one).unwrap();
    vm.insert_zero(hash, &one).unwrap();
    vm.insert_zero(hash, &two).unwrap();
    assert!(vm.insert_zero(hash, &3u64.to_le_bytes()).is_err(), "it is full");
    assert!(vm.insert_zero(hash, &[0; 4]).is_err());
    vm.insert_zero(per_cpu, &one).unwrap();
    let keys: Vec<_> = vm
        .entries(hash)
        .unwrap()
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(keys, [one, two]);
    assert_eq!(vm.entries(per_cpu).unwrap()[0].values, vec![vec![0; 8]; 4]);
    vm.remove_all(hash).unwrap();
    assert_eq!(vm.entries(hash).unwrap(), []);
    assert!(vm.entries(BpfMapId(RING)).is_err());
    assert_eq!(vm.next_record(Ring::Main), None);
    assert_eq!(vm.next_record(Ring::Control), None);
}
