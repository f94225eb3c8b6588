//! `docs/library` is what the scripts of the probe library say of themselves. `BLESS=1` writes it.
#![expect(clippy::unwrap_used, reason = "tests")]

use crumbs_probe_library::{FAMILIES, index, page};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "docs", "library"].iter().collect()
}

/// The pages by file name.
fn pages() -> BTreeMap<String, String> {
    let families = FAMILIES.iter();
    let pages = families.filter_map(|(family, _)| Some((format!("{family}.md"), page(family)?)));
    pages.chain([("README.md".to_owned(), index())]).collect()
}

#[test]
fn pages_are_not_stale() {
    for (name, text) in pages() {
        let path = directory().join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(directory()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{} is stale: BLESS=1 cargo test --test library_docs",
            path.display()
        );
    }
}

#[test]
fn there_are_no_other_pages() {
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages().contains_key(&name), "nothing makes docs/library/{name}");
    }
}
