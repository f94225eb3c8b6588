//! Instruction selection: which machine operations an IR operation becomes.
//!
//! In: IR operations and terminators. Out: [`Selected`] operations, whose operands say where each value comes from.
//! Folded on the way, so that nothing is left of them: constants that fit an immediate, offsets that fit an access,
//! comparisons that only branches look at, extensions that a store or a 32-bit comparison makes anyway.

use super::machine::{Access, Clamp, Compare, MachOp};
use super::{RESULT, argument};
use crate::bpf::{Reg, op};
use crate::helper::Helper;
use crate::ir::cfg::Cfg;
use crate::ir::{AtomicOp, BinOp, Cond, Function, Home, Inst, Op, Slot, Terminator, Value, Width};
use crate::plan::BpfMapId;

/// How many additions of constants to an address are folded.
const MAX_CHAIN: u32 = 8;

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

/// How often a value is used, and how often in ways that fold its definition away.
#[derive(Clone, Copy, Default)]
struct Uses {
    all: u32,
    /// As the address of an access.
    address: u32,
    /// Compared with 0 for equality by a branch.
    tested: u32,
    /// Compared with a constant by a branch or comparison.
    compared: u32,
}

impl<'a> Selector<'a> {
    pub(super) fn of(func: &'a Function, cfg: &Cfg) -> Self {
        let mut selector = Self {
            func,
            definitions: vec![None; func.values as usize],
            aliases: vec![None; func.values as usize],
            uses: vec![Uses::default(); func.values as usize],
        };
        for &block in &cfg.order {
            for &inst in &func.blocks[block.0 as usize].insts {
                if let Some(result) = func.insts[inst.0 as usize].result {
                    selector.definitions[result.0 as usize] = Some(inst);
                }
            }
        }
        selector.find_aliases(cfg);
        for &block in &cfg.order {
            let data = &func.blocks[block.0 as usize];
            for &inst in &data.insts {
                selector.count_uses(&func.insts[inst.0 as usize].op);
            }
            if let Some(terminator) = &data.terminator {
                selector.count_terminator(terminator);
            }
        }
        selector
    }

    /// A parameter of a block that one edge enters equals the argument; an element of a single-element array is its
    /// base.
    fn find_aliases(&mut self, cfg: &Cfg) {
        let func = self.func;
        // Definitions come before uses in this order, so aliases of aliases are resolved at once.
        for &block in &cfg.order {
            let data = &func.blocks[block.0 as usize];
            for &inst in &data.insts {
                let data = &func.insts[inst.0 as usize];
                if let (Op::ElementAddr { base, count: 1, .. }, Some(result)) = (&data.op, data.result) {
                    self.aliases[result.0 as usize] = Some(self.root(*base));
                }
            }
            for target in data.terminator.iter().flat_map(Terminator::targets) {
                if cfg.predecessors(target.block).len() == 1 {
                    let params = &func.blocks[target.block.0 as usize].params;
                    for (param, arg) in params.iter().zip(&target.args) {
                        self.aliases[param.0 as usize] = Some(self.root(*arg));
                    }
                }
            }
        }
    }

    /// The value that `value` stands for.
    pub(super) fn root(&self, value: Value) -> Value {
        self.aliases[value.0 as usize].unwrap_or(value)
    }

    pub(super) fn is_alias(&self, value: Value) -> bool {
        self.aliases[value.0 as usize].is_some()
    }

    /// The instruction that defines a value; `None` for parameters.
    pub(super) fn definition(&self, value: Value) -> Option<Inst> {
        self.definitions[value.0 as usize]
    }

    fn op(&self, value: Value) -> Option<&'a Op> {
        let inst = self.definition(self.root(value))?;
        Some(&self.func.insts[inst.0 as usize].op)
    }

    fn constant(&self, value: Value) -> Option<i64> {
        match self.op(value)? {
            Op::Const(c) => Some(*c),
            _ => None,
        }
    }

    fn uses_mut(&mut self, value: Value) -> &mut Uses {
        let root = self.root(value);
        &mut self.uses[root.0 as usize]
    }

    fn count_uses(&mut self, op: &Op) {
        for value in op.operands() {
            self.uses_mut(value).all += 1;
        }
        match op {
            Op::Load { addr, .. }
            | Op::Store { addr, .. }
            | Op::Atomic { addr, .. }
            | Op::CompareExchange { addr, .. } => self.uses_mut(*addr).address += 1,
            Op::Cmp(_, a, b) if self.constant(*b).is_some() => self.uses_mut(*a).compared += 1,
            _ => {}
        }
    }

    fn count_terminator(&mut self, terminator: &Terminator) {
        for target in terminator.targets() {
            for &arg in &target.args {
                self.uses_mut(arg).all += 1;
            }
        }
        match terminator {
            Terminator::Jump(_) => {}
            Terminator::Return(value) => self.uses_mut(*value).all += 1,
            Terminator::Branch { cond, a, b, .. } => {
                let b_is = self.constant(*b);
                self.uses_mut(*b).all += 1;
                let a = self.uses_mut(*a);
                a.all += 1;
                a.compared += u32::from(b_is.is_some());
                a.tested += u32::from(b_is == Some(0) && matches!(cond, Cond::Eq | Cond::Ne));
            }
        }
    }

    /// How an operand gets its value.
    pub(super) fn source(&self, value: Value) -> Source {
        let value = self.root(value);
        match self.op(value) {
            Some(Op::Const(c)) => Source::Const(*c),
            Some(Op::Ctx) => Source::Ctx,
            Some(Op::MapPtr(map)) => Source::Map(*map),
            Some(_) => match self.place(value) {
                (Place::Frame, offset) => i16::try_from(offset).map_or(Source::Value(value), Source::Frame),
                (Place::Memory, offset) => u32::try_from(offset).map_or(Source::Value(value), Source::Memory),
                (Place::At(_), _) => Source::Value(value),
            },
            None => Source::Value(value),
        }
    }

    /// An address as a base and a constant, looking through additions of constants.
    fn place(&self, value: Value) -> (Place, i64) {
        let mut value = self.root(value);
        let mut offset = 0i64;
        // Longer chains are left to the optimiser; following them for every link would take quadratic time.
        for _ in 0..MAX_CHAIN {
            match self.op(value) {
                Some(Op::SlotAddr(slot, at)) => {
                    let at = i64::from(self.home(*slot)) + i64::from(*at);
                    return (Place::Frame, offset.saturating_add(at));
                }
                Some(Op::Memory(at)) => return (Place::Memory, offset.saturating_add(i64::from(*at))),
                op => {
                    let Some((base, by)) = op.and_then(|op| self.displaced(op)) else {
                        break;
                    };
                    let Some(sum) = offset.checked_add(by) else {
                        break;
                    };
                    offset = sum;
                    value = self.root(base);
                }
            }
        }
        (Place::At(value), offset)
    }

    /// What `op` adds a constant to, and the constant.
    fn displaced(&self, op: &Op) -> Option<(Value, i64)> {
        match *op {
            Op::Bin(BinOp::Add, a, b) => match self.constant(b) {
                Some(c) => Some((a, c)),
                None => Some((b, self.constant(a)?)),
            },
            Op::Bin(BinOp::Sub, a, b) => Some((a, self.constant(b)?.checked_neg()?)),
            Op::ElementAddr {
                base,
                index,
                count,
                stride,
            } => {
                let index = self.constant(index)? & (i64::from(count) - 1);
                Some((base, index * i64::from(stride)))
            }
            _ => None,
        }
    }

    /// Where a slot is on the frame.
    fn home(&self, slot: Slot) -> i16 {
        match self.func.slots[slot.0 as usize].home {
            Home::Frame(at) => at,
            Home::Unplaced | Home::Scratch(_) => {
                unreachable!("verified functions have their slots on the frame")
            }
        }
    }

    /// The base operand, if any, and the rest of an access to `addr + offset`.
    fn access(&self, addr: Value, offset: i16) -> (Option<(Source, Use)>, Access) {
        let frame = |offset| (None, Access { frame: true, offset });
        let based = |source, offset| (Some((source, Use::Reg)), Access { frame: false, offset });
        let (place, at) = self.place(addr);
        let total = at.saturating_add(i64::from(offset));
        match (place, i16::try_from(total)) {
            (Place::Frame, Ok(total)) => frame(total),
            // A base that is the same for neighbouring accesses can be used for all of them.
            (Place::Memory, _) => match u32::try_from(total) {
                Ok(total) => based(Source::Memory(total), 0),
                Err(_) => based(self.source(addr), offset),
            },
            (Place::At(base), Ok(total)) if self.only_addresses(addr, base) => {
                based(self.source(base), total)
            }
            _ => based(self.source(addr), offset),
        }
    }

    /// Whether nothing but accesses uses any of the sums on the way from `addr` down to `base`: else they are in
    /// registers anyway.
    fn only_addresses(&self, addr: Value, base: Value) -> bool {
        let mut value = self.root(addr);
        let mut inner = false;
        while value != base {
            let uses = self.uses[value.0 as usize];
            // The inner sums of a chain are used by the outer ones.
            if uses.all != uses.address + u32::from(inner) {
                return false;
            }
            inner = true;
            match self.op(value).and_then(|op| self.displaced(op)) {
                Some((next, _)) => value = self.root(next),
                None => return false,
            }
        }
        true
    }

    /// Whether an operation must be there even if nothing uses its result.
    pub(super) fn has_effect(op: &Op) -> bool {
        matches!(
            op,
            Op::Store { .. }
                | Op::Atomic { .. }
                | Op::CompareExchange { .. }
                | Op::Call(..)
                | Op::CallBounded { .. }
        )
    }

    /// The machine operations of an instruction; the last defines its result. `needed` says whether anything uses it.
    pub(super) fn select(&self, inst: Inst, needed: bool) -> Vec<Selected> {
        match &self.func.insts[inst.0 as usize].op {
            // Where these are needed in a register, the user makes them.
            Op::Const(_) | Op::Ctx | Op::MapPtr(_) | Op::Memory(_) | Op::SlotAddr(..) => Vec::new(),
            Op::Bin(op, a, b) => vec![self.bin(*op, *a, *b)],
            Op::Extend { bits, signed, value } => extend(*bits, *signed, self.source(*value)),
            Op::Cmp(cond, a, b) => {
                let (compare, mut uses) = self.compare(*cond, *a, *b);
                uses.iter_mut().for_each(|(_, kind)| *kind = Use::Late);
                vec![Selected {
                    op: MachOp::SetIf(compare),
                    uses,
                    def: Def::Reg,
                }]
            }
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
            } => {
                let (base, at) = self.access(*addr, *offset);
                let mut uses: Vec<_> = base.into_iter().collect();
                uses.push((self.source(*expected), Use::Fixed(RESULT)));
                uses.push((self.source(*new), Use::Reg));
                vec![Selected {
                    op: MachOp::CompareExchange { at },
                    uses,
                    def: Def::Fixed(RESULT),
                }]
            }
            Op::MapSelect { selector, maps } => vec![Selected {
                op: MachOp::MapSelect(*maps),
                uses: vec![(self.source(*selector), Use::Late)],
                def: Def::Reg,
            }],
            op @ Op::ElementAddr { .. } => vec![self.element(op)],
            Op::Call(helper, args) => vec![self.call(*helper, args, None, needed)],
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
                vec![self.call(*helper, args, Some(clamp), needed)]
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

    fn call(&self, helper: Helper, args: &[Value], clamp: Option<Clamp>, needed: bool) -> Selected {
        Selected {
            op: MachOp::Call {
                number: helper.row().number,
                clamp,
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

/// What an address is based on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The frame pointer.
    Frame,
    /// The start of the program memory.
    Memory,
    /// A value.
    At(Value),
}

/// The immediate by which the low half of a register is compared like its extension to 64 bits with `c`.
fn half_imm(cond: Cond, signed: bool, c: i64) -> Option<i32> {
    use Cond::*;
    match (cond, signed) {
        // Sign extension keeps the order of unsigned numbers too.
        (_, true) => i32::try_from(c).ok(),
        (Eq | Ne | ULt | ULe | UGt | UGe, false) => u32::try_from(c).ok().map(|c| c as i32),
        _ => None,
    }
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

fn is_commutative(operation: BinOp) -> bool {
    matches!(
        operation,
        BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor
    )
}

fn alu_code(operation: BinOp) -> u8 {
    match operation {
        BinOp::Add => op::ADD,
        BinOp::Sub => op::SUB,
        BinOp::Mul => op::MUL,
        BinOp::UDiv => op::DIV,
        BinOp::URem => op::MOD,
        BinOp::And => op::AND,
        BinOp::Or => op::OR,
        BinOp::Xor => op::XOR,
        BinOp::Shl => op::LSH,
        BinOp::LShr => op::RSH,
        BinOp::AShr => op::ARSH,
    }
}

fn jump_code(cond: Cond) -> u8 {
    match cond {
        Cond::Eq => op::JEQ,
        Cond::Ne => op::JNE,
        Cond::ULt => op::JLT,
        Cond::ULe => op::JLE,
        Cond::UGt => op::JGT,
        Cond::UGe => op::JGE,
        Cond::SLt => op::JSLT,
        Cond::SLe => op::JSLE,
        Cond::SGt => op::JSGT,
        Cond::SGe => op::JSGE,
    }
}

/// The condition that holds of `b, a` when `cond` holds of `a, b`.
fn swapped(cond: Cond) -> Cond {
    match cond {
        Cond::Eq | Cond::Ne => cond,
        Cond::ULt => Cond::UGt,
        Cond::ULe => Cond::UGe,
        Cond::UGt => Cond::ULt,
        Cond::UGe => Cond::ULe,
        Cond::SLt => Cond::SGt,
        Cond::SLe => Cond::SGe,
        Cond::SGt => Cond::SLt,
        Cond::SGe => Cond::SLe,
    }
}

fn size(width: Width) -> u8 {
    match width {
        Width::B1 => op::B,
        Width::B2 => op::H,
        Width::B4 => op::W,
        Width::B8 => op::DW,
    }
}
