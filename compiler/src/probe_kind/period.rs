//! How often timers fire: `hz:99`, `s:1`, `ms:100`, `us:500`, or a duration, `10ms`.

use super::{Failure, Point, ProbeKind, number};
use crate::codes;
use crate::plan::Period;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// Units of time in nanoseconds, as the suffixes of durations are.
static UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The unit that counts firings a second.
const HERTZ: &str = "hz";

/// What is listed in front of the number.
pub(super) static FORMS: &[&str] = &[HERTZ, "ms", "s", "us"];

/// The period that the parts of an attach point state.
pub(super) fn parse(kind: &dyn ProbeKind, point: &Point<'_>) -> Result<Period, Failure> {
    match point.parts {
        [duration] => {
            if let Some(nanos) = number(&duration.text) {
                return Ok(Period::Nanos(above_0(nanos, duration.span)?));
            }
            let digits = duration.text.len() - duration.text.trim_start_matches(is_digit).len();
            let (number, suffix) = duration.text.split_at(digits);
            let unit = nanos(suffix)
                .filter(|_| digits > 0)
                .ok_or_else(|| Failure::malformed(kind, point))?;
            Ok(Period::Nanos(scaled(number, unit, duration.span)?))
        }
        [unit, number] if unit.text == HERTZ => Ok(Period::Hertz(scaled(&number.text, 1, number.span)?)),
        [unit, number] => match nanos(&unit.text) {
            Some(factor) => Ok(Period::Nanos(scaled(&number.text, factor, number.span)?)),
            None => Err(bad(unit.span, format!("`{}` is no unit of time", unit.text))),
        },
        _ => Err(Failure::malformed(kind, point)),
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || c == '_'
}

fn nanos(unit: &str) -> Option<u64> {
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, nanos)| *nanos)
}

fn scaled(number: &str, factor: u64, span: Span) -> Result<u64, Failure> {
    let value = super::number(number).ok_or_else(|| bad(span, format!("`{number}` is no whole number")))?;
    let nanos = value.checked_mul(factor);
    above_0(
        nanos.ok_or_else(|| bad(span, "this is more than 584 years".to_owned()))?,
        span,
    )
}

fn above_0(value: u64, span: Span) -> Result<u64, Failure> {
    match value {
        0 => Err(bad(span, "a timer must have a period above 0".to_owned())),
        value => Ok(value),
    }
}

fn bad(span: Span, message: String) -> Failure {
    Failure::wrong(
        Diagnostic::error(&codes::BAD_PERIOD, span, message)
            .help("write `hz:99`, `s:1`, `ms:100`, `us:500`, or a duration such as `10ms`"),
    )
}
