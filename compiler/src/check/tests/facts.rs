//! Types of maps and variables, conversions, and what statements become.

use super::*;

#[test]
fn types_of_maps() {
    for (source, expected) in [
        // Literals take on the sign of what they meet.
        ("@x = 1;", "@x: int64"),
        ("@x = 1; @x = nsecs;", "@x: uint64"),
        ("@x = nsecs; @x = 0;", "@x: uint64"),
        ("@x = -1; @x = nsecs;", "@x: int64"),
        ("@x = 18446744073709551615;", "@x: uint64"),
        ("@x = pid;", "@x: uint32"),
        ("@x = pid; @x = nsecs;", "@x: uint64"),
        ("@x = pid; @x = (int32)1;", "@x: int64"),
        ("@x = (uint8)1; @x = (int16)1;", "@x: int16"),
        ("@x = true;", "@x: bool"),
        ("@x = true; @x = 2;", "@x: int64"),
        // Arithmetic is done in 64 bits; differences are signed, and whatever has a signed operand.
        ("@x = nsecs - 1;", "@x: int64"),
        ("@x = nsecs / 1000;", "@x: uint64"),
        ("@x = nsecs * -1;", "@x: int64"),
        ("@x = pid + tid;", "@x: uint64"),
        ("@x = pid + 1;", "@x: uint64"),
        ("$i = 1; @x = pid + $i;", "@x: uint64"),
        ("$i = 1; @x = pid + $i; $i = -1;", "@x: int64"),
        ("@x = nsecs >> pid;", "@x: uint64"),
        ("@x = nsecs >> (int32)1;", "@x: int64"),
        ("@x = 1 << pid;", "@x: uint64"),
        ("@x = -pid;", "@x: int64"),
        ("@x = ~10;", "@x: uint64"),
        ("@x = true & false;", "@x: bool"),
        ("@x = ~pid;", "@x: uint32"),
        ("@x = pid > 1;", "@x: bool"),
        ("@x = pid ? 1 : nsecs;", "@x: uint64"),
        // Counting is done in 64 bits.
        ("@x++;", "@x: int64"),
        ("@x = nsecs; @x++;", "@x: uint64"),
        ("@x = nsecs; @x--;", "@x: int64"),
        ("@x += pid;", "@x: int64"),
        ("@x += nsecs;", "@x: uint64"),
        ("@x -= nsecs;", "@x: int64"),
        ("@x = @x + 1;", "@x: int64"),
        ("@x = (@x + 1) * 2;", "@x: int64"),
        // Text grows, tuples member by member.
        ("@x = \"ab\"; @x = comm;", "@x: string[16]"),
        (
            "@x = (1, \"a\"); @x = (nsecs, \"abc\");",
            "@x: (int64, string[4])",
        ),
        ("@x = pid ? \"a\" : \"abc\";", "@x: string[4]"),
        // Keys.
        ("@x[pid] = 1; @x[1] = 2;", "@x[int64]: int64"),
        (
            "@x[tid, comm] = 1; @x[(1, \"a\")] = 2;",
            "@x[(int64, string[16])]: int64",
        ),
        (
            "@x[\"a\"] = 1; delete(@x, \"abcdef\");",
            "@x[string[7]]: int64, deleted from",
        ),
        ("@x[1] = 1; print(len(@x));", "@x[int64]: int64, measured"),
        // Aggregations.
        ("@x = count();", "@x: count_t"),
        ("@x = count;", "@x: count_t"),
        ("@x = sum(1);", "@x: sum_t signed"),
        ("@x = sum(nsecs);", "@x: sum_t"),
        ("@x = sum(nsecs); @x = sum(1);", "@x: sum_t"),
        ("@x = sum(nsecs); @x = sum(-1);", "@x: sum_t signed"),
        ("@x = hist(1, 3);", "@x: hist_t signed [3]"),
        ("@x = lhist(1, -10, 10, 5);", "@x: lhist_t signed [-10, 10, 5]"),
    ] {
        assert_eq!(maps(&format!("begin {{ {source} }}")), [expected], "{source}");
    }
}

#[test]
fn types_come_from_the_whole_script() {
    assert_eq!(
        maps("begin { @a = @b; @b = @c; @c = pid; }"),
        ["@a: uint32", "@b: uint32", "@c: uint32"]
    );
    assert_eq!(
        maps("end { print(@s[1]); } uprobe:libc:open { @s[tid] = str(arg0); }"),
        ["@s[int64]: string[1025]"]
    );
    // A chain against the order of the script, longer than the bound for long scripts.
    let chain: String = (0..200).map(|i| format!("@m{i} = @m{}; ", i + 1)).collect();
    assert_eq!(maps(&format!("begin {{ {chain} @m200 = 1; }}")).len(), 201);
}

#[test]
fn statements() {
    for (source, expected) in [
        ("@x = 1; @x = 2;", "@x = 1; @x = 2"),
        ("@x = @x + 1;", "@x += 1"),
        ("@x = 2 * @x;", "@x *= 2"),
        ("@x = 2 - @x;", "@x = (2 - @x):int64"),
        ("@x[pid] = @x[pid] | 4;", "@x[pid] |= 4"),
        ("@x[pid] = @x[tid] | 4;", "@x[pid] = (@x[tid] | 4):int64"),
        ("@x -= pid;", "@x -= (int64)pid"),
        ("++@x; @x--;", "++@x; @x--"),
        ("@x = 1; $y = @x++; @x = $y;", "@x = 1; $y = @x++; @x = $y"),
        ("$x = 1; $x <<= 3; $x++;", "$x = 1; $x = ($x << 3):int64; $x++"),
        ("let $x: int8 = 1; $x = -3;", "$x = 1; $x = -3"),
        (
            "let $x: int32 = 1; $x += 1; $x = $x * 2 - 1;",
            "$x = 1; $x = (int32)((int64)$x + 1):int64; $x = (int32)(((int64)$x * 2):int64 - 1):int64",
        ),
        ("let $x: int64 = nsecs - 1;", "$x = ((int64)nsecs - 1):int64"),
        (
            "let $x: uint64 = pid; $x = nsecs - 1;",
            "$x = (uint64)pid; $x = (uint64)((int64)nsecs - 1):int64",
        ),
        ("let $x: string[9] = comm;", "$x = (string[9])comm"),
        ("{ $x = 1; } { $x = comm; }", "$x.0 = 1; $x.1 = comm"),
        ("print((uint8)300 + (int8)200);", "emit 0((44 + -56):int64)"),
        ("print((uint8)pid);", "emit 0((uint8)pid)"),
        ("print(comm == \"dd\");", "emit 0((comm == \"dd\"))"),
        ("print((1, (2, \"x\")).1.1);", "emit 0((1, (2, \"x\")).1.1)"),
        (
            "$p = pid; print($p ?: 7);",
            "$p = pid; emit 0(($p ? (int64)$p : 7))",
        ),
        ("print(!pid || pid > 3);", "emit 0((!pid || ((int64)pid > 3)))"),
        ("return; _ = pid;", "return; pid"),
        (
            "@x[1] = 1; delete(@x[1]); delete(@x, 1);",
            "@x[1] = 1; delete @x[1]; delete @x[1]",
        ),
        ("@x = 1; delete(@x);", "@x = 1; delete @x"),
        (
            "pid ? printf(\"a\") : printf(\"b\");",
            "(pid ? emit 0() : emit 1())",
        ),
        (
            "print(probe == \"begin\"); print(probe != \"begin\");",
            "emit 0(true); emit 1(false)",
        ),
        ("exit;", "emit 0()"),
    ] {
        assert_eq!(body(&format!("begin {{ {source} }}")), expected, "{source}");
    }
}

#[test]
fn text() {
    let expected = "emit 0(text:string[5](record[24: int8*], 5))";
    assert_eq!(
        body("tracepoint:syscalls:sys_enter_openat { print(str(args.filename, 5)); }"),
        expected
    );
    let expected = "emit 0(text:string[1025]((int8*)(uint64)arg0, (uint64)arg1))";
    assert_eq!(body("uprobe:libc:open { print(str(arg0, arg1)); }"), expected);
    assert_eq!(
        body("uprobe:libc:open { print(str(arg0, 5000)); }"),
        "emit 0(text:string[1025]((int8*)(uint64)arg0, 5000))"
    );
}

#[test]
fn fields() {
    for (field, expected) in [
        (
            "sched:sched_switch { print(args.prev_comm); }",
            "emit 0(record[8: 16 characters])",
        ),
        (
            "sched:sched_switch { print(args->prev_pid); }",
            "emit 0(record[24: int32])",
        ),
        (
            "sched:sched_process_exec { print(args.filename); }",
            "emit 0(record[8: text elsewhere])",
        ),
        (
            "syscalls:sys_enter_write { print(args.fd); }",
            "emit 0(record[16: uint32])",
        ),
        (
            "syscalls:sys_enter_openat { print(args.dfd); }",
            "emit 0(record[16: int32])",
        ),
    ] {
        assert_eq!(body(&format!("tracepoint:{field}")), expected);
    }
}

#[test]
fn comparisons_of_mixed_signs() {
    let where_ = |source: &str| {
        let text = hir(source).to_string();
        text.lines()
            .find_map(|line| Some(line.strip_prefix("where ")?.to_owned()))
            .unwrap()
    };
    // A negative literal stands for the bits of a failed call.
    assert_eq!(
        where_("uretprobe:libc:write /retval == -1/ { }"),
        "((int64)retval == -1)"
    );
    assert_eq!(where_("uretprobe:libc:write /retval > 0/ { }"), "(retval > 0)");
    assert_eq!(
        where_("uretprobe:libc:write /(int32)retval < 0/ { }"),
        "((int64)(int32)retval < 0)"
    );
}

#[test]
fn prints_and_clears_are_joined() {
    let events = |source: &str| {
        let script = hir(&format!("begin {{ @x[1] = 1; @y = 1; {source} }}"));
        let text = script.to_string();
        let names = text.lines().filter_map(|line| line.strip_prefix("event "));
        names
            .map(|line| line.split([',', '=']).nth(1).unwrap().trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(events("print(@x); clear(@x);"), ["print @x then clear"]);
    assert_eq!(events("print(@x); zero(@x); @x[1] = 2;"), ["print @x then zero"]);
    assert_eq!(
        events("print(@x); print(@y); time(); clear(@x); clear(@y);").len(),
        3
    );
    assert_eq!(
        events("print(@x); @x[2] = 1; clear(@x);"),
        ["print @x", "clear @x"]
    );
    assert_eq!(
        events("print(@x); if (@x[1]) { @y = 2; } clear(@x);"),
        ["print @x", "clear @x"]
    );
    assert_eq!(
        events("print(@x); if (pid) { return; } clear(@x);"),
        ["print @x", "clear @x"]
    );
    assert_eq!(
        events("print(@x); if (pid) { exit(); } clear(@x);"),
        ["print @x", "exit", "clear @x"]
    );
    assert_eq!(
        events("if (pid) { print(@x); } clear(@x);"),
        ["print @x", "clear @x"]
    );
    assert_eq!(
        events("print(@x); clear(@x); clear(@x);"),
        ["print @x then clear", "clear @x"]
    );
    let joined = hir("begin { @x = 1; print(@x); clear(@x); }");
    assert!(joined.maps[0].taken && joined.maps[0].cleared && !joined.maps[0].deleted_from);
    assert!(!hir("begin { @x = 1; print(@x); }").maps[0].taken);
}

#[test]
fn records_are_laid_out_in_order() {
    let script = hir("begin { printf(\"%s %d %s\", comm, pid, (1, \"abc\")); exit(3); time(); }");
    let text = script.to_string();
    let events: Vec<_> = text.lines().filter(|line| line.starts_with("event")).collect();
    assert_eq!(
        events,
        [
            "event 0 = printf, 48 bytes, 8: string[16], 24: uint32, 32: (int64, string[4])",
            "event 1 = exit, 16 bytes, 8: int64",
            "event 2 = time \"%H:%M:%S\\n\", 8 bytes",
        ]
    );
}

/// Long scripts are checked in time linear in their length: the bound is far above what is needed, and far below what
/// anything quadratic takes.
#[test]
fn long_scripts() {
    let mut source = "begin { ".to_owned();
    for i in 0..5000 {
        source.push_str(&format!(
            "$v{i} = {i}; @m{i}[pid, {i}] = $v{i} + 1; print(@m{i}); "
        ));
    }
    source.push('}');
    let parsed = crumbs_grammar::parse(&source);
    let start = std::time::Instant::now();
    let (script, diagnostics) = check(
        &parsed.script,
        &Sources::new("-e", &source),
        &target(),
        &Options::default(),
    );
    assert!(script.is_some() && diagnostics.is_empty());
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    // As many mistakes, each with names to choose from.
    let source = source.replace("print(@m", "print(@n");
    let parsed = crumbs_grammar::parse(&source);
    let start = std::time::Instant::now();
    let (_, diagnostics) = check(
        &parsed.script,
        &Sources::new("-e", &source),
        &target(),
        &Options::default(),
    );
    assert_eq!(diagnostics.len(), crumbs_grammar::MAX_DIAGNOSTICS + 1);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
