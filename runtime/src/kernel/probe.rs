//! What this kernel can do: [`Feature`]s, its version, its CPUs, the pid namespace.
//!
//! The version answers first and costs nothing. Where it says no, distributors may have brought the feature to an
//! older kernel (RHEL does), so the kernel itself is asked, once, by a program or link that it either takes or not.
//! Where it says yes there is nothing to ask: none of the features can be configured away from a kernel that can trace
//! at all (uprobe_multi needs only what BPF on user probes needs: CONFIG_UPROBES and CONFIG_BPF_EVENTS). Without the
//! privilege to ask, the version stands, so that unprivileged compilation works.

use crate::sys::bpf::{self, ProgramSpec, UprobeMulti, prog_type};
use crate::sys::process;
use crumbs_compiler::target::{FEATURES, Feature, KernelVersion, PidNamespace};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, OnceLock};

/// Features that are not used although the kernel may have them.
static UNWANTED: Mutex<Vec<Feature>> = Mutex::new(Vec::new());

/// Does without `feature` from now on in this process, as a kernel without it would.
pub fn do_without(feature: Feature) {
    if let Ok(mut unwanted) = UNWANTED.lock() {
        unwanted.push(feature);
    }
}

/// Programs are to run for one process only. Multi links that cannot tell processes apart are then not used: a perf event
/// belongs to a process on every kernel. Call it before anything is compiled.
pub fn follow_one_process() {
    if !has(Feature::UprobeMultiPid) {
        do_without(Feature::UprobeMulti);
    }
}

/// Whether the running kernel can do `feature`. Asked at most once a process.
pub fn has(feature: Feature) -> bool {
    static ANSWERS: OnceLock<Vec<(Feature, OnceLock<bool>)>> = OnceLock::new();
    let answers = ANSWERS.get_or_init(|| {
        FEATURES
            .iter()
            .map(|row| (row.feature, OnceLock::new()))
            .collect()
    });
    if UNWANTED.lock().is_ok_and(|unwanted| unwanted.contains(&feature)) {
        return false;
    }
    answers
        .iter()
        .find(|(known, _)| *known == feature)
        .is_some_and(|(_, answer)| *answer.get_or_init(|| answer_of(feature)))
}

fn answer_of(feature: Feature) -> bool {
    match feature {
        // Kernels are built without it (CONFIG_FPROBE): the version says nothing.
        Feature::KprobeMulti => by_version(feature) && try_it(feature),
        _ => by_version(feature) || try_it(feature),
    }
}

/// The kernel looks for the functions of a link, and finds none of this name, only where it has such links.
fn has_kprobe_multi() -> bool {
    let Ok(program) = bpf::prog_load(&program(bpf::ATTACH_KPROBE_MULTI, 0, &RETURN_0), None) else {
        return false;
    };
    let link = bpf::link_kprobe_multi(
        program.as_fd(),
        bpf::KernelFunctions::Names(&[c"crumbs_asks_for_multi_links"]),
        &[0],
        false,
    );
    let error = link.err().and_then(|error| error.raw_os_error());
    matches!(error, Some(libc::ESRCH | libc::ENOENT))
}

fn by_version(feature: Feature) -> bool {
    FEATURES
        .iter()
        .any(|row| row.feature == feature && kernel_version() >= row.since)
}

/// The running kernel's version; 0.0 when it cannot be read.
pub fn kernel_version() -> KernelVersion {
    static VERSION: OnceLock<KernelVersion> = OnceLock::new();
    *VERSION.get_or_init(|| parse_release(&process::kernel_release()))
}

fn parse_release(release: &str) -> KernelVersion {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    KernelVersion {
        major: numbers.next().unwrap_or(0),
        minor: numbers.next().unwrap_or(0),
    }
}

/// Asks the kernel.
fn try_it(feature: Feature) -> bool {
    match feature {
        Feature::FullAtomics => takes(&program(0, 0, &ATOMIC_EXCHANGE)),
        Feature::SignedDivision => takes(&program(0, 0, &SIGNED_DIVISION)),
        Feature::Cookies => knows_helper(174),
        Feature::TaiClock => knows_helper(208),
        Feature::PercpuLookup => knows_helper(195),
        Feature::BpfLoop => knows_helper(181),
        Feature::MapIteration => knows_helper(164),
        Feature::SleepableUprobe => takes(&program(0, bpf::SLEEPABLE, &RETURN_0)),
        Feature::UprobeMulti => multi_link_error(0) == Some(libc::EBADF),
        Feature::UprobeMultiPid => {
            has(Feature::UprobeMulti) && multi_link_error(u32::MAX) == Some(libc::EINVAL)
        }
        // No cheap question tells; the version stands.
        Feature::PerfLink | Feature::LazyHash | Feature::RawTracepointCookies => false,
        Feature::KprobeMulti => has_kprobe_multi(),
    }
}

/// `r0 = 0; exit`.
pub(crate) const RETURN_0: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// `r0 = 7; r0 s/= 2; exit`.
const SIGNED_DIVISION: [u8; 24] = [
    0xb7, 0x00, 0, 0, 7, 0, 0, 0, //
    0x37, 0x00, 1, 0, 2, 0, 0, 0, //
    0x95, 0, 0, 0, 0, 0, 0, 0,
];

/// `r0 = 0; *(u64 *)(r10 - 8) = r0; r0 = xchg(r10 - 8, r0); r0 = 0; exit`.
const ATOMIC_EXCHANGE: [u8; 40] = [
    0xb7, 0x00, 0, 0, 0, 0, 0, 0, //
    0x7b, 0x0a, 0xf8, 0xff, 0, 0, 0, 0, //
    0xdb, 0x0a, 0xf8, 0xff, 0xe1, 0, 0, 0, //
    0xb7, 0x00, 0, 0, 0, 0, 0, 0, //
    0x95, 0, 0, 0, 0, 0, 0, 0,
];

fn program(attach_type: u32, flags: u32, code: &[u8]) -> ProgramSpec<'_> {
    ProgramSpec {
        kind: prog_type::KPROBE,
        attach_type,
        flags,
        name: "crumbs_probe",
        code,
        btf: None,
        function: None,
    }
}

fn takes(spec: &ProgramSpec<'_>) -> bool {
    bpf::prog_load(spec, None).is_ok()
}

/// The verifier answers EINVAL to a helper that it does not know and EACCES to missing arguments.
fn knows_helper(number: u8) -> bool {
    let code = [
        0x85, 0, 0, 0, number, 0, 0, 0, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0,
    ];
    match bpf::prog_load(&program(0, 0, &code), None) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() == Some(libc::EACCES),
    }
}

/// A program that does nothing, for uprobe_multi links.
///
/// # Errors
/// The kernel's.
pub(crate) fn idle_multi_program() -> io::Result<OwnedFd> {
    bpf::prog_load(&program(bpf::ATTACH_UPROBE_MULTI, 0, &RETURN_0), None)
}

/// The error of linking to a directory: EBADF where multi links exist, and with process -1 EINVAL where the filter is
/// by process (the commit that repaired the filter also checks the number).
fn multi_link_error(pid: u32) -> Option<i32> {
    let program = idle_multi_program().ok()?;
    let target = UprobeMulti {
        path: c"/",
        offsets: &[0],
        cookies: &[],
        counters: &[],
        on_return: false,
        pid,
    };
    bpf::link_uprobe_multi(program.as_fd(), &target)
        .err()?
        .raw_os_error()
}

/// How many CPUs there can be: what per-CPU values have a slot for.
pub fn possible_cpus() -> u32 {
    static COUNT: OnceLock<u32> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let cpus = read_cpu_list("/sys/devices/system/cpu/possible");
        // Slots go up to the highest number; kernels number CPUs without holes, and count them so as well.
        cpus.last().map_or(1, |last| last + 1)
    })
}

/// The CPUs that are online, ascending; never empty.
pub fn online_cpus() -> Vec<u32> {
    let cpus = read_cpu_list("/sys/devices/system/cpu/online");
    if cpus.is_empty() { vec![0] } else { cpus }
}

fn read_cpu_list(path: &str) -> Vec<u32> {
    std::fs::read_to_string(path)
        .map(|text| parse_cpu_list(&text))
        .unwrap_or_default()
}

/// Reads `0-3,8`; what is malformed is left out.
fn parse_cpu_list(text: &str) -> Vec<u32> {
    let mut cpus: Vec<u32> = text
        .trim()
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?.min(1 << 16))
        })
        .flatten()
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    cpus
}

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h): the inode of the initial pid namespace.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The pid namespace of this process, unless it is the initial one.
pub fn pid_namespace() -> Option<PidNamespace> {
    use std::os::linux::fs::MetadataExt;
    let status = std::fs::metadata("/proc/self/ns/pid").ok()?;
    // The kernel compares with new_encode_dev(), which is what stat gives for the small numbers of nsfs.
    (status.st_ino() != INITIAL_PID_NAMESPACE).then(|| PidNamespace {
        dev: status.st_dev(),
        ino: status.st_ino(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        let version = |major, minor| KernelVersion { major, minor };
        assert_eq!(parse_release("6.18.44-fc-v657"), version(6, 18));
        assert_eq!(parse_release("5.10.0-28-cloud-amd64"), version(5, 10));
        assert_eq!(parse_release("7.2-rc3"), version(7, 2));
        assert_eq!(parse_release(""), version(0, 0));
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(parse_cpu_list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_cpu_list("0"), [0]);
        assert_eq!(parse_cpu_list(""), [] as [u32; 0]);
        assert_eq!(parse_cpu_list("x-2,5"), [5]);
    }

    /// The questions must give what the version says wherever mainline has the feature.
    #[test]
    fn questions_agree_with_the_version() {
        if let Err(reason) = crate::kernel::testing::can_run() {
            return crate::kernel::testing::skip(&reason);
        }
        for row in FEATURES {
            let unasked = [
                Feature::PerfLink,
                Feature::LazyHash,
                Feature::RawTracepointCookies,
                Feature::KprobeMulti,
            ];
            if unasked.contains(&row.feature) {
                continue;
            }
            if by_version(row.feature) {
                assert!(try_it(row.feature), "{} on {}", row.name, kernel_version());
            }
        }
    }
}
