//! Waiting for the kernel while the compiler works.
//!
//! The first user probe after a while waits for a grace period of 8 to 20 ms: `uprobe_register` takes `dup_mmap_sem` for
//! writing, and a per-CPU semaphore that has been read only needs one before it can be written
//! (`rcu_sync_enter`, kernel/rcu/sync.c). Who takes it a moment later waits only for the rest. So a probe that never
//! fires is registered and removed by another thread as soon as it is known that there will be user probes.

use crate::kernel::probe;
use crate::sys::bpf::{self, ProgramSpec, UprobeMulti, prog_type};
use crumbs_compiler::target::Feature;
use std::os::fd::AsFd;

/// Begins the grace period that the first user probe will need. Returns at once. What goes wrong does not matter: the
/// probe itself will then wait for all of it, or say what is wrong.
pub fn warm_up() {
    let register = || {
        let spec = ProgramSpec {
            kind: prog_type::KPROBE,
            attach_type: bpf::ATTACH_UPROBE_MULTI,
            flags: 0,
            name: "warm_up",
            code: &probe::RETURN_0,
            btf: None,
        };
        let Ok(program) = bpf::prog_load(&spec, None) else {
            return;
        };
        // The ELF header: no process executes it.
        let target = UprobeMulti {
            path: c"/proc/self/exe",
            offsets: &[0],
            cookies: &[0],
            on_return: false,
            pid: 0,
        };
        drop(bpf::link_uprobe_multi(program.as_fd(), &target));
    };
    // Perf events wait longer to be closed than they would save. Where no thread can be had, nothing is lost.
    if probe::has(Feature::UprobeMulti) {
        let _ = std::thread::Builder::new().stack_size(64 << 10).spawn(register);
    }
}
