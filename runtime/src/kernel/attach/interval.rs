//! `interval`: programs that a thread of ours runs when their time has come.
//!
//! A timer in the kernel (a perf event on its clock) leaves out a firing that finds another program at work on its CPU
//! (`bpf_prog_active`, kernel/events/core.c), and all for a while when it is throttled; neither is counted anywhere.
//! `BPF_PROG_TEST_RUN` always runs the program. What is due while the thread waits for a CPU is made up for, so there are as
//! many firings as periods have passed, in the order in which they were due; of those due at the same time, in the order
//! of the script.
//!
//! The price: a firing comes later by the time in which the scheduler wakes a thread, costs two system calls, and runs as
//! this process.

use crate::sys::bpf;
use crumbs_compiler::plan::Period;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Runs that come later than this no longer keep others waiting: they take turns with what is due.
const LATE: Duration = Duration::from_secs(1);
/// How long to wait before trying again what the kernel refused for the moment.
const REFUSED: Duration = Duration::from_millis(1);
/// The shortest period; as that of the kernel's clock events (`perf_swevent_init_hrtimer`, kernel/events/core.c).
const SHORTEST: Duration = Duration::from_micros(10);

/// A program and when it is to run.
#[derive(Debug)]
pub(super) struct Timer {
    program: OwnedFd,
    cookie: u32,
    period: Duration,
    due: Instant,
}

impl Timer {
    /// A timer that is not running yet.
    ///
    /// # Errors
    /// When the program's descriptor cannot be duplicated.
    pub(super) fn new(program: BorrowedFd<'_>, every: Period, cookie: u32) -> io::Result<Self> {
        let period = match every {
            Period::Nanos(nanos) => Duration::from_nanos(nanos),
            Period::Hertz(hertz) => Duration::from_nanos(1_000_000_000 / hertz.max(1)),
        };
        Ok(Self {
            program: program.try_clone_to_owned()?,
            cookie,
            period: period.max(SHORTEST),
            due: Instant::now(),
        })
    }

    /// Runs it, and says when it is to run next.
    fn fire(&mut self) -> io::Result<()> {
        bpf::prog_run(self.program.as_fd(), u64::from(self.cookie))?;
        self.due += self.period;
        Ok(())
    }
}

/// Timers that run until this is dropped; then none of their programs runs any more.
#[derive(Debug)]
pub struct Ticker {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the thread that it is over.
#[derive(Debug, Default)]
struct Stop {
    told: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn tell(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until then; gives whether it is over.
    fn wait_until(&self, due: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        while !*told {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            told = self
                .changed
                .wait_timeout(told, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

impl Ticker {
    /// Starts timers, given in the order of the script.
    ///
    /// # Errors
    /// When there can be no thread for them.
    pub(super) fn start(mut timers: Vec<Timer>) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        let now = Instant::now();
        for timer in &mut timers {
            timer.due = now + timer.period;
        }
        let thread = std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || tick(&mut timers, &told))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.tell();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported, and what it ran is over.
            let _ = thread.join();
        }
    }
}

fn tick(timers: &mut [Timer], stop: &Stop) {
    // The first of those that are due first.
    while let Some(next) = timers.iter_mut().min_by_key(|timer| timer.due) {
        if stop.wait_until(next.due) {
            return;
        }
        let now = Instant::now();
        let done = if now.saturating_duration_since(next.due) < LATE {
            next.fire()
        } else {
            let mut due = timers.iter_mut().filter(|timer| timer.due <= now);
            due.try_for_each(Timer::fire)
        };
        if done.is_err() && stop.wait_until(now + REFUSED) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn waiting_ends_in_time_or_when_told() {
        let stop = Arc::new(Stop::default());
        let begun = Instant::now();
        assert!(!stop.wait_until(begun + Duration::from_millis(20)));
        assert!(begun.elapsed() >= Duration::from_millis(20));
        let other = Arc::clone(&stop);
        let waiting = std::thread::spawn(move || other.wait_until(begun + Duration::from_secs(60)));
        stop.tell();
        assert!(waiting.join().unwrap());
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(stop.wait_until(begun), "it stays told");
    }
}
