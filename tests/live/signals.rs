//! Ctrl-C and other signals at any moment: the run ends as it should, and nothing is left in the kernel.

use crate::support::{Crumbs, Running, Server, bpf_objects, left_over, needs, no_tracing, program, send};
use std::process::Command;
use std::time::Duration;

/// A run over a busy process, attached, with a map of a name of its own.
fn busy(marker: &str) -> (Server, Running) {
    let program = program();
    let mut server = Server::start(&program);
    let script = format!(
        "uprobe:PROGRAM:value {{ @{marker}[arg0] = count(); @other = hist(arg0); }} interval:ms:1 {{ printf(\"tick\\n\"); }}
         profile:hz:50 {{ @p = count(); }} tracepoint:syscalls:sys_enter_write {{ @t = count(); }} end {{ printf(\"end\\n\"); }}"
    );
    let pid = server.pid().to_string();
    let mut run = Crumbs::script(&script).on(&program).args(&["-p", &pid]).start();
    run.attached();
    server.begin("fast");
    run.until("a tick", |run| run.stdout().contains("tick\n"));
    (server, run)
}

fn ends_in_order(signal: &str, marker: &str) {
    let (_server, run) = busy(marker);
    let objects = bpf_objects(marker);
    assert!(
        objects.values().all(|ids| !ids.is_empty()),
        "nothing to lose: {objects:?}"
    );
    run.signal(signal);
    let outcome = run.wait();
    outcome.has_no_complaint();
    let (events, rest) = outcome.stdout.split_once("end\n\n\n").unwrap();
    assert!(events.lines().all(|line| line == "tick"), "{events}");
    assert!(rest.contains(&format!("\n@{marker}[1]: ")), "{rest}");
    assert_eq!(left_over(&objects), Vec::<String>::new());
}

#[test]
fn interrupt_ends_the_run() {
    needs!(no_tracing());
    ends_in_order("INT", "sig_int");
}

/// Commands that come faster than they can be run do not keep the user waiting.
#[test]
fn interrupt_ends_a_flood_of_commands() {
    needs!(no_tracing());
    let program = program();
    let mut server = Server::start(&program);
    let pid = server.pid().to_string();
    let mut run = Crumbs::script(
        "uprobe:PROGRAM:value { system(\"sleep 0.01; echo done\"); } end { printf(\"end\\n\"); }",
    )
    .on(&program)
    .args(&["-p", &pid, "--unsafe"])
    .start();
    run.attached();
    server.run("range 0 5000");
    run.until("a command's output", |run| run.stdout().contains("done\n"));
    let interrupted = std::time::Instant::now();
    run.signal("INT");
    let outcome = run.wait();
    assert!(
        interrupted.elapsed() < Duration::from_secs(40),
        "{:?}",
        interrupted.elapsed()
    );
    assert!(outcome.stdout.ends_with("end\n\n\n"), "{outcome:?}");
    let ran = outcome.stdout.matches("done\n").count();
    let warning = format!("{} commands of system() were not run", 5000 - ran);
    assert!(outcome.stderr.contains(&warning), "{ran}: {}", outcome.stderr);
}

#[test]
fn terminate_ends_the_run() {
    needs!(no_tracing());
    ends_in_order("TERM", "sig_term");
}

#[test]
fn kill_leaves_nothing_behind() {
    needs!(no_tracing());
    let (_server, run) = busy("sig_kill");
    let objects = bpf_objects("sig_kill");
    assert!(
        objects.values().all(|ids| !ids.is_empty()),
        "nothing to lose: {objects:?}"
    );
    run.signal("KILL");
    assert_eq!(run.wait().status, 128 + 9);
    assert_eq!(left_over(&objects), Vec::<String>::new());
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    needs!(no_tracing());
    for pause in [0, 1, 3, 10] {
        let (_server, run) = busy("sig_twice");
        let objects = bpf_objects("sig_twice");
        run.signal("INT");
        std::thread::sleep(Duration::from_millis(pause));
        // It may have ended already.
        let _ = Command::new("kill")
            .args(["-INT", &run.child.id().to_string()])
            .output();
        let status = run.wait().status;
        assert!([0, 128 + 2].contains(&status), "status {status}");
        assert_eq!(left_over(&objects), Vec::<String>::new());
    }
}

#[test]
fn interrupts_during_the_start() {
    needs!(no_tracing());
    let program = program();
    for signal in ["INT", "TERM"] {
        for delay in (0..24).map(|step| Duration::from_micros(step * 700)) {
            let run = Crumbs::script(
                "uprobe:PROGRAM:* { @sig_start[func] = count(); } begin { printf(\"begin\\n\"); }",
            )
            .over(&program, "forever")
            .start();
            std::thread::sleep(delay);
            run.signal(signal);
            let outcome = run.wait();
            let killed = 128 + if signal == "INT" { 2 } else { 15 };
            assert!(
                outcome.status == 0 || outcome.status == killed,
                "{delay:?}: {outcome:?}"
            );
            assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        }
    }
    let left = Command::new("pgrep").arg("-f").arg(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "commands still run");
}

#[test]
fn interrupts_while_maps_are_printed() {
    needs!(no_tracing());
    let program = program();
    let run = Crumbs::script("uprobe:PROGRAM:value { @sig_print[arg0] = count(); }")
        .over(&program, "range 0 20000")
        .start();
    // Its output is not read to the end before the interrupts come.
    let mut run = run;
    run.until("the maps", |run| run.stdout().contains("@sig_print["));
    let _ = Command::new("kill")
        .args(["-INT", &run.child.id().to_string()])
        .output();
    let outcome = run.wait();
    assert!(
        [0, 128 + 2].contains(&outcome.status),
        "status {}",
        outcome.status
    );
}

#[test]
fn an_interrupt_runs_end_probes_and_obeys_their_code() {
    needs!(no_tracing());
    let mut run = Crumbs::script("interval:s:100 { } end { printf(\"bye\\n\"); exit(7); }").start();
    run.attached();
    run.signal("INT");
    let outcome = run.wait();
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (7, "bye\n\n\n"),
        "{outcome:?}"
    );
}

#[test]
fn the_reader_of_the_output_may_go_away() {
    needs!(no_tracing());
    let crumbs = env!("CARGO_BIN_EXE_crumbs");
    let script = "interval:ms:1 { printf(\"tick\\n\"); }";
    let output = Command::new("timeout")
        .args(["20", "sh", "-c"])
        .arg(format!(
            "{{ '{crumbs}' -q -e '{script}'; echo status $? >&2; }} | head -2"
        ))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "tick\ntick\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "status 0\n");
}

#[test]
fn an_interrupt_of_the_command_ends_the_run() {
    needs!(no_tracing());
    let program = program();
    let mut run = Crumbs::script("uprobe:PROGRAM:value { @ = max(arg0); }")
        .over(&program, "forever")
        .start();
    run.attached();
    let mut pid = None;
    run.until("the command", |_| {
        let found = Command::new("pgrep")
            .arg("-f")
            .arg(format!("^{}", program.display()))
            .output()
            .unwrap();
        !found.stdout.is_empty()
    });
    while pid.is_none() {
        let found = Command::new("pgrep")
            .arg("-f")
            .arg(format!("^{}", program.display()))
            .output()
            .unwrap();
        pid = String::from_utf8_lossy(&found.stdout).trim().parse().ok();
    }
    std::thread::sleep(Duration::from_millis(100));
    send(pid.unwrap(), "KILL");
    run.wait().maps("@: 1\n");
}
