//! `tseries`: what a number did over time.

use super::numeric::{Extreme, number, raise};
use super::saved::{Interval, Saved, word_of};
use super::{AggType, Aggregation, Shown, Signature, UpdateCx};
use crate::ir::{AtomicOp, BinOp, Block, Cond, Op, Value, Width};

/// `tseries(n, interval, num, by)`: one number for each of the last `num` intervals of `interval` nanoseconds: the last
/// one, the average, the sum, the least or the greatest.
///
/// Intervals are numbered from the beginning of the TAI clock, so that they begin at whole seconds of the wall clock where
/// they divide one.
///
/// State: `num` slots of [`SLOT`] words, slot `i` for the intervals whose number is `i` modulo `num`:
///
/// | word | |
/// | --- | --- |
/// | 0 | 0: never used; `2 n + 2`: belongs to interval `n`; `2 n + 1`: is being emptied for it |
/// | 1 | last: the number. avg, sum: the sum modulo 2^64. min, max: the extreme, encoded as `min` and `max` do |
/// | 2 | last: the time of the event, in nanoseconds of the TAI clock. avg: how many numbers |
///
/// The first event of an interval takes the slot over with a compare-and-exchange and empties it. An event that finds the
/// slot being emptied, which is only possible within an event on the same CPU that interrupted the one that empties it, is
/// given up and counted. An event that finds its slot taken by a later interval is older than the series reaches back.
#[derive(Debug)]
pub(super) struct Series;

/// Words of a slot.
const SLOT: u32 = 4;

/// The most intervals, as in bpftrace.
const MOST_INTERVALS: i64 = 1_000_000;

/// How the numbers of one interval become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Last,
    Avg,
    Sum,
    Min,
    Max,
}

/// What a script writes; the first is what is meant where it writes nothing.
const CHOICES: [(&str, By); 5] = [
    ("last", By::Last),
    ("avg", By::Avg),
    ("sum", By::Sum),
    ("min", By::Min),
    ("max", By::Max),
];

impl Series {
    fn interval(ty: &AggType) -> u64 {
        ty.params[0].max(1).unsigned_abs()
    }

    fn slots(ty: &AggType) -> u32 {
        u32::try_from(ty.params[1]).unwrap_or(1).max(1)
    }

    fn by(ty: &AggType) -> By {
        let chosen = usize::try_from(ty.params[2]).ok();
        chosen
            .and_then(|chosen| CHOICES.get(chosen))
            .map_or(By::Last, |(_, by)| *by)
    }

    /// What the number of a slot is combined with by exclusive or.
    fn encoding(ty: &AggType) -> u64 {
        match Self::by(ty) {
            By::Min => Extreme::MIN.key(ty),
            By::Max => Extreme::MAX.key(ty),
            By::Last | By::Avg | By::Sum => 0,
        }
    }

    /// The number that a slot in use shows, and `None` while it has none.
    fn shown(ty: &AggType, slot: &[u64]) -> Option<i128> {
        match Self::by(ty) {
            // Only a script's own clock shows 0, and bpftrace then sees no event later than none.
            By::Last if slot[2] == 0 => Some(0),
            By::Last | By::Sum => Some(number(ty, slot[1])),
            By::Avg if slot[2] == 0 => None,
            By::Avg => Some(number(ty, slot[1]) / i128::from(slot[2])),
            By::Min => Some(number(ty, slot[1] ^ Extreme::MIN.key(ty))),
            By::Max => Some(number(ty, slot[1] ^ Extreme::MAX.key(ty))),
        }
    }
}

/// The interval of a slot in use.
fn interval_of(tag: u64) -> Option<u64> {
    (tag != 0 && tag.is_multiple_of(2)).then(|| tag / 2 - 1)
}

/// Emits: makes the slot that of the interval with tag `wanted`. Continues where it is; elsewhere goes to `done`.
fn take_over(cx: &mut dyn UpdateCx, slot: Value, wanted: Value, done: Block) {
    let ir = cx.ir();
    let (other, older, free, mine, busy, ready) = (
        ir.block(),
        ir.block(),
        ir.block(),
        ir.block(),
        ir.block(),
        ir.block(),
    );
    let tag = ir.load(slot, 0, Width::B8);
    ir.branch(Cond::Eq, tag, wanted, ready, other);
    ir.switch_to(other);
    ir.branch(Cond::ULt, tag, wanted, older, done);
    ir.switch_to(older);
    let zero = ir.iconst(0);
    let emptying = ir.bin_imm(BinOp::And, tag, 1);
    ir.branch(Cond::Eq, emptying, zero, free, busy);
    ir.switch_to(free);
    let mark = ir.bin_imm(BinOp::Sub, wanted, 1);
    let seen = ir.emit(Op::CompareExchange {
        addr: slot,
        offset: 0,
        expected: tag,
        new: mark,
    });
    ir.branch(Cond::Eq, seen, tag, mine, busy);
    ir.switch_to(mine);
    ir.store(slot, 8, Width::B8, zero);
    ir.store(slot, 16, Width::B8, zero);
    ir.store(slot, 0, Width::B8, wanted);
    ir.jump(ready, &[]);
    ir.switch_to(busy);
    cx.contended();
    cx.ir().jump(done, &[]);
    cx.ir().switch_to(ready);
}

impl Aggregation for Series {
    fn name(&self) -> &'static str {
        "tseries"
    }
    fn doc(&self) -> &'static str {
        "one number for each of the last intervals of time"
    }
    fn example(&self) -> &'static str {
        "config = { unstable_tseries = enable } interval:ms:100 { @ = tseries(rand, 1s, 10, \"max\"); }"
    }
    fn gate(&self) -> Option<&'static str> {
        Some(crate::config::UNSTABLE_SERIES)
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            params: &[("interval", None), ("num", None)],
            choice: Some(("by", &["last", "avg", "sum", "min", "max"])),
            ..Signature::default()
        }
    }
    fn check_params(&self, params: &[i64]) -> Result<(), String> {
        if params[0] < 1 {
            return Err("an interval is at least a nanosecond".to_owned());
        }
        if !(1..=MOST_INTERVALS).contains(&params[1]) {
            return Err(format!("a series has 1 to {MOST_INTERVALS} intervals"));
        }
        Ok(())
    }
    fn words(&self, ty: &AggType) -> u32 {
        Self::slots(ty) * SLOT
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        let now = cx.tai();
        let ir = cx.ir();
        let done = ir.block();
        let interval = ir.bin_imm(BinOp::UDiv, now, Self::interval(ty) as i64);
        let slots = Self::slots(ty);
        let index = ir.bin_imm(BinOp::URem, interval, i64::from(slots));
        let doubled = ir.bin_imm(BinOp::Shl, interval, 1);
        let wanted = ir.bin_imm(BinOp::Add, doubled, 2);
        let slot = cx.slot_at(index, slots, SLOT);
        take_over(cx, slot, wanted, done);
        let ir = cx.ir();
        match Self::by(ty) {
            By::Last => {
                ir.store(slot, 8, Width::B8, value);
                ir.store(slot, 16, Width::B8, now);
            }
            By::Sum => ir.atomic(AtomicOp::Add, slot, 8, value),
            By::Avg => {
                let one = ir.iconst(1);
                ir.atomic(AtomicOp::Add, slot, 8, value);
                ir.atomic(AtomicOp::Add, slot, 16, one);
            }
            by @ (By::Min | By::Max) => {
                let extreme = if by == By::Min { Extreme::MIN } else { Extreme::MAX };
                let word = ir.bin_imm(BinOp::Xor, value, extreme.key(ty) as i64);
                raise(cx, slot, 8, word);
            }
        }
        cx.ir().jump(done, &[]);
        cx.ir().switch_to(done);
    }
    fn merge(&self, ty: &AggType, into: &mut [u64], from: &[u64]) {
        let slots = into
            .chunks_exact_mut(SLOT as usize)
            .zip(from.chunks_exact(SLOT as usize));
        for (into, from) in slots {
            let Some(theirs) = interval_of(from[0]) else {
                continue;
            };
            match interval_of(into[0]) {
                Some(ours) if ours > theirs => {}
                Some(ours) if ours == theirs => match Self::by(ty) {
                    // Of events at the same time the greater word, so that the order of merging does not matter.
                    By::Last if (from[2], from[1]) < (into[2], into[1]) => {}
                    By::Last => into.copy_from_slice(from),
                    By::Sum | By::Avg => {
                        into[1] = into[1].wrapping_add(from[1]);
                        into[2] = into[2].wrapping_add(from[2]);
                    }
                    By::Min | By::Max => into[1] = into[1].max(from[1]),
                },
                _ => into.copy_from_slice(from),
            }
        }
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        let mut points: Vec<(u64, Option<i128>)> = state
            .chunks_exact(SLOT as usize)
            .filter_map(|slot| Some((interval_of(slot[0])?, Some(Self::shown(ty, slot)?))))
            .collect();
        points.sort_unstable();
        Shown::Series {
            interval: Self::interval(ty),
            reach: u64::from(Self::slots(ty)),
            signed: ty.signed,
            points,
        }
    }
    fn save(&self, ty: &AggType, state: &[u64]) -> Saved {
        let key = Self::encoding(ty);
        let slots = state.chunks_exact(SLOT as usize);
        let mut intervals: Vec<Interval> = slots
            .filter_map(|slot| {
                Some(Interval {
                    number: interval_of(slot[0])?,
                    value: number(ty, slot[1] ^ key),
                    more: slot[2],
                })
            })
            .collect();
        intervals.sort_by_key(|interval| interval.number);
        Saved::Intervals(intervals)
    }
    fn restore(&self, ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        let Saved::Intervals(intervals) = saved else {
            return None;
        };
        let key = Self::encoding(ty);
        let mut state = vec![0; self.words(ty) as usize];
        for interval in intervals {
            let tag = interval.number.checked_mul(2)?.checked_add(2)?;
            let slot = (interval.number % u64::from(Self::slots(ty))) as usize * SLOT as usize;
            let slot = state.get_mut(slot..slot + 3)?;
            if slot[0] != 0 {
                return None;
            }
            slot.copy_from_slice(&[tag, word_of(ty, interval.value)? ^ key, interval.more]);
        }
        Some(state)
    }
    fn is_indivisible(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(by: i64) -> AggType {
        AggType {
            id: super::super::by_name("tseries").expect("it is in the list"),
            signed: true,
            params: vec![1000, 2, by],
        }
    }

    fn points(ty: &AggType, states: &[[u64; 8]]) -> Vec<(u64, Option<i128>)> {
        let mut merged = [0; 8];
        for state in states {
            Series.merge(ty, &mut merged, state);
        }
        match Series.show(ty, &merged) {
            Shown::Series { points, .. } => points,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_the_choices() {
        let (_, names) = Series.signature().choice.expect("it has one");
        assert_eq!(names, CHOICES.map(|(name, _)| name));
    }

    #[test]
    fn cpus_become_one() {
        let negative = -3i64 as u64;
        // Interval 4 is in slot 0, intervals 3 and 5 in slot 1.
        let cpus = [
            [10, 7, 900, 0, 8, 1, 100, 0],
            [10, negative, 901, 0, 12, 5, 50, 0],
            [11, 99, 99, 0, 0, 0, 0, 0],
        ];
        assert_eq!(points(&series(0), &cpus), [(4, Some(-3)), (5, Some(5))]);
        assert_eq!(points(&series(2), &cpus), [(4, Some(4)), (5, Some(5))]);
        let counted = [[10, 7, 2, 0, 0, 0, 0, 0], [10, 8, 1, 0, 12, 0, 0, 0]];
        assert_eq!(points(&series(1), &counted), [(4, Some(5))]);
        let least = |n: i64| n as u64 ^ Extreme::MIN.key(&series(3));
        let extremes = [
            [10, least(7), 0, 0, 0, 0, 0, 0],
            [10, least(-2), 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(points(&series(3), &extremes), [(4, Some(-2))]);
    }
}
