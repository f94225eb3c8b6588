//! `%f`, `%e`, `%g`: numbers with a fraction, by C's rules for flags, width and precision.

use super::printf::{WIDEST, pad};
use crate::value::Value;
use crumbs_compiler::format::{Conversion, Notation, Specifier};

/// A whole number in double precision; 0 for what is not a number, which no compiled program sends.
pub(super) fn number(value: &Value) -> f64 {
    match (value.number(), value.bits()) {
        (Some(number), _) => number as f64,
        (None, Some(bits)) => bits as f64,
        (None, None) => 0.0,
    }
}

/// Appends a number.
pub(super) fn write(conversion: &Conversion, number: f64, out: &mut Vec<u8>) {
    let sign = match () {
        // Of what is no number the sign bit says nothing.
        () if number.is_sign_negative() && !number.is_nan() => "-",
        () if conversion.plus => "+",
        () if conversion.space => " ",
        () => "",
    };
    let digits = digits(conversion, number.abs());
    let width = conversion.width.map_or(0, |w| (w as usize).min(WIDEST));
    let zeros = match conversion.zero && !conversion.left && number.is_finite() {
        true => width.saturating_sub(sign.len() + digits.len()),
        false => 0,
    };
    pad(
        conversion,
        format!("{sign}{}{digits}", "0".repeat(zeros)).as_bytes(),
        out,
    );
}

/// A number that is not negative, without padding.
fn digits(conversion: &Conversion, number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return "inf".to_owned();
    }
    let precision = conversion.precision.map_or(6, |p| (p as usize).min(WIDEST));
    match conversion.specifier {
        Specifier::Decimal(Notation::Exponent { capital }) => {
            exponent(&scientific(number, precision), capital, conversion.alternate)
        }
        Specifier::Decimal(Notation::Shortest { capital }) => {
            shortest(conversion, number, precision, capital)
        }
        _ => pointed(format!("{number:.precision$}"), conversion.alternate),
    }
}

/// The digits, with a point in them if there is more than one, and the power of ten that they are multiplied by.
fn scientific(number: f64, precision: usize) -> (String, i32) {
    let text = format!("{number:.precision$e}");
    // Rust writes the exponent of every finite number.
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.to_owned(), power.parse().unwrap_or(0))
}

fn exponent((digits, power): &(String, i32), capital: bool, alternate: bool) -> String {
    let letter = if capital { 'E' } else { 'e' };
    let sign = if *power < 0 { '-' } else { '+' };
    let digits = pointed(digits.clone(), alternate);
    format!("{digits}{letter}{sign}{:02}", power.unsigned_abs())
}

/// `%g`: the precision counts all digits, and zeros at the end are left out unless the alternate form is asked for.
fn shortest(conversion: &Conversion, number: f64, precision: usize, capital: bool) -> String {
    let precision = precision.max(1);
    let (digits, power) = scientific(number, precision - 1);
    let trimmed = |digits: String| match conversion.alternate {
        false if digits.contains('.') => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => digits,
    };
    if (-4..precision as i32).contains(&power) {
        let places = (precision as i32 - 1 - power).unsigned_abs() as usize;
        return pointed(trimmed(format!("{number:.places$}")), conversion.alternate);
    }
    exponent(&(trimmed(digits), power), capital, conversion.alternate)
}

/// With a point behind it, where the alternate form asks for one and there is none.
fn pointed(digits: String, alternate: bool) -> String {
    match alternate && !digits.contains('.') {
        true => format!("{digits}."),
        false => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::conversion;

    fn shown(spec: &str, number: f64) -> String {
        let mut out = Vec::new();
        write(&conversion(spec), number, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What glibc's printf prints.
    #[test]
    fn numbers_by_the_c_standard() {
        for (spec, number, want) in [
            ("%f", 1.5, "1.500000"),
            ("%.2f", 2.675, "2.67"),
            ("%.0f", 0.5, "0"),
            ("%.0f", 1.5, "2"),
            ("%#.0f", 1.5, "2."),
            ("%8.3f", -3.25, "  -3.250"),
            ("%-8.1f", 3.25, "3.2     "),
            ("%08.2f", -3.25, "-0003.25"),
            ("%+.1f", 1.0, "+1.0"),
            ("% .1f", 1.0, " 1.0"),
            ("%e", 12345.678, "1.234568e+04"),
            ("%.0e", 0.00012, "1e-04"),
            ("%E", 0.0, "0.000000E+00"),
            ("%.2e", 1e-300, "1.00e-300"),
            ("%g", 0.0001, "0.0001"),
            ("%g", 0.00001, "1e-05"),
            ("%g", 100000.0, "100000"),
            ("%g", 1000000.0, "1e+06"),
            ("%g", 1234567.0, "1.23457e+06"),
            ("%.3g", 2.34567, "2.35"),
            ("%.0g", 3.7, "4"),
            ("%#g", 1.5, "1.50000"),
            ("%G", 1e20, "1E+20"),
            ("%g", 0.0, "0"),
            ("%g", 999999.5, "1e+06"),
            ("%f", f64::INFINITY, "inf"),
            ("%06.1f", f64::NEG_INFINITY, "  -inf"),
            ("%f", f64::NAN, "nan"),
            ("%f", -f64::NAN, "nan"),
            ("%.1f", -0.0, "-0.0"),
        ] {
            assert_eq!(shown(spec, number), want, "{spec} of {number}");
        }
    }

    #[test]
    fn whole_numbers_keep_their_sign() {
        assert_eq!(number(&Value::Int(-3)), -3.0);
        assert_eq!(number(&Value::UInt(u64::MAX)), 18_446_744_073_709_551_615.0);
        assert_eq!(number(&Value::Bool(true)), 1.0);
    }
}
