//! `printf` formats as the kernel itself fills them in (`bpf_seq_printf`).
//!
//! In: a format and the types of its arguments. Out: the text for the kernel and what its arguments are, or the first conversion
//! that the kernel does not know (`bpf_bprintf_prepare`, kernel/trace/bpf_trace.c and kernel/bpf/helpers.c: whole numbers and
//! text with a width, no precision). Every argument is a word of 8 bytes there: a number, or the address of text.

use super::{Conversion, Format, Piece, Specifier};
use crate::types::Type;

/// The most arguments (`MAX_BPRINTF_VARARGS`, include/linux/bpf.h; before 5.13 `MAX_SEQ_PRINTF_VARARGS`).
pub const MAX_ARGUMENTS: usize = 12;

/// A format for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFormat {
    /// The format with its NUL.
    pub text: Vec<u8>,
    /// What the words of the arguments are, in order.
    pub words: Vec<Word>,
}

/// What the word of an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The low `bits` of a number.
    Number {
        /// How many count.
        bits: u8,
        /// Whether the highest of them is a sign.
        signed: bool,
    },
    /// The address of text that ends in NUL.
    Text,
    /// The address of a text of one byte, the lowest of a number.
    Byte,
}

/// Why a format is not for the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuitable {
    /// The argument that this is about, if it is about one.
    pub argument: Option<usize>,
    /// What is wrong, in the user's terms.
    pub reason: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

/// Turns a format with arguments of these types into the kernel's.
///
/// # Errors
/// At the first conversion that the kernel does not know, and when there are too many.
pub fn for_kernel(format: &Format, types: &[&Type]) -> Result<KernelFormat, Unsuitable> {
    let mut kernel = KernelFormat {
        text: Vec::new(),
        words: Vec::new(),
    };
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => kernel.plain(text)?,
            Piece::Conversion(conversion) => {
                let argument = kernel.words.len();
                let refuse = |reason, instead| Unsuitable {
                    argument: Some(argument),
                    reason,
                    instead,
                };
                if argument == MAX_ARGUMENTS {
                    return Err(refuse(
                        "the kernel shows 12 values at a time",
                        "use two calls of `printf`",
                    ));
                }
                let ty = types.get(argument).copied();
                let word = word(conversion, ty).map_err(|(reason, instead)| refuse(reason, instead))?;
                kernel.conversion(conversion, word);
                kernel.words.push(word);
            }
        }
    }
    kernel.text.push(0);
    Ok(kernel)
}

/// What a conversion shows; else why it shows nothing, and what to write instead.
fn word(conversion: &Conversion, ty: Option<&Type>) -> Result<Word, (&'static str, &'static str)> {
    let number = |bits, signed| Ok(Word::Number { bits, signed });
    if conversion.computed.is_some() {
        return Err(("the kernel shows no fractions", "print the whole numbers"));
    }
    if conversion.precision.is_some() {
        return Err((
            "the kernel knows no precision",
            "leave out `.N`; `str(p, N)` cuts text",
        ));
    }
    if conversion.alternate {
        return Err(("the kernel knows no `#` here", "write `0x%x`"));
    }
    match conversion.specifier {
        Specifier::Signed(bits) => number(bits, true),
        Specifier::Unsigned(bits) | Specifier::HexLower(bits) | Specifier::HexUpper(bits) => {
            number(bits, false)
        }
        Specifier::Pointer => number(64, false),
        Specifier::Char => Ok(Word::Byte),
        Specifier::Text => match ty {
            Some(Type::Str(_)) => Ok(Word::Text),
            Some(Type::Int(int)) => number(64, int.signed),
            _ => Err((
                "the kernel shows numbers and text, nothing else",
                "print its parts",
            )),
        },
        Specifier::Octal(_)
        | Specifier::Raw
        | Specifier::RawHex
        | Specifier::RawHexSpaced
        | Specifier::Decimal(_)
        | Specifier::AllocationFlags => Err((
            "the kernel does not know this conversion",
            "it knows `%d`, `%u`, `%x`, `%X`, `%p`, `%c` and `%s`",
        )),
    }
}

impl KernelFormat {
    /// Text as it is. The kernel takes printable ASCII and white space only.
    fn plain(&mut self, text: &[u8]) -> Result<(), Unsuitable> {
        for &byte in text {
            if !(byte.is_ascii_graphic() || byte == b' ' || (b'\t'..=b'\r').contains(&byte)) {
                return Err(Unsuitable {
                    argument: None,
                    reason: "the kernel takes formats of ASCII only",
                    instead: "hand other text over as an argument: `%s`",
                });
            }
            if byte == b'%' {
                self.text.push(b'%');
            }
            self.text.push(byte);
        }
        Ok(())
    }

    fn conversion(&mut self, conversion: &Conversion, word: Word) {
        if conversion.specifier == Specifier::Pointer {
            self.text.extend_from_slice(b"0x");
        }
        self.text.push(b'%');
        let flags = [
            (conversion.zero, b'0'),
            (conversion.plus, b'+'),
            (conversion.left, b'-'),
            (conversion.space, b' '),
        ];
        let set = flags.iter().filter(|(is_set, _)| *is_set);
        self.text.extend(set.map(|(_, flag)| flag));
        if let Some(width) = conversion.width {
            self.text.extend_from_slice(width.to_string().as_bytes());
        }
        let letters: &[u8] = match (conversion.specifier, word) {
            (_, Word::Text | Word::Byte) => b"s",
            (Specifier::HexLower(_) | Specifier::Pointer, _) => b"llx",
            (Specifier::HexUpper(_), _) => b"llX",
            (_, Word::Number { signed: true, .. }) => b"lld",
            (_, Word::Number { signed: false, .. }) => b"llu",
        };
        self.text.extend_from_slice(letters);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::{MAX_ARGUMENTS, Word, for_kernel};
    use crate::format::parse;
    use crate::types::{IntType, Type};

    fn text_of(format: &str, types: &[&Type]) -> String {
        let kernel = for_kernel(&parse(format.as_bytes()).unwrap(), types).unwrap();
        String::from_utf8(kernel.text).unwrap()
    }

    fn reason(format: &str, types: &[&Type]) -> &'static str {
        for_kernel(&parse(format.as_bytes()).unwrap(), types)
            .unwrap_err()
            .reason
    }

    #[test]
    fn numbers_and_text() {
        let (number, text) = (Type::Int(IntType::I64), Type::Str(16));
        assert_eq!(
            text_of("%5d|%-8s|%08x 100%%\n", &[&number, &text, &number]),
            "%5lld|%-8s|%08llx 100%%\n\0"
        );
        assert_eq!(text_of("%p %c %llu %lX", &[&number; 4]), "0x%llx %s %llu %llX\0");
        assert_eq!(text_of("%s", &[&number]), "%lld\0");
        let kernel = for_kernel(&parse(b"%hhd %c").unwrap(), &[&number, &number]).unwrap();
        let byte = Word::Number {
            bits: 8,
            signed: true,
        };
        assert_eq!(kernel.words, [byte, Word::Byte]);
    }

    #[test]
    fn what_the_kernel_does_not_know() {
        let (number, flag) = (Type::Int(IntType::I64), Type::Bool);
        assert_eq!(
            reason("%o", &[&number]),
            "the kernel does not know this conversion"
        );
        assert_eq!(reason("%.3d", &[&number]), "the kernel knows no precision");
        assert_eq!(reason("%#x", &[&number]), "the kernel knows no `#` here");
        assert_eq!(
            reason("%s", &[&flag]),
            "the kernel shows numbers and text, nothing else"
        );
        assert_eq!(reason("µs", &[]), "the kernel takes formats of ASCII only");
        let many = "%d".repeat(MAX_ARGUMENTS + 1);
        assert_eq!(
            reason(&many, &[&number; MAX_ARGUMENTS + 1]),
            "the kernel shows 12 values at a time"
        );
    }
}
