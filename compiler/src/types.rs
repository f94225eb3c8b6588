//! The types of values, their layout in memory, and how they grow when a script uses one place in several ways.
//!
//! One layout serves program stack, map keys and values, and event records, so no stage converts between layouts.
//!
//! | type | bytes | alignment | layout |
//! |---|---|---|---|
//! | `Bool` | 1 | 1 | 0 or 1 |
//! | `Int` | 1, 2, 4, 8 | its size | two's complement, native endian |
//! | `Ptr`, `Name`, `Shown` | 8 | 8 | address; index into a table of the plan; the number |
//! | `Str(n)` | n | 1 | text, NUL, and NULs up to `n` (so that equal strings are equal keys) |
//! | `Bytes(n)` | n | 1 | as they are |
//! | `Buffer(n)` | 4 + n, rounded up to 4 | 4 | how many bytes count (32 bits), then they, then zeros |
//! | `Inet` | 20 | 4 | address family (32 bits), then 4 or 16 bytes in network order, then zeros |
//! | `Tuple`, `Record` | as C lays out a struct | its greatest member's | members in order, padding is zero |
//! | `Array` | all elements | an element's | elements in order |
//! | `Struct` | as its source says | see [`StructType::align`] | as its source says |
//! | `Stack` | 8 + 8 a frame | 8 | frames (32 bits), process id or 0 (32 bits), the addresses from the innermost one on, zeros |
//! | `UserAddress` | 16 | 8 | address, process id |
//! | `Enum` | its integer's | its integer's | the number |
//!
//! At the top level of a map key or value, integers, booleans, pointers and names occupy 8 bytes, sign- or
//! zero-extended by their type ([`Type::slot_size`]): one kind of load, store and atomic serves them all.

use crate::aggregation::AggType;
use crate::ctype::{EnumType, StructType};
use crate::shown::Shown;
use std::sync::Arc;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// No value: what `printf` and `clear` return.
    Void,
    /// `true` or `false`.
    Bool,
    /// An integer.
    Int(IntType),
    /// An address.
    Ptr(Box<Type>, Space),
    /// Text of at most `n - 1` bytes and its NUL; `n` counts bytes and is at least 1.
    Str(u32),
    /// `n` raw bytes.
    Bytes(u32),
    /// Several values in order.
    Tuple(Vec<Type>),
    /// Several values in order, each with a name: `(pid=1, name="x")`.
    Record(Vec<(String, Type)>),
    /// So many elements of one type.
    Array(Box<Type>, u32),
    /// A struct or union of the kernel, of a traced program or declared in the script.
    Struct(StructType),
    /// An integer whose values have names.
    Enum(Arc<EnumType>),
    /// An index into one of the plan's tables of names; shown as the name.
    Name(NameTable),
    /// A number that is shown in words.
    Shown(Shown),
    /// At most `n` raw bytes, as many as were asked for when they were read.
    Buffer(u32),
    /// An IPv4 or IPv6 address.
    Inet,
    /// A stack of return addresses, named when it is shown.
    Stack(StackType),
    /// An address of the traced process with the process's id, named when it is shown.
    UserAddress,
    /// The running state of an aggregation; exists only as the value of a map.
    Agg(AggType),
}

/// Which table a [`Type::Name`] indexes. The tables are indexed by attach cookie, see [`crate::plan::Site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameTable {
    /// `func`: the traced function.
    Func,
    /// `probe`: the full name of the attach point.
    Probe,
}

/// A stack as a script asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackType {
    /// Of the traced process rather than the kernel.
    pub user: bool,
    /// At most this many frames.
    pub depth: u32,
    /// How it is shown.
    pub mode: StackMode,
}

impl StackType {
    /// Where the addresses begin.
    pub const FRAMES_AT: u32 = 8;

    /// Bytes.
    pub fn size(self) -> u32 {
        Self::FRAMES_AT + 8 * self.depth
    }
}

/// How the frames of a stack are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StackMode {
    /// Function and offset.
    #[default]
    Bpftrace,
    /// Address, function and offset, and of user stacks the file, as `perf script` does.
    Perf,
    /// The address.
    Raw,
    /// Of user stacks the build id of the file, and the offset in it.
    BuildId,
}

/// Width and signedness of an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IntType {
    /// 8, 16, 32 or 64.
    pub bits: u8,
    /// Whether the top bit is a sign.
    pub signed: bool,
}

/// What an address points into; decides which helper reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// The traced process's memory.
    User,
    /// Kernel memory.
    Kernel,
}

impl IntType {
    /// 64 bits, signed: the type of literals and of most arithmetic.
    pub const I64: Self = Self {
        bits: 64,
        signed: true,
    };
    /// 64 bits, unsigned.
    pub const U64: Self = Self {
        bits: 64,
        signed: false,
    };
    /// 32 bits, unsigned.
    pub const U32: Self = Self {
        bits: 32,
        signed: false,
    };

    /// Size in bytes.
    pub fn bytes(self) -> u32 {
        u32::from(self.bits) / 8
    }

    /// `value`, a bit pattern, truncated to this width and extended to 64 bits by this signedness.
    pub fn wrap(self, value: i64) -> i64 {
        let shift = 64 - u32::from(self.bits);
        if self.signed {
            (value << shift) >> shift
        } else {
            (((value as u64) << shift) >> shift) as i64
        }
    }
}

impl Type {
    /// 64-bit signed integer.
    pub const I64: Self = Self::Int(IntType::I64);
    /// 64-bit unsigned integer.
    pub const U64: Self = Self::Int(IntType::U64);
    /// 32-bit unsigned integer.
    pub const U32: Self = Self::Int(IntType::U32);

    /// Size in bytes when it is a member of something or stands alone in memory. Aggregations have none here (0);
    /// see [`AggType::slot_size`].
    pub fn size(&self) -> u32 {
        match self {
            Self::Void | Self::Agg(_) => 0,
            Self::Bool => 1,
            Self::Int(int) => int.bytes(),
            Self::Ptr(..) | Self::Name(_) | Self::Shown(_) => 8,
            Self::Buffer(n) => align_to(4 + n, 4),
            Self::Inet => 20,
            Self::Str(n) | Self::Bytes(n) => *n,
            Self::Enum(enumeration) => enumeration.int.bytes(),
            Self::Stack(stack) => stack.size(),
            Self::UserAddress => 16,
            Self::Struct(of) => of.size,
            Self::Array(element, n) => element.size().saturating_mul(*n),
            Self::Tuple(_) | Self::Record(_) => {
                let members = self.members();
                let end = members.fold(0, |end, m| align_to(end, m.align()) + m.size());
                align_to(end, self.align())
            }
        }
    }

    /// The types of a tuple's or record's members, in order; empty for other types.
    pub fn members(&self) -> impl Iterator<Item = &Type> {
        let (tuple, record): (&[Type], &[(String, Type)]) = match self {
            Self::Tuple(members) => (members, &[]),
            Self::Record(members) => (&[], members),
            _ => (&[], &[]),
        };
        tuple.iter().chain(record.iter().map(|(_, ty)| ty))
    }

    /// Alignment in bytes, a power of two.
    pub fn align(&self) -> u32 {
        match self {
            Self::Tuple(_) | Self::Record(_) => self.members().map(Self::align).max().unwrap_or(1),
            Self::Int(int) => int.bytes(),
            Self::Enum(enumeration) => enumeration.int.bytes(),
            Self::Array(element, _) => element.align(),
            Self::Stack(_) | Self::UserAddress => 8,
            Self::Struct(of) => of.align(),
            Self::Ptr(..) | Self::Name(_) | Self::Shown(_) => 8,
            Self::Buffer(_) | Self::Inet => 4,
            _ => 1,
        }
    }

    /// Whether a value fits a register: integers, booleans, pointers, enums, names,
    /// numbers shown in words.
    pub fn is_scalar(&self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Int(_) | Self::Ptr(..) | Self::Enum(_) | Self::Name(_) | Self::Shown(_)
        )
    }

    /// Size in bytes at the top level of a map key or value: 8 for scalars, else [`Type::size`] rounded up to 8, at least 8.
    pub fn slot_size(&self) -> u32 {
        if self.is_scalar() {
            8
        } else {
            // The kernel has no maps of empty keys or values.
            align_to(self.size(), 8).max(8)
        }
    }

    /// The offset of each member of a tuple or record, in order; empty for other types.
    pub fn member_offsets(&self) -> Vec<u32> {
        let mut end = 0;
        self.members()
            .map(|m| {
                let at = align_to(end, m.align());
                end = at + m.size();
                at
            })
            .collect()
    }
}

/// `n` rounded up to a multiple of `align`, a power of two.
pub fn align_to(n: u32, align: u32) -> u32 {
    (n + align - 1) & !(align - 1)
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Void => f.write_str("void"),
            Self::Bool => f.write_str("bool"),
            Self::Int(int) => write!(f, "{}int{}", if int.signed { "" } else { "u" }, int.bits),
            Self::Ptr(to, _) => write!(f, "{to}*"),
            Self::Str(n) => write!(f, "string[{n}]"),
            Self::Bytes(n) => write!(f, "buffer[{n}]"),
            Self::Tuple(members) => {
                f.write_str("(")?;
                for (i, member) in members.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{member}")?;
                }
                f.write_str(if members.len() == 1 { ",)" } else { ")" })
            }
            Self::Record(members) => {
                f.write_str("(")?;
                for (i, (name, member)) in members.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{name}={member}")?;
                }
                f.write_str(")")
            }
            Self::Array(element, n) => write!(f, "{element}[{n}]"),
            Self::Struct(of) => write!(f, "{of}"),
            Self::Enum(enumeration) => write!(f, "{enumeration}"),
            Self::Stack(stack) => f.write_str(if stack.user { "ustack_t" } else { "kstack_t" }),
            Self::UserAddress => f.write_str("usym_t"),
            Self::Name(NameTable::Func) => f.write_str("func_t"),
            Self::Name(NameTable::Probe) => f.write_str("probe_t"),
            Self::Shown(shown) => write!(f, "{shown}"),
            Self::Buffer(n) => write!(f, "buffer[{n}]"),
            Self::Inet => f.write_str("inet"),
            Self::Agg(agg) => write!(f, "{agg}"),
        }
    }
}
