//! What reads input that nobody checked before, each as a function of bytes that panics where something is wrong. The fuzz
//! targets below `fuzz_targets` run them on what libFuzzer makes up; `tests/fuzz` on `corpus` and on damaged copies of it.

mod sections;

use crumbs::{ends, stages};
use crumbs_compiler::c;
use crumbs_compiler::driver;
use crumbs_compiler::options::Options;
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{Arch, Binary, Target};
use crumbs_compiler::types::Type;
use crumbs_compiler::usdt;
use crumbs_grammar::span::{Span, Spanned};
use crumbs_runtime::host::origins::Origins;
use crumbs_runtime::host::{HostOptions, HostTarget, unchecked};
use crumbs_runtime::results::{self, Results};
use crumbs_runtime::symbols::spaces::Spaces;
use std::fs;
use std::path::{Path, PathBuf};

/// A reader of bytes.
pub struct Reader {
    pub name: &'static str,
    pub read: fn(&[u8]),
}

/// Every reader.
pub const READERS: [Reader; 11] = [
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
    Reader {
        name: "dwarf",
        read: dwarf,
    },
    Reader {
        name: "usdt",
        read: static_probes,
    },
    Reader {
        name: "links",
        read: links,
    },
    Reader {
        name: "btf",
        read: btf,
    },
    Reader {
        name: "maps",
        read: maps,
    },
    Reader {
        name: "loader_cache",
        read: loader_cache,
    },
    Reader {
        name: "results",
        read: saved_results,
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
    ask(&path.display().to_string(), HostOptions::default());
}

/// Everything that the compiler may ask of a program.
fn ask(path: &str, options: HostOptions) {
    let binary = Binary {
        path: path.to_owned(),
    };
    let host = HostTarget::new(options);
    let functions = host.functions(&binary).unwrap_or_default();
    for function in functions.iter().take(20) {
        let _ = host.functions_named(&binary, &function.name);
        let _ = host.signature(&binary, function.offset);
        let _ = host.is_instruction(&binary, function, 1);
        let _ = host.is_inlined(&binary, &function.name);
    }
    let _ = host.usdt_probes(&binary);
    let _ = host.binary_symbol(&binary, "main");
    for place in [0, 0x40, 0x1000, 0x1129, u64::MAX] {
        let _ = host.file_offset(&binary, place);
        let _ = host.virtual_address(&binary, place);
        let _ = host.signature(&binary, place);
    }
    for keyword in ["struct", "union", "enum", ""] {
        if let Ok(Type::Struct(of)) = host.binary_type(&binary, keyword, "thing") {
            let _ = host.struct_fields(of.id);
        }
    }
    let mut origins = Origins::new(host.arch(), Vec::new());
    for place in [0x40, 0x1129, 0x1140] {
        let _ = origins.of(Path::new(path), place);
    }
    for line in [1, 4, 7, u64::MAX] {
        let _ = host.source_line(&binary, "thing.c", line, None);
    }
}

/// Debug information: types, lines, functions and what was put into others.
fn dwarf(bytes: &[u8]) {
    let scratch = Scratch::new("dwarf");
    let path = scratch.write("file", &sections::elf(bytes, sections::DWARF));
    ask(&path.display().to_string(), HostOptions::default());
}

/// Notes of static probes, and the text of their arguments on each processor.
fn static_probes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for argument in usdt::arguments(&text, arch) {
            assert!(
                matches!(argument.bytes, 1 | 2 | 4 | 8)
                    || matches!(argument.source, usdt::Source::Unknown(_))
            );
        }
        let _ = usdt::register(&text, arch);
    }
    let scratch = Scratch::new("usdt");
    let path = scratch.write("file", &sections::elf(bytes, sections::USDT));
    let binary = Binary {
        path: path.display().to_string(),
    };
    let _ = HostTarget::new(HostOptions::default()).usdt_probes(&binary);
}

/// What leads from a program to files with its debug information: build ids, names, compressed symbols.
fn links(bytes: &[u8]) {
    let scratch = Scratch::new("links");
    let path = scratch.write("file", &sections::elf(bytes, sections::LINKS));
    let options = HostOptions {
        debug_directories: vec![scratch.0.clone()],
        ..HostOptions::default()
    };
    ask(&path.display().to_string(), options);
}

/// The kernel's description of its types, and a module's that continues it: 4 bytes say where that begins.
fn btf(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (kernel, module) = rest.split_at(length.min(rest.len()));
    let scratch = Scratch::new("btf");
    scratch.write("vmlinux", kernel);
    scratch.write("module", module);
    let host = HostTarget::new(HostOptions {
        kernel_types: Some(scratch.0.clone()),
        ..HostOptions::default()
    });
    for keyword in ["struct", "union", "enum", ""] {
        for name in ["thing", "other", "part"] {
            if let Ok(Type::Struct(of)) = host.kernel_type(keyword, name) {
                let _ = host.struct_fields(of.id);
            }
        }
        let _ = host.list_types(keyword, "*", true);
    }
    let _ = host.kernel_constant("CONSTANT");
    for (module, name) in host
        .described_functions("*", "*")
        .unwrap_or_default()
        .iter()
        .take(20)
    {
        let _ = host.kernel_functions(Some(module), name);
        let _ = host.list_parameters(module, name, true);
    }
}

/// `/proc/PID/maps`, in whose paths a process writes what it likes.
fn maps(bytes: &[u8]) {
    for file in unchecked::mapped_files(bytes) {
        assert!(file.is_absolute(), "{file:?}");
    }
    let mut spaces = Spaces::default();
    spaces.read(1, &String::from_utf8_lossy(bytes));
    for address in [0, 0x5555_5555_5000, u64::MAX] {
        if let Some((mapping, _)) = spaces.find(1, address) {
            assert!((mapping.start..mapping.end).contains(&address), "{mapping:?}");
        }
    }
}

/// The dynamic loader's cache.
fn loader_cache(bytes: &[u8]) {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for (name, path) in unchecked::cached_libraries(bytes, arch) {
            assert!(!name.is_empty() && !path.is_empty());
        }
    }
}

/// Saved results: read, written, joined with themselves, and printed.
fn saved_results(bytes: &[u8]) {
    let Ok(mut read) = Results::read(bytes) else {
        return;
    };
    let mut written = Vec::new();
    read.write(&mut written).expect("memory can be written to");
    let again = Results::read(&written).expect("what was written can be read");
    let mut twice = Vec::new();
    again.write(&mut twice).expect("memory can be written to");
    assert!(
        written == twice,
        "writing twice changes {}",
        String::from_utf8_lossy(&written)
    );
    // Runs of one process cannot be joined; where that is no reason, the shapes are the same.
    let _ = read.merge(again);
    let compiled = ends::compile(&read).or_else(|_| ends::compile_maps(&read));
    if let (Ok(compiled), Ok(target)) = (compiled, ends::target()) {
        let _ = results::restore(&read, &compiled.plan, &compiled.programs, &target);
    }
}
