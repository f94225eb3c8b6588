//! Functions that a library exports in several versions.

use crate::support::*;
use std::path::{Path, PathBuf};

/// A program that calls the old version three times and the new one five times, and its library.
fn program_and_library() -> (PathBuf, PathBuf) {
    let directory = directory();
    let map = directory.join("versions.map");
    std::fs::write(&map, "FIRST_1 { };\nSECOND_2 { global: version_of; } FIRST_1;\n").unwrap();
    let script = format!("-Wl,--version-script={}", map.display());
    let library = compiled_as(
        "versions.c",
        &directory.join("libcrumbsversions.so"),
        &["-shared", "-fPIC", &script],
    );
    let (link, path) = (
        format!("-L{}", directory.display()),
        format!("-Wl,-rpath,{}", directory.display()),
    );
    let options = ["-DPROGRAM", &link, "-lcrumbsversions", &path];
    let program = compiled_as("versions.c", &directory.join("program"), &options);
    (program, library)
}

fn traced(point: &str, program: &Path) -> Outcome {
    Crumbs::script(&format!("{point} {{ @[func] = count(); }}"))
        .args(&["-c", &program.display().to_string()])
        .run()
}

#[test]
fn a_version_of_a_function() {
    needs!(no_tracing());
    needs!(no_compiler());
    let (program, library) = program_and_library();
    let library = library.display();
    traced(&format!("uprobe:{library}:version_of@FIRST_1"), &program).maps("@[version_of]: 3\n");
    traced(&format!("uprobe:{library}:version_of@SECOND_2"), &program).maps("@[version_of]: 5\n");
    traced(&format!("uretprobe:{library}:version_of@@SECOND_2"), &program).maps("@[version_of]: 5\n");
    traced(&format!("uprobe:{library}:version_of@*"), &program).maps("@[version_of]: 8\n");
    // What new programs get.
    traced(&format!("uprobe:{library}:version_of"), &program).maps("@[version_of]: 5\n");
    traced(&format!("uprobe:{library}:version_of@THIRD_3"), &program).refuses(&[
        "has no function `version_of@THIRD_3`",
        "did you mean",
        "`version_of@FIRST_1`",
        "`version_of@SECOND_2`",
    ]);
}

#[test]
fn versions_are_listed() {
    needs!(no_compiler());
    let (_, library) = program_and_library();
    let pattern = format!("uprobe:{}:version_*@*", library.display());
    let outcome = Crumbs::new().args(&["-l", &pattern]).run();
    let library = library.display();
    let expected = format!("uprobe:{library}:version_of@FIRST_1\nuprobe:{library}:version_of@SECOND_2\n");
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
}
