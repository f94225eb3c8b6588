//! Every script of the library compiles and loads, and its header tells its parameters.

use crumbs_probe_library::SCRIPTS;
use std::collections::BTreeSet;
use std::process::Command;

fn crumbs(words: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crumbs"))
        .args(words)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_script_is_in_standard_form() {
    for script in SCRIPTS {
        let path = format!(
            "{}/probe-library/{}.crumbs",
            env!("CARGO_MANIFEST_DIR"),
            script.name
        );
        let (worked, text, errors) = crumbs(&["fmt", &path]);
        assert!(worked, "{}: {errors}", script.name);
        assert_eq!(text, script.text, "{}: crumbs fmt -o FILE FILE", script.name);
    }
}

#[test]
fn headers_tell_the_parameters() {
    for script in SCRIPTS {
        let (worked, help, errors) = crumbs(&["run", script.name, "-h"]);
        assert!(worked, "{}: {errors}", script.name);
        let listed = help.split("Parameters of").nth(1).unwrap_or_default();
        let names = |text: &str, start: &str| -> BTreeSet<String> {
            text.lines()
                .filter_map(|line| line.strip_prefix(start))
                .map(|line| line.split([' ', '=', '`']).next().unwrap_or_default().to_owned())
                .collect()
        };
        let section = script.header().section("Parameters").unwrap_or_default();
        assert_eq!(names(listed, "  --"), names(&section, "- `--"), "{}", script.name);
    }
}

#[test]
fn names_that_are_wrong_are_told() {
    let (worked, _, errors) = crumbs(&["run", "sizes"]);
    assert!(
        !worked && errors.contains("there is") && errors.contains("posix/sizes"),
        "{errors}"
    );
    let (worked, _, errors) = crumbs(&["run"]);
    assert!(!worked && errors.contains("crumbs lib"), "{errors}");
    let (worked, _, errors) = crumbs(&["lib", "show", "posix/sise"]);
    assert!(!worked && errors.contains("posix/sizes"), "{errors}");
}

#[test]
fn the_library_is_listed_searched_shown_and_exported() {
    let (_, list, _) = crumbs(&["lib"]);
    for script in SCRIPTS {
        assert!(
            list.contains(script.name) && list.contains(script.header().question()),
            "{}",
            script.name
        );
    }
    let (_, found, _) = crumbs(&["lib", "search", "seek"]);
    assert!(found.trim_start().starts_with("posix/seeks"), "{found}");
    let (_, shown, _) = crumbs(&["lib", "show", "posix/seeks"]);
    assert!(shown.contains("## How to read it"), "{shown}");
    let (_, text, _) = crumbs(&["lib", "export", "posix/seeks"]);
    assert_eq!(
        Some(text.as_str()),
        crumbs_probe_library::find("posix/seeks").map(|script| script.text)
    );
    let (_, completions, _) = crumbs(&["--completions", "bash"]);
    assert!(SCRIPTS.iter().all(|script| completions.contains(script.name)));
}
