//! Loads objects into the running kernel with bpftool, for tests.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What programs are run on: an Ethernet header and more.
pub(crate) const PACKET_BYTES: usize = 64;

/// An object whose programs are in the kernel until this is dropped.
pub(crate) struct Loaded {
    file: PathBuf,
    packet: PathBuf,
    pins: PathBuf,
}

/// Why no test here can load anything, if so.
fn obstacle() -> Option<String> {
    match Command::new("bpftool").arg("version").output() {
        Err(e) => return Some(format!("bpftool does not run: {e}")),
        Ok(output) if !output.status.success() => return Some("bpftool does not work".into()),
        Ok(_) => {}
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:"));
    (uid.and_then(|l| l.split_whitespace().next()) != Some("0")).then(|| "not root".into())
}

/// Loads all programs of an object; `None`, and a line saying why, where that is impossible.
pub(crate) fn load(object: &[u8]) -> Option<Loaded> {
    if let Some(reason) = obstacle() {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: {reason}");
        }
        return None;
    }
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "crumbs-test-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let loaded = Loaded {
        file: std::env::temp_dir().join(format!("{name}.o")),
        packet: std::env::temp_dir().join(format!("{name}.packet")),
        pins: PathBuf::from("/sys/fs/bpf").join(&name),
    };
    std::fs::write(&loaded.packet, [0; PACKET_BYTES]).unwrap();
    std::fs::write(&loaded.file, object).unwrap();
    let (file, pins) = (loaded.file.to_str().unwrap(), loaded.pins.to_str().unwrap());
    bpftool(&["prog", "loadall", file, pins]);
    Some(loaded)
}

impl Loaded {
    /// The program's code as the kernel shows it, with the lines of the script.
    pub(crate) fn dump(&self, program: &str) -> String {
        bpftool(&["prog", "dump", "xlated", "pinned", &self.pin(program), "linum"])
    }

    /// Runs a program of section `tc` (others bpftool cannot run) with a packet of [`PACKET_BYTES`] zeros; its result.
    pub(crate) fn run(&self, program: &str) -> u32 {
        let packet = self.packet.to_str().unwrap();
        let out = bpftool(&["prog", "run", "pinned", &self.pin(program), "data_in", packet]);
        let value = out
            .trim()
            .strip_prefix("Return value: ")
            .and_then(|rest| rest.split(',').next());
        value
            .and_then(|v| v.parse().ok())
            .unwrap_or_else(|| panic!("{out}"))
    }

    fn pin(&self, program: &str) -> String {
        self.pins.join(program).to_str().unwrap().into()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // Best effort: a test that fails half-way has nothing pinned.
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(&self.packet);
        let _ = std::fs::remove_dir_all(&self.pins);
    }
}

/// What bpftool prints; its complaint, which holds the verifier's log, fails the test.
fn bpftool(args: &[&str]) -> String {
    let output = Command::new("bpftool").args(args).output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|o| String::from_utf8_lossy(o).into_owned());
    assert!(output.status.success(), "bpftool {args:?}: {stdout}{stderr}");
    stdout
}
