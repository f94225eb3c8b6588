//! The functions and segments of ELF files.
//!
//! In: a path. Out: functions with file offsets, what the dynamic loader is told, or an error in the user's terms.
//! Only the parts that are asked for are read. Files are not trusted: counts, offsets and lengths are checked against
//! the length of the file, so that a damaged or hostile one costs bounded time and memory and gives an error.

mod data;
pub(super) mod versions;

use super::gnu_hash;
use super::refusal::{check_kind, damaged, io_error, not_elf, open_regular, read_error, unreadable};
use crumbs_compiler::target::{Arch, Binary, Function, TargetError};
use goblin::container::Ctx;
use goblin::elf::{
    Elf, Header, ProgramHeader, SectionHeader, Symtab, header, program_header, section_header, sym,
};
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};

/// The longest part of a file that is read at once. The largest programs have about 200 MB of symbol names.
const MAX_READ: u64 = 1 << 30;

/// The most of a dynamic section that is read: thousands of needed libraries.
const MAX_DYNAMIC: u64 = 1 << 20;

/// The most code that is read at once: more than any function has.
const MAX_CODE: u64 = 1 << 22;

/// The most sections: object files compiled with a section a function have 100,000.
const MAX_SECTIONS: u64 = 1 << 20;

/// The most symbols of one table: several times those of the largest programs.
const MAX_SYMBOLS: usize = 1 << 23;

/// The most bytes of names of one table: those of the largest programs are 200 MB.
const MAX_NAMES: usize = 1 << 30;

/// An ELF program or library of this machine: its headers, and its symbols once asked for.
pub(crate) struct Image {
    path: String,
    ctx: Ctx,
    segments: Vec<ProgramHeader>,
    sections: Vec<SectionHeader>,
    /// Which of the sections holds their names.
    names: usize,
    exported: OnceCell<Option<SymbolTable>>,
    /// Whether it can be loaded anywhere.
    moves: bool,
    /// Which file it was when it was opened.
    identity: Identity,
    /// What was stripped from it, once somebody has found that ([`Image::complete`]).
    stripped: OnceCell<SymbolTable>,
}

/// What the dynamic section says to the loader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dynamic {
    /// `DT_NEEDED`, in order.
    pub(crate) needed: Vec<String>,
    /// `DT_RPATH`, split at colons.
    pub(crate) rpath: Vec<String>,
    /// `DT_RUNPATH`, split at colons.
    pub(crate) runpath: Vec<String>,
}

/// A place in code that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeSymbol {
    /// Its address.
    pub(crate) address: u64,
    /// The size of what begins there, bytes; 0 where unknown.
    pub(crate) size: u64,
    /// Whether no other file sees any of its names.
    pub(crate) is_local: bool,
}

/// A symbol table with its names, as the file has them.
struct SymbolTable {
    symbols: Vec<u8>,
    names: Vec<u8>,
    /// `.gnu.version`, 2 bytes a symbol; may be empty.
    versions: Vec<u8>,
}

/// How much a symbol is the one that its name means, best first. Of each name only the best are kept: an old version,
/// kept for old programs, may call the new one, which would then be counted twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Rank {
    Exported,
    ExportedOldVersion,
    Global,
    GlobalOldVersion,
    Local,
}

/// A function symbol that is defined here.
struct Symbol<'a> {
    /// Version removed.
    name: &'a [u8],
    address: u64,
    size: u64,
    indirect: bool,
    rank: Rank,
}

impl Image {
    /// Reads the headers of the file at `path`.
    pub(crate) fn open(path: &str, arch: Arch) -> Result<Self, TargetError> {
        let file = open_regular(path)?;
        let mut start = Vec::with_capacity(512);
        (&file)
            .take(512)
            .read_to_end(&mut start)
            .map_err(|error| io_error(path, &error))?;
        if !start.starts_with(header::ELFMAG) {
            return Err(not_elf(path, &start));
        }
        let header = Elf::parse_header(&start).map_err(|_| damaged(path, "its header is cut off"))?;
        check_kind(path, &header, arch)?;
        let context = header
            .container()
            .and_then(|container| Ok(Ctx::new(container, header.endianness()?)));
        let ctx = context.map_err(|_| damaged(path, "its header is not valid"))?;
        let metadata = file.metadata().map_err(|error| io_error(path, &error))?;
        let length = metadata.len();

        let (count, size) = (usize::from(header.e_phnum), u64::from(header.e_phentsize));
        let table = read_part(&file, length, header.e_phoff, count as u64 * size)
            .map_err(|error| read_error(path, &error, "its program headers"))?;
        let segments = ProgramHeader::parse(&table, 0, count, ctx)
            .map_err(|_| damaged(path, "its program headers are not valid"))?;

        // A program runs without section headers, so a table that is not valid is the same as none.
        let sections = read_sections(&file, length, &header, ctx).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            ctx,
            segments,
            sections,
            names: usize::from(header.e_shstrndx),
            exported: OnceCell::new(),
            moves: header.e_type == header::ET_DYN,
            identity: identity(&metadata),
            stripped: OnceCell::new(),
        })
    }

    /// The path that it was opened by.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The address of an offset of the file that lies in an executable segment.
    pub(crate) fn address(&self, offset: u64) -> Option<u64> {
        self.executable().find_map(|segment| {
            let inside = offset
                .checked_sub(segment.p_offset)
                .filter(|inside| *inside < segment.p_filesz)?;
            segment.p_vaddr.checked_add(inside)
        })
    }

    /// Every function, by ascending name and offset.
    pub(crate) fn functions(&self) -> Result<Vec<Function>, TargetError> {
        let local = self.table(section_header::SHT_SYMTAB)?;
        let mut symbols: Vec<Symbol<'_>> = Vec::new();
        for (table, exported) in [
            (self.exported()?, true),
            (local.as_ref(), false),
            (self.stripped.get(), false),
        ] {
            let Some(table) = table else { continue };
            let budget = table.name_budget();
            symbols.extend(table.functions(self.ctx, exported, None, &budget));
            self.check_budget(&budget)?;
        }
        symbols.sort_unstable_by_key(|s| (s.name, s.rank, s.address));
        let mut best: Option<(&[u8], Rank)> = None;
        let mut functions: Vec<Function> = Vec::with_capacity(symbols.len());
        for symbol in &symbols {
            match best {
                Some((name, rank)) if name == symbol.name && rank != symbol.rank => continue,
                _ => best = Some((symbol.name, symbol.rank)),
            }
            if let Some(function) = self.placed(symbol)
                && functions
                    .last()
                    .is_none_or(|last| (&last.name, last.offset) != (&function.name, function.offset))
            {
                functions.push(function);
            }
        }
        Ok(functions)
    }

    /// The functions called `name`; empty where there is none. Exported ones are found by the file's hash table; the
    /// table of exported symbols is read where it does not help, and kept for the next call.
    pub(crate) fn functions_named(&self, name: &str) -> Result<Vec<Function>, TargetError> {
        if let Some(symbols) = self.exported_by_hash(name.as_bytes()) {
            let found = self.best(symbols);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        if let Some(table) = self.exported()? {
            let found = self.best_named(table, true, name)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let table = self.table(section_header::SHT_SYMTAB)?;
        match table.as_ref().or(self.stripped.get()) {
            Some(table) => self.best_named(table, false, name),
            None => Ok(Vec::new()),
        }
    }

    fn best_named(
        &self,
        table: &SymbolTable,
        exported: bool,
        name: &str,
    ) -> Result<Vec<Function>, TargetError> {
        let budget = table.name_budget();
        let found = table
            .functions(self.ctx, exported, Some(name.as_bytes()), &budget)
            .collect();
        self.check_budget(&budget)?;
        Ok(self.best(found))
    }

    /// Of symbols of one name, those that it means, by ascending address.
    fn best(&self, mut found: Vec<Symbol<'_>>) -> Vec<Function> {
        found.sort_unstable_by_key(|symbol| (symbol.rank, symbol.address));
        let best = found.first().map(|symbol| symbol.rank);
        let best = found.iter().filter(|symbol| Some(symbol.rank) == best);
        let mut functions: Vec<Function> = best.filter_map(|symbol| self.placed(symbol)).collect();
        functions.dedup_by_key(|function| function.offset);
        functions
    }

    /// The exported functions called `name`, by the hash table; `None` where it cannot be read.
    fn exported_by_hash<'n>(&self, name: &'n [u8]) -> Option<Vec<Symbol<'n>>> {
        let section = |kind| self.sections.iter().find(|section| section.sh_type == kind);
        let hashes = section(gnu_hash::SECTION)?;
        let symbols = section(section_header::SHT_DYNSYM)?;
        let names = self.sections.get(symbols.sh_link as usize)?;
        let versions = section(section_header::SHT_GNU_VERSYM);
        let (file, length) = self.reopen().ok()?;
        let read = |offset: u64, size| read_part(&file, length, offset, size).ok();
        let mut found = Vec::new();
        for number in gnu_hash::candidates(read, hashes, name)? {
            let entry = read(
                symbols.sh_offset.checked_add(number * SYMBOL_SIZE as u64)?,
                SYMBOL_SIZE as u64,
            )?;
            let symbol = Symtab::parse(&entry, 0, 1, self.ctx).ok()?.get(0)?;
            let name_at = names.sh_offset.checked_add(symbol.st_name as u64)?;
            let called = read(name_at, name.len() as u64 + 1)?;
            if called.strip_prefix(name) != Some(&[0][..]) {
                continue;
            }
            let old = match versions {
                Some(section) => is_old_version(&read(section.sh_offset.checked_add(2 * number)?, 2)?),
                None => false,
            };
            found.extend(Symbol::of(&symbol, name, true, old));
        }
        Some(found)
    }

    fn check_budget(&self, budget: &Cell<usize>) -> Result<(), TargetError> {
        if budget.get() == 0 {
            Err(damaged(&self.path, "its symbol names overlap"))
        } else {
            Ok(())
        }
    }

    /// Whether somebody may find symbols that were stripped from it.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_stripped() && self.stripped.get().is_none()
    }

    /// Adds the symbols that `other`, a file with what was stripped from this one, has of it.
    pub(crate) fn complete(&self, other: &Self) -> Result<(), TargetError> {
        if let Some(table) = other.table(section_header::SHT_SYMTAB)? {
            self.stripped.get_or_init(|| table);
        }
        Ok(())
    }

    /// Whether it has no symbols but those it exports.
    pub(crate) fn is_stripped(&self) -> bool {
        !self
            .sections
            .iter()
            .any(|section| section.sh_type == section_header::SHT_SYMTAB)
    }

    /// The file offset of an address in an executable segment.
    pub(crate) fn file_offset(&self, address: u64) -> Option<u64> {
        self.executable().find_map(|segment| {
            let inside = address
                .checked_sub(segment.p_vaddr)
                .filter(|inside| *inside < segment.p_filesz)?;
            segment.p_offset.checked_add(inside)
        })
    }

    /// The file offset of an address in any segment that is loaded.
    pub(crate) fn data_offset(&self, address: u64) -> Option<u64> {
        let loaded = self
            .segments
            .iter()
            .filter(|s| s.p_type == program_header::PT_LOAD);
        loaded.filter(|s| address >= s.p_vaddr).find_map(|s| {
            let inside = address.checked_sub(s.p_vaddr).filter(|at| *at < s.p_filesz)?;
            s.p_offset.checked_add(inside)
        })
    }

    /// The contents of its note sections.
    pub(crate) fn notes(&self) -> Result<Vec<Vec<u8>>, TargetError> {
        let notes = self
            .sections
            .iter()
            .filter(|s| s.sh_type == section_header::SHT_NOTE);
        notes.map(|section| self.contents(section, "its notes")).collect()
    }

    /// The address of the section of this name.
    pub(crate) fn section_address(&self, name: &str) -> Result<Option<u64>, TargetError> {
        Ok(self.section(name)?.map(|section| section.sh_addr))
    }

    /// The bytes of the section of this name.
    pub(crate) fn section_contents(&self, name: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let section = self.section(name)?;
        section.map(|section| self.contents(section, name)).transpose()
    }

    fn section(&self, name: &str) -> Result<Option<&SectionHeader>, TargetError> {
        let Some(names) = self.sections.get(self.names) else {
            return Ok(None);
        };
        let names = self.contents(names, "the names of its sections")?;
        let budget = Cell::new(names.len().saturating_mul(16));
        let is_meant =
            |section: &&SectionHeader| string_at(&names, section.sh_name, &budget) == Some(name.as_bytes());
        Ok(self.sections.iter().find(is_meant))
    }

    /// `size` bytes of the file, or as many as there are.
    pub(crate) fn bytes_at(&self, offset: u64, size: u64) -> Result<Vec<u8>, TargetError> {
        let (file, length) = self.reopen()?;
        let size = size.min(length.saturating_sub(offset)).min(MAX_CODE);
        read_part(&file, length, offset, size).map_err(|error| read_error(&self.path, &error, "its code"))
    }

    fn contents(&self, section: &SectionHeader, what: &str) -> Result<Vec<u8>, TargetError> {
        let (file, length) = self.reopen()?;
        read_part(&file, length, section.sh_offset, section.sh_size)
            .map_err(|error| read_error(&self.path, &error, what))
    }

    /// The executable segments, as address ranges.
    pub(crate) fn executable_ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.executable()
            .map(|segment| (segment.p_vaddr, segment.p_vaddr.saturating_add(segment.p_filesz)))
    }

    /// The executable segments: address, offset in the file, and size there.
    pub(crate) fn executable_segments(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.executable()
            .map(|segment| (segment.p_vaddr, segment.p_offset, segment.p_filesz))
    }

    /// Every symbol in executable code, by ascending address, one for each.
    pub(crate) fn code_symbols(&self) -> Result<Vec<CodeSymbol>, TargetError> {
        let local = self.table(section_header::SHT_SYMTAB)?;
        let tables = [self.exported()?, local.as_ref(), self.stripped.get()];
        let mut symbols = Vec::new();
        for table in tables.into_iter().flatten() {
            symbols.extend(table.places(self.ctx));
        }
        symbols.retain(|symbol: &CodeSymbol| self.file_offset(symbol.address).is_some());
        symbols.sort_unstable_by_key(|symbol| symbol.address);
        symbols.dedup_by(|other, kept| {
            let is_same = other.address == kept.address;
            if is_same {
                kept.size = kept.size.max(other.size);
                kept.is_local &= other.is_local;
            }
            is_same
        });
        Ok(symbols)
    }

    fn executable(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type == program_header::PT_LOAD && segment.is_executable())
    }

    fn placed(&self, symbol: &Symbol<'_>) -> Option<Function> {
        let name = std::str::from_utf8(symbol.name).ok()?.to_owned();
        let offset = self.file_offset(symbol.address)?;
        Some(Function {
            name,
            offset,
            size: symbol.size,
            indirect: symbol.indirect,
        })
    }

    /// Whether it needs a dynamic loader (`PT_INTERP`), as programs do that are not linked statically.
    pub(crate) fn has_interpreter(&self) -> bool {
        let mut kinds = self.segments.iter().map(|segment| segment.p_type);
        kinds.any(|kind| kind == program_header::PT_INTERP)
    }

    /// The dynamic section; empty for a static program.
    pub(crate) fn dynamic(&self) -> Result<Dynamic, TargetError> {
        let Some(segment) = self
            .segments
            .iter()
            .find(|s| s.p_type == program_header::PT_DYNAMIC)
        else {
            return Ok(Dynamic::default());
        };
        let (file, length) = self.reopen()?;
        let read = |offset, size, what| {
            read_part(&file, length, offset, size).map_err(|error| read_error(&self.path, &error, what))
        };
        let size = segment.p_filesz.min(MAX_DYNAMIC);
        let table = read(segment.p_offset, size, "its dynamic section")?;
        let entries: Vec<(u64, u64)> = table
            .as_chunks::<16>()
            .0
            .iter()
            .map(|entry| u128::from_le_bytes(*entry))
            // The two halves of an `Elf64_Dyn`: tag and value.
            .map(|entry| (entry as u64, (entry >> 64) as u64))
            .take_while(|(tag, _)| *tag != DT_NULL)
            .collect();
        let value = |wanted| {
            entries
                .iter()
                .find(|(tag, _)| *tag == wanted)
                .map(|(_, value)| *value)
        };
        let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
            return Ok(Dynamic::default());
        };
        let place = self
            .segments
            .iter()
            .filter(|s| s.p_type == program_header::PT_LOAD)
            .find_map(|s| {
                let inside = address
                    .checked_sub(s.p_vaddr)
                    .filter(|inside| *inside < s.p_filesz)?;
                s.p_offset.checked_add(inside)
            });
        let place = place.ok_or_else(|| damaged(&self.path, "its dynamic strings lie outside"))?;
        let strings = read(place, size, "its dynamic strings")?;
        let mut dynamic = Dynamic::default();
        let budget = Cell::new(strings.len().saturating_mul(16));
        for (tag, offset) in entries {
            if !matches!(tag, DT_NEEDED | DT_RPATH | DT_RUNPATH) {
                continue;
            }
            let text = usize::try_from(offset)
                .ok()
                .and_then(|offset| string_at(&strings, offset, &budget));
            let Some(text) = text else { continue };
            let text = String::from_utf8_lossy(text);
            let paths = || text.split(':').filter(|path| !path.is_empty()).map(str::to_owned);
            match tag {
                DT_NEEDED => dynamic.needed.push(text.into_owned()),
                DT_RPATH => dynamic.rpath.extend(paths()),
                _ => dynamic.runpath.extend(paths()),
            }
        }
        Ok(dynamic)
    }

    fn exported(&self) -> Result<Option<&SymbolTable>, TargetError> {
        if let Some(table) = self.exported.get() {
            return Ok(table.as_ref());
        }
        let table = self.table(section_header::SHT_DYNSYM)?;
        Ok(self.exported.get_or_init(|| table).as_ref())
    }

    fn table(&self, kind: u32) -> Result<Option<SymbolTable>, TargetError> {
        let Some(section) = self.sections.iter().find(|section| section.sh_type == kind) else {
            return Ok(None);
        };
        let (file, length) = self.reopen()?;
        let read = |section: &SectionHeader, what| {
            read_part(&file, length, section.sh_offset, section.sh_size)
                .map_err(|error| read_error(&self.path, &error, what))
        };
        let symbols = read(section, "its symbols")?;
        if symbols.len() / SYMBOL_SIZE > MAX_SYMBOLS {
            return Err(damaged(&self.path, "it claims more symbols than any program has"));
        }
        let strings = self.sections.get(section.sh_link as usize);
        let strings = strings.filter(|section| section.sh_type == section_header::SHT_STRTAB);
        let names = read(
            strings.ok_or_else(|| damaged(&self.path, "its symbols have no names"))?,
            "its symbol names",
        )?;
        let versions = match self
            .sections
            .iter()
            .find(|s| s.sh_type == section_header::SHT_GNU_VERSYM)
        {
            Some(versions) if kind == section_header::SHT_DYNSYM => read(versions, "its symbol versions")?,
            _ => Vec::new(),
        };
        Ok(Some(SymbolTable {
            symbols,
            names,
            versions,
        }))
    }

    /// Opens the file again, and says how long it is: hundreds of images may be kept, more than files may be open.
    pub(crate) fn reopen(&self) -> Result<(File, u64), TargetError> {
        let file = open_regular(&self.path)?;
        let metadata = file.metadata().map_err(|error| io_error(&self.path, &error))?;
        if identity(&metadata) != self.identity {
            return Err(unreadable(
                &self.path,
                "it was replaced while crumbs read it",
                "run crumbs again".to_owned(),
            ));
        }
        Ok((file, metadata.len()))
    }
}

/// Device, inode, time of the last change, and length: tells one state of a file from another.
type Identity = (u64, u64, i64, i64, u64);

fn identity(of: &Metadata) -> Identity {
    (of.dev(), of.ino(), of.mtime(), of.mtime_nsec(), of.len())
}

const SYMBOL_SIZE: usize = sym::sym64::SIZEOF_SYM;

const DT_NULL: u64 = goblin::elf::dynamic::DT_NULL;
const DT_NEEDED: u64 = goblin::elf::dynamic::DT_NEEDED;
const DT_STRTAB: u64 = goblin::elf::dynamic::DT_STRTAB;
const DT_STRSZ: u64 = goblin::elf::dynamic::DT_STRSZ;
const DT_RPATH: u64 = goblin::elf::dynamic::DT_RPATH;
const DT_RUNPATH: u64 = goblin::elf::dynamic::DT_RUNPATH;

impl SymbolTable {
    /// How many bytes of names may be looked at before the table is taken for damaged: linkers let names share their
    /// ends, and no more.
    fn name_budget(&self) -> Cell<usize> {
        let shared = self.names.len().saturating_mul(16).saturating_add(1 << 20);
        Cell::new(shared.min(MAX_NAMES))
    }

    /// Every symbol that is defined here, whatever it is.
    fn places(&self, ctx: Ctx) -> Vec<CodeSymbol> {
        let count = self.symbols.len() / SYMBOL_SIZE;
        if count == 0 {
            return Vec::new();
        }
        let table = Symtab::parse(&self.symbols, 0, count, ctx).unwrap_or_default();
        let defined = table
            .iter()
            .filter(|symbol| symbol.st_shndx != 0 && symbol.st_type() != sym::STT_TLS);
        let place = |symbol: sym::Sym| CodeSymbol {
            address: symbol.st_value,
            size: symbol.st_size,
            is_local: symbol.st_bind() == sym::STB_LOCAL,
        };
        defined.map(place).collect()
    }

    /// The functions defined here, `exported` ones or all, only those called `wanted` where it is given.
    fn functions<'a, 'b>(
        &'a self,
        ctx: Ctx,
        exported: bool,
        wanted: Option<&'b [u8]>,
        budget: &'b Cell<usize>,
    ) -> impl Iterator<Item = Symbol<'a>> + use<'a, 'b> {
        let count = self.symbols.len() / SYMBOL_SIZE;
        let table = if count == 0 {
            Symtab::default()
        } else {
            Symtab::parse(&self.symbols, 0, count, ctx).unwrap_or_default()
        };
        (0..count)
            .map_while(move |index| Some((index, table.get(index)?)))
            .filter_map(move |(index, symbol)| {
                is_function(&symbol).then_some(())?;
                // A name is followed by its version or its end; most names differ in their first bytes.
                if let Some(wanted) = wanted {
                    let rest = self.names.get(symbol.st_name..)?.strip_prefix(wanted)?;
                    rest.first().filter(|next| matches!(next, 0 | b'@'))?;
                }
                let name = string_at(&self.names, symbol.st_name, budget).filter(|name| !name.is_empty())?;
                // `write@@GLIBC_2.2.5` is the default version, `write@GLIBC_2.0` an old one; where the names have no
                // versions (exported symbols), bit 15 of the version table marks the old ones.
                let (name, old) = match name.iter().position(|byte| *byte == b'@') {
                    Some(at) if at > 0 => (&name[..at], name.get(at + 1) != Some(&b'@')),
                    _ => (name, self.versions.get(2 * index..).is_some_and(is_old_version)),
                };
                Symbol::of(&symbol, name, exported, old)
            })
    }
}

/// Whether a symbol is a function that is defined in this file.
fn is_function(symbol: &sym::Sym) -> bool {
    // SHN_UNDEF: it is another file's.
    matches!(symbol.st_type(), sym::STT_FUNC | sym::STT_GNU_IFUNC) && symbol.st_shndx != 0
}

/// Whether an entry of `.gnu.version` is that of an old version, which only old programs are bound to.
fn is_old_version(entry: &[u8]) -> bool {
    entry.get(1).is_some_and(|high| high & 0x80 != 0)
}

impl<'a> Symbol<'a> {
    /// The function that a symbol called `name` is; `None` where it is none, or no other file sees it and it stands in
    /// the table of `exported` symbols.
    fn of(symbol: &sym::Sym, name: &'a [u8], exported: bool, old: bool) -> Option<Self> {
        is_function(symbol).then_some(())?;
        let rank = match (exported, symbol.st_bind() == sym::STB_LOCAL, old) {
            (true, true, _) => return None,
            (false, true, _) => Rank::Local,
            (true, false, false) => Rank::Exported,
            (true, false, true) => Rank::ExportedOldVersion,
            (false, false, false) => Rank::Global,
            (false, false, true) => Rank::GlobalOldVersion,
        };
        Some(Self {
            name,
            address: symbol.st_value,
            size: symbol.st_size,
            indirect: symbol.st_type() == sym::STT_GNU_IFUNC,
            rank,
        })
    }
}

/// The text from `offset` to the next NUL, its length taken off `budget`; at 0 there are no more texts.
fn string_at<'a>(strings: &'a [u8], offset: usize, budget: &Cell<usize>) -> Option<&'a [u8]> {
    let rest = strings.get(offset..)?;
    let rest = &rest[..rest.len().min(budget.get())];
    let end = rest.iter().position(|byte| *byte == 0);
    budget.set(budget.get().saturating_sub(end.unwrap_or(rest.len())));
    end.map(|end| &rest[..end])
}

/// Reads `size` bytes at `offset` of a file that is `length` long.
pub(super) fn read_part(file: &File, length: u64, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > MAX_READ || offset.checked_add(size).is_none_or(|end| end > length) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let size = usize::try_from(size).map_err(|_| ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

pub(super) fn read_sections(
    file: &File,
    length: u64,
    header: &Header,
    ctx: Ctx,
) -> Option<Vec<SectionHeader>> {
    if header.e_shoff == 0 {
        return None;
    }
    let size = SectionHeader::size(ctx) as u64;
    if u64::from(header.e_shentsize) != size {
        return None;
    }
    let count = match header.e_shnum {
        // With 65,280 sections or more, the count stands in the first header's size.
        0 => {
            let first = read_part(file, length, header.e_shoff, size).ok()?;
            SectionHeader::parse_from(&first, 0, 1, ctx)
                .ok()?
                .first()?
                .sh_size
        }
        count => u64::from(count),
    };
    if count == 0 || count > MAX_SECTIONS {
        return None;
    }
    let table = read_part(file, length, header.e_shoff, count.checked_mul(size)?).ok()?;
    SectionHeader::parse_from(&table, 0, usize::try_from(count).ok()?, ctx).ok()
}

/// The images that have been opened, by path.
#[derive(Default)]
pub(crate) struct Images {
    opened: HashMap<String, std::rc::Rc<Image>>,
}

impl Images {
    /// The image of a binary, opened at the first call. Failures are not kept: the next call tries again.
    pub(crate) fn get(&mut self, binary: &Binary, arch: Arch) -> Result<std::rc::Rc<Image>, TargetError> {
        if let Some(image) = self.opened.get(&binary.path) {
            return Ok(std::rc::Rc::clone(image));
        }
        let image = std::rc::Rc::new(Image::open(&binary.path, arch)?);
        self.opened
            .insert(binary.path.clone(), std::rc::Rc::clone(&image));
        Ok(image)
    }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
