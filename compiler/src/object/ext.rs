//! `.BTF.ext`: which function and which line of the script an instruction belongs to.
//!
//! In: the types and the programs with their spans. Out: `.BTF` (lines of the script are added to its strings) and
//! `.BTF.ext`. The kernel wants a record at the start of every function, so the first instruction always has one;
//! others have one where line or column change.

use super::btf::{Btf, header};
use super::types::Types;
use super::{INSN_BYTES, Section, SourceInfo};
use crate::bpf::Program;
use crate::bpf::disasm::Lines;

/// Bytes of `struct btf_ext_header` without CO-RE relocations.
const HEADER: u32 = 24;
/// Bytes of `struct bpf_func_info`.
const FUNC_INFO: u32 = 8;
/// Bytes of `struct bpf_line_info`.
const LINE_INFO: u32 = 16;
/// Line and column share 32 bits: 22 and 10.
const COLUMN_BITS: u32 = 10;
/// Longer lines are cut: they are only shown.
const LINE_BYTES: usize = 256;

/// The bytes of `.BTF` and `.BTF.ext`.
pub(super) fn finish(types: Types, sections: &[Section<'_>], source: &SourceInfo<'_>) -> (Vec<u8>, Vec<u8>) {
    let Types { mut btf, functions } = types;
    let mut func_info = FUNC_INFO.to_le_bytes().to_vec();
    let mut line_info = LINE_INFO.to_le_bytes().to_vec();
    let file = btf.string(source.name).0;
    let lines = Lines::of(source.text);
    for (section, functions) in sections.iter().zip(functions) {
        let name = btf.string(section.name).0;
        let mut func_records = Vec::new();
        let mut line_records = Vec::new();
        let mut start = 0;
        for (program, ty) in section.programs.iter().zip(functions) {
            func_records.push([start, ty.0]);
            for (insn, line, column) in changes(program, &lines) {
                let text = btf.string(cut(lines.text(line))).0;
                let at = start + insn as u32 * INSN_BYTES as u32;
                line_records.push([at, file, text, line_and_column(line, column)]);
            }
            start += program.insns.len() as u32 * INSN_BYTES as u32;
        }
        words(&mut func_info, &[name, func_records.len() as u32]);
        words(&mut func_info, func_records.as_flattened());
        words(&mut line_info, &[name, line_records.len() as u32]);
        words(&mut line_info, line_records.as_flattened());
    }
    let mut ext = header(HEADER);
    let (funcs, lines) = (func_info.len() as u32, line_info.len() as u32);
    words(&mut ext, &[0, funcs, funcs, lines]);
    ext.extend(func_info);
    ext.extend(line_info);
    (Btf::finish(btf), ext)
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
}

/// The instructions at which another place of the script begins: index, line and column, counted from 0.
fn changes(program: &Program, lines: &Lines<'_>) -> Vec<(usize, usize, usize)> {
    let mut changes: Vec<(usize, usize, usize)> = Vec::new();
    for (i, span) in program.spans.iter().enumerate() {
        let is_second_half = i > 0 && program.insns[i - 1].is_wide();
        if is_second_half || (i > 0 && span.end == span.start) {
            continue;
        }
        let (line, column) = lines.position(span.start);
        if changes.last().is_none_or(|(_, l, c)| (*l, *c) != (line, column)) {
            changes.push((i, line, column));
        }
    }
    changes
}

/// As the kernel packs them; both count from 1 there.
fn line_and_column(line: usize, column: usize) -> u32 {
    let line = (line + 1).min((1 << (32 - COLUMN_BITS)) - 1) as u32;
    let column = (column + 1).min((1 << COLUMN_BITS) - 1) as u32;
    line << COLUMN_BITS | column
}

fn cut(line: &str) -> &str {
    let end = (0..=line.len().min(LINE_BYTES))
        .rev()
        .find(|&i| line.is_char_boundary(i));
    &line[..end.unwrap_or(0)]
}
