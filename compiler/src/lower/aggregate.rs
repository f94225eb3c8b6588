//! `@m[key] = count()` and the like: finds the place of the state and lets the aggregation emit its update.

use super::BodyCx;
use crate::aggregation::{CHUNK_WORDS, UpdateCx};
use crate::hir::Expr;
use crate::ir::{BinOp, Block, Builder, Op, Value, Width};
use crate::plan::{Generations, LossKind, MapId, Storage};
use crate::target::Feature;

/// Where the state of one aggregation is and how to get at it.
struct StateCx<'a, 'b> {
    cx: &'a mut BodyCx<'b>,
    map: MapId,
    place: StatePlace,
    /// Where the update is left out.
    done: Block,
    /// The address of the state, once found.
    base: Option<Value>,
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

impl BodyCx<'_> {
    pub(super) fn aggregate(&mut self, map: MapId, key: Option<&Expr>, value: Option<&Expr>) {
        let plan = self.map_plan(map);
        let Some(ty) = plan.aggregation() else {
            debug_assert!(false, "aggregation into a plain map");
            return;
        };
        let value = value.map(|e| self.value(e));
        let place = match (plan.storage.clone(), key, &plan.key) {
            (
                Storage::Striped {
                    offset,
                    bytes,
                    selector,
                },
                ..,
            ) => StatePlace::Striped {
                offset,
                bytes,
                selector,
            },
            (
                Storage::PerCpu {
                    maps,
                    overflow,
                    chunked,
                },
                Some(key),
                Some(key_ty),
            ) => {
                let prepared = self.prepare(key);
                let key = self.key_address(&prepared, key_ty, if chunked { 8 } else { 0 });
                StatePlace::PerCpu {
                    maps,
                    overflow,
                    key,
                    chunk_at: chunked.then(|| key_ty.slot_size()),
                }
            }
            _ => return,
        };
        let done = self.ir.block();
        let mut state = StateCx {
            cx: self,
            map,
            place,
            done,
            base: None,
        };
        ty.aggregation().lower(ty, &mut state, value);
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
    }
}

impl StateCx<'_, '_> {
    /// The element of a key in the per-CPU map, or in the map that takes what that one refuses.
    fn element(
        &mut self,
        maps: Generations,
        overflow: Generations,
        key: Value,
        chunk: Option<(u32, Value)>,
    ) -> Value {
        let (fallback, refused, found) = (self.cx.ir.block(), self.cx.ir.block(), self.cx.ir.block());
        let addr = self.cx.ir.param(found);
        let per_cpu = self.cx.element(self.map, maps, key, chunk, fallback);
        self.cx.ir.jump(found, &[per_cpu]);
        self.cx.ir.switch_to(fallback);
        let plain = self.cx.element(self.map, overflow, key, chunk, refused);
        self.cx.ir.jump(found, &[plain]);
        self.cx.ir.switch_to(refused);
        self.cx.count_loss(LossKind::MapFull(self.map));
        self.cx.ir.jump(self.done, &[]);
        self.cx.ir.switch_to(found);
        addr
    }

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
            } => self.element(maps, overflow, key, chunk),
        };
        self.base = Some(base);
        base
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

    fn word_at(&mut self, index: Value, words: u32) -> Value {
        if let StatePlace::PerCpu {
            key,
            chunk_at: Some(at),
            ..
        } = self.place
        {
            let chunk = self
                .cx
                .ir
                .bin_imm(BinOp::LShr, index, i64::from(CHUNK_WORDS.trailing_zeros()));
            self.cx.store_at(key, at, Width::B8, chunk);
            let base = self.base(Some((at, chunk)));
            return self.cx.ir.emit(Op::ElementAddr {
                base,
                index,
                count: CHUNK_WORDS,
                stride: 8,
            });
        }
        let base = self.base(None);
        self.cx.ir.emit(Op::ElementAddr {
            base,
            index,
            count: words.next_power_of_two(),
            stride: 8,
        })
    }

    fn announce(&mut self) {
        if let StatePlace::Striped { .. } | StatePlace::PerCpu { chunk_at: None, .. } = self.place {
            self.base(None);
        }
    }

    fn contended(&mut self) {
        self.cx.count_loss(LossKind::Contended(self.map));
    }

    fn has_compare_exchange(&self) -> bool {
        self.cx.target.has(Feature::FullAtomics)
    }
}
