//! This machine, as the compiler sees it.
//!
//! In: whom a script is for (a process, a program) and the environment it runs in. Out: the facts of
//! [`crumbs_compiler::target::Target`], each read when it is first asked for and kept, and the listing behind
//! `crumbs -l`. Nothing is changed on the machine.

mod attaching;
mod btf;
mod cheapest;
mod dwarf;
mod elf;
mod gnu_hash;
mod headers;
mod imports;
mod instructions;
mod kernel_symbols;
mod ld_cache;
mod libraries;
mod library_name;
mod list;
mod list_user;
pub mod origins;
mod paths;
pub(crate) mod reach;
mod refusal;
#[cfg(test)]
mod scratch;
mod stripped;
mod tracefs;
pub mod unchecked;
mod usdt;
mod xz;

use crate::kernel::attach::warm_up;
use crate::kernel::{kfunc, probe};
pub use attaching::is_static;
pub(crate) use attaching::{clones, functions_of_library, mapped_by, module_functions, seen_from_here};
use crumbs_compiler::ctype::{EnumType, Field, KernelFunction, StructId};
use crumbs_compiler::plan::ProgramKind;
use crumbs_compiler::signature::Signature;
use crumbs_compiler::similar::similar;
use crumbs_compiler::target::{
    Arch, Binary, BinarySymbol, Entry, Feature, Function, KernelVersion, PidNamespace, SourceFile, Target,
    TargetError, TracepointFormat, UsdtProbe,
};
use crumbs_compiler::types::Type;
use elf::{Image, Images};
use headers::Headers;
pub use imports::MOST_BYTES;
use libraries::SearchPath;
use refusal::{io_error, unreadable};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tracefs::Tracefs;

/// How many names a "did you mean" lists.
const SIMILAR: usize = 5;

/// The most of the loader's cache that is read: some 50,000 libraries.
const MAX_LOADER_CACHE: u64 = 1 << 24;

/// Whom a script is for, and where its files are looked for.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// The traced process (`-p`): libraries are those it has mapped.
    pub pid: Option<u32>,
    /// The programs of the traced command (`-c`), resolved: libraries are those that these load. The first is the
    /// command itself; further ones are those it is known to start, as of `mpirun -n 4 ./app`.
    pub programs: Vec<PathBuf>,
    /// `PATH`, for programs named without a directory.
    pub path: Option<OsString>,
    /// `LD_LIBRARY_PATH` that the traced command gets.
    pub library_path: Option<OsString>,
    /// The dynamic loader's cache instead of `/etc/ld.so.cache`.
    pub loader_cache: Option<PathBuf>,
    /// The mount point of tracefs instead of the usual ones.
    pub tracefs: Option<PathBuf>,
    /// The directory with the kernel's types instead of `/sys/kernel/btf`.
    pub kernel_types: Option<PathBuf>,
    /// The script's directory; the working directory is searched in any case.
    pub home: Option<PathBuf>,
    /// Directories with separate debug files, searched before the usual one.
    pub debug_directories: Vec<PathBuf>,
    /// Where C headers are looked for that are not beside what includes them.
    pub include_dirs: Vec<PathBuf>,
    /// Whether what is resolved will be attached to, so that the kernel can be told early.
    pub attaching: bool,
}

impl HostOptions {
    /// With `PATH` and `LD_LIBRARY_PATH` of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            path: std::env::var_os("PATH"),
            library_path: std::env::var_os("LD_LIBRARY_PATH"),
            ..Self::default()
        }
    }
}

/// The machine that crumbs runs on.
pub struct HostTarget {
    options: HostOptions,
    tracefs: Tracefs,
    types: btf::KernelTypes,
    debug: dwarf::DebugFiles,
    images: RefCell<Images>,
    functions: RefCell<HashMap<String, Arc<[Function]>>>,
    usdt: RefCell<HashMap<String, Arc<[UsdtProbe]>>>,
    /// By symbol: the kernel's list is long, and the compiler asks several times.
    kernel_addresses: RefCell<HashMap<String, u64>>,
    /// By binary and function, for listings: how far behind the entry it costs least.
    cheapest: RefCell<HashMap<String, HashMap<String, u64>>>,
    /// By what was asked for.
    binaries: RefCell<HashMap<String, Vec<Binary>>>,
    /// The bytes of the dynamic loader's cache; empty where it cannot be read.
    loader_cache: OnceCell<Vec<u8>>,
    loaded: OnceCell<Vec<PathBuf>>,
    /// Whether the kernel was told that user probes will come.
    warmed_up: Cell<bool>,
}

impl HostTarget {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(options: HostOptions) -> Self {
        let tracefs = Tracefs::new(options.tracefs.clone());
        let types = btf::KernelTypes::new(options.kernel_types.clone());
        let debug = dwarf::DebugFiles::new(options.debug_directories.clone());
        Self {
            options,
            tracefs,
            types,
            debug,
            images: RefCell::default(),
            functions: RefCell::default(),
            usdt: RefCell::default(),
            kernel_addresses: RefCell::default(),
            cheapest: RefCell::default(),
            binaries: RefCell::default(),
            loader_cache: OnceCell::new(),
            loaded: OnceCell::new(),
            warmed_up: Cell::new(false),
        }
    }

    /// Whether a process or program is traced.
    fn is_for_process(&self) -> bool {
        self.options.pid.is_some() || !self.options.programs.is_empty()
    }

    fn headers(&self) -> Headers {
        Headers {
            directories: self.options.include_dirs.clone(),
            home: self.options.home.clone(),
        }
    }

    fn image(&self, binary: &Binary) -> Result<Rc<Image>, TargetError> {
        self.images.borrow_mut().get(binary, self.arch())
    }

    fn loader_cache(&self) -> Vec<ld_cache::Entry<'_>> {
        let bytes = self.loader_cache.get_or_init(|| {
            let path = self
                .options
                .loader_cache
                .as_deref()
                .unwrap_or(Path::new("/etc/ld.so.cache"));
            let mut bytes = Vec::new();
            let read = reach::open(path).and_then(|file| file.take(MAX_LOADER_CACHE).read_to_end(&mut bytes));
            read.map_or_else(|_| Vec::new(), |_| bytes)
        });
        ld_cache::parse(bytes, self.arch())
    }

    fn search_path(&self) -> SearchPath<'_> {
        let library_path = self
            .options
            .library_path
            .as_ref()
            .map(|path| paths::split(path))
            .unwrap_or_default();
        SearchPath {
            arch: self.arch(),
            library_path,
            cache: self.loader_cache(),
        }
    }

    /// The files of the traced process or programs; empty where there is none.
    fn loaded(&self) -> Result<&[PathBuf], TargetError> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let mut files = Vec::new();
        if let Some(pid) = self.options.pid {
            let maps = format!("/proc/{pid}/maps");
            files = libraries::mapped_by(pid).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => unreadable(
                    &maps,
                    "there is no such process",
                    "see `ps -e` for those that run".to_owned(),
                ),
                std::io::ErrorKind::PermissionDenied => {
                    let help = "run crumbs as root or as the user of that process".to_owned();
                    unreadable(
                        &maps,
                        "you have no permission to see what that process loads",
                        help,
                    )
                }
                _ => io_error(&maps, &error),
            })?;
        }
        let search = self.search_path();
        files.extend(
            self.options
                .programs
                .iter()
                .flat_map(|program| search.loaded_by(program)),
        );
        Ok(self.loaded.get_or_init(|| files))
    }

    /// The libraries that any program of this machine can load by name.
    fn installed(&self, spec: &str) -> Vec<PathBuf> {
        let in_directories = |directories: &[PathBuf]| {
            let files = directories
                .iter()
                .flat_map(|directory| paths::files_in(directory));
            let meant = files.filter(|path| library_name::closeness(spec, file_name(path)).is_some());
            // Texts for the linker (`libc.so`) and libraries of other machines stand there too.
            let ours = |path: &PathBuf| {
                path.to_str()
                    .is_some_and(|path| Image::open(path, self.arch()).is_ok())
            };
            libraries::closest(spec, meant.filter(ours))
        };
        let told = in_directories(&self.search_path().library_path);
        if !told.is_empty() {
            return told;
        }
        let start = library_name::start(spec);
        let cached = self.loader_cache().into_iter();
        let cached = cached.filter(|entry| entry.name_starts_with(start));
        let cached = cached.filter_map(|entry| entry.path().map(PathBuf::from));
        let cached = libraries::closest(spec, cached);
        if !cached.is_empty() {
            return cached;
        }
        in_directories(&libraries::default_directories(self.arch()).map(PathBuf::from))
    }

    fn program(&self, spec: &str) -> Option<PathBuf> {
        let directories = self
            .options
            .path
            .as_ref()
            .map(|path| paths::split(path))
            .unwrap_or_default();
        directories
            .iter()
            .map(|directory| directory.join(spec))
            .find(|path| paths::is_executable(path))
    }

    fn by_short_name(&self, spec: &str) -> Result<Vec<PathBuf>, TargetError> {
        let found = libraries::closest(spec, self.loaded()?.iter().cloned());
        if !found.is_empty() {
            return Ok(found);
        }
        let program = || self.program(spec).into_iter().collect::<Vec<_>>();
        let library = || self.installed(spec);
        let found = if spec.starts_with("lib") || spec.contains(".so") || spec.contains('*') {
            Some(library())
                .filter(|found| !found.is_empty())
                .unwrap_or_else(program)
        } else {
            Some(program())
                .filter(|found| !found.is_empty())
                .unwrap_or_else(library)
        };
        if found.is_empty() {
            Err(self.no_such_binary(spec))
        } else {
            Ok(found)
        }
    }

    fn no_such_binary(&self, spec: &str) -> TargetError {
        let loaded = self.loaded().unwrap_or_default();
        let mut names: BTreeSet<&str> = loaded
            .iter()
            .map(|path| library_name::stem(file_name(path)))
            .collect();
        names.extend(
            self.loader_cache()
                .iter()
                .filter_map(ld_cache::Entry::name)
                .map(library_name::stem),
        );
        let directories = self
            .options
            .path
            .as_ref()
            .map(|path| paths::split(path))
            .unwrap_or_default();
        let programs: Vec<PathBuf> = directories
            .iter()
            .flat_map(|directory| paths::files_in(directory))
            .collect();
        names.extend(programs.iter().map(|path| file_name(path)));
        let mut searched = Vec::new();
        if let Some(pid) = self.options.pid {
            searched.push(format!("what process {pid} has loaded"));
        }
        searched.extend(
            self.options
                .programs
                .iter()
                .map(|program| format!("what {} loads", program.display())),
        );
        searched.extend(["PATH", "LD_LIBRARY_PATH", "/etc/ld.so.cache"].map(str::to_owned));
        TargetError::NotFound {
            similar: similar(spec, names.into_iter(), SIMILAR),
            searched,
        }
    }

    fn by_path(&self, spec: &str) -> Result<Vec<PathBuf>, TargetError> {
        let path = PathBuf::from(spec);
        let root = self
            .options
            .pid
            .filter(|_| path.is_absolute())
            .and_then(libraries::foreign_root);
        let replaced = self.options.pid.filter(|_| root.is_none());
        if let Some(running) = replaced.and_then(|pid| libraries::deleted(pid, &path)) {
            return Ok(vec![running]);
        }
        let path = root.map_or(path.clone(), |root| libraries::beneath(&root, &path));
        if spec.contains('*') {
            let found = paths::matching(&path);
            let empty = || TargetError::NotFound {
                similar: Vec::new(),
                searched: vec![spec.to_owned()],
            };
            return if found.is_empty() { Err(empty()) } else { Ok(found) };
        }
        match reach::metadata(&path) {
            // As it was written: that is what the probes are called.
            Ok(_) => Ok(vec![path]),
            Err(error) => Err(match io_error(spec, &error) {
                TargetError::NotFound { searched, .. } => {
                    let siblings = path.parent().map(paths::files_in).unwrap_or_default();
                    let names = siblings.iter().filter_map(|path| path.to_str());
                    TargetError::NotFound {
                        similar: similar(spec, names, SIMILAR),
                        searched,
                    }
                }
                unreadable => unreadable,
            }),
        }
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

impl Target for HostTarget {
    fn cgroup_id(&self, path: &str) -> Option<u64> {
        // The id is the inode number of the directory (kernfs, since 5.5).
        let metadata = std::fs::metadata(path).ok()?;
        metadata
            .is_dir()
            .then(|| std::os::unix::fs::MetadataExt::ino(&metadata))
    }

    fn arch(&self) -> Arch {
        if cfg!(target_arch = "aarch64") {
            Arch::Aarch64
        } else {
            Arch::X86_64
        }
    }

    fn kernel(&self) -> KernelVersion {
        probe::kernel_version()
    }

    fn possible_cpus(&self) -> u32 {
        probe::possible_cpus()
    }

    fn has(&self, feature: Feature) -> bool {
        probe::has(feature)
    }

    fn pid_namespace(&self) -> Option<PidNamespace> {
        probe::pid_namespace()
    }

    fn tracepoints(&self, category: &str, event: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.tracefs.matching(category, event)
    }

    fn tracepoint(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, TargetError> {
        self.tracefs.format(category, event)
    }

    fn is_instruction(&self, binary: &Binary, function: &Function, offset: u64) -> Result<bool, TargetError> {
        // The longest instruction has 15 bytes.
        let code = self
            .image(binary)?
            .bytes_at(function.offset, offset.saturating_add(16))?;
        // What cannot be decoded is left to the user.
        Ok(instructions::begins_at(&code, offset, self.arch()).unwrap_or(true))
    }

    fn usdt_probes(&self, binary: &Binary) -> Result<Arc<[UsdtProbe]>, TargetError> {
        if let Some(probes) = self.usdt.borrow().get(&binary.path) {
            return Ok(Arc::clone(probes));
        }
        let image = self.image(binary)?;
        let probes: Arc<[UsdtProbe]> = usdt::probes(&image, self.arch())?.into();
        self.usdt
            .borrow_mut()
            .insert(binary.path.clone(), Arc::clone(&probes));
        Ok(probes)
    }

    fn loaded_binaries(&self) -> Result<Vec<Binary>, TargetError> {
        let mut files = Vec::new();
        if let Some(pid) = self.options.pid {
            let link = PathBuf::from(format!("/proc/{pid}/exe"));
            let exe = fs::read_link(&link).ok();
            let is_there = |exe: &PathBuf| {
                !exe.as_os_str()
                    .as_bytes()
                    .ends_with(libraries::DELETED.as_bytes())
            };
            let root = libraries::foreign_root(pid);
            files.extend(match (exe, root) {
                // Deleted or replaced since: the link still leads to it.
                (Some(exe), _) if !is_there(&exe) => Some(link),
                (Some(exe), Some(root)) => Some(libraries::shown_beneath(&root, &exe)),
                (exe, _) => exe,
            });
        }
        files.extend(self.loaded()?.iter().cloned());
        let mut seen = BTreeSet::new();
        let binaries: Vec<Binary> = files
            .into_iter()
            .filter_map(|file| file.into_os_string().into_string().ok())
            .filter(|path| seen.insert(path.clone()))
            .map(|path| Binary { path })
            .collect();
        if binaries.is_empty() {
            return Err(TargetError::NotFound {
                similar: Vec::new(),
                searched: Vec::new(),
            });
        }
        Ok(binaries)
    }

    fn running_binaries(&self) -> Result<Vec<Binary>, TargetError> {
        let files = libraries::mapped_by_any().into_iter();
        let paths = files.filter_map(|file| file.into_os_string().into_string().ok());
        let binaries: Vec<Binary> = paths.map(|path| Binary { path }).collect();
        if binaries.is_empty() {
            let help = "run crumbs as root, or name a program or library".to_owned();
            return Err(unreadable("/proc/*/maps", "no process shows what it loads", help));
        }
        Ok(binaries)
    }

    fn traceable_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        kernel_symbols::traceable(&self.tracefs, module, name)
    }

    fn kernel_address(&self, name: &str) -> Result<u64, TargetError> {
        if let Some(address) = self.kernel_addresses.borrow().get(name) {
            return Ok(*address);
        }
        let address = kernel_symbols::address(name)?;
        self.kernel_addresses
            .borrow_mut()
            .insert(name.to_owned(), address);
        Ok(address)
    }

    fn binaries(&self, spec: &str) -> Result<Vec<Binary>, TargetError> {
        if self.options.attaching && !self.warmed_up.replace(true) {
            warm_up();
        }
        if let Some(known) = self.binaries.borrow().get(spec) {
            return Ok(known.clone());
        }
        let found = if spec.contains('/') {
            self.by_path(spec)?
        } else {
            self.by_short_name(spec)?
        };
        let path = |path: PathBuf| match path.into_os_string().into_string() {
            Ok(path) => Ok(Binary { path }),
            Err(path) => {
                let help = "give the file another name, or a link to it".to_owned();
                Err(unreadable(&path.to_string_lossy(), "its name is not UTF-8", help))
            }
        };
        let found: Vec<Binary> = found.into_iter().map(path).collect::<Result<_, _>>()?;
        self.binaries.borrow_mut().insert(spec.to_owned(), found.clone());
        Ok(found)
    }

    fn functions(&self, binary: &Binary) -> Result<Arc<[Function]>, TargetError> {
        if let Some(functions) = self.functions.borrow().get(&binary.path) {
            return Ok(Arc::clone(functions));
        }
        let image = self.image(binary)?;
        stripped::complete(&image, &self.debug, self.arch());
        let functions: Arc<[Function]> = image.functions()?.into();
        self.functions
            .borrow_mut()
            .insert(binary.path.clone(), Arc::clone(&functions));
        Ok(functions)
    }

    fn functions_named(&self, binary: &Binary, name: &str) -> Result<Vec<Function>, TargetError> {
        let image = self.image(binary)?;
        if let Some((base, version)) = elf::versions::split(name) {
            return image.functions_of_version(base, version);
        }
        let mut found = image.functions_named(name)?;
        if found.is_empty() && stripped::complete(&image, &self.debug, self.arch()) {
            found = image.functions_named(name)?;
        }
        if !found.is_empty() {
            return Ok(found);
        }
        let functions = self.functions(binary)?;
        let similar = similar(
            name,
            functions.iter().map(|function| function.name.as_str()),
            SIMILAR,
        );
        let searched = match image.is_stripped() {
            true => format!(
                "{} (stripped: only the functions it exports have names)",
                binary.path
            ),
            false => binary.path.clone(),
        };
        Err(TargetError::NotFound {
            similar,
            searched: vec![searched],
        })
    }

    fn versioned_functions(&self, binary: &Binary) -> Result<Vec<Function>, TargetError> {
        self.image(binary)?.versioned_functions()
    }

    fn cheapest_places(&self, binary: &Binary, entries: &[Entry]) -> Vec<u64> {
        match self.image(binary) {
            Ok(image) => cheapest::places(&image, self.arch(), entries),
            Err(_) => entries.iter().map(|entry| entry.offset).collect(),
        }
    }

    fn header(&self, name: &str, from: Option<&str>) -> Result<(String, String), TargetError> {
        self.headers().quoted(name, from)
    }

    fn included_header(&self, name: &str) -> Option<(String, String)> {
        self.headers().included(name)
    }

    fn system_header(&self, name: &str) -> Option<(String, String)> {
        headers::of_machine(name, self.arch())
    }

    fn import(&self, importer: &str, path: &str) -> Result<Vec<SourceFile>, TargetError> {
        imports::files(importer, path)
    }

    fn file_offset(&self, binary: &Binary, address: u64) -> Result<u64, TargetError> {
        let image = self.image(binary)?;
        image.file_offset(address).ok_or_else(|| TargetError::NotFound {
            similar: Vec::new(),
            searched: image
                .executable_ranges()
                .map(|(start, end)| format!("{} {start:#x}..{end:#x}", binary.path))
                .collect(),
        })
    }

    fn binary_symbol(&self, binary: &Binary, name: &str) -> Result<BinarySymbol, TargetError> {
        let found = self.image(binary)?.symbol(name)?;
        found.ok_or_else(|| TargetError::NotFound {
            similar: Vec::new(),
            searched: vec![binary.path.clone()],
        })
    }

    fn virtual_address(&self, binary: &Binary, offset: u64) -> Result<u64, TargetError> {
        let found = self.image(binary)?.address_of(offset);
        found.ok_or_else(|| TargetError::NotFound {
            similar: Vec::new(),
            searched: vec![binary.path.clone()],
        })
    }

    fn kernel_type(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        self.types.named(keyword, name)
    }

    fn struct_fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        match id {
            StructId::Binary { .. } => self.debug.fields(id),
            _ => self.types.fields(id),
        }
    }

    fn signature(&self, binary: &Binary, offset: u64) -> Result<Arc<Signature>, TargetError> {
        let image = self.image(binary)?;
        let address = image.address(offset).ok_or_else(|| TargetError::NotFound {
            similar: Vec::new(),
            searched: vec![binary.path.clone()],
        })?;
        self.debug.signature(&image, address)
    }

    fn binary_type(&self, binary: &Binary, keyword: &str, name: &str) -> Result<Type, TargetError> {
        self.debug.named(&*self.image(binary)?, keyword, name)
    }

    fn source_line(
        &self,
        binary: &Binary,
        file: &str,
        line: u64,
        column: Option<u64>,
    ) -> Result<Vec<u64>, TargetError> {
        self.debug.code_of_line(&*self.image(binary)?, file, line, column)
    }

    fn is_stripped(&self, binary: &Binary) -> bool {
        self.image(binary).is_ok_and(|image| image.is_incomplete())
    }

    fn is_inlined(&self, binary: &Binary, name: &str) -> bool {
        self.image(binary)
            .is_ok_and(|image| self.debug.is_inlined(&image, name))
    }

    fn kernel_constant(&self, name: &str) -> Option<(Arc<EnumType>, i64)> {
        self.types.constant(name)
    }

    fn kernel_functions(&self, module: Option<&str>, name: &str) -> Result<Vec<KernelFunction>, TargetError> {
        self.types.functions(module, name)
    }

    fn may_call(&self, kind: ProgramKind, function: &KernelFunction) -> bool {
        // The list of tasks, which every kernel with BTF has.
        let list = self.types.functions(Some("vmlinux"), "bpf_iter_task").ok();
        let list = list.and_then(|found| found.first().map(|function| function.id));
        kfunc::is_allowed(function, kind, list)
    }

    fn described_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.types.function_names(module, name)
    }
}

#[cfg(test)]
#[path = "host/host_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "host/hostile_tests.rs"]
mod hostile_tests;
