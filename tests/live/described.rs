//! What debug information says of traced programs: parameters by name, types, lines of source.

use crate::support::{Crumbs, Outcome, compiled, directory, needs, no_tracing};
use std::path::{Path, PathBuf};
use std::process::Command;

fn described(options: &[&str]) -> PathBuf {
    let mut all = vec!["-g"];
    all.extend(options);
    compiled("described.c", &all)
}

fn run(script: &str, program: &Path) -> Outcome {
    Crumbs::script(script)
        .on(program)
        .args(&["-c", program.to_str().unwrap()])
        .run()
}

/// The line of the test program with this text.
fn line(text: &str) -> usize {
    let source = include_str!("programs/described.c");
    source.lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn parameters_have_names_and_types() {
    needs!(no_tracing());
    for options in [
        &["-O0"][..],
        &["-O2"],
        &["-O1", "-gdwarf-4"],
        &["-O0", "-gdwarf-3"],
    ] {
        let script = r#"
            uprobe:PROGRAM:small { printf("%d %c\n", *args.where, args.letter); printf("%d\n", *args->where); }
            uprobe:PROGRAM:find {
                printf("%d %s %d\n", args.node.value, args.node.name, args.node.next.inner.second);
                print(args.node.list);
                print((args.node.whole, args.node.bytes[2], args.node.low, args.node.high));
                print(*args.node.next);
                print(args.unknown);
            }
            uprobe:PROGRAM:make { print(args); }"#
            .replace("print(*args.node.next)", "print(args.node.next.inner)");
        run(&script, &described(options)).prints(
            "13 x\n13\n123 first 2\n[1,2,3]\n(67305985, 3, 5, 29)\n{ .first = 1, .second = 2 }\n0x0\n{ .count = 21 }\n\n\n",
        );
    }
}

#[test]
fn parameters_are_found_however_they_are_passed() {
    needs!(no_tracing());
    let script = r#"
        uprobe:PROGRAM:values {
            print(args.point); print(args.pair.second); print(args.large.words[4]); print(args.shade);
            print((args.flag, args.sixth, args.seventh, args.last));
            print(args);
            @[args.pair, args.point.z] = count();
        }"#;
    let point = "{ .x = 1, .y = -2, .z = 122 }";
    let pair = "{ .first = 3, .second = -4 }";
    run(script, &described(&["-O0"])).prints(&format!(
        "{point}\n-4\n14\nBRIGHT\n(true, 66, 77, -8)\n{{ .point = {point}, .pair = {pair}, .large = {{ .words = \
         [10,11,12,13,14] }}, .shade = BRIGHT, .flag = true, .sixth = 66, .seventh = 77, .last = -8 }}\n\n\n\
         @[{pair}, 122]: 1\n"
    ));
}

#[test]
fn types_of_the_program_are_known_in_its_probes() {
    needs!(no_tracing());
    let script = r#"
        uprobe:PROGRAM:find { printf("%d %d\n", ((struct node *)arg0).value, sizeof(struct large)); @ = (counter)arg1; }
        uretprobe:PROGRAM:find { printf("%d %s\n", retval->value, retval.name); }"#;
    run(script, &described(&["-O0"])).prints("123 40\n7 last\n\n\n@: 0\n");
    // The kernel's types are there as well.
    let script = "uprobe:PROGRAM:find { print((curtask->pid == pid, sizeof(struct node) == sizeof(struct task_struct))); }";
    run(script, &described(&["-O0"])).prints("(true, false)\n\n\n");
    // What the script declares comes first.
    let script = "struct node { short half; } uprobe:PROGRAM:find { print(((struct node *)arg0).half); }";
    run(script, &described(&["-O0"])).prints("123\n\n\n");
}

#[test]
fn programs_with_different_parameters_share_a_probe() {
    needs!(no_tracing());
    let script = "uprobe:PROGRAM:main, uprobe:PROGRAM:small { @[func] = count(); } uprobe:PROGRAM:s*, uprobe:PROGRAM:find \
                  { @a[func] = count(); }";
    run(script, &described(&["-O0"])).maps("@[main]: 1\n@[small]: 1\n@a[find]: 1\n@a[small]: 1\n");
}

#[test]
fn lines_of_source_are_places() {
    needs!(no_tracing());
    let (begin, body) = (
        line("NOINLINE struct large make"),
        line("struct large large = {{count}}"),
    );
    let script = format!(
        "uprobe:PROGRAM@described.c:{begin}, uprobe:PROGRAM:make {{ @places[reg(\"ip\")] = 1; }}
         uprobe:PROGRAM@programs/described.c:{body} {{ @places[reg(\"ip\")] = 1; print(func); }}
         uprobe:PROGRAM@described.c:{} {{ printf(\"%s %d\\n\", func, len(@places)); clear(@places); }}",
        line("a line of its own")
    );
    run(&script, &described(&["-O0"])).prints("make\nmain 2\n\n\n");
}

#[test]
fn separate_debug_files_are_found() {
    needs!(no_tracing());
    let program = described(&["-O0"]);
    let tool = |name: &str, args: &[&str]| {
        let status = Command::new(name).args(args).status().unwrap();
        assert!(status.success(), "{name} {args:?}");
    };
    let debug = program.with_extension("debug");
    let (path, debug_path) = (program.to_str().unwrap(), debug.to_str().unwrap());
    tool(
        "objcopy",
        &["--only-keep-debug", "--compress-debug-sections", path, debug_path],
    );
    tool("strip", &["-g", path]);
    let script = "uprobe:PROGRAM:small { print(args.letter); }";
    let refused = "it has no debug information";
    run(script, &program).refuses(&[refused, "arg0"]);
    // By its build id, in a directory that is named.
    let output = Command::new("readelf").args(["-n", path]).output().unwrap();
    let notes = String::from_utf8(output.stdout).unwrap();
    let id = notes
        .split("Build ID: ")
        .nth(1)
        .map(|rest| rest.split_whitespace().next().unwrap());
    if let Some(id) = id {
        let below = directory().join(".build-id").join(&id[..2]);
        std::fs::create_dir_all(&below).unwrap();
        std::fs::copy(&debug, below.join(format!("{}.debug", &id[2..]))).unwrap();
        let directories = below.ancestors().nth(2).unwrap().to_str().unwrap();
        Crumbs::script(script)
            .on(&program)
            .args(&["--debuginfo", directories, "-c", path])
            .run()
            .prints("120\n\n\n");
        run(script, &program).refuses(&[refused]);
    }
    // By its link, beside the program.
    tool("objcopy", &[&format!("--add-gnu-debuglink={debug_path}"), path]);
    run(script, &program).prints("120\n\n\n");
    std::fs::copy("/bin/true", &debug).unwrap();
    run(script, &program).refuses(&[refused]);
}

#[test]
fn split_debug_information_is_found() {
    needs!(no_tracing());
    let script =
        r#"uprobe:PROGRAM:find { printf("%d %s\n", args.node.value, ((struct node *)arg0).next.name); }"#;
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let program = described(&["-O0", "-gsplit-dwarf", version]);
        run(script, &program).prints("123 last\n\n\n");
    }
}

#[test]
fn what_is_not_described_is_said() {
    needs!(no_tracing());
    let program = described(&["-O0"]);
    let refused = |script: &str, parts: &[&str]| run(script, &program).refuses(parts);
    refused(
        "uprobe:PROGRAM:values { print(args.real); }",
        &["`real` cannot be read", "floating-point register"],
    );
    refused(
        "uprobe:PROGRAM:values { print(args.nosuch); }",
        &["no parameter `nosuch`", "point, pair, large"],
    );
    refused("uprobe:PROGRAM:square { }", &["no function `square`", "inlined"]);
    refused(
        "uprobe:PROGRAM@described.c:1 { }",
        &["no instruction", "the next one with code is"],
    );
    refused(
        "uprobe:PROGRAM@other.c:1 { }",
        &["no code comes from a file of that name"],
    );
    refused(
        "uretprobe:PROGRAM@described.c:40 { }",
        &["placed on a whole function"],
    );
    refused("uprobe:PROGRAM:find { print(args.unknown.field); }", &["field"]);
}

#[test]
fn listings_have_parameters_and_types() {
    needs!(no_tracing());
    let program = described(&["-O0"]);
    let path = program.to_str().unwrap();
    let list = |pattern: &str| {
        let outcome = Crumbs::new().args(&["-l", "-v", pattern]).run();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        outcome.stdout
    };
    assert_eq!(
        list(&format!("uprobe:{path}:f*d")),
        format!("uprobe:{path}:find\n    struct node* node\n    struct opaque* unknown\n")
    );
    let values = list(&format!("uprobe:{path}:values"));
    for part in [
        "    struct point point\n",
        "    enum shade shade\n",
        "    _Bool flag\n",
        "    double real\n",
    ] {
        assert!(values.contains(part), "{values}");
    }
    assert!(list(&format!("uprobe:{path}:make")).contains("    counter count\n"));
    let types = list("enum pid_type");
    assert!(
        types.starts_with("enum pid_type {\n\tPIDTYPE_PID = 0,\n"),
        "{types}"
    );
    let list = |pattern: &str| Crumbs::new().args(&["-l", pattern]).run();
    assert_eq!(list("struct task_struct").stdout, "struct task_struct\n");
    list("struct task_strut").refuses(&["struct task_strut", "task_struct"]);
}

#[test]
fn stacks_tell_lines_and_inlined_functions() {
    needs!(no_tracing());
    let source = include_str!("programs/nested.c");
    let line = |text: &str| source.lines().position(|line| line.contains(text)).unwrap() + 1;
    let (inner, middle, outer) = (line("// in inner"), line("// in middle"), line("// in outer"));
    let program = compiled("nested.c", &["-g", "-O1"]);
    let stacks = |config: &str| {
        let script = format!(
            "{config} uprobe:PROGRAM@nested.c:{inner} {{ print(ustack(3)); print(ustack(2)); print(ustack(perf, 2)); }}"
        );
        let outcome = run(&script, &program);
        let lines: Vec<String> = outcome
            .stdout
            .lines()
            .map(|line| line.trim().to_owned())
            .collect();
        lines
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    let shown = stacks("");
    let is = |line: &str, begin: &str, number: usize| {
        line.starts_with(begin) && line.ends_with(&format!("nested.c:{number}"))
    };
    assert!(is(&shown[0], "[inlined] inner@/", inner), "{shown:?}");
    assert!(is(&shown[1], "[inlined] middle@/", middle), "{shown:?}");
    assert!(is(&shown[2], "outer+", outer), "{shown:?}");
    // So many lines as frames were asked for.
    assert_eq!(shown[3..5], shown[..2], "{shown:?}");
    assert!(shown[5].ends_with(" inner (inlined)") && shown[6].ends_with(" middle (inlined)"));
    assert_eq!(shown.len(), 7, "{shown:?}");
    let shown = stacks("config = { show_debug_info = false }");
    let (name, offset) = shown[0].split_once('+').unwrap();
    assert!(name == "outer" && offset.parse::<u64>().is_ok(), "{shown:?}");
}
