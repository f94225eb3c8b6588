//! Builtin values: names that stand for something of the program's surroundings. To add one is one row of [`ALL`].
//!
//! What depends on the probe kind (`argN`, `args`, `retval`, `func`, `probe`) is not here but in the checker.

use crate::helper::Helper;
use crate::ir;
use crate::lower::BodyCx;
use crate::shown::Shown;
use crate::types::Type;

/// Index into [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BuiltinId(pub u16);

impl BuiltinId {
    /// Its row.
    pub fn row(self) -> &'static Builtin {
        &ALL[usize::from(self.0)]
    }
}

/// A builtin value.
pub struct Builtin {
    /// What a script writes.
    pub name: &'static str,
    /// One sentence of documentation, with the unit.
    pub doc: &'static str,
    /// A script that uses it; a test compiles it.
    pub example: &'static str,
    /// Its type.
    pub ty: Type,
    /// Whether no two threads that run at the same time have the same value.
    pub identifies_thread: bool,
    /// Emits it. Scalars are the value itself, everything else the address of memory laid out as [`crate::types`] says.
    pub lower: fn(&mut BodyCx<'_>) -> ir::Value,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The name of a value without the prefix that bpftrace's own library puts before it: `comm` of `__builtin_comm`.
pub fn plain_name(name: &str) -> &str {
    let plain = name.strip_prefix("__builtin_");
    let is_value = |name: &&str| {
        by_name(name).is_some()
            || crate::probe_value::by_name(name).is_some()
            || crate::function::by_name(name).is_some()
    };
    plain.filter(is_value).unwrap_or(name)
}

/// Bytes of a task's name with its NUL (`TASK_COMM_LEN`, include/linux/sched.h).
pub const COMM_SIZE: u32 = 16;

/// Names of builtin values that are functions too, with a choice.
pub const PID: &str = "pid";
/// See [`PID`].
pub const TID: &str = "tid";
/// See [`PID`].
pub const COMM: &str = "comm";
/// See [`PID`].
pub const NSECS: &str = "nsecs";

/// Every builtin value, declared once.
pub static ALL: &[Builtin] = &[
    Builtin {
        name: PID,
        doc: "process id of the current thread (its thread group), in crumbs' pid namespace",
        example: "interval:s:1 { print(pid); }",
        ty: Type::U32,
        identifies_thread: false,
        lower: |cx| cx.pid(),
    },
    Builtin {
        name: TID,
        doc: "id of the current thread, in crumbs' pid namespace",
        example: "interval:s:1 { print(tid); }",
        ty: Type::U32,
        identifies_thread: true,
        lower: |cx| cx.tid(),
    },
    Builtin {
        name: "uid",
        doc: "real user id of the current process, in the initial user namespace",
        example: "interval:s:1 { print(uid); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.uid(),
    },
    Builtin {
        name: "gid",
        doc: "real group id of the current process, in the initial user namespace",
        example: "interval:s:1 { print(gid); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.gid(),
    },
    Builtin {
        name: COMM,
        doc: "name of the current thread, at most 15 bytes",
        example: "interval:s:1 { print(comm); }",
        ty: Type::Str(COMM_SIZE),
        identifies_thread: false,
        lower: |cx| cx.comm(),
    },
    Builtin {
        name: NSECS,
        doc: "nanoseconds since boot, suspended time included",
        example: "interval:s:1 { print(nsecs); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.nsecs(),
    },
    Builtin {
        name: "elapsed",
        doc: "nanoseconds since the run began",
        example: "interval:s:1 { print(elapsed); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.elapsed(),
    },
    Builtin {
        name: "cpu",
        doc: "number of the current CPU",
        example: "interval:s:1 { print(cpu); }",
        ty: Type::U32,
        identifies_thread: false,
        lower: |cx| cx.cpu(),
    },
    Builtin {
        name: "ncpus",
        doc: "how many CPUs there can be",
        example: "begin { print(ncpus); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.ncpus(),
    },
    Builtin {
        name: "rand",
        doc: "a random number of 32 bits",
        example: "begin { print(rand); }",
        ty: Type::U32,
        identifies_thread: false,
        lower: |cx| cx.rand(),
    },
    Builtin {
        name: "username",
        doc: "name of the current process's real user; it is looked up when it is shown",
        example: "interval:s:1 { print(username); }",
        ty: Type::Shown(Shown::User),
        identifies_thread: false,
        lower: |cx| cx.uid(),
    },
    Builtin {
        name: "cgroup",
        doc: "id of the current process's cgroup in the version 2 hierarchy",
        example: "interval:s:1 { @[cgroup] = count(); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.helper_value(Helper::GetCurrentCgroupId),
    },
    Builtin {
        name: "numaid",
        doc: "number of the current CPU's NUMA node",
        example: "interval:s:1 { print(numaid); }",
        ty: Type::U32,
        identifies_thread: false,
        lower: |cx| cx.helper_value(Helper::GetNumaNodeId),
    },
    Builtin {
        name: "jiffies",
        doc: "the kernel's count of timer ticks, 64 bits",
        example: "interval:s:1 { print(jiffies); }",
        ty: Type::U64,
        identifies_thread: false,
        lower: |cx| cx.helper_value(Helper::Jiffies64),
    },
    Builtin {
        name: "curtask",
        doc: "address of the current thread's `struct task_struct`",
        example: "interval:s:1 { print(curtask); }",
        ty: Type::U64,
        identifies_thread: true,
        lower: |cx| cx.helper_value(Helper::GetCurrentTask),
    },
];

/// Values that are addresses of a struct of the kernel, by its tag: where the target describes it, they are pointers to
/// it rather than numbers.
pub static POINTEES: &[(&str, &str)] = &[("curtask", "task_struct")];

/// Finds a builtin value by name.
pub fn by_name(name: &str) -> Option<BuiltinId> {
    ALL.iter()
        .position(|b| b.name == name)
        .map(|i| BuiltinId(i as u16))
}
