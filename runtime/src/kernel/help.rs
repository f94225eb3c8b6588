//! What to do about a refusal: which privilege is missing, said exactly.

use crate::sys::process::effective_uid;

/// What `bpf(2)` wants.
pub(super) fn bpf_privilege() -> String {
    if effective_uid() != 0 {
        "run as root (sudo), or grant CAP_BPF and CAP_PERFMON".into()
    } else {
        "root is not enough here: the process lacks CAP_BPF or CAP_PERFMON (a container?), a security module \
         forbids BPF, or the kernel is locked down (/sys/kernel/security/lockdown)"
            .into()
    }
}

/// What `perf_event_open(2)` wants for `what`: `capability` beside CAP_BPF.
pub(super) fn perf_privilege(capability: &str) -> String {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
        .map(|level| format!(" (kernel.perf_event_paranoid is {})", level.trim()))
        .unwrap_or_default();
    if effective_uid() != 0 {
        format!("run as root (sudo), or grant {capability}{paranoid}")
    } else {
        format!("root is not enough here: the process lacks {capability} (a container?){paranoid}")
    }
}
