//! Random IR: arithmetic, memory, calls, branches and loops, all ending after few steps. A seed always gives the same
//! function.

use super::builder;
use super::world::MEMORY_SIZE;
use crate::helper::Helper;
use crate::ir::{AtomicOp, BinOp, Block, Builder, Cond, Function, Op, Slot, Value, Width};
use crate::plan::BpfMapId;

/// What kind of function is wanted.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// About how many statements.
    pub(super) statements: u32,
    /// How many values stay in use to the end at most.
    pub(super) live: usize,
    /// Only what the kernel accepts of a `tc` program, with a result that depends on nothing but the code.
    pub(super) kernel: bool,
}

pub(super) fn generate(seed: u64, shape: Shape) -> Function {
    let mut generator = Generator {
        rng: Rng(seed),
        b: builder(),
        shape,
        scalars: Vec::new(),
        places: Vec::new(),
        slots: Vec::new(),
        left: shape.statements,
        loops: 0,
    };
    generator.function();
    generator.b.finish()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A pointer aligned to 8 and the bytes around it that may be accessed.
#[derive(Clone, Copy)]
struct Place {
    addr: Value,
    before: i64,
    after: i64,
    /// Whether it points into the frame, where the kernel wants constant offsets.
    frame: bool,
}

struct Generator {
    rng: Rng,
    b: Builder,
    shape: Shape,
    /// Values that may be used here.
    scalars: Vec<Value>,
    places: Vec<Place>,
    slots: Vec<Slot>,
    left: u32,
    /// How many loops are around here.
    loops: u32,
}

const CONSTANTS: &[i64] = &[
    0,
    1,
    -1,
    2,
    7,
    8,
    63,
    64,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0xffff_0000,
    0x1_0000_0000,
    -0x8000_0000,
    -0x8000_0001,
    i64::MAX,
    i64::MIN,
    0x0123_4567_89ab_cdef,
];
const BIN: &[BinOp] = &[
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
const CONDS: &[Cond] = &[
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
const WIDTHS: &[Width] = &[Width::B1, Width::B2, Width::B4, Width::B8];
const ATOMICS: &[AtomicOp] = &[
    AtomicOp::Add,
    AtomicOp::And,
    AtomicOp::Or,
    AtomicOp::Xor,
    AtomicOp::Exchange,
];
/// Bytes of a slot.
const SLOT: u32 = 16;

impl Generator {
    fn function(&mut self) {
        let zero = self.b.iconst(0);
        for _ in 0..3 {
            let slot = self.b.slot(SLOT);
            self.slots.push(slot);
            for at in (0..SLOT).step_by(8) {
                let addr = self.b.slot_addr(slot, at);
                self.b.store(addr, 0, Width::B8, zero);
            }
        }
        for _ in 0..2 {
            let value = self.context_read();
            self.scalars.push(value);
        }
        self.place();
        while self.left > 0 {
            self.statement();
        }
        let result = self.digest();
        self.b.ret(result);
    }

    /// A number that depends on the values in use.
    fn digest(&mut self) -> Value {
        let mut sum = self.b.iconst(1);
        let live = self.scalars.len().min(self.shape.live);
        for i in self.scalars.len() - live..self.scalars.len() {
            let product = self.b.bin_imm(BinOp::Mul, sum, 31);
            sum = self.b.bin(BinOp::Add, product, self.scalars[i]);
        }
        // The kernel returns the low half only.
        let high = self.b.bin_imm(BinOp::LShr, sum, 32);
        self.b.bin(BinOp::Xor, sum, high)
    }

    fn constant(&mut self) -> Value {
        let value = if self.rng.chance(70) {
            self.rng.pick(CONSTANTS)
        } else {
            self.rng.next() as i64 >> self.rng.below(64)
        };
        self.b.iconst(value)
    }

    fn scalar(&mut self) -> Value {
        if self.rng.chance(25) {
            return self.constant();
        }
        // Recent ones more often, but old ones too, so that values live long.
        let n = self.scalars.len();
        let i = if self.rng.chance(60) {
            n - 1 - self.rng.below(n.min(6))
        } else {
            self.rng.below(n)
        };
        self.scalars[i]
    }

    fn context_read(&mut self) -> Value {
        if self.shape.kernel {
            // `len` of `struct __sk_buff`.
            return self.b.emit(Op::CtxLoad {
                offset: 0,
                width: Width::B4,
                signed: false,
            });
        }
        let width = self.rng.pick(WIDTHS);
        self.b.emit(Op::CtxLoad {
            offset: self.rng.below(8) as i16 * 8,
            width,
            signed: width != Width::B8 && self.rng.chance(50),
        })
    }

    /// A new pointer.
    fn place(&mut self) {
        let (addr, before, size, frame) = match self.rng.below(4) {
            0 => {
                let slot = self.rng.pick(&self.slots);
                let at = self.rng.below(2) as u32 * 8;
                (self.b.slot_addr(slot, at), at, SLOT, true)
            }
            1 => {
                let at = self.rng.below(MEMORY_SIZE / 8) as u32 * 8;
                (self.b.emit(Op::Memory(at)), at, MEMORY_SIZE as u32, false)
            }
            2 if !self.places.is_empty() => {
                let Place {
                    addr,
                    before,
                    after,
                    frame,
                } = self.rng.pick(&self.places);
                let by = self.rng.below(((before + after) / 8) as usize) as i64 * 8 - before;
                let addr = if self.rng.chance(50) {
                    self.b.bin_imm(BinOp::Add, addr, by)
                } else {
                    self.b.bin_imm(BinOp::Sub, addr, -by)
                };
                (addr, (before + by) as u32, (before + after) as u32, frame)
            }
            _ => {
                let (count, stride) = self.rng.pick(&[(1, 64), (2, 8), (8, 24), (16, 64), (4, 1000)]);
                let base = self.b.emit(Op::Memory(self.rng.below(8) as u32 * 8));
                let index = self.scalar();
                let addr = self.b.emit(Op::ElementAddr {
                    base,
                    index,
                    count,
                    stride,
                });
                (addr, 0, stride & !7, false)
            }
        };
        self.places.push(Place {
            addr,
            before: before.into(),
            after: i64::from(size - before),
            frame,
        });
    }

    /// A pointer and an offset that `width` bytes may be accessed at.
    fn somewhere(&mut self, width: Width) -> (Value, i16) {
        let Place {
            addr, before, after, ..
        } = self.rng.pick(&self.places);
        let bytes = i64::from(width.bytes());
        let near = before.min(64)..after.min(64);
        let steps = (near.start + near.end) / bytes;
        let offset = self.rng.below(steps as usize) as i64 * bytes - near.start;
        (addr, offset as i16)
    }

    fn statement(&mut self) {
        self.left = self.left.saturating_sub(1);
        match self.rng.below(20) {
            0..=5 => {
                let (op, a, b) = (self.rng.pick(BIN), self.scalar(), self.scalar());
                let value = self.b.bin(op, a, b);
                self.scalars.push(value);
            }
            6 => {
                let value = self.extend();
                self.scalars.push(value);
            }
            7 => {
                let (a, b) = self.compared();
                let value = self.b.cmp(self.rng.pick(CONDS), a, b);
                self.scalars.push(value);
            }
            8 => self.place(),
            9 => {
                let value = self.context_read();
                self.scalars.push(value);
            }
            10..=13 => self.memory(),
            14 | 15 => self.call(),
            16 | 17 => self.branch(),
            18 => self.skip(),
            _ => self.repeat(),
        }
    }

    fn memory(&mut self) {
        let width = self.rng.pick(WIDTHS);
        match self.rng.below(5) {
            0 => {
                let (addr, offset) = self.somewhere(width);
                let signed = width != Width::B8 && self.rng.chance(40);
                let value = self.b.emit(Op::Load {
                    addr,
                    offset,
                    width,
                    signed,
                });
                self.scalars.push(value);
            }
            1 | 2 => {
                let (addr, offset) = self.somewhere(width);
                let value = self.scalar();
                self.b.store(addr, offset, width, value);
            }
            3 => {
                let (addr, offset) = self.somewhere(Width::B8);
                let (op, value) = (self.rng.pick(ATOMICS), self.scalar());
                if self.rng.chance(50) {
                    self.b.atomic(op, addr, offset, value);
                } else {
                    let old = self.b.atomic_fetch(op, addr, offset, value);
                    self.scalars.push(old);
                }
            }
            _ => {
                let (addr, offset) = self.somewhere(Width::B8);
                let (expected, new) = (self.scalar(), self.scalar());
                let old = self.b.emit(Op::CompareExchange {
                    addr,
                    offset,
                    expected,
                    new,
                });
                self.scalars.push(old);
            }
        }
    }

    fn map(&mut self) -> Value {
        if self.rng.chance(50) {
            return self.b.emit(Op::MapPtr(BpfMapId(self.rng.below(2) as u32)));
        }
        let selector = self.scalar();
        self.b.emit(Op::MapSelect {
            selector,
            maps: [BpfMapId(0), BpfMapId(1)],
        })
    }

    /// A pointer to 8 bytes of the frame.
    fn key(&mut self) -> Value {
        let slot = self.rng.pick(&self.slots);
        self.b.slot_addr(slot, self.rng.below(2) as u32 * 8)
    }

    /// What a helper answered, which only the interpreters agree about.
    fn answer(&mut self, value: Value) {
        let value = if self.shape.kernel {
            self.b.bin_imm(BinOp::And, value, 0)
        } else {
            value
        };
        self.scalars.push(value);
    }

    fn call(&mut self) {
        match self.rng.below(5) {
            0 => {
                let value = self.b.call(Helper::GetSmpProcessorId, &[]);
                self.answer(value);
            }
            1 => {
                let args = [self.map(), self.key(), self.key(), self.b.iconst(0)];
                if self.rng.chance(50) {
                    self.b.call_effect(Helper::MapUpdateElem, &args);
                } else {
                    let error = self.b.call(Helper::MapUpdateElem, &args);
                    self.answer(error);
                }
            }
            2 => {
                let (to, size) = (self.key(), self.scalar());
                let from = if self.shape.kernel {
                    self.b.iconst(0)
                } else {
                    self.scalar()
                };
                let error = self.b.emit(Op::CallBounded {
                    helper: Helper::ProbeReadKernel,
                    args: [to, size, from].into(),
                    bounded: 1,
                    max: 8,
                });
                self.answer(error);
            }
            _ => self.lookup(),
        }
    }

    fn lookup(&mut self) {
        let args = [self.map(), self.key()];
        let found = self.b.call(Helper::MapLookupElem, &args);
        let [some, join] = std::array::from_fn(|_| self.b.block());
        let result = self.b.param(join);
        let zero = self.b.iconst(0);
        if self.rng.chance(50) {
            self.b
                .branch_with(Cond::Ne, found, zero, (some, &[]), (join, &[zero]));
        } else {
            self.b
                .branch_with(Cond::Eq, found, zero, (join, &[zero]), (some, &[]));
        }
        self.b.switch_to(some);
        let value = self.scalar();
        let old = self.b.atomic_fetch(AtomicOp::Add, found, 0, value);
        self.b.jump(join, &[old]);
        self.b.switch_to(join);
        self.answer(result);
    }

    fn extend(&mut self) -> Value {
        let value = self.scalar();
        if self.rng.chance(15) {
            let by = self.rng.pick(&[1, 2, 3, -2, 7, 1000, -1000, i32::MAX, i32::MIN]);
            return self.b.emit(Op::SignedDiv {
                value,
                by,
                remainder: self.rng.chance(50),
            });
        }
        self.b.emit(Op::Extend {
            bits: self.rng.pick(&[8, 16, 32, 32]),
            signed: self.rng.chance(50),
            value,
        })
    }

    /// Two values that are worth comparing: often near each other.
    fn compared(&mut self) -> (Value, Value) {
        let (a, b) = match self.rng.below(4) {
            0 => (self.extend(), self.constant()),
            1 => {
                let value = self.scalar();
                let few = self.b.bin_imm(BinOp::And, value, 3);
                let near = self.rng.below(4) as i64;
                (few, self.b.iconst(near))
            }
            _ => (self.scalar(), self.scalar()),
        };
        if self.rng.chance(50) { (a, b) } else { (b, a) }
    }

    /// What a branch asks.
    fn condition(&mut self) -> (Cond, Value, Value) {
        let (a, b) = self.compared();
        match self.rng.below(3) {
            0 => (self.rng.pick(CONDS), a, b),
            1 => {
                let cmp = self.b.cmp(self.rng.pick(CONDS), a, b);
                let zero = self.b.iconst(0);
                (self.rng.pick(&[Cond::Eq, Cond::Ne]), cmp, zero)
            }
            _ => {
                let both = self.b.bin(BinOp::And, a, b);
                let zero = self.b.iconst(0);
                (self.rng.pick(&[Cond::Eq, Cond::Ne]), both, zero)
            }
        }
    }

    fn some_scalars(&mut self, n: usize) -> Vec<Value> {
        (0..n).map(|_| self.scalar()).collect()
    }

    /// Adds statements whose values are forgotten afterwards.
    fn nested(&mut self, n: usize) {
        for _ in 0..n {
            if self.left > 0 {
                self.statement();
            }
        }
    }

    /// `if … else …` with values of either side.
    fn branch(&mut self) {
        let (cond, a, b) = self.condition();
        let [then, otherwise, join] = std::array::from_fn(|_| self.b.block());
        let width = self.rng.below(8);
        let params: Vec<Value> = (0..width).map(|_| self.b.param(join)).collect();
        self.b.branch(cond, a, b, then, otherwise);
        for side in [then, otherwise] {
            self.b.switch_to(side);
            let (scalars, places) = (self.scalars.len(), self.places.len());
            let n = self.rng.below(4);
            self.nested(n);
            if self.rng.chance(5) {
                let result = self.digest();
                self.b.ret(result);
            } else {
                let args = self.some_scalars(width);
                self.b.jump(join, &args);
            }
            self.scalars.truncate(scalars);
            self.places.truncate(places);
        }
        self.b.switch_to(join);
        self.scalars.extend(params);
    }

    /// A branch both of whose sides go to the same block, with other values.
    fn skip(&mut self) {
        let (cond, a, b) = self.condition();
        let join = self.b.block();
        let width = self.rng.below(5);
        let params: Vec<Value> = (0..width).map(|_| self.b.param(join)).collect();
        let (then, otherwise) = (self.some_scalars(width), self.some_scalars(width));
        self.b.branch_with(cond, a, b, (join, &then), (join, &otherwise));
        self.b.switch_to(join);
        self.scalars.extend(params);
    }

    /// A loop of a few rounds that hands values around, in another order each round.
    fn repeat(&mut self) {
        if self.loops >= 2 || (self.shape.kernel && self.loops >= 1) {
            return;
        }
        let [head, body, out] = std::array::from_fn(|_| self.b.block());
        let counter = self.b.param(head);
        let width = 1 + self.rng.below(if self.shape.kernel { 4 } else { 10 });
        let params: Vec<Value> = (0..width).map(|_| self.b.param(head)).collect();
        let rounds = 1 + self.rng.below(4) as i64;
        let zero = self.b.iconst(0);
        let args = self.some_scalars(width);
        self.jump_with(head, zero, args);
        self.b.switch_to(head);
        let limit = self.b.iconst(rounds);
        self.b.branch(Cond::SLt, counter, limit, body, out);
        self.b.switch_to(body);
        let (scalars, places) = (self.scalars.len(), self.places.len());
        self.scalars.extend(&params);
        self.loops += 1;
        let n = self.rng.below(6);
        self.nested(n);
        self.loops -= 1;
        let next = self.b.bin_imm(BinOp::Add, counter, 1);
        let args = (0..width)
            .map(|_| {
                if self.rng.chance(70) {
                    self.rng.pick(&params)
                } else {
                    self.scalar()
                }
            })
            .collect();
        self.jump_with(head, next, args);
        self.scalars.truncate(scalars);
        self.places.truncate(places);
        self.b.switch_to(out);
        self.scalars.extend(params);
    }

    fn jump_with(&mut self, to: Block, first: Value, mut rest: Vec<Value>) {
        rest.insert(0, first);
        self.b.jump(to, &rest);
    }
}
