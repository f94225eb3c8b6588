//! Attach points in programs and libraries: what their names mean, what they are called, and what is listed.

use crate::kinds::{no_static_probes, static_probes};
use crate::support::*;
use std::process::{Child, Command, Stdio};

/// A process that is ended with the test.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that waits for a line of input.
fn started(program: &std::path::Path, args: &[&str]) -> Target {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    Target(child.unwrap())
}

#[test]
fn files_keep_the_names_that_they_were_given() {
    needs!(no_tracing());
    let program = program();
    let link = directory().join("link");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    let link = link.display();
    let script = format!("uprobe:{link}:alpha_* {{ @[probe] = count(); }}");
    let command = format!("{} alpha_one alpha_two", program.display());
    Crumbs::script(&script)
        .args(&["-c", &command])
        .run()
        .maps(&format!(
            "@[uprobe:{link}:alpha_one]: 1\n@[uprobe:{link}:alpha_two]: 1\n"
        ));
    // Of a file and links to it, a wildcard means one.
    let directory = directory();
    for name in ["one", "two"] {
        std::os::unix::fs::symlink(&program, directory.join(name)).unwrap();
    }
    std::fs::copy(&program, directory.join("three")).unwrap();
    let script = format!("uprobe:{}/*:alpha_one {{ }}", directory.display());
    let outcome = Crumbs::script(&script).args(&["-c", "true"]).run();
    assert_eq!(outcome.stderr.trim(), "Attached 2 probes", "{outcome:?}");
}

#[test]
fn quoted_functions_and_their_offsets() {
    needs!(no_tracing());
    let script = "uprobe:PROGRAM:\"value\" { @a = count(); } uprobe:PROGRAM:\"value\"+0 { @b = count(); }
                  uprobe:PROGRAM:\"value\"+0x0 { @c = count(); }";
    trace(script, "value 1").maps("@a: 1\n@b: 1\n@c: 1\n");
}

#[test]
fn names_of_functions_in_cpp_and_rust() {
    needs!(no_tracing());
    let program = program();
    let path = program.display();
    let script = format!(
        "uprobe:{path}:cpp:\"Meter::add\" {{ @add[arg1] = count(); }}
         uprobe:{path}:cpp:\"Meter::add(long)\" {{ @one = count(); }}
         uprobe:{path}:rust:\"meter::reset\" {{ @reset = count(); }}"
    );
    let command = format!("{path} mangled");
    Crumbs::script(&script)
        .args(&["-c", &command])
        .run()
        .maps("@add[7]: 1\n@add[8]: 1\n@one: 1\n@reset: 1\n");
    let list = |pattern: &str| Crumbs::new().args(&["-l", pattern]).run();
    assert_eq!(
        list(&format!("uprobe:{path}:cpp:Meter::*")).stdout,
        format!("uprobe:{path}:cpp:\"Meter::add(int, long)\"\nuprobe:{path}:cpp:\"Meter::add(long)\"\n")
    );
    assert_eq!(
        list(&format!("uprobe:{path}:rust:meter::*")).stdout,
        format!("uprobe:{path}:rust:\"meter::reset\"\n")
    );
}

#[test]
fn the_first_thread_runs_begin() {
    needs!(no_tracing());
    evaluate("begin { printf(\"%d\\n\", pid == tid); exit(); } end { printf(\"%d\\n\", pid == tid); }")
        .prints("1\n1\n\n\n");
}

#[test]
fn counts_with_exponents() {
    needs!(no_tracing());
    for probe in [
        "software:cpu-clock:1e6",
        "interval:us:1_000",
        "interval:ms:1e1",
        "profile:hz:1e2",
        "interval:1e7",
    ] {
        // It may fire again before it is detached.
        let outcome = evaluate(&format!("{probe} {{ print(probe); exit(); }}"));
        assert!(outcome.stdout.starts_with(&format!("{probe}\n")), "{outcome:?}");
    }
    for probe in [
        "software:cpu-clock:0e6",
        "interval:ms:1e",
        "interval:ms:1e99",
        "interval:ms:_1",
    ] {
        assert_eq!(evaluate(&format!("{probe} {{ }}")).status, 1, "{probe}");
    }
}

#[test]
fn static_probes_are_listed_by_file_and_process() {
    needs!(no_static_probes());
    let (program, path) = static_probes();
    let list = |args: &[&str]| Crumbs::new().args(args).run();
    assert_eq!(
        list(&["-l", &format!("usdt:{path}:t*")]).stdout,
        format!("usdt:{path}:live:text\nusdt:{path}:live:twice\n")
    );
    assert_eq!(
        list(&["-l", &format!("usdt:{path}:live:mem*")]).stdout,
        format!("usdt:{path}:live:memory\n")
    );
    let any = list(&["-l", &format!("*:{path}:*")]).stdout;
    assert!(any.lines().all(|name| name.contains(&path)), "{any}");
    assert!(
        any.contains(&format!("usdt:{path}:live:guarded\n"))
            && any.contains(&format!("uprobe:{path}:main\n"))
    );
    let target = started(&program, &["1", "wait"]);
    let pid = target.0.id().to_string();
    for args in [
        ["-l", "usdt:*", "-p", &pid].as_slice(),
        &["-l", "*", "-p", &pid],
        &["-l", "-p", &pid],
    ] {
        let listed = list(args).stdout;
        let has = |name: &str| listed.contains(&format!("{name}\n"));
        assert!(has(&format!("usdt:{path}:live:text")), "{args:?}: {listed}");
        assert_eq!(
            has(&format!("uprobe:{path}:main")),
            args[1] != "usdt:*",
            "{args:?}: {listed}"
        );
    }
    assert!(list(&["-l", "usdt:none_such", "-p", &pid]).status == 1);
}

#[test]
fn static_probes_of_any_process() {
    needs!(no_static_probes());
    let (program, path) = static_probes();
    let mut target = started(&program, &["2", "wait"]);
    let mut run =
        Crumbs::script("usdt:*:live:text { @[probe] = count(); } usdt:*:live:twice { exit(); }").start();
    run.attached();
    std::io::Write::write_all(target.0.stdin.as_mut().unwrap(), b"\n").unwrap();
    let outcome = run.wait();
    assert!(
        outcome.stdout.contains(&format!("@[usdt:{path}:live:text]: ")),
        "{outcome:?}"
    );
}

/// Two places with different arguments are one probe.
#[test]
fn probes_with_several_places_count_as_one() {
    needs!(no_static_probes());
    let (_, path) = static_probes();
    let script =
        format!("usdt:{path}:twice {{ print(arg0); }} usdt:{path}:live:twice {{ }} usdt:{path}:t* {{ }}");
    let outcome = Crumbs::script(&script).args(&["-c", "true"]).run();
    assert_eq!(outcome.stderr.trim(), "Attached 4 probes", "{outcome:?}");
}

#[test]
fn probes_without_a_binary_need_a_process() {
    needs!(no_static_probes());
    let (_, path) = static_probes();
    for script in [
        "usdt::live:text { @ = count(); }",
        "usdt:::te?t { }",
        "uprobe::main { }",
    ] {
        Crumbs::script(script).run().refuses(&["its form: "]);
    }
    for script in [
        "usdt::live:text { @ = count(); }",
        "usdt:::tex* { @ = count(); }",
        "usdt:text { @ = count(); }",
    ] {
        Crumbs::script(script).args(&["-c", &path]).run().maps("@: 1\n");
    }
    Crumbs::script("uprobe::main { @ = count(); }")
        .args(&["-c", &path])
        .run()
        .maps("@: 1\n");
}

/// A library is attached to when the process opens it; where it was named by its path, before that.
#[test]
fn libraries_that_are_opened_later() {
    needs!(no_tracing());
    let (program, library) = program_that_opens();
    let path = library.display().to_string();
    let script = format!(
        "uprobe:libcrumbslate:library_value {{ @entry[func] = count(); }}
         uprobe:libcrumbsl*:lib*_val* {{ @pattern[func] = count(); }}
         uretprobe:libcrumbslate:library_value {{ @sum = sum(retval); }}
         uprobe:{path}:library_value {{ @path = count(); }}"
    );
    for by_command in [false, true] {
        let mut command = Crumbs::script(&script);
        let mut target = None;
        if by_command {
            let words = format!("{} {path} 5", program.display());
            command = command.args(&["-c", &words]).stdin(Stdio::piped());
        } else {
            target = Some(started(&program, &[&path, "5"]));
            command = command.args(&["-p", &target.as_ref().unwrap().0.id().to_string()]);
        }
        let mut run = command.start();
        run.attached();
        let mut line = || {
            let process = target.as_mut().map_or(&mut run.child, |target| &mut target.0);
            std::io::Write::write_all(process.stdin.as_mut().unwrap(), b"\n").unwrap();
        };
        line();
        std::thread::sleep(std::time::Duration::from_millis(500));
        line();
        let outcome = run.wait();
        let printed = outcome.stdout.trim_start_matches("opened\n");
        assert_eq!(
            printed, "\n\n@entry[library_value]: 5\n@path: 5\n@pattern[library_value]: 5\n@sum: 15\n",
            "{outcome:?}"
        );
    }
}

#[test]
fn libraries_that_never_come_are_told() {
    needs!(no_tracing());
    let script = "uprobe:libcrumbsnever:f { @ = count(); } uprobe:libc:exit { }";
    let outcome = Crumbs::script(script).args(&["-c", "true"]).run();
    assert!(
        outcome.status == 0
            && outcome
                .stderr
                .contains("no library `libcrumbsnever` with a function `f`"),
        "{outcome:?}"
    );
    // Without a process to wait for, it is a mistake.
    Crumbs::script(script)
        .run()
        .refuses(&["cannot find a program or library `libcrumbsnever`"]);
}

/// Probes whose arguments are not used share a program, wherever their arguments are.
#[test]
fn places_of_static_probes_share_programs() {
    needs!(no_static_probes());
    let (_, path) = static_probes();
    let programs = |body: &str| {
        let script = format!("usdt:{path}:* {{ {body} }}");
        let listing = Crumbs::script(&script).args(&["-d", "asm"]).run().stdout;
        listing
            .lines()
            .filter(|line| line.ends_with(" instructions"))
            .count()
    };
    assert_eq!(programs("@[probe] = count();"), 1);
    assert!(programs("@ = sum(arg0);") > 3);
}

/// The C library has `memcpy` in several versions; what has the name only chooses one.
#[test]
fn functions_that_choose_others_are_warned_about() {
    needs!(no_tracing());
    let warned = |script: &str| {
        let outcome = Crumbs::script(script).args(&["--dry-run"]).run();
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome
            .stderr
            .contains("`chosen` stands for one of several functions")
    };
    let program = program();
    let path = program.display();
    assert!(warned(&format!("uprobe:{path}:chosen {{ @ = count(); }}")));
    for what in ["value", "chos*"] {
        assert!(
            !warned(&format!("uprobe:{path}:{what} {{ @ = count(); }}")),
            "{what}"
        );
    }
}

/// A function that looks into a name needs programs that know theirs.
#[test]
fn names_of_places_are_searched() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:alpha_* { if (strcontains(probe, \"two\")) { @[func] = count(); } @len[strlen(func)] = count(); }",
        "alpha_one; alpha_two; alpha_two",
    )
    .maps("@[alpha_two]: 2\n@len[9]: 3\n");
}
