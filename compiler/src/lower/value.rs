//! Scalar expressions, conditions and assignments to variables.

use super::memory::Prepared;
use super::{BodyCx, VarHome};
use crate::ctype::Bits;
use crate::hir::{ArithOp, CompareOp, Expr, ExprKind, Intrinsic, Place, UnaryOp, VarId};
use crate::ir::{AtomicOp, BinOp, Block, Cond, Op, Value, Width};
use crate::plan::ProgramKind;
use crate::types::{IntType, Type};
use crate::visit;

impl BodyCx<'_> {
    /// A scalar expression. Its bits beyond the type's width repeat the sign or are 0.
    pub(super) fn value(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Const(value) => self.ir.iconst(*value),
            ExprKind::Var(var) => self.variable(*var, &expr.ty),
            ExprKind::Read {
                address,
                offset,
                bits,
            } => self.read_at(expr, address, *offset, *bits),
            ExprKind::Part { of, offset, bits } => self.part_scalar(of, *offset, *bits, &expr.ty),
            ExprKind::Element(of, index) => self.element_scalar(of, index, &expr.ty),
            ExprKind::AddressOf(var) => self.address_of(*var),
            ExprKind::MapValue { map, key } => self.map_scalar(*map, key.as_deref(), &expr.ty),
            ExprKind::Builtin(id) => (id.row().lower)(self),
            ExprKind::Arg(n) => self.argument(*n),
            ExprKind::Context(offset) => self.context_word(*offset),
            ExprKind::ReturnValue => self.return_value(),
            ExprKind::RecordField {
                offset,
                width,
                signed,
            } => match (self.probe.kind, &expr.ty) {
                (ProgramKind::Tracing, Type::Ptr(to, _)) => self.traced_pointer(*offset, to),
                _ => self.record_field(*offset, *width, *signed),
            },
            ExprKind::SiteName => self.site(),
            ExprKind::Unary(op, operand) => self.unary(*op, operand, &expr.ty),
            ExprKind::Arith(op, a, b) => self.arithmetic(*op, a, b, &expr.ty),
            ExprKind::Compare(op, a, b) if a.ty.is_scalar() => {
                let (a_value, b_value) = (self.value(a), self.value(b));
                self.ir.cmp(condition(*op, is_signed(&a.ty)), a_value, b_value)
            }
            ExprKind::Compare(..) | ExprKind::And(..) | ExprKind::Or(..) => self.truth(expr),
            ExprKind::Ternary(cond, a, b) => {
                let (yes, no) = (self.ir.block(), self.ir.block());
                self.branch_on(cond, yes, no);
                let value = |e| move |cx: &mut Self| vec![cx.value(e)];
                self.join((yes, value(&**a)), (no, value(&**b)))[0]
            }
            ExprKind::Block { body, value } => {
                self.statements(body);
                self.value(value)
            }
            ExprKind::Inlined {
                body, locals, value, ..
            } => {
                self.inlined(*locals, body);
                self.value(value)
            }
            ExprKind::Convert(inner) if !inner.ty.is_scalar() => {
                let prepared = self.prepare(inner);
                match self.reinterpreted(&prepared, &inner.ty, &expr.ty) {
                    Prepared::Scalar(value) => value,
                    _ => self.no_scalar(),
                }
            }
            ExprKind::Convert(inner) => self.convert(inner, &expr.ty),
            ExprKind::Intrinsic(which, args) => self.intrinsic_value(*which, args, &expr.ty),
            ExprKind::Member(tuple, index) => self.member(tuple, *index, &expr.ty),
            ExprKind::Increment { place, delta, prefix } => self.increment(place, *delta, *prefix, &expr.ty),
            ExprKind::HasKey { map, key } => self.has_key(*map, key.as_deref()),
            ExprKind::Delete { map, key } => self.delete(*map, key.as_deref()),
            ExprKind::MapLen(map) => self.map_len(*map),
            ExprKind::Reduced { map, key } => self.reduced(*map, key.as_deref()),
            ExprKind::Emit { .. } => {
                self.effect(expr);
                self.ir.iconst(0)
            }
            ExprKind::Str(_)
            | ExprKind::Bytes(_)
            | ExprKind::Tuple(_)
            | ExprKind::Assembled(_)
            | ExprKind::ReadText { .. }
            | ExprKind::RecordText { .. }
            | ExprKind::RecordDynamicText { .. }
            | ExprKind::RecordBytes { .. } => self.no_scalar(),
        }
    }

    /// What `expr` reads of memory: its place is the one that is told where the read fails.
    fn read_at(&mut self, expr: &Expr, address: &Expr, offset: u32, bits: Option<Bits>) -> Value {
        let before = self.ir.set_span(expr.span);
        let value = self.read_scalar(address, offset, bits, &expr.ty);
        self.ir.set_span(before);
        value
    }

    fn return_value(&mut self) -> Value {
        let offset = self.target.arch().convention().result;
        self.ir.emit(Op::CtxLoad {
            offset,
            width: Width::B8,
            signed: false,
        })
    }

    fn variable(&mut self, var: VarId, ty: &Type) -> Value {
        match self.var_value(var) {
            VarHome::Value(value) => value,
            VarHome::Shared => self.load_shared(var),
            VarHome::Slot(slot) => {
                let addr = self.ir.slot_addr(slot, 0);
                self.load_scalar(addr, 0, ty)
            }
            VarHome::Zeros => self.no_scalar(),
        }
    }

    fn arithmetic(&mut self, op: ArithOp, a: &Expr, b: &Expr, ty: &Type) -> Value {
        let result = match self.signed_divisor(op, b) {
            Some(by) => {
                let (value, remainder) = (self.value(a), op == ArithOp::Mod);
                self.ir.emit(Op::SignedDiv { value, by, remainder })
            }
            None => {
                let (a_value, b_value) = self.operands(a, b);
                self.arith(op, a_value, (b_value, b), is_signed(&a.ty))
            }
        };
        self.wrap(result, ty)
    }

    /// For what the checker has excluded: an expression used as a scalar whose type is none.
    pub(super) fn no_scalar(&mut self) -> Value {
        debug_assert!(false, "scalar wanted of an expression that is none");
        self.ir.iconst(0)
    }

    /// Evaluates an expression for its effects only.
    pub(super) fn effect(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Emit { event, args } => self.emit_event(*event, args),
            ExprKind::Block { body, value } => {
                self.statements(body);
                self.effect(value);
            }
            ExprKind::Inlined {
                body, locals, value, ..
            } => {
                self.inlined(*locals, body);
                self.effect(value);
            }
            ExprKind::Const(_) => {}
            ExprKind::Intrinsic(which, args) if expr.ty == Type::Void => {
                self.intrinsic_value(*which, args, &expr.ty);
            }
            ExprKind::Ternary(cond, a, b) if expr.ty == Type::Void => {
                let (yes, no) = (self.ir.block(), self.ir.block());
                self.branch_on(cond, yes, no);
                let run = |e| {
                    move |cx: &mut Self| {
                        cx.effect(e);
                        Vec::new()
                    }
                };
                self.join((yes, run(&**a)), (no, run(&**b)));
            }
            ExprKind::Increment {
                place: Place::Map { map, key },
                delta,
                ..
            } => {
                let delta = self.ir.iconst(*delta);
                self.add_to_map(*map, key.as_deref(), delta);
            }
            _ if expr.ty.is_scalar() => {
                self.value(expr);
            }
            _ => {
                self.prepare(expr);
            }
        }
    }

    pub(super) fn set_var(&mut self, var: VarId, value: &Expr) {
        let ty = self.probe.vars[var.0 as usize].ty.clone();
        let mut prepared = self.prepare(value);
        // `$t = ($t.1, $t.0)` must read all of the old value before it writes any of the new one.
        if !ty.is_scalar()
            && visit::any_in_expr(value, &mut |e| matches!(e.kind, ExprKind::Var(v) if v == var))
        {
            prepared = self.in_temporary(&prepared, &ty);
        }
        self.set_var_to(var, &prepared);
    }

    /// Gives a variable a value that does not depend on it.
    pub(super) fn set_var_to(&mut self, var: VarId, prepared: &Prepared) {
        let ty = self.probe.vars[var.0 as usize].ty.clone();
        if let (true, Prepared::Scalar(value)) = (ty.is_scalar(), prepared) {
            return self.assign(var, *value);
        }
        let slot = if self.vars[var.0 as usize] == VarHome::Shared {
            self.shared_var(var)
        } else {
            let ir = &mut self.ir;
            let slot = *self.var_slots.entry(var).or_insert_with(|| ir.slot(ty.size()));
            self.vars[var.0 as usize] = VarHome::Slot(slot);
            slot
        };
        let addr = self.ir.slot_addr(slot, 0);
        self.fill(prepared, &ty, addr, 0, true);
    }

    fn argument(&mut self, n: u8) -> Value {
        let registers = self.target.arch().convention().args;
        let offset = match self.probe.kind {
            // `struct bpf_raw_tracepoint_args` (include/uapi/linux/bpf.h): words.
            ProgramKind::RawTracepoint => Some(8 * i16::from(n)),
            _ => registers.get(usize::from(n)).copied(),
        };
        match offset {
            Some(offset) => self.ir.emit(Op::CtxLoad {
                offset,
                width: Width::B8,
                signed: false,
            }),
            None => self.no_scalar(),
        }
    }

    /// 8 bytes of the context. Its structures are far smaller than what an offset can say.
    pub(super) fn context_word(&mut self, offset: u32) -> Value {
        match i16::try_from(offset) {
            Ok(offset) => self.ir.emit(Op::CtxLoad {
                offset,
                width: Width::B8,
                signed: false,
            }),
            Err(_) => self.no_scalar(),
        }
    }

    /// A pointer among the arguments of a traced function. The verifier knows what it points to and refuses arithmetic
    /// on it, other than addition, so that a script could not do with it what it can with any number; of one to
    /// anything but a struct it may refuse the load. So it goes through memory, of which the verifier knows nothing:
    /// added to 0, as a plain store would be followed.
    fn traced_pointer(&mut self, offset: u32, to: &Type) -> Value {
        let is_known = matches!(to, Type::Struct(of) if of.size > 0);
        let Some(at) = i16::try_from(offset).ok().filter(|_| is_known) else {
            return self.record_bytes(offset, 8, false);
        };
        let pointer = self.ir.emit(Op::CtxLoad {
            offset: at,
            width: Width::B8,
            signed: false,
        });
        self.as_number(pointer)
    }

    /// The context's own address, as a number.
    pub(super) fn context(&mut self) -> Value {
        let ctx = self.ir.emit(Op::Ctx);
        self.as_number(ctx)
    }

    /// A pointer that the verifier knows, as a number of which it knows nothing.
    fn as_number(&mut self, pointer: Value) -> Value {
        let slot = self.ir.slot(8);
        let addr = self.ir.slot_addr(slot, 0);
        self.zero(addr, 0, 8);
        self.ir.atomic(AtomicOp::Add, addr, 0, pointer);
        self.ir.load(addr, 0, Width::B8)
    }

    fn record_field(&mut self, offset: u32, width: u8, signed: bool) -> Value {
        match (i16::try_from(offset), Width::from_bytes(u32::from(width))) {
            // The kernel accepts aligned accesses to a record only (tp_prog_is_valid_access).
            (Ok(at), Some(width)) if offset.is_multiple_of(width.bytes()) => self.ir.emit(Op::CtxLoad {
                offset: at,
                width,
                signed: signed && width != Width::B8,
            }),
            _ => self.record_bytes(offset, width, signed),
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, ty: &Type) -> Value {
        let value = self.value(operand);
        let result = match op {
            UnaryOp::Not => {
                let zero = self.ir.iconst(0);
                return self.ir.cmp(Cond::Eq, value, zero);
            }
            UnaryOp::Neg => {
                let zero = self.ir.iconst(0);
                self.ir.bin(BinOp::Sub, zero, value)
            }
            UnaryOp::BitNot => self.ir.bin_imm(BinOp::Xor, value, -1),
        };
        self.wrap(result, ty)
    }

    /// Arithmetic on 64 bits as [`crate::hir`] defines it. `b` comes with what it was computed from.
    pub(super) fn arith(&mut self, op: ArithOp, a: Value, (b, by): (Value, &Expr), signed: bool) -> Value {
        let op = match op {
            ArithOp::Div | ArithOp::Mod => return self.division(op, a, (b, by), signed),
            ArithOp::Add => BinOp::Add,
            ArithOp::Sub => BinOp::Sub,
            ArithOp::Mul => BinOp::Mul,
            ArithOp::Shl => BinOp::Shl,
            ArithOp::Shr if signed => BinOp::AShr,
            ArithOp::Shr => BinOp::LShr,
            ArithOp::And => BinOp::And,
            ArithOp::Or => BinOp::Or,
            ArithOp::Xor => BinOp::Xor,
        };
        self.ir.bin(op, a, b)
    }

    /// Both operands. A builtin on the left comes second where nobody can tell: it is often a helper call, whose result
    /// can then be used where it is, and what was there before is one value instead of its parts. Of two times the left one
    /// is the earlier.
    fn operands(&mut self, a: &Expr, b: &Expr) -> (Value, Value) {
        if is_builtin(a) && !visit::has_effects(b) && !visit::any_in_expr(b, &mut may_change) {
            let b_value = self.value(b);
            return (self.value(a), b_value);
        }
        (self.value(a), self.value(b))
    }

    /// Wraps 64 bits to an integer type.
    pub(super) fn wrap(&mut self, value: Value, ty: &Type) -> Value {
        match ty {
            Type::Int(IntType { bits: 64, .. }) => value,
            Type::Int(IntType { bits, signed }) => self.ir.emit(Op::Extend {
                bits: *bits,
                signed: *signed,
                value,
            }),
            Type::Enum(of) => self.wrap(value, &Type::Int(of.int)),
            _ => value,
        }
    }

    fn convert(&mut self, inner: &Expr, ty: &Type) -> Value {
        let value = self.value(inner);
        match (&inner.ty, ty) {
            (Type::Bool, _) => value,
            (_, Type::Bool) => {
                let zero = self.ir.iconst(0);
                self.ir.cmp(Cond::Ne, value, zero)
            }
            _ => self.wrap(value, ty),
        }
    }

    fn member(&mut self, tuple: &Expr, index: u32, ty: &Type) -> Value {
        let prepared = self.prepare(tuple);
        match self.member_of(prepared, &tuple.ty, index) {
            Prepared::Scalar(value) => value,
            Prepared::Memory { addr, offset, .. } => self.load_scalar(addr, offset, ty),
            _ => self.ir.iconst(0),
        }
    }

    fn increment(&mut self, place: &Place, delta: i64, prefix: bool, ty: &Type) -> Value {
        match place {
            Place::Var(var) => {
                let before = match self.var_value(*var) {
                    VarHome::Value(before) => before,
                    VarHome::Shared => self.load_shared(*var),
                    VarHome::Slot(slot) => {
                        let addr = self.ir.slot_addr(slot, 0);
                        self.load_scalar(addr, 0, ty)
                    }
                    VarHome::Zeros => return self.no_scalar(),
                };
                let after = self.ir.bin_imm(BinOp::Add, before, delta);
                let after = self.wrap(after, ty);
                self.assign(*var, after);
                if prefix { after } else { before }
            }
            Place::Map { map, key } => {
                let amount = self.ir.iconst(delta);
                let before = self.fetch_add(*map, key.as_deref(), amount);
                let result = if prefix {
                    self.ir.bin_imm(BinOp::Add, before, delta)
                } else {
                    before
                };
                self.wrap(result, ty)
            }
        }
    }

    /// A condition as 0 or 1.
    fn truth(&mut self, expr: &Expr) -> Value {
        let (yes, no) = (self.ir.block(), self.ir.block());
        self.branch_on(expr, yes, no);
        let constant = |value| move |cx: &mut Self| vec![cx.ir.iconst(value)];
        self.join((yes, constant(1)), (no, constant(0)))[0]
    }

    /// Ends the block: goes on at `yes` where the expression is not 0, else at `no`.
    pub(super) fn branch_on(&mut self, expr: &Expr, yes: Block, no: Block) {
        match &expr.kind {
            ExprKind::Compare(op, a, b) if a.ty.is_scalar() => {
                let (a_value, b_value) = (self.value(a), self.value(b));
                self.ir
                    .branch(condition(*op, is_signed(&a.ty)), a_value, b_value, yes, no);
            }
            ExprKind::Compare(op, a, b) => {
                let (equal, differs) = if *op == CompareOp::Ne {
                    (no, yes)
                } else {
                    (yes, no)
                };
                self.branch_equal(a, b, equal, differs);
            }
            ExprKind::Unary(UnaryOp::Not, inner) => self.branch_on(inner, no, yes),
            ExprKind::Convert(inner) if expr.ty == Type::Bool => self.branch_on(inner, yes, no),
            ExprKind::And(a, b) => self.branch_both(a, b, yes, no, true),
            ExprKind::Or(a, b) => self.branch_both(a, b, yes, no, false),
            _ => {
                let value = self.value(expr);
                let zero = self.ir.iconst(0);
                self.ir.branch(Cond::Ne, value, zero, yes, no);
            }
        }
    }

    /// `a && b` (`and`) or `a || b`.
    fn branch_both(&mut self, a: &Expr, b: &Expr, yes: Block, no: Block, and: bool) {
        let second = self.ir.block();
        if visit::assigns_variable(b) {
            // Both ways behind `b` must agree on the variables: `b`'s truth is joined before it is branched on.
            let skip = self.ir.block();
            if and {
                self.branch_on(a, second, skip);
            } else {
                self.branch_on(a, skip, second);
            }
            let skipped = i64::from(!and);
            let truth = self.join(
                (second, |cx: &mut Self| vec![cx.value(b)]),
                (skip, |cx: &mut Self| vec![cx.ir.iconst(skipped)]),
            )[0];
            let zero = self.ir.iconst(0);
            self.ir.branch(Cond::Ne, truth, zero, yes, no);
            return;
        }
        if and {
            self.branch_on(a, second, no);
        } else {
            self.branch_on(a, yes, second);
        }
        // What only `b` has filled is not there on the way that skips it; what `a` has filled always is.
        let between = self.cache;
        self.ir.switch_to(second);
        self.branch_on(b, yes, no);
        self.cache = between;
    }
}

fn is_builtin(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Builtin(_) => true,
        ExprKind::Convert(inner) => is_builtin(inner),
        _ => false,
    }
}

/// Whether what an expression stands for may change while a program runs: it is a clock, or a builtin value that is not known
/// to be none.
fn may_change(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Builtin(id) => !id.row().identifies_thread,
        ExprKind::Intrinsic(which, _) => matches!(which, Intrinsic::Clock(_)),
        _ => false,
    }
}

pub(super) fn is_signed(ty: &Type) -> bool {
    match ty {
        Type::Int(int) => int.signed,
        Type::Enum(of) => of.int.signed,
        _ => false,
    }
}

fn condition(op: CompareOp, signed: bool) -> Cond {
    match (op, signed) {
        (CompareOp::Eq, _) => Cond::Eq,
        (CompareOp::Ne, _) => Cond::Ne,
        (CompareOp::Lt, true) => Cond::SLt,
        (CompareOp::Lt, false) => Cond::ULt,
        (CompareOp::Le, true) => Cond::SLe,
        (CompareOp::Le, false) => Cond::ULe,
        (CompareOp::Gt, true) => Cond::SGt,
        (CompareOp::Gt, false) => Cond::UGt,
        (CompareOp::Ge, true) => Cond::SGe,
        (CompareOp::Ge, false) => Cond::UGe,
    }
}
