//! Names of bpftrace that crumbs leaves out, each with what to write instead: a script that uses one is told that, rather than
//! that the name is unknown.
//!
//! A test sees that nothing is both here and supported.

/// A name that is left out.
#[derive(Debug)]
pub struct NotTaken {
    /// What a script writes.
    pub name: &'static str,
    /// What to write instead.
    pub instead: &'static str,
}

/// Kinds of probe.
pub static PROBE_KINDS: &[NotTaken] = &[
    NotTaken {
        name: "asyncwatchpoint",
        instead: "`watchpoint:ADDRESS:LENGTH:MODE` watches an address",
    },
    NotTaken {
        name: "aw",
        instead: "`watchpoint:ADDRESS:LENGTH:MODE` watches an address",
    },
];

/// Functions and values.
pub static NAMES: &[NotTaken] = &[
    NotTaken {
        name: "dw_ustack",
        instead: "`ustack` follows frame pointers: build the traced program with `-fno-omit-frame-pointer`",
    },
    NotTaken {
        name: "skboutput",
        instead: "print what matters of the packet: `buf(pointer, length)` shows bytes of memory",
    },
];

/// Finds a row by name.
pub fn by_name(rows: &'static [NotTaken], name: &str) -> Option<&'static NotTaken> {
    rows.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_supported_is_left_out() {
        let kinds = crate::probe_kind::ALL.iter();
        for name in kinds.flat_map(|kind| kind.words().aliases.iter().copied().chain([kind.name()])) {
            assert!(by_name(PROBE_KINDS, name).is_none(), "{name}");
        }
        let values = crate::builtin::ALL.iter().map(|row| row.name);
        let functions = crate::function::ALL.iter().map(|row| row.name);
        let aggregations = crate::aggregation::ALL.iter().map(|row| row.name());
        for name in values.chain(functions).chain(aggregations) {
            assert!(by_name(NAMES, name).is_none(), "{name}");
        }
    }
}
