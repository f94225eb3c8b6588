//! The arguments of a call, kept in place: as many as there are argument registers at most, so that operations are plain
//! data that is copied without allocating.

use super::Value;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// Registers that BPF passes arguments in.
const MOST: usize = 5;

/// Up to 5 values, in order; used as a slice.
#[derive(Clone, Copy)]
pub struct Args {
    values: [Value; MOST],
    count: u8,
}

impl From<&[Value]> for Args {
    /// # Panics
    /// With more than 5 values: no helper takes them.
    fn from(values: &[Value]) -> Self {
        let mut args = Self {
            values: [Value(0); MOST],
            count: values.len() as u8,
        };
        args.values[..values.len()].copy_from_slice(values);
        args
    }
}

impl<const N: usize> From<[Value; N]> for Args {
    fn from(values: [Value; N]) -> Self {
        const { assert!(N <= MOST, "no helper takes more") };
        Self::from(&values[..])
    }
}

impl Deref for Args {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values[..usize::from(self.count)]
    }
}

impl DerefMut for Args {
    fn deref_mut(&mut self) -> &mut [Value] {
        &mut self.values[..usize::from(self.count)]
    }
}

impl PartialEq for Args {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Args {}

impl Hash for Args {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
