//! ELF objects: what a loader is given.
//!
//! In: the plan, its programs' code and the script. Out: an ELF64 file for machine BPF, little-endian, that libbpf,
//! bpftool and aya load:
//!
//! | section | holds |
//! |---|---|
//! | `uprobe`, `uprobe/1`, `tracepoint`, … | the functions of the programs of that section, a global symbol each |
//! | `.text` | the callbacks and subprograms of all programs, a local symbol each |
//! | `.maps` | a symbol for every kernel map; what they are is said in BTF |
//! | `.bss` | the program memory, one symbol [`MEMORY`] |
//! | `license` | `GPL`: most helpers are for such programs only |
//! | `.rel…` | which loads get which map's or memory's address |
//! | `.BTF` | types of maps, memory and functions |
//! | `.BTF.ext` | which line of the script each instruction is from, so that verifier logs and dumps show it |
//!
//! Sections that would be empty are left out.

use crate::bpf::{Program, RelocTarget};
use crate::plan::{Plan, ProgramPlan};
use object::elf::{R_BPF_64_32, R_BPF_64_64};
use object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};
use std::fmt;

#[cfg(test)]
pub(crate) mod bpftool;
mod btf;
mod ext;
#[cfg(test)]
mod tests;
mod types;

/// The symbol of the program memory.
pub const MEMORY: &str = "memory";

const INSN_BYTES: u64 = 8;

/// The script.
#[derive(Clone, Copy, Debug)]
pub struct SourceInfo<'a> {
    /// The file's name as verifier logs show it.
    pub name: &'a str,
    /// Its text; spans count its bytes.
    pub text: &'a str,
}

/// Why an object could not be written: a bug of an earlier stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// The plan has another number of programs.
    Programs {
        /// As the plan says.
        planned: usize,
        /// As given.
        given: usize,
    },
    /// A program refers to a map or memory that the plan does not have.
    Dangling {
        /// The program's symbol.
        program: String,
        /// What it refers to.
        target: RelocTarget,
    },
    /// The ELF writer refused.
    Elf(String),
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Programs { planned, given } => {
                write!(f, "{planned} programs are planned and {given} were compiled")
            }
            Self::Dangling { program, target } => {
                write!(f, "{program} refers to {target:?}, which the plan does not have")
            }
            Self::Elf(reason) => write!(f, "cannot write the object: {reason}"),
        }
    }
}

impl std::error::Error for ObjectError {}

impl From<object::write::Error> for ObjectError {
    fn from(error: object::write::Error) -> Self {
        Self::Elf(error.to_string())
    }
}

/// Writes the object of a compiled script; `programs` are in the plan's order.
///
/// # Errors
/// When plan and programs do not fit each other.
pub fn write(plan: &Plan, programs: &[Program], source: &SourceInfo<'_>) -> Result<Vec<u8>, ObjectError> {
    if plan.programs.len() != programs.len() {
        return Err(ObjectError::Programs {
            planned: plan.programs.len(),
            given: programs.len(),
        });
    }
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = add_section(&mut elf, "license", SectionKind::Data);
    elf.append_section_data(license, b"GPL\0", 1);

    let sections = sections(&plan.programs, programs);
    let types = types::Types::of(plan, &sections);
    let maps = add_maps(&mut elf, plan);
    let memory = add_memory(&mut elf, plan);
    let mut callbacks = vec![Vec::new(); programs.len()];
    let mut placed = Vec::new();
    for section in &sections {
        let id = add_section(&mut elf, section.name, SectionKind::Text);
        for (&program, &owner) in section.programs.iter().zip(&section.owners) {
            let (at, symbol) = add_code(&mut elf, id, program, section.scope());
            if section.are_callbacks {
                callbacks[owner].push(symbol);
            }
            placed.push((id, at, program, owner));
        }
    }
    for (section, at, program, owner) in placed {
        let symbols = Symbols {
            maps: &maps,
            memory,
            callbacks: &callbacks[owner],
        };
        add_relocations(&mut elf, section, at, program, &symbols)?;
    }
    let (btf, ext) = ext::finish(types, &sections, source);
    for (name, data) in [(".BTF", btf), (".BTF.ext", ext)] {
        let id = add_section(&mut elf, name, SectionKind::Debug);
        elf.append_section_data(id, &data, 8);
    }
    Ok(elf.write()?)
}

/// The functions of one ELF section.
struct Section<'a> {
    name: &'a str,
    programs: Vec<&'a Program>,
    /// Of each, the index of the program that it is or belongs to.
    owners: Vec<usize>,
    /// Whether they are callbacks rather than programs.
    are_callbacks: bool,
}

impl Section<'_> {
    fn scope(&self) -> SymbolScope {
        if self.are_callbacks {
            SymbolScope::Compilation
        } else {
            // Global and visible, as compilers of C make them.
            SymbolScope::Dynamic
        }
    }
}

/// Sections in order of their first program; last the one of the callbacks, if there are any.
fn sections<'a>(plans: &'a [ProgramPlan], programs: &'a [Program]) -> Vec<Section<'a>> {
    let mut sections: Vec<Section<'a>> = Vec::new();
    for (owner, (plan, program)) in plans.iter().zip(programs).enumerate() {
        match sections.iter_mut().find(|s| s.name == plan.section) {
            Some(section) => {
                section.programs.push(program);
                section.owners.push(owner);
            }
            None => sections.push(Section {
                name: &plan.section,
                programs: vec![program],
                owners: vec![owner],
                are_callbacks: false,
            }),
        }
    }
    let callbacks = programs
        .iter()
        .enumerate()
        .flat_map(|(owner, program)| program.callbacks.iter().map(move |callback| (callback, owner)));
    let (programs, owners): (Vec<_>, Vec<_>) = callbacks.unzip();
    if !programs.is_empty() {
        sections.push(Section {
            name: ".text",
            programs,
            owners,
            are_callbacks: true,
        });
    }
    sections
}

fn add_section(elf: &mut Object<'_>, name: &str, kind: SectionKind) -> SectionId {
    elf.add_section(Vec::new(), name.into(), kind)
}

fn add_symbol(
    elf: &mut Object<'_>,
    name: &str,
    kind: SymbolKind,
    section: SectionId,
    scope: SymbolScope,
    range: (u64, u64),
) -> SymbolId {
    elf.add_symbol(Symbol {
        name: name.into(),
        value: range.0,
        size: range.1,
        kind,
        scope,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}

fn add_maps(elf: &mut Object<'_>, plan: &Plan) -> Vec<SymbolId> {
    if plan.bpf_maps.is_empty() {
        return Vec::new();
    }
    let section = add_section(elf, ".maps", SectionKind::Data);
    plan.bpf_maps
        .iter()
        .map(|map| {
            let size = types::definition_bytes(map);
            let at = elf.append_section_data(section, &vec![0; size as usize], 8);
            let range = (at, size.into());
            add_symbol(
                elf,
                &map.symbol,
                SymbolKind::Data,
                section,
                SymbolScope::Dynamic,
                range,
            )
        })
        .collect()
}

fn add_memory(elf: &mut Object<'_>, plan: &Plan) -> Option<SymbolId> {
    let size = u64::from(plan.memory.size);
    if size == 0 {
        return None;
    }
    let section = add_section(elf, ".bss", SectionKind::UninitializedData);
    let at = elf.append_section_bss(section, size, 64);
    let scope = SymbolScope::Dynamic;
    Some(add_symbol(
        elf,
        MEMORY,
        SymbolKind::Data,
        section,
        scope,
        (at, size),
    ))
}

/// Adds a function; gives where it is in the section, and its symbol.
fn add_code(
    elf: &mut Object<'_>,
    section: SectionId,
    program: &Program,
    scope: SymbolScope,
) -> (u64, SymbolId) {
    let code: Vec<u8> = program.insns.iter().flat_map(|i| i.to_bytes()).collect();
    let at = elf.append_section_data(section, &code, INSN_BYTES);
    let range = (at, code.len() as u64);
    let symbol = add_symbol(elf, &program.symbol, SymbolKind::Text, section, scope, range);
    (at, symbol)
}

/// What a function can refer to.
struct Symbols<'a> {
    maps: &'a [SymbolId],
    memory: Option<SymbolId>,
    callbacks: &'a [SymbolId],
}

fn add_relocations(
    elf: &mut Object<'_>,
    section: SectionId,
    at: u64,
    program: &Program,
    symbols: &Symbols<'_>,
) -> Result<(), ObjectError> {
    for reloc in &program.relocs {
        let symbol = match reloc.target {
            RelocTarget::Map(map) => symbols.maps.get(map.0 as usize).copied(),
            RelocTarget::Memory(_) => symbols.memory,
            RelocTarget::Callback(id) | RelocTarget::Subprogram(id) => {
                symbols.callbacks.get(id as usize).copied()
            }
        };
        let symbol = symbol.ok_or_else(|| ObjectError::Dangling {
            program: program.symbol.clone(),
            target: reloc.target,
        })?;
        elf.add_relocation(
            section,
            Relocation {
                offset: at + reloc.insn as u64 * INSN_BYTES,
                symbol,
                // What is to be added stands in the instruction.
                addend: 0,
                flags: RelocationFlags::Elf {
                    r_type: match reloc.target {
                        RelocTarget::Subprogram(_) => R_BPF_64_32,
                        _ => R_BPF_64_64,
                    },
                },
            },
        )?;
    }
    Ok(())
}
