//! The types of a script's maps, memory and functions.
//!
//! A map is defined as libbpf wants it (`__uint`, `__type` of `bpf_helpers.h`): a variable in `.maps` whose type is a
//! structure with a member for every attribute; a number N is the type "pointer to an array of N integers".

use super::btf::{Btf, FUNC_GLOBAL, FUNC_STATIC, Member, SIGNED, TypeId, Variable};
use super::{MEMORY, Section};
use crate::plan::{BpfMap, Plan};

/// All of them, and the function's ids.
pub(super) struct Types {
    pub(super) btf: Btf,
    /// Per section, per program.
    pub(super) functions: Vec<Vec<TypeId>>,
}

impl Types {
    pub(super) fn of(plan: &Plan, sections: &[Section<'_>]) -> Self {
        let mut btf = Btf::new();
        let int = btf.int("int", 4, SIGNED);
        let index = btf.int("__ARRAY_SIZE_TYPE__", 4, 0);
        let ctx = btf.ptr(TypeId::VOID);
        let proto = btf.func_proto(int, &[("ctx", ctx)]);
        let subprograms = prototypes(&mut btf, sections);
        let functions = sections
            .iter()
            .map(|s| {
                let functions = s.programs.iter();
                functions
                    .map(|p| match p.arguments {
                        // Only as a global function is it verified once.
                        Some(n) => btf.func(&p.symbol, subprograms[usize::from(n)], FUNC_GLOBAL),
                        None if s.are_callbacks => btf.func(&p.symbol, proto, FUNC_STATIC),
                        None => btf.func(&p.symbol, proto, FUNC_GLOBAL),
                    })
                    .collect()
            })
            .collect();
        add_maps(&mut btf, &plan.bpf_maps, int, index);
        if plan.memory.size > 0 {
            let byte = btf.int("unsigned char", 1, 0);
            let bytes = btf.array(byte, index, plan.memory.size);
            let ty = btf.var(MEMORY, bytes);
            let size = plan.memory.size;
            btf.datasec(".bss", size, &[Variable { ty, offset: 0, size }]);
        }
        Self { btf, functions }
    }
}

/// The prototype of the subprograms with each number of arguments, where there are any.
fn prototypes(btf: &mut Btf, sections: &[Section<'_>]) -> [TypeId; 6] {
    let mut all = [TypeId::VOID; 6];
    let used = || {
        sections
            .iter()
            .flat_map(|s| &s.programs)
            .filter_map(|p| p.arguments)
    };
    if used().next().is_some() {
        let word = btf.int("long", 8, SIGNED);
        for (n, prototype) in all.iter_mut().enumerate() {
            if used().any(|arguments| usize::from(arguments) == n) {
                let names = ["a", "b", "c", "d", "e"];
                let params: Vec<(&str, TypeId)> = names[..n].iter().map(|&name| (name, word)).collect();
                *prototype = btf.func_proto(word, &params);
            }
        }
    }
    all
}

/// The attributes of a map that are not 0, which is what those left out are.
fn attributes(map: &BpfMap) -> impl Iterator<Item = (&'static str, u32)> {
    [
        ("type", map.kind.number()),
        ("key_size", map.key_size),
        ("value_size", map.value_size),
        ("max_entries", map.max_entries),
        ("map_flags", map.flags),
    ]
    .into_iter()
    .filter(|(_, value)| *value != 0)
}

/// Bytes of a map's definition in `.maps`: a pointer for each attribute.
pub(super) fn definition_bytes(map: &BpfMap) -> u32 {
    attributes(map).count() as u32 * 8
}

fn add_maps(btf: &mut Btf, maps: &[BpfMap], int: TypeId, index: TypeId) {
    if maps.is_empty() {
        return;
    }
    let mut variables = Vec::new();
    let mut end = 0;
    for map in maps {
        let size = definition_bytes(map);
        let members: Vec<Member<'_>> = attributes(map)
            .enumerate()
            .map(|(i, (name, value))| {
                let array = btf.array(int, index, value);
                Member {
                    name,
                    ty: btf.ptr(array),
                    offset: i as u32 * 8,
                }
            })
            .collect();
        let structure = btf.structure(size, &members);
        variables.push(Variable {
            ty: btf.var(&map.symbol, structure),
            offset: end,
            size,
        });
        end += size;
    }
    btf.datasec(".maps", end, &variables);
}
