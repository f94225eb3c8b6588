//! Whole runs against a back end in memory.

#![expect(clippy::unwrap_used, reason = "tests")]

mod order;

use super::*;
use crate::fake::{self, Fake, State, agg, conversion};
use crate::show::text::TextOutput;
use crumbs_compiler::format::{Format, Piece};
use crumbs_compiler::plan::{
    Attach, BpfMap, BpfMapId, BpfMapKind, EventArg, Generations, Loss, LossKind, Period, ProgramKind,
    ProgramPlan, Refused, Storage,
};
use crumbs_compiler::types::Type;
use crumbs_compiler::view::MapView;
use std::cell::RefCell;
use std::rc::Rc;

/// A host that notes what is asked of it.
#[derive(Default)]
struct Notes {
    calls: Rc<RefCell<Vec<&'static str>>>,
    refuse: bool,
}

impl Host<Fake> for Notes {
    fn attach(&mut self, _: &mut Fake) -> Result<(), Error> {
        self.calls.borrow_mut().push("attach");
        if self.refuse {
            return Err(Error::new("attach interval:s:1", "no"));
        }
        Ok(())
    }
    fn ready(&mut self) -> Result<(), Error> {
        self.calls.borrow_mut().push("ready");
        Ok(())
    }
    fn strftime(&mut self, format: &str) -> Vec<u8> {
        format.replace("%H", "09").into_bytes()
    }
}

/// Events of the test plan, by their number.
const PRINTF: u32 = 0;
const PRINT: u32 = 1;
const PRINT_MAP: u32 = 2;
const CLEAR: u32 = 3;
const EXIT: u32 = 4;
const TIME: u32 = 5;
const TAKE: u32 = 6;
const ZERO: u32 = 7;

fn event(kind: EventKind, args: &[Type]) -> Event {
    let mut offset = 8;
    let args: Vec<EventArg> = args
        .iter()
        .map(|ty| {
            let arg = EventArg {
                offset,
                ty: ty.clone(),
            };
            offset += ty.slot_size();
            arg
        })
        .collect();
    Event {
        kind,
        args,
        size: offset,
        span: Default::default(),
    }
}

/// `@x` a scalar at 32, `@c` a keyless count, `@s` text, and an event of each kind; no programs.
fn plan() -> Plan {
    let mut plan = fake::plan();
    let hash = BpfMap {
        symbol: "s".into(),
        kind: BpfMapKind::Hash,
        key_size: 4,
        value_size: 16,
        max_entries: 4096,
        flags: 0,
    };
    plan.bpf_maps.push(hash);
    let striped = Storage::Striped {
        offset: 64,
        bytes: 8,
        selector: None,
    };
    plan.maps = vec![
        fake::map("x", None, Type::I64, Storage::Words { offset: 32 }),
        fake::map("c", None, Type::Agg(agg(0)), striped),
        fake::map(
            "s",
            None,
            Type::Str(16),
            Storage::Hash(Generations::One(BpfMapId(2))),
        ),
    ];
    let map = MapId(0);
    let print_map = |then| EventKind::PrintMap {
        map,
        view: MapView::default(),
        then,
    };
    let format = Format {
        pieces: vec![
            Piece::Text(b"got ".to_vec()),
            Piece::Conversion(conversion("%d")),
            Piece::Text(b"\n".to_vec()),
        ],
    };
    plan.events = vec![
        event(EventKind::Printf(format), &[Type::I64]),
        event(EventKind::Print, &[Type::Str(16)]),
        event(print_map(AfterPrint::Keep), &[]),
        event(EventKind::Clear(map), &[]),
        event(EventKind::Exit, &[Type::I64]),
        event(EventKind::Time("%H\n".into()), &[]),
        event(print_map(AfterPrint::Clear), &[]),
        event(EventKind::Zero(map), &[]),
    ];
    plan
}

fn with_programs(attach: Vec<Attach>) -> Plan {
    let mut plan = plan();
    plan.programs = attach
        .into_iter()
        .map(|attach| ProgramPlan {
            symbol: String::new(),
            section: String::new(),
            kind: ProgramKind::RawTracepoint,
            sleepable: false,
            attach: vec![attach],
            span: Default::default(),
        })
        .collect();
    plan
}

fn begin() -> Attach {
    Attach::Begin { cookie: 0 }
}

fn interval() -> Attach {
    Attach::Interval {
        every: Period::Hertz(1),
        cookie: 0,
    }
}

fn end() -> Attach {
    Attach::End { cookie: 0 }
}

/// A record; `number` is 0 for what is no control event.
fn record(event: u32, number: u32, arg: Option<u64>) -> Vec<u8> {
    let mut bytes = [event.to_ne_bytes(), number.to_ne_bytes()].concat();
    bytes.extend(arg.iter().flat_map(|arg| arg.to_ne_bytes()));
    bytes
}

fn printf(state: &mut State, value: i64) {
    state.main.push_back(record(PRINTF, 0, Some(value as u64)));
}

/// Takes a number and sends a control event.
fn control(state: &mut State, event: u32, arg: Option<u64>) {
    let number = *state.word(MemoryPlan::CONTROL_SEQ);
    *state.word(MemoryPlan::CONTROL_SEQ) += 1;
    state.main.push_back(record(event, number as u32, arg));
}

fn set_x(state: &mut State, value: u64) {
    *state.word(32) = value;
    *state.word(40) = 1;
}

struct Outcome {
    code: Result<i32, Error>,
    results: String,
    diagnostics: String,
}

fn run_in(plan: &Plan, fake: &mut Fake, host: &mut Notes) -> Outcome {
    let (mut results, mut diagnostics) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut results, &mut diagnostics, false);
    let maps = Maps::with_aggregations(plan, fake::aggregation);
    let code = Session::new(plan, maps, &mut output, 77).run(fake, host, 77);
    Outcome {
        code,
        results: String::from_utf8(results).unwrap(),
        diagnostics: String::from_utf8(diagnostics).unwrap(),
    }
}

/// A run in which program 0 is `begin` and does `action`.
fn run_begin(plan: &Plan, action: impl FnMut(&mut State) + 'static) -> Outcome {
    let mut fake = Fake::new();
    fake.programs.insert(0, Box::new(action));
    run_in(plan, &mut fake, &mut Notes::default())
}

#[test]
fn maps_follow_two_newlines_in_the_order_of_their_names() {
    let outcome = run_begin(&with_programs(vec![begin()]), |state| {
        set_x(state, 5);
        *state.word(1024 + 64) = 2;
        state.put(2, &[0; 4], &[&[u64::from_ne_bytes(*b"short\0\0\0"), 0]]);
    });
    assert_eq!(outcome.results, "\n\n@c: 2\n@s: short\n@x: 5\n");
    assert_eq!(outcome.diagnostics, "Attached 1 probe\n");
    assert_eq!(outcome.code.unwrap(), 0);
}

#[test]
fn a_map_is_emptied_once_for_all_that_was_sent_before() {
    let mut plan = with_programs(vec![begin()]);
    plan.bpf_maps.push(plan.bpf_maps[2].clone());
    plan.maps[2].storage = Storage::Hash(Generations::Two {
        maps: [BpfMapId(2), BpfMapId(3)],
        selector: 48,
    });
    let map = MapId(2);
    let (view, then) = (MapView::default(), AfterPrint::Clear);
    let take = plan.events.len() as u32;
    plan.events
        .push(event(EventKind::PrintMap { map, view, then }, &[]));
    plan.events.push(event(EventKind::Clear(map), &[]));
    let text = |text: &[u8; 8]| [u64::from_ne_bytes(*text), 0];
    let mut fake = Fake::new();
    fake.programs.insert(
        0,
        Box::new(move |state| {
            state.put(2, &[0; 4], &[&text(b"first\0\0\0")]);
            for event in [take, take + 1, take] {
                control(state, event, None);
            }
        }),
    );
    // What comes while the first is handled is left for those who ask later.
    *fake.before.get_mut() = Some(Box::new(move |state, step| {
        if step == "quiesce" {
            state.put(3, &[0; 4], &[&text(b"second\0\0")]);
        }
    }));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "@s: first\n@s: \n\n\n@s: second\n");
    let log = fake.state.get_mut().log.clone();
    assert_eq!(log.iter().filter(|step| *step == "quiesce").count(), 1, "{log:?}");
}

#[test]
fn unset_maps_are_not_printed_nor_any_when_told_so() {
    let mut plan = with_programs(vec![begin()]);
    assert_eq!(run_begin(&plan, |_| {}).results, "\n\n");
    plan.settings.print_maps_on_exit = false;
    assert_eq!(run_begin(&plan, |state| set_x(state, 5)).results, "\n\n");
}

#[test]
fn events_of_every_kind() {
    let outcome = run_begin(&with_programs(vec![begin()]), |state| {
        printf(state, -3);
        let text = [&record(PRINT, 0, None)[..], b"eq"].concat();
        state.main.push_back(text);
        set_x(state, 9);
        control(state, PRINT_MAP, None);
        control(state, ZERO, None);
        control(state, PRINT_MAP, None);
        control(state, TAKE, None);
        control(state, PRINT_MAP, None);
        control(state, TIME, None);
        control(state, EXIT, Some(3));
        state.main.push_back(record(1000, 0, None));
        state.main.push_back(vec![1]);
    });
    assert_eq!(
        outcome.results,
        "got -3\neq\n@x: 9\n@x: 0\n@x: 0\n@x: 0\n09\n\n\n\n"
    );
    assert!(
        outcome.diagnostics.contains("event 1000"),
        "{}",
        outcome.diagnostics
    );
    assert_eq!(outcome.code.unwrap(), 3);
}

#[test]
fn the_start_time_is_there_before_begin_runs() {
    let outcome = run_begin(&with_programs(vec![begin()]), |state| {
        let start = *state.word(MemoryPlan::START);
        printf(state, start as i64);
    });
    assert_eq!(outcome.results, "got 77\n\n\n");
}

#[test]
fn after_exit_in_begin_only_end_runs() {
    let plan = with_programs(vec![begin(), begin(), interval(), end()]);
    let mut fake = Fake::new();
    fake.programs
        .insert(0, Box::new(|state| control(state, EXIT, Some(2))));
    fake.programs.insert(3, Box::new(|state| printf(state, 1)));
    let mut host = Notes::default();
    let outcome = run_in(&plan, &mut fake, &mut host);
    assert_eq!(fake.state.get_mut().log, ["run 0", "detach", "run 3"]);
    assert!(host.calls.borrow().is_empty());
    assert_eq!(outcome.results, "got 1\n\n\n");
    assert_eq!(outcome.diagnostics, "Attached 4 probes\n");
    assert_eq!(outcome.code.unwrap(), 2);
}

#[test]
fn a_run_goes_on_until_it_is_told_to_end() {
    for (wake, exits) in [
        (Wake::Interrupted, false),
        (Wake::TargetEnded, false),
        (Wake::Poll, true),
    ] {
        let plan = with_programs(vec![begin(), interval(), end()]);
        let mut fake = Fake::new();
        fake.programs.insert(0, Box::new(|state| printf(state, 0)));
        fake.programs.insert(2, Box::new(|state| printf(state, 9)));
        fake.waits
            .push_back((Box::new(|state| printf(state, 1)), Wake::Poll));
        let last = move |state: &mut State| {
            printf(state, 2);
            if exits {
                control(state, EXIT, Some(0));
            }
        };
        fake.waits.push_back((Box::new(last), wake));
        fake.waits
            .push_back((Box::new(|state| printf(state, 3)), Wake::Poll));
        let mut host = Notes::default();
        let outcome = run_in(&plan, &mut fake, &mut host);
        assert_eq!(outcome.results, "got 0\ngot 1\ngot 2\ngot 9\n\n\n", "{wake:?}");
        assert_eq!(*host.calls.borrow(), ["attach", "ready"]);
        assert_eq!(fake.state.get_mut().log, ["run 0", "detach", "run 2"]);
        assert_eq!(outcome.diagnostics, "Attached 3 probes\n");
    }
}

#[test]
fn a_refused_attachment_is_an_error_and_everything_is_detached() {
    let mut fake = Fake::new();
    let mut host = Notes {
        refuse: true,
        ..Notes::default()
    };
    let outcome = run_in(&with_programs(vec![interval(), end()]), &mut fake, &mut host);
    assert_eq!(outcome.code.unwrap_err().what, "attach interval:s:1");
    assert_eq!(fake.state.get_mut().log, ["detach"]);
    assert_eq!(outcome.results, "");
}

#[test]
fn a_writer_that_is_gone_ends_the_run_and_detaches() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let plan = with_programs(vec![begin(), interval()]);
    let mut fake = Fake::new();
    fake.programs.insert(0, Box::new(|state| printf(state, 0)));
    let mut output = TextOutput::new(Gone, io::sink(), false);
    let result = run(&plan, &mut fake, &mut Notes::default(), &mut output, 0);
    assert_eq!(result.unwrap_err().what, "write the output");
    assert_eq!(fake.state.get_mut().log, ["run 0", "detach"]);
}

#[test]
fn exit_flag_counts_where_no_ring_took_the_event() {
    let plan = with_programs(vec![interval()]);
    let mut fake = Fake::new();
    let full = |state: &mut State| {
        printf(state, 1);
        *state.word(MemoryPlan::CONTROL_SEQ) += 1;
        *state.word(MemoryPlan::EXIT) = 1 + 5;
    };
    fake.waits.push_back((Box::new(full), Wake::Poll));
    fake.waits
        .push_back((Box::new(|state| printf(state, 2)), Wake::Poll));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "got 1\n\n\n");
    assert_eq!(outcome.code.unwrap(), 5);
}

/// Control events of two rings: a program clears `@x` between two prints of it.
#[test]
fn losses_are_named_with_what_to_do() {
    let mut plan = with_programs(vec![interval()]);
    plan.losses = [
        LossKind::MapFull(MapId(2)),
        LossKind::Contended(MapId(1)),
        LossKind::Event,
        LossKind::Scratch,
        LossKind::Read,
    ]
    .into_iter()
    .zip(0..)
    .map(|(kind, i)| Loss { kind, offset: 8 * i })
    .collect();
    let lose = |state: &mut State| {
        for i in 0..5 {
            *state.word(1024 + 8 * i) += 1;
            *state.word(2048 + 8 * i) += u64::from(i);
        }
    };
    let mut fake = Fake::new();
    fake.waits.push_back((Box::new(lose), Wake::Poll));
    fake.waits.push_back((Box::new(lose), Wake::Poll));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(
        outcome.diagnostics.lines().collect::<Vec<_>>(),
        [
            "Attached 1 probe",
            // The second time within a second is left to the total.
            "Lost 3 events",
            "WARNING: 2 updates of @s were lost: the map is full at 4096 keys, and lacks those that came later. Give it more \
             room: config = { max_map_keys = 16384 }, or CRUMBS_MAX_MAP_KEYS=16384 in the environment",
            "WARNING: 4 updates of @c were lost: other programs were changing the same value, or the map, at that \
             moment. Spread it, for example with cpu or tid as a key",
            "WARNING: Total lost event count: 6. The ring buffer (16 pages) was full; give it more room: config = { \
             perf_rb_pages = 64 }, or print less often",
            "WARNING: 8 runs of a probe were skipped: too many interrupted each other while they worked on long \
             values. Shorten strings: config = { max_strlen = 256 }",
            "WARNING: 10 strings or values could not be read (not in memory, or a bad address); shown as \
             <unreadable> or 0",
        ]
    );
    assert_eq!(outcome.results, "\n\n");
}

#[test]
fn a_script_without_memory_or_rings_runs() {
    let mut plan = with_programs(vec![begin(), end()]);
    plan.memory = MemoryPlan::default();
    plan.rings = None;
    plan.maps.clear();
    let mut fake = Fake::new();
    fake.state.get_mut().memory.clear();
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "\n\n");
    assert_eq!(outcome.code.unwrap(), 0);
}
