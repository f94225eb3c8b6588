//! Expressions.

use crate::generator::{Gen, Kind};
use crate::tape::Tape;

const LITERALS: [&str; 18] = [
    "0",
    "1",
    "7",
    "255",
    "0x7f",
    "1e3",
    "65536",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "5ms",
    "-1",
    "-129",
    "true",
    "GREEN",
    "LIMIT",
    "$1",
];

/// Numbers that need nothing.
const NUMBERS: [&str; 50] = [
    "pid",
    "tid",
    "uid",
    "gid",
    "cpu",
    "nsecs",
    "elapsed",
    "ncpus",
    "numaid",
    "rand",
    "jiffies",
    "cgroup",
    "nsecs(boot)",
    "nsecs(monotonic)",
    "pid(init)",
    "tid(curr_ns)",
    "sizeof(struct pair)",
    "sizeof(uint32)",
    "offsetof(struct pair, in)",
    "has_key(@k, 3)",
    "{ let $hk = 3; __has_key(&@k, &$hk) }",
    "entered(\"libc:tmpfile\")",
    "has_key(@it, (1, \"a\"))",
    "delete(@k, 4)",
    "len(@k)",
    "len(@is)",
    "@n",
    "@n++",
    "--@n",
    "(int64)@c",
    "@sum",
    "@mn",
    "curtask.pid",
    "curtask.real_parent.tgid",
    "((struct task_struct *)curtask)->flags",
    "usermode",
    "cpid",
    "pton(\"127.0.0.1\")[0]",
    "bswap((uint32)7)",
    "is_err(0)",
    "$#",
    "getopt(\"depth\", 9)",
    "has_cpid",
    "cgroupid(\"/sys/fs/cgroup\")",
    "is_scalar(@n)",
    "kfunc_exist(\"bpf_task_acquire\")",
    "kfunc_allowed(\"bpf_task_acquire\")",
    "kaddr(\"vfs_read\")",
    "strcap(comm)",
    "nsecs(tai)",
];

const TEXTS: [&str; 16] = [
    "\"\"",
    "\"a\"",
    "\"key\"",
    "comm",
    "\"tab\\t quote\\\" \\x41\"",
    "\"a somewhat longer text that does not fit a register\"",
    "str($2)",
    "@s",
    "probetype",
    "comm(1)",
    "pcomm",
    "strftime(\"%H:%M\", nsecs)",
    "username",
    "signal_name(9)",
    "strerror(2)",
    "syscall_name(1)",
];

/// What is only shown or kept.
const SHOWN: [&str; 26] = [
    "kstack",
    "ustack",
    "kstack(3)",
    "ustack(perf, 5)",
    "kstack(raw)",
    "ksym(nsecs)",
    "usym(nsecs)",
    "ntop(0x0100007f)",
    "ntop(2, 1)",
    "pton(\"::1\")",
    "macaddr(comm)",
    "buf(\"hello\", 5)",
    "buf(\"hello\", pid & 3)",
    "cgroup_path(cgroup)",
    "(1, 2, (3, comm))",
    "(a=1, b=comm, c=(x=pid, y=true))",
    "RED",
    "(enum color)5",
    "(uint8[8])nsecs",
    "(1, kstack)",
    "username",
    "strftime(\"%S\", nsecs)",
    "(int32[2])7",
    "true",
    "syscall_name(pid)",
    "strerror(pid)",
];

const TYPES: [&str; 9] = [
    "uint8", "int8", "int32", "uint64", "int64", "uint16", "int16", "uint32", "bool",
];

impl Gen<'_> {
    /// An expression.
    pub fn expr(&mut self, kind: Kind, depth: usize) -> String {
        if depth > 0 && self.tape.chance(12) {
            return self.composed(kind, depth - 1);
        }
        match kind {
            Kind::Number => self.number(depth),
            Kind::Text => self.text(depth),
            Kind::Pair => self.pair(depth),
            Kind::Pointer => self.pointer(depth),
            Kind::Shown => self.shown(depth),
        }
    }

    /// What every kind of expression can be made of.
    fn composed(&mut self, kind: Kind, depth: usize) -> String {
        match self.tape.below(5) {
            0 => {
                let condition = self.expr(Kind::Number, depth);
                let (a, b) = (self.expr(kind, depth), self.expr(kind, depth));
                format!("({condition} ? {a} : {b})")
            }
            1 => {
                let condition = self.expr(Kind::Number, depth);
                let (a, b) = (self.expr(kind, depth), self.expr(kind, depth));
                format!("(if ({condition}) {{ {a} }} else {{ {b} }})")
            }
            2 => {
                let value = self.expr(kind, depth);
                format!("{{ let $w{} = {value}; $w{} }}", self.named, self.named)
            }
            3 => {
                let first = self.statement(2);
                let value = self.expr(kind, depth);
                format!("{{ {first} {value} }}")
            }
            _ => {
                let (a, b) = (self.expr(kind, depth), self.expr(Kind::Number, depth));
                format!("({a}, {b}).0")
            }
        }
    }

    fn number(&mut self, depth: usize) -> String {
        let simple = depth == 0;
        let less = depth.saturating_sub(1);
        match self.tape.below(if simple { 6 } else { 24 }) {
            0 => (*self.tape.pick(&LITERALS)).into(),
            1 => self.variable(Kind::Number).unwrap_or_else(|| "3".into()),
            2 | 3 => (*self.tape.pick(&NUMBERS)).into(),
            4 if !self.ints.is_empty() => (*self.tape.pick(self.ints)).into(),
            4 | 5 => self.variable(Kind::Number).unwrap_or_else(|| "pid".into()),
            6..=10 => {
                let operators = [
                    "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "&&", "||", "==", "!=", "<", ">=",
                ];
                let op = *self.tape.pick(&operators);
                let (a, b) = (self.expr(Kind::Number, less), self.expr(Kind::Number, less));
                format!("({a} {op} {b})")
            }
            11 => {
                let op = *self.tape.pick(&["-", "~", "!"]);
                format!("{op}({})", self.expr(Kind::Number, less))
            }
            12 | 13 => {
                let ty = *self.tape.pick(&TYPES);
                format!("({ty})({})", self.expr(Kind::Number, less))
            }
            14 => {
                let op = *self.tape.pick(&["==", "!="]);
                let (a, b) = (self.expr(Kind::Text, less), self.expr(Kind::Text, less));
                format!("({a} {op} {b})")
            }
            15 => format!("@k[{}]", self.expr(Kind::Number, less)),
            16 => {
                let (a, b) = (self.expr(Kind::Number, less), self.expr(Kind::Text, less));
                format!("@it[{a}, {b}]")
            }
            17 => format!("({}).0", self.expr(Kind::Pair, less)),
            18 | 19 => self.field(less),
            20 => self.call(less),
            21 => match self.variable(Kind::Number) {
                Some(var) => format!("{}{var}", self.tape.pick(&["++", "--"])),
                None => "4".into(),
            },
            22 => format!(
                "({})[{}]",
                self.expr(Kind::Text, less),
                self.expr(Kind::Number, less)
            ),
            _ => {
                let (a, b) = (self.expr(Kind::Pair, less), self.expr(Kind::Pair, less));
                format!("({a} == {b})")
            }
        }
    }

    /// A call that gives a number.
    fn call(&mut self, depth: usize) -> String {
        let a = self.expr(Kind::Number, depth);
        match self.tape.below(14) {
            0 => format!("twice((int64)({a}))"),
            1 => format!("middle((int64)({a}), (int64){})", self.expr(Kind::Number, depth)),
            2 => format!("plus({a}, {})", self.expr(Kind::Number, depth)),
            3 => format!("bump(@bumped, {a})"),
            4 => format!(
                "strncmp({}, {}, 4)",
                self.expr(Kind::Text, depth),
                self.expr(Kind::Text, depth)
            ),
            5 => format!("strlen({})", self.expr(Kind::Text, depth)),
            6 => format!("bswap({a})"),
            7 => format!(
                "strcontains({}, {})",
                self.expr(Kind::Text, depth),
                self.expr(Kind::Text, depth)
            ),
            8 => format!("has_key(@is, {})", self.expr(Kind::Text, depth)),
            9 => format!("delete(@it, ({a}, {}))", self.expr(Kind::Text, depth)),
            10 => format!("len({})", self.tape.pick(&["@it", "@ck", "kstack", "ustack(4)"])),
            11 => format!(
                "memcmp({}, {}, 3)",
                self.expr(Kind::Text, depth),
                self.expr(Kind::Text, depth)
            ),
            12 => format!(
                "strstr({}, {})",
                self.expr(Kind::Text, depth),
                self.expr(Kind::Text, depth)
            ),
            _ => format!(
                "find(@k, {a}, {})",
                self.variable(Kind::Number).unwrap_or_default()
            ),
        }
    }

    /// A number behind the address of a struct.
    fn field(&mut self, depth: usize) -> String {
        let address = self.expr(Kind::Pointer, depth);
        match self.tape.below(11) {
            0 => format!("({address})->x"),
            1 => format!("({address})->tag"),
            2 => format!("({address})->in.b"),
            3 => format!("({address})->in.c"),
            4 => format!("({address})->numbers[2]"),
            5 => {
                let index = self.expr(Kind::Number, depth.saturating_sub(1));
                format!("({address})->numbers[{index}]")
            }
            6 => format!("({address})->next->y"),
            7 => format!("({address})->name[3]"),
            8 => format!("*((uint16 *)({address}))"),
            9 => format!("(int64)({address})"),
            _ => format!("((union either *)({address}))->bytes[1]"),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        let less = depth.saturating_sub(1);
        match self.tape.below(if depth == 0 { 5 } else { 11 }) {
            0 | 1 => (*self.tape.pick(&TEXTS)).into(),
            2 => self.variable(Kind::Text).unwrap_or_else(|| "\"v\"".into()),
            3 | 4 if !self.texts.is_empty() => (*self.tape.pick(self.texts)).into(),
            3 | 4 => "comm".into(),
            5 => format!("@sk[{}]", self.expr(Kind::Number, less)),
            6 => format!("({}).1", self.expr(Kind::Pair, less)),
            7 => format!("({})->name", self.expr(Kind::Pointer, less)),
            8 => {
                let (address, length) = (self.expr(Kind::Pointer, less), self.expr(Kind::Number, less));
                format!("str({address}, {length})")
            }
            9 => {
                let (a, b) = (self.expr(Kind::Text, less), self.expr(Kind::Text, less));
                format!("str_concat({a}, {b})")
            }
            _ => format!("str({})", self.expr(Kind::Pointer, less)),
        }
    }

    fn pair(&mut self, depth: usize) -> String {
        let less = depth.saturating_sub(1);
        match self.tape.below(if depth == 0 { 3 } else { 4 }) {
            0 => {
                let (a, b) = (self.expr(Kind::Number, less), self.expr(Kind::Text, less));
                format!("({a}, {b})")
            }
            1 => self.variable(Kind::Pair).unwrap_or_else(|| "(1, \"p\")".into()),
            2 => "@t[1]".into(),
            _ => format!("@t[{}]", self.expr(Kind::Number, less)),
        }
    }

    fn pointer(&mut self, depth: usize) -> String {
        let less = depth.saturating_sub(1);
        match self.tape.below(if depth == 0 { 3 } else { 7 }) {
            0 => format!("({})", self.pointer),
            1 => self
                .variable(Kind::Pointer)
                .unwrap_or_else(|| format!("({})", self.pointer)),
            2 => "@p[tid]".into(),
            3 => format!("({})->next", self.expr(Kind::Pointer, less)),
            4 => format!("(({}) + 1)", self.expr(Kind::Pointer, less)),
            5 => format!("(struct pair *)({})", self.expr(Kind::Number, less)),
            _ => {
                let space = *self.tape.pick(&["kptr", "uptr"]);
                format!("{space}({})", self.expr(Kind::Pointer, less))
            }
        }
    }

    fn shown(&mut self, depth: usize) -> String {
        let less = depth.saturating_sub(1);
        match self.tape.below(if depth == 0 { 3 } else { 9 }) {
            0 | 1 => (*self.tape.pick(&SHOWN)).into(),
            2 => self.variable(Kind::Shown).unwrap_or_else(|| "kstack(1)".into()),
            3 => format!("*({})", self.expr(Kind::Pointer, less)),
            4 => format!("({})->in", self.expr(Kind::Pointer, less)),
            5 => format!("({})->numbers", self.expr(Kind::Pointer, less)),
            6 => {
                let (address, length) = (self.expr(Kind::Pointer, less), self.expr(Kind::Number, less));
                format!("buf({address}, {length})")
            }
            7 => {
                let (a, b) = (self.expr(Kind::Shown, less), self.expr(Kind::Text, less));
                format!("({a}, {b})")
            }
            _ => format!(
                "(n={}, of={})",
                self.expr(Kind::Number, less),
                self.expr(Kind::Shown, less)
            ),
        }
    }
}

/// A simple key of a map, mostly one that others use too.
pub fn small(tape: &mut Tape<'_>) -> String {
    tape.below(4).to_string()
}
