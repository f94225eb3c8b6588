//! `printf` formats: parsed once by the compiler, filled in by the printer.

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that is printed as it is (`%%` is `%` here).
    Text(Vec<u8>),
    /// A conversion; takes the next argument.
    Conversion(Conversion),
}

/// `%[flags][width][.precision][length]specifier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// `-`.
    pub left: bool,
    /// `+`.
    pub plus: bool,
    /// ` `.
    pub space: bool,
    /// `#`.
    pub alternate: bool,
    /// `0`.
    pub zero: bool,
    /// Least width in characters.
    pub width: Option<u32>,
    /// Precision: least digits of integers, most bytes of strings.
    pub precision: Option<u32>,
    /// How the argument is shown.
    pub specifier: Specifier,
}

/// How an argument is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Specifier {
    /// `%d`, `%i`: signed decimal of the low `bits`.
    Signed(u8),
    /// `%u`: unsigned decimal of the low `bits`.
    Unsigned(u8),
    /// `%x`.
    HexLower(u8),
    /// `%X`.
    HexUpper(u8),
    /// `%o`.
    Octal(u8),
    /// `%c`.
    Char,
    /// `%p`.
    Pointer,
    /// `%s`: any value as `print` shows it.
    Text,
    /// `%r`: bytes, printable ones as they are.
    Raw,
    /// `%rx`: all bytes as `\xNN`.
    RawHex,
    /// `%rh`: all bytes as two hex digits, separated by spaces.
    RawHexSpaced,
}
