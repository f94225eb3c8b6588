//! No text makes the front end panic, hang or overflow the stack.

use std::time::{Duration, Instant};

use crate::{MAX_DIAGNOSTICS, dump, lexer, parse};

/// A small deterministic generator (splitmix64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// Parses and checks what must hold of every result.
fn survives(text: &str) {
    let parsed = parse(text);
    assert!(parsed.diagnostics.len() <= MAX_DIAGNOSTICS + 1);
    for diagnostic in &parsed.diagnostics {
        for label in std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary) {
            let span = label.span;
            assert!(
                span.start <= span.end && text.get(span.range()).is_some(),
                "{span:?} {diagnostic:?} in {text:?}"
            );
        }
    }
    let mut end = 0;
    for (token, span) in lexer::tokens(text) {
        assert!(
            span.start >= end && span.start <= span.end,
            "{token:?} at {span:?} in {text:?}"
        );
        end = span.end;
    }
    dump::dump(&parsed.script);
}

const PIECES: &[&str] = &[
    "begin",
    "kprobe:f",
    "uprobe:/a/b:c",
    "/",
    "/ ",
    "{",
    "}",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ":",
    "?",
    ".",
    "..",
    "->",
    "++",
    "--",
    "=",
    "==",
    "+=",
    ">>=",
    ">=",
    "<<",
    "&&",
    "||",
    "!",
    "~",
    "*",
    "&",
    "-",
    "$x",
    "$1",
    "$#",
    "$",
    "@",
    "@m",
    "x",
    "pid",
    "int32",
    "struct",
    "if",
    "else",
    "for",
    "while",
    "unroll",
    "let",
    "return",
    "break",
    "import",
    "config",
    "macro",
    "fn",
    "sizeof",
    "offsetof",
    "typeof",
    "comptime",
    "1",
    "0x1",
    "1.5",
    "5ms",
    "\"s\"",
    "\"",
    "'a'",
    "//",
    "/*",
    "*/",
    "#define",
    "\n",
    " ",
    "\u{fffd}",
    "é",
    "\0",
    "\\",
    "and",
    "elif",
    "$i : 0..3",
    "(int32)",
    "struct a { int b; }",
];

#[test]
fn random_pieces() {
    let mut random = Random(1);
    let until = Instant::now() + Duration::from_secs(1);
    let mut rounds = 0;
    while Instant::now() < until {
        let mut text = String::new();
        for _ in 0..random.below(40) {
            text.push_str(PIECES[random.below(PIECES.len())]);
            if random.below(3) > 0 {
                text.push(' ');
            }
        }
        survives(&text);
        rounds += 1;
    }
    assert!(rounds > 100, "only {rounds} rounds");
}

#[test]
fn random_bytes() {
    let mut random = Random(2);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.below(80)).map(|_| random.below(256) as u8).collect();
        survives(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn damaged_scripts() {
    let mut random = Random(3);
    let scripts: Vec<&str> = include_str!("syntax.txt")
        .split(super::END)
        .filter_map(|case| case.split_once("\n=>\n").map(|(script, _)| script))
        .collect();
    for _ in 0..3000 {
        let script = scripts[random.below(scripts.len())];
        let chars: Vec<char> = script.chars().collect();
        let cut = random.below(chars.len() + 1);
        let skip = random.below(4);
        let piece = if random.below(2) == 0 {
            PIECES[random.below(PIECES.len())]
        } else {
            ""
        };
        let text: String = chars[..cut]
            .iter()
            .chain(&piece.chars().collect::<Vec<_>>())
            .chain(chars.iter().skip(cut + skip))
            .collect();
        survives(&text);
    }
}

/// The code of the only diagnostic, after checking that neither the tree nor its text overflows the stack of a test.
fn only_code(text: &str) -> Option<&'static str> {
    let parsed = parse(text);
    dump::dump(&parsed.script);
    assert!(parsed.diagnostics.len() <= 1, "{:?}", parsed.diagnostics.first());
    parsed.diagnostics.first().map(|diagnostic| diagnostic.code.id)
}

#[test]
fn deep_nesting_is_refused() {
    let deep = 10_000;
    for (open, close) in [
        ("(", ")"),
        ("{", "}"),
        ("@[", "]"),
        ("f(", ")"),
        ("if a {", "}"),
        ("(int32)(", ")"),
        ("$x = {", "}"),
    ] {
        let text = format!("begin {{ {}1{} }}", open.repeat(deep), close.repeat(deep));
        assert_eq!(only_code(&text), Some("E0009"), "{open}");
    }
    for text in [
        format!("begin {{ $x = 1{}; }}", "+a".repeat(deep)),
        format!("begin {{ $x = {}1; }}", "!".repeat(deep)),
        format!("begin {{ $x = {}1; }}", "(int32)".repeat(deep)),
        format!("begin {{ $x = {}1; }}", "a ? b : ".repeat(deep)),
        format!("begin {{ $x = a{}; }}", ".b".repeat(deep)),
        format!("begin {{ $x = a{}; }}", "[0]".repeat(deep)),
        format!("begin {{ $x = {}1; }}", "comptime ".repeat(deep)),
        format!("begin {{ let $x : int{}; }}", "*".repeat(deep)),
        format!("begin {{ if a {{ }}{} }}", " else if b { }".repeat(5000)),
        format!("begin /{}1/ {{ }}", "a||".repeat(deep)),
    ] {
        assert_eq!(only_code(&text), Some("E0009"), "{}", &text[..40]);
    }
}

#[test]
fn generous_nesting_is_accepted() {
    for text in [
        format!("begin {{ $x = {}1{}; }}", "(".repeat(250), ")".repeat(250)),
        format!("begin {{ $x = 1{}; }}", "+a".repeat(1900)),
        format!("begin {{ if a {{ }}{} }}", " else if b { }".repeat(900)),
        format!("begin /{}1/ {{ }}", "pid == 1 || ".repeat(900)),
        format!("begin {{ {} }}", "{ $x = 1; } ".repeat(20_000)),
        format!("begin {{ {} }}", "if a { $x = 1; } ".repeat(20_000)),
        format!("begin {{ print(({}1)); }}", "a, ".repeat(20_000)),
    ] {
        assert_eq!(only_code(&text), None, "{}", &text[..40]);
    }
}

/// Large texts, good and bad, for which a quadratic step anywhere would take minutes.
#[test]
fn large_scripts_take_linear_time() {
    let many = |piece: &str| piece.repeat((1 << 18) / piece.len());
    for text in [
        many(
            "kprobe:vfs_read /pid == 1/ { @a[comm, tid] = hist(arg2); if (@b > 3) { printf(\"%d\\n\", $x); } }\n",
        ),
        format!(
            "begin {{ {} }}",
            many("@a[comm, tid] += (arg2 * 2); $x = pid > 3 ? 1 : 2;\n")
        ),
        many("> "),
        many("< "),
        many("( "),
        many("[)"),
        many("{ "),
        many("} "),
        many("/ "),
        many("a "),
        many("a:b/"),
        many("\""),
        many("/* "),
        many("#\n"),
        many("struct a {"),
        many("struct a\n"),
        many("let @\n"),
        many("é"),
        many("§a"),
        format!("begin < {}", many("a > 5 ")),
        format!("begin < {}", many("a > 5; ")),
        format!("begin {{ {}", many("a b; ")),
        format!("begin {{ {}", many("(int32 ")),
        format!("begin {{ {}", many("typeof((")),
        format!("begin {{ {}", many("(a a a a a ")),
        format!("begin {{ {}", many("(typeof(x) ")),
        format!("begin /{}", many("a / ")),
        format!("begin /{}", many("{ ")),
        format!("begin {{ {} }}", many("elif x { } ")),
        format!("begin {{ {} }}", many("for ( ; ; ) { } ")),
    ] {
        let start = Instant::now();
        parse(&text);
        // A debug build on a busy machine; a quadratic step takes thousands of seconds.
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{:?} for {}",
            start.elapsed(),
            &text[..24]
        );
    }
}
