//! Instruction semantics, after RFC 9669.

use super::*;

const MIN64: u64 = 1 << 63;
const MIN32: u64 = 1 << 31;
const ALL: u64 = u64::MAX;

/// `a op b`, operands in registers.
fn alu(code: u8, off: i16, a: u64, b: u64) -> u64 {
    let insn = Insn {
        off,
        ..Insn::alu_reg(code, R0, R1)
    };
    run(&Asm::new().wide(R0, a).wide(R1, b).add(insn).exit()).unwrap()
}

#[test]
fn arithmetic() {
    let (w, n) = (op::ALU64, op::ALU);
    for (code, off, a, b, expected) in [
        (w | op::ADD, 0, ALL, 2, 1),
        (n | op::ADD, 0, 0xffff_ffff, 2, 1),
        (w | op::SUB, 0, 0, 1, ALL),
        (n | op::SUB, 0, 0, 1, 0xffff_ffff),
        (w | op::MUL, 0, 1 << 33, 1 << 31, 0),
        (n | op::MUL, 0, 0x1_0000_0003, 5, 15),
        (w | op::DIV, 0, ALL, 2, ALL >> 1),
        (w | op::DIV, 0, 7, 0, 0),
        (n | op::DIV, 0, 0xffff_ffff_0000_0007, 2, 3),
        // Only the low half of the divisor counts.
        (n | op::DIV, 0, 7, 1 << 32, 0),
        (w | op::MOD, 0, 7, 0, 7),
        (n | op::MOD, 0, 0xffff_ffff_0000_0007, 0, 7),
        (w | op::DIV, 1, (-7i64) as u64, 2, (-3i64) as u64),
        (w | op::DIV, 1, MIN64, ALL, MIN64),
        (w | op::DIV, 1, 7, 0, 0),
        (n | op::DIV, 1, (-7i32) as u32 as u64, 2, (-3i32) as u32 as u64),
        (n | op::DIV, 1, MIN32, 0xffff_ffff, MIN32),
        (w | op::MOD, 1, (-7i64) as u64, 4, (-3i64) as u64),
        (w | op::MOD, 1, MIN64, ALL, 0),
        (w | op::MOD, 1, (-7i64) as u64, 0, (-7i64) as u64),
        (n | op::MOD, 1, 0xffff_ffff_ffff_fff9, 0, 0xffff_fff9),
        (n | op::MOD, 1, MIN32, 0xffff_ffff, 0),
        (w | op::OR, 0, 5, MIN64 | 2, MIN64 | 7),
        (n | op::OR, 0, MIN64 | 5, 2, 7),
        (w | op::AND, 0, ALL, 0xff00, 0xff00),
        (w | op::XOR, 0, ALL, 1, ALL - 1),
        (n | op::XOR, 0, ALL, 1, 0xffff_fffe),
        (w | op::LSH, 0, 1, 65, 2),
        (n | op::LSH, 0, 1, 33, 2),
        (n | op::LSH, 0, 0x8000_0001, 1, 2),
        (w | op::RSH, 0, MIN64, 127, 1),
        (n | op::RSH, 0, ALL, 31, 1),
        (w | op::ARSH, 0, MIN64, 63, ALL),
        (n | op::ARSH, 0, MIN32, 63, 0xffff_ffff),
        (n | op::ARSH, 0, 0x4000_0000, 30, 1),
        (w | op::MOV, 0, 0, ALL, ALL),
        (n | op::MOV, 0, 0, ALL, 0xffff_ffff),
        (w | op::MOV, 8, 0, 0x80, (-128i64) as u64),
        (w | op::MOV, 16, 0, 0x1_7fff, 0x7fff),
        (w | op::MOV, 32, 0, MIN32, (i32::MIN as i64) as u64),
        (n | op::MOV, 8, 0, 0xff, 0xffff_ffff),
        (n | op::MOV, 16, 0, 0x8000, 0xffff_8000),
    ] {
        assert_eq!(
            alu(code, off, a, b),
            expected,
            "{code:#x}/{off} on {a:#x}, {b:#x}"
        );
    }
}

#[test]
fn immediates_are_sign_extended() {
    let with = |code, imm| run(&Asm::new().wide(R0, 0).add(Insn::alu_imm(code, R0, imm)).exit());
    assert_eq!(with(op::ALU64 | op::OR, -1), Ok(ALL));
    assert_eq!(with(op::ALU | op::OR, -1), Ok(0xffff_ffff));
    let store = Asm::new()
        .add(Insn::store_imm(op::DW, FP, -8, -1))
        .add(Insn::load(op::DW, R0, FP, -8));
    assert_eq!(run(&store.exit()), Ok(ALL));
}

#[test]
fn negation_and_byte_order() {
    let value = 0x1122_3344_5566_7788;
    let unary = |code, imm| {
        run(&Asm::new()
            .wide(R0, value)
            .add(Insn::alu_imm(code, R0, imm))
            .exit())
        .unwrap()
    };
    let end = 0xd0;
    for (code, imm, expected) in [
        (op::ALU64 | op::NEG, 0, value.wrapping_neg()),
        (op::ALU | op::NEG, 0, 0xaa99_8878),
        (op::ALU | end, 16, 0x7788),
        (op::ALU | end, 32, 0x5566_7788),
        (op::ALU | end, 64, value),
        (op::ALU | end | op::X, 16, 0x8877),
        (op::ALU | end | op::X, 32, 0x8877_6655),
        (op::ALU | end | op::X, 64, 0x8877_6655_4433_2211),
        (op::ALU64 | end, 16, 0x8877),
        (op::ALU64 | end, 32, 0x8877_6655),
        (op::ALU64 | end, 64, 0x8877_6655_4433_2211),
    ] {
        assert_eq!(unary(code, imm), expected, "{code:#x} {imm}");
    }
}

#[test]
fn loads_extend_and_stores_cut() {
    let value = 0x8182_8384_8586_8788;
    for (code, expected) in [
        (op::LDX | op::MEM | op::B, 0x88),
        (op::LDX | op::MEM | op::H, 0x8788),
        (op::LDX | op::MEM | op::W, 0x8586_8788),
        (op::LDX | op::MEM | op::DW, value),
        (op::LDX | op::MEMSX | op::B, 0xffff_ffff_ffff_ff88),
        (op::LDX | op::MEMSX | op::H, 0xffff_ffff_ffff_8788),
        (op::LDX | op::MEMSX | op::W, 0xffff_ffff_8586_8788),
    ] {
        let load = Insn {
            code,
            ..Insn::load(op::DW, R0, FP, -8)
        };
        assert_eq!(
            run(&Asm::new().push(-8, value).add(load).exit()),
            Ok(expected),
            "{code:#x}"
        );
    }
    for (size, expected) in [
        (op::B, 0x1111_1111_1111_1188),
        (op::H, 0x1111_1111_1111_8788),
        (op::W, 0x1111_1111_8586_8788),
    ] {
        let code = Asm::new()
            .push(-8, 0x1111_1111_1111_1111)
            .wide(R1, value)
            .add(Insn::store(size, FP, -8, R1))
            .add(Insn::load(op::DW, R0, FP, -8));
        assert_eq!(run(&code.exit()), Ok(expected));
    }
}

/// Whether the jump is taken.
fn is_taken(code: u8, a: u64, b: u64) -> bool {
    let code = Asm::new()
        .wide(R1, a)
        .wide(R2, b)
        .add(Insn::mov_imm(R0, 1))
        .add(Insn::jump_reg(code, R1, R2, 1))
        .add(Insn::mov_imm(R0, 0));
    run(&code.exit()).unwrap() == 1
}

#[test]
fn conditions() {
    // For a below, equal to, above b, and for a = -1, b = 1.
    for (code, expected) in [
        (op::JEQ, [false, true, false, false]),
        (op::JNE, [true, false, true, true]),
        (op::JGT, [false, false, true, true]),
        (op::JGE, [false, true, true, true]),
        (op::JLT, [true, false, false, false]),
        (op::JLE, [true, true, false, false]),
        (op::JSGT, [false, false, true, false]),
        (op::JSGE, [false, true, true, false]),
        (op::JSLT, [true, false, false, true]),
        (op::JSLE, [true, true, false, true]),
    ] {
        let pairs = [(1, 2), (2, 2), (2, 1), (ALL, 1)];
        assert_eq!(
            pairs.map(|(a, b)| is_taken(op::JMP | code, a, b)),
            expected,
            "{code:#x}"
        );
        // 32-bit comparisons do not see the high half.
        let pairs = pairs.map(|(a, b)| (a | 0xabcd << 32, b));
        assert_eq!(
            pairs.map(|(a, b)| is_taken(op::JMP32 | code, a, b)),
            expected,
            "{code:#x} on 32 bits"
        );
    }
    assert!(is_taken(op::JMP | op::JSET, 6, 2));
    assert!(!is_taken(op::JMP | op::JSET, 6, 1));
    assert!(!is_taken(op::JMP32 | op::JSET, 1 << 32, 1 << 32));
}

#[test]
fn long_jump() {
    let gotol = Insn {
        code: op::JMP32 | op::JA,
        imm: 1,
        ..Insn::default()
    };
    let code = Asm::new()
        .add(Insn::mov_imm(R0, 1))
        .add(gotol)
        .add(Insn::mov_imm(R0, 2));
    assert_eq!(run(&code.exit()), Ok(1));
}

/// An atomic operation of `size` on a word holding `old` with `operand` in r1 and `r0`: memory, r1 and r0 after it.
fn atomic(size: u8, imm: i32, old: u64, operand: u64, r0: u64) -> (u64, u64, u64) {
    let insn = Insn {
        code: op::STX | op::ATOMIC | size,
        ..Insn::atomic(imm, R6, 0, R1)
    };
    let code = Asm::new()
        .memory(R6, 0)
        .wide(R1, old)
        .add(Insn::store(op::DW, R6, 0, R1))
        .wide(R1, operand)
        .wide(R0, r0)
        .add(insn)
        .add(Insn::store(op::DW, R6, 8, R1))
        .add(Insn::store(op::DW, R6, 16, R0));
    let mut machine = machine();
    run_on(&mut machine, &code.exit(), "").unwrap();
    let memory = machine.memory.borrow();
    let word = |at: usize| u64::from_le_bytes(memory[at..at + 8].try_into().unwrap());
    (word(0), word(8), word(16))
}

#[test]
fn atomics() {
    let (d, w) = (op::DW, op::W);
    let high = 0xaaaa_aaaa_0000_0000;
    for (size, imm, old, operand, r0, expected) in [
        (d, 0x00, ALL, 3, 9, (2, 3, 9)),
        (d, 0x01, ALL, 3, 9, (2, ALL, 9)),
        (d, 0x40, 5, 2, 9, (7, 2, 9)),
        (d, 0x41, 5, 2, 9, (7, 5, 9)),
        (d, 0x50, 6, 3, 9, (2, 3, 9)),
        (d, 0x51, 6, 3, 9, (2, 6, 9)),
        (d, 0xa0, 6, 3, 9, (5, 3, 9)),
        (d, 0xa1, 6, 3, 9, (5, 6, 9)),
        (d, 0xe1, 6, 3, 9, (3, 6, 9)),
        (d, 0xf1, 6, 3, 6, (3, 3, 6)),
        (d, 0xf1, 6, 3, 9, (6, 3, 6)),
        // The high half of the word stays, results are zero-extended.
        (w, 0x00, high | 0xffff_ffff, 1, 9, (high, 1, 9)),
        (w, 0x01, high | 0xffff_ffff, 1, 9, (high, 0xffff_ffff, 9)),
        (w, 0xe1, high | 6, ALL, 9, (high | 0xffff_ffff, 6, 9)),
        (w, 0xf1, high | 6, 3, 0x1_0000_0006, (high | 3, 3, 6)),
        (w, 0xf1, high | 6, 3, 7, (high | 6, 3, 6)),
    ] {
        assert_eq!(
            atomic(size, imm, old, operand, r0),
            expected,
            "{size:#x} {imm:#x}"
        );
    }
}

#[test]
fn context_is_read_at_its_offsets() {
    let code = Asm::new().add(Insn::load(op::DW, R0, R1, 8));
    assert_eq!(run(&code.exit()), Ok(0x0f0e_0d0c_0b0a_0908));
}
