//! Where control flow goes: ways that join, and what `break`, `continue` and `return` leave.
//!
//! A way that has not been told yet where it goes on is an [`Edge`]: a block without a terminator, with the variables as
//! they are there. [`BodyCx::merge`] joins such ways.

use super::{BodyCx, Cache, VarHome};
use crate::hir::VarId;
use crate::ir::{Block, Slot, Value, Width};

/// What a callback tells whom its loop is in: words of [`super::shared::Shared::Flow`].
pub(super) mod verdict {
    /// The loop ended because its iterations did.
    pub const RAN_OUT: i64 = 0;
    /// The loop was ended.
    pub const ENDED: i64 = 1;
    /// The program ends.
    pub const PROGRAM: i64 = 2;
    /// The call of a function of the script that the loop is in ends.
    pub const CALL: i64 = 3;
}

/// The end of a way.
pub(super) struct Edge {
    block: Block,
    vars: Vec<VarHome>,
    cache: Cache,
}

/// What statements can leave, innermost last.
pub(super) enum Scope {
    /// A loop whose iterations stand one behind the other.
    Unrolled {
        /// Ways that go on with the next iteration.
        next: Vec<Edge>,
        /// Ways that leave the loop.
        exits: Vec<Edge>,
    },
    /// A loop whose body is the callback under construction.
    Callback {
        /// Whether the caller asks why the loop ended.
        is_asked: bool,
        /// Whether the body can end the program.
        ends_program: bool,
        /// Whether the body can end the call that the loop is in.
        ends_call: bool,
    },
    /// A function of the script.
    Call {
        /// Ways that leave it.
        exits: Vec<Edge>,
    },
}

impl BodyCx<'_> {
    /// The way that code was added to last.
    pub(super) fn edge(&self) -> Edge {
        Edge {
            block: self.ir.current(),
            vars: self.vars.clone(),
            cache: self.cache,
        }
    }

    /// What is added from now on is unreachable.
    pub(super) fn unreachable(&mut self) {
        let unreachable = self.ir.block();
        self.ir.switch_to(unreachable);
    }

    /// Joins ways, each of which hands over as many values: gives them as they are on the way taken, and leaves every
    /// variable with its value there. Without any way, what follows is unreachable.
    pub(super) fn merge(&mut self, ways: Vec<(Edge, Vec<Value>)>) -> Vec<Value> {
        let merge = self.ir.block();
        let (edges, mut handed): (Vec<Edge>, Vec<Vec<Value>>) = ways.into_iter().unzip();
        let Some(first) = edges.first() else {
            self.ir.switch_to(merge);
            return Vec::new();
        };
        let results = handed[0].iter().map(|_| self.ir.param(merge)).collect();
        self.vars.clone_from(&first.vars);
        self.cache = first.cache;
        for edge in &edges[1..] {
            self.cache = self.cache.common(edge.cache);
        }
        let mut zeroed: Vec<Vec<(Slot, u32)>> = edges.iter().map(|_| Vec::new()).collect();
        for i in 0..self.vars.len() {
            let homes = || edges.iter().map(|edge| edge.vars[i]);
            if homes().all(|home| home == self.vars[i]) {
                continue;
            }
            if self.assigned_first.contains(&VarId(i as u32)) {
                // Nothing reads it any more, unless it is given a value before.
                self.vars[i] = VarHome::Zeros;
                continue;
            }
            if let Some(slot) = homes().find(|home| matches!(home, VarHome::Slot(_))) {
                // Assigned on some ways only: on the others the slot gets the zeros that it stands for.
                let size = self.probe.vars[i].ty.size();
                for (home, zeroed) in homes().zip(&mut zeroed) {
                    if let (VarHome::Zeros, VarHome::Slot(slot)) = (home, slot) {
                        zeroed.push((slot, size));
                    }
                }
                self.vars[i] = slot;
                continue;
            }
            for (home, handed) in homes().zip(&mut handed) {
                if let VarHome::Value(value) = home {
                    handed.push(value);
                }
            }
            self.vars[i] = VarHome::Value(self.ir.param(merge));
        }
        for ((edge, args), zeroed) in edges.iter().zip(&handed).zip(zeroed) {
            self.ir.switch_to(edge.block);
            for (slot, size) in zeroed {
                self.zero_slot(slot, size);
            }
            self.ir.jump(merge, args);
        }
        self.ir.switch_to(merge);
        results
    }

    /// Lowers two ways that control flow takes, each from the start of its block, and joins them.
    pub(super) fn join(
        &mut self,
        then: (Block, impl FnOnce(&mut Self) -> Vec<Value>),
        otherwise: (Block, impl FnOnce(&mut Self) -> Vec<Value>),
    ) -> Vec<Value> {
        let before = (self.vars.clone(), self.cache);
        self.ir.switch_to(then.0);
        let results_then = (then.1)(self);
        let end_then = self.edge();
        (self.vars, self.cache) = before;
        self.ir.switch_to(otherwise.0);
        let results_otherwise = (otherwise.1)(self);
        let end_otherwise = self.edge();
        self.merge(vec![(end_then, results_then), (end_otherwise, results_otherwise)])
    }

    /// Ends the program here; what is added from now on is unreachable.
    pub(super) fn end_program(&mut self) {
        let callback = self.scopes.iter_mut().rev().find_map(|scope| match scope {
            Scope::Callback { ends_program, .. } => Some(ends_program),
            _ => None,
        });
        match callback {
            Some(ends_program) => {
                *ends_program = true;
                self.stop_loop(Some(verdict::PROGRAM));
            }
            None => {
                self.ret(0);
                self.unreachable();
            }
        }
    }

    /// Ends the innermost call of a function of the script.
    pub(super) fn leave(&mut self) {
        let edge = self.edge();
        for scope in self.scopes.iter_mut().rev() {
            match scope {
                Scope::Call { exits } => {
                    exits.push(edge);
                    return self.unreachable();
                }
                Scope::Callback { ends_call, .. } => {
                    *ends_call = true;
                    return self.stop_loop(Some(verdict::CALL));
                }
                Scope::Unrolled { .. } => {}
            }
        }
        debug_assert!(false, "`return` of a function outside of any");
    }

    /// `break` and `continue`.
    pub(super) fn end_iteration(&mut self, is_break: bool) {
        let edge = self.edge();
        for scope in self.scopes.iter_mut().rev() {
            match scope {
                Scope::Unrolled { next, exits } => {
                    if is_break { exits } else { next }.push(edge);
                    return self.unreachable();
                }
                Scope::Callback { is_asked, .. } => {
                    let verdict = is_asked.then_some(verdict::ENDED);
                    if is_break {
                        return self.stop_loop(verdict);
                    }
                    self.ret(0);
                    return self.unreachable();
                }
                Scope::Call { .. } => {}
            }
        }
        debug_assert!(false, "`break` or `continue` outside of any loop");
    }

    /// Ends the loop whose callback this is.
    pub(super) fn stop_loop(&mut self, verdict: Option<i64>) {
        if let Some(verdict) = verdict {
            let flow = self.flow_word(self.depth);
            let verdict = self.ir.iconst(verdict);
            self.ir.store(flow, 0, Width::B8, verdict);
        }
        self.ret(1);
        self.unreachable();
    }

    /// Ends the function: a callback's loop goes on with 0 and stops with 1.
    pub(super) fn ret(&mut self, value: i64) {
        let value = self.ir.iconst(value);
        self.ir.ret(value);
    }
}

impl Cache {
    /// What both have.
    fn common(self, other: Self) -> Self {
        let same = |a: Option<Slot>, b: Option<Slot>| a.filter(|_| a == b);
        Self {
            comm: same(self.comm, other.comm),
            namespace_ids: same(self.namespace_ids, other.namespace_ids),
        }
    }
}
