//! A back end in memory for tests. A test can act between any two steps of the code under test, as programs do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::backend::{Backend, Error, RawEntry, Ring, Wake};
use crumbs_compiler::aggregation::{AggId, AggType, Aggregation, Bucket, Shown, Signature, UpdateCx};
use crumbs_compiler::format::{Conversion, Notation, Specifier};
use crumbs_compiler::plan::{
    BpfMap, BpfMapId, BpfMapKind, MapPlan, MemoryPlan, Plan, Rings, Settings, Storage, Stripes,
};
use crumbs_compiler::target::Arch;
use crumbs_compiler::types::Type;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Bytes in all the memory that tests use.
pub(crate) const MEMORY: u32 = 4096;
/// The stripes that tests use.
pub(crate) const STRIPES: Stripes = Stripes {
    offset: 1024,
    count: 2,
    stride: 1024,
};

/// A plan with memory and rings (kernel maps 0 and 1) and nothing else.
pub(crate) fn plan() -> Plan {
    let ring = |symbol: &str, max_entries| BpfMap {
        symbol: symbol.into(),
        kind: BpfMapKind::RingBuf,
        key_size: 0,
        value_size: 0,
        max_entries,
        flags: 0,
    };
    Plan {
        arch: Arch::X86_64,
        programs: Vec::new(),
        late_sites: Default::default(),
        sites: Vec::new(),
        maps: Vec::new(),
        bpf_maps: vec![ring("main", 65536), ring("control", 4096)],
        memory: MemoryPlan {
            size: MEMORY,
            stripes: STRIPES,
            ..MemoryPlan::default()
        },
        events: Vec::new(),
        rings: Some(Rings {
            main: BpfMapId(0),
            control: BpfMapId(1),
        }),
        losses: Vec::new(),
        structs: Default::default(),
        settings: Settings::default(),
    }
}

/// A map of a plan.
pub(crate) fn map(name: &str, key: Option<Type>, value: Type, storage: Storage) -> MapPlan {
    MapPlan {
        name: name.into(),
        key,
        value,
        storage,
        length: None,
        declared: false,
        watched: false,
        merging: None,
        span: Default::default(),
    }
}

/// Reads a conversion from a format's text, without the checks that the compiler's parser makes.
pub(crate) fn conversion(text: &str) -> Conversion {
    let rest = text.strip_prefix('%').unwrap();
    let flags = rest.len() - rest.trim_start_matches(['-', '+', ' ', '#', '0']).len();
    let (flags, rest) = rest.split_at(flags);
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (width, rest) = rest.split_at(digits(rest));
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = rest.split_at(digits(rest));
            (Some(precision.parse().unwrap_or(0)), rest)
        }
        None => (None, rest),
    };
    let letters = rest.trim_start_matches(['h', 'l']);
    let bits = match &rest[..rest.len() - letters.len()] {
        "" => 32,
        "h" => 16,
        "hh" => 8,
        _ => 64,
    };
    // `rh` and `rx` are not length modifiers.
    let (letters, bits) = if rest.starts_with('r') {
        (rest, 0)
    } else {
        (letters, bits)
    };
    Conversion {
        left: flags.contains('-'),
        plus: flags.contains('+'),
        space: flags.contains(' '),
        alternate: flags.contains('#'),
        zero: flags.contains('0'),
        width: width.parse().ok(),
        precision,
        computed: None,
        specifier: match letters {
            "d" | "i" => Specifier::Signed(bits),
            "u" => Specifier::Unsigned(bits),
            "x" => Specifier::HexLower(bits),
            "X" => Specifier::HexUpper(bits),
            "o" => Specifier::Octal(bits),
            "c" => Specifier::Char,
            "p" => Specifier::Pointer,
            "s" => Specifier::Text,
            "f" => Specifier::Decimal(Notation::Fixed),
            "e" => Specifier::Decimal(Notation::Exponent { capital: false }),
            "E" => Specifier::Decimal(Notation::Exponent { capital: true }),
            "g" => Specifier::Decimal(Notation::Shortest { capital: false }),
            "G" => Specifier::Decimal(Notation::Shortest { capital: true }),
            "r" => Specifier::Raw,
            "rx" => Specifier::RawHex,
            "rh" => Specifier::RawHexSpaced,
            other => panic!("{other}"),
        },
    }
}

/// What a fake holds.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) memory: Vec<u64>,
    pub(crate) maps: BTreeMap<u32, BTreeMap<Vec<u8>, Vec<Vec<u8>>>>,
    pub(crate) main: VecDeque<Vec<u8>>,
    pub(crate) control: VecDeque<Vec<u8>>,
    /// What was done, in order: `run 0`, `quiesce`, `detach`.
    pub(crate) log: Vec<String>,
}

impl State {
    pub(crate) fn word(&mut self, offset: u32) -> &mut u64 {
        &mut self.memory[offset as usize / 8]
    }

    pub(crate) fn put(&mut self, map: u32, key: &[u8], values: &[&[u64]]) {
        let bytes = |words: &&[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let values = values.iter().map(bytes).collect();
        self.maps.entry(map).or_default().insert(key.to_vec(), values);
    }

    /// Adds to the first word of an element, inserting it if it is not there.
    pub(crate) fn add(&mut self, map: u32, key: &[u8], amount: u64) {
        let values = self.maps.entry(map).or_default().entry(key.to_vec()).or_default();
        if values.is_empty() {
            values.push(vec![0; 8]);
        }
        let sum = u64::from_ne_bytes(values[0][..8].try_into().unwrap()).wrapping_add(amount);
        values[0][..8].copy_from_slice(&sum.to_ne_bytes());
    }
}

/// Something that happens in the machine.
pub(crate) type Action = Box<dyn FnMut(&mut State)>;

/// Something that happens before a step, whose name it is told.
pub(crate) type Before = Box<dyn FnMut(&mut State, &str)>;

/// The back end.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) state: RefCell<State>,
    /// Happens before each step; is told which.
    pub(crate) before: RefCell<Option<Before>>,
    /// What running each program does.
    pub(crate) programs: BTreeMap<usize, Action>,
    /// What happens during each wait, and why it ends; then nothing ever happens.
    pub(crate) waits: VecDeque<(Action, Wake)>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let fake = Self::default();
        fake.state.borrow_mut().memory = vec![0; MEMORY as usize / 8];
        fake
    }

    fn step(&self, name: &str) {
        if let Some(before) = self.before.borrow_mut().as_mut() {
            before(&mut self.state.borrow_mut(), name);
        }
    }
}

impl Backend for Fake {
    fn load(&self, offset: u32) -> u64 {
        self.step("load");
        *self.state.borrow_mut().word(offset)
    }

    fn store(&self, offset: u32, value: u64) {
        self.step("store");
        *self.state.borrow_mut().word(offset) = value;
    }

    fn swap(&self, offset: u32, value: u64) -> u64 {
        self.step("swap");
        std::mem::replace(self.state.borrow_mut().word(offset), value)
    }

    fn entries(&mut self, map: BpfMapId) -> Result<Vec<RawEntry>, Error> {
        self.step("entries");
        let state = self.state.borrow();
        let entries = state.maps.get(&map.0).into_iter().flatten();
        Ok(entries
            .map(|(key, values)| RawEntry {
                key: key.clone(),
                values: values.clone(),
            })
            .collect())
    }

    fn element(&mut self, map: BpfMapId, key: &[u8]) -> Result<Option<RawEntry>, Error> {
        self.step("element");
        let state = self.state.borrow();
        let values = state.maps.get(&map.0).and_then(|map| map.get(key));
        Ok(values.map(|values| RawEntry {
            key: key.to_vec(),
            values: values.clone(),
        }))
    }

    fn remove_all(&mut self, map: BpfMapId) -> Result<(), Error> {
        self.step("remove_all");
        self.state.borrow_mut().maps.remove(&map.0);
        Ok(())
    }

    fn insert_zero(&mut self, map: BpfMapId, key: &[u8]) -> Result<bool, Error> {
        self.step("insert_zero");
        let mut state = self.state.borrow_mut();
        let map = state.maps.entry(map.0).or_default();
        let is_new = !map.contains_key(key);
        map.entry(key.to_vec()).or_insert_with(|| vec![vec![0; 8]]);
        Ok(is_new)
    }

    fn zero_all(&mut self, map: BpfMapId) -> Result<(), Error> {
        self.step("zero_all");
        for values in self
            .state
            .borrow_mut()
            .maps
            .entry(map.0)
            .or_default()
            .values_mut()
        {
            values.iter_mut().for_each(|value| value.fill(0));
        }
        Ok(())
    }

    fn run_once(&mut self, program: usize) -> Result<u32, Error> {
        let state = self.state.get_mut();
        state.log.push(format!("run {program}"));
        if let Some(action) = self.programs.get_mut(&program) {
            action(state);
        }
        Ok(0)
    }

    fn next_record(&mut self, ring: Ring) -> Option<Vec<u8>> {
        self.step("next_record");
        match ring {
            Ring::Main => self.state.get_mut().main.pop_front(),
            Ring::Control => self.state.get_mut().control.pop_front(),
        }
    }

    fn wait(&mut self, _timeout: Option<Duration>) -> Wake {
        let Some((mut action, wake)) = self.waits.pop_front() else {
            return Wake::Drained;
        };
        action(self.state.get_mut());
        wake
    }

    fn quiesce(&mut self) {
        self.step("quiesce");
        self.state.get_mut().log.push("quiesce".into());
    }

    fn detach(&mut self) {
        self.state.get_mut().log.push("detach".into());
    }
}

/// Aggregations of the tests, so that these test reading and printing alone.
pub(crate) static AGGREGATIONS: &[&dyn Aggregation] =
    &[&Test::Sum, &Test::Least, &Test::Buckets, &Test::Stats];

/// Finds an aggregation of the tests.
pub(crate) fn aggregation(ty: &AggType) -> &'static dyn Aggregation {
    AGGREGATIONS[usize::from(ty.id.0)]
}

/// Its type, by its index in [`AGGREGATIONS`].
pub(crate) fn agg(index: u16) -> AggType {
    AggType {
        id: AggId(index),
        signed: true,
        params: Vec::new(),
    }
}

enum Test {
    /// One word, 0 untouched.
    Sum,
    /// One word, the complement of the least number; 0 untouched.
    Least,
    /// 20 words: word `i` counts the number `i`.
    Buckets,
    /// Count and total.
    Stats,
}

impl Aggregation for Test {
    fn name(&self) -> &'static str {
        "test"
    }
    fn doc(&self) -> &'static str {
        ""
    }
    fn example(&self) -> &'static str {
        ""
    }
    fn signature(&self) -> Signature {
        Signature {
            takes_value: true,
            ..Signature::default()
        }
    }
    fn words(&self, _ty: &AggType) -> u32 {
        match self {
            Self::Sum | Self::Least => 1,
            Self::Buckets => 20,
            Self::Stats => 2,
        }
    }
    fn lower(&self, _ty: &AggType, _cx: &mut dyn UpdateCx, _value: Option<crumbs_compiler::ir::Value>) {}
    fn merge(&self, ty: &AggType, into: &mut [u64], from: &[u64]) {
        assert_eq!(
            (into.len(), from.len()),
            (self.words(ty) as usize, self.words(ty) as usize)
        );
        for (into, from) in into.iter_mut().zip(from) {
            *into = match self {
                Self::Least => (*into).max(*from),
                _ => into.wrapping_add(*from),
            };
        }
    }
    fn show(&self, _ty: &AggType, state: &[u64]) -> Shown {
        match self {
            Self::Sum => Shown::Int(i128::from(state[0] as i64)),
            Self::Least => Shown::Int(i128::from(!state[0])),
            Self::Buckets => {
                let populated = |word: &u64| *word != 0;
                let first = state.iter().position(populated).unwrap_or(0);
                let last = state.iter().rposition(populated).map_or(0, |last| last + 1);
                let bucket = |at: usize| Bucket {
                    min: Some(at as i128),
                    max: Some(at as i128),
                    count: state[at],
                };
                Shown::Hist {
                    buckets: (first..last).map(bucket).collect(),
                    scaled: true,
                }
            }
            Self::Stats => Shown::Stats {
                count: state[0],
                average: i128::from(state[1] as i64) / i128::from(state[0]).max(1),
                total: i128::from(state[1] as i64),
            },
        }
    }
}
