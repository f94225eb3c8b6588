//! `--follow tree`: the traced process and all that it starts.
//!
//! In: an expanded script and the process that all others descend from. Out: the same script, with probes of the kernel's
//! events of processes that keep a map of its descendants, and with a condition on each probe that can fire in any
//! process. So every kind of probe is followed in the same way, by what runs in the kernel at the moment of a fork.
//!
//! The map holds threads, by their number in the initial pid namespace: that is what those events tell. The first process is
//! told by its number in crumbs' namespace, so that it need not be in the map. A thread that calls exec takes over the
//! number of its process, whose entry went with the first thread. What the process has started before is put in by user space,
//! once these probes are attached ([`crate::plan::MapPlan::is_followed_threads`]).

use super::imports::Shift;
use crate::plan::FOLLOWED;
use crate::probe_kind;
use crumbs_grammar::ast::{BinaryOp, Expr, ExprKind, Item, Probe, Script};
use crumbs_grammar::source::{HYGIENE_MARK, Sources};
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_item};

/// What messages call the probes that are added.
const NAME: &str = "<--follow tree>";

/// The probes that keep the map; the first one's predicate is the condition on all others.
fn text(root: u32) -> String {
    format!(
        "tracepoint:sched:sched_process_fork /pid == {root} || has_key(@{FOLLOWED}, tid(init))/ {{
    @{FOLLOWED}[(uint32)args.child_pid] = 1;
}}
tracepoint:sched:sched_process_exec /has_key(@{FOLLOWED}, (uint32)args.old_pid)/ {{
    @{FOLLOWED}[(uint32)args.pid] = 1;
}}
tracepoint:sched:sched_process_exit {{
    delete(@{FOLLOWED}, tid(init));
}}
"
    )
}

/// Confines the probes of `script` to the process `root` and its descendants.
pub(super) fn follow(script: &mut Script, root: u32, sources: &mut Sources) {
    let text = text(root);
    // Where there is too much text already, that has been reported.
    let Some(start) = sources.add_file(NAME, &text) else {
        return;
    };
    let mut added = crumbs_grammar::parse(&text).script.items;
    for item in &mut added {
        walk_item(&mut Shift(start as u32), item);
        walk_item(&mut Hidden, item);
    }
    let Some(Item::Probe(Probe {
        predicate: Some(condition),
        ..
    })) = added.first()
    else {
        return;
    };
    let condition = condition.clone();
    let items = std::mem::take(&mut script.items);
    script.items = items
        .into_iter()
        .flat_map(|item| confined(item, &condition))
        .chain(added)
        .collect();
}

/// Gives the map a name that no script can write.
struct Hidden;

impl VisitMut for Hidden {
    fn map(&mut self, name: &mut String, _span: Span) {
        name.push(HYGIENE_MARK);
    }
}

/// An item with the condition on its attach points that can fire in any process; others keep a probe of their own.
fn confined(item: Item, condition: &Expr) -> Vec<Item> {
    let Item::Probe(probe) = item else {
        return vec![item];
    };
    let is_anywhere = |kind: &str| probe_kind::by_name(kind).is_none_or(|kind| kind.offers().filtered_by_pid);
    let (anywhere, elsewhere): (Vec<_>, Vec<_>) = probe
        .attach_points
        .iter()
        .cloned()
        .partition(|point| point.parts.first().is_some_and(|kind| is_anywhere(&kind.text)));
    let with_points = |points: Vec<_>, predicate| {
        (!points.is_empty()).then(|| {
            Item::Probe(Probe {
                attach_points: points,
                predicate,
                ..probe.clone()
            })
        })
    };
    let confined = match &probe.predicate {
        None => condition.clone(),
        Some(predicate) => Expr {
            span: predicate.span,
            kind: ExprKind::Binary(
                BinaryOp::And,
                Box::new(condition.clone()),
                Box::new(predicate.clone()),
            ),
        },
    };
    let unconfined = with_points(elsewhere, probe.predicate.clone());
    unconfined
        .into_iter()
        .chain(with_points(anywhere, Some(confined)))
        .collect()
}
