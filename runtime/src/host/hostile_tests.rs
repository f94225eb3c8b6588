//! Files that somebody made to harm their reader: each gives what makes sense in it or one error, soon, and without much memory.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; a skipped one says why"
)]

use super::*;
use crate::host::scratch::Scratch;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

const SOURCE: &str = r#"
struct thing { int a; struct thing *next; };
__attribute__((noinline)) int first(struct thing *thing) { return thing->a; }
__attribute__((noinline)) int second(int n) { return n + 1; }
int main(int argc, char **argv) { struct thing thing = {argc}; return first(&thing) + second(argc); }
"#;

/// Asks everything that is asked of a binary; gives how many answers there were.
fn ask(path: &Path) -> usize {
    let host = HostTarget::new(HostOptions::default());
    let binary = Binary {
        path: path.to_str().unwrap().to_owned(),
    };
    let functions = host.functions(&binary).unwrap_or_default();
    let first = host.functions_named(&binary, "first").unwrap_or_default();
    let places = first.iter().chain(functions.iter().take(50));
    let signatures = places.filter(|function| host.signature(&binary, function.offset).is_ok());
    let mut answers = functions.len() + signatures.count() + first.len();
    answers += usize::from(host.usdt_probes(&binary).is_ok());
    answers += usize::from(host.binary_symbol(&binary, "main").is_ok());
    answers += usize::from(host.is_inlined(&binary, "first"));
    answers += host
        .source_line(&binary, "app.c", 3, None)
        .map_or(0, |found| found.len());
    if let Ok(Type::Struct(of)) = host.binary_type(&binary, "struct", "thing") {
        answers += host.struct_fields(of.id).map_or(0, |fields| fields.len());
    }
    answers
}

fn reason_of(path: &Path) -> String {
    let host = HostTarget::new(HostOptions::default());
    let binary = Binary {
        path: path.to_str().unwrap().to_owned(),
    };
    match host.functions(&binary) {
        Ok(found) => format!("{} functions", found.len()),
        Err(TargetError::Unreadable { reason, help, .. }) => {
            assert!(!help.is_empty(), "{reason}: no way out is named");
            reason
        }
        Err(TargetError::NotFound { .. }) => "not found".to_owned(),
    }
}

#[test]
fn cut_off_anywhere() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile("app", SOURCE, &["-g"]) else {
        return;
    };
    let whole = std::fs::read(&app).unwrap();
    let all = ask(&app);
    assert!(all > 10, "{all} answers");
    for part in 0..64 {
        let cut = scratch.write("cut", &whole[..whole.len() * part / 64]);
        // The table of sections stands at the end: without it nothing has a name.
        assert!(ask(&cut) < all, "{part}/64");
        reason_of(&cut);
    }
}

/// The places in a file's section headers of the section of that type, of which the first is meant: where its fields begin.
fn section(file: &[u8], kind: u32) -> usize {
    let word = |at: usize| u64::from_le_bytes(*file[at..].first_chunk().unwrap());
    let (table, count) = (word(0x28) as usize, u16::from_le_bytes([file[0x3c], file[0x3d]]));
    let headers = (0..usize::from(count)).map(|number| table + 64 * number);
    let mut of_kind = headers.filter(|at| file[at + 4..at + 8] == kind.to_le_bytes());
    of_kind.next().unwrap()
}

#[test]
fn more_symbols_than_any_program_has() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile("app", SOURCE, &["-g"]) else {
        return;
    };
    let whole = std::fs::read(&app).unwrap();
    let symbols = section(&whole, 2);
    let write = |name: &str, change: &dyn Fn(&mut Vec<u8>), length: Option<u64>| {
        let mut copy = whole.clone();
        change(&mut copy);
        let path = scratch.write(name, copy);
        if let Some(length) = length {
            // A hole, which takes no room on the disk.
            OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(length)
                .unwrap();
        }
        path
    };
    let size = |bytes: u64| {
        move |file: &mut Vec<u8>| file[symbols + 32..symbols + 40].copy_from_slice(&bytes.to_le_bytes())
    };
    // Ten million that are not there, as many that a hole stands for, and so many bytes that offsets overflow.
    let absent = write("absent", &size(240_000_000), None);
    assert!(
        reason_of(&absent).contains("lie outside the file"),
        "{}",
        reason_of(&absent)
    );
    let hole = write("hole", &size(240_000_000), Some(1 << 33));
    assert!(
        reason_of(&hole).contains("more symbols than any program"),
        "{}",
        reason_of(&hole)
    );
    for bytes in [1 << 32, u64::MAX, u64::MAX - 24] {
        let path = write("overflowing", &size(bytes), Some(1 << 33));
        assert!(reason_of(&path).contains("damaged"), "{}", reason_of(&path));
    }
}

#[test]
fn sections_that_overlap() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile("app", SOURCE, &["-g"]) else {
        return;
    };
    let mut whole = std::fs::read(&app).unwrap();
    let table = u64::from_le_bytes(*whole[0x28..].first_chunk().unwrap()) as usize;
    let count = u16::from_le_bytes([whole[0x3c], whole[0x3d]]);
    let length = whole.len() as u64;
    // Each section but the names is the whole file.
    let names = usize::from(u16::from_le_bytes([whole[0x3e], whole[0x3f]]));
    for number in (0..usize::from(count)).filter(|number| *number != names) {
        let at = table + 64 * number;
        whole[at + 24..at + 32].fill(0);
        whole[at + 32..at + 40].copy_from_slice(&length.to_le_bytes());
    }
    ask(&scratch.write("app", whole));
}

#[test]
fn no_programs_of_this_machine() {
    let scratch = Scratch::new();
    let header = |class: u8, order: u8, machine: [u8; 2], kind: [u8; 2]| {
        let mut file = vec![0x7f, b'E', b'L', b'F', class, order, 1];
        file.resize(16, 0);
        file.extend(kind);
        file.extend(machine);
        file.resize(128, 0);
        file
    };
    let x86_64 = [62, 0];
    let own = if cfg!(target_arch = "aarch64") {
        [183, 0]
    } else {
        x86_64
    };
    for (name, file, said) in [
        ("i386", header(1, 1, [3, 0], [2, 0]), "32-bit x86"),
        ("x32", header(1, 1, own, [2, 0]), "32-bit"),
        ("big", header(2, 2, [0, own[0]], [0, 2]), "big-endian"),
        ("z", header(2, 2, [0, 22], [0, 2]), "IBM Z"),
        ("object", header(2, 1, own, [1, 0]), "object file"),
        ("core", header(2, 1, own, [4, 0]), "core dump"),
        ("script", b"#!/usr/bin/env python3\n".to_vec(), "run by python3"),
        ("linker", b"/* GNU ld script".to_vec(), "text for the linker"),
        ("short", b"\x7fELF".to_vec(), "cut off"),
        ("empty", Vec::new(), "no ELF"),
    ] {
        let reason = reason_of(&scratch.write(name, file));
        assert!(reason.contains(said), "{name}: {reason}");
    }
    assert!(reason_of(scratch.root()).contains("directory"));
    assert!(reason_of(Path::new("/dev/zero")).contains("no regular file"));
    let pipe = scratch.path("pipe");
    if Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .is_ok_and(|made| made.success())
    {
        // Nobody writes to it: opening it without care would never end.
        assert!(reason_of(&pipe).contains("no regular file"));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile("app", SOURCE, &[]) else {
        return;
    };
    let other = scratch.compile(
        "other",
        "int other(void) { return 1; } int main(void) { return other(); }",
        &[],
    );
    let host = HostTarget::new(HostOptions::default());
    let binary = Binary {
        path: app.to_str().unwrap().to_owned(),
    };
    // Its headers have been read, its symbols not yet.
    host.file_offset(&binary, 0x1000).ok();
    std::fs::rename(other.unwrap(), &app).unwrap();
    let Err(TargetError::Unreadable { reason, .. }) = host.functions(&binary) else {
        panic!("places of the old file in the new one");
    };
    assert!(reason.contains("replaced"), "{reason}");
    // Cut short after it was opened.
    let host = HostTarget::new(HostOptions::default());
    host.file_offset(&binary, 0x1000).ok();
    let file = OpenOptions::new().write(true).open(&app).unwrap();
    file.set_len(100).unwrap();
    assert!(host.functions(&binary).is_err());
}

/// Sections that claim to decompress to more than their bytes can, or to more than the memory that is free.
#[test]
fn sections_that_decompress_to_gigabytes() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile("app", SOURCE, &["-g", "-gz=zlib"]) else {
        return;
    };
    let sound = ask(&app);
    let whole = std::fs::read(&app).unwrap();
    let header = [1u8, 0, 0, 0, 0, 0, 0, 0];
    for claimed in [1u64 << 20, 1 << 31, 1 << 40, u64::MAX] {
        let mut copy = whole.clone();
        for at in 0..copy.len() - 24 {
            // Type, reserved, size, an alignment of 1.
            if copy[at..at + 8] == header && copy[at + 16..at + 24] == 1u64.to_le_bytes() {
                copy[at + 8..at + 16].copy_from_slice(&claimed.to_le_bytes());
            }
        }
        let answers = ask(&scratch.write("app", copy));
        assert!(answers <= sound, "{claimed}");
    }
}

/// A process that has made a directory its root, and waits until its standard input ends.
const JAILED: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
  if (argc < 2 || chroot(argv[1]) || chdir("/")) return 1;
  puts("ready");
  fflush(stdout);
  return getchar() == EOF ? 0 : 2;
}
"#;

#[test]
fn links_of_other_roots_stay_in_them() {
    let scratch = Scratch::new();
    let Some(jailed) = scratch.compile("jailed", JAILED, &[]) else {
        return;
    };
    let jail = scratch.path("jail");
    // What the links of the jail lead to, from there and from here.
    scratch.write("jail/secret", "inside");
    scratch.write("jail/etc/passwd", "inside");
    scratch.write("secret", "outside");
    symlink("/secret", jail.join("absolute")).unwrap();
    symlink("../../../secret", jail.join("etc/upwards")).unwrap();
    symlink("/etc", jail.join("configuration")).unwrap();
    symlink(scratch.path("secret"), jail.join("escaping")).unwrap();
    symlink("/proc/self/root/etc/passwd", jail.join("magic")).unwrap();
    let mut child = Command::new(jailed)
        .arg(&jail)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    if ready.is_empty() {
        eprintln!("skipped: this user may not change the root directory");
        child.wait().unwrap();
        return;
    }
    let root = PathBuf::from(format!("/proc/{}/root", child.id()));
    let text = |name: &str| {
        let mut text = String::new();
        let read = reach::open(&root.join(name)).and_then(|mut file| file.read_to_string(&mut text));
        read.map_or_else(|error| format!("{:?}", error.kind()), |_| text)
    };
    for name in [
        "absolute",
        "etc/upwards",
        "configuration/passwd",
        "../../../secret",
        "configuration/../secret",
    ] {
        assert_eq!(text(name), "inside", "{name}");
        assert!(reach::is_file(&root.join(name)), "{name}");
    }
    for name in ["escaping", "magic"] {
        assert_eq!(text(name), "NotFound", "{name}");
        assert!(reach::metadata(&root.join(name)).is_err(), "{name}");
    }
    // What the kernel is given leads to the same file.
    let (path, _open) = reach::for_kernel(&root.join("absolute")).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"inside");
    let names = reach::paths_in(&root.join("configuration"));
    let wanted = ["passwd", "upwards"].map(|name| root.join("configuration").join(name));
    assert!(
        names.len() == 2 && wanted.iter().all(|name| names.contains(name)),
        "{names:?}"
    );
    drop(child.stdin.take());
    child.wait().unwrap();
}
