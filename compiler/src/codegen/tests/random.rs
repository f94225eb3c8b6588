//! Random functions mean the same as IR, as BPF, and in the kernel.

use super::generator::{Shape, generate};
use super::world::World;
use super::{bpf_interpreter, ir_interpreter, maps, place, sizes, text};
use crate::bpf::Program;
use crate::codegen::{CodegenError, compile};
use crate::ir::{Function, verify};
use crate::object::{SourceInfo, bpftool};
use crate::plan::{MemoryPlan, Plan, ProgramKind, ProgramPlan, Settings};
use crate::target::Arch;
use crumbs_grammar::span::Span;

/// The function of a seed, and its code if it fits the frame.
fn compiled(seed: u64, shape: Shape) -> (Function, Option<Program>) {
    let mut func = generate(seed, shape);
    place(&mut func);
    let verified = verify(func.clone(), sizes()).unwrap_or_else(|e| panic!("seed {seed}: {}\n{func}", e[0]));
    match compile(&verified) {
        Ok(program) => (func, Some(program)),
        Err(CodegenError::FrameTooLarge { .. }) => (func, None),
        Err(e) => panic!("seed {seed}: {e}\n{func}"),
    }
}

/// Compares IR and code of many seeds; at least nine tenths must fit the frame.
fn compare(seeds: std::ops::Range<u64>, shape: Shape) {
    let total = seeds.end - seeds.start;
    let mut skipped = 0;
    let mut spilled = 0;
    for seed in seeds {
        let (func, program) = compiled(seed, shape);
        let Some(program) = program else {
            skipped += 1;
            continue;
        };
        let slots: u32 = func.slots.iter().map(|s| s.size).sum();
        spilled += u64::from(program.frame > slots);
        let (mut expected, mut got) = (World::new(), World::new());
        let result = ir_interpreter::run(&func, &mut expected);
        let actual = bpf_interpreter::run(&program, &mut got);
        let explain = || format!("seed {seed}\n{func}\n{}", text(&program).join("\n"));
        assert_eq!(actual, result, "{}", explain());
        assert!(result.is_ok(), "{result:?} {}", explain());
        assert_eq!(got.calls, expected.calls, "{}", explain());
        assert!(got.memory == expected.memory, "memory differs: {}", explain());
        assert!(
            got.slots(slots) == expected.slots(slots),
            "slots differ: {}",
            explain()
        );
    }
    assert!(skipped * 10 <= total, "{skipped} of {total} do not fit the frame");
    if shape.live > 10 {
        assert!(
            spilled * 10 > total,
            "{spilled} of {total} spill: too few to test spilling"
        );
    }
}

#[test]
fn small_functions() {
    let shape = Shape {
        statements: 12,
        live: 4,
        kernel: false,
    };
    compare(0..3000, shape);
}

#[test]
fn large_functions_under_pressure() {
    let shape = Shape {
        statements: 80,
        live: 30,
        kernel: false,
    };
    compare(10_000..10_600, shape);
}

#[test]
fn long_functions_with_few_live_values() {
    let shape = Shape {
        statements: 200,
        live: 6,
        kernel: false,
    };
    compare(20_000..20_040, shape);
}

/// All in one object, so that libbpf's and the kernel's opinion of that is tested too.
#[test]
fn kernel_agrees() {
    let shape = Shape {
        statements: 30,
        live: 16,
        kernel: true,
    };
    let mut plan = Plan {
        arch: Arch::X86_64,
        programs: Vec::new(),
        sites: Vec::new(),
        late_sites: Default::default(),
        maps: Vec::new(),
        bpf_maps: maps(),
        memory: MemoryPlan {
            size: super::MEMORY,
            ..MemoryPlan::default()
        },
        events: Vec::new(),
        rings: None,
        losses: Vec::new(),
        structs: Default::default(),
        settings: Settings::default(),
    };
    let mut programs = Vec::new();
    let mut expected = Vec::new();
    let mut world = World::new();
    world.set_packet_length(bpftool::PACKET_BYTES as u32);
    for seed in 0..60 {
        let (func, Some(mut program)) = compiled(seed, shape) else {
            continue;
        };
        program.symbol = format!("p{seed}");
        plan.programs.push(ProgramPlan {
            symbol: program.symbol.clone(),
            section: "tc".into(),
            kind: ProgramKind::RawTracepoint,
            sleepable: false,
            attach: Vec::new(),
            span: Span::default(),
        });
        // Each finds the memory as the one before left it, and a frame of its own.
        world.clear_frame();
        expected.push(ir_interpreter::run(&func, &mut world).unwrap() as u32);
        programs.push(program);
    }
    assert!(programs.len() > 50);
    let source = SourceInfo {
        name: "random",
        text: "random",
    };
    let object = crate::object::write(&plan, &programs, &source).unwrap();
    let Some(loaded) = bpftool::load(&object) else {
        return;
    };
    for (program, expected) in programs.iter().zip(expected) {
        let result = loaded.run(&program.symbol);
        assert_eq!(
            result,
            expected,
            "{}\n{}",
            program.symbol,
            text(program).join("\n")
        );
    }
}
