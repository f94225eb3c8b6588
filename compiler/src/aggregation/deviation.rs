//! `stddev`: how far numbers spread around their average.

use super::numeric::number;
use super::saved::{Saved, word_of};
use super::{AggType, Aggregation, Shown, Signature, UpdateCx};
use crate::ir::{AtomicOp, BinOp, Value};

/// `stddev(n)`: the standard deviation of all numbers seen (of the population, as DTrace has it), rounded down.
///
/// State: how many numbers; their sum modulo 2^64; and the sum of their squares as three words that count 1, 2^32 and
/// 2^64, each of which takes less than 2^34 from one number, so that 2^30 events do not overflow.
#[derive(Debug)]
pub(super) struct Deviation;

/// The words of the sum of squares in a saved state: what they count is 1, 2^32 and 2^64.
const SQUARES: [&str; 3] = ["squares_1", "squares_2_32", "squares_2_64"];

/// The low half of a word.
const LOW: i64 = 0xffff_ffff;

impl Aggregation for Deviation {
    fn name(&self) -> &'static str {
        "stddev"
    }
    fn doc(&self) -> &'static str {
        "the standard deviation of the numbers"
    }
    fn example(&self) -> &'static str {
        "interval:ms:100 { @ = stddev(rand); }"
    }
    fn signature(&self) -> Signature {
        Signature::NUMBER
    }
    fn words(&self, _ty: &AggType) -> u32 {
        5
    }
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<Value>) {
        let Some(value) = value else { return };
        let ir = cx.ir();
        // |n| = h 2^32 + l, n^2 = h^2 2^64 + 2 h l 2^32 + l^2.
        let magnitude = if ty.signed {
            let sign = ir.bin_imm(BinOp::AShr, value, 63);
            let flipped = ir.bin(BinOp::Xor, value, sign);
            ir.bin(BinOp::Sub, flipped, sign)
        } else {
            value
        };
        let low_mask = ir.iconst(LOW);
        let low = ir.bin(BinOp::And, magnitude, low_mask);
        let high = ir.bin_imm(BinOp::LShr, magnitude, 32);
        let squared_low = ir.bin(BinOp::Mul, low, low);
        let squared_high = ir.bin(BinOp::Mul, high, high);
        let mixed = ir.bin(BinOp::Mul, low, high);
        let ones = ir.bin(BinOp::And, squared_low, low_mask);
        let carry = ir.bin_imm(BinOp::LShr, squared_low, 32);
        let mixed_low = ir.bin(BinOp::And, mixed, low_mask);
        let twice_low = ir.bin_imm(BinOp::Shl, mixed_low, 1);
        let middle = ir.bin(BinOp::Add, carry, twice_low);
        let mixed_high = ir.bin_imm(BinOp::LShr, mixed, 32);
        let twice_high = ir.bin_imm(BinOp::Shl, mixed_high, 1);
        // Of the square of the high half the lower word stays as it is: that part can be as large as 2^64.
        let top = ir.bin(BinOp::Add, squared_high, twice_high);
        let count = cx.word(0);
        cx.counted(count, &mut |cx| {
            for (word, amount) in [(1, value), (2, ones), (3, middle), (4, top)] {
                let addr = cx.word(word);
                cx.ir().atomic(AtomicOp::Add, addr, 0, amount);
            }
        });
    }
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown {
        let [count, total, squares @ ..] = state else {
            return Shown::Int(0);
        };
        let total = if ty.signed {
            *total as i64 as f64
        } else {
            *total as f64
        };
        let squares = squares
            .iter()
            .rev()
            .fold(0.0, |sum, &word| sum * 2f64.powi(32) + word as f64);
        if *count == 0 {
            return Shown::Int(0);
        }
        let (count, mean) = (*count as f64, total / *count as f64);
        Shown::Int((squares / count - mean * mean).max(0.0).sqrt() as i128)
    }
    fn save(&self, ty: &AggType, state: &[u64]) -> Saved {
        let mut fields = vec![("count", i128::from(state[0])), ("sum", number(ty, state[1]))];
        let squares = SQUARES.iter().zip(&state[2..]);
        fields.extend(squares.map(|(name, word)| (*name, i128::from(*word))));
        Saved::Fields(fields)
    }
    fn restore(&self, ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        let [count, sum] = saved.numbers(["count", "sum"])?;
        let squares = saved.numbers(SQUARES)?;
        let mut state = vec![u64::try_from(count).ok()?, word_of(ty, sum)?];
        for word in squares {
            state.push(u64::try_from(word).ok()?);
        }
        Some(state)
    }
    fn is_indivisible(&self) -> bool {
        true
    }
    fn is_counted(&self) -> bool {
        true
    }
}
