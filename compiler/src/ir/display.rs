//! IR as text, for `-d ir` and goldens.
//!
//! ```text
//! function p0_uprobe (Kprobe)
//!   s0: 8 bytes, frame -8
//! b0:
//!   v0 = ctx.u64[96]
//!   v1 = const 5
//!   if v0 s> v1 goto b1(v0) else b2
//! b1(v2):
//!   return v2
//! ```

use super::{
    AtomicOp, BinOp, Block, BlockData, CallbackId, Cond, Function, Home, Inst, InstData, Op, Slot, Target,
    Terminator, Value, Width,
};
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

entity! { Value "v" Block "b" Inst "i" Slot "s" CallbackId "callback " }

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "function {} ({:?})", self.name, self.kind)?;
        for (i, slot) in self.slots.iter().enumerate() {
            write!(f, "  {}: {} bytes", Slot(i as u32), slot.size)?;
            if let Some(shared) = slot.shared {
                write!(f, ", shared {shared}")?;
            }
            match slot.home {
                Home::Unplaced => writeln!(f)?,
                Home::Frame(at) => writeln!(f, ", frame {at}")?,
                Home::Scratch(at) => writeln!(f, ", scratch {at}")?,
            }
        }
        for (i, block) in self.blocks.iter().enumerate() {
            self.block(f, Block(i as u32), block)?;
        }
        self.callbacks
            .iter()
            .try_for_each(|callback| write!(f, "\n{callback}"))
    }
}

impl Function {
    fn block(&self, f: &mut fmt::Formatter<'_>, id: Block, block: &BlockData) -> fmt::Result {
        writeln!(f, "{id}{}:", List(&block.params))?;
        for inst in &block.insts {
            match self.insts.get(inst.0 as usize) {
                Some(data) => writeln!(f, "  {data}")?,
                None => writeln!(f, "  {inst}?")?,
            }
        }
        match &block.terminator {
            Some(terminator) => writeln!(f, "  {terminator}"),
            None => writeln!(f, "  (not terminated)"),
        }
    }
}

impl fmt::Display for InstData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(result) = self.result {
            write!(f, "{result} = ")?;
        }
        self.op.fmt(f)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Const(value) => write!(f, "const {value}"),
            Self::Bin(op, a, b) => write!(f, "{a} {op} {b}"),
            Self::Extend { bits, signed, value } => {
                write!(f, "{}{bits} {value}", if *signed { 's' } else { 'u' })
            }
            Self::SignedDiv { value, by, remainder } => {
                write!(f, "{value} s{} {by}", if *remainder { '%' } else { '/' })
            }
            Self::Cmp(cond, a, b) => write!(f, "{a} {cond} {b}"),
            Self::Load {
                addr,
                offset,
                width,
                signed,
            } => write!(f, "load.{}{} [{addr}{offset:+}]", sign(*signed), width),
            Self::Store {
                addr,
                offset,
                width,
                value,
            } => write!(f, "store.u{width} [{addr}{offset:+}], {value}"),
            Self::Atomic {
                op,
                addr,
                offset,
                value,
            } => write!(f, "atomic.{op} [{addr}{offset:+}], {value}"),
            Self::CompareExchange {
                addr,
                offset,
                expected,
                new,
            } => write!(f, "compare_exchange [{addr}{offset:+}], {expected}, {new}"),
            Self::Ctx => f.write_str("ctx"),
            Self::Argument(n) => write!(f, "argument {n}"),
            Self::Callback(id) => write!(f, "{id}"),
            Self::CtxLoad {
                offset,
                width,
                signed,
            } => write!(f, "ctx.{}{width}[{offset}]", sign(*signed)),
            Self::Memory(offset) => write!(f, "memory[{offset}]"),
            Self::MapPtr(map) => write!(f, "map {}", map.0),
            Self::MapSelect { selector, maps } => {
                write!(f, "map {} or {} by {selector}", maps[0].0, maps[1].0)
            }
            Self::SlotAddr(slot, offset) => write!(f, "{slot}[{offset}]"),
            Self::ElementAddr {
                base,
                index,
                count,
                stride,
            } => write!(f, "element {base}, {index} of {count} * {stride}"),
            Self::Call(helper, args) => {
                write!(f, "{}(", helper.row().name)?;
                commas(f, args)?;
                f.write_str(")")
            }
            Self::CallBounded {
                helper,
                args,
                bounded,
                max,
            } => {
                write!(f, "{}(", helper.row().name)?;
                commas(f, args)?;
                write!(f, ") with argument {bounded} at most {max}")
            }
            Self::CallSubprogram(id, args) => {
                write!(f, "{id}(")?;
                commas(f, args)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump(target) => write!(f, "goto {target}"),
            Self::Branch {
                cond,
                a,
                b,
                then,
                otherwise,
            } => write!(f, "if {a} {cond} {b} goto {then} else {otherwise}"),
            Self::Return(value) => write!(f, "return {value}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.block, List(&self.args))
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes() * 8)
    }
}

impl fmt::Display for BinOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::UDiv => "/",
            Self::URem => "%",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::Shl => "<<",
            Self::LShr => ">>",
            Self::AShr => "s>>",
        })
    }
}

impl fmt::Display for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::ULt => "<",
            Self::ULe => "<=",
            Self::UGt => ">",
            Self::UGe => ">=",
            Self::SLt => "s<",
            Self::SLe => "s<=",
            Self::SGt => "s>",
            Self::SGe => "s>=",
        })
    }
}

impl fmt::Display for AtomicOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::Exchange => "exchange",
        })
    }
}

fn sign(signed: bool) -> char {
    if signed { 's' } else { 'u' }
}

/// Values in parentheses, nothing where there are none.
struct List<'a>(&'a [Value]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str("(")?;
        commas(f, self.0)?;
        f.write_str(")")
    }
}

fn commas(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::helper::Helper;
    use crate::ir::{AtomicOp, BinOp, Builder, Cond, Op, Width};
    use crate::plan::{BpfMapId, ProgramKind};

    #[test]
    fn reads_well() {
        let mut b = Builder::new("p0".into(), ProgramKind::Kprobe);
        let [found, out] = std::array::from_fn(|_| b.block());
        let result = b.param(out);
        let slot = b.slot(4);
        let n = b.emit(Op::CtxLoad {
            offset: 96,
            width: Width::B8,
            signed: false,
        });
        let key = b.slot_addr(slot, 0);
        b.store(key, 0, Width::B8, n);
        let map = b.emit(Op::MapPtr(BpfMapId(2)));
        let value = b.call(Helper::MapLookupElem, &[map, key]);
        let zero = b.iconst(0);
        b.branch_with(Cond::Ne, value, zero, (found, &[]), (out, &[zero]));
        b.switch_to(found);
        b.atomic(AtomicOp::Add, value, 8, n);
        let low = b.emit(Op::Extend {
            bits: 32,
            signed: true,
            value: n,
        });
        let sum = b.bin(BinOp::AShr, low, zero);
        b.jump(out, &[sum]);
        b.switch_to(out);
        b.ret(result);
        assert_eq!(
            b.finish().to_string(),
            "\
function p0 (Kprobe)
  s0: 8 bytes
b0:
  v1 = ctx.u64[96]
  v2 = s0[0]
  store.u64 [v2+0], v1
  v3 = map 2
  v4 = map_lookup_elem(v3, v2)
  v5 = const 0
  if v4 != v5 goto b1 else b2(v5)
b1:
  atomic.add [v4+8], v1
  v6 = s32 v1
  v7 = v6 s>> v5
  goto b2(v7)
b2(v0):
  return v0
"
        );
    }
}
