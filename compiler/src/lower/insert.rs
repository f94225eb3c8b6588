//! New elements of maps: what a program inserts into, counts, and is refused.
//!
//! Two programs can insert a key at the same time, and a third can delete it in between, so nothing is concluded from a
//! look-up alone: the kernel's answer to an insertion says what happened. Only [`E2BIG`] means that the map is full. What
//! is refused otherwise (no memory at the moment, a bucket that the interrupted program holds, a key that others delete
//! again and again) is counted apart ([`LossKind::Contended`]).
//!
//! A key of an aggregation is in the per-CPU map or in the one that takes what that refuses for want of memory, not in
//! both; full is the former. Where elements are counted, two programs that insert the same key into one each cannot know
//! which came first: who sees the other's says so ([`LossKind::Length`]).

use super::BodyCx;
use super::maps::{ANY, NO_EXIST};
use crate::ir::{AtomicOp, BinOp, Block, Cond, Op, Value, Width};
use crate::plan::{BpfMapId, Generations, LossKind, MapId};

/// `BPF_EXIST` (include/uapi/linux/bpf.h): replace only.
const EXIST: i64 = 2;
/// `-EEXIST` in 32 bits (include/uapi/asm-generic/errno-base.h): the key is there.
const EEXIST: i64 = 0xffff_ffef;
/// `-ENOENT`: the key is not there.
const ENOENT: i64 = 0xffff_fffe;
/// `-E2BIG`: the map is full.
const E2BIG: i64 = 0xffff_fff9;
/// Tries to get at an element that others delete as soon as it is inserted, before that is counted.
const TRIES: i64 = 4;

/// The maps of a keyed aggregation, and whose loss counters they have.
#[derive(Clone, Copy)]
pub(super) struct KeyedState {
    pub(super) map: MapId,
    /// The per-CPU map.
    pub(super) maps: Generations,
    /// What takes the keys that it has no memory for.
    pub(super) overflow: Generations,
}

/// Where an update that cannot be made goes, with what the helper returned as the block's only argument.
#[derive(Clone, Copy)]
struct Refused(Block);

impl BodyCx<'_> {
    /// The block that counts a refusal and goes on at `then`.
    fn refused(&mut self, map: MapId, then: Block) -> Refused {
        let here = self.ir.current();
        let block = self.ir.block();
        let result = self.ir.param(block);
        self.ir.switch_to(block);
        self.count_refusal(map, result);
        self.ir.jump(then, &[]);
        self.ir.switch_to(here);
        Refused(block)
    }

    /// Counts an update that a map refused.
    fn count_refusal(&mut self, map: MapId, result: Value) {
        let [full, contended] =
            [LossKind::MapFull(map), LossKind::Contended(map)].map(|kind| self.layout.loss(kind).offset);
        let base = self.layout.plan.memory.stripes.offset;
        debug_assert_eq!(full + 8, contended, "the counters of a map are neighbours");
        let (other, count) = (self.ir.block(), self.ir.block());
        let counter = self.ir.param(count);
        let full = self.ir.emit(Op::Memory(base + full));
        let (error, is_full) = (self.error_of(result), self.ir.iconst(E2BIG));
        self.ir
            .branch_with(Cond::Eq, error, is_full, (count, &[full]), (other, &[]));
        self.ir.switch_to(other);
        let contended = self.ir.bin_imm(BinOp::Add, full, 8);
        self.ir.jump(count, &[contended]);
        self.ir.switch_to(count);
        let one = self.ir.iconst(1);
        self.ir.atomic(AtomicOp::Add, counter, 0, one);
    }

    /// Stores a value under a key whether it is there or not; what is refused is counted.
    pub(super) fn store_element(&mut self, map: MapId, generations: Generations, key: Value, value: Value) {
        let done = self.ir.block();
        let zero = self.ir.iconst(0);
        if self.map_plan(map).length.is_none() {
            // The kernel was never seen to be short of memory for a plain map, and inserting needs no second try: that
            // it is full is the reason.
            let result = self.update(generations, key, value, ANY);
            let error = self.error_of(result);
            let full = self.ir.block();
            self.ir.branch(Cond::Eq, error, zero, done, full);
            self.ir.switch_to(full);
            let (Generations::One(BpfMapId(id))
            | Generations::Two {
                maps: [BpfMapId(id), _],
                ..
            }) = generations;
            // A map that makes room by dropping elements was not let to at the moment.
            self.count_loss(match self.layout.plan.bpf_maps[id as usize].kind.evicts() {
                true => LossKind::Contended(map),
                false => LossKind::MapFull(map),
            });
            self.ir.jump(done, &[]);
            self.ir.switch_to(done);
            return;
        }
        let refused = self.refused(map, done);
        // A new element has to be counted, so it must be known whether it is new.
        let (inserted, there, again) = (self.ir.block(), self.ir.block(), self.ir.block());
        let tries = self.begin_tries();
        let result = self.update(generations, key, value, NO_EXIST);
        self.sort_results(result, inserted, there, refused);
        self.ir.switch_to(inserted);
        let one = self.ir.iconst(1);
        self.add_to_length(map, one);
        self.ir.jump(done, &[]);
        self.ir.switch_to(there);
        let result = self.update(generations, key, value, EXIST);
        let error = self.error_of(result);
        let failed = self.ir.block();
        self.ir.branch(Cond::Eq, error, zero, done, failed);
        self.ir.switch_to(failed);
        let gone = self.ir.iconst(ENOENT);
        self.ir
            .branch_with(Cond::Eq, error, gone, (again, &[]), (refused.0, &[result]));
        self.ir.switch_to(again);
        self.try_again(tries, refused);
        self.ir.switch_to(done);
    }

    /// Begins what may have to be tried more than once: gives the block to go back to and the number of tries before.
    fn begin_tries(&mut self) -> (Block, Value) {
        let head = self.ir.block();
        let tries = self.ir.param(head);
        let zero = self.ir.iconst(0);
        self.ir.jump(head, &[zero]);
        self.ir.switch_to(head);
        (head, tries)
    }

    fn try_again(&mut self, (head, tries): (Block, Value), refused: Refused) {
        let next = self.ir.bin_imm(BinOp::Add, tries, 1);
        let limit = self.ir.iconst(TRIES);
        let gone = self.ir.iconst(ENOENT);
        self.ir
            .branch_with(Cond::ULt, next, limit, (head, &[next]), (refused.0, &[gone]));
    }

    /// Goes on by what an insertion gave.
    fn sort_results(&mut self, result: Value, inserted: Block, there: Block, refused: Refused) {
        let failed = self.ir.block();
        let (zero, exists) = (self.ir.iconst(0), self.ir.iconst(EEXIST));
        let error = self.error_of(result);
        self.ir.branch(Cond::Eq, error, zero, inserted, failed);
        self.ir.switch_to(failed);
        self.ir
            .branch_with(Cond::Eq, error, exists, (there, &[]), (refused.0, &[result]));
    }

    /// The address of an element of a plain map, which is inserted as zeros if it is not there. Goes on at `left_out`,
    /// having counted it, where that cannot be.
    pub(super) fn element(
        &mut self,
        map: MapId,
        generations: Generations,
        key: Value,
        left_out: Block,
    ) -> Value {
        let (absent, found) = (self.ir.block(), self.ir.block());
        let addr = self.ir.param(found);
        let first = self.lookup(generations, key);
        let zero = self.ir.iconst(0);
        self.ir
            .branch_with(Cond::Ne, first, zero, (found, &[first]), (absent, &[]));
        self.ir.switch_to(absent);
        let refused = self.refused(map, left_out);
        let zeros = self.zeros();
        let tries = self.begin_tries();
        let there = self.ir.block();
        let result = self.update(generations, key, zeros, NO_EXIST);
        if self.map_plan(map).length.is_some() {
            let inserted = self.ir.block();
            self.sort_results(result, inserted, there, refused);
            self.ir.switch_to(inserted);
            let one = self.ir.iconst(1);
            self.add_to_length(map, one);
            self.ir.jump(there, &[]);
        } else {
            self.sort_results(result, there, there, refused);
        }
        self.ir.switch_to(there);
        self.find(generations, key, found, |cx| cx.try_again(tries, refused));
        self.ir.switch_to(found);
        addr
    }

    /// Looks a key up: goes on at `found` with its address, else does what `otherwise` says.
    fn find(
        &mut self,
        generations: Generations,
        key: Value,
        found: Block,
        otherwise: impl FnOnce(&mut Self),
    ) {
        let addr = self.lookup(generations, key);
        let zero = self.ir.iconst(0);
        let missing = self.ir.block();
        self.ir
            .branch_with(Cond::Ne, addr, zero, (found, &[addr]), (missing, &[]));
        self.ir.switch_to(missing);
        otherwise(self);
    }

    /// The address of a state of an aggregation, which is inserted as zeros if it is not there. Goes on at `left_out`, having
    /// counted it, where that cannot be. `chunk`: where in the key the number of its chunk is, and that number. Where
    /// elements are counted, chunk 0 stands for all chunks of a key: it is inserted before any other.
    pub(super) fn state_element(
        &mut self,
        state: KeyedState,
        key: Value,
        chunk: Option<(u32, Value)>,
        left_out: Block,
    ) -> Value {
        let found = self.ir.block();
        let addr = self.ir.param(found);
        self.find(state.maps, key, found, |_| {});
        self.find(state.overflow, key, found, |_| {});
        let is_counted = self.map_plan(state.map).length.is_some();
        let refused = self.refused(state.map, left_out);
        if let Some((at, number)) = chunk.filter(|_| is_counted) {
            let zero = self.ir.iconst(0);
            self.store_at(key, at, Width::B8, zero);
            self.first_chunk(state, key, refused);
            self.store_at(key, at, Width::B8, number);
        }
        let tries = self.begin_tries();
        let (per_cpu, plain) = self.insert_state(state, key, is_counted && chunk.is_none(), refused);
        self.ir.switch_to(per_cpu);
        self.find(state.maps, key, found, |cx| cx.try_again(tries, refused));
        self.ir.switch_to(plain);
        self.find(state.overflow, key, found, |cx| cx.try_again(tries, refused));
        self.ir.switch_to(found);
        addr
    }

    /// Makes sure that the chunk 0 of a key is there, and counts it where it is new.
    fn first_chunk(&mut self, state: KeyedState, key: Value, refused: Refused) {
        let there = self.ir.block();
        let zero = self.ir.iconst(0);
        for generations in [state.maps, state.overflow] {
            let element = self.lookup(generations, key);
            let missing = self.ir.block();
            self.ir.branch(Cond::Ne, element, zero, there, missing);
            self.ir.switch_to(missing);
        }
        let (per_cpu, plain) = self.insert_state(state, key, true, refused);
        for block in [per_cpu, plain] {
            self.ir.switch_to(block);
            self.ir.jump(there, &[]);
        }
        self.ir.switch_to(there);
    }

    /// Inserts zeros under a key that neither map had just now. Gives the blocks at which it goes on once the key is in the
    /// per-CPU map, and in the other one.
    fn insert_state(
        &mut self,
        state: KeyedState,
        key: Value,
        is_counted: bool,
        refused: Refused,
    ) -> (Block, Block) {
        let zeros = self.zeros();
        let [new, there, spilled, new_plain, there_plain] = std::array::from_fn(|_| self.ir.block());
        let not_there = self.ir.block();
        let result = self.update(state.maps, key, zeros, NO_EXIST);
        let error = self.error_of(result);
        let (zero, exists, full) = (self.ir.iconst(0), self.ir.iconst(EEXIST), self.ir.iconst(E2BIG));
        self.ir.branch(Cond::Eq, error, zero, new, not_there);
        self.ir.switch_to(not_there);
        let failed = self.ir.block();
        self.ir.branch(Cond::Eq, error, exists, there, failed);
        self.ir.switch_to(failed);
        self.ir
            .branch_with(Cond::Eq, error, full, (refused.0, &[result]), (spilled, &[]));
        self.ir.switch_to(spilled);
        let result = self.update(state.overflow, key, zeros, NO_EXIST);
        self.sort_results(result, new_plain, there_plain, refused);
        self.ir.switch_to(new);
        if is_counted {
            // Who put it into the other map meanwhile has counted it.
            let elsewhere = self.lookup(state.overflow, key);
            let nowhere_else = self.ir.block();
            self.ir.branch(Cond::Ne, elsewhere, zero, there, nowhere_else);
            self.ir.switch_to(nowhere_else);
            let one = self.ir.iconst(1);
            self.add_to_length(state.map, one);
        }
        self.ir.jump(there, &[]);
        self.ir.switch_to(new_plain);
        if is_counted {
            let one = self.ir.iconst(1);
            self.add_to_length(state.map, one);
            let elsewhere = self.lookup(state.maps, key);
            let unsure = self.ir.block();
            self.ir.branch(Cond::Eq, elsewhere, zero, there_plain, unsure);
            self.ir.switch_to(unsure);
            self.count_loss(LossKind::Length(state.map));
        }
        self.ir.jump(there_plain, &[]);
        (there, there_plain)
    }
}
