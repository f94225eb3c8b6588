//! Operators: the types they take and give. The rules are in the page of [`super`].

use super::convert::{as_type, const_value, converts};
use super::cx::Cx;
use super::facts::{join, join_int};
use super::memory::step_of;
use super::places::Naming;
use super::statements::described;
use crate::codes;
use crate::hir::{ArithOp, CompareOp, Expr, ExprKind, Place, Stmt, UnaryOp, VarId};
use crate::types::{IntType, NameTable, Type};
use crumbs_grammar::ast::{self, BinaryOp};
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// The arithmetic of an operator, if it has one.
pub(super) fn arith_op(op: BinaryOp) -> Option<ArithOp> {
    Some(match op {
        BinaryOp::Mul => ArithOp::Mul,
        BinaryOp::Div => ArithOp::Div,
        BinaryOp::Mod => ArithOp::Mod,
        BinaryOp::Add => ArithOp::Add,
        BinaryOp::Sub => ArithOp::Sub,
        BinaryOp::Shl => ArithOp::Shl,
        BinaryOp::Shr => ArithOp::Shr,
        BinaryOp::BitAnd => ArithOp::And,
        BinaryOp::BitXor => ArithOp::Xor,
        BinaryOp::BitOr => ArithOp::Or,
        _ => return None,
    })
}

fn compare_op(op: BinaryOp) -> Option<CompareOp> {
    Some(match op {
        BinaryOp::Lt => CompareOp::Lt,
        BinaryOp::Le => CompareOp::Le,
        BinaryOp::Gt => CompareOp::Gt,
        BinaryOp::Ge => CompareOp::Ge,
        BinaryOp::Eq => CompareOp::Eq,
        BinaryOp::Ne => CompareOp::Ne,
        _ => return None,
    })
}

/// How an operator on values is written.
fn symbol(op: BinaryOp) -> &'static str {
    match (arith_op(op), compare_op(op)) {
        (Some(op), _) => op.symbol(),
        (_, Some(op)) => op.symbol(),
        _ => "",
    }
}

/// A number or boolean as a number; `None` for everything else.
fn int_type(ty: &Type) -> Option<IntType> {
    match ty {
        Type::Int(int) => Some(*int),
        Type::Enum(of) => Some(of.int),
        Type::Bool => Some(IntType {
            bits: 8,
            signed: false,
        }),
        _ => None,
    }
}

/// The type of arithmetic on numbers: 64 bits, signed where an operand is. A flexible operand takes the sign of the other.
fn arithmetic_type(op: ArithOp, a: (IntType, bool), b: (IntType, bool)) -> IntType {
    let signed = match (a, b) {
        ((a, false), (_, true)) => a.signed,
        ((_, true), (b, false)) => b.signed,
        ((a, _), (b, _)) => a.signed || b.signed,
    };
    if signed || op == ArithOp::Sub {
        IntType::I64
    } else {
        IntType::U64
    }
}

fn expr(kind: ExprKind, ty: Type, span: Span) -> Expr {
    Expr { kind, ty, span }
}

/// Whether an expression without effects has the same value each time that it is evaluated in a run, and costs little.
fn stays_the_same(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Const(_) | ExprKind::Var(_) | ExprKind::Arg(_) | ExprKind::ReturnValue => true,
        ExprKind::Convert(of) => stays_the_same(of),
        _ => false,
    }
}

/// A number's lowest bit as a boolean: what arithmetic on booleans keeps.
fn low_bit(number: Expr) -> Expr {
    let (ty, span) = (number.ty.clone(), number.span);
    let one = Box::new(expr(ExprKind::Const(1), ty.clone(), span));
    as_type(
        expr(ExprKind::Arith(ArithOp::And, Box::new(number), one), ty, span),
        &Type::Bool,
    )
}

impl Cx<'_> {
    /// `a op b`.
    pub(super) fn binary(&mut self, op: BinaryOp, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<Expr> {
        if let BinaryOp::And | BinaryOp::Or = op {
            let (a, b) = (self.condition(a), self.condition(b));
            let (a, b) = (Box::new(a?), Box::new(b?));
            let kind = if op == BinaryOp::And {
                ExprKind::And(a, b)
            } else {
                ExprKind::Or(a, b)
            };
            return Some(expr(kind, Type::Bool, span));
        }
        let (a, b) = (self.value(a), self.value(b));
        self.binary_values(op, a, b, span)
    }

    /// `a op b` for values, those in error `None`.
    pub(super) fn binary_values(
        &mut self,
        op: BinaryOp,
        a: Option<Expr>,
        b: Option<Expr>,
        span: Span,
    ) -> Option<Expr> {
        let (a, b) = match (a, b) {
            (Some(a), Some(b)) => (a, b),
            (Some(known), None) | (None, Some(known)) if self.is_optimistic() => (known.clone(), known),
            _ => return None,
        };
        match (arith_op(op), compare_op(op)) {
            (Some(arith), _) => self.arithmetic(arith, op, a, b, span),
            (_, Some(compare)) => self.comparison(compare, op, a, b, span),
            _ => None,
        }
    }

    fn arithmetic(&mut self, op: ArithOp, written: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        if matches!(a.ty, Type::Ptr(..)) || matches!(b.ty, Type::Ptr(..)) {
            return self.pointer_arithmetic(op, written, a, b, span);
        }
        let (Some(int_a), Some(int_b)) = (int_type(&a.ty), int_type(&b.ty)) else {
            return self.bad_operands(written, &a, &b, span);
        };
        let flexible = (self.is_flexible(&a), self.is_flexible(&b));
        let of_booleans = a.ty == Type::Bool && b.ty == Type::Bool;
        let ty = Type::Int(arithmetic_type(op, (int_a, flexible.0), (int_b, flexible.1)));
        let (a, b) = (Box::new(as_type(a, &ty)), Box::new(as_type(b, &ty)));
        let result = expr(ExprKind::Arith(op, a, b), ty, span);
        Some(if of_booleans { low_bit(result) } else { result })
    }

    /// An address and a number count in elements.
    fn pointer_arithmetic(
        &mut self,
        op: ArithOp,
        written: BinaryOp,
        a: Expr,
        b: Expr,
        span: Span,
    ) -> Option<Expr> {
        match (op, &a.ty, &b.ty) {
            (ArithOp::Add, Type::Int(_) | Type::Bool, Type::Ptr(..)) => {
                self.pointer_arithmetic(op, written, b, a, span)
            }
            (ArithOp::Add | ArithOp::Sub, Type::Ptr(..), Type::Int(_) | Type::Bool) => {
                Some(self.pointer_step(op, a, b, span))
            }
            _ => self.bad_operands(written, &a, &b, span),
        }
    }

    pub(super) fn bad_operands(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span) -> Option<Expr> {
        let text = matches!(a.ty, Type::Str(_)) || matches!(b.ty, Type::Str(_));
        let diagnostic = Diagnostic::error(
            &codes::BAD_OPERANDS,
            span,
            format!(
                "`{}` cannot take {} and {}",
                symbol(op),
                described(&a.ty),
                described(&b.ty)
            ),
        )
        .also(a.span, format!("this is {}", described(&a.ty)))
        .also(b.span, format!("this is {}", described(&b.ty)));
        self.report(match (compare_op(op), text) {
            (Some(_), _) if a.ty.is_scalar() != b.ty.is_scalar() => {
                diagnostic.help("compare values of one type; text at an address is read with `str(address)`")
            }
            (None, true) if op == BinaryOp::Add && matches!((&a.ty, &b.ty), (Type::Str(_), Type::Str(_))) => {
                diagnostic
                    .help("strings are put together by `str_concat(a, b)`, or by the format that prints them")
            }
            (Some(_), true) => diagnostic.help("strings can be compared with `==` and `!=`"),
            (None, _) if matches!(a.ty, Type::Ptr(..)) || matches!(b.ty, Type::Ptr(..)) => {
                let address = if matches!(a.ty, Type::Ptr(..)) { a } else { b };
                let address = self.source_text(address.span);
                diagnostic.help(format!("the address as a number is `(uint64){address}`"))
            }
            _ => diagnostic,
        })
    }

    fn comparison(&mut self, op: CompareOp, written: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let equality = matches!(op, CompareOp::Eq | CompareOp::Ne);
        let compare = |a, b| {
            Some(expr(
                ExprKind::Compare(op, Box::new(a), Box::new(b)),
                Type::Bool,
                span,
            ))
        };
        match (&a.ty, &b.ty) {
            (Type::Bool, Type::Bool) => compare(a, b),
            (Type::Int(_) | Type::Bool | Type::Enum(_), Type::Int(_) | Type::Bool | Type::Enum(_)) => {
                let (int_a, int_b) = (int_type(&a.ty)?, int_type(&b.ty)?);
                self.warn_constant(op, &a, &b, span);
                let (joined, _) = join_int(int_a, self.is_flexible(&a), int_b, self.is_flexible(&b));
                let unsigned = |int: IntType| int == IntType::U64;
                if !equality && joined.signed && (unsigned(int_a) || unsigned(int_b)) {
                    let message = format!(
                        "{} and {} are compared as uint64",
                        described(&a.ty),
                        described(&b.ty)
                    );
                    let (signed, unsigned) = if int_a.signed {
                        (a.span, b.span)
                    } else {
                        (b.span, a.span)
                    };
                    let help = format!(
                        "cast one of them to say what is meant: `(uint64){}` or `(int64){}`",
                        self.source_text(signed),
                        self.source_text(unsigned)
                    );
                    self.report::<()>(Diagnostic::warning(&codes::MIXED_SIGNS, span, message).help(help));
                }
                // As in C: no type holds all numbers of both.
                let ty = match !equality && (unsigned(int_a) || unsigned(int_b)) {
                    true => Type::U64,
                    false => Type::Int(joined),
                };
                compare(as_type(a, &ty), as_type(b, &ty))
            }
            (Type::Ptr(..), Type::Ptr(..) | Type::Int(_) | Type::Bool)
            | (Type::Int(_) | Type::Bool, Type::Ptr(..)) => {
                compare(as_type(a, &Type::U64), as_type(b, &Type::U64))
            }
            (Type::Str(_), Type::Str(_)) if equality => compare(a, b),
            (Type::Name(x), Type::Name(y)) if x == y && equality => compare(a, b),
            (Type::Shown(x), Type::Shown(y)) if x == y && equality => compare(a, b),
            (Type::Inet, Type::Inet) if equality => compare(a, b),
            (Type::Buffer(x), Type::Buffer(y)) if equality => {
                let ty = Type::Buffer(*x.max(y));
                compare(as_type(a, &ty), as_type(b, &ty))
            }
            (Type::Shown(_), Type::Str(_)) if equality => self.shown_comparison(op, written, a, b, span),
            (Type::Str(_), Type::Shown(_)) if equality => self.shown_comparison(op, written, b, a, span),
            (Type::Name(table), Type::Str(_)) if equality => self.name_comparison(op, *table, a, b, span),
            (Type::Str(_), Type::Name(table)) if equality => self.name_comparison(op, *table, b, a, span),
            (Type::Bytes(x), Type::Bytes(y)) if equality && x == y => compare(a, b),
            (Type::Array(..), Type::Array(..)) if equality && a.ty == b.ty => compare(a, b),
            (Type::Tuple(_), Type::Tuple(_)) | (Type::Record(_), Type::Record(_)) if equality => {
                match join(&a.ty, false, &b.ty, false) {
                    Some((ty, _)) => compare(as_type(a, &ty), as_type(b, &ty)),
                    None => self.bad_operands(written, &a, &b, span),
                }
            }
            _ => self.bad_operands(written, &a, &b, span),
        }
    }

    /// `func == "write"`: the names are known here, so the numbers that stand for them are compared.
    fn name_comparison(
        &mut self,
        op: CompareOp,
        table: NameTable,
        name: Expr,
        text: Expr,
        span: Span,
    ) -> Option<Expr> {
        let ExprKind::Str(wanted) = &text.kind else {
            return self.later(span, "comparing a name with text that is read");
        };
        let sites = self.sites.iter().enumerate().filter(|(_, site)| match table {
            NameTable::Func => site.func.as_bytes() == wanted,
            NameTable::Probe => site.probe.as_bytes() == wanted,
        });
        // Names are equal where the first site of the name is: see `places`.
        let first = sites.map(|(index, _)| index as i64).next();
        let equal = match (&name.kind, first) {
            (_, None) => expr(ExprKind::Const(0), Type::Bool, span),
            (ExprKind::Const(own), Some(first)) => {
                expr(ExprKind::Const(i64::from(*own == first)), Type::Bool, span)
            }
            (_, Some(first)) => {
                let first = Box::new(expr(ExprKind::Const(first), Type::Name(table), text.span));
                expr(
                    ExprKind::Compare(CompareOp::Eq, Box::new(name), first),
                    Type::Bool,
                    span,
                )
            }
        };
        Some(match (op, &equal.kind) {
            (CompareOp::Eq, _) => equal,
            (_, ExprKind::Const(value)) => expr(ExprKind::Const(i64::from(*value == 0)), Type::Bool, span),
            _ => expr(ExprKind::Unary(UnaryOp::Not, Box::new(equal)), Type::Bool, span),
        })
    }

    fn warn_constant(&mut self, op: CompareOp, a: &Expr, b: &Expr, span: Span) {
        let unsigned = |e: &Expr| matches!(e.ty, Type::Int(int) if !int.signed);
        let zero = |e: &Expr| const_value(e) == Some(0);
        let (value, always) = match op {
            CompareOp::Lt if unsigned(a) && zero(b) => (a, false),
            CompareOp::Ge if unsigned(a) && zero(b) => (a, true),
            CompareOp::Gt if zero(a) && unsigned(b) => (b, false),
            CompareOp::Le if zero(a) && unsigned(b) => (b, true),
            _ => return,
        };
        let text = self.source_text(value.span);
        let message = format!(
            "this is always {always}: `{text}` is {}, which is never below 0",
            described(&value.ty)
        );
        let help = format!("if it can stand for a negative number, cast it: `(int64){text}`");
        self.report::<()>(Diagnostic::warning(&codes::CONSTANT_COMPARISON, span, message).help(help));
    }

    /// `op e`.
    pub(super) fn unary(&mut self, op: ast::UnaryOp, of: &ast::Expr, span: Span) -> Option<Expr> {
        match op {
            ast::UnaryOp::Not => {
                if let ast::ExprKind::Str(_) = of.kind {
                    let message = "`!` cannot take string";
                    return self.report(Diagnostic::error(&codes::BAD_OPERANDS, of.span, message));
                }
                let of = self.condition(of)?;
                Some(expr(
                    ExprKind::Unary(UnaryOp::Not, Box::new(of)),
                    Type::Bool,
                    span,
                ))
            }
            ast::UnaryOp::Neg | ast::UnaryOp::BitNot => {
                let value = self.value(of)?;
                let int = int_type(&value.ty).filter(|_| value.ty != Type::Bool);
                let Some(int) = int else {
                    let sign = if op == ast::UnaryOp::Neg { "-" } else { "~" };
                    let message = format!("`{sign}` cannot take {}", described(&value.ty));
                    return self.report(Diagnostic::error(&codes::BAD_OPERANDS, span, message));
                };
                let op = if op == ast::UnaryOp::Neg {
                    UnaryOp::Neg
                } else {
                    UnaryOp::BitNot
                };
                Some(match (&value.kind, op) {
                    // A negative literal is a constant like any other.
                    (ExprKind::Const(n), UnaryOp::Neg) => {
                        expr(ExprKind::Const(n.wrapping_neg()), Type::I64, span)
                    }
                    // As bpftrace folds it.
                    (ExprKind::Const(n), _) if *n >= 0 && value.ty == Type::I64 => {
                        expr(ExprKind::Const(!n), Type::U64, span)
                    }
                    _ => {
                        let ty = if op == UnaryOp::Neg {
                            Type::I64
                        } else {
                            Type::Int(int)
                        };
                        expr(ExprKind::Unary(op, Box::new(as_type(value, &ty))), ty, span)
                    }
                })
            }
            ast::UnaryOp::Deref => self.deref(of, span),
            ast::UnaryOp::AddressOf => self.address_of(of, span),
        }
    }

    /// `c ? a : b`.
    pub(super) fn ternary(
        &mut self,
        cond: &ast::Expr,
        then: Option<&ast::Expr>,
        otherwise: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let Some(then) = then else {
            return self.default_of(cond, otherwise, span);
        };
        if let Some(taken) = self.deciding(cond) {
            return self.expr(if taken? { then } else { otherwise });
        }
        let cond = self.condition(cond);
        let then = self.expr(then);
        let otherwise = self.expr(otherwise);
        self.choice(cond, then, otherwise, span)
    }

    /// `c ?: b`: `c` is evaluated once.
    fn default_of(&mut self, cond: &ast::Expr, otherwise: &ast::Expr, span: Span) -> Option<Expr> {
        let value = self.condition(cond);
        if value.as_ref().is_none_or(stays_the_same) {
            let otherwise = self.expr(otherwise);
            return self.choice(value.clone(), value, otherwise, span);
        }
        self.program.open_scope();
        // No script can name it.
        let var = self.declare("?:", cond.span);
        self.var_fact(var).assigned = true;
        let first = value.and_then(|value| self.set_var(var, value));
        let kept = self.var("?:", cond.span);
        let otherwise = self.expr(otherwise);
        let chosen = self.choice(kept.clone(), kept, otherwise, span);
        self.program.close_scope();
        let value = Box::new(chosen?);
        let body = first
            .into_iter()
            .map(|kind| Stmt {
                kind,
                span: cond.span,
            })
            .collect();
        Some(expr(
            ExprKind::Block {
                body,
                value: value.clone(),
            },
            value.ty,
            span,
        ))
    }

    /// One of two values; those in error are `None`.
    pub(super) fn choice(
        &mut self,
        cond: Option<Expr>,
        then: Option<Expr>,
        otherwise: Option<Expr>,
        span: Span,
    ) -> Option<Expr> {
        let (a, b) = match (then, otherwise) {
            (Some(a), Some(b)) => (a, b),
            (Some(known), None) | (None, Some(known)) if self.is_optimistic() => (known.clone(), known),
            _ => return None,
        };
        let cond = cond?;
        let (a, b) = self.as_alike_text(a, b)?;
        let joined = if a.ty == b.ty {
            Some((a.ty.clone(), false))
        } else {
            join(&a.ty, self.is_flexible(&a), &b.ty, self.is_flexible(&b))
        };
        let Some((ty, _)) = joined.filter(|(ty, _)| converts(&a.ty, ty) && converts(&b.ty, ty)) else {
            let message = format!(
                "one branch is {}, the other {}",
                described(&a.ty),
                described(&b.ty)
            );
            return self.report(
                Diagnostic::error(&codes::BAD_OPERANDS, span, message)
                    .also(a.span, described(&a.ty))
                    .also(b.span, described(&b.ty)),
            );
        };
        let (a, b) = (Box::new(as_type(a, &ty)), Box::new(as_type(b, &ty)));
        Some(expr(ExprKind::Ternary(Box::new(cond), a, b), ty, span))
    }

    /// `++`, `--`.
    pub(super) fn increment(
        &mut self,
        target: &ast::Expr,
        increment: bool,
        prefix: bool,
        span: Span,
    ) -> Option<Expr> {
        let delta = if increment { 1 } else { -1 };
        let (place, ty) = match &target.kind {
            ast::ExprKind::Var(name) => {
                let var = self.defined_var(name, target.span)?;
                self.var_fact(var).assigned = true;
                if !matches!(self.var_fact(var).value.ty, Some(Type::Ptr(..))) {
                    self.note_natural(var, None);
                    self.learn_var_type(var, &Type::I64, increment, span);
                }
                let ty = self.var_fact(var).value.ty.clone()?;
                (Place::Var(var), ty)
            }
            ast::ExprKind::Map { name, key } => {
                let map = self.mark_assigned(name, target.span);
                if !matches!(self.facts.maps[map.0 as usize].value.ty, Some(Type::Ptr(..))) {
                    self.learn_map(map, &Type::I64, increment, span);
                }
                let element = self.element(name, target.span, key.as_deref())?;
                self.must_be_number(element.map, target.span)?;
                let ty = self.facts.maps[element.map.0 as usize].value.ty.clone()?;
                let key = element.key.map(Box::new);
                (
                    Place::Map {
                        map: element.map,
                        key,
                    },
                    ty,
                )
            }
            ast::ExprKind::Error => return None,
            _ => return self.not_assignable(target),
        };
        match ty {
            Type::Int(_) | Type::Ptr(..) => {
                let delta = delta * step_of(&ty);
                Some(expr(ExprKind::Increment { place, delta, prefix }, ty, span))
            }
            _ => {
                let sign = if increment { "++" } else { "--" };
                let message = format!("`{sign}` cannot take {}", described(&ty));
                self.report(Diagnostic::error(&codes::BAD_OPERANDS, span, message))
            }
        }
    }

    /// Whether an expression's type is flexible: a literal number that is not negative, or a place that holds nothing else.
    pub(super) fn is_flexible(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Var(var) => self.facts.vars[self.program.index][var.0 as usize].value.flexible,
            ExprKind::MapValue { map, .. } => self.facts.maps[map.0 as usize].value.flexible,
            ExprKind::Ternary(_, a, b) => self.is_flexible(a) && self.is_flexible(b),
            ExprKind::Block { value, .. } => self.is_flexible(value),
            _ => expr.ty == Type::I64 && const_value(expr).is_some_and(|value| value >= 0),
        }
    }

    /// Notes that a variable is assigned `value`.
    pub(super) fn learn_var(&mut self, var: VarId, value: &Expr) {
        let (ty, flexible, span) = (value.ty.clone(), self.is_flexible(value), value.span);
        self.learn_var_type(var, &ty, flexible, span);
    }

    fn learn_var_type(&mut self, var: VarId, ty: &Type, flexible: bool, span: Span) {
        if self.is_inferring() {
            let grew = self.var_fact(var).value.absorb(ty, flexible, span);
            self.facts.grew |= grew;
        }
    }

    /// The name of the place that a program runs at.
    pub(super) fn site_name(&mut self, table: NameTable, span: Span) -> Option<Expr> {
        let naming = match table {
            NameTable::Func => self.program.func.as_ref(),
            NameTable::Probe => self.program.probe_name.as_ref(),
        };
        let kind = match naming? {
            Naming::Constant(index) => ExprKind::Const(i64::from(*index)),
            Naming::ByCookie(_) => ExprKind::SiteName,
        };
        Some(expr(kind, Type::Name(table), span))
    }
}
