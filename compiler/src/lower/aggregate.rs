//! `@m[key] = count()` and the like: finds the place of the state and lets the aggregation emit its update; and reading
//! the number that an aggregation shows.

use super::BodyCx;
use super::insert::KeyedState;
use super::subprograms::Shape;
use crate::aggregation::{AggType, CHUNK_WORDS, Fold, ShownCx, UNDER_WAY, UpdateCx};
use crate::helper::Helper;
use crate::hir::Expr;
use crate::ir::{AtomicOp, BinOp, Block, Builder, Cond, Op, Value, Width};
use crate::plan::{Generations, LossKind, MapId, Storage};
use crate::target::{Arch, Feature};

/// How often a program reads a state that is being changed. An update takes some nanoseconds, so that none of the readings is
/// between two of them does not happen, but where a program was preempted or interrupted in the middle of one.
const READINGS: i64 = 16;

/// Where the state of one aggregation is and how to get at it.
struct StateCx<'a, 'b> {
    cx: &'a mut BodyCx<'b>,
    map: MapId,
    place: StatePlace,
    /// Where the update is left out.
    done: Block,
    /// The address of the state, once found.
    base: Option<Value>,
    weight: Option<Value>,
}

#[derive(Clone, Copy)]
enum StatePlace {
    Striped {
        offset: u32,
        bytes: u32,
        selector: Option<u32>,
    },
    PerCpu {
        maps: Generations,
        overflow: Generations,
        key: Value,
        chunk_at: Option<u32>,
    },
}

/// Those of some numbers that there are, as a subprogram is handed them.
fn handed(numbers: [Option<Value>; 2], args: &[Value]) -> [Option<Value>; 2] {
    let mut rest = args.iter().copied();
    numbers.map(|number| number.and_then(|_| rest.next()))
}

impl BodyCx<'_> {
    pub(super) fn aggregate(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        value: Option<&Expr>,
        weight: Option<&Expr>,
    ) {
        let plan = self.map_plan(map);
        let Some(ty) = plan.aggregation() else {
            debug_assert!(false, "aggregation into a plain map");
            return;
        };
        let [value, weight] = [value, weight].map(|number| number.map(|number| self.value(number)));
        let shape = Shape::Aggregate {
            map,
            value: value.is_some(),
            weight: weight.is_some(),
        };
        let numbers = [value, weight];
        let given = || numbers.into_iter().flatten();
        let count = given().count() as u32;
        let place = match (plan.storage.clone(), key, &plan.key) {
            (
                Storage::Striped {
                    offset,
                    bytes,
                    selector,
                },
                ..,
            ) => {
                let place = StatePlace::Striped {
                    offset,
                    bytes,
                    selector,
                };
                if !is_sum(ty) && self.is_outlined(shape, count) {
                    self.call_subprogram(shape, given().collect(), |cx, args| {
                        let [value, weight] = handed(numbers, args);
                        cx.update_state(map, ty, place, value, weight);
                        None
                    });
                    return;
                }
                place
            }
            (
                Storage::PerCpu {
                    maps,
                    overflow,
                    chunked,
                },
                Some(key),
                Some(key_ty),
            ) => {
                let place = |key| StatePlace::PerCpu {
                    maps,
                    overflow,
                    key,
                    chunk_at: chunked.then(|| key_ty.slot_size()),
                };
                let extra = u32::from(chunked) * 8;
                if self.is_outlined(shape, count) {
                    let mut args = self.key_words(map, Some(key));
                    args.extend(given());
                    self.call_subprogram(shape, args, |cx, args| {
                        let (words, rest) = args.split_at(cx.key_length(map));
                        let [value, weight] = handed(numbers, rest);
                        let key = cx.stored(words, extra);
                        cx.update_state(map, ty, place(key), value, weight);
                        None
                    });
                    return;
                }
                let prepared = self.prepare(key);
                place(self.key_address(&prepared, key_ty, extra))
            }
            _ => return,
        };
        self.update_state(map, ty, place, value, weight);
    }

    /// Updates the state that is there.
    fn update_state(
        &mut self,
        map: MapId,
        ty: &AggType,
        place: StatePlace,
        value: Option<Value>,
        weight: Option<Value>,
    ) {
        let done = self.ir.block();
        let mut state = StateCx {
            cx: self,
            map,
            place,
            done,
            base: None,
            weight,
        };
        ty.aggregation().lower(ty, &mut state, value);
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
    }
}

/// Whether an update only adds to words, for which a call would be no less code.
fn is_sum(ty: &AggType) -> bool {
    let reduction = ty.aggregation().reduction();
    reduction.is_some_and(|reduction| reduction.folds.iter().all(|fold| matches!(fold, Fold::Add)))
}

/// Where the state of a CPU is.
#[derive(Clone, Copy)]
enum CpuState {
    /// Always there.
    At(Value),
    /// There unless the address is 0.
    IfAny(Value),
}

impl BodyCx<'_> {
    /// The number that an aggregation shows, over all CPUs; 0 where the element is absent. CPUs that update it meanwhile
    /// are seen before or after their update ([`BodyCx::settled`]).
    pub(super) fn reduced(&mut self, map: MapId, key: Option<&Expr>) -> Value {
        let key = key.map(|key| self.key(map, Some(key)));
        self.reduced_at(map, key)
    }

    /// The same for the element whose key is at this address.
    pub(super) fn reduced_at(&mut self, map: MapId, key: Option<Value>) -> Value {
        let plan = self.map_plan(map);
        let Some((ty, reduction)) = plan
            .aggregation()
            .and_then(|ty| Some((ty, ty.aggregation().reduction()?)))
        else {
            debug_assert!(false, "a reduction of what has none");
            return self.ir.iconst(0);
        };
        let zero = self.ir.iconst(0);
        let mut words = vec![zero; reduction.folds.len()];
        let watched = plan.watched;
        match (plan.storage.clone(), key) {
            (
                Storage::Striped {
                    offset,
                    bytes,
                    selector,
                },
                _,
            ) => {
                let stripes = self.layout.plan.memory.stripes;
                for cpu in 0..self.target.possible_cpus().min(stripes.count) {
                    let at = stripes.offset + cpu * stripes.stride + offset;
                    let stripe = self.ir.emit(Op::Memory(at));
                    let state = self.state_in_use(stripe, bytes, selector);
                    self.fold(&mut words, reduction.folds, CpuState::At(state), watched);
                }
            }
            (Storage::PerCpu { maps, overflow, .. }, Some(key)) => {
                self.require(Feature::PercpuLookup);
                for cpu in 0..self.target.possible_cpus() {
                    let (map, cpu) = (self.map_ref(maps), self.ir.iconst(i64::from(cpu)));
                    let state = self.ir.call(Helper::MapLookupPercpuElem, &[map, key, cpu]);
                    self.fold(&mut words, reduction.folds, CpuState::IfAny(state), watched);
                }
                let map = self.map_ref(overflow);
                let state = self.ir.call(Helper::MapLookupElem, &[map, key]);
                self.fold(&mut words, reduction.folds, CpuState::IfAny(state), watched);
            }
            _ => {}
        }
        (reduction.shown)(
            ty,
            &mut ShownCx {
                ir: &mut self.ir,
                words: &words,
                signed_quotient: super::division::signed_quotient,
            },
        )
    }

    /// Folds one CPU's state into `words`.
    fn fold(&mut self, words: &mut [Value], folds: &[Fold], state: CpuState, watched: bool) {
        let (addr, done) = match state {
            CpuState::At(addr) => (addr, None),
            CpuState::IfAny(addr) => {
                let (there, done) = (self.ir.block(), self.ir.block());
                let zero = self.ir.iconst(0);
                let before: Vec<Value> = words.to_vec();
                self.ir
                    .branch_with(Cond::Ne, addr, zero, (there, &[]), (done, &before));
                self.ir.switch_to(there);
                (addr, Some(done))
            }
        };
        let more = match watched {
            true => self.settled(addr, folds.len()),
            false => self.state_words(addr, 0..folds.len()),
        };
        for ((word, fold), more) in words.iter_mut().zip(folds).zip(more) {
            *word = match fold {
                Fold::Add => self.ir.bin(BinOp::Add, *word, more),
                Fold::Max => {
                    let join = self.ir.block();
                    let greater = self.ir.param(join);
                    self.ir
                        .branch_with(Cond::UGt, more, *word, (join, &[more]), (join, &[*word]));
                    self.ir.switch_to(join);
                    greater
                }
            };
        }
        if let Some(done) = done {
            let after: Vec<Value> = words.to_vec();
            self.ir.jump(done, &after);
            for word in words.iter_mut() {
                *word = self.ir.param(done);
            }
            self.ir.switch_to(done);
        }
    }

    fn state_words(&mut self, addr: Value, words: std::ops::Range<usize>) -> Vec<Value> {
        words
            .map(|word| self.ir.load(addr, 8 * word as i16, Width::B8))
            .collect()
    }

    /// The words of a watched state as they were together at some moment, without the marks of updates. Why the state is whole
    /// where word 0 is unmarked and the same before and behind the others: [`crate::plan::MapPlan::watched`]. An update that
    /// cannot end while this program runs, because this one interrupts it, is in the last reading as far as it got.
    fn settled(&mut self, addr: Value, words: usize) -> Vec<Value> {
        let (head, retry, done) = (self.ir.block(), self.ir.block(), self.ir.block());
        let readings = self.ir.param(head);
        let (zero, marks) = (self.ir.iconst(0), i64::from(UNDER_WAY.trailing_zeros()));
        self.ir.jump(head, &[zero]);
        self.ir.switch_to(head);
        let count = self.load_in_order(addr);
        let others = self.state_words(addr, 1..words);
        let behind = self.load_in_order(addr);
        let changed = self.ir.bin(BinOp::Xor, count, behind);
        let under_way = self.ir.bin_imm(BinOp::LShr, count, marks);
        let torn = self.ir.bin(BinOp::Or, changed, under_way);
        self.ir.branch(Cond::Eq, torn, zero, done, retry);
        self.ir.switch_to(retry);
        let readings = self.ir.bin_imm(BinOp::Add, readings, 1);
        let limit = self.ir.iconst(READINGS);
        self.ir
            .branch_with(Cond::ULt, readings, limit, (head, &[readings]), (done, &[]));
        self.ir.switch_to(done);
        let events = self.ir.iconst(UNDER_WAY as i64 - 1);
        let count = self.ir.bin(BinOp::And, count, events);
        std::iter::once(count).chain(others).collect()
    }

    /// Loads a word after what was loaded before, and before what is loaded afterwards. x86-64 loads in order; elsewhere
    /// atomic operations that fetch do (Linux's memory model).
    fn load_in_order(&mut self, addr: Value) -> Value {
        if self.is_in_order() {
            return self.ir.load(addr, 0, Width::B8);
        }
        let zero = self.ir.iconst(0);
        self.ir.atomic_fetch(AtomicOp::Add, addr, 0, zero)
    }

    /// Whether accesses to memory need nothing to be in order; so too where nothing can be done for it.
    fn is_in_order(&self) -> bool {
        self.target.arch() == Arch::X86_64 || !self.target.has(Feature::FullAtomics)
    }
}

impl StateCx<'_, '_> {
    /// The address of the state, or of its chunk of the given number.
    fn base(&mut self, chunk: Option<(u32, Value)>) -> Value {
        if let Some(base) = self.base {
            return base;
        }
        let base = match self.place {
            StatePlace::Striped {
                offset,
                bytes,
                selector,
            } => {
                let stripe = self.cx.stripe_addr(offset);
                self.cx.state_in_use(stripe, bytes, selector)
            }
            StatePlace::PerCpu {
                maps, overflow, key, ..
            } => {
                let state = KeyedState {
                    map: self.map,
                    maps,
                    overflow,
                };
                self.cx.state_element(state, key, chunk, self.done)
            }
        };
        self.base = Some(base);
        base
    }
}

impl StateCx<'_, '_> {
    /// Adds to a word so that whoever sees the sum sees what was written before, and nothing that is written afterwards is
    /// seen earlier. On x86-64 every atomic operation is so; elsewhere those that fetch are (Linux's memory model).
    fn add_in_order(&mut self, addr: Value, amount: i64) {
        let amount = self.cx.ir.iconst(amount);
        if self.cx.is_in_order() {
            self.cx.ir.atomic(AtomicOp::Add, addr, 0, amount);
        } else {
            self.cx.ir.atomic_fetch(AtomicOp::Add, addr, 0, amount);
        }
    }
}

impl UpdateCx for StateCx<'_, '_> {
    fn ir(&mut self) -> &mut Builder {
        &mut self.cx.ir
    }

    fn word(&mut self, index: u32) -> Value {
        let mut chunk = None;
        if let StatePlace::PerCpu {
            key,
            chunk_at: Some(at),
            ..
        } = self.place
        {
            let zero = self.cx.ir.iconst(0);
            self.cx.store_at(key, at, Width::B8, zero);
            chunk = Some((at, zero));
        }
        let base = self.base(chunk);
        if index == 0 {
            base
        } else {
            self.cx.ir.bin_imm(BinOp::Add, base, i64::from(8 * index))
        }
    }

    fn slot_at(&mut self, index: Value, slots: u32, words: u32) -> Value {
        let stride = 8 * words;
        if let StatePlace::PerCpu {
            key,
            chunk_at: Some(at),
            ..
        } = self.place
        {
            let count = CHUNK_WORDS / words;
            let chunk = self
                .cx
                .ir
                .bin_imm(BinOp::LShr, index, i64::from(count.trailing_zeros()));
            self.cx.store_at(key, at, Width::B8, chunk);
            let base = self.base(Some((at, chunk)));
            return self.cx.ir.emit(Op::ElementAddr {
                base,
                index,
                count,
                stride,
            });
        }
        let base = self.base(None);
        self.cx.ir.emit(Op::ElementAddr {
            base,
            index,
            count: slots.next_power_of_two(),
            stride,
        })
    }

    fn counted(&mut self, count: Value, update: &mut dyn FnMut(&mut dyn UpdateCx)) {
        let watched = self.cx.map_plan(self.map).watched;
        if watched {
            self.add_in_order(count, UNDER_WAY as i64);
        }
        update(self);
        match watched {
            true => self.add_in_order(count, 1 - UNDER_WAY as i64),
            false => {
                let one = self.cx.ir.iconst(1);
                self.cx.ir.atomic(AtomicOp::Add, count, 0, one);
            }
        }
    }

    fn tai(&mut self) -> Value {
        if let Some((map, ty)) = self.cx.layout.series_clock(&self.cx.script.config) {
            return self.cx.map_scalar(map, None, ty);
        }
        self.cx.require(Feature::TaiClock);
        self.cx.ir.call(Helper::KtimeGetTaiNs, &[])
    }

    fn announce(&mut self) {
        if let StatePlace::Striped { .. } | StatePlace::PerCpu { chunk_at: None, .. } = self.place {
            self.base(None);
        }
    }

    fn contended(&mut self) {
        self.cx.count_loss(LossKind::Contended(self.map));
    }

    fn weight(&self) -> Option<Value> {
        self.weight
    }

    fn has_compare_exchange(&self) -> bool {
        self.cx.target.has(Feature::FullAtomics)
    }
}
