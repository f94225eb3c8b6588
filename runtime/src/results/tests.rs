//! Files that are read as they were written, and files that are no such thing.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crumbs_compiler::aggregation::{Bucket, Interval, by_name};
use crumbs_compiler::ctype::EnumType;
use crumbs_compiler::types::IntType;
use proptest::prelude::*;
use std::sync::Arc;

fn aggregation(name: &str, params: &[i64]) -> ValueType {
    ValueType::Aggregation(AggType {
        id: by_name(name).unwrap(),
        signed: true,
        params: params.to_vec(),
    })
}

fn map(key: Option<SavedType>, value: ValueType, entries: Vec<(Option<Datum>, Held)>) -> SavedMap {
    let merging = match value {
        ValueType::Aggregation(_) => Merging::Aggregate,
        ValueType::Plain(_) => Merging::Same,
    };
    SavedMap {
        key,
        value,
        merging,
        unit: Some("bytes".into()),
        entries: entries.into_iter().collect(),
    }
}

fn text(text: &[u8]) -> Datum {
    Datum::Text(text.to_vec())
}

/// A type of every kind, as a record, and a value of it that begins with a name.
fn record() -> (SavedType, impl Fn(&[u8]) -> Datum) {
    let signs = EnumType {
        name: "enum sign".into(),
        int: IntType::U32,
        variants: vec![("NEGATIVE".into(), -1), ("OTHER \"1\"".into(), 1)],
    };
    let record = SavedType::Record(vec![
        ("a".into(), SavedType::Text),
        ("b\n".into(), SavedType::Bytes(2)),
        ("c".into(), SavedType::Buffer(4)),
        ("d".into(), SavedType::Array(Box::new(SavedType::Bool), 2)),
        ("e".into(), SavedType::Enum(Arc::new(signs))),
        ("f".into(), SavedType::Address),
        ("g".into(), SavedType::Tuple(vec![SavedType::Int(IntType::I64)])),
    ]);
    let datum = |name: &[u8]| {
        Datum::List(vec![
            text(name),
            Datum::Bytes(vec![0, 255]),
            Datum::Bytes(vec![7]),
            Datum::List(vec![Datum::Bool(true), Datum::Bool(false)]),
            Datum::Int(1),
            Datum::Int(i128::from(u64::MAX)),
            Datum::List(vec![Datum::Int(i128::from(i64::MIN))]),
        ])
    };
    (record, datum)
}

/// Maps with values and states of every kind.
fn maps() -> BTreeMap<String, SavedMap> {
    let (record, datum) = record();
    let bins = |min, max| {
        Held::State(Saved::Buckets(vec![Bucket {
            min,
            max,
            count: u64::MAX,
        }]))
    };
    let fields = |fields| Held::State(Saved::Fields(fields));
    let intervals = vec![Interval {
        number: 1 << 60,
        value: -5,
        more: 9,
    }];
    let plain = ValueType::Plain(SavedType::Text);
    let maps = [
        (
            "",
            map(
                Some(record),
                plain.clone(),
                vec![
                    (Some(datum(b"x")), Held::Value(text(b"\xff\"\0\n"))),
                    (Some(datum(b"y")), Held::Conflict),
                ],
            ),
        ),
        (
            "hist",
            map(
                None,
                aggregation("hist", &[5]),
                vec![(None, bins(None, Some(-1)))],
            ),
        ),
        (
            "lhist",
            map(
                None,
                aggregation("lhist", &[0, 10, 5]),
                vec![(None, bins(Some(10), None))],
            ),
        ),
        (
            "sum",
            map(None, aggregation("sum", &[]), vec![(None, fields(vec![]))]),
        ),
        (
            "avg",
            map(
                None,
                aggregation("avg", &[]),
                vec![(None, fields(vec![("count", 3), ("sum", -4)]))],
            ),
        ),
        (
            "over_time",
            map(
                None,
                aggregation("tseries", &[1000, 5, 1]),
                vec![(None, Held::State(Saved::Intervals(intervals)))],
            ),
        ),
    ];
    maps.into_iter()
        .map(|(name, map)| (name.to_owned(), map))
        .collect()
}

/// Results with every kind of type, value and state.
fn sample() -> Results {
    Results {
        crumbs: "0.1.0".into(),
        script: Script {
            name: "a \"script\"".into(),
            text: "begin { }\n".into(),
            imports: vec!["macro m() { 1 }".into()],
            params: vec!["5".into()],
            named: vec![("deep".into(), None), ("size".into(), Some("4".into()))],
            config: vec![("max_strlen".into(), "64".into())],
        },
        runs: vec![Run {
            host: "node1".into(),
            pid: 77,
            start: u64::MAX - 1,
            end: u64::MAX,
            rank: Some("0".into()),
            job: None,
            launch: Some("prterun-1".into()),
        }],
        losses: [
            (Lost::named("map_full", Some("hist")).unwrap(), 3),
            (Lost::named("event", None).unwrap(), 1),
        ]
        .into(),
        maps: maps(),
    }
}

fn written(results: &Results) -> String {
    let mut file = Vec::new();
    results.write(&mut file).unwrap();
    String::from_utf8(file).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let file = written(&sample());
    assert_eq!(Results::read(file.as_bytes()), Ok(sample()));
}

/// A text of the file, what takes its place, and what is said then.
const CHANGES: &[(&str, &str, &str)] = &[
    ("crumbs-results", "other", "it holds no results of crumbs"),
    (
        "\"version\": 1",
        "\"version\": 2",
        "it is of version 2, and this crumbs reads 1",
    ),
    ("begin { }", "begin {  }", "its script was changed"),
    ("\"pid\": 77", "\"pid\": -1", "its `runs` is missing or wrong"),
    ("\"map_full\"", "\"event\"", "its `losses` is missing or wrong"),
    (
        "\"lhist\", \"signed\"",
        "\"what\", \"signed\"",
        "its map @lhist is wrong: its `aggregation`",
    ),
    ("[0, 10, 5]", "[0, 10]", "its map @lhist is wrong: its `params`"),
    (
        "[0, 10, 5]",
        "[0, 10, 0]",
        "its map @lhist is wrong: the step of lhist",
    ),
    (
        "[1000, 5, 1]",
        "[1000, 1000001, 1]",
        "its map @over_time is wrong: a series has",
    ),
    (
        "[1000, 5, 1]",
        "[1000, 5, 5]",
        "its map @over_time is wrong: its `params`",
    ),
    ("[10, null,", "[11, null,", "its map @lhist is wrong: element 1"),
    (
        "\"count\": 3, \"sum\"",
        "\"sum\"",
        "its map @avg is wrong: element 1",
    ),
    ("\"aggregate\"", "\"add\"", "its `merging`"),
    (
        "{\"buffer\": 4}",
        "{\"buffer\": 4000000}",
        "its map @ is wrong: its `key`",
    ),
    (
        "\"length\": 2",
        "\"length\": 4294967295",
        "its map @ is wrong: its `key`",
    ),
    ("\"00ff\"", "\"00f\"", "its map @ is wrong: element 1"),
    ("[true, false]", "[true]", "its map @ is wrong: element 1"),
    (
        "[\"y\", ",
        "[\"x\", ",
        "its map @ is wrong: element 2 has a key that is there already",
    ),
    (
        "{\"name\": \"sum\"",
        "{\"name\": \"hist\"",
        "it has the map @hist twice",
    ),
    (
        "\"conflict\": true",
        "\"conflict\": false",
        "its map @ is wrong: element 2",
    ),
];

#[test]
fn what_is_no_file_of_results_is_refused_with_the_reason() {
    let file = written(&sample());
    for (from, to, wanted) in CHANGES {
        assert!(file.contains(from), "{from} is not in {file}");
        let error = Results::read(file.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.contains(wanted), "{from} → {to}: {error}");
    }
    let deep = "[".repeat(1 << 20);
    assert!(
        Results::read(deep.as_bytes())
            .unwrap_err()
            .contains("recursion limit")
    );
    assert!(Results::read(b"").unwrap_err().contains("ends too early"));
    assert!(Results::read(b"{}").unwrap_err().contains("no results"));
    for end in (0..file.len() - 3).step_by(7) {
        assert!(
            Results::read(&file.as_bytes()[..end])
                .unwrap_err()
                .contains("ends too early"),
            "{end}"
        );
    }
}

#[test]
fn few_bytes_do_not_ask_for_much_work() {
    let mut results = sample();
    let entries = (0..300).map(|n| (Some(Datum::Int(n)), Held::State(Saved::Intervals(Vec::new()))));
    let series = map(
        Some(SavedType::Int(IntType::I64)),
        aggregation("tseries", &[1, 1_000_000, 0]),
        entries.collect(),
    );
    results.maps.insert("series".into(), series);
    let error = Results::read(written(&results).as_bytes()).unwrap_err();
    assert!(
        error.contains("300 states of 4000000 words are too many"),
        "{error}"
    );
}

/// Makes results such that they cannot be joined with what they were.
type Change = fn(&mut Results);

#[test]
fn what_does_not_belong_together_is_not_joined() {
    let other = |change: fn(&mut Results)| {
        let mut other = sample();
        other.runs[0].host = "node2".into();
        change(&mut other);
        let mut into = sample();
        let refusal = into.merge(other).map_err(|refusal| refusal.reason);
        if refusal.is_err() {
            assert_eq!(into, sample());
        }
        refusal
    };
    assert_eq!(other(|_| ()), Ok(()));
    assert_eq!(other(|o| o.script.name = "b".into()), Ok(()));
    let changes: [(Change, &str); 9] = [
        (
            |o| o.runs[0].host = "node1".into(),
            "both hold the run of process 77 on node1",
        ),
        (
            |o| o.crumbs = "0.2.0".into(),
            "different versions of crumbs, 0.1.0 and 0.2.0",
        ),
        (|o| o.script.text.push(' '), "different scripts (a \"script\", "),
        (|o| o.script.imports.clear(), "different scripts"),
        (|o| o.script.named.clear(), "different parameters"),
        (|o| o.script.config.clear(), "config variables"),
        (
            |o| o.maps.get_mut("hist").unwrap().value = aggregation("hist", &[4]),
            "@hist has different parameters",
        ),
        (
            |o| o.maps.get_mut("hist").unwrap().value = aggregation("sum", &[]),
            "@hist has different values",
        ),
        (
            |o| o.maps.get_mut("avg").unwrap().unit = None,
            "@avg has different units",
        ),
    ];
    for (change, wanted) in changes {
        let reason = other(change).unwrap_err();
        assert!(reason.contains(wanted), "{reason}");
    }
}

#[test]
fn losses_and_runs_are_added_up() {
    let mut other = sample();
    other.runs[0].host = "node0".into();
    let mut into = sample();
    into.merge(other).unwrap();
    assert_eq!(into.losses.values().copied().collect::<Vec<_>>(), [2, 6]);
    assert_eq!(
        into.runs.iter().map(|run| run.host.as_str()).collect::<Vec<_>>(),
        ["node0", "node1"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is read in spite of the damage can be joined with itself under another name.
    #[test]
    fn damaged_files_do_no_harm(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut file = written(&sample()).into_bytes();
        for (place, byte) in places {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(mut results) = Results::read(&file) {
            let mut other = results.clone();
            other.runs.iter_mut().for_each(|run| run.host.push('x'));
            let _ = results.merge(other);
            let _ = known(&results);
        }
    }
}
