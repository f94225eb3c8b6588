//! Whatever compiles loads: random scripts over the whole language go through every stage and through the verifier of the
//! running kernel. (Texts that are no scripts are in `tests/fuzz`.)
//!
//! | test | what holds |
//! |---|---|
//! | `scripts_compile` | every script that checks compiles, and for older kernels does so or says what it needs |
//! | `scripts_load` | and the kernel accepts all of its programs |
//! | `every_word_is_written` | the generator has every function, builtin and aggregation |
//! | `candidates_are_mostly_valid` | the generator is about the language that there is |
//!
//! Unlike the differential tests, nothing here knows what a script means, so that nothing is left out for want of a second
//! opinion on it. The generator writes freely; what the checker refuses is left out of the script.
//!
//! Each run of scripts says how often they reached each row of the compiler's features, spilling and scratch memory; what a
//! run of at least [`MANY`] scripts has not reached fails it.
//!
//! A long run, some hours: `PROPTEST_CASES=100000 cargo test --release --test loading scripts_compile`, then
//! `PROPTEST_CASES=20000 cargo test --release --test loading scripts_load` as root. `PROPTEST_RNG_SEED` says which scripts.
#![expect(clippy::unwrap_used, reason = "tests")]

mod expressions;
mod generator;
mod older;
#[path = "../random/config.rs"]
mod random;
mod reached;
mod statements;
#[path = "../random/tape.rs"]
mod tape;

use crumbs::stages;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::Target;
use crumbs_compiler::{aggregation, builtin, function};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::load::LoadError;
use crumbs_runtime::kernel::{self, KernelBackend};
use generator::{Seed, seeds};
use older::{Older, RELEASES};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use reached::Reached;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Cases of a test.
fn config(default: u32) -> Config {
    random::config(default, 200)
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

/// So many scripts reach everything that is counted.
const MANY: u64 = 2000;

/// Runs `check` on the scripts of random seeds, for this machine, and says what they have reached.
#[expect(clippy::print_stdout, reason = "the report of a long run")]
fn for_all(default: u32, check: impl Fn(&str, &HostTarget, &mut Reached) -> Result<(), String> + Sync) {
    // Deeply nested expressions need a large stack.
    let run = || {
        let target = here();
        let reached = RefCell::new(Reached::default());
        let is_valid = |script: &str| stages::check("random", script, &target, &options()).is_ok();
        let outcome = TestRunner::new(config(default)).run(&seeds(), |seed: Seed| {
            let script = seed.script(&is_valid).text;
            check(&script, &target, &mut reached.borrow_mut())
                .map_err(|reason| TestCaseError::fail(format!("{reason}\n{script}")))
        });
        (outcome.map_err(|error| error.to_string()), reached.into_inner())
    };
    let (outcome, reached) = stages::on_large_stack(run).unwrap();
    println!("{reached}");
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let missing = reached.missing();
    assert!(
        reached.scripts() < MANY || missing.is_empty(),
        "never reached: {missing:?}"
    );
}

/// Compiles a script for an older kernel, which its length chooses: it may need a newer one, but not be at fault itself.
fn compiles_for_older(script: &str, target: &HostTarget, reached: &mut Reached) -> Result<(), String> {
    let older = Older {
        here: target,
        kernel: RELEASES[script.len() % RELEASES.len()],
        lacked: RefCell::default(),
    };
    let made = make(script, &older);
    older
        .lacked
        .take()
        .into_iter()
        .for_each(|feature| reached.lacked(feature));
    match made {
        Ok(Err(reason)) if reason.contains(driver::INTERNAL.id) => {
            Err(format!("for kernel {}: {reason}", older.kernel))
        }
        // What cannot be done there may be found by any stage.
        _ => Ok(()),
    }
}

/// A script that checks, through the stages behind the checker.
fn compiles(script: &str, target: &HostTarget) -> Result<Made, String> {
    make(script, target).map_err(|reason| format!("not valid: {reason}"))?
}

#[test]
fn scripts_compile() {
    for_all(32, |script, target, reached| {
        reached.compiled(&compiles(script, target)?.compiled);
        compiles_for_older(script, target, reached)
    });
}

#[test]
fn scripts_load() {
    if !can_load() {
        return;
    }
    let trampoline = make("fentry:vfs_read { }", &here());
    let has_trampolines = trampoline.is_ok_and(|made| load(&made.unwrap()).is_ok());
    for_all(32, |script, target, reached| {
        let made = compiles(script, target)?;
        reached.compiled(&made.compiled);
        // Some machines forbid them to everyone.
        if !has_trampolines && (script.contains("fentry:") || script.contains("fexit:")) {
            return Ok(());
        }
        load(&made).map_err(|error| match error {
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

/// Words that the generator leaves out, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    ("override", "kernels may be built without it"),
    ("write_user", "kernels may be locked against it"),
    (
        "unwatch",
        "only probes on watched memory may call it, of which a machine has four",
    ),
    (
        "uaddr",
        "the program that runs the test has no symbols that every build has",
    ),
];

#[test]
fn every_word_is_written() {
    let written = concat!(
        include_str!("expressions.rs"),
        include_str!("statements.rs"),
        include_str!("generator.rs")
    );
    let is_word_byte = |c: char| c.is_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = written.split(|c| !is_word_byte(c)).collect();
    let rows = builtin::ALL.iter().map(|row| row.name);
    let rows = rows.chain(function::ALL.iter().map(|row| row.name));
    let rows = rows.chain(aggregation::ALL.iter().map(|row| row.name()));
    let left_out = |name: &str| LEFT_OUT.iter().any(|(word, _)| *word == name);
    let missing: Vec<&str> = rows
        .filter(|row| !words.contains(row) && !left_out(row))
        .collect();
    assert!(missing.is_empty(), "the generator never writes {missing:?}");
}
