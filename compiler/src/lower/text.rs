//! Intrinsics of text and of bytes that are compared.
//!
//! The kernel's verifier follows every way through a loop. So the search has one way only, without branches: what it finds
//! is selected by factors of 0 and 1, and its cost does not depend on what the text may be.

use super::BodyCx;
use super::memory::{Prepared, chunks};
use crate::helper::Helper;
use crate::hir::{Expr, ExprKind};
use crate::ir::{BinOp, Cond, Op, Value, Width};
use crate::types::{Type, align_to};

/// What hashes of text are built with: an odd number without pattern (the golden ratio's bits).
const BASE: i64 = 0x9e37_79b9_7f4a_7c15_u64 as i64;

/// Text as a number in base [`BASE`], wrapping, and the weight of the digit before its first.
fn hash(text: &[u8]) -> (i64, i64) {
    text.iter().fold((0i64, 1i64), |(sum, weight), &byte| {
        let sum = sum.wrapping_mul(BASE).wrapping_add(i64::from(byte));
        (sum, weight.wrapping_mul(BASE))
    })
}

/// Text that is searched for.
struct Needle {
    length: Value,
    hash: Value,
    /// The weight of the byte that leaves a window of its length.
    weight: Value,
}

impl BodyCx<'_> {
    /// How many bytes text has.
    pub(super) fn text_length(&mut self, text: &Expr) -> Value {
        let prepared = self.prepare(text);
        self.length_of(&prepared, &text.ty)
    }

    fn length_of(&mut self, prepared: &Prepared, ty: &Type) -> Value {
        match prepared {
            Prepared::Text(text) => return self.ir.iconst(text.len() as i64),
            Prepared::Zeros => return self.ir.iconst(0),
            _ => {}
        }
        let slot = self.ir.slot(ty.size());
        let to = self.ir.slot_addr(slot, 0);
        let with_nul = match prepared {
            Prepared::Memory { addr, offset, size } => {
                let from = self.address_at(*addr, *offset);
                self.copy_text(to, ty.size().min(*size), from)
            }
            other => match self.fill(other, ty, to, 0, false) {
                Some(length) => length,
                None => self.copy_text(to, ty.size(), to),
            },
        };
        self.ir.bin_imm(BinOp::Sub, with_nul, 1)
    }

    /// Copies text of a program's own memory up to its NUL; gives how many bytes that are.
    fn copy_text(&mut self, to: Value, size: u32, from: Value) -> Value {
        let size = self.ir.iconst(i64::from(size));
        self.ir.call(Helper::ProbeReadKernelStr, &[to, size, from])
    }

    /// One text behind another, followed by NULs.
    pub(super) fn concat_text(&mut self, a: &Expr, b: &Expr, ty: &Type) -> Prepared {
        let (prepared_a, prepared_b) = (self.prepare(a), self.prepare(b));
        let length = self.length_of(&prepared_a, &a.ty);
        let (from, from_offset, _) = self.placed(&prepared_b, &b.ty);
        let from = self.address_at(from, from_offset);
        // Wherever the second may begin, there is room for all of it; and for what the whole is said to have.
        let begins = a.ty.size().next_power_of_two();
        let size = ty.size().max(begins + b.ty.size());
        let slot = self.ir.slot(size);
        self.zero_slot(slot, size);
        let addr = self.ir.slot_addr(slot, 0);
        self.fill(&prepared_a, &a.ty, addr, 0, true);
        let behind = self.ir.emit(Op::ElementAddr {
            base: addr,
            index: length,
            count: begins,
            stride: 1,
        });
        self.copy_text(behind, b.ty.size(), from);
        if ty.size() < size {
            let nul = self.ir.iconst(0);
            self.store_at(addr, ty.size() - 1, Width::B1, nul);
        }
        Prepared::Memory {
            addr,
            offset: 0,
            size: ty.size(),
        }
    }

    /// The difference of the first bytes that differ among the first `n` of two values.
    pub(super) fn compare_bytes(&mut self, a: &Expr, b: &Expr, n: &Expr) -> Value {
        let ExprKind::Const(n) = n.kind else {
            debug_assert!(false, "the checker wants a literal");
            return self.ir.iconst(0);
        };
        let (addr_a, at_a) = self.bytes_of(a);
        let (addr_b, at_b) = self.bytes_of(b);
        let zero = self.ir.iconst(0);
        let (differs, done) = (self.ir.block(), self.ir.block());
        let (word_a, word_b) = (self.ir.param(differs), self.ir.param(differs));
        let result = self.ir.param(done);
        for (at, width) in chunks([at_a, at_b], n as u32) {
            let x = self.load_at(addr_a, at_a + at, width);
            let y = self.load_at(addr_b, at_b + at, width);
            let same = self.ir.block();
            self.ir
                .branch_with(Cond::Eq, x, y, (same, &[]), (differs, &[x, y]));
            self.ir.switch_to(same);
        }
        self.ir.jump(done, &[zero]);
        self.ir.switch_to(differs);
        // The lowest byte comes first in memory.
        for shift in (0..64).step_by(8) {
            let byte = |cx: &mut Self, word| {
                let shifted = cx.ir.bin_imm(BinOp::LShr, word, shift);
                cx.ir.bin_imm(BinOp::And, shifted, 0xff)
            };
            let (x, y) = (byte(self, word_a), byte(self, word_b));
            let difference = self.ir.bin(BinOp::Sub, x, y);
            let next = self.ir.block();
            self.ir
                .branch_with(Cond::Ne, x, y, (done, &[difference]), (next, &[]));
            self.ir.switch_to(next);
        }
        self.ir.jump(done, &[zero]);
        self.ir.switch_to(done);
        result
    }

    /// Where the bytes of a value lie: of a buffer those that were read.
    fn bytes_of(&mut self, value: &Expr) -> (Value, u32) {
        let prepared = self.prepare(value);
        let (addr, offset, _) = self.placed(&prepared, &value.ty);
        match value.ty {
            Type::Buffer(_) => (addr, offset + super::intrinsic::BYTES_AT),
            _ => (addr, offset),
        }
    }

    /// Where text first contains another, -1 where it does not: a window of the other's length is moved over the text, and
    /// its hash compared (Rabin and Karp). Hashes of different texts of this length are equal once in 2^64 times.
    pub(super) fn find_text(&mut self, text: &Expr, part: &Expr) -> Value {
        let prepared = self.prepare(text);
        let needle = self.needle(part);
        // In front of the text there are as many NULs as the window is wide at most, so that it has a first byte always.
        let (lead, size) = (align_to(part.ty.size(), 8), text.ty.size());
        let count = (lead + size).next_power_of_two();
        let slot = self.ir.slot(count);
        self.zero_slot(slot, count);
        let base = self.ir.slot_addr(slot, 0);
        self.fill(&prepared, &text.ty, base, lead, true);
        let found = self.search(base, count, lead, size, &needle);
        // Where the window ended, back to where it began.
        let sign = self.ir.bin_imm(BinOp::AShr, found, 63);
        let begin = self.ir.bin(BinOp::Sub, found, needle.length);
        let begin = self.ir.bin_imm(BinOp::Add, begin, 1);
        let begin = self.ir.bin(BinOp::Or, begin, sign);
        if matches!(part.kind, ExprKind::Str(_)) {
            return begin;
        }
        // Empty text is in every text.
        let done = self.ir.block();
        let result = self.ir.param(done);
        let zero = self.ir.iconst(0);
        self.ir
            .branch_with(Cond::Eq, needle.length, zero, (done, &[zero]), (done, &[begin]));
        self.ir.switch_to(done);
        result
    }

    /// Moves the window over the text at `base + lead`; gives the place of its last byte where it first matches, else -1.
    fn search(&mut self, base: Value, count: u32, lead: u32, size: u32, needle: &Needle) -> Value {
        let (head, next, done) = (self.ir.block(), self.ir.block(), self.ir.block());
        let [index, window, found] = [(); 3].map(|()| self.ir.param(head));
        let result = self.ir.param(done);
        let (zero, none) = (self.ir.iconst(0), self.ir.iconst(-1));
        self.ir.jump(head, &[zero, zero, none]);
        self.ir.switch_to(head);
        let at = self.ir.bin_imm(BinOp::Add, index, i64::from(lead));
        let byte_at = |cx: &mut Self, index| {
            let addr = cx.ir.emit(Op::ElementAddr {
                base,
                index,
                count,
                stride: 1,
            });
            cx.ir.load(addr, 0, Width::B1)
        };
        let enters = byte_at(self, at);
        self.ir
            .branch_with(Cond::Eq, enters, zero, (done, &[found]), (next, &[]));
        self.ir.switch_to(next);
        let behind = self.ir.bin(BinOp::Sub, at, needle.length);
        let leaves = byte_at(self, behind);
        let factor = self.ir.iconst(BASE);
        let moved = self.ir.bin(BinOp::Mul, window, factor);
        let moved = self.ir.bin(BinOp::Add, moved, enters);
        let gone = self.ir.bin(BinOp::Mul, leaves, needle.weight);
        let moved = self.ir.bin(BinOp::Sub, moved, gone);
        // 1 where the window matches and none did before, else 0. Factors rather than masks: kernels from 6.18 on follow
        // both outcomes where a value that is 0 or -1 is masked.
        let difference = self.ir.bin(BinOp::Xor, moved, needle.hash);
        let differs = self.is_nonzero(difference);
        let matches = self.ir.bin_imm(BinOp::Xor, differs, 1);
        let unfound = self.ir.bin_imm(BinOp::LShr, found, 63);
        let take = self.ir.bin(BinOp::Mul, matches, unfound);
        let change = self.ir.bin(BinOp::Sub, index, found);
        let change = self.ir.bin(BinOp::Mul, change, take);
        let found = self.ir.bin(BinOp::Add, found, change);
        let index = self.ir.bin_imm(BinOp::Add, index, 1);
        let end = self.ir.iconst(i64::from(size));
        self.ir.branch_with(
            Cond::ULt,
            index,
            end,
            (head, &[index, moved, found]),
            (done, &[found]),
        );
        self.ir.switch_to(done);
        result
    }

    fn needle(&mut self, part: &Expr) -> Needle {
        if let ExprKind::Str(text) = &part.kind {
            let (hash, weight) = hash(text);
            return Needle {
                length: self.ir.iconst(text.len() as i64),
                hash: self.ir.iconst(hash),
                weight: self.ir.iconst(weight),
            };
        }
        let prepared = self.prepare(part);
        let (addr, offset, size) = self.placed(&prepared, &part.ty);
        let base = self.address_at(addr, offset);
        let (head, done) = (self.ir.block(), self.ir.block());
        let [index, length, sum, weight] = [(); 4].map(|()| self.ir.param(head));
        let results = [(); 3].map(|()| self.ir.param(done));
        let (zero, one) = (self.ir.iconst(0), self.ir.iconst(1));
        self.ir.jump(head, &[zero, zero, zero, one]);
        self.ir.switch_to(head);
        let addr = self.ir.emit(Op::ElementAddr {
            base,
            index,
            count: size.next_power_of_two(),
            stride: 1,
        });
        let byte = self.ir.load(addr, 0, Width::B1);
        // Behind the end the factor is 1 and the byte 0: nothing changes any more.
        let counts = self.is_nonzero(byte);
        let factor = self.ir.iconst(BASE.wrapping_sub(1));
        let factor = self.ir.bin(BinOp::Mul, factor, counts);
        let factor = self.ir.bin_imm(BinOp::Add, factor, 1);
        let length = self.ir.bin(BinOp::Add, length, counts);
        let sum = self.ir.bin(BinOp::Mul, sum, factor);
        let sum = self.ir.bin(BinOp::Add, sum, byte);
        let weight = self.ir.bin(BinOp::Mul, weight, factor);
        let index = self.ir.bin_imm(BinOp::Add, index, 1);
        let end = self.ir.iconst(i64::from(size));
        self.ir.branch_with(
            Cond::ULt,
            index,
            end,
            (head, &[index, length, sum, weight]),
            (done, &[length, sum, weight]),
        );
        self.ir.switch_to(done);
        let [length, hash, weight] = results;
        Needle { length, hash, weight }
    }

    /// 1 where a value is not 0, else 0, without a branch.
    fn is_nonzero(&mut self, value: Value) -> Value {
        let zero = self.ir.iconst(0);
        let negative = self.ir.bin(BinOp::Sub, zero, value);
        let either = self.ir.bin(BinOp::Or, value, negative);
        self.ir.bin_imm(BinOp::LShr, either, 63)
    }
}
