//! The samples of bpftrace 0.26 for histograms and statistics, through the aggregations that scripts use: what the
//! kernel half would have left for the sample's calls goes in, the sample's bytes come out.

use super::*;
use crumbs_compiler::aggregation::{AggType, by_name};
use crumbs_compiler::view::Measure;

/// What an aggregation shows as `@h` for these words of state.
fn shown(name: &str, params: &[i64], words: &[(usize, u64)]) -> String {
    let ty = AggType {
        id: by_name(name).expect("an aggregation of the language"),
        signed: true,
        params: params.to_vec(),
    };
    let aggregation = ty.aggregation();
    let mut state = vec![0u64; ty.words() as usize];
    // Every event on a CPU of its own.
    for &(at, amount) in words {
        let mut of_cpu = vec![0; state.len()];
        of_cpu[at] = amount;
        aggregation.merge(&ty, &mut state, &of_cpu);
    }
    let content = Content::of(aggregation.show(&ty, &state), aggregation.presentation());
    text(|output| output.map("@h", &[entry(None, content.clone())], &Measure::default()))
}

/// Where `hist(n, k)` counts a number.
fn hist_index(n: i64, k: u32) -> usize {
    match n {
        ..0 => 0,
        n if n < 1 << k => 1 + n as usize,
        n => {
            let shift = n.ilog2() - k;
            1 + ((shift << k) as usize) + (n >> shift) as usize
        }
    }
}

/// The lines of a sample, and the empty one that ends a histogram.
fn lines(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| format!("{line}\n"))
        .chain(["\n".to_owned()])
        .collect()
}

#[test]
fn hist() {
    let words = [-5, 0, 1, 2, 3, 1000, 1024, 1_500_000].map(|n| (hist_index(n, 0), 1));
    let got = shown("hist", &[0], &words);
    let want = lines(&[
        "@h:",
        "(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[0]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[2, 4)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
        "[4, 8)                 0 |                                                    |",
        "[8, 16)                0 |                                                    |",
        "[16, 32)               0 |                                                    |",
        "[32, 64)               0 |                                                    |",
        "[64, 128)              0 |                                                    |",
        "[128, 256)             0 |                                                    |",
        "[256, 512)             0 |                                                    |",
        "[512, 1K)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[1K, 2K)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[2K, 4K)               0 |                                                    |",
        "[4K, 8K)               0 |                                                    |",
        "[8K, 16K)              0 |                                                    |",
        "[16K, 32K)             0 |                                                    |",
        "[32K, 64K)             0 |                                                    |",
        "[64K, 128K)            0 |                                                    |",
        "[128K, 256K)           0 |                                                    |",
        "[256K, 512K)           0 |                                                    |",
        "[512K, 1M)             0 |                                                    |",
        "[1M, 2M)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
    ]);
    assert_eq!(got, want);
}

#[test]
fn hist_of_finer_buckets() {
    let words = [10, 11, 100].map(|n| (hist_index(n, 2), 1));
    let got = shown("hist", &[2], &words);
    let want = lines(&[
        "@h:",
        "[10, 12)               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
        "[12, 14)               0 |                                                    |",
        "[14, 16)               0 |                                                    |",
        "[16, 20)               0 |                                                    |",
        "[20, 24)               0 |                                                    |",
        "[24, 28)               0 |                                                    |",
        "[28, 32)               0 |                                                    |",
        "[32, 40)               0 |                                                    |",
        "[40, 48)               0 |                                                    |",
        "[48, 56)               0 |                                                    |",
        "[56, 64)               0 |                                                    |",
        "[64, 80)               0 |                                                    |",
        "[80, 96)               0 |                                                    |",
        "[96, 112)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
    ]);
    assert_eq!(got, want);
}

#[test]
fn lhist() {
    // Bucket 0 is below, the last above.
    let got = shown("lhist", &[0, 100, 10], &[(0, 1), (1, 1), (6, 1), (6, 1), (11, 1)]);
    let want = lines(&[
        "@h:",
        "(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[0, 10)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
        "[10, 20)               0 |                                                    |",
        "[20, 30)               0 |                                                    |",
        "[30, 40)               0 |                                                    |",
        "[40, 50)               0 |                                                    |",
        "[50, 60)               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
        "[60, 70)               0 |                                                    |",
        "[70, 80)               0 |                                                    |",
        "[80, 90)               0 |                                                    |",
        "[90, 100)              0 |                                                    |",
        "[100, ...)             1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |",
    ]);
    assert_eq!(got, want);
}

#[test]
fn lhist_with_suffixes() {
    let got = shown("lhist", &[0, 10_240, 1024], &[(5, 1), (1, 1)]);
    let want = lines(&[
        "@h:",
        "[0, 1K)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
        "[1K, 2K)               0 |                                                    |",
        "[2K, 3K)               0 |                                                    |",
        "[3K, 4K)               0 |                                                    |",
        "[4K, 5K)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|",
    ]);
    assert_eq!(got, want);
}

#[test]
fn lhist_scales_by_what_divides() {
    let got = shown("lhist", &[0, 4 << 20, 1 << 15], &[(33, 1)]);
    assert!(got.contains("\n[1M, 1056K)  "), "{got}");
}

#[test]
fn statistics() {
    let signed = |n: i64| n as u64;
    assert_eq!(shown("avg", &[], &[(0, 2), (1, 7)]), "@h: 3\n");
    assert_eq!(shown("sum", &[], &[(0, 3), (0, 4)]), "@h: 7\n");
    assert_eq!(
        shown("stats", &[], &[(0, 2), (1, 10)]),
        "@h: { .count = 2, .average = 5, .total = 10 }\n"
    );
    assert_eq!(
        shown("stats", &[], &[(0, 1), (1, signed(-1))]),
        "@h: { .count = 1, .average = -1, .total = -1 }\n"
    );
    assert_eq!(shown("count", &[], &[(0, 1), (0, 2)]), "@h: 3\n");
}

/// Every bucket at its bounds, and that the extremes of 64 bits have one.
#[test]
fn hist_bounds_hold_what_is_counted_in_them() {
    for k in 0..=5 {
        for n in [0, 1, 31, 32, 33, 1023, 1024, 1 << 40, (1 << 62) + 1, i64::MAX] {
            let got = shown("hist", &[i64::from(k)], &[(hist_index(n, k), 123_456_789_012)]);
            let row = got.lines().nth(1).expect("a bucket");
            assert!(row.contains("123456789012 |@@"), "{row}");
        }
        assert!(shown("hist", &[i64::from(k)], &[(hist_index(i64::MIN, k), 1)]).contains("(..., 0)  "));
    }
    assert!(shown("hist", &[0], &[(hist_index(i64::MAX, 0), 1)]).contains("\n[4E, 8E)  "));
}
