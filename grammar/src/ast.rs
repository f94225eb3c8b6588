//! The syntax tree, as written: nothing resolved, nothing desugared, so that the formatter and diagnostics can show
//! a script as its author typed it.
//!
//! Invariant: every span lies within the script's text and covers the whole construct.

use crate::span::{Span, Spanned};

/// A name and where it stands. Without its sigil (`$`, `@`).
pub type Name = Spanned<String>;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// `#!…` on the first line.
    pub shebang: Option<Spanned<String>>,
    /// Everything else, in order.
    pub items: Vec<Item>,
    /// All comments in order (`//…` and `/*…*/`, with their delimiters), for the formatter.
    pub comments: Vec<Spanned<String>>,
}

/// What may stand at the top level.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `probe /predicate/ { … }`.
    Probe(Probe),
    /// `config = { key = value; … }`.
    Config(Config),
    /// `import "path";`.
    Import(Import),
    /// `let @name = kind(entries);`.
    MapDecl(MapDecl),
    /// `macro name(…) { … }`.
    Macro(Macro),
    /// `fn name($a : type, …) : type { … }`.
    Function(Function),
    /// C text: `#include`, `#define`, `struct`, `union`, `enum` definitions, as written.
    C(Spanned<String>),
}

/// One block of code with the places it runs at.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The attach points, in order; at least one unless the parser recovered from an error.
    pub attach_points: Vec<AttachPoint>,
    /// The expression between slashes.
    pub predicate: Option<Expr>,
    /// The statements.
    pub body: Block,
    /// Which delimiters the body has.
    pub form: BodyForm,
    /// From the first attach point to the closing delimiter.
    pub span: Span,
}

/// The delimiters of a probe's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// `{ … }`.
    Braces,
    /// `< … >`.
    Angles,
}

/// `[name=]kind:part:part…`, split at the colons outside quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachPoint {
    /// `name=` in front.
    pub label: Option<Name>,
    /// The parts, quotes removed and escapes resolved; never empty.
    pub parts: Vec<AttachPart>,
    /// The whole attach point.
    pub span: Span,
}

/// One part of an attach point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachPart {
    /// The text, as meant.
    pub text: String,
    /// Whether any of it was quoted: quoted text has no wildcards and no `+offset`.
    pub quoted: bool,
    /// Where it stands, with quotes.
    pub span: Span,
}

/// `config = { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The assignments, in order.
    pub entries: Vec<(Name, Spanned<ConfigValue>)>,
    /// All of it.
    pub span: Span,
}

/// The right side of a config assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigValue {
    /// A number.
    Int(u64),
    /// A bare word, `true` and `false` among them.
    Word(String),
    /// A string.
    Str(String),
}

/// `import "path";`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The path.
    pub path: Spanned<String>,
    /// All of it.
    pub span: Span,
}

/// `let @name = kind(entries);`.
#[derive(Clone, Debug, PartialEq)]
pub struct MapDecl {
    /// The map.
    pub name: Name,
    /// `hash`, `lruhash`, ….
    pub kind: Name,
    /// What stands between the parentheses.
    pub args: Vec<Expr>,
    /// All of it.
    pub span: Span,
}

/// `macro name(params) { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Macro {
    /// Its name.
    pub name: Name,
    /// Its parameters.
    pub params: Vec<MacroParam>,
    /// Its body.
    pub body: Block,
    /// All of it.
    pub span: Span,
}

/// What a macro takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacroParam {
    /// `$v`: a variable, by reference.
    Var(Name),
    /// `@m`: a map.
    Map(Name),
    /// `x`: an expression.
    Expr(Name),
}

/// `fn name($a : type, …) : type { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// Its parameters and their types.
    pub params: Vec<(Name, TypeExpr)>,
    /// What it returns.
    pub result: Option<TypeExpr>,
    /// Its body.
    pub body: Block,
    /// All of it.
    pub span: Span,
}

/// Statements between delimiters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The statements, in order.
    pub stmts: Vec<Stmt>,
    /// A last expression without `;`: the block's value where it is used as an expression.
    pub value: Option<Box<Expr>>,
    /// With the delimiters.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// Its place, with the `;`.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `expr;`.
    Expr(Expr),
    /// `_ = expr;`.
    Discard(Expr),
    /// `target = value;` and `target op= value;`. `target` is any expression; the checker says what may be assigned.
    Assign {
        /// What is assigned to.
        target: Expr,
        /// The operator of a compound assignment.
        op: Option<Spanned<BinaryOp>>,
        /// What is assigned.
        value: Expr,
    },
    /// `let $name [: type] [= value];`.
    Let {
        /// The variable.
        name: Name,
        /// The declared type.
        ty: Option<TypeExpr>,
        /// The first value.
        value: Option<Expr>,
    },
    /// `if` as a statement. As an expression it is [`ExprKind::If`].
    If(IfExpr),
    /// `for $i : a..b { … }`, `for ($kv : @map) { … }`.
    For {
        /// The loop variable.
        var: Name,
        /// What is iterated.
        over: ForOver,
        /// The body.
        body: Block,
    },
    /// `while (cond) { … }`.
    While {
        /// The condition.
        cond: Expr,
        /// The body.
        body: Block,
    },
    /// `unroll(n) { … }`.
    Unroll {
        /// How often.
        count: Expr,
        /// The body.
        body: Block,
    },
    /// `{ … }` as a statement.
    Block(Block),
    /// `break;`.
    Break,
    /// `continue;`.
    Continue,
    /// `return [expr];`.
    Return(Option<Expr>),
    /// `import "path";` inside a block.
    Import(Import),
    /// What the parser skipped after an error; it has been reported.
    Error,
}

/// What a `for` goes over.
#[derive(Clone, Debug, PartialEq)]
pub enum ForOver {
    /// `start..end`, end excluded.
    Range(Expr, Expr),
    /// A map, or any other expression.
    Expr(Expr),
}

/// `if cond { … } else …`.
#[derive(Clone, Debug, PartialEq)]
pub struct IfExpr {
    /// The condition (without `comptime`, see `comptime`).
    pub cond: Box<Expr>,
    /// The first branch.
    pub then: Block,
    /// The other branch: `else { … }`; for `else if` a block whose only content is that `if`.
    pub otherwise: Option<Block>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// Its place; parentheses around it are included.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number, suffix applied (`1ms` is 1000000). How it was written is to be read from the text.
    Int(u64),
    /// A number with a fraction, for display only (`1.5`, `1.0e9`).
    Float(f64),
    /// A string, escapes resolved. Bytes, because `\xff` is allowed.
    Str(Vec<u8>),
    /// `true`, `false`.
    Bool(bool),
    /// `$name`.
    Var(String),
    /// `$1`, `$2`, ….
    Positional(u32),
    /// `$#`.
    PositionalCount,
    /// `@name` or `@name[key, …]`; `@` alone has the empty name. `key` is `None` without brackets.
    Map {
        /// The name without `@`.
        name: String,
        /// The expressions between the brackets.
        key: Option<Vec<Expr>>,
    },
    /// A bare word: a builtin, a constant, a macro without parentheses.
    Ident(String),
    /// `name(arg, …)`.
    Call {
        /// The function.
        name: Name,
        /// The arguments.
        args: Vec<Arg>,
    },
    /// `-e`, `!e`, `~e`, `*e`, `&e`.
    Unary(UnaryOp, Box<Expr>),
    /// `++e`, `--e`, `e++`, `e--`.
    IncDec {
        /// `++` rather than `--`.
        increment: bool,
        /// In front rather than behind.
        prefix: bool,
        /// What is changed.
        target: Box<Expr>,
    },
    /// `a op b`.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `c ? a : b`; `c ?: b` has no second operand.
    Ternary(Box<Expr>, Option<Box<Expr>>, Box<Expr>),
    /// `e.name`.
    Field(Box<Expr>, Name),
    /// `e->name`.
    Arrow(Box<Expr>, Name),
    /// `e.0`.
    TupleIndex(Box<Expr>, Spanned<u64>),
    /// `e[i]` on something that is not a map by name.
    Index(Box<Expr>, Box<Expr>),
    /// `(type)e`.
    Cast(TypeExpr, Box<Expr>),
    /// `(a, b)`, `(a,)`, `()`.
    Tuple(Vec<Expr>),
    /// `(name=a, size=2)`.
    Record(Vec<(Name, Expr)>),
    /// `sizeof(type)`, `offsetof(type, a.b)`, `typeof(type)`, `typeinfo(type)` whose operand is a type. With an
    /// expression as operand these are [`ExprKind::Call`].
    TypeCall {
        /// The function's name.
        name: Name,
        /// The type.
        ty: TypeExpr,
        /// The path behind a comma, for `offsetof`.
        path: Vec<Name>,
    },
    /// `comptime e`.
    Comptime(Box<Expr>),
    /// `if c { a } else { b }` as an expression.
    If(IfExpr),
    /// `{ stmts; e }` as an expression.
    Block(Block),
    /// What the parser skipped after an error; it has been reported.
    Error,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// An expression.
    Expr(Expr),
    /// A type, where the text can be nothing else (`struct foo`, `int32*`).
    Type(TypeExpr),
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// Which.
    pub kind: TypeExprKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of written type.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeExprKind {
    /// `int32`, `task_struct`, `string`, `void`.
    Name(String),
    /// `struct x`, `union x`, `enum x`: the keyword and the tag.
    Tagged(TagKeyword, String),
    /// `string[64]`, `buffer[16]`, `int32[4]`; `None` for `[]`.
    Array(Box<TypeExpr>, Option<Box<Expr>>),
    /// `type*`.
    Pointer(Box<TypeExpr>),
    /// `(a, b)`.
    Tuple(Vec<TypeExpr>),
    /// `typeof(expr)`.
    TypeOf(Box<Expr>),
    /// `typeof(type)`.
    TypeOfType(Box<TypeExpr>),
}

/// `struct`, `union`, `enum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKeyword {
    /// `struct`.
    Struct,
    /// `union`.
    Union,
    /// `enum`.
    Enum,
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`.
    Neg,
    /// `!`.
    Not,
    /// `~`.
    BitNot,
    /// `*`.
    Deref,
    /// `&`.
    AddressOf,
}

/// Operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum BinaryOp {
    Mul,
    Div,
    Mod,
    Add,
    Sub,
    Shl,
    Shr,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    BitAnd,
    BitXor,
    BitOr,
    And,
    Or,
}

/// `sizeof(…)` and its like: of a type, or else a call like any other.
pub fn type_call(name: Name, args: Vec<Arg>) -> ExprKind {
    let path = match args.as_slice() {
        [Arg::Type(_)] => Some(Vec::new()),
        [Arg::Type(_), Arg::Expr(path)] => field_path(path),
        _ => None,
    };
    let mut args = args.into_iter();
    match (path, args.next()) {
        (Some(path), Some(Arg::Type(ty))) => ExprKind::TypeCall { name, ty, path },
        (_, first) => ExprKind::Call {
            name,
            args: first.into_iter().chain(args).collect(),
        },
    }
}

/// The names of `a.b.c`.
fn field_path(mut expr: &Expr) -> Option<Vec<Name>> {
    let mut path = Vec::new();
    loop {
        match &expr.kind {
            ExprKind::Field(of, name) => {
                path.push(name.clone());
                expr = of;
            }
            ExprKind::Ident(name) => {
                path.push(Spanned::new(name.clone(), expr.span));
                path.reverse();
                return Some(path);
            }
            _ => return None,
        }
    }
}
