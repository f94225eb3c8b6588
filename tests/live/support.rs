//! Runs the built `crumbs` and the programs it observes.
//!
//! In: a script with the placeholder `PROGRAM` for the path of the observed program, and that program's commands. Out:
//! status and text of the run. Invariants: a run that does not end is killed, and the test fails; every program lies in a
//! directory of its own, so that tests which run at the same time never see each other's events.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, Once};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After this a run hangs: most take well under a second, but a busy machine is many times slower than an idle one.
const HANGS: Duration = Duration::from_secs(300);

/// Ends a test with a line that the test command counts, where the machine cannot run it.
macro_rules! needs {
    ($reason:expr) => {
        if let Some(reason) = $reason {
            println!("skipped: {reason}");
            return;
        }
    };
}
pub(crate) use needs;

/// Why nothing can be traced here; `None` where it can.
pub(crate) fn no_tracing() -> Option<String> {
    static REASON: LazyLock<Option<String>> = LazyLock::new(|| {
        if let Some(reason) = no_compiler().or_else(not_root) {
            return Some(reason);
        }
        // Asked without crumbs: its own failure must fail the tests, not skip them.
        let output = Command::new("bpftool").args(["prog", "list"]).output();
        match output {
            Err(_) => Some("bpftool is not installed".into()),
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(format!(
                "no BPF here: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    });
    REASON.clone()
}

/// Why no program can be compiled here.
pub(crate) fn no_compiler() -> Option<String> {
    let found = Command::new("gcc").arg("--version").output();
    found.err().map(|_| "gcc is not installed".into())
}

/// Why this process cannot do what only root may.
pub(crate) fn not_root() -> Option<String> {
    (uid() != 0).then(|| "tracing needs root".into())
}

fn uid() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())
}

/// A directory of its own for a test.
pub(crate) fn directory() -> PathBuf {
    static CLEANED: Once = Once::new();
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    CLEANED.call_once(|| remove_old(parent));
    new_directory(parent)
}

fn new_directory(parent: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = parent.join(format!("{DIRECTORY}{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What names of directories begin with, before the id of the process that made them.
const DIRECTORY: &str = "crumbs-live-";

/// Removes the directories of runs that are over.
fn remove_old(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(DIRECTORY)?.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn compile(source: &str, output: &Path, options: &[&str]) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/live/programs")
        .join(source);
    let output = Command::new("gcc")
        .args(["-O1", "-fno-omit-frame-pointer", "-o"])
        .args([output, &from])
        .args(options)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The observed program `calls` in a directory of its own: probes are on its inode, so that two tests never share it.
pub(crate) fn program() -> PathBuf {
    static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = directory().join("calls");
        compile("calls.c", &path, &["-pthread"]);
        path
    });
    let copy = directory().join("calls");
    // A copy, not a link: a link is the same inode. `cp` closes it before anything can be forked from this process,
    // which would keep it open for writing and so not executable.
    let status = Command::new("cp").args([&*COMPILED, &copy]).status().unwrap();
    assert!(status.success());
    copy
}

/// A program of `tests/live/programs` as a file of this name.
pub(crate) fn compiled_as(source: &str, path: &Path, options: &[&str]) -> PathBuf {
    compile(source, path, options);
    path.to_owned()
}

/// A program of `tests/live/programs` in a directory of its own.
pub(crate) fn compiled(source: &str, options: &[&str]) -> PathBuf {
    let path = directory().join(source.trim_end_matches(".c"));
    compile(source, &path, options);
    path
}

/// A program that is linked with a library beside it: both paths.
pub(crate) fn program_with_library() -> (PathBuf, PathBuf) {
    let directory = directory();
    let (library, program) = (directory.join("libcrumbslive.so.3"), directory.join("loads"));
    compile(
        "library.c",
        &library,
        &["-shared", "-fPIC", "-Wl,-soname,libcrumbslive.so.3"],
    );
    let library_text = library.to_str().unwrap();
    compile("loads.c", &program, &[library_text, "-Wl,-rpath,$ORIGIN"]);
    (program, library)
}

/// A program that opens a library by its path (see `opens.c`), and the library, whose name no search finds.
pub(crate) fn program_that_opens() -> (PathBuf, PathBuf) {
    let library = directory().join("libcrumbslate.so.3");
    compile("library.c", &library, &["-shared", "-fPIC"]);
    (compiled("opens.c", &["-ldl"]), library)
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status; 128 and the signal's number where one ended it.
    pub(crate) status: i32,
    /// Standard output, that of the traced command included.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Asserts that the run succeeded, printed exactly `expected`, and had nothing to complain about.
    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) {
        assert_eq!(self.stdout, expected, "standard output; {self:?}");
        self.has_no_complaint();
    }

    /// Asserts that the run succeeded without a word but the number of probes.
    #[track_caller]
    pub(crate) fn has_no_complaint(&self) {
        assert_eq!(self.status, 0, "status; {self:?}");
        let rest = self.stderr.split_once('\n').filter(|(first, _)| {
            let number = first
                .strip_prefix("Attached ")
                .and_then(|n| n.strip_suffix(" probes").or(n.strip_suffix(" probe")));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        });
        assert_eq!(rest.map(|(_, rest)| rest), Some(""), "standard error; {self:?}");
    }

    /// Asserts that the run succeeded and printed these lines, and nothing else.
    #[track_caller]
    pub(crate) fn prints_lines(&self, expected: &[&str]) {
        assert_eq!(self.status, 0, "status; {self:?}");
        assert_eq!(self.stdout.lines().collect::<Vec<_>>(), expected, "{self:?}");
    }

    /// Asserts that the run succeeded and that its maps printed as `expected`, with nothing printed before.
    #[track_caller]
    pub(crate) fn maps(&self, expected: &str) {
        self.prints(&format!("\n\n{expected}"));
    }

    /// Asserts one mistake of the user's: as [`Outcome::refuses_each`].
    #[track_caller]
    pub(crate) fn refuses(&self, parts: &[&str]) {
        self.refuses_each(1, parts);
    }

    /// Asserts so many mistakes: status 1, nothing on standard output, a diagnostic with a way out for each, and every one of
    /// `parts` among them.
    #[track_caller]
    pub(crate) fn refuses_each(&self, mistakes: usize, parts: &[&str]) {
        assert_eq!(self.status, 1, "status; {self:?}");
        assert_eq!(self.stdout, "", "standard output; {self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
        }
        let is_error = |line: &&str| line.starts_with("error");
        assert_eq!(
            self.stderr.lines().filter(is_error).count(),
            mistakes,
            "one diagnostic for one mistake: {}",
            self.stderr
        );
        let ways_out = self.stderr.matches("= help: ").count();
        assert!(ways_out >= mistakes, "no way out: {}", self.stderr);
        for never in ["panicked", "RUST_BACKTRACE", "verifier refused"] {
            assert!(!self.stderr.contains(never), "{}", self.stderr);
        }
    }

    /// The number behind `label` in what was printed.
    #[track_caller]
    pub(crate) fn number(&self, label: &str) -> i64 {
        let line = self.stdout.lines().find_map(|line| line.strip_prefix(label));
        let text = line.unwrap_or_else(|| panic!("no line `{label}…` in {self:?}"));
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("no number behind `{label}` in {self:?}"))
    }
}

/// A run to be started.
pub(crate) struct Crumbs {
    command: Command,
    arguments: Vec<OsString>,
    program: Option<PathBuf>,
    script: Option<String>,
}

impl Crumbs {
    /// `crumbs` without any argument.
    pub(crate) fn new() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crumbs"));
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CRUMBS_") || text.starts_with("BPFTRACE_") || text.starts_with("SUDO_") {
                command.env_remove(name);
            }
        }
        Self {
            command,
            arguments: Vec::new(),
            program: None,
            script: None,
        }
    }

    /// `crumbs -e SCRIPT`.
    pub(crate) fn script(text: &str) -> Self {
        let mut crumbs = Self::new();
        crumbs.script = Some(text.to_owned());
        crumbs
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.arguments.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.arguments.extend(args.iter().map(OsString::from));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it standard input.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Traces `program`, which is `PROGRAM` in the script, running `commands` (separated by semicolons).
    pub(crate) fn over(self, program: &Path, commands: &str) -> Self {
        let words: Vec<String> = commands.split(';').map(|c| format!("'{}'", c.trim())).collect();
        let command = format!("{} {}", program.display(), words.join(" "));
        self.on(program).arg("-c").arg(command)
    }

    /// What `PROGRAM` in the script means.
    pub(crate) fn on(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        if let Some(script) = &self.script {
            let program = self.program.as_deref().unwrap_or(Path::new("PROGRAM"));
            let script = script.replace("PROGRAM", program.to_str().unwrap());
            self.command.args(["-e", &script]);
        }
        // Behind the script: one of them may be `--`.
        self.command.args(self.arguments);
        Running::spawn(self.command)
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Outcome {
        self.start().wait()
    }
}

/// Traces a new copy of the program `calls` while it runs commands.
pub(crate) fn trace(script: &str, commands: &str) -> Outcome {
    Crumbs::script(script).over(&program(), commands).run()
}

/// Runs a script without a program to observe.
pub(crate) fn evaluate(script: &str) -> Outcome {
    Crumbs::script(script).run()
}

/// A run under way.
pub(crate) struct Running {
    pub(crate) child: Child,
    streams: Option<[Stream; 2]>,
}

/// A stream that is read as it comes.
struct Stream {
    text: std::sync::Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Self {
        let text = std::sync::Arc::new(Mutex::new(Vec::new()));
        let shared = text.clone();
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut part) {
                shared.lock().unwrap().extend_from_slice(&part[..length]);
            }
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

impl Running {
    /// Starts a command of any kind.
    pub(crate) fn spawn(mut command: Command) -> Self {
        // A group of its own: what it starts can be ended with it.
        command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let streams = [
            Stream::read(child.stdout.take().unwrap()),
            Stream::read(child.stderr.take().unwrap()),
        ];
        Self {
            child,
            streams: Some(streams),
        }
    }

    /// Waits until its probes are attached.
    #[track_caller]
    pub(crate) fn attached(&mut self) {
        self.until("standard error", |run| run.stderr().contains("Attached "));
    }

    /// Waits until something is true.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + HANGS;
        while !is_true(self) {
            let ended = self.child.try_wait().unwrap().is_some();
            if (ended && !is_true(self)) || Instant::now() > deadline {
                self.kill_group();
                panic!("waiting for {what}: {} / {}", self.stdout(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it printed so far.
    pub(crate) fn stdout(&self) -> String {
        self.streams.as_ref().unwrap()[0].so_far()
    }

    /// What it said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.streams.as_ref().unwrap()[1].so_far()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        send(self.child.id(), name);
    }

    fn kill_group(&self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).output();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + HANGS;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.kill_group();
                panic!("crumbs hangs: {} / {}", self.stdout(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let [stdout, stderr] = self.streams.take().unwrap().map(|stream| {
            stream.reader.join().unwrap();
            String::from_utf8_lossy(&stream.text.lock().unwrap()).into_owned()
        });
        let status = status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap();
        Outcome {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.streams.is_some() {
            self.kill_group();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn send(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "cannot signal {pid}");
}

/// A program that runs before it is traced and obeys commands.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a program `calls`.
    pub(crate) fn start(program: &Path) -> Self {
        let mut child = Command::new(program)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut server = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        server.run("value 0");
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&mut self, command: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }

    /// Starts a command that has no end.
    pub(crate) fn begin(&mut self, command: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    /// Lets it end.
    pub(crate) fn end(&mut self) {
        self.stdin = None;
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The objects in the kernel that belong to the script with a map whose name contains `marker`: ids by kind.
pub(crate) fn bpf_objects(marker: &str) -> BTreeMap<&'static str, Vec<u64>> {
    let maps = ids(&list("map"), |object| object.contains(marker));
    let uses_one = |object: &str| {
        let text = object.split_once("\"map_ids\":[").map_or("", |(_, rest)| rest);
        let text = text.split(']').next().unwrap_or("");
        text.split(',')
            .any(|id| id.parse().is_ok_and(|id| maps.contains(&id)))
    };
    let programs = ids(&list("prog"), uses_one);
    let attaches_one = |object: &str| {
        let id = number_behind(object, "\"prog_id\":");
        id.is_some_and(|id| programs.contains(&id))
    };
    let links = ids(&list("link"), attaches_one);
    BTreeMap::from([("link", links), ("map", maps), ("prog", programs)])
}

/// Which of these objects the kernel still has, once it had some time to free them.
pub(crate) fn left_over(objects: &BTreeMap<&'static str, Vec<u64>>) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut left = Vec::new();
        for (kind, had) in objects {
            let has = ids(&list(kind), |_| true);
            left.extend(
                had.iter()
                    .filter(|id| has.contains(id))
                    .map(|id| format!("{kind} {id}")),
            );
        }
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `bpftool KIND list` as one JSON text an object.
fn list(kind: &str) -> Vec<String> {
    // An object that goes away while it lists makes it fail; then it is asked again.
    for _ in 0..50 {
        let output = Command::new("bpftool")
            .args(["-j", kind, "list"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() && !text.contains("\"error\"") {
            return text
                .split("{\"id\":")
                .skip(1)
                .map(|o| format!("{{\"id\":{o}"))
                .collect();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("bpftool {kind} list keeps failing");
}

fn number_behind(text: &str, label: &str) -> Option<u64> {
    let rest = text.split_once(label)?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

fn ids(objects: &[String], wanted: impl Fn(&str) -> bool) -> Vec<u64> {
    let wanted = objects.iter().filter(|object| wanted(object));
    wanted
        .filter_map(|object| number_behind(object, "\"id\":"))
        .collect()
}

/// A copy that every user can read and execute, which the build directory need not allow.
pub(crate) fn readable_copy(of: &Path) -> PathBuf {
    static CLEANED: Once = Once::new();
    let parent = std::env::temp_dir();
    CLEANED.call_once(|| remove_old(&parent));
    let directory = new_directory(&parent);
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.join(of.file_name().unwrap());
    // By a process of its own: see `program`.
    assert!(
        Command::new("cp")
            .args([of, copy.as_path()])
            .status()
            .unwrap()
            .success()
    );
    copy
}

/// The binary under test where every user can run it.
pub(crate) fn readable_crumbs() -> &'static Path {
    static COPY: LazyLock<PathBuf> = LazyLock::new(|| readable_copy(env!("CARGO_BIN_EXE_crumbs").as_ref()));
    &COPY
}
