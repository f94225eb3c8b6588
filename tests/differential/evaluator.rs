//! A direct evaluator of typed HIR: the meaning of a script, written down a second time.
//!
//! In: a checked script and what happens. Out: the printed text and the contents of the maps. It obeys what
//! [`crumbs_compiler::hir`] says and shares with the compiler nothing but that contract's data types; contents are
//! computed here, and only their text is made by the runtime's printing.
//!
//! A program runs to its end before anything else happens. What it sends is handled behind the programs of one event,
//! as a session does.

mod expressions;
mod numbers;
mod shown;

use crate::aggregation;
use crate::bytes;
use crate::world::Event;
use crumbs_compiler::ctype::Bits;
use crumbs_compiler::hir::*;
use crumbs_compiler::plan::{AfterPrint, Attach, EventId, EventKind, MapId, Occasion, UNREADABLE};
use crumbs_compiler::target::Arch;
use crumbs_compiler::types::{NameTable, Type};
use crumbs_compiler::view::MapView;
use crumbs_runtime::show::{self, Content, Entry, Output, printf};
use crumbs_runtime::value::Value;
use numbers::*;
use std::collections::BTreeMap;

/// A value while it is computed. Numbers are the 64-bit pattern, extended as their type says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A scalar.
    Number(i64),
    /// Text without NUL.
    Text(Vec<u8>),
    /// A struct or a buffer.
    Bytes(Vec<u8>),
    /// Several values: a tuple, record or array.
    Tuple(Vec<Datum>),
    /// What a call for its effect gives.
    Nothing,
}

/// What an element of a map holds.
#[derive(Clone, Debug)]
enum Cell {
    Value(Datum),
    /// What was aggregated, in order, and what it weighs.
    Numbers(Vec<(i64, u64)>),
}

/// Elements by key; `None` is the only key of a map without.
type Elements = BTreeMap<Option<Datum>, Cell>;

/// Where the variables of a program are whose addresses it takes, and how far apart.
const VARIABLES: u64 = 0x7fff_0000_0000_0000;
const VARIABLE: u64 = 1 << 20;

/// Why what follows does not run.
enum Ended {
    /// The program ends here.
    Program,
    /// The call of a function of the script ends here.
    Call,
    /// The innermost loop ends here.
    Loop,
    /// This iteration of it.
    Iteration,
}

/// The surroundings that are the same throughout a run.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its architecture.
    pub arch: Arch,
    /// How many CPUs there can be.
    pub cpus: u32,
    /// When the run began, ns.
    pub start: u64,
    /// The process that runs `begin` and `end`; its `time` is the clock before anything happened.
    pub tracer: Event,
}

/// A run of a script.
pub struct Evaluator<'a> {
    script: &'a Script,
    machine: &'a Machine,
    output: &'a mut dyn Output,
    maps: Vec<Elements>,
    /// What was sent and not handled yet.
    sent: Vec<(EventId, Vec<Datum>)>,
    is_exiting: bool,
    /// Of the program that runs: its probe, variables, event and site.
    probe: usize,
    vars: Vec<Datum>,
    event: Event,
    cookie: u32,
}

/// Runs a script from `begin` to the printed maps.
pub fn run(script: &Script, machine: &Machine, events: &[Event], output: &mut dyn Output) {
    let mut cx = Evaluator {
        script,
        machine,
        output,
        maps: vec![Elements::new(); script.maps.len()],
        sent: Vec::new(),
        is_exiting: false,
        probe: 0,
        vars: Vec::new(),
        event: machine.tracer.clone(),
        cookie: 0,
    };
    cx.session(events);
}

impl Evaluator<'_> {
    fn session(&mut self, events: &[Event]) {
        let tracer = self.machine.tracer.clone();
        let mut clock = tracer.time;
        for (probe, cookie) in self.places(|attach| match attach.occasion() {
            Occasion::Begin => attach.cookies(),
            _ => Vec::new(),
        }) {
            self.program(probe, cookie, &tracer);
            if self.has_sent_exit() {
                break;
            }
        }
        self.handle_sent();
        for event in events {
            if self.is_exiting {
                break;
            }
            clock = event.time;
            let mut last = None;
            for (probe, cookie) in self.places(cookies) {
                // A program runs once for an event, even where two of its places have one name.
                if self.script.sites[cookie as usize].probe == event.probe
                    && last != Some(probe)
                    && !self.has_sent_exit()
                {
                    last = Some(probe);
                    self.program(probe, cookie, event);
                }
            }
            self.handle_sent();
        }
        let tracer = Event {
            time: clock,
            ..tracer
        };
        for (probe, cookie) in self.places(|attach| match attach.occasion() {
            Occasion::End => attach.cookies(),
            _ => Vec::new(),
        }) {
            self.program(probe, cookie, &tracer);
        }
        self.handle_sent();
        self.output.end().expect("memory can be written");
        if self.script.settings.print_maps_on_exit {
            let mut order: Vec<usize> = (0..self.maps.len()).collect();
            order.sort_by_key(|&map| &self.script.maps[map].name);
            for map in order {
                self.print_map(map, self.entries(map), &MapView::default());
            }
        }
    }

    /// Every place of every program that `cookies` finds, in order.
    fn places(&self, cookies: impl Fn(&Attach) -> Vec<u32>) -> Vec<(usize, u32)> {
        let probes = self.script.probes.iter().enumerate();
        probes
            .flat_map(|(i, probe)| probe.attach.iter().map(move |attach| (i, attach)))
            .flat_map(|(i, attach)| cookies(attach).into_iter().map(move |cookie| (i, cookie)))
            .collect()
    }

    fn has_sent_exit(&self) -> bool {
        self.sent
            .iter()
            .any(|(event, _)| self.script.events[event.0 as usize].kind == EventKind::Exit)
    }

    fn program(&mut self, probe: usize, cookie: u32, event: &Event) {
        let script = self.script;
        let body = &script.probes[probe];
        if body.pid_filter.is_some_and(|pid| pid != event.pid) {
            return;
        }
        (self.probe, self.cookie, self.event) = (probe, cookie, event.clone());
        self.vars = body.vars.iter().map(|var| zeros(&var.ty)).collect();
        // `Ended` is one way for a program to end; the other is its last statement.
        let _ = self.body(body);
    }

    fn body(&mut self, probe: &Probe) -> Result<(), Ended> {
        if let Some(predicate) = &probe.predicate
            && self.number(predicate)? == 0
        {
            return Ok(());
        }
        self.block(&probe.body)
    }

    fn block(&mut self, block: &[Stmt]) -> Result<(), Ended> {
        block.iter().try_for_each(|stmt| self.statement(stmt))
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<(), Ended> {
        match &stmt.kind {
            StmtKind::Eval(expr) => {
                self.eval(expr)?;
            }
            StmtKind::SetVar(var, expr) => self.vars[var.0 as usize] = self.eval(expr)?,
            StmtKind::SetMap { map, key, value } => {
                let value = self.eval(value)?;
                let key = self.key(key.as_ref())?;
                self.maps[map.0 as usize].insert(key, Cell::Value(value));
            }
            StmtKind::UpdateMap { map, key, op, value } => {
                let value = self.number(value)?;
                let key = self.key(key.as_ref())?;
                let ty = self.script.maps[map.0 as usize].value.clone();
                self.change(*map, key, |old| arith(*op, old, value, is_signed(&ty)));
            }
            StmtKind::Aggregate {
                map,
                key,
                value,
                weight,
            } => self.aggregate(*map, key.as_ref(), value.as_ref(), weight.as_ref())?,
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let taken = if self.number(cond)? != 0 { then } else { otherwise };
                self.block(taken)?;
            }
            StmtKind::ForRange {
                var,
                from,
                to,
                locals,
                body,
            } => {
                let (from, to) = (self.number(from)?, self.number(to)?);
                for i in from..to {
                    self.reset(*locals);
                    self.vars[var.0 as usize] = Datum::Number(i);
                    if !self.iteration(body)? {
                        break;
                    }
                }
            }
            StmtKind::ForMap {
                var,
                map,
                locals,
                body,
            } => self.for_map(*var, *map, *locals, body)?,
            StmtKind::While { cond, locals, body } => loop {
                self.reset(*locals);
                if self.number(cond)? == 0 || !self.iteration(body)? {
                    break;
                }
            },
            StmtKind::Unroll { count, locals, body } => {
                for _ in 0..*count {
                    self.reset(*locals);
                    if !self.iteration(body)? {
                        break;
                    }
                }
            }
            StmtKind::Break => return Err(Ended::Loop),
            StmtKind::Continue => return Err(Ended::Iteration),
            StmtKind::Leave => return Err(Ended::Call),
            StmtKind::Return => return Err(Ended::Program),
        }
        Ok(())
    }

    fn aggregate(
        &mut self,
        map: MapId,
        key: Option<&Expr>,
        value: Option<&Expr>,
        weight: Option<&Expr>,
    ) -> Result<(), Ended> {
        let value = value.map_or(Ok(1), |value| self.number(value))?;
        let weight = weight.map_or(Ok(1), |weight| self.number(weight))?;
        let key = self.key(key)?;
        let elements = &mut self.maps[map.0 as usize];
        match elements.entry(key).or_insert(Cell::Numbers(Vec::new())) {
            Cell::Numbers(numbers) => numbers.push((value, weight as u64)),
            Cell::Value(_) => panic!("an aggregation in a map of values"),
        }

        Ok(())
    }

    /// Makes the variables of a block zeros.
    fn reset(&mut self, locals: Locals) {
        for var in locals.iter() {
            self.vars[var.0 as usize] = zeros(&self.script.probes[self.probe].vars[var.0 as usize].ty);
        }
    }

    /// Runs the body of a loop once; gives whether the loop goes on.
    fn iteration(&mut self, body: &[Stmt]) -> Result<bool, Ended> {
        match self.block(body) {
            Ok(()) | Err(Ended::Iteration) => Ok(true),
            Err(Ended::Loop) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The number that an aggregation shows.
    fn reduced(&self, map: MapId, numbers: &[(i64, u64)]) -> Datum {
        let Type::Agg(agg) = &self.script.maps[map.0 as usize].value else {
            panic!("a reduction of no aggregation");
        };
        match aggregation::content(agg, numbers) {
            Content::Number(number) | Content::Average(number) => Datum::Number(number as i64),
            other => panic!("a reduction that shows {other:?}"),
        }
    }

    /// Elements that are there when the loop starts and still are when their turn comes.
    fn for_map(&mut self, var: VarId, map: MapId, locals: Locals, body: &[Stmt]) -> Result<(), Ended> {
        let keys: Vec<Option<Datum>> = self.maps[map.0 as usize].keys().cloned().collect();
        for key in keys {
            let value = match self.maps[map.0 as usize].get(&key) {
                Some(Cell::Value(value)) => value.clone(),
                Some(Cell::Numbers(numbers)) => self.reduced(map, numbers),
                None => continue,
            };
            self.reset(locals);
            let key = key.expect("maps that are iterated have keys");
            self.vars[var.0 as usize] = Datum::Tuple(vec![key, value]);
            if !self.iteration(body)? {
                break;
            }
        }
        Ok(())
    }
}

/// The cookies of places that are attached to.
pub fn cookies(attach: &Attach) -> Vec<u32> {
    match attach.occasion() {
        Occasion::Event => attach.cookies(),
        _ => Vec::new(),
    }
}
