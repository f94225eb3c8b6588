//! What bpftrace 0.26 prints for the same contents, byte for byte.

use super::*;
use crate::show::arrange;
use crumbs_compiler::aggregation::{Bucket, Suffix};
use crumbs_compiler::view::{MapView, Measure};

mod samples;

fn text(show: impl Fn(&mut TextOutput<&mut Vec<u8>, &mut Vec<u8>>) -> io::Result<()>) -> String {
    let (mut results, mut diagnostics) = (Vec::new(), Vec::new());
    show(&mut TextOutput::new(&mut results, &mut diagnostics, false)).expect("a vector takes everything");
    diagnostics.append(&mut results);
    String::from_utf8(diagnostics).expect("tests print UTF-8")
}

fn map(name: &str, entries: Vec<Entry>) -> String {
    arranged(name, entries, 0, 0)
}

fn arranged(name: &str, mut entries: Vec<Entry>, top: u32, div: u32) -> String {
    let view = MapView {
        top,
        div,
        ..MapView::default()
    };
    arrange(&mut entries, &view);
    text(|output| output.map(name, &entries, &Measure::default()))
}

fn entry(key: impl Into<Option<Value>>, value: Content) -> Entry {
    Entry {
        key: key.into(),
        value,
    }
}

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn string(text: &str) -> Value {
    Value::Str(text.into())
}

fn number(value: i128) -> Content {
    Content::Number(value)
}

#[test]
fn scalars_and_keyed_maps() {
    let value = |key: Option<Value>, value| entry(key, Content::Value(value));
    assert_eq!(map("@a", vec![value(None, int(5))]), "@a: 5\n");
    let b = [(1, 10), (2, 3), (3, 7)].map(|(key, v)| value(Some(int(key)), int(v)));
    assert_eq!(map("@b", b.into()), "@b[2]: 3\n@b[3]: 7\n@b[1]: 10\n");
    let inner = Value::Tuple(vec![int(1), int(2)]);
    let e = value(
        Some(Value::Tuple(vec![inner, string("k")])),
        Value::Tuple(vec![int(1), string("v")]),
    );
    assert_eq!(map("@e", vec![e]), "@e[(1, 2), k]: (1, v)\n");
    assert_eq!(
        map("@s", vec![value(Some(string("x")), string("hello"))]),
        "@s[x]: hello\n"
    );
    assert_eq!(
        map("@s", vec![value(Some(string("(x)")), string(""))]),
        "@s[(x)]: \n"
    );
    assert_eq!(
        map("@b", vec![value(Some(Value::Bool(true)), Value::Bool(false))]),
        "@b[true]: false\n"
    );
    assert_eq!(
        map("@p", vec![value(None, Value::Pointer(0x1000))]),
        "@p: 0x1000\n"
    );
    assert_eq!(map("@", vec![value(None, int(-1))]), "@: -1\n");
}

#[test]
fn order_is_by_value_then_key_for_numbers_else_by_key() {
    let pair = |n, s: &str| Value::Tuple(vec![int(n), string(s)]);
    let x = vec![
        entry(pair(1, "b"), number(2)),
        entry(pair(0, "z"), number(5)),
        entry(pair(1, "a"), number(2)),
        entry(pair(9, "a"), number(-2)),
    ];
    assert_eq!(
        map("@x", x),
        "@x[9, a]: -2\n@x[1, a]: 2\n@x[1, b]: 2\n@x[0, z]: 5\n"
    );
    let y = [("b", "1"), ("a", "2")].map(|(key, v)| entry(string(key), Content::Value(string(v))));
    assert_eq!(map("@y", y.into()), "@y[a]: 2\n@y[b]: 1\n");
    let wide = [u64::MAX, 1].map(|v| entry(int(v as i64), Content::Value(Value::UInt(v))));
    assert_eq!(map("@w", wide.into()), "@w[1]: 1\n@w[-1]: 18446744073709551615\n");
}

#[test]
fn top_and_div() {
    let x = || {
        [(1, 10), (2, 30), (3, 20)]
            .map(|(key, v)| entry(int(key), number(v)))
            .to_vec()
    };
    assert_eq!(arranged("@x", x(), 2, 0), "@x[3]: 20\n@x[2]: 30\n");
    assert_eq!(arranged("@x", x(), 2, 10), "@x[3]: 2\n@x[2]: 3\n");
    assert_eq!(arranged("@x", x(), 9, 1), "@x[1]: 10\n@x[3]: 20\n@x[2]: 30\n");
    assert_eq!(arranged("@n", vec![entry(None, number(-7))], 1, 2), "@n: -3\n");
    let least = entry(None, Content::Value(int(i64::MIN)));
    assert_eq!(arranged("@n", vec![least], 0, u32::MAX), "@n: -2147483648\n");
}

#[test]
fn averages_and_stats() {
    let stats = |count, average, total| Content::Stats {
        count,
        average,
        total,
    };
    assert_eq!(map("@avg", vec![entry(None, Content::Average(3))]), "@avg: 3\n");
    assert_eq!(
        map("@kst", vec![entry(string("a"), stats(1, -1, -1))]),
        "@kst[a]: { .count = 1, .average = -1, .total = -1 }\n"
    );
    assert_eq!(
        arranged("@st", vec![entry(None, stats(2, 5, 10))], 0, 5),
        "@st: { .count = 2, .average = 1, .total = 10 }\n"
    );
    let by_average = vec![entry(int(1), stats(1, 9, 9)), entry(int(2), stats(9, 1, 9))];
    assert!(map("@s", by_average).starts_with("@s[2]"));
}

fn histogram(buckets: &[(i128, i128, u64)]) -> Content {
    let buckets = buckets.iter().map(|&(min, max, count)| Bucket {
        min: Some(min),
        max: Some(max),
        count,
    });
    Content::Histogram {
        buckets: buckets.collect(),
        suffix: Some(Suffix::BucketWidth),
    }
}

#[test]
fn histograms_end_in_an_empty_line() {
    let bar = "@".repeat(52);
    let h = vec![
        entry(string("b"), histogram(&[(64, 127, 1), (128, 255, 1)])),
        entry(string("a"), histogram(&[(8, 15, 1)])),
    ];
    assert_eq!(
        map("@h", h),
        format!(
            "@h[a]:\n\
             [8, 16)                1 |{bar}|\n\
             \n\
             @h[b]:\n\
             [64, 128)              1 |{bar}|\n\
             [128, 256)             1 |{bar}|\n\
             \n"
        )
    );
    assert_eq!(map("@h", vec![entry(None, histogram(&[]))]), "@h:\n\n");
    let divided = arranged("@h", vec![entry(None, histogram(&[(0, 0, 9), (1, 1, 4)]))], 0, 4);
    assert_eq!(
        divided,
        format!(
            "@h:\n[0]                    2 |{bar}|\n[1]                    1 |{}{}|\n\n",
            "@".repeat(26),
            " ".repeat(26)
        )
    );
}

#[test]
fn values_and_messages() {
    let nested = Value::Tuple(vec![int(2), int(3)]);
    let tuple = Value::Tuple(vec![int(1), string("a"), nested]);
    assert_eq!(text(|output| output.value(&tuple)), "(1, a, (2, 3))\n");
    assert_eq!(
        text(|output| output.value(&Value::Bytes(b"a\x01\xffz".to_vec()))),
        "a\\x01\\xffz\n"
    );
    assert_eq!(text(|output| output.attached(1)), "Attached 1 probe\n");
    assert_eq!(text(|output| output.attached(0)), "Attached 0 probes\n");
    assert_eq!(text(|output| output.lost_events(3)), "Lost 3 events\n");
    assert_eq!(text(|output| output.warning("Look out.")), "WARNING: Look out.\n");
    assert_eq!(text(|output| output.end()), "\n\n");
}

#[test]
fn results_and_diagnostics_are_apart_and_bytes_are_kept() {
    let (mut results, mut diagnostics) = (Vec::new(), Vec::new());
    let mut output = TextOutput::new(&mut results, &mut diagnostics, true);
    output.attached(3).expect("a vector takes everything");
    output
        .value(&Value::Str(b"\xff\xfe".to_vec()))
        .expect("a vector takes everything");
    output.lost_events(1).expect("a vector takes everything");
    assert_eq!(results, b"\xff\xfe\n");
    assert_eq!(
        diagnostics, b"Lost 1 events\n",
        "quiet leaves out the probes, not the losses"
    );
}
