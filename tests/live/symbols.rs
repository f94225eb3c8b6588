//! Addresses of symbols, relatives of processes, paths of files.

use crate::support::{evaluate, needs, no_tracing, trace};

#[test]
fn addresses_of_the_programs_data() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { @at = uaddr(\"stdout\"); print(@at == uaddr(\"stdout\")); print(*@at != 0); clear(@at); }",
        "value 1",
    )
    .prints("true\ntrue\n\n\n");
}

#[test]
fn relatives_of_a_process() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { print((leader_comm == comm, leader_tid == tid, ppid != pid, pcomm)); }",
        "value 1",
    )
    .prints("(true, true, true, crumbs)\n\n\n");
}

#[test]
fn working_directories_and_paths_below_them() {
    needs!(no_tracing());
    let here = std::env::current_dir().unwrap_or_default();
    evaluate("begin { print(cwd); print(abs_path(\"x/y\", 32)); print(abs_path(\"/x\", 32)); print(abs_path(\"\", 32) == cwd); }")
        .prints(&format!("{0}\n{0}/x/y\n/x\ntrue\n\n\n", here.display()));
}

#[test]
fn addresses_of_the_kernel() {
    needs!(no_tracing());
    evaluate("begin { print((kaddr(\"vfs_read\") == kaddr(\"vfs_read\"), (uint64)kaddr(\"vfs_read\") > 0xffff)); }")
        .prints("(true, true)\n\n\n");
}

#[test]
fn stacks_by_build_id() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:value { print(ustack(build_id, 1)); print(ustack(raw, 1)); }",
        "value 1",
    );
    let lines: Vec<&str> = outcome.stdout.lines().filter(|line| !line.is_empty()).collect();
    let [file, address] = lines[..] else {
        panic!("{}", outcome.stdout);
    };
    let Some((id, offset)) = file.split_once(" 0x") else {
        panic!("{file}");
    };
    assert!(
        id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{file}"
    );
    let hex = |text| u64::from_str_radix(text, 16).unwrap();
    // Both are the same place within its page.
    assert_eq!(hex(offset) % 4096, hex(address) % 4096);
}
