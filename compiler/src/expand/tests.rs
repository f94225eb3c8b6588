#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::target::fixture::FixtureTarget;
use crumbs_grammar::dump::dump;

fn target() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../../../tests/golden/target.txt")).unwrap()
}

fn expanded_on(target: &dyn Target, source: &str, options: &Options) -> Expanded {
    let parsed = crumbs_grammar::parse(source);
    assert!(
        parsed.diagnostics.is_empty(),
        "{source}: {:?}",
        parsed.diagnostics
    );
    expand("-e", source, parsed.script, target, options)
}

/// The dump of what `source` expands to, which is the dump of `same` without its places.
fn assert_same(source: &str, same: &str) {
    let expanded = expanded_on(&target(), source, &Options::default());
    assert!(
        expanded.diagnostics.is_empty(),
        "{source}: {:#?}",
        expanded.diagnostics
    );
    let wanted = crumbs_grammar::parse(same);
    assert_eq!(tree(&expanded.script), tree(&wanted.script), "{source}");
}

fn tree(script: &ast::Script) -> Vec<String> {
    dump(script).lines().map(|line| line.to_owned()).collect()
}

/// Codes and the texts they are about.
fn said(source: &str) -> Vec<String> {
    let expanded = expanded_on(&target(), source, &Options::default());
    let sources = expanded.sources;
    let told = sources.settle(expanded.diagnostics);
    told.iter()
        .map(|d| {
            format!(
                "{} `{}`: {}",
                d.code.id,
                &source[d.primary.span.range()],
                d.message
            )
        })
        .collect()
}

#[test]
fn values_are_put_in_place() {
    assert_same(
        "macro one() { 1 } begin { print(one + one()); }",
        "begin { print(1 + 1); }",
    );
    assert_same(
        "macro twice(x) { x; x; } begin { twice(printf(\"a\")); }",
        "begin { { printf(\"a\"); printf(\"a\"); } }",
    );
    assert_same(
        "macro sum(a, b) { a + b } begin { print(sum(sum(1, 2), 3)); }",
        "begin { print((1 + 2) + 3); }",
    );
    assert_same(
        "macro fill(@m, k) { @m[k] = 1; } macro both(@m) { fill(@m, 1); fill(@m, 2); } begin { both(@x); }",
        "begin { { { @x[1] = 1; } { @x[2] = 1; } } }",
    );
    assert_same(
        "macro add($v) { $v += 1; } begin { $a = 1; add($a); }",
        "begin { $a = 1; { $a += 1; } }",
    );
    assert_same(
        "macro big(x) { x > 5 } uprobe:libc:write /big(arg2)/ { }",
        "uprobe:libc:write /arg2 > 5/ { }",
    );
    assert_same(
        "macro half(x) { x / 2 } begin { half(8); }",
        "begin { { _ = 8 / 2; } }",
    );
}

#[test]
fn the_best_overload_is_taken() {
    let macros = "macro m() { 0 } macro m(x) { 1 } macro m($v) { 2 } macro m(@m) { 3 } macro m(x, y) { 4 } ";
    for (call, value) in [
        ("m", 0),
        ("m()", 0),
        ("m(7)", 1),
        ("m($a)", 2),
        ("m(@a)", 3),
        ("m(@a[1])", 1),
        ("m(1, 2)", 4),
    ] {
        assert_same(
            &format!("{macros} begin {{ print({call}); }}"),
            &format!("begin {{ print({value}); }}"),
        );
    }
    // A function is meant where no macro fits.
    assert_same(
        "macro len(a, b) { 1 } begin { print(len(@x)); }",
        "begin { print(len(@x)); }",
    );
    assert_same(
        "macro len(@m) { 1 } begin { print(len(@x)); }",
        "begin { print(1); }",
    );
}

#[test]
fn variables_are_each_use_own() {
    let expanded = expanded_on(
        &target(),
        "macro next(x) { $n = x; $n + 1 } begin { $n = 5; print(next($n) + next(2)); }",
        &Options::default(),
    );
    let text = dump(&expanded.script);
    for name in ["$n'1", "$n'2"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn types_are_arguments() {
    assert_same(
        "macro size(T) { sizeof(T) } begin { print(size(struct task_struct)); }",
        "begin { print(sizeof(struct task_struct)); }",
    );
    assert_same(
        "macro as(T, e) { (typeof(T))e } begin { print(as(typeof($x), 1)); }",
        "begin { print((typeof(typeof($x)))1); }",
    );
}

#[test]
fn mistakes() {
    for (source, wanted) in [
        (
            "macro m(x) { n(x) } macro n(x) { m(x) } begin { m(1); }",
            "E0305 `m(x)`: the macro `m` uses itself",
        ),
        (
            "macro m(x) { x } begin { m(); }",
            "E0304 `m()`: the macro `m` takes 1 argument, and 0 are given",
        ),
        (
            "macro m(@a) { len(@a) } begin { m(@x[1]); }",
            "E0304 `@x[1]`: the macro `m` needs a map as a whole for `@a`",
        ),
        (
            "macro m(x) { x } begin { print(m); }",
            "E0304 `m`: the macro `m` takes 1 argument, and 0 are given",
        ),
        (
            "macro m(x, x) { x } begin { m(1, 2); }",
            "E0303 `x`: two parameters are called `x`",
        ),
        (
            "begin { import \"x.bt\"; }",
            "E0301 `import \"x.bt\"`: an import inside of a block",
        ),
        (
            "import \"x.bpf.c\"; begin { }",
            "E0300 `\"x.bpf.c\"`: `x.bpf.c` needs a C compiler, which crumbs does without",
        ),
    ] {
        assert_eq!(said(source), [wanted], "{source}");
    }
}

#[test]
fn uses_are_told() {
    let source = "macro inner() { @x } macro outer() { inner() } begin { outer(); }";
    let expanded = expanded_on(&target(), source, &Options::default());
    let told = expanded.sources.settle(expanded.diagnostics);
    let uses: Vec<_> = told[0]
        .secondary
        .iter()
        .map(|l| &source[l.span.range()])
        .collect();
    assert_eq!((told.len(), uses), (1, vec!["inner()", "outer()"]));
}

/// Macros that multiply are stopped, however they do it.
#[test]
fn amounts_are_bounded() {
    let mut wide = "macro m0(x) { x; x; x; x; x; x; x; x; }".to_owned();
    let mut deep = "macro m0(x) { -x }".to_owned();
    for i in 1..40 {
        wide += &format!(" macro m{i}(x) {{ m{0}(x); m{0}(x); }}", i - 1);
        deep += &format!(" macro m{i}(x) {{ m{0}(m{0}(x)) }}", i - 1);
    }
    for macros in [wide, deep] {
        let source = format!("{macros} begin {{ m39(1); }}");
        let told = said(&source);
        assert!(told.len() == 1 && told[0].starts_with("E0307"), "{told:?}");
    }
}

#[test]
fn imports_are_read_once() {
    let machine = target()
        .with_file("a.bt", "import \"b.bt\"; macro a() { b() }")
        .with_file("b.bt", "import \"a.bt\"; macro b() { 7 } end { exit(); }")
        .with_file("dir/x.bt", "macro x() { 1 }")
        .with_file("dir/y.bt", "macro y() { 2 }");
    let options = Options {
        library: &[("posix", "macro p() { 3 }")],
        ..Options::default()
    };
    let source = "import \"a.bt\"; import \"b.bt\"; import \"dir\"; import \"posix\"; begin { print((a, b, x, y, p)); }";
    let expanded = expanded_on(&machine, source, &options);
    assert!(expanded.diagnostics.is_empty(), "{:?}", expanded.diagnostics);
    let wanted = crumbs_grammar::parse("end { exit(); } begin { print((7, 7, 1, 2, 3)); }");
    assert_eq!(tree(&expanded.script), tree(&wanted.script));
}

#[test]
fn mistakes_of_imports_are_told_where_they_are() {
    let machine = target()
        .with_file("a.bt", "macro a() { 1 +; }")
        .with_file("c.bt", "config = { max_strlen = 5 }");
    let expanded = expanded_on(
        &machine,
        "import \"a.bt\"; import \"c.bt\"; begin { }",
        &Options::default(),
    );
    let told = expanded.sources.settle(expanded.diagnostics);
    let places: Vec<_> = told
        .iter()
        .map(|d| {
            let position = expanded.sources.position(d.primary.span);
            (d.code.id, position.file, position.column)
        })
        .collect();
    assert_eq!(places, [("E0015", "a.bt", 16), ("E0302", "c.bt", 1)]);
}

#[test]
fn blocks_import_where_that_is_enabled() {
    let machine = target().with_file("a.bt", "macro a() { 1 }");
    let source = "config = { unstable_import_statement = enable } begin { import \"a.bt\"; print(a); }";
    let expanded = expanded_on(&machine, source, &Options::default());
    assert!(expanded.diagnostics.is_empty(), "{:?}", expanded.diagnostics);
    assert!(dump(&expanded.script).contains("1"));
}

/// Only probes that can fire in any process get the condition, and the map of processes has a name of its own.
#[test]
fn descendants_are_followed_by_probes_of_their_own() {
    let options = Options {
        pid: Some(7),
        follow_tree: true,
        ..Options::default()
    };
    let source = "begin, uprobe:libc:write /@x/ { @x = 1; } interval:s:1 { }";
    let expanded = expanded_on(&target(), source, &options);
    assert!(expanded.diagnostics.is_empty());
    let text = dump(&expanded.script);
    let same = "begin /@x/ { @x = 1; }
        uprobe:libc:write /(pid == 7 || has_key(@f, tid(init))) && @x/ { @x = 1; }
        interval:s:1 { }
        tracepoint:sched:sched_process_fork /pid == 7 || has_key(@f, tid(init))/ { @f[(uint32)args.child_pid] = 1; }
        tracepoint:sched:sched_process_exec /has_key(@f, (uint32)args.old_pid)/ { @f[(uint32)args.pid] = 1; }
        tracepoint:sched:sched_process_exit { delete(@f, tid(init)); }";
    let wanted = dump(&crumbs_grammar::parse(same).script);
    let without_places = |text: &str| -> String { text.replace("@followed'", "@f") };
    assert_eq!(without_places(&text), wanted);
}
