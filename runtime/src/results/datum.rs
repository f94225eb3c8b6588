//! Values by what they are, without their layout in memory: what keys are compared by, whatever node they come from.
//!
//! In: a [`Value`] whose addresses have names. Out: a [`Datum`], and the bytes of one in the layout of a type.

use super::saved_type::SavedType;
use crate::value::Value;
use crumbs_compiler::types::{Type, align_to};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A number, an address, or the number of an enum's value.
    Int(i128),
    /// `true` or `false`.
    Bool(bool),
    /// Text as it is shown.
    Text(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// The members of a tuple, record or array.
    List(Vec<Datum>),
}

impl Datum {
    /// A value of a type as it is saved. What is shown in words is its words: no other node knows what the number meant.
    pub(super) fn of(value: &Value, ty: &SavedType) -> Self {
        match (value, ty) {
            (Value::Int(number) | Value::Enum(number, _), _) => Self::Int(i128::from(*number)),
            (Value::UInt(number) | Value::Pointer(number), _) => Self::Int(i128::from(*number)),
            (Value::Bool(value), _) => Self::Bool(*value),
            (Value::Bytes(bytes), _) => Self::Bytes(bytes.clone()),
            (Value::Tuple(members), SavedType::Tuple(types)) => Self::List(
                members
                    .iter()
                    .zip(types)
                    .map(|(member, ty)| Self::of(member, ty))
                    .collect(),
            ),
            (Value::Record(members), SavedType::Record(types)) => {
                let members = members.iter().zip(types);
                Self::List(
                    members
                        .map(|((_, member), (_, ty))| Self::of(member, ty))
                        .collect(),
                )
            }
            (Value::Array(elements), SavedType::Array(ty, _)) => {
                Self::List(elements.iter().map(|element| Self::of(element, ty)).collect())
            }
            _ => Self::Text(value.text()),
        }
    }

    /// The bytes of this at the top level of a key or value, where scalars occupy 8 bytes. `None` where it is no value of the
    /// type.
    pub(super) fn encode(&self, ty: &Type) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.scalar() {
            Some(word) if ty.is_scalar() => bytes.extend_from_slice(&word.to_ne_bytes()),
            _ => self.write(ty, &mut bytes)?,
        }
        bytes.resize(ty.slot_size() as usize, 0);
        Some(bytes)
    }

    fn scalar(&self) -> Option<u64> {
        match self {
            Self::Int(number) => Some(*number as u64),
            Self::Bool(value) => Some(u64::from(*value)),
            _ => None,
        }
    }

    /// Appends the bytes of this as a member.
    fn write(&self, ty: &Type, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        match (self, ty) {
            (Self::Int(_) | Self::Bool(_), _) if ty.is_scalar() => {
                let word = self.scalar()?;
                let (low, high) = (word.to_le_bytes(), word.to_be_bytes());
                let size = ty.size() as usize;
                out.extend_from_slice(if cfg!(target_endian = "big") {
                    &high[8 - size..]
                } else {
                    &low[..size]
                });
            }
            (Self::Text(text), Type::Str(_)) => out.extend_from_slice(text),
            (Self::Bytes(bytes), Type::Bytes(_)) => out.extend_from_slice(bytes),
            (Self::Bytes(bytes), Type::Buffer(n)) if bytes.len() <= *n as usize => {
                out.extend_from_slice(&(bytes.len() as u32).to_ne_bytes());
                out.extend_from_slice(bytes);
            }
            (Self::List(members), Type::Tuple(_) | Type::Record(_)) => {
                let offsets = ty.member_offsets();
                if offsets.len() != members.len() {
                    return None;
                }
                for ((member, ty), at) in members.iter().zip(ty.members()).zip(offsets) {
                    out.resize(start + at as usize, 0);
                    member.write(ty, out)?;
                }
            }
            (Self::List(elements), Type::Array(element, n)) if elements.len() == *n as usize => {
                elements.iter().try_for_each(|each| each.write(element, out))?;
            }
            _ => return None,
        }
        let end = start + ty.size() as usize;
        (out.len() <= end).then(|| out.resize(end, 0))
    }
}

/// Bytes that text of this length takes, its NUL among them, in whole words.
pub(super) fn capacity(length: usize) -> u32 {
    align_to(u32::try_from(length).unwrap_or(u32::MAX / 2).saturating_add(1), 8)
}
