//! Random programs mean the same before and after.

mod passes;

use super::*;
use crate::ir::testing::{GENERATED_MAPS, Machine, generate};
use crate::ir::verify::{Limits, Stage, check};

const LIMITS: Limits = Limits {
    bpf_maps: GENERATED_MAPS.len(),
    memory: 64,
};

/// No other program runs, so all elements stay as far as others go; what a program deletes itself the passes see.
fn facts() -> Facts {
    let fact = |&(key_size, _): &(usize, usize)| MapFacts {
        key_size: key_size as u32,
        lookup_reusable: true,
    };
    Facts {
        maps: GENERATED_MAPS.iter().map(fact).collect(),
    }
}

#[test]
fn random_programs_mean_the_same() {
    let mut saved = (0, 0);
    for seed in 0..1500 {
        let before = generate(seed, 10 + seed as u32 % 50);
        assert_eq!(check(&before, LIMITS, Stage::Lowered), [], "{before}");
        let after = optimise(before.clone(), &facts());
        let faults = check(&after, LIMITS, Stage::Lowered);
        assert!(faults.is_empty(), "seed {seed}: {faults:?}\n{before}\n{after}");
        let (mut old, mut new) = (
            Machine::new(&GENERATED_MAPS, 64),
            Machine::new(&GENERATED_MAPS, 64),
        );
        assert_eq!(
            old.run(&before),
            new.run(&after),
            "seed {seed}\n{before}\n{after}"
        );
        assert!(
            new.steps <= old.steps,
            "seed {seed} runs longer\n{before}\n{after}"
        );
        saved = (saved.0 + old.steps, saved.1 + new.steps);
    }
    // If less than a third were saved, some pass would have stopped working.
    assert!(saved.1 * 3 < saved.0 * 2, "{saved:?}");
}

/// Each pass is linear in the size of the program (or nearly), so the whole is if the number of passes does not grow.
#[test]
fn the_number_of_passes_does_not_grow_with_the_program() {
    let passes = |mut func| run_passes(&mut func, &facts()).1;
    let most = |size| (0..20).map(|seed| passes(generate(seed, size))).max();
    let (small, large) = (most(50), most(2000));
    assert!(large < Some(MAX_ROUNDS * PASSES.len()), "{small:?} {large:?}");
}

#[test]
fn optimised_programs_are_left_alone() {
    for seed in 0..200 {
        let once = optimise(generate(seed, 30), &facts());
        let twice = optimise(once.clone(), &facts());
        assert_eq!(once.to_string(), twice.to_string(), "seed {seed}");
    }
}
