//! Completed calls: each beginning of a call is a run, or a counted loss.

use crate::support::{Crumbs, Outcome, compiled, needs, no_tracing};

fn completed(script: &str, arguments: &str) -> Outcome {
    // -O2 and no frame pointers: only so is the last call of a function a jump.
    let program = compiled(
        "completed.c",
        &[
            "-pthread",
            "-O2",
            "-fomit-frame-pointer",
            "-foptimize-sibling-calls",
        ],
    );
    let command = format!("{} {arguments}", program.display());
    Crumbs::script(script).on(&program).args(&["-c", &command]).run()
}

/// Asserts what maps are printed, and how many calls are said not to have been measured.
#[track_caller]
fn measures(outcome: &Outcome, maps: &str, lost: u32) {
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (0, format!("\n\n{maps}").as_str()),
        "{outcome:?}"
    );
    let said = outcome.stderr.lines().find(|line| line.contains("not measured"));
    match lost {
        0 => outcome.has_no_complaint(),
        n => assert!(
            said.is_some_and(|line| line.starts_with(&format!("WARNING: {n} call"))),
            "{outcome:?}"
        ),
    }
}

const OUTER: &str = "ucall:PROGRAM:outer { @[arg0 == (int64)retval - 1] = count(); @sum = sum(arg0); @[duration > 0] = count(); }";

#[test]
fn every_call_of_a_recursion_has_its_own_arguments_and_result() {
    needs!(no_tracing());
    measures(&completed(OUTER, "outer 0 outer 0"), "@[true]: 4\n@sum: 0\n", 0);
    // Depth 64, as deep as the kernel follows returns.
    measures(&completed(OUTER, "outer 63"), "@[true]: 128\n@sum: 2016\n", 0);
    // Depth 100: the innermost 36 have no return that can be seen.
    measures(&completed(OUTER, "outer 99"), "@[true]: 128\n@sum: 4320\n", 36);
    // Deeper than there is room for, and measured as before afterwards.
    measures(
        &completed(OUTER, "outer 299 outer 1 outer 299"),
        "@[true]: 260\n@sum: 34241\n",
        472,
    );
}

#[test]
fn calls_that_are_left_by_longjmp_are_counted() {
    needs!(no_tracing());
    let script = "ucall:PROGRAM:outer { @[arg0] = count(); }";
    measures(
        &completed(script, "jump 4 outer 1 jump 0 outer 0"),
        "@[1]: 1\n@[0]: 2\n",
        6,
    );
    // Again and again to the same depth: nothing piles up.
    let jumps = "jump 2 ".repeat(400);
    measures(&completed(script, &format!("{jumps} outer 0")), "@[0]: 1\n", 1200);
}

#[test]
fn threads_do_not_meet() {
    needs!(no_tracing());
    measures(
        &completed(
            "ucall:PROGRAM:outer { @[arg0, retval] = count(); }",
            "threads 500",
        ),
        "@[0, 1]: 4000\n@[1, 2]: 4000\n@[2, 3]: 4000\n@[3, 4]: 4000\n",
        0,
    );
}

#[test]
fn functions_that_jump_to_one_another_are_told_apart() {
    needs!(no_tracing());
    let script = "ucall:PROGRAM:tail, ucall:PROGRAM:inner { @[func, arg0, retval] = count(); }";
    measures(
        &completed(script, "tail 2"),
        "@[inner, 1, 2]: 1\n@[inner, 2, 3]: 1\n@[tail, 1, 2]: 1\n@[tail, 2, 3]: 1\n",
        0,
    );
    // With `probe` in the place of `func`, and by a wildcard.
    measures(
        &completed("ucall:PROGRAM:in*r { @[func] = count(); }", "tail 2 inner 3"),
        "@[inner]: 5\n",
        0,
    );
}

#[test]
fn threads_and_programs_that_end_within_a_call_are_counted() {
    needs!(no_tracing());
    let script = "ucall:PROGRAM:ends, ucall:PROGRAM:inner { @[func] = count(); }";
    measures(&completed(script, "ends 0 leave 5"), "@[ends]: 1\n", 5);
    measures(
        &completed(script, "ends 0 ends 2"),
        "@[ends]: 1\n@[inner]: 1\n",
        1,
    );
    measures(&completed(script, "inner 1 ends 3"), "@[inner]: 1\n", 1);
}

#[test]
fn a_return_in_a_forked_child_is_none_of_the_call() {
    needs!(no_tracing());
    measures(
        &completed(
            "ucall:PROGRAM:forks { @[(int32)retval > 0] = count(); }",
            "forks 5",
        ),
        "@[true]: 5\n",
        0,
    );
}

#[test]
fn calls_that_there_is_no_room_for_are_counted() {
    needs!(no_tracing());
    let outcome = completed(
        "config = { max_map_keys = 4 } ucall:PROGRAM:outer { @ = count(); }",
        "outer 9",
    );
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (0, "\n\n@: 4\n"),
        "{outcome:?}"
    );
    let full = "WARNING: 6 updates of ucall:";
    assert!(outcome.stderr.contains(full), "{outcome:?}");
}

#[test]
fn predicates_see_what_the_body_sees() {
    needs!(no_tracing());
    completed(
        "ucall:PROGRAM:outer /arg0 > 2 && retval == 5 && duration < 1000000000000/ { printf(\"%d\\n\", arg0); return; }",
        "outer 6",
    )
    .prints("4\n\n\n");
}

#[test]
fn events_know_which_calls_they_are_within() {
    needs!(no_tracing());
    let script =
        "uprobe:PROGRAM:inner { @[entered(\"PROGRAM:outer\"), entered(\"PROGRAM:forks\")] = count(); }";
    completed(script, "inner 2 outer 0 outer 5 inner 1 outer 99 inner 4")
        .maps("@[true, false]: 3\n@[false, false]: 7\n");
    // In each thread for itself, in the kernel too, and in what ends within a call.
    completed(
        "tracepoint:syscalls:sys_enter_exit /pid == cpid/ { @[entered(\"PROGRAM:ends\")] = count(); }
         uprobe:PROGRAM:inner { @inner[entered(\"PROGRAM:ends\")] = count(); }",
        "leave 5 inner 1 ends 2",
    )
    .maps("@[true]: 5\n@inner[false]: 2\n");
    completed(
        "tracepoint:syscalls:sys_enter_wait4 /pid == cpid/ { @[entered(\"PROGRAM:forks\"), entered(\"PROGRAM:*er\")] = count(); }",
        "forks 3 outer 2",
    )
    .maps("@[true, false]: 3\n");
}

#[test]
fn functions_to_be_within_are_found_when_the_script_is_read() {
    for (script, parts) in [
        (
            "begin { print(entered(\"/bin/sh:no_such_function\")); }",
            "begin { print(entered(\"/bin/sh:no_such_function\"))",
        ),
        ("begin { print(entered(comm)); }", "must be a literal string"),
        ("begin { print(entered(\"\")); }", "this is not the form"),
    ] {
        Crumbs::script(script).run().refuses(&[parts]);
    }
}
