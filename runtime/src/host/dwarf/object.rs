//! The sections of a file with debug information: a program, a library, or one that holds nothing else.
//!
//! In: a path. Out: sections by name, decompressed. Nothing here is trusted: what does not fit into the file, or claims to
//! decompress to more than debug information ever has, is as good as not there.

use crate::host::elf::{read_part, read_sections};
use crate::host::refusal::open_regular;
use crumbs_compiler::target::TargetError;
use flate2::read::ZlibDecoder;
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::{Elf, SectionHeader, header, section_header};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

/// The longest section after decompression; that of a web browser's debug information is about as long.
const MAX_SECTION: u64 = 1 << 31;

/// The most of all sections that are read of a file, and the part of the memory that is free which they may take.
const MAX_TOTAL: u64 = 1 << 33;
const MEMORY_SHARE: u64 = 2;

/// Data that deflate has packed shrinks at most so much.
const MAX_RATIO: u64 = 1032;

/// An ELF file, whatever it is for.
pub(super) struct Object {
    file: File,
    length: u64,
    machine: u16,
    sections: HashMap<Vec<u8>, SectionHeader>,
    /// How many bytes of sections may still be read.
    left: Cell<u64>,
}

/// `Elf64_Chdr`: type, reserved, size, alignment.
const COMPRESSION_HEADER: usize = 24;

/// `ELFCOMPRESS_ZLIB`.
const ZLIB: u32 = 1;

impl Object {
    /// Reads the names and places of the sections of the file at `path`; `None` where it is no 64-bit little-endian
    /// ELF file.
    pub(super) fn open(path: &str) -> Result<Option<Self>, TargetError> {
        let file = open_regular(path)?;
        Ok(Self::read(file))
    }

    fn read(file: File) -> Option<Self> {
        let length = file.metadata().ok()?.len();
        let mut start = Vec::with_capacity(64);
        (&file).take(64).read_to_end(&mut start).ok()?;
        let header = Elf::parse_header(&start).ok()?;
        let is_ours = header.e_ident[header::EI_CLASS] == header::ELFCLASS64
            && header.e_ident[header::EI_DATA] == header::ELFDATA2LSB;
        if !is_ours {
            return None;
        }
        let ctx = Ctx::new(Container::Big, Endian::Little);
        let headers = read_sections(&file, length, &header, ctx)?;
        let names = headers.get(usize::from(header.e_shstrndx))?;
        let names = read_part(&file, length, names.sh_offset, names.sh_size).ok()?;
        // Names of sections are short; so long ones cannot make this long.
        let name = |at: usize| {
            let rest = names.get(at..)?;
            let end = rest.iter().take(256).position(|byte| *byte == 0)?;
            Some(rest[..end].to_vec())
        };
        let mut sections = HashMap::with_capacity(headers.len());
        for section in headers {
            if let Some(name) = name(section.sh_name) {
                sections.entry(name).or_insert(section);
            }
        }
        Some(Self {
            file,
            length,
            machine: header.e_machine,
            sections,
            left: Cell::new(MAX_TOTAL.min(free_memory() / MEMORY_SHARE)),
        })
    }

    /// For which processor it is.
    pub(super) fn machine(&self) -> u16 {
        self.machine
    }

    /// Whether it has contents for a section of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let section = self.sections.get(name.as_bytes());
        section.is_some_and(|section| section.sh_type != section_header::SHT_NOBITS && section.sh_size > 0)
    }

    /// The contents of a section; `None` where there are none that can be read.
    pub(super) fn section(&self, name: &str) -> Option<Vec<u8>> {
        let section = self.sections.get(name.as_bytes())?;
        if section.sh_type == section_header::SHT_NOBITS {
            return None;
        }
        self.take(section.sh_size)?;
        let bytes = read_part(&self.file, self.length, section.sh_offset, section.sh_size).ok()?;
        if section.sh_flags & u64::from(section_header::SHF_COMPRESSED) == 0 {
            return Some(bytes);
        }
        let (head, packed) = bytes.split_at_checked(COMPRESSION_HEADER)?;
        let kind = u32::from_le_bytes(head[..4].try_into().ok()?);
        let size = u64::from_le_bytes(head[8..16].try_into().ok()?);
        if kind != ZLIB || size > MAX_SECTION || size > (packed.len() as u64).saturating_mul(MAX_RATIO) {
            return None;
        }
        self.take(size)?;
        let mut section = Vec::new();
        // One byte more than stated, so that what is longer is noticed.
        let mut plain = ZlibDecoder::new(packed).take(size + 1);
        plain.read_to_end(&mut section).ok()?;
        (section.len() as u64 == size).then_some(section)
    }

    /// Takes so many bytes of what may be read; `None` where that is used up: sections can overlap, and a file can have holes.
    fn take(&self, bytes: u64) -> Option<()> {
        self.left.set(self.left.get().checked_sub(bytes)?);
        Some(())
    }

    /// Where the sections with debug information lie in the file.
    #[cfg(test)]
    pub(super) fn debug_ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges: Vec<_> = (self.sections.iter())
            .filter(|(name, section)| name.starts_with(b".debug") && section.sh_size > 0)
            .map(|(_, section)| section.sh_offset as usize..(section.sh_offset + section.sh_size) as usize)
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// The build id that the linker gave it.
    pub(super) fn build_id(&self) -> Option<Vec<u8>> {
        const GNU_BUILD_ID: u32 = 3;
        let note = self.section(".note.gnu.build-id")?;
        let word = |at: usize| Some(u32::from_le_bytes(note.get(at..at + 4)?.try_into().ok()?));
        let (name, size) = (word(0)? as usize, word(4)? as usize);
        let is_gnu = word(8)? == GNU_BUILD_ID && note.get(12..16)? == b"GNU\0" && name == 4;
        let id = note.get(16..16usize.checked_add(size)?)?;
        // 8 to 64 bytes are what linkers make.
        (is_gnu && (2..=64).contains(&id.len())).then(|| id.to_vec())
    }

    /// The name of another file and what follows it, as `.gnu_debuglink` and `.gnu_debugaltlink` have them.
    pub(super) fn link(&self, section: &str) -> Option<(String, Vec<u8>)> {
        let bytes = self.section(section)?;
        let end = bytes.iter().take(4096).position(|byte| *byte == 0)?;
        let name = String::from_utf8(bytes[..end].to_vec()).ok()?;
        Some((name, bytes[end + 1..].to_vec()))
    }
}

/// The memory of this machine that programs can have without pushing others out, bytes.
fn free_memory() -> u64 {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(MAX_TOTAL, |kilobytes| kilobytes.saturating_mul(1024))
}
