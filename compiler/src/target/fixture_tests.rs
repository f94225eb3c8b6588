#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::target::FieldLocation;

const TEXT: &str = include_str!("../../../tests/golden/target.txt");

fn target() -> FixtureTarget {
    FixtureTarget::parse(TEXT).unwrap()
}

fn similar_names<T: std::fmt::Debug>(result: Result<T, TargetError>) -> Vec<String> {
    match result.unwrap_err() {
        TargetError::NotFound { similar, .. } => similar,
        error => panic!("{error:?}"),
    }
}

#[test]
fn states_the_kernel() {
    let target = target();
    assert_eq!(
        (target.arch(), target.possible_cpus(), target.pid_namespace()),
        (Arch::X86_64, 4, None)
    );
    assert!(FEATURES.iter().all(|row| target.has(row.feature)));
    let old = target.with_kernel(KernelVersion { major: 5, minor: 15 });
    assert!(old.has(Feature::Cookies) && !old.has(Feature::UprobeMulti));
    assert!(!old.without(Feature::Cookies).has(Feature::Cookies));
}

#[test]
fn without_and_namespace_lines() {
    let text = "arch aarch64\nkernel 6.12\nwithout uprobe_multi links\npid-namespace 4 0x10\n";
    let target = FixtureTarget::parse(text).unwrap();
    assert_eq!((target.arch(), target.possible_cpus()), (Arch::Aarch64, 1));
    assert!(!target.has(Feature::UprobeMulti) && target.has(Feature::Cookies));
    assert_eq!(target.pid_namespace(), Some(PidNamespace { dev: 4, ino: 16 }));
}

#[test]
fn binaries_by_short_name_path_and_glob() {
    let target = target();
    let path = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    for spec in ["libc", "libc.so", "libc.so.6", path, "/usr/lib/*/libc.so.*"] {
        assert_eq!(
            target.binaries(spec).unwrap(),
            [Binary {
                path: path.to_owned()
            }],
            "{spec}"
        );
    }
    assert!(
        target.binaries("libhdf5").unwrap()[0]
            .path
            .ends_with("/libhdf5_serial.so.103.3.0")
    );
    assert!(target.binaries("lib*").unwrap().len() >= 3);
    assert_eq!(
        similar_names(target.binaries("libhdf")),
        ["libhdf5", "libhdf5_serial", "libhdf5_serial.so.103"]
    );
    assert_eq!(similar_names(target.binaries("/usr/bin/bsh"))[0], "/usr/bin/bash");
}

#[test]
fn functions_are_sorted_and_aliases_share_their_place() {
    let target = target();
    let libc = &target.binaries("libc").unwrap()[0];
    let functions = target.functions(libc).unwrap();
    assert!(functions.is_sorted_by(|a, b| a.name < b.name));
    let named = |name| target.functions_named(libc, name).unwrap().remove(0);
    assert_eq!(named("open").offset, named("open64").offset);
    assert_ne!(named("read").offset, named("write").offset);
    assert!(named("strlen").indirect && !named("write").indirect);
    assert_eq!(similar_names(target.functions_named(libc, "wirte"))[0], "write");
}

#[test]
fn addresses_become_file_offsets() {
    let target = target();
    let python = &target.binaries("python3").unwrap()[0];
    assert_eq!(target.file_offset(python, 0x41_f040).unwrap(), 0x1_f040);
    assert!(
        matches!(target.file_offset(python, 0x1_f040), Err(TargetError::NotFound { searched, .. }) if !searched.is_empty())
    );
}

#[test]
fn tracepoints_and_their_fields() {
    let target = target();
    let found = target.tracepoints("sys*", "sys_enter_*").unwrap();
    assert!(found.len() > 3 && found.is_sorted());
    let switch = target.tracepoint("sched", "sched_switch").unwrap();
    let comm = switch.fields.iter().find(|f| f.name == "next_comm").unwrap();
    assert_eq!(
        (comm.c_type.as_str(), comm.array, comm.offset, comm.size),
        ("char", Some(16), 40, 16)
    );
    let exec = target.tracepoint("sched", "sched_process_exec").unwrap();
    assert_eq!(exec.fields[0].location, FieldLocation::DataLoc);
    let wanted = target.tracepoint("syscall", "sys_enter_read");
    assert_eq!(similar_names(wanted)[0], "syscalls:sys_enter_read");
    assert!(target.tracepoints("nothing*", "*").is_err());
}

#[test]
fn errors_name_the_line() {
    let head = "arch x86_64\nkernel 6.18\n";
    for (bad, says) in [
        ("function f 0x10 1", "before any binary"),
        ("segment 0x10 1 1", "before any binary"),
        ("cpus 0", "0 CPUs"),
        ("cpus x", "no number"),
        ("kernel six", "no kernel version"),
        ("without wings", "no feature"),
        ("binary lib.so", "no absolute path"),
        ("binary /lib.so libc", "aka"),
        ("tracepoint a:b\nname: b\n", "no `end`"),
        ("tracepoint ab\nend", "category:event"),
        ("tracepoint a:b\nend", "`ID:`"),
        ("arch mips", "no line"),
        ("flavour vanilla", "no line"),
    ] {
        let error = FixtureTarget::parse(&format!("{head}{bad}")).unwrap_err();
        assert_eq!(error.line, 3, "{bad}: {error}");
        assert!(error.reason.contains(says), "{bad}: {error}");
    }
    assert!(
        FixtureTarget::parse("arch x86_64")
            .unwrap_err()
            .reason
            .contains("kernel")
    );
    let twice = format!("{head}binary /a\nbinary /a");
    assert_eq!(FixtureTarget::parse(&twice).unwrap_err().line, 4);
    let wraps = format!("{head}binary /a\nsegment 0xffffffffffffffff 2 0");
    assert!(FixtureTarget::parse(&wraps).unwrap_err().reason.contains("wraps"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(cut in 0..TEXT.len(), line in "[a-z-]{0,10}( [0-9a-fx]{0,20}){0,4}") {
        let start: String = TEXT.chars().take(cut).collect();
        let _ = FixtureTarget::parse(&(start + &line));
    }
}
