//! Expanding: from the syntax tree of a script to one without imports and macros.
//!
//! In: an [`ast::Script`], its text, a [`Target`] that reads further files, and [`Options`]. Out: [`Expanded`]: a tree whose
//! only items are probes, functions, map declarations, `config` and C text, the text of all that went into it, and what there is to
//! tell. Probes of completed calls are pairs of probes ([`calls`]), and what asks for calls under way has a pair to answer it ([`entered`]). Where a process is followed with all that it starts, its probes say so ([`follow`]). No type is known here.
//!
//! **Imports** are replaced by the items of the files that they name, in their order. A file is read once, however often it
//! is imported. **Macros** ([`macros`]) are replaced by their bodies, which keep a place of their own in
//! [`Sources`], so that every later stage tells from a span alone which use of which macro it is about.

use crate::config;
use crate::options::Options;
use crate::probe_kind;
use crate::target::Target;
use crumbs_grammar::ast::{self, Item};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::Sources;

mod calls;
mod entered;
mod follow;
mod generated;
mod imports;
mod macros;
pub mod prelude;
mod stdlib;
mod substitute;

pub use imports::LIBRARY;

#[cfg(test)]
mod tests;

/// A script without imports and macros.
#[derive(Debug)]
pub struct Expanded {
    /// The tree.
    pub script: ast::Script,
    /// The texts that its spans are places of.
    pub sources: Sources,
    /// What is wrong; places are as yet unsettled ([`Sources::settle`]).
    pub diagnostics: Vec<Diagnostic>,
}

/// Expands `script`, whose text is `text`; messages call it `name`, and where that is a path, imports are looked up from it.
pub fn expand(
    name: &str,
    text: &str,
    mut script: ast::Script,
    target: &dyn Target,
    options: &Options,
) -> Expanded {
    let mut sources = Sources::new(name, text);
    let mut diagnostics = Vec::new();
    // What is wrong with the config is for the checker to say.
    let configured = config::configure(&script, options, &mut Vec::new());
    imports::resolve(
        &mut script,
        &mut imports::Importer {
            target,
            options,
            statements: configured.import_statements,
            sources: &mut sources,
            diagnostics: &mut diagnostics,
        },
    );
    if options.only_end.is_some() {
        only_end(&mut script);
    }
    macros::expand(&mut script, &mut sources, &mut diagnostics);
    script
        .items
        .retain(|item| !matches!(item, Item::Import(_) | Item::Macro(_)));
    entered::expand(&mut script, target, &mut sources);
    calls::expand(&mut script, target, &mut sources);
    if options.follow_tree {
        // Without one, as where only a stage is shown, the condition is the same but never holds.
        let root = options.pid.or(options.command_pid).unwrap_or_default();
        follow::follow(&mut script, root, &mut sources);
    }
    Expanded {
        script,
        sources,
        diagnostics,
    }
}

/// Leaves no probes but `end`.
fn only_end(script: &mut ast::Script) {
    script.items.retain_mut(|item| match item {
        Item::Probe(probe) => {
            probe.attach_points.retain(probe_kind::is_end);
            !probe.attach_points.is_empty()
        }
        _ => true,
    });
}
