//! What can be traced: the listing behind `crumbs -l`.
//!
//! In: a probe pattern. Out: full probe names, sorted, and the fields of tracepoints as C declarations. Kinds whose
//! probes do not depend on the machine are not listed here.

use super::HostTarget;
use crumbs_compiler::glob::Glob;
use crumbs_compiler::target::{FieldLocation, Target, TargetError, TracepointField};

impl HostTarget {
    /// The tracepoints that match, as `tracepoint:CATEGORY:EVENT`.
    ///
    /// # Errors
    /// When none matches or tracefs cannot be read.
    pub fn list_tracepoints(&self, category: &str, event: &str) -> Result<Vec<String>, TargetError> {
        let found = self.tracepoints(category, event)?;
        Ok(found
            .iter()
            .map(|(category, event)| format!("tracepoint:{category}:{event}"))
            .collect())
    }

    /// Lists a pattern such as `tracepoint:sched:*`, `t:sched:*`, `uprobe:libc:mem*` or `*:libc:mem*`, sorted.
    ///
    /// # Errors
    /// When nothing matches, or what it names cannot be read; with several kinds, only when none of them has a match.
    pub fn list(&self, pattern: &str) -> Result<Vec<String>, TargetError> {
        let (kind, rest) = pattern.split_once(':').unwrap_or((pattern, "*"));
        // A path may hold no colon, a C++ function may.
        let (first, last) = rest.split_once(':').unwrap_or((rest, "*"));
        let mut names = Vec::new();
        let mut failure = None;
        for (name, short) in KINDS {
            let kinds = Glob::new(kind);
            if kind != short && !kinds.matches(name) {
                continue;
            }
            let found = match name {
                "tracepoint" => self.list_tracepoints(first, last),
                // Without a binary there is no end of functions, unless it is that of a process.
                _ if !kinds.is_literal() && !self.is_for_process() && first.chars().all(|c| c == '*') => {
                    continue;
                }
                "usdt" => self.list_static_probes(rest),
                _ => self.list_functions(name, rest),
            };
            match found {
                Ok(found) => names.extend(found),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        names.sort_unstable();
        match failure {
            Some(error) if names.is_empty() => Err(error),
            _ if names.is_empty() => Err(TargetError::NotFound {
                similar: Vec::new(),
                searched: Vec::new(),
            }),
            _ => Ok(names),
        }
    }

    /// The fields of a tracepoint as `-lv` shows them, one declaration each: `const char * filename`.
    ///
    /// # Errors
    /// When there is no such tracepoint or tracefs cannot be read.
    pub fn list_fields(&self, category: &str, event: &str) -> Result<Vec<String>, TargetError> {
        Ok(self
            .tracepoint(category, event)?
            .fields
            .iter()
            .map(declaration)
            .collect())
    }
}

/// The kinds listed here, with their short names.
const KINDS: [(&str, &str); 4] = [
    ("tracepoint", "t"),
    ("uprobe", "u"),
    ("uretprobe", "ur"),
    ("usdt", "U"),
];

/// A field as its format file declares it.
fn declaration(field: &TracepointField) -> String {
    let TracepointField {
        name, c_type, array, ..
    } = field;
    match (field.location, array) {
        (FieldLocation::DataLoc, _) => format!("__data_loc {c_type}[] {name}"),
        (FieldLocation::RelLoc, _) => format!("__rel_loc {c_type}[] {name}"),
        (FieldLocation::Inline, Some(0)) => format!("{c_type} {name}[]"),
        (FieldLocation::Inline, Some(length)) => format!("{c_type} {name}[{length}]"),
        (FieldLocation::Inline, None) => match c_type.split_once("(*)") {
            Some((result, parameters)) => format!("{result}(*{name}){parameters}"),
            None => format!("{c_type} {name}"),
        },
    }
}
