//! Attaching: one file a mechanism, each turning [`Attach`] into descriptors whose closing detaches.
//!
//! Attaching is done in turn: registering the first user probe waits for a grace period (8 to 12 ms; `dup_mmap_sem` of
//! kernel/events/uprobes.c becomes a slow lock), further ones within some milliseconds do not, and threads gain
//! nothing. Detaching waits for grace periods each time and is done by many threads.

mod perf_uprobe;
mod timer;
mod tracepoint;
mod uprobe_multi;
mod warm_up;

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
use std::sync::{Mutex, PoisonError};
pub use warm_up::{release as end_warm_up, warm_up, warm_up_here};

/// What keeps a program attached, in the order in which it must be closed (and is, when dropped).
#[derive(Debug)]
pub struct Link {
    /// The BPF link; `None` where a program was attached by ioctl.
    #[expect(dead_code, reason = "closing it detaches")]
    pub(super) link: Option<OwnedFd>,
    /// The perf event it sits on, if any.
    #[expect(dead_code, reason = "closing it detaches")]
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
/// The first refusal.
pub fn attach_all(plan: &Plan, programs: &[OwnedFd], pid: Option<u32>) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    for job in in_order(plan, programs) {
        match run(&job, pid) {
            Ok(more) => links.extend(more),
            Err(error) => {
                close_all(links);
                return Err(error);
            }
        }
    }
    Ok(links)
}

/// What to attach, in an order that makes probes on one place run in the order of the script: the kernel runs the newest
/// consumer of a user probe first (`consumer_add` of kernel/events/uprobes.c), and of everything else the oldest.
fn in_order<'a>(plan: &'a Plan, programs: &'a [OwnedFd]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for (program, fd) in plan.programs.iter().zip(programs) {
        jobs.extend(program.attach.iter().map(|attach| Job {
            program: fd.as_fd(),
            attach,
            probe: site_name(plan, program, attach),
        }));
    }
    let (user, mut rest): (Vec<_>, Vec<_>) = jobs
        .into_iter()
        .partition(|job| matches!(job.attach, Attach::Uprobe { .. }));
    rest.extend(user.into_iter().rev());
    rest
}

fn run(job: &Job<'_>, pid: Option<u32>) -> Result<Vec<Link>, Error> {
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

/// Threads that close links at once. Each waits for grace periods of the kernel, and waits that overlap share them:
/// closing 30 uprobe_multi links took 1.35 s in turn, 0.3 s on 8 threads and 0.06 s on 30.
const CLOSERS: usize = 128;

/// Detaches; returns when no program can start any more.
pub fn close_all(links: Vec<Link>) {
    warm_up::release();
    let threads = links.len().min(CLOSERS);
    if threads < 2 {
        return drop(links);
    }
    let links = Mutex::new(links.into_iter());
    let close = || {
        loop {
            let next = links.lock().unwrap_or_else(PoisonError::into_inner).next();
            match next {
                Some(link) => drop(link),
                None => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that cannot be had is done without: this one works too.
            let _ = std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, close);
        }
        close();
    });
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
