//! The types of saved keys and values, and how JSON has both.
//!
//! | type | in JSON | a value of it |
//! |---|---|---|
//! | `int8` … `uint64` | its name | number; as decimal text where a double would not hold it |
//! | `address` | `"address"` | likewise |
//! | `bool` | `"bool"` | `true`, `false` |
//! | `text` | `"text"` | text; `{"hex": "…"}` where it is no UTF-8 |
//! | bytes | `{"bytes": n}`, `{"buffer": n}` | hexadecimal digits |
//! | enum | `{"enum": name, "int": integer type, "variants": [[name, number], …]}` | number |
//! | tuple | `{"tuple": [type, …]}` | list |
//! | record | `{"record": [[name, type], …]}` | list, in the type's order |
//! | array | `{"array": type, "length": n}` | list |

use super::datum::{Datum, capacity};
use crate::show::json::{integer, quoted};
use crumbs_compiler::ctype::EnumType;
use crumbs_compiler::types::{IntType, Space, Type};
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::sync::Arc;

/// What keys and values are at most, in bytes: as the kernel's.
const MOST_BYTES: u64 = 1 << 16;

/// The type of saved keys or values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedType {
    /// An integer.
    Int(IntType),
    /// An address.
    Address,
    /// `true` or `false`.
    Bool,
    /// Text: strings, and all that is shown in words.
    Text,
    /// So many bytes.
    Bytes(u32),
    /// At most so many bytes.
    Buffer(u32),
    /// An integer whose values have names.
    Enum(Arc<EnumType>),
    /// Several values.
    Tuple(Vec<SavedType>),
    /// Several values with names.
    Record(Vec<(String, SavedType)>),
    /// So many values of one type.
    Array(Box<SavedType>, u32),
}

impl SavedType {
    /// What values of a type are saved as.
    pub fn of(ty: &Type) -> Self {
        match ty {
            Type::Bool => Self::Bool,
            Type::Int(int) => Self::Int(*int),
            Type::Ptr(..) => Self::Address,
            Type::Bytes(n) => Self::Bytes(*n),
            Type::Buffer(n) => Self::Buffer(*n),
            Type::Enum(enumeration) => Self::Enum(Arc::clone(enumeration)),
            Type::Tuple(members) => Self::Tuple(members.iter().map(Self::of).collect()),
            Type::Record(members) => {
                let member = |(name, ty): &(String, Type)| (name.clone(), Self::of(ty));
                Self::Record(members.iter().map(member).collect())
            }
            Type::Array(element, n) => Self::Array(Box::new(Self::of(element)), *n),
            Type::Void
            | Type::Str(_)
            | Type::Struct(_)
            | Type::Name(_)
            | Type::Shown(_)
            | Type::Inet
            | Type::Stack(_)
            | Type::UserAddress
            | Type::Agg(_) => Self::Text,
        }
    }

    /// The type that programs have such values in: text with room for the longest of `data`.
    pub(super) fn live(&self, data: &mut dyn Iterator<Item = &Datum>) -> Type {
        let data: Vec<&Datum> = data.collect();
        let member = |at: usize, ty: &Self| {
            ty.live(&mut data.iter().filter_map(|datum| match datum {
                Datum::List(members) => members.get(at),
                _ => None,
            }))
        };
        match self {
            Self::Int(int) => Type::Int(*int),
            Self::Address => Type::Ptr(Box::new(Type::Void), Space::Kernel),
            Self::Bool => Type::Bool,
            Self::Text => {
                let length = |datum: &&Datum| match datum {
                    Datum::Text(text) => text.len(),
                    _ => 0,
                };
                Type::Str(capacity(data.iter().map(length).max().unwrap_or(0)))
            }
            Self::Bytes(n) => Type::Bytes(*n),
            Self::Buffer(n) => Type::Buffer(*n),
            Self::Enum(enumeration) => Type::Enum(Arc::clone(enumeration)),
            Self::Tuple(members) => Type::Tuple(
                members
                    .iter()
                    .enumerate()
                    .map(|(at, ty)| member(at, ty))
                    .collect(),
            ),
            Self::Record(members) => {
                let members = members.iter().enumerate();
                Type::Record(
                    members
                        .map(|(at, (name, ty))| (name.clone(), member(at, ty)))
                        .collect(),
                )
            }
            Self::Array(element, n) => {
                let mut elements = data.iter().flat_map(|datum| match datum {
                    Datum::List(elements) => elements.as_slice(),
                    _ => &[],
                });
                Type::Array(Box::new(element.live(&mut elements)), *n)
            }
        }
    }

    /// The type in JSON.
    pub(super) fn json(&self) -> String {
        match self {
            Self::Int(int) => format!("\"{}\"", int_name(*int)),
            Self::Address => "\"address\"".into(),
            Self::Bool => "\"bool\"".into(),
            Self::Text => "\"text\"".into(),
            Self::Bytes(n) => format!("{{\"bytes\": {n}}}"),
            Self::Buffer(n) => format!("{{\"buffer\": {n}}}"),
            Self::Enum(of) => {
                let variant = |(name, n): &(String, i64)| {
                    format!("[{}, {}]", quoted(name.as_bytes()), integer(i128::from(*n)))
                };
                let variants: Vec<String> = of.variants.iter().map(variant).collect();
                format!(
                    "{{\"enum\": {}, \"int\": \"{}\", \"variants\": [{}]}}",
                    quoted(of.name.as_bytes()),
                    int_name(of.int),
                    variants.join(", ")
                )
            }
            Self::Tuple(members) => {
                let members: Vec<String> = members.iter().map(Self::json).collect();
                format!("{{\"tuple\": [{}]}}", members.join(", "))
            }
            Self::Record(members) => {
                let member =
                    |(name, ty): &(String, Self)| format!("[{}, {}]", quoted(name.as_bytes()), ty.json());
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{\"record\": [{}]}}", members.join(", "))
            }
            Self::Array(element, n) => format!("{{\"array\": {}, \"length\": {n}}}", element.json()),
        }
    }

    /// The type that JSON has; `None` where it is none.
    pub(super) fn read(json: &Json) -> Option<Self> {
        let ty = Self::read_any(json)?;
        (ty.least_size() <= MOST_BYTES).then_some(ty)
    }

    fn read_any(json: &Json) -> Option<Self> {
        if let Some(name) = json.as_str() {
            return Some(match name {
                "address" => Self::Address,
                "bool" => Self::Bool,
                "text" => Self::Text,
                _ => Self::Int(read_int(name)?),
            });
        }
        let size = |name: &str| json.get(name)?.as_u64().and_then(|n| u32::try_from(n).ok());
        if json.get("bytes").is_some() {
            return size("bytes").map(Self::Bytes);
        }
        if json.get("buffer").is_some() {
            return size("buffer").map(Self::Buffer);
        }
        if let Some(members) = json.get("tuple") {
            let members = members.as_array()?.iter().map(Self::read_any);
            return Some(Self::Tuple(members.collect::<Option<_>>()?));
        }
        if let Some(members) = json.get("record") {
            let member =
                |json: &Json| Some((json.get(0)?.as_str()?.to_owned(), Self::read_any(json.get(1)?)?));
            return Some(Self::Record(
                members.as_array()?.iter().map(member).collect::<Option<_>>()?,
            ));
        }
        if let Some(element) = json.get("array") {
            return Some(Self::Array(Box::new(Self::read_any(element)?), size("length")?));
        }
        let int = read_int(json.get("int")?.as_str()?)?;
        let variant = |json: &Json| {
            let number = i64::try_from(read_integer(json.get(1)?)?).ok()?;
            Some((json.get(0)?.as_str()?.to_owned(), number))
        };
        Some(Self::Enum(Arc::new(EnumType {
            name: json.get("enum")?.as_str()?.to_owned(),
            int,
            variants: json
                .get("variants")?
                .as_array()?
                .iter()
                .map(variant)
                .collect::<Option<_>>()?,
        })))
    }

    /// Bytes that a value takes at least, gaps left out.
    fn least_size(&self) -> u64 {
        match self {
            Self::Int(int) => u64::from(int.bytes()),
            Self::Enum(of) => u64::from(of.int.bytes()),
            Self::Address => 8,
            Self::Bool | Self::Text => 1,
            Self::Bytes(n) | Self::Buffer(n) => u64::from(*n),
            Self::Tuple(members) => members.iter().map(Self::least_size).sum(),
            Self::Record(members) => members.iter().map(|(_, ty)| ty.least_size()).sum(),
            Self::Array(element, n) => element.least_size().max(1).saturating_mul(u64::from(*n)),
        }
    }

    /// A value in JSON.
    pub(super) fn json_of(&self, datum: &Datum) -> String {
        match (datum, self) {
            (Datum::Int(number), _) => integer(*number),
            (Datum::Bool(value), _) => value.to_string(),
            (Datum::Text(text), _) => match std::str::from_utf8(text) {
                Ok(_) => quoted(text),
                Err(_) => format!("{{\"hex\": \"{}\"}}", hex(text)),
            },
            (Datum::Bytes(bytes), _) => format!("\"{}\"", hex(bytes)),
            (Datum::List(members), Self::Array(element, _)) => {
                let members: Vec<String> = members.iter().map(|member| element.json_of(member)).collect();
                format!("[{}]", members.join(", "))
            }
            (Datum::List(members), ty) => {
                let members = members.iter().zip(ty.members());
                let members: Vec<String> = members.map(|(member, ty)| ty.json_of(member)).collect();
                format!("[{}]", members.join(", "))
            }
        }
    }

    fn members(&self) -> Vec<&Self> {
        match self {
            Self::Tuple(members) => members.iter().collect(),
            Self::Record(members) => members.iter().map(|(_, ty)| ty).collect(),
            _ => Vec::new(),
        }
    }

    /// The value that JSON has; `None` where it is none of this type.
    pub(super) fn read_value(&self, json: &Json) -> Option<Datum> {
        match self {
            Self::Int(int) => int_datum(*int, json),
            Self::Enum(of) => int_datum(of.int, json),
            Self::Address => int_datum(IntType::U64, json),
            Self::Bool => json.as_bool().map(Datum::Bool),
            Self::Text => match json.as_str() {
                Some(text) => Some(Datum::Text(text.as_bytes().to_vec())),
                None => read_hex(json.get("hex")?.as_str()?).map(Datum::Text),
            },
            Self::Bytes(n) => {
                let bytes = read_hex(json.as_str()?)?;
                (bytes.len() == *n as usize).then_some(Datum::Bytes(bytes))
            }
            Self::Buffer(n) => {
                let bytes = read_hex(json.as_str()?)?;
                (bytes.len() <= *n as usize).then_some(Datum::Bytes(bytes))
            }
            Self::Array(element, n) => {
                let elements = json.as_array()?;
                let elements = elements.iter().map(|json| element.read_value(json));
                let elements: Vec<Datum> = elements.collect::<Option<_>>()?;
                (elements.len() == *n as usize).then_some(Datum::List(elements))
            }
            Self::Tuple(_) | Self::Record(_) => {
                let (members, types) = (json.as_array()?, self.members());
                if members.len() != types.len() {
                    return None;
                }
                let members = types.iter().zip(members).map(|(ty, json)| ty.read_value(json));
                members.collect::<Option<_>>().map(Datum::List)
            }
        }
    }
}

fn int_datum(int: IntType, json: &Json) -> Option<Datum> {
    let number = read_integer(json)?;
    let fits = match int.signed {
        true => i64::try_from(number).is_ok_and(|n| int.wrap(n) == n),
        false => u64::try_from(number).is_ok_and(|n| int.wrap(n.cast_signed()).cast_unsigned() == n),
    };
    fits.then_some(Datum::Int(number))
}

/// An integer: a number, or its decimal text.
pub(super) fn read_integer(json: &Json) -> Option<i128> {
    if let Some(number) = json.as_i64() {
        return Some(i128::from(number));
    }
    if let Some(number) = json.as_u64() {
        return Some(i128::from(number));
    }
    json.as_str()?.parse().ok()
}

fn int_name(int: IntType) -> String {
    Type::Int(int).to_string()
}

fn read_int(name: &str) -> Option<IntType> {
    let widths = [8, 16, 32, 64].into_iter();
    let mut all = widths.flat_map(|bits| [true, false].map(|signed| IntType { bits, signed }));
    all.find(|int| int_name(*int) == name)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Text takes everything.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn read_hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(16 * digit(*high)? + digit(*low)?),
            _ => None,
        })
        .collect()
}
