//! What cannot be delivered or read is counted and said; what was delivered is right.

use crate::support::{Outcome, needs, no_tracing, trace};

/// The first number of the warning that has `words` in it.
fn lost(outcome: &Outcome, words: &str) -> u64 {
    let line = outcome.stderr.lines().rfind(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no warning with `{words}`: {}", outcome.stderr));
    let digits = line
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty());
    digits.unwrap().parse().unwrap()
}

/// The sum of a printed map's values.
fn total(outcome: &Outcome, map: &str) -> u64 {
    let lines = outcome
        .stdout
        .lines()
        .filter(|line| line.starts_with(&format!("{map}[")));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[test]
fn a_full_map_of_counts() {
    needs!(no_tracing());
    let outcome = trace(
        "config = { max_map_keys = 100 } uprobe:PROGRAM:value { @[arg0] = count(); }",
        "range 0 20000; range 0 20000",
    );
    assert_eq!(outcome.status, 0);
    let (delivered, refused) = (total(&outcome, "@"), lost(&outcome, "of @ were lost"));
    assert_eq!(delivered + refused, 40000, "{}", outcome.stderr);
    assert_eq!(delivered, 200, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("max_map_keys"), "{}", outcome.stderr);
}

#[test]
fn a_full_map_of_values() {
    needs!(no_tracing());
    let outcome = trace(
        "config = { max_map_keys = 100 } uprobe:PROGRAM:value { @v[arg0] = 1; } uretprobe:PROGRAM:value { @i[retval]++; }",
        "range 0 300",
    );
    assert_eq!(
        total(&outcome, "@v") + lost(&outcome, "of @v were lost"),
        300,
        "{}",
        outcome.stderr
    );
    assert_eq!(
        total(&outcome, "@i") + lost(&outcome, "of @i were lost"),
        300,
        "{}",
        outcome.stderr
    );
    assert_eq!(total(&outcome, "@v"), 100);
}

#[test]
fn a_full_map_of_histograms() {
    needs!(no_tracing());
    let outcome = trace(
        "config = { max_map_keys = 50 } uprobe:PROGRAM:value { @h[arg0] = hist(arg0); }",
        "range 0 40000",
    );
    let rows = outcome
        .stdout
        .lines()
        .filter(|line| line.ends_with('|') && line.starts_with('['));
    let delivered: u64 = rows
        .map(|row| {
            row[..row.find('|').unwrap()]
                .split_whitespace()
                .next_back()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
        .sum();
    assert_eq!(
        delivered + lost(&outcome, "of @h were lost"),
        40000,
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_full_ring_buffer() {
    needs!(no_tracing());
    let outcome = trace(
        "config = { perf_rb_pages = 1 } uprobe:PROGRAM:value { @fired = count(); printf(\"%d %d %d %d %d %d %d %d\\n\", arg0, 2, 3, 4, 5, 6, 7, 8); }",
        "range 0 20000",
    );
    assert_eq!(outcome.status, 0);
    let numbers: Vec<u64> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.strip_suffix(" 2 3 4 5 6 7 8")?.parse().ok())
        .collect();
    assert!(numbers.is_sorted(), "the order is lost");
    assert!(
        numbers.len() < 20000,
        "the ring buffer never was full: this test shows nothing"
    );
    assert_eq!(
        numbers.len() as u64 + lost(&outcome, "Total lost event count"),
        20000
    );
    assert_eq!(outcome.number("@fired: "), 20000);
}

#[test]
fn control_events_survive_a_full_ring_buffer() {
    needs!(no_tracing());
    let outcome = trace(
        "config = { perf_rb_pages = 1 } uprobe:PROGRAM:value { printf(\"%d %d %d %d\\n\", arg0, 2, 3, 4); @k[arg0 % 4] = count();
            if (arg0 == 19999) { print(@k); clear(@k); exit(5); } }",
        "range 0 20000; sleep 60000",
    );
    assert_eq!(outcome.status, 5, "{}", outcome.stderr);
    assert_eq!(total(&outcome, "@k"), 20000);
}

#[test]
fn null_is_an_empty_string_without_loss() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:text { printf(\"[%s]\\n\", str(arg0)); @[str(arg0)] = count(); }",
        "null; text a",
    );
    assert_eq!(outcome.status, 0);
    assert!(outcome.stdout.starts_with("[]\n[a]\n"), "{outcome:?}");
}

#[test]
fn an_unreadable_string_is_counted_and_no_empty_key() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:address { @[str(arg0)] = count(); }",
        "forbidden; forbidden; edge fine",
    );
    assert_eq!(outcome.status, 0);
    assert!(!outcome.stdout.contains("@[]:"), "{outcome:?}");
    assert!(outcome.stdout.contains("@[fine]: 1\n"), "{outcome:?}");
    assert!(outcome.stdout.contains("]: 2\n"), "{outcome:?}");
    assert_eq!(lost(&outcome, "could not be read"), 2, "{outcome:?}");
}

#[test]
fn a_string_that_is_not_in_memory_is_read_all_the_same() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:address { @[str(arg0)] = count(); }",
        "absent text of a file",
    )
    .maps("@[text of a file]: 1\n");
}

#[test]
fn a_string_right_before_a_forbidden_page() {
    needs!(no_tracing());
    let text = "0123456789".repeat(7);
    trace(
        "uprobe:PROGRAM:address { printf(\"%s\\n\", str(arg0)); }",
        &format!("edge {text}; edge x"),
    )
    .prints(&format!("{text}\nx\n\n\n"));
}
