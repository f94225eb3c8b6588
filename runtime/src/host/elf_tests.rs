#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; a skipped one says why"
)]

use super::*;
use crate::host::scratch::Scratch;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

const HERE: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Aarch64
} else {
    Arch::X86_64
};

fn libc_path() -> Option<String> {
    let cache = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
    let found = crate::host::ld_cache::parse(&cache, HERE)
        .into_iter()
        .find(|entry| entry.name() == Some("libc.so.6"))
        .and_then(|entry| entry.path().map(str::to_owned));
    if found.is_none() {
        eprintln!("skipped: the loader's cache has no libc.so.6");
    }
    found
}

fn open(path: &Path) -> Result<Image, TargetError> {
    Image::open(path.to_str().unwrap(), HERE)
}

fn reason(path: &Path) -> String {
    match open(path).err().unwrap() {
        TargetError::Unreadable { reason, help, .. } => {
            assert!(!help.is_empty());
            reason
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn libc_as_nm_sees_it() {
    let Some(path) = libc_path() else { return };
    let Ok(nm) = std::process::Command::new("nm")
        .args(["-D", "--defined-only", &path])
        .output()
    else {
        eprintln!("skipped: cannot run nm");
        return;
    };
    let image = Image::open(&path, HERE).unwrap();
    let ours: BTreeSet<(String, u64)> = image
        .functions()
        .unwrap()
        .into_iter()
        .map(|f| (f.name, f.offset))
        .collect();
    let mut theirs: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let text = String::from_utf8(nm.stdout).unwrap();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [address, "T" | "W" | "i", name] = words[..] else {
            continue;
        };
        let Some((name, _)) = name.split_once("@@") else {
            continue;
        };
        let address = u64::from_str_radix(address, 16).unwrap();
        theirs
            .entry(name.to_owned())
            .or_default()
            .insert(image.file_offset(address).unwrap());
    }
    assert!(theirs.len() > 1_000);
    for (name, offsets) in &theirs {
        for offset in offsets {
            assert!(ours.contains(&(name.clone(), *offset)), "{name} at {offset:#x}");
        }
        let named: BTreeSet<u64> = image
            .functions_named(name)
            .unwrap()
            .iter()
            .map(|f| f.offset)
            .collect();
        assert_eq!(&named, offsets, "{name}");
    }
}

#[test]
fn a_search_and_the_list_agree() {
    let Some(path) = libc_path() else { return };
    let image = Image::open(&path, HERE).unwrap();
    let functions = image.functions().unwrap();
    assert!(functions.is_sorted_by(|a, b| (&a.name, a.offset) < (&b.name, b.offset)));
    for function in functions.iter().step_by(17) {
        let listed: Vec<Function> = functions
            .iter()
            .filter(|f| f.name == function.name)
            .cloned()
            .collect();
        assert_eq!(image.functions_named(&function.name).unwrap(), listed);
    }
    let open = image.functions_named("open").unwrap();
    assert_eq!(open[0].offset, image.functions_named("open64").unwrap()[0].offset);
    assert!(image.functions_named("no_such_function").unwrap().is_empty());
}

const SOURCE: &str = r#"
    #define OLD(name, symbol) __asm__(".symver " #name "," symbol)
    int added(int a) { return a + 1; }
    extern int same(int a) __attribute__((alias("added")));
    int copy_old(int a) { return a + 2; }
    int copy_new(int a) { return a + 3; }
    OLD(copy_old, "copy@V1");
    OLD(copy_new, "copy@@V2");
    static int hidden(int a) { return a * 7; }
    static int (*resolve(void))(int) { return hidden; }
    int indirect(int a) __attribute__((ifunc("resolve")));
    int data = 5;
"#;

fn library(scratch: &Scratch) -> Option<std::path::PathBuf> {
    let script = scratch.write("versions", "V1 { local: nothing; }; V2 { } V1;");
    let script = format!("-Wl,--version-script={}", script.display());
    scratch.compile("libsmall.so", SOURCE, &["-shared", "-fPIC", &script])
}

#[test]
fn versions_aliases_local_and_indirect_functions() {
    let scratch = Scratch::new();
    let Some(path) = library(&scratch) else { return };
    let image = open(&path).unwrap();
    let one = |name: &str| match image.functions_named(name).unwrap().as_slice() {
        [one] => one.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(one("added").offset, one("same").offset);
    assert!(one("added").size > 0);
    // The default version, not that of old programs.
    assert_eq!(one("copy").offset, one("copy_new").offset);
    assert_ne!(one("copy").offset, one("copy_old").offset);
    assert!(one("indirect").indirect && !one("hidden").indirect);
    assert!(image.functions_named("data").unwrap().is_empty());
    assert!(!image.is_stripped());
    for function in image.functions().unwrap() {
        assert!(image.functions_named(&function.name).unwrap().contains(&function));
    }
}

#[test]
fn an_address_counts_only_in_executable_segments() {
    let scratch = Scratch::new();
    let Some(path) = library(&scratch) else { return };
    let image = open(&path).unwrap();
    let (start, end) = image.executable_ranges().next().unwrap();
    assert!(image.file_offset(start).is_some() && image.file_offset(end - 1).is_some());
    assert_eq!(
        (image.file_offset(end), image.file_offset(u64::MAX)),
        (None, None)
    );
}

#[test]
fn other_files_say_what_they_are() {
    let scratch = Scratch::new();
    assert!(
        reason(&scratch.write("s", "#!/usr/bin/env -S python3 -u\n")).contains("a script, run by python3")
    );
    assert!(reason(&scratch.write("t", "#!/bin/sh\n")).contains("/bin/sh"));
    assert!(reason(&scratch.write("ld", "/* GNU ld script\n*/ GROUP (x)")).contains("linker"));
    assert!(reason(&scratch.write("e", "")).contains("no ELF"));
    assert!(reason(scratch.root()).contains("directory"));
    assert!(matches!(
        open(&scratch.path("none")),
        Err(TargetError::NotFound { .. })
    ));
    let refused = io_error("/x", &ErrorKind::PermissionDenied.into());
    assert!(matches!(refused, TargetError::Unreadable { help, .. } if help.contains("root")));

    let Some(path) = library(&scratch) else { return };
    let good = std::fs::read(&path).unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut copy = good.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        reason(&scratch.write("changed", copy))
    };
    // e_machine, EI_CLASS, EI_DATA, e_type.
    assert!(changed(18, &243_u16.to_le_bytes()).contains("RISC-V"));
    assert!(changed(4, &[1]).contains("32-bit"));
    assert!(changed(18, &3_u16.to_le_bytes()).contains("32-bit x86"));
    assert!(changed(16, &1_u16.to_le_bytes()).contains("object file"));
    assert!(changed(16, &4_u16.to_le_bytes()).contains("core"));
}

#[test]
fn a_named_pipe_does_not_block() {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    match std::process::Command::new("mkfifo").arg(&pipe).status() {
        Ok(status) if status.success() => assert!(reason(&pipe).contains("regular")),
        _ => eprintln!("skipped: cannot make a pipe"),
    }
}

/// Asks everything there is to ask.
fn exercise(path: &Path) {
    if let Ok(image) = open(path) {
        let _ = image.functions();
        let _ = image.functions_named("added");
        let _ = image.dynamic();
        let _ = image.file_offset(0x1000);
    }
}

#[test]
fn truncated_and_damaged_files_end_in_time() {
    let scratch = Scratch::new();
    let Some(path) = library(&scratch) else { return };
    let good = std::fs::read(&path).unwrap();
    let start = Instant::now();
    for length in (0..good.len()).step_by(131) {
        exercise(&scratch.write("cut", &good[..length]));
    }
    // A linear congruential generator: the same damage in each run.
    let mut state = 0x2545_f491_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..1_500 {
        let mut copy = good.clone();
        for _ in 0..=random(6) {
            // Half of it in the headers, where it matters most.
            let at = if random(2) == 0 {
                random(1_024)
            } else {
                random(good.len())
            };
            let at = if random(4) == 0 {
                good.len() - 1 - random(2_000)
            } else {
                at
            };
            copy[at] = if random(2) == 0 {
                copy[at] ^ 1 << random(8)
            } else {
                0xff
            };
        }
        exercise(&scratch.write("damaged", copy));
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn names_that_overlap_beyond_reason_are_refused() {
    // 400,000 symbols that share one name of 60,000 bytes would be 24 GB of names.
    let (count, length) = (400_000_usize, 60_000_usize);
    let mut names = vec![b'a'; length];
    names[0] = 0;
    names.push(0);
    let mut symbol = [0; SYMBOL_SIZE];
    symbol[0] = 1;
    symbol[4] = sym::STB_GLOBAL << 4 | sym::STT_FUNC;
    symbol[6] = 1;
    let table = SymbolTable {
        symbols: symbol.repeat(count),
        names,
        versions: Vec::new(),
    };
    let image = Image {
        identity: identity(&std::fs::metadata("/").unwrap()),
        names: 0,
        path: "/hostile".to_owned(),
        ctx: Ctx::new(
            goblin::container::Container::Big,
            goblin::container::Endian::Little,
        ),
        segments: Vec::new(),
        sections: Vec::new(),
        exported: OnceCell::from(Some(table)),
        moves: true,
        stripped: OnceCell::new(),
    };
    let start = Instant::now();
    assert!(
        matches!(image.functions(), Err(TargetError::Unreadable { reason, .. }) if reason.contains("overlap"))
    );
    assert!(image.functions_named("added").unwrap().is_empty());
    assert!(start.elapsed() < Duration::from_secs(60));
}
