//! Variables that are used behind the block that assigns them first.
//!
//! Such a variable lives as long as its program: before blocks had variables of their own, all did, and scripts rely on it.
//! It is found while types are learnt, and declared before the first statement from the next reading on. Variables that a
//! `let` or a loop declares stay where they are.

use super::cx::Cx;
use crate::codes;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

impl Cx<'_> {
    /// Notes that `name` is declared here, by an assignment or otherwise. (What a function of the script declares ends with
    /// the call.)
    pub(super) fn note_declared(&mut self, name: &str, by_assignment: bool) {
        if self.program.calls.is_empty() {
            let so_far = self.program.by_assignment.entry(name.to_owned()).or_insert(true);
            *so_far &= by_assignment;
        }
    }

    /// Notes that `name`, which is not visible, is to live as long as the program; gives whether it is.
    pub(super) fn hoist(&mut self, name: &str, span: Span) -> bool {
        let is_of_a_block = self.program.by_assignment.get(name) == Some(&true);
        if !self.is_inferring() || !is_of_a_block || !self.program.calls.is_empty() {
            return false;
        }
        let hoisted = self.facts.hoisted.entry(self.program.index).or_default();
        if hoisted.vars.iter().all(|(known, _)| known != name) {
            hoisted.vars.push((name.to_owned(), span));
            self.facts.grew = true;
        }
        true
    }

    /// Declares what lives as long as the program that is about to be read.
    pub(super) fn declare_hoisted(&mut self) {
        let index = self.program.index;
        let Some(hoisted) = self.facts.hoisted.get_mut(&index) else {
            return;
        };
        if hoisted.read != hoisted.vars.len() {
            // The numbers of all variables change.
            hoisted.read = hoisted.vars.len();
            self.facts.vars[index].clear();
        }
        for (name, span) in hoisted.vars.clone() {
            self.declare(&name, span);
            let message = format!("`${name}` is used behind the block that assigns it first");
            self.report::<()>(
                Diagnostic::warning(&codes::HOISTED, span, message)
                    .help(format!("declare it before that block: `let ${name};`")),
            );
        }
    }
}
