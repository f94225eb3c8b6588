//! Stacks and names of addresses, also of processes that have ended when they are shown.

use crate::support::{needs, no_tracing, trace};

#[test]
fn names_of_a_process_that_has_ended() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value { @[usym(reg(\"ip\")), usym(arg0)] = count(); @s[ustack(1)] = count(); @p[ustack(perf, 1)] = count(); }",
        "value 3; value 3",
    );
    outcome.has_no_complaint();
    assert!(outcome.stdout.contains("@[value, 0x3]: 2\n"), "{outcome:?}");
    assert!(
        outcome.stdout.contains("@s[\n        value+0\n]: 2\n"),
        "{outcome:?}"
    );
    let line = outcome.stdout.lines().find(|line| line.starts_with('\t'));
    let line = line.expect("perf mode has a line");
    assert!(line.contains(" value+0 (/"), "{line}");
}

#[test]
fn the_kernel_below_a_tracepoint() {
    needs!(no_tracing());
    let outcome = crate::support::evaluate(
        "tracepoint:raw_syscalls:sys_enter { printf(\"%d\\n\", len(kstack) > 0); print(kstack(perf, 1)); exit(); }",
    );
    // Another CPU may be within the same program when this one leaves: its lines come before, behind or between.
    let lines: Vec<&str> = outcome.stdout.lines().filter(|line| !line.is_empty()).collect();
    let (frames, counted): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with('\t'));
    assert!(
        !counted.is_empty() && counted.iter().all(|line| *line == "1"),
        "{outcome:?}"
    );
    assert_eq!(frames.len(), counted.len(), "{outcome:?}");
    assert!(
        frames.iter().all(|line| line.starts_with("\tffff")),
        "{outcome:?}"
    );
}
