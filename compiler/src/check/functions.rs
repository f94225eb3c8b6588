//! Functions of the script: a call runs the function's body in its place.
//!
//! Each call is checked on its own, with variables of its own; a mistake in the body is told once. The body sees the
//! parameters and what the calling program sees, but none of its variables.

use super::cx::Cx;
use super::statements::described;
use crate::codes;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind, VarId};
use crate::types::Type;
use crumbs_grammar::ast::{self, TypeExprKind};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;
use std::collections::HashMap;

/// The most calls in one program, those within functions counted for each call of them.
const MAX_CALLS: u32 = 2000;

/// The functions of a script, by name.
pub(super) fn functions<'a>(
    script: &'a ast::Script,
    diagnostics: &mut Vec<Diagnostic>,
) -> HashMap<&'a str, &'a ast::Function> {
    let mut functions: HashMap<&str, &ast::Function> = HashMap::new();
    for item in &script.items {
        let ast::Item::Function(function) = item else {
            continue;
        };
        match functions.get(function.name.node.as_str()) {
            Some(first) => {
                let message = format!("there are two functions `{}`", function.name.node);
                diagnostics.push(
                    Diagnostic::error(&codes::BAD_FUNCTION, function.name.span, message)
                        .also(first.name.span, "the first one"),
                );
            }
            None => {
                functions.insert(&function.name.node, function);
            }
        }
    }
    functions
}

/// The call that is being read.
#[derive(Clone, Debug)]
pub(super) struct CallCx {
    name: String,
    /// What it returns; `None` where it returns nothing.
    result: Option<VarId>,
}

impl Cx<'_> {
    /// A call of a function of the script.
    pub(super) fn call_own(
        &mut self,
        function: &ast::Function,
        args: &[ast::Arg],
        span: Span,
    ) -> Option<Expr> {
        let name = &function.name.node;
        if self.program.calls.iter().any(|call| call.name == *name) {
            let message = format!("`{name}` calls itself, and a probe cannot run without end");
            return self.report(
                Diagnostic::error(&codes::BAD_FUNCTION, span, message)
                    .also(function.name.span, "defined here")
                    .help("use a loop"),
            );
        }
        self.program.called += 1;
        if self.program.called > MAX_CALLS {
            let message = format!("more than {MAX_CALLS} calls of functions in one probe");
            return self.report(Diagnostic::error(&codes::BAD_FUNCTION, span, message));
        }
        let values = self.own_arguments(function, args, span)?;
        let first = self.program.vars.len() as u32;
        let visible = self.program.hide_variables();
        let nesting = self.program.nesting;
        self.program.nesting = nesting.called();
        self.program.open_scope();
        let mut body = Vec::new();
        // The type of a parameter can be said by any other: `typeof($other)`.
        let params: Vec<_> = function
            .params
            .iter()
            .map(|(param, ty)| (self.parameter(&param.node, param.span), param.span, ty))
            .collect();
        for ((var, at, ty), value) in params.into_iter().zip(values) {
            let ty = taken_type(self.resolve_type(ty), value.as_ref());
            self.declare_type(var, ty, at);
            if let Some(value) = value {
                let at = value.span;
                let kind = self.set_var(var, value);
                body.extend(kind.map(|kind| Stmt { kind, span: at }));
            }
        }
        let result = function.result.as_ref().filter(|ty| !is_void(ty));
        // No script can name it.
        let result = result.map(|ty| {
            let var = self.parameter("return", ty.span);
            let declared = self.resolve_type(ty);
            self.declare_type(var, declared, ty.span);
            var
        });
        self.program.calls.push(CallCx {
            name: name.clone(),
            result,
        });
        body.extend(self.block(&function.body));
        self.program.calls.pop();
        self.program.close_scope();
        self.program.show_variables(visible);
        self.program.nesting = nesting;
        let locals = self.locals(first);
        let (value, ty) = match result {
            Some(var) => {
                let ty = self.var_fact(var).value.ty.clone()?;
                (ExprKind::Var(var), ty)
            }
            None => (ExprKind::Const(0), Type::Void),
        };
        let value = Box::new(Expr {
            kind: value,
            ty: ty.clone(),
            span,
        });
        let kind = ExprKind::Inlined {
            name: name.clone(),
            body,
            locals,
            value,
        };
        Some(Expr { kind, ty, span })
    }

    /// As many values as the function takes.
    fn own_arguments(
        &mut self,
        function: &ast::Function,
        args: &[ast::Arg],
        span: Span,
    ) -> Option<Vec<Option<Expr>>> {
        let value = |arg: &ast::Arg| match arg {
            ast::Arg::Expr(arg) => self.value(arg),
            ast::Arg::Type(ty) => self.report(Diagnostic::error(
                &codes::BAD_FUNCTION,
                ty.span,
                "a type is no value to call a function with",
            )),
        };
        let values: Vec<Option<Expr>> = args.iter().map(value).collect();
        let wanted = function.params.len();
        if args.len() == wanted {
            return Some(values);
        }
        let message = format!(
            "`{}` takes {wanted} argument{} and gets {}",
            function.name.node,
            if wanted == 1 { "" } else { "s" },
            args.len()
        );
        self.report(
            Diagnostic::error(&codes::BAD_FUNCTION, span, message).also(function.name.span, "defined here"),
        )
    }

    /// A variable that always counts as assigned.
    fn parameter(&mut self, name: &str, span: Span) -> VarId {
        let var = self.declare(name, span);
        self.var_fact(var).assigned = true;
        var
    }

    /// `return [value]`.
    pub(super) fn return_statement(
        &mut self,
        value: Option<&ast::Expr>,
        span: Span,
        out: &mut Vec<Stmt>,
    ) -> Option<StmtKind> {
        self.ends += 1;
        let checked = value.map(|value| self.value(value));
        let Some(call) = self.program.calls.last().cloned() else {
            // What a probe returns means nothing to the kernel.
            if let Some(Some(value)) = checked {
                if !matches!(value.ty, Type::Int(_) | Type::Bool | Type::Enum(_)) {
                    let message = format!("a probe returns a number, and this is {}", described(&value.ty));
                    return self.report(Diagnostic::error(&codes::BAD_FUNCTION, value.span, message));
                }
                if crate::visit::has_effects(&value) {
                    let kind = StmtKind::Eval(value);
                    out.push(Stmt { kind, span });
                }
            }
            return Some(StmtKind::Return);
        };
        match (call.result, checked) {
            (Some(result), Some(value)) => {
                let kind = self.set_var(result, value?)?;
                out.push(Stmt { kind, span });
            }
            (None, None) => {}
            (Some(_), None) => {
                let message = format!("`{}` returns a value, and here is none", call.name);
                return self.report(Diagnostic::error(&codes::BAD_FUNCTION, span, message));
            }
            (None, Some(_)) => {
                let message = format!("`{}` returns nothing, and here is a value", call.name);
                return self.report(
                    Diagnostic::error(&codes::BAD_FUNCTION, span, message)
                        .help("say what it returns: `fn name(…) : int64 { … }`"),
                );
            }
        }
        Some(StmtKind::Leave)
    }
}

fn is_void(ty: &ast::TypeExpr) -> bool {
    matches!(&ty.kind, TypeExprKind::Name(name) if name == "void")
}

/// The type of a parameter that gets a value: what a pointer points into stays, as in a cast.
fn taken_type(declared: Option<Type>, value: Option<&Expr>) -> Option<Type> {
    match (declared, value.map(|value| &value.ty)) {
        (Some(Type::Ptr(to, _)), Some(Type::Ptr(_, space))) => Some(Type::Ptr(to, *space)),
        (declared, _) => declared,
    }
}
