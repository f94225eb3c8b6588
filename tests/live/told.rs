//! What crumbs tells without tracing: lists, documentation, stages of the compiler, help.

use crate::support::{Crumbs, needs, no_compiler, no_tracing, program};

#[test]
fn every_stage_can_be_shown() {
    needs!(no_tracing());
    let script = "uprobe:PROGRAM:value { @ = hist(arg0); }";
    let program = program();
    for (stage, part) in [
        ("tokens", "uprobe"),
        ("ast", "probe"),
        ("hir", "hist"),
        ("ir", "b0:"),
        ("asm", "exit"),
        ("elf", "\u{7f}ELF"),
        ("verifier", "processed"),
    ] {
        let outcome = Crumbs::script(script)
            .over(&program, "exit 1")
            .args(&["-d", stage])
            .run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{stage}");
        assert!(outcome.stdout.contains(part), "{stage}: {}", outcome.stdout);
    }
    let object = program.with_file_name("object");
    let outcome = Crumbs::script(script)
        .on(&program)
        .args(&["-d", "elf", "-o"])
        .arg(&object)
        .run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, ""));
    assert!(std::fs::read(&object).unwrap().starts_with(b"\x7fELF"));
    Crumbs::script(script)
        .on(&program)
        .args(&["-d", "nosuch"])
        .run()
        .is_wrong_usage("nosuch");
}

#[test]
fn info_lists_what_the_kernel_takes() {
    needs!(no_tracing());
    let text = Crumbs::new().arg("--info").run().stdout;
    for wanted in [
        "  perf_event_array: yes",
        "  percpu hash: yes",
        "  tracepoint: yes",
    ] {
        assert!(text.lines().any(|line| line == wanted), "{wanted}: {text}");
    }
    for kind in ["kprobe", "kprobe_multi", "kprobe_session", "fentry", "iter"] {
        let said = |answer: &str| text.lines().any(|line| line == format!("  {kind}: {answer}"));
        assert!(said("yes") != said("no"), "{kind}: {text}");
    }
}

#[test]
fn lists_what_can_be_traced() {
    needs!(no_compiler());
    let program = program();
    let path = program.display();
    let list = |pattern: &str| Crumbs::new().args(&["-l", pattern]).run();
    let outcome = list(&format!("uprobe:{path}:alpha_*"));
    assert_eq!(
        outcome.stdout,
        format!("uprobe:{path}:alpha_one\nuprobe:{path}:alpha_two\n"),
        "{outcome:?}"
    );
    let outcome = list("uprobe:libc:mallo*");
    assert!(
        outcome
            .stdout
            .lines()
            .any(|line| line.ends_with("libc.so.6:malloc")),
        "{outcome:?}"
    );
    list("uprobe:libc:nosuchfunction*").refuses(&["nosuchfunction"]);
    list(&format!("uprobe:{path}:nosuch*")).refuses(&["nosuch"]);
}

#[test]
fn lists_tracepoints_with_their_fields() {
    needs!(no_tracing());
    let outcome = Crumbs::new()
        .args(&["-l", "tracepoint:syscalls:sys_enter_open*"])
        .run();
    assert_eq!(outcome.status, 0);
    assert!(
        outcome.stdout.contains("tracepoint:syscalls:sys_enter_openat\n"),
        "{outcome:?}"
    );
    let outcome = Crumbs::new()
        .args(&["-l", "tracepoint:syscalls:sys_enter_openat", "-v"])
        .run();
    assert!(outcome.stdout.contains("filename"), "{outcome:?}");
    Crumbs::new()
        .args(&["-l", "nosuchkind:*"])
        .run()
        .refuses(&["nosuchkind"]);
}

#[test]
fn lists_by_kind_script_and_type() {
    needs!(no_tracing());
    let list = |arguments: &[&str]| Crumbs::new().arg("-l").args(arguments).run();
    let has = |arguments: &[&str], lines: &[&str]| {
        let outcome = list(arguments);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        for wanted in lines {
            let found = outcome.stdout.lines().any(|line| line == *wanted);
            assert!(found, "{arguments:?}: no `{wanted}` in {}", outcome.stdout);
        }
    };
    has(
        &["*ware:*"],
        &["software:cpu:", "software:page-faults:", "hardware:cpu-cycles:"],
    );
    has(
        &["interval:*,profile:h*"],
        &["interval:ms:", "interval:hz:", "profile:hz:"],
    );
    has(&["*vfs_read"], &["kprobe:vfs_read", "kretprobe:vfs_read"]);
    has(&["*sched_switch"], &["tracepoint:sched:sched_switch"]);
    has(
        &["-e", "interval:s:7 { } kprobe:vfs_rea* { }"],
        &["interval:s:7", "kprobe:vfs_read", "kprobe:vfs_readv"],
    );
    assert!(!list(&["-e", "interval:s:7 { }"]).stdout.contains("vfs"));
    has(
        &["-v", "struct task_struct"],
        &["struct task_struct {", "\tint exit_code;", "};"],
    );
    assert_eq!(list(&["struct task_struct"]).stdout, "struct task_struct\n");
    list(&["struct no_such_struct"]).refuses(&["no_such_struct"]);
    list(&["-e", "interval:s:0 { }"]).refuses(&["E0110"]);
}

#[test]
fn words_of_the_language_are_explained() {
    let run = |arguments: &[&str]| Crumbs::new().args(arguments).run();
    let says = |arguments: &[&str], parts: &[&str]| {
        let outcome = run(arguments);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        for part in parts {
            assert!(
                outcome.stdout.contains(part),
                "{arguments:?}: no `{part}` in {}",
                outcome.stdout
            );
        }
    };
    says(&["doc", "hist"], &["hist: aggregation", "hist(value", "Example:"]);
    says(&["doc", "i"], &["interval: kind of probe (also i)"]);
    says(&["doc", "max_strlen"], &["config variable, 1024 unless set"]);
    says(&["explain", "E0111"], &["E0111: a name is not known"]);
    says(&["doc"], &["aggregations: count sum", "probes: begin end"]);
    run(&["doc", "histt"]).refuses(&["histt", "hist"]);
    // A script may have a parameter of that name.
    Crumbs::script("begin { print($1); }")
        .arg("doc")
        .run()
        .prints("doc\n\n\n");
}

#[test]
fn what_a_script_became_is_explained() {
    needs!(no_tracing());
    let script =
        "tracepoint:sched:sched_switch { $next = args.next_pid; @n[comm] = count(); printf(\"%d\", $next); }";
    let outcome = Crumbs::new().args(&["explain", "-e", script]).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    for part in [
        "PROBE 1 of 1: ",
        "  at tracepoint:sched:sched_switch\n",
        "  $next: int32\n",
        "  -e:1 | tracepoint:sched:sched_switch { $next",
        "; copies the thread's name\n",
        "  @n[string[16]]: count_t\n",
        "m0_n: BPF_MAP_TYPE_PERCPU_HASH, 16 bytes of key, 8 bytes of value for each CPU, at most 65536 elements\n",
        "  printf(\"%d\", $next)\n    a record of 16 bytes at most: int32 at byte 8\n",
        "  bpf_ringbuf_reserve (from 5.8, called in ",
        "  p0_tracepoint: processed ",
    ] {
        assert!(outcome.stdout.contains(part), "no `{part}` in {}", outcome.stdout);
    }
    // Each place of several is named, up to five.
    let wide = Crumbs::new()
        .args(&["explain", "-e", "tracepoint:sched:sched_* { @ = count(); }"])
        .run();
    assert!(wide.stdout.contains(" more places\n"), "{}", wide.stdout);
    // Mistakes are told as ever; behind a script the word is a parameter.
    Crumbs::new()
        .args(&["explain", "-e", "begin { print(pidd); }"])
        .run()
        .refuses(&["E0111"]);
    Crumbs::script("begin { print(str($1)); }")
        .arg("explain")
        .run()
        .prints("explain\n\n\n");
}

#[test]
fn several_stages_are_shown_one_behind_the_other() {
    let run = |stages: &str| Crumbs::script("begin { @x = 1; }").args(&["-d", stages]).run();
    let both = run("ast,codegen").stdout;
    assert_eq!(both, run("ast").stdout + &run("ir").stdout);
    let all = run("all").stdout;
    assert!(
        all.starts_with(&run("parse").stdout) && all.ends_with(&run("dis").stdout),
        "{all}"
    );
}

#[test]
fn scripts_are_formatted() {
    let path = std::env::temp_dir().join(format!("crumbs-format-{}.bt", std::process::id()));
    let name = path.to_str().unwrap();
    std::fs::write(&path, "begin{print(1);// one\n}").unwrap();
    let expected = "begin {\n    print(1); // one\n}\n";
    let outcome = Crumbs::new().args(&["fmt", name]).run();
    assert_eq!((outcome.stdout.as_str(), outcome.status), (expected, 0));
    let outcome = Crumbs::new().args(&["--fmt", name, "-o", name]).run();
    assert_eq!((outcome.stdout.as_str(), outcome.status), ("", 0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    std::fs::write(&path, "begin { print(1 }").unwrap();
    Crumbs::new()
        .args(&["fmt", name, "-o", name])
        .run()
        .refuses(&["E00"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "begin { print(1 }");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn help_teaches_by_example() {
    for option in ["--help", "-h"] {
        let outcome = Crumbs::new().arg(option).run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
        for part in [
            "Usage: crumbs",
            "-e",
            "-c",
            "-p",
            "--ready-fd",
            "hist(arg2)",
            "Exit status",
        ] {
            assert!(
                outcome.stdout.contains(part),
                "{option}: `{part}` is not in {}",
                outcome.stdout
            );
        }
    }
}

#[test]
fn version_is_that_of_the_package() {
    for option in ["--version", "-V"] {
        let outcome = Crumbs::new().arg(option).run();
        assert_eq!(outcome.stdout, format!("crumbs {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn every_example_of_the_help_compiles() {
    needs!(no_tracing());
    let help = Crumbs::new().arg("--help").run().stdout.replace("\n    ", " ");
    let mut scripts = 0;
    for part in help.split("-e '").skip(1) {
        let script = part.split('\'').next().unwrap();
        if script.contains('{') || script.contains('<') {
            let outcome = Crumbs::script(script).arg("--dry-run").run();
            assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{script}");
            scripts += 1;
        }
    }
    assert!(scripts >= 4, "{scripts} examples");
}
