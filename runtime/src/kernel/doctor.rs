//! What this kernel and this user can do, what each lack costs, and the way out.
//!
//! In: the machine: files below /proc and /sys, and programs that the kernel is asked to take. Out: one [`Finding`] for
//! each thing that tracing depends on. Nothing is attached and nothing stays behind.

use super::{help, probe};
use crate::sys::bpf::{self, AttachFunction, MapSpec, ProgramSpec, prog_type};
use crumbs_compiler::target::{FEATURES, Feature, KernelVersion, Target};
use std::fs;
use std::io;
use std::path::Path;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// It works with less.
    Limited,
    /// What depends on it does not work.
    Missing,
}

/// What was found of one thing.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How it is.
    pub state: State,
    /// What was found, and what it means.
    pub detail: String,
    /// What to do about it, where it is not good.
    pub way_out: Option<String>,
}

impl Finding {
    fn good(subject: &'static str, detail: impl Into<String>) -> Self {
        Self {
            subject,
            state: State::Good,
            detail: detail.into(),
            way_out: None,
        }
    }

    fn bad(
        subject: &'static str,
        state: State,
        detail: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self {
            subject,
            state,
            detail: detail.into(),
            way_out: Some(way_out.into()),
        }
    }
}

/// The first kernel that has the whole language, and the first that has any.
const WHOLE: KernelVersion = KernelVersion { major: 6, minor: 1 };
const FIRST: KernelVersion = KernelVersion { major: 5, minor: 10 };

/// `BPF_MAP_TYPE_RINGBUF`.
const RING_BUFFER: u32 = 27;

/// Looks at everything. `target` answers what is known of the kernel's types and tracepoints.
pub fn examine(target: &dyn Target) -> Vec<Finding> {
    let mut findings = vec![version(), programs(), ring_buffers(), lockdown(), memory_limit()];
    findings.push(types(target));
    findings.push(tracepoints(target));
    findings.extend(code_probes());
    findings.push(trampolines(target));
    findings.push(counters());
    findings.push(addresses());
    findings.extend(features());
    findings
}

/// The trimmed text of a file; `None` where it cannot be read.
fn text(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn version() -> Finding {
    let version = probe::kernel_version();
    match version {
        _ if version >= WHOLE => Finding::good("kernel", format!("{version} has all of the language")),
        _ if version >= FIRST => Finding::bad(
            "kernel",
            State::Limited,
            format!("{version} has the core of the language: no loops over maps"),
            format!("run kernel {WHOLE} or newer"),
        ),
        _ => Finding::bad(
            "kernel",
            State::Missing,
            format!("{version} is older than anything that is tested"),
            format!("run kernel {FIRST} or newer, better {WHOLE}"),
        ),
    }
}

fn programs() -> Finding {
    const SUBJECT: &str = "privilege";
    match bpf::prog_load(&minimal(prog_type::KPROBE, 0, None), None) {
        Ok(_) => Finding::good(SUBJECT, "the kernel takes tracing programs from this user"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::bad(
            SUBJECT,
            State::Missing,
            "the kernel takes no tracing programs from this user; check, -d and fmt work all the same",
            help::bpf_privilege(),
        ),
        Err(error) => Finding::bad(
            SUBJECT,
            State::Missing,
            format!("the kernel takes no tracing programs: {error}"),
            "it may be built without CONFIG_BPF_SYSCALL or CONFIG_BPF_EVENTS",
        ),
    }
}

fn minimal(kind: u32, attach_type: u32, function: Option<AttachFunction<'_>>) -> ProgramSpec<'_> {
    ProgramSpec {
        kind,
        attach_type,
        flags: 0,
        name: "crumbs_doctor",
        code: &probe::RETURN_0,
        btf: None,
        function,
    }
}

fn ring_buffers() -> Finding {
    const SUBJECT: &str = "ring buffer";
    let made = bpf::map_create(&MapSpec {
        kind: RING_BUFFER,
        key_size: 0,
        value_size: 0,
        max_entries: 1 << 16,
        flags: 0,
        name: "crumbs_doctor",
        inner: None,
    });
    match made {
        Ok(_) => Finding::good(SUBJECT, "printed values reach crumbs through one"),
        Err(error) => Finding::bad(
            SUBJECT,
            State::Missing,
            format!("cannot be made, so no script can print: {error}"),
            "with the privilege for it, they exist from kernel 5.8 on",
        ),
    }
}

fn lockdown() -> Finding {
    const SUBJECT: &str = "lockdown";
    let text = text("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    match mode.map(|(mode, _)| mode) {
        Some("confidentiality") => Finding::bad(
            SUBJECT,
            State::Missing,
            "the kernel is locked down for confidentiality: programs may not read its memory",
            "boot without lockdown=confidentiality (and see Secure Boot)",
        ),
        Some("integrity") => Finding::bad(
            SUBJECT,
            State::Limited,
            "the kernel is locked down for integrity: write_user and override do not work",
            "boot without lockdown=integrity where they are needed",
        ),
        _ => Finding::good(SUBJECT, "none"),
    }
}

fn memory_limit() -> Finding {
    const SUBJECT: &str = "locked memory";
    if probe::kernel_version() >= (KernelVersion { major: 5, minor: 11 }) {
        return Finding::good(SUBJECT, "maps do not count as locked memory on this kernel");
    }
    match crate::sys::process::unlimit_locked_memory() {
        Ok(()) => Finding::good(SUBJECT, "the limit can be raised"),
        Err(error) => Finding::bad(
            SUBJECT,
            State::Missing,
            format!("the limit cannot be raised, and this kernel counts maps: {error}"),
            "run as root, grant CAP_SYS_RESOURCE, or `ulimit -l unlimited`",
        ),
    }
}

fn types(target: &dyn Target) -> Finding {
    const SUBJECT: &str = "kernel types (BTF)";
    match target.kernel_type("struct", "task_struct") {
        Ok(_) => Finding::good(SUBJECT, "structs, fentry, iter and named arguments can be used"),
        Err(_) => Finding::bad(
            SUBJECT,
            State::Limited,
            "not to be had: no kernel structs but those that a script declares; no fentry, fexit and iter",
            "use a kernel with CONFIG_DEBUG_INFO_BTF (distributions' are)",
        ),
    }
}

fn tracepoints(target: &dyn Target) -> Finding {
    const SUBJECT: &str = "tracepoints (tracefs)";
    match target.tracepoints("sched", "sched_switch") {
        Ok(_) => Finding::good(SUBJECT, "their formats can be read"),
        Err(_) => Finding::bad(
            SUBJECT,
            State::Limited,
            "their formats cannot be read, so tracepoint probes do not work; rawtracepoint does",
            "run as root, or grant CAP_DAC_READ_SEARCH (tracefs is root's only)",
        ),
    }
}

/// Probes on user and kernel code.
fn code_probes() -> [Finding; 2] {
    let kernel = "/sys/bus/event_source/devices/kprobe";
    let kprobe = match (Path::new(kernel).exists(), probe::has(Feature::KprobeMulti)) {
        (true, true) => Finding::good("kprobe", "many functions cost as much as one"),
        (true, false) => Finding::bad(
            "kprobe",
            State::Limited,
            "wildcards attach to one function after the other, which takes time",
            "kprobe_multi links want kernel 5.18 with CONFIG_FPROBE",
        ),
        (false, _) => Finding::bad(
            "kprobe",
            State::Missing,
            "this kernel has no kernel probes (it was built without CONFIG_KPROBE_EVENTS)",
            "use tracepoint, rawtracepoint or fentry probes",
        ),
    };
    let has_events = Path::new("/sys/bus/event_source/devices/uprobe").exists();
    let uprobe = match (has_events, probe::has(Feature::UprobeMulti)) {
        (_, true) => Finding::good("uprobe", "many functions cost as much as one"),
        (true, false) => Finding::bad(
            "uprobe",
            State::Limited,
            "wildcards attach to one function after the other, and detaching takes seconds",
            "uprobe_multi links want kernel 6.6, and CAP_BPF and CAP_PERFMON",
        ),
        (false, false) => Finding::bad(
            "uprobe",
            State::Missing,
            "this kernel has no user probes",
            "it was built without CONFIG_UPROBE_EVENTS",
        ),
    };
    [kprobe, uprobe]
}

/// Whether a program may be loaded for a function that every kernel has.
fn trampolines(target: &dyn Target) -> Finding {
    const SUBJECT: &str = "fentry and fexit";
    let function = target.kernel_functions(Some("vmlinux"), "vfs_read").ok();
    let Some(function) = function.and_then(|found| found.into_iter().next()) else {
        return Finding::bad(
            SUBJECT,
            State::Limited,
            "the kernel's types do not describe its functions",
            "use kprobes",
        );
    };
    let spec = AttachFunction {
        id: function.id,
        module: None,
    };
    match bpf::prog_load(&minimal(prog_type::TRACING, bpf::ATTACH_FENTRY, Some(spec)), None) {
        Ok(_) => Finding::good(
            SUBJECT,
            "functions of the kernel can be traced with their arguments by name",
        ),
        Err(error) => Finding::bad(
            SUBJECT,
            State::Limited,
            format!("the kernel takes no programs for them: {error}"),
            "without the privilege it never does; some machines forbid it to everyone: use kprobes or tracepoints",
        ),
    }
}

fn counters() -> Finding {
    const SUBJECT: &str = "perf_event_paranoid";
    let level = text("/proc/sys/kernel/perf_event_paranoid").and_then(|level| level.parse::<i32>().ok());
    let hardware = Path::new("/sys/bus/event_source/devices/cpu").exists();
    let hardware = if hardware {
        ""
    } else {
        "; this machine counts no hardware events"
    };
    match level {
        None => Finding::bad(
            SUBJECT,
            State::Missing,
            "this kernel has no perf events: no profile, software, hardware and watchpoint probes",
            "use a kernel with CONFIG_PERF_EVENTS",
        ),
        Some(level) if level <= 2 => Finding::good(SUBJECT, format!("{level}{hardware}")),
        Some(level) => Finding::bad(
            SUBJECT,
            State::Limited,
            format!("{level}: perf events want CAP_PERFMON or root{hardware}"),
            "sysctl kernel.perf_event_paranoid=2 where that is too strict",
        ),
    }
}

fn addresses() -> Finding {
    const SUBJECT: &str = "kernel symbols";
    let first = text("/proc/kallsyms").and_then(|all| Some(all.split_once(' ')?.0.to_owned()));
    match first {
        Some(address) if address.chars().any(|digit| digit != '0') => {
            Finding::good(SUBJECT, "kernel stacks have names")
        }
        _ => Finding::bad(
            SUBJECT,
            State::Limited,
            "addresses are hidden: kernel stacks have no names",
            "run as root; see the sysctl kernel.kptr_restrict",
        ),
    }
}

/// The features that this kernel lacks, each with what is done without it.
fn features() -> impl Iterator<Item = Finding> {
    // Those that have a line of their own.
    let own = [Feature::KprobeMulti, Feature::UprobeMulti];
    let lacking = FEATURES
        .iter()
        .filter(move |row| !own.contains(&row.feature) && !probe::has(row.feature));
    lacking.map(|row| {
        let way_out = format!("kernel {} has it", row.since);
        Finding::bad(row.name, State::Limited, row.lack, way_out)
    })
}
