//! Live tests of the whole back end, on objects as the compiler writes them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![expect(unsafe_code, reason = "raising a signal")]

use super::testing::{can_run, insn, place_of, skip};
use super::*;
use crate::child::Child;
use crumbs_compiler::bpf::{Insn, Program, Reloc, RelocTarget};
use crumbs_compiler::object::{self, SourceInfo};
use crumbs_compiler::plan::*;
use crumbs_compiler::target::Arch;

const SOURCE: &str = "begin { @a++ }\nuprobe:self:hit { printf(\"%d\", 1) }\n";
const SECOND_LINE: u32 = 15;

#[inline(never)]
extern "C" fn hit(n: usize) -> usize {
    std::hint::black_box(n) ^ 0x55
}

/// `lock memory[offset] += 1`, with the place of the address.
fn count(code: &mut Vec<[u8; 8]>, relocs: &mut Vec<Reloc>, offset: u32) {
    relocs.push(Reloc {
        insn: code.len(),
        target: RelocTarget::Memory(offset),
    });
    code.extend([insn(0x18, 1, 0, 0, offset as i32), insn(0, 0, 0, 0, 0)]);
    code.extend([insn(0xb7, 2, 0, 0, 1), insn(0xdb, 1, 2, 0, 0)]);
}

fn program(symbol: &str, code: &[[u8; 8]], relocs: Vec<Reloc>, line_two: bool) -> Program {
    let mut span = ProgramPlan::clone(&plan().programs[0]).span;
    span.start = if line_two { SECOND_LINE } else { 0 };
    span.end = span.start + 5;
    Program {
        symbol: symbol.into(),
        insns: code.iter().map(|bytes| Insn::from_bytes(*bytes)).collect(),
        spans: vec![span; code.len()],
        relocs,
        frame: 8,
        callbacks: Vec::new(),
        arguments: None,
    }
}

const END: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// Counts in the word at 24.
fn begin() -> Program {
    let (mut code, mut relocs) = (Vec::new(), Vec::new());
    count(&mut code, &mut relocs, 24);
    code.extend(END);
    program("p0_begin", &code, relocs, false)
}

/// Counts in the word at 32 and sends 8 bytes to the main ring.
fn probe() -> Program {
    let (mut code, mut relocs) = (Vec::new(), Vec::new());
    count(&mut code, &mut relocs, 32);
    code.push(insn(0x7a, 10, 0, -8, 77));
    relocs.push(Reloc {
        insn: code.len(),
        target: RelocTarget::Map(BpfMapId(0)),
    });
    code.extend([insn(0x18, 1, 0, 0, 0), insn(0, 0, 0, 0, 0)]);
    code.extend([insn(0xbf, 2, 10, 0, 0), insn(0x07, 2, 0, 0, -8)]);
    code.extend([
        insn(0xb7, 3, 0, 0, 8),
        insn(0xb7, 4, 0, 0, 0),
        insn(0x85, 0, 0, 0, 130),
    ]);
    code.extend(END);
    program("p1_uprobe", &code, relocs, true)
}

fn plan() -> Plan {
    let (path, offset) = place_of(hit as *const () as usize);
    let program = |symbol: &str, section: &str, kind, attach| ProgramPlan {
        symbol: symbol.into(),
        section: section.into(),
        kind,
        sleepable: false,
        attach: vec![attach],
        span: Default::default(),
    };
    let ring = |symbol: &str| BpfMap {
        symbol: symbol.into(),
        kind: BpfMapKind::RingBuf,
        key_size: 0,
        value_size: 0,
        max_entries: 4096,
        flags: 0,
    };
    let site = |probe: &str| Site::new(probe, "");
    let places = vec![UprobePlace {
        entry: None,
        offset,
        counter: 0,
        cookie: 1,
    }];
    Plan {
        arch: if cfg!(target_arch = "x86_64") {
            Arch::X86_64
        } else {
            Arch::Aarch64
        },
        programs: vec![
            program(
                "p0_begin",
                "raw_tp",
                ProgramKind::RawTracepoint,
                Attach::Begin { cookie: 0 },
            ),
            program(
                "p1_uprobe",
                "uprobe",
                ProgramKind::Kprobe,
                Attach::Uprobe {
                    path,
                    on_return: false,
                    places,
                },
            ),
        ],
        late_sites: Default::default(),
        sites: vec![site("begin"), site("uprobe:self:hit")],
        maps: Vec::new(),
        bpf_maps: vec![ring("main"), ring("control")],
        memory: MemoryPlan {
            size: 64,
            ..MemoryPlan::default()
        },
        events: Vec::new(),
        rings: Some(Rings {
            main: BpfMapId(0),
            control: BpfMapId(1),
        }),
        losses: Vec::new(),
        structs: Default::default(),
        settings: Settings::default(),
    }
}

fn backend(programs: &[Program], options: Options) -> Result<KernelBackend, LoadError> {
    let plan = plan();
    let elf = object::write(
        &plan,
        programs,
        &SourceInfo {
            name: "test.crumbs",
            text: SOURCE,
        },
    )
    .unwrap();
    KernelBackend::load(&plan, &elf, options)
}

#[test]
fn runs_a_script() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let options = Options {
        pid: Some(std::process::id()),
        ..Options::default()
    };
    let mut backend = backend(&[begin(), probe()], options).unwrap();
    Backend::store(&backend, 24, 41);
    backend.run_once(0).unwrap();
    assert_eq!(Backend::load(&backend, 24), 42);
    assert_eq!(backend.swap(24, 0), 42);
    assert_eq!(backend.wait(None), Wake::Drained, "nothing is attached");

    backend.attach_all().unwrap();
    assert_eq!(backend.next_record(Ring::Main), None);
    for n in 0..3 {
        hit(n);
    }
    assert_eq!(backend.wait(None), Wake::Poll);
    for _ in 0..3 {
        assert_eq!(
            backend.next_record(Ring::Main),
            Some(77u64.to_ne_bytes().to_vec())
        );
    }
    assert_eq!(
        (
            backend.next_record(Ring::Main),
            backend.next_record(Ring::Control)
        ),
        (None, None)
    );
    assert_eq!(Backend::load(&backend, 32), 3);

    let started = Instant::now();
    assert_eq!(backend.wait(Some(Duration::from_millis(30))), Wake::Poll);
    assert!(started.elapsed() >= Duration::from_millis(30));
    backend.quiesce();
    hit(1);
    backend.detach();
    hit(1);
    assert_eq!(Backend::load(&backend, 32), 4);
    assert_eq!(backend.wait(None), Wake::Poll, "a record is left");
    assert!(backend.next_record(Ring::Main).is_some());
    assert_eq!(backend.wait(None), Wake::Drained);
    assert_eq!(
        (Backend::load(&backend, 1 << 20), Backend::load(&backend, 3)),
        (0, 0),
        "outside"
    );
}

#[test]
fn tells_of_signals_and_of_the_end_of_the_target() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let options = Options {
        catch_signals: true,
        ..Options::default()
    };
    let mut backend = backend(&[begin(), probe()], options).unwrap();
    let mut child = Child::spawn("true").unwrap();
    backend.watch(child.watch()).unwrap();
    assert_eq!(backend.wait(Some(Duration::ZERO)), Wake::Poll);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: handled above.
        unsafe { libc::raise(signal) };
        assert_eq!(backend.wait(None), Wake::Interrupted);
        assert_eq!(backend.wait(Some(Duration::ZERO)), Wake::Poll);
    }
    child.release().unwrap();
    assert_eq!(backend.wait(None), Wake::TargetEnded);
    assert!(child.end().unwrap().success());
}

#[test]
fn blames_a_line_of_the_script_for_a_rejection() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    // Reads through a register that holds a number.
    let mut code = vec![insn(0xb7, 1, 0, 0, 5), insn(0x79, 0, 1, 0, 0)];
    code.extend(END);
    let bad = program("p1_uprobe", &code, Vec::new(), true);
    let Err(LoadError::Rejected(rejection)) = backend(&[begin(), bad], Options::default()) else {
        panic!("it was taken");
    };
    assert_eq!((rejection.program, rejection.instruction), (1, Some(1)));
    assert_eq!(rejection.position, Some((2, 1)));
    assert!(
        rejection.reason.starts_with("R1 invalid mem access"),
        "{}",
        rejection.reason
    );
    assert!(
        rejection.log.contains("uprobe:self:hit"),
        "the log shows the script: {}",
        rejection.log
    );
    let error = Error::from(LoadError::Rejected(rejection));
    assert!(
        error
            .to_string()
            .starts_with("cannot load uprobe:self:hit (line 2 of the script): "),
        "{error}"
    );
}

#[test]
fn gives_the_verifiers_log_when_asked() {
    if let Err(reason) = can_run() {
        return skip(&reason);
    }
    let options = Options {
        verifier_log: 2,
        ..Options::default()
    };
    let backend = backend(&[begin(), probe()], options).unwrap();
    assert_eq!(backend.verifier_logs().len(), 2);
    assert!(backend.verifier_logs()[1].contains("call bpf_ringbuf_output"));
}
