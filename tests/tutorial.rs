//! Every command of the tutorial prints what the tutorial shows.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests; a skipped one says why"
)]

use std::process::{Command, Output};

/// A command of the tutorial, and the lines shown below it, in which `…` stands for any text or for any lines.
struct Shown {
    command: String,
    lines: Vec<String>,
}

fn shown() -> Vec<Shown> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tutorial.md")).unwrap();
    let blocks = text
        .split("```console\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let mut all: Vec<Shown> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ ") {
            Some(command) => all.push(Shown {
                command: command.to_owned(),
                lines: Vec::new(),
            }),
            None => all.last_mut().unwrap().lines.push(line.to_owned()),
        }
    }
    all
}

/// Runs a command line whose program is `crumbs`.
fn run(command: &str) -> Output {
    let arguments = command.strip_prefix("crumbs ").unwrap();
    Command::new("sh")
        .args([
            "-c",
            &format!("exec \"$0\" {arguments}"),
            env!("CARGO_BIN_EXE_crumbs"),
        ])
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap()
}

/// Whether a line is what is shown, where `…` is any text.
fn is_line(line: &str, shown: &str) -> bool {
    match shown.split_once('…') {
        None => line == shown,
        Some((front, rest)) => line.strip_prefix(front).is_some_and(|line| {
            let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            ends.into_iter().any(|at| is_line(&line[at..], rest))
        }),
    }
}

/// Whether lines are what is shown, where a line `…` is any number of lines.
fn are_lines(lines: &[&str], shown: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((&"…", rest)) => (0..=lines.len()).any(|from| are_lines(&lines[from..], rest)),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| is_line(line, first) && are_lines(lines, rest)),
    }
}

#[test]
fn what_is_shown_is_compared() {
    assert!(are_lines(&["a 12 b", "c", "d"], &["a … b", "…", "d"]));
    assert!(are_lines(&["a"], &["…", "a", "…"]));
    assert!(!are_lines(&["a", "b"], &["a"]));
    assert!(!are_lines(&["a"], &["b"]));
    assert!(shown().len() >= 14);
}

/// The lines of a text without the blank ones at its end.
fn lines(text: &str) -> Vec<&str> {
    text.trim_end_matches('\n').lines().collect()
}

#[test]
fn every_command_prints_what_is_shown() {
    for Shown {
        command,
        lines: shown,
    } in shown()
    {
        let output = run(&command);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        if ["root", "CAP_", "there is no tracepoint"]
            .iter()
            .any(|lack| stderr.contains(lack))
        {
            println!("skipped: {}", stderr.lines().next().unwrap_or_default());
            return;
        }
        // The two streams have no common order: what is shown first is what stands on standard error.
        let printed: Vec<&str> = lines(&stderr).into_iter().chain(lines(&stdout)).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        assert!(
            are_lines(&printed, &shown),
            "{command}\nshown:\n{}\nprinted:\n{}",
            shown.join("\n"),
            printed.join("\n")
        );
    }
}
