//! Instruction selection: which machine operations an IR operation becomes.
//!
//! In: IR operations and terminators. Out: [`Selected`] operations, whose operands say where each value comes from.
//! Folded on the way, so that nothing is left of them: constants that fit an immediate, offsets that fit an access,
//! comparisons that only branches look at, extensions that a store or a 32-bit comparison makes anyway.

use super::machine::{Access, Callee, Clamp, Compare, Given, MachOp};
use super::{RESULT, argument};
use crate::bpf::{Reg, op};
use crate::helper::Helper;
use crate::ir::{AtomicOp, BinOp, CallbackId, Cond, Function, Inst, Op, Value, Width};
use crate::plan::BpfMapId;
use codes::{alu_code, half_imm, is_commutative, jump_code, size, swapped};
use facts::Uses;

mod address;
mod codes;
mod facts;

/// Where an operand's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It is in a virtual register.
    Value(Value),
    /// The context pointer.
    Ctx,
    /// Made on the spot: a constant.
    Const(i64),
    /// Made on the spot: frame pointer plus offset.
    Frame(i16),
    /// Made on the spot: an address in the program memory.
    Memory(u32),
    /// Made on the spot: a kernel map.
    Map(BpfMapId),
    /// An argument of the callback.
    Argument(u8),
    /// Made on the spot: a callback.
    Callback(CallbackId),
    /// What the operation before it in the same selection defines.
    Previous,
}

/// What is asked of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Any register.
    Reg,
    /// Any register but the result's: it is read after the result is written.
    Late,
    /// This register.
    Fixed(Reg),
}

/// What an operation defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Def {
    /// Nothing.
    None,
    /// Any register.
    Reg,
    /// The register of this operand.
    Reuse(usize),
    /// This register.
    Fixed(Reg),
}

/// A machine operation and its operands.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    pub(super) op: MachOp,
    pub(super) uses: Vec<(Source, Use)>,
    pub(super) def: Def,
}

/// A branch: goes to `then` if `negated` is false and the comparison holds, or neither.
#[derive(Clone, Debug)]
pub(super) struct SelectedBranch {
    pub(super) compare: Compare,
    pub(super) uses: Vec<(Source, Use)>,
    pub(super) negated: bool,
}

/// Knows the function that is selected from.
pub(super) struct Selector<'a> {
    pub(super) func: &'a Function,
    /// Per value, the instruction that defines it; `None` for parameters.
    definitions: Vec<Option<Inst>>,
    /// Per value, another that it always equals.
    aliases: Vec<Option<Value>>,
    uses: Vec<Uses>,
}

impl<'a> Selector<'a> {
    /// Whether an operation must be there even if nothing uses its result.
    pub(super) fn has_effect(op: &Op) -> bool {
        matches!(
            op,
            Op::Store { .. }
                | Op::Atomic { .. }
                | Op::CompareExchange { .. }
                | Op::Call(..)
                | Op::CallBounded { .. }
                | Op::CallSubprogram(..)
        )
    }

    /// The machine operations of an instruction; the last defines its result. `needed` says whether anything uses it.
    pub(super) fn select(&self, inst: Inst, needed: bool) -> Vec<Selected> {
        match &self.func.insts[inst.0 as usize].op {
            // Where these are needed in a register, the user makes them.
            Op::Const(_)
            | Op::Ctx
            | Op::Argument(_)
            | Op::Callback(_)
            | Op::MapPtr(_)
            | Op::Memory(_)
            | Op::SlotAddr(..) => Vec::new(),
            Op::Bin(op, a, b) => vec![self.bin(*op, *a, *b)],
            Op::Extend { bits, signed, value } => extend(*bits, *signed, self.source(*value)),
            Op::SignedDiv { value, by, remainder } => vec![Selected {
                op: MachOp::SignedDivImm {
                    imm: *by,
                    remainder: *remainder,
                },
                uses: vec![(self.source(*value), Use::Reg)],
                def: Def::Reuse(0),
            }],
            Op::Cmp(cond, a, b) => vec![self.set_if(*cond, *a, *b)],
            Op::Load {
                addr,
                offset,
                width,
                signed,
            } => {
                let (base, at) = self.access(*addr, *offset);
                load(base, at, *width, *signed)
            }
            Op::CtxLoad {
                offset,
                width,
                signed,
            } => {
                let at = Access {
                    frame: false,
                    offset: *offset,
                };
                load(Some((Source::Ctx, Use::Reg)), at, *width, *signed)
            }
            Op::Store {
                addr,
                offset,
                width,
                value,
            } => vec![self.store(*addr, *offset, *width, *value)],
            Op::Atomic {
                op,
                addr,
                offset,
                value,
            } => vec![self.atomic(*op, *addr, *offset, *value, needed)],
            Op::CompareExchange {
                addr,
                offset,
                expected,
                new,
            } => vec![self.compare_exchange(*addr, *offset, *expected, *new)],
            Op::MapSelect { selector, maps } => vec![Selected {
                op: MachOp::MapSelect(*maps),
                uses: vec![(self.source(*selector), Use::Late)],
                def: Def::Reg,
            }],
            op @ Op::ElementAddr { .. } => vec![self.element(op)],
            Op::Call(helper, args) => vec![self.call(helper_callee(*helper), args, None, needed)],
            Op::CallSubprogram(id, args) => vec![self.call(Callee::Subprogram(*id), args, None, needed)],
            Op::CallBounded {
                helper,
                args,
                bounded,
                max,
            } => {
                let clamp = Clamp {
                    reg: argument(usize::from(*bounded)),
                    max: *max as i32,
                };
                vec![self.call(helper_callee(*helper), args, Some(clamp), needed)]
            }
        }
    }

    fn bin(&self, operation: BinOp, a: Value, b: Value) -> Selected {
        if let Some(c) = self.constant(b)
            && let Some(selected) = bin_const(operation, self.source(a), c)
        {
            return selected;
        }
        if is_commutative(operation) {
            if let Some(c) = self.constant(a)
                && let Some(selected) = bin_const(operation, self.source(b), c)
            {
                return selected;
            }
            if operation == BinOp::Add && self.root(a) == self.root(b) {
                return alu_imm(op::ALU64 | op::LSH, self.source(a), 1);
            }
        }
        let (mut a, mut b) = (a, b);
        // The first operand's register is overwritten, so it had better be one that nobody else wants.
        if is_commutative(operation) && self.all_uses(a) > 1 && self.all_uses(b) == 1 {
            std::mem::swap(&mut a, &mut b);
        }
        Selected {
            op: MachOp::AluReg {
                code: op::ALU64 | alu_code(operation),
            },
            uses: vec![(self.source(a), Use::Reg), (self.source(b), Use::Reg)],
            def: Def::Reuse(0),
        }
    }

    fn all_uses(&self, value: Value) -> u32 {
        match self.source(value) {
            Source::Value(root) => self.uses[root.0 as usize].all,
            // Made on the spot for this use.
            _ => 1,
        }
    }

    fn store(&self, addr: Value, offset: i16, width: Width, value: Value) -> Selected {
        let (base, at) = self.access(addr, offset);
        let mut uses: Vec<_> = base.into_iter().collect();
        let size = size(width);
        let imm = self.constant(value).and_then(|c| match width {
            Width::B8 => i32::try_from(c).ok(),
            // Only the low bytes count.
            _ => Some(c as i32),
        });
        let op = match imm {
            Some(imm) => MachOp::StoreImm { size, at, imm },
            None => {
                let value = self.without_extension(value, width.bytes() * 8);
                uses.push((self.source(value), Use::Reg));
                MachOp::Store { size, at }
            }
        };
        Selected {
            op,
            uses,
            def: Def::None,
        }
    }

    /// A value with the same low `bits`, unextended if possible.
    fn without_extension(&self, mut value: Value, bits: u32) -> Value {
        while let Some(Op::Extend {
            bits: from,
            value: inner,
            ..
        }) = self.op(value)
            && u32::from(*from) >= bits
        {
            value = *inner;
        }
        value
    }

    fn set_if(&self, cond: Cond, a: Value, b: Value) -> Selected {
        let (compare, mut uses) = self.compare(cond, a, b);
        uses.iter_mut().for_each(|(_, kind)| *kind = Use::Late);
        Selected {
            op: MachOp::SetIf(compare),
            uses,
            def: Def::Reg,
        }
    }

    fn compare_exchange(&self, addr: Value, offset: i16, expected: Value, new: Value) -> Selected {
        let (base, at) = self.access(addr, offset);
        let mut uses: Vec<_> = base.into_iter().collect();
        uses.push((self.source(expected), Use::Fixed(RESULT)));
        uses.push((self.source(new), Use::Reg));
        Selected {
            op: MachOp::CompareExchange { at },
            uses,
            def: Def::Fixed(RESULT),
        }
    }

    fn atomic(&self, operation: AtomicOp, addr: Value, offset: i16, value: Value, needed: bool) -> Selected {
        let (base, at) = self.access(addr, offset);
        let mut uses: Vec<_> = base.into_iter().collect();
        uses.push((self.source(value), Use::Reg));
        let reuse = Def::Reuse(uses.len() - 1);
        let plain = match operation {
            AtomicOp::Add => op::ADD,
            AtomicOp::And => op::AND,
            AtomicOp::Or => op::OR,
            AtomicOp::Xor => op::XOR,
            AtomicOp::Exchange => {
                return Selected {
                    op: MachOp::AtomicFetch {
                        operation: op::XCHG,
                        at,
                    },
                    uses,
                    def: reuse,
                };
            }
        };
        let plain = i32::from(plain);
        let (op, def) = if needed {
            let operation = plain | op::FETCH;
            (MachOp::AtomicFetch { operation, at }, reuse)
        } else {
            (MachOp::Atomic { operation: plain, at }, Def::None)
        };
        Selected { op, uses, def }
    }

    fn element(&self, op: &Op) -> Selected {
        let Op::ElementAddr {
            base,
            index,
            count,
            stride,
        } = op
        else {
            unreachable!("called for element addresses only");
        };
        if let Some((base, by)) = self.displaced(op)
            && let Ok(imm) = i32::try_from(by)
        {
            return alu_imm(op::ALU64 | op::ADD, self.source(base), imm);
        }
        Selected {
            op: MachOp::Element {
                mask: (*count - 1) as i32,
                stride: *stride,
            },
            uses: vec![(self.source(*base), Use::Reg), (self.source(*index), Use::Reg)],
            def: Def::Reuse(1),
        }
    }

    fn call(&self, callee: Callee, args: &[Value], clamp: Option<Clamp>, needed: bool) -> Selected {
        Selected {
            op: MachOp::Call {
                callee,
                clamp,
                given: Given::default(),
            },
            uses: args
                .iter()
                .enumerate()
                .map(|(i, &arg)| (self.source(arg), Use::Fixed(argument(i))))
                .collect(),
            def: if needed { Def::Fixed(RESULT) } else { Def::None },
        }
    }

    /// A branch on `a COND b`.
    pub(super) fn branch(&self, cond: Cond, a: Value, b: Value) -> SelectedBranch {
        let tests = self.constant(b) == Some(0) && matches!(cond, Cond::Eq | Cond::Ne);
        let uses = self.uses[self.root(a).0 as usize];
        if tests && uses.all == uses.tested {
            let negated = cond == Cond::Eq;
            match self.op(a) {
                Some(Op::Cmp(cond, a, b)) => {
                    let (compare, uses) = self.compare(*cond, *a, *b);
                    return SelectedBranch {
                        compare,
                        uses,
                        negated,
                    };
                }
                Some(Op::Bin(BinOp::And, a, b)) => {
                    let (a, b) = if self.constant(*a).is_some() {
                        (b, a)
                    } else {
                        (a, b)
                    };
                    let (compare, uses) = self.compared(op::JMP | op::JSET, *a, *b);
                    return SelectedBranch {
                        compare,
                        uses,
                        negated,
                    };
                }
                _ => {}
            }
        }
        let (compare, uses) = self.compare(cond, a, b);
        SelectedBranch {
            compare,
            uses,
            negated: false,
        }
    }

    fn compare(&self, cond: Cond, a: Value, b: Value) -> (Compare, Vec<(Source, Use)>) {
        let (cond, a, b) = if self.constant(a).is_some() && self.constant(b).is_none() {
            (swapped(cond), b, a)
        } else {
            (cond, a, b)
        };
        if let Some(c) = self.constant(b)
            && let Some(Op::Extend {
                bits: 32,
                signed,
                value,
            }) = self.op(a)
            && let Some(imm) = half_imm(cond, *signed, c)
        {
            let uses = self.uses[self.root(a).0 as usize];
            if uses.all == uses.compared {
                let compare = Compare {
                    code: op::JMP32 | jump_code(cond),
                    imm: Some(imm),
                };
                return (compare, vec![(self.source(*value), Use::Reg)]);
            }
        }
        self.compared(op::JMP | jump_code(cond), a, b)
    }

    fn compared(&self, code: u8, a: Value, b: Value) -> (Compare, Vec<(Source, Use)>) {
        let imm = self.constant(b).and_then(|c| i32::try_from(c).ok());
        let mut uses = vec![(self.source(a), Use::Reg)];
        if imm.is_none() {
            uses.push((self.source(b), Use::Reg));
        }
        (Compare { code, imm }, uses)
    }
}

fn helper_callee(helper: Helper) -> Callee {
    Callee::Helper(helper.row().number)
}

fn alu_imm(code: u8, a: Source, imm: i32) -> Selected {
    Selected {
        op: MachOp::AluImm { code, imm },
        uses: vec![(a, Use::Reg)],
        def: Def::Reuse(0),
    }
}

fn single(op: MachOp, a: Source) -> Selected {
    Selected {
        op,
        uses: vec![(a, Use::Reg)],
        def: Def::Reg,
    }
}

/// `a OP c` without `c` in a register, if possible.
fn bin_const(operation: BinOp, a: Source, c: i64) -> Option<Selected> {
    let power = (c > 0 && c.count_ones() == 1).then(|| c.trailing_zeros() as i32);
    Some(match (operation, power) {
        (BinOp::Shl | BinOp::LShr | BinOp::AShr, _) => {
            alu_imm(op::ALU64 | alu_code(operation), a, (c & 63) as i32)
        }
        // The kernel refuses division by an immediate 0.
        (BinOp::UDiv, _) if c == 0 => Selected {
            op: MachOp::LoadImm(0),
            uses: Vec::new(),
            def: Def::Reg,
        },
        (BinOp::URem, _) if c == 0 => single(MachOp::Move, a),
        (BinOp::Mul, Some(shift)) => alu_imm(op::ALU64 | op::LSH, a, shift),
        (BinOp::UDiv, Some(shift)) => alu_imm(op::ALU64 | op::RSH, a, shift),
        (BinOp::URem, Some(_)) => return bin_const(BinOp::And, a, c - 1),
        (BinOp::And, _) if c == i64::from(u32::MAX) => single(MachOp::Move32, a),
        // Arithmetic on the low half clears the upper.
        (BinOp::And, _) if i32::try_from(c).is_err() => {
            alu_imm(op::ALU | op::AND, a, u32::try_from(c).ok()? as i32)
        }
        _ => alu_imm(op::ALU64 | alu_code(operation), a, i32::try_from(c).ok()?),
    })
}

fn extend(bits: u8, signed: bool, value: Source) -> Vec<Selected> {
    match (bits, signed) {
        (32, false) => vec![single(MachOp::Move32, value)],
        (_, false) => vec![alu_imm(op::ALU64 | op::AND, value, (1 << bits) - 1)],
        // `MOVSX` and `MEMSX` need kernel 6.6.
        (_, true) => {
            let shift = 64 - i32::from(bits);
            vec![
                alu_imm(op::ALU64 | op::LSH, value, shift),
                alu_imm(op::ALU64 | op::ARSH, Source::Previous, shift),
            ]
        }
    }
}

fn load(base: Option<(Source, Use)>, at: Access, width: Width, signed: bool) -> Vec<Selected> {
    let mut selected = vec![Selected {
        op: MachOp::Load {
            size: size(width),
            at,
        },
        uses: base.into_iter().collect(),
        def: Def::Reg,
    }];
    if signed && width != Width::B8 {
        selected.extend(extend(width.bytes() as u8 * 8, true, Source::Previous));
    }
    selected
}
