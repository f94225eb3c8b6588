//! Keeps values in slots where more of them are needed at once than registers and stack hold.
//!
//! In: a function whose slots are unplaced. Out: one of the same meaning in which at most about `keep` values live at any
//! place, as far as there are numbers that can be put aside: such a value is stored where it is defined and loaded where
//! it is used. Pointers stay, because the kernel verifier forgets what a pointer is when it goes through memory that is no
//! stack; so does what costs no more than a move and is made anew at each use.
//!
//! It takes `n log n` for `n` instructions: one walk in reverse postorder that always puts aside the value that is needed
//! longest (linear scan allocation after Poletto and Sarkar, 1999).

use crate::helper::Helper;
use crate::ir::cfg::{Cfg, successors};
use crate::ir::{Block, Function, Home, Inst, InstData, Op, Role, Slot, SlotData, Terminator, Value, Width};
use crate::opt::edit::{new_inst, new_value};
use crate::plan::ProgramKind;
use crate::work;
use crumbs_grammar::span::Span;
use std::collections::BTreeSet;

/// Bytes of a value.
const BYTES: u32 = 8;

/// Lets at most about `keep` values of `func` and each of its callbacks live at once.
pub fn relieve(mut func: Function, keep: usize) -> Function {
    relieve_one(&mut func, keep);
    // Subprograms have no scratch memory, and need none.
    func.callbacks
        .iter_mut()
        .filter(|callback| matches!(callback.role, Role::Callback { .. }))
        .for_each(|callback| relieve_one(callback, keep));
    func
}

fn relieve_one(func: &mut Function, keep: usize) {
    let cfg = Cfg::of(func);
    let ranges = ranges(func, &cfg);
    let numbers = numbers(func, &cfg);
    let aside = choose(&ranges, &numbers, keep);
    if aside.iter().any(|&is_aside| is_aside) {
        rewrite(func, &cfg, &aside);
    }
}

/// From where to where each value is needed, counted in instructions in reverse postorder; `None` of those that are made
/// anew at each use, and of those that are not used.
fn ranges(func: &Function, cfg: &Cfg) -> Vec<Option<(u32, u32)>> {
    let mut ranges: Vec<Option<(u32, u32)>> = vec![None; func.values as usize];
    let mut starts = vec![0; func.blocks.len()];
    let mut loops = Vec::new();
    let mut at = 0;
    for &block in &cfg.order {
        starts[block.0 as usize] = at;
        let data = &func.blocks[block.0 as usize];
        for param in &data.params {
            ranges[param.0 as usize] = Some((at, at));
        }
        for inst in &data.insts {
            at += 1;
            let InstData { op, result, .. } = &func.insts[inst.0 as usize];
            op.operands().for_each(|v| extend(&mut ranges, v, at));
            if let Some(result) = result.filter(|_| !is_made_anew(op)) {
                ranges[result.0 as usize] = Some((at, at));
            }
        }
        at += 1;
        if let Some(terminator) = &data.terminator {
            operands(terminator).for_each(|v| extend(&mut ranges, v, at));
        }
        for next in successors(func, block) {
            if cfg.place(next) <= cfg.place(block) {
                loops.push((starts[next.0 as usize], at));
            }
        }
    }
    let loops = Loops::new(loops);
    for range in ranges.iter_mut().flatten() {
        range.1 = loops.end(*range);
    }
    ranges
}

/// The loops of a function, in order; those that touch each other together, since what ends in one concerns no other.
struct Loops(Vec<Touching>);

/// Loops that touch each other.
struct Touching {
    /// Where the last of them ends.
    end: u32,
    /// Where each begins and ends.
    loops: Vec<(u32, u32)>,
}

impl Loops {
    fn new(mut loops: Vec<(u32, u32)>) -> Self {
        loops.sort_unstable();
        let mut all: Vec<Touching> = Vec::new();
        for (start, end) in loops {
            match all.last_mut() {
                Some(last) if start <= last.end => {
                    last.end = end.max(last.end);
                    last.loops.push((start, end));
                }
                _ => all.push(Touching {
                    end,
                    loops: vec![(start, end)],
                }),
            }
        }
        Self(all)
    }

    /// Where a value is needed last: what a loop finds it needs in each round.
    fn end(&self, (from, to): (u32, u32)) -> u32 {
        // Loops that end before `to` are inside the range.
        let at = self.0.partition_point(|touching| touching.end < to);
        let loops = self.0.get(at).map_or(&[][..], |touching| &touching.loops);
        work::count(1 + loops.len());
        loops
            .iter()
            .fold(to, |to, &(start, end)| match from < start && start <= to {
                true => to.max(end),
                false => to,
            })
    }
}

fn extend(ranges: &mut [Option<(u32, u32)>], value: Value, at: u32) {
    if let Some(range) = &mut ranges[value.0 as usize] {
        range.1 = range.1.max(at);
    }
}

/// Whether code generation makes such a value where it is used.
fn is_made_anew(op: &Op) -> bool {
    matches!(
        op,
        Op::Const(_) | Op::SlotAddr(..) | Op::Memory(_) | Op::MapPtr(_) | Op::Callback(_)
    )
}

/// Which values are numbers, as the kernel verifier sees them.
fn numbers(func: &Function, cfg: &Cfg) -> Vec<bool> {
    let mut numbers = vec![true; func.values as usize];
    let frames = shared_frames(func);
    loop {
        let mut changed = false;
        let mut set = |numbers: &mut Vec<bool>, value: Value, is_number: bool| {
            changed |= numbers[value.0 as usize] && !is_number;
            numbers[value.0 as usize] &= is_number;
        };
        for &block in &cfg.order {
            let data = &func.blocks[block.0 as usize];
            for inst in &data.insts {
                let InstData { op, result, .. } = &func.insts[inst.0 as usize];
                if let Some(result) = *result {
                    let is_number = gives_number(func, op, &frames, &numbers);
                    set(&mut numbers, result, is_number);
                }
            }
            for target in data.terminator.iter().flat_map(Terminator::targets) {
                for (&param, arg) in func.blocks[target.block.0 as usize]
                    .params
                    .iter()
                    .zip(&target.args)
                {
                    let is_number = numbers[arg.0 as usize];
                    set(&mut numbers, param, is_number);
                }
            }
        }
        if !changed {
            return numbers;
        }
    }
}

/// Which values are the address of the shared frame, where a callback finds addresses.
fn shared_frames(func: &Function) -> Vec<bool> {
    let mut found = vec![false; func.values as usize];
    if let Role::Callback { frame, .. } = func.role {
        let arguments = func.insts.iter().filter(|data| data.op == Op::Argument(frame));
        for value in arguments.filter_map(|data| data.result) {
            found[value.0 as usize] = true;
        }
    }
    found
}

/// Whether `op` gives a number, as far as that is known of its operands.
fn gives_number(func: &Function, op: &Op, frames: &[bool], numbers: &[bool]) -> bool {
    match op {
        Op::Const(_)
        | Op::SignedDiv { .. }
        | Op::Extend { .. }
        | Op::Cmp(..)
        | Op::Atomic { .. }
        | Op::CompareExchange { .. } => true,
        Op::Bin(_, a, b) => numbers[a.0 as usize] && numbers[b.0 as usize],
        Op::Load { addr, .. } => !frames[addr.0 as usize],
        Op::CtxLoad { .. } => matches!(
            func.kind,
            ProgramKind::RawTracepoint
                | ProgramKind::Kprobe
                | ProgramKind::Tracepoint
                | ProgramKind::PerfEvent
        ),
        Op::Call(helper, _) | Op::CallBounded { helper, .. } => !matches!(
            helper,
            Helper::MapLookupElem | Helper::MapLookupPercpuElem | Helper::RingbufReserve
        ),
        // `bpf_loop` gives its callback a count and the shared frame; `bpf_for_each_map_elem` gives three addresses before it.
        Op::Argument(0) => matches!(func.role, Role::Callback { frame: 1, .. }),
        Op::CallSubprogram(..) => true,
        Op::Store { .. }
        | Op::Ctx
        | Op::Argument(_)
        | Op::Callback(_)
        | Op::Memory(_)
        | Op::MapPtr(_)
        | Op::MapSelect { .. }
        | Op::SlotAddr(..)
        | Op::ElementAddr { .. } => false,
    }
}

/// The values to put aside.
fn choose(ranges: &[Option<(u32, u32)>], numbers: &[bool], keep: usize) -> Vec<bool> {
    let mut order: Vec<(u32, u32, usize)> = ranges
        .iter()
        .enumerate()
        .filter_map(|(value, range)| range.map(|(start, end)| (start, end, value)))
        .collect();
    order.sort_unstable();
    let mut aside = vec![false; ranges.len()];
    // What lives, by where it ends: numbers, and how many others.
    let mut live: BTreeSet<(u32, usize)> = BTreeSet::new();
    let mut pointers: BTreeSet<(u32, usize)> = BTreeSet::new();
    for (start, end, value) in order {
        for ends in [&mut live, &mut pointers] {
            while ends.first().is_some_and(|&(end, _)| end <= start) {
                ends.pop_first();
            }
        }
        match numbers[value] {
            true => live.insert((end, value)),
            false => pointers.insert((end, value)),
        };
        while live.len() + pointers.len() > keep {
            let Some((_, value)) = live.pop_last() else { break };
            aside[value] = true;
        }
    }
    aside
}

/// Stores what is put aside where it is defined, and loads it where it is used.
fn rewrite(func: &mut Function, cfg: &Cfg, aside: &[bool]) {
    let mut slots: Vec<Option<Slot>> = vec![None; aside.len()];
    for (value, _) in aside.iter().enumerate().filter(|(_, is_aside)| **is_aside) {
        slots[value] = Some(Slot(func.slots.len() as u32));
        func.slots.push(SlotData {
            size: BYTES,
            home: Home::Unplaced,
            shared: None,
        });
    }
    for &block in &cfg.order {
        rewrite_block(func, block, &slots);
    }
}

fn rewrite_block(func: &mut Function, block: Block, slots: &[Option<Slot>]) {
    let slot_of = |value: Value| slots.get(value.0 as usize).copied().flatten();
    let at = block.0 as usize;
    let mut out = Vec::new();
    let span = func.blocks[at].terminator_span;
    for param in func.blocks[at].params.clone() {
        if let Some(slot) = slot_of(param) {
            store(func, &mut out, slot, param, span);
        }
    }
    for inst in std::mem::take(&mut func.blocks[at].insts) {
        let InstData { mut op, result, span } = func.insts[inst.0 as usize];
        op.map_operands(|value| match slot_of(value) {
            Some(slot) => load(func, &mut out, slot, span),
            None => value,
        });
        func.insts[inst.0 as usize].op = op;
        out.push(inst);
        if let Some((slot, result)) = result.and_then(|result| Some((slot_of(result)?, result))) {
            store(func, &mut out, slot, result, span);
        }
    }
    if let Some(mut terminator) = func.blocks[at].terminator.take() {
        terminator.map_operands(|value| match slot_of(value) {
            Some(slot) => load(func, &mut out, slot, span),
            None => value,
        });
        func.blocks[at].terminator = Some(terminator);
    }
    func.blocks[at].insts = out;
}

fn address(func: &mut Function, out: &mut Vec<Inst>, slot: Slot, span: Span) -> Value {
    let addr = new_value(func);
    out.push(new_inst(func, Op::SlotAddr(slot, 0), Some(addr), span));
    addr
}

fn store(func: &mut Function, out: &mut Vec<Inst>, slot: Slot, value: Value, span: Span) {
    let addr = address(func, out, slot, span);
    let op = Op::Store {
        addr,
        offset: 0,
        width: Width::B8,
        value,
    };
    out.push(new_inst(func, op, None, span));
}

fn load(func: &mut Function, out: &mut Vec<Inst>, slot: Slot, span: Span) -> Value {
    let addr = address(func, out, slot, span);
    let value = new_value(func);
    let op = Op::Load {
        addr,
        offset: 0,
        width: Width::B8,
        signed: false,
    };
    out.push(new_inst(func, op, Some(value), span));
    value
}

/// The values that a terminator uses.
fn operands(terminator: &Terminator) -> impl Iterator<Item = Value> + '_ {
    let own = match terminator {
        Terminator::Branch { a, b, .. } => [Some(*a), Some(*b)],
        Terminator::Return(value) => [Some(*value), None],
        Terminator::Jump(_) => [None, None],
    };
    let handed_on = terminator.targets().flat_map(|target| &target.args);
    own.into_iter().flatten().chain(handed_on.copied())
}
