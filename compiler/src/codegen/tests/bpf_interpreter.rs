//! Runs BPF code, after the kernel's instruction set document, and refuses some of what the kernel's verifier refuses:
//! registers read before they are written or after a call has destroyed them, a written frame pointer, a context
//! reached through anything but the pointer as it came, accesses outside the declared frame.

use super::world::{CONTEXT, FRAME_TOP, MAP_BASE, MEMORY_BASE, World};
use crate::bpf::{Insn, Program, RelocTarget, op};
use crate::helper::Helper;

/// Steps after which a program counts as endless.
const FUEL: u32 = 1 << 22;

/// What the program returns.
pub(super) fn run(program: &Program, world: &mut World) -> Result<u64, String> {
    let mut machine = Machine {
        program,
        world,
        regs: [None; 11],
        next: 0,
    };
    machine.regs[1] = Some(CONTEXT);
    machine.regs[10] = Some(FRAME_TOP);
    for _ in 0..FUEL {
        let at = machine.next;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(result)) => return Ok(result),
            Err(reason) => return Err(format!("instruction {at}: {reason}")),
        }
    }
    Err("endless".into())
}

struct Machine<'a> {
    program: &'a Program,
    world: &'a mut World,
    regs: [Option<u64>; 11],
    next: usize,
}

impl Machine<'_> {
    fn get(&self, reg: u8) -> Result<u64, String> {
        self.regs[usize::from(reg)].ok_or_else(|| format!("r{reg} holds nothing"))
    }

    fn set(&mut self, reg: u8, value: u64) -> Result<(), String> {
        if reg > 9 {
            return Err(format!("r{reg} is written"));
        }
        self.regs[usize::from(reg)] = Some(value);
        Ok(())
    }

    fn right(&self, insn: Insn) -> Result<u64, String> {
        if insn.code & op::X != 0 {
            self.get(insn.src)
        } else {
            Ok(i64::from(insn.imm) as u64)
        }
    }

    fn step(&mut self) -> Result<Option<u64>, String> {
        let at = self.next;
        let insn = *self.program.insns.get(at).ok_or("runs off the end")?;
        self.next += 1;
        match insn.class() {
            op::ALU | op::ALU64 => self.alu(insn)?,
            op::JMP | op::JMP32 => return self.jump(insn),
            op::LD if insn.is_wide() => {
                let high = self.program.insns[at + 1];
                self.next += 1;
                let imm = u64::from(insn.imm as u32) | (u64::from(high.imm as u32) << 32);
                let value = match self.program.reloc(at) {
                    None => imm,
                    Some(RelocTarget::Map(map)) => MAP_BASE + u64::from(map.0),
                    Some(RelocTarget::Memory(offset)) if imm == u64::from(offset) => MEMORY_BASE + imm,
                    Some(target) => return Err(format!("{target:?} with an immediate of {imm}")),
                };
                self.set(insn.dst, value)?;
            }
            op::LDX if insn.code & 0xe0 == op::MEM => {
                let addr = self.address(insn.src, insn)?;
                let value = self.world.read(addr, size(insn))?;
                self.set(insn.dst, value)?;
            }
            op::ST if insn.code & 0xe0 == op::MEM => {
                let addr = self.address(insn.dst, insn)?;
                self.world.write(addr, size(insn), i64::from(insn.imm) as u64)?;
            }
            op::STX if insn.code & 0xe0 == op::MEM => {
                let addr = self.address(insn.dst, insn)?;
                let value = self.get(insn.src)?;
                self.world.write(addr, size(insn), value)?;
            }
            op::STX if insn.code == op::STX | op::ATOMIC | op::DW => self.atomic(insn)?,
            _ => return Err(format!("{insn:?} is unknown")),
        }
        Ok(None)
    }

    fn address(&self, base: u8, insn: Insn) -> Result<u64, String> {
        let base = self.get(base)?;
        let addr = base.wrapping_add_signed(insn.off.into());
        if (CONTEXT..CONTEXT + 4096).contains(&addr) && base != CONTEXT {
            return Err("reaches the context through another pointer".into());
        }
        let bottom = FRAME_TOP - u64::from(self.program.frame);
        if (FRAME_TOP - 4096..bottom).contains(&addr) {
            return Err("is below the declared frame".into());
        }
        Ok(addr)
    }

    fn alu(&mut self, insn: Insn) -> Result<(), String> {
        let half = insn.class() == op::ALU;
        let operation = insn.code & 0xf0;
        let mut b = self.right(insn)?;
        let mut a = if operation == op::MOV {
            0
        } else {
            self.get(insn.dst)?
        };
        if half {
            a = u64::from(a as u32);
            b = u64::from(b as u32);
        }
        let shift = b & if half { 31 } else { 63 };
        let value = match operation {
            op::ADD => a.wrapping_add(b),
            op::SUB => a.wrapping_sub(b),
            op::MUL => a.wrapping_mul(b),
            op::DIV | op::MOD if b == 0 && insn.code & op::X == 0 => {
                return Err("divides by an immediate 0".into());
            }
            op::DIV if insn.off == 1 => (a as i64).wrapping_div(b as i64) as u64,
            op::MOD if insn.off == 1 => (a as i64).wrapping_rem(b as i64) as u64,
            op::DIV => a.checked_div(b).unwrap_or(0),
            op::MOD => a.checked_rem(b).unwrap_or(a),
            op::AND => a & b,
            op::OR => a | b,
            op::XOR => a ^ b,
            op::MOV => b,
            op::LSH => a << shift,
            op::RSH => a >> shift,
            op::ARSH if half => ((a as i32) >> shift) as u64,
            op::ARSH => ((a as i64) >> shift) as u64,
            _ => return Err(format!("{insn:?} is unknown")),
        };
        self.set(insn.dst, if half { u64::from(value as u32) } else { value })
    }

    fn atomic(&mut self, insn: Insn) -> Result<(), String> {
        let addr = self.address(insn.dst, insn)?;
        let old = self.world.read(addr, 8)?;
        let operand = self.get(insn.src)?;
        match insn.imm {
            op::CMPXCHG => {
                if self.get(0)? == old {
                    self.world.write(addr, 8, operand)?;
                }
                return self.set(0, old);
            }
            op::XCHG => {
                self.world.write(addr, 8, operand)?;
                return self.set(insn.src, old);
            }
            _ => {}
        }
        let new = match (insn.imm & !op::FETCH) as u8 {
            op::ADD => old.wrapping_add(operand),
            op::AND => old & operand,
            op::OR => old | operand,
            op::XOR => old ^ operand,
            _ => return Err(format!("{insn:?} is unknown")),
        };
        self.world.write(addr, 8, new)?;
        if insn.imm & op::FETCH != 0 {
            self.set(insn.src, old)?;
        }
        Ok(())
    }

    fn jump(&mut self, insn: Insn) -> Result<Option<u64>, String> {
        let operation = insn.code & 0xf0;
        let taken = match operation {
            op::EXIT => return self.get(0).map(Some),
            op::CALL => {
                self.call(insn.imm as u32)?;
                false
            }
            op::JA => true,
            _ => {
                let (mut a, mut b) = (self.get(insn.dst)?, self.right(insn)?);
                if insn.class() == op::JMP32 {
                    a = i64::from(a as i32) as u64;
                    b = i64::from(b as i32) as u64;
                    // Sign extension keeps the order of unsigned halves too.
                }
                holds(operation, a, b).ok_or_else(|| format!("{insn:?} is unknown"))?
            }
        };
        if taken {
            let target = self.next as i64 + i64::from(insn.off);
            self.next = usize::try_from(target).map_err(|_| "jumps before the start")?;
        }
        Ok(None)
    }

    fn call(&mut self, number: u32) -> Result<(), String> {
        let helper = Helper::by_number(number).ok_or("no such helper")?;
        let args = (1..=helper.row().args.len() as u8)
            .map(|reg| self.get(reg))
            .collect::<Result<_, _>>()?;
        let result = self.world.call(helper, args)?;
        self.regs[..6].fill(None);
        self.set(0, result)
    }
}

fn holds(operation: u8, a: u64, b: u64) -> Option<bool> {
    let (x, y) = (a as i64, b as i64);
    Some(match operation {
        op::JEQ => a == b,
        op::JNE => a != b,
        op::JSET => a & b != 0,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JLT => a < b,
        op::JLE => a <= b,
        op::JSGT => x > y,
        op::JSGE => x >= y,
        op::JSLT => x < y,
        op::JSLE => x <= y,
        _ => return None,
    })
}

fn size(insn: Insn) -> u32 {
    match insn.code & 0x18 {
        op::B => 1,
        op::H => 2,
        op::W => 4,
        _ => 8,
    }
}
