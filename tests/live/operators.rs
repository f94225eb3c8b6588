//! Operators, assignments, variables and control flow, run by the kernel on values that no compiler can know.

use crate::support::{evaluate, needs, no_tracing, trace};

/// Prints `expressions` of `arg0` and `arg1`, here `a` and `b`, for one call.
fn compute(a: i64, b: i64, expressions: &[(&str, i64)]) {
    let format = vec!["%lld"; expressions.len()].join(" ");
    let texts: Vec<&str> = expressions.iter().map(|(text, _)| *text).collect();
    let script = format!(
        "uprobe:PROGRAM:pair {{ $a = (int64)arg0; $b = (int64)arg1; printf(\"{format}\\n\", {}); }}",
        texts.join(", ")
    );
    let expected: Vec<String> = expressions.iter().map(|(_, value)| value.to_string()).collect();
    trace(&script, &format!("pair {a} {b}")).prints(&format!("{}\n\n\n", expected.join(" ")));
}

#[test]
fn arithmetic() {
    needs!(no_tracing());
    let all = [
        ("$a + $b", 24),
        ("$a - $b", 10),
        ("$b - $a", -10),
        ("$a * $b", 119),
        ("$a / $b", 2),
        ("$a % $b", 3),
        ("-$a", -17),
        ("$a + $b * 2 - 1", 30),
        ("($a + $b) * 2", 48),
    ];
    compute(17, 7, &all);
}

#[test]
fn division_of_negative_numbers_truncates() {
    needs!(no_tracing());
    compute(
        -17,
        5,
        &[
            ("$a / $b", -3),
            ("$a % $b", -2),
            ("$a / -$b", 3),
            ("$a % -$b", -2),
            ("17 / -$b", -3),
        ],
    );
}

#[test]
fn division_by_zero_gives_one() {
    needs!(no_tracing());
    let outcome = trace(
        "uprobe:PROGRAM:pair { $a = (int64)arg0; $b = (int64)arg1;
            printf(\"%d %d %d %d\\n\", $a / $b, $a % $b, (uint64)$a / (uint64)$b, (uint64)$a % (uint64)$b); }",
        "pair 17 0",
    );
    assert_eq!(outcome.stdout, "1 1 1 1\n\n\n", "{outcome:?}");
    assert!(
        outcome.stderr.contains("WARNING: 4 divisions by 0;"),
        "{outcome:?}"
    );
}

#[test]
fn the_extreme_numbers() {
    needs!(no_tracing());
    compute(
        i64::MIN,
        -1,
        &[
            ("$a / $b", i64::MIN),
            ("$a % $b", 0),
            ("$a * $b", i64::MIN),
            ("$a + $b", i64::MAX),
            ("$a < $b", 1),
            ("(uint64)$a < (uint64)$b", 1),
            ("(uint64)$b > 5", 1),
            ("$b > 5", 0),
        ],
    );
}

#[test]
fn bits() {
    needs!(no_tracing());
    compute(
        0b1100,
        0b1010,
        &[
            ("$a & $b", 0b1000),
            ("$a | $b", 0b1110),
            ("$a ^ $b", 0b0110),
            ("~$a", -13),
            ("$a << 3", 96),
            ("$a >> 2", 3),
            ("-$a >> 2", -3),
            ("1 << $b", 1024),
            ("$a & 4 | 1 ^ 3", 6),
        ],
    );
}

#[test]
fn comparisons_and_logic() {
    needs!(no_tracing());
    compute(
        -3,
        3,
        &[
            ("$a == $b", 0),
            ("$a != $b", 1),
            ("$a < $b", 1),
            ("$a <= -3", 1),
            ("$a > $b", 0),
            ("$b >= 3", 1),
            ("!$a", 0),
            ("!($a + $b)", 1),
            ("$a && $b", 1),
            ("$a && 0", 0),
            ("0 || $b", 1),
            ("$a + $b || 0", 0),
            ("$a < 0 ? 10 : 20", 10),
            ("$b < 0 ? 10 : 20", 20),
            ("$a < 0 ? $b < 0 ? 1 : 2 : 3", 2),
        ],
    );
}

#[test]
fn right_sides_are_evaluated_only_where_needed() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { $x = arg0 == 1 && ++@and; $y = arg0 == 1 || ++@or; $z = arg0 == 1 ? ++@yes : ++@no; }",
        "value 1; value 2; value 3",
    )
    .maps("@and: 1\n@no: 2\n@or: 2\n@yes: 1\n");
}

#[test]
fn casts_cut_and_extend() {
    needs!(no_tracing());
    compute(
        0x1_ffff_fffe,
        300,
        &[
            ("(uint32)$a", 0xffff_fffe),
            ("(int32)$a", -2),
            ("(uint8)$b", 44),
            ("(int8)$b", 44),
            ("(int8)200", -56),
            ("(uint16)-1", 65535),
            ("(int64)(uint8)-1", 255),
        ],
    );
}

#[test]
fn every_assignment() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair {
            $v = arg0; $v += arg1; @add = $v; $v -= 1; @sub = $v; $v *= 3; @mul = $v; $v /= 2; @div = $v; $v %= 10; @mod = $v;
            $w = (uint64)arg0; $w <<= 4; @shl = $w; $w >>= 2; @shr = $w; $w |= 3; @or = $w; $w &= 6; @and = $w; $w ^= 5; @xor = $w;
         }",
        "pair 10 5",
    )
    .maps(
        "@add: 15\n@and: 2\n@div: 21\n@mod: 1\n@mul: 42\n@or: 43\n@shl: 160\n@shr: 40\n@sub: 14\n@xor: 7\n",
    );
}

#[test]
fn every_assignment_to_a_map() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair {
            @k[1] = arg0; @k[1] += arg1; @k[2] = arg0; @k[2] -= arg1; @k[3] = arg0; @k[3] *= arg1; @k[4] = arg0; @k[4] /= arg1;
            @k[5] = arg0; @k[5] %= arg1; @k[6] = arg0; @k[6] <<= arg1; @k[7] = arg0; @k[7] >>= 1; @k[8] = arg0; @k[8] |= 1;
            @k[9] = arg0; @k[9] &= 2; @k[10] = arg0; @k[10] ^= 15; @s = arg0; @s += 1; @s -= 3; @s *= 2;
         }",
        "pair 10 4",
    )
    .maps(
        "@k[4]: 2\n@k[5]: 2\n@k[9]: 2\n@k[7]: 5\n@k[10]: 5\n@k[2]: 6\n@k[8]: 11\n@k[1]: 14\n@k[3]: 40\n@k[6]: 160\n@s: 16\n",
    );
}

#[test]
fn increments_give_the_old_or_the_new_value() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { $v = arg0; printf(\"%d %d %d %d %d \", $v++, $v, ++$v, $v--, --$v);
            printf(\"%d %d %d %d \", @m++, ++@m, @m--, --@m); printf(\"%d %d %d\\n\", @k[1]++, ++@k[1], @k[2]--); }",
        "value 5",
    )
    .prints("5 6 7 7 5 0 2 2 0 0 2 0\n\n\n@k[2]: -1\n@k[1]: 2\n@m: 0\n");
}

#[test]
fn if_else_and_return() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value {
            if (arg0 < 3) { @small++; } else if (arg0 < 6) { @middle++; if (arg0 == 4) { return; } } else { @large++; }
            if arg0 == 5 { @five++ }
            @through++;
         }",
        "range 0 10",
    )
    .maps("@five: 1\n@large: 4\n@middle: 3\n@small: 3\n@through: 9\n");
}

#[test]
fn variables_live_in_their_block() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value { let $sum = 0; let $late; if (arg0 > 1) { let $inner = arg0 * 2; $sum += $inner; $late = 7; } @[arg0] = $sum + $late; }",
        "range 0 4",
    )
    .maps("@[0]: 0\n@[1]: 0\n@[2]: 11\n@[3]: 13\n");
}

#[test]
fn predicates_select_calls() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:value /arg0 % 3 == 0/ { @third = count(); }",
        "range 0 10",
    )
    .maps("@third: 4\n");
    // The first `/` that a body follows ends the predicate.
    trace(
        "uprobe:PROGRAM:value /arg0 / 4 == 1/ < @[arg0] = count() >",
        "range 0 10",
    )
    .maps("@[4]: 1\n@[5]: 1\n@[6]: 1\n@[7]: 1\n");
}

#[test]
fn both_body_forms_mean_the_same() {
    needs!(no_tracing());
    let expected = "@a: 4\n@b: 3\n";
    for script in [
        "uprobe:PROGRAM:value { @a = count(); if (arg0 > 0) { @b = count(); } }",
        "uprobe:PROGRAM:value < @a = count(); if (arg0 > 0) { @b = count(); } >",
        "uprobe:PROGRAM:value < @a = count(); if ((arg0 > 0)) { @b = count() } >",
    ] {
        trace(script, "range 0 4").maps(expected);
    }
}

#[test]
fn literals_of_every_form() {
    needs!(no_tracing());
    evaluate(
        "begin { printf(\"%lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %llu\\n\", 0x1F, 017, 1e6, 1_000_000, 5ns, 5us,
            5ms, 5s, 5m, 5h, 1d, 18446744073709551615); print((true, false, \"a\\tb\\x41\\101\\\"\")); }",
    )
    .prints(
        "31 15 1000000 1000000 5 5000 5000000 5000000000 300000000000 18000000000000 86400000000000 18446744073709551615\n\
         (true, false, a\tbAA\")\n\n\n",
    );
}

#[test]
fn strings_compare_by_content() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:text { $s = str(arg0); if ($s == \"hello\") { @equal++; } if ($s != \"hello\") { @different++; }
            if ($s == \"\") { @empty++; } @last = $s; if (@last == \"hello!\") { @longer++; } }",
        "text hello; text hell; text hello!; text; text hello",
    )
    .maps("@different: 3\n@empty: 1\n@equal: 2\n@last: hello\n@longer: 1\n");
}

#[test]
fn tuples_are_keys_and_values() {
    needs!(no_tracing());
    trace(
        "uprobe:PROGRAM:pair { $t = (arg0, \"x\", (arg1, true)); @v = $t; @[$t] = count(); @first = $t.0; @deep = $t.2.0;
            @same = $t == (arg0, \"x\", (arg1, true)); @k[(arg0, arg1)] = 1; @k[arg0, arg1] += 1; }",
        "pair 3 -4; pair 3 -4; pair 5 6",
    )
    .maps(
        "@[5, x, (6, true)]: 1\n@[3, x, (-4, true)]: 2\n@deep: 6\n@first: 5\n@k[3, -4]: 2\n@k[5, 6]: 2\n@same: true\n@v: (5, x, (6, true))\n",
    );
}
