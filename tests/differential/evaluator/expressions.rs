//! Values of expressions.

use super::*;

impl Evaluator<'_> {
    pub(super) fn key(&mut self, key: Option<&Expr>) -> Result<Option<Datum>, Ended> {
        key.map(|key| self.eval(key)).transpose()
    }

    pub(super) fn number(&mut self, expr: &Expr) -> Result<i64, Ended> {
        Ok(number(&self.eval(expr)?))
    }

    pub(super) fn eval(&mut self, expr: &Expr) -> Result<Datum, Ended> {
        Ok(match &expr.kind {
            ExprKind::Const(value) => Datum::Number(*value),
            ExprKind::Str(text) => Datum::Text(cut(text, text.len())),
            ExprKind::Var(var) => self.vars[var.0 as usize].clone(),
            ExprKind::Builtin(id) => self.builtin(id.row().name),
            ExprKind::AddressOf(var) => Datum::Number((VARIABLES + VARIABLE * u64::from(var.0)) as i64),
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
            ExprKind::Emit { event, args } => {
                let args = args.iter().map(|arg| self.eval(arg)).collect::<Result<_, _>>()?;
                self.sent.push((*event, args));
                if self.script.events[event.0 as usize].kind == EventKind::Exit {
                    return Err(Ended::Program);
                }
                Datum::Nothing
            }
            ExprKind::MapValue { .. }
            | ExprKind::HasKey { .. }
            | ExprKind::Delete { .. }
            | ExprKind::Reduced { .. }
            | ExprKind::MapLen(_) => self.of_map(expr)?,
            ExprKind::Arg(_)
            | ExprKind::Context(_)
            | ExprKind::ReturnValue
            | ExprKind::RecordField { .. }
            | ExprKind::RecordText { .. }
            | ExprKind::RecordDynamicText { .. }
            | ExprKind::RecordBytes { .. }
            | ExprKind::SiteName => self.of_event(expr),
            ExprKind::Read { .. } | ExprKind::Part { .. } | ExprKind::Element(..) => self.of_memory(expr)?,
            _ => self.operation(expr)?,
        })
    }

    /// What memory holds, or a part of a value.
    fn of_memory(&mut self, expr: &Expr) -> Result<Datum, Ended> {
        Ok(match &expr.kind {
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
            other => panic!("{other:?} is nothing of memory"),
        })
    }

    /// What the event brings.
    fn of_event(&self, expr: &Expr) -> Datum {
        match &expr.kind {
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
            ExprKind::SiteName => Datum::Number(i64::from(self.cookie)),
            other => panic!("{other:?} is nothing of an event"),
        }
    }

    /// What is asked of a map, or done to it.
    fn of_map(&mut self, expr: &Expr) -> Result<Datum, Ended> {
        let truth = |b: bool| Datum::Number(i64::from(b));
        Ok(match &expr.kind {
            ExprKind::MapValue { map, key } => {
                let key = self.key(key.as_deref())?;
                match self.maps[map.0 as usize].get(&key) {
                    Some(Cell::Value(value)) => value.clone(),
                    Some(Cell::Numbers(_)) => panic!("an aggregation as a value"),
                    None => zeros(&expr.ty),
                }
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
            other => panic!("{other:?} is nothing of a map"),
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
    pub(super) fn change(&mut self, map: MapId, key: Option<Datum>, f: impl Fn(i64) -> i64) -> (i64, i64) {
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
}
