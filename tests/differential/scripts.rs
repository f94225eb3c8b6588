//! Scripts that were once compiled wrongly, each as small as it gets.

use crate::compare_with_vm;
use crate::generator::Case;

/// What was wrong, and the script.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "a member of 64 signed bits is not extended",
        "begin { print((pid == 1 ? (1, -2) : (3, 4)).1); }",
    ),
    (
        "text within a tracepoint's record is read by helper",
        "tracepoint:sched:sched_switch { @b[args.prev_comm] = count(); print(args.next_comm); }",
    ),
    (
        "the type of a map's values is known although its key is one of them",
        "begin { @d[@d[0]] = 1 + 0; @e[@e[0]] += 2; @f[@f[0]]++; }",
    ),
    (
        "parts of values and of memory",
        "uprobe:libc:write { $a = (uint8[8])arg1; $i = arg2 % 12; print(($a, $a[3], $a[$i], (uint64)$a, (int16[4])$a)); \
         $p = (uint16 *)arg0; print((*$p, $p[1], *($p + 1), $p == arg0, (bool)$p)); $p++; print(*$p); \
         $v = arg3; $q = &$v; print(*$q); $v = 7; print(*$q + $v++); print(*$q); $s = str(arg0); print(($s[0], $s[$i])); \
         @r[(x=arg1, y=$s)] = (z=$a, w=(1, ($i,))); $r = (a=arg1, b=(uint8)arg2); print($r == (a=arg2, b=(uint8)3)); }",
    ),
    (
        "the chunks of a histogram are one element",
        "uprobe:libc:write { print((len(@a), delete(@a, 7), len(@a))); @a[0] = hist(arg1); @a[0] = hist(1); \
         @a[7] = hist(arg3); print(len(@a)); } interval:s:1 { print(@a); zero(@a); print(len(@a)); }",
    ),
];

#[test]
fn once_wrong_scripts_agree() {
    for (what, script) in SCRIPTS {
        let case = Case {
            script: (*script).into(),
            // One event at each of the first places, with different contents.
            events: (0..4)
                .map(|i| {
                    vec![
                        i * 16_000,
                        30_000,
                        40_000 * (i % 2),
                        50_000,
                        9_999,
                        20_000,
                        40_000,
                    ]
                })
                .collect(),
        };
        if let Err(error) = compare_with_vm(&case) {
            panic!("{what}: {error}\n{script}");
        }
    }
}
