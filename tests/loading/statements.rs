//! Statements.

use crate::expressions::small;
use crate::generator::{Gen, KINDS, Kind};

/// What can be assigned to `@NAME` maps of its own, each used with one aggregation.
const AGGREGATIONS: [(&str, &str); 15] = [
    ("c", "count()"),
    ("sum", "sum(N)"),
    ("mn", "min(N)"),
    ("mx", "max(N)"),
    ("av", "avg(N)"),
    ("st", "stats(N)"),
    ("h", "hist(N)"),
    ("h2", "hist(N, 3)"),
    ("l", "lhist(N, 0, 100, 10)"),
    ("pc", "percentiles(N)"),
    ("sd", "stddev(N)"),
    ("h10", "hist10(N)"),
    ("hd", "hist_darshan(N)"),
    ("ts", "tseries(N, 1s, 10)"),
    ("hw", "hist(N, 1, 3)"),
];

impl Gen<'_> {
    /// A statement, `depth` blocks deep.
    pub fn statement(&mut self, depth: usize) -> String {
        let choices = if depth >= 3 { 22 } else { 34 };
        match self.tape.below(choices) {
            0 | 1 => {
                let kind = *self.tape.pick(&KINDS);
                format!("print({});\n", self.expr(kind, 3))
            }
            2..=4 => {
                let kind = *self.tape.pick(&KINDS);
                let value = self.expr(kind, 3);
                let form = self.tape.below(3);
                match (form, self.variable(kind)) {
                    (0, Some(var)) => format!("{var} = {value};\n"),
                    (1, _) => format!("let {} = {value};\n", self.declare(kind)),
                    _ => format!("{} = {value};\n", self.declare(kind)),
                }
            }
            5 => {
                let op = *self
                    .tape
                    .pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
                let value = self.expr(Kind::Number, 2);
                match self.variable(Kind::Number) {
                    Some(var) => format!("{var} {op}= {value};\n"),
                    None => format!("@n {op}= {value};\n"),
                }
            }
            6..=9 => self.assign_map(),
            10..=12 => self.aggregate(),
            13..=15 => self.printf(),
            16 | 17 => self.whole_map(),
            18 => self.effect(),
            19 => match self.variable(Kind::Number) {
                Some(var) => format!("change({var}, {});\n", self.expr(Kind::Number, 1)),
                None => "@n++;\n".into(),
            },
            20 => format!("told((uint32){});\n", self.expr(Kind::Number, 1)),
            21 => self.leave(),
            22..=25 => self.branch(depth),
            26..=30 => self.repeat(depth),
            31 => format!("{{\n{}}}\n", self.block(depth)),
            32 => {
                let condition = self.expr(Kind::Number, 2);
                format!("if comptime (sizeof(struct pair) > 8) {{ print({condition}); }}\n")
            }
            _ => self.many(),
        }
    }

    fn assign_map(&mut self) -> String {
        let key = match self.tape.chance(60) {
            true => small(&mut self.tape),
            false => self.expr(Kind::Number, 2),
        };
        match self.tape.below(11) {
            0 => format!("@n = {};\n", self.expr(Kind::Number, 3)),
            1 => format!("@k[{key}] = {};\n", self.expr(Kind::Number, 3)),
            2 => format!("@k[{key}] += {};\n", self.expr(Kind::Number, 2)),
            3 => format!(
                "@it[{key}, {}] = {};\n",
                self.expr(Kind::Text, 1),
                self.expr(Kind::Number, 2)
            ),
            4 => format!("@is[{}]++;\n", self.expr(Kind::Text, 2)),
            5 => format!("@s = {};\n", self.expr(Kind::Text, 3)),
            6 => format!("@sk[{key}] = {};\n", self.expr(Kind::Text, 3)),
            7 => format!("@t[{key}] = {};\n", self.expr(Kind::Pair, 3)),
            8 => format!("@p[tid] = {};\n", self.expr(Kind::Pointer, 2)),
            9 => {
                let shown = self.tape.below(8);
                format!("@v{shown}[{key}] = {};\n", self.expr(Kind::Shown, 2))
            }
            _ => {
                let shown = self.tape.below(8);
                format!("@w{shown}[{}] = {key};\n", self.expr(Kind::Shown, 2))
            }
        }
    }

    fn aggregate(&mut self) -> String {
        let (name, call) = *self.tape.pick(&AGGREGATIONS);
        let call = call.replacen('N', &self.expr(Kind::Number, 2), 1);
        match self.tape.below(4) {
            0 | 1 => format!("@{name} = {call};\n"),
            2 => format!("@{name}k[{}] = {call};\n", self.expr(Kind::Number, 2)),
            _ => {
                let key = (self.expr(Kind::Text, 1), self.expr(Kind::Shown, 1));
                format!("@{name}s[{}, {}] = {call};\n", key.0, key.1)
            }
        }
    }

    fn printf(&mut self) -> String {
        let mut format = String::new();
        let mut args = Vec::new();
        for _ in 0..self.tape.below(6) {
            let (conversion, kind) = *self.tape.pick(&[
                ("%d", Kind::Number),
                ("%s", Kind::Text),
                ("%-8lx|", Kind::Number),
                ("%s", Kind::Shown),
                ("%20.3s", Kind::Text),
                ("%c", Kind::Number),
                ("%p", Kind::Pointer),
                ("%s", Kind::Pair),
                ("%llu", Kind::Number),
            ]);
            format.push_str(conversion);
            args.push(format!(", {}", self.expr(kind, 2)));
        }
        let function = *self.tape.pick(&["printf", "printf", "printf", "errorf", "warnf"]);
        format!("{function}(\"{format}\\n\"{});\n", args.concat())
    }

    fn whole_map(&mut self) -> String {
        let maps = [
            "n", "k", "it", "is", "s", "sk", "t", "c", "ck", "h", "hk", "stk", "lk", "hs", "avs",
        ];
        let map = *self.tape.pick(&maps);
        match self.tape.below(9) {
            0 | 1 => format!("print(@{map});\n"),
            7 => "table(\"key\", @k, \"bytes\", @k, 3);\n".to_owned(),
            2 => format!("clear(@{map});\n"),
            3 => format!("zero(@{map});\n"),
            4 => format!("print(@{map}, 3, 2);\n"),
            5 => format!("print(@{map});\nclear(@{map});\n"),
            6 => format!("rate(@{map}, \"B\");\n"),
            _ => format!("delete(@k, {});\n", self.expr(Kind::Number, 1)),
        }
    }

    /// What has an effect beyond the script.
    fn effect(&mut self) -> String {
        let text = self.expr(Kind::Text, 1);
        match self.tape.below(10) {
            0 => "time(\"%H:%M:%S\\n\");\n".into(),
            1 => format!("system(\"echo %s\", {text});\n"),
            2 => format!("cat(\"/proc/%d/comm\", {});\n", self.expr(Kind::Number, 1)),
            3 => format!("join({});\n", self.expr(Kind::Pointer, 1)),
            4 => "signal(\"SIGCHLD\");\n".into(),
            5 => format!("exit({});\n", small(&mut self.tape)),
            6 => format!("assert({}, \"no\");\n", self.expr(Kind::Number, 1)),
            7 => format!("debugf(\"%s\\n\", {text});\n"),
            8 => "static_assert(sizeof(struct pair) > 8, \"small\");\nif (pid == 7) { fail(\"seven\"); }\n"
                .into(),
            // Not `write_user` and `override`, which kernels may be built without, or locked against.
            _ => "signal_thread(\"SIGCHLD\");\n".into(),
        }
    }

    /// Something that ends a loop or the program, under a condition.
    fn leave(&mut self) -> String {
        let condition = self.expr(Kind::Number, 1);
        let word = if self.loops == 0 {
            *self.tape.pick(&["return", "exit()", "return 1"])
        } else {
            *self
                .tape
                .pick(&["continue", "break", "break", "return", "exit()"])
        };
        format!("if ({condition}) {{ {word}; }}\n")
    }

    fn block(&mut self, depth: usize) -> String {
        let visible = self.vars.len();
        let statements = 1 + self.tape.below(3);
        let text: String = (0..statements).map(|_| self.statement(depth + 1)).collect();
        self.vars.truncate(visible);
        text
    }

    fn branch(&mut self, depth: usize) -> String {
        let condition = self.expr(Kind::Number, 2);
        let then = self.block(depth);
        match self.tape.below(4) {
            0 | 1 => format!("if ({condition}) {{\n{then}}}\n"),
            2 => format!("if ({condition}) {{\n{then}}} else {{\n{}}}\n", self.block(depth)),
            _ => {
                let second = self.expr(Kind::Number, 2);
                let (more, otherwise) = (self.block(depth), self.block(depth));
                format!("if {condition} {{\n{then}}} else if {second} {{\n{more}}} else {{\n{otherwise}}}\n")
            }
        }
    }

    fn repeat(&mut self, depth: usize) -> String {
        self.loops += 1;
        let visible = self.vars.len();
        let form = self.tape.below(7);
        let text = match form {
            0 | 1 => {
                let (from, to) = (self.expr(Kind::Number, 1), self.expr(Kind::Number, 1));
                let bounds = match form {
                    0 => format!("0..{}", 1 + self.tape.below(40)),
                    _ => format!("({from})..({to})"),
                };
                let var = self.declare(Kind::Number);
                format!("for {var} : {bounds} {{\n{}}}\n", self.block(depth))
            }
            2 => {
                let var = self.declare(Kind::Pair);
                let map = *self.tape.pick(&["sk", "is"]);
                format!("for ({var} : @{map}) {{\n{}}}\n", self.block(depth))
            }
            3 => {
                let var = self.declare(Kind::Shown);
                let map = *self
                    .tape
                    .pick(&["k", "it", "t", "ck", "sumk", "avs", "w0", "v1", "p"]);
                format!("for ({var} : @{map}) {{\n{}}}\n", self.block(depth))
            }
            4 => {
                let count = 1 + self.tape.below(6);
                format!("unroll({count}) {{\n{}}}\n", self.block(depth))
            }
            5 => {
                let var = self.declare(Kind::Number);
                let body = self.block(depth);
                format!("let {var} = 0;\nwhile ({var} < 20) {{\n{body}{var}++;\n}}\n")
            }
            _ => {
                let condition = self.expr(Kind::Number, 2);
                let body = self.block(depth);
                format!("while ({condition}) {{\n{body}if (rand > 5) {{ break; }}\n}}\n")
            }
        };
        self.loops -= 1;
        self.vars.truncate(visible);
        text
    }

    /// Many values at once: more than registers, and more than the stack, hold.
    fn many(&mut self) -> String {
        let count = 4 + self.tape.below(90);
        let value = self.expr(Kind::Number, 1);
        let values: Vec<String> = (0..count).map(|i| format!("{value} + {i}")).collect();
        match self.tape.below(3) {
            0 => format!("printf(\"{}\\n\", {});\n", "%d ".repeat(count), values.join(", ")),
            1 => format!("print(({}));\n", values.join(", ")),
            _ => {
                let mut text = String::new();
                for i in 0..count {
                    text.push_str(&format!("let $m{}_{i} = nsecs + {i};\n", self.named));
                }
                let sum: Vec<String> = (0..count).map(|i| format!("$m{}_{i}", self.named)).collect();
                self.named += 1;
                format!("{text}print({});\n", sum.join(" ^ "))
            }
        }
    }
}
