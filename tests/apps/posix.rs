//! The scripts of `posix/` around a program that makes system calls of many kinds.

use crate::support::{self, Directory, Printed};
use crate::truth::{Call, bins, by, histogram};
use std::collections::BTreeMap;

const READS: &[&str] = &["read", "readv", "pread64", "preadv"];
const WRITES: &[&str] = &["write", "writev", "pwrite64", "pwritev", "pwritev2"];

/// Runs a script around the program.
fn run(script: &str, parameters: &[&str]) -> Option<(Printed, Vec<Call>)> {
    let directory = Directory::new(&script.replace('/', "-"));
    let app = match support::build("posix.c", "gcc", &[]) {
        Ok(app) => app,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    let under = format!("--under={}", directory.data().display());
    let parameters: Vec<&str> = parameters.iter().copied().chain([under.as_str()]).collect();
    support::run(script, &app.display().to_string(), &parameters, &directory)
}

fn of<'a>(calls: &'a [Call], kinds: &'a [&str]) -> impl Iterator<Item = &'a Call> + Clone {
    calls.iter().filter(|call| kinds.contains(&call.what.as_str()))
}

fn path(call: &Call) -> String {
    call.path.clone()
}

/// The ten greatest, as a list that is cut is printed.
fn top(mut map: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    map.retain(|_, value| *value != 0);
    assert!(map.len() <= 10, "more files than a list shows");
    map
}

#[test]
fn sizes() {
    let Some((printed, calls)) = run("posix/sizes", &[]) else {
        return;
    };
    let sizes = |kinds| of(&calls, kinds).map(|call| call.second);
    let (reads, writes) = (sizes(READS), sizes(WRITES));
    assert!(reads.clone().count() > 150 && writes.clone().count() > 250);
    printed.has_line(&format!(
        "Reads: {} calls, {} bytes. Writes: {} calls, {} bytes.",
        reads.clone().count(),
        reads.clone().sum::<i64>(),
        writes.clone().count(),
        writes.clone().sum::<i64>()
    ));
    assert_eq!(printed.histogram("read_sizes"), histogram(reads.clone(), |_| 1));
    assert_eq!(printed.histogram("write_sizes"), histogram(writes.clone(), |_| 1));
    assert_eq!(
        printed.histogram("read_bytes_by_size"),
        histogram(reads.clone(), |size| size)
    );
    assert_eq!(
        printed.histogram("write_bytes_by_size"),
        histogram(writes.clone(), |size| size)
    );
}

#[test]
fn sizes_in_darshans_bins() {
    let Some((printed, calls)) = run("posix/sizes", &["--darshan"]) else {
        return;
    };
    for (way, kinds) in [("read", READS), ("write", WRITES)] {
        let sizes = || of(&calls, kinds).map(|call| call.second);
        assert_eq!(
            printed.histogram(&format!("{way}_bins")),
            bins(sizes(), |_| 1),
            "{way}"
        );
        assert_eq!(
            printed.histogram(&format!("{way}_bytes_by_bin")),
            bins(sizes(), |size| size),
            "{way}"
        );
        assert!(printed.histogram(&format!("{way}_sizes")).is_empty());
    }
}

#[test]
fn latency() {
    let Some((printed, calls)) = run("posix/latency", &[]) else {
        return;
    };
    for (name, kinds) in [("read_latency", READS), ("write_latency", WRITES)] {
        let counted: i64 = printed.histogram(name).values().sum();
        assert_eq!(counted, of(&calls, kinds).count() as i64, "{name}");
        assert!(!printed.histogram(name).contains_key(&0));
    }
}

#[test]
fn small() {
    let Some((printed, calls)) = run("posix/small", &["--below=4096"]) else {
        return;
    };
    printed.has_line("Smaller than 4096 bytes:");
    for (name, map, kinds) in [
        ("reads", "small_reads_by_file", READS),
        ("writes", "small_writes_by_file", WRITES),
    ] {
        let all = of(&calls, kinds).count();
        let small = of(&calls, kinds).filter(|call| call.second < 4096);
        let (count, bytes) = (
            small.clone().count(),
            small.clone().map(|call| call.second).sum::<i64>(),
        );
        assert!(count > 0 && count < all);
        let share = count * 1000 / all;
        let words: String = printed
            .text
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap()
            .replace(['(', ')'], "");
        let words: Vec<&str> = words.split_whitespace().collect();
        let wanted = format!(
            "{name} {count} of {all} {}.{} %, {bytes} bytes",
            share / 10,
            share % 10
        );
        assert_eq!(words.join(" "), wanted);
        assert_eq!(printed.map(map), top(by(small, path, |_| 1)));
    }
}

#[test]
fn files() {
    let Some((printed, calls)) = run("posix/files", &[]) else {
        return;
    };
    let opens = by(
        of(&calls, &["openat"]).filter(|call| call.path.contains("/data/")),
        path,
        |_| 1,
    );
    let table = &printed.rows;
    assert_eq!(table.keys().collect::<Vec<_>>(), opens.keys().collect::<Vec<_>>());
    for (file, opens) in opens {
        let of_file = |kinds| {
            of(&calls, kinds)
                .filter(|call| call.path == file)
                .map(|call| call.second)
        };
        let (reads, writes) = (of_file(READS), of_file(WRITES));
        let row = &table[&file];
        let wanted = [
            opens,
            reads.clone().count() as i64,
            reads.sum(),
            writes.clone().count() as i64,
            writes.sum(),
        ];
        let columns = ["opens", "reads", "read", "writes", "written"];
        assert_eq!(columns.map(|column| row[column]), wanted, "{file}");
    }
}

/// How many calls began where, by whether they wrote and the kind of place.
type Places = BTreeMap<(bool, &'static str), i64>;

/// Walks through the calls as the files' positions do: for each open file and kind of call the numbers of first, consecutive,
/// further and earlier places; and the switches between kinds by file.
fn walk(calls: &[Call]) -> (Places, BTreeMap<String, i64>) {
    let (mut places, mut switches) = (BTreeMap::new(), BTreeMap::new());
    let mut ends: BTreeMap<(bool, &str), i64> = BTreeMap::new();
    let mut last: BTreeMap<&str, bool> = BTreeMap::new();
    for call in calls {
        let file = call.path.as_str();
        if call.what == "openat" {
            ends.remove(&(false, file));
            ends.remove(&(true, file));
            last.remove(file);
        }
        let is_write = WRITES.contains(&call.what.as_str());
        if !is_write && !READS.contains(&call.what.as_str()) {
            continue;
        }
        let kind = match ends.insert((is_write, file), call.first + call.second) {
            None => "first",
            Some(end) if end == call.first => "consecutive",
            Some(end) if end < call.first => "further",
            Some(_) => "random",
        };
        *places.entry((is_write, kind)).or_insert(0) += 1;
        if last.insert(file, is_write).is_some_and(|was| was != is_write) {
            *switches.entry(file.to_owned()).or_insert(0) += 1;
        }
    }
    (places, switches)
}

#[test]
fn seeks() {
    let Some((printed, calls)) = run("posix/seeks", &[]) else {
        return;
    };
    let (places, _) = walk(&calls);
    for (label, kind) in [
        ("first of an open file", "first"),
        ("where the last ended", "consecutive"),
        ("further on", "further"),
        ("before: random", "random"),
    ] {
        let (reads, writes) = (places[&(false, kind)], places[&(true, kind)]);
        printed.has_line(&format!("{label} {reads} {writes}"));
    }
    printed.has_line(&format!("lseek calls: {}", of(&calls, &["lseek"]).count()));
}

#[test]
fn switches() {
    let Some((printed, calls)) = run("posix/switches", &[]) else {
        return;
    };
    let (_, switches) = walk(&calls);
    let (count, all) = (
        switches.values().sum::<i64>(),
        of(&calls, READS).chain(of(&calls, WRITES)).count() as i64,
    );
    let share = count * 1000 / all;
    printed.has_line(&format!(
        "{count} switches between reading and writing in {all} calls ({}.{} %)",
        share / 10,
        share % 10
    ));
    assert_eq!(printed.map("switches_by_file"), top(switches));
}

#[test]
fn alignment() {
    let Some((printed, calls)) = run("posix/alignment", &["--block=512"]) else {
        return;
    };
    let count =
        |kinds: &[&str], is: &dyn Fn(&Call) -> bool| of(&calls, kinds).filter(|call| is(call)).count();
    let starts = |call: &Call| call.first % 512 != 0;
    let ends = |call: &Call| (call.first + call.second) % 512 != 0;
    printed.has_line(&format!(
        "calls {} {}",
        count(READS, &|_| true),
        count(WRITES, &|_| true)
    ));
    printed.has_line(&format!(
        "begin inside of a block {} {}",
        count(READS, &starts),
        count(WRITES, &starts)
    ));
    printed.has_line(&format!(
        "end inside of a block {} {}",
        count(READS, &ends),
        count(WRITES, &ends)
    ));
    for (map, kinds) in [
        ("unaligned_reads_by_file", READS),
        ("unaligned_writes_by_file", WRITES),
    ] {
        let unaligned = of(&calls, kinds).filter(|call| starts(call));
        assert_eq!(printed.map(map), top(by(unaligned, path, |_| 1)));
    }
}

#[test]
fn sync() {
    let Some((printed, calls)) = run("posix/sync", &[]) else {
        return;
    };
    let kinds = ["fsync", "fdatasync"];
    assert_eq!(
        printed.map("syncs_by_call"),
        by(of(&calls, &kinds), |call| call.what.clone(), |_| 1)
    );
    assert_eq!(printed.map("syncs_by_file"), by(of(&calls, &kinds), path, |_| 1));
    assert_eq!(printed.histogram("sync_latency").values().sum::<i64>(), 6);
}

#[test]
fn mmap() {
    let Some((printed, calls)) = run("posix/mmap", &[]) else {
        return;
    };
    assert_eq!(
        printed.map("mapped_by_file"),
        by(of(&calls, &["mmap"]), path, |call| call.first)
    );
    assert_eq!(
        printed.map("maps_by_file"),
        by(of(&calls, &["mmap"]), path, |_| 1)
    );
    assert_eq!(
        printed.map("writable_by_file"),
        by(of(&calls, &["mmap"]), path, |call| call.second)
    );
    printed.has_line(
        "2 mappings of files, 77824 bytes; 1 of them writable and shared. 1 msync calls, 8192 bytes.",
    );
}

#[test]
fn metadata() {
    // Nothing but the program's own calls: no dynamic linker opens libraries.
    let directory = Directory::new("posix-metadata");
    let app = match support::build("posix.c", "gcc", &["-static"]) {
        Ok(app) => app,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let under = format!("--under={}", directory.data().display());
    let Some((printed, calls)) = support::run(
        "posix/metadata",
        &app.display().to_string(),
        &[&under],
        &directory,
    ) else {
        return;
    };
    let counted = printed.map("calls");
    let is_metadata =
        |call: &&Call| !READS.contains(&call.what.as_str()) && !WRITES.contains(&call.what.as_str());
    let others = ["fsync", "fdatasync", "mmap", "msync"];
    let done = by(calls.iter().filter(is_metadata), |call| call.what.clone(), |_| 1);
    assert!(done.len() > 8);
    for (call, count) in done
        .into_iter()
        .filter(|(call, _)| !others.contains(&call.as_str()))
    {
        assert_eq!(counted.get(&call), Some(&count), "{call}: {}", printed.all);
    }
    assert_eq!(printed.map("failed").get("access"), Some(&12));
    let data = of(&calls, READS).chain(of(&calls, WRITES)).count();
    assert!(
        printed.text.contains(&format!("Data: {data} calls")),
        "{}",
        printed.text
    );
}
