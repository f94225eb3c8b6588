//! A direct evaluator of typed HIR: the meaning of a script, written down a second time.
//!
//! In: a checked script and what happens. Out: the printed text and the contents of the maps. It obeys what
//! [`crumbs_compiler::hir`] says and shares with the compiler nothing but that contract's data types; contents are
//! computed here, and only their text is made by the runtime's printing.
//!
//! A program runs to its end before anything else happens. What it sends is handled behind the programs of one event,
//! as a session does.

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
                if self.script.sites[cookie as usize].probe == event.probe && last != Some(probe) {
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
            } => {
                let value = value.as_ref().map_or(Ok(1), |value| self.number(value))?;
                let weight = weight.as_ref().map_or(Ok(1), |weight| self.number(weight))?;
                let key = self.key(key.as_ref())?;
                let elements = &mut self.maps[map.0 as usize];
                match elements.entry(key).or_insert(Cell::Numbers(Vec::new())) {
                    Cell::Numbers(numbers) => numbers.push((value, weight as u64)),
                    Cell::Value(_) => panic!("an aggregation in a map of values"),
                }
            }
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

    fn key(&mut self, key: Option<&Expr>) -> Result<Option<Datum>, Ended> {
        key.map(|key| self.eval(key)).transpose()
    }

    fn number(&mut self, expr: &Expr) -> Result<i64, Ended> {
        Ok(number(&self.eval(expr)?))
    }

    fn eval(&mut self, expr: &Expr) -> Result<Datum, Ended> {
        let truth = |b: bool| Datum::Number(i64::from(b));
        Ok(match &expr.kind {
            ExprKind::Const(value) => Datum::Number(*value),
            ExprKind::Str(text) => Datum::Text(cut(text, text.len())),
            ExprKind::Var(var) => self.vars[var.0 as usize].clone(),
            ExprKind::MapValue { map, key } => {
                let key = self.key(key.as_deref())?;
                match self.maps[map.0 as usize].get(&key) {
                    Some(Cell::Value(value)) => value.clone(),
                    Some(Cell::Numbers(_)) => panic!("an aggregation as a value"),
                    None => zeros(&expr.ty),
                }
            }
            ExprKind::Builtin(id) => self.builtin(id.row().name),
            ExprKind::Arg(n) => Datum::Number(self.event.args[usize::from(*n)] as i64),
            ExprKind::Context(offset) => {
                // Of the registers, events state only those that carry arguments and the result.
                let convention = self.machine.arch.convention();
                let argument = convention
                    .args
                    .iter()
                    .position(|&at| i64::from(at) == i64::from(*offset));
                let value = match argument {
                    Some(n) => self.event.args[n],
                    None => self.event.retval,
                };
                Datum::Number(value as i64)
            }
            ExprKind::ReturnValue => Datum::Number(self.event.retval as i64),
            ExprKind::RecordField {
                offset,
                width,
                signed,
            } => {
                let mut bytes = [0; 8];
                let field = &self.event.record[*offset as usize..][..usize::from(*width)];
                bytes[..field.len()].copy_from_slice(field);
                Datum::Number(wrap(i64::from_le_bytes(bytes), u32::from(*width) * 8, *signed))
            }
            ExprKind::RecordText { offset, size } => Datum::Text(cut(
                &self.event.record[*offset as usize..][..*size as usize],
                capacity(&expr.ty),
            )),
            ExprKind::RecordDynamicText { offset, relative } => self.located(*offset, *relative, &expr.ty),
            ExprKind::RecordBytes { offset } => {
                bytes::decode(&self.event.record[*offset as usize..], &expr.ty)
            }
            ExprKind::Read {
                address,
                offset,
                bits,
            } => self.read(address, *offset, *bits, &expr.ty)?,
            ExprKind::Part { of, offset, bits } => {
                let whole = bytes::encode(&self.eval(of)?, &of.ty);
                member_at(&whole[*offset as usize..], *bits, &expr.ty)
            }
            ExprKind::Element(of, index) => {
                let whole = bytes::encode(&self.eval(of)?, &of.ty);
                let size = match &of.ty {
                    Type::Array(element, _) => element.size(),
                    _ => expr.ty.size(),
                };
                let at = (self.number(index)? as u64).checked_mul(u64::from(size));
                let at = at
                    .and_then(|at| usize::try_from(at).ok())
                    .filter(|&at| at < whole.len());
                member_at(at.map_or(&[], |at| &whole[at..]), None, &expr.ty)
            }
            ExprKind::AddressOf(var) => Datum::Number((VARIABLES + VARIABLE * u64::from(var.0)) as i64),
            ExprKind::SiteName => Datum::Number(i64::from(self.cookie)),
            ExprKind::Block { body, value } => {
                self.block(body)?;
                self.eval(value)?
            }
            ExprKind::Inlined {
                body, locals, value, ..
            } => {
                self.reset(*locals);
                match self.block(body) {
                    Ok(()) | Err(Ended::Call) => {}
                    Err(other) => return Err(other),
                }
                self.eval(value)?
            }
            ExprKind::Tuple(members) => {
                let members = members.iter().map(|member| self.eval(member));
                Datum::Tuple(members.collect::<Result<_, _>>()?)
            }
            ExprKind::Assembled(parts) => {
                let mut all = vec![0; expr.ty.size() as usize];
                for (offset, part) in parts {
                    let part = bytes::encode(&self.eval(part)?, &part.ty);
                    let at = *offset as usize;
                    all[at..at + part.len()].copy_from_slice(&part);
                }
                bytes::decode(&all, &expr.ty)
            }
            ExprKind::Member(tuple, index) => match self.eval(tuple)? {
                Datum::Tuple(mut members) => members.swap_remove(*index as usize),
                other => panic!("a member of {other:?}"),
            },
            ExprKind::Increment { place, delta, prefix } => {
                let (before, after) = self.increment(place, *delta)?;
                Datum::Number(wrap_to(if *prefix { after } else { before }, &expr.ty))
            }
            ExprKind::ReadText { address, length } => {
                let address = self.number(address)? as u64;
                let length = match length {
                    Some(length) => Some(self.number(length)? as u64),
                    None => None,
                };
                Datum::Text(self.read_text(address, length, &expr.ty))
            }
            ExprKind::HasKey { map, key } => {
                let key = self.key(key.as_deref())?;
                truth(self.maps[map.0 as usize].contains_key(&key))
            }
            ExprKind::Delete { map, key } => {
                let key = self.key(key.as_deref())?;
                truth(self.maps[map.0 as usize].remove(&key).is_some())
            }
            ExprKind::Reduced { map, key } => {
                let key = self.key(key.as_deref())?;
                match self.maps[map.0 as usize].get(&key) {
                    Some(Cell::Numbers(numbers)) => self.reduced(*map, numbers),
                    _ => self.reduced(*map, &[]),
                }
            }
            ExprKind::MapLen(map) => Datum::Number(self.maps[map.0 as usize].len() as i64),
            ExprKind::Emit { event, args } => {
                let args = args.iter().map(|arg| self.eval(arg)).collect::<Result<_, _>>()?;
                self.sent.push((*event, args));
                if self.script.events[event.0 as usize].kind == EventKind::Exit {
                    return Err(Ended::Program);
                }
                Datum::Nothing
            }
            _ => self.operation(expr)?,
        })
    }

    /// What is computed from operands and nothing else.
    fn operation(&mut self, expr: &Expr) -> Result<Datum, Ended> {
        let truth = |b: bool| Datum::Number(i64::from(b));
        Ok(match &expr.kind {
            ExprKind::Unary(op, operand) => {
                let value = self.number(operand)?;
                Datum::Number(match op {
                    UnaryOp::Not => i64::from(value == 0),
                    UnaryOp::Neg => wrap_to(value.wrapping_neg(), &expr.ty),
                    UnaryOp::BitNot => wrap_to(!value, &expr.ty),
                })
            }
            ExprKind::Arith(op, a, b) => {
                let (left, right) = (self.number(a)?, self.number(b)?);
                Datum::Number(wrap_to(arith(*op, left, right, is_signed(&a.ty)), &expr.ty))
            }
            ExprKind::Compare(op, a, b) => {
                let (left, right) = (self.eval(a)?, self.eval(b)?);
                truth(compare(*op, &left, &right, is_signed(&a.ty)))
            }
            ExprKind::And(a, b) => truth(self.number(a)? != 0 && self.number(b)? != 0),
            ExprKind::Or(a, b) => truth(self.number(a)? != 0 || self.number(b)? != 0),
            ExprKind::Ternary(cond, a, b) => {
                let chosen = if self.number(cond)? != 0 { a } else { b };
                self.eval(chosen)?
            }
            ExprKind::Convert(of) => convert(self.eval(of)?, &of.ty, &expr.ty),
            other => panic!("no meaning of {other:?}: add it here"),
        })
    }

    /// What is at an address; zeros where any of it is not there.
    fn read(&mut self, address: &Expr, offset: u32, bits: Option<Bits>, ty: &Type) -> Result<Datum, Ended> {
        let base = self.number(address)? as u64;
        if matches!(ty, Type::Str(_)) {
            let address = if base == 0 {
                0
            } else {
                base.wrapping_add(u64::from(offset))
            };
            return Ok(Datum::Text(self.read_text(address, None, ty)));
        }
        let size = bits.map_or(ty.size(), |bits| u32::from(bits.storage));
        let address = base.wrapping_add(u64::from(offset));
        if let Some(at) = address.checked_sub(VARIABLES) {
            let var = (at / VARIABLE) as usize;
            let own = &self.script.probes[self.probe].vars[var].ty;
            let whole = bytes::encode(&self.vars[var], own);
            return Ok(member_at(&whole[(at % VARIABLE) as usize..], bits, ty));
        }
        let found: Option<Vec<u8>> = (0..u64::from(size))
            .map(|i| self.event.byte(address.wrapping_add(i)))
            .collect();
        Ok(member_at(&found.unwrap_or_default(), bits, ty))
    }

    fn builtin(&self, name: &str) -> Datum {
        let event = &self.event;
        Datum::Number(match name {
            "pid" => i64::from(event.pid),
            "tid" => i64::from(event.tid),
            "uid" => i64::from(event.uid),
            "gid" => i64::from(event.gid),
            "comm" => return Datum::Text(event.comm.clone()),
            "nsecs" => event.time as i64,
            "elapsed" => event.time.wrapping_sub(self.machine.start) as i64,
            "cpu" => i64::from(event.cpu),
            "ncpus" => i64::from(self.machine.cpus),
            // Any number of 32 bits; scripts here use it only where it does not matter which.
            "rand" => 4,
            other => panic!("no meaning of `{other}`: add it here"),
        })
    }

    /// Text whose place and length a locator in the record tells.
    fn located(&self, offset: u32, relative: bool, ty: &Type) -> Datum {
        let at = offset as usize;
        let record = &self.event.record;
        let low = u16::from_le_bytes([record[at], record[at + 1]]);
        let high = u16::from_le_bytes([record[at + 2], record[at + 3]]);
        let start = usize::from(low) + if relative { at + 4 } else { 0 };
        Datum::Text(cut(&record[start..][..usize::from(high)], capacity(ty)))
    }

    fn read_text(&self, address: u64, length: Option<u64>, ty: &Type) -> Vec<u8> {
        let most = capacity(ty);
        let most = match length {
            Some(length) => most.min(usize::try_from(length.saturating_sub(1)).unwrap_or(usize::MAX)),
            None => most,
        };
        if address == 0 || length == Some(0) {
            return Vec::new();
        }
        let mut text = Vec::new();
        while text.len() < most {
            match self.event.byte(address.wrapping_add(text.len() as u64)) {
                Some(0) => break,
                Some(byte) => text.push(byte),
                None => return cut(UNREADABLE.as_bytes(), capacity(ty)),
            }
        }
        text
    }

    /// Adds to a place; gives what it held before and holds now.
    fn increment(&mut self, place: &Place, delta: i64) -> Result<(i64, i64), Ended> {
        match place {
            Place::Var(var) => {
                let ty = &self.script.probes[self.probe].vars[var.0 as usize].ty;
                let before = number(&self.vars[var.0 as usize]);
                let after = wrap_to(before.wrapping_add(delta), ty);
                self.vars[var.0 as usize] = Datum::Number(after);
                Ok((before, after))
            }
            Place::Map { map, key } => {
                let key = self.key(key.as_deref())?;
                Ok(self.change(*map, key, |old| old.wrapping_add(delta)))
            }
        }
    }

    /// Changes a number in a map; an absent one counts as 0.
    fn change(&mut self, map: MapId, key: Option<Datum>, f: impl Fn(i64) -> i64) -> (i64, i64) {
        let ty = &self.script.maps[map.0 as usize].value;
        let cell = self.maps[map.0 as usize]
            .entry(key)
            .or_insert(Cell::Value(Datum::Number(0)));
        let Cell::Value(Datum::Number(value)) = cell else {
            panic!("arithmetic on {cell:?}");
        };
        let before = *value;
        *value = wrap_to(f(before), ty);
        (before, *value)
    }

    fn handle_sent(&mut self) {
        for (event, args) in std::mem::take(&mut self.sent) {
            let event = &self.script.events[event.0 as usize];
            let types = event.args.iter().map(|arg| &arg.ty);
            let values: Vec<Value> = args
                .iter()
                .zip(types)
                .map(|(arg, ty)| self.value(arg, ty))
                .collect();
            match &event.kind {
                EventKind::Printf(format) => {
                    let text = printf::fill(format, &values);
                    self.output.printf(&text).expect("memory can be written");
                }
                EventKind::Message { level, place, format } => {
                    let text = printf::fill(format, &values);
                    self.output
                        .message(*level, place, &text)
                        .expect("memory can be written");
                }
                EventKind::Print => self.output.value(&values[0]).expect("memory can be written"),
                EventKind::PrintMap { map, view, then } => {
                    let map = map.0 as usize;
                    let mut entries = self.entries(map);
                    if entries.is_empty() {
                        entries.extend(self.unset(map));
                    }
                    self.print_map(map, entries, view);
                    match then {
                        AfterPrint::Keep => {}
                        AfterPrint::Clear => self.maps[map].clear(),
                        AfterPrint::Zero => self.zero(map),
                    }
                }
                EventKind::Clear(map) => self.maps[map.0 as usize].clear(),
                EventKind::Zero(map) => self.zero(map.0 as usize),
                // What is outside of the script has no meaning here; nothing random asks for it.
                EventKind::Cat(_) | EventKind::System(_) | EventKind::Join(_) => {}
                EventKind::Time(_) => self.output.time(b"").expect("memory can be written"),
                EventKind::Exit => self.is_exiting = true,
            }
        }
    }

    fn zero(&mut self, map: usize) {
        let ty = &self.script.maps[map].value;
        for cell in self.maps[map].values_mut() {
            *cell = match cell {
                Cell::Value(_) => Cell::Value(zeros(ty)),
                Cell::Numbers(_) => Cell::Numbers(Vec::new()),
            };
        }
    }

    /// The contents of a map, in the order of keys.
    fn entries(&self, map: usize) -> Vec<Entry> {
        let ty = &self.script.maps[map];
        let entries = self.maps[map].iter().map(|(key, cell)| Entry {
            key: key
                .as_ref()
                .zip(ty.key.as_ref())
                .map(|(key, ty)| self.value(key, ty)),
            value: match (cell, &ty.value) {
                (Cell::Value(value), ty) => Content::Value(self.value(value, ty)),
                (Cell::Numbers(numbers), Type::Agg(agg)) => aggregation::content(agg, numbers),
                (Cell::Numbers(_), ty) => panic!("aggregated numbers in a map of {ty}"),
            },
        });
        entries.collect()
    }

    /// What a print that the script asks for shows of a map that holds nothing.
    fn unset(&self, map: usize) -> Option<Entry> {
        let ty = &self.script.maps[map];
        if ty.key.is_some() {
            return None;
        }
        let value = match &ty.value {
            Type::Agg(agg) => aggregation::content(agg, &[]),
            plain => Content::Value(self.value(&zeros(plain), plain)),
        };
        let is_shown = !matches!(value, Content::Histogram { .. });
        is_shown.then_some(Entry { key: None, value })
    }

    fn print_map(&mut self, map: usize, mut entries: Vec<Entry>, view: &MapView) {
        if entries.is_empty() {
            return;
        }
        show::arrange(&mut entries, view);
        let name = format!("@{}", self.script.maps[map].name);
        self.output
            .map(&name, &entries, &view.measure)
            .expect("memory can be written");
    }

    /// A datum as it is printed.
    fn value(&self, datum: &Datum, ty: &Type) -> Value {
        match (datum, ty) {
            (Datum::Number(n), Type::Bool) => Value::Bool(*n != 0),
            (Datum::Number(n), Type::Int(int)) if int.signed => Value::Int(*n),
            (Datum::Number(n), Type::Int(_)) => Value::UInt(*n as u64),
            (Datum::Number(n), Type::Ptr(..)) => Value::Pointer(*n as u64),
            (Datum::Number(n), Type::Enum(of)) => Value::Enum(*n, of.name_of(*n).map(str::to_owned)),
            (Datum::Bytes(bytes), Type::Bytes(_)) => Value::Bytes(bytes.clone()),
            (Datum::Tuple(elements), Type::Array(element, _)) => {
                Value::Array(elements.iter().map(|e| self.value(e, element)).collect())
            }
            (Datum::Tuple(members), Type::Record(types)) => Value::Record(
                members
                    .iter()
                    .zip(types)
                    .map(|(member, (name, ty))| (name.clone(), self.value(member, ty)))
                    .collect(),
            ),
            (Datum::Number(n), Type::Name(table)) => {
                let site = &self.script.sites[*n as usize];
                Value::Name(match table {
                    NameTable::Func => site.func.clone(),
                    NameTable::Probe => site.probe.clone(),
                })
            }
            (Datum::Text(text), Type::Str(_)) => {
                let mut shown = text.clone();
                let settings = &self.script.settings;
                if !text.is_empty() && text.len() == settings.max_strlen as usize {
                    shown.extend_from_slice(settings.str_trunc_trailer.as_bytes());
                }
                Value::Str(shown)
            }
            (Datum::Tuple(members), Type::Tuple(types)) => Value::Tuple(
                members
                    .iter()
                    .zip(types)
                    .map(|(member, ty)| self.value(member, ty))
                    .collect(),
            ),
            (datum, ty) => panic!("{datum:?} as a {ty}"),
        }
    }
}

/// The cookies of places that are attached to.
pub fn cookies(attach: &Attach) -> Vec<u32> {
    match attach.occasion() {
        Occasion::Event => attach.cookies(),
        _ => Vec::new(),
    }
}

fn number(datum: &Datum) -> i64 {
    match datum {
        Datum::Number(n) => *n,
        other => panic!("{other:?} as a number"),
    }
}

/// What a place holds before anything is stored.
fn zeros(ty: &Type) -> Datum {
    match ty {
        Type::Str(_) => Datum::Text(Vec::new()),
        Type::Bytes(_) | Type::Struct(_) | Type::Array(..) => bytes::decode(&[], ty),
        Type::Tuple(_) | Type::Record(_) => Datum::Tuple(ty.members().map(zeros).collect()),
        _ => Datum::Number(0),
    }
}

/// Most bytes of text that a type holds.
fn capacity(ty: &Type) -> usize {
    match ty {
        Type::Str(n) => *n as usize - 1,
        other => panic!("the length of a {other}"),
    }
}

/// Text up to its NUL, and at most `most` bytes of it.
fn cut(text: &[u8], most: usize) -> Vec<u8> {
    text.iter()
        .copied()
        .take(most)
        .take_while(|&byte| byte != 0)
        .collect()
}

/// A part of a value, whose bytes begin here.
fn member_at(bytes: &[u8], bits: Option<Bits>, ty: &Type) -> Datum {
    match (bits, ty) {
        (Some(bits), _) => bytes::decode_bits(bytes, bits, ty),
        // The type has room for a NUL that the array need not have.
        (None, Type::Str(n)) => bytes::decode(bytes, &Type::Str(n - 1)),
        (None, ty) => bytes::decode(bytes, ty),
    }
}

fn is_signed(ty: &Type) -> bool {
    match ty {
        Type::Int(int) => int.signed,
        Type::Enum(of) => of.int.signed,
        _ => false,
    }
}

/// The low `bits`, extended again.
fn wrap(value: i64, bits: u32, signed: bool) -> i64 {
    match (bits, signed) {
        (8, true) => i64::from(value as i8),
        (8, false) => i64::from(value as u8),
        (16, true) => i64::from(value as i16),
        (16, false) => i64::from(value as u16),
        (32, true) => i64::from(value as i32),
        (32, false) => i64::from(value as u32),
        _ => value,
    }
}

fn wrap_to(value: i64, ty: &Type) -> i64 {
    match ty {
        Type::Int(int) => wrap(value, u32::from(int.bits), int.signed),
        Type::Enum(of) => wrap(value, u32::from(of.int.bits), of.int.signed),
        _ => value,
    }
}

fn arith(op: ArithOp, a: i64, b: i64, signed: bool) -> i64 {
    let (ua, ub) = (a as u64, b as u64);
    match op {
        ArithOp::Add => a.wrapping_add(b),
        ArithOp::Sub => a.wrapping_sub(b),
        ArithOp::Mul => a.wrapping_mul(b),
        ArithOp::Div | ArithOp::Mod if b == 0 => 1,
        ArithOp::Div if signed => a.wrapping_div(b),
        ArithOp::Div => (ua / ub) as i64,
        ArithOp::Mod if signed => a.wrapping_rem(b),
        ArithOp::Mod => (ua % ub) as i64,
        ArithOp::Shl => a << (b & 63),
        ArithOp::Shr if signed => a >> (b & 63),
        ArithOp::Shr => (ua >> (b & 63)) as i64,
        ArithOp::And => a & b,
        ArithOp::Or => a | b,
        ArithOp::Xor => a ^ b,
    }
}

fn compare(op: CompareOp, a: &Datum, b: &Datum, signed: bool) -> bool {
    let order = match (a, b) {
        (Datum::Number(a), Datum::Number(b)) if !signed => (*a as u64).cmp(&(*b as u64)),
        (a, b) => a.cmp(b),
    };
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    }
}

fn convert(datum: Datum, from: &Type, to: &Type) -> Datum {
    match (datum, from, to) {
        (Datum::Number(n), _, Type::Bool) => Datum::Number(i64::from(n != 0)),
        (datum @ Datum::Number(_), from, to @ Type::Array(..))
        | (datum, from @ Type::Array(..), to @ Type::Int(_)) => {
            bytes::decode(&bytes::encode(&datum, from), to)
        }
        (datum, from @ (Type::Array(..) | Type::Str(_)), to @ Type::Array(..)) => {
            bytes::decode(&bytes::encode(&datum, from), to)
        }
        (Datum::Number(n), _, to) => Datum::Number(wrap_to(n, to)),
        (Datum::Text(text), _, Type::Str(n)) => Datum::Text(cut(&text, *n as usize - 1)),
        (Datum::Tuple(members), Type::Tuple(from), Type::Tuple(to)) => Datum::Tuple(
            members
                .into_iter()
                .zip(from.iter().zip(to))
                .map(|(member, (from, to))| convert(member, from, to))
                .collect(),
        ),
        (Datum::Tuple(members), Type::Record(from), Type::Record(to)) => Datum::Tuple(
            to.iter()
                .map(|(name, to)| {
                    let at = from.iter().position(|(other, _)| other == name);
                    let at = at.unwrap_or_else(|| panic!("no field {name}"));
                    convert(members[at].clone(), &from[at].1, to)
                })
                .collect(),
        ),
        (datum, from, to) => panic!("{datum:?} from {from} to {to}"),
    }
}
