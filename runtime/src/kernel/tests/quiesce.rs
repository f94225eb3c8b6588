//! Waiting for programs, against programs that are made to take their time.
#![expect(
    unsafe_code,
    reason = "a page that is not there, for programs that sleep on it"
)]

use super::*;
use crate::kernel::attach::Link;
use crate::kernel::quiesce::Quiescer;
use std::sync::atomic::AtomicBool;

/// Waits until the first word of the memory is `value`; false if it does not become so.
fn await_word(mapping: &Mapping, value: u64) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while word(mapping, 0) != value {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn quiesce_waits_for_a_program_that_does_not_sleep() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    if crate::kernel::probe::online_cpus().len() < 2 {
        return skip("one CPU: nobody can look while a program runs");
    }
    const BLOCK: i32 = 1 << 20;
    let (fd, mapping) = memory(16 + 2 * BLOCK as u32);
    // word = 1; do { probe_read_kernel(memory + 16, BLOCK, memory + 16 + BLOCK) } while (--r7); word = 2
    let mut code = load_map(6, 2, fd.as_raw_fd());
    code.extend([store(6, 0, 1), mov(7, 1000)].concat());
    code.extend(
        [
            mov_reg(1, 6),
            insn(0x07, 1, 0, 0, 16),
            mov(2, BLOCK),
            mov_reg(3, 6),
        ]
        .concat(),
    );
    code.extend([insn(0x07, 3, 0, 0, 16 + BLOCK), call(113)].concat());
    code.extend(
        [
            insn(0x07, 7, 0, 0, -1),
            insn(0x55, 7, 0, -8, 0),
            store(6, 0, 2),
            mov(0, 0),
            EXIT,
        ]
        .concat(),
    );
    let program = load(prog_type::RAW_TRACEPOINT, 0, 0, &code);
    let mut quiescer = Quiescer::new(&plan_of(Vec::new(), ProgramKind::RawTracepoint, false)).unwrap();
    // On a busy machine the program may have ended before this thread runs again: then it was no trial.
    let trial = |quiescer: &mut Quiescer| {
        mapping.word(0).unwrap().store(0, Ordering::SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| bpf::prog_run(program.as_fd(), 0).unwrap());
            while word(&mapping, 0) == 0 {
                std::hint::spin_loop();
            }
            let began_and_not_ended = word(&mapping, 0) == 1;
            quiescer.wait();
            assert_eq!(word(&mapping, 0), 2);
            began_and_not_ended
        })
    };
    assert!((0..100).any(|_| trial(&mut quiescer)), "never seen running");
}

/// A page whose first access blocks until [`Absent::provide`].
struct Absent {
    uffd: OwnedFd,
    page: usize,
}

impl Absent {
    fn new() -> std::io::Result<Self> {
        use std::os::fd::FromRawFd;
        const API: libc::c_ulong = 0xc018_aa3f;
        const REGISTER: libc::c_ulong = 0xc020_aa00;
        let last = std::io::Error::last_os_error;
        // SAFETY: fresh memory and a fresh descriptor; the structs are uffdio_api and uffdio_register.
        unsafe {
            let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            if fd < 0 {
                return Err(last());
            }
            let uffd = OwnedFd::from_raw_fd(fd as i32);
            let mut api = [0xaau64, 0, 0];
            let page = libc::mmap(
                std::ptr::null_mut(),
                page_size(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            ) as usize;
            let mut register = [page as u64, page_size() as u64, 1, 0];
            if libc::ioctl(uffd.as_raw_fd(), API as _, api.as_mut_ptr()) < 0
                || libc::ioctl(uffd.as_raw_fd(), REGISTER as _, register.as_mut_ptr()) < 0
            {
                return Err(last());
            }
            Ok(Self { uffd, page })
        }
    }

    fn provide(&self) {
        const ZEROPAGE: libc::c_ulong = 0xc020_aa04;
        let mut zero = [self.page as u64, page_size() as u64, 0, 0];
        // SAFETY: the struct is uffdio_zeropage, the page ours.
        let done = unsafe { libc::ioctl(self.uffd.as_raw_fd(), ZEROPAGE as _, zero.as_mut_ptr()) };
        assert_eq!(done, 0);
    }
}

#[test]
fn quiesce_waits_for_a_program_that_sleeps() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    if !crate::kernel::probe::has(Feature::SleepableUprobe) {
        return skip("no sleepable user probes");
    }
    for on_return in [false, true] {
        let absent = match Absent::new() {
            Ok(absent) => absent,
            Err(error) => return skip(&format!("userfaultfd: {error}")),
        };
        let (fd, mapping) = memory(64);
        // The address is in the second word: word = 1; copy_from_user(fp - 8, 8, address); word = 2
        mapping
            .word(8)
            .unwrap()
            .store(absent.page as u64, Ordering::SeqCst);
        let mut code = load_map(6, 2, fd.as_raw_fd());
        code.extend([store(6, 0, 1), mov_reg(1, 10), insn(0x07, 1, 0, 0, -8), mov(2, 8)].concat());
        code.extend([insn(0x79, 3, 6, 8, 0), call(148), store(6, 0, 2), mov(0, 0), EXIT].concat());
        let program = load(prog_type::KPROBE, multi(), bpf::SLEEPABLE, &code);
        let plan = plan_of(vec![uprobe(slept, on_return, 0)], ProgramKind::Kprobe, true);
        let links: Vec<Link> = attach_all(&plan, &[program], Some(std::process::id()))
            .unwrap()
            .links;
        let mut quiescer = Quiescer::new(&plan).unwrap();
        quiescer.wait();
        let quiet = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| slept(1));
            assert!(await_word(&mapping, 1));
            scope.spawn(|| {
                quiescer.wait();
                quiet.store(true, Ordering::SeqCst);
                assert_eq!(word(&mapping, 0), 2);
            });
            std::thread::sleep(Duration::from_secs(1));
            let early = quiet.load(Ordering::SeqCst);
            absent.provide();
            assert!(!early, "it did not wait");
        });
        assert!(quiet.load(Ordering::SeqCst));
        assert_eq!(word(&mapping, 0), 2);
        close_all(links);
    }
}
