//! What users without root can do, each as a real other user: with the capabilities for it, ambient or of the file, and without.

use crate::support::*;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const AMBIENT: [&str; 4] = ["--inh-caps", "+bpf,+perfmon", "--ambient-caps", "+bpf,+perfmon"];

/// Runs a script as `nobody`, with these options of setpriv.
fn as_nobody(crumbs: &Path, options: &[&str], arguments: &[&str]) -> Output {
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args(options)
        .arg(crumbs)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    output.unwrap()
}

/// Why no test can be another user; `None` where it can.
fn no_other_user() -> Option<String> {
    let setpriv = Command::new("setpriv").arg("--version").output();
    no_tracing().or(setpriv.err().map(|_| "setpriv is not installed".into()))
}

#[test]
fn nobody_needs_a_privilege_to_learn() {
    needs!(no_other_user());
    let arguments = ["explain", "-e", "begin { printf(\"%d\\n\", 6 * 7); }"];
    let output = as_nobody(readable_crumbs(), &[], &arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text.contains("PROBE 1 of 1: ") && text.contains("; gives a record to crumbs\n"),
        "{text}"
    );
    assert!(
        text.contains("VERIFIER") && text.contains("not asked: cannot "),
        "{text}"
    );
}

/// Kinds of probe that need no more than CAP_BPF and CAP_PERFMON, in scripts that end by themselves.
fn two_capabilities_do(program: &str) -> Vec<String> {
    vec![
        "begin { printf(\"ran\\n\"); exit(); }".into(),
        "interval:ms:1 { printf(\"ran\\n\"); exit(); }".into(),
        "profile:hz:999 { printf(\"ran\\n\"); exit(); }".into(),
        "software:cpu-clock:100000 { printf(\"ran\\n\"); exit(); }".into(),
        "rawtracepoint:sys_enter { printf(\"ran\\n\"); exit(); }".into(),
        "iter:task { printf(\"ran\\n\"); exit(); }".into(),
        format!("uprobe:{program}:value {{ printf(\"ran\\n\"); exit(); }}"),
        format!("uretprobe:{program}:value {{ printf(\"ran\\n\"); exit(); }}"),
    ]
}

/// Runs each script with and without; `crumbs` is the binary, `options` how it gets its capabilities.
fn compare(crumbs: &Path, options: &[&str]) {
    let program = readable_copy(&program()).display().to_string();
    let command = format!("{program} 'value 1'");
    for script in two_capabilities_do(&program) {
        let mut arguments = vec!["-q", "-e", &script];
        if script.contains(&program) {
            arguments.extend(["-c", &command]);
        }
        let with = as_nobody(crumbs, options, &arguments);
        let text = String::from_utf8_lossy(&with.stderr).into_owned();
        let printed = String::from_utf8_lossy(&with.stdout).into_owned();
        assert_eq!(with.status.code(), Some(0), "{script}: {text}");
        assert!(printed.starts_with("ran\n"), "{script}: {printed} {text}");
        let without = as_nobody(readable_crumbs(), &[], &arguments);
        let text = String::from_utf8_lossy(&without.stderr).into_owned();
        assert_eq!(without.status.code(), Some(1), "{script}: {text}");
        assert!(without.stdout.is_empty(), "{script}: {text}");
        assert!(
            text.contains("CAP_BPF") && text.contains("root"),
            "{script}: {text}"
        );
    }
}

/// Whether the kernel has what these tests attach by.
fn no_multi_links() -> Option<String> {
    let info = Crumbs::new().arg("--info").run().stdout;
    let has_them = info.contains("uprobe_multi links: yes");
    (!has_them).then(|| "user probes without root need uprobe_multi links (6.6)".into())
}

#[test]
fn ambient_capabilities() {
    needs!(no_other_user().or_else(no_multi_links));
    compare(readable_crumbs(), &AMBIENT);
}

#[test]
fn capabilities_of_the_file() {
    needs!(no_other_user().or_else(no_multi_links));
    let crumbs = readable_copy(env!("CARGO_BIN_EXE_crumbs").as_ref());
    let set = Command::new("setcap")
        .arg("cap_bpf,cap_perfmon+ep")
        .arg(&crumbs)
        .output();
    let refused = match set {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("setcap: {error}")),
    };
    needs!(refused);
    compare(&crumbs, &[]);
}

#[test]
fn the_command_gets_no_capability() {
    needs!(no_other_user().or_else(no_multi_links));
    let output = as_nobody(
        readable_crumbs(),
        &AMBIENT,
        &["-q", "-e", "interval:s:1000 { }", "-c", "cat /proc/self/status"],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(
            text.contains(&format!("{set}:\t0000000000000000")),
            "{set}: {text}"
        );
    }
}

#[test]
fn tracepoints_say_which_capability_they_lack() {
    needs!(no_other_user());
    let script = "tracepoint:syscalls:sys_enter_write { @ = count(); }";
    let output = as_nobody(readable_crumbs(), &AMBIENT, &["-e", script]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(1) {
        assert!(text.contains("CAP_DAC_READ_SEARCH"), "{text}");
        let more = "+bpf,+perfmon,+dac_read_search";
        let options = ["--inh-caps", more, "--ambient-caps", more];
        let script = "tracepoint:syscalls:sys_enter_write { printf(\"ran\\n\"); exit(); }";
        let command = "dd if=/dev/zero of=/dev/null bs=1 count=100";
        let output = as_nobody(readable_crumbs(), &options, &["-q", "-e", script, "-c", command]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(output.stdout.starts_with(b"ran\n"), "{text}");
    }
}

/// Whoever ends and however: nothing of a run stays in the kernel.
#[test]
fn nothing_is_left_behind() {
    needs!(no_tracing());
    // The command ends it.
    let program = program();
    let script = |marker: &str| {
        format!(
            "uprobe:{}:value {{ @{marker}[arg0] = count(); printf(\"%d\\n\", arg0); }}",
            program.display()
        )
    };
    let mut server = Server::start(&program);
    let pid = server.pid().to_string();
    let mut run = Crumbs::script(&script("left_target")).args(&["-p", &pid]).start();
    run.attached();
    let objects = bpf_objects("left_target");
    assert!(objects.values().all(|ids| !ids.is_empty()), "{objects:?}");
    server.end();
    assert_eq!(run.wait().status, 0);
    assert_eq!(left_over(&objects), Vec::<String>::new());
    // An error while attaching, when other probes are attached already: the last of these is refused, as a processor has four
    // registers for it.
    let points: String = (0..6)
        .map(|n| {
            format!(
                " watchpoint:{}:8:w {{ @left_error[{n}] = count(); }}",
                0x1000_0000 + 64 * n
            )
        })
        .collect();
    let text = format!("{} {points}", script("left_error"));
    let outcome = Crumbs::script(&text).args(&["-c", "true"]).run();
    assert_eq!(outcome.status, 1, "{outcome:?}");
    let left = bpf_objects("left_error");
    assert_eq!(left_over(&left), Vec::<String>::new());
}
