#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;

const BASE: u64 = 0x40_0000;
const ALL: u32 = 0x3f;

fn code(bytes: &[u8]) -> Code<'_> {
    Code { bytes, address: BASE }
}

/// How many bytes are skipped.
fn skipped(bytes: &[u8], arguments: u32) -> Option<u64> {
    emulated(code(bytes), BASE, arguments).map(|to| to - BASE)
}

#[test]
fn instructions_that_the_kernel_emulates() {
    for bytes in [
        &[0x55][..],
        &[0x41, 0x57],
        &[0x90],
        &[0xeb, 0x10],
        &[0x74, 0x10],
        &[0xe8, 0, 0, 0, 0],
        &[0xe9, 0, 0, 0, 0],
        &[0x0f, 0x84, 0, 0, 0, 0],
    ] {
        assert_eq!(skipped(bytes, ALL), Some(0), "{bytes:x?}");
    }
    for bytes in [
        // ret; call *%rax; jmp *%rax; jrcxz; push $1; pushw %ax; bnd jmp
        &[0xc3][..],
        &[0xff, 0xd0],
        &[0xff, 0xe0],
        &[0xe3, 0x10],
        &[0x6a, 0x01],
        &[0x66, 0x50],
        &[0xf2, 0xe9, 0, 0, 0, 0],
        // Cut off, and no instruction.
        &[0xe9, 0, 0],
        &[0x06],
        &[],
    ] {
        assert_eq!(skipped(bytes, ALL), None, "{bytes:x?}");
    }
}

#[test]
fn what_a_probe_may_leave_behind() {
    for (bytes, name) in [
        (&[0xf3, 0x0f, 0x1e, 0xfa][..], "endbr64"),
        (&[0x0f, 0x1f, 0x44, 0, 0], "nopl 0(%rax,%rax)"),
        (&[0x80, 0x3d, 0, 0, 0, 0, 0], "cmpb $0,0(%rip)"),
        (&[0x48, 0x89, 0xf8], "mov %rdi,%rax"),
        (&[0x49, 0x89, 0xca], "mov %rcx,%r10"),
        (&[0x31, 0xc0], "xor %eax,%eax"),
        (&[0x48, 0x83, 0xec, 0x18], "sub $0x18,%rsp"),
        (&[0x48, 0x8d, 0x05, 0, 0, 0, 0], "lea 0(%rip),%rax"),
        (&[0x4c, 0x8d, 0x14, 0x37], "lea (%rdi,%rsi),%r10"),
        (&[0x48, 0x8b, 0x05, 0, 0, 0, 0], "mov 0(%rip),%rax"),
        (&[0x64, 0x8b, 0x04, 0x25, 0x18, 0, 0, 0], "mov %fs:0x18,%eax"),
        (&[0x48, 0x85, 0xff], "test %rdi,%rdi"),
        (&[0x66, 0x0f, 0xef, 0xc0], "pxor %xmm0,%xmm0"),
        (&[0xf3, 0x0f, 0x6f, 0x05, 0, 0, 0, 0], "movdqu 0(%rip),%xmm0"),
    ] {
        let mut all = bytes.to_vec();
        all.extend([0x74, 0x10]);
        assert_eq!(skipped(&all, ALL), Some(bytes.len() as u64), "{name}");
    }
}

#[test]
fn what_it_may_not() {
    for (bytes, name) in [
        (&[0x48, 0x8b, 0x07][..], "mov (%rdi),%rax"),
        (&[0x48, 0x89, 0x44, 0x24, 0x08], "mov %rax,8(%rsp)"),
        (&[0xff, 0x05, 0, 0, 0, 0], "incl 0(%rip)"),
        (&[0x80, 0x3f, 0x00], "cmpb $0,(%rdi)"),
        (&[0x64, 0x8b, 0x07], "mov %fs:(%rdi),%eax"),
        (
            &[0x64, 0xc7, 0x04, 0x25, 0x18, 0, 0, 0, 1, 0, 0, 0],
            "movl $1,%fs:0x18",
        ),
        (&[0x0f, 0x05], "syscall"),
        (&[0x48, 0xf7, 0xf7], "div %rdi"),
        (&[0xf3, 0xa4], "rep movsb"),
        (&[0x5f], "pop %rdi"),
        (&[0xcc], "int3"),
        (&[0x8e, 0xd8], "mov %eax,%ds"),
        (&[0xf0, 0x0f, 0xb1, 0x3d, 0, 0, 0, 0], "lock cmpxchg %edi,0(%rip)"),
    ] {
        let mut all = bytes.to_vec();
        all.extend([0x74, 0x10]);
        assert_eq!(skipped(&all, 0), None, "{name}");
    }
}

#[test]
fn only_arguments_that_are_read_must_stay() {
    for (bytes, argument) in [
        (&[0x48, 0x31, 0xff][..], 0),
        (&[0x40, 0xb7, 0x00], 0),
        (&[0x31, 0xf6], 1),
        (&[0xb6, 0x01], 2),
        (&[0x66, 0xb9, 0, 0], 3),
        (&[0x45, 0x31, 0xc0], 4),
        (&[0x4d, 0x89, 0xd1], 5),
    ] {
        let mut all = bytes.to_vec();
        all.push(0x55);
        assert_eq!(skipped(&all, 1 << argument), None, "{bytes:x?}");
        assert_eq!(
            skipped(&all, ALL & !(1 << argument)),
            Some(bytes.len() as u64),
            "{bytes:x?}"
        );
    }
}

#[test]
fn a_long_way_is_not_gone() {
    let way = |length: usize| {
        let mut all = [0x31, 0xc0].repeat(length);
        all.push(0x55);
        skipped(&all, ALL)
    };
    assert_eq!(way(MAX_SKIPPED), Some(2 * MAX_SKIPPED as u64));
    assert_eq!(way(MAX_SKIPPED + 1), None);
}

/// `xor %eax,%eax; je …` and then `rest`.
fn function(rest: &[u8]) -> (Vec<u8>, Skipped) {
    let mut bytes = vec![0x31, 0xc0, 0x74, 0x00];
    bytes.extend(rest);
    let skipped = Skipped {
        entry: BASE,
        to: BASE + 2,
    };
    (bytes, skipped)
}

#[test]
fn a_function_that_jumps_back_keeps_its_entry() {
    let outside = |rest: &[u8]| {
        let (bytes, skipped) = function(rest);
        leaves(code(&bytes), skipped, BASE + bytes.len() as u64)
    };
    assert_eq!(outside(&[0xc3]), Some(vec![]));
    // To the entry: both places are reached again.
    assert_eq!(outside(&[0xeb, 0xfa]), Some(vec![]));
    // To the place, short and long, and as a call.
    assert_eq!(outside(&[0xeb, 0xfc]), None);
    assert_eq!(outside(&[0xe9, 0xf9, 0xff, 0xff, 0xff]), None);
    assert_eq!(outside(&[0xe8, 0xf9, 0xff, 0xff, 0xff, 0xc3]), None);
    // Into the middle of the skipped instruction.
    assert_eq!(outside(&[0xeb, 0xfb]), None);
    // Nobody knows where to.
    assert_eq!(outside(&[0xff, 0xe0]), None);
    assert_eq!(outside(&[0xff, 0x25, 0, 0, 0, 0]), None);
    // Not decodable, and cut off.
    assert_eq!(outside(&[0x06]), None);
    assert_eq!(outside(&[0xe9, 0, 0]), None);
    // Elsewhere.
    assert_eq!(
        outside(&[0xe9, 0x00, 0x01, 0, 0]),
        Some(vec![BASE + 4 + 5 + 0x100])
    );
}

/// Code behind a function.
struct Elsewhere(Vec<u8>);

impl Surroundings for Elsewhere {
    fn code_from(&mut self, address: u64) -> Option<(Vec<u8>, u64)> {
        let at = usize::try_from(address.checked_sub(BASE + 0x100)?).unwrap();
        Some((self.0.get(at..)?.to_vec(), address))
    }

    fn is_function(&self, address: u64) -> bool {
        address == BASE + 0x1000
    }
}

#[test]
fn parts_elsewhere_are_followed() {
    let followed = |bytes: &[u8]| {
        is_followed(
            vec![BASE + 0x100],
            BASE..BASE + 0x10,
            &mut Elsewhere(bytes.to_vec()),
        )
    };
    assert!(followed(&[0xc3]));
    assert!(followed(&[0x0f, 0x0b]));
    // Back into the function, to a known function, through a word of the dynamic loader.
    assert!(followed(&[0xe9, 0x00, 0xff, 0xff, 0xff]));
    assert!(followed(&[0xe9, 0xfb, 0x0e, 0, 0]));
    assert!(followed(&[0xff, 0x25, 0, 0, 0, 0]));
    // A jump table, also behind a branch.
    assert!(!followed(&[0xff, 0xe0]));
    assert!(!followed(&[0x74, 0x01, 0xc3, 0xff, 0xe0]));
    // An endless loop ends; what cannot be read or decoded is in doubt.
    assert!(followed(&[0xeb, 0xfe]));
    assert!(!followed(&[0xe9, 0x00, 0x10, 0, 0]));
    assert!(!followed(&[0x06]));
    assert!(!followed(&[0x90; 2 * MAX_FOLLOWED]));
}

#[test]
fn short_branches_are_seen_wherever_instructions_begin() {
    let skipped = Skipped {
        entry: BASE + 0x40,
        to: BASE + 0x44,
    };
    for start in 0..0x3e {
        for to in 0x40..=0x45_u8 {
            // Instructions of two bytes that are others when begun in their middle.
            let mut bytes = [0xb0, 0xb0].repeat(0x20);
            bytes[start] = 0xeb;
            bytes[start + 1] = to - start as u8 - 2;
            let expected = (0x41..=0x44).contains(&to);
            assert_eq!(
                has_short_branch(code(&bytes), skipped),
                expected,
                "{start:x} {to:x}"
            );
        }
    }
    assert!(!has_short_branch(code(&[]), skipped));
}
