//! What was sent, and the maps, as the output gets them.

use super::*;

impl Evaluator<'_> {
    pub(super) fn handle_sent(&mut self) {
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
                EventKind::Message {
                    level,
                    place,
                    format,
                    uses,
                } => {
                    let text = printf::fill(format, &values);
                    show::write_expanded(&mut *self.output, *level, (place, &text), uses)
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
                EventKind::Table(table) => self.table(table),
                EventKind::Clear(map) => self.maps[map.0 as usize].clear(),
                EventKind::Zero(map) => self.zero(map.0 as usize),
                // What is outside of the script has no meaning here; nothing random asks for it.
                EventKind::HelperFailed(_)
                | EventKind::Cat(_)
                | EventKind::System(_)
                | EventKind::Join(_)
                | EventKind::Unwatch => {}
                EventKind::Time(_) => self.output.time(b"").expect("memory can be written"),
                EventKind::Exit => self.is_exiting = true,
            }
        }
    }

    fn table(&mut self, table: &crumbs_compiler::plan::Table) {
        let columns = table.columns.iter().map(|(map, measure)| {
            let ty = &self.script.maps[map.0 as usize];
            let column = show::table::Column {
                name: format!("@{}", ty.name),
                measure: measure.clone(),
                absent_is_zero: match &ty.value {
                    Type::Agg(agg) => ["count", "sum"].contains(&agg.aggregation().name()),
                    _ => true,
                },
            };
            (column, self.entries(map.0 as usize))
        });
        let table = show::table::Table::new(table.keys.clone(), columns.collect(), table.top);
        self.output.table(&table).expect("memory can be written");
    }

    pub(super) fn zero(&mut self, map: usize) {
        let ty = &self.script.maps[map].value;
        for cell in self.maps[map].values_mut() {
            *cell = match cell {
                Cell::Value(_) => Cell::Value(zeros(ty)),
                Cell::Numbers(_) => Cell::Numbers(Vec::new()),
            };
        }
    }

    /// The contents of a map, in the order of keys.
    pub(super) fn entries(&self, map: usize) -> Vec<Entry> {
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
    pub(super) fn unset(&self, map: usize) -> Option<Entry> {
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

    pub(super) fn print_map(&mut self, map: usize, mut entries: Vec<Entry>, view: &MapView) {
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
    pub(super) fn value(&self, datum: &Datum, ty: &Type) -> Value {
        match (datum, ty) {
            (Datum::Number(n), Type::Bool) => Value::Bool(*n != 0),
            (Datum::Number(n), Type::Int(int)) if int.signed => Value::Int(*n),
            (Datum::Number(n), Type::Int(_)) => Value::UInt(*n as u64),
            (Datum::Number(n), Type::Ptr(..)) => Value::Pointer(*n as u64),
            (Datum::Number(n), Type::Enum(of)) => Value::Enum(*n, of.name_of(*n).map(str::to_owned)),
            (Datum::Bytes(bytes), Type::Bytes(_)) => Value::Opaque(bytes.clone()),
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
