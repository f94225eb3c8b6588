//! Lowering: typed HIR to SSA IR, one function a program.
//!
//! In: a checked script and its layout. Out: functions that keep the IR's invariants ([`crate::ir`]).
//!
//! **Values.** A scalar expression becomes an IR value. Anything else (text, tuples) becomes a [`memory::Prepared`]:
//! first everything that can fail, sleep or run user expressions is done, then the bytes are written where they are
//! wanted, so that a record of the ring buffer is reserved last and filled at once.
//!
//! **Variables.** Scalars are IR values, merged by block parameters where control flow joins; everything else has a
//! slot of memory.
//!
//! **Ends.** Code behind `return` and `exit()` goes into a block that nothing reaches.

mod aggregate;
mod builtins;
mod compare;
mod events;
mod insert;
mod intrinsic;
mod maps;
mod memory;
mod read;
mod value;

use crate::hir::{Probe, Script, Stmt, StmtKind, VarId};
use crate::ir::{Block, Builder, Cond, Function, Op, Slot, Value, Width};
use crate::layout::Layout;
use crate::plan::{Attach, LossKind, MemoryPlan};
use crate::target::{Feature, Target};
use crate::types::{Space, Type};
use crumbs_grammar::span::Span;
use std::collections::HashMap;

/// A script needs a kernel feature that the target lacks, at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub feature: Feature,
    /// What needs it.
    pub span: Span,
}

/// Lowers every program of a script, in order; also says which are sleepable.
///
/// # Errors
/// Every place that needs a feature which the target has not.
pub fn lower(
    script: &Script,
    layout: &Layout,
    target: &dyn Target,
) -> Result<Vec<(Function, bool)>, Vec<Missing>> {
    let mut missing = Vec::new();
    let functions = script
        .probes
        .iter()
        .zip(&layout.plan.programs)
        .map(|(probe, plan)| {
            let mut cx = BodyCx::new(script, probe, layout, target, plan.symbol.clone());
            cx.body();
            missing.append(&mut cx.missing);
            (cx.ir.finish(), cx.sleepable)
        })
        .collect();
    if missing.is_empty() {
        Ok(functions)
    } else {
        Err(missing)
    }
}

/// Where a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VarHome {
    /// A scalar: its value now.
    Value(Value),
    /// Everything else, once assigned.
    Slot(Slot),
    /// Everything else, before: zeros that nothing has written yet.
    Zeros,
}

/// Results of helpers that fill memory and give the same on every call of one run; valid where control flow now is.
#[derive(Clone, Copy, Debug, Default)]
struct Cache {
    comm: Option<Slot>,
    namespace_ids: Option<Slot>,
}

/// One program under construction.
pub struct BodyCx<'a> {
    ir: Builder,
    script: &'a Script,
    probe: &'a Probe,
    layout: &'a Layout,
    target: &'a dyn Target,
    vars: Vec<VarHome>,
    cache: Cache,
    /// Values of the generation selectors, read once at the start, by their offset.
    selectors: HashMap<u32, Value>,
    sleepable: bool,
    /// Whether text or tuples are assigned in the middle of an expression.
    assigns_within: bool,
    missing: Vec<Missing>,
    span: Span,
    /// The slot of each variable that has needed one.
    var_slots: HashMap<VarId, Slot>,
}

impl<'a> BodyCx<'a> {
    fn new(
        script: &'a Script,
        probe: &'a Probe,
        layout: &'a Layout,
        target: &'a dyn Target,
        name: String,
    ) -> Self {
        let is_user = probe.attach.iter().any(Attach::is_on_user_code);
        Self {
            ir: Builder::new(name, probe.kind),
            script,
            probe,
            layout,
            target,
            vars: Vec::new(),
            cache: Cache::default(),
            selectors: HashMap::new(),
            // Only user probes can wait for a page; only reading its memory can need one.
            sleepable: is_user && target.has(Feature::SleepableUprobe) && reads::user_memory(probe),
            assigns_within: reads::assigns_within(probe),
            missing: Vec::new(),
            span: probe.span,
            var_slots: HashMap::new(),
        }
    }

    fn body(&mut self) {
        self.ir.set_span(self.probe.span);
        self.load_selectors();
        let zero = self.ir.iconst(0);
        let fresh = |ty: &Type| {
            if ty.is_scalar() {
                VarHome::Value(zero)
            } else {
                VarHome::Zeros
            }
        };
        self.vars = self.probe.vars.iter().map(|var| fresh(&var.ty)).collect();
        self.give_memory();
        let (run, out) = (self.ir.block(), self.ir.block());
        if let Some(wanted) = self.probe.pid_filter {
            let (pid, wanted) = (self.pid(), self.ir.iconst(i64::from(wanted)));
            let pass = self.ir.block();
            self.ir.branch(Cond::Eq, pid, wanted, pass, out);
            self.ir.switch_to(pass);
        }
        match &self.probe.predicate {
            Some(predicate) => self.branch_on(predicate, run, out),
            None => self.ir.jump(run, &[]),
        }
        self.ir.switch_to(run);
        self.statements(&self.probe.body);
        self.ir.jump(out, &[]);
        self.ir.switch_to(out);
        self.ret();
    }

    /// Variables whose address is taken live in memory from the start.
    fn give_memory(&mut self) {
        for var in reads::addressed(self.probe) {
            let size = self.probe.vars[var.0 as usize].ty.size();
            let slot = self.ir.slot(size);
            self.zero_slot(slot, size);
            self.var_slots.insert(var, slot);
            self.vars[var.0 as usize] = VarHome::Slot(slot);
        }
    }

    fn ret(&mut self) {
        let zero = self.ir.iconst(0);
        self.ir.ret(zero);
    }

    /// Ends the program here; what is added from now on is unreachable.
    fn end_program(&mut self) {
        self.ret();
        let unreachable = self.ir.block();
        self.ir.switch_to(unreachable);
    }

    /// Reads every generation selector that the program may need. At the start and once, so that a run uses one
    /// generation throughout and a switch followed by a grace period leaves no user of the other.
    fn load_selectors(&mut self) {
        let mut offsets: Vec<u32> = self
            .layout
            .plan
            .maps
            .iter()
            .filter_map(|map| maps::selector(&map.storage))
            .collect();
        offsets.sort_unstable();
        for offset in offsets {
            let addr = self.ir.emit(Op::Memory(offset));
            let value = self.ir.load(addr, 0, Width::B8);
            self.selectors.insert(offset, value);
        }
    }

    fn statements(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            let outer = std::mem::replace(&mut self.span, stmt.span);
            self.ir.set_span(stmt.span);
            self.statement(&stmt.kind);
            self.span = outer;
            self.ir.set_span(outer);
        }
    }

    fn statement(&mut self, stmt: &StmtKind) {
        match stmt {
            StmtKind::Eval(expr) => self.effect(expr),
            StmtKind::SetVar(var, value) => self.set_var(*var, value),
            StmtKind::SetMap { map, key, value } => self.set_map(*map, key.as_ref(), value),
            StmtKind::UpdateMap { map, key, op, value } => self.update_map(*map, key.as_ref(), *op, value),
            StmtKind::Aggregate {
                map,
                key,
                value,
                weight,
            } => self.aggregate(*map, key.as_ref(), value.as_ref(), weight.as_ref()),
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let (yes, no) = (self.ir.block(), self.ir.block());
                self.branch_on(cond, yes, no);
                self.join(
                    (yes, |cx: &mut Self| {
                        cx.statements(then);
                        Vec::new()
                    }),
                    (no, |cx: &mut Self| {
                        cx.statements(otherwise);
                        Vec::new()
                    }),
                );
            }
            StmtKind::Return => self.end_program(),
        }
    }

    /// Lowers two ways that control flow takes, each from the start of its block, and joins them: gives the values that
    /// they hand over, and leaves every variable with its value on the way taken.
    fn join(
        &mut self,
        then: (Block, impl FnOnce(&mut Self) -> Vec<Value>),
        otherwise: (Block, impl FnOnce(&mut Self) -> Vec<Value>),
    ) -> Vec<Value> {
        let before = (self.vars.clone(), self.cache);
        self.ir.switch_to(then.0);
        let mut results_then = (then.1)(self);
        let (end_then, vars_then) = (self.ir.current(), std::mem::replace(&mut self.vars, before.0));
        self.cache = before.1;
        self.ir.switch_to(otherwise.0);
        let mut results_otherwise = (otherwise.1)(self);
        self.cache = before.1;
        let merge = self.ir.block();
        let results = results_then.iter().map(|_| self.ir.param(merge)).collect();
        let mut zeroed_then = Vec::new();
        for (i, then) in vars_then.into_iter().enumerate() {
            match (then, self.vars[i]) {
                (VarHome::Value(then), VarHome::Value(now)) if now != then => {
                    results_then.push(then);
                    results_otherwise.push(now);
                    self.vars[i] = VarHome::Value(self.ir.param(merge));
                }
                // Assigned on one way only: on the other the slot gets the zeros that it stands for.
                (VarHome::Slot(slot), VarHome::Zeros) => {
                    self.zero_slot(slot, self.probe.vars[i].ty.size());
                    self.vars[i] = VarHome::Slot(slot);
                }
                (VarHome::Zeros, VarHome::Slot(slot)) => {
                    zeroed_then.push((slot, self.probe.vars[i].ty.size()))
                }
                _ => {}
            }
        }
        self.ir.jump(merge, &results_otherwise);
        self.ir.switch_to(end_then);
        for (slot, size) in zeroed_then {
            self.zero_slot(slot, size);
        }
        self.ir.jump(merge, &results_then);
        self.ir.switch_to(merge);
        results
    }

    fn var_value(&self, var: VarId) -> VarHome {
        self.vars[var.0 as usize]
    }

    /// Notes that the code here needs `feature`; whether it is there.
    fn require(&mut self, feature: Feature) -> bool {
        let has = self.target.has(feature);
        if !has {
            self.missing.push(Missing {
                feature,
                span: self.span,
            });
        }
        has
    }

    /// Adds 1 to the counter of a loss.
    ///
    /// Always in the first CPU's stripe: a loss is rare, and code for it stands behind every update.
    fn count_loss(&mut self, kind: LossKind) {
        let offset = self.layout.plan.memory.stripes.offset + self.layout.loss(kind).offset;
        let addr = self.ir.emit(Op::Memory(offset));
        let one = self.ir.iconst(1);
        self.ir.atomic(crate::ir::AtomicOp::Add, addr, 0, one);
    }

    /// The address of a byte of this CPU's stripe.
    fn stripe_addr(&mut self, offset: u32) -> Value {
        let stripes = self.layout.plan.memory.stripes;
        let base = self.ir.emit(Op::Memory(stripes.offset + offset));
        let index = self.cpu();
        self.ir.emit(Op::ElementAddr {
            base,
            index,
            count: stripes.count,
            stride: stripes.stride,
        })
    }

    /// The address of the area that is always zero.
    fn zeros(&mut self) -> Value {
        debug_assert!(
            self.layout.zeros >= MemoryPlan::WORDS,
            "zeros lie behind the fixed words"
        );
        self.ir.emit(Op::Memory(self.layout.zeros))
    }
}

/// What a program reads, found by walking its HIR.
mod reads {
    use super::{Probe, Space, Stmt, StmtKind, Type, VarId};
    use crate::hir::{Expr, ExprKind, Intrinsic};
    use crate::visit::{self, Node};
    use std::collections::BTreeSet;

    /// Whether a block within an expression assigns more than scalars, so that what was there before may still be
    /// wanted.
    pub(super) fn assigns_within(probe: &Probe) -> bool {
        let assigns = |stmt: &Stmt| match &stmt.kind {
            StmtKind::SetVar(_, value) | StmtKind::SetMap { value, .. } => !value.ty.is_scalar(),
            _ => false,
        };
        let mut statement: *const Expr = std::ptr::null();
        visit::any_node_of(probe, &mut |node| match node {
            Node::Stmt(stmt) => {
                if let StmtKind::Eval(e) = &stmt.kind {
                    statement = e;
                }
                false
            }
            // A block that is a statement of its own has nothing before it.
            Node::Expr(e) if std::ptr::eq(e, statement) => false,
            Node::Expr(e) => match &e.kind {
                ExprKind::Block { body, .. } => visit::any_node(body, &mut |node| match node {
                    Node::Stmt(stmt) => assigns(stmt),
                    Node::Expr(_) => false,
                }),
                _ => false,
            },
        })
    }

    /// Whether it reads the traced process's memory.
    pub(super) fn user_memory(probe: &Probe) -> bool {
        let is_user = |address: &Expr| matches!(address.ty, Type::Ptr(_, Space::User));
        visit::any_expr(probe, &mut |expr: &Expr| match &expr.kind {
            ExprKind::ReadText { address, .. } | ExprKind::Read { address, .. } => is_user(address),
            ExprKind::Intrinsic(Intrinsic::ReadBuffer | Intrinsic::MacAddress, args) => {
                args.first().is_some_and(is_user)
            }
            _ => false,
        })
    }

    /// The variables whose address is taken.
    pub(super) fn addressed(probe: &Probe) -> BTreeSet<VarId> {
        let mut found = BTreeSet::new();
        visit::any_expr(probe, &mut |expr: &Expr| {
            if let ExprKind::AddressOf(var) = expr.kind {
                found.insert(var);
            }
            false
        });
        found
    }
}
