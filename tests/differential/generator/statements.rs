//! Statements.

use super::{Gen, Holds, Ty};

const CLASSES: &[fn() -> Ty] = &[
    || Ty::Int,
    || Ty::Text,
    || Ty::Bool,
    || Ty::Tuple(vec![Ty::Int, Ty::Text]),
    || Ty::Tuple(vec![Ty::Bool, Ty::Tuple(vec![Ty::Int, Ty::Int]), Ty::Int]),
    || Ty::Int,
];

impl Gen<'_> {
    /// A statement, `depth` blocks deep.
    pub(super) fn statement(&mut self, depth: usize) {
        self.reads.clear();
        match self.tape.below(28) {
            0 | 1 => self.print_value(),
            2..=4 => self.assign_variable(),
            5 => self.change_variable(),
            6..=9 => self.assign_map(),
            10 | 11 => self.update_map(),
            12..=14 => self.aggregate(),
            15 | 16 => self.branch(depth),
            17 | 18 => self.printf(),
            19 => self.print_map(),
            20 => self.whole_map(),
            21 => self.remove(),
            22 => self.block(depth),
            23..=26 => self.compute(),
            _ => self.rarely(depth),
        }
    }

    fn print_value(&mut self) {
        let ty = self.tape.pick(CLASSES)();
        let value = self.value(&ty, 3);
        // `print` of a map without key is another thing: it prints the map when it is handled.
        let value = if value.starts_with('@') {
            format!("({value}, 1)")
        } else {
            value
        };
        self.line(&format!("print({value});"));
    }

    /// Prints what many operators give for two numbers, which are often at a boundary and known only at run time.
    fn compute(&mut self) {
        let both = *self.tape.pick(&["", "uint64", "", "int64", "uint32", "int8"]);
        let [a, b] = [self.operand(), self.operand()].map(|operand| match both {
            "" => operand,
            ty => format!("({ty}){operand}"),
        });
        let form = self.tape.below(3);
        let (a, b) = match form {
            0 => (a, b),
            // Through variables, which fixes the type of each.
            _ => {
                let (x, y) = (self.declare(Ty::Int), self.declare(Ty::Int));
                self.line(&format!("let ${x} = {a};"));
                self.line(&format!("let ${y} = {b};"));
                (format!("${x}"), format!("${y}"))
            }
        };
        let arithmetic = ["/", "%", "*", "-", ">>", "<<", "+", "&", "|", "^"];
        let comparisons = ["<", "<=", ">", ">=", "==", "!="];
        let mut results = Vec::new();
        for _ in 0..3 + self.tape.below(3) {
            let op = *self.tape.pick(&arithmetic);
            results.push(format!("{a} {op} {b}"));
            let op = *self.tape.pick(&comparisons);
            results.push(format!("{a} {op} {b}"));
        }
        if form == 2 {
            results.push(format!("{a}++, --{b}, {a}, {b}"));
        }
        self.line(&format!("print(({}));", results.join(", ")));
    }

    fn assign_variable(&mut self) {
        let ty = self.tape.pick(CLASSES)();
        let value = self.value(&ty, 3);
        let existing: Vec<String> = self
            .scopes
            .iter()
            .flatten()
            .filter(|var| var.ty == ty)
            .map(|var| var.name.clone())
            .collect();
        if !existing.is_empty() && self.tape.chance(40) {
            let name = self.tape.pick(&existing).clone();
            let reads = std::mem::take(&mut self.reads);
            for var in self.scopes.iter_mut().flatten().filter(|var| var.name == name) {
                var.from.extend(reads.iter().copied());
            }
            return self.line(&format!("${name} = {value};"));
        }
        let form = self.tape.below(3);
        let name = self.declare(ty);
        match form {
            0 => self.line(&format!("${name} = {value};")),
            1 => self.line(&format!("let ${name} = {value};")),
            _ => {
                self.line(&format!("let ${name};"));
                self.line(&format!("${name} = {value};"));
            }
        }
    }

    fn change_variable(&mut self) {
        let ints: Vec<String> = self
            .scopes
            .iter()
            .flatten()
            .filter(|var| var.ty == Ty::Int)
            .map(|var| var.name.clone())
            .collect();
        if ints.is_empty() {
            return self.assign_variable();
        }
        let name = self.tape.pick(&ints).clone();
        let op = *self
            .tape
            .pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
        let value = self.int(2);
        let reads = std::mem::take(&mut self.reads);
        for var in self.scopes.iter_mut().flatten().filter(|var| var.name == name) {
            var.from.extend(reads.iter().copied());
        }
        self.line(&format!("${name} {op}= {value};"));
    }

    fn assign_map(&mut self) {
        let Some(map) = self.map(|holds| matches!(holds, Holds::Value(_))) else {
            return self.printf();
        };
        let Holds::Value(ty) = self.maps[map].holds.clone() else {
            return;
        };
        let mut value = self.value(&ty, 3);
        if !self.profile.self_assignment && self.reads.contains(&map) {
            value = self.value(&ty, 0);
            if self.reads.contains(&map) {
                value = match ty {
                    Ty::Int => "11".into(),
                    Ty::Bool => "true".into(),
                    Ty::Text => "\"eleven\"".into(),
                    _ => return,
                };
            }
        }
        if self.reads.is_empty() && !value.contains(['$', '@']) {
            self.maps[map].anchored = true;
        }
        let place = self.element_with(map, 2);
        self.line(&format!("{place} = {value};"));
    }

    fn update_map(&mut self) {
        let Some(map) = self.map(|holds| *holds == Holds::Value(Ty::Int)) else {
            return self.assign_map();
        };
        let op = *self
            .tape
            .pick(&["++", "--", "+", "-", "&", "|", "^", "*", "/", "%", "<<", ">>"]);
        if let "++" | "--" = op {
            let place = self.element_with(map, 2);
            self.maps[map].anchored = true;
            return self.line(&format!("{place}{op};"));
        }
        let value = self.int(2);
        let place = self.element_with(map, 1);
        // `@x = @x + n` is the same update as `@x += n`, where evaluating the key has no effect.
        if !place.contains('[') && self.tape.chance(30) {
            return self.line(&format!("{place} = {place} {op} {value};"));
        }
        self.line(&format!("{place} {op}= {value};"));
    }

    fn aggregate(&mut self) {
        let Some(map) = self.map(|holds| matches!(holds, Holds::Aggregation(..))) else {
            return self.assign_map();
        };
        let Holds::Aggregation(name, params) = self.maps[map].holds else {
            return;
        };
        let value = self.int(2);
        let call = self.aggregation_call(name, params, &value);
        if self.reads.is_empty() && !value.contains(['$', '@']) {
            self.maps[map].anchored = true;
        }
        let place = self.element_with(map, 2);
        self.line(&format!("{place} = {call};"));
    }

    /// `name(value, params)`.
    pub(super) fn aggregation_call(&self, name: &str, params: &str, value: &str) -> String {
        match (name, params) {
            ("count", _) => "count()".into(),
            (name, "") => format!("{name}({value})"),
            (name, params) => format!("{name}({value}, {params})"),
        }
    }

    fn branch(&mut self, depth: usize) {
        let condition = self.condition(3);
        self.line(&format!("if ({condition}) {{"));
        self.body(depth);
        let alternatives = self.tape.below(3);
        if alternatives == 2 {
            let condition = self.condition(2);
            self.line(&format!("}} else if ({condition}) {{"));
            self.body(depth);
        }
        if alternatives >= 1 {
            self.line("} else {");
            self.body(depth);
        }
        self.line("}");
    }

    fn body(&mut self, depth: usize) {
        self.indent += 1;
        self.scopes.push(Vec::new());
        for _ in 0..1 + self.tape.below(3) {
            if depth < self.max_depth {
                self.statement(depth + 1);
            } else {
                self.print_value();
            }
        }
        self.scopes.pop();
        self.indent -= 1;
    }

    fn block(&mut self, depth: usize) {
        self.line("{");
        self.body(depth);
        self.line("}");
    }

    fn printf(&mut self) {
        let mut format = String::new();
        let mut args = Vec::new();
        for _ in 0..self.tape.below(4) {
            let flags = *self.tape.pick(&["", "", "-", "0", "+", " ", "#"]);
            let width = *self.tape.pick(&["", "", "5", "12"]);
            let length = *self.tape.pick(&["", "l", "ll", "h", "hh"]);
            match self.tape.below(6) {
                0 => {
                    format.push_str("%d ");
                    args.push(self.int(2));
                }
                1 | 2 => {
                    let specifier = *self.tape.pick(&["d", "i", "u", "x", "X", "o"]);
                    format.push_str(&format!("%{flags}{width}{length}{specifier}|"));
                    args.push(self.int(2));
                }
                3 => {
                    format.push_str(&format!("%{}{width}s|", if flags == "-" { "-" } else { "" }));
                    args.push(self.text(2));
                }
                4 => {
                    let ty = self.tape.pick(CLASSES)();
                    format.push_str("%s ");
                    args.push(self.value(&ty, 2));
                }
                _ => {
                    format.push_str("%d %%");
                    args.push(self.condition(2));
                }
            }
        }
        let mut call = format!("printf(\"{format}\\n\"");
        for arg in args {
            call.push_str(&format!(", {arg}"));
        }
        self.line(&format!("{call});"));
    }

    fn print_map(&mut self) {
        let map = self.tape.below(self.maps.len());
        self.maps[map].used = true;
        let name = self.maps[map].name.clone();
        match self.tape.below(3) {
            0 => self.line(&format!("print(@{name});")),
            1 => self.line(&format!("print(@{name}, {});", self.tape.clone().below(3))),
            _ => self.line(&format!("print(@{name}, 2, 3);")),
        }
        // What a checker can join to one step.
        match self.tape.below(4) {
            2 => self.line(&format!("clear(@{name});")),
            3 if self.may_be_zeroed(map) => self.line(&format!("zero(@{name});")),
            _ => {}
        }
    }

    fn is_keyless_aggregation(&self, map: usize) -> bool {
        let map = &self.maps[map];
        map.key.is_none() && matches!(map.holds, Holds::Aggregation(..))
    }

    fn may_be_zeroed(&self, map: usize) -> bool {
        !(self.deletes_keyless && self.is_keyless_aggregation(map))
    }

    fn whole_map(&mut self) {
        let map = self.tape.below(self.maps.len());
        self.maps[map].used = true;
        let functions = ["clear", "zero"];
        let allowed = if self.may_be_zeroed(map) { 2 } else { 1 };
        let function = *self.tape.pick(&functions[..allowed]);
        let name = &self.maps[map].name;
        let line = format!("{function}(@{name});");
        self.line(&line);
    }

    fn remove(&mut self) {
        let map = self.tape.below(self.maps.len());
        self.maps[map].used = true;
        let name = self.maps[map].name.clone();
        match self.key_argument(map, 2) {
            Some(key) => self.line(&format!("delete(@{name}, {key});")),
            None if self.is_keyless_aggregation(map) && !self.deletes_keyless => {
                self.line(&format!("clear(@{name});"));
            }
            None => self.line(&format!("delete(@{name});")),
        }
    }

    fn rarely(&mut self, depth: usize) {
        match self.tape.below(6) {
            0 => {
                let ty = self.tape.pick(CLASSES)();
                let value = self.value(&ty, 2);
                self.line(&format!("_ = {value};"));
            }
            1 => {
                let (c, a, b) = (self.condition(2), self.int(1), self.text(1));
                self.line(&format!("{c} ? print(({a}, 1)) : printf(\"%s\\n\", {b});"));
            }
            2 => {
                let change = self.increment(1);
                self.line(&format!("_ = {change};"));
            }
            3 => {
                let c = self.condition(2);
                self.line(&format!("if ({c}) {{ return; }}"));
            }
            4 => {
                let (c, code) = (self.condition(2), self.int(0));
                self.line(&format!("if ({c}) {{ exit({code}); }}"));
            }
            _ if depth == 0 => self.line("print(probe);"),
            _ => self.line("printf(\"deep\\n\");"),
        }
    }
}
