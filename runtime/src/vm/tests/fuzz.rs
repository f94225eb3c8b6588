//! Random programs: whatever they do, the VM says so and does not panic.

use super::*;
use crate::vm::machine::{Run, Step};

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}

/// Most instructions are valid and most registers hold pointers, so that runs get somewhere.
fn program(random: &mut Random) -> bpf::Program {
    let mut code = Asm::new()
        .push(-8, 1)
        .push(-16, 2)
        .memory(R6, 0)
        .map(R7, random.next() as u32 % 5)
        .frame(R2, -8)
        .frame(R3, -16)
        .add(Insn::mov(Reg(8), R1))
        .add(Insn::mov(R1, R7))
        .add(Insn::mov_imm(R4, 8))
        .add(Insn::mov_imm(R5, 0));
    for _ in 0..random.next() % 12 {
        let helper = random.pick(
            crumbs_compiler::helper::HELPERS
                .iter()
                .collect::<Vec<_>>()
                .as_slice(),
        );
        let number = random.next() as i32;
        let imm = random.pick(&[
            0,
            1,
            -1,
            8,
            16,
            64,
            i32::MIN,
            i32::MAX,
            number,
            helper.number as i32,
        ]);
        let raw = Insn {
            code: random.next() as u8,
            dst: random.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            src: random.pick(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 10]),
            off: random.pick(&[0, 0, 1, 2, 3, -8, -16, 8, i16::MIN, i16::MAX]),
            imm,
        };
        code = match random.next() % 4 {
            0 => code.call(helper.helper),
            1 => code.add(Insn::alu_imm(op::ALU64 | op::ADD, Reg(raw.dst), imm)),
            _ => code.add(raw),
        };
    }
    code.exit()
}

#[test]
fn random_programs_do_not_panic() {
    let random = &mut Random(0x1234_5678_9abc_def1);
    let mut vm = machine();
    let start = start(event("mem[0x7000]=\"abc\" nomem"));
    let (mut linked, mut ended) = (0, 0);
    for _ in 0..20_000 {
        let Ok(program) = link(&program(random)) else {
            continue;
        };
        linked += 1;
        let mut run: Run = vm.start(&program, start.clone());
        for _ in 0..1000 {
            match vm.step(&mut run) {
                Ok(Step::Running) => {}
                Ok(Step::Done(_)) => {
                    ended += 1;
                    break;
                }
                Err(_) => break,
            }
        }
    }
    // Else it would be the decoder and the first instructions only that are tested.
    assert!(linked > 2000 && ended > 500, "{linked} linked, {ended} ended");
}
