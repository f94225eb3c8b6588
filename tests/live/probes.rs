//! Every kind of probe and every form of attach point.

use crate::support::{
    Crumbs, Outcome, Server, compiled, evaluate, needs, no_tracing, program, program_with_library, trace,
};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Address and size of a function, as `nm -S` tells them.
fn symbol(program: &Path, name: &str) -> (u64, u64) {
    let output = Command::new("nm").arg("-S").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find(|line| line.ends_with(&format!(" {name}")))
        .unwrap();
    let number = |index| u64::from_str_radix(line.split(' ').nth(index).unwrap(), 16).unwrap();
    (number(0), number(1))
}

/// The C library that programs here are linked with, resolved.
fn libc(program: &Path) -> PathBuf {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let path = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("libc.so.6 => "))
        .unwrap();
    PathBuf::from(path.split(' ').next().unwrap())
}

#[test]
fn begin_and_end_in_any_case() {
    needs!(no_tracing());
    evaluate("begin { print(1); } BEGIN { print(2); } Begin { print(3); } end { print(4); } END { print(5); } End { print(6); }")
        .prints("1\n2\n3\n4\n5\n6\n\n\n");
}

#[test]
fn begin_comes_before_and_end_behind_everything() {
    needs!(no_tracing());
    trace(
        "end { printf(\"end %d\\n\", @n); } uprobe:PROGRAM:value { @n++; } begin { @n = 100; printf(\"begin %d\\n\", @n); }",
        "range 0 7",
    )
    .prints("begin 100\nend 107\n\n\n@n: 107\n");
}

#[test]
fn every_call_of_a_function_and_every_return() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:fibonacci { @calls = count(); @depth[arg0] = count(); }
         uretprobe:PROGRAM:fibonacci { @returns = count(); @sum = sum(retval); }",
        "fibonacci 6",
    )
    .maps("@calls: 25\n@depth[5]: 1\n@depth[6]: 1\n@depth[4]: 2\n@depth[3]: 3\n@depth[0]: 5\n@depth[2]: 5\n@depth[1]: 8\n@returns: 25\n@sum: 38\n");
}

#[test]
fn short_names_of_kinds() {
    needs!(no_tracing());
    trace(
        "u:PROGRAM:value { @u = arg0; } ur:PROGRAM:value { @ur = retval; } t:syscalls:sys_enter_openat /comm == \"short-kinds\"/ { @t++; }
         i:s:100 { } p:hz:1 { }",
        "name short-kinds; value 4; open /nowhere",
    )
    .maps("@t: 1\n@u: 4\n@ur: 8\n");
}

#[test]
fn offsets_and_addresses() {
    needs!(no_tracing());
    let program = program();
    let (address, size) = symbol(&program, "padded");
    assert!(size > 8);
    // The no-operation instructions are somewhere behind the entry; an offset into them is an instruction.
    let bytes = std::fs::read(&program).unwrap();
    let nops = bytes.windows(8).position(|w| w == [0x90; 8]);
    needs!((!cfg!(target_arch = "x86_64")).then(|| "the offset is one of x86-64".to_owned()));
    let nop = nops.unwrap() as u64 - address;
    assert!(nop < size, "the first nops of the program are those of `padded`");
    let offset = nop + 3;
    let at = address + offset;
    let path = program.display();
    let script = format!(
        "uprobe:PROGRAM:padded+{offset} {{ @decimal = count(); print(func); }} uprobe:PROGRAM:padded+{offset:#x} {{ @hex = count(); print(probe); }}
         uprobe:PROGRAM:{at:#x} {{ @address = count(); print((func, probe)); }} uprobe:PROGRAM:{address} {{ @start = count(); }}"
    );
    let outcome = Crumbs::script(&script).over(&program, "padded; padded").run();
    outcome.has_no_complaint();
    assert!(
        outcome
            .stdout
            .ends_with("\n\n@address: 2\n@decimal: 2\n@hex: 2\n@start: 2\n"),
        "{outcome:?}"
    );
    for line in [
        "padded\n".to_owned(),
        format!("uprobe:{path}:padded+{offset:#x}\n"),
        format!("(padded, uprobe:{path}:{at:#x})\n"),
    ] {
        assert_eq!(
            outcome.stdout.matches(&line).count(),
            2,
            "`{line}` in {outcome:?}"
        );
    }
}

#[test]
fn wildcards_give_one_program_that_knows_where_it_is() {
    needs!(no_tracing());
    let program = program();
    let path = program.display();
    let script = "uprobe:PROGRAM:alpha_* { @[func, probe] = count(); }";
    let commands = "alpha_one; alpha_two; alpha_two; beta_one";
    let outcome = Crumbs::script(script).over(&program, commands).run();
    outcome.maps(&format!(
        "@[alpha_one, uprobe:{path}:alpha_one]: 1\n@[alpha_two, uprobe:{path}:alpha_two]: 2\n"
    ));
    assert_eq!(outcome.stderr, "Attached 2 probes\n");
    let listing = Crumbs::script(script).on(&program).args(&["-d", "asm"]).run();
    assert_eq!(listing.stdout.matches("instructions\n").count(), 1, "{listing:?}");
}

#[test]
fn wildcards_of_every_form() {
    needs!(no_tracing());
    let commands = "alpha_one; alpha_two; beta_one";
    for (pattern, count) in [("*_one", 2), ("al*_t*", 1), ("*a_*", 3), ("*alpha*", 2)] {
        trace(&format!("uprobe:PROGRAM:{pattern} {{ @ = count(); }}"), commands)
            .maps(&format!("@: {count}\n"));
    }
}

#[test]
fn wildcard_in_the_path() {
    needs!(no_tracing());
    let program = program();
    let directory = program.parent().unwrap();
    std::fs::write(directory.join("called_text"), "no program").unwrap();
    Crumbs::script(&format!(
        "uprobe:{}/c*:val* {{ @[func] = count(); }}",
        directory.display()
    ))
    .over(&program, "range 0 3")
    .run()
    .maps("@[value]: 3\n");
}

#[test]
fn wildcard_returns() {
    needs!(no_tracing());
    trace(
        "uretprobe:PROGRAM:va*e { @[func] = sum(retval); }",
        "value 21; value 1",
    )
    .maps("@[value]: 44\n");
}

#[test]
fn several_attach_points_share_a_body() {
    needs!(no_tracing());
    let program = program();
    let path = program.display();
    Crumbs::script("uprobe:PROGRAM:alpha_one, uprobe:PROGRAM:beta_one,uretprobe:PROGRAM:alpha_two, end { @[probe] = count(); }")
        .over(&program, "alpha_one; alpha_two; alpha_two; beta_one; beta_one; beta_one")
        .run()
        .maps(&format!(
            "@[end]: 1\n@[uprobe:{path}:alpha_one]: 1\n@[uretprobe:{path}:alpha_two]: 2\n@[uprobe:{path}:beta_one]: 3\n"
        ));
}

#[test]
fn probes_on_one_place_run_in_the_order_of_the_script() {
    needs!(no_tracing());
    let blocks: String = (0..8)
        .map(|n| format!("uprobe:PROGRAM:value {{ printf(\"{n}\"); }} "))
        .collect();
    trace(&blocks, "value 1").prints("01234567\n\n");
}

#[test]
fn names_of_libraries() {
    needs!(no_tracing());
    let program = program();
    let path = libc(&program);
    let resolved = std::fs::canonicalize(&path).unwrap();
    for name in [
        "libc",
        "libc.so.6",
        "\"libc.so.6\"",
        path.to_str().unwrap(),
        resolved.to_str().unwrap(),
    ] {
        let script = format!("uprobe:{name}:write /arg2 == 11/ {{ @ = count(); @f[func] = sum(arg2); }}");
        let outcome = Crumbs::script(&script)
            .over(&program, "write 9 11; write 3 4")
            .run();
        outcome.maps("@: 9\n@f[write]: 99\n");
    }
}

#[test]
fn libraries_of_the_command() {
    needs!(no_tracing());
    let (program, library) = program_with_library();
    let real = std::fs::canonicalize(&library).unwrap();
    let command = format!("{} 5 6 7", program.display());
    for name in ["libcrumbslive", "libcrumbslive.so.3", library.to_str().unwrap()] {
        let script = format!(
            "uprobe:{name}:library_value {{ @ = sum(arg0); @p = probe; }} uretprobe:{name}:library_* {{ @r[func] = sum(retval); }}"
        );
        let outcome = Crumbs::script(&script).args(&["-c", &command]).run();
        outcome.maps(&format!(
            "@: 18\n@p: uprobe:{}:library_value\n@r[library_value]: 21\n@r[library_other]: 27\n",
            real.display()
        ));
    }
}

#[test]
fn libraries_of_a_running_process() {
    needs!(no_tracing());
    let mut server = Server::start(&program());
    let mut run = Crumbs::script("uprobe:libc:open { @ = count(); } uretprobe:libc:close { @c = count(); }")
        .args(&["-p", &server.pid().to_string()])
        .start();
    run.attached();
    server.run("open /nowhere");
    server.run("open /dev/null");
    run.signal("INT");
    run.wait().maps("@: 2\n@c: 1\n");
}

#[test]
fn quoted_parts() {
    needs!(no_tracing());
    let program = program();
    let odd = program.with_file_name("a name:with {parts}");
    std::fs::rename(&program, &odd).unwrap();
    let command = format!("'{}' 'range 0 4'", odd.display());
    let script = format!("uprobe:\"{}\":\"value\" {{ @[func] = count(); }}", odd.display());
    Crumbs::script(&script)
        .args(&["-c", &command])
        .run()
        .maps("@[value]: 4\n");
}

#[test]
fn tracepoint_arguments_of_every_type() {
    needs!(no_tracing());
    // Numbers of several widths, signed and not.
    trace(
        "tracepoint:syscalls:sys_enter_openat /comm == \"typed\" / { printf(\"%s %d\\n\", str(args.filename), args.dfd); }
         tracepoint:syscalls:sys_exit_openat /comm == \"typed\" && args.ret < 0/ { printf(\"%d\\n\", args.ret); }
         tracepoint:syscalls:sys_enter_write /comm == \"typed\"/ { @[args.count] = count(); @old = args->count; }",
        "name typed; open /no/such/file; write 2 7",
    )
    .prints("/no/such/file -100\n-2\n/dev/null -100\n\n\n@[7]: 2\n@old: 7\n");
}

#[test]
fn tracepoint_character_arrays() {
    needs!(no_tracing());
    // `char oldcomm[16]`; `newcomm` is one too, on newer kernels of varying length.
    let outcome = trace(
        "tracepoint:task:task_rename /args.newcomm == \"char-array\"/ { printf(\"%s>%s\\n\", args.oldcomm, args.newcomm); }",
        "name char-array",
    );
    outcome.prints("calls>char-array\n\n\n");
}

#[test]
fn tracepoint_strings_of_varying_length() {
    needs!(no_tracing());
    // `__data_loc char[] filename`.
    let program = program();
    let text = program.display().to_string();
    Crumbs::script(&format!("tracepoint:sched:sched_process_exec /args.filename == \"{text}\"/ {{ @[args.filename] = count(); @p = args.pid == pid; }}"))
        .over(&program, "value 1")
        .run()
        .maps(&format!("@[{text}]: 1\n@p: true\n"));
}

#[test]
fn tracepoint_wildcards() {
    needs!(no_tracing());
    trace(
        "tracepoint:syscalls:sys_enter_pwrit*,tracepoint:syscalls:sys_e*_write /comm == \"tp-wild\"/ { @[probe] = count(); }",
        "name tp-wild; write 5 1",
    )
    .maps("@[tracepoint:syscalls:sys_enter_write]: 5\n@[tracepoint:syscalls:sys_exit_write]: 5\n");
}

#[test]
fn intervals_of_every_unit() {
    needs!(no_tracing());
    let run = |point: &str| {
        evaluate(&format!(
            "{point} /@n < 3/ {{ @n++; if (@n == 3) {{ exit(); }} }}"
        ))
    };
    for point in [
        "interval:ms:5",
        "interval:us:5000",
        "interval:hz:200",
        "interval:5ms",
        "interval:5000us",
        "interval:5000000",
        "interval:ns:5000000",
        "interval:s:1",
    ] {
        let started = std::time::Instant::now();
        run(point).maps("@n: 3\n");
        let expected = if point == "interval:s:1" { 3.0 } else { 0.015 };
        let took = started.elapsed().as_secs_f64();
        assert!(took >= expected, "{point} took {took} s");
    }
    evaluate("interval:m:1 { exit(1); } interval:1h { exit(2); } interval:d:1 { exit(3); } interval:ms:30 { exit(); }").prints("\n\n");
}

/// However busy the machine is: a firing that comes late is made up for, and all come in the order in which they are due.
#[test]
fn intervals_fire_once_each_time() {
    needs!(no_tracing());
    let busy: Vec<_> = (0..4)
        .map(|_| {
            std::process::Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn()
                .unwrap()
        })
        .collect();
    let outcome = evaluate(
        "interval:ms:20 { @n++; } interval:hz:1000 { @k++; } tracepoint:sched:sched_switch { @s = count(); }
        interval:s:1 { printf(\"at %d %d\\n\", @n, @k); exit(); }",
    );
    for mut busy in busy {
        busy.kill().unwrap();
        busy.wait().unwrap();
    }
    assert!(outcome.stdout.starts_with("at 50 1000\n"), "{outcome:?}");
}

#[test]
fn profile_samples_what_runs() {
    needs!(no_tracing());
    for point in ["profile:hz:997", "profile:us:1003", "profile:ms:1", "profile:1ms"] {
        let outcome = trace(
            &format!(
                "{point} /comm == \"busy-{}\"/ {{ @n = count(); @cpus[cpu] = count(); }}",
                point.len()
            ),
            &format!("name busy-{}; spin 300", point.len()),
        );
        outcome.has_no_complaint();
        let samples = outcome.number("@n: ");
        assert!(samples > 20, "{point}: {outcome:?}");
        let by_cpu: i64 = outcome
            .stdout
            .lines()
            .filter(|line| line.starts_with("@cpus["))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap())
            .sum();
        assert_eq!(by_cpu, samples);
    }
}

#[test]
fn a_predicate_may_use_every_builtin() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value /pid == tid && comm == \"calls\" && uid == 0 && gid == 0 && nsecs > 0 && func == \"value\" && ncpus > cpu/ { @ = count(); }",
        "range 0 3",
    )
    .maps("@: 3\n");
}

/// Counts of calls that two runs over one program see at once.
#[test]
fn two_runs_do_not_disturb_each_other() {
    needs!(no_tracing());
    let program = program();
    let start = |commands| {
        Crumbs::script("uprobe:PROGRAM:value { @ = count(); }")
            .over(&program, commands)
            .start()
    };
    let (first, second) = (start("range 0 3000"), start("range 0 5000"));
    let (first, second): (Outcome, Outcome) = (first.wait(), second.wait());
    // User probes of -c see its command only.
    first.maps("@: 3000\n");
    second.maps("@: 5000\n");
}

#[test]
fn what_the_kernel_cannot_step_over_is_left_out_of_a_wildcard() {
    needs!(no_tracing());
    needs!(cfg!(not(target_arch = "x86_64")).then_some("its instructions are x86-64's"));
    let program = compiled("refused.c", &["-fno-inline", "-fno-ipa-icf"]);
    // The kernel looks at an instruction when a process that runs has it.
    let start = || {
        let mut command = Command::new(&program);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    };
    let mut child = start();
    let mut run = Crumbs::script("uprobe:PROGRAM:part_* { @[func] = count(); }")
        .on(&program)
        .args(&["-v", "-p", &child.id().to_string()])
        .start();
    run.attached();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(run.stderr().contains("Attached 2 probes"), "{}", run.stderr());
    for said in [
        "WARNING: 1 function that a wildcard matches is not traced: the kernel cannot step over the instruction there",
        "left out uprobe:",
        ":part_locked: the kernel cannot step over",
    ] {
        assert!(run.stderr().contains(said), "{said}: {}", run.stderr());
    }
    let printed = run.wait().stdout;
    assert_eq!(printed, "\n\n@[part_second]: 2\n@[part_first]: 3\n");
    let mut child = start();
    Crumbs::script("uprobe:PROGRAM:part_locked { @ = count(); }")
        .on(&program)
        .run()
        .refuses(&[
            "cannot attach uprobe:",
            "part_locked",
            "the kernel cannot place a probe at offset",
        ]);
    drop(child.stdin.take());
    child.wait().unwrap();
}
