//! Loops.
//!
//! A short loop over a constant range, and `unroll`, are written out. Every other loop is a callback that the kernel
//! calls for each iteration ([`crate::helper::Helper::Loop`], [`crate::helper::Helper::ForEachMapElem`]): the verifier
//! follows it once, however often it runs. The callback is a function of its own; what it shares with the function that
//! the loop stands in is said in [`super::shared`].
//!
//! `while` is a loop of as many iterations as the kernel allows, ended by its condition. A loop that meets that limit is
//! counted as a loss.

use super::flow::{Scope, verdict};
use super::memory::Prepared;
use super::shared::{self, Shared};
use super::{BodyCx, VarHome};
use crate::helper::Helper;
use crate::hir::{Expr, ExprKind, Locals, Stmt, VarId};
use crate::ir::{BinOp, Builder, CallbackId, Cond, Op, Role, Value, Width, shared_frame};
use crate::plan::{Generations, LossKind, MapId, Storage};
use crate::target::Feature;
use crate::types::Type;

/// `BPF_MAX_LOOPS` (include/linux/bpf_verifier.h): the most iterations of one call of `bpf_loop`.
const MAX_LOOPS: i64 = 8 << 20;

/// Functions that can be under way at once, the main one included: `MAX_CALL_FRAMES` (include/linux/bpf_verifier.h).
pub const MAX_FRAMES: u32 = 8;

/// The arguments of a `bpf_loop` callback: the iteration's number and the shared frame.
const LOOP_INDEX: u8 = 0;
const LOOP_FRAME: u8 = 1;
/// The arguments of a callback of `bpf_for_each_map_elem` behind the map: key, value, and the shared frame.
const ELEMENT_KEY: u8 = 1;
const ELEMENT_VALUE: u8 = 2;
const ELEMENT_FRAME: u8 = 3;

/// A callback that has been lowered, and what its caller must look at when the loop has ended.
struct LoopBody {
    id: CallbackId,
    is_asked: bool,
    ends_program: bool,
    ends_call: bool,
}

/// What a helper calls back for.
enum Iterated {
    /// So many times.
    Count(Value),
    /// Each element of the map in use.
    Elements(Generations),
}

impl BodyCx<'_> {
    /// `for $v : from..to`.
    pub(super) fn for_range(&mut self, var: VarId, range: (&Expr, &Expr), locals: Locals, body: &[Stmt]) {
        if let Some((start, count)) = shared::unrolled(range.0, range.1, body, self.target) {
            return self.unroll(Some((var, start)), count, locals, body);
        }
        if !self.require(Feature::BpfLoop) {
            return;
        }
        let (from, to) = (self.value(range.0), self.value(range.1));
        let start = Shared::Start(self.depth + 1);
        let constant = match range.0.kind {
            ExprKind::Const(start) => Some(start),
            _ => {
                let word = self.shared_word(start);
                self.ir.store(word, 0, Width::B8, from);
                None
            }
        };
        let (some, done) = (self.ir.block(), self.ir.block());
        self.ir.branch(Cond::SLt, from, to, some, done);
        self.ir.switch_to(some);
        let count = self.ir.bin(BinOp::Sub, to, from);
        let count = self.limited(count);
        let body = self.callback(LOOP_FRAME, false, |cx| {
            cx.reset(locals.iter().filter(|&local| local != var));
            let index = cx.ir.emit(Op::Argument(LOOP_INDEX));
            let first = match constant {
                Some(first) => cx.ir.iconst(first),
                None => {
                    let word = cx.shared_word(start);
                    cx.ir.load(word, 0, Width::B8)
                }
            };
            let value = cx.ir.bin(BinOp::Add, first, index);
            cx.assign(var, value);
            cx.statements(body);
        });
        self.run_loop(Iterated::Count(count), &body);
        self.ir.jump(done, &[]);
        self.ir.switch_to(done);
    }

    /// A number of iterations that `bpf_loop` accepts; that there are more is counted.
    fn limited(&mut self, count: Value) -> Value {
        let (more, go) = (self.ir.block(), self.ir.block());
        let limited = self.ir.param(go);
        let most = self.ir.iconst(MAX_LOOPS);
        self.ir
            .branch_with(Cond::UGt, count, most, (more, &[]), (go, &[count]));
        self.ir.switch_to(more);
        self.count_loss(LossKind::Loop);
        self.ir.jump(go, &[most]);
        self.ir.switch_to(go);
        limited
    }

    /// `while (cond)`.
    pub(super) fn while_loop(&mut self, cond: &Expr, locals: Locals, body: &[Stmt]) {
        if !self.require(Feature::BpfLoop) {
            return;
        }
        let body = self.callback(LOOP_FRAME, true, |cx| {
            cx.reset(locals.iter());
            let (go, stop) = (cx.ir.block(), cx.ir.block());
            cx.branch_on(cond, go, stop);
            cx.ir.switch_to(stop);
            cx.stop_loop(Some(verdict::ENDED));
            cx.ir.switch_to(go);
            cx.statements(body);
        });
        let count = self.ir.iconst(MAX_LOOPS);
        if let Some(flow) = self.run_loop(Iterated::Count(count), &body) {
            let (limit, done) = (self.ir.block(), self.ir.block());
            let ran_out = self.ir.iconst(verdict::RAN_OUT);
            self.ir.branch(Cond::Eq, flow, ran_out, limit, done);
            self.ir.switch_to(limit);
            self.count_loss(LossKind::Loop);
            self.ir.jump(done, &[]);
            self.ir.switch_to(done);
        }
    }

    /// `for ($kv : @m)`.
    pub(super) fn for_map(&mut self, var: VarId, map: MapId, locals: Locals, body: &[Stmt]) {
        let plan = self.map_plan(map);
        let Some(key_ty) = &plan.key else {
            debug_assert!(false, "a loop over a map that has no elements");
            return;
        };
        if !self.require(Feature::MapIteration) {
            return;
        }
        // The kernel holds a lock of its own while it calls back.
        let sleepable = std::mem::take(&mut self.sleepable);
        match plan.storage {
            Storage::Hash(generations) => {
                let body = self.callback(ELEMENT_FRAME, false, |cx| {
                    let addr = cx.ir.emit(Op::Argument(ELEMENT_VALUE));
                    let value = cx.top_level(addr, &plan.value);
                    cx.with_element_of(var, key_ty, value, locals, body);
                });
                self.run_loop(Iterated::Elements(generations), &body);
            }
            Storage::PerCpu { maps, overflow, .. } => {
                let pass = Shared::Pass(self.depth + 1);
                let body = self.callback(ELEMENT_FRAME, true, |cx| {
                    let key = cx.ir.emit(Op::Argument(ELEMENT_KEY));
                    cx.skip_if_met(pass, maps, key);
                    let value = Prepared::Scalar(cx.reduced_at(map, Some(key)));
                    cx.with_element_of(var, key_ty, value, locals, body);
                });
                let done = self.ir.block();
                for (number, maps) in [(0, maps), (1, overflow)] {
                    let word = self.shared_word(pass);
                    let number = self.ir.iconst(number);
                    self.ir.store(word, 0, Width::B8, number);
                    if let Some(flow) = self.run_loop(Iterated::Elements(maps), &body) {
                        let (next, ran_out) = (self.ir.block(), self.ir.iconst(verdict::RAN_OUT));
                        self.ir.branch(Cond::Eq, flow, ran_out, next, done);
                        self.ir.switch_to(next);
                    }
                }
                self.ir.jump(done, &[]);
                self.ir.switch_to(done);
            }
            Storage::Words { .. } | Storage::Striped { .. } => {}
        }
        self.sleepable = sleepable;
    }

    /// The body of a loop over a map, in its callback.
    fn with_element_of(&mut self, var: VarId, key_ty: &Type, value: Prepared, locals: Locals, body: &[Stmt]) {
        self.reset(locals.iter().filter(|&local| local != var));
        let addr = self.ir.emit(Op::Argument(ELEMENT_KEY));
        let key = self.top_level(addr, key_ty);
        self.set_var_to(var, &Prepared::Tuple(vec![key, value]));
        self.statements(body);
    }

    /// Ends the iteration if this is the second pass, over what the per-CPU map refused, and the key is in both: then the
    /// first pass has met it.
    fn skip_if_met(&mut self, pass: Shared, maps: Generations, key: Value) {
        let (second, met, on) = (self.ir.block(), self.ir.block(), self.ir.block());
        let word = self.shared_word(pass);
        let pass = self.ir.load(word, 0, Width::B8);
        let zero = self.ir.iconst(0);
        self.ir.branch(Cond::Ne, pass, zero, second, on);
        self.ir.switch_to(second);
        let first = self.lookup(maps, key);
        self.ir.branch(Cond::Ne, first, zero, met, on);
        self.ir.switch_to(met);
        self.ret(0);
        self.ir.switch_to(on);
    }

    /// A whole key or value of a map.
    fn top_level(&mut self, addr: Value, ty: &Type) -> Prepared {
        if ty.is_scalar() {
            Prepared::Scalar(self.ir.load(addr, 0, Width::B8))
        } else {
            Prepared::Memory {
                addr,
                offset: 0,
                size: ty.size(),
            }
        }
    }

    /// `count` times the body, one behind the other; `counter`, if any, counts from a number.
    pub(super) fn unroll(
        &mut self,
        counter: Option<(VarId, i64)>,
        count: u32,
        locals: Locals,
        body: &[Stmt],
    ) {
        let mut left = Vec::new();
        for k in 0..i64::from(count) {
            self.reset(locals.iter());
            if let Some((var, first)) = counter {
                let value = self.ir.iconst(first.wrapping_add(k));
                self.assign(var, value);
            }
            self.scopes.push(Scope::Unrolled {
                next: Vec::new(),
                exits: Vec::new(),
            });
            self.statements(body);
            let Some(Scope::Unrolled { mut next, exits }) = self.scopes.pop() else {
                unreachable!("scopes are closed in the order in which they were opened");
            };
            left.extend(exits);
            if !next.is_empty() {
                next.push(self.edge());
                self.merge(next.into_iter().map(|edge| (edge, Vec::new())).collect());
            }
        }
        if !left.is_empty() {
            left.push(self.edge());
            self.merge(left.into_iter().map(|edge| (edge, Vec::new())).collect());
        }
    }

    /// The body of a call of a function of the script.
    pub(super) fn inlined(&mut self, locals: Locals, body: &[Stmt]) {
        self.reset(locals.iter());
        self.scopes.push(Scope::Call { exits: Vec::new() });
        self.statements(body);
        let Some(Scope::Call { mut exits }) = self.scopes.pop() else {
            unreachable!("scopes are closed in the order in which they were opened");
        };
        if !exits.is_empty() {
            exits.push(self.edge());
            self.merge(exits.into_iter().map(|edge| (edge, Vec::new())).collect());
        }
    }

    /// Lowers a loop's body as a function of its own, whose argument `frame` is the shared frame. With `is_asked` the
    /// caller wants to know why the loop ended.
    fn callback(&mut self, frame: u8, is_asked: bool, body: impl FnOnce(&mut Self)) -> LoopBody {
        let id = CallbackId(self.callbacks.len() as u32);
        self.callbacks.push(None);
        let caller = self.callback;
        let name = format!("{}_loop{}", self.symbol, id.0);
        let mut ir = Builder::with_role(name, self.probe.kind, Role::Callback { frame, caller });
        ir.set_span(self.span);
        // What belongs to the function under construction.
        let ir = std::mem::replace(&mut self.ir, ir);
        let vars = std::mem::take(&mut self.vars);
        let cache = std::mem::take(&mut self.cache);
        let var_slots = std::mem::take(&mut self.var_slots);
        let shared_slots = std::mem::take(&mut self.shared_slots);
        self.callback = Some(id);
        self.depth += 1;
        self.scopes.push(Scope::Callback {
            is_asked,
            ends_program: false,
            ends_call: false,
        });
        let zero = self.ir.iconst(0);
        let home = |var| match &self.probe.vars[var as usize].ty {
            _ if self.captured.contains(&VarId(var)) => VarHome::Shared,
            ty if ty.is_scalar() => VarHome::Value(zero),
            _ => VarHome::Zeros,
        };
        self.vars = (0..self.probe.vars.len() as u32).map(home).collect();
        body(self);
        self.ret(0);
        let Some(Scope::Callback {
            ends_program,
            ends_call,
            ..
        }) = self.scopes.pop()
        else {
            unreachable!("scopes are closed in the order in which they were opened");
        };
        self.depth -= 1;
        let function = std::mem::replace(&mut self.ir, ir).finish();
        self.callbacks[id.0 as usize] = Some(function);
        self.callback = caller;
        (self.vars, self.cache) = (vars, cache);
        (self.var_slots, self.shared_slots) = (var_slots, shared_slots);
        LoopBody {
            id,
            is_asked,
            ends_program,
            ends_call,
        }
    }

    /// Calls a helper that calls a loop's body back, and ends what the body has ended. Gives why the loop ended, where
    /// that is asked.
    fn run_loop(&mut self, over: Iterated, body: &LoopBody) -> Option<Value> {
        let has_verdict = body.is_asked || body.ends_program || body.ends_call;
        if has_verdict {
            let flow = self.flow_word(self.depth + 1);
            let ran_out = self.ir.iconst(verdict::RAN_OUT);
            self.ir.store(flow, 0, Width::B8, ran_out);
        }
        self.hand_over(body.id);
        let frame = self.ir.shared_frame();
        let callback = self.ir.emit(Op::Callback(body.id));
        let zero = self.ir.iconst(0);
        let call = |cx: &mut Self, helper, first| {
            cx.ir.call_effect(helper, &[first, callback, frame, zero]);
        };
        match over {
            Iterated::Count(count) => call(self, Helper::Loop, count),
            Iterated::Elements(Generations::One(map)) => {
                let map = self.ir.emit(Op::MapPtr(map));
                call(self, Helper::ForEachMapElem, map);
            }
            // Kernels before 6.10 want one map for each call instruction (`set_map_elem_callback_state()`).
            Iterated::Elements(Generations::Two { maps, selector }) => {
                let (blocks, done) = ([self.ir.block(), self.ir.block()], self.ir.block());
                let selector = self.selector(selector).unwrap_or(zero);
                self.ir.branch(Cond::Eq, selector, zero, blocks[0], blocks[1]);
                for (block, map) in blocks.into_iter().zip(maps) {
                    self.ir.switch_to(block);
                    let map = self.ir.emit(Op::MapPtr(map));
                    call(self, Helper::ForEachMapElem, map);
                    self.ir.jump(done, &[]);
                }
                self.ir.switch_to(done);
            }
        }
        if !has_verdict {
            return None;
        }
        let flow = self.flow_word(self.depth + 1);
        let flow = self.ir.load(flow, 0, Width::B8);
        if body.ends_program {
            self.on_verdict(flow, verdict::PROGRAM, Self::end_program);
        }
        if body.ends_call {
            self.on_verdict(flow, verdict::CALL, Self::leave);
        }
        body.is_asked.then_some(flow)
    }

    fn on_verdict(&mut self, flow: Value, wanted: i64, leave: impl FnOnce(&mut Self)) {
        let (ended, on) = (self.ir.block(), self.ir.block());
        let wanted = self.ir.iconst(wanted);
        self.ir.branch(Cond::Eq, flow, wanted, ended, on);
        self.ir.switch_to(ended);
        leave(self);
        self.ir.switch_to(on);
    }

    /// Puts what only the main function has where a callback and those within it find it.
    fn hand_over(&mut self, id: CallbackId) {
        if self.callback.is_some() {
            return;
        }
        for offset in std::mem::take(&mut self.selectors_handed) {
            if let Some(&value) = self.selectors.get(&offset) {
                let word = self.shared_word(Shared::Selector(offset));
                self.ir.store(word, 0, Width::B8, value);
            }
        }
        let mut functions = self.callbacks[id.0 as usize..].iter().flatten();
        if functions.any(|f| {
            f.insts
                .iter()
                .any(|i| matches!(i.op, Op::Ctx | Op::CtxLoad { .. }))
        }) {
            let ctx = self.ir.emit(Op::Ctx);
            let frame = self.ir.shared_frame();
            self.ir.store(frame, shared_frame::CTX, Width::B8, ctx);
        }
    }
}
