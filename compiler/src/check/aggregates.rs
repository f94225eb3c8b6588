//! Aggregations: `@m[key] = hist(n, k)`.

use super::convert::as_type;
use super::cx::Cx;
use super::statements::{described, truth};
use crate::aggregation::{self, AggId, AggType, Aggregation};
use crate::codes;
use crate::hir::{Expr, Stmt, StmtKind};
use crate::types::Type;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// A call of an aggregation.
pub(super) struct AggCall<'e> {
    id: AggId,
    args: Vec<&'e ast::Expr>,
    span: Span,
}

impl AggCall<'_> {
    fn aggregation(&self) -> &'static dyn Aggregation {
        aggregation::ALL[usize::from(self.id.0)]
    }
}

impl Cx<'_> {
    /// The aggregation that an expression calls, with or without parentheses.
    pub(super) fn as_aggregation<'e>(&self, expr: &'e ast::Expr) -> Option<AggCall<'e>> {
        let (name, args) = match &expr.kind {
            ast::ExprKind::Call { name, args } => (&name.node, args.as_slice()),
            ast::ExprKind::Ident(name) => (name, &[] as &[ast::Arg]),
            _ => return None,
        };
        let id = aggregation::by_name(name)?;
        let args = args.iter().filter_map(|arg| match arg {
            ast::Arg::Expr(expr) => Some(expr),
            ast::Arg::Type(_) => None,
        });
        Some(AggCall {
            id,
            args: args.collect(),
            span: expr.span,
        })
    }

    /// `@name[key] = call`.
    pub(super) fn aggregate(
        &mut self,
        name: &str,
        target: Span,
        key: Option<&[ast::Expr]>,
        call: &AggCall<'_>,
    ) -> Option<StmtKind> {
        let aggregation = call.aggregation();
        if let Some(gate) = aggregation.gate() {
            self.pass_gate(gate, aggregation.name(), call.span)?;
        }
        let map = self.mark_assigned(name, target);
        let element = self.element(name, target, key);
        let (value, params, weight) = self.aggregate_arguments(call)?;
        let signed = matches!(&value, Some(Expr { ty: Type::Int(int), .. }) if int.signed);
        let agg = AggType {
            id: call.id,
            signed,
            params,
        };
        let flexible = value.as_ref().is_some_and(|value| self.is_flexible(value));
        self.learn_map(map, &Type::Agg(agg.clone()), flexible, call.span);
        if self.is_inferring() {
            return None;
        }
        let element = element?;
        let fact = self.facts.maps[element.map.0 as usize].value.clone();
        let known = match fact.ty? {
            Type::Agg(known) if known.id == agg.id && known.params == agg.params => known,
            other => {
                let here = spelled(&agg);
                let there = match &other {
                    Type::Agg(known) => spelled(known),
                    plain => described(plain),
                };
                let message = format!("`@{name}` is {here} here and {there} elsewhere");
                return self.report(
                    Diagnostic::error(&codes::MIXED_AGGREGATION, call.span, message)
                        .label(here)
                        .also(fact.span, there)
                        .help("use a map for each"),
                );
            }
        };
        let ty = if known.signed { Type::I64 } else { Type::U64 };
        Some(StmtKind::Aggregate {
            map: element.map,
            key: element.key,
            value: value.map(|value| as_type(value, &ty)),
            weight: weight.map(|weight| as_type(weight, &Type::U64)),
        })
    }

    /// `@name[key] = { statements; call }`.
    pub(super) fn aggregate_behind(
        &mut self,
        name: &str,
        target: Span,
        key: Option<&[ast::Expr]>,
        block: &ast::Block,
        call: &AggCall<'_>,
    ) -> Option<StmtKind> {
        self.program.open_scope();
        let mut then = self.statements_of(block);
        let kind = self.aggregate(name, target, key, call);
        self.program.close_scope();
        let span = call.span;
        then.push(Stmt { kind: kind?, span });
        Some(StmtKind::If {
            cond: truth(span),
            then,
            otherwise: Vec::new(),
        })
    }

    /// The value, if the aggregation takes one, the parameters, and the weight if there is one.
    fn aggregate_arguments(&mut self, call: &AggCall<'_>) -> Option<Arguments> {
        let aggregation = call.aggregation();
        let signature = aggregation.signature();
        let values = usize::from(signature.takes_value);
        let required = signature
            .params
            .iter()
            .filter(|(_, default)| default.is_none())
            .count();
        let literals = signature.params.len();
        let all = values + literals + usize::from(signature.choice.is_some());
        let (min, max) = (values + required, all + usize::from(signature.takes_weight));
        if !(min..=max).contains(&call.args.len()) {
            let syntax = syntax(aggregation);
            return self.argument_count(aggregation.name(), &syntax, min, max, call.args.len(), call.span);
        }
        let (args, weight) = call.args.split_at(all.min(call.args.len()));
        let (value, params) = args.split_at(values);
        let (params, given) = params.split_at(literals.min(params.len()));
        let weight = weight.first().map(|weight| self.aggregated(aggregation, weight));
        let value = value.first().map(|value| self.aggregated(aggregation, value));
        let mut numbers = Vec::with_capacity(signature.params.len());
        for (i, (name, default)) in signature.params.iter().enumerate() {
            numbers.push(match params.get(i) {
                Some(param) => self.literal_number(param, &format!("`{name}` of `{}`", aggregation.name())),
                None => *default,
            });
        }
        let known = |expr: Option<Option<Expr>>| match expr {
            Some(expr) => expr.map(Some),
            None => Some(None),
        };
        if let Some(choice) = signature.choice {
            numbers.push(self.one_of(aggregation, choice, given.first().copied()));
        }
        let (value, weight) = (known(value)?, known(weight)?);
        let numbers = numbers.into_iter().collect::<Option<Vec<_>>>()?;
        if let Err(message) = aggregation.check_params(&numbers) {
            let span = match params {
                [first, .., last] => first.span.to(last.span),
                [only] => only.span,
                [] => call.span,
            };
            return self.report(
                Diagnostic::error(&codes::BAD_AGGREGATION_PARAMETER, span, message)
                    .help(format!("its form: {}", syntax(aggregation))),
            );
        }
        Some((value, numbers, weight))
    }

    /// The index of the string given among those that there are.
    fn one_of(
        &mut self,
        aggregation: &'static dyn Aggregation,
        (name, choices): (&str, &[&str]),
        given: Option<&ast::Expr>,
    ) -> Option<i64> {
        let Some(given) = given else { return Some(0) };
        if let ast::ExprKind::Str(text) = &given.kind
            && let Some(index) = choices.iter().position(|choice| text == choice.as_bytes())
        {
            return Some(index as i64);
        }
        let choices: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
        let message = format!(
            "`{name}` of `{}` must be one of {}",
            aggregation.name(),
            choices.join(", ")
        );
        self.report(Diagnostic::error(
            &codes::BAD_AGGREGATION_PARAMETER,
            given.span,
            message,
        ))
    }

    fn aggregated(&mut self, aggregation: &'static dyn Aggregation, value: &ast::Expr) -> Option<Expr> {
        let value = self.value(value)?;
        match value.ty {
            Type::Int(_) => Some(value),
            Type::Bool => Some(as_type(value, &Type::I64)),
            _ => {
                let message = format!(
                    "`{}` aggregates numbers, and this is {}",
                    aggregation.name(),
                    described(&value.ty)
                );
                self.report(Diagnostic::error(&codes::ARGUMENT_TYPE, value.span, message))
            }
        }
    }
}

/// Value, parameters and weight.
type Arguments = (Option<Expr>, Vec<i64>, Option<Expr>);

/// How an aggregation is called.
fn syntax(aggregation: &dyn Aggregation) -> String {
    let signature = aggregation.signature();
    let mut args: Vec<String> = Vec::new();
    if signature.takes_value {
        args.push("n".to_owned());
    }
    args.extend(signature.params.iter().map(|(name, default)| match default {
        Some(default) => format!("{name} = {default}"),
        None => (*name).to_owned(),
    }));
    args.extend(
        signature
            .choice
            .map(|(name, choices)| format!("{name} = \"{}\"", choices[0])),
    );
    args.extend(signature.takes_weight.then(|| "weight = 1".to_owned()));
    format!("{}({})", aggregation.name(), args.join(", "))
}

/// An aggregation with its parameters, in a message.
fn spelled(agg: &AggType) -> String {
    let aggregation = agg.aggregation();
    let mut args: Vec<String> = Vec::new();
    if aggregation.signature().takes_value {
        args.push("…".to_owned());
    }
    let signature = aggregation.signature();
    args.extend(agg.params.iter().take(signature.params.len()).map(i64::to_string));
    if let (Some((_, choices)), Some(chosen)) = (signature.choice, agg.params.last()) {
        let chosen = usize::try_from(*chosen)
            .ok()
            .and_then(|chosen| choices.get(chosen));
        args.extend(chosen.map(|chosen| format!("\"{chosen}\"")));
    }
    format!("{}({})", aggregation.name(), args.join(", "))
}
