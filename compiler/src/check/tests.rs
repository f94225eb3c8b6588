#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::plan::Attach;
use crate::target::Feature;
use crate::target::fixture::FixtureTarget;
use crate::{aggregation, builtin, function, probe_kind, probe_value};

fn target() -> FixtureTarget {
    FixtureTarget::parse(include_str!("../../../tests/golden/target.txt")).unwrap()
}

fn check_on(target: &dyn Target, source: &str, options: &Options) -> (Option<hir::Script>, Vec<Diagnostic>) {
    let parsed = crumbs_grammar::parse(source);
    assert!(
        parsed.diagnostics.is_empty(),
        "{source}: {:?}",
        parsed.diagnostics
    );
    let expanded = crate::expand::expand("-e", source, parsed.script, target, options);
    let mut diagnostics = expanded.diagnostics;
    if !diagnostics.is_empty() {
        return (None, expanded.sources.settle(diagnostics));
    }
    let (script, more) = check(&expanded.script, &expanded.sources, target, options);
    diagnostics.extend(more);
    (script, expanded.sources.settle(diagnostics))
}

fn checked(source: &str) -> (Option<hir::Script>, Vec<Diagnostic>) {
    check_on(&target(), source, &Options::default())
}

/// The HIR of a script without errors.
fn hir(source: &str) -> hir::Script {
    let (script, diagnostics) = checked(source);
    script.unwrap_or_else(|| panic!("{source}: {diagnostics:#?}"))
}

/// Code, text at the primary place and message of all that is said of a script.
fn said(source: &str) -> Vec<String> {
    let told = |d: Diagnostic| {
        let at = source.get(d.primary.span.range()).unwrap_or_default();
        format!("{} `{at}`: {}", d.code.id, d.message)
    };
    checked(source).1.into_iter().map(told).collect()
}

/// The types of all maps, as `-d hir` shows them.
fn maps(source: &str) -> Vec<String> {
    let text = hir(source).to_string();
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("map ")?.to_owned()))
        .collect()
}

/// The body of the only probe, as `-d hir` shows it.
fn body(source: &str) -> String {
    let text = hir(source).to_string();
    let body = text.split_once("\n{\n").unwrap().1;
    let lines: Vec<_> = body.lines().map(str::trim).collect();
    lines[..lines.len() - 1].join("; ")
}

mod facts;
mod messages;
mod programs;

#[test]
fn the_one_liner() {
    let script = hir("uprobe:libc:write < @bytes = hist(arg2) >");
    assert_eq!(
        script.to_string(),
        "map @bytes: hist_t signed [0]\n\
         site 0 = uprobe:/usr/lib/x86_64-linux-gnu/libc.so.6:write\n\
         \n\
         uprobe at\n  \
           /usr/lib/x86_64-linux-gnu/libc.so.6: 0xf8340 cookie 0\n\
         {\n  \
           @bytes << arg2\n\
         }\n"
    );
}

/// Every row of every slice has an example that checks.
#[test]
fn examples_check() {
    let builtins = builtin::ALL.iter().map(|row| row.example);
    let examples = builtins
        .chain(probe_value::ALL.iter().map(|row| row.example))
        .chain(function::ALL.iter().map(|row| row.example))
        .chain(crate::expand::prelude::ALL.iter().map(|row| row.example))
        .chain(probe_kind::ALL.iter().map(|kind| kind.words().example))
        .chain(aggregation::ALL.iter().map(|aggregation| aggregation.example()));
    let options = Options {
        allow_unsafe: true,
        ..Options::default()
    };
    for example in examples {
        let (script, diagnostics) = check_on(&target(), example, &options);
        assert!(script.is_some(), "{example}: {diagnostics:#?}");
        assert_eq!(diagnostics.len(), 0, "{example}: {diagnostics:#?}");
    }
}

/// Every code is what its example gives, and all that it gives.
#[test]
fn examples_of_codes_give_them() {
    for code in codes::ALL.iter().filter(|code| !code.example.is_empty()) {
        let (script, diagnostics) = checked(code.example);
        let ids: Vec<_> = diagnostics.iter().map(|d| d.code.id).collect();
        assert_eq!(ids, [code.id], "{}: {diagnostics:#?}", code.example);
        assert_eq!(script.is_none(), code.id.starts_with('E'), "{}", code.id);
    }
}

#[test]
fn parameters() {
    let options = |params: &[&str]| Options {
        params: params.iter().map(|&s| s.to_owned()).collect(),
        ..Options::default()
    };
    let source = "uprobe:$1:write /pid == $2/ { printf(\"%s\", str($1)); print($#); print($9); }";
    let (script, diagnostics) = check_on(&target(), source, &options(&["libc", "0x10"]));
    let text = script.unwrap_or_else(|| panic!("{diagnostics:?}")).to_string();
    assert!(text.contains("where ((int64)pid == 16)"), "{text}");
    assert!(
        text.contains("emit 0(\"libc\")") && text.contains("emit 1(2)") && text.contains("emit 2(0)"),
        "{text}"
    );
    let (script, _) = check_on(&target(), "begin { print($1); }", &options(&["x"]));
    assert!(script.unwrap().to_string().contains("emit 0(\"x\")"));
    let (_, diagnostics) = check_on(&target(), "begin { print($1 * 2); }", &options(&["x"]));
    assert_eq!(diagnostics[0].code, &codes::BAD_OPERANDS);
}

#[test]
fn process_filter() {
    let options = Options {
        pid: Some(42),
        ..Options::default()
    };
    let source = "uprobe:libc:write { } interval:s:1 { } tracepoint:sched:sched_switch { }";
    let script = check_on(&target(), source, &options).0.unwrap();
    let filters: Vec<_> = script.probes.iter().map(|probe| probe.pid_filter).collect();
    assert_eq!(filters, [Some(42), None, Some(42)]);
}

#[test]
fn config_from_outside_wins() {
    let options = Options {
        config: vec![("max_map_keys".into(), "7".into())],
        ..Options::default()
    };
    let script = check_on(
        &target(),
        "config = { max_map_keys = 5; max_strlen = 9 } begin { }",
        &options,
    )
    .0
    .unwrap();
    assert_eq!((script.config.max_map_keys, script.config.max_strlen), (7, 9));
}
