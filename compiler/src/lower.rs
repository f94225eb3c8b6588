//! Lowering: typed HIR to SSA IR, one function a program and one for each loop that is not written out.
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
mod division;
mod events;
mod flow;
mod insert;
mod intrinsic;
mod iterator;
mod loops;
mod maps;
mod memory;
mod outside;
mod pinned;
mod read;
mod scoped;
mod shared;
mod subprograms;
mod text;
mod value;

pub use loops::MAX_FRAMES;

use crate::hir::{Probe, Script, Stmt, StmtKind, VarId};
use crate::ir::{Block, Builder, CallbackId, Cond, Function, Op, Slot, Value, Width};
use crate::layout::Layout;
use crate::plan::{Attach, EventKind, LossKind, MemoryPlan};
use crate::target::{Feature, Target};
use crate::types::{Space, Type};
use crumbs_grammar::span::Span;
use std::collections::{BTreeSet, HashMap, HashSet};

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
            let mut function = cx.ir.finish();
            function.callbacks = cx.callbacks.into_iter().flatten().collect();
            (function, cx.sleepable)
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
    /// Any: in memory that the functions of the program share.
    Shared,
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
    /// The slot of each variable that has needed one, in the function under construction.
    var_slots: HashMap<VarId, Slot>,
    /// The program's symbol.
    symbol: String,
    /// The variables that functions share.
    captured: HashSet<VarId>,
    /// The variables that are given a value before anything else is done with them, and are not seen afterwards.
    assigned_first: HashSet<VarId>,
    /// The variables whose address is taken.
    addressed: HashSet<VarId>,
    /// The numbers of what functions share.
    shared: HashMap<shared::Shared, u32>,
    /// Its slots in the function under construction.
    shared_slots: HashMap<shared::Shared, Slot>,
    /// The generation selectors that callbacks want and the main function has not handed over yet.
    selectors_handed: BTreeSet<u32>,
    /// What statements can leave, innermost last.
    scopes: Vec<flow::Scope>,
    /// The callbacks and subprograms so far; `None` for those under construction.
    callbacks: Vec<Option<Function>>,
    /// What has become a function, and what may.
    subprograms: subprograms::Subprograms,
    /// The callback under construction.
    callback: Option<CallbackId>,
    /// How many callbacks are under way in it.
    depth: u32,
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
            ir: Builder::new(name.clone(), probe.kind),
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
            symbol: name,
            captured: shared::captured(probe, target),
            assigned_first: scoped::assigned_first(probe),
            addressed: reads::addressed(probe).into_iter().collect(),
            shared: HashMap::new(),
            shared_slots: HashMap::new(),
            selectors_handed: BTreeSet::new(),
            scopes: Vec::new(),
            callbacks: Vec::new(),
            subprograms: subprograms::Subprograms::default(),
            callback: None,
            depth: 0,
        }
    }

    fn body(&mut self) {
        self.ir.set_span(self.probe.span);
        self.load_selectors();
        self.vars = vec![VarHome::Zeros; self.probe.vars.len()];
        self.reset((0..self.probe.vars.len() as u32).map(VarId));
        let (run, out) = (self.ir.block(), self.ir.block());
        if self.is_pinned() {
            self.begin_pinned(out);
        } else {
            self.stop_after_exit(out);
            let is_iterator = |attach: &Attach| matches!(attach, Attach::Iterator { .. });
            if self.probe.attach.iter().any(is_iterator) {
                self.begin_element(out);
            }
        }
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
        self.ret(0);
    }

    /// Where the script calls `exit`, attached programs do nothing from then on: how long it takes to detach them does not
    /// show.
    fn stop_after_exit(&mut self, out: Block) {
        let exits = self
            .script
            .events
            .iter()
            .any(|event| event.kind == EventKind::Exit);
        let is_attached = |attach: &Attach| !attach.occasion().is_run_by_session();
        if !exits || !self.probe.attach.iter().any(is_attached) {
            return;
        }
        let flag = self.ir.emit(Op::Memory(MemoryPlan::EXIT));
        let (exited, zero) = (self.ir.load(flag, 0, Width::B8), self.ir.iconst(0));
        let go = self.ir.block();
        self.ir.branch(Cond::Eq, exited, zero, go, out);
        self.ir.switch_to(go);
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
            StmtKind::ForRange {
                var,
                from,
                to,
                locals,
                body,
            } => self.for_range(*var, (from, to), *locals, body),
            StmtKind::ForMap {
                var,
                map,
                locals,
                body,
            } => self.for_map(*var, *map, *locals, body),
            StmtKind::While { cond, locals, body } => self.while_loop(cond, *locals, body),
            StmtKind::Unroll { count, locals, body } => self.unroll(None, *count, *locals, body),
            StmtKind::Break => self.end_iteration(true),
            StmtKind::Continue => self.end_iteration(false),
            StmtKind::Return => self.end_program(),
            StmtKind::Leave => self.leave(),
        }
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
        let one = self.ir.iconst(1);
        self.count_losses(kind, one);
    }

    /// The same for `number` of them.
    fn count_losses(&mut self, kind: LossKind, number: Value) {
        let offset = self.layout.plan.memory.stripes.offset + self.layout.loss(kind).offset;
        let addr = self.ir.emit(Op::Memory(offset));
        self.ir.atomic(crate::ir::AtomicOp::Add, addr, 0, number);
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
            ExprKind::Intrinsic(
                Intrinsic::ReadBuffer | Intrinsic::MacAddress | Intrinsic::ReadStrings,
                args,
            ) => args.first().is_some_and(is_user),
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
