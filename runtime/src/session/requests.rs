//! `--test` and `--bench`: running the `test:` and `bench:` probes of a script instead of tracing.
//!
//! In: a loaded script. Out: a report, laid out as bpftrace's. Nothing is attached, and no other probe runs. What the
//! probes print is shown of tests that fail only.

use super::{Host, Session, programs, unwritable};
use crate::backend::{Backend, Error};
use crate::show::json::quoted;
use crate::show::text::TextOutput;
use crate::snapshot::Maps;
use crumbs_compiler::plan::{Attach, MemoryPlan, Occasion, Plan, Request};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// A benchmark runs until its runs together take so long.
const ENOUGH: Duration = Duration::from_millis(100);
/// A benchmark that is over sooner than the system calls that run it ends after so long in any case.
const PATIENCE: Duration = Duration::from_millis(300);
/// The most runs of a benchmark.
const MOST_RUNS: u64 = 1 << 20;

/// What a test did.
struct Verdict {
    passed: bool,
    took: Duration,
    /// What it printed.
    output: Vec<u8>,
}

/// Runs every test of a script; gives whether all passed. A test passes where it returns 0, does not `exit` with another
/// code, and reports no error.
///
/// # Errors
/// When a program cannot be run or the report cannot be written.
pub fn test<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    report: &mut dyn Write,
    start: u64,
) -> Result<bool, Error> {
    let tests = requested(plan, Request::Test);
    let plural = |n: usize| if n == 1 { "test" } else { "tests" };
    let write = |report: &mut dyn Write, text: String| report.write_all(text.as_bytes()).map_err(unwritable);
    write(
        report,
        format!("{} Running {} tests.\n", good("=========="), tests.len()),
    )?;
    let mut failed: Vec<&str> = Vec::new();
    for (program, name) in &tests {
        write(report, format!("{} {name}\n", good(" RUN      ")))?;
        let verdict = run_test(plan, backend, host, *program, start)?;
        let mark = if verdict.passed {
            good("       OK ")
        } else {
            let lines = verdict.output.split(|byte| *byte == b'\n');
            for line in lines.filter(|line| !line.is_empty()) {
                report.write_all(line).map_err(unwritable)?;
                report.write_all(b"\n").map_err(unwritable)?;
            }
            failed.push(name);
            bad("  FAILED  ")
        };
        write(report, format!("{mark} {name} ({})\n", shown(verdict.took)))?;
    }
    let passed = tests.len() - failed.len();
    let ran = format!(
        "{} {} {} ran.\n",
        good("=========="),
        tests.len(),
        plural(tests.len())
    );
    write(report, ran)?;
    write(
        report,
        format!("{} {passed} {}.\n", good("  PASSED  "), plural(passed)),
    )?;
    if !failed.is_empty() {
        let count = failed.len();
        let head = format!("{} {count} {}, listed below:\n", bad("  FAILED  "), plural(count));
        write(report, head)?;
        for name in &failed {
            write(report, format!("{} {name}\n", bad("  FAILED  ")))?;
        }
    }
    report.flush().map_err(unwritable)?;
    Ok(failed.is_empty())
}

fn run_test<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    program: usize,
    start: u64,
) -> Result<Verdict, Error> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    let code = {
        let mut text = TextOutput::new(&mut output, &mut errors, true);
        let mut session = Session::new(plan, Maps::new(plan), &mut text, start);
        if session.has_word(MemoryPlan::START) {
            backend.store(MemoryPlan::START, start);
        }
        let returned = backend.run_once(program)?;
        session.drain(backend, host)?;
        match returned {
            0 => session.code,
            _ => returned as i32,
        }
    };
    let took = begun.elapsed();
    let passed = code == 0 && errors.is_empty();
    output.append(&mut errors);
    Ok(Verdict { passed, took, output })
}

/// What a benchmark measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Benchmark {
    /// Its name.
    pub name: String,
    /// How long a run takes on average, nanoseconds.
    pub average: u64,
    /// How many runs that was found from.
    pub runs: u64,
}

/// Runs every benchmark of a script and finds how long one run takes.
///
/// # Errors
/// When a program cannot be run.
pub fn bench<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    start: u64,
) -> Result<Vec<Benchmark>, Error> {
    let mut all = Vec::new();
    for (program, name) in requested(plan, Request::Bench) {
        let mut runs = 1;
        let begun = Instant::now();
        let took = loop {
            let took = backend.run_often(program, runs)?;
            discard(plan, backend, host, start)?;
            if took >= ENOUGH || runs >= MOST_RUNS || begun.elapsed() >= PATIENCE {
                break took;
            }
            runs *= 2;
        };
        let average = (took.as_nanos() / u128::from(runs)) as u64;
        all.push(Benchmark { name, average, runs });
    }
    Ok(all)
}

/// Writes what benchmarks measured as a table.
///
/// # Errors
/// When it cannot be written.
pub fn write_benchmarks(report: &mut dyn Write, all: &[Benchmark]) -> io::Result<()> {
    let longest = all.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let width = longest.max(40) + 1;
    let head = format!("{:<width$}{:<15}{}", "Benchmark", "Time(ns)", "Iterations");
    let rule = "-".repeat(head.len());
    writeln!(report, "{head}\n{rule}")?;
    for Benchmark { name, average, runs } in all {
        writeln!(report, "{name:<width$}{average:<15}{runs}")?;
    }
    report.flush()
}

/// Writes what benchmarks measured as a JSON record: the average of each.
///
/// # Errors
/// When it cannot be written.
pub fn write_benchmarks_as_json(report: &mut dyn Write, all: &[Benchmark]) -> io::Result<()> {
    let averages: Vec<String> = all
        .iter()
        .map(|row| format!("{}: {}", quoted(row.name.as_bytes()), row.average))
        .collect();
    let data = averages.join(", ");
    writeln!(
        report,
        "{{\"type\": \"benchmark_results\", \"data\": {{{data}}}}}"
    )?;
    report.flush()
}

/// Takes what a benchmark has sent.
fn discard<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    start: u64,
) -> Result<(), Error> {
    let mut text = TextOutput::new(io::sink(), io::sink(), true);
    let mut session = Session::new(plan, Maps::new(plan), &mut text, start);
    if session.has_word(MemoryPlan::START) {
        backend.store(MemoryPlan::START, start);
    }
    session.drain(backend, host)
}

/// The programs that answer a request, and their names.
fn requested(plan: &Plan, wanted: Request) -> Vec<(usize, String)> {
    let names = |program: usize| {
        let attaches = plan.programs[program].attach.iter();
        attaches.filter_map(move |attach| match attach {
            Attach::Request { request, name, .. } if *request == wanted => Some((program, name.clone())),
            _ => None,
        })
    };
    let mut programs = programs(plan, |occasion| occasion == Occasion::Request(wanted));
    programs.dedup();
    programs.into_iter().flat_map(names).collect()
}

/// A mark in green, as bpftrace colours it wherever it writes to.
fn good(text: &str) -> String {
    format!("\x1b[32m[{text}]\x1b[0m")
}

/// A mark in red.
fn bad(text: &str) -> String {
    format!("\x1b[31m[{text}]\x1b[0m")
}

/// A duration in the greatest unit that it has one of.
fn shown(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos @ 0..1_000 => format!("{nanos} ns"),
        nanos @ 1_000..1_000_000 => format!("{} us", nanos / 1_000),
        nanos @ 1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        nanos => format!("{} s", nanos / 1_000_000_000),
    }
}
