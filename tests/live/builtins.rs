//! Every builtin value.

use crate::support::{Crumbs, evaluate, needs, no_tracing, program, trace};
use std::time::{SystemTime, UNIX_EPOCH};

#[test]
fn arguments_are_those_of_the_call() {
    needs!(no_tracing());
    trace(
        r#"uprobe:PROGRAM:six { printf("%ld %ld %ld %ld %ld %ld\n", arg0, arg1, arg2, arg3, arg4, arg5); }"#,
        "six 1 2 3 4 5 6; six -1 0x7fffffffffffffff -2147483649 4294967296 0 -6",
    )
    .prints("1 2 3 4 5 6\n-1 9223372036854775807 -2147483649 4294967296 0 -6\n\n\n");
}

#[test]
fn retval_is_what_the_function_returns() {
    needs!(no_tracing());
    trace(
        r#"uretprobe:PROGRAM:six { printf("%ld\n", retval); } uretprobe:PROGRAM:pair { printf("%ld\n", (int64)retval); }"#,
        "six 1 2 3 4 5 6; pair 3 10",
    )
    .prints("654321\n-7\n\n\n");
}

#[test]
fn pid_and_tid_are_those_of_the_process() {
    needs!(no_tracing());
    let outcome = trace(
        r#"uprobe:PROGRAM:value { printf("traced %d %d\n", pid, tid); }"#,
        "ids; value 1",
    );
    outcome.has_no_complaint();
    let ids = outcome.stdout.lines().next().unwrap();
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    assert!(lines.contains(&format!("traced {ids}").as_str()), "{outcome:?}");
}

#[test]
fn every_thread_has_its_tid_and_all_share_a_pid() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @tids[tid] = count(); @pids[pid] = count(); @own[pid == tid] = count(); }
         end { printf(\"%d %d\\n\", len(@tids), len(@pids)); clear(@tids); clear(@pids); }",
        "threads 5 7; value 1",
    )
    .prints(
        "5 1\n\n\n@own[true]: 1\n@own[false]: 35\n"
            .replace("5 1", "6 1")
            .as_str(),
    );
}

#[test]
fn uid_and_gid_are_those_of_the_traced_process() {
    needs!(no_tracing());
    let program = program();
    if !std::path::Path::new("/usr/bin/setpriv").exists() {
        println!("skipped: setpriv is not installed");
        return;
    }
    let command = format!(
        "setpriv --reuid 1234 --regid 5678 --clear-groups {} 'value 1'",
        program.display()
    );
    let outcome = Crumbs::script("uprobe:PROGRAM:value { @[uid, gid] = count(); }")
        .on(&program)
        .args(&["-c", &command])
        .run();
    if outcome.stderr.contains("Permission denied") {
        println!("skipped: other users cannot enter the build directory");
        return;
    }
    outcome.maps("@[1234, 5678]: 1\n");
}

#[test]
fn comm_is_the_name_of_the_thread() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @[comm] = count(); @same[comm == \"calls\"] = count(); }",
        "value 1; threads 2 3; name fifteen-letters; value 1",
    )
    .maps("@[calls]: 1\n@[fifteen-letters]: 1\n@[worker-0]: 3\n@[worker-1]: 3\n@same[true]: 1\n@same[false]: 7\n");
}

#[test]
fn nsecs_is_the_boot_clock() {
    needs!(no_tracing());
    let uptime = || -> f64 {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    let before = uptime();
    let outcome = evaluate("begin { printf(\"at %llu\\n\", nsecs); }");
    let after = uptime();
    let at = outcome.number("at ") as f64 / 1e9;
    assert!(before - 0.02 <= at && at <= after + 0.02, "{before} {at} {after}");
}

#[test]
fn nsecs_measures_a_sleep() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value /arg0 == 1/ { @start = nsecs; }
         uprobe:PROGRAM:value /arg0 == 2/ { printf(\"slept %d\\n\", (nsecs - @start) / 1000); clear(@start); }",
        "value 1; sleep 50; value 2",
    );
    let slept = outcome.number("slept ");
    assert!((50_000..5_000_000).contains(&slept), "{slept} us");
}

#[test]
fn elapsed_counts_from_the_start_of_the_run() {
    needs!(no_tracing());
    let outcome = evaluate(
        "begin { printf(\"first %llu\\n\", elapsed); } interval:ms:100 { printf(\"then %llu\\n\", elapsed); exit(); }",
    );
    let (first, then) = (outcome.number("first "), outcome.number("then "));
    assert!((0..5_000_000_000).contains(&first), "{first}");
    assert!(then >= 100_000_000 && then > first, "{first} {then}");
}

#[test]
fn cpu_is_the_one_that_the_thread_is_bound_to() {
    needs!(no_tracing());
    let program = program();
    let cpus = std::thread::available_parallelism().unwrap().get();
    for cpu in 0..cpus.min(4) {
        let command = format!("taskset -c {cpu} {} 'range 0 5'", program.display());
        Crumbs::script("uprobe:PROGRAM:value { @[cpu] = count(); }")
            .on(&program)
            .args(&["-c", &command])
            .run()
            .maps(&format!("@[{cpu}]: 5\n"));
    }
}

#[test]
fn ncpus_is_the_number_of_possible_cpus() {
    needs!(no_tracing());
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    let last: u32 = possible
        .trim()
        .rsplit(['-', ','])
        .next()
        .unwrap()
        .parse()
        .unwrap();
    evaluate("begin { print(ncpus); }").prints(&format!("{}\n\n\n", last + 1));
}

#[test]
fn rand_differs_from_call_to_call() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value { @[rand] = count(); } end { printf(\"different %d\\n\", len(@)); clear(@); }",
        "range 0 200",
    );
    // 200 draws of 32 bits repeat one in 200,000 runs.
    assert!(outcome.number("different ") >= 199, "{outcome:?}");
}

#[test]
fn func_and_probe_name_the_place() {
    needs!(no_tracing());
    let program = program();
    let path = program.display();
    Crumbs::script("uprobe:PROGRAM:value { print(func); print(probe); @[func, probe] = count(); }")
        .over(&program, "value 1")
        .run()
        .prints(&format!(
            "value\nuprobe:{path}:value\n\n\n@[value, uprobe:{path}:value]: 1\n"
        ));
}

#[test]
fn probe_names_every_kind() {
    needs!(no_tracing());
    Crumbs::script("BEGIN { print(probe); } END { print(probe); } i:ms:10 { print(probe); exit(); }")
        .run()
        .prints("begin\ninterval:ms:10\nend\n\n\n");
    Crumbs::script("profile:hz:500 /comm == \"profile-name\"/ { if (!@done++) { print(probe); } exit(); } end { clear(@done); }")
        .over(&program(), "name profile-name; spin 1000")
        .run()
        .prints("profile:hz:500\n\n\n");
    Crumbs::script("t:syscalls:sys_enter_write /comm == \"probe-name\"/ { print(probe); exit(); }")
        .over(&program(), "name probe-name; write 1 1")
        .run()
        .prints("tracepoint:syscalls:sys_enter_write\n\n\n");
}

#[test]
fn args_have_the_fields_of_the_tracepoint() {
    needs!(no_tracing());
    trace(
        "tracepoint:syscalls:sys_enter_write /comm == \"typed-args\" && args.count == 13/ { @bytes = sum(args.count); @n = count(); }",
        "name typed-args; write 3 13; write 2 5",
    )
    .maps("@bytes: 39\n@n: 3\n");
}

#[test]
fn wall_clock_is_printed_by_format() {
    needs!(no_tracing());
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let outcome = evaluate("begin { time(\"%s\\n\"); time(\"%%-\\n\"); }");
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut lines = outcome.stdout.lines();
    let at: u64 = lines.next().unwrap().parse().unwrap();
    assert!((before..=after).contains(&at), "{outcome:?}");
    assert_eq!(lines.next(), Some("%-"));
}

#[test]
fn comm_of_another_process() {
    needs!(no_tracing());
    let name = std::fs::read_to_string("/proc/1/comm").unwrap();
    let outcome = Crumbs::script("begin { print(comm(1)); }").run();
    outcome.prints_lines(&[name.trim_end(), "", ""]);
}
