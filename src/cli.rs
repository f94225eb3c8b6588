//! The command line.

use crate::bpftrace_options::{BpftraceOptions, DebugStage, Mode};
use crate::library;
use clap::{CommandFactory, Parser, ValueEnum};
use crumbs_runtime::results::name;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a command ends with other than an exit code of its own.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command line makes no sense, for this reason.
    Usage(String),
    /// It failed, which has been reported.
    Failed,
}

/// A stage of the compiler whose result can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageName {
    /// The tokens of the script
    Tokens,
    /// The syntax tree
    Ast,
    /// The typed program: types of maps and variables, expanded attach points
    Hir,
    /// The intermediate code after optimisation
    Ir,
    /// The eBPF instructions under the lines they were made for
    Asm,
    /// The ELF object, as bytes on standard output (use -o FILE)
    Elf,
    /// The kernel verifier's log (needs root)
    Verifier,
}

/// What the first word can ask for instead of running a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// What these words of the language mean.
    Doc(Vec<String>),
    /// What this machine lets its user trace.
    Doctor,
    /// What the probe library has.
    Library(Vec<String>),
    /// What these files of results give together.
    Merge(Vec<String>),
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
    /// What `crumbs merge` joins, instead of what `end` blocks and maps print
    Results,
    /// Records with name, ts and dur that are printed become events of a Chrome trace
    Trace,
}

/// Which processes are traced, beside the one that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Follow {
    /// None
    Child,
    /// All that descend from it
    Tree,
}

const EXAMPLES: &str = "\
Examples:
  What does this program do to its files? (scripts that come with crumbs; `crumbs lib` lists them)
    crumbs run posix/files -c './app input.dat'

  How large are this command's writes?
    crumbs -e 'uprobe:libc:write < @bytes = hist(arg2) >' -c 'dd if=/dev/zero of=/dev/null bs=4096 count=1000'

  Which processes make the most system calls? (Ctrl-C ends it and prints)
    crumbs -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'

  Which files does process 1234 open?
    crumbs -p 1234 -e 'tracepoint:syscalls:sys_enter_openat { printf(\"%s\\n\", str(args.filename)); }'

  How long do reads take, in microseconds?
    crumbs -e 'uprobe:libc:read { @start[tid] = nsecs; }
               uretprobe:libc:read /@start[tid]/ { @us = hist((nsecs - @start[tid]) / 1000); delete(@start, tid); }'

  What can be traced?
    crumbs -l 'uprobe:libc:*read*'        crumbs -l -v 'tracepoint:syscalls:sys_enter_openat'

  What does a line become? (needs no root)
    crumbs explain -e 'uprobe:libc:write { @bytes = sum(arg2); }'

In place of a script (a script of that name is given as ./NAME):
  crumbs run NAME          a script of the library around a command (-c), a process (-p) or all; its parameters behind --
  crumbs lib [search WORD | show NAME | export NAME]      what the library has
  crumbs merge FILE …      joins what `crumbs run … -o NAME.json` saved on several nodes, and prints it (or saves it: -o NAME.json)
  crumbs list [PATTERN]    as -l                 crumbs doc [NAME]       what a word of the language means
  crumbs fmt SCRIPT        as --fmt              crumbs explain CODE     what an error such as E0111 is about
                                                 crumbs explain SCRIPT   what each of its lines becomes
  crumbs doctor            what this machine lets you trace, and what to change where that is not all

Exit status: 0, or the script's exit(code); 1 for a mistake in the script or its run; 2 for wrong usage.";

/// Traces Linux with scripts of a few lines, compiled straight to eBPF.
#[derive(Debug, Parser)]
#[command(
    name = "crumbs",
    version,
    after_help = EXAMPLES,
    max_term_width = 110,
    disable_help_flag = true
)]
pub(crate) struct Args {
    /// The script, `-` for standard input; without -e. What follows are its parameters $1, $2, …
    #[arg(value_name = "FILE|PARAM", allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,

    /// More parameters; here also named ones (--name=value), which a script reads with getopt("name")
    #[arg(last = true, value_name = "PARAM")]
    pub(crate) behind_dashes: Vec<String>,

    /// The script itself
    #[arg(short = 'e', value_name = "PROG")]
    pub(crate) program: Option<String>,

    /// Run this command, traced from its first instruction on; its end ends the run
    #[arg(short = 'c', long = "cmd", value_name = "CMD", conflicts_with = "pid")]
    pub(crate) command: Option<String>,

    /// Trace this process only; its end ends the run
    #[arg(short = 'p', long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Option<u32>,

    /// Of what -c runs or -p traces: this process itself, or also all that it starts from then on
    /// [default: child, and tree for `crumbs run`]
    #[arg(long, value_name = "WHOM")]
    pub(crate) follow: Option<Follow>,

    /// List what can be traced, by a pattern such as `uprobe:libc:*`, or what a script traces; with -v also the arguments
    #[arg(short = 'l', long, conflicts_with = "command")]
    pub(crate) list: bool,

    /// Write results to this file instead of standard output. With `crumbs run`, -f results and -f trace, %h in the name is the host,
    /// %p the process, %r the rank and %j the batch job
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// How results are written [default: text; trace for names that end in .pfw or .pfw.gz, results for
    /// `crumbs run … -o NAME.json`]
    #[arg(short = 'f', long, value_name = "FORMAT", overrides_with = "format")]
    pub(crate) format: Option<OutputFormat>,

    /// Do not say how many probes are attached
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// Say more: arguments with -l, the verifier's log where it refuses a program
    #[arg(short = 'v', long, overrides_with = "verbose")]
    pub(crate) verbose: bool,

    /// Show what stages of the compiler made of the script, and stop
    #[arg(short = 'd', long = "debug", value_name = "STAGE", value_delimiter = ',')]
    pub(crate) debug: Vec<DebugStage>,

    /// The stage of `debug` whose turn it is.
    #[arg(skip)]
    pub(crate) shown: Option<StageName>,

    /// Allow what can change or crash the traced system
    #[arg(long = "unsafe")]
    pub(crate) allow_unsafe: bool,

    /// Run the `test:` probes of the script, and nothing else; exit with 1 if one fails
    #[arg(long, conflicts_with_all = ["command", "pid"])]
    pub(crate) test: bool,

    /// Run the `bench:` probes of the script, and nothing else; print how long each takes
    #[arg(long, conflicts_with_all = ["command", "pid", "test"])]
    pub(crate) bench: bool,

    /// Compile and load, attach nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Write a line `attached` to this file descriptor once every probe is attached
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) ready_fd: Option<i32>,

    /// Print completions for a shell
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<clap_complete::Shell>,

    /// Show this, and the named parameters of a script that is given with it
    #[arg(short = 'h', long)]
    pub(crate) help: bool,

    /// Whether `explain` stood in front of a script.
    #[arg(skip)]
    pub(crate) explains: bool,

    /// Whether `run` named the script: a script of the library, or else a file.
    #[arg(skip)]
    pub(crate) is_run: bool,

    /// Whether files of results are joined.
    #[arg(skip)]
    pub(crate) is_merge: bool,

    #[command(flatten)]
    pub(crate) bpftrace: BpftraceOptions,
}

impl Args {
    /// Whether what the traced process starts is traced too.
    ///
    /// # Errors
    /// When it is to be and no process is traced.
    pub(crate) fn follows_tree(&self) -> Result<bool, Stop> {
        let is_one_traced = self.command.is_some() || self.pid.is_some();
        match self.follow {
            None => Ok(self.is_run && is_one_traced),
            Some(Follow::Child) => Ok(false),
            Some(Follow::Tree) if is_one_traced => Ok(true),
            Some(Follow::Tree) => Err(Stop::Usage(
                "--follow tree is about a command (-c) or a process (-p): name one".into(),
            )),
        }
    }

    /// Takes over what --mode says, which has an option of its own for most.
    pub(crate) fn obey_mode(&mut self) {
        match self.bpftrace.mode {
            Some(Mode::Test) => self.test = true,
            Some(Mode::Bench) => self.bench = true,
            Some(Mode::Format) => self.bpftrace.fmt = true,
            Some(Mode::Codegen | Mode::CompilerBench) | None => {}
        }
    }

    /// Takes over what the first word asks for, unless the script is given with -e or the word names one by a path.
    pub(crate) fn take_command(&mut self) -> Option<Command> {
        let word = self.words.first()?.as_str();
        // As the first word of all: behind a script it is a parameter.
        let is_first = || std::env::args().nth(1).as_deref() == Some("explain");
        let has_script = || self.program.is_some() || self.words.get(1).is_some_and(|word| names_file(word));
        if word == "explain" && is_first() && has_script() {
            self.explains = true;
            self.words.remove(0);
            return None;
        }
        if self.program.is_some() {
            return None;
        }
        if self.help && word != "run" {
            return None;
        }
        match word {
            "run" => self.is_run = true,
            "merge" => {
                self.is_merge = true;
                return Some(Command::Merge(self.words.split_off(1)));
            }
            "lib" => return Some(Command::Library(self.words.split_off(1))),
            "list" => self.list = true,
            "fmt" => self.bpftrace.fmt = true,
            "doctor" => return Some(Command::Doctor),
            "doc" | "explain" => return Some(Command::Doc(self.words.split_off(1))),
            _ => return None,
        }
        self.words.remove(0);
        None
    }

    /// The stages of -d, each as a command line of its own would ask for it; one without any where there are none.
    pub(crate) fn take_stages(&mut self) -> Vec<Option<StageName>> {
        let mut stages: Vec<Option<StageName>> = Vec::new();
        for stage in std::mem::take(&mut self.debug)
            .into_iter()
            .flat_map(|names| names.0)
        {
            if !stages.contains(&Some(stage)) {
                stages.push(Some(stage));
            }
        }
        if stages.is_empty() {
            stages.push(None);
        }
        stages
    }

    /// The stage to show.
    pub(crate) fn stage(&self) -> Option<StageName> {
        self.shown.or_else(|| self.bpftrace.stage())
    }

    /// Where what is printed goes instead of standard output.
    pub(crate) fn output(&self) -> Option<&Path> {
        let is_printed = !matches!(self.format(), OutputFormat::Results | OutputFormat::Trace);
        let printed = self.output.as_deref().filter(|_| is_printed);
        self.bpftrace.emit_elf.as_deref().or(printed)
    }

    /// How results are written.
    pub(crate) fn format(&self) -> OutputFormat {
        if let Some(format) = self.format {
            return format;
        }
        // Of bpftrace's command line a file name says nothing.
        let named = |end| {
            self.output
                .as_deref()
                .is_some_and(|path| name::ends_with(path, end))
        };
        if (self.is_run || self.is_merge) && named(".json") {
            return OutputFormat::Results;
        }
        match named(".pfw") || named(".pfw.gz") {
            true => OutputFormat::Trace,
            false => OutputFormat::Text,
        }
    }
}

/// Whether a word is the name of a file that is there, or of standard input.
fn names_file(word: &str) -> bool {
    word == "-" || Path::new(word).exists()
}

/// Prints what the command line can be, and behind it `more`.
pub(crate) fn write_help(more: &str) {
    // Nobody is left to tell when standard output cannot be written.
    let _ = write!(io::stdout(), "{}{more}", Args::command().render_help());
}

/// Prints the completions of a shell, with those of the library's names.
pub(crate) fn write_completions(shell: clap_complete::Shell) {
    let mut out = io::stdout();
    clap_complete::generate(shell, &mut Args::command(), "crumbs", &mut out);
    // Nobody is left to tell when standard output cannot be written.
    let _ = out.write_all(library::completions(shell).as_bytes());
}
