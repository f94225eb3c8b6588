//! Valid scripts from sequences of numbers.
//!
//! In: a [`Seed`], which proptest makes and shrinks. Out: the text of a script that checks without an error, and what
//! happens while it runs. Every decision takes the next number of a [`Tape`]; a smaller number decides for something
//! simpler and an exhausted tape for the simplest, so that shrinking numbers shrinks the script. Each statement has a
//! tape of its own: what is left out in shrinking leaves the other statements nearly as they were.
//!
//! Scripts are typed while they are made: a variable or map belongs to a class ([`Ty`]) for good. Within a class
//! everything is mixed freely (widths, signs, lengths of text), since the language converts there.

mod expressions;
mod statements;

use crate::tape::Tape;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt;

/// A class of values that convert to one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ty {
    /// Any integer.
    Int,
    /// `true`, `false`.
    Bool,
    /// Text.
    Text,
    /// The name of the attach point.
    Place,
    /// Several values.
    Tuple(Vec<Ty>),
}

/// What scripts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Only `begin` and `end`, and nothing whose value differs from run to run.
    pub only_begin: bool,
    /// Whether a map may be assigned something that was computed from it, which is no atomic update.
    pub self_assignment: bool,
}

/// Everything that decides what a script is.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Decides what each map holds, how text is limited and whether there is a form of stress.
    setup: Vec<u16>,
    probes: Vec<ProbeSeed>,
    events: Vec<Vec<u16>>,
}

#[derive(Clone, Debug)]
struct ProbeSeed {
    header: Vec<u16>,
    statements: Vec<Vec<u16>>,
}

/// A script and what happens. Shown as the script, so that a failing test shows what to try.
#[derive(Clone)]
pub struct Case {
    /// The script.
    pub script: String,
    /// Decides the events; to be read once it is known which places there are.
    pub events: Vec<Vec<u16>>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}\nevents: {:?}", self.script, self.events)
    }
}

/// Cases of a profile.
pub fn cases(profile: Profile) -> impl Strategy<Value = Case> {
    let number = || prop_oneof![3 => any::<u16>(), 1 => 0..256u16];
    let probe = (vec(number(), 0..20), vec(vec(number(), 0..48), 0..12))
        .prop_map(|(header, statements)| ProbeSeed { header, statements });
    (
        vec(number(), 0..40),
        vec(probe, 1..5),
        vec(vec(number(), 0..24), 0..10),
    )
        .prop_map(move |(setup, probes, events)| {
            let seed = Seed {
                setup,
                probes,
                events,
            };
            Case {
                script: script(&seed, profile),
                events: seed.events,
            }
        })
}

/// What a map of the script is for.
#[derive(Clone, Debug)]
struct MapDecl {
    name: String,
    key: Option<Vec<Ty>>,
    holds: Holds,
    /// Whether it is mentioned.
    used: bool,
    /// Whether it is assigned a value whose type depends on no other map.
    anchored: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Holds {
    Value(Ty),
    /// An aggregation: its name, and the parameters behind the number.
    Aggregation(&'static str, &'static str),
}

/// A variable in scope.
#[derive(Clone, Debug)]
struct Var {
    name: String,
    ty: Ty,
    /// The maps that its value was computed from.
    from: BTreeSet<usize>,
}

/// A kind of place to attach to, and what there is.
struct Place {
    header: &'static str,
    ints: &'static [&'static str],
    texts: &'static [&'static str],
}

/// What runs without being attached.
const UNATTACHED: &[Place] = &[
    Place {
        header: "begin",
        ints: &[],
        texts: &[],
    },
    Place {
        header: "end",
        ints: &[],
        texts: &[],
    },
];

/// Everything else.
const ATTACHED: &[Place] = &[
    Place {
        header: "uprobe:libc:write",
        ints: &["arg0", "arg1", "arg2", "arg3", "arg4", "arg5"],
        texts: &[
            "str(arg1)",
            "str(arg5)",
            "str(arg1, 8)",
            "str(arg5, arg2)",
            "str(arg0)",
        ],
    },
    Place {
        header: "uretprobe:libc:read",
        ints: &["retval"],
        texts: &["str(retval)"],
    },
    Place {
        header: "uprobe:libc:pread*, uprobe:libc:pwrite",
        ints: &["arg0", "arg1", "arg2"],
        texts: &["str(arg1)", "str(arg5, 20)"],
    },
    Place {
        header: "tracepoint:syscalls:sys_enter_openat",
        ints: &["args.dfd", "args.flags", "args.mode"],
        texts: &["str(args.filename)", "str(args.filename, 6)"],
    },
    Place {
        header: "tracepoint:sched:sched_switch",
        ints: &[
            "args.prev_pid",
            "args.prev_prio",
            "args.prev_state",
            "args.next_pid",
            "args.next_prio",
        ],
        texts: &["args.prev_comm", "args.next_comm"],
    },
    Place {
        header: "tracepoint:sched:sched_process_exec",
        ints: &["args.pid", "args.old_pid"],
        texts: &["args.filename"],
    },
    Place {
        header: "interval:s:1",
        ints: &[],
        texts: &[],
    },
    Place {
        header: "profile:hz:99",
        ints: &[],
        texts: &[],
    },
];

/// A script under construction.
struct Gen<'t> {
    tape: Tape<'t>,
    profile: Profile,
    out: String,
    maps: Vec<MapDecl>,
    place: &'static Place,
    scopes: Vec<Vec<Var>>,
    vars: usize,
    indent: usize,
    /// Limit of literal text, bytes.
    max_strlen: usize,
    /// Whether aggregations without key are deleted, and then never set to 0: nothing records which of the two came last,
    /// and so whether there is a 0 to print.
    deletes_keyless: bool,
    /// How deep `if`s may be nested.
    max_depth: usize,
    /// The maps that the expression under construction reads, also through variables.
    reads: BTreeSet<usize>,
}

const KEYS: &[fn() -> Option<Vec<Ty>>] = &[
    || None,
    || Some(vec![Ty::Int]),
    || Some(vec![Ty::Text]),
    || Some(vec![Ty::Int, Ty::Text]),
    || Some(vec![Ty::Bool, Ty::Int]),
    || Some(vec![Ty::Text, Ty::Text, Ty::Int]),
    || Some(vec![Ty::Place]),
    || Some(vec![Ty::Tuple(vec![Ty::Int, Ty::Bool]), Ty::Int]),
    || None,
];

const HOLDS: &[fn() -> Holds] = &[
    || Holds::Value(Ty::Int),
    || Holds::Value(Ty::Text),
    || Holds::Value(Ty::Bool),
    || Holds::Value(Ty::Tuple(vec![Ty::Int, Ty::Text])),
    || {
        Holds::Value(Ty::Tuple(vec![
            Ty::Bool,
            Ty::Tuple(vec![Ty::Int, Ty::Int]),
            Ty::Int,
        ]))
    },
    || Holds::Aggregation("count", ""),
    || Holds::Aggregation("sum", ""),
    || Holds::Aggregation("min", ""),
    || Holds::Aggregation("max", ""),
    || Holds::Aggregation("avg", ""),
    || Holds::Aggregation("stats", ""),
    || Holds::Aggregation("hist", ""),
    || Holds::Aggregation("hist", "2"),
    || Holds::Aggregation("hist", "1, 3"),
    || Holds::Aggregation("hist10", ""),
    || Holds::Aggregation("hist_darshan", ""),
    || Holds::Aggregation("percentiles", ""),
    || Holds::Aggregation("lhist", "0, 100, 10"),
    || Holds::Aggregation("lhist", "-50, 4000, 1024"),
    || Holds::Value(Ty::Int),
    || Holds::Value(Ty::Int),
];

/// The script of a seed.
pub fn script(seed: &Seed, profile: Profile) -> String {
    let mut setup = Tape::new(&seed.setup);
    let stress = setup.below(8);
    let max_strlen = *setup.pick(&[1024, 1024, 64, 16, 200, 1024]);
    let deletes_keyless = setup.chance(50);
    let mut cx = Gen {
        tape: setup,
        profile,
        out: String::new(),
        maps: Vec::new(),
        place: &UNATTACHED[0],
        scopes: Vec::new(),
        vars: 0,
        indent: 0,
        max_strlen,
        deletes_keyless,
        max_depth: if stress == 5 { 12 } else { 3 },
        reads: BTreeSet::new(),
    };
    if max_strlen != 1024 {
        cx.line(&format!("config = {{ max_strlen = {max_strlen} }}"));
    }
    for name in ["a", "b", "c", "d", "e", "f", ""] {
        let key = cx.tape.pick(KEYS)();
        let holds = cx.tape.pick(HOLDS)();
        cx.maps.push(MapDecl {
            name: name.into(),
            key,
            holds,
            used: false,
            anchored: false,
        });
    }
    let last = seed.probes.len() - 1;
    for (i, probe) in seed.probes.iter().enumerate() {
        cx.probe(probe, stress, i == last);
    }
    cx.out
}

impl Gen<'_> {
    fn line(&mut self, text: &str) {
        for _ in 0..self.indent {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }
}

impl<'t> Gen<'t> {
    fn probe(&mut self, seed: &'t ProbeSeed, stress: usize, is_last: bool) {
        self.tape = Tape::new(&seed.header);
        let attached = !self.profile.only_begin && self.tape.chance(65);
        self.place = if attached {
            self.tape.pick(ATTACHED)
        } else {
            &UNATTACHED[*self.tape.pick(&[0, 0, 1])]
        };
        self.scopes = vec![Vec::new()];
        let mut header = self.place.header.to_owned();
        if self.tape.chance(25) {
            let predicate = self.condition(2);
            header.push_str(&format!(" /{predicate}/"));
        }
        self.line(&format!("{header} {{"));
        self.indent += 1;
        self.stress(stress);
        for statement in &seed.statements {
            self.tape = Tape::new(statement);
            self.statement(0);
        }
        if is_last {
            self.anchor();
        }
        self.indent -= 1;
        self.line("}");
    }

    /// A form that is hard to compile.
    fn stress(&mut self, form: usize) {
        match form {
            // More values at once than there are registers, over calls.
            6 => {
                for i in 0..24 {
                    let init = self.int(1);
                    let name = self.declare(Ty::Int);
                    self.line(&format!("let ${name} = {init} + {i};"));
                }
                let ints: Vec<String> = self.scopes[0]
                    .iter()
                    .map(|var| format!("${}", var.name))
                    .collect();
                self.line(&format!("print({});", ints.join(" ^ ")));
                self.line(&format!("print(({}));", ints.join(", ")));
                self.line(&format!("printf(\"%d %s\\n\", {}, comm);", ints.join(" + ")));
            }
            // Long text, several at once.
            7 => {
                let mut texts = Vec::new();
                for _ in 0..4 {
                    let init = self.text(2);
                    let long = "x".repeat(self.max_strlen - 1);
                    let name = self.declare(Ty::Text);
                    self.line(&format!("let ${name} = {init};"));
                    self.line(&format!("if (pid == 1) {{ ${name} = \"{long}\"; }}"));
                    texts.push(format!("${name}"));
                }
                self.line(&format!("print(({}));", texts.join(", ")));
                self.line(&format!(
                    "printf(\"%s|%-9s|%s\\n\", {}, {}, {});",
                    texts[0], texts[1], texts[2]
                ));
            }
            // One expression that is nested deep.
            4 => {
                let mut nested = self.int(1);
                for i in 0..24 {
                    nested = match i % 4 {
                        0 => format!("({nested} + {i})"),
                        1 => format!("(pid > {i} ? {nested} : {i})"),
                        2 => format!("({i} - {nested})"),
                        _ => format!("-(({nested} & 0xffff) * {i})"),
                    };
                }
                self.line(&format!("print({nested});"));
            }
            _ => {}
        }
    }

    /// Declares a new variable in the innermost scope.
    fn declare(&mut self, ty: Ty) -> String {
        let name = format!("v{}", self.vars);
        self.vars += 1;
        let from = std::mem::take(&mut self.reads);
        let scope = self.scopes.last_mut().expect("a probe has a scope");
        scope.push(Var {
            name: name.clone(),
            ty,
            from,
        });
        name
    }

    /// Gives every map that is mentioned a value of its own, in a place that is never reached: a map must be assigned
    /// somewhere, and something must say its type.
    fn anchor(&mut self) {
        let wanted: Vec<usize> = (0..self.maps.len())
            .filter(|&i| self.maps[i].used && !self.maps[i].anchored)
            .collect();
        if wanted.is_empty() {
            return;
        }
        self.tape = Tape::new(&[]);
        self.line("if (pid == 0 && pid == 1) {");
        self.indent += 1;
        for map in wanted {
            let place = self.element_with(map, 0);
            let value = match self.maps[map].holds.clone() {
                Holds::Value(ty) => self.value(&ty, 0),
                Holds::Aggregation(name, params) => self.aggregation_call(name, params, "1"),
            };
            self.line(&format!("{place} = {value};"));
        }
        self.indent -= 1;
        self.line("}");
    }
}
