//! The stages of a compilation, for whoever needs their results: the command, tests.
//!
//! In: a script's text and a [`Target`]. Out: the result of each stage, or every mistake found up to it.

use crumbs_compiler::bpf::disasm;
use crumbs_compiler::check;
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::expand::expand;
use crumbs_compiler::hir;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::Target;
use crumbs_compiler::workers::{OneByOne, Workers};
use crumbs_grammar::diagnostic::{Diagnostic, Severity};
use crumbs_grammar::source::Sources;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Stack for the compiler: it walks the script recursively, and the parser bounds how deep a script can nest.
const STACK: usize = 256 << 20;

/// How many pieces a thread must have to be worth starting: small scripts are done sooner without.
const PIECES: usize = 32;

/// Threads of a compilation at most.
const THREADS: usize = 8;

/// A script without mistakes.
#[derive(Debug)]
pub struct Checked {
    /// The typed program.
    pub script: hir::Script,
    /// The texts that it was made from; its spans are places in them.
    pub sources: Sources,
    /// What its author probably wants to know.
    pub warnings: Vec<Diagnostic>,
}

/// A script with mistakes.
#[derive(Debug)]
pub struct Mistaken {
    /// The texts that it was made from.
    pub sources: Sources,
    /// Every mistake and warning, at least one of them an error.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses, expands and checks a script; messages call it `name`, and its imports are looked up from there.
///
/// # Errors
/// When it has mistakes.
pub fn check(
    name: &str,
    text: &str,
    target: &dyn Target,
    options: &Options,
) -> Result<Checked, Box<Mistaken>> {
    let parsed = crumbs_grammar::parse(text);
    let mut diagnostics = parsed.diagnostics;
    // What the parser had to skip would only give errors of the checker that are none.
    if has_error(&diagnostics) {
        let sources = Sources::new(name, text);
        return Err(Box::new(Mistaken { sources, diagnostics }));
    }
    let expanded = expand(name, text, parsed.script, target, options);
    let sources = expanded.sources;
    diagnostics.extend(expanded.diagnostics);
    let mut script = None;
    if !has_error(&diagnostics) {
        let (checked, more) = check::check(&expanded.script, &sources, target, options);
        diagnostics.extend(more);
        script = checked;
    }
    let diagnostics = sources.settle(diagnostics);
    match script {
        Some(script) if !has_error(&diagnostics) => Ok(Checked {
            script,
            sources,
            warnings: diagnostics,
        }),
        _ => Err(Box::new(Mistaken { sources, diagnostics })),
    }
}

/// Whether one of them is an error.
pub fn has_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// The instructions of every program under the lines of the script that they were made for.
pub fn listing(script: &hir::Script, compiled: &Compiled, text: &str) -> String {
    let mut all = String::new();
    for (program, probe) in compiled.programs.iter().zip(&script.probes) {
        if !all.is_empty() {
            all.push('\n');
        }
        let insns = program.insns.len();
        all.push_str(&format!(
            "{} ({}): {insns} instructions\n",
            program.symbol, probe.kind_name
        ));
        all.push_str(&disasm::listing(program, text, &compiled.plan.bpf_maps));
    }
    all
}

/// Runs the compiler on a thread whose stack suffices for every script that the parser accepts.
///
/// # Errors
/// When no thread can be started. A panic goes on in the caller.
pub fn on_large_stack<R: Send>(work: impl FnOnce() -> R + Send) -> std::io::Result<R> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work)?;
        Ok(thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Does pieces of work on all CPUs, where there are enough of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Workers for Threads {
    fn each(&self, count: usize, piece: &(dyn Fn(usize) + Sync)) {
        let cpus = || thread::available_parallelism().map_or(1, usize::from);
        let threads = (count / PIECES).min(THREADS);
        let threads = if threads < 2 { 1 } else { threads.min(cpus()) };
        if threads == 1 {
            return OneByOne.each(count, piece);
        }
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                piece(index);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // Where no thread can be had, the others do its part.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}
