//! C text against what it must mean: by hand, and where gcc is there, against gcc.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::target::fixture::FixtureTarget;
use crumbs_grammar::span::Span;
use std::fmt::Write as _;

mod gcc;
mod mutated;

/// A kernel that knows a few types.
fn target() -> FixtureTarget {
    let text = "arch x86_64\nkernel 6.18\n\
        types\n\
        struct list_head { struct list_head *next, *prev; };\n\
        struct quad { int a, b, c, d; };\n\
        struct narrow { char a[3]; } ;\n\
        enum hrtimer_mode { HRTIMER_MODE_ABS, HRTIMER_MODE_REL };\n\
        typedef int kernel_thing;\n\
        typedef unsigned int dev_t;\n\
        end\n\
        header shapes.h\n\
        #pragma once\n\
        struct point { int x, y; };\n\
        #define ORIGIN 0\n\
        end\n\
        header <linux/game.h>\n\
        #include <linux/missing.h>\n\
        typedef nowhere_t broken;\n\
        struct event { int time; short value; };\n\
        enum { GAME_START = 40, GAME_STOP };\n\
        #define GAME_VERSION (GAME_STOP + 1)\n\
        #define GAME_OF(x) (x << 8 | GAME_VERSION)\n\
        end\n\
        header wrong.h\n\
        struct good { int x; };\n\
        struct bad { unknown_t x; };\n\
        end\n";
    FixtureTarget::parse(text).unwrap()
}

fn spanned(text: &str) -> Spanned<String> {
    Spanned::new(text.to_owned(), Span::new(0, text.len()))
}

fn read(text: &str) -> (Declarations, Vec<Diagnostic>) {
    declarations(&[], &[&spanned(text)], &target())
}

/// What a text without mistakes declares.
fn good(text: &str) -> Declarations {
    let (declared, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
    declared
}

/// The members of a struct in a line: `name: type @ offset`.
fn members(declared: &Declarations, keyword: &str, name: &str) -> String {
    let ty = match declared.lookup(keyword, name) {
        Some(ty) => ty.clone(),
        None => panic!("no {keyword} {name}"),
    };
    let Type::Struct(of) = ty else {
        panic!("{ty}");
    };
    let mut out = format!("{} {}:", of.name, of.size);
    for field in declared.fields(of.id).unwrap().iter() {
        write!(out, " {} {}@{}", field.ty, field.name, field.offset).unwrap();
        if let Some(bits) = field.bits {
            write!(out, "[{}:{}/{}]", bits.low, bits.width, bits.storage).unwrap();
        }
    }
    out
}

fn constant(text: &str, name: &str) -> Option<Constant> {
    good(text).constants.get(name).cloned()
}

fn number(text: &str, name: &str) -> i64 {
    match constant(text, name) {
        Some(Constant::Int(value, _) | Constant::Enum(_, value)) => value,
        other => panic!("{text}: {other:?}"),
    }
}

/// The first mistake's message, and the text that it is about.
fn mistake(text: &str) -> (String, String) {
    let (_, diagnostics) = read(text);
    let first = diagnostics
        .first()
        .unwrap_or_else(|| panic!("no mistake in {text}"));
    let about = text.get(first.primary.span.range()).unwrap_or("");
    (first.message.clone(), about.to_owned())
}

#[test]
fn members_stand_where_c_puts_them() {
    for (text, expected) in [
        (
            "struct a { char c; int i; short s; long l; };",
            "struct a 24: int8 c@0 int32 i@4 int16 s@8 int64 l@16",
        ),
        (
            "struct a { char c; int i; } __attribute__((packed));",
            "struct a 5: int8 c@0 int32 i@1",
        ),
        (
            "struct __attribute__((packed, aligned(4))) a { char c; int i; };",
            "struct a 8: int8 c@0 int32 i@1",
        ),
        (
            "struct a { char c; long l __attribute__((packed)); char d __attribute__((aligned(16))); };",
            "struct a 32: int8 c@0 int64 l@1 int8 d@16",
        ),
        (
            "#pragma pack(push, 2)\nstruct a { char c; int i; };\n#pragma pack(pop)\n",
            "struct a 6: int8 c@0 int32 i@2",
        ),
        (
            "struct a { unsigned char c[4]; char text[5]; int grid[2][3]; char lines[2][8]; int rest[]; };",
            "struct a 52: uint8[4] c@0 string[5] text@4 int32[3][2] grid@12 string[8][2] lines@36 int32[0] rest@52",
        ),
        (
            "struct a { int x, *p, **q, v[2]; const char *s; void (*call)(int, char *); int (*table[3])(void); };",
            "struct a 72: int32 x@0 int32* p@8 int32** q@16 int32[2] v@24 int8* s@32 void* call@40 void*[3] table@48",
        ),
        (
            "struct a { int x; union { int i; char c[4]; }; struct { short s; } in; };",
            "struct a 12: int32 x@0 union @4 struct in@8",
        ),
        (
            "struct a { unsigned x : 3; unsigned y : 7; unsigned z : 23; unsigned char t : 1; int : 0; long w : 40; };",
            "struct a 16: uint32 x@0[0:3/1] uint32 y@0[3:7/2] uint32 z@4[0:23/4] uint8 t@6[7:1/1] int64 w@8[0:40/8]",
        ),
        (
            "struct a { unsigned long long int x; long unsigned y; short int unsigned z; _Bool b; float f; double d; };",
            "struct a 32: uint64 x@0 uint64 y@8 uint16 z@16 bool b@18 buffer[4] f@20 buffer[8] d@24",
        ),
        (
            "struct a { struct list_head list; char c; struct quad q; struct narrow n; kernel_thing k; dev_t dev; };",
            "struct a 48: struct list_head list@0 int8 c@16 struct quad q@20 struct narrow n@36 int32 k@40 uint32 dev@44",
        ),
        (
            "struct a { struct b *next; struct task_struct *task; } ;\nstruct b { int x; };",
            "struct a 16: struct b* next@0 struct task_struct* task@8",
        ),
        (
            "typedef struct { int x; } pair_t; typedef pair_t pairs[2]; struct a { pairs p; pair_t *q; };",
            "struct a 16: struct pair_t[2] p@0 struct pair_t* q@8",
        ),
        (
            "struct a { char __user *u; char *k; const char __user *const *v; };",
            "struct a 24: int8* u@0 int8* k@8 int8** v@16",
        ),
    ] {
        assert_eq!(members(&good(text), "struct", "a"), expected, "{text}");
    }
}

#[test]
fn unions_and_flexible_ends() {
    let union = good("union u { char c; long l; int v[3]; };");
    assert_eq!(
        members(&union, "union", "u"),
        "union u 16: int8 c@0 int64 l@0 int32[3] v@0"
    );
    let packed = good("struct p { char a; int b : 3; int c : 30; } __attribute__((packed));");
    assert_eq!(
        members(&packed, "struct", "p"),
        "struct p 6: int8 a@0 int32 b@1[0:3/1] int32 c@0[11:30/8]",
    );
}

#[test]
fn enums_have_the_integer_that_holds_them() {
    let declared = good(
        "enum e { A, B = 5, C, D = A - 1 }; enum { BIG = 1UL << 40 }; enum small { S = 255 } __attribute__((packed));",
    );
    let Some(Type::Enum(e)) = declared.lookup("enum", "e") else {
        panic!("no enum");
    };
    assert_eq!((e.name.as_str(), e.int.bits, e.int.signed), ("enum e", 32, true));
    let values: Vec<i64> = e.variants.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0, 5, 6, -1]);
    assert!(
        matches!(&declared.constants["BIG"], Constant::Enum(of, value) if of.int.bits == 64 && *value == 1 << 40)
    );
    assert_eq!(declared.lookup("enum", "small").unwrap().size(), 1);
}

#[test]
fn constants() {
    for (text, expected) in [
        ("#define X 5\n", 5),
        ("#define X (1 << 4 | 3)\n", 19),
        ("#define X ~0U\n", 0xffff_ffff),
        ("#define X -1\n", -1),
        ("#define X 0xffffffff\n", 0xffff_ffff),
        ("#define X 0xffffffffffffffff\n", -1),
        ("#define X (-1 > 0U)\n", 1),
        ("#define X (-8 >> 1)\n", -4),
        ("#define X (0xfffffff8 >> 1)\n", 0x7fff_fffc),
        ("#define X (7 / 2 * 2 % 5)\n", 1),
        ("#define X (1 ? 2 : 3)\n", 2),
        ("#define X 'a'\n", 97),
        ("#define X (char)200\n", -56),
        ("#define X sizeof(long)\n", 8),
        (
            "struct s { char c; struct { int a, b; }; };\n#define X offsetof(struct s, b)\n",
            8,
        ),
        ("#define A 2\n#define X A * B\n#define B 21\n", 42),
        (
            "#define BIT(n) (1UL << (n))\n#define X BIT(3) | BIT(BIT(2))\n",
            24,
        ),
        ("#define X HRTIMER_MODE_REL\n", 1),
        ("#define A 1\n#undef A\n#define A 2\n#define X A\n", 2),
        ("enum { A = 3 };\n#define X A + 1\n", 4),
        ("#include <linux/socket.h>\n#define X AF_INET6\n", 10),
    ] {
        assert_eq!(number(text, "X"), expected, "{text}");
    }
    assert_eq!(
        constant("#define X \"a\" \"b\\n\"\n", "X"),
        Some(Constant::Str("ab\n".to_owned()))
    );
    // What only C can make sense of is no mistake, and no constant.
    for text in [
        "#define X\n",
        "#define X do { } while (0)\n",
        "#define X X\n",
        "#define X f(1)\n",
    ] {
        assert_eq!(constant(text, "X"), None, "{text}");
    }
}

#[test]
fn conditions() {
    for (condition, expected) in [
        ("#ifdef BPFTRACE_HAVE_BTF", 1),
        ("#ifndef BPFTRACE_HAVE_BTF", 2),
        ("#if 0", 2),
        ("#if defined(__x86_64__) && !defined FOO", 1),
        ("#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)", 1),
        ("#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)", 2),
        ("#if FOO || -1 > 0", 2),
        ("#if 0\n#if 1\n#else\n#endif\n#elif 2 - 1", 1),
        ("#if 1\n#elif 1 / 0\n#define Y 1", 1),
    ] {
        let text = format!("{condition}\n#define X 1\n#else\n#define X 2\n#endif\n");
        let expected = if condition.ends_with("Y 1") { 0 } else { expected };
        match good(&text).constants.get("X") {
            Some(Constant::Int(value, _)) => assert_eq!(*value, expected, "{text}"),
            None => assert_eq!(expected, 0, "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn headers() {
    let declared =
        good("#include \"shapes.h\"\n#include \"shapes.h\"\nstruct a { struct point p; int z; };\n");
    assert_eq!(
        members(&declared, "struct", "a"),
        "struct a 12: struct point p@0 int32 z@8"
    );
    assert_eq!(
        declared.constants["ORIGIN"],
        Constant::Int(
            0,
            Type::Int(crate::types::IntType {
                bits: 32,
                signed: true
            })
        )
    );
    assert!(declared.system_headers.is_empty());
    assert_eq!(good("#include <linux/fs.h>\n").system_headers, ["linux/fs.h"]);
    let (message, about) = mistake("#include \"wrong.h\"\n");
    assert_eq!(message, "wrong.h:2: there is no type `unknown_t`");
    assert_eq!(about, "include");
    let (message, _) = mistake("#include \"shape.h\"\n");
    assert_eq!(message, "there is no header `shape.h`");
}

#[test]
fn macros_make_text_and_tokens() {
    let number = |text: &str| match good(text).constants.get("X") {
        Some(Constant::Int(value, _)) => *value,
        other => panic!("{text}: {other:?}"),
    };
    for (text, expected) in [
        ("#define GLUE(a, b) a##b\n#define AB 7\n#define X GLUE(A, B)\n", 7),
        ("#define GLUE(a, b) a ## b\n#define X GLUE(1, 2UL)\n", 12),
        // Arguments are replaced, but not where they are joined.
        (
            "#define ONE 1\n#define A1 5\n#define GLUE(a, b) a##b\n#define NEXT(a, b) GLUE(a, b)\n#define X NEXT(A, ONE)\n",
            5,
        ),
        (
            "#define A_ONE 6\n#define ONE 1\n#define GLUE(a, b) a##b\n#define X GLUE(A_, ONE)\n",
            6,
        ),
        ("#define ALL(...) (0 + __VA_ARGS__)\n#define X ALL(4)\n", 4),
        (
            "#define LAST(a, b) b\n#define PASS(...) LAST(__VA_ARGS__)\n#define X PASS(1, 2)\n",
            2,
        ),
        (
            "#define F(a, rest...) G(a, ##rest)\n#define G(a, ...) a\n#define X F(3)\n",
            3,
        ),
        (
            "#define twice(x) ((x) * 2)\n#define NAME twice\n#define X NAME(21)\n",
            42,
        ),
        (
            "#define JOIN(a) a##_T##YPE\n#define MY_TYPE 8\n#define X JOIN(MY)\n",
            8,
        ),
        (
            "#if __has_include(\"shapes.h\") && !__has_include(<none.h>) && defined(__has_include)\n#define X 1\n#endif\n",
            1,
        ),
        ("#ifdef A\n#define X 1\n#elifndef B\n#define X 2\n#endif\n", 2),
        (
            "#if __has_attribute(packed)\n#define X 1\n#else\n#define X 2\n#endif\n",
            2,
        ),
        (
            "#define FILE \"shapes.h\"\n#include FILE\n#define X (sizeof(struct point))\n",
            8,
        ),
        ("/* a\n#define X 1 */\n#define X \\\n 3 // three\n", 3),
    ] {
        assert_eq!(number(text), expected, "{text}");
    }
    let text = good("#define S(x) #x\n#define X S(a + \"b\")\n");
    assert_eq!(text.constants["X"], Constant::Str("a + \"b\"".into()));
    let declared = good("#define FIELD(type, name) type name##_field\nstruct a { FIELD(int, x); };\n");
    assert_eq!(members(&declared, "struct", "a"), "struct a 4: int32 x_field@0");
    let (message, _) = mistake("#define P(a, b) a##b\nint P(x, +);\n");
    assert_eq!(message, "in the macro `P`, `##` makes `x+`, which is no token");
}

#[test]
fn headers_of_the_machine_are_read_as_far_as_they_can_be() {
    let text = "#include <linux/game.h>\n#define MINE GAME_OF(2)\nstruct own { struct event *e; };\n";
    let first = good(text);
    assert_eq!(first.system_headers, ["linux/game.h"]);
    assert!(first.lookup("struct", "event").is_some_and(|ty| ty.size() == 0));
    let declared = with_system_headers(&[], &[&spanned(text)], &target());
    assert_eq!(
        members(&declared, "struct", "event"),
        "struct event 8: int32 time@0 int16 value@4"
    );
    assert_eq!(
        members(&declared, "struct", "own"),
        "struct own 8: struct event* e@0"
    );
    let value = |name: &str| match declared.constants.get(name) {
        Some(Constant::Int(value, _) | Constant::Enum(_, value)) => *value,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        [value("GAME_STOP"), value("GAME_VERSION"), value("MINE")],
        [41, 42, 554]
    );
    let Some(Type::Struct(of)) = declared.lookup("struct", "event") else {
        panic!("no struct");
    };
    assert!(matches!(of.id, StructId::Declared(SYSTEM_STRUCTS..)));
}

#[test]
fn what_is_no_declaration_of_a_type_is_passed_over() {
    let text = "static inline int twice(int x) { return x * 2; }\n\
        extern int printf(const char *, ...) __attribute__((format(printf, 1, 2)));\n\
        int counter = 5, *other = &counter;\n\
        const char *names[] = { \"a\", \"b\" };\n\
        _Static_assert(sizeof(int) == 4, \"int\");\n\
        struct a { int x; } first = { 1 };\n";
    assert_eq!(members(&good(text), "struct", "a"), "struct a 4: int32 x@0");
}

#[test]
fn the_scripts_struct_wins_over_the_kernels() {
    let declared = good("struct quad { char c; };\nstruct a { struct quad q; };");
    assert_eq!(members(&declared, "struct", "a"), "struct a 1: struct quad q@0");
}

#[test]
fn pieces_of_a_script_are_one_text() {
    let (one, two) = (spanned("#define N 3"), spanned("struct a { int v[N]; };"));
    let (declared, diagnostics) = declarations(&[], &[&one, &two], &target());
    assert!(diagnostics.is_empty());
    assert_eq!(members(&declared, "struct", "a"), "struct a 12: int32[3] v@0");
}

#[test]
fn semicolons_that_compilers_and_bpftrace_forgive() {
    let text = "struct a { int x } struct b { struct { short y } z; struct a v } __attribute__((packed)) \
                typedef int num; enum e { ONE } struct c { num n }";
    let (declared, diagnostics) = declarations(&[], &[&spanned(text)], &target());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(members(&declared, "struct", "a"), "struct a 4: int32 x@0");
    assert_eq!(members(&declared, "struct", "c"), "struct c 4: int32 n@0");
}

#[test]
fn mistakes_say_what_and_where() {
    for (text, message, about) in [
        ("struct a { int x y; };", "expected `;` behind the member", "y"),
        ("struct a { foo_t x; };", "there is no type `foo_t`", "foo_t"),
        (
            "struct a { struct b x; };",
            "`struct b` is declared but its members are not known",
            "x",
        ),
        (
            "struct a { int x : 33; };",
            "a bitfield of this type has 0 to 32 bits, not 33",
            "33",
        ),
        (
            "struct a { int x[-1]; };",
            "an array cannot have -1 elements",
            "-",
        ),
        ("struct a { int x[1/0]; };", "this divides by 0", "/"),
        (
            "struct a { int x; }; struct a { int y; };",
            "`struct a` is defined twice",
            "struct",
        ),
        ("struct a { int x[N]; };", "there is no constant `N`", "N"),
        ("#if 1\nstruct a { int x; };", "this `#if` has no `#endif`", "if"),
        ("#endif\n", "this `#endif` has no `#if`", "endif"),
        ("#if F(1)\n#endif\n", "the macro `F` is not known", "F"),
        (
            "#define S(x) #x\nstruct a { int v[S(1)]; };",
            "expected a number",
            "S",
        ),
        (
            "#define F(x) x\nstruct a { int v[F(1, 2)]; };",
            "the macro `F` takes 1 arguments",
            "F",
        ),
        ("#error no\n", "the C text stops here by an `#error`", "error"),
        ("struct a { void x; };", "this has no size", "x"),
        (
            "struct a { int v[1000000000][1000]; };",
            "this is too large",
            "struct",
        ),
        (
            "struct a { int x",
            "expected `;` behind the member",
            "struct a { int x",
        ),
    ] {
        assert_eq!(mistake(text), (message.to_owned(), about.to_owned()), "{text}");
    }
}

#[test]
fn one_mistake_leaves_the_rest_readable() {
    let (declared, diagnostics) = read("struct a { foo x; };\nstruct b { int y; };\nstruct c { bar z; };");
    assert_eq!(diagnostics.len(), 2);
    assert_eq!(members(&declared, "struct", "b"), "struct b 4: int32 y@0");
}

#[test]
fn what_is_too_deep_or_too_much_is_a_mistake() {
    let deep = "struct a { ".to_owned() + &"struct { ".repeat(500) + "int x;" + &"} y; ".repeat(500) + "};";
    let stars = format!("struct a {{ int {}x; }};", "*".repeat(10_000));
    let parens = format!(
        "struct a {{ int v[{}1{}]; }};",
        "(".repeat(10_000),
        ")".repeat(10_000)
    );
    let doubling: String = (0..64)
        .map(|i| format!("#define A{} A{i} A{i}\n", i + 1))
        .collect();
    let doubling = format!("#define A0 1\n{doubling}struct a {{ int v[A64]; }};");
    let chain: String = (0..5_000).map(|i| format!("#define C{} C{i}\n", i + 1)).collect();
    let chain = format!("{chain}struct a {{ int v[C5000]; }};");
    let types: String = (0..5_000)
        .map(|i| format!("typedef t{i} *t{};\n", i + 1))
        .collect();
    let types = format!("typedef int t0;\n{types}");
    for text in [deep, stars, parens, doubling, chain, types] {
        let (_, diagnostics) = read(&text);
        assert!(!diagnostics.is_empty(), "{}", &text[..80]);
    }
}

#[test]
fn names_of_types() {
    let target = target();
    for (text, expected) in [
        ("const char *", Some("int8*")),
        ("struct list_head *", Some("struct list_head*")),
        ("struct nowhere *", Some("struct nowhere*")),
        ("unsigned long", Some("uint64")),
        ("__u8", Some("uint8")),
        ("enum hrtimer_mode", Some("enum hrtimer_mode")),
        ("const char *const *", Some("int8**")),
        ("void (*)(int)", Some("void*")),
        ("nowhere_t", None),
        ("int x", None),
        ("int int2", None),
        ("", None),
    ] {
        let found = named_type(text, &target).map(|ty| ty.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}
