//! The scripts of `hdf5/` and `io/` around programs that use HDF5: serial, parallel, and through h5py.

use crate::mpi::Mpi;
use crate::support::{self, Directory, Printed};
use crate::truth::{Call, by, histogram};
use serde_json::Value;
use std::collections::BTreeMap;

const SERIAL: &[&str] = &[
    "-rdynamic",
    "-I/usr/include/hdf5/serial",
    "-L/usr/lib/x86_64-linux-gnu/hdf5/serial",
    "-lhdf5",
    "-ldl",
];
const PARALLEL: &[&str] = &[
    "-DPARALLEL",
    "-rdynamic",
    "-I/usr/include/hdf5/openmpi",
    "-L/usr/lib/x86_64-linux-gnu/hdf5/openmpi",
    "-lhdf5",
    "-ldl",
];

fn serial(script: &str) -> Option<(Printed, Vec<Call>)> {
    let directory = Directory::new(&script.replace('/', "-"));
    let app = match support::build("hdf5.c", "gcc", SERIAL) {
        Ok(app) => app,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    support::run(script, &app.display().to_string(), &[], &directory)
}

fn parallel(script: &str, ranks: usize, parameters: &[&str]) -> Option<(Printed, Vec<Call>)> {
    Mpi::OpenMpi.run(script, ("hdf5.c", PARALLEL), ranks, parameters)
}

fn of<'a>(calls: &'a [Call], what: &'a str) -> impl Iterator<Item = &'a Call> + Clone {
    calls.iter().filter(move |call| call.what == what)
}

/// How many calls of a kind there were, and their bytes.
fn total(calls: &[Call], what: &str) -> (usize, i64) {
    (
        of(calls, what).count(),
        of(calls, what).map(|call| call.second).sum(),
    )
}

fn sizes_are_right(printed: &Printed, calls: &[Call]) {
    for (label, kind) in [("raw data", "raw"), ("metadata", "metadata")] {
        let (reads, read) = total(calls, &format!("fd-read-{kind}"));
        let (writes, written) = total(calls, &format!("fd-write-{kind}"));
        assert!(reads > 0 && writes > 0);
        printed.has_line(&format!("{label} {reads} {read} {writes} {written}"));
        for way in ["read", "write"] {
            let what = format!("fd-{way}-{kind}");
            let sizes = of(calls, &what).map(|call| call.second);
            assert_eq!(
                printed.histogram(&format!("{kind}_{way}_sizes")),
                histogram(sizes, |_| 1)
            );
        }
    }
}

#[test]
fn sizes() {
    if let Some((printed, calls)) = serial("hdf5/sizes") {
        sizes_are_right(&printed, &calls);
    }
}

#[test]
fn sizes_in_parallel() {
    for ranks in [1, 2, 4] {
        if let Some((printed, calls)) = parallel("hdf5/sizes", ranks, &[]) {
            sizes_are_right(&printed, &calls);
        }
    }
}

#[test]
fn sizes_of_h5py() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/h5py_app.py");
    let has_h5py = std::process::Command::new("/usr/bin/python3")
        .args(["-c", "import h5py"])
        .output();
    if !has_h5py.is_ok_and(|output| output.status.success()) {
        return println!("skipped: python3-h5py is not installed");
    }
    let directory = Directory::new("h5py");
    let Some((printed, calls)) = support::run(
        "hdf5/sizes",
        &format!("/usr/bin/python3 {script}"),
        &[],
        &directory,
    ) else {
        return;
    };
    let (writes, written) = total(&calls, "dwrite");
    let line = printed
        .text
        .lines()
        .find(|line| line.trim_start().starts_with("raw data"))
        .unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(4).collect();
    assert_eq!(
        numbers,
        [writes.to_string(), written.to_string()],
        "{}",
        printed.all
    );
    assert_eq!(
        printed.histogram("raw_write_sizes"),
        BTreeMap::from([(1 << 18, 4)])
    );
}

#[test]
fn metadata() {
    let Some((printed, calls)) = serial("hdf5/metadata") else {
        return;
    };
    let sum = |kinds: &[&str]| {
        let totals: Vec<(usize, i64)> = kinds.iter().map(|kind| total(&calls, kind)).collect();
        (
            totals.iter().map(|(count, _)| *count as i64).sum::<i64>(),
            totals.iter().map(|(_, bytes)| bytes).sum::<i64>(),
        )
    };
    let (count, bytes) = sum(&["fd-read-metadata", "fd-write-metadata"]);
    let (all_count, all_bytes) = sum(&[
        "fd-read-metadata",
        "fd-write-metadata",
        "fd-read-raw",
        "fd-write-raw",
    ]);
    let share = |part: i64, all: i64| format!("{}.{}", part * 1000 / all / 10, part * 1000 / all % 10);
    printed.has_line(&format!(
        "Metadata: {count} of {all_count} calls ({} %), {bytes} of {all_bytes} bytes ({} %)",
        share(count, all_count),
        share(bytes, all_bytes)
    ));
    let api = printed.map("api_calls");
    for (function, what) in [
        ("H5Dwrite", "dwrite"),
        ("H5Dread", "dread"),
        ("H5Dcreate2", "dataset"),
        ("H5Gcreate2", "group"),
        ("H5Fclose", "fclose"),
    ] {
        assert_eq!(
            api.get(function),
            Some(&(of(&calls, what).count() as i64)),
            "{function}"
        );
    }
}

fn datasets_are_right(printed: &Printed, calls: &[Call]) {
    let name = |call: &Call| call.path.clone();
    let by_name = |what| by(of(calls, what), name, |_| 1);
    let bytes = |what| by(of(calls, what), name, |call| call.second);
    let (dreads, dwrites) = (by_name("dread"), by_name("dwrite"));
    let (read, written) = (bytes("fd-read-raw"), bytes("fd-write-raw"));
    assert_eq!(printed.rows.len(), dwrites.len(), "{}", printed.all);
    for (dataset, row) in &printed.rows {
        let wanted = |map: &BTreeMap<String, i64>| map.get(dataset).copied().unwrap_or(0);
        let columns = ["dreads", "read", "dwrites", "written"];
        assert_eq!(
            columns.map(|column| row[column]),
            [&dreads, &read, &dwrites, &written].map(wanted),
            "{dataset}"
        );
    }
    assert!(!printed.text.contains("cannot be told"), "{}", printed.text);
}

#[test]
fn datasets() {
    if let Some((printed, calls)) = serial("hdf5/datasets") {
        datasets_are_right(&printed, &calls);
    }
    if let Some((printed, calls)) = parallel("hdf5/datasets", 2, &[]) {
        datasets_are_right(&printed, &calls);
    }
}

#[test]
fn files() {
    let Some((printed, calls)) = serial("hdf5/files") else {
        return;
    };
    let made = &of(&calls, "fcreate").next().unwrap().path;
    let bytes = |what| total(&calls, what).1;
    let wanted = [
        ("opens", 2),
        ("raw_read", bytes("fd-read-raw")),
        ("metadata_read", bytes("fd-read-metadata")),
        ("raw_written", bytes("fd-write-raw")),
        ("metadata_written", bytes("fd-write-metadata")),
    ];
    let wanted = wanted.map(|(name, number)| (name.to_owned(), number)).into();
    assert_eq!(printed.rows, BTreeMap::from([(made.clone(), wanted)]));
    let wanted = [("H5Fclose", 2), ("H5Fcreate", 1), ("H5Fopen", 1)];
    assert_eq!(
        printed.map("calls"),
        wanted.map(|(name, count)| (name.to_owned(), count)).into()
    );
}

#[test]
fn attributes() {
    let Some((printed, calls)) = serial("hdf5/attributes") else {
        return;
    };
    let name = |call: &Call| call.path.clone();
    assert_eq!(printed.map("writes"), by(of(&calls, "awrite"), name, |_| 1));
    assert_eq!(printed.map("reads"), by(of(&calls, "aread"), name, |_| 1));
    printed.has_line("Attributes: 10 reads, 5 writes");
}

#[test]
fn collective() {
    for ranks in [1, 2] {
        let Some((printed, calls)) = parallel("hdf5/collective", ranks, &[]) else {
            return;
        };
        for (function, what) in [("H5Dread", "dread"), ("H5Dwrite", "dwrite")] {
            let asked = |mode| of(&calls, what).filter(|call| call.first == mode).count();
            assert!(asked(0) > 0 && asked(1) > 0);
            printed.has_line(&format!("{function}, collective {} 0", asked(1)));
            printed.has_line(&format!("{function}, independent 0 {}", asked(0)));
        }
    }
}

#[test]
fn chunks() {
    let Some((printed, calls)) = serial("hdf5/chunks") else {
        return;
    };
    let chunked = of(&calls, "dataset").filter(|call| call.second > 0);
    let not = of(&calls, "dataset").count() - chunked.clone().count();
    assert!(printed.text.contains(&format!(
        "Datasets made: {} chunked, {not} not.",
        chunked.clone().count()
    )));
    let elements = chunked
        .map(|call| (format!("{},1", call.path), call.second))
        .collect();
    assert_eq!(printed.map("elements_of_chunks"), elements);
    let before: i64 = of(&calls, "dwrite")
        .filter(|call| call.path == "compressed")
        .map(|call| call.second)
        .sum();
    let stored = of(&calls, "fd-write-raw").filter(|call| call.path == "compressed");
    let (count, after) = (
        stored.clone().count(),
        stored.map(|call| call.second).sum::<i64>(),
    );
    printed.has_line(&format!("written: {count} chunks, {before} bytes became {after}"));
    assert_eq!(
        printed.map("filters_set"),
        BTreeMap::from([("H5Pset_deflate".to_owned(), 1)])
    );
}

#[test]
fn layers() {
    let Some((printed, calls)) = parallel("hdf5/layers", 2, &[]) else {
        return;
    };
    let transfers = of(&calls, "dread").chain(of(&calls, "dwrite"));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("H5Dwrite, H5Dread {} ", transfers.clone().count());
    assert!(
        printed.text.lines().any(|text| words(text).starts_with(&line)),
        "{line} in {}",
        printed.text
    );
    let bytes: i64 = transfers.map(|call| call.second).sum();
    printed.has_line(&format!("{bytes} bytes went through those system calls"));
}

/// Every layer of a parallel run accounts for every byte.
#[test]
fn report() {
    let Some((printed, calls)) = parallel("io/report", 2, &["--under"]) else {
        return;
    };
    let bytes = |what| total(&calls, what).1;
    // Bytes each way.
    let line = |start: &str| -> Vec<i64> {
        let line = printed
            .text
            .lines()
            .find(|line| line.trim_start().starts_with(start));
        line.unwrap_or_default()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .take(2)
            .collect()
    };
    assert_eq!(
        line("HDF5, raw data"),
        [bytes("fd-read-raw"), bytes("fd-write-raw")]
    );
    assert_eq!(
        line("HDF5, metadata"),
        [bytes("fd-read-metadata"), bytes("fd-write-metadata")]
    );
    let read = bytes("dread") + bytes("fd-read-metadata");
    let written = bytes("dwrite") + bytes("fd-write-metadata");
    assert_eq!(line("MPI-IO")[..2], [read, written], "{}", printed.text);
    assert_eq!(line("system calls")[..2], [read, written], "{}", printed.text);
    let made = &of(&calls, "fcreate").next().unwrap().path;
    assert_eq!(
        printed.map("bytes_by_file"),
        BTreeMap::from([(made.clone(), read + written)])
    );
    assert_eq!(printed.map("bytes_by_rank").values().sum::<i64>(), read + written);
    for dataset in ["whole", "pieces", "chunked"] {
        let of_dataset = |what| {
            of(&calls, what)
                .filter(|call| call.path == dataset)
                .map(|call| call.second)
                .sum::<i64>()
        };
        assert_eq!(
            printed.map("dataset_read").get(dataset),
            Some(&of_dataset("dread")),
            "{dataset}"
        );
        assert_eq!(
            printed.map("dataset_written").get(dataset),
            Some(&of_dataset("dwrite")),
            "{dataset}"
        );
    }
}

/// Every call is an event of the trace, with its bytes.
#[test]
fn trace() {
    let Some((command, parameters, directory)) =
        Mpi::OpenMpi.command("io/trace", ("hdf5.c", PARALLEL), 2, &["--under"])
    else {
        return;
    };
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let Some((events, calls)) = support::events("io/trace", &command, &parameters, &directory) else {
        return;
    };
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let argument = |event: &Value, field: &str| event["args"][field].as_i64().unwrap();
    for (name, what) in [
        ("H5Dwrite", "dwrite"),
        ("H5Dread", "dread"),
        ("H5Fclose", "fclose"),
    ] {
        let count = events.iter().filter(|event| text(event, "name") == name).count();
        assert_eq!(count, of(&calls, what).count(), "{name}");
    }
    let written = total(&calls, "dwrite").1 + total(&calls, "fd-write-metadata").1;
    for category in ["MPI", "POSIX"] {
        let of_category = events.iter().filter(|event| {
            text(event, "cat") == category
                && text(event, "name").contains("write")
                && text(event, "ph") == "X"
        });
        let moved = of_category.clone().map(|event| argument(event, "ret"));
        assert_eq!(moved.sum::<i64>(), written, "{category}");
        let mut ranks: Vec<i64> = of_category.clone().map(|event| argument(event, "rank")).collect();
        ranks.sort_unstable();
        ranks.dedup();
        assert_eq!(ranks, [0, 1], "{category}");
        let made = &of(&calls, "fcreate").next().unwrap().path;
        for event in of_category {
            let file = event["args"]["fname"].as_str();
            assert_eq!(file, Some(made.as_str()), "{category}");
        }
    }
}

#[test]
fn report_with_the_bins_of_darshan() {
    let Some((printed, calls)) = parallel("io/report", 1, &["--under", "--darshan"]) else {
        return;
    };
    let below_a_hundred = of(&calls, "fd-write-metadata")
        .filter(|call| call.second <= 100)
        .count();
    let bins = printed.histogram("write_bins");
    assert!(below_a_hundred > 0, "{calls:?}");
    assert_eq!(
        bins.values().next(),
        Some(&(below_a_hundred as i64)),
        "{}",
        printed.all
    );
    assert!(printed.histogram("write_sizes").is_empty());
}
