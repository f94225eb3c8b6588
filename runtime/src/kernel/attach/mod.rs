//! Attaching: one file a mechanism, each turning [`Attach`] into descriptors whose closing detaches.
//!
//! Every attachment is independent of every other, and each waits for the kernel rather than for a processor
//! (registering a user probe and taking it off both wait for grace periods): a few threads share the list, both to
//! attach and to close.

mod perf_uprobe;
mod timer;
mod tracepoint;
mod uprobe_multi;

use super::probe;
use crate::backend::Error;
use crate::sys::{bpf, perf};
use crumbs_compiler::plan::{Attach, Plan, ProgramPlan};
use crumbs_compiler::target::Feature;
#[cfg(test)]
pub(super) use perf_uprobe::attach as attach_by_perf;
pub(super) use perf_uprobe::pmu as uprobe_pmu;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What keeps a program attached, in the order in which it must be closed.
#[derive(Debug)]
pub struct Link {
    /// The BPF link; `None` where a program was attached by ioctl.
    pub(super) link: Option<OwnedFd>,
    /// The perf event it sits on, if any.
    pub(super) event: Option<OwnedFd>,
}

/// One thing to do.
struct Job<'a> {
    program: BorrowedFd<'a>,
    attach: &'a Attach,
    probe: &'a str,
}

/// Attaches all programs; on an error what was attached is detached again.
///
/// `pid` limits user probes to one process, where their mechanism can do that: multi links from
/// [`Feature::UprobeMultiPid`] on and perf events always (both by address space). Otherwise, and for tracepoints and
/// timers always, the programs themselves must compare.
///
/// # Errors
/// The first refusal, in the order of the plan.
pub fn attach_all(plan: &Plan, programs: &[OwnedFd], pid: Option<u32>) -> Result<Vec<Link>, Error> {
    let jobs: Vec<Job<'_>> = plan
        .programs
        .iter()
        .zip(programs)
        .flat_map(|(program, fd)| {
            program.attach.iter().map(move |attach| Job {
                program: fd.as_fd(),
                attach,
                probe: site_name(plan, program, attach),
            })
        })
        .collect();
    let results = in_parallel(&jobs, |job| attach(job, pid));
    let mut links = Vec::new();
    let mut first_error = None;
    for result in results {
        match result {
            Ok(more) => links.extend(more),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) => {
            close_all(links);
            Err(error)
        }
        None => Ok(links),
    }
}

fn attach(job: &Job<'_>, pid: Option<u32>) -> Result<Vec<Link>, Error> {
    match job.attach {
        // Run, not attached.
        Attach::Begin { .. } | Attach::End { .. } => Ok(Vec::new()),
        Attach::Uprobe {
            path,
            on_return,
            places,
        } => {
            if probe::has(Feature::UprobeMulti) {
                uprobe_multi::attach(job.program, job.probe, path, *on_return, places, pid)
            } else {
                perf_uprobe::attach(job.program, job.probe, path, *on_return, places, pid)
            }
        }
        Attach::Tracepoint { id, cookie, .. } => tracepoint::attach(job.program, job.probe, *id, *cookie),
        Attach::Interval { every, cookie } => timer::interval(job.program, job.probe, *every, *cookie),
        Attach::Profile { every, cookie } => timer::profile(job.program, job.probe, *every, *cookie),
    }
}

/// Detaches; returns when no program can start any more.
pub fn close_all(links: Vec<Link>) {
    let links: Vec<Mutex<Option<Link>>> = links.into_iter().map(|link| Mutex::new(Some(link))).collect();
    in_parallel(&links, |slot| {
        let taken = slot.lock().ok().and_then(|mut slot| slot.take());
        if let Some(Link { link, event }) = taken {
            drop(link);
            drop(event);
        }
    });
}

/// More threads gain nothing: measured, 8 attach 30 links in the time of 30.
const THREADS: usize = 8;

/// Runs `work` on every item, on a few threads where there are several, and gives the results in order.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = work(item);
            results
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS.min(items.len()) {
            // A thread that cannot be had is done without: this one works too.
            let _ = std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, run);
        }
        run();
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Attaches a program to a perf event: by a link where the kernel has them (they carry a cookie), else by ioctl.
fn onto_event(program: BorrowedFd<'_>, event: OwnedFd, cookie: u32) -> io::Result<Link> {
    if probe::has(Feature::PerfLink) {
        let link = bpf::link_perf_event(program, event.as_fd(), u64::from(cookie))?;
        Ok(Link {
            link: Some(link),
            event: Some(event),
        })
    } else {
        perf::set_bpf(event.as_fd(), program)?;
        Ok(Link {
            link: None,
            event: Some(event),
        })
    }
}

/// What the probe is called in messages: its first site of this attachment.
pub(super) fn site_name<'a>(plan: &'a Plan, program: &'a ProgramPlan, attach: &Attach) -> &'a str {
    let cookie = match attach {
        Attach::Begin { cookie }
        | Attach::End { cookie }
        | Attach::Tracepoint { cookie, .. }
        | Attach::Interval { cookie, .. }
        | Attach::Profile { cookie, .. } => Some(*cookie),
        Attach::Uprobe { places, .. } => places.first().map(|place| place.cookie),
    };
    cookie
        .and_then(|cookie| plan.sites.get(cookie as usize))
        .map_or(program.symbol.as_str(), |site| site.probe.as_str())
}

fn error(probe: &str, reason: impl Into<String>, help: Option<String>) -> Error {
    Error {
        what: format!("attach {probe}"),
        reason: reason.into(),
        help,
    }
}

/// The error of a process filter whose process is gone.
fn ended(probe: &str, pid: Option<u32>) -> Error {
    let pid = pid.map_or_else(String::new, |pid| format!(" {pid}"));
    error(probe, format!("process{pid} has ended"), None)
}
