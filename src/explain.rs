//! `crumbs explain`: what each line of a script became.
//!
//! In: a script without mistakes, compiled. Out: a page that names where each probe runs, shows its instructions under the
//! lines of the script that they were made for, and says where maps are kept, which helpers of the kernel are called and
//! what is sent. It needs no privilege: nothing is loaded. What the kernel's verifier finds is added by whoever may ask it.

use crumbs_compiler::bpf::{Program, disasm, op};
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::helper::Helper;
use crumbs_compiler::hir;
use crumbs_compiler::plan::{
    Attach, BpfMap, BpfMapKind, EventKind, Generations, MapPlan, Plan, ProgramKind, Storage,
};
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::Span;
use std::collections::BTreeMap;
use std::fmt::Write;

/// So many places of a probe are named.
const PLACES: usize = 5;
/// Where the sentence about an instruction begins.
const COLUMN: usize = 44;

/// The whole page, up to what the verifier says.
pub fn page(script: &hir::Script, compiled: &Compiled, sources: &Sources) -> String {
    let mut out = String::new();
    let plan = &compiled.plan;
    // Writing to a String cannot fail.
    for (i, (program, probe)) in compiled.programs.iter().zip(&script.probes).enumerate() {
        let _ = writeln!(
            out,
            "PROBE {} of {}: {} instructions, {} bytes of stack",
            i + 1,
            compiled.programs.len(),
            program.insns.len(),
            program.frame
        );
        let _ = writeln!(out, "  {}", context(probe.kind));
        places(&mut out, plan, &probe.attach);
        variables(&mut out, probe);
        out.push('\n');
        let mut line = None;
        listing(&mut out, program, sources, &plan.bpf_maps, &mut line);
        out.push('\n');
    }
    maps(&mut out, plan);
    events(&mut out, plan, sources);
    helpers(&mut out, &compiled.programs);
    out
}

/// What a program finds in r1 when it starts.
fn context(kind: ProgramKind) -> &'static str {
    match kind {
        ProgramKind::RawTracepoint => "run by crumbs itself; r1 points to nothing of use",
        ProgramKind::Kprobe => {
            "a program for user and kernel probes; r1 points to the registers (struct pt_regs)"
        }
        ProgramKind::Tracepoint => "a program for tracepoints; r1 points to the event's record",
        ProgramKind::PerfEvent => {
            "a program for clocks and counters; r1 points to struct bpf_perf_event_data"
        }
        ProgramKind::Tracing => {
            "a program in the function's own way; r1 points to its arguments, 8 bytes each"
        }
    }
}

fn places(out: &mut String, plan: &Plan, attach: &[Attach]) {
    let cookies: Vec<u32> = attach.iter().flat_map(Attach::cookies).collect();
    for cookie in cookies.iter().take(PLACES) {
        let Some(site) = plan.sites.get(*cookie as usize) else {
            continue;
        };
        let behind = attach.iter().find_map(|attach| match attach {
            Attach::Uprobe { places, .. } => places
                .iter()
                .find(|place| place.cookie == *cookie && place.behind_entry() > 0),
            _ => None,
        });
        let behind = behind.map_or_else(String::new, |place| {
            format!(
                ", {} bytes behind its entry: the kernel can emulate that instruction instead of single-stepping it",
                place.behind_entry()
            )
        });
        let _ = writeln!(out, "  at {}{behind}", site.probe);
    }
    if cookies.len() > PLACES {
        let _ = writeln!(out, "  … and at {} more places", cookies.len() - PLACES);
    }
}

fn variables(out: &mut String, probe: &hir::Probe) {
    for var in probe.vars.iter().filter(|var| is_users(&var.name)) {
        let _ = writeln!(out, "  ${}: {}", var.name, var.ty);
    }
}

/// Whether a name is of the script's author: what crumbs adds has marks that cannot be written.
fn is_users(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The instructions, and a sentence for each that calls the kernel. `line` is the line that was shown last.
fn listing(
    out: &mut String,
    program: &Program,
    sources: &Sources,
    maps: &[BpfMap],
    line: &mut Option<(String, usize)>,
) {
    for (i, span) in program.spans.iter().enumerate() {
        if i > 0 && program.insns[i - 1].is_wide() {
            continue;
        }
        if span.end > span.start {
            source_line(out, sources, *span, line);
        }
        let text = disasm::instruction(program, i, maps);
        let _ = match called(program, i) {
            Some(helper) => {
                let text = format!("{i:7}: {text}");
                writeln!(out, "{text:COLUMN$}; {}", meaning(helper))
            }
            None => writeln!(out, "{i:7}: {text}"),
        };
    }
    for callback in &program.callbacks {
        let _ = writeln!(out, "  a function of its own, which the kernel calls back:");
        listing(out, callback, sources, maps, line);
    }
}

/// The line that instructions come from, where it is another than the last.
fn source_line(out: &mut String, sources: &Sources, span: Span, shown: &mut Option<(String, usize)>) {
    let at = sources.position(span);
    let here = (at.file.to_owned(), at.line);
    if shown.as_ref() == Some(&here) {
        return;
    }
    let whole = sources.file(span).1;
    let text = sources.text().get(whole.range()).unwrap_or_default();
    let text = text.lines().nth(at.line - 1).unwrap_or_default().trim();
    let _ = writeln!(out, "  {}:{} | {text}", here.0, here.1);
    *shown = Some(here);
}

fn called(program: &Program, index: usize) -> Option<Helper> {
    let insn = program.insns[index];
    (insn.code == op::JMP | op::CALL && insn.src == 0)
        .then(|| Helper::by_number(insn.imm as u32))
        .flatten()
}

fn maps(out: &mut String, plan: &Plan) {
    let shown: Vec<&MapPlan> = plan.maps.iter().filter(|map| !map.is_internal()).collect();
    if !shown.is_empty() {
        out.push_str("MAPS OF THE SCRIPT\n");
    }
    for map in shown {
        let key = map
            .key
            .as_ref()
            .map_or_else(String::new, |key| format!("[{key}]"));
        let _ = writeln!(out, "  @{}{key}: {}", map.name, map.value);
        let _ = writeln!(out, "    {}", storage(plan, &map.storage));
    }
    if !plan.bpf_maps.is_empty() || plan.memory.size > 0 {
        out.push_str("\nMAPS OF THE KERNEL\n");
    }
    if plan.memory.size > 0 {
        let _ = writeln!(
            out,
            "  memory: an array of one element of {} bytes, which programs and crumbs both have mapped",
            plan.memory.size
        );
    }
    for map in &plan.bpf_maps {
        let _ = writeln!(out, "  {}: {}", map.symbol, kernel_map(map));
    }
}

fn storage(plan: &Plan, storage: &Storage) -> String {
    let symbols = |maps: &Generations| {
        let names = maps
            .ids()
            .iter()
            .filter_map(|id| plan.bpf_maps.get(id.0 as usize));
        names
            .map(|map| map.symbol.as_str())
            .collect::<Vec<_>>()
            .join(" and ")
    };
    match storage {
        Storage::Words { offset } => {
            format!("its value, and whether it was ever set: two words at memory[{offset}]")
        }
        Storage::Striped { bytes, .. } => format!(
            "{bytes} bytes for each CPU ({} stripes from memory[{}] on, {} bytes apart): CPUs do not wait for each other, and \
             crumbs adds them up",
            plan.memory.stripes.count, plan.memory.stripes.offset, plan.memory.stripes.stride
        ),
        Storage::Hash(maps) => format!("in the kernel's map {}", symbols(maps)),
        Storage::PerCpu { maps, overflow, .. } => format!(
            "in the kernel's map {}, which has a state for each CPU; what it refuses for want of memory is in {}",
            symbols(maps),
            symbols(overflow)
        ),
    }
}

fn kernel_map(map: &BpfMap) -> String {
    let kind = match map.kind {
        BpfMapKind::Hash => "BPF_MAP_TYPE_HASH",
        BpfMapKind::PerCpuHash => "BPF_MAP_TYPE_PERCPU_HASH",
        BpfMapKind::LruHash => "BPF_MAP_TYPE_LRU_HASH",
        BpfMapKind::LruPerCpuHash => "BPF_MAP_TYPE_LRU_PERCPU_HASH",
        BpfMapKind::RingBuf => {
            return format!(
                "BPF_MAP_TYPE_RINGBUF of {} bytes, by which values are sent",
                map.max_entries
            );
        }
    };
    let each = if map.kind.is_per_cpu() {
        " for each CPU"
    } else {
        ""
    };
    format!(
        "{kind}, {} bytes of key, {} bytes of value{each}, at most {} elements",
        map.key_size, map.value_size, map.max_entries
    )
}

fn events(out: &mut String, plan: &Plan, sources: &Sources) {
    if plan.events.is_empty() {
        return;
    }
    out.push_str("\nWHAT PROGRAMS SEND, AND CRUMBS ACTS ON\n");
    for event in &plan.events {
        let text = sources.text().get(event.span.range()).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let values: Vec<String> = event
            .args
            .iter()
            .map(|arg| format!("{} at byte {}", arg.ty, arg.offset))
            .collect();
        let values = if values.is_empty() {
            "its number alone".to_owned()
        } else {
            values.join(", ")
        };
        let most = if matches!(event.kind, EventKind::Printf(_)) {
            " at most"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  {text}\n    a record of {} bytes{most}: {values}",
            event.size
        );
    }
}

fn helpers(out: &mut String, programs: &[Program]) {
    let mut calls = BTreeMap::new();
    let mut waiting: Vec<&Program> = programs.iter().collect();
    while let Some(program) = waiting.pop() {
        for helper in (0..program.insns.len()).filter_map(|i| called(program, i)) {
            *calls.entry(helper.row().number).or_insert(0_u32) += 1;
        }
        waiting.extend(&program.callbacks);
    }
    if !calls.is_empty() {
        out.push_str(
            "\nHELPERS: functions of the kernel that programs may call, described in bpf-helpers(7)\n",
        );
    }
    for (number, times) in calls {
        if let Some(helper) = Helper::by_number(number) {
            let row = helper.row();
            let places = if times == 1 {
                "1 place"
            } else {
                &format!("{times} places")
            };
            let _ = writeln!(
                out,
                "  bpf_{} (from {}, called in {places}): {}",
                row.name,
                row.since,
                meaning(helper)
            );
        }
    }
}

/// What a helper gives or does.
fn meaning(helper: Helper) -> &'static str {
    match helper {
        Helper::MapLookupElem => "r0 = address of the element's value, or 0",
        Helper::MapUpdateElem => "puts an element into a map; r0 = 0, or a negative error",
        Helper::MapDeleteElem => "takes an element out of a map",
        Helper::TracePrintk => "writes to the kernel's trace",
        Helper::GetPrandomU32 => "r0 = a random number of 32 bits",
        Helper::GetSmpProcessorId => "r0 = the number of the CPU that this runs on",
        Helper::TailCall => "goes on in another program",
        Helper::GetCurrentPidTgid => "r0 = process id (high half) and thread id (low half)",
        Helper::GetCurrentUidGid => "r0 = group id (high half) and user id (low half)",
        Helper::GetCurrentComm => "copies the thread's name",
        Helper::GetStack => "copies the call stack's addresses",
        Helper::ProbeReadUser => "copies memory of the process; r0 = 0, or a negative error",
        Helper::ProbeReadKernel => "copies memory of the kernel; r0 = 0, or a negative error",
        Helper::ProbeReadUserStr => "copies text of the process; r0 = its length, or a negative error",
        Helper::ProbeReadKernelStr => "copies text of the kernel; r0 = its length, or a negative error",
        Helper::GetNsCurrentPidTgid => "gives process and thread id as crumbs' own pid namespace has them",
        Helper::ProbeWriteUser => "writes over memory of the process",
        Helper::GetCurrentTask => "r0 = address of the thread's struct task_struct",
        Helper::GetNumaNodeId => "r0 = the number of the NUMA node that this runs on",
        Helper::OverrideReturn => "makes the probed function return a value without running",
        Helper::GetCurrentCgroupId => "r0 = the id of the process's control group",
        Helper::SendSignal => "sends the process a signal",
        Helper::SendSignalThread => "sends the thread a signal",
        Helper::Jiffies64 => "r0 = ticks of the kernel's timer since the start",
        Helper::KtimeGetTaiNs => "r0 = international atomic time in ns",
        Helper::KtimeGetNs => "r0 = ns since the start, without time asleep",
        Helper::KtimeGetBootNs => "r0 = ns since the start, with time asleep",
        Helper::SeqPrintf => "writes text for who reads the iterator",
        Helper::RingbufOutput => "copies a record into a ring buffer; r0 = 0, or a negative error",
        Helper::RingbufReserve => "r0 = address of a new record in a ring buffer, or 0 where it is full",
        Helper::RingbufSubmit => "gives a record to crumbs",
        Helper::CopyFromUser => "copies memory of the process, waiting for it where it is paged out",
        Helper::ForEachMapElem => "calls a function of the program for every element of a map",
        Helper::Loop => "calls a function of the program so many times",
        Helper::GetAttachCookie => "r0 = the number that was given to this place of the probe",
        Helper::MapLookupPercpuElem => "r0 = address of the element's value of one CPU, or 0",
    }
}
