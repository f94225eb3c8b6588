//! Tests of code generation: exact text of small programs, and the meaning of thousands of random ones.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bpf_interpreter;
mod exact;
mod generator;
mod ir_interpreter;
mod limits;
mod random;
mod world;

use crate::bpf::{Program, disasm};
use crate::ir::verify::{Limits, verify};
use crate::ir::{Builder, Function, Home};
use crate::plan::{BpfMap, BpfMapKind, ProgramKind};

/// Bytes of program memory that test programs may use.
const MEMORY: u32 = world::MEMORY_SIZE as u32;

fn builder() -> Builder {
    Builder::new("p0".into(), ProgramKind::RawTracepoint)
}

/// Two hash maps.
fn maps() -> Vec<BpfMap> {
    ["first", "second"]
        .map(|symbol| BpfMap {
            symbol: symbol.into(),
            kind: BpfMapKind::Hash,
            key_size: 8,
            value_size: 8,
            max_entries: 16,
            flags: 0,
        })
        .into()
}

fn sizes() -> Limits {
    Limits {
        bpf_maps: maps().len(),
        memory: MEMORY,
    }
}

/// Puts slots on the frame, the first one topmost.
fn place(func: &mut Function) {
    let mut at = 0;
    for slot in &mut func.slots {
        at -= slot.size as i16;
        slot.home = Home::Frame(at);
    }
}

fn compile(mut func: Function) -> Program {
    place(&mut func);
    let text = func.to_string();
    let func = verify(func, sizes()).unwrap_or_else(|e| panic!("{}\n{text}", e[0]));
    super::compile(&func).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The instructions as text, one a line, without numbers.
fn text(program: &Program) -> Vec<String> {
    (0..program.insns.len())
        .map(|i| disasm::instruction(program, i, &maps()))
        .filter(|line| !line.is_empty())
        .collect()
}
