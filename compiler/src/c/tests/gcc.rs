//! The layout against gcc's, on structs made at random.

use super::*;
use std::process::Command;

/// A generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

const INTEGERS: &[&str] = &[
    "char",
    "signed char",
    "unsigned char",
    "short",
    "unsigned short int",
    "int",
    "unsigned",
    "long",
    "unsigned long long",
    "_Bool",
];
const OTHERS: &[&str] = &[
    "void *",
    "float",
    "double",
    "__int128",
    "enum { %N = 3 }",
    "enum { %N = -3 }",
];

struct Made {
    text: String,
    /// The members that have a name of their own at the top: path.
    fields: Vec<String>,
    bitfields: Vec<String>,
}

/// Bits of an integer type.
fn bits(ty: &str) -> u64 {
    match ty {
        "_Bool" => 1,
        ty if ty.contains("char") => 8,
        ty if ty.contains("short") => 16,
        ty if ty.contains("long") => 64,
        _ => 32,
    }
}

/// The members of a struct, some of them structs.
fn body(numbers: &mut Numbers, made: &mut Made, next: &mut u32, path: &str, depth: u32) {
    made.text.push_str("{ ");
    for _ in 0..=numbers.below(5) {
        let name = format!("m{next}");
        *next += 1;
        let inner_path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let attribute = match numbers.below(12) {
            0 => "__attribute__((packed))",
            1 => "__attribute__((aligned(8)))",
            2 => "__attribute__((aligned(2)))",
            _ => "",
        };
        match numbers.below(10) {
            0 if depth < 3 => {
                made.text.push_str(numbers.one(&["struct ", "union "]));
                body(numbers, made, next, &inner_path, depth + 1);
                write!(
                    made.text,
                    "{} {name}; ",
                    numbers.one(&["", "", "__attribute__((packed))"])
                )
                .unwrap();
            }
            1 if depth < 3 => {
                made.text.push_str(numbers.one(&["struct ", "union "]));
                body(numbers, made, next, path, depth + 1);
                made.text.push_str("; ");
            }
            2..=5 => {
                let ty = numbers.one(INTEGERS);
                let most = bits(ty);
                if numbers.below(6) == 0 {
                    write!(made.text, "{ty} : {}; ", numbers.below(most + 1)).unwrap();
                } else {
                    let attribute = if attribute.contains("aligned") {
                        ""
                    } else {
                        attribute
                    };
                    write!(
                        made.text,
                        "{ty} {name} : {} {attribute}; ",
                        numbers.below(most) + 1
                    )
                    .unwrap();
                    made.bitfields.push(inner_path);
                }
            }
            6 => {
                let ty = numbers.one(OTHERS).replace("%N", &format!("C{next}"));
                write!(made.text, "{ty} {name} {attribute}; ").unwrap();
                made.fields.push(inner_path);
            }
            7 => {
                write!(
                    made.text,
                    "{} {name}[{}][{}] {attribute}; ",
                    numbers.one(INTEGERS),
                    numbers.below(3) + 1,
                    numbers.below(4) + 1
                )
                .unwrap();
                made.fields.push(inner_path);
            }
            _ => {
                write!(made.text, "{} {name} {attribute}; ", numbers.one(INTEGERS)).unwrap();
                made.fields.push(inner_path);
            }
        }
    }
    made.text.push('}');
}

/// The field of that path, looked for in unnamed members too: its place in bits from the start, and its type.
fn find(declared: &Declarations, of: &StructType, path: &[&str]) -> Option<(u64, Field)> {
    let (first, rest) = path.split_first()?;
    declared.fields(of.id)?.iter().find_map(|field| {
        let start = u64::from(field.offset) * 8 + field.bits.map_or(0, |bits| bits.low.into());
        match &field.ty {
            Type::Struct(inner) if field.name.is_empty() => {
                find(declared, inner, path).map(|(at, found)| (start + at, found))
            }
            _ if field.name != *first => None,
            Type::Struct(inner) if !rest.is_empty() => {
                find(declared, inner, rest).map(|(at, found)| (start + at, found))
            }
            _ => Some((start, field.clone())),
        }
    })
}

/// A program that prints size and alignment of each struct, then of each field its first bit and its width, found by
/// setting all its bits.
fn program(structs: &[Made]) -> String {
    let mut main = String::new();
    let mut types = String::new();
    for (i, made) in structs.iter().enumerate() {
        types.push_str(&made.text);
        writeln!(
            main,
            "printf(\"%zu %zu\\n\", sizeof(struct s{i}), _Alignof(struct s{i}));"
        )
        .unwrap();
        for field in &made.fields {
            writeln!(
                main,
                "printf(\"%zu\\n\", __builtin_offsetof(struct s{i}, {field}) * 8);"
            )
            .unwrap();
        }
        for field in &made.bitfields {
            writeln!(
                main,
                "{{ struct s{i} v; memset(&v, 0, sizeof v); v.{field} = -1; unsigned char *b = (void *)&v; \
                 int first = -1, last = -1; for (int i = 0; i < (int)sizeof v * 8; i++) \
                 if (b[i / 8] >> i % 8 & 1) {{ if (first < 0) first = i; last = i; }} \
                 printf(\"%d %d\\n\", first, last - first + 1); }}"
            )
            .unwrap();
        }
    }
    format!("#include <stdio.h>\n#include <string.h>\n{types}\nint main(void) {{\n{main}return 0;\n}}\n")
}

/// A struct of random members, `s` and its number.
fn random_struct(numbers: &mut Numbers, i: u32) -> Made {
    let mut made = Made {
        text: String::new(),
        fields: Vec::new(),
        bitfields: Vec::new(),
    };
    let pack = numbers.one(&["", "", "", "1", "2", "4", "8"]);
    if !pack.is_empty() {
        writeln!(made.text, "#pragma pack(push, {pack})").unwrap();
    }
    write!(made.text, "struct s{i} ").unwrap();
    body(numbers, &mut made, &mut (i * 1000), "", 0);
    let attribute = numbers.one(&[
        "",
        "",
        "",
        "__attribute__((packed))",
        "__attribute__((aligned(16)))",
        "__attribute__((packed, aligned(2)))",
    ]);
    writeln!(made.text, " {attribute};").unwrap();
    if !pack.is_empty() {
        made.text.push_str("#pragma pack(pop)\n");
    }
    made
}

/// What a program prints; `None` where there is no gcc, or one for another machine.
fn compiled_and_run(text: &str) -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let directory = std::env::temp_dir().join(format!("crumbs-layout-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (source, binary) = (directory.join("s.c"), directory.join("s"));
    std::fs::write(&source, text).unwrap();
    let gcc = Command::new("gcc")
        .args(["-w", "-O0", "-o"])
        .arg(&binary)
        .arg(&source)
        .status();
    if gcc.is_err() {
        return None; // There is no gcc here.
    }
    assert!(gcc.unwrap().success());
    let printed = Command::new(&binary).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    Some(printed)
}

#[test]
fn structs_are_laid_out_as_gcc_does() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut structs = Vec::new();
    for i in 0..400 {
        structs.push(random_struct(&mut numbers, i));
    }
    let Some(printed) = compiled_and_run(&program(&structs)) else {
        return;
    };
    let mut lines = printed.lines();
    for (i, made) in structs.iter().enumerate() {
        let declared = good(&made.text);
        let Some(Type::Struct(of)) = declared.lookup("struct", &format!("s{i}")) else {
            panic!("{}", made.text);
        };
        let align = good(&format!("{}\n#define A _Alignof(struct s{i})\n", made.text)).constants["A"].clone();
        let Constant::Int(align, _) = align else {
            panic!("{align:?}");
        };
        assert_eq!(
            format!("{} {align}", of.size),
            lines.next().unwrap(),
            "{}",
            made.text
        );
        for path in &made.fields {
            let (at, _) = find(&declared, of, &path.split('.').collect::<Vec<_>>()).unwrap();
            assert_eq!(at.to_string(), lines.next().unwrap(), "{path} of {}", made.text);
        }
        for path in &made.bitfields {
            let (at, field) = find(&declared, of, &path.split('.').collect::<Vec<_>>()).unwrap();
            let expected = lines.next().unwrap();
            // One that no integer of 8 bytes holds has no bits to read.
            if let Some(bits) = field.bits {
                assert_eq!(
                    format!("{at} {}", bits.width),
                    expected,
                    "{path} of {}",
                    made.text
                );
            }
        }
    }
}
