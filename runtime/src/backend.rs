//! What runs a compiled script: the kernel, or the user-space VM.
//!
//! A [`Backend`] holds maps and program memory and hands out raw bytes; reading, merging and printing them is the
//! session's and knows no back end.

use crumbs_compiler::plan::{BpfMapId, OwnSignal};
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// Something the machine refused.
#[derive(Debug)]
pub struct Error {
    /// What was tried, in the user's terms: `attach uprobe:/usr/lib/libc.so.6:write`.
    pub what: String,
    /// Why it failed.
    pub reason: String,
    /// The way out, where one is known.
    pub help: Option<String>,
    /// What of the script it is about: an index into [`crumbs_compiler::plan::Plan::sites`].
    pub site: Option<u32>,
}

impl Error {
    /// `what` was tried and failed for `reason`; no way out is known, and no place of the script.
    pub fn new(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            reason: reason.into(),
            help: None,
            site: None,
        }
    }

    /// `what` was tried, and a system call refused.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::new(what, error.to_string()).help(way_out(error))
    }

    /// The same error with a way out, if there is one.
    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    /// The same error, about a place of the script where it names none yet.
    #[must_use]
    pub fn about(mut self, site: Option<u32>) -> Self {
        self.site = self.site.or(site);
        self
    }
}

/// What to do about a refusal by the system, where that does not depend on what was tried.
fn way_out(error: &io::Error) -> Option<String> {
    let way = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "do it as a user who may, or elsewhere: `crumbs doctor` says what this one may trace"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on that file system, or name a file on another (-o)"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "name a place that there is",
        ErrorKind::OutOfMemory => "end what needs memory, or trace less at once",
        _ => return None,
    };
    Some(way.to_owned())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.what, self.reason)
    }
}

impl std::error::Error for Error {}

/// What is not attached although the script asks for it.
#[derive(Debug)]
pub enum Skipped {
    /// Places that must be there, or all that a block could be attached to.
    Missing {
        /// How many.
        places: usize,
        /// Why.
        reason: Error,
    },
    /// A function of a library that no traced process has loaded.
    NotLoaded {
        /// The library.
        library: String,
        /// Whether its program is attached somewhere else: the library was one of several that it can do with.
        replaced: bool,
        /// Why, in words.
        reason: Error,
    },
    /// A place that a wildcard means and the kernel refuses.
    Refused {
        /// The index of its [`crumbs_compiler::plan::Site`].
        cookie: u32,
        /// Why, in words that fit several.
        reason: String,
    },
}

impl Skipped {
    /// How many places that is.
    pub fn places(&self) -> usize {
        match self {
            Self::Missing { places, .. } => *places,
            Self::NotLoaded { .. } | Self::Refused { .. } => 1,
        }
    }

    /// Why what must be there is not.
    pub fn missing(self) -> Option<Error> {
        match self {
            Self::Missing { reason, .. } | Self::NotLoaded { reason, .. } => Some(reason),
            Self::Refused { .. } => None,
        }
    }
}

/// An element of a kernel map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// The key, `key_size` bytes.
    pub key: Vec<u8>,
    /// The values, one a CPU for per-CPU kinds (each `value_size` bytes, which is a multiple of 8 there), else one.
    pub values: Vec<Vec<u8>>,
}

/// Which ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// [`crumbs_compiler::plan::Rings::main`].
    Main,
    /// [`crumbs_compiler::plan::Rings::control`].
    Control,
}

/// Holds the state of a running script. All offsets are bytes into the program memory
/// ([`crumbs_compiler::plan::MemoryPlan`]) and multiples of 8.
pub trait Backend {
    /// Reads a 64-bit word of the program memory.
    fn load(&self, offset: u32) -> u64;
    /// Writes a 64-bit word of the program memory.
    fn store(&self, offset: u32, value: u64);
    /// Takes a 64-bit word and leaves `value`, atomically.
    fn swap(&self, offset: u32, value: u64) -> u64;
    /// Every element of a map. While programs run, elements that come or go meanwhile may be missed; one that stays is
    /// given exactly once.
    ///
    /// # Errors
    /// When the map cannot be read.
    fn entries(&mut self, map: BpfMapId) -> Result<Vec<RawEntry>, Error>;
    /// The element of a map with this key, if there is one.
    ///
    /// # Errors
    /// When the map cannot be read.
    fn element(&mut self, map: BpfMapId, key: &[u8]) -> Result<Option<RawEntry>, Error>;
    /// Removes every element of a map.
    ///
    /// # Errors
    /// When the map cannot be changed.
    fn remove_all(&mut self, map: BpfMapId) -> Result<(), Error>;
    /// Inserts an element with a value of zeros unless the key is there. Gives whether it was not.
    ///
    /// # Errors
    /// When the map cannot be changed or is full.
    fn insert_zero(&mut self, map: BpfMapId, key: &[u8]) -> Result<bool, Error>;
    /// Overwrites the value of every element with zeros, keeping the keys.
    ///
    /// # Errors
    /// When the map cannot be changed.
    fn zero_all(&mut self, map: BpfMapId) -> Result<(), Error>;
    /// Runs a program that is attached to nothing once, here and now, and gives what it returned. The number indexes
    /// `Plan::programs`.
    ///
    /// # Errors
    /// When the program cannot be run.
    fn run_once(&mut self, program: usize) -> Result<u32, Error>;
    /// Runs a program so often, as [`Backend::run_once`] does; gives how long it ran, all runs together.
    ///
    /// # Errors
    /// When the program cannot be run.
    fn run_often(&mut self, program: usize, times: u64) -> Result<Duration, Error> {
        let start = Instant::now();
        for _ in 0..times {
            self.run_once(program)?;
        }
        Ok(start.elapsed())
    }
    /// Runs a program that goes through a list of the kernel ([`crumbs_compiler::plan::Occasion::Element`]) for some of its
    /// elements, few enough for the rings to hold what it sends; gives whether there may be more.
    ///
    /// # Errors
    /// When the kernel gives up.
    fn iterate(&mut self, program: usize) -> Result<bool, Error> {
        let _ = program;
        Ok(false)
    }
    /// What the script asks for and is not attached; each is given once.
    fn skipped(&mut self) -> Vec<Skipped> {
        Vec::new()
    }
    /// The files that iterators were pinned to; each is given once.
    fn pinned(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// The next record of a ring, header first; `None` when it is empty now.
    fn next_record(&mut self, ring: Ring) -> Option<Vec<u8>>;
    /// Waits until a ring has a record, a watched thing happened (see [`Wake`]), or `timeout` is over.
    fn wait(&mut self, timeout: Option<Duration>) -> Wake;
    /// Whether the user wants the run to end by now, which [`Backend::wait`] tells as well. Asked between actions that take
    /// long.
    fn is_interrupted(&self) -> bool {
        false
    }
    /// Returns once every run of a program that had begun before the call has ended.
    fn quiesce(&mut self);
    /// Takes the watchpoints of an address away.
    fn unwatch(&mut self, _address: u64) {}
    /// Detaches every program, and waits for those that still run. Afterwards only [`Backend::run_once`] runs any.
    fn detach(&mut self);
}

/// Why [`Backend::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A record may be there, or time is over.
    Poll,
    /// SIGINT or SIGTERM: end the run.
    Interrupted,
    /// A signal that the script reacts to.
    Signal(OwnSignal),
    /// The child of `-c` or the process of `-p` has ended: end the run.
    TargetEnded,
    /// Nothing will ever happen again (a simulation ran out of events, or no probe can fire).
    Drained,
}
