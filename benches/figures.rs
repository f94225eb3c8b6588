//! Prints the figures that crumbs is measured by: start, memory, size, instructions, run time. `cargo bench --bench
//! figures`, as root, on a quiet machine. What cannot be measured is printed as `skipped` with the reason.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CRUMBS: &str = env!("CARGO_BIN_EXE_crumbs");
const FLAGSHIP: &str = "uprobe:libc:write < @bytes = hist(arg2) >";
const PAIR: &str = "uprobe:libc:read { @s[tid] = nsecs; } \
    uretprobe:libc:read /@s[tid]/ { @us = hist((nsecs - @s[tid]) / 1000); delete(@s, tid); }";
const EMPTY: &str = "uprobe:libc:write { }";
/// Starts that are timed, after a first one that is not.
const STARTS: usize = 31;
/// Runs of which the fastest counts.
const RUNS: u32 = 5;
/// Calls of write() for run times.
const CALLS: u32 = 200_000;

fn main() {
    let size = fs::metadata(CRUMBS).unwrap().len();
    println!("{:<58} {:>10}   target", "figure", "measured");
    row(
        "release binary, stripped, MB",
        format!("{:.1}", size as f64 / 1e6),
        "≤ 5",
    );
    row(
        "BPF instructions, flagship",
        instructions(FLAGSHIP).to_string(),
        "≤ 40",
    );
    row(
        "BPF instructions, read-latency pair",
        instructions(PAIR).to_string(),
        "≤ 80",
    );
    if !Path::new("/sys/fs/bpf").exists() || !is_root() {
        println!("skipped: the rest needs root and BPF");
        return;
    }
    let flagship = starts(FLAGSHIP);
    row(
        "process start to attached, flagship, median ms",
        ms(flagship.armed),
        "≤ 10",
    );
    row(
        "peak RSS of the flagship run, MB",
        format!("{:.1}", flagship.peak_kb as f64 / 1024.0),
        "≤ 10",
    );
    let thirty = starts(&thirty_blocks());
    row(
        "process start to attached, 30 uprobe blocks, median ms",
        ms(thirty.armed),
        "≤ 30",
    );
    row(
        "process start to exit, 30 uprobe blocks, median ms",
        ms(thirty.exit),
        "≤ 250",
    );
    run_times();
}

fn row(name: &str, measured: String, target: &str) {
    println!("{name:<58} {measured:>10}   {target}");
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|l| l.starts_with("Uid:\t0\t"))
}

/// Instructions of all programs of a script, as `-d asm` counts them.
fn instructions(script: &str) -> usize {
    let out = Command::new(CRUMBS)
        .args(["-d", "asm", "-e", script])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .filter_map(|l| {
            l.split_once("): ")?
                .1
                .strip_suffix(" instructions")?
                .parse::<usize>()
                .ok()
        })
        .sum()
}

/// 30 functions of libc that little calls.
fn thirty_blocks() -> String {
    let out = Command::new(CRUMBS)
        .args(["-l", "uprobe:libc:get*"])
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let blocks = text
        .lines()
        .take(30)
        .enumerate()
        .map(|(i, name)| format!("{name} {{ @c{i} = count(); }}\n"));
    blocks.collect()
}

struct Starts {
    armed: Duration,
    exit: Duration,
    peak_kb: u64,
}

/// Starts a script again and again and interrupts it once it is attached.
fn starts(script: &str) -> Starts {
    let (mut armed, mut exits, mut peak_kb) = (Vec::new(), Vec::new(), 0);
    for _ in 0..=STARTS {
        let begin = Instant::now();
        // The shell opens descriptor 3 as a pipe to us and becomes crumbs.
        let command = "exec 3>&1 1>/dev/null; exec \"$0\" -q --ready-fd 3 -e \"$1\"";
        let mut child = Command::new("sh")
            .args(["-c", command, CRUMBS, script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = [0; 9];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        armed.push(begin.elapsed());
        peak_kb = peak_kb.max(high_water_kb(child.id()));
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        child.wait().unwrap();
        exits.push(begin.elapsed());
    }
    Starts {
        armed: median(armed),
        exit: median(exits),
        peak_kb,
    }
}

/// The median without the first.
fn median(mut times: Vec<Duration>) -> Duration {
    times.remove(0);
    times.sort_unstable();
    times[times.len() / 2]
}

fn high_water_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Run time of the flagship program above an empty one, and the same of bpftrace where it is installed.
fn run_times() {
    let switch = "/proc/sys/kernel/bpf_stats_enabled";
    let before = fs::read_to_string(switch).unwrap_or_default();
    if fs::write(switch, "1").is_err() || !runs("bpftool") {
        println!("skipped: run times need bpftool and {switch}");
        return;
    }
    let dd = format!("dd if=/dev/zero of=/dev/null bs=1 count={CALLS}");
    let ours = |script: &str| nanoseconds(|| command(CRUMBS, &["-e", script, "-c", &dd]));
    let (empty, flagship) = (ours(EMPTY), ours(FLAGSHIP));
    row("run time of an empty uprobe, ns", format!("{empty:.0}"), "");
    row(
        "run time of the flagship program, ns",
        format!("{flagship:.0}"),
        "",
    );
    if runs("bpftrace") {
        let theirs = |script: &str| nanoseconds(|| command("bpftrace", &["-e", script, "-c", &dd]));
        let libc = "/lib/x86_64-linux-gnu/libc.so.6";
        let hist = theirs(&format!("uprobe:{libc}:write {{ @bytes = hist(arg2); }}"));
        row(
            "run time of bpftrace's program for the same, ns",
            format!("{hist:.0}"),
            "",
        );
        let ratio = (flagship - empty) / (hist - empty);
        row(
            "ratio above the empty uprobe, crumbs to bpftrace",
            format!("{ratio:.3}"),
            "≤ 0.167",
        );
    } else {
        println!("skipped: bpftrace is not installed");
    }
    // Back to what it was; nobody is helped by a failure here.
    let _ = fs::write(switch, before);
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Nanoseconds a run of the kprobe program that a command loads, by the kernel's statistics, read until it is gone. The
/// least of several runs: what else the machine does meanwhile is counted too.
fn nanoseconds(mut command: impl FnMut() -> Command) -> f64 {
    let once = |_| {
        let known: Vec<u64> = programs().into_keys().collect();
        let mut child = command().spawn().unwrap();
        let mut last = (0.0, 0.0);
        while child.try_wait().unwrap().is_none() {
            for (id, (time, count)) in programs() {
                if !known.contains(&id) && count > last.1 {
                    last = (time, count);
                }
            }
        }
        last.0 / f64::max(last.1, 1.0)
    };
    (0..RUNS).map(once).fold(f64::INFINITY, f64::min)
}

/// Run time (ns) and run count of every kprobe program, by id.
fn programs() -> BTreeMap<u64, (f64, f64)> {
    let out = Command::new("bpftool").args(["prog", "show"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let after = |line: &str, word: &str| {
        let mut words = line.split_whitespace();
        words.find(|w| *w == word)?;
        words.next()?.parse::<f64>().ok()
    };
    let kprobes = text.lines().filter(|line| line.contains(": kprobe "));
    kprobes
        .filter_map(|line| {
            let id = line.split(':').next()?.trim().parse().ok()?;
            Some((id, (after(line, "run_time_ns")?, after(line, "run_cnt")?)))
        })
        .collect()
}
