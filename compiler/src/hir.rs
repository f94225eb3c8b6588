//! The typed, resolved form of a script: what it means, with nothing left to look up.
//!
//! In: the checker's output. Out: read by lowering and by the direct evaluator that tests compare it with; both obey
//! what is said here and share no other code.
//!
//! Invariants: every expression has a type; operands of arithmetic and comparison have the same type, with explicit
//! [`ExprKind::Convert`]s where the script left them out; every map has one key type and one value type, and every
//! access converts to them; a place that a script may not assign to is never assigned to.
//!
//! **Arithmetic.** Integer operations are done on 64 bits, wrapping, and their result is wrapped to the type of the
//! expression. `/`, `%`, `>>` and the order comparisons are signed where the operands' type is; division by zero and
//! the remainder of it give 1 and are counted ([`crate::plan::LossKind::ZeroDivision`]), `i64::MIN / -1` wraps; shifts count by the low 6 bits.

use crate::builtin::BuiltinId;
use crate::ctype::{Bits, Field, StructId};
use crate::plan::{Attach, Event, EventId, MapId, ProgramKind, Settings, Site};
use crate::types::Type;
use crumbs_grammar::span::Span;
use std::collections::HashMap;
use std::sync::Arc;

mod display;
pub mod intrinsic;

pub use intrinsic::{Clock, Intrinsic};

/// A whole script.
#[derive(Clone, Debug)]
pub struct Script {
    /// One program each, in the order of the script.
    pub probes: Vec<Probe>,
    /// The maps, in order of first use.
    pub maps: Vec<Map>,
    /// What programs send. Record offsets and sizes are final.
    pub events: Vec<Event>,
    /// The events that tell of reads of memory which fail, by the place of the [`ExprKind::Read`]; only where that is asked for.
    pub read_failures: HashMap<Span, EventId>,
    /// Every place that a program is attached to; indexed by attach cookie.
    pub sites: Vec<Site>,
    /// The fields of every struct of which values are shown ([`crate::plan::Plan::structs`]).
    pub structs: HashMap<StructId, Arc<[Field]>>,
    /// Settings that the runtime obeys.
    pub settings: Settings,
    /// Settings that code generation obeys.
    pub config: Config,
}

/// Settings of a `config` block or the environment that decide what is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Elements of a map that does not state its own size.
    pub max_map_keys: u32,
    /// Greatest length of strings that are read, in bytes without the NUL: `str` gives `Str(max_strlen + 1)`.
    pub max_strlen: u32,
    /// Size of the main ring buffer in bytes, a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// The map without keys whose integer `tseries` takes for the time, in place of the clock's; its name without `@`.
    pub series_clock: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_map_keys: 1 << 16,
            max_strlen: 1024,
            ring_bytes: 1 << 18,
            series_clock: None,
        }
    }
}

/// One program.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What the kernel sees it as.
    pub kind: ProgramKind,
    /// The name of its probe kind, for symbols and listings: `uprobe`.
    pub kind_name: &'static str,
    /// Where it runs. `probe` and `func` are constants of the only site where there is one, else found by the cookie.
    pub attach: Vec<Attach>,
    /// Whether only processes of this id (thread group) pass, as seen in the target's pid namespace.
    pub pid_filter: Option<u32>,
    /// Its variables; several can have one name (in different blocks).
    pub vars: Vec<Var>,
    /// The body runs only where this holds. A scalar.
    pub predicate: Option<Expr>,
    /// The body.
    pub body: Vec<Stmt>,
    /// The probe block.
    pub span: Span,
}

/// Index into [`Probe::vars`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VarId(pub u32);

/// A variable. It starts as zeros (0, `false`, an empty string) each time its declaration's block is entered.
#[derive(Clone, Debug)]
pub struct Var {
    /// Its name without `$`.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Where it is declared.
    pub span: Span,
}

/// A map.
#[derive(Clone, Debug)]
pub struct Map {
    /// Its name without `@`.
    pub name: String,
    /// The type of its key; several keys are a tuple. `None` for a map without.
    pub key: Option<Type>,
    /// The type of its value.
    pub value: Type,
    /// How many elements it may have, where the script says so.
    pub max_entries: Option<u32>,
    /// Whether a full map drops what was used least lately, instead of refusing what is new.
    pub evicts: bool,
    /// Whether anything deletes single elements.
    pub deleted_from: bool,
    /// Whether it is cleared or zeroed.
    pub cleared: bool,
    /// Whether a print takes its contents away ([`crate::plan::AfterPrint`]), or it is cleared: it has two generations
    /// then.
    pub taken: bool,
    /// Whether the script asks for its length.
    pub measured: bool,
    /// Its first use.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// Evaluates for its effects.
    Eval(Expr),
    /// `$v = e`. The types are equal.
    SetVar(VarId, Expr),
    /// `@m[key] = e`. The types are the map's.
    SetMap {
        /// The map.
        map: MapId,
        /// Its key.
        key: Option<Expr>,
        /// The new value.
        value: Expr,
    },
    /// `@m[key] op= e` on integers, or `+=` and `-=` of bytes on pointers: one atomic step. An absent element counts as 0.
    UpdateMap {
        /// The map.
        map: MapId,
        /// Its key.
        key: Option<Expr>,
        /// The operation.
        op: ArithOp,
        /// The right operand, of the map's value type.
        value: Expr,
    },
    /// `@m[key] = count()` and the like.
    Aggregate {
        /// The map; its value type is a [`Type::Agg`].
        map: MapId,
        /// Its key.
        key: Option<Expr>,
        /// The aggregated number, an integer of 64 bits, for those that take one.
        value: Option<Expr>,
        /// What the event weighs, an integer of 64 bits; 1 without.
        weight: Option<Expr>,
    },
    /// `if`.
    If {
        /// A scalar; true unless 0.
        cond: Expr,
        /// Where it holds.
        then: Vec<Stmt>,
        /// Where not.
        otherwise: Vec<Stmt>,
    },
    /// `for $v : a..b`.
    ForRange {
        /// Counts from the first bound to below the second; a variable of the body, which starts each iteration as the
        /// count, whatever the body did to it before.
        var: VarId,
        /// The first bound, an int64. Bounds are evaluated once, this one first.
        from: Expr,
        /// The second bound, an int64.
        to: Expr,
        /// The variables of the body.
        locals: Locals,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `for ($kv : @m)`: for each element of a map with keys, in no particular order. Whether elements that are added or
    /// deleted meanwhile are met is not said; the present one may be deleted.
    ForMap {
        /// Key and value of the element, a tuple; a variable of the body. The value of an aggregation is what
        /// [`ExprKind::Reduced`] gives.
        var: VarId,
        /// The map.
        map: MapId,
        /// The variables of the body.
        locals: Locals,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `while (cond)`.
    While {
        /// A scalar, evaluated before each iteration; its variables belong to the body.
        cond: Expr,
        /// The variables of the body.
        locals: Locals,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `unroll(n)`: `n` times the body.
    Unroll {
        /// How often.
        count: u32,
        /// The variables of the body.
        locals: Locals,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `break`: ends the innermost loop.
    Break,
    /// `continue`: ends this iteration of the innermost loop.
    Continue,
    /// `return`: ends the program.
    Return,
    /// `return` in a function of the script: goes to the end of the innermost [`ExprKind::Inlined`].
    Leave,
}

/// The variables that a loop's body declares: they are zeros again at the start of each iteration. All others keep what
/// they hold from one iteration to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locals {
    /// The first.
    pub first: u32,
    /// Behind the last.
    pub end: u32,
}

impl Locals {
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = VarId> {
        (self.first..self.end).map(VarId)
    }

    /// Whether a variable is one of them.
    pub fn contains(self, var: VarId) -> bool {
        (self.first..self.end).contains(&var.0)
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Type,
    /// Its place.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A constant of a scalar type, as its 64-bit pattern.
    Const(i64),
    /// Text; the type is `Str(n)` with `n` above its length.
    Str(Vec<u8>),
    /// Constant bytes; the type is an array of `uint8` of that length.
    Bytes(Vec<u8>),
    /// A variable.
    Var(VarId),
    /// An element of a map; zeros where absent. Never an aggregation.
    MapValue {
        /// The map.
        map: MapId,
        /// Its key.
        key: Option<Box<Expr>>,
    },
    /// A named value of the program's surroundings.
    Builtin(BuiltinId),
    /// `argN`: the N-th argument as a 64-bit pattern.
    Arg(u8),
    /// 8 bytes at this offset of the program's context, as a 64-bit pattern: a register, or an argument of a raw
    /// tracepoint.
    Context(u32),
    /// `retval`, as a 64-bit pattern.
    ReturnValue,
    /// A scalar field of the tracepoint's record: `width` bytes at `offset`, extended by `signed`.
    RecordField {
        /// Offset in the record.
        offset: u32,
        /// Bytes.
        width: u8,
        /// Sign- rather than zero-extended.
        signed: bool,
    },
    /// A character array within the tracepoint's record, as text; the type is `Str(size + 1)` at most.
    RecordText {
        /// Offset in the record.
        offset: u32,
        /// Bytes.
        size: u32,
    },
    /// A `__data_loc` (or `__rel_loc`) character array of the tracepoint's record, as text of at most the type's
    /// capacity.
    RecordDynamicText {
        /// Offset of the locator in the record.
        offset: u32,
        /// Whether the locator counts from behind itself.
        relative: bool,
    },
    /// So many bytes of the tracepoint's record from `offset` on, in the type's layout: a struct or an array.
    RecordBytes {
        /// Offset in the record.
        offset: u32,
    },
    /// What lies `offset` bytes behind an address, in the type's layout; where `bits` are given, those bits of the
    /// integer there ([`Bits::is_signed`] says as which number). The pointer's space says which memory. What cannot be
    /// read is zeros, and counted ([`crate::plan::LossKind::Read`]). `Str(n)` is a character array of `n - 1` bytes as
    /// text; that of an array which cannot be read is as for [`ExprKind::ReadText`].
    Read {
        /// A pointer.
        address: Box<Expr>,
        /// Bytes behind it.
        offset: u32,
        /// Which bits, for a bitfield.
        bits: Option<Bits>,
    },
    /// The same of the bytes of a value: part of a struct, an array, text or a buffer. It lies within the value, but for
    /// the NUL that a character array need not have.
    Part {
        /// The value.
        of: Box<Expr>,
        /// Where in it.
        offset: u32,
        /// Which bits, for a bitfield.
        bits: Option<Bits>,
    },
    /// `a[i]` of an array, text or buffer that is a value, with an index that is known only at run time; zeros where it
    /// is out of range. The index is a uint64.
    Element(Box<Expr>, Box<Expr>),
    /// `&$v`: the address of a variable, in kernel memory, valid until the program ends.
    AddressOf(VarId),
    /// `func` or `probe` in a program with several names: the attach cookie, which is the index of the first site of
    /// that name, so that equal names are equal values in all programs. A program with one name has that index as a
    /// [`ExprKind::Const`].
    SiteName,
    /// `-e`, `~e`, `!e`. `!` gives a bool and takes any scalar.
    Unary(UnaryOp, Box<Expr>),
    /// Arithmetic on integers of one type.
    Arith(ArithOp, Box<Expr>, Box<Expr>),
    /// A comparison; gives a bool. Operands are scalars of one type, or strings, buffers, arrays, tuples or records (`==`,
    /// `!=` only); strings may differ in capacity.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `a && b`: the second only where the first holds. Scalars in, bool out.
    And(Box<Expr>, Box<Expr>),
    /// `a || b`: the second only where the first does not hold.
    Or(Box<Expr>, Box<Expr>),
    /// `c ? a : b`: only one is evaluated. Both have the expression's type, which may be void.
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// The same value in the expression's type: integers wrap; anything to bool is "not 0"; bool to integer is 0 or 1;
    /// pointers, names and 64-bit integers keep their bits, enums are integers; text is cut or grows; tuples convert
    /// member by member, records by name; between integers and arrays of the same size the bytes are kept; text becomes
    /// an array of bytes, cut or with NULs behind it.
    Convert(Box<Expr>),
    /// `{ statements; e }`: runs the statements, then has the value of `e`, which may be void.
    Block {
        /// What runs first.
        body: Vec<Stmt>,
        /// The value.
        value: Box<Expr>,
    },
    /// A call of a function of the script: runs the body, up to its end or a [`StmtKind::Leave`]; then has the value of
    /// `value`, a variable that the body assigned, or is void. Variables of the body are zeros when it starts.
    Inlined {
        /// The function's name.
        name: String,
        /// The parameters are assigned, then the function's body follows.
        body: Vec<Stmt>,
        /// Its variables.
        locals: Locals,
        /// The value.
        value: Box<Expr>,
    },
    /// `(a, b)`; where the type is a record, `(x=a, y=b)` in the type's order.
    Tuple(Vec<Expr>),
    /// A struct, or bytes, made of these values: each with its type's layout at its offset, in ascending order and not
    /// overlapping; the rest is zeros.
    Assembled(Vec<(u32, Expr)>),
    /// `t.0`; of a record, the member of that index.
    Member(Box<Expr>, u32),
    /// `++`, `--` on an integer or pointer: adds `delta`. Gives the value before, or after where `prefix`. On a map: one atomic
    /// step; an absent element counts as 0.
    Increment {
        /// What is changed.
        place: Place,
        /// Added.
        delta: i64,
        /// Gives the new value.
        prefix: bool,
    },
    /// `str(address[, length])`: text read from memory, at most the type's capacity minus 1 bytes, and at most
    /// `length - 1` bytes where given (its NUL counts, as in bpftrace). Cut text is marked when shown. An address of 0
    /// gives empty text; text that cannot be read is [`crate::plan::UNREADABLE`] and counted.
    ReadText {
        /// Where; the pointer's space says which memory.
        address: Box<Expr>,
        /// At most this many bytes with the NUL.
        length: Option<Box<Expr>>,
    },
    /// What no other expression can say; see [`Intrinsic`].
    Intrinsic(Intrinsic, Vec<Expr>),
    /// `has_key(@m, key)`.
    HasKey {
        /// The map.
        map: MapId,
        /// The key.
        key: Option<Box<Expr>>,
    },
    /// `delete(@m, key)`: gives whether it was there.
    Delete {
        /// The map.
        map: MapId,
        /// The key.
        key: Option<Box<Expr>>,
    },
    /// The number that an aggregation shows, as of now and over all CPUs; 0 where the element is absent.
    Reduced {
        /// The map, whose aggregation has a [`crate::aggregation::Aggregation::reduction`].
        map: MapId,
        /// Its key.
        key: Option<Box<Expr>>,
    },
    /// `len(@m)`: how many elements.
    MapLen(MapId),
    /// Sends an event; gives nothing. An `exit` event also ends the program.
    Emit {
        /// Which; the arguments' types are its.
        event: EventId,
        /// What it carries.
        args: Vec<Expr>,
    },
}

/// Something that can be assigned to.
#[derive(Clone, Debug)]
pub enum Place {
    /// A variable.
    Var(VarId),
    /// An element of a map.
    Map {
        /// The map.
        map: MapId,
        /// Its key.
        key: Option<Box<Expr>>,
    },
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `~`.
    BitNot,
    /// `!`.
    Not,
}

/// Arithmetic operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum ArithOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Shl,
    Shr,
    And,
    Or,
    Xor,
}

impl ArithOp {
    /// Whether this may turn out to be a division by zero.
    pub fn may_divide_by_zero(self, by: &Expr) -> bool {
        matches!(self, Self::Div | Self::Mod) && !matches!(by.kind, ExprKind::Const(n) if n != 0)
    }
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}
