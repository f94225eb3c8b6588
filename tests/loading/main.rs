//! Whatever compiles loads: random scripts over the whole language go through every stage and through the verifier of the
//! running kernel; and no text, however broken, makes a stage panic.
//!
//! | test | what holds |
//! |---|---|
//! | `scripts_compile` | every script that checks compiles |
//! | `scripts_load` | and the kernel accepts all of its programs |
//! | `candidates_are_mostly_valid` | the generator is about the language that there is |
//! | `broken_text` | random bytes, and golden scripts with pieces cut, moved and replaced, are refused or compiled |
//!
//! Unlike the differential tests, nothing here knows what a script means, so that nothing is left out for want of a second
//! opinion on it. The generator writes freely; what the checker refuses is left out of the script.
//!
//! A long run, some hours: `PROPTEST_CASES=100000 cargo test --release --test loading scripts_compile broken_text`, then
//! `PROPTEST_CASES=20000 cargo test --release --test loading scripts_load` as root. `PROPTEST_RNG_SEED` says which scripts.
#![expect(clippy::unwrap_used, reason = "tests")]

mod broken;
mod expressions;
mod generator;
mod statements;

use crumbs::stages;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::Target;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::load::LoadError;
use crumbs_runtime::kernel::{self, KernelBackend};
use generator::{Seed, seeds};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// As many cases as `PROPTEST_CASES` says, `default` unless it does; always the same ones, unless `PROPTEST_RNG_SEED`
/// gives another seed.
fn config(default: u32) -> Config {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    Config {
        cases: number("PROPTEST_CASES")
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(default),
        max_shrink_iters: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(number("PROPTEST_RNG_SEED").unwrap_or(1)),
        ..Config::default()
    }
}

fn options() -> Options {
    Options {
        allow_unsafe: true,
        params: vec!["7".into(), "word".into()],
        ..Options::default()
    }
}

/// A compiled script and the text that its places are in.
struct Made {
    compiled: Compiled,
    text: String,
}

fn said(diagnostics: &[Diagnostic]) -> String {
    let lines: Vec<String> = diagnostics
        .iter()
        .map(|d| format!("{} {}", d.code.id, d.message))
        .collect();
    lines.join("\n")
}

/// Compiles a script: the outer error is a mistake of the script, the inner one of the stages behind the checker.
fn make(script: &str, target: &dyn Target) -> Result<Result<Made, String>, String> {
    let checked = stages::check("random", script, target, &options()).map_err(|m| said(&m.diagnostics))?;
    let compiled = match driver::compile(&checked.script, target) {
        Ok(compiled) => compiled,
        Err(diagnostics) => return Ok(Err(said(&diagnostics))),
    };
    Ok(Ok(Made {
        compiled,
        text: checked.sources.text().to_owned(),
    }))
}

fn load(made: &Made) -> Result<(), LoadError> {
    let info = SourceInfo {
        name: "random",
        text: &made.text,
    };
    let elf = driver::write_object(&made.compiled, &info).unwrap_or_else(|errors| panic!("{errors:?}"));
    KernelBackend::load(&made.compiled.plan, &elf, kernel::Options::default()).map(drop)
}

/// This machine.
fn here() -> HostTarget {
    HostTarget::new(HostOptions::default())
}

/// Whether programs can be loaded on this machine; where not, says why the test is skipped.
#[expect(
    clippy::print_stdout,
    reason = "the harness shows it, and a skipped test must be seen"
)]
fn can_load() -> bool {
    let made = make("begin { @ = 1; }", &here()).unwrap().unwrap();
    match load(&made) {
        Ok(()) => true,
        Err(LoadError::Refused(error)) => {
            println!("skipped: {error}");
            false
        }
        Err(LoadError::Rejected(rejection)) => panic!("{}", rejection.into_error()),
    }
}

/// Runs `check` on the scripts of random seeds, for this machine.
fn for_all(default: u32, check: impl Fn(&str, &HostTarget) -> Result<(), String> + Sync) {
    // Deeply nested expressions need a large stack.
    let run = || {
        let target = here();
        let is_valid = |script: &str| stages::check("random", script, &target, &options()).is_ok();
        TestRunner::new(config(default)).run(&seeds(), |seed: Seed| {
            let script = seed.script(&is_valid).text;
            check(&script, &target).map_err(|reason| TestCaseError::fail(format!("{reason}\n{script}")))
        })
    };
    if let Err(error) = stages::on_large_stack(run).unwrap() {
        panic!("{error}");
    }
}

/// A script that checks, through the stages behind the checker.
fn compiles(script: &str, target: &HostTarget) -> Result<Made, String> {
    make(script, target).map_err(|reason| format!("not valid: {reason}"))?
}

#[test]
fn scripts_compile() {
    for_all(32, |script, target| compiles(script, target).map(drop));
}

#[test]
fn scripts_load() {
    if !can_load() {
        return;
    }
    for_all(32, |script, target| {
        load(&compiles(script, target)?).map_err(|error| match error {
            LoadError::Refused(error) => error.to_string(),
            LoadError::Rejected(rejection) => {
                let log: Vec<&str> = rejection.log.lines().collect();
                let tail = log[log.len().saturating_sub(60)..].join("\n");
                format!("{}\n{tail}", rejection.into_error())
            }
        })
    });
}

#[test]
fn candidates_are_mostly_valid() {
    let count = || {
        let target = here();
        let is_valid = |script: &str| stages::check("random", script, &target, &options()).is_ok();
        let mut runner = TestRunner::new(config(32));
        let (mut kept, mut written) = (0, 0);
        for _ in 0..24 {
            let seed = seeds().new_tree(&mut runner).unwrap().current();
            let script = seed.script(&is_valid);
            kept += script.kept;
            written += script.written;
        }
        (kept, written)
    };
    let (kept, written) = stages::on_large_stack(count).unwrap();
    assert!(kept * 3 > written * 2, "{kept} of {written} statements are valid");
}
