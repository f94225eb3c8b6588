//! The scripts of `examples/`: the index lists them all, each compiles and loads, and most are run while something happens that
//! they are to show.
//!
//! What happens is caused by `programs/provoke.c`, so nothing is waited for. Scripts whose event cannot be caused here
//! (memory that runs out) are loaded only.

use crate::support::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn directory_of_examples() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "examples"].iter().collect()
}

/// Every example by its name, without `.crumbs`.
fn examples() -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory_of_examples()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_suffix(".crumbs")?.to_owned()))
        .collect()
}

fn path_of(example: &str) -> PathBuf {
    directory_of_examples().join(format!("{example}.crumbs"))
}

/// The comment that an example opens with.
fn opening(text: &str) -> Vec<&str> {
    let behind_shebang = text.lines().skip(1).skip_while(|line| line.is_empty());
    behind_shebang
        .map_while(|line| line.strip_prefix("//"))
        .map(str::trim)
        .collect()
}

#[test]
fn the_index_lists_every_example_with_its_question() {
    let index = std::fs::read_to_string(directory_of_examples().join("README.md")).unwrap();
    let rows = index.lines().filter_map(|line| {
        let (question, link) = line.strip_prefix("| ")?.rsplit_once(" | [")?;
        let (name, target) = link.strip_suffix(") |")?.split_once("](")?;
        assert_eq!(target, format!("{name}.crumbs"));
        Some((name.to_owned(), question.to_owned()))
    });
    let rows: Vec<(String, String)> = rows.collect();
    let mut listed: Vec<&String> = rows.iter().map(|(name, _)| name).collect();
    listed.sort();
    assert_eq!(
        listed,
        examples().iter().collect::<Vec<_>>(),
        "each once, and none besides"
    );
    for (name, question) in &rows {
        let text = std::fs::read_to_string(path_of(name)).unwrap();
        assert_eq!(opening(&text)[0], question, "{name}");
    }
}

#[test]
fn every_example_opens_with_a_question_and_how_it_is_run() {
    for name in examples() {
        let text = std::fs::read_to_string(path_of(&name)).unwrap();
        assert!(text.starts_with("#!/usr/bin/env crumbs\n"), "{name}");
        let opening = opening(&text);
        assert!(opening[0].ends_with('?'), "{name}: {}", opening[0]);
        let run = format!("crumbs examples/{name}.crumbs");
        assert!(
            opening.iter().any(|line| line.starts_with(&run)),
            "{name}: does not say `{run}`"
        );
        assert!(
            opening.len() > 5,
            "{name}: does not say how to read what comes out"
        );
        assert_eq!(
            crumbs_grammar::format::format(&text).unwrap(),
            text,
            "{name}: crumbs fmt"
        );
    }
}

/// What an example says when this machine lacks what it probes, with the reason in our words.
const LACKS: &[(&str, &str)] = &[
    ("there is no tracepoint", "the kernel has no such tracepoint"),
    (
        "does not permit it",
        "the kernel forbids trampolines on its functions",
    ),
    ("cannot be found", "a program or library is not installed"),
    ("usdt", "a program was built without static probes"),
];

#[test]
fn every_example_compiles_and_loads() {
    needs!(no_tracing());
    let (mut loaded, mut lacking) = (0, Vec::new());
    for name in examples() {
        let mut crumbs = Crumbs::new().arg("--dry-run").arg(path_of(&name));
        if name == "memory-writes" {
            crumbs = crumbs.arg("0x10000000");
        }
        let outcome = crumbs.run();
        if outcome.status == 0 {
            loaded += 1;
            continue;
        }
        let lack = LACKS.iter().find(|(message, _)| outcome.stderr.contains(message));
        let Some((_, reason)) = lack else {
            panic!("{name}: {}", outcome.stderr);
        };
        lacking.push(format!("{name}: {reason}"));
    }
    for reason in &lacking {
        println!("not loaded: {reason}");
    }
    assert!(
        loaded >= 40,
        "only {loaded} examples load here: {}",
        lacking.join(", ")
    );
}

/// Whether a line is what a pattern says, in which `*` is any text.
fn matches(line: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => line == pattern,
        Some((front, rest)) => line.strip_prefix(front).is_some_and(|line| {
            let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            ends.into_iter().any(|at| matches(&line[at..], rest))
        }),
    }
}

#[test]
fn patterns_match_lines() {
    for (line, pattern, expected) in [
        ("ab", "ab", true),
        ("ab", "a", false),
        ("ab", "a*", true),
        ("ab", "*b", true),
        ("a, b, c", "a*b*", true),
        ("a, b, c", "*c*d", false),
        ("", "*", true),
    ] {
        assert_eq!(matches(line, pattern), expected, "{line} {pattern}");
    }
}

/// What comes out of an example, run with arguments. Its ring is large, because other programs of the machine are seen too.
fn run(example: &str, arguments: &[&str]) -> Outcome {
    let crumbs = Crumbs::new().env("CRUMBS_PERF_RB_PAGES", "4096");
    let outcome = crumbs.arg(path_of(example)).args(arguments).run();
    assert_eq!(outcome.status, 0, "{example}: {outcome:?}");
    outcome
}

/// Runs an example over a command, unless the kernel lacks what it probes, and looks for lines like `patterns`, in this order.
#[track_caller]
fn shows(example: &str, arguments: &[&str], patterns: &[&str]) {
    let dry = Crumbs::new()
        .arg("--dry-run")
        .arg(path_of(example))
        .args(arguments)
        .run();
    if dry.stderr.contains("there is no tracepoint") {
        println!("skipped: the kernel has no tracepoint that {example} needs");
        return;
    }
    has_lines(example, &run(example, arguments), patterns);
}

#[track_caller]
fn has_lines(example: &str, outcome: &Outcome, patterns: &[&str]) {
    let mut lines = outcome.stdout.lines();
    for pattern in patterns {
        assert!(
            lines.any(|line| matches(line, pattern)),
            "{example}: no line `{pattern}` (or not in this order) in\n{}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
}

/// The command line of `provoke` with commands.
fn provoke(commands: &str) -> String {
    format!("{} {commands}", provoking().display())
}

/// A `provoke` of its own for a test.
fn provoking() -> PathBuf {
    compiled("provoke.c", &["-pthread"])
}

/// Runs examples over what `provoke` does.
#[track_caller]
fn show_provoked(cases: &[(&str, &str, &[&str])]) {
    needs!(no_tracing());
    let program = provoking();
    for (example, commands, patterns) in cases {
        let command = format!("{} {commands}", program.display());
        shows(example, &["-c", &command], patterns);
    }
}

#[test]
fn processes_and_signals() {
    needs!(no_tracing());
    shows(
        "process-starts",
        &["-c", "/bin/true one two"],
        &["PID *", "* crumbs * /bin/true one two"],
    );
    shows("process-exits", &["-c", "sh -c 'exit 3'"], &["* sh * 3"]);
    shows(
        "process-exits",
        &["-c", "sh -c 'kill -9 $$'"],
        &["* sh * signal 9"],
    );
    shows("processes", &[], &["PID *", "* crumbs * 0 *"]);
    shows("open-files", &[], &["* crumbs * 0 /dev/null"]);
    show_provoked(&[
        ("thread-starts", "threads", &["@threads[provoke, *]: 4"]),
        (
            "signals",
            "raise",
            &["provoke * provoke * 10 (User defined signal 1)"],
        ),
        (
            "kill-calls",
            "fail-3",
            &["provoke * 2147483632 0 * No such process"],
        ),
    ]);
}

#[test]
fn processors() {
    show_provoked(&[
        ("cpu-profile", "spin", &["@samples[provoke, ", "*main+*", "]: *"]),
        ("cpu-shares", "spin", &["@samples[*, *]: *"]),
        ("run-queue-latency", "ping-pong", &["@us:", "[*|*"]),
        ("off-cpu", "nap", &["@us[*, ", "]: *"]),
        ("context-switches", "ping-pong", &["@waits[*]: *"]),
        ("wakeups", "ping-pong", &["@[provoke, provoke]: *"]),
        ("sleeps", "nap", &["@ms[provoke]:", "[1] * 1 |@*"]),
    ]);
    if Path::new("/sys/devices/system/cpu/cpu1").exists() {
        show_provoked(&[("migrations", "move", &["@moves[provoke, 1, 0]: *"])]);
    }
}

#[test]
fn system_calls() {
    show_provoked(&[
        ("syscalls-per-second", "fail-5000", &["@[*]: *"]),
        (
            "syscalls-by-name",
            "fail-3",
            &[
                "@failed[kill, No such process]: 3",
                "@ns[kill]: { .count = 3, .average = *",
            ],
        ),
        (
            "failed-syscalls",
            "fail-5000",
            &["@[provoke, kill, No such process]: 5000"],
        ),
        ("cgroup-syscalls", "spin", &["@syscalls[*:/*]: *"]),
    ]);
}

#[test]
fn files() {
    needs!(no_tracing());
    let file = directory().join("file");
    let file = file.to_str().unwrap();
    show_provoked(&[
        (
            "file-opens",
            "open",
            &["* provoke * No such file or directory * /nonexistent-crumbs"],
        ),
        ("file-removals", file, &[&format!("* provoke * {file}")]),
        ("file-lifetimes", file, &[&format!("provoke * ms  {file}")]),
        ("read-latency", "read", &["@reads: { .count = 10, .average = *"]),
        ("write-sizes", "write", &["@bytes[provoke]:", "[4K, 8K) * 10 |@*"]),
        ("write-rate", "write-gib", &["@written[provoke]: 1.00 GiB"]),
        ("fsync-latency", file, &["@us[provoke]:", "[*|*"]),
        ("page-cache", file, &["@pages[provoke]: *"]),
    ]);
    let command = provoke("open read");
    let failed = run("file-opens", &["-c", &command, "--", "--failed"]);
    let of_it = || failed.stdout.lines().filter(|line| line.contains(" provoke "));
    assert!(
        of_it().count() > 0 && of_it().all(|line| !line.contains("/dev/zero")),
        "{failed:?}"
    );
}

/// The device that a file is on; 0 for those that are in memory.
fn device_of(path: &Path) -> u64 {
    let number = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(path).unwrap());
    number >> 8
}

#[test]
fn disks() {
    needs!(no_tracing());
    let directory = directory();
    needs!((device_of(&directory) == 0).then_some("the file system is not on a disk"));
    let file = directory.join("file");
    let file = file.to_str().unwrap();
    show_provoked(&[
        ("block-latency", file, &["@us[*, *, *]:", "[*|*"]),
        ("block-sizes", file, &["@bytes[*]:", "[*|*"]),
        ("block-requests", file, &["COMM *", "* W* * 65536 *"]),
    ]);
}

#[test]
fn networks() {
    show_provoked(&[
        (
            "tcp-connects",
            "converse",
            &["PID *", "* provoke * 127.0.0.1:*", "* provoke * 127.0.0.1:*"],
        ),
        (
            "tcp-accepts",
            "converse",
            &["port * from 127.0.0.1:*", "@accepted[*]: *"],
        ),
        (
            "tcp-lifetimes",
            "converse",
            &["LOCAL *", "127.0.0.1 *:* 127.0.0.1 *:* *"],
        ),
        (
            "tcp-resets",
            "converse",
            &["reset: port *, by port * of 127.0.0.1", "@resets[*]: *"],
        ),
        ("dropped-packets", "converse", &["@[*NO_SOCKET, tcp_v4_rcv]: *"]),
        ("network-devices", "converse", &["@sent[lo]: *", "@sizes[lo]:"]),
        ("dns-lookups", "resolve", &["PID *", "* provoke * 0 127.0.0.1"]),
        (
            "http-requests",
            "converse",
            &["provoke (*): GET /crumbs HTTP/1.1*"],
        ),
    ]);
}

#[test]
fn segments_that_are_sent_again() {
    needs!(no_tracing());
    let mut running = Crumbs::new()
        .arg(path_of("tcp-retransmits"))
        .args(&["-c", &provoke("overflow")])
        .start();
    running.until("a segment", |run| run.stdout().contains(" -> 127.0.0.1:"));
    running.signal("INT");
    has_lines(
        "tcp-retransmits",
        &running.wait(),
        &["* -> 127.0.0.1:*, state 2", "@segments[*]: *"],
    );
}

#[test]
fn encrypted_connections() {
    needs!(no_tracing());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/programs/tls.py");
    let is_there = Command::new("/usr/bin/python3").args([script, "--try"]).status();
    needs!((!is_there.is_ok_and(|status| status.success())).then_some("no Python with TLS, or no openssl"));
    let command = format!("/usr/bin/python3 {script}");
    shows(
        "tls-data",
        &["-c", &command],
        &[
            "python3 (*) sends 6: a\\x00b\\x01\\xffc",
            "python3 (*) receives 6: a\\x00b\\x01\\xffc",
        ],
    );
}

#[test]
fn memory() {
    show_provoked(&[
        (
            "page-faults",
            "touch",
            &["@at[", "*touch+*", "*]: 1000", "@total: 1*"],
        ),
        ("major-faults", "read", &[]),
        ("memory-growth", "reserve", &["@mapped[provoke]: 64.0 GiB"]),
        (
            "malloc-sizes",
            "leak",
            &["@malloc:", "[64, 128) * 100 |@*", "[4K, 8K) * 100 |@*"],
        ),
        ("malloc-leaks", "leak", &["*keep+*", "]: 11200"]),
        ("kernel-memory", "read", &["@asked[*]: *", "@given[*]: *"]),
        ("swapping", "read", &[]),
        ("oom-kills", "read", &[]),
    ]);
    needs!(no_tracing());
    let command = provoke("poke");
    shows(
        "memory-writes",
        &["-c", &command, "0x10000000"],
        &["@writes[", "*poke+*", "]: 5"],
    );
}

#[test]
fn locks() {
    show_provoked(&[
        (
            "mutex-waits",
            "contend",
            &["@us[", "*wait_for_mutex+*", "]: { .count = 1, *"],
        ),
        ("futex-waits", "contend", &["@us[provoke]:", "[*|*"]),
        ("kernel-locks", "ping-pong", &[]),
    ]);
}

#[test]
fn libraries() {
    show_provoked(&[
        ("libc-calls", "leak", &["@[malloc]: *"]),
        ("library-loads", "dlopen", &["provoke (*): libm.so.6"]),
        ("environment-reads", "environment", &["@[CRUMBS_EXAMPLE]: 3"]),
    ]);
}

#[test]
fn python() {
    needs!(no_tracing());
    let list = Crumbs::new().args(&["-l", "usdt:/usr/bin/python3:*"]).run();
    needs!((!list.stdout.contains("gc__done")).then_some("this Python has no static probes"));
    let collect = "/usr/bin/python3 -c 'import gc; gc.collect()'";
    shows("python-gc", &["-c", collect], &["@found: *", "@us[2]:", "[*|*"]);
    let import = "/usr/bin/python3 -c 'import json'";
    shows("python-imports", &["-c", import], &["@us[*]: *", "@us[json*]: *"]);
}

#[test]
fn lines_of_bash() {
    needs!(no_tracing());
    needs!(
        Command::new("script")
            .arg("-V")
            .output()
            .err()
            .map(|_| "script is not installed")
    );
    let input = directory().join("typed");
    std::fs::write(&input, "true crumbs example\nexit\n").unwrap();
    let crumbs = Crumbs::new()
        .stdin(std::fs::File::open(input).unwrap())
        .arg(path_of("shell-lines"))
        .args(&["--follow", "tree", "-c", "script -qec 'bash --norc -i' /dev/null"]);
    let outcome = crumbs.run();
    assert!(
        outcome
            .stdout
            .lines()
            .any(|line| matches(line.trim_end(), "*:*:* * true crumbs example")),
        "{outcome:?}"
    );
}

#[test]
fn administration() {
    show_provoked(&[
        ("capabilities", "priority", &["@*[provoke, 23]: *"]),
        ("user-changes", "nobody", &["provoke * setuid: *0 -> 65534"]),
        (
            "mounts",
            "mount",
            &[
                "provoke * mount none on /nonexistent-crumbs, type tmpfs",
                "provoke * failed: *",
            ],
        ),
        ("interrupts", "nap", &[]),
        ("softirqs", "ping-pong", &[]),
        ("timers", "nap", &["@ns:", "@runs[hrtimer_wakeup]: *"]),
        ("workqueues", "nap", &[]),
    ]);
}

#[test]
fn control_groups() {
    needs!(no_tracing());
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let root = roots
        .iter()
        .find(|root| Path::new(root).join("cgroup.controllers").exists());
    needs!(
        root.is_none()
            .then_some("there is no cgroup hierarchy of version 2")
    );
    let group = format!("{}/crumbs-{}", root.unwrap(), std::process::id());
    let is_made = std::fs::create_dir(&group).and_then(|()| std::fs::remove_dir(&group));
    needs!(
        is_made
            .err()
            .map(|error| format!("no cgroup can be made: {error}"))
    );
    let command = format!("sh -c 'mkdir {group} && rmdir {group}'");
    let name = group.rsplit('/').next().unwrap();
    shows(
        "cgroup-changes",
        &["-c", &command],
        &[
            &format!("mkdir (*) makes *{name}"),
            &format!("rmdir (*) removes *{name}"),
        ],
    );
}
