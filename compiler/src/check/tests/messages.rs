//! What users are told: the text of the most common mistakes, and that one mistake is told once.

use super::*;

/// The message and the help of the only diagnostic.
fn told(source: &str) -> (String, Vec<String>) {
    let (_, mut diagnostics) = checked(source);
    assert_eq!(diagnostics.len(), 1, "{source}: {diagnostics:#?}");
    let diagnostic = diagnostics.remove(0);
    (diagnostic.message, diagnostic.help)
}

#[test]
fn messages() {
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    for (source, message, help) in [
        (
            "uprobe:libc:wirte { }",
            format!("{libc} has no function `wirte`"),
            "did you mean `write`",
        ),
        (
            "uprob:libc:write { }",
            "there is no kind of probe `uprob`".into(),
            "did you mean `uprobe`",
        ),
        (
            "uprobe:libhfd5:f { }",
            "cannot find a program or library `libhfd5`".into(),
            "did you mean",
        ),
        (
            "asyncwatchpoint:f:8:w { }",
            "there are no asyncwatchpoint probes here".into(),
            "`watchpoint:",
        ),
        (
            "tracepoint:syscalls:sys_enter_raed { }",
            "there is no tracepoint `syscalls:sys_enter_raed`".into(),
            "did you mean `syscalls:sys_enter_read`",
        ),
        (
            "uprobe:libc:wri*zzz { }",
            format!("no function of {libc} matches `wri*zzz`"),
            "lists its functions",
        ),
        (
            "uprobe:libc { }",
            "this is not the form of a uprobe probe".into(),
            "for example `uprobe:libc:write`",
        ),
        (
            "uprobe:$1:f { }",
            "the attach point needs parameter `$1`, which is not given".into(),
            "follow the script",
        ),
        (
            "begin { print(pidd); }",
            "`pidd` is not known".into(),
            "did you mean `pid`",
        ),
        (
            "begin { @n = 1; print(n); }",
            "`n` is not known".into(),
            "did you mean `@n`?",
        ),
        (
            "begin { $n = 1; print(n + $n); }",
            "`n` is not known".into(),
            "did you mean `$n`?",
        ),
        (
            "begin { prinft(1); }",
            "there is no function `prinft`".into(),
            "`printf`",
        ),
        (
            "begin { @a = 1; print(@b); }",
            "`@b` is never assigned".into(),
            "assign it where its value is known",
        ),
        (
            "begin { $abc = 1; print($abd); print($abc); }",
            "`$abd` is not defined here".into(),
            "did you mean `$abc`?",
        ),
        (
            "begin { if (1) { let $x = 1; } print($x); }",
            "`$x` is not defined here".into(),
            "declare it before the block: `let $x;`",
        ),
        (
            "begin { @x = 1; @x = \"a\"; }",
            "`@x` holds int64, but this is string".into(),
            "`@x` has one type throughout the script",
        ),
        (
            "begin { @x[1] = 1; @x[\"a\"] = 1; }",
            "the key of `@x` is int64, but this is string".into(),
            "another map",
        ),
        (
            "begin { @x[1] = 1; @x[1, 2] = 1; }",
            "`@x` has 2 keys here and 1 key elsewhere".into(),
            "give it 1 key everywhere",
        ),
        (
            "begin { @x = hist(1); @x = hist(1, 2); }",
            "`@x` is hist(…, 2) here and hist(…, 0) elsewhere".into(),
            "use a map for each",
        ),
        (
            "begin { @x = 5; @x = count(); }",
            "`@x` is count() here and int64 elsewhere".into(),
            "use a map for each",
        ),
        (
            "begin { print(count()); }",
            "`count` must be assigned to a map".into(),
            "write `@name = count(…);`",
        ),
        (
            "begin { print(arg0); }",
            "`arg0` does not exist in begin probes".into(),
            "it exists in uprobe, ucall, usdt, kprobe, kcall, rawtracepoint probes",
        ),
        (
            "begin { printf(\"%d\\n\"); }",
            "the format's 1 conversion has 0 values".into(),
            "add 1 value",
        ),
        (
            "begin { printf(\"%d\", comm); }",
            "this conversion shows a number, and this is string".into(),
            "`%s` shows any value",
        ),
        (
            "begin { print(has_key(@x)); @x[1] = 1; }",
            "`has_key` takes 2 arguments, and 1 is given".into(),
            "its form: has_key(@map, key)",
        ),
        (
            "uretprobe:libc:write /retval < 0/ { }",
            "this is always false: `retval` is uint64, which is never below 0".into(),
            "cast it: `(int64)retval`",
        ),
        (
            "begin { let $x: uint8 = pid; }",
            "`$x` is declared uint8, and this uint32 may be cut".into(),
            "`(uint8)pid`",
        ),
        (
            "begin { let $x: uint8 = 300; }",
            "`$x` is declared uint8, and this int64 does not fit".into(),
            "`(uint8)300`",
        ),
        (
            "begin { @n = count(); @x = @n; }",
            "`@n` is an aggregation, which one map cannot take from another".into(),
            "`(int64)@n`",
        ),
        (
            "begin { print(sizeof({ @x = 1; 2 })); }",
            "`@x` cannot be assigned where only a type is asked for".into(),
            "",
        ),
        (
            "begin { let $x; $y = &$x; }",
            "nothing says which type `$x` has".into(),
            "`let $x: int64;`",
        ),
        (
            "begin { $p = (int32 *)8; print($p * 2); }",
            "`*` cannot take int32* and int64".into(),
            "`(uint64)$p`",
        ),
        (
            "enum e { ONE = 1 } begin { print((enum e)2); }",
            "enum e has no constant of the value 2".into(),
            "",
        ),
        (
            "begin { return \"x\"; }",
            "a probe returns a number, and this is string".into(),
            "",
        ),
        (
            "config = { max_strln = 3 } begin { }",
            "there is no config variable `max_strln`".into(),
            "`max_strlen`",
        ),
        (
            "config = { strlen = 3 } begin { }",
            "there is no config variable `strlen`".into(),
            "it is called `max_strlen` now",
        ),
        (
            "begin { if (comm) { } }",
            "a condition is a number or boolean, and this is string".into(),
            "compare it",
        ),
        (
            "begin { print($t); }",
            "`$t` is not defined here".into(),
            "what one probe keeps for another is a map",
        ),
        (
            "tracepoint:sched:sched_switch { print($args.prev_pid); }",
            "`$args` is not defined here".into(),
            "did you mean `args`?",
        ),
        (
            "begin { x = 1; x = 2; print(x); }",
            "variables begin with `$`".into(),
            "`$x`",
        ),
        (
            "begin { print(True); print(True); }",
            "`True` is not known".into(),
            "did you mean `true`?",
        ),
        (
            "begin { char *s = \"x\"; print(s); }",
            "variables are not declared as in C".into(),
            "write `$s = …;`",
        ),
        (
            "begin { print(comm + \"x\"); }",
            "`+` cannot take string and string".into(),
            "str_concat",
        ),
        (
            "begin { @ = count(); @ == count(); }",
            "an aggregation is assigned, not compared".into(),
            "write `=`",
        ),
    ] {
        let (said, helps) = told(source);
        assert_eq!(said, message, "{source}");
        assert_eq!(helps.is_empty(), help.is_empty(), "{source}: {helps:?}");
        assert!(
            help.is_empty() || helps.iter().any(|line| line.contains(help)),
            "{source}: {helps:?}"
        );
    }
}

#[test]
fn arguments_under_their_other_name() {
    let helps = told("uprobe:libc:write { print(args.count); }").1;
    assert_eq!(helps[1], "here the arguments are `arg0`, `arg1`, …");
    let helps = told("tracepoint:syscalls:sys_enter_close { print(arg0); }").1;
    assert_eq!(
        helps[1],
        "here the fields of the record are `args.NAME`: __syscall_nr, fd"
    );
    let helps = told("uretprobe:libc:write { print(arg0); }").1;
    assert_eq!(
        helps[1],
        "keep it in a map at the function's entry: `@x[tid] = …`"
    );
}

#[test]
fn both_places_are_shown() {
    let source = "begin { @x = 1; @x = \"a\"; }";
    let diagnostic = &checked(source).1[0];
    let [first] = &diagnostic.secondary[..] else {
        panic!("{diagnostic:?}");
    };
    assert_eq!(
        (&source[first.span.range()], first.message.as_str()),
        ("1", "`@x` holds int64 since here")
    );
    assert_eq!(&source[diagnostic.primary.span.range()], "\"a\"");
}

/// What follows from a mistake is not told.
#[test]
fn no_cascades() {
    for source in [
        "begin { $x = nosuch + 1; print($x * 2); @m[$x] = $x; print(@m[$x]); if ($x) { @m[$x]++; } }",
        "begin { @x = nosuch(); @y = @x + 1; print(@y); @z[@y] = count(); }",
        "begin { print($q); $q += 1; print($q); }",
        "begin { print(@q); print(@q[1]); clear(@q); }",
        "begin { printf(\"%d %d\", nosuch, 1); }",
        "begin { @x = hist(nosuch); print(@x); }",
        "begin { let $x: nosuch = 1; print($x); }",
        "tracepoint:sched:* { print(args.nosuch + 1); }",
        "uprobe:nosuch:f { @x = arg0; print(@x); } end { print(@x); }",
        "begin { @x[nosuch] = 1; print(@x[1]); delete(@x, 1); }",
        "begin { @x = 1; print(@x[1]); @x[2] = 3; delete(@x, 4); }",
        "begin { $t = (nosuch, 1); print($t.0); print($t.7); }",
    ] {
        let said = said(source);
        assert_eq!(said.len(), 1, "{source}: {said:#?}");
    }
}

#[test]
fn several_mistakes_are_told_in_order() {
    let said = said("begin { print(nosuch); @x = 1; @x = \"a\"; foo(); } uprobe:libc:wirte { print($u); }");
    let codes: Vec<_> = said.iter().map(|line| &line[..5]).collect();
    assert_eq!(codes, ["E0111", "E0119", "E0112", "E0105", "E0117"]);
}
