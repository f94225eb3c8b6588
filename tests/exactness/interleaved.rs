//! On the user-space VM: every order in which programs that preempt each other can go on, up to a number of preemptions.
//!
//! What scripts compute must be what some order of whole runs gives; where runs commute, that is one outcome.

use crate::faults::Fault;
use crate::observe::compile;
use crate::simulated::{Simulation, fixture};
use crumbs_compiler::aggregation::ALL;
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_runtime::session;
use crumbs_runtime::show::text::TextOutput;
use crumbs_runtime::vm::schedule::{Exhaustive, Fixed, Schedule};
use crumbs_runtime::vm::{Event, VmBackend, event};
use std::collections::BTreeMap;

/// How often runs are preempted at most where nothing else is said: two find what one run does to another in the middle of it.
const PREEMPTIONS: u32 = 2;

/// What a run printed, warnings of losses behind a line `lost`; and how many schedules gave it.
type Outcomes = BTreeMap<String, u64>;

/// A script and events that happen at the same time.
struct Scene {
    target: FixtureTarget,
    compiled: Compiled,
    events: Vec<Event>,
}

impl Scene {
    fn new(script: &str, events: &str) -> Self {
        let target = fixture();
        Self {
            compiled: compile(script, &target),
            target,
            events: event::parse(events).unwrap(),
        }
    }

    fn broken(script: &str, events: &str, fault: Fault) -> Self {
        let mut scene = Self::new(script, events);
        fault.plant(&mut scene.compiled);
        scene
    }

    /// What is printed when the events happen in the order that `schedule` gives, and then the run ends.
    fn outcome(&self, order: &[usize], schedule: &mut dyn Schedule) -> String {
        let Compiled { plan, programs, .. } = &self.compiled;
        let mut backend = VmBackend::new(plan, programs, &[], &self.target).unwrap();
        let events: Vec<Event> = order.iter().map(|&number| self.events[number].clone()).collect();
        backend.run_interleaved(&events, schedule).unwrap();
        let (mut text, mut lost) = (Vec::new(), Vec::new());
        let mut output = TextOutput::new(&mut text, &mut lost, true);
        let start = backend.now();
        session::run(plan, &mut backend, &mut Simulation, &mut output, start).unwrap();
        let mut text = String::from_utf8(text).unwrap().trim().to_owned();
        if !lost.is_empty() {
            text.push_str("\nlost\n");
            text.push_str(&String::from_utf8(lost).unwrap());
        }
        text
    }

    /// What comes out of every schedule.
    fn explored(&self, preemptions: u32) -> Outcomes {
        let mut outcomes = Outcomes::new();
        let mut schedules = Exhaustive::with_preemptions(preemptions);
        let order: Vec<usize> = (0..self.events.len()).collect();
        while schedules.begin() {
            *outcomes.entry(self.outcome(&order, &mut schedules)).or_default() += 1;
        }
        outcomes
    }

    /// Every schedule must come out as some order of whole runs does.
    fn assert_as_if_serial(&self, what: &str, preemptions: u32) {
        // Each run is over before the next begins, in every order.
        let (serial, explored) = (self.explored(0), self.explored(preemptions));
        let strange: Vec<&String> = explored
            .keys()
            .filter(|text| !serial.contains_key(*text))
            .collect();
        assert!(
            strange.is_empty(),
            "{what}: {strange:#?} is what no order of whole runs gives; they give {serial:#?}"
        );
        assert!(
            serial.keys().all(|text| !text.contains("\nlost\n")),
            "{what}: {serial:#?}"
        );
    }
}

/// Two runs on one CPU, of which one preempts the other or both each other.
const SAME_CPU: &str = "uprobe:libc:write tid=1 arg0=1 arg2=5\nuprobe:libc:write tid=2 arg0=1 arg2=9";
/// Two runs on two CPUs.
const TWO_CPUS: &str =
    "uprobe:libc:write tid=1 arg0=1 arg2=5 cpu=0\nuprobe:libc:write tid=2 arg0=1 arg2=9 cpu=1";

/// A statement that uses an aggregation on `arg2`.
fn update(name: &str, key: &str) -> String {
    let call = match name {
        "count" => "count()",
        "lhist" => "lhist(arg2, 0, 100, 10)",
        "tseries" => "tseries(arg2, 1s, 5)",
        "percentiles" => "percentiles(arg2)",
        other => return format!("@a{key} = {other}(arg2);"),
    };
    format!("@a{key} = {call};")
}

#[test]
fn aggregations() {
    for aggregation in ALL {
        for key in ["", "[arg0]", "[arg2]"] {
            let script = format!("uprobe:libc:write {{ {} }}", update(aggregation.name(), key));
            for events in [SAME_CPU, TWO_CPUS] {
                let scene = Scene::new(&script, events);
                let serial = scene.explored(0);
                if aggregation.name() == "tseries" {
                    // An interval has the last of its numbers. One that comes while the slot is being emptied is given up
                    // and counted.
                    for text in scene.explored(PREEMPTIONS).keys() {
                        let shown = text
                            .split_once("\nlost\n")
                            .map_or(text.as_str(), |(shown, _)| shown);
                        assert!(serial.contains_key(shown), "{script}: {text}");
                    }
                    continue;
                }
                scene.assert_as_if_serial(&script, PREEMPTIONS);
                // Runs commute.
                assert_eq!(serial.len(), 1, "{script}: {serial:#?}");
            }
        }
    }
}

#[test]
fn updates_of_numbers() {
    let operations = [
        "++", "--", "+= arg2", "-= arg2", "|= arg2", "&= arg2", "^= arg2", "*= arg2", "<<= arg0", "= arg2",
    ];
    for operation in operations {
        for place in ["@n", "@n[1]", "@n[arg0, arg0]"] {
            let script = format!("uprobe:libc:write {{ {place} {operation}; }}");
            for events in [SAME_CPU, TWO_CPUS] {
                Scene::new(&script, events).assert_as_if_serial(&script, PREEMPTIONS);
            }
        }
    }
}

/// Keys that come and go, and the length that is counted beside them.
#[test]
fn keys_and_lengths() {
    let scripts = [
        "uprobe:libc:write { @n[arg0] = tid; } uprobe:libc:read { delete(@n, arg0); } end { print(len(@n)); }",
        "uprobe:libc:write { @n[arg0]++; } uprobe:libc:read { @n[arg0]++; @n[arg1] = 1; } end { print(len(@n)); }",
        "uprobe:libc:write { @n[arg2] = count(); } uprobe:libc:read { @n[arg0] = count(); } end { print(len(@n)); }",
        "uprobe:libc:write { @n[arg0] = count(); } uprobe:libc:read { delete(@n, arg0); } end { print(len(@n)); }",
    ];
    let events = "uprobe:libc:write tid=1 arg0=1 arg2=1\nuprobe:libc:read tid=2 arg0=1 arg1=1";
    for script in scripts {
        Scene::new(script, events).assert_as_if_serial(script, PREEMPTIONS + 1);
    }
}

/// Texts in scratch memory: each run has a slot of its own, whoever ends first.
const TEXTS: &str = "uprobe:libc:write { @[str(arg1, 600)] = count(); }";

fn long_texts(runs: usize) -> String {
    let event = |run: usize| {
        let letter = char::from(b'a' + run as u8);
        let text = letter.to_string().repeat(580);
        format!(
            "uprobe:libc:write tid={} cpu=0 arg1=0x1000 mem[0x1000]=\"{text}\\0\"\n",
            run + 1
        )
    };
    (0..runs).map(event).collect()
}

#[test]
fn scratch_memory() {
    for runs in [2, 3] {
        let scene = Scene::new(TEXTS, &long_texts(runs));
        assert!(scene.compiled.plan.memory.scratch.slots >= 3);
        scene.assert_as_if_serial(TEXTS, if runs == 2 { 3 } else { 1 });
    }
}

/// More runs at once on a CPU than slots that each of them tries: those without one do nothing, which is counted; the
/// others are not disturbed.
#[test]
fn scratch_memory_is_exhausted() {
    // `MAX_TRIES` of the compiler's `place::scratch`.
    const TRIED: usize = 8;
    let runs = TRIED + 3;
    let scene = Scene::new(TEXTS, &long_texts(runs));
    let order: Vec<usize> = (0..runs).collect();
    // Each run goes on a little in turn, so that none ends before all have begun.
    let turns = (0..40).flat_map(|_| (0..runs).map(|lane| (lane, 5)));
    let text = scene.outcome(&order, &mut Fixed::new(turns));
    let (shown, lost) = text.split_once("\nlost\n").expect("something is lost");
    let delivered: u64 = shown
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let refused: u64 = lost.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert_eq!(refused, 3, "{lost}");
    assert_eq!(delivered + refused, runs as u64, "{text}");
    for line in shown.lines() {
        let text = line.trim_start_matches("@[").split(']').next().unwrap();
        let first = text.chars().next();
        assert!(
            text.len() >= 580 && text.chars().all(|c| Some(c) == first),
            "{line}"
        );
    }
    // One after the other they all find one.
    let text = scene.outcome(&order, &mut Fixed::new([]));
    assert!(!text.contains("lost"), "{text}");
    assert_eq!(text.lines().count(), runs);
}

/// Records of the ring are whole, and control events are done once each.
#[test]
fn records() {
    for script in [
        "uprobe:libc:write { printf(\"%d %d\\n\", tid, arg2); }",
        "uprobe:libc:write { @n = count(); print(@n); }",
        "uprobe:libc:write { @n++; printf(\"%d\\n\", tid); }",
    ] {
        Scene::new(script, SAME_CPU).assert_as_if_serial(script, PREEMPTIONS);
    }
}

/// What a program reads of an average is what it was before or behind an update that another CPU is in the middle of, while
/// both go on.
#[test]
fn averages_that_programs_read() {
    let events = "uprobe:libc:write tid=1 arg0=1 arg2=100 cpu=0\nuprobe:libc:write tid=1 arg0=1 arg2=100 cpu=0\n\
        uprobe:libc:read tid=2 arg0=1 cpu=1";
    let (first, second, reader) = (0, 1, 2);
    for (update, read) in [
        ("@a = avg(arg2);", "@seen[@a] = count();"),
        ("@a[arg0] = avg(arg2);", "@seen[@a[arg0]] = count();"),
        (
            "@a[arg0] = avg(arg2);",
            "for ($kv : @a) { @seen[$kv.1] = count(); }",
        ),
    ] {
        let scene = Scene::new(
            &format!("uprobe:libc:write {{ {update} }} uprobe:libc:read {{ {read} }}"),
            events,
        );
        let order: Vec<usize> = (0..scene.events.len()).collect();
        for (begun, turn) in (0..120).flat_map(|begun| [1, 2, 3, 5, 8, 13].map(|turn| (begun, turn))) {
            let turns = (0..2000).flat_map(|_| [(reader, turn), (second, turn)]);
            let mut schedule = Fixed::new([(first, 1000), (second, begun)].into_iter().chain(turns));
            let text = scene.outcome(&order, &mut schedule);
            assert!(text.contains("@seen[100]: 1"), "{read} {begun} {turn}: {text}");
        }
    }
}

/// Without their protection, runs disturb each other, and the same exploration finds it.
#[test]
fn planted_faults_are_found() {
    let outcomes =
        |script: &str, events: &str, fault: Fault| Scene::broken(script, events, fault).explored(1).len();
    let plain = Fault::PlainUpdates { pause: 0 };
    for script in [
        "uprobe:libc:write { @n++; }",
        "uprobe:libc:write { @n[1]++; }",
        "uprobe:libc:write { @n = count(); }",
        "uprobe:libc:write { @n = max(arg2); }",
        "uprobe:libc:write { @n[1] = hist(5); }",
    ] {
        assert!(outcomes(script, SAME_CPU, plain) > 1, "{script}");
    }
    let shared = Fault::SharedScratch { pause: 0 };
    assert!(outcomes(TEXTS, &long_texts(2), shared) > 1);
}
