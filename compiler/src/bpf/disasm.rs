//! BPF code as text, in the notation of `bpftool prog dump xlated`.
//!
//! In: a [`Program`] and the names of its maps. Out: a line an instruction, and listings of those under the lines of
//! the script that they were made for. Text only: nothing reads it back.

use super::{Insn, Program, Reg, RelocTarget, op};
use crate::helper::Helper;
use crate::plan::BpfMap;
use std::fmt::Write;

/// The text of the instruction at `index`: `r1 = *(u64 *)(r6 + 96)`. Empty for the second half of a wide load.
pub fn instruction(program: &Program, index: usize, maps: &[BpfMap]) -> String {
    let Some(&insn) = program.insns.get(index) else {
        return String::new();
    };
    if insn.is_wide() {
        return wide(program, index, insn, maps);
    }
    if index > 0 && program.insns[index - 1].is_wide() {
        return String::new();
    }
    match insn.class() {
        op::ALU | op::ALU64 => alu(insn),
        op::LDX => load(insn),
        op::ST => format!("{} = {}", place(insn, insn.dst), insn.imm),
        op::STX if insn.code & 0xe0 == op::ATOMIC => atomic(insn),
        op::STX => format!("{} = {:?}", place(insn, insn.dst), Reg(insn.src)),
        op::JMP | op::JMP32 => match program.reloc(index) {
            Some(RelocTarget::Subprogram(id)) => format!("call subprogram {id}"),
            _ => jump(insn),
        },
        _ => unknown(insn),
    }
}

/// A program under its script lines:
///
/// ```text
/// p0_uprobe: 3 instructions, 0 bytes of stack
/// ; 1: uprobe:libc:write < @ = count() >
///    0: r1 = *(u64 *)(r1 + 96)
/// ```
///
/// A line of the script is shown again wherever the code goes on with it after another. Instructions that belong to no
/// text of the script are shown under the line before.
pub fn listing(program: &Program, source: &str, maps: &[BpfMap]) -> String {
    let lines = Lines::of(source);
    let mut out = String::new();
    let mut shown = None;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{}: {} instructions, {} bytes of stack",
        program.symbol,
        program.insns.len(),
        program.frame
    );
    for (i, span) in program.spans.iter().enumerate() {
        if i > 0 && program.insns[i - 1].is_wide() {
            continue;
        }
        if span.end > span.start {
            let (line, _) = lines.position(span.start);
            if shown.replace(line) != Some(line) {
                let _ = writeln!(out, "; {}: {}", line + 1, lines.text(line).trim());
            }
        }
        let _ = writeln!(out, "{i:4}: {}", instruction(program, i, maps));
    }
    for callback in &program.callbacks {
        out += &listing(callback, source, maps);
    }
    out
}

/// The lines of a script.
#[derive(Debug)]
pub struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `source`.
    pub fn of(source: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(
                source
                    .bytes()
                    .enumerate()
                    .filter(|(_, b)| *b == b'\n')
                    .map(|(i, _)| i + 1),
            )
            .collect();
        Self { source, starts }
    }

    /// Line and column, in bytes, of a byte; both count from 0. Bytes behind the end are on the last line.
    pub fn position(&self, byte: u32) -> (usize, usize) {
        let byte = (byte as usize).min(self.source.len());
        let line = self.starts.partition_point(|&start| start <= byte) - 1;
        (line, byte - self.starts[line])
    }

    /// The text of a line, counted from 0, without its end.
    pub fn text(&self, line: usize) -> &'a str {
        let Some(&start) = self.starts.get(line) else {
            return "";
        };
        let end = self
            .starts
            .get(line + 1)
            .map_or(self.source.len(), |next| next - 1);
        self.source.get(start..end).unwrap_or("").trim_end_matches('\r')
    }
}

fn wide(program: &Program, index: usize, insn: Insn, maps: &[BpfMap]) -> String {
    let dst = Reg(insn.dst);
    let high = program.insns.get(index + 1).map_or(0, |next| next.imm);
    match program.reloc(index) {
        Some(RelocTarget::Map(id)) => match maps.get(id.0 as usize) {
            Some(map) => format!("{dst:?} = map[{}]", map.symbol),
            None => format!("{dst:?} = map[{}]", id.0),
        },
        Some(RelocTarget::Memory(offset)) => format!("{dst:?} = memory[{offset}]"),
        Some(RelocTarget::Callback(id)) => format!("{dst:?} = callback {id}"),
        // Of calls, not of loads.
        Some(RelocTarget::Subprogram(_)) | None => {
            let value = u64::from(insn.imm as u32) | u64::from(high as u32) << 32;
            format!("{dst:?} = {value:#x}")
        }
    }
}

/// 32-bit arithmetic is on `w0` to `w9`, the low halves.
fn register(insn: Insn, number: u8) -> String {
    let half = matches!(insn.class(), op::ALU | op::JMP32);
    format!("{}{number}", if half { 'w' } else { 'r' })
}

fn right_side(insn: Insn) -> String {
    if insn.code & op::X != 0 {
        register(insn, insn.src)
    } else {
        insn.imm.to_string()
    }
}

fn alu(insn: Insn) -> String {
    let dst = register(insn, insn.dst);
    let operator = match insn.code & 0xf0 {
        op::ADD => "+=",
        op::SUB => "-=",
        op::MUL => "*=",
        // A signed division is marked by the offset (version 4 of the instruction set).
        op::DIV if insn.off == 1 => "s/=",
        op::DIV => "/=",
        op::OR => "|=",
        op::AND => "&=",
        op::LSH => "<<=",
        op::RSH => ">>=",
        op::MOD if insn.off == 1 => "s%=",
        op::MOD => "%=",
        op::XOR => "^=",
        op::MOV => "=",
        op::ARSH => "s>>=",
        op::NEG => return format!("{dst} = -{dst}"),
        _ => return unknown(insn),
    };
    format!("{dst} {operator} {}", right_side(insn))
}

fn place(insn: Insn, base: u8) -> String {
    let ty = match insn.code & 0x18 {
        op::B => "u8",
        op::H => "u16",
        op::W => "u32",
        _ => "u64",
    };
    let sign = if insn.off < 0 { '-' } else { '+' };
    format!("*({ty} *)(r{base} {sign} {})", insn.off.unsigned_abs())
}

fn load(insn: Insn) -> String {
    format!("{:?} = {}", Reg(insn.dst), place(insn, insn.src))
}

fn atomic(insn: Insn) -> String {
    let place = place(insn, insn.dst);
    let src = Reg(insn.src);
    match insn.imm {
        op::XCHG => return format!("{src:?} = xchg({place}, {src:?})"),
        op::CMPXCHG => return format!("r0 = cmpxchg({place}, r0, {src:?})"),
        _ => {}
    }
    let (operator, name) = match (insn.imm & !op::FETCH) as u8 {
        op::ADD => ("+=", "add"),
        op::AND => ("&=", "and"),
        op::OR => ("|=", "or"),
        op::XOR => ("^=", "xor"),
        _ => return unknown(insn),
    };
    if insn.imm & op::FETCH != 0 {
        format!("{src:?} = atomic_fetch_{name}({place}, {src:?})")
    } else {
        format!("lock {place} {operator} {src:?}")
    }
}

fn jump(insn: Insn) -> String {
    let operator = match insn.code & 0xf0 {
        op::JA => return format!("goto {:+}", insn.off),
        op::EXIT => return "exit".into(),
        op::CALL => {
            return match Helper::by_number(insn.imm as u32) {
                Some(helper) => format!("call {}#{}", helper.row().name, insn.imm),
                None => format!("call #{}", insn.imm),
            };
        }
        op::JEQ => "==",
        op::JGT => ">",
        op::JGE => ">=",
        op::JSET => "&",
        op::JNE => "!=",
        op::JSGT => "s>",
        op::JSGE => "s>=",
        op::JLT => "<",
        op::JLE => "<=",
        op::JSLT => "s<",
        op::JSLE => "s<=",
        _ => return unknown(insn),
    };
    format!(
        "if {} {operator} {} goto {:+}",
        register(insn, insn.dst),
        right_side(insn),
        insn.off
    )
}

fn unknown(insn: Insn) -> String {
    format!("(unknown {:02x?})", insn.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Reloc;
    use crate::plan::{BpfMapId, BpfMapKind};
    use crumbs_grammar::span::Span;

    fn text(insn: Insn) -> String {
        let program = Program {
            symbol: "p".into(),
            insns: vec![insn],
            spans: vec![Span::default()],
            relocs: Vec::new(),
            frame: 0,
            callbacks: Vec::new(),
            arguments: None,
        };
        instruction(&program, 0, &[])
    }

    #[test]
    fn each_kind_of_instruction() {
        let (r1, r2) = (Reg(1), Reg(2));
        for (insn, expected) in [
            (Insn::mov(r1, Reg::FP), "r1 = r10"),
            (Insn::alu_imm(op::ALU64 | op::ARSH, r2, 7), "r2 s>>= 7"),
            (Insn::alu_reg(op::ALU | op::MOV, r1, r2), "w1 = w2"),
            (Insn::alu_imm(op::ALU64 | op::NEG, r2, 0), "r2 = -r2"),
            (Insn::load(op::DW, r1, Reg(6), 96), "r1 = *(u64 *)(r6 + 96)"),
            (Insn::store(op::H, Reg::FP, -8, r2), "*(u16 *)(r10 - 8) = r2"),
            (Insn::store_imm(op::B, r1, 0, -1), "*(u8 *)(r1 + 0) = -1"),
            (
                Insn::atomic(i32::from(op::ADD), Reg(0), 8, r1),
                "lock *(u64 *)(r0 + 8) += r1",
            ),
            (
                Insn::atomic(i32::from(op::OR) | op::FETCH, Reg(0), 8, r1),
                "r1 = atomic_fetch_or(*(u64 *)(r0 + 8), r1)",
            ),
            (
                Insn::atomic(op::XCHG, r2, 0, r1),
                "r1 = xchg(*(u64 *)(r2 + 0), r1)",
            ),
            (
                Insn::atomic(op::CMPXCHG, r2, 0, r1),
                "r0 = cmpxchg(*(u64 *)(r2 + 0), r0, r1)",
            ),
            (Insn::jump_imm(op::JMP | op::JSGT, r2, 5, 3), "if r2 s> 5 goto +3"),
            (
                Insn::jump_reg(op::JMP32 | op::JNE, r2, r1, -3),
                "if w2 != w1 goto -3",
            ),
            (Insn::goto(4), "goto +4"),
            (Insn::call(8), "call get_smp_processor_id#8"),
            (Insn::call(9999), "call #9999"),
            (Insn::exit(), "exit"),
            (
                Insn {
                    code: 0xff,
                    ..Insn::default()
                },
                "(unknown [ff, 00, 00, 00, 00, 00, 00, 00])",
            ),
        ] {
            assert_eq!(text(insn), expected);
            assert_eq!(Insn::from_bytes(insn.to_bytes()), insn);
        }
    }

    #[test]
    fn bytes_are_as_the_kernel_wants_them() {
        // `r1 = *(u64 *)(r6 + 96)` as assembled by LLVM.
        let insn = Insn::load(op::DW, Reg(1), Reg(6), 96);
        assert_eq!(insn.to_bytes(), [0x79, 0x61, 0x60, 0, 0, 0, 0, 0]);
        let [low, high] = Insn::wide(Reg(2), 0, 0x1122_3344_5566_7788);
        assert_eq!(low.to_bytes(), [0x18, 0x02, 0, 0, 0x88, 0x77, 0x66, 0x55]);
        assert_eq!(high.to_bytes(), [0, 0, 0, 0, 0x44, 0x33, 0x22, 0x11]);
    }

    #[test]
    fn listing_shows_lines_and_symbols() {
        let source = "begin {\n  @a = 1;\n}";
        let mut insns = vec![Insn::mov_imm(Reg(0), 0)];
        insns.extend(Insn::wide(Reg(1), 0, 0));
        insns.extend(Insn::wide(Reg(2), 0, 24));
        insns.extend(Insn::wide(Reg(3), 0, u64::MAX));
        insns.push(Insn::exit());
        let (header, body) = (Span::new(0, 5), Span::new(10, 16));
        let program = Program {
            symbol: "p0".into(),
            insns,
            spans: vec![
                header,
                body,
                body,
                body,
                body,
                Span::default(),
                Span::default(),
                header,
            ],
            relocs: vec![
                Reloc {
                    insn: 1,
                    target: RelocTarget::Map(BpfMapId(0)),
                },
                Reloc {
                    insn: 3,
                    target: RelocTarget::Memory(24),
                },
            ],
            frame: 16,
            callbacks: Vec::new(),
            arguments: None,
        };
        let maps = [BpfMap {
            symbol: "a".into(),
            kind: BpfMapKind::Hash,
            key_size: 8,
            value_size: 8,
            max_entries: 1,
            flags: 0,
        }];
        assert_eq!(
            listing(&program, source, &maps),
            "\
p0: 8 instructions, 16 bytes of stack
; 1: begin {
   0: r0 = 0
; 2: @a = 1;
   1: r1 = map[a]
   3: r2 = memory[24]
   5: r3 = 0xffffffffffffffff
; 1: begin {
   7: exit
"
        );
    }

    #[test]
    fn lines_at_the_edges() {
        let lines = Lines::of("a\r\nbc\n");
        assert_eq!(lines.position(0), (0, 0));
        assert_eq!(lines.position(4), (1, 1));
        assert_eq!(lines.position(99), (2, 0));
        assert_eq!(
            (lines.text(0), lines.text(1), lines.text(2), lines.text(3)),
            ("a", "bc", "", "")
        );
    }
}
