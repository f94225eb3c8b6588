//! The traced command and the traced process.

use crate::support::{Crumbs, Server, needs, no_tracing, program, trace};
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn the_command_is_traced_from_its_first_instruction() {
    needs!(no_tracing());
    // `main` runs once, early.
    trace(
        "uprobe:PROGRAM:main { @main = count(); } uprobe:PROGRAM:_start { @start = count(); }",
        "value 1",
    )
    .maps("@main: 1\n@start: 1\n");
}

#[test]
fn the_end_of_the_command_ends_the_run() {
    needs!(no_tracing());
    let started = std::time::Instant::now();
    trace("interval:s:1000 { } end { printf(\"end\\n\"); }", "sleep 100").prints("end\n\n\n");
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn the_status_of_the_command_is_not_that_of_crumbs() {
    needs!(no_tracing());
    for command in ["exit 3", "kill 9", "kill 11"] {
        trace(
            "uprobe:PROGRAM:value { @ = count(); }",
            &format!("value 1; {command}"),
        )
        .maps("@: 1\n");
    }
}

#[test]
fn a_command_that_ends_at_once() {
    needs!(no_tracing());
    for _ in 0..20 {
        Crumbs::script(
            "interval:ms:1 { } tracepoint:sched:sched_process_exit { } end { printf(\"end\\n\"); }",
        )
        .args(&["-c", "true"])
        .run()
        .prints("end\n\n\n");
    }
}

/// Commands that are children of children, each by a process of its own, and one that has nothing to do with them.
#[test]
fn descendants_are_followed_if_asked_for() {
    needs!(no_tracing());
    let program = program();
    let path = program.display();
    let command = format!(
        r#"sh -c '{path} "value 1"; (sleep 0.3; {path} "value 2"; sh -c "{path} value\ 3; true"); exec {path} "value 4"'"#
    );
    let run = |follow: &str| {
        let script = "uprobe:PROGRAM:value { @[arg0] = count(); }
                      tracepoint:syscalls:sys_enter_clock_nanosleep { @slept = count(); }";
        let mut run = Crumbs::script(script)
            .on(&program)
            .args(&["-c", &command, "--follow", follow])
            .start();
        run.attached();
        let other = Command::new(&program).args(["value 9"]).status();
        assert!(other.is_ok_and(|status| status.success()));
        run.wait()
    };
    run("tree").maps("@[1]: 1\n@[2]: 1\n@[3]: 1\n@[4]: 1\n@slept: 1\n");
    let outcome = run("child");
    assert!(outcome.stdout.starts_with("\n\n@[4]: 1\n@slept: "), "{outcome:?}");
    let refused = Crumbs::script("begin { }").args(&["--follow", "tree"]).run();
    assert_eq!(refused.status, 2, "{refused:?}");
}

/// A child that runs before crumbs does, and what it starts later.
#[test]
fn descendants_that_run_already_are_followed() {
    needs!(no_tracing());
    let program = program();
    let path = program.display();
    // The child says that it is there, and goes on when the input ends; so does what it starts.
    let child = format!("echo there; cat > /dev/null; {path} 'value 2'; {path} 'value 3'");
    let mut target = Command::new("sh")
        .args(["-c", &format!("sh -c \"{child}\"; {path} 'value 1'")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    target.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let mut run = Crumbs::script("uprobe:PROGRAM:value { @[arg0] = count(); }")
        .on(&program)
        .args(&["-p", &target.id().to_string(), "--follow", "tree"])
        .start();
    run.attached();
    let other = Command::new(&program).args(["value 9"]).status();
    assert!(other.is_ok_and(|status| status.success()));
    drop(target.stdin.take());
    target.wait().unwrap();
    run.wait().maps("@[1]: 1\n@[2]: 1\n@[3]: 1\n");
}

#[test]
fn words_of_the_command_are_those_of_a_shell() {
    needs!(no_tracing());
    let outcome = Crumbs::script("interval:s:100 { }")
        .args(&["-q", "-c", r#"printf '[%s]' 'a b' "c\"d" e\ f '' g'h'"i""#])
        .run();
    assert_eq!(outcome.stdout, "[a b][c\"d][e f][][ghi]\n\n");
}

#[test]
fn the_command_inherits_input_and_environment() {
    needs!(no_tracing());
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"from stdin").unwrap();
    drop(writer);
    let outcome = Crumbs::script("interval:s:100 { }")
        .args(&["-q", "-c", "sh -c 'cat; echo \" $LIVE\"'"])
        .env("LIVE", "from the environment")
        .stdin(reader)
        .run();
    assert_eq!(outcome.stdout, "from stdin from the environment\n\n\n");
}

#[test]
fn commands_that_cannot_run() {
    needs!(no_tracing());
    for (command, reason) in [
        ("/no/such/program", "there is no such file"),
        ("no-such-program", "command not found"),
        ("/etc/passwd", "not an executable file"),
        ("/", "not an executable file"),
        ("", "empty"),
        ("'unclosed", "not closed"),
    ] {
        let outcome = Crumbs::script("begin { printf(\"never\\n\"); }")
            .args(&["-c", command])
            .run();
        outcome.refuses(&[reason]);
    }
}

#[test]
fn a_command_that_is_a_script_without_a_first_line() {
    needs!(no_tracing());
    let path = program().with_file_name("script");
    std::fs::write(&path, "echo from a script $1").unwrap();
    Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    Crumbs::script("interval:s:100 { }")
        .args(&["-c", &format!("{} word", path.display())])
        .run()
        .prints("from a script word\n\n\n");
}

#[test]
fn a_command_that_outlives_the_run_is_ended() {
    needs!(no_tracing());
    let program = program();
    for commands in ["forever", "ignore; forever"] {
        let outcome = Crumbs::script("uprobe:PROGRAM:value { @n++; if (@n == 5) { exit(2); } }")
            .over(&program, commands)
            .run();
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (2, "\n\n@n: 5\n"),
            "{outcome:?}"
        );
        let left = Command::new("pgrep").arg("-f").arg(&program).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }
}

#[test]
fn user_probes_see_only_the_command() {
    needs!(no_tracing());
    let program = program();
    let mut other = Server::start(&program);
    other.begin("forever");
    let path = program.display();
    // Multi links, and perf events as on kernels whose multi links cannot tell processes apart; threads of it included.
    for options in [&[][..], &["--no-feature", "uprobe_multi"]] {
        Crumbs::script("uprobe:PROGRAM:value { @[arg0] = count(); }")
            .over(&program, "value 77; sleep 30; value 78; threads 3 4")
            .args(options)
            .run()
            .maps("@[77]: 1\n@[78]: 1\n@[0]: 4\n@[1]: 4\n@[2]: 4\n");
    }
    // The program may well replace itself.
    Crumbs::script("uprobe:PROGRAM:value { @[arg0] = count(); }")
        .on(&program)
        .args(&["-c", &format!("sh -c 'exec {path} \"value 5\"'")])
        .run()
        .maps("@[5]: 1\n");
}

#[test]
fn a_running_process_is_traced_alone() {
    needs!(no_tracing());
    let program = program();
    let (mut traced, mut other) = (Server::start(&program), Server::start(&program));
    let mut run = Crumbs::script(
        "uprobe:PROGRAM:value { @[arg0] = count(); } uretprobe:PROGRAM:value { @r = sum(retval); }
         tracepoint:syscalls:sys_enter_openat { @opens = count(); } profile:hz:997 { @[1000 + (pid == $1)] = count(); }",
    )
    .on(&program)
    .args(&["-p", &traced.pid().to_string(), &traced.pid().to_string()])
    .start();
    run.attached();
    other.run("range 0 100");
    traced.run("value 3");
    traced.run("open /nowhere");
    other.run("open /nowhere");
    traced.run("spin 100");
    traced.run("threads 3 4");
    run.signal("INT");
    let outcome = run.wait();
    outcome.has_no_complaint();
    let all: Vec<&str> = outcome
        .stdout
        .lines()
        .filter(|line| !line.starts_with("@[1001]: "))
        .collect();
    assert_eq!(
        all,
        [
            "",
            "",
            "@[3]: 1",
            "@[0]: 4",
            "@[1]: 4",
            "@[2]: 4",
            "@opens: 1",
            "@r: 30"
        ],
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("@[1001]: "), "{outcome:?}");
}

#[test]
fn the_end_of_the_traced_process_ends_the_run() {
    needs!(no_tracing());
    let program = program();
    let mut server = Server::start(&program);
    let mut run = Crumbs::script("uprobe:PROGRAM:value { @ = count(); }")
        .on(&program)
        .args(&["-p", &server.pid().to_string()])
        .start();
    run.attached();
    server.run("range 0 9");
    server.end();
    run.wait().maps("@: 9\n");
}

#[test]
fn processes_that_cannot_be_traced() {
    needs!(no_tracing());
    let mut gone = Command::new("true").spawn().unwrap();
    let zombie = gone.id();
    // Until it is a zombie.
    let stat = || std::fs::read_to_string(format!("/proc/{zombie}/stat")).unwrap();
    while !stat().contains(") Z ") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let trace = |pid: u32| {
        Crumbs::script("interval:s:100 { }")
            .args(&["-p", &pid.to_string()])
            .run()
    };
    trace(zombie).refuses(&["already ended"]);
    gone.wait().unwrap();
    trace(zombie).refuses(&["no such process"]);
    trace(4_000_000_000).refuses(&["no such process"]);
}

#[test]
fn strings_of_a_process_that_ends_are_still_shown() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:text { printf(\"%s\\n\", str(arg0)); }",
        "text the last words; kill 9",
    )
    .prints("the last words\n\n\n");
}
