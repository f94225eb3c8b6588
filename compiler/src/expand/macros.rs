//! Macros: definitions, and their uses replaced by their bodies.
//!
//! A use is a call, or the bare name where the macro takes nothing. Of several macros of one name the one whose parameters
//! fit the arguments best is meant: `$v` takes a variable, `@m` a map, a bare word any expression or type. A macro of the
//! script comes before a function of the same name; where its parameters do not fit, the function is meant.
//!
//! **Hygiene.** A macro's variables are its own in each use; maps it gets as parameters. An argument in the place of a bare
//! word is evaluated wherever and as often as the word stands.
//!
//! **Bounds.** A macro that uses itself is refused; so are uses that together give more than [`MAX_NODES`] nodes, or nest
//! deeper than later stages can walk.

use super::imports::Shift;
use super::prelude;
use super::substitute::Substitution;
use crate::aggregation;
use crate::builtin;
use crate::codes;
use crate::function;
use crate::not_taken;
use crate::probe_value;
use crumbs_grammar::ast::{
    Arg, Block, Expr, ExprKind, Item, Macro, MacroParam, Script, Stmt, StmtKind, UnaryOp,
};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::source::Sources;
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_block, walk_expr, walk_item, walk_stmt};
use std::collections::HashMap;

/// All uses of macros together give at most so many expressions and statements.
const MAX_NODES: u64 = 1 << 19;
/// Expressions and statements in one another, arguments of macros and their bodies together.
const MAX_DEPTH: u32 = 4096;
/// Macros that use one another, at a time.
const MAX_OPEN: usize = 64;

/// What a parameter stands for.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    /// The name of a variable or map.
    Name(String),
    /// An expression or a type.
    Arg(Arg),
}

/// Replaces all uses of macros in `script`. The definitions stay.
pub(super) fn expand(script: &mut Script, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) {
    let mut by_name: HashMap<String, Vec<Macro>> = HashMap::new();
    for item in &script.items {
        let Item::Macro(decl) = item else { continue };
        let known = by_name.entry(decl.name.node.clone()).or_default();
        if let Some(first) = known.iter().find(|other| signature(other) == signature(decl)) {
            let message = format!(
                "there are two macros `{}` with the same parameters",
                decl.name.node
            );
            diagnostics.push(
                Diagnostic::error(&codes::DUPLICATE_MACRO, decl.name.span, message)
                    .also(first.name.span, "the other one")
                    .help("macros of one name differ in the number or the kinds of their parameters"),
            );
            continue;
        }
        if let Some(twice) = repeated_param(decl) {
            let message = format!("two parameters are called `{}`", twice.node);
            diagnostics.push(Diagnostic::error(&codes::DUPLICATE_MACRO, twice.span, message));
        }
        known.push(decl.clone());
    }
    let mut kept = Vec::new();
    for row in prelude::ALL {
        // Most scripts use none: then there is nothing to parse.
        if sources.text().contains(row.name)
            && let Some((decl, maps)) = provided(row, sources)
        {
            let known = by_name.entry(row.name.to_owned()).or_default();
            if !known.iter().any(|other| signature(other) == signature(&decl)) {
                kept.push((decl.span, maps));
                known.push(decl);
            }
        }
    }
    if by_name.is_empty() {
        return;
    }
    let mut expander = Expander {
        by_name: &by_name,
        sources,
        diagnostics,
        open: Vec::new(),
        kept,
        declarations: Vec::new(),
        uses: 0,
        nodes: 0,
    };
    for item in &mut script.items {
        if !matches!(item, Item::Macro(_)) {
            walk_item(&mut expander, item);
        }
    }
    script.items.append(&mut expander.declarations);
}

/// The definition of a macro of the prelude and the maps that it keeps, its text added to the script's.
fn provided(row: &prelude::Prelude, sources: &mut Sources) -> Option<(Macro, Vec<Item>)> {
    let (decl, mut maps) = prelude::definition(row)?;
    let mut item = Item::Macro(decl);
    let mut shift = Shift(sources.add_file(prelude::FILE, row.text)? as u32);
    walk_item(&mut shift, &mut item);
    maps.iter_mut().for_each(|map| walk_item(&mut shift, map));
    match item {
        Item::Macro(decl) => Some((decl, maps)),
        _ => None,
    }
}

/// What tells macros of one name apart: the kind of each parameter.
fn signature(decl: &Macro) -> Vec<u8> {
    let kind = |param: &MacroParam| match param {
        MacroParam::Var(_) => b'$',
        MacroParam::Map(_) => b'@',
        MacroParam::Expr(_) => b'x',
    };
    decl.params.iter().map(kind).collect()
}

fn repeated_param(decl: &Macro) -> Option<&crumbs_grammar::ast::Name> {
    let names: Vec<_> = decl
        .params
        .iter()
        .map(|param| match param {
            MacroParam::Var(name) => ('$', name),
            MacroParam::Map(name) => ('@', name),
            MacroParam::Expr(name) => ('x', name),
        })
        .collect();
    let repeated = |(i, (kind, name)): (usize, &(char, &'_ crumbs_grammar::ast::Name))| {
        names[..i].iter().any(|(k, n)| k == kind && n.node == name.node)
    };
    names
        .iter()
        .enumerate()
        .find(|&(i, name)| repeated((i, name)))
        .map(|(_, (_, name))| *name)
}

struct Expander<'a> {
    by_name: &'a HashMap<String, Vec<Macro>>,
    sources: &'a mut Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// The macros whose bodies are being expanded, by the place of their definition.
    open: Vec<Span>,
    /// The maps that macros of the prelude keep, by the place of the macro; as long as it has not been used.
    kept: Vec<(Span, Vec<Item>)>,
    /// The maps of those that were used.
    declarations: Vec<Item>,
    /// How many uses there were.
    uses: u32,
    nodes: u64,
}

/// What a name means.
enum Meaning {
    /// No macro.
    Other,
    /// A macro's body, ready.
    Body(Block),
    /// A mistake that has been reported.
    Mistake,
}

impl VisitMut for Expander<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        match self.meaning(expr) {
            Meaning::Other => walk_other(self, expr),
            Meaning::Mistake => expr.kind = ExprKind::Error,
            Meaning::Body(block) => {
                let used = expr.span;
                *expr = match block {
                    Block {
                        stmts,
                        value: Some(value),
                        ..
                    } if stmts.is_empty() => *value,
                    block => Expr {
                        span: block.span,
                        kind: ExprKind::Block(block),
                    },
                };
                let mut depth = Depth::default();
                depth.expr(expr);
                if depth.most > MAX_DEPTH {
                    self.too_large(used);
                    expr.kind = ExprKind::Error;
                }
            }
        }
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        let StmtKind::Expr(expr) = &mut stmt.kind else {
            return walk_stmt(self, stmt);
        };
        stmt.kind = match self.meaning(expr) {
            Meaning::Other => return walk_other(self, expr),
            Meaning::Mistake => StmtKind::Error,
            Meaning::Body(mut block) => {
                // The value of a macro that stands for itself is not missed.
                if let Some(value) = block.value.take() {
                    let span = value.span;
                    let kind = match value.kind {
                        ExprKind::Call { .. }
                        | ExprKind::IncDec { .. }
                        | ExprKind::If(_)
                        | ExprKind::Block(_) => StmtKind::Expr(*value),
                        _ => StmtKind::Discard(*value),
                    };
                    block.stmts.push(Stmt { kind, span });
                }
                let mut depth = Depth::default();
                walk_block(&mut depth, &mut block);
                if depth.most > MAX_DEPTH {
                    self.too_large(stmt.span);
                    StmtKind::Error
                } else {
                    StmtKind::Block(block)
                }
            }
        };
    }
}

/// Goes on below an expression that uses no macro; what it calls has been expanded already.
fn walk_other(expander: &mut Expander<'_>, expr: &mut Expr) {
    if !matches!(expr.kind, ExprKind::Call { .. }) {
        walk_expr(expander, expr);
    }
}

impl Expander<'_> {
    /// What a call or bare word means. The arguments of a call are expanded in any case.
    fn meaning(&mut self, expr: &mut Expr) -> Meaning {
        let span = expr.span;
        let (name, args): (&str, &[Arg]) = match &mut expr.kind {
            ExprKind::Ident(name) => (name, &[]),
            ExprKind::Call { name, args } => {
                for arg in args.iter_mut() {
                    match arg {
                        Arg::Expr(arg) => self.expr(arg),
                        Arg::Type(ty) => self.ty(ty),
                    }
                }
                (&name.node, args)
            }
            _ => return Meaning::Other,
        };
        let by_name = self.by_name;
        let Some(macros) = by_name.get(name) else {
            return Meaning::Other;
        };
        let best = macros
            .iter()
            .filter_map(|decl| Some((fit(decl, args)?, decl)))
            .min_by_key(|(fit, _)| *fit);
        match best {
            Some((_, decl)) => match self.body(decl, args, span) {
                Some(body) => Meaning::Body(body),
                None => Meaning::Mistake,
            },
            None if is_known(name) => Meaning::Other,
            None => {
                self.no_fit(name, macros, args, span);
                Meaning::Mistake
            }
        }
    }

    /// The body of `decl` for these arguments, everything in it expanded.
    fn body(&mut self, decl: &Macro, args: &[Arg], used: Span) -> Option<Block> {
        let name = &decl.name.node;
        if self.open.contains(&decl.span) {
            self.diagnostics.push(
                Diagnostic::error(
                    &codes::RECURSIVE_MACRO,
                    used,
                    format!("the macro `{name}` uses itself"),
                )
                .also(decl.name.span, "defined here")
                .help("a macro is replaced by its text, so it cannot repeat itself: write a loop"),
            );
            return None;
        }
        if self.open.len() >= MAX_OPEN {
            self.too_large(used);
            return None;
        }
        let Some(start) = self.sources.add_use(name, decl.body.span, used) else {
            self.too_large(used);
            return None;
        };
        let bound = decl.params.iter().zip(args);
        let bound = bound.filter_map(|(param, arg)| bind(decl, param, arg)).collect();
        self.uses += 1;
        let mut substitution = Substitution {
            bound: &bound,
            shift: start as i64 - i64::from(decl.body.span.start),
            number: self.uses,
            nodes: 0,
            diagnostics: Vec::new(),
        };
        let mut body = decl.body.clone();
        substitution.apply(&mut body);
        self.nodes += substitution.nodes;
        let diagnostics = substitution.diagnostics;
        let failed = !diagnostics.is_empty();
        self.diagnostics.extend(diagnostics);
        if self.nodes > MAX_NODES {
            self.too_large(used);
            return None;
        }
        if failed {
            return None;
        }
        if let Some(at) = self.kept.iter().position(|(of, _)| *of == decl.span) {
            self.declarations.append(&mut self.kept.swap_remove(at).1);
        }
        self.open.push(decl.span);
        walk_block(self, &mut body);
        self.open.pop();
        Some(body)
    }

    fn too_large(&mut self, used: Span) {
        // One is enough: all further uses are in error for the same reason.
        if !self.diagnostics.iter().any(|d| d.code == &codes::MACRO_TOO_LARGE) {
            self.diagnostics.push(
                Diagnostic::error(
                    &codes::MACRO_TOO_LARGE,
                    used,
                    "the script's macros give too much code",
                )
                .help("a macro that uses another one several times multiplies it: keep values in variables"),
            );
        }
    }

    fn no_fit(&mut self, name: &str, macros: &[Macro], args: &[Arg], span: Span) {
        let forms: Vec<String> = macros.iter().map(|decl| format!("`{}`", form(decl))).collect();
        let same_count: Vec<&Macro> = macros.iter().filter(|m| m.params.len() == args.len()).collect();
        let diagnostic = match same_count.as_slice() {
            [decl] if let Some((param, arg)) = mismatch(decl, args) => {
                let (what, wanted) = match param {
                    MacroParam::Var(n) => (format!("${}", n.node), "a variable"),
                    MacroParam::Map(n) => (format!("@{}", n.node), "a map as a whole"),
                    MacroParam::Expr(n) => (n.node.clone(), "a value"),
                };
                let at = match arg {
                    Arg::Expr(e) => e.span,
                    Arg::Type(ty) => ty.span,
                };
                let message = format!("the macro `{name}` needs {wanted} for `{what}`");
                Diagnostic::error(&codes::MACRO_ARGUMENTS, at, message).also(decl.name.span, "defined here")
            }
            _ => {
                let given = match args.len() {
                    1 => "1 is given".to_owned(),
                    n => format!("{n} are given"),
                };
                let message = match macros {
                    [decl] => {
                        let n = decl.params.len();
                        let s = if n == 1 { "" } else { "s" };
                        format!("the macro `{name}` takes {n} argument{s}, and {given}")
                    }
                    _ => format!("no macro `{name}` takes these arguments"),
                };
                macros.iter().fold(
                    Diagnostic::error(&codes::MACRO_ARGUMENTS, span, message),
                    |d, decl| d.also(decl.name.span, "defined here"),
                )
            }
        };
        self.diagnostics
            .push(diagnostic.help(format!("its form: {}", forms.join(", "))));
    }
}

/// How a macro is used, for messages.
fn form(decl: &Macro) -> String {
    let params: Vec<String> = decl
        .params
        .iter()
        .map(|param| match param {
            MacroParam::Var(name) => format!("${}", name.node),
            MacroParam::Map(name) => format!("@{}", name.node),
            MacroParam::Expr(name) => name.node.clone(),
        })
        .collect();
    format!("{}({})", decl.name.node, params.join(", "))
}

/// How loosely a macro's parameters fit: more for those that take anything. `None` where they do not.
fn fit(decl: &Macro, args: &[Arg]) -> Option<usize> {
    if decl.params.len() != args.len() {
        return None;
    }
    let pairs = decl.params.iter().zip(args);
    pairs
        .map(|(param, arg)| {
            let looseness = match (param, bind(decl, param, arg)?.1) {
                (_, Bound::Name(_)) => 0,
                (MacroParam::Expr(_), Bound::Arg(_)) => 1,
                (_, Bound::Arg(_)) => 2,
            };
            Some(looseness)
        })
        .sum()
}

/// The first parameter that the argument does not fit, and the argument.
fn mismatch<'a>(decl: &'a Macro, args: &'a [Arg]) -> Option<(&'a MacroParam, &'a Arg)> {
    let mut pairs = decl.params.iter().zip(args);
    pairs.find(|(param, arg)| bind(decl, param, arg).is_none())
}

/// What a parameter stands for, where the argument is of its kind. A variable that the macro only reads can be any value, which
/// is computed wherever the macro names it.
fn bind(decl: &Macro, param: &MacroParam, arg: &Arg) -> Option<(String, Bound)> {
    match (param, arg) {
        (
            MacroParam::Var(name),
            Arg::Expr(Expr {
                kind: ExprKind::Var(given),
                ..
            }),
        ) => Some((format!("${}", name.node), Bound::Name(given.clone()))),
        (MacroParam::Var(name), Arg::Expr(_)) if !changes(decl, &name.node) => {
            Some((format!("${}", name.node), Bound::Arg(arg.clone())))
        }
        (
            MacroParam::Map(name),
            Arg::Expr(Expr {
                kind:
                    ExprKind::Map {
                        name: given,
                        key: None,
                    },
                ..
            }),
        ) => Some((format!("@{}", name.node), Bound::Name(given.clone()))),
        (MacroParam::Expr(name), arg) => Some((name.node.clone(), Bound::Arg(arg.clone()))),
        _ => None,
    }
}

/// Whether a macro assigns to a variable, or takes its address.
fn changes(decl: &Macro, var: &str) -> bool {
    let mut finder = Changes { var, found: false };
    // The walk changes nothing; a copy costs no more than the use does.
    walk_block(&mut finder, &mut decl.body.clone());
    finder.found
}

struct Changes<'a> {
    var: &'a str,
    found: bool,
}

impl Changes<'_> {
    fn target(&mut self, target: &Expr) {
        self.found |= matches!(&target.kind, ExprKind::Var(name) if name == self.var);
    }
}

impl VisitMut for Changes<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        match &expr.kind {
            ExprKind::IncDec { target, .. } | ExprKind::Unary(UnaryOp::AddressOf, target) => {
                self.target(target)
            }
            _ => {}
        }
        walk_expr(self, expr);
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        if let StmtKind::Assign { target, .. } = &stmt.kind {
            self.target(target);
        }
        walk_stmt(self, stmt);
    }
}

/// Whether the language itself has something of this name.
fn is_known(name: &str) -> bool {
    function::by_name(name).is_some()
        || aggregation::by_name(name).is_some()
        || builtin::by_name(name).is_some()
        || probe_value::by_name(name).is_some()
        || not_taken::by_name(not_taken::NAMES, name).is_some()
}

/// How deep code nests.
#[derive(Default)]
struct Depth {
    now: u32,
    most: u32,
}

impl VisitMut for Depth {
    fn expr(&mut self, expr: &mut Expr) {
        self.now += 1;
        self.most = self.most.max(self.now);
        walk_expr(self, expr);
        self.now -= 1;
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        self.now += 1;
        self.most = self.most.max(self.now);
        walk_stmt(self, stmt);
        self.now -= 1;
    }
}
