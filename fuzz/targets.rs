//! What reads input that nobody checked before, each as a function of bytes that panics where something is wrong. The fuzz
//! targets below `fuzz_targets` run them on what libFuzzer makes up; `tests/fuzz` on `corpus` and on damaged copies of it.

use crumbs::stages;
use crumbs_compiler::c;
use crumbs_compiler::driver;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{Arch, Binary, Target};
use crumbs_compiler::types::Type;
use crumbs_grammar::span::{Span, Spanned};
use crumbs_runtime::host::{HostOptions, HostTarget};
use std::fs;
use std::path::PathBuf;

/// A reader of bytes.
pub struct Reader {
    pub name: &'static str,
    pub read: fn(&[u8]),
}

/// Every reader.
pub const READERS: [Reader; 4] = [
    Reader {
        name: "script",
        read: script,
    },
    Reader {
        name: "declarations",
        read: declarations,
    },
    Reader {
        name: "tracepoint",
        read: tracepoint,
    },
    Reader {
        name: "binary",
        read: binary,
    },
];

/// Lets the reader of that name read. Some need a large stack.
pub fn run(name: &str, bytes: &[u8]) {
    let read = || {
        let readers = READERS.iter().filter(|reader| reader.name == name);
        readers.for_each(|reader| (reader.read)(bytes));
    };
    stages::on_large_stack(read).expect("a thread can be started");
}

fn target() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../tests/golden/target.txt")).expect("the goldens' target is sound")
}

/// All stages of the compiler, and the formatter.
fn script(bytes: &[u8]) {
    // A file that is no text is refused before it is read as a script.
    let text = String::from_utf8_lossy(bytes);
    if let Ok(formatted) = crumbs_grammar::format::format(&text) {
        let again = crumbs_grammar::format::format(&formatted);
        assert!(
            again.is_ok_and(|again| again == formatted),
            "formatting twice changes {text:?}"
        );
    }
    let target = target();
    let options = Options {
        allow_unsafe: true,
        ..Options::default()
    };
    let checked = match stages::check("fuzz", &text, &target, &options) {
        Ok(checked) => checked,
        Err(mistaken) => {
            assert!(
                stages::has_error(&mistaken.diagnostics),
                "refused for no reason: {text:?}"
            );
            return;
        }
    };
    if let Err(diagnostics) = driver::compile(&checked.script, &target) {
        let faults = diagnostics.iter().filter(|d| d.code.id == driver::INTERNAL.id);
        let faults: Vec<&str> = faults.map(|d| d.message.as_str()).collect();
        assert!(faults.is_empty(), "{faults:?} in {text}");
    }
}

/// The reader of C text: as a script has it, as types are recorded, as a type is named.
fn declarations(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let target = target();
    let piece = Spanned::new(text.to_string(), Span::new(0, text.len()));
    let _ = c::declarations(&[], &[&piece], &target);
    let _ = c::with_system_headers(&[], &[&piece], &target);
    let _ = c::recorded(&text, Arch::Aarch64);
    let _ = c::named_type(&text, &target);
}

/// A file for a reader that wants one.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        let folder = format!("crumbs-fuzz-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.0)).expect("a directory can be made");
        fs::write(&path, bytes).expect("a file can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind is in the directory for such files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The description of a tracepoint, as tracefs has it.
fn tracepoint(bytes: &[u8]) {
    let scratch = Scratch::new("tracefs");
    scratch.write("events/some/event/format", bytes);
    let host = HostTarget::new(HostOptions {
        tracefs: Some(scratch.0.clone()),
        ..HostOptions::default()
    });
    let _ = host.tracepoints("*", "*");
    let _ = host.tracepoint("some", "event");
}

/// A program or library: its symbols, notes and debug information.
fn binary(bytes: &[u8]) {
    let scratch = Scratch::new("binary");
    let path = scratch.write("file", bytes);
    let binary = Binary {
        path: path.display().to_string(),
    };
    let host = HostTarget::new(HostOptions::default());
    let functions = host.functions(&binary).unwrap_or_default();
    for function in functions.iter().take(20) {
        let _ = host.functions_named(&binary, &function.name);
        let _ = host.signature(&binary, function.offset);
        let _ = host.is_instruction(&binary, function, 1);
        let _ = host.is_inlined(&binary, &function.name);
    }
    let _ = host.usdt_probes(&binary);
    let _ = host.binary_symbol(&binary, "main");
    for place in [0, 0x40, 0x1000, u64::MAX] {
        let _ = host.file_offset(&binary, place);
        let _ = host.virtual_address(&binary, place);
        let _ = host.signature(&binary, place);
    }
    for keyword in ["struct", "union", "enum", ""] {
        if let Ok(Type::Struct(of)) = host.binary_type(&binary, keyword, "thing") {
            let _ = host.struct_fields(of.id);
        }
    }
    for line in [1, 4, 7, u64::MAX] {
        let _ = host.source_line(&binary, "thing.c", line, None);
    }
}
