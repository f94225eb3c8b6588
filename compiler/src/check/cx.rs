//! What checking knows at any moment, and how it reports.

use super::declared_maps::DeclaredMap;
use super::environment::Environment;
use super::facts::{Facts, KeyFact, VarFact};
use super::functions::CallCx;
use super::loops::Nesting;
use super::places::{Described, Naming, Planned};
use crate::codes;
use crate::config::Configured;
use crate::expand::prelude;
use crate::hir::{Expr, ExprKind, Var, VarId};
use crate::options::Options;
use crate::plan::{Attach, Event, EventArg, EventId, EventKind, MapId, ProgramKind, RECORD_HEADER, Site};
use crate::probe_kind::record::Record;
use crate::probe_kind::{Offers, ProbeKind};
use crate::target::{Arch, Binary, Target};
use crate::types::{IntType, NameTable, Space, StackMode, Type, align_to};
use crate::usdt::Argument;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::{COMMAND_LINE, Sources};
use crumbs_grammar::span::Span;
use crumbs_grammar::{MAX_DIAGNOSTICS, ast};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Why the script is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To learn types: what is not known yet is skipped, nothing is reported.
    Infer {
        /// Where an operand's type is not known, the other's is taken: for places that are computed from themselves.
        optimistic: bool,
    },
    /// All types are known: HIR is built and mistakes are reported.
    Build,
}

/// One record is at most this long.
const MAX_RECORD: u64 = 1 << 16;

/// Checking of one script.
pub struct Cx<'a> {
    pub(super) sources: &'a Sources,
    /// The functions of the script, by name.
    pub(super) functions: HashMap<&'a str, &'a ast::Function>,
    pub(super) target: &'a dyn Target,
    /// The types that the script can name.
    pub types: Environment<'a>,
    pub(super) options: &'a Options,
    pub(super) configured: Configured,
    pub(super) sites: Vec<Site>,
    pub(super) stage: Stage,
    pub(super) facts: Facts,
    pub(super) events: Vec<Event>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) program: ProgramCx,
    /// How many branches that are never taken the code that is being read is in.
    pub(super) unreachable: u32,
    /// How many statements that end a program have been read.
    pub(super) ends: u64,
    /// What has been said of a map and need not be said again: the code's id and the map's name.
    pub(super) told: HashSet<(&'static str, String)>,
    /// The maps that the script declares, by name.
    pub(super) declared_maps: HashMap<&'a str, DeclaredMap>,
}

/// The program that is being read.
#[derive(Default)]
pub(super) struct ProgramCx {
    /// Its number.
    pub index: usize,
    pub kind: Option<&'static dyn ProbeKind>,
    pub record: Option<(Record, String)>,
    /// Where its arguments are, where that is not the calling convention's business.
    pub arguments: Option<Arc<[Argument]>>,
    /// What debug information says of its functions, where the text asks for that.
    pub signature: Option<Described>,
    /// The binary that it is placed in, where that is one.
    pub user_place: Option<UserPlace>,
    /// The list of the kernel whose elements it gets.
    pub list: Option<String>,
    /// Whether it is pinned: run by whoever reads a file, when crumbs has ended.
    pub pinned: bool,
    pub func: Option<Naming>,
    pub probe_name: Option<Naming>,
    /// The variables declared so far.
    pub vars: Vec<Var>,
    /// Those that are visible. No name is visible twice.
    names: HashMap<String, VarId>,
    /// The names that each open block declares.
    scopes: Vec<Vec<String>>,
    /// The names that the program's own blocks have declared so far, and whether by assignments alone.
    pub by_assignment: HashMap<String, bool>,
    /// Names of variables that have been reported as undefined: once is enough.
    pub undefined: HashSet<String>,
    /// The loops that are being read.
    pub nesting: Nesting,
    /// The calls of functions of the script that are being read, innermost last.
    pub calls: Vec<CallCx>,
    /// How many such calls there have been.
    pub called: u32,
    /// How many questions about types the expression that is being read is in: it is never evaluated then.
    pub asked: u32,
}

/// The binary that a program is placed in.
#[derive(Clone, Debug)]
pub struct UserPlace {
    /// The binary.
    pub binary: Binary,
    /// The file offset that the program runs at; `None` where there are several, or it runs where a function returns to.
    pub offset: Option<u64>,
}

impl UserPlace {
    fn of(attach: &[Attach]) -> Option<Self> {
        let [
            Attach::Uprobe {
                path,
                on_return,
                places,
            },
        ] = attach
        else {
            return None;
        };
        let offset = match places[..] {
            [ref only] if !on_return => Some(only.offset),
            _ => None,
        };
        let binary = Binary { path: path.clone() };
        Some(Self { binary, offset })
    }
}

/// Variables that are not visible for now.
pub(super) struct Hidden {
    names: HashMap<String, VarId>,
    scopes: Vec<Vec<String>>,
}

impl ProgramCx {
    pub(super) fn new(index: usize, planned: &Planned<'_>) -> Self {
        Self {
            index,
            kind: planned.kind,
            record: planned.record.clone(),
            arguments: planned.arguments.clone(),
            signature: planned.signature.clone(),
            user_place: UserPlace::of(&planned.attach),
            list: planned.attach.iter().find_map(|attach| match attach {
                Attach::Iterator { list, .. } => Some(list.clone()),
                _ => None,
            }),
            pinned: planned.attach.iter().any(Attach::is_pinned),
            func: Some(planned.func.clone()),
            probe_name: Some(planned.probe_name.clone()),
            ..Self::default()
        }
    }

    /// What its kind offers; `None` where the kind is in error.
    pub(super) fn offers(&self) -> Option<Offers> {
        self.kind.map(ProbeKind::offers)
    }

    pub(super) fn open_scope(&mut self) {
        self.scopes.push(Vec::new());
    }

    pub(super) fn close_scope(&mut self) {
        for name in self.scopes.pop().unwrap_or_default() {
            self.names.remove(&name);
        }
    }

    /// Goes where none of the variables so far is visible.
    pub(super) fn hide_variables(&mut self) -> Hidden {
        Hidden {
            names: std::mem::take(&mut self.names),
            scopes: std::mem::take(&mut self.scopes),
        }
    }

    /// Goes back.
    pub(super) fn show_variables(&mut self, hidden: Hidden) {
        (self.names, self.scopes) = (hidden.names, hidden.scopes);
    }

    pub(super) fn lookup(&self, name: &str) -> Option<VarId> {
        self.names.get(name).copied()
    }

    /// The names that are visible.
    pub(super) fn visible(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}

impl<'a> Cx<'a> {
    /// Whether types are still being learnt.
    pub fn is_inferring(&self) -> bool {
        self.stage != Stage::Build
    }

    /// Whether what is not known yet may be guessed.
    pub(super) fn is_optimistic(&self) -> bool {
        self.stage == Stage::Infer { optimistic: true }
    }

    /// Whether nothing would be reported: then there is no need to look for advice.
    pub(super) fn is_silent(&self) -> bool {
        self.is_inferring() || self.diagnostics.len() > 2 * MAX_DIAGNOSTICS
    }

    /// Reports a mistake, once all types are known. Gives `None`, the value of what is in error.
    pub fn report<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        if !self.is_silent() {
            self.diagnostics.push(diagnostic);
        }
        None
    }

    /// Reports what a later version will support.
    pub fn later<T>(&mut self, span: Span, what: &str) -> Option<T> {
        self.report(Diagnostic::error(
            &codes::LATER,
            span,
            format!("not supported yet: {what}"),
        ))
    }

    /// What stands at `span`, in a form that an operator can be put before; `…` where that would be long.
    pub(super) fn source_text(&self, span: Span) -> String {
        let text = self.sources.text().get(span.range()).unwrap_or("…");
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '@' | '.');
        match text {
            _ if text.chars().count() > 32 || text.contains('\n') => "(…)".to_owned(),
            _ if text.chars().all(is_word) || text.starts_with('(') && text.ends_with(')') => text.to_owned(),
            _ => format!("({text})"),
        }
    }

    /// The event of `kind` that carries `args`, as an expression that gives nothing.
    pub fn emit(&mut self, kind: EventKind, args: Vec<Expr>, span: Span) -> Option<Expr> {
        let mut event = EventId(0);
        if self.program.pinned {
            self.pinned_event(&kind, &args, span)?;
        }
        if self.stage == Stage::Build {
            let mut size = u64::from(RECORD_HEADER);
            let mut layout = Vec::with_capacity(args.len());
            for arg in &args {
                layout.push(EventArg {
                    offset: size as u32,
                    ty: arg.ty.clone(),
                });
                size += u64::from(align_to(arg.ty.slot_size(), 8));
                if size > MAX_RECORD {
                    return self.report(
                        Diagnostic::error(
                            &codes::RECORD_TOO_LARGE,
                            span,
                            "this sends more than 64 KiB at once",
                        )
                        .help("read shorter text, `str(p, 64)`, or set `max_strlen` lower"),
                    );
                }
            }
            event = EventId(self.events.len() as u32);
            self.events.push(Event {
                kind,
                args: layout,
                size: size as u32,
                span,
            });
        }
        Some(Expr {
            kind: ExprKind::Emit { event, args },
            ty: Type::Void,
            span,
        })
    }

    /// Declares a variable in the innermost block; its number is the same each time the script is read.
    pub(super) fn declare(&mut self, name: &str, span: Span) -> VarId {
        let id = VarId(self.program.vars.len() as u32);
        let facts = &mut self.facts.vars[self.program.index];
        if facts.len() == id.0 as usize {
            facts.push(VarFact::default());
        }
        let ty = facts[id.0 as usize].value.ty.clone().unwrap_or(Type::I64);
        self.program.vars.push(Var {
            name: name.to_owned(),
            ty,
            span,
        });
        self.program.names.insert(name.to_owned(), id);
        if let Some(scope) = self.program.scopes.last_mut() {
            scope.push(name.to_owned());
        }
        id
    }

    /// What is known of a variable of this program.
    pub(super) fn var_fact(&mut self, id: VarId) -> &mut VarFact {
        &mut self.facts.vars[self.program.index][id.0 as usize]
    }

    /// The type of text that is read from memory.
    pub fn text_type(&self) -> Type {
        Type::Str(self.configured.config.max_strlen + 1)
    }

    /// The positional parameter `$n`, from 1.
    pub(super) fn param(&self, n: u32) -> Option<&'a str> {
        let options = self.options;
        options
            .params
            .get((n as usize).checked_sub(1)?)
            .map(String::as_str)
    }
}

/// What functions ask for.
impl Cx<'_> {
    /// A type in a message.
    pub fn describe(&self, ty: &Type) -> String {
        super::statements::described(ty)
    }

    /// The bytes that a value has where it comes from: those of a character array do not count the NUL that text has.
    pub fn declared_size(&self, expr: &Expr) -> u32 {
        super::memory::declared_type(expr).size()
    }

    /// `expr` as a `to`, by an explicit conversion where the language has no implicit one.
    pub fn converted(&self, expr: Expr, to: &Type) -> Expr {
        super::convert::as_type(expr, to)
    }

    /// The number that an expression is, where that is known now.
    pub fn constant(&self, expr: &Expr) -> Option<i64> {
        super::convert::const_value(expr)
    }

    /// What a number that is used as an address points into.
    pub fn memory(&self) -> Space {
        self.program
            .offers()
            .map_or(Space::Kernel, |offers| offers.memory)
    }

    /// A number as the address of a character in the memory that probes of this kind are about.
    pub fn as_address(&self, number: Expr) -> Expr {
        let character = Type::Int(IntType {
            bits: 8,
            signed: true,
        });
        let address = self.converted(number, &Type::U64);
        self.converted(address, &Type::Ptr(Box::new(character), self.memory()))
    }

    /// What the kernel sees the program as; `None` where its kind is in error.
    pub fn program_kind(&self) -> Option<ProgramKind> {
        self.program.kind.map(ProbeKind::program)
    }

    /// The architecture that is compiled for.
    pub fn arch(&self) -> Arch {
        self.target.arch()
    }

    /// How stacks are shown whose call does not say.
    pub fn stack_mode(&self) -> StackMode {
        self.configured.stack_mode
    }

    /// The process id of the command that `-c` runs.
    pub fn command_pid(&self) -> Option<u32> {
        self.options.command_pid
    }

    /// The name that an expression is, where that is known now.
    pub fn known_name(&self, expr: &Expr) -> Option<String> {
        let (ExprKind::Const(index), Type::Name(table)) = (&expr.kind, &expr.ty) else {
            return None;
        };
        let site = self.sites.get(usize::try_from(*index).ok()?)?;
        Some(match table {
            NameTable::Func => site.func.clone(),
            NameTable::Probe => site.probe.clone(),
        })
    }

    /// Whether the user allows what can change or crash the traced system.
    pub fn allows_unsafe(&self) -> bool {
        self.options.allow_unsafe
    }

    /// Whether nothing will be attached.
    pub fn is_dry_run(&self) -> bool {
        self.options.dry_run
    }

    /// Whether the program runs in the middle of what some process does, rather than on crumbs' own account; `None` where
    /// its kind is in error.
    pub fn interrupts(&self) -> Option<bool> {
        let offers = self.program.offers()?;
        Some(self.program_kind()? != ProgramKind::RawTracepoint || offers.arguments)
    }

    /// Whether the program runs where a kernel function begins; `None` where its kind is in error.
    pub fn is_at_kernel_entry(&self) -> Option<bool> {
        let offers = self.program.offers()?;
        let is_kprobe = self.program_kind()? == ProgramKind::Kprobe;
        Some(is_kprobe && offers.arguments && offers.memory == Space::Kernel)
    }

    /// Whether crumbs runs the program itself, rather than the kernel where something happens.
    pub fn is_run_by_crumbs(&self) -> bool {
        let offers = self.program.offers();
        self.program_kind() == Some(ProgramKind::RawTracepoint)
            && offers.is_some_and(|offers| !offers.arguments)
    }

    /// Whether it is known that a map has no keys.
    pub fn has_no_key(&self, map: MapId) -> bool {
        matches!(self.facts.maps[map.0 as usize].key, KeyFact::None(_))
    }

    /// The binary that the program is placed in, where that is one.
    pub fn user_place(&self) -> Option<&UserPlace> {
        self.program.user_place.as_ref()
    }

    /// The machine that is traced.
    pub fn target(&self) -> &dyn Target {
        self.target
    }

    /// The greatest length of text and buffers that are read.
    pub fn max_strlen(&self) -> u32 {
        self.configured.config.max_strlen
    }

    /// The id of the cgroup at a path.
    pub fn cgroup_id(&self, path: &str) -> Option<u64> {
        self.target.cgroup_id(path)
    }

    /// The named parameter `--name` that was given last, with its value if it has one; the outer `None` where it was not
    /// given.
    pub fn named_param(&self, name: &str) -> Option<Option<&'_ str>> {
        let mut given = self.options.named.iter().rev();
        given
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_deref())
    }

    /// The positional parameter `$n` as text; empty where it is not given.
    pub fn param_text(&self, n: u32) -> &str {
        self.param(n).unwrap_or_default()
    }

    /// Where `span` is, as bpftrace writes it before messages: `stdin:1:9-20`, or `stdin:1-3` over several lines.
    pub fn place(&self, span: Span) -> String {
        let (mut whole, uses) = self.sources.origin(span);
        // Of what the compiler brings along the user knows the use only.
        if let (prelude::FILE, Some((_, used))) = (self.sources.file(whole).0, uses.last()) {
            whole = *used;
        }
        self.place_in_file(whole)
    }

    /// The same of text that is in a file.
    pub(super) fn place_in_file(&self, whole: Span) -> String {
        let first = self.sources.position(whole);
        let end = self.sources.position(Span {
            start: whole.end,
            ..whole
        });
        let (line, column) = (first.line, first.column);
        let file = match first.file {
            // As bpftrace calls it.
            COMMAND_LINE => "stdin",
            file => file,
        };
        if end.line == line {
            format!("{file}:{line}:{column}-{}", end.column)
        } else {
            format!("{file}:{line}-{}", end.line)
        }
    }

    /// Notes that the program ends here.
    pub fn ends_program(&mut self) {
        self.ends += 1;
    }

    /// Notes that a map is cleared or zeroed.
    pub fn mark_cleared(&mut self, map: MapId) {
        self.facts.maps[map.0 as usize].cleared = true;
    }

    /// Notes that a map's length is asked for.
    pub fn mark_measured(&mut self, map: MapId) {
        self.facts.maps[map.0 as usize].measured = true;
    }

    /// An element that is looked up but not read. The map must be assigned somewhere.
    pub fn looked_up(&mut self, name: &str, span: Span, key: &[ast::Expr]) -> Option<(MapId, Option<Expr>)> {
        let element = self.element(name, span, Some(key));
        self.must_be_assigned(name, span)?;
        element.map(|element| (element.map, element.key))
    }

    /// An element that is deleted. The map must be assigned somewhere.
    pub fn deleted(
        &mut self,
        name: &str,
        span: Span,
        key: Option<&[ast::Expr]>,
    ) -> Option<(MapId, Option<Expr>)> {
        let element = self.element(name, span, key);
        self.must_be_assigned(name, span)?;
        let element = element?;
        self.facts.maps[element.map.0 as usize].deleted_from = true;
        Some((element.map, element.key))
    }
}
