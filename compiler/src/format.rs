//! `printf` formats: parsed once by the compiler, filled in by the printer.

use crate::decimal::Decimal;

pub mod kernel;

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
    /// A conversion; takes the next arguments, mostly one.
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
    /// Where what is shown is computed of several arguments, or none, rather than being the next one.
    pub computed: Option<Decimal>,
}

impl Conversion {
    /// How many arguments it takes.
    pub fn arguments(&self) -> usize {
        self.computed.as_ref().map_or(1, Decimal::arguments)
    }
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
    /// `%f`, `%e`, `%g`: a number with a fraction.
    Decimal(Notation),
    /// `%gr`: how the kernel is to get memory, as the names of the flags.
    AllocationFlags,
}

/// How a number with a fraction is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `%f`: with as many digits behind the point as the precision says, 6 without.
    Fixed,
    /// `%e`: one digit before the point, and a power of ten; in capitals for `%E`.
    Exponent {
        /// `%E`.
        capital: bool,
    },
    /// `%g`: as many digits as the precision says in all, in the shorter of the other two.
    Shortest {
        /// `%G`.
        capital: bool,
    },
}

impl Format {
    /// The conversions, in order, to be changed.
    pub(crate) fn conversions_mut(&mut self) -> impl Iterator<Item = &mut Conversion> {
        self.pieces.iter_mut().filter_map(|piece| match piece {
            Piece::Conversion(conversion) => Some(conversion),
            Piece::Text(_) => None,
        })
    }

    /// The conversions, in order.
    pub fn conversions(&self) -> impl Iterator<Item = &Conversion> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Conversion(conversion) => Some(conversion),
            Piece::Text(_) => None,
        })
    }
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// What is wrong, in the user's terms.
    pub message: String,
}

/// Widths and precisions are cut to this: a longer line helps nobody and costs memory.
const MAX_WIDTH: u32 = 4096;

/// Parses the text of a `printf` format.
///
/// # Errors
/// At the first conversion that is incomplete or unknown.
pub fn parse(text: &[u8]) -> Result<Format, FormatError> {
    let mut parser = Parser { text, at: 0 };
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    while let Some(byte) = parser.next() {
        if byte != b'%' {
            plain.push(byte);
        } else if parser.eat(b"%") {
            plain.push(b'%');
        } else {
            let conversion = parser.conversion()?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Conversion(conversion));
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Format { pieces })
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn eat(&mut self, what: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    /// Digits, if any. A `*` is taken and ignored, as bpftrace does.
    fn number(&mut self) -> Option<u32> {
        if self.eat(b"*") {
            return None;
        }
        let mut number = None;
        while let Some(digit) = self.text.get(self.at).filter(|b| b.is_ascii_digit()) {
            let grown = number
                .unwrap_or(0u32)
                .saturating_mul(10)
                .saturating_add(u32::from(digit - b'0'));
            number = Some(grown.min(MAX_WIDTH));
            self.at += 1;
        }
        number
    }

    /// What follows a `%`.
    fn conversion(&mut self) -> Result<Conversion, FormatError> {
        let start = self.at;
        let mut conversion = Conversion {
            left: false,
            plus: false,
            space: false,
            alternate: false,
            zero: false,
            width: None,
            precision: None,
            specifier: Specifier::Text,
            computed: None,
        };
        loop {
            match self.text.get(self.at) {
                Some(b'-') => conversion.left = true,
                Some(b'+') => conversion.plus = true,
                Some(b' ') => conversion.space = true,
                Some(b'#') => conversion.alternate = true,
                Some(b'0') => conversion.zero = true,
                _ => break,
            }
            self.at += 1;
        }
        conversion.width = self.number();
        if self.eat(b".") {
            // A dot without digits is a precision of 0, as in C.
            conversion.precision = Some(self.number().unwrap_or(0));
        }
        conversion.specifier = self.specifier(start)?;
        Ok(conversion)
    }

    fn specifier(&mut self, start: usize) -> Result<Specifier, FormatError> {
        let long = [b"hh" as &[u8], b"h", b"ll", b"l", b"L", b"j", b"z", b"t"];
        let length = long.into_iter().find(|length| self.eat(length));
        let bits = match length {
            None => 32,
            Some(b"hh") => 8,
            Some(b"h") => 16,
            Some(_) => 64,
        };
        Ok(match self.next() {
            Some(b'd' | b'i') => Specifier::Signed(bits),
            Some(b'u') => Specifier::Unsigned(bits),
            Some(b'x') => Specifier::HexLower(bits),
            Some(b'X') => Specifier::HexUpper(bits),
            Some(b'o') => Specifier::Octal(bits),
            Some(b'c') => Specifier::Char,
            Some(b'p') => Specifier::Pointer,
            Some(b's') => Specifier::Text,
            Some(b'r') if self.eat(b"x") => Specifier::RawHex,
            Some(b'r') if self.eat(b"h") => Specifier::RawHexSpaced,
            Some(b'r') => Specifier::Raw,
            Some(b'g') if self.eat(b"r") => Specifier::AllocationFlags,
            Some(b'f' | b'F') => Specifier::Decimal(Notation::Fixed),
            Some(letter @ (b'e' | b'E')) => Specifier::Decimal(Notation::Exponent {
                capital: letter == b'E',
            }),
            Some(letter @ (b'g' | b'G')) => Specifier::Decimal(Notation::Shortest {
                capital: letter == b'G',
            }),
            found => {
                let text = String::from_utf8_lossy(&self.text[start..self.at]);
                let message = match found {
                    Some(_) => format!("`%{text}` is no conversion"),
                    None => format!("`%{text}` at the end of the format is incomplete"),
                };
                return Err(FormatError { message });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn one(text: &str) -> Conversion {
        let format = parse(text.as_bytes()).unwrap();
        let [Piece::Conversion(conversion)] = &format.pieces[..] else {
            panic!("{format:?}");
        };
        conversion.clone()
    }

    #[test]
    fn lengths_decide_the_bits() {
        for (text, specifier) in [
            ("%d", Specifier::Signed(32)),
            ("%i", Specifier::Signed(32)),
            ("%ld", Specifier::Signed(64)),
            ("%lld", Specifier::Signed(64)),
            ("%zu", Specifier::Unsigned(64)),
            ("%hhx", Specifier::HexLower(8)),
            ("%hX", Specifier::HexUpper(16)),
            ("%jo", Specifier::Octal(64)),
            ("%c", Specifier::Char),
            ("%p", Specifier::Pointer),
            ("%s", Specifier::Text),
            ("%r", Specifier::Raw),
            ("%rx", Specifier::RawHex),
            ("%rh", Specifier::RawHexSpaced),
            ("%gr", Specifier::AllocationFlags),
            ("%f", Specifier::Decimal(Notation::Fixed)),
            ("%lE", Specifier::Decimal(Notation::Exponent { capital: true })),
            ("%g", Specifier::Decimal(Notation::Shortest { capital: false })),
        ] {
            assert_eq!(one(text).specifier, specifier, "{text}");
        }
    }

    #[test]
    fn flags_width_and_precision() {
        let c = one("%-+ #08.3d");
        assert!(c.left && c.plus && c.space && c.alternate && c.zero);
        assert_eq!((c.width, c.precision), (Some(8), Some(3)));
        assert_eq!(one("%.s").precision, Some(0));
        assert_eq!(one("%99999999999d").width, Some(MAX_WIDTH));
        assert_eq!(one("%*d").width, None);
    }

    #[test]
    fn text_and_percent_signs_are_joined() {
        let format = parse(b"a%%b%dc").unwrap();
        assert_eq!(format.pieces.len(), 3);
        assert_eq!(format.pieces[0], Piece::Text(b"a%b".to_vec()));
        assert_eq!(format.conversions().count(), 1);
        assert_eq!(parse(b"").unwrap().pieces, []);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            parse(b"5%").unwrap_err().message,
            "`%` at the end of the format is incomplete"
        );
        assert_eq!(parse(b"%5y").unwrap_err().message, "`%5y` is no conversion");
        assert_eq!(parse(b"%a").unwrap_err().message, "`%a` is no conversion");
    }
}
