//! Runs a script against the target and collects what it shows, as numbers.

use crate::bytecode_rmw::plain_updates;
use crate::faults::Fault;
use crate::truth::Scale;
use crumbs::stages;
use crumbs_compiler::driver::{self, Compiled};
use crumbs_compiler::object::SourceInfo;
use crumbs_compiler::options;
use crumbs_compiler::plan::{HelperFailure, MessageLevel};
use crumbs_compiler::target::Target;
use crumbs_compiler::view::Measure;
use crumbs_runtime::backend::Error;
use crumbs_runtime::child::{Child, Watch};
use crumbs_runtime::host::{HostOptions, HostTarget};
use crumbs_runtime::kernel::{KernelBackend, Options};
use crumbs_runtime::session::{self, Host};
use crumbs_runtime::show::measure::PARTS;
use crumbs_runtime::show::table::Table;
use crumbs_runtime::show::{Content, Entry, Output};
use crumbs_runtime::sys_time;
use crumbs_runtime::value::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Something that a script showed while it ran.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A printed map.
    Map(String, Vec<Entry>),
    /// Text of `printf`.
    Text(String),
}

/// All that a run showed.
#[derive(Debug, Default)]
pub struct Report {
    /// While it ran, in order.
    pub seen: Vec<Seen>,
    /// Maps printed at its end.
    pub last: BTreeMap<String, Vec<Entry>>,
    /// Warnings, at its end those of losses.
    pub warnings: Vec<String>,
    /// Its exit code.
    pub code: i32,
    ended: bool,
    /// The first printed map waits for this process to end, and nothing is read meanwhile.
    stalls_for: Option<Watch>,
}

/// What an aggregation or scalar showed in all, by key (`None` of maps without).
pub type Totals = BTreeMap<Option<u64>, u64>;

impl Report {
    /// The entries of a map in every print of it, the one at the end included.
    pub fn prints<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [Entry]> {
        let seen = self.seen.iter().filter_map(move |seen| match seen {
            Seen::Map(map, entries) if map == name => Some(&entries[..]),
            _ => None,
        });
        seen.chain(self.last.get(name).map(Vec::as_slice))
    }

    /// Over all prints of a map, the sum of its numbers by key: of histograms the counts, of `stats` the totals.
    pub fn totals(&self, name: &str) -> Totals {
        self.sums(name, |content| match content {
            Content::Stats { total, .. } => *total as u64,
            content => number(content),
        })
    }

    /// As [`Report::totals`], of `stats` the counts.
    pub fn counts(&self, name: &str) -> Totals {
        self.sums(name, |content| match content {
            Content::Stats { count, .. } => *count,
            content => number(content),
        })
    }

    fn sums(&self, name: &str, of: impl Fn(&Content) -> u64) -> Totals {
        let mut totals = Totals::new();
        for entry in self.prints(name).flatten() {
            let total = totals.entry(key(entry)).or_insert(0);
            *total = total.wrapping_add(of(&entry.value));
        }
        totals
    }

    /// The only number that a map without key holds in the end.
    pub fn number(&self, name: &str) -> u64 {
        match self.last.get(name).map(Vec::as_slice) {
            Some([entry]) => number(&entry.value),
            other => panic!("{name} should have one element: {other:?}"),
        }
    }

    /// What buckets of a histogram add up to over all prints, by least number; every key together.
    pub fn buckets(&self, name: &str) -> BTreeMap<i128, u64> {
        let mut sums = BTreeMap::new();
        for entry in self.prints(name).flatten() {
            let Content::Histogram { buckets, .. } = &entry.value else {
                panic!("{name} is no histogram");
            };
            for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
                *sums.entry(bucket.min.unwrap_or(-1)).or_insert(0) += bucket.count;
            }
        }
        sums
    }

    /// What the warnings say was lost: the number that begins the one that contains `what`; 0 where none does.
    pub fn lost(&self, what: &str) -> u64 {
        let about = self.warnings.iter().filter(|warning| warning.contains(what));
        about
            .map(|warning| {
                let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
                let text = warning
                    .strip_prefix("Total lost event count: ")
                    .unwrap_or(warning);
                digits(text)
                    .parse::<u64>()
                    .expect("a loss begins with its number")
            })
            .sum()
    }

    /// By how much at most the length of a map may be too great, as the warnings say: the number of keys that were
    /// inserted twice at the same time, which are shown once.
    pub fn excess(&self, name: &str) -> u64 {
        let begin = format!("len({name}) may be too great by ");
        let excess = self
            .warnings
            .iter()
            .find_map(|warning| warning.strip_prefix(&begin));
        excess.map_or(0, |text| {
            let (number, _) = text.split_once(':').expect("a reason follows");
            number.parse().expect("a number")
        })
    }

    /// Fails unless nothing was lost, lengths aside: see [`Self::excess`].
    pub fn assert_no_loss_but_lengths(&self) {
        let lost = self
            .warnings
            .iter()
            .filter(|warning| !warning.starts_with("len("));
        assert_eq!(lost.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// Fails unless `shown` is the length of a map of so many keys, or as much greater as the warnings say.
    pub fn assert_length(&self, shown: &str, name: &str, keys: u64) {
        let (length, excess) = (self.number(shown), self.excess(name));
        assert!(
            (keys..=keys + excess).contains(&length),
            "{name}: {length} of {keys} (+ {excess})"
        );
    }

    /// Fails unless nothing was lost.
    pub fn assert_no_loss(&self) {
        assert_eq!(self.warnings, Vec::<String>::new());
    }
}

/// The key of an entry; of tuples the first member.
fn key(entry: &Entry) -> Option<u64> {
    entry.key.as_ref().map(|key| match key {
        Value::Tuple(members) => members[0].bits().expect("keys are numbers"),
        key => key.bits().expect("keys are numbers"),
    })
}

/// The number of an entry.
pub fn count(entry: &Entry) -> u64 {
    number(&entry.value)
}

fn number(content: &Content) -> u64 {
    match content {
        Content::Value(value) => value.bits().expect("values are numbers"),
        Content::Number(number) | Content::Average(number) => *number as u64,
        Content::Stats { average, .. } => *average as u64,
        Content::Parts(number) => (number / PARTS) as u64,
        Content::Fields(fields) => fields[0].1 as u64,
        Content::Series(series) => series
            .points
            .iter()
            .filter_map(|(_, number)| *number)
            .sum::<i128>() as u64,
        Content::Histogram { buckets, .. } => buckets.iter().map(|bucket| bucket.count).sum(),
    }
}

impl Output for Report {
    fn attached(&mut self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn value(&mut self, _: &Value) -> io::Result<()> {
        Ok(())
    }
    fn map(&mut self, name: &str, entries: &[Entry], _: &Measure) -> io::Result<()> {
        while self.stalls_for.as_ref().is_some_and(|process| !process.ended()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.ended {
            self.last.insert(name.to_owned(), entries.to_vec());
        } else {
            self.seen.push(Seen::Map(name.to_owned(), entries.to_vec()));
        }
        Ok(())
    }
    fn table(&mut self, _: &Table) -> io::Result<()> {
        Ok(())
    }
    fn printf(&mut self, text: &[u8]) -> io::Result<()> {
        self.seen
            .push(Seen::Text(String::from_utf8_lossy(text).into_owned()));
        Ok(())
    }
    fn message(&mut self, _: MessageLevel, place: &str, text: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        self.seen.push(Seen::Text(format!("{place}: {text}")));
        Ok(())
    }
    fn helper_failed(&mut self, _: &HelperFailure) -> io::Result<()> {
        Ok(())
    }
    fn time(&mut self, text: &[u8]) -> io::Result<()> {
        self.printf(text)
    }
    fn cat(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn command(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn join(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn lost_events(&mut self, _: u64) -> io::Result<()> {
        // What is said at the end counts.
        Ok(())
    }
    fn warning(&mut self, text: &str) -> io::Result<()> {
        self.warnings.push(text.to_owned());
        Ok(())
    }
    fn error(&mut self, text: &str) -> io::Result<()> {
        self.warning(text)
    }
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets one run at a time use the machine, so that no test slows another down.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether programs can be run here; says why not.
pub fn can_run() -> bool {
    let root = std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t0")));
    let missing = if !root {
        "running programs needs root"
    } else if target().is_none() {
        "building the target needs gcc"
    } else {
        return true;
    };
    skip(missing);
    false
}

#[expect(clippy::print_stdout, reason = "the test command counts these lines")]
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// The target program: the one that `CRUMBS_EXACTNESS_TARGET` names, for machines without a compiler, or built now.
fn target() -> Option<&'static PathBuf> {
    static TARGET: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        if let Some(path) = std::env::var_os("CRUMBS_EXACTNESS_TARGET") {
            return Some(PathBuf::from(path));
        }
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exactness-target");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exactness/target.c");
        let built = std::process::Command::new("gcc")
            .args(["-O2", "-pthread", "-static", "-Wall", "-Werror", "-o"])
            .args([path.as_os_str(), source.as_ref()])
            .status();
        built.is_ok_and(|status| status.success()).then_some(path)
    };
    TARGET.get_or_init(build).as_ref()
}

/// Compiles a script. Every update of map memory must be atomic.
pub fn compile(text: &str, target: &dyn Target) -> Compiled {
    let checked = match stages::check("exactness", text, target, &options::Options::default()) {
        Ok(checked) => checked,
        Err(mistakes) => panic!("{text}\n{mistakes:#?}"),
    };
    let compiled = match driver::compile(&checked.script, target) {
        Ok(compiled) => compiled,
        Err(mistakes) => panic!("{text}\n{mistakes:#?}"),
    };
    for program in &compiled.programs {
        assert_eq!(plain_updates(program, &compiled.plan), [], "{text}");
    }
    compiled
}

/// Attaches, and lets the target run once that is done.
struct Surroundings {
    child: Child,
}

impl Host<KernelBackend> for Surroundings {
    fn attach(&mut self, backend: &mut KernelBackend) -> Result<(), Error> {
        backend.watch(self.child.watch())?;
        backend.attach_all()
    }

    fn ready(&mut self) -> Result<(), Error> {
        self.child.release()
    }
}

/// Runs a script, in which `HIT` stands for the probe on the target's function, from the target's start to its end.
pub fn run(script: &str, scale: Scale, fault: Option<Fault>) -> Report {
    run_with(script, scale, fault, |_| Report::default())
}

/// As [`run`], but the first map to be printed is written so slowly that the target has ended by then.
pub fn run_stalled(script: &str, scale: Scale, fault: Option<Fault>) -> Report {
    run_with(script, scale, fault, |child| Report {
        stalls_for: Some(child.watch()),
        ..Report::default()
    })
}

fn run_with(
    script: &str,
    scale: Scale,
    fault: Option<Fault>,
    report: impl FnOnce(&Child) -> Report,
) -> Report {
    let _turn = turn();
    let path = target().expect("asked before").display();
    let text = script.replace("HIT", &format!("uprobe:{path}:crumbs_hit"));
    let host = HostTarget::new(HostOptions::from_environment());
    let mut compiled = compile(&text, &host);
    if let Some(fault) = fault {
        fault.plant(&mut compiled);
    }
    let source = SourceInfo {
        name: "exactness",
        text: &text,
    };
    let object = driver::write_object(&compiled, &source).unwrap();
    let child = Child::spawn(&format!(
        "{path} {} {} {}",
        scale.threads, scale.calls, scale.lasts
    ))
    .unwrap();
    let options = Options {
        pid: Some(child.pid()),
        ..Options::default()
    };
    let mut backend = match KernelBackend::load(&compiled.plan, &object, options) {
        Ok(backend) => backend,
        Err(error) => panic!("{text}\n{error:?}"),
    };
    // What user space believes of the maps; programs are loaded by now.
    let plan = match fault {
        Some(fault) => fault.mislead(&compiled.plan),
        None => compiled.plan,
    };
    let mut report = report(&child);
    let mut host = Surroundings { child };
    let start = sys_time::boot_clock_ns();
    report.code = session::run(&plan, &mut backend, &mut host, &mut report, start).unwrap();
    let status = host.child.end();
    assert!(
        report.code != 0 || status.is_some_and(|status| status.success()),
        "the target ended early: {status:?}"
    );
    report
}
