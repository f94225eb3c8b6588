//! `hist_darshan`: a histogram of sizes in the ten bins that Darshan counts I/O requests in.

use super::hist::{add_weight, populated};
use super::{AggType, Aggregation, Presentation, Shown, Signature, Suffix, UpdateCx};
use crate::ir::{Cond, Value};

/// The greatest number of each bin but the last, as `DARSHAN_BUCKET_INC` has them (include/darshan.h): a size on a border
/// belongs to the lower bin.
const GREATEST: [i64; 9] = [
    100,
    1 << 10,
    10 << 10,
    100 << 10,
    1 << 20,
    4 << 20,
    10 << 20,
    100 << 20,
    1 << 30,
];

/// `hist_darshan(n[, weight])`. Bucket 0 holds negative numbers (which Darshan never has), bucket `1 + k` its bin `k`.
#[derive(Debug)]
pub(super) struct DarshanHist;

impl Aggregation for DarshanHist {
    fn name(&self) -> &'static str {
        "hist_darshan"
    }
    fn doc(&self) -> &'static str {
        "how many sizes fell into each of Darshan's bins: to 100, 1K, 10K, 100K, 1M, 4M, 10M, 100M, 1G (powers of 1,024 \
         from 1K on), and above"
    }
    fn example(&self) -> &'static str {
        "uprobe:libc:write { @ = hist_darshan(arg2); }"
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            takes_weight: true,
            ..Signature::default()
        }
    }
    fn words(&self, _ty: &AggType) -> u32 {
        GREATEST.len() as u32 + 2
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        cx.announce();
        let ir = cx.ir();
        let found = ir.block();
        let index = ir.param(found);
        let bounds = std::iter::once(-1).chain(GREATEST);
        for (bucket, greatest) in bounds.enumerate() {
            let above = ir.block();
            let (greatest, bucket) = (ir.iconst(greatest), ir.iconst(bucket as i64));
            ir.branch_with(Cond::SLe, value, greatest, (found, &[bucket]), (above, &[]));
            ir.switch_to(above);
        }
        let last = ir.iconst(GREATEST.len() as i64 + 1);
        ir.jump(found, &[last]);
        ir.switch_to(found);
        add_weight(cx, index, self.words(ty));
    }
    fn is_histogram(&self) -> bool {
        true
    }
    fn bounds(&self, _ty: &AggType, word: usize) -> (Option<i128>, Option<i128>) {
        let greatest = |i: usize| i128::from(GREATEST[i]);
        match word {
            0 => (None, Some(-1)),
            1 => (Some(0), Some(greatest(0))),
            i if i <= GREATEST.len() => (Some(greatest(i - 2) + 1), Some(greatest(i - 1))),
            _ => (Some(greatest(GREATEST.len() - 1) + 1), None),
        }
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        Shown::Hist {
            buckets: populated(state, |word| self.bounds(ty, word)),
            scaled: true,
        }
    }
    fn presentation(&self) -> Presentation {
        Presentation {
            suffix: Suffix::Greatest,
            ..Presentation::default()
        }
    }
}
