//! Building the programs, running scripts around them, and what the scripts print.

use crate::truth::{self, Call};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a script printed.
#[derive(Debug, Default)]
pub struct Printed {
    /// All that `printf` wrote.
    pub text: String,
    /// Maps of numbers by name (without `@`), then by key; a map without keys has the key "".
    pub maps: BTreeMap<String, BTreeMap<String, i64>>,
    /// Histograms by name and key likewise: lower bound of each bucket that is not empty, and its number.
    pub histograms: BTreeMap<(String, String), BTreeMap<i64, i64>>,
    /// Rows of tables by key: numbers by the name of the map (without `@`).
    pub rows: BTreeMap<String, BTreeMap<String, i64>>,
    /// Everything, for messages.
    pub all: String,
}

#[track_caller]
fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

impl Printed {
    fn of(output: &str) -> Self {
        let mut printed = Self {
            all: output.to_owned(),
            ..Self::default()
        };
        for line in output.lines().filter(|line| line.starts_with('{')) {
            let message: Value = serde_json::from_str(line).unwrap();
            let data = &message["data"];
            match text(&message["type"]) {
                "printf" => printed.text.push_str(text(data)),
                "map" => printed.each(data, |printed, name, key, value| {
                    printed.maps.entry(name).or_default().insert(key, number(value));
                }),
                "hist" => printed.each(data, |printed, name, key, value| {
                    let row = |bucket: &Value| {
                        let min = bucket.get("min").map_or(i64::MIN, number);
                        (min, number(&bucket["count"]))
                    };
                    let rows = list(value)
                        .iter()
                        .map(row)
                        .filter(|(_, count)| *count != 0)
                        .collect();
                    printed.histograms.insert((name, key), rows);
                }),
                "table" => printed.table(data),
                _ => {}
            }
        }
        printed
    }

    fn table(&mut self, data: &Value) {
        let columns = list(&data["columns"]);
        for row in list(&data["rows"]) {
            let (key, numbers) = list(row).split_first().unwrap();
            let cells = columns.iter().zip(numbers).map(|(column, cell)| {
                let name = text(&column["name"]).trim_start_matches('@');
                (name.to_owned(), number(cell))
            });
            self.rows.insert(text(key).to_owned(), cells.collect());
        }
    }

    /// Calls `each` for the elements of a message's maps.
    fn each(&mut self, data: &Value, each: impl Fn(&mut Self, String, String, &Value)) {
        for (name, value) in data.as_object().unwrap() {
            let name = name.trim_start_matches('@').to_owned();
            match value {
                Value::Object(elements) => {
                    elements
                        .iter()
                        .for_each(|(key, value)| each(self, name.clone(), key.clone(), value));
                }
                value => each(self, name, String::new(), value),
            }
        }
    }

    /// A map of numbers; an empty one where it was not printed.
    pub fn map(&self, name: &str) -> BTreeMap<String, i64> {
        self.maps.get(name).cloned().unwrap_or_default()
    }

    /// A histogram without keys.
    pub fn histogram(&self, name: &str) -> BTreeMap<i64, i64> {
        self.histograms
            .get(&(name.to_owned(), String::new()))
            .cloned()
            .unwrap_or_default()
    }

    /// Asserts that a line was printed by `printf` whose words, whatever the spaces, are these.
    pub fn has_line(&self, wanted: &str) {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = words(wanted);
        assert!(
            self.text.lines().any(|line| words(line) == wanted),
            "no line `{wanted}` in:\n{}",
            self.text
        );
    }
}

/// A directory of a test's own, which goes when it ends.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        /// Tests that run at once may be about the same script.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("crumbs-apps-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What a process of the same number left that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("data")).unwrap();
        Self(fs::canonicalize(path).unwrap())
    }

    /// Where the program works: what scripts are told to look at.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Builds a program of this directory, once; the reason where that cannot be done. `compiler` is `gcc` or a wrapper of it.
pub fn build(source: &str, compiler: &str, options: &[&str]) -> Result<PathBuf, String> {
    static BUILT: Mutex<BTreeMap<String, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
    let name = format!("{source} {compiler} {}", options.join(" "));
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    built
        .entry(name)
        .or_insert_with_key(|name| compile(source, compiler, options, name))
        .clone()
}

fn compile(source: &str, compiler: &str, options: &[&str], name: &str) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps");
    let file: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    // A program is put in its place at once: test runs may overlap.
    let draft = path.with_extension(std::process::id().to_string());
    let output = Command::new(compiler)
        .args(["-O1", "-g0", "-o"])
        .arg(&draft)
        .arg(directory.join(source))
        .args(options)
        .output();
    match output {
        Err(_) => Err(format!("{compiler} is not installed")),
        Ok(output) if !output.status.success() => {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            // Headers of a library that is not there; anything else is a mistake in the program.
            assert!(reason.contains("No such file"), "{reason}");
            Err(format!(
                "{source} cannot be built: {}",
                reason.lines().next().unwrap_or_default()
            ))
        }
        Ok(_) => {
            fs::rename(draft, &path).unwrap();
            Ok(path)
        }
    }
}

/// What a script printed and told, and what the command says that it did.
#[derive(Debug)]
pub struct Traced {
    pub printed: Printed,
    /// Standard error.
    pub told: String,
    pub calls: Vec<Call>,
}

/// Runs a script of the library around a command that works in `directory`, of which nothing is to be warned but functions that
/// this machine's libraries lack. Nothing where this machine does not allow tracing: then it has said so.
pub fn run(
    script: &str,
    command: &str,
    parameters: &[&str],
    directory: &Directory,
) -> Option<(Printed, Vec<Call>)> {
    let traced = trace(script, command, parameters, &[], directory)?;
    let lacks = |part: &&str| !part.starts_with("warning[W0210]");
    let told: Vec<&str> = traced.told.split("\n\n").filter(lacks).collect();
    let told = told.join("\n");
    for word in ["lost", "warning", "WARNING", "error", "dropped"] {
        assert!(!told.contains(word), "{script}: {told}");
    }
    Some((traced.printed, traced.calls))
}

/// The same, with variables of the environment more, whatever there is to be warned of.
pub fn trace(
    script: &str,
    command: &str,
    parameters: &[&str],
    environment: &[(&str, &str)],
    directory: &Directory,
) -> Option<Traced> {
    let out = directory.0.join("printed");
    let words = [
        "-f",
        "json",
        "-o",
        &out.display().to_string(),
        "run",
        script,
        "-c",
        command,
        "--",
    ];
    let told = crumbs(&[words.as_slice(), parameters].concat(), environment, directory)?;
    Some(Traced {
        printed: Printed::of(&fs::read_to_string(&out).unwrap()),
        told,
        calls: truth::calls(&directory.0.join("truth")),
    })
}

/// Runs a script likewise that writes a trace: its events.
pub fn events(
    script: &str,
    command: &str,
    parameters: &[&str],
    directory: &Directory,
) -> Option<(Vec<Value>, Vec<Call>)> {
    let out = directory.0.join("trace.pfw.gz");
    let words = [
        "run",
        script,
        "-o",
        &out.display().to_string(),
        "-c",
        command,
        "--",
    ];
    let told = crumbs(&[words.as_slice(), parameters].concat(), &[], directory)?;
    assert!(!told.contains("lost"), "{told}");
    let unpacked = Command::new("gzip").arg("-dc").arg(&out).output().unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    let text = String::from_utf8(unpacked.stdout).unwrap();
    let (first, lines) = text.split_once('\n').unwrap();
    assert_eq!(first, "[");
    Some((
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        truth::calls(&directory.0.join("truth")),
    ))
}

/// Runs crumbs; what it told.
fn crumbs(words: &[&str], environment: &[(&str, &str)], directory: &Directory) -> Option<String> {
    let truth = directory.0.join("truth");
    for entry in fs::read_dir(&directory.0).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    let output = Command::new(env!("CARGO_BIN_EXE_crumbs"))
        .args(words)
        .current_dir(directory.data())
        .env("TRUTH", &truth)
        .envs(environment.iter().copied())
        .env("LC_ALL", "C.UTF-8")
        // Open MPI takes root for a mistake, and more ranks than processors too.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("CAP_") || errors.contains("needs root") {
        println!("skipped: tracing needs root and BPF");
        return None;
    }
    assert!(output.status.success(), "{words:?}: {errors}");
    Some(errors.into_owned())
}
