//! Placed programs mean the same, stay within their memory, and give back what they claim.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::helper::Helper;
use crate::ir::testing::{GENERATED_MAPS, Machine, generate};
use crate::ir::verify::{Limits, Stage, check};
use crate::ir::{Builder, Value, Width};
use crate::plan::ProgramKind;

const MEMORY: u32 = 4096;

const LIMITS: Limits = Limits {
    bpf_maps: GENERATED_MAPS.len(),
    memory: MEMORY,
};

/// Stripes at 64 (4 of 64 bytes), scratch behind them.
fn options(frame_budget: u32) -> Options {
    Options {
        frame_budget,
        scratch: Scratch {
            offset: 320,
            slots: 4,
            slot_size: 512,
        },
        stripes: Stripes {
            offset: 64,
            count: 4,
            stride: 64,
        },
        loss: 8,
        full_atomics: true,
    }
}

fn claim_words(machine: &Machine) -> Vec<u8> {
    (0..4).map(|i| machine.memory[320 + i * 512]).collect()
}

#[test]
fn random_programs_mean_the_same() {
    let mut claimed = 0;
    for seed in 0..600 {
        let before = generate(seed, 10 + seed as u32 % 40);
        let options = options([384, 64, 16, 0][seed as usize % 4]);
        let demand = scratch_demand(&before, options.frame_budget);
        let result = place(before.clone(), &options);
        if demand > options.scratch.slot_size {
            assert_eq!(
                result.unwrap_err(),
                PlaceError::ScratchTooSmall { needed: demand }
            );
            continue;
        }
        let placed = result.unwrap();
        assert_eq!(placed.scratch, demand);
        assert!(placed.frame <= options.frame_budget);
        let after = placed.func;
        assert_eq!(
            check(&after, LIMITS, Stage::Placed),
            [],
            "seed {seed}\n{before}\n{after}"
        );
        let run = |func: &Function| {
            let mut machine = Machine::new(&GENERATED_MAPS, MEMORY as usize);
            let mut outcome = machine.run(func);
            assert_eq!(claim_words(&machine), [0; 4], "not given back\n{func}");
            // Scratch memory is nobody's concern afterwards.
            outcome.memory.truncate(320);
            outcome
        };
        assert_eq!(run(&before), run(&after), "seed {seed}\n{before}\n{after}");
        claimed += u32::from(demand > 0);
    }
    assert!(claimed > 200, "{claimed}");
}

/// Fills `count` slots of `size` bytes one after the other, sends each, and returns 7.
fn sender(count: usize, size: u32) -> Function {
    let mut b = Builder::new("f".into(), ProgramKind::Kprobe);
    for _ in 0..count {
        let slot = b.slot(size);
        send(&mut b, slot, size);
    }
    let seven = b.iconst(7);
    b.ret(seven);
    b.finish()
}

fn send(b: &mut Builder, slot: crate::ir::Slot, size: u32) -> Value {
    let addr = b.slot_addr(slot, 0);
    let len = b.iconst(i64::from(size));
    b.call_effect(Helper::ProbeReadUser, &[addr, len, len]);
    let map = b.emit(Op::MapPtr(crate::plan::BpfMapId(0)));
    let flags = b.iconst(0);
    b.call_effect(Helper::RingbufOutput, &[map, addr, len, flags]);
    addr
}

#[test]
fn slots_that_are_not_live_together_share_bytes() {
    let placed = place(sender(10, 128), &options(384)).unwrap();
    assert_eq!((placed.frame, placed.scratch), (128, 0));
}

#[test]
fn slots_used_in_one_loop_do_not_share() {
    let mut b = Builder::new("f".into(), ProgramKind::Kprobe);
    let (first, second) = (b.slot(8), b.slot(8));
    let zero = b.iconst(0);
    let (head, out) = (b.block(), b.block());
    b.jump(head, &[]);
    b.switch_to(head);
    // In the second iteration this reads what the first one left.
    let one = b.slot_addr(first, 0);
    let old = b.load(one, 0, Width::B8);
    b.store(one, 0, Width::B8, old);
    let two = b.slot_addr(second, 0);
    b.store(two, 0, Width::B8, zero);
    b.branch(crate::ir::Cond::Eq, old, zero, head, out);
    b.switch_to(out);
    b.ret(zero);
    let placed = place(b.finish(), &options(384)).unwrap();
    assert_eq!(placed.frame, 16);
}

#[test]
fn the_largest_slots_go_to_scratch() {
    let mut b = Builder::new("f".into(), ProgramKind::Kprobe);
    let slots: Vec<_> = [64, 200, 8].map(|size| (b.slot(size), size)).into();
    let mut addrs = Vec::new();
    for &(slot, size) in &slots {
        addrs.push((send(&mut b, slot, size), size));
    }
    // All are live to the end.
    let mut last = b.iconst(0);
    for (addr, _) in addrs {
        last = b.load(addr, 0, Width::B8);
    }
    b.ret(last);
    let func = b.finish();
    assert_eq!(scratch_demand(&func, 100), 8 + 200);
    let placed = place(func, &options(100)).unwrap();
    let homes: Vec<Home> = placed.func.slots.iter().map(|s| s.home).collect();
    assert_eq!(homes, [Home::Frame(-72), Home::Scratch(8), Home::Frame(-8)]);
}

#[test]
fn without_a_free_scratch_slot_nothing_runs_and_the_loss_is_counted() {
    let placed = place(sender(1, 400), &options(384)).unwrap();
    let mut machine = Machine::new(&GENERATED_MAPS, MEMORY as usize);
    for i in 0..4 {
        machine.memory[320 + i * 512] = 1;
    }
    let outcome = machine.run(&placed.func);
    assert_eq!((outcome.returned, outcome.sent.len()), (0, 0));
    // CPU 3's stripe.
    assert_eq!(machine.memory[64 + 3 * 64 + 8], 1);
    assert_eq!(claim_words(&machine), [1; 4], "others' claims are left alone");
}

#[test]
fn the_next_free_scratch_slot_is_taken() {
    let placed = place(sender(1, 400), &options(384)).unwrap();
    let mut machine = Machine::new(&GENERATED_MAPS, MEMORY as usize);
    for i in [3, 0] {
        machine.memory[320 + i * 512] = 1;
    }
    let outcome = machine.run(&placed.func);
    assert_eq!((outcome.returned, outcome.sent.len()), (7, 1));
    assert_eq!(claim_words(&machine), [1, 0, 0, 1]);
    assert_ne!(
        machine.memory[320 + 512 + 8..][..400],
        [0; 400],
        "slot 1 was used"
    );
}

#[test]
fn without_atomics_the_slots_are_named() {
    let mut options = options(384);
    options.full_atomics = false;
    let error = place(sender(1, 400), &options).unwrap_err();
    let span = Span::default();
    assert_eq!(
        error,
        PlaceError::NeedsFullAtomics(vec![Oversized { size: 400, span }])
    );
    assert!(place(sender(1, 300), &options).is_ok());
}

#[test]
fn relieved_programs_mean_the_same() {
    let mut changed = 0;
    for seed in 0..600 {
        let before = generate(seed, 10 + seed as u32 % 60);
        let after = relieve(before.clone(), [24, 8, 3, 0][seed as usize % 4]);
        assert!(check(&after, LIMITS, Stage::Lowered).is_empty(), "{after}");
        changed += usize::from(after.slots.len() > before.slots.len());
        let run = |func| Machine::new(&GENERATED_MAPS, MEMORY as usize).run(func);
        assert_eq!(run(&before), run(&after), "seed {seed}\n{before}\n{after}");
    }
    assert!(changed > 200, "{changed} programs had values to put aside");
}

#[test]
fn many_values_at_once_go_to_slots() {
    let mut ir = Builder::new("many".into(), ProgramKind::Kprobe);
    let values: Vec<Value> = (0..100)
        .map(|_| ir.emit(Op::Call(Helper::KtimeGetNs, [].into())))
        .collect();
    let sum = values
        .into_iter()
        .reduce(|a, b| ir.emit(Op::Bin(crate::ir::BinOp::Add, a, b)))
        .unwrap();
    ir.ret(sum);
    let func = relieve(ir.finish(), 10);
    // Of those that live at the end of the calls, all but 10, and maybe one that is just made.
    assert!((89..=92).contains(&func.slots.len()), "{}", func.slots.len());
}
