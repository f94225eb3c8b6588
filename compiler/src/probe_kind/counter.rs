//! What `software` and `hardware` share: events that are counted, and fire each time the count is full.

use super::{Failure, Place, Point, ProbeKind, did_you_mean, number};
use crate::codes;
use crate::plan::{Attach, CounterEvent, CounterSource};
use crate::similar::similar;
use crumbs_grammar::diagnostic::Diagnostic;

/// An event that can be counted.
pub(super) struct Row {
    /// What a script writes.
    pub name: &'static str,
    /// A shorter name for the same; may be empty.
    pub alias: &'static str,
    /// Its number in the kernel's enumeration.
    pub number: u64,
    /// Fires after so many where the script does not say.
    pub period: u64,
}

/// The place of `kind:EVENT[:COUNT]`.
pub(super) fn expand(
    kind: &dyn ProbeKind,
    source: CounterSource,
    rows: &[Row],
    point: &Point<'_>,
) -> Result<Vec<Place>, Failure> {
    let (event, count) = match point.parts {
        [event] => (event, None),
        [event, count] => (event, Some(count).filter(|count| !count.text.is_empty())),
        _ => return Err(Failure::malformed(kind, point)),
    };
    let glob = crate::glob::Glob::new(&event.text);
    let named = |row: &&Row| glob.matches(row.name) || (!row.alias.is_empty() && glob.matches(row.alias));
    let found: Vec<&Row> = rows.iter().filter(named).collect();
    if found.is_empty() {
        let message = format!("there is no {} event `{}`", kind.name(), event.text);
        let names = rows
            .iter()
            .flat_map(|row| [row.name, row.alias])
            .filter(|name| !name.is_empty());
        let near = similar(&event.text, names.clone(), 3);
        let diagnostic = Diagnostic::error(&codes::BAD_EVENT, event.span, message);
        return Err(Failure::wrong(if near.is_empty() {
            let all: Vec<_> = names.collect();
            diagnostic.help(format!("there are {}", all.join(", ")))
        } else {
            did_you_mean(diagnostic, &near)
        }));
    }
    let period = match count {
        None => None,
        Some(part) => {
            let count = number(&part.text).filter(|&count| count > 0);
            Some(count.ok_or_else(|| {
                let message = format!("`{}` is no number of events above 0", part.text);
                Failure::wrong(Diagnostic::error(&codes::BAD_EVENT, part.span, message))
            })?)
        }
    };
    let literal = glob.is_literal();
    let place = |row: &Row| {
        let attach = Attach::Counter {
            event: CounterEvent {
                source,
                number: row.number,
            },
            period: period.unwrap_or(row.period),
            cookie: 0,
        };
        let name = if literal { event.text.as_str() } else { row.name };
        let count = count.map_or(String::new(), |count| count.text.clone());
        Place {
            literal,
            ..Place::named(format!("{}:{name}:{count}", kind.name()), attach)
        }
    };
    Ok(found.into_iter().map(place).collect())
}
