//! `crumbs doctor`: what this machine lets its user trace, and what to change where that is not all.

use crate::cli::{Args, Stop};
use crate::{compile, report};
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::doctor::{self, State};
use std::io::{ErrorKind, Write};

/// Writes a line for each thing that was looked at. Gives 1 where something is missing.
///
/// # Errors
/// When it cannot be written, which has been reported.
pub(crate) fn write(args: &Args) -> Result<u8, Stop> {
    let target = HostTarget::new(HostOptions::from_environment());
    let findings = doctor::examine(&target);
    let mut out = compile::output(args)?;
    let mut lines = || -> std::io::Result<()> {
        for finding in &findings {
            let mark = match finding.state {
                State::Good => "ok",
                State::Limited => "limited",
                State::Missing => "missing",
            };
            writeln!(out, "{mark:<8} {}: {}", finding.subject, finding.detail)?;
            if let Some(way_out) = &finding.way_out {
                writeln!(out, "         → {way_out}")?;
            }
        }
        out.flush()
    };
    match lines() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            report::message(&format!("error: cannot write the output: {error}"));
            Err(Stop::Failed)
        }
        _ => Ok(u8::from(
            findings.iter().any(|finding| finding.state == State::Missing),
        )),
    }
}
