//! Random scripts mean the same to everyone: the user-space VM, the kernel, and a direct evaluator of typed HIR that
//! shares no code with lowering.
//!
//! | test | what holds of every generated script |
//! |---|---|
//! | `scripts_are_valid` | the checker accepts it, and no stage panics |
//! | `vm_agrees` | VM and evaluator print the same text, maps included |
//! | `kernel_agrees` | so does the kernel, for scripts that need no event |
//! | `kernel_accepts` | the verifier accepts every program |
//! | `no_plain_update` | no program reads, changes and writes map memory in separate steps |
//!
//! `PROPTEST_CASES` sets the number of scripts of each test, `PROPTEST_RNG_SEED` which ones. A failure prints the script
//! that it shrank to; once it is understood, the script goes to `scripts.rs`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod aggregation;
mod bytecode_rmw;
mod bytes;
mod evaluator;
mod generator;
#[path = "../golden/mixed.rs"]
mod mixed;
mod planted_updates;
#[path = "../random/config.rs"]
mod random;
mod run_kernel;
mod run_vm;
mod scripts;
#[path = "../random/tape.rs"]
mod tape;
mod world;

use crumbs_compiler::bpf::disasm::listing;
use crumbs_compiler::check::check;
use crumbs_compiler::driver;
use crumbs_compiler::hir;
use crumbs_compiler::options::Options;
use crumbs_compiler::plan::Attach;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{Feature, Target};
use crumbs_grammar::diagnostic::{Diagnostic, Severity};
use crumbs_runtime::show::text::TextOutput;
use evaluator::Machine;
use generator::{Case, Profile};
use mixed::Mixed;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeMap;
use tape::Tape;
use world::{Event, Field};

/// The machine that scripts are compiled for.
pub fn fixture() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../golden/target.txt")).unwrap()
}

/// Cases of a test.
fn config(default: u32) -> Config {
    random::config(default, 4000)
}

/// Any script.
const ANY: Profile = Profile {
    only_begin: false,
    self_assignment: true,
};

/// Checks a script.
pub fn checked(script: &str, target: &dyn Target) -> Result<hir::Script, String> {
    let parsed = crumbs_grammar::parse(script);
    let mut errors = errors(&parsed.diagnostics, script);
    if !errors.is_empty() {
        return Err(errors);
    }
    let (hir, diagnostics) = check(
        &parsed.script,
        &crumbs_grammar::source::Sources::new("script", script),
        target,
        &Options::default(),
    );
    errors = self::errors(&diagnostics, script);
    match hir {
        Some(hir) if errors.is_empty() => Ok(hir),
        _ => Err(errors),
    }
}

/// Compiles a checked script.
pub fn compiled(hir: &hir::Script, script: &str, target: &dyn Target) -> Result<driver::Compiled, String> {
    driver::compile(hir, target).map_err(|diagnostics| errors(&diagnostics, script))
}

/// The errors among diagnostics as text, with the piece of script that each is about.
fn errors(diagnostics: &[Diagnostic], script: &str) -> String {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let lines: Vec<String> = errors
        .map(|d| {
            let span = d.primary.span;
            let text = script.get(span.start as usize..span.end as usize).unwrap_or("");
            format!(
                "{} {}: {} {:?}\n    {text}",
                d.code.id, d.message, d.primary.message, d.help
            )
        })
        .collect();
    lines.join("\n")
}

/// Addresses that events pass, and what is there. The last one is not mapped, nor is 0.
const ADDRESSES: [u64; 7] = [0, 0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x66600];

fn memory() -> Vec<(u64, Vec<u8>)> {
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    vec![
        (ADDRESSES[1], text("hello")),
        (ADDRESSES[2], text("")),
        (ADDRESSES[3], text(&"0123456789".repeat(150))),
        (ADDRESSES[4], text(&"a".repeat(63))),
        (ADDRESSES[5], text("a")),
    ]
}

/// The events of a case, at places that the script is attached to.
pub fn events(case: &Case, script: &hir::Script, target: &dyn Target) -> Vec<(Event, world::Context)> {
    let mut places: BTreeMap<&str, &Attach> = BTreeMap::new();
    for attach in script.probes.iter().flat_map(|probe| &probe.attach) {
        for cookie in evaluator::cookies(attach) {
            places.insert(&script.sites[cookie as usize].probe, attach);
        }
    }
    let places: Vec<_> = places.into_iter().collect();
    if places.is_empty() {
        return Vec::new();
    }
    let mut time = 1000;
    let events = case.events.iter().map(|numbers| {
        let mut tape = Tape::new(numbers);
        let (probe, attach) = *tape.pick(&places);
        time += 1 + u64::from(tape.next());
        let mut event = random_event(&mut tape, probe, time);
        let Attach::Tracepoint {
            category,
            event: name,
            ..
        } = attach
        else {
            let context = match attach.is_run_by_us() {
                true => world::Context::None,
                false => world::Context::Registers,
            };
            return (event, context);
        };
        let format = target.tracepoint(category, name).unwrap();
        for field in &format.fields {
            let value = match (field.array, field.size, field.location) {
                (None, size, crumbs_compiler::target::FieldLocation::Inline) => {
                    let number = if field.c_type.contains('*') {
                        *tape.pick(&ADDRESSES) as i64
                    } else {
                        i64::from(tape.next() as i16) * [1, 1, 40_000][tape.below(3)]
                    };
                    let bits = 64 - 8 * size;
                    Field::Number((number << bits) >> bits)
                }
                (Some(_), size, crumbs_compiler::target::FieldLocation::Inline) => {
                    let mut bytes = text(&mut tape, size as usize - 1);
                    bytes.resize(size as usize, 0);
                    Field::Bytes(bytes)
                }
                _ => Field::Bytes([&text(&mut tape, 40)[..], b"\0"].concat()),
            };
            event.fields.push((field.name.clone(), value));
        }
        event.lay_out(&format);
        (event, world::Context::Record)
    });
    events.collect()
}

fn text(tape: &mut Tape<'_>, most: usize) -> Vec<u8> {
    let len = tape.below(most + 1);
    (0..len).map(|i| b"abcdefghij/. -"[i % 14]).collect()
}

fn random_event(tape: &mut Tape<'_>, probe: &str, time: u64) -> Event {
    let mut event = Event {
        probe: probe.to_owned(),
        pid: 1 + tape.below(3) as u32,
        cpu: tape.below(4) as u32,
        comm: text(tape, 15),
        time,
        memory: memory(),
        ..Event::default()
    };
    event.tid = event.pid + tape.below(3) as u32;
    (event.uid, event.gid) = (tape.below(3) as u32 * 1000, tape.below(2) as u32);
    event.args[0] = tape.below(5) as u64;
    event.args[1] = *tape.pick(&ADDRESSES);
    event.args[2] = u64::from(tape.next()) >> tape.below(16);
    event.args[3] = (tape.next() as i16) as u64;
    event.args[4] = u64::from(tape.next()) << 48;
    event.args[5] = *tape.pick(&ADDRESSES);
    event.retval = *tape.pick(&[0, 1, u64::MAX, 100, 0x10000]);
    event
}

/// What the evaluator prints.
pub fn evaluated(script: &hir::Script, machine: &Machine, events: &[Event]) -> String {
    let mut text = Vec::new();
    let mut output = TextOutput::new(&mut text, std::io::sink(), true);
    evaluator::run(script, machine, events, &mut output);
    String::from_utf8_lossy(&text).into_owned()
}

/// VM and evaluator agree on a case.
pub fn compare_with_vm(case: &Case) -> Result<(), String> {
    let target = fixture();
    let hir = checked(&case.script, &target)?;
    let compiled = compiled(&hir, &case.script, &target)?;
    let events = events(case, &hir, &target);
    let machine = Machine {
        arch: target.arch(),
        cpus: target.possible_cpus(),
        start: run_vm::START,
        tracer: Event {
            pid: 1,
            tid: 1,
            ..Event::default()
        },
    };
    let plain: Vec<Event> = events.iter().map(|(event, _)| event.clone()).collect();
    let expected = evaluated(&hir, &machine, &plain);
    let found = run_vm::run(&compiled, &events, &target)?;
    same(&expected, &found)
}

/// Shows the first difference.
pub fn same(expected: &str, found: &str) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let lines = expected.lines().zip(found.lines()).position(|(a, b)| a != b);
    let at = lines.map_or("the end".into(), |line| format!("line {}", line + 1));
    Err(format!(
        "the text differs at {at}\n--- evaluator\n{expected}\n--- programs\n{found}\n---"
    ))
}

/// Runs `check` on random cases of a profile.
fn for_all(default: u32, profile: Profile, check: impl Fn(&Case) -> Result<(), String>) {
    let mut runner = TestRunner::new(config(default));
    let result = runner.run(&generator::cases(profile), |case| {
        check(&case).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn scripts_are_valid() {
    let target = fixture();
    for_all(256, ANY, |case| checked(&case.script, &target).map(drop));
}

#[test]
fn vm_agrees() {
    for_all(128, ANY, compare_with_vm);
}

/// This machine, if programs can be loaded; else says why the test is skipped.
#[expect(
    clippy::print_stdout,
    reason = "the harness shows it, and a skipped test must be seen"
)]
fn here() -> Option<Mixed> {
    run_kernel::here()
        .map_err(|reason| println!("skipped: {reason}"))
        .ok()
}

/// A compiled script; `None` for one that needs what an old kernel has not, of which it was told so.
fn possible(
    compiled: Result<driver::Compiled, String>,
    here: &Mixed,
) -> Result<Option<driver::Compiled>, String> {
    let told = |reason: &String| {
        [&driver::NEEDS_KERNEL, &driver::NO_ROOM]
            .iter()
            .any(|code| reason.starts_with(code.id))
    };
    match compiled {
        Err(reason) if told(&reason) && !here.has(Feature::FullAtomics) => Ok(None),
        Err(reason) => Err(reason),
        Ok(compiled) => Ok(Some(compiled)),
    }
}

#[test]
fn kernel_agrees() {
    let Some(here) = here() else { return };
    let profile = Profile {
        only_begin: true,
        ..ANY
    };
    let machine = run_kernel::machine(&here);
    for_all(64, profile, |case| {
        let hir = checked(&case.script, &here)?;
        let Some(compiled) = possible(compiled(&hir, &case.script, &here), &here)? else {
            return Ok(());
        };
        let found = run_kernel::run(&compiled, &case.script)?;
        same(&evaluated(&hir, &machine, &[]), &found)
    });
}

#[test]
fn kernel_accepts() {
    let Some(here) = here() else { return };
    for_all(64, ANY, |case| {
        let hir = checked(&case.script, &here)?;
        match possible(compiled(&hir, &case.script, &here), &here)? {
            Some(compiled) => run_kernel::accepts(&compiled, &case.script),
            None => Ok(()),
        }
    });
}

#[test]
fn no_plain_update() {
    let target = fixture();
    let profile = Profile {
        self_assignment: false,
        ..ANY
    };
    for_all(128, profile, |case| {
        let hir = checked(&case.script, &target)?;
        let compiled = compiled(&hir, &case.script, &target)?;
        for program in &compiled.programs {
            if let Some(update) = bytecode_rmw::plain_updates(program, &compiled.plan).first() {
                let text = listing(program, &case.script, &compiled.plan.bpf_maps);
                return Err(format!("{}: {update:?}\n{text}", program.symbol));
            }
        }
        Ok(())
    });
}
