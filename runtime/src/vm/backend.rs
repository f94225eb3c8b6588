//! The VM as a back end: a plan, its bytecode and a list of events behind [`Backend`].

use super::context;
use super::event::Event;
use super::fault::Fault;
use super::hash::UpdateFlag;
use super::machine::{Machine, Program, Start, Store};
use super::schedule::{self, Schedule};
use crate::backend::{Backend, Error, RawEntry, Ring, Wake};
use crumbs_compiler::bpf;
use crumbs_compiler::plan::{Attach, BpfMapId, Plan, Stripes};
use crumbs_compiler::probe_value::{self, Role};
use crumbs_compiler::target::{Target, TracepointFormat};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Runs a compiled script on synthetic events.
#[derive(Debug)]
pub struct VmBackend {
    plan: Plan,
    machine: Machine,
    programs: Vec<Program>,
    places: Vec<Place>,
    cpus: u32,
    queue: Vec<Delivery>,
    /// The next delivery, and how often it was made.
    next: usize,
    repeated: u64,
    /// The time of the last run.
    clock: u64,
    is_attached: bool,
    failure: Option<Error>,
}

/// Somewhere a program is attached.
#[derive(Clone, Debug)]
struct Place {
    program: usize,
    cookie: u32,
    format: Option<Arc<TracepointFormat>>,
    /// Whether its program gets the cookie as its first argument.
    is_run_by_us: bool,
    /// Whether it is at the return of a function.
    on_return: bool,
}

/// An event and what it fires.
#[derive(Debug)]
struct Delivery {
    event: Rc<Event>,
    firings: Vec<Firing>,
}

#[derive(Debug)]
struct Firing {
    program: usize,
    cookie: u32,
    context: Rc<[u8]>,
}

impl VmBackend {
    /// Prepares a simulation. `code` has an element for each of the plan's programs; `target` tells the layout of
    /// tracepoint records, the number of CPUs and the pid namespace.
    ///
    /// An event fires every program that is attached to its attach point, written in full as
    /// [`crumbs_compiler::plan::Site::probe`] or with the binary shortened: `uprobe:libc:write` for
    /// `uprobe:/usr/lib/libc.so.6:write`.
    ///
    /// # Errors
    /// When a program is malformed, or an event fires nothing or does not fit what it fires.
    pub fn new(
        plan: &Plan,
        code: &[bpf::Program],
        events: &[Event],
        target: &dyn Target,
    ) -> Result<Self, Error> {
        let cpus = target.possible_cpus();
        let mut machine = Machine::new(plan, cpus).map_err(|reason| error("create the maps", reason))?;
        machine.namespace = target.pid_namespace();
        if code.len() != plan.programs.len() {
            return Err(error(
                "load the programs",
                "their number is not the plan's".into(),
            ));
        }
        let programs = code
            .iter()
            .enumerate()
            .map(|(index, code)| {
                Machine::link(plan, index, code).map_err(|fault| fault_in(plan, index, "load", &fault))
            })
            .collect::<Result<_, _>>()?;
        let mut vm = Self {
            plan: plan.clone(),
            machine,
            programs,
            places: places(plan, target)?,
            cpus,
            queue: Vec::new(),
            next: 0,
            repeated: 0,
            clock: 0,
            is_attached: true,
            failure: None,
        };
        vm.queue = events
            .iter()
            .map(|event| vm.prepare(event))
            .collect::<Result<_, _>>()?;
        Ok(vm)
    }

    /// What ended the simulation early: [`Backend::wait`] has no way to tell.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Sets the clock that programs see, ns.
    pub fn set_clock(&mut self, now: u64) {
        self.clock = now;
    }

    /// The clock that programs see, ns: 0 until the first event. A session's start time.
    pub fn now(&self) -> u64 {
        self.clock
    }

    /// From now on the kernel has no memory for new elements of a map, or has some again.
    ///
    /// # Errors
    /// When the map is none that has elements.
    pub fn starve(&mut self, map: BpfMapId, starves: bool) -> Result<(), Error> {
        self.hash(map)?.starves = starves;
        Ok(())
    }

    /// The per-CPU part of the program memory.
    pub fn stripes(&self) -> Stripes {
        self.plan.memory.stripes
    }

    /// Stores an element of a map, for the first CPU where each has a value.
    ///
    /// # Errors
    /// When the map is none that has elements, or is full.
    pub fn put(&mut self, map: BpfMapId, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let hash = self.hash(map)?;
        if key.len() != hash.key_size || value.len() != hash.value_size {
            return Err(error("fill a map", "an element has another size".into()));
        }
        hash.update(key, value, UpdateFlag::Any, 0).map_err(|number| {
            let reason = std::io::Error::from_raw_os_error(-number).to_string();
            error("fill a map", reason)
        })
    }

    /// Runs events at the same time, as lanes of a schedule: each event once, whatever its `repeat`.
    ///
    /// # Errors
    /// When an event fires nothing, or a program is at fault.
    pub fn run_interleaved(&mut self, events: &[Event], schedule: &mut dyn Schedule) -> Result<(), Error> {
        let deliveries: Vec<Delivery> = events
            .iter()
            .map(|event| self.prepare(event))
            .collect::<Result<_, _>>()?;
        let lanes: Vec<Vec<(Program, Start)>> = deliveries
            .iter()
            .map(|delivery| {
                let firings = delivery.firings.iter();
                firings
                    .map(|firing| (self.programs[firing.program].clone(), delivery.start(firing, 0)))
                    .collect()
            })
            .collect();
        schedule::interleave(&mut self.machine, &lanes, schedule).map_err(|at| {
            let program = deliveries[at.lane].firings[at.part].program;
            fault_in(&self.plan, program, "run", &at.fault)
        })
    }

    /// Finds what an event fires and builds the contexts.
    fn prepare(&self, event: &Event) -> Result<Delivery, Error> {
        let fail = |reason: String, help: Option<String>| {
            Error::new(
                match event.line {
                    0 => format!("deliver `{}`", event.probe),
                    line => format!("deliver `{}` (line {line} of the events)", event.probe),
                },
                reason,
            )
            .help(help)
        };
        if event.cpu >= self.cpus {
            return Err(fail(
                format!("there is no CPU {}", event.cpu),
                Some(format!("CPUs are 0 to {}", self.cpus.saturating_sub(1))),
            ));
        }
        let name = |place: &Place| {
            self.plan
                .sites
                .get(place.cookie as usize)
                .map_or("", |site| site.probe.as_str())
        };
        let matching = |matches: &dyn Fn(&str) -> bool| -> Vec<&Place> {
            self.places.iter().filter(|&place| matches(name(place))).collect()
        };
        let mut hit = matching(&|full| full == event.probe);
        if hit.is_empty() {
            hit = matching(&|full| is_short_for(&event.probe, full));
        }
        let Some(&first) = hit.first() else {
            let mut names: Vec<&str> = self.places.iter().map(name).collect();
            names.dedup();
            let help = match names.len() {
                0 => "the script attaches to nothing; `begin` and `end` run by themselves".into(),
                _ => format!("the script attaches to {}", names.join(", ")),
            };
            return Err(fail("no program is attached there".into(), Some(help)));
        };
        if let Some(other) = hit.iter().find(|&&place| name(place) != name(first)) {
            let both = format!("it can mean {} or {}", name(first), name(other));
            return Err(fail(both, Some("write the attach point in full".into())));
        }
        // A probe of calls has programs at both ends of the same functions: a result is there at their return only.
        if hit.iter().any(|place| place.on_return != first.on_return) {
            let result = probe_value::name_of(Role::ReturnValue);
            let is_return = event.context.iter().any(|(attribute, _)| attribute == result);
            hit.retain(|place| place.on_return == is_return);
        }
        // Functions that share a name are several places; one event is at one of them.
        let mut firings: Vec<Firing> = Vec::new();
        for place in hit {
            if firings.iter().any(|firing| firing.program == place.program) {
                continue;
            }
            let kind = self.programs[place.program].kind;
            let context = if place.is_run_by_us && event.context.is_empty() {
                context::arguments(place.cookie)
            } else {
                context::build(kind, self.plan.arch, place.format.as_deref(), event)
                    .map_err(|reason| fail(reason, None))?
            };
            firings.push(Firing {
                program: place.program,
                cookie: place.cookie,
                context: context.into(),
            });
        }
        Ok(Delivery {
            event: Rc::new(event.clone()),
            firings,
        })
    }

    fn run(&mut self, program: usize, start: Start) -> Result<u32, Error> {
        let Some(linked) = self.programs.get(program) else {
            return Err(error("run a program", format!("there is no program {program}")));
        };
        self.clock = start.event.time.saturating_add(start.delay);
        let mut run = self.machine.start(linked, start);
        match self.machine.finish(&mut run) {
            Ok(returned) => Ok(returned as u32),
            Err(fault) => Err(fault_in(&self.plan, program, "run", &fault)),
        }
    }

    fn hash(&mut self, map: BpfMapId) -> Result<&mut super::hash::HashStore, Error> {
        match self.machine.maps.get_mut(map.0 as usize) {
            Some(Store::Hash(hash)) => Ok(hash),
            _ => Err(error(
                "access a map",
                format!("kernel map {} is no hash map", map.0),
            )),
        }
    }

    fn word(&self, offset: u32, f: impl FnOnce(&mut [u8; 8])) {
        let mut memory = self.machine.memory.borrow_mut();
        if let Some(word) = memory
            .get_mut(offset as usize..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            f(word);
        }
    }
}

impl Delivery {
    fn start(&self, firing: &Firing, delay: u64) -> Start {
        Start {
            event: Rc::clone(&self.event),
            delay,
            cookie: firing.cookie,
            context: Rc::clone(&firing.context),
        }
    }
}

impl Backend for VmBackend {
    fn load(&self, offset: u32) -> u64 {
        let mut value = 0;
        self.word(offset, |word| value = u64::from_le_bytes(*word));
        value
    }

    fn store(&self, offset: u32, value: u64) {
        self.word(offset, |word| *word = value.to_le_bytes());
    }

    fn swap(&self, offset: u32, value: u64) -> u64 {
        let old = self.load(offset);
        self.store(offset, value);
        old
    }

    fn entries(&mut self, map: BpfMapId) -> Result<Vec<RawEntry>, Error> {
        let entries = self.hash(map)?.iter().map(|(key, values)| RawEntry {
            key: key.to_vec(),
            values: values.map(<[u8]>::to_vec).collect(),
        });
        Ok(entries.collect())
    }

    fn element(&mut self, map: BpfMapId, key: &[u8]) -> Result<Option<RawEntry>, Error> {
        let entries = self.entries(map)?;
        Ok(entries.into_iter().find(|entry| entry.key == key))
    }

    fn remove_all(&mut self, map: BpfMapId) -> Result<(), Error> {
        self.hash(map)?.clear();
        Ok(())
    }

    fn insert_zero(&mut self, map: BpfMapId, key: &[u8]) -> Result<bool, Error> {
        let hash = self.hash(map)?;
        if key.len() != hash.key_size {
            return Err(error("insert into a map", "the key has another size".into()));
        }
        hash.insert_zero(key).map_err(|number| {
            let reason = std::io::Error::from_raw_os_error(-number).to_string();
            error("insert into a map", reason)
        })
    }

    fn zero_all(&mut self, map: BpfMapId) -> Result<(), Error> {
        self.hash(map)?.zero();
        Ok(())
    }

    fn run_once(&mut self, program: usize) -> Result<u32, Error> {
        let cookie = self.plan.programs.get(program).and_then(|program| {
            let by_session = |attach: &&Attach| attach.occasion().is_run_by_session();
            let attach = program.attach.iter().find(by_session)?;
            attach.cookies().first().copied()
        });
        let event = Event {
            time: self.clock,
            ..Event::new("")
        };
        let start = Start {
            event: Rc::new(event),
            delay: 0,
            cookie: cookie.unwrap_or(0),
            context: context::arguments(cookie.unwrap_or(0)).into(),
        };
        self.run(program, start)
    }

    fn next_record(&mut self, ring: Ring) -> Option<Vec<u8>> {
        let rings = self.plan.rings?;
        let map = match ring {
            Ring::Main => rings.main,
            Ring::Control => rings.control,
        };
        match self.machine.maps.get_mut(map.0 as usize) {
            Some(Store::Ring { ring, .. }) => ring.pop(),
            _ => None,
        }
    }

    fn wait(&mut self, _timeout: Option<Duration>) -> Wake {
        if !self.is_attached || self.failure.is_some() {
            return Wake::Drained;
        }
        let Some(delivery) = self.queue.get(self.next) else {
            return Wake::Drained;
        };
        let (burst, repeat) = (delivery.event.burst, delivery.event.repeat);
        for number in 0..burst {
            let count = self.repeated.saturating_mul(burst).saturating_add(number);
            for firing in 0..self.queue[self.next].firings.len() {
                let delivery = &self.queue[self.next];
                let firing = &delivery.firings[firing];
                let start = delivery.start(firing, count.saturating_mul(Event::STEP));
                let program = firing.program;
                if let Err(error) = self.run(program, start) {
                    self.failure = Some(error);
                    return Wake::Drained;
                }
            }
        }
        self.repeated += 1;
        if self.repeated >= repeat {
            self.repeated = 0;
            self.next += 1;
        }
        Wake::Poll
    }

    fn quiesce(&mut self) {
        // No run outlives the call that began it.
    }

    fn detach(&mut self) {
        self.is_attached = false;
    }
}

/// Everywhere that programs of a plan are attached, in the order of the script.
fn places(plan: &Plan, target: &dyn Target) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    for (program, program_plan) in plan.programs.iter().enumerate() {
        for attach in &program_plan.attach {
            let mut add = |cookie: u32, format| {
                places.push(Place {
                    program,
                    cookie,
                    format,
                    is_run_by_us: attach.is_run_by_us(),
                    on_return: attach.is_on_return(),
                })
            };
            match attach {
                Attach::Begin { .. } | Attach::End { .. } | Attach::Request { .. } => {}
                Attach::Tracepoint {
                    category,
                    event,
                    cookie,
                    ..
                } => {
                    let format = target.tracepoint(category, event).map_err(|_| {
                        error(
                            &format!("simulate tracepoint:{category}:{event}"),
                            "its fields are not known".into(),
                        )
                    })?;
                    add(*cookie, Some(format));
                }
                other => other.cookies().into_iter().for_each(|cookie| add(cookie, None)),
            }
        }
    }
    Ok(places)
}

/// Whether `short` is `full` with the binary's path cut down to its name, or to the name's first part.
fn is_short_for(short: &str, full: &str) -> bool {
    fn split(text: &str) -> Option<(&str, &str, &str)> {
        let (kind, rest) = text.split_once(':')?;
        let (binary, place) = rest.rsplit_once(':')?;
        Some((kind, binary, place))
    }
    let (Some((kind, binary, place)), Some((full_kind, path, full_place))) = (split(short), split(full))
    else {
        return false;
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_start = name
        .strip_prefix(binary)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']));
    path.starts_with('/') && !binary.is_empty() && (kind, place) == (full_kind, full_place) && is_start
}

fn error(what: &str, reason: String) -> Error {
    Error::new(what, reason)
}

fn fault_in(plan: &Plan, program: usize, verb: &str, fault: &Fault) -> Error {
    let symbol = plan
        .programs
        .get(program)
        .map_or("?", |program| program.symbol.as_str());
    Error::new(format!("{verb} program {symbol}"), fault.to_string())
        .help("this is a defect of crumbs; please report it with the script".to_owned())
}
