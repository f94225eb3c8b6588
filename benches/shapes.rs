//! Long scripts of several shapes, for figures and tests of how compiling grows with their length.

/// A kind of long script.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What it consists of.
    pub name: &'static str,
    /// How long it is measured: 5,000 statements or 1,000 probes.
    pub most: usize,
    /// The script with so many of them.
    pub script: fn(usize) -> String,
}

/// Scripts of each kind.
pub const SHAPES: [Shape; 6] = [
    Shape {
        name: "statements of all kinds in one probe",
        most: 5000,
        script: mixed,
    },
    Shape {
        name: "assignments in one probe",
        most: 5000,
        script: |n| one_probe(n, |i| format!("$x = nsecs - $x; @a{} = $x + {i};", i % 50)),
    },
    Shape {
        name: "printf in one probe",
        most: 5000,
        script: |n| one_probe(n, |i| format!("printf(\"%d %s\\n\", {i}, comm);")),
    },
    Shape {
        name: "branches in one probe",
        most: 5000,
        script: |n| one_probe(n, |i| format!("if ($x == {i}) {{ @a = {i}; }}")),
    },
    Shape {
        name: "keyed counts in one probe",
        most: 5000,
        script: |n| one_probe(n, |i| format!("@m[{i}] = count();")),
    },
    Shape {
        name: "probes of five statements",
        most: 1000,
        script: |n| {
            let probe = |i| {
                let statements: String = (0..5).map(|k| statement(i * 5 + k)).collect();
                format!("kprobe:vfs_read {{ $x = (uint64)0;\n{statements}}}\n")
            };
            (0..n).map(probe).collect()
        },
    },
];

fn one_probe(n: usize, statement: fn(usize) -> String) -> String {
    let statements: String = (0..n).map(|i| statement(i) + "\n").collect();
    format!("kprobe:vfs_read {{ $x = (uint64)0;\n{statements}}}\n")
}

fn mixed(n: usize) -> String {
    one_probe(n, statement)
}

/// One of ten statements, about as often as people write them.
fn statement(i: usize) -> String {
    let map = i / 10 % 20;
    match i % 10 {
        0 => format!("$x = nsecs - {i};\n"),
        1 => format!("@count{map} = count();\n"),
        2 => format!("if ($x > {i}) {{ @sum{map} = sum($x); }}\n"),
        3 => format!("@start{map}[tid] = $x;\n"),
        4 => format!("printf(\"%d %s\\n\", {i}, comm);\n"),
        5 => "$x = $x * 3 + (uint64)pid;\n".to_owned(),
        6 => format!("@last{map} = @start{map}[tid] + {i};\n"),
        7 => format!("if (pid == {i} && $x != 0) {{ @hist{map} = hist($x); }} else {{ $x = 0; }}\n"),
        8 => format!("delete(@start{map}, tid);\n"),
        _ => format!("@by{map}[comm] = count();\n"),
    }
}
