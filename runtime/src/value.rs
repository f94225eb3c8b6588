//! Values as programs leave them in maps and records: raw bytes and a type in, a [`Value`] out, and its text.
//!
//! The layouts are those of [`crumbs_compiler::types`]. Bytes that are missing are zeros (a record ends early when
//! only NULs would follow), bytes too many are ignored, so nothing here can fail or panic. Text is bytes, not
//! `String`: file names need not be UTF-8, and what is printed must be what was read.

use crate::host::origins::{Origin, SourceLine};
use crate::symbols::Place;
use crate::words::words;
use crumbs_compiler::ctype::{Bits, StructId};
use crumbs_compiler::plan::Plan;
use crumbs_compiler::shown::Shown;
use crumbs_compiler::types::{NameTable, StackMode, StackType, Type};
use std::cmp::Ordering;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A value of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Void,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// `true` or `false`.
    Bool(bool),
    /// An address.
    Pointer(u64),
    /// Text as it is shown: with the trailer behind it where it was cut off.
    Str(Vec<u8>),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// The bytes of what the language has no values of, such as floating point in a struct.
    Opaque(Vec<u8>),
    /// A name of the plan.
    Name(String),
    /// Several values.
    Tuple(Vec<Value>),
    /// Several values with names: a record, or a struct's fields (those of anonymous members among them).
    Record(Vec<(String, Value)>),
    /// The elements of an array.
    Array(Vec<Value>),
    /// A stack whose addresses have not been named yet.
    Stack(Stack),
    /// The lines of a stack.
    Lines(Lines),
    /// An address of the kernel, not named yet.
    KernelAddress(u64),
    /// An address of a process, not named yet.
    UserAddress {
        /// The process.
        pid: u32,
        /// The address.
        address: u64,
    },
    /// A value of an enum: the number, and its name where it has one.
    Enum(i64, Option<String>),
}

/// A stack as programs leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The process, for user stacks.
    pub pid: Option<u32>,
    /// How it is shown.
    pub mode: StackMode,
    /// The most frames it may have, and so the most lines that show it.
    pub depth: u32,
    /// The addresses, the innermost first.
    pub frames: Vec<u64>,
}

/// The lines that show a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// How they are laid out.
    pub mode: StackMode,
    /// The address of each frame and what lies there.
    pub lines: Vec<(u64, String)>,
}

impl Lines {
    /// All lines, each on its own, behind an empty one.
    fn text(&self) -> String {
        self.joined(|address, place| match self.mode {
            StackMode::Bpftrace => format!("        {place}"),
            StackMode::Perf => format!("\t{address:x} {place}"),
            StackMode::Raw => format!("{address:x}"),
            StackMode::BuildId => place.to_owned(),
        })
    }

    /// As bpftrace's JSON has it.
    pub fn json_text(&self) -> String {
        self.joined(|address, place| match self.mode {
            StackMode::Bpftrace => place.to_owned(),
            StackMode::Perf => format!("\t{address:x}{place}"),
            StackMode::Raw => format!("{address:x}"),
            StackMode::BuildId => place.to_owned(),
        })
    }

    fn joined(&self, line: impl Fn(u64, &str) -> String) -> String {
        let lines = self
            .lines
            .iter()
            .map(|(address, place)| line(*address, place) + "\n");
        format!("\n{}", lines.collect::<String>())
    }
}

/// Finds the names of addresses.
pub trait Names {
    /// What lies at an address, of a process or the kernel.
    fn place(&mut self, pid: Option<u32>, address: u64) -> Place;

    /// The build id of the file that an address of a process shows, in hexadecimal, and the offset in the file.
    fn build_id(&mut self, _pid: u32, _address: u64) -> Option<(String, u64)> {
        None
    }

    /// Where the instruction at an address of a process comes from, as far as debug information tells.
    fn origin(&mut self, _pid: u32, _address: u64) -> Origin {
        Origin::default()
    }
}

/// Names every address within a value.
pub fn name_addresses(value: &mut Value, names: &mut dyn Names) {
    match value {
        Value::Stack(stack) => *value = Value::Lines(stack.lines(names)),
        Value::KernelAddress(address) => {
            let place = names.place(None, *address);
            *value = Value::Name(place.name(*address));
        }
        Value::UserAddress { pid, address } => {
            let place = names.place(Some(*pid), *address);
            *value = Value::Name(place.name(*address));
        }
        Value::Tuple(members) | Value::Array(members) => {
            members
                .iter_mut()
                .for_each(|member| name_addresses(member, names));
        }
        Value::Record(members) => members
            .iter_mut()
            .for_each(|(_, member)| name_addresses(member, names)),
        _ => {}
    }
}

impl Stack {
    fn lines(&self, names: &mut dyn Names) -> Lines {
        let mut lines = Vec::new();
        for (depth, &address) in self.frames.iter().enumerate() {
            self.frame(depth, address, names, &mut lines);
        }
        lines.truncate(self.depth as usize);
        Lines {
            mode: self.mode,
            lines,
        }
    }

    /// Adds the lines of a frame: functions that were put into others have one of their own each.
    fn frame(&self, depth: usize, address: u64, names: &mut dyn Names, lines: &mut Vec<(u64, String)>) {
        if self.mode == StackMode::BuildId {
            let known = self.pid.and_then(|pid| names.build_id(pid, address));
            let shown = match known {
                Some((id, offset)) => format!("{id} {offset:#x}"),
                None => format!("{address:x}"),
            };
            return lines.push((address, shown));
        }
        // Above the innermost frame an address is where its function goes on: the call is before it. A call that
        // never returns may be the last of its function.
        let behind = u64::from(depth > 0);
        let place = names.place(self.pid, address.wrapping_sub(behind)).after(behind);
        let origin = match (self.mode, self.pid) {
            (StackMode::Bpftrace | StackMode::Perf, Some(pid)) if place.symbol.is_some() => {
                names.origin(pid, address.wrapping_sub(behind))
            }
            _ => Origin::default(),
        };
        let at = |line: &Option<SourceLine>| match line {
            Some(SourceLine { path, line }) => format!("@{path}:{line}"),
            None => String::new(),
        };
        let is_perf = self.mode == StackMode::Perf;
        for (name, line) in &origin.inlined {
            let shown = match is_perf {
                true => format!("{name} (inlined)"),
                false => format!("[inlined] {name}{}", at(line)),
            };
            lines.push((address, shown));
        }
        let name = place.name_and_offset(address);
        let shown = match self.pid {
            Some(_) if is_perf => format!("{name} ({})", place.module.as_deref().unwrap_or("[unknown]")),
            _ => format!("{name}{}", at(&origin.line)),
        };
        lines.push((address, shown));
    }
}

/// Reads a value of type `ty` from the front of `bytes`. `slot`: it stands at the top level of a key, a value or an
/// event argument, where scalars occupy 8 bytes; within a tuple they have their natural size.
pub fn decode(bytes: &[u8], ty: &Type, plan: &Plan, slot: bool) -> Value {
    let width = if slot && ty.is_scalar() { 8 } else { ty.size() };
    let word = || unsigned(bytes, width);
    match ty {
        Type::Void | Type::Agg(_) => Value::Void,
        Type::Bool => Value::Bool(word() != 0),
        Type::Int(int) => {
            let value = int.wrap(word() as i64);
            if int.signed {
                Value::Int(value)
            } else {
                Value::UInt(value as u64)
            }
        }
        Type::Ptr(..) => Value::Pointer(word()),
        Type::Name(table) => Value::Name(name(*table, word(), plan)),
        Type::Str(n) => Value::Str(text(bytes, *n as usize, plan)),
        Type::Bytes(n) => {
            let mut taken: Vec<u8> = bytes.iter().copied().take(*n as usize).collect();
            taken.resize(*n as usize, 0);
            Value::Opaque(taken)
        }
        Type::Shown(Shown::KernelAddress) => Value::KernelAddress(word()),
        Type::Shown(shown) => Value::Name(words(shown, word(), plan.arch)),
        Type::Buffer(n) => {
            let length = unsigned(bytes, 4).min(u64::from(*n)) as usize;
            let mut taken: Vec<u8> = behind(bytes, 4).iter().copied().take(length).collect();
            taken.resize(length, 0);
            Value::Bytes(taken)
        }
        Type::Inet => Value::Name(internet_address(unsigned(bytes, 4), behind(bytes, 4))),
        Type::Stack(stack) => {
            let (frames, pid) = (unsigned(bytes, 4), unsigned(behind(bytes, 4), 4));
            let at = |i: u32| unsigned(behind(bytes, StackType::FRAMES_AT + 8 * i), 8);
            let frames = u32::try_from(frames).map_or(stack.depth, |n| n.min(stack.depth));
            Value::Stack(Stack {
                pid: stack.user.then_some(pid as u32),
                mode: stack.mode,
                depth: stack.depth,
                // The kernel follows frame pointers until one is 0, and gives that too.
                frames: (0..frames).map(at).take_while(|&frame| frame != 0).collect(),
            })
        }
        Type::UserAddress => Value::UserAddress {
            address: unsigned(bytes, 8),
            pid: unsigned(behind(bytes, 8), 8) as u32,
        },
        Type::Tuple(_) => Value::Tuple(members(bytes, ty, plan).collect()),
        Type::Record(named) => {
            let names = named.iter().map(|(name, _)| name.clone());
            Value::Record(names.zip(members(bytes, ty, plan)).collect())
        }
        Type::Array(element, n) => {
            let at = |i| behind(bytes, i * element.size());
            Value::Array((0..*n).map(|i| decode(at(i), element, plan, false)).collect())
        }
        Type::Enum(enumeration) => {
            let value = enumeration.int.wrap(word() as i64);
            Value::Enum(value, enumeration.name_of(value).map(str::to_owned))
        }
        Type::Struct(of) => {
            let mut fields = Vec::new();
            decode_fields(bytes, of.id, plan, &mut fields);
            Value::Record(fields)
        }
    }
}

/// What lies `at` bytes into a value.
fn behind(bytes: &[u8], at: u32) -> &[u8] {
    bytes.get(at as usize..).unwrap_or(&[])
}

/// The members of a tuple or record.
fn members<'a>(bytes: &'a [u8], ty: &'a Type, plan: &'a Plan) -> impl Iterator<Item = Value> + 'a {
    let offsets = ty.member_offsets();
    ty.members()
        .zip(offsets)
        .map(|(member, at)| decode(behind(bytes, at), member, plan, false))
}

/// Appends the fields of a struct; those of anonymous members as its own.
fn decode_fields(bytes: &[u8], id: StructId, plan: &Plan, out: &mut Vec<(String, Value)>) {
    for field in plan.structs.get(&id).into_iter().flat_map(|fields| fields.iter()) {
        let at = behind(bytes, field.offset);
        match (&field.ty, field.bits) {
            (Type::Struct(of), _) if field.name.is_empty() => decode_fields(at, of.id, plan, out),
            (ty, Some(bits)) => {
                let storage = unsigned(at, u32::from(bits.storage)) >> bits.low;
                let low_bits = storage & (u64::MAX >> (64 - u32::from(bits.width.clamp(1, 64))));
                let value = decode(&low_bits.to_ne_bytes(), &widened(ty, bits), plan, true);
                out.push((field.name.clone(), value));
            }
            (ty, None) => out.push((field.name.clone(), decode(at, ty, plan, false))),
        }
    }
}

/// A bitfield's type with room for all its bits as they were taken out.
fn widened(ty: &Type, of: Bits) -> Type {
    match ty {
        Type::Int(int) if of.is_signed(ty) => Type::Int(*int),
        Type::Int(_) => Type::U64,
        other => other.clone(),
    }
}

/// The first `width` bytes (at most 8) as a native-endian number.
fn unsigned(bytes: &[u8], width: u32) -> u64 {
    let width = (width as usize).min(8);
    let mut low = [0; 8];
    let present = width.min(bytes.len());
    low[..present].copy_from_slice(&bytes[..present]);
    if cfg!(target_endian = "big") {
        u64::from_be_bytes(low) >> (8 * (8 - width.max(1)))
    } else {
        u64::from_le_bytes(low)
    }
}

/// The text in `n` bytes, up to its NUL. Text of the greatest length that is read is taken to have been cut off there.
fn text(bytes: &[u8], n: usize, plan: &Plan) -> Vec<u8> {
    let bytes = &bytes[..n.min(bytes.len())];
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let mut text = bytes[..end].to_vec();
    if end > 0 && end == plan.settings.max_strlen as usize {
        text.extend_from_slice(plan.settings.str_trunc_trailer.as_bytes());
    }
    text
}

/// An address of this family (include/linux/socket.h) as it is usually written; empty for other families.
fn internet_address(family: u64, bytes: &[u8]) -> String {
    let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
    match family {
        2 => Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(byte)).to_string(),
        10 => Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(byte)).to_string(),
        _ => String::new(),
    }
}

/// The name at `index`; the index itself when the table has none there, which no compiled program sends.
fn name(table: NameTable, index: u64, plan: &Plan) -> String {
    match (plan.site(index), table) {
        (Some(site), NameTable::Func) => site.func,
        (Some(site), NameTable::Probe) => site.probe,
        (None, _) => index.to_string(),
    }
}

impl Value {
    /// Appends the text that `print` shows.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Void => out.extend_from_slice(b"null"),
            Self::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::UInt(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Pointer(address) => out.extend_from_slice(format!("{address:#x}").as_bytes()),
            Self::Str(text) => out.extend_from_slice(text),
            Self::Bytes(bytes) | Self::Opaque(bytes) => escape(bytes, out),
            Self::Name(name) => out.extend_from_slice(name.as_bytes()),
            Self::Tuple(members) => {
                out.push(b'(');
                write_list(members, out);
                out.push(b')');
            }
            Self::Record(members) => {
                out.extend_from_slice(b"{ ");
                for (i, (name, member)) in members.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    out.extend_from_slice(format!("{comma}.{name} = ").as_bytes());
                    member.write(out);
                }
                out.extend_from_slice(b" }");
            }
            Self::Array(elements) => {
                out.push(b'[');
                for (i, element) in elements.iter().enumerate() {
                    out.extend_from_slice(if i > 0 { b"," } else { b"" });
                    element.write(out);
                }
                out.push(b']');
            }
            Self::Stack(stack) => {
                let frames: Vec<String> = stack.frames.iter().map(|frame| format!("{frame:#x}")).collect();
                out.extend_from_slice(frames.join(" ").as_bytes());
            }
            Self::Lines(lines) => out.extend_from_slice(lines.text().as_bytes()),
            Self::KernelAddress(address) | Self::UserAddress { address, .. } => {
                out.extend_from_slice(format!("{address:#x}").as_bytes());
            }
            Self::Enum(_, Some(name)) => out.extend_from_slice(name.as_bytes()),
            Self::Enum(value, None) => out.extend_from_slice(value.to_string().as_bytes()),
        }
    }

    /// Appends the text within the brackets of a map key: several keys are shown without parentheses.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Tuple(members) => write_list(members, out),
            _ => self.write(out),
        }
    }

    /// The text that `print` shows.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// The 64 bits of a scalar; `None` for what is not one.
    pub fn bits(&self) -> Option<u64> {
        match self {
            Self::Int(value) => Some(*value as u64),
            Self::UInt(value) | Self::Pointer(value) => Some(*value),
            Self::Bool(value) => Some(u64::from(*value)),
            Self::Enum(value, _) => Some(*value as u64),
            _ => None,
        }
    }

    /// The number that an integer is.
    pub fn number(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::UInt(value) => Some(i128::from(*value)),
            Self::Enum(value, _) => Some(i128::from(*value)),
            _ => None,
        }
    }

    /// The order in which keys are listed: numbers by value, text by bytes, tuples by their first difference.
    pub fn key_order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Tuple(a), Self::Tuple(b)) | (Self::Array(a), Self::Array(b)) => first_difference(a, b),
            (Self::Record(a), Self::Record(b)) => {
                first_difference(a.iter().map(|(_, v)| v), b.iter().map(|(_, v)| v))
            }
            (Self::Str(a), Self::Str(b)) | (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Opaque(a), Self::Opaque(b)) => a.cmp(b),
            (Self::Name(a), Self::Name(b)) => a.cmp(b),
            (Self::Lines(a), Self::Lines(b)) => a.lines.cmp(&b.lines),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Orders scalars; keys of one map have one type, so that the others are equal here does not matter.
    fn rank(&self) -> i128 {
        self.number().or_else(|| self.bits().map(i128::from)).unwrap_or(0)
    }
}

/// The order of two lists of values of the same types.
fn first_difference<'a>(
    a: impl IntoIterator<Item = &'a Value>,
    b: impl IntoIterator<Item = &'a Value>,
) -> Ordering {
    let orders = a.into_iter().zip(b).map(|(a, b)| a.key_order(b));
    orders
        .into_iter()
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn write_list(members: &[Value], out: &mut Vec<u8>) {
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        member.write(out);
    }
}

/// Appends bytes, printable ASCII as it is and the others as `\xNN`.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if (b' '..=b'~').contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::plan;
    use crumbs_compiler::ctype::{Field, StructType};
    use crumbs_compiler::plan::Site;
    use crumbs_compiler::types::IntType;

    fn int(bits: u8, signed: bool) -> Type {
        Type::Int(IntType { bits, signed })
    }

    fn shown(bytes: &[u8], ty: &Type, slot: bool) -> String {
        String::from_utf8_lossy(&decode(bytes, ty, &plan(), slot).text()).into_owned()
    }

    #[test]
    fn scalars_at_top_level_occupy_a_word() {
        let minus_one = (-1i64).to_ne_bytes();
        assert_eq!(shown(&minus_one, &int(8, true), true), "-1");
        assert_eq!(shown(&minus_one, &int(16, false), true), "65535");
        assert_eq!(shown(&300u64.to_ne_bytes(), &int(8, false), true), "44");
        assert_eq!(
            shown(&u64::MAX.to_ne_bytes(), &Type::U64, true),
            "18446744073709551615"
        );
        assert_eq!(
            shown(&i64::MIN.to_ne_bytes(), &Type::I64, true),
            "-9223372036854775808"
        );
        assert_eq!(shown(&1u64.to_ne_bytes(), &Type::Bool, true), "true");
    }

    #[test]
    fn members_of_tuples_have_their_natural_size() {
        let ty = Type::Tuple(vec![int(8, true), int(32, false), Type::Str(4)]);
        let bytes = [0xff, 0, 0, 0, 7, 0, 0, 0, b'a', b'b', 0, 0];
        assert_eq!(shown(&bytes, &ty, true), "(-1, 7, ab)");
        let nested = Type::Tuple(vec![Type::I64, ty]);
        let bytes = [&9i64.to_ne_bytes()[..], &bytes].concat();
        assert_eq!(shown(&bytes, &nested, true), "(9, (-1, 7, ab))");
        let mut key = Vec::new();
        decode(&bytes, &nested, &plan(), true).write_key(&mut key);
        assert_eq!(key, b"9, (-1, 7, ab)");
    }

    #[test]
    fn text_ends_at_its_nul_or_is_cut() {
        let mut plan = plan();
        plan.settings.max_strlen = 16;
        let shown = |bytes: &[u8], n| decode(bytes, &Type::Str(n), &plan, true).text();
        assert_eq!(shown(b"abc\0", 4), b"abc");
        assert_eq!(shown(b"abc\0\0\0\0\0", 8), b"abc");
        assert_eq!(shown(b"abcd", 4), b"abcd");
        assert_eq!(shown(b"ab", 4), b"ab");
        assert_eq!(shown(b"", 4), b"");
        assert_eq!(shown(b"x", 0), b"");
        assert_eq!(shown(b"\xff\xfe\0", 3), b"\xff\xfe");
        // Two strings of the sample "strings read from a traced process".
        assert_eq!(shown(b"/etc/ld.so.cache\0", 17), b"/etc/ld.so.cache..");
        assert_eq!(shown(b"/etc\0", 5), b"/etc");
    }

    #[test]
    fn short_bytes_are_zeros() {
        assert_eq!(shown(&[1], &Type::I64, true), "1");
        assert_eq!(shown(&[], &Type::Bool, true), "false");
        assert_eq!(
            shown(&[], &Type::Tuple(vec![Type::I64, Type::Str(3)]), false),
            "(0, )"
        );
        assert_eq!(shown(b"a", &Type::Bytes(3), true), "a\\x00\\x00");
    }

    #[test]
    fn structs_show_their_fields() {
        let field = |name: &str, ty, offset, bits| Field {
            name: name.into(),
            ty,
            offset,
            bits,
        };
        let id = StructId::Declared;
        let of = |n, size| {
            Type::Struct(StructType {
                id: id(n),
                name: "struct s".into(),
                size,
            })
        };
        let low = Some(Bits {
            storage: 4,
            low: 1,
            width: 3,
        });
        let mut plan = plan();
        plan.structs
            .insert(id(1), [field("c", int(8, false), 0, None)].into());
        let inner = [
            field("a", int(32, true), 0, low),
            field("b", int(32, false), 0, low),
            field("", of(1, 1), 4, None),
            field("n", Type::Array(Box::new(int(8, true)), 2), 5, None),
        ];
        plan.structs.insert(id(0), inner.into());
        let shown = decode(&[0b1110, 0, 0, 0, 7, 1, 255], &of(0, 8), &plan, false).text();
        assert_eq!(
            String::from_utf8_lossy(&shown),
            "{ .a = 7, .b = 7, .c = 7, .n = [1,-1] }"
        );
    }

    #[test]
    fn names_come_from_the_sites() {
        let mut plan = plan();
        plan.sites.push(Site::new("uprobe:/bin/a:main", "main"));
        let read = |table, at: u64| decode(&at.to_ne_bytes(), &Type::Name(table), &plan, true).text();
        assert_eq!(read(NameTable::Probe, 0), b"uprobe:/bin/a:main");
        assert_eq!(read(NameTable::Func, 0), b"main");
        assert_eq!(read(NameTable::Func, 7), b"7");
    }

    #[test]
    fn keys_order_by_value_text_and_first_difference() {
        let tuple = |n, s: &str| Value::Tuple(vec![Value::Int(n), Value::Str(s.into())]);
        assert!(tuple(0, "z").key_order(&tuple(1, "a")).is_lt());
        assert!(tuple(1, "a").key_order(&tuple(1, "b")).is_lt());
        assert!(Value::Int(-1).key_order(&Value::Int(0)).is_lt());
        assert!(Value::UInt(u64::MAX).key_order(&Value::UInt(1)).is_gt());
        assert!(Value::Bool(false).key_order(&Value::Bool(true)).is_lt());
    }
}
