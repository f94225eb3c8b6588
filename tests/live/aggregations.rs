//! Every aggregation, without key and with keys of every type, and what is printed of it.

use crate::support::{Crumbs, needs, no_tracing, program, trace};

const NUMBERS: &str = "value 3; value -5; value 10; value 3; value 0";

#[test]
fn without_a_key() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { $n = (int64)arg0; @count = count(); @sum = sum($n); @min = min($n); @max = max($n);
            @avg = avg($n); @stats = stats($n); }",
        NUMBERS,
    )
    .maps(
        "@avg: 2\n@count: 5\n@max: 10\n@min: -5\n@stats: { .count = 5, .average = 2, .total = 11 }\n@sum: 11\n",
    );
}

#[test]
fn of_one_negative_number() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { $n = (int64)arg0; @sum = sum($n); @min = min($n); @max = max($n); @avg = avg($n);
            @stats = stats($n); @k[1] = min($n); @l[1] = max($n); }",
        "value -7",
    )
    .maps("@avg: -7\n@k[1]: -7\n@l[1]: -7\n@max: -7\n@min: -7\n@stats: { .count = 1, .average = -7, .total = -7 }\n@sum: -7\n");
}

#[test]
fn with_an_integer_key() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair { $n = (int64)arg1; @count[arg0] = count(); @sum[arg0] = sum($n); @min[arg0] = min($n);
            @max[arg0] = max($n); @avg[arg0] = avg($n); @stats[arg0] = stats($n); }",
        "pair 1 10; pair 2 -20; pair 1 31; pair 1 -8",
    )
    .maps(
        "@avg[2]: -20\n@avg[1]: 11\n@count[2]: 1\n@count[1]: 3\n@max[2]: -20\n@max[1]: 31\n@min[2]: -20\n@min[1]: -8\n\
         @stats[2]: { .count = 1, .average = -20, .total = -20 }\n@stats[1]: { .count = 3, .average = 11, .total = 33 }\n\
         @sum[2]: -20\n@sum[1]: 33\n",
    );
}

#[test]
fn with_a_string_key() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:text { @count[str(arg0)] = count(); @sum[str(arg0)] = sum(2); @max[str(arg0)] = max(arg0 > 0);
            @avg[str(arg0), comm] = avg(4); }",
        "text b; text a; text b; text; text a longer text with spaces",
    )
    .maps(
        "@avg[, calls]: 4\n@avg[a, calls]: 4\n@avg[a longer text with spaces, calls]: 4\n@avg[b, calls]: 4\n\
         @count[]: 1\n@count[a]: 1\n@count[a longer text with spaces]: 1\n@count[b]: 2\n\
         @max[]: 1\n@max[a]: 1\n@max[a longer text with spaces]: 1\n@max[b]: 1\n\
         @sum[]: 2\n@sum[a]: 2\n@sum[a longer text with spaces]: 2\n@sum[b]: 4\n",
    );
}

#[test]
fn with_a_tuple_key() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair { @count[arg0, (arg1, \"t\")] = count(); @hist[(arg0, arg1)] = hist(arg1); }",
        "pair 1 2; pair 1 2; pair 2 1",
    )
    .maps(
        "@count[2, (1, t)]: 1\n@count[1, (2, t)]: 2\n\
         @hist[2, 1]:\n[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n\
         @hist[1, 2]:\n[2, 4)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n",
    );
}

#[test]
fn hist_has_a_bucket_per_power_of_two() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @h = hist((int64)arg0); }",
        "value -5; value 0; value 1; value 2; value 3; value 7; value 8; value 15; value 15",
    )
    .maps(
        "@h:\n\
         (..., 0)               1 |@@@@@@@@@@@@@@@@@                                   |\n\
         [0]                    1 |@@@@@@@@@@@@@@@@@                                   |\n\
         [1]                    1 |@@@@@@@@@@@@@@@@@                                   |\n\
         [2, 4)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@                  |\n\
         [4, 8)                 1 |@@@@@@@@@@@@@@@@@                                   |\n\
         [8, 16)                3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n",
    );
}

#[test]
fn hist_of_the_largest_numbers() {
    needs!(no_tracing());
    let bar = "@".repeat(52);
    trace(
        "uprobe:PROGRAM:value { @h = hist(arg0); }",
        "value 0x7fffffffffffffff",
    )
    .maps(&format!("@h:\n[4E, 8E)               1 |{bar}|\n\n"));
}

#[test]
fn hist_with_finer_buckets() {
    needs!(no_tracing());
    let (whole, half) = ("@".repeat(52), format!("{}{}", "@".repeat(26), " ".repeat(26)));
    let none = " ".repeat(52);
    let rows = [
        ("[10, 12)", 2, &whole),
        ("[12, 14)", 0, &none),
        ("[14, 16)", 0, &none),
        ("[16, 20)", 0, &none),
        ("[20, 24)", 1, &half),
    ];
    let rows: String = rows
        .iter()
        .map(|(label, n, bar)| format!("{label:<16}{n:>8} |{bar}|\n"))
        .collect();
    trace(
        "uprobe:PROGRAM:value { @h = hist(arg0, 2); }",
        "value 10; value 11; value 23",
    )
    .maps(&format!("@h:\n{rows}\n"));
}

#[test]
fn lhist_has_buckets_of_one_width() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @h = lhist((int64)arg0, 0, 30, 10); @k[arg0 > 100] = lhist((int64)arg0, 0, 30, 10); }",
        "value -1; value 0; value 9; value 10; value 29; value 30; value 1000",
    )
    .maps(
        "@h:\n\
         (..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\
         [0, 10)                2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\
         [10, 20)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\
         [20, 30)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\
         [30, ...)              2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n\
         @k[true]:\n\
         [30, ...)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n\
         @k[false]:\n\
         (..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\
         [0, 10)                2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\
         [10, 20)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\
         [20, 30)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\
         [30, ...)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\n",
    );
}

#[test]
fn darshan_bins_by_calls_and_bytes() {
    needs!(no_tracing());
    let full = "@".repeat(52);
    trace(
        "uprobe:PROGRAM:value { @h = hist_darshan((int64)arg0); @k[\"all\"] = hist_darshan((int64)arg0, (int64)arg0); }",
        "value 100; value 101; value 1024; value 4194305",
    )
    .maps(&format!(
        "@h:\n\
         [0, 100]               1 |{half}|\n\
         (100, 1K]              2 |{full}|\n\
         (1K, 10K]              0 |{none}|\n\
         (10K, 100K]            0 |{none}|\n\
         (100K, 1M]             0 |{none}|\n\
         (1M, 4M]               0 |{none}|\n\
         (4M, 10M]              1 |{half}|\n\n\
         @k[all]:\n\
         [0, 100]             100 |{none}|\n\
         (100, 1K]           1125 |{none}|\n\
         (1K, 10K]              0 |{none}|\n\
         (10K, 100K]            0 |{none}|\n\
         (100K, 1M]             0 |{none}|\n\
         (1M, 4M]               0 |{none}|\n\
         (4M, 10M]        4194305 |{full}|\n\n",
        half = format!("{}{}", "@".repeat(26), " ".repeat(26)),
        none = " ".repeat(52),
    ));
}

#[test]
fn threads_add_up() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @n = count(); @plus++; @sum = sum(arg0); @by[comm] = count(); @stats[arg0] = stats(arg0);
            @hist = hist(arg0); }",
        "threads 4 2500",
    )
    .maps(&format!(
        "@by[worker-0]: 2500\n@by[worker-1]: 2500\n@by[worker-2]: 2500\n@by[worker-3]: 2500\n@hist:\n\
         [0]                 2500 |{half}|\n[1]                 2500 |{half}|\n[2, 4)              5000 |{whole}|\n\n\
         @n: 10000\n@plus: 10000\n\
         @stats[0]: {{ .count = 2500, .average = 0, .total = 0 }}\n@stats[1]: {{ .count = 2500, .average = 1, .total = 2500 }}\n\
         @stats[2]: {{ .count = 2500, .average = 2, .total = 5000 }}\n@stats[3]: {{ .count = 2500, .average = 3, .total = 7500 }}\n\
         @sum: 15000\n",
        half = format_args!("{}{}", "@".repeat(26), " ".repeat(26)),
        whole = "@".repeat(52),
    ));
}

#[test]
fn many_keys_are_all_kept() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value { @n[arg0] = count(); @h[arg0] = hist(arg0); @v[arg0] = arg0; }
         end { printf(\"keys %d\\n\", len(@v)); clear(@h); clear(@v); }",
        "range 0 10000; range 0 10000",
    );
    outcome.has_no_complaint();
    let mut keys: Vec<u32> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("@n[")?.strip_suffix("]: 2")?.parse().ok())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..10000).collect::<Vec<_>>());
    assert!(
        outcome.stdout.starts_with("keys 10000\n"),
        "{}",
        &outcome.stdout[..200]
    );
}

#[test]
fn print_and_clear_in_an_interval_lose_nothing() {
    needs!(no_tracing());
    let program = program();
    let outcome = Crumbs::script(
        "uprobe:PROGRAM:value { @n = count(); @k[arg0] = count(); }
         interval:ms:20 { print(@n); clear(@n); print(@k); clear(@k); }",
    )
    .over(&program, "threads 4 20000")
    .run();
    outcome.has_no_complaint();
    let total = |prefix: &str| -> u64 {
        let lines = outcome.stdout.lines().filter(|line| line.starts_with(prefix));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    };
    assert_eq!((total("@n:"), total("@k[")), (80000, 80000));
    let prints = outcome
        .stdout
        .lines()
        .filter(|line| line.starts_with("@n:"))
        .count();
    assert!(prints > 2, "nothing was printed while it ran: {}", outcome.stdout);
}

#[test]
fn read_inside_of_the_script() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { $n = (int64)arg0; @count = count(); @sum = sum($n); @min = min($n); @max = max($n);
            @avg = avg($n); @k[$n] = count(); @a[1] = avg($n); @m[1] = min($n);
            if (@count == 5) { printf(\"%d %d %d %d %d\\n\", @count, @sum, @min, @max, @avg);
                printf(\"%d %d %d %d\\n\", @k[3], @a[1], @m[1], @k[99]);
                clear(@count); clear(@sum); clear(@min); clear(@max); clear(@avg); clear(@k); clear(@a); clear(@m); } }",
        NUMBERS,
    )
    .prints("5 11 -5 10 2\n2 2 -5 0\n\n\n");
}
