//! Names of the flags that say how the kernel is to get memory (`gfp_t`).
//!
//! In: the bits. Out: names with `|` between them: first those combinations that the kernel's code uses by name, greater ones
//! first, then single flags, then what has no name in hexadecimal.

/// The combinations (include/linux/gfp_types.h, "Useful GFP flag combinations").
static COMBINATIONS: &[(u64, &str)] = &[
    (0x1c_24ca | IO_FS | DIRECT_RECLAIM, "GFP_TRANSHUGE"),
    (0x1c_24ca | IO_FS, "GFP_TRANSHUGE_LIGHT"),
    (0x10_000a | KERNEL, "GFP_HIGHUSER_MOVABLE"),
    (0x10_0002 | KERNEL, "GFP_HIGHUSER"),
    (0x40_0000 | KERNEL, "GFP_KERNEL_ACCOUNT"),
    (0x10_0000 | KERNEL, "GFP_USER"),
    (KERNEL, "GFP_KERNEL"),
    (0x820, "GFP_ATOMIC"),
    (RECLAIM | 0x40, "GFP_NOFS"),
    (RECLAIM, "GFP_NOIO"),
    (0x800, "GFP_NOWAIT"),
    (0x4, "GFP_DMA32"),
    (0x1, "GFP_DMA"),
];

const IO_FS: u64 = 0xc0;
const DIRECT_RECLAIM: u64 = 0x400;
const RECLAIM: u64 = DIRECT_RECLAIM | 0x800;
const KERNEL: u64 = RECLAIM | IO_FS;

/// The flags by bit, without `__GFP_` (the same file, `enum`).
static FLAGS: [&str; 24] = [
    "DMA",
    "HIGHMEM",
    "DMA32",
    "MOVABLE",
    "RECLAIMABLE",
    "HIGH",
    "IO",
    "FS",
    "ZERO",
    "ATOMIC",
    "DIRECT_RECLAIM",
    "KSWAPD_RECLAIM",
    "WRITE",
    "NOWARN",
    "RETRY_MAYFAIL",
    "NOFAIL",
    "NORETRY",
    "MEMALLOC",
    "COMP",
    "NOMEMALLOC",
    "HARDWALL",
    "THISNODE",
    "ACCOUNT",
    "ZEROTAGS",
];

/// The names of the flags that are set; `0` where none is.
pub(super) fn names(bits: u64) -> String {
    if bits == 0 {
        return "0".to_owned();
    }
    let mut left = bits;
    let mut names: Vec<String> = Vec::new();
    for (combination, name) in COMBINATIONS {
        if left & combination == *combination {
            left &= !combination;
            names.push((*name).to_owned());
        }
    }
    for (bit, name) in FLAGS.iter().enumerate() {
        if left >> bit & 1 == 1 {
            left &= !(1 << bit);
            names.push(format!("__GFP_{name}"));
        }
    }
    if left != 0 {
        names.push(format!("{left:#x}"));
    }
    names.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_come_first() {
        for (bits, want) in [
            (0, "0"),
            (0x1, "GFP_DMA"),
            (0xcc0, "GFP_KERNEL"),
            (0xdc0, "GFP_KERNEL|__GFP_ZERO"),
            (0x40_0cc0, "GFP_KERNEL_ACCOUNT"),
            (0x14_0cca, "GFP_HIGHUSER_MOVABLE|__GFP_COMP"),
            (0x820, "GFP_ATOMIC"),
            (0x2800, "GFP_NOWAIT|__GFP_NOWARN"),
            (1 << 40 | 0x2, "__GFP_HIGHMEM|0x10000000000"),
        ] {
            assert_eq!(names(bits), want, "{bits:#x}");
        }
    }
}
