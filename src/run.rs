//! Running a script on this machine's kernel.

use crate::cli::{Args, OutputFormat, StageName, Stop};
use crate::compile::{self, Outcome};
use crate::results::Save;
use crate::{linked, output, report};
use crumbs::stages;
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::plan::Plan;
use crumbs_compiler::probe_kind;
use crumbs_grammar::source::Sources;
use crumbs_runtime::backend::Error;
use crumbs_runtime::child::{self, Child, Watch};
use crumbs_runtime::host::origins::Origin;
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::attach;
use crumbs_runtime::kernel::load::LoadError;
use crumbs_runtime::kernel::{KernelBackend, Options, probe};
use crumbs_runtime::results::file::NewFile;
use crumbs_runtime::results::{Script, name};
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::show::Output;
use crumbs_runtime::show::json::JsonOutput;
use crumbs_runtime::show::text::TextOutput;
use crumbs_runtime::show::trace::{Trace, TraceOutput};
use crumbs_runtime::symbols::{Place, Symbols};
use crumbs_runtime::sys_time;
use crumbs_runtime::value::Names;
use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Level of the verifier's log for `-d verifier`: every instruction (`BPF_LOG_LEVEL1`) and statistics
/// (`BPF_LOG_STATS`), kernel/bpf/verifier.c.
const VERIFIER_LOG: u32 = 1 | VERIFIER_STATISTICS;
/// Only how much it walked (`BPF_LOG_STATS`).
const VERIFIER_STATISTICS: u32 = 4;

/// What is printed to standard output once every probe is attached, where the environment has a variable of this name: what
/// test suites for bpftrace wait for.
const ATTACHED_HOOK: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";

/// Runs the script; gives its exit code.
///
/// # Errors
/// When it cannot be compiled or run, which has been reported.
pub(crate) fn run(args: &Args) -> Result<u8, Stop> {
    let source = compile::source(args)?;
    let is_shown = args.stage().is_some() || args.explains || args.bpftrace.is_compile_only();
    let is_run = !is_shown && !args.dry_run;
    if is_run && probe_kind::mentions_user_code(&source.text) {
        attach::warm_up();
    }
    let outcome = compile_and_trace(args, &source, is_run);
    attach::end_warm_up();
    outcome
}

fn compile_and_trace(args: &Args, source: &compile::Source, is_run: bool) -> Result<u8, Stop> {
    let follows_tree = args.follows_tree()?;
    let save = if is_run { Save::prepare(args)? } else { None };
    let target_process = args
        .pid
        .filter(|_| is_run)
        .map(child::watch_process)
        .transpose()
        .map_err(report::failed)?;
    let mut child = match &args.command {
        Some(command) if is_run => Some(Child::spawn(command).map_err(report::failed)?),
        _ => None,
    };
    if !follows_tree && (target_process.is_some() || child.is_some()) {
        probe::follow_one_process();
    }
    let command_pid = child.as_ref().map(Child::pid);
    // Only the compiler: the programs of `begin` and `end` run on this thread, whose `tid` is the process's.
    let compiled = stages::on_large_stack(|| {
        let target = HostTarget::new(HostOptions {
            pid: args.pid,
            programs: args.command.as_deref().map(child::programs).unwrap_or_default(),
            home: Path::new(&source.name).parent().map(Path::to_owned),
            debug_directories: args.bpftrace.debug_directories(),
            attaching: is_run,
            include_dirs: args.bpftrace.include_dirs.iter().map(PathBuf::from).collect(),
            ..HostOptions::from_environment()
        });
        compile::compile(source, args, command_pid, &target)
    });
    let outcome = compiled.unwrap_or_else(|error| {
        Err(report::failed(Error::io(
            "start a thread for the compiler",
            &error,
        )))
    });
    let (compiled, object, sources, script) = match outcome? {
        Outcome::Compiled(compiled, object, sources, script) => (compiled, object, sources, script),
        Outcome::Explained(page, compiled, object) => {
            let page = page + &verifiers_view(&compiled.plan, &object);
            return output::write(args, |out| out.write_all(page.as_bytes()));
        }
        Outcome::Shown => return Ok(0),
    };
    if is_run {
        tell_of_places(args, &compiled.plan);
    }
    let is_log_wanted = args.stage() == Some(StageName::Verifier);
    let options = Options {
        verifier_log: if is_log_wanted { VERIFIER_LOG } else { 0 },
        // The programs themselves compare where several processes are followed.
        pid: command_pid.or(args.pid).filter(|_| !follows_tree),
        catch_signals: is_run,
    };
    let mut backend = KernelBackend::load(&compiled.plan, &object, options)
        .map_err(|error| not_loaded(error, args, &compiled.plan, &sources))?;
    if is_log_wanted {
        let logs = backend.verifier_logs().join("\n");
        return output::write(args, |out| out.write_all(logs.as_bytes()));
    }
    if args.dry_run {
        return Ok(0);
    }
    if args.test || args.bench {
        return answer(&compiled.plan, &mut backend, args);
    }
    let save = save.map(|save| (save, *script));
    let outcome = trace(
        &compiled,
        &mut backend,
        args,
        (child.as_mut(), target_process),
        save,
    );
    // Its programs are detached by now; a command that still runs has nothing left to be measured.
    if let Some(child) = &mut child {
        child.end();
    }
    // An exit status has 8 bits.
    outcome.map(|code| code as u8).map_err(|error| {
        report::error_in(&sources, &compiled.plan, &error);
        Stop::Failed
    })
}

/// Tells of places of the script what its user may not expect.
fn tell_of_places(args: &Args, plan: &Plan) {
    if args.verbose {
        report::moved(plan);
    }
    if let Some(command) = &args.command {
        linked::warn(command, plan);
    }
}

/// What the kernel's verifier says of a script, where it may be asked.
fn verifiers_view(plan: &Plan, object: &[u8]) -> String {
    let mut view = "\nVERIFIER: what the kernel found when it walked through every path\n".to_owned();
    let options = Options {
        verifier_log: VERIFIER_STATISTICS,
        ..Options::default()
    };
    match KernelBackend::load(plan, object, options) {
        Ok(backend) => {
            for (program, log) in plan.programs.iter().zip(backend.verifier_logs()) {
                let said = log.lines().find(|line| line.starts_with("processed "));
                view += &format!("  {}: {}\n", program.symbol, said.unwrap_or("accepted"));
            }
            view += "  every step of it: crumbs -d verifier …\n";
        }
        Err(LoadError::Refused(error)) => view += &format!("  not asked: {error}\n"),
        Err(LoadError::Rejected(rejection)) => {
            view += &format!("  {} was refused: {}\n", rejection.probe, rejection.reason);
        }
    }
    view
}

/// Runs what `--test` or `--bench` asks for.
fn answer(plan: &Plan, backend: &mut KernelBackend, args: &Args) -> Result<u8, Stop> {
    let mut report = output::open(args).map_err(report::failed)?;
    let mut host = Surroundings {
        child: None,
        watch: None,
        ready_fd: None,
        symbols: Symbols::of_run(plan, args.bpftrace.debug_directories()),
        verbose: args.verbose,
        follows: None,
    };
    let start = sys_time::boot_clock_ns();
    if args.bench {
        let measured = session::bench(plan, backend, &mut host, start).map_err(report::failed)?;
        let write = match args.format() {
            OutputFormat::Text | OutputFormat::Results | OutputFormat::Trace => session::write_benchmarks,
            OutputFormat::Json => session::write_benchmarks_as_json,
        };
        return output::all(write(&mut report, &measured));
    }
    let passed = session::test(plan, backend, &mut host, &mut report, start).map_err(report::failed)?;
    Ok(u8::from(!passed))
}

fn trace(
    compiled: &Compiled,
    backend: &mut KernelBackend,
    args: &Args,
    (child, target_process): (Option<&mut Child>, Option<Watch>),
    save: Option<(Save, Script)>,
) -> Result<i32, Error> {
    let plan = &compiled.plan;
    let results = output::open(args)?;
    let reader_is_gone = Cell::new(false);
    let results = Results {
        to: results,
        reader_is_gone: &reader_is_gone,
    };
    let mut events = trace_file(args)?;
    let mut output: Box<dyn Output> = match args.format() {
        OutputFormat::Json => Box::new(JsonOutput::new(results, io::stderr(), args.quiet)),
        _ => {
            let screens = output::screens(args);
            let text = TextOutput::new(results, io::stderr(), args.quiet).on_screen(screens.0, screens.1);
            match &mut events {
                None => Box::new(text),
                Some(events) => Box::new(TraceOutput::new(events, sys_time::booted_ns(), text)),
            }
        }
    };
    let watch = child.as_ref().map(|child| child.watch()).or(target_process);
    let mut host = Surroundings {
        child,
        watch,
        ready_fd: args.ready_fd,
        symbols: Symbols::of_run(plan, args.bpftrace.debug_directories()),
        verbose: args.verbose,
        follows: args.pid.filter(|_| args.follows_tree().unwrap_or(false)),
    };
    let start = sys_time::boot_clock_ns();
    let outcome = match save {
        None => session::run(plan, backend, &mut host, &mut *output, start),
        Some((save, script)) => {
            let measured = session::measure(plan, backend, &mut host, &mut *output, start);
            measured.and_then(|(code, measured)| save.write(compiled, measured, script).map(|()| code))
        }
    };
    if args.verbose {
        report::took("detached", backend.detaching());
    }
    drop(output);
    let outcome = if reader_is_gone.get() { Ok(0) } else { outcome };
    if let Some(events) = events {
        // Also what came before the run failed.
        events.finish().map_err(untraced).and_then(NewFile::finish)?;
    }
    outcome
}

/// The file of a trace, where the command line asks for one.
fn trace_file(args: &Args) -> Result<Option<Trace<NewFile>>, Error> {
    if args.format() != OutputFormat::Trace {
        return Ok(None);
    }
    let Some(path) = &args.output else {
        return Err(
            Error::new("write a trace", "it has no file").help("name one: -o trace.%h.pfw.gz".to_owned())
        );
    };
    let file = NewFile::begin(&name::filled(path)?)?;
    let compressed = name::ends_with(path, ".gz");
    Trace::begin(file, compressed).map(Some).map_err(untraced)
}

fn untraced(error: io::Error) -> Error {
    Error::io("write the trace", &error)
}

/// Where results go. Notes when their reader, such as `head`, has had enough: that ends the run and is no failure.
struct Results<'a> {
    to: Box<dyn Write>,
    reader_is_gone: &'a Cell<bool>,
}

impl Results<'_> {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            self.reader_is_gone.set(true);
        }
        result
    }
}

impl Write for Results<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.to.write(bytes);
        self.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.to.flush();
        self.note(result)
    }
}

/// The traced command or process, and who waits for the probes.
struct Surroundings<'a> {
    child: Option<&'a mut Child>,
    watch: Option<Watch>,
    ready_fd: Option<i32>,
    symbols: Symbols,
    verbose: bool,
    /// The process whose descendants are followed that run already.
    follows: Option<u32>,
}

impl Host<KernelBackend> for Surroundings<'_> {
    fn look_around(&mut self) {
        self.symbols.update();
    }

    fn place(&mut self, pid: Option<u32>, address: u64) -> Place {
        Names::place(&mut self.symbols, pid, address)
    }

    fn build_id(&mut self, pid: u32, address: u64) -> Option<(String, u64)> {
        self.symbols.build_id(pid, address)
    }

    fn origin(&mut self, pid: u32, address: u64) -> Origin {
        self.symbols.origin(pid, address)
    }

    fn attach(&mut self, backend: &mut KernelBackend) -> Result<(), Error> {
        if let Some(watch) = self.watch.take() {
            backend.watch(watch)?;
        }
        backend.attach_all()?;
        match self.follows {
            None => {}
            // The numbers of processes that the kernel's events tell are those of the initial namespace.
            Some(_) if probe::pid_namespace().is_some() => report::message(
                "WARNING: crumbs runs in a pid namespace, where it cannot follow what the process has started before",
            ),
            Some(root) => backend.follow_descendants(root)?,
        }
        if self.verbose {
            report::attached(backend.attaching(), backend.refused());
        }
        Ok(())
    }

    fn shell(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(OsStr::from_bytes(command))
            .stdin(Stdio::inherit())
            .stderr(Stdio::inherit())
            .output()?;
        Ok(output.stdout)
    }

    fn ready(&mut self) -> Result<(), Error> {
        if let Some(fd) = self.ready_fd {
            announce(fd)?;
        }
        say_attached();
        self.child.as_mut().map_or(Ok(()), |child| child.release())
    }

    fn over(&mut self) {
        say_attached();
    }
}

/// Tells a test suite that waits for it that all is attached which will be.
fn say_attached() {
    if std::env::var_os(ATTACHED_HOOK).is_some() {
        let mut out = io::stdout();
        // Nobody is left to tell when standard output cannot be written.
        let _ = writeln!(out, "{ATTACHED_HOOK}").and_then(|()| out.flush());
    }
}

/// Writes `attached` to a file descriptor that was inherited.
fn announce(fd: i32) -> Result<(), Error> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))
        .and_then(|mut file| file.write_all(b"attached\n"));
    written.map_err(|error| {
        Error::new(format!("write to file descriptor {fd}"), error.to_string()).help(format!(
            "open it for crumbs, for example: crumbs --ready-fd {fd} … {fd}>ready"
        ))
    })
}

fn not_loaded(error: LoadError, args: &Args, plan: &Plan, sources: &Sources) -> Stop {
    match error {
        LoadError::Refused(error) => report::error_in(sources, plan, &error),
        LoadError::Rejected(rejection) => report::rejection(sources, plan, &rejection, args.verbose),
    }
    Stop::Failed
}
