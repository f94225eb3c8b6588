//! Maps: their keys and values.

use super::convert::{as_type, converts};
use super::cx::Cx;
use super::facts::{Fact, KeyFact};
use super::memory::{scaled, step_of};
use super::operators::arith_op;
use super::statements::described;
use crate::aggregation::AggType;
use crate::codes;
use crate::hir::{ArithOp, Expr, ExprKind, StmtKind};
use crate::plan::MapId;
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::{IntType, Type};
use crumbs_grammar::ast::{self, BinaryOp};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// An element of a map.
pub(super) struct Element {
    pub map: MapId,
    pub key: Option<Expr>,
}

impl Cx<'_> {
    /// The map `name` as a whole. It must be assigned somewhere.
    pub fn whole_map(&mut self, name: &str, span: Span) -> Option<MapId> {
        let map = self.mention(name, span);
        self.must_be_assigned(name, span)?;
        Some(map)
    }

    /// What the elements of a map are, where it is known already.
    pub fn map_value_type(&self, map: MapId) -> Option<Type> {
        self.facts.maps[map.0 as usize].value.ty.clone()
    }

    /// What the keys of a map are, where that is known already.
    pub fn map_key_type(&self, map: MapId) -> Option<Type> {
        match &self.facts.maps[map.0 as usize].key {
            KeyFact::Keyed(key) => key.ty.clone(),
            KeyFact::None(_) | KeyFact::Unknown => None,
        }
    }

    /// Whether a map is used without keys.
    pub fn is_keyless(&self, map: MapId) -> bool {
        matches!(self.facts.maps[map.0 as usize].key, KeyFact::None(_))
    }

    /// One more use of a map.
    fn mention(&mut self, name: &str, span: Span) -> MapId {
        let id = self.facts.map(name, span);
        self.facts.maps[id as usize].accesses += 1;
        MapId(id)
    }

    /// What `typeof(@name)` is: the type of the keys, or of the value where there are none; `None` where that is not known
    /// yet.
    pub(super) fn type_of_map(&mut self, name: &str, span: Span) -> Option<Type> {
        let id = self.facts.map(name, span);
        let fact = &self.facts.maps[id as usize];
        match &fact.key {
            KeyFact::Keyed(key) => key.ty.clone(),
            KeyFact::None(_) => match fact.value.ty.clone()? {
                Type::Agg(agg) if agg.aggregation().reduction().is_some() => Some(reduced_type(&agg)),
                ty => Some(ty),
            },
            KeyFact::Unknown => {
                self.must_be_assigned(name, span)?;
                None
            }
        }
    }

    /// Reports a map that nothing in the script is assigned to.
    pub(super) fn must_be_assigned(&mut self, name: &str, span: Span) -> Option<()> {
        let id = self.facts.map(name, span);
        let fact = &self.facts.maps[id as usize];
        if fact.assigned || self.is_inferring() {
            return Some(());
        }
        if self.is_silent() || !self.told.insert((codes::UNDEFINED_MAP.id, name.to_owned())) {
            return None;
        }
        let fact = &self.facts.maps[id as usize];
        let diagnostic = Diagnostic::error(
            &codes::UNDEFINED_MAP,
            span,
            format!("`@{}` is never assigned", fact.name),
        );
        let assigned = self
            .facts
            .maps
            .iter()
            .filter(|map| map.assigned && !map.name.is_empty());
        let names = similar(&fact.name, assigned.map(|map| map.name.as_str()), 3);
        let names: Vec<_> = names.iter().map(|name| format!("@{name}")).collect();
        if names.is_empty() {
            let name = &self.facts.maps[id as usize].name;
            return self
                .report(diagnostic.help(format!("assign it where its value is known: `@{name} = …;`")));
        }
        self.report(did_you_mean(diagnostic, &names))
    }

    /// The element of `name` at `key`, whose type is learnt.
    pub(super) fn element(&mut self, name: &str, span: Span, key: Option<&[ast::Expr]>) -> Option<Element> {
        let key = key.map(|key| self.key(key));
        let map = self.mention(name, span);
        let key = match key {
            None => None,
            Some(key) => Some(key?),
        };
        let flexible = key.as_ref().is_some_and(|key| self.is_flexible(key));
        let fact = &mut self.facts.maps[map.0 as usize];
        let known = match (&mut fact.key, &key) {
            (KeyFact::Unknown, None) => {
                fact.key = KeyFact::None(span);
                self.facts.grew = true;
                return Some(Element { map, key });
            }
            (KeyFact::Unknown, Some(key)) => {
                let mut learnt = Fact::default();
                learnt.absorb(&key.ty, flexible, key.span);
                fact.key = KeyFact::Keyed(learnt);
                self.facts.grew = true;
                None
            }
            (KeyFact::None(_), None) => return Some(Element { map, key }),
            (KeyFact::None(first), Some(_)) => {
                let first = *first;
                return self.keyed_and_not(name, span, first, true);
            }
            (KeyFact::Keyed(fact), None) => {
                let first = fact.span;
                return self.keyed_and_not(name, span, first, false);
            }
            (KeyFact::Keyed(fact), Some(key)) => {
                let grew = fact.absorb(&key.ty, flexible, key.span);
                self.facts.grew |= grew;
                Some(fact.clone())
            }
        };
        if self.is_inferring() {
            return Some(Element { map, key });
        }
        let (known, key) = (known?, key?);
        let to = known.ty.as_ref()?;
        if !converts(&key.ty, to) {
            return self.mismatched_key(name, &key, to, known.span);
        }
        Some(Element {
            map,
            key: Some(as_type(key, to)),
        })
    }

    fn mismatched_key<T>(&mut self, name: &str, key: &Expr, to: &Type, first: Span) -> Option<T> {
        let count = |ty: &Type| match ty {
            Type::Tuple(members) => members.len(),
            _ => 1,
        };
        let keys = |n: usize| {
            if n == 1 {
                "1 key".to_owned()
            } else {
                format!("{n} keys")
            }
        };
        let (here, there) = (count(&key.ty), count(to));
        let (message, label, help) = if here == there {
            let message = format!(
                "the key of `@{name}` is {}, but this is {}",
                described(to),
                described(&key.ty)
            );
            let help = "keys of one map are alike: use another map for these".to_owned();
            (message, format!("{} since here", described(to)), help)
        } else {
            let message = format!("`@{name}` has {} here and {} elsewhere", keys(here), keys(there));
            let help = format!("give it {} everywhere, or use another map", keys(there));
            (message, keys(there), help)
        };
        self.report(
            Diagnostic::error(&codes::MISMATCHED_KEY, key.span, message)
                .also(first, label)
                .help(help),
        )
    }

    fn keyed_and_not<T>(&mut self, name: &str, span: Span, first: Span, keyed: bool) -> Option<T> {
        if self.is_silent() || !self.told.insert((codes::KEYED_AND_NOT.id, name.to_owned())) {
            return None;
        }
        let (here, there) = if keyed {
            ("with a key", "without a key")
        } else {
            ("without a key", "with a key")
        };
        let message = format!("`@{name}` is used {here} here and {there} elsewhere");
        self.report(
            Diagnostic::error(&codes::KEYED_AND_NOT, span, message)
                .label(here.to_owned())
                .also(first, there.to_owned())
                .help("give it a key in every place or in none, or use two maps"),
        )
    }

    /// Several keys are a tuple.
    fn key(&mut self, key: &[ast::Expr]) -> Option<Expr> {
        let members: Vec<_> = key.iter().map(|e| self.value(e)).collect();
        let mut members = members.into_iter().collect::<Option<Vec<_>>>()?;
        if members.len() == 1 {
            return members.pop();
        }
        let span = key.first()?.span.to(key.last()?.span);
        Some(Expr {
            ty: Type::Tuple(members.iter().map(|member| member.ty.clone()).collect()),
            kind: ExprKind::Tuple(members),
            span,
        })
    }

    /// Notes that a map is assigned a value.
    pub(super) fn learn_map(&mut self, map: MapId, ty: &Type, flexible: bool, span: Span) {
        let fact = &mut self.facts.maps[map.0 as usize];
        if self.stage != super::cx::Stage::Build {
            self.facts.grew |= fact.value.absorb(ty, flexible, span);
        }
    }

    /// Notes that a map is assigned to, whatever the value is. Gives the map.
    pub(super) fn mark_assigned(&mut self, name: &str, span: Span) -> MapId {
        if self.program.asked > 0 {
            let message = format!("`@{name}` cannot be assigned where only a type is asked for");
            self.report::<()>(Diagnostic::error(&codes::NOT_ASSIGNABLE, span, message));
        }
        let id = self.facts.map(name, span);
        self.facts.maps[id as usize].assigned = true;
        MapId(id)
    }

    /// `@name[key]` as a value.
    pub(super) fn map_value(&mut self, name: &str, span: Span, key: Option<&[ast::Expr]>) -> Option<Expr> {
        let read = self.element_value(name, span, key);
        self.reported_lookup(read, key.is_some(), span)
    }

    fn element_value(&mut self, name: &str, span: Span, key: Option<&[ast::Expr]>) -> Option<Expr> {
        let element = self.element(name, span, key);
        let id = self.facts.map(name, span);
        self.must_be_assigned(name, span)?;
        let ty = self.facts.maps[id as usize].value.ty.clone();
        let (element, ty) = (element?, ty?);
        if let Type::Agg(agg) = &ty {
            if agg.aggregation().reduction().is_none() {
                let what = agg.aggregation().name();
                return self.report(
                    Diagnostic::error(
                        &codes::READS_AGGREGATION,
                        span,
                        format!("`@{name}` is a {what}(), which is not one number"),
                    )
                    .help(format!("print all of it: `print(@{name})`")),
                );
            }
            let ty = reduced_type(agg);
            return Some(Expr {
                kind: ExprKind::Reduced {
                    map: element.map,
                    key: element.key.map(Box::new),
                },
                ty,
                span,
            });
        }
        Some(Expr {
            kind: ExprKind::MapValue {
                map: element.map,
                key: element.key.map(Box::new),
            },
            ty,
            span,
        })
    }

    /// `@name[key] = value`.
    pub(super) fn set_map(
        &mut self,
        name: &str,
        span: Span,
        key: Option<&[ast::Expr]>,
        value: &ast::Expr,
    ) -> Option<StmtKind> {
        let map = self.mark_assigned(name, span);
        let element = self.element(name, span, key);
        let is_map = matches!(value.kind, ast::ExprKind::Map { .. });
        let value = self.value(value)?;
        // What `@x = @count` is to mean is not guessed: a number only where something else makes `@x` one.
        let is_aggregation = is_map && matches!(value.kind, ExprKind::Reduced { .. });
        if !is_aggregation {
            // Also where nothing is known of the key yet: it may be a value of this very map.
            let flexible = self.is_flexible(&value);
            self.learn_map(map, &value.ty, flexible, value.span);
        }
        if self.is_inferring() {
            return None;
        }
        let element = element?;
        let fact = self.facts.maps[element.map.0 as usize].value.clone();
        if is_aggregation && fact.ty.is_none() {
            let source = self.source_text(value.span);
            let message = format!("`{source}` is an aggregation, which one map cannot take from another");
            return self.report(
                Diagnostic::error(&codes::MIXED_AGGREGATION, value.span, message)
                    .help(format!("its value as a number is `(int64){source}`")),
            );
        }
        let value = self.stored(value, &fact, &format!("@{name}"))?;
        Some(StmtKind::SetMap {
            map: element.map,
            key: element.key,
            value,
        })
    }

    /// `@name[key] op= value`.
    pub(super) fn update_map(
        &mut self,
        name: &str,
        target: Span,
        key: Option<&[ast::Expr]>,
        op: BinaryOp,
        value: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let map = self.mark_assigned(name, target);
        let element = self.element(name, target, key);
        let value = self.value(value)?;
        let op = arith_op(op)?;
        if let (Some(ty @ Type::Ptr(..)), ArithOp::Add | ArithOp::Sub, Type::Int(_)) =
            (&self.facts.maps[map.0 as usize].value.ty, op, &value.ty)
        {
            let step = step_of(ty);
            let Element { map, key } = element?;
            let value = scaled(value, step, span);
            return (!self.is_inferring()).then_some(StmtKind::UpdateMap { map, key, op, value });
        }
        let (Type::Int(_) | Type::Bool | Type::Enum(_)) = value.ty else {
            let message = format!(
                "arithmetic on `@{name}` needs a number, but this is {}",
                described(&value.ty)
            );
            return self.report(Diagnostic::error(&codes::BAD_OPERANDS, value.span, message));
        };
        let (ty, flexible) = updated_type(op, &value, self.is_flexible(&value));
        self.learn_map(map, &Type::Int(ty), flexible, span);
        if self.is_inferring() {
            return None;
        }
        let element = element?;
        self.must_be_number(element.map, target)?;
        let to = self.facts.maps[element.map.0 as usize].value.ty.clone()?;
        Some(StmtKind::UpdateMap {
            map: element.map,
            key: element.key,
            op,
            value: as_type(value, &to),
        })
    }

    /// Reports where a map that is counted in holds something else.
    pub(super) fn must_be_number(&mut self, map: MapId, span: Span) -> Option<()> {
        let fact = &self.facts.maps[map.0 as usize];
        let (name, first) = (fact.name.clone(), fact.value.span);
        let ty = fact.value.ty.clone()?;
        if matches!(ty, Type::Int(_) | Type::Ptr(..)) {
            return Some(());
        }
        let code = if matches!(ty, Type::Agg(_)) {
            &codes::MIXED_AGGREGATION
        } else {
            &codes::MISMATCHED_VALUE
        };
        let message = format!("`@{name}` holds {}, which cannot be counted in", described(&ty));
        self.report(
            Diagnostic::error(code, span, message)
                .also(first, format!("`@{name}` holds {} since here", described(&ty))),
        )
    }
}

/// The type of the number that an aggregation shows.
pub(super) fn reduced_type(agg: &AggType) -> Type {
    // A count is below 2^63, and its users mix it with literals.
    if agg.signed || !agg.aggregation().signature().takes_value {
        Type::I64
    } else {
        Type::U64
    }
}

/// The type that `@x op= value` alone gives `@x`: 64 bits, so that sums of narrow numbers do not overflow.
fn updated_type(op: ArithOp, value: &Expr, flexible: bool) -> (IntType, bool) {
    match (op, &value.ty) {
        (ArithOp::Sub, _) => (IntType::I64, false),
        (ArithOp::Shl | ArithOp::Shr, _) | (_, Type::Bool) => (IntType::I64, true),
        (_, Type::Int(int)) if !int.signed && int.bits == 64 => (IntType::U64, false),
        (_, Type::Int(int)) if !int.signed => (IntType::I64, true),
        _ => (IntType::I64, flexible),
    }
}
