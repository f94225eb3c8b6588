//! Live tests below the loader: instructions written by hand, everything else as in a run.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(
    unsafe_code,
    reason = "a page that is not there, for programs that sleep on it"
)]

mod kprobes;
mod measure;
mod quiesce;

use super::attach::{attach_all, close_all};
use super::maps::KernelMap;
use super::ring::RingReader;
use super::testing::{can_run, insn, load, load_map, place_of, skip};
use crate::sys::bpf::{self, MapSpec, map_type, prog_type};
use crate::sys::mmap::{Mapping, page_size};
use crumbs_compiler::plan::*;
use crumbs_compiler::target::{Arch, Feature, Target};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

fn call(helper: i32) -> [u8; 8] {
    insn(0x85, 0, 0, 0, helper)
}

fn mov(dst: u8, imm: i32) -> [u8; 8] {
    insn(0xb7, dst, 0, 0, imm)
}

fn mov_reg(dst: u8, src: u8) -> [u8; 8] {
    insn(0xbf, dst, src, 0, 0)
}

/// `lock *(u64 *)(dst + off) += src`
fn atomic_add(dst: u8, src: u8, off: i16) -> [u8; 8] {
    insn(0xdb, dst, src, off, 0)
}

/// `*(u64 *)(dst + off) = imm`
fn store(dst: u8, off: i16, imm: i32) -> [u8; 8] {
    insn(0x7a, dst, 0, off, imm)
}

/// A mapped array of one element.
fn memory(size: u32) -> (OwnedFd, Mapping) {
    let fd = bpf::map_create(&MapSpec {
        kind: map_type::ARRAY,
        key_size: 4,
        value_size: size,
        max_entries: 1,
        flags: bpf::MMAPABLE,
        name: "crumbs.bss",
        inner: None,
    })
    .unwrap();
    let mapping = Mapping::new(fd.as_fd(), 0, (size as usize).next_multiple_of(page_size()), true).unwrap();
    (fd, mapping)
}

fn word(mapping: &Mapping, offset: usize) -> u64 {
    mapping.word(offset).unwrap().load(Ordering::SeqCst)
}

/// A program that adds 1 to the first word of `memory` and, where there are cookies, stores its cookie in the second.
fn counter(memory: &OwnedFd, with_cookie: bool) -> Vec<u8> {
    let mut code = load_map(6, 2, memory.as_raw_fd());
    if with_cookie {
        // r0 = bpf_get_attach_cookie(ctx); *(u64 *)(r6 + 8) = r0
        code.extend([call(174), insn(0x7b, 6, 0, 8, 0)].concat());
    }
    code.extend([mov(1, 1), atomic_add(6, 1, 0), mov(0, 0), EXIT].concat());
    code
}

fn plan_of(attach: Vec<Attach>, kind: ProgramKind, sleepable: bool) -> Plan {
    Plan {
        arch: if cfg!(target_arch = "x86_64") {
            Arch::X86_64
        } else {
            Arch::Aarch64
        },
        programs: vec![ProgramPlan {
            symbol: "p0".into(),
            section: "uprobe".into(),
            kind,
            sleepable,
            attach,
            span: Default::default(),
        }],
        late_sites: Default::default(),
        sites: (0..64).map(|n| Site::new(format!("test:{n}"), "")).collect(),
        maps: Vec::new(),
        bpf_maps: Vec::new(),
        memory: MemoryPlan::default(),
        events: Vec::new(),
        rings: None,
        losses: Vec::new(),
        structs: Default::default(),
        settings: Settings::default(),
    }
}

macro_rules! probed {
    ($($name:ident)*) => { $(
        #[inline(never)]
        extern "C" fn $name(argument: usize) -> usize {
            std::hint::black_box(argument) + line!() as usize
        }
    )* };
}
probed!(counted returned forked slept others);

fn uprobe(function: extern "C" fn(usize) -> usize, on_return: bool, cookie: u32) -> Attach {
    let (path, offset) = place_of(function as *const () as usize);
    Attach::Uprobe {
        path,
        on_return,
        places: vec![UprobePlace {
            entry: None,
            offset,
            counter: 0,
            cookie,
        }],
    }
}

fn multi() -> u32 {
    if super::probe::has(Feature::UprobeMulti) {
        bpf::ATTACH_UPROBE_MULTI
    } else {
        0
    }
}

#[test]
fn runs_a_raw_tracepoint_program_and_shares_memory() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let (fd, mapping) = memory(64);
    let program = load(prog_type::RAW_TRACEPOINT, 0, 0, &counter(&fd, false));
    mapping.word(0).unwrap().store(40, Ordering::SeqCst);
    for _ in 0..2 {
        bpf::prog_run(program.as_fd(), 0).unwrap();
    }
    assert_eq!(word(&mapping, 0), 42);
    assert!(mapping.word(mapping.len()).is_none() && mapping.word(4).is_none());
}

#[test]
fn counts_user_probes_with_their_cookies() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    for (function, on_return) in [
        (counted as extern "C" fn(usize) -> usize, false),
        (returned, true),
    ] {
        let (fd, mapping) = memory(64);
        let cookies = super::probe::has(Feature::Cookies);
        let program = load(prog_type::KPROBE, multi(), 0, &counter(&fd, cookies));
        let plan = plan_of(vec![uprobe(function, on_return, 7)], ProgramKind::Kprobe, false);
        let links = attach_all(&plan, &[program], Some(std::process::id()))
            .unwrap()
            .links;
        for n in 0..1000 {
            std::hint::black_box(function(n));
        }
        assert_eq!(word(&mapping, 0), 1000);
        assert_eq!(word(&mapping, 8), if cookies { 7 } else { 0 });
        close_all(links);
        function(1);
        assert_eq!(word(&mapping, 0), 1000);
    }
}

/// What kernels before 6.6 use.
#[test]
fn counts_user_probes_by_perf_events() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let (fd, mapping) = memory(64);
    let program = load(prog_type::KPROBE, 0, 0, &counter(&fd, false));
    let (path, offset) = place_of(forked as *const () as usize);
    let places = [UprobePlace {
        entry: None,
        offset,
        counter: 0,
        cookie: 3,
    }];
    for pid in [None, Some(std::process::id())] {
        mapping.word(0).unwrap().store(0, Ordering::SeqCst);
        let attached =
            super::attach::attach_by_perf(program.as_fd(), "test", &path, false, &places, pid).unwrap();
        // Another thread counts too: the filter is by address space.
        std::thread::spawn(|| forked(1)).join().unwrap();
        forked(2);
        assert_eq!(word(&mapping, 0), 2, "{pid:?}");
        close_all(attached.links);
    }
}

#[test]
fn names_what_cannot_be_probed() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let (fd, _mapping) = memory(64);
    let program = load(prog_type::KPROBE, multi(), 0, &counter(&fd, false));
    let try_it = |path: &str, offset| {
        let places = vec![UprobePlace {
            entry: None,
            offset,
            counter: 0,
            cookie: 5,
        }];
        let attach = Attach::Uprobe {
            path: path.into(),
            on_return: false,
            places,
        };
        let plan = plan_of(vec![attach], ProgramKind::Kprobe, false);
        attach_all(&plan, &[program.try_clone().unwrap()], None)
            .map(drop)
            .unwrap_err()
            .to_string()
    };
    let missing = try_it("/nonexistent", 0);
    assert_eq!(missing, "cannot attach test:5: there is no file /nonexistent");
    let outside = try_it("/proc/self/exe", 1 << 40);
    assert!(
        outside.starts_with("cannot attach test:5: the kernel cannot place a probe at offset 0x10000000000"),
        "{outside}"
    );
}

#[test]
fn timers_fire_on_one_cpu_or_on_all() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let (fd, mapping) = memory(64);
    let program = load(prog_type::PERF_EVENT, 0, 0, &counter(&fd, false));
    let every = Period::Hertz(100);
    let attach = vec![Attach::Profile { every, cookie: 0 }];
    let plan = plan_of(attach, ProgramKind::PerfEvent, false);
    let started = Instant::now();
    let links = attach_all(&plan, &[program], None).unwrap().links;
    let cpus = super::probe::online_cpus().len() as u64;
    // The kernel leaves out firings while another program is at work on the CPU.
    while word(&mapping, 0) <= 5 * cpus && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    close_all(links);
    let most = started.elapsed().as_millis() as u64 / 10 + 1;
    let fired = word(&mapping, 0);
    assert!(
        fired > 5 * cpus && fired <= most * cpus,
        "{fired} of at most {most} on {cpus}"
    );
}

/// As many firings as periods have passed, whatever else runs; and none once detached.
#[test]
fn intervals_fire_once_a_period() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let (fd, mapping) = memory(64);
    let program = load(prog_type::RAW_TRACEPOINT, 0, 0, &counter(&fd, false));
    let interval = |every| Attach::Interval { every, cookie: 0 };
    let attach = vec![interval(Period::Nanos(1_000_000)), interval(Period::Hertz(100))];
    let plan = plan_of(attach, ProgramKind::RawTracepoint, false);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 * super::probe::online_cpus().len() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let started = Instant::now();
        let ticker = attach_all(&plan, &[program], None).unwrap().ticker;
        let attached = Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        // The thread may have to wait for a CPU, but makes up for it.
        let deadline = attached + Duration::from_secs(30);
        let on_time = || word(&mapping, 0) + 100 >= attached.elapsed().as_millis() as u64;
        while !on_time() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let is_on_time = on_time();
        drop(ticker);
        over.store(true, Ordering::Relaxed);
        let most = started.elapsed().as_millis() as u64;
        let last = word(&mapping, 0);
        assert!(is_on_time, "{last} of about {most}");
        assert!(last <= most + most / 10, "{last} of at most {most}");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(word(&mapping, 0), last);
    });
}

#[test]
fn counts_a_tracepoint_on_every_cpu() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let target = crate::host::HostTarget::new(crate::host::HostOptions::default());
    let Ok(format) = target.tracepoint("syscalls", "sys_enter_getpgid") else {
        return skip("no tracefs");
    };
    let (fd, mapping) = memory(64);
    // if (pid_tgid >> 32 != ours) return 0, so that nobody else's calls count.
    let mut code = [
        call(14),
        insn(0x77, 0, 0, 0, 32),
        insn(0x55, 0, 0, 5, std::process::id() as i32),
    ]
    .concat();
    code.extend(
        [
            load_map(6, 2, fd.as_raw_fd()),
            [mov(1, 1), atomic_add(6, 1, 0)].concat(),
        ]
        .concat(),
    );
    code.extend([mov(0, 0), mov(0, 0), EXIT].concat());
    let program = load(prog_type::TRACEPOINT, 0, 0, &code);
    let attach = Attach::Tracepoint {
        category: "syscalls".into(),
        event: "sys_enter_getpgid".into(),
        id: format.id,
        cookie: 0,
    };
    let plan = plan_of(vec![attach], ProgramKind::Tracepoint, false);
    let links = attach_all(&plan, &[program], None).unwrap().links;
    for cpu in super::probe::online_cpus() {
        std::thread::spawn(move || {
            // SAFETY: all-zero is a valid set; the calls take no other memory.
            unsafe {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(cpu as usize, &mut set);
                libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
                for _ in 0..100 {
                    libc::getpgid(0);
                }
            }
        })
        .join()
        .unwrap();
    }
    close_all(links);
    if super::probe::pid_namespace().is_none() {
        assert_eq!(word(&mapping, 0), 100 * super::probe::online_cpus().len() as u64);
    }
}

/// A program that sends the first word of the memory, and adds 1 to it where there was room.
fn sender(memory: &OwnedFd, ring: &OwnedFd, size: i32) -> Vec<u8> {
    let mut code = load_map(6, 2, memory.as_raw_fd());
    code.extend(
        [
            insn(0x79, 7, 6, 0, 0),
            insn(0x7b, 10, 7, -8, 0),
            insn(0x7b, 10, 7, -16, 0),
        ]
        .concat(),
    );
    code.extend(insn(0x7b, 10, 7, -24, 0));
    code.extend(load_map(1, 1, ring.as_raw_fd()));
    code.extend(
        [
            mov_reg(2, 10),
            insn(0x07, 2, 0, 0, -24),
            mov(3, size),
            mov(4, 0),
            call(130),
        ]
        .concat(),
    );
    code.extend(
        [
            insn(0x55, 0, 0, 2, 0),
            mov(1, 1),
            atomic_add(6, 1, 0),
            mov(0, 0),
            EXIT,
        ]
        .concat(),
    );
    code
}

#[test]
fn ring_gives_every_record_in_order_around_its_end() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let (fd, mapping) = memory(64);
    let size = page_size() as u32;
    let ring = bpf::map_create(&MapSpec {
        kind: BpfMapKind::RingBuf.number(),
        key_size: 0,
        value_size: 0,
        max_entries: size,
        flags: 0,
        name: "ring",
        inner: None,
    })
    .unwrap();
    // 20 bytes and the header take 32: with 24-byte records some of them straddle the end of the data.
    for len in [20, 16] {
        let program = load(prog_type::RAW_TRACEPOINT, 0, 0, &sender(&fd, &ring, len));
        let mut reader = RingReader::new(ring.as_fd(), size).unwrap();
        assert_eq!(reader.next_record(), None);
        let first = word(&mapping, 0);
        let mut next = first;
        for burst in [1, 100, 3, 1000, 77] {
            (0..burst).for_each(|_| _ = bpf::prog_run(program.as_fd(), 0).unwrap());
            while let Some(record) = reader.next_record() {
                assert_eq!(record.len(), len as usize);
                assert_eq!(record[..8], next.to_ne_bytes());
                next += 1;
            }
            assert_eq!(next, word(&mapping, 0), "all that had room was read");
        }
        assert!(next - first > 2 * u64::from(size) / 32, "went around");
        assert!(next - first < 1181, "the burst of 1000 filled it");
    }
}

fn map(kind: BpfMapKind, value_size: u32, flags: u32) -> KernelMap {
    let spec = BpfMap {
        symbol: "m".into(),
        kind,
        key_size: 8,
        value_size,
        max_entries: 20_000,
        flags,
    };
    let fd = bpf::map_create(&MapSpec {
        kind: kind.number(),
        key_size: 8,
        value_size,
        max_entries: spec.max_entries,
        flags,
        name: "m",
        inner: None,
    })
    .unwrap();
    KernelMap { fd, spec }
}

#[test]
fn reads_clears_and_zeroes_maps_exactly() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let cpus = super::probe::possible_cpus() as usize;
    for (kind, values) in [(BpfMapKind::Hash, 1), (BpfMapKind::PerCpuHash, cpus)] {
        let map = map(kind, 16, bpf::NO_PREALLOC);
        let whole = bpf::MapRef {
            fd: map.fd.as_fd(),
            key_size: 8,
            value_size: 16 * values,
        };
        for n in 0..10_000u64 {
            let value: Vec<u8> = (0..values as u64)
                .flat_map(|cpu| [n, cpu + 1])
                .flat_map(u64::to_ne_bytes)
                .collect();
            whole.update(&n.to_ne_bytes(), &value, bpf::ANY).unwrap();
        }
        let mut entries = map.entries().unwrap();
        entries.sort_by_key(|entry| u64::from_ne_bytes(entry.key[..].try_into().unwrap()));
        assert_eq!(entries.len(), 10_000);
        for (n, entry) in entries.iter().enumerate() {
            assert_eq!(entry.key, (n as u64).to_ne_bytes());
            assert_eq!(entry.values.len(), values);
            for (cpu, value) in entry.values.iter().enumerate() {
                assert_eq!(value[..8], (n as u64).to_ne_bytes());
                assert_eq!(value[8..], (cpu as u64 + 1).to_ne_bytes());
            }
        }
        map.insert_zero(&5u64.to_ne_bytes()).unwrap();
        map.insert_zero(&77_777u64.to_ne_bytes()).unwrap();
        assert_eq!(
            map.entries()
                .unwrap()
                .iter()
                .filter(|entry| entry.values[0] == [0; 16])
                .count(),
            1
        );
        map.zero_all().unwrap();
        let zeroed = map.entries().unwrap();
        assert_eq!(zeroed.len(), 10_001);
        assert!(
            zeroed
                .iter()
                .all(|entry| entry.values.iter().all(|value| value == &[0; 16]))
        );
        map.remove_all().unwrap();
        assert_eq!(map.entries().unwrap(), []);
        map.remove_all().unwrap();
    }
}

#[test]
fn a_full_map_says_so() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let mut small = map(BpfMapKind::Hash, 8, 0);
    small.spec.max_entries = 1;
    small.fd = bpf::map_create(&MapSpec {
        kind: 1,
        key_size: 8,
        value_size: 8,
        max_entries: 1,
        flags: 0,
        name: "m",
        inner: None,
    })
    .unwrap();
    small.insert_zero(&[1; 8]).unwrap();
    assert_eq!(
        small.insert_zero(&[2; 8]).unwrap_err().raw_os_error(),
        Some(libc::E2BIG)
    );
    assert_eq!(
        small.insert_zero(&[2; 7]).unwrap_err().raw_os_error(),
        Some(libc::EINVAL)
    );
}
