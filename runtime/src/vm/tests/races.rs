//! Interleavings: a plain read-modify-write loses updates, an atomic one never does.

use super::*;
use crate::vm::schedule::{Exhaustive, Fixed, LaneFault, Schedule, interleave};
use std::collections::BTreeMap;

/// Adds 1 to word 0: load, add, store.
fn naive() -> bpf::Program {
    Asm::new()
        .memory(R6, 0)
        .add(Insn::load(op::DW, R0, R6, 0))
        .add(Insn::alu_imm(op::ALU64 | op::ADD, R0, 1))
        .add(Insn::store(op::DW, R6, 0, R0))
        .exit()
}

fn atomic() -> bpf::Program {
    Asm::new()
        .memory(R6, 0)
        .add(Insn::mov_imm(R0, 1))
        .add(Insn::atomic(0, R6, 0, R0))
        .exit()
}

/// Adds 1 to word 0 by compare-and-exchange, until it succeeds.
fn exchange() -> bpf::Program {
    Asm::new()
        .memory(R6, 0)
        .add(Insn::load(op::DW, R7, R6, 0))
        .add(Insn::mov(R0, R7))
        .add(Insn::mov(R5, R7))
        .add(Insn::alu_imm(op::ALU64 | op::ADD, R5, 1))
        .add(Insn::atomic(op::CMPXCHG, R6, 0, R5))
        .add(Insn::jump_reg(op::JMP | op::JNE, R0, R7, -6))
        .exit()
}

/// Word 0 after one run of each program under a schedule.
fn outcome(programs: &[bpf::Program], schedule: &mut dyn Schedule) -> Result<u64, LaneFault> {
    let mut machine = machine();
    let lanes: Vec<_> = programs
        .iter()
        .map(|code| vec![(link(code).unwrap(), start(event("cpu=0")))])
        .collect();
    interleave(&mut machine, &lanes, schedule)?;
    let memory = machine.memory.borrow();
    Ok(u64::from_le_bytes(memory[..8].try_into().unwrap()))
}

/// How many schedules have which outcome.
fn outcomes(programs: &[bpf::Program], mut schedules: Exhaustive) -> BTreeMap<u64, u32> {
    let mut outcomes = BTreeMap::new();
    while schedules.begin() {
        *outcomes
            .entry(outcome(programs, &mut schedules).unwrap())
            .or_default() += 1;
    }
    outcomes
}

#[test]
fn naive_increments_lose_updates() {
    let outcomes = outcomes(&[naive(), naive()], Exhaustive::new());
    // Two shared accesses each: 4 over 2 orders, of which only the 2 serial ones are right.
    assert_eq!(outcomes, BTreeMap::from([(1, 4), (2, 2)]));
}

#[test]
fn atomic_increments_never_do() {
    let three = outcomes(&[atomic(), atomic(), atomic()], Exhaustive::new());
    assert_eq!(three, BTreeMap::from([(3, 6)]));
    // A plain update beside it is still lost, or loses it.
    let mixed = outcomes(&[atomic(), naive()], Exhaustive::new());
    assert_eq!(mixed.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn compare_and_exchange_retries() {
    // Who fails retries when the other has ended, so retries add no schedules.
    let two = outcomes(&[exchange(), exchange()], Exhaustive::new());
    assert_eq!(two, BTreeMap::from([(2, 6)]));
    // Without retries there would be 6 over 2, 2, 2 = 90.
    let three = outcomes(&[exchange(), exchange(), exchange()], Exhaustive::new());
    assert_eq!(three.keys().copied().collect::<Vec<_>>(), [3]);
    assert!(three[&3] > 90, "{three:?}");
}

#[test]
fn one_preemption_suffices_to_lose_an_update() {
    let none = outcomes(&[naive(), naive()], Exhaustive::with_preemptions(0));
    assert_eq!(none, BTreeMap::from([(2, 2)]));
    let one = outcomes(&[naive(), naive()], Exhaustive::with_preemptions(1));
    assert_eq!(one.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn written_schedules() {
    let run = |parts: &[(usize, u64)]| outcome(&[naive(), naive()], &mut Fixed::new(parts.to_vec())).unwrap();
    assert_eq!(run(&[]), 2);
    // Lane 0 is stopped behind its load, which is its second instruction.
    assert_eq!(run(&[(0, 2), (1, u64::MAX)]), 1);
    assert_eq!(run(&[(0, 1), (1, u64::MAX)]), 2);
    // Neither the first to begin nor the last to begin ends first twice.
    assert_eq!(run(&[(0, 2), (1, 2), (0, 9), (1, 9)]), 1);
}

#[test]
fn faults_name_their_lane() {
    let broken = Asm::new()
        .add(Insn::mov_imm(R0, 0))
        .add(Insn::load(op::DW, R0, R0, 0))
        .exit();
    let fault = outcome(&[naive(), broken], &mut Fixed::new([])).unwrap_err();
    assert_eq!((fault.lane, fault.part, fault.fault.insn), (1, 0, 1));
}

#[test]
fn open_record_of_a_preempted_program_blocks_the_ring() {
    let sender = |value: i32| {
        Asm::new()
            .map(R1, RING)
            .add(Insn::mov_imm(R2, 8))
            .add(Insn::mov_imm(R3, 0))
            .call(Helper::RingbufReserve)
            .add(Insn::store_imm(op::DW, R0, 0, value))
            .add(Insn::mov(R1, R0))
            .add(Insn::mov_imm(R2, 0))
            .call(Helper::RingbufSubmit)
            .exit()
    };
    let mut machine = machine();
    let mut held = machine.start(&link(&sender(1)).unwrap(), start(event("")));
    while held.pc() < 8 {
        machine.step(&mut held).unwrap();
    }
    run_on(&mut machine, &sender(2), "").unwrap();
    let pop = |machine: &mut Machine| match &mut machine.maps[RING as usize] {
        crate::vm::machine::Store::Ring { ring, .. } => ring.pop().map(|record| record[0]),
        crate::vm::machine::Store::Hash(_) => None,
    };
    assert_eq!(pop(&mut machine), None);
    machine.finish(&mut held).unwrap();
    assert_eq!(
        [pop(&mut machine), pop(&mut machine), pop(&mut machine)],
        [Some(1), Some(2), None]
    );
}
