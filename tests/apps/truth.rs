//! What a program did, as it wrote it down.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub rank: i64,
    /// Which call it was.
    pub what: String,
    pub path: String,
    /// The place in the file, or what else the program says.
    pub first: i64,
    /// Bytes, or what else the program says.
    pub second: i64,
}

/// The calls in the files `PATH.RANK`, in the order of each rank.
pub fn calls(path: &Path) -> Vec<Call> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut files: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| {
            file.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&format!("{name}."))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the program has written nothing down");
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| text.lines().map(call).collect::<Vec<_>>())
        .collect()
}

fn call(line: &str) -> Call {
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words.len(), 5, "{line}");
    Call {
        rank: words[0].parse().unwrap(),
        what: words[1].to_owned(),
        path: words[2].to_owned(),
        first: words[3].parse().unwrap(),
        second: words[4].parse().unwrap(),
    }
}

/// A histogram in Darshan's bins, by the least number of each, of which each size counts `weight` of itself.
pub fn bins(sizes: impl Iterator<Item = i64>, weight: impl Fn(i64) -> i64) -> BTreeMap<i64, i64> {
    const K: i64 = 1024;
    let ends = [
        100,
        K,
        10 * K,
        100 * K,
        K * K,
        4 * K * K,
        10 * K * K,
        100 * K * K,
        K * K * K,
    ];
    let mut out = BTreeMap::new();
    for size in sizes {
        let least = ends
            .iter()
            .rev()
            .find(|end| **end < size)
            .map_or(0, |end| end + 1);
        *out.entry(least).or_insert(0) += weight(size);
    }
    out.retain(|_, count| *count != 0);
    out
}

/// A histogram by powers of two, of which each size counts `weight` of itself: lower bound to sum, without empty buckets.
pub fn histogram(sizes: impl Iterator<Item = i64>, weight: impl Fn(i64) -> i64) -> BTreeMap<i64, i64> {
    let mut out = BTreeMap::new();
    for size in sizes {
        let lower = if size == 0 { 0 } else { 1 << size.ilog2() };
        *out.entry(lower).or_insert(0) += weight(size);
    }
    out.retain(|_, count| *count != 0);
    out
}

/// For each key how much its calls come to.
pub fn by<'a, K: Ord>(
    calls: impl Iterator<Item = &'a Call>,
    key: impl Fn(&Call) -> K,
    amount: impl Fn(&Call) -> i64,
) -> BTreeMap<K, i64> {
    let mut out = BTreeMap::new();
    for call in calls {
        *out.entry(key(call)).or_insert(0) += amount(call);
    }
    out
}
