#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::host::scratch::Scratch;
use crate::host::{HostOptions, HostTarget};
use crumbs_compiler::target::{Binary, Target};

/// A library of which every function begins with `xor %eax,%eax; test %edi,%edi; je`, so that a probe can be moved by 4 bytes;
/// names say why not.
const SOURCE: &str = r#"
#define START(name) ".p2align 4\n .globl " #name "\n .type " #name ",@function\n" #name ": xor %eax,%eax\n test %edi,%edi\n"
#define END(name) " .size " #name ",.-" #name "\n"
__asm__(".text\n"
    START(moved) " je 1f\n inc %eax\n1: ret\n" END(moved)
    START(loops_to_entry) " je 1f\n dec %edi\n jmp loops_to_entry\n1: ret\n" END(loops_to_entry)
    START(loops) "2: je 1f\n dec %edi\n jmp 2b\n1: ret\n" END(loops)
    START(table) " je 1f\n jmp *%rsi\n1: ret\n" END(table)
    START(reached_far) " je 1f\n1: ret\n" END(reached_far)
    " .skip 300, 0x90\n"
    START(far) " je 1f\n jmp reached_far+4\n1: ret\n" END(far)
    START(reached_in_the_middle) " je 1f\n1: ret\n" END(reached_in_the_middle)
    " .skip 300, 0x90\n"
    START(calls) " je 1f\n call reached_in_the_middle+2\n1: ret\n" END(calls)
    START(near) " je 1f\n jmp.d8 reached_near+4\n1: ret\n" END(near)
    START(reached_near) " je 1f\n1: ret\n" END(reached_near)
    START(reached_from_behind) " je 1f\n1: ret\n" END(reached_from_behind)
    " jmp.d8 reached_from_behind+4\n"
    START(named) " .globl other\n .type other,@function\nother: je 1f\n1: ret\n" END(named)
    " .size other,.-other\n"
    START(no_size) " je 1f\n1: ret\n"
    START(ends_elsewhere) " je 1f\n jmp elsewhere\n1: ret\n" END(ends_elsewhere)
    START(table_elsewhere) " je 1f\n jmp elsewhere_with_table\n1: ret\n" END(table_elsewhere)
    ".section .text.unlikely,\"ax\"\n"
    "elsewhere: ud2\n elsewhere_with_table: jmp *%rax\n"
    ".text\n");
"#;

fn moved(binary: &Binary, host: &HostTarget, name: &str, arguments: u32) -> u64 {
    let offset = host.functions_named(binary, name).unwrap()[0].offset;
    host.cheapest_places(binary, &[Entry { offset, arguments }])[0] - offset
}

#[test]
fn functions_are_moved_only_where_nothing_else_leads() {
    let scratch = Scratch::new();
    let options = ["-shared", "-fPIC", "-nostdlib", "-Wl,-Bsymbolic", "-Wl,-z,notext"];
    let Some(library) = scratch.compile("libcheap.so", SOURCE, &options) else {
        return;
    };
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let binary = Binary {
        path: library.to_str().unwrap().to_owned(),
    };
    let host = HostTarget::new(HostOptions::default());
    let all = [
        ("moved", 4),
        ("loops_to_entry", 4),
        ("loops", 0),
        ("table", 0),
        ("reached_far", 0),
        ("far", 4),
        ("reached_in_the_middle", 0),
        ("calls", 4),
        ("near", 4),
        ("reached_near", 0),
        ("reached_from_behind", 0),
        ("named", 0),
        ("no_size", 0),
        ("ends_elsewhere", 4),
        ("table_elsewhere", 0),
    ];
    for (name, bytes) in all {
        assert_eq!(moved(&binary, &host, name, 0x3f), bytes, "{name}");
    }
    // All at once, which searches in another way.
    let mut entries: Vec<(u64, &str, u64)> = all
        .iter()
        .map(|&(name, bytes)| {
            (
                host.functions_named(&binary, name).unwrap()[0].offset,
                name,
                bytes,
            )
        })
        .collect();
    entries.sort_unstable();
    let asked: Vec<Entry> = entries
        .iter()
        .map(|&(offset, _, _)| Entry {
            offset,
            arguments: 0x3f,
        })
        .collect();
    let places = host.cheapest_places(&binary, &asked);
    for ((offset, name, bytes), place) in entries.iter().zip(places) {
        assert_eq!(place - offset, *bytes, "{name}");
    }
    // What is no function, and what is no file.
    let nowhere = Entry {
        offset: u64::MAX,
        arguments: 0,
    };
    assert_eq!(host.cheapest_places(&binary, &[nowhere]), [u64::MAX]);
    let no_file = Binary {
        path: "/nonexistent".into(),
    };
    assert_eq!(host.cheapest_places(&no_file, &asked[..1]), [asked[0].offset]);
}

#[test]
fn damaged_files_are_only_in_doubt() {
    let scratch = Scratch::new();
    let options = ["-shared", "-fPIC", "-nostdlib"];
    let source = "int f(int a) { return a ? a + 1 : 0; } int g(int a) { return a ? f(a) : 2; }";
    let Some(library) = scratch.compile("libwhole.so", source, &options) else {
        return;
    };
    let whole = std::fs::read(&library).unwrap();
    // The symbols: a section that begins at an address that the headers name; all bytes but the code may be anything.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random(8) {
            let at = 16 + random(if round % 2 == 0 { 0x300 } else { bytes.len() - 24 });
            let value = [0, 0xff, 0x7f, 0x80, random(256) as u8][random(5)];
            let width = [1, 4, 8][random(3)];
            bytes[at..at + width].fill(value);
        }
        let path = scratch.write("damaged.so", &bytes);
        let binary = Binary {
            path: path.to_str().unwrap().to_owned(),
        };
        let host = HostTarget::new(HostOptions::default());
        let functions = host
            .functions(&binary)
            .map_or_else(|_| Vec::new(), |all| all.to_vec());
        let offsets = functions.iter().map(|function| function.offset);
        let offsets: std::collections::BTreeSet<u64> =
            offsets.chain([0, 0x1000, u64::MAX - 1, u64::MAX]).collect();
        let entries: Vec<Entry> = offsets
            .into_iter()
            .map(|offset| Entry { offset, arguments: 0 })
            .collect();
        let places = host.cheapest_places(&binary, &entries);
        let in_front = entries
            .iter()
            .zip(&places)
            .filter(|(entry, place)| entry.offset > **place);
        assert_eq!((places.len(), in_front.count()), (entries.len(), 0));
    }
}
