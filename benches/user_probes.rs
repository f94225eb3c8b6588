//! Prints what user probes cost: where a function begins and at the cheapest place near it, and how long it takes to attach to
//! thousands of functions and to let go of them. `cargo bench --bench user_probes`, as root, on a quiet machine. What cannot
//! be measured is printed as `skipped` with the reason.
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
/// Calls of write() in a run.
const CALLS: u32 = 200_000;
/// Runs of which the fastest counts.
const RUNS: usize = 5;
/// Libraries of which all functions are probed, by the names that programs load them by: the first of these that are installed
/// and have enough functions together.
const LIBRARIES: [&str; 9] = [
    "libhdf5_serial.so.103",
    "libmpi.so.40",
    "libpython3.11.so.1.0",
    "libc.so.6",
    "libhdf5_serial_hl.so.100",
    "libmpi_mpifh.so.40",
    "libhdf5_openmpi.so.103",
    "libcrypto.so.3",
    "libstdc++.so.6",
];
const DIRECTORY: &str = "/usr/lib/x86_64-linux-gnu";
/// How many functions DataCrumbs attaches to in its published 79 ms.
const MANY: usize = 8_723;

fn main() {
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        println!("skipped: user probes need root");
        return;
    }
    println!("{:<62} {:>14}   target", "figure", "measured");
    cheapest_place();
    mass_attach();
}

fn row(name: &str, measured: String, target: &str) {
    println!("{name:<62} {measured:>14}   {target}");
}

/// What one call of glibc's `write` costs more when it is probed.
fn cheapest_place() {
    let bare = seconds(&mut dd());
    let probed = |cheapest: bool| {
        let script =
            format!("config = {{ cheapest_place = {cheapest} }} uprobe:libc:write {{ @ = count(); }}");
        let command = format!("dd if=/dev/zero of=/dev/null bs=1 count={CALLS}");
        let mut crumbs = Command::new(CRUMBS);
        crumbs.args(["-q", "-e", &script, "-c", &command]);
        (seconds(&mut crumbs) - bare) / f64::from(CALLS) * 1e9
    };
    let (entry, cheapest) = (probed(false), probed(true));
    row(
        "probe at the entry of glibc's write, ns a call",
        format!("{entry:.0}"),
        "",
    );
    row("at the cheapest place, ns a call", format!("{cheapest:.0}"), "");
    row("ratio", format!("{:.3}", cheapest / entry), "≤ 0.125");
}

fn dd() -> Command {
    let mut command = Command::new("dd");
    command.args(["if=/dev/zero", "of=/dev/null", "bs=1", &format!("count={CALLS}")]);
    command
}

/// How long `dd` says that it copied, in the fastest of some runs.
fn seconds(command: &mut Command) -> f64 {
    let once = |_| {
        let output = command.env("LC_ALL", "C").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "s,");
        words[at.unwrap_or_else(|| panic!("dd says no time: {text}")) - 1]
            .parse::<f64>()
            .unwrap()
    };
    (0..RUNS).map(once).fold(f64::INFINITY, f64::min)
}

/// A copy of each library: what no process runs can be probed without slowing the machine down, and without the time that the
/// kernel takes to go through the processes.
fn copies() -> impl Iterator<Item = PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probed-libraries");
    fs::create_dir_all(&directory).unwrap();
    LIBRARIES.iter().filter_map(move |name| {
        let to = directory.join(name);
        fs::copy(Path::new(DIRECTORY).join(name), &to).ok()?;
        Some(to)
    })
}

/// A probe on all functions of the least libraries that have enough, and how many those are.
fn many_functions() -> (String, usize) {
    let mut points: Vec<String> = Vec::new();
    let mut functions = 0;
    let mut script = String::new();
    for path in copies() {
        points.push(format!("uprobe:{}:*", path.display()));
        script = format!("{} {{ @[func] = count(); }}", points.join(", "));
        let listed = Command::new(CRUMBS).args(["-l", "-e", &script]).output().unwrap();
        functions = String::from_utf8(listed.stdout).unwrap().lines().count();
        if functions >= MANY {
            break;
        }
    }
    (script, functions)
}

fn mass_attach() {
    let (script, functions) = many_functions();
    if functions < MANY {
        println!("skipped: the libraries that are installed have only {functions} functions ({LIBRARIES:?})");
        return;
    }
    row("functions probed", functions.to_string(), &format!("≥ {MANY}"));
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..RUNS {
        let begin = Instant::now();
        let mut loads = Command::new(CRUMBS);
        assert!(
            loads
                .args(["--dry-run", "-e", &script])
                .status()
                .unwrap()
                .success()
        );
        times[0].push(begin.elapsed());
        let measured = attach_and_detach(&script);
        times[1..]
            .iter_mut()
            .zip(measured)
            .for_each(|(times, time)| times.push(time));
    }
    let [loaded, attached, attaching, detaching, ended] = times.map(|times| times.into_iter().min().unwrap());
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    row("start to compiled and loaded, ms", ms(loaded), "");
    row("start to attached, ms", ms(attached), "");
    row("attaching, ms", ms(attaching), "≤ 79");
    row("detaching, ms", ms(detaching), "≤ 79");
    row("interrupt to exit, ms", ms(ended), "");
}

/// From the start until all is attached; attaching and detaching by themselves, as crumbs says; from the interrupt to the end.
fn attach_and_detach(script: &str) -> [Duration; 4] {
    let begin = Instant::now();
    let mut child = Command::new(CRUMBS)
        .args(["-q", "-v", "--ready-fd", "1", "-e", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut results = child.stdout.take().unwrap();
    let mut line = [0; b"attached\n".len()];
    results.read_exact(&mut line).unwrap();
    let attached = begin.elapsed();
    let begin = Instant::now();
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    std::io::copy(&mut results, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    let ended = begin.elapsed();
    let said = String::from_utf8(output.stderr).unwrap();
    let took = |what: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(what));
        let ms = line.and_then(|line| line.strip_suffix(" ms")?.parse::<f64>().ok());
        Duration::from_secs_f64(ms.unwrap_or_else(|| panic!("no time: {said}")) / 1e3)
    };
    [attached, took("attached in "), took("detached in "), ended]
}
