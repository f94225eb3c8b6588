//! Prints what scripts of the library cost a program that writes through HDF5, as ratios of its time with and without them, beside
//! strace: `cargo bench --bench library`, as root, on a quiet machine, with libhdf5-dev. The least of several runs counts, taken in
//! turns.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and stops where it cannot measure"
)]

use std::path::Path;
use std::process::Command;

const CRUMBS: &str = env!("CARGO_BIN_EXE_crumbs");
/// Runs of each kind, of which the fastest counts.
const RUNS: usize = 7;

fn main() {
    let directory = std::env::temp_dir().join(format!("crumbs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    match program(&directory) {
        Ok(app) => {
            println!(
                "{:<34} {:>10} {:>12} {:>12} {:>10}",
                "HDF5 writes", "alone, us", "hdf5/sizes", "io/report", "strace"
            );
            for (bytes, transfers) in [(1 << 20, 256), (4096, 20_000)] {
                compare(&app, &directory, bytes, transfers);
            }
        }
        Err(reason) => println!("skipped: {reason}"),
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Builds the program that is measured.
fn program(directory: &Path) -> Result<String, String> {
    let app = directory.join("transfers");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/transfers.c");
    let output = Command::new("gcc")
        .args(["-O2", "-I/usr/include/hdf5/serial", "-o"])
        .arg(&app)
        .args([source, "-L/usr/lib/x86_64-linux-gnu/hdf5/serial", "-lhdf5"])
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(app.display().to_string()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("gcc: {error}")),
    }
}

/// Prints the time of one transfer alone, and how many times as long it takes with each tool.
fn compare(app: &str, directory: &Path, bytes: usize, transfers: usize) {
    let plain = format!("{app} {bytes} {transfers}");
    let commands: [Vec<&str>; 4] = [
        vec!["sh", "-c", &plain],
        vec![CRUMBS, "-q", "run", "hdf5/sizes", "-o", "/dev/null", "-c", &plain],
        vec![CRUMBS, "-q", "run", "io/report", "-o", "/dev/null", "-c", &plain],
        vec![
            "strace",
            "-f",
            "-e",
            "trace=read,write,pread64,pwrite64",
            "-o",
            "/dev/null",
            "sh",
            "-c",
            &plain,
        ],
    ];
    let mut least = [f64::INFINITY; 4];
    for _ in 0..RUNS {
        for (command, least) in commands.iter().zip(&mut least) {
            if let Some(seconds) = seconds(command, directory) {
                *least = least.min(seconds);
            }
        }
    }
    let ratio = |with: f64| {
        if with.is_finite() {
            format!("{:.3}", with / least[0])
        } else {
            "skipped".to_owned()
        }
    };
    println!(
        "{:<34} {:>10.1} {:>12} {:>12} {:>10}",
        format!("{transfers} of {bytes} bytes"),
        least[0] / transfers as f64 * 1e6,
        ratio(least[1]),
        ratio(least[2]),
        ratio(least[3])
    );
}

/// The seconds that the program says it took; nothing where it could not be run so.
fn seconds(command: &[&str], directory: &Path) -> Option<f64> {
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(directory)
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.trim().parse().ok())
}
