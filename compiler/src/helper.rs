//! The kernel's BPF helpers that programs call, declared once: numbers and prototypes from
//! `include/uapi/linux/bpf.h` (`___BPF_FUNC_MAPPER`) and the manual page bpf-helpers(7).

use crate::target::KernelVersion;

/// How often a helper may be called for one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The same arguments give the same result for as long as one run of a program lasts, and nothing changes: calls
    /// may be merged and dropped.
    Stable,
    /// Changes nothing, but each call can give another result: may be dropped, not merged.
    Reads,
    /// Changes memory or state: may be neither.
    Writes,
}

/// What a helper expects of an argument; the user-space VM and the IR verifier go by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A number.
    Scalar,
    /// The program's context.
    Ctx,
    /// A kernel map.
    Map,
    /// A pointer to a key of the map in the first argument.
    Key,
    /// A pointer to a value of the map in the first argument.
    MapValue,
    /// A pointer to memory that the helper reads; its size is the next argument.
    Mem,
    /// A pointer to memory that the helper fills; its size is the next argument.
    MemOut,
    /// A pointer to a reserved ring buffer record.
    Record,
    /// A callback.
    Callback,
    /// A pointer to memory on the stack that callbacks read and write, or 0.
    Shared,
}

/// A row of [`HELPERS`].
#[derive(Debug)]
pub struct HelperRow {
    /// Which.
    pub helper: Helper,
    /// Its name without `bpf_`.
    pub name: &'static str,
    /// Its number in `enum bpf_func_id`.
    pub number: u32,
    /// The first mainline kernel with it.
    pub since: KernelVersion,
    /// Whether calls may be merged or dropped.
    pub effect: Effect,
    /// What it takes.
    pub args: &'static [Arg],
    /// Whether only sleepable programs may call it.
    pub sleepable_only: bool,
}

macro_rules! helpers {
    ($($id:ident = $number:literal $name:literal since $major:literal . $minor:literal $effect:ident [$($arg:ident),*] $($sleepable:ident)?;)*) => {
        /// A helper function of the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "bpf-helpers(7) documents each by its name")]
        pub enum Helper { $($id,)* }

        /// Every helper, in the order of [`Helper`].
        pub static HELPERS: &[HelperRow] = &[$(HelperRow {
            helper: Helper::$id,
            name: $name,
            number: $number,
            since: KernelVersion { major: $major, minor: $minor },
            effect: Effect::$effect,
            args: &[$(Arg::$arg),*],
            sleepable_only: helpers!(@sleepable $($sleepable)?),
        },)*];
    };
    (@sleepable sleepable) => { true };
    (@sleepable) => { false };
}

helpers! {
    MapLookupElem = 1 "map_lookup_elem" since 3 . 19 Reads [Map, Key];
    MapUpdateElem = 2 "map_update_elem" since 3 . 19 Writes [Map, Key, MapValue, Scalar];
    MapDeleteElem = 3 "map_delete_elem" since 3 . 19 Writes [Map, Key];
    TracePrintk = 6 "trace_printk" since 4 . 1 Writes [Mem, Scalar, Scalar, Scalar, Scalar];
    GetPrandomU32 = 7 "get_prandom_u32" since 4 . 1 Reads [];
    GetSmpProcessorId = 8 "get_smp_processor_id" since 4 . 1 Stable [];
    TailCall = 12 "tail_call" since 4 . 2 Writes [Ctx, Map, Scalar];
    GetCurrentPidTgid = 14 "get_current_pid_tgid" since 4 . 2 Stable [];
    GetCurrentUidGid = 15 "get_current_uid_gid" since 4 . 2 Stable [];
    GetCurrentComm = 16 "get_current_comm" since 4 . 2 Writes [MemOut, Scalar];
    GetStack = 67 "get_stack" since 4 . 18 Writes [Ctx, MemOut, Scalar, Scalar];
    ProbeReadUser = 112 "probe_read_user" since 5 . 5 Writes [MemOut, Scalar, Scalar];
    ProbeReadKernel = 113 "probe_read_kernel" since 5 . 5 Writes [MemOut, Scalar, Scalar];
    ProbeReadUserStr = 114 "probe_read_user_str" since 5 . 5 Writes [MemOut, Scalar, Scalar];
    ProbeReadKernelStr = 115 "probe_read_kernel_str" since 5 . 5 Writes [MemOut, Scalar, Scalar];
    GetNsCurrentPidTgid = 120 "get_ns_current_pid_tgid" since 5 . 7 Writes [Scalar, Scalar, MemOut, Scalar];
    ProbeWriteUser = 36 "probe_write_user" since 4 . 8 Writes [Scalar, Mem, Scalar];
    GetCurrentTask = 35 "get_current_task" since 4 . 8 Stable [];
    GetNumaNodeId = 42 "get_numa_node_id" since 4 . 10 Stable [];
    OverrideReturn = 58 "override_return" since 4 . 16 Writes [Ctx, Scalar];
    GetCurrentCgroupId = 80 "get_current_cgroup_id" since 4 . 18 Stable [];
    SendSignal = 109 "send_signal" since 5 . 3 Writes [Scalar];
    SendSignalThread = 117 "send_signal_thread" since 5 . 6 Writes [Scalar];
    Jiffies64 = 118 "jiffies64" since 5 . 6 Reads [];
    KtimeGetTaiNs = 208 "ktime_get_tai_ns" since 6 . 1 Reads [];
    KtimeGetNs = 5 "ktime_get_ns" since 4 . 1 Reads [];
    KtimeGetBootNs = 125 "ktime_get_boot_ns" since 5 . 8 Reads [];
    SeqPrintf = 126 "seq_printf" since 5 . 7 Writes [Scalar, Mem, Scalar, Mem, Scalar];
    RingbufOutput = 130 "ringbuf_output" since 5 . 8 Writes [Map, Mem, Scalar, Scalar];
    RingbufReserve = 131 "ringbuf_reserve" since 5 . 8 Writes [Map, Scalar, Scalar];
    RingbufSubmit = 132 "ringbuf_submit" since 5 . 8 Writes [Record, Scalar];
    CopyFromUser = 148 "copy_from_user" since 5 . 10 Writes [MemOut, Scalar, Scalar] sleepable;
    ForEachMapElem = 164 "for_each_map_elem" since 5 . 13 Writes [Map, Callback, Shared, Scalar];
    Loop = 181 "loop" since 5 . 17 Writes [Scalar, Callback, Shared, Scalar];
    GetAttachCookie = 174 "get_attach_cookie" since 5 . 15 Stable [Ctx];
    MapLookupPercpuElem = 195 "map_lookup_percpu_elem" since 5 . 19 Reads [Map, Key, Scalar];
}

impl Helper {
    /// Its row.
    pub fn row(self) -> &'static HelperRow {
        &HELPERS[self as usize]
    }

    /// The helper of a number of `enum bpf_func_id`.
    pub fn by_number(number: u32) -> Option<Self> {
        HELPERS
            .iter()
            .find(|row| row.number == number)
            .map(|row| row.helper)
    }
}
