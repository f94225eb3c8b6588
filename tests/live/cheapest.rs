//! Probes on functions that are placed behind the functions' first instructions: they see what probes at the entries see.

use crate::support::*;
use crate::waiting::Waiting;
use std::path::Path;
use std::process::{Command, Stdio};

/// Counts all calls, and adds up what is in the registers of arguments.
const COUNT: &str = "{ @calls[func] = count();
    @args[func] = sum(arg0 + 3 * arg1 + 5 * arg2 + 7 * arg3 + 11 * arg4 + 13 * arg5); }";

/// Why functions cannot be traced by the thousand; `None` where they can.
fn no_multi_links() -> Option<String> {
    let info = Crumbs::new().arg("--info").run().stdout;
    let has_them = info.contains("uprobe_multi links: yes");
    (!has_them).then(|| "without uprobe_multi it takes minutes to detach so many probes".into())
}

/// How many functions `crumbs -v` says are not probed at their entry.
fn moved(stderr: &str) -> usize {
    let named = stderr
        .lines()
        .filter(|line| line.contains("bytes behind its entry"))
        .count();
    let more = stderr
        .lines()
        .find_map(|line| line.strip_prefix("… and ")?.strip_suffix(" more")?.parse().ok());
    named + more.unwrap_or(0)
}

/// Traces one run of a program twice at the same time, at entries and at cheaper places. Both must see the same; gives how
/// many functions had cheaper ones.
fn compare(program: &Path, functions: &str) -> usize {
    let mut waiting = Waiting::start(program);
    let pid = waiting.pid().to_string();
    let runs = ["true", "false"].map(|cheapest| {
        let script = format!("config = {{ cheapest_place = {cheapest} }} {functions} {COUNT}");
        let mut run = Crumbs::script(&script).args(&["-v", "-p", &pid]).start();
        run.attached();
        run
    });
    waiting.go();
    let [cheap, entries] = runs.map(|run| {
        let outcome = run.wait();
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome
    });
    let lines = |outcome: &Outcome| {
        let mut lines: Vec<String> = outcome.stdout.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(lines(&cheap), lines(&entries));
    assert!(cheap.stdout.contains("@calls["), "{cheap:?}");
    assert_eq!(moved(&entries.stderr), 0);
    moved(&cheap.stderr)
}

#[test]
fn functions_of_libc_are_seen_alike() {
    needs!(no_tracing().or_else(no_multi_links));
    let program = compiled("many_calls.c", &["-pthread"]);
    let moved = compare(&program, "uprobe:libc:*");
    if cfg!(target_arch = "x86_64") {
        assert!(moved > 20, "{moved}");
    }
}

#[test]
fn functions_of_libhdf5_are_seen_alike() {
    needs!(no_tracing().or_else(no_multi_links));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/programs/many_calls.c");
    let program = directory().join("many_calls");
    let compiled = Command::new("gcc")
        .args(["-DHDF5", "-pthread", "-I/usr/include/hdf5/serial", "-o"])
        .args([program.as_os_str(), source.as_ref()])
        .args(["-L/usr/lib/x86_64-linux-gnu/hdf5/serial", "-lhdf5"])
        .stderr(Stdio::null())
        .status();
    let without = (!compiled.unwrap().success()).then(|| "libhdf5-dev is not installed".to_owned());
    needs!(without);
    let moved = compare(&program, "uprobe:libhdf5*:*");
    assert!(moved > 20, "{moved}");
}

/// Whether a script's probe on `fast` is moved, as the compiler's listing says.
fn is_moved(program: &Path, script: &str) -> bool {
    let outcome = Crumbs::script(script).on(program).args(&["-d", "hir"]).run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    outcome.stdout.contains("(entry+4)")
}

#[test]
fn what_needs_the_entry_stays_there() {
    needs!(no_compiler());
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let program = compiled("cheap.c", &[]);
    for script in [
        "uprobe:PROGRAM:fast { @ = count(); }",
        "uprobe:PROGRAM:fas* { @[func, probe] = count(); }",
        "uprobe:PROGRAM:fast /arg5 == 5/ { @[arg0, comm, kstack] = sum(arg1); }",
        "uprobe:PROGRAM:fast { @ = count(); } uprobe:PROGRAM:fast { @b = arg1; }",
        "uprobe:PROGRAM:fast { @ = count(); } uretprobe:PROGRAM:main { @b = retval; }",
    ] {
        assert!(is_moved(&program, script), "{script}");
    }
    for script in [
        "uprobe:PROGRAM:fast { @[ustack] = count(); }",
        "uprobe:PROGRAM:fast { print(ustack(3)); }",
        "uprobe:PROGRAM:fast { @ = reg(\"ip\"); }",
        "uprobe:PROGRAM:fast { @ = *(uint64 *)reg(\"sp\"); }",
        "uprobe:PROGRAM:fast+0x2 { @ = count(); }",
        "uprobe:PROGRAM:fast { @ = count(); } uprobe:PROGRAM:fast+4 { @b = count(); }",
        "uprobe:PROGRAM:fast { @ = count(); } uretprobe:PROGRAM:fast { @b = count(); }",
        "uprobe:PROGRAM:fast { @ = count(); } uprobe:PROGRAM:f* { @b[ustack] = count(); }",
        "config = { cheapest_place = false } uprobe:PROGRAM:fast { @ = count(); }",
    ] {
        assert!(!is_moved(&program, script), "{script}");
    }
}

#[test]
fn calls_are_counted_behind_the_entry() {
    needs!(no_tracing());
    let program = compiled("cheap.c", &[]);
    let script = "uprobe:PROGRAM:fast { @[arg0, arg1, arg5] = count(); @f[func] = count(); }";
    for options in [&[][..], &["--no-feature", "uprobe_multi"]] {
        let run = Crumbs::script(script).on(&program).args(options);
        run.arg("-c")
            .arg(&program)
            .run()
            .maps("@[0, 0, 5]: 1\n@[0, 2, 5]: 1\n@[0, 4, 5]: 1\n@[1, 1, 5]: 1\n@[1, 3, 5]: 1\n@f[fast]: 5\n");
    }
}

#[test]
fn listings_tell_what_is_moved() {
    needs!(no_compiler());
    let program = compiled("cheap.c", &[]);
    let pattern = format!("uprobe:{}:fast", program.display());
    let listed = Crumbs::new().args(&["-lv", &pattern]).run();
    let tells = listed
        .stdout
        .contains("(at +4 where only register arguments are read)");
    assert_eq!(tells, cfg!(target_arch = "x86_64"), "{listed:?}");
}

#[test]
fn functions_that_the_kernel_refuses_are_left_out() {
    needs!(no_tracing());
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let program = compiled("locked.c", &[]);
    // The kernel looks at instructions when a process runs them.
    let mut waiting = Waiting::start(&program);
    let pid = waiting.pid().to_string();
    let script = "uprobe:PROGRAM:step_* { @[func] = count(); }";
    let mut run = Crumbs::script(script).on(&program).args(&["-p", &pid]).start();
    run.attached();
    waiting.go();
    let outcome = run.wait();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(outcome.stdout, "\n\n@[step_a]: 1\n@[step_c]: 1\n@[step_e]: 2\n");
    for said in [
        "WARNING: 2 functions that a wildcard matches are not traced: ",
        "Attached 3 probes",
    ] {
        assert!(outcome.stderr.contains(said), "{outcome:?}");
    }
    // Alone it is an error.
    let waiting = Waiting::start(&program);
    let pid = waiting.pid().to_string();
    let alone = Crumbs::script("uprobe:PROGRAM:step_b { @ = count(); }");
    alone
        .on(&program)
        .args(&["-p", &pid])
        .run()
        .refuses(&["the kernel cannot place a probe at offset"]);
}
