//! Loops and functions of the script, run by the kernel, on values that no compiler can know.

use crate::support::{needs, no_tracing, trace};

#[test]
fn a_large_range_is_counted_through() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair { $sum = 0; for ($i : arg0..arg1) { $sum += $i; } printf(\"%lld\\n\", $sum); }",
        "pair -3 3; pair 5 5; pair 9 1; pair 0 1000000",
    )
    .prints("-3\n0\n0\n499999500000\n\n\n");
}

#[test]
fn loops_that_meet_the_limit_are_told() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:pair { $n = 0; while (1) { $n++; } $k = 0; for ($i : arg0..arg1) { $k++; } print(($n, $k)); }",
        "pair 0 100000000",
    );
    assert!(
        outcome.stdout.starts_with("(8388608, 8388608)\n"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome.stderr.contains("2 loops were ended early"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_a_callback_changes_is_seen_behind_the_loop() {
    needs!(no_tracing());
    // Kernels before 6.7 verify a callback as if it ran once: none of these branches may be taken for dead.
    trace(
        "uprobe:PROGRAM:pair {
           $n = 0; for ($i : 0..arg1) { $n = $n + 1; if ($n > 3) { @late++; } }
           if ($n == arg1) { printf(\"as often\\n\"); }
           $found = 0; for ($i : 0..arg0) { $found = 1; }
           if ($found) { printf(\"found\\n\"); } else { printf(\"not found\\n\"); }
           $s = \"\"; for ($i : 0..arg1) { if ($s == \"a\") { @again++; } $s = \"a\"; }
           printf(\"%s\\n\", $s);
         }",
        "pair 0 200; pair 1 200",
    )
    .prints("as often\nnot found\na\nas often\nfound\na\n\n\n@again: 398\n@late: 394\n");
}

#[test]
fn leaving_nested_loops() {
    needs!(no_tracing());
    trace(
        "fn first($a : int64, $b : int64) : int64 {
           for ($i : 0..$a) { for ($j : 0..$b) { if ($i * $j == 42) { return $i; } if ($j > $i + 20) { break; } } }
           return -1;
         }
         uprobe:PROGRAM:pair {
           printf(\"%d\\n\", first(arg0, arg1));
           for ($i : 0..arg0) { if ($i == 1) { continue; } while (1) { @turns++; if (@turns % 10 == 0) { break; } } if ($i == 2) { return; } }
           printf(\"all\\n\");
         }",
        "pair 100 100; pair 2 2",
    )
    .prints("2\n-1\nall\n\n\n@turns: 30\n");
}

#[test]
fn exit_ends_a_program_from_within_its_loops() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:pair { for ($i : 0..arg1) { for ($j : 0..arg1) { if ($i == 7) { exit(3); } @n++; } } printf(\"never\\n\"); }",
        "pair 0 100",
    );
    assert_eq!((outcome.status, outcome.stdout.trim()), (3, "@n: 700"));
}

#[test]
fn arguments_and_text_within_loops() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair { $k = arg1; for ($i : 0..$k) { if ($i == $k - 1) { @[arg0, func, comm != \"\"] = count(); } } }
         tracepoint:syscalls:sys_enter_write /comm == \"live-program\"/ { $k = 0; for ($i : 0..$k) { @t[args.count] = count(); } }",
        "pair 5 300; pair 5 300; pair 6 1000",
    )
    .prints("\n\n@[6, pair, true]: 1\n@[5, pair, true]: 2\n");
}

#[test]
fn maps_are_gone_over() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @m[arg0] = arg0 * 2; @c[arg0 % 10] = count(); @s[(arg0 % 3, \"x\")] = sum(arg0); }
         uprobe:PROGRAM:pair {
           $keys = 0; $values = 0;
           for ($kv : @m) { $keys += $kv.0; $values += $kv.1; if ($kv.0 % 2 == 0) { delete(@m, $kv.0); } }
           print(($keys, $values)); print(len(@m));
           $n = 0; for ($kv : @c) { if ($kv.1 == 100) { $n++; } } print($n);
           $total = 0; for ($kv : @s) { $total += $kv.1; } print($total);
           clear(@m); clear(@c); clear(@s);
         }",
        "range 0 1000; pair 0 0",
    )
    .prints("(499500, 999000)\n500\n10\n499500\n\n\n");
}
