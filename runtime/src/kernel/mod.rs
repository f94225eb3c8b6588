//! The kernel back end: compiled scripts as BPF programs.
//!
//! In: a plan and its object. Out: a [`Backend`]. Invariants: whatever this makes in the kernel hangs on descriptors of
//! this process (no pins, no tracefs events), so that nothing is left when it ends in whatever way; nothing is made
//! that the script does not need; a program is attached only by [`KernelBackend::attach_all`].

pub mod attach;
#[cfg(test)]
mod backend_tests;
mod descendants;
pub mod doctor;
mod help;
pub mod inventory;
pub mod kfunc;
pub mod load;
pub mod maps;
pub mod probe;
mod quiesce;
pub mod reject;
pub mod ring;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trampoline;

use crate::backend::{Backend, Error, RawEntry, Ring, Skipped, Wake};
use crate::child::Watch;
use crate::sys::bpf;
use crate::sys::poll::{Caught, Epoll, Signals};
use attach::{Iteration, Late, Link, Pin, Ticker};
use crumbs_compiler::plan::{BpfMapId, Generations, Occasion, OwnSignal, Plan, ProgramPlan, Storage};
use load::{LoadError, Loaded};
use maps::KernelMap;
use quiesce::Quiescer;
use ring::RingReader;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Level of the verifier's log for every program; 0 for none (a refusal is explained all the same).
    pub verifier_log: u32,
    /// Limits user probes to one process where their mechanism can; see [`attach::attach_all`].
    pub pid: Option<u32>,
    /// Whether SIGINT and SIGTERM end the run ([`Wake::Interrupted`]) rather than the process, and SIGUSR1 does not end it.
    pub catch_signals: bool,
}

/// Tokens of the poll set.
const TOKEN_RING: u64 = 0;
const TOKEN_SIGNAL: u64 = 1;
const TOKEN_TARGET: u64 = 2;
const TOKEN_LATE: u64 = 3;

/// How often a target that has no descriptor is looked at.
const TARGET_POLL: Duration = Duration::from_millis(50);

/// A loaded script.
#[derive(Debug)]
pub struct KernelBackend {
    plan: Plan,
    options: Options,
    loaded: Loaded,
    /// Main, then control.
    rings: Option<[RingReader; 2]>,
    links: Vec<Link>,
    /// What runs the programs of intervals.
    ticker: Option<Ticker>,
    /// What is attached once a process loads it.
    late: Option<Late>,
    /// Lists of the kernel under way, and for which of the plan's programs.
    iterators: Vec<(usize, Iteration)>,
    /// Files that are left behind, which were not told of yet.
    pinned: Vec<String>,
    skipped: Vec<Skipped>,
    /// How long attaching and detaching took.
    durations: [Duration; 2],
    quiescer: Option<Quiescer>,
    epoll: Epoll,
    signals: Option<Signals>,
    target: Option<Watch>,
}

impl KernelBackend {
    /// Loads a script; attaches and runs nothing.
    ///
    /// # Errors
    /// When the machine refuses something: [`LoadError::Rejected`] for the verifier.
    pub fn load(plan: &Plan, elf: &[u8], options: Options) -> Result<Self, LoadError> {
        let loaded = load::load(plan, elf, &options)?;
        let epoll = Epoll::new().map_err(|error| Error::io("create a poll set", &error))?;
        let signals = options
            .catch_signals
            .then(Signals::catch)
            .transpose()
            .map_err(|error| Error::io("catch signals", &error))?;
        if let Some(signals) = &signals {
            epoll
                .add(signals.as_fd(), TOKEN_SIGNAL)
                .map_err(|error| Error::io("wait for signals", &error))?;
        }
        let rings = open_rings(plan, &loaded, &epoll)?;
        let quiescer = needs_quiescing(plan).then(|| Quiescer::new(plan)).transpose()?;
        Ok(Self {
            plan: plan.clone(),
            options,
            loaded,
            rings,
            links: Vec::new(),
            ticker: None,
            late: None,
            iterators: Vec::new(),
            pinned: Vec::new(),
            skipped: Vec::new(),
            durations: [Duration::ZERO; 2],
            quiescer,
            epoll,
            signals,
            target: None,
        })
    }

    /// Attaches every program; on an error none stays attached.
    ///
    /// # Errors
    /// The first refusal, in the order of the plan.
    pub fn attach_all(&mut self) -> Result<(), Error> {
        let late = Late::of(&self.plan, self.options.pid)?;
        for descriptor in late.iter().flat_map(Late::descriptors) {
            self.epoll
                .add(descriptor, TOKEN_LATE)
                .map_err(|error| Error::io("wait for libraries", &error))?;
        }
        let begin = Instant::now();
        let attached = attach::attach_all(&self.plan, &self.loaded.programs, self.options.pid)?;
        self.durations[0] = begin.elapsed();
        self.links = attached.links;
        self.ticker = attached.ticker;
        self.iterators = attached.iterators;
        self.pinned = attached.pins.into_iter().map(Pin::keep).collect();
        self.skipped = attached.skipped;
        self.late = late;
        // What was loaded meanwhile.
        self.attach_late();
        Ok(())
    }

    /// Attaches to the libraries that have been loaded since the last call.
    fn attach_late(&mut self) {
        if let Some(late) = &mut self.late {
            let attached = late.attach(&self.plan, &self.loaded.programs);
            self.links.extend(attached.links);
            self.skipped.extend(attached.skipped);
        }
    }

    /// Makes [`Backend::wait`] give [`Wake::TargetEnded`] once a process has ended.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn watch(&mut self, target: Watch) -> Result<(), Error> {
        if let Some(fd) = target.as_fd() {
            self.epoll
                .add(fd, TOKEN_TARGET)
                .map_err(|error| Error::io("wait for the process", &error))?;
        }
        self.target = Some(target);
        Ok(())
    }

    /// The verifier's logs, one a program, where [`Options::verifier_log`] asked for them.
    pub fn verifier_logs(&self) -> &[String] {
        &self.loaded.logs
    }

    /// The programs as descriptors, for statistics; as [`Plan::programs`].
    pub fn programs(&self) -> &[std::os::fd::OwnedFd] {
        &self.loaded.programs
    }

    /// How long attaching took: from the first to the last of what was attached by [`KernelBackend::attach_all`].
    pub fn attaching(&self) -> Duration {
        self.durations[0]
    }

    /// How long detaching took, until no program could run any more.
    pub fn detaching(&self) -> Duration {
        self.durations[1]
    }

    /// The places that wildcards mean and the kernel refused, and why, as long as nobody took them by
    /// [`Backend::skipped`].
    pub fn refused(&self) -> impl Iterator<Item = (&str, &str)> {
        self.skipped.iter().filter_map(|skipped| match skipped {
            Skipped::Refused { cookie, reason } => {
                let site = self.plan.sites.get(*cookie as usize)?;
                Some((site.probe.as_str(), reason.as_str()))
            }
            Skipped::Missing { .. } | Skipped::NotLoaded { .. } => None,
        })
    }

    /// Whether no program can start but by [`Backend::run_once`].
    fn cannot_run(&self) -> bool {
        self.links.is_empty() && self.ticker.is_none() && self.late.is_none()
    }

    fn map(&self, id: BpfMapId) -> io::Result<&KernelMap> {
        self.loaded
            .maps
            .get(id.0 as usize)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn on_map<T>(
        &self,
        id: BpfMapId,
        verb: &str,
        work: impl Fn(&KernelMap) -> io::Result<T>,
    ) -> Result<T, Error> {
        self.map(id).and_then(work).map_err(|error| {
            let symbol = self
                .plan
                .bpf_maps
                .get(id.0 as usize)
                .map_or("?", |map| map.symbol.as_str());
            Error::new(
                format!("{verb} map `{symbol}`"),
                match error.raw_os_error() {
                    Some(libc::E2BIG) => "it is full".into(),
                    _ => error.to_string(),
                },
            )
        })
    }

    fn word(&self, offset: u32) -> Option<&std::sync::atomic::AtomicU64> {
        self.loaded.memory.as_ref()?.mapping.word(offset as usize)
    }

    /// One look at everything, waiting for `timeout` at most.
    fn look(&mut self, timeout: Option<Duration>) -> Option<Wake> {
        let tokens = self.epoll.wait(timeout).unwrap_or_default();
        if tokens.contains(&TOKEN_LATE) {
            self.attach_late();
        }
        if tokens.contains(&TOKEN_SIGNAL) {
            match self.signals.as_mut().and_then(Signals::take) {
                Some(Caught::End) => return Some(Wake::Interrupted),
                Some(Caught::Usr1) => return Some(Wake::Signal(OwnSignal::Usr1)),
                None => {}
            }
        }
        if tokens.contains(&TOKEN_TARGET)
            || self
                .target
                .as_ref()
                .is_some_and(|target| !target.has_fd() && target.ended())
        {
            return Some(Wake::TargetEnded);
        }
        tokens.contains(&TOKEN_RING).then_some(Wake::Poll)
    }
}

/// Whether a program runs on a signal to this process.
fn has_signal(plan: &Plan) -> bool {
    let mut attaches = plan.programs.iter().flat_map(|program| &program.attach);
    attaches.any(|attach| matches!(attach.occasion(), Occasion::Signal(_)))
}

/// Whether the session will ever ask to wait for programs: where a map has two generations.
fn needs_quiescing(plan: &Plan) -> bool {
    let two = |generations: &Generations| matches!(generations, Generations::Two { .. });
    plan.maps.iter().any(|map| match &map.storage {
        Storage::Words { .. } => false,
        Storage::Striped { selector, .. } => selector.is_some(),
        Storage::Hash(generations) => two(generations),
        Storage::PerCpu { maps, overflow, .. } => two(maps) || two(overflow),
    })
}

fn open_rings(plan: &Plan, loaded: &Loaded, epoll: &Epoll) -> Result<Option<[RingReader; 2]>, Error> {
    let Some(rings) = &plan.rings else { return Ok(None) };
    let open = |id: BpfMapId| -> io::Result<RingReader> {
        let map = loaded
            .maps
            .get(id.0 as usize)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        epoll.add(map.fd.as_fd(), TOKEN_RING)?;
        RingReader::new(map.fd.as_fd(), map.spec.max_entries)
    };
    let open = |id| open(id).map_err(|error| Error::io("map the ring buffer", &error));
    Ok(Some([open(rings.main)?, open(rings.control)?]))
}

/// What a program is called in messages: its first probe.
fn probe_name(plan: &Plan, program: &ProgramPlan) -> String {
    program.attach.first().map_or_else(
        || program.symbol.clone(),
        |first| attach::site_name(plan, program, first).to_owned(),
    )
}

/// How long a program has run, of which the kernel keeps count while it is asked to.
fn run_time(program: i32) -> io::Result<Duration> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{program}"))?;
    let line = info.lines().find_map(|line| line.strip_prefix("run_time_ns:"));
    let nanos = line.and_then(|text| text.trim().parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| io::Error::other("the kernel keeps no run time of programs"))
}

impl Backend for KernelBackend {
    fn load(&self, offset: u32) -> u64 {
        self.word(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(&self, offset: u32, value: u64) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::SeqCst);
        }
    }

    fn swap(&self, offset: u32, value: u64) -> u64 {
        self.word(offset)
            .map_or(0, |word| word.swap(value, Ordering::SeqCst))
    }

    fn entries(&mut self, map: BpfMapId) -> Result<Vec<RawEntry>, Error> {
        self.on_map(map, "read", KernelMap::entries)
    }

    fn element(&mut self, map: BpfMapId, key: &[u8]) -> Result<Option<RawEntry>, Error> {
        self.on_map(map, "read", |map| map.element(key))
    }

    fn remove_all(&mut self, map: BpfMapId) -> Result<(), Error> {
        self.on_map(map, "clear", KernelMap::remove_all)
    }

    fn insert_zero(&mut self, map: BpfMapId, key: &[u8]) -> Result<bool, Error> {
        self.on_map(map, "add to", |map| map.insert_zero(key))
    }

    fn zero_all(&mut self, map: BpfMapId) -> Result<(), Error> {
        self.on_map(map, "zero", KernelMap::zero_all)
    }

    fn run_once(&mut self, program: usize) -> Result<u32, Error> {
        let failed = |error: io::Error| {
            let probe = self
                .plan
                .programs
                .get(program)
                .map_or_else(String::new, |plan| probe_name(&self.plan, plan));
            Error::io(format!("run {probe}"), &error)
        };
        let fd = self
            .loaded
            .programs
            .get(program)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF));
        fd.and_then(|fd| bpf::prog_run(fd.as_fd(), 0)).map_err(failed)
    }

    /// By the kernel's own statistics, so that system calls do not count.
    fn run_often(&mut self, program: usize, times: u64) -> Result<Duration, Error> {
        let failed = |error: io::Error| Error::io("time a program", &error);
        let _timed = bpf::enable_stats().map_err(failed)?;
        let fd = self.loaded.programs.get(program);
        let fd = fd
            .ok_or_else(|| failed(io::Error::from_raw_os_error(libc::EBADF)))?
            .as_raw_fd();
        let before = run_time(fd).map_err(failed)?;
        for _ in 0..times {
            self.run_once(program)?;
        }
        let after = run_time(fd).map_err(failed)?;
        Ok(after.saturating_sub(before))
    }

    fn iterate(&mut self, program: usize) -> Result<bool, Error> {
        let mut all = self.iterators.iter_mut();
        let Some((_, iteration)) = all.find(|(of, _)| *of == program) else {
            return Ok(false);
        };
        iteration
            .step()
            .map_err(|error| Error::io("go through a list of the kernel", &error))
    }

    fn skipped(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.skipped)
    }

    fn pinned(&mut self) -> Vec<String> {
        std::mem::take(&mut self.pinned)
    }

    fn next_record(&mut self, ring: Ring) -> Option<Vec<u8>> {
        let [main, control] = self.rings.as_mut()?;
        match ring {
            Ring::Main => main.next_record(),
            Ring::Control => control.next_record(),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Wake {
        let awaits_signal = self.signals.is_some() && has_signal(&self.plan);
        if self.cannot_run() && self.target.is_none() && !awaits_signal {
            // No program can start on its own any more; a record may still be there.
            return self.look(Some(Duration::ZERO)).unwrap_or(Wake::Drained);
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let looks = self.target.as_ref().is_some_and(|target| !target.has_fd());
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let step = match left {
                Some(left) if looks => Some(left.min(TARGET_POLL)),
                None if looks => Some(TARGET_POLL),
                left => left,
            };
            if let Some(wake) = self.look(step) {
                return wake;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Wake::Poll;
            }
        }
    }

    fn is_interrupted(&self) -> bool {
        self.signals.as_ref().is_some_and(Signals::is_ending)
    }

    fn quiesce(&mut self) {
        // `run_once` returns when its program has.
        if self.cannot_run() {
            return;
        }
        if self.quiescer.is_none() {
            self.quiescer = Quiescer::new(&self.plan).ok();
        }
        if let Some(quiescer) = &mut self.quiescer {
            quiescer.wait();
        }
    }

    fn unwatch(&mut self, address: u64) {
        self.links.retain(|link| link.watches != Some(address));
    }

    fn detach(&mut self) {
        if self.cannot_run() {
            return;
        }
        let begin = Instant::now();
        drop(self.ticker.take());
        self.skipped
            .extend(self.late.take().iter().flat_map(|late| late.missed(&self.plan)));
        self.iterators.clear();
        attach::close_all(std::mem::take(&mut self.links));
        if let Some(quiescer) = &mut self.quiescer {
            quiescer.wait();
        }
        self.durations[1] = begin.elapsed();
    }
}

impl Drop for KernelBackend {
    fn drop(&mut self) {
        self.detach();
    }
}
