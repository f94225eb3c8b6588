//! What the command line says about a compilation.

use crate::merging::KnownMap;

/// What is not in the script but decides what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The positional parameters: `$1` is the first.
    pub params: Vec<String>,
    /// The named parameters (`--name`, `--name=value`), in order: `getopt` reads them.
    pub named: Vec<(String, Option<String>)>,
    /// The modules of the probe library: what an import calls them, and their text.
    pub library: &'static [(&'static str, &'static str)],
    /// The process that is traced (`-p`), as its pid namespace numbers it.
    pub pid: Option<u32>,
    /// Whether helpers of the kernel that fail are told one by one (`-k`).
    pub report_failures: bool,
    /// Whether `warnf` is silent (`--no-warnings`).
    pub no_warnings: bool,
    /// Whether nothing will be attached (`--dry-run`): what this machine lacks is warned about, and left out.
    pub dry_run: bool,
    /// Whether the user allows what can change or crash the traced system (`--unsafe`).
    pub allow_unsafe: bool,
    /// The process that runs the traced command (`-c`), numbered likewise.
    pub command_pid: Option<u32>,
    /// Whether what the traced process or command starts is traced too (`--follow tree`).
    pub follow_tree: bool,
    /// Where only the `end` blocks of the script count, because its others have run already: the maps that these have left.
    pub only_end: Option<Vec<KnownMap>>,
    /// C headers that are included in front of the script (`--include`), in order.
    pub includes: Vec<String>,
    /// Config variables that are set from outside (environment, flags), which win over the script's: name in lower
    /// case without prefix, and value. A later one wins.
    pub config: Vec<(String, String)>,
}

/// The number that a parameter is, as a 64-bit pattern, and whether it needs all 64 bits to be positive. Decimal, or with the
/// prefixes of C: `0x` for hexadecimal, `0` for octal.
pub fn number(text: &str) -> Option<(i64, bool)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let parsed = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    match parsed.ok()? {
        _ if digits.starts_with(['+', '-']) => None,
        n if negative => (n <= 1 << 63).then(|| ((n as i64).wrapping_neg(), false)),
        n => Some((n as i64, n > i64::MAX as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, wanted) in [
            ("0", Some((0, false))),
            ("42", Some((42, false))),
            ("-7", Some((-7, false))),
            ("0x1f", Some((31, false))),
            ("-0x10", Some((-16, false))),
            ("017", Some((15, false))),
            ("18446744073709551615", Some((-1, true))),
            ("-9223372036854775808", Some((i64::MIN, false))),
            ("-9223372036854775809", None),
            ("018", None),
            ("--1", None),
            ("", None),
            ("1a", None),
            ("0x", None),
        ] {
            assert_eq!(number(text), wanted, "{text}");
        }
    }
}
