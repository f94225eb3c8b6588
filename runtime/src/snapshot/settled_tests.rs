//! States that are read while programs change them, in many orders of what both do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::fake::{self, Fake, State, agg};
use crate::show::Content;
use crate::snapshot::{Leave, Maps};
use crumbs_compiler::aggregation::UNDER_WAY;
use crumbs_compiler::plan::{BpfMapId, Generations, MapId, Plan, Storage};
use crumbs_compiler::types::Type;

const STATS: u16 = 3;
/// What each event adds to the sum.
const NUMBER: u64 = 10;
const HASH: u32 = 10;
const OVERFLOW: u32 = 12;
const KEYS: u64 = 3;

/// Programs that count events, of which each can be preempted between any two of its accesses.
struct Programs {
    /// How far each is: what it does next, 0 to 2, and to which of the states.
    lanes: [(u32, usize); 3],
    random: u64,
    marks: bool,
}

impl Programs {
    fn random(&mut self, below: u64) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Lets programs go on a little, by `add`, which adds to a word of a state.
    fn go_on(&mut self, step: &str, states: usize, add: &mut dyn FnMut(usize, usize, u64)) {
        // Who waits for them waits until each has ended.
        let accesses = if step == "quiesce" { 0 } else { self.random(5) };
        for _ in 0..accesses {
            let lane = self.random(3) as usize;
            // One is seldom preempted for long.
            if lane > 0 || self.random(50) == 0 {
                self.access(lane, states, add);
            }
        }
        for lane in 0..3 {
            while step == "quiesce" && self.lanes[lane].0 != 0 {
                self.access(lane, states, add);
            }
        }
    }

    fn access(&mut self, lane: usize, states: usize, add: &mut dyn FnMut(usize, usize, u64)) {
        let (next, state) = self.lanes[lane];
        let mark = if self.marks { UNDER_WAY } else { 0 };
        match next {
            0 => {
                let state = self.random(states as u64) as usize;
                self.lanes[lane].1 = state;
                add(state, 0, mark);
            }
            1 => add(state, 1, NUMBER),
            _ => add(state, 0, 1_u64.wrapping_sub(mark)),
        }
        self.lanes[lane].0 = (next + 1) % 3;
    }
}

fn programs(seed: u64, marks: bool) -> Programs {
    Programs {
        lanes: [(0, 0); 3],
        random: seed * 2 + 1,
        marks,
    }
}

fn plan(key: Option<Type>, storage: Storage, marks: bool) -> Plan {
    let mut plan = fake::plan();
    plan.maps
        .push(fake::map("m", key, Type::Agg(agg(STATS)), storage));
    plan.maps[0].watched = marks;
    plan
}

/// How many of the states that are read again and again are torn.
fn torn(plan: &Plan, fake: &mut Fake) -> usize {
    let mut maps = Maps::with_aggregations(plan, fake::aggregation);
    let mut torn = 0;
    let mut events = 0;
    for reading in 0..40 {
        let entries = maps.read(fake, MapId(0), Leave::AsIs).unwrap();
        let mut counted = 0;
        for entry in entries {
            let Content::Stats { count, total, .. } = entry.value else {
                panic!("{entry:?}");
            };
            torn += usize::from(total != i128::from(NUMBER * count));
            counted += count;
        }
        assert!(
            counted >= events || plan.maps[0].key.is_some(),
            "reading {reading}"
        );
        events = counted;
    }
    assert!(events > 0);
    torn
}

#[test]
fn program_memory() {
    let torn_without_marks: usize = (0..20).map(|seed| in_memory(seed, false)).sum();
    assert!(torn_without_marks > 20, "{torn_without_marks}");
    for seed in 0..100 {
        assert_eq!(in_memory(seed, true), 0, "seed {seed}");
    }
}

fn in_memory(seed: u64, marks: bool) -> usize {
    let storage = Storage::Striped {
        offset: 0,
        bytes: 16,
        selector: None,
    };
    let plan = plan(None, storage, marks);
    let mut fake = Fake::new();
    let mut programs = programs(seed, marks);
    *fake.before.get_mut() = Some(Box::new(move |state: &mut State, step: &str| {
        programs.go_on(step, 2, &mut |cpu, word, amount| {
            let offset = fake::STRIPES.offset + cpu as u32 * fake::STRIPES.stride + 8 * word as u32;
            let at = state.word(offset);
            *at = at.wrapping_add(amount);
        });
    }));
    torn(&plan, &mut fake)
}

#[test]
fn elements_of_maps() {
    let torn_without_marks: usize = (0..20).map(|seed| in_maps(seed, false)).sum();
    assert!(torn_without_marks > 20, "{torn_without_marks}");
    for seed in 0..100 {
        assert_eq!(in_maps(seed, true), 0, "seed {seed}");
    }
}

fn in_maps(seed: u64, marks: bool) -> usize {
    let storage = Storage::PerCpu {
        maps: Generations::One(BpfMapId(HASH)),
        overflow: Generations::One(BpfMapId(OVERFLOW)),
        chunked: false,
    };
    let plan = plan(Some(Type::U64), storage, marks);
    let mut fake = Fake::new();
    for number in 0..KEYS {
        fake.state
            .get_mut()
            .put(HASH, &number.to_ne_bytes(), &[&[0, 0], &[0, 0]]);
        fake.state
            .get_mut()
            .put(OVERFLOW, &number.to_ne_bytes(), &[&[0, 0]]);
    }
    let mut programs = programs(seed, marks);
    *fake.before.get_mut() = Some(Box::new(move |state: &mut State, step: &str| {
        programs.go_on(step, 3 * KEYS as usize, &mut |place, word, amount| {
            let (number, cpu) = (place as u64 / 3, place % 3);
            let (map, cpu) = if cpu < 2 { (HASH, cpu) } else { (OVERFLOW, 0) };
            let element = state.maps.get_mut(&map).unwrap();
            let value = &mut element.get_mut(&number.to_ne_bytes()[..]).unwrap()[cpu];
            let at = value[8 * word..].first_chunk_mut::<8>().unwrap();
            *at = u64::from_ne_bytes(*at).wrapping_add(amount).to_ne_bytes();
        });
    }));
    torn(&plan, &mut fake)
}

/// An element that is removed between two readings is left out, and the others are whole.
#[test]
fn elements_that_go() {
    let storage = Storage::PerCpu {
        maps: Generations::One(BpfMapId(HASH)),
        overflow: Generations::One(BpfMapId(OVERFLOW)),
        chunked: false,
    };
    let plan = plan(Some(Type::U64), storage, true);
    let mut fake = Fake::new();
    let (here, gone) = (1_u64.to_ne_bytes(), 2_u64.to_ne_bytes());
    fake.state.get_mut().put(HASH, &here, &[&[2, 2 * NUMBER]]);
    fake.state.get_mut().put(HASH, &gone, &[&[UNDER_WAY + 1, NUMBER]]);
    *fake.before.get_mut() = Some(Box::new(move |state: &mut State, step: &str| {
        if step == "element" {
            state.maps.get_mut(&HASH).unwrap().remove(&gone[..]);
        }
    }));
    let mut maps = Maps::with_aggregations(&plan, fake::aggregation);
    let entries = maps.read(&mut fake, MapId(0), Leave::AsIs).unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(
        matches!(entries[0].value, Content::Stats { count: 2, .. }),
        "{entries:?}"
    );
}
