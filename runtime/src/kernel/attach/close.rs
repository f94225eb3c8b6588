//! Detaching: closing links, many at once.
//!
//! The kernel takes a link's places off one after the other, each under a lock of all user probes (`dup_mmap_sem` of
//! kernel/events/uprobes.c), and then waits for grace periods. The waits of several links are shared when they overlap, so
//! each link is closed by a thread of its own: closing 30 uprobe_multi links took 1.35 s in turn and 0.06 s on 30 threads.
//! But threads on several CPUs hand the lock to each other place by place: of 8,779 places in 4 links that is 6,000 context
//! switches and 38 ms of CPU time. On one CPU a thread has it until it waits: 20 switches, 13 ms.

use super::{Link, warm_up};
use crate::sys::process;
use std::sync::{Mutex, PoisonError};

/// Threads that close links at once.
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
    let cpu = process::current_cpu();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let work = || {
                // Anywhere is right, too, only slower.
                let _ = cpu.map(process::stay_on);
                close();
            };
            // A thread that cannot be had is done without.
            let _ = std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, work);
        }
    });
    // What is left if there was none. Otherwise not by this thread, which commands of the script inherit their CPUs from.
    close();
}
