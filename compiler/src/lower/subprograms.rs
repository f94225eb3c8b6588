//! What a program does to one map again and again, as a function that it calls.
//!
//! An update of an element is a few dozen instructions, most of them for what seldom happens (a new key, a map that is full).
//! A program that has many such statements would have them as often, and the kernel verifier would go through all of it. So
//! behind the first [`INLINE`] statements of one [`Shape`], a program calls a subprogram ([`Role::Subprogram`]), which is compiled
//! once and verified once. Small programs have none: their updates cost no call, and what is done with one key shares its
//! look-ups.
//!
//! A subprogram is given numbers in registers: the words of the key, what it is updated with, and the generation selector
//! that the program has read when it began. What does not fit is done in place.

use super::flow::Scope;
use super::memory::Prepared;
use super::{BodyCx, maps};
use crate::hir::Expr;
use crate::ir::{AtomicOp, Builder, CallbackId, Op, Role, Value, Width};
use crate::plan::{MapId, ProgramKind};
use crate::types::Type;
use std::collections::HashMap;

/// How many statements of one shape are done in place, and how many of all shapes together: what a statement computes of a
/// variable in place, the verifier may follow for each of the variable's values.
const INLINE: u32 = 4;
const INLINE_IN_ALL: u32 = 12;

/// Arguments of a subprogram at most: BPF's registers for them.
const MOST_ARGUMENTS: usize = 5;

/// Functions of a program at most, of the kernel's `BPF_MAX_SUBPROGS` (include/linux/bpf_verifier.h): 256, its main function
/// and loops to come among them.
const MOST_FUNCTIONS: usize = 160;

/// What is done to which map; statements of one shape differ in nothing but numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// An aggregation is updated, with a value and a weight where it takes them.
    Aggregate { map: MapId, value: bool, weight: bool },
    /// An element is assigned to.
    Store(MapId),
    /// A number is changed.
    Change(MapId, AtomicOp),
    /// A number is read.
    Read(MapId),
    /// An element is deleted.
    Delete(MapId),
}

impl Shape {
    fn map(self) -> MapId {
        let (Self::Aggregate { map, .. }
        | Self::Store(map)
        | Self::Change(map, _)
        | Self::Read(map)
        | Self::Delete(map)) = self;
        map
    }
}

/// How often a program has had each shape in place, and the subprograms for it.
#[derive(Default)]
pub(super) struct Subprograms {
    met: HashMap<Shape, u32>,
    /// How many statements have been done in place that could have been calls.
    in_place: u32,
    made: HashMap<Shape, CallbackId>,
}

impl BodyCx<'_> {
    /// Whether what is to be done now is done by a subprogram that is given a key and so many numbers. Asked once for each
    /// statement.
    pub(super) fn is_outlined(&mut self, shape: Shape, numbers: u32) -> bool {
        let plan = self.map_plan(shape.map());
        let selector = maps::selector(&plan.storage).is_some();
        let key = plan.key.as_ref().map_or(0, |key| key.slot_size() / 8);
        // What the kernel knows as pointers, it does not take for numbers.
        let has_pointers = self.probe.kind == ProgramKind::Tracing || !self.addressed.is_empty();
        if (key + numbers) as usize + usize::from(selector) > MOST_ARGUMENTS
            || has_pointers
            || !plan.key.as_ref().is_none_or(is_of_numbers)
        {
            return false;
        }
        let Subprograms { met, in_place, .. } = &mut self.subprograms;
        let met = met.entry(shape).or_default();
        if *met < INLINE && *in_place < INLINE_IN_ALL {
            *met += 1;
            *in_place += 1;
            return false;
        }
        self.subprograms.made.contains_key(&shape) || self.callbacks.len() < MOST_FUNCTIONS
    }

    /// The words of a key, or of another value that is stored at the top level of a map.
    pub(super) fn words_of(&mut self, prepared: &Prepared, ty: &Type) -> Vec<Value> {
        if let Prepared::Scalar(value) = prepared {
            return vec![*value];
        }
        let slot = self.ir.slot(ty.slot_size());
        let addr = self.ir.slot_addr(slot, 0);
        self.fill_slot(prepared, ty, addr, 0, true);
        let words = (0..ty.slot_size() / 8).map(|i| self.ir.load(addr, 8 * i as i16, Width::B8));
        words.collect()
    }

    /// The words of a map's key, if it has one.
    pub(super) fn key_words(&mut self, map: MapId, key: Option<&Expr>) -> Vec<Value> {
        let (Some(key), Some(ty)) = (key, &self.map_plan(map).key) else {
            return Vec::new();
        };
        let prepared = self.prepare(key);
        self.words_of(&prepared, ty)
    }

    /// Calls the subprogram of `shape`, whose body, where it is not there yet, `body` makes; it is handed the arguments.
    /// Gives what that gives, or 0.
    pub(super) fn call_subprogram(
        &mut self,
        shape: Shape,
        mut args: Vec<Value>,
        body: impl FnOnce(&mut Self, &[Value]) -> Option<Value>,
    ) -> Value {
        let selector = maps::selector(&self.map_plan(shape.map()).storage);
        // As the program has read it when it began.
        args.extend(selector.and_then(|offset| self.selector(offset)));
        let id = match self.subprograms.made.get(&shape) {
            Some(&id) => id,
            None => self.subprogram(shape, args.len(), selector, body),
        };
        self.ir.emit(Op::CallSubprogram(id, args[..].into()))
    }

    fn subprogram(
        &mut self,
        shape: Shape,
        arguments: usize,
        selector: Option<u32>,
        body: impl FnOnce(&mut Self, &[Value]) -> Option<Value>,
    ) -> CallbackId {
        let id = CallbackId(self.callbacks.len() as u32);
        self.callbacks.push(None);
        let name = format!("{}_map{}", self.symbol, id.0);
        let role = Role::Subprogram {
            arguments: arguments as u8,
        };
        let mut ir = Builder::with_role(name, self.probe.kind, role);
        ir.set_span(self.span);
        let ir = std::mem::replace(&mut self.ir, ir);
        let args: Vec<Value> = (0..arguments as u8)
            .map(|n| self.ir.emit(Op::Argument(n)))
            .collect();
        // It is no loop's body, and what it needs of the program it is given.
        let selectors = selector.into_iter().zip(args.last().copied()).collect();
        let selectors = std::mem::replace(&mut self.selectors, selectors);
        let callback = self.callback.take();
        let vars = std::mem::take(&mut self.vars);
        let cache = std::mem::take(&mut self.cache);
        let var_slots = std::mem::take(&mut self.var_slots);
        let shared_slots = std::mem::take(&mut self.shared_slots);
        let scopes: Vec<Scope> = std::mem::take(&mut self.scopes);
        let result = body(self, &args);
        let result = result.unwrap_or_else(|| self.ir.iconst(0));
        self.ir.ret(result);
        (self.selectors, self.callback, self.vars, self.cache) = (selectors, callback, vars, cache);
        (self.var_slots, self.shared_slots, self.scopes) = (var_slots, shared_slots, scopes);
        let function = std::mem::replace(&mut self.ir, ir).finish();
        self.callbacks[id.0 as usize] = Some(function);
        self.subprograms.made.insert(shape, id);
        id
    }

    /// The address of the key whose words a subprogram is given.
    pub(super) fn key_of_words(&mut self, map: MapId, words: &[Value]) -> Value {
        if self.map_plan(map).key.is_none() {
            return self.zeros();
        }
        self.stored(words, 0)
    }

    /// The address of these words, in memory of their own, behind which `extra` bytes are free.
    pub(super) fn stored(&mut self, words: &[Value], extra: u32) -> Value {
        let slot = self.ir.slot(words.len() as u32 * 8 + extra);
        let addr = self.ir.slot_addr(slot, 0);
        for (i, &word) in words.iter().enumerate() {
            self.ir.store(addr, 8 * i as i16, Width::B8, word);
        }
        addr
    }

    /// How many words of a map's key a subprogram is given.
    pub(super) fn key_length(&self, map: MapId) -> usize {
        self.map_plan(map)
            .key
            .as_ref()
            .map_or(0, |key| key.slot_size() as usize / 8)
    }
}

/// Whether a value has no part that the kernel can know as a pointer.
pub(super) fn is_of_numbers(ty: &Type) -> bool {
    match ty {
        Type::Bool
        | Type::Int(_)
        | Type::Enum(_)
        | Type::Name(_)
        | Type::Shown(_)
        | Type::Str(_)
        | Type::Bytes(_)
        | Type::Buffer(_)
        | Type::Inet => true,
        Type::Tuple(members) => members.iter().all(is_of_numbers),
        Type::Record(members) => members.iter().all(|(_, member)| is_of_numbers(member)),
        _ => false,
    }
}
