//! The interpreter: memory, maps, and runs of programs as state machines that can be stepped and preempted anywhere.
//!
//! In come decoded programs and contexts; out go changed maps, memory and rings, or a [`Fault`]. The machine is
//! stricter than the kernel, because it doubles as a checker: every access is within one object, every register and
//! stack byte was written before it is read, helpers get what their prototypes say, and records are released.

use super::alu;
use super::calls::Frame;
use super::event::Event;
use super::fault::{Access, Fault, FaultKind};
use super::hash::HashStore;
use super::insn::{Alu, Atomic, Insn, Reg, Src, decode};
use super::pointer::Pointer;
use super::ring::Ring;
use crumbs_compiler::bpf;
use crumbs_compiler::helper::Helper;
use crumbs_compiler::plan::{BpfMapKind, Plan, ProgramKind};
use crumbs_compiler::target::PidNamespace;
use std::cell::RefCell;
use std::rc::Rc;

/// What a stack byte holds that no one has written: a helper may count as writing it and leave it alone.
const GARBAGE: u8 = 0xa5;
/// Bytes of a stack frame (`MAX_BPF_STACK`).
pub const STACK_SIZE: usize = 512;

/// What is behind a kernel map.
#[derive(Debug)]
pub(super) enum Store {
    Hash(HashStore),
    Ring { ring: Ring, capacity: u32 },
}

/// A linked program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its instructions.
    pub insns: Rc<[Insn]>,
    /// Decides what the context is.
    pub kind: ProgramKind,
    /// Whether it may sleep.
    pub sleepable: bool,
}

/// The state that programs share.
#[derive(Debug)]
pub struct Machine {
    pub(super) maps: Vec<Store>,
    pub(super) memory: RefCell<Vec<u8>>,
    /// Where [`crumbs_compiler::helper::Helper::GetNsCurrentPidTgid`] finds the process; `None` accepts any.
    pub(super) namespace: Option<PidNamespace>,
    pub(super) random: u64,
    /// Reused for keys and values, so that no call allocates.
    pub(super) scratch: Vec<u8>,
    next_run: u32,
    under_way: usize,
}

/// One execution of a program, possibly preempted.
#[derive(Debug)]
pub struct Run {
    pub(super) serial: u32,
    insns: Rc<[Insn]>,
    kind: ProgramKind,
    pub(super) sleepable: bool,
    pub(super) event: Rc<Event>,
    /// Nanoseconds behind the event's time.
    pub(super) delay: u64,
    pub(super) cookie: u32,
    context: Box<[u8]>,
    pc: usize,
    pub(super) regs: [u64; 11],
    /// Which registers hold something, bit by number.
    pub(super) written_regs: u16,
    /// A frame for each function that is under way.
    stack: Vec<u8>,
    /// Which stack bytes hold something.
    written_stack: Vec<u64>,
    /// The functions that wait for a callback, the program first.
    pub(super) frames: Vec<Frame>,
    /// Addresses of reserved records.
    pub(super) records: Vec<u64>,
    executed: u64,
    /// The same since the last callback began or returned.
    executed_in_call: u64,
}

/// What a run is given.
#[derive(Clone, Debug)]
pub struct Start {
    /// The event that it runs for.
    pub event: Rc<Event>,
    /// Nanoseconds since the event's time, for repetitions.
    pub delay: u64,
    /// The attach cookie.
    pub cookie: u32,
    /// The context.
    pub context: Rc<[u8]>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to execute.
    Running,
    /// It has ended with this result.
    Done(u64),
}

impl Machine {
    /// Instructions that one run may execute without a helper calling back. No program that the kernel accepts comes near.
    pub const BUDGET: u64 = 1_000_000;

    /// Fresh maps and memory for a plan.
    ///
    /// # Errors
    /// When the kernel would refuse to create a map of the plan.
    pub fn new(plan: &Plan, cpus: u32) -> Result<Self, String> {
        let maps = plan.bpf_maps.iter().map(|map| {
            let is_ring = map.kind == BpfMapKind::RingBuf;
            let fits = match map.kind {
                BpfMapKind::RingBuf => {
                    map.key_size == 0
                        && map.value_size == 0
                        && map.max_entries.is_power_of_two()
                        && map.max_entries >= 4096
                }
                BpfMapKind::PerCpuHash | BpfMapKind::LruPerCpuHash => map.value_size <= 32 << 10,
                BpfMapKind::Hash | BpfMapKind::LruHash => true,
            };
            let is_sized = is_ring || map.key_size > 0 && map.value_size > 0;
            if !fits || !is_sized || map.max_entries == 0 || map.value_size as usize > Pointer::MAX_OBJECT {
                return Err(format!("map {} has sizes that no kernel accepts", map.symbol));
            }
            Ok(if is_ring {
                Store::Ring {
                    ring: Ring::new(map.max_entries),
                    capacity: map.max_entries,
                }
            } else {
                Store::Hash(HashStore::new(map, cpus))
            })
        });
        let maps: Vec<Store> = maps.collect::<Result<_, _>>()?;
        // A pointer holds a map's number in 8 bits.
        if maps.len() > 256 || plan.memory.size > Pointer::MAX_MEMORY {
            return Err("too many maps or too much program memory".into());
        }
        Ok(Self {
            maps,
            memory: RefCell::new(vec![0; plan.memory.size as usize]),
            namespace: None,
            random: 0x9e37_79b9_7f4a_7c15,
            scratch: Vec::new(),
            next_run: 0,
            under_way: 0,
        })
    }

    /// Links a program of the plan.
    ///
    /// # Errors
    /// When its code is malformed.
    pub fn link(plan: &Plan, index: usize, code: &bpf::Program) -> Result<Program, Fault> {
        let program = plan.programs.get(index).ok_or(Fault {
            insn: 0,
            kind: FaultKind::Relocation,
        })?;
        Ok(Program {
            insns: decode(code, plan)?.into(),
            kind: program.kind,
            sleepable: program.sleepable,
        })
    }

    /// Begins a run; it executes nothing yet.
    pub fn start(&mut self, program: &Program, start: Start) -> Run {
        let serial = self.next_run;
        self.next_run = (self.next_run + 1) & ((1 << Pointer::RUN_BITS) - 1);
        self.under_way += 1;
        let mut regs = [0; 11];
        regs[1] = Pointer::context(serial);
        regs[10] = Pointer::stack(serial) + STACK_SIZE as u64;
        Run {
            serial,
            insns: Rc::clone(&program.insns),
            kind: program.kind,
            sleepable: program.sleepable,
            event: start.event,
            delay: start.delay,
            cookie: start.cookie,
            context: (*start.context).into(),
            pc: 0,
            regs,
            written_regs: 1 << 1 | 1 << 10,
            stack: vec![GARBAGE; STACK_SIZE],
            written_stack: vec![0; STACK_SIZE / 64],
            frames: Vec::new(),
            records: Vec::new(),
            executed: 0,
            executed_in_call: 0,
        }
    }

    /// Executes a run to its end.
    ///
    /// # Errors
    /// When the program is at fault.
    pub fn finish(&mut self, run: &mut Run) -> Result<u64, Fault> {
        loop {
            if let Step::Done(result) = self.step(run)? {
                return Ok(result);
            }
        }
    }

    /// Executes one instruction. A run that has ended must not be stepped again.
    ///
    /// # Errors
    /// When the program is at fault; the run cannot go on.
    pub fn step(&mut self, run: &mut Run) -> Result<Step, Fault> {
        let insn = run.pc;
        let result = self.execute(run).map_err(|kind| Fault { insn, kind });
        if !matches!(result, Ok(Step::Running)) {
            self.under_way = self.under_way.saturating_sub(1);
            if self.under_way == 0 {
                for store in &mut self.maps {
                    if let Store::Hash(hash) = store {
                        hash.reclaim();
                    }
                }
            }
        }
        result
    }

    fn execute(&mut self, run: &mut Run) -> Result<Step, FaultKind> {
        let insn = *run.insns.get(run.pc).ok_or(FaultKind::JumpOutside)?;
        run.executed += 1;
        run.executed_in_call += 1;
        if run.executed_in_call > Self::BUDGET {
            return Err(FaultKind::Budget);
        }
        let mut next = run.pc + 1;
        match insn {
            Insn::Alu { op, wide, dst, src } => {
                let b = run.operand(src)?;
                // A move does not read its destination.
                let a = if op == Alu::Mov { 0 } else { run.read(dst)? };
                run.write(
                    dst,
                    if wide {
                        alu::binary64(op, a, b)
                    } else {
                        alu::binary32(op, a, b)
                    },
                );
            }
            Insn::MovSx { bits, wide, dst, src } => {
                let value = alu::sign_extend(run.read(src)?, u32::from(bits));
                run.write(dst, if wide { value } else { u64::from(value as u32) });
            }
            Insn::Neg { wide, dst } => {
                let value = run.read(dst)?.wrapping_neg();
                run.write(dst, if wide { value } else { u64::from(value as u32) });
            }
            Insn::Swap { order, bits, dst } => {
                let value = run.read(dst)?;
                run.write(dst, alu::swap(order, bits, value));
            }
            Insn::LoadImm { dst, value } => {
                run.write(dst, value);
                next += 1;
            }
            Insn::SecondHalf => return Err(FaultKind::JumpOutside),
            Insn::Load {
                dst,
                base,
                off,
                size,
                signed,
            } => {
                let value = self.load(run, base, off, size)?;
                let value = if signed {
                    alu::sign_extend(value, 8 * u32::from(size))
                } else {
                    value
                };
                run.write(dst, value);
            }
            Insn::Store { base, off, size, src } => {
                let value = run.operand(src)?;
                let address = run.address(base, off, size, false)?;
                let size = usize::from(size);
                self.resolve(run, address, size, Access::Write)?
                    .copy_from_slice(&value.to_le_bytes()[..size]);
            }
            Insn::Atomic {
                op,
                fetch,
                base,
                off,
                size,
                src,
            } => self.atomic(run, op, fetch, (base, off), size, src)?,
            Insn::Jump { target } => next = target as usize,
            Insn::Branch {
                cond,
                wide,
                dst,
                src,
                target,
            } => {
                if alu::compare(cond, wide, run.read(dst)?, run.operand(src)?) {
                    next = target as usize;
                }
            }
            Insn::Call {
                helper: helper @ (Helper::Loop | Helper::ForEachMapElem),
            } => {
                run.executed_in_call = 0;
                next = self.call_back(run, helper, next)?;
            }
            Insn::CallFunction { target } => {
                run.executed_in_call = 0;
                next = run.call_function(target as usize, next)?;
            }
            Insn::Call { helper } => self.call(run, helper)?,
            Insn::Exit if !run.frames.is_empty() => {
                let result = run.read(0)?;
                run.executed_in_call = 0;
                next = self.returned(run, result)?;
            }
            Insn::Exit => {
                let result = run.read(0)?;
                return if run.records.is_empty() {
                    Ok(Step::Done(result))
                } else {
                    Err(FaultKind::RecordHeld)
                };
            }
        }
        run.pc = next;
        Ok(Step::Running)
    }

    fn load(&mut self, run: &mut Run, base: Reg, off: i16, size: u8) -> Result<u64, FaultKind> {
        let address = run.address(base, off, size, false)?;
        if let Some(Pointer::Context { run: serial, offset }) = Pointer::decode(address)
            && serial == run.serial
        {
            if run.regs[usize::from(base)] != Pointer::context(run.serial) {
                return Err(FaultKind::ModifiedContextPointer);
            }
            // The first 8 bytes of a tracepoint's record are the kernel's (`tp_prog_is_valid_access`).
            if run.kind == ProgramKind::Tracepoint && offset < 8 {
                return Err(FaultKind::OutOfBounds {
                    address,
                    size: size.into(),
                    access: Access::Read,
                });
            }
        }
        let mut word = [0; 8];
        let size = usize::from(size);
        word[..size].copy_from_slice(self.resolve(run, address, size, Access::Read)?);
        Ok(u64::from_le_bytes(word))
    }

    fn atomic(
        &mut self,
        run: &mut Run,
        op: Atomic,
        fetch: bool,
        (base, off): (Reg, i16),
        size: u8,
        src: Reg,
    ) -> Result<(), FaultKind> {
        let mask = if size == 8 { u64::MAX } else { u64::from(u32::MAX) };
        let operand = run.read(src)? & mask;
        let is_exchange = op == Atomic::CompareExchange;
        let expected = if is_exchange { run.read(0)? & mask } else { 0 };
        let address = run.address(base, off, size, true)?;
        let size = usize::from(size);
        let place = self.resolve(run, address, size, Access::Atomic)?;
        let mut word = [0; 8];
        word[..size].copy_from_slice(place);
        let old = u64::from_le_bytes(word);
        place.copy_from_slice(&alu::atomic(op, old, operand, expected).to_le_bytes()[..size]);
        if is_exchange {
            run.write(0, old);
        } else if fetch {
            run.write(src, old);
        }
        Ok(())
    }

    /// The memory behind an address, checked for `access`. Writing marks stack bytes as written.
    pub(super) fn resolve<'a>(
        &'a mut self,
        run: &'a mut Run,
        address: u64,
        size: usize,
        access: Access,
    ) -> Result<&'a mut [u8], FaultKind> {
        let outside = FaultKind::OutOfBounds {
            address,
            size,
            access,
        };
        match Pointer::decode(address) {
            Some(Pointer::Stack { run: serial, offset }) if serial == run.serial => {
                run.stack_bytes(offset, size, access, outside)
            }
            Some(Pointer::Context { run: serial, offset }) if serial == run.serial => {
                if access != Access::Read {
                    return Err(FaultKind::ReadOnly);
                }
                run.context
                    .get_mut(offset..)
                    .and_then(|rest| rest.get_mut(..size))
                    .ok_or(outside)
            }
            Some(Pointer::Key {
                run: serial,
                depth,
                offset,
            }) if serial == run.serial => {
                if access != Access::Read {
                    return Err(FaultKind::ReadOnly);
                }
                run.key(depth)
                    .and_then(|key| key.get_mut(offset..)?.get_mut(..size))
                    .ok_or(outside)
            }
            Some(Pointer::Memory { offset }) => {
                let memory = self.memory.get_mut();
                memory
                    .get_mut(offset..)
                    .and_then(|rest| rest.get_mut(..size))
                    .ok_or(outside)
            }
            Some(Pointer::Value {
                map,
                element,
                cpu,
                offset,
            }) => match self.maps.get_mut(map) {
                Some(Store::Hash(hash)) => {
                    let cpu = cpu.unwrap_or(run.event.cpu);
                    hash.value(element, cpu, offset, size).ok_or(outside)
                }
                _ => Err(outside),
            },
            Some(Pointer::Record { map, serial, offset })
                if run.records.contains(&Pointer::record(map, serial)) =>
            {
                match self.maps.get_mut(map) {
                    Some(Store::Ring { ring, .. }) => ring
                        .open_record(serial)
                        .and_then(|data| data.get_mut(offset..)?.get_mut(..size))
                        .ok_or(outside),
                    _ => Err(outside),
                }
            }
            _ => Err(outside),
        }
    }
}

impl Run {
    /// The CPU that it runs on.
    pub fn cpu(&self) -> u32 {
        self.event.cpu
    }

    /// The number of the next instruction.
    pub fn pc(&self) -> usize {
        self.pc
    }

    /// Instructions executed so far.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// Whether the next instruction touches only what no other run can see: registers, its own stack, its context.
    /// Preempting before such an instruction changes nothing that preempting after it does not.
    pub fn is_local(&self) -> bool {
        match self.insns.get(self.pc) {
            Some(Insn::Load { base, .. } | Insn::Store { base, .. } | Insn::Atomic { base, .. }) => matches!(
                Pointer::decode(self.regs[usize::from(*base)]),
                Some(Pointer::Stack { .. } | Pointer::Context { .. })
            ),
            Some(Insn::Call { .. }) => false,
            _ => true,
        }
    }

    pub(super) fn read(&self, reg: Reg) -> Result<u64, FaultKind> {
        if self.written_regs & 1 << reg == 0 {
            return Err(FaultKind::UninitializedRegister(reg));
        }
        Ok(self.regs[usize::from(reg)])
    }

    pub(super) fn write(&mut self, reg: Reg, value: u64) {
        self.regs[usize::from(reg)] = value;
        self.written_regs |= 1 << reg;
    }

    fn operand(&self, src: Src) -> Result<u64, FaultKind> {
        match src {
            Src::Reg(reg) => self.read(reg),
            Src::Imm(value) => Ok(value as u64),
        }
    }

    /// The address of an access, aligned where the kernel's verifier wants it.
    fn address(&self, base: Reg, off: i16, size: u8, is_atomic: bool) -> Result<u64, FaultKind> {
        let address = self.read(base)?.wrapping_add(i64::from(off) as u64);
        let is_strict = is_atomic
            || matches!(
                Pointer::decode(address),
                Some(Pointer::Stack { .. } | Pointer::Context { .. })
            );
        if is_strict && !address.is_multiple_of(u64::from(size)) {
            return Err(FaultKind::Misaligned {
                address,
                size: size.into(),
            });
        }
        Ok(address)
    }

    /// A fresh frame for a callback.
    pub(super) fn push_stack(&mut self) {
        self.stack.resize(self.stack.len() + STACK_SIZE, GARBAGE);
        self.written_stack.resize(self.stack.len() / 64, 0);
    }

    /// Gives the innermost frame back.
    pub(super) fn pop_stack(&mut self) {
        self.stack.truncate(self.stack.len() - STACK_SIZE);
        self.written_stack.truncate(self.stack.len() / 64);
    }

    /// Nothing has been written to the innermost frame.
    pub(super) fn clear_frame(&mut self) {
        let start = self.stack.len() - STACK_SIZE;
        self.stack[start..].fill(GARBAGE);
        self.written_stack[start / 64..].fill(0);
    }

    fn stack_bytes(
        &mut self,
        offset: usize,
        size: usize,
        access: Access,
        outside: FaultKind,
    ) -> Result<&mut [u8], FaultKind> {
        // Within one of the frames.
        let limit = (offset / STACK_SIZE + 1)
            .saturating_mul(STACK_SIZE)
            .min(self.stack.len());
        let Some(end) = offset.checked_add(size).filter(|&end| end <= limit) else {
            return Err(outside);
        };
        for at in offset..end {
            let bit = 1 << (at % 64);
            if access == Access::Write {
                self.written_stack[at / 64] |= bit;
            } else if self.written_stack[at / 64] & bit == 0 {
                return Err(FaultKind::UninitializedStack {
                    offset: (at % STACK_SIZE) as i64 - STACK_SIZE as i64,
                });
            }
        }
        Ok(&mut self.stack[offset..end])
    }
}
