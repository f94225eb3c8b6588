//! Text that expansions write for a script: probes with maps and variables that no script can name.

use super::imports::Shift;
use crate::target::{Arch, Target};
use crumbs_grammar::ast::{AttachPoint, Item};
use crumbs_grammar::source::{HYGIENE_MARK, Sources};
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_item};

/// What messages call such text.
const NAME: &str = "<generated>";

/// The occasions on which a thread's number ceases to mean it, and that number there: it ends, or calls exec and takes over
/// the number of its process.
pub(super) const ENDS_OF_THREADS: [(&str, &str); 2] = [
    ("tracepoint:sched:sched_process_exit", "tid(init)"),
    ("tracepoint:sched:sched_process_exec", "(uint32)args.old_pid"),
];

/// How many bytes the stack pointer is higher behind a function's return than at its first instruction: where calls push it,
/// the size of the return address.
pub(super) fn stack_growth(target: &dyn Target) -> u32 {
    match target.arch() {
        Arch::X86_64 => 8,
        Arch::Aarch64 => 0,
    }
}

/// What the maps of an expansion are called by: its attach point, and a number where one stands there already.
pub(super) fn label(point: &AttachPoint, made: usize) -> String {
    let parts: Vec<&str> = point.parts.iter().map(|part| part.text.as_str()).collect();
    match made {
        0 => parts.join(":"),
        made => format!("{}{HYGIENE_MARK}{made}", parts.join(":")),
    }
}

/// The items of `text`, with names of their own; `None` where there is too much text.
pub(super) fn items(text: &str, label: &str, sources: &mut Sources) -> Option<Vec<Item>> {
    let start = sources.add_file(NAME, text)?;
    let mut items = crumbs_grammar::parse(text).script.items;
    for item in &mut items {
        walk_item(&mut Shift(start as u32), item);
        walk_item(&mut Own { label }, item);
    }
    Some(items)
}

/// Marks what an expansion has written.
pub(super) struct Generated;

/// Gives maps and variables names that no script can write.
struct Own<'a> {
    label: &'a str,
}

impl VisitMut for Own<'_> {
    fn map(&mut self, name: &mut String, _span: Span) {
        *name = format!("{}{HYGIENE_MARK}{name}", self.label);
    }

    fn var(&mut self, name: &mut String) {
        name.push(HYGIENE_MARK);
    }
}
