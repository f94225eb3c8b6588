//! Declarations of maps: `let @m = lruhash(1000);`.
//!
//! In: the declarations of a script. Out: how the kernel stores each map that has one, and how many elements it holds. A map
//! without key is one element wherever it is, so its declaration only has to fit.

use super::cx::Cx;
use crate::codes;
use crate::hir::Expr;
use crate::plan::MapId;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::Type;
use crumbs_grammar::ast::{self, ExprKind, ForOver, StmtKind};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::{Span, Spanned};
use std::collections::HashMap;

/// A way of storing a map.
struct MapKind {
    name: &'static str,
    /// Whether every CPU has a value of its own, as aggregations need.
    per_cpu: bool,
    /// Whether a full map drops what was used least lately.
    evicts: bool,
}

static KINDS: [MapKind; 4] = [
    MapKind {
        name: "hash",
        per_cpu: false,
        evicts: false,
    },
    MapKind {
        name: "lruhash",
        per_cpu: false,
        evicts: true,
    },
    MapKind {
        name: "percpuhash",
        per_cpu: true,
        evicts: false,
    },
    MapKind {
        name: "percpulruhash",
        per_cpu: true,
        evicts: true,
    },
];

/// The most elements that can be asked for; the kernel counts them in 32 bits and rounds up to a power of two.
const MAX_ENTRIES: i64 = 1 << 31;

/// What a script says of a map.
#[derive(Clone, Copy)]
pub(super) struct DeclaredMap {
    kind: &'static MapKind,
    max_entries: u32,
    span: Span,
}

/// How a map is to be stored.
#[derive(Clone, Copy, Default)]
pub(super) struct Stored {
    /// How many elements it may have, where the script says so.
    pub max_entries: Option<u32>,
    /// Whether a full map drops what was used least lately.
    pub evicts: bool,
}

impl<'a> Cx<'a> {
    /// Reads all declarations.
    pub(super) fn declare_maps(&mut self, script: &'a ast::Script) {
        let mut declared: HashMap<&str, DeclaredMap> = HashMap::new();
        for item in &script.items {
            let ast::Item::MapDecl(decl) = item else { continue };
            let Some(row) = self.declared_map(decl) else {
                continue;
            };
            match declared.get(decl.name.node.as_str()) {
                Some(first) => {
                    let message = format!("`@{}` is declared twice", decl.name.node);
                    self.diagnostics.push(
                        Diagnostic::error(&codes::MAP_DECLARATION, decl.name.span, message)
                            .also(first.span, "the first declaration"),
                    );
                }
                None => {
                    declared.insert(&decl.name.node, row);
                }
            }
        }
        self.declared_maps = declared;
    }

    fn declared_map(&mut self, decl: &ast::MapDecl) -> Option<DeclaredMap> {
        let error = |span, message: String| Diagnostic::error(&codes::MAP_DECLARATION, span, message);
        let names = || KINDS.iter().map(|kind| kind.name);
        let Some(kind) = KINDS.iter().find(|kind| kind.name == decl.kind.node) else {
            let meant = similar(&decl.kind.node, names(), 2);
            let all: Vec<_> = names().collect();
            let diagnostic = error(
                decl.kind.span,
                format!("there is no kind of map `{}`", decl.kind.node),
            );
            self.diagnostics.push(match meant.is_empty() {
                true => diagnostic.help(format!("the kinds are {}", all.join(", "))),
                false => did_you_mean(diagnostic, &meant),
            });
            return None;
        };
        let [entries] = decl.args.as_slice() else {
            let message = format!("`{}` takes the number of elements, and nothing else", kind.name);
            let form = format!("its form: let @{} = {}(1000);", decl.name.node, kind.name);
            self.diagnostics.push(error(decl.span, message).help(form));
            return None;
        };
        let ExprKind::Int(count) = entries.kind else {
            let message = "the number of elements must be a literal number".to_owned();
            self.diagnostics.push(error(entries.span, message));
            return None;
        };
        match i64::try_from(count) {
            Ok(count) if (1..=MAX_ENTRIES).contains(&count) => Some(DeclaredMap {
                kind,
                max_entries: count as u32,
                span: decl.name.span,
            }),
            _ => {
                let message = format!("a map holds 1 to {MAX_ENTRIES} elements, not {count}");
                self.diagnostics.push(error(entries.span, message));
                None
            }
        }
    }

    /// Warns of maps that are declared and not used.
    pub(super) fn warn_unused_maps(&mut self) {
        let mut unused: Vec<_> = self
            .declared_maps
            .iter()
            .filter(|(name, _)| !self.facts.maps.iter().any(|map| map.name == **name))
            .collect();
        unused.sort_unstable_by_key(|(_, row)| row.span.start);
        for (name, row) in unused {
            let message = format!("`@{name}` is declared and never used");
            self.diagnostics
                .push(Diagnostic::warning(&codes::UNUSED_VARIABLE, row.span, message));
        }
    }

    /// How the map `name` is to be stored; reports a declaration that its values do not fit.
    pub(super) fn map_storage(&mut self, name: &str, value: &Type, first: Span) -> Option<Stored> {
        let Some(&row) = self.declared_maps.get(name) else {
            return Some(Stored::default());
        };
        let is_aggregated = matches!(value, Type::Agg(_));
        if row.kind.per_cpu != is_aggregated {
            let fitting = KINDS
                .iter()
                .find(|kind| kind.per_cpu == is_aggregated && kind.evicts == row.kind.evicts);
            let what = match is_aggregated {
                true => "aggregations have a value for each CPU",
                false => "only aggregations have a value for each CPU",
            };
            let message = format!("`@{name}` cannot be a `{}`: {what}", row.kind.name);
            let mut diagnostic =
                Diagnostic::error(&codes::MAP_DECLARATION, row.span, message).also(first, "used here");
            if let Some(kind) = fitting {
                diagnostic = diagnostic.help(format!("declare it as `{}`", kind.name));
            }
            return self.report(diagnostic);
        }
        Some(Stored {
            max_entries: Some(row.max_entries),
            evicts: row.kind.evicts,
        })
    }

    /// Whether a full `@name` drops elements, so that nobody can count what it holds.
    pub(crate) fn evicts(&self, name: &str) -> bool {
        self.declared_maps.get(name).is_some_and(|row| row.kind.evicts)
    }

    /// How many elements a map has, by going over it: `{ let $n = 0; for ($element : @map) { $n++ } $n }`. No name that a
    /// script can write is declared.
    pub(crate) fn counted_elements(&mut self, map: &ast::Expr, span: Span) -> Option<Expr> {
        const COUNT: &str = "number of elements";
        const ELEMENT: &str = "element";
        let name = |text: &str| Spanned::new(text.to_owned(), span);
        let expr = |kind| ast::Expr { kind, span };
        let stmt = |kind| ast::Stmt { kind, span };
        let count = || expr(ExprKind::Var(COUNT.to_owned()));
        let more = stmt(StmtKind::Expr(expr(ExprKind::IncDec {
            increment: true,
            prefix: false,
            target: Box::new(count()),
        })));
        let block = |stmts, value| ast::Block { stmts, value, span };
        let stmts = vec![
            stmt(StmtKind::Let {
                name: name(COUNT),
                ty: None,
                value: Some(expr(ExprKind::Int(0))),
            }),
            stmt(StmtKind::For {
                var: name(&format!("{ELEMENT} of {COUNT}")),
                over: ForOver::Expr(map.clone()),
                body: block(vec![more], None),
            }),
        ];
        self.value(&expr(ExprKind::Block(block(stmts, Some(Box::new(count()))))))
    }

    /// The name of a map.
    pub fn map_name(&self, map: MapId) -> &str {
        &self.facts.maps[map.0 as usize].name
    }
}
