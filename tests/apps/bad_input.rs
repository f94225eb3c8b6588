//! Scripts of the library around what they are not made for: each time one clear word, and what can be counted is right.

use crate::support::{self, Directory, Traced};
use crate::truth::by;
use std::collections::BTreeMap;

/// Runs a script around `others` with these words; built with these options.
fn others(script: &str, words: &str, options: &[&str], environment: &[(&str, &str)]) -> Option<Traced> {
    let directory = Directory::new(&format!("others-{}", script.replace('/', "-")));
    let app = match support::build("others.c", "gcc", options) {
        Ok(app) => app,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    let command = format!("{} {words}", app.display());
    let under = format!("--under={}", directory.data().display());
    let takes_under = ["stdio/", "posix/", "io/"]
        .iter()
        .any(|family| script.starts_with(family));
    let parameters: &[&str] = if takes_under { &[&under] } else { &[] };
    support::trace(script, &command, parameters, environment, &directory)
}

/// How often a text holds another.
fn times(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn libraries_that_the_target_does_not_use() {
    for (script, library) in [
        ("hdf5/sizes", "HDF5"),
        ("hdf5/layers", "H5Dread and H5Dwrite"),
        ("mpiio/sizes", "MPI-IO"),
        ("mpiio/stragglers", "collective MPI-IO"),
    ] {
        let Some(traced) = others(script, "forks", &[], &[]) else {
            return;
        };
        let said = format!("No call of {library} was seen: ");
        assert_eq!(
            times(&traced.printed.text, &said),
            1,
            "{script}: {}",
            traced.printed.all
        );
        assert!(!traced.told.contains("error"), "{script}: {}", traced.told);
        assert!(times(&traced.told, "W0210") < 2, "{script}: {}", traced.told);
    }
}

#[test]
fn static_programs() {
    let Some(traced) = others("stdio/sizes", "forks", &["-static"], &[]) else {
        return;
    };
    assert_eq!(times(&traced.told, "is linked statically"), 1, "{}", traced.told);
    assert_eq!(
        times(&traced.printed.text, "No call of"),
        1,
        "{}",
        traced.printed.all
    );
    // System calls are seen all the same.
    let Some(traced) = others("posix/files", "files 20", &["-static"], &[]) else {
        return;
    };
    assert!(!traced.told.contains("statically"), "{}", traced.told);
    assert_eq!(traced.printed.rows.len(), 20, "{}", traced.printed.all);
}

#[test]
fn fork_without_exec() {
    let Some(traced) = others("stdio/sizes", "forks", &[], &[]) else {
        return;
    };
    let written = by(
        traced.calls.iter().filter(|call| call.what == "fwrite"),
        |call| call.path.clone(),
        |call| call.second,
    );
    assert_eq!(written.values().copied().collect::<Vec<_>>(), [500, 300]);
    assert_eq!(traced.printed.map("written_by_file"), written);
}

#[test]
fn processes_without_mpi() {
    let directory = Directory::new("no-mpi");
    let Ok(app) = support::build("mpiio.c", "mpicc.openmpi", &[]) else {
        return println!("skipped: Open MPI is not installed");
    };
    // Started without mpirun, a program of Open MPI is the only rank of its own job and its environment has none.
    let Some(traced) = support::trace("mpiio/sizes", &app.display().to_string(), &[], &[], &directory) else {
        return;
    };
    assert_eq!(times(&traced.told, "rank is -1"), 1, "{}", traced.told);
    let ranks: Vec<String> = traced.printed.map("writes_by_rank").into_keys().collect();
    assert_eq!(ranks, ["-1"], "{}", traced.printed.all);
}

#[test]
fn thousands_of_files() {
    let Some(traced) = others("posix/files", "files 3000", &[], &[]) else {
        return;
    };
    assert!(!traced.told.contains("lost"), "{}", traced.told);
    // With room for all of them, the list of those with most bytes is right.
    let Some(traced) = others("io/report", "files 3000", &[], &[]) else {
        return;
    };
    let large: BTreeMap<String, i64> = by(
        traced
            .calls
            .iter()
            .filter(|call| call.what == "write" && call.second > 10),
        |call| call.path.clone(),
        |call| call.second,
    );
    assert_eq!(large.len(), 10);
    assert_eq!(traced.printed.map("bytes_by_file"), large, "{}", traced.told);
    // Without, that is counted and shown.
    let few = [("CRUMBS_MAX_MAP_KEYS", "100")];
    let Some(traced) = others("io/report", "files 3000", &[], &few) else {
        return;
    };
    assert!(
        traced.told.contains("2900 updates of @file_bytes were lost")
            && traced.told.contains("lacks those that came later")
            && traced.told.contains("CRUMBS_MAX_MAP_KEYS=400"),
        "{}",
        traced.told
    );
}
