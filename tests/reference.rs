//! `docs/reference` is what the compiler's own tables say. `BLESS=1` writes it.
#![expect(clippy::unwrap_used, reason = "tests")]

use crumbs_compiler::reference::{Chapter, page};
use std::fs;
use std::path::PathBuf;

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "docs", "reference"].iter().collect()
}

#[test]
fn pages_are_not_stale() {
    for chapter in Chapter::ALL {
        let path = directory().join(format!("{}.md", chapter.page()));
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(directory()).unwrap();
            fs::write(&path, page(chapter)).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page(chapter),
            "{} is stale: BLESS=1 cargo test --test reference",
            path.display()
        );
    }
}

#[test]
fn there_are_no_other_pages() {
    let pages = Chapter::ALL.map(|chapter| format!("{}.md", chapter.page()));
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains(&name), "nothing makes docs/reference/{name}");
    }
}
