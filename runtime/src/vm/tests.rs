//! Tests of the VM on hand-written bytecode, and what they share.

#![expect(clippy::unwrap_used, reason = "tests")]

mod compiled;
mod delivery;
mod faults;
mod fuzz;
mod helpers;
mod isa;
mod races;

use super::event::{Event, parse};
use super::fault::{Fault, FaultKind};
use super::machine::{Machine, Program, Start};
use crumbs_compiler::bpf::{self, Insn, Reg, Reloc, RelocTarget, op};
use crumbs_compiler::helper::Helper;
use crumbs_compiler::plan::{
    Attach, BpfMap, BpfMapId, BpfMapKind, MemoryPlan, Plan, ProgramKind, ProgramPlan, Rings, Settings,
    Stripes,
};
use crumbs_compiler::target::Arch;
use std::rc::Rc;

const R0: Reg = Reg(0);
const R1: Reg = Reg(1);
const R2: Reg = Reg(2);
const R3: Reg = Reg(3);
const R4: Reg = Reg(4);
const R5: Reg = Reg(5);
const R6: Reg = Reg(6);
const R7: Reg = Reg(7);
const FP: Reg = Reg::FP;

/// Kernel maps of [`plan`].
const HASH: u32 = 0;
const PER_CPU: u32 = 1;
const LRU: u32 = 2;
const RING: u32 = 3;
const CONTROL: u32 = 4;

/// A plan with a map of each kind (8-byte keys and values, two elements), 64 bytes of memory and one program.
fn plan() -> Plan {
    let map = |symbol: &str, kind, max_entries| {
        let size = if kind == BpfMapKind::RingBuf { 0 } else { 8 };
        BpfMap {
            symbol: symbol.into(),
            kind,
            key_size: size,
            value_size: size,
            max_entries,
            flags: 0,
        }
    };
    Plan {
        arch: Arch::X86_64,
        programs: vec![program_plan(ProgramKind::Kprobe, Vec::new())],
        late_sites: Default::default(),
        sites: Vec::new(),
        maps: Vec::new(),
        bpf_maps: vec![
            map("hash", BpfMapKind::Hash, 2),
            map("percpu", BpfMapKind::PerCpuHash, 2),
            map("lru", BpfMapKind::LruHash, 2),
            map("ring", BpfMapKind::RingBuf, 4096),
            map("control", BpfMapKind::RingBuf, 4096),
        ],
        memory: MemoryPlan {
            size: 64,
            stripes: Stripes::default(),
            ..MemoryPlan::default()
        },
        events: Vec::new(),
        rings: Some(Rings {
            main: BpfMapId(RING),
            control: BpfMapId(CONTROL),
        }),
        losses: Vec::new(),
        structs: Default::default(),
        settings: Settings::default(),
    }
}

fn program_plan(kind: ProgramKind, attach: Vec<Attach>) -> ProgramPlan {
    ProgramPlan {
        symbol: "p".into(),
        section: "uprobe".into(),
        kind,
        sleepable: false,
        attach,
        span: Default::default(),
    }
}

/// Code under construction.
#[derive(Clone, Default)]
struct Asm {
    insns: Vec<Insn>,
    relocs: Vec<Reloc>,
}

impl Asm {
    fn new() -> Self {
        Self::default()
    }

    fn add(mut self, insn: Insn) -> Self {
        self.insns.push(insn);
        self
    }

    fn wide(mut self, dst: Reg, value: u64) -> Self {
        self.insns.extend(Insn::wide(dst, 0, value));
        self
    }

    fn address(mut self, dst: Reg, target: RelocTarget) -> Self {
        self.relocs.push(Reloc {
            insn: self.insns.len(),
            target,
        });
        self.wide(dst, 0)
    }

    fn map(self, dst: Reg, map: u32) -> Self {
        self.address(dst, RelocTarget::Map(BpfMapId(map)))
    }

    fn memory(self, dst: Reg, offset: u32) -> Self {
        self.address(dst, RelocTarget::Memory(offset))
    }

    fn call(self, helper: Helper) -> Self {
        self.add(Insn::call(helper.row().number))
    }

    /// Stores a number at an offset from the frame pointer.
    fn push(self, offset: i16, value: u64) -> Self {
        self.wide(R0, value).add(Insn::store(op::DW, FP, offset, R0))
    }

    /// `dst = r10 + offset`.
    fn frame(self, dst: Reg, offset: i32) -> Self {
        self.add(Insn::mov(dst, FP))
            .add(Insn::alu_imm(op::ALU64 | op::ADD, dst, offset))
    }

    fn exit(self) -> bpf::Program {
        self.add(Insn::exit()).end()
    }

    fn end(self) -> bpf::Program {
        bpf::Program {
            symbol: "p".into(),
            spans: vec![Default::default(); self.insns.len()],
            insns: self.insns,
            relocs: self.relocs,
            frame: 512,
            callbacks: Vec::new(),
            arguments: None,
        }
    }
}

/// A machine for [`plan`] on 4 CPUs.
fn machine() -> Machine {
    Machine::new(&plan(), 4).unwrap()
}

fn link(code: &bpf::Program) -> Result<Program, Fault> {
    Machine::link(&plan(), 0, code)
}

fn event(attributes: &str) -> Event {
    parse(&format!("uprobe:libc:f {attributes}")).unwrap().remove(0)
}

fn start(event: Event) -> Start {
    Start {
        event: Rc::new(event),
        delay: 0,
        cookie: 7,
        context: (0..168).collect::<Vec<u8>>().into(),
    }
}

/// Runs code for an event and gives r0.
fn run_on(machine: &mut Machine, code: &bpf::Program, attributes: &str) -> Result<u64, Fault> {
    let program = link(code)?;
    let mut run = machine.start(&program, start(event(attributes)));
    machine.finish(&mut run)
}

fn run(code: &bpf::Program) -> Result<u64, Fault> {
    run_on(&mut machine(), code, "")
}

fn fault(code: &bpf::Program) -> (usize, FaultKind) {
    let fault = run(code).unwrap_err();
    (fault.insn, fault.kind)
}
