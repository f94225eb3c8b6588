//! C++ names of functions in attach points: `uprobe:BINARY:cpp:NAME`.

use crate::glob::Glob;
use cpp_demangle::{DemangleOptions, Symbol};

/// The C++ name of a function, parameters included, where its symbol `name` has one and that matches: a pattern with a
/// parenthesis the whole of it, another the name alone.
pub(super) fn matching(name: &str, pattern: &Glob) -> Option<String> {
    if !name.starts_with("_Z") {
        return None;
    }
    let symbol = Symbol::new(name).ok()?;
    let whole = symbol.demangle_with_options(&DemangleOptions::new()).ok()?;
    let alone = DemangleOptions::new().no_params().no_return_type();
    let alone = symbol.demangle_with_options(&alone).ok()?;
    (pattern.matches(&whole) || pattern.matches(&alone)).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_parameters() {
        let matching = |name, pattern| matching(name, &Glob::new(pattern));
        let name = "_ZN5Shape5scaleEid";
        assert_eq!(
            matching(name, "Shape::scale").as_deref(),
            Some("Shape::scale(int, double)")
        );
        assert!(matching(name, "Shape::scale(int, double)").is_some());
        assert!(matching(name, "Shape::*").is_some());
        assert!(matching(name, "Shape::scal").is_none() && matching(name, "scale").is_none());
        assert!(matching("main", "main").is_none());
        assert!(matching("_Z", "*").is_none());
    }
}
