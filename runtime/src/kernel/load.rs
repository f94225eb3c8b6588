//! From an ELF object to maps and programs in the kernel.
//!
//! In: the plan and the object that the compiler wrote for it. Out: descriptors only (nothing is pinned, so nothing
//! outlives the process). aya-obj parses and relocates; the maps are made from the plan, since it knows more than the
//! object (kinds, flags) and names them. The verifier's log is asked for only when a program was refused, or when the
//! user wants it: writing it slows loading down several times.

use super::maps::KernelMap;
use super::reject::{self, Rejection};
use super::{Options, help, probe, trampoline};
use crate::backend::Error;
use crate::sys::bpf::{self, MapSpec, ProgramBtf, ProgramSpec, map_type, prog_type};
use crate::sys::mmap::{Mapping, page_size};
use crate::sys::process;
use aya_obj::btf::BtfFeatures;
use aya_obj::{Function, Object};
use crumbs_compiler::plan::{Attach, BpfMap, KernelPlace, KprobePlace, Plan, ProgramKind, ProgramPlan};
use crumbs_compiler::target::{Feature, KernelVersion};
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The ELF section, and for aya-obj the map, that holds the program memory.
const MEMORY_SECTION: &str = ".bss";

/// `BPF_COMPLEXITY_LIMIT_INSNS` of include/linux/bpf.h.
const VERIFIER_STEPS: u32 = 1_000_000;

/// What loading made.
#[derive(Debug)]
pub struct Loaded {
    /// As [`Plan::bpf_maps`].
    pub maps: Vec<KernelMap>,
    /// The program memory; `None` where no program uses any.
    pub memory: Option<Memory>,
    /// As [`Plan::programs`].
    pub programs: Vec<OwnedFd>,
    /// What the verifier had to say of each program, where [`Options::verifier_log`] asked for it.
    pub logs: Vec<String>,
}

/// The program memory.
#[derive(Debug)]
pub struct Memory {
    /// The map.
    pub fd: OwnedFd,
    /// Its one element.
    pub mapping: Mapping,
}

/// Why a script could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The machine refused.
    Refused(Error),
    /// The verifier refused a program: a fault of crumbs, not of the script.
    Rejected(Box<Rejection>),
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Refused(error) => error,
            LoadError::Rejected(rejection) => rejection.into_error(),
        }
    }
}

/// Loads everything; attaches nothing.
///
/// # Errors
/// When the machine refuses a map or a program.
pub fn load(plan: &Plan, elf: &[u8], options: &Options) -> Result<Loaded, LoadError> {
    raise_memory_limit()?;
    let mut object = Object::parse(elf).map_err(|error| broken_object(&error))?;
    let maps = plan
        .bpf_maps
        .iter()
        .map(create_map)
        .collect::<Result<Vec<_>, _>>()?;
    let memory = create_memory(plan.memory.size)?;
    relocate(&mut object, &maps, memory.as_ref())?;
    let btf = load_btf(&mut object);
    let mut loaded = Loaded {
        maps,
        memory,
        programs: Vec::new(),
        logs: Vec::new(),
    };
    for (index, program) in plan.programs.iter().enumerate() {
        let function = find(&object, &program.symbol)?;
        let (fd, log) = load_program(plan, index, function, btf.as_ref(), options)?;
        loaded.programs.push(fd);
        loaded.logs.extend(log);
    }
    Ok(loaded)
}

/// Before 5.11 maps and programs count as locked memory of the process, and the limit is 64 KB by default.
fn raise_memory_limit() -> Result<(), Error> {
    if probe::kernel_version() >= (KernelVersion { major: 5, minor: 11 }) {
        return Ok(());
    }
    process::unlimit_locked_memory().map_err(|error| Error::new("raise the limit of locked memory (RLIMIT_MEMLOCK)", error.to_string()).help(format!(
            "kernel {} counts BPF maps as locked memory: run as root, grant CAP_SYS_RESOURCE, or raise the limit \
             with `ulimit -l unlimited`",
            probe::kernel_version()
        )))
}

fn broken_object(error: &dyn std::error::Error) -> Error {
    Error::new("read the compiled object", error.to_string())
        .help("this is a fault of crumbs: please report it with the script".to_owned())
}

fn create_map(spec: &BpfMap) -> Result<KernelMap, Error> {
    let fd = bpf::map_create(&MapSpec {
        kind: spec.kind.number(),
        key_size: spec.key_size,
        value_size: spec.value_size,
        max_entries: spec.max_entries,
        flags: spec.flags,
        name: &spec.symbol,
        inner: None,
    })
    .map_err(|error| map_error(&spec.symbol, spec.max_entries, &error))?;
    Ok(KernelMap {
        fd,
        spec: spec.clone(),
    })
}

fn map_error(name: &str, entries: u32, error: &io::Error) -> Error {
    Error::new(
        format!("create map `{name}` of {entries} entries"),
        error.to_string(),
    )
    .help(match error.raw_os_error() {
        Some(libc::EPERM) => Some(help::bpf_privilege()),
        Some(libc::ENOMEM | libc::E2BIG) => Some("lower its capacity (`max_map_keys`)".into()),
        _ => None,
    })
}

fn create_memory(size: u32) -> Result<Option<Memory>, Error> {
    if size == 0 {
        return Ok(None);
    }
    let failed = |error: io::Error| map_error("crumbs.bss", 1, &error);
    let fd = bpf::map_create(&MapSpec {
        kind: map_type::ARRAY,
        key_size: 4,
        value_size: size,
        max_entries: 1,
        flags: bpf::MMAPABLE,
        name: "crumbs.bss",
        inner: None,
    })
    .map_err(failed)?;
    let len = (size as usize).next_multiple_of(page_size());
    let mapping = Mapping::new(fd.as_fd(), 0, len, true).map_err(failed)?;
    Ok(Some(Memory { fd, mapping }))
}

fn relocate(object: &mut Object, maps: &[KernelMap], memory: Option<&Memory>) -> Result<(), Error> {
    let descriptors = std::mem::take(&mut object.maps);
    let mut known = Vec::new();
    for (name, description) in &descriptors {
        let fd = if name == MEMORY_SECTION {
            memory.map(|memory| memory.fd.as_raw_fd())
        } else {
            maps.iter()
                .find(|map| map.spec.symbol == *name)
                .map(|map| map.fd.as_raw_fd())
        };
        // A map that the plan lacks is left out: only a reference to it would be an error, and then one of aya-obj's.
        if let Some(fd) = fd {
            known.push((name.as_str(), fd, description));
        }
    }
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object
        .relocate_maps(known.into_iter(), &text)
        .map_err(|error| broken_object(&error))?;
    object
        .relocate_calls(&text)
        .map_err(|error| broken_object(&error))
}

/// Types are worth having (function types for callbacks, lines for logs) but only callbacks need them: where the kernel
/// does not take them, programs are loaded without, and the verifier says so if one did need them.
fn load_btf(object: &mut Object) -> Option<OwnedFd> {
    let kernel = probe::kernel_version();
    let since = |major, minor| kernel >= KernelVersion { major, minor };
    let features = BtfFeatures::new(
        true,         // functions: 5.0
        true,         // their linkage: 5.6
        true,         // sections: 5.2
        since(5, 12), // empty sections
        since(5, 13), // floats
        since(5, 16), // declaration tags
        since(5, 17), // type tags
        since(6, 0),  // 64-bit enums
    );
    let btf = object.fixup_and_sanitize_btf(&features).ok().flatten()?;
    bpf::btf_load(&btf.to_bytes()).ok()
}

fn find<'a>(object: &'a Object, symbol: &str) -> Result<&'a Function, Error> {
    object
        .programs
        .get(symbol)
        .and_then(|program| object.functions.get(&program.function_key()))
        .ok_or_else(|| broken_object(&io::Error::other(format!("it has no program `{symbol}`"))))
}

/// The instructions as the kernel takes them (`struct bpf_insn`, little-endian on all our architectures).
fn encode(function: &Function) -> Vec<u8> {
    let mut code = Vec::with_capacity(function.instructions.len() * 8);
    for insn in &function.instructions {
        code.extend([insn.code, insn.dst_reg() | insn.src_reg() << 4]);
        code.extend(insn.off.to_le_bytes());
        code.extend(insn.imm.to_le_bytes());
    }
    code
}

/// The kernel's number of a kind of program.
pub(super) fn program_type(kind: ProgramKind) -> u32 {
    match kind {
        ProgramKind::RawTracepoint => prog_type::RAW_TRACEPOINT,
        ProgramKind::Tracepoint => prog_type::TRACEPOINT,
        ProgramKind::PerfEvent => prog_type::PERF_EVENT,
        ProgramKind::Tracing => prog_type::TRACING,
        ProgramKind::Kprobe => prog_type::KPROBE,
    }
}

/// The type of a program, and the attach type that it is loaded for; 0 where there is none.
fn kernel_kind(program: &ProgramPlan) -> (u32, u32) {
    let attach_type = match program.kind {
        ProgramKind::RawTracepoint | ProgramKind::Tracepoint | ProgramKind::PerfEvent => 0,
        ProgramKind::Tracing => match program.attach.first() {
            Some(Attach::Iterator { .. }) => bpf::ATTACH_ITER,
            Some(Attach::Function { on_return: true, .. }) => bpf::ATTACH_FEXIT,
            _ => bpf::ATTACH_FENTRY,
        },
        ProgramKind::Kprobe => match attaches_by_multi_link(program) {
            true if program.attach.iter().any(Attach::is_on_user_code) => bpf::ATTACH_UPROBE_MULTI,
            true => bpf::ATTACH_KPROBE_MULTI,
            false => 0,
        },
    };
    (program_type(program.kind), attach_type)
}

/// Whether a program is attached by links to many places: then it must be loaded for that. On user code wherever the
/// kernel can; on functions of the kernel where there are several, since one by itself can be at an offset or be out of
/// reach of the function tracer, which such links use.
pub(super) fn attaches_by_multi_link(program: &ProgramPlan) -> bool {
    let mut functions = 0;
    for attach in &program.attach {
        match attach {
            Attach::Uprobe { .. } | Attach::Late { .. } => return probe::has(Feature::UprobeMulti),
            Attach::Kprobe { places, .. } => {
                let whole = |place: &KprobePlace| matches!(place.at, KernelPlace::Symbol { offset: 0, .. });
                if !places.iter().all(whole) {
                    return false;
                }
                functions += places.len();
            }
            _ => return false,
        }
    }
    functions > 1 && probe::has(Feature::KprobeMulti)
}

fn load_program(
    plan: &Plan,
    index: usize,
    function: &Function,
    btf: Option<&OwnedFd>,
    options: &Options,
) -> Result<(OwnedFd, Option<String>), LoadError> {
    let program = &plan.programs[index];
    let (kind, attach_type) = kernel_kind(program);
    let traced = trampoline::function(program, super::probe_name(plan, program))
        .map_err(|error| error.about(program.first_site()))?;
    let code = encode(function);
    let (func_info, line_info) = (
        function.func_info.func_info_bytes(),
        function.line_info.line_info_bytes(),
    );
    let spec = ProgramSpec {
        kind,
        attach_type,
        flags: if program.sleepable { bpf::SLEEPABLE } else { 0 },
        name: &program.symbol,
        code: &code,
        btf: btf.filter(|_| !func_info.is_empty()).map(|btf| ProgramBtf {
            btf: btf.as_fd(),
            func_info: &func_info,
            line_info: &line_info,
        }),
        function: traced.as_ref().map(trampoline::Function::as_spec),
    };
    if options.verifier_log > 0 {
        let (result, log) = load_with_log(&spec, options.verifier_log);
        if let Ok(fd) = result {
            return Ok((fd, Some(log)));
        }
    }
    let error = match bpf::prog_load(&spec, None) {
        Ok(fd) => return Ok((fd, None)),
        Err(error) => error,
    };
    let probe_name = || super::probe_name(plan, program);
    if let Some(refused) = refusal(probe_name(), &error, traced.is_some(), code.len() / 8) {
        return Err(refused.about(program.first_site()).into());
    }
    // Level 1 shows the path to the failure; where the first attempt failed for a passing reason, this one may succeed.
    match load_with_log(&spec, options.verifier_log.max(1)) {
        (Ok(fd), _) => Ok((fd, None)),
        (Err(error), log) => Err(LoadError::Rejected(Box::new(reject::explain(
            index,
            probe_name(),
            function,
            &error,
            log,
        )))),
    }
}

/// Why the kernel does not load a probe's program, where that is not for what its instructions do. `traced`: it is for one
/// function of the kernel.
fn refusal(probe: String, error: &io::Error, traced: bool, instructions: usize) -> Option<Error> {
    let (reason, help) = match error.raw_os_error()? {
        libc::EPERM if traced => return Some(trampoline::not_permitted(probe)),
        libc::EPERM => ("the kernel does not permit it".into(), help::bpf_privilege()),
        libc::E2BIG => (
            format!(
                "the kernel's verifier takes at most {VERIFIER_STEPS} steps, too few for all ways through its \
                 {instructions} instructions"
            ),
            "split the block in two with the same attach point: both run on every event".into(),
        ),
        libc::ENOMEM => (
            format!("{error} ({instructions} instructions)"),
            "split the block in two, or raise the limits of this process and its control group".into(),
        ),
        _ => return None,
    };
    Some(Error::new(format!("load {probe}"), reason).help(help))
}

/// Loads with a log, in a buffer that grows until it fits; the kernel takes at most 1 GB.
fn load_with_log(spec: &ProgramSpec<'_>, level: u32) -> (io::Result<OwnedFd>, String) {
    let mut size = 64 << 10;
    loop {
        let mut buffer = vec![0; size];
        let result = bpf::prog_load(spec, Some((&mut buffer, level)));
        let too_small = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ENOSPC));
        if too_small && size < 64 << 20 {
            size *= 4;
            continue;
        }
        let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
        return (result, String::from_utf8_lossy(&buffer[..end]).into_owned());
    }
}
