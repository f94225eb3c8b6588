//! Words that are the name of a feature and mean something else where they stand.

/// String literals that are a feature's name and mean something else: file, literals, and what they mean there.
pub(crate) const HOMONYMS: &[(&str, &[&str], &str)] = &[
    ("src/cli.rs", &["pid"], "an option of the command line"),
    (
        "compiler/src/expand/stdlib.rs",
        &["path", "system", "test"],
        "modules of bpftrace's library",
    ),
    (
        "runtime/src/kernel/inventory.rs",
        &["kprobe", "uprobe", "tracepoint", "fentry", "iter"],
        "what bpftrace's --info calls features of the kernel",
    ),
    (
        "runtime/src/vm/event/parse.rs",
        &[
            "pid", "tid", "uid", "gid", "comm", "cpu", "cgroup", "kstack", "ustack",
        ],
        "attributes of a synthetic event",
    ),
    (
        "src/list.rs",
        &[
            "kprobe",
            "tracepoint",
            "fentry",
            "fexit",
            "iter",
            "rawtracepoint",
            "uprobe",
        ],
        "the kinds whose places have fields or parameters to list",
    ),
    (
        "runtime/src/kernel/doctor.rs",
        &["uprobe", "kprobe"],
        "names of the kernel's event sources",
    ),
    (
        "runtime/src/host/refusal.rs",
        &["env"],
        "a program that runs another one",
    ),
    (
        "runtime/src/host/btf.rs",
        &["retval"],
        "the result, behind the parameters of a listing",
    ),
    (
        "compiler/src/ir/display.rs",
        &["ctx"],
        "an instruction, as the IR's dump writes it",
    ),
    (
        "compiler/src/object/types.rs",
        &["ctx"],
        "the parameter of a program in its type",
    ),
    (
        "compiler/src/function/process.rs",
        &["curtask"],
        "the default of an argument",
    ),
    ("runtime/src/words.rs", &["cgroup"], "a type of file system"),
    (
        "runtime/src/vm/context.rs",
        &["retval"],
        "an attribute of a synthetic event",
    ),
    (
        "runtime/src/kernel/mod.rs",
        &["clear", "zero"],
        "what an error says could not be done",
    ),
    (
        "runtime/src/show/json.rs",
        &[
            "min", "max", "stats", "hist", "tseries", "printf", "time", "cat", "join", "table",
        ],
        "names within the records of JSON",
    ),
    (
        "compiler/src/aggregation/series.rs",
        &["sum", "min", "max", "avg", "interval"],
        "parameters of tseries, and what they can be",
    ),
    (
        "compiler/src/aggregation/percentiles.rs",
        &["count", "max"],
        "names of the numbers that are shown",
    ),
    (
        "compiler/src/probe_kind/own_signal.rs",
        &["signal"],
        "what the probe is of",
    ),
    (
        "compiler/src/probe_kind/counter.rs",
        &["cpu"],
        "the other name of an event",
    ),
    ("compiler/src/config.rs", &["strlen"], "a name that was given up"),
    (
        "runtime/src/host/libraries.rs",
        &["self"],
        "the own process in /proc",
    ),
    (
        "compiler/src/plan/attach.rs",
        &["begin", "end", "test", "bench"],
        "occasions, as the plan's dump writes them",
    ),
    (
        "runtime/src/session/requests.rs",
        &["test"],
        "a word of the summary",
    ),
    ("src/cli.rs", &["test"], "an option of the command line"),
    (
        "runtime/src/kernel/attach/mod.rs",
        &["interval"],
        "what an error says could not be attached",
    ),
    (
        "compiler/src/aggregation/hist.rs",
        &["min", "max"],
        "parameters of lhist",
    ),
    ("compiler/src/bpf/disasm.rs", &["exit"], "the BPF instruction"),
    (
        "compiler/src/hir/display.rs",
        &["printf", "errorf", "warnf", "print", "exit", "retval", "unwatch"],
        "nodes of the HIR, as its dump writes them",
    ),
    (
        "compiler/src/target/fixture.rs",
        &["end", "tracepoint", "cgroup", "usdt"],
        "keywords of a recorded target",
    ),
    (
        "compiler/src/layout.rs",
        &["uprobe", "kprobe", "fentry", "fexit", "tracepoint"],
        "names of ELF sections",
    ),
    (
        "compiler/src/object.rs",
        &["license"],
        "the name of an ELF section",
    ),
    ("grammar/src/dump.rs", &["probe"], "a node of the syntax tree"),
    (
        "compiler/src/aggregation/deviation.rs",
        &["count", "sum"],
        "parts of a saved state",
    ),
    (
        "runtime/src/show/trace.rs",
        &["cat", "pid", "tid"],
        "members of a Chrome trace's events",
    ),
    (
        "runtime/src/results/read.rs",
        &["count", "end", "pid", "rank"],
        "members of a file of results",
    ),
    (
        "runtime/src/host/list.rs",
        &[
            "tracepoint",
            "rawtracepoint",
            "kprobe",
            "kretprobe",
            "uprobe",
            "uretprobe",
            "usdt",
            "fentry",
            "fexit",
            "iter",
        ],
        "the kinds whose places the host can enumerate",
    ),
];
