//! What the VM refuses.

use super::*;
use crate::vm::fault::Access;
use crate::vm::machine::STACK_SIZE;

#[test]
fn malformed_code_is_refused_before_it_runs() {
    let unknown = |code| Insn {
        code,
        ..Insn::default()
    };
    let register = Insn {
        dst: 11,
        ..Insn::mov_imm(R0, 0)
    };
    for (code, insn, kind) in [
        (Asm::new().end(), 0, FaultKind::JumpOutside),
        (
            Asm::new().add(Insn::mov_imm(R0, 0)).end(),
            0,
            FaultKind::JumpOutside,
        ),
        (Asm::new().add(Insn::goto(5)).exit(), 0, FaultKind::JumpOutside),
        (Asm::new().add(Insn::goto(-2)).exit(), 0, FaultKind::JumpOutside),
        // Into the second half of a wide load.
        (
            Asm::new().add(Insn::goto(1)).wide(R0, 0).exit(),
            0,
            FaultKind::JumpOutside,
        ),
        (
            Asm::new().add(unknown(0x20)).exit(),
            0,
            FaultKind::Encoding("unknown opcode"),
        ),
        (
            Asm::new().add(unknown(0xe7)).exit(),
            0,
            FaultKind::Encoding("unknown arithmetic operation"),
        ),
        (
            Asm::new().add(unknown(0xe5)).exit(),
            0,
            FaultKind::Encoding("unknown jump"),
        ),
        (
            Asm::new().add(unknown(0x99)).exit(),
            0,
            FaultKind::Encoding("unknown load"),
        ),
        (
            Asm::new().add(Insn::atomic(0x02, FP, -8, R0)).exit(),
            0,
            FaultKind::Encoding("unknown atomic operation"),
        ),
        (
            Asm::new().add(register).exit(),
            0,
            FaultKind::Encoding("register above r10"),
        ),
        (
            Asm::new().add(Insn::mov_imm(FP, 0)).exit(),
            0,
            FaultKind::Encoding("r10 is written"),
        ),
        (
            Asm::new().add(Insn::call(999)).exit(),
            0,
            FaultKind::UnknownHelper(999),
        ),
        (Asm::new().map(R0, 99).exit(), 0, FaultKind::Relocation),
        (Asm::new().memory(R0, 65).exit(), 0, FaultKind::Relocation),
    ] {
        assert_eq!(link(&code).unwrap_err(), Fault { insn, kind });
    }
    let mut stray = Asm::new().add(Insn::mov_imm(R0, 0)).exit();
    stray.relocs.push(Reloc {
        insn: 0,
        target: RelocTarget::Memory(0),
    });
    assert_eq!(link(&stray).unwrap_err().kind, FaultKind::Relocation);
}

#[test]
fn accesses_stay_inside_one_object() {
    let outside = |code: Asm, insn, size, expected| match fault(&code.exit()) {
        (
            at,
            FaultKind::OutOfBounds {
                size: found, access, ..
            },
        ) => {
            assert_eq!((at, found, access), (insn, size, expected));
        }
        other => panic!("{other:?}"),
    };
    let zero = || Asm::new().add(Insn::mov_imm(R0, 0));
    outside(zero().add(Insn::store(op::DW, FP, 0, R0)), 1, 8, Access::Write);
    outside(zero().add(Insn::store(op::DW, FP, -520, R0)), 1, 8, Access::Write);
    outside(
        Asm::new().add(Insn::load(op::DW, R0, R1, 168)),
        0,
        8,
        Access::Read,
    );
    outside(
        zero().memory(R6, 60).add(Insn::store(op::DW, R6, 0, R0)),
        3,
        8,
        Access::Write,
    );
    outside(
        zero().memory(R6, 0).add(Insn::load(op::B, R0, R6, -1)),
        3,
        1,
        Access::Read,
    );
    outside(
        zero().memory(R6, 64).add(Insn::atomic(0, R6, 0, R0)),
        3,
        8,
        Access::Atomic,
    );
    // A null pointer, a user address, and a map itself.
    outside(zero().add(Insn::load(op::B, R0, R0, 0)), 1, 1, Access::Read);
    outside(
        zero().wide(R6, 0x7000).add(Insn::load(op::B, R0, R6, 0)),
        3,
        1,
        Access::Read,
    );
    outside(
        zero().map(R6, HASH).add(Insn::load(op::B, R0, R6, 0)),
        3,
        1,
        Access::Read,
    );
}

#[test]
fn map_values_and_records_are_bounded() {
    let lookup = Asm::new()
        .push(-8, 1)
        .push(-16, 2)
        .map(R1, HASH)
        .frame(R2, -8)
        .frame(R3, -16)
        .add(Insn::mov_imm(R4, 0))
        .call(Helper::MapUpdateElem)
        .map(R1, HASH)
        .frame(R2, -8)
        .call(Helper::MapLookupElem);
    let inside = lookup.clone().add(Insn::load(op::DW, R0, R0, 0));
    assert_eq!(run(&inside.exit()), Ok(2));
    for offset in [8, 1, -1] {
        let outside = lookup.clone().add(Insn::load(op::DW, R0, R0, offset));
        assert!(matches!(fault(&outside.exit()).1, FaultKind::OutOfBounds { .. }));
    }
    let reserve = Asm::new()
        .map(R1, RING)
        .add(Insn::mov_imm(R2, 16))
        .add(Insn::mov_imm(R3, 0))
        .call(Helper::RingbufReserve)
        .add(Insn::mov(R6, R0));
    let beyond = reserve.clone().add(Insn::store(op::DW, R6, 16, FP));
    assert!(matches!(fault(&beyond.exit()).1, FaultKind::OutOfBounds { .. }));
    let held = reserve.clone();
    assert_eq!(fault(&held.exit()).1, FaultKind::RecordHeld);
    let submit = |asm: Asm| {
        asm.add(Insn::mov(R1, R6))
            .add(Insn::mov_imm(R2, 0))
            .call(Helper::RingbufSubmit)
    };
    let after = submit(reserve.clone()).add(Insn::store(op::DW, R6, 0, FP));
    assert!(matches!(fault(&after.exit()).1, FaultKind::OutOfBounds { .. }));
    let twice = submit(submit(reserve.clone()));
    let expected = FaultKind::Argument {
        helper: Helper::RingbufSubmit,
        number: 1,
        reason: "is not a reserved record",
    };
    assert_eq!(fault(&twice.exit()).1, expected);
    assert!(run(&submit(reserve).exit()).is_ok());
}

#[test]
fn context_is_read_only_and_read_directly() {
    let write = Asm::new().add(Insn::store(op::DW, R1, 8, R1));
    assert_eq!(fault(&write.exit()), (0, FaultKind::ReadOnly));
    let computed = Asm::new()
        .add(Insn::alu_imm(op::ALU64 | op::ADD, R1, 8))
        .add(Insn::load(op::DW, R0, R1, 0));
    assert_eq!(fault(&computed.exit()), (1, FaultKind::ModifiedContextPointer));
}

#[test]
fn stack_and_atomics_are_aligned() {
    let stack = Asm::new()
        .add(Insn::mov_imm(R0, 0))
        .add(Insn::store(op::DW, FP, -12, R0));
    assert!(matches!(
        fault(&stack.exit()),
        (1, FaultKind::Misaligned { size: 8, .. })
    ));
    let atomic = Asm::new()
        .memory(R6, 4)
        .add(Insn::mov_imm(R0, 0))
        .add(Insn::atomic(0, R6, 0, R0));
    assert!(matches!(
        fault(&atomic.exit()),
        (3, FaultKind::Misaligned { size: 8, .. })
    ));
    // Plain accesses to maps and memory need not be.
    let plain = Asm::new().memory(R6, 4).add(Insn::load(op::DW, R0, R6, 0));
    assert_eq!(run(&plain.exit()), Ok(0));
}

#[test]
fn nothing_is_read_before_it_is_written() {
    assert_eq!(
        fault(&Asm::new().exit()),
        (0, FaultKind::UninitializedRegister(0))
    );
    // Calls clobber r1 to r5.
    let clobbered = Asm::new().call(Helper::KtimeGetNs).add(Insn::mov(R0, R1));
    assert_eq!(fault(&clobbered.exit()), (1, FaultKind::UninitializedRegister(1)));
    let stack = Asm::new()
        .add(Insn::store_imm(op::W, FP, -8, 0))
        .add(Insn::load(op::DW, R0, FP, -8));
    assert_eq!(
        fault(&stack.exit()),
        (1, FaultKind::UninitializedStack { offset: -4 })
    );
    let low = -(STACK_SIZE as i16);
    let edge = Asm::new()
        .add(Insn::store_imm(op::DW, FP, low, 5))
        .add(Insn::load(op::DW, R0, FP, low));
    assert_eq!(run(&edge.exit()), Ok(5));
    let key = Asm::new().map(R1, HASH).frame(R2, -8).call(Helper::MapLookupElem);
    assert_eq!(fault(&key.exit()).1, FaultKind::UninitializedStack { offset: -8 });
}

#[test]
fn endless_programs_are_stopped() {
    let code = Asm::new().add(Insn::goto(-1)).end();
    assert_eq!(fault(&code), (0, FaultKind::Budget));
}

#[test]
fn helpers_get_what_they_expect() {
    let argument = |helper, number, reason| FaultKind::Argument {
        helper,
        number,
        reason,
    };
    let hash_for_ring = Asm::new()
        .map(R1, HASH)
        .add(Insn::mov_imm(R2, 8))
        .add(Insn::mov_imm(R3, 0))
        .call(Helper::RingbufReserve);
    let expected = argument(Helper::RingbufReserve, 1, "is not a map of the right kind");
    assert_eq!(fault(&hash_for_ring.exit()).1, expected);
    let no_context = Asm::new().add(Insn::mov_imm(R1, 0)).call(Helper::GetAttachCookie);
    assert_eq!(
        fault(&no_context.exit()).1,
        argument(Helper::GetAttachCookie, 1, "is not the context")
    );
    let copy = Asm::new()
        .frame(R1, -8)
        .add(Insn::mov_imm(R2, 8))
        .add(Insn::mov_imm(R3, 0))
        .call(Helper::CopyFromUser);
    assert_eq!(
        fault(&copy.exit()).1,
        FaultKind::NotSleepable(Helper::CopyFromUser)
    );
    // A negative size is a huge one.
    let size = Asm::new()
        .frame(R1, -8)
        .add(Insn::mov_imm(R2, -1))
        .add(Insn::mov_imm(R3, 0))
        .call(Helper::ProbeReadUser);
    assert!(matches!(fault(&size.exit()).1, FaultKind::OutOfBounds { .. }));
}
