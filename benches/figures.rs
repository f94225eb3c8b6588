//! Prints the figures that crumbs is measured by: start, memory, size, instructions, run time. `cargo bench --bench
//! figures`, as root, on a quiet machine. What cannot be measured is printed as `skipped` with the reason.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CRUMBS: &str = env!("CARGO_BIN_EXE_crumbs");
const FLAGSHIP: &str = "uprobe:libc:write < @bytes = hist(arg2) >";
const PAIR: &str = "uprobe:libc:read { @s[tid] = nsecs; } \
    uretprobe:libc:read /@s[tid]/ { @us = hist((nsecs - @s[tid]) / 1000); delete(@s, tid); }";
const EMPTY: &str = "uprobe:libc:write { }";
/// How bpftrace is told of libc.
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";
/// Starts that are timed, after a first one that is not.
const STARTS: usize = 101;
/// Runs of which the fastest counts.
const RUNS: u32 = 5;
/// Calls of write() for run times.
const CALLS: u32 = 200_000;

fn main() {
    let size = fs::metadata(CRUMBS).unwrap().len();
    println!("{:<62} {:>14}   target", "figure", "measured");
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
    let waiting = grace_period_program();
    let (mut flagship, mut waits) = (Starts::default(), Vec::new());
    for _ in 0..=STARTS {
        flagship.start(FLAGSHIP);
        let begin = Instant::now();
        assert!(Command::new(&waiting).status().unwrap().success());
        waits.push(begin.elapsed());
    }
    row(
        "process start to attached, flagship, median (least) ms",
        ms(flagship.armed),
        "≤ 10",
    );
    row(
        "a process that only waits for a grace period, likewise",
        ms(waits),
        "",
    );
    row(
        "peak RSS of the flagship run, MB",
        format!("{:.1}", flagship.peak_kb as f64 / 1024.0),
        "≤ 10",
    );
    let (mut thirty, script) = (Starts::default(), thirty_blocks());
    (0..=STARTS).for_each(|_| thirty.start(&script));
    row(
        "process start to attached, 30 uprobe blocks, median (least) ms",
        ms(thirty.armed),
        "≤ 30",
    );
    row(
        "process start to exit, 30 uprobe blocks, median (least) ms",
        ms(thirty.exit),
        "≤ 250",
    );
    run_times();
}

fn row(name: &str, measured: String, target: &str) {
    println!("{name:<62} {measured:>14}   {target}");
}

/// The median, and in parentheses the least. The first is left out: nothing was in memory for it yet.
fn ms(mut times: Vec<Duration>) -> String {
    times.remove(0);
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!("{:.1} ({:.1})", ms(times[times.len() / 2]), ms(times[0]))
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

/// A program that does what the first user probe must do, and nothing else: it waits until each CPU has been seen outside of
/// RCU's critical sections (membarrier(2), `MEMBARRIER_CMD_GLOBAL`). No start can take less, but by luck.
fn grace_period_program() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (directory.join("waits.c"), directory.join("waits"));
    let text = "#include <linux/membarrier.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\
        int main(void) { return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0; }\n";
    fs::write(&source, text).unwrap();
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(&source).status();
    assert!(compiled.unwrap().success());
    program
}

/// Times of many starts, and the most memory that any took.
#[derive(Default)]
struct Starts {
    armed: Vec<Duration>,
    exit: Vec<Duration>,
    peak_kb: u64,
}

impl Starts {
    /// Starts a script and interrupts it once it is attached.
    fn start(&mut self, script: &str) {
        let begin = Instant::now();
        let mut child = Command::new(CRUMBS)
            .args(["-q", "--ready-fd", "1", "-e", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = [0; b"attached\n".len()];
        let mut results = child.stdout.take().unwrap();
        results.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"attached\n");
        self.armed.push(begin.elapsed());
        self.peak_kb = self.peak_kb.max(high_water_kb(child.id()));
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        // What it prints in the end is read so that it need not wait.
        std::io::copy(&mut results, &mut std::io::sink()).unwrap();
        child.wait().unwrap();
        self.exit.push(begin.elapsed());
    }
}

fn high_water_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Run time of the flagship program above an empty one, and the same of bpftrace where it is installed. Programs take
/// turns, so that whatever else the machine does meanwhile slows all of them; each figure is the least of its runs.
fn run_times() {
    let switch = "/proc/sys/kernel/bpf_stats_enabled";
    let before = fs::read_to_string(switch).unwrap_or_default();
    if fs::write(switch, "1").is_err() {
        println!("skipped: run times need {switch}");
        return;
    }
    // bpftrace wants a name that means one file.
    let dd = fs::canonicalize("/bin/dd").unwrap();
    let dd = format!("{} if=/dev/zero of=/dev/null bs=1 count={CALLS}", dd.display());
    let has_bpftrace = runs("bpftrace");
    let mut commands = vec![(CRUMBS, EMPTY), (CRUMBS, FLAGSHIP)];
    let theirs = format!("uprobe:{LIBC}:write {{ @bytes = hist(arg2); }}");
    if has_bpftrace {
        commands.push(("bpftrace", &theirs));
    }
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); commands.len()];
    for _ in 0..RUNS {
        for ((program, script), times) in commands.iter().zip(&mut times) {
            times.push(nanoseconds(program, script, &dd));
        }
    }
    // Back to what it was; nobody is helped by a failure here.
    let _ = fs::write(switch, before);
    let least: Vec<f64> = times
        .iter()
        .map(|times| times.iter().copied().fold(f64::INFINITY, f64::min))
        .collect();
    let names = [
        "run time of an empty uprobe, ns",
        "run time of the flagship program, ns",
        "run time of bpftrace's program for the same, ns",
    ];
    for (name, time) in names.iter().zip(&least) {
        row(name, format!("{time:.0}"), "");
    }
    let [empty, flagship, theirs] = least[..] else {
        println!("skipped: bpftrace is not installed");
        return;
    };
    row(
        "ratio above the empty uprobe, crumbs to bpftrace",
        format!("{:.3}", (flagship - empty) / (theirs - empty)),
        "≤ 0.167",
    );
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok()
}

/// Nanoseconds a run of the program that `tracer` loads for a script, by the kernel's statistics, while it traces `command`.
/// They are read until the tracer is gone; a run of which nothing can be read stops the benchmark.
fn nanoseconds(tracer: &str, script: &str, command: &str) -> f64 {
    let mut child = Command::new(tracer)
        .args(["-e", script, "-c", command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut last = Statistics::default();
    while child.try_wait().unwrap().is_none() {
        if let Some(now) = Statistics::of_process(child.id()) {
            last = now;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(last.count > 0, "{tracer} ran no program: {script}");
    last.time as f64 / last.count as f64
}

/// What the kernel tells of a loaded program (`bpf_prog_show_fdinfo`, kernel/bpf/syscall.c).
#[derive(Clone, Copy, Debug, Default)]
struct Statistics {
    /// ns.
    time: u64,
    /// Runs.
    count: u64,
}

impl Statistics {
    /// Of the program of a process that ran most often, if it has one.
    fn of_process(pid: u32) -> Option<Self> {
        let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()?;
        let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
        texts
            .filter_map(|text| Self::parse(&text))
            .max_by_key(|one| one.count)
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line?.trim_start_matches(':').trim().parse().ok()
        };
        Some(Self {
            time: number("run_time_ns")?,
            count: number("run_cnt")?,
        })
    }
}
