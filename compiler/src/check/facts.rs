//! What is known of the types of maps and variables while the whole script is read again and again.
//!
//! A fact starts unknown and only grows, along this order: unknown; then a class (number, text, tuple, address, name,
//! aggregation) that the first assignment fixes; within numbers by width and sign, within text by capacity, within
//! tuples member by member. So reading the script until nothing grows comes to an end, and the result does not depend on
//! where in the script a place is assigned.
//!
//! **Numbers.** Literals are int64, but a literal that is not negative takes on the sign of what it meets: such a type
//! is called *flexible*. Two signed or two unsigned numbers give the wider; a signed and an unsigned one the narrowest
//! signed type that holds both, and int64 where none does (uint64 with anything signed).

use super::natural::Natural;
use crate::merging::KnownMap;
use crate::types::{IntType, Space, Type};
use crumbs_grammar::span::Span;
use std::collections::HashMap;

/// What is known of a place's type.
#[derive(Clone, Debug, Default)]
pub(super) struct Fact {
    /// The type so far.
    pub ty: Option<Type>,
    /// Whether all that made it a signed number were literals that are not negative.
    pub flexible: bool,
    /// Where it was first known.
    pub span: Span,
    /// Whether the script declares the type: it does not grow then.
    pub fixed: bool,
}

impl Fact {
    /// Learns that the place also holds a `ty`. Gives whether that is news. What cannot be held together is left to
    /// the final reading to report.
    pub(super) fn absorb(&mut self, ty: &Type, flexible: bool, span: Span) -> bool {
        if self.fixed {
            return false;
        }
        let Some(known) = &self.ty else {
            (self.ty, self.flexible, self.span) = (Some(ty.clone()), flexible, span);
            return true;
        };
        if known == ty && self.flexible <= flexible {
            return false;
        }
        let Some((joined, flexible)) = join(known, self.flexible, ty, flexible) else {
            return false;
        };
        let grew = joined != *known || flexible != self.flexible;
        (self.ty, self.flexible) = (Some(joined), flexible);
        grew
    }
}

/// How a map is keyed.
#[derive(Clone, Debug, Default)]
pub(super) enum KeyFact {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It is used without a key, first here.
    None(Span),
    /// It is used with keys of this type.
    Keyed(Fact),
}

/// What is known of a map.
#[derive(Clone, Debug, Default)]
pub(super) struct MapFact {
    pub name: String,
    /// Its first use.
    pub span: Span,
    pub key: KeyFact,
    pub value: Fact,
    /// Whether anything is ever assigned to it.
    pub assigned: bool,
    pub deleted_from: bool,
    pub cleared: bool,
    pub measured: bool,
    /// How often it has been accessed by what was read so far.
    pub accesses: u64,
}

/// What is known of a variable.
#[derive(Clone, Debug, Default)]
pub(super) struct VarFact {
    pub value: Fact,
    /// What `sizeof` takes it for, where that is less.
    pub natural: Natural,
    /// Whether anything is ever assigned to it.
    pub assigned: bool,
}

/// Variables that are declared before a program's first statement.
#[derive(Debug, Default)]
pub(super) struct Hoisted {
    /// Their names, in the order of their numbers, and where each is used that it would not be visible.
    pub vars: Vec<(String, Span)>,
    /// How many there were when the program was last read.
    pub read: usize,
}

/// All facts of a script.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// In order of first use.
    pub maps: Vec<MapFact>,
    ids: HashMap<String, u32>,
    /// The variables of each program, in the order of their declarations.
    pub vars: Vec<Vec<VarFact>>,
    /// The variables of each program that live as long as it, because they are used behind the block that assigns them
    /// first, with the place of that use.
    pub hoisted: HashMap<usize, Hoisted>,
    /// Whether anything was learned since this was last reset.
    pub grew: bool,
}

impl Facts {
    /// The number of the map `name`, which is new if this is its first use.
    pub(super) fn map(&mut self, name: &str, span: Span) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = self.maps.len() as u32;
        self.ids.insert(name.to_owned(), id);
        self.maps.push(MapFact {
            name: name.to_owned(),
            span,
            ..MapFact::default()
        });
        id
    }

    /// Learns what maps hold that other programs have filled.
    pub(super) fn know(&mut self, maps: &[KnownMap]) {
        let fact = |ty: &Type| Fact {
            ty: Some(ty.clone()),
            ..Fact::default()
        };
        for known in maps {
            let id = self.map(&known.name, Span::default());
            let map = &mut self.maps[id as usize];
            map.key = match &known.key {
                Some(key) => KeyFact::Keyed(fact(key)),
                None => KeyFact::None(Span::default()),
            };
            map.value = fact(&known.value);
            map.assigned = true;
        }
    }
}

/// The least type that holds both, and whether it is flexible; `None` where they are of different classes.
pub(super) fn join(a: &Type, a_flexible: bool, b: &Type, b_flexible: bool) -> Option<(Type, bool)> {
    Some(match (a, b) {
        (Type::Int(a), Type::Int(b)) => {
            let (int, flexible) = join_int(*a, a_flexible, *b, b_flexible);
            (Type::Int(int), flexible)
        }
        (Type::Bool, Type::Int(int)) => (Type::Int(*int), b_flexible),
        (Type::Int(int), Type::Bool) => (Type::Int(*int), a_flexible),
        (Type::Str(a), Type::Str(b)) => (Type::Str(*a.max(b)), false),
        (Type::Buffer(a), Type::Buffer(b)) => (Type::Buffer(*a.max(b)), false),
        (Type::Tuple(a), Type::Tuple(b)) if a.len() == b.len() => {
            let members = a.iter().zip(b).map(|(a, b)| Some(join(a, false, b, false)?.0));
            (Type::Tuple(members.collect::<Option<_>>()?), false)
        }
        (Type::Record(a), Type::Record(b)) if a.len() == b.len() => {
            let members = a.iter().map(|(name, a)| {
                let (_, b) = b.iter().find(|(other, _)| other == name)?;
                Some((name.clone(), join(a, false, b, false)?.0))
            });
            (Type::Record(members.collect::<Option<_>>()?), false)
        }
        (Type::Ptr(a, _), Type::Ptr(b, _)) if are_distinct(a, b) => return None,
        (Type::Ptr(to_a, a), Type::Ptr(to_b, b)) => {
            // A variable whose address is taken may still grow: so does what its address points to.
            let to = join(to_a, false, to_b, false).map_or(Type::Void, |(to, _)| to);
            let to = Box::new(to);
            let space = if a == b { *a } else { Space::Kernel };
            (Type::Ptr(to, space), false)
        }
        (Type::Enum(a), Type::Enum(b)) if a != b => {
            let (int, flexible) = join_int(a.int, false, b.int, false);
            (Type::Int(int), flexible)
        }
        (Type::Enum(a), Type::Int(_) | Type::Bool) => return join(&Type::Int(a.int), false, b, b_flexible),
        (Type::Int(_) | Type::Bool, Type::Enum(b)) => return join(a, a_flexible, &Type::Int(b.int), false),
        (Type::Agg(a), Type::Agg(b)) if a.id == b.id && a.params == b.params => {
            let mut agg = a.clone();
            // Signed wins, unless only literals made it so.
            agg.signed = match (a.signed, b.signed) {
                (true, false) => !a_flexible,
                (false, true) => !b_flexible,
                (signed, _) => signed,
            };
            (Type::Agg(agg), a_flexible && b_flexible)
        }
        _ if a == b => (a.clone(), false),
        _ => return None,
    })
}

/// Whether two types are structs of different names. The same struct can be known from several sources.
pub(super) fn are_distinct(a: &Type, b: &Type) -> bool {
    matches!((a, b), (Type::Struct(a), Type::Struct(b)) if a.name != b.name)
}

/// [`join`] of numbers.
pub(super) fn join_int(a: IntType, a_flexible: bool, b: IntType, b_flexible: bool) -> (IntType, bool) {
    if a.signed == b.signed {
        let bits = a.bits.max(b.bits);
        return (
            IntType {
                bits,
                signed: a.signed,
            },
            a.signed && a_flexible && b_flexible,
        );
    }
    let (signed, flexible, unsigned) = if a.signed {
        (a, a_flexible, b)
    } else {
        (b, b_flexible, a)
    };
    if signed.bits > unsigned.bits {
        (signed, flexible)
    } else if unsigned.bits < 64 {
        (
            IntType {
                bits: unsigned.bits * 2,
                signed: true,
            },
            false,
        )
    } else if flexible {
        (IntType::U64, false)
    } else {
        (IntType::I64, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I32: Type = Type::Int(IntType {
        bits: 32,
        signed: true,
    });

    fn joined(a: &Type, a_flexible: bool, b: &Type, b_flexible: bool) -> Option<Type> {
        let one = join(a, a_flexible, b, b_flexible);
        assert_eq!(
            one,
            join(b, b_flexible, a, a_flexible),
            "the order decides nothing"
        );
        one.map(|(ty, _)| ty)
    }

    #[test]
    fn numbers() {
        assert_eq!(joined(&Type::U32, false, &I32, false), Some(Type::I64));
        assert_eq!(joined(&Type::U64, false, &Type::I64, true), Some(Type::U64));
        assert_eq!(joined(&Type::U64, false, &Type::I64, false), Some(Type::I64));
        assert_eq!(joined(&Type::U32, false, &Type::I64, true), Some(Type::I64));
        assert_eq!(joined(&Type::U64, false, &I32, false), Some(Type::I64));
        assert_eq!(joined(&Type::Bool, false, &Type::I64, true), Some(Type::I64));
        assert_eq!(join(&Type::I64, true, &Type::U32, false), Some((Type::I64, true)));
    }

    #[test]
    fn text_tuples_and_addresses() {
        let pair = |a: &Type, b: &Type| Type::Tuple(vec![a.clone(), b.clone()]);
        assert_eq!(
            joined(&Type::Str(4), false, &Type::Str(9), false),
            Some(Type::Str(9))
        );
        assert_eq!(
            joined(
                &pair(&Type::U32, &Type::Str(4)),
                false,
                &pair(&Type::U64, &Type::Str(2)),
                false
            ),
            Some(pair(&Type::U64, &Type::Str(4)))
        );
        let char_type = Type::Int(IntType {
            bits: 8,
            signed: true,
        });
        let text = Type::Ptr(Box::new(char_type), Space::User);
        let any = Type::Ptr(Box::new(Type::Void), Space::User);
        assert_eq!(joined(&text, false, &text, false), Some(text.clone()));
        assert_eq!(joined(&text, false, &any, false), Some(any));
    }

    #[test]
    fn classes_do_not_mix() {
        let pair = Type::Tuple(vec![Type::I64, Type::I64]);
        for (a, b) in [
            (Type::I64, Type::Str(4)),
            (pair.clone(), Type::I64),
            (pair, Type::Tuple(vec![Type::I64])),
        ] {
            assert_eq!(joined(&a, false, &b, false), None, "{a} {b}");
        }
    }

    #[test]
    fn facts_settle() {
        let mut fact = Fact::default();
        assert!(fact.absorb(&Type::I64, true, Span::new(1, 2)));
        assert!(!fact.absorb(&Type::I64, true, Span::new(3, 4)));
        assert!(fact.absorb(&Type::U64, false, Span::new(5, 6)));
        assert!(!fact.absorb(&Type::I64, true, Span::new(3, 4)));
        assert!(!fact.absorb(&Type::Str(3), false, Span::new(7, 8)));
        assert!(fact.absorb(&Type::I64, false, Span::new(7, 8)));
        assert!(!fact.absorb(&Type::U64, false, Span::new(5, 6)));
        assert_eq!((fact.ty, fact.span), (Some(Type::I64), Span::new(1, 2)));
    }
}
