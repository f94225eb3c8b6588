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

/// The kernel shows what a pinned iterator prints to whoever reads its file, as often as it is read, when crumbs has ended.
#[test]
fn pinned_iterators_outlive_the_run() {
    needs!(no_types());
    let pins = Pins::new("pinned");
    needs!(pins.missing());
    let path = pins.path("tasks");
    let read = || std::fs::read_to_string(&path).unwrap();
    let outcome = Crumbs::script(&format!(
        "iter:task:{path} /ctx.task.pid == 2/ {{
            printf(\"%5d|%-10s|%x %X %p %c %hhd 100%%\\n\", ctx.task.pid, ctx.task.comm, 255, 255, 16, 65, 511);
            printf(\"%s %s\\n\", \"constant\", 7);
         }}
         begin {{ exit(); }}"
    ))
    .run();
    // Where `begin` ends the run there is nothing to pin.
    assert!(
        outcome.status == 0 && std::fs::metadata(&path).is_err(),
        "{outcome:?}"
    );
    let script = format!(
        "iter:task:{path} /ctx.task.pid == 2/ {{
            @seen[ctx.task.pid] = count();
            printf(\"%5d|%-10s|%x %X %p %c %hhd 100%%\\n\", ctx.task.pid, ctx.task.comm, 255, 255, 16, 65, 511);
            printf(\"%s %s\\n\", \"constant\", 7);
         }}"
    );
    let outcome = evaluate(&script);
    outcome.has_no_complaint();
    assert!(
        outcome.stdout.starts_with(&format!("Program pinned to {path}\n")),
        "{outcome:?}"
    );
    let shown = "    2|kthreadd  |ff FF 0x10 A -1 100%\nconstant 7\n";
    assert_eq!(read(), shown);
    assert_eq!(read(), shown, "once more");
    evaluate(&script).refuses(&[&path, "is there already", "rm "]);
    assert_eq!(read(), shown, "the older one stays");
}

/// A run that fails takes back what it has pinned.
#[test]
fn failed_runs_leave_no_pin() {
    needs!(no_types());
    let pins = Pins::new("failed");
    needs!(pins.missing());
    let (first, second) = (pins.path("first"), pins.path("no-such-directory/second"));
    evaluate(&format!(
        "iter:task:{first}, iter:task:{second} {{ printf(\"x\"); }}"
    ))
    .refuses(&["the directory of", "is not there"]);
    assert!(std::fs::metadata(&first).is_err(), "{first} is left behind");
    evaluate("iter:task:/tmp/crumbs-no-pin { printf(\"x\"); }").refuses(&["is in no BPF file system"]);
}

/// A directory for pins that is gone when the test is over.
struct Pins(std::path::PathBuf);

impl Pins {
    fn new(test: &str) -> Self {
        let name = format!("/sys/fs/bpf/crumbs-{test}-{}", std::process::id());
        let _ = std::fs::create_dir(&name);
        Self(name.into())
    }

    /// Why there can be none.
    fn missing(&self) -> Option<&'static str> {
        (!self.0.is_dir()).then_some("there is no BPF file system that may be written to")
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let files = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        for file in files {
            let _ = std::fs::remove_file(file.path());
        }
        let _ = std::fs::remove_dir(&self.0);
    }
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
