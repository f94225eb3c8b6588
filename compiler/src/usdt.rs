//! Static user probes (USDT): what a note says of the arguments of a probe.
//!
//! In: the text of the argument list in a `.note.stapsdt` note, as the compiler that built the program wrote it: operands
//! in assembler syntax, each behind its size and `@`, a minus for signed ones (`-4@%edi 8@-16(%rbp)`). Out: where each
//! argument is when the probe is reached. The text is not trusted; what is not understood is kept as text.

use crate::target::Arch;

/// An argument of a static user probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Its size: 1, 2, 4 or 8.
    pub bytes: u8,
    /// Whether it has a sign.
    pub signed: bool,
    /// Where it is.
    pub source: Source,
}

/// Where an argument is. Registers are named by their offset in `struct pt_regs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// It is this number.
    Constant(i64),
    /// In a register, from this bit on.
    Register {
        /// The register.
        offset: u16,
        /// The lowest bit.
        shift: u8,
    },
    /// In memory, at the sum of these.
    Memory {
        /// A register.
        base: Option<u16>,
        /// A register and what it is multiplied with.
        index: Option<(u16, u8)>,
        /// A number.
        displacement: i64,
    },
    /// In a form that is not understood; the operand's text.
    Unknown(String),
}

/// The most arguments that are read of a note: `sys/sdt.h` has macros for up to 12.
const MAX_ARGUMENTS: usize = 64;

/// The offset of a whole register in `struct pt_regs`, by its name in assembler (`rdi`, `x0`).
pub fn register(name: &str, arch: Arch) -> Option<u16> {
    match arch {
        Arch::X86_64 => match x86_64_register(&format!("%{name}")) {
            Some((offset, 0)) if name.starts_with('r') => Some(offset),
            _ => None,
        },
        Arch::Aarch64 => aarch64_register(name),
    }
}

/// Reads the argument list of a note.
pub fn arguments(text: &str, arch: Arch) -> Vec<Argument> {
    let mut operands: Vec<(u8, bool, String)> = Vec::new();
    for word in text.split_ascii_whitespace() {
        match (head(word), operands.last_mut()) {
            (Some((bytes, signed, operand)), _) => operands.push((bytes, signed, operand.to_owned())),
            // AArch64 writes `[sp, 12]`.
            (None, Some((_, _, operand))) => operand.push_str(word),
            (None, None) => {}
        }
        if operands.len() > MAX_ARGUMENTS {
            break;
        }
    }
    let argument = |(bytes, signed, operand): (u8, bool, String)| Argument {
        source: match bytes {
            1 | 2 | 4 | 8 => match arch {
                Arch::X86_64 => x86_64(&operand),
                Arch::Aarch64 => aarch64(&operand),
            }
            .unwrap_or(Source::Unknown(operand)),
            _ => Source::Unknown(operand),
        },
        bytes,
        signed,
    };
    operands.into_iter().map(argument).collect()
}

/// `-4@rest`: size, sign and the rest.
fn head(word: &str) -> Option<(u8, bool, &str)> {
    let (size, operand) = word.split_once('@')?;
    let (signed, digits) = match size.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, size),
    };
    if let Some(float) = digits.strip_suffix('f') {
        // A size that is none makes it unknown.
        return float.parse::<u8>().is_ok().then_some((0, signed, operand));
    }
    Some((digits.parse().ok()?, signed, operand))
}

/// The register that `%NAME` is a part of, and the lowest bit of that part.
fn x86_64_register(name: &str) -> Option<(u16, u8)> {
    let name = name.strip_prefix('%')?;
    let find = |wanted: &str| {
        let (_, at) = Arch::X86_64
            .registers()
            .iter()
            .find(|(name, _)| *name == wanted)?;
        u16::try_from(*at).ok()
    };
    if name.starts_with("r") && name[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return Some((find(name.trim_end_matches(['d', 'w', 'b']))?, 0));
    }
    if let Some(at) = find(name.strip_prefix(['r', 'e']).unwrap_or(name)) {
        return Some((at, 0));
    }
    // `%al`, `%ah`, `%sil`.
    let (stem, shift) = match name.strip_suffix('l') {
        Some(stem) => (stem, 0),
        None => (name.strip_suffix('h')?, 8),
    };
    match stem {
        "a" | "b" | "c" | "d" => Some((find(&format!("{stem}x"))?, shift)),
        _ if shift == 0 => Some((find(stem)?, 0)),
        _ => None,
    }
}

fn x86_64(operand: &str) -> Option<Source> {
    if let Some(number) = operand.strip_prefix('$') {
        return Some(Source::Constant(number_of(number)?));
    }
    if operand.starts_with('%') {
        let (offset, shift) = x86_64_register(operand)?;
        return Some(Source::Register { offset, shift });
    }
    let (displacement, rest) = match operand.split_once('(') {
        Some((displacement, rest)) => (displacement, Some(rest.strip_suffix(')')?)),
        None => (operand, None),
    };
    let displacement = match displacement {
        "" => 0,
        text => number_of(text)?,
    };
    let Some(rest) = rest else {
        return Some(Source::Memory {
            base: None,
            index: None,
            displacement,
        });
    };
    let whole = |name: &str| x86_64_register(name.trim()).filter(|(_, shift)| *shift == 0);
    let mut parts = rest.split(',');
    let base = match parts.next()?.trim() {
        "" => None,
        name => Some(whole(name)?.0),
    };
    let index = match parts.next().map(str::trim) {
        None | Some("") => None,
        Some(name) => {
            let scale = parts.next().map_or(Some(1), |scale| scale.trim().parse().ok())?;
            if !matches!(scale, 1 | 2 | 4 | 8) {
                return None;
            }
            Some((whole(name)?.0, scale))
        }
    };
    parts.next().is_none().then_some(Source::Memory {
        base,
        index,
        displacement,
    })
}

/// The offset of `x0` … `x30`, `w0` …, `sp` in `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h).
fn aarch64_register(name: &str) -> Option<u16> {
    match name {
        "sp" => return Some(248),
        "fp" => return Some(29 * 8),
        "lr" => return Some(30 * 8),
        _ => {}
    }
    let digits = name.strip_prefix(['x', 'w'])?;
    let number: u16 = digits.parse().ok()?;
    (number <= 30).then_some(number * 8)
}

fn aarch64(operand: &str) -> Option<Source> {
    if let Some(inside) = operand.strip_prefix('[') {
        let mut parts = inside.strip_suffix(']')?.split(',').map(str::trim);
        let base = Some(aarch64_register(parts.next()?)?);
        let (index, displacement) = match parts.next() {
            None => (None, 0),
            Some(second) => match number_of(second.trim_start_matches('#')) {
                Some(number) => (None, number),
                None => (Some((aarch64_register(second)?, shift(parts.next())?)), 0),
            },
        };
        return parts.next().is_none().then_some(Source::Memory {
            base,
            index,
            displacement,
        });
    }
    if let Some(offset) = aarch64_register(operand) {
        return Some(Source::Register { offset, shift: 0 });
    }
    Some(Source::Constant(number_of(operand.trim_start_matches('#'))?))
}

/// What an index is multiplied with: `lsl #3` is 8 (blanks are gone by now).
fn shift(text: Option<&str>) -> Option<u8> {
    let Some(text) = text else { return Some(1) };
    let amount = text.strip_prefix("lsl")?.trim().trim_start_matches('#');
    let amount: u8 = amount.parse().ok()?;
    (amount <= 3).then(|| 1 << amount)
}

/// A decimal or hexadecimal number with a sign, of 64 bits.
fn number_of(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    match negative {
        false => Some(magnitude as i64),
        true if magnitude <= 1 << 63 => Some((magnitude as i64).wrapping_neg()),
        true => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str, arch: Arch) -> Vec<(u8, bool, Source)> {
        let all = arguments(text, arch).into_iter();
        all.map(|argument| (argument.bytes, argument.signed, argument.source))
            .collect()
    }

    fn register(offset: u16, shift: u8) -> Source {
        Source::Register { offset, shift }
    }

    fn memory(base: Option<u16>, index: Option<(u16, u8)>, displacement: i64) -> Source {
        Source::Memory {
            base,
            index,
            displacement,
        }
    }

    #[test]
    fn operands_of_x86_64() {
        let text = "-4@%edi 8@-16(%rbp) 4@$-5 1@%ah 2@%r9w 1@%sil 8@(%rax,%rdx,8) 8@,x 4@0x601040(,%rcx,4) -8@24(%rsp) 1@%r10b 4@6295616 8@$0x10";
        assert_eq!(
            sources(text, Arch::X86_64),
            [
                (4, true, register(112, 0)),
                (8, false, memory(Some(32), None, -16)),
                (4, false, Source::Constant(-5)),
                (1, false, register(80, 8)),
                (2, false, register(64, 0)),
                (1, false, register(104, 0)),
                (8, false, memory(Some(80), Some((96, 8)), 0)),
                (8, false, Source::Unknown(",x".into())),
                (4, false, memory(None, Some((88, 4)), 0x60_1040)),
                (8, true, memory(Some(152), None, 24)),
                (1, false, register(56, 0)),
                (4, false, memory(None, None, 6_295_616)),
                (8, false, Source::Constant(16)),
            ]
        );
    }

    #[test]
    fn operands_of_aarch64() {
        let text = "-4@w1 8@x30 8@[sp, 12] 4@[x0] 8@5 -4@-7 8@[x1, x2, lsl #3] 8@[x3, #-8] 8@[x4, x5]";
        assert_eq!(
            sources(text, Arch::Aarch64),
            [
                (4, true, register(8, 0)),
                (8, false, register(240, 0)),
                (8, false, memory(Some(248), None, 12)),
                (4, false, memory(Some(0), None, 0)),
                (8, false, Source::Constant(5)),
                (4, true, Source::Constant(-7)),
                (8, false, memory(Some(8), Some((16, 8)), 0)),
                (8, false, memory(Some(24), None, -8)),
                (8, false, memory(Some(32), Some((40, 1)), 0)),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_keeps_its_place() {
        for text in [
            "8f@%xmm0",
            "8@counter(%rip)",
            "8@%foo",
            "3@%rax",
            "8@(%rax,%rbx,3)",
            "8@(%rax",
            "8@$",
            "8@(%ah)",
            "8@%rxyz",
            "8@%é",
        ] {
            let found = sources(&format!("4@%edi {text} 4@%esi"), Arch::X86_64);
            assert_eq!(found.len(), 3, "{text}");
            assert!(matches!(found[1].2, Source::Unknown(_)), "{text}: {found:?}");
            assert_eq!(found[2].2, register(104, 0), "{text}");
        }
        assert!(arguments("", Arch::X86_64).is_empty());
        assert!(arguments("nonsense", Arch::X86_64).is_empty());
        assert!(arguments(&"8@%rax ".repeat(1000), Arch::X86_64).len() < 100);
    }
}
