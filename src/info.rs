//! `crumbs --info`: what this kernel and this build can do.

use crate::cli::{Args, Stop};
use crate::output;
use crumbs_compiler::target::{FEATURES, Target};
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::inventory;

/// Writes the table.
///
/// # Errors
/// When it cannot be written, which has been reported.
pub(crate) fn write(args: &Args) -> Result<u8, Stop> {
    let target = HostTarget::new(HostOptions::from_environment());
    output::write(args, |out| {
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
        Ok(())
    })
}

fn yes_or_no(has: bool) -> &'static str {
    if has { "yes" } else { "no" }
}
