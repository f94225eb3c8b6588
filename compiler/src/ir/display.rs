//! IR as text, for `-d ir` and goldens.

use super::{Block, Inst, Slot, Value};
use std::fmt;

macro_rules! entity {
    ($($ty:ident $prefix:literal)*) => {$(
        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    )*};
}

entity! { Value "v" Block "b" Inst "i" Slot "s" }
