//! The scripts of `netcdf/` around a program that uses netCDF files of the HDF5 format and of the classic one.

use crate::support::{self, Directory, Printed};
use crate::truth::{Call, by, histogram};
use std::collections::BTreeMap;

fn run(script: &str) -> Option<(Printed, Vec<Call>)> {
    let directory = Directory::new(&script.replace('/', "-"));
    let app = match support::build("netcdf.c", "gcc", &["-lnetcdf"]) {
        Ok(app) => app,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    support::run(script, &app.display().to_string(), &[], &directory)
}

fn of<'a>(calls: &'a [Call], way: &'a str) -> impl Iterator<Item = &'a Call> + Clone {
    calls.iter().filter(move |call| call.what.starts_with(way))
}

/// A table's row by what calls of each kind come to.
fn row(put: i64, puts: i64, got: i64, gets: i64) -> [(&'static str, i64); 5] {
    [
        ("put", put),
        ("puts", puts),
        ("got", got),
        ("gets", gets),
        ("unknown", 0),
    ]
}

fn rows<'a>(
    calls: &'a [Call],
    key: impl Fn(&Call) -> String + Copy,
) -> BTreeMap<String, BTreeMap<String, i64>> {
    let bytes = |way: &'a str| by(of(calls, way), key, |call| call.second);
    let count = |way: &'a str| by(of(calls, way), key, |_| 1);
    let (put, puts, got, gets) = (bytes("put-"), count("put-"), bytes("get-"), count("get-"));
    let number = |map: &BTreeMap<String, i64>, key: &str| map.get(key).copied().unwrap_or(0);
    let cells = |name: &str| {
        let cells = row(
            number(&put, name),
            number(&puts, name),
            number(&got, name),
            number(&gets, name),
        );
        cells.map(|(name, number)| (name.to_owned(), number)).into()
    };
    put.keys().map(|name| (name.clone(), cells(name))).collect()
}

#[test]
fn sizes() {
    let Some((printed, calls)) = run("netcdf/sizes") else {
        return;
    };
    let sizes = |way| of(&calls, way).map(|call| call.second);
    printed.has_line(&format!(
        "Put: {} requests, {} bytes. Got: {} requests, {} bytes. Of unknown size: 0 requests.",
        sizes("put-").count(),
        sizes("put-").sum::<i64>(),
        sizes("get-").count(),
        sizes("get-").sum::<i64>()
    ));
    for (way, start) in [("put", "put-"), ("get", "get-")] {
        assert_eq!(
            printed.histogram(&format!("{way}_sizes")),
            histogram(sizes(start), |_| 1)
        );
        assert_eq!(
            printed.histogram(&format!("{way}_bytes_by_size")),
            histogram(sizes(start), |size| size)
        );
    }
    let variable = |call: &Call| call.what[4..].to_owned();
    assert_eq!(printed.rows, rows(&calls, variable));
}

#[test]
fn files() {
    let Some((printed, calls)) = run("netcdf/files") else {
        return;
    };
    let mut wanted = rows(&calls, |call| call.path.clone());
    for (path, opens) in by(of(&calls, "open"), |call| call.path.clone(), |_| 1) {
        if let Some(row) = wanted.get_mut(&path) {
            row.insert("opens".to_owned(), opens);
        }
    }
    assert_eq!(printed.rows, wanted, "{}", printed.all);
    let moves = of(&calls, "put-").chain(of(&calls, "get-"));
    let line = |start: &str| {
        let line = printed
            .text
            .lines()
            .find(|line| line.trim_start().starts_with(start));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        words[2].parse::<usize>().unwrap()
    };
    assert_eq!(line("nc_put_var"), moves.clone().count());
    // One transfer of HDF5 for each request of netCDF-4.
    assert_eq!(
        line("H5Dwrite"),
        moves.filter(|call| call.path.ends_with("/new.nc")).count()
    );
}
