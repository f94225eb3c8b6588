//! Constant expressions, with C's types and conversions: what array lengths, enum constants, `#if` and macros are.

use super::Mistake;
use super::ctype::{Body, CHAR, CType, Layout};
use super::lexer::{Kind, Token};
use super::parse::{Outcome, Parser};
use crate::types::IntType;

/// An integer: `bits` are its bit pattern, extended to 64 bits by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub bits: i64,
    pub ty: IntType,
}

const INT: IntType = IntType {
    bits: 32,
    signed: true,
};

impl Value {
    fn new(bits: i64, ty: IntType) -> Self {
        Self {
            bits: ty.wrap(bits),
            ty,
        }
    }

    fn int(bits: impl Into<i64>) -> Self {
        Self::new(bits.into(), INT)
    }

    /// Integer promotion: what is smaller than an `int` is one.
    fn promoted(self) -> Self {
        if self.ty.bits < 32 {
            Self::new(self.bits, INT)
        } else {
            self
        }
    }

    /// The type that both operands of an operator are converted to.
    fn common(self, other: Self) -> IntType {
        let (a, b) = (self.promoted().ty, other.promoted().ty);
        let bits = a.bits.max(b.bits);
        let is_unsigned = |ty: IntType| ty.bits == bits && !ty.signed;
        IntType {
            bits,
            signed: !is_unsigned(a) && !is_unsigned(b),
        }
    }
}

/// Operators by how tightly they bind, loosest first; `?:` is looser.
static LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<", ">", "<=", ">="],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser<'_> {
    /// A constant expression, as a number.
    pub(super) fn constant(&mut self) -> Outcome<i64> {
        self.value().map(|value| value.bits)
    }

    /// The whole text as the expression of an `#if`.
    pub(super) fn condition(&mut self) -> Outcome<i64> {
        self.in_condition = true;
        let value = self.value()?;
        match self.peek() {
            None => Ok(value.bits),
            Some(_) => Err(self.unexpected("the end of the line")),
        }
    }

    /// A constant expression.
    pub(super) fn value(&mut self) -> Outcome<Value> {
        self.enter()?;
        let condition = self.binary(0)?;
        let mut value = condition;
        if self.eat("?") {
            let then = self.value()?;
            self.expect(":", "behind the first choice")?;
            let otherwise = self.value()?;
            let chosen = if condition.bits != 0 { then } else { otherwise };
            value = Value::new(chosen.bits, then.common(otherwise));
        }
        self.leave();
        Ok(value)
    }

    fn binary(&mut self, level: usize) -> Outcome<Value> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(&operator) = operators.iter().find(|operator| self.is(operator)) {
            let at = self.at;
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = self.apply(operator, left, right, at)?;
        }
        Ok(left)
    }

    fn apply(&self, operator: &str, left: Value, right: Value, at: usize) -> Outcome<Value> {
        let common = left.common(right);
        let (a, b) = (common.wrap(left.bits), common.wrap(right.bits));
        let (ua, ub) = (a as u64, b as u64);
        let of = |bits: i64| Value::new(bits, common);
        let less = if common.signed { a < b } else { ua < ub };
        Ok(match operator {
            "||" => Value::int(left.bits != 0 || right.bits != 0),
            "&&" => Value::int(left.bits != 0 && right.bits != 0),
            "|" => of(a | b),
            "^" => of(a ^ b),
            "&" => of(a & b),
            "==" => Value::int(a == b),
            "!=" => Value::int(a != b),
            "<" => Value::int(less),
            ">=" => Value::int(!less),
            "<=" => Value::int(less || a == b),
            ">" => Value::int(!less && a != b),
            "+" => of(a.wrapping_add(b)),
            "-" => of(a.wrapping_sub(b)),
            "*" => of(a.wrapping_mul(b)),
            "<<" | ">>" => {
                let left = left.promoted();
                // What C leaves undefined is masked, as the machine does.
                let by = right.bits as u32 & (u32::from(left.ty.bits) - 1);
                let bits = match (operator, left.ty.signed) {
                    ("<<", _) => left.bits.wrapping_shl(by),
                    (_, true) => left.bits >> by,
                    (_, false) => ((left.bits as u64 & mask(left.ty)) >> by) as i64,
                };
                Value::new(bits, left.ty)
            }
            _ if b == 0 && self.in_condition => Value::int(false),
            _ if b == 0 => {
                let place = self.tokens.get(at).map_or(self.place(), |token| token.place);
                return Err(Mistake::new(place, "this divides by 0"));
            }
            "/" if common.signed => of(a.wrapping_div(b)),
            "/" => of((ua & mask(common)).wrapping_div(ub & mask(common)) as i64),
            _ if common.signed => of(a.wrapping_rem(b)),
            _ => of((ua & mask(common)).wrapping_rem(ub & mask(common)) as i64),
        })
    }

    fn unary(&mut self) -> Outcome<Value> {
        self.enter()?;
        let value = self.unary_here();
        self.leave();
        value
    }

    fn unary_here(&mut self) -> Outcome<Value> {
        for operator in ["-", "+", "~", "!"] {
            if self.eat(operator) {
                let value = self.unary()?.promoted();
                return Ok(match operator {
                    "-" => Value::new(value.bits.wrapping_neg(), value.ty),
                    "~" => Value::new(!value.bits, value.ty),
                    "!" => Value::int(value.bits == 0),
                    _ => value,
                });
            }
        }
        if self.eat("(") {
            if !self.in_condition && self.at_type() {
                return self.cast();
            }
            let value = self.value()?;
            self.expect(")", "behind the expression")?;
            return Ok(value);
        }
        self.operand()
    }

    /// Behind the `(` of a cast.
    fn cast(&mut self) -> Outcome<Value> {
        let place = self.place();
        let ty = self.type_name()?;
        self.expect(")", "behind the type")?;
        let value = self.unary()?;
        let int = match &ty {
            CType::Int(int) => *int,
            CType::Char => CHAR,
            CType::Bool => return Ok(Value::int(value.bits != 0)),
            CType::Pointer(..) => IntType::U64,
            CType::Tag(tag) => match &self.tables.tags[*tag].body {
                Body::Enum(of) => of.int,
                _ => return Err(Mistake::new(place, "a number cannot be cast to this")),
            },
            CType::Known(crate::types::Type::Int(int), _) => *int,
            _ => return Err(Mistake::new(place, "a number cannot be cast to this")),
        };
        Ok(Value::new(value.bits, int))
    }

    fn operand(&mut self) -> Outcome<Value> {
        let Some(token) = self.peek() else {
            return Err(self.unexpected("a number"));
        };
        match &token.kind {
            Kind::Int {
                value,
                unsigned,
                long,
                decimal,
            } => {
                self.at += 1;
                Ok(literal(*value, *unsigned, *long || self.in_condition, *decimal))
            }
            Kind::Char(value) => {
                self.at += 1;
                Ok(Value::new(*value, INT))
            }
            Kind::Ident(name) => {
                self.at += 1;
                self.named(name, token)
            }
            _ => Err(self.unexpected("a number")),
        }
    }

    fn named(&mut self, name: &str, token: &Token) -> Outcome<Value> {
        match name {
            "true" => return Ok(Value::int(true)),
            "false" | "NULL" => return Ok(Value::int(false)),
            _ if self.in_condition => {
                if self.is("(") {
                    let message = format!("the macro `{name}` is not known");
                    return Err(Mistake::new(token.place, message));
                }
                return Ok(Value::new(0, IntType::I64));
            }
            "sizeof" | "_Alignof" | "__alignof__" | "alignof" => return self.size(name),
            "offsetof" | "__builtin_offsetof" => return self.offset(),
            _ => {}
        }
        if let Some(&(tag, value)) = self.tables.constants.get(name) {
            let int = match &self.tables.tags[tag].body {
                Body::Enum(of) => of.int,
                _ if i64::from(value as i32) == value => INT,
                _ => IntType::I64,
            };
            return Ok(Value::new(value, int));
        }
        match self.outside.constant(name) {
            Some(value) if i64::from(value as i32) == value => Ok(Value::new(value, INT)),
            Some(value) => Ok(Value::new(value, IntType::I64)),
            None => {
                let message = format!("there is no constant `{name}`");
                Err(Mistake::new(token.place, message).help(self.outside.where_types_come_from()))
            }
        }
    }

    /// `sizeof(type)`.
    fn size(&mut self, name: &str) -> Outcome<Value> {
        self.expect("(", &format!("behind `{name}`"))?;
        let place = self.place();
        let ty = self.type_name()?;
        self.expect(")", "behind the type")?;
        let Some(size) = self.size_of(&ty) else {
            return Err(self.incomplete(&ty, place));
        };
        let bits = if name == "sizeof" {
            size.bytes
        } else {
            size.align.into()
        };
        Ok(Value::new(bits as i64, IntType::U64))
    }

    /// `offsetof(type, member)`.
    fn offset(&mut self) -> Outcome<Value> {
        self.expect("(", "behind `offsetof`")?;
        let place = self.place();
        let ty = self.type_name()?;
        self.expect(",", "behind the type")?;
        let member = self.word().ok_or_else(|| self.unexpected("a member"))?;
        self.at += 1;
        self.expect(")", "behind the member")?;
        let layout = match &ty {
            CType::Tag(tag) => match &self.tables.tags[*tag].body {
                Body::Struct(layout) => Some(layout),
                _ => None,
            },
            _ => None,
        };
        let offset = layout.and_then(|layout| self.member_offset(layout, member, 0));
        match offset {
            Some(bits) => Ok(Value::new((bits / 8) as i64, IntType::U64)),
            None => Err(Mistake::new(place, format!("this has no member `{member}`"))),
        }
    }

    /// Where a member is, in bits; members of unnamed members count as the struct's own.
    fn member_offset(&self, layout: &Layout, name: &str, depth: u32) -> Option<u64> {
        layout.members.iter().find_map(|member| {
            if member.name == name {
                return Some(member.offset);
            }
            let CType::Tag(tag) = member.ty else {
                return None;
            };
            match &self.tables.tags[tag].body {
                Body::Struct(inner) if member.name.is_empty() && depth < 64 => {
                    Some(member.offset + self.member_offset(inner, name, depth + 1)?)
                }
                _ => None,
            }
        })
    }
}

/// All ones in as many bits as the type has.
fn mask(ty: IntType) -> u64 {
    u64::MAX >> (64 - u32::from(ty.bits))
}

/// A literal has the first type of C's list that holds it.
fn literal(value: u64, unsigned: bool, long: bool, decimal: bool) -> Value {
    let int = |bits: u8, signed: bool| IntType { bits, signed };
    let candidates = [int(32, true), int(32, false), int(64, true), int(64, false)];
    let fits = |ty: &IntType| {
        let max = mask(*ty) >> u32::from(ty.signed);
        value <= max
            && (!unsigned || !ty.signed)
            && (!long || ty.bits == 64)
            && (!decimal || unsigned || ty.signed)
    };
    let ty = candidates.into_iter().find(fits).unwrap_or(IntType::U64);
    Value::new(value as i64, ty)
}
