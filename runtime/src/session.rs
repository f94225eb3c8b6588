//! A run of a script from `begin` to the printed maps.
//!
//! In: a [`Plan`], the [`Backend`] that holds its programs, and an [`Output`]. The order is: start time, `begin`
//! programs, attaching, the loop over events, detaching, `end` programs, the last events, losses, maps. Whatever goes
//! wrong in between, everything is detached before the error is returned.

mod halves;
mod inbox;
pub(crate) mod losses;
mod rates;
mod requests;
#[cfg(test)]
mod tests;

use crate::backend::{Backend, Error, Skipped, Wake};
use crate::host::origins::Origin;
use crate::show::table::{Column, Table};
use crate::show::{self, Content, Entry, Output, printf};
use crate::snapshot::{Leave, Maps};
use crate::symbols::Place;
use crate::value::{Names, Value, decode, name_addresses};
use crate::words;
use crumbs_compiler::plan::{
    AfterPrint, Attach, Event, EventKind, LossKind, MapId, MemoryPlan, MessageLevel, Occasion, Plan,
};
use crumbs_compiler::view::MapView;
pub use halves::{Measured, conclude, measure};
use inbox::{Inbox, Record};
use rates::Rates;
pub use requests::{Benchmark, bench, test, write_benchmarks, write_benchmarks_as_json};
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// How long to sleep at most: how late a loss is noticed when nothing is printed.
const IDLE: Duration = Duration::from_secs(1);
/// How long to wait for an event that another one has to follow.
const GAP: Duration = Duration::from_millis(1);
/// How many events are looked at for maps that programs can be waited for together.
const LOOK_AHEAD: usize = 64;
/// How many events are put in order before they are handled: what was refused is kept as a count, which may be large.
const AT_ONCE: usize = 1 << 16;
/// How often lost events are reported at most.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

/// What a session needs of its surroundings.
pub trait Host<B> {
    /// Attaches every program that is not `begin` or `end`. A simulation fires them itself and attaches none.
    ///
    /// # Errors
    /// When a place cannot be attached to.
    fn attach(&mut self, _backend: &mut B) -> Result<(), Error> {
        Ok(())
    }
    /// Everything is attached: the traced command, if there is one, may run.
    ///
    /// # Errors
    /// When it cannot be made to run.
    fn ready(&mut self) -> Result<(), Error> {
        Ok(())
    }
    /// The run ends before anything is attached: whoever waits for that need not any longer.
    fn over(&mut self) {}
    /// Called while programs run, at least as often as a loop over events comes by.
    fn look_around(&mut self) {}
    /// What lies at an address of a process or the kernel.
    fn place(&mut self, _pid: Option<u32>, _address: u64) -> Place {
        Place::default()
    }
    /// The build id of the file that an address of a process shows, in hexadecimal, and the offset in the file.
    fn build_id(&mut self, _pid: u32, _address: u64) -> Option<(String, u64)> {
        None
    }
    /// Where the instruction at an address of a process comes from.
    fn origin(&mut self, _pid: u32, _address: u64) -> Origin {
        Origin::default()
    }
    /// The boot clock now, nanoseconds.
    fn now(&mut self) -> u64 {
        crate::sys_time::boot_clock_ns()
    }
    /// The time now by a strftime format.
    fn strftime(&mut self, format: &str) -> Vec<u8> {
        crate::sys_time::strftime_now(format)
    }
    /// Runs a shell command to its end and gives what it prints.
    ///
    /// # Errors
    /// When it cannot be run: a simulation runs none.
    fn shell(&mut self, _command: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::Error::other("a simulation runs no commands"))
    }
}

/// The host as the one who knows names.
struct HostNames<'a, B>(&'a mut dyn Host<B>);

impl<B> Names for HostNames<'_, B> {
    fn place(&mut self, pid: Option<u32>, address: u64) -> Place {
        self.0.place(pid, address)
    }

    fn build_id(&mut self, pid: u32, address: u64) -> Option<(String, u64)> {
        self.0.build_id(pid, address)
    }

    fn origin(&mut self, pid: u32, address: u64) -> Origin {
        self.0.origin(pid, address)
    }
}

/// Runs a script to its end and gives its exit code. `start` is the boot clock's time now, nanoseconds: what `elapsed`
/// counts from.
///
/// # Errors
/// When a program cannot be run or attached, or the output cannot be written. Trouble with a single map is a warning.
pub fn run<B: Backend>(
    plan: &Plan,
    backend: &mut B,
    host: &mut dyn Host<B>,
    output: &mut dyn Output,
    start: u64,
) -> Result<i32, Error> {
    let mut session = Session::new(plan, Maps::new(plan), output, start);
    session.run(backend, host, start)
}

/// A run.
struct Session<'a> {
    plan: &'a Plan,
    maps: Maps<'a>,
    inbox: Inbox<'a>,
    output: &'a mut dyn Output,
    /// Whether `exit` was called.
    exiting: bool,
    code: i32,
    /// How many commands of `system` were left out because the user had ended the run: they can be any number, and each takes
    /// its time.
    not_run: u64,
    /// Lost events that were reported, and when that was last looked at.
    reported: (u64, Option<Instant>),
    rates: Rates,
    /// What was lost before the run began.
    lost_before: Vec<(LossKind, u64)>,
}

impl<'a> Session<'a> {
    fn new(plan: &'a Plan, maps: Maps<'a>, output: &'a mut dyn Output, start: u64) -> Self {
        Self {
            plan,
            maps,
            inbox: Inbox::new(plan),
            output,
            exiting: false,
            code: 0,
            not_run: 0,
            reported: (0, None),
            rates: Rates::new(start),
            lost_before: Vec::new(),
        }
    }

    fn run<B: Backend>(&mut self, backend: &mut B, host: &mut dyn Host<B>, start: u64) -> Result<i32, Error> {
        let outcome = self.until_exit(backend, host, start);
        backend.detach();
        self.maps.programs_have_ended();
        outcome?;
        self.finish(backend, host)?;
        Ok(self.code)
    }

    fn until_exit<B: Backend>(
        &mut self,
        backend: &mut B,
        host: &mut dyn Host<B>,
        start: u64,
    ) -> Result<(), Error> {
        if self.has_word(MemoryPlan::START) {
            backend.store(MemoryPlan::START, start);
        }
        for program in programs(self.plan, |occasion| occasion == Occasion::Begin) {
            backend.run_once(program)?;
            self.inbox.collect(backend);
            if self.exit_is_pending(backend) {
                // As in bpftrace, where `exit` takes effect once everything is attached: here it need not be, since nothing
                // would run.
                self.output.attached(probes(self.plan)).map_err(unwritable)?;
                host.over();
                return Ok(());
            }
        }
        host.attach(backend)?;
        let skipped = self.report_skipped(backend)?;
        self.output
            .attached(probes(self.plan).saturating_sub(skipped))
            .map_err(unwritable)?;
        for path in backend.pinned() {
            self.output
                .printf(format!("Program pinned to {path}\n").as_bytes())
                .map_err(unwritable)?;
        }
        host.ready()?;
        if !self.iterate(backend, host)? {
            return Ok(());
        }
        let fires = |occasion| matches!(occasion, Occasion::Event | Occasion::Signal(_));
        let can_fire = !programs(self.plan, fires).is_empty();
        loop {
            self.inbox.collect(backend);
            self.handle_all(backend, host)?;
            self.output.flush().map_err(unwritable)?;
            if self.exiting || self.exit_flag(backend).is_some() || !can_fire {
                return Ok(());
            }
            let timeout = if self.inbox.is_waiting() { GAP } else { IDLE };
            host.look_around();
            match backend.wait(Some(timeout)) {
                Wake::Poll => {
                    self.report_skipped(backend)?;
                    self.report_lost_events(backend)?;
                }
                Wake::Signal(signal) => {
                    for program in programs(self.plan, |occasion| occasion == Occasion::Signal(signal)) {
                        backend.run_once(program)?;
                    }
                }
                Wake::Interrupted | Wake::TargetEnded | Wake::Drained => return Ok(()),
            }
        }
    }

    /// Says what was lost.
    fn report_losses(&mut self, totals: &[(LossKind, u64)]) -> Result<(), Error> {
        for (kind, total) in totals {
            if let Some(text) = losses::describe(self.plan, *kind, *total) {
                self.output.warning(&text).map_err(unwritable)?;
            }
        }
        if self.not_run > 0 {
            let text = losses::not_run(self.not_run);
            self.output.warning(&text).map_err(unwritable)?;
        }
        Ok(())
    }

    /// Runs the programs of all iterators to their ends. Gives whether the run goes on.
    fn iterate<B: Backend>(&mut self, backend: &mut B, host: &mut dyn Host<B>) -> Result<bool, Error> {
        for program in programs(self.plan, |occasion| occasion == Occasion::Element) {
            while backend.iterate(program)? {
                self.inbox.collect(backend);
                self.handle_all(backend, host)?;
                self.output.flush().map_err(unwritable)?;
                let ended = matches!(
                    backend.wait(Some(Duration::ZERO)),
                    Wake::Interrupted | Wake::TargetEnded
                );
                if ended || self.exiting || self.exit_flag(backend).is_some() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Says what could not be attached, and gives how many places that are.
    fn report_skipped<B: Backend>(&mut self, backend: &mut B) -> Result<usize, Error> {
        let all = backend.skipped();
        let places = all.iter().map(Skipped::places).sum();
        if let Some(summary) = losses::summary(self.plan, &all) {
            let told = summary.map_or(Ok(()), |text| self.output.warning(&text));
            return told.map(|()| places).map_err(unwritable);
        }
        let refused = losses::refused(&all);
        // Where they are errors, only what shows up during the run is left to tell.
        let missing = all.into_iter().filter_map(Skipped::missing);
        for text in missing.map(|reason| reason.to_string()).chain(refused) {
            self.output.warning(&text).map_err(unwritable)?;
        }
        Ok(places)
    }

    /// What follows once everything is detached.
    fn finish<B: Backend>(&mut self, backend: &mut B, host: &mut dyn Host<B>) -> Result<(), Error> {
        self.report_skipped(backend)?;
        self.drain(backend, host)?;
        // A flag set by now is no news to the `end` programs, but its code counts unless they give another.
        if let Some(code) = self.exit_flag(backend) {
            self.code = code;
            backend.store(MemoryPlan::EXIT, 0);
        }
        for program in programs(self.plan, |occasion| occasion == Occasion::End) {
            backend.run_once(program)?;
        }
        self.drain(backend, host)?;
        if let Some(code) = self.exit_flag(backend) {
            self.code = code;
        }
        let mut lost = std::mem::take(&mut self.lost_before);
        lost.extend(losses::totals(self.plan, backend));
        self.report_losses(&lost)?;
        self.output.end().map_err(unwritable)?;
        if self.plan.settings.print_maps_on_exit {
            let maps = &self.plan.maps;
            let mut order: Vec<usize> = (0..maps.len()).filter(|&map| !maps[map].is_internal()).collect();
            order.sort_unstable_by(|&a, &b| self.plan.maps[a].name.cmp(&self.plan.maps[b].name));
            for map in order {
                self.print_map(
                    (backend, host),
                    MapId(map as u32),
                    &MapView::default(),
                    Leave::AsIs,
                    None,
                )?;
            }
        }
        self.output.flush().map_err(unwritable)
    }

    /// Handles every event that is left; no program runs meanwhile.
    fn drain<B: Backend>(&mut self, backend: &mut B, host: &mut dyn Host<B>) -> Result<(), Error> {
        loop {
            self.inbox.collect_last(backend);
            if !self.inbox.is_waiting() {
                return Ok(());
            }
            self.handle_all(backend, host)?;
        }
    }

    fn handle_all<B: Backend>(&mut self, backend: &mut B, host: &mut dyn Host<B>) -> Result<(), Error> {
        // All records had been sent before the first is handled, and so had the updates that came before them. So what was
        // emptied meanwhile is empty for the rest of them: to take it again would cost another wait for programs, and
        // events that come faster than that would never be through.
        let mut emptied = BTreeSet::new();
        loop {
            let records: Vec<Record> = std::iter::from_fn(|| self.inbox.next()).take(AT_ONCE).collect();
            if records.is_empty() {
                return Ok(());
            }
            for (at, record) in records.iter().enumerate() {
                let on_map = self.map_of(record);
                if let Some((map, _)) = on_map
                    && emptied.contains(&map)
                {
                    self.print_emptied(record, map)?;
                    continue;
                }
                if on_map.is_some_and(|(_, taken)| taken) {
                    let retiring = self.taken_next(&records[at..], &emptied);
                    self.maps.retire(backend, &retiring);
                }
                self.handle(backend, host, record)?;
                emptied.extend(self.emptied_by(record));
            }
        }
    }

    /// The map that an event leaves empty.
    fn emptied_by(&self, record: &Record) -> Option<MapId> {
        match self.plan.events.get(record.event)?.kind {
            EventKind::Clear(map)
            | EventKind::PrintMap {
                map,
                then: AfterPrint::Clear,
                ..
            } => Some(map),
            _ => None,
        }
    }

    /// Does what an event asks for of a map that has just been emptied.
    fn print_emptied(&mut self, record: &Record, map: MapId) -> Result<(), Error> {
        let plan = self.plan;
        let EventKind::PrintMap { view, .. } = &plan.events[record.event].kind else {
            return Ok(());
        };
        match self.maps.unset(map) {
            Some(unset) => {
                let name = plan.maps[map.0 as usize].display_name();
                self.output
                    .map(&name, &[unset], &view.measure)
                    .map_err(unwritable)
            }
            None => Ok(()),
        }
    }

    /// The maps that are taken from by some of the next records, without being read before. Those that count as emptied
    /// are not taken from again: what was retired of them nobody would read.
    fn taken_next(&self, records: &[Record], emptied: &BTreeSet<MapId>) -> Vec<MapId> {
        let mut seen = emptied.clone();
        records
            .iter()
            .take(LOOK_AHEAD)
            .flat_map(|record| self.maps_of(record))
            .filter(|(map, taken)| seen.insert(*map) && *taken)
            .map(|(map, _)| map)
            .collect()
    }

    /// The map that an event reads, and whether its contents are taken away.
    fn map_of(&self, record: &Record) -> Option<(MapId, bool)> {
        match self.plan.events.get(record.event)?.kind {
            EventKind::PrintMap { map, then, .. } => Some((map, then != AfterPrint::Keep)),
            EventKind::Clear(map) | EventKind::Zero(map) => Some((map, true)),
            _ => None,
        }
    }

    /// The maps that an event reads, and whether their contents are taken away.
    fn maps_of(&self, record: &Record) -> Vec<(MapId, bool)> {
        match self.plan.events.get(record.event).map(|event| &event.kind) {
            Some(EventKind::Table(table)) => table.columns.iter().map(|(map, _)| (*map, false)).collect(),
            _ => self.map_of(record).into_iter().collect(),
        }
    }

    fn handle<B: Backend>(
        &mut self,
        backend: &mut B,
        host: &mut dyn Host<B>,
        record: &Record,
    ) -> Result<(), Error> {
        let Some(event) = self.plan.events.get(record.event) else {
            let text = format!(
                "a program sent event {}, which it does not have; it is left out",
                record.event
            );
            return self.output.warning(&text).map_err(unwritable);
        };
        let args = self.shown_arguments(event, &record.bytes, host);
        match &event.kind {
            EventKind::Printf(format) => self
                .output
                .printf(&printf::fill(format, &args))
                .map_err(unwritable),
            EventKind::Message {
                level: MessageLevel::Warning,
                ..
            } if !self.plan.settings.show_warnings => Ok(()),
            EventKind::Message {
                level,
                place,
                format,
                uses,
            } => {
                let text = printf::fill(format, &args);
                show::write_expanded(&mut *self.output, *level, (place, &text), uses).map_err(unwritable)
            }
            EventKind::HelperFailed(failure) => self.output.helper_failed(failure).map_err(unwritable),
            EventKind::Unwatch => {
                backend.unwatch(args.first().and_then(Value::bits).unwrap_or_default());
                Ok(())
            }
            EventKind::Cat(format) => self.cat(&printf::fill(format, &args)),
            EventKind::System(_) if backend.is_interrupted() => {
                self.not_run += 1;
                Ok(())
            }
            EventKind::System(format) => self.system(host, &printf::fill(format, &args)),
            EventKind::Join(separator) => self
                .output
                .join(&printf::joined(&args, separator))
                .map_err(unwritable),
            EventKind::Print => {
                let value = args.first().unwrap_or(&Value::Void);
                self.output.value(value).map_err(unwritable)
            }
            EventKind::PrintMap { map, view, then } => {
                let leave = match then {
                    AfterPrint::Keep => Leave::AsIs,
                    AfterPrint::Clear => Leave::Empty,
                    AfterPrint::Zero => Leave::Zeroed,
                };
                let unset = self.maps.unset(*map);
                self.print_map((backend, host), *map, view, leave, unset)
            }
            EventKind::Table(table) => self.table((backend, host), table),
            EventKind::Clear(map) => self.change_map(backend, *map, Leave::Empty),
            EventKind::Zero(map) => self.change_map(backend, *map, Leave::Zeroed),
            EventKind::Time(format) => {
                let text = host.strftime(format);
                self.output.time(&text).map_err(unwritable)
            }
            EventKind::Exit => {
                self.exiting = true;
                if let Some(code) = args.first().and_then(Value::bits) {
                    self.code = code as i32;
                }
                Ok(())
            }
        }
    }

    /// What an event carries, as it is shown: addresses by name, and nothing in texts that a terminal obeys.
    fn shown_arguments<B: Backend>(&self, event: &Event, bytes: &[u8], host: &mut dyn Host<B>) -> Vec<Value> {
        let mut args = self.arguments(event, bytes);
        for arg in &mut args {
            name_addresses(arg, &mut HostNames(host));
        }
        if self.output.is_on_screen() {
            show::screen::guard_shown(&event.kind, &mut args);
        }
        args
    }

    /// Runs a command and prints what it prints.
    fn system<B: Backend>(&mut self, host: &mut dyn Host<B>, command: &[u8]) -> Result<(), Error> {
        // What was printed before stands before what the command prints itself.
        self.output.flush().map_err(unwritable)?;
        match host.shell(command) {
            Ok(text) => self.output.command(&text),
            Err(error) => {
                let command = String::from_utf8_lossy(command);
                self.output.warning(&format!("cannot run `{command}`: {error}"))
            }
        }
        .map_err(unwritable)
    }

    /// Prints a file.
    fn cat(&mut self, path: &[u8]) -> Result<(), Error> {
        let most = u64::from(self.plan.settings.max_cat_bytes);
        let mut text = Vec::new();
        let read =
            File::open(OsStr::from_bytes(path)).and_then(|file| file.take(most).read_to_end(&mut text));
        match read {
            Ok(_) => self.output.cat(&text),
            Err(error) => {
                let path = String::from_utf8_lossy(path);
                let text = format!("failed to open file '{path}' ({})", words::reason(&error));
                self.output.error(&text)
            }
        }
        .map_err(unwritable)
    }

    fn arguments(&self, event: &Event, record: &[u8]) -> Vec<Value> {
        event
            .args
            .iter()
            .map(|arg| {
                let bytes = record.get(arg.offset as usize..).unwrap_or(&[]);
                decode(bytes, &arg.ty, self.plan, true)
            })
            .collect()
    }

    /// Prints a map; `unset` is shown where it has no entry.
    fn print_map<B: Backend>(
        &mut self,
        (backend, host): (&mut B, &mut dyn Host<B>),
        map: MapId,
        view: &MapView,
        leave: Leave,
        unset: Option<Entry>,
    ) -> Result<(), Error> {
        match self.maps.read(backend, map, leave) {
            Ok(mut entries) => {
                if entries.is_empty() {
                    entries.extend(unset);
                }
                if entries.is_empty() {
                    return Ok(());
                }
                if view.measure.per_second {
                    self.rates.replace(map, &mut entries, host.now());
                }
                if leave != Leave::AsIs {
                    self.rates.restart(map);
                }
                for entry in &mut entries {
                    if let Some(key) = &mut entry.key {
                        name_addresses(key, &mut HostNames(host));
                    }
                    if let Content::Value(value) = &mut entry.value {
                        name_addresses(value, &mut HostNames(host));
                    }
                }
                show::arrange(&mut entries, view);
                let name = self.plan.maps[map.0 as usize].display_name();
                self.output
                    .map(&name, &entries, &view.measure)
                    .map_err(unwritable)
            }
            Err(error) => self.output.warning(&error.to_string()).map_err(unwritable),
        }
    }

    fn table<B: Backend>(
        &mut self,
        (backend, host): (&mut B, &mut dyn Host<B>),
        table: &crumbs_compiler::plan::Table,
    ) -> Result<(), Error> {
        let mut columns = Vec::new();
        for (map, measure) in &table.columns {
            let mut entries = match self.maps.read(backend, *map, Leave::AsIs) {
                Ok(entries) => entries,
                Err(error) => return self.output.warning(&error.to_string()).map_err(unwritable),
            };
            for key in entries.iter_mut().filter_map(|entry| entry.key.as_mut()) {
                name_addresses(key, &mut HostNames(host));
            }
            let map = &self.plan.maps[map.0 as usize];
            let column = Column {
                name: map.display_name(),
                measure: measure.clone(),
                absent_is_zero: map.aggregation().is_none_or(|ty| ty.aggregation().adds_up()),
            };
            columns.push((column, entries));
        }
        let table = Table::new(table.keys.clone(), columns, table.top);
        self.output.table(&table).map_err(unwritable)
    }

    fn change_map<B: Backend>(&mut self, backend: &mut B, map: MapId, leave: Leave) -> Result<(), Error> {
        self.rates.restart(map);
        match self.maps.read(backend, map, leave) {
            Ok(_) => Ok(()),
            Err(error) => self.output.warning(&error.to_string()).map_err(unwritable),
        }
    }

    /// Says how many events were lost since it last did.
    fn report_lost_events(&mut self, backend: &dyn Backend) -> Result<(), Error> {
        let (known, looked) = self.reported;
        if looked.is_some_and(|looked| looked.elapsed() < LOSS_INTERVAL) {
            return Ok(());
        }
        let total = losses::events(&losses::totals(self.plan, backend));
        self.reported = (total, Some(Instant::now()));
        if total > known {
            self.output.lost_events(total - known).map_err(unwritable)?;
        }
        Ok(())
    }

    /// Whether an `exit` has been sent, handled or not.
    fn exit_is_pending(&self, backend: &dyn Backend) -> bool {
        let is_exit = |record: &Record| {
            let event = self.plan.events.get(record.event);
            event.is_some_and(|event| event.kind == EventKind::Exit)
        };
        self.exiting || self.exit_flag(backend).is_some() || self.inbox.contains(is_exit)
    }

    /// The exit code of an `exit` that no ring could take.
    fn exit_flag(&self, backend: &dyn Backend) -> Option<i32> {
        if !self.has_word(MemoryPlan::EXIT) {
            return None;
        }
        match backend.load(MemoryPlan::EXIT) & !MemoryPlan::EXITED {
            0 => None,
            flag => Some((flag - 1) as i32),
        }
    }

    fn has_word(&self, offset: u32) -> bool {
        offset + 8 <= self.plan.memory.size
    }
}

/// The programs with an attach point that is run on a `wanted` occasion, once for each such point.
fn programs(plan: &Plan, wanted: impl Fn(Occasion) -> bool) -> Vec<usize> {
    plan.programs
        .iter()
        .enumerate()
        .flat_map(|(index, program)| program.attach.iter().map(move |attach| (index, attach)))
        .filter(|(_, attach)| wanted(attach.occasion()))
        .map(|(index, _)| index)
        .collect()
}

/// How many probes the script has. A static probe can have several places, in programs of their own where their arguments
/// differ, and is one probe of its block.
fn probes(plan: &Plan) -> usize {
    let mut known = HashSet::new();
    let mut count = 0;
    for program in &plan.programs {
        for attach in &program.attach {
            let is_first = |cookie: &u32| {
                let site = plan.sites.get(*cookie as usize);
                // Places of static probes belong to no function.
                let site =
                    site.filter(|site| site.func.is_empty() && matches!(attach, Attach::Uprobe { .. }));
                site.is_none_or(|site| known.insert((program.span, site.probe.as_str())))
            };
            count += match attach.occasion() {
                Occasion::Begin | Occasion::End => 1,
                Occasion::Signal(_) | Occasion::Event | Occasion::Element => {
                    attach.cookies().into_iter().filter(is_first).count()
                }
                Occasion::Request(_) => 0,
            };
        }
    }
    count
}

fn unwritable(error: io::Error) -> Error {
    Error::io("write the output", &error)
}
