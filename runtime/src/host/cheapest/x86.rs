//! What single functions of x86-64 say: where a probe on one could be moved, and what can jump there.
//!
//! In: bytes of code and their address. Out: facts about them, `None` or a doubt wherever decoding does not tell for
//! certain.
//!
//! **What the kernel emulates**: `branch_setup_xol_ops` and `push_setup_xol_ops` of arch/x86/kernel/uprobes.c, since 5.1:
//! `push` of a register, `nop`, `jmp`, `jcc` and `call` to an address in the instruction, all without prefixes. Everything
//! else costs a single step elsewhere. (Later kernels emulate more; what is here is emulated by all that are supported.)

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// The longest instruction, bytes.
pub(super) const LONGEST: usize = 15;

/// The most instructions that are left behind.
const MAX_SKIPPED: usize = 12;

/// The most instructions that are followed outside of a function.
const MAX_FOLLOWED: usize = 400;

/// How many bytes farther than it reaches a piece of code begins to be decoded of which it is not known where its
/// instructions begin. From wherever decoding starts, it finds the true beginnings within a few instructions.
const APPROACH: usize = 64;

/// How far a branch of two bytes reaches, with its own length.
pub(super) const SHORT_REACH: u64 = 130;

/// Code and the address of its first byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) address: u64,
}

impl<'a> Code<'a> {
    fn decoder(self, from: u64) -> Option<Decoder<'a>> {
        let skip = usize::try_from(from.checked_sub(self.address)?).ok()?;
        let bytes = self.bytes.get(skip..)?;
        Some(Decoder::with_ip(64, bytes, from, DecoderOptions::NONE))
    }

    fn bytes_of(self, insn: &Instruction) -> &'a [u8] {
        let at = insn.ip().wrapping_sub(self.address);
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(at..).unwrap_or_default();
        bytes.get(..insn.len()).unwrap_or_default()
    }
}

/// The address of the first instruction from `entry` on that the kernel emulates, if every one before it can be left
/// behind by a probe that reads `arguments` (a bit each).
pub(super) fn emulated(code: Code<'_>, entry: u64, arguments: u32) -> Option<u64> {
    let mut decoder = code.decoder(entry)?;
    for _ in 0..=MAX_SKIPPED {
        let insn = decoder.decode();
        if insn.is_invalid() {
            return None;
        }
        if is_emulated(code.bytes_of(&insn)) {
            return Some(insn.ip());
        }
        if !is_neutral(&insn, arguments) {
            return None;
        }
    }
    None
}

/// Whether the kernel emulates the instruction that these are the bytes of.
fn is_emulated(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        // push, also of r8 to r15; nop
        [0x50..=0x57] | [0x41, 0x50..=0x57] | [0x90]
        // jmp and jcc; call
        | [0xeb | 0x70..=0x7f, _]
        | [0xe8 | 0xe9, _, _, _, _]
        | [0x0f, 0x80..=0x8f, _, _, _, _]
    )
}

/// Whether nothing of what a program sees is changed by an instruction, and the next one is sure to follow it: it writes no
/// memory and none of these arguments, and reads memory only where no value of the program can make it fail.
fn is_neutral(insn: &Instruction, arguments: u32) -> bool {
    use Mnemonic as M;
    if insn.has_lock_prefix() || insn.has_rep_prefix() || insn.has_repne_prefix() {
        return false;
    }
    match insn.mnemonic() {
        // They touch no operand.
        M::Endbr64 | M::Nop => true,
        // Only flags are written.
        M::Cmp | M::Test => reads_safely(insn),
        M::Lea => leaves_arguments(insn.op0_register(), arguments),
        M::Mov
        | M::Movzx
        | M::Movsx
        | M::Movsxd
        | M::Xor
        | M::Sub
        | M::Add
        | M::And
        | M::Or
        | M::Shl
        | M::Shr
        | M::Sar
        | M::Not
        | M::Neg
        | M::Inc
        | M::Dec
        | M::Pxor
        | M::Xorps
        | M::Movaps
        | M::Movups
        | M::Movdqa
        | M::Movdqu
        | M::Movd
        | M::Movq => {
            insn.op0_kind() == OpKind::Register
                && leaves_arguments(insn.op0_register(), arguments)
                && reads_safely(insn)
        }
        _ => false,
    }
}

/// Whether an instruction reads no memory but its own file's or thread's at a fixed place.
fn reads_safely(insn: &Instruction) -> bool {
    let memory = (0..insn.op_count()).any(|n| insn.op_kind(n) == OpKind::Memory);
    let string = (0..insn.op_count()).any(|n| {
        !matches!(
            insn.op_kind(n),
            OpKind::Memory
                | OpKind::Register
                | OpKind::Immediate8
                | OpKind::Immediate16
                | OpKind::Immediate32
                | OpKind::Immediate64
                | OpKind::Immediate8to16
                | OpKind::Immediate8to32
                | OpKind::Immediate8to64
                | OpKind::Immediate32to64
        )
    });
    let of_thread = insn.segment_prefix() == Register::FS
        && insn.memory_base() == Register::None
        && insn.memory_index() == Register::None;
    let of_file = insn.is_ip_rel_memory_operand() && insn.segment_prefix() == Register::None;
    !string && (!memory || of_thread || of_file)
}

/// Whether a register can be written without changing one of these arguments, or what makes the thread run on.
fn leaves_arguments(register: Register, arguments: u32) -> bool {
    use Register as R;
    let argument = match register {
        R::RDI | R::EDI | R::DI | R::DIL => 0,
        R::RSI | R::ESI | R::SI | R::SIL => 1,
        R::RDX | R::EDX | R::DX | R::DL | R::DH => 2,
        R::RCX | R::ECX | R::CX | R::CL | R::CH => 3,
        R::R8 | R::R8D | R::R8W | R::R8L => 4,
        R::R9 | R::R9D | R::R9W | R::R9L => 5,
        // No probe reads these.
        R::RAX | R::EAX | R::AX | R::AL | R::AH => return true,
        R::RBX | R::EBX | R::BX | R::BL | R::BH => return true,
        R::RBP | R::EBP | R::BP | R::BPL | R::RSP => return true,
        register => {
            return (R::R10..=R::R15).contains(&register)
                || (R::R10D..=R::R15D).contains(&register)
                || (R::R10W..=R::R15W).contains(&register)
                || (R::R10L..=R::R15L).contains(&register)
                || (R::XMM0..=R::XMM15).contains(&register);
        }
    };
    arguments & (1 << argument) == 0
}

/// Addresses behind a function's entry, up to the one a probe could be moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) entry: u64,
    /// Among them.
    pub(super) to: u64,
}

impl Skipped {
    pub(super) fn contains(self, address: u64) -> bool {
        self.entry < address && address <= self.to
    }
}

/// The address that an instruction jumps to or calls, where it says so itself.
fn target(insn: &Instruction) -> Option<u64> {
    let is_branch = matches!(
        insn.op0_kind(),
        OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16
    );
    (insn.op_count() > 0 && is_branch).then(|| insn.near_branch_target())
}

/// Whether a function itself, from its entry to `end`, can be in doubt: it jumps to the skipped instructions, or to where it
/// does not say. Gives the addresses outside of it that it jumps to.
pub(super) fn leaves(code: Code<'_>, skipped: Skipped, end: u64) -> Option<Vec<u64>> {
    let mut decoder = code.decoder(skipped.entry)?;
    let mut outside = Vec::new();
    let mut insn = Instruction::default();
    while decoder.ip() < end {
        decoder.decode_out(&mut insn);
        if insn.is_invalid() || insn.next_ip() > end {
            return None;
        }
        match (target(&insn), insn.mnemonic()) {
            (Some(to), _) if skipped.contains(to) => return None,
            (Some(_), Mnemonic::Call) => {}
            (Some(to), _) if (skipped.entry..end).contains(&to) => {}
            (Some(to), _) => outside.push(to),
            (None, Mnemonic::Jmp) => return None,
            (None, _) => {}
        }
    }
    outside.sort_unstable();
    outside.dedup();
    Some(outside)
}

/// Where code ends up that a function jumps to outside of itself.
pub(super) trait Surroundings {
    /// Code from an address on, some hundred bytes where there are so many.
    fn code_from(&mut self, address: u64) -> Option<(Vec<u8>, u64)>;
    /// Whether a function is known to begin there.
    fn is_function(&self, address: u64) -> bool;
}

/// Whether all that follows `from`, parts of a function that lie elsewhere (`.cold`) or functions without a name that it
/// ends in, jumps only where its instructions say.
pub(super) fn is_followed(
    from: Vec<u64>,
    function: std::ops::Range<u64>,
    around: &mut dyn Surroundings,
) -> bool {
    let mut open = from;
    let mut seen = std::collections::HashSet::new();
    let mut left = MAX_FOLLOWED;
    while let Some(start) = open.pop() {
        if function.contains(&start) || around.is_function(start) || seen.contains(&start) {
            continue;
        }
        let Some((bytes, address)) = around.code_from(start) else {
            return false;
        };
        let code = Code {
            bytes: &bytes,
            address,
        };
        let Some(mut decoder) = code.decoder(start) else {
            return false;
        };
        loop {
            let insn = decoder.decode();
            if insn.is_invalid() || left == 0 {
                return false;
            }
            if !seen.insert(insn.ip()) {
                break;
            }
            left -= 1;
            match (insn.mnemonic(), target(&insn)) {
                (Mnemonic::Jmp, Some(to)) => {
                    open.push(to);
                    break;
                }
                // A function of another file, through a word that the dynamic loader fills in.
                (Mnemonic::Jmp, None) if insn.is_ip_rel_memory_operand() => break,
                (Mnemonic::Jmp, None) => return false,
                (Mnemonic::Ret | Mnemonic::Ud2 | Mnemonic::Hlt, _) => break,
                (Mnemonic::Call, _) | (_, None) => {}
                (_, Some(to)) => open.push(to),
            }
        }
    }
    true
}

/// Whether a branch of two bytes jumps to the skipped instructions from `code`, of which it is not known where its
/// instructions begin: all beginnings that are possible are taken for true.
pub(super) fn has_short_branch(code: Code<'_>, skipped: Skipped) -> bool {
    let mut seen = vec![false; code.bytes.len()];
    for start in 0..LONGEST.min(code.bytes.len()) {
        let Some(mut decoder) = code.decoder(code.address + start as u64) else {
            continue;
        };
        while decoder.can_decode() {
            let at = start + decoder.position();
            if std::mem::replace(&mut seen[at], true) {
                break;
            }
            let insn = decoder.decode();
            if insn.is_invalid() {
                // Data, perhaps, or no beginning: go on at the next byte.
                if decoder.set_position(at + 1 - start).is_err() {
                    break;
                }
                decoder.set_ip(code.address + at as u64 + 1);
                continue;
            }
            if insn.len() <= 3 && target(&insn).is_some_and(|to| skipped.contains(to)) {
                return true;
            }
        }
    }
    false
}

/// How far in front of a place code must be known for [`has_short_branch`].
pub(super) const BEFORE: u64 = SHORT_REACH + APPROACH as u64;

#[cfg(test)]
#[path = "x86_tests.rs"]
mod tests;
