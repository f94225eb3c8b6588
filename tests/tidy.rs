//! The rules of this repository that no compiler checks: which crate may know what, where `unsafe` may be, that a feature is
//! declared once, how long files and functions are, that every error code is explained.
//!
//! In: the files of the repository. Out: a list of what breaks a rule, each with file and line.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "tidy/homonyms.rs"]
mod homonyms;
#[path = "tidy/source.rs"]
mod source;

use homonyms::HOMONYMS;
use source::{Kind, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code that a file has at most: beyond, it does several things.
const FILE_LIMIT: usize = 600;
/// Lines of code that a function has at most.
const FUNCTION_LIMIT: usize = 80;

/// Functions that may be longer, and why.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    (
        "compiler/src/check/tests/messages.rs",
        "messages",
        "a table of scripts and messages",
    ),
    (
        "compiler/src/codegen/tests/exact.rs",
        "pseudo_instructions",
        "a table of expected code",
    ),
    (
        "compiler/src/codegen/tests/ir_interpreter.rs",
        "op",
        "one match over every operation",
    ),
    (
        "compiler/src/hir/display.rs",
        "expr",
        "one match over every expression",
    ),
    (
        "compiler/src/ir/testing.rs",
        "op",
        "one match over every operation",
    ),
    (
        "grammar/src/recover.rs",
        "item",
        "one state machine over the tokens of an item",
    ),
    (
        "runtime/src/vm/machine.rs",
        "execute",
        "one match over every instruction",
    ),
];

/// The crates, and which of them each may use. The arrows point from the user to the used.
const ARROWS: &[(&str, &[&str])] = &[
    ("grammar", &[]),
    ("compiler", &["grammar"]),
    ("runtime", &["compiler"]),
    ("probe-library", &[]),
];

/// Crates that are pure functions of their input.
const PURE: &[&str] = &["grammar", "compiler"];

/// Modules of `std` that reach the machine.
const MACHINE: &[&str] = &["fs", "net", "process", "env", "time", "thread", "os", "io"];

/// Where `unsafe` may be: the modules that talk to the kernel.
const UNSAFE: &[&str] = &[
    "runtime/src/sys/",
    "runtime/src/sys_time.rs",
    "runtime/src/kernel/",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository that `accept` wants, by its path from the root.
fn files(accept: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut queue = vec![root()];
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let hidden = [".git", "target", "fuzz/target", "fuzz/corpus"];
            if hidden.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                queue.push(path);
            } else if accept(&name)
                && let Ok(text) = fs::read_to_string(&path)
            {
                found.insert(name, text);
            }
        }
    }
    found
}

fn rust_files() -> BTreeMap<String, String> {
    let files = files(|name| name.ends_with(".rs"));
    assert!(
        files.len() > 50,
        "this test looks for its files in the wrong place"
    );
    files
}

/// The production code of the crates, by file: no unit tests, no test modules, no integration tests, benches, fuzzers.
fn production() -> BTreeMap<String, Vec<Token>> {
    let mut test_paths = BTreeSet::new();
    let mut code = BTreeMap::new();
    for (name, text) in rust_files() {
        let part = source::production(&source::tokens(&text));
        let path = Path::new(&name);
        let stem = path.file_stem().unwrap().to_str().unwrap();
        // `a/mod.rs`, `a/lib.rs` and `a/main.rs` have their modules beside them, `a/b.rs` below `a/b`.
        let below = match stem {
            "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
            _ => path.with_extension(""),
        };
        for module in part.test_modules {
            let base = if module.ends_with(".rs") {
                path.parent().unwrap()
            } else {
                &below
            };
            let module = base.join(module.trim_end_matches(".rs"));
            test_paths.insert(module.to_str().unwrap().to_owned());
        }
        code.insert(name, part.tokens);
    }
    code.retain(|name, _| {
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
        let is_test = test_paths
            .iter()
            .any(|test| module == test || name.starts_with(&format!("{test}/")));
        name.contains("src/") && !is_test && !name.starts_with("fuzz/") && !name.starts_with("tests/")
    });
    code
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Where a path such as `std::fs` or a group such as `std::{fmt, fs}` names one of `modules`.
fn paths_into(tokens: &[Token], krate: &str, modules: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_path = token.is_ident(krate)
            && tokens.get(index + 1).is_some_and(|t| t.is(':'))
            && tokens.get(index + 2).is_some_and(|t| t.is(':'));
        let Some(next) = tokens.get(index + 3).filter(|_| is_path) else {
            continue;
        };
        let candidates = if next.is('{') {
            let group = &tokens[index + 3..source::behind_group(tokens, index + 3)];
            group
                .windows(2)
                .filter(|w| w[0].is('{') || w[0].is(','))
                .map(|w| &w[1])
                .collect()
        } else {
            vec![next]
        };
        for candidate in candidates {
            if let Kind::Ident(name) = &candidate.kind
                && modules.contains(&name.as_str())
            {
                found.push((candidate.line, format!("{krate}::{name}")));
            }
        }
    }
    found
}

/// The crates of this workspace that a manifest names in one of its dependency tables.
fn workspace_dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_dependencies = false;
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            is_dependencies = table.trim_end_matches(']').ends_with("dependencies");
        } else if is_dependencies && let Some(name) = line.strip_prefix("crumbs-") {
            let end = name
                .find(|c: char| c != '-' && !c.is_alphanumeric())
                .unwrap_or(name.len());
            names.push(name[..end].to_owned());
        }
    }
    names
}

#[test]
fn crates_use_only_what_the_arrows_allow() {
    let mut broken = Vec::new();
    for (krate, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        for used in workspace_dependencies(&manifest) {
            if !allowed.contains(&used.as_str()) {
                broken.push(format!("{krate}/Cargo.toml: {krate} must not use {used}"));
            }
        }
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let all = workspace_dependencies(&manifest);
    assert!(all.len() >= ARROWS.len(), "the root package uses every crate");
    report("The crates' arrows", &broken);
}

#[test]
fn grammar_and_compiler_do_not_touch_the_machine() {
    let mut broken = Vec::new();
    for (name, tokens) in production() {
        if !PURE
            .iter()
            .any(|krate| name.starts_with(&format!("{krate}/src/")))
        {
            continue;
        }
        for (line, path) in paths_into(&tokens, "std", MACHINE) {
            broken.push(format!("{name}:{line}: {path}"));
        }
        for token in &tokens {
            if token.is_ident("libc") || token.is_ident("include_str") || token.is_ident("include_bytes") {
                broken.push(format!("{name}:{}: {:?}", token.line, token.kind));
            }
        }
    }
    report("A pure crate reaches the machine", &broken);
}

#[test]
fn unsafe_code_is_where_the_kernel_is_and_says_why_it_is_sound() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (name, text) in rust_files() {
        let tokens = source::tokens(&text);
        let lines: Vec<&str> = text.lines().collect();
        for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
            if !token.is_ident("unsafe") {
                continue;
            }
            seen += 1;
            if !UNSAFE.iter().any(|place| name.starts_with(place)) {
                broken.push(format!(
                    "{name}:{}: unsafe code outside of {UNSAFE:?}",
                    token.line
                ));
            }
            let is_block = next.is('{') || next.is_ident("impl");
            if is_block && !has_safety_comment(&lines, token.line) {
                broken.push(format!("{name}:{}: no `// SAFETY:` comment above", token.line));
            }
        }
    }
    assert!(seen > 0, "the runtime has unsafe code; the test does not see it");
    report("Unsafe code", &broken);
}

/// Whether the comment for the statement around line `line` (from 1) says why it is sound: the nearest comment above,
/// at most a few lines of the same statement away.
fn has_safety_comment(lines: &[&str], line: usize) -> bool {
    let mut statement = 0;
    for text in lines[..line - 1].iter().rev().map(|l| l.trim()) {
        if text.starts_with("//") || text.starts_with("#[") {
            if text.starts_with("// SAFETY:") {
                return true;
            }
            continue;
        }
        statement += 1;
        if statement > 4 || text.is_empty() || text.ends_with(';') || text.ends_with('}') {
            return false;
        }
    }
    false
}

/// Names of the language's features, each with the slice that declares it.
fn feature_names() -> Vec<(&'static str, &'static str)> {
    use crumbs_compiler::expand::prelude;
    use crumbs_compiler::{aggregation, builtin, config, function, probe_kind, probe_value};
    let mut names = Vec::new();
    names.extend(builtin::ALL.iter().map(|row| (row.name, "builtin")));
    names.extend(aggregation::ALL.iter().map(|row| (row.name(), "aggregation")));
    names.extend(function::ALL.iter().map(|row| (row.name, "function")));
    names.extend(prelude::ALL.iter().map(|row| (row.name, "prelude macro")));
    names.extend(probe_kind::ALL.iter().map(|row| (row.name(), "probe kind")));
    names.extend(probe_value::ALL.iter().map(|row| (row.name, "probe value")));
    names.extend(config::ALL.iter().map(|row| (row.name, "config variable")));
    names
}

/// Whether a literal in a file is a homonym, marked as seen.
fn is_homonym<'a>(seen: &mut BTreeSet<(&'a str, &'a str)>, file: &str, text: &str) -> bool {
    let row = HOMONYMS
        .iter()
        .find(|(name, texts, _)| *name == file && texts.contains(&text));
    let literal = row.and_then(|(name, texts, _)| Some((*name, *texts.iter().find(|t| **t == text)?)));
    literal.is_some_and(|literal| {
        seen.insert(literal);
        true
    })
}

#[test]
fn a_feature_is_named_once() {
    let code = production();
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for (feature, kind) in feature_names() {
        let is_name = |t: &Token| t.kind == Kind::Str(feature.to_owned());
        let places: Vec<&str> = code
            .iter()
            .filter(|(_, tokens)| tokens.iter().any(is_name))
            .map(|(file, _)| file.as_str())
            .filter(|file| !is_homonym(&mut seen, file, feature))
            .collect();
        if places.len() != 1 {
            broken.push(format!(
                "{kind} \"{feature}\" is written in: {}",
                places.join(", ")
            ));
        }
    }
    for (file, texts, _) in HOMONYMS {
        for text in texts.iter().filter(|text| !seen.contains(&(*file, **text))) {
            broken.push(format!("{file}: \"{text}\" is excepted and not there"));
        }
    }
    report("A feature's name stands in its row and nowhere else", &broken);
}

#[test]
fn files_and_functions_are_short() {
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for (name, text) in rust_files() {
        let tokens = source::tokens(&text);
        let lines = source::lines_of_code(&tokens);
        if lines > FILE_LIMIT {
            broken.push(format!("{name}: {lines} lines of code, at most {FILE_LIMIT}"));
        }
        for (function, line, lines) in source::functions(&tokens) {
            if lines <= FUNCTION_LIMIT {
                continue;
            }
            let allowed = LONG_FUNCTIONS
                .iter()
                .find(|(file, long, _)| *file == name && *long == function);
            match allowed {
                Some((_, long, _)) => _ = used.insert(*long),
                None => broken.push(format!(
                    "{name}:{line}: fn {function} has {lines} lines of code, at most {FUNCTION_LIMIT}"
                )),
            }
        }
    }
    for (file, function, _) in LONG_FUNCTIONS
        .iter()
        .filter(|(_, function, _)| !used.contains(function))
    {
        broken.push(format!("{file}: fn {function} is excepted, and is not too long"));
    }
    report("Too long", &broken);
}

#[test]
fn modules_say_what_they_are() {
    let mut broken = Vec::new();
    for (name, text) in rust_files() {
        let opens = text.trim_start().starts_with("//!") || text.trim_start().starts_with("#!");
        if !opens && name != "grammar/build.rs" {
            broken.push(format!("{name}: does not open with `//!`"));
        }
    }
    report("A module opens with what it is", &broken);
}

#[test]
fn error_codes_are_unique_and_explained() {
    let all: Vec<_> = crumbs_grammar::codes::ALL
        .iter()
        .chain(crumbs_compiler::codes::ALL)
        .collect();
    let mut broken = Vec::new();
    let mut ids = BTreeSet::new();
    for code in &all {
        let (letter, number) = code.id.split_at(1);
        if !matches!(letter, "E" | "W") || number.len() != 4 || number.parse::<u16>().is_err() {
            broken.push(format!("{}: an id is E or W and four digits", code.id));
        }
        if !ids.insert(number) {
            broken.push(format!("{}: declared twice", code.id));
        }
        if code.title.is_empty() || code.explanation.len() < 20 || !code.explanation.ends_with('.') {
            broken.push(format!("{}: not explained in full sentences", code.id));
        }
    }
    assert!(all.len() > 50, "codes are missing here");
    report("Error codes", &broken);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    // Put together here, so that this file does not name it either.
    let foreign = ["/wo", "rk/"].concat();
    let mut broken = Vec::new();
    for (name, text) in files(|_| true) {
        for (index, line) in text.lines().enumerate() {
            let mut rest = line;
            while let Some(at) = rest.find(&foreign) {
                // `frame/work/…` would be something else.
                let before = rest[..at].chars().next_back();
                if before.is_none_or(|c| !c.is_alphanumeric() && c != '.' && c != '}') {
                    broken.push(format!("{name}:{}: {}", index + 1, line.trim()));
                }
                rest = &rest[at + foreign.len()..];
            }
        }
    }
    report("A path of one machine", &broken);
}

#[test]
fn text_goes_out_through_the_printers() {
    const PRINTS: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];
    let mut broken = Vec::new();
    for (name, tokens) in production() {
        for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
            if let Kind::Ident(ident) = &token.kind
                && PRINTS.contains(&ident.as_str())
                && next.is('!')
            {
                broken.push(format!("{name}:{}: {ident}!", token.line));
            }
        }
    }
    report("Printed past the output", &broken);
}

/// A path in backticks that a page names is there, whole or from some directory on: pages follow files that are renamed.
#[test]
fn pages_name_files_that_exist() {
    let mut paths = BTreeSet::new();
    for name in files(|_| true).keys() {
        let directories = Path::new(name).ancestors().skip(1).filter_map(Path::to_str);
        paths.extend(directories.map(|directory| format!("/{directory}/")));
        paths.insert(format!("/{name}"));
    }
    let mut broken = Vec::new();
    for (name, text) in files(|name| name.ends_with(".md")) {
        for (index, line) in text.lines().enumerate() {
            for quoted in line.split('`').skip(1).step_by(2) {
                let is_path = quoted.contains('/')
                    && [".rs", ".md", ".sh", ".toml", ".txt", ".lalrpop", "/"]
                        .iter()
                        .any(|e| quoted.ends_with(e))
                    && quoted.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c))
                    && !quoted.starts_with(['/', '.'])
                    && !quoted.starts_with("target/");
                if is_path && !paths.iter().any(|path| path.ends_with(&format!("/{quoted}"))) {
                    broken.push(format!("{name}:{}: there is no {quoted}", index + 1));
                }
            }
        }
    }
    report("A page names a file that is not there", &broken);
}
