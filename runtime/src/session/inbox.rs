//! Puts the records of the two rings into the order to handle them in.
//!
//! In: records as the rings give them. Out: records, such that
//! - records of the main ring keep their order;
//! - control events are handled in the order of their sequence numbers, except where the main ring has two the other
//!   way round, which only happens if they were sent at the same time;
//! - a control event of the control ring is handled after everything that its program had sent before it; so is one that
//!   both rings refused and that is noted in the program memory ([`crumbs_compiler::plan::Refused`]);
//! - what was refused when no slot was left to note its number in is handled as often as it was asked for, after what was
//!   noted, and in turns where it is several events.
//!
//! A program takes a number first and then sends, so a gap in the numbers is an event on its way, or an `exit` that is a
//! flag now. Which of the two, waiting for the programs that had begun ([`Backend::quiesce`]) tells; only where a gap is
//! seen, the control ring had something, or something was refused, is it paid for.

use crate::backend::{Backend, Ring};
use crumbs_compiler::plan::{MemoryPlan, Plan, RECORD_HEADER};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A record with its header read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Index into [`Plan::events`]; may be out of range.
    pub(super) event: usize,
    /// All of it, header included.
    pub(super) bytes: Vec<u8>,
    /// Its number, if it is a control event.
    number: Option<u64>,
    /// How often it is to be handled.
    times: u64,
}

/// Records that were received and not yet handled.
#[derive(Debug)]
pub(super) struct Inbox<'p> {
    plan: &'p Plan,
    main: VecDeque<Record>,
    /// Records of the control ring and refused events, by number. Programs for kernels before 5.12 cannot number their events: all of
    /// them have number 0 and the order of the ring.
    control: BTreeMap<u64, VecDeque<Record>>,
    /// Those for whose programs has not been waited yet.
    unsettled: Vec<Record>,
    /// Below it, no number is waited for.
    next: u64,
    /// Numbers handed out that are not below `next`.
    done: BTreeSet<u64>,
    /// How many notes of refused events have been looked at.
    noted: u64,
}

impl<'p> Inbox<'p> {
    /// An empty one.
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            main: VecDeque::new(),
            control: BTreeMap::new(),
            unsettled: Vec::new(),
            next: 0,
            done: BTreeSet::new(),
            noted: 0,
        }
    }

    /// Receives what the rings hold now.
    pub(super) fn collect(&mut self, backend: &mut dyn Backend) {
        self.drain_rings(backend);
        // A gap below any number is one below the greatest.
        let greatest = self.main.iter().filter_map(|record| record.number).max();
        let has_gap = greatest.is_some_and(|number| self.has_gap_below(number));
        if self.unsettled.is_empty() && !has_gap && self.notes(backend) == self.noted {
            return;
        }
        let bound = self.bound(backend);
        backend.quiesce();
        self.drain_rings(backend);
        self.take_refused(backend, bound);
        self.settle(bound);
    }

    /// Receives the last of it, when no program runs any more: no gap can close any more.
    pub(super) fn collect_last(&mut self, backend: &mut dyn Backend) {
        self.drain_rings(backend);
        let bound = self.bound(backend);
        self.take_refused(backend, bound);
        self.settle(bound);
    }

    /// The next record to handle; `None` when there is none, or one has to be waited for.
    pub(super) fn next(&mut self) -> Option<Record> {
        let front = self.main.front().map(|record| record.number);
        if let Some(None) = front {
            return self.main.pop_front();
        }
        let front = front.flatten();
        if let Some(mut control) = self.control.first_entry()
            && front.is_none_or(|front| *control.key() < front)
        {
            let number = *control.key();
            let record = next_in_turn(control.get_mut());
            if control.get().is_empty() {
                control.remove();
            }
            self.mark(number);
            return record;
        }
        let number = front?;
        if self.has_gap_below(number) {
            return None;
        }
        self.mark(number);
        self.main.pop_front()
    }

    /// Whether records are left, which [`Inbox::next`] then waits to hand out.
    pub(super) fn is_waiting(&self) -> bool {
        !self.main.is_empty() || !self.control.is_empty() || !self.unsettled.is_empty()
    }

    /// Whether a record satisfies `wanted` among those not yet handed out.
    pub(super) fn contains(&self, wanted: impl Fn(&Record) -> bool) -> bool {
        let control = self.control.values().flatten().chain(&self.unsettled);
        self.main.iter().chain(control).any(wanted)
    }

    /// Receives from both rings, which [`Inbox::next`] puts into order.
    fn drain_rings(&mut self, backend: &mut dyn Backend) {
        for ring in [Ring::Control, Ring::Main] {
            // As much as the ring can hold is all that was there at the start; more would never end under load.
            for _ in 0..self.capacity(ring) {
                let Some(bytes) = backend.next_record(ring) else {
                    break;
                };
                let record = self.read(bytes);
                match (ring, record.number) {
                    (Ring::Control, Some(_)) => self.unsettled.push(record),
                    _ => self.main.push_back(record),
                }
            }
        }
    }

    /// How many records a ring can hold at most: the kernel puts 8 bytes before each.
    fn capacity(&self, ring: Ring) -> u32 {
        let Some(rings) = self.plan.rings else {
            return 0;
        };
        let map = match ring {
            Ring::Main => rings.main,
            Ring::Control => rings.control,
        };
        let bytes = self
            .plan
            .bpf_maps
            .get(map.0 as usize)
            .map_or(0, |map| map.max_entries);
        bytes / (8 + RECORD_HEADER) + 1
    }

    fn read(&self, bytes: Vec<u8>) -> Record {
        let word = |at: usize| {
            let mut word = [0; 4];
            let rest = bytes.get(at..).unwrap_or(&[]);
            let present = rest.len().min(4);
            word[..present].copy_from_slice(&rest[..present]);
            u32::from_ne_bytes(word)
        };
        let event = word(0) as usize;
        let is_control = self
            .plan
            .events
            .get(event)
            .is_some_and(|event| event.is_control());
        let number = is_control.then(|| self.widen(word(4)));
        Record {
            event,
            bytes,
            number,
            times: 1,
        }
    }

    /// How many refused events have been noted so far.
    fn notes(&self, backend: &dyn Backend) -> u64 {
        let refused = self.plan.memory.refused;
        if refused.events == 0 {
            return 0;
        }
        backend.load(refused.offset)
    }

    /// Receives what both rings refused. What came without a number gets the last one below `bound`.
    fn take_refused(&mut self, backend: &dyn Backend, bound: u64) {
        let notes = self.notes(backend);
        if notes == self.noted {
            return;
        }
        // Notes that are made while these are read count as new ones.
        self.noted = notes;
        let refused = self.plan.memory.refused;
        for slot in 0..refused.slots {
            let offset = refused.first_slot() + 8 * slot;
            if backend.load(offset) != 0 {
                let header = backend.swap(offset, 0).wrapping_sub(1);
                let record = self.read(header.to_ne_bytes().to_vec());
                self.unsettled.push(record);
            }
        }
        let number = bound.saturating_sub(1);
        for event in 0..refused.events {
            let times = backend.swap(refused.counter(event), 0);
            if times != 0 {
                self.control.entry(number).or_default().push_back(Record {
                    event: event as usize,
                    bytes: u64::from(event).to_ne_bytes().to_vec(),
                    number: Some(number),
                    times,
                });
            }
        }
    }

    /// The number whose low half is `low` and that is nearest to what is expected.
    fn widen(&self, low: u32) -> u64 {
        let ahead = low.wrapping_sub(self.next as u32).cast_signed();
        self.next.saturating_add_signed(i64::from(ahead))
    }

    /// Above every number that a program has taken before now.
    fn bound(&self, backend: &dyn Backend) -> u64 {
        let taken = match self.plan.memory.refused.events {
            0 => 0,
            _ => backend.load(MemoryPlan::CONTROL_SEQ),
        };
        let main = self.main.iter().filter_map(|record| record.number);
        let unsettled = self.unsettled.iter().filter_map(|record| record.number);
        main.chain(unsettled)
            .max()
            .map_or(taken, |number| number.saturating_add(1).max(taken))
    }

    /// Whether a number below `number` has neither been handled nor received, or must not be handled yet.
    fn has_gap_below(&self, number: u64) -> bool {
        if number <= self.next {
            return false;
        }
        let range = self.next..number;
        let known = self.done.range(range.clone()).count()
            + self.control.range(range.clone()).count()
            + self
                .main
                .iter()
                .filter_map(|record| record.number)
                .filter(|number| range.contains(number))
                .count();
        (known as u64) < number - self.next
    }

    /// Every program that took a number below `bound` has been waited for: gives up on those that have not arrived, and
    /// releases those of the control ring.
    fn settle(&mut self, bound: u64) {
        for record in std::mem::take(&mut self.unsettled) {
            match record.number {
                Some(number) if number < bound => self.control.entry(number).or_default().push_back(record),
                _ => self.unsettled.push(record),
            }
        }
        self.next = self.next.max(bound);
        self.done = self.done.split_off(&self.next);
        self.advance();
    }

    fn mark(&mut self, number: u64) {
        if number >= self.next {
            self.done.insert(number);
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.done.remove(&self.next) {
            self.next += 1;
        }
    }
}

/// Takes one of the records of a number; those that are to be handled more often go to the end.
fn next_in_turn(records: &mut VecDeque<Record>) -> Option<Record> {
    let mut record = records.pop_front()?;
    if record.times > 1 {
        record.times -= 1;
        records.push_back(record.clone());
        record.times = 1;
    }
    Some(record)
}
