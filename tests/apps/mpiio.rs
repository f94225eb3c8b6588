//! The scripts of `mpiio/` around a program that uses MPI-IO of every kind, with Open MPI and MPICH.

use crate::mpi::Mpi;
use crate::support::Printed;
use crate::truth::{Call, by, histogram};
use std::collections::BTreeMap;

fn run(mpi: Mpi, script: &str, ranks: usize, parameters: &[&str]) -> Option<(Printed, Vec<Call>)> {
    mpi.run(script, ("mpiio.c", &[]), ranks, parameters)
}

/// The calls of a kind, whose handles tell their bytes: MPICH's of types that the program made do not.
fn known(mpi: Mpi, calls: &[Call], end: &str) -> Vec<Call> {
    let is_known = |call: &&Call| mpi == Mpi::OpenMpi || call.what != "derived-write";
    calls
        .iter()
        .filter(|call| call.what.ends_with(end))
        .filter(is_known)
        .cloned()
        .collect()
}

fn rank(call: &Call) -> String {
    call.rank.to_string()
}

fn sizes_are_right(mpi: Mpi, ranks: usize) {
    let Some((printed, calls)) = run(mpi, "mpiio/sizes", ranks, &[]) else {
        return;
    };
    let (reads, writes) = (known(mpi, &calls, "-read"), known(mpi, &calls, "-write"));
    let bytes = |calls: &[Call]| calls.iter().map(|call| call.first).sum::<i64>();
    let unknown = if mpi == Mpi::Mpich { ranks } else { 0 };
    printed.has_line(&format!(
        "Reads: {} calls, {} bytes. Writes: {} calls, {} bytes. Of unknown size: {unknown} calls.",
        reads.len(),
        bytes(&reads),
        writes.len(),
        bytes(&writes)
    ));
    for (calls, sizes, by_size, counts, sums) in [
        (
            &reads,
            "read_sizes",
            "read_bytes_by_size",
            "reads_by_rank",
            "read_by_rank",
        ),
        (
            &writes,
            "write_sizes",
            "write_bytes_by_size",
            "writes_by_rank",
            "written_by_rank",
        ),
    ] {
        let all = || calls.iter().map(|call| call.first);
        assert_eq!(printed.histogram(sizes), histogram(all(), |_| 1));
        assert_eq!(printed.histogram(by_size), histogram(all(), |size| size));
        assert_eq!(printed.map(counts), by(calls.iter(), rank, |_| 1));
        assert_eq!(printed.map(sums), by(calls.iter(), rank, |call| call.first));
        assert_eq!(printed.map(sums).len(), ranks);
    }
}

#[test]
fn sizes_with_open_mpi() {
    for ranks in [1, 2, 4] {
        sizes_are_right(Mpi::OpenMpi, ranks);
    }
}

#[test]
fn sizes_with_mpich() {
    for ranks in [1, 2, 4] {
        sizes_are_right(Mpi::Mpich, ranks);
    }
}

#[test]
fn collective() {
    for mpi in Mpi::ALL {
        let Some((printed, calls)) = run(mpi, "mpiio/collective", 2, &[]) else {
            return;
        };
        let mut collective = 0;
        for kind in ["independent", "collective", "non-blocking", "split"] {
            for way in ["read", "write"] {
                let names = [
                    format!("{}-{way}", kind.replace('-', "")),
                    format!("derived-{way}"),
                ];
                let is_derived = kind == "independent";
                let of_kind = |call: &&Call| call.what == names[0] || is_derived && call.what == names[1];
                let count = calls.iter().filter(of_kind).count();
                let known = known(mpi, &calls, way);
                let bytes: i64 = known.iter().filter(of_kind).map(|call| call.first).sum();
                let row = format!("{kind} {way}s {count} {bytes} ");
                let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(
                    printed.text.lines().any(|line| words(line).starts_with(&row)),
                    "{row} in {}",
                    printed.text
                );
                if matches!(kind, "collective" | "split") {
                    collective += count;
                }
            }
        }
        let all = calls
            .iter()
            .filter(|call| call.what.ends_with("-read") || call.what.ends_with("-write"))
            .count();
        let share = collective * 1000 / all;
        printed.has_line(&format!(
            "{collective} of {all} calls are collective ({}.{} %)",
            share / 10,
            share % 10
        ));
    }
}

#[test]
fn balance() {
    for (mpi, ranks) in [(Mpi::OpenMpi, 4), (Mpi::Mpich, 2)] {
        let Some((printed, calls)) = run(mpi, "mpiio/balance", ranks, &[]) else {
            return;
        };
        let moves = |call: &&Call| call.what.ends_with("-read") || call.what.ends_with("-write");
        let counts = by(calls.iter().filter(moves), |call| call.rank, |_| 1);
        let known: Vec<Call> = [known(mpi, &calls, "-read"), known(mpi, &calls, "-write")].concat();
        let bytes = by(known.iter(), |call| call.rank, |call| call.first);
        assert_eq!(printed.rows.len(), ranks, "{}", printed.all);
        for (rank, count) in &counts {
            let row = &printed.rows[&rank.to_string()];
            assert_eq!((row["calls"], row["bytes"]), (*count, bytes[rank]), "rank {rank}");
        }
        let unknown = counts.values().sum::<i64>() - known.len() as i64;
        assert_eq!(
            printed
                .text
                .contains(&format!("Of {unknown} calls the bytes are not known")),
            unknown > 0,
            "{}",
            printed.text
        );
        let most = bytes.values().max().unwrap() * ranks as i64 * 100 / bytes.values().sum::<i64>();
        let wanted = format!("bytes {}.{:02},", most / 100, most % 100);
        assert!(printed.text.contains(&wanted), "{wanted} in {}", printed.text);
    }
}

#[test]
fn views() {
    for mpi in Mpi::ALL {
        let Some((printed, calls)) = run(mpi, "mpiio/views", 2, &[]) else {
            return;
        };
        let views: Vec<&Call> = calls.iter().filter(|call| call.what == "view").collect();
        assert_eq!(
            printed.map("views_by_file"),
            BTreeMap::from([("collective".to_owned(), views.len() as i64)])
        );
        assert_eq!(
            printed.map("bytes_of_view"),
            BTreeMap::from([("collective,1".to_owned(), views.len() as i64)])
        );
        assert_eq!(
            printed.histogram("displacements"),
            histogram(views.iter().map(|call| call.first), |_| 1)
        );
    }
}

#[test]
fn aggregators() {
    let Some((printed, calls)) = run(Mpi::OpenMpi, "mpiio/aggregators", 2, &["--under"]) else {
        return;
    };
    let of = |kinds: &'static [&str]| {
        let calls = calls.iter().filter(|call| kinds.contains(&call.what.as_str()));
        by(calls, |call| call.rank, |call| call.first)
    };
    let handed = of(&["collective-write", "split-write"]);
    let wanted = of(&["collective-read"]);
    assert_eq!(printed.rows.len(), 2);
    for (rank, row) in &printed.rows {
        let rank: i64 = rank.parse().unwrap();
        assert_eq!(
            (row["handed"], row["wanted"]),
            (handed[&rank], wanted[&rank]),
            "rank {rank}: {}",
            printed.all
        );
    }
    // Which rank writes is for Open MPI to decide; it writes each byte once, and reads no more than it is asked for.
    let all = |column: &str| printed.rows.values().map(|row| row[column]).sum::<i64>();
    let asked = |end| {
        known(Mpi::OpenMpi, &calls, end)
            .iter()
            .map(|call| call.first)
            .sum::<i64>()
    };
    assert_eq!(
        (all("written"), all("read")),
        (asked("-write"), asked("-read")),
        "{}",
        printed.text
    );
}

#[test]
fn stragglers() {
    for mpi in Mpi::ALL {
        let Some((printed, calls)) = run(mpi, "mpiio/stragglers", 2, &[]) else {
            return;
        };
        // Split collective calls are not waited in.
        let calls = calls
            .iter()
            .filter(|call| call.what.starts_with("collective-"))
            .count();
        printed.has_line(&format!(
            "{} collective calls, made by {calls} calls of processes",
            calls / 2
        ));
        assert_eq!(
            printed.histogram("spread").values().sum::<i64>(),
            calls as i64 / 2
        );
        let last: i64 = printed.map("last_to_come").values().sum();
        assert!(last >= calls as i64 / 2, "{}", printed.all);
    }
}
