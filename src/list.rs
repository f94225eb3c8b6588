//! `crumbs -l`: what can be traced.

use crate::cli::{Args, Stop};
use crate::compile;
use crate::report;
use crumbs_compiler::target::TargetError;
use crumbs_runtime::host::{HostOptions, HostTarget};
use std::io::{ErrorKind, Write};

/// Lists attach points that match a pattern.
///
/// # Errors
/// When nothing matches or something cannot be read, which has been reported.
pub(crate) fn list(pattern: Option<&str>, args: &Args) -> Result<u8, Stop> {
    let target = HostTarget::new(HostOptions {
        pid: args.pid,
        debug_directories: args.bpftrace.debug_directories(),
        ..HostOptions::from_environment()
    });
    let pattern = pattern.unwrap_or("*");
    let found = target.list(pattern).map_err(|error| failed(pattern, error))?;
    let mut out = compile::output(args)?;
    let mut lines = || -> std::io::Result<()> {
        for name in &found {
            writeln!(out, "{name}")?;
            for field in fields(&target, name, args.verbose) {
                writeln!(out, "{field}")?;
            }
        }
        out.flush()
    };
    match lines() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            report::message(&format!("error: cannot write the list: {error}"));
            Err(Stop::Failed)
        }
        _ => Ok(0),
    }
}

/// The arguments of a tracepoint, a line each.
fn fields(target: &HostTarget, name: &str, wanted: bool) -> Vec<String> {
    match name.split(':').collect::<Vec<_>>()[..] {
        [_, category, event] if wanted => target.list_fields(category, event).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn failed(pattern: &str, error: TargetError) -> Stop {
    match error {
        TargetError::NotFound { similar, .. } => {
            report::message(&format!("error: nothing that can be traced matches `{pattern}`"));
            if !similar.is_empty() {
                report::message(&format!("  = help: there is {}", similar.join(", ")));
            }
        }
        TargetError::Unreadable { what, reason, help } => {
            report::message(&format!("error: cannot read {what}: {reason}\n  = help: {help}"));
        }
    }
    Stop::Failed
}
