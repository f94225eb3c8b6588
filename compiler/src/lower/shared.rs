//! What the functions of a program share: variables that a loop's callback uses and does not declare, and a few words.
//!
//! They are in slots that have one number in all functions ([`crate::ir::SlotData::shared`]), so in scratch memory for as
//! long as the program runs.

use super::{BodyCx, VarHome};
use crate::hir::{Expr, ExprKind, Locals, Place, Probe, Stmt, StmtKind, VarId};
use crate::ir::{Slot, Value, Width};
use crate::target::{Feature, Target};
use crate::visit::{self, Node};
use std::collections::HashSet;

/// Something that functions share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shared {
    /// A variable.
    Var(VarId),
    /// The value of the generation selector at this offset of the program memory, as read when the program began.
    Selector(u32),
    /// Why the loop of this depth ended ([`super::flow::verdict`]).
    Flow(u32),
    /// What the loop of this depth counts from.
    Start(u32),
    /// Whether the loop of this depth goes over what a per-CPU map refused.
    Pass(u32),
}

/// The variables that callbacks share with the functions that call them.
pub(super) fn captured(probe: &Probe, target: &dyn Target) -> HashSet<VarId> {
    let mut captured = HashSet::new();
    visit::any_node_of(probe, &mut |node| {
        let Node::Stmt(stmt) = node else {
            return false;
        };
        match &stmt.kind {
            StmtKind::ForRange {
                from,
                to,
                locals,
                body,
                ..
            } if unrolled(from, to, body, target).is_none() => mentioned(body, *locals, &mut captured),
            StmtKind::ForMap { locals, body, .. } => mentioned(body, *locals, &mut captured),
            StmtKind::While { cond, locals, body } => {
                visit::any_node_in_expr(cond, &mut |node| mention(node, *locals, &mut captured));
                mentioned(body, *locals, &mut captured);
            }
            _ => {}
        }
        false
    });
    captured
}

/// Adds the variables that a loop's body mentions and does not declare.
fn mentioned(body: &[Stmt], locals: Locals, out: &mut HashSet<VarId>) {
    visit::any_node(body, &mut |node| mention(node, locals, out));
}

fn mention(node: Node<'_>, locals: Locals, out: &mut HashSet<VarId>) -> bool {
    let var = match node {
        Node::Expr(Expr {
            kind:
                ExprKind::Var(var)
                | ExprKind::AddressOf(var)
                | ExprKind::Increment {
                    place: Place::Var(var),
                    ..
                },
            ..
        })
        | Node::Stmt(Stmt {
            kind: StmtKind::SetVar(var, _),
            ..
        }) => Some(*var),
        _ => None,
    };
    out.extend(var.filter(|var| !locals.contains(*var)));
    false
}

/// Iterations times size of what is always written out: less than what a call of a callback costs.
const UNROLLED_SIZE: u64 = 48;
/// The same where the kernel has no `bpf_loop`.
const MAX_UNROLLED_SIZE: u64 = 2000;

/// The first number and the count of a loop that is written out instead of run by a callback.
pub(super) fn unrolled(from: &Expr, to: &Expr, body: &[Stmt], target: &dyn Target) -> Option<(i64, u32)> {
    let (ExprKind::Const(from), ExprKind::Const(to)) = (&from.kind, &to.kind) else {
        return None;
    };
    let count = u64::try_from(to.checked_sub(*from)?).unwrap_or(0);
    let limit = if target.has(Feature::BpfLoop) {
        UNROLLED_SIZE
    } else {
        MAX_UNROLLED_SIZE
    };
    let mut size = 1_u64;
    visit::any_node(body, &mut |_| {
        size += 1;
        size > limit
    });
    let is_short = count.checked_mul(size).is_some_and(|total| total <= limit);
    is_short.then_some((*from, count as u32))
}

impl BodyCx<'_> {
    /// The slot of something shared in the function under construction.
    pub(super) fn shared_slot(&mut self, what: Shared, size: u32) -> Slot {
        if let Some(slot) = self.shared_slots.get(&what) {
            return *slot;
        }
        let next = self.shared.len() as u32;
        let number = *self.shared.entry(what).or_insert(next);
        let slot = self.ir.shared_slot(size, number);
        self.shared_slots.insert(what, slot);
        slot
    }

    /// The address of a shared word.
    pub(super) fn shared_word(&mut self, what: Shared) -> Value {
        let slot = self.shared_slot(what, 8);
        self.ir.slot_addr(slot, 0)
    }

    pub(super) fn flow_word(&mut self, depth: u32) -> Value {
        self.shared_word(Shared::Flow(depth))
    }

    /// The slot of a variable that functions share.
    pub(super) fn shared_var(&mut self, var: VarId) -> Slot {
        let size = self.probe.vars[var.0 as usize].ty.slot_size();
        self.shared_slot(Shared::Var(var), size)
    }

    /// A scalar variable that functions share.
    pub(super) fn load_shared(&mut self, var: VarId) -> Value {
        let slot = self.shared_var(var);
        let addr = self.ir.slot_addr(slot, 0);
        self.ir.load(addr, 0, Width::B8)
    }

    /// Gives a scalar variable a value.
    pub(super) fn assign(&mut self, var: VarId, value: Value) {
        let (slot, width) = match self.vars[var.0 as usize] {
            VarHome::Shared => (self.shared_var(var), Width::B8),
            // Its address is taken.
            VarHome::Slot(slot) => {
                let bytes = self.probe.vars[var.0 as usize].ty.size();
                (slot, Width::from_bytes(bytes).unwrap_or(Width::B8))
            }
            VarHome::Value(_) | VarHome::Zeros => {
                self.vars[var.0 as usize] = VarHome::Value(value);
                return;
            }
        };
        let addr = self.ir.slot_addr(slot, 0);
        self.ir.store(addr, 0, width, value);
    }

    /// Makes variables zeros.
    pub(super) fn reset(&mut self, vars: impl Iterator<Item = VarId>) {
        for var in vars {
            let ty = &self.probe.vars[var.0 as usize].ty;
            self.vars[var.0 as usize] = if self.captured.contains(&var) {
                let slot = self.shared_var(var);
                if !self.assigned_first.contains(&var) {
                    self.zero_slot(slot, ty.slot_size());
                }
                VarHome::Shared
            } else if self.addressed.contains(&var) {
                // It lives in memory from the start.
                let ir = &mut self.ir;
                let slot = *self.var_slots.entry(var).or_insert_with(|| ir.slot(ty.size()));
                self.zero_slot(slot, ty.size());
                VarHome::Slot(slot)
            } else if ty.is_scalar() {
                VarHome::Value(self.ir.iconst(0))
            } else {
                VarHome::Zeros
            };
        }
    }

    /// The value of the generation selector at an offset, where the map has one.
    pub(super) fn selector(&mut self, offset: u32) -> Option<Value> {
        if self.callback.is_none() {
            return self.selectors.get(&offset).copied();
        }
        self.selectors.get(&offset)?;
        self.selectors_handed.insert(offset);
        let word = self.shared_word(Shared::Selector(offset));
        Some(self.ir.load(word, 0, Width::B8))
    }
}
