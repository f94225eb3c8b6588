//! The README's main command does what the README shows.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests; a skipped one says why"
)]

use std::process::Command;

/// The first command of the README and what it shows below it.
fn shown() -> (String, String) {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = readme
        .split("```console\n$ ")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let (command, output) = block.split_once('\n').unwrap();
    (command.to_owned(), output.to_owned())
}

/// The rows of a histogram.
fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with('[')).collect()
}

#[test]
fn the_main_command_prints_what_is_shown() {
    let (command, output) = shown();
    let arguments = command.strip_prefix("cargo run --release -- ").unwrap();
    let run = Command::new("sh")
        .args([
            "-c",
            &format!("exec \"$0\" {arguments}"),
            env!("CARGO_BIN_EXE_crumbs"),
        ])
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() && (errors.contains("CAP_") || errors.contains("root")) {
        println!(
            "skipped: tracing needs root and BPF: {}",
            errors.lines().next().unwrap_or_default()
        );
        return;
    }
    let printed = String::from_utf8(run.stdout).unwrap();
    // What dd says besides depends on its release; what it was told to write does not.
    let is_asked_for = |row: &&str| row.starts_with("[4K, 8K)");
    let wanted: Vec<&str> = rows(&output).into_iter().filter(is_asked_for).collect();
    assert_eq!(wanted.len(), 1);
    assert!(wanted[0].contains(" 1000 |"));
    assert_eq!(
        rows(&printed)
            .into_iter()
            .filter(is_asked_for)
            .collect::<Vec<_>>(),
        wanted,
        "{printed}{errors}"
    );
}

#[test]
fn every_example_compiles_and_loads() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut tried = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let run = Command::new(env!("CARGO_BIN_EXE_crumbs"))
            .arg("--dry-run")
            .arg(&path)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr);
        if errors.contains("CAP_") || errors.contains("root") {
            println!("skipped: loading needs root and BPF");
            return;
        }
        assert!(run.status.success(), "{}: {errors}", path.display());
        tried += 1;
    }
    assert!(tried >= 5);
}
