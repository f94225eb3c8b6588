//! Files and programs that somebody made to mislead their tracer: containers with links out of them, pipes in the place of
//! programs, names that write to the terminal.

use crate::support::{Crumbs, compiled_as, directory, needs, no_compiler, no_tracing, not_root, program};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Opening it would wait for somebody who writes, reading it would never end.
#[test]
fn targets_that_are_no_files() {
    let directory = directory();
    let pipe = directory.join("pipe");
    mkfifo(&pipe);
    for (path, reason) in [
        (pipe.as_path(), "no regular file"),
        (Path::new("/dev/zero"), "no regular file"),
        (&directory, "directory"),
    ] {
        for kind in [
            "uprobe:PROGRAM:f",
            "uretprobe:PROGRAM:f",
            "uprobe:PROGRAM:*",
            "usdt:PROGRAM:a:b",
            "uprobe:PROGRAM:0x10",
        ] {
            let script = format!("{kind} {{ }}");
            Crumbs::script(&script)
                .on(path)
                .run()
                .refuses(&[reason, "help: "]);
        }
    }
    Crumbs::new().arg("/dev/zero").run().refuses(&["64 MiB"]);
    Crumbs::script("import \"/dev/zero\"; begin { }")
        .run()
        .refuses(&["64 MiB", "help: "]);
    Crumbs::script("#include \"/dev/zero\"\nbegin { }")
        .run()
        .refuses(&["/dev/zero"]);
}

/// A process in a root directory and mount namespace of its own.
fn jailed(jail: &Path, program: &Path) -> Option<Child> {
    let mut child = Command::new(program)
        .arg(jail)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut ready)
        .unwrap();
    (ready == "ready\n").then_some(child)
}

/// What a container calls `/lib/victim.so` is a link to an absolute path, which means another file outside.
#[test]
fn links_in_containers_stay_in_them() {
    needs!(no_tracing());
    let directory = directory();
    let jail = directory.join("jail");
    fs::create_dir_all(jail.join("lib")).unwrap();
    let program = compiled_as("jailed.c", &directory.join("jailed"), &["-ldl"]);
    // The same path is something else outside; there it has no such function.
    let inside = jail.join(directory.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    compiled_as("victim.c", &inside.join("real.so"), &["-shared", "-fPIC"]);
    compiled_as("calls.c", &directory.join("real.so"), &["-pthread"]);
    symlink(directory.join("real.so"), jail.join("lib/victim.so")).unwrap();
    symlink("/proc/self/exe", jail.join("lib/magic.so")).unwrap();
    symlink("/bin/true", jail.join("lib/true")).unwrap();
    let mut child = jailed(&jail, &program).expect("root may have another root");
    let pid = child.id().to_string();
    let by_root = format!("/proc/{pid}/root/lib/victim.so");
    let mut runs = Vec::new();
    for (target, arguments) in [
        ("/lib/victim.so", &["-p", pid.as_str()][..]),
        (by_root.as_str(), &[]),
        ("real", &["-p", pid.as_str()]),
    ] {
        let script = format!(
            "uprobe:{target}:poked {{ @[arg0] = count(); }} uretprobe:{target}:poked {{ @r = sum(retval); }}"
        );
        let mut run = Crumbs::script(&script).args(arguments).start();
        run.attached();
        runs.push(run);
    }
    for absent in ["magic.so", "true"] {
        let script = format!("uprobe:/lib/{absent}:main {{ }}");
        Crumbs::script(&script)
            .args(&["-p", &pid])
            .run()
            .refuses(&[absent, "help: "]);
    }
    child.stdin.as_mut().unwrap().write_all(b"1\n2\n").unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    for run in runs {
        run.signal("INT");
        run.wait().maps("@[40]: 1\n@[41]: 1\n@r: 83\n");
    }
}

/// What a script prints of others goes to a pipe as it is; a terminal shows it and does not obey it. A script's own formats are
/// obeyed.
#[test]
fn text_of_others_on_a_terminal() {
    needs!(no_tracing());
    let script = r#"begin { printf("\x1b[1m%s\n", "a\x1b[2Jb\x07"); print("c\x1bd"); @["e\x9b"] = 1; print(@); clear(@); exit(); }"#;
    let bytes = Command::new(env!("CARGO_BIN_EXE_crumbs"))
        .args(["-q", "-e", script])
        .output()
        .unwrap();
    assert_eq!(
        bytes.stdout, b"\x1b[1ma\x1b[2Jb\x07\nc\x1bd\n@[e\x9b]: 1\n\n\n",
        "{bytes:?}"
    );
    let command = format!("{} -q -e '{script}'", env!("CARGO_BIN_EXE_crumbs"));
    let terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::null())
        .output();
    needs!(terminal.as_ref().err().map(|_| "script(1) is not installed"));
    let text = terminal.unwrap().stdout;
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    let wanted = "\x1b[1ma\\x1b[2Jb\\x07\nc\\x1bd\n@[e\\x9b]: 1\n";
    assert!(text.starts_with(wanted), "{text:?}");
}

/// Names in a program's symbol table are in messages and lists.
#[test]
fn names_that_write_to_the_terminal() {
    needs!(no_compiler().or_else(not_root));
    let program = program();
    let mut bytes = fs::read(&program).unwrap();
    let name = b"\0value\0";
    let at = bytes
        .windows(name.len())
        .rposition(|window| window == name)
        .unwrap();
    bytes[at + 1..at + 6].copy_from_slice(b"v\x1b[Hl");
    let odd = directory().join("odd");
    fs::write(&odd, bytes).unwrap();
    let outcome = Crumbs::script("uprobe:PROGRAM:valu { }").on(&odd).run();
    outcome.refuses(&["valu"]);
    assert!(!outcome.stderr.contains('\x1b'), "{outcome:?}");
    let listed = Crumbs::new()
        .args(&["-l", &format!("uprobe:{}:*", odd.display())])
        .run();
    assert!(listed.stdout.contains(":v\x1b[Hl\n"), "{listed:?}");
}

/// Each case of a place that is not there says so once, and what to do instead; `missing_probes` lets the rest run.
#[test]
fn places_that_are_not_there() {
    needs!(no_tracing());
    let program = program();
    let stripped = directory().join("stripped");
    let status = Command::new("strip")
        .arg("-o")
        .args([&stripped, &program])
        .status();
    needs!(status.err().map(|_| "strip is not installed"));
    for (point, parts) in [
        (
            format!("uprobe:{}:zq_nowhere", program.display()),
            &["has no function `zq_nowhere`", "crumbs -l"][..],
        ),
        (
            format!("uprobe:{}:zq_*", program.display()),
            &["matches `zq_*`", "crumbs -l"],
        ),
        (
            format!("uprobe:{}:zq_*", stripped.display()),
            &["matches `zq_*`", "it is stripped", "debug information", "0x1234"],
        ),
        (
            format!("uprobe:{}:value", stripped.display()),
            &["has no function `value`", "it is stripped", "debug information"],
        ),
        (
            format!("usdt:{}:none:none", program.display()),
            &["no static probe", "crumbs -l"],
        ),
        (
            "uprobe:libabsentlibrary:f".to_owned(),
            &["cannot find", "-p or -c"],
        ),
        (
            "tracepoint:sched:absent_event".to_owned(),
            &["absent_event", "help: "],
        ),
        (
            "tracepoint:absent_category:*".to_owned(),
            &["absent_category:*", "help: "],
        ),
    ] {
        let block = format!("{point} {{ @ = count(); }}");
        let refused = Crumbs::script(&block).run();
        refused.refuses(parts);
        assert_eq!(refused.stderr.matches("error[").count(), 1, "{refused:?}");
        for (setting, warnings) in [("warn", 1), ("ignore", 0)] {
            let script = format!(
                "config = {{ missing_probes = \"{setting}\" }} {block} begin {{ print(7); exit(); }}"
            );
            let ran = Crumbs::script(&script).run();
            assert_eq!(
                (ran.status, ran.stdout.as_str()),
                (0, "7\n\n\n"),
                "{point}: {ran:?}"
            );
            assert_eq!(
                ran.stderr.matches("warning[").count(),
                warnings,
                "{point}: {ran:?}"
            );
        }
    }
}

/// Four are in the processor; whose fifth is asked for is told, and `missing_probes` does without it.
#[test]
fn more_watchpoints_than_the_processor_has() {
    needs!(no_tracing());
    let block = |number: u64| {
        format!(
            "watchpoint:{:#x}:8:w {{ @ = count(); }} ",
            0x1000_0000 + 8 * number
        )
    };
    let blocks: String = (0..40).map(block).collect();
    let run =
        |settings: &str| Crumbs::script(&format!("{settings} {blocks} interval:ms:1 {{ exit(); }}")).run();
    let refused = run("");
    // Some virtual machines have none at all.
    if refused.stderr.contains("debug registers are in use") {
        refused.refuses(&["use fewer watchpoints"]);
        let ran = run("config = { missing_probes = \"warn\" }");
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stderr.contains("debug registers"), "{ran:?}");
    } else {
        refused.refuses(&["watchpoint", "help: "]);
    }
}

/// A machine whose kernel was built without BTF, as far as crumbs can see.
#[test]
fn kernels_without_types() {
    needs!(no_tracing());
    let crumbs = env!("CARGO_BIN_EXE_crumbs");
    let hidden = |script: &str| {
        let command = format!("mount -t tmpfs none /sys/kernel/btf || exit 77; exec {crumbs} -e '{script}'");
        Command::new("unshare")
            .args(["-m", "sh", "-c", &command])
            .stdin(Stdio::null())
            .output()
    };
    for script in [
        "fentry:vfs_read { }",
        "fexit:vfs_* { }",
        "rawtracepoint:sched_switch { print(args.prev); }",
        "iter:task { }",
        "begin { print(((struct task_struct *)curtask)->pid); }",
    ] {
        let output = hidden(script);
        needs!(output.as_ref().err().map(|_| "unshare(1) is not installed"));
        let output = output.unwrap();
        needs!((output.status.code() == Some(77)).then_some("nothing can be mounted here"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{script}: {text}");
        for part in ["CONFIG_DEBUG_INFO_BTF", "kprobe and tracepoint"] {
            assert!(text.contains(part), "{script}: {text}");
        }
        assert_eq!(text.matches("error[").count(), 1, "{script}: {text}");
    }
    let output = hidden("begin { printf(\"%d\\n\", 6 * 7); exit(); }").unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n\n\n", "{output:?}");
}

/// A wildcard that means 50,000 functions attaches to them all, or names the setting that limits it.
#[test]
fn wildcards_with_fifty_thousand_matches() {
    needs!(no_tracing());
    let directory = directory();
    let source = directory.join("many.s");
    let mut text = String::from(".text\n");
    for number in 0..50_000 {
        text += &format!(
            ".globl many_{number}\n.type many_{number},@function\nmany_{number}: ret\n.size many_{number},.-many_{number}\n"
        );
    }
    fs::write(&source, text).unwrap();
    let library = directory.join("libmany.so");
    let built = Command::new("gcc")
        .args(["-shared", "-nostdlib", "-o"])
        .args([&library, &source])
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let script = "uprobe:PROGRAM:many_* { @ = count(); } interval:ms:1 { exit(); }";
    let limited = format!("config = {{ max_probes = 1000 }} {script}");
    Crumbs::script(&limited)
        .on(&library)
        .run()
        .refuses(&["50001", "max_probes"]);
    let ran = Crumbs::script(script).on(&library).run();
    if ran.status == 0 {
        assert!(ran.stderr.starts_with("Attached 50001 probes"), "{ran:?}");
    } else {
        ran.refuses(&["50001", "max_probes"]);
    }
}
