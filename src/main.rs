//! The `crumbs` command.
//!
//! In: the command line. Out: what the script printed on standard output, everything about the run on standard error,
//! and an exit status: 0, or what `exit(code)` gave; 1 for a mistake in the script or its run; 2 for wrong usage.

mod bpftrace_options;
mod cli;
mod compile;
mod doc;
mod doctor;
mod early;
mod fmt;
mod info;
mod library;
mod linked;
mod list;
mod output;
mod parameters;
mod report;
mod results;
mod run;

use clap::Parser;
use crumbs_runtime::kernel::{attach, probe};
use crumbs_runtime::sys::process;
use std::process::ExitCode;

/// Exit status for a mistake in a script or its run.
const FAILURE: u8 = 1;
/// Exit status for a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if early::traces_user_code(std::env::args_os()) {
        attach::warm_up();
    }
    process::share_heap();
    let mut args = cli::Args::parse();
    args.obey_mode();
    let command = args.take_command();
    let mut result = Ok(0);
    for stage in args.take_stages() {
        args.shown = stage;
        result = result.and_then(|_| run(&args, command.as_ref()));
    }
    match result {
        Ok(code) => ExitCode::from(code),
        Err(cli::Stop::Usage(message)) => {
            report::message(&format!("{message}\n\nFor more, try `crumbs --help`."));
            ExitCode::from(USAGE)
        }
        Err(cli::Stop::Failed) => ExitCode::from(FAILURE),
    }
}

fn run(args: &cli::Args, command: Option<&cli::Command>) -> Result<u8, cli::Stop> {
    if command == Some(&cli::Command::Doctor) {
        return doctor::write(args);
    }
    if let Some(cli::Command::Library(words)) = command {
        return library::write(words, args);
    }
    if let Some(cli::Command::Merge(files)) = command {
        return results::merge(files, args);
    }
    if let Some(cli::Command::Doc(words)) = command {
        return doc::write(words, args);
    }
    if args.help {
        cli::write_help(&parameters::help(args));
        return Ok(0);
    }
    if let Some(shell) = args.completions {
        cli::write_completions(shell);
        return Ok(0);
    }
    args.bpftrace.check()?;
    for feature in args.bpftrace.unwanted_features()? {
        probe::do_without(feature);
    }
    if args.bpftrace.info {
        return info::write(args);
    }
    if args.bpftrace.fmt {
        return fmt::write(args);
    }
    if args.list {
        return list::list(args);
    }
    run::run(args)
}
