//! The IR's own checker: what holds of every function that reaches code generation.
//!
//! In: a [`Function`] and the sizes of what it refers to. Out: the same function as [`Verified`], which only this
//! module can make, or every fault found. A fault is a bug of the stage that made the function, never of a script.
//!
//! Of all blocks:
//! - ids are in range; every value is defined exactly once; every instruction stands in one block at most.
//!
//! Of reachable blocks:
//! - each ends in a terminator; targets exist, take as many parameters as they are given, and are not the entry;
//! - the entry block has no parameters;
//! - a definition dominates its uses: it stands above them in the block or in a dominating block;
//! - an instruction has a result where its operation makes one (stores make none; atomics and calls may go without);
//! - helpers get as many arguments as they take (at most 5), maps and contexts only where they want one;
//!   what is clamped is a number, and so that its greatest value fits an immediate;
//! - `Extend` is from 8, 16 or 32 bits; a signed access is of less than 8 bytes;
//! - an `ElementAddr`'s count is a power of two, its stride not 0, and the whole array below 2 GiB;
//! - context reads are at offsets from 0 on; the context pointer goes nowhere but to helpers that want it
//!   into a sum, which is an address for helpers that read any, into the shared frame, and in an atomic addition into a slot;
//! - callbacks exist and go nowhere but to helpers that call them; arguments are those of callbacks and subprograms;
//! - subprograms exist, are given as many numbers as they take, and use neither the context nor each other;
//! - map pointers go nowhere but to helpers, directly, not through block parameters;
//! - slot addresses stay inside their slot, and so do accesses at constant offsets; the same for program memory;
//! - nothing is read from or written to a constant address;
//! - atomics on slots and program memory are aligned to 8 bytes;
//! - kernel maps exist.
//!
//! Of [`Stage::Placed`] functions also: every slot whose address is taken lives on the frame, aligned to 8, within
//! 512 bytes. Offsets of accesses fit 16 bits by their type.

use super::cfg::Cfg;
use super::{
    AtomicOp, BinOp, Block, CallbackId, Function, Home, Inst, InstData, Op, Role, Slot, Target, Terminator,
    Value, Width, shared_frame,
};
use crate::helper::Arg;
use crate::plan::Plan;
use std::fmt;
use std::ops::Deref;

/// Something that was checked; can be read, not changed.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Gives it back, to be changed and so to be checked anew.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The sizes of what functions refer to by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many kernel maps there are.
    pub bpf_maps: usize,
    /// Bytes of program memory.
    pub memory: u32,
}

impl From<&Plan> for Limits {
    fn from(plan: &Plan) -> Self {
        Self {
            bpf_maps: plan.bpf_maps.len(),
            memory: plan.memory.size,
        }
    }
}

/// How far a function has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Slots need not have a home.
    Lowered,
    /// Every slot in use is on the frame.
    Placed,
}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The function.
    pub function: String,
    /// The block.
    pub block: Block,
    /// The instruction; `None` for the block's parameters or terminator.
    pub inst: Option<Inst>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.function, self.block)?;
        if let Some(inst) = self.inst {
            write!(f, ", {inst}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for VerifyError {}

/// Checks a function that is about to become code.
///
/// # Errors
/// Every fault found.
pub fn verify(func: Function, limits: Limits) -> Result<Verified<Function>, Vec<VerifyError>> {
    let errors = check(&func, limits, Stage::Placed);
    if errors.is_empty() {
        Ok(Verified(func))
    } else {
        Err(errors)
    }
}

/// Every fault of a function, for use between passes.
pub fn check(func: &Function, limits: Limits, stage: Stage) -> Vec<VerifyError> {
    let callbacks: Vec<Role> = func.callbacks.iter().map(|callback| callback.role).collect();
    let mut errors = check_one(func, limits, stage, &callbacks);
    for callback in &func.callbacks {
        errors.extend(check_one(callback, limits, stage, &callbacks));
    }
    errors
}

/// Every fault of one function of a program with such callbacks and subprograms.
fn check_one(func: &Function, limits: Limits, stage: Stage, callbacks: &[Role]) -> Vec<VerifyError> {
    let mut checker = Checker {
        func,
        limits,
        stage,
        callbacks,
        definitions: vec![None; func.values as usize],
        at: (func.entry, None),
        errors: Vec::new(),
    };
    checker.structure();
    // The rest follows ids around, so it needs them in range.
    if checker.errors.is_empty() {
        checker.reachable();
    }
    checker.errors
}

/// How many arguments a function can have; the context is none of them.
fn arguments(role: Role) -> u8 {
    match role {
        Role::Main => 0,
        Role::Callback { .. } => 5,
        Role::Subprogram { arguments } => arguments,
    }
}

/// Where a value comes from. Parameters stand before the first instruction.
#[derive(Clone, Copy)]
struct Definition {
    block: Block,
    /// Place in the block: 0 for parameters, else 1 + the instruction's index.
    place: usize,
    inst: Option<Inst>,
}

struct Checker<'a> {
    func: &'a Function,
    limits: Limits,
    stage: Stage,
    callbacks: &'a [Role],
    definitions: Vec<Option<Definition>>,
    at: (Block, Option<Inst>),
    errors: Vec<VerifyError>,
}

impl Checker<'_> {
    fn fault(&mut self, reason: impl Into<String>) {
        self.errors.push(VerifyError {
            function: self.func.name.clone(),
            block: self.at.0,
            inst: self.at.1,
            reason: reason.into(),
        });
    }

    /// Ids in range and single definitions, in all blocks.
    fn structure(&mut self) {
        let func = self.func;
        if func.entry.0 as usize >= func.blocks.len() {
            return self.fault("there is no entry block");
        }
        let mut placed = vec![false; func.insts.len()];
        for (b, data) in func.blocks.iter().enumerate() {
            let block = Block(b as u32);
            self.at = (block, None);
            for &param in &data.params {
                self.define(param, block, 0, None);
            }
            for (i, &inst) in data.insts.iter().enumerate() {
                self.at = (block, Some(inst));
                let Some(inst_data) = func.insts.get(inst.0 as usize) else {
                    self.fault("there is no such instruction");
                    continue;
                };
                if std::mem::replace(&mut placed[inst.0 as usize], true) {
                    self.fault("stands in two places");
                }
                for value in inst_data.op.operands() {
                    self.in_range(value);
                }
                if let Some(result) = inst_data.result {
                    self.define(result, block, i + 1, Some(inst));
                }
            }
            self.at = (block, None);
            if let Some(terminator) = &data.terminator {
                operands(terminator).into_iter().for_each(|v| self.in_range(v));
            }
        }
    }

    fn in_range(&mut self, value: Value) {
        if value.0 >= self.func.values {
            self.fault(format!("there is no {value}"));
        }
    }

    fn define(&mut self, value: Value, block: Block, place: usize, inst: Option<Inst>) {
        let definition = Definition { block, place, inst };
        match self.definitions.get_mut(value.0 as usize) {
            None => self.fault(format!("there is no {value}")),
            Some(Some(_)) => self.fault(format!("{value} is defined twice")),
            Some(slot) => *slot = Some(definition),
        }
    }

    fn reachable(&mut self) {
        let func = self.func;
        let cfg = Cfg::of(func);
        self.at = (func.entry, None);
        if !func.blocks[func.entry.0 as usize].params.is_empty() {
            self.fault("the entry block has parameters");
        }
        for &block in &cfg.order {
            let data = &func.blocks[block.0 as usize];
            for (i, &inst) in data.insts.iter().enumerate() {
                self.at = (block, Some(inst));
                for value in func.insts[inst.0 as usize].op.operands() {
                    self.dominated(&cfg, value, i + 1);
                }
                self.inst(inst);
            }
            self.at = (block, None);
            match &data.terminator {
                None => self.fault("has no terminator"),
                Some(terminator) => {
                    for value in operands(terminator) {
                        self.dominated(&cfg, value, data.insts.len() + 1);
                        self.ordinary(value);
                    }
                    for target in terminator.targets() {
                        self.target(target);
                    }
                }
            }
        }
    }

    /// That `value` is there at `place` of the current block.
    fn dominated(&mut self, cfg: &Cfg, value: Value, place: usize) {
        let block = self.at.0;
        let ok = self.definitions[value.0 as usize].is_some_and(|def| {
            if def.block == block {
                def.place < place
            } else {
                cfg.dominates(def.block, block)
            }
        });
        if !ok {
            self.fault(format!("{value} is used where it may not be defined"));
        }
    }

    fn target(&mut self, target: &Target) {
        let Some(data) = self.func.blocks.get(target.block.0 as usize) else {
            return self.fault(format!("there is no {}", target.block));
        };
        if target.block == self.func.entry {
            self.fault("jumps to the entry block");
        }
        if data.params.len() != target.args.len() {
            self.fault(format!(
                "{} takes {} values and gets {}",
                target.block,
                data.params.len(),
                target.args.len()
            ));
        }
    }

    fn origin(&self, value: Value) -> Option<&Op> {
        let inst = self.definitions[value.0 as usize]?.inst?;
        Some(&self.func.insts[inst.0 as usize].op)
    }

    fn is_map(&self, value: Value) -> bool {
        matches!(self.origin(value), Some(Op::MapPtr(_) | Op::MapSelect { .. }))
    }

    fn is_ctx(&self, value: Value) -> bool {
        matches!(self.origin(value), Some(Op::Ctx))
    }

    fn is_callback(&self, value: Value) -> bool {
        matches!(self.origin(value), Some(Op::Callback(_)))
    }

    /// Whether an operation keeps the context for callbacks, or its address.
    fn saves_ctx(&self, op: &Op) -> bool {
        let is_shared_frame = |addr: Value| match (self.origin(addr), self.func.shared_frame) {
            (Some(Op::SlotAddr(slot, 0)), Some(frame)) => *slot == frame,
            _ => false,
        };
        match op {
            Op::Store {
                addr,
                offset: shared_frame::CTX,
                value,
                ..
            } => self.is_ctx(*value) && is_shared_frame(*addr),
            // How its address is made a number.
            Op::Atomic {
                op: AtomicOp::Add,
                addr,
                value,
                ..
            } => self.is_ctx(*value) && matches!(self.origin(*addr), Some(Op::SlotAddr(..))),
            _ => false,
        }
    }

    /// That `value` is none of maps, callbacks and the context, which only helpers take.
    fn ordinary(&mut self, value: Value) {
        if self.is_map(value) {
            self.fault(format!("{value} is a map and can only be given to a helper"));
        } else if self.is_callback(value) {
            self.fault(format!("{value} is a callback and can only be given to a helper"));
        } else if self.is_ctx(value) {
            self.fault(format!(
                "{value} is the context and can only be given to a helper"
            ));
        }
    }

    /// Whether an instruction has a result just where it makes one.
    fn result(&mut self, data: &InstData) {
        let makes_none = matches!(data.op, Op::Store { .. });
        let may_go_without = matches!(
            data.op,
            Op::CallBounded { .. }
                | Op::Call(..)
                | Op::CallSubprogram(..)
                | Op::Atomic { .. }
                | Op::CompareExchange { .. }
        );
        if makes_none && data.result.is_some() {
            self.fault("a store has no result");
        } else if !makes_none && !may_go_without && data.result.is_none() {
            self.fault("has no result");
        }
    }

    fn inst(&mut self, inst: Inst) {
        let data = &self.func.insts[inst.0 as usize];
        self.result(data);
        if !matches!(data.op, Op::Call(..) | Op::CallBounded { .. }) && !self.saves_ctx(&data.op) {
            for value in data.op.operands() {
                // The address of a part of the context, to be read by helpers that take any address; the address as a number.
                let is_address = matches!(data.op, Op::Bin(BinOp::Add, ..) | Op::Atomic { .. });
                if !(is_address && self.is_ctx(value)) {
                    self.ordinary(value);
                }
            }
        }
        match &data.op {
            Op::SignedDiv { by, .. } if matches!(by, -1 | 0) => {
                self.fault(format!("signed division by {by}"));
            }
            Op::Extend { bits, .. } if !matches!(bits, 8 | 16 | 32) => {
                self.fault(format!("extends from {bits} bits"));
            }
            Op::Load {
                addr,
                offset,
                width,
                signed,
            } => {
                self.signed_width(*signed, *width);
                self.access(*addr, *offset, *width, false);
            }
            Op::Store {
                addr, offset, width, ..
            } => self.access(*addr, *offset, *width, false),
            Op::Atomic { addr, offset, .. } | Op::CompareExchange { addr, offset, .. } => {
                self.access(*addr, *offset, Width::B8, true);
            }
            Op::Ctx | Op::CtxLoad { .. } if matches!(self.func.role, Role::Subprogram { .. }) => {
                self.fault("a subprogram has no context");
            }
            Op::CtxLoad {
                offset,
                width,
                signed,
            } => {
                self.signed_width(*signed, *width);
                if *offset < 0 {
                    self.fault("reads in front of the context");
                }
            }
            Op::Argument(n) if *n >= arguments(self.func.role) => {
                self.fault(format!("there is no argument {n}"));
            }
            Op::Callback(id) => match self.callbacks.get(id.0 as usize) {
                Some(Role::Callback { .. }) => {}
                _ => self.fault(format!("there is no callback {id}")),
            },
            Op::CallSubprogram(id, args) => self.subprogram_call(*id, args),
            Op::Memory(offset) if *offset >= self.limits.memory => {
                self.fault("points outside the program memory");
            }
            Op::MapPtr(map) => self.map_exists(map.0),
            Op::MapSelect { maps, .. } => maps.iter().for_each(|m| self.map_exists(m.0)),
            Op::SlotAddr(slot, offset) => self.slot(*slot, *offset),
            Op::ElementAddr { count, stride, .. } => self.array(*count, *stride),
            Op::Call(helper, args) => self.call(helper.row().name, helper.row().args, args),
            Op::CallBounded {
                helper,
                args,
                bounded,
                max,
            } => {
                let row = helper.row();
                self.call(row.name, row.args, args);
                if row.args.get(usize::from(*bounded)) != Some(&Arg::Scalar) || *max > i32::MAX as u32 {
                    self.fault(format!("{}: argument {bounded} clamped to {max}", row.name));
                }
            }
            _ => {}
        }
    }

    fn subprogram_call(&mut self, id: CallbackId, args: &[Value]) {
        let takes = match self.callbacks.get(id.0 as usize) {
            Some(Role::Subprogram { arguments }) => Some(usize::from(*arguments)),
            _ => None,
        };
        if takes != Some(args.len()) || matches!(self.func.role, Role::Subprogram { .. }) {
            self.fault(format!("{id} is no subprogram that can be called so"));
        }
        for &arg in args {
            if matches!(self.origin(arg), Some(Op::SlotAddr(..) | Op::Memory(_))) {
                self.fault(format!("{arg} is an address and given to a subprogram"));
            }
        }
    }

    fn array(&mut self, count: u32, stride: u32) {
        let bytes = u64::from(count) * u64::from(stride);
        if !count.is_power_of_two() || stride == 0 || bytes > i32::MAX as u64 {
            self.fault(format!("an array of {count} elements of {stride} bytes"));
        }
    }

    fn signed_width(&mut self, signed: bool, width: Width) {
        if signed && width == Width::B8 {
            self.fault("a signed access of 8 bytes");
        }
    }

    fn map_exists(&mut self, map: u32) {
        if map as usize >= self.limits.bpf_maps {
            self.fault(format!("there is no kernel map {map}"));
        }
    }

    fn slot(&mut self, slot: Slot, offset: u32) {
        let Some(data) = self.func.slots.get(slot.0 as usize) else {
            return self.fault(format!("there is no {slot}"));
        };
        if data.size % 8 != 0 {
            self.fault(format!("{slot} is {} bytes, not a multiple of 8", data.size));
        }
        if offset >= data.size {
            self.fault(format!("points outside {slot}"));
        }
        match data.home {
            Home::Frame(at) => {
                let at = i64::from(at);
                if at % 8 != 0 || at < -i64::from(FRAME) || at + i64::from(data.size) > 0 {
                    self.fault(format!("{slot} is at {at} of the frame, {} bytes", data.size));
                }
            }
            Home::Scratch(_) | Home::Unplaced if self.stage == Stage::Placed => {
                self.fault(format!("{slot} is not on the frame"));
            }
            Home::Scratch(_) | Home::Unplaced => {}
        }
    }

    /// An access to `width` bytes at `addr + offset`, as far as it is known what that is.
    fn access(&mut self, addr: Value, offset: i16, width: Width, atomic: bool) {
        let (what, start, size) = match self.origin(addr) {
            Some(Op::Const(_)) => return self.fault("accesses a constant address"),
            Some(Op::Bin(_, a, b)) if self.is_ctx(*a) || self.is_ctx(*b) => {
                return self
                    .fault("accesses the context through an address: only helpers and loads of it can");
            }
            Some(Op::SlotAddr(slot, start)) => match self.func.slots.get(slot.0 as usize) {
                Some(data) => (slot.to_string(), *start, data.size),
                None => return,
            },
            Some(Op::Memory(start)) => ("the program memory".into(), *start, self.limits.memory),
            _ => return,
        };
        let start = i64::from(start) + i64::from(offset);
        if start < 0 || start + i64::from(width.bytes()) > i64::from(size) {
            self.fault(format!("accesses bytes outside {what}"));
        }
        if atomic && start % 8 != 0 {
            self.fault("an atomic access that is not aligned to 8 bytes");
        }
    }

    fn call(&mut self, name: &str, params: &[Arg], args: &[Value]) {
        if params.len() != args.len() || params.len() > 5 {
            return self.fault(format!(
                "{name} takes {} arguments and gets {}",
                params.len(),
                args.len()
            ));
        }
        for (param, &arg) in params.iter().zip(args) {
            let is_map = self.is_map(arg);
            let is_ctx = self.is_ctx(arg);
            if (*param == Arg::Map) != is_map {
                self.fault(format!(
                    "{name}: {arg} {} a map",
                    if is_map { "is" } else { "is not" }
                ));
            }
            if (*param == Arg::Callback) != self.is_callback(arg) {
                self.fault(format!("{name}: {arg} as a callback"));
            }
            if (*param == Arg::Ctx) != is_ctx && !accepts_ctx_as_number(*param) {
                self.fault(format!(
                    "{name}: {arg} {} the context",
                    if is_ctx { "is" } else { "is not" }
                ));
            }
        }
    }
}

/// The probe_read family takes any number as an address, so a record can be read from as kernel memory.
fn accepts_ctx_as_number(param: Arg) -> bool {
    param == Arg::Scalar
}

/// Bytes of a BPF program's stack frame (`MAX_BPF_STACK`, include/linux/filter.h).
pub const FRAME: u32 = 512;

fn operands(terminator: &Terminator) -> Vec<Value> {
    let mut values: Vec<Value> = terminator
        .targets()
        .flat_map(|t| t.args.iter().copied())
        .collect();
    match terminator {
        Terminator::Jump(_) => {}
        Terminator::Branch { a, b, .. } => values.extend([*a, *b]),
        Terminator::Return(value) => values.push(*value),
    }
    values
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
