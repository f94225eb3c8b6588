//! The shipped probe scripts and what they import, embedded.
//!
//! In: nothing. Out: [`SCRIPTS`], which `crumbs run` runs by name, and [`MODULES`], which any script imports by name. A script
//! opens with a comment that is its documentation: Markdown whose first line is the question that the script answers, with
//! sections `## Parameters` (where it has some), `## Cost`, `## Example` and `## How to read it`, in this order.

mod header;
mod pages;
mod scripts;

pub use header::Header;
pub use pages::{index, page};
pub use scripts::{MODULES, SCRIPTS};

/// A shipped script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is called: `FAMILY/NAME`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Script {
    /// What it says of itself.
    pub fn header(&self) -> Header<'static> {
        Header::of(self.text)
    }

    /// The layer of software that it looks at, which its name begins with.
    pub fn family(&self) -> &'static str {
        self.name.split_once('/').map_or("", |(family, _)| family)
    }
}

/// The families of scripts, in the order in which an application's calls go through them, with what each is about. (`system`,
/// for processes, file systems, block devices, CPUs and the network, comes with its first script.)
pub const FAMILIES: &[(&str, &str)] = &[
    ("io", "all layers at once"),
    ("hdf5", "HDF5: what the library stores and how"),
    ("netcdf", "NetCDF: variables and the files they go to"),
    (
        "mpiio",
        "MPI-IO: collective, independent and non-blocking file access",
    ),
    ("stdio", "C streams: fread, fwrite and their buffers"),
    ("posix", "system calls on files"),
];

/// The script of a name.
pub fn find(name: &str) -> Option<&'static Script> {
    SCRIPTS.iter().find(|script| script.name == name)
}

/// The scripts whose name or documentation has a word in it, whatever its case; those first whose name or question has.
pub fn search(word: &str) -> Vec<&'static Script> {
    let word = word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&word);
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for script in SCRIPTS {
        let header = script.header();
        if has(script.name) || has(header.question()) {
            first.push(script);
        } else if has(&header.markdown()) {
            rest.push(script);
        }
    }
    first.append(&mut rest);
    first
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::{FAMILIES, MODULES, SCRIPTS, find, search};
    use std::collections::BTreeSet;
    use std::fs;

    /// The scripts in a directory of this crate, without what their names end in.
    fn files(directory: &str) -> BTreeSet<String> {
        let path = format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"));
        fs::read_dir(path)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .strip_suffix(".crumbs")
                    .map(str::to_owned)
            })
            .collect()
    }

    #[test]
    fn every_file_is_embedded_under_its_name() {
        for (family, _) in FAMILIES {
            let embedded: BTreeSet<String> = SCRIPTS
                .iter()
                .filter(|script| script.family() == *family)
                .map(|script| script.name[family.len() + 1..].to_owned())
                .collect();
            assert_eq!(embedded, files(family), "{family}");
        }
        let modules: BTreeSet<String> = MODULES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(modules, files("shared"));
        let known = |family: &str| FAMILIES.iter().any(|(name, _)| *name == family);
        assert!(SCRIPTS.iter().all(|script| known(script.family())));
    }

    #[test]
    fn every_script_documents_itself() {
        for script in SCRIPTS {
            let header = script.header();
            let name = script.name;
            assert!(
                header.question().ends_with('?'),
                "{name}: the first line is a question"
            );
            let sections: Vec<&str> = header.sections().map(|(title, _)| title).collect();
            let wanted = ["Parameters", "Cost", "Example", "How to read it"];
            let is_complete = sections == wanted || sections == wanted[1..];
            assert!(is_complete, "{name}: sections {sections:?}");
            let example = header.section("Example").unwrap();
            let command = format!("    $ crumbs run {name}");
            assert!(example.contains(&command), "{name}: the example runs it");
            assert!(
                example.lines().filter(|line| line.starts_with("    ")).count() > 2,
                "{name}: and shows output"
            );
        }
    }

    #[test]
    fn names_are_sorted_and_found() {
        for pair in SCRIPTS.windows(2) {
            assert!(
                pair[0].family() != pair[1].family() || pair[0].name < pair[1].name,
                "{}",
                pair[1].name
            );
        }
        assert_eq!(find("posix/sizes").map(|script| script.name), Some("posix/sizes"));
        assert_eq!(find("sizes"), None);
        assert_eq!(
            search("SEEK").first().map(|script| script.name),
            Some("posix/seeks")
        );
        assert!(search("no such word").is_empty());
    }
}
