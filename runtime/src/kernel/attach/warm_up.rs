//! Waiting for the kernel while the compiler works.
//!
//! The first user probe after a while waits for a grace period of 8 to 20 ms: `uprobe_register` takes `dup_mmap_sem` for
//! writing, and a per-CPU semaphore that has been read only needs one before it can be written
//! (`rcu_sync_enter`, kernel/rcu/sync.c). Who takes it a moment later waits only for the rest. So a probe that never
//! fires is registered by another thread as soon as it is likely that there will be user probes.
//!
//! Removing it waits as well, for tasks that may run its handler. It is removed when the probes of the script are, so
//! that the waits overlap, or after a while when they would not.

use crate::kernel::probe;
use crate::sys::bpf::{self, ProgramSpec, UprobeMulti, prog_type};
use crumbs_compiler::target::Feature;
use std::fs;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether it has begun: once a process is enough.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Begins the grace period that the first user probe will need, on another thread. Returns at once. What goes wrong
/// does not matter: the probe itself will then wait for all of it, or say what is wrong.
pub fn warm_up() {
    if is_first() {
        // Where no thread can be had, nothing is lost.
        let _ = std::thread::Builder::new().stack_size(64 << 10).spawn(register);
    }
}

fn is_first() -> bool {
    // Perf events wait longer to be closed than they would save.
    probe::has(Feature::UprobeMulti) && !BEGUN.swap(true, Ordering::Relaxed)
}

/// How long the probe stays unless [`release`] is called.
const LINGER: Duration = Duration::from_millis(100);

static RELEASED: Mutex<bool> = Mutex::new(false);
static RELEASE: Condvar = Condvar::new();

/// Has the probe removed now, on the thread that made it: there will be no more user probes.
pub fn release() {
    *RELEASED.lock().unwrap_or_else(PoisonError::into_inner) = true;
    RELEASE.notify_all();
}

fn register() {
    let spec = ProgramSpec {
        kind: prog_type::KPROBE,
        attach_type: bpf::ATTACH_UPROBE_MULTI,
        flags: 0,
        name: "warm_up",
        code: &probe::RETURN_0,
        btf: None,
        function: None,
    };
    let Ok(program) = bpf::prog_load(&spec, None) else {
        return;
    };
    // The end of the file, where the section headers are: no process maps it, let alone executes it.
    let size = fs::metadata("/proc/self/exe").map_or(0, |data| data.len());
    let target = UprobeMulti {
        path: c"/proc/self/exe",
        offsets: &[size.saturating_sub(1) & !3],
        cookies: &[0],
        counters: &[],
        on_return: false,
        pid: 0,
    };
    let link = bpf::link_uprobe_multi(program.as_fd(), &target);
    let released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    // Whichever it was, and if the lock is poisoned: the probe goes.
    let waited = RELEASE.wait_timeout_while(released, LINGER, |released| !*released);
    drop((waited, link));
}
