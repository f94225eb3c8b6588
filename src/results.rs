//! Saving what a run has measured, and `crumbs merge`.
//!
//! In: the command line; for merging, files that runs have saved. Out: a file of results, or what one run would have printed
//! that saw the events of all: its `end` blocks run in the user-space VM.

use crate::cli::{Args, OutputFormat, Stop};
use crate::compile::Source;
use crate::{output, report};
use crumbs::{ends, stages};
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::options::Options;
use crumbs_grammar::source::Sources;
use crumbs_runtime::backend::Error;
use crumbs_runtime::results::file::{NewFile, ONE_FILE_EACH};
use crumbs_runtime::results::{self, MOST_BYTES, Results, Run, Script, name};
use crumbs_runtime::session::{self, Host, Measured};
use crumbs_runtime::show::Output;
use crumbs_runtime::show::json::JsonOutput;
use crumbs_runtime::show::text::TextOutput;
use crumbs_runtime::sys_time;
use crumbs_runtime::vm::VmBackend;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Where the results of a run will be saved.
pub(crate) struct Save {
    /// The file; standard output without.
    file: Option<NewFile>,
    run: Run,
}

impl Save {
    /// Prepares to save the results of a run that begins now, where the command line asks for it.
    ///
    /// # Errors
    /// When the file cannot be made, which has been reported.
    pub(crate) fn prepare(args: &Args) -> Result<Option<Self>, Stop> {
        if args.format() != OutputFormat::Results {
            return Ok(None);
        }
        let run = Run::here();
        let file = args.output.as_deref().map(|path| begin(path, &run)).transpose();
        let file = file.map_err(report::failed)?;
        Ok(Some(Self { file, run }))
    }

    /// Saves what was measured.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(
        mut self,
        compiled: &Compiled,
        measured: Measured,
        script: Script,
    ) -> Result<(), Error> {
        self.run.end = sys_time::wall_clock_ns();
        let results = Results::of(&compiled.plan, measured, script, self.run);
        write(&results, self.file)
    }
}

/// Begins the file of a run's results.
fn begin(path: &Path, run: &Run) -> Result<NewFile, Error> {
    let path = name::filled(path)?;
    let file = NewFile::begin(&path)?;
    // Of processes of one job, the second must not take the place of the first.
    if let Ok(before) = read(&path)
        && let Some(other) = before.runs.iter().find(|other| other.is_beside(run))
    {
        return Err(Error::new(
            format!("write to `{}`", path.display()),
            format!("it holds the results of process {} of the same job", other.pid),
        )
        .help(ONE_FILE_EACH.to_owned()));
    }
    Ok(file)
}

fn write(results: &Results, file: Option<NewFile>) -> Result<(), Error> {
    let cannot = |what: String| |error: io::Error| Error::io(what, &error);
    match file {
        None => {
            let mut out = io::BufWriter::new(io::stdout());
            let written = results.write(&mut out).and_then(|()| out.flush());
            written.map_err(cannot("write the results".to_owned()))
        }
        Some(mut file) => {
            let what = format!("write to `{}`", file.path().display());
            results.write(&mut file).map_err(cannot(what))?;
            file.finish()
        }
    }
}

/// The script of a run, as results keep it.
pub(crate) fn script(source: &Source, sources: &Sources, options: &Options) -> Script {
    Script {
        name: source.name.clone(),
        text: source.text.clone(),
        imports: sources.imported().map(|(_, text)| text.to_owned()).collect(),
        params: options.params.clone(),
        named: options.named.clone(),
        config: options.config.clone(),
    }
}

/// Reads a file of results.
fn read(path: &Path) -> Result<Results, String> {
    let mut file = Vec::new();
    let opened = File::open(path).and_then(|from| from.take(MOST_BYTES + 1).read_to_end(&mut file));
    opened.map_err(|error| error.to_string())?;
    Results::read(&file)
}

/// Joins the results of files, and writes or prints what that gives.
///
/// # Errors
/// When a file cannot be read, or they do not belong together, which has been reported.
pub(crate) fn merge(files: &[String], args: &Args) -> Result<u8, Stop> {
    let Some((first, others)) = files.split_first() else {
        return Err(Stop::Usage(
            "merge which files? its form: crumbs merge FILE … [-o FILE]".into(),
        ));
    };
    let mut merged = read(Path::new(first)).map_err(|reason| unreadable(first, &reason))?;
    for file in others {
        let results = read(Path::new(file)).map_err(|reason| unreadable(file, &reason))?;
        merged.merge(results).map_err(|refusal| {
            report::failed(
                Error::new(format!("join `{file}` to `{first}`"), refusal.reason)
                    .help(refusal.help.to_owned()),
            )
        })?;
    }
    if args.format() == OutputFormat::Results {
        let file = args.output.as_deref().map(NewFile::begin).transpose();
        let written = file.and_then(|file| write(&merged, file));
        return written.map(|()| 0).map_err(report::failed);
    }
    let compiled = |how: fn(&Results) -> Result<Compiled, Error>| {
        let outcome = stages::on_large_stack(|| how(&merged));
        outcome.unwrap_or_else(|error| Err(Error::io("start a thread for the compiler", &error)))
    };
    match compiled(ends::compile).and_then(|compiled| print(&merged, &compiled, args)) {
        Ok(code) => Ok(code),
        Err(error) => {
            report::message(&format!(
                "warning: the script's `end` blocks do not run here, and the maps are printed as they are: {error}"
            ));
            let plain = compiled(ends::compile_maps).and_then(|compiled| print(&merged, &compiled, args));
            plain.map_err(report::failed)
        }
    }
}

fn unreadable(file: &str, reason: &str) -> Stop {
    report::failed(
        Error::new(format!("read the results in `{file}`"), reason)
            .help("name files that `-o NAME.json` of a run, or a merge, has written".to_owned()),
    )
}

/// Runs `end` blocks on the results and prints what a run prints last; gives its exit code.
fn print(results: &Results, compiled: &Compiled, args: &Args) -> Result<u8, Error> {
    let target = ends::target()?;
    let mut restored = results::restore(results, &compiled.plan, &compiled.programs, &target)?;
    for (map, count) in &restored.conflicts {
        report::message(&format!(
            "warning: {count} of the values of {map} are not the same in all files and are left out; aggregations and maps that \
             are only counted in are joined"
        ));
    }
    let mut host = Joined {
        ran: restored.backend.now(),
    };
    let to = output::open(args)?;
    let mut output: Box<dyn Output> = match args.format() {
        OutputFormat::Json => Box::new(JsonOutput::new(to, io::stderr(), args.quiet)),
        _ => {
            let (results, diagnostics) = output::screens(args);
            Box::new(TextOutput::new(to, io::stderr(), args.quiet).on_screen(results, diagnostics))
        }
    };
    let before = (restored.zeroed.as_slice(), restored.losses.as_slice());
    let code = session::conclude(
        &compiled.plan,
        &mut restored.backend,
        &mut host,
        &mut *output,
        before,
    )?;
    // An exit status has 8 bits.
    Ok(code as u8)
}

/// The surroundings of joined runs: there is no machine.
struct Joined {
    /// How long the longest run took, nanoseconds.
    ran: u64,
}

impl Host<VmBackend> for Joined {
    fn now(&mut self) -> u64 {
        self.ran
    }

    fn shell(&mut self, _command: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::Error::other("`crumbs merge` runs no commands"))
    }
}
