//! Kinds of probe beyond user functions, tracepoints and timers.

use crate::support::{Crumbs, compiled, evaluate, needs, no_tracing};
use std::path::Path;

/// Why functions of the kernel cannot be probed here; `None` where they can.
fn no_kprobes() -> Option<String> {
    let lacks = !Path::new("/sys/bus/event_source/devices/kprobe").exists();
    no_tracing().or_else(|| lacks.then(|| "this kernel has no kprobes".to_owned()))
}

#[test]
fn software_events_by_every_name() {
    needs!(no_tracing());
    let events = [
        "alignment-faults",
        "bpf-output",
        "context-switches",
        "cs",
        "cpu-clock",
        "cpu",
        "cpu-migrations",
        "dummy",
        "emulation-faults",
        "major-faults",
        "minor-faults",
        "page-faults",
        "faults",
        "task-clock",
    ];
    for event in events {
        let outcome = evaluate(&format!(
            "software:{event}:1000 {{ @[probe] = count(); }} interval:ms:1 {{ exit(); }}"
        ));
        outcome.has_no_complaint();
    }
}

#[test]
fn software_events_count_what_a_command_does() {
    needs!(no_tracing());
    let outcome = Crumbs::script("software:page-faults:1 { @faults = count(); }")
        .args(&["-c", "true"])
        .run();
    outcome.has_no_complaint();
    assert!(outcome.number("@faults: ") > 20, "{outcome:?}");
}

#[test]
fn hardware_events_work_or_say_that_there_are_none() {
    needs!(no_tracing());
    let outcome =
        Crumbs::script("hardware:instructions:1000000 { @ = count(); } interval:ms:1 { exit(); }").run();
    if outcome.stderr.contains("Attached") {
        outcome.has_no_complaint();
    } else {
        outcome.refuses(&["this machine has no such counter"]);
    }
}

#[test]
fn watchpoints_see_every_write() {
    needs!(no_tracing());
    let program = compiled("watched.c", &[]);
    let command = program.display().to_string();
    let run = |script: &str| Crumbs::script(script).args(&["-c", &command]).run();
    run("watchpoint:0x10000000:8:w { @ = count(); }").maps("@: 5\n");
    run("w:268435456:8:rw { @[probe, probetype] = count(); }")
        .maps("@[watchpoint:268435456:8:rw, watchpoint]: 10\n");
    run("watchpoint:0x10000008:8:rw { @ = count(); }").maps("");
}

#[test]
fn watchpoints_are_taken_away() {
    needs!(no_tracing());
    let program = compiled("watched.c", &[]);
    let command = format!("{} slowly", program.display());
    let script = "watchpoint:0x10000000:8:w { @ = count(); unwatch(0x10000000); }";
    let outcome = Crumbs::script(script).args(&["-c", &command]).run();
    // User space needs a moment, less than the five writes take.
    assert!(
        ["\n\n@: 1\n", "\n\n@: 2\n", "\n\n@: 3\n"].contains(&outcome.stdout.as_str()),
        "{}",
        outcome.stdout
    );
}

#[test]
fn raw_tracepoints_have_the_arguments_of_the_kernel() {
    needs!(no_tracing());
    // sys_exit(regs, ret): `true` does not exist as a file there.
    let script = "rawtracepoint:sys_exit /comm == \"crumbs-nowhere\"/ { @[arg1 == (uint64)-2] = count(); }";
    let outcome = Crumbs::script(script)
        .args(&[
            "-c",
            "sh -c 'printf crumbs-nowhere > /proc/self/comm; cat < /nowhere'",
        ])
        .run();
    assert!(outcome.number("@[true]: ") >= 1, "{outcome:?}");
}

#[test]
fn raw_tracepoints_by_wildcard_know_their_name() {
    needs!(no_tracing());
    let outcome = evaluate("rt:sys_e* { @[probe] = count(); } interval:ms:50 { exit(); }");
    outcome.has_no_complaint();
    assert!(
        outcome.number("@[rawtracepoint:vmlinux:sys_enter]: ") > 0,
        "{outcome:?}"
    );
    assert!(
        outcome.number("@[rawtracepoint:vmlinux:sys_exit]: ") > 0,
        "{outcome:?}"
    );
}

#[test]
fn the_context_is_a_number_like_any_other() {
    needs!(no_tracing());
    let outcome = evaluate(
        "rt:sys_enter { $c = ctx; @same[$c == ctx, $c != 0, (uint64)ctx.args[1] == (uint64)arg1] = 1; exit(); }",
    );
    outcome.prints("\n\n@same[true, true, true]: 1\n");
    // Timers are given nothing.
    let outcome =
        evaluate("struct given { long word; } interval:ms:1 { print(((struct given *)ctx).word); exit(); }");
    assert!(outcome.stdout.starts_with("0\n"), "{outcome:?}");
}

#[test]
fn what_is_not_there_is_skipped_if_the_script_says_so() {
    needs!(no_tracing());
    let probes = "rawtracepoint:no_such_event { @never = 1; } interval:ms:1 { exit(); }";
    Crumbs::script(probes).run().refuses(&[
        "cannot attach rawtracepoint:vmlinux:no_such_event",
        "no tracepoint `no_such_event`",
    ]);
    let run = |what: &str| Crumbs::script(&format!("config = {{ missing_probes = {what} }} {probes}")).run();
    let outcome = run("warn");
    assert_eq!(outcome.stdout, "\n\n");
    assert!(
        outcome
            .stderr
            .contains("WARNING: cannot attach rawtracepoint:vmlinux:no_such_event"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("Attached 1 probe\n"), "{outcome:?}");
    run("ignore").prints("\n\n");
}

#[test]
fn sigusr1_runs_the_probes_for_it() {
    needs!(no_tracing());
    let script = "self:signal:SIGUSR1 { @n++; printf(\"signal %d\\n\", @n); } self:signal:SIGUSR1 /@n == 2/ { exit(); }";
    let mut run = Crumbs::script(script).start();
    run.attached();
    run.signal("USR1");
    run.until("the first", |run| run.stdout().contains("signal 1\n"));
    run.signal("USR1");
    run.wait().prints("signal 1\nsignal 2\n\n\n@n: 2\n");
}

#[test]
fn sigusr1_ends_no_run_without_probes_for_it() {
    needs!(no_tracing());
    let mut run = Crumbs::script("interval:s:3600 { } end { printf(\"end\\n\"); }").start();
    run.attached();
    run.signal("USR1");
    run.signal("INT");
    run.wait().prints("end\n\n\n");
}

#[test]
fn tests_pass_or_fail() {
    needs!(no_tracing());
    let script =
        "test:good { printf(\"hidden\\n\"); } test:bad { printf(\"shown\\n\"); exit(4); } begin { exit(9); }";
    let outcome = Crumbs::script(script).args(&["--test"]).run();
    assert_eq!(outcome.status, 1, "{outcome:?}");
    let plain = outcome
        .stdout
        .replace("\x1b[32m", "")
        .replace("\x1b[31m", "")
        .replace("\x1b[0m", "");
    for part in [
        "[==========] Running 2 tests.\n",
        "[       OK ] good (",
        "shown\n[  FAILED  ] bad (",
        "[  PASSED  ] 1 test.\n",
    ] {
        assert!(plain.contains(part), "{part} in {plain}");
    }
    assert!(!plain.contains("hidden"), "{plain}");
    let outcome = Crumbs::script("test:good { @x = 1; }").args(&["--test"]).run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    // Without being asked they do nothing.
    evaluate("test:bad { exit(4); } begin { printf(\"run\\n\"); }").prints("run\n\n\n");
}

#[test]
fn benchmarks_are_a_record_in_json() {
    needs!(no_tracing());
    let outcome = Crumbs::script("bench:one { @x = count(); } bench:two { @y++; }")
        .args(&["--bench", "-f", "json"])
        .run();
    let line = outcome.stdout.strip_suffix("}}\n").unwrap_or_default();
    let times = line.strip_prefix("{\"type\": \"benchmark_results\", \"data\": {\"one\": ");
    let times: Vec<&str> = times.unwrap_or_default().split(", \"two\": ").collect();
    assert_eq!(times.len(), 2, "{outcome:?}");
    assert!(
        times.iter().all(|time| time.parse::<u64>().is_ok()),
        "{outcome:?}"
    );
}

#[test]
fn benchmarks_are_timed() {
    needs!(no_tracing());
    let outcome = Crumbs::script("bench:count { @x = count(); }")
        .args(&["--bench"])
        .run();
    let row = outcome.stdout.lines().nth(2).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[0], "count");
    assert!((1..100_000).contains(&words[1].parse::<u64>().unwrap()), "{row}");
    assert!(words[2].parse::<u64>().unwrap() > 100, "{row}");
}

#[test]
fn kernel_functions_load_everywhere() {
    needs!(no_tracing());
    let script = "kprobe:vfs_read { @bytes[comm, func] = sum(arg2); } kretprobe:vfs_read, kretprobe:vfs_write { @[probe] = hist(retval); } k:vfs_open+4 { @plain = count(); }";
    let outcome = Crumbs::script(script).args(&["--dry-run"]).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
}

#[test]
fn what_the_machine_refuses_is_said_at_the_attach_point() {
    needs!(no_tracing());
    let script = "begin { @a = 1; }\ntracepoint:sched:sched_switch,\nrawtracepoint:no_such_event { @b = 1; }";
    Crumbs::script(script).run().refuses(&[
        "error[E0180]: cannot attach rawtracepoint:vmlinux:no_such_event",
        "┌─ -e:3:1",
        "= help: ",
    ]);
}

#[test]
fn kernel_functions_say_where_they_cannot_be_probed() {
    needs!(no_tracing());
    if no_kprobes().is_none() {
        return Crumbs::script("kprobe:vfs_raed { @ = count(); }")
            .run()
            .refuses(&["cannot attach kprobe:vfs_raed", "no function `vfs_raed`"]);
    }
    Crumbs::script("kprobe:vfs_read { @ = count(); }")
        .run()
        .refuses(&[
            "cannot attach kprobe:vfs_read",
            "this kernel has no kernel probes",
        ]);
}

#[test]
fn kernel_functions_and_their_results() {
    needs!(no_kprobes());
    let script = "kprobe:vfs_write /comm == \"dd\"/ { @calls[func] = count(); @n = arg2; } kretprobe:vfs_write /comm == \"dd\" && retval == 100/ { @written = count(); }";
    let outcome = Crumbs::script(script)
        .args(&["-c", "dd if=/dev/zero of=/dev/null bs=100 count=7 status=none"])
        .run();
    assert!(outcome.number("@calls[vfs_write]: ") >= 7, "{outcome:?}");
    assert_eq!(outcome.number("@written: "), 7, "{outcome:?}");
}

#[test]
fn kernel_functions_by_wildcard_offset_and_in_order() {
    needs!(no_kprobes());
    let command = "dd if=/dev/zero of=/dev/null bs=100 count=7 status=none";
    let outcome = Crumbs::script("kprobe:vfs_w* /comm == \"dd\"/ { @[func] = count(); }")
        .args(&["-c", command])
        .run();
    outcome.has_no_complaint();
    assert!(outcome.number("@[vfs_write]: ") >= 7, "{outcome:?}");
    let script = "kprobe:vfs_write /comm == \"dd\"/ { @first = @n; } k:vfs_write /comm == \"dd\"/ { @n++; @last = @n; }";
    let outcome = Crumbs::script(script).args(&["-c", command]).run();
    assert_eq!(
        outcome.number("@first: ") + 1,
        outcome.number("@last: "),
        "{outcome:?}"
    );
    let outcome = Crumbs::script("kprobe:vfs_write+0 /comm == \"dd\"/ { @ = count(); }")
        .args(&["-c", command])
        .run();
    assert!(outcome.number("@: ") >= 7, "{outcome:?}");
}

/// The program with static probes, and its path as text.
pub(crate) fn static_probes() -> (std::path::PathBuf, String) {
    let program = compiled("static_probes.c", &[]);
    let path = program.display().to_string();
    (program, path)
}

/// Why the static probes of the test program cannot be used; they are written in x86-64 assembler.
pub(crate) fn no_static_probes() -> Option<String> {
    let other = !cfg!(target_arch = "x86_64");
    no_tracing().or_else(|| other.then(|| "the static probes are those of x86-64".to_owned()))
}

#[test]
fn static_probes_have_their_arguments() {
    needs!(no_static_probes());
    let (_, path) = static_probes();
    let script = format!(
        "usdt:{path}:registers {{ printf(\"%d %ld %d %d %d %d\\n\", arg0, arg1, arg2, arg3, arg4, arg5); }}
         usdt:{path}:live:memory {{ printf(\"%d %ld %d\\n\", arg0, arg1, arg2); print(probe); }}
         U:{path}:text {{ printf(\"%s\\n\", str(arg0)); }}"
    );
    Crumbs::script(&script)
        .args(&["-c", &path])
        .run()
        .prints(&format!(
            "-3 8589934592 -2 9029 42 -5\n-7 1099511627776 -4\nusdt:{path}:live:memory\nstatic text\n\n\n"
        ));
}

#[test]
fn static_probes_at_several_places_and_behind_semaphores() {
    needs!(no_static_probes());
    let (_, path) = static_probes();
    let command = format!("{path} 3");
    let run = |script: &str| {
        Crumbs::script(&script.replace("PROGRAM", &path))
            .args(&["-c", &command])
            .run()
    };
    run("usdt:PROGRAM:twice { @[arg0] = count(); }")
        .maps("@[100]: 1\n@[101]: 1\n@[102]: 1\n@[200]: 1\n@[201]: 1\n@[202]: 1\n");
    run("usdt:PROGRAM:guarded { @ = sum(arg0); }").maps("@: 3\n");
    run("usdt:PROGRAM:live:t* { @[probe] = count(); }").maps(&format!(
        "@[usdt:{path}:live:text]: 3\n@[usdt:{path}:live:twice]: 6\n"
    ));
    run("usdt:*:text { @ = count(); }").maps("@: 3\n");
    run("usdt:PROGRAM:guarded { @ = count(); } usdt:PROGRAM:live:guarded { @b = count(); }")
        .maps("@: 3\n@b: 3\n");
}

#[test]
fn static_probes_of_a_running_process() {
    needs!(no_static_probes());
    let (program, _) = static_probes();
    let mut child = std::process::Command::new(&program)
        .args(["2", "wait"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let mut run = Crumbs::script(
        "usdt:guarded { @ = count(); } usdt:*:text { @t = count(); } uprobe:main { } uprobe:*:getenv { }",
    )
    .args(&["-p", &pid])
    .start();
    run.attached();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
    child.wait().unwrap();
    run.wait().maps("@: 2\n@t: 2\n");
}

#[test]
fn offsets_within_an_instruction_are_refused() {
    needs!(no_static_probes());
    let (_, path) = static_probes();
    // `main` begins with a push of one byte or with endbr64 of four; three bytes behind either is inside of something.
    let refused = (1..8).filter(|offset| {
        let script = format!("uprobe:{path}:main+{offset} {{ }}");
        let outcome = Crumbs::script(&script).args(&["--dry-run"]).run();
        outcome.status == 1
            && outcome
                .stderr
                .contains("no instruction of `main` begins at offset")
    });
    assert!(refused.count() > 0);
}
