//! Literals: from their spelling to their value.
//!
//! In: the text of a number, or the text between a string's quotes. Out: the value, or what is wrong with it.

/// What is wrong with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// It does not fit 64 bits.
    TooLarge,
    /// What stands behind the digits is no suffix.
    Suffix(String),
    /// A digit that its base does not have (`089`, `0x`, `1e`).
    Digit,
    /// An underscore at its end.
    Underscore,
}

/// Nanoseconds per unit of each duration suffix.
const DURATIONS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The suffixes of C, which change nothing.
const IGNORED: &[&str] = &["u", "l", "ul", "ll", "ull"];

/// The value of an integer literal: decimal, `0x` hexadecimal, `0` octal, `1e6`, with `_` between digits and a C or
/// duration suffix.
pub(crate) fn integer(text: &str) -> Result<u64, NumberError> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let end = hex
            .find(|c: char| !c.is_ascii_hexdigit() && c != '_')
            .unwrap_or(hex.len());
        return scaled(digits(&hex[..end], 16)?, &hex[end..]);
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (mantissa, rest) = text.split_at(end);
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let end = exponent
            .find(|c: char| !c.is_ascii_digit() && c != '_')
            .unwrap_or(exponent.len());
        let power = digits(&exponent[..end], 10)?;
        let value = digits(mantissa, 10)?;
        let factor = u32::try_from(power)
            .ok()
            .and_then(|power| 10u64.checked_pow(power));
        let value = match factor {
            _ if value == 0 => Some(0),
            Some(factor) => value.checked_mul(factor),
            None => None,
        };
        return scaled(value.ok_or(NumberError::TooLarge)?, &exponent[end..]);
    }
    let octal = mantissa.len() > 1 && mantissa.starts_with('0');
    scaled(digits(mantissa, if octal { 8 } else { 10 })?, rest)
}

/// The value of digits with `_` between them.
fn digits(text: &str, base: u64) -> Result<u64, NumberError> {
    if text.ends_with('_') {
        return Err(NumberError::Underscore);
    }
    if text.is_empty() {
        return Err(NumberError::Digit);
    }
    let mut value = 0u64;
    for c in text.chars().filter(|&c| c != '_') {
        let digit = c.to_digit(base as u32).ok_or(NumberError::Digit)?;
        value = value
            .checked_mul(base)
            .and_then(|value| value.checked_add(u64::from(digit)))
            .ok_or(NumberError::TooLarge)?;
    }
    Ok(value)
}

fn scaled(value: u64, suffix: &str) -> Result<u64, NumberError> {
    if suffix.is_empty() || IGNORED.iter().any(|known| known.eq_ignore_ascii_case(suffix)) {
        return Ok(value);
    }
    let (_, unit) = DURATIONS
        .iter()
        .find(|(name, _)| *name == suffix)
        .ok_or_else(|| NumberError::Suffix(suffix.to_string()))?;
    value.checked_mul(*unit).ok_or(NumberError::TooLarge)
}

/// The value of a literal with a fraction or a negative exponent.
pub(crate) fn float(text: &str) -> Result<f64, NumberError> {
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    match plain.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(NumberError::TooLarge),
        Err(_) => {
            let end = plain
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(plain.len());
            Err(NumberError::Suffix(plain[end..].to_string()))
        }
    }
}

/// The number of a positional parameter, behind its `$`.
pub(crate) fn positional(text: &str) -> Result<u32, NumberError> {
    match text.parse::<u32>() {
        Ok(0) => Err(NumberError::Digit),
        Ok(n) => Ok(n),
        Err(_) => Err(NumberError::TooLarge),
    }
}

/// A wrong escape: the byte range within the text and what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EscapeError {
    pub(crate) range: std::ops::Range<usize>,
    pub(crate) message: &'static str,
}

/// The bytes that a string's text means, and its wrong escapes (which stand for nothing).
pub(crate) fn unescape(text: &str) -> (Vec<u8>, Vec<EscapeError>) {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut errors = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let start = at;
        at += 1;
        let run = |from: usize, most: usize, of: fn(&u8) -> bool| {
            bytes[from..]
                .iter()
                .take(most)
                .take_while(|byte| of(byte))
                .count()
        };
        match bytes.get(at) {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'"') => out.push(b'"'),
            Some(b'\\') => out.push(b'\\'),
            Some(b'0'..=b'7') => {
                let len = run(at, 3, |byte| (b'0'..=b'7').contains(byte));
                match u8::from_str_radix(&text[at..at + len], 8) {
                    Ok(byte) => out.push(byte),
                    Err(_) => {
                        errors.push(EscapeError {
                            range: start..at + len,
                            message: "is above `\\377`",
                        });
                    }
                }
                at += len - 1;
            }
            Some(b'x' | b'X') => {
                let len = run(at + 1, 2, u8::is_ascii_hexdigit);
                match u8::from_str_radix(&text[at + 1..at + 1 + len], 16) {
                    Ok(byte) => out.push(byte),
                    Err(_) => errors.push(EscapeError {
                        range: start..at + 1,
                        message: "needs hexadecimal digits",
                    }),
                }
                at += len;
            }
            _ => {
                let len = text[at..].chars().next().map_or(0, char::len_utf8);
                errors.push(EscapeError {
                    range: start..at + len,
                    message: "is not known",
                });
                at += len.saturating_sub(1);
            }
        }
        at += 1;
    }
    (out, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", 0),
            ("42", 42),
            ("0x1F", 31),
            ("0xdead_beef", 0xdead_beef),
            ("0755", 0o755),
            ("1e6", 1_000_000),
            ("2_000", 2000),
            ("1_0e3", 10_000),
            ("0e99", 0),
            ("7ull", 7),
            ("7UL", 7),
            ("3ns", 3),
            ("3us", 3_000),
            ("3ms", 3_000_000),
            ("3s", 3_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1e3s", 1_000_000_000_000),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn wrong_integers() {
        for (text, error) in [
            ("18446744073709551616", NumberError::TooLarge),
            ("1e20", NumberError::TooLarge),
            ("1e99999999999", NumberError::TooLarge),
            ("999999999d", NumberError::TooLarge),
            ("089", NumberError::Digit),
            ("0x", NumberError::Digit),
            ("1e", NumberError::Digit),
            ("1_", NumberError::Underscore),
            ("5kb", NumberError::Suffix("kb".into())),
            ("5S", NumberError::Suffix("S".into())),
        ] {
            assert_eq!(integer(text), Err(error), "{text}");
        }
    }

    #[test]
    fn floats() {
        assert_eq!(float("1.0e9"), Ok(1.0e9));
        assert_eq!(float("1_0.5"), Ok(10.5));
        assert_eq!(float("1e-3"), Ok(0.001));
        assert_eq!(float("1.5s"), Err(NumberError::Suffix("s".into())));
        assert_eq!(float("1.0e999"), Err(NumberError::TooLarge));
    }

    #[test]
    fn escapes() {
        let (bytes, errors) = unescape(r#"a\n\t\r\"\\\0\101\377\x4a\xFf\X4é"#);
        assert_eq!(bytes, b"a\n\t\r\"\\\0A\xff\x4a\xff\x04\xc3\xa9");
        assert_eq!(errors, []);
        for (text, range, message) in [
            (r"ab\q", 2..4, "is not known"),
            (r"\é", 0..3, "is not known"),
            (r"\777", 0..4, "is above `\\377`"),
            (r"\xg", 0..2, "needs hexadecimal digits"),
            ("\\", 0..1, "is not known"),
        ] {
            assert_eq!(unescape(text).1, [EscapeError { range, message }], "{text}");
        }
    }
}
