//! What kinds of maps and programs this kernel takes, for `--info`.
//!
//! In: nothing but the kernel, which is asked by making one of each. Out: names, as bpftrace calls them, and whether there is
//! such a thing. Nothing stays behind. What the user may not do counts as not there.

use super::probe;
use crate::sys::bpf::{self, AttachFunction, MapSpec, ProgramSpec, prog_type};
use crumbs_compiler::target::{Feature, KernelVersion, Target};
use std::path::Path;

/// A kind of map: its name, its number in `enum bpf_map_type` (include/uapi/linux/bpf.h), bytes of a key and of a value.
const MAPS: [(&str, u32, u32, u32); 9] = [
    ("hash", 1, 4, 4),
    ("array", 2, 4, 4),
    ("perf_event_array", 4, 4, 4),
    ("percpu hash", 5, 4, 4),
    ("percpu array", 6, 4, 4),
    ("stack_trace", 7, 4, 8),
    ("lru hash", 9, 4, 4),
    ("lru percpu hash", 10, 4, 4),
    ("ringbuf", 27, 0, 0),
];

/// The first kernel whose kprobe_multi links run one program at a function's beginning and its end.
const SESSIONS: KernelVersion = KernelVersion { major: 6, minor: 10 };

/// Elements of each map; for a ring buffer its bytes, which are a multiple of every page size.
const ENTRIES: u32 = 1 << 16;

/// The kinds of maps, and whether the kernel has them.
pub fn maps() -> Vec<(&'static str, bool)> {
    let has = |kind, key_size, value_size| {
        bpf::map_create(&MapSpec {
            kind,
            key_size,
            value_size,
            max_entries: if kind == 27 { ENTRIES } else { 1 },
            flags: 0,
            name: "crumbs_asks",
            inner: None,
        })
        .is_ok()
    };
    MAPS.iter()
        .map(|(name, kind, key, value)| (*name, has(*kind, *key, *value)))
        .collect()
}

/// The kinds of programs and of links, and whether the kernel has them. `target` knows the kernel's types.
pub fn programs(target: &dyn Target) -> Vec<(&'static str, bool)> {
    let takes =
        |kind, attach_type, function| bpf::prog_load(&minimal(kind, attach_type, function), None).is_ok();
    let by_events = |events: &str| Path::new("/sys/bus/event_source/devices").join(events).exists();
    let function = |name: &str| {
        let found = target.kernel_functions(Some("vmlinux"), name).ok()?;
        found.first().map(|function| AttachFunction {
            id: function.id,
            module: None,
        })
    };
    let traces = |name: &str, attach_type| {
        function(name).is_some_and(|function| takes(prog_type::TRACING, attach_type, Some(function)))
    };
    let has_multi = probe::has(Feature::KprobeMulti);
    vec![
        ("kprobe", by_events("kprobe") && takes(prog_type::KPROBE, 0, None)),
        ("uprobe", by_events("uprobe") && takes(prog_type::KPROBE, 0, None)),
        ("tracepoint", takes(prog_type::TRACEPOINT, 0, None)),
        ("perf_event", takes(prog_type::PERF_EVENT, 0, None)),
        ("raw_tracepoint", takes(prog_type::RAW_TRACEPOINT, 0, None)),
        ("fentry", traces("vfs_read", bpf::ATTACH_FENTRY)),
        ("iter", traces("bpf_iter_task", bpf::ATTACH_ITER)),
        ("kprobe_multi", has_multi),
        ("kprobe_session", has_multi && probe::kernel_version() >= SESSIONS),
        ("uprobe_multi", probe::has(Feature::UprobeMulti)),
    ]
}

fn minimal(kind: u32, attach_type: u32, function: Option<AttachFunction<'_>>) -> ProgramSpec<'_> {
    ProgramSpec {
        kind,
        attach_type,
        flags: 0,
        name: "crumbs_asks",
        code: &probe::RETURN_0,
        btf: None,
        function,
    }
}
