//! The command line.

use crate::support::{Crumbs, bpf_objects, needs, no_tracing, program};
use std::io::Read;

#[test]
fn scripts_from_files_and_from_standard_input() {
    needs!(no_tracing());
    let path = crate::support::directory().join("script.bt");
    std::fs::write(
        &path,
        "#!/usr/bin/env crumbs\nbegin { printf(\"%d %s %d\\n\", $1, str($2), $#); }",
    )
    .unwrap();
    Crumbs::new()
        .arg(&path)
        .args(&["7", "word"])
        .run()
        .prints("7 word 2\n\n\n");
    let file = std::fs::File::open(&path).unwrap();
    Crumbs::new()
        .args(&["-", "8"])
        .stdin(file)
        .run()
        .prints("8  1\n\n\n");
}

#[test]
fn positional_parameters() {
    needs!(no_tracing());
    let script = "begin { print($1 + $2); print(str($3)); print($#); print($4); print(str($5)); if ($1 > 5) { print(\"more\"); } }";
    Crumbs::script(script)
        .args(&["10", "--", "-3", "text"])
        .run()
        .prints("7\ntext\n3\n0\n\nmore\n\n\n");
    let program = program();
    Crumbs::script("uprobe:PROGRAM:$1 /arg0 > $2/ { @ = count(); }")
        .over(&program, "range 0 10")
        .args(&["value", "6"])
        .run()
        .maps("@: 3\n");
}

#[test]
fn output_goes_to_a_file() {
    needs!(no_tracing());
    let path = crate::support::directory().join("out");
    let outcome = Crumbs::script("uprobe:PROGRAM:value { @ = count(); printf(\"hit\\n\"); }")
        .over(&program(), "value 1; ids")
        .arg("-o")
        .arg(&path)
        .run();
    outcome.has_no_complaint();
    assert_eq!(
        outcome.stdout.lines().count(),
        1,
        "only what the command itself prints: {outcome:?}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "hit\n\n\n@: 1\n");
    let outcome = Crumbs::script("begin { print(1); }")
        .args(&["-o", "/no/such/place"])
        .run();
    outcome.refuses(&["/no/such/place"]);
}

#[test]
fn quiet_says_nothing() {
    needs!(no_tracing());
    let outcome = Crumbs::script("begin { print(1); }").arg("-q").run();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("1\n\n\n", "")
    );
}

#[test]
fn verbose_changes_no_result() {
    needs!(no_tracing());
    let outcome = Crumbs::script("begin { print(1); }").arg("-v").run();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (0, "1\n\n\n"));
}

#[test]
fn dry_run_attaches_and_runs_nothing() {
    needs!(no_tracing());
    let outcome =
        Crumbs::script("begin { print(1); } uprobe:PROGRAM:value { @dry_run = count(); } end { print(2); }")
            .over(&program(), "ids")
            .arg("--dry-run")
            .run();
    assert_eq!(
        (outcome.status, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (0, "", "")
    );
    assert!(bpf_objects("dry_run").values().all(Vec::is_empty));
    Crumbs::script("begin { print(nosuch); }")
        .arg("--dry-run")
        .run()
        .refuses(&["nosuch"]);
}

/// What a script looks for may be on the machine that it is run on.
#[test]
fn dry_run_warns_of_what_this_machine_lacks() {
    needs!(no_tracing());
    let script = "begin { print(kaddr(\"no_symbol_of_any_kernel\")); } uprobe:PROGRAM:no_such_function { @ = count(); }";
    let outcome = Crumbs::script(script)
        .over(&program(), "ids")
        .arg("--dry-run")
        .run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    for wanted in ["no_symbol_of_any_kernel", "no_such_function"] {
        assert!(outcome.stderr.contains(wanted), "{wanted}: {outcome:?}");
    }
    assert!(!outcome.stderr.contains("error"), "{outcome:?}");
    Crumbs::script(script)
        .over(&program(), "ids")
        .run()
        .refuses_each(2, &["no_symbol_of_any_kernel", "no_such_function"]);
}

#[test]
fn ready_fd_tells_when_everything_is_attached() {
    needs!(no_tracing());
    let program = program();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut server = crate::support::Server::start(&program);
    let run = Crumbs::script("uprobe:PROGRAM:value { @ = count(); }")
        .on(&program)
        .args(&["-p", &server.pid().to_string(), "--ready-fd", "0"])
        .stdin(writer)
        .start();
    let mut line = [0; 9];
    reader.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"attached\n");
    server.run("range 0 11");
    run.signal("INT");
    run.wait().maps("@: 11\n");
    let outcome = Crumbs::script("interval:s:100 { }")
        .args(&["--ready-fd", "77"])
        .run();
    outcome.refuses(&["77"]);
}

#[test]
fn the_hook_of_bpftrace_s_tests_tells_that_probes_are_attached() {
    needs!(no_tracing());
    const HOOK: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";
    let script = "interval:ms:200 { printf(\"tick\\n\"); exit(); }";
    let outcome = Crumbs::script(script).env(HOOK, "1").run();
    assert_eq!(outcome.stdout, format!("{HOOK}\ntick\n\n\n"), "{outcome:?}");
    Crumbs::script(script).run().prints("tick\n\n\n");
    // Where the run ends before anything is attached, nobody waits for ever.
    let outcome = Crumbs::script("begin { printf(\"over\\n\"); exit(); }")
        .env(HOOK, "1")
        .run();
    assert_eq!(outcome.stdout, format!("{HOOK}\nover\n\n\n"), "{outcome:?}");
}

#[test]
fn parameters_may_be_negative() {
    needs!(no_tracing());
    Crumbs::script("begin { print(($1, $2)); }")
        .args(&["-5", "7"])
        .run()
        .prints("(-5, 7)\n\n\n");
}

#[test]
fn wrong_usage_has_status_2() {
    for (arguments, part) in [
        (&[][..], "script"),
        (&["--nosuch"], "--nosuch"),
        (&["-e"], "-e"),
        (&["-e", "begin { }", "-p", "x"], "x"),
        (&["-e", "begin { }", "-p", "0"], "0"),
        (&["-e", "begin { }", "-p", "-5"], "-"),
        (&["-e", "begin { }", "-p", "1", "-c", "true"], "-c"),
        (&["-e", "begin { }", "--ready-fd", "-1"], "-"),
        (&["-e", "begin { }", "-e", "end { }"], "-e"),
        (&["-l", "x", "y"], "y"),
    ] {
        Crumbs::new().args(arguments).run().is_wrong_usage(part);
    }
}

#[test]
fn config_comes_from_the_script_and_the_environment() {
    needs!(no_tracing());
    let text = "abcdefghijklmnop";
    let script = "uprobe:PROGRAM:text { printf(\"%s\\n\", str(arg0)); }";
    let run = |name, value| {
        Crumbs::script(script)
            .over(&program(), &format!("text {text}"))
            .env(name, value)
            .run()
    };
    run("CRUMBS_MAX_STRLEN", "4").prints("abcd..\n\n\n");
    run("BPFTRACE_MAX_STRLEN", "6").prints("abcdef..\n\n\n");
    run("CRUMBS_STR_TRUNC_TRAILER", "~").prints(&format!("{text}\n\n\n"));
    let outcome = run("CRUMBS_MAX_STRLEN", "many");
    outcome.refuses(&["max_strlen"]);
    Crumbs::script("config = { print_maps_on_exit = false } begin { @ = 1; }")
        .run()
        .prints("\n\n");
    Crumbs::script("config = { nosuch = 1 } begin { @ = 1; }")
        .run()
        .refuses(&["nosuch"]);
}

impl crate::support::Outcome {
    /// Asserts status 2, and a message that names `part`.
    #[track_caller]
    pub(crate) fn is_wrong_usage(&self, part: &str) {
        assert_eq!((self.status, self.stdout.as_str()), (2, ""), "{self:?}");
        assert!(self.stderr.contains(part), "`{part}` is not in: {}", self.stderr);
    }
}

#[test]
fn named_parameters() {
    needs!(no_tracing());
    let script =
        "begin { print((getopt(\"n\", 7), getopt(\"s\", \"none\"), getopt(\"flag\"), $#, str($2))); }";
    Crumbs::script(script).run().prints("(7, none, false, 0, )\n\n\n");
    Crumbs::script(script)
        .args(&["1", "--", "--n=0x10", "two", "--s=some", "--flag"])
        .run()
        .prints("(16, some, true, 2, two)\n\n\n");
    for (given, complaint) in [
        ("--m=1", "the script has no parameter `--m`"),
        ("--n=x", "`--n=x`: this parameter is a number"),
        ("--s", "`--s` needs a value: a text"),
    ] {
        let outcome = Crumbs::script(script).args(&["--", given]).run();
        assert_eq!(outcome.status, 1, "{outcome:?}");
        assert!(outcome.stderr.contains(complaint), "{outcome:?}");
    }
}

#[test]
fn imports_are_looked_up_beside_the_script() {
    needs!(no_tracing());
    let directory = crate::support::directory();
    std::fs::create_dir(directory.join("more")).unwrap();
    let files = [
        (
            "main.bt",
            "import \"lib.bt\"; import \"more\";\nbegin { print(twice(thrice(7))); }",
        ),
        ("lib.bt", "macro twice(x) { 2 * x }"),
        (
            "more/a.bt",
            "import \"../lib.bt\"; macro thrice(x) { x + twice(x) }",
        ),
    ];
    for (name, text) in files {
        std::fs::write(directory.join(name), text).unwrap();
    }
    Crumbs::new()
        .arg(directory.join("main.bt"))
        .run()
        .prints("42\n\n\n");
}

#[test]
fn options_of_bpftrace() {
    needs!(no_tracing());
    let script = "begin { let $unused; warnf(\"careful\"); printf(\"hi\\n\"); }";
    let outcome = Crumbs::script(script)
        .args(&[
            "-k",
            "-k",
            "-B",
            "line",
            "--no-warnings",
            "-b",
            "--no-feature",
            "uprobe_multi",
        ])
        .run();
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (0, "hi\n\n\n"),
        "{outcome:?}"
    );
    assert!(
        !outcome.stderr.contains("careful") && !outcome.stderr.contains("unused"),
        "{outcome:?}"
    );
    let outcome = Crumbs::script(script).run();
    assert!(
        outcome.stderr.contains("stdin:1:22-38: WARNING: careful\n"),
        "{outcome:?}"
    );
    let outcome = Crumbs::script(script).args(&["--aot", "x"]).run();
    assert!(
        outcome.status == 2 && outcome.stderr.contains("--emit-elf"),
        "{outcome:?}"
    );
    let outcome = Crumbs::script("begin { print(getopt(\"n\", 7, \"how many\")); }")
        .arg("-h")
        .run();
    assert!(
        outcome.stdout.ends_with("--n=VALUE  how many [default: 7]\n"),
        "{outcome:?}"
    );
}

#[test]
fn headers_are_looked_for_where_the_user_says() {
    needs!(no_tracing());
    let directory = crate::support::directory();
    let named = directory.join("named/deep");
    std::fs::create_dir_all(&named).unwrap();
    std::fs::write(
        named.join("first.h"),
        "#include \"second.h\"\n#define FIRST (SECOND(1) + 1)\nstruct pair { char a; struct single b; };\n",
    )
    .unwrap();
    std::fs::write(
        named.join("second.h"),
        "#ifndef GUARD\n#define GUARD\n#define SECOND(n) (40 + n)\nstruct single { long c; };\n#endif\n",
    )
    .unwrap();
    let named = directory.join("named");
    let named = named.to_str().unwrap();
    let body = "begin { printf(\"%d %d\\n\", FIRST, sizeof(struct pair)); }";
    for include in [
        "#include <deep/first.h>\n",
        "#include \"deep/first.h\"\n#include <deep/second.h>\n",
    ] {
        let script = format!("{include}{body}");
        let run = Crumbs::script(&script).args(&["-I", named]).run();
        run.prints("42 16\n\n\n");
    }
    let run = Crumbs::script(body)
        .args(&["-I", named, "--include", "deep/first.h"])
        .run();
    run.prints("42 16\n\n\n");
    // Beside the script.
    let script = directory.join("script.bt");
    std::fs::write(&script, format!("#include \"named/deep/first.h\"\n{body}")).unwrap();
    Crumbs::new().arg(&script).run().prints("42 16\n\n\n");
    let run = Crumbs::script("#include \"deep/firts.h\"\nbegin { }")
        .args(&["-I", named])
        .run();
    run.refuses(&["there is no header `deep/firts.h`", "named"]);
}

#[test]
fn headers_that_nobody_has() {
    needs!(no_tracing());
    // Those of the kernel need not be there; of others nothing can be said where the machine has none at all.
    let outcome = Crumbs::script("#include <linux/nobody_has_this.h>\nbegin { }")
        .args(&["--dry-run"])
        .run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    if std::path::Path::new("/usr/include/stdio.h").exists() {
        Crumbs::script("#include <nobody/has_this.h>\nbegin { }")
            .args(&["--dry-run"])
            .run()
            .refuses(&["E0350", "nobody/has_this.h"]);
    } else {
        println!("skipped: this machine has no C headers");
    }
}

#[test]
fn named_parameters_that_do_not_fit() {
    needs!(no_tracing());
    let script = "begin { print(getopt(\"n\", 1)); }";
    let run = |parameter| Crumbs::script(script).args(&["--", parameter]).run();
    run("--n=x").refuses(&["E0129", "a number"]);
    run("--m=1").refuses(&["E0310", "--n"]);
}

#[test]
fn what_is_no_binary_cannot_be_traced() {
    needs!(no_tracing());
    let outcome = Crumbs::script("uprobe:/etc/passwd:main { print(1); }").run();
    outcome.refuses(&["E0108", "/etc/passwd", "no ELF file"]);
}

#[test]
fn failing_helpers_are_told_with_their_place() {
    needs!(no_tracing());
    let script = "begin { @[1] = 1; delete(@, 2); _ = delete(@, 3); print(@[5]); print(@[1]); @n[1]++; }";
    let outcome = Crumbs::new().args(&["-k", "-e", script]).run();
    let deletion = "stdin:1:19-31: WARNING: Can't delete map element because it does not exist.\n\
                    Additional Info - helper: map_delete_elem, retcode: -2\n";
    let lookup = "stdin:1:57-61: WARNING: Can't lookup map element because it does not exist.\n\
                  Additional Info - helper: map_lookup_elem, retcode: 0\n";
    assert!(outcome.stderr.contains(deletion), "{outcome:?}");
    assert!(outcome.stderr.contains(lookup), "{outcome:?}");
    assert!(
        outcome
            .stderr
            .contains(&format!("{script}\n{}~~~~~~~~~~~~\n", " ".repeat(18)))
    );
    assert_eq!(
        outcome.stderr.matches("Additional Info").count(),
        2,
        "{outcome:?}"
    );
    assert_eq!(outcome.stdout, "0\n1\n\n\n@[1]: 1\n@n[1]: 1\n", "{outcome:?}");
    // Without the option nothing is told of what is not there.
    let outcome = Crumbs::new().args(&["-e", script]).run();
    assert!(!outcome.stderr.contains("Additional Info"), "{outcome:?}");
}

#[test]
fn failing_reads_are_told_as_json() {
    needs!(no_tracing());
    let script = "struct foo { int a; } begin { $a = ((struct foo *)16)->a; @x = $a; clear(@x); }";
    let outcome = Crumbs::new()
        .args(&["-k", "-q", "-f", "json", "-e", script])
        .run();
    let told = "{\"type\": \"helper_error\", \"msg\": \"Bad address\", \"helper\": \"probe_read\", \"retcode\": -14, \
                \"filename\": \"stdin\", \"line\": 1, \"col\": 36}\n";
    assert_eq!(outcome.stdout, told, "{outcome:?}");
}
