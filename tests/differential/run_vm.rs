//! Runs a compiled script on the user-space VM.

use crate::world::{Context, Event};
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::target::Target;
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::show::text::TextOutput;
use crumbs_runtime::vm::{self, VmBackend};

/// When the run begins, ns on the VM's clock: not 0, so that `elapsed` differs from `nsecs`.
pub const START: u64 = 500;

struct Simulation;

impl Host<VmBackend> for Simulation {}

/// Runs a script to its end and gives what it prints.
///
/// # Errors
/// When a program is at fault, or anything was lost.
pub fn run(compiled: &Compiled, events: &[(Event, Context)], target: &dyn Target) -> Result<String, String> {
    let events: Vec<vm::Event> = events
        .iter()
        .map(|(event, context)| event.to_vm(*context))
        .collect();
    let mut backend = VmBackend::new(&compiled.plan, &compiled.programs, &events, target)
        .map_err(|error| error.to_string())?;
    let (mut text, mut diagnostics) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut text, &mut diagnostics, true);
    let result = session::run(&compiled.plan, &mut backend, &mut Simulation, &mut output, START);
    result.map_err(|error| error.to_string())?;
    if let Some(failure) = backend.failure() {
        return Err(failure.to_string());
    }
    no_losses(&diagnostics)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Nothing may be lost but what cannot be read, and what is divided by 0.
///
/// # Errors
/// What was.
pub fn no_losses(diagnostics: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(diagnostics);
    let expected = |line: &&str| line.contains("could not be read") || line.contains(" by 0; 1 was used");
    match text.lines().find(|line| !expected(line)) {
        Some(line) => Err(line.to_owned()),
        None => Ok(()),
    }
}
