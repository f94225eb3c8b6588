//! Helpers, after bpf-helpers(7) and the kernel's sources.

use super::*;
use crate::vm::machine::Store;

fn errno(error: i32) -> u64 {
    i64::from(-error) as u64
}

fn update(map: u32, key: u64, value: u64, flags: i32) -> bpf::Program {
    Asm::new()
        .push(-8, key)
        .push(-16, value)
        .map(R1, map)
        .frame(R2, -8)
        .frame(R3, -16)
        .add(Insn::mov_imm(R4, flags))
        .call(Helper::MapUpdateElem)
        .exit()
}

/// Gives the value, or 404 where there is none.
fn lookup(map: u32, key: u64) -> bpf::Program {
    Asm::new()
        .push(-8, key)
        .map(R1, map)
        .frame(R2, -8)
        .call(Helper::MapLookupElem)
        .add(Insn::jump_imm(op::JMP | op::JNE, R0, 0, 2))
        .add(Insn::mov_imm(R0, 404))
        .add(Insn::exit())
        .add(Insn::load(op::DW, R0, R0, 0))
        .exit()
}

fn delete(map: u32, key: u64) -> bpf::Program {
    Asm::new()
        .push(-8, key)
        .map(R1, map)
        .frame(R2, -8)
        .call(Helper::MapDeleteElem)
        .exit()
}

#[test]
fn hash_maps() {
    let vm = &mut machine();
    let mut run = |code: bpf::Program| run_on(vm, &code, "").unwrap();
    assert_eq!(run(lookup(HASH, 1)), 404);
    assert_eq!(run(update(HASH, 1, 10, 2)), errno(libc::ENOENT));
    assert_eq!(run(update(HASH, 1, 10, 1)), 0);
    assert_eq!(run(update(HASH, 1, 11, 1)), errno(libc::EEXIST));
    assert_eq!(run(lookup(HASH, 1)), 10);
    assert_eq!(run(update(HASH, 1, 12, 2)), 0);
    assert_eq!(run(update(HASH, 2, 20, 0)), 0);
    assert_eq!(run(update(HASH, 3, 30, 0)), errno(libc::E2BIG));
    assert_eq!(
        run(update(HASH, 1, 13, 0)),
        0,
        "a full map still takes what is there"
    );
    assert_eq!(run(update(HASH, 1, 13, 3)), errno(libc::EINVAL));
    assert_eq!(run(delete(HASH, 2)), 0);
    assert_eq!(run(delete(HASH, 2)), errno(libc::ENOENT));
    assert_eq!(run(update(HASH, 3, 30, 0)), 0);
    assert_eq!([1, 2, 3].map(|key| run(lookup(HASH, key))), [13, 404, 30]);
}

#[test]
fn per_cpu_maps_hold_a_value_for_each_cpu() {
    let vm = &mut machine();
    run_on(vm, &update(PER_CPU, 1, 10, 0), "cpu=0").unwrap();
    assert_eq!(run_on(vm, &lookup(PER_CPU, 1), "cpu=3"), Ok(0));
    run_on(vm, &update(PER_CPU, 1, 13, 0), "cpu=3").unwrap();
    assert_eq!(run_on(vm, &lookup(PER_CPU, 1), "cpu=0"), Ok(10));
    let Store::Hash(hash) = &vm.maps[PER_CPU as usize] else {
        panic!("no hash map");
    };
    let values: Vec<Vec<u8>> = hash
        .iter()
        .flat_map(|(_, values)| values.map(<[u8]>::to_vec))
        .collect();
    assert_eq!(
        values,
        [10u64, 0, 0, 13].map(|value| value.to_le_bytes().to_vec())
    );
    // The allocator refuses new elements of this kind only.
    assert_eq!(
        run_on(vm, &update(PER_CPU, 2, 1, 1), "nomem"),
        Ok(errno(libc::ENOMEM))
    );
    assert_eq!(run_on(vm, &update(PER_CPU, 1, 1, 0), "nomem"), Ok(0));
    assert_eq!(run_on(vm, &update(HASH, 2, 1, 1), "nomem"), Ok(0));
}

#[test]
fn lru_map_drops_what_was_not_used_longest() {
    let vm = &mut machine();
    let mut run = |code: bpf::Program| run_on(vm, &code, "").unwrap();
    assert_eq!([run(update(LRU, 1, 10, 0)), run(update(LRU, 2, 20, 0))], [0, 0]);
    assert_eq!(run(lookup(LRU, 1)), 10);
    assert_eq!(run(update(LRU, 3, 30, 0)), 0);
    assert_eq!([1, 2, 3].map(|key| run(lookup(LRU, key))), [10, 404, 30]);
}

#[test]
fn removed_element_is_kept_for_who_points_to_it() {
    let vm = &mut machine();
    run_on(vm, &update(HASH, 1, 10, 0), "").unwrap();
    let holder = link(&lookup(HASH, 1)).unwrap();
    let mut held = vm.start(&holder, start(event("")));
    while held.pc() < holder.insns.len() - 2 {
        vm.step(&mut held).unwrap();
    }
    run_on(vm, &delete(HASH, 1), "").unwrap();
    run_on(vm, &update(HASH, 2, 20, 0), "").unwrap();
    assert_eq!(
        vm.finish(&mut held),
        Ok(10),
        "its element was given to another key"
    );
}

#[test]
fn who_where_and_when() {
    let attributes = "pid=5 tid=6 uid=7 gid=8 cpu=3 t=99 nspid=2 nstid=3";
    let value = |helper| run_on(&mut machine(), &Asm::new().call(helper).exit(), attributes).unwrap();
    assert_eq!(value(Helper::GetCurrentPidTgid), 5 << 32 | 6);
    assert_eq!(value(Helper::GetCurrentUidGid), 8 << 32 | 7);
    assert_eq!(value(Helper::GetSmpProcessorId), 3);
    assert_eq!(value(Helper::KtimeGetNs), 99);
    assert_eq!(value(Helper::KtimeGetBootNs), 99);
    assert_eq!(value(Helper::GetAttachCookie), 7);
    let two = Asm::new()
        .call(Helper::GetPrandomU32)
        .add(Insn::mov(R6, R0))
        .call(Helper::GetPrandomU32)
        .add(Insn::alu_imm(op::ALU64 | op::LSH, R0, 32))
        .add(Insn::alu_reg(op::ALU64 | op::OR, R0, R6))
        .exit();
    let random = run(&two).unwrap();
    assert_ne!(random >> 32, random & 0xffff_ffff);
    assert_eq!(run(&two), Ok(random), "the same in every simulation");
}

#[test]
fn namespace_ids() {
    let code = Asm::new()
        .add(Insn::mov_imm(R1, 4))
        .add(Insn::mov_imm(R2, 0x1000))
        .frame(R3, -8)
        .add(Insn::mov_imm(R4, 8))
        .call(Helper::GetNsCurrentPidTgid)
        .add(Insn::load(op::DW, R6, FP, -8))
        .add(Insn::jump_imm(op::JMP | op::JNE, R0, 0, 1))
        .add(Insn::mov(R0, R6))
        .exit();
    let mut vm = machine();
    assert_eq!(run_on(&mut vm, &code, "pid=5 nspid=2 nstid=3"), Ok(2 << 32 | 3));
    vm.namespace = Some(crumbs_compiler::target::PidNamespace { dev: 4, ino: 0x1001 });
    assert_eq!(run_on(&mut vm, &code, "pid=5"), Ok(errno(libc::EINVAL)));
}

#[test]
fn comm_is_cut_and_not_padded() {
    let code = |size| {
        Asm::new()
            .frame(R1, -8)
            .add(Insn::store_imm(op::DW, R1, 0, -1))
            .add(Insn::mov_imm(R2, size))
            .call(Helper::GetCurrentComm)
            .add(Insn::load(op::DW, R0, FP, -8))
            .exit()
    };
    let text = |bytes: &[u8; 8]| Ok(u64::from_le_bytes(*bytes));
    assert_eq!(
        run_on(&mut machine(), &code(8), "comm=dd"),
        text(b"dd\0\xff\xff\xff\xff\xff")
    );
    assert_eq!(
        run_on(&mut machine(), &code(8), "comm=longer-name"),
        text(b"longer-\0")
    );
    assert!(run(&code(0)).is_err());
}

/// Reads `size` bytes at `address` over 8 bytes of `0xee` and gives the result; the bytes are left in memory.
fn read(helper: Helper, size: i32, address: u64) -> bpf::Program {
    Asm::new()
        .memory(R1, 0)
        .wide(R3, 0xeeee_eeee_eeee_eeee)
        .add(Insn::store(op::DW, R1, 0, R3))
        .add(Insn::mov_imm(R2, size))
        .wide(R3, address)
        .call(helper)
        .exit()
}

#[test]
fn reads_of_traced_memory() {
    let attributes = r#"mem[0x7000]="abc\0defg" swapped[0x8000]="swap\0" kmem[0x9000]="kernel\0""#;
    let read = |helper, size, address| {
        let vm = &mut machine();
        let result = run_on(vm, &read(helper, size, address), attributes).unwrap();
        (result, <[u8; 8]>::try_from(&vm.memory.borrow()[..8]).unwrap())
    };
    use Helper::{ProbeReadKernel, ProbeReadKernelStr, ProbeReadUser, ProbeReadUserStr};
    let bad = errno(libc::EFAULT);
    for (helper, size, address, expected) in [
        (ProbeReadUser, 8, 0x7000, (0, *b"abc\0defg")),
        (ProbeReadUser, 4, 0x7004, (0, *b"defg\xee\xee\xee\xee")),
        (ProbeReadUser, 5, 0x7004, (bad, *b"\0\0\0\0\0\xee\xee\xee")),
        (ProbeReadUser, 4, 0x9000, (bad, *b"\0\0\0\0\xee\xee\xee\xee")),
        (ProbeReadUser, 4, 0x8000, (bad, *b"\0\0\0\0\xee\xee\xee\xee")),
        (ProbeReadUser, 0, 0, (0, [0xee; 8])),
        (ProbeReadUserStr, 8, 0x7000, (4, *b"abc\0\xee\xee\xee\xee")),
        (ProbeReadUserStr, 3, 0x7000, (3, *b"ab\0\xee\xee\xee\xee\xee")),
        (
            ProbeReadUserStr,
            8,
            0x7003,
            (1, *b"\0\xee\xee\xee\xee\xee\xee\xee"),
        ),
        (ProbeReadUserStr, 8, 0x7004, (bad, [0; 8])),
        (ProbeReadUserStr, 8, 0x8000, (bad, [0; 8])),
        (ProbeReadKernel, 6, 0x9000, (0, *b"kernel\xee\xee")),
        (ProbeReadKernel, 6, 0x7000, (bad, *b"\0\0\0\0\0\0\xee\xee")),
        (ProbeReadKernelStr, 8, 0x9000, (7, *b"kernel\0\xee")),
    ] {
        assert_eq!(
            read(helper, size, address),
            expected,
            "{helper:?} {size} {address:#x}"
        );
    }
}

#[test]
fn sleepable_programs_read_memory_that_is_not_resident() {
    let mut plan = plan();
    plan.programs[0].sleepable = true;
    let vm = &mut machine();
    let mut run = |code: &bpf::Program| {
        let program = Machine::link(&plan, 0, code).unwrap();
        let mut run = vm.start(&program, start(event("swapped[0x8000]=\"swap\"")));
        vm.finish(&mut run).unwrap()
    };
    assert_eq!(run(&read(Helper::CopyFromUser, 4, 0x8000)), 0);
    assert_eq!(run(&read(Helper::CopyFromUser, 5, 0x8000)), errno(libc::EFAULT));
    assert_eq!(
        run(&read(Helper::ProbeReadUserStr, 4, 0x8000)),
        errno(libc::EFAULT)
    );
}

#[test]
fn kernel_reads_see_the_context() {
    let code = Asm::new()
        .add(Insn::mov(R3, R1))
        .add(Insn::alu_imm(op::ALU64 | op::ADD, R3, 16))
        .frame(R1, -8)
        .add(Insn::mov_imm(R2, 8))
        .call(Helper::ProbeReadKernel)
        .add(Insn::load(op::DW, R0, FP, -8))
        .exit();
    assert_eq!(run(&code), Ok(0x1716_1514_1312_1110));
}

#[test]
fn short_strings_leave_the_stack_behind_them_unwritten() {
    let code = Asm::new()
        .frame(R1, -8)
        .add(Insn::mov_imm(R2, 8))
        .wide(R3, 0x7000)
        .call(Helper::ProbeReadUserStr)
        .add(Insn::load(op::DW, R0, FP, -8))
        .exit();
    let fault = run_on(&mut machine(), &code, "mem[0x7000]=\"ab\\0\"").unwrap_err();
    assert_eq!(fault.kind, FaultKind::UninitializedStack { offset: -5 });
}

/// Outputs `size` bytes of memory.
fn output(size: i32, flags: i32) -> bpf::Program {
    Asm::new()
        .map(R1, RING)
        .memory(R2, 0)
        .add(Insn::mov_imm(R3, size))
        .add(Insn::mov_imm(R4, flags))
        .call(Helper::RingbufOutput)
        .exit()
}

fn pop(vm: &mut Machine) -> Option<Vec<u8>> {
    match &mut vm.maps[RING as usize] {
        Store::Ring { ring, .. } => ring.pop(),
        Store::Hash(_) => None,
    }
}

#[test]
fn ring_output() {
    let vm = &mut machine();
    vm.memory.get_mut()[..3].copy_from_slice(b"abc");
    assert_eq!(run_on(vm, &output(3, 2), ""), Ok(0));
    assert_eq!(run_on(vm, &output(3, 4), ""), Ok(errno(libc::EINVAL)));
    assert_eq!((pop(vm), pop(vm)), (Some(b"abc".to_vec()), None));
    let fits = (0..100)
        .take_while(|_| run_on(vm, &output(56, 0), "") == Ok(0))
        .count();
    assert_eq!(fits, 4096 / 64 - 1);
    assert_eq!(run_on(vm, &output(56, 0), ""), Ok(errno(libc::EAGAIN)));
}

#[test]
fn ring_reserve() {
    let vm = &mut machine();
    let code = Asm::new()
        .map(R1, RING)
        .add(Insn::mov_imm(R2, 9))
        .add(Insn::mov_imm(R3, 0))
        .call(Helper::RingbufReserve)
        .add(Insn::jump_imm(op::JMP | op::JEQ, R0, 0, 4))
        .add(Insn::store_imm(op::DW, R0, 0, 7))
        .add(Insn::mov(R1, R0))
        .add(Insn::mov_imm(R2, 0))
        .call(Helper::RingbufSubmit)
        .exit();
    assert_eq!(run_on(vm, &code, ""), Ok(0));
    // The byte that the program forgot shows.
    assert_eq!(pop(vm), Some(vec![7, 0, 0, 0, 0, 0, 0, 0, 0xa5]));
    let flags = Asm::new()
        .map(R1, RING)
        .add(Insn::mov_imm(R2, 9))
        .add(Insn::mov_imm(R3, 1))
        .call(Helper::RingbufReserve)
        .exit();
    assert_eq!(run_on(vm, &flags, ""), Ok(0));
}
