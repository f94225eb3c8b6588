//! Values as programs leave them in maps and records: raw bytes and a type in, a [`Value`] out, and its text.
//!
//! The layouts are those of [`crumbs_compiler::types`]. Bytes that are missing are zeros (a record ends early when
//! only NULs would follow), bytes too many are ignored, so nothing here can fail or panic. Text is bytes, not
//! `String`: file names need not be UTF-8, and what is printed must be what was read.

use crumbs_compiler::plan::Plan;
use crumbs_compiler::types::{NameTable, Type};
use std::cmp::Ordering;

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
    /// A name of the plan.
    Name(String),
    /// Several values.
    Tuple(Vec<Value>),
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
            Value::Bytes(taken)
        }
        Type::Tuple(members) => {
            let offsets = ty.member_offsets();
            Value::Tuple(
                members
                    .iter()
                    .zip(offsets)
                    .map(|(member, at)| decode(bytes.get(at as usize..).unwrap_or(&[]), member, plan, false))
                    .collect(),
            )
        }
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

/// The name at `index`; the index itself when the table has none there, which no compiled program sends.
fn name(table: NameTable, index: u64, plan: &Plan) -> String {
    let site = usize::try_from(index).ok().and_then(|i| plan.sites.get(i));
    match (site, table) {
        (Some(site), NameTable::Func) => site.func.clone(),
        (Some(site), NameTable::Probe) => site.probe.clone(),
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
            Self::Bytes(bytes) => escape(bytes, out),
            Self::Name(name) => out.extend_from_slice(name.as_bytes()),
            Self::Tuple(members) => {
                out.push(b'(');
                write_list(members, out);
                out.push(b')');
            }
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
            _ => None,
        }
    }

    /// The number that an integer is.
    pub fn number(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::UInt(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    /// The order in which keys are listed: numbers by value, text by bytes, tuples by their first difference.
    pub fn key_order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Tuple(a), Self::Tuple(b)) => a
                .iter()
                .zip(b)
                .map(|(a, b)| a.key_order(b))
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.len().cmp(&b.len())),
            (Self::Str(a), Self::Str(b)) | (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Name(a), Self::Name(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Orders scalars; keys of one map have one type, so that the others are equal here does not matter.
    fn rank(&self) -> i128 {
        self.number().or_else(|| self.bits().map(i128::from)).unwrap_or(0)
    }
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
    fn names_come_from_the_sites() {
        let mut plan = plan();
        plan.sites.push(Site {
            probe: "uprobe:/bin/a:main".into(),
            func: "main".into(),
        });
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
