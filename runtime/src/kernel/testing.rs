//! What live tests share: whether they can run here, and instructions written by hand.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::sys::bpf;
use std::os::fd::OwnedFd;

/// Whether BPF programs can be loaded here; the reason if not.
pub(crate) fn can_run() -> Result<(), String> {
    // Before 5.11 maps need it; afterwards it may fail and does not matter.
    let _ = crate::sys::process::unlimit_locked_memory();
    let spec = bpf::MapSpec {
        kind: bpf::map_type::ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        flags: 0,
        name: "crumbs_test",
        inner: None,
    };
    match bpf::map_create(&spec) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no BPF here: {error}")),
    }
}

/// Says that a test did not run.
#[expect(
    clippy::print_stdout,
    reason = "the harness shows it, and a skipped test must be seen"
)]
pub(crate) fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// An instruction (`struct bpf_insn`).
pub(crate) fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> [u8; 8] {
    let (off, imm) = (off.to_le_bytes(), imm.to_le_bytes());
    [
        code,
        dst | src << 4,
        off[0],
        off[1],
        imm[0],
        imm[1],
        imm[2],
        imm[3],
    ]
}

/// `dst = fd` as a map: two instructions; `pseudo` is 1 for the map, 2 for the start of its value.
pub(crate) fn load_map(dst: u8, pseudo: u8, fd: i32) -> Vec<u8> {
    [insn(0x18, dst, pseudo, 0, fd), insn(0, 0, 0, 0, 0)].concat()
}

/// Loads a program from instructions; panics with the verifier's log.
pub(crate) fn load(kind: u32, attach_type: u32, flags: u32, code: &[u8]) -> OwnedFd {
    let spec = bpf::ProgramSpec {
        kind,
        attach_type,
        flags,
        name: "crumbs_test",
        code,
        btf: None,
        function: None,
    };
    bpf::prog_load(&spec, None).unwrap_or_else(|error| {
        let mut log = vec![0; 64 << 10];
        let _ = bpf::prog_load(&spec, Some((&mut log, 1)));
        panic!("{error}: {}", String::from_utf8_lossy(&log))
    })
}

/// Path and file offset of a function of this very program.
pub(crate) fn place_of(function: usize) -> (String, u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let (start, end) = (
                usize::from_str_radix(start, 16).ok()?,
                usize::from_str_radix(end, 16).ok()?,
            );
            let offset = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
            let path = fields.nth(2)?;
            (start <= function && function < end)
                .then(|| (path.to_owned(), offset + (function - start) as u64))
        })
        .unwrap()
}
