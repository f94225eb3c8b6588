//! Runs IR, as its documentation says what it means.

use super::world::{CONTEXT, FRAME_TOP, MAP_BASE, MEMORY_BASE, World};
use crate::ir::{AtomicOp, BinOp, Cond, Function, Home, InstData, Op, Slot, Target, Terminator, Value};

/// Steps after which a program counts as endless.
const FUEL: u32 = 1 << 20;

/// What the function returns.
pub(super) fn run(func: &Function, world: &mut World) -> Result<u64, String> {
    let mut machine = Machine {
        func,
        world,
        values: vec![0; func.values as usize],
    };
    let mut block = func.entry;
    for _ in 0..FUEL {
        let data = &func.blocks[block.0 as usize];
        for inst in &data.insts {
            machine.inst(&func.insts[inst.0 as usize])?;
        }
        let target = match data.terminator.as_ref().unwrap() {
            Terminator::Return(value) => return Ok(machine.get(*value)),
            Terminator::Jump(target) => target,
            Terminator::Branch {
                cond,
                a,
                b,
                then,
                otherwise,
            } => {
                if compare(*cond, machine.get(*a), machine.get(*b)) {
                    then
                } else {
                    otherwise
                }
            }
        };
        machine.enter(target);
        block = target.block;
    }
    Err("endless".into())
}

struct Machine<'a> {
    func: &'a Function,
    world: &'a mut World,
    values: Vec<u64>,
}

impl Machine<'_> {
    fn get(&self, value: Value) -> u64 {
        self.values[value.0 as usize]
    }

    /// All parameters change at once.
    fn enter(&mut self, target: &Target) {
        let args: Vec<u64> = target.args.iter().map(|a| self.get(*a)).collect();
        let params = &self.func.blocks[target.block.0 as usize].params;
        for (param, arg) in params.iter().zip(args) {
            self.values[param.0 as usize] = arg;
        }
    }

    fn slot(&self, slot: Slot) -> u64 {
        match self.func.slots[slot.0 as usize].home {
            Home::Frame(at) => FRAME_TOP.wrapping_add_signed(at.into()),
            home => panic!("{home:?}"),
        }
    }

    fn inst(&mut self, data: &InstData) -> Result<(), String> {
        let result = self.op(&data.op)?;
        if let Some(value) = data.result {
            self.values[value.0 as usize] = result;
        }
        Ok(())
    }

    fn op(&mut self, op: &Op) -> Result<u64, String> {
        Ok(match *op {
            Op::Const(c) => c as u64,
            Op::Bin(op, a, b) => arithmetic(op, self.get(a), self.get(b)),
            Op::Extend { bits, signed, value } => extend(bits.into(), signed, self.get(value)),
            Op::SignedDiv { value, by, remainder } => {
                let (a, b) = (self.get(value) as i64, i64::from(by));
                (if remainder {
                    a.wrapping_rem(b)
                } else {
                    a.wrapping_div(b)
                }) as u64
            }
            Op::Cmp(cond, a, b) => compare(cond, self.get(a), self.get(b)).into(),
            Op::Load {
                addr,
                offset,
                width,
                signed,
            } => {
                let value = self.world.read(self.at(addr, offset), width.bytes())?;
                extend(width.bytes() * 8, signed, value)
            }
            Op::CtxLoad {
                offset,
                width,
                signed,
            } => {
                let value = self
                    .world
                    .read(CONTEXT.wrapping_add_signed(offset.into()), width.bytes())?;
                extend(width.bytes() * 8, signed, value)
            }
            Op::Store {
                addr,
                offset,
                width,
                value,
            } => {
                self.world
                    .write(self.at(addr, offset), width.bytes(), self.get(value))?;
                0
            }
            Op::Atomic {
                op,
                addr,
                offset,
                value,
            } => {
                let at = self.at(addr, offset);
                let (old, operand) = (self.world.read(at, 8)?, self.get(value));
                let new = match op {
                    AtomicOp::Add => old.wrapping_add(operand),
                    AtomicOp::And => old & operand,
                    AtomicOp::Or => old | operand,
                    AtomicOp::Xor => old ^ operand,
                    AtomicOp::Exchange => operand,
                };
                self.world.write(at, 8, new)?;
                old
            }
            Op::CompareExchange {
                addr,
                offset,
                expected,
                new,
            } => {
                let at = self.at(addr, offset);
                let old = self.world.read(at, 8)?;
                if old == self.get(expected) {
                    self.world.write(at, 8, self.get(new))?;
                }
                old
            }
            Op::Ctx => CONTEXT,
            Op::Argument(_) | Op::Callback(_) | Op::CallSubprogram(..) => {
                return Err(format!("{op:?} in a function without callbacks"));
            }
            Op::Memory(offset) => MEMORY_BASE + u64::from(offset),
            Op::MapPtr(map) => MAP_BASE + u64::from(map.0),
            Op::MapSelect { selector, maps } => {
                let map = maps[usize::from(self.get(selector) != 0)];
                MAP_BASE + u64::from(map.0)
            }
            Op::SlotAddr(slot, offset) => self.slot(slot) + u64::from(offset),
            Op::ElementAddr {
                base,
                index,
                count,
                stride,
            } => {
                let index = self.get(index) & u64::from(count - 1);
                self.get(base).wrapping_add(index.wrapping_mul(stride.into()))
            }
            Op::Call(helper, ref args) => {
                let args = args.iter().map(|a| self.get(*a)).collect();
                self.world.call(helper, args)?
            }
            Op::CallBounded {
                helper,
                ref args,
                bounded,
                max,
            } => {
                let mut args: Vec<u64> = args.iter().map(|a| self.get(*a)).collect();
                let arg = &mut args[usize::from(bounded)];
                *arg = (*arg).min(max.into());
                self.world.call(helper, args)?
            }
        })
    }

    fn at(&self, addr: Value, offset: i16) -> u64 {
        self.get(addr).wrapping_add_signed(offset.into())
    }
}

fn extend(bits: u32, signed: bool, value: u64) -> u64 {
    let shift = 64 - bits;
    if signed {
        ((value << shift) as i64 >> shift) as u64
    } else {
        value << shift >> shift
    }
}

fn arithmetic(op: BinOp, a: u64, b: u64) -> u64 {
    match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::UDiv => a.checked_div(b).unwrap_or(0),
        BinOp::URem => a.checked_rem(b).unwrap_or(a),
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => a << (b & 63),
        BinOp::LShr => a >> (b & 63),
        BinOp::AShr => (a as i64 >> (b & 63)) as u64,
    }
}

fn compare(cond: Cond, a: u64, b: u64) -> bool {
    let (x, y) = (a as i64, b as i64);
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::ULt => a < b,
        Cond::ULe => a <= b,
        Cond::UGt => a > b,
        Cond::UGe => a >= b,
        Cond::SLt => x < y,
        Cond::SLe => x <= y,
        Cond::SGt => x > y,
        Cond::SGe => x >= y,
    }
}
