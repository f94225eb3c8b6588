//! HIR as text, for `-d hir` and tests: close to the script, with every type, conversion and resolved place shown.

use super::*;
use crate::plan::{AfterPrint, EventKind, MessageLevel};
use crate::types::NameTable;
use std::fmt::{self, Display, Formatter, Write};

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for map in &self.maps {
            writeln!(f, "{}", MapLine(map))?;
        }
        for (i, event) in self.events.iter().enumerate() {
            write!(
                f,
                "event {i} = {}, {} bytes",
                EventName { script: self, event },
                event.size
            )?;
            for arg in &event.args {
                write!(f, ", {}: {}", arg.offset, arg.ty)?;
            }
            f.write_char('\n')?;
        }
        for (i, site) in self.sites.iter().enumerate() {
            writeln!(f, "site {i} = {}", site.probe)?;
        }
        for probe in &self.probes {
            f.write_char('\n')?;
            let mut out = Printer {
                script: self,
                probe,
                f,
                indent: 0,
            };
            out.probe()?;
        }
        Ok(())
    }
}

struct MapLine<'a>(&'a Map);

impl Display for MapLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let map = self.0;
        write!(f, "map @{}", map.name)?;
        if let Some(key) = &map.key {
            write!(f, "[{key}]")?;
        }
        write!(f, ": {}", map.value)?;
        if let Type::Agg(agg) = &map.value {
            if agg.signed {
                f.write_str(" signed")?;
            }
            if !agg.params.is_empty() {
                write!(f, " {:?}", agg.params)?;
            }
        }
        for (flag, name) in [
            (map.deleted_from, "deleted from"),
            (map.cleared, "cleared"),
            (map.taken, "taken"),
            (map.measured, "measured"),
            (map.evicts, "evicts"),
        ] {
            if flag {
                write!(f, ", {name}")?;
            }
        }
        match map.max_entries {
            Some(n) => write!(f, ", at most {n}"),
            None => Ok(()),
        }
    }
}

struct EventName<'a> {
    script: &'a Script,
    event: &'a Event,
}

impl Display for EventName<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let map = |map: MapId| self.script.maps.get(map.0 as usize).map_or("?", |map| &map.name);
        match &self.event.kind {
            EventKind::HelperFailed(failure) => write!(f, "{} failed", failure.helper),
            EventKind::Unwatch => f.write_str("unwatch"),
            EventKind::Cat(_) => f.write_str("file"),
            EventKind::System(_) => f.write_str("command"),
            EventKind::Join(separator) => write!(f, "strings between {separator:?}"),
            EventKind::Printf(_) => f.write_str("printf"),
            EventKind::Message {
                level: MessageLevel::Error,
                ..
            } => f.write_str("errorf"),
            EventKind::Message {
                level: MessageLevel::Warning,
                ..
            } => f.write_str("warnf"),
            EventKind::Print => f.write_str("print"),
            EventKind::PrintMap { map: id, view, then } => {
                write!(f, "print @{}{view}", map(*id))?;
                f.write_str(match then {
                    AfterPrint::Keep => "",
                    AfterPrint::Clear => " then clear",
                    AfterPrint::Zero => " then zero",
                })
            }
            EventKind::Table(table) => {
                write!(f, "table {:?}", table.keys)?;
                for (id, measure) in &table.columns {
                    write!(f, " @{}", map(*id))?;
                    if let Some(unit) = &measure.unit {
                        write!(f, " in {unit}")?;
                    }
                }
                write!(f, " top {}", table.top)
            }
            EventKind::Clear(id) => write!(f, "clear @{}", map(*id)),
            EventKind::Zero(id) => write!(f, "zero @{}", map(*id)),
            EventKind::Time(format) => write!(f, "time {format:?}"),
            EventKind::Exit => f.write_str("exit"),
        }
    }
}

/// Prints one probe.
struct Printer<'a, 'f, 'o> {
    script: &'a Script,
    probe: &'a Probe,
    f: &'f mut Formatter<'o>,
    indent: usize,
}

impl Printer<'_, '_, '_> {
    fn probe(&mut self) -> fmt::Result {
        write!(self.f, "{}", self.probe.kind_name)?;
        if let Some(pid) = self.probe.pid_filter {
            write!(self.f, " of process {pid}")?;
        }
        self.f.write_str(" at\n")?;
        for attach in &self.probe.attach {
            writeln!(self.f, "  {attach}")?;
        }
        if let Some(predicate) = &self.probe.predicate {
            self.f.write_str("where ")?;
            self.expr(predicate)?;
            self.f.write_char('\n')?;
        }
        for (i, var) in self.probe.vars.iter().enumerate() {
            writeln!(self.f, "let {}: {}", self.var(VarId(i as u32)), var.ty)?;
        }
        self.block(&self.probe.body)?;
        self.f.write_char('\n')
    }

    fn block(&mut self, stmts: &[Stmt]) -> fmt::Result {
        self.f.write_str("{\n")?;
        self.indent += 1;
        for stmt in stmts {
            self.line_start()?;
            self.stmt(&stmt.kind)?;
            self.f.write_char('\n')?;
        }
        self.indent -= 1;
        self.line_start()?;
        self.f.write_char('}')
    }

    fn line_start(&mut self) -> fmt::Result {
        (0..self.indent).try_for_each(|_| self.f.write_str("  "))
    }

    fn stmt(&mut self, stmt: &StmtKind) -> fmt::Result {
        match stmt {
            StmtKind::Eval(e) => self.expr(e),
            StmtKind::SetVar(var, value) => {
                write!(self.f, "{} = ", self.var(*var))?;
                self.expr(value)
            }
            StmtKind::SetMap { map, key, value } => {
                self.element(*map, key.as_ref())?;
                self.f.write_str(" = ")?;
                self.expr(value)
            }
            StmtKind::UpdateMap { map, key, op, value } => {
                self.element(*map, key.as_ref())?;
                write!(self.f, " {}= ", op.symbol())?;
                self.expr(value)
            }
            StmtKind::Aggregate {
                map,
                key,
                value,
                weight,
            } => {
                self.element(*map, key.as_ref())?;
                self.f.write_str(" << ")?;
                match value {
                    Some(value) => self.expr(value)?,
                    None => self.f.write_char('1')?,
                }
                let Some(weight) = weight else { return Ok(()) };
                self.f.write_str(" weighing ")?;
                self.expr(weight)
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                self.f.write_str("if ")?;
                self.expr(cond)?;
                self.f.write_char(' ')?;
                self.block(then)?;
                if otherwise.is_empty() {
                    return Ok(());
                }
                self.f.write_str(" else ")?;
                self.block(otherwise)
            }
            StmtKind::ForRange {
                var, from, to, body, ..
            } => {
                write!(self.f, "for {} : ", self.var(*var))?;
                self.expr(from)?;
                self.f.write_str("..")?;
                self.expr(to)?;
                self.f.write_char(' ')?;
                self.block(body)
            }
            StmtKind::ForMap { var, map, body, .. } => {
                write!(self.f, "for {} : ", self.var(*var))?;
                self.element(*map, None)?;
                self.f.write_char(' ')?;
                self.block(body)
            }
            StmtKind::While { cond, body, .. } => {
                self.f.write_str("while ")?;
                self.expr(cond)?;
                self.f.write_char(' ')?;
                self.block(body)
            }
            StmtKind::Unroll { count, body, .. } => {
                write!(self.f, "unroll {count} ")?;
                self.block(body)
            }
            StmtKind::Break => self.f.write_str("break"),
            StmtKind::Continue => self.f.write_str("continue"),
            StmtKind::Return => self.f.write_str("return"),
            StmtKind::Leave => self.f.write_str("leave"),
        }
    }

    /// A variable; those that share their name are told apart by their number.
    fn var(&self, id: VarId) -> String {
        let vars = &self.probe.vars;
        let name = vars.get(id.0 as usize).map_or("?", |var| &var.name);
        if vars.iter().filter(|var| var.name == name).count() > 1 {
            format!("${name}.{}", id.0)
        } else {
            format!("${name}")
        }
    }

    fn element(&mut self, map: MapId, key: Option<&Expr>) -> fmt::Result {
        let name = self.script.maps.get(map.0 as usize).map_or("?", |map| &map.name);
        write!(self.f, "@{name}")?;
        let Some(key) = key else {
            return Ok(());
        };
        self.f.write_char('[')?;
        self.expr(key)?;
        self.f.write_char(']')
    }

    fn list(&mut self, exprs: &[Expr]) -> fmt::Result {
        for (i, expr) in exprs.iter().enumerate() {
            if i > 0 {
                self.f.write_str(", ")?;
            }
            self.expr(expr)?;
        }
        Ok(())
    }

    fn infix(&mut self, a: &Expr, op: &str, b: &Expr) -> fmt::Result {
        self.f.write_char('(')?;
        self.expr(a)?;
        write!(self.f, " {op} ")?;
        self.expr(b)?;
        self.f.write_char(')')
    }

    fn expr(&mut self, expr: &Expr) -> fmt::Result {
        match &expr.kind {
            ExprKind::Const(value) => self.constant(*value, &expr.ty),
            ExprKind::Str(text) => write!(self.f, "{:?}", String::from_utf8_lossy(text)),
            ExprKind::Bytes(bytes) => write!(self.f, "{bytes:?}"),
            ExprKind::Var(var) => write!(self.f, "{}", self.var(*var)),
            ExprKind::MapValue { map, key } => self.element(*map, key.as_deref()),
            ExprKind::Builtin(id) => self.f.write_str(id.row().name),
            ExprKind::Arg(n) => write!(self.f, "arg{n}"),
            ExprKind::Context(offset) => write!(self.f, "context[{offset}]"),
            ExprKind::ReturnValue => self.f.write_str("retval"),
            ExprKind::RecordField { offset, .. } => write!(self.f, "record[{offset}: {}]", expr.ty),
            ExprKind::RecordText { offset, size } => write!(self.f, "record[{offset}: {size} characters]"),
            ExprKind::RecordDynamicText { offset, .. } => write!(self.f, "record[{offset}: text elsewhere]"),
            ExprKind::RecordBytes { offset } => write!(self.f, "record[{offset}: {}]", expr.ty),
            ExprKind::Read {
                address,
                offset,
                bits,
            } => {
                write!(self.f, "read:{}(", expr.ty)?;
                self.expr(address)?;
                write!(self.f, " + {offset}{})", BitRange(*bits))
            }
            ExprKind::Part { of, offset, bits } => {
                self.expr(of)?;
                write!(self.f, "[{offset}{}: {}]", BitRange(*bits), expr.ty)
            }
            ExprKind::Element(of, index) => {
                self.expr(of)?;
                self.f.write_char('[')?;
                self.expr(index)?;
                self.f.write_char(']')
            }
            ExprKind::AddressOf(var) => write!(self.f, "&{}", self.var(*var)),
            ExprKind::SiteName => write!(self.f, "{} by cookie", expr.ty),
            ExprKind::Unary(op, of) => {
                self.f.write_char(op.symbol())?;
                self.expr(of)
            }
            ExprKind::Arith(op, a, b) => {
                self.infix(a, op.symbol(), b)?;
                // Signedness shows in the operands, the width only here.
                write!(self.f, ":{}", expr.ty)
            }
            ExprKind::Compare(op, a, b) => self.infix(a, op.symbol(), b),
            ExprKind::And(a, b) => self.infix(a, "&&", b),
            ExprKind::Or(a, b) => self.infix(a, "||", b),
            ExprKind::Ternary(c, a, b) => {
                self.f.write_char('(')?;
                self.expr(c)?;
                self.f.write_str(" ? ")?;
                self.expr(a)?;
                self.f.write_str(" : ")?;
                self.expr(b)?;
                self.f.write_char(')')
            }
            ExprKind::Convert(of) => {
                write!(self.f, "({})", expr.ty)?;
                self.expr(of)
            }
            ExprKind::Inlined {
                name, body, value, ..
            } => {
                write!(self.f, "{name} ")?;
                self.block(body)?;
                self.f.write_str(" then ")?;
                self.expr(value)
            }
            ExprKind::Block { body, value } => {
                self.block(body)?;
                self.f.write_str(" then ")?;
                self.expr(value)
            }
            ExprKind::Tuple(members) => {
                self.f.write_char('(')?;
                self.list(members)?;
                self.f.write_char(')')
            }
            ExprKind::Assembled(parts) => {
                self.f.write_char('{')?;
                for (i, (offset, part)) in parts.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(self.f, "{comma}{offset}: ")?;
                    self.expr(part)?;
                }
                self.f.write_char('}')
            }
            ExprKind::Member(of, n) => {
                self.expr(of)?;
                write!(self.f, ".{n}")
            }
            ExprKind::Increment { place, delta, prefix } => {
                let sign = if *delta < 0 { "--" } else { "++" };
                if *prefix {
                    self.f.write_str(sign)?;
                }
                match place {
                    Place::Var(var) => write!(self.f, "{}", self.var(*var))?,
                    Place::Map { map, key } => self.element(*map, key.as_deref())?,
                }
                self.f.write_str(if *prefix { "" } else { sign })
            }
            ExprKind::ReadText { address, length } => {
                write!(self.f, "text:{}(", expr.ty)?;
                self.expr(address)?;
                if let Some(length) = length {
                    self.f.write_str(", ")?;
                    self.expr(length)?;
                }
                self.f.write_char(')')
            }
            ExprKind::Intrinsic(which, args) => {
                write!(self.f, "{}:{}(", which.name(), expr.ty)?;
                self.list(args)?;
                self.f.write_char(')')
            }
            ExprKind::HasKey { map, key } => {
                self.f.write_str("has_key ")?;
                self.element(*map, key.as_deref())
            }
            ExprKind::Delete { map, key } => {
                self.f.write_str("delete ")?;
                self.element(*map, key.as_deref())
            }
            ExprKind::Reduced { map, key } => {
                self.f.write_str("reduced ")?;
                self.element(*map, key.as_deref())
            }
            ExprKind::MapLen(map) => {
                self.f.write_str("len ")?;
                self.element(*map, None)
            }
            ExprKind::Emit { event, args } => {
                write!(self.f, "emit {}(", event.0)?;
                self.list(args)?;
                self.f.write_char(')')
            }
        }
    }

    fn constant(&mut self, value: i64, ty: &Type) -> fmt::Result {
        match ty {
            Type::Bool => write!(self.f, "{}", value != 0),
            Type::Int(int) if !int.signed => write!(self.f, "{}", value as u64),
            Type::Name(table) => {
                let site = usize::try_from(value).ok().and_then(|i| self.script.sites.get(i));
                let name = site.map_or("?", |site| match table {
                    NameTable::Func => &site.func,
                    NameTable::Probe => &site.probe,
                });
                write!(self.f, "name {name:?}")
            }
            _ => write!(self.f, "{value}"),
        }
    }
}

/// Which bits of an integer, if not all.
struct BitRange(Option<Bits>);

impl Display for BitRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bits) => write!(
                f,
                " bits {}..{}",
                bits.low,
                u32::from(bits.low) + u32::from(bits.width)
            ),
            None => Ok(()),
        }
    }
}

impl UnaryOp {
    /// How it is written.
    pub fn symbol(self) -> char {
        match self {
            Self::Neg => '-',
            Self::BitNot => '~',
            Self::Not => '!',
        }
    }
}

impl ArithOp {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
        }
    }
}

impl CompareOp {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}
