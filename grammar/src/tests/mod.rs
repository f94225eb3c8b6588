//! Tests of the whole front end. The cases stand in text files next to this one: a script, a line `=>`, and what is expected
//! of it, up to a line of dashes. `BLESS=1` writes what came out instead of comparing.

#![expect(clippy::unwrap_used, reason = "tests")]

mod robustness;

use std::fmt::Write;

use crate::diagnostic::Diagnostic;
use crate::{codes, dump, format, lexer, parse};

const END: &str = "\n----\n";

fn check(file: &str, text: &str, of: impl Fn(&str) -> String) {
    let mut blessed = String::new();
    let mut wrong = String::new();
    let cases: Vec<&str> = text.split(END).filter(|case| !case.trim().is_empty()).collect();
    assert!(cases.len() > 5, "{file} has no cases");
    for case in &cases {
        let (script, expected) = case.split_once("\n=>\n").unwrap_or((case, ""));
        let found = of(script);
        let _ = write!(blessed, "{script}\n=>\n{}{END}", found.trim_end());
        if found.trim_end() != expected.trim_end() {
            let _ = writeln!(
                wrong,
                "{script}\n=> expected\n{}\n=> found\n{}\n",
                expected.trim_end(),
                found.trim_end()
            );
        }
    }
    if std::env::var_os("BLESS").is_some() {
        let path = format!("{}/src/tests/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, blessed).unwrap();
    } else {
        assert!(wrong.is_empty(), "{file}:\n{wrong}");
    }
}

/// The place as text, what is said of it, and the further places and ways out.
fn show(script: &str, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    let at = |span: crate::span::Span| {
        let before = &script[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column} [{}]", script[span.range()].replace('\n', "\\n"))
    };
    for diagnostic in diagnostics {
        let Diagnostic {
            code,
            primary,
            message,
            ..
        } = diagnostic;
        let _ = writeln!(out, "{} {} {message}", code.id, at(primary.span));
        if !primary.message.is_empty() {
            let _ = writeln!(out, "  label: {}", primary.message);
        }
        for label in &diagnostic.secondary {
            let _ = writeln!(out, "  also: {} {}", at(label.span), label.message);
        }
        for help in &diagnostic.help {
            let _ = writeln!(out, "  help: {help}");
        }
    }
    out
}

#[test]
fn trees() {
    check("syntax.txt", include_str!("syntax.txt"), |script| {
        let parsed = parse(script);
        dump::dump(&parsed.script) + &show(script, &parsed.diagnostics)
    });
}

#[test]
fn tokens() {
    check("tokens.txt", include_str!("tokens.txt"), |script| {
        lexer::tokens(script)
            .map(|(token, span)| format!("{}..{} {token}\n", span.start, span.end))
            .collect()
    });
}

#[test]
fn diagnostics() {
    check("diagnostics.txt", include_str!("diagnostics.txt"), |script| {
        show(script, &parse(script).diagnostics)
    });
}

#[test]
fn recovery() {
    check("recovery.txt", include_str!("recovery.txt"), |script| {
        let parsed = parse(script);
        dump::dump(&parsed.script) + &show(script, &parsed.diagnostics)
    });
}

#[test]
fn every_code_has_an_example_that_triggers_it() {
    for code in codes::ALL {
        let example = match code.id {
            "E0001" => " ".repeat(crate::MAX_SIZE + 1),
            "E0009" => format!("begin {{ $x = {}1{}; }}", "(".repeat(300), ")".repeat(300)),
            "E0031" => "begin { + } ".repeat(60),
            _ => code.example.to_string(),
        };
        let found: Vec<_> = parse(&example)
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code.id)
            .collect();
        assert!(
            found.contains(&code.id),
            "{} is not found in its example, but {found:?}",
            code.id
        );
        if code.id != "E0031" {
            assert_eq!(found.len(), 1, "{}: {found:?}", code.id);
        }
    }
}

#[test]
fn codes_are_unique_and_in_order() {
    for pair in codes::ALL.windows(2) {
        assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
    }
}

#[test]
fn comments_and_shebang_are_kept() {
    let text = "#!/usr/bin/env crumbs\n// one\nbegin /* two */ { print(1); // three\n}\n";
    let script = parse(text).script;
    assert_eq!(script.shebang.unwrap().node, "#!/usr/bin/env crumbs");
    let comments: Vec<_> = script
        .comments
        .iter()
        .map(|comment| (&text[comment.span.range()], comment.node.as_str()))
        .collect();
    assert_eq!(
        comments,
        [
            ("// one", "// one"),
            ("/* two */", "/* two */"),
            ("// three", "// three")
        ]
    );
}

#[test]
fn spans_cover_the_construct() {
    use crate::ast::{Item, StmtKind};
    let text = "begin /(pid)/ { $x = (1 + 2) * 3; @[a, b]++ }";
    let script = parse(text).script;
    let Item::Probe(probe) = &script.items[0] else {
        panic!("{script:?}")
    };
    let source = |span: crate::span::Span| &text[span.range()];
    assert_eq!(source(probe.span), text);
    assert_eq!(source(probe.predicate.as_ref().unwrap().span), "(pid)");
    assert_eq!(source(probe.body.span), "{ $x = (1 + 2) * 3; @[a, b]++ }");
    assert_eq!(source(probe.body.stmts[0].span), "$x = (1 + 2) * 3;");
    let StmtKind::Assign { value, .. } = &probe.body.stmts[0].kind else {
        panic!("{script:?}")
    };
    assert_eq!(source(value.span), "(1 + 2) * 3");
    assert_eq!(source(probe.body.value.as_ref().unwrap().span), "@[a, b]++");
}

/// Formats a script; doing it again must change nothing.
fn formatted(script: &str) -> String {
    let once = format::format(script).unwrap_or_else(|mistakes| panic!("{script}\n{mistakes:#?}"));
    let twice = format::format(&once).unwrap_or_else(|mistakes| panic!("{once}\n{mistakes:#?}"));
    assert_eq!(once, twice, "of {script}");
    once
}

#[test]
fn formats() {
    check("format.txt", include_str!("format.txt"), formatted);
}

/// Whatever parses can be formatted.
#[test]
fn all_scripts_can_be_formatted() {
    let files = [
        include_str!("syntax.txt"),
        include_str!("tokens.txt"),
        include_str!("recovery.txt"),
    ];
    let scripts = files
        .iter()
        .flat_map(|text| text.split(END))
        .filter_map(|case| case.split_once("\n=>\n"));
    let valid = scripts.filter(|(script, _)| parse(script).diagnostics.is_empty());
    let formatted: Vec<_> = valid.map(|(script, _)| formatted(script)).collect();
    assert!(formatted.len() > 30);
}
