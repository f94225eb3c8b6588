//! Objects as loaders see them: aya-obj here, libbpf (in bpftool) and the kernel where there is root.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bpf::{Insn, Reg, Reloc, op};
use crate::helper::Helper;
use crate::plan::{BpfMap, BpfMapId, BpfMapKind, MemoryPlan, ProgramKind, Settings};
use crate::target::Arch;
use crumbs_grammar::span::Span;

const SOURCE: &str = "uprobe:libc:write {\n  @bytes = count(); // é\n}\nbegin { exit() }\n";

fn source() -> SourceInfo<'static> {
    SourceInfo {
        name: "script.crumbs",
        text: SOURCE,
    }
}

fn plan(programs: &[(&str, &str, ProgramKind)]) -> Plan {
    let map = |symbol: &str, kind, key_size, value_size, max_entries, flags| BpfMap {
        symbol: symbol.into(),
        kind,
        key_size,
        value_size,
        max_entries,
        flags,
    };
    Plan {
        arch: Arch::X86_64,
        programs: programs
            .iter()
            .map(|(symbol, section, kind)| ProgramPlan {
                symbol: (*symbol).into(),
                section: (*section).into(),
                kind: *kind,
                sleepable: false,
                attach: Vec::new(),
                span: Span::default(),
            })
            .collect(),
        sites: Vec::new(),
        late_sites: Default::default(),
        maps: Vec::new(),
        bpf_maps: vec![
            map("bytes", BpfMapKind::PerCpuHash, 24, 64, 1000, 1),
            map("ring", BpfMapKind::RingBuf, 0, 0, 4096, 0),
        ],
        memory: MemoryPlan {
            size: 4096,
            ..MemoryPlan::default()
        },
        events: Vec::new(),
        rings: None,
        losses: Vec::new(),
        structs: Default::default(),
        settings: Settings::default(),
    }
}

const PROGRAMS: &[(&str, &str, ProgramKind)] = &[
    ("p0_uprobe", "uprobe", ProgramKind::Kprobe),
    ("p1_begin", "raw_tp", ProgramKind::RawTracepoint),
    ("p2_uprobe", "uprobe", ProgramKind::Kprobe),
    ("p3_tp", "tracepoint", ProgramKind::Tracepoint),
    ("p4_timer", "perf_event", ProgramKind::PerfEvent),
];

/// Looks up a zero key, adds 1 to the memory at 40, returns 0.
fn program(symbol: &str) -> Program {
    let r = Reg;
    let mut insns = vec![
        Insn::store_imm(op::DW, Reg::FP, -8, 0),
        Insn::store_imm(op::DW, Reg::FP, -16, 0),
        Insn::store_imm(op::DW, Reg::FP, -24, 0),
        Insn::mov(r(2), Reg::FP),
        Insn::alu_imm(op::ALU64 | op::ADD, r(2), -24),
    ];
    let map = insns.len();
    insns.extend(Insn::wide(r(1), 0, 0));
    insns.push(Insn::call(Helper::MapLookupElem.row().number));
    let memory = insns.len();
    insns.extend(Insn::wide(r(1), 0, 40));
    insns.push(Insn::mov_imm(r(2), 1));
    insns.push(Insn::atomic(i32::from(op::ADD), r(1), 0, r(2)));
    insns.push(Insn::mov_imm(r(0), 0));
    insns.push(Insn::exit());
    let at = SOURCE.find("@bytes").unwrap();
    let mut spans = vec![Span::new(0, 6); 5];
    spans.resize(insns.len() - 1, Span::new(at, at + 6));
    spans.push(Span::default());
    Program {
        symbol: symbol.into(),
        insns,
        spans,
        relocs: vec![
            Reloc {
                insn: map,
                target: RelocTarget::Map(BpfMapId(0)),
            },
            Reloc {
                insn: memory,
                target: RelocTarget::Memory(40),
            },
        ],
        frame: 24,
        callbacks: Vec::new(),
        arguments: None,
    }
}

fn object() -> Vec<u8> {
    let programs: Vec<_> = PROGRAMS.iter().map(|(symbol, ..)| program(symbol)).collect();
    write(&plan(PROGRAMS), &programs, &source()).unwrap()
}

#[test]
fn aya_parses_and_relocates() {
    let object = object();
    let mut parsed = aya_obj::Object::parse(&object).unwrap();
    assert_eq!(parsed.license.to_str().unwrap(), "GPL");
    let mut names: Vec<_> = parsed.programs.keys().cloned().collect();
    names.sort();
    assert_eq!(names, PROGRAMS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    let section = |name: &str| format!("{:?}", parsed.programs[name].section);
    assert_eq!(section("p2_uprobe"), "UProbe { sleepable: false }");
    assert_eq!(section("p3_tp"), "TracePoint");

    let bytes = &parsed.maps["bytes"];
    assert_eq!(
        (bytes.map_type(), bytes.key_size(), bytes.value_size()),
        (5, 24, 64)
    );
    assert_eq!((bytes.max_entries(), bytes.map_flags()), (1000, 1));
    let ring = &parsed.maps["ring"];
    assert_eq!(
        (ring.map_type(), ring.key_size(), ring.max_entries()),
        (27, 0, 4096)
    );
    assert_eq!(parsed.maps[".bss"].value_size(), 4096);

    let maps = parsed.maps.clone();
    let fds = [("bytes", 100), ("ring", 101), (".bss", 102)];
    let no_text = std::collections::HashSet::new();
    parsed
        .relocate_maps(
            fds.map(|(name, fd)| (name, fd, &maps[name])).into_iter(),
            &no_text,
        )
        .unwrap();
    parsed.relocate_calls(&no_text).unwrap();
    for (name, ..) in PROGRAMS {
        let key = parsed.programs[*name].function_key();
        let insns = &parsed.functions[&key].instructions;
        assert_eq!(insns.len(), 14);
        assert_eq!((insns[5].src_reg(), insns[5].imm), (1, 100), "a map's descriptor");
        assert_eq!((insns[8].src_reg(), insns[8].imm), (2, 102), "a value in a map");
        assert_eq!(insns[9].imm, 40, "the place in it");
    }
}

#[test]
fn nothing_is_written_for_nothing() {
    let mut plan = plan(&PROGRAMS[..1]);
    plan.bpf_maps.clear();
    plan.memory = MemoryPlan::default();
    let mut program = program("p0_uprobe");
    program.insns = vec![Insn::mov_imm(Reg(0), 0), Insn::exit()];
    program.spans = vec![Span::default(); 2];
    program.relocs.clear();
    let object = write(&plan, &[program], &source()).unwrap();
    let parsed = aya_obj::Object::parse(&object).unwrap();
    assert!(parsed.maps.is_empty());
    use object::read::{Object as _, ObjectSection as _};
    let file = object::read::File::parse(&*object).unwrap();
    let names: Vec<_> = file.sections().map(|s| s.name().unwrap().to_owned()).collect();
    assert!(
        !names
            .iter()
            .any(|n| n == ".maps" || n == ".bss" || n.starts_with(".rel")),
        "{names:?}"
    );
}

#[test]
fn what_does_not_fit_is_an_error() {
    let plan = plan(&PROGRAMS[..1]);
    assert_eq!(
        write(&plan, &[], &source()),
        Err(ObjectError::Programs { planned: 1, given: 0 })
    );
    let mut program = program("p0_uprobe");
    program.relocs[0].target = RelocTarget::Map(BpfMapId(2));
    assert!(matches!(
        write(&plan, &[program], &source()),
        Err(ObjectError::Dangling { .. })
    ));
}

#[test]
fn kernel_loads_it_and_shows_the_script() {
    let Some(loaded) = bpftool::load(&object()) else {
        return;
    };
    for (name, ..) in PROGRAMS {
        let dump = loaded.dump(name);
        let lines: Vec<_> = dump.lines().filter(|l| l.starts_with(';')).collect();
        assert_eq!(
            lines,
            [
                "; uprobe:libc:write { [file:script.crumbs line_num:1 line_col:1]",
                "; @bytes = count(); // é [file:script.crumbs line_num:2 line_col:3]",
            ],
            "{dump}"
        );
        assert!(dump.starts_with(&format!("int {name}(void * ctx):")), "{dump}");
    }
}
