//! Random scripts over the whole language from sequences of numbers.
//!
//! In: a [`Seed`], which proptest makes and shrinks, and the checker. Out: a script that checks. Statements are written
//! freely, in types that only roughly fit; those that the checker refuses in their place are left out, so that whatever the
//! language has can be written here in one line. Every decision takes the next number of a tape, a smaller one deciding for
//! something simpler, and every statement has a tape of its own: shrinking numbers shrinks the script.

use crate::tape::Tape;
use proptest::collection::vec;
use proptest::prelude::*;

/// What an expression is roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number, a truth value, an enum's constant, an address.
    Number,
    /// Text.
    Text,
    /// A pair of a number and text.
    Pair,
    /// The address of a `struct pair`.
    Pointer,
    /// What can be kept and shown and not much else: stacks, symbols, addresses of networks, bytes, structs.
    Shown,
}

pub const KINDS: [Kind; 6] = [
    Kind::Number,
    Kind::Text,
    Kind::Number,
    Kind::Pair,
    Kind::Pointer,
    Kind::Shown,
];

/// Everything that decides what a script is.
#[derive(Clone, Debug)]
pub struct Seed {
    setup: Vec<u16>,
    probes: Vec<(Vec<u16>, Vec<Vec<u16>>)>,
}

/// Random seeds.
pub fn seeds() -> impl Strategy<Value = Seed> {
    let number = || prop_oneof![9 => any::<u16>(), 1 => 0..64u16];
    let probe = (vec(number(), 0..12), vec(vec(number(), 0..120), 1..12));
    (vec(number(), 0..24), vec(probe, 1..4)).prop_map(|(setup, probes)| Seed { setup, probes })
}

/// A script, and how many of the statements that were written for it are in it.
pub struct Script {
    pub text: String,
    pub kept: usize,
    pub written: usize,
}

impl Seed {
    /// The script, without the statements that `is_valid` refuses.
    pub fn script(&self, is_valid: &dyn Fn(&str) -> bool) -> Script {
        let mut setup = Tape::new(&self.setup);
        let mut script = Script {
            text: preamble(&mut setup),
            kept: 0,
            written: 0,
        };
        for (header, statements) in &self.probes {
            script.probe(header, statements, is_valid);
        }
        if script.kept == 0 {
            script.text.push_str("begin { }\n");
        }
        script
    }
}

impl Script {
    fn probe(&mut self, header: &[u16], statements: &[Vec<u16>], is_valid: &dyn Fn(&str) -> bool) {
        let place = place(&mut Tape::new(header));
        let mut cx = Gen::new(Tape::new(header), place.1);
        let mut open = format!("{}{} {{\n", self.text, place.0);
        if cx.tape.chance(30) {
            cx.tape.next();
            let with = format!("{}{} /{}/ {{\n", self.text, place.0, cx.expr(Kind::Number, 2));
            if is_valid(&format!("{with}}}\n")) {
                open = with;
            }
        }
        if !is_valid(&format!("{open}}}\n")) {
            return;
        }
        let mut body = String::new();
        for numbers in statements {
            cx.tape = Tape::new(numbers);
            let vars = cx.vars.clone();
            let statement = cx.statement(0);
            self.written += 1;
            if is_valid(&format!("{open}{body}{statement}}}\n")) {
                self.kept += 1;
                body.push_str(&statement);
            } else {
                cx.vars = vars;
            }
        }
        self.text = format!("{open}{body}}}\n");
    }
}

/// Settings, types, functions and macros that statements use.
fn preamble(tape: &mut Tape<'_>) -> String {
    let mut out = String::from(
        "struct inner { short a; int b : 3; unsigned int c : 9; };
struct pair { int x; unsigned char tag; char name[16]; struct pair *next; struct inner in; int numbers[4]; long long y; };
union either { int number; char bytes[8]; };
enum color { RED, GREEN = 5, BLUE };
#define LIMIT (3 * 4)
",
    );
    let configs = [
        "",
        "",
        "config = { max_strlen = 64 }\n",
        "config = { max_strlen = 9000 }\n",
        "config = { max_map_keys = 16; stack_mode = \"perf\" }\n",
        "config = { max_strlen = 200; str_trunc_trailer = \"\" }\n",
    ];
    out.push_str(configs[tape.below(configs.len())]);
    if tape.chance(30) {
        out.push_str("let @k = lruhash(100);\nlet @hk = percpulruhash(64);\n");
    }
    if tape.chance(30) {
        out.push_str("let @t = hash(10);\nlet @ck = percpuhash(10);\n");
    }
    out.push_str(
        "fn twice($n : int64) : int64 { return $n * 2; }
fn middle($a : int64, $b : int64) : int64 { if ($a > $b) { return $a; } for $i : 0..9 { if ($i == $b) { return $i; } } return $b; }
fn told($n : uint32) : void { if ($n > 3) { printf(\"%u\\n\", $n); return; } print($n); }
macro plus(a, b) { a + b }
macro bump(@m, k) { @m[k]++; @m[k] }
macro change($x, by) { $x += by; $x *= 2; }
",
    );
    // What is read must be assigned somewhere.
    if !tape.chance(20) {
        out.push_str(
            "interval:s:9 { @n = 1; @k[1] = 2; @it[1, \"a\"] = 3; @is[comm]++; @s = comm; @sk[1] = comm; @t[1] = (1, comm);
@p[tid] = (struct pair *)0; @c = count(); @ck[1] = count(); @sum = sum(1); @mn = min(1); @bumped[1] = 0; }
",
        );
        if tape.chance(25) {
            out.push_str("interval:s:8 { @peek = (int64)@ck[1]; }\n");
        }
    }
    out
}

/// Where a probe is, with numbers and text that its events bring.
type Place = (
    &'static str,
    (&'static [&'static str], &'static [&'static str], &'static str),
);

const NO_EVENT: (&[&str], &[&str], &str) = (&[], &[], "(struct pair *)0");

const PLACES: [Place; 24] = [
    ("begin", NO_EVENT),
    ("end", NO_EVENT),
    ("interval:ms:100", NO_EVENT),
    ("profile:hz:99", NO_EVENT),
    (
        "uprobe:libc:write",
        (
            &[
                "arg0",
                "arg1",
                "arg2",
                "arg5",
                "reg(\"ip\")",
                "(uint8)arg3",
                "usermode",
            ],
            &["str(arg1)", "str(arg1, arg2)", "str(arg1, 8)", "func", "probe"],
            "(struct pair *)arg1",
        ),
    ),
    (
        "uretprobe:libc:read",
        (
            &["retval", "(int64)retval"],
            &["str(retval)", "func"],
            "(struct pair *)retval",
        ),
    ),
    (
        "uprobe:libc:read, uprobe:libc:write",
        (
            &["arg0", "arg2"],
            &["str(arg1)", "func", "probe"],
            "(struct pair *)uptr(arg1)",
        ),
    ),
    (
        "kprobe:vfs_read",
        (
            &["arg0", "arg2", "((struct file *)arg0)->f_mode", "reg(\"sp\")"],
            &[
                "str(arg0)",
                "str(((struct file *)arg0)->f_path.dentry->d_name.name)",
                "func",
            ],
            "(struct pair *)arg0",
        ),
    ),
    (
        "kretprobe:vfs_read",
        (&["retval"], &["func"], "(struct pair *)retval"),
    ),
    (
        "tracepoint:syscalls:sys_enter_openat",
        (
            &["args.dfd", "args.flags", "args->mode"],
            &["str(args.filename)", "str(args.filename, 6)"],
            "(struct pair *)args.filename",
        ),
    ),
    (
        "tracepoint:sched:sched_switch",
        (
            &["args.prev_pid", "args.prev_state", "args.next_prio"],
            &["args.prev_comm", "args.next_comm"],
            "(struct pair *)args.prev_state",
        ),
    ),
    (
        "rawtracepoint:sched_switch",
        (&["arg0", "arg1"], &[], "(struct pair *)arg1"),
    ),
    ("software:cpu-clock:1000000", NO_EVENT),
    ("hardware:cpu-cycles:1000000", NO_EVENT),
    (
        "fentry:vfs_read",
        (
            &["args.count", "args.file.f_mode", "arg0"],
            &[
                "func",
                "str(args.buf)",
                "str(args.file.f_path.dentry.d_name.name)",
            ],
            "(struct pair *)args.buf",
        ),
    ),
    (
        "fexit:vfs_read",
        (&["retval", "args.count"], &["func"], "(struct pair *)args.buf"),
    ),
    (
        "kprobe:vfs_read, kprobe:vfs_write",
        (
            &["arg0", "arg2"],
            &["func", "probe", "str(arg1)"],
            "(struct pair *)arg0",
        ),
    ),
    (
        "rawtracepoint:sched_switch, rawtracepoint:sched_wakeup",
        (&["arg0", "arg1"], &["probe"], "(struct pair *)arg1"),
    ),
    (
        "tracepoint:syscalls:sys_enter_read, tracepoint:syscalls:sys_enter_write",
        (&["args.fd", "args.count"], &["probe"], "(struct pair *)args.buf"),
    ),
    (
        "iter:task",
        (&["ctx.task.pid"], &["ctx.task.comm"], "(struct pair *)0"),
    ),
    ("test:one", NO_EVENT),
    ("bench:one", NO_EVENT),
    ("self:signal:SIGUSR1", NO_EVENT),
    (
        "tracepoint:sched:sched_process_exec",
        (&["args.pid"], &["args.filename"], "(struct pair *)0"),
    ),
];

fn place(tape: &mut Tape<'_>) -> Place {
    *tape.pick(&PLACES)
}

/// A probe under construction.
pub struct Gen<'t> {
    pub tape: Tape<'t>,
    /// Numbers and text of the event.
    pub ints: &'static [&'static str],
    pub texts: &'static [&'static str],
    /// An address of the event, as that of a `struct pair`.
    pub pointer: &'static str,
    /// The variables that are visible.
    pub vars: Vec<(String, Kind)>,
    /// How many there have been.
    pub named: usize,
    /// How many loops the statement is in.
    pub loops: usize,
}

impl<'t> Gen<'t> {
    fn new(tape: Tape<'t>, event: (&'static [&'static str], &'static [&'static str], &'static str)) -> Self {
        Self {
            tape,
            ints: event.0,
            texts: event.1,
            pointer: event.2,
            vars: Vec::new(),
            named: 0,
            loops: 0,
        }
    }

    /// A new variable, visible from here on.
    pub fn declare(&mut self, kind: Kind) -> String {
        let name = format!("$v{}", self.named);
        self.named += 1;
        self.vars.push((name.clone(), kind));
        name
    }

    /// A variable of a kind that is visible.
    pub fn variable(&mut self, kind: Kind) -> Option<String> {
        let known: Vec<&String> = self
            .vars
            .iter()
            .filter(|(_, of)| *of == kind)
            .map(|(name, _)| name)
            .collect();
        (!known.is_empty()).then(|| (*self.tape.pick(&known)).clone())
    }
}
