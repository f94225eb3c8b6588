//! `hist` and `lhist`: how many numbers fell into each of a row of buckets, or what they weigh together.
//!
//! State: one word a bucket.

use super::{AggType, Aggregation, Bucket, Presentation, Shown, Signature, Suffix, UpdateCx};
use crate::ir::{AtomicOp, BinOp, Builder, Cond, Value};

/// Adds the event's weight, 1 unless the script says otherwise, to the bucket at a run-time index.
pub(super) fn add_weight(cx: &mut dyn UpdateCx, index: Value, words: u32) {
    let addr = cx.word_at(index, words);
    let weight = match cx.weight() {
        Some(weight) => weight,
        None => cx.ir().iconst(1),
    };
    cx.ir().atomic(AtomicOp::Add, addr, 0, weight);
}

/// The buckets from the first to the last populated one.
pub(super) fn populated(
    state: &[u64],
    bounds: impl Fn(usize) -> (Option<i128>, Option<i128>),
) -> Vec<Bucket> {
    let Some(first) = state.iter().position(|&n| n != 0) else {
        return Vec::new();
    };
    let last = state.iter().rposition(|&n| n != 0).unwrap_or(first);
    (first..=last)
        .map(|i| {
            let (min, max) = bounds(i);
            Bucket {
                min,
                max,
                count: state[i],
            }
        })
        .collect()
}

/// `hist(n[, k])`: 2^k buckets for each power of two. Bucket 0 holds negative numbers (a number of 64 bits is taken
/// as signed whatever its type, as bpftrace does); bucket `1 + f(n)` the others, where `f(n)` is `n` below 2^k and
/// else, with `s = floor(log2 n) - k`, `s * 2^k + (n >> s)`.
#[derive(Debug)]
pub(super) struct Hist;

impl Hist {
    fn bits(ty: &AggType) -> u32 {
        ty.params.first().map_or(0, |&k| k as u32)
    }

    /// The least number of bucket `index`.
    fn least(k: u32, index: u32) -> i128 {
        let f = i128::from(index - 1);
        if f < 1 << (k + 1) {
            return f;
        }
        let shift = (f >> k) - 1;
        (f - (shift << k)) << shift
    }
}

impl Aggregation for Hist {
    fn name(&self) -> &'static str {
        "hist"
    }
    fn doc(&self) -> &'static str {
        "how many numbers fell into each power of two, or each 2^k-th part of one"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @ = hist(elapsed); }"
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            takes_weight: true,
            params: &[("k", Some(0))],
            ..Signature::default()
        }
    }
    fn check_params(&self, params: &[i64]) -> Result<(), String> {
        match params {
            [0..=5] => Ok(()),
            _ => Err("the number of bits of hist(n, k) must be from 0 to 5".into()),
        }
    }
    fn words(&self, ty: &AggType) -> u32 {
        // The greatest number is 2^63 - 1: s = 62 - k, n >> s = 2^(k+1) - 1.
        let k = Self::bits(ty);
        1 + ((62 - k) << k) + (1 << (k + 1))
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        cx.announce();
        let k = Self::bits(ty);
        let ir = cx.ir();
        let (small, large, found) = (ir.block(), ir.block(), ir.block());
        let limit = ir.iconst(1 << k);
        ir.branch(Cond::SLt, value, limit, small, large);
        // Below 2^k a number has a bucket of its own; -1 and below share bucket 0.
        ir.switch_to(small);
        if k == 0 {
            // Half of the sign, added to 1, is bucket 0 for negative numbers and bucket 1 for 0: the last step of the
            // search does just that.
            let sign = ir.bin_imm(BinOp::AShr, value, 63);
            let one = ir.iconst(1);
            let last = Search { sum: one, rest: sign };
            ir.switch_to(large);
            let search = log2(ir, value, 2);
            let (sum, rest) = (ir.param(found), ir.param(found));
            ir.jump(found, &[search.sum, search.rest]);
            ir.switch_to(small);
            ir.jump(found, &[last.sum, last.rest]);
            ir.switch_to(found);
            let index = Search { sum, rest }.finish(ir);
            add_weight(cx, index, self.words(ty));
            return;
        }
        let index = ir.param(found);
        let minus_one = ir.iconst(-1);
        let (negative, own) = (ir.block(), ir.block());
        ir.branch(Cond::SLe, value, minus_one, negative, own);
        ir.switch_to(negative);
        let zero = ir.iconst(0);
        ir.jump(found, &[zero]);
        ir.switch_to(own);
        let own = ir.bin_imm(BinOp::Add, value, 1);
        ir.jump(found, &[own]);
        ir.switch_to(large);
        let at = scaled_index(ir, value, k);
        ir.jump(found, &[at]);
        ir.switch_to(found);
        add_weight(cx, index, self.words(ty));
    }
    fn is_histogram(&self) -> bool {
        true
    }
    fn bounds(&self, ty: &AggType, word: usize) -> (Option<i128>, Option<i128>) {
        let k = Self::bits(ty);
        match word as u32 {
            0 => (None, Some(-1)),
            i => (Some(Self::least(k, i)), Some(Self::least(k, i + 1) - 1)),
        }
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        Shown::Hist {
            buckets: populated(state, |word| self.bounds(ty, word)),
            scaled: true,
        }
    }
}

/// A binary search for a logarithm before its last step.
struct Search {
    sum: Value,
    /// From 1 to 3; or a sign, 0 or -1.
    rest: Value,
}

impl Search {
    /// Adds half of the rest, rounded down.
    fn finish(self, ir: &mut Builder) -> Value {
        let half = ir.bin_imm(BinOp::AShr, self.rest, 1);
        ir.bin(BinOp::Add, self.sum, half)
    }
}

/// `start + floor(log2 value)` for a value from 1 to 2^63 - 1: a binary search, three instructions a step. The first step
/// is 31 and not 32, since 2^31 - 1 fits the immediate of a comparison; what is left then is below 2^32.
fn log2(ir: &mut Builder, value: Value, start: i64) -> Search {
    let mut rest = value;
    let mut sum = ir.iconst(start);
    for step in [31, 16, 8, 4, 2] {
        let (above, next) = (ir.block(), ir.block());
        let (sum_next, rest_next) = (ir.param(next), ir.param(next));
        let limit = ir.iconst((1 << step) - 1);
        ir.branch_with(Cond::UGt, rest, limit, (above, &[]), (next, &[sum, rest]));
        ir.switch_to(above);
        let more = ir.bin_imm(BinOp::Add, sum, step);
        let less = ir.bin_imm(BinOp::LShr, rest, step);
        ir.jump(next, &[more, less]);
        ir.switch_to(next);
        (sum, rest) = (sum_next, rest_next);
    }
    Search { sum, rest }
}

/// The bucket of a value of at least 2^k.
fn scaled_index(ir: &mut Builder, value: Value, k: u32) -> Value {
    let shift = log2(ir, value, -i64::from(k)).finish(ir);
    let mantissa = ir.bin(BinOp::LShr, value, shift);
    let scaled = ir.bin_imm(BinOp::Shl, shift, i64::from(k));
    let sum = ir.bin(BinOp::Add, mantissa, scaled);
    ir.bin_imm(BinOp::Add, sum, 1)
}

/// `lhist(n, min, max, step)`. Bucket 0 holds numbers below `min`, the last one those of `max` and above.
#[derive(Debug)]
pub(super) struct LinearHist;

impl LinearHist {
    fn params(ty: &AggType) -> (i64, i64, i64) {
        match ty.params[..] {
            [min, max, step] => (min, max, step),
            _ => (0, 1, 1),
        }
    }

    fn inner(ty: &AggType) -> i64 {
        let (min, max, step) = Self::params(ty);
        (max - min) / step
    }
}

/// The most buckets between underflow and overflow, as in bpftrace.
const MAX_LINEAR_BUCKETS: i64 = 1000;

impl Aggregation for LinearHist {
    fn name(&self) -> &'static str {
        "lhist"
    }
    fn doc(&self) -> &'static str {
        "how many numbers fell into each of a row of equal ranges"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @ = lhist(rand, 0, 1000, 100); }"
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            takes_weight: true,
            params: &[("min", None), ("max", None), ("step", None)],
            ..Signature::default()
        }
    }
    fn check_params(&self, params: &[i64]) -> Result<(), String> {
        let &[min, max, step] = params else {
            return Err("lhist takes a number, min, max and step".into());
        };
        if step <= 0 {
            return Err(format!("the step of lhist must be at least 1, not {step}"));
        }
        let Some(range) = max.checked_sub(min).filter(|&range| range > 0) else {
            return Err(format!("the max of lhist ({max}) must be above its min ({min})"));
        };
        match range / step {
            0 => Err(format!(
                "the step of lhist ({step}) is greater than its range ({range})"
            )),
            1..=MAX_LINEAR_BUCKETS => Ok(()),
            n => Err(format!(
                "lhist has {n} buckets here; at most {MAX_LINEAR_BUCKETS} are possible: use a greater step"
            )),
        }
    }
    fn words(&self, ty: &AggType) -> u32 {
        Self::inner(ty) as u32 + 2
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        cx.announce();
        let (min, _, step) = Self::params(ty);
        let inner = Self::inner(ty);
        let ir = cx.ir();
        let (inside, regular, found) = (ir.block(), ir.block(), ir.block());
        let index = ir.param(found);
        let low = ir.iconst(min);
        let zero = ir.iconst(0);
        ir.branch_with(Cond::SLt, value, low, (found, &[zero]), (inside, &[]));
        ir.switch_to(inside);
        let from_low = ir.bin(BinOp::Sub, value, low);
        let bucket = ir.bin_imm(BinOp::UDiv, from_low, step);
        let count = ir.iconst(inner);
        let last = ir.iconst(inner + 1);
        ir.branch_with(Cond::ULt, bucket, count, (regular, &[]), (found, &[last]));
        ir.switch_to(regular);
        let bucket = ir.bin_imm(BinOp::Add, bucket, 1);
        ir.jump(found, &[bucket]);
        ir.switch_to(found);
        add_weight(cx, index, self.words(ty));
    }
    fn is_histogram(&self) -> bool {
        true
    }
    fn bounds(&self, ty: &AggType, word: usize) -> (Option<i128>, Option<i128>) {
        let (min, _, step) = Self::params(ty);
        let inner = Self::inner(ty) as usize;
        let start = |i: usize| i128::from(min) + i128::from(step) * i as i128;
        match word {
            0 => (None, Some(i128::from(min) - 1)),
            i if i > inner => (Some(start(inner)), None),
            i => (Some(start(i - 1)), Some(start(i) - 1)),
        }
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        let (_, _, step) = Self::params(ty);
        Shown::Hist {
            buckets: populated(state, |word| self.bounds(ty, word)),
            scaled: step % 1024 == 0,
        }
    }
    fn presentation(&self) -> Presentation {
        Presentation {
            suffix: Suffix::Divisor,
            ..Presentation::default()
        }
    }
}
