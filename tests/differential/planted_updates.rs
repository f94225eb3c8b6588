//! Faults that `bytecode_rmw` must find, and sound programs that it must leave alone.

use crate::bytecode_rmw::{PlainUpdate, Shared, plain_updates};
use crate::{checked, compiled, fixture};
use crumbs_compiler::bpf::{Insn, Program, Reg, Reloc, RelocTarget, op};

const R0: Reg = Reg(0);
const R1: Reg = Reg(1);
const R2: Reg = Reg(2);

/// A plan with program memory, and a program of `insns` behind `r1 = &memory[64]`.
fn found(insns: &[Insn]) -> Vec<PlainUpdate> {
    let target = fixture();
    let source = "begin { @x = 1; }";
    let plan = compiled(&checked(source, &target).unwrap(), source, &target)
        .unwrap()
        .plan;
    let mut code = Insn::wide(R1, 3, 64).to_vec();
    code.extend(insns);
    code.push(Insn::exit());
    let program = Program {
        symbol: "p0".into(),
        spans: vec![Default::default(); code.len()],
        insns: code,
        relocs: vec![Reloc {
            insn: 0,
            target: RelocTarget::Memory(64),
        }],
        frame: 0,
        callbacks: Vec::new(),
        arguments: None,
    };
    plain_updates(&program, &plan)
}

#[test]
fn planted_faults_are_found() {
    let load = Insn::load(op::DW, R2, R1, 8);
    let add = Insn::alu_imm(op::ALU64 | op::ADD, R2, 1);
    let store = Insn::store(op::DW, R1, 8, R2);
    let word = (Shared::Memory, 72);
    assert_eq!(found(&[load, add, store]), [PlainUpdate { insn: 4, word }]);
    // Through the frame, another register, another way to the address.
    let spill = Insn::store(op::DW, Reg::FP, -8, R2);
    let reload = Insn::load(op::DW, R0, Reg::FP, -8);
    let moved = [
        Insn::alu_imm(op::ALU64 | op::ADD, R1, 8),
        Insn::store(op::DW, R1, 0, R0),
    ];
    assert_eq!(
        found(&[&[load, spill, reload, add][..], &moved].concat()),
        [PlainUpdate { insn: 7, word }]
    );
    // Over a branch.
    let skip = Insn::jump_imm(op::JMP | op::JEQ, R2, 5, 1);
    assert_eq!(found(&[load, skip, add, store]), [PlainUpdate { insn: 5, word }]);
}

#[test]
fn sound_updates_are_left_alone() {
    let load = Insn::load(op::DW, R2, R1, 8);
    let one = Insn::mov_imm(R2, 1);
    let atomic = Insn::atomic(i32::from(op::ADD), R1, 8, R2);
    assert_eq!(found(&[load, one, Insn::store(op::DW, R1, 8, R2)]), []);
    assert_eq!(found(&[load, atomic]), []);
    assert_eq!(
        found(&[load, Insn::store(op::DW, R1, 16, R2)]),
        [],
        "another word"
    );
}

#[test]
fn a_planted_fault_in_a_hash_map_is_found() {
    let target = fixture();
    // What the language cannot make atomic: the two accesses are the script's own.
    let source = "begin { $v = @x[1]; @x[1] = $v * 2; }";
    let compiled = compiled(&checked(source, &target).unwrap(), source, &target).unwrap();
    assert_eq!(plain_updates(&compiled.programs[0], &compiled.plan).len(), 1);
    let source = "begin { @x[1] = @x[1] * 2; }";
    let compiled = crate::compiled(&checked(source, &target).unwrap(), source, &target).unwrap();
    assert_eq!(plain_updates(&compiled.programs[0], &compiled.plan), []);
}
