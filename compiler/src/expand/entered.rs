//! `entered("BINARY:FUNCTION")`: whether the current thread is within a call of a function.
//!
//! In: an expanded script. Out: the same, each use replaced by a question to a map, which two more probes keep: one at the
//! beginning of those functions, one at their end. The map has, for each thread, where the stack pointer will be when the outermost
//! of its calls returns; 0 where there is none.
//!
//! The end of a call that lies below is not the outermost one's. A call that was left without a return (longjmp) is
//! noticed where a probe on user code asks whose stack pointer is above it, and at the next beginning or end of one of those
//! functions on that thread; until then calls of other functions at its place or below count as within it.

use super::calls::part;
use super::generated::{self, ENDS_OF_THREADS, stack_growth};
use crate::function::internal::ENTERED_NAME;
use crate::probe_kind::{self, call};
use crate::target::Target;
use crate::types::Space;
use crumbs_grammar::ast::{Arg, AttachPoint, Expr, ExprKind, Item, Probe, Script};
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_expr, walk_item};

/// Replaces the uses in `script`.
pub(super) fn expand(script: &mut Script, target: &dyn Target, sources: &mut Sources) {
    let is_own = |item: &Item| matches!(item, Item::Function(own) if own.name.node == ENTERED_NAME);
    if script.items.iter().any(is_own) || !sources.text().contains(ENTERED_NAME) {
        return;
    }
    let mut uses = Uses {
        target,
        sources,
        sees_stack: false,
        asked: Vec::new(),
    };
    for item in &mut script.items {
        uses.sees_stack = matches!(item, Item::Probe(probe) if sees_stack(probe));
        walk_item(&mut uses, item);
    }
    let asked = std::mem::take(&mut uses.asked);
    for asked in asked {
        script.items.extend(keep(&asked, target, sources));
    }
}

/// Whether programs of a probe find the stack pointer of user code in their registers.
fn sees_stack(probe: &Probe) -> bool {
    let mut points = probe.attach_points.iter();
    points.all(|point| {
        let kind = point
            .parts
            .first()
            .and_then(|kind| probe_kind::by_name(&kind.text));
        kind.is_some_and(|kind| kind.offers().memory == Space::User && kind.offers().function)
    })
}

/// Functions that are asked for.
struct Asked {
    /// As it is written.
    text: String,
    /// The attach point that it is.
    point: AttachPoint,
}

struct Uses<'a> {
    target: &'a dyn Target,
    sources: &'a mut Sources,
    sees_stack: bool,
    asked: Vec<Asked>,
}

impl VisitMut for Uses<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        walk_expr(self, expr);
        let ExprKind::Call { name, args } = &expr.kind else {
            return;
        };
        let [
            Arg::Expr(Expr {
                kind: ExprKind::Str(text),
                span,
            }),
        ] = args.as_slice()
        else {
            return;
        };
        if name.node != ENTERED_NAME {
            return;
        }
        let Some(asked) = asked(text, *span) else { return };
        // A function that another one ends with a jump to has its stack pointer; it is within that one.
        let question = match self.sees_stack {
            true if stack_growth(self.target) > 0 => "begin { @within[(uint64)tid(init)] > reg(\"sp\") }",
            true => "begin { @within[(uint64)tid(init)] >= reg(\"sp\") }",
            false => "begin { @within[(uint64)tid(init)] != 0 }",
        };
        let Some(items) = generated::items(question, &asked.text, self.sources) else {
            return;
        };
        let value = items.into_iter().find_map(|item| match item {
            Item::Probe(probe) => probe.body.value,
            _ => None,
        });
        let Some(value) = value else { return };
        expr.kind = value.kind;
        if !self.asked.iter().any(|other| other.text == asked.text) {
            self.asked.push(asked);
        }
    }
}

/// What a text asks for: the rest of an attach point, at the text's place.
fn asked(text: &[u8], span: Span) -> Option<Asked> {
    let text = String::from_utf8(text.to_vec()).ok()?;
    let kind = call::user_name();
    let parsed = crumbs_grammar::parse(&format!("{kind}:{text} {{ }}"));
    let points = match parsed.script.items.into_iter().next()? {
        Item::Probe(probe) => probe.attach_points,
        _ => return None,
    };
    let mut point = points
        .into_iter()
        .next()
        .filter(|_| parsed.diagnostics.is_empty())?;
    point.parts.iter_mut().for_each(|part| part.span = span);
    point.span = span;
    let text = format!("{ENTERED_NAME} {text}");
    Some(Asked { text, point })
}

/// The probes that keep the map.
fn keep(asked: &Asked, target: &dyn Target, sources: &mut Sources) -> Vec<Item> {
    let growth = stack_growth(target);
    let [ends, execs] =
        ENDS_OF_THREADS.map(|(point, thread)| format!("{point} {{ delete(@within, (uint64){thread}); }}"));
    let text = format!(
        "begin {{ let $thread = (uint64)tid(init); let $within = @within[$thread]; \
         if ($within != 0 && $within <= reg(\"sp\")) {{ @within[$thread] = 0; }} }}
         begin {{ let $thread = (uint64)tid(init); let $return = reg(\"sp\") + {growth}; \
         if (@within[$thread] <= $return) {{ @within[$thread] = $return; }} }}
         {ends}
         {execs}"
    );
    let mut items = generated::items(&text, &asked.text, sources).unwrap_or_default();
    for (item, suffix) in items.iter_mut().zip([call::RETURN, call::ENTRY]) {
        if let Item::Probe(probe) = item {
            probe.attach_points = vec![part(&asked.point, suffix)];
            probe.span = asked.point.span;
        }
    }
    items
}
