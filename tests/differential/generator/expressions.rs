//! Expressions by class.

use super::{Gen, Holds, Ty};

impl Gen<'_> {
    /// An expression of class `ty`, at most `depth` operators deep.
    pub(super) fn value(&mut self, ty: &Ty, depth: usize) -> String {
        match ty {
            Ty::Int => self.int(depth),
            Ty::Bool => self.condition(depth),
            Ty::Text => self.text(depth),
            Ty::Place => "probe".into(),
            Ty::Tuple(members) => self.tuple(members, depth),
        }
    }

    /// A variable of a class in scope, if there is one.
    fn variable(&mut self, wanted: &Ty) -> Option<String> {
        let found: Vec<_> = self
            .scopes
            .iter()
            .flatten()
            .filter(|var| var.ty == *wanted)
            .cloned()
            .collect();
        if found.is_empty() {
            return None;
        }
        let var = self.tape.pick(&found).clone();
        self.reads.extend(var.from);
        Some(format!("${}", var.name))
    }

    /// An element of a map with values of a class, if there is one.
    fn map_value(&mut self, wanted: &Ty, depth: usize) -> Option<String> {
        let map = self.map(|holds| *holds == Holds::Value(wanted.clone()))?;
        self.reads.insert(map);
        Some(self.element_with(map, depth.saturating_sub(1)))
    }

    /// A map that holds something `wanted`.
    pub(super) fn map(&mut self, wanted: impl Fn(&Holds) -> bool) -> Option<usize> {
        let found: Vec<usize> = (0..self.maps.len())
            .filter(|&i| wanted(&self.maps[i].holds))
            .collect();
        if found.is_empty() {
            return None;
        }
        Some(*self.tape.pick(&found))
    }

    /// `@map` or `@map[key]`.
    pub(super) fn element_with(&mut self, map: usize, depth: usize) -> String {
        self.maps[map].used = true;
        let name = self.maps[map].name.clone();
        match self.maps[map].key.clone() {
            None => format!("@{name}"),
            Some(types) => {
                let key: Vec<String> = types.iter().map(|ty| self.key(ty, depth)).collect();
                format!("@{name}[{}]", key.join(", "))
            }
        }
    }

    /// A key; small numbers, so that accesses meet.
    fn key(&mut self, ty: &Ty, depth: usize) -> String {
        match ty {
            Ty::Int if self.tape.chance(70) => self.tape.below(4).to_string(),
            Ty::Text if self.tape.chance(60) => format!("\"{}\"", self.tape.pick(&["", "a", "bc", "key"])),
            ty => self.value(ty, depth),
        }
    }

    /// The key of a map as one argument.
    pub(super) fn key_argument(&mut self, map: usize, depth: usize) -> Option<String> {
        let types = self.maps[map].key.clone()?;
        self.maps[map].used = true;
        let key: Vec<String> = types.iter().map(|ty| self.key(ty, depth)).collect();
        Some(match &key[..] {
            [only] => only.clone(),
            several => format!("({})", several.join(", ")),
        })
    }

    pub(super) fn int(&mut self, depth: usize) -> String {
        let choice = self.tape.below(if depth == 0 { 7 } else { 20 });
        let less = depth.saturating_sub(1);
        match choice {
            0 => self.tape.below(12).to_string(),
            1 => self.literal(),
            2 => self.variable(&Ty::Int).unwrap_or_else(|| "1".into()),
            3 => self.map_value(&Ty::Int, depth).unwrap_or_else(|| "2".into()),
            4 if !self.place.ints.is_empty() => (*self.tape.pick(self.place.ints)).into(),
            4 | 5 => self.builtin(),
            6 => self.variable(&Ty::Int).unwrap_or_else(|| "3".into()),
            7..=11 => {
                let op = *self
                    .tape
                    .pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]);
                let (a, b) = (self.int(less), self.int(less));
                format!("({a} {op} {b})")
            }
            12 => {
                let op = *self.tape.pick(&["-", "~"]);
                let a = self.int(less);
                format!("{op}({a})")
            }
            13 | 14 => {
                let types = [
                    "uint8", "int8", "int32", "uint64", "int64", "uint16", "int16", "uint32",
                ];
                let ty = *self.tape.pick(&types);
                let a = self.int(less);
                format!("({ty})({a})")
            }
            15 => {
                let (c, a, b) = (self.condition(less), self.int(less), self.int(less));
                format!("({c} ? {a} : {b})")
            }
            16 => self.increment(less),
            17 => self.member(&Ty::Int, less),
            18 => match self.keyed_map() {
                Some(map) => format!("len(@{})", self.maps[map].name),
                None => "6".into(),
            },
            _ => {
                let c = self.condition(less);
                format!("(int64)({c})")
            }
        }
    }

    /// A map with keys; it is mentioned then.
    pub(super) fn keyed_map(&mut self) -> Option<usize> {
        let found: Vec<usize> = (0..self.maps.len())
            .filter(|&i| self.maps[i].key.is_some())
            .collect();
        if found.is_empty() {
            return None;
        }
        let map = *self.tape.pick(&found);
        self.maps[map].used = true;
        Some(map)
    }

    /// A number for arithmetic: often at a boundary, often unknown before run time, of any width and sign.
    pub(super) fn operand(&mut self) -> String {
        let number = match self.tape.below(4) {
            0 => self.literal(),
            1 => format!("({} * pid)", self.literal()),
            2 if !self.place.ints.is_empty() => (*self.tape.pick(self.place.ints)).into(),
            2 => format!("({} - (int64)pid)", self.literal()),
            _ => self.int(1),
        };
        let types = [
            "", "", "", "int64", "uint64", "int32", "uint32", "int16", "uint16", "int8", "uint8",
        ];
        match *self.tape.pick(&types) {
            "" => number,
            ty => format!("({ty}){number}"),
        }
    }

    fn literal(&mut self) -> String {
        let literals = [
            "255",
            "1e3",
            "0x7f",
            "4096",
            "65535",
            "1_000_000",
            "2147483647",
            "2147483648",
            "4294967295",
            "4294967296",
            "0755",
            "9223372036854775807",
            "18446744073709551615",
            "9223372036854775808",
            "5ms",
            "(-1)",
            "(-129)",
            "(-2147483649)",
        ];
        (*self.tape.pick(&literals)).into()
    }

    fn builtin(&mut self) -> String {
        let all = [
            "pid",
            "tid",
            "uid",
            "gid",
            "ncpus",
            "cpu",
            "(rand & 0)",
            "nsecs",
            "elapsed",
        ];
        let last = if self.profile.only_begin { 5 } else { all.len() };
        (*self.tape.pick(&all[..last])).into()
    }

    /// `++` or `--` on a place.
    pub(super) fn increment(&mut self, depth: usize) -> String {
        let place = if self.tape.chance(50) {
            self.map(|holds| *holds == Holds::Value(Ty::Int)).map(|map| {
                self.reads.insert(map);
                self.element_with(map, depth)
            })
        } else {
            self.variable(&Ty::Int)
        };
        match (place, self.tape.below(4)) {
            (None, _) => "7".into(),
            (Some(place), 0) => format!("{place}++"),
            (Some(place), 1) => format!("{place}--"),
            (Some(place), 2) => format!("++{place}"),
            (Some(place), _) => format!("--{place}"),
        }
    }

    /// A member of a tuple that holds one of class `wanted`.
    fn member(&mut self, wanted: &Ty, depth: usize) -> String {
        let pair = if self.tape.chance(50) {
            Ty::Tuple(vec![Ty::Int, Ty::Text])
        } else {
            Ty::Tuple(vec![Ty::Bool, Ty::Tuple(vec![Ty::Int, Ty::Int]), Ty::Int])
        };
        let Ty::Tuple(members) = &pair else {
            return "8".into();
        };
        let Some(index) = members.iter().position(|member| member == wanted) else {
            return self.value(wanted, 0);
        };
        let tuple = self.variable(&pair).unwrap_or_else(|| self.tuple(members, depth));
        format!("{tuple}.{index}")
    }

    pub(super) fn condition(&mut self, depth: usize) -> String {
        let choice = self.tape.below(if depth == 0 { 4 } else { 14 });
        let less = depth.saturating_sub(1);
        match choice {
            0 => "true".into(),
            1 => "false".into(),
            2 => self.variable(&Ty::Bool).unwrap_or_else(|| "(1 == 1)".into()),
            3 => self
                .map_value(&Ty::Bool, depth)
                .unwrap_or_else(|| "(2 < 1)".into()),
            4..=6 => {
                let op = *self.tape.pick(&["==", "!=", "<", "<=", ">", ">="]);
                let (a, b) = (self.int(less), self.int(less));
                format!("({a} {op} {b})")
            }
            7 => {
                let op = *self.tape.pick(&["==", "!="]);
                let (a, b) = (self.text(less), self.text(less));
                format!("({a} {op} {b})")
            }
            8 => {
                let op = *self.tape.pick(&["&&", "||"]);
                let (a, b) = (self.condition(less), self.condition(less));
                format!("({a} {op} {b})")
            }
            9 => {
                let a = self.condition(less);
                format!("!({a})")
            }
            10 => self.on_key("has_key", less),
            11 => self.on_key("delete", less),
            12 => {
                let members = [Ty::Int, Ty::Text];
                let op = *self.tape.pick(&["==", "!="]);
                let (a, b) = (self.tuple(&members, less), self.tuple(&members, less));
                format!("({a} {op} {b})")
            }
            _ => {
                // Any scalar is a condition.
                let a = self.int(less);
                format!("({a} && true)")
            }
        }
    }

    /// `has_key(@m, key)`, `delete(@m, key)`.
    pub(super) fn on_key(&mut self, function: &str, depth: usize) -> String {
        let Some(map) = self.keyed_map() else {
            return "true".into();
        };
        match self.key_argument(map, depth) {
            Some(key) => format!("{function}(@{}, {key})", self.maps[map].name),
            None => "true".into(),
        }
    }

    pub(super) fn text(&mut self, depth: usize) -> String {
        let choice = self.tape.below(if depth == 0 { 6 } else { 8 });
        let less = depth.saturating_sub(1);
        match choice {
            0 => format!("\"{}\"", self.tape.pick(&["", "a", "bc", "def", "key"])),
            1 => {
                let texts = [
                    "hello, world",
                    "0123456789abcdef",
                    "tab\\t quote\\\" back\\\\",
                    "\\x41\\101",
                    "%d is text",
                ];
                let text = *self.tape.pick(&texts);
                format!("\"{}\"", if self.max_strlen < 24 { "short" } else { text })
            }
            2 => self.variable(&Ty::Text).unwrap_or_else(|| "\"v\"".into()),
            3 => self.map_value(&Ty::Text, depth).unwrap_or_else(|| "\"m\"".into()),
            4 if !self.place.texts.is_empty() => (*self.tape.pick(self.place.texts)).into(),
            4 => "comm".into(),
            5 => {
                let most = self.max_strlen.min(300);
                format!("\"{}\"", "long".repeat(1 + self.tape.below(most / 4)))
            }
            6 => {
                let (c, a, b) = (self.condition(less), self.text(less), self.text(less));
                format!("({c} ? {a} : {b})")
            }
            _ => self.member(&Ty::Text, less),
        }
    }

    pub(super) fn tuple(&mut self, members: &[Ty], depth: usize) -> String {
        let ty = Ty::Tuple(members.to_vec());
        match self.tape.below(if depth == 0 { 1 } else { 5 }) {
            3 => {
                if let Some(var) = self.variable(&ty) {
                    return var;
                }
            }
            4 => {
                if let Some(element) = self.map_value(&ty, depth) {
                    return element;
                }
            }
            2 => {
                let less = depth.saturating_sub(1);
                let (c, a, b) = (
                    self.condition(less),
                    self.tuple(members, less),
                    self.tuple(members, less),
                );
                return format!("({c} ? {a} : {b})");
            }
            _ => {}
        }
        let less = depth.saturating_sub(1);
        let members: Vec<String> = members.iter().map(|ty| self.value(ty, less)).collect();
        format!("({})", members.join(", "))
    }
}
