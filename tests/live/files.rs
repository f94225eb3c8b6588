//! Files that are no programs, and programs that are deleted, replaced or hidden: one clear message each, or the right counts.

use crate::support::*;
use crate::waiting::Waiting;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What `uprobe:FILE:value` says.
fn refusal(file: &Path) -> Outcome {
    let script = format!("uprobe:{}:value {{ @ = count(); }}", file.display());
    Crumbs::script(&script).args(&["-d", "hir"]).run()
}

#[test]
fn files_that_are_no_programs() {
    needs!(no_compiler());
    let program = program();
    let whole = fs::read(&program).unwrap();
    let directory = directory();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut other_machine = whole.clone();
    // e_machine, EM_AARCH64 or EM_X86_64.
    other_machine[18] = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
    let mut narrow = whole.clone();
    // EI_CLASS, ELFCLASS32.
    narrow[4] = 1;
    let script = write("script", b"#!/bin/sh\necho value\n");
    let mut command = Command::new("mkfifo");
    let pipe = directory.join("pipe");
    assert!(command.arg(&pipe).status().unwrap().success());
    for (file, parts) in [
        (write("empty", b""), &["no ELF file"][..]),
        (write("text", b"value\n"), &["no ELF file"]),
        (script, &["a script, run by /bin/sh"]),
        (write("short", &whole[..100]), &["damaged"]),
        (write("other", &other_machine), &["machine"]),
        (write("narrow", &narrow), &["32"]),
        (directory.clone(), &["a directory"]),
        (pipe, &["no regular file"]),
        (directory.join("none"), &["cannot find"]),
        ("/dev/null".into(), &["no regular file"]),
    ] {
        let outcome = refusal(&file);
        outcome.refuses(parts);
        let errors = outcome.stderr.matches("error").count();
        assert_eq!(errors, 1, "one message: {}", outcome.stderr);
        assert!(outcome.stderr.contains("help"), "no way out: {}", outcome.stderr);
    }
}

#[test]
fn files_that_end_anywhere() {
    needs!(no_compiler());
    let program = program();
    let whole = fs::read(&program).unwrap();
    let cut = directory().join("cut");
    for tenth in 0..10 {
        fs::write(&cut, &whole[..whole.len() * tenth / 10]).unwrap();
        refusal(&cut).refuses(&["error[E"]);
    }
}

#[test]
fn symbols_that_were_stripped_are_told_of() {
    needs!(no_compiler());
    let program = program();
    let status = Command::new("strip").arg(&program).status();
    let without = status.err().map(|_| "strip is not installed".to_owned());
    needs!(without);
    refusal(&program).refuses(&["has no function `value`", "stripped"]);
}

#[test]
fn files_that_the_user_may_not_read() {
    needs!(not_root());
    let hidden = readable_copy(env!("CARGO_BIN_EXE_crumbs").as_ref());
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    let script = format!("uprobe:{}:main {{ }}", hidden.display());
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(readable_crumbs())
        .args(["-d", "hir", "-e", &script])
        .current_dir("/")
        .output();
    let without = output
        .as_ref()
        .err()
        .map(|_| "setpriv is not installed".to_owned());
    needs!(without);
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no permission to read"), "{text}");
}

#[test]
fn programs_that_are_deleted_or_replaced_while_they_run() {
    needs!(no_tracing());
    for replaced in [false, true] {
        let program = compiled("locked.c", &[]);
        let mut stepping = Waiting::start(&program);
        let pid = stepping.pid().to_string();
        let script = "uprobe:PROGRAM:step_a { @a = count(); }";
        let mut before = Crumbs::script(script).on(&program).args(&["-p", &pid]).start();
        before.attached();
        fs::remove_file(&program).unwrap();
        if replaced {
            fs::copy("/bin/true", &program).unwrap();
        }
        // By its path and without.
        let mut by_path = Crumbs::script(script).on(&program).args(&["-p", &pid]).start();
        by_path.attached();
        let of_process = Crumbs::script("uprobe::step_a { @a = count(); }");
        let mut of_process = of_process.args(&["-p", &pid]).start();
        of_process.attached();
        stepping.go();
        for run in [before, by_path, of_process] {
            run.wait().maps("@a: 1\n");
        }
    }
}

#[test]
fn twenty_thousand_functions() {
    needs!(no_compiler());
    let directory = directory();
    let (source, program) = (directory.join("many.s"), directory.join("many"));
    let functions: String = (0..20_000)
        .map(|n| format!(".globl f_{n}\n.type f_{n},%function\nf_{n}: .long 0\n.size f_{n},4\n"))
        .collect();
    fs::write(&source, format!(".text\n{functions}")).unwrap();
    let status = Command::new("gcc")
        .args(["-shared", "-nostdlib", "-o"])
        .args([&program, &source])
        .status();
    assert!(status.unwrap().success());
    let script = format!("uprobe:{}:f_* {{ @[func] = count(); }}", program.display());
    let listed = Crumbs::new().args(&["-l", "-e", &script]).run();
    assert_eq!(listed.stdout.lines().count(), 20_000, "{}", listed.stderr);
    let limited = Crumbs::script(&script)
        .env("BPFTRACE_MAX_PROBES", "19999")
        .args(&["-d", "hir"])
        .run();
    limited.refuses(&["20000 places", "19999"]);
}
