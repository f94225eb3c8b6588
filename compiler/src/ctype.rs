//! Structs, unions and enums as their sources describe them: kernel BTF, debug information of a binary, C declarations
//! in the script, the arguments of a probe.
//!
//! A [`crate::types::Type`] names a struct by [`StructId`] and knows its size; its fields are asked for only when a
//! script uses one ([`crate::target::Target::struct_fields`], or the checker's own table for
//! [`StructId::Declared`] and [`StructId::Args`]). So pointers may go in circles, and nothing is read that no script names.

use crate::types::Type;
use std::sync::Arc;

/// Which struct or union, within its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StructId {
    /// Of the kernel or one of its modules.
    Kernel {
        /// Index of the BTF object: 0 is vmlinux, modules follow as the target numbers them.
        object: u16,
        /// Type id within it.
        id: u32,
    },
    /// Declared in the script or a header of its own; index into the checker's table.
    Declared(u32),
    /// The arguments of a probe (`args`); index into the checker's table.
    Args(u32),
    /// Of a traced program's debug information.
    Binary {
        /// Index of the binary, as the target numbers them.
        binary: u32,
        /// Offset of its entry in `.debug_info`.
        id: u64,
    },
}

/// A struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StructType {
    /// Which.
    pub id: StructId,
    /// Its name with the keyword, `struct task_struct`; just the keyword where it has none.
    pub name: Arc<str>,
    /// Bytes; 0 for one that is only declared.
    pub size: u32,
}

impl StructType {
    /// Alignment in bytes where values of it are kept: the greatest power of two up to 4 that divides the size, so
    /// that a tuple has no gap before most structs. The source's own alignment is not needed to copy bytes.
    pub fn align(&self) -> u32 {
        match self.size {
            0 => 1,
            size => 1 << size.trailing_zeros().min(2),
        }
    }
}

impl std::fmt::Display for StructType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty for an anonymous struct or union, whose fields are named as if they were its parent's.
    pub name: String,
    /// Its type. Arrays of `char` are [`Type::Str`] of their size (they need not end in NUL); a flexible array has 0
    /// elements. Pointers are into kernel memory unless marked `__user`; the checker makes them user pointers where the
    /// struct itself is in user memory.
    pub ty: Type,
    /// Where it begins, bytes from the start of the struct. For a bitfield: the start of the smallest aligned integer
    /// that holds all its bits.
    pub offset: u32,
    /// Which bits of that integer, for a bitfield.
    pub bits: Option<Bits>,
}

impl Field {
    /// The bitfield of `width` bits that begins `bit_offset` bits from the start of a struct of `size` bytes. One that no
    /// integer of 8 bytes holds, which only packed structs have, is the bytes that it touches.
    pub fn bitfield(name: String, ty: Type, bit_offset: u32, width: u32, size: u32) -> Self {
        match Bits::place(bit_offset, width, size) {
            Some((offset, bits)) => Self {
                name,
                ty,
                offset,
                bits: Some(bits),
            },
            None => Self {
                name,
                ty: Type::Bytes((bit_offset % 8 + width.min(64)).div_ceil(8)),
                offset: bit_offset / 8,
                bits: None,
            },
        }
    }
}

/// The bits of a bitfield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Bytes of the integer that holds it: 1, 2, 4 or 8.
    pub storage: u8,
    /// The lowest bit, counted from the least significant one.
    pub low: u8,
    /// How many; 1 to 64.
    pub width: u8,
}

impl Bits {
    /// Whether the bits are a signed number. As in bpftrace, a bitfield is never negative, unless it has all bits of a
    /// signed type.
    pub fn is_signed(self, ty: &Type) -> bool {
        matches!(ty, Type::Int(int) if int.signed && self.width >= int.bits)
    }

    /// Where to read the bitfield of `width` bits that begins `bit_offset` bits from the start of a struct of `size`
    /// bytes: an offset in bytes, and the bits of the integer there. That integer is the smallest aligned one that holds
    /// them all and lies inside of the struct; in a packed struct there may be none, and then it is not aligned, or it is
    /// the aligned one of 8 bytes, which goes beyond the end. `None` where no integer of 8 bytes holds them, or the
    /// width is none.
    pub fn place(bit_offset: u32, width: u32, size: u32) -> Option<(u32, Self)> {
        if !(1..=64).contains(&width) {
            return None;
        }
        let last = bit_offset.checked_add(width - 1)?;
        let within = |offset: u32, storage: u32, size: u32| {
            let low = bit_offset.checked_sub(offset.checked_mul(8)?)?;
            let fits = low + width <= 8 * storage && offset.checked_add(storage)? <= size;
            fits.then_some((
                offset,
                Self {
                    storage: storage as u8,
                    low: low as u8,
                    width: width as u8,
                },
            ))
        };
        let place = |offset: u32, storage: u32| within(offset, storage, size);
        let aligned = |storage: u32| {
            let unit = 8 * storage;
            let is_one = bit_offset / unit == last / unit;
            is_one
                .then(|| place(bit_offset / unit * storage, storage))
                .flatten()
        };
        let unaligned = |storage: u32| {
            let first = bit_offset / 8;
            place(first, storage).or_else(|| place(size.checked_sub(storage)?.min(first), storage))
        };
        const STORAGES: [u32; 4] = [1, 2, 4, 8];
        let found = STORAGES.into_iter().find_map(aligned);
        let found = found.or_else(|| STORAGES.into_iter().find_map(unaligned));
        found.or_else(|| within(bit_offset / 64 * 8, 8, u32::MAX))
    }
}

/// An enum.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumType {
    /// Its name with the keyword: `enum pid_type`; just the keyword where it has none.
    pub name: String,
    /// How values are stored.
    pub int: crate::types::IntType,
    /// Names and values, in order of declaration.
    pub variants: Vec<(String, i64)>,
}

impl EnumType {
    /// The first name of a value.
    pub fn name_of(&self, value: i64) -> Option<&str> {
        let found = self.variants.iter().find(|(_, v)| *v == value);
        found.map(|(name, _)| name.as_str())
    }
}

impl std::fmt::Display for EnumType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// A function of the kernel, as BTF describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFunction {
    /// Its name.
    pub name: String,
    /// Index of the BTF object that has it, as in [`StructId::Kernel`].
    pub object: u16,
    /// The module's name; empty for vmlinux.
    pub module: String,
    /// Its BTF id, for `attach_btf_id`.
    pub id: u32,
    /// Its parameters in order: names and types.
    pub params: Vec<(String, Type)>,
    /// What it returns; [`Type::Void`] for nothing.
    pub result: Type,
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn bitfields_are_read_from_the_smallest_integer_inside_of_the_struct() {
        let place = |bit, width, size| {
            Bits::place(bit, width, size).map(|(offset, b)| (offset, b.storage, b.low, b.width))
        };
        assert_eq!(place(0, 3, 4), Some((0, 1, 0, 3)));
        assert_eq!(place(6, 3, 4), Some((0, 2, 6, 3)));
        assert_eq!(place(8, 8, 4), Some((1, 1, 0, 8)));
        assert_eq!(place(12, 8, 4), Some((0, 4, 12, 8)));
        assert_eq!(place(32, 20, 8), Some((4, 4, 0, 20)));
        assert_eq!(place(0, 64, 8), Some((0, 8, 0, 64)));
        // Packed into 3 and 9 bytes.
        assert_eq!(place(12, 8, 3), Some((1, 2, 4, 8)));
        assert_eq!(place(4, 13, 3), Some((0, 8, 4, 13)));
        assert_eq!(place(60, 8, 9), Some((7, 2, 4, 8)));
        assert_eq!(place(4, 64, 9), None);
        assert_eq!(place(0, 0, 8), None);
        assert_eq!(place(u32::MAX, 2, 8), None);
    }
}
