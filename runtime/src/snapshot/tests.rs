//! Reading, taking and zeroing of every kind of storage, and that nothing is lost while programs run.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fake::{self, Fake, State, agg};
use crumbs_compiler::view::MapView;
use std::cell::Cell;
use std::rc::Rc;

const SUM: u16 = 0;
const LEAST: u16 = 1;
const BUCKETS: u16 = 2;

fn plan_with(key: Option<Type>, value: Type, storage: Storage) -> Plan {
    let mut plan = fake::plan();
    plan.maps.push(fake::map("m", key, value, storage));
    plan
}

fn maps(plan: &Plan) -> Maps<'_> {
    Maps::with_aggregations(plan, fake::aggregation)
}

fn read(maps: &mut Maps<'_>, fake: &mut Fake, leave: Leave) -> Vec<Entry> {
    let mut entries = maps.read(fake, MapId(0), leave).unwrap();
    crate::show::arrange(&mut entries, &MapView::default());
    entries
}

fn numbers(entries: &[Entry]) -> Vec<(Option<i128>, i128)> {
    let number = |content: &Content| match content {
        Content::Number(number) => *number,
        Content::Value(value) => value.number().unwrap(),
        other => panic!("{other:?}"),
    };
    entries
        .iter()
        .map(|entry| {
            (
                entry.key.as_ref().map(|key| key.number().unwrap()),
                number(&entry.value),
            )
        })
        .collect()
}

fn total(entries: &[Entry]) -> i128 {
    numbers(entries).iter().map(|(_, number)| number).sum()
}

fn key(number: u64) -> [u8; 8] {
    number.to_ne_bytes()
}

const TWO: Generations = Generations::Two {
    maps: [BpfMapId(10), BpfMapId(11)],
    selector: 24,
};

fn sums(generations: Generations) -> Plan {
    let overflow = match generations {
        Generations::One(_) => Generations::One(BpfMapId(20)),
        Generations::Two { selector, .. } => Generations::Two {
            maps: [BpfMapId(20), BpfMapId(21)],
            selector,
        },
    };
    let storage = Storage::PerCpu {
        maps: generations,
        overflow,
        chunked: false,
    };
    plan_with(Some(Type::I64), Type::Agg(agg(SUM)), storage)
}

#[test]
fn a_scalar_is_there_once_set() {
    let plan = plan_with(None, Type::I64, Storage::Words { offset: 32 });
    let (mut fake, mut maps) = (Fake::new(), maps(&plan));
    assert!(read(&mut maps, &mut fake, Leave::Zeroed).is_empty());
    assert!(read(&mut maps, &mut fake, Leave::AsIs).is_empty());
    *fake.state.get_mut().word(40) = 1;
    assert_eq!(numbers(&read(&mut maps, &mut fake, Leave::AsIs)), [(None, 0)]);
    *fake.state.get_mut().word(32) = -7i64 as u64;
    assert_eq!(numbers(&read(&mut maps, &mut fake, Leave::Zeroed)), [(None, -7)]);
    assert_eq!(numbers(&read(&mut maps, &mut fake, Leave::Empty)), [(None, 0)]);
    assert!(read(&mut maps, &mut fake, Leave::AsIs).is_empty());
}

#[test]
fn stripes_are_merged() {
    let storage = Storage::Striped {
        offset: 64,
        bytes: 8,
        selector: None,
    };
    let plan = plan_with(None, Type::Agg(agg(SUM)), storage.clone());
    let (mut fake, mut sums) = (Fake::new(), maps(&plan));
    assert!(read(&mut sums, &mut fake, Leave::AsIs).is_empty());
    *fake.state.get_mut().word(1024 + 64) = 3;
    *fake.state.get_mut().word(2048 + 64) = 4;
    assert_eq!(numbers(&read(&mut sums, &mut fake, Leave::AsIs)), [(None, 7)]);
    assert_eq!(numbers(&read(&mut sums, &mut fake, Leave::Empty)), [(None, 7)]);
    assert!(read(&mut sums, &mut fake, Leave::AsIs).is_empty());

    let plan = plan_with(None, Type::Agg(agg(LEAST)), storage);
    let mut least = maps(&plan);
    *fake.state.get_mut().word(1024 + 64) = !5;
    *fake.state.get_mut().word(2048 + 64) = !2;
    assert_eq!(numbers(&read(&mut least, &mut fake, Leave::Zeroed)), [(None, 2)]);
    // What a zeroed state would decode to is the greatest number; a zeroed map shows 0.
    assert_eq!(numbers(&read(&mut least, &mut fake, Leave::AsIs)), [(None, 0)]);
    assert_eq!(numbers(&read(&mut least, &mut fake, Leave::Empty)), [(None, 0)]);
    assert!(read(&mut least, &mut fake, Leave::Zeroed).is_empty());
    assert!(
        read(&mut least, &mut fake, Leave::AsIs).is_empty(),
        "zero of nothing is nothing"
    );
}

#[test]
fn a_large_value_without_key_is_an_element() {
    let plan = plan_with(None, Type::Str(16), Storage::Hash(Generations::One(BpfMapId(10))));
    let mut fake = Fake::new();
    let text = u64::from_ne_bytes(*b"hello\0\0\0");
    fake.state.get_mut().put(10, &[0; 4], &[&[text, 0]]);
    let entries = read(&mut maps(&plan), &mut fake, Leave::AsIs);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].key, None);
    assert_eq!(entries[0].value, Content::Value(Value::Str(b"hello".to_vec())));
}

#[test]
fn cpus_and_the_overflow_map_are_merged() {
    let plan = sums(Generations::One(BpfMapId(10)));
    let mut fake = Fake::new();
    let state = fake.state.get_mut();
    state.put(10, &key(1), &[&[1], &[2]]);
    state.put(10, &key(2), &[&[0], &[9]]);
    state.put(10, &key(3), &[&[0], &[0]]);
    state.put(20, &key(1), &[&[4]]);
    state.put(20, &key(4), &[&[1]]);
    let entries = read(&mut maps(&plan), &mut fake, Leave::AsIs);
    // 3 was inserted and nothing added yet.
    assert_eq!(numbers(&entries), [(Some(4), 1), (Some(1), 7), (Some(2), 9)]);
}

#[test]
fn chunks_are_put_together() {
    let storage = Storage::PerCpu {
        maps: Generations::One(BpfMapId(10)),
        overflow: Generations::One(BpfMapId(20)),
        chunked: true,
    };
    let plan = plan_with(Some(Type::I64), Type::Agg(agg(BUCKETS)), storage);
    let mut fake = Fake::new();
    let state = fake.state.get_mut();
    let chunk = |number: u64, chunk: u64| [key(number), key(chunk)].concat();
    let word = |at: usize, count: u64| {
        let mut words = [0; 8];
        words[at] = count;
        words
    };
    state.put(10, &chunk(1, 0), &[&word(7, 1), &word(7, 2)]);
    state.put(10, &chunk(1, 1), &[&word(1, 5), &word(1, 0)]);
    state.put(20, &chunk(1, 2), &[&word(3, 6)]);
    state.put(10, &chunk(2, 2), &[&word(0, 1)]);
    // Words beyond the state, chunks beyond it, and an odd key: nothing of it may matter.
    state.put(10, &chunk(2, 2), &[&[1, 0, 0, 0, 77, 77, 77, 77]]);
    state.put(10, &chunk(2, u64::MAX), &[&word(0, 77)]);
    let entries = read(&mut maps(&plan), &mut fake, Leave::AsIs);
    let counts: Vec<Vec<(i128, u64)>> = entries
        .iter()
        .map(|entry| match &entry.value {
            Content::Histogram { buckets, .. } => buckets
                .iter()
                .filter(|bucket| bucket.count > 0)
                .map(|bucket| (bucket.min.unwrap(), bucket.count))
                .collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [vec![(16, 1)], vec![(7, 3), (9, 5), (19, 6)]]);
}

#[test]
fn odd_bytes_do_no_harm() {
    let plan = sums(Generations::One(BpfMapId(10)));
    let mut fake = Fake::new();
    let state = fake.state.get_mut();
    state
        .maps
        .entry(10)
        .or_default()
        .insert(vec![1, 0, 0], vec![vec![1, 2, 3], vec![5; 9]]);
    state.maps.entry(10).or_default().insert(vec![], vec![]);
    assert_eq!(read(&mut maps(&plan), &mut fake, Leave::AsIs).len(), 1);
    assert!(maps(&plan).read(&mut fake, MapId(9), Leave::AsIs).is_err());
}

#[test]
fn zeroing_keeps_keys_and_counts_them() {
    for generations in [Generations::One(BpfMapId(10)), TWO] {
        let mut plan = sums(generations);
        plan.maps[0].length = Some(56);
        let (mut fake, mut maps) = (Fake::new(), maps(&plan));
        let state = fake.state.get_mut();
        state.put(10, &key(1), &[&[5]]);
        state.put(20, &key(2), &[&[6]]);
        *state.word(56) = 2;
        assert_eq!(total(&read(&mut maps, &mut fake, Leave::Zeroed)), 11);
        let zeros = [(Some(1), 0), (Some(2), 0)];
        assert_eq!(numbers(&read(&mut maps, &mut fake, Leave::AsIs)), zeros);
        let state = fake.state.get_mut();
        let elements = *state.word(56) + *state.word(64);
        assert_eq!(elements, 2, "{generations:?}");
        assert_eq!(total(&read(&mut maps, &mut fake, Leave::Empty)), 0);
        let state = fake.state.get_mut();
        let elements = *state.word(56) + *state.word(64);
        assert_eq!(elements, 0, "{generations:?}");
        assert!(read(&mut maps, &mut fake, Leave::AsIs).is_empty());
    }
}

#[test]
fn zeroing_leaves_alone_what_came_meanwhile() {
    // Before it is looked what is there, and just before zeros would be inserted.
    for moment in ["remove_all", "insert_zero"] {
        let mut plan = sums(TWO);
        plan.maps[0].length = Some(56);
        let (mut fake, mut maps) = (Fake::new(), maps(&plan));
        let state = fake.state.get_mut();
        state.put(10, &key(1), &[&[5]]);
        *state.word(56) = 1;
        let mut came = false;
        *fake.before.get_mut() = Some(Box::new(move |state, step| {
            if step == moment && !std::mem::replace(&mut came, true) {
                state.add(11, &key(1), 3);
                *state.word(64) += 1;
            }
        }));
        assert_eq!(total(&read(&mut maps, &mut fake, Leave::Zeroed)), 5);
        assert_eq!(numbers(&read(&mut maps, &mut fake, Leave::AsIs)), [(Some(1), 3)]);
        assert_eq!(*fake.state.get_mut().word(64), 1, "before {moment}");
    }
}

/// Lets a program run before every step of a map that is printed and cleared again and again, and compares what was
/// added with what was printed. `program` is told the step and how often it was called, and gives what it added.
fn fired_and_printed(
    plan: &Plan,
    mut program: impl FnMut(&mut State, &str, u64) -> i128 + 'static,
) -> (i128, i128) {
    let fired = Rc::new(Cell::new(0));
    let mut fake = Fake::new();
    let counter = Rc::clone(&fired);
    let mut calls = 0;
    *fake.before.get_mut() = Some(Box::new(move |state, step| {
        calls += 1;
        counter.set(counter.get() + program(state, step, calls));
    }));
    let mut maps = maps(plan);
    let mut printed = 0;
    for _ in 0..20 {
        printed += total(&read(&mut maps, &mut fake, Leave::Empty));
        printed += total(&read(&mut maps, &mut fake, Leave::Zeroed));
    }
    *fake.before.get_mut() = None;
    // Twice: what ran last may be in either generation.
    printed += total(&read(&mut maps, &mut fake, Leave::Empty));
    printed += total(&read(&mut maps, &mut fake, Leave::Empty));
    (fired.get(), printed)
}

#[test]
fn no_update_of_a_scalar_is_lost() {
    let plan = plan_with(None, Type::I64, Storage::Words { offset: 32 });
    let (fired, printed) = fired_and_printed(&plan, |state, _, calls| {
        // Now and then, so that a value can wait for a whole round with its flag taken.
        if calls % 7 != 0 {
            return 0;
        }
        *state.word(32) += calls;
        *state.word(40) = 1;
        i128::from(calls)
    });
    assert!(fired > 100);
    assert_eq!(fired, printed);
}

#[test]
fn no_update_of_a_keyless_aggregation_is_lost() {
    let storage = Storage::Striped {
        offset: 64,
        bytes: 8,
        selector: None,
    };
    let plan = plan_with(None, Type::Agg(agg(SUM)), storage);
    let (fired, printed) = fired_and_printed(&plan, |state, _, calls| {
        *state.word(1024 * (1 + calls as u32 % 2) + 64) += calls;
        i128::from(calls)
    });
    assert!(fired > 100);
    assert_eq!(fired, printed);
}

/// Programs that ask for the generation at one step and add some steps later, unless they are waited for. With
/// `overflow`, every fourth update is refused by the first map and goes to the second.
fn slow_programs(overflow: bool) -> impl FnMut(&mut State, &str, u64) -> i128 + 'static {
    // The map, and when it will be added to.
    let mut running: Vec<(u32, u64)> = Vec::new();
    move |state, step, calls| {
        let mut added = 0;
        running.retain(|&(map, due)| {
            let ends = due <= calls || step == "quiesce";
            if ends {
                state.add(map, &key(calls % 3), calls);
                added += i128::from(calls);
            }
            !ends
        });
        let generation = *state.word(24) as u32;
        let map = if overflow && calls % 4 == 0 { 20 } else { 10 };
        running.push((generation + map, calls + calls % 7));
        added
    }
}

#[test]
fn no_update_of_a_keyed_aggregation_is_lost() {
    let (fired, printed) = fired_and_printed(&sums(TWO), slow_programs(true));
    assert!(fired > 100);
    assert_eq!(fired, printed);
}

#[test]
fn maps_that_are_retired_together_are_waited_for_once() {
    let mut plan = sums(TWO);
    let mut other = plan.maps[0].clone();
    let two = |first: u32, selector| Generations::Two {
        maps: [BpfMapId(first), BpfMapId(first + 1)],
        selector,
    };
    other.storage = Storage::PerCpu {
        maps: two(30, 72),
        overflow: two(40, 72),
        chunked: false,
    };
    plan.maps.push(other);
    let (mut fake, mut maps) = (Fake::new(), maps(&plan));
    fake.state.get_mut().put(10, &key(1), &[&[5]]);
    fake.state.get_mut().put(30, &key(1), &[&[7]]);
    maps.retire(&mut fake, &[MapId(0), MapId(1)]);
    for (map, taken) in [(MapId(0), 5), (MapId(1), 7)] {
        fake.state.get_mut().put(11, &key(1), &[&[1]]);
        fake.state.get_mut().put(31, &key(1), &[&[2]]);
        assert_eq!(total(&maps.read(&mut fake, map, Leave::Empty).unwrap()), taken);
    }
    assert_eq!(fake.state.get_mut().log, ["quiesce"]);
    assert_eq!(total(&maps.read(&mut fake, MapId(1), Leave::Empty).unwrap()), 2);
    assert_eq!(fake.state.get_mut().log, ["quiesce", "quiesce"]);
}

#[test]
fn no_update_of_a_hash_is_lost() {
    let plan = plan_with(Some(Type::I64), Type::I64, Storage::Hash(TWO));
    let (fired, printed) = fired_and_printed(&plan, slow_programs(false));
    assert!(fired > 100);
    assert_eq!(fired, printed);
}

#[test]
fn one_generation_would_lose_updates() {
    // Shows that the tests above can fail: the same program, and a map that is read and emptied in two steps.
    let (fired, printed) = fired_and_printed(&sums(Generations::One(BpfMapId(10))), slow_programs(true));
    assert!(printed < fired);
}
