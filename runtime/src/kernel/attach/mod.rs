//! Attaching: one file a mechanism, each turning [`Attach`] into descriptors whose closing detaches.
//!
//! Attaching is done in turn: registering the first user probe waits for a grace period (8 to 12 ms; `dup_mmap_sem` of
//! kernel/events/uprobes.c becomes a slow lock), further ones within some milliseconds do not, and threads gain
//! nothing. Detaching waits for grace periods each time and is done by many threads.

mod close;
mod counter;
mod interval;
mod iterator;
mod kprobe_multi;
mod late;
mod perf_kprobe;
mod perf_uprobe;
mod raw_tracepoint;
mod timer;
mod tracepoint;
mod trampoline;
mod uprobe_multi;
mod warm_up;
mod watchpoint;

use super::{load, probe};
use crate::backend::{Error, Skipped};
use crate::sys::{bpf, perf};
pub use close::close_all;
use crumbs_compiler::plan::{Attach, MissingProbes, Plan, ProgramPlan};
use crumbs_compiler::target::{Feature, KernelVersion};
pub use interval::Ticker;
use interval::Timer;
pub use iterator::{Iteration, Pin};
pub(super) use late::Late;
#[cfg(test)]
pub(super) use perf_uprobe::attach as attach_by_perf;
pub(super) use perf_uprobe::{PMU as UPROBE_PMU, pmu as uprobe_pmu};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
pub use warm_up::{release as end_warm_up, warm_up};

/// What keeps a program attached, in the order in which it must be closed (and is, when dropped).
#[derive(Debug)]
pub struct Link {
    /// The BPF link; `None` where a program was attached by ioctl.
    pub(super) link: Option<OwnedFd>,
    /// The perf event it sits on, if any.
    #[expect(dead_code, reason = "closing it detaches")]
    pub(super) event: Option<OwnedFd>,
    /// The address that it watches, if it is a watchpoint's.
    pub(super) watches: Option<u64>,
}

/// One thing to do.
struct Job<'a> {
    program: BorrowedFd<'a>,
    /// Index into [`Plan::programs`].
    index: usize,
    attach: &'a Attach,
    probe: &'a str,
    /// Its first site, for messages.
    site: Option<u32>,
    /// Whether the program was loaded for multi links.
    multi: bool,
}

/// What attaching gave.
#[derive(Debug, Default)]
pub struct Attached {
    /// What keeps programs attached.
    pub links: Vec<Link>,
    /// What runs the programs of intervals, if there are any; to be dropped before the links are closed.
    pub ticker: Option<Ticker>,
    /// What goes through lists of the kernel, and for which of [`Plan::programs`].
    pub iterators: Vec<(usize, Iteration)>,
    /// The files that are left behind, as asked for.
    pub pins: Vec<Pin>,
    /// What the script asks for and is not attached.
    pub skipped: Vec<Skipped>,
}

/// Attaches all programs; on an error that counts what was attached is detached again.
///
/// `pid` limits probes to one process, where their mechanism can do that: user probes by multi links from
/// [`Feature::UprobeMultiPid`] on and by perf events always (both by address space), counters and watchpoints by
/// thread. Otherwise the programs themselves must compare.
///
/// # Errors
/// The first refusal, unless the script's setting `missing_probes` allows to go on without; then where nothing could be
/// attached of what should be, and nothing else runs either.
pub fn attach_all(plan: &Plan, programs: &[OwnedFd], pid: Option<u32>) -> Result<Attached, Error> {
    let mut all = Attached::default();
    let mut timers = Vec::new();
    for job in in_order(plan, programs) {
        if let Attach::Interval { every, cookie } = job.attach {
            timers.push(Timer::new(job.program, *every, *cookie));
            continue;
        }
        match run(&job, pid).map_err(|error| error.about(job.site)) {
            Ok(mut more) => {
                all.links.append(&mut more.links);
                all.iterators.append(&mut more.iterators);
                all.pins.append(&mut more.pins);
                if plan.settings.missing_probes == MissingProbes::Error
                    && let Some(first) = first_missing(&more.skipped)
                    && let Some(reason) = more.skipped.swap_remove(first).missing()
                {
                    close_all(all.links);
                    return Err(reason.about(job.site));
                }
                all.skipped.append(&mut more.skipped);
            }
            Err(error) if plan.settings.missing_probes == MissingProbes::Error => {
                close_all(all.links);
                return Err(error);
            }
            Err(reason) => all.skipped.push(Skipped::Missing {
                places: job.attach.cookies().len(),
                reason,
            }),
        }
    }
    // Last: by then everything else is there.
    if !timers.is_empty() {
        let timers: io::Result<Vec<Timer>> = timers.into_iter().collect();
        match timers.and_then(Ticker::start) {
            Ok(ticker) => all.ticker = Some(ticker),
            Err(failure) => {
                close_all(all.links);
                return Err(error(
                    "interval",
                    format!("there can be no thread for it: {failure}"),
                    None,
                ));
            }
        }
    }
    let is_idle =
        all.links.is_empty() && all.ticker.is_none() && !Late::is_wanted(plan) && !runs_by_itself(plan);
    match first_missing(&all.skipped) {
        Some(first) if is_idle => Err(all
            .skipped
            .swap_remove(first)
            .missing()
            .unwrap_or_else(|| error("the script", "nothing could be attached", None))),
        _ => Ok(all),
    }
}

/// Whether the script has probes that are not attached, such as `begin`.
fn runs_by_itself(plan: &Plan) -> bool {
    let mut places = plan.programs.iter().flat_map(|program| &program.attach);
    places.any(|attach| attach.occasion().is_run_by_session())
}

fn first_missing(skipped: &[Skipped]) -> Option<usize> {
    skipped
        .iter()
        .position(|skipped| matches!(skipped, Skipped::Missing { .. }))
}

/// From here on multi links keep the order of the entries for the returns, too (kernel/trace/fprobe.c without rethook.c).
const RETURNS_IN_ORDER: KernelVersion = KernelVersion { major: 6, minor: 14 };

/// What to attach, in an order that makes probes on one place run in the order of the script: the kernel runs the newest
/// consumer of a user or kernel probe first (`consumer_add` of kernel/events/uprobes.c, `add_new_kprobe` of
/// kernel/kprobes.c, `__bpf_trampoline_link_prog` of kernel/bpf/trampoline.c), and of everything else the oldest.
fn in_order<'a>(plan: &'a Plan, programs: &'a [OwnedFd]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for (index, (program, fd)) in plan.programs.iter().zip(programs).enumerate() {
        let attached = program
            .attach
            .iter()
            .filter(|attach| !attach.occasion().is_run_by_session());
        jobs.extend(attached.map(|attach| Job {
            program: fd.as_fd(),
            index,
            attach,
            probe: site_name(plan, program, attach),
            site: attach.cookies().first().copied(),
            multi: load::attaches_by_multi_link(program),
        }));
    }
    let (newest_first, mut rest): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| match job.attach {
        Attach::Uprobe { .. } | Attach::Kprobe { on_return: false, .. } | Attach::Function { .. } => true,
        // What calls note for their return is a stack (kernel/trace/rethook.c), so returns run the oldest first.
        Attach::Kprobe { on_return: true, .. } => job.multi && probe::kernel_version() >= RETURNS_IN_ORDER,
        _ => false,
    });
    rest.extend(newest_first.into_iter().rev());
    rest
}

fn run(job: &Job<'_>, pid: Option<u32>) -> Result<Attached, Error> {
    let (program, probe) = (job.program, job.probe);
    let links = match job.attach {
        // Run, or attached later.
        Attach::Begin { .. }
        | Attach::Late { .. }
        | Attach::End { .. }
        | Attach::Signal { .. }
        | Attach::Request { .. }
        | Attach::Interval { .. } => Vec::new(),
        Attach::Uprobe {
            path,
            on_return,
            places,
        } => {
            let attach = match job.multi {
                true => uprobe_multi::attach,
                false => perf_uprobe::attach,
            };
            return attach(program, probe, path, *on_return, places, pid);
        }
        Attach::Kprobe { on_return, places } if job.multi => {
            return kprobe_multi::attach(program, probe, *on_return, places);
        }
        Attach::Kprobe { on_return, places } => {
            return perf_kprobe::attach(program, probe, *on_return, places);
        }
        Attach::Tracepoint { id, cookie, .. } => tracepoint::attach(program, probe, *id, *cookie)?,
        Attach::Function { .. } => trampoline::attach(program, probe)?,
        Attach::Iterator {
            list,
            pin: Some(path),
            ..
        } => {
            return Ok(Attached {
                pins: vec![iterator::pin(program, probe, list, path)?],
                ..Attached::default()
            });
        }
        Attach::Iterator { list, pin: None, .. } => {
            let (link, file) = iterator::attach(program, probe, list)?;
            return Ok(Attached {
                links: vec![link],
                iterators: vec![(job.index, file)],
                ..Attached::default()
            });
        }
        Attach::RawTracepoint { event, cookie } => raw_tracepoint::attach(program, probe, event, *cookie)?,
        Attach::Profile { every, cookie } => timer::profile(program, probe, *every, *cookie)?,
        Attach::Counter {
            event,
            period,
            cookie,
        } => counter::attach(program, probe, *event, *period, *cookie, pid)?,
        Attach::Watchpoint {
            address,
            length,
            access,
            cookie,
        } => {
            let mut links = watchpoint::attach(program, probe, (*address, *length, *access), *cookie, pid)?;
            for link in &mut links {
                link.watches = Some(*address);
            }
            links
        }
    };
    Ok(Attached {
        links,
        ..Attached::default()
    })
}

/// Attaches a program to a perf event: by a link where the kernel has them (they carry a cookie), else by ioctl.
fn onto_event(program: BorrowedFd<'_>, event: OwnedFd, cookie: u32) -> io::Result<Link> {
    if probe::has(Feature::PerfLink) {
        let link = bpf::link_perf_event(program, event.as_fd(), u64::from(cookie))?;
        Ok(Link {
            link: Some(link),
            event: Some(event),
            watches: None,
        })
    } else {
        perf::set_bpf(event.as_fd(), program)?;
        Ok(Link {
            link: None,
            event: Some(event),
            watches: None,
        })
    }
}

/// What the probe is called in messages: its first site of this attachment.
pub(super) fn site_name<'a>(plan: &'a Plan, program: &'a ProgramPlan, attach: &Attach) -> &'a str {
    attach
        .cookies()
        .first()
        .and_then(|&cookie| plan.sites.get(cookie as usize))
        .map_or(program.symbol.as_str(), |site| site.probe.as_str())
}

fn error(probe: &str, reason: impl Into<String>, help: Option<String>) -> Error {
    Error::new(format!("attach {probe}"), reason.into()).help(help)
}

/// The error of a process filter whose process is gone.
fn ended(probe: &str, pid: Option<u32>) -> Error {
    let pid = pid.map_or_else(String::new, |pid| format!(" {pid}"));
    error(probe, format!("process{pid} has ended"), None)
}

/// What a probe for one process is opened for: each of its threads, or `None` for everything.
fn threads(pid: Option<u32>) -> Vec<Option<i32>> {
    let Some(pid) = pid else { return vec![None] };
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let mut threads: Vec<Option<i32>> = entries
        .filter_map(|entry| Some(Some(entry.ok()?.file_name().to_str()?.parse().ok()?)))
        .collect();
    if threads.is_empty() {
        threads.push(i32::try_from(pid).ok());
    }
    threads
}

/// Opens an event on every CPU, or for every thread of a process, and attaches the program to each.
fn everywhere(
    program: BorrowedFd<'_>,
    cookie: u32,
    pid: Option<u32>,
    spec: &perf::EventSpec<'_>,
) -> io::Result<Vec<Link>> {
    let specs: Vec<perf::EventSpec<'_>> = match pid {
        Some(_) => threads(pid)
            .into_iter()
            .map(|pid| perf::EventSpec {
                pid,
                cpu: None,
                ..*spec
            })
            .collect(),
        None => probe::online_cpus()
            .into_iter()
            .map(|cpu| perf::EventSpec {
                pid: None,
                cpu: Some(cpu),
                ..*spec
            })
            .collect(),
    };
    let mut links = Vec::with_capacity(specs.len());
    for spec in &specs {
        match perf::open(spec).and_then(|event| onto_event(program, event, cookie)) {
            Ok(link) => links.push(link),
            // A CPU went offline, or a thread ended, since the lists were read.
            Err(failure)
                if specs.len() > 1 && matches!(failure.raw_os_error(), Some(libc::ENODEV | libc::ESRCH)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(links)
}
