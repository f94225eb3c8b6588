//! What to do about a refusal: which privilege is missing, said exactly.

use crate::sys::process::effective_uid;

/// A capability, by its number in include/uapi/linux/capability.h.
type Capability = (&'static str, u32);

const SYS_ADMIN: Capability = ("CAP_SYS_ADMIN", 21);
const PERFMON: Capability = ("CAP_PERFMON", 38);
const BPF: Capability = ("CAP_BPF", 39);

/// What `bpf(2)` wants.
pub(super) fn bpf_privilege() -> String {
    let missing = match effective() {
        Some(effective) => missing(effective, &[BPF, PERFMON]),
        None => vec![BPF.0, PERFMON.0],
    };
    advice(effective_uid() == 0, &missing)
}

fn advice(is_root: bool, missing: &[&str]) -> String {
    let lacking = missing.join(" and ");
    match (is_root, missing) {
        (false, [_, ..]) => format!("run as root (sudo), or grant {lacking}"),
        (true, [_, ..]) => {
            format!("root is not enough here: the process lacks {lacking}, as in a container that was given no more")
        }
        (_, []) => "the process has the capabilities for it: a security module forbids BPF, or the kernel is locked down \
                    (/sys/kernel/security/lockdown)"
            .into(),
    }
}

/// Those of `wanted` that are not among the capabilities `effective`; `CAP_SYS_ADMIN` stands for each of them.
fn missing(effective: u64, wanted: &[Capability]) -> Vec<&'static str> {
    let has = |(_, number): Capability| effective >> number & 1 == 1;
    let lacking = wanted.iter().filter(|one| !has(**one) && !has(SYS_ADMIN));
    lacking.map(|(name, _)| *name).collect()
}

/// The capabilities in effect; `None` where `/proc` does not tell.
fn effective() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(0, &[BPF, PERFMON]), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(1 << 39, &[BPF, PERFMON]), ["CAP_PERFMON"]);
        assert!(missing(1 << 21, &[BPF, PERFMON]).is_empty());
        assert_eq!(
            advice(false, &["CAP_PERFMON"]),
            "run as root (sudo), or grant CAP_PERFMON"
        );
        assert!(advice(true, &["CAP_BPF", "CAP_PERFMON"]).contains("lacks CAP_BPF and CAP_PERFMON"));
        assert!(advice(true, &[]).contains("locked down"));
    }
}
