//! The scripts of `stdio/` around a program that uses C streams.

use crate::support::{self, Directory, Printed};
use crate::truth::{Call, by, histogram};

/// Runs a script around the program.
fn run(script: &str) -> Option<(Printed, Vec<Call>)> {
    let directory = Directory::new(&script.replace('/', "-"));
    let app = match support::build("stdio.c", "gcc", &[]) {
        Ok(app) => app,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    let under = format!("--under={}", directory.data().display());
    support::run(script, &app.display().to_string(), &[&under], &directory)
}

fn of<'a>(calls: &'a [Call], what: &'a str) -> impl Iterator<Item = &'a Call> + Clone {
    calls.iter().filter(move |call| call.what == what)
}

#[test]
fn sizes() {
    let Some((printed, calls)) = run("stdio/sizes") else {
        return;
    };
    let sizes = |what| of(&calls, what).map(|call| call.second);
    let (reads, writes) = (sizes("fread"), sizes("fwrite"));
    printed.has_line(&format!(
        "fread: {} calls, {} bytes. fwrite: {} calls, {} bytes.",
        reads.clone().count(),
        reads.clone().sum::<i64>(),
        writes.clone().count(),
        writes.clone().sum::<i64>()
    ));
    assert!(reads.clone().any(|bytes| bytes == 0), "no read beyond the end");
    assert_eq!(printed.histogram("fread_sizes"), histogram(reads.clone(), |_| 1));
    assert_eq!(
        printed.histogram("fread_bytes_by_size"),
        histogram(reads, |size| size)
    );
    assert_eq!(
        printed.histogram("fwrite_sizes"),
        histogram(writes.clone(), |_| 1)
    );
    assert_eq!(
        printed.histogram("fwrite_bytes_by_size"),
        histogram(writes, |size| size)
    );
    for (map, what) in [("read_by_file", "fread"), ("written_by_file", "fwrite")] {
        let by_file = by(of(&calls, what), |call| call.path.clone(), |call| call.second);
        assert_eq!(printed.map(map), by_file);
    }
    assert_eq!(printed.map("other_calls").get("fputs"), Some(&25));
}

#[test]
fn buffering() {
    let Some((printed, calls)) = run("stdio/buffering") else {
        return;
    };
    let mut seen = 0;
    for system in of(&calls, "syscalls") {
        let stream = |what| {
            let calls = of(&calls, what).filter(|call| call.path == system.path);
            (
                calls.clone().count() as i64,
                calls.map(|call| call.second).sum::<i64>(),
            )
        };
        let ((freads, fread), (fwrites, fwritten)) = (stream("fread"), stream("fwrite"));
        // A stream is closed at its end, so all of what went in has gone out; whole items are taken out again.
        let read = if system.first > 0 { fwritten } else { 0 };
        let wanted = [
            ("freads", freads),
            ("fread", fread),
            ("reads", system.first),
            ("read", read),
            ("fwrites", fwrites),
            ("fwritten", fwritten),
            ("writes", system.second),
            ("written", fwritten),
        ];
        let wanted = wanted.map(|(name, number)| (name.to_owned(), number)).into();
        assert_eq!(printed.rows.get(&system.path), Some(&wanted), "{}", system.path);
        seen += 1;
    }
    assert_eq!(seen, 3);
    assert_eq!(printed.rows.len(), 3, "{}", printed.all);
}
