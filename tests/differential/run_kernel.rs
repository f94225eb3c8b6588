//! Runs a compiled script on the kernel, or only loads it.

use crate::evaluator::Machine;
use crate::mixed::Mixed;
use crate::run_vm::no_losses;
use crate::world::Event;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::target::{Arch, Target};
use crumbs_runtime::kernel::load::LoadError;
use crumbs_runtime::kernel::{KernelBackend, Options};
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::show::text::TextOutput;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// This machine, with the places to attach to of the fixture, unless programs cannot be loaded here.
///
/// # Errors
/// Why not.
pub fn here() -> Result<Mixed, String> {
    let here = Mixed::new(crate::fixture());
    if here.arch() != Arch::X86_64 {
        return Err("the places are those of x86-64".into());
    }
    let source = "begin { @ = 1; }";
    let compiled = crate::compiled(&crate::checked(source, &here)?, source, &here)?;
    match load(&compiled, source) {
        Ok(_) => Ok(here),
        Err(LoadError::Refused(error)) => Err(error.to_string()),
        Err(LoadError::Rejected(rejection)) => panic!("{}", rejection.into_error()),
    }
}

/// What the evaluator must know of this machine and thread, which runs `begin` and `end`.
pub fn machine(target: &Mixed) -> Machine {
    let status = fs::metadata("/proc/self").expect("there is /proc");
    let comm = fs::read("/proc/thread-self/comm").expect("threads have names");
    let thread = fs::read_link("/proc/thread-self").expect("there is /proc");
    let tid = thread.file_name().and_then(|name| name.to_str()?.parse().ok());
    Machine {
        arch: target.arch(),
        cpus: target.possible_cpus(),
        start: 0,
        tracer: Event {
            pid: std::process::id(),
            tid: tid.expect("threads have numbers"),
            uid: status.uid(),
            gid: status.gid(),
            comm: comm.trim_ascii_end().to_vec(),
            ..Event::default()
        },
    }
}

fn load(compiled: &Compiled, source: &str) -> Result<KernelBackend, LoadError> {
    let info = SourceInfo {
        name: "random",
        text: source,
    };
    let elf = driver::write_object(compiled, &info).unwrap_or_else(|errors| panic!("{errors:?}"));
    KernelBackend::load(&compiled.plan, &elf, Options::default())
}

/// Loads a script: the verifier accepts every program of it.
///
/// # Errors
/// What was refused, and why.
pub fn accepts(compiled: &Compiled, source: &str) -> Result<(), String> {
    loaded(compiled, source).map(drop)
}

fn loaded(compiled: &Compiled, source: &str) -> Result<KernelBackend, String> {
    load(compiled, source).map_err(|error| match error {
        LoadError::Refused(error) => error.to_string(),
        LoadError::Rejected(rejection) => {
            let log = rejection.log.clone();
            format!("{}\n{log}", rejection.into_error())
        }
    })
}

struct Alone;

impl Host<KernelBackend> for Alone {}

/// Runs a script that has only `begin` and `end` and gives what it prints.
///
/// # Errors
/// When it cannot be loaded or run, or anything was lost.
pub fn run(compiled: &Compiled, source: &str) -> Result<String, String> {
    let mut backend = loaded(compiled, source)?;
    let (mut text, mut diagnostics) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut text, &mut diagnostics, true);
    let result = session::run(&compiled.plan, &mut backend, &mut Alone, &mut output, 0);
    result.map_err(|error| error.to_string())?;
    no_losses(&diagnostics)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
