//! Names of addresses: functions of the kernel and of processes, also of processes that have ended.
//!
//! In: an address, for user space with its process. Out: function and offset. Nothing is read before an address is asked
//! for, but for the mappings of processes while a run lasts ([`Symbols::listen`]), and those only where a script shows user
//! addresses. blazesym reads kallsyms and ELF files and keeps what it has read.

pub mod spaces;

use crate::host::origins::{Origin, Origins};
use crate::host::reach;
use crate::sys::mmap_events::{MmapEvents, ProcessEvent};
use crate::value::Names;
use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};
use crumbs_compiler::plan::Plan;
use spaces::{Mapping, Spaces};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What lies at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The function, demangled, and how far into it the address is.
    pub symbol: Option<(String, u64)>,
    /// The file or kernel module it is in.
    pub module: Option<String>,
}

impl Place {
    /// The place so many bytes behind it.
    pub fn after(mut self, bytes: u64) -> Self {
        if let Some((_, offset)) = &mut self.symbol {
            *offset += bytes;
        }
        self
    }

    /// The function without offset, else the address.
    pub fn name(&self, address: u64) -> String {
        match &self.symbol {
            Some((name, _)) => name.clone(),
            None => format!("{address:#x}"),
        }
    }

    /// The function with its offset, else the address.
    pub fn name_and_offset(&self, address: u64) -> String {
        match &self.symbol {
            Some((name, offset)) => format!("{name}+{offset}"),
            None => format!("{address:#x}"),
        }
    }
}

/// Finds names of addresses.
pub struct Symbols {
    symbolizer: Symbolizer,
    spaces: Spaces,
    /// Of the files that were asked for.
    build_ids: HashMap<PathBuf, Option<String>>,
    /// Where code comes from, if that is shown.
    origins: Option<Origins>,
    others: OtherRoots,
    events: Option<MmapEvents>,
    /// Events of processes that were lost: names may be missing.
    lost: u64,
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbols")
            .field("spaces", &self.spaces)
            .finish_non_exhaustive()
    }
}

impl Default for Symbols {
    fn default() -> Self {
        Self {
            symbolizer: Symbolizer::builder()
                .enable_code_info(false)
                .enable_inlined_fns(false)
                .build(),
            spaces: Spaces::default(),
            build_ids: HashMap::new(),
            origins: None,
            others: OtherRoots::default(),
            events: None,
            lost: 0,
        }
    }
}

impl Symbols {
    /// The names for a run of a plan: where it shows addresses of processes, what they map is noted from now on. Separate
    /// debug files are looked for in `directories`, too.
    pub fn of_run(plan: &Plan, directories: Vec<PathBuf>) -> Self {
        let mut symbols = Self::default();
        if plan.settings.show_debug_info {
            symbols.origins = Some(Origins::new(plan.arch, directories));
        }
        if plan.shows_user_addresses() {
            symbols.listen(crate::kernel::probe::possible_cpus());
        }
        symbols
    }

    /// Begins to note which files processes map, so that their addresses have names after they have ended. Without the
    /// right to, only processes that live have names: not an error.
    pub fn listen(&mut self, cpus: u32) {
        self.events = MmapEvents::listen(cpus).ok();
    }

    /// Notes what processes have mapped since the last call. To be called now and then while programs run.
    pub fn update(&mut self) {
        let events = self.events.as_mut().map(MmapEvents::take).unwrap_or_default();
        for event in events {
            match event {
                ProcessEvent::Map {
                    pid,
                    start,
                    len,
                    offset,
                    path,
                } => {
                    let end = start.saturating_add(len);
                    self.spaces.map(
                        pid,
                        Mapping {
                            start,
                            end,
                            offset,
                            path,
                        },
                    );
                }
                ProcessEvent::Fork { parent, child } => {
                    if !self.spaces.knows(parent) {
                        self.read_maps(parent);
                    }
                    self.spaces.fork(parent, child);
                }
                ProcessEvent::Exec { pid } => self.spaces.exec(pid),
                ProcessEvent::Lost(count) => self.lost += count,
            }
        }
    }

    /// How many events of processes were lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What lies at an address of the kernel.
    pub fn kernel(&self, address: u64) -> Place {
        let source = Source::Kernel(Kernel {
            debug_syms: false,
            vmlinux: blazesym::MaybeDefault::None,
            ..Kernel::default()
        });
        self.symbolize(&source, Input::AbsAddr(address))
    }

    /// The build id of the file that an address of a process shows, in hexadecimal, and the offset in the file.
    pub fn build_id(&mut self, pid: u32, address: u64) -> Option<(String, u64)> {
        let (path, _, offset) = self.file(pid, address)?;
        let read = |path: &PathBuf| {
            let id = blazesym::helper::read_elf_build_id(path).ok().flatten()?;
            Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
        };
        let id = self.build_ids.entry(path?).or_insert_with_key(read).clone()?;
        Some((id, offset))
    }

    /// The file that an address of a process shows, if it can be read, what the process calls it, and the offset in it.
    fn file(&mut self, pid: u32, address: u64) -> Option<(Option<PathBuf>, String, u64)> {
        if self.spaces.find(pid, address).is_none() {
            self.update();
            if self.spaces.find(pid, address).is_none() {
                self.read_maps(pid);
            }
        }
        let (mapping, offset) = self.spaces.find(pid, address)?;
        let shown = mapping.path.clone();
        Some((
            self.others.reach(pid, &shown),
            shown.display().to_string(),
            offset,
        ))
    }

    /// What lies at an address of a process.
    pub fn user(&mut self, pid: u32, address: u64) -> Place {
        let Some((path, shown, offset)) = self.file(pid, address) else {
            return Place::default();
        };
        let place = path.map(|path| {
            let mut elf = Elf::new(path);
            elf.debug_syms = false;
            self.symbolize(&Source::Elf(elf), Input::FileOffset(offset))
        });
        Place {
            module: Some(shown),
            ..place.unwrap_or_default()
        }
    }

    /// Where the instruction at an address of a process comes from, if that is to be shown.
    pub fn origin(&mut self, pid: u32, address: u64) -> Origin {
        if self.origins.is_none() {
            return Origin::default();
        }
        match (self.file(pid, address), &mut self.origins) {
            (Some((Some(path), _, offset)), Some(origins)) => origins.of(&path, offset),
            _ => Origin::default(),
        }
    }

    fn read_maps(&mut self, pid: u32) {
        if let Ok(maps) = std::fs::read(format!("/proc/{pid}/maps")) {
            self.spaces.read(pid, &String::from_utf8_lossy(&maps));
        }
    }

    fn symbolize(&self, source: &Source<'_>, input: Input<u64>) -> Place {
        match self.symbolizer.symbolize_single(source, input) {
            Ok(Symbolized::Sym(symbol)) => Place {
                symbol: Some((symbol.name.into_owned(), symbol.offset as u64)),
                module: symbol.module.map(|module| module.to_string_lossy().into_owned()),
            },
            _ => Place::default(),
        }
    }
}

/// Files of processes with a root directory of their own, open for as long as names are asked for: the way to them
/// through `/proc/PID/root` ends with the process.
#[derive(Debug, Default)]
struct OtherRoots {
    /// By device and inode.
    files: HashMap<(u64, u64), File>,
}

impl OtherRoots {
    /// A path that lasts to what a process calls `path`: that path itself where it is the same file for us, and where the
    /// process has ended. `None` where it is no regular file (any more): reading a pipe would never end.
    fn reach(&mut self, pid: u32, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let theirs = Path::new("/proc").join(pid.to_string()).join("root").join(inside);
        let identity = |path: &Path| {
            let file = reach::metadata(path).ok()?;
            file.is_file().then(|| (file.dev(), file.ino()))
        };
        let ours = identity(path);
        let Some(id) = identity(&theirs).filter(|id| ours.as_ref() != Some(id)) else {
            return ours.map(|_| path.to_owned());
        };
        if let Entry::Vacant(entry) = self.files.entry(id) {
            let file = reach::open(&theirs).ok()?;
            let is_it = file.metadata().is_ok_and(|data| (data.dev(), data.ino()) == id);
            entry.insert(is_it.then_some(file)?);
        }
        let file = self.files.get(&id)?;
        Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }
}

impl Names for Symbols {
    fn place(&mut self, pid: Option<u32>, address: u64) -> Place {
        match pid {
            Some(pid) => self.user(pid, address),
            None => self.kernel(address),
        }
    }

    fn build_id(&mut self, pid: u32, address: u64) -> Option<(String, u64)> {
        Self::build_id(self, pid, address)
    }

    fn origin(&mut self, pid: u32, address: u64) -> Origin {
        Self::origin(self, pid, address)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::print_stdout, reason = "a skipped test must be seen")]

    use super::*;

    #[test]
    fn functions_of_this_process() {
        let address = libc::getpid as *const () as u64;
        let mut symbols = Symbols::default();
        let place = symbols.user(std::process::id(), address + 3);
        let (name, offset) = place.symbol.expect("libc has symbols");
        assert!(name.ends_with("getpid"), "{name}");
        assert_eq!(offset, 3);
        assert!(place.module.is_some_and(|module| module.contains("libc")));
        assert_eq!(symbols.user(std::process::id(), 8), Place::default());
    }

    /// The process may end between two looks at it, so what is found must not lead through it.
    #[test]
    fn ways_to_files_do_not_lead_through_processes() {
        let mut symbols = Symbols::default();
        let own = std::process::id();
        let (path, shown, _) = symbols
            .file(own, libc::getpid as *const () as u64)
            .expect("libc is mapped");
        assert_eq!(path.map(|path| path.display().to_string()), Some(shown));
        // What we cannot see under that name is opened while the process is there.
        let mut others = OtherRoots::default();
        let directory = std::env::temp_dir().join(format!("crumbs-roots-{own}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        assert_eq!(others.reach(own, &directory.join("missing")), None);
        // A pipe that took the place of a library would be read for ever.
        let pipe = directory.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        if made.is_ok_and(|made| made.success()) {
            assert_eq!(others.reach(own, &pipe), None);
        }
        std::fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn functions_of_the_kernel() {
        let known = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        let line = known.lines().find(|line| line.ends_with(" schedule"));
        let address = line.and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok());
        let Some(address) = address.filter(|&address| address != 0) else {
            println!("skipped: the kernel hides its addresses");
            return;
        };
        let place = Symbols::default().kernel(address + 4);
        assert_eq!(place.symbol, Some(("schedule".into(), 4)));
    }

    #[test]
    fn functions_of_a_process_that_has_ended() {
        let mut symbols = Symbols::default();
        symbols.listen(crate::kernel::probe::possible_cpus());
        if symbols.events.is_none() {
            println!("skipped: process events need CAP_PERFMON");
            return;
        }
        let mut child = std::process::Command::new("/bin/true")
            .spawn()
            .expect("true runs");
        let pid = child.id();
        child.wait().expect("true ends");
        symbols.update();
        let libc = symbols
            .spaces
            .all(pid)
            .find(|m| m.path.to_string_lossy().contains("libc.so"));
        let libc = libc.expect("true maps libc").clone();
        let inside = (0..libc.end - libc.start)
            .step_by(0x1000)
            .map(|at| libc.start + at);
        let named = inside
            .filter(|&address| symbols.user(pid, address).symbol.is_some())
            .count();
        assert!(named > 10, "{named} places have names");
    }
}
