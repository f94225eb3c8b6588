//! What a compiled script needs around its bytecode: maps, memory, events, places to attach to.
//!
//! The plan is plain data. Every back end (kernel, user-space VM) runs programs by it, and printing reads types and
//! formats from it, so nothing here assumes a kernel.

use crate::aggregation::AggType;
use crate::ctype::{Field, StructId};
use crate::merging::Merging;
use crate::target::Arch;
use crate::types::Type;
use crate::view::{MapView, Measure};
use crumbs_grammar::source::HYGIENE_MARK;
use crumbs_grammar::span::Span;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

mod attach;

pub use attach::{
    Access, Attach, CounterEvent, CounterSource, KernelPlace, KprobePlace, Occasion, OwnSignal, Period,
    Request, UprobePlace,
};

/// A compiled script without its code.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The architecture it was compiled for.
    pub arch: Arch,
    /// Its programs, in the order of the script; a [`crate::ir::Function`] each.
    pub programs: Vec<ProgramPlan>,
    /// Every place a program is attached to; the index is the attach cookie.
    pub sites: Vec<Site>,
    /// Those that become known during the run.
    pub late_sites: LateSites,
    /// The maps of the script, in order of first use. Printing sorts them by name.
    pub maps: Vec<MapPlan>,
    /// The kernel maps that store them.
    pub bpf_maps: Vec<BpfMap>,
    /// The program memory.
    pub memory: MemoryPlan,
    /// What programs can send; the index is the event number in a record's header.
    pub events: Vec<Event>,
    /// The ring buffers, where anything is sent.
    pub rings: Option<Rings>,
    /// What can be lost, and where it is counted.
    pub losses: Vec<Loss>,
    /// The fields of every struct of which values are shown, those of its members' structs among them.
    pub structs: HashMap<StructId, Arc<[Field]>>,
    /// Settings that matter at run time.
    pub settings: Settings,
}

/// The places that become known during a run, where a wildcard means functions of a library that is opened later. All clones of a
/// plan share them; their cookies follow those of [`Plan::sites`].
#[derive(Clone, Debug, Default)]
pub struct LateSites(Arc<Mutex<Vec<Site>>>);

impl Plan {
    /// What the place of an attach cookie is called.
    pub fn site(&self, cookie: u64) -> Option<Site> {
        let index = usize::try_from(cookie).ok()?;
        let late = || {
            let late = self.late_sites.0.lock().unwrap_or_else(PoisonError::into_inner);
            late.get(index.checked_sub(self.sites.len())?).cloned()
        };
        self.sites.get(index).cloned().or_else(late)
    }

    /// Adds a place that has become known; gives its cookie.
    pub fn add_late_site(&self, site: Site) -> u32 {
        let mut late = self.late_sites.0.lock().unwrap_or_else(PoisonError::into_inner);
        late.push(site);
        (self.sites.len() + late.len() - 1) as u32
    }

    /// Whether anything that is shown is an address of a process.
    pub fn shows_user_addresses(&self) -> bool {
        let of_maps = self
            .maps
            .iter()
            .flat_map(|map| map.key.iter().chain([&map.value]));
        let of_events = self
            .events
            .iter()
            .flat_map(|event| &event.args)
            .map(|arg| &arg.ty);
        of_maps.chain(of_events).any(has_user_address)
    }
}

fn has_user_address(ty: &Type) -> bool {
    match ty {
        Type::Stack(stack) => stack.user,
        Type::UserAddress => true,
        Type::Array(element, _) => has_user_address(element),
        _ => ty.members().any(has_user_address),
    }
}

/// Settings of a `config` block or the environment that the runtime obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Maps are printed when the run ends.
    pub print_maps_on_exit: bool,
    /// What `warnf` says is shown.
    pub show_warnings: bool,
    /// What is appended to a string that was cut off.
    pub str_trunc_trailer: String,
    /// Greatest length of text that is read, in bytes. Text of exactly this length is shown as cut off (whether it was
    /// cannot be told; bpftrace does the same).
    pub max_strlen: u32,
    /// Most bytes of a file that `cat` prints.
    pub max_cat_bytes: u32,
    /// What becomes of attach points that are not there.
    pub missing_probes: MissingProbes,
    /// User stacks show lines of source and inlined functions.
    pub show_debug_info: bool,
}

/// What becomes of attach points that are not there, or that the kernel refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingProbes {
    /// The script is refused.
    #[default]
    Error,
    /// They are skipped with a warning.
    Warn,
    /// They are skipped.
    Ignore,
    /// They are skipped. What that leaves out altogether is told in one warning.
    Summary,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            print_maps_on_exit: true,
            show_warnings: true,
            max_cat_bytes: 10240,
            max_strlen: 1024,
            missing_probes: MissingProbes::Error,
            show_debug_info: true,
            str_trunc_trailer: "..".into(),
        }
    }
}

/// How the kernel is told to see a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgramKind {
    /// `begin`, `end`: a raw tracepoint program, run by `BPF_PROG_TEST_RUN` and attached to nothing.
    RawTracepoint,
    /// User and kernel probes: context is `struct pt_regs`.
    Kprobe,
    /// Tracepoints: context is the tracepoint's record.
    Tracepoint,
    /// Clock and other perf events: context is `struct bpf_perf_event_data`.
    PerfEvent,
    /// Functions of the kernel through a trampoline, and iterators: context is the arguments, a word each and typed.
    /// Loaded for one function.
    Tracing,
}

/// One program.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// The ELF symbol: `p0_uprobe`.
    pub symbol: String,
    /// The ELF section: `uprobe`, `tracepoint`, `perf_event`, `raw_tp`, `fentry/vfs_read`; with a number where there are many
    /// programs, `uprobe/3`.
    pub section: String,
    /// Its kind.
    pub kind: ProgramKind,
    /// Whether it must be loaded with `BPF_F_SLEEPABLE`.
    pub sleepable: bool,
    /// Where it runs.
    pub attach: Vec<Attach>,
    /// The probe block in the script.
    pub span: Span,
}

/// What a place is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The attach point in full, as `probe` shows it: `uprobe:/usr/lib/libc.so.6:write`.
    pub probe: String,
    /// The function, as `func` shows it; empty where there is none.
    pub func: String,
    /// The attach point of the script that it comes from.
    pub span: Span,
}

impl ProgramPlan {
    /// Where it is attached first: an index into [`Plan::sites`].
    pub fn first_site(&self) -> Option<u32> {
        self.attach
            .iter()
            .find_map(|attach| attach.cookies().first().copied())
    }
}

impl Site {
    /// A place whose attach point is still to be said.
    pub fn new(probe: impl Into<String>, func: impl Into<String>) -> Self {
        Self {
            probe: probe.into(),
            func: func.into(),
            span: Span::default(),
        }
    }
}

/// Index into [`Plan::maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(pub u32);

/// Index into [`Plan::bpf_maps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BpfMapId(pub u32);

/// Index into [`Plan::events`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub u32);

/// Index into [`Plan::losses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LossId(pub u32);

/// A map of the script.
#[derive(Clone, Debug)]
pub struct MapPlan {
    /// Its name without `@`; may be empty.
    pub name: String,
    /// The type of its key; `None` for a map without keys. Several keys are a [`Type::Tuple`] and are laid out as one.
    pub key: Option<Type>,
    /// The type of its value.
    pub value: Type,
    /// Where its contents are.
    pub storage: Storage,
    /// Where the script asks for its length: the offset in the program memory of a word per generation that counts its
    /// elements. Who removes all elements of a generation sets its word to 0.
    pub length: Option<u32>,
    /// Whether the script declares how many elements it holds.
    pub declared: bool,
    /// Whether its contents are aggregations that may be printed, and are kept, or computed with while programs change them:
    /// word 0 of a state then says whether one does ([`crate::aggregation::UNDER_WAY`]).
    pub watched: bool,
    /// How its contents and those of other runs become one; `None` where nobody needs them once the run is over.
    pub merging: Option<Merging>,
    /// Its first use.
    pub span: Span,
}

impl MapPlan {
    /// Whether it holds the threads that `--follow tree` follows: keys are their numbers in the initial pid namespace.
    pub fn is_followed_threads(&self) -> bool {
        self.name.strip_suffix(HYGIENE_MARK) == Some(FOLLOWED)
    }

    /// Whether the compiler added it, for its own use: its name is one that no script can write.
    pub fn is_internal(&self) -> bool {
        self.name.contains(HYGIENE_MARK)
    }
}

/// Where the contents of a map are. Offsets are bytes into the program memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A scalar without key: two 64-bit words at `offset`: the value, and whether it was ever set (0 or 1).
    Words {
        /// Offset of the first word.
        offset: u32,
    },
    /// An aggregation without key: its state at `offset` within every CPU's stripe, `bytes` long.
    Striped {
        /// Offset within a stripe.
        offset: u32,
        /// Size, padded so that any masked index stays inside.
        bytes: u32,
        /// Where there are two such states, one behind the other, because the words of one only mean something
        /// together and are taken away while programs run: which one programs use, as of [`Generations::Two`].
        selector: Option<u32>,
    },
    /// A hash map from key ([`Type::slot_size`] bytes) to value ([`Type::slot_size`] bytes). A large value without
    /// key is stored under a 4-byte key 0.
    Hash(Generations),
    /// A keyed aggregation in a per-CPU hash map. The key is the script's key (slot size) and, where `chunked`, a
    /// 64-bit chunk number behind it; the value is the state, or [`crate::aggregation::CHUNK_WORDS`] words of it.
    PerCpu {
        /// The per-CPU hash map or maps.
        maps: Generations,
        /// The plain hash map or maps, of the same key and value, that take what the per-CPU map refused for want of
        /// memory (not for being full); to be added in.
        overflow: Generations,
        /// Whether keys end in a chunk number.
        chunked: bool,
    },
}

/// The kernel maps behind one map: one, or two where the script both prints and clears it. With two, the word at
/// `selector` of the program memory says which one programs use (0: the first), so that user space can switch, wait
/// until no program uses the other any more, and then take its contents without losing an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generations {
    /// One map.
    One(BpfMapId),
    /// Two maps.
    Two {
        /// The maps; `maps[i]` is in use while the selector holds `i`.
        maps: [BpfMapId; 2],
        /// Offset of the selector, a 64-bit word.
        selector: u32,
    },
}

impl Generations {
    /// The maps, one or two; the first is in use when a run begins.
    pub fn ids(&self) -> &[BpfMapId] {
        match self {
            Self::One(map) => std::slice::from_ref(map),
            Self::Two { maps, .. } => maps,
        }
    }
}

/// A kernel map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfMap {
    /// The ELF symbol, a C identifier of at most 15 characters.
    pub symbol: String,
    /// Its kind.
    pub kind: BpfMapKind,
    /// Key size in bytes; 0 for ring buffers.
    pub key_size: u32,
    /// Value size in bytes (one CPU's, for per-CPU kinds); 0 for ring buffers.
    pub value_size: u32,
    /// Elements; for ring buffers the size in bytes.
    pub max_entries: u32,
    /// `BPF_F_*` of `map_flags`.
    pub flags: u32,
}

/// Kinds of kernel map that are used (`enum bpf_map_type`, include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BpfMapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash,
    /// `BPF_MAP_TYPE_PERCPU_HASH`.
    PerCpuHash,
    /// `BPF_MAP_TYPE_LRU_HASH`.
    LruHash,
    /// `BPF_MAP_TYPE_LRU_PERCPU_HASH`.
    LruPerCpuHash,
    /// `BPF_MAP_TYPE_RINGBUF`.
    RingBuf,
}

impl BpfMapKind {
    /// Its number in `enum bpf_map_type`.
    pub fn number(self) -> u32 {
        match self {
            Self::Hash => 1,
            Self::PerCpuHash => 5,
            Self::LruHash => 9,
            Self::LruPerCpuHash => 10,
            Self::RingBuf => 27,
        }
    }

    /// Whether every CPU has a value of its own.
    pub fn is_per_cpu(self) -> bool {
        matches!(self, Self::PerCpuHash | Self::LruPerCpuHash)
    }

    /// Whether the kernel drops elements of a full map to make room; it has all its memory from the start.
    pub fn evicts(self) -> bool {
        matches!(self, Self::LruHash | Self::LruPerCpuHash)
    }
}

/// The memory that all programs share: one `.bss` section, that is, one array map of one element, mapped into user
/// space. All offsets are bytes from its start.
///
/// ```text
/// 0                      start time (ns, boot clock), written by user space before begin runs
/// 8                      exit flag: 0, or 1 + exit code once exit() ran and no ring could take it
/// 16                     control sequence: the next number
/// 24 …                   generation selectors, scalars (Storage::Words), element counts, zeros that programs insert
///                        from: all 8-byte aligned
/// stripes.offset         `stripes.count` stripes of `stripes.stride` bytes, one a CPU (CPU number masked):
///                        losses (u64 each), then keyless aggregations
/// refused.offset         what was refused by both rings: see [`Refused`]
/// scratch.offset         `scratch.slots` slots of `scratch.slot_size` bytes; the first 8 bytes of a slot are its
///                        claim word: 0 free, 1 claimed
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Size of all of it; 0 when no program uses any.
    pub size: u32,
    /// The per-CPU part.
    pub stripes: Stripes,
    /// Where control events are noted that no ring could take.
    pub refused: Refused,
    /// The scratch slots; `slots` is 0 when no program needs any.
    pub scratch: Scratch,
}

impl MemoryPlan {
    /// Offset of the start time: `elapsed` counts from it.
    pub const START: u32 = 0;
    /// Offset of the exit flag: not 0 once any program has called `exit`. Attached programs that begin later do nothing. The low
    /// bits say what user space must know where no ring could take the event: the exit code and 1.
    pub const EXIT: u32 = 8;
    /// What `exit` leaves there before it sends its event.
    pub const EXITED: u64 = 1 << 63;
    /// Offset of the control sequence counter.
    pub const CONTROL_SEQ: u32 = 16;
    /// Offset of the first selector or scalar.
    pub const WORDS: u32 = 24;
}

/// The per-CPU part of the program memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripes {
    /// Where the first one starts; a multiple of 64.
    pub offset: u32,
    /// How many: a power of two, at least the number of possible CPUs.
    pub count: u32,
    /// Bytes from one to the next: a multiple of 64.
    pub stride: u32,
}

/// Where control events without arguments are noted that both rings refused, so that user space still does what they ask
/// for, as often as they ask for it ([`Event::is_noted`]).
///
/// ```text
/// offset                 how many notes were made so far, each counted once it is there
/// offset + 8             `events` counters, one for each of [`Plan::events`]: refusals that found their slot taken
/// behind them            `slots` slots, of which an event uses that of its sequence number, modulo `slots`: 0 when free,
///                        else 1 + the header of the record that was not sent; user space frees it
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Where it starts.
    pub offset: u32,
    /// How many counters; 0 where no event is noted, and then there is nothing here.
    pub events: u32,
    /// How many slots: a power of two, or 0 where programs cannot number events (before kernel 5.12).
    pub slots: u32,
}

impl Refused {
    /// Offset of an event's counter.
    pub fn counter(&self, event: u32) -> u32 {
        self.offset + 8 + 8 * event
    }

    /// Offset of the first slot.
    pub fn first_slot(&self) -> u32 {
        self.counter(self.events)
    }

    /// Its size in bytes.
    pub fn size(&self) -> u32 {
        match self.events {
            0 => 0,
            events => 8 * (1 + events + self.slots),
        }
    }
}

/// The scratch slots of the program memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// Where the first one starts; a multiple of 64.
    pub offset: u32,
    /// How many; a power of two or 0.
    pub slots: u32,
    /// Bytes from one to the next; a multiple of 64.
    pub slot_size: u32,
}

/// The ring buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Where everything goes, in order.
    pub main: BpfMapId,
    /// Where control events go that `main` had no room for. Small.
    pub control: BpfMapId,
}

/// The first 8 bytes of every record in a ring: event number (`u32`), then for control events their sequence number
/// (`u32`, counting from 0), else 0. The arguments follow at the offsets of [`EventArg`]. A record may end before
/// [`Event::size`]: what is missing is NULs of the last argument, a string.
pub const RECORD_HEADER: u32 = 8;

/// Something that programs send to user space.
#[derive(Clone, Debug)]
pub struct Event {
    /// What user space does on it.
    pub kind: EventKind,
    /// The values that it carries.
    pub args: Vec<EventArg>,
    /// The size of its record at most, header included; a multiple of 8.
    pub size: u32,
    /// The call in the script.
    pub span: Span,
}

impl Event {
    /// Whether it must never be lost nor overtake another of its kind.
    pub fn is_control(&self) -> bool {
        !matches!(
            self.kind,
            EventKind::Printf(_)
                | EventKind::Message { .. }
                | EventKind::Cat(_)
                | EventKind::System(_)
                | EventKind::Join(_)
                | EventKind::Print
                | EventKind::HelperFailed(_)
        )
    }

    /// Whether it is noted in the program memory when both rings refuse it: its number says all there is to say.
    pub fn is_noted(&self) -> bool {
        self.is_control() && self.args.is_empty() && self.kind != EventKind::Exit
    }
}

/// A value within a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventArg {
    /// Offset from the record's start, bytes.
    pub offset: u32,
    /// Its type; scalars occupy 8 bytes here, everything else [`Type::size`].
    pub ty: Type,
}

/// What user space does on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `printf`: the arguments fill the format's conversions in order.
    Printf(crate::format::Format),
    /// `errorf`, `warnf`: as `printf`, to standard error, behind the call's place in the script.
    Message {
        /// Which of them.
        level: MessageLevel,
        /// File, line and columns, as bpftrace writes them: `stdin:1:9-20`.
        place: String,
        /// The format.
        format: crate::format::Format,
        /// The uses of macros that the call was expanded from, innermost first.
        uses: Vec<MacroUse>,
    },
    /// A helper of the kernel failed where the script asked it for something (`-k`).
    HelperFailed(HelperFailure),
    /// `cat`: the path of the file that is printed; the arguments fill the format's conversions.
    Cat(crate::format::Format),
    /// `system`: the shell command that is run; the arguments fill the format's conversions.
    System(crate::format::Format),
    /// `join`: what is printed between the strings. The argument is a tuple of how many they are and their array.
    Join(String),
    /// `print(value)`.
    Print,
    /// `print(@map, …)` and `rate(@map)`, by what the map holds when the event is handled.
    PrintMap {
        /// Which map.
        map: MapId,
        /// How it is shown.
        view: MapView,
        /// What follows at once in the script: the contents are taken away as they are read, so that no update is lost
        /// between the two.
        then: AfterPrint,
    },
    /// `table(@map, …)`, by what the maps hold when the event is handled.
    Table(Table),
    /// `clear(@map)`.
    Clear(MapId),
    /// `zero(@map)`.
    Zero(MapId),
    /// `time(format)`: strftime format.
    Time(String),
    /// `unwatch(address)`: the watchpoints of the address that is the argument are taken away.
    Unwatch,
    /// `exit([code])`: its argument, if any, is the exit code.
    Exit,
}

/// Maps side by side: a row for each key that any of them has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What the keys are called.
    pub keys: String,
    /// The columns: a map and what its numbers are in. Rows are in descending order of the first.
    pub columns: Vec<(MapId, Measure)>,
    /// Only the first so many rows; 0 for all.
    pub top: u32,
}

/// What is told of a helper that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperFailure {
    /// Its name as bpftrace has it: `map_lookup_elem`.
    pub helper: &'static str,
    /// What it returned; 0 for a null pointer.
    pub result: i64,
    /// What that means.
    pub message: String,
    /// File, line and columns, as bpftrace writes them: `stdin:1:9-20`.
    pub place: String,
    /// The file alone.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The first column, from 1.
    pub column: usize,
    /// The line of the script, and a line that marks the place in it.
    pub source: String,
}

/// Where a script uses a macro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacroUse {
    /// File, line and columns, as bpftrace writes them: `stdin:1:9-20`.
    pub place: String,
    /// The line of the script, and a line that marks the place in it.
    pub source: String,
}

/// What a script's message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageLevel {
    /// `errorf`.
    Error,
    /// `warnf`.
    Warning,
}

/// What a map is left as once it has been printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterPrint {
    /// As it was.
    Keep,
    /// Empty.
    Clear,
    /// With its keys and zeros for values.
    Zero,
}

/// What scripts that follow processes call the map of their threads, before the mark that no script can write.
pub(crate) const FOLLOWED: &str = "followed";

/// A kind of loss and its counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What was lost.
    pub kind: LossKind,
    /// Offset of the counter (u64) within every stripe.
    pub offset: u32,
}

/// What can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossKind {
    /// An update of a map that had no room for a new key.
    MapFull(MapId),
    /// An update of a map that other programs changed under it, or that the kernel refused for the moment.
    Contended(MapId),
    /// A key of a map that may be counted twice in its length: two programs inserted it at the same time, one of them
    /// where the kernel had no memory for it.
    Length(MapId),
    /// A `printf` or `print` for which the ring buffer had no room.
    Event,
    /// A run of a program that found no free scratch slot; nothing of its body ran.
    Scratch,
    /// A loop that reached the most iterations that the kernel allows, 8,388,608, and was ended there.
    Loop,
    /// A division by zero, or the remainder of one: the result was 1.
    ZeroDivision,
    /// A completed call of a traced function whose return was not seen, or whose beginning could not be noted.
    Calls,
    /// A string or value that could not be read; shown as [`UNREADABLE`] where it is text, else as 0.
    Read,
}

/// What stands for text that could not be read.
pub const UNREADABLE: &str = "<unreadable>";

impl MapPlan {
    /// The name with its sigil: `@bytes`, `@`. Of an internal map in words: `ucall:libc:write calls`.
    pub fn display_name(&self) -> String {
        match self.is_internal() {
            true => self.name.replace(HYGIENE_MARK, " "),
            false => format!("@{}", self.name),
        }
    }

    /// Its aggregation, if its value is one.
    pub fn aggregation(&self) -> Option<&AggType> {
        match &self.value {
            Type::Agg(agg) => Some(agg),
            _ => None,
        }
    }
}
