//! Comparing values that do not fit a register.

use super::BodyCx;
use super::memory::{Prepared, chunks};
use crate::hir::Expr;
use crate::ir::{Block, Cond, Value};
use crate::types::Type;

impl BodyCx<'_> {
    /// Ends the block: goes on at `equal` or `differs`.
    pub(super) fn branch_equal(&mut self, a: &Expr, b: &Expr, equal: Block, differs: Block) {
        let (prepared_a, prepared_b) = (self.prepare(a), self.prepare(b));
        self.compare((&prepared_a, &a.ty), (&prepared_b, &b.ty), differs);
        self.ir.jump(equal, &[]);
    }

    /// Goes on at `differs` unless the values are equal; stands where they are afterwards.
    fn compare(&mut self, a: (&Prepared, &Type), b: (&Prepared, &Type), differs: Block) {
        match (a, b) {
            ((_, Type::Tuple(_) | Type::Record(_)), (_, Type::Tuple(_) | Type::Record(_))) => {
                for (i, (type_a, type_b)) in a.1.members().zip(b.1.members()).enumerate() {
                    let part_a = self.member_of(a.0.clone(), a.1, i as u32);
                    let part_b = self.member_of(b.0.clone(), b.1, i as u32);
                    self.compare((&part_a, type_a), (&part_b, type_b), differs);
                }
            }
            ((Prepared::Scalar(a), _), (Prepared::Scalar(b), _)) => self.require_equal(*a, *b, differs),
            ((Prepared::Text(a), _), (Prepared::Text(b), _)) => {
                let (a, b) = (self.ir.iconst(i64::from(a == b)), self.ir.iconst(1));
                self.require_equal(a, b, differs);
            }
            ((Prepared::Text(text), _), other) | (other, (Prepared::Text(text), _)) => {
                self.compare_with_text(other, text, differs);
            }
            _ => {
                let (addr_a, offset_a, size_a) = self.placed(a.0, a.1);
                let (addr_b, offset_b, size_b) = self.placed(b.0, b.1);
                // Both end in NUL within their size, so what is beyond the smaller one need not be looked at, unless
                // the smaller is full to its NUL, which then differs from a longer text.
                let size = size_a.min(size_b);
                for (at, width) in chunks([offset_a, offset_b], size) {
                    let a = self.load_at(addr_a, offset_a + at, width);
                    let b = self.load_at(addr_b, offset_b + at, width);
                    self.require_equal(a, b, differs);
                }
            }
        }
    }

    fn compare_with_text(&mut self, value: (&Prepared, &Type), text: &[u8], differs: Block) {
        let (addr, offset, size) = self.placed(value.0, value.1);
        if text.len() as u32 >= size {
            let (a, b) = (self.ir.iconst(0), self.ir.iconst(1));
            self.require_equal(a, b, differs);
            return;
        }
        let mut bytes = text.to_vec();
        bytes.push(0);
        // Canonical memory is zero behind the NUL: compare whole words where there are any.
        bytes.resize(bytes.len().next_multiple_of(8).min(size as usize), 0);
        for (at, width) in chunks([offset; 2], bytes.len() as u32) {
            let mut word = [0; 8];
            let part = &bytes[at as usize..(at + width.bytes()) as usize];
            word[..part.len()].copy_from_slice(part);
            let there = self.load_at(addr, offset + at, width);
            let wanted = self.ir.iconst(i64::from_le_bytes(word));
            self.require_equal(there, wanted, differs);
        }
    }

    fn require_equal(&mut self, a: Value, b: Value, differs: Block) {
        let same = self.ir.block();
        self.ir.branch(Cond::Eq, a, b, same, differs);
        self.ir.switch_to(same);
    }
}
