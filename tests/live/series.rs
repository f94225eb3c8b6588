//! Numbers over time.

use crate::support::{evaluate, needs, no_tracing};

/// An interval that no run crosses the end of before the year 2200: every event falls into one.
const AGES: &str = "8000000000s";

/// The number behind the only mark of a chart.
fn number(text: &str, map: &str) -> i64 {
    let (_, chart) = text
        .split_once(&format!("@{map}:\n"))
        .unwrap_or_else(|| panic!("no @{map} in {text}"));
    let line = chart.lines().find(|line| line.contains('*')).expect("a mark");
    let (_, number) = line.rsplit_once(' ').expect("a number behind the chart");
    number.parse().expect("a number")
}

#[test]
fn numbers_of_one_interval() {
    needs!(no_tracing());
    let series = |name: &str, by: &str| format!("@{name} = tseries($n, {AGES}, 3{by});");
    let updates: String = [
        ("last", ""),
        ("avg", ", \"avg\""),
        ("sum", ", \"sum\""),
        ("min", ", \"min\""),
        ("max", ", \"max\""),
    ]
    .map(|(name, by)| series(name, by))
    .concat();
    let script = format!(
        "begin {{ for ($i : 0..4) {{ $n = $i == 0 ? (int64)7 : $i * $i - 5; {updates} @k[$i % 2] = tseries($n, {AGES}, 9, \"sum\"); }} }}"
    );
    // 7, -4, -1, 4
    let outcome = evaluate(&script);
    let text = &outcome.stdout;
    let numbers = ["last", "avg", "sum", "min", "max", "k[0]", "k[1]"].map(|map| number(text, map));
    assert_eq!(numbers, [4, 1, 6, -4, 7, 6, 0], "{outcome:?}");
}

#[test]
fn every_event_is_in_one_interval() {
    needs!(no_tracing());
    let outcome = evaluate(
        "interval:ms:2 { @n++; @t = tseries((uint64)1, 10ms, 200, \"sum\"); @k[1] = tseries((uint64)1, 10ms, 200, \"sum\"); \
         if (@n >= 100) { exit(); } }",
    );
    for map in ["t", "k[1]"] {
        let (_, chart) = outcome
            .stdout
            .split_once(&format!("@{map}:\n"))
            .unwrap_or_else(|| panic!("no @{map} in {outcome:?}"));
        let (chart, _) = chart.split_once(" v___").expect("the lower edge");
        let numbers: Vec<u64> = chart
            .lines()
            .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
            .skip(1)
            .collect();
        assert!(numbers.len() >= 10, "{outcome:?}");
        assert_eq!(numbers.iter().sum::<u64>(), 100, "{outcome:?}");
    }
}

/// The numbers behind a chart, line by line; `-` where there is none.
fn numbers(text: &str, map: &str) -> Vec<String> {
    let (_, chart) = text
        .split_once(&format!("@{map}:\n"))
        .unwrap_or_else(|| panic!("no @{map} in {text}"));
    let (chart, _) = chart.split_once(" v___").expect("the lower edge");
    // The scale and the upper edge come first, and the lower edge begins behind the last number.
    let (chart, _) = chart.rsplit_once('\n').expect("lines of numbers");
    let lines = chart.lines().skip(2);
    let behind = lines.filter_map(|line| line.rsplit_once(' '));
    behind.map(|(_, number)| number.to_owned()).collect()
}

#[test]
fn a_map_is_the_clock() {
    needs!(no_tracing());
    let outcome = evaluate(
        "config = { dummy_ts_map = \"@clock\" } begin { @clock = 10s; \
         for ($i : 0..6) { @last = tseries($i * $i, 1s, 4); @sum = tseries($i, 2s, 4, \"sum\"); @clock += 1s; } \
         @clock += 2s; @gap = tseries(1, 1s, 4); @clock += 2s; @gap = tseries(2, 1s, 4); \
         @clock = 0; @first = tseries(7, 1s, 4); @clock += 1s; @first = tseries(8, 1s, 4); }",
    );
    let text = &outcome.stdout;
    assert_eq!(numbers(text, "last"), ["4", "9", "16", "25"], "{outcome:?}");
    assert_eq!(numbers(text, "sum"), ["1", "5", "9"], "{outcome:?}");
    assert_eq!(numbers(text, "gap"), ["1", "-", "2"], "{outcome:?}");
    // At time 0 nothing has happened yet.
    assert_eq!(numbers(text, "first"), ["0", "8"], "{outcome:?}");
}
