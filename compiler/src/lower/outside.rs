//! What is read from outside of the program: text of processes and the kernel, fields of the record that the program is
//! given.

use super::BodyCx;
use crate::helper::Helper;
use crate::ir::{BinOp, Cond, Op, Value, Width};
use crate::plan::{LossKind, UNREADABLE};
use crate::types::Space;

/// Size of the pages that user memory is faulted in by. Larger pages only make the second touch superfluous.
const PAGE: i64 = 4096;

impl BodyCx<'_> {
    #[expect(clippy::too_many_arguments, reason = "source and destination of one read")]
    pub(super) fn read_text(
        &mut self,
        address: Value,
        length: Option<Value>,
        space: Space,
        size: u32,
        addr: Value,
        offset: u32,
        canonical: bool,
    ) -> Value {
        if canonical {
            self.zero(addr, offset, size);
        } else {
            // Empty text where nothing is read.
            let nul = self.ir.iconst(0);
            self.store_at(addr, offset, Width::B1, nul);
        }
        let (somewhere, failed, done) = (self.ir.block(), self.ir.block(), self.ir.block());
        let result = self.ir.param(done);
        let zero = self.ir.iconst(0);
        let one = self.ir.iconst(1);
        self.ir
            .branch_with(Cond::Ne, address, zero, (somewhere, &[]), (done, &[one]));
        self.ir.switch_to(somewhere);
        let destination = self.address_at(addr, offset);
        let helper = match space {
            Space::User => Helper::ProbeReadUserStr,
            Space::Kernel => Helper::ProbeReadKernelStr,
        };
        let first = self.read_str(helper, destination, length, size, address);
        if self.sleepable && space == Space::User {
            let retry = self.ir.block();
            self.ir
                .branch_with(Cond::SGe, first, zero, (done, &[first]), (retry, &[]));
            self.ir.switch_to(retry);
            self.fault_in(address);
            let second = self.read_str(helper, destination, length, size, address);
            self.ir
                .branch_with(Cond::SGe, second, zero, (done, &[second]), (failed, &[]));
        } else {
            self.ir
                .branch_with(Cond::SGe, first, zero, (done, &[first]), (failed, &[]));
        }
        self.ir.switch_to(failed);
        self.count_loss(LossKind::Read);
        self.fill_text(UNREADABLE.as_bytes(), size, addr, offset, canonical);
        let length = self.ir.iconst(i64::from(size.min(UNREADABLE.len() as u32 + 1)));
        self.ir.jump(done, &[length]);
        self.ir.switch_to(done);
        result
    }

    fn read_str(
        &mut self,
        helper: Helper,
        to: Value,
        length: Option<Value>,
        size: u32,
        from: Value,
    ) -> Value {
        match length {
            Some(length) => self.ir.emit(Op::CallBounded {
                helper,
                args: [to, length, from].into(),
                bounded: 1,
                max: size,
            }),
            None => {
                let size = self.ir.iconst(i64::from(size));
                self.ir.call(helper, &[to, size, from])
            }
        }
    }

    /// Waits for the page of an address and the one behind it.
    pub(super) fn fault_in(&mut self, address: Value) {
        let slot = self.ir.slot(8);
        let to = self.ir.slot_addr(slot, 0);
        let one = self.ir.iconst(1);
        self.ir.call_effect(Helper::CopyFromUser, &[to, one, address]);
        let last = self.ir.bin_imm(BinOp::Or, address, PAGE - 1);
        let next = self.ir.bin_imm(BinOp::Add, last, 1);
        self.ir.call_effect(Helper::CopyFromUser, &[to, one, next]);
    }

    pub(super) fn ctx_addr(&mut self, offset: u32) -> Value {
        let ctx = self.ir.emit(Op::Ctx);
        self.ir.bin_imm(BinOp::Add, ctx, i64::from(offset))
    }

    /// What a locator (`offset | size << 16`, include/trace/trace_events.h) at `at` points to.
    pub(super) fn dynamic_addr(&mut self, at: u32, relative: bool) -> Value {
        let locator = self.record_field_u32(at);
        let within = self.ir.bin_imm(BinOp::And, locator, 0xffff);
        let base = self.ctx_addr(if relative { at + 4 } else { 0 });
        self.ir.bin(BinOp::Add, base, within)
    }

    fn record_field_u32(&mut self, at: u32) -> Value {
        match i16::try_from(at) {
            Ok(offset) => self.ir.emit(Op::CtxLoad {
                offset,
                width: Width::B4,
                signed: false,
            }),
            Err(_) => self.record_bytes(at, 4, false),
        }
    }

    /// A scalar of the record that cannot be loaded at once, read by helper.
    pub(super) fn record_bytes(&mut self, offset: u32, width: u8, signed: bool) -> Value {
        let slot = self.ir.slot(8);
        let to = self.ir.slot_addr(slot, 0);
        let size = self.ir.iconst(i64::from(width));
        let from = self.ctx_addr(offset);
        self.zero(to, 0, 8);
        self.ir.call_effect(Helper::ProbeReadKernel, &[to, size, from]);
        let value = self.ir.load(to, 0, Width::B8);
        let bits = width.saturating_mul(8);
        if bits < 64 {
            self.ir.emit(Op::Extend { bits, signed, value })
        } else {
            value
        }
    }

    pub(super) fn read_record_text(
        &mut self,
        source: Value,
        most: u32,
        size: u32,
        addr: Value,
        offset: u32,
        canonical: bool,
    ) -> Value {
        if canonical {
            self.zero(addr, offset, size);
        }
        let destination = self.address_at(addr, offset);
        let most = self.ir.iconst(i64::from(most));
        self.ir
            .call(Helper::ProbeReadKernelStr, &[destination, most, source])
    }
}
