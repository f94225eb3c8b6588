//! Golden tests: scripts of `tests/golden` against what comes out of them, byte for byte.
//!
//! In: the cases of every file (their format is described in `tests/golden/cases.rs`) and the recorded machine
//! `tests/golden/target.txt`. `BLESS=1` writes what came out instead of comparing. What compiles is loaded into the running
//! kernel as well.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "differential/bytecode_rmw.rs"]
mod bytecode_rmw;
#[path = "golden/cases.rs"]
mod cases;
#[path = "golden/kernel.rs"]
mod kernel;
#[path = "golden/mixed.rs"]
mod mixed;

use cases::{Case, File};
use crumbs::render;
use crumbs::stages::{self, Mistaken};
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::hir;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{KernelVersion, Target};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::dump::dump;
use crumbs_grammar::format::format;
use crumbs_grammar::source::Sources;
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::show::text::TextOutput;
use crumbs_runtime::vm::{VmBackend, event};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// What a compiled case is called in its diagnostics.
const SCRIPT_NAME: &str = "script";

/// Where the cases are: `GOLDEN_DIR` where the tests run away from their source, as in a guest.
fn directory() -> PathBuf {
    let away = std::env::var_os("GOLDEN_DIR").map(PathBuf::from);
    away.unwrap_or_else(|| [env!("CARGO_MANIFEST_DIR"), "tests", "golden"].iter().collect())
}

/// The recorded machine.
fn target() -> FixtureTarget {
    let text = fs::read_to_string(directory().join("target.txt")).unwrap();
    FixtureTarget::parse(&text).unwrap()
}

/// The recorded machine as if it were an AArch64 one, with the binaries that only such a machine has.
fn target_aarch64() -> FixtureTarget {
    let [here, there] =
        ["target.txt", "target-aarch64.txt"].map(|name| fs::read_to_string(directory().join(name)).unwrap());
    let text = here.replacen("arch x86_64", "arch aarch64", 1) + &there;
    FixtureTarget::parse(&text).unwrap()
}

/// The machine of a case.
fn target_of(case: &Case, recorded: &FixtureTarget) -> FixtureTarget {
    let recorded = match case.section("arch").map(str::trim) {
        None => recorded.clone(),
        Some("aarch64") => target_aarch64(),
        Some(other) => panic!("{}: no machine is recorded for {other}", case.name()),
    };
    let recorded = case
        .files()
        .fold(recorded, |target, (name, text)| target.with_file(name, text));
    match case.section("kernel") {
        None => recorded,
        Some(version) => {
            let (major, minor) = version.trim().split_once('.').unwrap();
            recorded.with_kernel(KernelVersion {
                major: major.parse().unwrap(),
                minor: minor.parse().unwrap(),
            })
        }
    }
}

/// Every file of cases, by path.
fn files() -> Vec<(PathBuf, File)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "golden") {
            let file = File::parse(&fs::read_to_string(&path).unwrap());
            let file = file.unwrap_or_else(|reason| panic!("{}: {reason}", path.display()));
            found.push((path, file));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "there is no case in {}", directory().display());
    found
}

/// A case's compilation.
struct Compilation {
    script: hir::Script,
    sources: Sources,
    compiled: Compiled,
    warnings: Vec<Diagnostic>,
}

/// What a case says about how it is compiled.
fn options(case: &Case) -> Options {
    let config = case.section("config").unwrap_or_default().lines();
    Options {
        params: case
            .section("params")
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect(),
        config: config
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Options::default()
    }
}

/// Compiles a case for a machine.
fn compile(case: &Case, target: &dyn Target) -> Result<Compilation, Box<Mistaken>> {
    let checked = stages::check(SCRIPT_NAME, case.script(), target, &options(case))?;
    let sources = checked.sources;
    let compiled = driver::compile(&checked.script, target).map_err(|diagnostics| Mistaken {
        diagnostics: sources.settle(diagnostics),
        sources: sources.clone(),
    })?;
    Ok(Compilation {
        script: checked.script,
        sources,
        compiled,
        warnings: checked.warnings,
    })
}

/// What a run gave.
#[derive(Default)]
struct Outcome {
    output: String,
    stderr: String,
    exit: i32,
}

/// A machine that attaches everything, where it is always the same time of day, and where two seconds go by from one look
/// at the boot clock to the next.
struct StoppedClock {
    boot_clock: u64,
}

impl Host<VmBackend> for StoppedClock {
    fn now(&mut self) -> u64 {
        self.boot_clock += 2_000_000_000;
        self.boot_clock
    }

    fn strftime(&mut self, format: &str) -> Vec<u8> {
        let known = [("%H", "09"), ("%M", "02"), ("%S", "17"), ("%Y", "2026")];
        let text = known
            .iter()
            .fold(format.to_owned(), |text, (from, to)| text.replace(from, to));
        text.into_bytes()
    }
}

/// Runs a case in the VM.
fn simulate(case: &Case, compilation: &Compilation, target: &dyn Target) -> Outcome {
    let mut outcome = Outcome::default();
    match try_simulate(case, compilation, target, &mut outcome) {
        Ok(code) => outcome.exit = code,
        Err(reason) => {
            let _ = writeln!(outcome.stderr, "error: {reason}");
            outcome.exit = 1;
        }
    }
    outcome
}

fn try_simulate(
    case: &Case,
    compilation: &Compilation,
    target: &dyn Target,
    outcome: &mut Outcome,
) -> Result<i32, String> {
    let events = event::parse(case.section("events").unwrap_or_default()).map_err(|e| e.to_string())?;
    let Compiled { plan, programs, .. } = &compilation.compiled;
    let mut vm = VmBackend::new(plan, programs, &events, target).map_err(|e| e.to_string())?;
    let (mut results, mut diagnostics) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut results, &mut diagnostics, true);
    let start = vm.now();
    let code = session::run(
        plan,
        &mut vm,
        &mut StoppedClock { boot_clock: start },
        &mut output,
        start,
    );
    outcome.output = String::from_utf8_lossy(&results).into_owned();
    outcome.stderr = String::from_utf8_lossy(&diagnostics).into_owned();
    if let Some(failure) = vm.failure() {
        return Err(failure.to_string());
    }
    code.map_err(|e| e.to_string())
}

/// What came out of a case, as it should stand in its file.
fn actual(case: &Case, recorded: &FixtureTarget) -> Case {
    let mut actual = case.clone();
    let target = target_of(case, recorded);
    let wants = |kind| case.section(kind).is_some();
    match compile(case, &target) {
        Err(mistaken) => {
            let text = render::plain(&mistaken.sources, &mistaken.diagnostics);
            actual.set("diagnostics", &text, true);
            for kind in ["asm", "output", "stderr", "exit"] {
                actual.set(kind, "", false);
            }
        }
        Ok(compilation) => {
            let text = render::plain(&compilation.sources, &compilation.warnings);
            actual.set("diagnostics", &text, false);
            if wants("asm") {
                let text = stages::listing(
                    &compilation.script,
                    &compilation.compiled,
                    compilation.sources.text(),
                );
                actual.set("asm", &text, true);
            }
            if wants("output") {
                let outcome = simulate(case, &compilation, &target);
                actual.set("output", &outcome.output, true);
                actual.set("stderr", &outcome.stderr, false);
                let exit = match outcome.exit {
                    0 => String::new(),
                    code => format!("{code}\n"),
                };
                actual.set("exit", &exit, false);
            }
        }
    }
    actual
}

/// The sections in which two cases differ, as lines to read.
fn differences(expected: &Case, actual: &Case) -> String {
    let mut text = String::new();
    for kind in ["diagnostics", "asm", "output", "stderr", "exit"] {
        let (want, got) = (expected.section(kind), actual.section(kind));
        let is_recorded = kind == "output" && expected.is_bpftrace();
        let is_same = match (want, got) {
            // How many line breaks ended the text was not recorded.
            (Some(want), Some(got)) if is_recorded => {
                want.trim_end_matches('\n') == got.trim_end_matches('\n')
            }
            _ => want == got,
        };
        if !is_same {
            let show = |text: Option<&str>| text.map_or("(nothing)\n".to_owned(), str::to_owned);
            let _ = write!(
                text,
                "--- {kind}, expected\n{}--- {kind}, came out\n{}",
                show(want),
                show(got)
            );
        }
    }
    text
}

/// Compares the cases of the files that `select` accepts by their name.
fn check(select: impl Fn(&str) -> bool + Sync) {
    let is_blessing = std::env::var_os("BLESS").is_some();
    let work = || {
        let recorded = target();
        let mut broken = Vec::new();
        let mut compared = 0;
        for (path, file) in files() {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if !select(&name) {
                continue;
            }
            let mut blessed = file.clone();
            for (case, blessed) in file.cases.iter().zip(&mut blessed.cases) {
                let actual = actual(case, &recorded);
                compared += 1;
                let differences = differences(case, &actual);
                if is_blessing && !case.is_bpftrace() {
                    *blessed = actual;
                } else if !differences.is_empty() {
                    broken.push(format!(
                        "{name}, {}:
{differences}",
                        case.name()
                    ));
                }
            }
            if is_blessing && blessed != file {
                fs::write(&path, blessed.text()).unwrap();
            }
        }
        assert!(compared > 0, "no case was compared");
        broken
    };
    let broken = stages::on_large_stack(work).unwrap();
    assert!(
        broken.is_empty(),
        "{} cases differ (BLESS=1 takes what came out over):\n\n{}",
        broken.len(),
        broken.join("\n")
    );
}

#[test]
fn instructions() {
    check(|file| file.starts_with("asm"));
}

#[test]
fn output_in_the_vm() {
    check(|file| file.starts_with("output"));
}

#[test]
fn samples_of_bpftrace() {
    check(|file| file.starts_with("bpftrace"));
}

#[test]
fn diagnostics() {
    check(|file| file.starts_with("diagnostics"));
}

/// Formatting a script changes neither its tree nor, done again, its text.
#[test]
fn formatting_keeps_the_meaning() {
    let examples: PathBuf = [env!("CARGO_MANIFEST_DIR"), "examples"].iter().collect();
    // In a guest there are none.
    let examples = fs::read_dir(examples).into_iter().flatten();
    let examples = examples.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let goldens = files().into_iter().flat_map(|(_, file)| file.cases);
    let scripts = goldens.map(|case| case.script().to_owned()).chain(examples);
    let mut count = 0;
    for script in scripts {
        let parsed = crumbs_grammar::parse(&script);
        if !parsed.diagnostics.is_empty() {
            continue;
        }
        let once = format(&script).unwrap();
        assert_eq!(format(&once).unwrap(), once, "of {script}");
        let again = crumbs_grammar::parse(&once);
        assert_eq!(dump(&again.script), dump(&parsed.script), "of {script}");
        assert_eq!(
            again.script.comments.len(),
            parsed.script.comments.len(),
            "of {script}"
        );
        count += 1;
    }
    assert!(count > 300, "{count} scripts");
}

#[test]
fn every_file_belongs_to_a_test() {
    for (path, file) in files() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let kinds = ["asm", "output", "bpftrace", "diagnostics"];
        assert!(
            kinds.iter().any(|kind| name.starts_with(kind)),
            "{name}: no test reads it"
        );
        assert_eq!(
            File::parse(&file.text()).as_ref(),
            Ok(&file),
            "{name}: does not survive writing"
        );
        for case in &file.cases {
            assert!(
                case.sections.len() > 1,
                "{name}, {}: expects nothing",
                case.name()
            );
        }
    }
}

/// Cases whose script itself reads, changes and writes an element in separate steps, which nothing can make one; and those
/// of elements that only one thread ever writes.
const OWN_UPDATES: &[&str] = &[
    "output-calls: completed calls of a function of the kernel",
    "output-probe-kinds: calls that return, are left, are not noted",
];

#[test]
fn every_update_is_atomic() {
    let work = || {
        let recorded = target();
        let mut broken = Vec::new();
        let mut checked = 0;
        for (path, file) in files() {
            for case in &file.cases {
                let Ok(compilation) = compile(case, &target_of(case, &recorded)) else {
                    continue;
                };
                let Compiled { plan, programs, .. } = &compilation.compiled;
                checked += programs.len();
                let updates: usize = programs
                    .iter()
                    .map(|program| bytecode_rmw::plain_updates(program, plan).len())
                    .sum();
                let name = format!("{}: {}", path.file_stem().unwrap().to_string_lossy(), case.name());
                if (updates > 0) != OWN_UPDATES.contains(&name.as_str()) {
                    broken.push(format!("{name}: {updates} plain updates"));
                }
            }
        }
        assert!(checked > 100, "only {checked} programs were checked");
        broken
    };
    let broken = stages::on_large_stack(work).unwrap();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
