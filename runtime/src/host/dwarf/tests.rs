//! Debug information that makes no sense does no harm. What sound debug information means is tested on running programs
//! (`tests/live/described.rs`).
#![expect(clippy::unwrap_used, reason = "tests")]

use super::object::Object;
use super::*;
use crate::host::scratch::Scratch;
use crumbs_compiler::ctype::StructType;
use crumbs_compiler::target::Arch;
use std::path::Path;
use std::time::{Duration, Instant};

const SOURCE: &str = r#"
struct node { int value; char name[10]; struct node *next; union { unsigned u; float f; }; unsigned low : 3; };
typedef struct node node_t;
enum shade { DARK, BRIGHT = -5 };
struct pair { double a; long b[2][3]; const volatile void *p; int (*call)(int, char *); };
static inline __attribute__((always_inline)) int square(int n) { volatile int r = n * n; return r; }
__attribute__((noinline)) int find(node_t *node, enum shade shade, struct pair pair, double real, __int128 wide) {
  return node->value + shade + (int)pair.a + (int)real + (int)wide;
}
int main(int argc, char **argv) {
  struct node n = {argc};
  struct pair p = {1};
  return find(&n, DARK, p, 2.5, square(argc)) + (argv == 0);
}
"#;

const HERE: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Aarch64
} else {
    Arch::X86_64
};

/// Asks everything that can be asked; gives how many answers there were.
fn exercise(path: &Path) -> usize {
    let Ok(image) = Image::open(path.to_str().unwrap(), HERE) else {
        return 0;
    };
    let files = DebugFiles::new(Vec::new());
    let functions = image.functions().unwrap_or_default();
    let places = functions
        .iter()
        .filter_map(|function| image.address(function.offset));
    let mut types: Vec<Type> = Vec::new();
    let mut answers = 0;
    for signature in places.filter_map(|address| files.signature(&image, address).ok()) {
        answers += signature.locations(HERE).len();
        types.extend(signature.params.iter().map(|param| param.ty.clone()));
        types.push(signature.result.clone());
    }
    let names = [
        ("struct", "node"),
        ("struct", "pair"),
        ("enum", "shade"),
        ("", "node_t"),
        ("union", "x"),
    ];
    types.extend(
        names
            .iter()
            .filter_map(|(keyword, name)| files.named(&image, keyword, name).ok()),
    );
    // The members' types, and theirs.
    for _ in 0..3 {
        let structs: Vec<StructType> = types.iter().filter_map(pointed_to).collect();
        types = Vec::new();
        for of in structs.iter().take(50) {
            let fields = files.fields(of.id).unwrap_or(Arc::new([]));
            answers += fields.len();
            types.extend(fields.iter().map(|field| field.ty.clone()));
        }
    }
    answers += usize::from(files.is_inlined(&image, "square"));
    for line in [7, 10, 12, 99] {
        if let Ok(Lines::At(addresses)) = files.lines(&image, "t.c", line, None) {
            answers += addresses.len();
        }
    }
    answers
}

fn pointed_to(ty: &Type) -> Option<StructType> {
    match ty {
        Type::Struct(of) => Some(of.clone()),
        Type::Ptr(to, _) | Type::Array(to, _) => pointed_to(to),
        _ => None,
    }
}

/// Where the sections with debug information lie in a file.
fn places(path: &Path) -> Vec<std::ops::Range<usize>> {
    let object = Object::open(path.to_str().unwrap()).unwrap().unwrap();
    object.debug_ranges()
}

#[test]
fn damaged_debug_information_ends_in_time() {
    // A linear congruential generator: the same damage in each run.
    let mut state = 0x9e37_79b9_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let kinds: [&[&str]; 4] = [
        &["-g", "-gdwarf-5"],
        &["-g", "-gdwarf-4", "-fdebug-types-section"],
        &["-g", "-gdwarf-3", "-O0"],
        &["-g", "-gsplit-dwarf"],
    ];
    for options in kinds {
        let scratch = Scratch::new();
        let Some(path) = scratch.compile("t", SOURCE, options) else {
            return;
        };
        let sound = exercise(&path);
        assert!(sound >= 20, "{options:?}: {sound} answers");
        // What was split off is damaged where it lies, or the program is.
        let split = std::fs::read_dir(scratch.root()).unwrap().flatten();
        let split = split
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "dwo"));
        let target = split.unwrap_or_else(|| path.clone());
        let (good, ranges) = (std::fs::read(&target).unwrap(), places(&target));
        assert!(!ranges.is_empty());
        for round in 0..400 {
            let mut copy = good.clone();
            for _ in 0..=random(5) {
                let range = &ranges[random(ranges.len())];
                let at = range.start + random(range.len());
                copy[at] = match random(4) {
                    0 => 0xff,
                    1 => 0,
                    2 => random(256) as u8,
                    _ => copy[at] ^ 1 << random(8),
                };
            }
            // A new file: the old one may still be mapped as a program.
            std::fs::remove_file(&target).unwrap();
            std::fs::write(&target, &copy).unwrap();
            let start = Instant::now();
            exercise(&path);
            assert!(start.elapsed() < Duration::from_secs(60), "{options:?} {round}");
        }
    }
}

#[test]
fn compressed_sections_are_bounded() {
    let scratch = Scratch::new();
    let Some(path) = scratch.compile("t", SOURCE, &["-g", "-gz=zlib"]) else {
        return;
    };
    assert!(exercise(&path) >= 20);
    // The size that the first compressed section claims: more than its bytes can hold.
    let mut bytes = std::fs::read(&path).unwrap();
    let header: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];
    let found: Vec<usize> = places(&path).iter().map(|range| range.start).collect();
    let compressed = found.iter().filter(|at| bytes[**at..].starts_with(&header));
    let compressed: Vec<usize> = compressed.copied().collect();
    assert!(!compressed.is_empty());
    for at in compressed {
        bytes[at + 8..at + 16].copy_from_slice(&(1_u64 << 30).to_le_bytes());
    }
    let damaged = scratch.write("damaged", bytes);
    exercise(&damaged);
}
