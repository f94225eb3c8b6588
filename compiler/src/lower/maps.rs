//! Reading, changing and deleting elements of maps.
//!
//! Where a value and a key are both evaluated, the value comes first.

use super::BodyCx;
use super::memory::Prepared;
use super::subprograms::{Shape, is_of_numbers};
use crate::helper::Helper;
use crate::hir::{ArithOp, Expr};
use crate::ir::{AtomicOp, BinOp, Cond, Op, Value, Width};
use crate::plan::{Generations, LossKind, MapId, MapPlan, Storage};
use crate::target::Feature;
use crate::types::Type;

/// `BPF_ANY` (include/uapi/linux/bpf.h): insert or replace.
pub(super) const ANY: i64 = 0;
/// `BPF_NOEXIST`: insert only.
pub(super) const NO_EXIST: i64 = 1;
/// Tries of a compare-and-exchange before an update is given up and counted.
const TRIES: i64 = 16;

/// Where the generation selector of a map is, if it has two generations.
pub(super) fn selector(storage: &Storage) -> Option<u32> {
    match storage {
        Storage::Hash(Generations::Two { selector, .. })
        | Storage::PerCpu {
            maps: Generations::Two { selector, .. },
            ..
        } => Some(*selector),
        Storage::Striped { selector, .. } => *selector,
        _ => None,
    }
}

impl<'a> BodyCx<'a> {
    pub(super) fn map_plan(&self, map: MapId) -> &'a MapPlan {
        &self.layout.plan.maps[map.0 as usize]
    }

    /// The kernel map in use.
    pub(super) fn map_ref(&mut self, generations: Generations) -> Value {
        match generations {
            Generations::One(map) => self.ir.emit(Op::MapPtr(map)),
            Generations::Two { maps, selector } => match self.selector(selector) {
                Some(selector) => self.ir.emit(Op::MapSelect { selector, maps }),
                None => self.ir.emit(Op::MapPtr(maps[0])),
            },
        }
    }

    /// The address of a key in canonical memory. A map without keys has its only element under zeros.
    pub(super) fn key(&mut self, map: MapId, key: Option<&Expr>) -> Value {
        match (key, &self.map_plan(map).key) {
            (Some(key), Some(ty)) => {
                let prepared = self.prepare(key);
                self.key_address(&prepared, ty, 0)
            }
            _ => self.zeros(),
        }
    }

    pub(super) fn lookup(&mut self, generations: Generations, key: Value) -> Value {
        let map = self.map_ref(generations);
        self.ir.call(Helper::MapLookupElem, &[map, key])
    }

    /// A helper's error as the kernel returns it: 32 bits (5.10 and 6.1 leave the upper half of the register undefined
    /// for map helpers).
    pub(super) fn error_of(&mut self, result: Value) -> Value {
        self.ir.emit(Op::Extend {
            bits: 32,
            signed: false,
            value: result,
        })
    }

    /// A map's scalar; 0 where absent.
    pub(super) fn map_scalar(&mut self, map: MapId, key: Option<&Expr>, ty: &Type) -> Value {
        let value = match self.map_plan(map).storage {
            Storage::Words { offset } => {
                let addr = self.ir.emit(Op::Memory(offset));
                self.ir.load(addr, 0, Width::B8)
            }
            Storage::Hash(generations) if self.is_outlined(Shape::Read(map), 0) => {
                let args = self.key_words(map, key);
                self.call_subprogram(Shape::Read(map), args, |cx, args| {
                    let key = cx.key_of_words(map, &args[..cx.key_length(map)]);
                    Some(cx.plain_scalar(generations, key))
                })
            }
            Storage::Hash(generations) => {
                let key = self.key(map, key);
                self.plain_scalar(generations, key)
            }
            Storage::Striped { .. } | Storage::PerCpu { .. } => {
                debug_assert!(false, "an aggregation is no scalar");
                self.ir.iconst(0)
            }
        };
        self.wrap(value, ty)
    }

    /// The scalar under a key; 0 where absent.
    fn plain_scalar(&mut self, generations: Generations, key: Value) -> Value {
        let element = self.lookup(generations, key);
        let (there, done) = (self.ir.block(), self.ir.block());
        let result = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir
            .branch_with(Cond::Ne, element, zero, (there, &[]), (done, &[zero]));
        self.ir.switch_to(there);
        let value = self.ir.load(element, 0, Width::B8);
        self.ir.jump(done, &[value]);
        self.ir.switch_to(done);
        result
    }

    /// A map's text or tuple; zeros where absent.
    pub(super) fn map_memory(&mut self, map: MapId, key: Option<&Expr>, ty: &Type) -> Prepared {
        let Storage::Hash(generations) = self.map_plan(map).storage else {
            return Prepared::Zeros;
        };
        let key = self.key(map, key);
        let element = self.lookup(generations, key);
        let (absent, done) = (self.ir.block(), self.ir.block());
        let addr = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir
            .branch_with(Cond::Ne, element, zero, (done, &[element]), (absent, &[]));
        self.ir.switch_to(absent);
        let zeros = self.zeros();
        self.ir.jump(done, &[zeros]);
        self.ir.switch_to(done);
        let there = Prepared::Memory {
            addr,
            offset: 0,
            size: ty.size(),
        };
        // The kernel may give a removed element's memory to another key; a program that sleeps in between would see it.
        if self.sleepable {
            self.in_temporary(&there, ty)
        } else {
            there
        }
    }

    pub(super) fn set_map(&mut self, map: MapId, key: Option<&Expr>, value: &Expr) {
        let plan = self.map_plan(map);
        let prepared = self.prepare(value);
        match plan.storage {
            Storage::Words { offset } => {
                let Prepared::Scalar(value) = prepared else { return };
                let addr = self.ir.emit(Op::Memory(offset));
                self.ir.store(addr, 0, Width::B8, value);
                self.mark_present(offset);
            }
            Storage::Hash(generations)
                if is_of_numbers(&plan.value)
                    && self.is_outlined(Shape::Store(map), plan.value.slot_size() / 8) =>
            {
                let value = self.words_of(&prepared, &plan.value);
                let mut args = self.key_words(map, key);
                args.extend(&value);
                self.call_subprogram(Shape::Store(map), args, |cx, args| {
                    let (key, rest) = args.split_at(cx.key_length(map));
                    let key = cx.key_of_words(map, key);
                    let value = cx.stored(&rest[..value.len()], 0);
                    cx.store_element(map, generations, key, value);
                    None
                });
            }
            Storage::Hash(generations) => {
                let slot = self.ir.slot(plan.value.slot_size());
                let value = self.ir.slot_addr(slot, 0);
                self.fill_slot(&prepared, &plan.value, value, 0, true);
                let key = self.key(map, key);
                self.store_element(map, generations, key, value);
            }
            Storage::Striped { .. } | Storage::PerCpu { .. } => {}
        }
    }

    /// Gives what the helper returns: see [`BodyCx::error_of`].
    pub(super) fn update(&mut self, generations: Generations, key: Value, value: Value, flags: i64) -> Value {
        let (map, flags) = (self.map_ref(generations), self.ir.iconst(flags));
        self.ir.call(Helper::MapUpdateElem, &[map, key, value, flags])
    }

    fn length_addr(&mut self, map: MapId) -> Option<Value> {
        let plan = self.map_plan(map);
        let base = self.ir.emit(Op::Memory(plan.length?));
        Some(
            match selector(&plan.storage).and_then(|offset| self.selector(offset)) {
                Some(index) => self.ir.emit(Op::ElementAddr {
                    base,
                    index,
                    count: 2,
                    stride: 8,
                }),
                None => base,
            },
        )
    }

    pub(super) fn add_to_length(&mut self, map: MapId, amount: Value) {
        if let Some(addr) = self.length_addr(map) {
            self.ir.atomic(AtomicOp::Add, addr, 0, amount);
        }
    }

    pub(super) fn map_len(&mut self, map: MapId) -> Value {
        match self.length_addr(map) {
            Some(addr) => self.ir.load(addr, 0, Width::B8),
            None => self.ir.iconst(0),
        }
    }

    /// Notes that a scalar without key was set: a plain store, which nothing can lose.
    fn mark_present(&mut self, offset: u32) {
        let addr = self.ir.emit(Op::Memory(offset + 8));
        let one = self.ir.iconst(1);
        self.ir.store(addr, 0, Width::B8, one);
    }

    /// Runs `f` with the address of an element's value, unless the map has no room for it, which is counted. Gives what
    /// `f` gives, or 0.
    fn with_element(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        f: impl FnOnce(&mut Self, Value) -> Option<Value>,
    ) -> Value {
        match self.map_plan(map).storage {
            Storage::Words { offset } => {
                let addr = self.ir.emit(Op::Memory(offset));
                let result = f(self, addr);
                self.mark_present(offset);
                result.unwrap_or_else(|| self.ir.iconst(0))
            }
            Storage::Hash(generations) => {
                let key = self.key(map, key);
                let (refused, done) = (self.ir.block(), self.ir.block());
                let addr = self.element(map, generations, key, refused);
                let result = f(self, addr);
                let args: Vec<Value> = result.into_iter().collect();
                self.ir.jump(done, &args);
                self.ir.switch_to(refused);
                let nothing: Vec<Value> = result.iter().map(|_| self.ir.iconst(0)).collect();
                self.ir.jump(done, &nothing);
                let result = result.map(|_| self.ir.param(done));
                self.ir.switch_to(done);
                result.unwrap_or_else(|| self.ir.iconst(0))
            }
            Storage::Striped { .. } | Storage::PerCpu { .. } => {
                debug_assert!(false, "an aggregation is not assigned to");
                self.ir.iconst(0)
            }
        }
    }

    pub(super) fn add_to_map(&mut self, map: MapId, key: Option<&Expr>, amount: Value) {
        self.change(map, key, AtomicOp::Add, amount);
    }

    /// Changes a number by an atomic operation.
    fn change(&mut self, map: MapId, key: Option<&Expr>, op: AtomicOp, by: Value) {
        let shape = Shape::Change(map, op);
        if let Storage::Hash(generations) = self.map_plan(map).storage
            && self.is_outlined(shape, 1)
        {
            let mut args = self.key_words(map, key);
            args.push(by);
            self.call_subprogram(shape, args, |cx, args| {
                let (key, rest) = args.split_at(cx.key_length(map));
                let key = cx.key_of_words(map, key);
                let done = cx.ir.block();
                let addr = cx.element(map, generations, key, done);
                cx.ir.atomic(op, addr, 0, rest[0]);
                cx.ir.jump(done, &[]);
                cx.ir.switch_to(done);
                None
            });
            return;
        }
        self.with_element(map, key, |cx, addr| {
            cx.ir.atomic(op, addr, 0, by);
            None
        });
    }

    /// Adds; gives the value before.
    pub(super) fn fetch_add(&mut self, map: MapId, key: Option<&Expr>, amount: Value) -> Value {
        self.require(Feature::FullAtomics);
        self.with_element(map, key, |cx, addr| {
            Some(cx.ir.atomic_fetch(AtomicOp::Add, addr, 0, amount))
        })
    }

    pub(super) fn update_map(&mut self, map: MapId, key: Option<&Expr>, op: ArithOp, value: &Expr) {
        let by = value;
        let value = self.value(value);
        let atomic = match op {
            ArithOp::Add => (AtomicOp::Add, value),
            ArithOp::Sub => {
                let zero = self.ir.iconst(0);
                (AtomicOp::Add, self.ir.bin(BinOp::Sub, zero, value))
            }
            ArithOp::And => (AtomicOp::And, value),
            ArithOp::Or => (AtomicOp::Or, value),
            ArithOp::Xor => (AtomicOp::Xor, value),
            _ => {
                self.require(Feature::FullAtomics);
                let ty = &self.map_plan(map).value;
                self.with_element(map, key, |cx, addr| {
                    cx.exchange_loop(map, addr, (op, value, by), ty);
                    None
                });
                return;
            }
        };
        if atomic.0 != AtomicOp::Add {
            self.require(Feature::FullAtomics);
        }
        self.change(map, key, atomic.0, atomic.1);
    }

    /// `*addr = *addr op value` for operations that have no atomic instruction.
    fn exchange_loop(
        &mut self,
        map: MapId,
        addr: Value,
        (op, value, by): (ArithOp, Value, &Expr),
        ty: &Type,
    ) {
        let (head, retry, exhausted, done) =
            (self.ir.block(), self.ir.block(), self.ir.block(), self.ir.block());
        let (old, tries) = (self.ir.param(head), self.ir.param(head));
        let first = self.ir.load(addr, 0, Width::B8);
        let zero = self.ir.iconst(0);
        self.ir.jump(head, &[first, zero]);
        self.ir.switch_to(head);
        let operand = self.wrap(old, ty);
        let result = self.arith(op, operand, (value, by), super::value::is_signed(ty));
        let new = self.wrap(result, ty);
        let seen = self.ir.emit(Op::CompareExchange {
            addr,
            offset: 0,
            expected: old,
            new,
        });
        self.ir.branch(Cond::Eq, seen, old, done, retry);
        self.ir.switch_to(retry);
        let tries = self.ir.bin_imm(BinOp::Add, tries, 1);
        let limit = self.ir.iconst(TRIES);
        self.ir
            .branch_with(Cond::ULt, tries, limit, (head, &[seen, tries]), (exhausted, &[]));
        self.ir.switch_to(exhausted);
        self.count_loss(LossKind::Contended(map));
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
    }

    pub(super) fn has_key(&mut self, map: MapId, key: Option<&Expr>) -> Value {
        match self.map_plan(map).storage {
            Storage::Words { offset } => {
                let addr = self.ir.emit(Op::Memory(offset + 8));
                self.ir.load(addr, 0, Width::B8)
            }
            Storage::Hash(generations) => {
                let key = self.key(map, key);
                let element = self.lookup(generations, key);
                let zero = self.ir.iconst(0);
                self.ir.cmp(Cond::Ne, element, zero)
            }
            Storage::PerCpu { maps, overflow, .. } => self.each_part(map, key, |cx, key, _| {
                let first = cx.lookup(maps, key);
                let second = cx.lookup(overflow, key);
                let zero = cx.ir.iconst(0);
                let (first, second) = (
                    cx.ir.cmp(Cond::Ne, first, zero),
                    cx.ir.cmp(Cond::Ne, second, zero),
                );
                cx.ir.bin(BinOp::Or, first, second)
            }),
            Storage::Striped { .. } => self.ir.iconst(1),
        }
    }

    /// Gives whether it was there.
    pub(super) fn delete(&mut self, map: MapId, key: Option<&Expr>) -> Value {
        match self.map_plan(map).storage {
            Storage::Words { offset } => {
                let addr = self.ir.emit(Op::Memory(offset));
                let present = self.ir.load(addr, 8, Width::B8);
                let zero = self.ir.iconst(0);
                self.ir.store(addr, 0, Width::B8, zero);
                self.ir.store(addr, 8, Width::B8, zero);
                present
            }
            Storage::Hash(generations) if self.is_outlined(Shape::Delete(map), 0) => {
                let args = self.key_words(map, key);
                self.call_subprogram(Shape::Delete(map), args, |cx, args| {
                    let key = cx.key_of_words(map, &args[..cx.key_length(map)]);
                    Some(cx.delete_plain(map, generations, key))
                })
            }
            Storage::Hash(generations) => {
                let key = self.key(map, key);
                self.delete_plain(map, generations, key)
            }
            Storage::PerCpu { maps, overflow, .. } => self.each_part(map, key, |cx, key, chunk| {
                let [first, second] = [maps, overflow].map(|maps| cx.delete_element(maps, key));
                let was_there = cx.ir.bin(BinOp::Or, first, second);
                let counted = match chunk {
                    Some(chunk) => {
                        let zero = cx.ir.iconst(0);
                        let is_first = cx.ir.cmp(Cond::Eq, chunk, zero);
                        cx.ir.bin(BinOp::And, was_there, is_first)
                    }
                    None => was_there,
                };
                cx.subtract_from_length(map, counted);
                was_there
            }),
            Storage::Striped {
                offset,
                bytes,
                selector,
            } => self.delete_stripes(offset, bytes, selector),
        }
    }

    fn delete_plain(&mut self, map: MapId, generations: Generations, key: Value) -> Value {
        let was_there = self.delete_element(generations, key);
        self.subtract_from_length(map, was_there);
        was_there
    }

    fn subtract_from_length(&mut self, map: MapId, was_there: Value) {
        if self.map_plan(map).length.is_some() {
            let zero = self.ir.iconst(0);
            let amount = self.ir.bin(BinOp::Sub, zero, was_there);
            self.add_to_length(map, amount);
        }
    }

    fn delete_element(&mut self, generations: Generations, key: Value) -> Value {
        let map = self.map_ref(generations);
        let result = self.ir.call(Helper::MapDeleteElem, &[map, key]);
        let error = self.error_of(result);
        let zero = self.ir.iconst(0);
        self.ir.cmp(Cond::Eq, error, zero)
    }

    /// Runs `f` with the address of the key of each part that an aggregation's state is stored in and, where there are
    /// several, the part's number; gives whether any gave 1.
    fn each_part(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        f: impl FnOnce(&mut Self, Value, Option<Value>) -> Value,
    ) -> Value {
        let plan = self.map_plan(map);
        let (Some(key), Some(ty), Some(agg)) = (key, &plan.key, plan.aggregation()) else {
            return self.ir.iconst(0);
        };
        let prepared = self.prepare(key);
        if !agg.is_chunked() {
            let key = self.key_address(&prepared, ty, 0);
            return f(self, key, None);
        }
        let key = self.key_address(&prepared, ty, 8);
        let chunks = agg.words().div_ceil(crate::aggregation::CHUNK_WORDS);
        self.repeat(chunks, |cx, chunk| {
            cx.store_at(key, ty.slot_size(), Width::B8, chunk);
            f(cx, key, Some(chunk))
        })
    }

    /// Runs `f` for 0 to `count - 1`, in a loop; gives the or of what it gives.
    fn repeat(&mut self, count: u32, f: impl FnOnce(&mut Self, Value) -> Value) -> Value {
        let (head, done) = (self.ir.block(), self.ir.block());
        let (index, so_far) = (self.ir.param(head), self.ir.param(head));
        let result = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir.jump(head, &[zero, zero]);
        self.ir.switch_to(head);
        let any = f(self, index);
        let any = self.ir.bin(BinOp::Or, so_far, any);
        let next = self.ir.bin_imm(BinOp::Add, index, 1);
        let limit = self.ir.iconst(i64::from(count));
        self.ir
            .branch_with(Cond::ULt, next, limit, (head, &[next, any]), (done, &[any]));
        self.ir.switch_to(done);
        result
    }

    /// The address of the state that programs use, of one or two.
    pub(super) fn state_in_use(&mut self, base: Value, bytes: u32, selector: Option<u32>) -> Value {
        match selector.and_then(|offset| self.selector(offset)) {
            Some(index) => self.ir.emit(Op::ElementAddr {
                base,
                index,
                count: 2,
                stride: bytes,
            }),
            None => base,
        }
    }

    /// Zeroes an aggregation without key on every CPU; gives whether anything was there.
    fn delete_stripes(&mut self, offset: u32, bytes: u32, selector: Option<u32>) -> Value {
        let stripes = self.layout.plan.memory.stripes;
        let words = (bytes / 8).next_power_of_two();
        self.repeat(stripes.count, |cx, cpu| {
            let base = cx.ir.emit(Op::Memory(stripes.offset + offset));
            let stripe = cx.ir.emit(Op::ElementAddr {
                base,
                index: cpu,
                count: stripes.count,
                stride: stripes.stride,
            });
            let stripe = cx.state_in_use(stripe, bytes, selector);
            cx.repeat(bytes / 8, |cx, index| {
                let addr = cx.ir.emit(Op::ElementAddr {
                    base: stripe,
                    index,
                    count: words,
                    stride: 8,
                });
                let before = cx.ir.load(addr, 0, Width::B8);
                let zero = cx.ir.iconst(0);
                cx.ir.store(addr, 0, Width::B8, zero);
                cx.ir.cmp(Cond::Ne, before, zero)
            })
        })
    }
}
