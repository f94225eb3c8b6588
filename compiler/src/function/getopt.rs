//! `getopt`: a named parameter of the script, `--name=value` behind `--` on the command line.
//!
//! The value is known when the script is compiled, and its type is its default's. Every `getopt` of a script says that the
//! parameter exists ([`declared`]), wherever it stands.

use super::{Call, Function, literal_text};
use crate::check::Cx;
use crate::codes;
use crate::hir::{Expr, ExprKind};
use crate::options::Options;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::Type;
use crumbs_grammar::ast::{self, Arg, Script};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;
use crumbs_grammar::visit::{VisitMut, walk_expr, walk_item};

pub(super) const FUNCTION: Function = Function {
    name: "getopt",
    doc: "the named parameter `--name=value` that follows `--` on the command line; a boolean without a default",
    syntax: "getopt(\"name\"[, default[, \"description\"]])",
    example: "uprobe:libc:write { if (arg2 >= getopt(\"min\", 4096, \"the smallest write that counts\")) { @ = count(); } }",
    arity: (1, 3),
    check,
};

/// A named parameter that a script has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name, without dashes.
    pub name: String,
    /// Its default as the script writes it; `None` for a boolean that is false unless it is given.
    pub default: Option<Span>,
    /// What the script says of it.
    pub description: Option<String>,
}

/// The named parameters of an expanded script, in order.
pub fn declared(script: &Script) -> Vec<Declared> {
    let mut finder = Finder::default();
    for item in &script.items {
        walk_item(&mut finder, &mut item.clone());
    }
    finder.found
}

#[derive(Default)]
struct Finder {
    found: Vec<Declared>,
}

impl VisitMut for Finder {
    fn expr(&mut self, expr: &mut ast::Expr) {
        if let ast::ExprKind::Call { name, args } = &expr.kind
            && name.node == FUNCTION.name
            && let Some(name) = args.first().and_then(text)
        {
            let declared = Declared {
                name,
                default: args.get(1).and_then(|arg| match arg {
                    Arg::Expr(e) => Some(e.span),
                    Arg::Type(_) => None,
                }),
                description: args.get(2).and_then(text),
            };
            match self.found.iter_mut().find(|known| known.name == declared.name) {
                Some(known) if known.description.is_none() => *known = declared,
                Some(_) => {}
                None => self.found.push(declared),
            }
        }
        walk_expr(self, expr);
    }
}

fn text(arg: &Arg) -> Option<String> {
    match arg {
        Arg::Expr(ast::Expr {
            kind: ast::ExprKind::Str(bytes),
            ..
        }) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// What is said of named parameters that were given and that the script does not have.
pub(crate) fn unknown(script: &Script, options: &Options) -> Vec<Diagnostic> {
    // Probes that are left out may have asked for them.
    if options.named.is_empty() || options.only_end.is_some() {
        return Vec::new();
    }
    let declared = declared(script);
    let is_unknown = |name: &&String| declared.iter().all(|known| known.name != **name);
    let names = options.named.iter().map(|(name, _)| name);
    names
        .filter(is_unknown)
        .map(|name| {
            let message = format!("the script has no parameter `--{name}`");
            let diagnostic = Diagnostic::error(&codes::UNKNOWN_PARAMETER, Span::default(), message);
            let meant = similar(name, declared.iter().map(|known| known.name.as_str()), 3);
            let meant: Vec<_> = meant.iter().map(|name| format!("--{name}")).collect();
            if !meant.is_empty() {
                return did_you_mean(diagnostic, &meant);
            }
            let all: Vec<_> = declared.iter().map(|known| format!("--{}", known.name)).collect();
            diagnostic.help(if all.is_empty() {
                "it takes no named parameters".to_owned()
            } else {
                format!("its named parameters are {}", all.join(", "))
            })
        })
        .collect()
}

fn check(cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Expr> {
    let name = literal_text(cx, call.args[0], "the name of a parameter")?;
    let name = String::from_utf8_lossy(&name).into_owned();
    if let Some(description) = call.args.get(2) {
        literal_text(cx, description, "the description of a parameter")?;
    }
    let default = match call.args.get(1) {
        Some(default) => cx.known_value(default)?,
        None => Expr {
            kind: ExprKind::Const(0),
            ty: Type::Bool,
            span: call.span,
        },
    };
    let Some(given) = cx.named_param(&name) else {
        return Some(Expr {
            span: call.span,
            ..default
        });
    };
    let given = given.map(str::to_owned);
    let value = match (&default.ty, given.as_deref()) {
        (Type::Bool, None) => Ok(1),
        (Type::Bool, Some(text)) => truth(text).ok_or("true or false"),
        (Type::Str(_), Some(text)) => return cx.text(text.as_bytes(), call.span),
        (Type::Str(_), None) => Err("a text"),
        (_, Some(text)) => crate::options::number(text)
            .map(|(n, _)| n)
            .or_else(|| truth(text))
            .ok_or("a number"),
        (_, None) => Err("a number"),
    };
    match value {
        Ok(n) => Some(Expr {
            kind: ExprKind::Const(n),
            ty: default.ty,
            span: call.span,
        }),
        Err(wanted) => {
            let message = match &given {
                Some(text) => format!("`--{name}={text}`: this parameter is {wanted}"),
                None => format!("`--{name}` needs a value: {wanted}"),
            };
            cx.report(
                Diagnostic::error(&codes::BAD_PARAMETER, call.span, message)
                    .help(format!("write `--{name}=…` behind `--` on the command line")),
            )
        }
    }
}

/// A boolean as users write it.
fn truth(text: &str) -> Option<i64> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(1),
        "false" | "0" => Some(0),
        _ => None,
    }
}
