//! Random programs: valid, terminating, and full of what the optimiser looks for.

use crate::helper::Helper;
use crate::ir::{AtomicOp, BinOp, Builder, Cond, Function, Op, Slot, Value, Width};
use crate::plan::{BpfMapId, ProgramKind};

/// Key and value sizes of the maps that generated programs use. Programs never delete from map 0 and update it with
/// `BPF_NOEXIST` only.
pub(crate) const GENERATED_MAPS: [(usize, usize); 3] = [(8, 8), (8, 8), (16, 16)];

/// Bytes of program memory that they use, from 24 on.
const MEMORY_WORDS: u64 = 4;

/// Random numbers (xorshift64*, Vigna 2016), the same for the same seed.
pub(crate) struct Rng(u64);

impl Rng {
    /// A sequence for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

const BIN_OPS: [BinOp; 11] = [
    BinOp::Add,
    BinOp::Sub,
    BinOp::Mul,
    BinOp::UDiv,
    BinOp::URem,
    BinOp::And,
    BinOp::Or,
    BinOp::Xor,
    BinOp::Shl,
    BinOp::LShr,
    BinOp::AShr,
];

const CONDS: [Cond; 10] = [
    Cond::Eq,
    Cond::Ne,
    Cond::ULt,
    Cond::ULe,
    Cond::UGt,
    Cond::UGe,
    Cond::SLt,
    Cond::SLe,
    Cond::SGt,
    Cond::SGe,
];

const CONSTANTS: [i64; 14] = [0, 1, 2, 3, 5, 8, 31, 63, 64, 255, 0xffff_ffff, -1, -8, i64::MIN];

const WIDTHS: [Width; 4] = [Width::B1, Width::B2, Width::B4, Width::B8];

struct Gen {
    rng: Rng,
    b: Builder,
    /// Numbers that are defined here.
    values: Vec<Value>,
    slots: Vec<(Slot, u32)>,
    /// How many more statements there may be.
    budget: u32,
}

/// A random program of about `size` statements.
pub(crate) fn generate(seed: u64, size: u32) -> Function {
    let mut g = Gen {
        rng: Rng::new(seed),
        b: Builder::new("random".into(), ProgramKind::Kprobe),
        values: Vec::new(),
        slots: Vec::new(),
        budget: size,
    };
    let zero = g.b.iconst(0);
    g.values.push(zero);
    for _ in 0..3 {
        let size = g.rng.pick(&[8, 16, 24]);
        g.slot(size);
    }
    while g.budget > 0 {
        g.statement(0);
    }
    let result = g.value();
    g.b.ret(result);
    g.b.finish()
}

impl Gen {
    /// A new slot, all of it written.
    fn slot(&mut self, size: u32) -> Slot {
        let slot = self.b.slot(size);
        for at in (0..size).step_by(8) {
            let value = self.value();
            let addr = self.b.slot_addr(slot, 0);
            self.b.store(addr, at as i16, Width::B8, value);
        }
        self.slots.push((slot, size));
        slot
    }

    fn value(&mut self) -> Value {
        if self.rng.below(4) == 0 {
            let c = self.rng.pick(&CONSTANTS);
            return self.b.iconst(c);
        }
        // Rather recent values than old ones.
        let n = self.values.len() as u64;
        let at = n - 1 - self.rng.below(n.min(6));
        self.values[at as usize]
    }

    fn statement(&mut self, depth: u32) {
        self.budget = self.budget.saturating_sub(1);
        match self.rng.below(if depth < 3 { 24 } else { 19 }) {
            0..=4 => self.arithmetic(),
            5 => self.stable(),
            6..=9 => self.slot_access(),
            10 => self.memory_access(),
            11 => self.helper_fill(),
            12 => self.send(),
            13..=15 => self.lookup(),
            16 => self.update(),
            17 => self.delete(),
            18 => self.odd_address(),
            19..=21 => self.branch(depth),
            22 => self.loop_(depth),
            _ => self.early_return(),
        }
    }

    fn arithmetic(&mut self) {
        let (a, b) = (self.value(), self.value());
        let value = match self.rng.below(4) {
            0 => {
                let cond = self.rng.pick(&CONDS);
                self.b.cmp(cond, a, b)
            }
            1 if self.rng.below(4) == 0 => self.b.emit(Op::SignedDiv {
                value: a,
                by: self.rng.pick(&[1, 2, 3, -2, 7, 1000, -1000, i32::MAX, i32::MIN]),
                remainder: self.rng.below(2) == 0,
            }),
            1 => self.b.emit(Op::Extend {
                bits: self.rng.pick(&[8, 16, 32]),
                signed: self.rng.below(2) == 0,
                value: a,
            }),
            _ => {
                let op = self.rng.pick(&BIN_OPS);
                self.b.bin(op, a, b)
            }
        };
        self.values.push(value);
    }

    fn stable(&mut self) {
        let value = match self.rng.below(5) {
            0 => self.b.call(Helper::GetCurrentPidTgid, &[]),
            1 => self.b.call(Helper::GetSmpProcessorId, &[]),
            2 => self.b.call(Helper::KtimeGetNs, &[]),
            3 => self.b.call(Helper::GetPrandomU32, &[]),
            _ => self.b.emit(Op::CtxLoad {
                offset: self.rng.below(4) as i16 * 8,
                width: self.rng.pick(&WIDTHS),
                signed: false,
            }),
        };
        self.values.push(value);
    }

    /// An address of `bytes` bytes in some slot, in one of several ways, and what is to be added to it.
    fn place(&mut self, bytes: u32) -> (Value, i16) {
        let (slot, size) = self.rng.pick(&self.slots);
        let at = self.rng.below(u64::from((size - bytes) / bytes) + 1) as u32 * bytes;
        match self.rng.below(3) {
            0 => (self.b.slot_addr(slot, at), 0),
            1 => (self.b.slot_addr(slot, 0), at as i16),
            _ => {
                let base = self.b.slot_addr(slot, 0);
                (self.b.bin_imm(BinOp::Add, base, i64::from(at)), 0)
            }
        }
    }

    fn slot_access(&mut self) {
        let width = self.rng.pick(&WIDTHS);
        let (addr, offset) = self.place(width.bytes());
        if self.rng.below(2) == 0 {
            let value = self.value();
            self.b.store(addr, offset, width, value);
        } else {
            let value = self.b.emit(Op::Load {
                addr,
                offset,
                width,
                signed: width != Width::B8 && self.rng.below(2) == 0,
            });
            self.values.push(value);
        }
    }

    /// An index into a slot that is not known.
    fn odd_address(&mut self) {
        let (slot, size) = self.rng.pick(&self.slots);
        let base = self.b.slot_addr(slot, 0);
        let index = self.value();
        let count = 1 << (size / 8).ilog2();
        let addr = self.b.emit(Op::ElementAddr {
            base,
            index,
            count,
            stride: 8,
        });
        let value = self.value();
        if self.rng.below(2) == 0 {
            self.b.store(addr, 0, Width::B8, value);
        } else {
            let value = self.b.load(addr, 0, Width::B8);
            self.values.push(value);
        }
    }

    fn memory_access(&mut self) {
        let at = 24 + 8 * self.rng.below(MEMORY_WORDS) as u32;
        let addr = self.b.emit(Op::Memory(at));
        let value = self.value();
        match self.rng.below(4) {
            0 => self.b.store(addr, 0, Width::B8, value),
            1 => self.b.atomic(AtomicOp::Add, addr, 0, value),
            2 => {
                let old = self.b.atomic_fetch(AtomicOp::Exchange, addr, 0, value);
                self.values.push(old);
            }
            _ => {
                let value = self.b.load(addr, 0, Width::B8);
                self.values.push(value);
            }
        }
    }

    fn helper_fill(&mut self) {
        let (addr, _) = self.aligned_place(8);
        let len = self.b.iconst(8);
        if self.rng.below(2) == 0 {
            self.b.call_effect(Helper::GetCurrentComm, &[addr, len]);
        } else {
            let from = self.value();
            let result = self.b.call(Helper::ProbeReadUser, &[addr, len, from]);
            self.values.push(result);
        }
    }

    /// The address of `bytes` bytes in some slot that has so many.
    fn aligned_place(&mut self, bytes: u32) -> (Value, Slot) {
        let fits: Vec<(Slot, u32)> = self
            .slots
            .iter()
            .copied()
            .filter(|&(_, size)| size >= bytes)
            .collect();
        let (slot, at) = if fits.is_empty() || self.rng.below(4) == 0 {
            (self.slot(bytes), 0)
        } else {
            let (slot, size) = self.rng.pick(&fits);
            (slot, self.rng.below(u64::from((size - bytes) / 8) + 1) as u32 * 8)
        };
        (self.b.slot_addr(slot, at), slot)
    }

    fn send(&mut self) {
        let (addr, _) = self.aligned_place(8);
        let map = self.b.emit(Op::MapPtr(BpfMapId(0)));
        let (len, flags) = (self.b.iconst(8), self.b.iconst(0));
        self.b
            .call_effect(Helper::RingbufOutput, &[map, addr, len, flags]);
    }

    /// A map pointer, the address of a key in a slot of its own (often the same key), and the map's number.
    fn map_and_key(&mut self) -> (Value, Value, usize) {
        let id = self.rng.pick(&[0, 0, 0, 1, 2]);
        let map = self.b.emit(Op::MapPtr(BpfMapId(id as u32)));
        if self.rng.below(4) == 0 {
            let (key, _) = self.aligned_place(GENERATED_MAPS[id].0 as u32);
            return (map, key, id);
        }
        let slot = self.b.slot(GENERATED_MAPS[id].0 as u32);
        self.slots.push((slot, GENERATED_MAPS[id].0 as u32));
        let key = self.b.slot_addr(slot, 0);
        for at in (0..GENERATED_MAPS[id].0 as i16).step_by(8) {
            if at > 0 {
                let (comm, len) = (self.b.slot_addr(slot, at as u32), self.b.iconst(8));
                self.b.call_effect(Helper::GetCurrentComm, &[comm, len]);
                continue;
            }
            let value = match self.rng.below(3) {
                0 => self.b.call(Helper::GetCurrentPidTgid, &[]),
                1 => self.b.iconst(1),
                _ => self.value(),
            };
            self.b.store(key, at, Width::B8, value);
        }
        (map, key, id)
    }

    fn lookup(&mut self) {
        let (map, key, _) = self.map_and_key();
        let element = self.b.call(Helper::MapLookupElem, &[map, key]);
        let zero = self.b.iconst(0);
        let (found, done) = (self.b.block(), self.b.block());
        let merged = self.b.param(done);
        self.b
            .branch_with(Cond::Ne, element, zero, (found, &[]), (done, &[zero]));
        self.b.switch_to(found);
        let value = if self.rng.below(2) == 0 {
            self.b.load(element, 0, Width::B8)
        } else {
            let one = self.b.iconst(1);
            self.b.atomic_fetch(AtomicOp::Add, element, 0, one)
        };
        self.b.jump(done, &[value]);
        self.b.switch_to(done);
        self.values.push(merged);
    }

    fn update(&mut self) {
        let (map, key, id) = self.map_and_key();
        let (value, _) = self.aligned_place(GENERATED_MAPS[id].1 as u32);
        let flags = self.b.iconst(i64::from(id == 0 || self.rng.below(2) == 0));
        let result = self.b.call(Helper::MapUpdateElem, &[map, key, value, flags]);
        self.values.push(result);
    }

    fn delete(&mut self) {
        let (map, key, id) = self.map_and_key();
        if id != 0 {
            self.b.call_effect(Helper::MapDeleteElem, &[map, key]);
        }
    }

    fn condition(&mut self) -> (Cond, Value, Value) {
        let (a, b) = (self.value(), self.value());
        (self.rng.pick(&CONDS), a, b)
    }

    /// Statements that see the values here, whose own values end with them; a value that they leave behind.
    fn inner(&mut self, depth: u32) -> Value {
        let (values, slots) = (self.values.len(), self.slots.len());
        for _ in 0..self.rng.below(5) {
            self.statement(depth + 1);
        }
        let result = self.value();
        self.values.truncate(values);
        self.slots.truncate(slots);
        result
    }

    fn branch(&mut self, depth: u32) {
        let (cond, a, b) = self.condition();
        let (then, otherwise, done) = (self.b.block(), self.b.block(), self.b.block());
        let merged = self.b.param(done);
        self.b.branch(cond, a, b, then, otherwise);
        for side in [then, otherwise] {
            self.b.switch_to(side);
            let value = self.inner(depth);
            self.b.jump(done, &[value]);
        }
        self.b.switch_to(done);
        self.values.push(merged);
    }

    fn loop_(&mut self, depth: u32) {
        let (head, body, done) = (self.b.block(), self.b.block(), self.b.block());
        let (i, carried) = (self.b.param(head), self.b.param(head));
        let (zero, start) = (self.b.iconst(0), self.value());
        self.b.jump(head, &[zero, start]);
        self.b.switch_to(head);
        let times = 1 + self.rng.below(3) as i64;
        let end = self.b.iconst(times);
        self.b.branch(Cond::ULt, i, end, body, done);
        self.b.switch_to(body);
        self.values.push(carried);
        let next = self.inner(depth);
        self.values.pop();
        let i = self.b.bin_imm(BinOp::Add, i, 1);
        self.b.jump(head, &[i, next]);
        self.b.switch_to(done);
        self.values.push(carried);
    }

    fn early_return(&mut self) {
        let (cond, a, b) = self.condition();
        let (out, on) = (self.b.block(), self.b.block());
        self.b.branch(cond, a, b, out, on);
        self.b.switch_to(out);
        let value = self.value();
        self.b.ret(value);
        self.b.switch_to(on);
    }
}
