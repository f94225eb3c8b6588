//! Config variables: what a `config` block or the environment may set. To add one is one row of [`ALL`].
//!
//! In: names and values as text. Out: a [`Configured`].

use crate::codes;
use crate::hir;
use crate::options::Options;
use crate::plan::{MissingProbes, Settings};
use crate::probe_kind::did_you_mean;
use crate::similar::similar;
use crate::types::StackMode;
use crumbs_grammar::ast;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::Span;

/// What all config variables together decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// What the runtime obeys.
    pub settings: Settings,
    /// What code generation obeys.
    pub config: hir::Config,
    /// How stacks are shown whose call does not say.
    pub stack_mode: StackMode,
    /// Whether probes on functions stay at the functions' first instructions, where others cost less.
    pub only_entries: bool,
    /// Whether imports may stand inside of blocks.
    pub import_statements: bool,
    /// How many places a script may be attached to; no limit unless it is set.
    pub max_probes: Option<u64>,
    /// How many programs a script may become; no limit unless it is set.
    pub max_programs: Option<u64>,
    /// What has been set, as text; the last of a name counts.
    set: Vec<(&'static str, String)>,
}

impl Configured {
    /// The value of a variable as text, set or not; empty where there is no such variable.
    pub fn value(&self, name: &str) -> &str {
        let set = self.set.iter().rev().find(|(set, _)| *set == name);
        match set {
            Some((_, value)) => value,
            None => by_name(name).map_or("", |variable| variable.default),
        }
    }

    /// Takes over what a script or the environment sets.
    ///
    /// # Errors
    /// What a valid value is.
    pub fn set(&mut self, variable: &'static Variable, value: &str) -> Result<(), &'static str> {
        (variable.set)(self, value)?;
        self.set.push((variable.name, value.to_owned()));
        Ok(())
    }
}

/// The record of all config variables, in expressions.
pub const RECORD: &str = "config";

/// Settings of bpftrace that exist in the environment only, without prefix: they say where bpftrace finds its own things.
pub static ENVIRONMENT_ONLY: &[&str] = &[
    "btf",
    "kernel_source",
    "kernel_build",
    "vmlinux",
    "color",
    "objcopy",
];

/// A row of [`ALL`].
pub struct Variable {
    /// What a script writes.
    pub name: &'static str,
    /// One sentence of documentation, with the unit.
    pub doc: &'static str,
    /// What holds where nothing is set.
    pub default: &'static str,
    /// Takes a value over.
    ///
    /// # Errors
    /// What a valid value is.
    pub set: fn(&mut Configured, &str) -> Result<(), &'static str>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Size of a page; `perf_rb_pages` counts in it.
const PAGE: u32 = 4096;

/// A variable that decides nothing here, or where its name is asked for; its value is checked for its kind.
macro_rules! no_effect {
    ($name:expr, $default:literal, $check:expr, $doc:literal) => {
        Variable {
            name: $name,
            doc: $doc,
            default: $default,
            set: |_, value| $check(value).map(drop),
        }
    };
}

/// Every config variable, declared once.
pub static ALL: &[Variable] = &[
    Variable {
        name: "max_map_keys",
        doc: "how many elements a map may have that does not state its own size; of a keyed histogram, 8 buckets are one",
        default: "65536",
        set: |to, value| {
            to.config.max_map_keys = number(value, 1, 1 << 26, "a number from 1 to 67108864")?;
            Ok(())
        },
    },
    Variable {
        name: "max_strlen",
        doc: "how many bytes of a string are read at most",
        default: "1024",
        set: |to, value| {
            to.config.max_strlen = number(value, 1, 1 << 15, "a number from 1 to 32768")?;
            to.settings.max_strlen = to.config.max_strlen;
            Ok(())
        },
    },
    Variable {
        name: "print_maps_on_exit",
        doc: "whether maps are printed when the run ends",
        default: "true",
        set: |to, value| {
            to.settings.print_maps_on_exit = boolean(value)?;
            Ok(())
        },
    },
    Variable {
        name: "perf_rb_pages",
        doc: "size of the ring buffer in pages of 4096 bytes, rounded up to a power of two",
        default: "64",
        set: |to, value| {
            let pages = number(value, 1, 1 << 17, "a number from 1 to 131072")?;
            to.config.ring_bytes = pages.next_power_of_two() * PAGE;
            Ok(())
        },
    },
    Variable {
        name: "str_trunc_trailer",
        doc: "what is printed behind a string that was cut off",
        default: "..",
        set: |to, value| {
            value.clone_into(&mut to.settings.str_trunc_trailer);
            Ok(())
        },
    },
    Variable {
        name: "cheapest_place",
        doc: "whether a probe on a function that reads only arguments in registers is placed behind the function's first \
              instructions where it sees the same and costs less",
        default: "true",
        set: |to, value| {
            to.only_entries = !boolean(value)?;
            Ok(())
        },
    },
    Variable {
        name: "missing_probes",
        doc: "what becomes of attach points that match nothing: error, warn (of each), ignore, or summary: one warning of \
              probes of which no attach point is there",
        default: "error",
        set: |to, value| {
            to.settings.missing_probes = match value {
                "error" => MissingProbes::Error,
                "warn" => MissingProbes::Warn,
                "ignore" => MissingProbes::Ignore,
                "summary" => MissingProbes::Summary,
                _ => return Err("error, warn, ignore or summary"),
            };
            Ok(())
        },
    },
    no_effect!(
        "cache_user_symbols",
        "PER_PID",
        symbol_cache,
        "accepted for bpftrace scripts; decides nothing yet"
    ),
    no_effect!(
        "cpp_demangle",
        "true",
        boolean,
        "accepted for bpftrace scripts; decides nothing yet"
    ),
    no_effect!(
        "lazy_symbolication",
        "true",
        boolean,
        "accepted for bpftrace scripts; decides nothing yet"
    ),
    no_effect!(
        "license",
        "GPL",
        license,
        "the programs' licence, which must be one that the kernel takes for compatible with the GPL; all count the same"
    ),
    no_effect!(
        "log_size",
        "1000000",
        natural,
        "accepted for bpftrace scripts; the verifier's log is never cut"
    ),
    Variable {
        name: MAX_PROGRAMS,
        doc: "how many BPF programs a script may become; no limit unless it is set",
        default: "1024",
        set: |to, value| {
            to.max_programs = Some(natural(value)?);
            Ok(())
        },
    },
    Variable {
        name: "max_cat_bytes",
        doc: "how many bytes of a file `cat` prints at most",
        default: "10240",
        set: |to, value| {
            to.settings.max_cat_bytes = number(value, 1, 1 << 30, "a number from 1 to 1073741824")?;
            Ok(())
        },
    },
    Variable {
        name: MAX_PROBES,
        doc: "how many places a script may be attached to; no limit unless it is set",
        default: "1024",
        set: |to, value| {
            to.max_probes = Some(natural(value)?);
            Ok(())
        },
    },
    no_effect!(
        "on_stack_limit",
        "32",
        natural,
        "accepted for bpftrace scripts; crumbs decides what is on the stack"
    ),
    Variable {
        name: "show_debug_info",
        doc: "whether user stacks show lines of source and inlined functions, where debug information tells",
        default: "true",
        set: |to, value| {
            to.settings.show_debug_info = boolean(value)?;
            Ok(())
        },
    },
    no_effect!(
        "use_blazesym",
        "true",
        boolean,
        "accepted for bpftrace scripts; decides nothing yet"
    ),
    Variable {
        name: "stack_mode",
        doc: "how stacks are shown whose call does not say: bpftrace, perf, raw or build_id",
        default: "bpftrace",
        set: |to, value| {
            to.stack_mode = match value {
                "bpftrace" => StackMode::Bpftrace,
                "perf" => StackMode::Perf,
                "raw" => StackMode::Raw,
                "build_id" => StackMode::BuildId,
                _ => return Err("`bpftrace`, `perf`, `raw` or `build_id`"),
            };
            Ok(())
        },
    },
    no_effect!(
        "symbol_source",
        "",
        any,
        "accepted for old bpftrace scripts; decides nothing"
    ),
    no_effect!(
        "max_type_res_iterations",
        "",
        any,
        "accepted for old bpftrace scripts; decides nothing"
    ),
    no_effect!(
        UNSTABLE_SERIES,
        "enable",
        stability,
        "whether `tseries` may be used: enable, warn or error"
    ),
    Variable {
        name: SERIES_CLOCK,
        doc: "a map without keys whose number `tseries` takes for the time, in nanoseconds, in place of the clock's; for tests \
              whose output is the same each time",
        default: "none",
        set: |to, value| {
            to.config.series_clock = match value.strip_prefix('@') {
                Some(name) => Some(name.to_owned()),
                None if value == "none" => None,
                None => return Err("a map, such as `@ts`, or `none`"),
            };
            Ok(())
        },
    },
    no_effect!(
        "unstable_dw_ustack",
        "warn",
        stability,
        "accepted for bpftrace scripts; decides nothing"
    ),
    Variable {
        name: "unstable_import_statement",
        doc: "whether imports may stand inside of blocks: enable, warn or error",
        default: "error",
        set: |to, value| {
            to.import_statements = stability(value)?;
            Ok(())
        },
    },
    no_effect!(
        UNSTABLE_TYPEINFO,
        "error",
        stability,
        "whether `typeinfo` may be used: enable, warn or error"
    ),
    no_effect!(
        "unstable_addr",
        "",
        any,
        "accepted for old bpftrace scripts; decides nothing"
    ),
    no_effect!(
        "unstable_import",
        "",
        any,
        "accepted for old bpftrace scripts; decides nothing"
    ),
    no_effect!(
        "unstable_macro",
        "",
        any,
        "accepted for old bpftrace scripts; decides nothing"
    ),
    no_effect!(
        "unstable_map_decl",
        "",
        any,
        "accepted for old bpftrace scripts; decides nothing"
    ),
];

/// Whether series over time may be used.
pub const UNSTABLE_SERIES: &str = "unstable_tseries";
/// What `tseries` takes for the time.
pub const SERIES_CLOCK: &str = "dummy_ts_map";
/// Whether types can be asked for their names.
pub const UNSTABLE_TYPEINFO: &str = "unstable_typeinfo";
/// How many places a script may be attached to.
pub const MAX_PROBES: &str = "max_probes";
/// How many BPF programs a script may become.
pub const MAX_PROGRAMS: &str = "max_bpf_progs";

/// Names that bpftrace has given up, and what they are now.
pub static RENAMED: &[(&str, &str)] = &[
    ("strlen", "max_strlen"),
    ("no_cpp_demangle", "cpp_demangle"),
    ("cat_bytes_max", "max_cat_bytes"),
    ("map_keys_max", "max_map_keys"),
];

/// Finds a config variable by name.
pub fn by_name(name: &str) -> Option<&'static Variable> {
    ALL.iter().find(|variable| variable.name == name)
}

/// What the `config` blocks and the options say.
pub fn configure(script: &ast::Script, options: &Options, diagnostics: &mut Vec<Diagnostic>) -> Configured {
    let mut configured = Configured::default();
    let blocks = script.items.iter().filter_map(|item| match item {
        ast::Item::Config(block) => Some(block),
        _ => None,
    });
    for (name, value) in blocks.flat_map(|block| &block.entries) {
        let text = match &value.node {
            ast::ConfigValue::Int(n) => n.to_string(),
            ast::ConfigValue::Word(text) | ast::ConfigValue::Str(text) => text.clone(),
        };
        // bpftrace takes the names of the environment as well.
        let lower = name.node.to_lowercase();
        let key = lower.strip_prefix("bpftrace_").unwrap_or(&name.node);
        set(&mut configured, key, name.span, &text, value.span, diagnostics);
    }
    for (name, value) in &options.config {
        set(
            &mut configured,
            name,
            Span::default(),
            value,
            Span::default(),
            diagnostics,
        );
    }
    configured
}

fn set(to: &mut Configured, name: &str, name_span: Span, value: &str, span: Span, out: &mut Vec<Diagnostic>) {
    match by_name(name) {
        Some(variable) => {
            if let Err(expected) = to.set(variable, value) {
                let message = format!("`{name}` cannot be `{value}`");
                out.push(
                    Diagnostic::error(&codes::BAD_CONFIG, span, message)
                        .label(format!("expected {expected}"))
                        .help(format!(
                            "{name}: {}; {} unless set",
                            variable.doc, variable.default
                        )),
                );
            }
        }
        None => {
            let message = format!("there is no config variable `{name}`");
            let diagnostic = Diagnostic::error(&codes::UNKNOWN_CONFIG, name_span, message);
            let renamed = RENAMED.iter().find(|(old, _)| *old == name);
            out.push(match renamed {
                Some((_, new)) => diagnostic.help(format!("it is called `{new}` now")),
                None => did_you_mean(diagnostic, &similar(name, ALL.iter().map(|v| v.name), 3)),
            });
        }
    }
}

fn number(value: &str, min: u32, max: u32, expected: &'static str) -> Result<u32, &'static str> {
    match value.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(expected),
    }
}

fn natural(value: &str) -> Result<u64, &'static str> {
    value.parse().map_err(|_| "a number")
}

fn boolean(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("true or false"),
    }
}

/// Whether something unstable may be used.
fn stability(value: &str) -> Result<bool, &'static str> {
    match value {
        "enable" | "warn" => Ok(true),
        "error" => Ok(false),
        _ => Err("enable, warn or error"),
    }
}

/// `include/linux/license.h`: what counts as compatible with the GPL.
fn license(value: &str) -> Result<(), &'static str> {
    match value {
        "GPL" | "GPL v2" | "GPL and additional rights" | "Dual BSD/GPL" | "Dual MIT/GPL" | "Dual MPL/GPL" => {
            Ok(())
        }
        _ => Err(
            "GPL, \"GPL v2\", \"GPL and additional rights\", \"Dual BSD/GPL\", \"Dual MIT/GPL\" or \"Dual MPL/GPL\"",
        ),
    }
}

fn symbol_cache(value: &str) -> Result<(), &'static str> {
    match value {
        "PER_PID" | "PER_PROGRAM" | "NONE" | "0" | "1" => Ok(()),
        _ => Err("PER_PID, PER_PROGRAM or NONE"),
    }
}

fn any(_value: &str) -> Result<(), &'static str> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_what_they_say() {
        for variable in ALL {
            let mut configured = Configured::default();
            if !variable.default.is_empty() {
                assert_eq!(
                    (variable.set)(&mut configured, variable.default),
                    Ok(()),
                    "{}",
                    variable.name
                );
            }
            // Setting a limit to its default is to have one.
            (configured.max_probes, configured.max_programs) = (None, None);
            assert_eq!(configured, Configured::default(), "{}", variable.name);
        }
    }

    #[test]
    fn values_are_checked() {
        let set = |name: &str, value: &str| {
            let mut configured = Configured::default();
            let variable = by_name(name).expect("a row");
            (variable.set)(&mut configured, value).map(|()| configured)
        };
        assert_eq!(
            set("perf_rb_pages", "65").map(|c| c.config.ring_bytes),
            Ok(128 * 4096)
        );
        assert_eq!(
            set("perf_rb_pages", "131072").map(|c| c.config.ring_bytes),
            Ok(1 << 29)
        );
        assert_eq!(
            set("max_strlen", "64").map(|c| (c.config.max_strlen, c.settings.max_strlen)),
            Ok((64, 64))
        );
        assert!(set("max_map_keys", "0").is_err());
        assert!(set("print_maps_on_exit", "maybe").is_err());
        assert_eq!(
            set("missing_probes", "warn").map(|c| c.settings.missing_probes),
            Ok(MissingProbes::Warn)
        );
    }

    #[test]
    fn renamed_variables_lead_to_a_row() {
        assert!(
            RENAMED
                .iter()
                .all(|(old, new)| by_name(old).is_none() && by_name(new).is_some())
        );
    }
}
