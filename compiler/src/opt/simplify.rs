//! Folding and algebraic simplification, one instruction at a time.
//!
//! In: any function. Out: the same with every instruction in its simplest form: constants evaluated and on the right,
//! additions of constants merged and moved into offsets, divisions by powers of two made shifts, extensions of what
//! is already extended gone, branches on a comparison's truth made branches on the comparison. Blocks are visited in
//! reverse postorder, so operands are in simplest form before their users; only block parameters are unknown.

use super::bits::{self, eval_bin, eval_extend, eval_signed_div, fill, low};
use super::bounds::Bounds;
use super::compare::{self, Comparison};
use super::edit::{Substitution, new_inst, new_value};
use crate::ir::cfg::Cfg;
use crate::ir::{BinOp, Function, Inst, Op, Terminator, Value};
use crumbs_grammar::span::Span;
use rustc_hash::FxHashMap;

/// Simplifies every instruction and terminator. Says whether anything changed.
pub(crate) fn run(func: &mut Function, cfg: &Cfg) -> bool {
    let mut cx = Cx::new(func);
    for &block in &cfg.order {
        for k in 0..cx.func.blocks[block.0 as usize].insts.len() {
            let inst = cx.func.blocks[block.0 as usize].insts[k];
            cx.inst(inst);
        }
        if let Some(mut terminator) = cx.func.blocks[block.0 as usize].terminator.take() {
            terminator.map_operands(|v| cx.replaced.get(v));
            let terminator = cx.terminator(terminator);
            cx.func.blocks[block.0 as usize].terminator = Some(terminator);
        }
    }
    cx.finish()
}

/// What an instruction turned out to be.
enum Outcome {
    /// In its simplest form.
    Same,
    /// The same as a value that there is already.
    Value(Value),
    /// A constant.
    Const(i64),
    /// Simpler than it was.
    Op(Op),
}

/// State of the pass.
pub(crate) struct Cx<'f> {
    func: &'f mut Function,
    bounds: Bounds,
    replaced: Substitution,
    /// The instruction that defines a value, once visited.
    defs: Vec<Option<Inst>>,
    /// The bits that can be set, by value.
    possible: Vec<u64>,
    /// Constants made by this pass; they will stand at the top of the entry block.
    made: FxHashMap<i64, Value>,
    prologue: Vec<Inst>,
    changed: bool,
}

impl<'f> Cx<'f> {
    fn new(func: &'f mut Function) -> Self {
        let values = func.values as usize;
        Self {
            bounds: Bounds::new(func),
            replaced: Substitution::new(func),
            defs: vec![None; values],
            possible: vec![u64::MAX; values],
            made: FxHashMap::default(),
            prologue: Vec::new(),
            changed: false,
            func,
        }
    }

    fn finish(self) -> bool {
        let changed = self.replaced.apply(self.func) | self.changed;
        let entry = self.func.entry.0 as usize;
        self.func.blocks[entry].insts.splice(0..0, self.prologue);
        changed
    }

    /// The operation that defines `value`, if visited already.
    pub(crate) fn def(&self, value: Value) -> Option<&Op> {
        self.defs[value.0 as usize].map(|inst| &self.func.insts[inst.0 as usize].op)
    }

    /// The constant that `value` is.
    pub(crate) fn constant(&self, value: Value) -> Option<i64> {
        match self.def(value) {
            Some(Op::Const(c)) => Some(*c),
            _ => None,
        }
    }

    /// The bits that can be set in `value`.
    pub(crate) fn possible(&self, value: Value) -> u64 {
        self.possible[value.0 as usize]
    }

    /// A value that is `c`, usable anywhere.
    pub(crate) fn make_const(&mut self, c: i64) -> Value {
        if let Some(&value) = self.made.get(&c) {
            return value;
        }
        let value = new_value(self.func);
        let inst = new_inst(self.func, Op::Const(c), Some(value), Span::default());
        self.prologue.push(inst);
        self.defs.push(Some(inst));
        self.possible.push(c as u64);
        self.made.insert(c, value);
        value
    }

    fn inst(&mut self, inst: Inst) {
        let data = &mut self.func.insts[inst.0 as usize];
        data.op.map_operands(|v| self.replaced.get(v));
        let result = data.result;
        // Every step makes the operation simpler; the bound only guards against rules that undo each other.
        for _ in 0..16 {
            let op = self.func.insts[inst.0 as usize].op;
            let outcome = self.simplify(&op, result);
            let op = match outcome {
                Outcome::Same => break,
                Outcome::Value(value) => {
                    if let Some(result) = result {
                        self.replaced.set(result, value);
                        self.changed = true;
                    }
                    return;
                }
                Outcome::Const(c) => Op::Const(c),
                Outcome::Op(op) => op,
            };
            self.func.insts[inst.0 as usize].op = op;
            self.changed = true;
        }
        if let Some(result) = result {
            let op = &self.func.insts[inst.0 as usize].op;
            let mask = bits::possible(op, |v| self.possible(v), |v| self.constant(v));
            self.possible[result.0 as usize] = mask;
            self.defs[result.0 as usize] = Some(inst);
        }
    }

    fn simplify(&mut self, op: &Op, result: Option<Value>) -> Outcome {
        // A mask that a bound rests on is never taken for redundant.
        let is_bound = result.is_some_and(|r| self.bounds.contains(r));
        match *op {
            Op::Bin(op, a, b) => match (self.constant(a), self.constant(b)) {
                (Some(ca), Some(cb)) => Outcome::Const(eval_bin(op, ca, cb)),
                (Some(_), None) if is_commutative(op) => Outcome::Op(Op::Bin(op, b, a)),
                (_, Some(c)) => self.bin_const(op, a, c, is_bound),
                (Some(0), None) if !matches!(op, BinOp::Sub) => Outcome::Const(0),
                _ => same_operands(op, a, b),
            },
            Op::Extend { bits, signed, value } => self.extend(bits, signed, value, is_bound),
            Op::SignedDiv { value, by, remainder } => self.signed_div(value, by, remainder),
            Op::Cmp(cond, a, b) => match compare::simplify(self, cond, a, b) {
                Comparison::Same => self.truth(op),
                Comparison::Known(truth) => Outcome::Const(i64::from(truth)),
                Comparison::Of(cond, a, b) => Outcome::Op(Op::Cmp(cond, a, b)),
            },
            Op::MapSelect { selector, maps } => match self.constant(selector) {
                Some(c) => Outcome::Op(Op::MapPtr(maps[usize::from(c != 0)])),
                None => Outcome::Same,
            },
            Op::ElementAddr {
                base,
                index,
                count,
                stride,
            } => match self.constant(index) {
                _ if count == 1 => Outcome::Value(base),
                Some(c) => {
                    let element = c & (i64::from(count) - 1);
                    let offset = self.make_const(element * i64::from(stride));
                    Outcome::Op(Op::Bin(BinOp::Add, base, offset))
                }
                None => Outcome::Same,
            },
            Op::Load { .. } | Op::Store { .. } | Op::Atomic { .. } | Op::CompareExchange { .. } => {
                self.address(op)
            }
            _ => Outcome::Same,
        }
    }

    /// `value != 0` of what is 0 or 1 anyway is the value.
    fn truth(&self, op: &Op) -> Outcome {
        match *op {
            Op::Cmp(crate::ir::Cond::Ne, a, b)
                if self.constant(b) == Some(0) && self.possible(a) & !1 == 0 =>
            {
                Outcome::Value(a)
            }
            _ => Outcome::Same,
        }
    }

    /// What cannot be negative is divided unsigned, for which there is more to simplify.
    fn signed_div(&mut self, value: Value, by: i32, remainder: bool) -> Outcome {
        if let Some(c) = self.constant(value) {
            return Outcome::Const(eval_signed_div(c, by, remainder));
        }
        match (by, remainder) {
            (1, false) => Outcome::Value(value),
            (1, true) => Outcome::Const(0),
            _ if by > 0 && self.possible(value) >> 63 == 0 => {
                let op = if remainder { BinOp::URem } else { BinOp::UDiv };
                Outcome::Op(Op::Bin(op, value, self.make_const(i64::from(by))))
            }
            _ => Outcome::Same,
        }
    }

    /// An operation whose right side is the constant `c`.
    fn bin_const(&mut self, op: BinOp, a: Value, c: i64, is_bound: bool) -> Outcome {
        let can_be = self.possible(a);
        let uc = c as u64;
        let with = |cx: &mut Self, op, a, c| Outcome::Op(Op::Bin(op, a, cx.make_const(c)));
        match op {
            BinOp::Add | BinOp::Or | BinOp::Xor | BinOp::Shl | BinOp::LShr | BinOp::AShr if c == 0 => {
                Outcome::Value(a)
            }
            BinOp::Sub => with(self, BinOp::Add, a, c.wrapping_neg()),
            BinOp::Add => self.add_const(a, c),
            BinOp::Mul | BinOp::And | BinOp::UDiv if c == 0 => Outcome::Const(0),
            BinOp::Mul | BinOp::UDiv if c == 1 => Outcome::Value(a),
            BinOp::Mul if uc.is_power_of_two() => with(self, BinOp::Shl, a, i64::from(uc.trailing_zeros())),
            BinOp::UDiv if uc.is_power_of_two() => with(self, BinOp::LShr, a, i64::from(uc.trailing_zeros())),
            BinOp::UDiv if fill(can_be) < uc => Outcome::Const(0),
            BinOp::URem if c == 0 => Outcome::Value(a),
            BinOp::URem if uc.is_power_of_two() => with(self, BinOp::And, a, c.wrapping_sub(1)),
            BinOp::URem if fill(can_be) < uc && !is_bound => Outcome::Value(a),
            BinOp::And if can_be & uc == 0 => Outcome::Const(0),
            BinOp::And if can_be & !uc == 0 && !is_bound => Outcome::Value(a),
            BinOp::And => match uc {
                0xff | 0xffff | 0xffff_ffff => Outcome::Op(Op::Extend {
                    bits: uc.count_ones() as u8,
                    signed: false,
                    value: a,
                }),
                _ => self.nested(op, a, c),
            },
            BinOp::Or if c == -1 => Outcome::Const(-1),
            BinOp::Shl | BinOp::LShr | BinOp::AShr if !(0..64).contains(&c) => with(self, op, a, c & 63),
            BinOp::LShr if can_be >> c == 0 => Outcome::Const(0),
            BinOp::Shl if can_be << c == 0 => Outcome::Const(0),
            BinOp::AShr if can_be >> 63 == 0 => with(self, BinOp::LShr, a, c),
            _ => self.nested(op, a, c),
        }
    }

    /// `(x op c1) op c` as one operation.
    fn nested(&mut self, op: BinOp, a: Value, c: i64) -> Outcome {
        let Some(&Op::Bin(inner, x, c1)) = self.def(a) else {
            return Outcome::Same;
        };
        let (true, Some(c1)) = (inner == op, self.constant(c1)) else {
            return Outcome::Same;
        };
        let both = match op {
            BinOp::And | BinOp::Or | BinOp::Xor | BinOp::Mul => eval_bin(op, c1, c),
            BinOp::Shl | BinOp::LShr if c1 + c > 63 => return Outcome::Const(0),
            BinOp::AShr => (c1 + c).min(63),
            BinOp::Shl | BinOp::LShr => c1 + c,
            _ => return Outcome::Same,
        };
        let both = self.make_const(both);
        Outcome::Op(Op::Bin(op, x, both))
    }

    /// `a + c`, where `c` may fit into what `a` is.
    fn add_const(&mut self, a: Value, c: i64) -> Outcome {
        let moved = |offset: u32| u32::try_from(i64::from(offset).checked_add(c)?).ok();
        match self.def(a) {
            Some(&Op::Bin(BinOp::Add, x, c1)) => match self.constant(c1) {
                Some(c1) => {
                    let sum = self.make_const(c1.wrapping_add(c));
                    Outcome::Op(Op::Bin(BinOp::Add, x, sum))
                }
                None => Outcome::Same,
            },
            Some(&Op::SlotAddr(slot, offset)) => match moved(offset) {
                Some(offset) if offset < self.func.slots[slot.0 as usize].size => {
                    Outcome::Op(Op::SlotAddr(slot, offset))
                }
                _ => Outcome::Same,
            },
            Some(&Op::Memory(offset)) => match moved(offset) {
                Some(offset) => Outcome::Op(Op::Memory(offset)),
                None => Outcome::Same,
            },
            _ => Outcome::Same,
        }
    }

    fn extend(&mut self, bits: u8, signed: bool, value: Value, is_bound: bool) -> Outcome {
        let mask = low(u32::from(bits));
        let fits = if signed { mask >> 1 } else { mask };
        if let Some(c) = self.constant(value) {
            return Outcome::Const(eval_extend(bits, signed, c));
        }
        if self.possible(value) & !fits == 0 && !is_bound {
            return Outcome::Value(value);
        }
        match self.def(value) {
            // The inner extension leaves alone the bits that count.
            Some(&Op::Extend {
                bits: inner,
                value: x,
                signed: inner_signed,
            }) => {
                if inner >= bits {
                    Outcome::Op(Op::Extend {
                        bits,
                        signed,
                        value: x,
                    })
                } else if inner_signed && signed && !is_bound {
                    Outcome::Value(value)
                } else {
                    Outcome::Same
                }
            }
            Some(&Op::Bin(BinOp::And, x, c)) if self.constant(c).is_some_and(|c| c as u64 & mask == mask) => {
                Outcome::Op(Op::Extend {
                    bits,
                    signed,
                    value: x,
                })
            }
            _ => Outcome::Same,
        }
    }

    /// A memory access whose address is a sum with a constant that fits the access's offset.
    fn address(&mut self, op: &Op) -> Outcome {
        let mut op = *op;
        let (Op::Load { addr, offset, .. }
        | Op::Store { addr, offset, .. }
        | Op::Atomic { addr, offset, .. }
        | Op::CompareExchange { addr, offset, .. }) = &mut op
        else {
            return Outcome::Same;
        };
        let Some(&Op::Bin(BinOp::Add, base, c)) = self.def(*addr) else {
            return Outcome::Same;
        };
        let sum = self.constant(c).and_then(|c| c.checked_add(i64::from(*offset)));
        let Some(sum) = sum.and_then(|sum| i16::try_from(sum).ok()) else {
            return Outcome::Same;
        };
        *addr = base;
        *offset = sum;
        Outcome::Op(op)
    }

    fn terminator(&mut self, terminator: Terminator) -> Terminator {
        let Terminator::Branch {
            mut cond,
            mut a,
            mut b,
            then,
            otherwise,
        } = terminator
        else {
            return terminator;
        };
        for _ in 0..16 {
            if then == otherwise {
                self.changed = true;
                return Terminator::Jump(then);
            }
            match compare::simplify(self, cond, a, b) {
                Comparison::Same => break,
                Comparison::Known(truth) => {
                    self.changed = true;
                    return Terminator::Jump(if truth { then } else { otherwise });
                }
                Comparison::Of(c, x, y) => (cond, a, b) = (c, x, y),
            }
            self.changed = true;
        }
        Terminator::Branch {
            cond,
            a,
            b,
            then,
            otherwise,
        }
    }
}

fn is_commutative(op: BinOp) -> bool {
    matches!(op, BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor)
}

/// An operation of two values, or of a constant with a value, that is simple where they are equal.
fn same_operands(op: BinOp, a: Value, b: Value) -> Outcome {
    match op {
        BinOp::Sub | BinOp::Xor | BinOp::URem if a == b => Outcome::Const(0),
        BinOp::And | BinOp::Or if a == b => Outcome::Value(a),
        _ => Outcome::Same,
    }
}
