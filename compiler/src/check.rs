//! Resolving and checking: from the syntax tree to typed HIR.
//!
//! In: an [`ast::Script`], a [`Target`] and [`Options`]. Out: an [`hir::Script`] where nothing is wrong, and what there
//! is to tell. One mistake gives one diagnostic: what is in error has no type (`None` throughout this module), and what
//! has no type is in nobody's way.
//!
//! The steps: config variables; attach points, which decide what programs there are ([`places`]); reading all programs
//! until the types of maps and variables are known ([`facts`]); reading them once more to build HIR.
//!
//! **Types of operations**, after bpftrace 0.26. Literals are int64, or uint64 above its range. Arithmetic gives 64 bits, so
//! that nothing overflows for being narrow: int64 where an operand is signed and for every `-`, else uint64. A literal that
//! is not negative, or a place that holds nothing else, takes the sign of what it meets ([`facts`]). Arithmetic on booleans
//! keeps the lowest bit. Unary minus gives int64; `~` gives uint64 of a literal, else the type of its operand.
//! Comparisons are done in the type that holds both; where that is int64 for lack of a wider one, values of 2^63 and
//! above count as negative, and orders of such are warned about. `@x++`, `@x--` and `@x op= n` make `@x` a number of 64
//! bits unless other assignments say more.
//!
//! **Time.** Linear in the script for each reading; there are as many readings as the longest chain of maps that are
//! assigned from one another against the order of the script, bounded by [`MAX_READINGS`].

use crate::c;
use crate::codes;
use crate::config;
use crate::function::getopt;
use crate::hir;
use crate::options::Options;
use crate::plan::MissingProbes;
use crate::target::Target;
use crate::types::Type;
use crumbs_grammar::codes::TOO_MANY;
use crumbs_grammar::diagnostic::{Diagnostic, Severity, sort_by_place};
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::{Span, Spanned};
use crumbs_grammar::{MAX_DIAGNOSTICS, ast};
use cx::{ProgramCx, Stage};
use facts::{Facts, KeyFact};
use places::Planned;
use std::collections::{HashMap, HashSet};

mod absent;
mod aggregates;
mod arguments;
mod blocks;
mod casts;
mod cheapest;
mod comptime;
mod config_record;
mod convert;
mod ctypes;
mod cx;
mod declared_maps;
mod environment;
mod expressions;
mod facts;
mod failures;
mod fit;
mod functions;
mod gates;
mod hoist;
mod loops;
mod maps;
mod memory;
mod names;
mod natural;
mod operators;
mod pinned;
mod places;
mod queries;
mod record;
mod shown;
mod spelled;
mod statements;
mod static_arguments;
mod types;
mod uses;

#[cfg(test)]
mod tests;

pub use cx::{Cx, UserPlace};
pub use environment::Environment;

/// Types that are not known after this many readings stay unknown, unless the script is short.
const MAX_READINGS: usize = 64;

/// So many bytes are read in any case, to follow long chains of maps in short scripts.
const MIN_READ: usize = 1 << 22;

/// The kernel refuses keys with values above this size in bytes.
const MAX_ELEMENT: u32 = 1 << 16;

/// Checks an expanded `script`, whose texts are `sources`. Where anything is wrong there is no HIR and at least one error; warnings come with HIR as well.
pub fn check(
    script: &ast::Script,
    sources: &Sources,
    target: &dyn Target,
    options: &Options,
) -> (Option<hir::Script>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut configured = config::configure(script, options, &mut diagnostics);
    configured.settings.show_warnings = !options.no_warnings;
    let has_probe = script
        .items
        .iter()
        .any(|item| matches!(item, ast::Item::Probe(_)));
    if !has_probe && diagnostics.iter().all(|d| d.severity != Severity::Error) {
        diagnostics.push(
            Diagnostic::error(&codes::EMPTY, Span::default(), "the script has no probe")
                .help("say what to do where, for example `begin { printf(\"hello\\n\"); }`"),
        );
    }
    let functions = functions::functions(script, &mut diagnostics);
    diagnostics.extend(getopt::unknown(script, options));
    let texts: Vec<_> = script.items.iter().filter_map(c_text).collect();
    let (declared, mistakes) = c::declarations(&options.includes, &texts, target);
    diagnostics.extend(mistakes);
    let places = places_of(script, target, options, configured.settings.missing_probes);
    diagnostics.extend(places.diagnostics);
    let limits = [
        (
            config::MAX_PROBES,
            configured.max_probes,
            places.sites.len(),
            "places",
        ),
        (
            config::MAX_PROGRAMS,
            configured.max_programs,
            places::run(&places.programs),
            "programs",
        ),
    ];
    for (name, limit, count, what) in limits {
        if let Some(limit) = limit.filter(|&limit| count as u64 > limit) {
            let message = format!("the script has {count} {what}, and `{name}` allows {limit}");
            diagnostics.push(
                Diagnostic::error(&codes::TOO_MANY_PROBES, Span::default(), message).help(format!(
                    "set `{name}` higher, in a config block or the environment"
                )),
            );
        }
    }
    let mut cx = Cx {
        sources,
        functions,
        target,
        types: Environment::new(declared, &options.includes, &texts, target),
        options,
        configured,
        sites: places.sites,
        stage: Stage::Infer { optimistic: false },
        facts: Facts::default(),
        events: Vec::new(),
        diagnostics,
        program: ProgramCx::default(),
        unreachable: 0,
        ends: 0,
        told: HashSet::new(),
        declared_maps: HashMap::new(),
    };
    cx.declare_maps(script);
    cx.facts.vars.resize_with(places.programs.len(), Vec::new);
    cx.infer(&places.programs);
    cx.stage = Stage::Build;
    let probes = cx.build_all(&places.programs);
    cx.finish(probes, has_probe)
}

/// The places of all attach points, where `asked` says what becomes of those that are missing.
fn places_of<'a>(
    script: &'a ast::Script,
    target: &dyn Target,
    options: &Options,
    asked: MissingProbes,
) -> places::Places<'a> {
    if options.dry_run && asked == MissingProbes::Error {
        // What is missing is told as a warning, unless there is nothing else.
        let lenient = places::plan(script, target, options, MissingProbes::Warn);
        if lenient.programs.iter().any(|planned| !planned.skipped) {
            return lenient;
        }
    }
    places::plan(script, target, options, asked)
}

impl<'a> Cx<'a> {
    /// Reads the programs until nothing more is learnt: first by what is certain, then, for places that are computed
    /// from themselves, by what is likely.
    fn infer(&mut self, programs: &[Planned<'a>]) {
        self.facts
            .know(self.options.only_end.as_deref().unwrap_or_default());
        let mut readings = 0;
        // What is left out is asked only for what nothing else tells.
        for (optimistic, with_skipped) in [(false, false), (false, true), (true, true)] {
            let tells_more = optimistic || programs.iter().any(|planned| planned.skipped);
            if with_skipped && !(tells_more && self.has_unknown()) {
                continue;
            }
            self.stage = Stage::Infer { optimistic };
            loop {
                self.facts.grew = false;
                for (index, planned) in programs.iter().enumerate() {
                    if with_skipped || !planned.skipped {
                        self.build(index, planned);
                    }
                }
                readings += 1;
                let is_enough = readings >= MAX_READINGS && readings * self.sources.text().len() >= MIN_READ;
                if !self.facts.grew || is_enough {
                    break;
                }
            }
        }
    }

    fn has_unknown(&self) -> bool {
        self.facts
            .maps
            .iter()
            .any(|map| map.value.ty.is_none() || matches!(map.key, KeyFact::Unknown))
            || self.facts.vars.iter().flatten().any(|var| var.value.ty.is_none())
    }

    /// Builds the programs that are not left out.
    fn build_all(&mut self, programs: &[Planned<'a>]) -> Vec<hir::Probe> {
        let kept = programs
            .iter()
            .enumerate()
            .filter(|(_, planned)| !planned.skipped);
        kept.map(|(i, planned)| self.build(i, planned)).collect()
    }

    /// Reads one program.
    fn build(&mut self, index: usize, planned: &Planned<'a>) -> hir::Probe {
        self.program = ProgramCx::new(index, planned);
        self.types.set_binary(planned.binary());
        self.declare_hoisted();
        let predicate = planned
            .probe
            .predicate
            .as_ref()
            .and_then(|predicate| self.condition(predicate));
        let body = self.block(&planned.probe.body);
        self.warn_unassigned();
        let kind = planned.kind.unwrap_or(crate::probe_kind::ALL[0]);
        hir::Probe {
            kind: kind.program(),
            kind_name: kind.name(),
            attach: planned.attach.clone(),
            pid_filter: self
                .options
                .pid
                .filter(|_| kind.offers().filtered_by_pid && !self.options.follow_tree),
            vars: std::mem::take(&mut self.program.vars),
            predicate,
            body,
            span: planned.probe.span,
        }
    }

    fn warn_unassigned(&mut self) {
        if self.is_inferring() {
            return;
        }
        for (var, fact) in self.program.vars.iter().zip(&self.facts.vars[self.program.index]) {
            if !fact.assigned {
                let message = format!("`${}` is never assigned", var.name);
                self.diagnostics
                    .push(Diagnostic::warning(&codes::UNUSED_VARIABLE, var.span, message));
            }
        }
    }

    fn finish(
        mut self,
        mut probes: Vec<hir::Probe>,
        has_probe: bool,
    ) -> (Option<hir::Script>, Vec<Diagnostic>) {
        let is_error = |d: &Diagnostic| d.severity == Severity::Error;
        if has_probe && probes.is_empty() && !self.diagnostics.iter().any(is_error) {
            let message = "none of the script's attach points exists on this machine";
            self.report::<()>(Diagnostic::error(&codes::EMPTY, Span::default(), message));
        }
        self.warn_unused_maps();
        let mut failed = self.diagnostics.iter().any(is_error);
        let mut maps = Vec::with_capacity(self.facts.maps.len());
        for map in std::mem::take(&mut self.facts.maps) {
            let (key, value) = match (map.key, map.value.ty) {
                (KeyFact::None(_), Some(value)) => (None, value),
                (KeyFact::Keyed(key), Some(value)) if key.ty.is_some() => (key.ty, value),
                _ => {
                    if !failed {
                        let message = format!("nothing says what `@{}` holds", map.name);
                        self.report::<()>(
                            Diagnostic::error(&codes::UNKNOWN_TYPE_OF_PLACE, map.span, message)
                                .help("assign a value that does not depend on it"),
                        );
                        failed = true;
                    }
                    continue;
                }
            };
            let size = key
                .as_ref()
                .map_or(0, Type::slot_size)
                .saturating_add(value.slot_size());
            if size > MAX_ELEMENT {
                let message = format!(
                    "an element of `@{}` takes {size} bytes, and 65536 is the most",
                    map.name
                );
                self.report::<()>(Diagnostic::error(&codes::KEY_TOO_LARGE, map.span, message));
                failed = true;
            }
            let Some(stored) = self.map_storage(&map.name, &value, map.span) else {
                failed = true;
                continue;
            };
            maps.push(hir::Map {
                name: map.name,
                key,
                value,
                max_entries: stored.max_entries,
                evicts: stored.evicts,
                deleted_from: map.deleted_from,
                cleared: map.cleared,
                taken: map.cleared,
                measured: map.measured,
                span: map.span,
            });
        }
        failed |= self.check_series_clock(&maps).is_none();
        let read_failures = self.read_failures(&probes);
        let shown = maps.iter().flat_map(|map| map.key.iter().chain([&map.value]));
        let structs = self.shown_structs(&self.events, shown);
        let diagnostics = ordered(self.diagnostics);
        if !failed && !self.configured.only_entries {
            cheapest::choose(&mut probes, self.target);
        }
        let script = hir::Script {
            probes,
            maps,
            events: self.events,
            read_failures,
            sites: self.sites,
            structs,
            settings: self.configured.settings,
            config: self.configured.config,
        };
        ((!failed).then_some(script), diagnostics)
    }
}

/// In the order of the text, and no more than a user reads. A mistake that several programs share is told once.
fn ordered(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut known = HashSet::new();
    let no_place = |d: &Diagnostic| d.primary.span == Span::default();
    diagnostics.retain(|d| no_place(d) || known.insert((d.code.id, d.primary.span)));
    sort_by_place(&mut diagnostics);
    if diagnostics.len() > MAX_DIAGNOSTICS {
        // Errors first: they are why nothing runs.
        diagnostics.sort_by_key(|d| d.severity == Severity::Warning);
        diagnostics.truncate(MAX_DIAGNOSTICS);
        let all_warnings = diagnostics.iter().all(|d| d.severity == Severity::Warning);
        sort_by_place(&mut diagnostics);
        let last = diagnostics
            .last()
            .map_or(Span::default(), |last| last.primary.span);
        let mut more = Diagnostic::error(&TOO_MANY, last, "there are more mistakes than are shown")
            .help("correct the first ones and try again");
        if all_warnings {
            more.severity = Severity::Warning;
        }
        diagnostics.push(more);
    }
    diagnostics
}

/// The C text that an item is.
fn c_text(item: &ast::Item) -> Option<&Spanned<String>> {
    match item {
        ast::Item::C(text) => Some(text),
        _ => None,
    }
}
