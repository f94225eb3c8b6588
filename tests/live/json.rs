//! `-f json`: one object a line, in the form of bpftrace's.

use crate::support::{Crumbs, needs, no_tracing};

#[test]
fn every_kind_of_output_is_an_object_on_a_line() {
    needs!(no_tracing());
    let script = r#"begin {
        @s = 1; @k["a", 2] = 3; @c = count(); @h = hist(5); @l = lhist(5, 0, 10, 5); @st = stats(4); @t = (1, "x"); @e = sum(-3);
        @hk[1] = hist(0); @big = 18446744073709551615;
        printf("a %d \"q\"\n", 1); print(5); print("x"); print((1, "a", (2, 3))); print(@k); time("now\n"); print(true);
    }"#;
    let outcome = Crumbs::script(script).args(&["-f", "json"]).run();
    let expected = [
        r#"{"type": "attached_probes", "count": 1, "data": {"probes": 1}}"#,
        r#"{"type": "printf", "data": "a 1 \"q\"\n"}"#,
        r#"{"type": "value", "data": 5}"#,
        r#"{"type": "value", "data": "x"}"#,
        r#"{"type": "value", "data": [1,"a",[2,3]]}"#,
        r#"{"type": "map", "data": {"@k": {"a,2": 3}}}"#,
        r#"{"type": "time", "data": "now\n"}"#,
        r#"{"type": "value", "data": true}"#,
        r#"{"type": "map", "data": {"@big": "18446744073709551615"}}"#,
        r#"{"type": "map", "data": {"@c": 1}}"#,
        r#"{"type": "map", "data": {"@e": -3}}"#,
        r#"{"type": "hist", "data": {"@h": [{"min": 4, "max": 7, "count": 1}]}}"#,
        r#"{"type": "hist", "data": {"@hk": {"1": [{"min": 0, "max": 0, "count": 1}]}}}"#,
        r#"{"type": "map", "data": {"@k": {"a,2": 3}}}"#,
        r#"{"type": "hist", "data": {"@l": [{"min": 5, "max": 9, "count": 1}]}}"#,
        r#"{"type": "map", "data": {"@s": 1}}"#,
        r#"{"type": "stats", "data": {"@st": {"count": 1, "average": 4, "total": 4}}}"#,
        r#"{"type": "map", "data": {"@t": [1,"x"]}}"#,
    ];
    outcome.prints_lines(&expected);
}
