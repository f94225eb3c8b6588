//! Texts that make no sense and once were read wrongly. Damaged ones are read in `tests/fuzz`.

use super::*;

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
