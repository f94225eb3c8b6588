//! From attach points to programs: which places a script runs at, and which of them can share a program.
//!
//! In: the probes of a script. Out: [`Planned`] programs with their attachments and cookies, and the table of sites.
//! Invariants: no place is in one program twice; all places of a program have the same code; a probe whose attach
//! points are all in error still gives one program (never run), so that its body is checked.
//!
//! **Names of places.** `func` and `probe` are values, equal where the names are equal, whichever probe they come from:
//! the value is the index of the first site of that name. A program with one name has it as a constant; one with
//! several reads the attach cookie, which then is that index rather than the place's own site.

use super::absent::{Absent, Missing};
use super::uses::Uses;
use crate::codes;
use crate::not_taken;
use crate::options::Options;
use crate::plan::{Attach, MissingProbes, Site};
use crate::probe_kind::record::{FieldValue, Record};
use crate::probe_kind::{self, Failure, Place, Point, ProbeKind, did_you_mean};
use crate::signature::Signature;
use crate::similar::similar;
use crate::target::{Binary, Target, TargetError};
use crate::usdt::Argument;
use crumbs_grammar::ast::{self, AttachPart};
use crumbs_grammar::diagnostic::{Diagnostic, Severity};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// A program to be checked.
pub(super) struct Planned<'a> {
    /// Its text.
    pub probe: &'a ast::Probe,
    /// Its kind; `None` where that is in error.
    pub kind: Option<&'static dyn ProbeKind>,
    /// Where it runs; empty where that is in error.
    pub attach: Vec<Attach>,
    /// The record it finds, and the name of a place with it.
    pub record: Option<(Record, String)>,
    /// Where its arguments are, where that is not the calling convention's business.
    pub arguments: Option<Arc<[Argument]>>,
    /// What debug information says of its functions, where the text asks for that.
    pub signature: Option<Described>,
    /// What `func` is.
    pub func: Naming,
    /// What `probe` is.
    pub probe_name: Naming,
    /// Whether it is left out because nothing that it names is there. Its text still says of which types its maps are.
    pub skipped: bool,
}

impl Planned<'_> {
    /// The program or library that it runs in, where its kind is of those.
    pub(super) fn binary(&self) -> Option<Binary> {
        self.attach.iter().find_map(|attach| match attach {
            Attach::Uprobe { path, .. } => Some(Binary { path: path.clone() }),
            _ => None,
        })
    }
}

/// What debug information says of the functions of a program, or why it does not.
pub(super) type Described = Result<Arc<Signature>, TargetError>;

/// How a program knows its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// It has only this one.
    Constant(u32),
    /// It reads its attach cookie, one of these.
    ByCookie(Vec<u32>),
}

/// The places of a script.
pub(super) struct Places<'a> {
    pub programs: Vec<Planned<'a>>,
    pub sites: Vec<Site>,
    pub diagnostics: Vec<Diagnostic>,
}

/// How many programs are not left out.
pub(super) fn run(programs: &[Planned<'_>]) -> usize {
    programs.iter().filter(|planned| !planned.skipped).count()
}

/// Expands all attach points of `script`.
pub(super) fn plan<'a>(
    script: &'a ast::Script,
    target: &dyn Target,
    options: &Options,
    missing: MissingProbes,
) -> Places<'a> {
    let mut cx = PlaceCx {
        script,
        target,
        options,
        missing,
        absent: Absent::default(),
        sites: Sites::default(),
        out: Places {
            programs: Vec::new(),
            sites: Vec::new(),
            diagnostics: Vec::new(),
        },
    };
    for item in &script.items {
        if let ast::Item::Probe(probe) = item {
            cx.probe(probe);
        }
    }
    cx.out.diagnostics.extend(cx.absent.diagnostic());
    cx.out.sites = cx.sites.table;
    cx.out
}

struct PlaceCx<'a, 't> {
    script: &'a ast::Script,
    target: &'t dyn Target,
    options: &'t Options,
    missing: MissingProbes,
    absent: Absent,
    sites: Sites,
    out: Places<'a>,
}

/// The sites, and the first one of each name.
#[derive(Default)]
struct Sites {
    table: Vec<Site>,
    first_func: HashMap<String, u32>,
    first_probe: HashMap<String, u32>,
}

impl Sites {
    /// Adds a site: its index, and those of the first sites with its function and its name.
    fn add(&mut self, site: Site) -> SiteIds {
        let own = self.table.len() as u32;
        let ids = SiteIds {
            own,
            func: *self.first_func.entry(site.func.clone()).or_insert(own),
            probe: *self.first_probe.entry(site.probe.clone()).or_insert(own),
        };
        self.table.push(site);
        ids
    }
}

#[derive(Clone, Copy)]
struct SiteIds {
    own: u32,
    func: u32,
    probe: u32,
}

/// What a program needs to find in its record: the fields in the order of their names, `None` for those lacking.
type Layout = Vec<Option<(u32, FieldValue)>>;

/// What an attach point stands for. Where it is in error, that has been reported: its kind, where that is known, and
/// whether it is just skipped.
type Expanded = Result<Vec<(&'static dyn ProbeKind, Place)>, (Option<&'static dyn ProbeKind>, bool)>;

/// Places that can share a program.
struct Group {
    kind: &'static dyn ProbeKind,
    layout: Layout,
    arguments: Option<Arc<[Argument]>>,
    signature: Option<Described>,
    places: Vec<Place>,
    /// Index into `places` of those that must not be there twice.
    known: HashMap<(String, u64, bool), usize>,
}

impl<'a> PlaceCx<'a, '_> {
    fn probe(&mut self, probe: &'a ast::Probe) {
        let uses = Uses::of(probe, self.script);
        let mut groups: Vec<Group> = Vec::new();
        let mut first_kind = None;
        let mut failed = false;
        let said = self.out.diagnostics.len();
        let mut missing = Vec::new();
        for point in &probe.attach_points {
            match self.point(point, &uses, &mut missing) {
                Ok(places) => {
                    for (kind, mut place) in places {
                        place.site.span = point.span;
                        first_kind.get_or_insert(kind);
                        let signature = self.signature(kind, &place, &uses);
                        add(&mut groups, kind, place, signature, &uses);
                    }
                }
                Err((kind, skipped)) => {
                    first_kind = first_kind.or(kind);
                    failed |= !skipped;
                }
            }
        }
        if groups.is_empty() {
            self.out.programs.push(Planned {
                probe,
                kind: first_kind,
                attach: Vec::new(),
                record: None,
                arguments: None,
                signature: None,
                func: Naming::Constant(0),
                probe_name: Naming::Constant(0),
                skipped: !failed,
            });
            if self.missing == MissingProbes::Summary && !failed {
                self.absent.add(
                    missing,
                    probe.attach_points.first().map_or(probe.span, |point| point.span),
                );
            }
        } else {
            self.skip_alternatives(said);
        }
        for group in groups {
            self.group(probe, group, &uses);
        }
    }

    /// What debug information says of a place's function, where the probe's text asks for that: reading it takes time.
    fn signature(&self, kind: &dyn ProbeKind, place: &Place, uses: &Uses) -> Option<Described> {
        let is_asked = uses.record || uses.result || !uses.fields.is_empty();
        let Attach::Uprobe { path, places, .. } = &place.attach else {
            return None;
        };
        let binary = Binary { path: path.clone() };
        let offset = places.first()?.offset;
        (is_asked && kind.is_described()).then(|| self.target.signature(&binary, offset))
    }

    /// Lets a probe do without wildcards that match nothing, as other attach points of its list exist: such lists name
    /// alternatives. `said` is how much had been reported before the list.
    fn skip_alternatives(&mut self, said: usize) {
        for diagnostic in &mut self.out.diagnostics[said..] {
            if diagnostic.code.id == codes::NO_MATCH.id {
                diagnostic.code = &codes::MISSING_PROBE;
                diagnostic.severity = Severity::Warning;
            }
        }
    }

    /// The places of one attach point.
    fn point(&mut self, point: &ast::AttachPoint, uses: &Uses, missing: &mut Vec<Missing>) -> Expanded {
        if let Some(diagnostic) = missing_parameter(point, &self.options.params) {
            self.out.diagnostics.push(diagnostic);
            return Err((None, false));
        }
        let parts = substituted(&point.parts, &self.options.params);
        let Some((kind_part, parts)) = parts.split_first() else {
            return Err((None, false));
        };
        let point = Point {
            parts,
            span: point.span,
            unsafe_allowed: self.options.allow_unsafe,
            pid: self.options.pid,
            traced: self.options.pid.or(self.options.command_pid).is_some(),
            warnings: RefCell::default(),
            reads_record: uses.record || uses.result || uses.returned || !uses.fields.is_empty(),
        };
        let Some(kind) = probe_kind::by_name(&kind_part.text) else {
            return self.of_kinds(kind_part, &point);
        };
        let places = kind.expand(&point, self.target);
        self.out.diagnostics.append(&mut point.warnings.take());
        places
            .map(|places| places.into_iter().map(|place| (kind, place)).collect())
            .map_err(|failure| {
                missing.push(Missing::of(kind, &point, &failure));
                (Some(kind), self.failed(failure))
            })
    }

    /// The places of an attach point whose kind is a wildcard: of every kind that matches and has such places.
    fn of_kinds(&mut self, kind_part: &AttachPart, point: &Point<'_>) -> Expanded {
        let kinds = probe_kind::matching(kind_part, point);
        let Some(&first) = kinds.first() else {
            self.out.diagnostics.push(unknown_kind(kind_part));
            return Err((None, false));
        };
        let mut places = Vec::new();
        for kind in kinds {
            let found = kind.expand(point, self.target).unwrap_or_default();
            places.extend(found.into_iter().map(|place| (kind, place)));
        }
        if places.is_empty() {
            let message = "nothing that can be traced matches this";
            let diagnostic = Diagnostic::error(&codes::NO_MATCH, point.span, message);
            return Err((Some(first), self.failed(Failure::missing(diagnostic))));
        }
        Ok(places)
    }

    /// Reports a failure. Gives whether the attach point is just skipped.
    fn failed(&mut self, failure: Failure) -> bool {
        let mut diagnostic = *failure.diagnostic;
        let skipped = failure.missing && self.missing != MissingProbes::Error;
        if skipped {
            diagnostic.code = &codes::MISSING_PROBE;
            diagnostic.severity = Severity::Warning;
        }
        let is_told = !matches!(self.missing, MissingProbes::Ignore | MissingProbes::Summary);
        if !skipped || is_told {
            self.out.diagnostics.push(diagnostic);
        }
        skipped
    }

    /// Makes programs of a group: one, unless names keep its places apart.
    fn group(&mut self, probe: &'a ast::Probe, group: Group, uses: &Uses) {
        let mut places = group.places;
        // A stable order, whichever way the script matched them.
        places.sort_by(|a, b| order(&a.attach).cmp(&order(&b.attach)));
        let record = places
            .iter()
            .find_map(|p| Some((p.record.clone()?, p.site.probe.clone())));
        let places: Vec<(Attach, SiteIds)> = places
            .into_iter()
            .map(|place| (place.attach, self.sites.add(place.site)))
            .collect();
        let differ = |id: fn(&SiteIds) -> u32| places.iter().any(|(_, ids)| id(ids) != id(&places[0].1));
        let is_open = places.iter().any(|(attach, _)| attach.has_late_places());
        let by_func = uses.func && (is_open || differ(|ids| ids.func));
        let by_probe = uses.probe && (is_open || differ(|ids| ids.probe));
        let clash = by_func && by_probe && places.iter().any(|(_, ids)| ids.func != ids.probe);
        let needs_constant = clash || uses.name_text || !self.target.has(group.kind.cookies());
        let must_split = (by_func || by_probe) && needs_constant;
        let mut programs: Vec<Vec<(Attach, SiteIds)>> = Vec::new();
        if must_split {
            let mut known: HashMap<(u32, u32), usize> = HashMap::new();
            for place in places {
                let key = (
                    if by_func { place.1.func } else { 0 },
                    if by_probe { place.1.probe } else { 0 },
                );
                let at = *known.entry(key).or_insert_with(|| {
                    programs.push(Vec::new());
                    programs.len() - 1
                });
                programs[at].push(place);
            }
        } else {
            programs.push(places);
        }
        for places in programs {
            let naming = |by_cookie: bool, id: fn(&SiteIds) -> u32| {
                if by_cookie && !must_split {
                    let mut ids: Vec<u32> = places.iter().map(|(_, ids)| id(ids)).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    Naming::ByCookie(ids)
                } else {
                    Naming::Constant(id(&places[0].1))
                }
            };
            let func = naming(by_func, |ids| ids.func);
            let probe_name = naming(by_probe, |ids| ids.probe);
            let cookie = |ids: &SiteIds| match (&func, &probe_name) {
                (Naming::ByCookie(_), _) => ids.func,
                (_, Naming::ByCookie(_)) => ids.probe,
                _ => ids.own,
            };
            let attach = merged(
                places
                    .iter()
                    .map(|(attach, ids)| with_cookie(attach.clone(), cookie(ids))),
            );
            self.out.programs.push(Planned {
                probe,
                kind: Some(group.kind),
                attach,
                record: record.clone(),
                arguments: group.arguments.clone(),
                signature: group.signature.clone(),
                func,
                probe_name,
                skipped: false,
            });
        }
    }
}

/// Adds a place to the group whose program it can share.
fn add(
    groups: &mut Vec<Group>,
    kind: &'static dyn ProbeKind,
    place: Place,
    signature: Option<Described>,
    uses: &Uses,
) {
    let layout: Layout = match &place.record {
        Some(record) => {
            let field = |name: &String| {
                record
                    .field(name)
                    .map(|field| (field.offset, field.value.clone()))
            };
            if uses.record {
                let whole = record.fields().iter();
                whole
                    .map(|field| Some((field.offset, field.value.clone())))
                    .collect()
            } else {
                uses.fields.iter().map(field).collect()
            }
        }
        None => Vec::new(),
    };
    let own = identity(&place.attach).filter(|_| !kind.shares_programs());
    let same = |group: &Group| {
        let alike = group.layout == layout && same_arguments(&group.arguments, &place.arguments, uses);
        let is_it = own.as_ref().is_none_or(|own| group.known.contains_key(own));
        alike && is_it && group.signature == signature && group.kind.name() == kind.name()
    };
    let at = groups.iter().position(same).unwrap_or_else(|| {
        groups.push(Group {
            kind,
            layout: layout.clone(),
            arguments: place.arguments.clone(),
            signature: signature.clone(),
            places: Vec::new(),
            known: HashMap::new(),
        });
        groups.len() - 1
    });
    let group = &mut groups[at];
    let Some(identity) = identity(&place.attach) else {
        group.places.push(place);
        return;
    };
    match group.known.get(&identity) {
        Some(&at) => {
            let known = &mut group.places[at];
            if rank(&place) < rank(known) {
                *known = place;
            }
        }
        None => {
            group.known.insert(identity, group.places.len());
            group.places.push(place);
        }
    }
}

/// Whether the arguments that a program uses are at the same places.
fn same_arguments(a: &Option<Arc<[Argument]>>, b: &Option<Arc<[Argument]>>, uses: &Uses) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => uses
            .arguments
            .iter()
            .all(|&n| a.get(n as usize) == b.get(n as usize)),
        _ => a == b,
    }
}

/// What two names for one place have in common; `None` where each mention is a place of its own.
fn identity(attach: &Attach) -> Option<(String, u64, bool)> {
    match attach {
        Attach::Uprobe {
            path,
            on_return,
            places,
        } => Some((
            path.clone(),
            places.first().map_or(0, |place| place.offset),
            *on_return,
        )),
        Attach::Late {
            library,
            function,
            on_return,
            ..
        } => Some((format!("{library}:{function}"), 0, *on_return)),
        Attach::Kprobe { on_return, places } => Some((places.first()?.at.to_string(), 0, *on_return)),
        Attach::Tracepoint {
            id, category, event, ..
        } => Some((format!("{category}:{event}"), *id, false)),
        Attach::RawTracepoint { event, .. } => Some((event.clone(), 0, false)),
        Attach::Function {
            on_return,
            module,
            function,
            id,
            ..
        } => Some((format!("{module}:{function}"), u64::from(*id), *on_return)),
        Attach::Iterator { list, pin, .. } => {
            Some((format!("{list}:{}", pin.as_deref().unwrap_or_default()), 0, false))
        }
        _ => None,
    }
}

/// Of several names for one place, the one to keep: what the script says, then a name without leading underscores,
/// then the first.
fn rank(place: &Place) -> (bool, bool, &str) {
    (!place.literal, place.site.func.starts_with('_'), &place.site.func)
}

/// By path and offset; everything else stays in the order of the script.
fn order(attach: &Attach) -> (&str, u64) {
    match attach {
        Attach::Uprobe { path, places, .. } => (path, places.first().map_or(0, |place| place.offset)),
        _ => ("", 0),
    }
}

fn with_cookie(mut attach: Attach, to: u32) -> Attach {
    attach.set_cookie(to);
    attach
}

/// The same attachments, those to one binary and those to the kernel made one.
fn merged(attaches: impl Iterator<Item = Attach>) -> Vec<Attach> {
    let mut out: Vec<Attach> = Vec::new();
    for attach in attaches {
        match (out.last_mut(), &attach) {
            (
                Some(Attach::Uprobe {
                    path,
                    on_return,
                    places,
                }),
                Attach::Uprobe {
                    path: new_path,
                    on_return: new_on_return,
                    places: new_places,
                },
            ) if path == new_path && on_return == new_on_return => places.extend(new_places),
            (
                Some(Attach::Kprobe { on_return, places }),
                Attach::Kprobe {
                    on_return: new_on_return,
                    places: new_places,
                },
            ) if on_return == new_on_return => places.extend(new_places.iter().cloned()),
            _ => out.push(attach),
        }
    }
    out
}

/// The parts with `$1` and its like replaced. Colons that come in that way separate parts, as if they had been typed.
fn substituted(parts: &[AttachPart], params: &[String]) -> Vec<AttachPart> {
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        if part.quoted || !part.text.contains('$') {
            out.push(part.clone());
            continue;
        }
        for text in substitute(&part.text, params).split(':') {
            out.push(AttachPart {
                text: text.to_owned(),
                ..part.clone()
            });
        }
    }
    out
}

fn substitute(text: &str, params: &[String]) -> String {
    let mut pieces = text.split('$');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match piece[..digits].parse::<usize>() {
            Ok(n) if n > 0 => {
                out.push_str(params.get(n - 1).map_or("", String::as_str));
                out.push_str(&piece[digits..]);
            }
            // A `$` of a C++ or versioned name.
            _ => {
                out.push('$');
                out.push_str(piece);
            }
        }
    }
    out
}

/// What is said where an attach point needs a parameter that is not given: the place would be another one.
fn missing_parameter(point: &ast::AttachPoint, params: &[String]) -> Option<Diagnostic> {
    let unquoted = point.parts.iter().filter(|part| !part.quoted);
    let mut numbers = unquoted.flat_map(|part| part.text.split('$').skip(1).map(move |rest| (part, rest)));
    numbers.find_map(|(part, rest)| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let n: usize = rest[..digits].parse().ok().filter(|&n| n > params.len())?;
        let message = format!("the attach point needs parameter `${n}`, which is not given");
        Some(
            Diagnostic::error(&codes::MALFORMED_ATTACH_POINT, part.span, message)
                .help("parameters follow the script on the command line"),
        )
    })
}

fn unknown_kind(part: &AttachPart) -> Diagnostic {
    let name = part.text.as_str();
    if let Some(row) = not_taken::by_name(not_taken::PROBE_KINDS, name) {
        let message = format!("there are no {name} probes here");
        return Diagnostic::error(&codes::NOT_TAKEN, part.span, message).help(row.instead);
    }
    let names = probe_kind::ALL.iter().map(|kind| kind.name());
    let message = if name.contains('*') {
        format!("no kind of probe that a wildcard can mean matches `{name}`")
    } else {
        format!("there is no kind of probe `{name}`")
    };
    let diagnostic = Diagnostic::error(&codes::UNKNOWN_PROBE_KIND, part.span, message);
    let names = similar(name, names.filter(|name| name.len() > 2), 3);
    if names.is_empty() {
        let all: Vec<_> = probe_kind::ALL.iter().map(|kind| kind.name()).collect();
        diagnostic.help(format!("kinds of probe are {}", all.join(", ")))
    } else {
        did_you_mean(diagnostic, &names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_replaced_as_text() {
        let params = ["libc".to_owned(), "write:x".to_owned()];
        assert_eq!(substitute("$1", &params), "libc");
        assert_eq!(substitute("a$1b$2", &params), "alibcbwrite:x");
        assert_eq!(substitute("$3$x$", &params), "$x$");
        assert_eq!(substitute("$0", &params), "$0");
    }
}
