//! An input that becomes sections of an ELF file: what is read in them is reached at once, while damage to a whole file
//! mostly ends in its headers.
//!
//! An input is a list of parts, each a number of 1 byte, a length of 2 bytes (little endian) and as many bytes. The number
//! says which section the bytes are added to. What is left when a part is cut off is its last bytes.

use std::collections::BTreeMap;

/// A section: its name and its type (`sh_type` of <elf.h>).
pub type Section = (&'static str, u32);

/// `SHT_PROGBITS`, `SHT_NOTE`.
const DATA: u32 = 1;
const NOTE: u32 = 7;

/// Debug information.
pub const DWARF: &[Section] = &[
    (".debug_info", DATA),
    (".debug_abbrev", DATA),
    (".debug_str", DATA),
    (".debug_line", DATA),
    (".debug_line_str", DATA),
    (".debug_aranges", DATA),
    (".debug_ranges", DATA),
    (".debug_rnglists", DATA),
    (".debug_addr", DATA),
    (".debug_str_offsets", DATA),
    (".debug_types", DATA),
];

/// Notes of static probes.
pub const USDT: &[Section] = &[(".note.stapsdt", NOTE), (".stapsdt.base", DATA)];

/// What leads to other files.
pub const LINKS: &[Section] = &[
    (".note.gnu.build-id", NOTE),
    (".gnu_debuglink", DATA),
    (".gnu_debugaltlink", DATA),
    (".gnu_debugdata", DATA),
];

/// Where the code and everything else is loaded.
pub const BASE: u64 = 0x40_0000;

/// The bytes of each section of an input.
fn parts(input: &[u8], sections: &[Section]) -> BTreeMap<usize, Vec<u8>> {
    let mut found: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut rest = input;
    while let [number, low, high, behind @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
        let (part, behind) = behind.split_at(length);
        let section = usize::from(*number) % sections.len();
        found.entry(section).or_default().extend(part);
        rest = behind;
    }
    found
}

/// An ELF library of this machine with the sections that `input` says, all loaded as code.
pub fn elf(input: &[u8], sections: &[Section]) -> Vec<u8> {
    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    const ENTRY: usize = 64;
    let (mut body, mut names, mut table) = (Vec::new(), vec![0], vec![0; ENTRY]);
    let mut add = |name: &str, kind: u32, bytes: &[u8]| {
        let at = HEADER + SEGMENT + body.len();
        let flags = 2;
        table.extend((names.len() as u32).to_le_bytes());
        table.extend(kind.to_le_bytes());
        for word in [flags, BASE + at as u64, at as u64, bytes.len() as u64, 0, 4, 0] {
            table.extend(word.to_le_bytes());
        }
        names.extend(name.bytes().chain([0]));
        body.extend(bytes);
        body.resize(body.len().next_multiple_of(8), 0);
    };
    for (number, bytes) in parts(input, sections) {
        let (name, kind) = sections[number];
        add(name, kind, &bytes);
    }
    // Its own name is in it: 1 is behind the empty one.
    let before = names.len();
    names.extend(b".names\0");
    let at = HEADER + SEGMENT + body.len();
    table.extend((before as u32).to_le_bytes());
    table.extend(3u32.to_le_bytes());
    for word in [0, 0, at as u64, names.len() as u64, 0, 1, 0] {
        table.extend(word.to_le_bytes());
    }
    body.extend(&names);
    let end = HEADER + SEGMENT + body.len();
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [3, machine] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    for word in [BASE, HEADER as u64, end as u64] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    let count = (table.len() / ENTRY) as u16;
    for half in [HEADER as u16, SEGMENT as u16, 1, ENTRY as u16, count, count - 1] {
        file.extend(half.to_le_bytes());
    }
    // PT_LOAD, readable and executable.
    file.extend(1u32.to_le_bytes());
    file.extend(5u32.to_le_bytes());
    for word in [0, BASE, BASE, end as u64, end as u64, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(body);
    file.extend(table);
    file
}
