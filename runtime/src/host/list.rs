//! What can be traced: the listing behind `crumbs -l`.
//!
//! In: a probe pattern. Out: full probe names, sorted, and on request what their programs find there.

use super::HostTarget;
use crumbs_compiler::glob::Glob;
use crumbs_compiler::probe_kind::{self, Class, ProbeKind, iter, rawtracepoint};
use crumbs_compiler::target::{Entry, FieldLocation, Target, TargetError, TracepointField};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The kernel's functions that match a pattern, module and name, which several kinds of probe list.
type KernelFunctions = OnceCell<Result<Vec<(String, String)>, TargetError>>;

impl HostTarget {
    /// The tracepoints that match, as `tracepoint:CATEGORY:EVENT`.
    ///
    /// # Errors
    /// When none matches or tracefs cannot be read.
    pub fn list_tracepoints(&self, category: &str, event: &str) -> Result<Vec<String>, TargetError> {
        let found = self.tracepoints(category, event)?;
        Ok(found
            .iter()
            .map(|(category, event)| format!("tracepoint:{category}:{event}"))
            .collect())
    }

    /// Lists patterns such as `tracepoint:sched:*`, `t:sched:*`, `uprobe:libc:mem*`, `*:libc:mem*` or `*sched_switch*`,
    /// separated by commas; each one's matches sorted.
    ///
    /// # Errors
    /// When nothing matches, or what it names cannot be read; with several kinds, only when none of them has a match.
    pub fn list(&self, patterns: &str) -> Result<Vec<String>, TargetError> {
        let mut names = Vec::new();
        for pattern in patterns.split(',') {
            names.extend(self.list_one(pattern.trim())?);
        }
        Ok(names)
    }

    fn list_one(&self, pattern: &str) -> Result<Vec<String>, TargetError> {
        let (kind, rest) = match pattern.split_once(':') {
            Some(parts) => parts,
            None if pattern == "*" || probe_kind::by_name(pattern).is_some() => (pattern, "*"),
            None => ("*", pattern),
        };
        let mut names = Vec::new();
        let mut failure = None;
        let glob = Glob::new(kind);
        let functions = OnceCell::new();
        for row in probe_kind::ALL {
            let is_named = probe_kind::by_name(kind).is_some_and(|named| named.name() == row.name());
            if !is_named && (glob.is_literal() || !glob.matches(row.name())) {
                continue;
            }
            match self.list_kind(*row, rest, is_named, &functions) {
                Ok(found) => names.extend(found),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        names.sort_unstable();
        match failure {
            Some(error) if names.is_empty() => Err(error),
            _ if names.is_empty() => Err(TargetError::NotFound {
                similar: Vec::new(),
                searched: Vec::new(),
            }),
            _ => Ok(names),
        }
    }

    /// What matches of one kind. `is_named` says that the pattern is for this kind alone.
    fn list_kind(
        &self,
        kind: &dyn ProbeKind,
        rest: &str,
        is_named: bool,
        functions: &KernelFunctions,
    ) -> Result<Vec<String>, TargetError> {
        let name = kind.name();
        // A path may hold no colon, a C++ function may.
        let (first, last) = rest.split_once(':').unwrap_or((rest, "*"));
        // A path names no part of the kernel.
        if !is_named && first.contains('/') && kind.class() == Class::Kernel {
            return Ok(Vec::new());
        }
        let fixed = kind.fixed_names();
        if !fixed.is_empty() {
            let glob = Glob::new(first);
            let found = fixed.into_iter().filter(|fixed| glob.matches(fixed));
            return Ok(found.map(|fixed| format!("{name}:{fixed}:")).collect());
        }
        // `*sched_switch*` is a pattern for what is traced, whichever group it is in.
        let (group, member) = match rest.split_once(':') {
            None if !is_named => ("*", rest),
            _ => (first, last),
        };
        match name {
            "tracepoint" => self.list_tracepoints(group, member),
            "rawtracepoint" => {
                let (module, event) = rest.split_once(':').unwrap_or(("*", rest));
                self.list_raw_tracepoints(name, module, event)
            }
            "iter" => {
                let glob = Glob::new(rest);
                let lists = iter::lists(self).into_iter().filter(|list| glob.matches(list));
                Ok(lists.map(|list| format!("{name}:{list}")).collect())
            }
            "kprobe" | "kretprobe" | "fentry" | "fexit" => self.list_kernel_functions(name, rest, functions),
            "uprobe" | "uretprobe" | "usdt"
                // Without a binary there is no end of functions, unless it is that of a process.
                if !is_named && !self.is_for_process() && first.chars().all(|c| c == '*') =>
            {
                Ok(Vec::new())
            }
            "uprobe" | "uretprobe" if !is_named && !self.is_for_process() && !rest.contains(':') => Ok(Vec::new()),
            "usdt" => self.list_static_probes(rest),
            "uprobe" | "uretprobe" => self.list_functions(name, rest),
            _ => Ok(Vec::new()),
        }
    }

    /// The kernel's functions that match `[MODULE:]FUNCTION`. Those of modules are shown with it, and all of them for kinds
    /// whose attach points have one.
    fn list_kernel_functions(
        &self,
        kind: &str,
        rest: &str,
        functions: &KernelFunctions,
    ) -> Result<Vec<String>, TargetError> {
        let (module, function) = rest.split_once(':').unwrap_or(("*", rest));
        let always = kind.starts_with('f');
        if always && module == "bpf" {
            // `[ID:]FUNCTION` of the loaded programs.
            let (program, function) = function.split_once(':').unwrap_or(("*", function));
            let found = self.described_functions(&format!("bpf:{program}"), function)?;
            let names = found
                .iter()
                .map(|(module, function)| format!("{kind}:{module}:{function}"));
            return Ok(names.collect());
        }
        let found = functions.get_or_init(|| self.traceable_functions(module, function));
        let described: Option<HashSet<_>> = match always {
            true => Some(self.described_functions(module, function)?.into_iter().collect()),
            false => None,
        };
        let names = found
            .as_ref()
            .map_err(Clone::clone)?
            .iter()
            .filter(|function| {
                described
                    .as_ref()
                    .is_none_or(|described| described.contains(function))
            })
            .map(|(module, function)| {
                if module == VMLINUX && !always {
                    format!("{kind}:{function}")
                } else {
                    format!("{kind}:{module}:{function}")
                }
            });
        Ok(names.collect())
    }

    /// The kernel's types that match `struct NAME`, `union NAME` or `enum NAME`; their definitions in C where `in_full`.
    ///
    /// # Errors
    /// When there is no such type or BTF cannot be read.
    pub fn list_types(&self, keyword: &str, name: &str, in_full: bool) -> Result<Vec<String>, TargetError> {
        let glob = Glob::new(name);
        let found = self.types.tagged(keyword, &glob)?;
        if found.is_empty() {
            self.types.named(keyword, name)?;
        }
        let text = |found: String| {
            let name = found.split_once(' ').map_or("", |(_, name)| name);
            match in_full {
                true => self.types.definition_text(keyword, name).map(|text| text + ";"),
                false => Ok(found),
            }
        };
        found.into_iter().map(text).collect()
    }

    /// The tracepoints that match, by module; by the kernel's types, or without them by tracefs, which lacks some.
    fn list_raw_tracepoints(
        &self,
        kind: &str,
        module: &str,
        event: &str,
    ) -> Result<Vec<String>, TargetError> {
        let place = |module: &str, event: &str| format!("{kind}:{module}:{event}");
        let known = self.described_functions(module, &format!("{}{event}", rawtracepoint::CALLER));
        let Ok(known) = known else {
            let found = self.tracepoints("*", event)?;
            // System calls share two events, which are in a group of their own.
            let raw = found.iter().filter(|(category, _)| category != "syscalls");
            return Ok(raw.map(|(_, event)| place(VMLINUX, event)).collect());
        };
        let names = known.iter().filter_map(|(module, function)| {
            Some(place(module, function.strip_prefix(rawtracepoint::CALLER)?))
        });
        Ok(names.collect())
    }

    /// The arguments of a raw tracepoint as `-lv` shows them.
    ///
    /// # Errors
    /// When BTF does not describe it.
    pub fn list_raw_arguments(&self, module: &str, event: &str) -> Result<Vec<String>, TargetError> {
        let caller = format!("{}{event}", rawtracepoint::CALLER);
        // The first is the caller's own.
        let (params, _) = self.types.parameter_texts(module, &caller)?;
        Ok(params.into_iter().skip(1).collect())
    }

    /// The parameters of a kernel function, and for `fexit` what it returns, as `-lv` shows them.
    ///
    /// # Errors
    /// When BTF does not describe it.
    pub fn list_parameters(
        &self,
        module: &str,
        function: &str,
        with_result: bool,
    ) -> Result<Vec<String>, TargetError> {
        let (mut params, result) = self.types.parameter_texts(module, function)?;
        params.extend(result.filter(|_| with_result));
        Ok(params)
    }

    /// The parameters of a function of a program, by its debug information, as `-lv` shows them.
    ///
    /// # Errors
    /// When there is no such function, or nothing describes it.
    pub fn list_described(&self, binary: &str, function: &str) -> Result<Vec<String>, TargetError> {
        let mut params = Vec::new();
        for binary in self.binaries(binary)?.iter().take(1) {
            for function in self.functions_named(binary, function)?.iter().take(1) {
                let signature = self.signature(binary, function.offset)?;
                params.extend(signature.params.iter().map(|param| {
                    let text = format!("{} {}", param.declaration, param.name);
                    text.trim_end().to_owned()
                }));
            }
        }
        Ok(params)
    }

    /// How many bytes behind its entry a function is probed by programs that read no more than arguments in registers, if
    /// they are not at its entry.
    pub fn list_cheapest(&self, binary: &str, function: &str) -> Option<u64> {
        let binary = self.binaries(binary).ok()?.into_iter().next()?;
        let mut known = self.cheapest.borrow_mut();
        if !known.contains_key(&binary.path) {
            // All at once: it takes about as long as one.
            let all = self.functions(&binary).ok()?;
            let offsets: BTreeSet<u64> = all.iter().map(|function| function.offset).collect();
            let entry = |offset| Entry {
                offset,
                arguments: u32::MAX,
            };
            let entries: Vec<Entry> = offsets.into_iter().map(entry).collect();
            let places = self.cheapest_places(&binary, &entries);
            let moved: HashMap<u64, u64> = entries
                .iter()
                .zip(places)
                .filter(|(entry, place)| entry.offset < *place)
                .map(|(entry, place)| (entry.offset, place - entry.offset))
                .collect();
            let named = all
                .iter()
                .filter(|function| !function.indirect)
                .filter_map(|function| Some((function.name.clone(), *moved.get(&function.offset)?)));
            known.insert(binary.path.clone(), named.collect());
        }
        known.get(&binary.path)?.get(function).copied()
    }

    /// The fields of a tracepoint as `-lv` shows them, one declaration each: `const char * filename`.
    ///
    /// # Errors
    /// When there is no such tracepoint or tracefs cannot be read.
    pub fn list_fields(&self, category: &str, event: &str) -> Result<Vec<String>, TargetError> {
        Ok(self
            .tracepoint(category, event)?
            .fields
            .iter()
            .map(declaration)
            .collect())
    }
}

/// What the kernel proper is called among its modules.
const VMLINUX: &str = "vmlinux";

/// A field as its format file declares it.
fn declaration(field: &TracepointField) -> String {
    let TracepointField {
        name, c_type, array, ..
    } = field;
    match (field.location, array) {
        (FieldLocation::DataLoc, _) => format!("__data_loc {c_type}[] {name}"),
        (FieldLocation::RelLoc, _) => format!("__rel_loc {c_type}[] {name}"),
        (FieldLocation::Inline, Some(0)) => format!("{c_type} {name}[]"),
        (FieldLocation::Inline, Some(length)) => format!("{c_type} {name}[{length}]"),
        (FieldLocation::Inline, None) => match c_type.split_once("(*)") {
            Some((result, parameters)) => format!("{result}(*{name}){parameters}"),
            None => format!("{c_type} {name}"),
        },
    }
}
