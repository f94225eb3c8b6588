//! What bpftrace has and this version has not yet: names that get "not supported yet" rather than "unknown".
//!
//! Whoever adds one of these removes it here; a test sees that nothing is both here and supported.

/// Kinds of probe, with their aliases.
pub static PROBE_KINDS: &[&str] = &["asyncwatchpoint", "aw"];

/// Builtin values.
pub static VALUES: &[&str] = &[];

/// Functions.
pub static FUNCTIONS: &[&str] = &["skboutput", "dw_ustack", "kfunc_allowed", "typeinfo"];

/// Types.
pub static TYPES: &[&str] = &[
    "count_t", "sum_t", "usum_t", "min_t", "umin_t", "max_t", "umax_t", "avg_t", "uavg_t", "stats_t",
    "ustats_t", "hist_t", "lhist_t",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_supported_is_called_later() {
        let kinds = crate::probe_kind::ALL.iter();
        for name in kinds.flat_map(|kind| kind.aliases().iter().copied().chain([kind.name()])) {
            assert!(!PROBE_KINDS.contains(&name), "{name}");
        }
        for row in crate::builtin::ALL {
            assert!(!VALUES.contains(&row.name), "{}", row.name);
        }
        for row in crate::function::ALL {
            assert!(!FUNCTIONS.contains(&row.name), "{}", row.name);
        }
        for aggregation in crate::aggregation::ALL {
            assert!(!FUNCTIONS.contains(&aggregation.name()), "{}", aggregation.name());
        }
    }
}
