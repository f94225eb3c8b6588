//! The reader against objects made here, against bytes that make no sense, and against this kernel.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::host::scratch::Scratch;
use crumbs_compiler::ctype::Bits;
use crumbs_compiler::types::{IntType, Space};
use proptest::prelude::*;

/// A BTF object in the making.
#[derive(Default)]
struct Maker {
    types: Vec<u8>,
    strings: Vec<u8>,
    first_string: u32,
    next: u32,
}

impl Maker {
    fn vmlinux() -> Self {
        Self {
            strings: vec![0],
            next: 1,
            ..Self::default()
        }
    }

    fn module(base: &Self) -> Self {
        Self {
            first_string: base.strings.len() as u32,
            next: base.next,
            ..Self::default()
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.first_string + self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    /// A type: kind, its name, flag and count, size or reference, and the words behind it.
    fn add(&mut self, kind: u32, name: &str, flag: bool, count: u32, word: u32, behind: &[u32]) -> u32 {
        let name = self.string(name);
        let info = u32::from(flag) << 31 | kind << 24 | count;
        let words = [name, info, word];
        let words = words.iter().chain(behind);
        self.types.extend(words.flat_map(|word| word.to_le_bytes()));
        self.next += 1;
        self.next - 1
    }

    fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        self.add(1, name, false, 0, size, &[(encoding << 24) | (size * 8)])
    }

    /// Members: name, type, and the word that says where.
    fn composite(
        &mut self,
        kind: u32,
        name: &str,
        size: u32,
        flag: bool,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let mut words = Vec::new();
        for (name, ty, place) in members {
            words.extend([self.string(name), *ty, *place]);
        }
        self.add(kind, name, flag, members.len() as u32, size, &words)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0x9f, 0xeb, 1, 0];
        let words = [24, 0, self.types.len(), self.types.len(), self.strings.len()];
        out.extend(words.iter().flat_map(|word| (*word as u32).to_le_bytes()));
        out.extend(&self.types);
        out.extend(&self.strings);
        out
    }
}

const STRUCT: u32 = 4;
const UNION: u32 = 5;

/// A small kernel: `int`, `char`, `struct node`, …
fn sample() -> Maker {
    let mut m = Maker::vmlinux();
    let int = m.int("int", 4, 1);
    let char_type = m.int("char", 1, 0);
    let bool_type = m.int("_Bool", 1, 4);
    let tag = m.add(18, "user", false, 0, char_type, &[]);
    let user_text = m.add(2, "", false, 0, tag, &[]);
    let comm = m.add(3, "", false, 0, 0, &[char_type, int, 16]);
    let grid_row = m.add(3, "", false, 0, 0, &[int, int, 3]);
    let grid = m.add(3, "", false, 0, 0, &[grid_row, int, 2]);
    let pid = m.add(8, "pid_t", false, 0, int, &[]);
    let constant = m.add(10, "", false, 0, pid, &[]);
    let node = m.next + 4;
    let pointer = m.add(2, "", false, 0, node, &[]);
    let forward = m.add(7, "elsewhere", false, 0, 0, &[]);
    let elsewhere = m.add(2, "", false, 0, forward, &[]);
    let inner = m.composite(UNION, "", 8, false, &[("a", int, 0), ("b", user_text, 0)]);
    let made = m.composite(
        STRUCT,
        "node",
        88,
        true,
        &[
            ("next", pointer, 0),
            ("pid", constant, 64),
            ("comm", comm, 96),
            ("flag", int, 3 << 24 | 224),
            ("wide", int, 7 << 24 | 230),
            ("yes", bool_type, 240),
            ("", inner, 256),
            ("grid", grid, 320),
            ("far", elsewhere, 512),
        ],
    );
    assert_eq!(made, node);
    let (red, blue) = (m.string("RED"), m.string("BLUE"));
    let colour = m.add(6, "colour", true, 2, 4, &[red, u32::MAX, blue, 7]);
    let big = m.string("BIG");
    m.add(19, "wide", false, 1, 8, &[big, 0, 0x8000_0000]);
    let (file, mode) = (m.string("file"), m.string("mode"));
    let proto = m.add(13, "", false, 3, int, &[file, pointer, mode, colour, 0, 0]);
    m.add(12, "open_it", false, 1, proto, &[]);
    m
}

fn int(bits: u8, signed: bool) -> Type {
    Type::Int(IntType { bits, signed })
}

/// A directory as the kernel's, with these files.
fn kernel(files: &[(&str, Vec<u8>)]) -> (Scratch, KernelTypes) {
    let scratch = Scratch::new();
    for (name, bytes) in files {
        scratch.write(name, bytes);
    }
    let types = KernelTypes::new(Some(scratch.path("")));
    (scratch, types)
}

#[test]
fn members_have_the_types_and_places_that_btf_says() {
    let (_scratch, types) = kernel(&[("vmlinux", sample().bytes())]);
    let Type::Struct(node) = types.named("struct", "node").unwrap() else {
        panic!("no struct");
    };
    assert_eq!((node.name.as_ref(), node.size), ("struct node", 88));
    let fields = types.fields(node.id).unwrap();
    let shown: Vec<(&str, String, u32)> = fields
        .iter()
        .map(|f| (f.name.as_str(), f.ty.to_string(), f.offset))
        .collect();
    assert_eq!(
        shown,
        [
            ("next", "struct node*".to_owned(), 0),
            ("pid", "int32".to_owned(), 8),
            ("comm", "string[16]".to_owned(), 12),
            ("flag", "int32".to_owned(), 28),
            ("wide", "int32".to_owned(), 28),
            ("yes", "bool".to_owned(), 30),
            ("", "union".to_owned(), 32),
            ("grid", "int32[3][2]".to_owned(), 40),
            ("far", "struct elsewhere*".to_owned(), 64),
        ]
    );
    let bits = |storage, low, width| Some(Bits { storage, low, width });
    assert_eq!((fields[3].bits, fields[4].bits), (bits(1, 0, 3), bits(2, 6, 7)));
    let Type::Struct(inner) = &fields[6].ty else {
        panic!("no union");
    };
    let inner = types.fields(inner.id).unwrap();
    assert_eq!(inner[1].ty, Type::Ptr(Box::new(int(8, true)), Space::User));
}

#[test]
fn constants_functions_and_typedefs() {
    let (_scratch, types) = kernel(&[("vmlinux", sample().bytes())]);
    let (colour, value) = types.constant("RED").unwrap();
    assert_eq!(
        (colour.name.as_str(), value, colour.int.signed),
        ("enum colour", -1, true)
    );
    assert_eq!(types.constant("BIG").unwrap().1, i64::MIN);
    assert_eq!(types.constant("GREEN"), None);
    assert_eq!(types.named("", "pid_t").unwrap(), int(32, true));
    let functions = types.functions(None, "open_it").unwrap();
    let [function] = functions.as_slice() else {
        panic!("{functions:?}");
    };
    let params: Vec<String> = function
        .params
        .iter()
        .map(|(n, ty)| format!("{ty} {n}"))
        .collect();
    assert_eq!(params, ["struct node* file", "enum colour mode"]);
    assert_eq!((function.module.as_str(), &function.result), ("", &int(32, true)));
    for missing in [types.named("union", "node"), types.named("struct", "nod")] {
        assert!(
            matches!(missing, Err(TargetError::NotFound { .. })),
            "{missing:?}"
        );
    }
    let Err(TargetError::NotFound { similar, .. }) = types.named("struct", "nod") else {
        unreachable!();
    };
    assert_eq!(similar, ["node"]);
}

#[test]
fn old_bitfields_are_integers_of_few_bits() {
    let mut m = Maker::vmlinux();
    let three = m.add(1, "int", false, 0, 4, &[1 << 24 | 3]);
    let shifted = m.add(1, "int", false, 0, 4, &[1 << 24 | 4 << 16 | 2]);
    m.composite(STRUCT, "s", 4, false, &[("a", three, 8), ("b", shifted, 8)]);
    let (_scratch, types) = kernel(&[("vmlinux", m.bytes())]);
    let Type::Struct(s) = types.named("struct", "s").unwrap() else {
        panic!("no struct");
    };
    let fields = types.fields(s.id).unwrap();
    let place = |i: usize| {
        fields[i]
            .bits
            .map(|b| (fields[i].offset, b.storage, b.low, b.width))
    };
    assert_eq!((place(0), place(1)), (Some((1, 1, 0, 3)), Some((1, 1, 4, 2))));
}

#[test]
fn modules_continue_the_kernels_types() {
    let base = sample();
    let mut module = Maker::module(&base);
    let body = module.composite(STRUCT, "elsewhere", 4, false, &[("count", 1, 0)]);
    let pointer = module.add(2, "", false, 0, body, &[]);
    let param = module.string("it");
    let proto = module.add(13, "", false, 1, 0, &[param, pointer]);
    module.add(12, "visit", false, 0, proto, &[]);
    let (_scratch, types) = kernel(&[("vmlinux", base.bytes()), ("ext", module.bytes())]);
    let Type::Struct(found) = types.named("struct", "elsewhere").unwrap() else {
        panic!("no struct");
    };
    assert_eq!(found.id, StructId::Kernel { object: 1, id: body });
    assert_eq!(types.fields(found.id).unwrap()[0].ty, int(32, true));
    // The kernel proper only declares it; its members are those that the module defines.
    let Type::Struct(node) = types.named("struct", "node").unwrap() else {
        panic!("no struct");
    };
    let far = types.fields(node.id).unwrap()[8].ty.clone();
    let Type::Ptr(to, _) = far else { panic!("{far}") };
    let Type::Struct(to) = *to else { panic!("{to}") };
    assert_eq!(types.fields(to.id).unwrap()[0].name, "count");
    let visit = &types.functions(None, "visit").unwrap()[0];
    assert_eq!((visit.module.as_str(), visit.object), ("ext", 1));
    assert_eq!(types.functions(Some("ext"), "visit").unwrap().len(), 1);
    assert!(types.functions(Some("vmlinux"), "visit").is_err());
    assert!(types.functions(Some("exxt"), "visit").is_err());
}

#[test]
fn circles_of_typedefs_and_arrays_end() {
    let mut m = Maker::vmlinux();
    m.add(8, "round", false, 0, 1, &[]);
    m.add(8, "loop", false, 0, 3, &[]);
    m.add(3, "", false, 0, 0, &[2, 2, 2]);
    m.add(8, "far", false, 0, 99, &[]);
    let (_scratch, types) = kernel(&[("vmlinux", m.bytes())]);
    for name in ["round", "loop", "far"] {
        assert!(types.named("", name).is_ok(), "{name}");
    }
}

#[test]
fn a_kernel_without_btf_is_told_from_a_name_that_is_missing() {
    let (_scratch, types) = kernel(&[]);
    assert!(matches!(
        types.named("struct", "node"),
        Err(TargetError::Unreadable { .. })
    ));
    let (_scratch, types) = kernel(&[("vmlinux", b"not BTF".to_vec())]);
    assert!(matches!(
        types.named("struct", "node"),
        Err(TargetError::Unreadable { .. })
    ));
}

#[test]
fn an_index_answers_as_walks_do() {
    let object = Object::new(sample().bytes().into(), None).unwrap();
    for _ in 0..20 {
        assert_eq!(object.named(Class::Type, "node").len(), 1);
        assert_eq!(object.named(Class::Type, "nodes").len(), 0);
        assert_eq!(object.named(Class::Function, "open_it").len(), 1);
        assert_eq!(object.named(Class::Function, "node").len(), 0);
    }
}

#[test]
fn types_are_written_as_c_has_them() {
    let (_scratch, types) = kernel(&[("vmlinux", sample().bytes())]);
    let node = "struct node {\n\tstruct node *next;\n\tconst pid_t pid;\n\tchar comm[16];\n\tint flag: 3;\n\tint wide: 7;\n\
                \t_Bool yes;\n\tunion {\n\t\tint a;\n\t\tchar *b;\n\t};\n\tint grid[2][3];\n\tstruct elsewhere *far;\n}";
    assert_eq!(types.definition_text("struct", "node").unwrap(), node);
    assert_eq!(
        types.definition_text("enum", "colour").unwrap(),
        "enum colour {\n\tRED = -1,\n\tBLUE = 7,\n}"
    );
    assert!(types.definition_text("struct", "nod").is_err());
    let (params, result) = types.parameter_texts("vmlinux", "open_it").unwrap();
    assert_eq!(params, ["struct node * file", "enum colour mode", "..."]);
    assert_eq!(result.as_deref(), Some("int retval"));
    let tagged = |keyword, glob| types.tagged(keyword, &Glob::new(glob)).unwrap();
    assert_eq!(tagged("enum", "*"), ["enum colour", "enum wide"]);
    assert_eq!(tagged("struct", "no*"), ["struct node"]);
    assert!(tagged("union", "*").is_empty());
}

/// Asks an object everything.
fn exhaust(bytes: Vec<u8>) {
    let Some(object) = Object::new(bytes.into(), None) else {
        return;
    };
    let source = source(&object, 0);
    for id in 0..object.end_id().saturating_add(2) {
        let _ = source.ty(id).size();
        let _ = (source.fields(id), source.signature(id));
        let _ = (source.definition(id), source.declaration(id, "x"));
        if let Some(entry) = object.entry(id) {
            let _ = object.text(entry.name);
        }
    }
    for name in ["node", "open_it", "", "é"] {
        let _ = (
            object.named(Class::Type, name),
            object.named(Class::Function, name),
        );
        let _ = object.enum_with(name);
    }
}

proptest! {
    #[test]
    fn bytes_that_make_no_sense_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in any::<prop::sample::Index>()) {
        let mut bytes = sample().bytes();
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        exhaust(bytes.clone());
        bytes.truncate(cut.index(bytes.len()));
        exhaust(bytes);
    }
}

#[test]
fn this_kernels_types() {
    if !Path::new(DIRECTORY).join(VMLINUX).exists() {
        return;
    }
    let types = KernelTypes::new(None);
    let Type::Struct(task) = types.named("struct", "task_struct").unwrap() else {
        panic!("no struct");
    };
    let fields = types.fields(task.id).unwrap();
    let named = |name: &str| fields.iter().find(|f| f.name == name).unwrap();
    assert_eq!(named("comm").ty, Type::Str(16));
    assert_eq!(named("pid").ty, int(32, true));
    assert!(
        named("sched_reset_on_fork")
            .bits
            .is_some_and(|bits| bits.width == 1)
    );
    // Every member of every struct lies inside of it.
    let object = types.vmlinux().unwrap();
    for (id, entry) in object
        .own()
        .filter(|(_, e)| matches!(e.kind, Kind::Struct | Kind::Union))
    {
        let fields = source(object, 0).fields(id).unwrap();
        assert_eq!(fields.len(), entry.count, "{id}");
        for field in &fields {
            let size = field.bits.map_or(field.ty.size(), |bits| u32::from(bits.storage));
            assert!(
                field.offset + size <= entry.word,
                "{} {field:?}",
                object.text(entry.name)
            );
        }
    }
}
