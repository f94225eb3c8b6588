//! The `crumbs` command.
//!
//! In: the command line. Out: what the script printed on standard output, everything about the run on standard error,
//! and an exit status: 0, or what `exit(code)` gave; 1 for a mistake in the script or its run; 2 for wrong usage.

mod cli;
mod compile;
mod list;
mod report;
mod run;

use clap::Parser;
use crumbs_runtime::sys::process;
use std::process::ExitCode;

/// Exit status for a mistake in a script or its run.
const FAILURE: u8 = 1;
/// Exit status for a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    process::share_heap();
    let args = cli::Args::parse();
    let outcome = if let Some(shell) = args.completions {
        cli::write_completions(shell);
        Ok(0)
    } else if let Some(pattern) = &args.list {
        list::list(pattern.as_deref(), &args)
    } else {
        run::run(&args)
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(cli::Stop::Usage(message)) => {
            report::message(&format!("{message}\n\nFor more, try `crumbs --help`."));
            ExitCode::from(USAGE)
        }
        Err(cli::Stop::Failed) => ExitCode::from(FAILURE),
    }
}
