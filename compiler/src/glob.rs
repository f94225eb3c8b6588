//! Wildcards in attach points.
//!
//! In: a pattern in which `*` stands for any text, also none, and every other character for itself (`?` and `[…]` too:
//! C++ names have them). Out: whether a name matches, in time linear in pattern and name.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// The literal texts between the stars: always one more than there are stars.
    pieces: Vec<String>,
}

impl Glob {
    /// Compiles `pattern`. Every text is a valid pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self {
            pieces: pattern.split('*').map(str::to_owned).collect(),
        }
    }

    /// Whether it has no wildcard, so that it matches one name only: itself.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.pieces.len() == 1
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|only| only == name);
        };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        // The leftmost place of each piece leaves the most for those that follow: there is nothing to try again.
        for piece in middle {
            let Some(at) = rest.find(piece.as_str()) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;
    use proptest::prelude::*;

    /// The definition, by recursion; exponential.
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some((b'*', rest)), None) => naive(rest, name),
            (Some((b'*', rest)), Some((_, tail))) => naive(rest, name) || naive(pattern, tail),
            (Some((p, rest)), Some((n, tail))) => p == n && naive(rest, tail),
            (Some(_), None) => false,
        }
    }

    #[test]
    fn other_metacharacters_are_literal() {
        assert!(Glob::new("operator[]").matches("operator[]"));
        assert!(!Glob::new("a?c").matches("abc"));
        assert!(Glob::new("a?c").is_literal());
        assert!(!Glob::new("").matches("a"));
        assert!(Glob::new("").matches(""));
    }

    #[test]
    fn prefix_and_suffix_do_not_overlap() {
        assert!(!Glob::new("aba*aba").matches("aba"));
        assert!(!Glob::new("aba*aba").matches("ababa"));
        assert!(Glob::new("aba*aba").matches("abaaba"));
    }

    #[test]
    fn takes_no_longer_for_many_stars() {
        let name = "a".repeat(100_000);
        let pattern = "*a".repeat(1_000) + "*b";
        assert!(!Glob::new(&pattern).matches(&name));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(Glob::new(&pattern).matches(&name), naive(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
