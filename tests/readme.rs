//! The README's main command does what the README shows.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests; a skipped one says why"
)]

use crumbs::stages;
use crumbs_compiler::driver;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
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

/// The last cell of the README's row of a figure.
fn figure(name: &str) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let row = readme
        .lines()
        .find(|line| line.starts_with(&format!("| {name} |")));
    let cells: Vec<&str> = row.unwrap().split('|').map(str::trim).collect();
    cells[cells.len() - 2].to_owned()
}

#[test]
fn programs_have_as_many_instructions_as_it_says() {
    let pair = "uprobe:libc:read { @s[tid] = nsecs; }
        uretprobe:libc:read /@s[tid]/ { @us = hist((nsecs - @s[tid]) / 1000); delete(@s, tid); }";
    for (name, script, most) in [
        (
            "BPF instructions, flagship",
            "uprobe:libc:write < @bytes = hist(arg2) >",
            40,
        ),
        ("BPF instructions, read-latency pair", pair, 80),
    ] {
        let target = FixtureTarget::parse(include_str!("golden/target.txt")).unwrap();
        let checked = stages::check("readme", script, &target, &Options::default())
            .unwrap_or_else(|_| panic!("{script}"));
        let compiled = driver::compile(&checked.script, &target).unwrap();
        let count: usize = compiled.programs.iter().map(|program| program.insns.len()).sum();
        assert_eq!(count.to_string(), figure(name), "{script}");
        assert!(count <= most, "{script}: {count}");
    }
}
