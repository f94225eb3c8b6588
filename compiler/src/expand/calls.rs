//! `ucall` and `kcall`: one run for each completed call of a function.
//!
//! In: an expanded script. Out: the same, each such probe replaced by two: one at the functions' beginning, which notes the
//! call, and one at their end, which finds it again and then runs what the script says, with the noted arguments in the
//! place of `argN`.
//!
//! **What is noted.** A stack of frames for each thread: where the stack pointer will be when the call returns, which function
//! it is, when it began, its arguments. Outer calls lie at higher addresses, so the frames are in descending order, and what lies
//! below the stack pointer has been left without a return: it is discarded and counted. That is how the kernel itself treats
//! its return probes (`arch_uretprobe_is_alive`, arch/x86/kernel/uprobes.c). At one address several functions can be under
//! way, where one jumps to another instead of calling it; a function that is called again at the same address has been left.
//! So each beginning ends up as exactly one of: a run, a counted loss, a call that is still under way. An end without a
//! beginning (of a call that had begun before crumbs was there, or in a process that was forked within it) does nothing.
//!
//! **Which thread.** In user code its number, and frames are deleted when it ends or calls exec. In the kernel the page of its stack: calls
//! interrupt one another there on stacks of their own, whose addresses say nothing of each other's.

use super::generated::{self, Generated, stack_growth};
use crate::builtin::{NSECS, plain_name};
use crate::function::internal::LOST_CALLS_NAME;
use crate::probe_kind::call;
use crate::probe_value::{self, Role};
use crate::target::{Feature, Target};
use crate::types::{NameTable, Space};
use crumbs_grammar::ast::{AttachPoint, Block, Expr, ExprKind, IfExpr, Item, Probe, Script, Stmt, StmtKind};
use crumbs_grammar::source::{HYGIENE_MARK, Sources};
use crumbs_grammar::span::Spanned;
use crumbs_grammar::visit::{VisitMut, walk_block, walk_expr, walk_stmt};
use std::collections::BTreeSet;

/// Frames of a thread at most: twice as many as the kernel follows (`MAX_URETPROBE_DEPTH`, kernel/events/uprobes.c).
const MAX_DEPTH: u32 = 128;
/// How often `unroll` repeats at a time, where the kernel has no loops; it allows 100.
const UNROLLED: u32 = 64;
/// Steps of a search among so many.
const STEPS: u32 = MAX_DEPTH.ilog2() + 1;
/// Functions at one address, one having jumped to the other, that are told apart at most.
const CHAIN: u32 = 4;
/// What the kernel's pages are numbered by: their size is at least 2 to this power.
const PAGE_SHIFT: u32 = 12;

/// Replaces the probes of calls.
pub(super) fn expand(script: &mut Script, target: &dyn Target, sources: &mut Sources) {
    let mut tidying = Vec::new();
    let items = std::mem::take(&mut script.items);
    let mut made = 0;
    for item in items {
        let Item::Probe(probe) = item else {
            script.items.push(item);
            continue;
        };
        let (calls, others): (Vec<AttachPoint>, Vec<_>) = probe
            .attach_points
            .iter()
            .cloned()
            .partition(|point| space(point).is_some());
        if !others.is_empty() || calls.is_empty() {
            script.items.push(Item::Probe(Probe {
                attach_points: others,
                ..probe.clone()
            }));
        }
        for wanted in [Space::User, Space::Kernel] {
            let points = calls.iter().filter(|point| space(point) == Some(wanted));
            let points: Vec<_> = points.cloned().collect();
            let Some(first) = points.first() else { continue };
            let label = generated::label(first, made);
            made += 1;
            let measured = Measured::of(&probe);
            let text = measured.text(wanted, target);
            // Where there is too much text already, that has been reported.
            let Some(pair) = generated::items(&text, &label, sources) else {
                continue;
            };
            if wanted == Space::User {
                tidying.push(label);
            }
            script.items.extend(measured.fill(pair, &probe, &points));
        }
    }
    if !tidying.is_empty() {
        script.items.extend(tidy(&tidying, target, sources));
    }
}

/// Whose calls an attach point means.
fn space(point: &AttachPoint) -> Option<Space> {
    call::memory_of(&point.parts.first()?.text)
}

/// What a probe of calls asks for.
struct Measured {
    arguments: BTreeSet<u32>,
    duration: bool,
    /// Whether it asks for the full name of the place: then frames have it, so that its programs need only one name.
    full_name: bool,
}

impl Measured {
    fn of(probe: &Probe) -> Self {
        let mut uses = Uses(Self {
            arguments: BTreeSet::new(),
            duration: false,
            full_name: false,
        });
        let mut probe = probe.clone();
        probe
            .predicate
            .iter_mut()
            .for_each(|predicate| uses.expr(predicate));
        walk_block(&mut uses, &mut probe.body);
        uses.0
    }

    /// The two probes, with placeholders.
    fn text(&self, space: Space, target: &dyn Target) -> String {
        let name = match self.full_name {
            true => probe_value::name_of(Role::Name(NameTable::Probe)),
            false => probe_value::name_of(Role::Name(NameTable::Func)),
        };
        let began = if self.duration { NSECS } else { "(uint64)0" };
        let elapsed = match self.duration {
            true => &format!("let $took = {NSECS} - $frame.2;"),
            false => "",
        };
        let growth = stack_growth(target);
        let thread = match space {
            Space::User => "(uint64)tid(init)".to_owned(),
            Space::Kernel => format!("$sp >> {PAGE_SHIFT}"),
        };
        // How many frames lie above the stack pointer.
        let search = format!(
            "let $high = $depth; unroll({STEPS}) {{ if ($live >= $high) {{ break; }} \
             let $middle = ($live + $high) >> 1; \
             if (@calls[$thread, $middle].0 > $sp) {{ $live = $middle + 1; }} else {{ $high = $middle; }} }}"
        );
        format!(
            "begin {{ let $sp = reg(\"sp\"); let $thread = {thread}; let $depth = @depth[$thread]; \
             if ($depth != 0) {{ let $frame = @calls[$thread, $depth - 1]; let $live = $depth - 1; let $known = true; \
             if ($frame.0 != $sp || $frame.1 != {name}) {{ $known = false; $live = 0; {search} \
             unroll({CHAIN}) {{ if ($live >= $depth) {{ break; }} let $other = @calls[$thread, $live]; \
             if ($other.0 != $sp) {{ break; }} \
             if ($other.1 == {name}) {{ $frame = $other; $known = true; break; }} $live++; }} \
             LOST($depth - $live - ($known ? 1 : 0)); }} \
             @depth[$thread] = $live; if ($known) {{ {elapsed} BODY; }} }} }}
             begin {{ let $sp = reg(\"sp\") + {growth}; let $thread = {thread}; let $depth = @depth[$thread]; \
             let $live = $depth; \
             if ($depth != 0 && @calls[$thread, $depth - 1].0 <= $sp) {{ $live = 0; {search} \
             unroll({CHAIN}) {{ if ($live >= $depth) {{ break; }} let $other = @calls[$thread, $live]; \
             if ($other.0 != $sp || $other.1 == {name}) {{ break; }} $live++; }} \
             LOST($depth - $live); }} \
             if ($live < {MAX_DEPTH}) {{ @calls[$thread, $live] = ($sp, {name}, {began}, ARGUMENTS); \
             if (has_key(@calls, ($thread, $live))) {{ $live++; }} }} else {{ LOST(1); }} \
             if ($live != $depth) {{ @depth[$thread] = $live; }} }}"
        )
    }

    /// The pair of probes for `points`, with what `probe` says in the place of the placeholders.
    fn fill(&self, pair: Vec<Item>, probe: &Probe, points: &[AttachPoint]) -> Vec<Item> {
        let mut fill = Fill {
            measured: self,
            probe,
        };
        let parts = [call::RETURN, call::ENTRY];
        let filled = pair.into_iter().zip(parts).map(|(item, suffix)| match item {
            Item::Probe(mut made) => {
                walk_block(&mut fill, &mut made.body);
                made.attach_points = points.iter().map(|point| part(point, suffix)).collect();
                made.span = probe.span;
                Item::Probe(made)
            }
            item => item,
        });
        filled.collect()
    }

    /// The member of a frame that is an argument.
    fn member(&self, argument: u32) -> Option<u64> {
        let at = self.arguments.iter().position(|&n| n == argument)?;
        Some(3 + at as u64)
    }
}

/// An attach point for a part of calls.
pub(super) fn part(point: &AttachPoint, suffix: &str) -> AttachPoint {
    let mut point = point.clone();
    if let Some(kind) = point.parts.first_mut() {
        kind.text.push_str(suffix);
    }
    point
}

/// Deletes what is kept of threads that end or call exec, for the probes of these labels.
fn tidy(labels: &[String], target: &dyn Target, sources: &mut Sources) -> Vec<Item> {
    // A frame after the other, until there is none.
    let step = "{ if (!delete(@calls, ($thread, $next))) { break; } $next++; }";
    let repeated = match target.has(Feature::BpfLoop) {
        true => format!("for $i : 0..{MAX_DEPTH} {step}"),
        false => format!("unroll({UNROLLED}) {step}").repeat((MAX_DEPTH / UNROLLED) as usize),
    };
    let mut items = Vec::new();
    for (point, thread) in generated::ENDS_OF_THREADS {
        let mut whole: Option<Probe> = None;
        for label in labels {
            let text = format!(
                "{point} {{ let $thread = (uint64){thread}; if (has_key(@depth, $thread)) {{ \
                 LOST(@depth[$thread]); delete(@depth, $thread); let $next = (uint64)0; \
                 {repeated} }} }}"
            );
            let made = generated::items(&text, label, sources);
            for item in made.into_iter().flatten() {
                let Item::Probe(mut probe) = item else { continue };
                walk_block(&mut Generated, &mut probe.body);
                match &mut whole {
                    None => {
                        // In a block of its own: its variables have the same names as the others'.
                        probe.body.stmts = vec![block(std::mem::take(&mut probe.body.stmts), &probe)];
                        whole = Some(probe);
                    }
                    Some(whole) => {
                        let stmts = std::mem::take(&mut probe.body.stmts);
                        whole.body.stmts.push(block(stmts, &probe));
                    }
                }
            }
        }
        items.extend(whole.map(Item::Probe));
    }
    items
}

fn block(stmts: Vec<Stmt>, probe: &Probe) -> Stmt {
    let span = probe.body.span;
    Stmt {
        kind: StmtKind::Block(Block {
            stmts,
            value: None,
            span,
        }),
        span,
    }
}

/// What a bare word means, of what depends on the probe.
fn role(expr: &Expr) -> Option<(Role, u32)> {
    match &expr.kind {
        ExprKind::Ident(name) => probe_value::by_name(plain_name(name)).map(|(row, n)| (row.role, n)),
        _ => None,
    }
}

/// Collects what is asked for.
struct Uses(Measured);

impl VisitMut for Uses {
    fn expr(&mut self, expr: &mut Expr) {
        match role(expr) {
            Some((Role::Argument, n)) => {
                self.0.arguments.insert(n);
            }
            Some((Role::Duration, _)) => self.0.duration = true,
            Some((Role::Name(NameTable::Probe), _)) => self.0.full_name = true,
            _ => {}
        }
        walk_expr(self, expr);
    }
}

/// Fills in the placeholders.
struct Fill<'a> {
    measured: &'a Measured,
    probe: &'a Probe,
}

impl VisitMut for Fill<'_> {
    fn stmt(&mut self, stmt: &mut Stmt) {
        if let StmtKind::Expr(Expr {
            kind: ExprKind::Ident(name),
            ..
        }) = &stmt.kind
            && name == "BODY"
        {
            stmt.kind = self.body();
            stmt.span = self.probe.body.span;
            return;
        }
        walk_stmt(self, stmt);
    }

    fn expr(&mut self, expr: &mut Expr) {
        if let ExprKind::Tuple(members) = &mut expr.kind {
            members.retain(|member| !matches!(&member.kind, ExprKind::Ident(name) if name == "ARGUMENTS"));
            if members.len() == 3 {
                members.extend(self.arguments());
            }
        }
        Generated.expr(expr);
        walk_expr(self, expr);
    }
}

impl Fill<'_> {
    /// What the script says, for a call that has been found.
    fn body(&self) -> StmtKind {
        let mut body = self.probe.body.clone();
        if let Some(value) = body.value.take() {
            let span = value.span;
            let kind = StmtKind::Expr(*value);
            body.stmts.push(Stmt { kind, span });
        }
        let mut noted = Noted(self.measured);
        walk_block(&mut noted, &mut body);
        let Some(mut predicate) = self.probe.predicate.clone() else {
            return StmtKind::Block(body);
        };
        noted.expr(&mut predicate);
        StmtKind::If(IfExpr {
            cond: Box::new(predicate),
            then: body,
            otherwise: None,
        })
    }

    /// The arguments that are asked for, each at the place where it is.
    fn arguments(&self) -> Vec<Expr> {
        let mut found = Places {
            found: Vec::new(),
            wanted: self.measured.arguments.clone(),
        };
        let mut probe = self.probe.clone();
        probe
            .predicate
            .iter_mut()
            .for_each(|predicate| found.expr(predicate));
        walk_block(&mut found, &mut probe.body);
        found.found.sort_by_key(|(n, _)| *n);
        found.found.into_iter().map(|(_, expr)| expr).collect()
    }
}

/// The first mention of each argument.
struct Places {
    found: Vec<(u32, Expr)>,
    wanted: BTreeSet<u32>,
}

impl VisitMut for Places {
    fn expr(&mut self, expr: &mut Expr) {
        if let Some((Role::Argument, n)) = role(expr)
            && self.wanted.remove(&n)
        {
            self.found.push((n, expr.clone()));
        }
        walk_expr(self, expr);
    }
}

/// Puts what was noted of a call in the place of arguments and duration.
struct Noted<'a>(&'a Measured);

impl VisitMut for Noted<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        let own = |name: &str| ExprKind::Var(format!("{name}{HYGIENE_MARK}"));
        let span = expr.span;
        match role(expr) {
            Some((Role::Duration, _)) => expr.kind = own("took"),
            Some((Role::Argument, n)) => {
                if let Some(member) = self.0.member(n) {
                    let frame = Expr {
                        kind: own("frame"),
                        span,
                    };
                    expr.kind = ExprKind::TupleIndex(Box::new(frame), Spanned::new(member, span));
                }
            }
            _ => walk_expr(self, expr),
        }
    }
}

impl VisitMut for Generated {
    fn expr(&mut self, expr: &mut Expr) {
        if let ExprKind::Call { name, .. } = &mut expr.kind
            && name.node == "LOST"
        {
            name.node = LOST_CALLS_NAME.to_owned();
        }
        walk_expr(self, expr);
    }
}
