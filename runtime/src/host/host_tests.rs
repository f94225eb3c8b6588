#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; a skipped one says why"
)]

use super::*;
use scratch::Scratch;

fn libc(options: HostOptions) -> Option<Binary> {
    match HostTarget::new(options).binaries("libc") {
        Ok(found) => Some(found.into_iter().next().unwrap()),
        Err(error) => {
            eprintln!("skipped: no libc here: {error:?}");
            None
        }
    }
}

#[test]
fn libc_by_every_name() {
    let Some(libc) = libc(HostOptions::from_environment()) else {
        return;
    };
    assert!(
        libc.path.ends_with("/libc.so.6") || libc.path.contains("/libc-"),
        "{}",
        libc.path
    );
    let host = HostTarget::new(HostOptions::from_environment());
    let files = |host: &HostTarget, spec: &str| -> Vec<PathBuf> {
        let found = host.binaries(spec).unwrap().into_iter();
        found
            .map(|binary| fs::canonicalize(binary.path).unwrap())
            .collect()
    };
    let file = [fs::canonicalize(&libc.path).unwrap()];
    for spec in ["libc.so.6", "libc.so", libc.path.as_str()] {
        assert_eq!(files(&host, spec), file, "{spec}");
    }
    // Without a cache, as in an initramfs, and as this process has mapped it.
    let bare = HostOptions {
        loader_cache: Some("/nonexistent".into()),
        ..HostOptions::default()
    };
    assert_eq!(files(&HostTarget::new(bare), "libc"), file);
    let own = HostOptions {
        pid: Some(std::process::id()),
        loader_cache: Some("/nonexistent".into()),
        ..HostOptions::default()
    };
    assert_eq!(files(&HostTarget::new(own), "libc"), file);
}

#[test]
fn what_the_command_loads_comes_first() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("mine")).unwrap();
    let Some(own) = scratch.compile(
        "mine/libz-0badcafe.so.1",
        "int deflate(void) { return 0; }",
        &["-shared", "-fPIC", "-Wl,-soname=libz-0badcafe.so.1"],
    ) else {
        return;
    };
    let flags = [
        own.to_str().unwrap(),
        "-Wl,--no-as-needed",
        "-Wl,-rpath=$ORIGIN/mine",
    ];
    let app = scratch
        .compile(
            "app",
            "int deflate(void); int main(void) { return deflate(); }",
            &flags,
        )
        .unwrap();
    let script = scratch.write("run", format!("#!{}\n", app.display()));
    for program in [app.clone(), script] {
        let options = HostOptions {
            programs: vec![program],
            ..HostOptions::from_environment()
        };
        let host = HostTarget::new(options);
        let found = host.binaries("libz").unwrap();
        assert_eq!(
            found,
            [Binary {
                path: own.to_str().unwrap().to_owned()
            }]
        );
        assert_eq!(host.binaries("app").unwrap()[0].path, app.to_str().unwrap());
        assert_eq!(host.functions_named(&found[0], "deflate").unwrap().len(), 1);
    }
}

#[test]
fn programs_globs_and_misses() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile(
        "bin/simulate",
        "int step(void) { return 1; } int main(void) { return step(); }",
        &[],
    ) else {
        return;
    };
    let options = HostOptions {
        path: Some(scratch.path("bin").into()),
        ..HostOptions::default()
    };
    let host = HostTarget::new(options);
    let app = Binary {
        path: app.to_str().unwrap().to_owned(),
    };
    assert_eq!(host.binaries("simulate").unwrap(), std::slice::from_ref(&app));
    let pattern = format!("{}/b*/sim*e", scratch.root().display());
    assert_eq!(host.binaries(&pattern).unwrap(), std::slice::from_ref(&app));
    let similar_to = |spec: &str| match host.binaries(spec).unwrap_err() {
        TargetError::NotFound { similar, searched } => {
            assert!(!searched.is_empty());
            similar
        }
        error => panic!("{error:?}"),
    };
    assert_eq!(similar_to("simluate")[0], "simulate");
    assert_eq!(similar_to(&app.path.replace("simulate", "simulte"))[0], app.path);
    assert!(similar_to(&format!("{}/none*", scratch.root().display())).is_empty());
    let Err(TargetError::NotFound { similar, .. }) = host.functions_named(&app, "stpe") else {
        panic!("found")
    };
    assert_eq!(similar[0], "step");
    let step = &host.functions_named(&app, "step").unwrap()[0];
    assert!(host.file_offset(&app, u64::MAX).is_err());
    assert!(host.functions(&app).unwrap().contains(step));
}

#[test]
fn a_process_that_is_not_there() {
    let host = HostTarget::new(HostOptions {
        pid: Some(u32::MAX),
        ..HostOptions::default()
    });
    assert!(
        matches!(host.binaries("libc"), Err(TargetError::Unreadable { reason, .. }) if reason.contains("no such process"))
    );
}

#[test]
fn listings() {
    let scratch = Scratch::new();
    let Some(app) = scratch.compile(
        "app",
        "int one(void) { return 1; } int once(void) { return 2; } int main(void) { return 0; }",
        &[],
    ) else {
        return;
    };
    let host = HostTarget::new(HostOptions::default());
    let app = app.display();
    let list = |pattern: String| host.list(&pattern).unwrap();
    assert_eq!(
        list(format!("uprobe:{app}:on*")),
        [format!("uprobe:{app}:once"), format!("uprobe:{app}:one")]
    );
    assert_eq!(list(format!("u:{app}:one")), [format!("uprobe:{app}:one")]);
    assert_eq!(
        list(format!("u*:{app}:one")),
        [format!("uprobe:{app}:one"), format!("uretprobe:{app}:one")]
    );
    let Err(TargetError::NotFound { similar, .. }) = host.list(&format!("u:{app}:onec")) else {
        panic!("found")
    };
    assert_eq!(similar[0], "once");
    assert!(host.list("nothing").is_err());
}

#[test]
fn fields_as_they_are_declared() {
    let host = HostTarget::new(HostOptions::default());
    match host.list_fields("sched", "sched_switch") {
        Ok(fields) => assert_eq!(fields[..2], ["char prev_comm[16]", "pid_t prev_pid"]),
        Err(error) => {
            eprintln!("skipped: {error:?}");
            return;
        }
    }
    assert_eq!(
        host.list_fields("sched", "sched_process_exec").unwrap()[0],
        "__data_loc char[] filename"
    );
    let names = host.list("t:sched:sched_sw*").unwrap();
    assert!(names.contains(&"tracepoint:sched:sched_switch".to_owned()) && names.is_sorted());
}
