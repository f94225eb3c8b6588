//! What the compiler may know of the machine that a script will run on.
//!
//! The compiler touches no file, clock or process: a [`Target`] hands it the facts as plain data. `HostTarget` (in the
//! runtime) reads this machine; [`fixture::FixtureTarget`] reads recorded text, so that tests give the same bytes
//! everywhere.

use crate::ctype::{EnumType, Field, KernelFunction, StructId};
use crate::plan::ProgramKind;
use crate::signature::Signature;
use crate::types::Type;
use crate::usdt::Argument;
use std::sync::Arc;

/// A processor architecture, with its calling convention (see [`crate::arch`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64, System V ABI.
    X86_64,
    /// AArch64, AAPCS64.
    Aarch64,
}

/// A kernel release, as far as features depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// The first number.
    pub major: u16,
    /// The second.
    pub minor: u16,
}

impl std::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

macro_rules! features {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $major:literal . $minor:literal, $lack:literal;)*) => {
        /// Something that not every supported kernel can do and that changes what is compiled or how it is attached.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Feature { $($(#[$doc])* $id,)* }

        /// Every feature, declared once.
        pub static FEATURES: &[FeatureRow] = &[$(FeatureRow {
            feature: Feature::$id,
            name: $name,
            since: KernelVersion { major: $major, minor: $minor },
            lack: $lack,
        },)*];
    };
}

/// A row of [`FEATURES`].
#[derive(Debug)]
pub struct FeatureRow {
    /// Which.
    pub feature: Feature,
    /// The name shown to users.
    pub name: &'static str,
    /// The first mainline kernel that has it (it can still be missing there by configuration).
    pub since: KernelVersion,
    /// What crumbs does without it.
    pub lack: &'static str,
}

features! {
    /// `BPF_ATOMIC` with FETCH, XCHG, CMPXCHG and the logical operations.
    FullAtomics = "full atomics", 5 . 12, "only additions are atomic; min and max are exact per CPU only";
    /// `bpf_get_attach_cookie`.
    Cookies = "attach cookies", 5 . 15, "a wildcard compiles to one program a function";
    /// `BPF_LINK_CREATE` for perf events.
    PerfLink = "perf event links", 5 . 15, "attached by ioctl";
    /// `BPF_TRACE_UPROBE_MULTI` links.
    UprobeMulti = "uprobe_multi links", 6 . 6, "one perf event a function: slow to attach and to detach";
    /// uprobe_multi filters by process rather than by thread.
    UprobeMultiPid = "uprobe_multi process filter", 6 . 10, "perf events where only one process is traced";
    /// Signed division and remainder (version 4 of the instruction set).
    SignedDivision = "signed division", 6 . 6, "several instructions instead of one";
    /// Sleepable programs on user probes.
    SleepableUprobe = "sleepable user probes", 6 . 0, "strings on pages that are not resident cannot be read";
    /// Hash maps that are not preallocated, usable from every program type.
    LazyHash = "hash maps allocated on demand", 6 . 1, "maps are preallocated within a budget";
    /// `bpf_ktime_get_tai_ns`.
    TaiClock = "TAI clock", 6 . 1, "none";
    /// `bpf_map_lookup_percpu_elem`.
    PercpuLookup = "lookup of another CPU's value", 5 . 19, "aggregations cannot be read inside a script";
    /// `bpf_loop`.
    BpfLoop = "bpf_loop", 5 . 17, "short loops over constant ranges are written out, others refused";
    /// `bpf_for_each_map_elem`.
    MapIteration = "bpf_for_each_map_elem", 5 . 13, "loops over maps are refused";
    /// `bpf_get_attach_cookie` in programs on raw tracepoints.
    RawTracepointCookies = "raw tracepoint cookies", 6 . 10, "a wildcard compiles to one program an event";
    /// `BPF_TRACE_KPROBE_MULTI` links.
    KprobeMulti = "kprobe_multi links", 5 . 18, "one perf event a function: slow to attach and to detach";
}

/// The process-id namespace that ids are shown in, where it is not the initial one: device and inode of
/// `/proc/self/ns/pid`, as `bpf_get_ns_current_pid_tgid` wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidNamespace {
    /// Device number, in the kernel's encoding.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// A field of a tracepoint record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointField {
    /// Its name.
    pub name: String,
    /// The C type as the format file writes it, without array brackets: `unsigned long`, `const char *`.
    pub c_type: String,
    /// Offset in the record, bytes; the record is the program's context.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
    /// Whether it is signed.
    pub signed: bool,
    /// Elements, where it is an array (`char comm[16]`).
    pub array: Option<u32>,
    /// How its data is found.
    pub location: FieldLocation,
}

/// Where the data of a tracepoint field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldLocation {
    /// At the field's offset.
    Inline,
    /// `__data_loc`: the field holds offset (low 16 bits, from the record's start) and size (high 16 bits).
    DataLoc,
    /// `__rel_loc`: as [`FieldLocation::DataLoc`], the offset counted from behind the field.
    RelLoc,
}

/// A tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointFormat {
    /// Its id under tracefs, for `perf_event_open`.
    pub id: u64,
    /// The fields a script may name (the `common_` ones left out), in order.
    pub fields: Vec<TracepointField>,
}

/// A program or library on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binary {
    /// The path under which it is attached and shown.
    pub path: String,
}

/// A function of a binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, version suffix (`@@GLIBC_2.2.5`) removed.
    pub name: String,
    /// Offset in the file, bytes: what a uprobe is placed at.
    pub offset: u64,
    /// Size in bytes, 0 where unknown.
    pub size: u64,
    /// Whether it is an indirect function (`STT_GNU_IFUNC`): what lies here is its resolver, run once when the symbol is
    /// bound, and not the function that calls of this name reach.
    pub indirect: bool,
}

/// A symbol of a binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinarySymbol {
    /// Its virtual address in the file.
    pub address: u64,
    /// Size in bytes, 0 where unknown.
    pub size: u64,
    /// Whether the file is loaded elsewhere than its addresses say (`ET_DYN`).
    pub moves: bool,
}

/// A function of a binary that programs run at when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset of its first instruction in the file, bytes.
    pub offset: u64,
    /// The arguments that programs read, a bit each; all are passed in registers.
    pub arguments: u32,
}

/// A script that another one imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// What tells it from other files, however it is named: it is imported once.
    pub id: String,
    /// What messages call it; imports of its own are looked up from there.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A place of a static user probe (USDT). A probe can have several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtProbe {
    /// Who provides it: `libc`.
    pub provider: String,
    /// Its name: `setjmp`.
    pub name: String,
    /// Offset of its instruction in the file, bytes.
    pub offset: u64,
    /// Offset of its semaphore in the file; 0 where it has none.
    pub semaphore: u64,
    /// Its arguments, in order.
    pub arguments: Arc<[Argument]>,
}

/// Why a target could not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// There is no such thing.
    NotFound {
        /// Names that are there and that the user may have meant, best first; may be empty.
        similar: Vec<String>,
        /// Where it was looked for, for the message; may be empty.
        searched: Vec<String>,
    },
    /// It may be there, but cannot be read.
    Unreadable {
        /// What could not be read.
        what: String,
        /// Why, in the user's terms.
        reason: String,
        /// The way out.
        help: String,
    },
}

/// The facts of one machine. Implementations answer from what they read lazily and keep.
pub trait Target {
    /// Its architecture.
    fn arch(&self) -> Arch;
    /// Its kernel.
    fn kernel(&self) -> KernelVersion;
    /// How many CPUs there can be (`/sys/devices/system/cpu/possible`).
    fn possible_cpus(&self) -> u32;
    /// Whether it can do `feature`.
    fn has(&self, feature: Feature) -> bool;
    /// The pid namespace of the user, unless it is the initial one.
    fn pid_namespace(&self) -> Option<PidNamespace>;
    /// The tracepoints whose category and event match the two glob patterns, sorted.
    ///
    /// # Errors
    /// When none matches or tracefs cannot be read.
    fn tracepoints(&self, category: &str, event: &str) -> Result<Vec<(String, String)>, TargetError>;
    /// A tracepoint's record.
    ///
    /// # Errors
    /// When there is none of that name or it cannot be read.
    fn tracepoint(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, TargetError>;
    /// The binaries that `spec` means: a path, a glob over paths, a program on `PATH`, or a library by its short
    /// name (`libc`, `libhdf5`), as the traced program would load it. Never empty.
    ///
    /// # Errors
    /// When there is none.
    fn binaries(&self, spec: &str) -> Result<Vec<Binary>, TargetError>;
    /// The functions of a binary that a probe can be placed on, by ascending name; aliases of one address are all
    /// listed.
    ///
    /// # Errors
    /// When it cannot be read or is no ELF file of this architecture.
    fn functions(&self, binary: &Binary) -> Result<Arc<[Function]>, TargetError>;
    /// The functions that a library exports under versions of its interface, called `NAME@VERSION`.
    ///
    /// # Errors
    /// As [`Target::functions`].
    fn versioned_functions(&self, _binary: &Binary) -> Result<Vec<Function>, TargetError> {
        Ok(Vec::new())
    }
    /// The functions called `name`: one, but for local functions that several source files have under one name.
    /// As [`Target::functions`] and a search would answer, but cheap where the binary is large. Never empty. A name may end in
    /// a version, `memcpy@GLIBC_2.14`; without one, of several that are exported it means the one that new programs get.
    ///
    /// # Errors
    /// As [`Target::functions`], and when there is none of that name.
    fn functions_named(&self, binary: &Binary, name: &str) -> Result<Vec<Function>, TargetError> {
        let functions = self.functions(binary)?;
        let found: Vec<Function> = functions.iter().filter(|f| f.name == name).cloned().collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let names = functions.iter().map(|f| f.name.as_str());
        let similar = crate::similar::similar(name, names, 5);
        Err(TargetError::NotFound {
            similar,
            searched: vec![binary.path.clone()],
        })
    }
    /// For each of these functions of a binary the offset of the instruction, from its first on, at which a program sees
    /// the same calls and the same arguments for the least cost: the first instruction itself, unless it is certain that
    /// a later one is reached exactly once for each call, with those arguments still in place.
    fn cheapest_places(&self, _binary: &Binary, entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.offset).collect()
    }
    /// The file offset of virtual address `address` of a binary (`uprobe:bin:0x1234`), where it lies in an
    /// executable segment.
    ///
    /// # Errors
    /// When the binary cannot be read or the address is in no executable segment.
    fn file_offset(&self, binary: &Binary, address: u64) -> Result<u64, TargetError>;
    /// The symbol of data or a function that a binary defines by this name.
    ///
    /// # Errors
    /// When there is none or the binary cannot be read.
    fn binary_symbol(&self, _binary: &Binary, _name: &str) -> Result<BinarySymbol, TargetError> {
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// The virtual address of a file offset of a binary, the inverse of [`Target::file_offset`].
    ///
    /// # Errors
    /// As there.
    fn virtual_address(&self, _binary: &Binary, _offset: u64) -> Result<u64, TargetError> {
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// The files that `import "path"` in the script `importer` means: one, or every script of a directory by ascending
    /// name. A relative path is looked up beside `importer`, which may also be the name of something that is no file.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn import(&self, importer: &str, path: &str) -> Result<Vec<SourceFile>, TargetError> {
        let _ = (importer, path);
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// Whether an instruction begins `offset` bytes behind the start of a function.
    ///
    /// # Errors
    /// When the code cannot be read.
    fn is_instruction(
        &self,
        _binary: &Binary,
        _function: &Function,
        _offset: u64,
    ) -> Result<bool, TargetError> {
        Ok(true)
    }
    /// The places of the static user probes of a binary.
    ///
    /// # Errors
    /// When it cannot be read or is no ELF file of this architecture.
    fn usdt_probes(&self, _binary: &Binary) -> Result<Arc<[UsdtProbe]>, TargetError> {
        Ok(Arc::new([]))
    }
    /// The programs and libraries of the traced process or command, its own program first. Never empty.
    ///
    /// # Errors
    /// When none is traced, or what it loads cannot be read.
    fn loaded_binaries(&self) -> Result<Vec<Binary>, TargetError> {
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// The programs and libraries that any running process has loaded, sorted. Never empty.
    ///
    /// # Errors
    /// When no process shows what it has loaded.
    fn running_binaries(&self) -> Result<Vec<Binary>, TargetError> {
        self.loaded_binaries()
    }
    /// What the function at `offset` of a binary's file takes and gives, by its debug information.
    ///
    /// # Errors
    /// `Unreadable` when the binary has none, `NotFound` when that does not tell of a function which begins there.
    fn signature(&self, binary: &Binary, _offset: u64) -> Result<Arc<Signature>, TargetError> {
        Err(no_debug_information(binary))
    }
    /// The type of this name that a binary's debug information tells of; as [`Target::kernel_type`].
    ///
    /// # Errors
    /// `Unreadable` when the binary has none, `NotFound` when there is no such type.
    fn binary_type(&self, binary: &Binary, _keyword: &str, _name: &str) -> Result<Type, TargetError> {
        Err(no_debug_information(binary))
    }
    /// The offsets in a binary's file where statements of a line of source begin, ascending. `file` is the end of the
    /// path that the compiler was given, of whole components. Never empty.
    ///
    /// # Errors
    /// When the binary has no debug information, or no code of that line.
    fn source_line(
        &self,
        binary: &Binary,
        _file: &str,
        _line: u64,
        _column: Option<u64>,
    ) -> Result<Vec<u64>, TargetError> {
        Err(no_debug_information(binary))
    }
    /// Whether only those functions of a binary have names that it exports.
    fn is_stripped(&self, _binary: &Binary) -> bool {
        false
    }
    /// Whether calls of a function of a binary have been replaced by its code, as far as debug information tells.
    fn is_inlined(&self, _binary: &Binary, _name: &str) -> bool {
        false
    }
    /// The functions of the kernel that a kprobe can be placed on and whose module (`vmlinux` for the kernel proper) and
    /// name match the two glob patterns: module and name, sorted by name. Never empty.
    ///
    /// # Errors
    /// When none matches or the kernel's symbols cannot be read.
    fn traceable_functions(&self, _module: &str, _name: &str) -> Result<Vec<(String, String)>, TargetError> {
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// The address of a symbol of the kernel or a module.
    ///
    /// # Errors
    /// When there is none of that name or addresses are hidden.
    fn kernel_address(&self, _name: &str) -> Result<u64, TargetError> {
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// The id of the cgroup at a path of the file system; `None` where there is none.
    fn cgroup_id(&self, _path: &str) -> Option<u64> {
        None
    }
    /// The kernel's type of this name: a struct, union or enum by its tag, or a typedef or plain type where `keyword` is
    /// empty. Modules are searched behind vmlinux.
    ///
    /// # Errors
    /// When there is none of that name or the kernel has no BTF.
    fn kernel_type(&self, _keyword: &str, _name: &str) -> Result<Type, TargetError> {
        Err(no_types())
    }
    /// The members of a struct that this target has described, in order.
    ///
    /// # Errors
    /// When the id is not one of its own.
    fn struct_fields(&self, _id: StructId) -> Result<Arc<[Field]>, TargetError> {
        Err(no_types())
    }
    /// The kernel enum that has a constant of this name, and its value.
    fn kernel_constant(&self, _name: &str) -> Option<(Arc<EnumType>, i64)> {
        None
    }
    /// A header of the script's own (`#include "name"`): its path and its text. `from` is the path of the header that asks
    /// for it; `None` for the script.
    ///
    /// # Errors
    /// When there is none or it cannot be read.
    fn header(&self, _name: &str, _from: Option<&str>) -> Result<(String, String), TargetError> {
        Err(TargetError::NotFound {
            similar: Vec::new(),
            searched: Vec::new(),
        })
    }
    /// The header `<name>` in the directories that the user named for headers: its path and its text.
    fn included_header(&self, _name: &str) -> Option<(String, String)> {
        None
    }
    /// The header `<name>` among those that the machine has for its C compiler: its path and its text.
    fn system_header(&self, _name: &str) -> Option<(String, String)> {
        None
    }
    /// The kernel functions of this name that BTF describes, in one module (`vmlinux` for the kernel proper) or all.
    ///
    /// # Errors
    /// When there is none of that name or the kernel has no BTF.
    fn kernel_functions(
        &self,
        _module: Option<&str>,
        _name: &str,
    ) -> Result<Vec<KernelFunction>, TargetError> {
        Err(no_types())
    }
    /// Whether programs of a kind may call a function of the kernel (a kfunc).
    fn may_call(&self, _kind: ProgramKind, _function: &KernelFunction) -> bool {
        false
    }
    /// The functions of the kernel that BTF describes and whose module (`vmlinux` for the kernel proper) and name match
    /// the two glob patterns: module and name, sorted. Never empty.
    ///
    /// # Errors
    /// When none matches or the kernel has no BTF.
    fn described_functions(&self, _module: &str, _name: &str) -> Result<Vec<(String, String)>, TargetError> {
        Err(no_types())
    }
}

/// What a target answers that describes no kernel types.
fn no_types() -> TargetError {
    TargetError::Unreadable {
        what: "the kernel's types".into(),
        reason: "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".into(),
        help: "declare the struct in the script".into(),
    }
}

/// What a target answers that describes no programs.
fn no_debug_information(binary: &Binary) -> TargetError {
    TargetError::Unreadable {
        what: format!("the types of {}", binary.path),
        reason: "it has no debug information".into(),
        help: "build it with -g, or install its debug information (Debian: its -dbgsym package)".into(),
    }
}

pub mod fixture;
pub mod tracepoint_format;
