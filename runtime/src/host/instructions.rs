//! Where instructions begin.
//!
//! In: the code of a function from its start. Out: whether an instruction begins at an offset. Instructions of x86-64 have
//! no alignment, so they are decoded one behind the other from the function's start; data within functions, which
//! compilers do not put there on x86-64, would lead astray.

use crumbs_compiler::target::Arch;
use iced_x86::{Decoder, DecoderOptions};

/// Whether an instruction begins at `offset` of `code`. `None` where the code cannot be decoded up to there.
pub(super) fn begins_at(code: &[u8], offset: u64, arch: Arch) -> Option<bool> {
    if arch == Arch::Aarch64 {
        return Some(offset.is_multiple_of(4));
    }
    let offset = usize::try_from(offset).ok()?;
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    while decoder.position() < offset {
        if !decoder.can_decode() || decoder.decode().is_invalid() {
            return None;
        }
    }
    Some(decoder.position() == offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries() {
        // push %rbp; mov %rsp,%rbp; sub $16,%rsp; nop
        let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10, 0x90];
        let begins: Vec<u64> = (0..9)
            .filter(|&at| begins_at(&code, at, Arch::X86_64) == Some(true))
            .collect();
        assert_eq!(begins, [0, 1, 4, 8]);
        assert_eq!(begins_at(&code, 20, Arch::X86_64), None);
        // 0x06 is no instruction of 64-bit code.
        assert_eq!(begins_at(&[0x06, 0x90], 1, Arch::X86_64), None);
        assert_eq!(begins_at(&[], 6, Arch::Aarch64), Some(false));
    }
}
