//! Lowering: typed HIR to SSA IR.

use crate::ir::Value;

/// One program under construction.
pub struct BodyCx<'a> {
    marker: std::marker::PhantomData<&'a ()>,
}

impl BodyCx<'_> {
    pub(crate) fn pid(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn tid(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn uid(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn gid(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn comm(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn nsecs(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn elapsed(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn cpu(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn ncpus(&mut self) -> Value {
        Value(0)
    }
    pub(crate) fn rand(&mut self) -> Value {
        Value(0)
    }
}
