//! Symbols of data, and where a file's places are in memory.

use super::{Image, SymbolTable, string_at};
use crumbs_compiler::target::{BinarySymbol, TargetError};
use goblin::elf::section_header;
use goblin::elf::sym::Symtab;

impl Image {
    /// The symbol called `name`, of data or a function; of several that of all files, else the first.
    pub(crate) fn symbol(&self, name: &str) -> Result<Option<BinarySymbol>, TargetError> {
        if let Some(table) = self.exported()?
            && let Some(symbol) = self.symbol_in(table, name)
        {
            return Ok(Some(symbol));
        }
        let table = self.table(section_header::SHT_SYMTAB)?;
        Ok(table.and_then(|table| self.symbol_in(&table, name)))
    }

    fn symbol_in(&self, table: &SymbolTable, name: &str) -> Option<BinarySymbol> {
        let count = table.symbols.len() / super::SYMBOL_SIZE;
        let symbols = Symtab::parse(&table.symbols, 0, count, self.ctx).ok()?;
        let budget = table.name_budget();
        let found = symbols.iter().find(|symbol| {
            let is_defined = symbol.st_shndx != 0;
            let rest = table.names.get(symbol.st_name..).unwrap_or_default();
            is_defined
                && rest.starts_with(name.as_bytes())
                && string_at(&table.names, symbol.st_name, &budget)
                    .and_then(|text| text.split(|byte| *byte == b'@').next())
                    == Some(name.as_bytes())
        })?;
        Some(BinarySymbol {
            address: found.st_value,
            size: found.st_size,
            moves: self.moves,
        })
    }

    /// The address of what is at a file offset, in an executable segment.
    pub(crate) fn address_of(&self, offset: u64) -> Option<u64> {
        self.executable().find_map(|segment| {
            let inside = offset
                .checked_sub(segment.p_offset)
                .filter(|inside| *inside < segment.p_filesz)?;
            segment.p_vaddr.checked_add(inside)
        })
    }
}
