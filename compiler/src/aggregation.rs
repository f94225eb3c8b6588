//! Aggregations: values that many events are folded into, in the kernel, without losing one.
//!
//! An aggregation is one file below this module: its kernel half (what is emitted for one event), its merge over CPUs,
//! and what its merged state shows. [`ALL`] is the only list of them.
//!
//! **State.** A number of 64-bit words, one copy per CPU. The identity of every aggregation is all-zero words: a slot
//! that was never touched merges as if it were not there, and a fresh slot needs no initialisation that could race.
//! Every update of a word is atomic, since a program can be preempted, or nested by another, between load and store.
//!
//! **Storage.** Without a key: a slice of each CPU's stripe of the program memory ([`crate::plan::Storage::Striped`]).
//! With keys: a per-CPU hash map whose value is the state; states of more than [`CHUNK_WORDS`] words are stored as
//! (key, chunk number) → [`CHUNK_WORDS`] words, since the kernel's allocator refuses larger per-CPU values in bursts.

use std::fmt;

mod darshan;
mod decimal;
mod deviation;
mod hist;
mod numeric;
mod percentiles;
mod saved;
mod series;

pub use percentiles::{COUNT, at_share, quantiles};
pub use saved::{Interval, Saved};

/// Words in one chunk of a large keyed state: 64 bytes, the largest per-CPU value that the kernel's allocator does not
/// refuse in bursts (measured on 6.12 to 7.2).
pub const CHUNK_WORDS: u32 = 8;

/// What word 0 of a watched state ([`crate::plan::MapPlan::watched`]) has in excess of the number of events for each update
/// that has begun and not ended. Events are counted modulo this.
pub const UNDER_WAY: u64 = 1 << 48;

/// Index into [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AggId(pub u16);

/// An aggregation with its parameters: the type of a map's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AggType {
    /// Which aggregation.
    pub id: AggId,
    /// Whether the aggregated numbers are signed.
    pub signed: bool,
    /// The literal parameters: `hist(n, k)` has `[k]`, `lhist(n, min, max, step)` has `[min, max, step]`.
    pub params: Vec<i64>,
}

impl AggType {
    /// The aggregation itself.
    pub fn aggregation(&self) -> &'static dyn Aggregation {
        ALL[usize::from(self.id.0)]
    }

    /// 64-bit words of state per CPU.
    pub fn words(&self) -> u32 {
        self.aggregation().words(self)
    }

    /// Bytes of state per CPU.
    pub fn slot_size(&self) -> u32 {
        self.words() * 8
    }

    /// Whether a keyed state is stored in chunks.
    pub fn is_chunked(&self) -> bool {
        self.words() > CHUNK_WORDS
    }
}

impl fmt::Display for AggType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_t", self.aggregation().name())
    }
}

/// One kind of aggregation.
pub trait Aggregation: Sync {
    /// What a script writes: `count`.
    fn name(&self) -> &'static str;
    /// One sentence of documentation.
    fn doc(&self) -> &'static str;
    /// A script that uses it; a test compiles it.
    fn example(&self) -> &'static str;
    /// How it is called.
    fn signature(&self) -> Signature;
    /// Checks literal parameters, in the order of the signature.
    ///
    /// # Errors
    /// What is wrong with them, in the user's terms.
    fn check_params(&self, _params: &[i64]) -> Result<(), String> {
        Ok(())
    }
    /// 64-bit words of state per CPU.
    fn words(&self, ty: &AggType) -> u32;
    /// Emits the update for one event.
    fn lower(&self, ty: &AggType, cx: &mut dyn UpdateCx, value: Option<crate::ir::Value>);
    /// Folds one CPU's state into `into`: adds its words where nothing else is said. Both have [`Aggregation::words`]
    /// words; `into` starts as zeros.
    fn merge(&self, _ty: &AggType, into: &mut [u64], from: &[u64]) {
        for (into, from) in into.iter_mut().zip(from) {
            *into = into.wrapping_add(*from);
        }
    }
    /// What a merged state shows.
    fn show(&self, ty: &AggType, state: &[u64]) -> Shown;
    /// What printing must know beyond [`Shown`].
    fn presentation(&self) -> Presentation {
        Presentation::default()
    }
    /// Whether the words of a state only mean something together, so that one must not be taken while a program has
    /// changed some of them.
    fn is_indivisible(&self) -> bool {
        false
    }
    /// Whether every update is one of [`UpdateCx::counted`], so that it can be read while programs change it.
    fn is_counted(&self) -> bool {
        false
    }
    /// The config variable that says whether it may be used, where there is one.
    fn gate(&self) -> Option<&'static str> {
        None
    }
    /// The least and the greatest number of the bucket that a word of the state counts, where words are buckets in
    /// ascending order; `None` for what has no bound.
    fn bounds(&self, _ty: &AggType, _word: usize) -> (Option<i128>, Option<i128>) {
        (None, None)
    }
    /// A merged state in terms that outlive this run and this version: all that is needed to merge it with others. Buckets
    /// where nothing else is said.
    fn save(&self, ty: &AggType, state: &[u64]) -> Saved {
        saved::buckets(state, |word| self.bounds(ty, word))
    }
    /// The state that [`Aggregation::save`] gives this for; `None` where none does.
    fn restore(&self, ty: &AggType, saved: &Saved) -> Option<Vec<u64>> {
        saved::from_buckets(saved, self.words(ty), |word| self.bounds(ty, word))
    }
    /// How a program computes the number that is shown, for aggregations that show one.
    fn reduction(&self) -> Option<Reduction> {
        None
    }
    /// Whether it shows a number that grows by what events add, so that it has a rate.
    fn adds_up(&self) -> bool {
        false
    }
    /// Whether it shows buckets, so that it has quantiles.
    fn is_histogram(&self) -> bool {
        false
    }
    /// Whether a merged state without key has seen an event. Kept apart from [`Aggregation::show`] because `sum(0)`
    /// has the same words as nothing; such aggregations keep a word to tell.
    fn is_touched(&self, _ty: &AggType, state: &[u64]) -> bool {
        state.iter().any(|&word| word != 0)
    }
}

/// How the number that an aggregation shows is computed by a program.
#[derive(Clone, Copy, Debug)]
pub struct Reduction {
    /// How each word of the state is folded over CPUs, in the order of words. Zeros are the identity of both.
    pub folds: &'static [Fold],
    /// Emits what the folded words show, as [`Aggregation::show`] has it.
    pub shown: fn(&AggType, &mut ShownCx<'_>) -> crate::ir::Value,
}

/// How two CPUs' words become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Their sum, modulo 2^64.
    Add,
    /// The greater, unsigned.
    Max,
}

/// What [`Reduction::shown`] may use.
pub struct ShownCx<'a> {
    /// The builder, positioned where code may be added.
    pub ir: &'a mut crate::ir::Builder,
    /// The folded words.
    pub words: &'a [crate::ir::Value],
    /// Emits a signed quotient, rounded toward zero; of 0 where the divisor is 0.
    pub signed_quotient: SignedQuotient,
}

/// Emits the quotient of two numbers.
pub type SignedQuotient = fn(&mut crate::ir::Builder, crate::ir::Value, crate::ir::Value) -> crate::ir::Value;

/// How an aggregation is called.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signature {
    /// Whether the first argument is the number to aggregate.
    pub takes_value: bool,
    /// Whether the last argument can be what an event weighs instead of 1.
    pub takes_weight: bool,
    /// The literal parameters behind it: name, and the default of those that may be left out.
    pub params: &'static [(&'static str, Option<i64>)],
    /// A literal string behind them that may be left out: its name and what it can be, the first where it is left out.
    /// [`AggType::params`] ends with its index.
    pub choice: Option<(&'static str, &'static [&'static str])>,
}

impl Signature {
    /// A number, and nothing else.
    pub const NUMBER: Self = Self {
        takes_value: true,
        takes_weight: false,
        params: &[],
        choice: None,
    };
}

/// What an aggregation's kernel half may use: the function under construction and the place of the state.
///
/// The word a state is updated at can depend on the value (the bucket of a histogram), and where the state is chunked
/// the chunk must be looked up by that. So the kernel half computes first and asks for a word last.
pub trait UpdateCx {
    /// The builder, positioned where code may be added.
    fn ir(&mut self) -> &mut crate::ir::Builder;
    /// Address of word `index` of this CPU's state, a constant below [`CHUNK_WORDS`]. Where the state cannot be had
    /// (the map is full), that is counted and the update is left out: the builder then stands at a block that is
    /// reached only with a valid address.
    fn word(&mut self, index: u32) -> crate::ir::Value;
    /// Address of the word at run-time index `index`, which is below `words`; otherwise as [`UpdateCx::word`]. To be
    /// asked for once.
    fn word_at(&mut self, index: crate::ir::Value, words: u32) -> crate::ir::Value {
        self.slot_at(index, words, 1)
    }
    /// Address of the `words` words of the slot at run-time index `index`, which is below `slots`, where the state is
    /// `slots` slots of `words` words; `words` is a power of two of at most [`CHUNK_WORDS`]. To be asked for once.
    fn slot_at(&mut self, index: crate::ir::Value, slots: u32, words: u32) -> crate::ir::Value;
    /// The time now, in nanoseconds of the TAI clock.
    fn tai(&mut self) -> crate::ir::Value;
    /// Emits `update`, and then counts the event in word 0 of the state, whose address is `count`. Where readers must tell
    /// a state that is being changed, word 0 says so from before `update` on ([`UNDER_WAY`]).
    fn counted(&mut self, count: crate::ir::Value, update: &mut dyn FnMut(&mut dyn UpdateCx));
    /// Says that a word at a run-time index will be asked for. Where the state's place does not depend on the index, it is
    /// found now: finding it calls helpers, and what is computed afterwards then needs not be kept across them.
    fn announce(&mut self);
    /// Counts an update that was given up because other writers changed the state again and again.
    fn contended(&mut self);
    /// What the event weighs, where the script says.
    fn weight(&self) -> Option<crate::ir::Value>;
    /// Whether compare-and-exchange is available ([`crate::target::Feature::FullAtomics`]).
    fn has_compare_exchange(&self) -> bool;
}

/// What a merged state shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A number.
    Int(i128),
    /// `stats`, and `avg` (which shows only the average).
    Stats {
        /// How many numbers.
        count: u64,
        /// Their average, rounded toward zero.
        average: i128,
        /// Their sum, modulo 2^64 as the kernel adds it.
        total: i128,
    },
    /// Several numbers with names.
    Fields(Vec<(String, i128)>),
    /// What a number did over time.
    Series {
        /// Nanoseconds from the beginning of one interval to that of the next.
        interval: u64,
        /// How many intervals there are at most, back from the last one.
        reach: u64,
        /// Whether the numbers are signed.
        signed: bool,
        /// Number of the interval, counted from the beginning of the TAI clock, and what the number was; ascending.
        /// Without number where there was none in an interval.
        points: Vec<(u64, Option<i128>)>,
    },
    /// A histogram: its buckets from the first to the last populated one, in ascending order.
    Hist {
        /// The buckets.
        buckets: Vec<Bucket>,
        /// Whether bounds are shown with K, M, G… (powers of 1,024).
        scaled: bool,
    },
}

/// What printing must know of an aggregation beyond what its state shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// Of [`Shown::Stats`] only the average is text (`avg`).
    pub average_only: bool,
    /// How the bounds of a [`Shown::Hist`] that is `scaled` get their suffix.
    pub suffix: Suffix,
}

/// How a scaled bucket bound gets its suffix. bpftrace has both, and its text is matched byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suffix {
    /// K, M, G, T, P or E by the width of the bucket that the bound begins, so that no bound is rounded (`hist`).
    #[default]
    BucketWidth,
    /// K or M where it divides the bound (`lhist`).
    Divisor,
    /// Powers of ten from 10000 up are written as `1e4` (`hist10`).
    PowerOfTen,
    /// Ranges end with their greatest number, which is a round one: `(100, 1K]`. K, M and G are powers of 1,024
    /// (`hist_darshan`).
    Greatest,
}

/// A range of numbers and how many fell into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The least number in it; `None` for "and everything below".
    pub min: Option<i128>,
    /// The greatest number in it (closed); `None` for "and everything above".
    pub max: Option<i128>,
    /// How many.
    pub count: u64,
}

/// Every aggregation, declared once. The order is the documentation's.
pub static ALL: &[&dyn Aggregation] = &[
    &numeric::Count,
    &numeric::Sum,
    &numeric::Extreme::MIN,
    &numeric::Extreme::MAX,
    &numeric::Mean::AVG,
    &numeric::Mean::STATS,
    &hist::Hist,
    &hist::LinearHist,
    &decimal::DecimalHist,
    &darshan::DarshanHist,
    &percentiles::Percentiles,
    &deviation::Deviation,
    &series::Series,
];

/// Finds an aggregation by the name of its type, `sum_t`, or `usum_t` where the numbers have no sign. Parameters are left out.
pub fn by_type_name(name: &str) -> Option<AggType> {
    let name = name.strip_suffix("_t")?;
    let typed = |id, signed| AggType {
        id,
        signed,
        params: Vec::new(),
    };
    if let Some(id) = by_name(name) {
        return Some(typed(id, true));
    }
    let id = by_name(name.strip_prefix('u')?)?;
    ALL[usize::from(id.0)]
        .signature()
        .takes_value
        .then(|| typed(id, false))
}

/// Finds an aggregation by the name that scripts use.
pub fn by_name(name: &str) -> Option<AggId> {
    ALL.iter().position(|a| a.name() == name).map(|i| AggId(i as u16))
}
