//! Fills a parsed `printf` format with values, by C's rules for flags, width and precision.

use super::{decimal, gfp_flags};
use crate::value::{Value, escape};
use crumbs_compiler::format::{Conversion, Format, Piece, Specifier};

/// Widths and precisions beyond this are taken as this, so that no format can ask for gigabytes of padding.
pub(super) const WIDEST: usize = 1 << 16;

/// The text of `format` with `args` in its conversions, in order. A conversion without argument shows nothing (the
/// compiler checks the number).
pub fn fill(format: &Format, args: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut args = args.iter();
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Conversion(conversion) => {
                if let Some(computed) = &conversion.computed {
                    let given = args.as_slice();
                    args = given[conversion.arguments().min(given.len())..].iter();
                    let argument = |place: usize| given.get(place).map_or(0.0, decimal::number);
                    decimal::write(conversion, computed.value(&argument), &mut out);
                } else if let Some(value) = args.next() {
                    convert(conversion, value, &mut out);
                }
            }
        }
    }
    out
}

fn convert(conversion: &Conversion, value: &Value, out: &mut Vec<u8>) {
    // A conversion of numbers is never compiled for what has none; should it come, the value is shown as it is.
    let Some(bits) = value.bits() else {
        return pad(conversion, &textual(conversion, value), out);
    };
    let masked = |width: u8| bits & (u64::MAX >> (64 - u32::from(width.clamp(1, 64))));
    match conversion.specifier {
        Specifier::Signed(width) => {
            let shift = 64 - u32::from(width.clamp(1, 64));
            let number = ((bits << shift) as i64) >> shift;
            let sign = match number {
                ..0 => "-",
                _ if conversion.plus => "+",
                _ if conversion.space => " ",
                _ => "",
            };
            integer(conversion, sign, &number.unsigned_abs().to_string(), out);
        }
        Specifier::Unsigned(width) => integer(conversion, "", &masked(width).to_string(), out),
        Specifier::HexLower(width) => {
            let number = masked(width);
            integer(
                conversion,
                prefix(conversion, number, "0x"),
                &format!("{number:x}"),
                out,
            );
        }
        Specifier::HexUpper(width) => {
            let number = masked(width);
            integer(
                conversion,
                prefix(conversion, number, "0X"),
                &format!("{number:X}"),
                out,
            );
        }
        Specifier::Octal(width) => {
            let number = masked(width);
            let mut digits = format!("{number:o}");
            let precision = conversion.precision.map_or(1, |p| p as usize);
            // C: `#` raises the precision until the first digit is a zero.
            if conversion.alternate && number != 0 && digits.len() >= precision {
                digits.insert(0, '0');
            }
            integer(conversion, "", &digits, out);
        }
        Specifier::Char => pad(conversion, &[bits as u8], out),
        Specifier::AllocationFlags => pad(conversion, gfp_flags::names(bits).as_bytes(), out),
        Specifier::Decimal(_) => decimal::write(conversion, decimal::number(value), out),
        Specifier::Pointer => pad(conversion, format!("{bits:#x}").as_bytes(), out),
        Specifier::Text | Specifier::Raw | Specifier::RawHex | Specifier::RawHexSpaced => {
            pad(conversion, &textual(conversion, value), out);
        }
    }
}

fn prefix(conversion: &Conversion, number: u64, prefix: &'static str) -> &'static str {
    if conversion.alternate && number != 0 {
        prefix
    } else {
        ""
    }
}

/// The text of a conversion that is none of numbers, before padding.
fn textual(conversion: &Conversion, value: &Value) -> Vec<u8> {
    let mut text = match (conversion.specifier, value) {
        (Specifier::RawHex, Value::Bytes(bytes) | Value::Str(bytes)) => bytes
            .iter()
            .flat_map(|byte| format!("\\x{byte:02x}").into_bytes())
            .collect(),
        (Specifier::RawHexSpaced, Value::Bytes(bytes) | Value::Str(bytes)) => {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            hex.join(" ").into_bytes()
        }
        (Specifier::Raw, Value::Str(bytes)) => {
            let mut text = Vec::new();
            escape(bytes, &mut text);
            text
        }
        _ => value.text(),
    };
    if let (Specifier::Text, Some(most)) = (conversion.specifier, conversion.precision) {
        text.truncate(most as usize);
    }
    text
}

/// Appends an integer: sign or prefix, then at least as many digits as the precision says, then padding to width.
fn integer(conversion: &Conversion, prefix: &str, digits: &str, out: &mut Vec<u8>) {
    let precision = conversion.precision.map(|p| (p as usize).min(WIDEST));
    // C: a zero with precision 0 has no digits.
    let digits = if precision == Some(0) && digits == "0" {
        ""
    } else {
        digits
    };
    let width = conversion.width.map_or(0, |w| (w as usize).min(WIDEST));
    let least = match precision {
        Some(least) => least,
        None if conversion.zero && !conversion.left => width.saturating_sub(prefix.len()),
        None => 0,
    };
    let zeros = "0".repeat(least.saturating_sub(digits.len()));
    pad(conversion, format!("{prefix}{zeros}{digits}").as_bytes(), out);
}

pub(super) fn pad(conversion: &Conversion, text: &[u8], out: &mut Vec<u8>) {
    let width = conversion.width.map_or(0, |w| (w as usize).min(WIDEST));
    let blanks = width.saturating_sub(text.len());
    if conversion.left {
        out.extend_from_slice(text);
    }
    out.resize(out.len() + blanks, b' ');
    if !conversion.left {
        out.extend_from_slice(text);
    }
}

/// The strings of a `join` in one.
pub(crate) fn joined(args: &[Value], separator: &str) -> Vec<u8> {
    let Some(Value::Tuple(members)) = args.first() else {
        return Vec::new();
    };
    let [count, Value::Array(strings)] = members.as_slice() else {
        return Vec::new();
    };
    let count = usize::try_from(count.bits().unwrap_or(0)).unwrap_or(usize::MAX);
    let strings: Vec<Vec<u8>> = strings.iter().take(count).map(Value::text).collect();
    strings.join(separator.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::conversion;

    fn shown(conversion: Conversion, value: Value) -> String {
        let format = Format {
            pieces: vec![Piece::Conversion(conversion)],
        };
        String::from_utf8_lossy(&fill(&format, &[value])).into_owned()
    }

    fn check(spec: &str, value: i64, want: &str) {
        assert_eq!(
            shown(conversion(spec), Value::Int(value)),
            want,
            "{spec} of {value}"
        );
    }

    #[test]
    fn integers_as_bpftrace_shows_them() {
        for (spec, value, want) in [
            ("%d", -3, "-3"),
            ("%5d", 42, "   42"),
            ("%-5d", 42, "42   "),
            ("%05d", 42, "00042"),
            ("%x", 255, "ff"),
            ("%#x", 255, "0xff"),
            ("%X", 255, "FF"),
            ("%o", 8, "10"),
            ("%u", -1, "4294967295"),
            ("%lu", -1, "18446744073709551615"),
            ("%lx", -1, "ffffffffffffffff"),
            ("%c", 65, "A"),
            ("%p", 4096, "0x1000"),
        ] {
            check(spec, value, want);
        }
        let wide = 0x12_3456_7890;
        for (spec, want) in [
            ("%d", "878082192"),
            ("%ld", "78187493520"),
            ("%u", "878082192"),
            ("%x", "34567890"),
            ("%lx", "1234567890"),
            ("%hhx", "90"),
            ("%hx", "7890"),
        ] {
            check(spec, wide, want);
        }
    }

    #[test]
    fn flags_and_precision_by_the_c_standard() {
        for (spec, value, want) in [
            ("%+d", 5, "+5"),
            ("%+d", -5, "-5"),
            ("% d", 5, " 5"),
            ("%+05d", 5, "+0005"),
            ("%-05d", 5, "5    "),
            ("%.3d", 5, "005"),
            ("%06.3d", 5, "   005"),
            ("%.0d", 0, ""),
            ("%3.0d", 0, "   "),
            ("%#x", 0, "0"),
            ("%#X", 255, "0XFF"),
            ("%#o", 8, "010"),
            ("%#o", 0, "0"),
            ("%#.4o", 8, "0010"),
            ("%#08x", 255, "0x0000ff"),
            ("%#8x", 255, "    0xff"),
            ("%5c", 65, "    A"),
            ("%hhd", 255, "-1"),
            ("%ld", i64::MIN, "-9223372036854775808"),
        ] {
            check(spec, value, want);
        }
    }

    #[test]
    fn text_of_any_value() {
        let abc = || Value::Str(b"abc".to_vec());
        assert_eq!(shown(conversion("%s"), abc()), "abc");
        assert_eq!(shown(conversion("%10s"), abc()), "       abc");
        assert_eq!(shown(conversion("%-10s"), abc()), "abc       ");
        assert_eq!(shown(conversion("%.2s"), abc()), "ab");
        assert_eq!(shown(conversion("%s"), Value::Int(5)), "5");
        assert_eq!(shown(conversion("%s"), Value::Bool(true)), "true");
        assert_eq!(shown(conversion("%d"), Value::Bool(true)), "1");
        let tuple = Value::Tuple(vec![Value::Int(1), Value::Str(b"t".to_vec())]);
        assert_eq!(shown(conversion("%s"), tuple), "(1, t)");
    }

    #[test]
    fn buffers() {
        let bytes = || Value::Bytes(b"a\x01\xffz".to_vec());
        assert_eq!(shown(conversion("%r"), bytes()), r"a\x01\xffz");
        assert_eq!(shown(conversion("%rx"), bytes()), r"\x61\x01\xff\x7a");
        assert_eq!(shown(conversion("%rh"), bytes()), "61 01 ff 7a");
        assert_eq!(shown(conversion("%rh"), Value::Bytes(Vec::new())), "");
    }

    #[test]
    fn absurd_widths_are_bounded_and_missing_arguments_harmless() {
        let mut wide = conversion("%d");
        wide.width = Some(u32::MAX);
        wide.precision = Some(u32::MAX);
        assert_eq!(shown(wide, Value::Int(1)).len(), WIDEST);
        let format = Format {
            pieces: vec![Piece::Text(b"a".to_vec()), Piece::Conversion(conversion("%d"))],
        };
        assert_eq!(fill(&format, &[]), b"a");
    }
}
