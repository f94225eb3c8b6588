//! The tokens of the language, and the logos lexer for code (everything but attach points).
//!
//! In: the text of a predicate, a body or a declaration. Out: one [`Token`] after the other; whitespace and comments are
//! skipped by the caller ([`crate::lexer`]), which also makes the tokens that depend on the place.

use std::fmt;

use logos::Logos;

use crate::ast::BodyForm;
use crate::literal::{self, NumberError};

/// Why there is no token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LexError {
    /// A character that begins nothing.
    #[default]
    Unexpected,
    /// A number that means nothing.
    Number(NumberError),
    /// A string without its closing quote.
    UnterminatedString,
    /// A string between single quotes.
    SingleQuotes,
    /// `$` without a name or number behind it.
    BareDollar,
}

impl From<NumberError> for LexError {
    fn from(error: NumberError) -> Self {
        Self::Number(error)
    }
}

/// A token. Text is borrowed from the script.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(error = LexError)]
#[expect(
    missing_docs,
    reason = "punctuation and keywords are documented by their text"
)]
pub enum Token<'s> {
    // Made by the lexer at the top level.
    /// One attach point as written, `kprobe:vfs_*`.
    AttachPoint(&'s str),
    /// C text: a definition or a preprocessor line.
    CText(&'s str),
    /// `config` at the top level.
    Config,
    /// `macro` at the top level.
    Macro,
    /// `fn` at the top level.
    Fn,
    /// The slash that begins a predicate.
    PredicateOpen,
    /// The slash that ends a predicate.
    PredicateClose,
    /// `{` or `<` that begins a probe's body.
    BodyOpen(BodyForm),
    /// `}` or `>` that ends a probe's body.
    BodyClose,

    // Made from their plain forms by `crate::context`, which looks ahead.
    /// `(` of a cast.
    CastOpen,
    /// `{` where an operand stands: a block used for its value.
    ValueOpen,
    /// `if` where an operand stands: used for its value.
    ValueIf,
    /// Stands in front of an argument that is a type. Has no text.
    TypeMark,

    // Made by `crate::recover`.
    /// A statement that has been reported and is skipped.
    ErrorStmt,
    /// An expression that has been reported and is skipped.
    ErrorExpr,

    /// A number, suffix applied.
    #[regex(r"[0-9][0-9A-Za-z_]*", |lex| literal::integer(lex.slice()))]
    Int(u64),
    /// A number with a fraction or a negative exponent.
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9]+)?([A-Za-z_][0-9A-Za-z_]*)?", |lex| literal::float(lex.slice()))]
    #[regex(r"[0-9][0-9_]*[eE]-[0-9]+", |lex| literal::float(lex.slice()))]
    Float(f64),
    /// The text between the quotes, escapes as written.
    #[regex(r#""([^"\\\n]|\\[^\n])*""#, |lex| &lex.slice()[1..lex.slice().len() - 1])]
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#, |_| Err(LexError::UnterminatedString))]
    #[regex(r"'([^'\\\n]|\\[^\n])*'", |_| Err(LexError::SingleQuotes))]
    Str(&'s str),
    /// A word that is no keyword.
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Ident(&'s str),
    /// The name behind `$`.
    #[regex(r"\$[A-Za-z_][A-Za-z0-9_]*", |lex| &lex.slice()[1..])]
    #[token("$", |_| Err(LexError::BareDollar))]
    Var(&'s str),
    /// The name behind `@`; may be empty.
    #[regex(r"@([A-Za-z_][A-Za-z0-9_]*)?", |lex| &lex.slice()[1..])]
    Map(&'s str),
    /// The number behind `$`.
    #[regex(r"\$[0-9]+", |lex| literal::positional(&lex.slice()[1..]))]
    Positional(u32),
    #[token("$#")]
    PositionalCount,

    #[token("if")]
    If,
    #[token("else")]
    Else,
    #[token("for")]
    For,
    #[token("while")]
    While,
    #[token("unroll")]
    Unroll,
    #[token("let")]
    Let,
    #[token("return")]
    Return,
    #[token("break")]
    Break,
    #[token("continue")]
    Continue,
    #[token("import")]
    Import,
    #[token("true")]
    True,
    #[token("false")]
    False,
    #[token("sizeof")]
    Sizeof,
    #[token("offsetof")]
    Offsetof,
    #[token("typeof")]
    Typeof,
    #[token("typeinfo")]
    Typeinfo,
    #[token("comptime")]
    Comptime,
    #[token("struct")]
    Struct,
    #[token("union")]
    Union,
    #[token("enum")]
    Enum,

    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semi,
    #[token(":")]
    Colon,
    #[token("?")]
    Question,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("->")]
    Arrow,
    #[token("++")]
    PlusPlus,
    #[token("--")]
    MinusMinus,
    #[token("!")]
    Bang,
    #[token("~")]
    Tilde,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("<<")]
    Shl,
    #[token(">>")]
    Shr,
    #[token("<")]
    Lt,
    #[token("<=")]
    Le,
    #[token(">")]
    Gt,
    #[token(">=")]
    Ge,
    #[token("==")]
    EqEq,
    #[token("!=")]
    Ne,
    #[token("&")]
    Amp,
    #[token("^")]
    Caret,
    #[token("|")]
    Pipe,
    #[token("&&")]
    AndAnd,
    #[token("||")]
    OrOr,
    #[token("=")]
    Assign,
    #[token("+=")]
    PlusAssign,
    #[token("-=")]
    MinusAssign,
    #[token("*=")]
    StarAssign,
    #[token("/=")]
    SlashAssign,
    #[token("%=")]
    PercentAssign,
    #[token("<<=")]
    ShlAssign,
    #[token(">>=")]
    ShrAssign,
    #[token("&=")]
    AmpAssign,
    #[token("^=")]
    CaretAssign,
    #[token("|=")]
    PipeAssign,
}

impl Token<'_> {
    /// The text of punctuation and keywords; `None` for tokens whose text varies or that have none.
    pub fn fixed_text(&self) -> Option<&'static str> {
        use Token::*;
        Some(match self {
            Config => "config",
            Macro => "macro",
            Fn => "fn",
            PredicateOpen | PredicateClose | Slash => "/",
            BodyOpen(BodyForm::Braces) | LBrace | ValueOpen => "{",
            BodyOpen(BodyForm::Angles) | Lt => "<",
            CastOpen | LParen => "(",
            If | ValueIf => "if",
            Else => "else",
            For => "for",
            While => "while",
            Unroll => "unroll",
            Let => "let",
            Return => "return",
            Break => "break",
            Continue => "continue",
            Import => "import",
            True => "true",
            False => "false",
            Sizeof => "sizeof",
            Offsetof => "offsetof",
            Typeof => "typeof",
            Typeinfo => "typeinfo",
            Comptime => "comptime",
            Struct => "struct",
            Union => "union",
            Enum => "enum",
            PositionalCount => "$#",
            RParen => ")",
            LBracket => "[",
            RBracket => "]",
            RBrace => "}",
            Comma => ",",
            Semi => ";",
            Colon => ":",
            Question => "?",
            Dot => ".",
            DotDot => "..",
            Arrow => "->",
            PlusPlus => "++",
            MinusMinus => "--",
            Bang => "!",
            Tilde => "~",
            Star => "*",
            Percent => "%",
            Plus => "+",
            Minus => "-",
            Shl => "<<",
            Shr => ">>",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            EqEq => "==",
            Ne => "!=",
            Amp => "&",
            Caret => "^",
            Pipe => "|",
            AndAnd => "&&",
            OrOr => "||",
            Assign => "=",
            PlusAssign => "+=",
            MinusAssign => "-=",
            StarAssign => "*=",
            SlashAssign => "/=",
            PercentAssign => "%=",
            ShlAssign => "<<=",
            ShrAssign => ">>=",
            AmpAssign => "&=",
            CaretAssign => "^=",
            PipeAssign => "|=",
            AttachPoint(_) | CText(_) | BodyClose | TypeMark | ErrorStmt | ErrorExpr | Int(_) | Float(_)
            | Str(_) | Ident(_) | Var(_) | Map(_) | Positional(_) => return None,
        })
    }

    /// Whether an operand can end with this token, so that what follows is an operator or a postfix.
    pub(crate) fn ends_operand(&self) -> bool {
        use Token::*;
        matches!(
            self,
            Int(_)
                | Float(_)
                | Str(_)
                | Ident(_)
                | Var(_)
                | Map(_)
                | Positional(_)
                | PositionalCount
                | True
                | False
                | RParen
                | RBracket
                | RBrace
                | PlusPlus
                | MinusMinus
                | ErrorExpr
        )
    }

    /// Whether a statement can begin with this token and no operator is written like it.
    pub(crate) fn starts_statement(&self) -> bool {
        use Token::*;
        matches!(
            self,
            Ident(_)
                | Var(_)
                | Map(_)
                | If
                | For
                | While
                | Unroll
                | Let
                | Return
                | Break
                | Continue
                | Import
                | PlusPlus
                | MinusMinus
        )
    }
}

/// One line of `-d tokens`: what kind of token it is where the text alone does not say, and the text.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttachPoint(text) => write!(f, "attach point {text}"),
            Self::CText(text) => write!(f, "C text {text:?}"),
            Self::PredicateOpen => f.write_str("predicate opens /"),
            Self::PredicateClose => f.write_str("predicate closes /"),
            Self::BodyOpen(BodyForm::Braces) => f.write_str("body opens {"),
            Self::BodyOpen(BodyForm::Angles) => f.write_str("body opens <"),
            Self::BodyClose => f.write_str("body closes"),
            Self::TypeMark => f.write_str("type"),
            Self::ErrorStmt | Self::ErrorExpr => f.write_str("error"),
            Self::Int(value) => write!(f, "number {value}"),
            Self::Float(value) => write!(f, "number {value:?}"),
            Self::Str(text) => write!(f, "string \"{text}\""),
            Self::Ident(name) => write!(f, "identifier {name}"),
            Self::Var(name) => write!(f, "variable ${name}"),
            Self::Map(name) => write!(f, "map @{name}"),
            Self::Positional(n) => write!(f, "parameter ${n}"),
            other => f.write_str(other.fixed_text().unwrap_or_default()),
        }
    }
}
