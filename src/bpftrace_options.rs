//! Options that bpftrace has and crumbs knows for its users' sake: they mean the same, or nothing is left for them to do, or
//! they are refused with the reason and what to do instead.

use crate::cli::{StageName, Stop};
use clap::{Args, ValueEnum};
use crumbs_compiler::target::Feature;
use std::path::PathBuf;

/// When results are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Buffering {
    /// With each line
    Line,
    /// When there is much, or when nothing more happens for now
    Full,
    /// At once
    None,
}

/// What is done with a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// As -d ir
    Codegen,
    /// Compile only
    CompilerBench,
    /// As --bench
    Bench,
    /// As --test
    Test,
    /// As --fmt
    Format,
}

/// Stages, by crumbs' or bpftrace's name for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DebugStage(pub(crate) Vec<StageName>);

impl std::str::FromStr for DebugStage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let of_bpftrace = match name {
            "parse" => Some(StageName::Ast),
            "types" => Some(StageName::Hir),
            "codegen" | "codegen-opt" => Some(StageName::Ir),
            "dis" => Some(StageName::Asm),
            "libbpf" => Some(StageName::Verifier),
            "all" => {
                return Ok(Self(vec![
                    StageName::Ast,
                    StageName::Hir,
                    StageName::Ir,
                    StageName::Asm,
                ]));
            }
            _ => None,
        };
        match of_bpftrace.map_or_else(|| StageName::from_str(name, false), Ok) {
            Ok(stage) => Ok(Self(vec![stage])),
            Err(_) => {
                let names: Vec<String> = StageName::value_variants()
                    .iter()
                    .filter_map(|stage| Some(stage.to_possible_value()?.get_name().to_owned()))
                    .collect();
                Err(format!("the stages are {} and all", names.join(", ")))
            }
        }
    }
}

/// The options of bpftrace that crumbs would not have by itself.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "As in bpftrace")]
pub(crate) struct BpftraceOptions {
    /// When results are written
    #[arg(short = 'B', value_name = "MODE")]
    pub(crate) buffering: Option<Buffering>,

    /// Show no warnings, neither of the compiler nor of warnf()
    #[arg(long)]
    pub(crate) no_warnings: bool,

    /// Write the script in its standard form to standard output (or the file of -o)
    #[arg(long)]
    pub(crate) fmt: bool,

    /// What to do with the script
    // Until 0.25 bpftrace called it --test-mode.
    #[arg(long, alias = "test-mode", value_name = "MODE")]
    pub(crate) mode: Option<Mode>,

    /// Say what this kernel and this build can do
    #[arg(long)]
    pub(crate) info: bool,

    /// Write the ELF object to this file, and stop
    #[arg(long, value_name = "FILE")]
    pub(crate) emit_elf: Option<PathBuf>,

    /// Look for C headers that the script includes in this directory, too
    #[arg(short = 'I', value_name = "DIR")]
    pub(crate) include_dirs: Vec<String>,

    /// Include this C header in front of the script
    #[arg(long = "include", value_name = "FILE")]
    pub(crate) includes: Vec<String>,

    /// Do without these kernel features: uprobe_multi, kprobe_multi, kprobe_session
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) no_feature: Vec<String>,

    /// Turn on USDT semaphores by file, for every process that has it mapped
    #[arg(long)]
    pub(crate) usdt_file_activation: bool,

    #[arg(long, value_name = "REGEX", hide = true)]
    probe_filter: Option<String>,

    /// Tell of every look-up, deletion and read that fails, with its place (they are counted in any case)
    #[arg(short = 'k', long = "warnings", action = clap::ArgAction::Count)]
    warnings: u8,

    /// BTF is used wherever the kernel has it
    #[arg(short = 'b', long = "btf", hide = true)]
    btf: bool,

    /// There is no LLVM here whose work could be verified; crumbs verifies its own in any case
    #[arg(long, hide = true)]
    verify_llvm_ir: bool,

    #[arg(long, value_name = "FILE", hide = true)]
    emit_llvm: Option<PathBuf>,

    #[arg(long, value_name = "FILE", hide = true)]
    aot: Option<PathBuf>,

    #[arg(long, value_name = "PID", hide = true)]
    dwarf_pid: Vec<String>,

    /// Look for separate debug files in these directories (separated by colons), too
    #[arg(long, value_name = "DIRS")]
    debuginfo: Option<std::ffi::OsString>,

    #[arg(long, value_name = "FILE", hide = true)]
    traceable_functions: Option<PathBuf>,
}

impl BpftraceOptions {
    /// Whether helpers of the kernel that fail are told one by one.
    pub(crate) fn reports_failures(&self) -> bool {
        self.warnings > 0
    }

    /// Where separate debug files are looked for, beside the usual directory.
    pub(crate) fn debug_directories(&self) -> Vec<PathBuf> {
        let directories = self.debuginfo.iter().flat_map(std::env::split_paths);
        directories
            .filter(|directory| !directory.as_os_str().is_empty())
            .collect()
    }

    /// Whether the script is compiled and then forgotten.
    pub(crate) fn is_compile_only(&self) -> bool {
        self.mode == Some(Mode::CompilerBench)
    }

    /// The stage that another option than -d asks for.
    pub(crate) fn stage(&self) -> Option<StageName> {
        match self.mode {
            Some(Mode::Codegen) => Some(StageName::Ir),
            _ if self.emit_elf.is_some() => Some(StageName::Elf),
            _ => None,
        }
    }

    /// The features to do without. Those that crumbs never uses need not be turned off.
    ///
    /// # Errors
    /// For what bpftrace would not know either.
    pub(crate) fn unwanted_features(&self) -> Result<Vec<Feature>, Stop> {
        let mut unwanted = Vec::new();
        for name in &self.no_feature {
            match name.as_str() {
                "uprobe_multi" => unwanted.push(Feature::UprobeMulti),
                "kprobe_multi" | "kprobe_session" => {}
                _ => {
                    return Err(Stop::Usage(format!(
                        "there is no feature `{name}` to do without: it is uprobe_multi, kprobe_multi or kprobe_session"
                    )));
                }
            }
        }
        Ok(unwanted)
    }

    /// Refuses what cannot be done.
    ///
    /// # Errors
    /// With the reason and the way out.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        let refused = [
            (
                self.emit_llvm.is_some(),
                "--emit-llvm: crumbs compiles without LLVM; -d ir shows its own intermediate code, -d asm the instructions",
            ),
            (
                self.aot.is_some(),
                "--aot: compiling takes crumbs milliseconds, so there are no precompiled scripts; --emit-elf FILE writes an \
                 object that libbpf and bpftool load",
            ),
            (
                !self.dwarf_pid.is_empty(),
                "--dwarf-pid: stacks are not unwound by DWARF; build the program with frame pointers and use ustack",
            ),
            (
                self.probe_filter.is_some(),
                "--probe-filter: all `test:` and `bench:` probes of a script are run; keep others in a script of their own",
            ),
            (
                self.traceable_functions.is_some(),
                "--traceable-functions: which functions can be traced is asked of the kernel",
            ),
        ];
        match refused.iter().find(|(given, _)| *given) {
            Some((_, reason)) => Err(Stop::Usage((*reason).to_owned())),
            None => Ok(()),
        }
    }
}
