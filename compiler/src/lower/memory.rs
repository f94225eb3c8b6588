//! Values that do not fit a register: text and tuples.
//!
//! Two steps. [`BodyCx::prepare`] evaluates everything within an expression that can fail, sleep or change something,
//! and says where its bytes come from; [`BodyCx::fill`] writes them to their destination and does nothing else.
//!
//! Memory that is compared or used as a key is *canonical*: text is followed by NULs up to its capacity and padding is
//! zero, so that equal values are equal bytes. Addresses of slots, map values and records are multiples of 8, and every
//! access is aligned to its width, as the kernel demands of the stack.

use super::{BodyCx, VarHome};
use crate::helper::Helper;
use crate::hir::{Expr, ExprKind, VarId};
use crate::ir::{BinOp, Op, Slot, Value, Width};
use crate::types::{Space, Type};

/// Above this many bytes, memory is copied and zeroed by a helper instead of word by word.
const INLINE_BYTES: u32 = 128;
/// The same for memory that is not aligned to at least 4 bytes.
const INLINE_UNALIGNED_BYTES: u32 = 24;

/// Where the bytes of a value come from.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// A scalar.
    Scalar(Value),
    /// Constant text.
    Text(Vec<u8>),
    /// Constant bytes.
    Bytes(Vec<u8>),
    /// All zeros: 0, `false`, empty text, and tuples of them.
    Zeros,
    /// `size` canonical bytes at `addr + offset`.
    Memory {
        /// Base address, a multiple of 8.
        addr: Value,
        /// Offset from it.
        offset: u32,
        /// Size in bytes.
        size: u32,
    },
    /// Text at an address of the traced process or the kernel.
    ReadText {
        /// Where.
        address: Value,
        /// At most this many bytes with the NUL, where the script says so.
        length: Option<Value>,
        /// Which memory.
        space: Space,
    },
    /// A character array of the context record.
    RecordText {
        /// Offset in the record.
        offset: u32,
        /// Bytes.
        size: u32,
    },
    /// A character array that the context record holds a locator of.
    RecordDynamicText {
        /// Offset of the locator.
        offset: u32,
        /// Whether it counts from behind itself.
        relative: bool,
    },
    /// Bytes at an address of the traced process or the kernel; zeros, counted, where they cannot be read.
    ReadBytes {
        /// Where.
        address: Value,
        /// Which memory.
        space: Space,
    },
    /// Bytes of the program's own memory; zeros where the address is 0.
    NativeBytes {
        /// Where.
        address: Value,
    },
    /// A character array in the program's own memory, which need not end in NUL; empty where the address is 0.
    NativeText {
        /// Where.
        address: Value,
        /// Bytes.
        size: u32,
    },
    /// The members of a tuple or record.
    Tuple(Vec<Prepared>),
}

/// Splits `len` bytes into accesses of at most 8 bytes that are aligned at each of the offsets.
pub(super) fn chunks(offsets: [u32; 2], len: u32) -> impl Iterator<Item = (u32, Width)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let aligned = |w: &Width| {
            offsets
                .iter()
                .all(|offset| (offset + at).is_multiple_of(w.bytes()))
        };
        let width = [Width::B8, Width::B4, Width::B2, Width::B1]
            .into_iter()
            .find(|w| w.bytes() <= len - at && aligned(w))?;
        at += width.bytes();
        Some((at - width.bytes(), width))
    })
}

/// Whether `len` bytes, aligned as `offset` is, are worth a helper call.
fn wants_helper(offset: u32, len: u32) -> bool {
    len > if offset.is_multiple_of(4) {
        INLINE_BYTES
    } else {
        INLINE_UNALIGNED_BYTES
    }
}

/// Which member of `from` becomes member `index` of `to`: that of its name, or for tuples of its place.
fn member_named_as(from: &Type, to: &Type, index: usize) -> usize {
    match (from, to) {
        (Type::Record(from), Type::Record(to)) => {
            let name = to.get(index).map(|(name, _)| name);
            let at = from.iter().position(|(other, _)| Some(other) == name);
            at.unwrap_or(index)
        }
        _ => index,
    }
}

impl BodyCx<'_> {
    /// Evaluates an expression up to the writing of its bytes.
    pub(super) fn prepare(&mut self, expr: &Expr) -> Prepared {
        if expr.ty.is_scalar() {
            return Prepared::Scalar(self.value(expr));
        }
        let size = expr.ty.size();
        match &expr.kind {
            ExprKind::Str(text) => Prepared::Text(text.clone()),
            ExprKind::Bytes(bytes) => Prepared::Bytes(bytes.clone()),
            ExprKind::Var(var) => self.prepare_variable(*var, &expr.ty),
            ExprKind::MapValue { map, key } => {
                let now = self.map_memory(*map, key.as_deref(), &expr.ty);
                self.kept(now, &expr.ty)
            }
            ExprKind::Builtin(id) => Prepared::Memory {
                addr: (id.row().lower)(self),
                offset: 0,
                size,
            },
            ExprKind::RecordText { offset, size } => Prepared::RecordText {
                offset: *offset,
                size: *size,
            },
            ExprKind::RecordDynamicText { offset, relative } => Prepared::RecordDynamicText {
                offset: *offset,
                relative: *relative,
            },
            ExprKind::ReadText { address, length } => self.prepare_read(address, length.as_deref(), &expr.ty),
            ExprKind::Intrinsic(which, args) => self.intrinsic_memory(*which, args, &expr.ty),
            ExprKind::Tuple(members) => Prepared::Tuple(members.iter().map(|m| self.prepare(m)).collect()),
            ExprKind::Assembled(parts) => self.assembled(parts, size),
            ExprKind::Member(tuple, index) => {
                let prepared = self.prepare(tuple);
                self.member_of(prepared, &tuple.ty, *index)
            }
            ExprKind::RecordBytes { offset } => Prepared::NativeBytes {
                address: self.ctx_addr(*offset),
            },
            ExprKind::Read { address, offset, .. } => self.prepare_memory(address, *offset, &expr.ty),
            ExprKind::Part { of, offset, .. } => self.prepare_part(of, *offset, &expr.ty),
            ExprKind::Element(of, index) => self.prepare_element(of, index, &expr.ty),
            ExprKind::Convert(inner) if matches!(expr.ty, Type::Array(..)) => {
                let prepared = self.prepare(inner);
                self.reinterpreted(&prepared, &inner.ty, &expr.ty)
            }
            ExprKind::Convert(inner) => {
                let prepared = self.prepare(inner);
                self.convert_members(prepared, &inner.ty, &expr.ty)
            }
            ExprKind::Block { body, value } => {
                self.statements(body);
                self.prepare(value)
            }
            ExprKind::Inlined {
                body, locals, value, ..
            } => {
                self.inlined(*locals, body);
                self.prepare(value)
            }
            ExprKind::Ternary(cond, a, b) => self.prepare_choice(cond, a, b, &expr.ty),
            _ => {
                self.effect(expr);
                Prepared::Zeros
            }
        }
    }

    /// `size` bytes made of parts, each at its offset.
    fn assembled(&mut self, parts: &[(u32, Expr)], size: u32) -> Prepared {
        let prepared: Vec<Prepared> = parts.iter().map(|(_, part)| self.prepare(part)).collect();
        let slot = self.ir.slot(size.next_multiple_of(8).max(8));
        let addr = self.ir.slot_addr(slot, 0);
        let mut end = 0;
        for ((offset, part), prepared) in parts.iter().zip(&prepared) {
            self.zero(addr, end, offset - end);
            self.fill(prepared, &part.ty, addr, *offset, true);
            end = offset + part.ty.size();
        }
        self.zero(addr, end, size.saturating_sub(end));
        Prepared::Memory {
            addr,
            offset: 0,
            size,
        }
    }

    fn prepare_variable(&mut self, var: VarId, ty: &Type) -> Prepared {
        let slot = match self.var_value(var) {
            VarHome::Slot(slot) => slot,
            VarHome::Shared => self.shared_var(var),
            VarHome::Value(_) | VarHome::Zeros => return Prepared::Zeros,
        };
        let now = self.slot_memory(slot, ty);
        self.kept(now, ty)
    }

    fn prepare_choice(&mut self, cond: &Expr, a: &Expr, b: &Expr, ty: &Type) -> Prepared {
        let slot = self.ir.slot(ty.size());
        let (yes, no) = (self.ir.block(), self.ir.block());
        self.branch_on(cond, yes, no);
        let write = |e| {
            move |cx: &mut Self| {
                let prepared = cx.prepare(e);
                let addr = cx.ir.slot_addr(slot, 0);
                cx.fill(&prepared, ty, addr, 0, true);
                Vec::new()
            }
        };
        self.join((yes, write(a)), (no, write(b)));
        self.slot_memory(slot, ty)
    }

    fn slot_memory(&mut self, slot: Slot, ty: &Type) -> Prepared {
        Prepared::Memory {
            addr: self.ir.slot_addr(slot, 0),
            offset: 0,
            size: ty.size(),
        }
    }

    /// A value that stays what it is until it is written, whatever the rest of the expression assigns.
    fn kept(&mut self, now: Prepared, ty: &Type) -> Prepared {
        if self.assigns_within {
            self.in_temporary(&now, ty)
        } else {
            now
        }
    }

    fn prepare_read(&mut self, address: &Expr, length: Option<&Expr>, ty: &Type) -> Prepared {
        let space = match &address.ty {
            Type::Ptr(_, space) => *space,
            _ => Space::Kernel,
        };
        let address = self.value(address);
        let length = length.map(|e| self.value(e));
        let read = Prepared::ReadText {
            address,
            length,
            space,
        };
        // A program that may sleep must do so before it reserves a record, and reads into memory of its own.
        if self.sleepable {
            self.in_temporary(&read, ty)
        } else {
            read
        }
    }

    /// A member of a prepared tuple of type `ty`.
    pub(super) fn member_of(&mut self, tuple: Prepared, ty: &Type, index: u32) -> Prepared {
        let (Some(member), Some(&at)) = (
            ty.members().nth(index as usize),
            ty.member_offsets().get(index as usize),
        ) else {
            return Prepared::Zeros;
        };
        match tuple {
            Prepared::Tuple(mut parts) => parts.swap_remove(index as usize),
            Prepared::Memory { addr, offset, .. } if member.is_scalar() => {
                Prepared::Scalar(self.load_scalar(addr, offset + at, member))
            }
            Prepared::Memory { addr, offset, .. } => Prepared::Memory {
                addr,
                offset: offset + at,
                size: member.size(),
            },
            _ if member.is_scalar() => Prepared::Scalar(self.ir.iconst(0)),
            _ => Prepared::Zeros,
        }
    }

    /// The same value with the layout of another type: tuples are taken apart, scalars wrapped; text is cut or padded
    /// when it is written.
    fn convert_members(&mut self, prepared: Prepared, from: &Type, to: &Type) -> Prepared {
        match (from, to) {
            (Type::Tuple(_) | Type::Record(_), Type::Tuple(_) | Type::Record(_)) if from != to => {
                let parts = to.members().enumerate().map(|(i, to_member)| {
                    let at = member_named_as(from, to, i);
                    let Some(from_member) = from.members().nth(at) else {
                        return Prepared::Zeros;
                    };
                    let part = self.member_of(prepared.clone(), from, at as u32);
                    self.convert_members(part, from_member, to_member)
                });
                Prepared::Tuple(parts.collect())
            }
            (Type::Int(_) | Type::Array(..) | Type::Str(_), Type::Array(..)) if from != to => {
                self.reinterpreted(&prepared, from, to)
            }
            (_, Type::Int(_)) => match prepared {
                Prepared::Scalar(value) => Prepared::Scalar(self.wrap(value, to)),
                other => other,
            },
            _ => prepared,
        }
    }

    /// A value written to a slot of the current statement, canonical.
    pub(super) fn in_temporary(&mut self, prepared: &Prepared, ty: &Type) -> Prepared {
        let slot = self.ir.slot(ty.size());
        let addr = self.ir.slot_addr(slot, 0);
        self.fill(prepared, ty, addr, 0, true);
        Prepared::Memory {
            addr,
            offset: 0,
            size: ty.size(),
        }
    }

    /// Writes a value as a top-level map key, map value or event argument: scalars take 8 bytes. Otherwise as
    /// [`BodyCx::fill`].
    pub(super) fn fill_slot(
        &mut self,
        prepared: &Prepared,
        ty: &Type,
        addr: Value,
        offset: u32,
        canonical: bool,
    ) -> Option<Value> {
        if !ty.is_scalar() {
            let length = self.fill(prepared, ty, addr, offset, canonical);
            if canonical {
                self.zero(addr, offset + ty.size(), ty.slot_size() - ty.size());
            }
            return length;
        }
        let value = self.scalar_of(prepared);
        self.store_at(addr, offset, Width::B8, value);
        None
    }

    fn scalar_of(&mut self, prepared: &Prepared) -> Value {
        match prepared {
            Prepared::Scalar(value) => *value,
            _ => self.ir.iconst(0),
        }
    }

    /// Writes `ty.size()` bytes at `addr + offset`. Unless `canonical`, what follows the NUL of a text may be anything.
    /// Gives the number of bytes up to and including the NUL where the value is text whose length is known only at run
    /// time.
    pub(super) fn fill(
        &mut self,
        prepared: &Prepared,
        ty: &Type,
        addr: Value,
        offset: u32,
        canonical: bool,
    ) -> Option<Value> {
        let size = ty.size();
        match prepared {
            _ if ty.is_scalar() => {
                let value = self.scalar_of(prepared);
                if let Some(width) = Width::from_bytes(size) {
                    self.store_at(addr, offset, width, value);
                }
                None
            }
            Prepared::Zeros | Prepared::Scalar(_) => {
                self.zero(addr, offset, size);
                None
            }
            Prepared::Text(text) => {
                self.fill_text(text, size, addr, offset, canonical);
                None
            }
            Prepared::Bytes(bytes) => {
                let kept = &bytes[..bytes.len().min(size as usize)];
                self.store_bytes(kept, addr, offset);
                self.zero(addr, offset + kept.len() as u32, size - kept.len() as u32);
                None
            }
            Prepared::Memory {
                addr: from,
                offset: from_offset,
                size: available,
            } => {
                let from = (*from, *from_offset, *available);
                self.fill_from_memory(from, ty, addr, offset, canonical);
                None
            }
            Prepared::ReadText {
                address,
                length,
                space,
            } => Some(self.read_text(*address, *length, *space, size, addr, offset, canonical)),
            Prepared::RecordText {
                offset: at,
                size: available,
            } => {
                let source = self.ctx_addr(*at);
                Some(self.read_record_text(source, size.min(available + 1), size, addr, offset, canonical))
            }
            Prepared::RecordDynamicText { offset: at, relative } => {
                let source = self.dynamic_addr(*at, *relative);
                Some(self.read_record_text(source, size, size, addr, offset, canonical))
            }
            Prepared::ReadBytes { address, space } => {
                let to = self.address_at(addr, offset);
                self.read_bytes(to, size, *address, *space);
                None
            }
            Prepared::NativeBytes { address } => {
                self.copy_by_helper(*address, 0, addr, offset, size);
                None
            }
            Prepared::NativeText {
                address,
                size: length,
            } => {
                self.fill_native_text(*address, *length, size, addr, offset, canonical);
                None
            }
            Prepared::Tuple(parts) => {
                self.fill_tuple(parts, ty, addr, offset, canonical);
                None
            }
        }
    }

    /// From memory of the program: its address, an offset to it and how many bytes there are.
    fn fill_from_memory(
        &mut self,
        (from, from_offset, available): (Value, u32, u32),
        ty: &Type,
        addr: Value,
        offset: u32,
        canonical: bool,
    ) {
        let size = ty.size();
        self.copy(from, from_offset, addr, offset, size.min(available));
        if size < available && matches!(ty, Type::Str(_)) {
            let nul = self.ir.iconst(0);
            self.store_at(addr, offset + size - 1, Width::B1, nul);
        }
        if canonical && size > available {
            self.zero(addr, offset + available, size - available);
        }
    }

    fn fill_tuple(&mut self, parts: &[Prepared], ty: &Type, addr: Value, offset: u32, canonical: bool) {
        let mut end = 0;
        for ((part, member), at) in parts.iter().zip(ty.members()).zip(ty.member_offsets()) {
            self.zero(addr, offset + end, at - end);
            self.fill(part, member, addr, offset + at, canonical);
            end = at + member.size();
        }
        self.zero(addr, offset + end, ty.size() - end);
    }

    pub(super) fn fill_text(&mut self, text: &[u8], size: u32, addr: Value, offset: u32, canonical: bool) {
        let length = text.len().min(size as usize - 1);
        let mut bytes = text[..length].to_vec();
        bytes.push(0);
        // Whole words are cheaper than their parts.
        bytes.resize(bytes.len().next_multiple_of(8).min(size as usize), 0);
        self.store_bytes(&bytes, addr, offset);
        if canonical {
            self.zero(addr, offset + bytes.len() as u32, size - bytes.len() as u32);
        }
    }

    pub(super) fn store_bytes(&mut self, bytes: &[u8], addr: Value, offset: u32) {
        for (at, width) in chunks([offset; 2], bytes.len() as u32) {
            let mut word = [0; 8];
            let part = &bytes[at as usize..(at + width.bytes()) as usize];
            word[..part.len()].copy_from_slice(part);
            let value = self.ir.iconst(i64::from_le_bytes(word));
            self.store_at(addr, offset + at, width, value);
        }
    }

    /// The address, offset and size of canonical memory that holds a value.
    pub(super) fn placed(&mut self, prepared: &Prepared, ty: &Type) -> (Value, u32, u32) {
        match prepared {
            Prepared::Memory { addr, offset, size } => (*addr, *offset, *size),
            other => match self.in_temporary(other, ty) {
                Prepared::Memory { addr, offset, size } => (addr, offset, size),
                _ => (self.ir.iconst(0), 0, 0),
            },
        }
    }

    /// The address of canonical memory of a key: `ty.slot_size()` bytes and `extra` more behind it.
    pub(super) fn key_address(&mut self, prepared: &Prepared, ty: &Type, extra: u32) -> Value {
        if let Prepared::Memory { addr, offset, size } = prepared
            && *size == ty.slot_size()
            && ty.size() == *size
            && extra == 0
        {
            return self.address_at(*addr, *offset);
        }
        let slot = self.ir.slot(ty.slot_size() + extra);
        let addr = self.ir.slot_addr(slot, 0);
        self.fill_slot(prepared, ty, addr, 0, true);
        addr
    }

    /// Loads a scalar that is a member of something.
    pub(super) fn load_scalar(&mut self, addr: Value, offset: u32, ty: &Type) -> Value {
        let Some(width) = Width::from_bytes(ty.size()) else {
            return self.ir.iconst(0);
        };
        let (addr, offset) = self.split(addr, offset);
        self.ir.emit(Op::Load {
            addr,
            offset,
            width,
            // All 64 bits leave nothing to extend.
            signed: width != Width::B8 && super::value::is_signed(ty),
        })
    }

    /// Zeroes a slot from its start.
    pub(super) fn zero_slot(&mut self, slot: crate::ir::Slot, size: u32) {
        let addr = self.ir.slot_addr(slot, 0);
        self.zero(addr, 0, size);
    }

    pub(super) fn zero(&mut self, addr: Value, offset: u32, len: u32) {
        if wants_helper(offset, len) {
            let mut at = 0;
            while at < len {
                let part = (len - at).min(self.layout.zeros_size);
                let zeros = self.zeros();
                self.copy_by_helper(zeros, 0, addr, offset + at, part);
                at += part;
            }
            return;
        }
        for (at, width) in chunks([offset; 2], len) {
            let zero = self.ir.iconst(0);
            self.store_at(addr, offset + at, width, zero);
        }
    }

    pub(super) fn copy(&mut self, from: Value, from_offset: u32, to: Value, to_offset: u32, len: u32) {
        if wants_helper(from_offset | to_offset, len) {
            self.copy_by_helper(from, from_offset, to, to_offset, len);
            return;
        }
        for (at, width) in chunks([from_offset, to_offset], len) {
            let value = self.load_at(from, from_offset + at, width);
            self.store_at(to, to_offset + at, width, value);
        }
    }

    pub(super) fn copy_by_helper(
        &mut self,
        from: Value,
        from_offset: u32,
        to: Value,
        to_offset: u32,
        len: u32,
    ) {
        let (from, to) = (self.address_at(from, from_offset), self.address_at(to, to_offset));
        let len = self.ir.iconst(i64::from(len));
        self.ir.call_effect(Helper::ProbeReadKernel, &[to, len, from]);
    }

    pub(super) fn address_at(&mut self, addr: Value, offset: u32) -> Value {
        if offset == 0 {
            addr
        } else {
            self.ir.bin_imm(BinOp::Add, addr, i64::from(offset))
        }
    }

    /// An address and an offset that fits an instruction.
    fn split(&mut self, addr: Value, offset: u32) -> (Value, i16) {
        match i16::try_from(offset) {
            Ok(offset) => (addr, offset),
            Err(_) => (self.address_at(addr, offset), 0),
        }
    }

    pub(super) fn load_at(&mut self, addr: Value, offset: u32, width: Width) -> Value {
        let (addr, offset) = self.split(addr, offset);
        self.ir.load(addr, offset, width)
    }

    pub(super) fn store_at(&mut self, addr: Value, offset: u32, width: Width, value: Value) {
        let (addr, offset) = self.split(addr, offset);
        self.ir.store(addr, offset, width, value);
    }
}
