//! Every function.

use crate::support::{Crumbs, directory, evaluate, needs, no_tracing, program, trace};

#[test]
fn printf_formats_integers() {
    needs!(no_tracing());
    evaluate(
        r#"begin { printf("[%d] [%5d] [%-5d] [%05d] [%x] [%#x] [%X] [%o] [%u] [%lu] [%llx] [%c] [%p] [%i]\n", -3, 42, 42, 42, 255, 255, 255, 8, -1, -1, -1, 65, 4096, 7); exit(); }"#,
    )
    .prints("[-3] [   42] [42   ] [00042] [ff] [0xff] [FF] [10] [4294967295] [18446744073709551615] [ffffffffffffffff] [A] [0x1000] [7]\n\n\n");
    evaluate(
        r#"begin { $x = 0x1234567890; printf("%d %ld %u %x %lx %hhx %hx\n", $x, $x, $x, $x, $x, $x, $x); }"#,
    )
    .prints("878082192 78187493520 878082192 34567890 1234567890 90 7890\n\n\n");
}

#[test]
fn printf_formats_everything_else() {
    needs!(no_tracing());
    evaluate(
        r#"begin { printf("[%s] [%10s] [%-10s] [%.2s] [%s] [%s] [%s] [%%]\n", "abc", "abc", "abc", "abc", 5, (1,"t"), true); }"#,
    )
    .prints("[abc] [       abc] [abc       ] [ab] [5] [(1, t)] [true] [%]\n\n\n");
    evaluate(r#"begin { printf("no newline"); printf(" here\n"); printf("\t\\ \x41\n"); }"#)
        .prints("no newline here\n\t\\ A\n\n\n");
}

#[test]
fn printf_takes_many_arguments() {
    needs!(no_tracing());
    let numbers: Vec<String> = (0..64).map(|n| format!("arg0 + {n}")).collect();
    let script = format!(
        "uprobe:PROGRAM:value {{ printf(\"{}\\n\", {}); }}",
        vec!["%d"; 64].join(","),
        numbers.join(", ")
    );
    let expected: Vec<String> = (1000..1064).map(|n| n.to_string()).collect();
    trace(&script, "value 1000").prints(&format!("{}\n\n\n", expected.join(",")));
}

#[test]
fn printf_keeps_the_order_of_events() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value { printf(\"%d\\n\", arg0); }",
        "range 0 2000",
    );
    let expected: String = (0..2000).map(|n| format!("{n}\n")).collect();
    outcome.prints(&format!("{expected}\n\n"));
}

#[test]
fn print_shows_values_as_they_are() {
    needs!(no_tracing());
    evaluate(r#"begin { print(1); print(-1); print("str"); print((1,"a",(2,3))); print(true); print(pid > 0); exit(); }"#)
        .prints("1\n-1\nstr\n(1, a, (2, 3))\ntrue\ntrue\n\n\n");
}

#[test]
fn print_shows_maps_and_the_top_of_them() {
    needs!(no_tracing());
    evaluate("begin { @x[1] = 10; @x[2] = 30; @x[3] = 20; print(@x); print(@x, 2); print(@x, 2, 10); print(@x[2]); clear(@x); exit(); }")
        .prints("@x[1]: 10\n@x[3]: 20\n@x[2]: 30\n@x[3]: 20\n@x[2]: 30\n@x[3]: 2\n@x[2]: 3\n30\n\n\n");
}

#[test]
fn tables_have_a_row_for_each_key() {
    needs!(no_tracing());
    evaluate(
        "begin { @x[1] = 10; @x[2] = 30; @x[3] = 20; @n[3] = count(); @n[4] = count(); \
         table(\"key\", @x, \"bytes\", @n); table(@x, 2); clear(@x); clear(@n); exit(); }",
    )
    .prints("  @x  @n  key\n30 B   0  2\n20 B   1  3\n10 B   0  1\n 0 B   1  4\n@x\n30  2\n20  3\n\n\n");
}

#[test]
fn pointers_that_functions_take_stay_where_they_point() {
    needs!(no_tracing());
    trace(
        "fn inode($file: struct file *): uint64 { return $file.f_inode.i_ino; } \
         fn letter($text: int8 *): int64 { return (int64)*$text; } \
         uprobe:PROGRAM:value { @kernel = inode(fd_file(1)) == fd_file(1).f_inode.i_ino && inode(fd_file(1)) != 0; \
         @user = letter((int8 *)uptr(reg(\"ip\"))) == (int64)*(int8 *)uptr(reg(\"ip\")); }",
        "value 1",
    )
    .maps("@kernel: true\n@user: true\n");
}

#[test]
fn clear_zero_and_delete() {
    needs!(no_tracing());
    evaluate(
        "begin { @x[1] = count(); @x[2] = count(); @y = count(); zero(@x); zero(@y); print(@x); print(@y); clear(@x);
            clear(@y); print(@x); print(@y); exit(); }",
    )
    .prints("@x[1]: 0\n@x[2]: 0\n@y: 0\n@y: 0\n\n\n");
    trace(
        "uprobe:PROGRAM:value { @m[arg0] = arg0; if (arg0 == 3) { delete(@m, 1); delete(@m, 77); } if (arg0 == 4) { delete(@m[2]); } }
         end { printf(\"%d %d\\n\", has_key(@m, 1), has_key(@m, 3)); }",
        "range 0 6",
    )
    .prints("0 1\n\n\n@m[0]: 0\n@m[3]: 3\n@m[4]: 4\n@m[5]: 5\n");
}

#[test]
fn delete_says_whether_there_was_a_key() {
    needs!(no_tracing());
    evaluate(
        "begin { @m[1] = 1; @s = 5; $a = delete(@m, 1); $b = delete(@m, 1); delete(@s); print(($a, $b)); print(@s); clear(@s); }",
    )
    .prints("(true, false)\n@s: 0\n\n\n");
}

#[test]
fn has_key_and_len() {
    needs!(no_tracing());
    evaluate(
        r#"begin { @m[1] = 1; print(@m[2]); @s["a"]="b"; print(@s["zz"]); print(has_key(@m, 1)); print(has_key(@m, 2)); print(len(@m)); delete(@m, 1); print(len(@m)); print(has_key(@s, "a")); exit(); }"#,
    )
    .prints("0\n\ntrue\nfalse\n1\n0\ntrue\n\n\n@s[a]: b\n");
}

#[test]
fn exit_ends_the_run_with_a_code() {
    needs!(no_tracing());
    for (script, status) in [
        ("begin { exit(); }", 0),
        ("begin { exit(3); printf(\"never\\n\"); }", 3),
        ("begin { exit(255); }", 255),
        ("interval:ms:1 { exit(4); }", 4),
        ("begin { exit(5); } end { exit(6); }", 6),
        ("interval:ms:1 { exit(5); } end { }", 5),
    ] {
        let outcome = evaluate(script);
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (status, "\n\n"),
            "{script}: {outcome:?}"
        );
    }
}

#[test]
fn exit_stops_at_that_call() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value { printf(\"%d\\n\", arg0); if (arg0 == 3) { exit(9); } @after = arg0; }",
        "range 0 4; sleep 10000",
    );
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (9, "0\n1\n2\n3\n\n\n@after: 2\n"),
        "{outcome:?}"
    );
}

#[test]
fn time_prints_the_wall_clock() {
    needs!(no_tracing());
    let outcome = evaluate("begin { time(); time(\"year %Y\\n\"); }");
    let mut lines = outcome.stdout.lines();
    let clock = lines.next().unwrap();
    assert!(clock.len() == 8 && clock.split(':').count() == 3, "{outcome:?}");
    assert!(outcome.number("year ") >= 2024);
}

#[test]
fn str_reads_text_of_the_traced_process() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:text { printf(\"[%s] [%s] [%s]\\n\", str(arg0), str(arg0, 4), str(arg0, arg0 > 0 ? 3 : 9)); @[str(arg0)] = count(); }",
        "text hello world; text; text ab",
    )
    .prints("[hello world] [hel] [he]\n[] [] []\n[ab] [ab] [ab]\n\n\n@[]: 1\n@[ab]: 1\n@[hello world]: 1\n");
}

#[test]
fn str_cuts_at_max_strlen_and_says_so() {
    needs!(no_tracing());
    let script = |length| {
        format!(
            "config = {{ max_strlen = {length} }} uprobe:PROGRAM:text {{ printf(\"[%s]\\n\", str(arg0)); @[str(arg0)] = 1; }}"
        )
    };
    let text = "abcdefghijklmnopqrstuvwxyz";
    trace(&script(16), &format!("text {text}"))
        .prints("[abcdefghijklmnop..]\n\n\n@[abcdefghijklmnop..]: 1\n");
    trace(&script(64), &format!("text {text}")).prints(&format!("[{text}]\n\n\n@[{text}]: 1\n"));
}

#[test]
fn long_strings_are_whole() {
    needs!(no_tracing());
    let text = "0123456789".repeat(20);
    trace(
        "uprobe:PROGRAM:text { $s = str(arg0); printf(\"%s %s %s\\n\", $s, $s, $s); @v = $s; @k[$s] = count(); }",
        &format!("text {text}"),
    )
    .prints(&format!("{text} {text} {text}\n\n\n@k[{text}]: 1\n@v: {text}\n"));
}

#[test]
fn string_variables_keep_their_value() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:text { $old = @last; @last = str(arg0); printf(\"%s>%s\\n\", $old, @last); }",
        "text one; text second; text 3",
    )
    .prints(">one\none>second\nsecond>3\n\n\n@last: 3\n");
}

#[test]
fn maps_keep_values_from_probe_to_probe() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:fibonacci { @depth[tid]++; @deepest = max(@depth[tid]); @calls = count(); }
         uretprobe:PROGRAM:fibonacci { @depth[tid]--; if (@depth[tid] == 0) { @result = retval; delete(@depth, tid); } }",
        "fibonacci 10",
    )
    .maps("@calls: 177\n@deepest: 10\n@result: 55\n");
}

#[test]
fn print_of_every_aggregation_while_running() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @c = count(); @a = avg(arg0); @h = hist(arg0); @s[1] = stats(arg0);
            if (arg0 == 4) { print(@c); print(@a); print(@h); print(@s); clear(@c); clear(@a); clear(@h); clear(@s); } }",
        "value 4",
    )
    .prints(&format!(
        "@c: 1\n@a: 4\n@h:\n[4, 8)                 1 |{}|\n\n@s[1]: {{ .count = 1, .average = 4, .total = 4 }}\n\n\n",
        "@".repeat(52)
    ));
}

#[test]
fn files_are_printed_up_to_a_limit() {
    needs!(no_tracing());
    let file = directory().join("file");
    std::fs::write(&file, "0123456789\n").unwrap();
    let path = file.to_str().unwrap();
    evaluate(&format!(
        "begin {{ cat(\"{path}\"); cat(\"%s/file\", \"{}\"); }}",
        file.parent().unwrap().display()
    ))
    .prints("0123456789\n0123456789\n\n\n");
    evaluate(&format!(
        "config = {{ max_cat_bytes = 4 }} begin {{ cat(\"{path}\"); }}"
    ))
    .prints("0123\n\n");
    let outcome = evaluate("begin { cat(\"/nonexistent/%d\", 5); }");
    assert_eq!(outcome.stdout, "\n\n");
    assert!(outcome.stderr.contains("/nonexistent/5"), "{outcome:?}");
}

#[test]
fn join_prints_the_arguments_of_a_command() {
    needs!(no_tracing());
    let outcome = Crumbs::new()
        .args(&[
            "-e",
            "tracepoint:syscalls:sys_enter_execve /pid == cpid/ { join(args.argv); join(args.argv, \",\"); }",
            "-c",
            "/bin/true one two",
        ])
        .run();
    outcome.prints("/bin/true one two\n/bin/true,one,two\n\n\n");
}

#[test]
fn commands_and_signals_need_leave() {
    needs!(no_tracing());
    evaluate("begin { system(\"echo hi\"); }").refuses(&["E0172", "--unsafe"]);
    evaluate("interval:s:1 { signal(9); }").refuses(&["E0172", "--unsafe"]);
    Crumbs::script("uprobe:libc:write { signal(str($1)); }")
        .args(&["--unsafe", "NOSUCH"])
        .run()
        .refuses(&["E0114", "`NOSUCH` is no signal"]);
    Crumbs::new()
        .args(&[
            "--unsafe",
            "-e",
            "begin { printf(\"before\\n\"); system(\"echo %d\", 5); printf(\"after\\n\"); }",
        ])
        .run()
        .prints("before\n5\nafter\n\n\n");
    let script = "tracepoint:syscalls:sys_enter_clock_nanosleep /pid == cpid/ { signal(\"KILL\"); printf(\"killed\\n\"); }";
    Crumbs::new()
        .args(&["--unsafe", "-e", script, "-c", "/bin/sleep 50"])
        .run()
        .prints("killed\n\n\n");
    let script = "tracepoint:syscalls:sys_enter_clock_nanosleep /pid == cpid/ { signal_thread(15); exit(); }";
    Crumbs::new()
        .args(&["--unsafe", "-e", script, "-c", "/bin/sleep 50"])
        .run()
        .prints("\n\n");
}

#[test]
fn functions_of_text() {
    needs!(no_tracing());
    evaluate(
        r#"begin { $a = "ababac"; $b = "abac"; print((strlen($a), strstr($a, $b), strstr($b, $a), strcontains($a, "")));
            $p = str_concat("/", $a); $p = str_concat($p, comm); print($p); print((strncmp($a, $b, 3), strncmp($a, $b, 4)));
            print((memcmp($a, $b, 3), memcmp($a, $b, 5), memcmp($b, $a, 5))); }"#,
    )
    .prints("(6, 2, -1, true)\n/ababaccrumbs\n(0, 1)\n(0, -1, 1)\n\n\n");
}

#[test]
fn exit_is_the_end_of_attached_probes() {
    needs!(no_tracing());
    // A thousand firings a second, and detaching takes longer than one.
    evaluate("interval:us:100 { @ = count(); printf(\"once\\n\"); exit(); }").prints("once\n\n\n@: 1\n");
}

#[test]
fn functions_that_programs_may_call() {
    needs!(no_tracing());
    // Nobody may call vfs_read; every kind of program may begin a critical section of RCU where the kernel has that function.
    evaluate(
        r#"begin { $rcu = kfunc_allowed("bpf_rcu_read_lock"); print((kfunc_allowed("vfs_read"), $rcu == kfunc_exist("bpf_rcu_read_lock"))); }"#,
    )
    .prints("(false, true)\n\n\n");
}

#[test]
fn numbers_with_a_fraction_are_computed_when_they_are_printed() {
    needs!(no_tracing());
    trace(
        r#"uprobe:PROGRAM:value { printf("%.3f %8.1e %g|%5.1f\n", arg0 / 1.0e3, arg0 * 2.0, -arg0 / 4.0, arg0); }"#,
        "value 1250",
    )
    .prints("1.250  2.5e+03 -312.5|1250.0\n\n\n");
}

#[test]
fn the_trace_of_the_kernel_is_written_to() {
    needs!(no_tracing());
    let trace = "/sys/kernel/tracing/trace";
    needs!((!std::path::Path::new(trace).exists()).then_some("tracefs is not mounted"));
    let mark = format!("crumbs {} of", std::process::id());
    let outcome = Crumbs::script(&format!("begin {{ debugf(\"{mark} %d %s\\n\", 42, comm); }}")).run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let text = std::fs::read_to_string(trace).unwrap();
    assert!(text.contains(&format!("{mark} 42 crumbs")), "{outcome:?}");
}

/// Kernels are built without these helpers, or locked down.
#[test]
fn what_changes_the_traced_system_loads_or_says_what_the_kernel_lacks() {
    needs!(no_tracing());
    for script in [
        "uprobe:PROGRAM:value { write_user(arg0, \"hi\", 2); }",
        "kprobe:vfs_read /comm == \"nobody\"/ { override(-5); }",
    ] {
        let outcome = Crumbs::script(script)
            .on(&program())
            .args(&["--unsafe", "--dry-run"])
            .run();
        if outcome.status != 0 {
            assert!(outcome.stderr.contains("without bpf_"), "{outcome:?}");
            println!("not loaded: {script}");
        }
    }
}

#[test]
fn text_is_found_for_numbers_in_words() {
    needs!(no_tracing());
    trace(
        r#"uprobe:PROGRAM:value { $e = strerror(arg0); print((strlen($e), strcontains($e, "file"), strcontains(syscall_name(arg0), "en"))); }"#,
        "value 2",
    )
    .prints("(25, true, true)\n\n\n");
}

#[test]
fn the_context_exists_everywhere() {
    needs!(no_tracing());
    evaluate("interval:ms:1 { print(ctx != (void *)1); exit(); }").prints("true\n\n\n");
    trace(
        "uprobe:PROGRAM:value { print((ctx != 0, ctx == ctx)); }",
        "value 1",
    )
    .prints("(true, true)\n\n\n");
}

#[test]
fn the_left_one_of_two_times_is_the_earlier() {
    needs!(no_tracing());
    evaluate(
        "begin { print((nsecs - nsecs <= 0, nsecs <= nsecs, elapsed - elapsed <= 0, nsecs(monotonic) - nsecs(monotonic) <= 0)); }",
    )
    .prints("(true, true, true, true)\n\n\n");
}
