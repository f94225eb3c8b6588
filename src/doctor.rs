//! `crumbs doctor`: what this machine lets its user trace, and what to change where that is not all.

use crate::cli::{Args, Stop};
use crate::output;
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::doctor::{self, State};

/// Writes a line for each thing that was looked at. Gives 1 where something is missing.
///
/// # Errors
/// When it cannot be written, which has been reported.
pub(crate) fn write(args: &Args) -> Result<u8, Stop> {
    let target = HostTarget::new(HostOptions::from_environment());
    let findings = doctor::examine(&target);
    output::write(args, |out| {
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
        Ok(())
    })?;
    Ok(u8::from(
        findings.iter().any(|finding| finding.state == State::Missing),
    ))
}
