//! `hist10`: a histogram by powers of ten.

use super::hist::{add_weight, populated};
use super::{AggType, Aggregation, Presentation, Shown, Signature, Suffix, UpdateCx};
use crate::ir::{BinOp, Cond, Value};

/// Powers of ten from 10^0 to 10^18.
const POWERS: u32 = 19;

/// `hist10(n[, weight])`: how many numbers have how many decimal digits. Bucket 0 holds negative numbers, bucket 1 the
/// zeros, bucket 2 + k those from 10^k up.
#[derive(Debug)]
pub(super) struct DecimalHist;

impl Aggregation for DecimalHist {
    fn name(&self) -> &'static str {
        "hist10"
    }
    fn doc(&self) -> &'static str {
        "how many numbers fell into each power of ten"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @ = hist10(rand); }"
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            takes_weight: true,
            ..Signature::default()
        }
    }
    fn words(&self, _ty: &AggType) -> u32 {
        2 + POWERS
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        cx.announce();
        let ir = cx.ir();
        let (found, positive, zero_or_less) = (ir.block(), ir.block(), ir.block());
        let index = ir.param(found);
        let zero = ir.iconst(0);
        ir.branch(Cond::SGt, value, zero, positive, zero_or_less);
        ir.switch_to(zero_or_less);
        // The sign is -1 or 0, so 0 or 1.
        let sign = ir.bin_imm(BinOp::AShr, value, 63);
        let low = ir.bin_imm(BinOp::Add, sign, 1);
        ir.jump(found, &[low]);
        ir.switch_to(positive);
        // Halves the powers that are left, five times.
        let (mut base, mut powers) = (ir.iconst(2), 16);
        let mut rest = value;
        while powers > 0 {
            let (above, next) = (ir.block(), ir.block());
            let (base_next, rest_next) = (ir.param(next), ir.param(next));
            let divisor = 10i64.pow(powers);
            let limit = ir.iconst(divisor - 1);
            ir.branch_with(Cond::UGt, rest, limit, (above, &[]), (next, &[base, rest]));
            ir.switch_to(above);
            let more = ir.bin_imm(BinOp::Add, base, i64::from(powers));
            let divisor = ir.iconst(divisor);
            let less = ir.bin(BinOp::UDiv, rest, divisor);
            ir.jump(next, &[more, less]);
            ir.switch_to(next);
            (base, rest) = (base_next, rest_next);
            powers /= 2;
        }
        ir.jump(found, &[base]);
        ir.switch_to(found);
        add_weight(cx, index, self.words(ty));
    }
    fn is_histogram(&self) -> bool {
        true
    }
    fn bounds(&self, _ty: &AggType, word: usize) -> (Option<i128>, Option<i128>) {
        match word as u32 {
            0 => (None, Some(-1)),
            1 => (Some(0), Some(0)),
            i => (Some(10i128.pow(i - 2)), Some(10i128.pow(i - 1) - 1)),
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
            suffix: Suffix::PowerOfTen,
            ..Presentation::default()
        }
    }
}
