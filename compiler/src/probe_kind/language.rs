//! Names of functions in the language that they were written in: `uprobe:BINARY:cpp:NAME`.
//!
//! In: the name of a symbol, as the compiler of that language made it. Out: what the program's text calls it.

use crate::glob::Glob;
use cpp_demangle::{DemangleOptions, Symbol};

/// A language whose compilers mangle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C++, as the Itanium C++ ABI mangles.
    Cpp,
    /// Rust, its older mangling and that of RFC 2603.
    Rust,
}

/// A function's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// With its parameters, where the symbol tells them.
    pub whole: String,
    /// Without parameters and result.
    pub alone: String,
}

impl Language {
    /// What stands before a name of this language in an attach point.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpp => "cpp",
            Self::Rust => "rust",
        }
    }

    /// The language that is called `name`.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Cpp, Self::Rust].into_iter().find(|l| l.name() == name)
    }

    /// The names of the function whose symbol is `symbol`; `None` where it is none of this language.
    pub fn names(self, symbol: &str) -> Option<Names> {
        match self {
            Self::Cpp => {
                let symbol = Symbol::new(symbol.starts_with("_Z").then_some(symbol)?).ok()?;
                let demangled = |options: &DemangleOptions| symbol.demangle_with_options(options).ok();
                Some(Names {
                    whole: demangled(&DemangleOptions::new())?,
                    alone: demangled(&DemangleOptions::new().no_params().no_return_type())?,
                })
            }
            Self::Rust => {
                // The alternate form leaves out the hash at the end.
                let name = format!("{:#}", rustc_demangle::try_demangle(symbol).ok()?);
                Some(Names {
                    whole: name.clone(),
                    alone: name,
                })
            }
        }
    }

    /// The whole name of the function whose symbol is `symbol`, where it matches: a pattern with a parenthesis the whole
    /// of it, another the name alone.
    pub fn matching(self, symbol: &str, pattern: &Glob) -> Option<String> {
        let names = self.names(symbol)?;
        (pattern.matches(&names.whole) || pattern.matches(&names.alone)).then_some(names.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_parameters() {
        let matching = |name, pattern| Language::Cpp.matching(name, &Glob::new(pattern));
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

    #[test]
    fn names_of_both_manglings_of_rust() {
        let matching = |name, pattern| Language::Rust.matching(name, &Glob::new(pattern));
        let old = "_ZN5shape5scale17h0123456789abcdefE";
        assert_eq!(matching(old, "shape::scale").as_deref(), Some("shape::scale"));
        assert!(matching("_RNvCs1234_5shape5scale", "shape::sc*").is_some());
        assert!(matching("main", "*").is_none());
    }
}
