//! Functions by name and version: a library can export several of one name, each under a version of its interface, and
//! every program is bound to the one that it was linked against.
//!
//! In: the sections `.dynsym`, `.gnu.version` (an index for each symbol) and `.gnu.version_d` (what the indices are called:
//! `Elf64_Verdef` and `Elf64_Verdaux` of <elf.h>). Out: functions. Nothing in them is trusted.

use super::{Image, SYMBOL_SIZE, Symbol, SymbolTable, string_at};
use crumbs_compiler::target::{Function, TargetError};
use goblin::container::Ctx;
use goblin::elf::{Symtab, section_header};
use std::cell::Cell;
use std::collections::HashMap;

/// More versions than any library defines: those of the C library are about 50.
const MAX_VERSIONS: usize = 1 << 12;
/// Bytes of an `Elf64_Verdef`.
const DEFINITION: usize = 20;
/// Of an entry of `.gnu.version`: the index; the bit above marks versions that new programs are not bound to.
const INDEX: u16 = 0x7fff;

/// A name as the script has it, split: `memcpy@GLIBC_2.14`, or with two `@` as tools show a default version.
pub(in crate::host) fn split(name: &str) -> Option<(&str, &str)> {
    let (base, version) = name.split_once('@')?;
    let version = version.strip_prefix('@').unwrap_or(version);
    (!base.is_empty() && !version.is_empty()).then_some((base, version))
}

impl Image {
    /// The functions that are exported, all or those called `name`, each with its version where it has one.
    fn versions_of(&self, name: Option<&str>) -> Result<Vec<(String, Function)>, TargetError> {
        let versions = self.version_names()?;
        let Some(table) = self.exported()? else {
            return Ok(Vec::new());
        };
        let budget = table.name_budget();
        let symbols = table.functions_with_versions(self.ctx, name.map(str::as_bytes), &budget);
        let found = symbols
            .filter_map(|(symbol, version): (Symbol<'_>, u16)| {
                let version = versions.get(&(version & INDEX)).cloned().unwrap_or_default();
                Some((version, self.placed(&symbol)?))
            })
            .collect();
        self.check_budget(&budget)?;
        Ok(found)
    }

    /// The functions that are exported as `base` under a version.
    pub(in crate::host) fn functions_of_version(
        &self,
        base: &str,
        version: &str,
    ) -> Result<Vec<Function>, TargetError> {
        let all = self.versions_of(Some(base))?;
        let (mut found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(of, _)| of == version);
        if found.is_empty() {
            let similar = others.iter().map(|(of, _)| match of.as_str() {
                "" => base.to_owned(),
                of => format!("{base}@{of}"),
            });
            return Err(TargetError::NotFound {
                similar: similar.collect(),
                searched: vec![self.path().to_owned()],
            });
        }
        found.dedup_by_key(|(_, function)| function.offset);
        Ok(found.into_iter().map(|(_, function)| function).collect())
    }

    /// All functions that are exported under versions, called `NAME@VERSION`.
    pub(in crate::host) fn versioned_functions(&self) -> Result<Vec<Function>, TargetError> {
        let all = self.versions_of(None)?.into_iter();
        let with_version = |(version, function): (String, Function)| Function {
            name: format!("{}@{version}", function.name),
            ..function
        };
        Ok(all
            .filter(|(version, _)| !version.is_empty())
            .map(with_version)
            .collect())
    }

    /// What the indices of `.gnu.version` are called.
    fn version_names(&self) -> Result<HashMap<u16, String>, TargetError> {
        let mut names = HashMap::new();
        let mut sections = self.sections.iter();
        let Some(section) = sections.find(|section| section.sh_type == section_header::SHT_GNU_VERDEF) else {
            return Ok(names);
        };
        let Some(strings) = self.sections.get(section.sh_link as usize) else {
            return Ok(names);
        };
        let table = self.contents(section, "its versions")?;
        let strings = self.contents(strings, "the names of its versions")?;
        let budget = Cell::new(strings.len().saturating_mul(16));
        let mut at = 0;
        for _ in 0..MAX_VERSIONS {
            let Some(definition) = table.get(at..).and_then(|rest| rest.get(..DEFINITION)) else {
                break;
            };
            let index = u16::from_le_bytes([definition[4], definition[5]]);
            let (Some(to_name), Some(to_next)) = (word(definition, 12), word(definition, 16)) else {
                break;
            };
            let name = word(&table, at.saturating_add(to_name))
                .and_then(|offset| string_at(&strings, offset, &budget))
                .map(|name| String::from_utf8_lossy(name).into_owned());
            if let Some(name) = name {
                names.insert(index & INDEX, name);
            }
            if to_next == 0 {
                break;
            }
            at = at.saturating_add(to_next);
        }
        Ok(names)
    }
}

impl SymbolTable {
    /// The exported functions, all or those called `wanted`, with their entries of the version table; 0 without such a table.
    fn functions_with_versions<'a>(
        &'a self,
        ctx: Ctx,
        wanted: Option<&'a [u8]>,
        budget: &'a Cell<usize>,
    ) -> impl Iterator<Item = (Symbol<'a>, u16)> {
        let count = self.symbols.len() / SYMBOL_SIZE;
        let table = Symtab::parse(&self.symbols, 0, count, ctx).unwrap_or_default();
        (0..count)
            .map_while(move |index| Some((index, table.get(index)?)))
            .filter_map(move |(index, symbol)| {
                if let Some(wanted) = wanted {
                    let rest = self.names.get(symbol.st_name..)?.strip_prefix(wanted)?;
                    rest.first().filter(|next| **next == 0)?;
                }
                let name = string_at(&self.names, symbol.st_name, budget)?;
                let version = self.versions.get(2 * index..).and_then(|rest| rest.first_chunk());
                let version = version.map_or(0, |bytes| u16::from_le_bytes(*bytes));
                Some((Symbol::of(&symbol, name, true, false)?, version))
            })
    }
}

/// The 32-bit word at an offset.
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_with_versions() {
        assert_eq!(split("memcpy@GLIBC_2.14"), Some(("memcpy", "GLIBC_2.14")));
        assert_eq!(split("memcpy@@GLIBC_2.14"), Some(("memcpy", "GLIBC_2.14")));
        for none in ["memcpy", "memcpy@", "@GLIBC_2.14", "memcpy@@", ""] {
            assert_eq!(split(none), None, "{none}");
        }
    }
}
