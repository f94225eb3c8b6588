//! From blocks of instructions to one sequence.
//!
//! In: a [`Chunk`] a block, in the order in which they are to stand; the first is the entry. Out: the whole code.
//! Blocks that only jump on are passed over, those that nothing reaches are left out, jumps to what follows fall
//! through.

use super::CodegenError;
use crate::bpf::{Insn, Reloc, op};
use crumbs_grammar::span::Span;

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
}

pub(super) fn lay_out(mut chunks: Vec<Chunk>) -> Result<Code, CodegenError> {
    thread_jumps(&mut chunks);
    let order = reachable(&chunks);
    let mut code = Code::default();
    let mut starts = vec![0; chunks.len()];
    // Jumps whose distance is open, and where they go.
    let mut open = Vec::new();
    for (i, &index) in order.iter().enumerate() {
        starts[index] = code.insns.len();
        let chunk = &chunks[index];
        let base = code.insns.len();
        code.insns.extend(&chunk.insns);
        code.spans.extend(&chunk.spans);
        code.relocs.extend(chunk.relocs.iter().map(|r| Reloc {
            insn: base + r.insn,
            target: r.target,
        }));
        let follows = |target| order.get(i + 1) == Some(&target);
        let jumps: Vec<(Insn, usize)> = match chunk.end {
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
        for (insn, target) in jumps {
            open.push((code.insns.len(), target));
            code.insns.push(insn);
            code.spans.push(chunk.end_span);
        }
    }
    let instructions = code.insns.len();
    for (at, target) in open {
        let distance = starts[target] as i64 - (at as i64 + 1);
        code.insns[at].off =
            i16::try_from(distance).map_err(|_| CodegenError::JumpTooFar { instructions })?;
    }
    Ok(code)
}

/// Makes jumps to blocks that only jump on go there at once.
fn thread_jumps(chunks: &mut [Chunk]) {
    let mut finals: Vec<usize> = (0..chunks.len()).collect();
    for (start, last) in finals.iter_mut().enumerate() {
        // As many steps as there are blocks lead out of any chain; what is left is an empty endless loop.
        for _ in 0..chunks.len() {
            match chunks[*last] {
                Chunk {
                    ref insns,
                    end: End::Jump(next),
                    ..
                } if insns.is_empty() && next != start => *last = next,
                _ => break,
            }
        }
    }
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
