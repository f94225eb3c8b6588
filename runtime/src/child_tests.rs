#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn splits_as_a_shell_does() {
    let split = |command: &str| words(command).unwrap();
    assert_eq!(split("  ls  -l\t/tmp\n"), ["ls", "-l", "/tmp"]);
    assert_eq!(split(r#"a 'b c' "d e" f\ g"#), ["a", "b c", "d e", "f g"]);
    assert_eq!(split(r#"x'y'"z"'' '' """#), ["xyz", "", ""]);
    assert_eq!(
        split(r#"'a\b' "a\b" "a\"\\\$" a\b"#),
        [r"a\b", r"a\b", r#"a"\$"#, "ab"]
    );
    assert_eq!(
        split("echo $HOME *.c | cat"),
        ["echo", "$HOME", "*.c", "|", "cat"]
    );
    assert!(split("").is_empty());
    for broken in ["'a", "\"a", "\"a\\", "a\\"] {
        assert!(words(broken).is_err(), "{broken}");
    }
}

/// A path for this test that is not there yet.
fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("crumbs-child-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn await_status(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.status() {
            return status;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn waits_until_released() {
    let made = scratch("released");
    let mut child = Child::spawn(&format!("sh -c 'echo $$ > {}; exit 3'", made.display())).unwrap();
    let watch = child.watch();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!made.exists() && !watch.ended() && child.status().is_none());
    child.release().unwrap();
    child.release().unwrap();
    assert_eq!(await_status(&mut child).code(), Some(3));
    assert!(watch.ended());
    assert_eq!(
        std::fs::read_to_string(&made).unwrap().trim(),
        child.pid().to_string()
    );
    std::fs::remove_file(made).unwrap();
}

#[test]
fn never_runs_what_was_not_released() {
    let made = scratch("held");
    let child = Child::spawn(&format!("touch {}", made.display())).unwrap();
    let pid = child.pid();
    drop(child);
    assert!(!made.exists() && !process::exists(pid));
}

#[test]
fn is_terminated_and_reaped_when_dropped() {
    let mut child = Child::spawn("sleep 1000").unwrap();
    child.release().unwrap();
    assert_eq!(child.end().unwrap().signal(), Some(libc::SIGTERM));
    assert!(!process::exists(child.pid()));
}

#[test]
fn says_what_is_wrong_before_anything_runs() {
    let error = |command: &str| Child::spawn(command).unwrap_err();
    assert_eq!(
        error("no-such-command-anywhere x").to_string(),
        "cannot run `no-such-command-anywhere x`: command not found"
    );
    assert_eq!(
        error("/proc/self/stat").to_string(),
        "cannot run `/proc/self/stat`: /proc/self/stat is not an executable file"
    );
    assert_eq!(error(" ").reason, "it is empty");
    assert_eq!(error("'").reason, "a single quote is not closed");
    assert!(error("nope | cat").help.unwrap().contains("sh -c"));
}

#[test]
fn says_why_the_kernel_refuses_a_program() {
    let path = scratch("bad-interpreter");
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Child::spawn(&path.to_string_lossy()).unwrap();
    assert_eq!(
        child.release().unwrap_err().reason,
        std::io::Error::from_raw_os_error(libc::ENOENT).to_string()
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn runs_scripts_without_a_first_line() {
    let path = scratch("bare-script");
    std::fs::write(&path, "exit $1\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = Child::spawn(&format!("{} 9", path.display())).unwrap();
    child.release().unwrap();
    assert_eq!(await_status(&mut child).code(), Some(9));
    std::fs::remove_file(path).unwrap();
}

/// Every descriptor of this process must be closed in the program, whatever other tests have open; signals must be as
/// a shell starts programs with; no capability may be inheritable or ambient.
#[test]
fn inherits_nothing() {
    let seen = scratch("inherited");
    let _open = std::fs::File::open("/proc/self/stat").unwrap();
    let command = format!(
        "sh -c 'cd /proc/self/fd && echo * > {0}; grep -E \"^(SigIgn|SigBlk|CapInh|CapAmb)\" /proc/self/status >> {0}'",
        seen.display()
    );
    let mut child = Child::spawn(&command).unwrap();
    child.release().unwrap();
    assert!(await_status(&mut child).success());
    let text = std::fs::read_to_string(&seen).unwrap();
    let mut lines = text.lines();
    // 0 to 2, and what the shell itself opens to list them.
    let more = lines
        .next()
        .unwrap()
        .split(' ')
        .filter(|fd| fd.parse::<u32>().is_ok_and(|fd| (3..10).contains(&fd)))
        .count();
    assert!(more <= 1, "{text}");
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let value = u64::from_str_radix(value.trim(), 16).unwrap();
        // Bit 12 is SIGPIPE (13), bit 1 SIGINT, bit 14 SIGTERM.
        let forbidden = if name == "SigIgn" {
            1 << 12 | 1 << 1 | 1 << 14
        } else {
            u64::MAX
        };
        assert_eq!(value & forbidden, 0, "{line}");
    }
    std::fs::remove_file(seen).unwrap();
}

#[test]
fn refuses_processes_that_are_not_there() {
    let error = watch_process(u32::MAX).unwrap_err();
    assert_eq!(error.reason, "there is no such process");
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    while !is_zombie(gone.id()) {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(
        watch_process(gone.id()).unwrap_err().reason,
        "it has already ended"
    );
    gone.wait().unwrap();
    assert!(!watch_process(std::process::id()).unwrap().ended());
}

#[test]
fn refuses_threads() {
    let (send, receive) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let id = std::fs::read_link("/proc/thread-self").unwrap();
        send.send(id.file_name().unwrap().to_string_lossy().parse::<u32>().unwrap())
            .unwrap();
        let _ = ended.recv();
    });
    let error = watch_process(receive.recv().unwrap()).unwrap_err();
    assert_eq!(
        error.help.unwrap(),
        format!("use -p {}, and compare `tid` in the script", std::process::id())
    );
    drop(end);
    thread.join().unwrap();
}

#[test]
fn becomes_the_user_with_all_groups() {
    if process::effective_uid() != 0 {
        return crate::kernel::testing::skip("not root");
    }
    if std::fs::metadata("/").unwrap().mode() & 1 == 0 {
        return crate::kernel::testing::skip("other users cannot enter /");
    }
    let seen = scratch("identity");
    let script = format!(
        "(id -u; id -g; id -G; grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status) > {}",
        seen.display()
    );
    std::fs::write(&seen, "").unwrap();
    std::os::unix::fs::chown(&seen, Some(65534), None).unwrap();
    let identity = Identity::new(65534, 65534, "nobody");
    let image = Image::new(
        Path::new("/bin/sh"),
        &["sh".into(), "-c".into(), script],
        environment(None),
    )
    .unwrap();
    let mut forked = fork::fork_held(&image, Some(&identity)).unwrap();
    forked.release().unwrap();
    while forked.try_wait().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let text = std::fs::read_to_string(&seen).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["65534"; 3], "{text}");
    assert_eq!(lines.len(), 7);
    for line in &lines[3..] {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    std::fs::remove_file(seen).unwrap();
}

/// What the next test runs as a process of its own.
#[test]
#[ignore = "part of another test"]
fn catches_signals_and_goes_on() {
    let mut signals = crate::sys::poll::Signals::catch().unwrap();
    std::fs::write(std::env::var("CRUMBS_TEST_READY").unwrap(), "").unwrap();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        while signals.take().is_some() {}
    }
}

/// The first Ctrl-C asks for an end, one at the same moment is the same wish, a later one ends at once.
#[test]
fn a_second_interrupt_ends_at_once() {
    let ready = scratch("ready");
    let mut run = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child::tests::catches_signals_and_goes_on",
            "--ignored",
        ])
        .env("CRUMBS_TEST_READY", &ready)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !ready.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = run.id().to_string();
    let interrupt = |command: &str| {
        let command = command.replace("PID", &pid);
        let status = std::process::Command::new("sh").args(["-c", &command]).status();
        assert!(status.unwrap().success());
        std::thread::sleep(Duration::from_millis(1200));
    };
    // From one shell, so that they come at the same moment however busy the machine is.
    interrupt("kill -INT PID; kill -INT PID");
    assert!(run.try_wait().unwrap().is_none());
    interrupt("kill -INT PID");
    assert_eq!(run.wait().unwrap().code(), Some(130));
    std::fs::remove_file(ready).unwrap();
}
