//! Texts that make no sense: whatever they are, reading them ends, and without a panic.

use super::*;
use proptest::prelude::*;

const SEED: &str = "#define N (3 + sizeof(int))\n#define BIT(n) (1UL << (n))\n#if defined(X) || N > 2\n\
    struct a { char c; unsigned x : 3, : 0, y : 9; struct { int i[N]; union { long l; char t[8]; }; } in; } \
    __attribute__((packed, aligned(8)));\n#elif 1\n#include <linux/fs.h>\n#else\n#include \"shapes.h\"\n#endif\n\
    #pragma pack(push, 1)\nenum color { RED = 1 << 2, BLUE = BIT(3), } __attribute__((packed));\n\
    typedef struct a *(*fn_t)(const char *restrict, enum color); union u { fn_t f; struct list_head l; const char *s; };\n\
    static inline int f(int x) { return x ? 'a' : \"b\\x41\"[0]; }\n";

/// Pieces that are put in.
const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ":",
    "#",
    "\n#if 1\n",
    "\n#endif\n",
    "\n#else\n",
    "\n#define A A B\n",
    "\n#define B A A\n",
    " A ",
    "struct ",
    "union u ",
    "enum ",
    "typedef ",
    "struct a ",
    "*",
    "sizeof",
    "<<",
    "/0",
    "\"",
    "'",
    "__attribute__((",
    "aligned(",
    "\\\n",
    "/*",
    "//",
    "0x",
    "99999999999999999999",
    "-1",
    "é",
    "...",
    "BIT(",
    "?",
    "defined ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn mutated_text_does_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, any::<prop::sample::Index>()), 1..10)) {
        let mut text: Vec<char> = SEED.chars().collect();
        for (at, cut, piece) in &changes {
            let at = at.index(text.len().max(1)).min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.get(PIECES).chars());
        }
        let text: String = text.into_iter().collect();
        let _ = read(&text);
        let _ = recorded(&text, Arch::Aarch64);
        let _ = named_type(&text, &target());
    }
}

/// Texts that once were read wrongly.
#[test]
fn found_before() {
    for text in [
        "",
        "#",
        "#define",
        "#include",
        "#if",
        "#if (",
        "struct",
        "struct {",
        "enum e {",
        "enum e : int",
        "__attribute__",
        "struct a { int : 3",
        "struct a { struct a x; };",
        "union u { union u *p; } __attribute__((aligned(99)));",
        "int x = {",
        "typedef",
        "struct a { int x[sizeof(struct a)]; };",
        "struct list_head { struct list_head h; };",
        "#define f( \nf(",
        "#define f(x) f(f(x))\nstruct a { int v[f(f(f(1)))]; };",
    ] {
        let _ = read(text);
        let _ = recorded(text, Arch::X86_64);
    }
}
