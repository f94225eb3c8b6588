//! Finds plain read-modify-writes of map memory in bytecode: a value that was loaded from an address, changed, and
//! stored there by an ordinary store. Whoever writes between the two loses an update.
//!
//! In: a program and the plan it belongs to. Out: the stores at fault. It is a forward dataflow analysis over
//! registers and the stack frame, which knows nothing of the compiler but the encoding. Of every value it keeps what it
//! may point at and which words of map memory it was computed from. A word is told by its map (or the program memory)
//! and its constant offset there: elements of one map are not told apart, so it finds rather too much than too little.
//!
//! Scratch slots belong to one run of a program while it has claimed them, so what is behind them does not count.

use crumbs_compiler::bpf::{Insn, Program, RelocTarget, op};
use crumbs_compiler::helper::{HELPERS, Helper};
use crumbs_compiler::plan::{BpfMapId, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Memory that other programs can write meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// Values of a kernel map.
    Map(BpfMapId),
    /// The program memory.
    Memory,
}

/// A word of it, by its constant offset; what was added at run time is left out.
type Word = (Shared, i64);

/// A store at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainUpdate {
    /// Index of the store or of the call.
    pub insn: usize,
    /// The word that was loaded before and is stored to.
    pub word: Word,
}

/// What a value may point at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pointers {
    words: BTreeSet<Word>,
    /// Offsets from the frame pointer.
    frame: BTreeSet<i64>,
    maps: BTreeSet<BpfMapId>,
}

/// What is known of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fact {
    points: Pointers,
    /// What it was computed from.
    from: BTreeSet<Word>,
    /// Its value, where it is constant.
    constant: Option<i64>,
}

/// Facts of registers, and of each byte of the frame by its offset from the top. A byte knows what the whole of the
/// value was computed from that it is part of.
#[derive(Clone, Debug, Default)]
struct State {
    regs: [Fact; 11],
    frame: BTreeMap<i64, Rc<Fact>>,
}

impl Fact {
    fn join(&mut self, other: &Self) -> bool {
        let before = (self.len(), self.constant);
        self.points.words.extend(&other.points.words);
        self.points.frame.extend(&other.points.frame);
        self.points.maps.extend(&other.points.maps);
        self.from.extend(&other.from);
        if self.constant != other.constant {
            self.constant = None;
        }
        before != (self.len(), self.constant)
    }

    /// How much is in its sets: they only grow.
    fn len(&self) -> usize {
        let Pointers { words, frame, maps } = &self.points;
        words.len() + frame.len() + maps.len() + self.from.len()
    }

    fn is_pointer(&self) -> bool {
        self.points != Pointers::default()
    }

    /// The same with every pointer moved by a constant.
    fn moved(&self, by: i64) -> Self {
        let mut fact = self.clone();
        // A loop that moves a pointer must come to an end here.
        let near = |at: i64| at.wrapping_add(by).clamp(-(1 << 33), 1 << 33);
        fact.points.words = self
            .points
            .words
            .iter()
            .map(|&(shared, at)| (shared, near(at)))
            .collect();
        fact.points.frame = self.points.frame.iter().map(|&at| near(at)).collect();
        fact.constant = self.constant.map(|constant| constant.wrapping_add(by));
        fact
    }
}

/// Every plain read-modify-write of `program` and its callbacks. What a callback is handed is a frame and an element of
/// a map, neither of which it stores to; it reaches scratch memory through the frame.
pub fn plain_updates(program: &Program, plan: &Plan) -> Vec<PlainUpdate> {
    let functions = [program].into_iter().chain(&program.callbacks);
    functions
        .flat_map(|function| plain_updates_of(function, plan))
        .collect()
}

fn plain_updates_of(program: &Program, plan: &Plan) -> Vec<PlainUpdate> {
    let leaders = leaders(program);
    // What is known in front of each basic block that can be reached.
    let mut before = BTreeMap::from([(0, State::default())]);
    if let Some(start) = before.get_mut(&0) {
        start.regs[10].points.frame.insert(0);
    }
    let mut work = BTreeSet::from([0]);
    let mut found = BTreeMap::new();
    while let Some(leader) = work.pop_first() {
        let mut step = Step {
            program,
            plan,
            at: leader,
            state: before.get(&leader).cloned().unwrap_or_default(),
            found: None,
        };
        loop {
            let next = step.run();
            if let Some(word) = step.found.take() {
                found.insert(step.at, word);
            }
            if let [only] = next[..]
                && !leaders.contains(&only)
            {
                step.at = only;
                continue;
            }
            for target in next.into_iter().filter(|&target| target < program.insns.len()) {
                let changed = match before.get_mut(&target) {
                    Some(known) => known.join(&step.state),
                    None => before.insert(target, step.state.clone()).is_none(),
                };
                if changed {
                    work.insert(target);
                }
            }
            break;
        }
    }
    found
        .into_iter()
        .map(|(insn, word)| PlainUpdate { insn, word })
        .collect()
}

/// Where basic blocks may begin: where jumps go, and behind them; and behind the last instruction.
fn leaders(program: &Program) -> BTreeSet<usize> {
    let mut leaders = BTreeSet::from([0, program.insns.len()]);
    for (at, insn) in program.insns.iter().enumerate() {
        let is_jump =
            matches!(insn.class(), op::JMP | op::JMP32) && !matches!(insn.code & 0xf0, op::CALL | op::EXIT);
        if is_jump {
            leaders.extend([at + 1, jump_target(at, *insn)]);
        }
    }
    leaders
}

/// Where a jump at `at` goes if it is taken.
fn jump_target(at: usize, insn: Insn) -> usize {
    let is_far = insn.class() == op::JMP32 && insn.code & 0xf0 == op::JA;
    let distance = if is_far {
        insn.imm as isize
    } else {
        isize::from(insn.off)
    };
    (at + 1).wrapping_add_signed(distance)
}

impl State {
    fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (reg, other) in self.regs.iter_mut().zip(&other.regs) {
            changed |= reg.join(other);
        }
        for (&at, other) in &other.frame {
            changed |= match self.frame.get_mut(&at) {
                Some(fact) if Rc::ptr_eq(fact, other) => false,
                Some(fact) => Rc::make_mut(fact).join(other),
                None => self.frame.insert(at, Rc::clone(other)).is_none(),
            };
        }
        changed
    }
}

/// One instruction.
struct Step<'p> {
    program: &'p Program,
    plan: &'p Plan,
    at: usize,
    state: State,
    found: Option<Word>,
}

impl Step<'_> {
    /// Executes it and gives where it goes on.
    fn run(&mut self) -> Vec<usize> {
        let insn = self.program.insns[self.at];
        let next = self.at + 1;
        match insn.class() {
            op::LD if insn.is_wide() => {
                self.set(insn.dst, self.wide(insn));
                return vec![next + 1];
            }
            op::ALU | op::ALU64 => self.alu(insn),
            op::LDX => {
                let fact = self.load(insn);
                self.set(insn.dst, fact);
            }
            op::ST => self.store(insn, Fact::default()),
            op::STX if insn.code & 0xe0 == op::ATOMIC => self.atomic(insn),
            op::STX => {
                let value = self.reg(insn.src);
                self.store(insn, value);
            }
            op::JMP | op::JMP32 => {
                return match insn.code & 0xf0 {
                    op::EXIT => Vec::new(),
                    op::CALL => {
                        self.call(insn);
                        vec![next]
                    }
                    op::JA => vec![jump_target(self.at, insn)],
                    _ => vec![next, jump_target(self.at, insn)],
                };
            }
            _ => {}
        }
        vec![next]
    }

    fn reg(&self, reg: u8) -> Fact {
        self.state.regs[usize::from(reg)].clone()
    }

    fn set(&mut self, reg: u8, fact: Fact) {
        self.state.regs[usize::from(reg)] = fact;
    }

    fn wide(&self, insn: Insn) -> Fact {
        let mut fact = Fact::default();
        match self.program.reloc(self.at) {
            Some(RelocTarget::Map(map)) => {
                fact.points.maps.insert(map);
            }
            Some(RelocTarget::Memory(offset)) => {
                fact.points.words.insert((Shared::Memory, i64::from(offset)));
            }
            Some(RelocTarget::Callback(_) | RelocTarget::Subprogram(_)) => {}
            None => {
                let high = self.program.insns.get(self.at + 1).map_or(0, |second| second.imm);
                fact.constant = Some(i64::from(high) << 32 | i64::from(insn.imm as u32));
            }
        }
        fact
    }

    fn alu(&mut self, insn: Insn) {
        let operand = if insn.code & op::X == op::X {
            self.reg(insn.src)
        } else {
            Fact {
                constant: Some(i64::from(insn.imm)),
                ..Fact::default()
            }
        };
        let old = self.reg(insn.dst);
        let fact = match insn.code & 0xf0 {
            op::MOV => operand,
            op::ADD if operand.is_pointer() => sum(operand, old),
            op::ADD => sum(old, operand),
            op::SUB => match operand.constant {
                Some(by) if insn.class() == op::ALU64 => old.moved(by.wrapping_neg()),
                _ => mixed(old, operand),
            },
            _ => mixed(old, operand),
        };
        self.set(insn.dst, fact);
    }

    /// The shared words that an access may be to, scratch slots left out.
    fn words(&self, pointer: &Fact, off: i16) -> BTreeSet<Word> {
        let scratch = self.plan.memory.scratch;
        let private = |at: i64| scratch.slots > 0 && at >= i64::from(scratch.offset);
        let words = pointer
            .points
            .words
            .iter()
            .map(|&(shared, at)| (shared, at + i64::from(off)));
        words
            .filter(|&(shared, at)| shared != Shared::Memory || !private(at))
            .collect()
    }

    fn load(&self, insn: Insn) -> Fact {
        let pointer = self.reg(insn.src);
        let mut fact = Fact {
            from: self.words(&pointer, insn.off),
            ..Fact::default()
        };
        for at in &pointer.points.frame {
            let at = at + i64::from(insn.off);
            let from = std::mem::take(&mut fact.from);
            let mut bytes = self.state.frame.range(at..at + size(insn)).map(|(_, byte)| byte);
            if let Some(first) = bytes.next() {
                fact = first.as_ref().clone();
                for byte in bytes.filter(|byte| !Rc::ptr_eq(byte, first)) {
                    fact.join(byte);
                }
            }
            fact.from.extend(from);
        }
        fact
    }

    fn store(&mut self, insn: Insn, value: Fact) {
        let pointer = self.reg(insn.dst);
        let words = self.words(&pointer, insn.off);
        if let Some(&word) = words.intersection(&value.from).next() {
            self.found = Some(word);
        }
        let value = Rc::new(value);
        let is_only = pointer.points.frame.len() == 1;
        for at in &pointer.points.frame {
            let at = at + i64::from(insn.off);
            self.write_frame(at, size(insn), &value, is_only);
        }
    }

    /// Bytes of the frame become part of `value`, or may have become that.
    fn write_frame(&mut self, at: i64, size: i64, value: &Rc<Fact>, for_sure: bool) {
        for at in at..at + size {
            match self.state.frame.get_mut(&at) {
                Some(old) if !for_sure => {
                    Rc::make_mut(old).join(value);
                }
                _ => {
                    self.state.frame.insert(at, Rc::clone(value));
                }
            }
        }
    }

    /// An atomic operation stores nothing plainly; what it fetches was loaded from there.
    fn atomic(&mut self, insn: Insn) {
        let pointer = self.reg(insn.dst);
        let fetched = Fact {
            from: self.words(&pointer, insn.off),
            ..Fact::default()
        };
        if insn.imm == op::CMPXCHG {
            self.set(0, fetched);
        } else if insn.imm & op::FETCH != 0 {
            self.set(insn.src, fetched);
        }
    }

    fn call(&mut self, insn: Insn) {
        let helper = HELPERS
            .iter()
            .find(|row| row.number == insn.imm as u32)
            .map(|row| row.helper);
        let [r1, r2, r3, r4] = [1, 2, 3, 4].map(|reg| self.reg(reg));
        let mut result = Fact::default();
        match helper {
            Some(Helper::MapLookupElem | Helper::MapLookupPercpuElem) => {
                result.points.words = r1.points.maps.iter().map(|&map| (Shared::Map(map), 0)).collect();
            }
            // Without a flag that forbids it, this overwrites what is there.
            Some(Helper::MapUpdateElem) if r4.constant != Some(1) => {
                let from: BTreeSet<Word> = r3
                    .points
                    .frame
                    .iter()
                    .flat_map(|&at| self.frame_from(at, self.value_size(&r1)))
                    .collect();
                let is_same = |word: &&Word| r1.points.maps.iter().any(|&map| word.0 == Shared::Map(map));
                self.found = from.iter().find(is_same).copied().or(self.found);
            }
            // Copies: destination, size, source.
            Some(Helper::ProbeReadKernel | Helper::ProbeReadKernelStr) => {
                let from = self.words(&r3, 0);
                let size = r2.constant.unwrap_or(8).clamp(1, 512);
                let copied: BTreeSet<Word> = r3
                    .points
                    .frame
                    .iter()
                    .flat_map(|&at| self.frame_from(at, size))
                    .chain(from)
                    .collect();
                if let Some(&word) = self.words(&r1, 0).intersection(&copied).next() {
                    self.found = Some(word);
                }
                // Text may be shorter than its destination, but then the rest is not used.
                let is_only = r1.points.frame.len() == 1;
                let copied = Rc::new(Fact {
                    from: copied,
                    ..Fact::default()
                });
                for &at in &r1.points.frame {
                    self.write_frame(at, size, &copied, is_only && r2.constant.is_some());
                }
            }
            _ => {}
        }
        self.set(0, result);
        for reg in 1..=5 {
            self.set(reg, Fact::default());
        }
    }

    /// Size of the values of the maps that an argument may be.
    fn value_size(&self, map: &Fact) -> i64 {
        let maps = map
            .points
            .maps
            .iter()
            .filter_map(|map| self.plan.bpf_maps.get(map.0 as usize));
        maps.map(|map| i64::from(map.value_size)).max().unwrap_or(8)
    }

    /// What `size` bytes of the frame were computed from.
    fn frame_from(&self, at: i64, size: i64) -> Vec<Word> {
        let bytes = self.state.frame.range(at..at + size);
        bytes.flat_map(|(_, fact)| fact.from.iter().copied()).collect()
    }
}

/// How many bytes an access is to.
fn size(insn: Insn) -> i64 {
    match insn.code & op::DW {
        op::B => 1,
        op::H => 2,
        op::W => 4,
        _ => 8,
    }
}

/// A pointer, or a number, and a number added to it.
fn sum(base: Fact, number: Fact) -> Fact {
    match number.constant {
        Some(by) => base.moved(by),
        None => {
            let mut fact = base;
            fact.from.extend(number.from);
            fact.constant = None;
            fact
        }
    }
}

/// A number computed from two.
fn mixed(a: Fact, b: Fact) -> Fact {
    let mut fact = Fact {
        from: a.from,
        ..Fact::default()
    };
    fact.from.extend(b.from);
    fact
}
