//! `count`, `sum`, `min`, `max`, `avg`, `stats`.

use super::saved::{Saved, word_of};
use super::{AggType, Aggregation, Fold, Presentation, Reduction, Shown, ShownCx, Signature, UpdateCx};
use crate::ir::{AtomicOp, BinOp, Cond, Op, Value, Width};

/// Tries of a compare-and-exchange before an update is given up and counted. Each failure means that another program
/// ran on this CPU between two instructions and stored a more extreme number.
const TRIES: i64 = 16;

/// What tells two aggregations apart that are computed alike.
#[derive(Debug)]
struct Labels {
    name: &'static str,
    doc: &'static str,
    example: &'static str,
}

/// A 64-bit word as the number it stands for.
pub(super) fn number(ty: &AggType, word: u64) -> i128 {
    if ty.signed {
        i128::from(word as i64)
    } else {
        i128::from(word)
    }
}

/// `count()`. State: the number of events.
#[derive(Debug)]
pub(super) struct Count;

impl Aggregation for Count {
    fn name(&self) -> &'static str {
        "count"
    }
    fn doc(&self) -> &'static str {
        "how many events there were"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @[comm] = count(); }"
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: false,
            ..Signature::default()
        }
    }
    fn words(&self, _ty: &AggType) -> u32 {
        1
    }
    fn lower(&self, _ty: &AggType, cx: &mut dyn UpdateCx, _value: Option<Value>) {
        let addr = cx.word(0);
        let one = cx.ir().iconst(1);
        cx.ir().atomic(AtomicOp::Add, addr, 0, one);
    }
    fn adds_up(&self) -> bool {
        true
    }
    fn show(&self, _ty: &AggType, state: &[u64]) -> Shown {
        Shown::Int(i128::from(state[0]))
    }
    fn save(&self, _ty: &AggType, state: &[u64]) -> Saved {
        Saved::Fields(vec![("count", i128::from(state[0]))])
    }
    fn restore(&self, _ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        let [count] = saved.numbers(["count"])?;
        Some(vec![u64::try_from(count).ok()?])
    }
    fn reduction(&self) -> Option<Reduction> {
        Some(Reduction {
            folds: &[Fold::Add],
            shown: |_, cx| cx.words[0],
        })
    }
}

/// `sum(n)`. State: the sum modulo 2^64, and 1 once there was a number.
#[derive(Debug)]
pub(super) struct Sum;

impl Aggregation for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }
    fn doc(&self) -> &'static str {
        "the sum of the numbers, modulo 2^64"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @ = sum(elapsed); }"
    }
    fn signature(&self) -> Signature {
        Signature::NUMBER
    }
    fn words(&self, _ty: &AggType) -> u32 {
        2
    }
    fn lower(&self, _ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        let (sum, touched) = (cx.word(0), cx.word(1));
        cx.ir().atomic(AtomicOp::Add, sum, 0, value);
        touch(cx, touched);
    }
    fn adds_up(&self) -> bool {
        true
    }
    fn merge(&self, _ty: &AggType, into: &mut [u64], from: &[u64]) {
        into[0] = into[0].wrapping_add(from[0]);
        into[1] |= from[1];
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        Shown::Int(number(ty, state[0]))
    }
    fn save(&self, ty: &AggType, state: &[u64]) -> Saved {
        Saved::fields_if(state[1] != 0, vec![("sum", number(ty, state[0]))])
    }
    fn restore(&self, ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        if saved.is_empty() {
            return Some(vec![0, 0]);
        }
        let [sum] = saved.numbers(["sum"])?;
        Some(vec![word_of(ty, sum)?, 1])
    }
    fn reduction(&self) -> Option<Reduction> {
        Some(Reduction {
            folds: &[Fold::Add],
            shown: |_, cx| cx.words[0],
        })
    }
}

/// Stores 1: no read-modify-write, so nothing can be lost.
fn touch(cx: &mut dyn UpdateCx, addr: Value) {
    let one = cx.ir().iconst(1);
    cx.ir().store(addr, 0, Width::B8, one);
}

/// Emits: stores `word` at `addr + offset` where it is greater than what is there (unsigned).
pub(super) fn raise(cx: &mut dyn UpdateCx, addr: Value, offset: i16, word: Value) {
    let exchange = cx.has_compare_exchange();
    let ir = cx.ir();
    let (head, better, retry, exhausted, done) = (ir.block(), ir.block(), ir.block(), ir.block(), ir.block());
    let (old, tries) = (ir.param(head), ir.param(head));
    let zero = ir.iconst(0);
    let first = ir.load(addr, offset, Width::B8);
    ir.jump(head, &[first, zero]);
    ir.switch_to(head);
    ir.branch(Cond::UGt, word, old, better, done);
    ir.switch_to(better);
    if exchange {
        let seen = ir.emit(Op::CompareExchange {
            addr,
            offset,
            expected: old,
            new: word,
        });
        ir.branch(Cond::Eq, seen, old, done, retry);
        ir.switch_to(retry);
        let tries = ir.bin_imm(BinOp::Add, tries, 1);
        let limit = ir.iconst(TRIES);
        ir.branch_with(Cond::ULt, tries, limit, (head, &[seen, tries]), (exhausted, &[]));
    } else {
        // Kernels without compare-and-exchange (before 5.12) run one program at a time on a CPU.
        ir.store(addr, offset, Width::B8, word);
        ir.jump(done, &[]);
        ir.switch_to(retry);
        ir.jump(exhausted, &[]);
    }
    ir.switch_to(exhausted);
    cx.contended();
    cx.ir().jump(done, &[]);
    cx.ir().switch_to(done);
}

/// `min(n)` and `max(n)`. State: the extreme so far, encoded so that a greater word means a more extreme number and 0
/// the least extreme one there is; and 1 once that one itself was seen. So each update writes one word, and a reader that
/// takes the words one after the other sees every number or none of it.
#[derive(Debug)]
pub(super) struct Extreme {
    least: bool,
    labels: Labels,
}

impl Extreme {
    pub(super) const MIN: Self = Self {
        least: true,
        labels: Labels {
            name: "min",
            doc: "the least of the numbers",
            example: "interval:ms:100 { @ = min(elapsed); }",
        },
    };
    pub(super) const MAX: Self = Self {
        least: false,
        labels: Labels {
            name: "max",
            doc: "the greatest of the numbers",
            example: "interval:ms:100 { @ = max(elapsed); }",
        },
    };

    /// What the number's bits are combined with by exclusive or, for encoding and decoding alike: the sign bit makes
    /// the order unsigned, all bits reverse it.
    pub(super) fn key(&self, ty: &AggType) -> u64 {
        let sign = if ty.signed { 1 << 63 } else { 0 };
        if self.least { !sign } else { sign }
    }

    /// As [`Extreme::show`].
    fn reduced(&self, ty: &AggType, cx: &mut ShownCx<'_>) -> Value {
        let (ir, word, touched) = (&mut *cx.ir, cx.words[0], cx.words[1]);
        let (some, done) = (ir.block(), ir.block());
        let result = ir.param(done);
        let zero = ir.iconst(0);
        let any = ir.bin(BinOp::Or, word, touched);
        ir.branch_with(Cond::Ne, any, zero, (some, &[]), (done, &[zero]));
        ir.switch_to(some);
        let decoded = ir.bin_imm(BinOp::Xor, word, self.key(ty) as i64);
        ir.jump(done, &[decoded]);
        ir.switch_to(done);
        result
    }
}

impl Aggregation for Extreme {
    fn name(&self) -> &'static str {
        self.labels.name
    }
    fn doc(&self) -> &'static str {
        self.labels.doc
    }
    fn example(&self) -> &'static str {
        self.labels.example
    }
    fn signature(&self) -> Signature {
        Signature::NUMBER
    }
    fn words(&self, _ty: &AggType) -> u32 {
        2
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        let (addr, touched) = (cx.word(0), cx.word(1));
        let ir = cx.ir();
        let word = ir.bin_imm(BinOp::Xor, value, self.key(ty) as i64);
        let (least, some, done) = (ir.block(), ir.block(), ir.block());
        let zero = ir.iconst(0);
        ir.branch(Cond::Eq, word, zero, least, some);
        ir.switch_to(least);
        touch(cx, touched);
        cx.ir().jump(done, &[]);
        cx.ir().switch_to(some);
        raise(cx, addr, 0, word);
        cx.ir().jump(done, &[]);
        cx.ir().switch_to(done);
    }
    fn merge(&self, _ty: &AggType, into: &mut [u64], from: &[u64]) {
        into[0] = into[0].max(from[0]);
        into[1] |= from[1];
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        // All zeros: zeroed, and no number since.
        let shown = if state[0] == 0 && state[1] == 0 {
            0
        } else {
            state[0] ^ self.key(ty)
        };
        Shown::Int(number(ty, shown))
    }
    fn save(&self, ty: &AggType, state: &[u64]) -> Saved {
        let extreme = number(ty, state[0] ^ self.key(ty));
        Saved::fields_if(state[0] != 0 || state[1] != 0, vec![(self.name(), extreme)])
    }
    fn restore(&self, ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        if saved.is_empty() {
            return Some(vec![0, 0]);
        }
        let [extreme] = saved.numbers([self.name()])?;
        let word = word_of(ty, extreme)? ^ self.key(ty);
        Some(vec![word, u64::from(word == 0)])
    }
    fn reduction(&self) -> Option<Reduction> {
        Some(Reduction {
            folds: &[Fold::Max, Fold::Max],
            shown: if self.least {
                |ty, cx| Self::MIN.reduced(ty, cx)
            } else {
                |ty, cx| Self::MAX.reduced(ty, cx)
            },
        })
    }
}

/// `avg(n)` and `stats(n)`. State: how many numbers, and their sum modulo 2^64.
#[derive(Debug)]
pub(super) struct Mean {
    full: bool,
    labels: Labels,
}

impl Mean {
    pub(super) const AVG: Self = Self {
        full: false,
        labels: Labels {
            name: "avg",
            doc: "the average of the numbers",
            example: "interval:ms:100 { @ = avg(elapsed); }",
        },
    };
    pub(super) const STATS: Self = Self {
        full: true,
        labels: Labels {
            name: "stats",
            doc: "how many numbers, their average and their sum",
            example: "interval:ms:100 { @ = stats(elapsed); }",
        },
    };
}

impl Aggregation for Mean {
    fn name(&self) -> &'static str {
        self.labels.name
    }
    fn doc(&self) -> &'static str {
        self.labels.doc
    }
    fn example(&self) -> &'static str {
        self.labels.example
    }
    fn signature(&self) -> Signature {
        Signature::NUMBER
    }
    fn words(&self, _ty: &AggType) -> u32 {
        2
    }
    fn lower(&self, _ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        let (count, total) = (cx.word(0), cx.word(1));
        cx.counted(count, &mut |cx| {
            cx.ir().atomic(AtomicOp::Add, total, 0, value);
        });
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        let total = number(ty, state[1]);
        let average = if state[0] == 0 {
            0
        } else {
            total / i128::from(state[0])
        };
        Shown::Stats {
            count: state[0],
            average,
            total,
        }
    }
    fn save(&self, ty: &AggType, state: &[u64]) -> Saved {
        Saved::Fields(vec![
            ("count", i128::from(state[0])),
            ("sum", number(ty, state[1])),
        ])
    }
    fn restore(&self, ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        let [count, sum] = saved.numbers(["count", "sum"])?;
        Some(vec![u64::try_from(count).ok()?, word_of(ty, sum)?])
    }
    fn is_indivisible(&self) -> bool {
        true
    }
    fn is_counted(&self) -> bool {
        true
    }
    fn reduction(&self) -> Option<Reduction> {
        (!self.full).then_some(Reduction {
            folds: &[Fold::Add, Fold::Add],
            // Division by no numbers at all gives 0.
            shown: |ty, cx| {
                let (count, total) = (cx.words[0], cx.words[1]);
                if ty.signed {
                    (cx.signed_quotient)(cx.ir, total, count)
                } else {
                    cx.ir.bin(BinOp::UDiv, total, count)
                }
            },
        })
    }
    fn presentation(&self) -> Presentation {
        Presentation {
            average_only: !self.full,
            ..Presentation::default()
        }
    }
}
