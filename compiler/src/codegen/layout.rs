//! From blocks of instructions to one sequence.
//!
//! In: a [`Chunk`] a block, in the order of the script; the first is the entry. Out: the whole code. Blocks that only jump on
//! are passed over, those that nothing reaches are left out, short cold stretches stand behind the rest, jumps to what
//! follows fall through. A jump says its distance in 16 bits, on every kernel; longer ones go by way of islands of jumps
//! that are put between the blocks. Only forward jumps can be long: loops are functions of their own, what is tried again
//! is short, and cold stretches do not go far from where they lead back to.

use super::CodegenError;
use crate::bpf::{Insn, Reloc, op};
use crate::work;
use crumbs_grammar::span::Span;
use std::collections::{BTreeMap, HashMap};

/// Islands are made for jumps that have come so far, in instructions, before any is too long.
const FAR: usize = 1 << 14;

/// How far behind its place a cold stretch stands at most, in instructions: its way back is a jump too.
const NEAR: usize = 1 << 14;

/// How long a cold stretch can be that is moved; a longer one is what the script is about.
const SHORT: usize = 1 << 9;

/// The code of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    pub(super) insns: Vec<Insn>,
    /// As long as `insns`.
    pub(super) spans: Vec<Span>,
    /// Counted from the start of the chunk.
    pub(super) relocs: Vec<Reloc>,
    pub(super) end: End,
    pub(super) end_span: Span,
    /// The first chunk of the cold stretch that it is in.
    pub(super) cold: Option<usize>,
}

/// How a chunk ends; blocks by number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum End {
    /// It has ended the program.
    #[default]
    Exit,
    /// Goes on there.
    Jump(usize),
    /// Goes on at `then` if `jump`, whose distance is still open, is taken.
    Branch {
        jump: Insn,
        then: usize,
        otherwise: usize,
    },
}

/// The code of a program.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) insns: Vec<Insn>,
    pub(super) spans: Vec<Span>,
    pub(super) relocs: Vec<Reloc>,
    /// How many conditional jumps are met by whoever never jumps: the kernel verifier goes this way first.
    pub(super) branches: usize,
}

pub(super) fn lay_out(mut chunks: Vec<Chunk>) -> Result<Code, CodegenError> {
    thread_jumps(&mut chunks);
    let order = ordered(&chunks, &reachable(&chunks));
    let mut code = Code::default();
    let mut jumps = Jumps::new(chunks.len());
    let mut falls_through = false;
    for (i, &index) in order.iter().enumerate() {
        let chunk = &chunks[index];
        jumps.reach(&mut code, index, chunk.insns.len(), falls_through);
        let base = code.insns.len();
        jumps.place(index, base);
        code.insns.extend(&chunk.insns);
        code.spans.extend(&chunk.spans);
        code.relocs.extend(chunk.relocs.iter().map(|r| Reloc {
            insn: base + r.insn,
            target: r.target,
        }));
        let follows = |target| order.get(i + 1) == Some(&target);
        let ends: Vec<(Insn, usize)> = match chunk.end {
            End::Exit => Vec::new(),
            End::Jump(target) if follows(target) => Vec::new(),
            End::Jump(target) => vec![(Insn::goto(0), target)],
            End::Branch {
                jump,
                then,
                otherwise,
            } if follows(otherwise) => vec![(jump, then)],
            End::Branch {
                jump,
                then,
                otherwise,
            } => match inverted(jump) {
                Some(inverted) if follows(then) => vec![(inverted, otherwise)],
                _ => vec![(jump, then), (Insn::goto(0), otherwise)],
            },
        };
        falls_through = match chunk.end {
            End::Exit => false,
            End::Jump(target) => follows(target),
            End::Branch { then, otherwise, .. } => follows(then) || follows(otherwise),
        };
        for (insn, target) in ends {
            jumps.add(code.insns.len(), target);
            code.push(insn, chunk.end_span);
        }
    }
    code.branches = branches(&chunks, &order);
    let instructions = code.insns.len();
    for (at, to) in jumps.resolved {
        let distance = to as i64 - (at as i64 + 1);
        code.insns[at].off =
            i16::try_from(distance).map_err(|_| CodegenError::JumpTooFar { instructions })?;
    }
    Ok(code)
}

/// How many conditional jumps are on the way of those that are never taken, from the first block on.
fn branches(chunks: &[Chunk], order: &[usize]) -> usize {
    let mut behind = vec![0; chunks.len()];
    for (i, &index) in order.iter().enumerate().rev() {
        let follows = |target| order.get(i + 1) == Some(&target);
        let next = match chunks[index].end {
            End::Exit => None,
            End::Jump(target) => Some(target),
            End::Branch { then, otherwise, .. } => Some(if follows(then) { then } else { otherwise }),
        };
        let own = chunks[index]
            .insns
            .iter()
            .filter(|insn| is_conditional(insn))
            .count()
            + usize::from(matches!(chunks[index].end, End::Branch { .. }));
        behind[index] = own + next.map_or(0, |next| behind[next]);
    }
    order.first().map_or(0, |&first| behind[first])
}

fn is_conditional(insn: &Insn) -> bool {
    let is_jump = matches!(insn.code & 0x07, op::JMP | op::JMP32);
    is_jump && !matches!(insn.code & 0xf0, op::JA | op::CALL | op::EXIT)
}

impl Code {
    fn push(&mut self, insn: Insn, span: Span) {
        self.insns.push(insn);
        self.spans.push(span);
    }
}

/// The jumps whose distance is to be written.
struct Jumps {
    /// Where each block starts, once it has a place.
    starts: Vec<Option<usize>>,
    /// Jumps to blocks that have none yet, by place, and by block.
    waiting: BTreeMap<usize, usize>,
    by_block: HashMap<usize, Vec<usize>>,
    /// Places of jumps, and where they go.
    resolved: Vec<(usize, usize)>,
}

impl Jumps {
    fn new(blocks: usize) -> Self {
        Self {
            starts: vec![None; blocks],
            waiting: BTreeMap::new(),
            by_block: HashMap::new(),
            resolved: Vec::new(),
        }
    }

    /// A jump at `at` to a block.
    fn add(&mut self, at: usize, block: usize) {
        match self.starts[block] {
            Some(start) => self.resolved.push((at, start)),
            None => {
                self.waiting.insert(at, block);
                self.by_block.entry(block).or_default().push(at);
            }
        }
    }

    /// A block starts at `start`.
    fn place(&mut self, block: usize, start: usize) {
        self.starts[block] = Some(start);
        for at in self.by_block.remove(&block).unwrap_or_default() {
            self.waiting.remove(&at);
            self.resolved.push((at, start));
        }
    }

    /// Makes an island if a jump could not reach behind the block that comes now, of `next` instructions. What came before
    /// goes on behind the island where it `falls_through`.
    fn reach(&mut self, code: &mut Code, block: usize, next: usize, falls_through: bool) {
        let here = code.insns.len();
        work::count(1);
        // The block's own jumps, the one around the island, and one for each jump that waits.
        let more = next + 3 + self.waiting.len();
        let behind = here + more;
        let Some((&oldest, _)) = self.waiting.iter().find(|&(_, &to)| to != block) else {
            return;
        };
        // From an island, the far side of a longer block is out of reach too.
        if behind - oldest < i16::MAX as usize || more >= i16::MAX as usize {
            return;
        }
        let mut far: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        work::count(self.waiting.len());
        for (&at, &block) in &self.waiting {
            if at == oldest || here - at >= FAR {
                far.entry(block).or_default().push(at);
            }
        }
        let span = code.spans.last().copied().unwrap_or_default();
        if falls_through {
            self.resolved.push((here, here + 1 + far.len()));
            code.push(Insn::goto(0), span);
        }
        for (block, jumps) in far {
            let island = code.insns.len();
            for at in &jumps {
                self.waiting.remove(at);
                self.resolved.push((*at, island));
            }
            if let Some(waiting) = self.by_block.get_mut(&block) {
                // They are those that have waited longest.
                waiting.drain(..jumps.len());
            }
            code.push(Insn::goto(0), span);
            self.add(island, block);
        }
    }
}

/// Makes jumps to blocks that only jump on go there at once.
fn thread_jumps(chunks: &mut [Chunk]) {
    let finals = finals(chunks);
    for chunk in chunks {
        chunk.end = match chunk.end {
            End::Exit => End::Exit,
            End::Jump(target) => End::Jump(finals[target]),
            End::Branch {
                jump,
                then,
                otherwise,
            } => {
                let (then, otherwise) = (finals[then], finals[otherwise]);
                if then == otherwise {
                    End::Jump(then)
                } else {
                    End::Branch {
                        jump,
                        then,
                        otherwise,
                    }
                }
            }
        };
    }
}

/// Where each block goes on in the end, if it does nothing but jump on; an empty endless loop is where it is.
fn finals(chunks: &[Chunk]) -> Vec<usize> {
    let next = |at: usize| match chunks[at].end {
        End::Jump(next) if chunks[at].insns.is_empty() => Some(next),
        _ => None,
    };
    let mut finals: Vec<Option<usize>> = vec![None; chunks.len()];
    let mut way = Vec::new();
    for start in 0..chunks.len() {
        let mut at = start;
        let last = loop {
            if let Some(last) = finals[at] {
                break last;
            }
            way.push(at);
            // Until it is known better: whoever comes back here goes round in circles.
            finals[at] = Some(at);
            match next(at) {
                Some(next) => at = next,
                None => break at,
            }
        };
        for at in way.drain(..) {
            finals[at] = Some(last);
        }
    }
    finals.into_iter().flatten().collect()
}

/// The blocks that the entry leads to, in order.
fn reachable(chunks: &[Chunk]) -> Vec<usize> {
    let mut seen = vec![false; chunks.len()];
    let mut pending = vec![0];
    while let Some(index) = pending.pop() {
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        match chunks[index].end {
            End::Exit => {}
            End::Jump(target) => pending.push(target),
            End::Branch { then, otherwise, .. } => pending.extend([then, otherwise]),
        }
    }
    (0..chunks.len()).filter(|&i| seen[i]).collect()
}

/// The reachable blocks in the order in which they are to stand.
fn ordered(chunks: &[Chunk], reachable: &[usize]) -> Vec<usize> {
    // Of each block, with what ends it.
    let size = |index: usize| chunks[index].insns.len() + 2;
    let mut stretches = vec![0; chunks.len()];
    for &index in reachable {
        if let Some(root) = chunks[index].cold {
            stretches[root] += size(index);
        }
    }
    let mut order = Vec::with_capacity(reachable.len());
    // Cold blocks that have no place yet, their size, and that of what stands behind the first one's own place.
    let (mut cold, mut cold_size, mut behind) = (Vec::new(), 0, 0);
    for &index in reachable {
        if cold_size + behind + size(index) > NEAR {
            order.append(&mut cold);
            (cold_size, behind) = (0, 0);
        }
        if chunks[index].cold.is_some_and(|root| stretches[root] <= SHORT) {
            cold.push(index);
            cold_size += size(index);
        } else {
            order.push(index);
            behind += if cold.is_empty() { 0 } else { size(index) };
        }
    }
    // In front of nothing but the end of the program, a jump back would be one too many.
    let is_end = |&last: &usize| behind == size(last) && matches!(chunks[last].end, End::Exit);
    let end = order.pop_if(|last| is_end(last));
    order.append(&mut cold);
    order.extend(end);
    order
}

/// The same jump with the opposite condition; `JSET` has none.
fn inverted(jump: Insn) -> Option<Insn> {
    let condition = match jump.code & 0xf0 {
        op::JEQ => op::JNE,
        op::JNE => op::JEQ,
        op::JGT => op::JLE,
        op::JLE => op::JGT,
        op::JGE => op::JLT,
        op::JLT => op::JGE,
        op::JSGT => op::JSLE,
        op::JSLE => op::JSGT,
        op::JSGE => op::JSLT,
        op::JSLT => op::JSGE,
        _ => return None,
    };
    Some(Insn {
        code: jump.code & 0x0f | condition,
        ..jump
    })
}
