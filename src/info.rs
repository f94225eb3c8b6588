//! `crumbs --info`: what this kernel and this build can do.

use crate::cli::{Args, Stop};
use crate::{compile, report};
use crumbs_compiler::target::{FEATURES, Target};
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::inventory;
use std::io::Write;

/// Writes the table.
///
/// # Errors
/// When it cannot be written, which has been reported.
pub(crate) fn write(args: &Args) -> Result<u8, Stop> {
    let target = HostTarget::new(HostOptions::from_environment());
    let mut out = compile::output(args)?;
    let mut table = || -> std::io::Result<()> {
        writeln!(out, "crumbs: {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "kernel: {} on {:?}", target.kernel(), target.arch())?;
        writeln!(out, "possible CPUs: {}", target.possible_cpus())?;
        writeln!(out, "\nKernel features")?;
        for row in FEATURES {
            let has = yes_or_no(target.has(row.feature));
            writeln!(out, "  {}: {has} (since {})", row.name, row.since)?;
        }
        for (title, kinds) in [
            ("Map types", inventory::maps()),
            ("Probe types", inventory::programs(&target)),
        ] {
            writeln!(out, "\n{title}")?;
            for (name, has) in kinds {
                writeln!(out, "  {name}: {}", yes_or_no(has))?;
            }
        }
        out.flush()
    };
    match table() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            report::message(&format!("error: cannot write the output: {error}"));
            Err(Stop::Failed)
        }
        _ => Ok(0),
    }
}

fn yes_or_no(has: bool) -> &'static str {
    if has { "yes" } else { "no" }
}
