//! Values that memory is known to hold, and map elements that have been found before.
//!
//! In: any function. Out: the same, where
//! * a load from a slot is the value that was stored there, and a store of what is there already is gone,
//! * a lookup is the result of an earlier one of the same map with the same key, if [`super::MapFacts`] says that
//!   elements stay where they are, no path between deletes from the map or replaces an element, and none inserts unless
//!   the earlier result is known not to be NULL. (A NULL may be used again: no other order of this program's and other
//!   CPUs' steps was promised.)
//!
//! Loads through map pointers are left alone. One pass in reverse postorder, so nothing is known at the head of a loop.

use super::Facts;
use super::contents::{Content, Lookup, State, last_accesses};
use super::edit::{Substitution, as_call, constants};
use super::slots::{Access, Kind, Slots};
use crate::helper::{Arg, Helper};
use crate::ir::cfg::Cfg;
use crate::ir::{Block, Cond, Function, Inst, Op, Terminator, Value, Width};
use crate::plan::BpfMapId;
use crate::work;

/// `BPF_NOEXIST` (include/uapi/linux/bpf.h): the update does nothing where there is an element.
const BPF_NOEXIST: i64 = 1;

/// Uses again what is known. Says whether there was anything.
pub(crate) fn run(func: &mut Function, cfg: &Cfg, facts: &Facts) -> bool {
    let slots = Slots::new(func, &cfg.order);
    let last = last_accesses(func, &slots, &cfg.order);
    let mut cx = Cx {
        constants: constants(func),
        maps: maps(func),
        replaced: Substitution::new(func),
        changed: false,
        facts,
        slots,
    };
    let mut ends = Ends::new(func, cfg);
    for (place, &block) in cfg.order.iter().enumerate() {
        let mut state = cx.entry_state(func, cfg, block, &mut ends);
        state.retain_slots(|slot| last[slot.0 as usize] as usize >= place);
        let mut insts = std::mem::take(&mut func.blocks[block.0 as usize].insts);
        insts.retain(|&inst| cx.step(func, inst, &mut state));
        let data = &mut func.blocks[block.0 as usize];
        data.insts = insts;
        if let Some(terminator) = &mut data.terminator {
            terminator.map_operands(|v| cx.replaced.get(v));
        }
        ends.states[block.0 as usize] = Some(state);
    }
    cx.replaced.apply(func) | cx.changed
}

/// What is known at the ends of blocks, kept as long as blocks that follow may ask for it.
struct Ends {
    states: Vec<Option<State>>,
    /// How many blocks will still ask for each.
    asked: Vec<u32>,
}

impl Ends {
    fn new(func: &Function, cfg: &Cfg) -> Self {
        let mut ends = Self {
            states: vec![None; func.blocks.len()],
            asked: vec![0; func.blocks.len()],
        };
        for &block in &cfg.order {
            for pred in distinct_predecessors(cfg, block) {
                ends.asked[pred.0 as usize] += 1;
            }
        }
        ends
    }

    /// The state at the end of a block: a copy only where another block asks later.
    fn take(&mut self, block: Block) -> Option<State> {
        let asked = &mut self.asked[block.0 as usize];
        *asked -= 1;
        let state = &mut self.states[block.0 as usize];
        if *asked == 0 {
            return state.take();
        }
        work::count(state.as_ref().map_or(0, State::len));
        state.clone()
    }
}

/// The predecessors of a block, each once: `handed` lists both edges of a branch to one block together.
fn distinct_predecessors(cfg: &Cfg, block: Block) -> impl Iterator<Item = Block> + use<'_> {
    let preds = cfg.predecessors(block);
    let is_first = move |&i: &usize| i == 0 || preds[i - 1] != preds[i];
    (0..preds.len()).filter(is_first).map(move |i| preds[i])
}

/// The maps that a value can be the pointer of.
#[derive(Clone, Copy)]
enum Maps {
    /// It is no such pointer.
    None,
    /// One.
    One([BpfMapId; 1]),
    /// One of two.
    Two([BpfMapId; 2]),
}

impl std::ops::Deref for Maps {
    type Target = [BpfMapId];

    fn deref(&self) -> &[BpfMapId] {
        match self {
            Self::None => &[],
            Self::One(map) => map,
            Self::Two(maps) => maps,
        }
    }
}

/// The maps that each value can be the pointer of, by value.
fn maps(func: &Function) -> Vec<Maps> {
    let mut all = vec![Maps::None; func.values as usize];
    for data in &func.insts {
        let maps = match &data.op {
            Op::MapPtr(map) => Maps::One([*map]),
            Op::MapSelect { maps, .. } => Maps::Two(*maps),
            _ => continue,
        };
        if let Some(result) = data.result {
            all[result.0 as usize] = maps;
        }
    }
    all
}

struct Cx<'f> {
    facts: &'f Facts,
    slots: Slots,
    constants: Vec<Option<i64>>,
    maps: Vec<Maps>,
    replaced: Substitution,
    changed: bool,
}

impl Cx<'_> {
    /// What is known at the start of `block`: what all its predecessors know, once what they hand over has its new name.
    fn entry_state(&self, func: &Function, cfg: &Cfg, block: Block, ends: &mut Ends) -> State {
        let params = &func.blocks[block.0 as usize].params;
        let mut handed: Vec<&[Value]> = Vec::new();
        let mut state: Option<State> = None;
        for pred in distinct_predecessors(cfg, block) {
            let (Some(mut edge), Some(terminator)) =
                (ends.take(pred), &func.blocks[pred.0 as usize].terminator)
            else {
                return State::default();
            };
            if let Some(value) = self.nonzero_on(terminator, block) {
                edge.learn_nonzero(value);
            }
            let mut targets = terminator.targets().filter(|t| t.block == block).peekable();
            while let Some(target) = targets.next() {
                match &mut state {
                    None if targets.peek().is_none() => state = Some(std::mem::take(&mut edge)),
                    None => state = Some(edge.clone()),
                    Some(state) => state.meet(&edge, |v, w| {
                        let same_so_far = |j: usize| params[j] == v || handed.iter().all(|args| args[j] == v);
                        if v == w {
                            return Some(v);
                        }
                        (0..params.len())
                            .find(|&j| target.args[j] == w && same_so_far(j))
                            .map(|j| params[j])
                    }),
                }
                handed.push(&target.args);
            }
        }
        state.unwrap_or_default()
    }

    /// A value that is not 0 if `terminator` goes on at `to`.
    fn nonzero_on(&self, terminator: &Terminator, to: Block) -> Option<Value> {
        let Terminator::Branch {
            cond,
            a,
            b,
            then,
            otherwise,
        } = terminator
        else {
            return None;
        };
        let side = match cond {
            Cond::Ne | Cond::UGt => then,
            Cond::Eq => otherwise,
            _ => return None,
        };
        let is_certain = side.block == to && then.block != otherwise.block;
        (is_certain && self.constants[b.0 as usize] == Some(0)).then_some(*a)
    }

    /// Goes past an instruction. Says whether it is still needed.
    fn step(&mut self, func: &mut Function, inst: Inst, state: &mut State) -> bool {
        let data = &mut func.insts[inst.0 as usize];
        data.op.map_operands(|v| self.replaced.get(v));
        let first = self.slots.accesses(&data.op).next();
        let known = first.filter(|a| !self.slots.is_escaped(a.slot));
        match (&data.op, known) {
            (
                &Op::Load {
                    addr, width, signed, ..
                },
                Some(access),
            ) if self.slots.place_of(addr).is_some() => {
                let Some(result) = data.result else {
                    return true;
                };
                match state.piece(access.slot, access.start, access.end) {
                    Some(Content::Value(value)) if width == Width::B8 => {
                        self.replaced.set(result, value);
                        return false;
                    }
                    Some(Content::Value(value)) => {
                        data.op = Op::Extend {
                            bits: (width.bytes() * 8) as u8,
                            signed,
                            value,
                        };
                        self.changed = true;
                    }
                    _ if state.is_unknown(access.slot, access.start, access.end) => {
                        state.set(access.slot, access.start, access.end, Content::Value(result));
                    }
                    _ => {}
                }
                return true;
            }
            (&Op::Store { value, .. }, Some(access)) if access.kind == Kind::Store => {
                let content = Content::Value(value);
                if state.piece(access.slot, access.start, access.end) == Some(content) {
                    self.changed = true;
                    return false;
                }
                state.set(access.slot, access.start, access.end, content);
                return true;
            }
            _ => {}
        }
        if let (Some((helper, args)), Some(result)) = (as_call(&data.op), data.result)
            && helper == Helper::MapLookupElem
            && let Some(found) = self.lookup(args, result, state)
        {
            self.replaced.set(result, found);
            return false;
        }
        if let Some((helper, args)) = as_call(&data.op) {
            self.disturb(helper, args, state);
        }
        if matches!(data.op, Op::CallSubprogram(..)) {
            // It may do anything to any map, but has no slot of this function.
            state.forget_lookups();
        }
        for access in self.slots.accesses(&data.op) {
            self.overwrite(inst, &data.op, &access, state);
        }
        true
    }

    /// An earlier result of the same lookup; if there is none, remembers this one.
    fn lookup(&self, args: &[Value], result: Value, state: &mut State) -> Option<Value> {
        let &[map, key] = args else {
            return None;
        };
        let &[map] = &*self.maps[map.0 as usize] else {
            return None;
        };
        let facts = self
            .facts
            .map(map)
            .filter(|m| m.lookup_reusable && m.key_size > 0)?;
        let (slot, start) = self
            .slots
            .place_of(key)
            .filter(|(s, _)| !self.slots.is_escaped(*s))?;
        let key = state.range(slot, start, start.checked_add(facts.key_size)?)?;
        let found = state.lookup(map, &key);
        if found.is_none() {
            state.found(Lookup {
                map,
                key: key.into(),
                result,
                is_found: false,
            });
        }
        found
    }

    /// What a call does to what is known of maps.
    fn disturb(&self, helper: Helper, args: &[Value], state: &mut State) {
        if helper.row().args.contains(&Arg::Callback) {
            // Callbacks may do anything to any map.
            return state.forget_lookups();
        }
        if !matches!(helper, Helper::MapUpdateElem | Helper::MapDeleteElem) {
            return;
        }
        let maps = args.first().map_or(&[][..], |m| &self.maps[m.0 as usize]);
        if maps.is_empty() {
            state.forget_lookups();
        }
        let only_inserts = helper == Helper::MapUpdateElem
            && args.get(3).and_then(|f| self.constants[f.0 as usize]) == Some(BPF_NOEXIST);
        for &map in maps {
            if only_inserts {
                state.inserted(map);
            } else {
                state.recycled(map);
            }
        }
    }

    /// What an access that is no plain load or store does to what is known of slots.
    fn overwrite(&self, inst: Inst, op: &Op, access: &Access, state: &mut State) {
        if access.kind == Kind::Read {
            return;
        }
        state.forget(access);
        let Some((helper, args)) = as_call(op) else {
            return;
        };
        let is_placed = args
            .iter()
            .any(|&v| self.slots.place_of(v) == Some((access.slot, access.start)));
        if access.kind == Kind::Fill && is_placed && !self.slots.is_escaped(access.slot) {
            let content = match helper {
                Helper::GetCurrentComm => Content::Comm,
                _ => Content::Fill(inst),
            };
            state.set(access.slot, access.start, access.end, content);
        }
    }
}
