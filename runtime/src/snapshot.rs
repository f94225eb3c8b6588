//! Reads, takes and clears the maps of a script, wherever their contents are stored.
//!
//! In: a [`Plan`] and the raw bytes of a [`Backend`]. Out: decoded and merged [`Entry`]s.
//!
//! **No update is counted twice or not at all** when a map is printed and cleared again and again while programs run:
//! - Words of program memory are taken by atomic exchange; an update goes to the print before or after, never to none.
//! - A map with two generations is switched, then programs that may still use the retired one are waited for, and only
//!   then is it read and emptied.
//!
//! A map with one generation is read and emptied in two steps; the compiler gives two to every map that is both.
//!
//! **States are whole** whose words only mean something together, also where they are read and kept while programs change
//! them: the `settled` module.

mod settled;

use crate::backend::{Backend, Error, RawEntry};
use crate::show::{Content, Entry};
use crate::value::{Value, decode};
use crumbs_compiler::aggregation::{AggType, Aggregation, CHUNK_WORDS, Shown};
use crumbs_compiler::plan::{BpfMapId, Generations, MapId, MapPlan, Plan, Storage, Stripes};
use crumbs_compiler::types::Type;
use std::collections::{BTreeMap, BTreeSet};

/// What an element of a map holds, before it is said how that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The merged words of an aggregation.
    Words(Vec<u64>),
    /// A value.
    Value(Value),
}

/// The elements of a map: their keys, where it has any, and what they hold.
pub type Elements = Vec<(Option<Value>, State)>;

/// What a map is left as by [`Maps::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As it was.
    AsIs,
    /// Empty.
    Empty,
    /// With its keys, and zeros for values.
    Zeroed,
}

/// The maps of a running script.
#[derive(Debug)]
pub struct Maps<'p> {
    plan: &'p Plan,
    /// Of each map, whether `zero` was called on it since it was last emptied: elements that no event touched are
    /// then shown, as 0.
    zeroed: Vec<bool>,
    /// Of each map, whether [`Maps::retire`] has turned programs away from the generation to be taken next.
    retired: Vec<bool>,
    /// Whether programs may change maps while they are read.
    programs_run: bool,
    /// Finds the code of an aggregation.
    aggregation: fn(&AggType) -> &'static dyn Aggregation,
}

impl<'p> Maps<'p> {
    /// The maps of `plan`, none of which has been read yet.
    pub fn new(plan: &'p Plan) -> Self {
        Self::with_aggregations(plan, AggType::aggregation)
    }

    /// As [`Maps::new`], with aggregations found by `aggregation`.
    pub fn with_aggregations(plan: &'p Plan, aggregation: fn(&AggType) -> &'static dyn Aggregation) -> Self {
        Self {
            plan,
            zeroed: vec![false; plan.maps.len()],
            retired: vec![false; plan.maps.len()],
            programs_run: true,
            aggregation,
        }
    }

    /// From now on programs only run when this process runs them, and not while maps are read.
    pub fn programs_have_ended(&mut self) {
        self.programs_run = false;
    }

    /// Turns programs to the other generation of each of these maps, and waits until none uses the one before any more.
    /// What [`Maps::read`] takes next of them is what they held here, at no further wait: for maps that are taken one
    /// after the other, waiting once is enough. Until then they must not be read to be left as they are.
    pub fn retire(&mut self, backend: &mut dyn Backend, maps: &[MapId]) {
        let mut waits = false;
        for map in maps {
            let Some(selector) = self.plan.maps.get(map.0 as usize).and_then(selector) else {
                continue;
            };
            if !std::mem::replace(&mut self.retired[map.0 as usize], true) {
                backend.store(selector, u64::from(backend.load(selector) == 0));
                waits = true;
            }
        }
        if waits {
            backend.quiesce();
        }
    }

    /// Reads a map and leaves it as `leave` says. Entries come in no particular order; a map without key has one, or
    /// none if it was never set.
    ///
    /// # Errors
    /// When the back end cannot read or change the map, or the plan has no such map.
    pub fn read(&mut self, backend: &mut dyn Backend, map: MapId, leave: Leave) -> Result<Vec<Entry>, Error> {
        let states = self.states(backend, map, leave)?;
        let ty = self.plan.maps.get(map.0 as usize).and_then(MapPlan::aggregation);
        let shown = |state| match (state, ty) {
            (State::Value(value), _) => Some(Content::Value(value)),
            (State::Words(words), Some(ty)) => Some(content((self.aggregation)(ty), ty, &words)),
            (State::Words(_), None) => None,
        };
        let entries = states.into_iter().filter_map(|(key, state)| {
            let value = shown(state)?;
            Some(Entry { key, value })
        });
        Ok(entries.collect())
    }

    /// As [`Maps::read`], with what elements hold and not what they show.
    ///
    /// # Errors
    /// As [`Maps::read`].
    pub fn states(&mut self, backend: &mut dyn Backend, map: MapId, leave: Leave) -> Result<Elements, Error> {
        let Some(plan) = self.plan.maps.get(map.0 as usize) else {
            return Err(Error::new(
                format!("read map number {}", map.0),
                "the script has no such map",
            ));
        };
        let was_zeroed = self.zeroed[map.0 as usize];
        let changes = plan.watched && self.programs_run && leave == Leave::AsIs;
        if leave != Leave::AsIs {
            self.retire(backend, &[map]);
            self.retired[map.0 as usize] = false;
        }
        let entries = match &plan.storage {
            Storage::Words { offset } => self.words(backend, plan, *offset, leave),
            Storage::Striped {
                offset,
                bytes,
                selector,
            } => {
                let in_use = selector.map_or(0, |selector| u32::from(backend.load(selector) != 0));
                // To be taken is the other one.
                let which = in_use ^ u32::from(selector.is_some() && leave != Leave::AsIs);
                let place = (offset + which * bytes, *bytes);
                match (changes, leave) {
                    (true, _) => self.striped(backend, plan, place, was_zeroed, &settled::words),
                    (_, Leave::AsIs) => self.striped(backend, plan, place, was_zeroed, &load),
                    (_, Leave::Empty | Leave::Zeroed) => {
                        self.striped(backend, plan, place, was_zeroed, &exchange)
                    }
                }
            }
            Storage::Hash(generations) => {
                let raw = take(backend, &[*generations], plan.length, false, leave)?;
                raw.into_iter()
                    .flatten()
                    .map(|raw| self.element(plan, &raw))
                    .collect()
            }
            Storage::PerCpu {
                maps,
                overflow,
                chunked,
            } => {
                let maps = [*maps, *overflow];
                let raw = match changes {
                    true => {
                        let in_use = maps.map(|map| in_use(backend, map));
                        let contents = in_use.map(|map| settled::elements(backend, map));
                        contents.into_iter().collect::<Result<_, _>>()?
                    }
                    false => take(backend, &maps, plan.length, *chunked, leave)?,
                };
                self.merge(plan, &raw, *chunked, was_zeroed)
            }
        };
        match leave {
            Leave::AsIs => {}
            Leave::Empty => self.zeroed[map.0 as usize] = false,
            Leave::Zeroed => self.zeroed[map.0 as usize] = !entries.is_empty(),
        }
        Ok(entries)
    }

    /// Notes that a map is as `zero` leaves it: elements that no event touched are shown.
    pub(crate) fn mark_zeroed(&mut self, map: MapId) {
        if let Some(zeroed) = self.zeroed.get_mut(map.0 as usize) {
            *zeroed = true;
        }
    }

    /// What printing a map without key shows while it is not set: the number 0, the empty text. `None` for maps with keys
    /// and for histograms, which then have nothing to show.
    pub fn unset(&self, map: MapId) -> Option<Entry> {
        let plan = self.plan.maps.get(map.0 as usize)?;
        if plan.key.is_some() {
            return None;
        }
        let value = match plan.aggregation() {
            Some(ty) => {
                let aggregation = (self.aggregation)(ty);
                content(aggregation, ty, &vec![0; aggregation.words(ty) as usize])
            }
            None => {
                let zeros = vec![0; plan.value.slot_size() as usize];
                Content::Value(decode(&zeros, &plan.value, self.plan, true))
            }
        };
        let has_nothing = matches!(&value, Content::Histogram { buckets, .. } if buckets.is_empty());
        (!has_nothing).then_some(Entry { key: None, value })
    }

    /// A scalar in program memory. A set flag or a value other than 0 says that it is set: between the two exchanges
    /// a program may set both anew, and its flag is then taken with the old value.
    fn words(&self, backend: &dyn Backend, plan: &MapPlan, offset: u32, leave: Leave) -> Elements {
        let (value, flag) = match leave {
            Leave::AsIs => (backend.load(offset), backend.load(offset + 8)),
            Leave::Empty => (backend.swap(offset, 0), backend.swap(offset + 8, 0)),
            Leave::Zeroed => (backend.swap(offset, 0), backend.load(offset + 8)),
        };
        if value == 0 && flag == 0 {
            return Vec::new();
        }
        if leave == Leave::Zeroed {
            backend.store(offset + 8, 1);
        }
        let value = decode(&value.to_ne_bytes(), &plan.value, self.plan, true);
        vec![(None, State::Value(value))]
    }

    /// An aggregation without key: its state, `bytes` at `offset` of every stripe, read by `read` and merged.
    fn striped(
        &self,
        backend: &mut dyn Backend,
        plan: &MapPlan,
        (offset, bytes): (u32, u32),
        was_zeroed: bool,
        read: ReadWords<'_>,
    ) -> Elements {
        let Some(ty) = plan.aggregation() else {
            return Vec::new();
        };
        let aggregation = (self.aggregation)(ty);
        let words = aggregation.words(ty).min(bytes / 8) as usize;
        let mut merged = vec![0; aggregation.words(ty) as usize];
        for base in stripe_offsets(self.plan.memory.stripes) {
            let mut state = vec![0; merged.len()];
            read(backend, base + offset, &mut state[..words]);
            aggregation.merge(ty, &mut merged, &state);
        }
        if !was_zeroed && !aggregation.is_touched(ty, &merged) {
            return Vec::new();
        }
        vec![(None, State::Words(merged))]
    }

    /// An element of a plain hash map.
    fn element(&self, plan: &MapPlan, raw: &RawEntry) -> (Option<Value>, State) {
        let bytes = raw.values.first().map_or(&[][..], Vec::as_slice);
        let value = decode(bytes, &plan.value, self.plan, true);
        (self.key(plan, &raw.key), State::Value(value))
    }

    fn key(&self, plan: &MapPlan, bytes: &[u8]) -> Option<Value> {
        plan.key.as_ref().map(|ty| decode(bytes, ty, self.plan, true))
    }

    /// Elements of a keyed aggregation: per key, the states of all CPUs and of the overflow map. A chunked state is
    /// first put together, so that an aggregation only ever merges whole states.
    fn merge(&self, plan: &MapPlan, sources: &[Vec<RawEntry>], chunked: bool, was_zeroed: bool) -> Elements {
        let Some(ty) = plan.aggregation() else {
            return Vec::new();
        };
        let aggregation = (self.aggregation)(ty);
        let words = aggregation.words(ty) as usize;
        let key_size = plan.key.as_ref().map_or(4, Type::slot_size) as usize;
        let mut states: BTreeMap<&[u8], StatesOfKey> = BTreeMap::new();
        for (source, entries) in sources.iter().enumerate() {
            for raw in entries {
                let (key, chunk) = raw.key.split_at(key_size.min(raw.key.len()));
                let chunk = if chunked { read_word(chunk) } else { 0 };
                let first = usize::try_from(chunk)
                    .ok()
                    .and_then(|chunk| chunk.checked_mul(CHUNK_WORDS as usize))
                    .unwrap_or(usize::MAX);
                let of_key = states.entry(key).or_default();
                for (cpu, value) in raw.values.iter().enumerate() {
                    let state = of_key.entry((source, cpu)).or_insert_with(|| vec![0; words]);
                    let Some(state) = state.get_mut(first..) else {
                        continue;
                    };
                    for (word, bytes) in state.iter_mut().zip(value.chunks_exact(8)) {
                        *word = read_word(bytes);
                    }
                }
            }
        }
        let mut entries = Vec::new();
        for (key, of_key) in states {
            let mut merged = vec![0; words];
            for state in of_key.values() {
                aggregation.merge(ty, &mut merged, state);
            }
            // A program that has inserted the key but not yet added to it.
            if !was_zeroed && !aggregation.is_touched(ty, &merged) {
                continue;
            }
            entries.push((self.key(plan, key), State::Words(merged)));
        }
        entries
    }
}

/// What reads words of the program memory from an offset on.
type ReadWords<'a> = &'a dyn Fn(&mut dyn Backend, u32, &mut [u64]);

/// Reads words of the program memory.
fn load(backend: &mut dyn Backend, offset: u32, words: &mut [u64]) {
    for (at, word) in (0..).zip(words) {
        *word = backend.load(offset + 8 * at);
    }
}

/// Takes words of the program memory and leaves zeros.
fn exchange(backend: &mut dyn Backend, offset: u32, words: &mut [u64]) {
    for (at, word) in (0..).zip(words) {
        *word = backend.swap(offset + 8 * at, 0);
    }
}

/// The states that make up one element, by source and CPU.
type StatesOfKey = BTreeMap<(usize, usize), Vec<u64>>;

/// Where each stripe begins.
pub(crate) fn stripe_offsets(stripes: Stripes) -> impl Iterator<Item = u32> {
    (0..stripes.count).map(move |i| stripes.offset + i * stripes.stride)
}

/// What a merged state shows. All zeros is what `zero` leaves, and shows 0 also where a state encodes 0 otherwise.
fn content(aggregation: &dyn Aggregation, ty: &AggType, state: &[u64]) -> Content {
    let shown = match aggregation.show(ty, state) {
        Shown::Int(_) if state.iter().all(|&word| word == 0) => Shown::Int(0),
        shown => shown,
    };
    Content::of(shown, aggregation.presentation())
}

/// The first 8 bytes as a word; missing ones are zeros.
fn read_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let present = bytes.len().min(8);
    word[..present].copy_from_slice(&bytes[..present]);
    u64::from_ne_bytes(word)
}

/// Reads the kernel maps that hold one script map between them, and leaves them as `leave` says. To be taken is the
/// generation that programs have been turned away from. `length`: where their elements are counted, a word per
/// generation. `chunked`: whether keys end in a chunk number, where the chunk 0 counts.
fn take(
    backend: &mut dyn Backend,
    maps: &[Generations],
    length: Option<u32>,
    chunked: bool,
    leave: Leave,
) -> Result<Vec<Vec<RawEntry>>, Error> {
    if leave == Leave::AsIs {
        return maps
            .iter()
            .map(|&map| backend.entries(in_use(backend, map)))
            .collect();
    }
    let retired: Vec<usize> = maps
        .iter()
        .map(|&map| match map {
            Generations::One(_) => 0,
            Generations::Two { .. } => 1 - current(backend, map),
        })
        .collect();
    let mut contents = Vec::with_capacity(maps.len());
    for (&map, &old) in maps.iter().zip(&retired) {
        contents.push(backend.entries(generation(map, old))?);
    }
    if leave == Leave::Zeroed && maps.iter().all(|map| matches!(map, Generations::One(_))) {
        for (&map, &old) in maps.iter().zip(&retired) {
            backend.zero_all(generation(map, old))?;
        }
        return Ok(contents);
    }
    for (&map, &old) in maps.iter().zip(&retired) {
        backend.remove_all(generation(map, old))?;
    }
    let old = retired.first().copied().unwrap_or(0);
    if let Some(length) = length {
        backend.store(length + 8 * old as u32, 0);
    }
    if leave == Leave::Zeroed {
        let inserted = insert_zeros(backend, maps, &contents, chunked)?;
        if let Some(length) = length {
            add(backend, length + 8 * (1 - old as u32), inserted);
        }
    }
    Ok(contents)
}

/// Inserts what was in `contents` into the generation in use, with zeros for values: all of it into the first of the
/// maps. Gives how many were in none of them that count. New keys of programs may leave no room for all: what is left out
/// then is zeros, and no data.
fn insert_zeros(
    backend: &mut dyn Backend,
    maps: &[Generations],
    contents: &[Vec<RawEntry>],
    chunked: bool,
) -> Result<u64, Error> {
    let Some((&first, others)) = maps.split_first() else {
        return Ok(0);
    };
    let active = generation(first, current(backend, first));
    let keys: BTreeSet<&[u8]> = contents.iter().flatten().map(|entry| &entry.key[..]).collect();
    let mut inserted = BTreeSet::new();
    for key in keys {
        let counts = !chunked || key.ends_with(&[0; 8]);
        match backend.insert_zero(active, key) {
            Ok(true) if counts => {
                inserted.insert(key);
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // What a program has put there meanwhile, it has counted.
    for &other in others {
        for entry in backend.entries(generation(other, current(backend, other)))? {
            inserted.remove(&entry.key[..]);
        }
    }
    Ok(inserted.len() as u64)
}

/// Adds to a word that programs may change meanwhile. An exchange that finds something takes it along and tries again,
/// so that nothing is lost.
fn add(backend: &dyn Backend, offset: u32, amount: u64) {
    let mut owed = amount;
    while owed != 0 {
        let sum = backend.swap(offset, 0).wrapping_add(owed);
        owed = backend.swap(offset, sum);
    }
}

/// Where the word is that says which generation of a map programs use, if there are two. Kernel maps of one script map
/// share it.
fn selector(map: &MapPlan) -> Option<u32> {
    match &map.storage {
        Storage::Hash(Generations::Two { selector, .. })
        | Storage::PerCpu {
            maps: Generations::Two { selector, .. },
            ..
        } => Some(*selector),
        Storage::Striped { selector, .. } => *selector,
        _ => None,
    }
}

/// Which generation programs use now.
fn current(backend: &dyn Backend, map: Generations) -> usize {
    match map {
        Generations::One(_) => 0,
        Generations::Two { selector, .. } => usize::from(backend.load(selector) != 0),
    }
}

/// The kernel map that programs use now.
fn in_use(backend: &dyn Backend, map: Generations) -> BpfMapId {
    generation(map, current(backend, map))
}

/// The kernel map of a generation.
fn generation(map: Generations, which: usize) -> BpfMapId {
    let ids = map.ids();
    ids[which % ids.len()]
}

#[cfg(test)]
mod tests;
