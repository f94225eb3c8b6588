//! Mistakes of every kind: one clear error each, never a panic, a hang or a wrong number.

use crate::support::{
    Crumbs, evaluate, needs, no_compiler, no_tracing, not_root, program, readable_copy, readable_crumbs,
};
use std::process::{Command, Stdio};

#[test]
fn names_that_do_not_exist() {
    needs!(no_compiler());
    let program = program();
    for (script, parts) in [
        (
            "uprobe:PROGRAM:valu { @ = count(); }",
            &["valu", "did you mean", "value"][..],
        ),
        ("uprobe:PROGRAM:no_such_function { }", &["no_such_function"]),
        ("uprobe:PROGRAM:nothing_* { }", &["nothing_*"]),
        ("uprobe:libnosuchlibrary:open { }", &["libnosuchlibrary"]),
        ("uprobe:/no/such/path:open { }", &["/no/such/path"]),
        ("uprobe:/etc/passwd:open { }", &["/etc/passwd"]),
        ("uprobe:/:open { }", &["directory"]),
        ("uprobe:PROGRAM:0x1 { }", &["0x1"]),
        ("uprobe:PROGRAM:value+9999 { }", &["9999", "bytes"]),
        ("uprobe:PROGRAM { }", &["uprobe:"]),
        ("nosuchkind:a:b { }", &["nosuchkind"]),
        ("begin { print(pidd); }", &["pidd", "did you mean", "pid"]),
        ("begin { prinft(\"x\"); }", &["prinft", "did you mean", "printf"]),
        ("begin { print($x); }", &["$x"]),
        ("interval:fortnight:1 { }", &["fortnight"]),
        ("interval:s:0 { }", &["0"]),
        ("interval:s:99999999999999999999 { }", &["99999999999999999999"]),
        ("profile:hz:x { }", &["x"]),
    ] {
        Crumbs::script(script).on(&program).run().refuses(parts);
    }
}

#[test]
fn tracepoints_and_fields_that_do_not_exist() {
    needs!(no_tracing());
    for (script, parts) in [
        (
            "tracepoint:syscalls:sys_enter_opnat { }",
            &["sys_enter_opnat", "sys_enter_openat"][..],
        ),
        ("tracepoint:nosuch:event { }", &["nosuch"]),
        ("tracepoint:syscalls:nosuch* { }", &["nosuch*"]),
        (
            "tracepoint:syscalls:sys_enter_openat { print(args.filenam); }",
            &["filenam", "filename"],
        ),
        (
            "tracepoint:syscalls:sys_enter_openat { print(arg0); }",
            &["arg0", "args"],
        ),
        (
            "tracepoint:syscalls:sys_enter_openat { print(retval); }",
            &["retval"],
        ),
        (
            "tracepoint:syscalls:sys_enter_openat, tracepoint:syscalls:sys_enter_opnat { exit(); }",
            &["sys_enter_opnat", "sys_enter_openat"],
        ),
    ] {
        evaluate(script).refuses(parts);
    }
}

#[test]
fn wrong_types() {
    needs!(no_compiler());
    let program = program();
    for (script, part) in [
        ("begin { @x = 1; @x = \"text\"; }", "@x"),
        ("begin { @x[1] = 1; @x[\"a\"] = 2; }", "@x"),
        ("begin { @x = 1; @x[1] = 2; }", "@x"),
        ("begin { @x = count(); @x = 5; }", "@x"),
        ("begin { @x = count(); @x = sum(5); }", "@x"),
        ("begin { $a = 1; $a = \"text\"; }", "$a"),
        ("begin { print(\"a\" + 1); }", "+"),
        ("begin { print(\"a\" < \"b\"); }", "<"),
        ("begin { @ = hist(\"text\"); }", "hist"),
        ("begin { @ = hist(); }", "hist"),
        ("begin { @ = lhist(1, 10, 5, 1); }", "lhist"),
        ("begin { @ = lhist(1, 0, 1000000, 1); }", "lhist"),
        ("begin { @ = hist(1, 6); }", "hist"),
        ("begin { printf(\"%d\\n\"); }", "printf"),
        ("begin { printf(\"%d\\n\", 1, 2); }", "printf"),
        ("begin { printf(\"%d\\n\", \"text\"); }", "%d"),
        ("begin { printf(\"%y\\n\", 1); }", "%y"),
        ("begin { printf(5); }", "printf"),
        ("begin { exit(\"text\"); }", "exit"),
        ("begin { clear(5); }", "clear"),
        ("begin { print(arg0); }", "arg0"),
        ("begin { print(retval); }", "retval"),
        ("uprobe:PROGRAM:value { print(retval); }", "retval"),
        ("uprobe:PROGRAM:value { print(args.n); }", "args"),
        ("uretprobe:PROGRAM:value+1 { }", "uretprobe"),
        ("begin { count(); }", "count"),
    ] {
        Crumbs::script(script).on(&program).run().refuses(&[part]);
    }
}

#[test]
fn a_body_that_was_closed_early() {
    for script in [
        "begin < if pid > 5 { print(1); } >",
        "begin < @x = pid > 5; print(@x) >",
        "begin < if (pid) { @x = 1; } $y = pid > 3; >",
    ] {
        let outcome = evaluate(script);
        outcome.refuses(&["`>`"]);
        assert!(
            outcome.stderr.contains('('),
            "no fix is shown: {}",
            outcome.stderr
        );
    }
}

#[test]
fn several_mistakes_are_reported_at_once() {
    let outcome = evaluate("begin { print(nosuch1); } end { print(nosuch2); @x = 1; @x = \"a\"; }");
    outcome.refuses_each(3, &["nosuch1", "nosuch2", "@x"]);
}

#[test]
fn scripts_without_anything() {
    for script in [
        "",
        " ",
        "\n\n",
        "// only a comment",
        "/* */",
        "\u{1}",
        "}",
        "begin",
        "begin {",
        "/1/ { }",
        "begin { } }",
    ] {
        evaluate(script).refuses(&[]);
    }
    evaluate("{").refuses_each(2, &["attach point", "not closed"]);
}

#[test]
fn files_of_garbage() {
    let directory = crate::support::directory();
    let garbage: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let ascii: Vec<u8> = garbage.iter().map(|byte| byte % 95 + 32).collect();
    let elf = std::fs::read(env!("CARGO_BIN_EXE_crumbs")).unwrap();
    let contents: [(&str, usize, &[u8]); 6] = [
        ("garbage", 1, &garbage),
        ("ascii", 6, &ascii),
        ("elf", 1, &elf),
        ("nul", 1, b"begin { print(1); }\0\0"),
        ("utf16", 1, b"\xff\xfeb\0e\0g\0i\0n\0"),
        ("empty", 1, b""),
    ];
    for (name, mistakes, bytes) in contents {
        let path = directory.join(name);
        std::fs::write(&path, bytes).unwrap();
        Crumbs::new().arg(&path).run().refuses_each(mistakes, &[]);
    }
    Crumbs::new()
        .arg(directory.join("missing"))
        .run()
        .refuses(&["missing", "No such file"]);
    Crumbs::new().arg(&directory).run().refuses(&["directory"]);
}

#[test]
fn scripts_of_a_megabyte() {
    needs!(no_tracing());
    let directory = crate::support::directory();
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    // Comments and white space cost nothing.
    let long = format!(
        "{}\nbegin {{ print(42); }}",
        "// a comment of some length\n".repeat(40_000)
    );
    Crumbs::new()
        .arg(write("comments", long))
        .run()
        .prints("42\n\n\n");
    // Deep nesting and endless expressions are refused or compiled, in time.
    for (name, text) in [
        (
            "parentheses",
            format!(
                "begin {{ print({}1{}); }}",
                "(".repeat(500_000),
                ")".repeat(500_000)
            ),
        ),
        ("open", "(".repeat(1_000_000)),
        ("braces", "begin { if (1) {".repeat(60_000)),
        ("nots", format!("begin {{ print({}1); }}", "!".repeat(1_000_000))),
        (
            "quote",
            format!("begin {{ print(\"{}); }}", "x".repeat(1_000_000)),
        ),
        ("names", format!("begin {{ print({}); }}", "x".repeat(1_000_000))),
        ("mistakes", "begin { print(nosuch); } ".repeat(40_000)),
    ] {
        let outcome = Crumbs::new().arg(write(name, text)).run();
        outcome.refuses(&[]);
        assert!(
            outcome.stderr.len() < 3_000_000,
            "{name}: {} bytes of errors",
            outcome.stderr.len()
        );
    }
}

#[test]
fn large_scripts_that_are_right() {
    needs!(no_tracing());
    let directory = crate::support::directory();
    let statements: String = (0..2000).map(|n| format!("@[{n}] = {n}; ")).collect();
    let path = directory.join("statements");
    std::fs::write(
        &path,
        format!("begin {{ {statements} print(len(@)); clear(@); }}"),
    )
    .unwrap();
    Crumbs::new().arg(&path).run().prints("2000\n\n\n");
    let blocks: String = (0..300)
        .map(|n| format!("begin {{ @b[{n}] = count(); }} "))
        .collect();
    std::fs::write(&path, format!("{blocks} end {{ print(len(@b)); clear(@b); }}")).unwrap();
    Crumbs::new().arg(&path).run().prints("300\n\n\n");
}

/// Runs `crumbs` as a user without any privilege.
fn as_nobody(arguments: &[&str], setpriv: &[&str]) -> Option<std::process::Output> {
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(setpriv)
        .arg(readable_crumbs())
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(output)
}

#[test]
fn missing_privilege_is_named() {
    needs!(no_tracing());
    let program = readable_copy(&program());
    let uprobe = format!("uprobe:{}:value {{ @ = count(); }}", program.display());
    for script in [
        "begin { print(1); }",
        "interval:s:1 { exit(); }",
        "profile:hz:99 { exit(); }",
        &uprobe,
    ] {
        let output = as_nobody(&["-e", script], &[]).unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(1), &b""[..]),
            "{script}: {text}"
        );
        assert!(
            text.contains("root") && text.contains("CAP_BPF"),
            "{script}: {text}"
        );
    }
    let output = as_nobody(
        &["-e", "tracepoint:syscalls:sys_enter_write { @ = count(); }"],
        &[],
    )
    .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("root"), "{text}");
}

#[test]
fn two_capabilities_are_enough_for_user_probes() {
    needs!(no_tracing());
    let program = readable_copy(&program());
    let script = format!("uprobe:{}:value {{ @ = count(); }}", program.display());
    let command = format!("{} 'range 0 6'", program.display());
    let capabilities = ["--inh-caps", "+bpf,+perfmon", "--ambient-caps", "+bpf,+perfmon"];
    let output = as_nobody(&["-e", &script, "-c", &command], &capabilities).unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\n\n@: 6\n", "{text}");
    assert_eq!(text, "Attached 1 probe\n");
}

#[test]
fn what_needs_no_privilege() {
    needs!(not_root());
    let script = "begin { printf(\"%d\\n\", 6 * 7); }";
    for stage in ["tokens", "ast", "hir", "ir", "asm", "elf"] {
        let Some(output) = as_nobody(&["-d", stage, "-e", script], &[]) else {
            println!("skipped: setpriv is not installed");
            return;
        };
        assert_eq!(
            output.status.code(),
            Some(0),
            "{stage}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.stdout.is_empty(), "{stage}");
    }
    let output = as_nobody(&["-l", "uprobe:libc:malloc"], &[]).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What the machine can do is said line by line, with the way out wherever something lacks.
#[test]
fn the_doctor_names_what_is_missing() {
    needs!(no_tracing());
    let outcome = Crumbs::new().arg("doctor").run();
    assert_eq!(outcome.stderr, "", "{outcome:?}");
    for subject in [
        "kernel: ",
        "privilege: ",
        "ring buffer: ",
        "lockdown: ",
        "uprobe: ",
        "fentry and fexit: ",
    ] {
        assert!(outcome.stdout.contains(subject), "{subject}: {outcome:?}");
    }
    assert!(outcome.stdout.contains("ok       privilege: "), "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    for (line, next) in lines.iter().zip(lines.iter().skip(1).chain([&""])) {
        let lacks = line.starts_with("missing") || line.starts_with("limited");
        assert_eq!(lacks, next.starts_with("         → "), "{line}");
    }
    let is_missing = lines.iter().any(|line| line.starts_with("missing"));
    assert_eq!(outcome.status, i32::from(is_missing), "{outcome:?}");
    let output = as_nobody(&["doctor"], &[]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("missing  privilege: ") && text.contains("CAP_BPF"),
        "{text}"
    );
}
