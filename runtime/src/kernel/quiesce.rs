//! Waiting until every program run that had begun has ended.
//!
//! There is no system call for it, so calls are used that have to wait for the same thing.
//!
//! **Programs that do not sleep** run inside an RCU read-side critical section. An update of a map of maps returns after
//! `synchronize_rcu()` (`maybe_wait_bpf_programs()` in kernel/bpf/syscall.c, since 4.20), so that user space may free
//! the replaced map. `membarrier(MEMBARRIER_CMD_GLOBAL)` is no substitute: it waits for nothing where one CPU is
//! online, even if programs can be preempted there, and is refused under `nohz_full` (kernel/sched/membarrier.c).
//!
//! **Sleepable programs** (here: on user probes only) are not covered by that, as the comment in
//! `maybe_wait_bpf_programs()` says. Taking a user probe off does wait for them (kernel/events/uprobes.c):
//! - since 6.12 handlers run under RCU Tasks Trace, and `uprobe_unregister_sync()`, which the release of a
//!   uprobe_multi link calls, waits for a grace period of it: for all handlers of all probes. So a link is made and
//!   closed on a file of ours that nobody executes.
//! - before, handlers of a probed instruction hold its `register_rwsem` for reading, return handlers too, and
//!   registering one more consumer at the same instruction takes it for writing. So one is registered at, and taken off
//!   from, every place of every sleepable program, filtered to this process so that no other is touched.

use super::probe;
use crate::backend::Error;
use crate::sys::bpf::{self, MapRef, MapSpec, UprobeMulti, map_type};
use crate::sys::perf::{self, Detail, EventSpec, Sample};
use crate::sys::process;
use crumbs_compiler::plan::{Attach, Plan};
use crumbs_compiler::target::{Feature, KernelVersion};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Waits for program runs to end.
#[derive(Debug)]
pub struct Quiescer {
    rcu: RcuWait,
    /// The places of sleepable programs, by binary; empty where there are none.
    sleepable: Vec<(CString, Vec<u64>)>,
    idle: Option<OwnedFd>,
    file: Option<File>,
}

/// A map of maps and a map to put into it.
#[derive(Debug)]
struct RcuWait {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Quiescer {
    /// Makes what waiting needs, so that waiting itself needs nothing that could be refused.
    ///
    /// # Errors
    /// When the kernel refuses the maps.
    pub fn new(plan: &Plan) -> Result<Self, Error> {
        let rcu = RcuWait::new().map_err(|error| {
            Error::new(
                "create the map that waiting for programs needs",
                error.to_string(),
            )
        })?;
        let mut sleepable = Vec::new();
        for program in plan.programs.iter().filter(|program| program.sleepable) {
            for attach in &program.attach {
                if let Attach::Uprobe { path, places, .. } = attach
                    && let Ok(path) = CString::new(path.as_str())
                {
                    sleepable.push((path, places.iter().map(|place| place.offset).collect()));
                }
            }
        }
        Ok(Self {
            rcu,
            sleepable,
            idle: None,
            file: None,
        })
    }

    /// Returns once every run that had begun before the call has ended.
    pub fn wait(&mut self) {
        until_done(|| self.rcu.wait());
        if !self.sleepable.is_empty() {
            until_done(|| self.wait_for_sleepable());
        }
    }

    fn wait_for_sleepable(&mut self) -> io::Result<()> {
        if !probe::has(Feature::UprobeMulti) {
            return self
                .sleepable
                .iter()
                .try_for_each(|(path, offsets)| register_perf(path, offsets));
        }
        let idle = match self.idle.take() {
            Some(idle) => idle,
            None => probe::idle_multi_program()?,
        };
        let idle = self.idle.insert(idle);
        let link = |path: &CString, offsets: &[u64]| {
            let target = UprobeMulti {
                path,
                offsets,
                cookies: &[],
                counters: &[],
                on_return: false,
                pid: std::process::id(),
            };
            // Closed at once; close(2) returns after the release.
            bpf::link_uprobe_multi(idle.as_fd(), &target).map(drop)
        };
        if probe::kernel_version() >= (KernelVersion { major: 6, minor: 12 }) {
            let file = match self.file.take() {
                Some(file) => file,
                None => process::memory_file(c"crumbs-quiesce", 4096)?,
            };
            let file = self.file.insert(file);
            let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
            return link(&path, &[0]);
        }
        self.sleepable
            .iter()
            .try_for_each(|(path, offsets)| link(path, offsets))
    }
}

/// Tries again until it works: what can fail is only a passing want of memory or descriptors, and going on without
/// having waited would lose updates.
fn until_done(mut wait: impl FnMut() -> io::Result<()>) {
    while wait().is_err() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl RcuWait {
    fn new() -> io::Result<Self> {
        let mut spec = MapSpec {
            kind: map_type::ARRAY,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            flags: 0,
            name: "crumbs_rcu",
            inner: None,
        };
        let inner = bpf::map_create(&spec)?;
        spec.kind = map_type::ARRAY_OF_MAPS;
        spec.value_size = 4;
        spec.inner = Some(inner.as_fd());
        let outer = bpf::map_create(&spec)?;
        Ok(Self { outer, inner })
    }

    fn wait(&self) -> io::Result<()> {
        let map = MapRef {
            fd: self.outer.as_fd(),
            key_size: 4,
            value_size: 4,
        };
        map.update(
            &0u32.to_ne_bytes(),
            &self.inner.as_raw_fd().to_ne_bytes(),
            bpf::ANY,
        )
    }
}

/// Registers and takes off a consumer at each place by a perf event without a program.
fn register_perf(path: &CString, offsets: &[u64]) -> io::Result<()> {
    let Some((kind, _)) = super::attach::uprobe_pmu(super::attach::UPROBE_PMU) else {
        return Ok(()); // Then nothing can have been attached either.
    };
    for offset in offsets {
        perf::open(&EventSpec {
            kind,
            config: 0,
            sample: Sample::Period(1),
            detail: Detail::Probe(path, *offset),
            pid: i32::try_from(std::process::id()).ok(),
            cpu: None,
        })?;
    }
    Ok(())
}
