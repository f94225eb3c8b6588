//! Probes whose arguments the kernel's own types describe: raw tracepoints, lists of the kernel, functions.

use crate::support::{Crumbs, evaluate, needs, no_tracing, program};
use std::path::Path;

/// Why the kernel's types are out of reach; `None` where they are not.
fn no_types() -> Option<String> {
    let lacks = !Path::new("/sys/kernel/btf/vmlinux").exists();
    no_tracing().or_else(|| lacks.then(|| "this kernel has no BTF".to_owned()))
}

#[test]
fn raw_tracepoints_by_name() {
    needs!(no_types());
    // The same number by its place and by its name; what a pointer leads to.
    let script = "rawtracepoint:sched_process_exec /str(args.bprm->filename) == \"/bin/true\"/ {
        @same[args.p.pid == tid, args.bprm == arg2, args.old_pid == arg1] = count(); }";
    Crumbs::script(script)
        .args(&["-c", "/bin/true"])
        .run()
        .maps("@same[true, true, true]: 1\n");
}

#[test]
fn raw_tracepoints_as_a_whole_and_by_wildcard() {
    needs!(no_types());
    let outcome = evaluate(
        "rt:sys_exit { if (!@told) { @told = 1; print(args); } } rt:vmlinu*:sys_e* { @[probe] = count(); } interval:ms:200 { exit(); }",
    );
    assert!(outcome.stdout.starts_with("{ .regs = 0x"), "{outcome:?}");
    for event in ["sys_enter", "sys_exit"] {
        let label = format!("@[rawtracepoint:vmlinux:{event}]: ");
        assert!(outcome.number(&label) > 0, "{outcome:?}");
    }
}

#[test]
fn raw_tracepoints_that_are_not_there() {
    needs!(no_types());
    evaluate("rt:nonsense:sys_exit { exit(); }")
        .refuses(&["the kernel has no tracepoint `nonsense:sys_exit`"]);
    evaluate("rt:sched_swich { print(args.prev); }").refuses(&["did you mean", "sched_switch"]);
}

#[test]
fn every_task_once() {
    needs!(no_types());
    let outcome = Crumbs::script(
        "begin { @self = cpid; } iter:task { @seen[ctx.task.pid] = count(); if (ctx.task.pid == @self) { @found = 1; } }
         end { @more = 0; for ($kv : @seen) { if ($kv.1 > 1) { @more += 1; } } clear(@seen); clear(@self); }",
    )
    .args(&["-c", "sleep 1"])
    .run();
    outcome.maps("@found: 1\n@more: 0\n");
}

/// More elements than the rings have room for, were they gone through at once: none is lost.
#[test]
fn long_lists_are_not_cut() {
    needs!(no_types());
    let script =
        "iter:task_vma { @n = count(); printf(\"%s %lx %200s\\n\", ctx.task.comm, ctx.vma.vm_start, \"\"); }";
    let outcome = evaluate(script);
    outcome.has_no_complaint();
    let printed = outcome.stdout.lines().filter(|line| line.len() > 200).count();
    assert_eq!(printed as i64, outcome.number("@n: "));
    assert!(printed > 100, "{printed}");
}

#[test]
fn lists_run_between_begin_and_end_and_can_be_left() {
    needs!(no_types());
    evaluate(
        "begin { printf(\"first\\n\"); } end { printf(\"last\\n\"); }
         iter:task /ctx.task.pid == 2/ { printf(\"%s %s\\n\", probe, ctx.task.comm); }",
    )
    .prints("first\niter:task kthreadd\nlast\n\n\n");
    let outcome = evaluate("iter:task { printf(\"OK\"); exit(3); }");
    assert_eq!(outcome.status, 3, "{outcome:?}");
    assert!(outcome.stdout.starts_with("OK"), "{outcome:?}");
    let seen = outcome.stdout.matches("OK").count();
    assert!(seen < 10, "{seen} elements after exit");
}

#[test]
fn the_context_is_registers() {
    needs!(no_types());
    needs!(cfg!(not(target_arch = "x86_64")).then_some("its registers are x86-64's"));
    Crumbs::script(
        "uprobe:PROGRAM:value { @[ctx.di == arg0, ((struct pt_regs *)ctx).di == arg0] = count(); }",
    )
    .over(&program(), "value 7; value 8")
    .run()
    .maps("@[true, true]: 2\n");
}

/// Some machines forbid them to everyone: then the message says so.
#[test]
fn functions_by_trampoline() {
    needs!(no_types());
    let script = "fentry:vfs_read /pid == cpid/ { @size = args.count; @file = args.file; }
        fexit:vfs_read /pid == cpid && (uint64)retval == args.count/ { @whole[args.file == @file, func, probe] = count(); }
        end { clear(@file); }";
    let outcome = Crumbs::script(script)
        .args(&["-c", "dd if=/dev/zero of=/dev/null bs=777 count=5 status=none"])
        .run();
    if outcome.status == 0 {
        assert_eq!(outcome.number("@size: "), 777, "{outcome:?}");
        let whole = outcome.number("@whole[true, vfs_read, fexit:vmlinux:vfs_read]: ");
        assert!(whole >= 5, "{outcome:?}");
    } else {
        outcome.refuses(&["vfs_read", "the kernel does not permit it"]);
    }
    evaluate("fentry:vfs_raed { exit(); }").refuses(&["the kernel has no function `vfs_raed`", "vfs_read"]);
    evaluate("kfunc:vfs_read { print(args.cuont); }").refuses(&["has no field `cuont`", "count"]);
}

#[test]
fn listings_have_parameters_as_c_writes_them() {
    needs!(no_types());
    let list = |pattern: &str| Crumbs::new().args(&["-l", "-v", pattern]).run();
    list("fexit:vfs_read").prints_lines(&[
        "fexit:vmlinux:vfs_read",
        "    struct file * file",
        "    char * buf",
        "    size_t count",
        "    loff_t * pos",
        "    ssize_t retval",
    ]);
    list("rawtracepoint:sys_exit").prints_lines(&[
        "rawtracepoint:vmlinux:sys_exit",
        "    struct pt_regs * regs",
        "    long int ret",
    ]);
    let lists = list("iter:task*");
    assert!(lists.stdout.contains("iter:task\n"), "{lists:?}");
    assert!(lists.stdout.contains("iter:task_file\n"), "{lists:?}");
    assert!(!lists.stdout.contains("attach"), "{lists:?}");
}

/// A signal is sent from wherever a process was interrupted.
#[test]
fn raw_tracepoints_run_in_the_traced_process() {
    needs!(no_types());
    let outcome = Crumbs::script("rt:sys_enter /pid == cpid && args.id == 39/ { signal(\"SIGKILL\"); }")
        .args(&[
            "--unsafe",
            "-c",
            "python3 -c 'import os; os.getppid(); os.getpid(); print(1)'",
        ])
        .run();
    assert!(!outcome.stdout.contains('1'), "{outcome:?}");
}
