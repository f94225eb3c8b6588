//! Planted faults: compiled scripts with one of their protections taken away, which tests must notice.

use crumbs_compiler::bpf::{Insn, Program, Reg, op};
use crumbs_compiler::driver::Compiled;
use crumbs_compiler::helper::Helper;
use crumbs_compiler::plan::{Generations, Plan, Refused, Storage};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Atomic updates become a load, a pause and a store.
    PlainUpdates {
        /// How long the pause is, in instructions.
        pause: usize,
    },
    /// Every claim of a scratch slot succeeds.
    SharedScratch {
        /// How long each use of a slot is drawn out, in instructions.
        pause: usize,
    },
    /// Frames are where the kernel puts them: see `task_stack` in the compiler.
    PerCpuFrames {
        /// How long each use of the frame is drawn out, in instructions.
        pause: usize,
    },
    /// Maps are read and then emptied, while programs go on to use them.
    OneGeneration {
        /// How long programs pause between finding an element and adding to it, in instructions.
        pause: usize,
    },
    /// User space reads the two rings, and not what both refused.
    OnlyRings,
}

impl Fault {
    /// Puts the fault into the programs.
    pub fn plant(self, compiled: &mut Compiled) {
        for program in &mut compiled.programs {
            *program = match self {
                Self::PlainUpdates { pause } => rewrite(program, |insn, frame| plain(insn, frame, pause)),
                Self::SharedScratch { pause } => rewrite(program, |insn, frame| shared(insn, frame, pause)),
                Self::PerCpuFrames { pause } => {
                    rewrite(program, |insn, frame| on_any_stack(insn, frame, pause))
                }
                Self::OneGeneration { pause } => rewrite(program, |insn, frame| late(insn, frame, pause)),
                Self::OnlyRings => continue,
            };
        }
    }

    /// The plan as user space is to see it.
    pub fn mislead(self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        if self == Self::OnlyRings {
            plan.memory.refused = Refused::default();
        }
        if matches!(self, Self::OneGeneration { .. }) {
            for map in &mut plan.maps {
                match &mut map.storage {
                    Storage::Hash(generations) => first_only(generations),
                    Storage::PerCpu { maps, overflow, .. } => {
                        first_only(maps);
                        first_only(overflow);
                    }
                    Storage::Striped { selector, .. } => *selector = None,
                    Storage::Words { .. } => {}
                }
            }
        }
        plan
    }
}

/// The selector stays 0 then, and programs use the first map for ever.
fn first_only(generations: &mut Generations) {
    if let Generations::Two { maps, .. } = generations {
        *generations = Generations::One(maps[0]);
    }
}

/// The words below the frame in which rewritten code keeps registers.
#[derive(Clone, Copy)]
struct Saved {
    frame: u32,
}

impl Saved {
    /// Words that are used.
    const WORDS: u32 = 4;

    fn offset(self, word: i16) -> i16 {
        -(self.frame.next_multiple_of(8) as i16) - 8 * (word + 1)
    }

    fn save(self, word: i16, reg: Reg) -> Insn {
        Insn::store(op::DW, Reg::FP, self.offset(word), reg)
    }

    fn restore(self, word: i16, reg: Reg) -> Insn {
        Insn::load(op::DW, reg, Reg::FP, self.offset(word))
    }

    /// Takes time, and no registers.
    fn pause(self, length: usize) -> impl Iterator<Item = Insn> {
        std::iter::repeat_n(Insn::store_imm(op::DW, Reg::FP, self.offset(3), 0), length)
    }
}

fn is_call(insn: Insn) -> bool {
    insn.code == op::JMP | op::CALL
}

fn is_atomic(insn: Insn) -> bool {
    insn.code == op::STX | op::ATOMIC | op::DW
}

/// An atomic update in steps. Exchanges stay: they claim scratch slots and nothing else.
fn plain(insn: Insn, saved: Saved, pause: usize) -> Option<Vec<Insn>> {
    if !is_atomic(insn) || insn.imm == op::XCHG {
        return None;
    }
    let (address, operand) = (Reg(insn.dst), Reg(insn.src));
    // The operand's register first takes what is in memory.
    let mut code = vec![
        saved.save(0, operand),
        saved.save(1, address),
        Insn::load(op::DW, operand, address, insn.off),
        saved.save(2, operand),
    ];
    code.extend(saved.pause(pause));
    if insn.imm == op::CMPXCHG {
        let expected = Reg(0);
        code.extend([
            Insn::jump_reg(op::JMP | op::JNE, operand, expected, 2),
            saved.restore(0, operand),
            Insn::store(op::DW, address, insn.off, operand),
            saved.restore(0, operand),
            saved.restore(2, expected),
        ]);
        return Some(code);
    }
    let operation = (insn.imm & !op::FETCH) as u8;
    code.extend([
        saved.restore(0, address),
        Insn::alu_reg(op::ALU64 | operation, operand, address),
        saved.restore(1, address),
        Insn::store(op::DW, address, insn.off, operand),
        saved.restore(if insn.imm & op::FETCH != 0 { 2 } else { 0 }, operand),
    ]);
    Some(code)
}

/// An exchange that finds 0, as if the scratch slot had been free; and slow calls, so that slots are held for long.
fn shared(insn: Insn, saved: Saved, pause: usize) -> Option<Vec<Insn>> {
    if is_atomic(insn) && insn.imm == op::XCHG {
        let mut code: Vec<Insn> = saved.pause(pause).collect();
        code.push(Insn::mov_imm(Reg(insn.src), 0));
        return Some(code);
    }
    is_call(insn).then(|| saved.pause(pause).chain([insn]).collect())
}

/// No tail call, and calls after a pause.
fn on_any_stack(insn: Insn, saved: Saved, pause: usize) -> Option<Vec<Insn>> {
    if insn == Insn::call(Helper::TailCall.row().number) {
        return Some(vec![Insn::mov_imm(Reg(0), 0)]);
    }
    is_call(insn).then(|| saved.pause(pause).chain([insn]).collect())
}

/// An atomic update after a pause.
fn late(insn: Insn, saved: Saved, pause: usize) -> Option<Vec<Insn>> {
    (is_atomic(insn) && insn.imm != op::XCHG).then(|| saved.pause(pause).chain([insn]).collect())
}

/// A program with some instructions replaced by several; jumps and places to fill in follow.
fn rewrite(program: &Program, replace: impl Fn(Insn, Saved) -> Option<Vec<Insn>>) -> Program {
    let saved = Saved { frame: program.frame };
    let frame = program.frame.next_multiple_of(8) + 8 * Saved::WORDS;
    assert!(frame <= 512, "no room to plant a fault in {}", program.symbol);
    // Where each instruction goes.
    let mut new_place = Vec::with_capacity(program.insns.len() + 1);
    let mut parts: Vec<Vec<Insn>> = Vec::with_capacity(program.insns.len());
    let mut second_half = false;
    let mut end = 0;
    for &insn in &program.insns {
        let part = if second_half { None } else { replace(insn, saved) };
        second_half = !second_half && insn.is_wide();
        new_place.push(end);
        let part = part.unwrap_or_else(|| vec![insn]);
        end += part.len();
        parts.push(part);
    }
    new_place.push(end);
    for (old, part) in parts.iter_mut().enumerate() {
        let insn = program.insns[old];
        let is_second = old > 0 && program.insns[old - 1].is_wide();
        if is_second || part.len() != 1 || !is_jump(insn) {
            continue;
        }
        let aim = (old as i64 + 1 + i64::from(insn.off)) as usize;
        let distance = new_place[aim] as i64 - new_place[old] as i64 - 1;
        part[0].off = i16::try_from(distance).expect("faults leave jumps in reach");
    }
    let spans = parts
        .iter()
        .zip(&program.spans)
        .flat_map(|(part, &span)| std::iter::repeat_n(span, part.len()))
        .collect();
    let mut relocs = program.relocs.clone();
    for reloc in &mut relocs {
        reloc.insn = new_place[reloc.insn];
    }
    Program {
        symbol: program.symbol.clone(),
        insns: parts.concat(),
        spans,
        relocs,
        frame,
        callbacks: program.callbacks.clone(),
        arguments: program.arguments,
    }
}

/// Whether it goes on elsewhere by its offset.
fn is_jump(insn: Insn) -> bool {
    matches!(insn.class(), op::JMP | op::JMP32) && !matches!(insn.code & 0xf0, op::CALL | op::EXIT)
}
